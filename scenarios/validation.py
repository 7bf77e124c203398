"""Studies simulated and compared with what was measured: the command `validate`.

    validate(files, out, ...) -> dict: what validation.json holds

Runs what is not there yet (scenarios.case_runs), compares (scenarios.comparing, scenarios.findings), and writes tables, figures and
report.html.
Studies that a constant was fitted to are compared in a table of their own and counted nowhere; what a blind study is predicted
to give is written down with its date.
"""

from dataclasses import replace
from datetime import UTC, datetime
import json
from pathlib import Path
import shutil
import sys
import time

from materials.ablation import ABLATIONS
from scenarios import case_runs, comparing, files, findings, open_inputs, runner, specimen_table, study_loader, tables
from scenarios import solve as solver
from scenarios.findings import FINER, SAMPLES_MESH
from scenarios.provenance import git_state, version
from scenarios.shared import Shared
from scenarios.study import Case, arm_text, may_be_brief, sampled_text
from scenarios.study_loader import SHIPPED
from scenarios.trouble import BadInput, Environment
from scenarios.variation import varied

SAMPLES = 8  # of an axisymmetric arm, which takes seconds; a solid one takes minutes, so it is sampled on request only
SCHEMA = 5  # of validation.json
ALL = Path("results") / "validation"  # of all shipped studies
TABLES = "points", "agreement", "ranking", "ablation", "meshes"


