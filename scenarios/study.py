"""Study files: what a published (or one's own) experiment did, what it measured, and what of it is left open.

A study names a base scenario and arms that vary it; `cases` makes the scenario text of each. What the paper gives
(`specimen`, `screw`) is set in every arm, then what it does not give and we assume (`assumed`), then what the arm changes.
What is only known within bounds (`open`) is sampled for the interval of a prediction, see scenarios.open_inputs.
"""

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
import re
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError, core_schema

from materials.ablation import INPUTS
from scenarios.document import document_of
from scenarios.result import NUMBERS, WORDS
from scenarios.spec import (
    LEVELS,
    BmdKind,
    Block,
    BoneDensity,
    Core,
    Diameter,
    Length,
    Material,
    Pitch,
    default,
    required,
)
from scenarios.trouble import BadInput
from scenarios.units import Quantity, number, refused
from scenarios.variation import step_index, varied

NOT_GIVEN = "not given by the source"
# End of an outcome's key -> unit that it is in; an outcome of no such end is a number without unit.
UNITS = (("_N_per_mm", "N/mm"), ("_N_mm", "N*mm"), ("_um", "um"), ("_mm", "mm"), ("_N", "N"), ("_deg", "deg"))
OUTCOMES = tuple(WORDS)
OUTCOME = re.compile(r"(?:(?P<kind>cycle|pullout)(?:\[(?P<number>[1-9]\d?)\])?\.)?(?P<key>\w+)$")
DIRECTION = re.compile(r"\s*(?P<first>[^<>~]+?)\s*(?P<sign>[<>~])\s*(?P<second>[^<>~]+?)\s*$")
SAME = 0.2  # `a ~ b`, no difference found: predictions within the share that a ratio may be off
ENDS = {"load_at_loosening_N", "cycles_to_loosening", "peak_force_N"}  # outcomes that a brief run has, see runner.How
AT_PEAK = {"peak_force_N", "displacement_at_peak_mm", "energy_to_peak_N_mm"}  # outcomes of a pull that came to a peak
MODEL_INPUTS = tuple(INPUTS)  # open inputs of the laws, which no scenario names

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]


@dataclass(frozen=True)
class Kinds:
    """Annotation of a value that may be of several kinds and passes unchanged; allowed: which, in words."""

    kinds: tuple
    allowed: str

    def check(self, value):
        if isinstance(value, bool) or not isinstance(value, self.kinds) or value == "":
            raise refused(f"`{value}` is not possible here", self.allowed)
        if isinstance(value, list) and not (len(value) == 2 and all(isinstance(item, str) for item in value)):
            raise refused(f"`{value}` is not a pair of words", self.allowed)
        return value

    def __get_pydantic_core_schema__(self, source, handler):
        return core_schema.no_info_plain_validator_function(self.check)


Amount = Annotated[
    Any,
    Kinds((str, float, int), "a number with its unit, such as `207 N`, or without one where it has none, such as `1.45`"),
]
Outcome = Annotated[
    Any, Kinds((str, list), "the key of a result, such as peak_force_N, or one for each of two arms in `[ ]`")
]
Base = Annotated[Any, Kinds((str, dict), "a scenario file, or a scenario written out below")]


class ReportedSpecimen(Block):
    """The specimens as the source describes them; what it gives is set in every arm."""

    levels: list[Literal[LEVELS]] | None = default(None, NOT_GIVEN, "vertebral levels that were tested")
    n: Count | None = default(None, NOT_GIVEN, "number of specimens")
    bmd: BoneDensity | None = default(None, NOT_GIVEN, "mean bone density")
    bmd_sd: Annotated[float, Quantity("mg/cm^3", 0.1, 300, "16 mg/cm^3")] | None = default(
        None, NOT_GIVEN, "its standard deviation"
    )
    bmd_kind: BmdKind | None = default(None, NOT_GIVEN, "what kind of density it is")
    density: Annotated[float, Quantity("mg/cm^3", 60, 900, "0.24 g/cm^3")] | None = default(
        None, NOT_GIVEN, "density of foam"
    )
    note: Text | None = default(None, "none", "what else is said of them")


