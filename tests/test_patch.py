"""Patch tests through a split interface: what goes in at one end must come out at the other, whatever the mesh."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mpi4py import MPI  # noqa: E402
from petsc4py import PETSc  # noqa: E402

from fem.domain import Domain  # noqa: E402
from fem.linear import LinearSolver, prolongation  # noqa: E402
from fem.model import Model  # noqa: E402
from fem.newton import solve  # noqa: E402
from fem.output import Clock  # noqa: E402

E, NU = 100.0, 0.25
CORNERS = [(0, 1, 3, 7), (0, 1, 5, 7), (0, 2, 3, 7), (0, 2, 6, 7), (0, 4, 5, 7), (0, 4, 6, 7)]


def two_bricks(n=3, seed=0, tilt=0.0):
    """Two unit bricks on top of each other, n^3 x 6 tets each, one interface with duplicated nodes at z = 1 (+ tilt x).

    The lower brick is the 'screw' (moved through its lower face), the upper one 'trabecular' (held at its top).
    """
    rng = np.random.default_rng(seed)
    g = np.linspace(0, 1, n + 1)
    grid = np.stack(np.meshgrid(g, g, g, indexing="ij"), -1)
    inside = np.all((grid > 0) & (grid < 1), axis=-1)
    index = np.arange((n + 1) ** 3).reshape((n + 1,) * 3)
    cells = []
    for i in range(n):
        for j in range(n):
            for k in range(n):
                cube = index[i : i + 2, j : j + 2, k : k + 2].ravel()
                cells += [cube[list(c)] for c in CORNERS]
    cells = np.array(cells)
    points, blocks, region = [], [], []
    for brick in (0, 1):
        x = grid.copy()
        x[inside] += rng.uniform(-0.15, 0.15, (inside.sum(), 3)) / n
        x = x.reshape(-1, 3)
        x[:, 2] += brick
        blend = x[:, 2] if brick == 0 else 2 - x[:, 2]
        x[:, 2] += tilt * (x[:, 0] - 0.5) * blend
        points.append(x)
        blocks.append(cells + brick * len(x))
        region.append(np.full(len(cells), 1 + brick))
    x, cells = np.concatenate(points), np.concatenate(blocks)
    edges = x[cells[:, 1:]] - x[cells[:, :1]]
    flip = np.linalg.det(edges) < 0
    cells[flip, :2] = cells[flip, 1::-1]
    low = index[..., 0]
    quads = np.array([(low[i, j], low[i + 1, j], low[i + 1, j + 1], low[i, j + 1]) for i in range(n) for j in range(n)])

    def face(level, brick):
        at = quads + (n if level else 0) + brick * (n + 1) ** 3
        return np.concatenate([at[:, [0, 1, 2]], at[:, [0, 2, 3]]])

    lab = {"points": x, "cells": cells, "region": np.concatenate(region), "facets/head_top": face(0, 0),
           "facets/held": face(1, 1), "minus/screw_trabecular": face(1, 0), "plus/screw_trabecular": face(0, 1)}
    return lab


def model_of(lab, friction=0.3, adhesion=0.0, cohesive=None):
    lam, mu = E * NU / (1 + NU) / (1 - 2 * NU), E / 2 / (1 + NU)
    C = np.diag([2 * mu] * 3 + [mu] * 3)
    C[:3, :3] += lam
    law = {"name": "elastic", "kind": "elastic", "stiffness": C.tolist()}
    problem = {"laws": [law], "region_law": {"1": 0, "2": 0}, "nonlocal_length": 1.0, "insertion": None, "cortex": None,
               "interfaces": {"screw_trabecular": {"friction": friction, "adhesion": adhesion, "cohesive": cohesive}}}
    domain = Domain(MPI.COMM_WORLD, lab)
    model = Model(domain, problem)
    return model, LinearSolver(model, rtol=1e-10)


def push(model, solver, head):
    """Move the lower face by `head` (3,), the top stays; returns the outcome."""
    nodes = model.u.array.reshape(-1, model.dim)
    nodes[model.prescribed] = 0.0
    nodes[model.head] = head
    outcome = solve(model, solver, Clock(), tolerance=1e-9, iterations=60)
    assert outcome.converged, outcome.reason
    return outcome


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_compression_passes_the_interface(tilt):
    """A uniform strain field with the contact penalty in series: the jump is p/k_n everywhere, force = p A."""
    model, solver = model_of(two_bricks(tilt=tilt))
    push(model, solver, [0.0, 0.0, 0.02])
    assert model.reaction[2] == pytest.approx(-model.support[2], rel=1e-6)
    assert abs(model.reaction[2]) > 0.5  # about E * 0.01 * A = 1 N, held laterally at both ends
    assert not model.interface.opened.any()
    gap = np.einsum("ij,ij->i", model.interface.jump, model.interface.points.normal)
    carried = -(model.interface.kn * gap * model.interface.points.weight * model.interface.points.normal[:, 2]).sum()
    total = model.comm.allreduce(carried)
    # the lower brick moves up: the interface pushes the upper brick up with what the head applies
    friction = model.comm.allreduce((model.interface.t * model.interface.points.weight[:, None])[:, 2].sum())
    assert -friction == pytest.approx(model.reaction[2], rel=1e-6)
    if tilt == 0.0:
        assert total == pytest.approx(model.reaction[2], rel=1e-6)


def test_the_smoother_follows_the_matrix_while_the_coarse_factors_stay():
    """Diagonal blocks of an earlier tangent are not what Chebyshev's eigenvalues are bounded for."""
    model, solver = model_of(two_bricks())
    b, x = model.uv.duplicate(), model.uv.duplicate()
    b.array[:] = np.where(model.prescribed[: model.domain.index_map.size_local], 0.0, 1.0).ravel()
    for factor, setups in ((1.0, 1), (1.2, 1)):
        model.A.scale(factor)
        model.A.assemble()
        assert solver.solve(b, x) > 0
        assert solver.setups == setups
        blocks = model.A.convert("aij", PETSc.Mat()).invertBlockDiagonal()
        y = b.duplicate()
        solver.ksp.getPC().getMGSmoother(1).getPC().apply(b, y)
        assert y.array == pytest.approx(np.einsum("nij,nj->ni", blocks, b.array.reshape(-1, 3)).ravel(), rel=1e-12)


