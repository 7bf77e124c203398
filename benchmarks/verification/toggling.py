"""Cyclic loading: thicker screws in loosened holes, cost, the entry; the model against itself: mesh, order, jumps, kinematics.

    python -m benchmarks.verification.toggling revision cost entry          (L2 and L3; 5 to 20 minutes an arm)
    python -m benchmarks.verification.toggling mesh order jump kinematics      (static curves; a short screw in a bone cylinder)

Options: --resolution coarse|standard, --results DIR (a run that is complete there is not repeated), -n RANKS. Writes
toggling_<study>.csv and .md beside this file; toggling_notes.md says what was learnt.
"""

import argparse
import json
from pathlib import Path
import subprocess
import sys
import tempfile

import numpy as np

import meshes
import scenarios
from materials.density import Density, Kind
from materials.problem import problem
from meshes.labmesh import REGIONS
from meshes.specimen import RESOLUTIONS, Cylinder, Resolution, Screw, Vertebra
from scenarios import tables
from scenarios.result import Result
from scenarios.runner import resume
from scenarios.shared import Shared

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "scenarios"
SHORT = Screw(6.5, 20.0, 2.75, 4.5, head_height=7.5)
SHORT_MESH = Resolution(1.6, 2.4, 8.0, 6)


def carried_out(name, options, edits=None):
    """Result of a shipped scenario, with inputs of the laws `edits` changed; what is there is not repeated, and what is unfinished is
    gone on with."""
    changes = "".join(f"_{key.split('.')[-1]}_{value:g}" for key, value in (edits or {}).items())
    directory = Path(options.results) / f"{name}_{options.resolution}{changes}"
    shared = Shared(Path(options.results) / "shared", steps=True)
    if not (directory / "result.json").exists():
        result = scenarios.run(SHIPPED / f"{name}.yaml", out=directory, ranks=options.ranks, resolution=options.resolution, cache=shared,
                               edits=edits)
    elif (result := Result(directory)).status != "completed":
        result = resume(directory, options.ranks, shared)
    if result.status != "completed":
        raise SystemExit(f"{directory}: {result.status}, {result.reason}")
    return result


def cycles(result):
    return [step for step in result.steps if step["kind"] == "cycle"]


def row_of(label, step, result):
    marks = {mark["head_displacement_mm"]: mark for mark in step["thresholds"]}
    return {"arm": label, "static N": step["static_capacity_N"], "load at 0.5 mm N": marks[0.5]["load_N"],
            "load at 1 mm N": marks[1.0]["load_N"], "load at 2 mm N": marks[2.0]["load_N"],
            "load at loosening N": step["load_at_loosening_N"], "cycles": step["cycles_to_loosening"],
            "stiffness N/mm": step.get("stiffness_N_per_mm"), "micromotion um": step.get("micromotion_um"),
            "halo mm": step.get("halo_thickness_mm"), "hourglass": step.get("hourglass_index"),
            "small strain until mm": step.get("small_strain_until_mm"), "residual N": step.get("residual_force_N"),
            "blocks": step["blocks"], "s of the run": result.seconds_total}


def revision(options):
    """A screw cycled to loosening, a thicker one in its hole cycled to loosening, and its pullout."""
    rows = []
    for name, more in (("revise_plus1", "+1 mm"), ("revise_plus2", "+2 mm"), ("revise_early", "changed at 2 mm, +2 mm")):
        result = carried_out(name, options)
        first, second = cycles(result)
        if not rows:
            rows.append(row_of("first screw", first, result) | {"ratio": 1.0})
        rows.append(row_of(f"{more} in its hole", second, result) | {
            "ratio": second["load_at_loosening_N"] / first["load_at_loosening_N"], "pullout N": result.peak_force_N,
            "transfer error %": 100 * second["transfer"]["transfer_error"]})
    return rows, f"L3, 70 mg/cm^3, protocol of Weiser 2021, {options.resolution} mesh; ratio: of the load at loosening"


