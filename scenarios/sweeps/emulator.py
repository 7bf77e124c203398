"""A Gaussian-process emulator of an output over the parameters of a sweep that drew its cases, and what it says.

    fitted(plan, table, output) -> Emulator, or None for designs and numbers of cases that allow none
    Emulator.error()            -> LeaveOneOut: how well each case is predicted from the others
    Emulator.indices()          -> Indices: Sobol indices with 95 % intervals

Inputs are places in the unit cube (the probability of each parameter's value), so that the indices are those of the
distributions in the sweep file; words are coded one by one. Kernel: Matern 5/2 with a length for each input, and noise.
"""

from dataclasses import dataclass
from functools import cached_property
import warnings

import numpy as np

from scenarios.sweeps.designs import problem

DESIGNS = ("latin_hypercube", "sobol_sequence")
LEAST, PER_PARAMETER, MOST = 12, 4, 2000  # cases; beyond MOST the exact process is too slow
BASE, DRAWS = 256, 40  # of the indices: base samples, and functions drawn from the process


@dataclass(frozen=True)
class LeaveOneOut:
    """predicted, deviation (n,): of each case from all others; rmse in the output's unit; q2: 1 is perfect, 0 the mean."""

    predicted: np.ndarray
    deviation: np.ndarray
    rmse: float
    q2: float
    covered: float  # share of cases within 1.96 deviations


@dataclass(frozen=True)
class Indices:
    """Sobol indices of each parameter and half the width of their 95 % intervals."""

    paths: tuple
    first: np.ndarray
    first_width: np.ndarray
    total: np.ndarray
    total_width: np.ndarray


def fitted(plan, table, output):
    """The Emulator of `output`, fitted to the completed cases; None where that makes no sense."""
    good = ((table["status"] == "completed") & table[output].notna()).to_numpy()
    least = max(LEAST, PER_PARAMETER * len(plan["parameters"]))
    if plan["design"] not in DESIGNS or not least <= good.sum() <= MOST:
        return None
    shares = np.array([point["share"] for point, use in zip(plan["points"], good, strict=True) if use])
    values = table[output].to_numpy(float)[good]
    return Emulator(plan, shares, values) if np.ptp(values) > 0 else None


class Emulator:
    """shares (n, d): places in the unit cube; values (n,): the output there."""

    def __init__(self, plan, shares, values):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self.parameters, self.shares, self.values = plan["parameters"], shares, values
        self.inputs = self.coded(shares)
        lengths = np.ones(self.inputs.shape[1])
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(lengths, (0.05, 50.0), nu=2.5) + WhiteKernel(1e-3, (1e-8, 1.0))
        self.process = GaussianProcessRegressor(kernel, alpha=1e-10, normalize_y=True, n_restarts_optimizer=3, random_state=0)
        with warnings.catch_warnings():  # a length at its bound says that the input does not matter
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.process.fit(self.inputs, values)

    def coded(self, shares):
        """Inputs of the process (n, k) for places in the unit cube (n, d)."""
        columns = []
        for i, parameter in enumerate(self.parameters):
            share, levels = shares[:, i], parameter["levels"]
            if levels is None:
                columns.append(share)
                continue
            place = np.minimum((share * len(levels)).astype(int), len(levels) - 1)
            if parameter["numeric"]:
                numbers = np.array(levels, float)
                columns.append((numbers[place] - numbers.min()) / (np.ptp(numbers) or 1.0))
            else:
                columns += [(place == k).astype(float) for k in range(len(levels))]
        return np.column_stack(columns)

    def at(self, shares):
        """(mean, standard deviation) at places in the unit cube."""
        return self.process.predict(self.coded(shares), return_std=True)

    @cached_property
    def error(self):
        """LeaveOneOut, in closed form with the kernel of the whole fit (Rasmussen and Williams 2006, eq. 5.12)."""
        scale, middle = self.process._y_train_std, self.process._y_train_mean
        inverse = np.linalg.inv(self.process.kernel_(self.inputs) + 1e-10 * np.eye(len(self.values)))
        y = (self.values - middle) / scale
        variance = 1 / np.diag(inverse)
        predicted = middle + scale * (y - (inverse @ y) * variance)
        deviation = scale * np.sqrt(variance)
        residual = self.values - predicted
        q2 = 1 - float((residual**2).sum() / ((self.values - self.values.mean()) ** 2).sum())
        within = float((np.abs(residual) <= 1.96 * deviation).mean())
        return LeaveOneOut(predicted, deviation, float(np.sqrt((residual**2).mean())), q2, within)

    @cached_property
    def indices(self):
        """Indices from functions drawn from the process: their intervals hold its uncertainty and that of the sample."""
        from SALib.analyze import sobol as analysis
        from SALib.sample import sobol as sample

        count = len(self.parameters)
        places = sample.sample(problem(count), BASE, calc_second_order=False, seed=0)
        inputs = self.coded(places)
        unique, back = np.unique(inputs, axis=0, return_inverse=True)
        mean, covariance = self.process.predict(unique, return_cov=True)
        root = _root(covariance, self.process._y_train_std**2, self.process.kernel_.k2.noise_level)
        rng, found = np.random.default_rng(0), {key: [] for key in ("S1", "S1_conf", "ST", "ST_conf")}
        for _ in range(DRAWS):
            drawn = (mean + root @ rng.standard_normal(len(mean)))[back.ravel()]
            one = analysis.analyze(problem(count), drawn, calc_second_order=False, num_resamples=50, seed=0)
            for key, kept in found.items():
                kept.append(one[key])
        widths = [np.hypot(1.96 * np.std(found[key], axis=0), np.mean(found[f"{key}_conf"], axis=0)) for key in ("S1", "ST")]
        paths = tuple(parameter["path"] for parameter in self.parameters)
        return Indices(paths, np.mean(found["S1"], axis=0), widths[0], np.mean(found["ST"], axis=0), widths[1])


def _root(covariance, scale, noise):
    """Triangular root of the covariance of the process itself, without the noise of single cases (both in units of scale)."""
    for jitter in (1e-8, 1e-6, 1e-4):
        try:
            return np.linalg.cholesky(covariance + (jitter - noise) * scale * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            continue
    return np.zeros_like(covariance)  # numbers too close to each other: its mean alone
