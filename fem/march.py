"""One load increment after another: predictor, foreseen damage, equilibrium, book of energy, commit."""

import numpy as np
from mpi4py import MPI

from fem.linear import FIRST, RELATIVE
from fem.newton import FLOOR, solve

REJECT_DAMAGE_STEP = 0.3
LARGEST_LAG, REPEATS = 0.05, 6  # of the cortex: tearing that an increment leaves to the next one; most equilibria in one increment


class March:
    """Takes a model from one equilibrium to the next; what fails leaves no trace.

    The book keeps, in N mm since the start: work of the machine; plastic, damage, friction and bond dissipation; and how often bone snapped.
    """

    BOOK = ("work", "plastic", "damaged", "friction", "bond", "snaps")

    def __init__(self, model, solver, clock, grip):
        self.model, self.solver, self.clock, self.grip = model, solver, clock, grip
        self.newton = self.linear = self.cutbacks = self.snaps = 0
        self.work = self.plastic = self.damaged = self.friction = self.bond = 0.0
        self.damage_step = 0.0  # largest growth of tearing damage in the last increment
        self.unforeseen = 0.0  # share of its force that bone still bore in the last increment, though it tore in it
        self.begin()

    def begin(self):
        """Take the model's committed state as the start; nothing to extrapolate from."""
        m = self.model
        self.turn()
        self._carried = m.integrity.copy()
        self._stress = m.stress.copy()
        self._traction = m.interface.friction_traction()
        self._force, self._stroke = self.grip.force(), self.grip.stroke()
        self.stored, self._Y = m.stored_energy()
        self.initially_stored = self.stored

    def book(self):
        return {name: getattr(self, name) for name in self.BOOK} | {"initially_stored": self.initially_stored}

    def enter(self, book):
        """Bring back the entries of `book()`."""
        for name, value in book.items():
            setattr(self, name, value)

    ARRAYS = {"velocity": "node", "last_tear": "cell", "_stress": "cell", "_Y": "cell", "_carried": "cell", "_traction": "point"}
    NUMBERS = (*BOOK, "initially_stored", "stored", "_force", "_stroke", "previous", "newton", "linear", "cutbacks")

    def memory(self):
        """(numbers, {name: (array, kind)}) from which `recall` goes on."""
        arrays = {k: (getattr(self, k), kind) for k, kind in self.ARRAYS.items() if getattr(self, k) is not None}
        return {k: getattr(self, k) for k in self.NUMBERS}, arrays

    def recall(self, numbers, arrays):
        for k, v in (numbers | arrays).items():
            setattr(self, k, v)
        if self.velocity is not None:
            self.velocity = self.velocity.reshape(-1, self.model.dim)

    def mark(self):
        """Everything that `back` needs to undo what follows: state, grip, book, predictor."""
        return self.model.state(), self.grip.setting, self.book(), (self.velocity, self.previous, self.last_tear, self._carried)

    def back(self, mark):
        """Undo all increments since `mark`."""
        state, self.grip.setting, book, predictor = mark
        self.model.restore(state)
        self.begin()
        self.enter(book)
        self.velocity, self.previous, self.last_tear, self._carried = predictor

    def release(self, energy):
        """Enter energy (N mm, of this rank) that broken bonds have set free between two increments."""
        self._released(self.total(energy))

    def _released(self, energy):
        self.bond += energy
        self.stored, self._Y = self.model.stored_energy()
        self._traction = self.model.interface.friction_traction()

    def turn(self):
        """The load changes its course: the last increment says nothing of the next."""
        self.velocity = self.previous = self.last_tear = None

    @property
    def dissipated(self):
        return self.plastic + self.damaged + self.friction + self.bond

    @property
    def imbalance(self):
        """(work - stored - dissipated) / work."""
        return (self.work - (self.stored - self.initially_stored) - self.dissipated) / self.work if self.work else 0.0

    def attempt(self, size, move, fatigue=None, floor=FLOOR, smallest=0.0, unforeseen=np.inf):
        """Try one increment: `move()` tells the grip, `size` scales the predictor (any measure of the path).

        fatigue: `fem.fatigue.Jump` with the damage and ratchet strain that the increment brings, or None; floor: see `fem.newton.solve`.
        smallest: size of steps that are not halved any more: bone that tears in one of them as much as makes longer ones be repeated snaps,
        and no step is short enough for it; the increment counts, as the next do until no more tears.
        unforeseen: share of its force that bone anywhere may bear though it tears in the increment, beyond which it is repeated in halves.
        Returns the `fem.newton.Outcome`; if it has converged everything is committed, else everything is as before.
        """
        m = self.model
        nodes = m.u.array.reshape(-1, m.dim)
        before, setting, eps_p, trial = nodes.copy(), self.grip.setting, m.eps_p.copy(), m.trial()
        if self.velocity is not None:
            nodes += self.velocity * size
            nodes[m.prescribed] = before[m.prescribed]
        move()
        # damage is extrapolated (implex): lagging it would overrate the force by the damage of a step
        tearing = m.damage.tearing
        if self.last_tear is not None:
            with self.clock("damage"):
                tearing = m.damage.predict(self.last_tear * (size / self.previous))
        if m.cortex:
            m.cortex.foresee(size / self.previous if self.last_tear is not None else 0.0)
        if fatigue is not None:
            m.eps_p += fatigue.ratchet
            if m.cortex:
                m.cortex.tire(fatigue.shell)
        m.integrity = m.damage.integrity(tearing, None if fatigue is None else fatigue.bone)
        self.solver.rtol = FIRST if self.velocity is None else RELATIVE
        outcome = self._equilibrium(floor)
        if outcome.converged:
            with self.clock("damage"):
                new = m.damage.predict(m.tear_step)
            self.damage_step = self.largest(new - m.damage.tearing)
            snaps = self.damage_step > REJECT_DAMAGE_STEP
            self.unforeseen = self.largest(m.integrity - m.damage.integrity(new, None if fatigue is None else fatigue.bone))
            if snaps and 0.5 * size >= smallest:
                outcome.converged, outcome.reason = False, f"damage grows by {self.damage_step:.2f} in one step"
            elif self.unforeseen > unforeseen:
                outcome.converged, outcome.reason = False, f"damage grows by {self.unforeseen:.2f} more than was foreseen"
        if not outcome.converged:
            self.cutbacks += 1
            nodes[:], self.grip.setting, m.eps_p[:] = before, setting, eps_p
            m.integrity = self._carried.copy()
            m.put_back(trial)
            return outcome
        self.grip.accept(size)
        self._book(eps_p)
        if released := m.commit():
            self._released(released)
        m.damage.tear += m.tear_step
        m.damage.tearing = new
        if fatigue is not None:
            m.damage.fatigue = fatigue.bone
        self.last_tear, self.previous = m.tear_step.copy(), size
        self.velocity = (nodes - before) / size
        if snaps:
            self.snaps += 1
            self.turn()
        return outcome

    def _equilibrium(self, floor):
        """Equilibrium of the increment. A facet of cortex tears within a tenth of a millimetre, so what tears unforeseen is not left to the
        next increment, in which no step would be short enough for it: the increment is repeated with it."""
        cortex = self.model.cortex
        for repeat in range(REPEATS):
            if repeat:
                cortex.catch_up()
            outcome = solve(self.model, self.solver, self.clock, floor=floor)
            self.newton += outcome.newton
            self.linear += outcome.linear
            if not (outcome.converged and cortex and self.largest(cortex.lag()) > LARGEST_LAG):
                break
        return outcome

    def _book(self, eps_p):
        """Enter the converged, not yet committed increment; eps_p: plastic strain at its start."""
        m = self.model
        w = m.quadrature.weights
        increment = m.trial_plastic_strain - eps_p
        mean = 0.5 * (self._stress * self._carried[..., None] + m.stress * m.integrity[..., None])
        self.plastic += self.total(np.einsum("cq,cqi,cqi->", w, mean, increment))
        if m.cortex:
            self.plastic += self.total(m.cortex.dissipation())
        self.stored, Y = m.stored_energy()
        self.damaged += self.total(np.sum(w * 0.5 * (self._Y + Y) * (self._carried - m.integrity)))
        self.friction += self.total(m.interface.friction_work(self._traction))
        force, stroke = self.grip.force(), self.grip.stroke()
        self.work += 0.5 * (self._force + force) * (stroke - self._stroke)
        self._force, self._stroke = force, stroke
        self._stress, self._Y, self._carried = m.stress.copy(), Y, m.integrity.copy()
        self._traction = m.interface.friction_traction()

    def total(self, value):
        return float(self.model.comm.allreduce(float(value)))

    def largest(self, array):
        return float(self.model.comm.allreduce(float(array.max()) if array.size else 0.0, op=MPI.MAX))
