"""Manufactured solution: measured orders of the quadratic elements, transversely isotropic, 3D and axisymmetric.

A smooth displacement is prescribed on the boundary and the body force that belongs to it is applied inside; the error of
the computed displacement must fall with h^3 in L2 and h^2 in the energy (H1) norm.
"""

import numpy as np
import ufl
from dolfinx import fem as dfem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from fem.domain import Domain
from fem.linear import LinearSolver
from fem.model import Model

STIFFNESS = np.array([
    [120.0, 40.0, 50.0, 0, 0, 0], [40.0, 120.0, 50.0, 0, 0, 0], [50.0, 50.0, 300.0, 0, 0, 0],
    [0, 0, 0, 60.0, 0, 0], [0, 0, 0, 0, 60.0, 0], [0, 0, 0, 0, 0, 40.0]])  # transversely isotropic about z, MPa


def _lab(n, axisymmetric):
    """A unit cube (or the half plane 0.5 < r < 1.5) of dolfinx's own making, as the arrays of a saved mesh."""
    comm = MPI.COMM_SELF
    if axisymmetric:
        mesh = dmesh.create_rectangle(comm, [[0.5, 0.0], [1.5, 1.0]], [n, n])
    else:
        mesh = dmesh.create_unit_cube(comm, n, n, n)
    dim = mesh.topology.dim
    points, cells = mesh.geometry.x[:, :dim].copy(), mesh.geometry.dofmap.astype(np.int64)
    mesh.topology.create_connectivity(dim - 1, dim)
    facets = dmesh.exterior_facet_indices(mesh.topology)
    facets = dmesh.entities_to_geometry(mesh, dim - 1, facets).astype(np.int64)
    return {"points": points, "cells": cells, "region": np.ones(len(cells), int), "facets/held": facets,
            "facets/head_top": facets}


def error(n, axisymmetric=False):
    """(h, L2 error, H1 error) of the elastic solution on n cells per edge, relative to the exact norms."""
    comm = MPI.COMM_WORLD
    domain = Domain(comm, _lab(n, axisymmetric))
    problem = {"laws": [{"name": "elastic", "kind": "elastic", "stiffness": STIFFNESS.tolist()}], "region_law": {"1": 0},
               "nonlocal_length": 1.0, "insertion": None, "cortex": None, "interfaces": {}}
    model = Model(domain, problem)
    x = ufl.SpatialCoordinate(domain.mesh)
    sin, cos = ufl.sin, ufl.cos
    if axisymmetric:
        exact = ufl.as_vector([sin(2 * x[0]) * cos(x[1]), x[0] * cos(2 * x[1]) + x[1] ** 2])
        weight = 2 * np.pi * x[0]
    else:
        exact = ufl.as_vector([sin(2 * x[0]) * cos(x[1]) + x[2] ** 2, cos(x[0] + 2 * x[2]), sin(x[1]) * cos(2 * x[2])])
        weight = 1.0

    def strain(u):
        g = ufl.grad(u)
        if axisymmetric:
            return [g[0, 0], u[0] / x[0], g[1, 1], 0, g[0, 1] + g[1, 0], 0]
        return [g[0, 0], g[1, 1], g[2, 2], g[1, 2] + g[2, 1], g[0, 2] + g[2, 0], g[0, 1] + g[1, 0]]

    e = strain(exact)
    s = [sum(float(STIFFNESS[i, j]) * e[j] for j in range(6) if STIFFNESS[i, j] != 0.0) for i in range(6)]
    if axisymmetric:
        force = -ufl.as_vector([s[0].dx(0) + s[4].dx(1) + (s[0] - s[1]) / x[0], s[4].dx(0) + s[2].dx(1) + s[4] / x[0]])
    else:
        sigma = ufl.as_matrix([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
        force = -ufl.div(sigma)
    v = ufl.TestFunction(domain.space)
    measure = ufl.dx(metadata={"quadrature_degree": 8})
    load = dfem.assemble_vector(dfem.form(ufl.inner(force, v) * weight * measure))
    from dolfinx.la import InsertMode

    load.scatter_reverse(InsertMode.add)

    interpolated = dfem.Function(domain.space)
    points = domain.space.element.interpolation_points
    interpolated.interpolate(dfem.Expression(exact, points() if callable(points) else points))
    nodes = model.u.array.reshape(-1, domain.dim)
    nodes[:] = 0.0
    nodes[model.prescribed] = interpolated.x.array.reshape(-1, domain.dim)[model.prescribed]
    solver = LinearSolver(model, rtol=1e-12)
    R = model.residual()
    owned = domain.index_map.size_local * domain.dim
    free = ~model.prescribed.ravel()[:owned]
    R.array[free] -= load.array[:owned][free]
    R.scale(-1.0)
    dx = model.uv.duplicate()
    if solver.solve(R, dx) < 0:
        raise RuntimeError("the linear solver failed")
    model.uv.axpy(1.0, dx)
    model.u.scatter_forward()

    computed = dfem.Function(domain.space)
    computed.x.array[:] = model.u.array
    d = computed - exact

    def norm(expression):
        return np.sqrt(comm.allreduce(dfem.assemble_scalar(dfem.form(expression * weight * measure)).real))

    l2 = norm(ufl.inner(d, d)) / norm(ufl.inner(exact, exact))
    h1 = norm(ufl.inner(ufl.grad(d), ufl.grad(d))) / norm(ufl.inner(ufl.grad(exact), ufl.grad(exact)))
    return 1.0 / n, l2, h1


def table(sizes, axisymmetric=False):
    """Rows (h, L2 error, H1 error, L2 order, H1 order); the orders of the first row are nan."""
    rows = []
    for n in sizes:
        h, l2, h1 = error(n, axisymmetric)
        if rows:
            ratio = np.log(rows[-1][0] / h)
            orders = np.log(rows[-1][1] / l2) / ratio, np.log(rows[-1][2] / h1) / ratio
        else:
            orders = np.nan, np.nan
        rows.append((h, l2, h1, *orders))
    return rows


if __name__ == "__main__":
    assert PETSc is not None
    for axisymmetric, sizes in ((False, (2, 4, 8)), (True, (4, 8, 16, 32))):
        print("axisymmetric" if axisymmetric else "3D")
        for row in table(sizes, axisymmetric):
            print("  h = {:.4f}   L2 {:.3e}   H1 {:.3e}   orders {:.2f}  {:.2f}".format(*row))
