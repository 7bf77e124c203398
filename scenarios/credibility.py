"""An index of the evidence that exists for a model's credibility: the command `credibility`.

    credibility(directories, out) -> dict: what credibility.json holds

Lines are made of files that are there (validation.json, verification.json, result.json, the material library) and name them;
where nothing is there the line is a gap. Factors: ASME V&V 40-2018; categories: FDA, Assessing the
Credibility of Computational Modeling and Simulation in Medical Device Submissions (November 2023).
"""

from datetime import UTC, datetime
import json
from pathlib import Path

from benchmarks import tables
from materials import library
from scenarios.provenance import git_state, version
from scenarios.page import rendered
from scenarios.solve import ROOT
from scenarios.trouble import BadInput
from scenarios.validation_report import number

USUAL = ("validation", "verify")  # folders of results/ that are looked into unless others are named
CONTEXT = (
    "Comparison of pedicle screws, halos, cements and revisions by pullout strength and load or cycles to loosening, under "
    "laboratory conditions; not a prediction for a patient."
)
LIBRARIES = ("bone", "cement", "fatigue", "fibrous", "foam", "interface", "metal")
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
    """What lies in the directories: validations, verifications and runs, each with its path."""

    def __init__(self, directories):
        self.validations, self.verifications, self.runs = [], [], []
        for directory in map(Path, directories):
            found = False
            for name, into in (("validation.json", self.validations), ("verification.json", self.verifications)):
                if (directory / name).exists():
                    into.append((directory / name, _json(directory / name)))
                    found = True
            for file in sorted(directory.rglob("result.json")):
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
            if p["role"] == "validation" and p["predicted"] is not None
        ]

    def check(self, name):
        return [(file, c) for file, content in self.verifications for c in content["checks"] if c["name"] == name]


def _json(file):
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read ({error})") from None


# -- what the evidence says: each yields (sentence, file), or (sentence, None) for a gap -------------------------------


def _checks(*names, missing):
    def find(evidence):
        found = [
            (f"{c['title']}: {c['found']}" + ("" if c["passed"] else " (NOT as asked)"), file)
            for name in names
            for file, c in evidence.check(name)
        ]
        yield from found or [(missing, None)]

    return find


def quality(evidence):
    yield from _checks("closed_forms", missing="no record of tests; `./halofix verify` makes one")(evidence)
    for file, content in evidence.validations + evidence.verifications:
        changed = content["halofix"].get("modified") is not False or any("changes" in c for c in content.get("commits", ()))
        if changed:
            yield f"{file.parent.name} was made from code with changes that are not committed", None
        if len(content.get("commits", ())) > 1:
            yield f"{file.parent.name} mixes runs of {len(content['commits'])} states of the code", None


def solver_error(evidence):
    balances = [
        (abs(step["energy_balance_error"]), file)
        for file, run in evidence.runs
        for step in run.get("steps", ())
        if step.get("energy_balance_error") is not None
    ]
    if not balances:
        yield "no energy balance of any run", None
        return
    worst, file = max(balances)
    yield f"energy balance of {len(balances)} solved steps, worst error {100 * worst:.2g} %", file
    short = [file for file, run in evidence.runs if run.get("status") != "completed"]
    if short:
        yield f"{len(short)} of {len(evidence.runs)} runs stopped short, the first is {short[0].parent.name}", None


def use_error(evidence):
    traced = [
        file
        for file, _ in evidence.runs
        if (file.parent / "resolved.yaml").exists() and (file.parent / "provenance.json").exists()
    ]
    if traced:
        yield (
            (
                f"{len(traced)} of {len(evidence.runs)} runs keep every input with unit and source and the versions that made "
                "them; inputs are checked before a run"
            ),
            traced[0].parent / "resolved.yaml",
        )
    else:
        yield "no run keeps its resolved inputs", None
    warned = sum(bool(run.get("warnings")) for _, run in evidence.runs)
    if warned:
        yield f"{warned} of {len(evidence.runs)} runs used values outside the range of a law", None


def discretisation(evidence):
    yield from _checks("mesh", "step", missing="no convergence study; `./halofix verify` makes one")(evidence)
    by_resolution = {}
    for file, content in evidence.validations:
        by_resolution.setdefault(content["resolution"], []).append((file, content))
    if len(by_resolution) < 2:
        yield (
            "no study was simulated at two resolutions, so the discretisation error of the compared numbers themselves is not known",
            None,
        )
        return
    first, second = list(by_resolution.values())[:2]
    (file, one), (_, other) = first[0], second[0]
    values = {(p["study"], p["what"]): p["predicted"] for p in other["points"]}
    changes = [
        abs(p["predicted"] / values[p["study"], p["what"]] - 1)
        for p in one["points"]
        if p["predicted"] and values.get((p["study"], p["what"]))
    ]
    if changes:
        yield f"{len(changes)} compared numbers at two resolutions differ by at most {100 * max(changes):.1f} %", file


