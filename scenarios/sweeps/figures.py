"""Figures of a sweep, chosen by its design: `drawn(directory, plan, table, models)` -> [Figure, ...] in figures/.

One parameter: lines. Two: a heat map. One at a time: a tornado. Morris: mu* and sigma. Sobol: indices as bars with
intervals. More parameters: parallel coordinates, and what the emulator says of the outputs. Only completed cases count;
of a design that needs whole blocks of cases, the blocks that are whole.
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from scenarios.result import NUMBERS
from scenarios.style import RC, RUN_COLOURS, plain, run_style
from scenarios.sweeps import sensitivity

plt.rcParams.update(RC)
MOST = 6  # outputs that are drawn
MOST_LINES = 2000  # cases in parallel coordinates
GREY, MAP = "#8a949e", "viridis"
WORDS = {key: f"{words} ({unit})" if unit else words for numbers in NUMBERS.values() for key, words, unit, _ in numbers}


@dataclass(frozen=True)
class Figure:
    path: Path
    caption: str


def drawn(directory, plan, table, models):
    """All figures of the sweep; figures of an earlier state are replaced. models: {output: Emulator or None}, the outputs to draw."""
    folder = Path(directory) / "figures"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    found = []
    for output, model in list(models.items())[:MOST]:
        made = [(make, caption, make(plan, table, output)) for make, caption in _chosen(plan, table)]
        made += [(make, caption, make(plan, model, output)) for make, caption in EMULATED if model]
        for make, caption, fig in made:
            if fig is not None:
                path = folder / f"{make.__name__}-{output.replace('.', '-')}.png"
                fig.savefig(path, bbox_inches="tight", pad_inches=0.12)
                plt.close(fig)
                found.append(Figure(path, f"{words(output)}: {caption}{_missing(plan, table, output)}"))
    return found


def drawable(plan, table):
    """The outputs that completed cases have numbers of, different ones."""
    good = table[table["status"] == "completed"]
    return [output for output in plan["outputs"] if output != "failure_type" and good[output].dtype.kind in "if"
            and good[output].nunique() > 1]


def _missing(plan, table, output):
    """' From 58 of 64 cases: ...' where not all have the output: those without it may be the ones that matter, such as screws that never
    loosened."""
    used, completed = len(_good(table, output)), int((table["status"] == "completed").sum())
    if plan["design"] in sensitivity.BY_DESIGN:
        used = len(sensitivity.whole(plan, table, output)[1])
    if used == len(table):
        return ""
    why = [f"{count} {words}" for count, words in ((len(table) - completed, "failed or have not been run"),
                                                  (completed - len(_good(table, output)), "have no such number")) if count]
    if plan["design"] in sensitivity.BY_DESIGN:
        why.append("blocks that lack a case are left out")
    return f" From {used} of {len(table)} cases: {', '.join(why)}."


def words(output):
    step, _, key = output.rpartition(".")
    text = WORDS.get(key, key.replace("_", " "))
    return f"{text}, {step}" if step else text


def _chosen(plan, table):
    """[(maker, caption), ...] for the design."""
    if plan["design"] in ANALYSES:
        return ANALYSES[plan["design"]]
    axes = _axes(plan, table)
    if len(axes) == 1:
        return [(lines, "each point a case; the line joins the means.")]
    if len(axes) > 2:
        return [(parallel, "each line a case, coloured by this output.")]
    if _is_grid(table, axes):
        return [(heat, "each field a pair of values; where there are several cases, their mean.")]
    return [(scatter, "each point a case.")]


# -- designs of listed values ------------------------------------------------------------------------------------------


def lines(plan, table, output):
    (axis,) = _axes(plan, table)
    rows = _good(table, output)
    x, ticks = _places(axis, rows)
    fig, ax = plt.subplots(figsize=(6.4, 4.0))
    ax.plot(x, rows[output], "o", color=GREY, ms=4, alpha=0.7)
    means = rows.groupby(x)[output].mean()
    ax.plot(means.index, means, marker="o", ms=5, linewidth=1.8, **run_style(0))
    _ticks(ax.xaxis, ticks)
    ax.set(xlabel=plain(axis["column"]), ylabel=plain(words(output)))
    return fig


def heat(plan, table, output):
    one, two = _axes(plan, table)
    rows = _good(table, output)
    grid = rows.pivot_table(index=two["column"], columns=one["column"], values=output, aggfunc="mean")
    fig, ax = plt.subplots(figsize=(1.8 + 0.75 * max(4, len(grid.columns)), 1.4 + 0.5 * max(3, len(grid))))
    picture = ax.pcolormesh(np.arange(len(grid.columns) + 1) - 0.5, np.arange(len(grid) + 1) - 0.5, grid.to_numpy(), cmap=MAP)
    if grid.size <= 150:
        middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
        for (i, j), value in np.ndenumerate(grid.to_numpy()):
            if np.isfinite(value):
                ax.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=8, color="white" if value < middle else "black")
    for axis, labels in ((ax.xaxis, grid.columns), (ax.yaxis, grid.index)):
        axis.set_ticks(range(len(labels)), [_label(label) for label in labels])
    ax.grid(False)
    ax.set(xlabel=plain(one["column"]), ylabel=plain(two["column"]))
    fig.colorbar(picture, ax=ax, label=plain(words(output)))
    return fig


def scatter(plan, table, output):
    one, two = _axes(plan, table)
    rows = _good(table, output)
    (x, x_ticks), (y, y_ticks) = _places(one, rows), _places(two, rows)
    fig, ax = plt.subplots(figsize=(6.2, 4.4))
    picture = ax.scatter(x, y, c=rows[output], cmap=MAP, s=34, edgecolor="white", linewidth=0.5)
    _ticks(ax.xaxis, x_ticks)
    _ticks(ax.yaxis, y_ticks)
    ax.set(xlabel=plain(one["column"]), ylabel=plain(two["column"]))
    fig.colorbar(picture, ax=ax, label=plain(words(output)))
    return fig


def parallel(plan, table, output):
    axes, rows = _axes(plan, table), _good(table, output)
    rows = rows if len(rows) <= MOST_LINES else rows.sample(MOST_LINES, random_state=0)
    rows = rows.sort_values(output)
    columns, scales = [], []
    for axis in axes:
        place, ticks = _places(axis, rows)
        ends = (np.min(place), np.max(place))
        columns.append((place - ends[0]) / ((ends[1] - ends[0]) or 1.0))
        scales.append(ticks[1][:: max(1, len(ticks[1]) - 1)] if ticks else [f"{end:.4g}" for end in ends])
    values = rows[output].to_numpy(float)
    columns.append((values - values.min()) / np.ptp(values))
    scales.append([f"{values.min():.4g}", f"{values.max():.4g}"])
    fig, ax = plt.subplots(figsize=(1.2 + 1.35 * len(columns), 4.2))
    for line, colour in zip(np.column_stack(columns), plt.get_cmap(MAP)(columns[-1]), strict=True):
        ax.plot(range(len(columns)), line, color=colour, linewidth=0.9, alpha=0.65)
    for i, ends in enumerate(scales):
        ax.plot([i, i], [0.0, 1.0], color="#444444", linewidth=0.8)
        ax.text(i, -0.04, ends[0], ha="center", va="top", fontsize=8)
        ax.text(i, 1.03, ends[-1], ha="center", va="bottom", fontsize=8)
    names = [plain(axis["column"].replace(" [", "\n[").replace(".", ".\n")) for axis in axes] + [plain(words(output).replace(" (", "\n("))]
    ax.set(xlim=(-0.2, len(columns) - 0.8), ylim=(-0.12, 1.1), yticks=[])
    ax.set_xticks(range(len(columns)), names, fontsize=8)
    ax.grid(False)
    ax.spines[["left", "bottom"]].set_visible(False)
    return fig


def tornado(plan, table, output):
    """What the extreme values of each parameter make of the base case, the strongest on top."""
    named = [p["column"] for p in plan["parameters"]]
    rows = _good(table, output)
    base = rows[rows[named].isna().all(axis=1)]
    bars = []
    for p in plan["parameters"]:
        own = rows[rows[p["column"]].notna()]
        if len(own):
            low, high = own.loc[own[output].idxmin()], own.loc[own[output].idxmax()]
            bars.append((p, low, high))
    if base.empty or not bars:
        return None
    middle = float(base[output].iloc[0])
    reach = [max(abs(low[output] - middle), abs(high[output] - middle)) for _, low, high in bars]
    bars = [bars[i] for i in np.argsort(reach)]
    fig, ax = plt.subplots(figsize=(7.0, 1.2 + 0.5 * len(bars)))
    for i, (p, *ends) in enumerate(bars):
        for end in ends:
            rises = end[output] >= middle
            ax.barh(i, end[output] - middle, left=middle, height=0.6, color=RUN_COLOURS[0 if rises else 1])
            ax.annotate(_label(end[p["column"]]), (end[output], i), (4 if rises else -4, 0), textcoords="offset points",
                        ha="left" if rises else "right", va="center", fontsize=8)
    ax.axvline(middle, color="#444444", linewidth=1)
    ax.set_yticks(range(len(bars)), [plain(p["column"]) for p, *_ in bars])
    ax.set(xlabel=plain(f"{words(output)}; base case {middle:.4g}"))
    ax.margins(x=0.12)
    return fig


# -- designs made for an analysis --------------------------------------------------------------------------------------


def morris(plan, table, output):
    rows = sensitivity.morris(plan, table, output)
    if not rows:
        return None
    fig, ax = plt.subplots(figsize=(6.2, 4.4))
    for i, row in enumerate(rows):
        ax.errorbar(row["mu_star"], row["sigma"], xerr=row["mu_star_pm"], fmt="o", capsize=2, color=RUN_COLOURS[i % len(RUN_COLOURS)])
        ax.annotate(plain(row["parameter"]), (row["mu_star"], row["sigma"]), (5, 4), textcoords="offset points", fontsize=8)
    ax.set(xlabel=plain(f"µ* of {words(output)}: mean size of the effect"), ylabel="σ: interaction and curvature",
           xlim=(0, None), ylim=(0, None))
    ax.margins(0.15)
    return fig


def sobol(plan, table, output):
    return _bars(sensitivity.sobol(plan, table, output))


ANALYSES = {
    "one_at_a_time": [(tornado, "what the extreme values of each parameter make of the base case, all else equal.")],
    "morris": [(morris, "elementary effects over the range of each parameter, with 95 % intervals of their mean size.")],
    "sobol": [(sobol, "Sobol indices with 95 % intervals: share of the variance that a parameter explains alone, and with all "
               "its interactions.")],
}

# -- the emulator ------------------------------------------------------------------------------------------------------


def unseen(plan, model, output):
    error = model.error
    fig, ax = plt.subplots(figsize=(4.8, 4.4))
    ends = [min(model.values.min(), error.predicted.min()), max(model.values.max(), error.predicted.max())]
    ax.plot(ends, ends, color="#444444", linewidth=0.8)
    ax.errorbar(model.values, error.predicted, yerr=1.96 * error.deviation, fmt="o", ms=4, linewidth=0.7, color=RUN_COLOURS[0])
    ax.set(xlabel=plain(f"{words(output)}, computed"), ylabel="predicted from the other cases",
           title=f"error {error.rmse:.3g}, Q² {error.q2:.3f}")
    return fig


def effects(plan, model, output):
    count = len(plan["parameters"])
    wide = min(count, 4)
    fig, axes = plt.subplots(-(-count // wide), wide, figsize=(1 + 2.3 * wide, 2.6 * -(-count // wide)), sharey=True, squeeze=False)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    for i, p in enumerate(plan["parameters"]):
        steps = 41 if p["levels"] is None else len(p["levels"])
        share = (np.arange(steps) + 0.5) / steps
        places = np.full((steps, count), 0.5)
        places[:, i] = share
        mean, deviation = model.at(places)
        ax = axes.flat[i]
        known = [point["values"][p["path"]] for point in plan["points"]]
        x = np.quantile(known, share) if p["levels"] is None else np.arange(steps)
        if p["levels"] is not None:
            ax.set_xticks(x, [_label(level) for level in p["levels"]])
        ax.fill_between(x, mean - 1.96 * deviation, mean + 1.96 * deviation, color=RUN_COLOURS[0], alpha=0.18, linewidth=0)
        ax.plot(x, mean, color=RUN_COLOURS[0], linewidth=1.8)
        ax.set_xlabel(plain(p["column"]), fontsize=8)
    for row in axes:
        row[0].set_ylabel(plain(words(output)))
    fig.tight_layout()
    return fig


def shares(plan, model, output):
    return _bars(sensitivity.emulated(output, model))


EMULATED = [
    (unseen, "each case predicted by an emulator that was fitted without it (ten folds), with 95 % intervals."),
    (effects, "emulator over each parameter, the others at their medians; band: 95 %."),
    (shares, "Sobol indices from the emulator with 95 % intervals: share of its variance that a parameter explains alone, and with all its "
             "interactions."),
]


def _bars(rows):
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: row["with_interactions"])
    fig, ax = plt.subplots(figsize=(7.0, 1.3 + 0.5 * len(rows)))
    for key, shift, colour in (("alone", 0.18, RUN_COLOURS[0]), ("with_interactions", -0.18, RUN_COLOURS[5])):
        ax.barh(np.arange(len(rows)) + shift, [row[key] for row in rows], 0.34, xerr=[row[f"{key}_pm"] for row in rows], color=colour,
                label=key.replace("_", " "), error_kw={"linewidth": 1, "capsize": 2})
    ax.set_yticks(range(len(rows)), [plain(row["parameter"]) for row in rows])
    ax.set(xlabel="Sobol index", xlim=(min(0.0, *(row["alone"] for row in rows)), None))
    ax.legend(loc="lower right")
    return fig


# -- pieces ------------------------------------------------------------------------------------------------------------


def _axes(plan, table):
    """The parameters that the design itself varies; what a cohort is drawn from only if there is nothing else."""
    several = [p for p in plan["parameters"] if table[p["column"]].nunique() > 1]
    listed = [p for p in several if p["levels"] is not None]
    return listed if listed and plan["design"] in ("grid", "list", "csv") else several or plan["parameters"][:1]


def _is_grid(table, axes):
    counts = [table[axis["column"]].nunique() for axis in axes]
    return len(table.drop_duplicates([axis["column"] for axis in axes])) == np.prod(counts) and np.prod(counts) > 1


def _good(table, output):
    return table[(table["status"] == "completed") & table[output].notna()]


def _places(axis, rows):
    """(numbers (n,), None or (places, labels)) of a column; words stand side by side in their order."""
    if axis["numeric"]:
        return rows[axis["column"]].to_numpy(float), None
    labels = [_label(level) for level in axis["levels"]]
    return np.array([labels.index(_label(value)) for value in rows[axis["column"]]], float), (range(len(labels)), labels)


def _ticks(axis, ticks):
    if ticks:
        axis.set_ticks(*ticks)


def _label(value):
    return f"{value:g}" if isinstance(value, float) else " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
