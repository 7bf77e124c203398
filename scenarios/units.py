"""Dimensional values: text with a unit outside, plain floats in mm, N, MPa, s, mg/cm^3 and degrees inside.

`Quantity` is a pydantic annotation; it is the only place where a unit is converted. pint is imported at the first value
that needs it (a quarter of a second that `--help` does not pay).
"""

from dataclasses import dataclass
from functools import cache
from math import inf, isfinite
import re

from pydantic_core import PydanticCustomError, core_schema

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TEXT = re.compile(rf"\s*({NUMBER})\s*(.*?)\s*", re.DOTALL)
_UNIT = re.compile(r"[A-Za-z°%µμ][\w°%µμ/*^.²³ ()-]{0,40}")
_KINDS = {
    "mm": "a length",
    "N": "a force",
    "MPa": "a stress",
    "s": "a time",
    "mm/s": "a speed",
    "mm^3": "a volume",
    "mg/cm^3": "a density",
    "deg": "an angle",
    "mm/N": "a compliance",
    "%": "a percentage",
}
# pint calls angles and percentages both dimensionless; 20 % is no angle, so these are told apart by name.
_ANGLES = {"degree", "radian"}


def number(value):
    """A float as people write it: at most 6 digits, no trailing zeros."""
    return f"{value:.6g}"


@cache
def _registry():
    from pint import UnitRegistry

    return UnitRegistry()


@cache
def _unit(text):
    """The pint unit that `text` names; ValueError if there is none."""
    if not _UNIT.fullmatch(text):
        raise ValueError(text)
    try:
        return _registry().parse_units(text)
    except Exception as error:  # pint raises half a dozen kinds, tokenizer errors among them
        raise ValueError(text) from error


def _same_kind(unit, target):
    if target in ("deg", "%"):
        return str(unit) in (_ANGLES if target == "deg" else {"percent"})
    return unit.dimensionality == _unit(target).dimensionality


@dataclass(frozen=True)
class Quantity:
    """Annotation of a float field: `text` with a unit in, float in `unit` out.

    low, high: inclusive limits in `unit` (nothing beyond them is a pedicle screw experiment); example: what to write;
    words: texts that stand for a value found elsewhere and pass unchanged (`preset`).
    """

    unit: str
    low: float
    high: float
    example: str
    words: tuple[str, ...] = ()

    @property
    def kind(self):
        return _KINDS[self.unit]

    def _allowed(self):
        words = "".join(f" or `{word}`" for word in self.words)
        limits = f"{number(self.low)} to {number(self.high)} {self.unit}"
        return f"{self.kind} from {limits}, such as `{self.example}`{words}"

    def _refuse(self, wrong):
        context = {"wrong": wrong, "allowed": self._allowed()}
        raise PydanticCustomError("quantity", "{wrong}; allowed is {allowed}", context)

    def convert(self, value):
        """Float in `unit`; PydanticCustomError with a sentence that says what is wrong and what is allowed."""
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self._refuse(f"{_describe(value)} is not {self.kind}")
        if not isinstance(value, str):
            if not isfinite(value):
                self._refuse(f"{value} is not a number to compute with")
            self._refuse(f"{shorten(value)} has no unit")
        if value in self.words:
            return value
        match = _TEXT.fullmatch(value)
        if not match:
            self._refuse(f"{shorten(value)!r} is not a number with a unit")
        amount, text = float(match[1]), match[2]
        if not text:
            self._refuse(f"{shorten(value)!r} has no unit")
        try:
            unit = _unit(text)
        except ValueError:
            self._refuse(f"{shorten(text)!r} is not a unit that halofix knows")
        if not _same_kind(unit, self.unit):
            self._refuse(f"{shorten(value)!r} is not {self.kind}")
        if not isfinite(amount):
            self._refuse(f"{shorten(value)!r} is too large a number")
        result = amount if self.unit == "%" else float(_registry().Quantity(amount, unit).m_as(_unit(self.unit)))
        # Conversions leave dust in the last digit; a limit is not meant to the last digit.
        result = float(f"{result:.12g}")
        if not self.low <= result <= self.high:
            self._refuse(f"{shorten(value)!r} is out of range")
        return result

    def __get_pydantic_core_schema__(self, source, handler):
        return core_schema.no_info_plain_validator_function(self.convert)

    def __get_pydantic_json_schema__(self, schema, handler):
        text = {"type": "string", "pattern": rf"^\s*{NUMBER}\s*[A-Za-zµμ°%].*$", "examples": [self.example]}
        if self.low > -inf:
            text["description"] = f"{self.kind}, {number(self.low)} to {number(self.high)} {self.unit}"
        return {"anyOf": [text, {"enum": list(self.words)}]} if self.words else text


def shorten(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _describe(value):
    return {dict: "a mapping", list: "a list", bool: f"`{str(value).lower()}`", type(None): "nothing"}.get(
        type(value), shorten(value)
    )
