"""PMMA, bone filled with it, and how much of bone it fills.

Bone inside the cement is mechanically switched off: it shrinks from the cement as this cures, and the pores of the
cement govern stiffness and strength (Kinzl 2012). Filled bone is therefore porous cement, E = E_cement (1 - p)^n, and
not a mixture with bone. Both yield at their strength and hold it. In compression PMMA does; in tension and shear it breaks, so what
holds on because cement yields is an upper bound, and the plastic strain of the cement tells where that matters. Pressed from all
sides the isotropic quadric through the three strengths yields at 0.55 of the compressive strength, which solid PMMA does not.
"""

from materials import fatigue, library
from materials.law import Law, quadric
from materials.tensors import isotropic


def _law(name, factor):
    v = library.load("cement")
    tension, shear = v.tensile_strength / v.compressive_strength, v.shear_strength / v.compressive_strength
    S0 = (1 + tension) / (2 * tension)
    zeta = min(1 / (2 * (shear * S0) ** 2) - 1, 0.0)     # isotropic where the three strengths allow it
    F, f = quadric(tension, shear, zeta, zeta)
    tiring, references = fatigue.cement()
    keys = ("modulus", "poisson", "compressive_strength", "tensile_strength", "shear_strength")
    if factor != 1.0:
        keys += ("porosity", "porosity_exponent")
    return Law(name, "plastic", isotropic(v.modulus * factor, v.poisson), v.compressive_strength * factor, F, f,
               fatigue=tiring, sources=library.sources("cement", *keys) | references)


def cement():
    """Law of solid PMMA."""
    return _law("cement", 1.0)


def cemented_bone():
    """Law of bone filled with PMMA that leaves a part of the pores empty."""
    v = library.load("cement")
    return _law("cemented_bone", (1 - v.porosity) ** v.porosity_exponent)


def pores(bvtv):
    """Share of bone of `bvtv` that cement fills: (1 - bvtv)(1 - p). Raises ValueError for a bvtv outside 0 to 1."""
    if not 0 <= bvtv < 1:
        raise ValueError("BV/TV lies between 0 and 1")
    return (1 - bvtv) * (1 - library.load("cement").porosity)
