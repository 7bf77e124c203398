"""What is wrong with a study beyond its single values: each rule takes a study_loader.View and yields (path, sentence)."""

import re

from pydantic_core import PydanticCustomError

from materials import library
from materials.ablation import within_limits
from scenarios import loader, open_inputs, specimen_table, study
from scenarios.document import Problem, document_of, path_text
from scenarios.loader import did_you_mean
from scenarios.spec import LEVELS, step_kind
from scenarios.study import DIRECTION, MODEL_INPUTS, OUTCOME, OUTCOMES, amount
from scenarios.trouble import BadInput
from scenarios.units import number

DOI = re.compile(r"10\.\d{4,}/\S+")
ROUNDING = 0.03  # by which a ratio may miss that of the means it was computed from


def _doi(view):
    doi = view.data.get("doi")
    if isinstance(doi, str) and not DOI.fullmatch(doi):
        yield ("doi",), f"`{doi}` is no DOI; write it without address, such as `10.1177/2192568220919123`"


def _empty(view):
    if not view.data.get("measured") and not view.data.get("specimens"):
        yield (), "there is nothing to compare with; give `measured:`, or specimen-wise data as `specimens: file.csv`"


def _kinds(view):
    for i, item in view.measured.items():
        if item.kind is None:
            yield (
                ("measured", i),
                ("one of arm, ratio, difference, direction or correlation says what was measured; give exactly one of them"),
            )


def _named_arms(view):
    for i, item in _good(view):
        key = item.kind
        if key == "direction" and not DIRECTION.match(item.direction):
            yield (
                ("measured", i, key),
                f"`{item.direction}` is not a direction; write `arm > other`, `arm < other` or `arm ~ other`",
            )
            continue
        names = (
            item.correlation
            if key == "correlation"
            else [item.arm]
            if key == "arm"
            else list(item.parsed_direction[::2])
            if key == "direction"
            else getattr(item, key)
        )
        for name in names:
            if name not in view.arms:
                yield (
                    ("measured", i, key),
                    f"there is no arm `{name}`; arms: {', '.join(view.arms)}{did_you_mean(name, view.arms)}",
                )


def _good(view):
    return [(i, item) for i, item in view.measured.items() if item.kind is not None]


def _outcomes(view):
    for i, item in _good(view):
        if item.kind == "correlation":
            if item.between is None:
                yield ("measured", i, "between"), "missing; a correlation is `between: [specimen.bmd, cycles_to_loosening]`"
                continue
            names, where = [item.between[1]], ("measured", i, "between")
        else:
            if item.outcome is None:
                yield ("measured", i, "outcome"), f"missing; give what was measured, one of {', '.join(OUTCOMES)}"
                continue
            names, where = item.outcome if isinstance(item.outcome, list) else [item.outcome], ("measured", i, "outcome")
            if isinstance(item.outcome, list) and (item.kind == "arm" or len(names) != 2):
                yield where, "two outcomes are for the two arms of a ratio, a difference or a direction; give one"
                continue
        for name in names:
            found = OUTCOME.match(name)
            key = found["key"] if found else name
            if key not in OUTCOMES:
                yield where, f"`{name}` is not an outcome; allowed: {', '.join(OUTCOMES)}{did_you_mean(key, OUTCOMES)}"
        if item.kind in ("ratio", "difference") and len(set(item.sides)) == 1:
            yield ("measured", i, item.kind), "both sides are the same; name two arms, or one outcome for each side"


def _numbers(view):
    for i, item in _good(view):
        here = ("measured", i)
        name, other = ("mean", "value") if item.kind == "arm" else ("value", "mean")
        if getattr(item, other) is not None:
            yield (*here, other), f"unknown here; {_a(item.kind)} has a `{name}`"
        given = getattr(item, name)
        if item.kind == "direction":
            if given is not None:
                yield (*here, name), "a direction has no number; make it a ratio or a difference"
            continue
        if view.role == "blind":
            if given is not None:
                yield (
                    (*here, name),
                    "a blind study is one whose results are not known; leave it out, or write `role: validation`",
                )
            continue
        if given is None:
            yield (*here, name), f"missing; give the {name} that was measured, or leave the whole entry out"
        if not _outcomes_known(item):
            continue
        for key in (name, "sd"):
            raw = getattr(item, key)
            try:
                read = None if raw is None else amount(raw, item.unit)
            except PydanticCustomError as error:
                yield (*here, key), f"{error.context['wrong']}; allowed is {error.context['allowed']}"
                continue
            if key == "sd" and read is not None and read <= 0:
                yield (*here, key), "a standard deviation is above 0"
            if key == "mean" and read is not None and read < 0:
                yield (*here, key), f"{number(read)} is no measured value; allowed is 0 or more"
            if key == "value" and item.kind == "correlation" and read is not None and not -1 <= read <= 1:
                yield (*here, key), f"{number(read)} is no correlation; allowed is -1 to 1"
            if key == "value" and item.kind == "ratio" and read is not None and read <= 0:
                yield (*here, key), f"{number(read)} is no ratio; it is above 0 (a change of -7 % is 0.93)"


