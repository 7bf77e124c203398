"""A vertebra as one implicit surface: smoothly blended body, pedicles, articular pillars, laminae and processes.

Anatomical frame: X left, Y posterior, Z cranial, origin in the middle of the body, mm. `sdf` is negative inside and close
to the distance near the surface. Level dimensions come from `meshes.anatomy`; the shape parameters below that scale with
them (waist, pillars, processes) were chosen by eye against the mean L2-L5 surfaces of 87 patients (Clouthier 2023);
benchmarks/verification/vertebra.py compares.
"""

import numpy as np
from skimage.measure import marching_cubes

from meshes.anatomy import level
from meshes.labmesh import REGIONS
from meshes.specimen import MARGIN, MeshError

WAIST = 0.10  # how much narrower the body is at mid height
DISHING = 1.6  # mm, depth of the concave end plates
BLEND = 3.0  # mm, radius of the smooth unions
CORTEX = {"body": 0.35, "posterior": 0.8, "lateral": 0.7, "medial": 0.8, "upper and lower": 1.75}  # mm
SIDES = {"L4": {"lateral": 1.1, "medial": 1.3}, "L5": {"lateral": 1.7, "medial": 1.3}, "S1": {"lateral": 1.7, "medial": 1.3}}
# Body and end plates: Silva 1994; arch: standard value, check original. Sides of the pedicle: Irie 2021, micro-CT of the isthmus of six
# donors of 50 to 67 years: medial 0.8 mm from L1 to L3 and 1.3 below, lateral 0.6, 0.7, 0.9, 1.1, 1.7 from L1 to L5; histology of 20 L3 (mean of
# men and women 0.8 and 0.6) agrees. Above and below they do not: 3.1 to 4.0 mm of porous bone by micro-CT, 1.2 to 1.6 by histology; 1.75 is
# kept between them. S1 as L5, the thoracic spine as L1 to L3: choices.
FREE_WALL = 2.0  # mm in front of the posterior wall where the resin of the laboratory ends: choice
SPOT = 0.8  # mm of flat bone round the core at the entry
LONGEST_WAY = 150.0  # mm: no vertebra is that deep
ROOT = 10.0  # mm in front of the pedicle over which its wall thins to the shell of the body: choice, the size of the fillet


def entry_radius(diameter):
    """Radius of the flat bone that a screw of this diameter enters, mm."""
    return diameter / 2 + MARGIN + SPOT


