"""Colours and lines of all figures: one colour a region and a run, apart for colour-blind eyes and in grey."""

from meshes.labmesh import REGIONS

# region number -> name, in the order of drawing and of legends
REGION_LAYERS = {REGIONS[name]: name for name in (
    "trabecular", "pedicle", "posterior", "foam", "cemented_bone", "halo", "cement", "screw")}
REGION_COLOURS = {"trabecular": "#f4ead0", "pedicle": "#e6cf98", "posterior": "#cfae66", "foam": "#efece6",
                  "cemented_bone": "#7fb9de", "halo": "#d98cb3", "cement": "#0f5c9c", "screw": "#55585c"}
REGION_WORDS = {"trabecular": "trabecular bone", "pedicle": "pedicle", "posterior": "posterior elements",
                "foam": "foam", "cemented_bone": "bone filled with cement", "halo": "halo (fibrous)",
                "cement": "cement", "screw": "screw"}
CORTEX_COLOUR = "#3c2f1e"

# Okabe and Ito's palette without yellow, which is lost on paper
RUN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00")
RUN_LINES = ("-", (0, (6, 2)), (0, (4, 1.5, 1, 1.5)), (0, (1.5, 1.2)))
RUN_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

RC = {
    "font.family": "DejaVu Sans", "font.size": 9.5, "axes.titlesize": 10.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#444444",
    "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True,
    "legend.frameon": False, "figure.dpi": 100, "savefig.dpi": 170, "figure.facecolor": "white",
}


def run_style(index, step=None):
    """Keyword arguments of the line of run number `index`; colour, dashes and marker repeat out of step.

    step: number of the cyclic test if the run has several, which then tells the dashes.
    """
    dashes = index if step is None else step
    return {"color": RUN_COLOURS[index % len(RUN_COLOURS)], "linestyle": RUN_LINES[dashes % len(RUN_LINES)]}


def plain(name):
    """A name as matplotlib shows it, dollar signs and all."""
    return name.replace("$", r"\$")
