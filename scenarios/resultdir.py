"""What figures and reports read of a run, beside the numbers of result.json. Files that are missing count as empty."""

import csv
from functools import cached_property
import json
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from scenarios.result import Comparison, Result


class Run(Result):
    """A result directory with its curve as arrays, its resolved scenario, problem and history."""

    @property
    def name(self):
        return self.summary.get("name", self.directory.name)

    @cached_property
    def step(self):
        """Numbers of the pullout."""
        pulls = [s for s in self.summary.get("steps", ()) if s.get("kind") == "pullout"]
        return pulls[-1] if pulls else {}

    def number(self, key):
        """`key` of the pullout, of the run otherwise; None if neither has it."""
        value = self.step.get(key, self.summary.get(key))
        return value if isinstance(value, (int, float)) else None

    @cached_property
    def columns(self):
        """{column of curve.csv: (n,) array}, empty before the first step."""
        try:
            with open(self.directory / "curve.csv", newline="") as file:
                rows = list(csv.DictReader(file))
            return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]} if rows else {}
        except (OSError, KeyError, TypeError, ValueError):
            return {}

    @property
    def peak(self):
        """(displacement mm, force N) at the greatest force, or None."""
        force = self.columns.get("force_N")
        if force is None or not force.max() > 0:
            return None
        top = int(np.argmax(force))
        return float(self.columns["displacement_mm"][top]), float(force[top])

    @cached_property
    def problem(self):
        return self._json("problem.json")

    @cached_property
    def provenance(self):
        return self._json("provenance.json")

    @cached_property
    def resolved(self):
        """resolved.yaml as nested dicts; leaves are {value, unit, source}."""
        try:
            return YAML(typ="safe").load(self.directory / "resolved.yaml") or {}
        except Exception:  # a report must come out whatever state the run left
            return {}

    def _json(self, name):
        try:
            return json.loads((self.directory / name).read_text())
        except (OSError, ValueError):
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
