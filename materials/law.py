"""One bulk law: elasticity, yield quadric, hardening and damage.

With s = effective stress / strength (Voigt, tension positive) the yield function is

    Y = sqrt(s.F.s) + f.s - r(kappa),     r = R + (1 - R) (1 - exp(-kappa/k0)),

and the damage D = Dmax (1 - exp(-a kappa_bar)) of the nonlocal plastic strain kappa_bar. The quadric is that of
Schwiedrzik and Zysset with shear entries of their own: von Mises and Drucker-Prager overrate the shear strength of
trabecular bone, and pullout is shear.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from materials.tensors import rotate_quadric, rotate_stiffness


def quadric(tension, shear, longitudinal, transverse, transverse_strength=1.0):
    """F (6, 6) and f (6,) of a quadric that is isotropic about z, in units of the compressive strength along z.

    tension: tensile / compressive strength, the same in all directions. shear: strength in the planes that hold z.
    longitudinal, transverse: interaction zeta between z and a transverse direction, and within the transverse plane.
    transverse_strength: compressive strength across z. The shear strength of the transverse plane is not free:
    isotropy about z makes it transverse_strength / (S0 sqrt(2 (1 + zeta_T))).
    """
    scale = np.array([transverse_strength, transverse_strength, 1.0])
    S0 = (1 + tension) / (2 * tension) / scale
    zeta = np.array([[-1, transverse, longitudinal], [transverse, -1, longitudinal], [longitudinal, longitudinal, -1]])
    F = np.zeros((6, 6))
    F[:3, :3] = -zeta * np.outer(S0, S0)
    F[3, 3] = F[4, 4] = 1 / shear**2
    F[5, 5] = 2 * (F[0, 0] - F[0, 1])
    f = np.zeros(6)
    f[:3] = (1 - tension) / (2 * tension) / scale
    return F, f


def von_mises():
    """F (6, 6) and f (6,) of von Mises: only for solids that stay elastic, since it is open along the pressure axis."""
    F = np.diag([1.0, 1.0, 1.0, 3.0, 3.0, 3.0])
    F[:3, :3] -= 0.5 * (1 - np.eye(3))
    return F, np.zeros(6)


def hardening(kappa, onset, hardening_strain):
    """r(kappa): yield stress over strength at plastic strain `kappa`."""
    return onset + (1 - onset) * (1 - np.exp(-np.asarray(kappa) / hardening_strain))


@dataclass(frozen=True)
class Law:
    """Law of one region; `stiffness` (6, 6) and `strength` in MPa, F (6, 6), f (6,), the rest dimensionless.

    tissue names laws whose damage is smoothed together, across the regions between them. densification: volumetric strain
    at which crushed pores close and two moduli (MPa) beyond it. fatigue: {life, exponent, maximum, ratchet}, see
    `materials.fatigue`, or of a metal {limit}, the largest stress (MPa) that it stands for ever.
    kind 'plastic' yields; 'elastic' uses strength, F and f only to tell how much of the strength is used.
    Raises ValueError if the elasticity or, for a plastic law, the yield surface is not closed and convex.
    """

    name: str
    kind: str
    stiffness: np.ndarray
    strength: float
    F: np.ndarray
    f: np.ndarray
    onset: float = 1.0
    hardening_strain: float = 1.0
    damage_max: float = 0.0
    damage_rate: float = 0.0
    tissue: str = ""
    densification: tuple = ()
    fatigue: dict = field(default_factory=dict)
    sources: dict = field(default_factory=dict)

    def __post_init__(self):
        if np.linalg.eigvalsh(self.stiffness).min() <= 0:
            raise ValueError(f"{self.name}: the stiffness is not positive definite")
        if self.kind == "plastic" and np.linalg.eigvalsh(self.F - np.outer(self.f, self.f)).min() <= 0:
            raise ValueError(f"{self.name}: the yield surface is not closed (F - f f^T is not positive definite)")

    def utilisation(self, stress):
        """sqrt(s.F.s) + f.s of stresses (..., 6) in MPa: 1 at the strength."""
        s = np.asarray(stress, float) / self.strength
        return np.sqrt(np.einsum("...i,ij,...j", s, self.F, s)) + s @ self.f

    def rotated(self, rotation):
        """The law of the material turned by `rotation` (3, 3)."""
        F, f = rotate_quadric(self.F, self.f, rotation)
        return replace(self, stiffness=rotate_stiffness(self.stiffness, rotation), F=F, f=f)

    def plain(self):
        """The law as numbers, lists and strings, as the solver reads it."""
        numbers = {key: float(getattr(self, key))
                   for key in ("strength", "onset", "hardening_strain", "damage_max", "damage_rate")}
        return {"name": self.name, "kind": self.kind, "group": self.tissue or self.name,
                "stiffness": self.stiffness.tolist(), "F": self.F.tolist(), "f": self.f.tolist(), **numbers,
                "densification": list(self.densification) or None, "fatigue": self.fatigue or None,
                "sources": self.sources}
