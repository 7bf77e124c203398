"""The linear solver: CG with a two-level p-multigrid that stays frozen while it works.

Fine level: the quadratic elements, smoothed by Chebyshev over 3x3 node blocks. Coarse level: the same cells with linear
elements (Galerkin), an eighth of the unknowns, factorised by CHOLMOD. It knows rigid bodies, opened contact and the
contrast of titanium and halo exactly, which algebraic multigrid has to guess: when this was chosen, a plastic pullout
matrix of 219 000 unknowns took 13 iterations and 1.5 s, GAMG with SOR 17 and 3.0 s (two ranks, relative 1e-2).
The matrix is kept in 3x3 blocks, whole: its upper half alone is less to read, but PETSc has no inverted diagonal blocks of that, and
converting it for the smoother in each solve took 8 % of a solution on one rank and half of it on two.
Axisymmetric problems are small and go to the direct solver. A solution whose PETSc reason is negative is never used.

Tried and no faster: Chebyshev of degree 1, 3, 4 and 6, block Gauss-Seidel in single precision, a residual of 0.1. Nearly all of the
residual sits in the titanium long after the bone is where it belongs; stopping when CG gains no more energy (a hundredth in four
iterations) took a quarter fewer iterations and no more of Newton's, but left steps just below Newton's tolerance: between blocks
of few cycles energy was created, 2e-4 of 2.5 N mm.
"""

import numpy as np
from petsc4py import PETSc

from fem.elements import EDGES

RELATIVE = 3e-2  # of the unpreconditioned residual: the preconditioned norm stops after two iterations on contact
FIRST = 1e-3  # in the first step, whose residual is nearly all in the stiff contact and little of it in the soft bone
ITERATIONS = 300
POWER = 12  # iterations for the largest eigenvalue, which Chebyshev smoothing needs


class LinearSolver:
    """Solves A dx = b again and again while A changes little.

    Attributes: rtol, may be changed at any time; setups (preconditioners built).
    """

    def __init__(self, model, rtol=RELATIVE):
        """Args: model: whose matrix `A` and domain are used; rtol: of the unpreconditioned residual norm."""
        self.A = model.A
        self.direct = model.dim == 2
        self.rtol = rtol
        self.setups = 0
        self.ksp = self._coarse = None
        if not self.direct:
            self._scale = model.diagonal_scale
            self._prolongation = prolongation(model)
        self.forget()

    def forget(self):
        """Start anew: nothing that was solved before has a part in what comes, so that a resumed run repeats it exactly."""
        self._base = None
        for old in (self.ksp, self._coarse):
            if old is not None:
                old.destroy()
        self._coarse = None
        self.ksp = PETSc.KSP().create(self.A.comm)
        self.ksp.setOperators(self.A)
        if self.direct:
            self.A.setOption(PETSc.Mat.Option.SPD, True)
            self.ksp.setType("preonly")
            _factorise(self.ksp.getPC(), "mumps")
            return
        self.ksp.setType("cg")
        self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        pc = self.ksp.getPC()
        pc.setType("mg")
        pc.setMGLevels(2)
        pc.setMGInterpolation(1, self._prolongation)
        smoother = pc.getMGSmoother(1)
        smoother.setType("chebyshev")
        smoother.setTolerances(max_it=2)
        smoother.getPC().setType("pbjacobi")

    def _rebuild(self):
        """Coarse matrix and its factors from the present A."""
        pointwise = self.A.convert("aij", PETSc.Mat())  # PtAP is not there for blocks
        coarse = pointwise.ptap(self._prolongation)
        pointwise.destroy()
        diagonal = coarse.getDiagonal()
        empty = diagonal.array == 0.0  # prescribed vertices
        if self.A.comm.tompi4py().allreduce(int(empty.sum())):
            coarse.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
            diagonal.array[empty] = self._scale
            coarse.setDiagonal(diagonal)
        coarse.setOption(PETSc.Mat.Option.SPD, True)
        solver = self.ksp.getPC().getMGCoarseSolve()
        solver.setOperators(coarse, coarse)
        diagonal.destroy()
        if self._coarse is not None:
            self._coarse.destroy()
        self._coarse = coarse
        solver.setType("preonly")
        if self.A.comm.size == 1:
            _factorise(solver.getPC(), "cholmod")
        else:  # each rank for itself: factors that are shared out do not repeat themselves to the last digit
            pc = solver.getPC()
            pc.setType("redundant")
            options = PETSc.Options()
            options["mg_coarse_redundant_ksp_type"] = "preonly"
            options["mg_coarse_redundant_pc_type"] = "cholesky"
            options["mg_coarse_redundant_pc_factor_mat_solver_type"] = "cholmod"
            pc.setFromOptions()
        largest = 1.1 * self._largest_eigenvalue()
        PETSc.Options()["mg_levels_1_ksp_chebyshev_eigenvalues"] = f"{0.1 * largest:.16e},{largest:.16e}"
        self.ksp.getPC().getMGSmoother(1).setFromOptions()
        self.setups += 1

    def _largest_eigenvalue(self):
        """Of A under its inverted 3x3 diagonal blocks, by power iterations from a fixed vector.

        PETSc estimates it from noise that no two solvers of a process share: a resumed run would differ in the tenth digit."""
        blocks = self.A.invertBlockDiagonal()
        v, w = self.A.createVecs()
        first, last = self.A.getOwnershipRange()
        v.array[:] = np.sin(np.arange(first, last) ** 2.0)
        for _ in range(POWER):
            v.scale(1.0 / v.norm())
            self.A.mult(v, w)
            v.array[:] = np.einsum("nij,nj->ni", blocks, w.array.reshape(-1, blocks.shape[-1])).ravel()
        largest = v.norm()
        v.destroy()
        w.destroy()
        return largest

    def aside(self, b, x):
        """Solve once for a matrix that the ones to come are not like; the preconditioner stays theirs. Returns as `solve`."""
        base, built, rtol = self._base, self.setups, self.rtol
        self.rtol = FIRST
        its = self.solve(b, x)
        self._base, self.rtol = base if self.setups == built else None, rtol
        return its

    def solve(self, b, x):
        """Solve A x = b; returns the number of iterations, or -1 when no acceptable solution was found."""
        if self.direct:
            self.ksp.solve(b, x)
            self.setups += 1
            return 1 if self.ksp.getConvergedReason() > 0 else -1
        self.A.zeroRows([])  # none: but without it PETSc 3.22 gives the smoother the inverted diagonal blocks of an earlier A
        self.ksp.setTolerances(rtol=self.rtol, max_it=ITERATIONS)
        fresh = self._base is None
        if fresh:
            self._rebuild()
        self.ksp.getPC().setReusePreconditioner(not fresh)
        self.ksp.getPC().getMGSmoother(1).setOperators(self.A, self.A)  # to be set up anew
        self.ksp.solve(b, x)
        its, reason = self.ksp.getIterationNumber(), self.ksp.getConvergedReason()
        if reason < 0 and not fresh:
            self._base = None
            return self.solve(b, x)
        if fresh:
            self._base = its
        elif its > max(1.7 * self._base, self._base + 8):
            self._base = None  # rebuilt at the next solve
        return its if reason > 0 else -1


