"""From specimen and screw to the finished mesh: core, outside, split interfaces, named facets."""

from dataclasses import replace

import numpy as np

from meshes import core as cores
from meshes.cement import soak
from meshes.labmesh import BONE, REGIONS, LabMesh, cell_volumes
from meshes.specimen import Block, Cylinder, MeshError, Vertebra
from meshes.split import adjacency, facet_vertices, split
from meshes.sweep import polygon_factor, sweep
from meshes.vertebra import SPOT, VertebraShape, entry_radius

TINY = 1e-6
SHORT = 0.01  # of the cement's volume: more than that must not be missing


def assemble(specimen, screw, halo, cement, resolution, model):
    """See `meshes.build`."""
    mesh = _assemble(specimen, screw, halo, cement, resolution, model)
    asked, soaked = (mesh.info[f"{what}_mm3"] for what in ("soak", "soaked"))
    if asked - soaked > SHORT * mesh.info["cement_volume_mm3"]:  # broken bone out of its reach: sound bone takes what this would have
        mesh = _assemble(specimen, screw, halo, replace(cement, soakable=soaked), resolution, model)
    return mesh


def _assemble(specimen, screw, halo, cement, resolution, model):
    if isinstance(specimen, Vertebra):
        if model != "threaded3d":
            raise MeshError("a vertebra is not a body of revolution; use model: threaded3d")
        return _vertebra(specimen, screw, halo, cement, resolution)
    bone = "trabecular" if isinstance(specimen, Cylinder) else "foam"
    if isinstance(specimen, Cylinder):
        radius, height, rings = specimen.diameter / 2, specimen.length, []
    else:  # a square block as the round one of the same cross-section
        radius, height, rings = specimen.width / np.sqrt(np.pi), specimen.height, [specimen.ring_inner_diameter / 2]
    if screw.depth > height - 2.0:
        raise MeshError(f"the screw reaches {screw.depth:g} mm deep into a specimen of {height:g} mm; at least 2 mm must"
                        " be left below its tip")

    def room(z):
        return np.where((z <= 0) & (z >= -height), radius, 0.0)

    if isinstance(specimen, Block) and model == "threaded3d":
        return _block(specimen, screw, halo, cement, resolution, room)
    domain = np.array([[0, 0], *([r, 0] for r in rings), [radius, 0], [radius, -height], [0, -height]], float)
    core = cores.make(screw, halo, cement, resolution, bone, room, domain)
    points, cells, region = core.profile.points, core.profile.cells, core.profile.region
    factor = 1.0
    if model == "threaded3d":
        points, cells, region = sweep(points, cells, region, resolution.sectors)
        factor = polygon_factor(resolution.sectors)

    def held(x, r):
        if isinstance(specimen, Cylinder):
            return np.all(r > factor * radius - TINY, axis=1)
        return np.all((np.abs(x[..., -1]) < TINY) & (r > factor * rings[0] - TINY), axis=1)

    return _finish(points, cells, region, screw, core, held, cement)


def _block(block, screw, halo, cement, resolution, room):
    from meshes.outside import block_surface

    core = cores.make(screw, halo, cement, resolution, "foam", room)

    def surface(ring):
        def size(x):
            away = np.hypot(x[:, 0], x[:, 1]) - core.rim_radius
            return np.clip(resolution.near + 0.35 * away, resolution.near, resolution.far)

        return block_surface(block, ring, size)

    points, cells, region, _ = _fill(core, resolution, surface)
    region[region == 0] = REGIONS["foam"]

    def held(x, r):
        return np.all((np.abs(x[..., 2]) < TINY) & (r > 0.999 * block.ring_inner_diameter / 2), axis=1)

    return _finish(points, cells, region, screw, core, held, cement)


def _vertebra(specimen, screw, halo, cement, resolution):
    shape = VertebraShape(specimen)
    R, origin = shape.frame(entry_radius(screw.diameter))

    def deeper_than(diameter):
        """How much deeper the entry is, mm, than that of a screw of this diameter on the same way."""
        return float((shape.frame(entry_radius(diameter))[1] - origin) @ R[:, 2])

    if specimen.first_diameter is not None:
        by = deeper_than(specimen.first_diameter)
        screw = replace(screw, insertion_depth=screw.depth - by, head_height=screw.head_height + by, follows=by)
    if halo is not None:
        halo = replace(halo, above=deeper_than(halo.around_diameter))
        halo = halo if halo.bottom > 0.0 else None  # a shallow one is gone with the bone that the wider entry takes
    if cement is not None:
        body, front = (float((origin[1] - y) / R[1, 2]) for y in (shape.wall, shape.wall - shape.level.depth / 3.0))
        cement = replace(cement, body_from=body, front_from=front)
    depths, radii = shape.clearance(R, origin, screw.depth + 15.0)

    def room(z):
        return np.interp(-np.asarray(z), depths, radii, left=radii[0], right=0.0)

    if cement and cement.broken:
        cement = replace(cement, broken=cement.broken.seen_from(R, origin))
    core = cores.make(screw, halo, cement, resolution, "trabecular", room)

    def surface(ring, share):
        return shape.surface(R, origin, core.rim_radius + SPOT, ring, share * resolution.far)

    for share in (0.6, 0.45, 0.3):  # another triangulation of the same bone where the first leaves no room at the entry
        try:
            points, cells, region, outer = _fill(core, resolution, lambda ring: surface(ring, share))
            break
        except MeshError:
            if share == 0.3:
                raise
    bone = (region == 0) | (region == REGIONS["trabecular"])
    centres = points[cells[bone]].mean(axis=1) @ R.T + origin
    region[bone] = shape.region(centres)

    def held(x, r):
        del r
        return outer(x) & shape.held(x.mean(axis=1) @ R.T + origin)

    mesh = _finish(points, cells, region, screw, core, held, cement)
    boundary, _ = adjacency(mesh.cells)
    facets = facet_vertices(mesh.cells, boundary)
    x = mesh.points[facets]
    # an awl opens the dorsal cortex to the size of the screw: its rim, drawn flat here, bears on the shank, but for a halo
    # or the cement in it
    rim = np.all(np.abs(x[..., 2]) < TINY, axis=1) & np.isin(
        mesh.region[boundary[:, 0]], [REGIONS[name] for name in (*BONE, "cemented_bone")])
    cortex = outer(x) | rim
    facets, centre = facets[cortex], x[cortex].mean(axis=1) @ R.T + origin
    mesh.facets["cortex"] = facets
    mesh.facets["endplate"] = facets[shape.endplate(centre)]
    mesh.cortex_thickness = np.asarray(shape.cortex_thickness(centre), float)
    mesh.frame = (R, origin)
    return mesh


