"""Figures of runs and comparisons, DIR/figures/*.png.

A pullout: curve (force over displacement); a cyclic test: cycles, reference, static, halo. Both: cut (what was
tested), peak (damage and plastic strain), mesh. A comparison, and a run that cycles more than once: cycles, reference,
curves, peaks (loads at loosening and peak forces with ratios to the first run), besides the figures of the steps.
Runs as a serial process of its own; it reads result directories only.
"""

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Patch

from scenarios import cyclic_figures, resultdir
from scenarios.sections import cut, outline
from scenarios.style import (
    CORTEX_COLOUR, RC, REGION_COLOURS, REGION_LAYERS, REGION_WORDS, RUN_MARKERS, plain,
    run_style,
)

plt.rcParams.update(RC)
COLUMNS = 5  # of a legend
DIRECTIONS = (("left", (1, 0, 0)), ("right", (-1, 0, 0)), ("posterior", (0, 1, 0)), ("anterior", (0, -1, 0)),
              ("cranial", (0, 0, 1)), ("caudal", (0, 0, -1)))


# -- curves ------------------------------------------------------------------------------------------------------------

def curves(results, path):
    """Force over displacement of the head, one line a pullout, its peak marked and named in the legend below."""
    fig, ax = plt.subplots(figsize=(7.4, 4.3))
    for index, result in enumerate(results):
        for step in result.of_kind("pullout"):
            if not step.curve:
                continue
            look, peak = run_style(index), step.peak
            label = plain(textwrap.shorten(result.name, 70))
            label += f":  {peak[1]:.0f} N at {peak[0]:.2f} mm" if peak else ""
            if result.status != "completed":
                label += "  (× stopped short)"
            u, force = step.curve["displacement_mm"], step.curve["force_N"]
            ax.plot(u, force, linewidth=1.8, label=label, marker=RUN_MARKERS[index % len(RUN_MARKERS)], markersize=7,
                    markeredgecolor="white", markevery=[int(np.argmax(force))] if peak else [], **look)
            if result.status != "completed":
                ax.plot(u[-1], force[-1], "x", color=look["color"], ms=7)
    ax.set(xlabel="displacement of the screw head (mm)", ylabel="force (N)", xlim=(0, None), ylim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), handlelength=3.6, fontsize=9)
    return _save(fig, path)


def peaks(results, path):
    """Load at loosening of each cyclic test and peak force of each pullout as bars, with ratios to the first run.

    Pale where a screw held (up to that load) or a run stopped short.
    """
    shown = [_loads(results), _peak_forces(results)]
    shown = [(heading, rows) for heading, rows in zip(("load at loosening (N)", "greatest pullout force (N)"), shown)
             if rows]
    if not shown:
        return None
    counts = [len(rows) for _, rows in shown]
    fig, axes = plt.subplots(len(shown), 1, figsize=(7.4, 0.9 * len(shown) + 0.52 * sum(counts)), squeeze=False,
                             height_ratios=counts, layout="constrained")
    for ax, (heading, rows) in zip(axes[:, 0], shown):
        _bars(ax, rows)
        ax.set_xlabel(heading)
    return _save(fig, path)


def _loads(results):
    """Rows of `_bars`; the reference is the last cyclic test of the first run, as in comparison.csv; of one run its first."""
    drawn = cyclic_figures.lines(results)
    first = [step for step, _ in drawn if step.run is results[0]]
    first = first[-1:] if len(results) > 1 else first[:1]
    rows = []
    for step, look in drawn:
        load = step.number("load_at_loosening_N")
        note = "" if load is not None else "held" if step.run.status == "completed" else "stopped short"
        rows.append((step.name, look["color"], load if load is not None else step.cycles["peak_load_N"].max(), note,
                     step in first))
    return rows


def _peak_forces(results):
    return [(result.name, run_style(index)["color"], step.peak[1],
             "" if result.status == "completed" else "stopped short", index == 0)
            for index, result in enumerate(results) for step in result.of_kind("pullout") if step.peak]


def _bars(ax, rows):
    """Horizontal bars; rows: (name, colour, newtons, note, whether it is the reference of the ratios)."""
    top = max(force for _, _, force, _, _ in rows)
    reference = next((force for _, _, force, note, first in rows if first and note != "held"), None)
    for row, (_, colour, force, note, first) in enumerate(rows):
        ax.barh(row, force, height=0.62, color=colour, alpha=0.45 if note else 1.0)
        label = f"{force:.0f} N"
        if reference and len(rows) > 1 and note != "held":
            label += "   reference" if first else f"   × {force / reference:.2f}"
        ax.text(force + 0.015 * top, row, label + (f"   {note}" if note else ""), va="center", fontsize=9.5)
    ax.set_yticks(range(len(rows)), [textwrap.fill(plain(name), 30) for name, *_ in rows])
    ax.invert_yaxis()
    ax.set_xlim(0, 1.45 * top)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


