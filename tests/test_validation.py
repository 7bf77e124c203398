"""Validation: cases of studies and their runs, deliberately wrong models, and the whole command on a study of seconds."""

import csv
from dataclasses import replace
import json
import os
from pathlib import Path
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from materials import bone, library
from materials.ablation import ABLATIONS, edited
from scenarios import case_runs, cli, comparing, findings, open_inputs, publication, solve, study_loader, validation, validation_report
from scenarios.study import Case, arm_text, may_be_brief
from scenarios.trouble import BadInput
from test_studies import GOOD, write


def test_a_sample_knows_what_it_set(tmp_path):
    study, where = study_loader.load(write(tmp_path))
    case = open_inputs.cases(study, where, "index", 2)[0]
    assert set(case.sampled) == {"model.friction", "specimen.density"} and case.sampled["model.friction"] == case.inputs["model.friction"]
    assert case.sampled["specimen.density"] in case.text
    plan = case_runs.planned(case, tmp_path, None)
    assert plan.directory == case_runs.planned(replace(case, sampled={}), tmp_path, None).directory, "the key is of what is solved"


def test_key_of_a_run_follows_what_is_solved(tmp_path, monkeypatch):
    study, where = study_loader.load(write(tmp_path))
    text = arm_text(study, where, "index")

    def directory(text=text, resolution=None, **more):
        return case_runs.planned(Case("study", "index", text, **more), tmp_path, resolution).directory

    assert directory() == directory(text.replace("study, index", "another name")), "a name is not physics"
    others = [directory(arm_text(study, where, "thick")), directory(resolution="coarse"), directory(inputs={"model.friction": 0.1})]
    assert len({directory(), *others}) == 4

    def vertebra():
        return case_runs.planned(Case("study", "index", (solve.ROOT / "scenarios" / "native.yaml").read_text()), tmp_path, None).directory

    before = directory(), vertebra()
    monkeypatch.setattr(bone, "isotropic_fabric", lambda: (0.5, 0.5))
    assert vertebra() != before[1], "a law that is made otherwise is another law"
    assert directory() == before[0], "foam has no fabric"


# -- deliberately wrong models -----------------------------------------------------------------------------------------


def test_edits_change_one_thing_each():
    from materials.density import Density, Kind
    from materials.problem import problem

    posed = problem("threaded3d", {"screw": 1, "trabecular": 2}, ["screw_trabecular"], 6.5, 40.0, density=Density(80, Kind.QCT_K2HPO4))
    before = json.dumps(posed)
    law = {name: edited(posed, {name: True})["laws"][1] for name in ABLATIONS}
    F = np.array(law["von_mises"]["F"])
    shear, tension = np.zeros(6), np.zeros(6)
    shear[4], tension[0] = 1 / np.sqrt(3), 1.0
    assert shear @ F @ shear == pytest.approx(1) and tension @ F @ tension == pytest.approx(1) and not np.any(law["von_mises"]["f"])
    assert law["no_predamage"] == law["bonded_threads"] == posed["laws"][1]
    assert edited(posed, {"no_predamage": True})["insertion"]["damage"] == 0
    assert edited(posed, {"bonded_threads": True})["interfaces"]["screw_trabecular"]["cohesive"]["normal_strength"] > 1e3
    found = edited(posed, {"model.friction": 0.45, "model.insertion_damage": 0.1})
    assert found["interfaces"]["screw_trabecular"]["friction"] == 0.45 and found["insertion"]["damage"] == 0.1
    assert found["edits"] == {"model.friction": 0.45, "model.insertion_damage": 0.1}
    shelled = posed | {"cortex": {"fatigue": {"life": 70.0}}}
    longer, more = edited(shelled, {"model.fatigue_life_at_yield": 140.0}), 140 / library.load("calibrated").fatigue_life_at_yield
    assert longer["laws"][1]["fatigue"]["life"] == pytest.approx(more * posed["laws"][1]["fatigue"]["life"])
    assert longer["cortex"]["fatigue"]["life"] == pytest.approx(more * 70.0)
    assert edited(shelled, {"model.entry_cortex": 0.25})["cortex"]["entry"] == 0.25 and not edited(posed, {"model.entry_cortex": 0.25})["cortex"]
    assert json.dumps(posed) == before and edited(posed, {}) == posed
    with pytest.raises(KeyError):
        edited(posed, {"nonsense": True})


