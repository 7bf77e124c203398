"""Values of `library/*.yaml` and `calibrated.yaml`: numbers that know their unit, plausible range and source."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

from ruamel.yaml import YAML

HERE = Path(__file__).parent
FIELDS = {"value", "unit", "range", "source"}


class Value(float):
    """A float with `unit`, `range` (low, high) and `source`."""

    def __new__(cls, number, unit, range, source):
        self = super().__new__(cls, number)
        self.unit, self.range, self.source = unit, tuple(range), source
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
        if set(entry) != FIELDS:
            raise ValueError(f"{path.name}: {key} needs exactly {', '.join(sorted(FIELDS))}; it has {', '.join(entry)}")
        kind = Column if isinstance(entry["value"], list) else Value
        setattr(values, key, kind(entry["value"], entry["unit"], entry["range"], entry["source"]))
    return values


def sources(name, *keys):
    """Source of each of `keys` in library `name`, as a dict for provenance."""
    values = vars(load(name))
    return {f"{name}.{key}": values[key].source for key in keys or values}
