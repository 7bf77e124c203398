"""A parameter of a sweep: a value of the scenario, by its dotted path, and the values that it takes; or an input of the laws
that no scenario names (materials.ablation.INPUTS), which is a pure number.

    parameter(scenario, path, values) -> Parameter

Numbers are in halofix's units (mm, N, MPa, s, mg/cm^3, deg) and have six digits, in the table as in the scenarios.
"""

from dataclasses import dataclass, replace
from math import inf, log, sqrt

import numpy as np
from pydantic_core import PydanticCustomError

from materials.ablation import INPUTS
from scenarios.language import Block
from scenarios.loader import did_you_mean, model_in
from scenarios.resolved import quantity
from scenarios.sweeps import spec
from scenarios.trouble import BadInput
from scenarios.units import number, shorten
from scenarios.variation import step_index

SMALLEST = 0.01  # screening goes to the 1 % and 99 % quantiles of a distribution without an end


class BadValue(BadInput):
    """A value that the parameter cannot take. where: its key or index within the values."""

    def __init__(self, where, message):
        self.where = where
        super().__init__(message)


@dataclass(frozen=True)
class Parameter:
    """path: dotted; unit: of its numbers, '' for pure numbers, None for words; levels: the listed values, or None and then
    law: a frozen scipy distribution."""

    path: str
    unit: str | None
    levels: tuple | None
    law: object = None

    @property
    def column(self):
        """Heading of its column in tables."""
        return column(self.path, self.unit)

    @property
    def numeric(self):
        return self.law is not None or all(_is_number(level) for level in self.levels)

    @property
    def bounded(self):
        """Whether there is a least and a largest value; the 0 of a lognormal law is none."""
        if self.law is None:
            return True, True
        ends = np.isfinite(self.law.support())
        return bool(ends[0]) and self.law.dist.name != "lognorm", bool(ends[1])

    def at(self, share):
        """The values at shares (n,) of the probability from 0 to 1; levels have equal shares."""
        share = np.asarray(share, float)
        if self.law is None:
            places = np.minimum((share * len(self.levels)).astype(int), len(self.levels) - 1)
            return [self.levels[place] for place in places]
        low, high = (0.0 if self.bounded[0] else SMALLEST), (1.0 if self.bounded[1] else 1 - SMALLEST)
        # only what lies beyond those quantiles is moved: the ends of a screening design
        return [_six(value) for value in self.law.ppf(np.where((share <= 0) | (share >= 1), np.clip(share, low, high), share))]

    def written(self, value):
        """A value as a scenario file has it."""
        return f"{number(value)} {self.unit}" if self.unit and _is_number(value) else value


def column(path, unit):
    return f"{path} [{unit}]" if unit else path


def parameter(scenario, path, values):
    """The Parameter for `values` (spec.Values, or a list) of the scenario at `path`.

    Raises BadInput for a path that the language does not know, BadValue for a value.
    """
    field = None if path in INPUTS else _field(scenario, path)
    kind = field and quantity(field)
    if isinstance(values, (list, tuple)):
        block = field and model_in(field.annotation)
        for i, value in enumerate(values):
            if block and isinstance(value, dict):
                raise BadValue(i, f"a block is no value to vary; write it into the base scenario and vary {_values(path, block)}")
        if path in INPUTS:
            return Parameter(path, "", tuple(_number(kind, v, i) for i, v in enumerate(values)))
        if kind is None:
            pure = all(_is_number(value) for value in values)
            return Parameter(path, "" if pure else None, tuple(_six(v) if isinstance(v, float) else v for v in values))
        return Parameter(path, kind.unit, tuple(_number(kind, v, i) for i, v in enumerate(values)))
    names = {name: field.alias or name for name, field in type(values).model_fields.items() if name not in ("steps", "distribution")}
    got = {key: _number(kind, getattr(values, name), key, width=key == "sd") for name, key in names.items()}
    if isinstance(values, spec.Range):
        levels = np.linspace(got["from"], got["to"], values.steps)
        return Parameter(path, kind.unit if kind else "", tuple(_six(level) for level in levels))
    return Parameter(path, kind.unit if kind else "", None, _law(values.distribution, got))


