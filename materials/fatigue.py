"""S-N laws: how many cycles a tissue stands at a share of its strength, and what it has lost by then.

    N_f = A x^-b,   x = stress over strength, from a cycle's peak and range (fem.fatigue); through the modulus it is strain over the strain at that strength.

Trabecular bone: Haddock 2004 found one curve for human vertebrae and bovine tibiae once the strain was divided by the yield
strain. The curve is that of Kosmopoulos 2008, N = 1.394e-25 (stress / modulus)^-12.17; at the yield stress of human vertebral
bone (Kopperdahl and Keaveny 1998: yield strain 0.84 %, of which 0.2 % is the offset) that is a life of 70 cycles. The life
at yield is the one constant that is open to calibration.
"""

from materials import library
from materials.law import hardening

OFFSET = 0.002          # plastic strain at which the measured yield strength is read


def bone():
    """(fatigue of bone: life at the strength, exponent, largest loss of stiffness, ratchet strain at failure; sources)."""
    v, b, c = library.load("fatigue"), library.load("bone"), library.load("calibrated")
    at_yield = hardening(OFFSET, b.onset, b.hardening_strain)          # utilisation at the yield stress
    life = c.fatigue_life_at_yield * at_yield**v.bone_exponent
    found = {"life": float(life), "exponent": float(v.bone_exponent), "maximum": float(v.bone_maximum),
             "ratchet": float(v.bone_ratchet)}
    return found, library.sources("fatigue", "bone_exponent", "bone_maximum", "bone_ratchet") | library.sources(
        "calibrated", "fatigue_life_at_yield")


def shell():
    """(fatigue of the cortical shell: life at the yield stress, exponent, largest loss of stiffness; sources): that of trabecular
    bone at the same share of the yield strain, a choice: tissue that tires by one mechanism whatever its site (Haddock 2004); tests of
    vertebral shell were not found."""
    v, c = library.load("fatigue"), library.load("calibrated")
    found = {"life": float(c.fatigue_life_at_yield), "exponent": float(v.bone_exponent), "maximum": float(v.bone_maximum)}
    return found, library.sources("fatigue", "bone_exponent", "bone_maximum") | library.sources("calibrated", "fatigue_life_at_yield")


def cement():
    """(fatigue of PMMA, solid or porous; sources): the strength itself is a life of one cycle."""
    v = library.load("fatigue")
    found = {"life": 1.0, "exponent": float(v.cement_exponent), "maximum": float(v.cement_maximum), "ratchet": 0.0}
    return found, library.sources("fatigue", "cement_exponent", "cement_maximum")
