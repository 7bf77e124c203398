"""Screws pulled from polyurethane foam: the shear-failure formula of ASTM F543 (Chapman 1996) and twelve measured ones.

Formula: F = tau pi L D (1/2 + d / (sqrt(3) p)), d the thread depth (D_major - D_minor)/2, tau the shear strength.
Measured: Weidling et al. 2022, twelve pedicle screws in foam of 237 kg/m^3. Their embedment is not given, but the flank
area is, and it equals pi (R^2 - r^2) L / p with one L for all twelve: 25 mm.

    python -m benchmarks.verification.foam        (1 to 3 minutes; axisymmetric)

Writes foam.csv, foam_variants.csv, foam_screws.csv, foam.md and foam.png beside this file.
"""

import tempfile
from math import pi, sqrt
from pathlib import Path

import matplotlib
import meshio
import numpy as np
from scipy.stats import pearsonr, spearmanr

from scenarios.laboratory import FINENESS, insertion, pullout
from materials.foam import property_at
from meshes.profile import screw_outline
from meshes.specimen import Block, Screw
from scenarios.tables import made_by, markdown, notes, write_csv

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
BLOCK = Block(60.0, 40.0, 32.5)     # ASTM F543; the ring is five screw diameters wide
SCREW = Screw(6.5, 26.0, 2.75, 4.5, insertion_depth=20.0)
GRADES = {10: 160.0, 15: 240.0, 20: 320.0}  # ASTM F1839 grade -> mg/cm^3
WEIDLING_DENSITY = 237.0
# name: (major diameter, core diameter, pitch, flank area mm^2, pullout force N, its spread N or None)
WEIDLING = {
    "ST1_6": (6.0, 3.65, 3.0, 148, 870, 10), "ST1_7": (7.0, 4.04, 3.0, 214, 931, 12),
    "ST2_6": (6.0, 3.86, 3.0, 138, 855, 12), "ST2_7": (7.0, 3.94, 3.0, 219, 923, 12),
    "ST3_6.2": (6.2, 4.36, 2.0, 191, 965, 20), "ST3_7": (7.0, 5.03, 2.0, 232, 1074, 16),
    "ST4_6.5": (6.5, 4.15, 4.0, 123, 902, 10), "ST4_7.5": (7.5, 4.78, 4.0, 164, 975, 18),
    "ST5_6.5": (6.5, 4.25, 2.75, 173, 966, 18), "ST5_7.5": (7.5, 4.99, 2.75, 224, 1072, 12),
    "ST6_6.5": (6.5, 4.45, 2.8, 157, 858, 19), "ST6_7.5": (7.5, 5.10, 2.8, 212, 798, None),
}
DOUBTFUL = "ST6_7.5"                # its force stands at the cut edge of the source's excerpt
EMBEDDED = 25.0                     # mm, from the flank areas


def chapman(screw, shear):
    """Shear-failure force (N) of ASTM F543: shear strength (MPa) times thread shape factor times crest cylinder."""
    depth = (screw.diameter - screw.core_diameter) / 2
    return shear * pi * screw.depth * screw.diameter * (0.5 + depth / (sqrt(3) * screw.pitch))


def threads(screw):
    """Number of whole threads in the foam (mesh: none in the neck at the surface nor in the chamfered tip)."""
    chain = screw_outline(screw)
    crest = np.abs(chain[:, 0] - screw.radius) < 1e-9
    return int((crest[1:] & crest[:-1] & (chain[1:, 1] < 0)).sum())


def bearing(screw, crushing):
    """Force (N) at which the foam under all flanks is at its uniaxial compressive strength `crushing` (MPa)."""
    return crushing * threads(screw) * pi * (screw.diameter**2 - screw.core_diameter**2) / 4


def pull(screw, density, edit=None, resolution="fine", keep=None):
    """A pullout from the block; the force must fall by 10 %."""
    return pullout(screw=screw, specimen=BLOCK, foam=density, resolution=FINENESS[resolution], drop=0.1, edit=edit,
                   keep=keep)


def where(run, screw):
    """How the plastic strain at the peak is shared: between the threads (r < R), crest band (1 mm), beyond; damage.

    Returns shares of the volume integral of the plastic strain and the mean tearing damage just outside the crest.
    """
    mesh = meshio.read(run.directory / "peak.vtu")
    cells = mesh.cells_dict["triangle"]
    x = mesh.points[cells][:, :, [0, 2]]
    edge = x[:, 1:] - x[:, :1]
    r, z = x[..., 0].mean(1), x[..., 1].mean(1)
    volume = pi * r * np.abs(edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0])
    data = {k: v[0] for k, v in mesh.cell_data.items()}
    foam = data["region"] != 1
    flow = volume * foam * data["plastic_strain"]
    R = screw.radius
    along = (z < 0) & (z > -screw.depth)
    band = foam & along & (r > R) & (r < R + 0.5)
    return {"flow between threads %": 100 * flow[along & (r < R)].sum() / flow.sum(),
            "flow 1 mm outside crest %": 100 * flow[along & (r > R) & (r < R + 1)].sum() / flow.sum(),
            "mean tearing damage at crest": float(np.average(data["damage"][band], weights=volume[band]))}


