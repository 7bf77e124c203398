"""How runs are kept and carried on, with a stand-in for mesher and solver; how they end early is in test_interruptions.py."""

import errno
import json
import os
from pathlib import Path
import shutil
import subprocess

import numpy as np
import pytest
from ruamel.yaml import YAML

import meshes
from meshes import specimen as lab
from meshes.labmesh import LabMesh
import scenarios
from scenarios import credibility, provenance, resultdir, runner, shared
from scenarios.loader import load
from scenarios.result import Comparison, Result
from scenarios.trouble import BadInput
from standin import CYLINDER, DONE, RESCUE, ROOT, STEPS, command, names


def test_a_completed_run(bench, tmp_path):
    result = scenarios.run(CYLINDER, resolution="coarse")
    assert result.directory == Path("results/bone_cylinder") and names("results") == {"bone_cylinder"}
    assert {"scenario.yaml", "resolved.yaml", "result.json", "curve.csv", "mesh.npz", "mesh.msh", "problem.json",
            "provenance.json"} <= names(result.directory)  # fmt: skip
    assert (result.status, result.exit_code, result.peak_force_N) == ("completed", 0, 200.0)
    assert [step["kind"] for step in result.steps] == ["insert", "pullout"] and result.summary["schema"] == 1
    assert list(result.curve["force_N"]) == [100, 200, 150]
    assert (result.directory / "scenario.yaml").read_text() == CYLINDER.read_text()
    resolved = YAML(typ="safe").load(result.directory / "resolved.yaml")
    assert resolved["resolution"] == {"value": "coarse", "source": "given on the command line"}
    made = json.loads((result.directory / "provenance.json").read_text())
    assert made["ranks"] == 1 and "mesh.npz" in made["sha256"] and "numpy" in made["libraries"]
    text = json.dumps(made) + json.dumps(result.summary)
    assert os.uname().nodename not in text and str(tmp_path) not in text


def test_a_run_replaces_an_earlier_result(bench):
    first = scenarios.run(CYLINDER, out="here")
    (first.directory / "note.txt").write_text("old")
    assert "note.txt" not in names(scenarios.run(CYLINDER, out="here").directory)
    assert names(".") == {"here"}


@pytest.mark.parametrize("words", [("run", CYLINDER), ("compare", CYLINDER), ("mesh", CYLINDER), ("credibility", "there")])
def test_a_place_that_cannot_be_made(bench, monkeypatch, capsys, words):
    """Before anything is meshed, with what to do."""
    scenarios.run(CYLINDER, out="there")

    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(meshes, "build", None)
    assert command(monkeypatch, *words, "--out", "/nowhere/pullout") == 4
    assert "Read-only file system (/nowhere" in (said := capsys.readouterr().err) and "make it first" in said


def test_a_mesh_that_cannot_be_exported_is_not_made(bench, monkeypatch, capsys):
    monkeypatch.setattr(meshes, "build", None)
    monkeypatch.setattr(os, "access", lambda where, _: where != Path("/"))
    assert command(monkeypatch, "mesh", CYLINDER, "--export", "/model.inp") == 4
    assert "/model.inp: the directory / cannot be written to" in capsys.readouterr().err and not names(".")


