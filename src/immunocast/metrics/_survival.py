"""Concordance, time-dependent AUC and Brier score of censored outcomes, and their batched forms.

The trap: concordance and AUC take a **risk score**, higher where the event comes earlier; for a probability of
response that is its negative. The Brier score takes **survival probabilities**, higher where the event comes later.
Neither accepts the other.

Ties and censoring follow scikit-survival (concordance_index_censored, concordance_index_ipcw,
cumulative_dynamic_auc, brier_score, integrated_brier_score, with the sample itself as its own training data):

- an event is comparable with everybody whose time is later, and with those censored at the same time; two events at
  one time are not comparable; equal scores count one half. Equal means equal (scikit-survival's tied_tol is 0 here):
  cut-off rules may differ by 1e-9 and mean it.
- G, the share not yet censored, is the Kaplan-Meier estimate of the censoring from the same patients, events first
  at ties, taken at the event's own time. Where G is 0 an event has no weight (scikit-survival refuses).
- Uno's concordance counts events before `tau`; the AUC and the Brier score count events up to and at `t`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from immunocast.errors import DataError, Problem
from immunocast.metrics._arrays import FloatArray, IntArray
from immunocast.metrics._censoring import Resampler, WeightedCurves, inverse
from immunocast.metrics._discrimination import _running_sum
from immunocast.metrics._survival_arrays import BoolArray, check_scores, check_survival

#: Name of a number, and its horizon (None for Harrell's C).
Key = tuple[str, float | None]
PartsByKey = dict[Key, tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class SurvivalForecast:
    """What one model says of a sample's patients.

    Attributes
    ----------
    risk : (r, n) risk scores of r repeats, higher = earlier event.
    fit : (r, n) code of the fit that made each score: patients of different fits are not ranked against each other
        where the patients of one fit can be.
    survival : (r, n, m) survival probabilities at the sample's `times`, None where there are none.
    """

    risk: FloatArray
    fit: IntArray
    survival: FloatArray | None = None


class SurvivalSample:
    """Patients of one cohort, sorted once; gives numerators and denominators of all survival metrics.

    Parameters
    ----------
    time, event : (n,) checked.
    horizons : times of AUC and Brier score.
    tau : Uno's concordance counts events before it, and the Brier score is integrated up to it; None for neither.
    grid : (g,) times over which the Brier score is integrated (trapezoids), the last one at most tau.
    """

    def __init__(
        self,
        time: FloatArray,
        event: BoolArray,
        *,
        horizons: Sequence[float] = (),
        tau: float | None = None,
        grid: FloatArray | None = None,
    ):
        self.time, self.event, self.tau = time, event, tau
        self.horizons = tuple(horizons)
        self.grid = np.array([]) if grid is None else grid
        self.times = np.concatenate([np.asarray(self.horizons, dtype=float), self.grid])
        self.resampler = Resampler(time, event)
        self.cases = np.flatnonzero(event)

    def parts(self, forecasts: Sequence[SurvivalForecast], weight_blocks: Iterable[FloatArray]) -> list[PartsByKey]:
        """Numerators and denominators (B,) of every metric for every forecast; G is estimated in each resample.

        Keys: ("c_harrell", None), ("c_uno", tau), ("td_auc", t), and with survival probabilities ("brier", t),
        ("ipa", t), ("ibs", tau), ("scaled_ibs", tau).
        """
        prepared = [[_Ranks(self, *pair) for pair in zip(f.risk, f.fit, strict=True)] for f in forecasts]
        found: list[list[PartsByKey]] = [[] for _ in forecasts]
        for weights in weight_blocks:
            survival, free = self.resampler.curves(weights)
            ipcw = inverse(free.at(self.time[self.cases]))
            for store, forecast, ranks in zip(found, forecasts, prepared, strict=True):
                pieces = _over_repeats([r.parts(weights, ipcw) for r in ranks])
                if forecast.survival is not None:
                    pieces |= self._accuracy(forecast.survival, weights, ipcw, free, survival)
                store.append(pieces)
        return [
            {key: tuple(np.concatenate([piece[key][i] for piece in store]) for i in (0, 1)) for key in store[0]}  # type: ignore[misc]
            for store in found
        ]

    def _accuracy(
        self, forecast: FloatArray, weights: FloatArray, ipcw: FloatArray, free: WeightedCurves, km: WeightedCurves
    ) -> PartsByKey:
        times, n = self.times, weights.sum(axis=0)
        late = self.time[:, None] > times
        early = self.time[self.cases, None] <= times
        mean, squared = forecast.mean(axis=0), (forecast**2).mean(axis=0)
        case_weights, left = weights[self.cases] * ipcw, inverse(free.at(times))
        total = (early * squared[self.cases]).T @ case_weights
        total += ((late * (1 - 2 * mean + squared)).T @ weights) * left
        # the reference: everybody gets the Kaplan-Meier estimate of the same patients
        s = km.at(times)
        reference = s**2 * (early.T.astype(float) @ case_weights)
        reference += (1 - s) ** 2 * (late.T.astype(float) @ weights) * left
        found: PartsByKey = {}
        for i, t in enumerate(self.horizons):
            found["brier", t] = total[i], n
            found["ipa", t] = reference[i] - total[i], reference[i]
        if len(self.grid) > 1 and self.tau is not None:
            start, span = len(self.horizons), self.grid[-1] - self.grid[0]
            whole = np.trapezoid(total[start:], self.grid, axis=0) / span
            base = np.trapezoid(reference[start:], self.grid, axis=0) / span
            found["ibs", self.tau] = whole, n
            found["scaled_ibs", self.tau] = base - whole, base
        return found


class _Ranks:
    """One repeat of one forecast: who is ranked rightly with whom."""

    def __init__(self, sample: SurvivalSample, risk: FloatArray, fit: IntArray):
        self.sample = sample
        groups = [np.flatnonzero(fit == k) for k in np.unique(fit)]
        groups = [g for g in groups if _comparable(sample.time[g], sample.event[g])]
        self.groups = [_Group(sample, g, risk) for g in groups or [np.arange(len(risk))]]

    def parts(self, weights: FloatArray, ipcw: FloatArray) -> PartsByKey:
        found: PartsByKey = {}
        for group in self.groups:
            for key, (numerator, denominator) in group.parts(weights, ipcw).items():
                before = found.get(key, (0.0, 0.0))
                found[key] = (before[0] + numerator, before[1] + denominator)
        return found


def _comparable(time: FloatArray, event: BoolArray) -> bool:
    """Whether there is a pair of an event and somebody who was followed longer, or censored then."""
    if not event.any():
        return False
    first = time[event].min()
    return bool(((time > first) | ((time == first) & ~event)).any())


class _Group:
    """Patients who are ranked against each other."""

    def __init__(self, sample: SurvivalSample, rows: IntArray, risk: FloatArray):
        self.sample, self.rows = sample, rows
        time, event, r = sample.time[rows], sample.event[rows], risk[rows]
        # at one time events stand before the censored, who count as followed longer
        self.order = np.lexsort((~event, time))
        t, e, r = time[self.order], event[self.order], r[self.order]
        self.events = np.flatnonzero(e)
        keys = t + 0.0
        self.after = np.searchsorted(keys, keys[self.events], side="left")
        self.after += np.bincount(np.searchsorted(keys, keys[self.events]), minlength=len(t))[self.after]
        # right[i, j]: 1 where event i has the higher score than j, who outlived it; 1/2 where the scores are equal
        score = r[self.events, None]
        right = (score > r).astype(np.float32) + np.float32(0.5) * (score == r)
        self.right = right * (np.arange(len(t)) >= self.after[:, None])
        self.place = np.searchsorted(sample.cases, rows[self.order][self.events])
        self.early = None if sample.tau is None else (t[self.events] < sample.tau)[:, None]
        self.aucs = [(h, _auc_ranks(t, e, r, h)) for h in sample.horizons]

    def parts(self, weights: FloatArray, ipcw: FloatArray) -> PartsByKey:
        w = weights[self.rows[self.order]]
        of_events, g = w[self.events], ipcw[self.place]
        # counts are small integers: single precision is exact up to 2^23 patients, and twice as fast
        concordant = of_events * (self.right @ w.astype(np.float32))
        later = np.zeros((len(w) + 1, w.shape[1]))
        later[:-1] = _running_sum(w[::-1])[:0:-1]
        pairs = of_events * later[self.after]
        found: PartsByKey = {("c_harrell", None): (concordant.sum(axis=0), pairs.sum(axis=0))}
        if self.early is not None:
            squared = np.where(self.early, g**2, 0.0)
            uno = np.einsum("nb,nb->b", squared, concordant), np.einsum("nb,nb->b", squared, pairs)
            found["c_uno", self.sample.tau] = uno
        weighted = of_events * g
        for horizon, (positives, negatives, below, up_to) in self.aucs:
            running, hits = _running_sum(w[negatives]), weighted[positives]
            sums = np.einsum("nb,nb->b", hits, running[below]) + np.einsum("nb,nb->b", hits, running[up_to])
            found["td_auc", horizon] = sums / 2, hits.sum(axis=0) * running[-1]
        return found


def _auc_ranks(t: FloatArray, e: BoolArray, r: FloatArray, horizon: float) -> tuple[IntArray, ...]:
    """Cases (as places among the events), controls sorted by score, and each case's place among them."""
    events = np.flatnonzero(e)
    positives = np.flatnonzero(t[events] <= horizon)
    negatives = np.flatnonzero(t > horizon)
    negatives = negatives[np.argsort(r[negatives], kind="stable")]
    scores = r[events[positives]]
    return (
        positives,
        negatives,
        np.searchsorted(r[negatives], scores, side="left"),
        np.searchsorted(r[negatives], scores, side="right"),
    )


