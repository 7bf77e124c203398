"""Ways of the screw head from one load to another: pressed there, driven past a limit point, pushed on, let go.

Pressing is force control, driving is displacement control. A step that does not converge is no failure of the screw: where
pressing finds no way the head is driven on, and the screw has failed only if the largest force on that way stays below the load.
"""

from dataclasses import dataclass

import numpy as np

from fem.newton import FLOOR, TOLERANCE

SMALLEST = 1e-3  # mm: below this displacement control finds no equilibrium either
DRIVE_STEP = 0.01, 0.05, 0.25  # mm, at least; of the displacement; mm, at most: steps of a drive
DRIVEN = 0.3, 0.5  # of the displacement; mm, at least: way of a drive on which the screw must find the load again
PAST_PEAK = 0.97  # of its largest force: there a drive ends
PUSH_STEP = 0.02, 0.25  # mm, first and largest step of a push
UNLOADING_STEP = 0.05, 0.25, 40  # mm, first and largest step back; most attempts
LET_GO, NEVER_PAST = 0.1, 0.7  # of the load at the end: with less left the head is let go; of the way to no load: longest step


@dataclass(frozen=True)
class Drive:
    """How a drive ended: `held` (the load was found again), `stuck` (neither found nor failed: `reason`), else failed at `highest` N."""

    held: bool
    stuck: bool = False
    highest: float = 0.0
    reason: str = ""


class LoadPath:
    """Moves the head of a model; `march`: `fem.march.March` on an `fem.actuator.Actuator`; `told`: called after each step of a press or a
    drive, which can take longer than all cycles before it, with a word for what is going on."""

    def __init__(self, march, told=lambda what: None):
        self.march, self.grip, self.told = march, march.grip, told

    def press(self, load, limit=None):
        """Force control to `load` (N) in as many steps as it takes, driven on where there is no way; `Drive`."""
        march, grip = self.march, self.grip
        march.turn()
        start = grip.load
        size = 0.25 * (load - start)
        while abs(grip.load - load) > 1e-9:
            left = load - grip.load
            size = np.sign(left) * min(abs(size), abs(left))
            outcome = march.attempt(abs(size), lambda: grip.press(grip.load + size))
            if outcome.converged:
                self.told("press to a load")
                size *= 1.5 if outcome.newton <= 8 else 1.0
            else:
                size *= 0.5
                if abs(size) < 0.01 * abs(load - start):
                    return self.drive(load, limit)
        march.turn()
        return Drive(held=True)

    def drive(self, load, limit=None):
        """Displacement control until the force reaches `load` (N), then force control; else until the screw has failed; `Drive`.

        It has failed when the force falls, or stays below the load over DRIVEN, at most to the displacement `limit` (mm)."""
        march, grip = self.march, self.grip
        march.turn()
        highest, began, outcome = 0.0, grip.displacement(), None
        size = max(DRIVE_STEP[0], DRIVE_STEP[1] * began)
        end = min(began + max(DRIVEN[0] * began, DRIVEN[1]), max(limit or np.inf, began + DRIVEN[1]))
        while size > SMALLEST and grip.displacement() < end and grip.force() >= PAST_PEAK * highest:
            before = march.mark()
            outcome = march.attempt(size, lambda: grip.drive(size), smallest=SMALLEST)
            if not outcome.converged:
                size *= 0.5
                continue
            if grip.force() >= load:
                march.turn()
                outcome = march.attempt(1.0, lambda: grip.press(load))
                march.turn()
                if outcome.converged:
                    return Drive(held=True)
                march.back(before)  # it went too far beyond the load to come back in one step
                size *= 0.5
                continue
            self.told("drive to a load")
            highest = max(highest, grip.force())
            size = min(1.5 * size, DRIVE_STEP[2]) if outcome.newton <= 12 else size
        failed = grip.displacement() >= end or grip.force() < PAST_PEAK * highest
        return Drive(held=False, stuck=not failed, highest=highest, reason="" if failed else outcome.reason)

    def push(self, end, enough, smallest=0.0):
        """Displacement control to the displacement `end` (mm), or until `enough()`, which is called after each step.

        smallest: step as a share of the displacement below which it is given up. Returns whether either was reached."""
        march, grip = self.march, self.grip
        march.turn()
        size, largest = PUSH_STEP
        while (left := end - grip.displacement()) > SMALLEST:
            size = min(size, left)
            least = max(smallest * grip.displacement(), SMALLEST)
            outcome = march.attempt(size, lambda: grip.drive(size), smallest=least)
            if not outcome.converged:
                size *= 0.5
                if size < least:
                    return False
                continue
            if enough():
                break
            size = min(size * (1.5 if outcome.newton <= 8 else 1.0 if outcome.newton < 15 else 0.6), largest)
        return True

    def ease(self, load, depth=0):
        """One step to `load` (N) under force control, halved up to twice; False where no equilibrium is found."""
        grip = self.grip
        start = grip.load
        if self.march.attempt(abs(load - start), lambda: grip.press(load)).converged:
            return True
        return depth < 2 and self.ease(0.5 * (start + load), depth + 1) and self.ease(load, depth + 1)

    def let_go(self):
        """Drive the head back until it carries no load; True if that was reached.

        Under displacement control: under force control a screw that has been pushed far finds no equilibrium on its way back. Equilibrium
        is as good as it was at the first step back: measured by the interface forces that are left, what rubs in debris would keep it from
        being found, at a residual of a thousandth of the load."""
        march, grip, floor = self.march, self.grip, FLOOR
        march.turn()
        size, rest = UNLOADING_STEP[0], LET_GO * grip.force()
        for _ in range(UNLOADING_STEP[2]):
            before = grip.force()
            outcome = march.attempt(size, lambda: grip.drive(-size), floor=floor, smallest=SMALLEST)
            if not outcome.converged:
                size *= 0.5
                continue
            floor = max(floor, TOLERANCE * march.model.contact_force.norm())
            fallen, moved = before - grip.force(), size
            size = min(size * (1.5 if outcome.newton <= 8 else 1.0), UNLOADING_STEP[1])
            if fallen > 0.0:
                size = min(size, NEVER_PAST * moved * grip.force() / fallen)
            if grip.force() <= rest:
                march.turn()
                if march.attempt(1.0, lambda: grip.press(0.0), floor=floor).converged:
                    return True
                rest = 0.5 * grip.force()  # not from so high a load at once
                if rest <= 0.0:
                    return False
        return False
