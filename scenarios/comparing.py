"""From runs and measurements to points: what was measured, what is predicted, within which interval, and how far off.

    points(study, outcomes)     one Point for each measured thing of a study and each specimen of its table
    ranking(study, outcomes)    whether what was measured to be stronger is predicted to be stronger
"""

from dataclasses import asdict, dataclass, field
from itertools import combinations

from scenarios import agreement
from scenarios.cycling import cycles_to_stand
from scenarios.study import SAME, Measured, outcome_of, place_of, unit
from scenarios.variation import number_in

GOAL, ACCEPTED = 0.10, 0.20  # of a ratio
ABSOLUTE = 0.30  # of a mean of cadaver specimens without a reported SD, or a difference of means
NOISE = 1e-3  # predictions no further apart are the same: none is above the other
LEAST_SAMPLES = 2  # of which the range is an interval: that of one sample holds nothing else, (n - 1)/(n + 1) = 0
FOAM = 0.05  # of a mean of foam blocks, which scatter by a few per cent only


@dataclass
class Point:
    """One comparison. Numbers in `unit` ('' for ratios, counts, correlations); None where there is none, `why` says why not.
    A prediction with a `why` is of a test that was not the one carried out, and missed.

    kind: arm, ratio, difference, direction, correlation or specimen; predicted of a direction: first over second;
    low, high: least and largest prediction over `samples` of the open inputs and the nominal one on their mesh, which is samples_on, if not
    that of the prediction; lost: samples that came to no such test; runs: names of the run
    directories; uncounted: why it is compared but counted nowhere, such as `from a formula`; standardised: (predicted - measured) / sd; verdict: goal, accepted,
    missed, or '' where nothing was measured that could be missed; outcomes: keys of the results that were compared;
    trend_from_mm: head displacement from which on the model gives trends (small strain is left), if the prediction is of later.
    """

    study: str
    role: str
    material: str
    kind: str
    what: str
    unit: str = ""
    measured: float | None = None
    sd: float | None = None
    n: int | None = None
    predicted: float | None = None
    low: float | None = None
    high: float | None = None
    samples: int = 0
    lost: int = 0
    samples_on: str = ""
    why: str = ""
    runs: list = field(default_factory=list)
    uncounted: str = ""
    verdict: str = ""
    outcomes: str = ""
    trend_from_mm: float | None = None

    @property
    def deviation(self):
        """Predicted over measured - 1, or None."""
        return None if None in (self.measured, self.predicted) or not self.measured else self.predicted / self.measured - 1

    @property
    def standardised(self):
        if None in (self.measured, self.predicted, self.sd):
            return None
        return agreement.standardised(self.predicted, self.measured, self.sd)

    def row(self):
        """The point as a row of a table."""
        deviation = self.deviation
        return {
            **asdict(self),
            "runs": " ".join(self.runs),
            "standardised": self.standardised,
            "deviation_percent": None if deviation is None else 100 * deviation,
        }


class Outcomes:
    """Results of one study's cases. plans: [case_runs.Planned]; failed: {directory of a run: why there is no result}."""

    def __init__(self, plans, failed=()):
        self.plans = {(p.case.arm, p.case.specimen, p.case.sample): p for p in plans}
        self.results = {key: plan.result for key, plan in self.plans.items()}
        self.failed = dict(failed)

    def plan(self, arm, specimen=None, sample=None):
        # a sample that changes nothing in this arm is not a case of its own
        return self.plans.get((arm, specimen, sample)) or self.plans.get((arm, specimen, None))

    def value(self, arm, outcome, specimen=None, sample=None):
        """(value, why not); a value with a `why` is one of a screw that did not stand the cycles before."""
        key = (arm, specimen, sample) if (arm, specimen, sample) in self.plans else (arm, specimen, None)
        result = self.results.get(key)
        if result is None:
            return None, self.failed.get(self.plans[key].directory, "not run") if key in self.plans else "not run"
        value, why = outcome_of(result.summary, outcome)
        return value, why if value is None else _loosened_before(self.plans[key], result.summary, outcome)

    def trend_from(self, arm, outcome, specimen=None):
        """Head displacement (mm) at which small strain was left before an outcome, in its test or an earlier one; None if it was not."""
        result = self.results.get((arm, specimen, None))
        place = place_of(result.summary, outcome) if result else None
        left = [] if place is None else [step.get("small_strain_until_mm") for step in result.summary["steps"][: place + 1]]
        return min((at for at in left if at is not None), default=None)

    def sampled(self, arms):
        """Numbers of the samples of which every arm has a result."""
        numbers = {key[2] for key in self.plans if key[2] is not None and key[0] in arms}
        return sorted(
            s
            for s in numbers
            if all(self.results.get((arm, None, s)) is not None for arm in arms if (arm, None, s) in self.plans)
        )


