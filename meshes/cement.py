"""Where cement goes: bodies of revolution about the screw axis with one free size, solved for the given volume.

Halo first: a halo is filled as pure cement (from the tip upwards if there is too little of it). What is left over soaks bone
that cycling has broken, cell by cell, since nothing is more permeable; then it spreads round the distal screw, where the bone of
the body is more permeable than that of the pedicle. Fenestrated screws deliver an ellipsoid round their holes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshes.labmesh import BONE, CEMENT, REGIONS, cell_volumes
from meshes.outline import from_radius, radius_at, ring_volume
from meshes.specimen import MeshError

ELONGATION = 1.4  # axial over radial semi-axis of the cloud from fenestrations
COVER = 0.6  # mm of bone that is left between cement and the bone's surface
SLENDER = 1.2  # mm round the axis: less bone under its cover takes no cement; the core (meshes.core) goes on a little further
SMOOTHED = 2  # rounds in which cells of broken bone follow their neighbours
REPEATED = 4  # corrections of the volume that this changes
PEDICLE_END = 0.35  # of the insertion depth in a specimen without a pedicle: where left-over cement begins to spread


@dataclass(frozen=True)
class Placement:
    """Chains (see meshes.outline) of pure cement and of infiltrated bone, either may be None; `soaked`: mm^3 of cement that are
    to go into broken bone."""

    filled: np.ndarray | None
    cloud: np.ndarray | None
    soaked: float = 0.0


def place(cement, screw, screw_chain, halo_chain, room, spacing):
    """Outlines of the cement.

    room: function z -> radius up to which there is bone at height z (0 where there is none), mm. Raises MeshError where
    the volume does not fit.
    """
    depth = screw.depth

    def metal(z):
        return radius_at(screw_chain, z)

    floor = -depth - 60.0
    filled, void = None, 0.0
    inner = metal
    if halo_chain is not None:
        def hole(z):
            return radius_at(halo_chain, z)

        bottom = halo_chain[-1, 1]
        void = ring_volume(hole, metal, 0.0, bottom)
        if cement.bulk(void) < 0.995 * void:
            level = _bisect(lambda t: ring_volume(lambda z: np.where(z <= t, hole(z), 0.0), metal, 0.0, bottom),
                            cement.bulk(void), 0.0, bottom)
            part = from_radius(lambda z: np.where(z <= level, hole(z), 0.0), level, bottom, spacing)
            return Placement(part, None)
        filled = halo_chain

        def inner(z):
            return np.maximum(metal(z), hole(z))

    bulk = cement.bulk(void)
    rest = bulk - void
    soaked = min(rest, cement.broken.beyond(inner), cement.soakable) if cement.broken and filled is not None else 0.0
    rest -= soaked
    if rest <= 0.005 * bulk:
        return Placement(filled, None, soaked)
    shape = _shape(cement, screw, inner)

    def cloud(z, size):
        within = room(z) - COVER
        return np.where(within > SLENDER, np.minimum(shape(z, size), within), 0.0)

    def volume(size):
        return ring_volume(lambda z: cloud(z, size), inner, -0.5, floor)

    largest = 40.0
    if volume(largest) < rest:
        raise MeshError(
            f"{bulk / 1000:.2f} ml of cement and infiltrated bone do not fit round this screw: there is room"
            f" for {(void + soaked + volume(largest)) / 1000:.2f} ml; use less cement, a shorter screw or a larger specimen")
    size = _bisect(volume, rest, 0.0, largest)
    chain = from_radius(lambda z: cloud(z, size), -0.5, floor, spacing)
    return Placement(filled, chain, soaked)


def soak(points, cells, region, inner, broken, volume):
    """Turn broken bone into bone filled with cement: changes `region` (m,) of the tets in place; returns how much, mm^3.

    inner (k, 2, 2): pairs of cells that share a facet, see `meshes.split.adjacency`; broken: `meshes.specimen.Broken` in the
    screw's frame; volume: mm^3. The bone nearest to the screw comes first, as far as the volume goes; single cells that would
    stand alone on either side follow their neighbours.
    """
    bone = np.flatnonzero(np.isin(region, [REGIONS[name] for name in BONE]))
    centres = points[cells[bone]].mean(axis=1)
    _, near = cKDTree(broken.centres).query(centres)
    found = bone[broken.volume[near] > 0.0]
    r = np.hypot(*points[cells[found]].mean(axis=1)[:, :2].T)
    order = found[np.argsort(r)]
    size = cell_volumes(points, cells)
    filled = np.isin(region, [REGIONS[name] for name in CEMENT])
    is_bone = np.zeros(len(cells), bool)
    is_bone[bone] = True
    a, b = inner[:, :, 0].T

    def soaked(amount):
        wet = np.zeros(len(cells), bool)
        wet[order[np.cumsum(size[order]) <= amount]] = True
        for _ in range(SMOOTHED):
            neighbours = np.bincount(a, (wet | filled)[b], len(cells)) + np.bincount(b, (wet | filled)[a], len(cells))
            wet = (wet & (neighbours >= 2) | (neighbours >= 3)) & is_bone
        # what does not hang together with the cement round the screw gets none
        joined = (wet | filled)[a] & (wet | filled)[b]
        graph = coo_matrix((np.ones(joined.sum(), np.int8), (a[joined], b[joined])), shape=(len(cells),) * 2)
        piece = connected_components(graph, directed=False)[1]
        return wet & np.isin(piece, np.unique(piece[filled]))

    wet, amount = soaked(volume), volume
    for _ in range(REPEATED):  # what single cells have lost or won goes to others
        amount += volume - size[wet].sum()
        again = soaked(amount)
        if abs(size[again].sum() - volume) < abs(size[wet].sum() - volume):
            wet = again
    region[wet] = REGIONS["cemented_bone"]
    return float(size[wet].sum())


def _shape(cement, screw, inner):
    """Radius of the cloud as a function (z, size)."""
    depth, target = screw.depth, cement.target
    if target == "fenestrations":
        if screw.fenestration is None:
            raise MeshError("cement through fenestrations needs a fenestrated screw")
        centre = -depth + screw.fenestration.from_tip

        def shape(z, size):
            return size * np.sqrt(np.clip(1.0 - ((z - centre) / (ELONGATION * size + 1e-12)) ** 2, 0.0, None))
    elif target == "tip":
        def shape(z, size):
            return np.sqrt(np.clip(size**2 - (z + depth) ** 2, 0.0, None))
    elif target == "anterior_two_thirds":
        top, low = -depth / 3.0 if cement.front_from is None else -cement.front_from, -depth

        def shape(z, size):
            beyond = np.maximum(low - z, 0.0)
            return np.where(z <= top, np.sqrt(np.clip(size**2 - beyond**2, 0.0, None)), 0.0)
    elif target == "halo":
        start = -PEDICLE_END * depth if cement.body_from is None else -cement.body_from

        def shape(z, size):
            # grows smoothly from nothing at the end of the pedicle to its full offset over a fifth of the depth
            rise = np.clip((start - z) / (0.2 * depth), 0.0, 1.0)
            beyond = np.maximum(-depth - z, 0.0)
            base = inner(np.maximum(z, -depth))
            cap = np.sqrt(np.clip(1.0 - (beyond / (size + 1e-12)) ** 2, 0.0, None))
            radius = (base + size * rise**2 * (3 - 2 * rise)) * cap
            return np.where(z <= start, radius, 0.0)
    else:
        raise MeshError(f"unknown target of the cement: {target}")
    return shape


def _bisect(function, wanted, low, high):
    """Argument between low and high where the monotone volume function reaches `wanted`."""
    increasing = function(high) > function(low)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if (function(middle) < wanted) == increasing:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
