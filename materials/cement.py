"""PMMA, bone filled with it, and how much room an injected volume takes.

Bone inside the cement is mechanically switched off: it shrinks from the cement as this cures, and the pores of the
cement govern stiffness and strength (Kinzl 2012). Filled bone is therefore porous cement, E = E_cement (1 - p)^n, and
not a mixture with bone. Both yield at their strength and hold it. In compression PMMA does; in tension and shear it breaks, so what
holds on because cement yields is an upper bound, and the plastic strain of the cement tells where that matters. Pressed from all
sides the isotropic quadric through the three strengths yields at 0.55 of the compressive strength, which solid PMMA does not.
"""

from materials import fatigue, library
from materials.law import Law, quadric
from materials.tensors import isotropic


def _law(name, factor, modulus, warnings):
    v = library.load("cement")
    modulus = v.modulus if modulus is None else v.modulus.check(modulus, "cement modulus", warnings)
    tension, shear = v.tensile_strength / v.compressive_strength, v.shear_strength / v.compressive_strength
    S0 = (1 + tension) / (2 * tension)
    zeta = min(1 / (2 * (shear * S0) ** 2) - 1, 0.0)     # isotropic where the three strengths allow it
    F, f = quadric(tension, shear, zeta, zeta)
    tiring, references = fatigue.cement()
    keys = ("modulus", "poisson", "compressive_strength", "tensile_strength", "shear_strength")
    if factor != 1.0:
        keys += ("porosity", "porosity_exponent")
    return Law(name, "plastic", isotropic(modulus * factor, v.poisson), v.compressive_strength * factor, F, f,
               fatigue=tiring, sources=library.sources("cement", *keys) | references)


def cement(warnings, modulus=None):
    """Law of solid PMMA; `modulus` in MPa if not the default."""
    return _law("cement", 1.0, modulus, warnings)


def cemented_bone(warnings, modulus=None, porosity=None):
    """Law of bone filled with PMMA of `modulus` (MPa) that leaves the fraction `porosity` of the pores empty."""
    v = library.load("cement")
    porosity = v.porosity if porosity is None else v.porosity.check(porosity, "porosity of the cement", warnings)
    return _law("cemented_bone", (1 - porosity) ** v.porosity_exponent, modulus, warnings)


def bulk_volume(volume_ml, bvtv, void_volume=0.0, porosity=None):
    """Volume (mm^3) that `volume_ml` of injected cement occupies together with the bone it surrounds.

    The cement first fills `void_volume` (mm^3, a halo or an empty hole); the rest enters the pores, of which it fills
    (1 - bvtv)(1 - porosity) of the bulk: V_bulk = V_void + (V - V_void) / ((1 - bvtv)(1 - p)). If the void swallows
    all, V_bulk is the injected volume. Raises ValueError for a negative volume or bvtv outside 0 to 1.
    """
    if volume_ml <= 0 or void_volume < 0 or not 0 <= bvtv < 1:
        raise ValueError("cement volume must be positive, the void not negative and BV/TV between 0 and 1")
    porosity = library.load("cement").porosity if porosity is None else porosity
    injected = 1000.0 * volume_ml
    return min(injected, void_volume) + max(injected - void_volume, 0.0) / ((1 - bvtv) * (1 - porosity))
