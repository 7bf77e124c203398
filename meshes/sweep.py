"""Revolve a triangulated (r, z) profile about the screw axis into tetrahedra."""

import numpy as np

from meshes.labmesh import cell_volumes


def polygon_factor(sectors):
    """Radius of the regular polygon with the area of the unit circle: swept volumes are those of the round bodies."""
    angle = 2 * np.pi / sectors
    return np.sqrt(angle / np.sin(angle))


def sweep(points, cells, region, sectors):
    """Revolve triangles through a full turn in equal sectors.

    points (n, 2) as (r, z), cells (m, 3), region (m,). Each triangle becomes a prism per sector, cut into the tets
    of the staircase triangulation of simplex x interval (ordered by profile node, Kuhn 1960); the cut alternates from
    sector to sector, so that the mesh has no handedness. Radii grow by `polygon_factor`. Nodes on the axis stay single.
    Returns (points (N, 3), tets (M, 4) positively oriented, region (M,)).
    """
    if sectors % 2:
        raise ValueError(f"the number of sectors must be even, not {sectors}")
    on_axis = points[:, 0] < 1e-9
    ring = np.cumsum(~on_axis) - 1
    rings = int((~on_axis).sum())
    angle = 2 * np.pi * (np.arange(sectors) + 0.5) / sectors
    radius = points[~on_axis, 0] * polygon_factor(sectors)
    round_points = np.stack(
        [np.outer(np.cos(angle), radius), np.outer(np.sin(angle), radius), np.tile(points[~on_axis, 1], (sectors, 1))], -1
    ).reshape(-1, 3)
    axis_points = np.column_stack([np.zeros((on_axis.sum(), 2)), points[on_axis, 1]])
    axis_id = sectors * rings + np.cumsum(on_axis) - 1

    def node(profile_nodes, k):
        return np.where(on_axis[profile_nodes], axis_id[profile_nodes], (k % sectors) * rings + ring[profile_nodes])

    ordered = np.sort(cells, axis=1)
    tets, source = [], []
    for k in range(sectors):
        low, high = (k, k + 1) if k % 2 == 0 else (k + 1, k)
        (a0, b0, c0), (a1, b1, c1) = node(ordered, low).T, node(ordered, high).T
        for tet in ((a0, b0, c0, c1), (a0, b0, b1, c1), (a0, a1, b1, c1)):
            tet = np.column_stack(tet)
            flat = (np.diff(np.sort(tet, axis=1), axis=1) == 0).any(axis=1)
            tets.append(tet[~flat])
            source.append(np.flatnonzero(~flat))
    tets, source = np.vstack(tets), np.concatenate(source)
    out = np.vstack([round_points, axis_points])
    mirrored = cell_volumes(out, tets) < 0
    tets[mirrored] = tets[mirrored][:, [1, 0, 2, 3]]
    return out, tets, region[source]
