"""The state of a specimen on disk: whole, to go on exactly where it stopped, or carried over to another mesh.

Arrays are kept in the numbering of the input mesh, whatever the number of ranks. Files are written under another name and
renamed, so that a killed run leaves its last whole state.
"""

import json

import numpy as np
from scipy.spatial import cKDTree

from fem.elements import Quadrature

BONE = (2, 3, 4)  # region numbers of bone, see meshes.labmesh.REGIONS
HISTORY = ("tear", "tearing", "fatigue", "kappa", "initial")


def save(path, model, arrays=None, memory=None):
    """Write `model.state()` and further own arrays ({name: (array, 'cell' | 'point' | 'facet' | 'node')}); collective.

    memory: JSON-ready, the same on all ranks.
    """
    d = model.domain
    parts = {f"state/{k}": v for k, v in _by_input(model).items()}
    parts |= {f"more/{name}": _placed(model, array, kind) for name, (array, kind) in (arrays or {}).items()}
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
    return "point" if key in ("slip", "jump", "pressure", "bond", "closed", "new_slip") else "cell"


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


def carry(model, mesh, problem, state):
    """Give the bone of `model` the history of the bone at the same place in an earlier test; returns what became of it.

    mesh, problem: of the earlier test; state: path of its final state. Each integration point takes the history of the nearest
    one in bone (the same mesh gives back the same state): damage, hardening and, as plastic strain, the elastic strain that
    the unloaded bone still held, so that its residual stress stays. New cement and filled bone start fresh.
    Returns {'damage_volume_before_mm3', 'damage_volume_kept_mm3' (of it, in bone that is still there),
    'damage_volume_after_mm3', 'transfer_error'}.
    """
    comm, d, q = model.comm, model.domain, model.quadrature
    old = Quadrature(mesh["points"][mesh["cells"]])
    with np.load(state, allow_pickle=False) as data:
        history = {k: data[f"state/{k}"] for k in HISTORY}
        stress = data["state/stress"]
    laws = np.linalg.inv(np.array([law["stiffness"] for law in problem["laws"]]))
    compliance = laws[[problem["region_law"][str(r)] for r in mesh["region"]]]
    bone = np.isin(mesh["region"], BONE)
    x_old = (old.points[bone] @ mesh["rotation"].T + mesh["origin"]).reshape(-1, 3)
    x_new = q.points @ d.lab["rotation"].T + d.lab["origin"]
    mine = np.isin(d.region, BONE)
    _, near = cKDTree(x_old).query(x_new[mine].reshape(-1, 3))
    shape = (int(mine.sum()), q.weights.shape[1])

    def taken(field):
        return field[bone].reshape(-1, *field.shape[2:])[near].reshape(*shape, *field.shape[2:])

    damage = model.damage
    for target, name in ((damage.tear, "tear"), (damage.tearing, "tearing"), (damage.fatigue, "fatigue"), (model.kappa, "kappa")):
        target[mine] = taken(history[name])
    damage.initial[mine] = np.maximum(damage.initial[mine], taken(history["initial"]))
    turn = mesh["rotation"].T @ d.lab["rotation"]
    if not np.allclose(turn, np.eye(3), atol=1e-9):
        raise ValueError("the new screw does not lie along the old one; the state of the bone cannot be carried over")
    strain = np.einsum("cij,cqj->cqi", compliance[bone], stress[bone])
    model.eps_p[mine] = -strain.reshape(-1, 6)[near].reshape(*shape, 6)
    model.integrity = damage.integrity()
    model.renew()

    lost = 1.0 - (1.0 - history["tearing"]) * (1.0 - history["fatigue"])
    volume = (old.weights * lost)[bone].ravel()
    everywhere = np.concatenate(comm.allgather(x_new.reshape(-1, 3)))
    is_bone = np.concatenate(comm.allgather(np.repeat(mine, shape[1])))
    _, nearest = cKDTree(everywhere).query(x_old)
    kept = float(volume[is_bone[nearest]].sum())
    after = comm.allreduce(float(np.sum((q.weights * damage.lost())[mine])))
    return {"damage_volume_before_mm3": float(volume.sum()), "damage_volume_kept_mm3": kept, "damage_volume_after_mm3": after,
            "transfer_error": (after - kept) / kept if kept > 0.0 else 0.0}
