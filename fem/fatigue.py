"""Fatigue of bone, cement and cemented bone: strain-normalised S-N damage and ratcheting, integrated over many cycles.

The utilisation of an effective stress is u(s) = sqrt(s.F.s) + f.s of s over the strength; through the strength over the modulus it is
the strain over the yield strain, on which bones of all densities have one curve (Haddock 2004). The measure of a cycle is

    x = sqrt(u(s_peak) min(u(s_peak - s_min), u(s_peak))),

smoothed over the length of a few trabeculae: the mean-stress rule of Smith, Watson and Topper (1970), without a constant of its own.
Fatigue tests of bone unload to next to nothing, where both factors are one. A stress that does not swing tires nothing: bone that
has yielded and bone that has not press on each other for good, and by their peak stress alone they would break one after another
into places that carry none of the load. The way back is estimated elastically; where it would swing by more than the peak, bone
yields backwards, and the cycle counts as one that unloads to nothing: no test tells more. Life to a loss of modulus of LOSS and
damage are

    N_f(x) = A x^-b,    d omega / dN = S omega_f / N_f(x),    D_f = D_max (1 - exp(-omega)),    omega_f = -ln(1 - LOSS / D_max).

S-N curves are in the stress that is applied, over the modulus before the test. At a constant one the effective stress grows while the
tissue softens, and damage with it, faster and faster, as in tests; S is such that LOSS is reached after N_f cycles of it all the same:

    S = int_0^1 (1 - D_f(omega_f t))^b dt    (0.23 for bone).

Until failure each cycle leaves a plastic strain along the flow direction n, whose norm as a tensor adds up to e_f (ratcheting):

    d eps_p = e_f (n / |n|) d omega / omega_f.

At constant effective stress omega = S omega_f N / N_f; under a ramp x = x0 + x1 N of it omega = S omega_f
[(x0 + x1 N)^(b+1) - x0^(b+1)] / (A x1 (b+1)).
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import simpson

TENSOR = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5])  # weights of squares: the norm of a strain in Voigt order as a tensor
LOSS = 0.3  # of the modulus: what the S-N curves of trabecular bone call failure (Kosmopoulos 2008)


@dataclass
class Jump:
    """What a number of cycles adds: omega and damage (points,) after it, damage of the bone (n, nq) and of the shell (m, 3) among them,
    ratchet (n, nq, 6) the plastic strain it leaves in the bone."""

    omega: np.ndarray
    damage: np.ndarray
    bone: np.ndarray
    shell: np.ndarray
    ratchet: np.ndarray


class Fatigue:
    """Fatigue of all own points: those of the cells, (n, nq) in a row, then those of the cortex, (m, 3) in a row.

    Attributes: omega (points,) committed damage variable; laid (points,) up to which omega the ratchet strain has been laid down: jumps
    take theirs with the plain estimate of omega, which is corrected afterwards; weights (points,) volumes in mm^3.
    """

    def __init__(self, model, laws, shell=None):
        """Args: laws: of problem.json; those with a `fatigue` of {life, exponent, maximum, ratchet} tire. shell: that of the cortex,
        which does not tire without."""
        self.model = model
        self.shape = model.damage.fatigue.shape
        self.cortex = model.cortex
        own, shell = [_whole(law.get("fatigue")) for law in laws], _whole(shell)

        def table(key, otherwise):
            bone = np.array([law.get(key, otherwise) for law in own])[model.law][:, None]
            skin = np.full(3 * len(self.cortex.nodes) if self.cortex else 0, shell.get(key, otherwise))
            return np.concatenate([np.broadcast_to(bone, self.shape).ravel(), skin])

        self.tires = np.array(["life" in law for law in own])[model.law]
        self.life, self.exponent = table("life", np.inf), table("exponent", 1.0)
        self.maximum, self.strain = table("maximum", 0.0), self._parts(table("ratchet", 0.0))[0]
        self.failure = -np.log(1.0 - LOSS / np.where(self.maximum > LOSS, self.maximum, 1.0))
        self.softening = table("softening", 1.0)
        share = self._present() / np.where(self.maximum > 0.0, self.maximum, 1.0)
        self.omega = self.laid = -np.log(1.0 - np.minimum(share, 1.0 - 1e-12))

    def _parts(self, points):
        """(n, nq) of the cells and (m, 3) of the cortex out of (points,)."""
        bone = self.shape[0] * self.shape[1]
        return points[:bone].reshape(self.shape), points[bone:].reshape(-1, 3)

    def _joined(self, bone, shell):
        """(points,) of `bone` (n, nq) and of what the function `shell` makes of the cortex, if there is one."""
        return np.concatenate([bone.ravel(), shell(self.cortex).ravel()]) if self.cortex else bone.ravel()

    def _present(self):
        return self._joined(self.model.damage.fatigue, lambda cortex: cortex.fatigue)

    @property
    def weights(self):
        return self._joined(self.model.quadrature.weights, lambda cortex: cortex.weight)

    def measure(self, swing):
        """x (points,) of the last converged peak, that of bone smoothed, and the flow directions there (n, nq, 6), of norm one.

        swing (n, nq, 6): effective stress at the peak less that at the minimum, MPa."""
        m = self.model
        x, flow = np.zeros(self.shape), np.zeros_like(m.stress)
        for k in np.unique(m.law[self.tires]):
            cells = np.flatnonzero(self.tires & (m.law == k))
            peak, flow[cells] = m.laws.utilisation(k, m.stress[cells])
            flow[cells] /= np.sqrt((flow[cells] ** 2 * TENSOR).sum(axis=-1, keepdims=True))
            x[cells] = np.sqrt(peak * np.minimum(m.laws.utilisation(k, swing[cells])[0], peak))
        return self._joined(m.damage.smooth(x), lambda cortex: cortex.utilisation()), flow

    def rate(self, x):
        """d omega / dN (points,) at the utilisation x."""
        return self.softening * self.failure * x**self.exponent / self.life

    def jump(self, growth, flow):
        """The `Jump` over which omega grows by `growth` (points,); nothing heals where the last one took too much."""
        omega = self.omega + growth
        damage = np.maximum(self._present(), self.damage(omega))
        until_failure = np.maximum(np.minimum(omega, self.failure) - np.minimum(self.laid, self.failure), 0.0) / self.failure
        ratchet = (self.strain * self._parts(until_failure)[0])[..., None] * flow
        return Jump(omega, damage, *self._parts(damage), ratchet)

    def damage(self, omega):
        return self.maximum * (1.0 - np.exp(-omega))

    def memory(self, name, points):
        """{name: (array, kind)} of (points,) for a checkpoint."""
        bone, shell = self._parts(points)
        return {name: (bone, "cell")} | ({f"{name}_shell": (shell, "facet")} if self.cortex else {})

    def recall(self, name, arrays):
        """(points,) that `memory` kept."""
        return self._joined(arrays[name], lambda _: arrays[f"{name}_shell"])



def softening(maximum, exponent):
    """S of a law, by Simpson's rule; 1 where so much is never lost."""
    if maximum <= LOSS:
        return 1.0
    t = np.linspace(0.0, 1.0, 101)
    return float(simpson((1.0 - maximum * (1.0 - (1.0 - LOSS / maximum) ** t)) ** exponent, x=t))


def _whole(law):
    """A law of fatigue with its S, {} for none."""
    return law | {"softening": softening(law["maximum"], law["exponent"])} if law and "life" in law else {}
