"""Vertebrae: the surface is sound, the sizes are those of the level, and what is gripped, held and covered is the right bone."""

from collections import Counter

import numpy as np
import pytest

import meshes
from meshes.anatomy import ORDER, level
from meshes.labmesh import REGIONS, cell_volumes
from meshes.specimen import Broken, Cement, Fenestration, Halo, MeshError, Resolution, Screw, Vertebra
from meshes.vertebra import VertebraShape, entry_radius
from scenarios.protocol import breach, way_in_bone

COARSE = Resolution(1.2, 2.0, 7.0, 8)
FITS = {"T": Screw(4.0, 25.0, 2.0, 2.8), "L": Screw(6.5, 40.0, 2.75, 4.5), "S": Screw(6.5, 35.0, 2.75, 4.5)}


def opened(name, side="left", size=3.5):
    """Shape, frame and surface of a level with a ring of eight nodes at the entry."""
    shape = VertebraShape(Vertebra(name, side))
    radius = FITS[name[0]].radius + 0.6
    R, origin = shape.frame(radius + 0.8)
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return shape, R, origin, ring, *shape.surface(R, origin, radius + 0.7, ring, size)


@pytest.mark.parametrize("name, side", [("T1", "left"), ("T6", "right"), ("T12", "left"), ("L3", "left"), ("L5", "right"),
                                        ("S1", "left")])
def test_surface_is_closed_but_for_the_ring(name, side):
    _, R, _, ring, points, triangles = opened(name, side)
    assert np.allclose(R.T @ R, np.eye(3)) and np.linalg.det(R) > 0
    edges = Counter(tuple(sorted((t[k], t[(k + 1) % 3]))) for t in triangles for k in range(3))
    assert set(edges.values()) == {1, 2}
    rim = np.unique([e for e, n in edges.items() if n == 1])
    assert len(rim) == len(ring)
    assert {tuple(p) for p in np.round(points[rim], 9)} == {tuple(p) for p in np.round(ring, 9)}
    corner = points[triangles]
    sides = [corner[:, (k + 1) % 3] - corner[:, k] for k in range(3)]
    length = [np.linalg.norm(s, axis=1) for s in sides]
    angles = [np.arccos(np.clip(-np.sum(sides[k] * sides[k - 1], axis=1) / length[k] / length[k - 1], -1, 1)) for k in range(3)]
    assert np.degrees(np.min(angles)) > 3.0  # narrowest where the entry meets the lamina of T1
    volume = np.einsum("ij,ij->", corner.mean(axis=1), np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])) / 6
    assert volume > 5000.0


@pytest.mark.parametrize("name", ["T8", "L2", "L3", "L4", "L5"])
def test_sizes_are_those_of_the_level(name):
    """Body and pedicle of the finished shape within 15 % of the table (L2 to L5: mean surfaces of 87 patients)."""
    v, shape = level(name), VertebraShape(Vertebra(name))

    def extent(start, direction):
        t = np.arange(-60.0, 60.0, 0.05)
        inside = t[shape.sdf(start + t[:, None] * np.asarray(direction, float)) < 0]
        piece = inside[np.abs(inside) < 59]
        gaps = np.flatnonzero(np.diff(piece) > 0.1)
        near = np.split(piece, gaps + 1)
        around = next(p for p in near if p[0] <= 0.0 <= p[-1])
        return around[-1] - around[0]

    assert extent(np.zeros(3), [0, 1, 0]) == pytest.approx(v.depth, rel=0.15)
    assert extent(np.array([0, 0, 0.4 * v.height]), [1, 0, 0]) == pytest.approx(v.width, rel=0.15)
    assert extent(np.array([0, 0.3 * v.depth, 0.0]), [0, 0, 1]) == pytest.approx(v.height, rel=0.15)
    out, centre = shape.axis(1.0), shape.centre(1.0)
    lateral = np.cross(out, [0, 0, 1.0])
    assert extent(centre, lateral / np.linalg.norm(lateral)) == pytest.approx(v.pedicle_width, rel=0.15)
    cranial = np.cross(lateral, out)
    if name == "L5":
        return  # its arch springs from the pedicle: the section has no upper and lower end
    assert extent(centre, cranial / np.linalg.norm(cranial)) == pytest.approx(v.pedicle_height, rel=0.15)


def test_levels_without_data_say_so():
    assert "interpolated between T4 and T6" in level("T5").source
    assert "87 patients" in level("L3").source and "interpolated" not in level("L3").source
    with pytest.raises(KeyError, match="T1, T2"):
        level("C7")


@pytest.fixture(scope="module")
def l3():
    return meshes.build(Vertebra("L3"), FITS["L"], None, None, COARSE, "threaded3d")


