"""The cortical shell as a membrane on the outer surface, in plane stress, with yielding and fracture.

Cortex is about 0.35 mm thin (Silva 1994), a hundredth of the specimen: bending of so thin a shell on a continuum adds
nothing measurable, its membrane forces do. Von Mises plasticity without hardening in plane stress (Simo and Taylor 1986);
beyond an equivalent plastic strain in tension and shear of `FRACTURE_ONSET` the shell tears and has lost its force after another
`FRACTURE_RANGE`. Like the damage of the bone below it, tearing is extrapolated and fixed within a step; a step that tears much more is
repeated with it. Under cyclic load the shell
tires by the law of bone (`fem.fatigue`).
"""

import numpy as np
from numba import njit

from fem.elements import EDGES, RULES, barycentric_gradients, quadratic_gradients

FRACTURE_ONSET = 0.02  # plastic strain of cortical bone at fracture: materials library, bone.cortex notes
FRACTURE_RANGE = 0.03  # with facets of 1-3 mm and 70 MPa: 1-3 N/mm, the fracture energy of cortical bone
RESIDUAL = 1e-3  # of the stiffness, left in torn shell
SOUND = 1e-4  # damage that Newton's method could not notice


@njit(cache=True)
def plane_stress(trial, modulus, poisson, strength, tangent):
    """Return (xx, yy, xy) stress to the von Mises surface in plane stress; `trial` is overwritten, `tangent` (3, 3) filled.

    Closed form in rotated axes s1 = (a+b)/sqrt2, s2 = (b-a)/sqrt2 but for one scalar Newton iteration on the multiplier.
    Returns the increment of the equivalent plastic strain (0: elastic)."""
    mu = 0.5 * modulus / (1.0 + poisson)
    bulk = modulus / (1.0 - poisson)
    c = modulus / (1.0 - poisson * poisson)
    tangent[:, :] = 0.0
    tangent[0, 0] = tangent[1, 1] = c
    tangent[0, 1] = tangent[1, 0] = c * poisson
    tangent[2, 2] = mu
    s1 = (trial[0] + trial[1]) / np.sqrt(2.0)
    s2 = (trial[1] - trial[0]) / np.sqrt(2.0)
    t = trial[2]
    limit = 2.0 / 3.0 * strength * strength
    if s1 * s1 / 3.0 + s2 * s2 + 2.0 * t * t <= limit:
        return 0.0
    g = 0.0
    for _ in range(50):
        a, b = 1.0 + g * bulk / 3.0, 1.0 + 2.0 * mu * g
        first, second = s1 * s1 / 3.0 / (a * a), (s2 * s2 + 2.0 * t * t) / (b * b)
        value = first + second - limit
        if abs(value) <= 1e-12 * limit:
            break
        g -= value / (-2.0 * first * bulk / 3.0 / a - 4.0 * mu * second / b)
    a, b = 1.0 + g * bulk / 3.0, 1.0 + 2.0 * mu * g
    s1, s2, t = s1 / a, s2 / b, t / b
    trial[0], trial[1], trial[2] = (s1 - s2) / np.sqrt(2.0), (s1 + s2) / np.sqrt(2.0), t
    # algorithmic tangent: Xi - (Xi P s)(Xi P s)^T / (s P Xi P s), Xi diagonal in the rotated axes
    x1, x2, x3 = bulk / a, 2.0 * mu / b, mu / b
    n1, n2, n3 = x1 * s1 / 3.0, x2 * s2, x3 * 2.0 * t
    den = s1 / 3.0 * n1 + s2 * n2 + 2.0 * t * n3
    k11, k12, k13 = x1 - n1 * n1 / den, -n1 * n2 / den, -n1 * n3 / den
    k22, k23, k33 = x2 - n2 * n2 / den, -n2 * n3 / den, x3 - n3 * n3 / den
    h = np.sqrt(0.5)
    tangent[0, 0] = 0.5 * (k11 - 2.0 * k12 + k22)
    tangent[1, 1] = 0.5 * (k11 + 2.0 * k12 + k22)
    tangent[0, 1] = tangent[1, 0] = 0.5 * (k11 - k22)
    tangent[0, 2] = tangent[2, 0] = h * (k13 - k23)
    tangent[1, 2] = tangent[2, 1] = h * (k13 + k23)
    tangent[2, 2] = k33
    return g * 2.0 / 3.0 * strength


