"""Zero-thickness interfaces on split nodes: unilateral contact, Coulomb friction, adhesion, mixed-mode cohesion.

At each point the jump g = u_plus - u_minus is split along the normal n (minus to plus). A cohesive bond of integrity
1 - d carries (1-d) K g in tension and shear; the broken share d, and a purely frictional interface (d = 1) throughout,
carries

    normal:      t_n = k_n g_n           where g_n < 0 (closed), nearly nothing where open,
    tangential:  t_t = k_t (g_t - slip),  |t_t| <= mu p_n + c (elastic-slip return map).

Two quantities are taken from the last converged step, so that each step is symmetric and nearly convex: the pressure p_n
in the Coulomb bound and the bond damage d. The penalties follow the softer neighbour, k_n = PENALTY E / h, k_t = k_n / 2:
wrong scaling is what stops convergence.

Bond damage: bilinear mixed mode with Benzeggagh-Kenane energy (Camanho and Davila 2002); strengths, energies and
stiffnesses come with the problem. Under cyclic load bonds tire as well (`Interface.tire`).
"""

import numpy as np
from mpi4py import MPI
from numba import njit
from petsc4py import PETSc

PENALTY = 4.0
RESIDUAL = 1e-5  # stiffness left at open or sliding points, relative to the penalty: keeps the tangent regular


def split(jump, normal):
    """Parts of jumps (n, dim) along and across the normal (n, dim): (n,), > 0 where open, and (n, dim)."""
    gn = np.einsum("ij,ij->i", jump, normal)
    return gn, jump - gn[:, None] * normal


@njit(cache=True)
def traction(jump, normal, kn, kt, slip, bound, bond, Kn, Kt, secant, out, tangent, new_slip, opened):
    """Tractions (n, dim) in MPa on the plus side's motion, their tangent (n, dim, dim) and the trial slip.

    Args: jump (n, dim) mm; slip (n, dim) mm; bound (n,) MPa the Coulomb bound; bond (n,) = 1-d; Kn, Kt (n,) bond
    stiffness in MPa/mm; secant: whether the tangent of sliding points is their secant along the slip as well. Filled: out,
    tangent, new_slip, opened (n,) bool.
    """
    n, dim = jump.shape
    for p in range(n):
        gn = 0.0
        for i in range(dim):
            gn += jump[p, i] * normal[p, i]
        opened[p] = gn > 0.0
        b = bond[p]
        # compression is carried by contact whether or not the bond holds
        k = kn[p] if gn <= 0.0 else b * Kn[p] + (1.0 - b) * RESIDUAL * kn[p] + RESIDUAL * Kn[p] * b
        tn = k * gn
        norm = 0.0
        tt = np.zeros(dim)
        gt = np.zeros(dim)
        for i in range(dim):
            gt[i] = jump[p, i] - gn * normal[p, i]
            tt[i] = kt[p] * (gt[i] - slip[p, i])
            norm += tt[i] * tt[i]
        norm = np.sqrt(norm)
        # the bound is that of the last step whether the point is open now or not: a force that vanished on opening
        # would have no potential, and contact would chatter
        stick = norm < bound[p]
        scale = 1.0 if stick else (bound[p] / norm if norm > 0.0 else 0.0)
        share = 1.0 - b
        ktan = kt[p] * scale * share + b * Kt[p] + RESIDUAL * kt[p]
        for i in range(dim):
            t = tt[i] * scale
            new_slip[p, i] = slip[p, i] if stick else gt[i] - t / kt[p]
            out[p, i] = tn * normal[p, i] + share * t + (b * Kt[p] + RESIDUAL * kt[p]) * gt[i]
        for i in range(dim):
            for j in range(dim):
                nn = normal[p, i] * normal[p, j]
                proj = (1.0 if i == j else 0.0) - nn
                v = k * nn + ktan * proj
                if not (stick or secant) and norm > 0.0:
                    v -= share * kt[p] * scale * tt[i] * tt[j] / (norm * norm)
                tangent[p, i, j] = v


