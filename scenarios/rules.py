"""What no single value can tell: contradictions between values, and an order of steps that no lab could follow.

A rule takes a scenario (or the readable part of a broken one) and yields (path, sentence). A rule that needs a value
which could not be read is skipped.
"""

from math import pi, radians, tan

from meshes.anatomy import level
from meshes.specimen import MeshError
from scenarios import cycling_rules
from scenarios.protocol import (
    HOLDS,
    MARGIN,
    Revised,
    Unknown,
    breach,
    bvtv,
    cycled,
    density,
    depth,
    foam_density,
    halos,
    lab_halo,
    lab_screw,
    lab_vertebra,
    preset_volume,
    ring_inner_diameter,
    screws,
    void_volume,
    volume,
    way_in_bone,
    widest_hole,
)
from scenarios.units import number

LARGEST_BASE = 0.95  # of the pitch: some core is left between two threads
FLOOR = 1.0  # mm of bone below a tip or a halo
SMALLEST_TIP = 0.5  # mm, core radius at the tip


def contradictions(scenario):
    """[(path, sentence), ...] of all rules."""
    return _run(_RULES, scenario)


def warnings(scenario):
    """[(path, sentence), ...] of values that can be computed with, outside what the laws were measured on."""
    return _run(_WARNINGS, scenario)


def _run(rules, scenario):
    found = []
    for rule in rules:
        try:
            found += rule(scenario)
        except Unknown:
            continue
    return found


def _mm(value):
    return f"{number(round(value, 2))} mm"


def _where(path, screw, name):
    """The path of `name`, if that is where the user gave it; else of the screw's diameter or of the whole block."""
    given = getattr(screw.new, name, None) if isinstance(screw, Revised) else True
    return (*path, name if given is not None else "diameter")


# -- screw -------------------------------------------------------------------------------------------------------------


def _core(scenario):
    for path, screw in screws(scenario):
        if screw.core_diameter >= screw.diameter:
            yield _where(path, screw, "core_diameter"), (
                f"a core of {_mm(screw.core_diameter)} leaves no thread on a screw of {_mm(screw.diameter)}; "
                f"it must be thinner than the screw"
            )


def _tip(scenario):
    for path, screw in screws(scenario):
        radius = screw.core_diameter / 2 - screw.length * tan(radians(screw.taper))
        if radius < SMALLEST_TIP:
            most = (screw.core_diameter / 2 - SMALLEST_TIP) / screw.length
            yield _where(path, screw, "taper"), (
                f"with a taper of {number(screw.taper)} deg the core ends before the tip; over {_mm(screw.length)} "
                f"at most {number(round(most * 180 / pi, 1))} deg are possible"
            )


def _pitch(scenario):
    for path, screw in screws(scenario):
        if screw.thread == "smooth" or screw.core_diameter >= screw.diameter:
            continue
        deep = (screw.diameter - screw.core_diameter) / 2 + depth(screw) * tan(radians(screw.taper))
        flanks = deep * (tan(radians(screw.proximal_flank)) + tan(radians(screw.distal_flank)))
        base = screw.crest + flanks
        if base > LARGEST_BASE * screw.pitch:
            yield _where(path, screw, "pitch"), (
                f"threads {_mm(deep)} deep are {_mm(base)} wide at their base and do not fit a pitch of "
                f"{_mm(screw.pitch)}; widen the pitch, thicken the core, or steepen the flanks"
            )


def _depth(scenario):
    for path, screw in screws(scenario):
        if depth(screw) > screw.length:
            yield _where(path, screw, "insertion_depth"), (
                f"a screw of {_mm(screw.length)} cannot be inserted {_mm(depth(screw))} deep; at most its length"
            )


def _three_threads(scenario):
    for path, screw in screws(scenario):
        if screw.thread == "annular" and depth(screw) < 3 * screw.pitch:
            yield _where(path, screw, "pitch"), (
                f"fewer than three threads of pitch {_mm(screw.pitch)} are in the specimen ({_mm(depth(screw))} deep); "
                f"insert it deeper or use a finer pitch"
            )


