"""Figures and reports, drawn from synthetic results: right numbers, right geometry, and never in the way of a run."""

from html.parser import HTMLParser
import json

import meshio
import numpy as np
import pytest
import synthetic

from scenarios import cyclic_figures, failure, figures, report, words
from scenarios.resultdir import Run, runs
from scenarios.sections import cut, outline
from scenarios.trouble import BadInput


SPATIAL = figures._spatial


@pytest.fixture(autouse=True)
def no_renderer(monkeypatch):
    """Spatial views take seconds and a graphics driver; one test makes one."""
    monkeypatch.setattr(figures, "_spatial", lambda directory, out: None)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return synthetic.comparison(tmp_path_factory.mktemp("results") / "comparison")


@pytest.fixture(scope="module")
def cyclic(tmp_path_factory):
    return synthetic.cyclic_comparison(tmp_path_factory.mktemp("results") / "cyclic")


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.text, self.images, self.open, self.skip = [], [], [], False
        self.feed(path.read_text())
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.skip = tag == "style"
        if tag == "img":
            self.images.append(dict(attributes)["src"])
        elif tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.skip = False
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.skip:
            self.text.append(data)

    def __str__(self):
        return " ".join(" ".join(self.text).split())


# sections

def area(section, points):
    corners = section.corners(points)
    x, y = corners[..., 0], corners[..., 1]
    return 0.5 * np.abs((x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(axis=1))


@pytest.mark.parametrize("plane", ["xz", "yz"])
def test_a_cut_has_the_area_of_the_body(plane):
    points, cells, region = synthetic.grid()
    space, tets, origin = synthetic.revolve(points, cells)
    section = cut(space, tets, plane)
    areas = area(section, space)
    assert areas.sum() == pytest.approx(36 * 45 + 6.5 * 6, rel=1e-3)
    assert areas[region[origin][section.cell] == 1].sum() == pytest.approx(6.5 * 36, rel=1e-3)


def test_half_planes_are_mirrored():
    points, cells, _ = synthetic.grid()
    space = np.stack([points[:, 0], 0 * points[:, 0], points[:, 1]], axis=1)
    section = cut(space, cells)
    assert area(section, space).sum() == pytest.approx(36 * 45 + 6.5 * 6, rel=1e-6)
    assert section.corners(space)[..., 1].min() == pytest.approx(-18)


def test_outline_of_a_surface():
    points = np.array([[0, -1, 0], [0, 1, 0], [0, 1, 2.0], [5, 1, 0], [5, 2, 0], [5, 3, 1]])
    lines = outline(points, np.array([[0, 1, 2], [3, 4, 5]]))
    assert len(lines) == 1 and np.ptp(lines[0][:, 0]) == pytest.approx(1, abs=1e-3)


# figures

def test_figures_of_a_run_and_of_a_comparison(comparison):
    found = runs(comparison)
    assert [run.name for run in found][0] == "L3 native"
    made = figures.step_figures(found[2].solved[0])
    assert set(made) == {"curve", "cut", "peak", "mesh"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made.values())
    assert set(figures.comparison_figures(found, comparison / "figures")) == {"curves", "peaks"}


def test_a_figure_that_cannot_be_made_is_named_and_the_rest_is_made(tmp_path, capsys):
    folder = synthetic.run(tmp_path / "run", "broken", dim=2)
    (folder / "peak.vtu").write_text("not a grid")
    made = figures.step_figures(Run(folder).solved[0])
    assert set(made) == {"curve", "cut", "mesh"}
    assert "no figure of the peak" in capsys.readouterr().err


def test_mesh_figure_without_a_result(tmp_path):
    folder = synthetic.run(tmp_path / "run", "mesh only", dim=2)
    (folder / "result.json").unlink()
    assert figures.mesh(folder) == folder / "figures" / "mesh.png"


def test_spatial_view_or_a_sentence_why_not(tmp_path, capsys):
    folder = synthetic.run(tmp_path / "run", "spatial", dim=2)
    picture = SPATIAL(folder, tmp_path / "view.png")
    assert picture.shape[2] == 3 if picture is not None else "no spatial view" in capsys.readouterr().err


def test_figures_of_a_cyclic_test_and_of_a_comparison_of_them(cyclic):
    found = runs(cyclic)
    assert [step.name for step in found[2].solved][:2] == [f"{found[2].name}, native (1st)",
                                                           f"{found[2].name}, after cement (2nd)"]
    assert [step.directory.name for step in found[2].solved] == ["2-cycle", "4-cycle", "5-pullout"]
    made = figures.step_figures(found[0].solved[0])
    assert set(made) == {"cycles", "reference", "static", "halo", "cut", "peak", "mesh"}
    assert set(figures.comparison_figures(found, cyclic / "figures")) == {"cycles", "reference", "curves", "peaks"}
    assert set(figures.comparison_figures(found[:1], cyclic / "figures")) == {"cycles", "reference", "peaks"}


def test_a_halo_without_a_waist_is_drawn(tmp_path):
    step = Run(synthetic.run(tmp_path / "run", "native", protocol=("cycle",), dim=2)).of_kind("cycle")[0]
    step.halo["snapshots"][-1]["hourglass_index"] = None
    assert "no halo at the waist" in cyclic_figures.halo(step).axes[0].get_title(loc="left")


def test_numbers_of_runs_with_cycles_pullout_or_both(cyclic):
    native, pulled, rescued, held = runs(cyclic)
    assert native.number("load_at_loosening_N") == pytest.approx(620) and native.number("peak_force_N") is None
    assert rescued.number("load_at_loosening_N") == pytest.approx(820)    # the last cyclic test
    assert pulled.number("peak_force_N") == pytest.approx(120, rel=0.01)
    assert held.number("load_at_loosening_N") is None
    assert "cycles to loosening" in native.text() and "4-cycle" in rescued.text() and "peak force" in pulled.text()


# failure

@pytest.mark.parametrize("change, kind, said", [
    ({}, 1, "halo is up to 1.5 mm thick, visible on CT"),
    ({"small_strain_until_mm": None}, 4, "turned by 11.3°"),
    ({}, 1, "trend only beyond 1.5 mm at the head, where it was 3.1°: no proof"),
    ({"metal_utilisation": 1.02}, 3, "102 % of its yield"), ({"metal_fatigue_margin": 0.8}, 3, "0.8 times"),
    ({"loosened": False}, None, "held 5200 cycles"), ({"cycles": None}, None, "not get far enough")])
def test_failure_of_a_cyclic_test_follows_the_numbers(cyclic, change, kind, said):
    step = runs(cyclic)[0].solved[0]
    judged = failure.judge(step.directory, step.numbers | change, step.problem)
    assert judged["failure_type"] == kind and said in judged["failure_evidence"], judged


def test_cut_out_counts_the_axial_motion(tmp_path):
    step = {"kind": "cycle", "loosened": True, "cycles": 900, "cycles_to_loosening": 900, "load_at_loosening_N": 190.0,
            "axial_displacement_mm": -1.4, "angle_deg": 4.0, "head_displacement_mm": 5.4, "peak_load_N": 190.0}
    judged = failure.judge(tmp_path, step, {})
    assert judged["failure_type"] == 2 and "1.4 mm along its axis" in judged["failure_evidence"]


def test_a_loosened_screw_is_judged_before_it_is_pushed_on(tmp_path):
    """The last row is the state at the stop of the protocol, at the same cycle as the failure."""
    rows = ["cycles,angle_deg,axial_displacement_mm,head_displacement_mm", "0,0.2,0,0.2", "3042,2.1,0.1,1.29", "3042,11,2,5.4"]
    (tmp_path / "cycles.csv").write_text("\n".join(rows) + "\n")
    step = {"kind": "cycle", "loosened": True, "cycles": 3042.0, "cycles_to_loosening": 3042.0, "load_at_loosening_N": 404.0,
            "peak_load_N": 404.0, "small_strain_until_mm": 5.4}
    judged = failure.judge(tmp_path, step, {})
    assert judged["failure_type"] == 1 and "turned by 2.1°" in judged["failure_evidence"]


@pytest.mark.parametrize("end, stopped, kind, said", [
    (240.0, 0.6, 2, "fell by 20 %"), (298.0, 2.0, 2, "came out by 2.00 mm"), (300.0, 0.2, None, "before the force")])
def test_failure_type_follows_the_numbers(tmp_path, end, stopped, kind, said):
    step = {"peak_force_N": 300.0, "displacement_at_peak_mm": 0.2}
    step |= {"force_at_end_N": end, "displacement_at_end_mm": stopped}
    judged = failure.judge(tmp_path, step, {})
    assert judged["failure_type"] == kind and said in judged["failure_evidence"]


def test_yielding_metal_is_breakage_and_damage_is_measured(tmp_path):
    run = Run(synthetic.run(tmp_path / "run", "soft screw"))
    step = run.solved[0].numbers
    judged = failure.judge(run.directory, step, run.problem)
    assert judged["failure_type"] == 2 and "carried" not in judged["failure_evidence"]
    assert "first maximum" not in judged["failure_evidence"]
    step = dict(step) | {"first_maximum_N": 80.0, "first_maximum_displacement_mm": 0.2}
    judged = failure.judge(run.directory, step, run.problem)
    assert "first maximum of 80 N at 0.20 mm" in judged["failure_evidence"]
    assert "mm³" in judged["failure_evidence"]
    for use, kind, said in ((0.68, 2, "the metal carried 68 % of its yield stress"), (1.05, 3, "105 % of its yield stress")):
        judged = failure.judge(run.directory, step | {"metal_utilisation": use}, run.problem)
        assert judged["failure_type"] == kind and said in judged["failure_evidence"], "at its surface, as after cycles"
    assert failure.judge(run.directory, {}, {})["failure_type"] is None


def test_cement_that_flowed_is_told(tmp_path):
    run = Run(synthetic.run(tmp_path / "run", "filled", cement=1.0))
    peak = meshio.read(run.directory / "peak.vtu")
    filled = np.isin(peak.cell_data["region"][0], failure.CEMENT)
    for strain, told in ((0.0, False), (0.02, True)):
        peak.cell_data["plastic_strain"][0][filled] = strain
        peak.write(run.directory / "peak.vtu")
        evidence = failure.judge(run.directory, run.solved[0].numbers, run.problem)["failure_evidence"]
        assert ("cement had yielded" in evidence and "upper bound" in evidence) == told


# reports

def test_report_of_one_run(tmp_path):
    folder = synthetic.run(tmp_path / "run", "L3 <b>native</b> at $5", halo=1.0)
    page = Page(report.single(folder))
    text = str(page)
    assert "L3 <b>native</b> at $5" in text                       # escaped: it is text again
    for said in ("300 N", "23.4 µm", "2, pull-out", "hourglass-shaped halo up to 1 mm", "5 mm/min", "differ by 0.4 %",
                 "Newton iterations 152", "outside 50 to 200", "do not predict", "Kopperdahl 2002", "0.9.0"):
        assert said in text, said
    assert len(page.images) == 4 and all(source.startswith("data:image/png;base64,") for source in page.images)


def test_report_of_a_comparison(comparison):
    page = Page(report.comparison(comparison))
    text = str(page)
    for said in ("Comparison of 4 screws", "1.64", "0.23", "partial", "stopped short",
                 "Inject 2 ml of PMMA into the halo"):
        assert said in text, said
    assert len(page.images) == 2 + 4 * 4


def test_report_of_cyclic_tests(cyclic):
    page = Page(report.comparison(cyclic))
    text = str(page)
    for said in ("Cyclic loading, native (1st)", "Cyclic loading, after cement (2nd)", "Pullout", "load at loosening N",
                 "1.32", "0.87", "1, loosening",
                 "End of the test: the head has moved by 5.4 mm", "blocks of cycles 60"):
        assert said in text, said
    assert len(page.images) == 4 + 5 * 7 + 2 * 4


def test_cyclic_tests_of_one_run_stand_side_by_side(tmp_path):
    folder = synthetic.run(tmp_path / "run", "rescue", protocol=("cycle", "augment", "cycle", "pullout"), dim=2)
    page = Page(report.single(folder))
    assert "Tests side by side" in str(page) and "1.42" in str(page)    # 880 N after cement, 620 N before
    assert len(page.images) == 4 + 2 * 7 + 4


def test_a_comparison_keeps_the_figures_that_its_runs_have_drawn(comparison):
    report.comparison(comparison)
    drawn = comparison / "native" / "figures" / "cut.png"
    before = drawn.stat().st_mtime_ns
    report.comparison(comparison)
    assert drawn.stat().st_mtime_ns == before


def test_report_of_a_run_that_left_next_to_nothing(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({"schema": 1, "name": "empty", "status": "failed",
                                                    "reason": "the mesh could not be made", "steps": []}))
    text = str(Page(report.single(folder)))
    assert "failed" in text and "the mesh could not be made" in text and "–" in text


def test_what_is_no_result_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no result"):
        report.single(tmp_path)


def test_words_of_a_vertebra():
    resolved = {"specimen": {"shape": {"value": "vertebra"}, "level": {"value": "L3"}, "side": {"value": "left"},
                             "bmd": {"value": 70.0}, "bmd_kind": {"value": "qct_ha"}},
                "fixture": {"hold": {"value": "potted"}}}
    assert words.specimen(resolved) == ("L3 vertebra, left pedicle, BMD 70 mg/cm³ (QCT, hydroxyapatite equivalent), "
                                        "potted")
    assert words.protocol({"protocol": [{"halo": {}}]}, {}) == ["Step: halo."]
