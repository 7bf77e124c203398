"""resolved.yaml: every value of a scenario, in internal units, with its unit and where it comes from."""

from dataclasses import asdict
from io import StringIO
from typing import get_args

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from meshes.anatomy import level
from scenarios import assemble, protocol
from scenarios.cycling import PRESETS, settled, settled_stop
from scenarios.units import Quantity, Ramp

HEADER = """\
# Every value of this run: value, unit (mm, N, MPa, s, Hz, mg/cm^3, deg), and its source: given in the scenario, the
# default and its reason, a table, or derived. Laws of the materials with their sources: problem.json.
"""


def resolved_text(scenario, overrides=None):
    """YAML text. overrides: {path: (value, source)} of what did not come from the file, such as the command line."""
    known = _known(scenario) | (overrides or {})
    tree = _block(scenario, (), known)
    if derived := _derived(scenario):
        tree["derived"] = derived
    yaml = YAML()
    yaml.width = 1000
    stream = StringIO()
    yaml.dump(tree, stream)
    return HEADER + stream.getvalue()


def _block(model, path, known):
    tree = CommentedMap()
    for name, field in type(model).model_fields.items():
        here, value = (*path, name), getattr(model, name)
        source = "given" if name in model.model_fields_set and value is not None else None
        source = source or (field.json_schema_extra or {}).get("default_source", "given")
        if here in known:
            value, better = known[here]
            source = better or source
        if isinstance(value, BaseModel):
            tree[name] = _block(value, here, known)
        elif name == "protocol":
            tree[name] = [_block(step, (*here, i), known) for i, step in enumerate(value)]
        else:
            unit = _unit(field) or ("1" if isinstance(value, float) else None)
            tree[name] = _leaf(value, unit, f"default: {source}" if _is_default(source) else source)
    return tree


def _is_default(source):
    return not source.startswith(("given", "table", "derived", "preset", "nominal", "default"))


def _leaf(value, unit, source):
    value = str(value) if isinstance(value, Ramp) else list(value) if isinstance(value, tuple) else value
    leaf = CommentedMap({"value": value} | ({"unit": unit} if unit and value is not None else {}) | {"source": source})
    leaf.fa.set_flow_style()
    return leaf


def quantity(field):
    """The units.Quantity of a field of the language, None if it has no unit."""
    return _quantity(field.annotation) or next((m for m in field.metadata if isinstance(m, Quantity)), None)


def _unit(field):
    found = quantity(field)
    return found.unit if found else None


def _quantity(annotation):
    for part in get_args(annotation):
        if isinstance(part, Quantity):
            return part
        if found := _quantity(part):
            return found
    return None


def _known(scenario):
    """{path: (value, source)} of what a default leaves open and the specimen, the table or the screw settles."""
    specimen, fixture, found = scenario.specimen, scenario.fixture, {}
    if fixture.hold is None:
        found["fixture", "hold"] = protocol.HOLDS[specimen.shape], None
    if specimen.shape == "vertebra":
        for name in ("transverse", "sagittal"):
            if getattr(specimen.trajectory, name) is None:
                sizes = level(specimen.level)
                source = f"table: pedicle axis of {specimen.level}, {sizes.source}"
                found["specimen", "trajectory", name] = getattr(sizes, name), source
    if specimen.shape != "block":
        found["fixture", "ring_inner_diameter"] = None, "default: there is no ring"
    else:
        found["fixture", "ring_inner_diameter"] = protocol.ring_inner_diameter(scenario), None
        found["specimen", "density"] = protocol.foam_density(specimen), None
    for path, screw in protocol.screws(scenario):
        if screw.insertion_depth is None:
            found[*path, "insertion_depth"] = protocol.depth(screw), None
        if isinstance(screw, protocol.Revised):
            for name in type(screw.new).model_fields:
                if getattr(screw.new, name) is None and name != "insertion_depth":
                    found[*path, name] = getattr(screw, name), None
            if screw.new.insertion_depth is None:
                found[*path, "insertion_depth"] = protocol.depth(screw), None
    for i, kind, body in scenario.steps():
        if kind == "halo" and body.shape == "hourglass" and body.waist is None:
            found["protocol", i, "halo", "waist"] = body.thickness / 4, None
        if kind == "augment" and body.volume == "preset":
            found["protocol", i, "augment", "volume"] = protocol.preset_volume(specimen)
        if kind == "cycle":
            found |= {("protocol", i, kind, name): leaf for name, leaf in settled(body).items()}
            if body.preset is not None:
                found["protocol", i, kind, "preset"] = body.preset, f"given: {PRESETS[body.preset]['source']}"
            found |= {("protocol", i, kind, "stop", name): leaf for name, leaf in settled_stop(body).items()}
    return found


def _derived(scenario):
    """Values that follow from the given ones and are handed to mesh and solver."""
    made, tree = assemble.parts(scenario), CommentedMap()
    if isinstance(scenario.resolution, str):
        source = f"derived: edge lengths and sectors of `{scenario.resolution}`"
        tree["edges"] = {
            name: _leaf(value, "1" if name == "sectors" else "mm", source)
            for name, value in asdict(made.resolution).items()
        }
    if scenario.specimen.shape != "block":
        source = "derived: from bmd and bmd_kind by the conversions of materials/library/density.yaml"
        tree["bone_volume_fraction"] = _leaf(round(protocol.bvtv(scenario.specimen), 4), "1", source)
    # What a halo made by cycling takes of the cement is known when the cycling is done.
    if made.cement and not any(kind == "augment" and protocol.cycled(scenario, i) for i, kind, _ in scenario.steps()):
        void = protocol.void_volume(made.screw, made.halo) if made.halo else 0.0
        if made.halo:
            tree["halo_void"] = _leaf(round(void, 1), "mm^3", "derived: between the screw and the outside of the halo")
        source = "derived: void that the cement fills first, and bone whose pores take the rest"
        tree["cement_bulk_volume"] = _leaf(round(made.cement.bulk(void), 1), "mm^3", source)
    return tree