def test_tension_opens_and_carries_nothing():
    model, solver = model_of(two_bricks())
    push(model, solver, [0.0, 0.0, -0.02])
    assert model.interface.opened.all()
    closed, solver = model_of(two_bricks())
    push(closed, solver, [0.0, 0.0, 0.02])
    assert abs(model.reaction[2]) < 5e-4 * abs(closed.reaction[2])


def test_sliding_friction_against_the_closed_form():
    """Press, then slide: |T| = mu N once everything slides, with N of the step before (the lagged bound)."""
    mu = 0.3
    model, solver = model_of(two_bricks(), friction=mu)
    push(model, solver, [0.0, 0.0, 0.05])
    model.commit()
    shear = []
    for s in np.linspace(0.01, 0.12, 8):
        push(model, solver, [s, 0.0, 0.05])
        shear.append(abs(model.reaction[0]))
        normal = abs(model.reaction[2])
        model.commit()
    assert shear[0] < 0.9 * mu * normal  # sticks first
    # all points slide: T = mu N up to the residual stiffness
    assert shear[-1] == pytest.approx(mu * normal, rel=0.01)
    assert shear[-1] == pytest.approx(shear[-2], rel=0.01)


def test_secant_bounds_the_potential_of_friction():
    """With the secant of sliding points a quadratic step never promises less energy than there is; with their tangent it does."""
    model, solver = model_of(two_bricks())
    push(model, solver, [0.0, 0.0, 0.05])
    model.commit()
    push(model, solver, [0.08, 0.0, 0.05])
    i = model.interface
    bound = 0.3 * i.pressure
    sliding = np.linalg.norm(i.new_slip - i.slip, axis=1) > 0.0
    assert sliding.any()
    way = i.jump - np.einsum("ij,ij->i", i.jump, i.points.normal)[:, None] * i.points.normal - i.slip

    def potential(x):  # of the elastic slip: a parabola that turns into a cone
        length = np.linalg.norm(x, axis=1)
        return np.where(i.kt * length < bound, 0.5 * i.kt * length**2, bound * (length - 0.5 * bound / i.kt))

    def missing(step, tangent):
        promised = np.einsum("ij,ij->i", i.t, step) + 0.5 * np.einsum("ij,ijk,ik->i", step, tangent, step)
        return (potential(way + step) - potential(way) - promised)[sliding].max()

    rng = np.random.default_rng(1)
    across = rng.normal(size=way.shape)
    across -= np.einsum("ij,ij->i", across, i.points.normal)[:, None] * i.points.normal
    for step in (-2.0 * way, -way, 0.3 * way, 0.001 * across, 0.1 * across):
        assert missing(step, i.secant()) < 1e-4 * np.max(bound)  # the stiffness that open points keep apart
    assert missing(-2.0 * way, i.tangent) > 0.01 * np.max(bound * np.linalg.norm(way, axis=1))


def test_bonded_interface_is_a_patch():
    """A stiff bond: the solution is that of one brick up to the bond's own compliance, in tension as in compression."""
    bond = {"normal_stiffness": 1e6, "shear_stiffness": 1e6, "normal_strength": 1e9, "shear_strength": 1e9,
            "energy_I": 1e9, "energy_II": 1e9, "eta": 1.5}
    model, solver = model_of(two_bricks(), cohesive=bond)
    push(model, solver, [0.01, 0.0, -0.02])
    pulled = model.reaction.copy()
    push(model, solver, [-0.01, 0.0, 0.02])
    # compression goes through the contact penalty, tension through the bond; both stiff against the bricks
    assert np.allclose(model.reaction[0], -pulled[0], rtol=0.05)
    assert abs(model.reaction[2]) == pytest.approx(abs(pulled[2]), rel=0.15)


