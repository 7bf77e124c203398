"""Verification and the index of evidence: orders and indices against closed forms, and an index that lists only what is there."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from scenarios import cli, comparing, credibility, evidence, verification, verification_report
from scenarios.grid_convergence import grid_convergence
from scenarios.trouble import BadInput
from scenarios.validation import SCHEMA

# -- grid convergence --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [0.7, 1.0, 2.0, 2.1])
@pytest.mark.parametrize("sizes", [(0.1, 0.2, 0.4), (0.15, 0.25, 0.4), (0.4, 0.6, 1.0)])
def test_order_and_limit_of_a_power_law(order, sizes):
    results = [200 + 30 * h**order for h in sizes]
    found = grid_convergence(sizes[::-1], results[::-1])
    assert found.order == pytest.approx(order, rel=1e-6) and found.limit == pytest.approx(200, rel=1e-6)
    step = (results[1] - results[0]) / ((sorted(sizes)[1] / sorted(sizes)[0]) ** min(order, 2.0) - 1)
    assert found.gci == pytest.approx(1.25 * step / results[0], rel=1e-6) and (order > 2 or step == pytest.approx(results[0] - 200, rel=1e-6))


def test_an_order_above_that_of_the_elements_is_no_guide():
    results = [200 + 30 * h**3.5 for h in (0.1, 0.2, 0.4)]
    found = grid_convergence([0.1, 0.2, 0.4], results)
    assert found.order == pytest.approx(3.5, rel=1e-6) and found.limit is None
    assert found.gci == pytest.approx(3 * (results[1] - results[0]) / results[0], rel=1e-6) and found.gci > 3 * (results[0] - 200) / results[0]


def test_only_the_three_finest_count():
    sizes = [0.1, 0.2, 0.4, 0.8]
    assert grid_convergence(sizes, [10 + h for h in sizes[:3]] + [99]).order == pytest.approx(1)


def test_oscillation_has_no_order_but_a_band():
    found = grid_convergence([1, 2, 4], [100, 102, 101])
    assert found.order is None and found.limit is None and found.gci == pytest.approx(3 * 1 / 100)
    assert grid_convergence([1, 2, 4], [5, 5, 5]).gci == 0
    with pytest.raises(ValueError):
        grid_convergence([1, 2], [1, 2])


def test_a_diverging_series_has_no_order():
    found = grid_convergence([1, 2, 4], [100, 110, 110.001])
    assert found.order is None and found.gci == pytest.approx(3 * 10.001 / 200)


# -- the command -------------------------------------------------------------------------------------------------------


def check(name, passed=True, **more):
    return {"name": name, "title": name.title(), "asked": "much", "found": "enough", "passed": passed, "rows": [{"size mm": 1.0, "peak N": 2.0}],
            "seconds": 1.0, **more}


def test_verify_collects_draws_and_judges(tmp_path, monkeypatch):
    sizes = [{"size mm": h, "peak N": 100 + 5 * h} for h in (0.25, 0.5, 1.0)]
    summary = verification.convergence(sizes, ["peak N"])
    assert summary[0]["order"] == pytest.approx(1) and summary[0]["limit"] == pytest.approx(100)
    for name in ("manufactured", "closed_forms", "mesh", "step", "step_in_cement"):
        def fake(full, name=name):
            return check(name, passed=name != "step", rows=sizes, summary=summary, figure="mesh") if name.startswith(("mesh", "step")) else check(name)
        fake.__name__ = name
        monkeypatch.setattr(verification, name, fake)
    run = CliRunner().invoke(cli.app, ["verify", "--out", str(tmp_path / "out")])
    assert run.exit_code == 3, "a check that fails is no success"
    assert "NOT as expected" in run.output
    content = verification_report.read(tmp_path / "out")
    assert [c["passed"] for c in content["checks"]] == [True, True, True, False, True]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "extrapolation" in page and (tmp_path / "out" / "figures" / "mesh.png").exists()
    assert "| NO |" in (tmp_path / "out" / "verification.md").read_text()
    assert (tmp_path / "out" / "mesh.csv").read_text().startswith("size mm,peak N")


def pulled(peak):
    """Stand-in for the pullouts behind a check: peak(size) in N, the rest as it should be."""
    def runs(posed):
        return [(label, size, SimpleNamespace(peak=peak(size), outcome={"dofs": 1, "seconds_total": 1.0}, step={
            "stiffness_N_per_mm": 1000.0, "displacement_at_peak_mm": 0.1, "energy_balance_error": 0.0})) for label, size, _ in posed]
    return runs


@pytest.mark.parametrize(("peak", "passed", "says"), [
    (lambda h: 100 + 5 * h, True, "order 1.00 observed"), (lambda h: 100 + 5 * h, True, "the standard mesh lies 2.5 % above the finest"),
    (lambda h: 100 + 100 * h, False, "order 1.00"), (lambda h: 100 - 2 / h, False, "no order")])
def test_a_mesh_that_does_not_converge_fails(monkeypatch, peak, passed, says):
    monkeypatch.setattr(verification, "_pullouts", pulled(peak))
    found = verification.mesh(False)
    assert found["passed"] is passed and says in found["found"]


@pytest.mark.parametrize(("slope", "passed"), [(10.0, True), (60.0, False)])
def test_a_peak_that_moves_with_the_step_fails(monkeypatch, slope, passed):
    monkeypatch.setattr(verification, "_pullouts", pulled(lambda step: 100 + slope * step))
    for study in (verification.step, verification.step_in_cement):
        assert study(False)["passed"] is passed


@pytest.mark.parametrize(("l2", "passed"), [(2.95, True), (2.0, False)])
def test_an_order_that_is_not_that_of_the_elements_fails(monkeypatch, l2, passed):
    rows = json.dumps([["3D", 0.5, 1e-2, 1e-1, float("nan"), float("nan")], ["3D", 0.25, 1e-3, 1e-2, l2, 2.0]])
    monkeypatch.setattr(verification.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0, stdout=f"noise\n{rows}\n", stderr=""))
    assert verification.manufactured(False)["passed"] is passed


def test_closed_forms_are_tests_of_the_suite(monkeypatch):
    monkeypatch.setattr(verification, "CLOSED_FORMS", {"test_cortex.py::test_shear_and_biaxial_closed_forms": "membrane"})
    found = verification.closed_forms(False)
    assert found["passed"] and found["rows"] == [{"what": "membrane", "tests": 1, "passed": 1, "seconds": found["rows"][0]["seconds"]}]


def test_a_failed_test_is_told(tmp_path):
    report = tmp_path / "tests.xml"
    report.write_text('<testsuites><testsuite><testcase classname="tests.test_patch" name="test_bond_breaks" time="1.5"><failure/></testcase>'
                      '<testcase classname="tests.test_cortex" name="test_yield[1]" time="0.1"/></testsuite></testsuites>')
    first, second = verification.read_tests(report)
    assert first["result"] == "failure" and first["test"] == "bond breaks" and first["about"].startswith("patch tests")
    assert second["result"] == "passed"


def test_every_closed_form_is_a_test_that_exists():
    for name in verification.CLOSED_FORMS:
        file, _, test = name.partition("::")
        assert not test or f"def {test}(" in (verification.ROOT / "tests" / file).read_text()
        assert (verification.ROOT / "tests" / file).exists()


# -- the index of evidence ---------------------------------------------------------------------------------------------


def lines(content, key, word):
    return next(entry for entry in content[key] if word in entry["heading"])


def test_without_results_the_index_is_gaps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = credibility.credibility((), tmp_path / "out")
    assert "`./halofix validate --no-run` makes it from what the repository publishes" in content["missing"][0] and len(content["missing"]) == 2
    assert content["missing"][0] in credibility.markdown(content)
    for word in ("numerical code", "discretization", "solver error", "use error", "test samples", "output comparison"):
        entry = lines(content, "factors", word)
        assert entry["gaps"] and not entry["evidence"], word
    assert lines(content, "categories", "In vivo")["gaps"]
    with pytest.raises(BadInput, match="neither a validation"):
        credibility.credibility([tmp_path / "nowhere"], tmp_path / "out")


def test_evidence_is_what_the_files_say(tmp_path):
    verified, validated = tmp_path / "verify", tmp_path / "validation"
    verified.mkdir()
    about = {"version": "1", "commit": "c" * 40, "modified": False}
    (verified / "verification.json").write_text(json.dumps({"halofix": about, "checks": [check("manufactured"), check("mesh", passed=False)]}))
    for name, error in (("abc", -0.004), ("stray", 0.5), ("wrong", 0.6)):
        (validated / "runs" / name).mkdir(parents=True)
        (validated / "runs" / name / "result.json").write_text(json.dumps(
            {"status": "partial", "warnings": ["soft"], "steps": [{"kind": "revise"}, {"kind": "pullout", "energy_balance_error": error}]}))
    for file, text in (("resolved.yaml", ""), ("provenance.json", '{"options": {"edits": {"model.friction": 0.2}}}')):
        (validated / "runs" / "abc" / file).write_text(text)
    points = [comparing.Point("one", "validation", "cadaveric", "ratio", "a / b", measured=1.2, predicted=1.3, low=1.1, high=1.4, samples=4,
                              verdict="goal", outcomes="peak_force_N", runs=["abc"]),
              comparing.Point("one", "validation", "cadaveric", "ratio", "b / c", measured=1.2, predicted=2.0, verdict="missed", outcomes="peak_force_N", runs=["abc"],
                              trend_from_mm=0.7),
              comparing.Point("one", "validation", "cadaveric", "arm", "d", measured=9.0, predicted=9.0, uncounted="from a formula",
                              outcomes="peak_force_N"),
              comparing.Point("fit", "calibration", "cadaveric", "ratio", "c / d", measured=1.2, predicted=1.2, verdict="goal", outcomes="micromotion_um")]
    assumed = [{"what": "specimen.bmd", "value": "70 mg/cm^3", "why": ""}, {"what": "unscrewing", "value": None, "why": ""},
               {"what": "cement", "value": None, "why": ""}, {"what": "resolution", "value": "coarse", "why": ""}, {"what": "measured ratios", "value": None, "why": "as printed"}]
    runs = [{"run": "abc", "arm": "a", "change": "", "status": "completed"}, {"run": "wrong", "arm": "a", "change": "von Mises bone", "status": "completed"},
            {"run": "never", "arm": "b", "change": "", "status": "not run"}]
    sides = {what: [("a", "peak_force_N")] for what in ("a / b", "b / c")}
    studies = [{"name": name, "role": role, "kind": "cadaveric", "assumed": assumed, "open": [{"what": "model.friction"}], "runs": runs, "sides": sides}
               for name, role in (("one", "validation"), ("fit", "calibration"))]
    (validated / "validation.json").write_text(json.dumps({
        "schema": SCHEMA, "halofix": about, "date": "2030-01-01", "resolution": "standard", "commits": ["a" * 40, "c" * 40], "studies": studies,
        "ablation": [{"model": model, "group": "ratios", "MAPE_percent": 9.0, "MAPE_own_percent": 5.0, "energy_error_percent": 0.5, "says": says}
                     for model, says in (("bonded threads", "worse"), ("von Mises bone", "not worse"))],
        "meshes": [{"study": "one", "what": what, "role": "validation", "uncounted": "", "change_percent": change, "why": why} for what, change, why in
                   (("a / b", -2.0, ""), ("b / c", None, "stopped short"))],
        "ranking": [{"study": "one", "role": "validation", "pairs": 3, "right": 1, "untold": 1, "wrong": "a > b"}],
        "points": [point.row() for point in points], "agreement": [{"group": "ratios", "points": 2, "n": 2, "R2": None, "MAPE_percent": 37.5}]}))
    out = tmp_path / "out"
    own = tmp_path / "own"
    own.mkdir()
    (own / "result.json").write_text(json.dumps({"status": "completed", "steps": [{"kind": "pullout", "energy_balance_error": 0.001}]}))
    content = credibility.credibility([verified, validated, own], out)

    for key in ("factors", "categories"):
        for entry in content[key]:
            assert entry["evidence"] or entry["gaps"]
            assert all((out / line["file"]).exists() for line in entry["evidence"])
    proof = {line["says"].partition(":")[0]: (out / line["file"]).resolve() for entry in content["factors"] for line in entry["evidence"]}
    assert proof["Manufactured"] == verified / "verification.json" and proof["ratios"] == validated / "validation.json"
    assert proof["energy balance of 2 solved steps, worst error 0.4 %"] == validated / "runs" / "abc" / "result.json"
    said = {entry["heading"]: " ".join([line["says"] for line in entry["evidence"]]) for entry in content["factors"]}
    gaps = {entry["heading"]: " ".join(entry["gaps"]) for entry in content["factors"]}

    def of(told, word):
        return next(text for heading, text in told.items() if word in heading)

    assert "1 compared numbers differ by at most 2.0 %" in of(said, "discretization") and "1 of 2 tests on a finer mesh did not come to an end" in of(gaps, "discretization")
    assert "NOT as asked" in of(gaps, "discretization") and "worst error 0.4 %" in of(said, "solver error"), "neither stray nor wrong models"
    assert "1 of 2 runs set inputs of the laws" in of(said, "use error"), "which resolved.yaml does not hold"
    assert "bonded threads" in of(said, "model form") and "von Mises bone" in of(gaps, "model form"), "what is not worse speaks against an idea"
    assert "revision screws: cadaver studies with a judged point 1 (one)" in of(gaps, "context of use")
    assert "1 of 2 runs stopped short" in of(gaps, "solver error") and "outside the range" in of(gaps, "model inputs")
    assert "38 % over 2 of 2" in of(said, "output comparison") and "1 of 2 points" in of(said, "output comparison")
    assert "1 of 2 points are missed" in of(gaps, "output comparison") and "not in the measured order: a > b" in of(gaps, "output comparison")
    assert of(gaps, "equivalency") == "one: specimens, screws and cement not given by the source and assumed: specimen.bmd, cement"
    assert of(gaps, "test conditions") == "one: done otherwise or not given: unscrewing" and "how a source is read: one: as printed" in of(gaps, "output comparison")
    assert "1 of 1 measured numbers lie inside their interval, where 1 would" in of(said, "model inputs"), "1.2 in 1.1 to 1.4, of 0.6 due"
    assert "that no interval holds: model.insertion_damage, model.fatigue_life_at_yield, model.entry_cortex" in of(gaps, "model inputs")
    assert "1 of 2 points lie beyond small strain (from 0.7 to 0.7 mm" in of(gaps, "output comparison")
    assert "2 of 2 numbers without number of specimens" in of(gaps, "test samples"), "a formula is no measurement"
    assert "1 of 2 compared predictions have an interval" in of(said, "model inputs")
    assert "fit" not in of(said, "test samples").split(), "calibration is no validation"
    assert "pullout strength was compared with 2" in of(said, "quantities") and "micromotion was not" in of(gaps, "quantities")
    assert "other states of the code than the present one: aaaaaaaaaa" in of(gaps, "software quality")
    context = lines(content, "categories", "context of use")["evidence"]
    assert any("worst error 0.1 %" in line["says"] for line in context), "runs of one's own, not those compared"
    assert lines(content, "categories", "calibration")["evidence"][0]["says"].startswith("fit, c / d")
    page = (out / "report.html").read_text()
    assert page.count('class="gap"') == sum(len(entry["gaps"]) for key in ("factors", "categories") for entry in content[key])


def test_a_context_of_use_is_judged_by_several_studies():
    def run(*kinds):
        return {"steps": [{"kind": kind, "energy_balance_error": 0.0} for kind in kinds]}

    results = {"native": run("insert", "pullout"), "cycled": run("insert", "cycle"), "cement": run("insert", "cycle", "augment", "cycle")}
    file, load = Path("validation.json"), "cycle[1].load_at_loosening_N"
    runs = [{"arm": name, "run": name} for name in results]
    sides = {"pulled": [("native", "peak_force_N")], "before": [("cement", load)], "after / before": [("cement", "load_at_loosening_N"), ("cement", load)]}

    def study(name, kind="cadaveric"):
        return {"name": name, "kind": kind, "runs": runs, "sides": sides}

    def point(name, what, run, kind="ratio", verdict="missed"):
        return comparing.Point(name, "validation", "cadaveric", kind, what, predicted=1.0, verdict=verdict, runs=[run]).row()

    points = [point("a", "pulled", "native", "arm"), point("b", "pulled", "native", verdict=""), point("foam", "pulled", "native"),
              point("a", "before", "cement"), point("b", "before", "cement"), point("a", "after / before", "cement", "direction")]
    content = {"studies": [study("a"), study("b"), study("foam", "synthetic")], "points": points}
    found = SimpleNamespace(validations=[(file, content)], compared=[(Path("runs") / name / "result.json", result) for name, result in results.items()])
    native, cycled, halo, cement, revision = evidence.contexts(found)
    assert native == ("native screws, pulled out: cadaver studies with a judged point 1 (a)", None), "neither foam nor what was not judged"
    assert cycled == ("native screws, cycled: cadaver studies with a judged point 2 (a, b)", file), "the first test of a screw that is cemented later"
    assert cement == ("cemented screws: cadaver studies with a judged point 1 (a), directions only", None)
    assert halo[1] is revision[1] is None and revision[0].endswith(" 0")


def test_blind_predictions_are_those_that_were_frozen(tmp_path, monkeypatch):
    file = tmp_path / "blind_predictions.csv"
    monkeypatch.setattr(evidence, "BLIND", file)
    nothing = SimpleNamespace(points=list)
    assert list(evidence.blind(nothing)) == [("no blind prediction", None)]
    file.write_text("study,what,date\na,x,2030-01-02\na,y (known to be above 1),2029-01-01\na,x,2031-05-06\n")
    (says, where), gap = evidence.blind(nothing)
    assert says.startswith("1 predictions") and "2030-01-02 to 2031-05-06" in says and where == file
    assert gap == ("no blind prediction has met its result yet", None)
    met = SimpleNamespace(points=lambda: [(tmp_path, {"study": "a", "what": "x"})])
    assert list(evidence.blind(met))[1] == ("1 of them have met their results", tmp_path)
