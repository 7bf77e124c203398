"""What was measured, as a study file says it: outcomes, numbers, and whether they agree with each other; rules as in study_rules.py."""

from pydantic_core import PydanticCustomError

from scenarios import comparing, study
from scenarios.agreement import distinct
from scenarios.loader import did_you_mean
from scenarios.study import DIRECTION, OUTCOME, OUTCOMES, amount
from scenarios.units import number
from scenarios.variation import number_in

ROUNDING = 0.03  # by which a ratio may miss that of the means it was computed from
LARGEST_SD = 2.0  # of a mean: what is measured here is above 0, so that a larger one is hardly ever found
TURNED = {">": "<", "<": ">", "~": "~"}


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


def _comparable(view):
    """[(index, item)] whose arms and outcomes can be read."""
    return [
        (i, item)
        for i, item in _good(view)
        if _outcomes_known(item) and (item.kind != "direction" or DIRECTION.match(item.direction))
    ]


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
        units = dict.fromkeys(study.unit(name) or "cycles" for name in names)
        if len(units) > 1:
            yield where, f"these are in {' and '.join(units)}; compare outcomes of one unit"


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
            if key == "mean" and read is not None and read <= 0:
                yield (*here, key), f"{number(read)} is no measured value; allowed is above 0"
            if key == "value" and item.kind == "correlation" and read is not None and not -1 <= read <= 1:
                yield (*here, key), f"{number(read)} is no correlation; allowed is -1 to 1"
            if key == "value" and item.kind == "difference" and read == 0 and item.sd is None:
                yield (*here, key), "no share of 0 can be missed; give `sd`, or write a direction `arm ~ other`"
            if key == "value" and item.kind == "ratio" and read is not None and read <= 0:
                yield (*here, key), f"{number(read)} is no ratio; it is above 0 (a change of -7 % is 0.93)"


def _a(kind):
    return f"an {kind}" if kind == "arm" else f"a {kind}"


def _outcomes_known(item):
    if item.kind == "correlation":
        names = item.between[1:] if item.between else [None]
    else:
        names = item.outcome if isinstance(item.outcome, list) else [item.outcome]
    return all(name and (found := OUTCOME.match(name)) and found["key"] in OUTCOMES for name in names)


def _number(item, name):
    """`given` or `spread` of an item, None where it cannot be read."""
    try:
        return getattr(item, name)
    except PydanticCustomError:
        return None


def _means(view):
    """{(arm, outcome): (mean, SD, n)}"""
    found = {
        item.sides[0]: (_number(item, "given"), _number(item, "spread"), item.n)
        for _, item in _comparable(view)
        if item.kind == "arm"
    }
    return {side: numbers for side, numbers in found.items() if numbers[0] is not None and numbers[0] > 0}


def _spreads(view):
    for i, item in _comparable(view):
        mean, sd = _number(item, "given"), _number(item, "spread")
        if item.kind == "arm" and None not in (mean, sd) and sd > LARGEST_SD * mean > 0:
            yield ("measured", i, "sd"), f"more than twice the mean ({number(sd)} and {number(mean)} {item.unit}); is its unit right?"


def _counts(view):
    total = view.study and view.study.specimen.n
    for i, item in _good(view):
        if total and item.n and item.n > total:
            yield ("measured", i, "n"), f"the study has {total} specimens (`specimen.n`), so there are no {item.n}; correct one"


def _once(view):
    """What is said of the same arms and outcomes a second time, also the other way round."""
    first = {}
    for i, item in _comparable(view):
        if item.kind == "correlation" and len(set(item.correlation)) < len(item.correlation):
            yield ("measured", i, "correlation"), "an arm is there twice; name each once"
        here, key = ("measured", i), (item.kind, frozenset(item.sides), *(item.between or ()))
        if first.setdefault(key, here) != here:
            yield here, f"given twice (first in line {view.document.line(first[key])}); keep one"


def _called(view):
    """Two things under one name: tables, figures and frozen predictions tell them apart by it."""
    first = {}
    for i, item in _comparable(view):
        if (item.kind != "correlation" or item.between) and first.setdefault(item.words(), i) != i:
            yield ("measured", i), f"called `{item.words()}` like that in line {view.document.line(('measured', first[item.words()]))}; give it another `name:`"


def _agree_with_means(view):
    """Ratios, differences and directions that the means of the same file contradict."""
    means = _means(view)
    for i, item in _comparable(view):
        if item.kind not in ("ratio", "difference", "direction") or not set(item.sides) <= means.keys():
            continue
        first, second = (means[side] for side in item.sides)
        a, b = first[0], second[0]
        value = _number(item, "given")
        if item.paired:
            continue
        if item.kind == "ratio" and value is not None and abs(value / (a / b) - 1) > ROUNDING:
            yield (
                ("measured", i, "value"),
                f"the means of these arms have a ratio of {number(a / b)}, not {number(value)}; correct one, or write `paired: true` if it is the "
                "mean of the ratios of single specimens",
            )
        if item.kind == "difference" and value is not None and abs(value - (a - b)) > ROUNDING * max(abs(a), abs(b)):
            yield (
                ("measured", i, "value"),
                f"the means of these arms differ by {number(a - b)} {item.unit}, not {number(value)}",
            )
        sign = item.parsed_direction[1] if item.kind == "direction" else ""
        if (sign == ">" and a < b) or (sign == "<" and a > b):
            yield ("measured", i, "direction"), f"the means of these arms say the opposite ({number(a)} and {number(b)})"
        if sign == "~" and a != b and distinct(first, second):
            yield ("measured", i, "direction"), (
                f"the means of these arms are told apart ({number(a)} and {number(b)}); correct one, or give `sd` and `n` of both"
            )


def _agree(view):
    """Ratios, differences and directions that order the same sides in different ways."""
    said = [(i, item, sign) for i, item in _comparable(view) if (sign := _sign(item))]
    for k, (i, item, sign) in enumerate(said):
        for j, other, theirs in said[:k]:
            if other.kind != item.kind and set(other.sides) == set(item.sides):
                theirs = theirs if other.sides == item.sides else TURNED[theirs]
                if theirs != sign:
                    line, (a, b) = view.document.line(("measured", j)), item.sides
                    yield ("measured", i, item.kind), (
                        f"here it is {a[0]} {sign} {b[0]}, in line {line} {a[0]} {theirs} {b[0]}; correct one "
                        "(a ratio or difference with a `p` above 0.05 is `~`)"
                    )


def _sign(item):
    try:
        return comparing.sign(item)
    except PydanticCustomError:
        return None


def produced(view):
    """Outcomes that the protocol of an arm does not have; once the arms have been read."""
    for i, item in _comparable(view):
        for arm, outcome in item.sides:
            if (scenario := view.scenarios.get(arm)) and (sentence := study.not_produced(outcome, scenario, arm)):
                yield ("measured", i, "between" if item.kind == "correlation" else "outcome"), sentence
    for i, item in _good(view):
        if item.kind == "correlation" and item.between and not item.between[0].count("."):
            yield (
                ("measured", i, "between"),
                f"`{item.between[0]}` is not the path of an input; write one such as specimen.bmd",
            )
            continue
        for arm in item.correlation or () if item.between else ():
            if (scenario := view.scenarios.get(arm)) and number_in(scenario, item.between[0]) is None:
                yield ("measured", i, "between"), f"arm `{arm}` has no number at `{item.between[0]}`; write a path such as specimen.bmd"


RULES = [_kinds, _named_arms, _outcomes, _numbers, _spreads, _counts, _once, _called, _agree_with_means, _agree]
