"""Calibration: observed over expected, intercept, slope, and the observed rate by bins of predicted probability.

Intercept and slope are logistic fits on the logit of the prediction (Cox 1958; Van Calster 2019, BMC Med 17:230).
Predictions of exactly 0 or 1 are kept within [LOGIT_EPS, 1 - LOGIT_EPS] for the logit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from immunocast.metrics._arrays import FloatArray, IntArray, check_pair
from immunocast.metrics._logistic import calibration_intercept_fit, calibration_slope_fit
from immunocast.metrics._types import PatientSum

#: Batched O:E: observed events over their expected number.
oe_ratio_sum = PatientSum(lambda y, p: p, lambda expected, events, n: (events, expected))


def oe_ratio(y_true: Any, p: Any) -> float:
    """Observed over expected events (O:E): number of events over the sum of the predictions.

    1 is ideal; below 1 the predictions are too high on average, by that factor. Over several cohorts, and over
    repeats, observed and expected events are added up before the division.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float >= 0; NaN where no event is expected at all.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    return float(y.sum() / q.sum()) if q.any() else float("nan")


def calibration_intercept(y_true: Any, p: Any) -> float:
    """Calibration intercept (calibration in the large): a of logit P(y=1) = a + logit(p), the slope fixed at 1.

    0 is ideal; below 0 the predictions are too high, by that many logits.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float, in log-odds; NaN without both classes.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    return float(calibration_intercept_fit(y, q)(np.ones((len(y), 1)))[0])


def calibration_slope(y_true: Any, p: Any) -> float:
    """Calibration slope: b of logit P(y=1) = a + b logit(p).

    1 is ideal; below 1 the predictions are too extreme (overfitting), above 1 too moderate.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float; NaN where it does not exist (one class, constant predictions, separated classes).

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    return float(calibration_slope_fit(y, q)(np.ones((len(y), 1)))[0])


@dataclass(frozen=True)
class CalibrationBins:
    """Observed against predicted, in bins of the prediction; arrays of one length, lowest bin first.

    Attributes
    ----------
    mean_predicted : mean predicted probability of the bin.
    observed : share of events in the bin.
    ci_low, ci_high : Wilson interval of `observed`.
    n : patients in the bin.
    """

    mean_predicted: FloatArray
    observed: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    n: IntArray


def calibration_bins(y_true: Any, p: Any, *, n_bins: int = 10, level: float = 0.95) -> CalibrationBins:
    """Observed rates in bins of about equal size; equal predictions are never parted.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.
    n_bins : bins wanted; ties can give fewer.
    level : confidence level of the Wilson intervals.

    Returns
    -------
    CalibrationBins

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    edges = np.unique(np.quantile(q, np.linspace(0, 1, n_bins + 1)[1:-1], method="inverted_cdf"))
    _, label = np.unique(np.searchsorted(edges, q, side="left"), return_inverse=True)
    n = np.bincount(label)
    events = np.bincount(label, weights=y)
    low, high = wilson_interval(events, n, level=level)
    return CalibrationBins(np.bincount(label, weights=q) / n, events / n, low, high, n)


def wilson_interval(events: Any, n: Any, *, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Wilson score interval of a proportion (Wilson 1927).

    Parameters
    ----------
    events : number of events, scalar or array.
    n : number of trials, > 0, same shape.
    level : confidence level.

    Returns
    -------
    low, high : bounds within [0, 1].
    """
    z = norm.ppf((1 + level) / 2)
    events, n = np.asarray(events, dtype=float), np.asarray(n, dtype=float)
    share = events / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # the bounds are 0 and 1 exactly without, or with only, events; rounding would miss them
    return np.where(events == 0, 0.0, middle - half), np.where(events == n, 1.0, middle + half)
