"""The sweep file: base scenario, parameters, design, outputs; everything that is wrong with one is said at once.

    read(file) -> (Sweep, Document)     the Document holds the problems and the line of every value

Here only the form is judged. Values are judged by the scenario language, case by case (plan.py).
"""

from math import prod
from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError

from scenarios.document import EMPTY, Problem, read_document
from scenarios.language import Block, required
from scenarios.loader import did_you_mean, model_at, not_among, tell_decimal_commas, wrong_kind
from scenarios.result import WORDS
from scenarios.runner import RESOLUTIONS
from scenarios.units import describe

# keys of result.json that a sweep may collect
OUTPUTS = (
    *WORDS, "failure_type", "first_maximum_N", "first_maximum_displacement_mm", "displacement_at_end_mm", "force_at_end_N", "largest_slip_um",
    "metal_utilisation", "seconds_total", "memory_MiB")
MOST = 1_000_000  # cases
Count = Annotated[int, Field(strict=True, ge=1, le=MOST)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**31)]


# -- values of a parameter ---------------------------------------------------------------------------------------------


class Range(Block):
    """Evenly spaced values, both ends included."""

    from_: Any = Field(alias="from", description="the first value, with its unit")
    to: Any = required("the last value, with its unit")
    steps: Annotated[int, Field(strict=True, ge=2, le=10_000)] = required("how many values")


class Normal(Block):
    distribution: Literal["normal"]
    mean: Any = required("the mean, with its unit")
    sd: Any = required("the standard deviation, with its unit")


class TruncatedNormal(Block):
    """mean and sd are those of the normal distribution before it is cut off at low and high."""

    distribution: Literal["truncated_normal"]
    mean: Any = required("the mean, with its unit")
    sd: Any = required("the standard deviation, with its unit")
    low: Any = required("the smallest value, with its unit")
    high: Any = required("the largest value, with its unit")


class Lognormal(Block):
    """mean and sd are those of the value itself, as tables give them, not of its logarithm."""

    distribution: Literal["lognormal"]
    mean: Any = required("the mean, with its unit")
    sd: Any = required("the standard deviation, with its unit")


class Uniform(Block):
    distribution: Literal["uniform"]
    low: Any = required("the smallest value, with its unit")
    high: Any = required("the largest value, with its unit")


class Triangular(Block):
    distribution: Literal["triangular"]
    low: Any = required("the smallest value, with its unit")
    mode: Any = required("the most likely value, with its unit")
    high: Any = required("the largest value, with its unit")


LAWS = {"normal": Normal, "truncated_normal": TruncatedNormal, "lognormal": Lognormal, "uniform": Uniform,
        "triangular": Triangular}


def _values_tag(value):
    if isinstance(value, list):
        return "<list>"
    if not isinstance(value, dict):
        return None
    law = value.get("distribution", "range")
    return f"<{law}>" if isinstance(law, str) else None


Values = Annotated[
    Union[
        Annotated[list[Any], Field(min_length=1), Tag("<list>")],
        Annotated[Range, Tag("<range>")],
        *(Annotated[law, Tag(f"<{name}>")] for name, law in LAWS.items()),
    ],
    Discriminator(_values_tag),
]

# -- designs -----------------------------------------------------------------------------------------------------------


class Grid(Block):
    """Every combination of the listed values."""

    kind: Literal["grid"]
    seed: Seed = 0


class Rows(Block):
    """The first values of all parameters together, then the second ones, and so on."""

    kind: Literal["list"]
    seed: Seed = 0


class OneAtATime(Block):
    """The base scenario, and each value with all else as in the base scenario."""

    kind: Literal["one_at_a_time"]


class LatinHypercube(Block):
    kind: Literal["latin_hypercube"]
    samples: Count = required("how many cases")
    seed: Seed = 0


class SobolSequence(Block):
    """A scrambled Sobol sequence: fills the space evenly."""

    kind: Literal["sobol_sequence"]
    samples: Count = required("how many cases, a power of 2")
    seed: Seed = 0


class Sobol(Block):
    """Saltelli's design for Sobol indices."""

    kind: Literal["sobol"]
    samples: Count = required("a power of 2; with d parameters samples x (d + 2) cases")
    seed: Seed = 0


