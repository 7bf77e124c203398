"""Figures of a validation: identity, Bland-Altman, ranking per study, forest of ratios. Points link to their row of the report.

Drawn from the content of validation.json alone. SVG with links for the report, PNG for everything else.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from scenarios.agreement import LEAST, LIMITS, above_one
from scenarios.result import WORDS
from scenarios.style import RC, RUN_COLOURS, RUN_MARKERS, plain, run_style

plt.rcParams.update(RC)
BAND = 0.2
RATIO = "ratio"
MATERIALS = {"cadaveric": "cadavers", "synthetic": "foam", "animal": "animals"}
LABELS = {"N": "N", "": "cycles", "N/mm": "N/mm", "mm": "mm", "um": "um", "N*mm": "N mm", "deg": "degrees"}


def anchor(index):
    """Name of point number `index` in the report."""
    return f"point-{index}"


def all_figures(content, folder):
    """Draw what there are points for; {name: stem of the files}."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    points = _predicted(content)
    means = [(i, p) for i, p in points if p["kind"] in ("arm", "specimen") and p["measured"] is not None]
    ratios = [(i, p) for i, p in points if p["kind"] == "ratio"]
    drawn = {}
    if means:
        drawn["identity"] = identity(means, folder / "identity")
    if compared := means + [(i, p) for i, p in ratios if p["measured"] is not None]:
        drawn["bland_altman"] = bland_altman(compared, folder / "bland_altman")
    if ratios:
        drawn["ratios"] = forest(ratios, folder / "ratios")
    if studies := ranked(content):
        drawn["ranking"] = ranking(studies, folder / "ranking")
    return drawn


def _predicted(content):
    """[(number of the point, point)] of those that are predicted and count."""
    return [(i, point) for i, point in enumerate(content["points"]) if point["predicted"] is not None and not point["uncounted"]]