def test_an_ablation_that_is_not_worse_is_told():
    def point(predicted):
        return comparing.Point("s", "validation", "synthetic", "ratio", "w", measured=1.0, predicted=predicted, runs=["run"])

    found = {("s", ""): ([point(1.1)] * 3, None), ("s", "von_mises"): ([point(1.4)] * 3, None), ("s", "bonded_threads"): ([point(0.95)] * 3, None)}
    balances = {"run": 0.03}
    rows = findings.ablations(found, balances)
    coarse = findings.ablations(found | {("s", findings.SAMPLES_MESH): ([point(1.2)] * 3, None)}, balances)
    two = findings.ablations({key: (points[:2], None) for key, (points, _) in found.items()}, balances)
    assert {row["says"] for row in two} == {"too few points to tell"}
    assert [row["MAPE_own_percent"] for row in coarse] == pytest.approx([20, 20]), "a wrong model is judged beside the right one on its mesh"
    by_model = {row["model"]: row for row in rows if "MAPE_percent" in row}
    assert by_model["von Mises bone"]["worse_by_percent"] == pytest.approx(30) and by_model["von Mises bone"]["says"] == "worse"
    assert by_model["von Mises bone"]["energy_error_percent"] == pytest.approx(3)
    assert "does not earn its place" in by_model["bonded threads"]["says"]


# -- the whole command -------------------------------------------------------------------------------------------------

CHEAP = """\
citation: "Nobody 2020"
role: validation
kind: synthetic
base:
  model: axisymmetric
  specimen: {shape: block, density: 0.2 g/cm^3, width: 30 mm, height: 16 mm}
  screw: {diameter: 6 mm, length: 12 mm, pitch: 3 mm, core_diameter: 4 mm, insertion_depth: 10 mm}
  fixture: {ring_inner_diameter: 20 mm}
  protocol: [{insert: {}}, {pullout: {stop: {displacement: 0.05 mm}}}]
  resolution: {thread: 1.5 mm, near: 2 mm, far: 5 mm, sectors: 6}
arms: {index: {}}
measured:
  - {arm: index, outcome: stiffness_N_per_mm, mean: 1000 N/mm}
assumed:
  machine: {why: "stiff"}
open:
  model.friction: {uniform: [0.1, 0.2], why: "library"}
"""


def test_predictions_on_a_finer_mesh(tmp_path):
    """Each beside that of its own mesh, whatever was measured; what was run and did not end says so."""
    def point(predicted, what, kind="ratio", runs=("own",), why=""):
        return comparing.Point("s", "blind", "synthetic", kind, what, predicted=predicted, runs=list(runs), why=why)

    own = [point(2.0, "a / b"), point(1.0, "c / d"), point(1.0, "r", "correlation"), point(1.0, "e / f", runs=["own", "other"])]
    other = [point(1.9, "a / b", runs=["finer"]), point(None, "c / d", runs=[], why="c: not run"), point(0.9, "r", "correlation"),
             point(None, "e / f", runs=["finer"], why="e: stopped short")]
    found = {("s", ""): (own, None), ("s", "von_mises"): (other, None), ("s", findings.FINER): (other, None)}
    mesh = {"own": "coarse", "other": "standard", "finer": "fine"}
    row, short = findings.meshes(found, mesh)
    assert (row["what"], row["resolution"], row["finer"], row["runs"]) == ("a / b", "coarse", "fine", "finer")
    assert row["change_percent"] == pytest.approx(-5) and validation_report._mesh(row)["change"] == "-5.0 %"
    assert short["resolution"] == "coarse and standard" and validation_report._mesh(short)["there"] == "e: stopped short"
    assert validation_report._mesh(short)["predicted"] == "[1](runs/own/result.json) [(2)](runs/other/result.json)"
    assert not findings.meshes({("s", ""): (own, None)}, mesh)
    there, = [row for row in findings.meshes({("s", ""): (own, None), ("s", findings.SAMPLES_MESH): (other, None)}, mesh) if row["what"] == "a / b"]
    assert (there["runs_coarse"], there["predicted"], there["runs"], there["predicted_finer"]) == ("finer", 1.9, "own", 2.0)

    study, where = study_loader.load(write(tmp_path))
    plan = case_runs.planned(Case(study.name, "index", arm_text(study, where, "index")), tmp_path, "standard")
    finer = case_runs.finer(plan, tmp_path)
    assert (finer.resolution, finer.scenario.resolution) == ("fine", "fine") and finer.directory != plan.directory
    assert case_runs.finer(finer, tmp_path) is None, "there is none beyond"
    assert case_runs.finer(replace(plan, scenario=plan.scenario.model_copy(update={"resolution": object()})), tmp_path) is None, "nor of lengths"


