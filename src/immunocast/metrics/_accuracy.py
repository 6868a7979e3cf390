"""Overall accuracy of probabilities: the Brier score and its scaled form."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunocast.metrics._arrays import FloatArray, IntArray, check_pair
from immunocast.metrics._types import Parts


def brier_parts(y: IntArray, p: FloatArray) -> Parts:
    """Batched Brier score: sum of squared errors and number of patients, for each column of the weights."""
    squared = (p - y) ** 2

    def parts(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.einsum("nb,n->b", weights, squared), weights.sum(axis=0)

    return parts


def scaled_brier_parts(y: IntArray, p: FloatArray) -> Parts:
    """Batched scaled Brier score: gain in squared error over the prevalence, and the prevalence's squared error.

    Summed over cohorts, the gain is relative to each cohort's own prevalence.
    """
    squared = (p - y) ** 2
    events = np.flatnonzero(y == 1)

    def parts(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = weights.sum(axis=0)
        n_events = weights[events].sum(axis=0)
        reference = n_events * (n - n_events) / np.maximum(n, 1)
        return reference - np.einsum("nb,n->b", weights, squared), reference

    return parts


def brier(y_true: Any, p: Any) -> float:
    """Brier score: mean squared difference of probability and outcome; 0 is perfect.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float in [0, 1].

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    return float(np.mean((q - y) ** 2))


def scaled_brier(y_true: Any, p: Any) -> float:
    """Scaled Brier score: 1 - Brier / Brier of the prevalence (index of prediction accuracy).

    1 is perfect, 0 is no better than giving everybody the observed prevalence, negative is worse
    (Steyerberg 2010, Epidemiology 21:128).

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float <= 1; NaN without both classes.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    prevalence = y.mean()
    reference = prevalence * (1 - prevalence)
    return float(1 - np.mean((q - y) ** 2) / reference) if reference else float("nan")
