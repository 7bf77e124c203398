"""Nonlocal damage: tearing of bone softens it over the length of a few trabeculae, whatever the mesh.

The plastic strain that tears (shear and tension, see `fem.plasticity.shear_tension_weight`) is smoothed,

    kappa_bar - ell^2 lap(kappa_bar) = kappa      on the softening cells, natural boundary,

(implicit gradient, Peerlings 1996; ell ~ 1 mm, about the trabecular spacing), and D = Dmax (1 - exp(-a kappa_bar)),
never decreasing. D is foreseen before a step and held fixed in it, so no step softens.
Each tissue group is smoothed on its own cells: a torn halo must not damage the bone beside it.
"""

import numpy as np
from petsc4py import PETSc


class Smoother:
    """Helmholtz smoothing on one group of cells with linear elements."""

    def __init__(self, domain, cells, quadrature, length):
        """Args: cells: own cell numbers of the group; quadrature: `Quadrature` of all own cells; length: ell in mm."""
        self.cells = cells
        self.vertices = domain.vertices[cells]
        self.lam = quadrature.barycentric
        self.w = quadrature.weights[cells]
        imap = domain.linear.dofmap.index_map
        comm = domain.comm
        n = imap.size_local
        numbers = imap.local_to_global(np.arange(n + imap.num_ghosts, dtype=np.int32))
        lgmap = PETSc.LGMap().create(numbers.astype(PETSc.IntType), comm=comm)
        A = PETSc.Mat().createAIJ([(n, None), (n, None)], comm=comm)
        A.setLGMap(lgmap, lgmap)
        A.setUp()
        grad = quadrature.linear_gradients[cells]
        Ke = np.einsum("cq,qi,qj->cij", self.w, self.lam, self.lam)
        Ke += length**2 * np.einsum("c,cid,cjd->cij", self.w.sum(axis=1), grad, grad)
        A.setValuesLocalRCV(self.vertices, self.vertices, Ke, addv=PETSc.InsertMode.ADD_VALUES)
        A.assemble(PETSc.Mat.AssemblyType.FLUSH)
        # nodes outside the group keep the identity
        self.x, self.b = A.createVecs()
        self.b.setLGMap(lgmap)
        mark = np.ones(self.vertices.size)
        self.b.setValuesLocal(self.vertices.ravel().astype(PETSc.IntType), mark, addv=PETSc.InsertMode.ADD_VALUES)
        self.b.assemble()
        start, _ = A.getOwnershipRange()
        idle = np.flatnonzero(self.b.array == 0.0)
        for i in idle:
            A.setValue(start + i, start + i, 1.0, addv=PETSc.InsertMode.ADD_VALUES)
        A.assemble()
        self.A = A
        self.ksp = PETSc.KSP().create(comm)
        self.ksp.setOperators(A)
        self.ksp.setType("cg")
        self.ksp.getPC().setType("jacobi")
        self.ksp.setTolerances(rtol=1e-8)
        self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        ghosts = imap.ghosts.astype(PETSc.IntType)
        self._ghosted = PETSc.Vec().createGhost(ghosts, (n, None), comm=comm)

    def smooth(self, kappa):
        """Smoothed kappa_bar (ncells, nq) >= 0 of the group from the local kappa (ncells, nq)."""
        rhs = np.einsum("cq,cq,qi->ci", self.w, kappa, self.lam)
        self.b.set(0.0)
        self.b.setValuesLocal(self.vertices.ravel().astype(PETSc.IntType), rhs.ravel(), addv=PETSc.InsertMode.ADD_VALUES)
        self.b.assemble()
        self.ksp.solve(self.b, self.x)
        if self.ksp.getConvergedReason() < 0:
            raise RuntimeError(f"smoothing of the damage failed (PETSc reason {self.ksp.getConvergedReason()})")
        self.x.copy(self._ghosted)
        self._ghosted.ghostUpdate(addv=PETSc.InsertMode.INSERT, mode=PETSc.ScatterMode.FORWARD)
        with self._ghosted.localForm() as local:
            nodal = local.array[self.vertices]
        return np.maximum(0.0, nodal @ self.lam.T)


class Damage:
    """Damage of all own cells: insertion pre-damage D0 (fixed), tearing damage D (nonlocal), fatigue damage Df.

    tear (n, nq): tearing plastic strain accumulated on this mesh; earlier (n, nq): smoothed one with which the bone came from
    another; tearing, fatigue (n, nq): committed damage. debris (n, 1): share of the
    stiffness that stays.
    """

    def __init__(self, domain, quadrature, law_of_cell, laws, length, insertion):
        shape = quadrature.weights.shape
        self.tear = np.zeros(shape)
        self.earlier = np.zeros(shape)
        self.tearing = np.zeros(shape)
        self.fatigue = np.zeros(shape)
        self.initial = insertion
        maximum = np.array([law.get("damage_max", 0.0) if law["kind"] == "plastic" else 0.0 for law in laws])
        rate = np.array([law.get("damage_rate", 0.0) if law["kind"] == "plastic" else 0.0 for law in laws])
        fatigue = np.array(["life" in (law.get("fatigue") or {}) for law in laws])
        debris = np.array([1.0 - law["fatigue"]["maximum"] if tires else 0.0 for law, tires in zip(laws, fatigue)])
        groups = [law.get("group", law["name"]) for law in laws]
        self.maximum = maximum[law_of_cell][:, None]
        self.rate = rate[law_of_cell][:, None]
        self.debris = debris[law_of_cell][:, None]
        self.groups = []
        for group in sorted({g for g, m, f in zip(groups, maximum, fatigue) if m > 0.0 or f}):
            member = np.array([g == group for g in groups])
            self.groups.append(Smoother(domain, np.flatnonzero(member[law_of_cell]), quadrature, length))

    def integrity(self, tearing=None, fatigue=None):
        """(n, nq) share of the effective stress that is carried, (1 - D0)(1 - D)(1 - Df), at least that of debris, whatever has
        broken it; committed damage by default."""
        tearing = self.tearing if tearing is None else tearing
        fatigue = self.fatigue if fatigue is None else fatigue
        return np.maximum((1.0 - self.initial) * (1.0 - tearing) * (1.0 - fatigue), self.debris)

    def lost(self):
        """(n, nq) share of the stiffness lost to tearing and fatigue, insertion apart."""
        return 1.0 - np.maximum((1.0 - self.tearing) * (1.0 - self.fatigue), self.debris)

    def smooth(self, field):
        """Field (n, nq) smoothed over each tissue on its own; 0 where a tissue neither softens nor tires."""
        out = np.zeros_like(field)
        for s in self.groups:
            out[s.cells] = s.smooth(field[s.cells])
        return out

    def inherit(self, tearing):
        """Start with the damage `tearing` (n, nq) from another mesh, as if the smoothed strain that goes with it had been here.

        The strain itself would be smoothed anew over what is left of the bone, and break it without any load."""
        softens = self.maximum * self.rate > 0.0
        share = np.minimum(tearing / np.where(softens, self.maximum, 1.0), 1.0 - 1e-12)
        self.tearing[:] = tearing
        self.earlier[:] = np.where(softens, -np.log(1.0 - share) / np.where(softens, self.rate, 1.0), 0.0)

    def predict(self, tear_increment):
        """Tearing damage (n, nq) after a step that adds `tear_increment` (n, nq); nothing is committed."""
        smoothed = self.earlier + self.smooth(self.tear + tear_increment)
        return np.maximum(self.tearing, self.maximum * (1.0 - np.exp(-self.rate * smoothed)))
