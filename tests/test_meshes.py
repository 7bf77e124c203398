"""Meshes of screws in cylinders and blocks: regions, volumes, split interfaces, cement of the volume asked for."""

from dataclasses import replace

import gmsh
import numpy as np
import pytest

import meshes
from meshes import core
from meshes.kernel import gmsh_model
from meshes.labmesh import REGIONS, LabMesh, cell_volumes, export
from meshes.outline import radius_at
from meshes.profile import screw_outline
from meshes.split import adjacency, facet_vertices
from meshes.specimen import Block, Broken, Cement, Cylinder, Fenestration, Halo, MeshError, Resolution, Screw

COARSE = Resolution(1.0, 1.6, 6.0, 8)
SCREW = Screw(6.5, 25.0, 2.75, 4.5, fenestration=Fenestration(6, 1.5, 6.0))
CYLINDER = Cylinder(32.0, 36.0)
HOURGLASS = Halo(1.0, 6.5, 25.0, shape="hourglass")
CASES = {
    "native": (CYLINDER, SCREW, None, None),
    "halo": (CYLINDER, SCREW, Halo(1.0, 6.5, 25.0), None),
    "hourglass": (CYLINDER, SCREW, HOURGLASS, None),
    "empty": (CYLINDER, SCREW, Halo(1.0, 6.5, 25.0, content="empty"), None),
    "filled": (CYLINDER, SCREW, HOURGLASS, Cement(1500.0)),
    "partly filled": (CYLINDER, SCREW, Halo(1.0, 6.5, 25.0), Cement(400.0)),
    "fenestrations": (CYLINDER, SCREW, None, Cement(1200.0, "fenestrations")),
    "tip": (CYLINDER, SCREW, None, Cement(700.0, "tip")),
    "anterior": (CYLINDER, SCREW, None, Cement(1500.0, "anterior_two_thirds")),
    "revision": (CYLINDER, Screw(8.5, 25.0, 2.75, 6.0), HOURGLASS, None),
    "smooth": (CYLINDER, Screw(6.5, 25.0, 2.75, 4.5, thread="smooth"), None, None),
    "taper": (CYLINDER, Screw(6.5, 25.0, 2.75, 5.0, taper=1.0), None, None),
    "foam": (Block(40.0, 35.0, 25.0), Screw(6.5, 25.0, 2.75, 4.5, insertion_depth=20.0), None, None),
}


@pytest.fixture(scope="module", params=[(c, m) for c in CASES for m in ("axisymmetric", "threaded3d")], ids="-".join)
def made(request):
    name, model = request.param
    return name, meshes.build(*CASES[name], COARSE, model)


def facets_of(cells):
    n = cells.shape[1]
    return np.sort(np.concatenate([np.delete(cells, k, axis=1) for k in range(n)]), axis=1)


def test_cells_are_positive_and_conforming(made):
    _, mesh = made
    assert cell_volumes(mesh.points, mesh.cells).min() > 0
    _, count = np.unique(facets_of(mesh.cells), axis=0, return_counts=True)
    assert count.max() == 2
    assert mesh.quality()["radius_ratio_min"] > 0.02


def test_volumes_add_up(made):
    name, mesh = made
    specimen, screw, halo, _ = CASES[name]
    area = specimen.width**2 if name == "foam" else np.pi * specimen.diameter**2 / 4
    length = specimen.height if name == "foam" else specimen.length
    head = np.pi * (5.0**2 * screw.head_height + screw.core_radius(0.0) ** 2 * 0.5)
    if screw.thread == "smooth":
        head = np.pi * (5.0**2 * screw.head_height + screw.radius**2 * 0.5)
    total = sum(mesh.volumes().values())
    if halo is not None and halo.content == "empty":
        assert total < area * length
    else:
        assert total == pytest.approx(area * length + head, rel=5e-3)


def test_cement_has_the_volume_asked_for(made):
    name, mesh = made
    cement = CASES[name][3]
    volumes = mesh.volumes()
    found = volumes.get("cement", 0.0) + volumes.get("cemented_bone", 0.0)
    assert found == pytest.approx(cement.volume if cement else 0.0, rel=0.02)


def test_interfaces_are_split_node_by_node(made):
    name, mesh = made
    assert bool(mesh.interfaces) == (name != "empty")
    for minus, plus in mesh.interfaces.values():
        assert np.array_equal(mesh.points[minus], mesh.points[plus])
        assert not np.intersect1d(minus, plus).size
    screw = np.unique(mesh.cells[mesh.region == REGIONS["screw"]])
    assert not np.intersect1d(screw, mesh.cells[mesh.region != REGIONS["screw"]]).size


