"""What differs between dolfinx 0.9, 0.10 and 0.11, in one place. Tests run on 0.9."""

import basix.ufl
import dolfinx
import dolfinx.graph
import numpy as np


def create_mesh(comm, cells, points):
    """Distribute a mesh of affine cells given on rank 0 (other ranks pass the same arrays; they are ignored).

    Args: cells (n, dim+1) int64; points (m, dim) in mm.
    """
    dim = points.shape[1]
    owner = bisection(points[cells].mean(axis=1), comm.size)
    element = basix.ufl.element("Lagrange", "tetrahedron" if dim == 3 else "triangle", 1, shape=(dim,))
    if comm.rank != 0:
        cells, points = cells[:0], points[:0]
        owner = owner[:0]

    def partition(*_):
        return dolfinx.graph.adjacencylist(owner.astype(np.int32), np.arange(len(owner) + 1, dtype=np.int32))

    # keywords: the order of the last two positional arguments changed after 0.9
    return dolfinx.mesh.create_mesh(comm, cells=cells.astype(np.int64), x=points, e=element, partitioner=partition)


def bisection(points, parts):
    """Part (n,) of each point when the cloud (n, dim) is halved again and again across its longest extent.

    The graph partitioners of dolfinx cut a mesh differently in each run; a resumed run has to repeat the first."""
    out = np.zeros(len(points), int)

    def halve(chosen, first, count):
        if count == 1:
            out[chosen] = first
            return
        x = points[chosen]
        order = chosen[np.argsort(x[:, np.ptp(x, axis=0).argmax()], kind="stable")]
        low = count // 2
        at = len(order) * low // count
        halve(order[:at], first, low)
        halve(order[at:], first + low, count - low)

    halve(np.arange(len(points)), 0, parts)
    return out


def wrap_vector(vector):
    """PETSc Vec that shares the memory of a dolfinx.la.Vector."""
    if hasattr(dolfinx.la, "create_petsc_vector_wrap"):
        return dolfinx.la.create_petsc_vector_wrap(vector)
    return vector.petsc_vec
