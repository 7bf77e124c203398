"""Cyclic loading of the screw head (toggling): static lateral curve, then blocks of cycles until the screw is loose.

Each block jumps over dN cycles. From the peak of the last block follow the fatigue rates; damage and ratchet strain grow by
them, the new peak is solved in force control, and the rates there give the error of the jump (Euler against Heun, as a
volume of damaged bone). The block is taken with Heun's damage, and the rates of its end are those of the next one: what Heun has
corrected since changes them by no more than the order of the error. Now and then a reference cycle is solved down to its minimum:
stiffness and micromotion come from it.

Failure is only what a drive under displacement control with the same damage has confirmed (`fem.loadpath`).
"""

import numpy as np

from fem.curve import Curve, secant_stiffness
from fem.fatigue import Fatigue
from fem.halo import Halo
from fem.interface import motion
from fem.loadpath import DRIVEN, PAST_PEAK, LoadPath
from fem.march import March
from fem.waveform import SHORTEST, Waveform

SMALLEST_STATIC = 0.02  # of the displacement: smallest step of the static curve, and of a push after which nothing is done any more
PLATEAU = 1.0, 0.01  # mm; share by which the largest force must grow on so long a way, or the static curve has shown the capacity
UNLOADING = 4  # steps of a reference cycle
BLOCK_GROWTH = 0.12, 0.02  # aimed-at growth of the head displacement over a block: of itself, at least (mm)
LONGEST_BLOCK = 2.0  # times the one before
THRESHOLDS = (0.5, 1.0, 2.0)  # mm of head displacement, reported beside the protocol's stop
REFERENCE_GROWTH, REFERENCE_UNTIL = 1.6, 1.2  # of the head displacement between two reference cycles; mm, the last one
FINE_REFERENCE = 1.1  # growth between two reference cycles where a loss of stiffness ends the step
# of all cycles: where blocks get shorter than half of it, a drive under displacement control tells whether the screw still
# holds so many more
RUNAWAY = 0.02
CREEPING = 0.02  # of all cycles: a head that would reach the stop within so many more at its present pace has reached it
LARGEST_DEBONDING = 0.05  # of the area of bonds, in one block
MUCH_STRAIN, STRAINED_SHARE = 0.1, 0.05  # small strain is left where bone of 5 % of the screw's volume is strained by 10 %
# how loosening was shown
GAVE_WAY, CREEPS = "static capacity below the load, displacement control", "head creeps to the stop at equilibrium"
AT_STOP = "head displacement reached at equilibrium"
LEAST_DAMAGE = 0.01  # of the screw's volume: errors are measured against at least that much damage


