"""Quadratic elements on straight-sided cells: strains, internal forces and stiffness, in numba.

Tetrahedra with 10 nodes (3D) and triangles with 6 nodes (axisymmetric, columns r and z; everything is integrated over
the full turn, so forces are newtons in both). Node order is basix's: vertices, then edges.
Strains in Voigt order (xx, yy, zz, yz, xz, xy); axisymmetric (rr, hoop, zz, -, rz, -).
"""

import numpy as np
from numba import njit

from fem.plasticity import return_map, shear_tension_weight

EDGES = {3: np.array([(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)]), 2: np.array([(1, 2), (0, 2), (0, 1)])}

_A, _B = 0.58541019662496845446, 0.13819660112501051518  # degree-2 rule on the tetrahedron
RULES = {
    3: (np.array([[_A, _B, _B, _B], [_B, _A, _B, _B], [_B, _B, _A, _B], [_B, _B, _B, _A]]), np.full(4, 0.25)),
    2: (np.array([[2 / 3, 1 / 6, 1 / 6], [1 / 6, 2 / 3, 1 / 6], [1 / 6, 1 / 6, 2 / 3]]), np.full(3, 1 / 3)),
}


def barycentric_gradients(x):
    """Gradients of the barycentric coordinates of affine cells.

    Args: x (n, dim+1, dim) vertex coordinates. Returns: (n, dim+1, dim) gradients in 1/mm and (n,) signed volume (area).
    """
    dim = x.shape[2]
    edges = x[:, 1:] - x[:, :1]
    inverse = np.linalg.inv(edges)
    grad = np.empty_like(x)
    grad[:, 1:] = np.swapaxes(inverse, 1, 2)
    grad[:, 0] = -grad[:, 1:].sum(axis=1)
    return grad, np.linalg.det(edges) / (6.0 if dim == 3 else 2.0)


def quadratic_gradients(lam, grad):
    """Gradients (n, nq, nen, dim), in 1/mm, of the quadratic shape functions of affine cells.

    Args: lam (nq, dim+1) barycentric coordinates of the points; grad (n, dim+1, dim) those of `barycentric_gradients`.
    """
    i, j = EDGES[grad.shape[2]].T
    vertex = (4.0 * lam - 1.0)[None, :, :, None] * grad[:, None, :, :]
    edge = 4.0 * (lam[None, :, i, None] * grad[:, None, j, :] + lam[None, :, j, None] * grad[:, None, i, :])
    return np.concatenate([vertex, edge], axis=2)


class Quadrature:
    """Shape gradients, weights and positions of all integration points of a set of cells.

    Attributes: gradients (n, nq, nen, dim); hoop (n, nq, nen) = N/r (axisymmetric, else empty); weights (n, nq) in mm^3;
    points (n, nq, dim); barycentric (nq, dim+1), the linear shape functions at the points.
    """

    def __init__(self, x):
        dim = x.shape[2]
        lam, w = RULES[dim]
        grad, volume = barycentric_gradients(x)
        if np.any(volume == 0.0):
            raise ValueError("the mesh has cells of zero volume")
        self.gradients = np.ascontiguousarray(quadratic_gradients(lam, grad))
        self.barycentric = lam
        self.points = np.einsum("qv,cvd->cqd", lam, x)
        self.weights = np.abs(volume)[:, None] * w[None, :]
        if dim == 2:
            r = self.points[:, :, 0]
            i, j = EDGES[2].T
            shape = np.concatenate([lam * (2.0 * lam - 1.0), 4.0 * lam[:, i] * lam[:, j]], axis=1)
            self.hoop = np.ascontiguousarray(shape[None] / r[:, :, None])
            self.weights = self.weights * 2.0 * np.pi * r
        else:
            self.hoop = np.empty((0, 0, 0))
        self.linear_gradients = grad


@njit(cache=True)
def _strain(G, hoop, u, eps):
    """Strain (6,) from one point's gradients G (nen, dim), hoop (nen,) and nodal displacements u (nen, dim)."""
    nen, dim = G.shape
    for i in range(6):
        eps[i] = 0.0
    if dim == 3:
        for a in range(nen):
            gx, gy, gz = G[a, 0], G[a, 1], G[a, 2]
            ux, uy, uz = u[a, 0], u[a, 1], u[a, 2]
            eps[0] += gx * ux
            eps[1] += gy * uy
            eps[2] += gz * uz
            eps[3] += gz * uy + gy * uz
            eps[4] += gz * ux + gx * uz
            eps[5] += gy * ux + gx * uy
    else:
        for a in range(nen):
            eps[0] += G[a, 0] * u[a, 0]
            eps[1] += hoop[a] * u[a, 0]
            eps[2] += G[a, 1] * u[a, 1]
            eps[4] += G[a, 1] * u[a, 0] + G[a, 0] * u[a, 1]