def _fill(core, resolution, surface):
    """Sweep the core and mesh the space between it and the specimen's surface.

    surface: function ring -> (points, triangles). Returns points, cells, region (0 where new) and a function that tells
    which facets (k, 3, 3) lie on the outer surface beyond the core.
    """
    from meshes.outside import fill

    points, cells, region = sweep(core.profile.points, core.profile.cells, core.profile.region, resolution.sectors)
    boundary, _ = adjacency(cells)
    facets = facet_vertices(cells, boundary)
    x = points[facets]
    factor = polygon_factor(resolution.sectors)
    on_chain = _distance(np.stack([np.hypot(x[..., 0], x[..., 1]) / factor, x[..., 2]], -1), core.outer[1:]) < 1e-4
    side = facets[on_chain.all(axis=1) & (x[..., 2].mean(axis=1) < -TINY)]
    rim = np.unique(side[np.abs(points[side][..., 2]) < TINY])
    if len(rim) == 0:
        raise MeshError("the halo or the cement reaches the bone's surface at the entry of the screw")
    rim = rim[np.argsort(np.arctan2(points[rim, 1], points[rim, 0]))]
    outer_points, outer_triangles = surface(points[rim])
    largest = np.hypot(*points[side.ravel(), :2].T).max()

    def size(x):
        away = np.hypot(x[:, 0], x[:, 1]) - largest
        away = np.maximum(away, core.outer[-1, 1] - x[:, 2])
        return np.clip(resolution.near + 0.35 * away, resolution.near, resolution.far)

    points, tets = fill(points, side, outer_points, outer_triangles, size)
    skin = outer_points[outer_triangles]
    known = {tuple(c) for c in np.round(skin.mean(axis=1), 5)}

    def outer(x):
        return np.array([tuple(c) in known for c in np.round(x.mean(axis=1), 5)], bool)

    return points, np.vstack([cells, tets]), np.concatenate([region, np.zeros(len(tets), region.dtype)]), outer


def _distance(points, chain):
    """Distance of points (..., 2) to a polyline."""
    a, b = chain[:-1], chain[1:]
    d = b - a
    t = np.einsum("...kd,kd->...k", points[..., None, :] - a, d) / np.maximum(np.einsum("kd,kd->k", d, d), 1e-30)
    foot = a + np.clip(t, 0, 1)[..., None] * d
    return np.linalg.norm(points[..., None, :] - foot, axis=-1).min(axis=-1)


def _finish(points, cells, region, screw, core, held, cement):
    """Let cement soak broken bone, split the interfaces and name the facets."""
    soaked = soak(points, cells, region, adjacency(cells)[1], cement.broken, core.soaked) if core.soaked else 0.0
    points, cells, interfaces = split(points, cells, region)
    boundary, _ = adjacency(cells)
    facets = facet_vertices(cells, boundary)
    owner = region[boundary[:, 0]]
    x = points[facets]
    r = np.hypot(x[..., 0], x[..., 1]) if x.shape[-1] == 3 else x[..., 0]
    top = 0.5 + screw.head_height
    named = {"head_top": facets[np.all(x[..., -1] > top - TINY, axis=1) & (owner == REGIONS["screw"])],
             "held": facets[held(x, r) & (owner != REGIONS["screw"])]}
    if points.shape[1] == 2:
        named["axis"] = facets[np.all(r < TINY, axis=1)]
    mesh = LabMesh(points, cells, region, named, interfaces)
    if cell_volumes(points, cells).min() <= 0:
        raise MeshError("the mesh has inverted cells")
    mesh.info = {"volumes_mm3": mesh.volumes(), "quality": mesh.quality(), "cells": len(cells), "points": len(points),
                 "insertion_depth_mm": screw.depth, "core_radius_mm": core.rim_radius,
                 "soak_mm3": core.soaked, "soaked_mm3": soaked,
                 "cement_volume_mm3": sum(v for k, v in mesh.volumes().items() if k.startswith("cement"))}
    return mesh
