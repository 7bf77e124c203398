"""What runs cost: seconds by phase, memory, ranks, mesh sizes, start-up; and an elastic solve beside CalculiX.

    python benchmarks/performance/run.py                            everything (an hour and a half on two cores)
    python benchmarks/performance/run.py startup flat elastic       only some parts
    python benchmarks/performance/run.py scenarios FILE.yaml ...    other scenarios

Parts: startup (--help, check), flat (axisymmetric runs on five meshes), scenarios (each file on 1 and 2 ranks at the
resolution it names), meshes (each file on coarse, standard and fine), elastic (one linear problem, halofix and
CalculiX), sweep (a thousand trivial cases: what the engine costs beside them; half an hour on two cores). Standard library only: it also runs outside the environment, where CalculiX is, and then starts Python inside
by --python COMMAND. CalculiX is `ccx` on PATH (Debian: apt install calculix-ccx).

Writes performance_<part>.csv and performance.md beside this file; parts that are not run keep their last tables.
"""

import argparse
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from math import log
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from scenarios import tables  # noqa: E402

PARTS = {
    "startup": "Start-up",
    "flat": "Axisymmetric pullouts",
    "scenarios": "Scenarios on one and two ranks",
    "meshes": "Scenarios on three meshes",
    "elastic": "Linear elastic solve beside CalculiX",
    "sweep": "A sweep of trivial cases",
}
FILES = ("scenarios/cylinder_native.yaml", "scenarios/native.yaml")
SWEEP = """\
scenario: {root}/scenarios/cylinder_native.yaml
resolution: coarse
parameters:
  specimen.bmd: {{from: 60 mg/cm^3, to: 120 mg/cm^3, steps: {cases}}}
  protocol.pullout.stop.displacement: [0.02 mm]
design: grid
"""


def run(command, environment=None, folder=ROOT):
    """Run a command in `folder`; returns (seconds, largest resident memory of it and its children in MiB, its output).

    Raises RuntimeError with its last words if it fails.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, env=os.environ | (environment or {}))
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        text, said = out.read(), err.read()
    if process.returncode not in (0, 3):
        raise RuntimeError(f"{shlex.join(command)} gave {process.returncode}: {said[-1500:]}{text[-500:]}")
    return seconds, usage.ru_maxrss / 1024, text


def startup(python, files):
    """--help and check, twice: the second time everything is in the disk cache."""
    rows = []
    for name, arguments in (("--help", ["--help"]), ("check", ["check", *files])):
        first, second = (run([*python, "-m", "scenarios.cli", *arguments])[0] for _ in range(2))
        rows.append({"verb": name, "first s": first, "again s": second})
    return rows


def scenario(python, file, ranks, resolution=None):
    """One row: a scenario run through the command line."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result"
        command = [*python, "-m", "scenarios.cli", "run", file, "--out", str(target), "-n", str(ranks)]
        seconds, _, _ = run(command + (["--resolution", resolution] if resolution else []))
        outcome = json.loads((target / "outcome.json").read_text())
    step, phases = outcome["step"], outcome["seconds"]
    return {"scenario": Path(file).stem, "resolution": resolution or "as in file", "ranks": ranks,
            "cells": outcome["cells"], "dofs": outcome["dofs"], "peak N": step["peak_force_N"], "steps": step["steps"],
            "Newton": outcome["newton_iterations"], "CG": step["linear_iterations"], "wall s": seconds,
            "solver s": outcome["seconds_total"], "meshing, report s": seconds - outcome["seconds_total"],
            "memory MiB": outcome["memory_MiB"],
            **{f"{name} %": 100 * value / outcome["seconds_total"] for name, value in phases.items()}}


def scenarios(python, files):
    rows = []
    for file in files:
        for ranks in (1, 2):
            rows.append(scenario(python, file, ranks))
            one = next(row for row in rows if row["scenario"] == rows[-1]["scenario"])
            rows[-1]["speed-up of the solver"] = one["solver s"] / rows[-1]["solver s"]
            print(rows[-1], flush=True)
    return rows


