"""Reading result directories: of one run, or of a comparison (a directory of runs)."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML


class NotAResult(ValueError):
    """The directory holds neither a run nor runs."""


@dataclass
class Result:
    """One run. `summary` is result.json over outcome.json; `step` its last loading step; curve: column -> (n,) array."""

    path: Path
    summary: dict
    step: dict
    curve: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    scenario: dict = field(default_factory=dict)
    problem: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    @property
    def name(self):
        return self.summary.get("name") or self.path.name

    @property
    def status(self):
        return self.summary.get("status", "failed")

    @property
    def peak(self):
        """(displacement mm, force N) at the greatest force, or None."""
        force = self.curve.get("force_N", np.zeros(0))
        if not len(force) or not force.max() > 0:
            return None
        top = int(np.argmax(force))
        return float(self.curve["displacement_mm"][top]), float(force[top])

    def number(self, key):
        """`key` of the last loading step, of the run otherwise, as float; None if it is not there."""
        value = self.step.get(key, self.summary.get(key))
        return None if value is None or isinstance(value, (str, dict, list)) else float(value)


def read(path):
    """The `Result` in directory `path`; every file but result.json (or outcome.json) may be missing."""
    path = Path(path)
    summary = _json(path / "outcome.json") | _json(path / "result.json")
    if not summary:
        raise NotAResult(f"{path} holds no result: there is no result.json in it")
    steps = [step for step in summary.get("steps") or [] if isinstance(step, dict)]
    loaded = [step for step in steps if "peak_force_N" in step] or [{}]
    scenario = _yaml(path / "resolved.yaml") or _yaml(path / "scenario.yaml")
    return Result(path, summary, loaded[-1], _curve(path / "curve.csv"), _lines(path / "history.jsonl"),
                  plain(scenario), _json(path / "problem.json"), _json(path / "provenance.json"))


def read_all(path):
    """The runs below `path`; [the run] if `path` is one run.

    Order: that of comparison.csv if there is one, else by length of the protocol, so that the plain screw comes first.
    """
    path = Path(path)
    if (path / "result.json").exists() or (path / "outcome.json").exists():
        return [read(path)]
    if not path.is_dir():
        raise NotAResult(f"{path} is not a directory")
    found = [read(p) for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")
             and ((p / "result.json").exists() or (p / "outcome.json").exists())]
    if not found:
        raise NotAResult(f"{path} holds no results: neither it nor a directory in it has a result.json")
    order = _order(path / "comparison.csv")
    last = len(order)
    return sorted(found, key=lambda r: (min(order.get(r.path.name, last), order.get(r.name, last)),
                                        len(r.scenario.get("protocol", ())), r.path.name))


def plain(node):
    """A resolved document without its book-keeping: {value, unit, source} becomes '6.5 mm'."""
    if isinstance(node, dict):
        if "value" in node and set(node) <= {"value", "unit", "source", "given", "kind"}:
            unit = node.get("unit")
            return f"{_short(node['value'])} {unit}" if unit not in (None, "", "1") else node["value"]
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return node


def _short(value):
    return f"{value:.6g}" if isinstance(value, float) else value


def _json(path):
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _yaml(path):
    try:
        data = YAML(typ="safe").load(path)
    except Exception:       # a report must come out whatever state the run left
        return {}
    return data if isinstance(data, dict) else {}


def _lines(path):
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError):
        return []


def _curve(path):
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return {}
    if not rows:
        return {}
    return {name: np.array([_float(row[name]) for row in rows]) for name in rows[0] if name}


def _float(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return np.nan


def _order(path):
    """Names in the first column of comparison.csv -> row number."""
    try:
        with open(path, newline="") as file:
            rows = list(csv.reader(file))[1:]
    except OSError:
        return {}
    return {cell: at for at, row in reversed(list(enumerate(rows))) for cell in row[:2]}
