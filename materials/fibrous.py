"""Fibrous tissue that fills a resorption halo: soft, weak, and slow to tear.

Collagen fails at strains of 50 to 100 %, bone at 1 to 2 %; the damage of bone would remove the tissue at once. Its
strength, not the bone's, sets what a loosened screw holds.
"""

from materials import library
from materials.law import Law, quadric
from materials.tensors import isotropic


def fibrous():
    """Law of the fibrous content of a halo."""
    v = library.load("fibrous")
    S0 = (1 + v.tension_ratio) / (2 * v.tension_ratio)
    shear = 1 / (S0 * (2 * (1 + v.interaction)) ** 0.5)          # the isotropic quadric
    F, f = quadric(v.tension_ratio, shear, v.interaction, v.interaction)
    return Law("halo", "plastic", isotropic(v.modulus, v.poisson), v.strength, F, f, onset=v.onset,
               hardening_strain=v.hardening_strain, damage_max=v.damage_max, damage_rate=v.damage_rate,
               sources=library.sources("fibrous"))