class Morris(Block):
    """Elementary effects along trajectories."""

    kind: Literal["morris"]
    samples: Count = required("how many trajectories, 10 or so; with d parameters samples x (d + 1) cases")
    seed: Seed = 0


class Table(Block):
    """A row a case; the columns are headed as in table.csv: `specimen.bmd [mg/cm^3]`."""

    kind: Literal["csv"]
    file: str = required("the table, relative to the sweep file")


DESIGNS = {"grid": Grid, "list": Rows, "one_at_a_time": OneAtATime, "latin_hypercube": LatinHypercube,
           "sobol_sequence": SobolSequence, "sobol": Sobol, "morris": Morris, "csv": Table}
MORRIS_LEVELS = 4  # the usual choice
RANDOM = ("latin_hypercube", "sobol_sequence", "sobol", "morris")


def _design_tag(value):
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>" if isinstance(kind, str) else None


Design = Annotated[
    Union[tuple(Annotated[design, Tag(f"<{kind}>")] for kind, design in DESIGNS.items())],
    Discriminator(_design_tag),
    BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),
]

# -- the file ----------------------------------------------------------------------------------------------------------


class Sweep(Block):
    """A sweep as its file gives it."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^/\\\x00-\x1f]*$")] | None = None
    scenario: str = required("the base scenario, relative to the sweep file")
    parameters: dict[str, Values] = Field(default_factory=dict)
    design: Design = required(f"how the values are combined: {', '.join(DESIGNS)}")
    replicates: Annotated[int, Field(strict=True, ge=2, le=100_000)] | None = None
    outputs: Annotated[list[str], Field(min_length=1)] | None = None
    resolution: Literal[RESOLUTIONS] | None = None
    ranks: Annotated[int, Field(strict=True, ge=1, le=4096)] | None = None
    batch: Count | None = None
    keep: Literal["all", "numbers"] = "all"


TAGGED = {f"<{kind}>": model for kind, model in (LAWS | DESIGNS).items()} | {"<range>": Range, "<list>": Range}


def read(file):
    """(Sweep, Document) of `file`; None in place of a Sweep whose form is wrong. All problems are in the Document."""
    document = read_document(file)
    document.problems = [Problem(p.path, p.line, p.message.replace(EMPTY, _EMPTY)) for p in document.problems]
    if document.data is None:
        return None, document
    if not isinstance(document.data, dict):
        document.add((), "a sweep is a mapping with the keys `scenario`, `parameters` and `design`")
        return None, document
    if {"specimen", "protocol"} <= document.data.keys():
        document.problems.clear()
        document.add((), f"this is a scenario and not a sweep; `./halofix run {file}` runs it, and a sweep names it as its `scenario`")
        return None, document
    sweep = None
    tell_decimal_commas(document)
    try:
        sweep = Sweep.model_validate(document.data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            _note(document, item)
    if sweep:
        _agree(sweep, document)
    return sweep, document


_EMPTY = "the file is empty; a sweep needs `scenario`, `parameters` and `design`"


def _note(document, item):
    """Turn one pydantic error into a Problem, in the user's words."""
    path = tuple(p for p in item["loc"] if not (isinstance(p, str) and p.startswith("<")))
    kind, value = item["type"], item.get("input")
    if path in document.flagged:
        return
    if kind == "missing":
        fields = model_at(item["loc"], Sweep, TAGGED).model_fields.items()
        field = next(field for name, field in fields if path[-1] in (name, field.alias))
        document.add(path, f"missing; give {field.description}")
    elif kind == "extra_forbidden":
        words = [field.alias or name for name, field in model_at(item["loc"], Sweep, TAGGED).model_fields.items()]
        document.add(path, f"unknown key; allowed: {', '.join(words)}{did_you_mean(path[-1], words)}")
    elif kind.startswith("union_tag") and path[0] == "design":
        document.add(path, _design(value))
    elif kind.startswith("union_tag"):
        document.add(path, _values(value))
    elif kind == "literal_error":
        document.add(path, not_among(item, value))
    elif kind == "too_short" or kind == "list_type":
        document.add(path, "give a list with at least one element, in brackets: `[60 mg/cm^3, 80 mg/cm^3]`")
    else:
        document.add(path, wrong_kind(kind, item, value, path))