def test_only_the_screw_is_gripped(l3):
    """Bone rises above the level of the head (articular process): it must not be pulled along."""
    head = l3.facets["head_top"]
    screw = np.unique(l3.cells[l3.region == REGIONS["screw"]])
    assert np.isin(head, screw).all() and np.ptp(l3.points[head][..., 2]) < 1e-9
    assert l3.points[np.unique(l3.cells[l3.region != REGIONS["screw"]])][:, 2].max() > l3.points[head][..., 2].max()


def test_resin_holds_the_body_and_cortex_covers_the_rest(l3):
    R, origin = l3.frame
    held = l3.points[l3.facets["held"]].mean(axis=1) @ R.T + origin
    assert held[:, 1].max() < level("L3").depth / 2 - 2.0 + 1e-6 and len(held) > 100
    cortex = l3.facets["cortex"]
    screw = np.unique(l3.cells[l3.region == REGIONS["screw"]])
    assert not np.isin(cortex, screw).any()
    rim = cortex[np.all(np.abs(l3.points[cortex][..., 2]) < 1e-6, axis=1)]
    radius = np.hypot(*np.moveaxis(l3.points[rim][..., :2], -1, 0))
    assert radius.min() == pytest.approx(FITS["L"].core_diameter / 2, rel=0.1)  # the dorsal cortex reaches the shank
    assert len(l3.cortex_thickness) == len(cortex)


@pytest.mark.parametrize(("name", "lateral", "medial"), [("L3", 0.7, 0.8), ("L4", 1.1, 1.3), ("T8", 0.7, 0.8)])
def test_the_wall_of_the_pedicle_is_thickest_above_and_below(name, lateral, medial):
    from meshes.vertebra import VertebraShape

    shape = VertebraShape(Vertebra(name))
    centre, along = shape.centre(1.0), shape.axis(1.0)
    side = np.array([1.0, 0, 0]) - along * along[0]
    side *= 0.5 * level(name).pedicle_width / np.linalg.norm(side)
    up = 0.5 * level(name).pedicle_height * np.cross(side, along) / np.linalg.norm(side)
    found = shape.cortex_thickness(np.array([centre + side, centre - side, centre + up, centre - up]))
    assert found == pytest.approx([lateral, medial, 1.75, 1.75], abs=0.02)
    front = centre - along * np.array([[2.0], [6.0], [10.0], [40.0]]) + up  # from the isthmus into the body
    root = shape.cortex_thickness(front)
    assert np.all(np.diff(root) <= 1e-9) and root[-1] == 0.35


def test_the_shell_of_a_meshed_vertebra(l3):
    assert l3.cortex_thickness.min() == 0.35 and 1.6 < l3.cortex_thickness.max() <= 1.75
    assert set(l3.volumes()) == {"screw", "trabecular", "pedicle", "posterior"}
    assert len(l3.facets["endplate"]) > 50


@pytest.mark.parametrize("name, screw", [("L3", Screw(12.0, 45.0, 2.75, 8.0)), ("T5", Screw(6.5, 35.0, 2.75, 4.5))])
def test_too_thick_a_screw_is_refused(name, screw):
    with pytest.raises(MeshError, match="breaches|no flat entry"):
        meshes.build(Vertebra(name), screw, None, None, COARSE, "threaded3d")


@pytest.mark.parametrize("name", ["T8", "L3", "S1"])
def test_a_screw_may_be_as_long_as_the_way_through_its_vertebra(name):
    """The check of scenarios asks the shape: a screw 4 mm shorter than the way fits, one as long as it does not."""
    thin = 4.5 if name[0] == "T" else 6.5
    way = way_in_bone(Vertebra(name), thin)
    assert {"T8": 44.0, "L3": 56.0, "S1": 65.0}[name] < way < 75.0
    R, origin = VertebraShape(Vertebra(name)).frame(thin / 2)
    depths, radii = VertebraShape(Vertebra(name)).clearance(R, origin, 90.0)
    assert way == pytest.approx(depths[radii > 0][-1], abs=0.5)
    if name == "L3":
        meshes.build(Vertebra(name), Screw(thin, way - 4.0, 2.75, 4.5), None, None, COARSE, "threaded3d")
        with pytest.raises(MeshError, match="breaches"):
            meshes.build(Vertebra(name), Screw(thin, way, 2.75, 4.5), None, None, COARSE, "threaded3d")


@pytest.mark.parametrize("name", ["T4", "T8", "T11", "L1", "L4"])
def test_a_breach_is_told_before_meshing_where_the_mesher_would_find_it(name):
    shape, told = VertebraShape(Vertebra(name)), []
    for diameter in (4.0, 5.5, 7.0, 8.5):
        try:
            R, origin = shape.frame(entry_radius(diameter))
        except MeshError:
            with pytest.raises(MeshError, match="no flat entry"):
                breach(Vertebra(name), diameter, 35.0)
            continue
        depths, radii = shape.clearance(R, origin, 35.0)
        narrow = np.interp(np.linspace(0.5, 35.0, 200), depths, radii).min() - diameter / 2 - 0.3  # as meshes.core asks
        if abs(narrow) > 0.1:
            told.append(breach(Vertebra(name), diameter, 35.0) is not None)
            assert told[-1] == (narrow < 0)
    assert told


