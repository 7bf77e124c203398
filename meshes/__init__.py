"""Gmsh meshes of screws in vertebrae, bone cylinders and foam blocks, with named regions and split interfaces."""


def build(specimen, screw, halo, cement, resolution, model):
    """Mesh one laboratory test.

    specimen: Vertebra, Cylinder or Block; screw: Screw; halo: Halo or None; cement: Cement or None; resolution:
    Resolution; model: 'threaded3d' or 'axisymmetric' (cylinders and blocks). Returns a `meshes.labmesh.LabMesh`.
    Raises `meshes.specimen.MeshError` with a sentence for the user if something does not fit.
    """
    from meshes.assembly import assemble  # gmsh is loaded only when something is meshed

    return assemble(specimen, screw, halo, cement, resolution, model)
