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


def run(folder, name, peak=300.0, at=0.2, dim=3, halo=0.0, cement=0.0, cortex=False, status="completed",
        protocol=("pullout",), endurance=5200.0, held=False):
    """Write a result directory `folder`; returns it.

    protocol: the steps after insert, halo and augment: cycle, augment, revise, pullout. endurance: cycles of the first
    cyclic test, which later ones outlast; held: the screw does not loosen.
    """
    folder.mkdir(parents=True)
    points, cells, region, facets = _mesh(halo, cement, dim, cortex)
    several = sum(kind in ("cycle", "pullout") for kind in protocol) > 1
    steps = [{"kind": "insert"}]
    steps += ([{"kind": "halo"}] if halo else []) + ([{"kind": "augment"}] if cement else [])
    for kind in protocol:
        step = {"kind": kind}
        if kind in ("cycle", "pullout"):
            step["directory"] = f"{len(steps) + 1}-{kind}" if several else "."
            place = folder / step["directory"]
            place.mkdir(exist_ok=True)
            _solver_files(place, points, cells, region, facets)
            _fields(place / "peak.vtu", points, cells, region, at, lateral=kind == "cycle")
            if kind == "cycle":
                step |= _cycle(place, endurance, held)
                endurance *= 1.5
            else:
                step |= _pullout(place, peak, at)
        steps.append(step)
    summary = {"schema": 1, "name": name, "status": status, "steps": steps, "cells": len(cells), "dofs": 34567,
               "ranks": 2, "seconds_total": 81.2, "newton_iterations": 152, "cutbacks": 1, "memory_MiB": 812,
               "warnings": ["bone density of the body is 40 mg/cm^3 K2HPO4, outside 50 to 200"] if halo else []}
    summary["reason"] = "the force fell 20 % below its peak" if status == "completed" else \
        "at 0.1 mm and 120 N no equilibrium was found"
    (folder / "result.json").write_text(json.dumps(summary))
    (folder / "provenance.json").write_text(json.dumps(
        {"halofix": {"version": "0.1.0"}, "libraries": {"fenics-dolfinx": "0.9.0"}, "sha256": {"curve.csv": "ab12"}}))
    (folder / "resolved.yaml").write_text(_scenario(name, halo, cement, protocol))
    return folder


def _mesh(halo, cement, dim, cortex):
    points, cells, region = grid(halo, cement)
    facets = np.zeros((0, dim), int)
    if dim == 3:
        points, cells, origin = revolve(points, cells)
        region = region[origin]
        if cortex:
            faces = np.concatenate([cells[:, [1, 2, 3]], cells[:, [0, 3, 2]], cells[:, [0, 1, 3]], cells[:, [0, 2, 1]]])
            facets = faces[(np.hypot(*points[faces][..., :2].transpose(2, 0, 1)) > RADIUS - 0.01).all(axis=1)]
    return points, cells, region, facets


def _solver_files(folder, points, cells, region, facets):
    """What a solved step has of any kind, but for its fields."""
    rotation = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.savez_compressed(folder / "mesh.npz", points=points, cells=cells, region=region, rotation=rotation,
                        origin=np.zeros(3), cortex_thickness=np.full(len(facets), 0.35), info=np.array("{}"),
                        **{"facets/cortex": facets})
    (folder / "history.jsonl").write_text("".join(json.dumps({"step": k, "newton": 4}) + "\n" for k in range(39)))
    numbers = {number: name for name, number in REGIONS.items()}
    present = {numbers[n]: int(n) for n in np.unique(region)}
    made = problem("threaded3d", present, [], 6.5, DEPTH, density=Density(80, "qct_k2hpo4"))
    (folder / "problem.json").write_text(json.dumps(made))


def _pullout(folder, peak, at):
    """Write the curve of a pullout; returns its numbers."""
    u = np.linspace(0, 3 * at, 40)
    force = peak * np.where(u < at, np.sin(np.pi * u / (2 * at)), 1 - 0.12 * np.maximum(u / at - 1, 0) ** 1.2)
    work = np.concatenate([[0], np.cumsum(np.diff(u) * (force[1:] + force[:-1]) / 2)])
    _table(folder / "curve.csv", {
        "step": np.arange(40), "displacement_mm": u, "force_N": force, "head_displacement_mm": u,
        "crosshead_displacement_mm": u + 5e-4 * force, "external_work_N_mm": work,
        "stored_energy_N_mm": 0.3 * work, "dissipated_energy_N_mm": 0.7 * work,
        "max_damage": np.clip(u, 0, 0.8), "time_s": u * 12})
    top = int(force.argmax())
    return {"peak_force_N": force[top], "displacement_at_peak_mm": u[top], "stiffness_N_per_mm": 1.6 * peak / at,
            "energy_to_peak_N_mm": work[top], "micromotion_um": 23.4, "energy_balance_error": 0.004,
            "force_at_end_N": force[-1], "displacement_at_end_mm": u[-1], "steps": 39, "newton_iterations": 152,
            "linear_iterations": 2100, "cutbacks": 1}