def test_named_facets(made):
    _, mesh = made
    screw = np.unique(mesh.cells[mesh.region == REGIONS["screw"]])
    assert np.isin(mesh.facets["head_top"], screw).all() and not np.isin(mesh.facets["held"], screw).any()
    assert len(mesh.facets["held"]) > 0
    boundary, count = np.unique(facets_of(mesh.cells), axis=0, return_counts=True)
    boundary = {tuple(f) for f in boundary[count == 1]}
    for facets in (mesh.facets["held"], mesh.facets["head_top"]):
        assert all(tuple(sorted(f)) in boundary for f in facets)


def test_save_load_and_export(tmp_path):
    mesh = meshes.build(*CASES["filled"], COARSE, "threaded3d")
    mesh.save(tmp_path / "mesh.npz")
    again = LabMesh.load(tmp_path / "mesh.npz")
    assert np.array_equal(again.cells, mesh.cells) and again.interfaces.keys() == mesh.interfaces.keys()
    export(mesh, tmp_path / "model.inp")
    text = (tmp_path / "model.inp").read_text()
    assert "ELSET=screw" in text.replace("elset", "ELSET") and "cemented_bone" in text
    mesh.to_msh(tmp_path / "mesh.msh")
    text = (tmp_path / "mesh.msh").read_text()
    assert text.startswith("$MeshFormat") and '"cemented_bone"' in text.split("$EndPhysicalNames")[0]
    with gmsh_model("read") as model:
        gmsh.merge(str(tmp_path / "mesh.msh"))
        assert {model.getPhysicalName(*group) for group in model.getPhysicalGroups(3)} == mesh.volumes().keys()
        assert len(model.mesh.getElementsByType(4)[0]) == len(mesh.cells)
    with pytest.raises(MeshError, match="extension"):
        export(mesh, tmp_path / "model.xyzzy")


@pytest.mark.parametrize("parts, words", [
    ((CYLINDER, SCREW, None, Cement(60000.0, "tip")), "do not fit"),
    ((Cylinder(7.0, 36.0), SCREW, None, None), "breaches"),
    ((Cylinder(32.0, 24.0), SCREW, None, None), "left below its tip"),
    ((CYLINDER, Screw(6.5, 25.0, 0.7, 4.5), None, None), "do not fit a pitch"),
    ((CYLINDER, Screw(6.5, 25.0, 2.75, 4.5), None, Cement(700.0, "fenestrations")), "fenestrated"),
])
def test_what_cannot_be_made_says_so(parts, words):
    with pytest.raises(MeshError, match=words):
        meshes.build(*parts, COARSE, "axisymmetric")


def test_cement_soaks_broken_bone_before_sound_bone():
    """Broken: bone on one side of the screw near the entry; the volume is what was asked for, with and without a rest."""
    halo = Halo(1.0, 6.5, 25.0)
    whole = meshes.build(CYLINDER, SCREW, halo, None, COARSE, "threaded3d")
    bone = whole.region == REGIONS["trabecular"]
    centres = whole.points[whole.cells[bone]].mean(axis=1)
    x, y, z = centres.T
    one_sided = (x > 0) & (np.abs(y) < 5) & (np.hypot(x, y) < 9) & (z > -12)
    broken = Broken(centres, cell_volumes(whole.points, whole.cells[bone]) * one_sided)
    void = meshes.build(CYLINDER, SCREW, halo, Cement(2000.0), COARSE, "threaded3d").volumes()["cement"]
    for volume, rest in ((void + 0.6 * broken.volume.sum(), False), (void + broken.volume.sum() + 500.0, True)):
        mesh = meshes.build(CYLINDER, SCREW, halo, Cement(volume, broken=broken), COARSE, "threaded3d")
        assert mesh.info["cement_volume_mm3"] == pytest.approx(volume, rel=0.08)
        wet = mesh.region == REGIONS["cemented_bone"]
        where = mesh.points[mesh.cells[wet]].mean(axis=1)
        w = cell_volumes(mesh.points, mesh.cells[wet])
        in_broken = (where[:, 0] > -1.0) & (np.abs(where[:, 1]) < 7) & (where[:, 2] > -14)
        assert w[in_broken].sum() == pytest.approx((1.0 if rest else 0.6) * broken.volume.sum(), rel=0.25)
        assert (w[~in_broken].sum() > 300.0) == rest
        assert any(name.startswith("cemented_bone_") for name in mesh.interfaces)
        # where filled bone reaches the surface, what lies on it (the cortex of a vertebra) is not cut
        boundary, _ = adjacency(mesh.cells)
        skin = boundary[np.isin(mesh.region[boundary[:, 0]], [REGIONS["cemented_bone"], REGIONS["trabecular"]])]
        skin = skin[np.all(np.abs(mesh.points[facet_vertices(mesh.cells, skin)][..., 2]) < 1e-9, axis=1)]
        owner = mesh.region[skin[:, 0]]
        wet, dry = (np.unique(facet_vertices(mesh.cells, skin[owner == REGIONS[name]])) for name in ("cemented_bone", "trabecular"))
        assert len(wet) > 5
        shared = {tuple(x) for x in np.round(mesh.points[wet], 6)} & {tuple(x) for x in np.round(mesh.points[dry], 6)}
        assert len(shared) > 3 and len(np.intersect1d(wet, dry)) == len(shared)


