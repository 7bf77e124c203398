"""What differs between dolfinx 0.9, 0.10 and 0.11, in one place. Tests run on 0.9."""

import basix.ufl
import dolfinx
import numpy as np


def create_mesh(comm, cells, points):
    """Distribute a mesh of affine cells given on rank 0 (other ranks pass the same arrays; they are ignored).

    Args: cells (n, dim+1) int64; points (m, dim) in mm.
    """
    dim = points.shape[1]
    element = basix.ufl.element("Lagrange", "tetrahedron" if dim == 3 else "triangle", 1, shape=(dim,))
    if comm.rank != 0:
        cells, points = cells[:0], points[:0]
    # keywords: the order of the last two positional arguments changed after 0.9
    return dolfinx.mesh.create_mesh(comm, cells=cells.astype(np.int64), x=points, e=element)


def wrap_vector(vector):
    """PETSc Vec that shares the memory of a dolfinx.la.Vector."""
    if hasattr(dolfinx.la, "create_petsc_vector_wrap"):
        return dolfinx.la.create_petsc_vector_wrap(vector)
    return vector.petsc_vec
