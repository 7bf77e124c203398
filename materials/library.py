"""Values of `library/*.yaml` and `calibrated.yaml`: numbers that know their unit, plausible range and source."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

from ruamel.yaml import YAML

HERE = Path(__file__).parent
FIELDS = {"value", "unit", "range", "source"}
FITTED = {"on", "date", "interval"}     # of a constant that was fitted: {study: [DOI, citation]}, when, its interval


class Value(float):
    """A float with `unit`, `range` (low, high), `source` and, if it was fitted, `fitted` (a dict, see FITTED)."""

    def __new__(cls, number, unit, range, source, fitted=None):
        self = super().__new__(cls, number)
        self.unit, self.range, self.source, self.fitted = unit, tuple(range), source, fitted
        return self

    def check(self, number, name, warnings):
        """Append a sentence to `warnings` if `number` (in `unit`) lies outside `range`; return `number`."""
        low, high = self.range
        if not low <= number <= high:
            warnings.append(f"{name} is {number:.4g} {self.unit}, outside {low:g} to {high:g} ({self.source})")
        return number


class Column(tuple):
    """A tabulated quantity; attributes as for `Value`."""

    def __new__(cls, numbers, unit, range, source):
        self = super().__new__(cls, map(float, numbers))
        self.unit, self.range, self.source = unit, tuple(range), source
        return self

    check = Value.check


@cache
def load(name):
    """Values of `library/<name>.yaml` (or of `calibrated.yaml` for 'calibrated') as attributes.

    Raises ValueError where an entry lacks one of value, unit, range, source.
    """
    path = HERE / "calibrated.yaml" if name == "calibrated" else HERE / "library" / f"{name}.yaml"
    values = SimpleNamespace()
    for key, entry in YAML(typ="safe").load(path).items():
        fitted = entry.pop("fitted", None) if name == "calibrated" else None
        if set(entry) != FIELDS:
            raise ValueError(f"{path.name}: {key} needs exactly {', '.join(sorted(FIELDS))}; it has {', '.join(entry)}")
        if fitted is not None and set(fitted) != FITTED:
            raise ValueError(f"{path.name}: {key}: `fitted` needs exactly {', '.join(sorted(FITTED))}; it has {', '.join(fitted)}")
        if isinstance(entry["value"], list):
            setattr(values, key, Column(entry["value"], entry["unit"], entry["range"], entry["source"]))
        else:
            setattr(values, key, Value(entry["value"], entry["unit"], entry["range"], entry["source"], fitted))
    return values


def sources(name, *keys):
    """Source of each of `keys` in library `name`, as a dict for provenance."""
    values = vars(load(name))
    return {f"{name}.{key}": values[key].source for key in keys or values}