def _over_repeats(pieces: list[PartsByKey]) -> PartsByKey:
    """The value is the mean over repeats, its weight in several cohorts the mean denominator."""
    if len(pieces) == 1:
        return pieces[0]
    found: PartsByKey = {}
    for key in pieces[0]:
        denominators = np.array([piece[key][1] for piece in pieces])
        values = np.divide(
            [piece[key][0] for piece in pieces], denominators, out=np.zeros_like(denominators), where=denominators > 0
        )
        has_value = (denominators > 0).all(axis=0)
        weight = np.where(has_value, denominators.mean(axis=0), 0.0)
        found[key] = values.mean(axis=0) * weight, weight
    return found


def _plain(sample: SurvivalSample, forecast: SurvivalForecast, key: Key) -> float:
    numerator, denominator = sample.parts([forecast], [np.ones((len(sample.time), 1))])[0][key]
    return float(numerator[0] / denominator[0]) if denominator[0] > 0 else float("nan")


def _ranked(time: Any, event: Any, risk: Any, key: Key) -> float:
    t, e = check_survival(time, event)
    score = check_scores(risk, len(t))
    horizons = [key[1]] if key[0] == "td_auc" and key[1] is not None else []
    sample = SurvivalSample(t, e, horizons=horizons, tau=key[1] if key[0] == "c_uno" else None)
    return _plain(sample, SurvivalForecast(score[None], np.zeros((1, len(t)), dtype=np.int64)), key)


