"""The linear solver: CG with algebraic multigrid that knows the rigid-body modes, kept frozen while it works.

Axisymmetric problems are small and go to a direct solver. A solution whose PETSc reason is negative is never used.
"""

import numpy as np
from petsc4py import PETSc

RELATIVE = 1e-3  # of the unpreconditioned residual: the preconditioned norm stops after two iterations on contact
ITERATIONS = 400


class LinearSolver:
    """Solves A dx = b again and again while A changes little.

    Attributes: iterations (total), setups (preconditioners built).
    """

    def __init__(self, A, node_x, dim, rtol=RELATIVE):
        """Args: A: assembled matrix (block size dim); node_x (owned nodes, dim) mm; dim 2 means axisymmetric."""
        self.A = A
        self.iterations = self.setups = 0
        self._base = None
        self.ksp = PETSc.KSP().create(A.comm)
        self.ksp.setOperators(A)
        pc = self.ksp.getPC()
        self.direct = dim == 2
        if self.direct:
            self.ksp.setType("preonly")
            pc.setType("cholesky")
            pc.setFactorSolverType("mumps")
            return
        A.setNearNullSpace(rigid_body_modes(A, node_x))
        self.ksp.setType("cg")
        self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        self.ksp.setTolerances(rtol=rtol, max_it=ITERATIONS)
        options = PETSc.Options()
        prefix = "halofix_"
        for key, value in {
            "pc_type": "gamg", "pc_gamg_threshold": 0.01, "pc_gamg_aggressive_coarsening": 1,
            "mg_levels_ksp_type": "chebyshev", "mg_levels_pc_type": "sor", "mg_levels_ksp_max_it": 2,
        }.items():
            options[prefix + key] = value
        self.ksp.setOptionsPrefix(prefix)
        self.ksp.setFromOptions()

    def solve(self, b, x):
        """Solve A x = b; returns the number of iterations, or -1 when no acceptable solution was found."""
        pc = self.ksp.getPC()
        if self.direct:
            self.ksp.solve(b, x)
            self.setups += 1
            self.iterations += 1
            return 1 if self.ksp.getConvergedReason() > 0 else -1
        fresh = self._base is None
        pc.setReusePreconditioner(not fresh)
        self.ksp.solve(b, x)
        its, reason = self.ksp.getIterationNumber(), self.ksp.getConvergedReason()
        self.iterations += its
        if reason < 0 and not fresh:
            self._base = None
            return self.solve(b, x)
        if fresh:
            self.setups += 1
            self._base = its
        elif its > max(1.7 * self._base, self._base + 8):
            self._base = None  # rebuilt at the next solve
        return its if reason > 0 else -1


def rigid_body_modes(A, x):
    """Six rigid-body modes (PETSc NullSpace) for nodes x (n, 3) owned by this rank."""
    modes = []
    for k in range(6):
        v = A.createVecLeft()
        a = v.array.reshape(-1, 3)
        a[:] = 0.0
        if k < 3:
            a[:, k] = 1.0
        else:
            i, j = [(1, 2), (2, 0), (0, 1)][k - 3]
            a[:, i], a[:, j] = -x[:, j], x[:, i]
        modes.append(v)
    for k, v in enumerate(modes):
        for w in modes[:k]:
            v.axpy(-v.dot(w), w)
        v.normalize()
    return PETSc.NullSpace().create(vectors=modes, comm=A.comm)
