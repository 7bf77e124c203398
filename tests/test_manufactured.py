"""The quadratic elements converge with the orders they should have."""

import pytest

pytest.importorskip("dolfinx")

from benchmarks.verification.manufactured import table  # noqa: E402


@pytest.mark.parametrize("plastic", [False, True])
@pytest.mark.parametrize("axisymmetric, sizes", [(False, (2, 4)), (True, (4, 8, 16))])
def test_orders_of_convergence(axisymmetric, sizes, plastic):
    last = table(sizes, axisymmetric, plastic)[-1]
    assert last[3] == pytest.approx(3.0, abs=0.15)  # L2
    assert last[4] == pytest.approx(2.0, abs=0.10)  # H1