def _fenestration(scenario):
    for path, screw in screws(scenario):
        holes = screw.fenestration
        if holes is None or (isinstance(screw, Revised) and screw.new.fenestration is None):
            continue
        if holes.diameter > 0.6 * screw.core_diameter:
            yield (*path, "fenestration", "diameter"), (
                f"holes of {_mm(holes.diameter)} leave no wall in a core of {_mm(screw.core_diameter)}; "
                f"at most {_mm(0.6 * screw.core_diameter)}"
            )
        if holes.from_tip + holes.diameter > depth(screw):
            yield (*path, "fenestration", "from_tip"), (
                f"holes {_mm(holes.from_tip)} from the tip lie outside the specimen: the screw is inserted "
                f"{_mm(depth(screw))}; put them nearer to the tip"
            )


# -- specimen ----------------------------------------------------------------------------------------------------------


def _foam_density(scenario):
    specimen = scenario.specimen
    if specimen.shape == "block" and (specimen.grade is None) == (specimen.density is None):
        both = "gives grade and density: keep one" if specimen.grade else "needs `grade: 15` or `density: 0.24 g/cm^3`"
        yield ("specimen",), f"a foam block {both}"


def _bone_ahead(specimen, screw):
    """(mm of bone along the screw axis, mm of it that a screw leaves, what that is)."""
    if specimen.shape == "vertebra":
        way = way_in_bone(lab_vertebra(specimen), screw.diameter)
        return way, FLOOR, f"{specimen.level}, whose far cortex is {_mm(way)} away along this trajectory"
    if specimen.shape == "cylinder":
        return specimen.length, MARGIN, f"the bone cylinder less a floor of {_mm(MARGIN)}"
    return specimen.height, MARGIN, f"the foam block less a floor of {_mm(MARGIN)}"


def _longer_than_bone(scenario):
    for path, screw in screws(scenario):
        bone, floor, what = _bone_ahead(scenario.specimen, screw)
        if depth(screw) > bone - floor:
            name = "length" if screw.insertion_depth is None else "insertion_depth"
            yield _where(path, screw, name), (
                f"the screw is longer than the bone: {_mm(depth(screw))} in {what}, {_mm(bone - floor)} at most; "
                f"use a shorter screw or give a smaller `insertion_depth`"
            )


def _course(scenario):
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
            yield _where(path, screw, "diameter"), (
                f"a screw of {_mm(screw.diameter)} breaches the bone {_mm(at)} below its entry; use a thinner or shorter one or another "
                f"`specimen.trajectory`"
            )


def _halo_longer_than_bone(scenario):
    for i, halo, screw in halos(scenario):
        room = _bone_ahead(scenario.specimen, screw)[0] - FLOOR
        if depth(screw) + halo.thickness > room >= depth(screw):
            yield ("protocol", i, "halo", "thickness"), (
                f"a halo of {_mm(halo.thickness)} round the tip, {_mm(depth(screw))} deep, breaks out of the bone; "
                f"make it thinner or use a shorter screw"
            )


def _room(specimen):
    """(widest hole in mm, what sets it): what a hole may not exceed."""
    widest = widest_hole(specimen)
    if specimen.shape == "vertebra":
        return widest, f"the pedicle of {specimen.level} is {_mm(widest)} wide"
    return widest, f"the specimen is {_mm(widest + 2 * MARGIN)} wide and needs {_mm(MARGIN)} of wall"


def _thicker_than_bone(scenario):
    room, why = _room(scenario.specimen)
    for path, screw in screws(scenario):
        if screw.diameter >= room:
            yield (*path, "diameter"), f"a screw of {_mm(screw.diameter)} does not fit: {why}; use a thinner screw"