def growth(rows, key):
    """Exponent of the cost: seconds ~ unknowns^exponent, from row to row of one `key`."""
    for before, row in zip(rows, rows[1:]):
        if before[key] == row[key]:
            row["solver s ~ dofs^"] = log(row["solver s"] / before["solver s"]) / log(row["dofs"] / before["dofs"])
    return rows


def meshes(python, files):
    rows = []
    for file in files:
        for resolution in ("coarse", "standard", "fine"):
            rows.append(scenario(python, file, 2, resolution))
            print(rows[-1], flush=True)
    return growth(rows, "scenario")


def flat(python, files):
    """Axisymmetric native pullouts on the five meshes of the convergence study."""
    del files
    rows = []
    for name in ("coarse", "standard", "fine", "0.25 mm", "0.15 mm"):
        with tempfile.TemporaryDirectory() as folder:
            code = f"from scenarios.laboratory import *; pose({folder!r}, resolution=FINENESS[{name!r}])"
            meshing, _, _ = run([*python, "-c", code])
            wall, _, _ = run([*python, "-m", "fem", folder])
            outcome = json.loads((Path(folder) / "outcome.json").read_text())
        rows.append({"mesh": name, "model": "axisymmetric", "cells": outcome["cells"], "dofs": outcome["dofs"],
                     "peak N": outcome["step"]["peak_force_N"], "meshing s": meshing, "solving s (process)": wall,
                     "solver s": outcome["seconds_total"], "memory MiB": outcome["memory_MiB"],
                     **{f"{k} %": 100 * v / outcome["seconds_total"] for k, v in outcome["seconds"].items()}})
        print(rows[-1], flush=True)
    return growth(rows, "model")


def elastic(python, meshes):
    """The same quadratic meshes in both programs; reactions compared with halofix on one rank."""
    rows = []
    for mesh in meshes:
        with tempfile.TemporaryDirectory() as folder:
            run([*python, "-m", "benchmarks.performance.elastic", "make", folder, "--mesh", mesh])
            done = [*_halofix(python, folder), *_calculix(folder)]
        for row in done:
            if "reaction N" in row:
                row["against halofix"] = f"{row['reaction N'] / done[0]['reaction N'] - 1:.1e}"
            rows.append({"mesh": mesh, "dofs": done[0]["dofs"]} | row)
    return rows


def _halofix(python, folder):
    """Rows for one and two ranks."""
    for ranks in (1, 2):
        solve = ["-m", "benchmarks.performance.elastic", "solve", folder]
        launch = [*python, *solve] if ranks == 1 else [
            *python, "-c", "import os, sys; os.execvp('mpirun', ['mpirun', '--oversubscribe', '-n', "
            f"'{ranks}', sys.executable, *sys.argv[1:]])", *solve]
        wall, _, text = run(launch)
        done = json.loads(text.strip().splitlines()[-1])
        row = {"program": "halofix", "solver": "CG, p-multigrid", "cores": ranks, "dofs": done["dofs"],
               "reaction N": done["reaction_N"], "wall s": wall, "memory MiB": done["memory_MiB"],
               "iterations": done["iterations"], **{f"{k} s": v for k, v in done["seconds"].items()}}
        print(row, flush=True)
        yield row


