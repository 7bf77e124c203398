"""Scenario files: read, check in full, and report everything that is wrong at once.

    read(file) -> Reading     never raises for what is in the file
    load(file) -> Scenario    raises BadScenario, whose text is one line for each problem
"""

from dataclasses import dataclass
from difflib import get_close_matches
import json
from pathlib import Path
import re
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from scenarios import protocol, rules, spec
from scenarios.document import Problem, read_document
from scenarios.trouble import BadInput
from scenarios.units import Quantity, describe, shorten

# Words that users will try because they make sense in a lab, and what to do about them today.
NOT_YET = {
    "toggle": "toggling is the step `cycle`, such as `- cycle: {preset: weiser}`",
    "surface": "vertebrae from a surface file are not available yet; use `level: L3` for an anthropometric vertebra",
    "ct": "vertebrae from CT are not available yet; use `level: L3` for an anthropometric vertebra",
    "interdigitation": "how far cement reaches into the bone follows from its volume and the porosity of the bone; "
    "leave it out",
    "leads": "leave it out; `pitch` is the distance from one thread to the next, whatever the number of leads",
}
STUDY_KEYS = {"citation", "role", "arms", "measured"}
SWEEP_KEYS = {"scenario", "parameters", "design"}  # that no scenario has
SHAPES = "a vertebra (`level: L3`), a bone cylinder (`shape: cylinder`) or a foam block (`shape: block`)"


class BadScenario(BadInput):
    """A scenario that cannot be run. problems: [Problem]; str() is what the user reads."""

    def __init__(self, file, problems):
        self.problems = problems
        super().__init__("\n".join(problem.text(file) for problem in problems))


@dataclass(frozen=True)
class Reading:
    """A file as read: scenario (None if there are problems), problems and warnings in the order of the lines."""

    scenario: spec.Scenario | None
    problems: list
    warnings: list
    text: str

    @property
    def content(self):
        return self.scenario


def is_study(document):
    """Whether the data of a Document are a study (scenarios.study) and not a scenario: told by its keys."""
    return isinstance(document.data, dict) and len(STUDY_KEYS & document.data.keys()) >= 2


def is_sweep(document):
    """Whether the data of a Document are a sweep (scenarios.sweeps.spec): told by any of its keys, of which others may be misspelt."""
    keys = document.data.keys() if isinstance(document.data, dict) else set()
    return not SWEEP_KEYS.isdisjoint(keys) and not {"specimen", "protocol"} <= keys and not is_study(document)


def load(file):
    """The validated Scenario in `file`; BadScenario if anything is wrong with it."""
    reading = read(file)
    if reading.problems:
        raise BadScenario(file, reading.problems)
    return reading.scenario


def read(file):
    """Read and check `file` in full."""
    return judged(read_document(file), file)


def judged(document, file):
    """The Reading of a Document, whose data may have been changed since it was read; `file` is where it is said to come from and
    what a scenario without a name is called after."""
    scenario, warnings = None, []
    tell_decimal_commas(document)
    if is_sweep(document):
        document.problems.clear()
        document.add((), f"this is a sweep and not a scenario; `./halofix sweep {file}` runs it")
    elif is_study(document):
        document.problems.clear()
        document.add((), f"this is a study and not a scenario; `./halofix validate {file}` compares it with simulations")
    elif document.data is not None and not isinstance(document.data, dict):
        document.add((), "a scenario is a mapping with the keys `specimen`, `screw` and `protocol`")
    elif document.data is not None:
        scenario = validated(document, spec.Scenario)
        readable = scenario or lenient(spec.Scenario, document.data)
        for path, message in rules.contradictions(readable):
            if tuple(path) not in document.flagged:
                document.add(path, message)
        if not document.problems:
            warnings = [Problem(tuple(path), document.line(path), text) for path, text in rules.warnings(scenario)]
        scenario = scenario and scenario.named(Path(file).stem)
    problems = sorted(document.problems, key=lambda p: p.line)
    return Reading(None if problems else scenario, problems, warnings, document.text)


