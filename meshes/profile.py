"""The (r, z) half profile: screw with its thread, thread bone, halo and cement, triangulated by Gmsh."""

from dataclasses import dataclass
from math import radians, tan

import gmsh
import numpy as np

from meshes.kernel import gmsh_model
from meshes.labmesh import REGIONS, cell_volumes
from meshes.outline import weave
from meshes.specimen import LEAST, MeshError

HEAD = 5.0  # mm, radius of the head
WALL = 0.4  # mm of bone that must be left round what lies in it
APART = 0.25  # mm between a measured halo and the outside of the core, which may not touch
FAILURE_BAND = 0.3  # mm beyond the thread crest that is meshed as fine as the thread


@dataclass(frozen=True)
class Profile:
    """points (n, 2) as (r, z), cells (m, 3) counter-clockwise, region (m,)."""

    points: np.ndarray
    cells: np.ndarray
    region: np.ndarray


def screw_outline(screw):
    """Chain of the screw: head, neck, threads from the entry to the tip, chamfered tip.

    Trapezoidal closed threads at the pitch: crest width `crest` at the major radius, flanks at the flank angles down
    to the (tapered) root. Raises MeshError when the thread does not fit into the pitch.
    """
    depth, major = screw.depth, screw.radius
    smooth = screw.thread == "smooth"
    root = (lambda z: major) if smooth else screw.core_radius
    if root(-depth) < 0.5:
        raise MeshError(
            f"a core of {screw.core_diameter:g} mm with a taper of {screw.taper:g} deg leaves {2 * root(-depth):.2f} mm"
            " at the tip; use a smaller taper or a thicker core"
        )
    top = 0.5 + screw.head_height
    chain = [(0.0, top), (HEAD, top), (HEAD, 0.5), (root(0.0), 0.5), (root(0.0), 0)]
    chamfer = 0.35 * root(-depth)
    if not smooth:
        chain += _threads(screw, depth - chamfer)
    end = -depth + chamfer
    chain += [(root(end), end), (root(end) - chamfer, -depth), (0.0, -depth)]
    return np.array(chain, float)


def _threads(screw, depth):
    """Corner points of all whole threads between a short plain neck and `depth`; the first lies a quarter of the pitch below the entry of
    the screw whose groove they follow."""
    proximal, distal = tan(radians(screw.proximal_flank)), tan(radians(screw.distal_flank))
    deepest = screw.radius - screw.core_radius(-depth)
    width = screw.crest + deepest * (proximal + distal)
    if width > 0.95 * screw.pitch:
        raise MeshError(
            f"threads {deepest:.2f} mm deep with a crest of {screw.crest:g} mm are {width:.2f} mm wide at the root and"
            f" do not fit a pitch of {screw.pitch:g} mm; use a thicker core, steeper flanks or a larger pitch"
        )
    points = []
    crest = screw.follows - (0.25 * screw.pitch + (screw.radius - screw.core_radius(0)) * proximal)  # upper edge of the first crest
    while True:
        depth_top, depth_low = screw.radius - screw.core_radius(crest), screw.radius - screw.core_radius(crest - screw.crest)
        upper, lower = crest + depth_top * proximal, crest - screw.crest - depth_low * distal
        if lower < -depth + 0.1 * screw.pitch:
            return points
        if depth_top > 0.1 and upper < -0.05 * screw.pitch:
            points += [
                (screw.core_radius(upper), upper), (screw.radius, crest),
                (screw.radius, crest - screw.crest), (screw.core_radius(lower), lower),
            ]  # fmt: skip
        crest -= screw.pitch


def _between_threads(screw, depth):
    """Depth nearest to `depth` that lies in the middle between two threads, where a flat end leaves no slivers, mm."""
    z = np.array(_threads(screw, screw.depth))[:, 1].reshape(-1, 4)
    middles = -0.5 * (z[:-1, 3] + z[1:, 0])
    return float(middles[np.argmin(np.abs(middles - depth))])


def halo_outline(halo, spacing, room, screw):
    """Chain of the halo's outer boundary, entry to its flat end below the old tip; a measured halo may end before.

    room: function z -> radius of the bone round the axis; a measured halo, which is a ring of equal volume, ends within it.
    """
    deep, end = halo.bottom, halo.thickness
    if halo.shape == "measured":
        end = float(halo.thickness_at(-deep))
        if deep < screw.depth - screw.pitch and screw.thread != "smooth":
            deep, end = _between_threads(screw, deep), 0.0
    count = 1 if halo.shape == "cylinder" else max(int(np.ceil(deep / spacing)), 1)
    z = np.linspace(0.0, -deep, count + 1)
    r = halo.outer_radius(z)
    if halo.shape == "measured":
        r = np.minimum(r, np.maximum(room(z) - WALL - APART, halo.around_diameter / 2 + LEAST))
    bottom = -deep - end
    if not end:
        return np.vstack([[0, 0], np.column_stack([r, z]), [0, bottom]])
    return np.vstack([[0, 0], np.column_stack([r, z]), [r[-1], bottom], [0, bottom]])