def _loosened_before(plan, summary, outcome):
    """'loosened after 2111 of 5000 cycles' of a screw that was to stand these before the step that an outcome is of; '' if it did, and
    where loosening is the purpose: before a rescue."""
    for place, kind, body in plan.scenario.steps()[: place_of(summary, outcome)]:
        step, most = summary["steps"][place], cycles_to_stand(body) if kind == "cycle" else None
        if most and step.get("loosened") and step["cycles_to_loosening"] < most:
            return f"loosened after {step['cycles_to_loosening']:.0f} of {most} cycles"
    return ""


def points(study, outcomes, specimens=(), base=None):
    """[Point, ...] of a Study and its Outcomes; specimens: rows of its table; base: Outcomes on the mesh of the samples, where that is
    another one."""
    found = [_point(study, item, outcomes, base) for item in study.measured]
    for row in specimens:
        for outcome, measured in row.measured.items():
            point = Point(
                study.name,
                study.role,
                study.kind,
                "specimen",
                row.words(outcome),
                unit(outcome),
                measured,
                n=1,
                outcomes=_keys([outcome]),
            )
            point.predicted, point.why = outcomes.value(row.arm, outcome, row.name)
            plan = outcomes.plan(row.arm, row.name)
            point.runs = [plan.directory.name] if plan and outcomes.results.get((row.arm, row.name, None)) else []
            point.trend_from_mm = outcomes.trend_from(row.arm, outcome, row.name)
            found.append(_judged(point))
    return found


def _keys(outcomes):
    """Keys of outcomes, without their steps, as a text."""
    return " ".join(dict.fromkeys(outcome.rpartition(".")[2] for outcome in outcomes))


def _point(study, item, outcomes, base):
    point = Point(study.name, study.role, study.kind, item.kind, item.words(), item.unit, item.given, item.spread, item.n)
    point.uncounted = item.uncounted or ""
    point.predicted, point.why = _predicted(item, outcomes)
    point.outcomes = _keys(outcome for _, outcome in item.sides)
    arms = [arm for arm, _ in item.sides]
    point.runs = list(
        dict.fromkeys(
            outcomes.plan(arm).directory.name for arm in arms if outcomes.results.get((arm, None, None)) is not None
        )
    )
    point.trend_from_mm = min((at for side in item.sides if (at := outcomes.trend_from(*side)) is not None), default=None)
    samples = [_predicted(item, outcomes, sample) for sample in outcomes.sampled(arms)]
    spread = [value for value, why in samples if value is not None and not why]  # not of another test than the one carried out
    if len(spread) >= LEAST_SAMPLES and point.predicted is not None and not point.why:
        point.samples, point.lost, point.samples_on = len(spread), len(samples) - len(spread), (base and study.samples_on) or ""
        nominal, why = _predicted(item, base) if base else (point.predicted, "")
        spread += [nominal] if nominal is not None and not why else []
        point.low, point.high = min(spread), max(spread)
    return _judged(point, item)


def _predicted(item, outcomes, sample=None):
    """(prediction of a Measured, why not, or why not of the test that was carried out)"""
    values, unlike = [], []
    for arm, outcome in item.sides:
        value, why = outcomes.value(arm, outcome, sample=sample)
        if value is None:
            return None, f"{arm}: {why}"
        values.append(value)
        unlike += [f"{arm}: {why}"] if why else []
    why = "; ".join(dict.fromkeys(unlike))
    if item.kind == "arm":
        return values[0], why
    if item.kind == "difference":
        return values[0] - values[1], why
    if item.kind == "correlation":
        inputs = [number_in(outcomes.plan(arm, sample=sample).scenario, item.between[0]) for arm in item.correlation]
        if None in inputs:
            return None, f"an arm has no number at {item.between[0]}"
        r = agreement.correlation(inputs, values)
        return r, why if r is not None else "nothing varies"
    return (values[0] / values[1], why) if values[1] else (None, "the reference arm is 0")