def _halo_wider_than_bone(scenario):
    room, why = _room(scenario.specimen)
    for i, halo, screw in halos(scenario):
        hole = screw.diameter + 2 * halo.thickness
        if hole >= room:
            thickest = (room - screw.diameter) / 2
            limit = f"at most {_mm(thickest - 0.05)}" if thickest > 0.15 else "use a thinner screw"
            yield ("protocol", i, "halo", "thickness"), (
                f"a halo of {_mm(halo.thickness)} makes a hole of {_mm(hole)}, but {why}; {limit}"
            )


def _fixture(scenario):
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
                f"the screw ({_mm(thickest)}) does not come out through a ring of {_mm(inner)}; "
                f"ASTM F543 asks for five times its diameter"
            )
        if inner >= scenario.specimen.width - 4:
            yield ("fixture" if ring is not None else "specimen",) + (
                ("ring_inner_diameter",) if ring is not None else ("width",)
            ), (
                f"a ring of {_mm(inner)} inner diameter does not rest on a block {_mm(scenario.specimen.width)} wide; "
                f"use a block of at least {_mm(inner + 4)} or a smaller ring"
            )


def _axisymmetric(scenario):
    if scenario.model == "axisymmetric" and scenario.specimen.shape == "vertebra":
        yield ("model",), (
            "a vertebra is not a body of revolution, so `axisymmetric` cannot describe it; use `threaded3d`, "
            "or a specimen of `shape: cylinder` or `shape: block`"
        )


def _edges(scenario):
    edges = scenario.resolution
    if not isinstance(edges, str) and not edges.thread <= edges.near <= edges.far:
        yield ("resolution",), "edge lengths grow away from the screw: thread <= near <= far"


# -- protocol ----------------------------------------------------------------------------------------------------------


def _insert_first(scenario):
    kinds = [kind for _, kind, _ in scenario.steps()]
    inserts = [i for i, kind in enumerate(kinds) if kind == "insert"]
    if kinds and kinds[0] not in ("insert", None):
        if inserts:
            message = f"`{kinds[0]}` comes before the screw is in; the first step is `insert: {{}}`"
        else:
            message = f"`{kinds[0]}` needs a screw in the specimen; begin with `- insert: {{}}`"
        yield ("protocol", 0), message
    for i in inserts[1:]:
        yield ("protocol", i), "the screw is in already; to replace it use `revise`"


def _pullout_last(scenario):
    kinds = [kind for _, kind, _ in scenario.steps()]
    pullouts = [i for i, kind in enumerate(kinds) if kind == "pullout"]
    if kinds and not pullouts and kinds[-1] != "cycle" and None not in kinds:
        end = "end with a pullout, such as `- pullout: {rate: 5 mm/min}`"
        if "cycle" in kinds:
            yield ("protocol", len(kinds) - 1), f"nothing is measured after this step; {end}, or with another `cycle`"
        else:
            yield ("protocol",), f"nothing is measured; {end}, or with a `cycle`"
    for i in pullouts[1:]:
        yield ("protocol", i), "a second pullout; the state after a pullout is not passed on yet, so one is allowed"
    if pullouts:
        for i in range(pullouts[0] + 1, len(kinds)):
            if kinds[i] not in ("pullout", None):
                yield ("protocol", i), (
                    f"`{kinds[i]}` comes after the pullout; the state after a pullout is not passed on yet, "
                    f"so the pullout is the last step"
                )


def _once(scenario):
    seen = set()
    for i, kind, _ in scenario.steps():
        if kind in ("halo", "augment", "revise") and kind in seen:
            yield ("protocol", i), f"a second `{kind}` is not available yet; a protocol holds at most one"
        seen.add(kind)


