"""The testing machine at the screw head: a grip that guides it along its axis, or an actuator that pushes it sideways.

Both know the displacement of the head, the stroke that does work with their force, and how to move on by one increment.
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

    stroke = displacement

    def force(self):
        """Axial force in N, the reaction of the last residual."""
        return float(self.model.reaction[self.axial])


class Actuator:
    """Loads the head in one direction through a joint that lets it turn; all else is free.

    The line of the load crosses the screw axis at the top of the head, or `ahead` (mm) beyond it (negative: towards the tip, as
    where the head is clamped and the vertebral body is loaded). The load f acts evenly on the nodes of the top, with a couple
    for the way to its line. The stroke s = c.u_h that does work with it is the displacement of the point of the axis on this line,
    if the top were rigid; it is what is called the displacement of the head: a head far off the line may well move the other way.
    Under force control f is given; under displacement control f = STIFFNESS (target - s), the elasticity of the machine: a rank-one, symmetric term, so that both are the same convex problem and limit points are passed.
    """

    def __init__(self, model, direction, ahead=0.0):
        """Args: model: whose head it loads; direction (3,) in the screw frame, any length; ahead: mm."""
        self.model = model
        self.direction = np.asarray(direction, float) / np.linalg.norm(direction)
        d = model.domain
        head = model.head_owned
        total = d.comm.allreduce(len(head))
        self.weight = 1.0 / total
        across = np.append(self.direction[:2], 0.0)  # the head turns in the plane of this and the screw axis
        share = np.linalg.norm(across)
        x = d.node_x[head] @ (across / share if share > 1e-9 else across)
        x -= d.comm.allreduce(float(x.sum())) / total
        spread = d.comm.allreduce(float(x @ x))
        self._turn = -x / spread if share > 1e-9 else x  # slope of the axis: sum of this times the axial displacements
        c = np.tile(self.direction * self.weight, (len(head), 1))
        c[:, 2] += ahead * share * self._turn
        self.c = model.uv.duplicate()
        self.c.set(0.0)
        self.c.array.reshape(-1, model.dim)[head] = c
        nodes = d.index_map.local_to_global(head.astype(np.int32))
        nodes, c = (np.concatenate(parts) for parts in zip(*d.comm.allgather((nodes, c))))
        order = np.argsort(nodes)
        self._nodes, self._c = nodes[order].astype(PETSc.IntType), c[order].ravel()
        self.load, self.target, self.stiffness = 0.0, 0.0, 0.0
        self.origin = 0.0, 0.0, 0.0

    def zero(self):
        """Count stroke, axial displacement and angle from the present ones."""
        self.origin = 0.0, 0.0, 0.0
        self.origin = self.stroke(), self.axial_displacement(), self.angle()

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
            self.setting = 0.0, self.stroke() + self.load / STIFFNESS, STIFFNESS
        self.target += amount

    def accept(self, amount):
        pass

    def stroke(self):
        """Displacement of the head, where the line of the load crosses its axis, along the load, mm: the one that does work with it."""
        return self.c.dot(self.model.uv) - self.origin[0]

    displacement = stroke

    def force(self):
        """Force on the head along the direction, N."""
        return self.load + self.stiffness * (self.target - self.stroke()) if self.stiffness else self.load

    def axial_displacement(self):
        """Mean displacement of the head along the screw axis, outwards, mm."""
        return self._sum(self._head()[:, 2]) * self.weight - self.origin[1]

    def angle(self):
        """Rotation of the head in the plane of load and axis, degrees (small strain: its tangent is the slope); 0 under axial load."""
        return float(np.degrees(np.arctan(self._sum(self._turn * self._head()[:, 2])))) - self.origin[2]

    def _head(self):
        return self.model.u.array.reshape(-1, self.model.dim)[self.model.head_owned]

    def _sum(self, values):
        return self.model.comm.allreduce(float(values.sum()))

    def add_force(self, residual):
        """Subtract the load from the residual."""
        residual.axpy(-self.force(), self.c)

    def add_stiffness(self, A, reserve=False):
        """Add the machine's rank-one stiffness to a PETSc Mat (zeros if `reserve`: they only keep the places)."""
        if self.model.comm.rank != 0 or not (self.stiffness or reserve):
            return
        k = 0.0 if reserve else self.stiffness
        A.setValuesBlocked(self._nodes, self._nodes, k * np.outer(self._c, self._c), addv=PETSc.InsertMode.ADD_VALUES)
