"""Linear elements made of quadratic ones: edge midpoints follow the mean of their ends, everything else stays as it is.

The solution is sought in the range of the prolongation P of the multigrid solver: u = P v, P^T R(P v) = 0. So mesh, laws,
integration points and contact points are those of the quadratic model, and only the order differs.
"""

import numpy as np

from fem.linear import LinearSolver, prolongation
from fem.model import Model


class LinearModel(Model):
    """A `Model` whose residual is that of linear elements: P^T R at the vertices, 0 elsewhere."""

    def residual(self):
        full = super().residual()
        if not hasattr(self, "_P"):
            self._P = prolongation(self)
            self._coarse = self._P.createVecRight()
            d = self.domain
            vertices = d.vertices.ravel()
            nodes = d.cells[:, : d.dim + 1].ravel()
            owned = (vertices < d.linear.dofmap.index_map.size_local) & (nodes < d.index_map.size_local)
            if d.comm.size > 1:  # vertices and nodes of a cell may have different owners
                raise ValueError("linear elements run on one rank")
            self._vertices, first = np.unique(vertices[owned], return_index=True)
            self._nodes = nodes[owned][first]
        self._P.multTranspose(full, self._coarse)
        full.set(0.0)
        full.array.reshape(-1, self.dim)[self._nodes] = self._coarse.array.reshape(-1, self.dim)[self._vertices]
        return full


class CoarseSolver(LinearSolver):
    """Solves on the linear elements alone, directly."""

    def __init__(self, model, **options):
        self.model = model
        super().__init__(model, **options)

    def solve(self, b, x):
        self._rebuild()
        P = self._prolongation
        right = P.createVecRight()
        found = right.duplicate()
        m = self.model
        right.array.reshape(-1, m.dim)[m._vertices] = b.array.reshape(-1, m.dim)[m._nodes]
        self.ksp.getPC().getMGCoarseSolve().solve(right, found)
        P.mult(found, x)
        return 1