def _after_cement(scenario):
    cemented = False
    for i, kind, _ in scenario.steps():
        if cemented and kind == "revise":
            yield ("protocol", i), "a screw cannot be replaced once cement holds it; put `revise` before `augment`"
        if cemented and kind == "halo":
            yield ("protocol", i), "a halo round a cemented screw is not available yet; put `halo` before `augment`"
        cemented = cemented or kind == "augment"


def _augment_target(scenario):
    halo, screw = None, scenario.screw  # halo: the step that made it
    for i, kind, body in scenario.steps():
        if kind == "revise":
            screw = Revised(screw, body)
        if kind in ("halo", "cycle"):
            halo = i
        if kind != "augment":
            continue
        where = ("protocol", i, "augment", "target")
        if body.target == "halo" and halo is None:
            yield where, (
                "there is no halo to fill at this step; put a `halo` step before it, or a `cycle`, or use "
                "`target: tip` (`fenestrations` with a fenestrated screw)"
            )
        if body.target == "fenestrations" and screw.fenestration is None:
            yield where, (
                "the screw has no holes for the cement; give it some, such as "
                "`fenestration: {count: 4, diameter: 1.5 mm, from_tip: 8 mm}` under `screw`, or use `target: tip`"
            )
        if body.target == "anterior_two_thirds" and scenario.specimen.shape != "vertebra":
            yield where, "only a vertebra has anterior two thirds; use `target: tip`, `fenestrations` or `halo`"
        if body.target != "halo" and scenario.specimen.shape == "block":
            yield where, "rigid foam (ASTM F1839) is closed-cell: cement cannot spread in it; only `halo` can be filled"


def _thinner_revision(scenario):
    screw = scenario.screw
    for i, kind, body in scenario.steps():
        if kind == "revise":
            if body.diameter < screw.diameter:
                yield ("protocol", i, "revise", "diameter"), (
                    f"a revision screw of {_mm(body.diameter)} is thinner than the hole of the first one "
                    f"({_mm(screw.diameter)}); use {_mm(screw.diameter)} or more"
                )
            new = Revised(screw, body)
            if depth(new) < depth(screw) - 1e-9:
                yield ("protocol", i, "revise", "insertion_depth" if body.insertion_depth is not None else "length"), (
                    f"the new screw ends {_mm(depth(new))} deep, short of the hole of the first one "
                    f"({_mm(depth(screw))}); make it as long or longer"
                )
            screw = new


def _waist(scenario):
    for i, kind, body in scenario.steps():
        if kind != "halo" or body.waist is None:
            continue
        if body.shape == "cylinder":
            message = "a cylindrical halo has no waist; use `shape: hourglass` or leave it out"
            yield ("protocol", i, "halo", "waist"), message
        elif body.waist > body.thickness:
            yield ("protocol", i, "halo", "waist"), (
                f"the waist ({_mm(body.waist)}) is thicker than the halo ({_mm(body.thickness)}); "
                f"it is its thinnest part"
            )


def _preset(scenario):
    for i, kind, body in scenario.steps():
        if kind == "augment" and body.volume == "preset" and preset_volume(scenario.specimen) is None:
            what = "S1" if scenario.specimen.shape == "vertebra" else "a specimen that is no vertebra"
            yield ("protocol", i, "augment", "volume"), f"there is no preset for {what}; give a volume, such as `2 ml`"


def _void(scenario):
    """Volume of the given halo that the last screw leaves free, mm^3; 0 without a halo."""
    last = lab_screw(screws(scenario)[-1][1])
    return sum(void_volume(last, lab_halo(halo, made)) for _, halo, made in halos(scenario))


def _cement_fits(scenario):
    """Cement that is more than the specimen can take."""
    specimen = scenario.specimen
    for i, kind, body in scenario.steps():
        if kind != "augment" or cycled(scenario, i):
            continue
        where, amount = ("protocol", i, "augment", "volume"), volume(body, specimen)
        void = _void(scenario)
        if specimen.shape == "block" and not void:
            continue  # there is nothing to fill, which is said of the target
        room = _cement_room(specimen, void, scenario)
        if amount > room:
            yield where, (
                f"{number(amount / 1000)} ml of cement do not fit; this specimen takes at most "
                f"{number(round(room / 1000 - 0.05, 1))} ml round one screw"
            )


