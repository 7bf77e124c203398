"""A Gaussian-process emulator of an output over the parameters of a sweep that drew its cases, and what it says.

    fitted(plan, table, output) -> Emulator, or None for designs and numbers of cases that allow none
    Emulator.error              -> Error: how well each case is predicted by what was fitted to others
    Emulator.indices            -> Indices: Sobol indices with 95 % intervals, or None if it is too poor

Inputs are places in the unit cube (the probability of each parameter's value), so that the indices are those of the
distributions in the sweep file; the process has them as normal scores where the distribution has no ends, and words are coded
one by one. Kernel: Matern 5/2 with a length for each input, and noise.
"""

from dataclasses import dataclass
from functools import cached_property
import warnings

import numpy as np
from scipy.special import ndtri

from scenarios.sweeps.designs import problem

DESIGNS = ("latin_hypercube", "sobol_sequence")
LEAST, PER_PARAMETER, MOST = 12, 6, 300  # cases; a process of more than MOST takes minutes and gains little: it is fitted to that many
BASE, DRAWS = 256, 40  # of the indices: base samples, and functions drawn from the process
FOLDS = 10  # of the cases, each predicted by a process that was fitted, lengths and all, to the others
POOR = 0.5  # Q2 of the folds below which an emulator says nothing of its parameters
EDGE = 1e-3  # normal scores end at this probability


@dataclass(frozen=True)
class Error:
    """predicted, deviation (n,): of each case by a process fitted to the other folds; rmse in the output's unit; q2: 1 is perfect, 0 the
    mean, below it worse; covered: share of cases within 1.96 deviations; leave_one_out: q2 with the lengths of the whole fit, which know
    the case that is left out and flatter small designs."""

    predicted: np.ndarray
    deviation: np.ndarray
    rmse: float
    q2: float
    covered: float
    leave_one_out: float


@dataclass(frozen=True)
class Indices:
    """Sobol indices of each parameter and half the width of their 95 % intervals, as shares of the variance of the emulator, which is
    without the noise of single cases."""

    paths: tuple
    first: np.ndarray
    first_width: np.ndarray
    total: np.ndarray
    total_width: np.ndarray


def fitted(plan, table, output):
    """The Emulator of `output`, fitted to the completed cases (MOST of them); None where that makes no sense."""
    good = completed(table, output)
    if plan["design"] not in DESIGNS or len(good) < least(plan):
        return None
    if len(good) > MOST:
        good = np.sort(np.random.default_rng(0).choice(good, MOST, replace=False))
    shares = np.array([plan["points"][i]["share"] for i in good])
    values = table[output].to_numpy(float)[good]
    return Emulator(plan, shares, values) if np.ptp(values) > 0 else None


def completed(table, output):
    """The rows (k,) that an emulator of the output can be fitted to."""
    return np.flatnonzero(((table["status"] == "completed") & table[output].notna()).to_numpy())


def least(plan):
    """How many cases it needs."""
    return max(LEAST, PER_PARAMETER * len(plan["parameters"]))


