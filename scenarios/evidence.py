"""What the files that are there say of a model's credibility, and what they lack: one function a question.

Each takes an `Evidence` and yields (sentence, file that proves it), or (sentence, None) for a gap. Files: validation.json,
verification.json, result.json, the material library, frozen predictions, the sensitivity study.
"""

import csv
from itertools import takewhile
import json
from pathlib import Path

from materials import library
from scenarios.solve import ROOT
from scenarios.study import MODEL_INPUTS, step_of
from scenarios.tables import number
from scenarios.trouble import BadInput
from scenarios.validation import SCHEMA

LIBRARIES = ("bone", "cement", "fatigue", "fibrous", "foam", "interface", "metal")
STATES = {"revise": "revision screws", "augment": "cemented screws", "halo": "screws in a halo"}  # by what was done before a test; else native
CONTEXTS = ("native screws, pulled out", "native screws, cycled", *reversed(STATES.values()))
FEW = 2  # cadaver studies of a context of use: with fewer it rests on one laboratory
SPECIMEN = ("specimen", "screw", "cement", "core", "densit", "model")  # beginnings of what is assumed of a specimen and what is in it
NOT_OF_A_TEST = ("resolution", "measured")
UNSURE = ("check original", "choice", "estimate", "not fitted", "not yet fitted")  # words in a source that is none
QUANTITIES = {
    "pullout strength": "peak_force_N",
    "load at loosening": "load_at_loosening_N",
    "cycles to loosening": "cycles_to_loosening",
    "stiffness": "stiffness_N_per_mm",
    "micromotion": "micromotion_um",
    "thickness of the halo": "halo_thickness_mm",
}


class Evidence:
    """What lies in the directories: validations, verifications and runs, each with its path.

    compared: the runs behind the validations' own predictions, without deliberately wrong models; runs: those of other directories."""

    def __init__(self, directories):
        self.validations, self.verifications, self.compared, self.runs = [], [], [], []
        for directory in map(Path, directories):
            found = False
            for name, into in (("validation.json", self.validations), ("verification.json", self.verifications)):
                if (directory / name).exists():
                    content = _json(directory / name)
                    if name == "validation.json" and content.get("schema") != SCHEMA:
                        raise BadInput(f"{directory}: made by another version of halofix; `./halofix validate --out {directory}` makes it anew")
                    into.append((directory / name, content))
                    found = True
                    for run in _named(content):
                        self.compared.append((file := directory / "runs" / run / "result.json", _json(file)))
            for file in () if found else sorted(directory.rglob("result.json")):
                self.runs.append((file, _json(file)))
                found = True
            if not found:
                raise BadInput(f"{directory}: neither a validation, a verification nor a result is there")

    def points(self):
        """(file, point) of every validation point that is predicted and counts."""
        return [
            (file, p)
            for file, content in self.validations
            for p in content["points"]
            if _counts(p)
        ]

    def check(self, name):
        return [(file, c) for file, content in self.verifications for c in content["checks"] if c["name"] == name]


def _named(content):
    """Runs that the predictions of a validation.json are from."""
    return dict.fromkeys(
        run["run"] for study in content.get("studies", ()) for run in study["runs"] if not run["change"] and run["status"] != "not run"
    )


def _counts(point):
    return point["role"] == "validation" and point["predicted"] is not None and not point["uncounted"]


def _json(file):
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read ({error})") from None


# -- what the evidence says: each yields (sentence, file), or (sentence, None) for a gap -------------------------------


def checks(*names, missing):
    def find(evidence):
        found = [
            (f"{c['title']}: {c['found']}", file) if c["passed"] else (f"{c['title']} NOT as asked ({c['asked']}): {c['found']}", None)
            for name in names
            for file, c in evidence.check(name)
        ]
        yield from found or [(missing, None)]

    return find


def quality(evidence):
    files = sorted((ROOT / "tests").glob("test_*.py"))
    count = sum(file.read_text(encoding="utf-8").count("\ndef test_") for file in files)
    yield f"{count} tests in {len(files)} files, all run by `./halofix test`", ROOT / "tests"
    yield "no record of a run of all tests is kept", None
    for file, content in evidence.validations + evidence.verifications:
        changed = content["halofix"].get("modified") is not False or any("changes" in c for c in content.get("commits", ()))
        if changed:
            yield f"{file.parent.name} was made from code with changes that are not committed", None
        if others := [commit[:10] for commit in content.get("commits", ()) if commit != content["halofix"]["commit"]]:
            yield f"{file.parent.name} shows runs of other states of the code than the present one: {', '.join(others)}", None


def solver_error(evidence):
    yield from _balances(evidence.compared + evidence.runs, "no energy balance of any run")