def test_samples_are_made_number_by_number(tmp_path, monkeypatch):
    """Stopped between, arms have the same samples, so that a ratio of two has an interval."""
    made = []
    monkeypatch.setattr(case_runs, "carry_out", lambda plan, *_: (made.append((plan.case.arm, plan.case.sample)), (None, "not now"))[1])
    monkeypatch.setattr(validation, "_write", lambda *_: None)
    validation.validate([write(tmp_path)], tmp_path / "out", samples=2)
    assert made == [(arm, sample) for sample in (None, 0, 1) for arm in ("index", "thick")]


def test_arms_are_brief_where_only_loosening_and_pullout_strength_count(tmp_path, monkeypatch):
    """With their samples, and on the finer mesh too; rows of a table, which may compare anything, are not."""
    asked = []
    monkeypatch.setattr(case_runs, "carry_out", lambda plan, *_: (asked.append(plan), (None, "not now"))[1])
    monkeypatch.setattr(validation, "_write", lambda *_: None)

    def brief(text, **given):
        asked.clear()
        validation.validate([write(tmp_path, text=text)], tmp_path / "out", samples=1, **given)
        return {(plan.case.sample is not None, bool(plan.case.specimen), plan.brief) for plan in asked}

    assert brief(GOOD) == {(False, False, True), (True, False, True)}
    assert brief(CHEAP) == {(False, False, False), (True, False, False)}, "it compares a stiffness"
    assert brief(GOOD, finer=True) == {(False, False, True), (True, False, True)}
    (tmp_path / "table.csv").write_text("specimen,arm,specimen.density,peak_force_N\nA,index,0.21 g/cm^3,400\n")
    assert brief(GOOD + "specimens: table.csv\n") == {(False, False, True), (True, False, True), (False, True, False)}


def test_a_brief_run_serves_where_it_tells_enough(tmp_path):
    study, where = study_loader.load(solve.ROOT / "benchmarks" / "cadaveric" / "studies" / "weiser2021.yaml")
    plan = case_runs.planned(Case(study.name, "rescue", arm_text(study, where, "rescue")), tmp_path, None, brief=True)
    scenarios = {"rescue": plan.scenario, "primary": case_runs.planned(Case(study.name, "primary", arm_text(study, where, "primary")), tmp_path, None).scenario}
    assert may_be_brief(study, scenarios), "the angle is that of the first cycling, which is gone on with after loosening"
    for outcome in ("cycle[2].angle_deg", "angle_deg", "cycle[1].static_capacity_N"):
        changed = study.measured[0].model_copy(update={"outcome": outcome, "arm": "rescue"})
        assert not may_be_brief(study.model_copy(update={"measured": [changed]}), scenarios), outcome

    plan.directory.mkdir()
    (plan.directory / "result.json").write_text(json.dumps({"status": "completed", "reason": "", "steps": []}))
    (plan.directory / "provenance.json").write_text(json.dumps({"options": {"brief": True}}))
    assert plan.result and replace(plan, brief=False).result is None


def test_samples_and_wrong_models_on_a_coarser_mesh(tmp_path, monkeypatch):
    """Only where --resolution does not name a mesh for all; the right model goes there with the wrong ones."""
    text = CHEAP.replace("resolution: {thread: 1.5 mm, near: 2 mm, far: 5 mm, sectors: 6}", "resolution: standard") + "samples_on: coarse\n"
    file, asked = write(tmp_path, text=text), []
    monkeypatch.setattr(case_runs, "carry_out", lambda plan, *_: (asked.append(plan), (None, "not now"))[1])
    monkeypatch.setattr(validation, "_write", lambda *_: None)

    def meshes(**given):
        asked.clear()
        validation.validate([file], tmp_path / "out", samples=1, **given)
        return sorted((plan.scenario.resolution, plan.case.sample is not None, any(name in ABLATIONS for name in plan.edits)) for plan in asked)

    found = [("standard", False, False), ("coarse", True, False), ("coarse", False, False)]
    assert meshes() == sorted(found)
    assert meshes(ablation=True) == sorted([*found, *[("coarse", False, True)] * len(ABLATIONS)])
    assert set(meshes(ablation=True, resolution="fine")) == {("fine", False, False), ("fine", True, False), ("fine", False, True)}