def _a(kind):
    return f"an {kind}" if kind == "arm" else f"a {kind}"


def _outcomes_known(item):
    names = [item.between[1]] if item.between else item.outcome if isinstance(item.outcome, list) else [item.outcome]
    return all(name and (found := OUTCOME.match(name)) and found["key"] in OUTCOMES for name in names)


def _means(view):
    """{(arm, outcome): mean}"""
    found = {}
    for _, item in _good(view):
        if item.kind == "arm" and _outcomes_known(item):
            try:
                found[item.sides[0]] = item.given
            except PydanticCustomError:
                continue
    return {side: mean for side, mean in found.items() if mean is not None}


def _agree_with_means(view):
    """Ratios, differences and directions that the means of the same file contradict."""
    means = _means(view)
    for i, item in _good(view):
        if item.kind not in ("ratio", "difference", "direction") or not _outcomes_known(item):
            continue
        if item.kind == "direction" and not DIRECTION.match(item.direction):
            continue
        if not set(item.sides) <= means.keys():
            continue
        a, b = (means[side] for side in item.sides)
        try:
            value = item.given
        except PydanticCustomError:
            continue
        if item.kind == "ratio" and value is not None and abs(value / (a / b) - 1) > ROUNDING:
            yield (
                ("measured", i, "value"),
                f"the means of these arms have a ratio of {number(a / b)}, not {number(value)}; correct one",
            )
        if item.kind == "difference" and value is not None and abs(value - (a - b)) > ROUNDING * max(abs(a), abs(b)):
            yield (
                ("measured", i, "value"),
                f"the means of these arms differ by {number(a - b)} {item.unit}, not {number(value)}",
            )
        sign = item.parsed_direction[1] if item.kind == "direction" else ""
        if (sign == ">" and a < b) or (sign == "<" and a > b):
            yield ("measured", i, "direction"), f"the means of these arms say the opposite ({number(a)} and {number(b)})"


def _reported(view):
    specimen = view.data.get("specimen")
    specimen = specimen if isinstance(specimen, dict) else {}
    assumed = view.data.get("assumed")
    if (
        "bmd" in specimen
        and "bmd_kind" not in specimen
        and "specimen.bmd_kind" not in (assumed if isinstance(assumed, dict) else {})
    ):
        yield (
            ("specimen", "bmd"),
            "a density is of a kind; give `bmd_kind: qct_k2hpo4`, qct_ha, ash or apparent, or assume `specimen.bmd_kind`",
        )
    for key in ("bmd_sd", "bmd_kind"):
        if key in specimen and "bmd" not in specimen:
            yield ("specimen", key), "there is no `bmd` that it belongs to"
    if "bmd" in specimen and "density" in specimen:
        yield ("specimen", "density"), "bone has a `bmd` and foam a `density`; keep one"


def _assumed(view):
    found = view.study
    if found is None:
        return
    specimen = found.specimen
    for path, assumption in found.assumed.items():
        if assumption.value is None:
            continue
        if path in found.reported:
            yield ("assumed", path), f"the source gives it ({found.reported[path]}), so it cannot be assumed; keep one"
        if (
            path == "specimen.level"
            and specimen.levels
            and assumption.value in LEVELS
            and assumption.value not in specimen.levels
        ):
            yield (
                ("assumed", path, "value"),
                f"{assumption.value} is none of the levels that were tested ({', '.join(specimen.levels)})",
            )
        if all(isinstance(arm, dict) and path in arm for arm in found.arms.values()):
            yield ("assumed", path), "every arm has a value of its own there, so this one is never used; leave it out"
        if not any(_reaches(view, arm, path) for arm in found.arms):
            yield (
                ("assumed", path),
                "no arm has such a value; write a path such as specimen.bmd or screw.pitch, or leave `value` out",
            )


def _reaches(view, arm, path):
    from scenarios.variation import varied

    if (text := view.texts.get(arm)) is None:
        return True  # its own trouble is told elsewhere
    try:
        varied(text, {path: 1})
        return True
    except BadInput:
        return False


def _arms(view):
    """Every arm as a scenario: what is wrong with it is told at the value that the arm, or else the study, sets."""
    found = view.study
    if found is None:
        return
    for arm, given in found.arms.items():
        here = ("arms", arm)
        if not isinstance(given, (dict, str)):
            yield here, "an arm is `{}`, `{dotted path: value}` or the name of a scenario file"
            continue
        try:
            text = study.arm_text(found.model_copy(update={"name": found.name or "study"}), view.folder, arm)
        except BadInput as error:
            yield here, str(error)
            continue
        view.texts[arm] = text
        reading = loader.judged(document_of(text), "arm")
        view.scenarios[arm] = reading.scenario
        for problem in reading.problems:
            dotted = path_text(problem.path).rstrip(": ")
            yield _place(found, arm, dotted), f"in arm `{arm}`: {dotted}: {problem.message}"
        view.warnings += [
            Problem(here, view.document.line(here), f"in arm `{arm}`: {path_text(p.path)}{p.message}")
            for p in reading.warnings
        ]


