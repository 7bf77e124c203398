"""`python -m fem DIR`: solve the problem in DIR/problem.json on DIR/mesh.npz. Run it under mpirun for several ranks."""

import argparse
import json
import logging
import resource
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

COMPLETED, STOPPED_SHORT, ENVIRONMENT = 0, 3, 4
CEMENT = (7, 8)  # region numbers of pure cement and of bone filled with it, see meshes.labmesh.REGIONS


def main():
    parser = argparse.ArgumentParser(prog="python -m fem", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--expect-ranks", type=int, help="stop unless the communicator has this size")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    if options.expect_ranks and comm.size != options.expect_ranks:
        print(f"halofix: {options.expect_ranks} MPI ranks were asked for but the communicator has {comm.size}; "
              "start it with mpirun (or srun --mpi=pmix) of the MPI that mpi4py was built with", file=sys.stderr)
        return ENVIRONMENT
    return solve(comm, options.directory)


def solve(comm, directory):
    """Run all loading steps; writes the outcome and returns the exit code."""
    started = time.perf_counter()
    from fem.domain import Domain
    from fem.linear import LinearSolver
    from fem.model import Model
    from fem.output import Clock, Snapshot, append_json, read_mesh, write_curve, write_fields
    from fem.pullout import Pullout

    clock = Clock()
    log = _logger(comm, directory / "run.log")
    problem = json.loads((directory / "problem.json").read_text())
    with clock("set-up"):
        domain = Domain(comm, read_mesh(directory / "mesh.npz"))
        model = Model(domain, problem)
        solver = LinearSolver(model)
    dofs = domain.index_map.size_global * domain.dim
    points = comm.allreduce(len(model.interface.slip))
    log.info("%d cells, %d degrees of freedom, %d interface points, %d ranks",
             comm.allreduce(len(domain.cells)), dofs, points, comm.size)

    peak = {}

    def on_peak():
        peak["snapshot"] = Snapshot(model)
        peak["jump"] = model.interface.jump.copy()
        peak["cortex"] = model.cortex.summary() if model.cortex else None

    def on_step(row, info):
        if comm.rank != 0:
            return
        write_curve(directory / "curve.csv", step.curve.rows)
        seconds = time.perf_counter() - started
        append_json(directory / "history.jsonl", {**row, **info, "seconds": round(seconds, 2)})
        print(json.dumps({"step": row["step"], "force_N": row["force_N"], "displacement_mm": row["displacement_mm"],
                          "progress": info["progress"], "seconds": seconds}), flush=True)
        log.info("step %d: %.4f mm %.2f N, %d Newton, %d linear iterations, damage up to %.2f", row["step"],
                 row["displacement_mm"], row["force_N"], info["newton"], info["linear"], row["max_damage"])

    steps, status = [], "completed"
    for loading in problem["loading"]:
        step = Pullout(model, solver, loading, problem["steps"], problem.get("rig_compliance_mm_per_N", 0.0), clock,
                       on_step, on_peak)
        status = step.run()
        summary = step.summary()
        if peak:
            summary.update(_interface_summary(comm, model, peak["jump"]))
            cement = np.isin(domain.region, CEMENT)
            if comm.allreduce(int(cement.sum())):
                use = peak["snapshot"].cells["strength_utilisation"][cement]
                summary["cement_utilisation"] = comm.allreduce(float(use.max()) if use.size else 0.0, op=MPI.MAX)
            if model.cortex:
                summary["cortex_utilisation"] = comm.allreduce(peak["cortex"][0], op=MPI.MAX)
                summary["cortex_plastic_strain"] = comm.allreduce(peak["cortex"][1], op=MPI.MAX)
        steps.append(summary)
        log.info("%s: %s", status, step.reason)
        if status != "completed":
            break
    with clock("output"):
        if peak:
            peak["snapshot"].write(directory / "peak.vtu", domain)
        Snapshot(model).write(directory / "state.vtu", domain)
        write_fields(directory / "fields.bp", model)
    memory = comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)
    if comm.rank == 0:
        total = time.perf_counter() - started
        clock.seconds["other"] = total - sum(clock.seconds.values())
        outcome = {"status": status, "reason": step.reason, "steps": steps, "cells": int(len(domain.lab["cells"])),
                   "dofs": int(dofs), "interface_points": int(points), "ranks": comm.size,
                   "newton_iterations": sum(s["newton_iterations"] for s in steps),
                   "cutbacks": sum(s["cutbacks"] for s in steps), "preconditioners": solver.setups,
                   "seconds": {k: round(v, 2) for k, v in clock.seconds.items()}, "seconds_total": round(total, 2),
                   "memory_MiB": round(memory)}
        (directory / "outcome.json").write_text(json.dumps(outcome, indent=1))
    return COMPLETED if status == "completed" else STOPPED_SHORT


def _interface_summary(comm, model, jump):
    """Micromotion at the peak: area-weighted mean and largest slip and opening of the screw's interface, micrometres."""
    points = model.interface.points
    screw = np.array([name.startswith("screw_") for name in points.names], dtype=bool)[points.kind] if len(jump) else []
    w = points.weight * screw if len(jump) else np.zeros(0)
    gn = np.einsum("ij,ij->i", jump, points.normal)
    slip = np.linalg.norm(jump - gn[:, None] * points.normal, axis=1)
    sums = comm.allreduce(np.array([w.sum(), (w * slip).sum(), (w * np.maximum(gn, 0.0)).sum(), w[gn > 0].sum()]))
    if sums[0] == 0.0:
        return {}
    largest = comm.allreduce(float((slip * (w > 0)).max()) if len(jump) else 0.0, op=MPI.MAX)
    return {"micromotion_um": 1e3 * sums[1] / sums[0], "largest_slip_um": 1e3 * largest,
            "mean_opening_um": 1e3 * sums[2] / sums[0], "open_share": sums[3] / sums[0]}


def _logger(comm, path):
    log = logging.getLogger("fem")
    log.setLevel(logging.INFO if comm.rank == 0 else logging.ERROR)
    if comm.rank == 0:
        handler = logging.FileHandler(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
    log.propagate = False
    return log


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        # one rank's error must end all of them, or the others wait for ever
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(1)
    sys.exit(code)
