"""From a validated scenario to what is meshed and what is solved: the protocol is replayed on the specimen.

    stages(scenario)                     -> the steps that the solver carries out, in order
    parts(scenario, stage, made)         -> Parts: specimen, screw, halo, cement, resolution as the mesh maker takes them
    mesh_key(parts)                      -> name of their mesh, the same for the same geometry
    problem(scenario, stage, made, mesh) -> the solver's problem, a JSON-ready dict
    law_numbers(scenario)                -> all numbers of its laws, as text: what a result stands and falls with
"""

from dataclasses import dataclass
import hashlib
import json

import numpy as np

from materials.cement import pores
from meshes import specimen as lab
from scenarios import protocol
from scenarios.provenance import source

NECK = 0.5  # mm between bone and head, see meshes.profile
LOWEST_HEAD, USUAL_HEAD = 2.0, 10.0  # mm off the bone, the top of the head


@dataclass(frozen=True)
class Stage:
    """A step that is solved: index in the protocol, kind, spec, and the folder of its files in the result directory."""

    index: int
    kind: str
    body: object
    folder: str


@dataclass(frozen=True)
class Parts:
    """The state of the specimen when a step begins; metal is the material of the screw that is loaded."""

    specimen: lab.Vertebra | lab.Cylinder | lab.Block
    screw: lab.Screw
    halo: lab.Halo | None
    cement: lab.Cement | None
    resolution: lab.Resolution
    model: str
    metal: str


def stages(scenario):
    """[Stage, ...]; where there is only one its files lie in the result directory itself."""
    solved = [step for step in scenario.steps() if step[1] in ("cycle", "pullout")]
    return [Stage(i, kind, body, f"{i + 1}-{kind}" if len(solved) > 1 else ".") for i, kind, body in solved]


def untouched(scenario, before, stage):
    """Whether nothing is done to the specimen between two stages: a screw that is put in anew, be it the same one, starts free of
    load and stress, as does bone in which cement sets."""
    return not any(kind in ("revise", "augment") for _, kind, _ in scenario.steps()[before.index : stage.index])


@dataclass(frozen=True)
class Made:
    """What cycling has made of the bone: the lab.Halo round the screw, if any, and all that is broken, a lab.Broken."""

    halo: lab.Halo | None
    broken: lab.Broken


def parts(scenario, stage=None, made=None):
    """Replay the protocol of a spec.Scenario up to `stage` (None: the last one); made: what cycling before it has Made, if any.

    A halo made by cycling is damaged bone, not a body of its own, until cement fills it.
    """
    stage = stage or stages(scenario)[-1]
    before = scenario.steps()[: stage.index]
    last = [screw for path, screw in protocol.screws(scenario) if path[0] == "screw" or path[1] < stage.index][-1]
    screw = protocol.lab_screw(last, *(head - NECK for head in _head(scenario)))
    augment = next((body for _, kind, body in before if kind == "augment"), None)
    halo = next((protocol.lab_halo(body, owner) for i, body, owner in protocol.halos(scenario) if i < stage.index), None)
    if augment and augment.target == "halo":
        halo = halo or (made and made.halo)
    cement = _cement(augment, scenario.specimen, made and made.broken) if augment else None
    edges = scenario.resolution
    resolution = lab.RESOLUTIONS[edges] if isinstance(edges, str) else lab.Resolution(**edges.model_dump())
    return Parts(_specimen(scenario, last), screw, halo, cement, resolution, scenario.model, last.material)


def mesh_key(found):
    """Name of the mesh of some Parts that no cycling has changed: equal if and only if the same mesher is given the same."""
    geometry = found.specimen, found.screw, found.halo, found.cement, found.resolution, found.model
    return hashlib.sha256((source("meshes/*.py") + repr(geometry)).encode()).hexdigest()[:16]


def halo_made(document, screw, specimen):
    """The lab.Halo round the lab.Screw that a cyclic step has made, from its halo.json: as far as the wall of the pedicle. None where
    bone is whole round the screw's entry."""
    most = 0.5 * (protocol.widest_hole(specimen) - screw.diameter) - 0.05
    thickness = [min(t, most) for t in document["snapshots"][-1]["thickness_mm"]]
    halo = lab.Halo(max(thickness), screw.diameter, screw.depth, "measured", profile=tuple(zip(document["z_mm"], thickness)))
    return halo if halo.bottom > 0.0 else None


def broken_bone(mesh, broken):
    """The lab.Broken bone of a meshes.labmesh.LabMesh, of whose cells those of the mask `broken` (m,) are."""
    from meshes.labmesh import BONE, REGIONS, cell_volumes

    bone = np.isin(mesh.region, [REGIONS[name] for name in BONE])
    rotation, origin = mesh.frame
    centres = mesh.points[mesh.cells[bone]].mean(axis=1) @ rotation.T + origin
    return lab.Broken(centres, np.where(broken[bone], cell_volumes(mesh.points, mesh.cells[bone]), 0.0))