def model_form(evidence):
    found = False
    for file, content in evidence.validations:
        for row in content["ablation"]:
            if "MAPE_percent" in row:
                found = True
                yield (
                    (
                        f"{row['model']}, {row['group']}: error {row['MAPE_percent']:.0f} % instead of "
                        f"{row['MAPE_own_percent']:.0f} % ({row['says']})"
                    ),
                    file,
                )
    if not found:
        yield "no deliberately wrong model was compared; `./halofix validate --ablation` does", None
    if (theory := ROOT / "fem" / "THEORY.md").exists():
        yield "equations, their sources and limits are written down", theory


def inputs(evidence):
    values = [(name, key, value) for name in LIBRARIES for key, value in vars(library.load(name)).items()]
    unsure = [f"{name}.{key}" for name, key, value in values if any(word in value.source for word in UNSURE)]
    yield f"{len(values)} material values, each with unit, range and source", ROOT / "materials" / "library"
    if unsure:
        yield (
            f"the source of {len(unsure)} of them is a choice, an estimate or still to be checked, such as {', '.join(unsure[:3])}",
            None,
        )
    yield from intervals(evidence)


def intervals(evidence):
    points = evidence.points()
    sampled = [file for file, p in points if p["low"] is not None]
    if sampled:
        yield f"{len(sampled)} of {len(points)} compared predictions have an interval over open inputs", sampled[0]
    if len(sampled) < len(points) or not points:
        yield f"{len(points) - len(sampled)} of {len(points)} compared predictions have no interval", None


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
            yield f"{name} = {value:g} {value.unit} is not fitted to mechanical tests", None
    for path, content in evidence.validations:
        for p in content["points"]:
            if p["role"] == "calibration" and p["predicted"] is not None:
                yield (
                    f"{p['study']}, {p['what']}: {number(p['predicted'])} against {number(p['measured'])} {p['unit']}",
                    path,
                )


def samples(evidence):
    yield from _per_study(evidence, lambda study, points: _described(points), "no measured data were compared")


def _described(points):
    """'3 points, 2 with n, 1 with SD' of a study."""
    return (
        f"{len(points)} compared numbers, {sum(p['n'] is not None for p in points)} with the number of specimens, "
        f"{sum(p['sd'] is not None for p in points)} with their standard deviation"
    )


def _per_study(evidence, sentence, missing):
    found = False
    for file, content in evidence.validations:
        for study in content["studies"]:
            points = [p for p in content["points"] if p["study"] == study["name"] and p["predicted"] is not None]
            if study["role"] == "validation" and points:
                found = True
                yield f"{study['name']} ({study['kind']}): {sentence(study, points)}", file
    if not found:
        yield missing, None


def conditions(evidence):
    yield from _per_study(
        evidence,
        lambda study, points: f"{len(study['assumed'])} things assumed that the source does not give, each with its reason",
        "no measured data were compared",
    )


def comparison(evidence):
    found = False
    for file, content in evidence.validations:
        for row in content["agreement"]:
            if row["n"]:
                found = True
                r2 = "" if row["R2"] is None else f", R2 {row['R2']:.2f}, concordance {number(row['concordance'], '.2f')}"
                yield (
                    f"{row['group']}: mean absolute error {row['MAPE_percent']:.0f} % over {row['n']} of {row['points']} points{r2}",
                    file,
                )
        judged = [p for p in content["points"] if p["role"] == "validation" and p["verdict"]]
        if judged:
            missed = sum(p["verdict"] == "missed" for p in judged)
            yield f"{len(judged) - missed} of {len(judged)} points are within what is accepted", file
    if not found:
        yield "no measured data were compared; `./halofix validate` does", None


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
    for file, content in evidence.validations:
        for study in content["studies"]:
            if study["role"] == "validation" and any(
                p["study"] == study["name"] and p["predicted"] is not None for p in content["points"]
            ):
                kinds.setdefault(study["kind"], (set(), file))[0].add(study["name"])
    for kind in ("cadaveric", "synthetic", "animal"):
        if kind in kinds:
            yield f"{len(kinds[kind][0])} {kind} studies: {', '.join(sorted(kinds[kind][0]))}", kinds[kind][1]
    if "cadaveric" not in kinds:
        yield "no cadaver study was compared", None


def blind(evidence):
    found = False
    for file, content in evidence.validations:
        told = [p for p in content["points"] if p["role"] == "blind" and p["predicted"] is not None]
        if told:
            found = True
            yield f"{len(told)} predictions of experiments whose results were not known, {content['date'][:10]}", file
    if not found:
        yield "no blind prediction", None


