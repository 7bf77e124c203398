"""The cortical shell as a membrane on the outer surface: plane-stress stiffness t E/(1-nu^2) [...] on quadratic facets.

Cortex is about 0.35 mm thin (Silva 1994), a hundredth of the specimen: bending of so thin a shell on a continuum adds
nothing measurable, its membrane stiffness does. The membrane is elastic; its stress is reported against its strength.
"""

import numpy as np

from fem.elements import barycentric_gradients

_LAM = np.array([[2 / 3, 1 / 6, 1 / 6], [1 / 6, 2 / 3, 1 / 6], [1 / 6, 1 / 6, 2 / 3]])
_ENDS = np.array([(1, 2), (0, 2), (0, 1)])  # midpoint k lies opposite vertex k


class Cortex:
    """Membrane facets of this rank.

    Attributes: nodes (m, 6) local node numbers; matrices (m, 18, 18) N/mm; principal(u) gives the largest stress.
    """

    def __init__(self, domain, facets, thickness, modulus, poisson):
        """Args: domain: 3D `Domain`; facets (k, 3) input vertices; thickness (k,) mm; modulus MPa; poisson."""
        cell, local, row = domain.facet_cells(facets)
        vertices = domain.cells[cell[:, None], local] if len(cell) else np.empty((0, 3), dtype=np.int32)
        edge_of = {frozenset(e): 4 + k for k, e in enumerate([(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)])}
        midpoints = np.array([[edge_of[frozenset((int(v[a]), int(v[b])))] for a, b in _ENDS] for v in local], dtype=int)
        mid = domain.cells[cell[:, None], midpoints.reshape(-1, 3)] if len(cell) else vertices
        self.nodes = np.ascontiguousarray(np.concatenate([vertices, mid], axis=1))
        x = domain.node_x[vertices]
        e1 = x[:, 1] - x[:, 0]
        e1 /= np.linalg.norm(e1, axis=1)[:, None]
        normal = np.cross(e1, x[:, 2] - x[:, 0])
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        e2 = np.cross(normal, e1)
        self.basis = np.stack([e1, e2], axis=1)  # (m, 2, 3)
        flat = np.einsum("mij,mvj->mvi", self.basis, x - x[:, :1])
        grad, area = barycentric_gradients(flat)
        i, j = _ENDS.T
        vertex = (4 * _LAM - 1)[None, :, :, None] * grad[:, None]
        edge = 4 * (_LAM[None, :, i, None] * grad[:, None, j] + _LAM[None, :, j, None] * grad[:, None, i])
        G = np.concatenate([vertex, edge], axis=2)  # (m, 3, 6, 2)
        B = np.zeros((len(cell), 3, 3, 18))
        for a in range(6):
            c = slice(3 * a, 3 * a + 3)
            B[:, :, 0, c] = G[:, :, a, 0, None] * e1[:, None]
            B[:, :, 1, c] = G[:, :, a, 1, None] * e2[:, None]
            B[:, :, 2, c] = G[:, :, a, 1, None] * e1[:, None] + G[:, :, a, 0, None] * e2[:, None]
        D = modulus / (1 - poisson**2) * np.array([[1, poisson, 0], [poisson, 1, 0], [0, 0, (1 - poisson) / 2]])
        weight = np.abs(area) * np.asarray(thickness)[row] / 3.0
        self.matrices = np.einsum("m,mqai,ab,mqbj->mij", weight, B, D, B, optimize=True)
        self._stress = np.einsum("ab,mqbj->mqaj", D, B) if len(cell) else np.empty((0, 3, 3, 18))

    def add_force(self, u, force):
        """Add the membrane's internal force at local displacements u (nodes, 3) to force (nodes, 3); returns its energy."""
        ue = u[self.nodes].reshape(-1, 18)
        fe = np.einsum("mij,mj->mi", self.matrices, ue)
        np.add.at(force, self.nodes.ravel(), fe.reshape(-1, 3))
        return 0.5 * float(np.sum(ue * fe))

    def largest_stress(self, u):
        """Largest absolute principal membrane stress in MPa on this rank."""
        if len(self.nodes) == 0:
            return 0.0
        s = np.einsum("mqaj,mj->mqa", self._stress, u[self.nodes].reshape(-1, 18))
        centre, radius = 0.5 * (s[..., 0] + s[..., 1]), np.hypot(0.5 * (s[..., 0] - s[..., 1]), s[..., 2])
        return float(np.max(np.abs(centre) + radius))
