"""What a run leaves behind: curve, history, fields. Fields are gathered on rank 0 in the numbering of the input mesh."""

import csv
import json
import time
from contextlib import contextmanager
from pathlib import Path

import meshio
import numpy as np
from mpi4py import MPI

from fem import state
from fem.interface import motion
from fem.regions import CEMENT, SCREW


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
    """Write the curve as CSV, whole: called after every step so that a run keeps it, whatever ends it."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", newline="") as f:
        writer = csv.DictWriter(f, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({k: (f"{v:.9g}" if isinstance(v, float) else v) for k, v in r.items()} for r in rows)
    temporary.rename(path)


def append_json(path, record):
    with open(path, "a") as f:
        f.write(json.dumps(record) + "\n")


class Watch:
    """Hears of each converged step: keeps tables and history on disk, tells the caller, remembers the last peak."""

    EVERY = 5  # rows between two checkpoints
    CHECKPOINT = "checkpoint.npz"

    def __init__(self, model, solver, directory, log, started):
        self.model, self.solver, self.directory, self.log, self.started = model, solver, directory, log, started
        self._pending, self.at_peak = None, {}
        self.jump = model.interface.jump.copy()  # an earlier test of the same specimen has left slip and openings

    def preparing(self, what, progress, force, displacement):
        """Progress of something before the first step."""
        if self.model.comm.rank == 0:
            self._tell(stage=what, step=0, force_N=force, displacement_mm=displacement, progress=progress)

    def step(self, step, row, info):
        """A converged step: `row` of the step's main table, `info` for the history only."""
        if self.model.comm.rank != 0:
            return
        self.write_tables(step)
        seconds = time.perf_counter() - self.started
        append_json(self.directory / "history.jsonl", {**row, **info, "seconds": round(seconds, 2)})
        self._tell(**step.progress(row), progress=info["progress"])
        self.log.info("step %s: %s", step.progress(row)["step"], ", ".join(
            f"{k} {v:.5g}" if isinstance(v, float) else f"{k} {v}" for k, v in (row | info).items()))

    def _tell(self, **record):
        print(json.dumps(record | {"seconds": time.perf_counter() - self.started}), flush=True)

    def write_tables(self, step):
        """Tables and documents of the step as they are now."""
        if self.model.comm.rank != 0:
            return
        for name, rows in step.tables().items():
            if rows:
                write_curve(self.directory / name, rows)
        for name, document in step.documents().items():
            (self.directory / name).write_text(json.dumps(document))

    def peak(self):
        """The present state is the greatest so far: keep its fields, micromotion and shares of strength."""
        m, comm = self.model, self.model.comm
        self._pending = Snapshot(m)
        cells = self._pending.cells

        def largest(field):
            return comm.allreduce(float(field.max()) if field.size else 0.0, op=MPI.MAX)

        out = motion(m.interface, m.interface.jump - self.jump, comm)
        use, mises = (largest(value) for value in metal_at_vertices(m))
        out["metal_utilisation"] = use
        if limit := m.laws.fatigue_limit:
            out["metal_fatigue_margin"] = limit / max(mises, 1e-9)
        cement = np.isin(m.domain.region, CEMENT)
        if comm.allreduce(int(cement.sum())):
            out["cement_utilisation"] = largest(cells["strength_utilisation"][cement])
        if m.cortex:
            out["cortex_utilisation"], out["cortex_plastic_strain"] = (
                comm.allreduce(v, op=MPI.MAX) for v in m.cortex.summary())
        self.at_peak = out

    def write_peak(self):
        """Write the last peak's fields unless they are on disk; collective."""
        if self._pending:
            self._pending.write(self.directory / "peak.vtu", self.model.domain)
            self._pending = None

    def checkpoint(self, step, row):
        """Keep everything from which `resume` goes on, now and then. The run itself goes on as a resumed one would."""
        if row % self.EVERY:
            return
        self.write_peak()
        numbers, arrays = step.march.memory()
        own, more = step.memory()
        memory = {"march": numbers, "step": own, "grip": self.model.grip.memory(), "at_peak": self.at_peak,
                  "kinds": {k: kind for k, (_, kind) in (arrays | more).items()}}
        state.save(self.directory / self.CHECKPOINT, self.model, arrays | more, memory)
        self.solver.forget()

    def resume(self, step):
        """Bring back the last checkpoint, if there is one; True if there was."""
        path, history = self.directory / self.CHECKPOINT, self.directory / "history.jsonl"
        if not path.exists():
            if self.model.comm.rank == 0:
                history.unlink(missing_ok=True)
            return False
        kept, arrays, memory = state.load(path, self.model)
        self.model.restore(kept)
        self.model.grip.recall(memory["grip"])
        step.march.recall(memory["march"], {k: v for k, v in arrays.items() if k in step.march.ARRAYS})
        step.recall(memory["step"], arrays)
        self.at_peak = memory["at_peak"]
        self.solver.forget()
        if self.model.comm.rank == 0:
            done = {step.progress(row)["step"] for row in step.rows()}
            lines = history.read_text().splitlines() if history.exists() else []
            kept = [line for line in lines if _number(line, step.number) in done]
            history.write_text("".join(line + "\n" for line in kept))
        return True


def _number(line, column):
    """The number of the row that a line of the history is of; None if a kill has cut it short."""
    try:
        return json.loads(line)[column]
    except ValueError:
        return None


def metal_at_vertices(model):
    """Share of strength and von Mises stress (MPa) of the screw, (cells, vertices) each: linear from the integration points.

    Bending is greatest at the surface, and a core is one or two cells thick: means of cells are a fifth below it."""
    metal = np.flatnonzero(model.domain.region == SCREW)
    if not len(metal):
        return np.zeros((0, 1)), np.zeros((0, 1))
    law = model.law[metal[0]]
    stress = np.linalg.inv(model.quadrature.barycentric) @ model.stress[metal]
    use, _ = model.laws.utilisation(law, stress)
    return use, use * model.laws.strength[law]


class Snapshot:
    """Fields of a model at one moment, cheap to take, gathered only when written."""

    def __init__(self, model):
        d, q = model.domain, model.quadrature
        w = q.weights / q.weights.sum(axis=1, keepdims=True)
        carried = model.stress * model.integrity[..., None]
        deviator = carried.copy()
        deviator[..., :3] -= carried[..., :3].mean(axis=-1, keepdims=True)
        mises = np.sqrt(1.5 * ((deviator[..., :3] ** 2).sum(-1) + 2 * (deviator[..., 3:] ** 2).sum(-1)))
        plastic = np.sqrt((model.eps_p**2 * (1, 1, 1, 0.5, 0.5, 0.5)).sum(-1))  # norm of the tensor; its shear is stored twice
        use = np.zeros_like(w)
        for law in np.flatnonzero(model.laws.rated):
            cells = model.law == law
            use[cells], _ = model.laws.utilisation(law, model.stress[cells])
        self.cells = {
            "damage": (w * model.damage.lost()).sum(1), "fatigue_damage": (w * model.damage.fatigue).sum(1),
            "insertion_damage": (w * model.damage.initial).sum(1),
            "plastic_strain": (w * plastic).sum(1), "von_mises": (w * mises).sum(1),
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