def test_bond_breaks_with_its_fracture_energy():
    """Mode I: pulled until it breaks, the bond has released energy_I per area."""
    bond = {"normal_stiffness": 300.0, "shear_stiffness": 260.0, "normal_strength": 1.3, "shear_strength": 3.2,
            "energy_I": 0.25, "energy_II": 0.8, "eta": 1.5}
    model, solver = model_of(two_bricks(n=2), cohesive=bond)
    released = 0.0
    for u in np.linspace(0, 0.6, 241)[1:]:
        push(model, solver, [0.0, 0.0, -u])
        released += model.commit()
    assert model.interface.bond.max() < 1e-12
    assert released == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize(("share", "factor"), [(1.0, 1.0), (0.25, 0.5), (0.0, 0.0), (2.0, 1.0)])
def test_bonds_tire_by_peak_and_range(share, factor):
    """A virgin bond opened by half of what breaks it: ln(bond) = -N (factor / 2)^b, factor the root of range over peak, at most 1."""
    bond = {"normal_stiffness": 300.0, "shear_stiffness": 260.0, "normal_strength": 1.3, "shear_strength": 3.2,
            "energy_I": 0.25, "energy_II": 0.8, "eta": 1.5, "fatigue_exponent": 6.0}
    model, _ = model_of(two_bricks(n=2), cohesive=bond)
    i = model.interface
    i.jump[:] = 0.5 * 1.3 / 300.0 * i.points.normal
    i.swung[:] = share * i.jump
    released = model.comm.allreduce(i.tire(20.0))
    kept = np.exp(-20.0 * (0.5 * factor) ** 6)
    assert i.bond == pytest.approx(kept)
    assert released == pytest.approx(0.5 * 300.0 * (0.5 * 1.3 / 300.0) ** 2 * (1.0 - kept))  # per mm^2, of which there is one
    standing = model_of(two_bricks(n=2), cohesive=bond)[0].interface  # sheared for good, under a pressure that comes and goes
    across = np.linalg.svd(standing.points.normal[:1])[2][1]
    standing.jump[:] = 0.5 * 3.2 / 260.0 * across - 0.01 * standing.points.normal
    standing.swung[:] = -0.004 * share * standing.points.normal
    assert model.comm.allreduce(standing.tire(20.0)) == 0.0 and np.all(standing.bond == 1.0)


def test_elements_reproduce_linear_fields():
    """Displacement patch test of the bulk: forces of a linear field balance at all inner nodes."""
    model, _ = model_of(two_bricks(seed=3))
    gradient = np.array([[0.01, 0.004, 0.0], [0.0, -0.003, 0.002], [0.001, 0.0, 0.02]])
    d = model.domain
    nodes = model.u.array.reshape(-1, 3)
    nodes[:] = d.node_x @ gradient.T
    model.residual()
    eps = 0.5 * (gradient + gradient.T)
    voigt = np.array([eps[0, 0], eps[1, 1], eps[2, 2], 2 * eps[1, 2], 2 * eps[0, 2], 2 * eps[0, 1]])
    expected = model.laws.C[0] @ voigt
    assert np.allclose(model.stress, expected, atol=1e-12)
    inner = np.all((d.node_x > 1e-6) & (d.node_x < [1 - 1e-6, 1 - 1e-6, 2 - 1e-6]), axis=1) & (abs(d.node_x[:, 2] - 1) > 0.3)
    owned = d.index_map.size_local
    inner = inner[:owned]
    assert inner.sum() > 10
    assert np.abs(model.residual_vector.array.reshape(-1, 3)[inner]).max() < 1e-12


def test_the_coarse_grid_leaves_alone_what_is_held():
    """Else held vertices can move so that it cancels at each free midpoint between them, and the coarse matrix is singular."""
    model, _ = model_of(two_bricks())
    P = prolongation(model)
    moved, free = P.createVecLeft(), P.createVecRight()
    d = model.domain
    corners = d.cells[:, : d.dim + 1]
    held = np.zeros((d.linear.dofmap.index_map.size_local + d.linear.dofmap.index_map.num_ghosts, d.dim), bool)
    held[d.vertices] = model.prescribed[corners]
    held = held[: d.linear.dofmap.index_map.size_local]
    assert held.any() and not held.all()
    free.array[:] = held.ravel()
    P.mult(free, moved)
    assert moved.norm() == 0.0
    free.array[:] = ~held.ravel()
    P.mult(free, moved)
    assert moved.max()[1] == 1.0 and moved.min()[1] == 0.0
