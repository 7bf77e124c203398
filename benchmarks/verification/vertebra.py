"""Anthropometric vertebrae L2-L5 beside the mean surfaces of 87 patients (Clouthier 2023; data/README.md).

Both surfaces are measured by the same functions. The mean surfaces are brought into the anatomical frame (X left,
Y posterior, Z cranial) and levelled: turned about X until the mean slope of the two end plates is that of the model.

    python -m benchmarks.verification.vertebra       (half a minute)

Writes vertebra.csv, vertebra.md, vertebra_cuts.png and vertebra_levels.png beside this file.
"""

from pathlib import Path

import matplotlib
import numpy as np
import pyvista as pv

from meshes.specimen import Vertebra
from meshes.vertebra import VertebraShape
from scenarios.tables import notes, write

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
LEVELS = ("L2", "L3", "L4", "L5")
SHOWN = ("T1", "T6", "T12", "L3", "L5", "S1")
EDGE = 1.2          # mm, triangles of the models' surfaces
LIMIT = 15.0        # %, larger deviations are flagged
BEHIND = 8.0        # mm behind the posterior wall at which pedicles are cut off for the volume
UNITS = {"volume of body and pedicles": "cm3"}


def mean_surface(name):
    """Mean surface of a level in the anatomical frame, levelled and centred on its body; and the turn in degrees."""
    mesh = pv.read(HERE / "data" / f"{name}_mean.stl").clean()
    mesh.points = np.stack([mesh.points[:, 1], -mesh.points[:, 0], mesh.points[:, 2]], axis=1)
    angle = 0.0
    for _ in range(4):      # the cut through the middle moves a little with the turn
        centred(mesh)
        tilt = plate_slope(body_outline(mesh))
        mesh.rotate_x(-tilt, inplace=True)
        angle -= tilt
    return centred(mesh), angle


def model_surface(name):
    """The closed surface of the model of a level, centred on its body in the same way."""
    points, triangles = VertebraShape(Vertebra(name)).surface(np.eye(3), np.zeros(3), None, None, EDGE)
    return centred(pv.PolyData.from_regular_faces(points, triangles))


def centred(mesh):
    """Move the middle of the body (depth in the median plane, posterior height, width at mid depth) to the origin."""
    mesh.points -= np.array([(mesh.bounds[0] + mesh.bounds[1]) / 2, 0.0, 0.0])
    outline = body_outline(mesh)
    front, back = np.ptp(outline[:, 1]) * np.array([0.35, 0.65]) + outline[:, 1].min()
    rear = outline[outline[:, 1] > back]
    y, z = (outline[:, 1].min() + outline[:, 1].max()) / 2, (rear[:, 2].min() + rear[:, 2].max()) / 2
    cut = mesh.slice(normal="y", origin=(0, y, 0)).points
    cut = cut[np.abs(cut[:, 2] - z) < 10.0]
    mesh.points -= np.array([(cut[:, 0].min() + cut[:, 0].max()) / 2, y, z])
    return mesh


def body_outline(mesh):
    """Points of the body's outline in the median plane: the foremost closed curve of the cut."""
    return min(curves(mesh, (0, 0, 0), (1, 0, 0)), key=lambda c: c[:, 1].min())


def curves(mesh, origin, normal):
    """Closed curves [(n, 3)] in which a plane cuts the surface: points in order, about 0.3 mm apart."""
    cut = mesh.slice(normal=normal, origin=origin)
    if not cut.n_cells:
        return []
    near = [[] for _ in range(cut.n_points)]
    for a, b in cut.lines.reshape(-1, 3)[:, 1:]:
        near[a].append(b)
        near[b].append(a)
    left, out = set(range(cut.n_points)), []
    while left:
        loop = [left.pop()]
        while (following := next((k for k in near[loop[-1]] if k in left), None)) is not None:
            left.remove(following)
            loop.append(following)
        if len(loop) > 2:
            points = np.asarray(cut.points[[*loop, loop[0]]], float)
            length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
            at = np.linspace(0.0, length[-1], max(4, int(length[-1] / 0.3)))[:-1]
            out.append(np.stack([np.interp(at, length, c) for c in points.T], axis=1))
    return out