def cost(options):
    """One arm, the native screw toggled to loosening: what it costs, on two meshes."""
    rows = []
    for resolution in ("coarse", "standard"):
        result = carried_out("toggle_native", argparse.Namespace(**vars(options) | {"resolution": resolution}))
        folder = result.directory / cycles(result)[0]["directory"]
        outcome = json.loads((folder / "outcome.json").read_text())
        step = outcome["step"]
        spent = outcome["seconds"]
        rows.append({"mesh": resolution, "ranks": outcome["ranks"], "unknowns": outcome["dofs"], "blocks": step["blocks"],
                     "Newton": step["newton_iterations"], "linear": step["linear_iterations"], "minutes": outcome["seconds_total"] / 60,
                     **{f"{part} %": 100 * spent[part] / outcome["seconds_total"] for part in ("linear solver", "fatigue", "law", "assembly")},
                     "MiB": outcome["memory_MiB"], "static N": step["static_capacity_N"],
                     **{f"cycles to {mark['head_displacement_mm']:g} mm": mark["cycles"] for mark in step["thresholds"]},
                     "load at loosening N": step["load_at_loosening_N"]})
        print(rows[-1], flush=True)
    return rows, "L2, 70 mg/cm^3, protocol of Weiser 2021; memory of all ranks together"


def entry(options):
    """How the entry was opened: the dorsal cortex round it whole (an awl), in part, or gone (a burr), native and with cement."""
    rows = []
    for name, screw in (("toggle_native", "native"), ("toggle_augmented", "cement first")):
        for share in (1.0, 0.5, 0.0):
            result = carried_out(name, options, {"model.entry_cortex": share} if share < 1.0 else None)
            step = cycles(result)[0]
            if share == 1.0:
                whole = step["load_at_loosening_N"]
            rows.append({"arm": screw, "cortex left %": 100 * share} | row_of(screw, step, result)
                        | {"against the whole one": step["load_at_loosening_N"] / whole})
            print(rows[-1], flush=True)
    return rows, f"L2, 70 mg/cm^3, protocol of Weiser 2021, {options.resolution} mesh; static: one push without cycles"


# ---- the model against itself ---------------------------------------------------------------------------------------

STATIC = """
import json, logging, sys, time
from pathlib import Path
import numpy as np
from mpi4py import MPI
from fem.cycle import Cycle
from fem.domain import Domain
from fem.linear import LinearSolver
from fem.model import Model
from fem.output import Clock, Watch, read_mesh
from benchmarks.verification.linear_elements import LinearModel, CoarseSolver

directory, order = Path(sys.argv[1]), int(sys.argv[2])
problem = json.loads((directory / "problem.json").read_text())
domain = Domain(MPI.COMM_WORLD, read_mesh(directory / "mesh.npz"))
model = (Model if order == 2 else LinearModel)(domain, problem)
solver = (LinearSolver if order == 2 else CoarseSolver)(model)
step = Cycle(model, solver, problem, Clock(), Watch(model, solver, directory, logging.getLogger("x"), time.perf_counter()))

points = model.interface.points
screw = np.array([name.startswith("screw_") for name in points.names])[points.kind]
recorded = step._static_row

def row():
    '''The row, and how far bone is strained and contact has slid since the start.'''
    recorded()
    strain = np.abs(model.trial_plastic_strain).max(axis=-1)
    w = model.quadrature.weights * step.halo.bone[:, None]
    jump = model.interface.jump
    gn = np.einsum("ij,ij->i", jump, points.normal)
    slip = np.linalg.norm(jump - gn[:, None] * points.normal, axis=1)
    area = step.march.total(points.weight[screw].sum())
    step.static.rows[-1] |= {
        "strained_10": step.march.total((w * (strain > 0.1)).sum()), "strained_20": step.march.total((w * (strain > 0.2)).sum()),
        "mean_slip_mm": step.march.total((points.weight * slip)[screw].sum()) / area,
        "slid_share": step.march.total((points.weight * (slip > 0.5 * points.size))[screw].sum()) / area,
        "open_share": step.march.total((points.weight * (gn > 0.5 * points.size))[screw].sum()) / area}

step._static_row = row
step._static_curve()
if MPI.COMM_WORLD.rank == 0:
    rows = step.static.rows
    (directory / "static.json").write_text(json.dumps({"rows": rows, "dofs": domain.index_map.size_global * 3,
        "screw_volume": step.halo.screw_volume, "vertices": domain.linear.dofmap.index_map.size_global * 3, "newton": step.march.newton}))
"""


def static_curve(directory, ranks, order=2):
    """Static lateral curve of the problem in `directory` with quadratic (2) or linear (1) elements."""
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), sys.executable, "-c", STATIC, str(directory), str(order)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads((Path(directory) / "static.json").read_text())


