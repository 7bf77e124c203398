"""What a run leaves behind: curve, history, fields. Fields are gathered on rank 0 in the numbering of the input mesh."""

import csv
import json
import time
from contextlib import contextmanager
from pathlib import Path

import meshio
import numpy as np


class Clock:
    """Seconds by phase of the solution, for the performance tables."""

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def __call__(self, phase):
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start


def read_mesh(path):
    """Arrays of a saved LabMesh as a plain mapping."""
    with np.load(path, allow_pickle=False) as data:
        return {k: data[k] for k in data.files}


def write_curve(path, rows):
    """Write the curve as CSV; called after every step so that an interrupted run keeps it."""
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({k: (f"{v:.9g}" if isinstance(v, float) else v) for k, v in r.items()} for r in rows)


def append_json(path, record):
    with open(path, "a") as f:
        f.write(json.dumps(record) + "\n")


class Snapshot:
    """Fields of a model at one moment, cheap to take, gathered only when written."""

    def __init__(self, model):
        d, q = model.domain, model.quadrature
        w = q.weights / q.weights.sum(axis=1, keepdims=True)
        carried = model.stress * model.integrity[..., None]
        deviator = carried.copy()
        deviator[..., :3] -= carried[..., :3].mean(axis=-1, keepdims=True)
        mises = np.sqrt(1.5 * ((deviator[..., :3] ** 2).sum(-1) + 2 * (deviator[..., 3:] ** 2).sum(-1)))
        laws = model.laws
        s = model.stress / laws.strength[model.law][:, None, None]
        use = np.sqrt(np.einsum("cqi,cij,cqj->cq", s, laws.F[model.law], s)) + np.einsum("ci,cqi->cq", laws.f[model.law], s)
        use[~laws.rated[model.law]] = 0.0
        self.cells = {
            "damage": (w * model.damage.tearing).sum(1), "insertion_damage": (w * model.damage.initial).sum(1),
            "plastic_strain": (w * model.kappa).sum(1), "von_mises": (w * mises).sum(1),
            "strength_utilisation": (w * use).sum(1),
        }
        self.displacement = model.u.array.reshape(-1, model.dim)[d.cells[:, : d.dim + 1]].copy()

    def write(self, path, domain):
        """Gather and write a vtu with linear cells; collective. mm, MPa."""
        sent = domain.comm.gather((domain.original, domain.input_vertices, self.displacement, self.cells))
        if domain.comm.rank != 0:
            return
        lab = domain.lab
        points = lab["points"]
        displacement = np.zeros((len(points), 3))
        data = {k: np.zeros(len(lab["cells"])) for k in self.cells}
        for original, vertices, u, cells in sent:
            displacement[vertices.ravel(), : 2 if domain.dim == 2 else 3] = u.reshape(-1, domain.dim)
            for k, v in cells.items():
                data[k][original] = v
        if domain.dim == 2:  # columns r, z are drawn in the x-z plane
            points = np.stack([points[:, 0], np.zeros(len(points)), points[:, 1]], axis=1)
            displacement = displacement[:, [0, 2, 1]]
        kind = "tetra" if domain.dim == 3 else "triangle"
        meshio.Mesh(points, [(kind, lab["cells"])], point_data={"displacement": displacement},
                    cell_data={"region": [lab["region"].astype(np.int32)], **{k: [v] for k, v in data.items()}}).write(path)


def write_fields(path, model):
    """Displacement on the quadratic mesh for ParaView (.bp); collective. Nothing where dolfinx lacks ADIOS2."""
    from dolfinx import fem, io

    if not hasattr(io, "VTXWriter"):
        return
    u = fem.Function(model.domain.space, name="displacement_mm")
    u.x.array[:] = model.u.array
    with io.VTXWriter(model.comm, Path(path), [u], engine="BP4") as writer:
        writer.write(0.0)
