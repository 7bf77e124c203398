"""Samples of what a study leaves open: a Latin hypercube over its distributions, one and the same for all of its arms.

All arms of a study see the same samples, so that a ratio of two arms is taken between like specimens. Where arms have values of
their own (classes of density) they are other specimens: each scatters by itself, in a dimension of its own.
"""

from functools import cache

import numpy as np
from scipy.stats import qmc, truncnorm

from scenarios.study import MODEL_INPUTS, Case, sampled_text
from scenarios.trouble import BadInput
from scenarios.units import number
from scenarios.variation import value_at, varied

SEED = 20  # the same samples each time: what is cached is found again
DESIGNS = 2000  # hypercubes of which the least correlated one is taken


def samples(study, arm, count):
    """[{dotted path: value}, ...]: `count` of a Latin hypercube for one arm; none where nothing is open."""
    given = study.uncertain
    if not given or not count:
        return []
    sets = {other: [(path, other if path in own(study, other) else None) for path in given] for other in study.arms}
    dimensions = list(dict.fromkeys(dimension for each in sets.values() for dimension in each))
    columns = {other: tuple(map(dimensions.index, each)) for other, each in sets.items()}
    shares = hypercube(len(dimensions), count, tuple(dict.fromkeys(columns.values())))[:, columns[arm]]
    return [{path: quantile(given[path], share, path) for path, share in zip(given, row)} for row in shares]


@cache
def hypercube(dimensions, count, sets):
    """(count, dimensions) of a Latin hypercube; `sets`: columns that one arm has. Of many the one whose largest correlation between
    two inputs of an arm is least: of four random samples of three inputs two may be correlated by 0.99, dense bone always with
    much damage, and what each is worth then hides the other."""
    engine = qmc.LatinHypercube(d=dimensions, seed=SEED)
    return min((engine.random(count) for _ in range(DESIGNS)), key=lambda design: max(_correlated(design[:, columns]) for columns in sets))


def _correlated(design):
    """Largest correlation between two columns, without its sign."""
    if min(design.shape) < 2:
        return 0.0
    return float(np.abs(np.corrcoef(design.T) - np.eye(design.shape[1])).max())


def cases(study, folder, arm, count):
    """The Case of each sample for one arm; what the arm sets itself is not open in it. Samples that change nothing, not even the mesh, are none."""
    found, fixed = [], own(study, arm)
    text = sampled_text(study, folder, arm)
    for index, values in enumerate(samples(study, arm, count)):
        inputs = {path: value for path, value in values.items() if path in MODEL_INPUTS}
        changed, sampled = text, dict(inputs)
        for path, value in values.items():
            scatter = study.uncertain[path].relative is not None
            if path in inputs or (path in fixed and not scatter):
                continue
            if other := placed(changed, path, value, scatter):  # not where this arm has no such step
                changed, sampled[path] = other, value_at(other, path)
        if sampled or study.samples_on:  # on a mesh of its own an arm is run even where nothing of it is open
            found.append(Case(study.name, arm, changed, sample=index, inputs=inputs, sampled=sampled))
    return found


def placed(text, path, value, scatter):
    """Scenario text with a sampled `value` at `path`, of a scatter as a factor to what it has. None where it has nothing."""
    try:
        if scatter:
            amount, unit = _split(value_at(text, path))
            value = f"{number(value * amount)} {unit}".strip()
        return varied(text, {path: value})
    except (BadInput, ValueError):
        return None


def own(study, arm):
    """Paths that an arm sets itself."""
    return set(study.arms[arm]) - {"base"} if isinstance(study.arms[arm], dict) else set()


def quantile(given, share, path=""):
    """Value of a Distribution below which `share` (0 to 1) of its probability lies, with its unit as given; a factor of a scatter.

    A normal one is cut off at two standard deviations. Raises ValueError for numbers that do not make a distribution.
    """
    if given.relative is not None:
        return float(truncnorm.ppf(share, -2, 2, loc=1.0, scale=given.relative / 100))
    (first, unit_first), (second, unit_second) = (_split(value) for value in given.normal or given.uniform)
    if unit_first != unit_second:
        raise ValueError(f"both numbers need the same unit, not `{unit_first}` and `{unit_second}`")
    if path in MODEL_INPUTS and unit_first:
        raise ValueError("an input of the laws is a number without unit")
    if given.normal:
        if second <= 0:
            raise ValueError("a standard deviation is above 0")
        value = float(truncnorm.ppf(share, -2, 2, loc=first, scale=second))
    else:
        if second <= first:
            raise ValueError(f"the bounds are [low, high], not [{number(first)}, {number(second)}]")
        value = first + share * (second - first)
    return f"{number(value)} {unit_first}" if unit_first else float(number(value))


def _split(value):
    """(number, unit) of `70 mg/cm^3` or 0.3."""
    if isinstance(value, str):
        head, _, unit = value.strip().partition(" ")
        try:
            return float(head), unit.strip()
        except ValueError:
            raise ValueError(f"`{value}` is not a number with a unit, such as `70 mg/cm^3`") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"`{value}` is not a number")
    return float(value), ""
