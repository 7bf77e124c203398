"""What the benchmarks share: pose a test without the scenario layer, solve it in a process of its own."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import meshes
from materials.density import Density, Kind
from materials.problem import problem
from meshes.labmesh import REGIONS
from meshes.specimen import Cylinder, Resolution, Screw

BMD = 80.0                                  # mg/cm^3, QCT with K2HPO4 phantom: an osteoporotic vertebra
INDEX = Screw(6.5, 20.0, 2.75, 4.5)         # the native (index) screw
SPECIMEN = Cylinder(30.0, 30.0)
STEPS = {"first": 0.005, "largest": 0.04}   # mm
FINENESS = {                                # edge lengths (mm) at the thread, at the core's outside, far away; sectors
    "coarse": Resolution(1.0, 1.6, 6.0, 8),
    "standard": Resolution(0.6, 1.2, 5.0, 8),
    "fine": Resolution(0.4, 0.9, 3.5, 12),
    "0.25 mm": Resolution(0.25, 0.6, 3.0, 16),
    "0.15 mm": Resolution(0.15, 0.4, 3.0, 24),
    "0.12 mm": Resolution(0.12, 0.4, 3.0, 30),
    "0.09 mm": Resolution(0.09, 0.4, 3.0, 40),
}


@dataclass(frozen=True)
class Run:
    """A finished run: outcome.json, the columns of curve.csv and, if kept, the directory with its fields."""

    outcome: dict
    curve: np.ndarray
    directory: Path

    @property
    def step(self):
        return self.outcome["step"]

    @property
    def peak(self):
        """Peak force, N."""
        return self.step["peak_force_N"]


def pose(directory, screw=INDEX, specimen=SPECIMEN, resolution=FINENESS["fine"], halo=None, cement=None, bmd=None,
         foam=None, steps=STEPS, drop=0.2, model="axisymmetric", edit=None):
    """Write mesh.npz and problem.json of a pullout into `directory`; returns the mesh.

    bmd or foam: density of bone or foam, mg/cm^3; drop: share of the peak by which the force falls at the end;
    edit: function that changes the posed problem (a dict) in place, for variants that no scenario offers.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    mesh = meshes.build(specimen, screw, halo, cement, resolution, model)
    mesh.save(directory / "mesh.npz")
    regions = {name: REGIONS[name] for name in mesh.volumes()}
    density = None if foam else Density(BMD if bmd is None else bmd, Kind.QCT_K2HPO4)
    loading = {"kind": "pullout", "rate_mm_per_s": 5 / 60, "stop": {"force_drop": drop, "displacement": 2.0}}
    posed = problem(model, regions, list(mesh.interfaces), screw.diameter, screw.depth, density=density,
                    foam_density=foam, loading=loading, steps=steps)
    if edit:
        edit(posed)
    (directory / "problem.json").write_text(json.dumps(posed))
    return mesh


def solve(directory, ranks=1, before=""):
    """Solve what `pose` wrote, in a process of its own; `before`: Python statements run ahead (a changed constant).

    Returns a Run. Raises RuntimeError with the solver's last words if it failed; a run that stopped short is returned.
    """
    directory = Path(directory)
    if before:
        code = f"import runpy; {before}; runpy.run_module('fem', run_name='__main__', alter_sys=True)"
        command = [sys.executable, "-c", code, str(directory)]
    else:
        command = [sys.executable, "-m", "fem", str(directory), "--expect-ranks", str(ranks)]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "-n", str(ranks), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stderr[-2000:])
    outcome = json.loads((directory / "outcome.json").read_text())
    return Run(outcome, np.genfromtxt(directory / "curve.csv", delimiter=",", names=True), directory)


def pullout(keep=None, before="", **posed):
    """Pose and solve one pullout, in a temporary directory unless `keep` names one; arguments as for `pose`."""
    if keep is not None:
        pose(keep, **posed)
        return solve(keep, before=before)
    with tempfile.TemporaryDirectory() as directory:
        pose(directory, **posed)
        return solve(directory, before=before)


def insertion(damage, everywhere=False):
    """An `edit` for `pose`: insertion damage `damage`; everywhere: also in foam, which the posed problem leaves out."""
    def edit(posed):
        posed["insertion"]["damage"] = damage
        if everywhere:
            posed["insertion"]["regions"] = [REGIONS[name] for name in ("trabecular", "foam")]
    return edit