def test_cement_that_cannot_reach_broken_bone_goes_elsewhere():
    """Bone is broken under the hole and, apart from it, near the specimen's side: as much cement as was asked for is there all the same."""
    halo = Halo(1.0, 6.5, 25.0)
    whole = meshes.build(CYLINDER, SCREW, halo, None, COARSE, "threaded3d")
    bone = whole.region == REGIONS["trabecular"]
    centres = whole.points[whole.cells[bone]].mean(axis=1)
    far = (centres[:, 0] > CYLINDER.diameter / 2 - 3.0) & (centres[:, 2] < -5)
    broken = Broken(centres, cell_volumes(whole.points, whole.cells[bone]) * far)
    void = meshes.build(CYLINDER, SCREW, halo, Cement(2000.0), COARSE, "threaded3d").volumes()["cement"]
    mesh = meshes.build(CYLINDER, SCREW, halo, Cement(void + 0.5 * broken.volume.sum(), broken=broken), COARSE, "threaded3d")
    assert broken.volume.sum() > 500.0 and mesh.info["soaked_mm3"] < 0.1 * broken.volume.sum()
    assert mesh.info["cement_volume_mm3"] == pytest.approx(void + 0.5 * broken.volume.sum(), rel=0.02)


def test_a_measured_halo_ends_where_bone_is_whole_and_what_cement_does_not_fill_is_debris():
    """Loose at the entry and at the tip, whole between: the hole is the upper part, filled from its end; the rest stays bone."""
    halo = Halo(1.5, 6.5, 25.0, "measured", profile=((-24.0, 1.2), (-20.0, 0.9), (-17.0, 0.1), (-12.0, 0.6), (-6.0, 1.5), (-1.0, 1.5)))
    assert halo.bottom == 12.0
    assert Halo(1.5, 6.5, 25.0, "measured", profile=((-24.0, 1.2), (-12.0, 0.6), (-1.0, 0.1))).bottom == 0.0
    full = meshes.build(CYLINDER, SCREW, halo, Cement(2000.0), COARSE, "threaded3d")
    half = meshes.build(CYLINDER, SCREW, halo, Cement(0.5 * full.volumes()["cement"]), COARSE, "threaded3d")
    assert half.volumes()["cement"] == pytest.approx(0.5 * full.volumes()["cement"], rel=0.1)
    assert set(half.volumes()) == {"screw", "cement", "trabecular"}


def test_threads_follow_the_groove_of_an_earlier_screw():
    """1 mm above their own: every crest is where one was; the one that would stand at the entry is left out."""
    def crests(screw):
        chain = screw_outline(screw)
        z = chain[(chain[:, 0] == screw.radius) & (chain[:, 1] < 0.0), 1]
        return z.reshape(-1, 2)[:, 0]

    own, followed = crests(SCREW), crests(replace(SCREW, follows=1.0, insertion_depth=SCREW.depth - 1.0))
    assert followed == pytest.approx(own[1:] + 1.0) and own[0] + 1.0 > -0.05 * SCREW.pitch


def test_the_core_of_a_screw_that_is_not_all_in():
    """It tapers from the head on, wherever the bone begins."""
    whole, part = Screw(6.5, 45.0, 2.75, 4.5, taper=1.0), Screw(6.5, 45.0, 2.75, 4.5, taper=1.0, insertion_depth=20.0)
    assert part.core_radius(25.0) == pytest.approx(2.25) and part.core_radius(-20.0) == pytest.approx(whole.core_radius(-45.0))


def test_a_halo_that_flares_at_the_entry_ends_within_the_core():
    """Bone is narrow at the very entry of a vertebra; a screw that has toggled leaves its widest halo there."""
    def room(z):
        return np.interp(-np.asarray(z), [0.0, 1.0, 4.0, 60.0], [5.45, 6.5, 8.4, 8.4])

    halo = Halo(2.4, 6.2, 45.0, "measured", profile=((-40.0, 0.0), (-16.0, 0.1), (-6.0, 1.8), (-0.5, 2.4)))
    made = core.make(Screw(6.2, 45.0, 2.75, 4.3), halo, None, COARSE, "trabecular", room)
    assert np.isclose(made.profile.points[:, 0][np.isclose(made.profile.points[:, 1], 0.0)].max(), made.rim_radius)
    shown = made.profile.points[np.unique(made.profile.cells[made.profile.region == REGIONS["halo"]])]
    assert np.all(shown[:, 0] < radius_at(made.outer, np.minimum(shown[:, 1], -1e-9)) - 0.1)