# -- cuts --------------------------------------------------------------------------------------------------------------

def read_mesh(directory):
    """The mesh of a run as a dict: points (n, 3), cells, region, cortex facets and thickness, rotation."""
    with np.load(Path(directory) / "mesh.npz", allow_pickle=False) as data:
        lab = {key: data[key] for key in data.files}
    points = lab["points"]
    if points.shape[1] == 2:
        points = np.stack([points[:, 0], np.zeros(len(points)), points[:, 1]], axis=1)
    flat = lab["points"].shape[1] == 2
    return {"points": points, "cells": lab["cells"], "region": lab["region"], "flat": flat,
            "cortex": lab.get("facets/cortex", np.zeros((0, 3), int)),
            "rotation": lab.get("rotation", np.eye(3))}


def _planes(mesh):
    """Planes worth drawing: one for bodies of revolution, two where the outer surface is a vertebra."""
    return ("xz", "yz") if len(mesh["cortex"]) and not mesh["flat"] else ("xz",)


def _axis_words(mesh, plane):
    """Labels of the axes; for vertebrae with the anatomical direction that the upward axis is closest to."""
    if not len(mesh["cortex"]):
        return "along the screw axis (mm)", "across (mm)"
    up = mesh["rotation"][:, 0 if plane == "xz" else 1]
    name = max(DIRECTIONS, key=lambda d: float(np.dot(up, d[1])))[0]
    return "along the screw axis, outwards (mm)", f"towards {name} (mm)"


def _fill(ax, section, points, colour, **more):
    """Draw the polygons of a section; colour: (k,) values for a colour map, or a list of colours."""
    corners = section.corners(points)
    if isinstance(colour, np.ndarray):
        drawn = PolyCollection(corners, array=colour, edgecolors="face", linewidths=0.4, **more)
    else:
        drawn = PolyCollection(corners, facecolors=colour, **({"edgecolors": colour, "linewidths": 0.4} | more))
    ax.add_collection(drawn)
    return drawn


def _region_colours(mesh, section):
    table = np.full(max(REGION_LAYERS) + 1, "#ffffff", dtype=object)
    for number, name in REGION_LAYERS.items():
        table[number] = REGION_COLOURS[name]
    return list(table[mesh["region"][section.cell]])


def _cortex(ax, mesh, points, plane):
    lines = outline(points, mesh["cortex"], plane)
    if len(lines):
        ax.add_collection(LineCollection(lines, colors=CORTEX_COLOUR, linewidths=1.5))


