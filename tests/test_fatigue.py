"""Fatigue damage: its law against closed forms and its differential equation, in bone and in the cortical shell."""

import logging
import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

pytest.importorskip("dolfinx")

from mpi4py import MPI  # noqa: E402

from fem import fatigue  # noqa: E402
from fem.cortex import Cortex  # noqa: E402
from fem.cycle import Cycle  # noqa: E402
from fem.domain import Domain  # noqa: E402
from fem.linear import LinearSolver  # noqa: E402
from fem.model import Laws, Model  # noqa: E402
from fem.output import Clock, Watch  # noqa: E402
from materials.law import quadric  # noqa: E402
from materials.tensors import isotropic  # noqa: E402
from test_patch import two_bricks  # noqa: E402

LIFE, EXPONENT, MAXIMUM = 50.0, 8.0, 0.95
STRENGTH = 1.0


def bar(directory, start, ramp, cycles, tolerance):
    """A brick of bone under a stiff block, squeezed cyclically far below its strength: one stress everywhere."""
    F, f = quadric(0.9, 0.44, 0.28, 0.28)
    stiff = {"name": "screw", "kind": "elastic", "stiffness": isotropic(1e5, 0.0).tolist()}
    bone = {"name": "trabecular", "kind": "plastic", "stiffness": isotropic(100.0, 0.0).tolist(), "strength": STRENGTH,
            "F": F.tolist(), "f": f.tolist(), "onset": 0.9, "hardening_strain": 0.003,
            "fatigue": {"life": LIFE, "exponent": EXPONENT, "maximum": MAXIMUM, "ratchet": 0.0}}
    loading = {"kind": "cycle", "direction": [0, 0, 1], "start_N": start, "ramp_N_per_cycle": ramp, "minimum_N": 0.1 * start,
               "stop": {"cycles": cycles, "head_displacement_mm": None}, "tolerance": tolerance}
    posed = {"laws": [stiff, bone], "region_law": {"1": 0, "2": 1}, "nonlocal_length": 1.0, "insertion": None, "cortex": None,
             "interfaces": {"screw_trabecular": {"friction": 0.0, "adhesion": 0.0, "cohesive": None}},
             "screw": {"radius": 1.0, "depth": 2.0}, "loading": loading}
    model = Model(Domain(MPI.COMM_WORLD, two_bricks(1)), posed)
    solver = LinearSolver(model, rtol=1e-8)
    step = Cycle(model, solver, posed, Clock(), Watch(model, solver, directory, logging.getLogger("test"), time.perf_counter()))
    assert step.run() == "completed"
    return step


@pytest.mark.parametrize(("start", "ramp"), [(0.78, 0.0), (0.65, 0.0007)], ids=["constant", "ramp"])
def test_damage_at_one_point_follows_its_differential_equation(tmp_path, start, ramp):
    """The load is carried by what damage leaves: d omega / dN = S omega_f x^b / A with x = sqrt(F (F - Fmin)) / (1 - D) / strength,
    D = Dmax (1 - e^-omega)."""
    cycles = 240
    step = bar(tmp_path, start, ramp, cycles, 0.04)
    failure = -np.log(1 - fatigue.LOSS / MAXIMUM)

    softening = fatigue.softening(MAXIMUM, EXPONENT)

    def rate(n, omega):
        damage = MAXIMUM * (1 - np.exp(-omega))
        load = start + ramp * n
        return softening * failure / LIFE * (np.sqrt(load * (load - 0.1 * start)) / (1 - damage) / STRENGTH) ** EXPONENT

    exact = solve_ivp(rate, (0, cycles), [0.0], rtol=1e-10, atol=1e-14).y[0, -1]
    omega = step.fatigue.omega.reshape(step.fatigue.shape)[step.halo.bone]
    found = float(np.mean(omega))
    assert 0.02 < exact < 1.0 and np.ptp(omega) < 0.02 * exact
    assert found == pytest.approx(exact, rel=0.02)
    assert len(step.blocks.rows) < cycles / 2  # it jumped


def test_life_under_a_constant_load_is_that_of_the_curve():
    """S-N curves are in the applied stress: N_f = A x^-b cycles of it take LOSS of the stiffness, though the effective stress grows."""
    model = SimpleNamespace(law=np.array([0]), cortex=None, damage=SimpleNamespace(fatigue=np.zeros((1, 4))))
    tired = fatigue.Fatigue(model, [{"fatigue": {"life": LIFE, "exponent": EXPONENT, "maximum": MAXIMUM, "ratchet": 0.0}}])
    x = 0.7

    def rate(n, omega):
        return tired.rate(x / (1.0 - tired.damage(omega[0])))[0]

    omega = solve_ivp(rate, (0, LIFE * x**-EXPONENT), [0.0], rtol=1e-9, atol=1e-12).y[0, -1]
    assert tired.damage(omega) == pytest.approx(fatigue.LOSS, rel=1e-4)


