"""Cox regression with few covariates, by Newton's method: hazard ratios, and survival from one score.

lifelines fits the same model; its import takes 1.5 s and a fit some 50 ms, and an evaluation needs hundreds of them.
Agreement with it is tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from immunocast.errors import DataError, Problem
from immunocast.metrics._arrays import FloatArray
from immunocast.metrics._survival_arrays import BoolArray, check_survival

#: Log hazards that differ more than this between two patients are taken for infinitely different.
_LARGEST = 40.0

#: Most by which one step may change the difference of two patients' log hazards.
_LARGEST_STEP = 10.0
#: Largest log of a relative hazard by which a cumulative hazard is multiplied.
_LARGEST_EXPONENT = 500.0


@dataclass(frozen=True)
class CoxFit:
    """A Cox model.

    Attributes
    ----------
    coefficients : (p,) log hazard ratios.
    covariance : (p, p) inverse of the observed information.
    """

    coefficients: FloatArray
    covariance: FloatArray

    @property
    def standard_errors(self) -> FloatArray:
        """(p,) standard errors."""
        return np.sqrt(np.diag(self.covariance))


def cox(time: Any, event: Any, X: Any, *, strata: Any = None) -> CoxFit | None:
    """Fit a Cox model, tied events by Efron's method, baseline hazards of their own within strata.

    Parameters
    ----------
    time, event : (n,) as for `kaplan_meier`.
    X : (n, p) covariates, few.
    strata : (n,) e.g. cohorts; None for one stratum.

    Returns
    -------
    CoxFit, or None where there is no finite estimate: a covariate is constant within the strata, or separates the
    patients with the event.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    t, e = check_survival(time, event)
    x = np.asarray(X, dtype=np.float64)
    if x.ndim != 2 or len(x) != len(t) or not np.isfinite(x).all():
        raise DataError(Problem("X does not have one finite row a patient", "Give an array of (patients, covariates)."))
    labels = np.asarray(["all"] * len(t) if strata is None else strata).astype(str)
    scale = x.std(axis=0)
    if not e.any() or (scale < 1e-12).any():
        return None
    x = (x - x.mean(axis=0)) / scale  # the estimate is the same, and steps are of one size
    parts = [_Stratum(t[rows], e[rows], x[rows]) for rows in (labels == name for name in np.unique(labels))]
    beta = np.zeros(x.shape[1])
    value, gradient, information = _sum(parts, beta)
    for _ in range(50):
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            return None
        step = step * min(1.0, _LARGEST_STEP / max(float(np.ptp(x @ step)), 1e-300))
        for _ in range(30):  # halve until the likelihood rises
            tried = _sum(parts, beta + step)
            if tried[0] >= value - 1e-12 * abs(value):
                break
            step = step / 2
        beta = beta + step
        value, gradient, information = tried
        if np.ptp(x @ beta) > _LARGEST:
            return None
        if np.abs(step).max() < 1e-10:
            if np.linalg.cond(information) > 1e12:
                return None
            return CoxFit(beta / scale, np.linalg.inv(information) / np.outer(scale, scale))
    return None


def _sum(parts: list[_Stratum], beta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    found = [part.likelihood(beta) for part in parts]
    return sum(f[0] for f in found), np.sum([f[1] for f in found], axis=0), np.sum([f[2] for f in found], axis=0)


class _Stratum:
    """Risk sets of one stratum, sorted once."""

    def __init__(self, t: FloatArray, e: BoolArray, x: FloatArray):
        order = np.argsort(-t, kind="stable")
        t, e, self.x = t[order], e[order], x[order]
        times = np.unique(t[e])
        # patients at risk at a time are the first `until` in the order
        self.until = len(t) - np.searchsorted(t[::-1], times, side="left")
        self.deaths = np.flatnonzero(e)
        self.place = np.searchsorted(times, t[e])
        tied = np.bincount(self.place, minlength=len(times))
        # Efron: of d tied events the l-th (from 0) sees a risk set without l/d of them
        order_in_tie = np.arange(len(self.place)) - np.searchsorted(-self.place, -self.place, side="left")
        self.share = order_in_tie / tied[self.place]
        self.n_times = len(times)

    def likelihood(self, beta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Log partial likelihood, its gradient, and the information."""
        x, p = self.x, self.x.shape[1]
        if not len(self.deaths):
            return 0.0, np.zeros(p), np.zeros((p, p))
        hazard = np.exp(x @ beta)
        moments = np.column_stack(
            [hazard, hazard[:, None] * x, hazard[:, None] * (x[:, :, None] * x[:, None]).reshape(len(x), -1)]
        )
        at_risk = np.cumsum(moments, axis=0)[self.until - 1]
        tied = np.zeros((self.n_times, moments.shape[1]))
        np.add.at(tied, self.place, moments[self.deaths])
        sums = at_risk[self.place] - self.share[:, None] * tied[self.place]
        mean = sums[:, 1 : p + 1] / sums[:, :1]
        second = (sums[:, p + 1 :] / sums[:, :1]).reshape(-1, p, p)
        value = float((x[self.deaths] @ beta).sum() - np.log(sums[:, 0]).sum())
        gradient = (x[self.deaths] - mean).sum(axis=0)
        information = second.sum(axis=0) - mean.T @ mean
        return value, gradient, information


@dataclass(frozen=True)
class SurvivalLink:
    """A Cox model with one covariate and Breslow's baseline: from a score to survival probabilities.

    Attributes
    ----------
    coefficient : log hazard ratio a unit of the score.
    center : score at which `hazard` holds.
    time, hazard : (k,) event times and the cumulative hazard from each on.
    followed : last time at which a patient of the fit was under observation.
    """

    coefficient: float
    center: float
    time: FloatArray
    hazard: FloatArray
    followed: float

    def survival(self, score: Any, months: Any) -> FloatArray:
        """Probability of being without the event at each of the times, (n, m)."""
        place = np.searchsorted(self.time, np.asarray(months, dtype=np.float64), side="right")
        cumulative = np.concatenate([[0.0], self.hazard])[place]
        # a score of another cohort may lie far outside: beyond this its hazard is 0 or infinite for every purpose, and
        # an infinite number times a cumulative hazard of 0 would be none at all
        exponent = self.coefficient * (np.asarray(score, dtype=np.float64) - self.center)
        relative = np.exp(np.clip(exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))
        return np.exp(-np.outer(relative, cumulative))


def survival_link(time: Any, event: Any, score: Any) -> SurvivalLink | None:
    """Fit survival on one score.

    Parameters
    ----------
    time, event : (n,) as for `kaplan_meier`.
    score : (n,) e.g. log-odds of a predicted probability.

    Returns
    -------
    SurvivalLink, or None where `cox` has no finite estimate.
    """
    t, e = check_survival(time, event)
    x = np.asarray(score, dtype=np.float64)
    fit = cox(t, e, x[:, None])
    if fit is None:
        return None
    beta, center = float(fit.coefficients[0]), float(x.mean())
    relative = np.exp(beta * (x - center))
    order = np.argsort(-t, kind="stable")
    at_risk = np.cumsum(relative[order])
    times, n_events = np.unique(t[e], return_counts=True)
    until = len(t) - np.searchsorted(t[order][::-1], times, side="left")
    return SurvivalLink(beta, center, times, np.cumsum(n_events / at_risk[until - 1]), float(t.max()))
