"""Interfaces: duplicate the nodes between bodies that may slip, open or debond.

Around a node, the cells that can be reached from each other without crossing a split facet share one copy of the
node; every other group gets its own. So where screw, cement and bone meet, each side has its own node.
"""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from meshes.labmesh import BONE, CEMENT, NAMES, REGIONS

# minus side -> plus sides. Halo tissue stays tied to bone, pure cement to cemented bone, bone to bone.
SPLIT = {"screw": (*BONE, "halo", *CEMENT), "cement": (*BONE, "halo"), "cemented_bone": (*BONE, "halo")}

# Facet opposite to each local vertex, outward for a positive cell.
FACES = {
    3: np.array([[1, 2], [2, 0], [0, 1]]),
    4: np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]),
}


def adjacency(cells):
    """Facets of a conforming mesh as (cell, local facet) pairs.

    Returns (boundary (b, 2), inner (k, 2, 2)): inner[:, side] are the two cells that share a facet.
    Raises ValueError when a facet has more than two cells.
    """
    count = cells.shape[1]
    keys = np.sort(cells[:, FACES[count]], axis=2).reshape(-1, count - 1)
    order = np.lexsort(keys.T[::-1])
    same = np.all(keys[order][1:] == keys[order][:-1], axis=1)
    if np.any(same[1:] & same[:-1]):
        raise ValueError("a facet belongs to more than two cells")
    first = np.flatnonzero(same)
    alone = np.ones(len(order), bool)
    alone[first], alone[first + 1] = False, False
    ids = np.column_stack([order // count, order % count])
    return ids[alone], np.stack([ids[first], ids[first + 1]], axis=1)


def facet_vertices(cells, ids):
    """(k, dim) vertices of the facets given as (cell, local facet) rows, outward oriented."""
    return cells[ids[:, 0][:, None], FACES[cells.shape[1]][ids[:, 1]]]


def split(points, cells, region):
    """Duplicate nodes along the facets between the region pairs of SPLIT.

    Bone and bone filled with cement share the nodes on the surface of a solid, else the cortex there would be cut along with them.
    Returns (points, cells, interfaces) with interfaces as in LabMesh; the order of the cells is kept.
    """
    allowed = np.zeros((max(NAMES) + 1,) * 2, bool)
    for minus, sides in SPLIT.items():
        for plus in sides:
            allowed[REGIONS[minus], REGIONS[plus]] = True
    boundary, inner = adjacency(cells)
    first, second = region[inner[:, 0, 0]], region[inner[:, 1, 0]]
    swap = allowed[second, first]
    inner[swap] = inner[swap][:, ::-1]
    cut = allowed[first, second] | swap
    sides = region[inner[:, :, 0]]
    filled = np.isin(sides, [REGIONS[name] for name in ("cemented_bone", *BONE)]).all(axis=1)
    held = np.zeros(len(points), bool)
    if points.shape[1] == 3:  # else the axis is a boundary too
        held[facet_vertices(cells, boundary)] = True
    points, new_cells = _duplicate(points, cells, inner, cut, held, filled)

    interfaces = {}
    pairs = region[inner[cut][:, :, 0]]
    for a, b in np.unique(pairs, axis=0):
        chosen = inner[cut][np.all(pairs == (a, b), axis=1)]
        old_minus, old_plus = (facet_vertices(cells, chosen[:, side]) for side in (0, 1))
        minus, plus = (facet_vertices(new_cells, chosen[:, side]) for side in (0, 1))
        match = np.argmax(old_minus[:, :, None] == old_plus[:, None, :], axis=2)
        plus = np.take_along_axis(plus, match, axis=1)
        apart = np.any(minus != plus, axis=1)
        interfaces[f"{NAMES[a]}_{NAMES[b]}"] = (minus[apart], plus[apart])
    return points, new_cells, interfaces


def _duplicate(points, cells, inner, cut, held, filled):
    """Give each group of cells round a node, joined by facets that are not cut, its own copy of the node.

    Nodes of the mask `held` stay one across the facets of the mask `filled`."""
    if not cut.any():
        return points, cells
    count = cells.shape[1]
    touched = np.zeros(len(points), bool)
    touched[facet_vertices(cells, inner[cut][:, 0])] = True
    near = touched[facet_vertices(cells, inner[:, 0])].any(axis=1) & (~cut | filled)
    joined = inner[near]
    shared = facet_vertices(cells, joined[:, 0])  # (j, dim): corners on both sides are the same node
    corner = [np.argmax(cells[joined[:, s, 0]][:, None, :] == shared[:, :, None], axis=2) for s in (0, 1)]
    whole = ~cut[near][:, None] | held[shared]
    ends = [(joined[:, s, 0][:, None] * count + corner[s])[whole] for s in (0, 1)]
    size = cells.size
    graph = coo_matrix((np.ones(len(ends[0]), np.int8), (ends[0], ends[1])), shape=(size, size))
    groups = connected_components(graph, directed=False)[1]

    corners = np.flatnonzero(touched[cells.ravel()])
    node = cells.ravel()[corners]
    pairs, inverse = np.unique(np.column_stack([node, groups[corners]]), axis=0, return_inverse=True)
    fresh = np.concatenate([[False], pairs[1:, 0] == pairs[:-1, 0]])  # the first group keeps the node
    ids = pairs[:, 0].copy()
    ids[fresh] = len(points) + np.arange(fresh.sum())
    new_cells = cells.ravel().copy()
    new_cells[corners] = ids[inverse.ravel()]
    return np.vstack([points, points[pairs[fresh, 0]]]), new_cells.reshape(cells.shape)