def _cycle(folder, endurance, held):
    """Write the files of a cyclic test, 100 N and 0.1 N more a cycle, to 5.4 mm (held: 1.1 mm); returns its numbers."""
    n = np.geomspace(1, endurance, 60)
    load = 100 + 0.1 * n
    share = n / endurance
    u = (1.1 if held else 5.4) * (0.08 * load / load[-1] + 0.92 * share**4)
    damage = 400 * share**2
    _table(folder / "cycles.csv", {
        "block": np.arange(60), "cycles": n, "peak_load_N": load, "held": np.ones(60, int), "head_displacement_mm": u, "angle_deg": 2.1 * u,
        "axial_displacement_mm": 0.05 * u, "halo_volume_mm3": 0.6 * damage, "damage_volume_mm3": damage,
        "max_damage": np.sqrt(share), "jump_error": 0.01 + 0 * n, "external_work_N_mm": load * u,
        "stored_energy_N_mm": 0.2 * load * u, "dissipated_energy_N_mm": 0.8 * load * u})
    at = np.linspace(0, 59, 12).astype(int)
    slip, stiffness = 40 + 160 * share[at] ** 2, 900 * (1 - 0.6 * share[at] ** 2)
    _table(folder / "reference.csv", {
        "cycles": n[at], "peak_load_N": load[at], "minimum_load_N": 0.1 * load[at], "head_displacement_mm": u[at],
        "range_mm": 0.9 * load[at] / stiffness, "stiffness_N_per_mm": stiffness, "micromotion_um": slip,
        "largest_slip_um": 3 * slip, "opening_um": 0.4 * slip, "angle_range_deg": 2 * load[at] / stiffness})
    push = np.linspace(0, 6, 40)
    force = 1.6 * load[-1] * (1 - np.exp(-push / 1.2))
    _table(folder / "static.csv", {"displacement_mm": push, "force_N": force, "angle_deg": 2 * push})
    z = np.linspace(-1, 1 - DEPTH, 24)
    shape = 0.35 + 0.65 * ((z + DEPTH / 2) / (DEPTH / 2)) ** 2
    shots = [{"cycles": n[k], "head_displacement_mm": u[k], "thickness_mm": list(1.6 * share[k] * shape),
              "largest_mm": list(2.2 * share[k] * shape), "volume_mm3": 0.6 * damage[k], "hourglass_index": 2.3,
              "visible_on_ct": bool(share[k] > 0.6)} for k in at[2:]]
    (folder / "halo.json").write_text(json.dumps({"z_mm": list(z), "threshold": 0.5, "snapshots": shots}))
    (folder / "state.vtu").write_bytes((folder / "peak.vtu").read_bytes())
    reach = {level: float(np.interp(level, u, n)) for level in (0.5, 1, 2, 5.4) if level <= u[-1] + 1e-9}
    return {"loosened": not held, "cycles_to_loosening": None if held else endurance,
            "load_at_loosening_N": None if held else load[-1], "cycles": endurance, "peak_load_N": load[-1],
            "head_displacement_mm": u[-1], "angle_deg": 2.1 * u[-1], "axial_displacement_mm": 0.05 * u[-1],
            "thresholds": [{"head_displacement_mm": level, "cycles": reach.get(level),
                            "load_N": 100 + 0.1 * reach[level] if level in reach else None}
                           for level in (0.5, 1, 2, 5.4)],
            "static_capacity_N": force[-1], "static_displacement_mm": 6.0, "static_stiffness_N_per_mm": 950.0,
            "stiffness_N_per_mm": stiffness[0], "stiffness_loss": 1 - stiffness[-1] / stiffness[0],
            "micromotion_um": slip[0], "micromotion_end_um": slip[-1],
            "halo_thickness_mm": max(shots[-1]["thickness_mm"]), "halo_volume_mm3": shots[-1]["volume_mm3"],
            "hourglass_index": 2.3, "halo_visible_on_ct": shots[-1]["visible_on_ct"], "small_strain_until_mm": 1.5,
            "small_strain_until_cycles": float(np.interp(1.5, u, n)) if u[-1] > 1.5 else None,
            "metal_utilisation": 0.31, "metal_fatigue_margin": 2.4, "cement_utilisation": None, "blocks": 60,
            "newton_iterations": 640, "linear_iterations": 9100, "cutbacks": 2, "energy_balance_error": 0.006,
            "stopped_because": "the head has moved by 5.4 mm" if not held else "5200 cycles were reached",
            "failure_confirmed": None if held else "head displacement reached at equilibrium"}


