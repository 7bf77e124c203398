"""`python -m scenarios.view3d DIR OUT.png`: a spatial view of the mesh in DIR, drawn off-screen by VTK.

A process of its own, because graphics drivers that fail take their process with them. Exit code 0 if OUT was written,
3 with a sentence on stderr if this machine cannot render.
"""

import os
import sys
from pathlib import Path

import numpy as np

from scenarios.style import REGION_COLOURS, REGION_LAYERS

PIXELS = (1500, 1150)


BONES = ("trabecular", "pedicle", "posterior", "foam")


def parts(lab):
    """([(region name, pyvista mesh)], direction of view): bone cut open, the rest whole.

    Of tetrahedra the larger half of the bone on one side of the plane y = 0 is left; half planes are revolved, bone by
    three quarters of a turn.
    """
    import pyvista

    points, cells, region = lab["points"], lab["cells"], lab["region"]
    flat = cells.shape[1] == 3
    bone = np.isin(region, [number for number, name in REGION_LAYERS.items() if name in BONES])
    away = 1.0 if flat or points[cells[bone]][..., 1].sum() > -1e-6 * bone.sum() else -1.0
    out = []
    for number, name in REGION_LAYERS.items():
        chosen = cells[region == number]
        if not len(chosen):
            continue
        if flat:
            mesh = pyvista.PolyData.from_regular_faces(*_revolved(points, chosen, 1.5 if name in BONES else 2.0))
        elif name in BONES:
            mesh = pyvista.UnstructuredGrid({pyvista.CellType.TETRA: chosen}, points)
            mesh = mesh.clip("y", origin=(0.0, 1e-3, 0.0), invert=away < 0).extract_surface(algorithm="dataset_surface")
        else:
            mesh = pyvista.PolyData.from_regular_faces(points, _boundary(chosen))
        out.append((name, mesh))
    return out, (-0.75, -1.0, 0.55) if flat else (0.35, -away, 0.5)


def _boundary(tets):
    faces = np.concatenate([tets[:, [1, 2, 3]], tets[:, [0, 3, 2]], tets[:, [0, 1, 3]], tets[:, [0, 2, 1]]])
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return faces[first[count == 1]]


def _revolved(points, triangles, half_turns, sectors=60):
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    _, first, count = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    edges = edges[first[count == 1]]
    edges = edges[points[edges][..., 0].max(axis=1) > 1e-9]
    angle = np.linspace(0, half_turns * np.pi, sectors + 1)[:, None]
    r, z = points[:, 0], points[:, 1]
    space = np.stack([r * np.sin(angle), -r * np.cos(angle), np.broadcast_to(z, (sectors + 1, len(z)))], axis=-1)
    n = len(points)
    ring = np.arange(sectors)[:, None] * n
    a, b = edges[:, 0] + ring, edges[:, 1] + ring
    parts = [np.stack([a, b, b + n], axis=-1).reshape(-1, 3), np.stack([a, b + n, a + n], axis=-1).reshape(-1, 3)]
    if half_turns < 2:
        parts += [triangles, triangles + sectors * n]
    return space.reshape(-1, 3), np.concatenate(parts)


def draw(directory, out):
    """Write the picture `out` of the mesh in `directory`; raises whatever the renderer raises."""
    import pyvista
    import vtk

    vtk.vtkObject.GlobalWarningDisplayOff()     # VTK warns of the missing display before it falls back to EGL
    with np.load(Path(directory) / "mesh.npz", allow_pickle=False) as data:
        lab = {key: data[key] for key in ("points", "cells", "region")}
    plotter = pyvista.Plotter(off_screen=True, window_size=PIXELS, lighting="none")
    plotter.add_light(pyvista.Light(light_type="camera light", position=(-0.4, 0.5, 1.0), intensity=0.6))
    plotter.add_light(pyvista.Light(light_type="headlight", intensity=0.55))
    plotter.set_background("white")
    shown, direction = parts(lab)
    for name, mesh in shown:
        if mesh.n_cells == 0:
            continue
        plotter.add_mesh(mesh.clean(), color=REGION_COLOURS[name], show_edges=True, edge_color="#333333",
                         line_width=0.6, edge_opacity=0.3, ambient=0.35, diffuse=0.7,
                         specular=0.3 if name == "screw" else 0.0)
    plotter.view_vector(direction, viewup=(0, 0, 1) if lab["cells"].shape[1] == 3 else (1, 0, 0))
    plotter.enable_anti_aliasing("ssaa")
    plotter.screenshot(str(out))
    plotter.close()


def main(argv):
    devnull = os.open(os.devnull, os.O_WRONLY)
    loud = os.dup(2)
    os.dup2(devnull, 2)                         # the driver prints to the file descriptor, past any Python filter
    try:
        draw(argv[0], argv[1])
        return 0
    except Exception as error:
        os.dup2(loud, 2)
        print(f"no spatial view: this machine cannot render off-screen ({type(error).__name__}: {error})",
              file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
