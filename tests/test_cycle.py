"""Cyclic loading: jumps, energy, stop and resume, one rank against two."""

from contextlib import nullcontext
import json
import logging
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mpi4py import MPI  # noqa: E402

from benchmarks.verification import toggling  # noqa: E402
from benchmarks.verification.linear_elements import CoarseSolver, LinearModel  # noqa: E402
from fem.curve import Curve  # noqa: E402
from fem.cycle import GAVE_WAY, Cycle  # noqa: E402
from fem.domain import Domain  # noqa: E402
from fem.linear import LinearSolver  # noqa: E402
from fem.loadpath import Drive, LoadPath  # noqa: E402
from fem.model import Model  # noqa: E402
from fem.output import Clock, Watch, read_mesh  # noqa: E402
from fem.waveform import Waveform  # noqa: E402
from meshes.specimen import Cylinder  # noqa: E402
from scenarios import failure  # noqa: E402
import synthetic  # noqa: E402


def test_a_gap_that_opens_at_the_peak_is_an_opening():
    """Range of a reference cycle: 0.1 mm open at the peak and closed at the minimum on half of the area, pressed in on the other."""
    points = SimpleNamespace(names=["screw_trabecular"], kind=np.zeros(2, int), weight=np.ones(2), normal=np.array([[1.0, 0, 0]] * 2))
    i = SimpleNamespace(points=points, jump=np.array([[0.1, 0.02, 0.0], [-0.01, 0.0, 0.0]]))
    here = {"at": 0.3}
    grip = SimpleNamespace(load=100.0, displacement=lambda: here["at"], angle=lambda: 0.0)
    step = object.__new__(Cycle)
    step.model = SimpleNamespace(grip=grip, interface=i, comm=MPI.COMM_SELF)
    step.march = SimpleNamespace(mark=lambda: None, back=lambda mark: None, turn=lambda: None)
    step.waveform, step.cycles, step.reference = Waveform({"start_N": 100.0, "ramp_N_per_cycle": 0.0, "minimum_N": 10.0}), 0.0, Curve()

    def ease(load):
        i.jump, here["at"] = np.zeros((2, 3)), 0.1
        return True

    step.path = SimpleNamespace(ease=ease)
    step._reference_cycle()
    row, = step.reference.rows
    assert row["opening_um"] == pytest.approx(50.0) and row["micromotion_um"] == pytest.approx(10.0)


def prepare(directory, **loading):
    """A short screw in a cylinder of weak bone."""
    directory.mkdir(parents=True, exist_ok=True)
    load = {"start_N": 25.0, "ramp_N_per_cycle": 0.005, "minimum_N": 5.0, "stop": {"head_displacement_mm": 0.8, "cycles": 1000},
            "tolerance": 0.04} | loading
    toggling.pose(directory, Cylinder(26.0, 26.0), toggling.SHORT, toggling.SHORT_MESH, bmd=80.0, **load)
    return directory


def command(directory, ranks=1):
    words = [sys.executable, "-m", "fem", str(directory), "--expect-ranks", str(ranks)]
    return ["mpirun", "--oversubscribe", "-n", str(ranks), *words] if ranks > 1 else words