def compared_error(evidence):
    yield from _balances(evidence.compared, "no energy balance of a run that was compared")


def context_error(evidence):
    yield from _balances(evidence.runs, "no run for the decision at hand was named: name its results, of `run`, `compare` or `sweep`")


def _balances(runs, missing):
    balances = [
        (abs(step["energy_balance_error"]), file)
        for file, run in runs
        for step in run.get("steps", ())
        if step.get("energy_balance_error") is not None
    ]
    if not balances:
        yield missing, None
        return
    worst, file = max(balances)
    yield f"energy balance of {len(balances)} solved steps, worst error {100 * worst:.2g} %", file
    short = [file for file, run in runs if run.get("status") != "completed"]
    if short:
        yield f"{len(short)} of {len(runs)} runs stopped short, the first is {short[0].parent.name}", None


def use_error(evidence):
    runs = evidence.compared + evidence.runs
    traced = [
        file.parent / "provenance.json"
        for file, _ in runs
        if (file.parent / "resolved.yaml").exists() and (file.parent / "provenance.json").exists()
    ]
    if traced:
        edited = [file for file in traced if _json(file).get("options", {}).get("edits")]
        yield (
            f"{len(traced)} of {len(runs)} runs keep every input of their scenario with unit and source, and the versions that made them; "
            "inputs are checked before a run",
            traced[0].with_name("resolved.yaml"),
        )
        if edited:
            yield (
                f"{len(edited)} of {len(runs)} runs set inputs of the laws that no scenario names: these are kept as numbers, without unit and source",
                edited[0],
            )
    else:
        yield "no run keeps its resolved inputs", None


def discretisation(evidence):
    yield from checks("mesh", "step", "step_in_cement", missing="no convergence study; `./halofix verify` makes one")(evidence)
    for file, content in evidence.validations:
        rows = [row for row in content["meshes"] if row["role"] == "validation" and not row["uncounted"]]
        if changes := [abs(row["change_percent"]) for row in rows if not row["why"]]:
            yield f"{len(changes)} compared numbers differ by at most {max(changes):.1f} % between two meshes, which is no bound of an error", file
        if short := [row for row in rows if row["why"]]:
            yield f"{len(short)} of {len(rows)} tests on a finer mesh did not come to an end, such as {short[0]['study']}, {short[0]['what']}", None
    compared = {(p["study"], p["what"]) for _, p in evidence.points() if p["kind"] != "correlation"}
    finer = {(row["study"], row["what"]) for _, content in evidence.validations for row in content["meshes"]}
    if lacking := len(compared - finer):
        yield f"{lacking} of {len(compared)} compared numbers are of one mesh: their own discretisation error is not known", None
    elif not compared:
        yield NOT_COMPARED, None


def model_form(evidence):
    found = False
    for file, content in evidence.validations:
        for row in content["ablation"]:
            if "MAPE_percent" in row:
                found = True
                yield (
                    (
                        f"{row['model']}, {row['group']}: error {row['MAPE_percent']:.0f} % instead of "
                        f"{row['MAPE_own_percent']:.0f} % ({row['says']}); energy balance of its runs within {row['energy_error_percent']:.1f} %"
                    ),
                    file if row["says"] == "worse" else None,
                )
    if not found:
        yield "no deliberately wrong model was compared; `./halofix validate --no-run` does, with the runs that are published, or `--ablation` with new ones", None
    if (theory := ROOT / "fem" / "THEORY.md").exists():
        yield "equations, their sources and limits are written down", theory


def inputs(evidence):
    values = [(name, key, value) for name in LIBRARIES for key, value in vars(library.load(name)).items()]
    unsure = [f"{name}.{key}" for name, key, value in values if any(word in value.source for word in UNSURE)]
    yield f"{len(values)} material values, each with unit, range and source", ROOT / "materials" / "library"
    if unsure:
        yield (
            f"the source of {len(unsure)} of the {len(values)} material values is a choice, an estimate or still to be checked, such as {', '.join(unsure[:3])}",
            None,
        )
    opened = {item["what"] for _, study, _ in _compared(evidence) for item in study["open"]}
    if opened and (never := [name for name in MODEL_INPUTS if name not in opened]):
        yield f"inputs of the laws that no interval holds: {', '.join(never)}", None
    warned = sum(bool(run.get("warnings")) for _, run in evidence.compared + evidence.runs)
    if warned:
        yield f"{warned} of {len(evidence.compared + evidence.runs)} runs used values outside the range of a law", None
    yield from intervals(evidence)


