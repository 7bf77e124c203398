"""The history of bone carried from one mesh to another: nothing is lost on the same mesh, little on a different one."""

import json

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mpi4py import MPI  # noqa: E402

import meshes  # noqa: E402
from fem import state  # noqa: E402
from fem.domain import Domain  # noqa: E402
from fem.model import Model  # noqa: E402
from fem.output import read_mesh  # noqa: E402
from materials.density import Density, Kind  # noqa: E402
from materials.law import quadric  # noqa: E402
from materials.problem import problem  # noqa: E402
from materials.tensors import isotropic  # noqa: E402
from meshes.labmesh import REGIONS  # noqa: E402
from meshes.specimen import Cement, Cylinder, Halo, Resolution, Screw  # noqa: E402
from test_patch import two_bricks  # noqa: E402

CYCLE = {"kind": "cycle", "direction": [-1, 0, 0]}


def model_of(directory, screw, resolution=Resolution(1.2, 2.0, 8.0, 8), halo=None, cement=None):
    directory.mkdir()
    mesh = meshes.build(Cylinder(30.0, 30.0), screw, halo, cement, resolution, "threaded3d")
    mesh.save(directory / "mesh.npz")
    posed = problem("threaded3d", {n: REGIONS[n] for n in mesh.volumes()}, list(mesh.interfaces), screw.diameter, screw.depth,
                    density=Density(80.0, Kind.QCT_K2HPO4), loading=CYCLE)
    (directory / "problem.json").write_text(json.dumps(posed))
    return Model(Domain(MPI.COMM_WORLD, read_mesh(directory / "mesh.npz")), posed)


@pytest.fixture(scope="module")
def toggled(tmp_path_factory):
    """A screw with an hourglass of damage round it and stress, as cycling would leave; and where that is kept."""
    directory = tmp_path_factory.mktemp("transfer") / "first"
    model = model_of(directory, Screw(6.5, 20.0, 2.75, 4.5))
    x = model.quadrature.points
    bone = np.isin(model.domain.region, state.BONE)[:, None]
    r, z = np.hypot(x[..., 0], x[..., 1]), x[..., 2]
    reach = 1.0 + 2.0 * ((z + 10.0) / 10.0) ** 2
    field = np.where(bone, 0.9 * np.exp(-(((r - 3.25).clip(0) / reach) ** 2)) * (z > -24), 0.0)
    model.damage.fatigue[:], model.damage.tearing[:], model.damage.tear[:] = field, 0.3 * field, 0.05 * field
    model.kappa[:] = 0.1 * field
    model.eps_p[:] = 0.02 * field[..., None] * np.array([-0.5, -0.5, 1.0, 0.0, 0.3, 0.0])
    model.u.array[:] = 1e-3 * np.arange(model.u.array.size) / model.u.array.size
    model.residual()
    assert np.abs(model.stress).max() > 0.1
    state.save(directory / "end.npz", model)
    return model, directory


def carried(toggled, model):
    directory = toggled[1]
    found = json.loads((directory / "problem.json").read_text())
    return state.carry(model, read_mesh(directory / "mesh.npz"), found, directory / "end.npz")


def test_the_same_mesh_gives_back_the_same_state(toggled, tmp_path):
    model = model_of(tmp_path / "again", Screw(6.5, 20.0, 2.75, 4.5))
    report = carried(toggled, model)
    old = toggled[0]
    for name in ("fatigue", "tearing", "initial"):
        assert np.allclose(getattr(model.damage, name), getattr(old.damage, name), rtol=0, atol=1e-14), name
    assert np.allclose(model.kappa, old.kappa, rtol=0, atol=1e-14) and report["transfer_error"] == pytest.approx(0.0, abs=1e-12)
    model.residual()
    assert not np.any(model.stress) and not np.any(model.u.array) and not np.any(model.eps_p), "it starts free of stress where it is"


def test_nothing_breaks_while_no_load_acts(toggled, tmp_path):
    """Where cement has taken the place of some of the bone, the damage of the rest is what it was."""
    halo = Halo(1.5, 6.5, 20.0, "measured", profile=((-20.0, 1.5), (-10.0, 0.4), (0.0, 1.2)))
    model = model_of(tmp_path / "filled", Screw(6.5, 20.0, 2.75, 4.5), halo=halo, cement=Cement(900.0))
    carried(toggled, model)
    assert model.damage.tearing.max() > 0.1
    nothing = np.zeros_like(model.damage.tear)
    assert np.allclose(model.damage.predict(nothing), model.damage.tearing, rtol=0, atol=1e-9)
    more = model.damage.predict(nothing + 1e-3 * (model.damage.tearing > 0.05))
    assert np.all(more >= model.damage.tearing) and more.max() > model.damage.tearing.max() and more.max() < 1.0