@njit(cache=True)
def _add_force(G, hoop, sig, w, fe):
    """fe (nen, dim) += w B^T sig."""
    nen, dim = G.shape
    if dim == 3:
        for a in range(nen):
            gx, gy, gz = G[a, 0] * w, G[a, 1] * w, G[a, 2] * w
            fe[a, 0] += gx * sig[0] + gz * sig[4] + gy * sig[5]
            fe[a, 1] += gy * sig[1] + gz * sig[3] + gx * sig[5]
            fe[a, 2] += gz * sig[2] + gy * sig[3] + gx * sig[4]
    else:
        for a in range(nen):
            gr, gz = G[a, 0] * w, G[a, 1] * w
            fe[a, 0] += gr * sig[0] + hoop[a] * w * sig[1] + gz * sig[4]
            fe[a, 1] += gz * sig[2] + gr * sig[4]


@njit(cache=True)
def _fill_b(G, hoop, B):
    """Strain-displacement matrix B (6, nen*dim)."""
    nen, dim = G.shape
    B[:, :] = 0.0
    if dim == 3:
        for a in range(nen):
            c = 3 * a
            B[0, c] = G[a, 0]
            B[1, c + 1] = G[a, 1]
            B[2, c + 2] = G[a, 2]
            B[3, c + 1] = G[a, 2]
            B[3, c + 2] = G[a, 1]
            B[4, c] = G[a, 2]
            B[4, c + 2] = G[a, 0]
            B[5, c] = G[a, 1]
            B[5, c + 1] = G[a, 0]
    else:
        for a in range(nen):
            c = 2 * a
            B[0, c] = G[a, 0]
            B[1, c] = hoop[a]
            B[2, c + 1] = G[a, 1]
            B[4, c] = G[a, 1]
            B[4, c + 1] = G[a, 0]


@njit(cache=True)
def _add_stiffness(B, C, w, CB, Ke):
    """Ke += w B^T C B; most entries of B are zero, and those of B^T are skipped."""
    nd = Ke.shape[0]
    for i in range(6):
        for b in range(nd):
            v = 0.0
            for j in range(6):
                v += C[i, j] * B[j, b]
            CB[i, b] = v * w
    for a in range(nd):
        for i in range(6):
            bia = B[i, a]
            if bia != 0.0:
                for b in range(nd):
                    Ke[a, b] += bia * CB[i, b]


@njit(cache=True)
def densification(volume, crushed):
    """(stress, its slope, its energy density) that compacted bone adds to its crushing plateau, at the volumetric strain.

    p = g1 e + g2 e^5 with e = tr(eps) - e_c < 0 (Schenk 2022; Hosseini 2014): pores that have closed bear on each other.
    """
    e = volume - crushed[0]
    if e >= 0.0 or crushed[1] == 0.0:
        return 0.0, 0.0, 0.0
    e4 = e * e * e * e
    return (crushed[1] + crushed[2] * e4) * e, crushed[1] + 5.0 * crushed[2] * e4, e * e * (0.5 * crushed[1] + crushed[2] * e4 / 6.0)