@njit(cache=True)
def _tearing_share(s):
    """Share of yielding that tears the shell: 2 sum<s_i> / sum|s_i| of the principal stresses, at most 1; as in bone,
    crushing under a bearing screw does not (`fem.plasticity.shear_tension_weight`)."""
    mean, radius = 0.5 * (s[0] + s[1]), np.sqrt(0.25 * (s[0] - s[1]) ** 2 + s[2] ** 2)
    a, b = mean + radius, mean - radius
    return min(1.0, 2.0 * (max(a, 0.0) + max(b, 0.0)) / (abs(a) + abs(b)))


@njit(cache=True)
def _update(ue, B, weight, modulus, poisson, strength, plastic_n, integrity, elastic, stress, tangent, plastic, yields, growth, force):
    m, nq = weight.shape
    D = np.zeros((3, 3))
    s = np.zeros(3)
    eps = np.zeros(3)
    for k in range(m):
        for q in range(nq):
            for i in range(3):
                v = 0.0
                for j in range(18):
                    v += B[k, q, i, j] * ue[k, j]
                eps[i] = v - plastic_n[k, q, i]
            for i in range(3):
                s[i] = elastic[i, 0] * eps[0] + elastic[i, 1] * eps[1] + elastic[i, 2] * eps[2]
            growth[k, q] = plane_stress(s, modulus, poisson, strength, D)
            yields[k, q] = growth[k, q] > 0.0
            if yields[k, q]:
                growth[k, q] *= _tearing_share(s)
            # elastic strain from the returned stress
            e0 = (s[0] - poisson * s[1]) / modulus
            e1 = (s[1] - poisson * s[0]) / modulus
            e2 = s[2] / elastic[2, 2]
            plastic[k, q, 0] = plastic_n[k, q, 0] + eps[0] - e0
            plastic[k, q, 1] = plastic_n[k, q, 1] + eps[1] - e1
            plastic[k, q, 2] = plastic_n[k, q, 2] + eps[2] - e2
            for i in range(3):
                stress[k, q, i] = s[i]
                for j in range(3):
                    tangent[k, q, i, j] = D[i, j]
            for j in range(18):
                v = B[k, q, 0, j] * s[0] + B[k, q, 1, j] * s[1] + B[k, q, 2, j] * s[2]
                force[k, j] += weight[k, q] * integrity[k, q] * v