def stronger(crushing=1.0, shear=1.0):
    """An `edit` that multiplies the strengths of the foam in compression and tension, or in shear, and nothing else."""
    def edit(posed):
        law = next(law for law in posed["laws"] if law["name"] == "foam")
        law["strength"] *= crushing
        F = np.array(law["F"])
        F[3:, 3:] *= (crushing / shear) ** 2
        law["F"] = F.tolist()
    return edit


def without_damage(posed):
    for law in posed["laws"]:
        law["damage_max"] = 0.0


def frictionless(posed):
    for interface in posed["interfaces"].values():
        interface["friction"] = 0.0


def grades():
    """Rows of the grade table and of the variants that explain it."""
    rows, variants = [], []
    for grade, density in GRADES.items():
        shear, crushing = property_at("shear_strength", density), property_at("compressive_strength", density)
        formula = chapman(SCREW, shear)
        with tempfile.TemporaryDirectory() as folder:
            run = pull(SCREW, density, insertion(0.0, True), keep=folder)
            place = where(run, SCREW)
        damaged = pull(SCREW, density, insertion(0.3, True))
        rows.append({"grade": grade, "density mg/cm3": density, "shear strength MPa": shear,
                     "crushing strength MPa": crushing, "formula N": formula, "halofix N": run.peak,
                     "deviation %": 100 * (run.peak / formula - 1),
                     "with D0 0.3 N": damaged.peak, "D0 0.3 deviation %": 100 * (damaged.peak / formula - 1),
                     "bearing N": bearing(SCREW, crushing), "bearing / formula": bearing(SCREW, crushing) / formula,
                     "displacement at peak mm": run.step["displacement_at_peak_mm"],
                     "stiffness N/mm": run.step["stiffness_N_per_mm"], **place})
        print(rows[-1], flush=True)
        for name, edit in (("foam that cannot crush (compression, tension x 3)", stronger(crushing=3.0)),
                           ("foam that cannot shear (shear x 3)", stronger(shear=3.0)),
                           ("shear strength + 10 %", stronger(shear=1.1)),
                           ("compressive and tensile strength + 10 %", stronger(crushing=1.1)),
                           ("no tearing damage (plastic limit load)", without_damage),
                           ("no friction", frictionless)):
            other = pull(SCREW, density, edit)
            variants.append({"grade": grade, "variant": name, "peak N": other.peak,
                             "change %": 100 * (other.peak / run.peak - 1),
                             "against formula %": 100 * (other.peak / formula - 1),
                             "stopped": other.step["stopped_because"]})
            print(variants[-1], flush=True)
        for resolution in ("standard", "0.25 mm"):
            other = pull(SCREW, density, resolution=resolution)
            variants.append({"grade": grade, "variant": f"mesh: {resolution}", "peak N": other.peak,
                             "change %": 100 * (other.peak / run.peak - 1),
                             "against formula %": 100 * (other.peak / formula - 1),
                             "stopped": other.step["stopped_because"]})
    return rows, variants


def screws():
    """Rows of the twelve measured screws, computed at 25 mm, with insertion damage 0 and 0.3, and at 20 mm."""
    shear = property_at("shear_strength", WEIDLING_DENSITY)
    rows = []
    for name, (major, core, pitch, area, force, spread) in WEIDLING.items():
        def screw(depth):
            return Screw(major, depth + 6, pitch, core, insertion_depth=depth)

        deep = screw(EMBEDDED)
        run = pull(deep, WEIDLING_DENSITY, insertion(0.0, True))
        damaged = pull(deep, WEIDLING_DENSITY, insertion(0.3, True))
        short = pull(screw(20.0), WEIDLING_DENSITY, insertion(0.0, True))
        rows.append({"screw": name, "major mm": major, "core mm": core, "pitch mm": pitch, "measured N": force,
                     "spread N": spread, "length from flank area mm": area * pitch / (pi * (major**2 - core**2) / 4),
                     "halofix N": run.peak, "deviation %": 100 * (run.peak / force - 1),
                     "D0 0.3 N": damaged.peak, "D0 0.3 deviation %": 100 * (damaged.peak / force - 1),
                     "20 mm deep N": short.peak, "formula N": chapman(deep, shear),
                     "formula deviation %": 100 * (chapman(deep, shear) / force - 1), "threads": threads(deep)})
        print(rows[-1], flush=True)
    return rows


