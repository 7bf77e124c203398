"""Manufactured solutions: measured orders of the quadratic elements, elastic and far beyond yield, 3D and axisymmetric.

A smooth displacement is prescribed on the boundary and the load that belongs to it is applied inside; the error of the
computed displacement must fall with h^3 in L2 and h^2 in the energy (H1) norm. The load is that of the exact stress,
the integral of sigma(eps(u)) : eps(v), by quadrature of degree 8. Beyond yield sigma is the stress after one increment from the
unloaded state: a smooth function of the strain wherever all points yield, which is checked.

Writes manufactured.csv and manufactured.md beside this file.
"""

from pathlib import Path

import numpy as np
import ufl
from basix.ufl import quadrature_element
from dolfinx import fem as dfem
from dolfinx import mesh as dmesh
from dolfinx.la import InsertMode
from mpi4py import MPI
from numba import njit

from fem.domain import Domain
from fem.linear import LinearSolver
from fem.model import Laws, Model
from fem.plasticity import return_map
from materials import bone
from materials.density import Density
from scenarios import tables

DEGREE = 8
ELASTIC = {"name": "elastic", "kind": "elastic", "stiffness": [
    [120.0, 40.0, 50.0, 0, 0, 0], [40.0, 120.0, 50.0, 0, 0, 0], [50.0, 50.0, 300.0, 0, 0, 0],
    [0, 0, 0, 60.0, 0, 0], [0, 0, 0, 0, 60.0, 0], [0, 0, 0, 0, 0, 40.0]]}  # transversely isotropic about z, MPa
CASES = (("3D", False, False, (2, 4, 8)), ("axisymmetric", True, False, (4, 8, 16, 32)),
         ("3D, plastic", False, True, (2, 4, 8)), ("axisymmetric, plastic", True, True, (4, 8, 16, 32)))


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


def _displacement(x, axisymmetric, plastic):
    """The exact displacement; beyond yield a large uniform strain with a smooth part on top, so that no point stays elastic."""
    sin, cos = ufl.sin, ufl.cos
    if axisymmetric:
        smooth = ufl.as_vector([sin(2 * x[0]) * cos(x[1]), x[0] * cos(2 * x[1]) + x[1] ** 2])
        uniform = ufl.as_vector([0.8 * x[0], -1.5 * x[1]])
    else:
        smooth = ufl.as_vector([sin(2 * x[0]) * cos(x[1]) + x[2] ** 2, cos(x[0] + 2 * x[2]), sin(x[1]) * cos(2 * x[2])])
        uniform = ufl.as_vector([x[0] + x[2], 0.5 * x[1], -1.5 * x[2]])
    return 0.01 * (uniform + 0.2 * smooth) if plastic else smooth


def _strain(u, x, axisymmetric):
    """Voigt strain of a UFL displacement."""
    g = ufl.grad(u)
    if axisymmetric:
        return ufl.as_vector([g[0, 0], u[0] / x[0], g[1, 1], 0, g[0, 1] + g[1, 0], 0])
    return ufl.as_vector([g[0, 0], g[1, 1], g[2, 2], g[1, 2] + g[2, 1], g[0, 2] + g[2, 0], g[0, 1] + g[1, 0]])


@njit
def _returned(trial, C, compliance, strength, F, f, onset, k0):
    """Stresses (n, 6) over strength after one increment to the trial stresses; returns the number of points that yielded."""
    tangent, yielded = np.empty((6, 6)), 0
    for k in range(len(trial)):
        yielded += return_map(trial[k], 0.0, C, compliance, strength, F, f, onset, k0, tangent)[1]
    return yielded


def _stress(strain, law):
    """Stress (n, 6) in MPa of strains (n, 6) by `fem.model.Laws` with one law. RuntimeError if a plastic law stays elastic anywhere."""
    C, compliance, strength, F, f, onset, k0, _ = (table[0] for table in law.tables())
    stress = strain @ C / strength
    if law.plastic[0] and _returned(stress, C, compliance, strength, F, f, onset, k0) != len(stress):
        raise RuntimeError("not all points of the manufactured solution yield")
    return stress * strength


