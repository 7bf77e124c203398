"""The bone between the swept core round the screw and the outer surface of the specimen: tets by Gmsh.

Both surfaces are kept triangle by triangle, so the core and the boundary sets of the surface fit without a seam.
"""

from math import ceil, pi
import multiprocessing
import warnings

import gmsh
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from meshes.kernel import gmsh_model
from meshes.labmesh import cell_volumes, radius_ratio
from meshes.specimen import MeshError
from meshes.split import adjacency, facet_vertices

TOLERANCE = 1e-6  # mm: rim points of the two surfaces nearer than this are one point
GOOD, USABLE = 0.03, 0.005  # smallest radius ratio that ends the attempts; that the best attempt must have
FORK = multiprocessing.get_context("fork")
ATTEMPTS = ((10, 1.0), (1, 1.0), (10, 0.75), (10, 1.25))  # (algorithm, size factor); HXT (10) leaves fewest slivers


def fill(core_points, core_facets, outer_points, outer_triangles, size):
    """Tetrahedra between the core and the outer surface.

    core_points (n, 3); core_facets (k, 3): side and bottom of the core, outward of the core; outer_points (m, 3),
    outer_triangles (l, 3): the outer surface, outward, open only at the hole whose rim is the upper rim of the core
    facets (points equal to 1e-6 mm); size: function of points (q, 3) that gives edge lengths (q,); all mm.
    Returns (points, tets): the core points first and unchanged, then those of the outer surface and of the inside;
    tets positively oriented. Every given triangle is a face of exactly one tet. Raises MeshError.
    """
    core_points, outer_points = np.asarray(core_points, float), np.asarray(outer_points, float)
    points, outer = _joined(core_points, core_facets, outer_points, outer_triangles)
    _check_inside(points, core_facets, outer)
    surface = np.vstack([core_facets[:, ::-1], outer])
    enclosed = enclosed_volume(points, surface)
    best = None
    for algorithm, factor in ATTEMPTS:
        found = _apart(lambda a=algorithm, f=factor: _gmsh_tets(points, surface, lambda x: f * size(x), a))
        made = found and _collect(points, surface, *found)
        if made is None or not _sound(*made, surface, enclosed):
            continue
        poorest = radius_ratio(*made).min()
        if best is None or poorest > best[0]:
            best = poorest, made
        if poorest > GOOD:
            break
    if best is None or best[0] < USABLE:
        raise MeshError(
            "the bone round the screw could not be meshed: the screw (with its halo and cement) comes too close to the "
            "surface of the bone; move the entry point, change the angles or take a thinner screw"
        )
    return best[1]


def _apart(make):
    """What `make()` returns, computed in a process forked from this one; None if that dies: Gmsh aborts on some surfaces, and would take
    with it whoever meshes."""
    here, there = FORK.Pipe(duplex=False)
    child = FORK.Process(target=lambda: there.send(make()), daemon=True)
    with warnings.catch_warnings():  # of threads that the child does not have: it uses none of theirs
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return None
    finally:
        child.join()
        here.close()


