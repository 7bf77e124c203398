"""Elasto-plastic update of bone, foam and fibrous tissue at one material point, with its exact algorithmic tangent.

Effective stress sigma = C : (eps - eps_p), normalised s = sigma / strength. Yield surface (a quadric, Schwiedrzik et al.
2013, with an independent shear entry) and hardening that saturates:

    Y(s, kappa) = sqrt(s.F.s) + f.s - r(kappa) <= 0,     r = R + (1 - R) (1 - exp(-kappa / k0)).

Associated flow d eps_p = d lambda n, n = F s / q + f, q = sqrt(s.F.s); d kappa = d lambda. The closest-point return map
solves for (s, d lambda), seven unknowns, by Newton; softening is not here (see `fem.damage`), so each point is a convex
problem and the tangent is symmetric.

Voigt order (xx, yy, zz, yz, xz, xy), engineering shear strains; axisymmetric x = r, y = hoop, z = z.
Units MPa and mm/mm.
"""

import math

import numpy as np
from numba import njit

MAX_ITERATIONS = 60
TOLERANCE = 1e-10


@njit(cache=True, fastmath=False)
def _cholesky_solve_many(a, b, n, m):
    """Solve a x = b in place for `m` right-hand sides (columns of b, (n, m)); `a` (n, n) SPD, overwritten. False if not SPD."""
    for j in range(n):
        d = a[j, j]
        for k in range(j):
            d -= a[j, k] * a[j, k]
        if d <= 0.0:
            return False
        d = math.sqrt(d)
        a[j, j] = d
        for i in range(j + 1, n):
            v = a[i, j]
            for k in range(j):
                v -= a[i, k] * a[j, k]
            a[i, j] = v / d
    for c in range(m):
        for i in range(n):
            v = b[i, c]
            for k in range(i):
                v -= a[i, k] * b[k, c]
            b[i, c] = v / a[i, i]
        for i in range(n - 1, -1, -1):
            v = b[i, c]
            for k in range(i + 1, n):
                v -= a[k, i] * b[k, c]
            b[i, c] = v / a[i, i]
    return True


@njit(cache=True)
def _radius(kappa, onset, k0):
    e = math.exp(-kappa / k0)
    return onset + (1.0 - onset) * (1.0 - e), (1.0 - onset) * e / k0


@njit(cache=True)
def _flow(s, F, f, Fs, n):
    """q = sqrt(s.F.s), fills Fs and the flow direction n; returns (q, q + f.s)."""
    q2 = 0.0
    fs = 0.0
    for i in range(6):
        v = 0.0
        for j in range(6):
            v += F[i, j] * s[j]
        Fs[i] = v
        q2 += v * s[i]
        fs += f[i] * s[i]
    q = math.sqrt(max(q2, 1e-300))
    for i in range(6):
        n[i] = Fs[i] / q + f[i]
    return q, q + fs


@njit(cache=True)
def _residual(s, dl, trial, compliance, F, f, kappa_n, onset, k0, Fs, n, res):
    q, g = _flow(s, F, f, Fs, n)
    r, dr = _radius(kappa_n + dl, onset, k0)
    size = 0.0
    for i in range(6):
        v = dl * n[i]
        for j in range(6):
            v += compliance[i, j] * (s[j] - trial[j])
        res[i] = v
        size += v * v
    y = g - r
    return q, y, dr, size