def _panels(mesh, planes, count):
    """Figure and axes (1, count) as high as cuts through `planes` need to have one scale."""
    size = np.ptp(mesh["points"], axis=0)
    across = {"xz": 2 * size[0] if mesh["flat"] else size[0], "yz": size[1]}
    width = 10.4 if count > 1 else 7.4
    height = (width / count - 1.0) * max(across[plane] for plane in planes) / size[2]
    below = 0.25 * -(-len(_handles(mesh)) // COLUMNS)  # the legend
    fig, axes = plt.subplots(1, count, figsize=(width, height + 1.25 + below), squeeze=False, layout="constrained")
    for ax in axes[0]:
        ax.set_anchor("NW")
    return fig, axes


def _handles(mesh):
    """What the legend names: the regions of the mesh, and its cortex."""
    present = set(np.unique(mesh["region"]))
    handles = [Patch(facecolor=REGION_COLOURS[name], edgecolor="#777777", linewidth=0.5, label=REGION_WORDS[name])
               for number, name in REGION_LAYERS.items() if number in present]
    if len(mesh["cortex"]):
        handles.append(plt.Line2D([], [], color=CORTEX_COLOUR, linewidth=1.5, label="cortex"))
    return handles


def _legend(fig, mesh):
    fig.legend(handles=_handles(mesh), loc="outside lower left", ncols=COLUMNS, fontsize=9)


def _frame(ax, mesh, plane, box=None):
    across, up = _axis_words(mesh, plane)
    ax.set_aspect("equal")
    if box:
        ax.set(xlim=box[0], ylim=box[1])
    else:
        ax.autoscale_view()
        ax.margins(0.02)
    ax.set(xlabel=across, ylabel=up)
    ax.grid(False)


def _titles(mesh, plane):
    if not len(mesh["cortex"]):
        return "cut along the screw axis"
    return {"xz": "cut along the screw and the spine", "yz": "cut along the screw and across the spine"}[plane]


def cut_figure(directory, path):
    """What was tested: bone, screw, halo, cement and cortex in the plane of the screw axis."""
    mesh = read_mesh(directory)
    planes = _planes(mesh)
    fig, axes = _panels(mesh, planes, 2 if len(planes) > 1 else 1)
    for ax, plane in zip(axes[0], planes):
        section = cut(mesh["points"], mesh["cells"], plane)
        _fill(ax, section, mesh["points"], _region_colours(mesh, section))
        _cortex(ax, mesh, mesh["points"], plane)
        _frame(ax, mesh, plane)
        ax.set_title(_titles(mesh, plane))
    _legend(fig, mesh)
    return _save(fig, path)


# -- fields at the peak ------------------------------------------------------------------------------------------------

def _magnification(greatest):
    """A round factor that makes the greatest displacement about 1.5 mm on paper."""
    if greatest <= 0:
        return 1
    wanted = 1.5 / greatest
    return max((f for f in (1, 2, 5, 10, 20, 50) if f <= max(wanted, 1)), default=1)


def near_screw(mesh, above=1.5):
    """Window ((z, z), (up, up)) in mm of a cut round the screw; above: mm beyond the mesh's top."""
    screw = np.unique(mesh["cells"][mesh["region"] == 1])
    reach = np.abs(mesh["points"][screw][:, [0, 1]]).max() if len(screw) else 5.0
    lowest = mesh["points"][screw][:, 2].min() if len(screw) else mesh["points"][:, 2].min()
    limits = mesh["points"].min(axis=0), mesh["points"].max(axis=0)
    half = min(reach + 8.0, max(limits[1][0], -limits[0][0]))
    return (max(lowest - 6.0, limits[0][2] - 0.5), limits[1][2] + above), (-half, half)


def stiffness_lost(fields):
    """(m,) share of the stiffness lost to insertion, tearing and fatigue, of the fields of a state."""
    return 1 - (1 - fields["damage"]) * (1 - fields.get("insertion_damage", 0.0))


def field_cut(ax, mesh, points, field, top, colours, box):
    """A (m,) cell field of bone in the cut along the screw, from 0 to `top`, at nodal positions `points`; returns what was drawn."""
    section = cut(mesh["points"], mesh["cells"], "xz")
    soft = np.isin(mesh["region"][section.cell], [2, 3, 4, 5, 6])
    _fill(ax, section, points, [c if not s else "#ffffff" for c, s in zip(_region_colours(mesh, section), soft)])
    part = section.only(soft)
    drawn = _fill(ax, part, points, np.asarray(field[part.cell], float), cmap=colours, clim=(0.0, top))
    _cortex(ax, mesh, points, "xz")
    _frame(ax, mesh, "xz", box)
    return drawn


def peak_figure(directory, path, when="at the greatest force"):
    """Stiffness lost (to insertion and load) and plastic strain at the greatest force, on the displaced cut.

    The colour scales are the same in all figures, so that runs can be compared by eye.
    """
    mesh = read_mesh(directory)
    displacement, fields = resultdir.fields(directory)
    factor = _magnification(float(np.linalg.norm(displacement, axis=1).max()))
    points = mesh["points"] + factor * displacement
    box = near_screw(mesh, 1.5 + factor * 0.1)
    height = 4.2 * (box[1][1] - box[1][0]) / (box[0][1] - box[0][0]) + 1.2
    fig, axes = plt.subplots(1, 2, figsize=(10.4, height), sharey=True, layout="constrained")
    panels = ((stiffness_lost(fields), "share of the stiffness lost", 0.6, "magma_r"),
              (100 * fields["plastic_strain"], "plastic strain (%)", 10.0, "YlGnBu"))
    for ax, (field, name, top, colours) in zip(axes, panels):
        drawn = field_cut(ax, mesh, points, field, top, colours, box)
        ax.set_title(name)
        bar = fig.colorbar(drawn, ax=ax, fraction=0.05, pad=0.02, aspect=16, shrink=0.8, extend="max")
        bar.outline.set_visible(False)
    axes[1].set_ylabel("")
    scale = "displacements to scale" if factor == 1 else f"displacements drawn {factor} times too large"
    fig.supxlabel(f"{when}; {scale}", fontsize=9, color="#555555")
    return _save(fig, path)


# -- mesh --------------------------------------------------------------------------------------------------------------

def mesh(directory, path=None):
    """The mesh in a cut and in space; without graphics the cut alone. Returns the path of the figure."""
    directory = Path(directory)
    path = Path(path) if path else directory / "figures" / "mesh.png"
    lab = read_mesh(directory)
    with tempfile.TemporaryDirectory() as scratch:
        picture = _spatial(directory, Path(scratch) / "view.png")
        wide = picture is not None
        fig, axes = _panels(lab, ("xz",), 1 + wide)
        section = cut(lab["points"], lab["cells"], "xz")
        _fill(axes[0][0], section, lab["points"], _region_colours(lab, section), edgecolors="#333333",
              linewidths=0.2)
        _cortex(axes[0][0], lab, lab["points"], "xz")
        _frame(axes[0][0], lab, "xz")
        axes[0][0].set_title(f"{_count(len(lab['cells']))} cells, {_count(len(lab['points']))} vertices")
        if wide:
            axes[0][1].imshow(picture)
            axes[0][1].axis("off")
        _legend(fig, lab)
    return _save(fig, path)


def _count(number):
    return f"{number:,}".replace(",", "\u202f")


def _spatial(directory, out):
    """The spatial view as an image array without its white margin, or None (said on stderr) where it cannot be made."""
    try:
        done = subprocess.run([sys.executable, "-m", "scenarios.view3d", str(directory), str(out)], timeout=180,
                              capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        print("no spatial view: rendering took more than three minutes", file=sys.stderr)
        return None
    if done.returncode != 0 or not out.exists():
        print(done.stderr.strip() or "no spatial view: the renderer ended without a picture", file=sys.stderr)
        return None
    picture = plt.imread(out)[..., :3]
    ink = np.argwhere((picture < 0.99).any(axis=-1))
    if not len(ink):
        print("no spatial view: the renderer returned an empty picture", file=sys.stderr)
        return None
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    return picture[top:bottom + 1, left:right + 1]


# -- all of them -------------------------------------------------------------------------------------------------------

def _save(fig, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, bbox_inches="tight", pad_inches=0.12)
    plt.close(fig)
    return path


def _attempt(what, make, *arguments):
    """Make a figure; a figure that cannot be made is said so on stderr and never stops the rest."""
    try:
        return make(*arguments)
    except Exception as error:
        print(f"no {what}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def step_figures(step):
    """Figures of one solved step into the `figures` directory beside its files; returns {what: path} of those made."""
    folder, when = step.directory / "figures", "at the greatest force"
    made = {}
    if step.kind == "pullout" and step.curve:
        made["curve"] = _attempt("force-displacement figure", curves, [step.run], folder / "curve.png")
    if step.kind == "cycle":
        when = "at the last peak load that was held"
        if step.cycles:
            made["cycles"] = _attempt("figure over cycles", _cycles, [(step, run_style(0))], folder / "cycles.png")
        if step.reference:
            made["reference"] = _attempt("figure of reference cycles", _reference, [(step, run_style(0))], folder / "reference.png")
        for what in ("static", "halo"):
            if getattr(step, what):
                made[what] = _attempt(f"figure {what}", _cyclic, what, step, folder / f"{what}.png")
    if (step.directory / "mesh.npz").exists():
        made["cut"] = _attempt("cut", cut_figure, step.directory, folder / "cut.png")
        if (step.directory / "peak.vtu").exists():
            made["peak"] = _attempt("figure of the peak", peak_figure, step.directory, folder / "peak.png", when)
        made["mesh"] = _attempt("figure of the mesh", mesh, step.directory, folder / "mesh.png")
    return {what: path for what, path in made.items() if path}


def _cycles(drawn, path):
    return _save(cyclic_figures.head(drawn), path)


def _reference(drawn, path):
    return _save(cyclic_figures.reference(drawn), path)


def _cyclic(what, step, path):
    return _save(getattr(cyclic_figures, what)(step), path)


def comparison_figures(results, folder):
    """Figures that set runs side by side; returns {what: path}."""
    made = {}
    if drawn := cyclic_figures.lines(results):
        made["cycles"] = _attempt("figure over cycles", _cycles, drawn, folder / "cycles.png")
        if any(step.reference for step, _ in drawn):
            made["reference"] = _attempt("figure of reference cycles", _reference, drawn, folder / "reference.png")
    if any(step.curve for result in results for step in result.of_kind("pullout")):
        made["curves"] = _attempt("force-displacement figure", curves, results, folder / "curves.png")
    made["peaks"] = _attempt("figure of the peaks", peaks, results, folder / "peaks.png")
    return {what: path for what, path in made.items() if path}
