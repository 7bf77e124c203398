"""report.html of a run or a comparison, in one file with its figures.

Reads result directories only. Figures that are older than their result are drawn anew.
"""

from pathlib import Path

import numpy as np

from scenarios import failure, figures, words
from scenarios.page import inline, rendered
from scenarios.result import NUMBERS
from scenarios.resultdir import Run, runs
from scenarios.trouble import BadInput

QUALITY = (
    ("cells", "cells", ",.0f"),
    ("dofs", "degrees of freedom", ",.0f"),
    ("interface_points", "contact points", ",.0f"),
    ("blocks", "blocks of cycles", ",.0f"),
    ("newton_iterations", "Newton iterations", ",.0f"),
    ("linear_iterations", "linear iterations", ",.0f"),
    ("cutbacks", "steps repeated with half the increment", ",.0f"),
    ("snaps", "steps in which bone gave way at once", ",.0f"),
    ("ranks", "processes", ".0f"),
    ("seconds_total", "seconds", ",.0f"),
    ("memory_MiB", "memory (MiB)", ",.0f"),
)
COMPARED = 6  # so many numbers of a test stand in the table of a comparison
KINDS = {"cycle": "Cyclic loading", "pullout": "Pullout"}
LARGEST_IMBALANCE = 0.03
CAPTIONS = {
    "cycles": "Displacement of the head under peak load, and that load, over cycles; points: displacements named at "
              "the right.",
    "reference": "Slip and opening of the screw's interface and stiffness, in cycles that were followed down to their minimum.",
    "static": "Lateral force of one slow push before the cycling, loads at which the cycling loosened it, and the push to the protocol's stop after it.",
    "halo": "Thickness of the halo along the screw, mirrored about it.",
    "curve": "Force over displacement of the screw head; the peak is marked.",
    "cut": "The tested specimen, cut along the screw axis.",
    "peak": "Under load: stiffness lost to insertion and load, and plastic strain of the bone.",
    "mesh": "The mesh, in the same cut and in space with the bone cut open.",
    "curves": "Force over displacement of the screw head; peaks are marked.",
    "peaks": "Loads, and their ratios to the first run.",
}
LAW_WORDS = {"screw": "screw", "trabecular": "trabecular bone (body)", "pedicle": "pedicle isthmus",
             "posterior": "posterior elements", "foam": "foam", "halo": "halo tissue", "cement": "cement",
             "cemented_bone": "bone filled with cement"}


def single(directory):
    """Write report.html and the figures of one result directory; returns the path of the report."""
    run = Run(directory)
    several = len(run.of_kind("cycle")) > 1
    drawn = figures.comparison_figures([run], run.directory / "figures") if several else {}
    return _write(run.directory, title=run.name, runs=[_view(run, anew=True)], tables=_tables([run]) if several else [],
                  figures={what: inline(path) for what, path in drawn.items()})


def comparison(directory):
    """Write report.html and the figures of a directory of runs; returns the path of the report."""
    directory = Path(directory)
    found = runs(directory)
    if not found:
        raise BadInput(f"{directory}: none of the scenarios left a result")
    drawn = figures.comparison_figures(found, directory / "figures")
    views = [_view(run, anew=False) for run in found]
    return _write(directory, title=f"Comparison of {len(found)} screws", runs=views, tables=_tables(found),
                  figures={what: inline(path) for what, path in drawn.items()})


def _write(directory, **content):
    return rendered(directory, "report.html", captions=CAPTIONS, **content)


def _tables(found):
    """Tests side by side, a table a kind; ratios are to the last such test of the first run, in a single run to its first."""
    tables = []
    for kind, numbers in NUMBERS.items():
        of_kind = found[0].of_kind(kind)
        first = next((step.number(numbers[0][0]) for step in (reversed(of_kind) if len(found) > 1 else of_kind)), None)
        rows = [_row(step, first) for run in found for step in run.of_kind(kind)]
        if rows:
            heads = [(text, _unit(unit)) for _, text, unit, _ in numbers[:COMPARED]]
            tables.append({"title": KINDS[kind], "heads": heads, "rows": rows})
    return tables