def _cement(augment, specimen, broken):
    # Closed-cell foam takes no cement: all of it stays in the halo.
    filled = 1.0 if specimen.shape == "block" else pores(protocol.bvtv(specimen))
    return lab.Cement(protocol.volume(augment, specimen), augment.target,
                      broken=broken if augment.target == "halo" else None, pores=filled)


def _specimen(scenario, screw):
    given = scenario.specimen
    if given.shape == "cylinder":
        return lab.Cylinder(given.diameter, given.length)
    if given.shape == "block":
        return lab.Block(given.width, given.height, protocol.ring_inner_diameter(scenario))
    first = scenario.screw.diameter
    return protocol.lab_vertebra(given, first if screw.diameter != first else None)


def problem(scenario, stage, made, mesh):
    """The solver's problem for `mesh` (meshes.labmesh.LabMesh) of the Parts `made` under the load of `stage`."""
    from materials.problem import problem as pose
    from meshes.labmesh import NAMES

    vertebra = scenario.specimen.shape == "vertebra"
    return pose(
        scenario.model,
        {NAMES[n]: int(n) for n in np.unique(mesh.region)},
        list(mesh.interfaces),
        made.screw.diameter,
        mesh.info["insertion_depth_mm"],
        screw_material=made.metal,
        density=protocol.density(scenario.specimen),
        foam_density=protocol.foam_density(scenario.specimen),
        frame=mesh.frame[0] if vertebra else None,
        cortex=bool(len(mesh.facets.get("cortex", ()))),
        loading=_loading(scenario, stage, mesh),
        rig_compliance=scenario.fixture.rig_compliance,
    )


def law_numbers(scenario):
    """All numbers of the laws and interfaces that a test of `scenario` may need, as JSON: with them a result stands and falls, whether
    they change in the material library or in the code that makes laws of it."""
    from materials.interface import BONES
    from materials.problem import problem as pose

    solid = {"vertebra": BONES, "cylinder": ("trabecular",), "block": ("foam",)}[scenario.specimen.shape]
    regions = (*solid, "halo", "cement", "cemented_bone")
    posed = pose(
        scenario.model,
        {name: number for number, name in enumerate(("screw", *regions))},
        [f"screw_{name}" for name in regions] + [f"cement_{name}" for name in solid],
        scenario.screw.diameter,
        scenario.screw.length,
        screw_material=scenario.screw.material,
        density=protocol.density(scenario.specimen),
        foam_density=protocol.foam_density(scenario.specimen),
        cortex=scenario.specimen.shape == "vertebra",
    )
    return json.dumps([_numbers(posed[name]) for name in ("laws", "interfaces", "cortex", "nonlocal_length")], sort_keys=True)


def _numbers(value):
    """`value` without what is said of its sources, to nine digits: another machine may round differently."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items() if key != "sources"}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return f"{value:.9g}" if isinstance(value, float) else value


def _loading(scenario, stage, mesh):
    if stage.kind == "pullout":
        stop = {"force_drop": stage.body.stop.force_drop / 100, "displacement": stage.body.stop.displacement}
        return {"kind": "pullout", "rate_mm_per_s": stage.body.rate, "stop": stop}
    loading = {"kind": "cycle"} | stage.body.loading
    head, = _head(scenario)
    return loading | {"direction": _direction(loading["axis"], scenario.specimen, mesh).tolist(), "ahead_mm": loading["lever_arm_mm"] - head}


def _head(scenario):
    """[how far off the bone the top of the head is that is meshed, mm], or [] where nothing is cycled: at the line of the first cyclic
    load, unless that is in or at the bone. Other lever arms need no other head, so that a specimen keeps its mesh and state."""
    arms = [body.lever_arm for _, kind, body in scenario.steps() if kind == "cycle"]
    return [arm if arm >= LOWEST_HEAD else USUAL_HEAD for arm in arms[:1]]


def _direction(axis, specimen, mesh):
    """Unit vector of the load in the screw frame.

    Labs load the head at right angles to the screw: towards the feet (craniocaudal) or the midline (mediolateral);
    a direction that is given is taken as it is. Outwards is axial.
    """
    if specimen.shape != "vertebra":
        known = {"craniocaudal": (-1, 0, 0), "mediolateral": (0, -1, 0), "axial": (0, 0, 1)}
        return np.array(known.get(axis, axis) if isinstance(axis, str) else axis, float)
    rotation = mesh.frame[0]
    if axis == "axial":
        return np.array([0.0, 0.0, 1.0])
    if not isinstance(axis, str):
        return rotation.T @ np.array(axis, float)
    sign = 1.0 if specimen.side == "left" else -1.0
    found = rotation.T @ np.array({"craniocaudal": (0, 0, -1), "mediolateral": (-sign, 0, 0)}[axis], float)
    found[2] = 0.0
    return found / np.linalg.norm(found)
