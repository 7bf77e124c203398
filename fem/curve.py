"""Rows that a loading step records, and the stiffness read off them."""

from dataclasses import dataclass, field

import numpy as np

FALL = 0.1  # of the force: less is no maximum to speak of


@dataclass
class Curve:
    """One row a converged step; names are the columns of its CSV file."""

    rows: list = field(default_factory=list)

    def add(self, **row):
        self.rows.append(row)

    def column(self, name):
        return np.array([r[name] for r in self.rows])


def secant_stiffness(displacement, force):
    """Slope (N/mm) between 10 and 50 % of the largest force on the rising branch, or None."""
    k = int(np.argmax(force))
    if k == 0 or force[k] <= 0.0:
        return None
    lo, hi = np.interp([0.1 * force[k], 0.5 * force[k]], np.maximum.accumulate(force[: k + 1]), displacement[: k + 1])
    return float(0.4 * force[k] / (hi - lo)) if hi > lo else None


def vertex(displacement, force, k):
    """Displacement at which the parabola through point k, the largest force, and its two neighbours is highest; that of k at an end."""
    if not 0 < k < len(force) - 1:
        return float(displacement[k])
    (a, b, c), (fa, fb, fc) = displacement[k - 1 : k + 2], force[k - 1 : k + 2]
    left, right = (fb - fa) / (b - a), (fc - fb) / (c - b)  # rises to k and falls from there
    return float(b if left == right else 0.5 * (a + b) + 0.5 * (c - a) * left / (left - right))


def first_maximum(force):
    """Index of the largest force before it first fell by FALL, if it rose above that afterwards; else None."""
    highest = np.maximum.accumulate(force)
    fallen = np.flatnonzero(force < (1.0 - FALL) * highest)
    if not len(fallen):
        return None
    k = int(np.argmax(force[: fallen[0]]))
    return k if force.max() > force[k] else None