def test_what_is_asked_for_brief_and_in_full_is_made_in_full(tmp_path, monkeypatch):
    """A specimen of which nothing is known but its arm is the nominal run of that arm."""
    (tmp_path / "table.csv").write_text("specimen,arm,peak_force_N\nA,index,400\n")
    asked = []
    monkeypatch.setattr(case_runs, "carry_out", lambda plan, *_: (asked.append(plan), (None, "not now"))[1])
    monkeypatch.setattr(validation, "_write", lambda *_: None)
    validation.validate([write(tmp_path, text=GOOD + "specimens: table.csv\n")], tmp_path / "out", samples=0)
    assert sorted((plan.case.arm, plan.brief) for plan in asked) == [("index", False), ("thick", True)]


def test_validate_end_to_end(tmp_path, monkeypatch):
    pytest.importorskip("dolfinx")
    monkeypatch.setattr(validation, "ABLATIONS", {"bonded_threads": ABLATIONS["bonded_threads"]})
    file, out = write(tmp_path, text=CHEAP), tmp_path / "out"
    run = CliRunner().invoke(cli.app, ["validate", str(file), "--out", str(out), "--no-run"])
    assert run.exit_code == 0 and "0 of 1 points predicted" in run.output, run.output

    command = ["validate", str(file), "--out", str(out), "--samples", "2", "--ablation"]
    run = CliRunner().invoke(cli.app, command)
    assert run.exit_code == 0, run.output
    content = json.loads((out / "validation.json").read_text())
    point, = content["points"]
    assert point["predicted"] > 0 and point["samples"] == 2 and point["low"] <= point["predicted"] <= point["high"]
    runs = content["studies"][0]["runs"]
    assert [run["status"] for run in runs] == ["completed"] * 4 and point["runs"] == runs[0]["run"]
    sampled = json.loads((out / "runs" / runs[1]["run"] / "problem.json").read_text())
    friction = sampled["interfaces"]["screw_foam"]["friction"]
    assert 0.1 <= friction <= 0.2 and sampled["edits"] == {"model.friction": friction}
    assert len(list((out / "runs").iterdir())) == 4 and {run["change"] for run in runs} == {"", "bonded threads"}
    bonded = next(row for row in content["ablation"] if "MAPE_percent" in row)
    assert bonded["MAPE_percent"] != pytest.approx(bonded["MAPE_own_percent"], abs=0.01), "the change reaches the solver"

    assert [(out / "runs" / run["run"] / "report.html").exists() for run in runs] == [True, False, False, True], "a sample has no figures"
    page = (out / "report.html").read_text()
    assert 'id="point-0"' in page and 'xlink:href="#point-0"' in page
    links = set(re.findall(r'href="(runs/[^"]+)"', page))
    assert f"runs/{point['runs']}/resolved.yaml" in links and f"runs/{runs[1]['run']}/provenance.json" in links
    assert f"model.friction {friction}" in page and json.loads((out / "runs" / runs[1]["run"] / "provenance.json").read_text())["options"]["edits"]
    assert all((out / link).exists() for link in links)
    with open(out / "points.csv", newline="") as stream:
        assert float(next(csv.DictReader(stream))["predicted"]) == pytest.approx(point["predicted"], rel=1e-5)

    front, shown = tmp_path / "front.md", tmp_path / "published"
    front.write_text("\n".join(publication.SUMMARY))
    (shown / "runs" / "outgrown").mkdir(parents=True)
    publication.publish(content, out, shown, front)
    assert {path.name for path in (shown / "figures").iterdir()} == {"identity.png", "bland_altman.png"}
    assert "](figures/identity.png)" in (shown / "README.md").read_text()
    links = re.findall(r"\]\((runs/[^)]+)\)", (shown / "README.md").read_text())
    assert links == [f"runs/{point['runs']}/result.json"] and (shown / links[0]).exists()
    assert {path.name for path in (shown / "runs").iterdir()} == {run["run"] for run in runs}
    monkeypatch.setattr(case_runs, "PUBLISHED", shown / "runs")
    again = validation.validate([file], tmp_path / "again", samples=2, run=False)
    assert again["points"] == content["points"] and again["ablation"] == content["ablation"] and again["meshes"] == content["meshes"], "the repository's results are enough"
    assert again["commits"] == content["commits"]

    own = tmp_path / "again" / "runs" / point["runs"]
    assert (own / case_runs.MARK).exists() and case_runs._begun(own) is None
    plan = case_runs.Planned(None, None, {}, own)
    case_runs.drop_published(plan)
    assert not own.exists(), "whoever runs the study makes results of their own"
    (begun := own.with_name(f".{own.name}.{2**22 + 1}.tmp")).mkdir()
    for name in ("scenario.yaml", "provenance.json"):
        (begun / name).touch()
    case_runs.take_published(plan)
    assert not own.exists(), "a run that was begun is not covered up"

    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("result.json")}
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    assert before == {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("result.json")}, "each run is made once"

    whole = out / "runs" / point["runs"]
    elsewhere = whole.rename(whole.with_name(f".{whole.name}.{os.getppid()}.tmp"))  # a process that is alive
    run = CliRunner().invoke(cli.app, command)
    assert f"process {os.getppid()} is running it" in run.output + run.stderr and not whole.exists()
    elsewhere.rename(whole)

    killed = whole.rename(whole.with_name(f".{whole.name}.{2**22 + 1}.tmp"))  # no process has that number
    (killed / "result.json").unlink()
    (killed / "left").touch()
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    assert (whole / "left").exists() and not killed.exists(), "a run that was killed is gone on with"


