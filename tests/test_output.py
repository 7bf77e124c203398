"""What is measured of a specimen: the halo, the stress at the surface of the screw, micromotion."""

import json
import logging
import time

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mpi4py import MPI  # noqa: E402

from fem.domain import Domain  # noqa: E402
from fem.halo import Halo  # noqa: E402
from fem.model import Model  # noqa: E402
from fem.output import Snapshot, Watch, metal_at_vertices, read_mesh  # noqa: E402
from fem.regions import SCREW  # noqa: E402
from test_cycle import prepare  # noqa: E402


@pytest.mark.parametrize(("shape", "low", "high"), [
    (lambda s: 2.5 + 0 * s, 0.7, 1.4), (lambda s: 0.8 + 2.5 * abs(2 * s - 1), 1.7, 4.0), (lambda s: 3.5 - 3.0 * s, 0.0, 0.8)],
    ids=["cylinder", "hourglass", "funnel"])
def test_the_halo_is_measured_as_it_was_made(tmp_path, shape, low, high):
    """Bone broken up to shape(s) beyond the crest, s from 0 at the entry to 1 at the tip: thickness along the shaft, volume, index."""
    directory = prepare(tmp_path / "halo")
    posed = json.loads((directory / "problem.json").read_text())
    model = Model(Domain(MPI.COMM_WORLD, read_mesh(directory / "mesh.npz")), posed)
    halo = Halo(model, posed)
    x, depth = model.quadrature.points, posed["screw"]["depth"]
    beyond = np.hypot(x[..., 0], x[..., 1]) - halo.radius
    model.damage.fatigue = np.where(halo.inside & (beyond < shape(-x[..., 2] / depth)), 0.9, 0.0)
    found = halo.measure()
    wanted = shape(-halo.z / depth)
    assert found["thickness_mm"] == pytest.approx(wanted, abs=0.45)  # cells there are 1.6 mm large
    area = np.pi * ((halo.radius + wanted) ** 2 - halo.radius**2)
    assert found["volume_mm3"] == pytest.approx((area * np.diff(halo.edges)).sum(), rel=0.1)
    assert low < found["hourglass_index"] < high


def test_the_screw_is_judged_at_its_surface(tmp_path):
    """A bent screw: the stress of a beam, E u''(x) r, at its surface, where means of cells are lower."""
    directory = prepare(tmp_path / "bent")
    model = Model(Domain(MPI.COMM_WORLD, read_mesh(directory / "mesh.npz")), json.loads((directory / "problem.json").read_text()))
    x, (poisson, modulus, curvature) = model.domain.node_x, (0.3, 110e3, 1e-4)
    law = model.law[np.flatnonzero(model.domain.region == SCREW)[0]]
    compliance = np.linalg.inv(model.laws.C[law])
    assert modulus == pytest.approx(1 / compliance[2, 2], rel=0.05) and poisson == pytest.approx(-compliance[0, 2] / compliance[2, 2], rel=0.15)
    modulus, poisson = 1 / compliance[2, 2], -compliance[0, 2] / compliance[2, 2]
    x, y, z = x.T
    bent = curvature * np.stack([-0.5 * (z**2 + poisson * (x**2 - y**2)), -poisson * x * y, x * z], axis=1)  # pure bending
    model.u.array[:] = bent.ravel()
    model.residual()
    use, mises = metal_at_vertices(model)
    metal = model.domain.region == SCREW
    surface = np.abs(model.domain.x[metal][..., 0]).max()
    assert mises.max() == pytest.approx(modulus * curvature * surface, rel=1e-6) and np.allclose(use * model.laws.strength[law], mises)
    shaft = model.domain.x[metal][..., 2].max(axis=1) <= 0.0
    assert Snapshot(model).cells["von_mises"][metal][shaft].max() < 0.95 * mises[shaft].max()


def test_micromotion_counts_from_the_beginning_of_a_test(tmp_path):
    """What an earlier test of the specimen has left of slip and opening is none of this one's."""
    directory = prepare(tmp_path / "again")
    model = Model(Domain(MPI.COMM_WORLD, read_mesh(directory / "mesh.npz")), json.loads((directory / "problem.json").read_text()))
    model.residual()
    model.interface.jump[:] = 0.8
    watch, found = Watch(model, None, directory, logging.getLogger("test"), time.perf_counter()), []
    for moved in (0.0, 0.03):
        model.interface.jump[:] = 0.8 + moved * np.array([1.0, 0.0, 0.0])
        watch.peak()
        found.append(watch.at_peak)
    assert found[0]["micromotion_um"] == found[0]["largest_slip_um"] == found[0]["open_share"] == 0.0
    assert 0.0 < found[1]["micromotion_um"] < found[1]["largest_slip_um"] <= 30.0 + 1e-9