def c_harrell(time: Any, event: Any, risk: Any) -> float:
    """Harrell's concordance: the share of comparable pairs in which the earlier event has the higher risk score.

    Depends on the censoring, which decides what pairs are comparable: compare models on the same patients only.

    Parameters
    ----------
    time : (n,) months to the event or to censoring.
    event : (n,) 1 with the event, 0 censored.
    risk : (n,) score, higher where the event is expected earlier; no survival probability.

    Returns
    -------
    float in [0, 1]; NaN without a comparable pair.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.

    Examples
    --------
    >>> c_harrell([1, 2, 3, 4], [1, 1, 0, 1], [0.9, 0.2, 0.4, 0.1])
    0.8
    """
    return _ranked(time, event, risk, ("c_harrell", None))


def c_uno(time: Any, event: Any, risk: Any, tau: float) -> float:
    """Uno's concordance up to `tau`, pairs weighted by the inverse of the chance of being observed.

    It estimates a quantity that does not depend on the censoring, if censoring depends neither on the score nor on
    the event (Uno 2011, Statistics in Medicine 30:1105).

    Parameters
    ----------
    time, event, risk : as for `c_harrell`.
    tau : months; events before it count.

    Returns
    -------
    float in [0, 1]; NaN without a comparable pair.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    return _ranked(time, event, risk, ("c_uno", float(tau)))


def td_auc(time: Any, event: Any, risk: Any, t: float) -> float:
    """Cumulative/dynamic AUC at `t`: who had the event by then against who was followed beyond without it, IPCW.

    Sources: Uno 2007 (JASA 102:527), Blanche 2013 (Statistics in Medicine 32:5381).

    Parameters
    ----------
    time, event, risk : as for `c_harrell`.
    t : months.

    Returns
    -------
    float in [0, 1]; NaN where nobody has the event by `t` or nobody is followed beyond.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    return _ranked(time, event, risk, ("td_auc", float(t)))


