"""What no single value can tell: contradictions between values, an order of steps that no lab could follow, and warnings.

A rule takes a scenario (or the readable part of a broken one) and yields (path, sentence). A rule that needs a value
which could not be read is skipped.
"""

from meshes.anatomy import level
from scenarios import cycling_rules, protocol_rules, screw_rules, specimen_rules
from scenarios.protocol import Unknown, cycled, density, foam_density, screws, volume
from scenarios.protocol_rules import halo_void
from scenarios.units import mm, number


def contradictions(scenario):
    """[(path, sentence), ...] of all rules."""
    return _run([*specimen_rules.RULES, *screw_rules.RULES, *protocol_rules.RULES, *cycling_rules.RULES], scenario)


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
                    f"{mm(screw.diameter)} is more than 80 % of the pedicle's width ({mm(width)}); "
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
    void = halo_void(scenario)
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
            f"ASTM F543 asks for five times the screw's diameter, {mm(5 * scenario.screw.diameter)}"
        )


_WARNINGS = [_density, _tight_pedicle, _idle_holes, _half_filled, _ring]
