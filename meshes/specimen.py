"""What is in the laboratory: screw, specimen, halo, cement, and how finely it is meshed.

Plain numbers, mm, mm^3 and degrees. All meshes live in the screw frame: z is the screw axis and the pull direction,
the origin is the entry, in a vertebra a flat spot 2 to 3 mm below its surface, the tip lies at z = -insertion_depth.
"""

from dataclasses import dataclass, field
from itertools import takewhile
from math import inf, radians, tan

from numpy import asarray, clip, cos, hypot, interp, maximum, ndarray, pi, where

NARROWEST = 0.4  # of the depth, from the entry: where an hourglass has its waist
MARGIN = 1.0  # mm of bone round screw, halo and cement that belongs to the core
LEAST = 0.2  # mm, of a measured halo: what the needle wets, and what can be meshed


class MeshError(ValueError):
    """A geometry that cannot be made; the message tells the user what does not fit and what to change."""


@dataclass(frozen=True)
class Fenestration:
    """Holes in the distal wall of a cannulated screw through which cement leaves it.

    count: number of holes; diameter: mm; from_tip: distance of the middle of the hole pattern from the tip, mm.
    """

    count: int
    diameter: float
    from_tip: float


@dataclass(frozen=True)
class Screw:
    """A pedicle screw with trapezoidal, annular (closed) threads.

    diameter, core_diameter (at the head), length, pitch, crest (axial width of the thread crest), head_height: mm.
    taper: half angle of the core cone, degrees. Flank angles are measured from the plane normal to the axis; the
    proximal flank faces the head and carries the pullout load. thread='smooth' is a plain cylinder of `diameter`.
    insertion_depth: depth of the tip below the entry, mm; None means the whole length. follows: mm by which the groove that its
    threads follow lies above its own, as that of an earlier screw does if its entry is higher.
    """

    diameter: float
    length: float
    pitch: float
    core_diameter: float
    taper: float = 0.0
    crest: float = 0.2
    proximal_flank: float = 5.0
    distal_flank: float = 25.0
    head_height: float = 6.0
    thread: str = "annular"
    insertion_depth: float | None = None
    follows: float = 0.0
    fenestration: Fenestration | None = None

    @property
    def radius(self):
        """Major (crest) radius, mm."""
        return self.diameter / 2

    @property
    def depth(self):
        """Depth of the tip below the entry, mm."""
        return self.length if self.insertion_depth is None else self.insertion_depth

    def core_radius(self, z):
        """Root radius at height z <= 0, mm; the core narrows from the head to the tip with the taper's half angle."""
        return self.core_diameter / 2 + (z - (self.length - self.depth)) * tan(radians(self.taper))


@dataclass(frozen=True)
class Vertebra:
    """An anthropometric vertebra, potted; angles (degrees) default to the axis of the pedicle of the level.

    transverse_angle: medial convergence; sagittal_angle: how far the screw points caudally; offset: (lateral, cranial) shift of
    the entry point, mm; first_diameter: of the screw that was in before, mm, whose place a revision takes.
    """

    level: str
    side: str = "left"
    transverse_angle: float | None = None
    sagittal_angle: float | None = None
    offset: tuple[float, float] = (0.0, 0.0)
    first_diameter: float | None = None


@dataclass(frozen=True)
class Cylinder:
    """A bone cylinder about the screw axis, top face at z = 0, held on its lateral surface; mm."""

    diameter: float
    length: float


@dataclass(frozen=True)
class Block:
    """A square foam block, top face at z = 0, held by a ring on that face (ASTM F543 pullout); mm."""

    width: float
    height: float
    ring_inner_diameter: float


