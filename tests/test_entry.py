"""The cortex round the entry: its rim bears on the shank; an entry opened wider than the screw."""

import json
import logging
import time

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mpi4py import MPI  # noqa: E402

from benchmarks.verification import toggling  # noqa: E402
from fem.cycle import Cycle  # noqa: E402
from fem.domain import Domain  # noqa: E402
from fem.interface import Interface, split  # noqa: E402
from fem.linear import LinearSolver  # noqa: E402
from fem.model import Model  # noqa: E402
from fem.output import Clock, Watch, read_mesh  # noqa: E402
from materials.ablation import edited  # noqa: E402
from materials.bone import cortex  # noqa: E402
from materials.density import Density, Kind  # noqa: E402
from meshes.labmesh import REGIONS  # noqa: E402
from meshes.specimen import Cylinder  # noqa: E402
from meshes.split import adjacency, facet_vertices  # noqa: E402


def posed_in(directory):
    """(mesh arrays, problem) of a short screw in a cylinder of weak bone with a cortex of 0.8 mm round the entry, pushed sideways."""
    toggling.pose(directory, Cylinder(26.0, 26.0), toggling.SHORT, toggling.SHORT_MESH, bmd=80.0, stop={"head_displacement_mm": 0.2, "cycles": 1})
    lab, posed = read_mesh(directory / "mesh.npz"), json.loads((directory / "problem.json").read_text())
    boundary, _ = adjacency(lab["cells"])
    facets = facet_vertices(lab["cells"], boundary)
    top = np.all(np.abs(lab["points"][facets][..., 2]) < 1e-9, axis=1) & (lab["region"][boundary[:, 0]] == REGIONS["trabecular"])
    lab |= {"facets/cortex": facets[top], "cortex_thickness": np.full(top.sum(), 0.8)}
    return lab, posed | {"cortex": cortex(Density(80.0, Kind.QCT_K2HPO4))}


def test_the_cortex_bears_on_the_shank_with_its_own_stiffness(tmp_path, monkeypatch):
    """Pushed sideways by 0.2 mm, the screw meets the shell's rim and not the penalty between them: three times as much of it changes
    next to nothing, and the overlap is small beside the motion. Borne by the bone's penalty alone the screw would hold far less."""
    (lab, posed), found, one = posed_in(tmp_path), {}, Interface.__init__
    for times in (0.0, 1.0, 3.0):
        def scaled(self, points, laws, softer, rim, *more, times=times):
            one(self, points, laws, softer, times * rim, *more)

        monkeypatch.setattr(Interface, "__init__", scaled)
        model = Model(Domain(MPI.COMM_WORLD, lab), posed)
        points, solver = model.interface.points, LinearSolver(model)
        at = points.rim > 0.0
        assert at.sum() == toggling.SHORT_MESH.sectors and np.allclose(points.rim[at], 0.8 * toggling.SHORT.core_diameter * np.sin(np.pi / at.sum()), rtol=0.1)
        step = Cycle(model, solver, posed, Clock(), Watch(model, solver, tmp_path, logging.getLogger("test"), time.perf_counter()))
        overlaps = []
        step._pushing = lambda *_: overlaps.append(-split(model.interface.jump, points.normal)[0][at].min())
        step._static_curve()
        found[times] = step.static.rows[-1]["force_N"], overlaps[-1]
    assert found[3.0][0] == pytest.approx(found[1.0][0], rel=0.03) and found[1.0][1] < 0.01
    assert found[1.0][0] > 1.3 * found[0.0][0]


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_an_entry_opened_by_a_burr_leaves_a_share_of_its_cortex(tmp_path, share):
    """Round the entry, and nowhere else: the shell's stiffness there and the section that bears on the shank are that share."""
    lab, posed = posed_in(tmp_path)
    side = lab["facets/held"]
    lab |= {"facets/cortex": np.vstack([lab["facets/cortex"], side]), "cortex_thickness": np.full(len(lab["facets/cortex"]) + len(side), 0.8)}
    whole = Model(Domain(MPI.COMM_WORLD, lab), posed)
    opened = Model(Domain(MPI.COMM_WORLD, lab), edited(posed, {"model.entry_cortex": share}))
    flat = np.abs(lab["points"][lab["facets/cortex"]][whole.cortex.row][..., 2]).max(axis=1) < 1e-9
    assert flat.any() and not flat.all()
    assert np.allclose(opened.cortex.matrices(), np.where(flat, share, 1.0)[:, None, None] * whole.cortex.matrices())
    at, none = (whole.interface.points.rim > 0.0), Model(Domain(MPI.COMM_WORLD, lab), posed | {"cortex": None}).interface.kn
    assert np.allclose(opened.interface.kn - none, share * (whole.interface.kn - none)) and (whole.interface.kn > none)[at].all()
    opened.cortex.strain[:] = np.where(flat, 0.04, 0.01)[:, None]
    assert opened.cortex.summary()[1] == (0.04 if share else 0.01), "what is not there is not strained"