class ReportedScrew(Block):
    """The screw as the source describes it; what it gives is set in every arm."""

    diameter: Diameter | None = default(None, NOT_GIVEN, "major diameter")
    length: Length | None = default(None, NOT_GIVEN, "length of the threaded shaft")
    pitch: Pitch | None = default(None, NOT_GIVEN, "pitch")
    core_diameter: Core | None = default(None, NOT_GIVEN, "core diameter")
    material: Material | None = default(None, NOT_GIVEN, "metal")
    note: Text | None = default(None, "none", "what else is said of it")


class Assumption(Block):
    """Something the source does not give: the value put in its place, and why; without a value a simplification."""

    value: Any = default(None, "a simplification, not a value", "value in place of the one that is not given")
    why: Text = required("why this and not something else, in quotes")


class Distribution(Block):
    """What is known of an open input: a normal distribution (cut off at two standard deviations), bounds, or a scatter.

    relative: standard deviation as a share of what the arm has there, for inputs in which the arms differ.
    """

    normal: Annotated[list[Amount], Field(min_length=2, max_length=2)] | None = default(
        None, "bounds are given", "[mean, SD]"
    )
    uniform: Annotated[list[Amount], Field(min_length=2, max_length=2)] | None = default(
        None, "mean and SD are given", "[low, high]"
    )
    relative: Annotated[float, Quantity("%", 0.1, 50, "15 %")] | None = default(
        None, "none", "SD as a share of the arm's own value"
    )
    why: Text = required("where the numbers come from, in quotes")


class Measured(Block):
    """One measured thing: of an arm, between two arms, over several, or only a direction."""

    name: Text | None = default(None, "arms and outcome", "what tables call it")
    arm: Text | None = default(None, "see ratio, difference, direction, correlation", "the arm it was measured on")
    ratio: Annotated[list[Text], Field(min_length=2, max_length=2)] | None = default(None, "none", "[arm, reference arm]")
    difference: Annotated[list[Text], Field(min_length=2, max_length=2)] | None = default(
        None, "none", "[arm, reference arm]"
    )
    direction: Text | None = default(None, "none", "`arm > other`, `arm < other` or `arm ~ other` (no difference found)")
    correlation: Annotated[list[Text], Field(min_length=3)] | None = default(None, "none", "arms over which it is taken")
    between: Annotated[list[Text], Field(min_length=2, max_length=2)] | None = default(
        None, "none", "of a correlation: [path of an input, outcome]"
    )
    outcome: Outcome | None = default(None, "none", "key of the result, or one for each of the two arms")
    mean: Amount | None = default(None, "a blind study", "mean of an arm, with its unit")
    value: Amount | None = default(None, "a blind study", "ratio, difference or correlation")
    sd: Amount | None = default(None, NOT_GIVEN, "standard deviation, with its unit")
    n: Count | None = default(None, NOT_GIVEN, "number of specimens")
    p: Annotated[float, Field(ge=0, le=1)] | None = default(
        None, NOT_GIVEN, "significance of a ratio or difference as reported; above 0.05 it orders no arms"
    )
    paired: bool = default(
        False, "false", "true: a ratio or difference is the mean of those of single specimens, which need not be that of the means"
    )
    uncounted: Text | None = default(
        None, "counted", "why it is compared but counted nowhere, such as `from a formula` or `by construction`"
    )
    note: Text | None = default(None, "none", "how it was read from the source")

    @property
    def kind(self):
        """'arm', 'ratio', 'difference', 'direction' or 'correlation'; None unless exactly one of them is given."""
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        return given[0] if len(given) == 1 else None

    @property
    def sides(self):
        """[(arm, outcome), ...]: of an arm one, of a comparison two, of a correlation one for each arm."""
        if self.kind == "correlation":
            return [(arm, self.between[1]) for arm in self.correlation]
        arms = [self.arm] if self.arm else self.ratio or self.difference or list(self.parsed_direction[::2])
        outcomes = self.outcome if isinstance(self.outcome, list) else [self.outcome] * len(arms)
        return list(zip(arms, outcomes))

    @property
    def parsed_direction(self):
        """(first arm, sign, second arm) of a direction."""
        found = DIRECTION.match(self.direction)
        return found["first"], found["sign"], found["second"]

    @property
    def given(self):
        """What was measured (mean or value), in the unit of the outcome; None of a direction or a blind prediction."""
        raw = self.mean if self.kind == "arm" else self.value
        return None if raw is None else amount(raw, self.unit)

    @property
    def spread(self):
        return None if self.sd is None else amount(self.sd, self.unit)

    @property
    def unit(self):
        """Unit of the number, '' for a ratio, a correlation or a count."""
        return unit(self.sides[0][1]) if self.kind in ("arm", "difference") else ""

    def words(self):
        """What is compared, as a table says it."""
        return (
            self.name
            or {
                "arm": lambda: f"{self.arm}: {self.outcome}",
                "ratio": lambda: f"{_side(self, 0)} / {_side(self, 1)}",
                "difference": lambda: f"{_side(self, 0)} − {_side(self, 1)}",
                "direction": lambda: (
                    f"{self.direction}: {self.outcome if isinstance(self.outcome, str) else ', '.join(self.outcome)}"
                ),
                "correlation": lambda: f"r({self.between[0]}, {self.between[1]}) over {len(self.correlation)} arms",
            }[self.kind]()
        )


