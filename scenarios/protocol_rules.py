"""Orders of steps that no lab could follow, and steps that their specimen does not allow; rules as in rules.py."""

from math import pi

from meshes.anatomy import level
from scenarios.protocol import (
    MARGIN,
    Revised,
    bvtv,
    cycled,
    depth,
    halos,
    lab_halo,
    lab_screw,
    preset_volume,
    screws,
    void_volume,
    volume,
)
from scenarios.units import mm, number


def insert_first(scenario):
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


def pullout_last(scenario):
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


def once(scenario):
    seen = set()
    for i, kind, _ in scenario.steps():
        if kind in ("halo", "augment", "revise") and kind in seen:
            yield ("protocol", i), f"a second `{kind}` is not available yet; a protocol holds at most one"
        seen.add(kind)


def after_cement(scenario):
    cemented = False
    for i, kind, _ in scenario.steps():
        if cemented and kind == "revise":
            yield ("protocol", i), "a screw cannot be replaced once cement holds it; put `revise` before `augment`"
        if cemented and kind == "halo":
            yield ("protocol", i), "a halo round a cemented screw is not available yet; put `halo` before `augment`"
        cemented = cemented or kind == "augment"


def augment_target(scenario):
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


def thinner_revision(scenario):
    screw = scenario.screw
    for i, kind, body in scenario.steps():
        if kind == "revise":
            if body.diameter < screw.diameter:
                yield ("protocol", i, "revise", "diameter"), (
                    f"a revision screw of {mm(body.diameter)} is thinner than the hole of the first one "
                    f"({mm(screw.diameter)}); use {mm(screw.diameter)} or more"
                )
            new = Revised(screw, body)
            if depth(new) < depth(screw) - 1e-9:
                yield ("protocol", i, "revise", "insertion_depth" if body.insertion_depth is not None else "length"), (
                    f"the new screw ends {mm(depth(new))} deep, short of the hole of the first one "
                    f"({mm(depth(screw))}); make it as long or longer"
                )
            screw = new


def waist(scenario):
    for i, kind, body in scenario.steps():
        if kind != "halo" or body.waist is None:
            continue
        if body.shape == "cylinder":
            message = "a cylindrical halo has no waist; use `shape: hourglass` or leave it out"
            yield ("protocol", i, "halo", "waist"), message
        elif body.waist > body.thickness:
            yield ("protocol", i, "halo", "waist"), (
                f"the waist ({mm(body.waist)}) is thicker than the halo ({mm(body.thickness)}); "
                f"it is its thinnest part"
            )


def nothing_holds(scenario):
    """A screw in an empty halo that it touches nowhere."""
    for at, halo, made in halos(scenario):
        if halo.content != "empty":
            continue
        empty = lab_halo(halo, made)
        hole = made.diameter + 2 * float(min(empty.thickness_at([-0.01 * k * empty.depth for k in range(101)])))
        for i, kind, body in scenario.steps()[at + 1 :]:
            if kind == "augment" or kind == "revise" and body.diameter > hole:
                break
            if kind in ("cycle", "pullout"):
                yield ("protocol", i), (
                    "nothing holds the screw: its halo is empty all round it; use `content: fibrous`, fill it with `augment`, or `revise` "
                    f"with a screw of more than {mm(hole)}"
                )
                break


def preset(scenario):
    for i, kind, body in scenario.steps():
        if kind == "augment" and body.volume == "preset" and preset_volume(scenario.specimen) is None:
            what = "S1" if scenario.specimen.shape == "vertebra" else "a specimen that is no vertebra"
            yield ("protocol", i, "augment", "volume"), f"there is no preset for {what}; give a volume, such as `2 ml`"


def halo_void(scenario):
    """Volume of the given halo that the last screw leaves free, mm^3; 0 without a halo."""
    last = lab_screw(screws(scenario)[-1][1])
    return sum(void_volume(last, lab_halo(halo, made)) for _, halo, made in halos(scenario))


def cement_fits(scenario):
    """Cement that is more than the specimen can take."""
    specimen = scenario.specimen
    for i, kind, body in scenario.steps():
        if kind != "augment" or cycled(scenario, i):
            continue
        where, amount = ("protocol", i, "augment", "volume"), volume(body, specimen)
        void = halo_void(scenario)
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


RULES = [
    insert_first,
    pullout_last,
    once,
    after_cement,
    augment_target,
    thinner_revision,
    waist,
    nothing_holds,
    preset,
    cement_fits,
]