def plate_slope(outline):
    """Mean slope of the end plates in the median plane, degrees: rise towards posterior."""
    y = outline[:, 1]
    edges = np.linspace(y.min() + 0.15 * np.ptp(y), y.max() - 0.15 * np.ptp(y), 13)
    middle = (edges[1:] + edges[:-1]) / 2
    bins = [outline[(y >= a) & (y <= b), 2] for a, b in zip(edges, edges[1:])]
    slopes = [np.polyfit(middle, [f(b) for b in bins], 1)[0] for f in (np.min, np.max)]
    return float(np.degrees(np.arctan(np.mean(slopes))))


def pedicle(mesh, wall, side, out):
    """Narrowest section of a pedicle among planes normal to its axis `out`: (centre (3,), width, height), mm.

    wall: y of the posterior wall of the body. The section is a closed curve lateral of the canal, beside the upper half
    of the body; width and height are its extents across and along the cranial direction in the plane.
    """
    lateral = np.cross(out, [0.0, 0.0, 1.0])
    lateral /= np.linalg.norm(lateral)
    cranial = np.cross(lateral, out)
    best = None
    for back in np.arange(-2.0, 14.0, 0.5):
        for curve in curves(mesh, (side * 18.0, wall + back, 0.0), out):
            u, w = curve @ lateral, curve @ cranial
            area = 0.5 * abs(np.sum(u * np.roll(w, -1) - np.roll(u, -1) * w))
            centre = curve.mean(axis=0)
            beside = (side * curve[:, 0]).min() > 6.0 and side * centre[0] < 30.0 and centre[2] > -2.0
            if beside and area > 40.0 and (best is None or area < best[0]):
                middle = (u.max() + u.min()) / 2 * lateral + (w.max() + w.min()) / 2 * cranial + (curve @ out).mean() * out
                best = area, middle, np.ptp(u), np.ptp(w)
    return best[1:]


def path(mesh, centre, out):
    """Length of bone along the axis through `centre`, from the entry behind to the anterior cortex, mm."""
    ends = []
    for direction in (out, -out):
        hits, _ = mesh.ray_trace(centre, centre + 120.0 * direction)
        ends.append(np.linalg.norm(hits - centre, axis=1).min())
    return float(sum(ends))


def measure(mesh, name):
    """Dimensions of a vertebra's surface, mm (volume cm^3); those of pedicles are means of both sides."""
    outline = body_outline(mesh)
    y = outline[:, 1]
    front, wall, depth = y.min(), y.max(), np.ptp(y)
    height = np.ptp(outline[y > wall - 0.35 * depth][:, 2])
    cut = mesh.slice(normal="y", origin=(0, 0, 0)).points
    shape = VertebraShape(Vertebra(name))
    sections, paths = [], []
    for side in (1.0, -1.0):
        out = shape.axis(side)
        centre, *section = pedicle(mesh, wall, side, out)
        sections.append(section)
        paths.append(path(mesh, centre, out))
    width, tall = np.mean(sections, axis=0)
    kept = mesh.clip_closed_surface(normal=(0, -1, 0), origin=(0, wall + BEHIND, 0)).connectivity("largest")
    return {
        "body depth": float(depth),
        "anterior height": float(np.ptp(outline[y < front + 0.35 * depth][:, 2])),
        "posterior height": float(height),
        "upper width": float(np.ptp(cut[cut[:, 2] > 0.25 * height][:, 0])),
        "middle width": float(np.ptp(cut[np.abs(cut[:, 2]) < 0.1 * height][:, 0])),
        "lower width": float(np.ptp(cut[cut[:, 2] < -0.25 * height][:, 0])),
        "pedicle width": float(width),
        "pedicle height": float(tall),
        "screw path": float(np.mean(paths)),
        "volume of body and pedicles": float(kept.volume / 1000),
    }