def pose(directory, specimen, screw, resolution, bmd=70.0, halo=None, **loading):
    """Write mesh and problem of a screw under cyclic load, in sound bone or in the hole of another (`halo`)."""
    mesh = meshes.build(specimen, screw, halo, None, resolution, "threaded3d")
    mesh.save(Path(directory) / "mesh.npz")
    vertebra = isinstance(specimen, Vertebra)
    load = {"kind": "cycle", "direction": [-1, 0, 0], "start_N": 100.0, "ramp_N_per_cycle": 0.1, "minimum_N": 50.0,
            "stop": {"head_displacement_mm": 2.0, "cycles": 100000}, "tolerance": 0.02} | loading
    posed = problem("threaded3d", {n: REGIONS[n] for n in mesh.volumes()}, list(mesh.interfaces), screw.diameter, screw.depth,
                    density=Density(bmd, Kind.QCT_K2HPO4), frame=mesh.frame[0] if vertebra else None, cortex=vertebra,
                    loading=load)
    (Path(directory) / "problem.json").write_text(json.dumps(posed))


def mesh(options):
    """Static lateral curve of the native L2: edge length and order of the elements."""
    rows = []
    screw = Screw(6.5, 45.0, 2.75, 4.5, head_height=9.5)
    for name in ("coarse", "standard", "fine"):
        for order in (1, 2):
            with tempfile.TemporaryDirectory() as directory:
                pose(directory, Vertebra("L2"), screw, RESOLUTIONS[name])
                found = static_curve(directory, options.ranks if order == 2 else 1, order)
            u, f = (np.array([r[key] for r in found["rows"]]) for key in ("displacement_mm", "force_N"))
            rows.append({"mesh": name, "elements": f"P{order}", "unknowns": found["dofs" if order == 2 else "vertices"],
                         **{f"force at {at:g} mm N": float(np.interp(at, u, f)) for at in (0.1, 0.2, 0.5, 1.0, 2.0)}})
            print(rows[-1], flush=True)
    return rows, "native L2, 70 mg/cm^3, lateral load 10 mm off the bone"


def toggled(before="", resolution=SHORT_MESH, tolerance=0.02):
    """(step, outcome) of a short screw toggled until 0.8 mm, with Python statements `before` run ahead."""
    with tempfile.TemporaryDirectory() as directory:
        pose(directory, Cylinder(26.0, 26.0), SHORT, resolution, bmd=80.0, start_N=20.0, ramp_N_per_cycle=0.15,
             stop={"head_displacement_mm": 0.8, "cycles": 200}, tolerance=tolerance, minimum_N=5.0)
        code = f"import runpy\n{before}\nrunpy.run_module('fem', run_name='__main__', alter_sys=True)"
        done = subprocess.run([sys.executable, "-c", code, directory], capture_output=True, text=True, timeout=3000)
        if done.returncode not in (0, 3):
            raise RuntimeError(done.stderr[-2000:])
        outcome = json.loads((Path(directory) / "outcome.json").read_text())
    return outcome["step"], outcome


LINEAR = """
import fem.model, fem.linear
from benchmarks.verification.linear_elements import LinearModel, CoarseSolver
fem.model.Model, fem.linear.LinearSolver = LinearModel, CoarseSolver
"""
FINER = {"1.6 mm": SHORT_MESH, "1.0 mm": Resolution(1.0, 1.6, 6.0, 8), "0.7 mm": Resolution(0.7, 1.2, 5.0, 8)}


def order(options):
    """A short screw toggled: edge length and order of the elements."""
    del options
    rows = []
    for name, resolution in FINER.items():
        for elements, before in (("P1", LINEAR), ("P2", "")):
            step, outcome = toggled(before, resolution)
            rows.append({"edges at the thread": name, "elements": elements, "cells": outcome["cells"],
                         "static N": step["static_capacity_N"], "cycles to 0.5 mm": step["thresholds"][0]["cycles"],
                         "cycles to 0.8 mm": step["cycles_to_loosening"], "load N": step["load_at_loosening_N"],
                         "micromotion um": step.get("micromotion_um"), "s": outcome["seconds_total"]})
            print(rows[-1], flush=True)
    return rows, "6.5 x 20 mm screw in a cylinder of 80 mg/cm^3, 20 N + 0.15 N/cycle, until 0.8 mm"