KINDS = ("arm", "ratio", "difference", "direction", "correlation")


def _side(measured, index):
    arm, outcome = measured.sides[index]
    return f"{arm} ({outcome})" if isinstance(measured.outcome, list) else arm if index == 0 else f"{arm}: {outcome}"


class Study(Block):
    """A published experiment, or one's own."""

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^/\\\x00-\x1f]*$")] | None = default(
        None, "name of the file", "what to call it in reports"
    )
    citation: Text = required("who published it, where and when, in quotes")
    doi: Text | None = default(None, "none", "such as `10.1177/2192568220919123`")
    role: Literal["calibration", "validation", "blind"] = required(
        "what it is for: a constant is fitted to it, it is predicted, or predicted while its result is not known"
    )
    kind: Literal["cadaveric", "synthetic", "animal"] = required("what was tested")
    specimen: ReportedSpecimen = default(ReportedSpecimen(), NOT_GIVEN, "the specimens as the source describes them")
    screw: ReportedScrew = default(ReportedScrew(), NOT_GIVEN, "the screw as the source describes it")
    base: Base = required("the scenario that the arms vary: a file (path from this file) or written out here")
    arms: Annotated[dict[str, Any], Field(min_length=1)] = required(
        "the arms, each `name: {dotted path: value}`, `name: file.yaml`, or changes with another `base:`"
    )
    measured: list[Measured] = default([], "a specimen-wise table", "what was measured")
    specimens: Text | None = default(None, "none", "CSV file with one row a specimen and arm (path from this file)")
    assumed: dict[str, Assumption] = default({}, "everything is given", "what the source does not give, by dotted path")
    open: dict[str, Distribution] = default({}, "nothing is open", "inputs known within bounds only, by dotted path")
    samples_on: Literal["coarse", "standard"] | None = default(
        None, "the mesh of the arms", "coarser mesh for samples of the open inputs and deliberately wrong models, where the arms' own takes too long"
    )

    @property
    def reported(self):
        """{dotted path: text} of what the source gives and a scenario takes."""
        found, specimen = {}, self.specimen
        if specimen.levels is not None and len(specimen.levels) == 1:
            found["specimen.level"] = specimen.levels[0]
        if specimen.density is not None:
            found["specimen.grade"] = None  # a measured density replaces the nominal one of a grade
        for name in ("bmd", "bmd_kind", "density"):
            if (value := getattr(specimen, name)) is not None:
                found[f"specimen.{name}"] = f"{number(value)} mg/cm^3" if isinstance(value, float) else value
        for name in ("diameter", "length", "pitch", "core_diameter", "material"):
            if (value := getattr(self.screw, name)) is not None:
                found[f"screw.{name}"] = f"{number(value)} mm" if isinstance(value, float) else value
        return found

    def describe(self):
        """One line: what was compared with what."""
        return f"{self.role} study, {len(self.arms)} arms, {len(self.measured)} measured" + (
            f", specimens in {self.specimens}" if self.specimens else ""
        )

    @property
    def uncertain(self):
        """{dotted path: Distribution} of the open inputs, the reported spread of density among them."""
        found = dict(self.open)
        if self.specimen.bmd is not None and self.specimen.bmd_sd:
            found.setdefault(
                "specimen.bmd",
                Distribution(
                    normal=[f"{number(self.specimen.bmd)} mg/cm^3", f"{number(self.specimen.bmd_sd)} mg/cm^3"],
                    why="mean and SD of the specimens, as reported",
                ),
            )
        return found


