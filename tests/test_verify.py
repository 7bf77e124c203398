"""Verification and the index of evidence: orders and indices against closed forms, and an index that lists only what is there."""

import json

import pytest
from typer.testing import CliRunner

from scenarios import cli, comparing, credibility, verification, verification_report
from scenarios.grid_convergence import grid_convergence
from scenarios.trouble import BadInput

# -- grid convergence --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [0.7, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("sizes", [(0.1, 0.2, 0.4), (0.15, 0.25, 0.4), (0.4, 0.6, 1.0)])
def test_order_and_limit_of_a_power_law(order, sizes):
    results = [200 + 30 * h**order for h in sizes]
    found = grid_convergence(sizes[::-1], results[::-1])
    assert found.order == pytest.approx(order, rel=1e-6) and found.limit == pytest.approx(200, rel=1e-6)
    # the index is 1.25 times the distance of the finest result from the one extrapolated with at most second order
    credited = min(order, 2.0)
    distance = abs(results[1] - results[0]) / ((sorted(sizes)[1] / sorted(sizes)[0]) ** credited - 1)
    assert found.gci == pytest.approx(1.25 * distance / results[0], rel=1e-6)
    assert order > 2 or distance == pytest.approx(abs(results[0] - 200), rel=1e-6)


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
    for name in ("manufactured", "closed_forms", "mesh", "step"):
        def fake(full, name=name):
            return check(name, passed=name != "step", rows=sizes, summary=summary, figure="mesh") if name in ("mesh", "step") else check(name)
        fake.__name__ = name
        monkeypatch.setattr(verification, name, fake)
    run = CliRunner().invoke(cli.app, ["verify", "--out", str(tmp_path / "out")])
    assert run.exit_code == 3, "a check that fails is no success"
    assert "NOT as expected" in run.output
    content = verification_report.read(tmp_path / "out")
    assert [c["passed"] for c in content["checks"]] == [True, True, True, False]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "extrapolation" in page and (tmp_path / "out" / "figures" / "mesh.png").exists()
    assert "| NO |" in (tmp_path / "out" / "verification.md").read_text()
    assert (tmp_path / "out" / "mesh.csv").read_text().startswith("size mm,peak N")


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
    run = validated / "runs" / "abc"
    run.mkdir(parents=True)
    (run / "result.json").write_text(json.dumps({"status": "partial", "warnings": ["soft"], "steps": [{"kind": "pullout", "energy_balance_error": -0.004}]}))
    points = [comparing.Point("one", "validation", "cadaveric", "ratio", "a / b", measured=1.2, predicted=1.3, low=1.1, high=1.4, samples=4,
                              verdict="goal", outcomes="peak_force_N"),
              comparing.Point("one", "validation", "cadaveric", "ratio", "b / c", measured=1.2, predicted=2.0, verdict="missed", outcomes="peak_force_N"),
              comparing.Point("fit", "calibration", "cadaveric", "ratio", "c / d", measured=1.2, predicted=1.2, verdict="goal", outcomes="micromotion_um")]
    studies = [{"name": name, "role": role, "kind": "cadaveric", "assumed": [1, 2]} for name, role in (("one", "validation"), ("fit", "calibration"))]
    (validated / "validation.json").write_text(json.dumps({
        "halofix": about, "date": "2030-01-01", "resolution": "standard", "commits": ["a", "b"], "studies": studies, "ranking": [], "ablation": [],
        "points": [point.row() for point in points], "agreement": [{"group": "ratios", "points": 2, "n": 2, "R2": None, "MAPE_percent": 37.5}]}))
    out = tmp_path / "out"
    content = credibility.credibility([verified, validated], out)

    for key in ("factors", "categories"):
        for entry in content[key]:
            assert entry["evidence"] or entry["gaps"]
            assert all((out / line["file"]).exists() for line in entry["evidence"]), "each line is linked to the file that proves it"
    said = {entry["heading"]: " ".join([line["says"] for line in entry["evidence"]]) for entry in content["factors"]}
    gaps = {entry["heading"]: " ".join(entry["gaps"]) for entry in content["factors"]}

    def of(told, word):
        return next(text for heading, text in told.items() if word in heading)

    assert "NOT as asked" in of(said, "discretization") and "worst error 0.4 %" in of(said, "solver error")
    assert "1 of 1 runs stopped short" in of(gaps, "solver error") and "outside the range" in of(gaps, "use error")
    assert "38 % over 2 of 2" in of(said, "output comparison") and "1 of 2 points" in of(said, "output comparison")
    assert "1 of 2 compared predictions have an interval" in of(said, "model inputs")
    assert "fit" not in of(said, "test samples").split(), "calibration is no validation"
    assert "pullout strength was compared with 2" in of(said, "quantities") and "micromotion was not" in of(gaps, "quantities")
    assert "mixes runs of 2 states" in of(gaps, "software quality")
    assert lines(content, "categories", "calibration")["evidence"][0]["says"].startswith("fit, c / d")
    page = (out / "report.html").read_text()
    assert page.count('class="gap"') == sum(len(entry["gaps"]) for key in ("factors", "categories") for entry in content[key])
