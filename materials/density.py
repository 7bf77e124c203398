"""Kinds of bone density and the conversions between them.

A density is a number together with what was measured: 80 mg/cm^3 of K2HPO4 equivalent, of hydroxyapatite equivalent,
of ash or of wet tissue are four different bones. Kinds never mix by themselves; `Density.to` is the only way across.
"""

from dataclasses import dataclass
from enum import StrEnum

from materials import library


class Kind(StrEnum):
    QCT_K2HPO4 = "qct_k2hpo4"   # mg/cm^3, liquid phantom
    QCT_HA = "qct_ha"           # mg/cm^3, solid hydroxyapatite phantom
    ASH = "ash"                 # mg/cm^3
    APPARENT = "apparent"       # mg/cm^3, wet tissue without marrow
    BVTV = "bvtv"               # fraction of bone in the volume


class MixedDensities(TypeError):
    """Two densities of different kinds met without an explicit conversion."""


def _ash_per(kind):
    """Ash density (mg/cm^3) per unit of `kind`. All conversions are proportional."""
    v = library.load("density")
    return {
        Kind.QCT_K2HPO4: v.hydroxyapatite_per_k2hpo4 * v.ash_per_hydroxyapatite,
        Kind.QCT_HA: float(v.ash_per_hydroxyapatite),
        Kind.ASH: 1.0,
        Kind.APPARENT: float(v.ash_per_apparent),
        Kind.BVTV: v.ash_per_apparent * v.tissue_density,
    }[kind]


@dataclass(frozen=True)
class Density:
    """`value` in mg/cm^3 (a fraction for BVTV) of `kind`. Raises ValueError unless the value is physical."""

    value: float
    kind: Kind

    def __post_init__(self):
        object.__setattr__(self, "kind", Kind(self.kind))
        top = 1.0 if self.kind is Kind.BVTV else 2200.0
        if not 0.0 < self.value <= top:
            raise ValueError(f"a density of kind {self.kind} lies between 0 and {top:g}, not at {self.value:g}")

    def to(self, kind):
        """The same bone as a `Density` of `kind`."""
        kind = Kind(kind)
        if kind is self.kind:
            return self
        return Density(self.value * _ash_per(self.kind) / _ash_per(kind), kind)

    def __truediv__(self, other):
        """Ratio of two densities of one kind."""
        if not isinstance(other, Density):
            raise TypeError("a density compares with a density only; write its kind")
        if other.kind is not self.kind:
            raise MixedDensities(f"{self.kind} and {other.kind} do not mix; convert one with .to(kind)")
        return self.value / other.value
