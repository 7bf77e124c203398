"""Fatigue of bone, cement and cemented bone: strain-normalised S-N damage and ratcheting, integrated over many cycles.

The utilisation of an effective stress is u(s) = sqrt(s.F.s) + f.s of s over the strength; through the strength over the modulus
it is the strain over the yield strain, on which bones of all densities have one curve (Haddock 2004). The measure of a cycle is

    x = sqrt(u(s_peak) min(u(s_peak - s_min), u(s_peak))),

smoothed over the length of a few trabeculae: the mean-stress rule of Smith, Watson and Topper (1970), without a constant of its own.
Fatigue tests of bone unload to next to nothing, where both factors are one. A stress that does not swing tires nothing: bone that
has yielded and bone that has not press on each other for good, and by their peak stress alone they would break one after another
into places that carry none of the load. The way back is estimated elastically; where it would swing by more than the peak, bone
yields backwards, and the cycle counts as one that unloads to nothing: no test tells more. Life to a loss of modulus of LOSS and
damage are

    N_f(x) = A x^-b,    d omega / dN = omega_f / N_f(x),    D_f = D_max (1 - exp(-omega)),    omega_f = -ln(1 - LOSS / D_max),

and each cycle leaves a plastic strain along the flow direction n, of the amount e_f until N_f (ratcheting):

    d eps_p / dN = e_f n / N_f(x).

At constant load on one point: D_f = LOSS after N_f cycles; under a ramp x = x0 + x1 N: omega = omega_f
[(x0 + x1 N)^(b+1) - x0^(b+1)] / (A x1 (b+1)).
"""

from dataclasses import dataclass

import numpy as np

LOSS = 0.3  # of the modulus: what the S-N curves of trabecular bone call failure (Kosmopoulos 2008)


@dataclass
class Jump:
    """What a number of cycles adds: omega and damage (n, nq) after it, ratchet (n, nq, 6) the plastic strain it leaves."""

    omega: np.ndarray
    damage: np.ndarray
    ratchet: np.ndarray


class Fatigue:
    """Fatigue of all own cells.

    Attributes: omega (n, nq) committed damage variable.
    """

    def __init__(self, model, laws):
        """Args: laws: of problem.json; those with a `fatigue` of {life, exponent, maximum, ratchet} tire."""
        self.model = model

        def table(key, otherwise):
            return np.array([(law.get("fatigue") or {}).get(key, otherwise) for law in laws])[model.law][:, None]

        self.tires = np.array(["life" in (law.get("fatigue") or {}) for law in laws])[model.law]
        self.life, self.exponent = table("life", np.inf), table("exponent", 1.0)
        self.maximum, self.strain = table("maximum", 0.0), table("ratchet", 0.0)
        self.failure = -np.log(1.0 - LOSS / np.where(self.maximum > LOSS, self.maximum, 1.0))
        share = model.damage.fatigue / np.where(self.maximum > 0.0, self.maximum, 1.0)
        self.omega = -np.log(1.0 - np.minimum(share, 1.0 - 1e-12))

    def measure(self, swing):
        """x (n, nq) of the last converged peak, smoothed, and the flow directions there (n, nq, 6).

        swing (n, nq, 6): effective stress at the peak less that at the minimum, MPa."""
        m = self.model
        x, flow = np.zeros(m.stress.shape[:2]), np.zeros_like(m.stress)
        for k in np.unique(m.law[self.tires]):
            cells = np.flatnonzero(self.tires & (m.law == k))
            peak, flow[cells] = self._utilisation(k, m.stress[cells])
            x[cells] = np.sqrt(peak * np.minimum(self._utilisation(k, swing[cells])[0], peak))
        return m.damage.smooth(x), flow

    def _utilisation(self, law, stress):
        """u (c, nq) of the stress (c, nq, 6) in MPa under one law, and its gradient (c, nq, 6)."""
        laws = self.model.laws
        s = stress / laws.strength[law]
        Fs = s @ laws.F[law]
        q = np.sqrt(np.maximum(np.einsum("cqi,cqi->cq", s, Fs), 1e-30))
        return np.maximum(q + s @ laws.f[law], 0.0), Fs / q[..., None] + laws.f[law]

    def rate(self, x):
        """d omega / dN (n, nq) at the utilisation x."""
        return self.failure * x**self.exponent / self.life

    def jump(self, growth, flow):
        """The `Jump` over which omega grows by `growth` (n, nq); nothing heals where the last one took too much."""
        omega = self.omega + growth
        return Jump(omega, np.maximum(self.model.damage.fatigue, self.damage(omega)),
                    (self.strain * growth / self.failure)[..., None] * flow)

    def damage(self, omega):
        return self.maximum * (1.0 - np.exp(-omega))