def _row(step, first):
    numbers = NUMBERS[step.kind]
    value = step.number(numbers[0][0])
    return {"name": step.name, "anchor": _anchor(step.run), "status": step.run.status, "failure": _failure(step)[0],
            "ratio": f"{value / first:.2f}" if value is not None and first else "–",
            "cells": [_number(step.number(key), form) for key, _, _, form in numbers[:COMPARED]]}


def _view(run, anew):
    """Everything the template says of one run."""
    return {
        "name": run.name, "anchor": _anchor(run), "status": run.status, "reason": run.reason,
        "specimen": _attempt(words.specimen, run.resolved), "protocol": words.protocol(run.resolved, run.problem),
        "steps": [_step_view(step, anew) for step in run.solved], "warnings": _warnings(run),
        "mesh": _attempt(words.mesh, run.resolved), "laws": [_law(law) for law in run.problem.get("laws", ())], "sources": _sources(run.problem),
        "provenance": _provenance(run.provenance),
    }


def _step_view(step, anew):
    kind, evidence = _failure(step)
    return {
        "title": step.title, "failure": kind, "evidence": evidence,
        "numbers": [(text, _unit(unit), _number(step.number(key), form)) for key, text, unit, form
                    in NUMBERS[step.kind]],
        "stopped": step.numbers.get("stopped_because") or "", "taken_over": step.numbers.get("taken_over"),
        "figures": {what: inline(path) for what, path in _figures(step, anew).items()},
        "balance": _balance(step),
        "quality": [(text, _number(step.number(key), form)) for key, text, form in QUALITY
                    if step.number(key) is not None],
    }


def _figures(step, anew):
    """{what: path}; kept if the run is part of a comparison and they are not older than its result."""
    kept = {what: step.directory / "figures" / f"{what}.png" for what in CAPTIONS}
    kept = {what: path for what, path in kept.items() if path.exists()}
    written = (step.run.directory / "result.json").stat().st_mtime
    if not anew and kept and all(path.stat().st_mtime >= written for path in kept.values()):
        return kept
    return figures.step_figures(step)


def _failure(step):
    """('2, pull-out', evidence) from result.json, judged from the fields where it does not say."""
    judged = {key: step.numbers.get(key) for key in ("failure_type", "failure_evidence")}
    if not judged["failure_evidence"]:
        judged = failure.judge(step.directory, step.numbers, step.problem)
    kind = judged["failure_type"]
    return f"{kind}, {failure.NAMES[kind]}" if kind in failure.NAMES else "none", judged["failure_evidence"]


def _balance(step):
    """A sentence on the energy balance, '' if the step has none."""
    error = step.number("energy_balance_error")
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
    """[(value, source)] of all laws, interfaces and the insertion damage, each once; of fatigue only where it is cycled."""
    found = {}
    for law in (*problem.get("laws", ()), *problem.get("interfaces", {}).values(), problem.get("cortex") or {}):
        found |= law.get("sources", {})
    insertion = problem.get("insertion") or {}
    if insertion.get("regions"):
        found |= insertion.get("sources", {})
    if problem.get("loading", {}).get("kind") == "pullout":
        found = {key: source for key, source in found.items() if key != "calibrated.fatigue_life_at_yield" and not key.startswith("fatigue.")}
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


def _unit(unit):
    return unit.replace("um", "µm")


def _three(number):
    return f"{number:,.0f}".replace(",", "\u202f") if abs(number) >= 1000 else f"{number:.3g}"



def _attempt(make, *arguments):
    """A sentence that an incomplete document keeps from being made is left out."""
    try:
        return make(*arguments)
    except (KeyError, TypeError, ValueError):
        return ""
