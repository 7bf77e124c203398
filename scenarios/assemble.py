"""From a validated scenario to what is meshed and what is solved: the protocol is replayed on the specimen.

    parts(scenario)               -> Parts: specimen, screw, halo, cement, resolution as the mesh maker takes them
    problem(scenario, made, mesh) -> the solver's problem, a JSON-ready dict
"""

from dataclasses import dataclass

import numpy as np

from materials.cement import bulk_volume
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
    last = protocol.screws(scenario)[-1][1]
    halo = next((protocol.lab_halo(body, screw) for _, body, screw in protocol.halos(scenario)), None)
    augment = next((body for _, kind, body in scenario.steps() if kind == "augment"), None)
    screw = protocol.lab_screw(last)
    cement = _cement(augment, scenario.specimen, screw, halo) if augment else None
    edges = scenario.resolution
    resolution = lab.RESOLUTIONS[edges] if isinstance(edges, str) else lab.Resolution(**edges.model_dump())
    return Parts(_specimen(scenario), screw, halo, cement, resolution, scenario.model, last.material)


def _cement(augment, specimen, screw, halo):
    amount = protocol.volume(augment, specimen)
    # Closed-cell foam takes no cement: all of it stays in the halo.
    bulk = amount
    if specimen.shape != "block":
        void = protocol.void_volume(screw, halo) if halo else 0.0
        bulk = bulk_volume(amount / 1000, protocol.bvtv(specimen), void)
    return lab.Cement(bulk, augment.target, fills_halo=halo is not None)


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
    """The solver's problem for `mesh` (meshes.labmesh.LabMesh) of the Parts `made`."""
    from materials.problem import problem as pose
    from meshes.labmesh import NAMES

    pull = next(body for _, kind, body in scenario.steps() if kind == "pullout")
    stop = {"force_drop": pull.stop.force_drop / 100, "displacement": pull.stop.displacement}
    vertebra = scenario.specimen.shape == "vertebra"
    return pose(
        scenario.model,
        {NAMES[n]: int(n) for n in np.unique(mesh.region)},
        list(mesh.interfaces),
        made.screw.diameter,
        made.screw.depth,
        screw_material=made.metal,
        density=protocol.density(scenario.specimen),
        foam_density=protocol.foam_density(scenario.specimen),
        frame=mesh.frame[0] if vertebra else None,
        cortex=bool(len(mesh.facets.get("cortex", ()))),
        loading=[{"kind": "pullout", "rate_mm_per_s": pull.rate, "stop": stop}],
        rig_compliance=scenario.fixture.rig_compliance,
    )
