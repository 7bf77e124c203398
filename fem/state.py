"""The state of a specimen on disk: whole, to go on exactly where it stopped, or carried over to another mesh.

Arrays are kept in the numbering of the input mesh, whatever the number of ranks. Files are written under another name and
renamed, so that a killed run leaves its last whole state.
"""

import json

from mpi4py import MPI
import numpy as np
from scipy.spatial import cKDTree

from fem.elements import Quadrature
from fem.regions import BONE

CANDIDATES = ((1, 8), (9, 60), (61, 600))  # nearest cells that are tried, first few, then more: the last where large cells meet small ones
SAMPLES = 40  # points of a cell at which damage is looked up to measure what a transfer has kept; 20 and 100 differed by 0.5 %
HISTORY = ("tearing", "fatigue", "kappa", "initial")


def save(path, model, arrays=None, memory=None):
    """Write `model.state()` and further own arrays ({name: (array, 'cell' | 'point' | 'facet' | 'node')}); collective.

    memory: JSON-ready, the same on all ranks.
    """
    d = model.domain
    parts = {f"state/{k}": v for k, v in _by_input(model).items()}
    parts |= {f"more/{name}": _placed(model, array, kind) for name, (array, kind) in (arrays or {}).items()}
    if model.cortex:
        parts["at/cortex"] = _placed(model, model.cortex.points, "facet")
    gathered = d.comm.gather(parts)
    if d.comm.rank != 0:
        return
    whole = {}
    for name, (total, _, own) in parts.items():
        whole[name] = np.zeros((total, *own.shape[1:]), dtype=own.dtype)
        for part in gathered:
            _, rows, values = part[name]
            whole[name][rows] = values
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, memory=np.array(json.dumps(memory)), **whole)
    temporary.rename(path)


def load(path, model):
    """(state for `model.restore`, {name: own array}, memory) of a file that `save` wrote on the same mesh."""
    with np.load(path, allow_pickle=False) as data:
        whole = {k: data[k] for k in data.files}
    memory = json.loads(str(whole.pop("memory")))
    rows = _rows(model)
    state, more = {}, {}
    for name, array in whole.items():
        group, key = name.split("/", 1)
        if group == "at":  # for another mesh
            continue
        kind = _kind(key) if group == "state" else memory["kinds"][key]
        own = array[rows[kind][1]]
        if kind == "node":
            own = _to_nodes(model, own)
        (state if group == "state" else more)[key] = own
    return state, more, memory


def _kind(key):
    if key.startswith("cortex_"):
        return "facet"
    if key == "u":
        return "node"
    return "point" if key in ("slip", "jump", "pressure", "bond", "closed", "new_slip", "swung") else "cell"


def _rows(model):
    """{kind: (number in the input mesh, own rows)}."""
    d, i, c = model.domain, model.interface.points, model.cortex
    cells = len(d.lab["cells"])
    return {"cell": (cells, d.original), "node": (cells, d.original), "point": (i.total, i.number),
            "facet": (len(d.lab.get("facets/cortex", ())), c.row if c else np.empty(0, int))}


def _placed(model, array, kind):
    total, rows = _rows(model)[kind]
    if kind == "node":
        array = array.reshape(-1, model.dim)[model.domain.cells]
    return total, rows, array


def _by_input(model):
    return {k: _placed(model, v, _kind(k)) for k, v in model.state().items()}


def _to_nodes(model, by_cell):
    """Local nodal vector, ghosts included, from values (cells, nodes of a cell, dim) of own cells."""
    d = model.domain
    vector = d.vector()
    vector.array[:] = 0.0
    vector.array.reshape(-1, d.dim)[d.cells] = by_cell
    vector.scatter_forward()
    return vector.array.copy()


def locate(x, mesh, cells):
    """For points x (n, 3): the cell among `cells` of a mesh that holds each, or comes nearest to it, and its barycentric
    coordinates there, (n,) and (n, 4); negative ones are how far outside it lies."""
    corners = mesh["points"][mesh["cells"][cells]]
    inverse = np.linalg.inv(np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2))
    tree = cKDTree(corners.mean(axis=1))
    best, where, inside = np.full(len(x), -np.inf), np.zeros(len(x), int), np.zeros((len(x), 4))
    todo = np.arange(len(x))
    for first, last in CANDIDATES:  # a few neighbours find nearly all
        if not len(todo):
            break
        _, near = tree.query(x[todo], k=np.arange(first, min(last, len(cells)) + 1))
        for column in near.T:
            local = np.einsum("nij,nj->ni", inverse[column], x[todo] - corners[column, 0])
            coordinates = np.concatenate([1.0 - local.sum(axis=1, keepdims=True), local], axis=1)
            least = coordinates.min(axis=1)
            better = least > best[todo]
            best[todo[better]], where[todo[better]] = least[better], column[better]
            inside[todo[better]] = coordinates[better]
        todo = todo[best[todo] < -1e-9]
    return cells[where], inside