def intervals(evidence):
    points = evidence.points()
    sampled = [file for file, p in points if p["low"] is not None]
    if sampled:
        yield f"{len(sampled)} of {len(points)} compared predictions have an interval over open inputs", sampled[0]
    if len(sampled) < len(points):
        yield f"{len(points) - len(sampled)} of {len(points)} compared predictions have no interval", None
    held = [(file, p) for file, p in points if p["low"] is not None and p["measured"] is not None and p["kind"] != "correlation"]
    if held:  # of n samples and the nominal run: at least what the range of n would hold if model and inputs were right
        inside, due = sum(p["low"] <= p["measured"] <= p["high"] for _, p in held), sum((p["samples"] - 1) / (p["samples"] + 1) for _, p in held)
        yield f"{inside} of {len(held)} measured numbers lie inside their interval, where {due:.0f} would if the open inputs were all that is wrong", held[0][0] if inside >= due else None


def calibration(evidence):
    file = ROOT / "materials" / "calibrated.yaml"
    for name, value in vars(library.load("calibrated")).items():
        if value.fitted:
            yield (
                f"{name} = {value:g} {value.unit}, interval {value.fitted['interval']}, fitted on "
                f"{', '.join(value.fitted['on'])}, {value.fitted['date']}",
                file,
            )
        else:
            yield f"{name} = {value:g} {'' if value.unit == '1' else value.unit}".rstrip() + " is not fitted to mechanical tests", None
    for path, content in evidence.validations:
        for p in content["points"]:
            if p["role"] == "calibration" and p["predicted"] is not None:
                yield (
                    f"{p['study']}, {p['what']}: {number(p['predicted'])} against {number(p['measured'])} {p['unit']}",
                    path,
                )


def _compared(evidence):
    """(file, study, its points) of the studies of which a prediction counts."""
    for file, content in evidence.validations:
        for study in content["studies"]:
            if points := [p for p in content["points"] if p["study"] == study["name"] and _counts(p)]:
                yield file, study, points


def samples(evidence):
    lines = []
    for file, study, points in _compared(evidence):
        numbers = [p for p in points if p["measured"] is not None]
        lines.append((f"{study['name']} ({study['kind']}): compared numbers {len(numbers)}, directions {len(points) - len(numbers)}", file))
        for key, words in (("n", "number of specimens"), ("sd", "standard deviation")):
            if lacking := sum(p[key] is None for p in numbers):
                lines.append((f"{study['name']}: {lacking} of {len(numbers)} numbers without {words}", None))
    yield from lines or [(NOT_COMPARED, None)]


def conditions(evidence):
    yield from _assumed(evidence, lambda what: not what.startswith((*SPECIMEN, *NOT_OF_A_TEST)), "what was done to the specimens is as the source gives it", "done otherwise or not given")


def equivalency(evidence):
    yield from _assumed(evidence, lambda what: what.startswith(SPECIMEN), "specimens, screws and cement are the source's", "specimens, screws and cement not given by the source and assumed")


def _assumed(evidence, chosen, none_assumed, words):
    lines = []
    for file, study, _ in _compared(evidence):
        names = [a["what"] for a in study["assumed"] if chosen(a["what"])]
        lines.append((f"{study['name']}: {words}: {', '.join(names)}", None) if names else (f"{study['name']}: {none_assumed}", file))
    yield from lines or [(NOT_COMPARED, None)]


def comparison(evidence):
    found = False
    for file, content in evidence.validations:
        for row in content["agreement"]:
            if row["n"]:
                found = True
                r2 = "" if row["R2"] is None else f", R2 {row['R2']:.2f}, concordance {number(row['concordance'], '.2f')}"
                yield (
                    f"{row['group']}: mean absolute error {number(row['MAPE_percent'], '.0f')} % over {row['n']} of {row['points']} points{r2}",
                    file if row["R2"] is None or row["R2"] > 0.0 else None,  # below 0 the mean of what was measured predicts it better
                )
        judged = [p for p in content["points"] if p["role"] == "validation" and p["verdict"]]
        if judged:
            missed = sum(p["verdict"] == "missed" for p in judged)
            yield f"{len(judged) - missed} of {len(judged)} points are within what is accepted", file
            if missed:
                yield f"{missed} of {len(judged)} points are missed", None
            if trends := [p["trend_from_mm"] for p in judged if p["trend_from_mm"] is not None]:
                yield (
                    f"{len(trends)} of {len(judged)} points lie beyond small strain (from {min(trends):.2g} to {max(trends):.2g} mm of head displacement on), "
                    "where the model gives trends",
                    None,
                )
        if read := [f"{study['name']}: {a['why']}" for study in content["studies"] for a in study["assumed"] if a["what"].startswith(NOT_OF_A_TEST[1])]:
            yield f"how a source is read: {'; '.join(read)}", None
        for row in content["ranking"]:
            if row["role"] == "validation" and row["pairs"] > row["untold"]:
                yield f"{row['study']}: {row['right']} of {row['pairs'] - row['untold']} pairs of arms in the measured order", file
                if row["wrong"]:
                    yield f"{row['study']}: not in the measured order: {row['wrong']}", None
    if not found:
        yield NOT_COMPARED, None