def solve(directory, ranks=1):
    done = subprocess.run(command(directory, ranks), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((directory / "outcome.json").read_text())["step"]


def table(directory, name="cycles.csv"):
    return np.genfromtxt(directory / name, delimiter=",", names=True)


@pytest.fixture(scope="module")
def toggled(tmp_path_factory):
    directory = prepare(tmp_path_factory.mktemp("toggled"))
    return solve(directory), directory


@pytest.mark.parametrize("pace, loosened", [(0.5, (1004.8, 200.48)), (0.13, (1000 + 2.4 / 0.13, 200 + 0.24 / 0.13)), (0.11, None)])
def test_a_head_that_creeps_to_the_stop_has_loosened(pace, loosened):
    """2.4 mm are left after 1000 cycles: within 20 cycles at the pace (mm a cycle) of the last block, or not."""
    step = object.__new__(Cycle)
    step.limit, step.cycles, step.loosened = 5.4, 1000.0, None
    step.loading = {"start_N": 100.0, "ramp_N_per_cycle": 0.1, "stop": {"cycles": 5000}}
    step.waveform = Waveform(step.loading)
    step.model = SimpleNamespace(grip=SimpleNamespace(displacement=lambda: 3.0))
    assert step._creeps(2.0, 2.0 * pace) == (loosened is not None)
    assert step.loosened == (loosened and pytest.approx(loosened))
    step.loading["stop"]["cycles"] = 1002
    assert not step._creeps(2.0, 2.0 * pace)  # the protocol ends before
    step.loading["stop"] = {"cycles": 5000, "load_N": 200.2}
    assert not step._creeps(2.0, 2.0 * pace)


@pytest.mark.parametrize(("stop", "cycles", "load"), [({"cycles": 5000}, 20.0, 202.0), ({"cycles": 1005}, 5.0, 200.5), ({"cycles": 5000, "load_N": 200.8}, 8.0, 200.8)])
def test_a_screw_is_not_asked_for_more_than_the_protocol_asks(stop, cycles, load):
    """Whether it would hold 2 % more cycles: of those that are left."""
    step, asked = object.__new__(Cycle), []
    step.cycles, step.loosened, step.known = 1000.0, None, (np.ones(1), None)
    step.loading = {"start_N": 100.0, "ramp_N_per_cycle": 0.1, "stop": stop}
    step.waveform = Waveform(step.loading)
    step.march = SimpleNamespace(mark=lambda: "mark", back=lambda mark: None)
    step.fatigue = SimpleNamespace(omega=7.0, jump=lambda growth, flow: growth)
    step._tire, step._driven = (lambda growth, cycles: asked.append(cycles) or growth[0]), (lambda load: asked.append(load) or True)
    assert not step._runs_away() and asked == pytest.approx([cycles, load])


def test_a_stop_that_is_met_ends_the_step_before_anything_is_tried():
    """Blocks that are short for another reason than a screw that gives way, here the end of the protocol."""
    step, held = object.__new__(Cycle), SimpleNamespace(converged=True)
    step.cycles, step.block, step.known, step.reason, step.limit, step.loosened, step.next_check = 1000.0, 100.0, (np.zeros(1), None), "", 5.4, None, 0.0
    step.loading = {"tolerance": 0.02, "start_N": 100.0, "ramp_N_per_cycle": 0.1, "stop": {"cycles": 1004}}
    step.clock, step.waveform, step.blocks = (lambda name: nullcontext()), Waveform(step.loading), Curve()
    grip = SimpleNamespace(load=200.0, displacement=lambda: 2.0, press=None)
    tires = SimpleNamespace(tired_share=lambda n: (0.0, 1.0), tire=lambda n: 0.0)
    step.model = SimpleNamespace(grip=grip, comm=SimpleNamespace(allreduce=lambda x: x), interface=tires)
    step.march = SimpleNamespace(mark=lambda: "mark", attempt=lambda *_: held, release=lambda energy: None)
    step.fatigue = SimpleNamespace(omega=np.zeros(1), laid=np.zeros(1), damage=lambda omega: omega, jump=lambda *_: SimpleNamespace(omega=np.zeros(1), damage=0.0))
    step._rates, step._error, step._due = (lambda: (np.zeros(1), None)), (lambda *_: 0.0), (lambda: False)
    step._record = lambda error, held: step.blocks.add(cycles=step.cycles, head_displacement_mm=2.0, angle_deg=1.0, peak_load_N=200.4)
    assert step._block() and step.cycles == 1004.0 and step.reason == "1004 cycles were reached"


def test_bonds_tire_with_the_bone_over_the_cycles_of_a_drive():
    step, done = object.__new__(Cycle), []
    tired = SimpleNamespace(tire=lambda cycles: 0.5 * cycles)
    step.model = SimpleNamespace(interface=tired, damage=SimpleNamespace(integrity=lambda: 0.9), cortex=None)
    step.march, step.fatigue = SimpleNamespace(release=done.append), SimpleNamespace(omega=0.0)
    step._tire(SimpleNamespace(bone=0.1, omega=0.3), 40.0)
    assert done == [20.0] and (step.model.damage.fatigue, step.model.integrity, step.fatigue.omega) == (0.1, 0.9, 0.3)


def test_damage_of_an_earlier_test_hides_no_error():
    """6 mm3 of 10 mm3 new damage are a large error, whatever the bone had lost before."""
    step = object.__new__(Cycle)
    step.fatigue, step.halo = SimpleNamespace(weights=np.full(2, 10.0)), SimpleNamespace(screw_volume=100.0)
    step.march, step.carried = SimpleNamespace(total=float), 1000.0
    assert step._error(np.array([50.4, 50.6]), np.array([50.4, 50.0])) == pytest.approx(0.6)
    assert step._error(np.array([50.0, 50.0]), np.array([50.0, 49.9])) == pytest.approx(1.0), "at the least of one per cent of the screw"


def test_thresholds_are_interpolated_and_end_with_loosening():
    step = object.__new__(Cycle)
    step.blocks, step.limit, step.loosened, step.loading = Curve(), 5.4, None, {"start_N": 100.0, "ramp_N_per_cycle": 0.1}
    step.waveform = Waveform(step.loading)
    for n, u, angle in ((0.0, 0.4, -1.0), (1000.0, 1.4, -3.0)):
        step.blocks.add(cycles=n, head_displacement_mm=u, angle_deg=angle, peak_load_N=100.0 + 0.1 * n)
    assert step._at(0.9) == pytest.approx((500.0, 150.0)) and step._at(2.0) is None
    assert step._passed(np.abs(step.blocks.column("angle_deg")), 2.5) == pytest.approx((750.0, 175.0))
    step.loosened, step.confirmed = (1020.0, 202.0), "stiffness lost at equilibrium"
    assert step._at(1.4) and step._at(2.0) is None, "the head has not been there"
    step.confirmed = GAVE_WAY
    assert step._at(2.0) == (1020.0, 202.0)
    step.blocks.add(cycles=1020.0, head_displacement_mm=5.4, angle_deg=-9.0, peak_load_N=61.0)
    assert step._at(2.0) == step._at(5.4) == (1020.0, 202.0), "not the force that it still bore when it was pushed on"


def test_a_screw_loosens_below_its_static_capacity(toggled):
    step, directory = toggled
    assert step["loosened"] and step["failure_confirmed"]
    assert 25.0 < step["load_at_loosening_N"] < 0.99 * step["static_capacity_N"]
    assert step["load_at_loosening_N"] == pytest.approx(25.0 + 0.005 * step["cycles_to_loosening"])
    reached = [mark["cycles"] for mark in step["thresholds"] if mark["cycles"] is not None]
    assert reached == sorted(reached) and step["thresholds"][0]["head_displacement_mm"] == 0.5
    grown = table(directory)
    assert np.all(np.diff(grown["damage_volume_mm3"]) >= 0) and grown["head_displacement_mm"][-1] >= 0.8
    assert step["stiffness_N_per_mm"] > 0 and step["micromotion_um"] > 0
    assert step["peak_load_N"] == pytest.approx(grown["peak_load_N"][grown["held"] == 1].max()) and not step["static_given_up"]
    first = table(directory, "reference.csv")
    assert (step["largest_slip_um"], step["mean_opening_um"]) == pytest.approx((first["largest_slip_um"][0], first["opening_um"][0]))


def test_a_jump_creates_no_energy(toggled):
    step, directory = toggled
    rows = table(directory)
    assert np.all(np.diff(rows["dissipated_energy_N_mm"]) > 0)
    error = rows["external_work_N_mm"] - rows["stored_energy_N_mm"] - rows["dissipated_energy_N_mm"]
    assert np.abs(error[-1]) < 0.02 * rows["external_work_N_mm"][-1]
    assert abs(step["static_energy_balance_error"]) < 0.01


def test_a_screw_that_cannot_carry_what_is_next_is_driven_on(toggled, tmp_path):
    """Asked early and often, displacement control finds the same end, and asking changes nothing before it."""
    directory = posed_anew(toggled, tmp_path / "driven")
    code = "import runpy, fem.cycle; fem.cycle.RUNAWAY = 0.15; runpy.run_module('fem', run_name='__main__', alter_sys=True)"
    done = subprocess.run([sys.executable, "-c", code, str(directory)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    driven = json.loads((directory / "outcome.json").read_text())["step"]
    assert driven["loosened"] and driven["failure_confirmed"]
    assert driven["cycles_to_loosening"] == pytest.approx(toggled[0]["cycles_to_loosening"], rel=0.2)
    unasked, asked = table(toggled[1]), table(directory)
    same = min(len(asked), len(unasked)) - 2
    assert same > 5 and np.allclose(asked["cycles"][:same], unasked["cycles"][:same], rtol=1e-6)


def test_a_drive_with_too_much_damage_at_once_is_tried_with_less():
    """Jumps that force control finds no way for are halved to 2 % of the cycles; from there on displacement control tries each."""
    step, backs, drives = object.__new__(Cycle), [], []
    step.cycles, step.block, step.known, step.stuck, step.reason = 1000.0, 100.0, (1.0, None), False, ""
    step.limit, step.loading = None, {"tolerance": 0.02, "start_N": 100.0, "ramp_N_per_cycle": 0.1, "stop": {"cycles": 5000}}
    step.clock, step.waveform = (lambda name: nullcontext()), Waveform(step.loading)
    grip = SimpleNamespace(load=200.0, displacement=lambda: 2.0, press=None)
    step.model = SimpleNamespace(grip=grip, comm=SimpleNamespace(allreduce=lambda x: x), interface=SimpleNamespace(tired_share=lambda n: (0.0, 1.0)))
    step.march = SimpleNamespace(mark=lambda: "mark", back=backs.append, attempt=lambda *_: SimpleNamespace(converged=False))
    step.fatigue = SimpleNamespace(omega=7.0, jump=lambda omega, flow: SimpleNamespace(omega=step.fatigue.omega + omega))
    step._tire = lambda jump, cycles: setattr(step.fatigue, "omega", jump.omega)
    step._record, step._stopped, step._runs_away = (lambda *_: None), (lambda: False), (lambda: False)

    def drive(load, limit):
        drives.append((step.cycles, step.fatigue.omega, load))
        return Drive(held=step.cycles <= 1005.0, stuck=step.cycles > 1005.0)

    step.path = SimpleNamespace(drive=drive)
    assert step._block()
    assert drives == [(1000.0 + n, 7.0 + n, pytest.approx(200.0 + 0.1 * n)) for n in (12.5, 6.25, 3.125)]
    assert backs == ["mark", "mark"] and (step.cycles, step.fatigue.omega, step.stuck) == (1003.125, 10.125, False)


@pytest.mark.parametrize("force, ends", [(lambda u: 200.0 * min(u, 1.0), 2.0), (lambda u: 200.0 * min(u, 1.0) + 4.0 * u, None),
                                         (lambda u: 60.0 * min(u, 1.0), None), (lambda u: 200.0 - 100.0 * abs(u - 1.0), 1.1)])
def test_static_curve_ends_when_it_has_shown_the_capacity(force, ends):
    """On a plateau after 1 mm, below the first load of the cycles not, nor while it rises by 2 %; past a peak at once."""
    step = object.__new__(Cycle)
    step.waveform, step.static = Waveform({"start_N": 100.0}), Curve()
    for u in np.arange(0.0, 5.01, 0.1):
        step.static.add(displacement_mm=u, force_N=force(u))
        if step._capacity_shown():
            assert ends and u == pytest.approx(ends)
            return
    assert ends is None


@pytest.mark.parametrize("loosened, bears, reached", [((1100.0, 210.0), 9.0, 5.4), ((1100.0, 210.0), 3.1, 3.1), (None, 9.0, 2.0)])
def test_a_screw_that_gives_way_is_pushed_on_to_the_stop(tmp_path, loosened, bears, reached):
    """From 2 mm, where it held its load no more, to the 5.4 mm of the protocol, or as far as there is an equilibrium (`bears`, mm); a
    step that stuck stays where it is. No cycle is counted on that way."""
    step, head = object.__new__(Cycle), SimpleNamespace(u=2.0)
    grip = SimpleNamespace(displacement=lambda: head.u, force=lambda: 180.0 - 10.0 * head.u, angle=lambda: head.u, drive=lambda amount: amount)

    def attempt(size, move, smallest):
        if head.u + move() > bears:
            return SimpleNamespace(converged=False, newton=20)
        head.u += size
        return SimpleNamespace(converged=True, newton=10)

    step.march = SimpleNamespace(turn=lambda: None, attempt=attempt, grip=grip)
    step.path, step.model, step.limit = LoadPath(step.march), SimpleNamespace(grip=grip), 5.4
    step.watch = SimpleNamespace(at_peak={"open_share": 0.0}, preparing=lambda *_: None)
    step.collapse, step.cycles, step.loosened, step.stuck, step.followed, step.reason = Curve(), 1090.0, loosened, not loosened, False, "it held 205 N"
    step.last = step.brief = False
    recorded = []
    step._record = lambda error, held: recorded.append((step.cycles, head.u))
    assert step._end(collapses=True) == ("completed" if loosened else "partial")
    assert head.u == pytest.approx(reached, abs=0.002)
    assert getattr(step, "pushed", False) == (reached == 5.4)
    if loosened:
        assert recorded == [(1100.0, head.u)] and step.collapse.column("displacement_mm")[[0, -1]] == pytest.approx([2.0, head.u])
        assert np.all(np.diff(step.collapse.column("displacement_mm")) <= 0.25)
        assert ("no equilibrium" in step.reason) == (reached < 5.4) and f"pushed on to {reached:.1f} mm" in step.reason
    else:
        assert not recorded and not step.collapse.rows and step.reason == "it held 205 N"


@pytest.mark.parametrize(("last", "brief", "reached"), [(False, False, 2.3), (True, False, 2.27), (False, True, 2.3), (True, True, 2.0)])
def test_a_last_push_is_not_followed_through_any_break(last, brief, reached):
    """Bone that gives way at 2.3 mm can be followed in steps of 1/1000 mm; where nothing comes after, 2 % of the way are the least."""
    step, head = object.__new__(Cycle), SimpleNamespace(u=2.0)
    grip = SimpleNamespace(displacement=lambda: head.u, force=lambda: 200.0, angle=lambda: 3.0, drive=lambda size: None)

    def attempt(size, move, smallest):
        if head.u + size > 2.3:
            return SimpleNamespace(converged=False, newton=20)
        head.u += size
        return SimpleNamespace(converged=True, newton=10)

    step.path, step.model, step.limit = LoadPath(SimpleNamespace(turn=lambda: None, attempt=attempt, grip=grip)), SimpleNamespace(grip=grip), 5.4
    step.watch, step.collapse, step.cycles, step.loosened, step.reason = SimpleNamespace(preparing=lambda *_: None), Curve(), 90.0, (100.0, 210.0), ""
    step.last, step.brief, step._record = last, brief, lambda *_: None
    step._collapse()
    assert head.u == pytest.approx(reached, abs=0.03 if last else 0.002) and (head.u > 2.0) == bool(step.reason)


def test_half_the_tolerance_changes_little(toggled, tmp_path):
    half = solve(prepare(tmp_path / "half", tolerance=0.02))
    assert half["cycles_to_loosening"] == pytest.approx(toggled[0]["cycles_to_loosening"], rel=0.05)


@pytest.fixture(scope="module")
def on_two_ranks(toggled, tmp_path_factory):
    directory = posed_anew(toggled, tmp_path_factory.mktemp("ranks") / "two")
    return solve(directory, ranks=2), directory


@pytest.mark.mpi
def test_two_ranks_find_the_same(toggled, on_two_ranks):
    two = on_two_ranks[0]
    assert two["cycles_to_loosening"] == pytest.approx(toggled[0]["cycles_to_loosening"], rel=0.005)


def after_blocks(blocks):
    def wait(process):
        for line in process.stdout:
            blocks_left[0] -= '"cycles"' in line
            if not blocks_left[0]:
                return

    blocks_left = [blocks]
    return wait


def after_checkpoint(directory):
    def wait(process):
        while process.poll() is None and not (directory / "checkpoint.npz").exists():
            time.sleep(0.01)

    return wait


def after_seconds(seconds):
    def wait(process):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    return wait


def killed(directory, ranks, moments):
    """Solve in `directory`, killed at each of the moments (functions that wait for it) and started again; kills that struck."""
    struck = 0
    for moment in (*moments, lambda process: process.communicate()):
        process = subprocess.Popen(command(directory, ranks), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   start_new_session=True)
        moment(process)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            struck += 1
            process.wait()
            assert not left_behind(directory), "ranks outlive the mpirun that was killed"
        process.stdout.close()
        if (directory / "outcome.json").exists():
            return struck
    raise AssertionError("the last run left no outcome")


def left_behind(directory):
    """Command lines of processes that still solve in `directory` after a moment."""
    def solving(file):
        try:
            return str(directory).encode() in file.read_bytes()
        except OSError:  # it has just ended
            return False

    for _ in range(50):
        found = [file for file in Path("/proc").glob("[0-9]*/cmdline") if solving(file)]
        if not found:
            break
        time.sleep(0.1)
    return found


def assert_same_history(directory, unbroken):
    for name in ("cycles.csv", "reference.csv", "static.csv"):
        whole, again = table(unbroken, name), table(directory, name)
        assert len(whole) == len(again)
        for column in whole.dtype.names:
            assert np.allclose(whole[column], again[column], rtol=1e-8, atol=1e-12), (name, column)
    steps = [json.loads(line)["block"] for line in (directory / "history.jsonl").read_text().splitlines()]
    assert steps == list(range(len(table(directory))))


def posed_anew(toggled, directory):
    """The mesh and problem of `toggled`, and nothing of its solution."""
    shutil.copytree(toggled[1], directory, ignore=shutil.ignore_patterns("*.csv", "checkpoint*", "*.jsonl", "outcome.json"))
    return directory


def test_without_static_curve_and_push_a_screw_loosens_where_it_did(toggled, tmp_path):
    directory = posed_anew(toggled, tmp_path / "brief")
    posed = json.loads((directory / "problem.json").read_text())
    (directory / "problem.json").write_text(json.dumps(posed | {"brief": True, "last": True}))
    whole, brief = toggled[0], solve(directory)
    assert brief["load_at_loosening_N"] == pytest.approx(whole["load_at_loosening_N"], rel=1e-3)
    assert brief["cycles_to_loosening"] == pytest.approx(whole["cycles_to_loosening"], rel=5e-3)
    assert not {name for name in brief if name.startswith("static")} and "residual_force_N" not in brief
    assert brief["newton_iterations"] < whole["newton_iterations"] and not (directory / "static.csv").exists()


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.mpi)])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(toggled, on_two_ranks, tmp_path, ranks):
    """First killed when the static curve is done, then twice among the cycles."""
    directory = posed_anew(toggled, tmp_path / "killed")
    assert killed(directory, ranks, [after_checkpoint(directory), after_blocks(7), after_blocks(7)]) == 3
    assert_same_history(directory, toggled[1] if ranks == 1 else on_two_ranks[1])