def validate(files=(), out=None, ranks=None, resolution=None, samples=None, run=True, ablation=False, finer=False, publish=False):
    """Compare studies with simulations of them; returns the content of validation.json.

    files: paths of studies, or names of shipped ones; none: all that are shipped; out: directory, by default
    `place(files)`; samples: of the open inputs, for each arm (None: 8 of axisymmetric arms, none of others); ablation: each
    study with deliberately wrong models as well; finer: each study on the next finer mesh as well; run: False uses only what is
    there or the repository publishes, of that 8 samples of every arm, the wrong models and the finer meshes too; publish: so does
    what is not asked to be run.
    Raises BadInput if any study has anything wrong with it, before the first run, or none has a finer mesh.
    """
    begun = time.monotonic()
    studies = _loaded(files or sorted(SHIPPED.glob("*.yaml")))
    runner.check_resolution(resolution)
    solver.check_ranks(ranks)
    beside_all, out = out is None and bool(files), place(files) if out is None else Path(out)
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; name a directory with --out")
    if beside_all and len(files) == 1 and (others := _of_other(out, files[0])):
        raise BadInput(f"{out} holds the validation of {others}; name another place with --out")
    if out.exists() and any(out.iterdir()) and not (out / "validation.json").exists() and not (out / "runs").exists():
        raise BadInput(f"{out} exists and is not a validation; name another place with --out")
    if beside_all:
        _share_runs(out)
    (out / "runs").mkdir(parents=True, exist_ok=True)

    shown = publish or not run
    variants = {"": {}} | ({name: {name: True} for name in ABLATIONS} if ablation or shown else {})
    variants |= {SAMPLES_MESH: {}} | ({FINER: {}} if finer or shown else {})
    plans = {
        (study.name, name): _plans(study, folder, name, out / "runs", resolution, samples, edits, shown)
        for study, folder in studies
        for name, edits in variants.items()
    }
    if finer and not any(group for (_, name), group in plans.items() if name == FINER):
        raise BadInput("--finer: there is no finer mesh than `fine`, nor than one of given lengths")

    def asked(name, plan):
        """Whether this call is to make the run."""
        variant = {"": True, FINER: finer, SAMPLES_MESH: ablation or samples}.get(name, ablation)
        return run and variant and (plan.case.sample is None or _sampled(plan, samples))

    every = [plan for group in plans.values() for plan in group]
    wanted = [plan for (_, name), group in plans.items() for plan in group if asked(name, plan)]
    if shown:
        made = {plan.directory for plan in wanted}
        for plan in every:
            if plan.directory not in made:
                case_runs.take_published(plan)
    failed = _carry_out(wanted, ranks, Shared(out / "shared", steps=True)) if run else {}
    content = {
        "schema": SCHEMA,
        "halofix": {"version": version(), **git_state()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "resolution": resolution or "as the studies say",
        "samples": samples,
        "files": [str(_study_file(file).resolve()) for file in files],
        "studies": [],
        "points": [],
        "ranking": [],
        "ablation": [],
        "meshes": [],
    }
    found = {}
    for study, folder in studies:
        for name in (name for name in variants if plans[study.name, name]):
            outcomes = comparing.Outcomes(plans[study.name, name], failed)
            rows = specimen_table.read(study, folder) if study.specimens else []
            base = comparing.Outcomes(plans[study.name, SAMPLES_MESH], failed) if plans[study.name, SAMPLES_MESH] and not name else None
            found[study.name, name] = comparing.points(study, outcomes, rows, base), comparing.ranking(study, outcomes)
        content["studies"].append(_described(study, folder, {name: plans[study.name, name] for name in variants}))
    points = [point for (_, name), (points, _) in found.items() if not name for point in points]
    content["points"] = [point.row() for point in points]
    content["agreement"] = findings.groups(points)
    content["ranking"] = [ranking for (_, name), (_, ranking) in found.items() if not name and ranking]
    content["ablation"] = findings.ablations(found, {plan.directory.name: _balance(plan) for plan in every})
    content["meshes"] = findings.meshes(found, {plan.directory.name: _mesh(plan) for plan in every})
    content["commits"] = _commits(every)
    content["seconds_simulated"] = _seconds(every)
    content["seconds_here"] = round(time.monotonic() - begun, 1)
    _write(out, content)
    return content


def place(files):
    """Default directory of a validation: the report of named studies does not take the place of that of all."""
    names = [Path(file).stem for file in files]
    return ALL.with_name("_".join([ALL.name, *(names if len(names) < 2 else ["some"])]))


def _of_other(out, file):
    """The file whose validation is in the directory `out`, if it is not `file` but only called like it; else ''."""
    try:
        there, = json.loads((out / "validation.json").read_text())["files"]
    except (OSError, ValueError, KeyError):
        return ""
    return "" if Path(there) == _study_file(file).resolve() else there


def _study_file(name):
    """Path of a study: a file, or the shipped one of that name."""
    shipped = SHIPPED / f"{name}.yaml"
    return shipped if shipped.exists() and not Path(name).exists() else Path(name)


def _share_runs(out):
    """Runs and meshes of named studies are those of all, so that each run is made once, whichever report it is in."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("runs", "shared"):
        (ALL / name).mkdir(parents=True, exist_ok=True)
        if not (out / name).exists():
            (out / name).symlink_to(Path("..") / ALL.name / name)


def _loaded(files):
    """[(Study, folder)] of all files, or names of shipped ones; BadInput with everything that is wrong in any of them."""
    found, wrong = [], []
    for file in files:
        try:
            found.append(study_loader.load(_study_file(file)))
        except BadInput as error:
            wrong.append(str(error))
    names = [study.name for study, _ in found]
    wrong += [
        f"several studies are called {name}; give each a `name:` of its own"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if wrong:
        raise BadInput("\n".join(wrong))
    return found


def _sampled(plan, samples):
    """Whether samples of an arm are run: on request, or where they take seconds."""
    return samples is not None or plan.scenario.model == "axisymmetric"


def _mesh(plan):
    """Name of a planned run's mesh."""
    return plan.scenario.resolution if isinstance(plan.scenario.resolution, str) else "given lengths"


def _plans(study, folder, variant, runs, resolution, samples, edits, shown):
    """[case_runs.Planned] of a variant of a study: arms, their samples, and the rows of its table. shown: whether what is published is used."""
    if variant == FINER:
        return [plan for each in _arms(study, folder, runs, resolution) if (plan := case_runs.finer(each, runs))]
    if variant == SAMPLES_MESH:
        return _arms(study, folder, runs, None, sampled_text) if study.samples_on and not resolution else []
    if edits:  # a wrong model is judged by its nominal predictions
        return _arms(study, folder, runs, resolution, sampled_text, edits)
    found = _arms(study, folder, runs, resolution)
    for nominal in found[: len(study.arms)]:
        count = (SAMPLES if samples is None else samples) if shown or _sampled(nominal, samples) else 0
        cases = open_inputs.cases(study, folder, nominal.case.arm, count)
        found += [case_runs.planned(case, runs, resolution, brief=nominal.brief) for case in cases]
    return found


def _arms(study, folder, runs, resolution, text_of=arm_text, edits=None):
    """[case_runs.Planned] of the arms of a study, in their order, and of the rows of its table, which may compare anything."""
    found = [case_runs.planned(Case(study.name, arm, text_of(study, folder, arm)), runs, resolution, edits) for arm in study.arms]
    brief = may_be_brief(study, {plan.case.arm: plan.scenario for plan in found})
    found = [replace(plan, brief=brief) for plan in found]
    for row in specimen_table.read(study, folder) if study.specimens else ():
        text = varied(text_of(study, folder, row.arm), row.changes | {"name": f"{study.name}, {row.name}, {row.arm}"[:80]})
        found.append(case_runs.planned(Case(study.name, row.arm, text, specimen=row.name), runs, resolution, edits))
    return found


def _carry_out(plans, ranks, shared):
    """Run what is not there, cheap cases first, nominal ones before samples, and these number by number: where the time is not enough
    for all, every arm has the same ones. Returns {directory of a run: why} of what could not be run."""
    missing = {}
    for plan in plans:
        case_runs.drop_published(plan)
        # the same run may be asked for brief, as an arm, and in full, as a specimen like it: it is made in full
        if plan.result is None and missing.setdefault(plan.directory, plan).brief and not plan.brief:
            missing[plan.directory] = plan

    def cost(plan):
        kinds = [kind for _, kind, _ in plan.scenario.steps()]
        number = -1 if plan.case.sample is None else plan.case.sample
        return number >= 0, plan.scenario.model != "axisymmetric", number, kinds.count("cycle")

    ordered = sorted(missing.values(), key=cost)
    failed = {}
    for number, plan in enumerate(ordered, start=1):
        case = plan.case
        extra = "".join(
            [
                f", specimen {case.specimen}" if case.specimen else "",
                f", sample {case.sample + 1}" if case.sample is not None else "",
                "".join(f", {ABLATIONS[name][0]}" for name in plan.edits if name in ABLATIONS),
                f", mesh: {_mesh(plan)}",
            ]
        )
        print(f"run {number} of {len(ordered)}: {case.study}, {case.arm}{extra}", flush=True)
        result, why = case_runs.carry_out(plan, ranks, shared)
        if result is None:
            print(f"  {why}", file=sys.stderr, flush=True)
            failed[plan.directory] = why
        elif result.summary.get("interrupted"):
            raise KeyboardInterrupt
        elif result.exit_code == solver.ENVIRONMENT:  # the next one would meet the same
            raise Environment(f"{case.study}, {case.arm}: {result.reason}")
        elif plan.result is None:
            failed[plan.directory] = result.reason
    return failed


def _described(study, folder, plans):
    """What a report says of a study beside its points; plans: {name of a deliberate change of the model, '' for none: [Planned]}."""
    rows = specimen_table.read(study, folder) if study.specimens else []
    curves = {(row.name, row.arm): str(row.curve) for row in rows if row.curve}
    return {
        "name": study.name,
        "citation": study.citation,
        "doi": study.doi,
        "role": study.role,
        "kind": study.kind,
        "assumed": [{"what": path, "value": a.value, "why": a.why} for path, a in study.assumed.items()],
        "open": [
            {"what": path, "distribution": _words(d), "why": d.why}
            for path, d in study.uncertain.items()
        ],
        "sides": {item.words(): item.sides for item in study.measured}
        | {row.words(outcome): [(row.arm, outcome)] for row in rows for outcome in row.measured},
        "runs": [
            {
                "arm": plan.case.arm,
                "specimen": plan.case.specimen,
                "sample": plan.case.sample,
                "sampled": plan.case.sampled,
                "change": ABLATIONS[name][0] if name in ABLATIONS else name,
                "run": plan.directory.name,
                "curve": curves.get((plan.case.specimen, plan.case.arm)),
                "mesh": _mesh(plan),
                "status": plan.result.status if plan.result else "not run",
            }
            for name, group in plans.items()
            for plan in group
        ],
    }


def _words(given):
    """A Distribution in words."""
    kind = next(kind for kind in ("normal", "uniform", "relative") if getattr(given, kind) is not None)
    return f"SD {given.relative:g} % of the arm's own" if kind == "relative" else f"{kind} {getattr(given, kind)}"


def _balance(plan):
    """The worst error of the energy balance of the steps of a run; 0 where there is none."""
    steps = plan.result.summary["steps"] if plan.result else ()
    return max((abs(step.get("energy_balance_error") or 0.0) for step in steps), default=0.0)


def _commits(plans):
    made = [case_runs.about(plan.directory).get("halofix") for plan in plans]
    return sorted({each["commit"] + (" and changes" if each.get("modified") is True else "") for each in made if each})


def _seconds(plans):
    results = {plan.directory: plan.result for plan in plans}
    return round(sum(r.summary.get("seconds_wall", 0.0) for r in results.values() if r), 1)


def text(content):
    """A few lines for the terminal."""
    told = sum(point["predicted"] is not None for point in content["points"])
    lines = [f"{told} of {len(content['points'])} points predicted"]
    for row in content["agreement"]:
        if row["n"]:
            r2 = "" if row["R2"] is None else f", R2 {row['R2']:.2f}"
            inside = f", measured inside the interval {row['inside']} of {row['intervals']}" if row["intervals"] else ""
            lines.append(
                f"  {row['group']:<24} {row['n']} of {row['points']}: mean absolute error {tables.number(row['MAPE_percent'], '.0f')} %{r2}{inside}"
            )
    for row in content["ranking"]:
        if row["pairs"] == row["untold"]:
            continue
        wrong = f"; not predicted as measured: {row['wrong']}" if row["wrong"] else ""
        lines.append(
            f"  order of the arms, {row['study']}: {row['right']} of {row['pairs'] - row['untold']} pairs right{wrong}"
        )
    for row in content["ablation"]:
        if "MAPE_percent" in row:
            lines.append(
                f"  {row['model']}, {row['group']}: {row['MAPE_percent']:.0f} % instead of {row['MAPE_own_percent']:.0f} %"
            )
    if changes := [abs(row["change_percent"]) for row in content["meshes"] if row["change_percent"] is not None]:
        lines.append(f"  finer meshes change {len(changes)} predictions by at most {max(changes):.1f} %")
    return "\n".join(lines)


# -- what is written ---------------------------------------------------------------------------------------------------


def _write(out, content):
    """validation.json, the tables as CSV, and figures with report.html, none of which stays of an earlier call."""
    shutil.rmtree(out / "figures", ignore_errors=True)
    for name in ("report.html", "validation.md", *(f"{table}.csv" for table in TABLES)):
        (out / name).unlink(missing_ok=True)
    files.replace(out / "validation.json", json.dumps(content, indent=1) + "\n")
    for name in TABLES:
        if content[name]:
            tables.write_csv(out / name, content[name])
    runner.write_report(out)
