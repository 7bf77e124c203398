"""Statistics against closed forms, and what studies are compared with: points, intervals, verdicts and orders of results that are made up."""

import json

import numpy as np
import pytest

from scenarios import case_runs, comparing, findings, open_inputs, study_loader, validation, validation_report
from scenarios.agreement import agreement, correlation, distinct, standardised
from scenarios.study import Case, arm_text
from test_studies import BONE, GOOD, write

# -- statistics --------------------------------------------------------------------------------------------------------


def test_agreement_of_a_constant_shift():
    m = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = agreement(m, m + 0.5)
    # var = 2 over n; covariance the same: Lin 2 * 2 / (2 + 2 + 0.25); R2 = 1 - 5 * 0.25 / 10
    assert found["concordance"] == pytest.approx(4 / 4.25) and found["R2"] == pytest.approx(0.875)
    assert found["RMSE"] == found["bias"] == pytest.approx(0.5) and found["Pearson_r"] == pytest.approx(1)
    assert found["lower_limit"] == pytest.approx(0.5) and found["upper_limit"] == pytest.approx(0.5)
    assert found["MAPE_percent"] == pytest.approx(100 * 0.5 * (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5)


def test_agreement_limits_and_ranks():
    found = agreement([10, 20, 30, 40, 50], [12, 18, 33, 40, 50])
    off = np.array([2, -2, 3, 0, 0])
    assert found["bias"] == pytest.approx(0.6) and found["upper_limit"] == pytest.approx(0.6 + 1.96 * off.std(ddof=1))
    assert found["Spearman_rho"] == pytest.approx(1) and found["Kendall_tau"] == pytest.approx(1)
    assert agreement([1, 2, 3, 4, 5], [5, 4, 3, 2, 1])["Spearman_rho"] == pytest.approx(-1)
    ratios = agreement([1.0, 2.0, 1.5, 4.0, 3.0], [2.0, 1.0, 1.5, 4.0, 3.0], factors=True)  # a double, a half and three that are right
    spread = 1.96 * np.array([np.log(2), -np.log(2), 0, 0, 0]).std(ddof=1)
    assert ratios["bias"] == pytest.approx(1) and ratios["upper_limit"] == pytest.approx(np.exp(spread)) == pytest.approx(1 / ratios["lower_limit"])


def test_it_does_not_matter_which_arm_of_a_ratio_is_on_top():
    m, p = np.array([1.2, 1.5, 2.0, 2.4, 1.8]), np.array([1.1, 1.6, 1.9, 2.6, 1.7])
    turned = np.array([1, -1, 1, -1, 1])
    one, other = agreement(m, p, factors=True), agreement(m**turned, p**turned, factors=True)
    assert one["MAPE_percent"] != pytest.approx(other["MAPE_percent"], rel=1e-3), "each as its study gives it"
    assert {key: one[key] for key in one if key != "MAPE_percent"} == pytest.approx({key: other[key] for key in one if key != "MAPE_percent"})


def test_too_few_pairs_give_no_number():
    assert agreement([], [])["MAPE_percent"] is None
    four = agreement([2.0, 3.0, 4.0, 5.0], [3.0, 4.5, 6.0, 7.5])
    told = {key for key, value in four.items() if value is not None}
    assert four["MAPE_percent"] == pytest.approx(50) and told == {"n", "MAPE_percent", "RMSE", "bias"}
    assert agreement([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])["concordance"] is None
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


def test_what_comes_after_small_strain_is_a_trend(tmp_path):
    left = {"kind": "cycle", "loosened": True, "cycles_to_loosening": 90.0, "small_strain_until_mm": 0.8}
    study, outcomes = results(tmp_path, {"index": 384.0, "thick": 499.2}, before={"index": [left, left | {"small_strain_until_mm": 0.7}],
                                                                                  "thick": [left | {"small_strain_until_mm": None}]})
    index, thick, ratio, direction = comparing.points(study, outcomes)
    assert (index.trend_from_mm, thick.trend_from_mm, ratio.trend_from_mm, direction.trend_from_mm) == (0.7, None, 0.7, 0.7)
    assert outcomes.trend_from("index", "cycle[1].cycles_to_loosening") == 0.8, "what comes later does not count"
    assert [validation_report.verdict(point.row()) for point in (index, thick)] == ["goal (trend)", "goal"]


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
