"""The core: screw, thread bone, halo and cement as one body of revolution, in the half plane or swept to tetrahedra."""

from dataclasses import dataclass

import numpy as np

from meshes import profile
from meshes.cement import place
from meshes.outline import from_radius, radius_at
from meshes.specimen import MARGIN, MeshError

BELOW = 1.5  # mm below the deepest thing


@dataclass(frozen=True)
class Core:
    """Triangulated half profile and its outer chain; `soaked`: mm^3 of cement that are still to go into broken bone."""

    profile: profile.Profile
    outer: np.ndarray
    soaked: float

    @property
    def rim_radius(self):
        """Radius at the bone surface, mm."""
        return float(self.outer[1, 0])


def make(screw, halo, cement, resolution, bone, room, domain=None):
    """Triangulate the core.

    room: function z -> radius of the bone round the axis (mm; 0 where there is none). domain: outer chain of the whole
    specimen when that is a body of revolution itself; else the core ends MARGIN beyond screw, halo and cement, or where
    the bone does. Raises MeshError if the screw breaches the bone.
    """
    chain = profile.screw_outline(screw)
    hole = profile.halo_outline(halo, resolution.near, room, screw) if halo is not None else None
    _check_room(screw, hole, room)
    placed = place(cement, screw, chain, hole, room, resolution.near) if cement is not None else None
    inner = [c for c in (hole, placed and placed.filled, placed and placed.cloud) if c is not None]
    if domain is None:
        domain = _envelope([chain, *inner], screw, room, resolution)
    sizes = profile.size_function(screw, resolution, screw.radius + MARGIN)
    result = profile.triangulate(domain, chain, sizes, bone, halo=hole, filled=placed.filled if placed else None,
                                 cloud=placed.cloud if placed else None, content=_content(halo))
    return Core(result, domain, placed.soaked if placed else 0.0)


def _content(halo):
    """What the part of a halo holds that no cement fills; one that cycling has made is debris, whose damage the bone keeps."""
    if halo is None or halo.shape == "measured":
        return "debris"
    return halo.content


def _check_room(screw, hole, room):
    z = np.linspace(-0.5, -screw.depth, 200)
    need = np.full_like(z, screw.radius)
    narrow = np.argmin(room(z) - need)
    if room(z)[narrow] < need[narrow] + 0.3:
        raise MeshError(
            f"the {screw.diameter:g} mm screw breaches the bone: {-z[narrow]:.0f} mm below the entry the bone is only"
            f" {2 * room(z)[narrow]:.1f} mm wide round the screw axis; use a thinner or shorter screw or another trajectory")
    if hole is not None and np.any(radius_at(hole, z) > room(z) - 0.3):
        at = int(np.argmax(radius_at(hole, z) - room(z)))
        raise MeshError(
            f"the halo reaches the bone's surface {-z[at]:.0f} mm below the entry (radius {radius_at(hole, z)[at]:.1f} mm,"
            f" bone {room(z)[at]:.1f} mm); use a thinner halo or an hourglass with a waist there")


def _envelope(chains, screw, room, resolution):
    """Outer chain of the core: MARGIN beyond everything in it, at least 0.3 mm beyond the thread, within the bone."""
    low = min(c[:, 1].min() for c in chains)
    reach = np.arange(-MARGIN, MARGIN + 0.01, 0.1)

    def wanted(z):
        # dilated over the margin, so that the core does not end in steps
        radius = np.max([radius_at(c, np.clip(z + s, None, -1e-6)) for c in chains for s in reach], axis=0)
        radius = np.where(z > low - BELOW, np.maximum(radius, screw.radius * (z > -screw.depth - BELOW)), 0.0)
        return radius

    z = np.arange(0.0, low - BELOW - 0.05, -0.05)
    radius = wanted(z) + MARGIN
    limit = room(z) - profile.WALL
    least = np.where(z > -screw.depth, screw.radius + 0.3, 1.0)
    radius = np.maximum(np.minimum(radius, limit), least)
    end = np.flatnonzero(limit > 1.0)[-1]  # the core stays inside the bone below the tip
    smooth = np.convolve(np.pad(radius, 20, mode="edge"), np.ones(41) / 41, mode="valid")
    radius = np.maximum(np.minimum(smooth, radius), least)[: end + 1]
    z = z[: end + 1]
    chain = from_radius(lambda s: np.interp(s, z[::-1], radius[::-1]), 0.0, z[-1], resolution.near, flatness=0.05)
    if chain is None or chain[-1, 1] > -screw.depth - 0.3:
        raise MeshError("the screw tip reaches the bone's surface; use a shorter screw or less insertion depth")
    return chain
