"""What moves the peak force of a native screw in bone: inputs of the laws changed one at a time, in a bone cylinder.

`python -m benchmarks.verification.inputs` writes inputs.csv and .md: two minutes. The axisymmetric screw lies along the cranio-caudal axis; one in
three dimensions, 20 mm deep, along it and across it, as in a pedicle.
"""

from math import pi
from pathlib import Path

import numpy as np

from materials import bone, library
from materials.density import Density, Kind
from materials.law import quadric
from scenarios import tables
from scenarios.laboratory import BMD, FINENESS, INDEX, insertion, pullout

HERE = Path(__file__).parent
ACROSS = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # takes the cranio-caudal axis across the screw's


def body(rotation=None, **changed):
    """An `edit` for `pose`: the law of the vertebral body with some arguments of `quadric` changed, turned by `rotation`."""
    v = library.load("bone")
    given = {"tension": v.tension_ratio, "shear": v.shear_ratio, "interaction": v.interaction_longitudinal,
             "interaction_transverse": v.interaction_transverse, "transverse": v.strength_transverse_ratio}

    def edit(posed):
        law = bone.trabecular(Density(BMD, Kind.QCT_K2HPO4), [])
        law.F[:], law.f[:] = quadric(*(given | changed).values())
        here = next(i for i, old in enumerate(posed["laws"]) if old["name"] == "trabecular")
        posed["laws"][here] |= (law if rotation is None else law.rotated(rotation)).plain()
    return edit


def shear_failure():
    """Force (N) of the shear-failure formula of Chapman 1996 with the shear strength of the law: tau pi D L TSF, TSF = 0.5 + 0.577 d/p."""
    v = library.load("bone")
    shear = v.shear_ratio * bone.trabecular(Density(BMD, Kind.QCT_K2HPO4), []).strength
    depth = (INDEX.diameter - INDEX.core_diameter) / 2
    return shear * pi * INDEX.diameter * INDEX.depth * (0.5 + 0.57735 * depth / INDEX.pitch)


FLAT = {
    "as shipped": body(),
    "insertion damage 0 instead of 0.3": insertion(0.0),
    "shear strength 0.35 instead of 0.44": body(shear=0.35),
    "tension ratio 0.7 instead of 0.9": body(tension=0.7),
    "no anisotropy of strength": body(transverse=1.0),
    "interaction zeta_TT 0 instead of 0.28": body(interaction_transverse=0.0),
}
SOLID = {
    "along the cranio-caudal axis": body(),
    "across it": body(ACROSS),
    "across it, transverse strength 0.6 instead of 0.41": body(ACROSS, transverse=0.6),
}


def main():
    rows = []
    for model, fineness, variants in (("axisymmetric", "standard", FLAT), ("threaded3d", "coarse", SOLID)):
        first = None
        for name, edit in variants.items():
            peak = pullout(resolution=FINENESS[fineness], model=model, edit=edit, drop=0.05).peak
            first = first or peak
            rows.append({"model": model, "change": name, "peak N": peak, "against the first %": 100 * (peak / first - 1),
                         "over the shear-failure formula": peak / shear_failure()})
            print(rows[-1], flush=True)
    tables.write(HERE / "inputs", rows, "What moves the peak force of a native screw",
                 f"Bone cylinder, BMD {BMD:g} mg/cm3, screw 6.5 x 20 mm; shear-failure formula (Chapman 1996) with the law's own shear strength: "
                 f"{shear_failure():.0f} N. It holds for foam and knows no insertion damage.")


if __name__ == "__main__":
    main()