def _cement_room(specimen, void, scenario):
    """Most cement for one screw, mm^3."""
    if specimen.shape == "block":
        return void  # nothing infiltrates closed-cell foam
    if specimen.shape == "vertebra":
        sizes = level(specimen.level)
        body = pi / 4 * sizes.width * sizes.depth * sizes.height
        return 0.4 * (1 - bvtv(specimen)) * body + void  # one screw's half, less the shell
    screw = screws(scenario)[-1][1]
    radius = specimen.diameter / 2 - MARGIN
    ring = pi * (radius**2 - screw.diameter**2 / 4)
    return (1 - bvtv(specimen)) * ring * depth(screw) / 2 + void


_RULES = [
    _axisymmetric,
    _core,
    _tip,
    _pitch,
    _depth,
    _three_threads,
    _course,
    _fenestration,
    _foam_density,
    _longer_than_bone,
    _halo_longer_than_bone,
    _thicker_than_bone,
    _halo_wider_than_bone,
    _fixture,
    _edges,
    _insert_first,
    _pullout_last,
    _once,
    _after_cement,
    _augment_target,
    _thinner_revision,
    _waist,
    *cycling_rules.RULES,
    _preset,
    _cement_fits,
]


# -- warnings ----------------------------------------------------------------------------------------------------------


def _density(scenario):
    """The range of the law that will be used, with its source, as the material library states it."""
    from materials import library

    specimen, found = scenario.specimen, []
    if specimen.shape == "block":
        key = "grade" if specimen.density is None else "density"
        library.load("foam").density.check(foam_density(specimen), "foam density", found)
    else:
        key, law = "bmd", library.load("bone")
        qct = specimen.bmd_kind.startswith("qct")
        kind, value = ("qct_k2hpo4", law.qct_density) if qct else ("apparent", law.apparent_density)
        value.check(density(specimen).to(kind).value, f"bone density ({kind})", found)
    for sentence in found:
        yield ("specimen", key), f"{sentence}; the result is an extrapolation"


def _tight_pedicle(scenario):
    if scenario.specimen.shape == "vertebra":
        width = level(scenario.specimen.level).pedicle_width
        for path, screw in screws(scenario):
            if 0.8 * width < screw.diameter < width:
                yield (*path, "diameter"), (
                    f"{_mm(screw.diameter)} is more than 80 % of the pedicle's width ({_mm(width)}); "
                    f"its wall may be breached"
                )


def _idle_holes(scenario):
    filled = any(kind == "augment" and body.target == "fenestrations" for _, kind, body in scenario.steps())
    for path, screw in screws(scenario):
        if screw.fenestration is not None and not filled:
            yield (*path, "fenestration"), (
                "the holes say where cement comes out, and no cement goes through them here: the screw is computed as a solid one"
            )


def _half_filled(scenario):
    void = _void(scenario)
    for i, kind, body in scenario.steps():
        if kind == "augment" and void and not cycled(scenario, i) and volume(body, scenario.specimen) < void:
            yield ("protocol", i, "augment", "volume"), (
                f"the halo holds {number(round(void / 1000, 2))} ml: this cement fills it from the tip upwards, not to "
                f"the entry"
            )


def _ring(scenario):
    ring = scenario.fixture.ring_inner_diameter
    if scenario.specimen.shape == "block" and ring is not None and ring < 5 * scenario.screw.diameter:
        yield ("fixture", "ring_inner_diameter"), (
            f"ASTM F543 asks for five times the screw's diameter, {_mm(5 * scenario.screw.diameter)}"
        )


_WARNINGS = [_density, _tight_pedicle, _idle_holes, _half_filled, _ring]
