"""What fits into a specimen, how it is held and how it is modelled; rules as in rules.py."""

from meshes.specimen import MeshError
from scenarios.protocol import (
    HOLDS,
    MARGIN,
    breach,
    depth,
    halos,
    lab_vertebra,
    ring_inner_diameter,
    screws,
    way_in_bone,
    widest_hole,
)
from scenarios.screw_rules import where_given
from scenarios.units import mm

FLOOR = 1.0  # mm of bone below a tip or a halo


def foam(scenario):
    specimen = scenario.specimen
    if specimen.shape == "block" and (specimen.grade is None) == (specimen.density is None):
        both = "gives grade and density: keep one" if specimen.grade else "needs `grade: 15` or `density: 0.24 g/cm^3`"
        yield ("specimen",), f"a foam block {both}"


def _bone_ahead(specimen, screw):
    """(mm of bone along the screw axis, mm of it that a screw leaves, what that is)."""
    if specimen.shape == "vertebra":
        way = way_in_bone(lab_vertebra(specimen), screw.diameter)
        return way, FLOOR, f"{specimen.level}, whose far cortex is {mm(way)} away along this trajectory"
    if specimen.shape == "cylinder":
        return specimen.length, MARGIN, f"the bone cylinder less a floor of {mm(MARGIN)}"
    return specimen.height, MARGIN, f"the foam block less a floor of {mm(MARGIN)}"


def longer_than_bone(scenario):
    for path, screw in screws(scenario):
        bone, floor, what = _bone_ahead(scenario.specimen, screw)
        if depth(screw) > bone - floor:
            name = "length" if screw.insertion_depth is None else "insertion_depth"
            yield where_given(path, screw, name), (
                f"the screw is longer than the bone: {mm(depth(screw))} in {what}, {mm(bone - floor)} at most; "
                f"use a shorter screw or give a smaller `insertion_depth`"
            )


def course(scenario):
    """Where a screw goes must be bone all the way; one that is too thick or too long for any way is another rule's."""
    specimen = scenario.specimen
    for path, screw in screws(scenario) if specimen.shape == "vertebra" else ():
        if screw.diameter >= widest_hole(specimen):
            continue
        try:
            at = breach(lab_vertebra(specimen), screw.diameter, depth(screw))
            bone, floor, _ = _bone_ahead(specimen, screw)
            if depth(screw) > bone - floor:
                continue
        except MeshError as error:
            yield ("specimen", "trajectory"), str(error)
            continue
        if at is not None:
            yield where_given(path, screw, "diameter"), (
                f"a screw of {mm(screw.diameter)} breaches the bone {mm(at)} below its entry; use a thinner or shorter one or another "
                f"`specimen.trajectory`"
            )


def halo_longer_than_bone(scenario):
    for i, halo, screw in halos(scenario):
        room = _bone_ahead(scenario.specimen, screw)[0] - FLOOR
        if depth(screw) + halo.thickness > room >= depth(screw):
            yield ("protocol", i, "halo", "thickness"), (
                f"a halo of {mm(halo.thickness)} round the tip, {mm(depth(screw))} deep, breaks out of the bone; "
                f"make it thinner or use a shorter screw"
            )


def _room(specimen):
    """(widest hole in mm, what sets it): what a hole may not exceed."""
    widest = widest_hole(specimen)
    if specimen.shape == "vertebra":
        return widest, f"the pedicle of {specimen.level} is {mm(widest)} wide"
    return widest, f"the specimen is {mm(widest + 2 * MARGIN)} wide and needs {mm(MARGIN)} of wall"


def thicker_than_bone(scenario):
    room, why = _room(scenario.specimen)
    for path, screw in screws(scenario):
        if screw.diameter >= room:
            yield (*path, "diameter"), f"a screw of {mm(screw.diameter)} does not fit: {why}; use a thinner screw"


def halo_wider_than_bone(scenario):
    room, why = _room(scenario.specimen)
    for i, halo, screw in halos(scenario):
        hole = screw.diameter + 2 * halo.thickness
        if hole >= room:
            thickest = (room - screw.diameter) / 2
            limit = f"at most {mm(thickest - 0.05)}" if thickest > 0.15 else "use a thinner screw"
            yield ("protocol", i, "halo", "thickness"), (
                f"a halo of {mm(halo.thickness)} makes a hole of {mm(hole)}, but {why}; {limit}"
            )


def fixture(scenario):
    fixture, shape = scenario.fixture, scenario.specimen.shape
    fits = HOLDS[shape]
    name = {"vertebra": "vertebra", "cylinder": "bone cylinder", "block": "foam block"}[shape]
    if fixture.hold not in (None, fits):
        yield ("fixture", "hold"), f"a {name} cannot be held by `{fixture.hold}`; allowed: {fits}, or leave it out"
    ring = fixture.ring_inner_diameter
    if ring is not None and shape != "block":
        yield ("fixture", "ring_inner_diameter"), f"a {name} is not held by a ring; leave it out"
    if shape == "block":
        thickest = max(screw.diameter for _, screw in screws(scenario))
        inner = ring_inner_diameter(scenario)
        if inner <= thickest + 2:
            yield ("fixture", "ring_inner_diameter"), (
                f"the screw ({mm(thickest)}) does not come out through a ring of {mm(inner)}; "
                f"ASTM F543 asks for five times its diameter"
            )
        if inner >= scenario.specimen.width - 4:
            yield ("fixture" if ring is not None else "specimen",) + (
                ("ring_inner_diameter",) if ring is not None else ("width",)
            ), (
                f"a ring of {mm(inner)} inner diameter does not rest on a block {mm(scenario.specimen.width)} wide; "
                f"use a block of at least {mm(inner + 4)} or a smaller ring"
            )


def axisymmetric(scenario):
    if scenario.model == "axisymmetric" and scenario.specimen.shape == "vertebra":
        yield ("model",), (
            "a vertebra is not a body of revolution, so `axisymmetric` cannot describe it; use `threaded3d`, "
            "or a specimen of `shape: cylinder` or `shape: block`"
        )


def edges(scenario):
    edges = scenario.resolution
    if not isinstance(edges, str) and not edges.thread <= edges.near <= edges.far:
        yield ("resolution",), "edge lengths grow away from the screw: thread <= near <= far"


RULES = [
    foam,
    longer_than_bone,
    course,
    halo_longer_than_bone,
    thicker_than_bone,
    halo_wider_than_bone,
    fixture,
    axisymmetric,
    edges,
]
