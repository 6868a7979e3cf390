"""Variance, interval and paired difference of AUROC without resampling (DeLong 1988, Biometrics 44:837).

Everything is built on the influence of each patient on the AUROC. Its sum of squares is DeLong's variance; a
difference of models is a difference of influences, an average over repeats or cohorts is an average of
influences, and patients who are the same person are added up before squaring (Obuchowski 1997, Biometrics 53:567).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata

from immunocast.metrics._arrays import FloatArray, check_pair


@dataclass(frozen=True)
class Influence:
    """An AUROC with the influence of each patient on it.

    Attributes
    ----------
    auroc : the estimate.
    values : (n,) influences; the variance of the estimate is the sum over persons of their squared sums.
    n_pairs : event/non-event pairs behind the estimate.
    n_disjoint : pairs among them that share no patient, min(events, non-events).
    """

    auroc: float
    values: FloatArray
    n_pairs: int
    n_disjoint: int


def auroc_influence(y_true: Any, p: Any) -> Influence:
    """AUROC and the influence of each patient, by midranks in O(n log n) (Sun & Xu 2014, IEEE SPL 21:1389).

    Parameters
    ----------
    y_true : (n,) outcomes 0/1, at least two of each class.
    p : (n,) predicted probabilities, or (r, n) for r repeats, which are averaged.

    Returns
    -------
    Influence
        Scaled by sqrt(m / (m - 1)) within each class of size m, so that with one patient a person the sum of
        squares is DeLong's variance exactly.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    repeats = np.atleast_2d(np.asarray(p, dtype=float))
    found = [_influence_once(*check_pair(y_true, q)) for q in repeats]
    n_events = int(np.sum(np.asarray(y_true) == 1))
    n_others = repeats.shape[1] - n_events
    return Influence(
        auroc=float(np.mean([a for a, _ in found])),
        values=np.mean([v for _, v in found], axis=0),
        n_pairs=n_events * n_others,
        n_disjoint=min(n_events, n_others),
    )


def _influence_once(y: Any, p: FloatArray) -> tuple[float, FloatArray]:
    event = y == 1
    m, n = int(event.sum()), int((~event).sum())
    values = np.full(len(y), np.nan)
    if not m or not n:
        return float("nan"), values
    rank = rankdata(p)
    # share of the other class that each patient is ranked rightly against
    right_event = (rank[event] - rankdata(p[event])) / n
    right_other = 1 - (rank[~event] - rankdata(p[~event])) / m
    auroc = float(right_event.mean())
    if m > 1 and n > 1:
        values[event] = (right_event - auroc) / np.sqrt(m * (m - 1))
        values[~event] = (right_other - auroc) / np.sqrt(n * (n - 1))
    return auroc, values


def stratified(parts: list[Influence]) -> Influence:
    """Combine AUROCs of several cohorts, each weighted by its event/non-event pairs.

    The result is the share of concordant pairs among all pairs within a cohort; its variance is the sum of
    w^2 times the cohorts' variances where no person is in two of them.

    Parameters
    ----------
    parts : one a cohort, not empty.

    Returns
    -------
    Influence
        `values` follow the cohorts' patients one after the other.
    """
    total = sum(part.n_pairs for part in parts)
    return Influence(
        auroc=sum(part.n_pairs * part.auroc for part in parts) / total,
        values=np.concatenate([part.values * part.n_pairs / total for part in parts]),
        n_pairs=total,
        n_disjoint=sum(part.n_disjoint for part in parts),
    )


def influence_variance(values: FloatArray, persons: Any = None) -> float:
    """Variance of an estimate from its patients' influences; patients of one person are added up first."""
    if persons is None:
        return float(np.sum(values**2))
    _, code = np.unique(np.asarray(persons), return_inverse=True)
    return float(np.sum(np.bincount(code, weights=values) ** 2))


def delong_variance(y_true: Any, p: Any, persons: Any = None) -> float:
    """DeLong's variance of the AUROC.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.
    persons : (n,) ids, None where each patient is another person.

    Returns
    -------
    float; NaN with fewer than two patients in a class.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    return influence_variance(auroc_influence(y_true, p).values, persons)


def delong_interval(y_true: Any, p: Any, persons: Any = None, *, level: float = 0.95) -> tuple[float, float, float]:
    """AUROC with its interval.

    Parameters
    ----------
    y_true, p, persons : as for `delong_variance`.
    level : confidence level.

    Returns
    -------
    auroc, low, high

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    found = auroc_influence(y_true, p)
    low, high = auroc_interval(found, influence_variance(found.values, persons), level=level)
    return found.auroc, low, high


def auroc_interval(found: Influence, variance: float, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of an AUROC, made on the logit scale and brought back.

    On the logit scale the bounds stay within (0, 1) and cover better than plain ones near the ends (Pepe 2003,
    section 5.2). At AUROC 1 (or 0) DeLong's variance is 0; the bound then is (1 - level)/2 to the power
    1/k, with k the pairs that share no patient: those k are independent, so that all of them being
    concordant has probability at most AUROC^k. This bound is conservative.

    Parameters
    ----------
    found : the AUROC.
    variance : its variance.
    level : confidence level.

    Returns
    -------
    low, high : NaN where the variance is unknown.
    """
    if np.isnan(variance) or np.isnan(found.auroc):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    a = found.auroc
    if a >= 1:
        return float(tail ** (1 / found.n_disjoint)), 1.0
    if a <= 0:
        return 0.0, float(1 - tail ** (1 / found.n_disjoint))
    half = norm.ppf(1 - tail) * np.sqrt(variance) / (a * (1 - a))
    middle = np.log(a / (1 - a))
    return float(1 / (1 + np.exp(half - middle))), float(1 / (1 + np.exp(-half - middle)))


@dataclass(frozen=True)
class Difference:
    """A difference of two estimates on the same patients, first minus second, with interval and two-sided p."""

    first: float
    second: float
    difference: float
    ci_low: float
    ci_high: float
    p: float


def delong_difference(
    y_true: Any, p_first: Any, p_second: Any, persons: Any = None, *, level: float = 0.95
) -> Difference:
    """Difference of two AUROCs on the same patients, by DeLong's paired test.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p_first, p_second : (n,) predictions of the two models, or (r, n) for repeats.
    persons : (n,) ids, None where each patient is another person.
    level : confidence level.

    Returns
    -------
    Difference

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    return influence_difference(
        auroc_influence(y_true, p_first), auroc_influence(y_true, p_second), persons, level=level
    )


def influence_difference(
    first: Influence, second: Influence, persons: Any = None, *, level: float = 0.95
) -> Difference:
    """Difference of two AUROCs from their influences on the same patients in the same order.

    The interval is the plain normal one. Where both models rank all patients alike the difference is 0, the
    interval is a point and p is 1; where the variance is 0 and the difference is not, p is NaN.
    """
    difference = first.auroc - second.auroc
    error = float(np.sqrt(influence_variance(first.values - second.values, persons)))
    half = norm.ppf((1 + level) / 2) * error
    if error > 1e-12:
        p = float(2 * norm.sf(abs(difference) / error))
    else:
        p = 1.0 if abs(difference) < 1e-12 else float("nan")
    return Difference(first.auroc, second.auroc, difference, float(difference - half), float(difference + half), p)
