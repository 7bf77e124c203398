"""What governs the pullout strength of a native screw, and of one that has loosened and is rescued with cement in its halo.

    python -m benchmarks.sensitivity.study cylinder     (seconds a case: a bone cylinder, axisymmetric)
    python -m benchmarks.sensitivity.study vertebra     (one to three minutes a case: L3)

Options: --samples N, --results DIR (cases that are completed there are not repeated), -j CORES. native.yaml and rescued.yaml are
sweeps of the vertebra and can be run on their own; the cylinder has the same parameters. Sobol indices come from the emulator of
each sweep. Writes <specimen>.csv, .md and .png beside this file; study_notes.md says what was learnt.
"""

import argparse
from pathlib import Path
import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

from scenarios import tables
from scenarios.style import RC, RUN_COLOURS
from scenarios.sweeps import emulator, engine, results, sensitivity
from scenarios.sweeps import plan as plans
from scenarios.variation import varied

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "scenarios"
BASES = {"native": "native.yaml", "rescued": "augmented_halo.yaml"}
CYLINDER = {"model": "axisymmetric", "specimen": {"shape": "cylinder", "diameter": "36 mm", "length": "60 mm", "bmd": "70 mg/cm^3"}}
SPECIMENS = {"cylinder": (CYLINDER, 256, "cylinder of bone, 36 mm wide, axisymmetric"), "vertebra": ({}, 64, "L3")}
OUTPUT = "peak_force_N"
WORDS = {"specimen.bmd": "BMD", "screw.diameter": "diameter", "screw.core_diameter": "core diameter", "screw.length": "length",
         "protocol.halo.thickness": "halo thickness", "protocol.augment.volume": "cement volume", "model.friction": "friction",
         "model.insertion_damage": "insertion damage"}


def swept(screw, specimen, options):
    """Directory of the sweep of a native or rescued screw, all of whose cases are through; those that are there are not repeated."""
    changes, samples, _ = SPECIMENS[specimen]
    folder = Path(options.results) / specimen
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BASES[screw]).write_text(varied((SHIPPED / BASES[screw]).read_text(), changes))
    file = folder / f"sweep_{screw}.yaml"
    file.write_text(varied((HERE / f"{screw}.yaml").read_text(), {"scenario": BASES[screw], "design.samples": options.samples or samples}))
    directory = engine.planned(file, folder / screw)
    before, begun = len(engine.status(directory).outcomes), time.monotonic()
    state = engine.run(directory, options.cores)
    spent = time.monotonic() - begun
    results.collect(directory)
    print(state.text(), flush=True)
    if state.left:
        raise SystemExit(f"{directory}: {state.left} cases are not finished")
    cores = options.cores or engine.usable_cores()
    if not before:
        solved = sum(o["seconds"] * o["ranks"] for o in state.outcomes.values() if o["seconds"])
        print(f"{spent:.0f} s on {cores} cores; the cases took {solved:.0f} s: overhead {100 * (cores * spent / solved - 1):.1f} %", flush=True)
    return directory


def indices(screw, directory):
    """(rows of the table, emulator, completed cases) of one sweep."""
    plan, table = plans.load(directory), results.table(directory)
    model = emulator.fitted(plan, table, OUTPUT)
    if model is None:
        raise SystemExit(f"{directory}: {(table['status'] == 'completed').sum()} completed cases are too few for an emulator")
    found, good = sensitivity.emulated(OUTPUT, model), table[table["status"] == "completed"]
    if not found:
        raise SystemExit(f"{directory}: the emulator is too poor for indices (Q2 {model.error.q2:.2f})")
    rows = []
    for i, (parameter, share) in enumerate(zip(plan["parameters"], found, strict=True)):
        places = np.full((2, len(plan["parameters"])), 0.5)
        places[:, i] = 0.05, 0.95
        (low, high), _ = model.at(places)
        values = good[parameter["column"]]
        rows.append({"screw": screw, "parameter": WORDS[parameter["path"]], "from": float(np.min(values)), "to": float(np.max(values)),
                     "alone": share["alone"], "+-": share["alone_pm"], "with interactions": share["with_interactions"],
                     "+- ": share["with_interactions_pm"],
                     "effect N": high - low, "rank correlation": float(spearmanr(values, good[OUTPUT]).statistic)})
    return rows, model, good


def drawn(rows):
    """Indices of the native and of the rescued screw side by side."""
    plt.rcParams.update(RC)
    names = list(dict.fromkeys(row["parameter"] for row in sorted(rows, key=lambda row: row["with interactions"])))
    fig, axes = plt.subplots(1, len(BASES), figsize=(9.6, 1.2 + 0.45 * len(names)), sharey=True, layout="constrained")
    for ax, screw in zip(axes, BASES):
        own = {row["parameter"]: row for row in rows if row["screw"] == screw}
        for key, width, shift, colour in (("alone", "+-", 0.18, RUN_COLOURS[0]), ("with interactions", "+- ", -0.18, RUN_COLOURS[5])):
            at = [k for k, name in enumerate(names) if name in own]
            ax.barh(np.array(at) + shift, [own[names[k]][key] for k in at], 0.34, color=colour, label=key,
                    xerr=[own[names[k]][width] for k in at], error_kw={"linewidth": 1, "capsize": 2})
        for k, name in enumerate(names):
            if name not in own:
                ax.text(0.01, k, "does not apply", va="center", fontsize=8, color="#777777", backgroundcolor="white")
        ax.set(title=f"{screw} screw", xlabel="Sobol index of the pullout strength", xlim=(0, 1))
    axes[0].set_yticks(range(len(names)), names)
    axes[-1].legend(loc="lower right")
    return fig


def study(specimen, options):
    """Table and figure of one specimen."""
    rows, said = [], []
    for screw in BASES:
        found, model, good = indices(screw, swept(screw, specimen, options))
        error, forces = model.error, good[OUTPUT]
        rows += found
        said.append(f"{screw}: {len(forces)} cases, {forces.min():.0f} to {forces.max():.0f} N, mean {forces.mean():.0f}, SD {forces.std():.0f}; "
                    f"emulator: error at cases left out {error.rmse:.1f} N, Q2 {error.q2:.3f} (leave-one-out {error.leave_one_out:.3f}), "
                    f"{100 * error.covered:.0f} % within its 95 % interval.")
    about = SPECIMENS[specimen][2]
    text = "\n\n".join([f"Specimen: {about}; coarse meshes, Latin hypercube. Sobol indices of the peak force with 95 % intervals; effect: from the 5 % "
                        "to the 95 % quantile of a parameter, the others at their medians.", *said, tables.notes(__file__)])
    tables.write(HERE / specimen, rows, f"What governs pullout strength: {about}", text)
    drawn(rows).savefig(HERE / f"{specimen}.png")
    print(tables.markdown(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specimens", nargs="+", choices=SPECIMENS)
    parser.add_argument("--samples", type=int, help="cases of each sweep (256 in the cylinder, 64 in the vertebra)")
    parser.add_argument("--results", default="results/sensitivity", help="where runs are kept")
    parser.add_argument("-j", dest="cores", type=int, help="cores used at once")
    options = parser.parse_args()
    for specimen in options.specimens:
        study(specimen, options)


if __name__ == "__main__":
    main()
