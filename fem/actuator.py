"""The testing machine at the screw head: a grip that guides it along its axis, or an actuator that pushes it sideways.

Both know the displacement at the load point, the force that does work on it, and how to move on by one increment.
"""

import numpy as np
from petsc4py import PETSc

STIFFNESS = 2e4  # N/mm, of the actuator under displacement control: a hundred times the stiffest lateral screw


class Grip:
    """Guides the head: all its nodes move along the screw axis by the same amount and do not turn."""

    setting = None  # everything it does shows in the displacements

    def __init__(self, model):
        self.model = model
        self.axial = model.dim - 1
        self.travel = 0.0

    def pull(self, amount, rigidly=False):
        """Prescribe a further `amount` (mm) of travel; rigidly: predict that the whole screw follows."""
        nodes = self.model.screw_nodes if rigidly else self.model.head
        self.model.u.array.reshape(-1, self.model.dim)[nodes, self.axial] += amount

    def accept(self, amount):
        self.travel += amount

    def zero(self):
        self.travel = 0.0

    def memory(self):
        return {"travel": self.travel}

    def recall(self, memory):
        self.travel = memory["travel"]

    def displacement(self):
        return self.travel

    def force(self):
        """Axial force in N, the reaction of the last residual."""
        return float(self.model.reaction[self.axial])


class Actuator:
    """Loads the head in one direction through a joint that lets it turn; all else is free.

    The load f acts evenly on the nodes of the top of the head, whose mean displacement along the direction is u = c.u_h.
    Under force control f is given; under displacement control f = STIFFNESS (target - u), the elasticity of the machine:
    a rank-one, symmetric term, so that both are the same convex problem and limit points are passed.
    """

    def __init__(self, model, direction):
        """Args: model: whose head it loads; direction (3,) in the screw frame, any length."""
        self.model = model
        self.direction = np.asarray(direction, float) / np.linalg.norm(direction)
        d = model.domain
        head = model.head_owned
        total = d.comm.allreduce(len(head))
        self.weight = 1.0 / total
        self.c = model.uv.duplicate()
        self.c.set(0.0)
        self.c.array.reshape(-1, model.dim)[head] = self.direction * self.weight
        nodes = np.concatenate(d.comm.allgather(d.index_map.local_to_global(head.astype(np.int32))))
        self._nodes = np.sort(nodes).astype(PETSc.IntType)
        self._x = d.node_x[head] @ self.direction
        self._x_mean = d.comm.allreduce(float(self._x.sum())) / total
        self.load, self.target, self.stiffness = 0.0, 0.0, 0.0
        self.origin = 0.0, 0.0, 0.0

    def zero(self):
        """Count displacement, axial displacement and angle from the present ones."""
        self.origin = 0.0, 0.0, 0.0
        self.origin = self.displacement(), self.axial_displacement(), self.angle()

    def memory(self):
        return {"setting": self.setting, "origin": self.origin}

    def recall(self, memory):
        self.setting, self.origin = memory["setting"], tuple(memory["origin"])

    @property
    def setting(self):
        return self.load, self.target, self.stiffness

    @setting.setter
    def setting(self, values):
        self.load, self.target, self.stiffness = values

    def press(self, load):
        """Force control from now on, at `load` (N)."""
        self.setting = float(load), 0.0, 0.0

    def drive(self, amount):
        """Displacement control from now on: the far end of the machine moves by `amount` (mm) more."""
        if not self.stiffness:
            self.setting = 0.0, self.displacement() + self.load / STIFFNESS, STIFFNESS
        self.target += amount

    def accept(self, amount):
        pass

    def displacement(self):
        """Mean displacement of the head along the direction, mm."""
        return self.c.dot(self.model.uv) - self.origin[0]

    def force(self):
        """Force on the head along the direction, N."""
        return self.load + self.stiffness * (self.target - self.displacement()) if self.stiffness else self.load

    def axial_displacement(self):
        """Mean displacement of the head along the screw axis, outwards, mm."""
        own = self.model.u.array.reshape(-1, self.model.dim)[self.model.head_owned, 2]
        return self.model.comm.allreduce(float(own.sum())) * self.weight - self.origin[1]

    def angle(self):
        """Rotation of the head in the plane of load and axis, degrees (small strain: its tangent is the slope)."""
        own = self.model.u.array.reshape(-1, self.model.dim)[self.model.head_owned, 2]
        x = self._x - self._x_mean
        sums = self.model.comm.allreduce(np.array([np.sum(x * own), np.sum(x * x)]))
        if sums[1] < 1e-9:  # the load is axial
            return 0.0
        return float(np.degrees(np.arctan(-sums[0] / sums[1]))) - self.origin[2]

    def add_force(self, residual):
        """Subtract the load from the residual."""
        residual.axpy(-self.force(), self.c)

    def add_stiffness(self, A, reserve=False):
        """Add the machine's rank-one stiffness to a PETSc Mat (zeros if `reserve`: they only keep the places)."""
        if self.model.comm.rank != 0 or not (self.stiffness or reserve):
            return
        k = 0.0 if reserve else self.stiffness
        n = len(self._nodes)
        c = np.tile(self.direction * self.weight, n)
        A.setValuesBlocked(self._nodes, self._nodes, k * np.outer(c, c), addv=PETSc.InsertMode.ADD_VALUES)
