"""The space between core and specimen surface is filled exactly: volume, conformity, shape, unchanged surfaces."""

import os

import numpy as np
import pytest

from meshes import outside
from meshes.labmesh import cell_volumes, radius_ratio
from meshes.outside import _winding, block_surface, enclosed_volume, fill
from meshes.specimen import Block, MeshError
from meshes.split import adjacency, facet_vertices
from meshes.sweep import sweep

RADIUS, DEPTH = 4.25, 40.0


def core(radius=RADIUS, depth=DEPTH, sectors=12, rows=50):
    """A swept cylinder: points, tets, side and bottom facets, rim ring (N, 3) in order."""
    r, z = np.linspace(0.0, radius, 4), np.linspace(0.0, -depth, rows + 1)
    points = np.stack(np.meshgrid(r, z, indexing="ij"), -1).reshape(-1, 2)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(3), np.arange(rows), indexing="ij"))
    a, b, c, d = i * (rows + 1) + j, (i + 1) * (rows + 1) + j, (i + 1) * (rows + 1) + j + 1, i * (rows + 1) + j + 1
    cells = np.vstack([np.column_stack([a, d, b]), np.column_stack([b, d, c])])
    points, tets, _ = sweep(points, cells, np.ones(len(cells), int), sectors)
    facets = facet_vertices(tets, adjacency(tets)[0])
    below = ~(np.abs(points[facets][:, :, 2]) < 1e-9).all(axis=1)
    rim = np.unique(facets[below])
    rim = points[rim[np.abs(points[rim, 2]) < 1e-9]]
    return points, tets, facets[below], rim[np.argsort(np.arctan2(rim[:, 1], rim[:, 0]))]


def size(near=1.2, far=5.0, radius=RADIUS, depth=DEPTH, growth=0.35):
    def at(x):
        outside, below = np.hypot(x[:, 0], x[:, 1]) - radius, -depth - x[:, 2]
        return np.minimum(near + growth * np.hypot(np.maximum(outside, 0.0), np.maximum(below, 0.0)), far)

    return at


def check(core_points, tets, facets, points, outside, outer):
    """The whole solid conforms, has the volume within the outer surface and keeps the core; returns radius ratios."""
    assert np.array_equal(points[: len(core_points)], core_points)
    both = np.vstack([tets, outside])
    boundary = facet_vertices(both, adjacency(both)[0])
    assert cell_volumes(points, outside).min() > 0
    assert cell_volumes(points, both).sum() == pytest.approx(enclosed_volume(points, boundary), rel=1e-9)
    own = facet_vertices(outside, adjacency(outside)[0])
    faces = {tuple(f) for f in np.sort(own, axis=1)}
    assert all(tuple(f) in faces for f in np.sort(facets, axis=1))
    assert len(own) == len(facets) + len(outer)
    ratio = radius_ratio(points, outside)
    assert ratio.min() > 0.02
    return ratio


def test_block():
    core_points, tets, facets, ring = core()
    block = Block(60.0, 45.0, 30.0)
    outer_points, outer = block_surface(block, ring, size())
    points, outside = fill(core_points, facets, outer_points, outer, size())
    check(core_points, tets, facets, points, outside, outer)
    total = cell_volumes(points, np.vstack([tets, outside])).sum()
    assert total == pytest.approx(60.0**2 * 45.0, rel=1e-9)
    top = outer[(np.abs(outer_points[outer][:, :, 2]) < 1e-9).all(axis=1)]
    x = outer_points[top]
    held = np.hypot(*x.mean(axis=1)[:, :2].T) > 15.0
    area = np.linalg.norm(np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]), axis=1) / 2
    assert area[held].sum() == pytest.approx(3600.0 - np.pi * 225.0, rel=0.01)
    assert np.hypot(*x[held].reshape(-1, 3)[:, :2].T).min() > 15.0 - 1e-9


def test_breakout_is_named():
    core_points, _, facets, ring = core()
    outer_points, outer = block_surface(Block(60.0, 35.0, 30.0), ring, size())
    with pytest.raises(MeshError, match="breaks out"):
        fill(core_points, facets, outer_points, outer, size())


def test_winding_number():
    core_points, tets, _, _ = core(rows=10)
    closed = facet_vertices(tets, adjacency(tets)[0])
    probes = np.array([[0.0, 0, -1e-3], [3.9, 0, -20], [4.5, 0, -20], [0, 0, 0.01], [0, 0, -40.01], [-3, 2, -39.99]])
    assert _winding(probes, core_points, closed) == pytest.approx([1, 1, 0, 0, 0, 1], abs=1e-9)


def test_support_ring_must_fit():
    with pytest.raises(MeshError, match="support ring"):
        block_surface(Block(60.0, 45.0, 8.0), core()[3], size())


def test_ball_with_spot_face():
    """A ball with a flat face of 8 mm radius at the entry: the block's surface drawn onto it along rays."""
    core_points, tets, facets, ring = core()
    outer_points, outer = block_surface(Block(60.0, 60.0, 16.0), ring, size())
    flat = (outer_points[:, 2] > -1e-9) & (np.hypot(*outer_points[:, :2].T) < 8 + 1e-6)
    centre = np.array([0.0, 0.0, -28.0])
    ray = outer_points - centre
    ball = centre + ray * np.hypot(28.0, 8.0) / np.linalg.norm(ray, axis=1)[:, None]
    points, outside = fill(core_points, facets, np.where(flat[:, None], outer_points, ball), outer, size())
    assert check(core_points, tets, facets, points, outside, outer).mean() > 0.5


@pytest.mark.parametrize("wall", [1.0, 0.5])
def test_thin_walled_pedicle(wall):
    """A waist like a pedicle's leaves `wall` mm of bone between core and surface, with coarse surface triangles."""
    core_points, tets, facets, ring = core()
    outer_points, outer = block_surface(Block(24.0, 60.0, 16.0), ring, size(far=3.0))
    x, y, z = outer_points.T
    away = np.clip((-z - 4.0) / 6.0, 0.0, 1.0) * np.clip((30.0 + z) / 6.0, 0.0, 1.0)
    narrow = (np.max(np.hypot(*ring[:, :2].T)) + wall) / 12.0
    waisted = np.column_stack([x * (1 + away * (narrow - 1)), y * (1 + away * (1.3 * narrow - 1)), z])
    points, outside = fill(core_points, facets, waisted, outer, size())
    ratio = check(core_points, tets, facets, points, outside, outer)
    assert ratio.mean() > 0.5


def test_a_mesher_that_dies_is_an_attempt_that_failed():
    assert outside._apart(lambda: np.arange(3)).tolist() == [0, 1, 2]
    assert outside._apart(os.abort) is None
