"""Many comparisons at once, and comparisons over the folds of repeated cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import t

from immunocast.errors import DataError, Problem
from immunocast.metrics._arrays import FloatArray
from immunocast.metrics._delong import Difference


def holm(p: Any) -> FloatArray:
    """Correct p by Holm's step-down method (Holm 1979, Scand J Stat 6:65); NaN stay and do not count.

    It holds the probability of any false finding at the level, whatever the dependence between the tests.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    out = np.full(values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    out[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors)) if len(order) else []
    return out


def corrected_t(first: Any, second: Any, test_share: Any, *, level: float = 0.95) -> Difference:
    """Difference of two procedures over J folds of repeated cross-validation (Nadeau & Bengio 2003, Mach Learn 52:239).

    Folds share most of their training patients, so that their differences are no J independent values: the variance
    of the mean is (1/J + n_test/n_train) s^2 in place of s^2/J, with J - 1 degrees of freedom.

    Parameters
    ----------
    first, second : (J,) values of the two, fold by fold, J >= 2.
    test_share : n_test / n_train, one number or one a fold (their mean counts).
    level : confidence level.

    Returns
    -------
    Difference, first minus second. Where the folds all differ by the same, its p is 1 at a difference of 0, else NaN.

    Raises
    ------
    DataError
        Where there are fewer than two folds or the arrays do not fit.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise DataError(Problem(f"the folds' values have shapes {a.shape} and {b.shape}", "Give two folds or more."))
    difference = a - b
    mean = float(difference.mean())
    ratio = float(np.mean(np.asarray(test_share, dtype=float)))
    error = float(np.sqrt((1 / len(a) + ratio) * difference.var(ddof=1)))
    half = float(t.ppf((1 + level) / 2, len(a) - 1)) * error
    p = 1.0 if abs(mean) < 1e-12 else float("nan")
    if error > 1e-12:
        p = float(2 * t.sf(abs(mean) / error, len(a) - 1))
    return Difference(float(a.mean()), float(b.mean()), mean, mean - half, mean + half, p)
