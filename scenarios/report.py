"""report.html of a run or a comparison, in one file with its figures: `python -m scenarios.report DIR`.

Reads result directories only. Figures that are older than their result are drawn anew.
"""

import base64
from pathlib import Path
import sys

import jinja2
import numpy as np

from scenarios import failure, figures, words
from scenarios.resultdir import Run, runs
from scenarios.trouble import BadInput

TEMPLATES = Path(__file__).parent / "templates"
# what is said of a run: key in result.json, words, unit, format
NUMBERS = (
    ("peak_force_N", "peak force", "N", ".0f"),
    ("stiffness_N_per_mm", "stiffness", "N/mm", ".0f"),
    ("displacement_at_peak_mm", "displacement at peak", "mm", ".3f"),
    ("energy_to_peak_N_mm", "energy to peak", "N mm", ".1f"),
    ("micromotion_um", "micromotion at peak", "µm", ".1f"),
)
QUALITY = (
    ("cells", "cells", ",.0f"),
    ("dofs", "degrees of freedom", ",.0f"),
    ("interface_points", "contact points", ",.0f"),
    ("newton_iterations", "Newton iterations", ",.0f"),
    ("linear_iterations", "linear iterations", ",.0f"),
    ("cutbacks", "steps repeated with half the increment", ",.0f"),
    ("ranks", "processes", ".0f"),
    ("seconds_total", "seconds", ",.0f"),
    ("memory_MiB", "memory (MiB)", ",.0f"),
)
LARGEST_IMBALANCE = 0.03
CAPTIONS = {
    "curve": "Force over displacement of the screw head; the peak is marked.",
    "cut": "The tested specimen, cut along the screw axis.",
    "peak": "At the peak: stiffness lost to insertion and pull, and plastic strain of the bone.",
    "mesh": "The mesh, in the same cut and in space with the bone cut open.",
    "curves": "Force over displacement of the screw head; peaks are marked.",
    "peaks": "Peak forces, and their ratios to the first run.",
}
LAW_WORDS = {"screw": "screw", "trabecular": "trabecular bone (body)", "pedicle": "pedicle isthmus",
             "posterior": "posterior elements", "foam": "foam", "halo": "halo tissue", "cement": "cement",
             "cemented_bone": "bone filled with cement"}


def single(directory):
    """Write report.html and the figures of one result directory; returns the path of the report."""
    run = Run(directory)
    return _write(run.directory, title=run.name, runs=[_view(run, anew=True)], figures={}, rows=[])


def comparison(directory):
    """Write report.html and the figures of a directory of runs; returns the path of the report."""
    directory = Path(directory)
    found = runs(directory)
    if not found:
        raise BadInput(f"{directory}: none of the scenarios left a result")
    drawn = figures.comparison_figures(found, directory / "figures")
    views = [_view(run, anew=False) for run in found]
    return _write(directory, title=f"Comparison of {len(found)} screws", runs=views, rows=_rows(found),
                  figures={what: _inline(path) for what, path in drawn.items()})


def _write(directory, **content):
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.get_template("report.html").render(
        captions=CAPTIONS, numbers=NUMBERS, style=(TEMPLATES / "report.css").read_text(), **content)
    path = directory / "report.html"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.rename(path)
    return path


def _rows(found):
    """The table of a comparison; ratios are to the first run."""
    first = found[0].number("peak_force_N")
    rows = []
    for run in found:
        force = run.number("peak_force_N")
        ratio = f"{force / first:.2f}" if force is not None and first else "–"
        rows.append({"name": run.name, "ratio": ratio, "status": run.status, "failure": _failure(run)[0],
                     "anchor": _anchor(run),
                     "cells": [_number(run.number(key), form) for key, _, _, form in NUMBERS]})
    return rows


def _view(run, anew):
    """Everything the template says of one run."""
    drawn = _figures(run, anew)
    kind, evidence = _failure(run)
    return {
        "name": run.name, "anchor": _anchor(run), "status": run.status, "reason": run.reason,
        "numbers": [(text, unit, _number(run.number(key), form)) for key, text, unit, form in NUMBERS],
        "specimen": _attempt(words.specimen, run.resolved), "protocol": words.protocol(run.resolved, run.problem),
        "failure": kind, "evidence": evidence,
        "figures": {what: _inline(path) for what, path in drawn.items()},
        "quality": [(text, _number(run.number(key), form)) for key, text, form in QUALITY
                    if run.number(key) is not None],
        "balance": _balance(run), "warnings": _warnings(run),
        "laws": [_law(law) for law in run.problem.get("laws", ())], "sources": _sources(run.problem),
        "provenance": _provenance(run.provenance),
    }