def _number(kind, value, where, width=False):
    """A value with its unit as a number; width: of a distribution, which no limit of the value itself holds for."""
    if kind is None:
        if not _is_number(value):
            raise BadValue(where, f"`{shorten(str(value))}` is not a number; this value has no unit")
        return float(value)
    if isinstance(value, str) and value in kind.words and isinstance(where, int):
        return value
    try:
        return _six((replace(kind, low=0.0, high=inf) if width else kind).convert(value))
    except PydanticCustomError as error:
        allowed = f"{kind.kind}, such as `{kind.example}`" if width else error.context["allowed"]
        raise BadValue(where, f"{error.context['wrong']}; allowed is {allowed}") from None


def _law(name, got):
    from scipy import stats

    if "sd" in got and not got["sd"] > 0:
        raise BadValue("sd", "a distribution needs a spread; allowed is more than 0")
    if "low" in got and not got["low"] < got["high"]:
        raise BadValue("high", f"`high` ({number(got['high'])}) must be above `low` ({number(got['low'])})")
    if name == "normal":
        return stats.norm(got["mean"], got["sd"])
    if name == "truncated_normal":
        cut = [(got[end] - got["mean"]) / got["sd"] for end in ("low", "high")]
        return stats.truncnorm(*cut, got["mean"], got["sd"])
    if name == "lognormal":
        if not got["mean"] > 0:
            raise BadValue("mean", "a lognormal value is above 0")
        spread = log(1 + (got["sd"] / got["mean"]) ** 2)
        return stats.lognorm(sqrt(spread), scale=got["mean"] / sqrt(1 + (got["sd"] / got["mean"]) ** 2))
    if name == "uniform":
        return stats.uniform(got["low"], got["high"] - got["low"])
    if not got["low"] <= got["mode"] <= got["high"]:
        raise BadValue("mode", f"`mode` ({number(got['mode'])}) must lie between `low` and `high`")
    width = got["high"] - got["low"]
    return stats.triang((got["mode"] - got["low"]) / width, got["low"], width)


def _field(scenario, path):
    """The field of the language that a dotted path names; the ways of naming are those of scenarios.variation."""
    parts, model = path.split("."), scenario
    if parts[0] == "model" and len(parts) > 1:
        raise BadInput(f"there is no such input of the laws; allowed: {', '.join(INPUTS)}{did_you_mean(path, INPUTS)}")
    if parts[0] == "protocol" and len(parts) > 2:
        kinds = [kind for _, kind, _ in scenario.steps()]
        place = step_index(kinds, parts[1])
        if place is None:
            raise BadInput(f"the protocol has no step `{parts[1]}`; its steps are {', '.join(kinds)}{did_you_mean(parts[1], kinds)}")
        model, parts = scenario.steps()[place][2], parts[2:]
    for part in parts[:-1]:
        model = getattr(model, part, None) if part in type(model).model_fields else None
        if not isinstance(model, Block):
            raise BadInput(f"the scenario has no block `{part}` there")
    fields = type(model).model_fields
    there = getattr(model, parts[-1], None)
    if isinstance(there, Block):
        raise BadInput(f"the scenario has no value `{parts[-1]}` there but a block; vary {_values(path, type(there))}")
    if parts[-1] not in fields or isinstance(there, list):
        words = [name for name in fields if not isinstance(getattr(model, name), list)]
        raise BadInput(f"the scenario has no value `{parts[-1]}` there; it has {', '.join(words)}{did_you_mean(parts[-1], words)}")
    return fields[parts[-1]]


def _values(path, block):
    """'its values screw.fenestration.count or ...'"""
    return "its values " + " or ".join(f"{path}.{name}" for name in block.model_fields)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _six(value):
    return float(f"{value:.6g}")
