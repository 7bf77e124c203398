"""The mesh of one laboratory test: cells, named regions, boundary facets and split interfaces, in the screw frame."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meshes.specimen import MeshError

REGIONS = {
    "screw": 1,
    "trabecular": 2,
    "pedicle": 3,
    "posterior": 4,
    "foam": 5,
    "halo": 6,
    "cement": 7,  # pure, where there was a void or a halo
    "cemented_bone": 8,  # bone infiltrated by cement
}
NAMES = {number: name for name, number in REGIONS.items()}
BONE = ("trabecular", "pedicle", "posterior", "foam")
CEMENT = ("cement", "cemented_bone")


@dataclass
class LabMesh:
    """Straight-sided tetrahedra (dim 3) or triangles in the (r, z) half plane (dim 2); mm.

    points (n, dim); cells (m, dim+1), positively oriented; region (m,) values of REGIONS.
    facets: name -> (k, dim) vertex ids, outward oriented: 'head_top', 'held', 'cortex', 'endplate', 'axis'.
    interfaces: 'screw_trabecular' ... -> (minus, plus), two (k, dim) arrays; row by row and vertex by vertex the two
    sides coincide in space and share no node. The normal of `minus` points into the plus side: (b-a)x(c-a) in 3D,
    (dz, -dr) of the edge in the half plane.
    cortex_thickness (k,): mm, per facet of 'cortex'. frame: (R, origin), x_anatomical = R @ x + origin.
    info: volumes, counts, quality and notes, JSON-ready.
    """

    points: np.ndarray
    cells: np.ndarray
    region: np.ndarray
    facets: dict = field(default_factory=dict)
    interfaces: dict = field(default_factory=dict)
    cortex_thickness: np.ndarray = field(default_factory=lambda: np.zeros(0))
    frame: tuple = field(default_factory=lambda: (np.eye(3), np.zeros(3)))
    info: dict = field(default_factory=dict)

    @property
    def dim(self):
        return self.points.shape[1]

    def volumes(self):
        """Region name -> volume, mm^3; the half plane counts its full revolution."""
        measure = cell_volumes(self.points, self.cells)
        return {NAMES[n]: float(measure[self.region == n].sum()) for n in np.unique(self.region)}

    def quality(self):
        """Radius ratio d * inscribed / circumscribed radius (1 best) and longest/shortest edge: extremes and means."""
        ratio, aspect = radius_ratio(self.points, self.cells), edge_aspect(self.points, self.cells)
        return {
            "radius_ratio_min": float(ratio.min()),
            "radius_ratio_mean": float(ratio.mean()),
            "radius_ratio_below_0.05": int((ratio < 0.05).sum()),
            "aspect_max": float(aspect.max()),
            "aspect_mean": float(aspect.mean()),
        }

    def save(self, path):
        """Write everything to one .npz; `load` gives it back."""
        arrays = {f"facets/{name}": f for name, f in self.facets.items()}
        for name, (minus, plus) in self.interfaces.items():
            arrays[f"minus/{name}"], arrays[f"plus/{name}"] = minus, plus
        np.savez_compressed(
            path, points=self.points, cells=self.cells, region=self.region, cortex_thickness=self.cortex_thickness,
            rotation=self.frame[0], origin=self.frame[1], info=np.array(json.dumps(self.info)), **arrays,
        )  # fmt: skip

    @classmethod
    def load(cls, path):
        with np.load(path) as data:
            part = {prefix: {k[len(prefix) :]: data[k] for k in data.files if k.startswith(prefix)}
                    for prefix in ("facets/", "minus/", "plus/")}  # fmt: skip
            return cls(
                data["points"], data["cells"], data["region"], part["facets/"],
                {name: (minus, part["plus/"][name]) for name, minus in part["minus/"].items()},
                data["cortex_thickness"], (data["rotation"], data["origin"]), json.loads(str(data["info"])),
            )  # fmt: skip

    def to_msh(self, path):
        """Gmsh 2.2 file with the regions, boundary sets and both sides of the interfaces as physical names."""
        export(self, Path(path).with_suffix(".msh"))


def export(mesh, path):
    """Write the mesh in the format of the file's extension, as far as meshio knows it.

    Regions become cell sets by name (element sets of an Abaqus or CalculiX .inp), boundary sets and interface sides
    (`<interface>_minus`, `_plus`) become sets of facets where the format has them. Raises MeshError otherwise.
    """
    import meshio

    path = Path(path)
    known = meshio.extension_to_filetypes
    if path.suffix.lower() not in known:
        raise MeshError(f"cannot write '{path.name}': the extension is not one of {', '.join(sorted(known))}")
    kinds = known[path.suffix.lower()]
    kind = "gmsh" if "gmsh" in kinds else kinds[0]  # the first that meshio knows for .msh is Ansys Fluent's
    cell, facet = ("tetra", "triangle") if mesh.dim == 3 else ("triangle", "line")
    points = mesh.points if mesh.dim == 3 else np.column_stack([mesh.points, np.zeros(len(mesh.points))])
    facets = dict(mesh.facets)
    for name, (minus, plus) in mesh.interfaces.items():
        facets[f"{name}_minus"], facets[f"{name}_plus"] = minus, plus
    facets = {name: f for name, f in facets.items() if len(f)}
    try:
        if kind == "abaqus":
            _write_inp(path, points, mesh, facets)
            return
        blocks = [(cell, mesh.cells[mesh.region == n]) for n in np.unique(mesh.region)]
        tags = [np.full(len(b), n, np.int32) for (_, b), n in zip(blocks, np.unique(mesh.region))]
        field_data = {NAMES[n]: np.array([n, mesh.dim]) for n in np.unique(mesh.region)}
        if kind == "gmsh":
            for number, (name, f) in enumerate(facets.items(), start=101):
                blocks.append((facet, f))
                tags.append(np.full(len(f), number, np.int32))
                field_data[name] = np.array([number, mesh.dim - 1])
            data = {"gmsh:physical": tags, "gmsh:geometrical": tags}
            meshio.write(path, meshio.Mesh(points, blocks, cell_data=data, field_data=field_data), "gmsh22", binary=False)
        else:
            meshio.write(path, meshio.Mesh(points, blocks, cell_data={"region": tags}), kind)
    except (meshio.WriteError, KeyError, TypeError, ImportError) as error:
        raise MeshError(f"'{path.suffix}' files cannot hold this mesh of {cell} cells: {error}") from error


def _write_inp(path, points, mesh, facets):
    """Abaqus/CalculiX input: C3D4 or CAX3 elements, one ELSET per region, one NSET per facet set."""
    element = "C3D4" if mesh.dim == 3 else "CAX3"
    ids = np.arange(1, len(mesh.cells) + 1)
    with open(path, "w") as out:
        out.write(f"*HEADING\nhalofix, mm N MPa s, screw axis {'z' if mesh.dim == 3 else 'y (radius x)'}\n*NODE\n")
        np.savetxt(out, np.column_stack([np.arange(1, len(points) + 1), points]), "%d, %.9g, %.9g, %.9g")
        for n in np.unique(mesh.region):
            chosen = mesh.region == n
            out.write(f"*ELEMENT, TYPE={element}, ELSET={NAMES[n]}\n")
            np.savetxt(out, np.column_stack([ids[chosen], mesh.cells[chosen] + 1]), "%d", delimiter=", ")
        for name, f in facets.items():
            nodes = np.unique(f) + 1
            out.write(f"*NSET, NSET={name}\n")
            out.writelines(", ".join(map(str, nodes[i : i + 12])) + ",\n" for i in range(0, len(nodes), 12))


def cell_volumes(points, cells):
    """(m,) signed volumes of tets, or of the rings that triangles of the (r, z) half plane sweep (Pappus); mm^3."""
    x = points[cells]
    if points.shape[1] == 3:
        return np.linalg.det(x[:, 1:] - x[:, :1]) / 6
    return np.linalg.det(x[:, 1:] - x[:, :1]) / 2 * 2 * np.pi * x[:, :, 0].mean(axis=1)


def edge_aspect(points, cells):
    """(m,) longest over shortest edge."""
    x = points[cells]
    i, j = np.triu_indices(cells.shape[1], 1)
    lengths = np.linalg.norm(x[:, i] - x[:, j], axis=2)
    return lengths.max(axis=1) / lengths.min(axis=1)


FLAT = 1e-200  # in place of nothing at all


def radius_ratio(points, cells):
    """(m,) dim * inscribed / circumscribed radius of tets or triangles; 1 for the regular simplex, 0 for flat ones."""
    x = points[cells]
    if cells.shape[1] == 3:
        a, b, c = (np.linalg.norm(x[:, i] - x[:, j], axis=1) for i, j in ((1, 2), (2, 0), (0, 1)))
        return (b + c - a) * (c + a - b) * (a + b - c) / (a * b * c)
    a, b, c = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0], x[:, 3] - x[:, 0]
    bc, ca, ab = np.cross(b, c), np.cross(c, a), np.cross(a, b)
    six_v = np.abs(np.einsum("ij,ij->i", a, bc))
    areas = sum(np.linalg.norm(v, axis=1) for v in (bc, ca, ab, bc + ca + ab)) / 2
    square = [np.einsum("ij,ij->i", v, v)[:, None] for v in (a, b, c)]
    around = np.linalg.norm(square[0] * bc + square[1] * ca + square[2] * ab, axis=1)  # 2 six_v circumscribed radii
    return 3 * six_v**2 / np.maximum(areas * around, FLAT)