def carry(model, mesh, problem, state):
    """Give the bone of `model` the history of the bone at the same place in an earlier test; returns what became of it.

    mesh, problem: of the earlier test; state: path of its final state. Each integration point takes the history of the bone
    cell that held its place, linear between that cell's integration points and within their range (the same mesh gives back
    the same state): damage and hardening. It starts free of stress, since nothing presses on it while a screw is changed or
    cement sets. New cement and filled bone start fresh.
    Returns {'damage_volume_before_mm3', 'damage_volume_kept_mm3' (of it, in bone that is still there),
    'damage_volume_after_mm3' (in bone that was bone before), 'transfer_error', 'groove_volume_mm3' (of the old thread, that the
    new one does not fill)}. Raises ValueError if the new screw does not lie along the old one.
    """
    comm, d, q = model.comm, model.domain, model.quadrature
    new = d.lab
    if not np.allclose(mesh["rotation"], new["rotation"], atol=1e-9):
        raise ValueError("the new screw does not lie along the old one; the state of the bone cannot be carried over")
    shift = mesh["rotation"].T @ (mesh["origin"] - new["origin"])  # from the old frame to the new one
    old = Quadrature(mesh["points"][mesh["cells"]])
    bone = np.flatnonzero(np.isin(mesh["region"], BONE))
    mine = np.isin(d.region, BONE)
    x = q.points[mine].reshape(-1, 3) - shift
    cell, inside = locate(x, mesh, bone)
    was_bone = (inside.min(axis=1) > -1e-6).reshape(int(mine.sum()), -1)
    # the new thread leaves bone where the old one had metal: a groove, in which there is only debris
    groove = ~was_bone & (np.hypot(x[:, 0], x[:, 1]) < problem["screw"]["radius"]).reshape(was_bone.shape)
    inside = inside.clip(0.0)
    weight = inside / inside.sum(axis=1, keepdims=True) @ np.linalg.inv(old.barycentric)
    shape = (int(mine.sum()), q.weights.shape[1])

    def taken(field):
        values = field[cell]
        found = np.einsum("nq,nq...->n...", weight, values)
        return np.clip(found, values.min(axis=1), values.max(axis=1)).reshape(*shape, *field.shape[2:])

    with np.load(state, allow_pickle=False) as data:
        history = {k: data[f"state/{k}"] for k in HISTORY}
        torn = [data[f"state/cortex_{k}"].ravel() for k in ("strain", "torn", "fatigue")] if model.cortex else None
        at = data["at/cortex"].reshape(-1, 3) if model.cortex else None
    damage = model.damage
    worst = 1.0 - comm.allreduce(float(damage.debris[mine].min()) if mine.any() else 1.0, op=MPI.MIN)  # of debris
    tearing = np.zeros_like(damage.tearing)
    for target, name in ((tearing, "tearing"), (damage.fatigue, "fatigue"), (model.kappa, "kappa")):
        target[mine] = taken(history[name])
    damage.inherit(tearing)
    damage.fatigue[mine] = np.where(groove, worst, damage.fatigue[mine])
    damage.initial[mine] = np.maximum(damage.initial[mine], taken(history["initial"]))
    if model.cortex:  # each point of the shell is as torn as the nearest one was: a facet at the rim is torn at its inner edge, which a thicker screw cuts away
        _, near = cKDTree(at + shift).query(model.cortex.points)
        model.cortex.strain[:], model.cortex.torn, model.cortex.fatigue = (values[near] for values in torn)
        model.cortex.renew()
    model.integrity = damage.integrity()
    model.renew()

    before, there = kept(mesh, new, shift, old, history, worst)
    after = comm.allreduce(float(np.sum((q.weights * damage.lost())[mine] * was_bone)))
    return {"damage_volume_before_mm3": before, "damage_volume_kept_mm3": there, "damage_volume_after_mm3": after,
            "transfer_error": (after - there) / there if there > 0.0 else 0.0,
            "groove_volume_mm3": comm.allreduce(float(np.sum(q.weights[mine] * groove)))}


def kept(mesh, new, shift, old, history, worst):
    """Volume of the damage (mm^3) in the bone of an earlier `mesh`, and in what of that bone is still there in the mesh `new`.

    shift: mm, from the old frame to the new one; old: `Quadrature` of the earlier mesh; history: arrays HISTORY of its state;
    worst: damage of debris.
    """
    def lost(tearing, fatigue):
        return np.minimum(1.0 - (1.0 - tearing) * (1.0 - fatigue), worst)

    bone = np.flatnonzero(np.isin(mesh["region"], BONE))
    volume = (old.weights * lost(history["tearing"], history["fatigue"]))[bone].sum(axis=1)
    damaged = bone[volume > 0.0]
    # where the new bone's border cuts a cell, its four integration points do not say how much is on either side
    fine = np.random.default_rng(0).exponential(size=(len(damaged), SAMPLES, 4))
    fine /= fine.sum(axis=2, keepdims=True)
    x = np.einsum("ckv,cvd->ckd", fine, mesh["points"][mesh["cells"][damaged]]).reshape(-1, 3)
    holder, inside = locate(x + shift, new, np.arange(len(new["cells"])))
    still = (np.isin(new["region"][holder], BONE) & (inside.min(axis=1) > -1e-6)).reshape(-1, SAMPLES)
    weight = fine @ np.linalg.inv(old.barycentric)
    fields = (history[name][damaged] for name in ("tearing", "fatigue"))
    there = lost(*(np.clip(np.einsum("ckq,cq->ck", weight, f), f.min(axis=1)[:, None], f.max(axis=1)[:, None]) for f in fields))
    cut = old.weights[damaged].sum(axis=1) * (there * still).mean(axis=1)
    return float(volume.sum()), float(np.sum(np.where(still.all(axis=1), volume[volume > 0.0], cut)))
