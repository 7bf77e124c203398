"""Result directories made of formulas, as a solver would leave them: for the tests of figures and reports."""

import csv
import json

import meshio
import numpy as np

from materials.density import Density
from materials.problem import problem
from meshes.labmesh import REGIONS

DEPTH, RADIUS, SHANK = 30.0, 18.0, 3.25


def grid(halo=0.0, cement=0.0):
    """Half-plane triangles of a smooth screw in a bone cylinder: points (n, 2), cells (m, 3), region (m,)."""
    r = np.unique(np.round(np.r_[np.linspace(0, SHANK, 4), SHANK + halo, np.linspace(SHANK + 1, RADIUS, 10)], 6))
    z = np.unique(np.round(np.r_[np.linspace(-45, -DEPTH, 6), np.linspace(-DEPTH, 0, 16), 3.0, 6.0], 6))
    R, Z = np.meshgrid(r, z, indexing="ij")
    number = np.arange(R.size).reshape(R.shape)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    cells = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    points = np.stack([R.ravel(), Z.ravel()], axis=1)
    mid = points[cells].mean(axis=1)
    inside = (mid[:, 0] < SHANK) & (mid[:, 1] > -DEPTH)
    region = np.where(inside, 1, 2)
    region[(mid[:, 0] < SHANK + halo) & (mid[:, 1] > -DEPTH) & (mid[:, 1] < 0) & ~inside] = 6
    if cement:
        region[(np.hypot(mid[:, 0] / 9, (mid[:, 1] + 22) / 9) < 1) & (region == 2)] = 8
        region[(region == 6)] = 7
    keep = inside | (mid[:, 1] < 0)
    return points, cells[keep], region[keep]


def revolve(points, cells, sectors=12):
    """Tetrahedra of the revolved half plane: prisms split by global numbers, degenerate ones at the axis dropped."""
    angle = 2 * np.pi * np.arange(sectors) / sectors
    space = np.stack([np.outer(np.cos(angle), points[:, 0]), np.outer(np.sin(angle), points[:, 0]),
                      np.tile(points[:, 1], (sectors, 1))], axis=-1).reshape(-1, 3)
    tets = []
    for s in range(sectors):
        low, high = cells + s * len(points), cells + (s + 1) % sectors * len(points)
        prism = np.concatenate([low, high], axis=1)
        tets += [prism[:, [0, 1, 2, 5]], prism[:, [0, 1, 5, 4]], prism[:, [0, 4, 5, 3]]]
    tets = np.concatenate(tets)
    x = space[tets]
    volume = np.linalg.det(x[:, 1:] - x[:, :1])
    tets[volume < 0] = tets[volume < 0][:, [0, 2, 1, 3]]
    keep = np.abs(volume) > 1e-9
    return space, tets[keep], np.tile(np.arange(len(cells)), 3 * sectors)[keep]