def _judged(point, item=None):
    if point.predicted is not None and point.why:
        point.why += ", so this is not the test that was carried out"
    # arms stand for no specimens: over three of them any response that only rises correlates above 0.86
    if point.predicted is None or point.uncounted or point.kind == "correlation":
        return point
    off = abs(point.deviation) if point.deviation is not None else None
    if point.kind == "direction":
        _, sign, _ = item.parsed_direction
        right = {">": point.predicted > 1 + NOISE, "<": point.predicted < 1 - NOISE, "~": 1 / (1 + SAME) <= point.predicted <= 1 + SAME}[sign]
        point.verdict = "goal" if right else "missed"
    elif point.measured is None or (off is None and point.sd is None):
        point.verdict = ""
    elif point.kind == "ratio":
        point.verdict = "goal" if off <= GOAL else "accepted" if off <= ACCEPTED else "missed"
    elif point.material == "synthetic" and point.kind in ("arm", "specimen"):
        point.verdict = "goal" if off <= FOAM else "missed"
    elif point.sd is not None:
        point.verdict = "goal" if off is not None and off <= GOAL else "accepted" if abs(point.standardised) <= 1 else "missed"
    else:
        point.verdict = "goal" if off <= GOAL else "accepted" if off <= ABSOLUTE else "missed"
    if point.verdict and point.why:
        point.verdict = "missed"
    return point


def ranking(study, outcomes):
    """{study, role, pairs, right, untold, wrong, outcome} of the pairs of arms that the study tells apart; None if it tells none.

    Pairs come from means that differ (`agreement.distinct`), ratios and differences that are not reported as insignificant, and
    directions; what is counted nowhere gives none. A specimen-wise table is judged by its rank correlation instead. untold: pairs
    without both predictions; wrong: also those of a screw that loosened before the test; outcome: {'arm: outcome > other: outcome':
    whether it is right, None if untold}.
    """
    pairs = {}
    items = [item for item in study.measured if not item.uncounted]
    arms = [item for item in items if item.kind == "arm" and item.given is not None]
    alike = {frozenset(item.sides) for item in items if sign(item) == "~"}
    for a, b in combinations(arms, 2):
        if a.outcome == b.outcome and a.given != b.given and frozenset([a.sides[0], b.sides[0]]) not in alike:
            if agreement.distinct((a.given, a.spread, a.n), (b.given, b.spread, b.n)):
                stronger, weaker = (a, b) if a.given > b.given else (b, a)
                pairs.setdefault(frozenset([stronger.sides[0], weaker.sides[0]]), (stronger.sides[0], weaker.sides[0]))
    for item in items:
        if order := _order(item):
            pairs.setdefault(frozenset(item.sides), order)
    if not pairs:
        return None
    found = {}
    for stronger, weaker in pairs.values():
        (above, why_above), (below, why_below) = outcomes.value(*stronger), outcomes.value(*weaker)
        found[" > ".join(f"{arm}: {outcome}" for arm, outcome in (stronger, weaker))] = (
            None if None in (above, below) else not (why_above or why_below) and above > (1.0 + NOISE) * below
        )
    told = list(found.values())
    return {
        "study": study.name,
        "role": study.role,
        "pairs": len(pairs),
        "right": told.count(True),
        "untold": told.count(None),
        "wrong": "; ".join(_short(pair) for pair, right in found.items() if right is False),
        "outcome": found,
    }


def _short(pair):
    """'arm > other', with the outcomes only where the arms are the same."""
    arms = [side.rpartition(": ")[0] for side in pair.split(" > ")]
    return " > ".join(arms) if len(arms) == 2 and arms[0] != arms[1] else pair


def sign(item: Measured):
    """'>', '<' or '~' (no difference found) between the sides of a ratio, difference or direction; None of anything else and of a
    blind prediction."""
    if item.kind == "direction":
        return item.parsed_direction[1]
    if item.kind not in ("ratio", "difference") or item.given is None:
        return None
    neutral = 1.0 if item.kind == "ratio" else 0.0
    if item.given == neutral or (item.p is not None and item.p > agreement.SIGNIFICANT):
        return "~"
    return ">" if item.given > neutral else "<"


def _order(item: Measured):
    """(stronger side, weaker side) as an item that compares two arms says, or None."""
    return {">": tuple(item.sides), "<": tuple(item.sides[::-1])}.get(sign(item))