class Cortex:
    """Membrane facets of this rank and their state.

    Attributes: nodes (m, 6) local node numbers; points (m, 3, 3) mm, where strains are taken; plastic (m, 3, 3) strains, strain (m, 3) accumulated; torn, fatigue (m, 3) damage;
    integrity (m, 3), what both leave; swung (m, 3, 3) MPa, by how much the stress changes over a cycle (`fem.model.Model.swing`).
    """

    def __init__(self, domain, facets, thickness, modulus, poisson, strength):
        """Args: domain: 3D `Domain`; facets (k, 3) input vertices; thickness (k,) mm; modulus, strength MPa; poisson."""
        self.modulus, self.poisson, self.strength = float(modulus), float(poisson), float(strength)
        cell, local, row = domain.facet_cells(facets)
        self.row = row  # of `facets`
        number = {frozenset(map(int, e)): 4 + k for k, e in enumerate(EDGES[3])}
        midpoints = np.array([[number[frozenset((int(v[a]), int(v[b])))] for a, b in EDGES[2]] for v in local], dtype=int)
        vertices = domain.cells[cell[:, None], local.reshape(-1, 3)]
        self.nodes = np.concatenate([vertices, domain.cells[cell[:, None], midpoints.reshape(-1, 3)]], axis=1)
        x = domain.node_x[vertices]
        self.points = np.einsum("qv,mvi->mqi", RULES[2][0], x)
        e1 = x[:, 1] - x[:, 0]
        e1 /= np.linalg.norm(e1, axis=1)[:, None]
        normal = np.cross(e1, x[:, 2] - x[:, 0])
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        e2 = np.cross(normal, e1)
        flat = np.einsum("mij,mvj->mvi", np.stack([e1, e2], axis=1), x - x[:, :1])
        grad, area = barycentric_gradients(flat)
        G = quadratic_gradients(RULES[2][0], grad)  # (m, 3, 6, 2)
        m = len(cell)
        self.B = np.zeros((m, 3, 3, 18))
        for a in range(6):
            c = slice(3 * a, 3 * a + 3)
            self.B[:, :, 0, c] = G[:, :, a, 0, None] * e1[:, None]
            self.B[:, :, 1, c] = G[:, :, a, 1, None] * e2[:, None]
            self.B[:, :, 2, c] = G[:, :, a, 1, None] * e1[:, None] + G[:, :, a, 0, None] * e2[:, None]
        nu = self.poisson
        self.elastic = self.modulus / (1 - nu**2) * np.array([[1, nu, 0], [nu, 1, 0], [0, 0, (1 - nu) / 2]])
        self.weight = np.repeat((np.abs(area) * np.asarray(thickness)[row] / 3.0)[:, None], 3, axis=1)
        self.plastic, self.strain = np.zeros((m, 3, 3)), np.zeros((m, 3))
        self.integrity, self.torn, self.fatigue = np.ones((m, 3)), np.zeros((m, 3)), np.zeros((m, 3))
        self.swung = np.zeros((m, 3, 3))
        self.stress, self.growth, self._grown = np.zeros((m, 3, 3)), np.zeros((m, 3)), np.zeros((m, 3))
        self.yields = np.zeros((m, 3), bool)
        self._trial = np.zeros((m, 3, 3))
        self.tangent = np.tile(self.elastic, (m, 3, 1, 1))
        self._last = self.stress.copy(), self.integrity.copy(), self._energy_density()

    def add_force(self, u, force):
        """Update the stresses at local displacements u (nodes, 3) and add the internal force to force (nodes, 3)."""
        ue = u[self.nodes].reshape(-1, 18)
        fe = np.zeros_like(ue)
        _update(ue, self.B, self.weight, self.modulus, self.poisson, self.strength, self.plastic, self.integrity,
                self.elastic, self.stress, self.tangent, self._trial, self.yields, self.growth, fe)
        np.add.at(force, self.nodes.ravel(), fe.reshape(-1, 3))

    def matrices(self, facets=None, unloading=False):
        """(k, 18, 18) tangent of the given facets, or what they unload with, minus their elastic stiffness; of all facets, elastic,
        without argument."""
        if facets is None:
            D = np.broadcast_to(self.elastic, self.tangent.shape)
            return np.einsum("mq,mqai,mqab,mqbj->mij", self.weight, self.B, D, self.B, optimize=True)
        tangent = self.elastic if unloading else self.tangent[facets]
        D = self.integrity[facets][..., None, None] * tangent - self.elastic
        return np.einsum("mq,mqai,mqab,mqbj->mij", self.weight[facets], self.B[facets], D, self.B[facets], optimize=True)

    def changed(self):
        """Facets that yield or are damaged."""
        return np.flatnonzero(np.any(self.yields | (self.integrity < 1.0 - SOUND), axis=1))

    def damaged(self):
        return np.flatnonzero(np.any(self.integrity < 1.0 - SOUND, axis=1))

    def unload(self, u):
        """Set `swung` from the displacements u (nodes, 3) by which a cycle goes back, elastically."""
        strain = np.einsum("mqai,mi->mqa", self.B, u[self.nodes].reshape(-1, 18))
        self.swung = strain @ self.elastic

    def utilisation(self):
        """x (m, 3) of the cycle whose peak has just been solved, as `fem.fatigue.Fatigue.measure` has it for bone."""
        peak = _mises(self.stress) / self.strength
        return np.sqrt(peak * np.minimum(_mises(self.swung) / self.strength, peak))

    def _energy_density(self):
        s, E, nu = self.stress, self.modulus, self.poisson
        return 0.5 / E * (s[..., 0] ** 2 + s[..., 1] ** 2 - 2 * nu * s[..., 0] * s[..., 1] + 2 * (1 + nu) * s[..., 2] ** 2)

    def stored_energy(self):
        """Elastic energy on this rank, N mm."""
        return float(np.sum(self.weight * self.integrity * self._energy_density()))

    def dissipation(self):
        """Work dissipated by yielding and tearing from the last converged step to the trial state (this rank, N mm)."""
        stress, integrity, density = self._last
        mean = 0.5 * (stress * integrity[..., None] + self.stress * self.integrity[..., None])
        plastic = np.sum(self.weight[..., None] * mean * (self._trial - self.plastic))
        torn = np.sum(self.weight * 0.5 * (density + self._energy_density()) * (integrity - self.integrity))
        return float(plastic + torn)

    def commit(self):
        """Accept the trial state."""
        self.plastic[:] = self._trial
        self.strain += self.growth
        self._grown = self.growth.copy()
        self._last = self.stress.copy(), self.integrity.copy(), self._energy_density()

    def state(self):
        """{name: array}, see `fem.model.Model.state`."""
        stress, integrity, density = self._last
        return {"plastic": self.plastic, "strain": self.strain, "integrity": self.integrity, "torn": self.torn,
                "fatigue": self.fatigue, "swung": self.swung, "grown": self._grown, "stress": stress, "last_integrity": integrity, "density": density}

    def restore(self, state):
        self.plastic[:], self.strain[:] = state["plastic"], state["strain"]
        self.wear = tuple(state[name].copy() for name in ("torn", "fatigue", "integrity"))
        self.swung, self._grown = state["swung"].copy(), state["grown"].copy()
        self.stress[:] = state["stress"]
        self._last = state["stress"].copy(), state["last_integrity"].copy(), state["density"].copy()

    def renew(self):
        """Damage was set from outside: the book begins with it."""
        self._combine()
        self._last = self.stress.copy(), self.integrity.copy(), self._energy_density()

    def foresee(self, ratio):
        """Set the tearing of the next step from the plastic strain it will reach if it grows as in the last one."""
        self.torn = _torn(self.strain + ratio * self._grown)
        self._combine()

    def lag(self):
        """(m, 3) tearing at the trial state beyond what was foreseen."""
        return _torn(self.strain + self.growth) - self.torn

    def catch_up(self):
        """Tear by what the trial state has come to, beyond what was foreseen."""
        self.torn = np.maximum(self.torn, _torn(self.strain + self.growth))
        self._combine()

    def tire(self, fatigue):
        """Set the fatigue damage (m, 3) of the next step."""
        self.fatigue = fatigue
        self._combine()

    def _combine(self):
        self.integrity = np.maximum((1.0 - self.torn) * (1.0 - self.fatigue), RESIDUAL)

    @property
    def wear(self):
        """(torn, fatigue, integrity): none is ever changed in place."""
        return self.torn, self.fatigue, self.integrity

    @wear.setter
    def wear(self, values):
        self.torn, self.fatigue, self.integrity = values

    def summary(self):
        """(largest von Mises stress over strength, largest plastic strain in tension and shear, which grows on in torn shell) on this rank."""
        if len(self.nodes) == 0:
            return 0.0, 0.0
        there = self.weight > 0.0  # an entry may be opened to the bone
        return (float(_mises(self.stress).max(where=there, initial=0.0) / self.strength),
                float(self.strain.max(where=there, initial=0.0)))


def _torn(strain):
    """Damage at the accumulated plastic strain in tension and shear."""
    return np.clip((strain - FRACTURE_ONSET) / FRACTURE_RANGE, 0.0, 1.0)


def _mises(s):
    """Von Mises stress of (xx, yy, xy) in plane stress, (..., 3)."""
    return np.sqrt(s[..., 0] ** 2 + s[..., 1] ** 2 - s[..., 0] * s[..., 1] + 3 * s[..., 2] ** 2)