class _Schema(GenerateJsonSchema):
    """As files are written: what may be left out is left out, never null; defaults are shown as one would type them."""

    def nullable_schema(self, schema):
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema):
        default = schema.get("default")
        if default is None or isinstance(default, BaseModel):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def schema_text():
    """JSON Schema of a scenario file, as text."""
    schema = {"$schema": _Schema.schema_dialect} | spec.Scenario.model_json_schema(schema_generator=_Schema)
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def tell_decimal_commas(document):
    """Between braces `{diameter: 6,5 mm}` is a diameter of 6 and a key `5 mm` without value: what was meant is said in place of both."""
    for problem in list(document.problems):
        block, key = problem.path[:-1], str(problem.path[-1]) if problem.path else ""
        if not key[:1].isdigit() or not problem.line:
            continue
        line = document.text.splitlines()[problem.line - 1]
        for name, number in re.findall(rf"([\w.\[\]]+)\s*:\s*([-+]?\d+,\s*{re.escape(key)})(?![\w.])", line):
            if (*block, name) in document.lines:
                document.problems = [other for other in document.problems if other is not problem]
                if (*block, name) not in document.flagged:
                    document.add((*block, name), f"{number!r} has a decimal comma; a number has a decimal point")


def validated(document, model):
    """The data of a Document as `model`, or None with its problems noted in the document."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            _note(document, item, model)
        return None


def _note(document, item, root):
    """Turn one pydantic error into a Problem, in the user's words."""
    path = tuple(p for p in item["loc"] if not (isinstance(p, str) and p.startswith("<")))
    kind, value = item["type"], item.get("input")
    if path in document.flagged:
        return
    if kind == "missing":
        if _gives_later_word(value):
            return
        document.add(path, _missing(model_at(item["loc"], root), path, value))
    elif kind == "extra_forbidden":
        document.add(path, _unknown(path[-1], model_at(item["loc"], root)))
    elif kind.startswith("union_tag"):
        document.add(path, _step(value) if path[0] == "protocol" else _shape(value))
    elif kind == "literal_error":
        document.add(path, not_among(item, value))
    elif kind == "quantity":
        document.add(path, f"{item['ctx']['wrong']}; allowed is {item['ctx']['allowed']}")
    else:
        document.add(path, wrong_kind(kind, item, value, path))


def not_among(item, value):
    """What to say of a word that is none of those allowed."""
    words = [w.strip("'") for w in item["ctx"]["expected"].replace(" or ", ", ").split(", ")]
    return f"{describe(value)} is not possible; allowed: {', '.join(words)}{did_you_mean(value, words)}"


def wrong_kind(kind, item, value, path):
    """What to say of a value of another kind than its place at `path` takes."""
    context = item.get("ctx", {})
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{describe(value)} is not a mapping; write `key: value` pairs, or `{{}}` for all defaults"
    if kind == "list_type" and path != ("protocol",):
        return "this is not a list; write `[a, b]`, or one entry a line, each after a dash"
    if kind == "list_type":
        return "this is not a list; write one step a line, each after a dash: `- insert: {}`"
    if kind in ("too_short", "too_long") and path != ("protocol",):
        least, most = context.get("min_length"), context.get("max_length")
        return f"it holds {context['actual_length']}; allowed is {f'at least {least}' if most is None else f'at most {most}'}"
    if kind == "too_short":
        return "there is nothing in it; a protocol needs at least `- insert: {}` and `- pullout: {}`"
    if kind.startswith("float"):
        return f"{describe(value)} is not a number; write one without unit or quotes, such as `0.1`"
    if kind.startswith("int"):
        return f"{describe(value)} is not a whole number; write one without unit or quotes"
    if kind in ("greater_than_equal", "less_than_equal"):
        limit = f"at least {context['ge']:g}" if "ge" in context else f"at most {context['le']}"
        return f"{describe(value)} is out of range; allowed is {limit}"
    if kind == "multiple_of":
        return f"{describe(value)} is not possible; allowed is a multiple of {context['multiple_of']}"
    if kind == "finite_number":
        return f"{describe(value)} is not a number to compute with"
    if kind == "string_type":
        return f"{describe(value)} is not text; put it in quotes"
    if kind == "string_too_short" and path[-1] != "name":
        return "there is no text in it; write some in quotes"
    if kind.startswith("string"):
        return f"{describe(value)} cannot be a name; use 1 to 80 characters on one line, without / and \\"
    return item["msg"]


def did_you_mean(word, words):
    """' (did you mean `x`?)' if one of `words` is like `word`, else ''."""
    by_lower = {w.lower(): w for w in map(str, words)}
    near = get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean `{by_lower[near[0]]}`?)" if near else ""


def _gives_later_word(value):
    return isinstance(value, dict) and not NOT_YET.keys().isdisjoint(value)


def _missing(model, path, around):
    field = model.model_fields[path[-1]]
    quantity = next((m for m in field.metadata if isinstance(m, Quantity)), None)
    if model is spec.Vertebra and path[-1] == "level" and "shape" not in around:
        return f"missing; a specimen is {SHAPES}"
    how = f"such as `{path[-1]}: {quantity.example}`" if quantity else ""
    if get_origin(field.annotation) is Literal:
        how = f"one of {', '.join(map(str, get_args(field.annotation)))}"
    return f"missing; give {field.description}" + (f", {how}" if how else "")


