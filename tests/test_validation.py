"""Validation: statistics against closed forms, comparison on results made of formulas, and the whole command on a study of seconds."""

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
from scenarios.agreement import agreement, correlation, distinct, standardised
from scenarios.study import Case, arm_text, may_be_brief
from scenarios.trouble import BadInput
from test_studies import BONE, GOOD, write

# -- statistics --------------------------------------------------------------------------------------------------------


def test_agreement_of_a_constant_shift():
    m = np.array([1.0, 2.0, 3.0, 4.0])
    found = agreement(m, m + 0.5)
    # var = 1.25 over n; covariance the same: Lin 2 * 1.25 / (1.25 + 1.25 + 0.25); R2 = 1 - 4 * 0.25 / 5
    assert found["concordance"] == pytest.approx(2.5 / 2.75) and found["R2"] == pytest.approx(0.8)
    assert found["RMSE"] == found["bias"] == pytest.approx(0.5) and found["Pearson_r"] == pytest.approx(1)
    assert found["lower_limit"] == pytest.approx(0.5) and found["upper_limit"] == pytest.approx(0.5)
    assert found["MAPE_percent"] == pytest.approx(100 * 0.5 * (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_agreement_limits_and_ranks():
    found = agreement([10, 20, 30], [12, 18, 33])
    off = np.array([2, -2, 3])
    assert found["bias"] == pytest.approx(1) and found["upper_limit"] == pytest.approx(1 + 1.96 * off.std(ddof=1))
    assert found["Spearman_rho"] == pytest.approx(1) and found["Kendall_tau"] == pytest.approx(1)
    assert agreement([1, 2, 3], [3, 2, 1])["Spearman_rho"] == pytest.approx(-1)
    ratios = agreement([1.0, 2.0, 0.5], [2.0, 1.0, 0.5], factors=True)  # a double, a half and none off
    assert ratios["bias"] == pytest.approx(1) and ratios["upper_limit"] == pytest.approx(2**1.96) and ratios["lower_limit"] == pytest.approx(2**-1.96)


def test_too_few_pairs_give_no_number():
    assert agreement([], [])["MAPE_percent"] is None
    one = agreement([2.0], [3.0])
    assert one["MAPE_percent"] == pytest.approx(50) and one["R2"] is None and one["lower_limit"] is None
    assert agreement([1, 2], [1, 2])["concordance"] is None
    assert correlation([1, 1, 1], [1, 2, 3]) is None


def test_what_was_measured_to_be_0_has_no_error_in_percent():
    assert agreement([0.0, 2.0], [1.0, 3.0])["MAPE_percent"] == pytest.approx(50)
    assert agreement([0.0], [1.0])["MAPE_percent"] is None and agreement([0.0], [1.0])["RMSE"] == 1


def test_means_told_apart_by_welch():
    assert not distinct((742, 320, 31), (732, 307, 31))
    assert distinct((370, 140, 30), (970, 400, 30))
    assert distinct((1.0, None, None), (1.1, 0.5, 4)), "nothing speaks against what is measured"
    assert not distinct((1074, 16, None), (1072, 12, None)) and distinct((1074, 16, None), (1050, 12, None))
    assert standardised(300, 400, 50) == pytest.approx(-2)


# -- comparison on results that are made up ----------------------------------------------------------------------------


def results(folder, forces, samples=(), text=GOOD, before=None, **changes):
    """Outcomes of the study of test_studies with peak forces {arm: N}; samples: {arm: N} of each sample; before: {arm: steps between
    insertion and pullout}."""
    study, where = study_loader.load(write(folder, *changes.get("study", ()), text=text))
    plans = []
    for sample, values in [(None, forces), *enumerate(samples)]:
        for arm, force in values.items():
            inputs = {} if sample is None else {"model.friction": 0.1 + sample / 100}
            case = Case(study.name, arm, arm_text(study, where, arm), sample=sample, inputs=inputs)
            plan = case_runs.planned(case, folder / "runs", None)
            plan.directory.mkdir(parents=True)
            (plan.directory / "result.json").write_text(json.dumps({
                "name": arm, "status": "completed", "reason": "", "steps": [
                    {"kind": "insert"}, *(before or {}).get(arm, ()), {"kind": "pullout", "peak_force_N": force}]}))
            plans.append(plan)
    return study, comparing.Outcomes(plans)


def test_a_formula_is_compared_but_counted_nowhere(tmp_path):
    study, outcomes = results(tmp_path, {"index": 300.0, "thick": 499.2}, study=[("mean: 0.4 kN,", "uncounted: from a formula, mean: 0.4 kN,")])
    points = comparing.points(study, outcomes)
    assert points[0].uncounted == "from a formula" and points[0].deviation == pytest.approx(-0.25) and points[0].verdict == ""
    assert sum(row["points"] for row in findings.groups(points)) == 2, "the other mean and the ratio"


def test_points_of_a_study(tmp_path):
    study, outcomes = results(tmp_path, {"index": 384.0, "thick": 499.2}, [{"index": 360.0, "thick": 396.0}, {"index": 400.0, "thick": 480.0}])
    index, thick, ratio, direction = comparing.points(study, outcomes)
    assert (index.predicted, index.low, index.high, index.samples) == (384, 360, 400, 2)
    assert index.standardised == pytest.approx(-0.8) and index.deviation == pytest.approx(-0.04) and index.verdict == "goal"
    assert thick.deviation == pytest.approx(-0.0016) and thick.standardised is None
    assert ratio.predicted == pytest.approx(1.3) and ratio.verdict == "goal"
    assert (ratio.low, ratio.high) == pytest.approx((1.1, 1.3)), "between like specimens, not between extremes"
    assert direction.measured is None and direction.verdict == "goal"
    assert len(ratio.runs) == 2 and len(index.runs) == 1


def test_measured_values_inside_an_interval_are_counted(tmp_path):
    study, outcomes = results(tmp_path, {"index": 384.0, "thick": 499.2}, [{"index": 360.0, "thick": 396.0}, {"index": 410.0, "thick": 480.0}])
    means, ratios = findings.groups(comparing.points(study, outcomes))
    assert (means["intervals"], means["inside"]) == (2, 1), "400 N lies in 360 to 410, 500 N not in 396 to 499.2"
    assert (ratios["intervals"], ratios["inside"]) == (1, 1)
    said = validation.text({"points": [], "agreement": [means], "ranking": [], "ablation": [], "meshes": []})
    assert "measured inside the interval 1 of 2" in said
    assert "| 2 | 2 | 2 | 1 |" in validation_report.tables.markdown(validation_report._agreement({"agreement": [means]}))


def test_verdicts_and_ranking_of_a_wrong_model(tmp_path):
    study, outcomes = results(tmp_path, {"index": 450.0, "thick": 430.0})
    index, thick, ratio, direction = comparing.points(study, outcomes)
    assert index.verdict == "missed", "foam means are judged by 5 %"
    assert ratio.verdict == "missed" and direction.verdict == "missed" and index.low is None
    rank = comparing.ranking(study, outcomes)
    assert (rank["pairs"], rank["right"], rank["untold"]) == (1, 0, 0) and rank["wrong"] == "thick > index"
    assert rank["outcome"] == {"thick: peak_force_N > index: peak_force_N": False}


def test_a_screw_that_did_not_stand_the_cycles_was_not_in_the_same_test(tmp_path):
    def compared(folder, steps, loosened):
        (tmp_path / folder).mkdir()
        text = BONE.replace("thick: {", f"thick: {{protocol: [{{insert: {{}}}}, {steps}, {{pullout: {{}}}}], ")
        cycle = {"kind": "cycle", "loosened": loosened is not None, "cycles_to_loosening": loosened}
        before = {"thick": [cycle, *[{"kind": "augment"}] * steps.count("augment")]}
        study, outcomes = results(tmp_path / folder, {"index": 400.0, "thick": 500.0}, text=text, before=before)
        return comparing.points(study, outcomes), comparing.ranking(study, outcomes), outcomes

    (index, *others), rank, outcomes = compared("loosened", "{cycle: {preset: lai, stop: {cycles: 5000}}}", 2110.8)
    assert index.verdict == "goal" and not index.why
    assert {point.verdict for point in others} == {"missed"} and others[0].predicted == 500
    assert {point.why for point in others} == {"thick: loosened after 2111 of 5000 cycles, so this is not the test that was carried out"}
    assert (rank["right"], rank["untold"], rank["wrong"]) == (0, 0, "thick > index")
    assert "(thick: loosened after 2111 of 5000 cycles" in validation_report._row(others[0].row())["predicted"]
    assert outcomes.value("thick", "cycles_to_loosening") == (2110.8, ""), "what is asked of the cycles themselves is their test"

    for folder, steps, loosened in [
        ("stood", "{cycle: {preset: lai, stop: {cycles: 5000}}}", None),
        ("rescued", "{cycle: {preset: weiser}}, {augment: {volume: 2 ml, target: halo}}", 2110.8),
        ("until", "{cycle: {preset: weiser, stop: {cycles: 5000}}}", 2110.8),
    ]:
        points, rank, _ = compared(folder, steps, loosened)
        assert {(point.verdict, point.why) for point in points} == {("goal", "")} and rank["right"] == 1, folder


@pytest.mark.parametrize(("thick", "right"), [(450.1, 0), (451.0, 1)])
def test_equal_predictions_are_in_no_order(tmp_path, thick, right):
    assert comparing.ranking(*results(tmp_path, {"index": 450.0, "thick": thick}))["right"] == right


def test_two_outcomes_of_the_same_arms_are_two_pairs(tmp_path):
    more = "  - {ratio: [thick, index], outcome: stiffness_N_per_mm, value: 1.5}\nassumed:\n"
    rank = comparing.ranking(*results(tmp_path, {"index": 400.0, "thick": 500.0}, study=[("assumed:\n", more)]))
    assert rank["pairs"] == len(rank["outcome"]) == 2 and (rank["right"], rank["untold"]) == (1, 1)


def test_insignificant_differences_order_no_arms(tmp_path):
    """Nor means beside them, of which no spread is known."""
    changes = [("mean: 0.4 kN, sd: 20 N, n: 6", "mean: 400 N"), ("mean: 500 N", "mean: 431 N"), ("value: 1.25", "value: 1.0775, p: 0.6"),
               ("{direction: thick > index, outcome: peak_force_N}", "{direction: thick ~ index, outcome: stiffness_N_per_mm}")]
    assert comparing.ranking(*results(tmp_path, {"index": 450.0, "thick": 430.0}, study=changes)) is None


def test_a_correlation_is_with_inputs_in_one_unit(tmp_path):
    text = BONE.replace("index: {}", "index: {specimen.bmd: 60 mg/cm^3}").replace("thick: {", "thick: {specimen.bmd: 0.07 g/cm^3, ")
    text = text.replace("measured:", "  third: {specimen.bmd: 80 mg/cm^3}\nmeasured:\n  - {correlation: [index, thick, third], "
                        "between: [specimen.bmd, peak_force_N], value: 0.9}")
    study, outcomes = results(tmp_path, {"index": 300.0, "thick": 450.0, "third": 600.0}, text=text)
    assert comparing.points(study, outcomes)[0].predicted == pytest.approx(1.0)


def test_an_interval_is_of_samples_of_the_same_test(tmp_path):
    """Samples that change nothing are none; one whose screw was loose before the test is in no interval."""
    study, where = study_loader.load(write(tmp_path, ("  model.friction: {uniform: [0.1, 0.2], why: \"library\"}\n", ""),
                                           ("index: {}", "index: {specimen.density: 0.2 g/cm^3}")))
    assert not open_inputs.cases(study, where, "index", 4) and len(open_inputs.cases(study, where, "thick", 4)) == 4

    text = BONE.replace("index: {}", "index: {protocol: [{insert: {}}, {cycle: {preset: lai, stop: {cycles: 5000}}}, {pullout: {}}]}")
    study, outcomes = results(tmp_path, {"index": 400.0, "thick": 500.0}, [{"index": 200.0, "thick": 450.0}, {"index": 390.0, "thick": 480.0}, {"index": 395.0, "thick": 490.0}], text=text)
    for sample, loosened in ((None, False), (0, True), (1, False), (2, False)):
        steps = outcomes.results["index", None, sample].summary["steps"]
        steps.insert(1, {"kind": "cycle", "loosened": loosened, "cycles_to_loosening": 100.0})
    index, thick, *_ = comparing.points(study, outcomes)
    assert (index.low, index.samples, thick.low, thick.samples) == (390, 2, 450, 3)
    outcomes.results["index", None, 1].summary["steps"][1]["loosened"] = True
    index = comparing.points(study, outcomes)[0]
    assert (index.low, index.samples) == (None, 0), "one sample makes no interval"


def test_an_interval_is_of_one_mesh(tmp_path):
    """The samples' own, with the nominal prediction there; where arms have no samples of their own they are run there as well."""
    text = BONE.replace("index: {}", "index: {specimen.bmd: 70 mg/cm^3, resolution: standard}").replace("thick: {", "thick: {resolution: standard, ")
    text = text.replace('  model.friction: {uniform: [0.1, 0.2], why: "library"}\n', "") + "samples_on: coarse\n"
    study, where = study_loader.load(write(tmp_path, text=text))
    assert study.samples_on == "coarse" and [len(open_inputs.cases(study, where, arm, 2)) for arm in study.arms] == [2, 2]
    assert {case_runs.planned(case, tmp_path, None).scenario.resolution for arm in study.arms for case in open_inputs.cases(study, where, arm, 2)} == {"coarse"}
    assert len({case.text for case in open_inputs.cases(study, where, "index", 2)}) == 1, "one run"

    (tmp_path / "own").mkdir(), (tmp_path / "base").mkdir()
    study, outcomes = results(tmp_path / "own", {"index": 300.0, "thick": 400.0}, [{"index": 410.0, "thick": 560.0}, {"index": 420.0, "thick": 540.0}], text=text)
    base = results(tmp_path / "base", {"index": 400.0, "thick": 520.0}, text=text)[1]
    index, _, ratio, _ = comparing.points(study, outcomes, base=base)
    assert (index.predicted, index.low, index.high, index.samples, index.samples_on) == (300, 400, 420, 2, "coarse")
    assert (ratio.low, ratio.high) == pytest.approx((540 / 420, 560 / 410)), "1.3, nominal there, lies between; 1.33 is of another mesh"
    unsure = comparing.points(study, outcomes, base=results(tmp_path, {}, text=text)[1])[0]
    assert (unsure.low, unsure.high) == (410, 420), "not with the nominal prediction of another mesh"


def test_samples_that_came_to_nothing_are_told(tmp_path):
    study, outcomes = results(tmp_path, {"index": 400.0, "thick": 500.0}, [{"index": 390.0, "thick": 480.0}, {"index": 395.0, "thick": 490.0}, {"index": 397.0, "thick": 495.0}])
    pull = outcomes.results["index", None, 1].summary["steps"][-1]
    pull["force_dropped"] = False
    index, thick, *_ = comparing.points(study, outcomes)
    assert (index.samples, index.lost, thick.lost) == (2, 1, 0) and "(2 of 3 samples)" in validation_report.interval(index.row())
    outcomes.results["index", None, None].summary["steps"][-1]["force_dropped"] = False
    index = comparing.points(study, outcomes)[0]
    assert index.predicted is None and "still rising" in index.why and index.low is None


def test_agreement_is_of_the_tests_that_were_carried_out():
    def point(why):
        return comparing.Point("s", "validation", "cadaveric", "ratio", "w", measured=1.0, predicted=1.5, why=why)

    row, = findings.groups([point(""), point("loosened after 2 of 5 cycles")])
    assert (row["points"], row["n"]) == (2, 1)


@pytest.mark.parametrize(("predicted", "verdict"), [(0.82, "missed"), (1 / 0.82, "missed"), (0.84, "goal"), (1 / 0.84, "goal")])
def test_no_difference_is_judged_the_same_either_way(tmp_path, predicted, verdict):
    changes = [("mean: 500 N", "mean: 431 N"), ("  - {ratio: [thick, index], outcome: peak_force_N, value: 1.25}\n", ""), ("thick > index", "thick ~ index"),
               ("mean: 0.4 kN, sd: 20 N, n: 6", "mean: 431 N")]
    study, outcomes = results(tmp_path, {"index": 400.0, "thick": 400.0 * predicted}, study=changes)
    assert comparing.points(study, outcomes)[-1].verdict == verdict


@pytest.mark.parametrize(("thick", "verdict"), [(409.0, "accepted"), (391.0, "accepted"), (411.0, "missed")])
def test_a_difference_of_none_is_judged_by_its_spread(tmp_path, thick, verdict):
    changes = [("mean: 500 N", "mean: 400 N"), ("ratio: [thick, index], outcome: peak_force_N, value: 1.25", "difference: [thick, index], outcome: peak_force_N, value: 0 N, sd: 10 N"),
               ("  - {direction: thick > index, outcome: peak_force_N}\n", "")]
    study, outcomes = results(tmp_path, {"index": 400.0, "thick": thick}, study=changes)
    assert comparing.points(study, outcomes)[-1].verdict == verdict


def test_what_was_not_run_says_so(tmp_path):
    study, outcomes = results(tmp_path, {"index": 400.0})
    _, thick, ratio, _ = comparing.points(study, outcomes)
    assert thick.predicted is None and "not run" in thick.why and not thick.runs
    assert ratio.predicted is None and comparing.ranking(study, outcomes)["untold"] == 1


def test_calibration_is_counted_nowhere(tmp_path):
    points = {}
    for role in ("validation", "calibration"):
        (tmp_path / role).mkdir()
        study, outcomes = results(tmp_path / role, {"index": 380.0, "thick": 494.0}, study=[("role: validation", f"role: {role}")])
        points[role] = comparing.points(study, outcomes)
    assert [row["points"] for row in findings.groups(points["validation"])] == [2, 1]
    assert findings.groups(points["calibration"]) == []
    assert findings.groups(points["validation"] + points["calibration"]) == findings.groups(points["validation"])


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
        return comparing.Point("s", "validation", "synthetic", "ratio", "w", measured=1.0, predicted=predicted)

    found = {("s", ""): ([point(1.1)], None), ("s", "von_mises"): ([point(1.4)], None), ("s", "bonded_threads"): ([point(0.95)], None)}
    rows = findings.ablations(found)
    coarse = findings.ablations(found | {("s", findings.SAMPLES_MESH): ([point(1.2)], None)})
    assert [row["MAPE_own_percent"] for row in coarse] == pytest.approx([20, 20]), "a wrong model is judged beside the right one on its mesh"
    by_model = {row["model"]: row for row in rows if "MAPE_percent" in row}
    assert by_model["von Mises bone"]["worse_by_percent"] == pytest.approx(30) and by_model["von Mises bone"]["says"] == "worse"
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


def test_samples_are_brief_where_only_loosening_and_pullout_strength_count(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(case_runs, "carry_out", lambda plan, *_: (asked.append((plan.case.sample is not None, plan.brief)), (None, "not now"))[1])
    monkeypatch.setattr(validation, "_write", lambda *_: None)
    validation.validate([write(tmp_path)], tmp_path / "out", samples=1)
    assert set(asked) == {(False, False), (True, True)}
    asked.clear()
    validation.validate([write(tmp_path, text=CHEAP)], tmp_path / "out", samples=1)  # of a stiffness
    assert set(asked) == {(False, False), (True, False)}


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
    """A sample in which nothing of its arm is open is the nominal run on the mesh of the samples."""
    text = CHEAP.replace("resolution: {thread: 1.5 mm, near: 2 mm, far: 5 mm, sectors: 6}", "resolution: standard").replace(
        "{index: {}}", "{index: {specimen.density: 0.25 g/cm^3}, other: {}}").replace("model.friction: {uniform: [0.1, 0.2]",
        "specimen.density: {uniform: [0.19 g/cm^3, 0.21 g/cm^3]").replace("stiffness_N_per_mm, mean: 1000 N/mm", "peak_force_N, mean: 400 N")
    asked = []
    monkeypatch.setattr(case_runs, "carry_out", lambda plan, *_: (asked.append(plan), (None, "not now"))[1])
    monkeypatch.setattr(validation, "_write", lambda *_: None)
    validation.validate([write(tmp_path, text=text + "samples_on: coarse\n")], tmp_path / "out", samples=1)
    made = [(plan.scenario.resolution, plan.brief) for plan in asked if plan.case.arm == "index"]
    assert sorted(made) == [("coarse", False), ("standard", False)] and sum(plan.brief for plan in asked) == 1


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