class VertebraShape:
    """Shape of one vertebra and the trajectory of a screw in it (see `meshes.specimen.Vertebra`)."""

    def __init__(self, vertebra):
        self.vertebra = vertebra
        self.level = v = level(vertebra.level)
        self.sign = 1.0 if vertebra.side == "left" else -1.0
        self.wall = v.depth / 2  # y of the posterior wall at mid height
        lum = v.lumbar
        self.scale = s = v.width / 49.0 if lum else v.depth / 30.0
        self.canal_depth = 13.0 if lum else 14.0
        self.z_pedicle = v.height / 2 - v.pedicle_height / 2 - (2.0 if lum else -1.0)
        # thin thoracic pedicles keep clear of the canal, which would shave their medial wall
        self.x_pedicle = v.canal / 2 + v.pedicle_width / 2 + (0.7 if v.pedicle_width < 6.5 else 0.0)
        self.isthmus = self.wall + (4.5 if lum else 5.5) * min(1.0, s + 0.1)
        # behind the posterior wall, along the pedicle; the arch of the low levels lies closer to the body
        self.pillar_back = ((13.0 if lum else 11.5) * s + 1.5) * {"L4": 0.8, "L5": 0.45}.get(v.name, 1.0)
        self.pillar_radius = max((8.0 if lum else 6.4) * s, 0.5 * v.pedicle_width + (1.0 if v.name == "L5" else 2.5))

    # ---- shape --------------------------------------------------------------------------------------------------

    def axis(self, side, transverse=None, sagittal=None):
        """Unit vector along a pedicle, pointing out of the bone (posterior)."""
        t = np.radians(self.level.transverse if transverse is None else transverse)
        c = np.radians(self.level.sagittal if sagittal is None else sagittal)
        return np.array([side * np.sin(t) * np.cos(c), np.cos(t) * np.cos(c), np.sin(c)])

    def centre(self, side):
        """Middle of the pedicle's isthmus."""
        return np.array([side * self.x_pedicle, self.isthmus, self.z_pedicle])

    def sdf(self, points):
        """Signed distance (approximately, mm) at points (n, 3)."""
        p = np.asarray(points, float)
        d = self._body(p)
        for side in (1.0, -1.0):
            d = _union(d, self._pedicle(p, side), BLEND)
            d = _union(d, self._pillar(p, side), BLEND)
        d = _union(d, self._arch(p), BLEND)
        return _difference(d, self._canal(p), 1.0)

    def _body(self, p):
        v = self.level
        x, y, z = p.T
        zeta = np.clip(2 * z / v.height, -1.0, 1.0)
        waist = 1.0 - WAIST * (1.0 - zeta**2)
        a, b = v.width / 2 * waist, v.depth / 2 * (1.0 - 0.6 * WAIST * (1 - zeta**2))
        n = 2.4
        r = ((np.abs(x) / a) ** n + (np.abs(y) / b) ** n) ** (1 / n)
        side = (r - 1.0) * np.minimum(a, b)
        rho = np.clip(np.hypot(2 * x / v.width, 2 * y / v.depth), 0.0, 1.0)
        # the anterior wall of lumbar bodies is a little higher than the posterior one
        half = v.height / 2 + 0.6 + 0.02 * v.height * (-y / v.depth) - DISHING * (1 - rho**2)
        plate = np.abs(z) - half
        back = y - (self.wall + 1.0 - 2.0 * np.clip(1 - (2 * x / v.canal) ** 2, 0, 1))  # concave posterior wall
        d = _intersection(_intersection(side, plate, 2.0), back, 1.0)
        if v.name == "S1":  # the ala on either side
            ala = _ellipsoid(np.stack([np.abs(x), y, z], 1) - [v.width * 0.62, 0.25 * v.depth, -2.0],
                             [0.34 * v.width, 0.5 * v.depth, 0.5 * v.height])
            d = _union(d, ala, 5.0)
        return d

    def _pedicle(self, p, side):
        v = self.level
        q = p - self.centre(side)
        out = self.axis(side)
        up = np.array([0.0, 0.0, 1.0])
        lateral = np.cross(out, up)
        lateral /= np.linalg.norm(lateral)
        cranial = np.cross(lateral, out)
        s, w, h = q @ out, q @ lateral, q @ cranial
        flare = 1.0 + 0.12 * np.clip((np.abs(s) - 1.0) / (5.0 * max(self.scale, 0.5)), 0.0, 1.0) ** 2
        a, b = v.pedicle_width / 2 * flare, v.pedicle_height / 2 * flare
        r = np.sqrt((w / a) ** 2 + (h / b) ** 2)
        tube = (r - 1.0) * np.minimum(a, b)
        front, back = -(self.isthmus - self.wall) - 8.0, self.pillar_back - (self.isthmus - self.wall)
        return np.maximum(tube, np.maximum(front - s, s - back))

    def _pillar(self, p, side):
        """Articular processes, transverse process and their common mass behind the pedicle."""
        v, s, lum = self.level, self.scale, self.level.lumbar
        out = self.axis(side)
        mass = self.centre(side) + out * (self.pillar_back - (self.isthmus - self.wall))
        r = self.pillar_radius
        d = _ellipsoid(p - mass, [r, 0.85 * r, max(1.05 * r, 0.62 * v.pedicle_height)])
        top = mass + [side * 0.5 * s, -0.5 * s, 0.55 * v.height * (1.0 if lum else 0.8)]
        low = np.array([side * (0.42 * v.canal if lum else 0.5 * v.canal), mass[1] + 5.0 * s, -0.62 * v.height])
        d = _union(d, _capsule(p, mass, top, 5.2 * s, 4.2 * s), 3.0)
        d = _union(d, _capsule(p, mass + [0, 2.0 * s, -2.0], low, 5.6 * s, 4.6 * s), 3.0)
        tip = mass + ([side * 21.0 * s, 2.0 * s, 1.0 * s] if lum else [side * 17.0 * s, 9.0 * s, 3.0 * s])
        if v.name != "S1":
            d = _union(d, _capsule(p, mass + [side * 2.0, 0, 0], tip, 5.0 * s, 3.6 * s), 3.0)
        return d

    def _arch(self, p):
        """Laminae and spinous process."""
        v, s, lum = self.level, self.scale, self.level.lumbar
        ridge = np.array([0.0, self.wall + self.canal_depth + 6.0 * s, -0.12 * v.height])
        squeeze = np.array([1.0, 1.0, 0.55 if lum else 0.45])  # laminae are higher than thick
        d = np.full(len(p), np.inf)
        for side in (1.0, -1.0):
            mass = self.centre(side) + self.axis(side) * (self.pillar_back - (self.isthmus - self.wall))
            start = mass + [0, 3.0 * s, -0.25 * v.height]
            d = np.minimum(d, _capsule(p * squeeze, start * squeeze, ridge * squeeze, 4.2 * s, 4.0 * s))
        if v.name == "S1":
            end = ridge + [0, 8.0 * s, -2.0]
        elif lum:
            end = ridge + [0, 21.0 * s, -4.0 * s]
        else:
            steep = {"T1": 0.35, "T2": 0.6, "T3": 0.8, "T10": 0.8, "T11": 0.5, "T12": 0.3}.get(v.name, 1.1)
            end = ridge + np.array([0, 22.0 * s, -22.0 * s * steep])
        flat = np.array([1.35, 1.0, 0.42 if lum else 0.7])  # a blade in the sagittal plane
        return _union(d, _capsule(p * flat, ridge * flat, end * flat, 4.6 * s, 4.2 * s), 3.0)

    def _canal(self, p):
        v = self.level
        x, y, _ = p.T
        a, b = v.canal / 2, self.canal_depth / 2
        r = (np.abs(x / a) ** 2.3 + np.abs((y - self.wall + 2.0 - b) / b) ** 2.3) ** (1 / 2.3)
        return (r - 1.0) * min(a, b)

    # ---- trajectory ---------------------------------------------------------------------------------------------

    def frame(self, entry_radius):
        """(R, origin) of the screw frame: x_anatomical = R @ x_screw + origin; z out of the bone, x towards cranial.

        The origin is where the flat disc of `entry_radius` normal to the axis first lies wholly in bone, coming from
        outside. Raises MeshError if it never does."""
        way = self.vertebra
        z = self.axis(self.sign, way.transverse_angle, way.sagittal_angle)
        x = np.array([0.0, 0.0, 1.0]) - z[2] * z
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z], axis=1)
        lateral, cranial = way.offset
        # offsets are those of the entry; angles turn the screw about the isthmus
        start = self.centre(self.sign) + self.sign * np.array([lateral, 0, 0]) + np.array([0, 0, cranial])
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        disc = np.concatenate([np.stack([f * np.cos(angle), f * np.sin(angle), 0 * angle], 1) for f in (0.5, 1.0)])
        disc = np.vstack([[0, 0, 0], disc * entry_radius])
        origins = start + np.arange(45.0, -4.0, -0.25)[:, None] * z
        inside = self.sdf((disc @ R.T + origins[:, None]).reshape(-1, 3)).reshape(len(origins), -1) < -0.3
        if (within := inside.all(axis=1)).any():
            return R, origins[np.argmax(within)]
        raise MeshError(f"no flat entry of {2 * entry_radius:.1f} mm diameter is found on {way.level} along this"
                        " trajectory; use a thinner screw or another trajectory")

    def way(self, R, origin):
        """Length of the screw axis from the entry to where it leaves the bone, mm."""
        depths = np.arange(0.0, LONGEST_WAY, 0.25)
        outside = np.flatnonzero(self.sdf(origin - depths[:, None] * R[:, 2]) >= 0)
        return float(depths[outside[0]])

    def breach(self, R, origin, radius, depth):
        """How far below the entry a cylinder of `radius` round the screw axis, `depth` long, first leaves the bone, mm; None if it does not."""
        depths, angle = np.arange(0.5, depth + 0.25, 0.5), np.linspace(0, 2 * np.pi, 32, endpoint=False)
        circle = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], 1) @ R.T
        d = self.sdf((circle + (origin - depths[:, None] * R[:, 2])[:, None]).reshape(-1, 3)).reshape(len(depths), -1)
        outside = np.flatnonzero(d.max(axis=1) >= 0)
        return float(depths[outside[0]]) if len(outside) else None

    def clearance(self, R, origin, depth):
        """Radius of the bone round the screw axis: (depths (k,), radii (k,)), mm; 0 where the axis has left the bone."""
        depths = np.arange(0.0, depth + 0.25, 0.5)
        angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        radius = np.arange(0.0, 24.01, 0.5)
        s, r, a = np.meshgrid(depths, radius, angle, indexing="ij")
        local = np.stack([r * np.cos(a), r * np.sin(a), -s], -1).reshape(-1, 3)
        d = self.sdf(local @ R.T + origin).reshape(s.shape).max(axis=2)
        out = np.zeros(len(depths))
        for k, row in enumerate(d):
            if row[0] >= 0:
                continue
            first = int(np.argmax(row > 0)) if (row > 0).any() else len(row)
            if first == len(row):
                out[k] = radius[-1]
            else:
                out[k] = radius[first - 1] + 0.5 * row[first - 1] / (row[first - 1] - row[first])
        gone = np.flatnonzero(out == 0.0)
        if gone.size and gone[0] > 0:
            out[gone[0] :] = 0.0  # what lies beyond the anterior cortex is not bone
        return depths, out

    # ---- labels -------------------------------------------------------------------------------------------------

    def region(self, points):
        """Region number (meshes.labmesh.REGIONS) of bone at points (n, 3): body, pedicle, posterior elements."""
        p = np.asarray(points, float)
        out = np.full(len(p), REGIONS["trabecular"])
        behind = p[:, 1] > self.wall - 1.0
        out[behind] = REGIONS["posterior"]
        for side in (1.0, -1.0):
            s = (p - self.centre(side)) @ self.axis(side)
            near = np.sign(p[:, 0]) == side
            tube = behind & near & (s < self.pillar_back - (self.isthmus - self.wall) - 0.4 * self.pillar_radius)
            out[tube] = REGIONS["pedicle"]
        return out

    def cortex_thickness(self, points):
        """Thickness (n,) of the cortical shell, mm; the wall of the pedicle is thickest above and below."""
        p = np.asarray(points, float)
        region = self.region(p)
        out = np.where(region == REGIONS["trabecular"], CORTEX["body"], CORTEX["posterior"])
        for side in (1.0, -1.0):
            along = self.axis(side)
            lateral = np.array([side, 0.0, 0.0]) - along * (side * along[0])
            lateral /= np.linalg.norm(lateral)
            q = p - self.centre(side)
            x = q @ lateral / (0.5 * self.level.pedicle_width)
            y = q @ np.cross(lateral, along) / (0.5 * self.level.pedicle_height)
            r = np.maximum(np.hypot(x, y), 1e-9)
            cortex = CORTEX | SIDES.get(self.level.name, {})
            wall = np.where(x > 0, cortex["lateral"], cortex["medial"]) * (x / r) ** 2
            wall += cortex["upper and lower"] * (y / r) ** 2
            near = np.sign(p[:, 0]) == side
            before = -(self.isthmus - self.wall + 1.0) - q @ along
            root = np.clip(1.0 - before / ROOT, 0.0, 1.0) * (r < 2.2)
            out = np.where(near & (region == REGIONS["pedicle"]), wall, out)
            out = np.where(near & (region == REGIONS["trabecular"]), out + (wall - out).clip(0.0) * root, out)
        return out

    def held(self, points):
        """Surface points that a lab's resin holds: the body, lying on its front, up to the roots of the pedicles."""
        return np.asarray(points)[:, 1] < self.wall - FREE_WALL

    def endplate(self, points):
        p = np.asarray(points)
        inside = np.hypot(2 * p[:, 0] / self.level.width, 2 * p[:, 1] / self.level.depth) < 0.9
        return inside & (np.abs(p[:, 2]) > self.level.height / 2 - DISHING - 1.0) & (p[:, 1] < self.wall)

    # ---- surface ------------------------------------------------------------------------------------------------

    def surface(self, R, origin, spot_radius, ring, size):
        """Outer surface in the screw frame: (points (n, 3), triangles (m, 3) outward).

        size: edge length, mm (less where the pedicle is thin). ring (N, 3): points in the plane z = 0 round the axis;
        the surface ends on them: inside `spot_radius` it is the plane, beyond it slopes up to the bone's own surface.
        ring None: the closed, untouched surface.
        """
        size = min(size, max(self.level.pedicle_width / 3.2, 1.6))
        points, triangles = self._closed_surface(size)
        points = (points - origin) @ R
        if ring is None:
            return points, triangles
        return _countersink(points, triangles, np.asarray(ring, float), spot_radius, size)

    def _closed_surface(self, size):
        v, s = self.level, self.scale
        # half a cell off zero: the model's symmetry plane must not pass through grid points
        low = np.array([-v.width / 2 - 30 * s, -v.depth / 2 - 6, -v.height / 2 - 45 * s])
        high = np.array([v.width / 2 + 30 * s, self.wall + 70 * s, v.height / 2 + 22 * s])
        axes = [np.arange(a + 0.37 * size, b, size) for a, b in zip(low, high)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        d = self.sdf(grid.reshape(-1, 3)).reshape(grid.shape[:3])
        points, triangles, _, _ = marching_cubes(d, 0.0, spacing=(size,) * 3, allow_degenerate=False)
        points = points + [a[0] for a in axes]
        points, triangles = _largest_piece(points, triangles.astype(np.int64))
        normal = np.cross(points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]])
        if np.einsum("ij,ij->", points[triangles].mean(1), normal) < 0:
            triangles = triangles[:, ::-1].copy()
        neighbours = _umbrella(len(points), triangles)
        for _ in range(12):  # equalise edges along the surface, then back onto it
            points = points + 0.6 * (neighbours @ points - points)
            points = self._project(points)
        return points, triangles

    def _project(self, points, steps=3):
        for _ in range(steps):
            d = self.sdf(points)
            h = 0.05
            g = np.stack([(self.sdf(points + h * e) - self.sdf(points - h * e)) / (2 * h) for e in np.eye(3)], 1)
            g2 = np.maximum(np.einsum("ij,ij->i", g, g), 0.05)
            points = points - np.clip(d / g2, -1.0, 1.0)[:, None] * g
        return points