# -- units of what is measured -----------------------------------------------------------------------------------------


def unit(outcome):
    """Unit of an outcome by the end of its key; '' for a count."""
    return next((unit for end, unit in UNITS if str(outcome).endswith(end)), "")


def amount(value, into):
    """What a study says as a float in the unit `into` ('' for a plain number); PydanticCustomError with a sentence."""
    if into:
        quantity = Quantity(into, -1e9, 1e9, f"207 {into}")
        try:
            return quantity.convert(value)
        except PydanticCustomError as error:
            raise refused(error.context["wrong"], f"{quantity.kind} with its unit, such as `{quantity.example}`") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise refused(f"`{value}` is not a plain number", "a number without unit, such as `1.45`")
    return float(value)


def not_produced(outcome, scenario, arm):
    """Why the protocol of an arm's Scenario does not have an outcome; None if it has."""
    kinds = [kind for _, kind, _ in scenario.steps()]
    asked = OUTCOME.match(outcome)
    able = [kind for kind, numbers in NUMBERS.items() if asked["key"] in {key for key, *_ in numbers}]
    kind, times = asked["kind"], int(asked["number"] or 1)
    if (kind and kind not in able) or not set(able) & set(kinds):
        return f"`{outcome}` is an outcome of {' or '.join(able)}; the steps of arm `{arm}` are {', '.join(kinds)}"
    if kind and kinds.count(kind) < times:
        return f"arm `{arm}` has {kinds.count(kind)} `{kind}`, so there is no {kind}[{times}]"
    return None


