"""Revision screws, one and two millimetres thicker, in the holes that loose and pulled-out screws leave.

Bone cylinder of 80 mg/cm^3, axisymmetric. The index screw is 6.5/4.5 mm, 20 mm deep; revision screws have its pitch and
thread depth, so the core grows with the diameter. Holes: widened all along (cylinder) or at entry and tip (hourglass),
full of fibrous tissue, or cleaned out (empty); and the hole of a screw that was pulled out, as wide as its crest.

    python -m benchmarks.verification.revision        (2 to 4 minutes)

Writes revision.csv and revision.md beside this file. Ratios are to the index screw in intact bone.
"""

from pathlib import Path

import numpy as np

import meshes
from meshes.specimen import Block, Cement, Halo, MeshError, Screw
from scenarios import tables
from scenarios.laboratory import BMD, FINENESS, INDEX, SPECIMEN, insertion, pullout

HERE = Path(__file__).parent
THICKNESSES = (0.25, 0.5, 1.0)      # mm
SHAPES = ("cylinder", "hourglass")
STRIPPED = 0.02                     # mm wider than the crest: the least that can be meshed
FILLINGS = (100.0, 500.0)           # mm^3 of bone round the halo that the cement fills as well


def revision(more):
    """Screw that is `more` mm thicker in crest and core."""
    return Screw(INDEX.diameter + more, INDEX.length, INDEX.pitch, INDEX.core_diameter + more)


def hole(thickness, shape="cylinder", content="fibrous"):
    return Halo(thickness, INDEX.diameter, INDEX.depth, shape, content)


def engagement(screw, halo):
    """Share of the thread's projected flank area that lies beyond the hole, mean over the depth (1 without a hole)."""
    if halo is None:
        return 1.0
    z = np.linspace(-INDEX.depth, 0.0, 401)
    R, r = screw.radius, screw.core_diameter / 2
    return float(np.mean(np.clip((R**2 - np.clip(halo.outer_radius(z), r, None) ** 2) / (R**2 - r**2), 0.0, 1.0)))


def study():
    """Rows of the table."""
    rows = []

    def add(state, screw, halo=None, cement=None, **posed):
        row = {"medium": "foam 15" if "foam" in posed else f"bone {BMD:g}", "state": state, "screw mm": screw.diameter}
        if halo is not None:
            row |= {"hole": halo.shape, "content": "cement" if cement else halo.content, "thickness mm": halo.thickness,
                    "flank in firm material": engagement(screw, halo)}
        try:
            run = pullout(screw=screw, halo=halo, cement=cement, resolution=FINENESS["standard"],
                          **({"specimen": SPECIMEN} | posed))
        except MeshError as error:
            row["note"] = f"not meshed: {error}"
        else:
            sound = [r for r in rows if r["medium"] == row["medium"] and "hole" not in r]
            native = next((r["peak N"] for r in sound), run.peak)
            intact = next((r["peak N"] for r in sound if r["screw mm"] == screw.diameter), run.peak)
            row |= {"peak N": run.peak, "ratio to native": run.peak / native,
                    "ratio to this screw in intact": run.peak / intact,
                    "stiffness N/mm": run.step.get("stiffness_N_per_mm"),
                    "displacement at peak mm": run.step["displacement_at_peak_mm"]}
            if run.outcome["status"] != "completed" or not run.step["force_dropped"]:
                row["note"] = run.step["stopped_because"]
        rows.append(row)
        print(row, flush=True)

    screws = {"+0": INDEX, "+1": revision(1.0), "+2": revision(2.0)}
    add("native", INDEX)
    add("native, without insertion damage", INDEX, edit=insertion(0.0))
    for more in ("+1", "+2"):
        add(f"{more} in intact bone", screws[more])
    for more, screw in screws.items():
        add(f"{more} in the hole of a pulled-out screw", screw, hole(STRIPPED, content="empty"))
    for shape in SHAPES:
        for thickness in THICKNESSES:
            for content in ("fibrous", "empty"):
                for more, screw in screws.items():
                    if content == "empty" and more == "+0":
                        continue  # nothing holds it
                    add("loosened" if more == "+0" else f"{more} revision", screw, hole(thickness, shape, content))
            halo = hole(thickness, shape)
            for beyond in FILLINGS:
                add(f"filled with cement, {beyond:g} mm3 beyond the halo", INDEX, halo, Cement(beyond + void(halo)))
    foam = {"specimen": Block(60.0, 40.0, 32.5), "foam": 240.0, "drop": 0.1}
    add("native", INDEX, **foam)
    for more, screw in screws.items():
        if more != "+0":
            add(f"{more} in intact foam", screw, **foam)
        add(f"{more} in the hole of a pulled-out screw", screw, hole(STRIPPED, content="empty"), **foam)
    return rows


def void(halo):
    """Volume of the halo's tissue round the index screw, mm^3."""
    return meshes.build(SPECIMEN, INDEX, halo, None, FINENESS["standard"], "axisymmetric").volumes()["halo"]


if __name__ == "__main__":
    rows = study()
    tables.write_csv(HERE / "revision", rows)
    (HERE / "revision.md").write_text("\n\n".join([
        "# Revision screws", tables.made_by(),
        "Index screw 6.5/4.5 mm, pitch 2.75 mm, 20 mm deep; bone cylinder of 30 mm, 80 mg/cm3, or grade 15 foam block"
        " under a ring; axisymmetric, standard mesh. `flank in firm material`: share of the thread's projected area"
        " beyond the hole.",
        tables.markdown(rows),
        tables.notes(__file__)]) + "\n")