def test_cement_round_the_tip_stays_behind_the_front_of_the_body():
    """A long screw in a small body: the cloud ends where the bone in front of the tip gets too narrow for it."""
    screw, cement = Screw(6.0, 45.0, 2.75, 4.1, fenestration=Fenestration(4, 1.5, 8.0)), Cement(2700.0, "fenestrations")
    mesh = meshes.build(Vertebra("L1", "left"), screw, None, cement, COARSE, "threaded3d")
    assert mesh.volumes()["cemented_bone"] == pytest.approx(2700.0, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ORDER)
def test_every_level_is_meshed(name, side):
    thin = Screw(min(4.0, 0.75 * level(name).pedicle_width), 25.0, 2.0, 2.0)
    mesh = meshes.build(Vertebra(name, side), thin if name[0] == "T" else FITS[name[0]], None, None, COARSE, "threaded3d")
    assert mesh.quality()["radius_ratio_min"] > 0.005


def test_a_revision_screw_takes_the_place_of_the_first():
    """Tip and top of the head are where those of the first screw were, though a wider flat entry lies deeper; so is its halo."""
    first = meshes.build(Vertebra("L3"), Screw(6.5, 45.0, 2.75, 4.5, head_height=9.5), None, None, COARSE, "threaded3d")
    halo = Halo(1.0, 6.5, 45.0, "hourglass")
    thick = Screw(8.5, 45.0, 2.75, 6.5, head_height=9.5)
    revised = meshes.build(Vertebra("L3", first_diameter=6.5), thick, halo, None, COARSE, "threaded3d")

    def place(mesh, z):
        return mesh.frame[0][:, 2] * z + mesh.frame[1]

    def top(mesh):
        return mesh.points[mesh.facets["head_top"]][..., 2].max()

    depths = [mesh.info["insertion_depth_mm"] for mesh in (first, revised)]
    assert depths[0] == 45.0 and 43.5 < depths[1] < 44.5
    assert place(revised, -depths[1]) == pytest.approx(place(first, -45.0)) and place(revised, top(revised)) == pytest.approx(place(first, top(first)))
    tissue = revised.points[revised.cells[revised.region == REGIONS["halo"]]]
    assert tissue[..., 2].min() == pytest.approx(-depths[1] - 1.0, abs=0.05), "1 mm below the old tip"


def test_cement_in_a_measured_halo_is_all_there_and_ends_where_bone_is_whole():
    """As much as was injected: in the void, in broken bone, in the body; none as pure cement where the screw was not loose."""
    z = -np.linspace(44.5, 0.5, 45)
    thickness = np.minimum(1.3, np.interp(-z, [0, 15, 20, 20.5], [3.0, 1.5, 0.6, 0.0]))
    halo = Halo(1.3, 6.5, 45.0, "measured", profile=tuple(zip(z, thickness)))
    assert halo.bottom == pytest.approx(19.5)
    screw, pores, injected = Screw(6.5, 45.0, 2.75, 4.5), 0.72, 2000.0
    native = meshes.build(Vertebra("L2"), screw, None, None, COARSE, "threaded3d")
    centres = native.points[native.cells].mean(axis=1)
    bone = native.region != REGIONS["screw"]
    loose = bone & (np.hypot(*centres[:, :2].T) < 5.5) & (centres[:, 2] > -12)
    R, origin = native.frame
    broken = Broken((centres @ R.T + origin)[bone], np.where(loose, cell_volumes(native.points, native.cells), 0.0)[bone])
    cement = Cement(injected, broken=broken, pores=pores)
    mesh = meshes.build(Vertebra("L2"), screw, halo, cement, COARSE, "threaded3d")
    volumes = mesh.volumes()
    assert volumes["cement"] + pores * volumes["cemented_bone"] == pytest.approx(injected, rel=0.01)
    pure = mesh.points[mesh.cells[mesh.region == REGIONS["cement"]]]
    assert -22.0 < pure[..., 2].min() < -17.0
    assert mesh.quality()["radius_ratio_min"] > 0.01
    left_over = mesh.points[mesh.cells[mesh.region == REGIONS["cemented_bone"]]].mean(axis=1)
    deep = left_over[left_over[:, 2] < -23.0]  # bone that was not broken
    assert len(deep) and ((deep @ R.T + origin)[:, 1] < 0.5 * level("L2").depth + 1.0).all(), "in the body, not in the pedicle"