def _table(path, columns):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))


def _fields(path, points, cells, region, at, lateral=False):
    """Peak state: the screw pulled out by `at`, or turned by 3 degrees and the bone hollowed at its ends."""
    if points.shape[1] == 2:
        points = np.stack([points[:, 0], np.zeros(len(points)), points[:, 1]], axis=1)
    r = np.hypot(points[:, 0], points[:, 1])
    displacement = np.zeros_like(points)
    displacement[:, 2] = at * np.where(r <= SHANK + 1e-6, 1.0, np.exp(-(r - SHANK) / 2)) * (points[:, 2] > -DEPTH - 4)
    if lateral:
        displacement = np.zeros_like(points)
        displacement[:, 0] = 0.052 * (points[:, 2] + 17) * np.where(r <= SHANK + 1e-6, 1.0, np.exp(-(r - SHANK) / 2))
        displacement[points[:, 2] < -DEPTH - 4] = 0.0
    middle = points[cells].mean(axis=1)
    near = np.exp(-np.maximum(np.hypot(middle[:, 0], middle[:, 1]) - SHANK, 0) / 0.8)
    damage = np.where((region != 1) & (middle[:, 2] > -DEPTH), 0.8 * near, 0.0)
    if lateral:
        damage *= 0.2 + 0.8 * (middle[:, 2] / 15 + 1) ** 2
    data = {"region": region, "damage": damage, "fatigue_damage": 0.7 * damage,
            "plastic_strain": 0.05 * damage, "insertion_damage": 0.0 * damage,
            "von_mises": np.where(region == 1, 60.0, 0.5), "strength_utilisation": near}
    meshio.Mesh(points, [("tetra" if cells.shape[1] == 4 else "triangle", cells)],
                point_data={"displacement": displacement}, cell_data={k: [v] for k, v in data.items()}).write(path)


def _scenario(name, halo, cement, protocol):
    steps = "  - insert: {}\n"
    if halo:
        steps += ("  - halo: {thickness: {value: 1.0, unit: mm, source: given}, shape: {value: hourglass, "
                  "source: default}, content: {value: fibrous, source: default}}\n")
    if cement:
        steps += ("  - augment: {volume: {value: 2000.0, unit: mm^3, source: given}, target: {value: halo, "
                  "source: given}}\n")
    for kind in protocol:
        steps += f"  - {kind}: {_BODIES[kind]}\n"
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
{steps}"""


_BODIES = {
    "pullout": "{rate: {value: 0.08333, unit: mm/s, source: default}, stop: {force_drop: {value: 20.0, unit: '%', "
               "source: default}, displacement: {value: 2.0, unit: mm, source: default}}}",
    "cycle": "{start: {value: 100.0, unit: N, source: default}}",
    "augment": "{volume: {value: 2000.0, unit: mm^3, source: given}, target: {value: halo, source: given}}",
    "revise": "{}",
}


def comparison(folder):
    """A comparison of four runs in `folder`, one of which stopped short; returns it."""
    made = [("native", "L3 native", dict(peak=318.0, at=0.21)),
            ("loosened", "L3 loosened, 1 mm hourglass halo", dict(peak=74.0, at=0.55, halo=1.0)),
            ("rescued", "L3 rescued with 2 ml PMMA in the halo", dict(peak=520.0, at=0.25, halo=1.0, cement=2.0,
                                                                       cortex=True)),
            ("oversized", "L3 revised to 8.5 mm", dict(peak=402.0, at=0.23, dim=2, status="partial"))]
    return _write_all(folder, made)


def cyclic_comparison(folder):
    """A comparison of four runs with cyclic tests in `folder`: one, one and a pullout, two about cement, one held."""
    made = [("native", "L3 native", dict(protocol=("cycle",))),
            ("pulled", "L3, cycled and pulled out", dict(protocol=("cycle", "pullout"), endurance=4400.0, peak=120.0)),
            ("rescued", "L3, cycled, PMMA into its halo, cycled and pulled out", dict(
                protocol=("cycle", "augment", "cycle", "pullout"), peak=390.0, dim=2, endurance=4800.0)),
            ("fenestrated", "L3 with a fenestrated screw", dict(protocol=("cycle",), endurance=6000.0, held=True))]
    return _write_all(folder, made)


def _write_all(folder, made):
    for stem, name, options in made:
        run(folder / stem, name, **options)
    rows = ["scenario,name,status"] + [f'{stem},"{name}",completed' for stem, name, _ in made]
    (folder / "comparison.csv").write_text("\n".join(rows) + "\n")
    return folder