def _figures(run, anew):
    """{what: path}; kept if the run is part of a comparison and they are not older than its result."""
    kept = {what: run.directory / "figures" / f"{what}.png" for what in ("curve", "cut", "peak", "mesh")}
    kept = {what: path for what, path in kept.items() if path.exists()}
    written = (run.directory / "result.json").stat().st_mtime
    if not anew and kept and all(path.stat().st_mtime >= written for path in kept.values()):
        return kept
    return figures.run_figures(run)


def _failure(run):
    """('2, pull-out', evidence) from result.json, judged from the fields where it does not say."""
    judged = {key: run.step.get(key, run.summary.get(key)) for key in ("failure_type", "failure_evidence")}
    if not judged["failure_evidence"]:
        judged = failure.judge(run.directory, run.step, run.problem)
    kind = judged["failure_type"]
    return f"{kind}, {failure.NAMES[kind]}" if kind in failure.NAMES else "none", judged["failure_evidence"]


def _balance(run):
    """A sentence on the energy balance, '' if the run has none."""
    error = run.number("energy_balance_error")
    if error is None:
        return ""
    words = f"The work of the machine and the energy stored and dissipated differ by {100 * abs(error):.2g} %."
    if abs(error) > LARGEST_IMBALANCE:
        words += " That is much: repeat the run with smaller steps before relying on it."
    return words


def _warnings(run):
    found = list(run.summary.get("warnings") or run.problem.get("warnings") or ())
    if run.status != "completed":
        found.insert(0, f"This run stopped short ({run.reason}): its numbers are those of an unfinished test.")
    return found


def _law(law):
    """A row of the table of materials: moduli along and across z, strengths in compression, tension, shear."""
    row = {"name": LAW_WORDS.get(law["name"], law["name"]), "kind": law.get("kind", "")}
    try:
        S, F, f = np.linalg.inv(np.array(law["stiffness"])), np.array(law["F"]), np.array(law["f"])
        strength = law["strength"]
        row["moduli"] = f"{_three(1 / S[2, 2])} / {_three(1 / S[0, 0])}"
        row["strengths"] = " / ".join(_three(strength / s) for s in (
            np.sqrt(F[2, 2]) - f[2], np.sqrt(F[2, 2]) + f[2], np.sqrt(F[4, 4])))
    except (KeyError, ValueError, np.linalg.LinAlgError):
        row["moduli"], row["strengths"] = "–", "–"
    return row


def _sources(problem):
    """[(value, source)] of all laws, each once."""
    found = {}
    for law in problem.get("laws", ()):
        found |= law.get("sources", {})
    found |= (problem.get("cortex") or {}).get("sources", {})
    return sorted(found.items())


def _provenance(tree, prefix=""):
    """Flat [(name, text)] of provenance.json without the hashes of single files."""
    rows = []
    for key, item in tree.items():
        if key == "sha256":
            continue
        if isinstance(item, dict):
            rows += _provenance(item, f"{prefix}{key} ")
        else:
            rows.append((prefix + key, str(item)))
    return rows


def _anchor(run):
    return "run-" + "".join(c if c.isalnum() else "-" for c in run.directory.name)


def _number(number, form):
    return "–" if number is None else f"{number:{form}}".replace(",", "\u202f")


def _three(number):
    return f"{number:,.0f}".replace(",", "\u202f") if abs(number) >= 1000 else f"{number:.3g}"


def _inline(path):
    """{source, width, wide} of a figure: the PNG as a data URI; width in CSS pixels, so that all have one scale."""
    data = Path(path).read_bytes()
    width = int.from_bytes(data[16:20], "big")  # IHDR
    return {"source": "data:image/png;base64," + base64.b64encode(data).decode(), "width": round(width / 1.75),
            "wide": width > 1400}


def _attempt(make, *arguments):
    """A sentence that an incomplete document keeps from being made is left out."""
    try:
        return make(*arguments)
    except (KeyError, TypeError, ValueError):
        return ""


def main(argv):
    if len(argv) != 1:
        print("usage: python -m scenarios.report DIR", file=sys.stderr)
        return 2
    directory = Path(argv[0])
    try:
        print((comparison if (directory / "comparison.csv").exists() else single)(directory))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