class Cycle:
    """A cyclic step on a model; arguments as for `fem.pullout.Pullout`."""

    kind = "cycle"

    def __init__(self, model, solver, problem, clock, watch):
        loading = problem["loading"]
        self.model, self.loading, self.clock, self.watch = model, loading, clock, watch
        self.unloaded, self.pushed = None, False
        self.followed = problem.get("followed", False)  # by a further test of the specimen as it is
        self.last = problem.get("last", False)  # nothing is done to the specimen afterwards
        self.brief = problem.get("brief", False)  # nothing that neither loosening nor what comes afterwards needs
        self.march = March(model, solver, clock, model.grip)
        self.path, self.waveform = LoadPath(self.march, self._moving), Waveform(loading)
        self.fatigue = Fatigue(model, problem["laws"], (problem.get("cortex") or {}).get("fatigue"))
        self.carried = self._damaged(self.fatigue.damage(self.fatigue.omega))  # mm^3, by an earlier test
        self.halo = Halo(model, problem)
        self.static, self.blocks, self.reference, self.collapse = Curve(), Curve(), Curve(), Curve()
        self.cycles = 0.0
        self.block = 1.0
        self.known = None  # (rates of omega (points,), flow directions) at the last peak
        self.next_reference = self.next_check = 0.0
        self.strained = None  # (head displacement, cycles) at which small strain is left
        self.loosened = None  # (cycles, load)
        self.confirmed = None
        self.reason, self.static_error, self.static_end, self.stuck = "", 0.0, "", False
        stop = loading["stop"]
        self.limit = stop.get("head_displacement_mm")

    # ---- the step -----------------------------------------------------------------------------------------------

    def run(self):
        """Static curve, first loading, blocks of cycles, unloading; returns 'completed' or 'partial'."""
        if not (self.brief or self.static.rows):
            self._static_curve()
            self.watch.checkpoint(self, 0)
        if not self.blocks.rows:
            held = self._pressed(self.waveform.peak(0.0))
            self._record(0.0, held)
            if not held:
                return self._end(collapses=True)
            self._reference_cycle()
            self.watch.checkpoint(self, 0)
        while not self._stopped():
            if not self._block():
                return self._end(collapses=True)
            self.watch.checkpoint(self, len(self.blocks.rows))
        return self._end()

    KEPT = ("cycles", "block", "next_reference", "next_check", "strained", "loosened", "confirmed", "reason", "static_error", "static_end")

    def memory(self):
        """(JSON-ready, {name: (array, kind)}) from which `recall` goes on."""
        rows = {name: getattr(self, name).rows for name in ("static", "blocks", "reference")}
        kept = {name: getattr(self, name) for name in self.KEPT}
        arrays = self.fatigue.memory("omega", self.fatigue.omega) | self.fatigue.memory("laid", self.fatigue.laid)
        if self.known:
            arrays |= self.fatigue.memory("rate", self.known[0]) | {"flow": (self.known[1], "cell")}
        return rows | {"kept": kept, "snapshots": self.halo.snapshots}, arrays

    def recall(self, memory, arrays):
        for name in ("static", "blocks", "reference"):
            getattr(self, name).rows = memory[name]
        for name, value in memory["kept"].items():
            setattr(self, name, value)
        self.halo.snapshots = memory["snapshots"]
        self.fatigue.omega, self.fatigue.laid = (self.fatigue.recall(name, arrays) for name in ("omega", "laid"))
        self.known = (self.fatigue.recall("rate", arrays), arrays["flow"]) if "rate" in arrays else None

    def _static_curve(self):
        """Displacement control to the protocol's stop, or until the capacity is shown, on the fresh screw; then all is as before."""
        march = self.march
        start = march.mark()
        end = self.limit or 2.0

        def enough():
            self._static_row()
            self._pushing("static curve", end)
            return self._capacity_shown()

        self._static_row()
        reached = self.path.push(end, enough, SMALLEST_STATIC)  # if not, the cortex breaks: what the screw held until then is its capacity
        self.static_end = "" if reached else f"no equilibrium was found beyond {self.model.grip.displacement():.2f} mm"
        self.static_error = march.imbalance
        march.back(start)

    def _pushing(self, what, end):
        grip = self.model.grip
        self.watch.preparing(what, grip.displacement() / end, grip.force(), grip.displacement())

    def _moving(self, what):
        self._pushing(what, self.limit or self.model.grip.displacement() + DRIVEN[1])

    def _capacity_shown(self):
        """Whether the static curve has fallen, or runs level above the first load of the cycles."""
        u, f = self.static.column("displacement_mm"), self.static.column("force_N")
        earlier = f[u <= u[-1] - PLATEAU[0]]
        level = len(earlier) and self.waveform.peak(0.0) < f.max() < (1.0 + PLATEAU[1]) * earlier.max()
        return f[-1] < PAST_PEAK * f.max() or bool(level)

    def _static_row(self):
        self.static.add(**self._head())

    def _static_summary(self):
        u, f = self.static.column("displacement_mm"), self.static.column("force_N")
        return {"static_capacity_N": float(f.max()) if len(f) > 1 else None, "static_displacement_mm": float(u[f.argmax()]),
                "static_stiffness_N_per_mm": secant_stiffness(u, f), "static_energy_balance_error": self.static_error,
                "static_given_up": self.static_end or None}

    def _head(self):
        grip = self.model.grip
        return {"displacement_mm": grip.displacement(), "force_N": grip.force(), "angle_deg": grip.angle()}

    def _collapse(self):
        """The load that the screw no longer holds takes its head on to the protocol's stop, with no more fatigue: a testing machine
        under force control does not wait where the screw gives way, and what is done next is done to the bone that this leaves."""
        wanted = self.loosened and self.limit and not (self.brief and self.last)
        if not wanted or self.model.grip.displacement() >= self.limit:
            return

        def enough():
            self.collapse.add(**self._head())
            self._pushing("collapse", self.limit)

        self.cycles = self.loosened[0]
        self.collapse.add(**self._head())
        # where nothing depends on it, breaks are not followed in steps of 1/1000 mm: 0.06 mm of one took nine minutes
        self.pushed = self.path.push(self.limit, enough, SMALLEST_STATIC if self.last else 0.0)
        self._record(0.0, False)
        on = f"pushed on to {self.model.grip.displacement():.1f} mm, it held {self.model.grip.force():.0f} N"
        self.reason += f"; {on}" + ("" if self.pushed else ", and beyond that no equilibrium was found")

    def _pressed(self, load):
        return self._held(self.path.press(load, self.limit), load)

    def _driven(self, load):
        return self._held(self.path.drive(load, self.limit), load)

    def _held(self, drive, load):
        """Whether the head has come to `load` (N); notes failure, or that neither was shown."""
        at = self.model.grip.displacement()
        if drive.stuck:
            self.stuck = True
            self.reason = f"no equilibrium was found at {at:.2f} mm after {self.cycles:.0f} cycles: {drive.reason}"
        elif not drive.held:
            self.loosened = self.cycles, float(load)
            self.confirmed = GAVE_WAY
            self.reason = (f"the screw holds at most {drive.highest:.0f} N under displacement control up to {at:.1f} mm, "
                           f"less than the load of {load:.0f} N")
        return drive.held

    def _block(self):
        """One jump over cycles; False when the step is over for another reason than a stop criterion."""
        march, grip, fatigue, tolerance = self.march, self.model.grip, self.fatigue, self.loading["tolerance"]
        if abs(self.waveform.peak(self.cycles) - grip.load) > 1e-6:  # the rise of a stepped load
            held = self._pressed(self.waveform.peak(self.cycles))
            self.known = None
            self._record(0.0, held)
            return held
        with self.clock("fatigue"):
            rate, flow = self.known or self._rates()
            bonds = np.array(self.model.interface.tired_share(self.block))
            bonds = self.model.comm.allreduce(bonds)
        before, at = march.mark(), grip.displacement()  # with the swing of the cycle, which belongs to the rates
        if bonds[0] > LARGEST_DEBONDING * bonds[1]:
            self.block *= max(LARGEST_DEBONDING * bonds[1] / bonds[0], 0.1)
        while True:
            cycles, load = self.waveform.reach(self.cycles, max(self.block, SHORTEST))
            jump = fatigue.jump(rate * cycles, flow)
            outcome = march.attempt(cycles, lambda: grip.press(load), jump)
            if not outcome.converged:
                held = self._jump_failed(cycles, load, jump, before)
                if held is None:
                    self.block = 0.5 * cycles
                    continue
                return held and (self._stopped() or not self._runs_away())
            with self.clock("fatigue"):
                rate_end, flow_end = self._rates()
                better = fatigue.omega + 0.5 * cycles * (rate + rate_end)
                error = self._error(fatigue.damage(better), jump.damage)
            if error <= tolerance or cycles <= SHORTEST:
                break
            march.back(before)
            self.block = cycles * max(0.3, 0.8 * (tolerance / error) ** 0.5)
        fatigue.omega, fatigue.laid, self.known = better, np.maximum(fatigue.laid, jump.omega), (rate_end, flow_end)
        march.release(self.model.interface.tire(cycles))
        self.cycles += cycles
        grown = grip.displacement() - at
        wanted = max(BLOCK_GROWTH[0] * at, BLOCK_GROWTH[1])
        factor = min(wanted / grown, LONGEST_BLOCK) if grown > 0.0 else LONGEST_BLOCK
        if error > 0.0:
            factor = min(factor, 0.9 * (tolerance / error) ** 0.5)
        self.block = max(cycles, SHORTEST) * max(factor, 0.3)
        self._record(error, True)
        if self._due():
            self._reference_cycle()
        if self._stopped() or cycles >= 0.5 * RUNAWAY * self.cycles:
            return True
        return not (self._creeps(cycles, grown) or self.cycles >= self.next_check and self._runs_away())

    def _jump_failed(self, cycles, load, jump, before):
        """Whether the head holds `load` (N) after a jump that has led to no equilibrium; None if it is to be tried with fewer cycles.

        Close to the end force control finds no way: is there one under displacement control?"""
        if cycles > max(SHORTEST, RUNAWAY * self.cycles):
            return None
        omega = self.fatigue.omega
        self._tire(jump, cycles)
        self.cycles += cycles
        held = self._driven(load)
        if self.stuck and cycles > SHORTEST:  # not with so much damage at once
            self.cycles -= cycles
            self._undrive(before, omega)
            return None
        self.known = None
        self._record(0.0, held)
        return held

    def _rates(self):
        """Rates of omega (points,) and flow directions (n, nq, 6) of the cycle whose peak has just been solved."""
        load = self.model.grip.load
        x, flow = self.fatigue.measure(self.model.swing(self.march.solver, load - self.waveform.minimum(load)))
        return self.fatigue.rate(x), flow

    def _tire(self, jump, cycles):
        """Let the damage of a jump over `cycles` come with the next increment, whatever it is; its ratchet strain comes with the next jump."""
        self.march.release(self.model.interface.tire(cycles))
        self.model.damage.fatigue = jump.bone
        if self.model.cortex:
            self.model.cortex.tire(jump.shell)
        self.model.integrity = self.model.damage.integrity()
        self.fatigue.omega = jump.omega

    def _creeps(self, cycles, grown):
        """Whether the head, which moved by `grown` (mm) over the last cycles and moves faster with each, is at the stop within a few
        cycles: they are counted at the present pace."""
        left = (self.limit or np.inf) - self.model.grip.displacement()
        if left <= 0.0 or left * cycles >= CREEPING * self.cycles * grown:
            return False
        last = self.cycles + left * cycles / grown
        stop = self.loading["stop"]
        if last > stop["cycles"] or self.waveform.peak(last) > (stop.get("load_N") or np.inf):
            return False
        self.loosened = last, float(self.waveform.peak(last))
        self.confirmed = CREEPS
        self.reason = (f"the head moved by {grown / cycles:.2g} mm a cycle at {self.model.grip.displacement():.1f} mm: at the most "
                       f"{last - self.cycles:.0f} cycles more bring it to {self.limit:g} mm")
        return True

    def _runs_away(self):
        """Whether the screw cannot carry the load of a few cycles from now, of the protocol's, with no more damage than the present rates
        would bring until then; it is then driven on to the stop."""
        march, fatigue = self.march, self.fatigue
        omega = fatigue.omega
        self.next_check = (1.0 + RUNAWAY) * self.cycles
        ahead, load = self.waveform.reach(self.cycles, RUNAWAY * self.cycles)
        rate, flow = self.known = self.known or self._rates()
        before = march.mark()
        self._tire(fatigue.jump(rate * ahead, flow), ahead)
        if not self._driven(load) and self.loosened:
            self.cycles += ahead
            self.loosened = self.cycles, self.loosened[1]
            self._record(0.0, False)
            return True
        self._undrive(before, omega)
        return False

    def _undrive(self, before, omega):
        """Back to the mark `before` and the damage `omega` (points,) after a drive that has shown nothing."""
        self.reason, self.stuck = "", False
        self.march.back(before)
        self.fatigue.omega = omega

    def _due(self):
        """Whether a reference cycle is due: more often where a loss of stiffness ends the step."""
        u = self.model.grip.displacement()
        if self.loading["stop"].get("stiffness_loss"):
            return u >= FINE_REFERENCE * self.reference.rows[-1]["head_displacement_mm"] if self.reference.rows else True
        return self.next_reference <= u <= REFERENCE_UNTIL

    def _error(self, better, plain):
        """Volume of the damage by which two estimates differ, over the volume of damage that this test has done."""
        own = self._damaged(better) - self.carried
        return self._damaged(np.abs(better - plain)) / max(own, LEAST_DAMAGE * self.halo.screw_volume, 1e-12)

    def _damaged(self, damage):
        """Volume of `damage` (points,), mm^3."""
        return self.march.total(np.sum(self.fatigue.weights * damage))

    def _reference_cycle(self):
        """Unload to the minimum; everything is as before afterwards. The way back up would cost as much and change nothing here."""
        march, grip, i = self.march, self.model.grip, self.model.interface
        before = march.mark()
        peak, low, at = grip.load, self.waveform.minimum(grip.load), grip.displacement()
        jump, angle = i.jump.copy(), grip.angle()
        march.turn()
        if all(self.path.ease(load) for load in np.linspace(peak, low, UNLOADING + 1)[1:]) and grip.displacement() < at:
            moved = motion(i, jump - i.jump, self.model.comm)
            change = at - grip.displacement()
            self.reference.add(cycles=self.cycles, peak_load_N=peak, minimum_load_N=low, head_displacement_mm=at,
                               range_mm=change, stiffness_N_per_mm=(peak - low) / change,
                               micromotion_um=moved.get("micromotion_um"), largest_slip_um=moved.get("largest_slip_um"),
                               opening_um=moved.get("mean_opening_um"), angle_range_deg=angle - grip.angle())
        march.back(before)
        self.next_reference = REFERENCE_GROWTH * at

    # ---- what is recorded ---------------------------------------------------------------------------------------

    def _record(self, error, held):
        """A row; held: the load, so that this is the last peak so far."""
        if held:
            self.watch.peak()
        m, march, grip = self.model, self.march, self.model.grip
        halo = self.halo.measure()
        self.blocks.add(block=len(self.blocks.rows), cycles=self.cycles, peak_load_N=grip.force(), held=int(held),
                        head_displacement_mm=grip.displacement(), angle_deg=grip.angle(),
                        axial_displacement_mm=grip.axial_displacement(), halo_volume_mm3=halo["volume_mm3"],
                        damage_volume_mm3=self.halo.damage_volume(), max_damage=march.largest(m.damage.lost()),
                        jump_error=float(error), external_work_N_mm=march.work, stored_energy_N_mm=march.stored,
                        dissipated_energy_N_mm=march.dissipated)
        row = self.blocks.rows[-1]
        if self.strained is None and self._much_strained():
            self.strained = row["head_displacement_mm"], self.cycles
        self.halo.snapshot(self.cycles, row["head_displacement_mm"], halo)
        if self.limit:
            progress = min(1.0, row["head_displacement_mm"] / self.limit)
        else:
            progress = self.cycles / self.loading["stop"]["cycles"]
        self.watch.step(self, row, {"cutbacks": march.cutbacks, "newton": march.newton, "linear": march.linear,
                                    "next_block": self.block, "progress": progress})

    def _much_strained(self):
        m = self.model
        strain = np.abs(m.trial_plastic_strain).max(axis=-1)  # plastic; the elastic part is below 1 %
        w = m.quadrature.weights
        bone = self.halo.bone[:, None] & (strain > MUCH_STRAIN)
        return self.march.total(np.sum(w * bone)) > STRAINED_SHARE * self.halo.screw_volume

    def _stopped(self):
        """Whether a stop criterion of the protocol is met; notes loosening."""
        stop, row = self.loading["stop"], self.blocks.rows[-1]
        if self.limit and row["head_displacement_mm"] >= self.limit:
            self.loosened = self._at(self.limit)
            self.confirmed = AT_STOP
            self.reason = f"the head was displaced by {self.limit:g} mm"
        elif stop.get("angle_deg") and abs(row["angle_deg"]) >= stop["angle_deg"]:
            self.loosened = self._passed(np.abs(self.blocks.column("angle_deg")), stop["angle_deg"])
            self.confirmed = "angle reached at equilibrium"
            self.reason = f"the screw had turned by {stop['angle_deg']:g} degrees"
        elif stop.get("stiffness_loss") and self._stiffness_loss() >= stop["stiffness_loss"]:
            self.loosened = self.cycles, row["peak_load_N"]
            self.confirmed = "stiffness lost at equilibrium"
            self.reason = f"the screw had lost {100 * stop['stiffness_loss']:.0f} % of its stiffness"
        elif self.cycles >= stop["cycles"] - 1e-6:
            self.reason = f"{self.cycles:.0f} cycles were reached"
        elif stop.get("load_N") and row["peak_load_N"] >= stop["load_N"] - 1e-6:
            self.reason = f"the load of {stop['load_N']:g} N was reached"
        return bool(self.reason)

    def _stiffness_loss(self):
        k = self.reference.column("stiffness_N_per_mm") if self.reference.rows else []
        return 1.0 - k[-1] / k[0] if len(k) else 0.0

    def _at(self, displacement):
        """(cycles, load) at which the head first reached `displacement`; None if it did not."""
        u = self.blocks.column("head_displacement_mm")
        if found := self._passed(u, displacement):
            return found
        # a screw that has given way gets there at once; one that ends by its angle or stiffness stays where it is
        gone = self.loosened and self.confirmed in (GAVE_WAY, CREEPS, AT_STOP)
        return self.loosened if gone and displacement <= (self.limit or np.inf) else None

    def _passed(self, values, limit):
        """(cycles, load) at which `values`, one a row of blocks, first came to `limit`, interpolated over the block; None if they did not."""
        past, n = np.flatnonzero(values >= limit), self.blocks.column("cycles")
        if not len(past):
            return None
        k = past[0]
        if self.loosened and n[k] >= self.loosened[0] and self.blocks.rows[k]["peak_load_N"] < self.loosened[1] - 1e-6:
            return self.loosened  # it was pushed on, under less than the load that it no longer held
        cycles = n[k] if k == 0 else np.interp(limit, values[k - 1 : k + 1], n[k - 1 : k + 1])
        load = self.blocks.rows[k]["peak_load_N"] if self.loading.get("step_N") else self.waveform.peak(cycles)
        return float(cycles), float(load)

    def _end(self, collapses=False):
        """Push a screw that failed to the stop, unload for what follows; 'completed' if a criterion or a confirmed failure ended the step."""
        if not self.watch.at_peak:  # not even the first load was held
            self.watch.peak()
        if collapses:
            self._collapse()
        status = "partial" if self.stuck else "completed"
        if status == "completed" and self.followed:
            self.unloaded = self.path.let_go()
            if not self.unloaded:
                self.reason += f"; {self.model.grip.force():.0f} N of the load could not be taken off"
        return status

    def tables(self):
        return {"static.csv": self.static.rows, "cycles.csv": self.blocks.rows, "reference.csv": self.reference.rows,
                "collapse.csv": self.collapse.rows}

    number = "block"  # column that counts the rows

    def rows(self):
        return self.blocks.rows

    def documents(self):
        return {"halo.json": self.halo.document()}

    def progress(self, row):
        return {"step": row["block"], "force_N": row["peak_load_N"], "displacement_mm": row["head_displacement_mm"],
                "cycles": row["cycles"]}

    def summary(self):
        """Numbers of the step for outcome.json."""
        last = self.blocks.rows[-1] if self.blocks.rows else {}
        marks = sorted({*THRESHOLDS, *([self.limit] if self.limit else [])})
        found = [(u, self._at(u) if last else self.loosened) for u in marks]
        out = {"kind": self.kind, "loosened": self.loosened is not None,
               "cycles_to_loosening": self.loosened and self.loosened[0],
               "load_at_loosening_N": self.loosened and self.loosened[1],
               "cycles": self.cycles, "peak_load_N": max((row["peak_load_N"] for row in self.blocks.rows if row["held"]), default=0.0),
               "head_displacement_mm": last.get("head_displacement_mm"), "angle_deg": last.get("angle_deg"),
               "axial_displacement_mm": last.get("axial_displacement_mm"),
               "thresholds": [{"head_displacement_mm": d, "cycles": at and at[0], "load_N": at and at[1]} for d, at in found],
               **(self._static_summary() if self.static.rows else {}),
               # at the peaks of reference cycles, not the slip since the beginning that any peak has
               **dict.fromkeys(("stiffness_N_per_mm", "stiffness_loss", "micromotion_um", "micromotion_end_um", "largest_slip_um", "mean_opening_um")),
               "unloaded": self.unloaded, "blocks": len(self.blocks.rows), "newton_iterations": self.march.newton,
               "linear_iterations": self.march.linear, "cutbacks": self.march.cutbacks, "snaps": self.march.snaps,
               "stopped_because": self.reason, "failure_confirmed": self.confirmed}
        if self.strained:
            out |= {"small_strain_until_mm": self.strained[0], "small_strain_until_cycles": self.strained[1]}
        if self.reference.rows:
            first, end = self.reference.rows[0], self.reference.rows[-1]
            out |= {"mean_opening_um": first["opening_um"]} | {key: first[key] for key in ("stiffness_N_per_mm", "micromotion_um", "largest_slip_um")}
            if end is not first:
                out |= {"stiffness_loss": self._stiffness_loss(), "micromotion_end_um": end["micromotion_um"]}
        if self.pushed:
            out["residual_force_N"] = self.collapse.rows[-1]["force_N"]
        if self.march.work > 0.0:
            out["energy_balance_error"] = self.march.imbalance
        return out | self.halo.summary()