def _look(points):
    """{study: (colour, marker)}; studies of calibration are drawn open."""
    names = list(dict.fromkeys(point["study"] for _, point in points))
    return {
        name: (RUN_COLOURS[i % len(RUN_COLOURS)], RUN_MARKERS[(i // len(RUN_COLOURS) + i) % len(RUN_MARKERS)])
        for i, name in enumerate(names)
    }


def _by_unit(points):
    found = {}
    for index, point in points:
        found.setdefault(point["unit"], []).append((index, point))
    return found


def _scatter(ax, x, y, index, point, look):
    colour, marker = look[point["study"]]
    filled = point["role"] != "calibration"
    dots = ax.scatter([x], [y], s=34, marker=marker, facecolor=colour if filled else "white", edgecolor=colour, zorder=3)
    dots.set_urls([f"#{anchor(index)}"])


def _legend(fig, look, points):
    handles = [
        plt.Line2D(
            [],
            [],
            linestyle="",
            marker=marker,
            color=colour,
            label=plain(name)
            + (" (calibration)" if any(p["study"] == name and p["role"] == "calibration" for _, p in points) else ""),
        )
        for name, (colour, marker) in look.items()
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8.5)


def identity(points, stem):
    """Predicted over measured with the identity line and a band of 20 %, a panel a unit; bars: SD and interval."""
    panels, look = _by_unit(points), _look(points)
    fig, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 4.9), squeeze=False, layout="constrained")
    for ax, (unit, members) in zip(axes[0], panels.items()):
        top = 1.15 * max(max(p["measured"] + (p["sd"] or 0), p["high"] or 0.0, p["predicted"]) for _, p in members)
        line = np.array([0.0, top])
        ax.fill_between(line, (1 - BAND) * line, (1 + BAND) * line, color="#e4ebf2", zorder=0)
        ax.plot(line, line, color="#444444", linewidth=1)
        for index, p in members:
            colour = look[p["study"]][0]
            if p["sd"]:
                ax.plot([p["measured"] - p["sd"], p["measured"] + p["sd"]], [p["predicted"]] * 2, color=colour, alpha=0.35)
            if p["low"] is not None:
                ax.plot([p["measured"]] * 2, [p["low"], p["high"]], color=colour, linewidth=1.6, alpha=0.7)
            _scatter(ax, p["measured"], p["predicted"], index, p, look)
        ax.set(
            xlabel=f"measured ({LABELS[unit]})",
            ylabel=f"predicted ({LABELS[unit]})",
            xlim=(0, top),
            ylim=(0, top),
            aspect="equal",
        )
    _legend(fig, look, points)
    return _save(fig, stem)


def bland_altman(points, stem):
    """Difference over mean of both, with bias and limits of agreement of the validation points, a panel a material and outcome; of
    ratios, turned over where less than 1 was measured, the factor between both over their geometric mean."""
    panels, look = {}, _look(points)
    for index, p in points:
        panels.setdefault(RATIO if p["kind"] == "ratio" else (p["material"], p["kind"], p["outcomes"], p["unit"]), []).append((index, p))
    fig, axes = _panels(len(panels), 3.8)
    for ax, (panel, members) in zip(axes, panels.items()):
        if panel == RATIO:
            on, back = np.log, np.exp
            ax.set(xscale="log", yscale="log", xlabel="geometric mean of both", ylabel="predicted / measured", title="ratios")
            for axis, steps in ((ax.xaxis, (1, 2, 5)), (ax.yaxis, (1, 1.2, 1.5, 2, 3, 5, 7, 8, 9))):
                axis.set_major_locator(matplotlib.ticker.LogLocator(subs=steps))
                axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
                axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        else:
            on = back = np.asarray
            material, kind, outcome, unit = panel
            ax.set(xlabel=f"mean of both ({LABELS[unit]})", ylabel=f"predicted − measured ({LABELS[unit]})", title=f"{MATERIALS[material]}{' specimens' * (kind == 'specimen')}: {WORDS.get(outcome, outcome)}")
        off = []
        for index, p in members:
            both = p["measured"], p["predicted"]
            m, f = (on(each) for each in (above_one(*both) if panel == RATIO else both))
            _scatter(ax, back((m + f) / 2), back(f - m), index, p, look)
            off += [f - m] if p["role"] == "validation" else []
        ax.axhline(back(0.0), color="#444444", linewidth=0.8)
        if off:
            _level(ax, back(np.mean(off)), "bias", "-")
        if len(off) >= LEAST:
            for sign, name in ((-1, "lower limit"), (1, "upper limit")):
                _level(ax, back(np.mean(off) + sign * LIMITS * np.std(off, ddof=1)), name, "--")
        ax.margins(x=0.15, y=0.12)
    _legend(fig, look, points)
    return _save(fig, stem)


def _level(ax, y, name, line):
    ax.axhline(y, color="#0f5c9c", linestyle=line)
    ax.annotate(f"{name} {y:.4g}", (1, y), xycoords=ax.get_yaxis_transform(), xytext=(0, 2), textcoords="offset points",
                ha="right", va="bottom", fontsize=7.5, color="#0f5c9c")


def forest(points, stem):
    """Ratios, measured and predicted, one a line."""
    fig, ax = plt.subplots(figsize=(8.4, 1.2 + 0.34 * len(points)), layout="constrained")
    look, ticks = _look(points), []
    for row, (index, p) in enumerate(points):
        y = -row
        if p["measured"] is not None:
            ax.fill_betweenx([y - 0.3, y + 0.3], (1 - BAND) * p["measured"], (1 + BAND) * p["measured"], color="#e4ebf2")
            ax.plot([p["measured"]] * 2, [y - 0.3, y + 0.3], color="#1d2329", linewidth=2)
        if p["low"] is not None:
            ax.plot([p["low"], p["high"]], [y, y], color=look[p["study"]][0], linewidth=1.6)
        _scatter(ax, p["predicted"], y, index, p, look)
        ticks.append(plain(f"{p['study']}: {p['what']}"))
    ax.axvline(1, color="#444444", linewidth=0.8)
    ax.set_yticks([-row for row in range(len(points))], ticks, fontsize=8)
    ax.set(xlabel="ratio\nbar: measured with ±20 %, point: predicted with interval", xscale="log")
    ax.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    ax.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    ax.set_xticks([x for x in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5) if ax.get_xlim()[0] <= x <= ax.get_xlim()[1]])
    return _save(fig, stem)


