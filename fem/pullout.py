"""Axial pullout under displacement control, past the peak: adaptive steps, cutback, energy book-keeping."""

from dataclasses import dataclass, field

import numpy as np
from mpi4py import MPI

from fem.linear import FIRST, RELATIVE
from fem.newton import solve

GROWTH = 1.5
EASY, HARD = 8, 15  # Newton iterations: up to EASY the next increment grows, from HARD on it shrinks
LARGEST_DAMAGE_STEP = 0.15  # aimed at, per step
REJECT_DAMAGE_STEP = 0.3
SMALLEST = 1e-5  # mm: below this the run has stopped short


@dataclass
class Curve:
    """One row a converged step; names are the columns of curve.csv."""

    rows: list = field(default_factory=list)

    def add(self, **row):
        self.rows.append(row)

    def column(self, name):
        return np.array([r[name] for r in self.rows])


class Pullout:
    """A pullout step on a model.

    Args: loading: one entry of problem.json's `loading`; steps: {first, largest} in mm; compliance: of the rig, mm/N.
    `on_step(row, info)` is called after each converged step, `on_peak()` whenever the force is the largest so far.
    """

    def __init__(self, model, solver, loading, steps, compliance, clock, on_step, on_peak):
        self.model, self.solver, self.clock = model, solver, clock
        self.loading, self.steps, self.compliance = loading, steps, compliance
        self.on_step, self.on_peak = on_step, on_peak
        self.curve = Curve()
        self.newton = self.linear = self.cutbacks = 0
        self.reason = ""

    def run(self):
        """Pull until the stop criterion; returns 'completed' or 'partial' (then `reason` says where it stopped)."""
        m = self.model
        axial = m.dim - 1
        nodes = m.u.array.reshape(-1, m.dim)
        stop_drop = self.loading["stop"].get("force_drop")
        limit = self.loading["stop"]["displacement"]
        rate = self.loading["rate_mm_per_s"]
        U, dU, previous_dU = 0.0, self.steps["first"], None
        u_old, velocity = nodes.copy(), None
        force, peak = 0.0, 0.0
        work = plastic = damaged = friction = bond = 0.0
        stress = np.zeros_like(m.stress)
        Y = np.zeros_like(m.integrity)
        traction = np.zeros_like(m.interface.t)
        carried = m.integrity.copy()
        last_tear = None
        self.curve.add(step=0, displacement_mm=0.0, force_N=0.0, head_displacement_mm=0.0, crosshead_displacement_mm=0.0,
                       external_work_N_mm=0.0, stored_energy_N_mm=0.0, dissipated_energy_N_mm=0.0, max_damage=0.0, time_s=0.0)
        while True:
            dU = min(dU, limit - U)
            # predictor: the last increment scaled; at first the whole screw moves rigidly
            nodes[:] = u_old
            if velocity is None:
                nodes[m.screw_nodes, axial] += dU
            else:
                nodes += velocity * dU
            nodes[m.prescribed] = u_old[m.prescribed]
            nodes[m.head, axial] = U + dU
            # damage is extrapolated (implex): lagging it would overrate the force by the damage of a step
            if last_tear is not None:
                with self.clock("damage"):
                    foreseen = m.damage.predict(last_tear * (dU / previous_dU))
                m.integrity = (1.0 - m.damage.initial) * (1.0 - foreseen)
                if m.cortex:
                    m.cortex.foresee(dU / previous_dU)
            self.solver.rtol = FIRST if velocity is None else RELATIVE
            outcome = solve(m, self.solver, self.clock)
            self.newton += outcome.newton
            self.linear += outcome.linear
            if outcome.converged:
                with self.clock("damage"):
                    new = m.damage.predict(m.tear_step)
                jump = self._max(new - m.damage.tearing)
                if jump > REJECT_DAMAGE_STEP and dU > 4 * SMALLEST:
                    outcome.converged, outcome.reason = False, f"damage grows by {jump:.2f} in one step"
            if not outcome.converged:
                self.cutbacks += 1
                dU *= 0.5
                nodes[:] = u_old
                if dU < SMALLEST:
                    self.reason = f"at {U:.3f} mm and {force:.0f} N no equilibrium was found: {outcome.reason}"
                    return "partial"
                continue

            increment = m.trial_plastic_strain - m.eps_p
            w = m.quadrature.weights
            mean = 0.5 * (stress * carried[..., None] + m.stress * m.integrity[..., None])
            plastic += self._sum(np.einsum("cq,cqi,cqi->", w, mean, increment))
            if m.cortex:
                plastic += self._sum(m.cortex.dissipation())
            stored, Y_new = m.stored_energy()
            damaged += self._sum(np.sum(w * 0.5 * (Y + Y_new) * (carried - m.integrity)))
            friction += self._sum(m.interface.friction_work(traction))
            new_force = float(m.reaction[axial])
            work += 0.5 * (force + new_force) * dU
            traction = m.interface.friction_traction()
            bond += m.commit()
            m.damage.tear += m.tear_step
            m.damage.tearing = new
            last_tear, previous_dU = m.tear_step.copy(), dU
            stress, Y, carried = m.stress.copy(), Y_new, m.integrity.copy()
            velocity = (nodes - u_old) / dU
            u_old = nodes.copy()
            U, force = U + dU, new_force
            self.curve.add(step=len(self.curve.rows), displacement_mm=U, force_N=force, head_displacement_mm=U,
                           crosshead_displacement_mm=U + self.compliance * force, external_work_N_mm=work,
                           stored_energy_N_mm=stored, dissipated_energy_N_mm=plastic + damaged + friction + bond,
                           max_damage=self._max(new), time_s=U / rate)
            if force > peak:
                peak = force
                self.on_peak()
            fraction = U / limit
            if stop_drop and peak > 0.0:
                fraction = max(fraction, min(1.0, max(0.0, (1.0 - force / peak) / stop_drop)))
            self.on_step(self.curve.rows[-1], {
                "newton": outcome.newton, "linear": outcome.linear, "increment_mm": dU, "cutbacks": self.cutbacks,
                "support_N": float(m.support[axial]), "plastic_N_mm": plastic, "damage_N_mm": damaged,
                "friction_N_mm": friction, "bond_N_mm": bond, "progress": fraction})
            if stop_drop and force <= (1.0 - stop_drop) * peak:
                self.reason = f"the force fell {100 * stop_drop:.0f} % below its peak"
                return "completed"
            if U >= limit - 1e-9:
                self.reason = f"the displacement limit of {limit:g} mm was reached"
                if stop_drop:
                    self.reason += f" before the force fell {100 * stop_drop:.0f} % below its peak"
                return "completed"
            if outcome.newton <= EASY:
                dU *= GROWTH
            elif outcome.newton >= HARD:
                dU *= 0.6
            if jump > 0.0:
                dU = min(dU, previous_dU * LARGEST_DAMAGE_STEP / jump)
            dU = max(min(dU, self.steps["largest"] * (1.0 + 2.0 * U)), 10 * SMALLEST)

    def _sum(self, value):
        return float(self.model.comm.allreduce(float(value)))

    def _max(self, array):
        return float(self.model.comm.allreduce(float(array.max()) if array.size else 0.0, op=MPI.MAX))

    def summary(self):
        """Numbers of the step for outcome.json; stiffness is the secant slope between 10 and 50 % of the peak."""
        u, f = self.curve.column("displacement_mm"), self.curve.column("force_N")
        k = int(np.argmax(f))
        out = {"kind": "pullout", "peak_force_N": float(f[k]), "displacement_at_peak_mm": float(u[k]),
               "crosshead_displacement_at_peak_mm": float(u[k] + self.compliance * f[k]),
               "energy_to_peak_N_mm": float(self.curve.column("external_work_N_mm")[k]),
               "force_at_end_N": float(f[-1]), "displacement_at_end_mm": float(u[-1]),
               "force_dropped": bool(f[-1] < f[k]), "steps": len(f) - 1, "newton_iterations": self.newton,
               "linear_iterations": self.linear, "cutbacks": self.cutbacks, "stopped_because": self.reason}
        if k > 0 and f[k] > 0.0:
            rising_f, rising_u = f[: k + 1], u[: k + 1]
            lo, hi = np.interp([0.1 * f[k], 0.5 * f[k]], np.maximum.accumulate(rising_f), rising_u)
            out["stiffness_N_per_mm"] = float(0.4 * f[k] / (hi - lo)) if hi > lo else None
        last = self.curve.rows[-1]
        if last["external_work_N_mm"] > 0.0:
            out["energy_balance_error"] = float(
                (last["external_work_N_mm"] - last["stored_energy_N_mm"] - last["dissipated_energy_N_mm"])
                / last["external_work_N_mm"])
        return out