class Emulator:
    """shares (n, d): places in the unit cube; values (n,): the output there."""

    def __init__(self, plan, shares, values):
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self.parameters, self.values = plan["parameters"], values
        self.inputs = self.coded(shares)
        lengths = np.ones(self.inputs.shape[1])
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(lengths, (0.05, 50.0), nu=2.5) + WhiteKernel(1e-3, (1e-8, 1.0))
        self.process = _process(kernel, self.inputs, values, restarts=3)

    def coded(self, shares):
        """Inputs of the process (n, k) for places in the unit cube (n, d)."""
        columns = []
        for i, parameter in enumerate(self.parameters):
            share, levels = shares[:, i], parameter["levels"]
            if levels is None:
                low, high = parameter["bounded"]
                score = ndtri(np.clip(share, EDGE, 1 - EDGE)) / ndtri(1 - EDGE)
                columns.append(share if low and high else score)
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
    def _folds(self):
        """[(cases left out, process fitted to the others)]"""
        order = np.random.default_rng(0).permutation(len(self.values))
        found = []
        for out in np.array_split(order, FOLDS):
            rest = np.setdiff1d(order, out)
            found.append((out, _process(self.process.kernel_, self.inputs[rest], self.values[rest])))
        return found

    @cached_property
    def error(self):
        predicted, deviation = np.empty_like(self.values), np.empty_like(self.values)
        for out, process in self._folds:
            predicted[out], deviation[out] = process.predict(self.inputs[out], return_std=True)
        residual = self.values - predicted
        within = float((np.abs(residual) <= 1.96 * deviation).mean())
        alone = self.leave_one_out()[0]
        return Error(predicted, deviation, float(np.sqrt((residual**2).mean())), self._q2(predicted), within, self._q2(alone))

    def _q2(self, predicted):
        return 1 - float(((self.values - predicted) ** 2).sum() / ((self.values - self.values.mean()) ** 2).sum())

    def leave_one_out(self):
        """(predicted, deviation) of each case from all others, in closed form with the kernel of the whole fit (Rasmussen and Williams 2006,
        eq. 5.12)."""
        scale, middle = self.process._y_train_std, self.process._y_train_mean
        inverse = np.linalg.inv(self.process.kernel_(self.inputs) + 1e-10 * np.eye(len(self.values)))
        y = (self.values - middle) / scale
        variance = 1 / np.diag(inverse)
        return middle + scale * (y - (inverse @ y) * variance), scale * np.sqrt(variance)

    @property
    def noise(self):
        """Share of the variance of the cases that the process takes for noise of single ones."""
        return float(self.process.kernel_.k2.noise_level)

    @cached_property
    def indices(self):
        """Indices, or None where Q2 of the folds is below POOR. Their intervals hold, added as variances, what functions drawn from the
        process differ by, the sample, and what the processes of the folds differ by (jackknife), whose lengths are their own: with lengths
        known for certain, inputs of little weight would get intervals of next to nothing."""
        if self.error.q2 < POOR:
            return None
        from SALib.sample import sobol as sample

        count = len(self.parameters)
        places = sample.sample(problem(count), BASE, calc_second_order=False, seed=0)
        unique, back = np.unique(self.coded(places), axis=0, return_inverse=True)
        mean, covariance = self.process.predict(unique, return_cov=True)
        root = _root(covariance, self.process._y_train_std**2, self.process.kernel_.k2.noise_level)
        rng = np.random.default_rng(0)
        drawn = [_analysed(count, (mean + root @ rng.standard_normal(len(mean)))[back.ravel()], 50) for _ in range(DRAWS)]
        folds = [_analysed(count, process.predict(unique)[back.ravel()]) for _, process in self._folds]
        found = {}
        for key in ("S1", "ST"):
            values, others = (np.array([one[key] for one in several]) for several in (drawn, folds))
            found[key] = values.mean(axis=0)
            found[f"{key}_width"] = np.sqrt((1.96 * values.std(axis=0)) ** 2 + np.mean([one[f"{key}_conf"] for one in drawn], axis=0) ** 2
                                            + (1.96 * np.sqrt(FOLDS - 1) * others.std(axis=0)) ** 2)
        return Indices(tuple(p["path"] for p in self.parameters), found["S1"], found["S1_width"], found["ST"], found["ST_width"])


def _process(kernel, inputs, values, restarts=0):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor

    process = GaussianProcessRegressor(kernel, alpha=1e-10, normalize_y=True, n_restarts_optimizer=restarts, random_state=0)
    with warnings.catch_warnings():  # a length at its bound says that the input does not matter
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(inputs, values)


def _analysed(count, values, resamples=2):
    from SALib.analyze import sobol as analysis

    return analysis.analyze(problem(count), values, calc_second_order=False, num_resamples=resamples, seed=0)


def _root(covariance, scale, noise):
    """Triangular root of the covariance of the process itself, without the noise of single cases (both in units of scale)."""
    for jitter in (1e-8, 1e-6, 1e-4):
        try:
            return np.linalg.cholesky(covariance + (jitter - noise) * scale * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            continue
    return np.zeros_like(covariance)  # numbers too close to each other: its mean alone