@dataclass(frozen=True)
class Halo:
    """The resorbed zone that a loose screw of diameter `around_diameter` and depth `depth` leaves.

    Its outer radius is around_diameter/2 + t(z): t = thickness for a cylinder; an hourglass narrows smoothly from
    `thickness` at entry and tip to `waist` (default thickness/4) at NARROWEST of the depth.
    A measured one has the (z, thickness) pairs of `profile`, tip first, and ends where bone is whole. content: 'fibrous' (meshed
    tissue) or 'empty'. above: mm of it that lie above the entry of the screw that is in now, which may be deeper than its own.
    """

    thickness: float
    around_diameter: float
    depth: float
    shape: str = "cylinder"
    content: str = "fibrous"
    waist: float | None = None
    profile: tuple = ()
    above: float = 0.0

    @property
    def bottom(self):
        """Depth below the present entry to which the hole of the old screw goes, mm; a measured halo ends where bone is whole, and what
        is broken again below that is no part of the hole."""
        if self.shape != "measured":
            return self.depth - self.above
        open_ = takewhile(lambda part: part[1] >= LEAST, reversed(self.profile))  # from the entry
        return min(max((-z for z, _ in open_), default=0.0), self.depth) - self.above

    def outer_radius(self, z):
        """Outer radius at height z in [-bottom, 0], mm (arrays welcome)."""
        return self.around_diameter / 2 + self.thickness_at(z)

    def thickness_at(self, z):
        """t(z), mm: half cosine waves from the entry to the waist and from the waist to the tip."""
        z = asarray(z, float) - self.above
        s = clip(-z / self.depth, 0.0, 1.0)
        if self.shape == "cylinder":
            return self.thickness + 0.0 * s
        if self.shape == "measured":
            return maximum(interp(z, *zip(*self.profile)), LEAST)
        waist = self.thickness / 4 if self.waist is None else self.waist
        p = NARROWEST
        phase = where(s < p, s / p, 1.0 + (s - p) / (1.0 - p))  # 0 at the entry, 1 at the waist, 2 at the tip
        return waist + (self.thickness - waist) * (1.0 + cos(pi * phase)) / 2


@dataclass(frozen=True, eq=False)
class Broken:
    """Bone that cycling has broken, and the bone round it: centres (n, 3) mm of the cells, broken volume (n,) mm^3 of each.

    Centres are in the vertebra's own frame until `seen_from` brings them into the screw's.
    """

    centres: ndarray
    volume: ndarray

    def seen_from(self, rotation, origin):
        return Broken((self.centres - origin) @ rotation, self.volume)

    def beyond(self, radius):
        """Broken volume, mm^3, outside a body of revolution of radius(z) round the screw."""
        x, y, z = self.centres.T
        return float(self.volume[hypot(x, y) > radius(z)].sum())


@dataclass(frozen=True)
class Cement:
    """PMMA round the screw. volume: mm^3 that are injected; pores: share of bone that it fills (1: nothing but cement is where it goes).

    target: 'halo', 'fenestrations', 'tip' or 'anterior_two_thirds'; a halo, if there is one, is filled first;
    broken: bone that what is left over soaks before it enters sound bone, at most `soakable` mm^3 of it; body_from, front_from: depths
    at which the screw leaves the pedicle and enters the front two thirds of the body, mm (None: there is no body; two thirds of the screw).
    """

    volume: float
    target: str = "halo"
    broken: Broken | None = field(default=None, compare=False)
    pores: float = 1.0
    body_from: float | None = None
    front_from: float | None = None
    soakable: float = inf

    def bulk(self, void):
        """Volume of the region that it occupies, mm^3: a `void` (mm^3) that it fills first, and bone that takes the rest,
        V_bulk = V_void + (V - V_void) / pores."""
        return min(self.volume, void) + max(self.volume - void, 0.0) / self.pores


@dataclass(frozen=True)
class Resolution:
    """Edge lengths at the threads, at the outside of the core and far away (mm); sectors round the screw."""

    thread: float
    near: float
    far: float
    sectors: int


RESOLUTIONS = {
    "coarse": Resolution(1.0, 1.6, 6.0, 8),
    "standard": Resolution(0.7, 1.3, 6.0, 8),
    "fine": Resolution(0.5, 1.0, 4.5, 10),
}
