"""Elastic tensors and their rotation.

Voigt order (xx, yy, zz, yz, xz, xy) with engineering shear strains. Rotations are done in Mandel notation, where a
fourth-order tensor rotates with one orthogonal 6 x 6 matrix whether it maps strain to stress or stress to strain.
"""

import numpy as np

PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
ROOT = np.array([1.0, 1.0, 1.0, np.sqrt(2.0), np.sqrt(2.0), np.sqrt(2.0)])


def isotropic(modulus, poisson):
    """Stiffness (6, 6) in MPa of an isotropic solid."""
    shear = modulus / (2 * (1 + poisson))
    return transversely_isotropic(modulus, modulus, poisson, shear, shear)


def transversely_isotropic(longitudinal, transverse, poisson_longitudinal, shear_longitudinal, shear_transverse):
    """Stiffness (6, 6) in MPa, isotropic about z.

    `poisson_longitudinal` is the transverse contraction per longitudinal extension. The Poisson ratio of the
    transverse plane is E_T/(2 G_TT) - 1, which makes the isotropy about z exact. Raises ValueError if the result is
    not positive definite.
    """
    poisson_transverse = transverse / (2 * shear_transverse) - 1
    compliance = np.diag([1 / transverse, 1 / transverse, 1 / longitudinal,
                          1 / shear_longitudinal, 1 / shear_longitudinal, 1 / shear_transverse])
    compliance[0, 1] = compliance[1, 0] = -poisson_transverse / transverse
    compliance[:2, 2] = compliance[2, :2] = -poisson_longitudinal / longitudinal
    if np.linalg.eigvalsh(compliance).min() <= 0:
        raise ValueError("elastic constants are not those of a stable solid")
    stiffness = np.linalg.inv(compliance)
    return (stiffness + stiffness.T) / 2


def mandel_rotation(rotation):
    """Orthogonal (6, 6) matrix that takes the Mandel vector of a tensor A to that of R A R^T."""
    R = np.asarray(rotation, float)
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-9):
        raise ValueError("not a rotation")
    Q = np.empty((6, 6))
    for column, (i, j) in enumerate(PAIRS):
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = 1.0 if i == j else np.sqrt(0.5)
        turned = R @ unit @ R.T
        Q[:, column] = [turned[k, l] for k, l in PAIRS] * ROOT
    return Q


def rotate_stiffness(stiffness, rotation):
    """Voigt stiffness (6, 6) of the material turned by `rotation` (3, 3)."""
    Q = mandel_rotation(rotation)
    return Q @ (stiffness * np.outer(ROOT, ROOT)) @ Q.T / np.outer(ROOT, ROOT)


def rotate_quadric(F, f, rotation):
    """F (6, 6) and f (6,) acting on Voigt stresses, for the material turned by `rotation` (3, 3)."""
    Q = mandel_rotation(rotation)
    return Q @ (F / np.outer(ROOT, ROOT)) @ Q.T * np.outer(ROOT, ROOT), Q @ (f / ROOT) * ROOT