def draw_cuts(surfaces, out):
    """Cuts of both surfaces of every level: transverse and coronal through the pedicles, and median."""
    figure, axes = plt.subplots(3, len(surfaces), figsize=(4 * len(surfaces), 11), layout="constrained")
    for column, (name, (mean, model)) in zip(axes.T, surfaces.items()):
        shape = VertebraShape(Vertebra(name))
        wall = [body_outline(mesh)[:, 1].max() for mesh in (mean, model)]
        centres = [pedicle(mesh, w, 1.0, shape.axis(1.0))[0] for mesh, w in zip((mean, model), wall)]
        for mesh, centre, colour, label in zip((mean, model), centres, ("black", "tab:red"), ("mean of 87", "model")):
            cuts = [("transverse", (0, 0, 1), 0, 1), ("median", (1, 0, 0), 1, 2), ("coronal", (0, 1, 0), 0, 2)]
            for axis, (title, normal, i, j) in zip(column, cuts):
                origin = (0, 0, 0) if title == "median" else centre
                for k, curve in enumerate(curves(mesh, origin, normal)):
                    axis.fill(curve[:, i], curve[:, j], fill=False, edgecolor=colour, lw=1.2, label=label if k == 0 else None)
                axis.set(title=f"{name}, {title}", xlabel="xyz"[i] + " mm", ylabel="xyz"[j] + " mm", aspect="equal")
    axes[0, 0].legend(loc="upper right", fontsize=8)
    figure.savefig(out, dpi=90)


def draw_levels(out):
    """Models of several levels side by side, from behind on the left."""
    plotter = pv.Plotter(off_screen=True, window_size=(1500, 900), shape=(2, 3))
    for k, name in enumerate(SHOWN):
        points, triangles = VertebraShape(Vertebra(name)).surface(np.eye(3), np.zeros(3), None, None, 1.6)
        plotter.subplot(k // 3, k % 3)
        plotter.add_mesh(pv.PolyData.from_regular_faces(points, triangles), color="#e3d5b8", smooth_shading=True)
        plotter.add_text(name, font_size=12, color="black")
        plotter.view_vector((0.8, 1.0, 0.7), viewup=(0, 0, 1))
        plotter.enable_parallel_projection()
        plotter.camera.parallel_scale = 62.0
    plotter.background_color = "white"
    plotter.screenshot(out)
    plotter.close()


def main():
    rows, surfaces, turns = [], {}, []
    for name in LEVELS:
        mean, angle = mean_surface(name)
        model = model_surface(name)
        surfaces[name] = mean, model
        turns.append(f"{name} {angle:+.1f}")
        a, b = measure(mean, name), measure(model, name)
        for key in a:
            deviation = 100 * (b[key] / a[key] - 1)
            rows.append({"level": name, "quantity": key, "unit": UNITS.get(key, "mm"), "measured": a[key],
                         "model": b[key], "deviation %": deviation, "flag": "over 15 %" if abs(deviation) > LIMIT else ""})
            print(*rows[-1].values())
    text = ("Measured: mean surfaces of 87 patients (Clouthier 2023, doi 10.1016/j.jbiomech.2022.111421), turned about the"
            f" left-right axis until their end plates lie like those of the model (degrees: {', '.join(turns)}).\n\n"
            "![cuts](vertebra_cuts.png)\n\n![levels](vertebra_levels.png)\n\n" + notes(__file__))
    write(HERE / "vertebra", rows, "Anthropometric vertebrae beside mean surfaces", text)
    draw_cuts(surfaces, HERE / "vertebra_cuts.png")
    draw_levels(HERE / "vertebra_levels.png")


if __name__ == "__main__":
    main()
