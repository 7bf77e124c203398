"""One linear elastic problem for halofix and CalculiX: the same nodes, the same quadratic elements, the same load.

Screw and bone of a swept cylinder, welded at their interface, held at the side, the head moved by 0.1 mm along the
axis.

    python -m benchmarks.performance.elastic make DIR --mesh coarse     mesh.npz, problem.json, model.inp
    [mpirun -n N] python -m benchmarks.performance.elastic solve DIR    halofix's solver; prints one line of JSON

benchmarks.performance.run calls both and CalculiX on model.inp in between.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

PULL = 0.1          # mm
TOLERANCE = 1e-8    # of the linear solver: far below what the reactions are compared at
EDGES = ((0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3))    # midpoints of a C3D10 in CalculiX's order


def make(directory, fineness):
    """Write mesh.npz, problem.json and model.inp."""
    from scenarios.laboratory import FINENESS, pose
    from meshes.labmesh import LabMesh

    mesh = pose(directory, resolution=FINENESS[fineness], model="threaded3d")
    _, first, weld = np.unique(np.round(mesh.points, 9), axis=0, return_index=True, return_inverse=True)
    weld = weld.ravel()
    welded = LabMesh(mesh.points[first], weld[mesh.cells], mesh.region, {k: weld[f] for k, f in mesh.facets.items()})
    welded.save(directory / "mesh.npz")
    problem = json.loads((directory / "problem.json").read_text())
    for law in problem["laws"]:
        law["kind"] = "elastic"
    problem |= {"interfaces": {}, "insertion": None, "cortex": None}
    (directory / "problem.json").write_text(json.dumps(problem))
    write_inp(directory / "model.inp", welded, problem)


def write_inp(path, mesh, problem):
    """The exported mesh (meshes.labmesh.export) as C3D10, with materials, support, pull and output of the reaction."""
    from meshes.labmesh import NAMES, export

    linear = path.with_name("linear.inp")
    export(mesh, linear)
    nodes, cells, region = read_linear(linear)
    linear.unlink()
    pairs = np.sort(cells[:, EDGES], axis=2)
    edges, number = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    number = number.reshape(len(cells), 6)
    nodes = np.vstack([nodes, nodes[edges].mean(axis=1)])
    cells = np.hstack([cells, len(nodes) - len(edges) + number])
    edge_of = {tuple(e): len(nodes) - len(edges) + i for i, e in enumerate(edges)}

    with open(path, "w") as out:
        out.write("*HEADING\nhalofix elastic benchmark, mm N MPa\n*NODE, NSET=ALL\n")
        np.savetxt(out, np.column_stack([np.arange(1, len(nodes) + 1), nodes]), "%d, %.12g, %.12g, %.12g")
        for name in dict.fromkeys(region):
            chosen = np.flatnonzero(region == name)
            out.write(f"*ELEMENT, TYPE=C3D10, ELSET={name}\n")
            np.savetxt(out, np.column_stack([chosen + 1, cells[chosen] + 1]), "%d", delimiter=", ")
            law = problem["laws"][problem["region_law"][str({v: k for k, v in NAMES.items()}[name])]]
            C = np.array(law["stiffness"])
            # CalculiX: 1111, 1122, 2222, 1133, 2233, 3333, 1212, 1313, then 2323; Voigt here is xx yy zz yz xz xy
            D = [C[0, 0], C[0, 1], C[1, 1], C[0, 2], C[1, 2], C[2, 2], C[5, 5], C[4, 4], C[3, 3]]
            out.write(f"*MATERIAL, NAME={name}\n*ELASTIC, TYPE=ORTHO\n" + ", ".join(f"{d:.12g}" for d in D[:8]) + ",\n"
                      + f"{D[8]:.12g}, 293.\n*SOLID SECTION, ELSET={name}, MATERIAL={name}\n")
        for name in ("held", "head_top"):
            f = mesh.facets[name]
            middle = [edge_of[tuple(sorted((a, b)))] for t in f.tolist() for a, b in zip(t, t[1:] + t[:1])]
            chosen = np.unique(np.concatenate([f.ravel(), middle])) + 1
            out.write(f"*NSET, NSET={name.upper()}\n" + "".join(f"{i},\n" for i in chosen))
        out.write(f"*STEP\n*STATIC, SOLVER=SPOOLES\n*BOUNDARY\nHELD, 1, 3\nHEAD_TOP, 1, 2\nHEAD_TOP, 3, 3, {PULL}\n"
                  "*NODE PRINT, NSET=HEAD_TOP, TOTALS=ONLY\nRF\n*END STEP\n")


def read_linear(path):
    """Nodes (n, 3), cells (m, 4) from 0 and region names (m,) of the .inp that meshes.labmesh.export writes."""
    nodes, cells, region, block = [], [], [], None
    for line in path.read_text().splitlines():
        if line.startswith("*"):
            block = line.upper().split(",")[0]
            name = line.rsplit("ELSET=", 1)[-1].strip()
        elif block == "*NODE":
            nodes.append([float(v) for v in line.split(",")[1:4]])
        elif block == "*ELEMENT":
            cells.append([int(v) - 1 for v in line.split(",")[1:5]])
            region.append(name)
    return np.array(nodes), np.array(cells), np.array(region)


def solve(directory):
    """Solve with the solver of the pullouts; returns seconds by phase, reaction (N), unknowns, memory."""
    started = time.perf_counter()
    from mpi4py import MPI

    from fem.domain import Domain
    from fem.linear import LinearSolver
    from fem.model import Model
    from fem.output import read_mesh

    comm = MPI.COMM_WORLD
    marks = [("import", time.perf_counter())]
    domain = Domain(comm, read_mesh(directory / "mesh.npz"))
    model = Model(domain, json.loads((directory / "problem.json").read_text()))
    marks.append(("mesh and matrix", time.perf_counter()))
    solver = LinearSolver(model, rtol=TOLERANCE)
    nodes = model.u.array.reshape(-1, model.dim)
    nodes[model.head, 2] = PULL
    # the prescribed displacement acts through the residual; the corrections leave it as it is
    residual = model.residual().copy()
    residual.scale(-1.0)
    correction = model.uv.duplicate()
    iterations = solver.solve(residual, correction)
    if iterations < 0:
        raise RuntimeError("the linear solver failed")
    model.uv.axpy(1.0, correction)
    marks.append(("linear solve", time.perf_counter()))
    model.residual()
    marks.append(("stress and reaction", time.perf_counter()))
    memory = comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    seconds = {name: round(end - begin, 2) for (name, end), begin in zip(marks, [started, *[t for _, t in marks]])}
    if comm.rank == 0:
        print(json.dumps({
            "reaction_N": float(model.reaction[2]), "support_N": float(model.support[2]), "iterations": iterations,
            "dofs": domain.index_map.size_global * 3, "cells": int(len(domain.lab["cells"])), "ranks": comm.size,
            "seconds": seconds, "memory_MiB": round(memory)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("make", "solve"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--mesh", default="coarse")
    options = parser.parse_args()
    if options.verb == "make":
        make(options.directory, options.mesh)
    else:
        solve(options.directory)