def ranked(content):
    """{(study, outcome): points} of studies with at least two means of one outcome: what the figure of the order shows."""
    found = {}
    for index, p in _predicted(content):
        if p["kind"] == "arm" and p["measured"] is not None:
            found.setdefault((p["study"], p["outcomes"]), []).append((index, p))
    return {key: members for key, members in found.items() if len(members) > 1}


def _panels(count, height):
    """A figure with so many axes, at most three in a row, each `height` inches high; (figure, axes)."""
    columns = min(3, count)
    rows = -(-count // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(3.6 * columns, height * rows), squeeze=False, layout="constrained")
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return fig, list(axes.flat[:count])


def ranking(studies, stem):
    """Measured and predicted means of each study side by side, joined: crossing lines are wrong orders."""
    fig, axes = _panels(len(studies), 3.3)
    for ax, ((study, outcome), members) in zip(axes, studies.items()):
        top = 1.08 * max(max(p["measured"], p["predicted"]) for _, p in members)
        members = sorted(members, key=lambda member: member[1]["predicted"])
        labels = _apart([p["predicted"] for _, p in members], 0.055 * top)
        for k, ((index, p), y) in enumerate(zip(members, labels)):
            style = run_style(k)
            colour = style["color"]
            ax.plot([0, 1], [p["measured"], p["predicted"]], **style, linewidth=1.3)
            dots = ax.scatter([0, 1], [p["measured"], p["predicted"]], color=colour, s=22, zorder=3)
            dots.set_urls([f"#{anchor(index)}"] * 2)
            ax.annotate(plain(p["what"].removesuffix(f": {p['outcomes']}")), (1, p["predicted"]), (1.08, y), va="center", fontsize=7.5,
                        color=colour, arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 3})
        ax.set(xticks=[0, 1], xlim=(-0.15, 2), ylim=(0, max(top, labels[-1] + 0.03 * top)), ylabel=f"{WORDS.get(outcome, outcome)} ({LABELS[members[0][1]['unit']]})", title=plain(study))
        ax.set_xticklabels(["measured", "predicted"])
    return _save(fig, stem)


def _apart(heights, least):
    """Rising `heights` moved up or down as little as needed to be `least` apart."""
    placed = np.array(heights, float)
    for _ in range(200):
        short = least - np.diff(placed)
        close = np.flatnonzero(short > 1e-9 * least)
        if not len(close):
            break
        for k in close:
            placed[k] -= 0.5 * short[k]
            placed[k + 1] += 0.5 * short[k]
    return placed


def curves(pairs, stem):
    """Measured and predicted curves of specimens: [(name, measured table, predicted table)]."""
    fig, axes = _panels(len(pairs), 3.0)
    for ax, (name, measured, predicted) in zip(axes, pairs):
        ax.plot(measured["displacement_mm"], measured["force_N"], color="#1d2329", label="measured")
        if predicted:
            ax.plot(predicted["displacement_mm"], predicted["force_N"], color=RUN_COLOURS[0], label="predicted")
        ax.set(xlabel="displacement (mm)", ylabel="force (N)", xlim=(0, None), ylim=(0, None), title=plain(name))
        ax.legend(fontsize=8)
    return _save(fig, stem)


def _save(fig, stem):
    fig.savefig(stem.with_suffix(".svg"))
    fig.savefig(stem.with_suffix(".png"))
    plt.close(fig)
    return stem.name