def _accurate(time: Any, event: Any, survival: Any, times: Any, key: str) -> FloatArray:
    t, e = check_survival(time, event)
    at = np.asarray(times, dtype=np.float64)
    s = np.asarray(survival, dtype=np.float64)
    if at.ndim != 1 or (np.diff(at) <= 0).any():
        raise DataError(Problem("times do not increase", "Give distinct times in their order."))
    if s.shape != (len(t), len(at)) or not ((s >= 0) & (s <= 1)).all():
        raise DataError(
            Problem(
                f"survival has shape {s.shape} or values outside 0 to 1",
                f"Give a survival probability for each of the {len(t)} patients and {len(at)} times.",
            )
        )
    if key == "ibs" and len(at) < 2:
        raise DataError(Problem(f"there are {len(at)} times", "An integral needs two or more."))
    last = float(at[-1])
    sample = SurvivalSample(t, e, horizons=at.tolist(), tau=last, grid=at)
    forecast = SurvivalForecast(
        np.zeros((1, len(t))), np.zeros((1, len(t)), dtype=np.int64), np.concatenate([s, s], axis=1)[None]
    )
    parts = sample.parts([forecast], [np.ones((len(t), 1))])[0]
    keys: list[Key] = [(key, last)] if key == "ibs" else [(key, float(x)) for x in at]
    return np.array([float(parts[k][0][0] / parts[k][1][0]) for k in keys])


def brier_survival(time: Any, event: Any, survival: Any, times: Any) -> FloatArray:
    """Brier score of survival probabilities at each of the times, weighted for censoring (Graf 1999).

    Parameters
    ----------
    time, event : (n,) as for `c_harrell`.
    survival : (n, m) probability of being without the event at each time; no risk, no p(response).
    times : (m,) increasing months.

    Returns
    -------
    (m,) scores; 0 is perfect.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    return _accurate(time, event, survival, times, "brier")


def integrated_brier(time: Any, event: Any, survival: Any, times: Any) -> float:
    """Integrated Brier score: `brier_survival` averaged over the times by trapezoids.

    Parameters
    ----------
    time, event, survival, times : as for `brier_survival`, two times or more.

    Returns
    -------
    float; 0 is perfect.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    return float(_accurate(time, event, survival, times, "ibs")[0])
