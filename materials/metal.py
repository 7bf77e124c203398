"""Screw metals: elastic, with the von Mises yield stress as the measure of how near the screw is to bending."""

from materials import library
from materials.law import Law, von_mises
from materials.tensors import isotropic

METALS = ("Ti6Al4V", "CoCr", "316L")


def metal(name):
    """Law of the screw metal `name`, one of METALS."""
    if name not in METALS:
        raise ValueError(f"unknown screw material {name}; known are {', '.join(METALS)}")
    v = vars(library.load("metal"))
    F, f = von_mises()
    return Law("screw", "elastic", isotropic(v[f"{name}_modulus"], v[f"{name}_poisson"]), v[f"{name}_yield"], F, f,
               fatigue={"limit": float(v[f"{name}_fatigue_limit"])},
               sources=library.sources("metal", *(f"{name}_{key}" for key in ("modulus", "poisson", "yield", "fatigue_limit"))))