def correlations(rows):
    """Agreement of each prediction with the measurement, with and without the doubtful screw."""
    table = []
    for label, chosen in (("12 screws", rows), (f"11 screws, without {DOUBTFUL}",
                                                [row for row in rows if row["screw"] != DOUBTFUL])):
        measured = np.array([row["measured N"] for row in chosen])
        for name in ("halofix N", "D0 0.3 N", "20 mm deep N", "formula N"):
            computed = np.array([row[name] for row in chosen])
            rho, r = spearmanr(measured, computed), pearsonr(measured, computed)
            table.append({"screws": label, "prediction": name.removesuffix(" N"), "Spearman": float(rho.statistic),
                          "p": float(rho.pvalue), "Pearson r": float(r.statistic),
                          "mean ratio": float(np.mean(computed / measured)),
                          "mean absolute deviation %": float(100 * np.mean(np.abs(computed / measured - 1))),
                          "same after scaling %": float(100 * np.mean(np.abs(
                              computed / measured / np.mean(computed / measured) - 1)))})
    return table


def exponents(rows):
    """Least-squares exponents of F ~ major^a core^b pitch^c over the screws without the doubtful one."""
    chosen = [row for row in rows if row["screw"] != DOUBTFUL]
    A = np.log([[row["major mm"], row["core mm"], row["pitch mm"], np.e] for row in chosen])
    table = []
    for name in ("measured N", "halofix N", "formula N"):
        F = np.log([row[name] for row in chosen])
        x, *_ = np.linalg.lstsq(A, F, rcond=None)
        table.append({"force": name.removesuffix(" N"), "exponent of major diameter": float(x[0]),
                      "of core": float(x[1]), "of pitch": float(x[2]),
                      "scatter about it %": float(100 * np.std(F - A @ x, ddof=4))})
    return table


def figure(rows, measured):
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.3), layout="constrained")
    x = [row["grade"] for row in rows]
    left.plot(x, [row["formula N"] for row in rows], "k-", label="formula (shear at the crest)")
    left.plot(x, [row["bearing N"] for row in rows], "k:", label="crushing under all flanks")
    left.plot(x, [row["halofix N"] for row in rows], "o", color="C0", label="halofix")
    left.plot(x, [row["with D0 0.3 N"] for row in rows], "o", mfc="w", color="C0", label="with insertion damage 0.3")
    left.set(xlabel="foam grade (ASTM F1839)", ylabel="pullout force (N)", xticks=x, ylim=(0, None))
    left.legend(frameon=False)
    for row in measured:
        plain = row["screw"] != DOUBTFUL
        right.errorbar(row["measured N"], row["halofix N"], xerr=row["spread N"] or 0, fmt="o", color="C0",
                       mfc=None if plain else "w")
        right.annotate(row["screw"], (row["measured N"], row["halofix N"]), fontsize=7, xytext=(4, 3),
                       textcoords="offset points")
        right.plot(row["measured N"], row["formula N"], "x", color="0.6")
    right.plot([750, 1150], [750, 1150], "k-", lw=0.7)
    right.set(xlim=(770, 1130), xlabel="measured (N), Weidling 2022", ylabel="computed (N): o halofix, x formula")
    fig.savefig(HERE / "foam.png", dpi=150)


if __name__ == "__main__":
    graded, variants = grades()
    measured = screws()
    figure(graded, measured)
    write_csv(HERE / "foam", graded)
    write_csv(HERE / "foam_variants", variants)
    write_csv(HERE / "foam_screws", measured)
    agreement = correlations(measured)
    (HERE / "foam.md").write_text("\n\n".join([
        "# Pullout from polyurethane foam", made_by(),
        "Screw 6.5/4.5 mm, pitch 2.75 mm, 20 mm deep, block 60 x 60 x 40 mm under a ring of 32.5 mm; axisymmetric, fine"
        " mesh.",
        "## Against the shear-failure formula of ASTM F543", markdown(graded, list(graded[0])[:9]),
        "Where the foam gives way: force at which all flanks bear on crushed foam, and the fields at the peak.",
        markdown(graded, ["grade", *list(graded[0])[9:]]),
        "## Variants", markdown(variants, list(variants[0])[:5]),
        "## Twelve measured screws (Weidling 2022, 237 kg/m3)", markdown(measured, list(measured[0])),
        markdown(agreement), "How the force depends on the geometry (11 screws):", markdown(exponents(measured)),
        "![foam](foam.png)", notes(__file__)]) + "\n")
    for row in agreement:
        print(row)
