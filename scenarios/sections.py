"""Plane cuts through meshes of tetrahedra, and the half plane of axisymmetric ones, for flat pictures in mm.

Nothing here renders: a cut is polygons with the weights that carry any nodal field to their corners.
"""

from dataclasses import dataclass

import numpy as np

PLANES = {"xz": (0, 1), "yz": (1, 0)}       # name -> (axis drawn upwards, axis along the normal); z runs to the right
OFF_PLANE = 1.37e-4                         # mm; meshes have nodes on the symmetry planes, the cut avoids them


@dataclass
class Section:
    """k polygons of 4 corners (the last doubled in triangles); corner = (1-t) node[a] + t node[b].

    cell (k,): the cell each polygon comes from. up (k, 1): +1, or -1 for the mirror image of an axisymmetric half.
    """

    cell: np.ndarray
    a: np.ndarray
    b: np.ndarray
    t: np.ndarray
    up: np.ndarray
    axis: int

    def corners(self, points):
        """(k, 4, 2) positions (z, up) of the corners for nodal positions `points` (n, 3)."""
        at = points[self.a] * (1 - self.t[..., None]) + points[self.b] * self.t[..., None]
        return np.stack([at[..., 2], at[..., self.axis] * self.up], axis=-1)

    def only(self, keep):
        """The section of the polygons where the (k,) mask `keep` holds."""
        return Section(self.cell[keep], self.a[keep], self.b[keep], self.t[keep], self.up[keep], self.axis)


def cut(points, cells, plane="xz"):
    """Section of a mesh: points (n, 3) in the screw frame, cells (m, 4) tetrahedra or (m, 3) triangles in x-z."""
    axis, normal = PLANES[plane]
    if cells.shape[1] == 3:
        corners = np.concatenate([cells, cells[:, 2:]], axis=1)
        both, number = np.concatenate([corners, corners]), np.arange(len(cells))
        up = np.repeat([1.0, -1.0], len(cells))[:, None]
        return Section(np.concatenate([number, number]), both, both, np.zeros(both.shape), up, 0)
    height = points[:, normal] - OFF_PLANE
    above = height[cells] > 0
    count = above.sum(axis=1)
    number = np.flatnonzero((count > 0) & (count < 4))
    sorted_cells = np.take_along_axis(cells[number], np.argsort(above[number], axis=1, kind="stable"), axis=1)
    k = count[number][:, None]
    pairs = {1: ((3, 0), (3, 1), (3, 2), (3, 2)), 3: ((0, 1), (0, 2), (0, 3), (0, 3)),
             2: ((0, 2), (0, 3), (1, 3), (1, 2))}
    a, b = np.empty((len(number), 4), int), np.empty((len(number), 4), int)
    for n, pair in pairs.items():
        rows = np.flatnonzero(k[:, 0] == n)
        a[rows] = sorted_cells[rows][:, [i for i, _ in pair]]
        b[rows] = sorted_cells[rows][:, [j for _, j in pair]]
    t = height[a] / (height[a] - height[b])
    return Section(number, a, b, t, np.ones((len(number), 1)), axis)


def outline(points, facets, plane="xz"):
    """(k, 2, 2) line segments (z, up) in which triangles `facets` (m, 3) meet the plane; edges (m, 2) as they are."""
    axis, normal = PLANES[plane]
    if not len(facets):
        return np.zeros((0, 2, 2))
    if facets.shape[1] == 2:
        line = points[facets][..., [2, 0]]
        return np.concatenate([line, line * [1, -1]])
    height = points[:, normal] - OFF_PLANE
    above = height[facets] > 0
    crossing = np.flatnonzero(above.any(axis=1) & ~above.all(axis=1))
    tri, side = facets[crossing], above[crossing]
    lone = np.where(side.sum(axis=1) == 1, side.argmax(axis=1), (~side).argmax(axis=1))
    rows = np.arange(len(tri))
    tip = tri[rows, lone]
    ends = []
    for step in (1, 2):
        other = tri[rows, (lone + step) % 3]
        t = (height[tip] / (height[tip] - height[other]))[:, None]
        ends.append((points[tip] * (1 - t) + points[other] * t)[:, [2, axis]])
    return np.stack(ends, axis=1)
