"""report.html, verification.md and figures of a verification."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from scenarios import tables
from scenarios.page import rendered
from scenarios.style import RC, RUN_COLOURS
from scenarios.trouble import BadInput
from scenarios.tables import number

plt.rcParams.update(RC)


def write(directory):
    """Write figures, report.html and verification.md of `directory`; returns the path of the report. BadInput if it is none."""
    directory = Path(directory)
    content = read(directory)
    (directory / "figures").mkdir(exist_ok=True)
    for check in content["checks"]:
        if kind := check.get("figure"):
            FIGURES[kind](check, directory / "figures" / f"{check['name']}.png")
    path = rendered(directory, "verification.html", content=content, cell=cell, columns=tables.columns)
    (directory / "verification.md").write_text(markdown(content) + "\n", encoding="utf-8")
    return path


def read(directory):
    """Content of verification.json in `directory`."""
    try:
        return json.loads((Path(directory) / "verification.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{directory}: this is no verification ({error})") from None


def cell(value):
    """A value as a table shows it."""
    return number(value, ".4g") if isinstance(value, float) or value is None else str(value)


def _loglog(check, path):
    """Errors of the manufactured solution over the cell size."""
    fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    models = list(dict.fromkeys(row["model"] for row in check["rows"]))
    for index, model in enumerate(models):
        rows = [row for row in check["rows"] if row["model"] == model]
        for norm, line in (("L2", "o-"), ("H1", "s--")):
            ax.loglog(
                [row["h"] for row in rows],
                [row[f"{norm} error"] for row in rows],
                line,
                color=RUN_COLOURS[index],
                label=f"{model}, {norm} (order {rows[-1][f'{norm} order']:.2f})",
            )
    ax.set(xlabel="cell size over edge", ylabel="relative error")
    ax.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    ax.legend()
    fig.savefig(path)
    plt.close(fig)


def _sizes(check, path):
    """Quantities over the size, with the extrapolated limit and the GCI of the finest."""
    fig, axes = plt.subplots(
        1, len(check["summary"]), figsize=(4.6 * len(check["summary"]), 3.6), squeeze=False, layout="constrained"
    )
    for ax, told in zip(axes[0], check["summary"]):
        key = told["quantity"]
        sizes, values = [row["size mm"] for row in check["rows"]], [row[key] for row in check["rows"]]
        ax.plot(sizes, values, "o-", color=RUN_COLOURS[0])
        ax.errorbar(
            [min(sizes)], [told["finest"]], yerr=[told["finest"] * told["GCI %"] / 100], color=RUN_COLOURS[0], capsize=4
        )
        if told["limit"] is not None:
            ax.axhline(told["limit"], color="#444444", linestyle="--", label=f"extrapolated: {told['limit']:.4g}")
            ax.legend()
        ax.set(
            xlabel=f"{'edge at the thread' if check['figure'] == 'mesh' else 'largest step'} (mm)",
            ylabel=key,
            xlim=(0, None),
        )
    fig.savefig(path)
    plt.close(fig)


FIGURES = {"loglog": _loglog, "mesh": _sizes, "step": _sizes}


def markdown(content):
    """The checks as a page of Markdown that says how it was made."""
    about = content["halofix"]
    lines = [
        "# Verification",
        f"Made by `./halofix verify{' --full' if content['full'] else ''}` on {content['date'][:10]}, halofix "
        f"{about['version']} ({about['commit'][:10]}{' with changes' if about.get('modified') is True else ''}), "
        f"in {content['seconds']:.0f} s.",
        tables.markdown(
            [
                {
                    "check": c["title"],
                    "asked": c["asked"],
                    "found": c["found"],
                    "as asked": "yes" if c["passed"] else "NO",
                    "s": c["seconds"],
                }
                for c in content["checks"]
            ]
        ),
    ]
    for check in content["checks"]:
        lines += [f"## {check['title']}", tables.markdown(check["rows"])]
        lines += [tables.markdown(check["summary"])] if check.get("summary") else []
        lines += [f"![{check['title']}](figures/{check['name']}.png)"] if check.get("figure") else []
    return "\n\n".join(lines)