def _unknown(key, model):
    if key in NOT_YET:
        return NOT_YET[key]
    words = list(model.model_fields)
    if not words:
        return "unknown key; this step takes none: write `{}`"
    return f"unknown key; allowed: {', '.join(words)}{did_you_mean(key, words)}"


def _step(value):
    allowed = ", ".join(spec.STEPS)
    if isinstance(value, str):
        if value in NOT_YET:
            return NOT_YET[value]
        example = value if value in spec.STEPS else "insert"
        body = "{preset: weiser}" if example == "cycle" else "{}"
        return f"`{shorten(value)}` is not a step; write it with a colon, such as `- {example}: {body}`"
    if not isinstance(value, dict) or not value:
        return f"{describe(value)} is not a step; a step is one of {allowed}, such as `- insert: {{}}`"
    if len(value) > 1:
        keys = list(value)
        if sum(key in spec.STEPS for key in keys) == 1 and keys[0] in spec.STEPS:
            return f"{', '.join(f'`{k}`' for k in keys[1:])} must be indented deeper than `{keys[0]}`, to be part of it"
        return f"one step a dash; this one holds {', '.join(keys)}: give each its own `- `"
    word = next(iter(value))
    return NOT_YET.get(word) or f"unknown step `{shorten(word)}`; allowed: {allowed}{did_you_mean(word, spec.STEPS)}"


def _shape(value):
    if not isinstance(value, dict):
        return f"{describe(value)} is not a specimen; a specimen is {SHAPES}"
    shape = value.get("shape")
    meant = did_you_mean(shape, ["vertebra", "cylinder", "block"])
    return f"unknown shape {describe(shape)}; a specimen is {SHAPES}{meant}"


def model_in(annotation):
    """The model class inside an annotation such as `Fenestration | None`, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_in, get_args(annotation))), None)


def model_at(location, model, tagged=spec.TAGGED):
    """The model whose field the last element of a pydantic location names; model: where the location begins."""
    for part in location[:-1]:
        if isinstance(part, str) and part.startswith("<"):
            model = tagged[part]
        elif part in model.model_fields:
            model = model_in(model.model_fields[part].annotation) or model
    return model


class Partial:
    """The readable values of a block that has errors elsewhere; asking for another one raises protocol.Unknown."""

    def __init__(self, model, values):
        self.model, self.values = model, values

    def __getattr__(self, name):
        # hasattr and getattr with a default must keep working, hence an Unknown that is an AttributeError as well.
        try:
            return self.values[name]
        except KeyError:
            raise protocol.Unknown(name) from None

    def steps(self):
        return [(i, kind, body) for i, (kind, body) in self.values["protocol"].items()]


def lenient(model, data):
    """`data` read as `model` as far as it goes, so that contradictions between good values are found as well."""
    values = {}
    for name, field in model.model_fields.items():
        if name not in data:
            if not field.is_required():
                values[name] = field.get_default(call_default_factory=True)
                values[name] = _valid(field, values[name])
            continue
        raw, inner = data[name], model_in(field.annotation)
        valid = _valid(field, raw)
        if valid is not None:
            values[name] = valid
        elif name == "specimen" and isinstance(raw, dict):
            inner = spec.TAGGED.get(f"<{raw.get('shape', 'vertebra')}>")
            if inner:
                values[name] = lenient(inner, raw)
        elif inner and isinstance(raw, dict) and name != "protocol":
            values[name] = lenient(inner, raw)
    if model is spec.Scenario:
        values["protocol"] = _lenient_steps(data.get("protocol"))
    return Partial(model, values)


def _valid(field, raw):
    annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        return TypeAdapter(annotation).validate_python(raw)
    except ValidationError:
        return None


def _lenient_steps(steps_given):
    """{index: (kind, body)}; kind None for what is no step, whose place in the order counts all the same."""
    steps = {}
    for i, item in enumerate(steps_given if isinstance(steps_given, list) else []):
        kind = next(iter(item)) if isinstance(item, dict) and len(item) == 1 else None
        kind = kind if kind in spec.STEPS else None
        body = item[kind] if kind else None
        model = model_in(spec.STEPS[kind].model_fields[kind].annotation) if kind else None
        steps[i] = (kind, lenient(model, body) if isinstance(body, dict) else Partial(model, {}))
    return steps