def _calculix(folder):
    """Rows for its direct solver on one and two cores and for its iterative solver."""
    if shutil.which("ccx") is None:
        print("ccx is not on PATH: CalculiX is left out", file=sys.stderr)
        return
    text, job = (Path(folder) / "model.inp").read_text(), Path(folder) / "job"
    for solver, threads in (("SPOOLES", "1"), ("SPOOLES", "2"), ("ITERATIVE CHOLESKY", "1")):
        job.with_suffix(".inp").write_text(text.replace("SOLVER=SPOOLES", f"SOLVER={solver}"))
        row = {"program": f"CalculiX {version()}", "solver": solver.lower(), "cores": int(threads)}
        try:
            several = {"OMP_NUM_THREADS": threads, "CCX_NPROC_STIFFNESS": threads}
            wall, memory, _ = run(["ccx", "-i", "job"], several, folder)
            reaction = float(job.with_suffix(".dat").read_text().split()[-1])
            row |= {"reaction N": reaction, "wall s": wall, "memory MiB": memory}
        except (RuntimeError, FileNotFoundError, IndexError) as error:
            row["note"] = f"failed: {str(error)[-200:]}".replace("\n", " ")
        print(row, flush=True)
        yield row


def sweep(python, cases):
    """Two steps of an axisymmetric pull, `cases` times: what they cost beside the solver, and whether each is there once."""
    with tempfile.TemporaryDirectory() as folder:
        file, target = Path(folder) / "trivial.yaml", Path(folder) / "sweep"
        file.write_text(SWEEP.format(root=ROOT, cases=cases))
        wall, _, _ = run([*python, "-m", "scenarios.cli", "sweep", str(file), "--out", str(target)])
        with open(target / "table.csv", newline="") as stream:
            table = [row["case"] for row in csv.DictReader(stream)]
        outcomes = [json.loads(path.read_text()) for path in (target / "outcomes").glob("*.json")]
        solved = [path.read_text().count(": solving\n") for path in (target / "cases").glob("*/log")]
    cores = len(os.sched_getaffinity(0))
    inside = sum(outcome["seconds"] for outcome in outcomes)
    solver = sum(outcome["result"]["seconds_total"] for outcome in outcomes)
    return [{"cases": cases, "completed": sum(outcome["status"] == "completed" for outcome in outcomes),
             "rows missing": cases - len(set(table)), "rows twice": len(table) - len(set(table)),
             "solved twice": sum(count > 1 for count in solved), "cores": cores, "wall s": wall, "case s": inside / cases,
             "of it solver s": solver / cases, "engine s a case": (cores * wall - inside) / cases}]


def version():
    return subprocess.run(["ccx", "-v"], capture_output=True, text=True).stdout.split()[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help=f"parts ({', '.join(PARTS)}) and scenario files; nothing: all parts")
    parser.add_argument("--python", default=sys.executable, help="command that starts Python in halofix's environment")
    parser.add_argument("--cases", type=int, default=1000, help="cases of the sweep")
    parser.add_argument("--mesh", action="append", help="mesh of the elastic part, may be repeated; default: all three")
    options = parser.parse_args()
    parts = [name for name in options.what if name in PARTS] or list(PARTS)
    files = [name for name in options.what if name not in PARTS] or list(FILES)
    if unknown := [name for name in files if not (ROOT / name).is_file()]:
        parser.error(f"neither a part nor a scenario file: {', '.join(unknown)}")
    python = shlex.split(options.python)
    # what the tables say of the command leaves out the folders of this machine
    sys.argv[1:] = [*options.what, *(f"--mesh={mesh}" for mesh in options.mesh or ())]
    functions = {"startup": startup, "flat": flat, "scenarios": scenarios, "meshes": meshes}
    for part in parts:
        if part == "elastic":
            rows = elastic(python, options.mesh or ("coarse", "standard", "fine"))
        elif part == "sweep":
            rows = sweep(python, options.cases)
        else:
            rows = functions[part](python, files)
        tables.write(HERE / f"performance_{part}", rows, PARTS[part])
    collect()


def collect():
    """performance.md out of the last table of each part."""
    sections = ["# Performance"]
    for part, title in PARTS.items():
        file = HERE / f"performance_{part}.md"
        if file.exists():
            sections += [f"## {title}", file.read_text().split("\n", 1)[1].strip()]
    sections.append(tables.notes(HERE / "performance"))
    (HERE / "performance.md").write_text("\n\n".join(s for s in sections if s) + "\n")


if __name__ == "__main__":
    main()
