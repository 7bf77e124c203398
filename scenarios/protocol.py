"""The state of the specimen as a protocol goes on: which screw is in, which halo there is, how much cement goes in.

Works on a spec.Scenario and on the readable part of a broken one, where asking for an unreadable value raises Unknown.
"""

from functools import lru_cache

import numpy as np

from materials.density import Density, Kind
from meshes import specimen as lab
from meshes.anatomy import level
from scenarios.spec import FOAM_GRADES

HOLDS = {"vertebra": "potted", "cylinder": "side", "block": "support_ring"}  # how a specimen of each shape is held
LEAST_WALL = 0.25  # mm of bone that the mesher needs round a screw, about
MARGIN = 3.0  # mm of specimen left between a hole and its outer surface


class Unknown(AttributeError):
    """A value that is needed could not be read."""


class Revised:
    """A screw after a revision: what the revision gives, else what the screw before it had."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def __getattr__(self, name):
        given = getattr(self.new, name, None)
        if given is not None:
            return given
        if name == "core_diameter":
            return self.old.core_diameter * self.new.diameter / self.old.diameter
        if name == "insertion_depth" and self.new.length is not None:
            return None
        return getattr(self.old, name)


def screws(scenario):
    """[(path, screw), ...]: the first screw and each one that replaces it."""
    found = [(("screw",), scenario.screw)]
    for i, kind, body in scenario.steps():
        if kind == "revise":
            found.append((("protocol", i, "revise"), Revised(found[-1][1], body)))
    return found


def halos(scenario):
    """(index, halo, screw that made it) of each halo step."""
    screw = scenario.screw
    for i, kind, body in scenario.steps():
        if kind == "revise":
            screw = Revised(screw, body)
        elif kind == "halo":
            yield i, body, screw


def cycled(scenario, step):
    """Whether cycling before the step with that index has made a halo, whose size only the run finds."""
    return any(kind == "cycle" and i < step for i, kind, _ in scenario.steps())


def depth(screw):
    """Depth of the tip below the surface of the specimen, mm."""
    return screw.length if screw.insertion_depth is None else screw.insertion_depth


def lab_screw(screw, head_height=lab.Screw.head_height):
    """The screw as the mesh maker takes it; head_height: mm, up to where the load is applied."""
    holes = screw.fenestration
    return lab.Screw(
        screw.diameter,
        screw.length,
        screw.pitch,
        screw.core_diameter,
        taper=screw.taper,
        crest=screw.crest,
        proximal_flank=screw.proximal_flank,
        distal_flank=screw.distal_flank,
        thread=screw.thread,
        head_height=head_height,
        insertion_depth=depth(screw),
        fenestration=lab.Fenestration(holes.count, holes.diameter, holes.from_tip) if holes else None,
    )


def lab_halo(halo, screw):
    """The halo that the screw `screw` has made, as the mesh maker takes it."""
    return lab.Halo(halo.thickness, screw.diameter, depth(screw), halo.shape, halo.content, halo.waist)


# -- density -----------------------------------------------------------------------------------------------------------


def density(specimen):
    """Density of the bone, or None for foam."""
    return None if specimen.shape == "block" else Density(specimen.bmd, Kind(specimen.bmd_kind))


def foam_density(specimen):
    """Density of the foam in mg/cm^3, or None for bone."""
    if specimen.shape != "block":
        return None
    return specimen.density if specimen.density is not None else 1000 * FOAM_GRADES[specimen.grade]


def bvtv(specimen):
    """Fraction of bone in the volume."""
    return density(specimen).to(Kind.BVTV).value


# -- cement ------------------------------------------------------------------------------------------------------------


def preset_volume(specimen):
    """(cement for one screw in mm^3, where that comes from); None where there is no custom."""
    if specimen.shape != "vertebra" or specimen.level == "S1":
        return None
    region, place = specimen.level[0], int(specimen.level[1:])
    millilitres, levels = (4, "L1-L5") if region == "L" else (2, "T1-T6") if place <= 6 else (3, "T7-T12")
    return 500.0 * millilitres, f"preset: {millilitres} ml at {levels} for both screws of a level, half of it for one"


def volume(augment, specimen):
    """Cement of an augment step, mm^3."""
    if augment.volume != "preset":
        return augment.volume
    preset = preset_volume(specimen)
    if preset is None:
        raise Unknown("volume")
    return preset[0]


def void_volume(screw, halo):
    """Volume between a lab.Screw and the outside of a lab.Halo, mm^3: what cement fills before it enters bone.

    V = pi * integral of max(0, outer(z)^2 - r(z)^2) over the halo, which goes on for its thickness below the tip of the
    screw that made it; r(z) is the profile of the thread.
    """
    z = np.linspace(-halo.depth - halo.thickness, 0.0, 4001)
    core = screw.core_radius(z)
    if screw.thread == "smooth":
        profile = np.full_like(z, screw.radius)
    else:
        along = np.mod(z, screw.pitch)  # way from one thread to the next, from the tip's side
        deep = screw.radius - core
        distal, proximal = (deep * np.tan(np.radians(a)) for a in (screw.distal_flank, screw.proximal_flank))
        rise = np.clip(along / np.maximum(distal, 1e-9), 0, 1)
        fall = np.clip((distal + screw.crest + proximal - along) / np.maximum(proximal, 1e-9), 0, 1)
        profile = core + deep * np.minimum(rise, fall)
    profile = np.where(z >= -screw.depth, profile, 0.0)
    return float(np.pi * np.trapezoid(np.maximum(halo.outer_radius(z) ** 2 - profile**2, 0.0), z))


def lab_vertebra(specimen, first_diameter=None):
    """The vertebra of the specification `specimen` as the mesh maker takes it."""
    way = specimen.trajectory
    return lab.Vertebra(specimen.level, specimen.side, way.transverse, way.sagittal, (way.offset.lateral, way.offset.cranial),
                        first_diameter=first_diameter)


@lru_cache(maxsize=1000)
def way_in_bone(vertebra, diameter):
    """How deep a screw of this diameter can go along its trajectory before its axis leaves a lab.Vertebra, mm; none finds no entry."""
    from meshes.vertebra import VertebraShape

    shape = VertebraShape(vertebra)
    try:
        return shape.way(*shape.frame(diameter / 2))
    except lab.MeshError:
        raise Unknown(f"a screw of {diameter:g} mm finds no entry") from None


@lru_cache(maxsize=1000)
def breach(vertebra, diameter, deep):
    """How far below the entry a screw of this diameter, `deep` mm in the bone, breaches its wall along its trajectory, mm; None if it
    does not. Raises MeshError where it finds no entry, as the mesher does."""
    from meshes.vertebra import VertebraShape, entry_radius

    shape = VertebraShape(vertebra)
    return shape.breach(*shape.frame(entry_radius(diameter)), diameter / 2 + LEAST_WALL, deep)


def widest_hole(specimen):
    """Largest diameter of a hole in the specimen, mm: the width of the pedicle, or what leaves a wall."""
    if specimen.shape == "vertebra":
        return level(specimen.level).pedicle_width
    return (specimen.diameter if specimen.shape == "cylinder" else specimen.width) - 2 * MARGIN


def ring_inner_diameter(scenario):
    """Inner diameter of the support ring, mm: as given, else five times the screw's (ASTM F543 Annex A3)."""
    ring = scenario.fixture.ring_inner_diameter
    return 5 * scenario.screw.diameter if ring is None else ring