def enclosed_volume(points, triangles):
    """Volume (mm^3) inside a closed, outward oriented surface: integral of x.n/3 (divergence theorem)."""
    a, b, c = np.moveaxis(points[triangles] - points[triangles].mean(axis=(0, 1)), 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def _joined(core_points, core_facets, outer_points, outer_triangles):
    """All points, the core's first, and the outer triangles numbered in them; checks that the surface is closed."""
    used = np.unique(core_facets)
    distance, nearest = cKDTree(core_points[used]).query(outer_points, distance_upper_bound=TOLERANCE)
    same = np.isfinite(distance)
    fresh = np.zeros(len(outer_points), bool)
    fresh[outer_triangles] = True
    fresh &= ~same
    number = np.full(len(outer_points), -1)
    number[same] = used[nearest[same]]
    number[fresh] = len(core_points) + np.arange(fresh.sum())
    outer = number[outer_triangles]
    both = np.vstack([core_facets[:, ::-1], outer])
    edges = both[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    forward, backward = (np.unique(e, axis=0) for e in (edges, edges[:, ::-1]))
    if len(forward) != len(edges) or not np.array_equal(forward, backward):
        raise MeshError("the surfaces of core and specimen do not close: the rim of the entry hole does not match")
    return np.vstack([core_points, outer_points[fresh]]), outer


def _check_inside(points, core_facets, outer):
    """Raise MeshError where the core breaks through the outer surface (winding number below 1/2)."""
    probes = np.vstack([points[np.setdiff1d(core_facets, outer)], points[core_facets].mean(axis=1)])
    edges = outer[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    rim = edges[np.isin(edges, core_facets).all(axis=1)]
    middle = points[np.unique(rim)].mean(axis=0)  # a fan over the hole closes the surface
    lid = np.column_stack([rim[:, ::-1], np.full(len(rim), len(points))])
    out = _winding(probes, np.vstack([points, middle]), np.vstack([outer, lid])) < 0.5
    if out.any():
        z = probes[out, 2]
        raise MeshError(
            "the screw (with its halo, cement and the bone next to the thread) breaks out of the bone at depths of "
            f"{-z.max():.1f} to {-z.min():.1f} mm; take a shorter or thinner screw or change entry point and angles"
        )


def _winding(probes, points, triangles):
    """(q,) winding numbers of a closed surface: sum of solid angles / 4 pi (van Oosterom and Strackee 1983)."""
    a, b, c = points[triangles.T]
    normal, volume = np.cross(a, b) + np.cross(b, c) + np.cross(c, a), np.einsum("ij,ij->i", a, np.cross(b, c))
    used, local = np.unique(triangles, return_inverse=True)
    i, j, k = local.reshape(-1, 3).T
    result = []
    for p in np.array_split(probes, len(probes) * len(triangles) // 1_000_000 + 1):
        square = np.einsum("ij,ij->i", p, p)[:, None]
        away = cdist(p, points[used])

        def dot(u, v, p=p, square=square):  # (u - p).(v - p)
            return np.einsum("ij,ij->i", u, v) - p @ (u + v).T + square

        la, lb, lc = away[:, i], away[:, j], away[:, k]
        below = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb
        result.append(2 * np.arctan2(volume - p @ normal.T, below).sum(axis=1))
    return np.concatenate(result) / (4 * pi)


def _gmsh_tets(points, surface, size, algorithm):
    """Tags and coordinates of all nodes, and nodes of the tets inside the closed surface, or None when Gmsh gives up. Points of the
    surface are tagged from 1 in their order."""
    used, local = np.unique(surface, return_inverse=True)
    with gmsh_model("outside") as model:
        gmsh.option.setNumber("Mesh.MeshSizeExtendFromBoundary", 0)
        gmsh.option.setNumber("Mesh.MeshSizeFromPoints", 0)
        gmsh.option.setNumber("Mesh.Algorithm3D", algorithm)
        gmsh.option.setNumber("Mesh.Renumber", 0)
        gmsh.option.setNumber("Mesh.Optimize", 1)
        gmsh.option.setNumber("Mesh.OptimizeThreshold", 0.25)
        skin = model.addDiscreteEntity(2)
        model.mesh.addNodes(2, skin, np.arange(1, len(used) + 1), points[used].ravel())
        model.mesh.addElementsByType(skin, 2, [], local.ravel() + 1)
        volume = model.geo.addVolume([model.geo.addSurfaceLoop([skin])])
        model.geo.synchronize()
        model.mesh.setSizeCallback(lambda dim, tag, x, y, z, lc: float(size(np.array([[x, y, z]]))[0]))
        try:
            model.mesh.generate(3)
        except Exception:  # Gmsh raises bare Exceptions
            return None
        finally:
            model.mesh.removeSizeCallback()
        tags, x, _ = model.mesh.getNodes()
        return tags, x, model.mesh.getElementsByType(4, volume)[1]


def _collect(points, surface, tags, x, nodes):
    """(points, tets) of what `_gmsh_tets` found, or None where that is no tet. Points of the surface keep their ids."""
    if len(nodes) == 0:
        return None
    used = np.unique(surface)
    fresh = np.setdiff1d(nodes, np.arange(1, len(used) + 1)).astype(int)  # an unused surface point fails `_sound`
    number = np.full(int(tags.max()) + 1, -1)
    number[1 : len(used) + 1] = used
    number[fresh] = len(points) + np.arange(len(fresh))
    place = np.zeros(len(number), int)
    place[tags.astype(int)] = np.arange(len(tags))
    tets = number[nodes.astype(int)].reshape(-1, 4)
    points = np.vstack([points, x.reshape(-1, 3)[place[fresh]]])
    mirrored = cell_volumes(points, tets) < 0
    tets[mirrored] = tets[mirrored][:, [1, 0, 2, 3]]
    return points, tets


def _sound(points, tets, surface, enclosed):
    """Whether the boundary of the tets is the surface, triangle by triangle, and the volumes agree to 1e-6."""
    volumes = cell_volumes(points, tets)
    try:
        boundary = facet_vertices(tets, adjacency(tets)[0])
    except ValueError:
        return False
    faces = [np.unique(np.sort(f, axis=1), axis=0) for f in (boundary, surface)]
    return volumes.min() > 0 and np.array_equal(*faces) and abs(volumes.sum() - enclosed) < 1e-6 * enclosed


def block_surface(block, ring, size):
    """Outer surface of a foam block, (points (m, 3), triangles (l, 3)), outward, open at the entry hole.

    block: specimen.Block; ring (N, 3): rim of the hole in the plane z = 0, in order round the axis, kept exactly; size:
    function of points (q, 3) giving edge lengths; mm. The inner circle of the support ring is made of edges, so the
    facets of the top face whose centroid has r > ring_inner_diameter/2 are those under the ring.
    """
    half, radius = block.width / 2, block.ring_inner_diameter / 2
    hole = np.hypot(*ring[:, :2].T).max()
    if not hole < radius - 0.5 or not radius < half - 0.5:
        raise MeshError(
            f"the support ring (inner diameter {2 * radius:g} mm) must be wider than the screw with the foam next to it"
            f" ({2 * hole:.1f} mm) and narrower than the block ({block.width:g} mm)"
        )
    count = max(24, 2 * ceil(pi * radius / float(size(np.array([[radius, 0.0, 0.0]]))[0])))
    angle = 2 * pi * np.arange(count) / count
    circle = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle])
    square = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    with gmsh_model("block") as model:
        geo = model.geo

        def loop(xyz, fixed):
            points = [geo.addPoint(*p) for p in xyz]
            lines = [geo.addLine(a, b) for a, b in zip(points, points[1:] + points[:1])]
            for line in lines if fixed else []:
                geo.mesh.setTransfiniteCurve(line, 2)
            return points, lines, geo.addCurveLoop(lines)

        _, _, rim = loop(ring, True)
        _, _, support = loop(circle, True)
        upper, top, edge = loop(np.column_stack([square, np.zeros(4)]), False)
        lower, bottom, floor = loop(np.column_stack([square, np.full(4, -block.height)]), False)
        walls = [geo.addLine(a, b) for a, b in zip(upper, lower)]
        loops = [[support, rim], [edge, support], [floor]]
        for i in range(4):
            loops.append([geo.addCurveLoop([walls[i], bottom[i], -walls[(i + 1) % 4], -top[i]])])
        for curves in loops:
            geo.addPlaneSurface(curves)
        geo.synchronize()
        gmsh.option.setNumber("Mesh.MeshSizeExtendFromBoundary", 0)
        gmsh.option.setNumber("Mesh.Algorithm", 6)
        model.mesh.setSizeCallback(lambda dim, tag, x, y, z, lc: float(size(np.array([[x, y, z]]))[0]))
        model.mesh.generate(2)
        model.mesh.removeSizeCallback()
        tags, x, _ = model.mesh.getNodes()
        _, nodes = model.mesh.getElementsByType(2)
    number = np.zeros(int(tags.max()) + 1, int)
    number[tags.astype(int)] = np.arange(len(tags))
    points, triangles = x.reshape(-1, 3), number[nodes.astype(int)].reshape(-1, 3)
    rim_at = cKDTree(points).query(ring)[1]
    points[rim_at] = ring
    corner = points[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    inward = np.einsum("ij,ij->i", normal, corner.mean(axis=1) - [0.0, 0.0, -block.height / 2]) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return points, triangles
