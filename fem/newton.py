"""Equilibrium of one step: Newton's method with an energy line search and an acceptance test on nodal interface forces."""

from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-3  # of the norm of the nodal interface forces; the total force would be far too loose a measure
FLOOR = 1e-6  # N, where nothing touches
ITERATIONS = 30
GIVING_UP = 8
TRIALS = 6
# Crushing bone has next to no stiffness, and neither has a point that slides: a full step takes single cells far beyond compaction
# and turns the slip of single points round, and the line search then holds all others back. After a step that had to be cut,
# plastic points keep this share of their elastic stiffness, and sliding ones take their secant: in debris round a loosened screw,
# where hundreds of points slide under next to no pressure, five iterations in place of twenty. Always kept, both would be slower.
KEPT, CUT = 0.03, 0.5


@dataclass
class Outcome:
    """How a step ended: converged, Newton and linear iterations, and why not."""

    converged: bool
    newton: int
    linear: int
    reason: str = ""


def solve(model, solver, clock, iterations=ITERATIONS, tolerance=TOLERANCE, floor=FLOOR):
    """Bring `model` into equilibrium at its prescribed displacements, starting from the predicted `model.u`.

    The line search follows the energy slope s(a) = d.R(u + a d): a = 1 is taken if |s| has halved or kept its sign, else
    the root is bracketed by regula falsi. Without it contact opens and closes for ever.
    floor: N, residual that is small enough whatever the interface forces are.
    Returns: `Outcome`; on failure `model.u` is wherever it stopped and nothing was committed.
    """
    dx, start = model.uv.duplicate(), model.uv.duplicate()
    try:
        return _iterate(model, solver, clock, dx, start, iterations, tolerance, floor)
    finally:  # on several ranks Python's garbage collector leaves them in memory
        dx.destroy()
        start.destroy()


def _iterate(model, solver, clock, dx, start, iterations, tolerance, floor):
    with clock("law"):
        R = model.residual()
    linear = 0
    best, stalled, chosen = np.inf, 0, 1.0
    for k in range(iterations + 1):
        norm = R.norm()
        if not np.isfinite(norm):
            return Outcome(False, k, linear, "the residual is not finite")
        if model.return_map_failures == 0 and norm <= max(tolerance * model.contact_force.norm(), floor):
            return Outcome(True, k, linear)
        if k == iterations:
            break
        if norm < 0.9 * best:
            best, stalled = norm, 0
        else:
            stalled += 1
            if stalled > GIVING_UP:
                return Outcome(False, k, linear, "Newton's method stagnates")
        with clock("assembly"):
            model.assemble_tangent(KEPT if chosen < CUT else 0.0)
        with clock("linear solver"):
            R.scale(-1.0)
            its = solver.solve(R, dx)
            R.scale(-1.0)
        if its < 0:
            return Outcome(False, k, linear, "the linear solver found no acceptable solution")
        linear += its
        model.uv.copy(start)
        s0 = dx.dot(R)
        lower, upper, s_lower, s_upper = 0.0, None, s0, None
        a, chosen, smallest = 1.0, 1.0, np.inf
        for trial in range(TRIALS):
            start.copy(model.uv)
            model.uv.axpy(a, dx)
            with clock("law"):
                R = model.residual()
            s = dx.dot(R)
            if model.return_map_failures == 0 and abs(s) < smallest:
                chosen, smallest = a, abs(s)
            if model.return_map_failures == 0 and (abs(s) <= 0.5 * abs(s0) or (trial == 0 and s * s0 > 0.0)):
                chosen = a
                break
            if s * s0 > 0.0:
                lower, s_lower = a, s
            else:
                upper, s_upper = a, s
            if upper is None:
                break
            width = upper - lower
            cut = lower + width * s_lower / (s_lower - s_upper) if s_lower != s_upper else lower + 0.5 * width
            a = min(max(cut, lower + 0.1 * width), lower + 0.9 * width)
        if chosen != a:
            start.copy(model.uv)
            model.uv.axpy(chosen, dx)
            with clock("law"):
                R = model.residual()
    return Outcome(False, iterations, linear, f"no convergence in {iterations} Newton iterations")
