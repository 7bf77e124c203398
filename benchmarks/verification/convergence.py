"""What the discretisation costs: mesh, step, contact penalty, nonlocal length.

A native 6.5 mm screw, 20 mm deep in a bone cylinder of 80 mg/cm^3, axisymmetric.

    python -m benchmarks.verification.convergence        (2 to 4 minutes)

Writes convergence.csv, convergence.md and convergence.png beside this file.
"""

from pathlib import Path

import matplotlib
import numpy as np

from scenarios import tables
from scenarios.laboratory import FINENESS, STEPS, pullout

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
STEP_SIZES = (0.08, 0.04, 0.02, 0.01)       # mm, largest
PENALTIES = (0.25, 0.5, 1.0, 2.0, 4.0)      # times fem.interface.PENALTY
LENGTHS = (0.5, 1.0, 2.0)                   # mm, nonlocal
LOCAL = 0.01                                # mm: far below any cell, so the damage is local
MESHES = list(FINENESS)


def length(value):
    def edit(posed):
        posed["nonlocal_length"] = value
    return edit


def row(study, value, run, against=None):
    step, curve = run.step, run.curve
    k = int(np.argmax(curve["force_N"]))
    past = curve[k:]
    fallen = past["force_N"] <= 0.9 * step["peak_force_N"]
    drop = past["displacement_mm"][np.argmax(fallen)] - step["displacement_at_peak_mm"] if fallen.any() else None
    return {"study": study, "value": value, "peak N": step["peak_force_N"],
            "peak change %": 100 * (run.peak / against.peak - 1) if against else 0.0,
            "stiffness N/mm": step["stiffness_N_per_mm"],
            "stiffness change %": 100 * (step["stiffness_N_per_mm"] / (against or run).step["stiffness_N_per_mm"] - 1),
            "displacement at peak mm": step["displacement_at_peak_mm"], "from peak to 10 % drop mm": drop,
            "work to the end N mm": float(curve["external_work_N_mm"][-1]),
            "energy error %": 100 * step["energy_balance_error"],
            "steps": step["steps"], "Newton": run.outcome["newton_iterations"], "cutbacks": run.outcome["cutbacks"],
            "dofs": run.outcome["dofs"], "seconds": run.outcome["seconds_total"]}


def study():
    """All rows and the runs on the meshes, nonlocal and local."""
    rows, nonlocal_runs, local_runs = [], {}, {}

    def add(*args):
        rows.append(row(*args))
        print(rows[-1], flush=True)

    for name in MESHES:
        nonlocal_runs[name] = pullout(resolution=FINENESS[name])
        add(f"mesh, nonlocal damage ({LENGTHS[1]:g} mm)", f"{FINENESS[name].thread:g} mm", nonlocal_runs[name],
            nonlocal_runs[MESHES[0]])
    for name in MESHES:
        local_runs[name] = pullout(resolution=FINENESS[name], edit=length(LOCAL))
        add("mesh, local damage", f"{FINENESS[name].thread:g} mm", local_runs[name], local_runs[MESHES[0]])
    plain = {}
    for name in MESHES:
        plain[name] = pullout(resolution=FINENESS[name], edit=undamaged, drop=0.05)
        add("mesh, no damage (limit load)", f"{FINENESS[name].thread:g} mm", plain[name], plain[MESHES[0]])
    finest = [pullout(steps=STEPS | {"largest": size}, resolution=FINENESS["standard"]) for size in STEP_SIZES]
    for size, run in zip(STEP_SIZES, finest):
        add("largest step (standard mesh)", f"{size:g} mm", run, finest[-1])
    reference = nonlocal_runs["standard"]
    for factor in PENALTIES:
        scaled = f"import fem.interface; fem.interface.PENALTY *= {factor}"
        run = pullout(resolution=FINENESS["standard"], before=scaled)
        add("contact penalty (standard mesh)", f"x {factor:g}", run, reference)
    for value in LENGTHS:
        run = pullout(resolution=FINENESS["standard"], edit=length(value))
        add("nonlocal length (standard mesh)", f"{value:g} mm", run, reference)
    return rows, nonlocal_runs, local_runs


def undamaged(posed):
    for law in posed["laws"]:
        law["damage_max"] = 0.0


def figure(nonlocal_runs, local_runs):
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    sizes = [FINENESS[name].thread for name in MESHES]
    for runs, label, style in ((nonlocal_runs, "nonlocal, 1 mm", "o-"), (local_runs, "local", "s--")):
        axes[0].plot(sizes, [runs[name].peak for name in MESHES], style, label=label)
    axes[0].set(xlabel="edge length at the thread (mm)", ylabel="peak force (N)", xscale="log")
    axes[0].set_xticks(sizes, [f"{s:g}" for s in sizes], rotation=45)
    axes[0].minorticks_off()
    axes[0].legend(frameon=False)
    for ax, runs, title in ((axes[1], nonlocal_runs, "nonlocal damage"), (axes[2], local_runs, "local damage")):
        for name in MESHES:
            curve = runs[name].curve
            ax.plot(curve["displacement_mm"], curve["force_N"], label=f"{FINENESS[name].thread:g} mm")
        ax.set(xlabel="displacement (mm)", ylabel="force (N)", title=title)
        ax.legend(frameon=False, fontsize=8)
    fig.savefig(HERE / "convergence.png", dpi=150)


if __name__ == "__main__":
    rows, nonlocal_runs, local_runs = study()
    figure(nonlocal_runs, local_runs)
    tables.write_csv(HERE / "convergence", rows)
    sections = ["# Convergence", tables.made_by(),
                "Native 6.5/4.5 mm screw, pitch 2.75 mm, 20 mm deep, bone cylinder of 30 mm, 80 mg/cm3; axisymmetric."
                " Changes are against the first row of a study (meshes), the smallest step, or the standard values."]
    for name in dict.fromkeys(r["study"] for r in rows):
        chosen = [r for r in rows if r["study"] == name]
        sections += [f"## {name[0].upper() + name[1:]}", tables.markdown(chosen, list(rows[0])[1:])]
    sections += ["![convergence](convergence.png)", tables.notes(__file__)]
    (HERE / "convergence.md").write_text("\n\n".join(s for s in sections if s) + "\n")
