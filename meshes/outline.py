"""Outlines of bodies of revolution in the (r, z) half plane.

An outline is a chain (k, 2) of points (r, z) that starts and ends on the axis r = 0 and runs from the top to the
bottom (z never rises), so every body is also a function radius(z).
"""

import numpy as np

TOLERANCE = 0.06  # mm: nearer than this, points of different outlines are one point (no sliver between bodies)


def radius_at(chain, z):
    """Radius (mm) of the outline at heights z; 0 above and below the body."""
    return np.interp(z, chain[::-1, 1], chain[::-1, 0], left=0.0, right=0.0)


def from_radius(radius, z_top, z_bottom, spacing, flatness=0.02, step=0.02):
    """Chain of the body r < radius(z), z_bottom <= z <= z_top, with segments <= spacing that keep within `flatness`.

    radius: function of an array of heights. Pieces of zero radius at the ends are dropped. Returns None if all is zero.
    """
    z = np.linspace(z_top, z_bottom, max(int((z_top - z_bottom) / step), 8) + 1)
    r = np.asarray(radius(z), float)
    inside = np.flatnonzero(r > 1e-9)
    if len(inside) == 0:
        return None
    part = slice(max(inside[0] - 1, 0), inside[-1] + 2)
    curve = np.column_stack([np.maximum(r[part], 0.0), z[part]])
    curve = np.vstack([[0.0, curve[0, 1]], curve, [0.0, curve[-1, 1]]])
    keep = [0]
    _thin(curve, 0, len(curve) - 1, spacing, flatness, keep)
    chain = curve[keep]
    return chain[np.concatenate([[True], np.linalg.norm(np.diff(chain, axis=0), axis=1) > 1e-6])]


def _thin(curve, a, b, spacing, flatness, keep):
    """Append to `keep` the indices in (a, b] that a polygon needs (Douglas-Peucker with a longest segment)."""
    chord = curve[b] - curve[a]
    length = np.hypot(*chord)
    if b > a + 1:
        rel = curve[a + 1 : b] - curve[a]
        away = np.abs(rel[:, 0] * chord[1] - rel[:, 1] * chord[0]) / length if length > 1e-9 else np.hypot(*rel.T)
        worst = int(np.argmax(away))
        if away[worst] > flatness:
            split = a + 1 + worst
        elif length > spacing:
            split = a + 1 + int(np.argmin(np.abs(np.hypot(*rel.T) - length / 2)))
        else:
            split = None
        if split is not None:
            _thin(curve, a, split, spacing, flatness, keep)
            _thin(curve, split, b, spacing, flatness, keep)
            return
    keep.append(b)


def ring_volume(outer, inner, z_top, z_bottom, step=0.005):
    """Volume (mm^3) of inner(z) < r < outer(z), both functions of arrays of heights: pi int (R^2 - r^2)+ dz."""
    n = max(int((z_top - z_bottom) / step), 100)
    z = z_top - (np.arange(n) + 0.5) * (z_top - z_bottom) / n
    return float(np.pi * np.clip(outer(z) ** 2 - inner(z) ** 2, 0.0, None).sum() * (z_top - z_bottom) / n)


def weave(chains, tolerance=TOLERANCE):
    """Let outlines share points wherever they touch, cross or come nearer than the tolerance.

    chains in order of precedence: earlier ones keep their shape and only gain points; later ones are moved onto them.
    Returns the new chains.
    """
    woven = []
    for chain in chains:
        for i, fixed in enumerate(woven):
            woven[i], chain = _weave_pair(fixed, chain, tolerance)
        woven.append(chain)
    return woven


def _weave_pair(fixed, chain, tol):
    fixed, chain = _closed(fixed), _closed(chain)
    # 1. points of the chain onto points of the fixed one; on the axis only along the axis
    d = np.linalg.norm(chain[:, None] - fixed[None], axis=2)
    near = d.argmin(axis=1)
    move = d[np.arange(len(chain)), near] < tol
    move &= (chain[:, 0] > 1e-9) | (fixed[near, 0] < 1e-9)
    chain[move] = fixed[near[move]]
    chain = _clean(chain)
    # 2. points of the fixed one that the chain passes, 3. points of the chain that lie on the fixed one
    chain = _insert_near(chain, fixed, tol)
    d, foot = _segment_distance(chain[:-1], fixed)
    on = d.argmin(axis=1)
    for i in np.flatnonzero((d.min(axis=1) < tol) & (chain[:-1, 0] > 1e-9)):
        chain[i] = foot[i, on[i]]
    chain[-1] = chain[0]
    chain = _clean(chain)
    fixed = _insert_near(fixed, chain, 1e-7)
    # 4. crossings
    cross = _crossings(fixed, chain)
    return _open(_insert_near(fixed, cross, 1e-7)), _open(_insert_near(chain, cross, 1e-7))


def _closed(chain):
    return np.vstack([chain, chain[:1]])  # the last segment runs along the axis


def _open(polygon):
    """Back to a chain; points that were put on the axis between bottom and top stay behind the bottom point."""
    return polygon[:-1]


def _clean(polygon):
    keep = np.concatenate([[True], np.linalg.norm(np.diff(polygon, axis=0), axis=1) > 1e-9])
    return polygon[keep]


def _segment_distance(points, polygon):
    """Distances (p, s) and feet (p, s, 2) of points on the segments of a closed polygon."""
    a, v = polygon[:-1], np.diff(polygon, axis=0)
    t = np.einsum("psk,sk->ps", points[:, None] - a, v) / np.maximum((v**2).sum(1), 1e-30)
    foot = a + np.clip(t, 0, 1)[..., None] * v
    return np.linalg.norm(points[:, None] - foot, axis=2), foot


def _insert_near(polygon, points, tol):
    """Insert the points that lie within tol of a segment, unless they are vertices already."""
    if len(points) == 0:
        return polygon
    points = np.unique(points, axis=0)
    d, foot = _segment_distance(points, polygon)
    segment = d.argmin(axis=1)
    new = (d.min(axis=1) < tol) & (np.linalg.norm(points[:, None] - polygon[None], axis=2).min(axis=1) > 1e-9)
    # a point off the axis never bends the axis
    new &= (points[:, 0] < 1e-9) | ~_on_axis(polygon, segment)
    rows = np.flatnonzero(new)
    along = np.linalg.norm(points[rows] - polygon[segment[rows]], axis=1)
    order = np.lexsort((along, segment[rows]))
    rows = rows[order]
    return _clean(np.insert(polygon, segment[rows] + 1, points[rows], axis=0))


def _on_axis(polygon, segment):
    return (polygon[segment, 0] < 1e-9) & (polygon[segment + 1, 0] < 1e-9)


def _crossings(p, q):
    """Proper crossings (k, 2) of the segments of two closed polygons."""
    a, u = p[:-1, None], np.diff(p, axis=0)[:, None]
    b, v = q[None, :-1], np.diff(q, axis=0)[None]
    det = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        w = b - a
        s = (w[..., 0] * v[..., 1] - w[..., 1] * v[..., 0]) / det
        t = (w[..., 0] * u[..., 1] - w[..., 1] * u[..., 0]) / det
    i, j = np.nonzero((np.abs(det) > 1e-12) & (s > 1e-7) & (s < 1 - 1e-7) & (t > 1e-7) & (t < 1 - 1e-7))
    return p[i] + s[i, j][:, None] * (p[i + 1] - p[i])
