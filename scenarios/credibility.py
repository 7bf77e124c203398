"""An index of the evidence that exists for a model's credibility: the command `credibility`.

    credibility(directories, out) -> dict: what credibility.json holds

Lines are made of files that are there (scenarios.evidence) and name them; what is missing, failed or assumed is a gap. Factors:
ASME V&V 40-2018; categories: FDA, Assessing the Credibility of Computational Modeling and Simulation in Medical Device Submissions
(November 2023).
"""

from datetime import UTC, datetime
import json
from pathlib import Path

from scenarios import evidence, tables
from scenarios.page import rendered
from scenarios.provenance import git_state, version
from scenarios.trouble import BadInput

# Where is looked unless directories are named: {directory: (its file, what makes it)}
USUAL = {
    Path("results") / "validation": ("validation.json", "`./halofix validate --no-run` makes it from what the repository publishes"),
    Path("results") / "verify": ("verification.json", "`./halofix verify` makes it"),
}
CONTEXT = (
    "Comparison of pedicle screws, halos, cements and revisions by pullout strength and load or cycles to loosening, under "
    "laboratory conditions; not a prediction for a patient."
)

CODE = evidence.checks("manufactured", "closed_forms", missing="no known solution; `./halofix verify` solves one")
POINTWISE = evidence.none("damage and contact are verified at points and on patches; the manufactured solutions are elastic and plastic, without them")
TOLERANCES = evidence.none("no run that was compared was repeated with other tolerances of Newton's method or of the jumps over cycles")
RISK = evidence.none("not told: they belong to the decision that the model is to support")
EMERGENT = evidence.none("no phenomenon that was neither put in nor compared as a number, such as where a halo forms, was set beside an observation")
IN_VIVO = evidence.none("no comparison with implanted screws in vivo")
POPULATION = evidence.none("no comparison with outcomes in a population of patients")

FACTORS = {
    "Before the factors: question of interest, model influence, decision consequence": (RISK,),
    "Code verification: software quality assurance": (evidence.quality,),
    "Code verification: numerical code verification": (CODE, POINTWISE),
    "Calculation verification: discretization error": (evidence.discretisation,),
    "Calculation verification: numerical solver error": (evidence.solver_error, TOLERANCES),
    "Calculation verification: use error": (evidence.use_error,),
    "Validation, computational model: model form": (evidence.model_form,),
    "Validation, computational model: model inputs": (evidence.inputs, evidence.calibration, evidence.sensitivity),
    "Validation, comparator: test samples": (evidence.samples,),
    "Validation, comparator: test conditions": (evidence.conditions,),
    "Validation, assessment: equivalency of input parameters": (evidence.equivalency,),
    "Validation, assessment: output comparison": (evidence.comparison,),
    "Applicability: relevance of the quantities of interest": (evidence.quantities,),
    "Applicability: relevance of the validation activities to the context of use": (evidence.relevance, evidence.contexts, evidence.blind),
}
CATEGORIES = {
    "1 Code verification results": (evidence.quality, CODE, POINTWISE),
    "2 Model calibration evidence": (evidence.calibration,),
    "3 Bench test validation results": (evidence.comparison, evidence.relevance, evidence.compared_error, evidence.intervals),
    "4 In vivo validation results": (IN_VIVO,),
    "5 Population-based validation results": (POPULATION,),
    "6 Emergent model behavior": (EMERGENT,),
    "7 Model plausibility evidence": (evidence.model_form,),
    "8 Calculation verification and uncertainty quantification with simulations of the context of use": (
        evidence.discretisation,
        evidence.context_error,
        evidence.sensitivity,
    ),
}


def credibility(directories=(), out=None):
    """Write credibility.json, credibility.md and report.html into `out` (default results/credibility); returns their content.

    directories: of validations, verifications and results; none: results/validation and results/verify, where they are; which
    of them is missing is told.
    Raises BadInput for a directory with none of these, and for an `out` in use by something else.
    """
    missing = []
    if not directories:
        directories = [directory for directory, (file, _) in USUAL.items() if (directory / file).exists()]
        missing = [f"{directory / file} is missing; {made}" for directory, (file, made) in USUAL.items() if directory not in directories]
    found = evidence.Evidence(directories)
    out = Path(out) if out is not None else Path("results") / "credibility"
    if out.exists() and any(out.iterdir()) and not (out / "credibility.json").exists():
        raise BadInput(f"{out} exists and is not an index of credibility; name another place with --out")
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": 1,
        "halofix": {"version": version(), **git_state()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "context": CONTEXT,
        "directories": [str(d) for d in directories],
        "missing": missing,
        "factors": _index(FACTORS, found, out),
        "categories": _index(CATEGORIES, found, out),
    }
    (out / "credibility.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "credibility.md").write_text(markdown(content) + "\n", encoding="utf-8")
    rendered(out, "credibility.html", content=content)
    return content


def _index(headings, found, out):
    """[{'heading', 'evidence': [{'says', 'file'}], 'gaps': [sentence]}]; files as paths from `out`."""
    index = []
    for heading, finders in headings.items():
        lines = list(dict.fromkeys(line for find in finders for line in find(found)))
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
    missing = "".join(f"{sentence}. " for sentence in content["missing"])
    lines = [
        "# Credibility",
        f"Made by `./halofix credibility` on {content['date'][:10]}, halofix {about['version']} ({about['commit'][:10]}), from "
        f"{', '.join(content['directories']) or 'nothing'}. {missing}Context of use: {content['context']}",
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
