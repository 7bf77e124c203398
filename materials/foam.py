"""Rigid polyurethane foam of ASTM F1839 at any density, between the tabulated grades on straight log-log lines.

The data sheet gives modulus and strength in compression, tension and shear, and they are not those of an isotropic
solid (grade 15: E/(2(1+nu)) is 47 MPa, the measured G 33). Both are kept: isotropic about the screw axis, shear
modulus and shear strength in the planes that hold it as measured.

Limit: crushed foam densifies, which a law for small strains cannot. Under about 200 mg/cm^3 the foam below a thread
crushes before it shears, and the pullout force comes out low (31 % below the shear formula at 160).
"""

import numpy as np

from materials import library
from materials.law import Law, quadric
from materials.tensors import transversely_isotropic


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
    F, f = quadric(ratio, shear / compression, v.interaction, v.interaction)
    return Law("foam", "plastic", stiffness, compression, F, f, onset=v.onset, hardening_strain=v.hardening_strain,
               damage_max=v.damage_max, damage_rate=v.damage_rate, sources=library.sources("foam"))
