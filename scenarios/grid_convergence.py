"""Discretisation error from three sizes: observed order, Richardson extrapolation, grid convergence index (GCI).

Celik et al. 2008, J Fluids Eng 130:078001 (the procedure of ASME V&V 20): with sizes h1 < h2 < h3, results f, r21 = h2/h1,
r32 = h3/h2, e21 = f2 - f1, e32 = f3 - f2 and s = sign(e32/e21),

    p = |ln |e32/e21| + ln((r21^p - s)/(r32^p - s))| / ln r21,   f0 = f1 + (f1 - f2)/(r21^p - 1),
    GCI = 1.25 |f1 - f2| / (|f1| (r21^p - 1)).

An observed order more than a tenth above the second of the elements says that the sizes are not in the range where the error falls with a power of them: three
that differ little pretend to any order, and a large one makes the band vanish. Then, as Oberkampf and Roy 2010 (Verification and Validation in
Scientific Computing, chapter 8) ask, 3 stands for 1.25; it goes with first order, that of a force that contact limits, and no limit is told. Where e32/e21 < 0
the results oscillate, or no order fits, and none can be told: the band is then 3 times half the range of the results, a choice on the safe side.
"""

from dataclasses import dataclass

from scipy.optimize import brentq

SAFETY, WIDE = 1.25, 3.0
ORDERS = (0.1, 20.0)  # between which an order is looked for
FORMAL, LOWEST = 2.0, 1.0
NEAR = 0.1  # an order that far above the formal one is that one


@dataclass(frozen=True)
class GridConvergence:
    """order as observed (None where there is none) and limit (None where the order is no guide to it); gci: uncertainty of the finest
    result as a share of it; how: it was found."""

    order: float | None
    limit: float | None
    gci: float
    how: str


def grid_convergence(sizes, results):
    """GridConvergence of the three smallest `sizes` (any order) and their `results`. ValueError for fewer than three."""
    pairs = sorted(zip(sizes, results))[:3]
    if len(pairs) < 3:
        raise ValueError("an order takes three sizes")
    (h1, f1), (h2, f2), (h3, f3) = pairs
    e21, e32 = f2 - f1, f3 - f2
    spread = WIDE * (max(f1, f2, f3) - min(f1, f2, f3)) / 2 / abs(f1)
    if e21 == 0 and e32 == 0:
        return GridConvergence(None, f1, 0.0, "all three are equal")
    if e21 * e32 <= 0:
        return GridConvergence(None, None, spread, "not monotonic: three times half the range")
    r21, r32 = h2 / h1, h3 / h2

    def off(p):
        return (r32**p - 1) * r21**p / (r21**p - 1) - e32 / e21

    if off(ORDERS[0]) * off(ORDERS[1]) > 0:
        return GridConvergence(None, None, spread, "no order between 0.1 and 20: three times half the range")
    p = brentq(off, *ORDERS)
    how = f"order {p:.2f} observed over the three finest"
    step = abs(e21) / abs(f1)
    if p > (1 + NEAR) * FORMAL:
        return GridConvergence(p, None, WIDE * step / (r21**LOWEST - 1), f"{how}, too high to be one: {WIDE:g} times the first-order step")
    return GridConvergence(p, f1 + (f1 - f2) / (r21**p - 1), SAFETY * step / (r21 ** min(p, FORMAL) - 1), how)