def test_damage_at_constant_utilisation_is_the_same_in_one_jump_or_in_many():
    """It takes N_f / S cycles of a constant effective stress."""
    model = type("M", (), {"cortex": None})()
    model.law, model.quadrature = np.array([0]), type("Q", (), {"weights": np.ones((1, 4))})()
    model.damage = type("D", (), {"fatigue": np.zeros((1, 4))})()
    law = {"fatigue": {"life": LIFE, "exponent": EXPONENT, "maximum": MAXIMUM, "ratchet": 0.002}}
    tired = fatigue.Fatigue(model, [law])
    x = np.full(4, 0.7)
    cycles, flow = LIFE * 0.7**-EXPONENT / tired.softening[0], np.ones((1, 4, 6))
    whole = tired.jump(tired.rate(x) * cycles, flow)
    assert whole.damage == pytest.approx(fatigue.LOSS) and whole.ratchet == pytest.approx(0.002)
    for _ in range(10):
        tired.omega = tired.laid = tired.jump(tired.rate(x) * cycles / 10, flow).omega
    assert tired.omega == pytest.approx(whole.omega)
    assert not tired.jump(tired.rate(x) * cycles, flow).ratchet.any(), "what is left at failure is all that is left"


def test_all_of_the_ratchet_strain_is_laid_down_by_failure():
    """Jumps lay it with Euler's omega, which Heun's then exceeds: what is missing comes with the next one."""
    model = SimpleNamespace(law=np.array([0]), cortex=None, damage=SimpleNamespace(fatigue=np.zeros((1, 4))))
    tired = fatigue.Fatigue(model, [{"fatigue": {"life": LIFE, "exponent": EXPONENT, "maximum": MAXIMUM, "ratchet": 0.0018}}])
    flow, strain, x = np.ones((1, 4, 6)), 0.0, np.full(4, 0.6)
    while tired.omega[0] < tired.failure[0]:
        rate, rate_end = tired.rate(x), tired.rate(1.05 * x)
        cycles = 0.1 * tired.failure[0] / rate[0]
        jump = tired.jump(rate * cycles, flow)
        strain += jump.ratchet[0, 0, 0]
        tired.omega, tired.laid = tired.omega + 0.5 * cycles * (rate + rate_end), np.maximum(tired.laid, jump.omega)
        x *= 1.05
    strain += tired.jump(np.zeros(4), flow).ratchet[0, 0, 0]
    assert strain == pytest.approx(0.0018)


def test_a_stress_that_does_not_swing_tires_nothing():
    """x is the peak's utilisation for a cycle that unloads to nothing, its root-mean with the range else, 0 for a standing stress."""
    F, f = quadric(0.9, 0.44, 0.28, 0.28)
    model = type("M", (), {"cortex": None})()
    model.law, model.stress = np.array([0]), np.zeros((1, 4, 6))
    model.stress[..., 2] = -0.8 * STRENGTH
    model.laws = Laws([{"name": "bone", "kind": "plastic", "stiffness": isotropic(100.0, 0.0), "strength": STRENGTH, "F": F, "f": f}])
    model.damage = type("D", (), {"fatigue": np.zeros((1, 4)), "smooth": staticmethod(lambda x: x)})()
    tired = fatigue.Fatigue(model, [{"fatigue": {"life": LIFE, "exponent": EXPONENT, "maximum": MAXIMUM, "ratchet": 0.0}}])
    for share, wanted in ((1.0, 0.8), (0.5, 0.8 * np.sqrt(0.5)), (0.0, 0.0), (3.0, 0.8)):
        x, flow = tired.measure(share * model.stress)
        assert x == pytest.approx(wanted, abs=1e-6), share
        assert (flow**2 * [1, 1, 1, 0.5, 0.5, 0.5]).sum(axis=-1) == pytest.approx(1.0)


@pytest.mark.parametrize(("share", "wanted"), [(1.0, 0.8), (0.25, 0.4), (0.0, 0.0), (2.0, 0.8)])
def test_the_shell_tires_by_the_same_law(share, wanted):
    """Uniaxial stress of 0.8 of the yield stress, of which a share swings: a loss of LOSS after A x^-b cycles."""
    shell = object.__new__(Cortex)
    shell.strength, shell.nodes, shell.fatigue, shell.weight = 70.0, np.zeros((2, 6), int), np.zeros((2, 3)), np.ones((2, 3))
    shell.stress = np.zeros((2, 3, 3))
    shell.stress[..., 0] = -0.8 * shell.strength
    shell.swung = share * shell.stress
    assert shell.utilisation() == pytest.approx(wanted)
    model = SimpleNamespace(law=np.array([0]), cortex=shell, damage=SimpleNamespace(fatigue=np.zeros((1, 4))))
    law = {"life": LIFE, "exponent": EXPONENT, "maximum": MAXIMUM}
    tired = fatigue.Fatigue(model, [{}], law)
    x = np.concatenate([np.zeros(4), shell.utilisation().ravel()])
    jump = tired.jump(tired.rate(x) * LIFE * max(wanted, 0.1) ** -EXPONENT / tired.softening[-1], np.zeros((1, 4, 6)))
    assert jump.shell == pytest.approx(np.full((2, 3), fatigue.LOSS if wanted else 0.0)) and not jump.bone.any()
    lasting = fatigue.Fatigue(model, [{}])
    assert not lasting.jump(1e9 * lasting.rate(x), np.zeros((1, 4, 6))).shell.any()
