"""`python -m fem DIR`: solve the problem in DIR/problem.json on DIR/mesh.npz. Run it under mpirun for several ranks."""

import argparse
import ctypes
import json
import logging
import resource
import signal
import sys
import time
from pathlib import Path

from mpi4py import MPI

COMPLETED, STOPPED_SHORT, ENVIRONMENT = 0, 3, 4
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main():
    parser = argparse.ArgumentParser(prog="python -m fem", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--expect-ranks", type=int, help="stop unless the communicator has this size")
    options = parser.parse_args()
    _end_with_parent()
    comm = MPI.COMM_WORLD
    if options.expect_ranks and comm.size != options.expect_ranks:
        print(f"halofix: {options.expect_ranks} MPI ranks were asked for but the communicator has {comm.size}; "
              "start it with mpirun (or srun --mpi=pmix) of the MPI that mpi4py was built with", file=sys.stderr)
        return ENVIRONMENT
    return solve(comm, options.directory)


def _end_with_parent():
    """End this process with the one that started it: an mpirun that is killed outright would leave its ranks behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def solve(comm, directory):
    """Carry out the loading step of the problem in `directory`; writes the outcome and returns the exit code."""
    started = time.perf_counter()
    from fem import state
    from fem.cycle import Cycle
    from fem.domain import Domain
    from fem.linear import LinearSolver
    from fem.model import Model
    from fem.output import Clock, Snapshot, Watch, read_mesh, write_fields
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
    carried = _start(model, problem.get("start"), directory, log)
    watch = Watch(model, solver, directory, log, started)
    kind = {"pullout": Pullout, "cycle": Cycle}[problem["loading"]["kind"]]
    step = kind(model, solver, problem, clock, watch)
    if watch.resume(step):
        log.info("resumed at row %d", len(step.rows()))
    status = step.run()
    summary = watch.at_peak | step.summary() | ({"transfer": carried} if carried else {})
    log.info("%s: %s", status, step.reason)
    with clock("output"):
        watch.write_tables(step)
        watch.write_peak()
        state.save(directory / "end.npz", model)
        Snapshot(model).write(directory / "state.vtu", domain)
        write_fields(directory / "fields.bp", model)
    memory = comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)
    if comm.rank == 0:
        total = time.perf_counter() - started
        clock.seconds["other"] = total - sum(clock.seconds.values())
        outcome = {"status": status, "reason": step.reason, "step": summary, "cells": int(len(domain.lab["cells"])),
                   "dofs": int(dofs), "interface_points": int(points), "ranks": comm.size,
                   "newton_iterations": step.march.newton, "cutbacks": step.march.cutbacks,
                   "preconditioners": solver.setups, "seconds": {k: round(v, 2) for k, v in clock.seconds.items()},
                   "seconds_total": round(total, 2), "memory_MiB": round(memory)}
        (directory / "outcome.json").write_text(json.dumps(outcome, indent=1))
    return COMPLETED if status == "completed" else STOPPED_SHORT


def _start(model, start, directory, log):
    """Begin with the state of an earlier step, {'from': its directory, 'same_mesh': bool}; what was lost on the way, or None."""
    if not start:
        return None
    from fem import state
    from fem.output import read_mesh

    earlier = directory / start["from"]
    if start["same_mesh"]:
        found, _, _ = state.load(earlier / "end.npz", model)
        model.restore(found)
        model.grip.zero()
        return None
    problem = json.loads((earlier / "problem.json").read_text())
    carried = state.carry(model, read_mesh(earlier / "mesh.npz"), problem, earlier / "end.npz")
    log.info("carried over: %s", carried)
    return carried


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