def _factorise(pc, package):
    pc.setType("cholesky")
    pc.setFactorSolverType(package)


def prolongation(model):
    """Matrix from vertex to quadratic-node displacements: vertices keep theirs, edge midpoints take the mean of the ends.

    A correction moves nothing that is prescribed: rows and columns of prescribed components are zero. (Were the columns not,
    vertices that are held could move in a pattern that cancels at all free midpoints between them: a singular coarse matrix.)
    Returns a PETSc Mat (owned nodes * 3, owned vertices * 3)."""
    d = model.domain
    dim, vertices = d.dim, d.linear.dofmap.index_map
    n, m = d.index_map.size_local, vertices.size_local
    P = PETSc.Mat().create(d.comm)
    P.setSizes([(n * dim, None), (m * dim, None)])
    P.setType("aij")
    P.setUp()

    def put(nodes, ends, own):
        """ends, own: (n, 1 or 2) vertices of each node, by number among the vertices and among the nodes."""
        nodes, first = np.unique(nodes, return_index=True)
        keep = nodes < n
        nodes, ends, own = nodes[keep], ends[first[keep]], own[first[keep]]
        row = d.index_map.local_to_global(nodes.astype(np.int32)).astype(PETSc.IntType)
        column = vertices.local_to_global(ends.ravel().astype(np.int32)).reshape(ends.shape).astype(PETSc.IntType)
        for k in range(dim):
            fixed = model.prescribed[nodes, None, k] | model.prescribed[own, k]
            value = np.where(fixed, 0.0, 1.0 / ends.shape[1])
            P.setValuesRCV(row[:, None] * dim + k, column * dim + k, value[:, None])

    corners = d.cells[:, : dim + 1]
    put(corners.ravel(), d.vertices.reshape(-1, 1), corners.reshape(-1, 1))
    put(d.cells[:, dim + 1 :].ravel(), *(v[:, EDGES[dim]].reshape(-1, 2) for v in (d.vertices, corners)))
    P.assemble()
    return P
