"""Kaplan-Meier curves of many weighted resamples at once: of the event, and of censoring (for IPCW)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunocast.metrics._arrays import FloatArray
from immunocast.metrics._survival_arrays import BoolArray


@dataclass(frozen=True)
class WeightedCurves:
    """Step functions of b resamples.

    Attributes
    ----------
    time : (k,) distinct times.
    values : (k + 1, b), before the first time and from each time on.
    """

    time: FloatArray
    values: FloatArray

    def at(self, months: FloatArray) -> FloatArray:
        """Values at the times, (m, b)."""
        return self.values[np.searchsorted(self.time, months, side="right")]


class Resampler:
    """Sorts a sample once; gives curves for any weights.

    Parameters
    ----------
    time, event : (n,) of one cohort, checked.
    """

    def __init__(self, time: FloatArray, event: BoolArray):
        self.order = np.argsort(time, kind="stable")
        self.time, self.start = np.unique(time[self.order], return_index=True)
        self.event = event[self.order]

    def curves(self, weights: FloatArray) -> tuple[WeightedCurves, WeightedCurves]:
        """Share without the event, and share not censored (G), for each column of the weights.

        At one time events come before censoring: patients with the event there are not at risk of being censored, as
        in scikit-survival and R's survfit of the censoring.

        Parameters
        ----------
        weights : (n, b) counts.
        """
        w = weights[self.order]
        here = np.add.reduceat(w, self.start, axis=0)
        events = np.add.reduceat(w * self.event[:, None], self.start, axis=0)
        at_risk = _from_the_end(here)
        survival = _product(events, at_risk)
        free = _product(here - events, at_risk - events)
        return WeightedCurves(self.time, survival), WeightedCurves(self.time, free)


def _from_the_end(rows: FloatArray) -> FloatArray:
    """Sums over this and all later rows; a loop, since NumPy's cumsum walks columns with a stride."""
    total = rows.copy()
    for i in range(len(rows) - 2, -1, -1):
        total[i] += total[i + 1]
    return total


def _product(gone: FloatArray, at_risk: FloatArray) -> FloatArray:
    """Kaplan-Meier products with a first row of ones; where nobody is at risk the curve stays."""
    out = np.ones((len(gone) + 1, gone.shape[1]))
    np.divide(gone, at_risk, out=out[1:], where=gone > 0)
    changes = (gone > 0).any(axis=1)
    for i, change in enumerate(changes):
        if change:
            out[i + 1] = out[i] * np.where(gone[i] > 0, 1 - out[i + 1], 1.0)
        else:
            out[i + 1] = out[i]
    return out


def inverse(curve: FloatArray) -> FloatArray:
    """One over G; 0 where G is 0: who could not have been observed has no weight."""
    return np.divide(1.0, curve, out=np.zeros_like(curve), where=curve > 0)