def error(n, axisymmetric=False, plastic=False):
    """(h, L2 error, H1 error) of the computed displacement on n cells per edge, relative to the exact norms."""
    comm = MPI.COMM_WORLD
    domain = Domain(comm, _lab(n, axisymmetric))
    law = bone.trabecular(Density(80, "qct_k2hpo4"), []).plain() if plastic else ELASTIC
    problem = {"laws": [law], "region_law": {"1": 0}, "nonlocal_length": 1.0, "insertion": None, "cortex": None, "interfaces": {}}
    model = Model(domain, problem)
    x = ufl.SpatialCoordinate(domain.mesh)
    exact = _displacement(x, axisymmetric, plastic)
    weight = 2 * np.pi * x[0] if axisymmetric else 1.0
    measure = ufl.dx(metadata={"quadrature_degree": DEGREE})

    at = quadrature_element(domain.mesh.basix_cell(), value_shape=(6,), degree=DEGREE)
    stress = dfem.Function(dfem.functionspace(domain.mesh, at))
    stress.interpolate(_expression(_strain(exact, x, axisymmetric), stress.function_space))
    stress.x.array[:] = _stress(stress.x.array.reshape(-1, 6), Laws([law])).ravel()
    v = ufl.TestFunction(domain.space)
    load = dfem.assemble_vector(dfem.form(ufl.inner(stress, _strain(v, x, axisymmetric)) * weight * measure))
    load.scatter_reverse(InsertMode.add)

    prescribed = dfem.Function(domain.space)
    prescribed.interpolate(_expression(exact, domain.space))
    nodes = model.u.array.reshape(-1, domain.dim)
    nodes[:] = prescribed.x.array.reshape(-1, domain.dim)
    _equilibrium(model, load.array)

    computed = dfem.Function(domain.space)
    computed.x.array[:] = model.u.array
    d = computed - exact

    def norm(expression):
        return np.sqrt(comm.allreduce(dfem.assemble_scalar(dfem.form(expression * weight * measure)).real))

    l2 = norm(ufl.inner(d, d)) / norm(ufl.inner(exact, exact))
    h1 = norm(ufl.inner(ufl.grad(d), ufl.grad(d))) / norm(ufl.inner(ufl.grad(exact), ufl.grad(exact)))
    return 1.0 / n, l2, h1


def _expression(form, space):
    points = space.element.interpolation_points
    return dfem.Expression(form, points() if callable(points) else points)


def _equilibrium(model, load):
    """Newton's method under a load vector, to the last digits."""
    solver = LinearSolver(model, rtol=1e-12)
    owned = model.domain.index_map.size_local * model.dim
    free = ~model.prescribed.ravel()[:owned]
    dx = model.uv.duplicate()
    for _ in range(30):
        R = model.residual()
        R.array[free] -= load[:owned][free]
        if R.norm() < 1e-10 * np.sqrt(model.comm.allreduce(np.sum(load[:owned] ** 2))):
            return
        model.assemble_tangent()
        R.scale(-1.0)
        if solver.solve(R, dx) < 0:
            break
        model.uv.axpy(1.0, dx)
    raise RuntimeError("the manufactured solution was not found")


def table(sizes, axisymmetric=False, plastic=False):
    """Rows (h, L2 error, H1 error, L2 order, H1 order); the orders of the first row are nan."""
    rows = []
    for n in sizes:
        h, l2, h1 = error(n, axisymmetric, plastic)
        if rows:
            ratio = np.log(rows[-1][0] / h)
            orders = np.log(rows[-1][1] / l2) / ratio, np.log(rows[-1][2] / h1) / ratio
        else:
            orders = np.nan, np.nan
        rows.append((h, l2, h1, *orders))
    return rows


def orders():
    """Rows (model, h, L2 error, H1 error, L2 order, H1 order) of all CASES."""
    return [(name, *row) for name, axisymmetric, plastic, sizes in CASES for row in table(sizes, axisymmetric, plastic)]


if __name__ == "__main__":
    found = [{"model": model, "h": h, "L2 error": f"{l2:.3e}", "H1 error": f"{h1:.3e}"}
             | {f"{norm} order": "" if np.isnan(order) else round(float(order), 2) for norm, order in (("L2", p), ("H1", q))}
             for model, h, l2, h1, p, q in orders()]
    tables.write(Path(__file__).with_suffix(""), found, "Manufactured solutions",
                 "Errors of quadratic elements relative to the exact norms: transversely isotropic elasticity, and bone of 80 mg/cm3"
                 " strained by 1 to 2 %, where all points yield; expected orders 3 (L2) and 2 (H1).")