def jump(options):
    """A short screw: the tolerance of the jump halved and doubled, and every cycle computed with its unloading."""
    del options
    rows = []
    for label, tolerance, before in (("8 %", 0.08, ""), ("4 %", 0.04, ""), ("2 %", 0.02, ""), ("1 %", 0.01, ""), ("every cycle", 1.0, EVERY_CYCLE)):
        rows.append(jumped(label, *toggled(before, tolerance=tolerance)))
        print(rows[-1], flush=True)
    for row in rows:
        row["cycles against every cycle"] = row["cycles to 0.8 mm"] / rows[-1]["cycles to 0.8 mm"]
    return rows, "6.5 x 20 mm screw in a cylinder of 80 mg/cm^3, 20 N + 0.15 N/cycle, until 0.8 mm"


def jumped(label, step, outcome):
    return {"tolerance": label, "cycles to 0.5 mm": step["thresholds"][0]["cycles"],
            "cycles to 0.8 mm": step["cycles_to_loosening"], "load N": step["load_at_loosening_N"],
            "blocks": step["blocks"], "Newton": step["newton_iterations"], "s": outcome["seconds_total"]}


# Each cycle is unloaded to its minimum and loaded again, and keeps what that does to it; damage grows by one cycle at a time.
# In several steps each way: the bound of friction is that of the step before, and a screw that is loaded at once slips as if nothing
# pressed on it.
EVERY_CYCLE = """
import numpy as np
from fem import cycle
STEPS = 4
def block(self):
    grip, fatigue = self.model.grip, self.fatigue
    growth, flow = self._rates()
    peak, low, load = grip.load, self.waveform.minimum(grip.load), self.waveform.peak(self.cycles + 1)
    for way in (np.linspace(peak, low, STEPS + 1)[1:], np.linspace(low, load, STEPS + 1)[1:-1]):
        self.march.turn()
        assert all(self.path.ease(to) for to in way)
    jump = fatigue.jump(growth, flow)
    assert self.march.attempt(load - grip.load, lambda: grip.press(load), jump).converged
    fatigue.omega = fatigue.laid = jump.omega
    self.cycles += 1
    self._record(0.0, True)
    return True
cycle.Cycle._block = block
"""


def kinematics(options):
    """How far small strain and paired contact go: the native L2 pushed sideways once, without cycles."""
    with tempfile.TemporaryDirectory() as directory:
        pose(directory, Vertebra("L2"), Screw(6.5, 45.0, 2.75, 4.5, head_height=9.5), RESOLUTIONS[options.resolution],
             stop={"head_displacement_mm": 5.4, "cycles": 1})
        found = static_curve(directory, options.ranks)
    u = np.array([r["displacement_mm"] for r in found["rows"]])
    rows = []
    for at in (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0):
        if at > u[-1]:
            break

        def value(key, at=at):
            return float(np.interp(at, u, [r[key] for r in found["rows"]]))

        turned = np.radians(value("angle_deg"))
        rows.append({"head mm": at, "force N": value("force_N"), "angle deg": np.degrees(turned),
                     "1 - cos %": 100 * (1 - np.cos(turned)), "bone strained > 10 % mm^3": value("strained_10"),
                     "of the screw's volume %": 100 * value("strained_10") / found["screw_volume"],
                     "bone strained > 20 % mm^3": value("strained_20"), "mean slip mm": value("mean_slip_mm"),
                     "area slid over half a facet %": 100 * value("slid_share"),
                     "area opened over half a facet %": 100 * value("open_share")})
    return rows, f"native L2, 70 mg/cm^3, {options.resolution} mesh"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", choices=("revision", "cost", "entry", "mesh", "order", "jump", "kinematics"))
    parser.add_argument("--resolution", default="coarse", choices=("coarse", "standard", "fine"))
    parser.add_argument("--results", default="results/toggling")
    parser.add_argument("-n", dest="ranks", type=int, default=2)
    options = parser.parse_args()
    for name in options.studies:
        study = globals()[name]
        rows, text = study(options)
        tables.write(HERE / f"toggling_{name}", rows, study.__doc__.split("\n")[0].rstrip("."), text)
        print(tables.markdown(rows))


if __name__ == "__main__":
    main()
