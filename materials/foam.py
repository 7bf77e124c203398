"""Rigid polyurethane foam of ASTM F1839 at any density, between the tabulated grades on straight log-log lines.

The data sheet gives modulus and strength in compression, tension and shear, and they are not those of an isotropic
solid (grade 15: E/(2(1+nu)) is 47 MPa, the measured G 33). Both are kept: isotropic about the screw axis, shear
modulus and shear strength in the planes that hold it as measured.
"""

import numpy as np

from materials import library
from materials.law import Law, quadric
from materials.tensors import transversely_isotropic

PCF = 16.0185           # mg/cm^3 per pound per cubic foot
GREATEST_ZETA = 0.4     # keeps the quadric closed at the least tension ratio


def property_at(name, density):
    """Column `name` of the foam table at `density` (mg/cm^3), in MPa."""
    v = library.load("foam")
    return float(np.exp(np.interp(np.log(density), np.log(v.density), np.log(getattr(v, name)))))


def foam(density, warnings):
    """Law of foam of `density` (mg/cm^3)."""
    v = library.load("foam")
    v.density.check(density, "foam density", warnings)
    modulus, compression, tension, shear, shear_modulus = (property_at(name, density) for name in (
        "compressive_modulus", "compressive_strength", "tensile_strength", "shear_strength", "shear_modulus"))
    stiffness = transversely_isotropic(modulus, modulus, v.poisson, shear_modulus, modulus / (2 * (1 + v.poisson)))
    ratio = max(tension / compression, v.least_tension_ratio)
    S0 = (1 + ratio) / (2 * ratio)
    zeta = min(0.5 * (compression / (shear * S0)) ** 2 - 1, GREATEST_ZETA)      # isotropic where strengths allow it
    F, f = quadric(ratio, shear / compression, zeta, zeta)
    return Law("foam", "plastic", stiffness, compression, F, f, onset=v.onset, hardening_strain=v.hardening_strain,
               damage_max=v.damage_max, damage_rate=v.damage_rate, sources=library.sources("foam"))
