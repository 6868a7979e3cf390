"""Clinical utility: net benefit and its two reference strategies (Vickers & Elkin 2006, Med Decis Making 26:565)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from immunocast.metrics._arrays import FloatArray, IntArray, binary_outcome, check_pair, check_threshold
from immunocast.metrics._smooth import Groups
from immunocast.metrics._types import PatientSum


def net_benefit_curve_parts(
    y: IntArray, p: FloatArray, thresholds: FloatArray
) -> Callable[[FloatArray], tuple[FloatArray, FloatArray]]:
    """Batched net benefit at many thresholds: weights (n, b) -> its sums over patients (t, b), their number (b,).

    Patients between two neighbouring thresholds are added up once; who is treated at a threshold are all above it.

    Parameters
    ----------
    y, p : (n,) outcomes and predictions.
    thresholds : (t,) rising, each between 0 and 1.
    """
    place = np.searchsorted(thresholds, p, side="right")  # thresholds at which the patient is treated
    odds = thresholds / (1 - thresholds)
    pieces = [
        (Groups.of(place, rows), np.unique(place[rows]), worth)
        for rows, worth in ((np.flatnonzero(y == 1), np.ones(len(odds))), (np.flatnonzero(y == 0), -odds))
    ]

    def parts(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        total = np.zeros((len(thresholds), weights.shape[1]))
        for groups, places, worth in pieces:
            if len(places):
                between = np.zeros((len(thresholds) + 1, weights.shape[1]))
                between[places] = groups.add_up(weights)
                total += np.cumsum(between[:0:-1], axis=0)[::-1] * worth[:, None]
        return total, weights.sum(axis=0)

    return parts


def _gain(y: IntArray, p: FloatArray, threshold: float) -> FloatArray:
    return np.where(p >= threshold, np.where(y == 1, 1.0, -threshold / (1 - threshold)), 0.0)


#: Batched net benefit: its sum over patients, over their number.
net_benefit_sum = PatientSum(_gain, lambda gain, events, n: (gain, n))


def net_benefit(y_true: Any, p: Any, threshold: float) -> float:
    """Net benefit of treating the patients with p >= threshold.

    TP/n - FP/n * t/(1-t): true positives per patient, less the false positives weighted by the odds at which a
    doctor and patient are indifferent. It reads `p` as a probability: a miscalibrated model loses.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.
    threshold : probability of response from which one would treat, between 0 and 1.

    Returns
    -------
    float, at most the prevalence.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    ConfigError
        Where the threshold is not between 0 and 1.
    """
    y, q = check_pair(y_true, p)
    odds = check_threshold(threshold) / (1 - threshold)
    treated = q >= threshold
    return float((np.sum(treated & (y == 1)) - np.sum(treated & (y == 0)) * odds) / len(y))


def net_benefit_treat_all(y_true: Any, threshold: float) -> float:
    """Net benefit of treating everybody: prevalence - (1 - prevalence) t/(1-t).

    Raises
    ------
    DataError, ConfigError
        As for `net_benefit`.
    """
    y = binary_outcome(y_true)
    odds = check_threshold(threshold) / (1 - threshold)
    prevalence = float(y.mean())
    return prevalence - (1 - prevalence) * odds


def net_benefit_treat_none(y_true: Any, threshold: float) -> float:
    """Net benefit of treating nobody: 0 by definition.

    Raises
    ------
    DataError, ConfigError
        As for `net_benefit`.
    """
    binary_outcome(y_true)
    check_threshold(threshold)
    return 0.0