def test_a_load_on_a_line_through_the_bone(tmp_path):
    """The couple moves the load to its line; what the machine does on its stroke goes into bone and friction; the screw hardly tilts.
    A line deep in the bone turns the head back: what counts, and ends the test, is the motion at the line."""
    ahead, found = -17.5, {}
    for name, more in (("head", {}), ("bone", {"ahead_mm": ahead}), ("deep", {"ahead_mm": 2 * ahead})):
        directory = prepare(tmp_path / name, direction=[-0.8, 0.0, 0.6], stop={"head_displacement_mm": 0.1, "cycles": 1}, **more)
        posed = json.loads((directory / "problem.json").read_text())
        model = Model(Domain(MPI.COMM_WORLD, read_mesh(directory / "mesh.npz")), posed)
        solver = LinearSolver(model)
        step = Cycle(model, solver, posed, Clock(), Watch(model, solver, directory, logging.getLogger("test"), time.perf_counter()))
        x, c = model.domain.node_x, model.grip.c.array.reshape(-1, 3)
        line = x[model.head_owned].mean(axis=0) + [0.0, 0.0, more.get("ahead_mm", 0.0)]
        assert c.sum(axis=0) == pytest.approx([-0.8, 0.0, 0.6]) and np.cross(x[: len(c)] - line, c).sum(axis=0) == pytest.approx(0.0, abs=1e-9)
        rigid = 0.01 * np.cross([0.0, 1.0, 0.0], x - line) + [0.2, 0.1, 0.3]  # turned about the line: its displacement there stays
        model.u.array[:] = rigid.ravel()
        assert model.grip.stroke() == pytest.approx(-0.8 * 0.2 + 0.6 * 0.3) and model.grip.angle() == pytest.approx(
            -np.degrees(np.arctan(0.01)))
        model.u.array[:] = 0.0
        heads = []
        step._pushing = lambda *_: heads.append(model.u.array.reshape(-1, 3)[model.head_owned].mean(axis=0) @ [-0.8, 0.0, 0.6])
        step._static_curve()
        assert abs(step.static_error) < 0.01
        found[name] = step.static.rows[-1] | {"top_mm": heads[-1]}
        assert found[name]["displacement_mm"] == pytest.approx(0.1, abs=2e-3)
    assert found["head"]["top_mm"] == pytest.approx(found["head"]["displacement_mm"]) and found["deep"]["top_mm"] < 0.0
    assert found["bone"]["force_N"] > 1.5 * found["head"]["force_N"]
    assert abs(found["bone"]["angle_deg"]) < 0.5 * abs(found["head"]["angle_deg"])


