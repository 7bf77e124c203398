"""The cortical membrane: plane-stress yield in closed form, tangent against finite differences."""

from types import SimpleNamespace

import numpy as np
import pytest

from fem import march
from fem.cortex import Cortex, plane_stress

E, NU, STRENGTH = 8000.0, 0.3, 70.0
ELASTIC = E / (1 - NU**2) * np.array([[1, NU, 0], [NU, 1, 0], [0, 0, (1 - NU) / 2]])


def stress_at(strain):
    s, tangent = ELASTIC @ strain, np.empty((3, 3))
    growth = plane_stress(s, E, NU, STRENGTH, tangent)
    return s, tangent, growth


@pytest.mark.parametrize("strain, mises", [([0.003, -0.0009, 0.0], 24.0), ([0.1, 0.1, 0.0], 70.0), ([0.1, -0.03, 0.2], 70.0)])
def test_yield_stress(strain, mises):
    s, _, growth = stress_at(np.array(strain))
    assert np.sqrt(s[0] ** 2 + s[1] ** 2 - s[0] * s[1] + 3 * s[2] ** 2) == pytest.approx(mises, rel=1e-9)
    assert (growth > 0.0) == (mises == STRENGTH)


def test_shear_and_biaxial_closed_forms():
    s, *_ = stress_at(np.array([0.0, 0.0, 0.1]))
    assert s == pytest.approx([0.0, 0.0, STRENGTH / np.sqrt(3)])
    s, *_ = stress_at(np.array([0.05, 0.05, 0.0]))
    assert s == pytest.approx([STRENGTH, STRENGTH, 0.0])


def test_tangent_against_finite_differences():
    rng = np.random.default_rng(0)
    for _ in range(30):
        strain = rng.normal(scale=0.02, size=3)
        _, tangent, growth = stress_at(strain)
        h = 1e-8
        difference = np.stack([(stress_at(strain + h * e)[0] - stress_at(strain - h * e)[0]) / (2 * h) for e in np.eye(3)], 1)
        assert np.allclose(tangent, difference, atol=1e-5 * E) and growth > 0.0


def test_crushing_does_not_tear():
    from fem.cortex import _tearing_share

    assert _tearing_share(np.array([-STRENGTH, 0.0, 0.0])) == 0.0
    assert _tearing_share(np.array([STRENGTH, 0.0, 0.0])) == 1.0
    assert _tearing_share(np.array([0.0, 0.0, 40.0])) == pytest.approx(1.0)
    assert _tearing_share(np.array([-STRENGTH, 0.2 * STRENGTH, 0.0])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("foreseen", [0.0, 0.4])
def test_what_tears_unforeseen_tears_in_its_own_step(monkeypatch, foreseen):
    """A facet that yields by 1.7 % before it tears and by up to 1 % more as it does: what it leaves to the next step is next to nothing."""
    cortex = object.__new__(Cortex)
    cortex.strain, cortex.growth, cortex._grown = np.full((1, 3), 0.013), np.zeros((1, 3)), np.zeros((1, 3))
    cortex.fatigue, cortex.torn, cortex.integrity = np.zeros((1, 3)), np.full((1, 3), foreseen), np.ones((1, 3))
    torn = []

    def equilibrium(model, solver, clock, floor):
        torn.append(float(cortex.torn[0, 0]))
        cortex.growth[:] = 0.017 + 0.01 * cortex.torn
        return SimpleNamespace(converged=True, newton=3, linear=10)

    monkeypatch.setattr(march, "solve", equilibrium)
    step = object.__new__(march.March)
    step.model, step.solver, step.clock, step.newton, step.linear = SimpleNamespace(cortex=cortex), None, None, 0, 0
    step.largest = lambda array: float(array.max())
    assert step._equilibrium(0.0).converged and 1 < len(torn) < march.REPEATS and step.newton == 3 * len(torn)
    assert cortex.lag().max() <= march.LARGEST_LAG and torn == sorted(torn) and cortex.torn[0, 0] == pytest.approx(0.5, abs=0.06)
    cortex.strain += cortex.growth  # committed: the next step begins with all of it, whatever its size
    cortex.foresee(0.0)
    assert cortex.torn[0, 0] == pytest.approx((0.03 + 0.01 * torn[-1] - 0.02) / 0.03)