class Interface:
    """All interface points of a rank, their state, and their part of residual and tangent.

    State of the last converged step: slip (n, dim) mm, pressure (n,) MPa, bond (n,) = 1-d, closed (n,) bool; swung (n, dim) mm,
    by how much the jump changes over a cycle (`fem.model.Model.swing`).
    """

    def __init__(self, points, laws, softer_modulus, rim_modulus, index_map, dim, prescribed):
        """Args: points: `fem.domain.InterfacePoints`; laws: {name: interface law of problem.json}; softer_modulus (n,)
        MPa of the softer neighbour; rim_modulus (n,) MPa of the cortex that bears on a point with its rim, spread over the point's
        area; prescribed: (owned+ghost nodes, dim) bool mask, used to leave out prescribed rows."""
        self.points = points
        self.dim = dim
        n = len(points.minus)
        kind = [laws[name] for name in points.names]
        self.friction = np.array([k["friction"] for k in kind])[points.kind] if n else np.empty(0)
        self.adhesion = np.array([k["adhesion"] for k in kind])[points.kind] if n else np.empty(0)
        bonds = [k["cohesive"] or {} for k in kind]

        def bond(key, default):
            return np.array([b.get(key, default) for b in bonds])[points.kind] if n else np.empty(0)

        self.cohesive = bond("normal_strength", 0.0) > 0.0
        self.kn = PENALTY * (softer_modulus + rim_modulus) / points.size
        self.kt = 0.5 * PENALTY * softer_modulus / points.size
        self.Kn, self.Kt = bond("normal_stiffness", 0.0), bond("shear_stiffness", 0.0)
        self.strength = bond("normal_strength", 0.0), bond("shear_strength", 0.0)
        self.energy = bond("energy_I", 0.0), bond("energy_II", 0.0)
        self.eta, self.exponent = bond("eta", 1.0), bond("fatigue_exponent", 1.0)
        self.slip = np.zeros((n, dim))
        self.pressure = np.zeros(n)
        self.bond = np.where(self.cohesive, 1.0, 0.0)
        self.closed = np.ones(n, dtype=bool)
        self._normal = np.ascontiguousarray(points.normal)
        self.t = np.zeros((n, dim))
        self.tangent = np.zeros((n, dim, dim))
        self.new_slip = np.zeros((n, dim))
        self.opened = np.zeros(n, dtype=bool)
        self.jump = np.zeros((n, dim))
        self.swung = np.zeros((n, dim))

        nodes = np.concatenate([points.minus, points.plus])
        self._rows = PETSc.IS().createBlock(dim, nodes.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        self._values = PETSc.Vec().createSeq(2 * n * dim)
        self._scatter = None
        self._free = self._gather_mask(prescribed, index_map)

    def _gather_mask(self, prescribed, index_map):
        """(2n, dim) 1.0 where an interface node's component is free, fetched from the nodes' owners."""
        owned = index_map.size_local * self.dim
        vec = PETSc.Vec().createMPI((owned, None), bsize=self.dim, comm=index_map.comm)
        vec.array[:] = 1.0 - prescribed.ravel()[:owned]
        return self.gather(vec).copy()

    def gather(self, vec):
        """Values (2n, dim) of a global vector at the minus nodes, then the plus nodes."""
        if self._scatter is None:
            self._scatter = PETSc.Scatter().create(vec, self._rows, self._values, None)
        self._scatter.scatter(vec, self._values, addv=PETSc.InsertMode.INSERT, mode=PETSc.ScatterMode.FORWARD)
        return self._values.array.reshape(-1, self.dim)

    def jumps(self, u):
        """Jump (n, dim), mm, of the displacements `u` (PETSc Vec)."""
        values, n = self.gather(u), len(self.slip)
        return values[n:] - values[:n]

    def update(self, u):
        """Tractions at displacement `u` (PETSc Vec); returns nothing, sets jump, t, tangent, new_slip, opened."""
        self.jump[:] = self.jumps(u)
        self._traction(self._bound(), False, self.t, self.tangent, self.new_slip, self.opened)

    def _bound(self):
        """(n,) MPa: the largest frictional traction, from the last converged step."""
        return np.where(self.closed, self.friction * self.pressure + self.adhesion, 0.0)

    def _traction(self, bound, secant, *filled):
        traction(self.jump, self._normal, self.kn, self.kt, self.slip, bound, self.bond, self.Kn, self.Kt, secant, *filled)

    def _tangent(self, bound, secant):
        """Tangent (n, dim, dim) at the present jump for another bound (n,), or with the secant of sliding points."""
        tangent = np.zeros_like(self.tangent)
        self._traction(bound, secant, np.zeros_like(self.t), tangent, np.zeros_like(self.slip), np.zeros_like(self.opened))
        return tangent

    def add_force(self, residual):
        """Add the interface's internal force (N) to a global PETSc Vec (prescribed rows included: they are reactions)."""
        f = self.t * self.points.weight[:, None]
        array = self._values.array.reshape(-1, self.dim)
        array[: len(f)] = -f
        array[len(f) :] = f
        self._scatter.scatter(self._values, residual, addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)

    def sticking(self):
        """Tangent (n, dim, dim) of points that stay as they are: closed ones stick, open ones stay open."""
        return self._tangent(np.where(self.closed, np.inf, 0.0), False)

    def secant(self):
        """Tangent (n, dim, dim) with the secant |t_t| / |g_t - slip| of sliding points along their slip, where the tangent has nothing.

        Friction's potential lies below the parabola of its secant, so that a step with it never goes too far (Kacanov's method)."""
        return self._tangent(self._bound(), True)

    def add_stiffness(self, A, tangent=None):
        """Add the interface's tangent (the present one by default) to a PETSc Mat by global indices; rows and columns of
        prescribed components stay 0."""
        n, dim = self.slip.shape
        k = (self.tangent if tangent is None else tangent) * self.points.weight[:, None, None]
        mm, pp = self._free[:n], self._free[n:]
        block = np.empty((n, 2 * dim, 2 * dim))
        block[:, :dim, :dim] = k * mm[:, :, None] * mm[:, None, :]
        block[:, dim:, dim:] = k * pp[:, :, None] * pp[:, None, :]
        block[:, :dim, dim:] = -k * mm[:, :, None] * pp[:, None, :]
        block[:, dim:, :dim] = -k * pp[:, :, None] * mm[:, None, :]
        rows = np.stack([self.points.minus, self.points.plus], axis=1).astype(PETSc.IntType)
        A.setValuesBlockedRCV(rows, rows, block, addv=PETSc.InsertMode.ADD_VALUES)

    def stored_energy(self):
        """Elastic energy of penalties and bonds in N mm (this rank)."""
        gn, gt = split(self.jump, self._normal)
        elastic = gt - self.new_slip
        w = self.points.weight
        k = np.where(gn <= 0.0, self.kn, self.bond * self.Kn * (1 + RESIDUAL) + (1 - self.bond) * RESIDUAL * self.kn)
        normal = k * gn**2
        shear = (self.bond * self.Kt + RESIDUAL * self.kt) * np.einsum("ij,ij->i", gt, gt)
        shear += (1.0 - self.bond) * self.kt * np.einsum("ij,ij->i", elastic, elastic)
        return 0.5 * float(np.sum(w * (normal + shear)))

    def friction_work(self, t_old):
        """Friction dissipated by this step's slip (N mm, this rank); t_old (n, dim): frictional traction at its start."""
        mean = 0.5 * (t_old + self.friction_traction())
        return float(np.sum(self.points.weight[:, None] * mean * (self.new_slip - self.slip)))

    def friction_traction(self):
        """Frictional traction (n, dim) in MPa of the current update."""
        _, gt = split(self.jump, self._normal)
        return (1.0 - self.bond)[:, None] * self.kt[:, None] * (gt - self.new_slip)

    def commit(self):
        """Accept the current update as converged; returns the energy released by bond damage (N mm, this rank)."""
        gn, _ = split(self.jump, self._normal)
        self.slip[:] = self.new_slip
        self.pressure = np.maximum(0.0, -self.kn * gn)
        self.closed = gn <= 0.0
        return self._damage() if np.any(self.cohesive) else 0.0

    def _mixed(self):
        """Of the cohesive points (c): opening, shear, their norm; separations at which the virgin bond starts and ends to break."""
        c = self.cohesive
        gn, gt = split(self.jump, self._normal)
        open_ = np.maximum(gn, 0.0)[c]
        shear = np.sqrt(np.einsum("ij,ij->i", gt, gt))[c]
        mixed = np.sqrt(open_**2 + shear**2)
        beta = np.where(mixed > 0.0, shear / np.maximum(mixed, 1e-300), 1.0)
        Kn, Kt = self.Kn[c], self.Kt[c]
        K = Kn * (1 - beta**2) + Kt * beta**2
        N, S = self.strength[0][c], self.strength[1][c]
        GI, GII = self.energy[0][c], self.energy[1][c]
        share = (Kt * beta**2) / K
        onset = 1.0 / np.sqrt((1 - beta**2) * (Kn / N) ** 2 + beta**2 * (Kt / S) ** 2)
        energy = GI + (GII - GI) * share ** self.eta[c]
        return open_, shear, mixed, onset, np.maximum(2.0 * energy / (K * onset), 1.001 * onset)

    def _damage(self):
        """Bilinear mixed-mode bond damage (Benzeggagh-Kenane), never healing; returns released energy (N mm)."""
        open_, shear, mixed, onset, final = self._mixed()
        d = np.clip(final * (mixed - onset) / (np.maximum(mixed, 1e-300) * (final - onset)), 0.0, 1.0)
        return self._break(np.minimum(self.bond[self.cohesive], 1.0 - d), open_, shear)

    def _tiring(self, mixed, onset, final):
        """(c,) loss of bond per cycle, as a rate of its logarithm: x^b, x the geometric mean of peak and range of the separation (as in
        `fem.fatigue`) over that at which it breaks further. Of a bond that is pressed together only the shear is a separation."""
        c, normal = self.cohesive, self._normal[self.cohesive]
        (gn, _), (back, across) = split(self.jump[c], normal), split(self.swung[c], normal)
        opened = np.maximum(gn, 0.0) - np.maximum(gn - back, 0.0)
        swung = np.hypot(opened, np.linalg.norm(across, axis=1))
        reach = onset * final / (final - (1.0 - self.bond[self.cohesive]) * (final - onset))
        return np.minimum(np.sqrt(mixed * np.minimum(swung, mixed)) / reach, 1.0) ** self.exponent[self.cohesive]

    def tire(self, cycles):
        """Bonds tire over `cycles` at the separations of the last peak; returns released energy (N mm, this rank)."""
        if not np.any(self.cohesive):
            return 0.0
        mixed = self._mixed()
        return self._break(self.bond[self.cohesive] * np.exp(-cycles * self._tiring(*mixed[2:])), *mixed[:2])

    def tired_share(self, cycles):
        """Area of bonds that `cycles` would break, over the area of bonds that hold: two sums (mm^2, this rank)."""
        if not np.any(self.cohesive):
            return 0.0, 0.0
        w = self.points.weight[self.cohesive] * self.bond[self.cohesive]
        return float(np.sum(w * (1.0 - np.exp(-cycles * self._tiring(*self._mixed()[2:]))))), float(w.sum())

    def _break(self, new, open_, shear):
        """Set the bonds of the cohesive points; returns the energy that this releases (N mm, this rank)."""
        c = self.cohesive
        released = 0.5 * (self.Kn[c] * open_**2 + self.Kt[c] * shear**2) * (self.bond[c] - new)
        self.bond[c] = new
        return float(np.sum(self.points.weight[c] * released))


def motion(interface, jump, comm):
    """Micromotion of the screw's interface at jumps (n, dim) mm: area-weighted mean and largest slip, mean opening (um), share open."""
    if len(interface.points.names) == 0:
        return {}
    points = interface.points
    screw = np.array([name.startswith("screw_") for name in points.names], bool)[points.kind]
    w = points.weight * screw
    gn, gt = split(jump, points.normal)
    slip = np.linalg.norm(gt, axis=1)
    sums = comm.allreduce(np.array([w.sum(), (w * slip).sum(), (w * np.maximum(gn, 0.0)).sum(), w[gn > 0].sum()]))
    if sums[0] == 0.0:
        return {}
    largest = comm.allreduce(float((slip * screw).max()) if len(slip) else 0.0, op=MPI.MAX)
    return {"micromotion_um": 1e3 * sums[1] / sums[0], "largest_slip_um": 1e3 * largest,
            "mean_opening_um": 1e3 * sums[2] / sums[0], "open_share": sums[3] / sums[0]}
