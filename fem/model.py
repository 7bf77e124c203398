"""One specimen with its screw on the solver's mesh: state, residual, tangent, energies.

The residual is the internal force (bulk, cortex, interfaces) at the current displacement. At prescribed components it is
the reaction: forces on screw and support come from virtual work, never from integrated boundary stress.
"""

import numpy as np
from dolfinx.la import InsertMode
from mpi4py import MPI
from petsc4py import PETSc

from fem._compat import wrap_vector
from fem.actuator import Actuator, Grip
from fem.cortex import SOUND, Cortex
from fem.damage import Damage
from fem.elements import Quadrature, energies, stiffness, update
from fem.interface import Interface
from fem.regions import SCREW

FLAT = 1e-6  # mm: the entry is drawn flat, in the plane z = 0
MATRIX = {2: "aij", 3: "baij"}  # by dimension: products are fastest in blocks, which the direct solver of the flat ones does not take


class Laws:
    """Law tables as arrays (nlaw, ...) from problem.json."""

    def __init__(self, laws):
        n = len(laws)
        self.plastic = np.array([law["kind"] == "plastic" for law in laws])
        self.C = np.array([law["stiffness"] for law in laws], dtype=float)
        self.strength = np.array([law.get("strength") or 1.0 for law in laws], dtype=float)
        self.compliance = np.linalg.inv(self.C) * self.strength[:, None, None]
        # elastic laws may have a strength to be compared with (metal)
        self.rated = np.array([law.get("F") is not None for law in laws])
        self.F = np.array([law["F"] if rated else np.eye(6) for law, rated in zip(laws, self.rated)], dtype=float)
        self.f = np.array([law["f"] if rated else np.zeros(6) for law, rated in zip(laws, self.rated)], dtype=float)
        self.onset = np.array([law.get("onset") or 1.0 for law in laws], dtype=float)
        self.k0 = np.array([law.get("hardening_strain") or 1.0 for law in laws], dtype=float)
        self.crushed = np.array([law.get("densification") or (0.0, 0.0, 0.0) for law in laws], dtype=float)
        self.fatigue_limit = next((law["fatigue"]["limit"] for law in laws if "limit" in (law.get("fatigue") or {})), None)
        for k in range(n):
            if not np.allclose(self.C[k], self.C[k].T) or np.linalg.eigvalsh(self.C[k])[0] <= 0.0:
                raise ValueError(f"the stiffness of {laws[k]['name']} is not symmetric positive definite")
            closed = self.F[k] - np.outer(self.f[k], self.f[k])
            if self.plastic[k] and np.linalg.eigvalsh(closed)[0] <= 0.0:
                raise ValueError(f"the yield surface of {laws[k]['name']} is not a closed ellipsoid")

    def utilisation(self, law, stress):
        """u = sqrt(s.F.s) + f.s (c, nq) of the effective stress (c, nq, 6) in MPa under one law, s over its strength; its gradient
        (c, nq, 6)."""
        s = stress / self.strength[law]
        Fs = s @ self.F[law]
        q = np.sqrt(np.maximum(np.einsum("cqi,cqi->cq", s, Fs), 1e-30))
        return np.maximum(q + s @ self.f[law], 0.0), Fs / q[..., None] + self.f[law]

    def tables(self):
        return self.C, self.compliance, self.strength, self.F, self.f, self.onset, self.k0, self.crushed

    def modulus(self):
        """(nlaw,) a representative Young's modulus in MPa: the smallest along the three axes."""
        S = np.linalg.inv(self.C)
        return 1.0 / np.max(np.stack([S[:, 0, 0], S[:, 1, 1], S[:, 2, 2]]), axis=0)


