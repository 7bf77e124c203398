"""From a validated scenario to what is meshed and what is solved: the protocol is replayed on the specimen.

    parts(scenario)         -> Parts: specimen, screw, halo, cement, resolution as the mesh maker takes them
    problem(scenario, mesh) -> the solver's problem, a JSON-ready dict
"""

from dataclasses import dataclass

import numpy as np

from materials import cement as cement_law
from meshes import specimen as lab
from scenarios import protocol


@dataclass(frozen=True)
class Parts:
    """The state of the specimen when the pull begins; metal is the material of the screw that is pulled."""

    specimen: lab.Vertebra | lab.Cylinder | lab.Block
    screw: lab.Screw
    halo: lab.Halo | None
    cement: lab.Cement | None
    resolution: lab.Resolution
    model: str
    metal: str


def parts(scenario):
    """Replay the protocol of a spec.Scenario up to the pullout."""
    current, halo, cement = scenario.screw, None, None
    for _, kind, body in scenario.steps():
        if kind == "revise":
            current = protocol.revised(current, body)
        elif kind == "halo":
            halo = _halo(body, current)
        elif kind == "augment":
            cement = _cement(body, scenario.specimen, _screw(current), halo)
    edges = scenario.resolution
    resolution = lab.RESOLUTIONS[edges] if isinstance(edges, str) else lab.Resolution(**edges.model_dump())
    return Parts(_specimen(scenario), _screw(current), halo, cement, resolution, scenario.model, current.material)


def _screw(screw):
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
        insertion_depth=protocol.depth(screw),
        fenestration=lab.Fenestration(holes.count, holes.diameter, holes.from_tip) if holes else None,
    )


def _halo(body, screw):
    return lab.Halo(body.thickness, screw.diameter, protocol.depth(screw), body.shape, body.content, body.waist)


def _cement(body, specimen, screw, halo):
    amount = protocol.volume(body, specimen)
    void = void_volume(screw, halo) if halo else 0.0
    # Closed-cell foam takes no cement: all of it stays in the halo.
    bulk = amount if specimen.shape == "block" else cement_law.bulk_volume(amount / 1000, protocol.bvtv(specimen), void)
    return lab.Cement(bulk, body.target, fills_halo=halo is not None)


def _specimen(scenario):
    given = scenario.specimen
    if given.shape == "cylinder":
        return lab.Cylinder(given.diameter, given.length)
    if given.shape == "block":
        return lab.Block(given.width, given.height, ring_inner_diameter(scenario))
    way = given.trajectory
    offset = (way.offset.lateral, way.offset.cranial)
    return lab.Vertebra(given.level, given.side, way.transverse, way.sagittal, offset)


def ring_inner_diameter(scenario):
    """Inner diameter of the support ring, mm: as given, else five times the screw's (ASTM F543 Annex A3)."""
    ring = scenario.fixture.ring_inner_diameter
    return 5 * scenario.screw.diameter if ring is None else ring


def problem(scenario, made, mesh):
    """The solver's problem for `mesh` (meshes.LabMesh) of the Parts `made`."""
    from materials.problem import problem as pose
    from meshes.labmesh import NAMES

    pull = next(body for _, kind, body in scenario.steps() if kind == "pullout")
    stop = {"force_drop": pull.stop.force_drop / 100, "displacement": pull.stop.displacement}
    present = np.unique(mesh.region)
    return pose(
        scenario.model,
        {NAMES[n]: int(n) for n in present},
        list(mesh.interfaces),
        made.screw.diameter,
        made.screw.depth,
        screw_material=made.metal,
        density=protocol.density(scenario.specimen),
        foam_density=protocol.foam_density(scenario.specimen),
        frame=mesh.frame[0] if scenario.specimen.shape == "vertebra" else None,
        cortex=bool(len(mesh.facets.get("cortex", ()))),
        loading=[{"kind": "pullout", "rate_mm_per_s": pull.rate, "stop": stop}],
        rig_compliance=scenario.fixture.rig_compliance,
    )