def quantities(evidence):
    compared = {}
    for file, point in evidence.points():
        for outcome in point["outcomes"].split():
            compared.setdefault(outcome, []).append(file)
    for words, key in QUANTITIES.items():
        if key in compared:
            yield f"{words} was compared with {len(compared[key])} measured numbers or directions", compared[key][0]
        else:
            yield f"{words} was not compared with any measurement", None
    yield "the mode of failure cannot be compared yet: studies have no such outcome", None


def relevance(evidence):
    kinds = {}
    for file, study, _ in _compared(evidence):
        kinds.setdefault(study["kind"], (set(), file))[0].add(study["name"])
    for kind in ("cadaveric", "synthetic", "animal"):
        if kind in kinds:
            yield f"{len(kinds[kind][0])} {kind} studies: {', '.join(sorted(kinds[kind][0]))}", kinds[kind][1]
    if "cadaveric" not in kinds:
        yield "no cadaver study was compared", None


def contexts(evidence):
    """How many cadaver studies judge each part of the context of use."""
    found, results = {context: {} for context in CONTEXTS}, dict(evidence.compared)
    for file, study, points in _compared(evidence):
        for point in points if study["kind"] == "cadaveric" else ():
            for context in _contexts(study, point, file.parent / "runs", results) if point["verdict"] else ():
                kinds, _ = found[context].setdefault(study["name"], (set(), file))
                kinds.add(point["kind"])
    for context, studies in found.items():
        kinds = set().union(*(kinds for kinds, _ in studies.values()))
        says = f"{context}: cadaver studies with a judged point {len(studies)}" + f" ({', '.join(sorted(studies))})" * bool(studies)
        yield says + ", directions only" * (kinds == {"direction"}), None if len(studies) < FEW else next(iter(studies.values()))[1]


def _contexts(study, point, runs, results):
    """Those of CONTEXTS that a compared point says something of: native screws that others are compared with do not count."""
    names = {run["arm"]: run["run"] for run in study["runs"] if run["run"] in point["runs"].split()}
    found = {_context(results[runs / names[arm] / "result.json"], outcome) for arm, outcome in study["sides"][point["what"]]}
    return found & set(STATES.values()) or found


def _context(result, outcome):
    """One of CONTEXTS: the state of the screw in the test that an outcome is of."""
    test = step_of(result, outcome)
    done = [step["kind"] for step in takewhile(lambda step: step is not test, result["steps"])]
    native = "native screws, " + ("cycled" if "cycle" in (*done, test["kind"]) else "pulled out")
    return next((state for kind, state in STATES.items() if kind in done), native)


def blind(evidence):
    rows = []
    if BLIND.exists():
        with open(BLIND, newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if "(known " not in row["what"]]
    if not rows:
        yield "no blind prediction", None
        return
    dates, frozen = sorted(row["date"] for row in rows), {(row["study"], row["what"]) for row in rows}
    yield f"{len(frozen)} predictions of experiments whose results were not read, frozen {dates[0]} to {dates[-1]}", BLIND
    met = {(p["study"], p["what"]): file for file, p in evidence.points() if (p["study"], p["what"]) in frozen}
    if met:
        yield f"{len(met)} of them have met their results", next(iter(met.values()))
    else:
        yield "no blind prediction has met its result yet", None


def sensitivity(evidence):
    found = False
    for file in sorted(SENSITIVITY.glob("*.csv")):
        with open(file, newline="") as stream:
            rows = list(csv.DictReader(stream))
        for screw in dict.fromkeys(row["screw"] for row in rows):
            found = True
            first = sorted((row for row in rows if row["screw"] == screw), key=lambda row: -float(row["with interactions"]))[:2]
            shares = ", ".join(f"{row['parameter']} {float(row['with interactions']):.2f}" for row in first)
            yield f"what governs the pullout strength of a {screw} screw ({file.stem}), total Sobol indices: {shares}", file
    if not found:
        yield "no study of what governs the pullout strength", None
    yield "no study of what governs load and cycles to loosening", None


def none(sentence):
    def find(evidence):
        yield sentence, None

    return find


NOT_COMPARED = "no measured data were compared; `./halofix validate --no-run` does, with the runs that are published"
BLIND = ROOT / "benchmarks" / "cadaveric" / "blind_predictions.csv"
SENSITIVITY = ROOT / "benchmarks" / "sensitivity"
