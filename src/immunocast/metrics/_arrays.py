"""What every metric accepts: two arrays, checked once and in the same words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from immunocast.errors import ConfigError, DataError, Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Probabilities are kept within [LOGIT_EPS, 1 - LOGIT_EPS] before a logit is taken, so that exact 0 and 1 stay finite.
LOGIT_EPS = 1e-6


def binary_outcome(y_true: Any) -> IntArray:
    """Outcome as integers 0/1, shape (n,).

    Raises
    ------
    DataError
        Where it is empty, not one-dimensional, or holds anything but 0 and 1.
    """
    y = np.asarray(y_true)
    if y.ndim != 1 or y.size == 0:
        raise DataError(Problem(f"y_true has shape {y.shape}", "Give one outcome a patient, at least one patient."))
    y = y.astype(np.float64)
    bad = ~((y == 0) | (y == 1))
    if bad.any():
        raise DataError(
            Problem(
                "y_true holds something else than 0 and 1",
                "Leave out patients without an outcome before a metric is computed.",
                column="y_true",
                value=str(y[bad][0]),
            )
        )
    return y.astype(np.int64)


def probabilities(p: Any, n: int) -> FloatArray:
    """Predictions as floats within [0, 1], shape (n,).

    Raises
    ------
    DataError
        Where the length differs from `n`, or a value is missing or outside [0, 1].
    """
    values = np.asarray(p, dtype=np.float64)
    if values.shape != (n,):
        raise DataError(Problem(f"p has shape {values.shape}, y_true has {n} rows", "Give one probability a patient."))
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        raise DataError(
            Problem(
                "p holds values that are not probabilities",
                "Give values from 0 to 1; leave out patients on whom a model abstained.",
                column="p",
                value=str(values[bad][0]),
            )
        )
    return values


def check_pair(y_true: Any, p: Any) -> tuple[IntArray, FloatArray]:
    """Both arrays of a metric, checked."""
    y = binary_outcome(y_true)
    return y, probabilities(p, len(y))


def check_threshold(threshold: float | None) -> float:
    """A probability threshold, which must lie strictly between 0 and 1.

    Raises
    ------
    ConfigError
        Where it does not, or is missing.
    """
    if threshold is None or not 0 < threshold < 1:
        raise ConfigError(f"threshold is {threshold!r}: a probability threshold lies between 0 and 1, both excluded.")
    return float(threshold)


def logit(p: Any) -> FloatArray:
    """Log-odds of probabilities, which are first kept within [LOGIT_EPS, 1 - LOGIT_EPS].

    >>> float(logit(0.5))
    0.0
    >>> bool(np.isfinite(logit(1.0)))
    True
    """
    clipped = np.clip(np.asarray(p, dtype=np.float64), LOGIT_EPS, 1 - LOGIT_EPS)
    return np.log(clipped) - np.log1p(-clipped)