def _place(found, arm, dotted):
    """Path in the study of what is wrong at `dotted` of an arm's scenario."""
    own = found.arms[arm] if isinstance(found.arms[arm], dict) else {}
    plain = dotted.replace("[1]", "")
    for path in own:
        if path != "base" and (plain.startswith(path) or plain.endswith(path.partition("protocol.")[2] or "\0")):
            return "arms", arm, path
    if plain in found.assumed:
        return "assumed", plain
    if plain in found.reported and "." in plain:
        return tuple(plain.split(".", 1))
    return "arms", arm


def _produced(view):
    """Outcomes that the protocol of an arm does not have."""
    for i, item in _good(view):
        if not view.scenarios or not _outcomes_known(item):
            continue
        if item.kind == "direction" and not DIRECTION.match(item.direction):
            continue
        for arm, outcome in item.sides:
            scenario = view.scenarios.get(arm)
            if scenario is None:
                continue
            kinds = [step_kind(step) for step in scenario.protocol]
            asked = OUTCOME.match(outcome)
            able = [kind for kind, numbers in study.NUMBERS.items() if asked["key"] in {key for key, *_ in numbers}]
            kind, times = asked["kind"], int(asked["number"] or 1)
            key = "between" if item.kind == "correlation" else "outcome"
            if (kind and kind not in able) or not set(able) & set(kinds):
                yield (
                    ("measured", i, key),
                    f"`{outcome}` is an outcome of {' or '.join(able)}; the steps of arm `{arm}` are {', '.join(kinds)}",
                )
            elif kind and kinds.count(kind) < times:
                yield ("measured", i, key), f"arm `{arm}` has {kinds.count(kind)} `{kind}`, so there is no {kind}[{times}]"
    for i, item in _good(view):
        if item.kind == "correlation" and item.between and not item.between[0].count("."):
            yield (
                ("measured", i, "between"),
                f"`{item.between[0]}` is not the path of an input; write one such as specimen.bmd",
            )


def _open(view):
    """Distributions that cannot be sampled, or whose ends are no scenario."""
    found = view.study
    if found is None:
        return
    for path, given in found.open.items():
        here = ("open", path)
        if sum(kind is not None for kind in (given.normal, given.uniform, given.relative)) != 1:
            yield here, "give one of `normal: [mean, SD]`, `uniform: [low, high]` and `relative: 15 %`"
            continue
        try:
            ends = [open_inputs.quantile(given, share, path) for share in (0.0, 1.0)]
        except ValueError as error:
            yield here, str(error)
            continue
        if path in MODEL_INPUTS:
            if given.relative is not None:
                yield (
                    here,
                    "an input of the laws has no value in the arms; give `uniform: [low, high]` or `normal: [mean, SD]`",
                )
                continue
            try:
                for end in ends:
                    within_limits(path, end)
            except ValueError as error:
                yield here, str(error)
            continue
        if path.startswith("model."):
            yield (
                here,
                f"there is no such input of the laws; allowed: {', '.join(MODEL_INPUTS)}{did_you_mean(path, MODEL_INPUTS)}",
            )
            continue
        if not any(_reaches(view, arm, path) for arm in view.texts):
            yield here, "no arm has such a value; write a path such as specimen.bmd"
            continue
        for arm, text in view.texts.items():
            for end in ends:
                fixed = path in open_inputs.own(found, arm) and given.relative is None
                changed = None if fixed or view.scenarios.get(arm) is None else open_inputs.placed(text, path, end, given.relative is not None)
                reading = loader.judged(document_of(changed), "arm") if changed else None
                if reading and reading.problems:
                    yield here, f"at {end}, in arm `{arm}`: {reading.problems[0].message}"
                    break
            else:
                continue
            break


def _specimens(view):
    """The table of specimens, row by row."""
    if view.study is None or not view.study.specimens:
        return
    texts = {arm: text for arm, text in view.texts.items() if view.scenarios.get(arm)}  # the trouble of the others is told elsewhere
    for message in specimen_table.problems(view.study, view.folder, texts):
        yield ("specimens",), message


def _fitted(view):
    """A study that a constant was fitted to proves nothing, nor does a copy of it under another name."""
    known = {str(what).casefold() for what in (view.data.get("name") or view.stem, view.data.get("doi"), view.data.get("citation"))}
    for name, value in vars(library.load("calibrated")).items():
        on = value.fitted["on"] if value.fitted else {}
        if view.role != "calibration" and known & {word.casefold() for study, sources in on.items() for word in (study, *sources)}:
            yield (
                ("role",),
                f"{name} was fitted to this study (materials/calibrated.yaml), so it cannot be {_role(view.role)}; "
                "write `role: calibration`",
            )


def _role(role):
    return "a validation" if role == "validation" else f"`{role}`"


RULES = [
    _doi,
    _empty,
    _fitted,
    _kinds,
    _named_arms,
    _outcomes,
    _numbers,
    _agree_with_means,
    _reported,
    _arms,
    _assumed,
    _produced,
    _open,
    _specimens,
]
