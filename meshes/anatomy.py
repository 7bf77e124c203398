"""Sizes of the vertebral levels T1 to S1: body, pedicles, canal. Cheap to import; input checks use it before any mesh.

L2 to L5 from the mean surfaces of 87 patients (Clouthier 2023); the others after Panjabi 1991/92 (bodies), Zindrick 1987
(pedicles) and Berry 1987 (interpedicular distances): standard values, to be checked in the originals. Levels without an
entry are interpolated and say so.
"""

from dataclasses import dataclass

BODIES = "bodies Panjabi 1991/92, pedicles Zindrick 1987 (standard values, check originals)"
MEASURED = ("body, pedicle section and canal measured on the mean surfaces of 87 patients (Clouthier 2023), which are up to"
            " 24 % higher than the bodies of Panjabi 1991/92; pedicle angles Zindrick 1987 (standard values)")
ORDER = [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 6)] + ["S1"]

# end-plate width, depth, posterior body height, pedicle width, pedicle height (mm), transverse, sagittal (deg), canal width
_TABLE = {
    "T1": (24.5, 18.5, 14.1, 7.9, 9.9, 27, 13, 21.0),
    "T4": (24.5, 23.3, 16.2, 4.7, 11.5, 14, 16, 17.0),
    "T6": (26.2, 26.0, 17.4, 5.2, 11.6, 11, 15, 16.5),
    "T8": (29.5, 27.9, 18.7, 5.9, 12.1, 10, 16, 16.5),
    "T10": (31.9, 30.5, 20.2, 6.3, 14.5, 7, 17, 17.0),
    "T11": (34.9, 31.9, 21.3, 7.8, 16.5, 1, 16, 18.5),
    "T12": (39.0, 32.8, 22.7, 7.1, 15.8, -4, 12, 21.5),
    "L1": (41.2, 34.1, 23.8, 8.7, 15.4, 11, 2.4, 22.5),
    "L2": (48.6, 36.6, 29.3, 9.3, 15.8, 12, 1.8, 21.5),
    "L3": (51.0, 36.8, 29.6, 11.0, 16.0, 14, 0.2, 22.5),
    "L4": (53.0, 39.0, 29.8, 12.8, 17.5, 18, 0.2, 24.0),
    "L5": (52.7, 38.0, 28.5, 19.5, 16.0, 30, -1.8, 27.0),
    "S1": (52.5, 34.5, 30.0, 20.0, 20.0, 40, 0.0, 31.0),
}


@dataclass(frozen=True)
class Level:
    """Dimensions in mm, angles in degrees. transverse: medial convergence of the pedicle; sagittal: how far a screw along
    the pedicle points caudally; canal: interpedicular distance."""

    name: str
    width: float
    depth: float
    height: float
    pedicle_width: float
    pedicle_height: float
    transverse: float
    sagittal: float
    canal: float
    source: str

    @property
    def lumbar(self):
        return self.name[0] in "LS"


def level(name):
    """The `Level` of T1 .. L5 or S1; raises KeyError for other names."""
    if name in _TABLE:
        return Level(name, *map(float, _TABLE[name]), MEASURED if name in ("L2", "L3", "L4", "L5") else BODIES)
    if name not in ORDER:
        raise KeyError(f"unknown level {name}; known are {', '.join(ORDER)}")
    at = ORDER.index(name)
    below = next(i for i in range(at, -1, -1) if ORDER[i] in _TABLE)
    above = next(i for i in range(at, len(ORDER)) if ORDER[i] in _TABLE)
    t = (at - below) / (above - below)
    values = [a + t * (b - a) for a, b in zip(_TABLE[ORDER[below]], _TABLE[ORDER[above]])]
    return Level(name, *values, f"interpolated between {ORDER[below]} and {ORDER[above]}; {BODIES}")