def test_linear_elements_are_stiffer(tmp_path):
    """The same cells with linear elements, with which benchmarks compare, are stiffer under a small push."""
    directory, found = prepare(tmp_path / "push", stop={"head_displacement_mm": 0.04, "cycles": 1}), []
    posed = json.loads((directory / "problem.json").read_text())
    for kind, solver in ((Model, LinearSolver), (LinearModel, CoarseSolver)):
        model = kind(Domain(MPI.COMM_WORLD, read_mesh(directory / "mesh.npz")), posed)
        solver = solver(model)
        step = Cycle(model, solver, posed, Clock(), Watch(model, solver, directory, logging.getLogger("test"), time.perf_counter()))
        step._static_curve()
        found.append(np.interp(0.04, step.static.column("displacement_mm"), step.static.column("force_N")))
    assert 1.05 * found[0] < found[1] < 2.0 * found[0]


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(toggled, tmp_path):
    """Whatever was going on: reading the mesh, the static curve, a block, a checkpoint being written."""
    moments, kills = np.random.default_rng(3), 0
    while kills < 10:  # a run may be done before so many
        directory = posed_anew(toggled, tmp_path / f"killed{kills}")
        kills += killed(directory, 1, [after_seconds(s) for s in moments.uniform(2.0, 12.0, 10 - kills)])
        assert_same_history(directory, toggled[1])


def test_figures_are_tested_on_the_tables_that_the_solver_writes(toggled, tmp_path):
    """The directories made of formulas for the tests of figures have its columns, and no number that it does not give."""
    run = synthetic.run(tmp_path / "run", "native", protocol=("cycle",))
    for name in ("cycles.csv", "reference.csv", "static.csv"):
        assert set(table(run, name).dtype.names) == set(table(toggled[1], name).dtype.names), name
    made, solved = (json.loads((d / "halo.json").read_text()) for d in (run, toggled[1]))
    assert set(made) <= set(solved) and set(made["snapshots"][0]) == set(solved["snapshots"][0])
    numbers = json.loads((run / "result.json").read_text())["steps"][-1]
    judged = set(failure.judge(toggled[1], toggled[0], json.loads((toggled[1] / "problem.json").read_text())))
    optional = {"small_strain_until_mm", "small_strain_until_cycles", "cement_utilisation"}
    assert set(numbers) - {"kind", "directory"} - judged - optional <= set(toggled[0])
