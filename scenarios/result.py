"""Result directories as Python sees them. Reads files only: a result needs neither mesher nor solver."""

import json
from pathlib import Path

from scenarios.trouble import BadInput

SCHEMA = 1
# What a comparison sets side by side: column, heading, digits. Columns without any number are left out.
COLUMNS = (
    ("load_at_loosening_N", "load at loosening (N)", 0),
    ("load_at_loosening_ratio", "ratio", 2),
    ("cycles_to_loosening", "cycles to loosening", 0),
    ("peak_force_N", "peak force (N)", 0),
    ("peak_force_ratio", "ratio", 2),
    ("stiffness_N_per_mm", "stiffness (N/mm)", 0),
    ("displacement_at_peak_mm", "displacement at peak (mm)", 3),
)
# What is said of a solved step, by its kind: key in result.json, words, unit, format. The first is the one for ratios.
NUMBERS = {
    "cycle": (
        ("load_at_loosening_N", "load at loosening", "N", ".0f"),
        ("cycles_to_loosening", "cycles to loosening", "", ",.0f"),
        ("static_capacity_N", "static capacity", "N", ".0f"),
        ("stiffness_N_per_mm", "stiffness at first", "N/mm", ".0f"),
        ("micromotion_um", "micromotion at first", "um", ".1f"),
        ("halo_thickness_mm", "halo thickness", "mm", ".2f"),
        ("cycles", "cycles at the end", "", ",.0f"),
        ("peak_load_N", "largest peak load", "N", ".0f"),
        ("head_displacement_mm", "head displacement at the end", "mm", ".2f"),
        ("angle_deg", "turn of the screw at the end", "deg", ".1f"),
        ("residual_force_N", "force left when pushed on to the stop", "N", ".0f"),
        ("micromotion_end_um", "micromotion at the end", "um", ".1f"),
    ),
    "pullout": (
        ("peak_force_N", "peak force", "N", ".0f"),
        ("stiffness_N_per_mm", "stiffness", "N/mm", ".0f"),
        ("displacement_at_peak_mm", "displacement at peak", "mm", ".3f"),
        ("energy_to_peak_N_mm", "energy to peak", "N mm", ".1f"),
        ("micromotion_um", "micromotion at peak", "um", ".1f"),
    ),
}
WORDS = {key: label for numbers in NUMBERS.values() for key, label, *_ in numbers}
EXIT_CODES = {"completed": 0, "partial": 3, "failed": 3}


class Result:
    """One result directory. Numbers of the run are attributes by their key in result.json: result.peak_force_N.

    directory: Path; summary: result.json as a dict; status: completed, partial or failed; reason: a sentence;
    curve: pandas DataFrame of curve.csv (columns with units), empty if the run stopped before its first step.
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        try:
            self.summary = json.loads((self.directory / "result.json").read_text())
        except FileNotFoundError:
            raise BadInput(f"{self.directory}: this is no result directory; it has no result.json") from None
        except (ValueError, OSError) as error:
            raise BadInput(f"{self.directory}/result.json cannot be read ({error})") from None

    @property
    def curve(self):
        import pandas

        file = self.directory / "curve.csv"
        return pandas.read_csv(file) if file.exists() else pandas.DataFrame()

    @property
    def status(self):
        return self.summary["status"]

    @property
    def reason(self):
        return self.summary["reason"]

    @property
    def exit_code(self):
        return self.summary.get("exit_code", EXIT_CODES[self.status])

    def __getattr__(self, name):
        if name != "summary" and name in self.__dict__.get("summary", {}):
            return self.summary[name]
        raise AttributeError(f"{name!r} is not in {self.directory}/result.json")

    def __repr__(self):
        return f"<Result {self.directory}: {self.status}>"

    def text(self):
        """A few lines for the terminal."""
        lines = [f"{self.summary['name']}: {self.status}" + (f", {self.reason}" if self.reason else "")]
        solved = [step for step in self.summary.get("steps", ()) if step.get("kind") in NUMBERS]
        for step in solved:
            if len(solved) > 1:
                lines.append(f"  {step.get('directory', step['kind'])}")
            lines += [f"  {label:<22}{step[key]:>10{form}} {unit}".rstrip()
                      for key, label, unit, form in NUMBERS[step["kind"]] if step.get(key) is not None]
        lines += [f"  warning: {sentence}" for sentence in self.summary.get("warnings", [])]
        if self.summary.get("interrupted"):
            lines.append(f"  to go on: ./halofix run --resume {self.directory}")
        return "\n".join([*lines, f"  {self.directory}"])


class Comparison:
    """A directory of results side by side: comparison.csv and one result directory a scenario, which its column `directory` names."""

    def __init__(self, directory):
        import pandas

        self.directory = Path(directory)
        words = dict.fromkeys(("scenario", "name", "reason", "directory"), str)  # a scenario may be called 12
        self.table = pandas.read_csv(self.directory / "comparison.csv", converters=words)

    @property
    def exit_code(self):
        """0 if every run was completed, 4 if one met a broken environment, else 3."""
        if (self.table["status"] == "completed").all():
            return 0
        codes = [r.exit_code for r in self.results()]
        return 4 if 4 in codes else 3

    def results(self):
        """The Result of every scenario that left one in this comparison, in order."""
        names = self.table.get("directory", self.table["scenario"])
        directories = [self.directory / name for name in names if name]
        return [Result(d) for d in directories if (d / "result.json").exists()]

    def print(self):
        """A table for the terminal."""
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("scenario", no_wrap=True)
        columns = [column for column in COLUMNS if column[0] in self.table and self.table[column[0]].notna().any()]
        for _, heading, _ in columns:
            table.add_column(heading, justify="right")
        table.add_column("status")
        for row in self.table.to_dict("records"):
            cells = ["" if row[c] != row[c] else f"{row[c]:.{digits}f}" for c, _, digits in columns]
            status = row["status"] if row["status"] == "completed" else f"{row['status']}: {row['reason']}"
            table.add_row(row["scenario"], *cells, status)
        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            console = Console(highlight=False, markup=False, width=160)
        console.print(table)
        console.print(str(self.directory))
