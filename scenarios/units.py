"""Dimensional values: text with a unit outside, plain floats in mm, N, MPa, s, Hz, mg/cm^3 and degrees inside.

`Quantity` is a pydantic annotation; it is the only place where a unit is converted. `Ramp` and `Axis` are the values of
more than one number. pint is imported at the first value that needs it (a quarter of a second that `--help` does not
pay).
"""

from dataclasses import dataclass
from functools import cache
from math import hypot, inf, isfinite
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
    "Hz": "a frequency",
    "mm/s": "a speed",
    "mm^3": "a volume",
    "mg/cm^3": "a density",
    "deg": "an angle",
    "mm/N": "a compliance",
    "N/mm": "a stiffness",
    "N*mm": "an energy",
    "um": "a length",
    "ml": "a volume",
    "%": "a percentage",
}
# pint calls angles and percentages both dimensionless; 20 % is no angle, so these are told apart by name.
_ANGLES = {"degree", "radian"}


def number(value):
    """A float as people write it: at most 6 digits, no trailing zeros."""
    return f"{value:.6g}"


def mm(value):
    """A length as a sentence gives it: '6.5 mm', to hundredths."""
    return f"{number(round(value, 2))} mm"


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
    if target == "Hz":  # pint also takes 1 rpm for 0.1 Hz
        return str(unit).endswith("hertz")
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
        raise refused(wrong, self._allowed())

    def convert(self, value):
        """Float in `unit`; PydanticCustomError with a sentence that says what is wrong and what is allowed."""
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self._refuse(f"{describe(value)} is not {self.kind}")
        if not isinstance(value, str):
            if not isfinite(value):
                self._refuse(f"{value} is not a number to compute with")
            self._refuse(f"{shorten(value)} has no unit")
        if value in self.words:
            return value
        match = _TEXT.fullmatch(value)
        if match and match[2].startswith(","):
            self._refuse(f"{shorten(value)!r} has a decimal comma; a number has a decimal point")
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


def refused(wrong, allowed):
    """The error for a value that is `wrong`, with what is `allowed`."""
    return PydanticCustomError("quantity", "{wrong}; allowed is {allowed}", {"wrong": wrong, "allowed": allowed})


@dataclass(frozen=True)
class Ramp:
    """How the peak load grows: by step_N after every `every` cycles; every None: evenly, by step_N each cycle."""

    step_N: float
    every: int | None = None

    FORCE = Quantity("N", 1e-6, 1000, "0.1 N")
    ALLOWED = "`0.1 N/cycle`, `25 N every 250 cycles` or `constant`, with up to 1000 N and 1000000 cycles"
    _EACH = re.compile(r"(.*?)\s*(?:/|\bper\b)\s*cycles?\s*", re.DOTALL)
    _EVERY = re.compile(r"(.*?)\s*\bevery\s+(\d{1,7})\s+cycles?\s*", re.DOTALL)

    def __str__(self):
        if not self.step_N:
            return "constant"
        return f"{number(self.step_N)} N/cycle" if self.every is None else (
            f"{number(self.step_N)} N every {self.every} cycles"
        )

    @classmethod
    def read(cls, value):
        """A Ramp from what a user writes; PydanticCustomError with a sentence."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            wrong = "has no unit" if type(value) in (int, float) else "is not a ramp"
            raise refused(f"{describe(value)} {wrong}", cls.ALLOWED)
        if value.strip() == "constant":
            return cls(0.0)
        if each := cls._EACH.fullmatch(value):
            return cls(cls._force(each[1]))
        if not (every := cls._EVERY.fullmatch(value)):
            raise refused(f"{shorten(value)!r} does not say how the load grows", cls.ALLOWED)
        if not 1 <= int(every[2]) <= 1_000_000:
            raise refused(f"{shorten(value)!r} is out of range", cls.ALLOWED)
        return cls(cls._force(every[1]), int(every[2]))

    @classmethod
    def _force(cls, text):
        try:
            return cls.FORCE.convert(text)
        except PydanticCustomError as error:
            raise refused(error.context["wrong"], cls.ALLOWED)

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        text = rf"^\s*{NUMBER}\s*[A-Za-zµμ]+\s*((/|per)\s*cycles?|every\s+\d+\s+cycles?)\s*$"
        grows = {"type": "string", "pattern": text, "examples": ["0.1 N/cycle", "25 N every 250 cycles"]}
        return {"anyOf": [grows, {"enum": ["constant"]}]}


class Axis:
    """Annotation of a direction: a word, or three numbers that become a unit vector."""

    WORDS = ("craniocaudal", "mediolateral", "axial")
    ALLOWED = f"{', '.join(WORDS)} or three numbers, such as `[0, 0, 1]`"

    @classmethod
    def read(cls, value):
        """A word of WORDS or a unit vector (x, y, z); PydanticCustomError with a sentence."""
        if isinstance(value, str) and value in cls.WORDS:
            return value
        if not isinstance(value, (list, tuple)):
            raise refused(f"{describe(value)} is not an axis", cls.ALLOWED)
        if len(value) != 3 or any(type(x) not in (int, float) or not isfinite(x) for x in value):
            raise refused("this is not a direction of three numbers without units", cls.ALLOWED)
        largest = max(map(abs, value))
        if not largest:
            raise refused("[0, 0, 0] has no direction", cls.ALLOWED)
        scaled = [x / largest for x in value]  # squares of numbers as large as 1e200 would overflow
        return tuple(x / hypot(*scaled) for x in scaled)

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        direction = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
        return {"anyOf": [{"enum": list(cls.WORDS)}, direction]}


def shorten(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def describe(value):
    """A value that someone wrote, in words."""
    words = {dict: "a mapping", list: "a list", bool: f"`{str(value).lower()}`", type(None): "nothing"}
    return words.get(type(value), f"`{shorten(value)}`")