def test_validate_refuses_before_it_runs(tmp_path):
    good, bad = write(tmp_path, text=CHEAP), write(tmp_path, ("mean: 1000 N/mm", "mean: 1000 N"), text=CHEAP, name="bad.yaml")
    run = CliRunner().invoke(cli.app, ["validate", str(good), str(bad), "--out", str(tmp_path / "out")])
    assert isinstance(run.exception, BadInput) and "bad.yaml:13: measured[1].mean: '1000 N' is not a stiffness" in str(run.exception)
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(BadInput, match="is not a validation"):
        validation.validate([good], out=tmp_path / "mine", run=False)


def test_a_validation_is_not_put_where_another_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "mine").mkdir()
    with pytest.raises(BadInput, match="is a file; name a directory"):
        validation.validate(["pedilen"], out="file", run=False)
    validation.validate(["pedilen"], run=False)
    validation.validate(["pedilen"], run=False)
    mine = write(tmp_path / "mine", text=CHEAP, name="pedilen.yaml")
    with pytest.raises(BadInput, match=r"validation_pedilen holds the validation of .*/studies/pedilen.yaml; name another place"):
        validation.validate([mine], run=False)
    validation.validate([mine], out="mine/out", run=False)
    (tmp_path / "mine" / "out" / "report.html").unlink()
    assert CliRunner().invoke(cli.app, ["report", "mine/out"]).exit_code == 0 and (tmp_path / "mine" / "out" / "report.html").exists()
    assert "points.csv, agreement.csv. Runs" in (tmp_path / "mine" / "out" / "report.html").read_text()


def test_nothing_stale_stays_beside_a_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, text=CHEAP)
    validation.validate([file], run=False)
    out = Path("results") / "validation_study"
    stale = [out / name for name in ("ablation.csv", "figures/ratios.png", "figures/curves.svg")]
    (out / "figures").mkdir(exist_ok=True)
    for path in (*stale, out / "mine.csv"):
        path.touch()
    validation.validate([file], run=False)
    assert not any(path.exists() for path in stale) and (out / "report.html").exists() and (out / "mine.csv").exists()


def test_named_studies_have_a_report_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = Path("results") / "validation"
    assert validation.place(()) == whole and validation.place(["a.yaml", "b"]) == Path("results") / "validation_some"
    run = CliRunner().invoke(cli.app, ["validate", str(write(tmp_path, text=CHEAP)), "--no-run"])
    assert run.exit_code == 0 and "results/validation_study/report.html" in run.output
    assert not (whole / "validation.json").exists() and (whole / "runs").samefile("results/validation_study/runs"), "each run is made once"


def test_shipped_studies_go_by_their_names(tmp_path):
    assert validation.validate(["pedilen"], out=tmp_path / "out", run=False)["studies"][0]["name"] == "pedilen"
    with pytest.raises(BadInput, match=r"there is no such file; shipped studies: chapman1996, .*, weiser2021 \(did you mean `pedilen`\?\)"):
        validation.validate(["pedylen"], out=tmp_path / "out", run=False)
    with pytest.raises(BadInput) as refused:
        validation.validate([tmp_path / "mine.yaml"], out=tmp_path / "out", run=False)
    assert "shipped studies" not in str(refused.value)
