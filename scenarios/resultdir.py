"""What figures and reports read of a run, beside the numbers of result.json. Files that are missing count as empty."""

import csv
from functools import cached_property
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scenarios import files
from scenarios.result import NUMBERS, Comparison, Result

CHANGES = {"halo": "halo", "augment": "cement", "revise": "revision"}
ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th")


class Run(Result):
    """A result directory with its solved steps, its resolved scenario and problem."""

    @property
    def name(self):
        return self.summary.get("name", self.directory.name)

    @cached_property
    def solved(self):
        """The steps that a solver works on, in order; a run that names none was to be a pullout."""
        steps, changes = [], []
        for numbers in self.summary.get("steps", ()):
            if numbers.get("kind") in NUMBERS:
                before = "continued" if any(step.kind == "cycle" for step in steps) else "native"
                steps.append(Step(self, numbers, "after " + " and ".join(changes) if changes else before))
                changes = []
            else:
                changes += [CHANGES[numbers["kind"]]] if numbers.get("kind") in CHANGES else []
        cycles = [step for step in steps if step.kind == "cycle"]
        for ordinal, step in zip(ORDINALS, cycles if len(cycles) > 1 else ()):
            step.label += f" ({ordinal})"
        return steps or [Step(self, {"kind": "pullout"}, "native")]

    def of_kind(self, kind):
        return [step for step in self.solved if step.kind == kind]

    def number(self, key):
        """`key` of the last step that has it, of the run otherwise; None if none has it."""
        values = [step.numbers.get(key) for step in reversed(self.solved)] + [self.summary.get(key)]
        return next((value for value in values if isinstance(value, (int, float))), None)

    @cached_property
    def problem(self):
        """What the solver was given last."""
        return next((step.problem for step in reversed(self.solved) if step.problem), {})

    @cached_property
    def provenance(self):
        return files.read_json(self.directory / "provenance.json")

    @cached_property
    def resolved(self):
        """resolved.yaml as nested dicts; leaves are {value, unit, source}."""
        try:
            return YAML(typ="safe").load(self.directory / "resolved.yaml") or {}
        except (OSError, ValueError, YAMLError):  # a report must come out whatever state the run left
            return {}


class Step:
    """A solved step of a run: kind, numbers (its part of result.json), directory, and the files there as arrays.

    label: what became of the screw before, as in `after cement (2nd)`.
    """

    def __init__(self, run, numbers, label):
        self.run, self.numbers, self.label, self.kind = run, numbers, label, numbers["kind"]
        self.directory = run.directory / numbers.get("directory", ".")

    @property
    def title(self):
        return f"Cyclic loading, {self.label}" if self.kind == "cycle" else "Pullout"

    @property
    def name(self):
        """The run, and which of its cyclic tests if there are several."""
        several = self.kind == "cycle" and len(self.run.of_kind("cycle")) > 1
        return f"{self.run.name}, {self.label}" if several else self.run.name

    def number(self, key):
        """`key` of the step; of the run if it has no other step; None if there is none."""
        value = self.numbers.get(key, self.run.summary.get(key) if len(self.run.solved) == 1 else None)
        return value if isinstance(value, (int, float)) else None

    @cached_property
    def curve(self):
        """Force over displacement of a pullout; empty before the first increment."""
        return table(self.directory / "curve.csv")

    @cached_property
    def cycles(self):
        return table(self.directory / "cycles.csv")

    @cached_property
    def reference(self):
        return table(self.directory / "reference.csv")

    @cached_property
    def static(self):
        return table(self.directory / "static.csv")

    @cached_property
    def collapse(self):
        """Head pushed on to the protocol's stop after it had loosened; empty if it loosened otherwise."""
        return table(self.directory / "collapse.csv")

    @cached_property
    def halo(self):
        return files.read_json(self.directory / "halo.json")

    @cached_property
    def problem(self):
        return files.read_json(self.directory / "problem.json")

    @property
    def peak(self):
        """(displacement mm, force N) at the greatest force of a pullout, or None; between steps, as result.json has it."""
        force = self.curve.get("force_N")
        if force is None or not force.max() > 0:
            return None
        top = int(np.argmax(force))
        return float(self.numbers.get("displacement_at_peak_mm", self.curve["displacement_mm"][top])), float(force[top])


def table(path):
    """{column: (n,) array} of a file of numbers; empty if it is missing, empty or damaged."""
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]} if rows else {}
    except (OSError, KeyError, TypeError, ValueError):
        return {}


def runs(directory):
    """The runs of a comparison in its order, or [the run] of a result directory. Raises BadInput if it is neither."""
    directory = Path(directory)
    if (directory / "comparison.csv").exists():
        return [Run(result.directory) for result in Comparison(directory).results()]
    return [Run(directory)]


def fields(directory, name="peak.vtu"):
    """(displacement (n, 3) mm, {cell field: (m,)}) of a state that the solver wrote. Raises OSError or ReadError."""
    from meshio import vtu  # meshio.read ends the process where it cannot read

    grid = vtu.read(Path(directory) / name)
    cells = {key: np.concatenate([np.ravel(block) for block in blocks]) for key, blocks in grid.cell_data.items()}
    return np.asarray(grid.point_data["displacement"]), cells
