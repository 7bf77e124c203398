"""Pedicle and body sizes of the vertebral levels, for checks that come before any mesh.

Bodies: Panjabi 1991/92; pedicles: Zindrick 1987; levels between are interpolated.
"""

SOURCE = "bodies: Panjabi 1991/92; pedicles: Zindrick 1987"

# level: end-plate width, depth, posterior body height, pedicle width, pedicle height (mm), transverse, sagittal (deg)
_TABLE = {
    "T1": (24.5, 18.5, 14.1, 7.9, 9.9, 27, 13),
    "T4": (24.5, 23.3, 16.2, 4.7, 11.5, 14, 16),
    "T6": (26.2, 26.0, 17.4, 5.2, 11.6, 11, 15),
    "T8": (29.5, 27.9, 18.7, 5.9, 12.1, 10, 16),
    "T10": (31.9, 30.5, 20.2, 6.3, 14.5, 7, 17),
    "T11": (34.9, 31.9, 21.3, 7.8, 16.5, 1, 16),
    "T12": (39.0, 32.8, 22.7, 7.1, 15.8, -4, 12),
    "L1": (41.2, 34.1, 23.8, 8.7, 15.4, 11, 2.4),
    "L2": (42.6, 34.6, 24.3, 8.9, 15.0, 12, 1.8),
    "L3": (44.1, 35.2, 23.8, 10.3, 14.9, 14, 0.2),
    "L4": (46.6, 35.5, 24.1, 12.9, 14.8, 18, 0.2),
    "L5": (47.3, 34.7, 22.9, 18.0, 14.0, 30, -1.8),
    "S1": (52.5, 34.5, 30.0, 20.0, 20.0, 40, 22),
}
_ORDER = [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 6)] + ["S1"]
_NAMES = ("width", "depth", "height", "pedicle_width", "pedicle_height", "transverse", "sagittal")


def level(name):
    """Sizes of `name` (T1 .. S1) as a dict of mm and degrees."""
    if name in _TABLE:
        return dict(zip(_NAMES, _TABLE[name], strict=True))
    at = _ORDER.index(name)
    below = max(i for i in range(at) if _ORDER[i] in _TABLE)
    above = min(i for i in range(at, len(_ORDER)) if _ORDER[i] in _TABLE)
    t = (at - below) / (above - below)
    low, high = _TABLE[_ORDER[below]], _TABLE[_ORDER[above]]
    return {k: a + t * (b - a) for k, a, b in zip(_NAMES, low, high, strict=True)}


def path_length(name):
    """Way along the pedicle axis from the entry point to the anterior cortex, mm."""
    return level(name)["depth"] + 16.0
