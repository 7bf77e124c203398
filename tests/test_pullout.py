"""Whole pullouts on coarse meshes: energy, step size, model against model, one rank against two."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from scenarios import laboratory  # noqa: E402
from fem.curve import first_maximum, vertex  # noqa: E402
from meshes.specimen import Cement, Halo, Screw  # noqa: E402


def prepare(directory, **posed):
    """Pose the pullout of a bone cylinder; arguments as for `laboratory.pose`."""
    laboratory.pose(directory, resolution=laboratory.FINENESS["coarse"], **posed)
    return directory


def solve(directory, ranks=1):
    """The outcome of a pullout that came to its end."""
    outcome = laboratory.solve(directory, ranks).outcome
    assert outcome["status"] == "completed", outcome["reason"]
    return outcome


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    directory = prepare(tmp_path_factory.mktemp("native"))
    return solve(directory), directory


def test_the_peak_is_passed_without_cutback(native):
    outcome, directory = native
    step = outcome["step"]
    assert outcome["status"] == "completed" and outcome["cutbacks"] == 0 and step["snaps"] == 0
    assert step["force_at_end_N"] <= 0.8 * step["peak_force_N"]
    assert (directory / "peak.vtu").stat().st_size > 0 and (directory / "curve.csv").stat().st_size > 0


def test_energy_balance_of_a_whole_pullout(native):
    """External work = stored + dissipated (plastic, damage, friction) within 1 %."""
    curve = np.genfromtxt(native[1] / "curve.csv", delimiter=",", names=True)
    work = curve["external_work_N_mm"][-1]
    assert abs(work - curve["stored_energy_N_mm"][-1] - curve["dissipated_energy_N_mm"][-1]) < 0.01 * work
    assert curve["dissipated_energy_N_mm"][-1] > 0.5 * work  # the check would be empty for an elastic run
    assert np.all(np.diff(curve["dissipated_energy_N_mm"]) > -1e-6 * work)


def test_screw_and_support_reactions_agree(native):
    lines = [json.loads(line) for line in (native[1] / "history.jsonl").read_text().splitlines()]
    for row in lines:
        assert row["force_N"] == pytest.approx(-row["support_N"], abs=2e-3 * native[0]["step"]["peak_force_N"])


def test_halving_the_step_moves_the_peak_by_less_than_2_percent(native, tmp_path):
    half = solve(prepare(tmp_path / "half", steps=laboratory.STEPS | {"largest": 0.02}))
    assert half["step"]["steps"] > native[0]["step"]["steps"]
    assert half["step"]["peak_force_N"] == pytest.approx(native[0]["step"]["peak_force_N"], rel=0.02)


@pytest.mark.parametrize("bmd", [80.0, 160.0])
def test_steps_do_not_decide_what_a_cemented_screw_holds(tmp_path, bmd):
    """Its bone breaks within 0.15 mm: the default steps find the peak of ten times finer ones, and would not if they were as long as those of
    a native screw may be."""
    posed = {"halo": Halo(1.0, 6.5, 18.0), "cement": Cement(800.0), "bmd": bmd}
    fine, usual, long = (laboratory.solve(prepare(tmp_path / name, **posed, steps=steps), before=before).peak for name, steps, before in (
        ("fine", {"first": 0.004, "largest": 0.004}, ""), ("usual", laboratory.STEPS, ""),
        ("long", laboratory.STEPS, "import fem.pullout; fem.pullout.UNFORESEEN = 1.0")))
    assert usual == pytest.approx(fine, rel=0.02)
    assert long > 1.03 * fine


def test_bone_that_tears_at_once_however_short_the_step_snaps(tmp_path):
    """Bone so brittle that the first yielding breaks it: no step is short enough for its tearing, and the test still comes to its end."""
    file = prepare(tmp_path / "brittle") / "problem.json"
    problem = json.loads(file.read_text())
    for law in problem["laws"]:
        if law.get("damage_rate"):
            law["damage_rate"] = 1e5
    file.write_text(json.dumps(problem))
    step = solve(file.parent)["step"]
    assert step["snaps"] > 0 and step["force_dropped"] and abs(step["energy_balance_error"]) < 0.03


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    directory = prepare(tmp_path_factory.mktemp("three"), model="threaded3d")
    return solve(directory), directory


def test_axisymmetric_and_3d_agree_within_5_percent(native, three):
    flat, solid = native[0]["step"], three[0]["step"]
    assert solid["peak_force_N"] == pytest.approx(flat["peak_force_N"], rel=0.05)
    assert solid["stiffness_N_per_mm"] == pytest.approx(flat["stiffness_N_per_mm"], rel=0.05)
    assert solid["energy_balance_error"] == pytest.approx(0.0, abs=0.01)


@pytest.mark.mpi
@pytest.mark.skipif(not shutil.which("mpirun"), reason="needs mpirun")
def test_one_rank_and_two_give_the_same_peak(three, tmp_path):
    directory = tmp_path / "two"
    directory.mkdir()
    for name in ("mesh.npz", "problem.json"):
        shutil.copy(three[1] / name, directory / name)
    two = solve(directory, ranks=2)
    assert two["ranks"] == 2
    assert two["step"]["peak_force_N"] == pytest.approx(three[0]["step"]["peak_force_N"], rel=1e-3)


@pytest.mark.mpi
@pytest.mark.skipif(not shutil.which("mpirun"), reason="needs mpirun")
def test_two_ranks_that_do_not_see_each_other_are_refused(native):
    command = [sys.executable, "-m", "fem", str(native[1]), "--expect-ranks", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 4 and "communicator has 1" in done.stderr


def test_ranking_of_loosened_native_filled_and_thicker(native, tmp_path):
    """A fibrous halo holds far less, a halo full of cement and a thicker screw in new bone hold more."""
    halo = Halo(1.0, 6.5, 20.0)
    void = 800.0
    loose = solve(prepare(tmp_path / "loose", halo=halo))["step"]["peak_force_N"]
    filled = solve(prepare(tmp_path / "filled", halo=halo, cement=Cement(void)))["step"]["peak_force_N"]
    thick = solve(prepare(tmp_path / "thick", screw=Screw(8.5, 20.0, 2.75, 6.5)))["step"]["peak_force_N"]
    reference = native[0]["step"]["peak_force_N"]
    assert loose < 0.5 * reference < reference < min(filled, thick)


@pytest.mark.parametrize(("force", "first"), [([0, 5, 10, 8, 12], 2), ([0, 5, 10, 9.5, 12], None), ([0, 5, 10, 8, 6], None),
                                              ([0, 10, 8, 9, 7, 11], 1)])
def test_a_force_that_fell_and_rose_again_has_a_first_maximum(force, first):
    assert first_maximum(np.array(force, float)) == first


def test_a_run_that_cannot_go_on_keeps_its_curve(tmp_path):
    """Forbid the solver to converge half-way: the result is partial, says where, and has its curve."""
    directory = prepare(tmp_path / "short")
    code = ("import sys, fem.newton as n, fem.march as p; from pathlib import Path; from mpi4py import MPI;"
            "from fem.__main__ import solve; real = p.solve; count = [0]\n"
            "def failing(*a, **k):\n    count[0] += 1\n    return real(*a, **k) if count[0] < 6 else n.Outcome(False, 1, 0, 'told to')\n"
            "p.solve = failing\nsys.exit(solve(MPI.COMM_WORLD, Path(sys.argv[1])))")
    done = subprocess.run([sys.executable, "-c", code, str(directory)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 3, done.stderr[-2000:]
    outcome = json.loads((directory / "outcome.json").read_text())
    assert outcome["status"] == "partial" and "no equilibrium was found: told to" in outcome["reason"]
    assert len((directory / "curve.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize("top", [0.118, 0.125, 0.16])
def test_the_top_of_a_curve_lies_between_its_steps(top):
    """Exact for a parabola on uneven steps; at an end the point itself."""
    u = np.array([0.0, 0.05, 0.0813, 0.1319, 0.1828, 0.25])
    f = 200.0 - 1e4 * (u - top) ** 2
    assert vertex(u, f, int(np.argmax(f))) == pytest.approx(top) and vertex(u, u, 5) == 0.25