# ---- implicit pieces --------------------------------------------------------------------------------------------


def _union(a, b, k):
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0.0, 1.0)
    return b + (a - b) * h - k * h * (1.0 - h)


def _intersection(a, b, k):
    return -_union(-a, -b, k)


def _difference(a, b, k):
    return -_union(-a, b, k)


def _ellipsoid(p, semi):
    semi = np.asarray(semi, float)
    k0 = np.linalg.norm(p / semi, axis=1)
    k1 = np.maximum(np.linalg.norm(p / semi**2, axis=1), 1e-9)
    return np.where(k0 < 1e-6, -semi.min(), k0 * (k0 - 1.0) / k1)


def _capsule(p, a, b, ra, rb):
    """Capsule from a to b whose radius goes from ra to rb."""
    d = b - a
    t = np.clip((p - a) @ d / (d @ d), 0.0, 1.0)
    return np.linalg.norm(p - a - t[:, None] * d, axis=1) - (ra + t * (rb - ra))


# ---- triangles --------------------------------------------------------------------------------------------------


def _umbrella(n, triangles):
    from scipy.sparse import coo_matrix, diags

    i = triangles[:, [0, 1, 2]].ravel()
    j = triangles[:, [1, 2, 0]].ravel()
    m = coo_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), shape=(n, n)).tocsr()
    m.data[:] = 1.0
    return diags(1.0 / np.maximum(np.asarray(m.sum(axis=1)).ravel(), 1)) @ m


