"""What the testing machine is told, and the ways of the screw head between loads: on heads that are formulas."""

from types import SimpleNamespace

import pytest

from fem.loadpath import LoadPath
from fem.newton import FLOOR
from fem.waveform import Waveform


@pytest.mark.parametrize("loading, done, reached", [
    ({"ramp_N_per_cycle": 0.1}, 30.0, (40.0, 107.0)), ({"ramp_N_per_cycle": 0.1, "stop": {"cycles": 50}}, 30.0, (20.0, 105.0)),
    ({"ramp_N_per_cycle": 0.1, "stop": {"cycles": 900, "load_N": 104.0}}, 30.0, (10.0, 104.0)), ({}, 30.0, (40.0, 100.0)),
    ({"step_N": 25.0, "every_cycles": 250}, 230.0, (20.0, 100.0)), ({"step_N": 25.0, "every_cycles": 250}, 250.0, (40.0, 125.0))])
def test_a_block_ends_where_the_protocol_does(loading, done, reached):
    """40 cycles are asked for: not over the last cycle, the last load, or a rise of a stepped load."""
    wave = Waveform({"start_N": 100.0, "ratio": 0.1, "stop": {"cycles": 900}} | loading)
    assert wave.reach(done, 40.0) == pytest.approx(reached)
    assert wave.minimum(wave.peak(done)) == pytest.approx(0.1 * wave.peak(done))


@pytest.mark.parametrize("bearable, released", [(20.0, True), (3.0, True), (-1.0, False)])
def test_a_head_that_cannot_be_let_go_is_driven_further_back(bearable, released):
    """A screw of 100 N/mm driven back from 200 N; letting go finds an equilibrium only from `bearable` N or less."""
    pressed, floors, head = [], set(), SimpleNamespace(u=2.0)
    grip = SimpleNamespace(force=lambda: 100.0 * head.u, drive=lambda amount: ("drive", amount), press=lambda load: ("press", load))

    def attempt(size, move, floor, smallest=0.0):
        floors.add(floor)
        what, amount = move()
        if what == "press":
            pressed.append(100.0 * head.u)
            return SimpleNamespace(converged=abs(pressed[-1]) <= bearable, newton=5)
        head.u += amount
        return SimpleNamespace(converged=True, newton=10)

    model = SimpleNamespace(contact_force=SimpleNamespace(norm=lambda: 150.0))
    path = LoadPath(SimpleNamespace(turn=lambda: None, attempt=attempt, grip=grip, model=model))
    assert path.let_go() == released and pressed[0] <= 20.0 and floors == {FLOOR, 0.15}
    assert (pressed[-1] <= bearable) == released and sorted(pressed, reverse=True) == pressed and pressed[-1] >= 0.0


@pytest.mark.parametrize("bearable, held", [(5.0, True), (0.05, True), (-1.0, False)])
def test_a_drive_that_went_far_beyond_the_load_comes_closer_to_it(bearable, held):
    """A head of 100 N/mm from 2 mm on, asked for 213 N: force control finds it only from `bearable` N above, or never."""
    head = SimpleNamespace(u=2.0)
    grip = SimpleNamespace(force=lambda: 100.0 * head.u, displacement=lambda: head.u, load=0.0, drive=lambda amount: ("drive", amount),
                           press=lambda load: ("press", load))

    def attempt(size, move, smallest=0.0):
        what, amount = move()
        if what == "press":
            return SimpleNamespace(converged=0.0 <= grip.force() - amount <= bearable, reason="none", newton=5)
        head.u += amount
        return SimpleNamespace(converged=True, newton=10)

    march = SimpleNamespace(turn=lambda: None, attempt=attempt, grip=grip, mark=lambda: head.u, back=lambda mark: setattr(head, "u", mark))
    seen = []
    drive = LoadPath(march, lambda what: seen.append(head.u)).drive(213.0)
    assert seen == sorted(set(seen)) and 2.0 < seen[0] < 2.13, "each step below the load is told"
    assert (drive.held, drive.stuck) == (held, not held)
    assert held or 212.0 < drive.highest < 213.0 and drive.reason == "none"


def test_a_press_tells_each_step():
    """A load of 100 N reached in quarters, the third of which is found at half its size only."""
    grip, told, sizes = SimpleNamespace(load=0.0), [], []

    def attempt(size, move):
        sizes.append(size)
        converged = len(sizes) != 3
        if converged:
            move()
        return SimpleNamespace(converged=converged, newton=10)

    grip.press = lambda load: setattr(grip, "load", load)
    path = LoadPath(SimpleNamespace(turn=lambda: None, attempt=attempt, grip=grip), lambda what: told.append((what, grip.load)))
    assert path.press(100.0).held
    assert told == [("press to a load", load) for load in (25.0, 50.0, 62.5, 75.0, 87.5, 100.0)]
