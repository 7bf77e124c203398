"""The mechanical problem that the solver reads: a law for each region, interfaces, insertion damage, loading."""

import numpy as np

from materials import bone, cement, fibrous, foam, interface, library, metal
from materials.density import Density, Kind

INSERTION_ANNULUS = 1.0         # mm beyond the thread crest
PULLOUT = {"kind": "pullout", "rate_mm_per_s": 5.0 / 60.0, "stop": {"force_drop": 0.2, "displacement": 3.0}}
STEPS = {"first": 0.01, "largest": 0.05}       # mm; cut where bone tears more in one than was foreseen (fem.pullout)
FOAM_SOLID = 1200.0             # mg/cm^3, solid polyurethane


def problem(model, regions, interfaces, screw_diameter, insertion_depth, *, screw_material="Ti6Al4V", density=None,
            foam_density=None, frame=None, cortex=False, loading=PULLOUT, rig_compliance=0.0, steps=STEPS):
    """Everything the solver needs to know beside the mesh, ready for JSON.

    model               'threaded3d' or 'axisymmetric'
    regions             {region name: region number} of the regions present in the mesh
    interfaces          names of the split interfaces present, 'screw_trabecular' ...
    screw_diameter      major diameter, mm; insertion_depth in mm; both bound the insertion damage
    density             `Density` of the trabecular bone of the body, needed where there is bone
    foam_density        mg/cm^3, needed where there is foam
    frame               (3, 3) R with x_anatomical = R @ x_screw; the body's cranio-caudal axis is then anatomical z.
                        None (cylinders and blocks): that axis is the screw axis, so that r-z and 3D are one material
    cortex              whether the outer surface carries a cortical membrane
    loading             the protocol step for the solver, a pullout or a cycle; rig_compliance in mm/N; steps {'first', 'largest'} in mm

    Returns the problem with one more entry, 'warnings': sentences about values outside the range of their law.
    Raises ValueError for a region or interface without law or a missing density.
    """
    warnings = []
    makers = {
        "screw": lambda: metal.metal(screw_material),
        "trabecular": lambda: _trabecular(density, frame, warnings),
        "pedicle": lambda: bone.pedicle(density, warnings),
        "posterior": lambda: bone.posterior(density, warnings),
        "foam": lambda: foam.foam(foam_density, warnings),
        "halo": fibrous.fibrous,
        "cement": cement.cement,
        "cemented_bone": cement.cemented_bone,
    }
    if unknown := set(regions) - set(makers):
        raise ValueError(f"no material for region {', '.join(sorted(unknown))}")
    if density is None and (cortex or set(regions) & set(interface.BONES)):
        raise ValueError("bone needs a density")
    if foam_density is None and "foam" in regions:
        raise ValueError("foam needs a density")
    if density is not None and not isinstance(density, Density):
        raise TypeError("density must say its kind: Density(value, kind)")

    laws = [makers[name]() for name in regions]
    calibrated = library.load("calibrated")
    return {
        "schema": 1,
        "model": model,
        "laws": [law.plain() for law in laws],
        "region_law": {str(number): index for index, number in enumerate(regions.values())},
        "nonlocal_length": float(library.load("bone").nonlocal_length),
        "insertion": {"damage": float(calibrated.insertion_damage), "radius": screw_diameter / 2 + INSERTION_ANNULUS,
                      "depth": float(insertion_depth),
                      "regions": [regions[name] for name in interface.BONES if name in regions],
                      "sources": library.sources("calibrated", "insertion_damage")},
        "interfaces": {name: interface.interface(name, _solid(name, density, foam_density)) for name in interfaces},
        "cortex": bone.cortex(density) if cortex else None,
        "screw": {"radius": screw_diameter / 2, "depth": float(insertion_depth)},
        "loading": dict(loading),
        "rig_compliance_mm_per_N": float(rig_compliance),
        "steps": dict(steps),
        "warnings": list(dict.fromkeys(warnings)),
    }


def _solid(interface_name, density, foam_density):
    """Solid fraction of what the interface has on its far side: of foam, of the body, or of pedicle and arch, which are denser."""
    if interface_name.endswith("_foam"):
        return foam_density / FOAM_SOLID
    if interface_name.endswith(("_pedicle", "_posterior")):
        return bone.isthmus_density(density).value
    return density.to(Kind.BVTV).value if density else 1.0


def _trabecular(density, frame, warnings):
    """Law of the body in the screw frame."""
    law = bone.trabecular(density, warnings)
    return law if frame is None else law.rotated(np.asarray(frame, float).T)