@pytest.mark.parametrize("change", ["finer", "thicker screw", "cement"])
def test_damage_is_conserved_on_another_mesh(toggled, tmp_path, change):
    """Within 2 % of what is left of it: a thicker screw cuts some away, cement takes the place of some."""
    screw, more = Screw(6.5, 20.0, 2.75, 4.5), {}
    if change == "finer":
        more = {"resolution": Resolution(0.9, 1.6, 6.0, 10)}
    elif change == "thicker screw":
        screw = Screw(8.5, 20.0, 2.75, 6.5)
    else:
        halo = Halo(1.5, 6.5, 20.0, "measured", profile=((-20.0, 1.5), (-10.0, 0.4), (0.0, 1.2)))
        more = {"halo": halo, "cement": Cement(900.0)}
    report = carried(toggled, model_of(tmp_path / "other", screw, **more))
    assert abs(report["transfer_error"]) < 0.02, report
    if change == "finer":
        assert report["damage_volume_kept_mm3"] == pytest.approx(report["damage_volume_before_mm3"], rel=0.02)
    else:
        assert report["damage_volume_kept_mm3"] < 0.95 * report["damage_volume_before_mm3"]


def test_a_turned_screw_is_refused(toggled, tmp_path):
    model = model_of(tmp_path / "turned", Screw(6.5, 20.0, 2.75, 4.5))
    c, s = np.cos(0.1), np.sin(0.1)
    model.domain.lab["rotation"] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    with pytest.raises(ValueError, match="does not lie along the old one"):
        carried(toggled, model)


def test_a_state_on_disk_comes_back_whole(toggled, tmp_path):
    model = model_of(tmp_path / "back", Screw(6.5, 20.0, 2.75, 4.5))
    found, _, memory = state.load(toggled[1] / "end.npz", model)
    assert memory is None
    model.restore(found)
    for name, array in toggled[0].state().items():
        assert np.array_equal(array, model.state()[name]), name


def bricks(n, **placed):
    """Two bricks with a cortex on the side x = 0 of the upper one; placed: rotation and origin."""
    lab = two_bricks(n, seed=n)
    points, faces = lab["points"], ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2))
    cells = [lab["cells"][k] for k in np.flatnonzero(lab["region"] == 2)]
    facets = [cell[list(face)] for cell in cells for face in faces if np.all(points[cell[list(face)], 0] < 1e-9)]
    lab |= {"facets/cortex": np.array(facets), "cortex_thickness": np.full(len(facets), 0.3), "rotation": np.eye(3), "origin": np.zeros(3)} | placed
    F, f = quadric(0.9, 0.44, 0.28, 0.28)
    bone = {"name": "trabecular", "kind": "plastic", "stiffness": isotropic(100.0, 0.3).tolist(), "strength": 1.0, "F": F.tolist(), "f": f.tolist(),
            "onset": 0.7, "hardening_strain": 0.003, "damage_max": 0.85, "damage_rate": 8.0, "group": "bone"}
    screw = {"name": "screw", "kind": "elastic", "stiffness": isotropic(1e4, 0.3).tolist()}
    posed = {"laws": [screw, bone], "region_law": {"1": 0, "2": 1}, "nonlocal_length": 0.3, "insertion": None, "screw": {"radius": 1.0, "depth": 2.0},
             "cortex": {"modulus": 1000.0, "poisson": 0.3, "strength": 4.0}, "loading": CYCLE,
             "interfaces": {"screw_trabecular": {"friction": 0.3, "adhesion": 0.0, "cohesive": None}}}
    return Model(Domain(MPI.COMM_WORLD, lab), posed), lab, posed


def test_shell_is_torn_where_it_was(tmp_path):
    """On other facets too: what is torn in a facet at its inner edge alone is not all of that facet."""
    model, lab, posed = bricks(3)
    z, c = model.cortex.points[..., 2], model.cortex
    c.torn, c.fatigue, c.strain[:] = (z < 1.2).astype(float), 0.5 * (z > 1.6), 0.1 * z
    state.save(tmp_path / "end.npz", model)
    found, _, _ = state.load(tmp_path / "end.npz", model)
    assert np.array_equal(found["cortex_torn"], c.torn), "and goes on where it stopped"
    same, *_ = bricks(3)
    state.carry(same, lab, posed, tmp_path / "end.npz")
    assert all(np.array_equal(getattr(same.cortex, name), getattr(c, name)) for name in ("torn", "fatigue", "strain"))
    finer, *_ = bricks(7)
    state.carry(finer, lab, posed, tmp_path / "end.npz")
    at, new = finer.cortex.points[..., 2], finer.cortex
    for name, edge in (("torn", 1.2), ("fatigue", 1.6)):
        old, now = (float((getattr(each, name) * each.weight).sum()) for each in (c, new))
        assert now == pytest.approx(old, rel=0.15), name
        far = np.abs(at - edge) > 0.12  # a point of the old facets lies nearer than that
        wanted = {"torn": (at < 1.2).astype(float), "fatigue": 0.5 * (at > 1.6)}[name]
        assert np.array_equal(getattr(new, name)[far], wanted[far]), name
    assert np.allclose(new.strain, 0.1 * at, atol=0.012)
