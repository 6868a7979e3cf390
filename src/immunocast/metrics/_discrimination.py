"""Discrimination: AUROC, AUPRC and the ROC curve.

The `*_parts` functions are the batched forms that the bootstrap uses: they sort once and return a function of
integer weights, shape (n patients, b resamples). A row gather and a running sum over patients replace the sort
that every resample would need otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from immunocast.metrics._arrays import FloatArray, IntArray, check_pair
from immunocast.metrics._types import Parts


def _running_sum(weights: FloatArray) -> FloatArray:
    """Sums over the first 0, 1, ..., m rows: (m, b) -> (m + 1, b).

    A loop over rows, since NumPy's cumsum along the first axis walks the columns with a stride: 5-10 times slower.
    """
    total = np.zeros((weights.shape[0] + 1, weights.shape[1]))
    for i, row in enumerate(weights):
        np.add(total[i], row, out=total[i + 1])
    return total


def auroc_parts(y: IntArray, p: FloatArray) -> Parts:
    """Batched AUROC: concordant pairs (ties count 1/2) and all pairs, for each column of the weights."""
    negatives = np.flatnonzero(y == 0)
    negatives = negatives[np.argsort(p[negatives], kind="stable")]
    positives = np.flatnonzero(y == 1)
    below = np.searchsorted(p[negatives], p[positives], side="left")
    up_to = np.searchsorted(p[negatives], p[positives], side="right")

    def parts(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        running = _running_sum(weights[negatives])
        w = weights[positives]
        concordant = np.einsum("nb,nb->b", w, running[below]) + np.einsum("nb,nb->b", w, running[up_to])
        return concordant / 2, w.sum(axis=0) * running[-1]

    return parts


def auprc_parts(y: IntArray, p: FloatArray) -> Parts:
    """Batched average precision: its value times the events, and the events, for each column of the weights.

    Both are 0 in a resample that lacks a class, so that it counts as undefined.
    """
    negatives = np.flatnonzero(y == 0)
    negatives = negatives[np.argsort(p[negatives], kind="stable")]
    positives = np.flatnonzero(y == 1)
    positives = positives[np.argsort(-p[positives], kind="stable")]
    # number of events at or above each event's own value: tied events share one operating point
    at_or_above = np.searchsorted(-p[positives], -p[positives], side="right")
    below = np.searchsorted(p[negatives], p[positives], side="left")

    def parts(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        running_neg = _running_sum(weights[negatives])
        w = weights[positives]
        running_pos = _running_sum(w)
        hits = running_pos[at_or_above]
        called = hits + (running_neg[-1] - running_neg[below])
        called += called == 0  # no weight there: hits are 0 as well
        np.divide(hits, called, out=hits)
        both = running_neg[-1] > 0
        return np.einsum("nb,nb->b", w, hits) * both, running_pos[-1] * both

    return parts


def _single(parts: Parts, n: int) -> float:
    numerator, denominator = parts(np.ones((n, 1)))
    return float(numerator[0] / denominator[0]) if denominator[0] else float("nan")


def auroc(y_true: Any, p: Any) -> float:
    """Area under the ROC curve: the share of event/non-event pairs ranked rightly (Mann-Whitney, ties 1/2).

    Needs a ranking only: any increasing transform of `p` gives the same value, so AUROC says nothing on whether
    probabilities are right.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float in [0, 1]; NaN without both classes.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    y, q = check_pair(y_true, p)
    return _single(auroc_parts(y, q), len(y))


def auprc(y_true: Any, p: Any) -> float:
    """Area under the precision-recall curve as average precision (step-wise, no interpolation).

    Its level without skill is the prevalence, so values of cohorts with different response rates do not compare.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float in (0, 1]; NaN without both classes.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.

    Examples
    --------
    >>> round(auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    y, q = check_pair(y_true, p)
    return _single(auprc_parts(y, q), len(y))


def roc_points(y_true: Any, p: Any) -> tuple[FloatArray, FloatArray]:
    """Corners of the ROC curve, from (0, 0) to (1, 1).

    Tied predictions give one oblique step, so that the trapezoidal area equals `auroc`. Points on a straight line
    between their neighbours are left out.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1, both classes present.
    p : (n,) predicted probabilities.

    Returns
    -------
    false_positive_rate, true_positive_rate : (k,) each, not decreasing.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    order = np.argsort(-q, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(q[order])), len(y) - 1)
    tp = np.concatenate([[0], np.cumsum(y[order])[last_of_tie]])
    fp = np.concatenate([[0], np.cumsum(1 - y[order])[last_of_tie]])
    if len(tp) > 2:
        dx, dy = np.diff(fp), np.diff(tp)
        bend = dx[:-1] * dy[1:] != dx[1:] * dy[:-1]
        keep = np.concatenate([[True], bend, [True]])
        tp, fp = tp[keep], fp[keep]
    with np.errstate(invalid="ignore"):
        return fp / fp[-1], tp / tp[-1]


def mean_roc(curves: list[tuple[FloatArray, FloatArray]], weights: Any, grid: FloatArray) -> FloatArray:
    """Average ROC curves vertically: the weighted mean sensitivity at each false-positive rate.

    With weights proportional to the event/non-event pairs, its area is the stratified AUROC (up to the grid).

    Parameters
    ----------
    curves : (false_positive_rate, true_positive_rate) of each curve, as `roc_points` gives them.
    weights : one weight a curve, > 0.
    grid : (k,) false-positive rates.

    Returns
    -------
    (k,) sensitivities. Where a curve rises straight up at a grid value, its upper end is taken.
    """
    # of several points at one x, np.interp takes the last: the upper end
    heights = [np.interp(grid, fpr, tpr) for fpr, tpr in curves]
    return np.average(np.array(heights), axis=0, weights=np.asarray(weights, dtype=float))