@pytest.mark.parametrize("out", [".", "..", "inner/..", "/", "mounted"])
def test_a_place_that_no_result_can_take(bench, monkeypatch, capsys, tmp_path, out):
    """The working directory, what it is in, and a mount point cannot be renamed."""
    for folder in ("work/inner", "work/mounted"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    is_mount = Path.is_mount
    monkeypatch.setattr(Path, "is_mount", lambda self: self.name == "mounted" or is_mount(self))
    monkeypatch.setattr(meshes, "build", None)
    assert command(monkeypatch, "run", CYLINDER, "--out", out) == 2
    assert "name a folder below it" in capsys.readouterr().err and names(tmp_path / "work") == {"inner", "mounted"}


@pytest.mark.parametrize("words", [("run", CYLINDER), ("compare", CYLINDER), ("mesh", CYLINDER), ("validate",), ("verify",), ("credibility",),
                                   ("sweep", "run", "sweep.yaml")])  # fmt: skip
def test_a_place_without_a_name(bench, monkeypatch, capsys, words):
    assert command(monkeypatch, *words, "--out", "") == 2
    assert "--out" in (said := capsys.readouterr().err) and "no directory is named" in said and not names(".")


def test_a_run_goes_on_from_within_its_directory(toggling, tmp_path, monkeypatch):
    file, _ = toggling
    (tmp_path / "fail").write_text("5-pullout")
    monkeypatch.chdir(scenarios.run(file).directory)
    (tmp_path / "fail").unlink()
    assert runner.resume(".").status == "completed" and Path("result.json").exists()


def test_the_version(monkeypatch, capsys):
    assert command(monkeypatch, "--version") == 0 and capsys.readouterr().out == f"halofix {provenance.version()}\n"


def test_a_completed_result_is_not_given_for_one_that_is_not(bench, capsys):
    first = scenarios.run(CYLINDER, out="here")
    bench(STEPS + DONE.replace("completed", "partial") + "sys.exit(3)")
    short = scenarios.run(CYLINDER, out="here")
    assert short.status == "partial" and short.directory == Path("here.unfinished") and len(short.curve) == 3
    assert scenarios.result.Result(first.directory).status == "completed" and "keeps its earlier result" in capsys.readouterr().err
    bench(STEPS + DONE)
    assert scenarios.run(CYLINDER, out="here").status == "completed" and names(".") == {"here"}


def test_a_comparison_shows_todays_runs_and_keeps_what_was_completed(bench):
    scenarios.compare([CYLINDER], out="there")
    Path("there/report.html").write_text("yesterday's numbers")
    bench(STEPS + DONE.replace("completed", "partial").replace("200.0", "170.0") + "sys.exit(3)")
    found = scenarios.compare([CYLINDER], out="there")
    assert found.exit_code == 3 and [(r.status, r.peak_force_N) for r in found.results()] == [("partial", 170.0)]
    assert "this one is in cylinder_native.unfinished" in found.table["reason"][0] and found.table["peak_force_N"][0] == 170.0
    assert [run.directory.name for run in resultdir.runs("there")] == ["cylinder_native.unfinished"]  # in the report, too
    assert Result("there/cylinder_native").peak_force_N == 200.0 and "report.html" not in names("there")
    bench(STEPS + DONE)
    assert scenarios.compare([CYLINDER], out="there").exit_code == 0 and names("there") == {"cylinder_native", "comparison.csv"}


def test_a_comparison_that_cannot_be_run_keeps_what_was_completed(bench, monkeypatch):
    """There is no result of today: table and report are empty, and yesterday's stays where it is."""
    scenarios.compare([CYLINDER], out="there")
    monkeypatch.setattr(meshes, "build", lambda *_: (_ for _ in ()).throw(lab.MeshError("too thick")))
    found = scenarios.compare([CYLINDER], out="there")
    assert found.table["status"][0] == "failed" and not found.results() and resultdir.runs("there") == []
    assert "too thick; cylinder_native is the result of an earlier run" in found.table["reason"][0]
    assert found.table["peak_force_N"].isna().all() and Result("there/cylinder_native").status == "completed"


def test_a_comparison_that_was_killed_shows_what_it_came_to(bench, monkeypatch):
    scenarios.compare([CYLINDER], out="there")
    monkeypatch.setattr(runner, "carried_out", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        scenarios.compare([CYLINDER], out="there")
    assert not len(Comparison("there").table) and Result("there/cylinder_native").status == "completed"


def test_scenarios_that_are_called_by_a_number(bench, capsys):
    for name in ("12", "NA"):
        Path(f"{name}.yaml").write_text(CYLINDER.read_text())
    found = scenarios.compare(["12.yaml", "NA.yaml"], out="there")
    found.print()
    assert [result.directory.name for result in found.results()] == ["12", "NA"] and "NA" in capsys.readouterr().out


def test_a_comparison_takes_no_other_results_place(bench):
    """Nor does an index of credibility; earlier ones of their own kind are in nobody's way."""
    scenarios.run(CYLINDER, out="here")
    before = names("here")
    with pytest.raises(BadInput, match="here exists and is not a comparison"):
        scenarios.compare([CYLINDER], out="here")
    with pytest.raises(BadInput, match="here exists and is not an index of credibility"):
        credibility.credibility(["here"], "here")
    assert names("here") == before
    for _ in range(2):
        assert credibility.credibility(["here"], "index")["directories"] == ["here"]


def test_a_completed_result_of_another_name_is_left_alone(bench):
    kept = scenarios.run(CYLINDER, out="here.unfinished").directory
    with pytest.raises(BadInput, match="here.unfinished holds a completed result"):
        scenarios.run(CYLINDER, out="here")
    assert scenarios.result.Result(kept).status == "completed"


def test_a_run_that_stopped_short_keeps_its_curve(bench):
    bench(STEPS + DONE.replace("completed", "partial").replace("the force fell", "no equilibrium at") + "sys.exit(3)")
    result = scenarios.run(CYLINDER, out="here")
    assert (result.status, result.exit_code, len(result.curve)) == ("partial", 3, 3)
    assert "no equilibrium" in result.reason and "no equilibrium" in result.text()


def test_a_solver_that_dies_keeps_its_curve(bench):
    bench(STEPS + "sys.stderr.write('banner\\nMemoryError: 3 GB\\nbanner\\n'); os.kill(os.getpid(), 9)")
    result = scenarios.run(CYLINDER, out="here")
    assert result.status == "partial" and "MemoryError: 3 GB at 0.060 mm and 150 N" in result.reason
    assert result.summary["largest_force_N"] == 200 and "peak_force_N" not in result.summary


def test_a_solver_that_never_starts_fails(bench):
    bench("sys.exit('ModuleNotFoundError: no dolfinx')")
    result = scenarios.run(CYLINDER, out="here")
    assert (result.status, result.exit_code) == ("failed", 3) and "before the first step" in result.reason


def test_disagreeing_ranks_are_the_environment(bench):
    bench("sys.stderr.write('halofix: 2 MPI ranks were asked for but the communicator has 1\\n'); sys.exit(4)")
    result = scenarios.run(CYLINDER, out="here")
    assert (result.status, result.exit_code) == ("failed", 4) and result.reason.startswith("2 MPI ranks")


def test_a_geometry_that_cannot_be_made_is_bad_input(bench, monkeypatch):
    def refuse(*_):
        raise lab.MeshError("the halo breaks through the pedicle; make it thinner")

    monkeypatch.setattr(meshes, "build", refuse)
    with pytest.raises(BadInput, match="cylinder_native.yaml: the halo breaks through"):
        scenarios.run(CYLINDER, out="here")
    assert not names(".")


def test_a_defect_of_ours_is_recorded(bench, monkeypatch):
    monkeypatch.setattr(meshes, "build", lambda *_: 1 / 0)
    result = scenarios.run(CYLINDER, out="here")
    assert result.status == "failed" and "ZeroDivisionError" in result.reason
    assert "Traceback" in (result.directory / "run.log").read_text()


def test_compare_goes_on_past_a_failure(bench, tmp_path, capsys):
    """The second of three scenarios fails; the others are there, and ratios are to the first."""
    weaker = DONE.replace("200.0", "(100.0 if 'fenestrated' in d else 200.0)")
    bench(STEPS + "if 'loosened' in d: sys.exit(1)\n" + weaker)
    files = [ROOT / "scenarios" / f"{name}.yaml" for name in ("cylinder_native", "loosened", "fenestrated")]
    comparison = scenarios.compare(files, out="here")
    assert names("here") == {"cylinder_native", "loosened", "fenestrated", "comparison.csv"}
    assert list(comparison.table["scenario"]) == ["cylinder_native", "loosened", "fenestrated"]
    assert list(comparison.table["status"]) == ["completed", "partial", "completed"] and comparison.exit_code == 3
    assert comparison.table["peak_force_ratio"].fillna(-1).tolist() == [1.0, -1.0, 0.5]
    capsys.readouterr()
    Comparison("here").print()
    text = capsys.readouterr().out
    assert "0.50" in text and "partial: the solver ended unexpectedly" in text
    assert Result("here/fenestrated").peak_force_N == 100


# -- several solved steps ----------------------------------------------------------------------------------------------

def test_each_solved_step_has_a_folder_and_starts_where_the_last_one_ended(toggling):
    file, asked = toggling
    result = scenarios.run(file)
    assert [step.get("directory") for step in result.steps] == [None, "2-cycle", None, "4-cycle", "5-pullout"]
    posed = {name: json.loads((result.directory / name / "problem.json").read_text()) for name in ("2-cycle", "4-cycle", "5-pullout")}
    assert "start" not in posed["2-cycle"]
    assert [posed[name]["followed"] for name in posed] == [False, True, False]  # cement goes in between the first two
    assert posed["4-cycle"]["start"] == {"from": "../2-cycle", "same_mesh": False}
    assert posed["5-pullout"]["start"] == {"from": "../4-cycle", "same_mesh": True}
    assert posed["2-cycle"]["loading"]["direction"] == [-1.0, 0.0, 0.0] and posed["5-pullout"]["loading"]["kind"] == "pullout"
    (_, screw, none, no_cement, *_), (_, longer, halo, cement, *_) = asked  # the pullout needs no mesh of its own
    assert none is None and no_cement is None and (screw.head_height, longer.head_height) == (9.5, 9.5) and posed["4-cycle"]["loading"]["ahead_mm"] == 2.0
    assert cement.broken.centres.shape == (2, 3) and cement.broken.volume.tolist() == pytest.approx([0.0, 1 / 6])  # bone alone
    assert halo.shape == "measured" and halo.profile == ((-29, 0.8), (-15, 0.3), (-1, 1.1))
    assert result.peak_force_N == 300.0 and result.load_at_loosening_N == 190.0 and result.seconds_total == 30.0
    assert not list(result.directory.rglob("end.npz"))


def test_a_brief_run_leaves_out_what_nothing_after_needs(toggling):
    """No static curve; a push to the stop only where something is done to the specimen afterwards. A resumed run stays brief."""
    file, _ = toggling
    file.write_text(RESCUE.replace("  - pullout: {}\n", ""))
    scenario, text = runner.checked(file, None)

    def posed(result):
        each = [json.loads((result.directory / name / "problem.json").read_text()) for name in ("2-cycle", "4-cycle")]
        return [(one["brief"], one["last"]) for one in each]

    result = runner.carried_out(file, scenario, text, Path("here"), runner.How(brief=True))
    assert posed(result) == [(True, False), (True, True)]
    (result.directory / "result.json").write_text(json.dumps(result.summary | {"status": "partial"}))
    shutil.rmtree(result.directory / "4-cycle")
    again = runner.resume("here")
    assert again.status == "completed" and posed(again) == [(True, False), (True, True)]


def test_a_first_test_that_scenarios_have_in_common_is_solved_once(toggling, tmp_path):
    """Two revisions of one loosened screw, and that of another bone; an oversized screw starts from the same end state."""
    file, _ = toggling
    for name, change in (("thicker", ("augment: {volume: 2 ml, target: halo}", "revise: {diameter: 7.5 mm}")), ("weaker", ("bmd: 70", "bmd: 60"))):
        (tmp_path / f"{name}.yaml").write_text(RESCUE.replace(*change))
    comparison = scenarios.compare([file, tmp_path / "thicker.yaml", tmp_path / "weaker.yaml"], out="here")
    assert list(comparison.table["status"]) == ["completed"] * 3
    assert (tmp_path / "solved").read_text().split() == ["2-cycle", "4-cycle", "5-pullout", "4-cycle", "5-pullout", "2-cycle", "4-cycle", "5-pullout"]
    results = [Result(f"here/{name}") for name in ("toggled", "thicker", "weaker")]
    assert [result.steps[1].get("taken_over", False) for result in results] == [False, True, False]
    assert [result.load_at_loosening_N for result in results] == [190.0] * 3 and [r.seconds_total for r in results] == [30.0, 20.0, 30.0]
    assert (results[1].directory / "2-cycle" / "cycles.csv").read_text() == (results[0].directory / "2-cycle" / "cycles.csv").read_text()
    assert not list(tmp_path.joinpath("here").glob(".*")) and not list(tmp_path.rglob("end.npz"))


def test_a_test_that_another_solver_has_solved_is_another(toggling, tmp_path, monkeypatch):
    file, _ = toggling
    for solver_source in ("one", "one", "another"):
        monkeypatch.setattr(shared, "source", lambda *_, solver_source=solver_source: solver_source)
        scenarios.run(file, out="here", cache=shared.Shared(tmp_path / "kept", steps=True))
    assert (tmp_path / "solved").read_text().split().count("2-cycle") == 2


def test_a_run_that_died_goes_on_with_the_step_that_it_died_in(toggling, tmp_path):
    file, _ = toggling
    (tmp_path / "fail").write_text("4-cycle")
    result = scenarios.run(file)
    assert result.status == "partial" and "after 900 cycles" in result.reason and result.exit_code == 3
    (tmp_path / "fail").unlink()
    result = runner.resume(result.directory)
    assert result.status == "completed" and result.peak_force_N == 300.0
    assert (tmp_path / "solved").read_text().split() == ["2-cycle", "4-cycle", "4-cycle", "5-pullout"]
    with pytest.raises(BadInput, match="complete"):
        runner.resume(result.directory)


def test_a_killed_run_is_found_beside_its_result(toggling, tmp_path):
    """kill -9 leaves the working directory of a process that is no more."""
    file, _ = toggling
    (tmp_path / "fail").write_text("5-pullout")
    result = scenarios.run(file)
    gone = subprocess.run(["true"], check=True) and 4_000_000
    (result.directory / "result.json").unlink()
    result.directory.rename(result.directory.parent / f".toggled.{gone}.tmp")
    (tmp_path / "fail").unlink()
    assert runner.resume(result.directory).status == "completed" and names("results") == {"toggled"}


def test_nothing_to_go_on_with(tmp_path):
    with pytest.raises(BadInput, match="no unfinished run"):
        runner.resume(tmp_path / "nowhere")


def test_cement_that_does_not_fit_the_halo_keeps_the_cycling(toggling, monkeypatch):
    file, asked = toggling
    build = meshes.build

    def refuse(*a):
        if a[3] is not None:
            raise lab.MeshError("2 ml of cement do not fit")
        return build(*a)

    monkeypatch.setattr(meshes, "build", refuse)
    result = scenarios.run(file)
    assert result.status == "partial" and "do not fit" in result.reason and result.load_at_loosening_N == 190.0


def test_direction_of_the_load():
    """Across the screw and towards the feet or the midline; a vector is taken as it is."""
    from scenarios.assemble import _direction

    c, s = np.cos(0.2), np.sin(0.2)
    rotation = np.array([[0, 1, 0], [s, 0, -c], [c, 0, s]])  # columns: the screw frame in anatomical axes
    mesh = LabMesh(np.zeros((0, 3)), np.zeros((0, 4), int), np.zeros(0, int), frame=(rotation, np.zeros(3)),
                   info={"insertion_depth_mm": 45.0})
    specimen = load(ROOT / "scenarios" / "toggle_native.yaml").specimen
    assert np.allclose(_direction("craniocaudal", specimen, mesh), [-1, 0, 0])
    assert np.allclose(_direction("mediolateral", specimen, mesh), [0, -1, 0])
    assert np.allclose(_direction("axial", specimen, mesh), [0, 0, 1])
    assert np.allclose(rotation @ _direction([0, 0, 1], specimen, mesh), [0, 0, 1])


def test_a_batch_log_has_plain_lines(bench, capsys):
    scenarios.run(CYLINDER, out="here")
    assert "bone_cylinder: step 1, 0.020 mm, 100 N" in capsys.readouterr().out
