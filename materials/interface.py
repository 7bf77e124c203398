"""Contact, friction and adhesion for each pair of regions, named 'minus_plus' as in the mesh.

Cement on bone is a compliant mixed-mode cohesive layer whose strength follows the amount of bone it interlocks with, a choice
(Waanders 2010 found it to follow the depth of the interdigitation): strengths and energies are scaled by BV/TV over the reference, so the opening at failure stays.
"""

from materials import library

BONES = ("trabecular", "pedicle", "posterior")
CEMENTS = ("cement", "cemented_bone")
BOND = ["normal_stiffness", "shear_stiffness", "normal_strength", "shear_strength", "energy_I", "energy_II", "eta", "reference_bvtv"]


def _pair(name):
    """Region names of an interface name; 'cemented_bone' has an underscore of its own."""
    for minus in ("screw", *CEMENTS[::-1]):
        if name.startswith(minus + "_"):
            return minus, name[len(minus) + 1:]
    raise ValueError(f"interface {name}: starts with none of screw, cement, cemented_bone")


def cohesive(bvtv):
    """Mixed-mode cohesive law of cement on bone of `bvtv`; MPa/mm, MPa, N/mm."""
    v = library.load("interface")
    share = bvtv / v.reference_bvtv
    return {"normal_stiffness": float(v.normal_stiffness), "shear_stiffness": float(v.shear_stiffness),
            "normal_strength": v.normal_strength * share, "shear_strength": v.shear_strength * share,
            "energy_I": v.energy_I * share, "energy_II": v.energy_II * share, "eta": float(v.eta),
            "fatigue_exponent": float(library.load("fatigue").interface_exponent)}


def interface(name, bvtv):
    """Parameters of interface `name` beside bone (or foam) of solid fraction `bvtv`, with their sources. Raises ValueError if unknown."""
    v = library.load("interface")
    minus, plus = _pair(name)
    if minus == "screw" and plus in (*BONES, *CEMENTS):
        kind = "cement" if plus in CEMENTS else "bone"
        friction, adhesion = f"screw_{kind}_friction", f"screw_{kind}_adhesion"
    elif plus == "halo":
        friction, adhesion = "screw_halo_friction", None
    elif minus == "screw" and plus == "foam":
        friction, adhesion = "screw_foam_friction", None
    elif minus in CEMENTS and plus in (*BONES, "foam"):
        friction, adhesion = "cement_bone_friction", None
    else:
        raise ValueError(f"interface {name}: no law for {minus} on {plus}")
    bonded = minus in CEMENTS and plus != "halo"
    keys = [key for key in (friction, adhesion) if key] + (BOND if bonded else [])
    return {"friction": float(getattr(v, friction)), "adhesion": float(getattr(v, adhesion)) if adhesion else 0.0,
            "cohesive": cohesive(bvtv) if bonded else None, "sources": library.sources("interface", *keys)}
