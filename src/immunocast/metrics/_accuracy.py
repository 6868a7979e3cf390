"""Overall accuracy of probabilities: the Brier score and its scaled form."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunocast.metrics._arrays import FloatArray, IntArray, check_pair
from immunocast.metrics._types import PatientSum


def _squared_error(y: IntArray, p: FloatArray) -> FloatArray:
    return (p - y) ** 2


def _gain_over_prevalence(squared: FloatArray, events: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    reference = events * (n - events) / np.maximum(n, 1)
    return reference - squared, reference


#: Batched Brier score: sum of squared errors over the number of patients.
brier_sum = PatientSum(_squared_error, lambda squared, events, n: (squared, n))

#: Batched scaled Brier score: gain in squared error over the prevalence, over the prevalence's squared error.
#: Summed over cohorts, the gain is relative to each cohort's own prevalence.
scaled_brier_sum = PatientSum(_squared_error, _gain_over_prevalence)


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
