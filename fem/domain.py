"""The distributed mesh: quadratic displacement nodes, named node sets and interface points, on any number of ranks.

A screw and the bone around it are one mesh whose nodes are duplicated along the interface. Partners of an interface
point may live on different ranks, so interface points carry global node numbers.
"""

from dataclasses import dataclass

import numpy as np
from dolfinx import fem, la

from fem._compat import create_mesh
from fem.elements import EDGES


@dataclass
class InterfacePoints:
    """Contact points owned by this rank, all interfaces together.

    minus, plus: (n,) global nodes; normal (n, dim) from minus to plus; weight (n,) mm^2 (over the full turn if
    axisymmetric); size (n,) facet size in mm; rim (n,) mm^2, section of the cortex that ends on this point's edge: 0 but at its rim;
    kind (n,) index into `names`; number (n,) among the `total` points of all ranks.
    """

    names: list
    minus: np.ndarray
    plus: np.ndarray
    normal: np.ndarray
    weight: np.ndarray
    size: np.ndarray
    rim: np.ndarray
    kind: np.ndarray
    minus_region: np.ndarray
    plus_region: np.ndarray
    number: np.ndarray
    total: int


class Domain:
    """A mesh spread over the ranks of a communicator, with quadratic (P2) vector nodes.

    Attributes:
        cells (n, nen) local node numbers of own cells; vertices (n, dim+1) local numbers in the linear space `linear`;
        x (n, dim+1, dim) vertex coordinates; region (n,); original (n,) cell numbers of the input mesh.
    """

    def __init__(self, comm, lab):
        """Args: comm: MPI communicator; lab: mapping with the arrays of a saved LabMesh (see `read_mesh`)."""
        self.comm = comm
        self.lab = lab
        points, cells = lab["points"], lab["cells"]
        self.dim = points.shape[1]
        self.mesh = create_mesh(comm, cells, points)
        self.space = fem.functionspace(self.mesh, ("Lagrange", 2, (self.dim,)))
        self.linear = fem.functionspace(self.mesh, ("Lagrange", 1))
        n = self.mesh.topology.index_map(self.dim).size_local
        self.original = np.asarray(self.mesh.topology.original_cell_index)[:n]
        self.region = lab["region"][self.original].astype(np.int32)
        self.cells = np.ascontiguousarray(self.space.dofmap.list[:n])
        self.vertices = np.ascontiguousarray(self.linear.dofmap.list[:n])
        geometry = self.mesh.geometry
        local = geometry.dofmap[:n]
        self.x = geometry.x[local][:, :, : self.dim]
        # numbers of the input mesh: how node sets, interfaces and results find their way across ranks
        self.input_vertices = np.asarray(geometry.input_global_indices)[local]
        self.index_map = self.space.dofmap.index_map
        self.nodes_local = self.index_map.size_local + self.index_map.num_ghosts
        i, j = EDGES[self.dim].T
        self._edge_keys = self._key(self.input_vertices[:, i], self.input_vertices[:, j])
        self.node_x = np.zeros((self.nodes_local, self.dim))
        self.node_x[self.cells[:, : self.dim + 1]] = self.x
        self.node_x[self.cells[:, self.dim + 1 :]] = 0.5 * (self.x[:, i] + self.x[:, j])

    def _key(self, a, b):
        return np.minimum(a, b) * np.int64(len(self.lab["points"])) + np.maximum(a, b)

    def vector(self):
        """A ghosted displacement-like vector (dolfinx.la.Vector, block size dim)."""
        return la.vector(self.index_map, self.dim)

    def facet_nodes(self, facets):
        """Local node numbers (vertices and edge midpoints) of the facets (k, dim) of the input mesh seen by this rank."""
        if len(facets) == 0:
            return np.empty(0, dtype=np.int32)
        inside = np.isin(self.input_vertices, facets)
        ends = [(0, 1), (1, 2), (0, 2)] if self.dim == 3 else [(0, 1)]
        keys = np.concatenate([self._key(facets[:, a].astype(np.int64), facets[:, b].astype(np.int64)) for a, b in ends])
        edges = np.isin(self._edge_keys, keys)
        nodes = np.concatenate([self.cells[:, : self.dim + 1][inside], self.cells[:, self.dim + 1 :][edges]])
        return np.unique(nodes)

    def region_nodes(self, region):
        """Local node numbers that belong to own cells of a region."""
        return np.unique(self.cells[self.region == region])

    def facet_cells(self, facets):
        """Own cells and local facet vertex order for facets (k, 3) of the input mesh: (cell, (a, b, c) local vertices, facet row)."""
        faces = np.array([(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)])
        n = np.int64(len(self.lab["points"]))

        def pack(v):
            v = np.sort(v.astype(np.int64), axis=1)
            return v[:, 0] * n + v[:, 1], v[:, 2]  # two words: n^3 overflows 64 bits

        want_hi, want_lo = pack(facets)
        want = np.rec.fromarrays([want_hi, want_lo])
        order = np.argsort(want)
        out = []
        for k in range(4):
            hi, lo = pack(self.input_vertices[:, faces[k]])
            have = np.rec.fromarrays([hi, lo])
            pos = np.clip(np.searchsorted(want[order], have), 0, len(want) - 1)
            hit = np.flatnonzero(want[order][pos] == have)
            out.append((hit, np.repeat(faces[k][None], hit.size, 0), order[pos[hit]]))
        return tuple(np.concatenate([o[i] for o in out]) for i in range(3))

    def interface_points(self):
        """Points of all node-split interfaces: facet edge midpoints with weight A/3 in 3D (degree 2, node to node);
        Simpson points on axisymmetric edges. Each rank gets those whose plus node it owns."""
        lab, dim = self.lab, self.dim
        names = sorted(k.split("/")[1] for k in lab if k.startswith("minus/"))
        points = lab["points"]
        edges, thickness = self._cortex_edges()
        columns = []
        for number, name in enumerate(names):
            minus = lab[f"minus/{name}"].astype(np.int64)
            plus = lab[f"plus/{name}"].astype(np.int64)
            if len(minus) == 0:
                continue
            xm = points[minus]
            opposite, region_m = self._facet_cell(minus)
            _, region_p = self._facet_cell(plus)
            if dim == 3:
                cross = np.cross(xm[:, 1] - xm[:, 0], xm[:, 2] - xm[:, 0])
                area = 0.5 * np.linalg.norm(cross, axis=1)
                normal, size = cross / (2.0 * area[:, None]), np.sqrt(2.0 * area)
                rule = [(a, b, area / 3.0) for a, b in ((0, 1), (1, 2), (2, 0))]
            else:
                d = xm[:, 1] - xm[:, 0]
                size = np.linalg.norm(d, axis=1)
                normal = np.stack([d[:, 1], -d[:, 0]], axis=1) / size[:, None]
                rule = [(a, b, share * size * np.pi * (xm[:, a, 0] + xm[:, b, 0]))  # 2 pi r, r midway between a and b
                        for a, b, share in ((0, 0, 1 / 6), (1, 1, 1 / 6), (0, 1, 4 / 6))]
            normal[np.einsum("ij,ij->i", normal, points[opposite] - xm[:, 0]) > 0.0] *= -1.0
            for a, b, weight in rule:
                keys = self._key(minus[:, a], minus[:, b]), self._key(plus[:, a], plus[:, b])
                rim = np.linalg.norm(xm[:, b] - xm[:, a], axis=1) * np.maximum(*(thickness[np.searchsorted(edges, key)] * np.isin(key, edges) for key in keys))
                columns.append((*keys, normal, weight, size, rim, np.full(len(minus), number), region_m, region_p))
        if not columns:
            empty = np.empty(0)
            return InterfacePoints(names, *([empty.astype(np.int64)] * 2), np.empty((0, dim)), empty, empty,
                                   empty, *([empty.astype(int)] * 4), 0)
        km, kp, *columns = (np.concatenate(column) for column in zip(*columns))
        node, owner = self._global_nodes(np.unique(np.concatenate([km, kp])))
        take = np.flatnonzero(owner(kp) == self.comm.rank)
        return InterfacePoints(names, node(km)[take], node(kp)[take], *(column[take] for column in columns), take, len(km))

    def _cortex_edges(self):
        """Keys (k,) of the edges of the cortex, ascending, and its thickness there, mm; one more thickness (0) for keys beyond the last."""
        facets, t = self.lab.get("facets/cortex", np.empty((0, 3), np.int64)), self.lab.get("cortex_thickness", np.empty(0))
        if self.dim == 2 or not len(facets):
            return np.empty(0, np.int64), np.zeros(1)
        a, b = facets.astype(np.int64)[:, [0, 1, 2]].ravel(), facets.astype(np.int64)[:, [1, 2, 0]].ravel()
        keys, first = np.unique(self._key(a, b), return_index=True)
        return keys, np.append(np.repeat(t, 3)[first], 0.0)

    def _facet_cell(self, facets):
        """Opposite vertex and region of the one cell that holds each interface facet (k, dim) of the input mesh."""
        cells, dim = self.lab["cells"], self.dim
        n = len(self.lab["points"])
        touching = np.flatnonzero(np.isin(cells, facets).sum(axis=1) >= dim)
        local = np.concatenate([np.delete(cells[touching], k, axis=1) for k in range(dim + 1)])
        opposite = np.concatenate([cells[touching, k] for k in range(dim + 1)])
        region = np.tile(self.lab["region"][touching], dim + 1)
        _, index = np.unique(np.sort(np.concatenate([local, facets]), axis=1), axis=0, return_inverse=True)
        index = index.ravel()
        where = np.full(index.max() + 1, -1)
        where[index[: len(local)]] = np.arange(len(local))
        found = where[index[len(local) :]]
        if np.any(found < 0):
            raise ValueError(f"{np.sum(found < 0)} interface facets belong to no cell of the mesh of {n} points")
        return opposite[found], region[found]

    def _global_nodes(self, keys):
        """Functions key -> global node and key -> owning rank for edges (or, where both ends agree, vertices) by key."""
        dim = self.dim
        here = np.concatenate([self._key(self.input_vertices, self.input_vertices), self._edge_keys], axis=1).ravel()
        hit = np.isin(here, keys)
        found, first = np.unique(here[hit], return_index=True)
        local = self.cells.ravel()[hit][first]
        numbers = self.index_map.local_to_global(local.astype(np.int32))
        owned = local < self.index_map.size_local
        rows = np.stack([found, numbers, np.where(owned, self.comm.rank, -1)])
        table = np.concatenate(self.comm.allgather(rows), axis=1)
        order = np.lexsort((-table[2], table[0]))  # the owner's row first
        table = table[:, order]
        _, first = np.unique(table[0], return_index=True)
        table = table[:, first]

        def lookup(row):
            def get(wanted):
                at = np.searchsorted(table[0], wanted)
                if np.any(table[0][np.minimum(at, table.shape[1] - 1)] != wanted):
                    raise ValueError(f"interface nodes without a cell (dimension {dim})")
                return table[row][at]
            return get

        return lookup(1), lookup(2)
