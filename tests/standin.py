"""Stand-ins for mesher and solver: a run that takes no time."""

from pathlib import Path
import sys
import time

import numpy as np
import pytest

import meshes
from meshes.labmesh import LabMesh
from scenarios import cli, runner, solve

ROOT = Path(__file__).resolve().parent.parent
CYLINDER = ROOT / "scenarios" / "cylinder_native.yaml"
HEAD = "import json, os, signal, sys, time; d = sys.argv[1]\n"
STEPS = """
def step(i, f, u, p):
    with open(d + "/curve.csv", "a") as c:
        c.write(("step,displacement_mm,force_N\\n" if i == 1 else "") + f"{i},{u},{f}\\n")
    print(json.dumps(dict(step=i, force_N=f, displacement_mm=u, progress=p, seconds=1.0 * i)), flush=True)
step(1, 100.0, 0.02, 0.1); step(2, 200.0, 0.04, 0.2); step(3, 150.0, 0.06, 0.3)
"""
DONE = """
pull = dict(kind="pullout", peak_force_N=200.0, displacement_at_peak_mm=0.04, stiffness_N_per_mm=5000.0, steps=3)
open(d + "/outcome.json", "w").write(json.dumps(dict(status="completed", reason="the force fell 20 %", step=pull)))
"""
RESCUE = """
name: toggled
specimen: {shape: cylinder, diameter: 30 mm, length: 40 mm, bmd: 70 mg/cm^3}
screw: {diameter: 6.5 mm, length: 30 mm, pitch: 2.75 mm, core_diameter: 4.5 mm}
protocol:
  - insert: {}
  - cycle: {preset: weiser}
  - augment: {volume: 2 ml, target: halo}
  - cycle: {preset: weiser, lever_arm: 12 mm}
  - pullout: {}
"""
# what the solver leaves of a cyclic step, and of a pullout; it is told to fail in the folder that a file `fail` names
SOLVER = r"""
import meshio, numpy as np
kind = "cycle" if d.endswith("cycle") else "pullout"
fail = os.path.join(os.environ["BENCH"], "fail")
if kind == "cycle":
    with open(d + "/cycles.csv", "w") as c:
        c.write("cycles,peak_load_N,head_displacement_mm,angle_deg,axial_displacement_mm,halo_volume_mm3\n900,190,5.4,9,0.2,100\n")
    halo = dict(z_mm=[-29, -15, -1], threshold=0.5, snapshots=[dict(cycles=900, thickness_mm=[0.8, 0.3, 1.1])])
    open(d + "/halo.json", "w").write(json.dumps(halo))
    with np.load(d + "/mesh.npz") as mesh:
        points, cells = mesh["points"], mesh["cells"]
    meshio.Mesh(points, [("tetra", cells)], {"displacement": 0 * points}, {"damage": [[0.9, 0.4, 0.6]]}).write(d + "/state.vtu")
open(os.path.join(os.environ["BENCH"], "solved"), "a").write(os.path.basename(d) + " ")
if os.path.exists(fail) and open(fail).read() == os.path.basename(d):
    os.kill(os.getpid(), signal.SIGKILL)
open(d + "/end.npz", "w").write("state")
step = dict(kind=kind, loosened=True, cycles_to_loosening=900.0, load_at_loosening_N=190.0) if kind == "cycle" else \
    dict(kind=kind, peak_force_N=300.0, displacement_at_peak_mm=0.3, force_at_end_N=240.0, displacement_at_end_mm=1.0)
outcome = dict(status="completed", reason="loose", step=step, seconds_total=10.0, newton_iterations=5, memory_MiB=100)
open(d + "/outcome.json", "w").write(json.dumps(outcome))
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A working directory in which a run takes no time; bench(code) sets what the solver does."""
    points = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [2, 0], [2, 1]])
    cells = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
    monkeypatch.setattr(meshes, "build", lambda *_: LabMesh(points, cells, np.array([1, 1, 2, 2]), info={"insertion_depth_mm": 20.0}), raising=False)
    monkeypatch.setattr(runner, "serially", lambda *_: "")
    monkeypatch.chdir(tmp_path)

    def set_solver(code):
        monkeypatch.setattr(solve, "command", lambda directory, _: [sys.executable, "-c", HEAD + code, str(directory)])

    set_solver(STEPS + DONE)
    return set_solver


@pytest.fixture
def toggling(bench, tmp_path, monkeypatch):
    """The scenario file of a rescue whose solver is a stand-in; halos and cement that the mesher is asked for are listed."""
    monkeypatch.setenv("BENCH", str(tmp_path))
    asked = []
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, -1]])
    cells = np.array([[0, 1, 2, 3], [1, 4, 2, 3], [0, 2, 1, 5]])
    mesh = LabMesh(points, cells, np.array([1, 2, 2]), info={"insertion_depth_mm": 30.0})
    monkeypatch.setattr(meshes, "build", lambda *a: asked.append(a) or mesh)
    bench(SOLVER)
    file = tmp_path / "toggled.yaml"
    file.write_text(RESCUE)
    return file, asked


def names(directory):
    return {file.name for file in Path(directory).iterdir()}


def command(monkeypatch, *words):
    """Exit code of `halofix WORDS`."""
    monkeypatch.setattr(sys, "argv", ["halofix", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code or 0


def wait_for_curve():
    for _ in range(1000):
        if any(f.read_text().count("\n") == 4 for f in Path(".").glob(".here.*/curve.csv")):
            break
        time.sleep(0.01)
    time.sleep(0.1)
