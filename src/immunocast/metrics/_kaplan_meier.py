"""Kaplan-Meier: the share without the event over time, its interval, its median, and who is at risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from immunocast.metrics._arrays import FloatArray, IntArray
from immunocast.metrics._survival_arrays import BoolArray, check_survival


@dataclass(frozen=True)
class EventTable:
    """Counts at the distinct times of a sample: (k,) each.

    Attributes
    ----------
    time : distinct times, increasing.
    n_at_risk : patients with a time at or after it.
    n_events, n_censored : patients whose time it is.
    """

    time: FloatArray
    n_at_risk: IntArray
    n_events: IntArray
    n_censored: IntArray


def event_table(time: FloatArray, event: BoolArray) -> EventTable:
    """Count events, censored patients and those at risk at each distinct time."""
    at, place = np.unique(time, return_inverse=True)
    n_events = np.bincount(place, weights=event, minlength=len(at)).astype(np.int64)
    n_here = np.bincount(place, minlength=len(at))
    n_at_risk = n_here[::-1].cumsum()[::-1]
    return EventTable(at, n_at_risk, n_events, n_here - n_events)


@dataclass(frozen=True)
class KaplanMeier:
    """A Kaplan-Meier curve as a step function that is right-continuous.

    Attributes
    ----------
    time : (k,) distinct times of events and censoring.
    survival : (k,) share without the event from that time on.
    ci_low, ci_high : (k,) interval on the log(-log) scale; NaN where the curve is 0. Both are 1 before the first event.
    n_at_risk : (k,) patients with a time at or after it.
    n_events : (k,) events at the time.
    """

    time: FloatArray
    survival: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    n_at_risk: IntArray
    n_events: IntArray

    def at(self, months: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Survival and its interval at any times, (m,) each; NaN after the last observed time."""
        times = np.atleast_1d(np.asarray(months, dtype=np.float64))
        place = np.searchsorted(self.time, times, side="right")
        beyond = times > self.time[-1]
        return tuple(  # type: ignore[return-value]
            np.where(beyond, np.nan, np.concatenate([[1.0], values])[place])
            for values in (self.survival, self.ci_low, self.ci_high)
        )

    def at_risk(self, months: Any) -> IntArray:
        """Patients at risk (time at or after) at any times, (m,)."""
        place = np.searchsorted(self.time, np.atleast_1d(months), side="left")
        return np.append(self.n_at_risk, 0)[place]

    def median(self) -> tuple[float, float, float]:
        """Median and its interval (Brookmeyer-Crowley on the log(-log) scale); NaN where not reached.

        The first time at which the curve, and either end of its interval, is at or below one half. R takes the middle
        of a stretch on which the curve is exactly one half.
        """
        return self._first(self.survival), self._first(self.ci_low), self._first(self.ci_high)

    def _first(self, values: FloatArray) -> float:
        # 1e-9: one half is reached also where the product is rounded above it; NaN is no bound
        below = np.flatnonzero(values <= 0.5 + 1e-9)
        return float(self.time[below[0]]) if len(below) else float("nan")


def kaplan_meier(time: Any, event: Any, *, level: float = 0.95) -> KaplanMeier:
    """Kaplan-Meier estimate with Greenwood's variance and an interval on the log(-log) scale.

    Patients censored at the time of an event count as at risk of it, as everywhere.

    Parameters
    ----------
    time : (n,) months to the event or to censoring.
    event : (n,) 1 with the event, 0 censored.
    level : confidence level.

    Returns
    -------
    KaplanMeier

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.

    Examples
    --------
    >>> curve = kaplan_meier([1, 2, 2, 3], [1, 1, 0, 0])
    >>> curve.survival.tolist(), curve.n_at_risk.tolist()
    ([0.75, 0.5, 0.5], [4, 3, 1])
    """
    t, e = check_survival(time, event)
    table = event_table(t, e)
    d, n = table.n_events, table.n_at_risk
    survival = np.cumprod(1 - d / n)
    left = n - d
    greenwood = np.cumsum(np.divide(d, n * left, out=np.zeros(len(d)), where=left > 0))
    z = ndtri((1 + level) / 2)
    inside = (survival > 0) & (survival < 1)
    log_s = np.log(np.where(inside, survival, 0.5))
    width = np.exp(np.where(inside, z * np.sqrt(greenwood) / log_s, 0.0))
    low = np.where(inside, survival ** (1 / width), np.where(survival > 0, 1.0, np.nan))
    high = np.where(inside, survival**width, np.where(survival > 0, 1.0, np.nan))
    return KaplanMeier(table.time, survival, low, high, n, d)