# -- cases -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A scenario to carry out: the arm of a study (or a specimen of it), as text; inputs of the laws apart.

    sample: number of the open inputs' sample, None for the nominal one; inputs: {'model.friction': 0.2, ...}; sampled: {dotted path:
    value} of all that the sample set, here or in the text.
    """

    study: str
    arm: str
    text: str
    specimen: str | None = None
    sample: int | None = None
    inputs: dict = field(default_factory=dict)
    sampled: dict = field(default_factory=dict)


def arm_text(study, folder, arm, changes=None):
    """Scenario text of an arm with the dotted paths of `changes` on top; BadInput for a file or a path that is not there.

    folder: of the study file, from which paths are taken.
    """
    own, given = study.arms[arm], None
    if isinstance(own, str):
        given, own = own, {}
    own = dict(own)
    text = readable(base_text(own.pop("base", given or study.base), folder))
    assumed = {path: a.value for path, a in study.assumed.items() if a.value is not None}
    for path, value in (study.reported | assumed).items():
        if path not in own:
            text = _if_there(text, path, value)
    try:
        return varied(text, own | (changes or {}) | {"name": f"{study.name}, {arm}"[:80]})
    except (AttributeError, KeyError, TypeError) as error:  # such as a step of a protocol that the arm has made a word
        raise BadInput(f"its changes do not fit together ({type(error).__name__}: {error})") from None


def sampled_text(study, folder, arm):
    """Scenario text of an arm on the mesh of its samples and wrong models."""
    return arm_text(study, folder, arm, {"resolution": study.samples_on} if study.samples_on else None)


def may_be_brief(study, scenarios):
    """Whether the arms of a study may be run brief (`runner.How`): what it compares is loosening, pullout strength, or of a cycling after
    which something is done to the specimen. scenarios: {arm: Scenario}."""
    for arm, outcome in (side for item in study.measured for side in item.sides):
        found, kinds = OUTCOME.match(outcome), [kind for _, kind, _ in scenarios[arm].steps()]
        place = step_index(kinds, outcome.rpartition(".")[0]) if found["kind"] else len(kinds) - 1
        if found["key"] not in ENDS and (found["key"].startswith("static") or place == len(kinds) - 1):
            return False
    return True


def readable(text):
    """`text`, if values of it can be replaced; BadInput with what keeps that from being done."""
    document = document_of(text)
    steps = document.data.get("protocol") if isinstance(document.data, dict) else None
    if document.problems:
        raise BadInput(f"its base scenario: {document.problems[0].text('')[1:]}")
    if not isinstance(steps, list) or not all(isinstance(step, dict) and step for step in steps):
        raise BadInput("its base scenario has no `protocol` with steps")
    return text


def _if_there(text, path, value):
    """What a study says of all arms holds for those that have such a step: cement for those with cement."""
    try:
        return varied(text, {path: value})
    except BadInput:
        return text


def base_text(base, folder):
    """Text of a base scenario: a mapping written out in the study, or a file."""
    if isinstance(base, dict):
        from io import StringIO

        from ruamel.yaml import YAML

        out = StringIO()
        YAML().dump(base, out)
        return out.getvalue()
    if not isinstance(base, str):
        raise BadInput(f"`base: {base}` is neither a scenario file nor a scenario")
    file = Path(folder) / base
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"there is no scenario file {file} ({getattr(error, 'strerror', None) or error})") from None


def place_of(summary, outcome):
    """Place among the steps of a result.json of the one that an outcome is of; None if there is none."""
    kinds, found = [step.get("kind") for step in summary.get("steps", ())], OUTCOME.match(outcome)
    if found["kind"]:
        return step_index(kinds, outcome.rpartition(".")[0])
    has = [place for place, kind in enumerate(kinds) if found["key"] in {key for key, *_ in NUMBERS.get(kind, ())}]
    return has[-1] if has else None


def outcome_of(summary, outcome):
    """(value, why not) of an outcome such as `cycle[2].load_at_loosening_N` in a result.json; value None where there is none."""
    step = step_of(summary, outcome)
    value = step.get(OUTCOME.match(outcome)["key"]) if step else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None, summary.get("reason") or "the run has no such number"
    tests = [each for each in summary["steps"] if each.get("kind") in NUMBERS]
    if step is tests[-1] and summary["status"] != "completed" and step["kind"] == "pullout":
        return None, f"stopped short: {summary.get('reason')}"  # the largest force so far is no peak
    if step["kind"] == "pullout" and step.get("force_dropped") is False and OUTCOME.match(outcome)["key"] in AT_PEAK:
        return None, "the force was still rising where the protocol stopped the pullout"
    return float(value), ""


def step_of(summary, outcome):
    """The step in a result.json that an outcome is of: the one it names, or the last that can have it; None if there is none."""
    place = place_of(summary, outcome)
    return None if place is None else summary["steps"][place]
