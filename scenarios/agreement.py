"""How well predictions agree with measurements: R2, concordance, errors, bias with limits, ranks, standardised differences.

R2, MAPE and RMSE are scikit-learn's, correlations and tests scipy's. All take arrays of equal length in one unit.
"""

import numpy as np
from scipy import stats

LIMITS = 1.96  # Bland and Altman: limits of agreement hold 95 % of normal differences
SIGNIFICANT = 0.05
LEAST = 5  # pairs of which a correlation or a spread says something
STATISTICS = "R2", "concordance", "MAPE_percent", "RMSE", "bias", "lower_limit", "upper_limit", "Pearson_r", "Spearman_rho", "Kendall_tau"


def agreement(measured, predicted, factors=False):
    """Statistics of n pairs as a dict; None where there is none: of fewer than LEAST pairs only errors and their mean are told.

    R2: about the identity line, 1 - sum (p - m)^2 / sum (m - mean)^2, not the square of r; concordance: Lin 1989,
    2 cov / (var_m + var_p + (mean_m - mean_p)^2) with variances over n; MAPE in %, over what was measured to be other than 0;
    bias: mean of p - m, lower and upper limit of agreement bias -+ 1.96 SD (n - 1). With `factors`, for ratios: bias and limits are of
    ln p - ln m, as factors, since a half and a double are as far off; and all but MAPE are of ratios that are turned over where less
    than 1 was measured, since which of two arms is on top must not matter.
    """
    from sklearn.metrics import mean_absolute_percentage_error, r2_score, root_mean_squared_error

    m, p = np.asarray(measured, float), np.asarray(predicted, float)
    found = {"n": len(m)} | dict.fromkeys(STATISTICS)
    if not len(m):
        return found
    if (some := m != 0).any():
        found["MAPE_percent"] = 100 * float(mean_absolute_percentage_error(m[some], p[some]))
    if factors:
        m, p = above_one(m, p)
    difference, back = (np.log(p / m), np.exp) if factors else (p - m, np.asarray)
    found |= {"RMSE": float(root_mean_squared_error(m, p)), "bias": float(back(difference.mean()))}
    if len(m) < LEAST:
        return found
    spread = LIMITS * float(difference.std(ddof=1))
    found |= {"lower_limit": float(back(difference.mean() - spread)), "upper_limit": float(back(difference.mean() + spread))}
    if np.ptp(m) > 0:
        found["R2"] = float(r2_score(m, p))
    if np.ptp(m) == 0 or np.ptp(p) == 0:
        return found
    covariance = np.cov(m, p, bias=True)
    found["concordance"] = float(2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (m.mean() - p.mean()) ** 2))
    return found | {
        "Pearson_r": float(stats.pearsonr(m, p).statistic),
        "Spearman_rho": float(stats.spearmanr(m, p).statistic),
        "Kendall_tau": float(stats.kendalltau(m, p).statistic),
    }


def above_one(measured, predicted):
    """Both ratios, turned over where less than 1 was measured."""
    return np.where(measured < 1, 1 / measured, measured), np.where(measured < 1, 1 / predicted, predicted)


def standardised(predicted, mean, sd):
    """(predicted - mean) / sd: how many of the specimens' standard deviations the prediction is off."""
    return (predicted - mean) / sd


def distinct(first, second):
    """Whether two means are told apart; each is (mean, sd, n): by Welch's t test at 5 %; where n is not known, by more than their
    pooled SD; True where an SD is not known either."""
    if None in (first[1], second[1]):
        return True
    if None in (first[2], second[2]) or min(first[2], second[2]) < 2:
        return abs(first[0] - second[0]) > np.sqrt((first[1] ** 2 + second[1] ** 2) / 2)
    return bool(stats.ttest_ind_from_stats(*first, *second, equal_var=False).pvalue < SIGNIFICANT)


def correlation(x, y):
    """Pearson's r of at least three pairs; None where either does not vary."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(stats.pearsonr(x, y).statistic)
