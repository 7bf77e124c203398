"""Figures of runs and comparisons: `python -m scenarios.figures DIR` writes DIR/figures/*.png.

One run: curve (force over displacement), cut (what was tested), peak (damage and plastic strain), mesh.
A comparison: curves, peaks (with ratios to the first run), besides the figures of its runs.
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

from scenarios import resultdir
from scenarios.sections import cut, outline
from scenarios.style import (
    CORTEX_COLOUR, RC, REGION_COLOURS, REGION_LAYERS, REGION_WORDS, RUN_MARKERS, run_style,
)
from scenarios.trouble import BadInput

plt.rcParams.update(RC)
DIRECTIONS = (("left", (1, 0, 0)), ("right", (-1, 0, 0)), ("posterior", (0, 1, 0)), ("anterior", (0, -1, 0)),
              ("cranial", (0, 0, 1)), ("caudal", (0, 0, -1)))


# -- curves ------------------------------------------------------------------------------------------------------------

def curves(results, path):
    """Force over displacement of the head, one line a run, its peak marked and named in the legend below."""
    fig, ax = plt.subplots(figsize=(7.4, 4.3))
    for index, result in enumerate(results):
        if not len(result.columns.get("force_N", ())):
            continue
        look, peak = run_style(index), result.peak
        label = _plain(textwrap.shorten(result.name, 70)) + (f":  {peak[1]:.0f} N at {peak[0]:.2f} mm" if peak else "")
        if result.status != "completed":
            label += "  (× stopped short)"
        ax.plot(result.columns["displacement_mm"], result.columns["force_N"], linewidth=1.8, label=label,
                marker=RUN_MARKERS[index % len(RUN_MARKERS)], markersize=7, markeredgecolor="white",
                markevery=[int(np.argmax(result.columns["force_N"]))] if peak else [], **look)
        if result.status != "completed":
            end = result.columns["displacement_mm"][-1], result.columns["force_N"][-1]
            ax.plot(*end, "x", color=look["color"], ms=7)
    ax.set(xlabel="displacement of the screw head (mm)", ylabel="force (N)", xlim=(0, None), ylim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), handlelength=3.6, fontsize=9)
    return _save(fig, path)


def peaks(results, path):
    """Peak force of each run as a bar, with its ratio to the first run; pale where a run stopped short."""
    shown = [(i, r, r.peak[1]) for i, r in enumerate(results) if r.peak]
    if not shown:
        return None
    first = results[0].peak[1] if results[0].peak else None
    top = max(force for *_, force in shown)
    fig, ax = plt.subplots(figsize=(7.4, 0.9 + 0.52 * len(shown)))
    for row, (index, result, force) in enumerate(shown):
        done = result.status == "completed"
        ax.barh(row, force, height=0.62, color=run_style(index)["color"], alpha=1.0 if done else 0.45)
        label = f"{force:.0f} N"
        if first and len(shown) > 1:
            label += "   reference" if index == 0 else f"   × {force / first:.2f}"
        ax.text(force + 0.015 * top, row, label + ("" if done else "   stopped short"), va="center", fontsize=9.5)
    ax.set_yticks(range(len(shown)), [textwrap.fill(_plain(r.name), 30) for _, r, _ in shown])
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.45 * top), xlabel="greatest force (N)")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return _save(fig, path)


def _plain(name):
    """A name as matplotlib shows it, dollar signs and all."""
    return name.replace("$", r"\$")


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
    fig, axes = plt.subplots(1, count, figsize=(width, height + 1.5), squeeze=False, layout="constrained")
    for ax in axes[0]:
        ax.set_anchor("NW")
    return fig, axes


def _legend(fig, mesh):
    present = set(np.unique(mesh["region"]))
    handles = [Patch(facecolor=REGION_COLOURS[name], edgecolor="#777777", linewidth=0.5, label=REGION_WORDS[name])
               for number, name in REGION_LAYERS.items() if number in present]
    if len(mesh["cortex"]):
        handles.append(plt.Line2D([], [], color=CORTEX_COLOUR, linewidth=1.5, label="cortex"))
    fig.legend(handles=handles, loc="outside lower left", ncols=5, fontsize=9)


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


def peak_figure(directory, path):
    """Stiffness lost (to insertion and pull) and plastic strain at the greatest force, on the displaced cut.

    The colour scales are the same in all figures, so that runs can be compared by eye.
    """
    mesh = read_mesh(directory)
    displacement, fields = resultdir.fields(directory)
    factor = _magnification(float(np.linalg.norm(displacement, axis=1).max()))
    points = mesh["points"] + factor * displacement
    screw = np.unique(mesh["cells"][mesh["region"] == 1])
    reach = np.abs(mesh["points"][screw][:, [0, 1]]).max() if len(screw) else 5.0
    lowest = mesh["points"][screw][:, 2].min() if len(screw) else mesh["points"][:, 2].min()
    limits = mesh["points"].min(axis=0), mesh["points"].max(axis=0)
    half = min(reach + 8.0, max(limits[1][0], -limits[0][0]))
    box = ((max(lowest - 6.0, limits[0][2] - 0.5), mesh["points"][:, 2].max() + 1.5 + factor * 0.1), (-half, half))
    section = cut(mesh["points"], mesh["cells"], "xz")
    region = mesh["region"][section.cell]
    soft = np.isin(region, [2, 3, 4, 5, 6])
    solid = [c if not s else "#ffffff" for c, s in zip(_region_colours(mesh, section), soft)]
    height = 4.2 * (box[1][1] - box[1][0]) / (box[0][1] - box[0][0]) + 1.2
    fig, axes = plt.subplots(1, 2, figsize=(10.4, height), sharey=True, layout="constrained")
    lost = 1 - (1 - fields["damage"]) * (1 - fields.get("insertion_damage", 0.0))
    panels = ((lost, "share of the stiffness lost", 0.6, "magma_r"),
              (100 * fields["plastic_strain"], "plastic strain (%)", 10.0, "YlGnBu"))
    for ax, (field, name, top, colours) in zip(axes, panels):
        _fill(ax, section, points, solid)
        part = section.only(soft)
        drawn = _fill(ax, part, points, np.asarray(field[part.cell], float), cmap=colours, clim=(0.0, top))
        _cortex(ax, mesh, points, "xz")
        _frame(ax, mesh, "xz", box)
        ax.set_title(name)
        bar = fig.colorbar(drawn, ax=ax, fraction=0.05, pad=0.02, aspect=16, shrink=0.8, extend="max")
        bar.outline.set_visible(False)
    axes[1].set_ylabel("")
    scale = "displacements to scale" if factor == 1 else f"displacements drawn {factor} times too large"
    fig.supxlabel(f"at the greatest force; {scale}", fontsize=9, color="#555555")
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


def run_figures(run):
    """Figures of one run into its `figures` directory; returns {what: path} of those made."""
    folder = run.directory / "figures"
    made = {}
    if run.columns:
        made["curve"] = _attempt("force-displacement figure", curves, [run], folder / "curve.png")
    if (run.directory / "mesh.npz").exists():
        made["cut"] = _attempt("cut", cut_figure, run.directory, folder / "cut.png")
        if (run.directory / "peak.vtu").exists():
            made["peak"] = _attempt("figure of the peak", peak_figure, run.directory, folder / "peak.png")
        made["mesh"] = _attempt("figure of the mesh", mesh, run.directory, folder / "mesh.png")
    return {what: path for what, path in made.items() if path}


def comparison_figures(results, folder):
    """Figures that set runs side by side; returns {what: path}."""
    made = {"curves": _attempt("force-displacement figure", curves, results, folder / "curves.png"),
            "peaks": _attempt("figure of the peaks", peaks, results, folder / "peaks.png")}
    return {what: path for what, path in made.items() if path}


def main(argv):
    if len(argv) != 1:
        print("usage: python -m scenarios.figures DIR", file=sys.stderr)
        return 2
    directory = Path(argv[0])
    try:
        found = resultdir.runs(directory)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    made = [path for run in found for path in run_figures(run).values()]
    if (directory / "comparison.csv").exists():
        made += comparison_figures(found, directory / "figures").values()
    for path in made:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
