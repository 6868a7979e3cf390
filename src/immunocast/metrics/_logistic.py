"""Logistic calibration fits of many resamples at once: Newton's method, a column of weights a resample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunocast.metrics import _compiled
from immunocast.metrics._arrays import FloatArray, IntArray, logit
from immunocast.metrics._types import BatchedFit, Fitted

_MAX_STEPS = 50
#: Newton's error after a step is about its square, so that a step this small leaves nothing that shows.
_LAST_STEP = 1e-6
#: Largest change of a linear predictor in one step; longer steps are shortened, so that none overshoots.
_LONGEST_STEP = 4.0
#: Fitted logits that span more than this are looked at for separated classes.
_SUSPICIOUS_SPAN = 25.0
#: Elements of a chunk of columns: its arrays stay in the processor's cache.
_CHUNK = 65_536
#: Floor of a curvature that has vanished, far from where a quotient by it would overflow.
_TINY = 1e-200


@dataclass(frozen=True)
class _Grouped:
    """Patients with equal predictions put together: for a cut-off model two groups instead of n patients."""

    x: FloatArray
    order: IntArray
    starts: IntArray

    @classmethod
    def of(cls, x: FloatArray) -> _Grouped:
        order = np.argsort(x, kind="stable")
        starts = np.concatenate([[0], np.flatnonzero(np.diff(x[order])) + 1])
        if len(starts) > len(x) // 2:
            return cls(x[order], order, np.arange(len(x)))
        return cls(x[order][starts], order, starts)

    def add_up(self, weights: FloatArray) -> FloatArray:
        """Weights (n, b) of patients -> (k, b) of groups, lowest prediction first."""
        ordered = weights[self.order]
        return ordered if len(self.starts) == len(ordered) else np.add.reduceat(ordered, self.starts, axis=0)


def _expit(eta: FloatArray) -> FloatArray:
    """Inverse logit, overwriting its argument (NumPy's vectorised exp is several times faster than scipy's expit)."""
    np.negative(eta, out=eta)
    with np.errstate(over="ignore"):
        np.exp(eta, out=eta)
    eta += 1.0
    return np.reciprocal(eta, out=eta)


def _in_chunks(fit: Fitted, n_groups: int) -> Fitted:
    size = max(32, _CHUNK // n_groups)

    def chunked(weights: FloatArray) -> FloatArray:
        return np.concatenate([fit(weights[:, start : start + size]) for start in range(0, weights.shape[1], size)])

    return chunked


def calibration_intercept_fit(y: IntArray, p: FloatArray) -> BatchedFit:
    """Batched calibration intercept; NaN in columns without both classes."""
    groups = _Grouped.of(logit(p))
    x = groups.x[:, None]
    events = np.flatnonzero(y == 1)

    def fit(weights: FloatArray, start: float) -> FloatArray:
        w = groups.add_up(weights)
        observed = weights[events].sum(axis=0)
        intercepts = np.full(w.shape[1], np.nan)
        todo = np.flatnonzero((observed > 0) & (observed < w.sum(axis=0)))
        w, observed, a = w[:, todo], observed[todo], np.full(len(todo), start)
        for _ in range(_MAX_STEPS):
            if not len(todo):
                break
            mu = _expit(x + a)
            expected = np.einsum("nb,nb->b", w, mu)
            mu *= mu
            curvature = expected - np.einsum("nb,nb->b", w, mu)
            step = np.clip((observed - expected) / np.maximum(curvature, _TINY), -_LONGEST_STEP, _LONGEST_STEP)
            a = a + step
            open_ = np.abs(step) > _LAST_STEP * (1 + np.abs(a))
            intercepts[todo[~open_]] = a[~open_]
            if open_.sum() < 0.5 * len(todo):
                todo, w, observed, a = todo[open_], w[:, open_], observed[open_], a[open_]
        return intercepts

    everybody = float(fit(np.ones((len(y), 1)), 0.0)[0])
    start = everybody if np.isfinite(everybody) else 0.0
    limits = np.array([_MAX_STEPS, _LAST_STEP, _LONGEST_STEP, _TINY])
    return BatchedFit(
        _in_chunks(lambda weights: fit(weights, start), len(groups.x)),
        lambda counts: _compiled.intercepts(y, p, counts, start, limits),
    )


def calibration_slope_fit(y: IntArray, p: FloatArray) -> BatchedFit:
    """Batched calibration slope.

    NaN in columns where the slope is not finite: one class only, one prediction only, or classes that a cut-off
    on the prediction separates.
    """
    logits = logit(p)
    centre = float(np.mean(logits))
    groups = _Grouped.of(logits - centre)
    x = groups.x
    span = float(x[-1] - x[0])
    reach = max(float(np.abs(x).max()), _TINY)
    events = np.flatnonzero(y == 1)
    events_x = (logits - centre)[events]

    def fit(weights: FloatArray, start: tuple[float, float]) -> FloatArray:
        slopes = np.full(weights.shape[1], np.nan)
        if span == 0:
            return slopes
        w = groups.add_up(weights)
        t0 = weights[events].sum(axis=0)
        t1 = np.einsum("nb,n->b", weights[events], events_x)
        drawn = w > 0
        # where one prediction alone was drawn, no slope is better than another
        several = x[drawn.argmax(axis=0)] < x[::-1][drawn[::-1].argmax(axis=0)]
        todo = np.flatnonzero((t0 > 0) & (t0 < w.sum(axis=0)) & several)
        w, t0, t1 = w[:, todo], t0[todo], t1[todo]
        a, b = np.full(len(todo), start[0]), np.full(len(todo), start[1])
        for _ in range(_MAX_STEPS):
            if not len(todo):
                break
            mu = x[:, None] * b
            mu += a
            _expit(mu)
            v = w * mu
            g0 = t0 - v.sum(axis=0)
            g1 = t1 - np.einsum("nb,n->b", v, x)
            np.subtract(1.0, mu, out=mu)
            v *= mu
            h00 = v.sum(axis=0)
            h01 = np.einsum("nb,n->b", v, x)
            h11 = np.einsum("nb,n->b", v, x * x)
            determinant = np.maximum(h00 * h11 - h01 * h01, _TINY)
            da = (h11 * g0 - h01 * g1) / determinant
            db = (h00 * g1 - h01 * g0) / determinant
            shorten = _LONGEST_STEP / np.maximum(np.abs(da) + np.abs(db) * reach, _LONGEST_STEP)
            a, b = a + da * shorten, b + db * shorten
            open_ = (np.abs(da) > _LAST_STEP * (1 + np.abs(a))) | (np.abs(db) > _LAST_STEP * (1 + np.abs(b)))
            slopes[todo[~open_]] = b[~open_]
            if open_.sum() < 0.5 * len(todo):
                todo, w, t0, t1, a, b = todo[open_], w[:, open_], t0[open_], t1[open_], a[open_], b[open_]
        return without_runaways(slopes, weights)

    def without_runaways(slopes: FloatArray, weights: np.ndarray) -> FloatArray:
        suspicious = np.flatnonzero(np.abs(slopes) * span > _SUSPICIOUS_SPAN)
        if len(suspicious):
            finite = _slope_is_finite(groups, weights[:, suspicious], y)
            slopes[suspicious[~finite]] = np.nan
        return slopes

    # start at the fit of everybody: the slope alone is returned, and a follows in a step
    everybody = float(fit(np.ones((len(y), 1)), (centre, 1.0))[0])
    slope = everybody if np.isfinite(everybody) else 1.0
    rate = float(np.clip(np.mean(y), 0.01, 0.99))
    start = (float(np.log(rate / (1 - rate))), slope)
    limits = np.array([_MAX_STEPS, _LAST_STEP, _LONGEST_STEP, _TINY, *start])

    def over_counts(counts: np.ndarray) -> FloatArray:
        if span == 0:
            return np.full(counts.shape[1], np.nan)
        return without_runaways(_compiled.slopes(y, logits - centre, counts, limits), counts)

    return BatchedFit(_in_chunks(lambda weights: fit(weights, start), len(x)), over_counts)


def _slope_is_finite(groups: _Grouped, weights: FloatArray, y: IntArray) -> np.ndarray:
    """Columns in which the maximum-likelihood slope is finite.

    It is exactly where the classes overlap on more than a point: the lowest event lies below the highest non-event,
    and the lowest non-event below the highest event (Albert & Anderson 1984, Biometrika 71:1).
    """
    is_event = groups.add_up(weights * (y == 1)[:, None]) > 0
    is_other = groups.add_up(weights * (y == 0)[:, None]) > 0
    both = is_event.any(axis=0) & is_other.any(axis=0)
    x = groups.x
    low_event, low_other = x[is_event.argmax(axis=0)], x[is_other.argmax(axis=0)]
    high_event, high_other = x[::-1][is_event[::-1].argmax(axis=0)], x[::-1][is_other[::-1].argmax(axis=0)]
    return both & (low_event < high_other) & (low_other < high_event)
