"""Figures of cyclic tests: head displacement, reference cycles, static curve and halo. Each returns a figure."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from scenarios.style import REGION_COLOURS, plain, run_style

VISIBLE_ON_CT = 1.0     # mm; a thinner halo does not show
SNAPSHOTS = 6
SHADE = {"color": "#8a8f94", "alpha": 0.16, "linewidth": 0}
MARK = {"color": "#777777", "linewidth": 0.8, "linestyle": (0, (2, 2)), "zorder": 1}


def lines(results):
    """[(step, look)] of the cyclic tests that have a curve: the colour tells the run, dashes too or the test in it."""
    found = []
    for index, result in enumerate(results):
        steps = result.of_kind("cycle")
        for number, step in enumerate(steps):
            if step.cycles:
                found.append((step, run_style(index, number if len(steps) > 1 else None)))
    return found


def ending(step):
    """'loosened after 5200 cycles at 620 N' or 'held 10000 cycles, up to 300 N'."""
    cycles, load = step.number("cycles_to_loosening"), step.number("load_at_loosening_N")
    if step.numbers.get("loosened") and cycles is not None and load is not None:
        return f"loosened after {cycles:.0f} cycles at {load:.0f} N"
    short = "stopped short" if step.run.status != "completed" else "held"
    return f"{short}, {step.cycles['cycles'][-1]:.0f} cycles, up to {step.cycles['peak_load_N'].max():.0f} N"


def head(drawn):
    """Displacement of the head under peak load and that load, over cycles in linear and logarithmic measure.

    drawn: [(step, look)] as `lines` finds them. Beyond small strain lines are pale; of one test the region is shaded.
    """
    fig, axes = plt.subplots(2, 2, figsize=(10.4, 6.0), sharex="col", sharey="row", height_ratios=(2.3, 1),
                             layout="constrained")
    greatest = max(step.cycles["head_displacement_mm"].max() for step, _ in drawn)
    levels = {}
    for step, look in drawn:
        cycles, u = step.cycles["cycles"], step.cycles["head_displacement_mm"]
        limit = step.number("small_strain_until_mm")
        beyond = int(np.argmax(u > limit)) if limit is not None and (u > limit).any() else len(u)
        part = slice(max(beyond - 1, 0), beyond + 1)
        edge = [np.interp(limit, u[part], cycles[part])] if 0 < beyond < len(u) else []
        early = [*cycles[:beyond], *edge], [*u[:beyond], *(limit for _ in edge)]
        late = [*edge, *cycles[beyond:]], [*(limit for _ in edge), *u[beyond:]]
        marks = step.numbers.get("thresholds", ())
        levels |= {mark["head_displacement_mm"]: None for mark in marks}
        reached = [mark for mark in marks if mark["cycles"] is not None]
        for (upper, lower), label in zip(axes.T, (None, f"{plain(textwrap.shorten(step.name, 90))}:  {ending(step)}")):
            upper.plot(*early, linewidth=1.8, label=label, **look)
            upper.plot(*late, linewidth=1.8, alpha=0.4, **look)
            upper.plot([mark["cycles"] for mark in reached], [mark["head_displacement_mm"] for mark in reached], "o",
                       color=look["color"], markeredgecolor="white", markersize=6.5)
            lower.plot(cycles, step.cycles["peak_load_N"], linewidth=1.8, **look)
    top = 1.08 * max([greatest, *(level for level in levels if level <= 1.3 * greatest)])
    limits = [step.number("small_strain_until_mm") for step, _ in drawn]
    limits = [limit for limit in limits if limit is not None and limit < greatest]
    for ax in axes[0]:
        ax.grid(axis="y", visible=False)
        if len(drawn) == 1 and limits:
            ax.axhspan(limits[0], top, **SHADE)
            ax.text(0.02, 0.975, "trend only: beyond small strain", transform=ax.transAxes, va="top", fontsize=9,
                    color="#555555")
        last = -top
        for level in sorted(level for level in levels if level < top):
            ax.axhline(level, **MARK)
            if ax is axes[0, 1] and level - last > 0.05 * top:
                stop = ", stop" if level not in (0.5, 1, 2) else ""
                ax.annotate(f"{level:g} mm{stop}", (1.01, level), xycoords=("axes fraction", "data"), va="center",
                            fontsize=8.5, color="#555555")
                last = level
    first = min(step.cycles["cycles"][step.cycles["cycles"] > 0].min(initial=1e9) for step, _ in drawn)
    axes[0, 0].set(ylim=(0, top), ylabel="displacement of the head (mm)", title="linear", xlim=(0, None))
    axes[0, 1].set(xscale="log", title="logarithmic", xlim=(first, None))
    axes[1, 0].set(ylim=(0, None), ylabel="peak load (N)", xlabel="cycles")
    axes[1, 1].set(xlabel="cycles")
    pale = {"title": "pale lines: trend only, beyond small strain"} if limits and len(drawn) > 1 else {}
    fig.legend(loc="outside lower left", handlelength=3.6, fontsize=9, title_fontsize=9, alignment="left", **pale)
    return fig


def reference(drawn):
    """Slip and opening of the screw's interface, and stiffness, in the reference cycles; drawn: [(step, look)].

    Beyond small strain lines are pale; of one test the region is shaded."""
    drawn = [(step, look) for step, look in drawn if step.reference]
    fig, axes = plt.subplots(1, 3, figsize=(10.4, 3.1 + 0.2 * len(drawn)), layout="constrained")
    end = max(step.reference["cycles"].max() for step, _ in drawn)
    limits = [limit if limit is not None else np.inf for limit in (step.number("small_strain_until_cycles") for step, _ in drawn)]
    for ax, key, label in ((axes[0], "micromotion_um", "micromotion (µm)"),
                           (axes[1], "opening_um", "opening of the interface (µm)"),
                           (axes[2], "stiffness_N_per_mm", "stiffness (N/mm)")):
        for (step, look), limit in zip(drawn, limits):
            n, value = step.reference["cycles"], step.reference[key]
            within = np.searchsorted(n, limit, side="right")
            ax.plot(n[:within], value[:within], marker="o", markersize=4, linewidth=1.6, label=plain(step.name), **look)
            late = slice(max(within - 1, 0), None)
            ax.plot(n[late], value[late], marker="o", markersize=4, linewidth=1.6, alpha=0.4, **look)
        if len(drawn) == 1 and limits[0] < end:
            ax.axvspan(limits[0], 1.03 * end, **SHADE)
        ax.set(xlabel="cycles", title=label, xlim=(0, 1.03 * end), ylim=(0, None))
        ax.tick_params(axis="x", labelsize=8.5)
        ax.locator_params(axis="x", nbins=5)
    if len(drawn) > 1:
        pale = {"title": "pale lines: trend only, beyond small strain"} if min(limits) < end else {}
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", handlelength=3.6, fontsize=9,
                   title_fontsize=9, alignment="left", **pale)
    elif axes[0].patches:
        fig.supxlabel("shaded: trend only, beyond small strain", fontsize=9, color="#555555")
    return fig


def static(step):
    """Force over displacement of one slow lateral push before cycling, with where the cycling met the marks, and of the collapse after it."""
    table, look = step.static, run_style(0)
    fig, ax = plt.subplots(figsize=(7.4, 4.0))
    capacity = table["force_N"].max()
    ax.plot(table["displacement_mm"], table["force_N"], linewidth=1.8, label="static, before cycling", **look)
    if step.collapse:
        ax.plot(step.collapse["displacement_mm"], step.collapse["force_N"], linewidth=1.8, linestyle=":", color=look["color"],
                label="loosened, pushed on to the stop")
    marks = [mark for mark in step.numbers.get("thresholds", ()) if mark["cycles"] is not None]
    if marks:
        at = [mark["head_displacement_mm"] for mark in marks], [mark["load_N"] for mark in marks]
        ax.plot(*at, "s", color=run_style(1)["color"], markersize=7, markeredgecolor="white",
                label="cyclic: peak load at which the head has moved so far")
        for mark in marks:
            ax.annotate(f"{mark['cycles']:.0f} cycles", (mark["head_displacement_mm"], mark["load_N"]), (6, -12),
                        textcoords="offset points", fontsize=8.5, color="#555555")
    load = step.number("load_at_loosening_N")
    if load is not None:
        ax.axhline(load, **MARK)
        ax.annotate(f"loosened at {load:.0f} N, {100 * load / capacity:.0f} % of the static capacity", (0.98, load),
                    (0, 7), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right", fontsize=9)
    ax.set(xlabel="displacement of the head (mm)", ylabel="lateral force (N)", xlim=(0, None),
           ylim=(0, 1.12 * max(capacity, load or 0)))
    ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), handlelength=3.6, fontsize=9)
    return fig


def halo(step):
    """Thickness of the halo along the shaft, mirrored about the screw, for some numbers of cycles."""
    z, snapshots = np.array(step.halo["z_mm"]), step.halo["snapshots"]
    thickest = np.array([max(shot["thickness_mm"]) for shot in snapshots])
    chosen = sorted({int(np.argmin(np.abs(thickest - level))) for level in np.linspace(0, thickest[-1], SNAPSHOTS)}
                    | {len(snapshots) - 1})
    end = snapshots[-1]
    index = end["hourglass_index"]
    waist = f"hourglass index {index:.2g}" if index is not None else "no halo at the waist"
    top = 1.15 * max(VISIBLE_ON_CT, *end["thickness_mm"], *end["largest_mm"])
    screw = 0.35 * top          # half the height of the band that stands for the screw, whatever its diameter
    fig, ax = plt.subplots(figsize=(7.4, 4.4))
    ax.axhspan(-screw, screw, color=REGION_COLOURS["screw"], linewidth=0)
    ax.text(z.mean(), 0, "screw", color="white", ha="center", va="center", fontsize=9)
    handles = []
    for number, colour in zip(chosen, plt.colormaps["plasma_r"](np.linspace(0.15, 0.85, len(chosen)))):
        shot = snapshots[number]
        thickness = screw + np.array(shot["thickness_mm"])
        for side in (1, -1):
            ax.plot(z, side * thickness, color=colour, linewidth=1.8)
            if number == len(snapshots) - 1:
                ax.fill_between(z, side * screw, side * thickness, color=colour, alpha=0.18, linewidth=0)
                ax.plot(z, side * (screw + np.array(shot["largest_mm"])), color=colour, linewidth=1, linestyle=":")
        handles.append(plt.Line2D([], [], color=colour, linewidth=1.8,
                                  label=f"{shot['cycles']:.0f} cycles, {shot['head_displacement_mm']:.2g} mm"))
    for side in (1, -1):
        ax.axhline(side * (screw + VISIBLE_ON_CT), **(MARK | {"color": "#222222"}))
        ax.annotate("visible\non CT", (1.01, side * (screw + VISIBLE_ON_CT)), xycoords=("axes fraction", "data"),
                    va="center", fontsize=8.5)
    handles += [plt.Line2D([], [], color="#444444", linewidth=1, linestyle=":", label="end, largest round the shaft"),
                Patch(facecolor="#444444", alpha=0.18, label="end, mean round the shaft")]
    ticks = np.array([t for t in plt.MaxNLocator(4, steps=(1, 2, 5, 10)).tick_values(0, top) if 0 <= t <= top])
    ax.set_yticks([*(-screw - ticks[::-1]), *(screw + ticks)], [f"{t:g}" for t in (*ticks[::-1], *ticks)])
    ax.set(xlim=(z.min(), 0), ylim=(-screw - top, screw + top), ylabel="thickness of the halo (mm)",
           xlabel="along the screw (mm):  tip at the left, entry at 0",
           title=f"{waist}, volume {end['volume_mm3']:.0f} mm³")
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.02, -0.14), ncols=2, fontsize=9)
    return fig