def _largest_piece(points, triangles):
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    m = coo_matrix((np.ones(len(triangles)), (triangles[:, 0], triangles[:, 1])), shape=(len(points),) * 2)
    m = m + coo_matrix((np.ones(len(triangles)), (triangles[:, 1], triangles[:, 2])), shape=(len(points),) * 2)
    label = connected_components(m, directed=False)[1]
    big = np.bincount(label[triangles[:, 0]]).argmax()
    return _compact(points, triangles[label[triangles[:, 0]] == big])


def _compact(points, triangles):
    used, new = np.unique(triangles, return_inverse=True)
    return points[used], new.reshape(-1, 3)


def _countersink(points, triangles, ring, spot_radius, size):
    """Open the surface round the axis and join its rim to the circle of `spot_radius` and to `ring`, both in z = 0."""
    reach = spot_radius + 0.45 * size
    r = np.hypot(points[:, 0], points[:, 1])
    inside = (r < reach) & (points[:, 2] > -0.5 * size)
    gone = inside[triangles].any(axis=1)
    # only the piece of surface that the axis pierces from outside: grow from its highest triangle
    gone = _connected(triangles, gone, seed=int(np.argmax(np.where(inside, points[:, 2] - 0.2 * r, -np.inf))))
    for _ in range(20):
        loop_edges = _rim_edges(triangles[~gone])
        count = np.bincount(loop_edges[:, 0], minlength=len(points))
        pinched = np.flatnonzero(count > 1)
        if pinched.size == 0:
            break
        gone |= np.isin(triangles, pinched).any(axis=1)
    triangles = triangles[~gone]
    following = dict(_rim_edges(triangles))
    loops = []
    while following:
        start = next(iter(following))
        loop = [start]
        while (nxt := following.pop(loop[-1])) != start:
            loop.append(nxt)
        loops.append(loop)
    if len(loops) != 1:
        raise MeshError("the bone's surface round the entry is too ragged for this screw; use another trajectory")
    rim = np.array(loops[0])[::-1]  # the open side runs the other way round
    n = len(ring)
    angle = np.arctan2(ring[:, 1], ring[:, 0])
    ring, angle = ring[np.argsort(angle)], np.sort(angle)
    fine = np.sort(np.concatenate([angle, angle + np.diff(np.r_[angle, angle[0] + 2 * np.pi]) / 2]))
    circle = np.stack([spot_radius * np.cos(fine), spot_radius * np.sin(fine), 0 * fine], 1)
    base = len(points)
    points = np.vstack([points, circle, ring])
    circle_ids, ring_ids = base + np.arange(len(circle)), base + len(circle) + np.arange(n)
    band = _stitch(points, circle_ids, _turn(points, rim))
    flat = _stitch(points, ring_ids, circle_ids)
    return _compact(points, np.vstack([triangles, band, flat]))