def emergent(evidence):
    found = False
    for file, content in evidence.validations:
        for row in content["ranking"]:
            if row["role"] == "validation" and row["pairs"] > row["untold"]:
                found = True
                wrong = f"; not as measured: {row['wrong']}" if row["wrong"] else ""
                yield (
                    f"{row['study']}: {row['right']} of {row['pairs'] - row['untold']} pairs of arms in the measured order{wrong}",
                    file,
                )
    if not found:
        yield "no order of arms was compared", None


def none(sentence):
    def find(evidence):
        yield sentence, None

    return find


CODE = _checks("manufactured", missing="no manufactured solution; `./halofix verify` solves one")
IN_VIVO = none("no comparison with implanted screws in vivo")
POPULATION = none("no comparison with outcomes in a population of patients")

FACTORS = {
    "Code verification: software quality assurance": (quality,),
    "Code verification: numerical code verification": (CODE,),
    "Calculation verification: discretization error": (discretisation,),
    "Calculation verification: numerical solver error": (solver_error,),
    "Calculation verification: use error": (use_error,),
    "Validation, computational model: model form": (model_form,),
    "Validation, computational model: model inputs": (inputs, calibration),
    "Validation, comparator: test samples": (samples,),
    "Validation, comparator: test conditions": (conditions,),
    "Validation, assessment: equivalency of input parameters": (conditions,),
    "Validation, assessment: output comparison": (comparison,),
    "Applicability: relevance of the quantities of interest": (quantities,),
    "Applicability: relevance of the validation activities to the context of use": (relevance, blind),
}
CATEGORIES = {
    "1 Code verification results": (quality, CODE),
    "2 Model calibration evidence": (calibration,),
    "3 Bench test validation results": (comparison, relevance),
    "4 In vivo validation results": (IN_VIVO,),
    "5 Population-based validation results": (POPULATION,),
    "6 Emergent model behavior": (emergent,),
    "7 Model plausibility evidence": (model_form,),
    "8 Calculation verification and uncertainty quantification with simulations of the context of use": (
        discretisation,
        solver_error,
        intervals,
    ),
}


def credibility(directories=(), out=None):
    """Write credibility.json, credibility.md and report.html into `out` (default results/credibility); returns their content.

    directories: of validations, verifications and results; none: results/validation and results/verify, where they are.
    Raises BadInput for a directory with none of these.
    """
    directories = list(directories) or [Path("results") / name for name in USUAL if (Path("results") / name).is_dir()]
    evidence = Evidence(directories)
    out = Path(out) if out is not None else Path("results") / "credibility"
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": 1,
        "halofix": {"version": version(), **git_state()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "context": CONTEXT,
        "directories": [str(d) for d in directories],
        "factors": _index(FACTORS, evidence, out),
        "categories": _index(CATEGORIES, evidence, out),
    }
    (out / "credibility.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "credibility.md").write_text(markdown(content) + "\n", encoding="utf-8")
    rendered(out, "credibility.html", content=content)
    return content


def _index(headings, evidence, out):
    """[{'heading', 'evidence': [{'says', 'file'}], 'gaps': [sentence]}]; files as paths from `out`."""
    index = []
    for heading, finders in headings.items():
        lines = list(dict.fromkeys(line for find in finders for line in find(evidence)))
        index.append(
            {
                "heading": heading,
                "evidence": [{"says": says, "file": _from(out, file)} for says, file in lines if file is not None],
                "gaps": [says for says, file in lines if file is None],
            }
        )
    return index


def _from(out, file):
    return str(Path(file).resolve().relative_to(out.resolve(), walk_up=True))


def markdown(content):
    """The index as a page of Markdown."""
    about = content["halofix"]
    lines = [
        "# Credibility",
        f"Made by `./halofix credibility` on {content['date'][:10]}, halofix {about['version']} ({about['commit'][:10]}), from "
        f"{', '.join(content['directories']) or 'nothing'}. Context of use: {content['context']}",
    ]
    for title, key in (
        ("Credibility factors (ASME V&V 40)", "factors"),
        ("Categories of evidence (FDA 2023)", "categories"),
    ):
        rows = [
            {"": entry["heading"], "evidence": len(entry["evidence"]), "gaps": len(entry["gaps"])} for entry in content[key]
        ]
        lines += [f"## {title}", tables.markdown(rows)]
        for entry in content[key]:
            lines.append(f"### {entry['heading']}")
            lines.append(
                "\n".join(
                    [f"- {line['says']} ([{Path(line['file']).name}]({line['file']}))" for line in entry["evidence"]]
                    + [f"- **Gap:** {gap}" for gap in entry["gaps"]]
                )
            )
    return "\n\n".join(lines)