def triangulate(domain, screw, sizes, bone, halo=None, filled=None, cloud=None, content="fibrous"):
    """Mesh the half plane.

    domain, screw, halo, filled, cloud: chains (see `outline`); halo without `filled` holds `content`: tissue ('fibrous'), nothing
    ('empty') or the bone that it is made of ('debris'), `filled` is the part of it that holds pure cement, `cloud` infiltrated bone.
    bone: region of the rest.
    sizes: function (r, z) -> edge length, mm. Returns a Profile.
    """
    bodies = {"screw": screw, "halo": halo, "filled": filled, "cloud": cloud, "domain": domain}
    bodies = {name: chain for name, chain in bodies.items() if chain is not None}
    bodies = dict(zip(bodies, weave(list(bodies.values()))))
    with gmsh_model("profile"):
        points, cells, owners = _mesh_faces(bodies, sizes)
    inside = {name: np.array([name in owner for owner in owners]) for name in bodies}
    region = np.full(len(cells), REGIONS[bone])
    none = np.zeros(len(cells), bool)
    region[inside.get("cloud", none)] = REGIONS["cemented_bone"]
    if content != "debris":
        region[inside.get("halo", none)] = 0 if content == "empty" else REGIONS["halo"]
    region[inside.get("filled", none)] = REGIONS["cement"]
    region[inside["screw"]] = REGIONS["screw"]
    keep = region > 0
    used, local = np.unique(cells[keep], return_inverse=True)
    return Profile(points[used], local.reshape(-1, 3), region[keep])


def _mesh_faces(bodies, sizes):
    """Gmsh triangles of the fragments of all bodies: points, cells (counter-clockwise), the bodies that own each cell."""
    occ = gmsh.model.occ
    tags = {}
    for name, chain in bodies.items():
        faces = [(2, _face(chain))]
        if name not in ("screw", "domain"):  # no lines inside the screw
            faces = occ.cut(faces, [(2, tags["screw"][0][1])], removeTool=False)[0]
        tags[name] = faces
    flat = [(name, face) for name, faces in tags.items() for face in faces]
    _, parts = occ.fragment([flat[0][1]], [face for _, face in flat[1:]])
    occ.synchronize()
    owner = {}
    for (name, _), pieces in zip(flat, parts):
        for piece in pieces:
            owner.setdefault(piece[1], set()).add(name)
    gmsh.option.setNumber("Mesh.Algorithm", 6)
    gmsh.option.setNumber("Mesh.MeshSizeExtendFromBoundary", 0)
    gmsh.option.setNumber("Mesh.MeshSizeFromPoints", 0)
    gmsh.model.mesh.setSizeCallback(lambda dim, tag, x, y, z, lc: sizes(x, y))
    gmsh.model.mesh.generate(2)
    gmsh.model.mesh.removeSizeCallback()
    ids, xyz, _ = gmsh.model.mesh.getNodes()
    index = np.zeros(int(ids.max()) + 1, int)
    index[ids] = np.arange(len(ids))
    points = xyz.reshape(-1, 3)[:, :2]
    points[np.abs(points[:, 0]) < 1e-7, 0] = 0.0
    cells, owners = [], []
    for tag, names in owner.items():
        _, nodes = gmsh.model.mesh.getElementsByType(2, tag)
        cells.append(index[nodes.reshape(-1, 3)])
        owners += [frozenset(names)] * len(cells[-1])
    cells = np.vstack(cells)
    clockwise = cell_volumes(points, cells) < 0
    cells[clockwise] = cells[clockwise][:, ::-1]
    return points, cells, np.array(owners, object)


def _face(chain):
    occ = gmsh.model.occ
    corners = [occ.addPoint(r, z, 0) for r, z in chain]
    lines = [occ.addLine(a, b) for a, b in zip(corners, corners[1:] + corners[:1])]
    return occ.addPlaneSurface([occ.addCurveLoop(lines)])


def size_function(screw, resolution, core_radius):
    """Edge length (mm) at (r, z): `thread` from the root to beyond the crest, `near` at the core's outside, `far` away.

    core_radius: mm.
    """
    h, near, far = resolution.thread, resolution.near, resolution.far
    band = screw.radius + FAILURE_BAND
    grow = (near - h) / max(core_radius - band, 2 * (near - h))
    reach = (near - h) / grow

    def size(r, z):
        if z > 0.25:
            return max(near, h + 0.6 * (z - 0.25))
        root = screw.radius if screw.thread == "smooth" else screw.core_radius(max(z, -screw.depth))
        inside, outside, below = root - r, r - band, -screw.depth - FAILURE_BAND - z
        if below <= 0 and outside <= 0:
            return min(h + 0.5 * max(inside, 0.0), 2 * near)
        d = np.hypot(max(outside, 0.0), max(below, 0.0))
        return min(h + grow * d if d < reach else near + 0.35 * (d - reach), far)

    return size
