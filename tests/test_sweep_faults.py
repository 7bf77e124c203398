"""Sweeps under faults: whatever dies, nothing that is finished is lost or run again, and the sweep comes to its end."""

import ctypes
import os
from pathlib import Path
import random
import signal
import subprocess
import time

import pandas
import pytest

import slurm
from scenarios import solve
from scenarios.sweeps import engine, plan, results
from sweeping import base_scenario, command, halofix, solved, sweep_file, wait_for

pytestmark = pytest.mark.slow
FAULTS = 50
MS_REMOUNT = 32


def processes(out):
    """{kind: [process, ...]} of the sweep in directory `out`; a batch's cases are forks of it."""
    found = {"engine": [], "batch": [], "case": [], "solver": []}
    batches = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            where, parent = os.readlink(entry / "cwd"), int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if "snakemake" in words and str(out) in words and words[0].endswith("python"):
            found["engine"].append(int(entry.name))
        elif "fem" in words and any(word.startswith(f"{out}/") for word in words):
            found["solver"].append(int(entry.name))
        elif "scenarios.sweeps.cases" in words and where == str(out) and words[0].endswith("python"):
            batches[int(entry.name)] = parent
    for process, parent in batches.items():
        found["case" if parent in batches else "batch"].append(process)
    return found


def times(out):
    return {f.name: f.stat().st_mtime_ns for f in (out / "outcomes").glob("*.json")}


def test_fifty_kills(tmp_path):
    base_scenario(tmp_path)
    out, rng, kills = tmp_path / "out", random.Random(3), 0
    file = sweep_file(tmp_path, {"specimen.bmd": "{from: 60 mg/cm^3, to: 90 mg/cm^3, steps: 40}"}, "grid", "batch: 2")
    assert halofix("sweep", file, "--out", out, "--dry-run").returncode == 0
    known, killed_solvers = {}, 0
    while kills < FAULTS:
        sweep = subprocess.Popen(command("sweep", "resume", out, "-j", 2), env=solve.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(rng.randint(1, 4)):
            time.sleep(rng.uniform(0.5, 4.0))
            kind = rng.choice(["sweep", "engine", "batch", "case", "solver"])
            chosen = [sweep.pid] if kind == "sweep" else processes(out)[kind]
            if sweep.poll() is not None or not chosen:
                continue
            os.kill(rng.choice(chosen), signal.SIGKILL)
            kills += 1
            killed_solvers += kind == "solver"
            if kind == "sweep":
                break
        if kind != "sweep":
            sweep.terminate()
        sweep.wait(120)
        now = times(out)
        assert known.items() <= now.items(), "an outcome was lost or written again"
        known = now
    ran = halofix("sweep", "resume", out, "-j", 2)
    state = engine.status(out)
    assert not state.left, ran.stderr
    assert known.items() <= times(out).items()
    assert len(state.failures) <= killed_solvers and all("-9" in o["reason"] and o["log"] for o in state.failures.values())
    assert halofix("sweep", "retry", "--failed", out, "-j", 2).returncode == 0
    table = results.table(out)
    assert len(table) == table["case"].nunique() == 40 and (table["status"] == "completed").all()
    assert not sum(processes(out).values(), []), "nothing is left running"


def _mount(place, flags, size):
    library = ctypes.CDLL(None, use_errno=True)
    return library.mount(b"none", str(place).encode(), b"tmpfs", flags, f"size={size}".encode())


def test_a_full_disk_stops_the_sweep_and_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if _mount(disk, 0, "1500k"):
        pytest.skip("this user cannot mount a small disk")
    try:
        base_scenario(tmp_path)
        file = sweep_file(tmp_path, {"specimen.bmd": "{from: 60 mg/cm^3, to: 90 mg/cm^3, steps: 6}"}, "grid", "batch: 2")
        full = halofix("sweep", file, "--out", disk / "out", "-j", 1)
        known = times(disk / "out")
        assert full.returncode in (3, 4) and "No space left" in full.stderr + (disk / "out" / engine.LOG).read_text(), full.stderr
        assert 0 < len(known) < 6
        assert _mount(disk, MS_REMOUNT, "60m") == 0
        assert halofix("sweep", "resume", disk / "out").returncode == 0
        assert known.items() <= times(disk / "out").items()
    finally:
        ctypes.CDLL(None).umount2(str(disk).encode(), 2)


# -- a cluster ---------------------------------------------------------------------------------------------------------

needs_slurm = pytest.mark.skipif(not slurm.available(), reason="SLURM (slurmctld, slurmd, munge) is not installed")
DENSITIES = {"specimen.bmd": "[60 mg/cm^3, 70 mg/cm^3, 80 mg/cm^3]"}


@needs_slurm
@pytest.mark.mpi
def test_slurm_gives_what_this_machine_gives(tmp_path):
    base_scenario(tmp_path)
    file = sweep_file(tmp_path, DENSITIES, "grid", "ranks: 2")
    assert halofix("sweep", file, "--out", tmp_path / "here", "-j", 2).returncode == 0
    with slurm.Cluster(tmp_path / "slurm") as cluster:
        ran = halofix("sweep", file, "--out", tmp_path / "there", "--profile", "slurm", environment=cluster.environment)
        assert ran.returncode == 0, ran.stderr + (tmp_path / "there" / engine.LOG).read_text()
    here, there = results.table(tmp_path / "here"), results.table(tmp_path / "there")
    keys = [*plan.load(tmp_path / "here")["outputs"], "case", "status", "reason", "ranks"]
    pandas.testing.assert_frame_equal(here[keys], there[keys], rtol=1e-8)
    assert (there["ranks"] == 2).all()
    log = (tmp_path / "there" / "cases" / there["case"][0] / "result" / "run.log").read_text()
    assert "2 ranks" in log


@needs_slurm
@pytest.mark.mpi
def test_a_launcher_that_starts_separate_processes_is_noticed(tmp_path):
    base_scenario(tmp_path)
    profile = tmp_path / "profile"
    profile.mkdir()
    shipped = (engine.PROFILES / "slurm" / "config.yaml").read_text()
    (profile / "config.yaml").write_text(shipped.replace("srun --mpi=pmix", "srun"))
    file = sweep_file(tmp_path, {"specimen.bmd": "[60 mg/cm^3]"}, "grid", "ranks: 2")
    with slurm.Cluster(tmp_path / "slurm") as cluster:
        ran = halofix("sweep", file, "--out", tmp_path / "out", "--profile", profile, environment=cluster.environment)
    assert ran.returncode == 4 and not engine.finished(tmp_path / "out")
    assert "2 MPI ranks were asked for but the communicator has 1" in next((tmp_path / "out" / "cases").glob("*/log")).read_text()


@needs_slurm
@pytest.mark.mpi
def test_slurmd_dies_and_comes_back(tmp_path):
    base_scenario(tmp_path)
    out, file = tmp_path / "out", sweep_file(tmp_path, DENSITIES, "grid", "ranks: 2")
    with slurm.Cluster(tmp_path / "slurm") as cluster:
        env = solve.environment() | cluster.environment
        sweep = subprocess.Popen(command("sweep", file, "--out", out, "--profile", "slurm"), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(engine.finished(out)) >= 1, 240)
        known = times(out)
        cluster.kill("slurmd")
        time.sleep(5)
        cluster.start("slurmd")
        sweep.wait(300)
        assert halofix("sweep", "resume", out, "--profile", "slurm", environment=cluster.environment).returncode == 0
    assert known.items() <= times(out).items() and engine.status(out).exit_code == 0
    assert all(count == 1 for case, count in solved(out).items() if f"{case}.json" in known)