class Model:
    """State and forces of a specimen.

    Attributes: u: la.Vector of displacement in mm; eps_p, kappa: committed plastic state; damage, interface, cortex;
    grip: `fem.actuator.Grip` in a pullout, else `Actuator`.
    """

    def __init__(self, domain, problem):
        self.domain = domain
        self.comm = domain.comm
        self.dim = dim = domain.dim
        laws = problem["laws"]
        self.laws = Laws(laws)
        number = {int(k): v for k, v in problem["region_law"].items()}
        self.law = np.array([number[r] for r in domain.region], dtype=np.int64)
        self.quadrature = Quadrature(domain.x)
        shape = self.quadrature.weights.shape
        self.eps_p, self.kappa = np.zeros(shape + (6,)), np.zeros(shape)
        self._trial = np.zeros(shape + (6,)), np.zeros(shape)
        self.tear_step, self.stress = np.zeros(shape), np.zeros(shape + (6,))
        self.tangent = np.zeros(shape + (6, 6))
        self.status = np.zeros(shape, dtype=np.int8)
        self.bulk = np.zeros(shape + (3,))  # pressure of compacted bone, its slope, its energy density
        self.damage = Damage(domain, self.quadrature, self.law, laws, problem["nonlocal_length"],
                             self._insertion_damage(problem.get("insertion")))
        self.integrity = self.damage.integrity()

        self.u = domain.vector()
        self.uv = wrap_vector(self.u)
        self._r = domain.vector()
        self.residual_vector = wrap_vector(self._r)
        self.contact_force = self.residual_vector.duplicate()
        loading = problem.get("loading", {"kind": "pullout"})
        guided = loading["kind"] == "pullout"
        self._boundary(guided)
        self.reaction = self.support = np.zeros(dim)
        self.interface = self._make_interface(problem["interfaces"], problem.get("cortex"))
        self.cortex = self._make_cortex(problem.get("cortex"))
        self.grip = Grip(self) if guided else Actuator(self, loading["direction"], loading.get("ahead_mm", 0.0))
        self._elastic = None
        self.renew()
        # in this order: PETSc 3.22 gives duplicates of blocks, and blocks that it has hashed, products at half the speed
        self.A, self._elastic = self._elastic, self._elastic.duplicate(copy=True)
        self.A.setOption(PETSc.Mat.Option.NEW_NONZERO_LOCATION_ERR, True)
        self.return_map_failures = 0

    # ---- set-up -------------------------------------------------------------------------------------------------

    def _insertion_damage(self, insertion):
        """Pre-damage D0 (n, nq) in the annulus that the threads cut, 0 elsewhere."""
        out = np.zeros(self.quadrature.weights.shape)
        if not insertion:
            return out
        x = self.quadrature.points
        r = x[..., 0] if self.dim == 2 else np.hypot(x[..., 0], x[..., 1])
        z = x[..., -1]
        bone = np.isin(self.domain.region, insertion["regions"])[:, None]
        out[bone & (r <= insertion["radius"]) & (z >= -insertion["depth"])] = insertion["damage"]
        return out

    def _boundary(self, guided):
        d = self.domain
        n = d.nodes_local
        self.prescribed = np.zeros((n, self.dim), dtype=bool)
        held = d.facet_nodes(d.lab["facets/held"])
        head = d.facet_nodes(d.lab["facets/head_top"])
        self.prescribed[held] = True
        self.prescribed[head] = guided
        if self.dim == 2:
            axis = np.flatnonzero(d.node_x[:, 0] < 1e-9)
            self.prescribed[axis, 0] = True
        owned = d.index_map.size_local
        self.head = head
        self.head_owned = head[head < owned]
        self.held_owned = held[held < owned]
        total = self.comm.allreduce(np.array([self.head_owned.size, self.held_owned.size]))
        if not total.all():
            raise ValueError("the mesh has no head_top or no held facets")
        self.screw_nodes = d.region_nodes(SCREW)
        self.free_cells = np.ascontiguousarray(
            1 - self.prescribed[d.cells].reshape(len(d.cells), -1).astype(np.int8))

    def _make_interface(self, laws, cortex):
        points = self.domain.interface_points()
        number = self._region_modulus()
        softer = np.minimum(number[points.minus_region], number[points.plus_region]) if len(points.minus) else np.empty(0)
        rim = cortex["modulus"] * cortex.get("entry", 1.0) * points.rim / points.weight if cortex else np.zeros_like(softer)
        return Interface(points, laws, softer, rim, self.domain.index_map, self.dim, self.prescribed)

    def _region_modulus(self):
        """Young's modulus by region number, the same on all ranks."""
        out = np.zeros(64)
        modulus = self.laws.modulus()
        for r in np.unique(self.domain.region):
            out[r] = modulus[self.law[np.flatnonzero(self.domain.region == r)[0]]]
        self.comm.Allreduce(MPI.IN_PLACE, out, op=MPI.MAX)
        return out

    def _make_cortex(self, cortex):
        lab = self.domain.lab
        if not cortex or self.dim == 2 or "facets/cortex" not in lab or len(lab["facets/cortex"]) == 0:
            return None
        entry = np.all(np.abs(lab["points"][lab["facets/cortex"]][..., 2]) < FLAT, axis=1)
        thickness = np.where(entry, cortex.get("entry", 1.0), 1.0) * lab["cortex_thickness"]
        return Cortex(self.domain, lab["facets/cortex"], thickness, cortex["modulus"], cortex["poisson"], cortex["strength"])

    def _block_map(self, nodes):
        """Global node numbers (PETSc int) of local nodes (n, k)."""
        flat = self.domain.index_map.local_to_global(nodes.ravel().astype(np.int32))
        return np.ascontiguousarray(flat.reshape(nodes.shape).astype(PETSc.IntType))

    def _assemble_elastic(self):
        """Elastic matrix (with insertion damage) and the interface's sparsity; prescribed rows replaced by the identity."""
        d, dim = self.domain, self.dim
        n = d.index_map.size_local * dim
        A = PETSc.Mat().create(self.comm)
        A.setSizes([(n, None), (n, None)])
        A.setBlockSize(dim)
        A.setType("sbaij")  # its upper half: half the work
        A.setUp()  # PETSc hashes the first assembly: no preallocation needed
        A.setOption(PETSc.Mat.Option.IGNORE_LOWER_TRIANGULAR, True)
        self.global_cells = self._block_map(d.cells)
        self._add_cells(A, np.arange(len(d.cells)), elastic=True)
        if self.cortex:
            self._cortex_free = 1.0 - self.prescribed[self.cortex.nodes].reshape(-1, 18)
            self._cortex_rows = self._block_map(self.cortex.nodes)
            self._add_cortex(A)
        tangent = self.interface.tangent.copy()
        self.interface.tangent[:] = 0.0
        self.interface.add_stiffness(A)  # zeros: they only reserve the places
        self.interface.tangent[:] = tangent
        if isinstance(self.grip, Actuator):
            self.grip.add_stiffness(A, reserve=True)
        A.assemble(PETSc.Mat.AssemblyType.FLUSH)
        self.diagonal_scale = max(1.0, float(np.median(np.abs(self.laws.C[:, 0, 0]))))
        start = d.index_map.local_range[0] * dim
        fixed = np.flatnonzero(self.prescribed[: d.index_map.size_local].ravel())
        for i in fixed:
            A.setValue(start + i, start + i, self.diagonal_scale, addv=PETSc.InsertMode.ADD_VALUES)
        A.assemble()
        pointwise = A.convert("aij", PETSc.Mat())
        found = pointwise.convert(MATRIX[dim], PETSc.Mat())
        A.destroy()  # on several ranks Python's garbage collector leaves them in memory
        pointwise.destroy()
        return found

    def _add_cells(self, A, cells, elastic=False, kept=0.0, unloading=False):
        q = self.quadrature
        chunk = 4000  # bounds the memory of the element matrices
        for k in range(0, len(cells), chunk):
            part = cells[k : k + chunk]
            if elastic:
                status, integrity, base = np.zeros_like(self.status), self._initial, np.zeros_like(self._initial)
                bulk = np.zeros_like(self.bulk)
            else:
                status, integrity, base, bulk = self.status, self.integrity, self._initial, self.bulk
                status = np.zeros_like(status) if unloading else status
            Ke = stiffness(part, q.gradients, q.hoop, q.weights, self.law, self.laws.C, integrity, base, self.tangent,
                           status, bulk, self.free_cells, kept)
            rows = self.global_cells[part]
            A.setValuesBlockedRCV(rows, rows, Ke, addv=PETSc.InsertMode.ADD_VALUES)

    def _add_cortex(self, A, facets=None, unloading=False):
        blocks = self.cortex.matrices(facets, unloading)
        part = slice(None) if facets is None else facets
        free, rows = self._cortex_free[part], self._cortex_rows[part]
        A.setValuesBlockedRCV(rows, rows, blocks * free[:, :, None] * free[:, None, :], addv=PETSc.InsertMode.ADD_VALUES)

    def renew(self):
        """Build the elastic matrix for the damage that the bone has now: what a step changes is added to it."""
        self._initial = self.integrity.copy()
        if self._elastic is not None:
            self._elastic.destroy()
        self._elastic = self._assemble_elastic()

    # ---- forces -------------------------------------------------------------------------------------------------

    def residual(self):
        """Update stresses and tractions at `u`; returns the residual Vec, zero at prescribed components.

        Sets reaction (3 or 2 components, N, on the head), support, and contact_force, whose norm the convergence test uses."""
        self.u.scatter_forward()
        u = self.u.array.reshape(-1, self.dim)
        self._r.array[:] = 0.0
        f = self._r.array.reshape(-1, self.dim)
        eps_p, kappa = self._trial
        q = self.quadrature
        failed = update(u, self.domain.cells, q.gradients, q.hoop, q.weights, self.law, self.laws.plastic,
                        *self.laws.tables(), self.eps_p, self.kappa, self.integrity, eps_p, kappa, self.tear_step,
                        self.stress, self.tangent, self.status, self.bulk, f)
        if self.cortex:
            self.cortex.add_force(u, f)
        self._r.scatter_reverse(InsertMode.add)
        self.contact_force.set(0.0)
        self.interface.update(self.uv)
        self.interface.add_force(self.contact_force)
        self.residual_vector.axpy(1.0, self.contact_force)
        if isinstance(self.grip, Actuator):
            self.grip.add_force(self.residual_vector)
        owned = self.domain.index_map.size_local
        local = self.residual_vector.array.reshape(-1, self.dim)
        head, held = local[self.head_owned].sum(axis=0), local[self.held_owned].sum(axis=0)
        sums = self.comm.allreduce(np.concatenate([head, held, [failed]]))
        self.reaction, self.support = sums[: self.dim], sums[self.dim : 2 * self.dim]
        self.return_map_failures = int(sums[-1])
        local[self.prescribed[:owned]] = 0.0
        return self.residual_vector

    def assemble_tangent(self, kept=0.0):
        """Tangent at the last residual: the elastic matrix plus what plasticity, damage and contact change.

        kept: share of their elastic stiffness that plastic points keep, 0 for the consistent tangent; with any, sliding points have
        the stiffness of their secant."""
        self._elastic.copy(self.A, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        changed = np.flatnonzero(np.any((self.status == 1) | (self._initial - self.integrity > SOUND) |
                                        (self.bulk[..., 1] > 0.0), axis=1))
        self._add_cells(self.A, changed, kept=kept)
        if self.cortex:
            self._add_cortex(self.A, self.cortex.changed())
        self.interface.add_stiffness(self.A, self.interface.secant() if kept else None)
        if isinstance(self.grip, Actuator):
            self.grip.add_stiffness(self.A)
        self.A.assemble()
        return self.A

    def swing(self, solver, load):
        """Change (n, nq, 6) of the effective stress, MPa, while the load on the head falls by `load` N from the last equilibrium;
        those of the jumps and of the shell go into `interface.swung` and `cortex.swung`.

        Linear: bone and cortex unload elastically with the damage that they have, what is in contact stays and sticks, what is
        open stays open. Only in three dimensions, under force control. Raises RuntimeError without a solution."""
        self._elastic.copy(self.A, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        changed = np.flatnonzero(np.any((self._initial - self.integrity > SOUND) | (self.bulk[..., 1] > 0.0), axis=1))
        self._add_cells(self.A, changed, unloading=True)
        if self.cortex:
            self._add_cortex(self.A, self.cortex.damaged(), unloading=True)
        self.interface.add_stiffness(self.A, self.interface.sticking())
        self.A.assemble()
        b, x = self.grip.c.copy(), self.uv.duplicate()
        b.scale(load)
        if solver.aside(b, x) < 0:
            raise RuntimeError("no linear solution was found for the unloading of a cycle")
        self.interface.swung[:] = self.interface.jumps(x)
        moved = self.domain.vector()
        moved.array[: len(x.array)] = x.array
        moved.scatter_forward()
        b.destroy()
        x.destroy()
        moved = moved.array.reshape(-1, self.dim)
        if self.cortex:
            self.cortex.unload(moved)
        return self._elastic_stress(moved)

    def _elastic_stress(self, u):
        """Effective stress (n, nq, 6) of displacements u (nodes, dim) in a body without history."""
        q, nothing = self.quadrature, np.zeros_like(self.stress)
        stress, kappa = np.zeros_like(self.stress), np.zeros_like(self.kappa)
        update(u, self.domain.cells, q.gradients, q.hoop, q.weights, self.law, np.zeros_like(self.laws.plastic),
               *self.laws.tables(), nothing, kappa, np.ones_like(kappa), nothing.copy(), kappa.copy(), kappa.copy(),
               stress, np.zeros_like(self.tangent), np.zeros_like(self.status), np.zeros_like(self.bulk), np.zeros_like(u))
        return stress

    # ---- state --------------------------------------------------------------------------------------------------

    def stored_energy(self):
        """(elastic energy of bulk, interfaces and cortex in N mm, all ranks; Y (n, nq) MPa on this rank)."""
        bulk, Y = energies(self.quadrature.weights, self.law, self.laws.compliance, self.laws.strength, self.stress,
                           self.integrity, self.bulk)
        shell = self.cortex.stored_energy() if self.cortex else 0.0
        return self.comm.allreduce(bulk + self.interface.stored_energy() + shell), Y

    def commit(self):
        """Accept the state of the last residual; returns the energy released by breaking bonds (N mm)."""
        eps_p, kappa = self._trial
        self.eps_p[:] = eps_p
        self.kappa[:] = kappa
        if self.cortex:
            self.cortex.commit()
        return self.comm.allreduce(self.interface.commit())

    def state(self):
        """{name: array} of all that the future depends on, copied; cells, interface points and cortex facets of this rank."""
        i = self.interface
        out = {"u": self.u.array[: self.domain.nodes_local * self.dim], "eps_p": self.eps_p, "kappa": self.kappa,
               "stress": self.stress, "bulk": self.bulk, "tear": self.damage.tear, "earlier": self.damage.earlier,
               "tearing": self.damage.tearing, "fatigue": self.damage.fatigue, "integrity": self.integrity,
               "slip": i.slip, "jump": i.jump,
               "pressure": i.pressure, "bond": i.bond, "closed": i.closed, "new_slip": i.new_slip, "swung": i.swung,
               "initial": self.damage.initial}
        if self.cortex:
            out |= {f"cortex_{k}": v for k, v in self.cortex.state().items()}
        return {k: v.copy() for k, v in out.items()}

    def restore(self, state):
        """Bring back a state of `state()`."""
        i = self.interface
        self.u.array[: self.domain.nodes_local * self.dim] = state["u"]
        for target, name in ((self.eps_p, "eps_p"), (self.kappa, "kappa"), (self.stress, "stress"), (self.bulk, "bulk"),
                             (self.damage.tear, "tear"), (self.damage.earlier, "earlier"), (i.slip, "slip"),
                             (i.jump, "jump"), (i.pressure, "pressure"),
                             (i.bond, "bond"), (i.closed, "closed"), (i.new_slip, "new_slip"), (i.swung, "swung")):
            target[:] = state[name]
        self.damage.tearing, self.damage.fatigue = state["tearing"].copy(), state["fatigue"].copy()
        self.damage.initial = state["initial"].copy()
        self.integrity = state["integrity"].copy()
        if self.cortex:
            self.cortex.restore({k.removeprefix("cortex_"): v for k, v in state.items() if k.startswith("cortex_")})

    def trial(self):
        """What a residual changes and results read, copied: a rejected increment is to leave no trace."""
        i, c = self.interface, self.cortex
        arrays = [self.stress, self.bulk, i.jump, i.new_slip, *self._trial]
        arrays += [c.stress, c.growth] if c else []
        return [(array, array.copy()) for array in arrays], c and c.wear

    def put_back(self, trial):
        arrays, wear = trial
        for array, before in arrays:
            array[:] = before
        if self.cortex:
            self.cortex.wear = wear

    @property
    def trial_plastic_strain(self):
        """Plastic strain (n, nq, 6) of the last residual, not yet committed."""
        return self._trial[0]