def _design(value):
    word = value.get("kind") if isinstance(value, dict) else value
    if word is None:
        return f"which design? give `kind`; allowed: {', '.join(DESIGNS)}"
    return f"{describe(word)} is not a design; allowed: {', '.join(DESIGNS)}{did_you_mean(word, DESIGNS)}"


def _values(value):
    if isinstance(value, dict):
        word = value["distribution"]
        return f"{describe(word)} is not a distribution; allowed: {', '.join(LAWS)}{did_you_mean(word, LAWS)}"
    return (f"{describe(value)} are no values to vary; give a list `[60 mg/cm^3, 80 mg/cm^3]`, a range `{{from: 60 mg/cm^3, "
            "to: 80 mg/cm^3, steps: 3}` or a distribution `{distribution: uniform, low: 60 mg/cm^3, high: 80 mg/cm^3}`")


def _agree(sweep, document):
    """What takes two keys to judge."""
    kind, drawn = sweep.design.kind, [p for p, values in sweep.parameters.items() if hasattr(values, "distribution")]
    if kind == "csv":
        for key in ("parameters", "replicates"):
            if key in document.data:
                document.add((key,), f"leave this out: the rows of {sweep.design.file} are the cases")
        return
    if not sweep.parameters:
        document.add(("parameters",), "missing; give what is varied, such as `specimen.bmd: [60 mg/cm^3, 80 mg/cm^3]`")
    if kind in RANDOM:
        for path, values in sweep.parameters.items():
            if isinstance(values, Range):
                document.add(("parameters", path), f"the design {kind} draws values; give a distribution, such as "
                             "`{distribution: uniform, low: .., high: ..}`, or a list to draw from")
    elif drawn and (sweep.replicates is None or kind == "one_at_a_time"):
        remedy = "give a list or a range" + ("" if kind == "one_at_a_time" else ", or `replicates`, the size of the cohort")
        for path in drawn:
            document.add(("parameters", path), f"the design {kind} has no place for a distribution; {remedy}")
    if sweep.replicates is not None:
        if kind in ("sobol", "morris", "one_at_a_time"):
            document.add(("replicates",), f"the design {kind} is not repeated" + ("; raise its `samples`" if kind in RANDOM else ""))
        elif kind in ("grid", "list") and not drawn:
            document.add(("replicates",), "equal cases give equal results; replicates need a parameter with a distribution")
    elif kind in ("grid", "list") and "seed" in sweep.design.model_fields_set:
        document.add(("design", "seed"), "nothing is drawn here; leave it out")
    if kind in ("sobol", "sobol_sequence") and sweep.design.samples & (sweep.design.samples - 1):
        document.add(("design", "samples"), f"`{sweep.design.samples}` is not a power of 2, which a Sobol sequence needs for its balance; "
                     f"allowed: such as {2 ** (sweep.design.samples.bit_length() - 1)} or {2 ** sweep.design.samples.bit_length()}")
    lengths = {path: values.steps if isinstance(values, Range) else len(values)
               for path, values in sweep.parameters.items() if not hasattr(values, "distribution")}
    if (count := _count(sweep, lengths.values())) > MOST:
        document.add(("design",), f"these are {count} cases; allowed are at most {MOST}")
    if kind == "list":
        for path, length in lengths.items():
            if length != max(lengths.values()):
                document.add(("parameters", path), f"{length} values, but another parameter has {max(lengths.values())}; in the "
                             "design list the values of all parameters at the same place belong together")
    if kind == "morris":
        for path, values in sweep.parameters.items():
            if isinstance(values, list) and len(values) != MORRIS_LEVELS:
                document.add(("parameters", path), f"{len(values)} values; the design morris steps over {MORRIS_LEVELS} levels and would take some of "
                             f"them for others; give {MORRIS_LEVELS} values, or a distribution")
    if kind == "morris" and len(sweep.parameters) < 2:
        document.add(("design",), "morris compares parameters and needs at least two; for one take the design grid")


def _count(sweep, lengths):
    """How many rows the design has; lengths: of the listed values."""
    count, samples = len(sweep.parameters), getattr(sweep.design, "samples", 1)
    each = {"grid": prod(lengths), "list": max(lengths, default=1), "one_at_a_time": 1 + sum(lengths), "sobol": samples * (count + 2),
            "morris": samples * (count + 1)}
    return each.get(sweep.design.kind, samples) * (sweep.replicates or 1)
