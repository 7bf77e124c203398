"""Axial pullout under displacement control, past the peak: adaptive steps and cutback."""

import numpy as np

from fem.curve import Curve, first_maximum, secant_stiffness, vertex
from fem.march import March

GROWTH = 1.5
EASY, HARD = 8, 15  # Newton iterations: up to EASY the next increment grows, from HARD on it shrinks
LARGEST_DAMAGE_STEP = 0.15  # aimed at, per step
# Share of its force that bone may still bear in a step though it tears in it, and the step (mm) that is short enough whatever tears: a screw in
# cement reaches its peak within 0.15 mm, and would hold 6 % too much in steps of 0.05 mm.
UNFORESEEN, SHORT = 0.015, 2e-3
SMALLEST = 1e-5  # mm: below this the run has stopped short


class Pullout:
    """A pullout step on a model.

    Args: problem: problem.json; its `steps` {first, largest} are in mm, its rig compliance in mm/N; watch: the
    `fem.output.Watch` that hears of each converged step and of each new peak.
    """

    kind = "pullout"

    def __init__(self, model, solver, problem, clock, watch):
        self.model, self.watch = model, watch
        self.loading, self.steps = problem["loading"], problem["steps"]
        self.compliance = problem.get("rig_compliance_mm_per_N", 0.0)
        self.march = March(model, solver, clock, model.grip)
        self.curve = Curve()
        self.increment, self.peak = self.steps["first"], 0.0
        self.reason = ""

    def run(self):
        """Pull until the stop criterion; returns 'completed' or 'partial' (then `reason` says where it stopped)."""
        march, grip = self.march, self.model.grip
        stop_drop = self.loading["stop"].get("force_drop")
        limit = self.loading["stop"]["displacement"]
        if not self.curve.rows:
            self._record()
        while True:
            size = min(self.increment, limit - grip.travel)
            outcome = march.attempt(size, lambda: grip.pull(size, rigidly=march.velocity is None), smallest=SMALLEST,
                                    unforeseen=UNFORESEEN if size > SHORT else np.inf)
            if not outcome.converged:
                self.increment = 0.5 * size
                if self.increment < SMALLEST:
                    self.reason = (f"at {grip.travel:.3f} mm and {self.curve.rows[-1]['force_N']:.0f} N no equilibrium was "
                                   f"found: {outcome.reason}")
                    return "partial"
                continue
            row = self._record()
            U, force = row["displacement_mm"], row["force_N"]
            if force > self.peak:
                self.peak = force
                self.watch.peak()
            if outcome.newton <= EASY:
                self.increment = size * GROWTH
            elif outcome.newton >= HARD:
                self.increment = size * 0.6
            if march.damage_step > 0.0:
                self.increment = min(self.increment, size * LARGEST_DAMAGE_STEP / march.damage_step)
            if march.unforeseen > 0.0:  # grows with the square of the step
                self.increment = min(self.increment, size * (0.7 * UNFORESEEN / march.unforeseen) ** 0.5)
            self.increment = max(min(self.increment, self.steps["largest"] * (1.0 + 2.0 * U)), min(10 * SMALLEST, GROWTH * size))
            fraction = U / limit
            if stop_drop and self.peak > 0.0:
                fraction = max(fraction, min(1.0, max(0.0, (1.0 - force / self.peak) / stop_drop)))
            self.watch.step(self, row, {
                "newton": outcome.newton, "linear": outcome.linear, "increment_mm": size, "cutbacks": march.cutbacks,
                "support_N": float(self.model.support[grip.axial]), "plastic_N_mm": march.plastic,
                "damage_N_mm": march.damaged, "friction_N_mm": march.friction, "bond_N_mm": march.bond,
                "progress": fraction})
            if stop_drop and force <= (1.0 - stop_drop) * self.peak:
                self.reason = f"the force fell {100 * stop_drop:.0f} % below its peak"
                return "completed"
            if U >= limit - 1e-9:
                self.reason = f"the displacement limit of {limit:g} mm was reached"
                if stop_drop:
                    self.reason += f" before the force fell {100 * stop_drop:.0f} % below its peak"
                return "completed"
            self.watch.checkpoint(self, len(self.curve.rows))

    def memory(self):
        """(JSON-ready, {name: (array, kind)}) from which `recall` goes on."""
        return {"rows": self.curve.rows, "increment": self.increment, "peak": self.peak}, {}

    def recall(self, memory, arrays):
        self.curve.rows, self.increment, self.peak = memory["rows"], memory["increment"], memory["peak"]

    def _record(self):
        march, grip = self.march, self.model.grip
        U, force = grip.displacement(), grip.force()
        self.curve.add(step=len(self.curve.rows), displacement_mm=U, force_N=force, head_displacement_mm=U,
                       crosshead_displacement_mm=U + self.compliance * force, external_work_N_mm=march.work,
                       stored_energy_N_mm=march.stored, dissipated_energy_N_mm=march.dissipated,
                       max_damage=march.largest(self.model.damage.tearing), time_s=U / self.loading["rate_mm_per_s"])
        return self.curve.rows[-1]

    def tables(self):
        return {"curve.csv": self.curve.rows}

    number = "step"  # column that counts the rows

    def rows(self):
        return self.curve.rows

    def documents(self):
        return {}

    def progress(self, row):
        return {key: row[key] for key in ("step", "force_N", "displacement_mm")}

    def summary(self):
        """Numbers of the step for outcome.json; stiffness is the secant slope between 10 and 50 % of the peak. The largest force is that of
        a step; where the curve has its top, between steps, is told by a parabola."""
        u, f = self.curve.column("displacement_mm"), self.curve.column("force_N")
        k = int(np.argmax(f))
        top = vertex(u, f, k)
        out = {"kind": self.kind, "peak_force_N": float(f[k]), "displacement_at_peak_mm": top,
               "crosshead_displacement_at_peak_mm": float(top + self.compliance * f[k]),
               "energy_to_peak_N_mm": float(np.interp(top, u, self.curve.column("external_work_N_mm"))),
               "force_at_end_N": float(f[-1]), "displacement_at_end_mm": float(u[-1]),
               "force_dropped": bool(f[-1] < f[k]), "steps": len(f) - 1, "newton_iterations": self.march.newton,
               "linear_iterations": self.march.linear, "cutbacks": self.march.cutbacks, "snaps": self.march.snaps, "stopped_because": self.reason}
        stiffness = secant_stiffness(u, f)
        if k > 0 and f[k] > 0.0:
            out["stiffness_N_per_mm"] = stiffness
        if (first := first_maximum(f)) is not None:
            out |= {"first_maximum_N": float(f[first]), "first_maximum_displacement_mm": float(u[first])}
        if self.march.work > 0.0:
            out["energy_balance_error"] = self.march.imbalance
        return out