@njit(cache=True)
def update(u, dofs, G, hoop, weights, law, plastic_law, C, compliance, strength, F, f, onset, k0, crushed,
           eps_p_n, kappa_n, integrity, eps_p, kappa, tearing, stress, tangent, status, bulk, force):
    """Stress update of all cells and their internal force.

    Args:
        u: (nnodes_local, dim) displacements in mm; dofs: (n, nen) node numbers; G, hoop, weights: see `Quadrature`.
        law: (n,) law index of each cell; plastic_law (nlaw,) bool; C.. k0: law tables (nlaw, ...);
        crushed (nlaw, 3): volumetric strain and two moduli of `densification`.
        eps_p_n (n, nq, 6), kappa_n (n, nq): state of the last converged step; integrity (n, nq) = 1 - D, fixed in a step.
        eps_p, kappa: trial state, filled. tearing (n, nq): norm of the increment of plastic strain as a tensor, weighted by
        `shear_tension_weight`, filled.
        stress (n, nq, 6): effective stress in MPa, filled. tangent (n, nq, 6, 6): filled where status is 1.
        status (n, nq) int8: 0 elastic, 1 plastic, -1 return map failed.
        bulk (n, nq, 3): pressure, its slope and its energy density where the bone is compacted, filled.
        force (nnodes_local, dim): internal force in N, added to.
    Returns: number of points whose return map failed.
    """
    n, nq, nen, dim = G.shape
    ue = np.empty((nen, dim))
    fe = np.empty((nen, dim))
    eps = np.empty(6)
    s = np.empty(6)
    sig = np.empty(6)
    none = np.empty(0)
    failed = 0
    for c in range(n):
        m = law[c]
        for a in range(nen):
            for d in range(dim):
                ue[a, d] = u[dofs[c, a], d]
                fe[a, d] = 0.0
        for q in range(nq):
            h = hoop[c, q] if dim == 2 else none
            _strain(G[c, q], h, ue, eps)
            for i in range(6):
                v = 0.0
                for j in range(6):
                    v += C[m, i, j] * (eps[j] - eps_p_n[c, q, j])
                s[i] = v
            flag = 0
            if plastic_law[m]:
                for i in range(6):
                    s[i] /= strength[m]
                dl, flag = return_map(s, kappa_n[c, q], C[m], compliance[m], strength[m], F[m], f[m], onset[m], k0[m],
                                      tangent[c, q])
                if flag < 0:
                    failed += 1
                weight = shear_tension_weight(s) if dl > 0.0 else 0.0
                kappa[c, q] = kappa_n[c, q] + dl
                for i in range(6):
                    s[i] *= strength[m]
            tearing[c, q] = 0.0
            if flag == 1:
                norm = 0.0
                for i in range(6):
                    v = eps[i]
                    for j in range(6):
                        v -= compliance[m, i, j] * s[j] / strength[m]
                    eps_p[c, q, i] = v
                    norm += (1.0 if i < 3 else 0.5) * (v - eps_p_n[c, q, i]) ** 2
                tearing[c, q] = weight * np.sqrt(norm)
            else:
                for i in range(6):
                    eps_p[c, q, i] = eps_p_n[c, q, i]
            status[c, q] = flag
            bulk[c, q, 0], bulk[c, q, 1], bulk[c, q, 2] = densification(eps[0] + eps[1] + eps[2], crushed[m])
            for i in range(6):
                stress[c, q, i] = s[i]
                sig[i] = s[i] * integrity[c, q]
                if i < 3:
                    sig[i] += bulk[c, q, 0]
            _add_force(G[c, q], h, sig, weights[c, q], fe)
        for a in range(nen):
            for d in range(dim):
                force[dofs[c, a], d] += fe[a, d]
    return failed


@njit(cache=True)
def stiffness(cells, G, hoop, weights, law, C, integrity, base, tangent, status, bulk, free, kept):
    """Element matrices of the listed cells, rows and columns of prescribed components (free == 0) left zero.

    base (n, nq): integrity whose elastic matrix is subtracted, what a step adds to a matrix assembled with it; zeros for
    the whole matrix. kept: share of the elastic stiffness at plastic points, 0 for the consistent tangent.
    Returns: (len(cells), nen*dim, nen*dim) in N/mm.
    """
    _, nq, nen, dim = G.shape
    nd = nen * dim
    out = np.zeros((cells.size, nd, nd))
    B = np.empty((6, nd))
    CB = np.empty((6, nd))
    D = np.empty((6, 6))
    none = np.empty(0)
    for k in range(cells.size):
        c = cells[k]
        m = law[c]
        for q in range(nq):
            w = integrity[c, q]
            for i in range(6):
                for j in range(6):
                    v = C[m, i, j]
                    if status[c, q] == 1:
                        v = (1.0 - kept) * tangent[c, q, i, j] + kept * v
                    D[i, j] = w * v - base[c, q] * C[m, i, j]
                    if i < 3 and j < 3:
                        D[i, j] += bulk[c, q, 1]
            _fill_b(G[c, q], hoop[c, q] if dim == 2 else none, B)
            _add_stiffness(B, D, weights[c, q], CB, out[k])
        for a in range(nd):
            if free[c, a] == 0:
                for b in range(nd):
                    out[k, a, b] = 0.0
                    out[k, b, a] = 0.0
    return out


@njit(cache=True)
def energies(weights, law, compliance, strength, stress, integrity, bulk):
    """Stored elastic energy (1-D) sigma_eff : eps_e / 2 (and that of compaction) and its conjugate to damage Y = sigma_eff : eps_e / 2, per point.

    Returns: stored energy in N mm (scalar) and Y (n, nq) in MPa."""
    n, nq = weights.shape
    Y = np.empty((n, nq))
    total = 0.0
    for c in range(n):
        m = law[c]
        for q in range(nq):
            v = 0.0
            for i in range(6):
                for j in range(6):
                    v += stress[c, q, i] * compliance[m, i, j] * stress[c, q, j]
            v *= 0.5 / strength[m]
            Y[c, q] = v
            total += weights[c, q] * (integrity[c, q] * v + bulk[c, q, 2])
    return total, Y