@njit(cache=True)
def return_map(trial, kappa_n, C, compliance, strength, F, f, onset, k0, tangent):
    """Return the normalised trial stress to the yield surface.

    Args:
        trial: (6,) effective trial stress / strength; overwritten by the admissible stress / strength.
        kappa_n: accumulated plastic strain of the last step.
        C, compliance: (6, 6) stiffness in MPa; compliance = strength * inv(C), dimensionless.
        F, f, onset, k0: yield surface and hardening.
        tangent: (6, 6) filled with d sigma_eff / d eps in MPa (C where the point stays elastic).
    Returns:
        (d lambda, status): status 0 elastic, 1 plastic, -1 not converged (state and tangent elastic, step must be cut).
    """
    Fs = np.empty(6)
    n = np.empty(6)
    q, g = _flow(trial, F, f, Fs, n)
    r, dr = _radius(kappa_n, onset, k0)
    if g - r <= 0.0:
        for i in range(6):
            for j in range(6):
                tangent[i, j] = C[i, j]
        return 0.0, 0

    s = np.empty(6)
    scale = r / g
    for i in range(6):
        s[i] = trial[i] * scale
    dl = 0.0
    res = np.empty(6)
    rhs = np.empty((6, 2))
    A = np.empty((6, 6))
    new = np.empty(6)
    # strains are ~ strength/stiffness: measure the flow residual against it
    unit = 0.0
    for i in range(3):
        unit = max(unit, compliance[i, i])
    q, y, dr, size = _residual(s, dl, trial, compliance, F, f, kappa_n, onset, k0, Fs, n, res)
    merit = size / (unit * unit) + y * y
    for _ in range(MAX_ITERATIONS):
        if merit < TOLERANCE * TOLERANCE:
            break
        for i in range(6):
            for j in range(6):
                A[i, j] = compliance[i, j] + dl * (F[i, j] - Fs[i] * Fs[j] / (q * q)) / q
            rhs[i, 0] = res[i]
            rhs[i, 1] = n[i]
        if not _cholesky_solve_many(A, rhs, 6, 2):
            break
        nr = 0.0
        nn = 0.0
        for i in range(6):
            nr += n[i] * rhs[i, 0]
            nn += n[i] * rhs[i, 1]
        ddl = (y - nr) / (nn + dr)
        a = 1.0
        if dl + ddl < 0.0:
            ddl = -0.9 * dl
        best = merit
        for _trial in range(12):
            for i in range(6):
                new[i] = s[i] - a * (rhs[i, 0] + ddl * rhs[i, 1])
            q, y, dr, size = _residual(new, dl + a * ddl, trial, compliance, F, f, kappa_n, onset, k0, Fs, n, res)
            merit = size / (unit * unit) + y * y
            if merit < best:
                break
            a *= 0.5
        for i in range(6):
            s[i] = new[i]
        dl += a * ddl
    if merit > 1e-12 or dl < 0.0:
        for i in range(6):
            for j in range(6):
                tangent[i, j] = C[i, j]
        return 0.0, -1

    H = np.zeros((6, 6))
    for i in range(6):
        for j in range(6):
            A[i, j] = compliance[i, j] + dl * (F[i, j] - Fs[i] * Fs[j] / (q * q)) / q
        H[i, i] = 1.0
    _cholesky_solve_many(A, H, 6, 6)
    Hn = np.empty(6)
    den = dr
    for i in range(6):
        v = 0.0
        for j in range(6):
            v += H[i, j] * n[j]
        Hn[i] = v
        den += v * n[i]
    for i in range(6):
        for j in range(6):
            tangent[i, j] = strength * (H[i, j] - Hn[i] * Hn[j] / den)
        trial[i] = s[i]
    return dl, 1


@njit(cache=True)
def shear_tension_weight(s):
    """Share of a plastic increment that tears bone rather than crushes it: min(1, 2 sum<s_i> / sum|s_i|) of the principal
    stresses s_i. 1 in tension and in pure shear, 0 in uniaxial compression, where trabecular bone plateaus (crushing does
    not soften: Keaveny 1999; Kopperdahl and Keaveny 1998)."""
    p = (s[0] + s[1] + s[2]) / 3.0
    a, b, c = s[0] - p, s[1] - p, s[2] - p
    yz, xz, xy = s[3], s[4], s[5]
    j2 = 0.5 * (a * a + b * b + c * c) + yz * yz + xz * xz + xy * xy
    if j2 < 1e-300:
        return 1.0 if p > 0.0 else 0.0
    j3 = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    arg = 1.5 * math.sqrt(3.0) * j3 / j2**1.5
    theta = math.acos(min(1.0, max(-1.0, arg))) / 3.0
    rad = 2.0 * math.sqrt(j2 / 3.0)
    positive = 0.0
    total = 0.0
    for k in range(3):
        v = p + rad * math.cos(theta - 2.0 * math.pi * k / 3.0)
        positive += max(v, 0.0)
        total += abs(v)
    return min(1.0, 2.0 * positive / total)
