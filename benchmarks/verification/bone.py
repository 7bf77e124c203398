"""Vertebrae: native pullout from L3 against bone density, mesh and step size, and the shipped scenarios beside each other.

`python -m benchmarks.verification.bone [density] [mesh] [scenarios]` (all by default; 5 to 15 minutes a part on 2 cores)
"""

import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np

from scenarios import compare, run
from scenarios.tables import notes, write

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DENSITIES = (40, 80, 120, 160)


def native(bmd, resolution, folder):
    """Result of scenarios/native.yaml at `bmd` mg/cm^3."""
    text = (ROOT / "scenarios/native.yaml").read_text().replace("bmd: 70 mg/cm^3", f"bmd: {bmd} mg/cm^3")
    path = Path(folder) / f"native_{bmd}.yaml"
    path.write_text(text)
    return run(path, out=Path(folder) / f"{bmd}_{resolution}", resolution=resolution)


def numbers(result):
    """One row of a table."""
    step = next(s for s in result.summary["steps"] if s["kind"] == "pullout")
    row = {"peak N": step["peak_force_N"], "at mm": step["displacement_at_peak_mm"], "stiffness N/mm": step["stiffness_N_per_mm"],
           "energy to peak N mm": step["energy_to_peak_N_mm"], "cutbacks": step["cutbacks"],
           "energy error %": 100 * step["energy_balance_error"]}
    return row | {k: result.summary[k] for k in ("dofs", "ranks", "seconds_total", "memory_MiB")}


def density(folder):
    """Peak force against BMD, with the exponent of the power law through the points."""
    rows = []
    fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for bmd in DENSITIES:
        result = native(bmd, "coarse", folder)
        rows.append({"BMD mg/cm3": bmd, **numbers(result)})
        ax.plot(result.curve["displacement_mm"], result.curve["force_N"], label=f"{bmd} mg/cm³")
    ax.set(xlabel="displacement of the head (mm)", ylabel="force (N)", xlim=(0, None), ylim=(0, None))
    fig.legend(frameon=False, title="BMD", loc="outside right upper", reverse=True)
    fig.savefig(HERE / "bone_density.png", dpi=150)
    peaks = np.array([row["peak N"] for row in rows])
    slope, level = np.polyfit(np.log(DENSITIES), np.log(peaks), 1)
    fitted = np.exp(level) * np.array(DENSITIES) ** slope
    share = 1 - np.sum((peaks - fitted) ** 2) / np.sum((peaks - peaks.mean()) ** 2)
    write(HERE / "bone_density", rows, "Native pullout from L3 against density",
          f"Coarse. Power law through the four peaks: F = {np.exp(level):.3g} BMD^{slope:.2f} N (R2 {share:.4f}).")


def mesh(folder):
    """Peak force at three mesh sizes."""
    rows = [{"resolution": r, **numbers(native(70, r, folder))} for r in ("coarse", "standard", "fine")]
    change = 100 * (rows[2]["peak N"] / rows[1]["peak N"] - 1)
    write(HERE / "bone_mesh", rows, "Native pullout from L3 (BMD 70 mg/cm3) at three resolutions",
          f"From standard to fine the peak moves by {change:+.1f} %.")


def scenarios(folder):
    """The shipped vertebra scenarios, coarse, and the first picture of README.md."""
    folder = Path(folder) / "scenarios"
    names = ("native", "loosened", "augmented_halo", "oversized_revision", "fenestrated")
    rows = []
    for result in compare([ROOT / f"scenarios/{name}.yaml" for name in names], out=folder, resolution="coarse").results():
        row = numbers(result)
        rows.append({"scenario": result.directory.name, "ratio to native": row["peak N"] / (rows[0]["peak N"] if rows else row["peak N"]), **row})
    write(HERE / "bone_scenarios", rows, "Shipped scenarios, coarse", notes(__file__))
    pictures = [plt.imread(folder / name) for name in ("oversized_revision/figures/cut.png", "figures/curves.png")]
    shapes = [picture.shape[1] / picture.shape[0] for picture in pictures]
    fig, axes = plt.subplots(1, 2, figsize=(15, 15 / sum(shapes)), width_ratios=shapes, layout="constrained")
    for ax, picture in zip(axes, pictures):
        ax.imshow(picture)
        ax.axis("off")
    fig.savefig(HERE / "comparison.png", dpi=150)


if __name__ == "__main__":
    parts = {"density": density, "mesh": mesh, "scenarios": scenarios}
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or parts:
            parts[name](folder)