def _connected(triangles, chosen, seed):
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    t = triangles[chosen]
    n = triangles.max() + 1
    m = coo_matrix((np.ones(2 * len(t)), (np.r_[t[:, 0], t[:, 1]], np.r_[t[:, 1], t[:, 2]])), shape=(n, n))
    label = connected_components(m, directed=False)[1]
    return chosen & (label[triangles[:, 0]] == label[seed])


def _rim_edges(triangles):
    """Directed edges of the open boundary (start, end) as the triangles see them."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    have = {tuple(e) for e in edges}
    return np.array([e for e in edges if (e[1], e[0]) not in have]).reshape(-1, 2)


def _turn(points, loop):
    """Loop counter-clockwise about z, seen from +z."""
    x, y = points[loop, 0], points[loop, 1]
    area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    return loop if area > 0 else loop[::-1]


def _stitch(points, inner, outer):
    """Triangles of the band between two counter-clockwise loops, outward (+z side up), shortest diagonals first."""
    angle = np.arctan2(points[outer, 1], points[outer, 0])
    start = np.arctan2(points[inner[0], 1], points[inner[0], 0])
    outer = np.roll(outer, -int(np.argmin(np.abs(np.angle(np.exp(1j * (angle - start)))))))
    a, b = np.r_[inner, inner[0]], np.r_[outer, outer[0]]
    i = j = 0
    out = []
    while i < len(a) - 1 or j < len(b) - 1:
        step_inner = np.inf if i == len(a) - 1 else np.linalg.norm(points[a[i + 1]] - points[b[j]])
        step_outer = np.inf if j == len(b) - 1 else np.linalg.norm(points[a[i]] - points[b[j + 1]])
        if step_inner < step_outer:
            out.append((a[i], b[j], a[i + 1]))
            i += 1
        else:
            out.append((a[i], b[j], b[j + 1]))
            j += 1
    return np.array(out)
