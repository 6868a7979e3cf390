"""Ranks of importances, their spread over draws, and how often a direction is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from immunocast.metrics import person_weights

#: From so many draws on, percentiles; with fewer the smallest and the largest, which say no less than they saw.
PERCENTILES_FROM = 40
_BLOCK = 100


def ranks(importance: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, 1 is largest, equals share the smaller number; NaN where the importance is NaN."""
    return rankdata(-np.asarray(importance, dtype=float), method="min", axis=-1, nan_policy="omit")


def spread(values: np.ndarray, *, whole: bool = False) -> tuple[float, float]:
    """Range of 95 % of draws, NaN under two.

    Parameters
    ----------
    values : (draws,), NaN where a draw says nothing.
    whole : take values that occurred, so that ranks stay whole numbers.

    Returns
    -------
    2.5th and 97.5th percentile; smallest and largest under `PERCENTILES_FROM` draws.
    """
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return np.nan, np.nan
    if len(known) < PERCENTILES_FROM:
        return float(known.min()), float(known.max())
    low, high = np.percentile(known, [2.5, 97.5], method="nearest" if whole else "linear")
    return float(low), float(high)


def sign_consistency(sign: float, draws: np.ndarray) -> float:
    """Share of draws whose direction is that of the run; draws without one do not count.

    >>> sign_consistency(0.9, np.array([0.5, 0.2, -0.1, np.nan]))
    0.6666666666666666
    """
    known = draws[~np.isnan(draws)]
    if np.isnan(sign) or not len(known):
        return float("nan")
    return float((np.sign(known) == np.sign(sign)).mean())


def whole_rank(rank: float) -> Any:
    """A rank as a whole number; <NA> where there is none."""
    return pd.NA if np.isnan(rank) else int(rank)


def covers_most(low: float, high: float, n_features: int) -> bool:
    """Whether an interval of ranks, both ends in, covers more than half of the table.

    >>> covers_most(1, 6, 11), covers_most(1, 5, 11), covers_most(2, 3, 4)
    (True, False, False)
    """
    return high - low + 1 > n_features / 2


def resampled_means(values: np.ndarray, persons: Any, strata: Any, *, n_resamples: int, seed: int) -> np.ndarray:
    """Means of columns over resampled persons.

    Parameters
    ----------
    values : (n, columns), NaN where a patient does not count for a column.
    persons, strata : (n,) names; persons are drawn within strata, all patients of a person together.
    n_resamples, seed : as for `metrics.person_weights`.

    Returns
    -------
    (n_resamples, columns); NaN where a resample holds nobody.
    """
    counts = person_weights(persons, strata, n_resamples=n_resamples, seed=seed)
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    out = np.empty((n_resamples, values.shape[1]))
    for start in range(0, n_resamples, _BLOCK):
        weights = counts[:, start : start + _BLOCK].T.astype(float)
        with np.errstate(invalid="ignore"):
            out[start : start + _BLOCK] = (weights @ filled) / (weights @ there.astype(float))
    return out