def run(folder, name, peak=300.0, at=0.2, dim=3, halo=0.0, cement=0.0, cortex=False, status="completed"):
    """Write a result directory `folder`; returns it."""
    folder.mkdir(parents=True)
    points, cells, region = grid(halo, cement)
    facets = np.zeros((0, dim), int)
    if dim == 3:
        points, cells, origin = revolve(points, cells)
        region = region[origin]
        if cortex:
            faces = np.concatenate([cells[:, [1, 2, 3]], cells[:, [0, 3, 2]], cells[:, [0, 1, 3]], cells[:, [0, 2, 1]]])
            facets = faces[(np.hypot(*points[faces][..., :2].transpose(2, 0, 1)) > RADIUS - 0.01).all(axis=1)]
    rotation = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.savez_compressed(folder / "mesh.npz", points=points, cells=cells, region=region, rotation=rotation,
                        origin=np.zeros(3), cortex_thickness=np.full(len(facets), 0.35), info=np.array("{}"),
                        **{"facets/cortex": facets})
    _fields(folder / "peak.vtu", points, cells, region, at)
    u = np.linspace(0, 3 * at, 40)
    force = peak * np.where(u < at, np.sin(np.pi * u / (2 * at)), 1 - 0.12 * np.maximum(u / at - 1, 0) ** 1.2)
    work = np.concatenate([[0], np.cumsum(np.diff(u) * (force[1:] + force[:-1]) / 2)])
    columns = {"step": np.arange(40), "displacement_mm": u, "force_N": force, "head_displacement_mm": u,
               "crosshead_displacement_mm": u + 5e-4 * force, "external_work_N_mm": work,
               "stored_energy_N_mm": 0.3 * work, "dissipated_energy_N_mm": 0.7 * work,
               "max_damage": np.clip(u, 0, 0.8), "time_s": u * 12}
    with open(folder / "curve.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    top = int(force.argmax())
    step = {"kind": "pullout", "peak_force_N": force[top], "displacement_at_peak_mm": u[top],
            "stiffness_N_per_mm": 1.6 * peak / at, "energy_to_peak_N_mm": work[top], "micromotion_um": 23.4,
            "energy_balance_error": 0.004, "force_at_end_N": force[-1], "displacement_at_end_mm": u[-1], "steps": 39,
            "newton_iterations": 152, "linear_iterations": 2100, "cutbacks": 1}
    summary = {"schema": 1, "name": name, "status": status, "steps": [step], "cells": len(cells), "dofs": 34567,
               "ranks": 2, "seconds_total": 81.2, "newton_iterations": 152, "cutbacks": 1, "memory_MiB": 812,
               "warnings": ["bone density of the body is 40 mg/cm^3 K2HPO4, outside 50 to 200"] if halo else []}
    summary["reason"] = "the force fell 20 % below its peak" if status == "completed" else \
        "at 0.1 mm and 120 N no equilibrium was found"
    (folder / "result.json").write_text(json.dumps(summary))
    (folder / "history.jsonl").write_text("".join(json.dumps({"step": k, "newton": 4}) + "\n" for k in range(39)))
    numbers = {number: name for name, number in REGIONS.items()}
    present = {numbers[n]: int(n) for n in np.unique(region)}
    made = problem("threaded3d", present, [], 6.5, DEPTH, density=Density(80, "qct_k2hpo4"))
    (folder / "problem.json").write_text(json.dumps(made))
    (folder / "provenance.json").write_text(json.dumps(
        {"halofix": {"version": "0.1.0"}, "libraries": {"fenics-dolfinx": "0.9.0"}, "sha256": {"curve.csv": "ab12"}}))
    (folder / "resolved.yaml").write_text(_scenario(name, halo, cement))
    return folder


def _fields(path, points, cells, region, at):
    if points.shape[1] == 2:
        points = np.stack([points[:, 0], np.zeros(len(points)), points[:, 1]], axis=1)
    r = np.hypot(points[:, 0], points[:, 1])
    displacement = np.zeros_like(points)
    displacement[:, 2] = at * np.where(r <= SHANK + 1e-6, 1.0, np.exp(-(r - SHANK) / 2)) * (points[:, 2] > -DEPTH - 4)
    middle = points[cells].mean(axis=1)
    near = np.exp(-np.maximum(np.hypot(middle[:, 0], middle[:, 1]) - SHANK, 0) / 0.8)
    damage = np.where((region != 1) & (middle[:, 2] > -DEPTH), 0.8 * near, 0.0)
    data = {"region": region, "damage": damage, "plastic_strain": 0.05 * damage, "insertion_damage": 0.0 * damage,
            "von_mises": np.where(region == 1, 60.0, 0.5), "strength_utilisation": near}
    meshio.Mesh(points, [("tetra" if cells.shape[1] == 4 else "triangle", cells)],
                point_data={"displacement": displacement}, cell_data={k: [v] for k, v in data.items()}).write(path)


def _scenario(name, halo, cement):
    steps = "  - insert: {}\n"
    if halo:
        steps += ("  - halo: {thickness: {value: 1.0, unit: mm, source: given}, shape: {value: hourglass, "
                  "source: default}, content: {value: fibrous, source: default}}\n")
    if cement:
        steps += ("  - augment: {volume: {value: 2000.0, unit: mm^3, source: given}, target: {value: halo, "
                  "source: given}}\n")
    return f"""name: {{value: "{name}", source: given}}
model: {{value: threaded3d, source: default}}
fixture: {{hold: {{value: side, source: default}}}}
specimen:
  shape: {{value: cylinder, source: given}}
  diameter: {{value: 36.0, unit: mm, source: given}}
  length: {{value: 45.0, unit: mm, source: given}}
  bmd: {{value: 80.0, unit: mg/cm^3, source: given}}
  bmd_kind: {{value: qct_k2hpo4, source: default}}
screw:
  diameter: {{value: 6.5, unit: mm, source: given}}
  length: {{value: 30.0, unit: mm, source: given}}
  pitch: {{value: 2.75, unit: mm, source: given}}
  core_diameter: {{value: 4.5, unit: mm, source: given}}
  material: {{value: Ti6Al4V, source: default}}
  insertion_depth: {{value: 30.0, unit: mm, source: default}}
protocol:
{steps}  - pullout: {{rate: {{value: 0.08333, unit: mm/s, source: default}}, stop: {{force_drop: {{
    value: 20.0, unit: '%', source: default}}, displacement: {{value: 2.0, unit: mm, source: default}}}}}}
"""


def comparison(folder):
    """A comparison of four runs in `folder`, one of which stopped short; returns it."""
    made = [("native", "L3 native", dict(peak=318.0, at=0.21)),
            ("loosened", "L3 loosened, 1 mm hourglass halo", dict(peak=74.0, at=0.55, halo=1.0)),
            ("rescued", "L3 rescued with 2 ml PMMA in the halo", dict(peak=520.0, at=0.25, halo=1.0, cement=2.0,
                                                                       cortex=True)),
            ("oversized", "L3 revised to 8.5 mm", dict(peak=402.0, at=0.23, dim=2, status="partial"))]
    for stem, name, options in made:
        run(folder / stem, name, **options)
    rows = ["scenario,name,status,peak_force_N"] + [f'{stem},"{name}",completed,{o["peak"]}' for stem, name, o in made]
    (folder / "comparison.csv").write_text("\n".join(rows) + "\n")
    return folder
