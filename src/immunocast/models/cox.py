"""A Cox model as a response score: hazards learned from times to event, and a link from hazard to response.

    linear predictor  lp = x . beta        ridge Cox on the patients with a known time, a stratum a cohort
    response          logit p = a + b lp   logistic, on the patients with a label, lp out of fold

Newton's method on some dozens of columns takes milliseconds; `tests/models/test_cox.py` holds it to lifelines.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from immunocast.cohort.outcomes import Survival
from immunocast.errors import ConfigError

_MAX_STEPS = 100
_LAST_STEP = 1e-10
#: Ridge penalty of the link's slope, on a linear predictor of variance 1: where classes are separated it keeps the
#: slope finite, and with 100 patients and more it is not seen.
LINK_PENALTY = 1.0


class CoxResponse(ClassifierMixin, BaseEstimator):
    """Ridge Cox regression, stratified by cohort, with a logistic link to a label.

    Parameters
    ----------
    C : inverse of the ridge penalty on the log hazard ratios, as in scikit-learn's LogisticRegression.
    link_folds : folds inside the training fold whose linear predictors fit the link, each predicted by a Cox model
        of the others. A linear predictor of the patients who fitted it is too far spread, and a link fitted on it
        would be too steep for new patients.
    random_state : of those folds.

    Attributes
    ----------
    beta_ : (columns,) log hazard ratios.
    link_intercept_, link_slope_ : a and b.
    coef_, intercept_ : of the log-odds, which are linear in the columns too: (1, columns) and (1,).
    n_times_, n_events_ : training patients with a known time, and events among them.
    """

    #: tells `Learner` to hand over times to event and cohorts
    takes_survival = True

    def __init__(self, C: float = 0.1, link_folds: int = 5, random_state: int | None = 0):
        self.C = C
        self.link_folds = link_folds
        self.random_state = random_state

    def fit(
        self, X: pd.DataFrame, y: Any, survival: Survival, strata: np.ndarray, person: np.ndarray | None = None
    ) -> CoxResponse:
        """Fit hazards, then the link.

        Parameters
        ----------
        X : (n, columns) without missing values.
        y : (n,) 0/1 label that the probability is of.
        survival : (n,) times to event; patients without one are used for the link only.
        strata : (n,) cohort ids: each cohort has a baseline hazard of its own.
        person : (n,) person ids: rows of one person, under two ids or drawn twice by a bootstrap, are on one side of
            the link's folds. None where every row is a person.

        Raises
        ------
        ConfigError
            Where a setting cannot be used, nobody has a time to event, or no event was seen.
        """
        self._check()
        x, y = np.asarray(X, dtype=float), np.asarray(y, dtype=int)
        self._require(survival, strata)
        codes = np.unique(np.asarray(strata, dtype=str), return_inverse=True)[1]
        centre = x.mean(axis=0)
        centred = x - centre
        self.beta_ = self._hazards(centred, survival, codes)
        self.n_times_, self.n_events_ = int(survival.known.sum()), int(np.nansum(survival.event))
        self.link_intercept_, self.link_slope_ = fit_link(self._out_of_fold(centred, y, survival, codes, person), y)
        self.coef_ = (self.link_slope_ * self.beta_)[None, :]
        # the Cox model has no intercept: the link's belongs to the mean training patient
        self.intercept_ = np.array([self.link_intercept_ - float(self.coef_[0] @ centre)])
        self.classes_ = np.array([0, 1])
        return self

    def _check(self) -> None:
        if isinstance(self.C, bool) or not isinstance(self.C, Real) or not 0 < self.C < np.inf:
            raise ConfigError(f"estimator.C is {self.C!r}; it must be a number above 0.")
        if isinstance(self.link_folds, bool) or not isinstance(self.link_folds, int) or self.link_folds < 2:
            raise ConfigError(f"estimator.link_folds is {self.link_folds!r}; it must be a whole number of 2 or more.")

    def _require(self, survival: Survival, strata: np.ndarray) -> None:
        if np.nansum(survival.event) > 0:
            return
        cohorts = ", ".join(sorted({str(s) for s in strata}))
        if not survival.known.any():
            raise ConfigError(
                f"A Cox model has no time to event to learn from: none of the {len(survival)} training patients "
                f"(cohorts: {cohorts}) has one. Map the columns, train on other cohorts, or leave the model out."
            )
        raise ConfigError(
            f"A Cox model has no event to learn from: all {int(survival.known.sum())} training patients with a time "
            f"(cohorts: {cohorts}) are censored. Check the coding of the event (1 = event), or leave the model out."
        )

    def _hazards(self, x: np.ndarray, survival: Survival, strata: np.ndarray) -> np.ndarray:
        known = survival.known
        return fit_cox(x[known], survival.time_months[known], survival.event[known], strata[known], 1 / self.C)

    def _out_of_fold(
        self, x: np.ndarray, y: np.ndarray, survival: Survival, strata: np.ndarray, person: np.ndarray | None
    ) -> np.ndarray:
        group = np.arange(len(y)) if person is None else np.asarray(person, dtype=str)
        folds = min(self.link_folds, *(len(np.unique(group[y == label])) for label in (0, 1)))
        if folds < 2:  # one person of a class: nothing to spread over folds
            return x @ self.beta_
        lp = np.empty(len(x))
        several = len(np.unique(group)) < len(group)
        kind = StratifiedGroupKFold if several else StratifiedKFold
        splitter = kind(folds, shuffle=True, random_state=self.random_state)
        for train, test in splitter.split(x, y, group if several else None):
            lp[test] = x[test] @ self._hazards(x[train], survival.take(train), strata[train])
        return lp

    def risk_score(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) linear predictor of the hazard, 0 for nobody in particular: only differences mean anything."""
        return row_sums(X, self.beta_)

    def decision_function(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) log-odds."""
        return row_sums(X, self.coef_[0]) + self.intercept_[0]

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """(n, 2) probabilities."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) 1 where the probability is above one half."""
        return (self.decision_function(X) > 0).astype(int)


def row_sums(X: Any, coef: np.ndarray) -> np.ndarray:
    """(n,) products with coefficients, row by row: a patient's value never depends on who stands beside."""
    # of columns that lie apart in memory (a frame's) one row would be added up in another order than many
    return np.einsum("np,p->n", np.ascontiguousarray(X, dtype=float), np.asarray(coef, dtype=float))


def fit_cox(x: np.ndarray, time: np.ndarray, event: np.ndarray, strata: np.ndarray, penalty: float) -> np.ndarray:
    """Log hazard ratios that maximise the partial likelihood less penalty / 2 times their squared length.

    Parameters
    ----------
    x : (n, p).
    time, event : (n,) without NaN; ties by Efron's rule.
    strata : (n,) integer codes; patients are compared within their stratum only.
    penalty : above 0, so that there is one optimum whatever the data.

    Returns
    -------
    (p,) zeros where no event was seen.
    """
    beta = np.zeros(x.shape[1])
    parts = [
        part
        for code in np.unique(strata)
        if (part := _Stratum.of(x[strata == code], time[strata == code], event[strata == code])) is not None
    ]
    if not parts:
        return beta
    value, gradient, hessian = _penalised(parts, beta, penalty)
    for _ in range(_MAX_STEPS):
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while True:
            tried = beta + size * step
            new = _penalised(parts, tried, penalty)
            # a step may fall short of the optimum, never beyond it; at the optimum rounding decides
            if new[0] >= value - 1e-9 * abs(value) or size < 1e-6:
                break
            size /= 2
        beta, (value, gradient, hessian) = tried, new
        if np.abs(size * step).max() < _LAST_STEP:
            break
    return beta


def _penalised(parts: list[_Stratum], beta: np.ndarray, penalty: float) -> tuple[float, np.ndarray, np.ndarray]:
    value, gradient = -penalty / 2 * float(beta @ beta), -penalty * beta
    hessian = penalty * np.eye(len(beta))
    for part in parts:
        v, g, h = part.likelihood(beta)
        value, gradient, hessian = value + v, gradient + g, hessian + h
    return value, gradient, hessian


class _Stratum:
    """Patients of one stratum in the order of their times, with the risk set of every event."""

    def __init__(self, x: np.ndarray, time: np.ndarray, event: np.ndarray):
        order = np.argsort(time, kind="stable")
        self.x, time, died = x[order], time[order], event[order] == 1
        moments = np.unique(time[died])
        #: first patient at risk at each moment, and the last moment that each patient was at risk at
        self.first = np.searchsorted(time, moments, side="left")
        self.last = np.searchsorted(moments, time, side="right") - 1
        self.died = np.flatnonzero(died)
        #: moment of each death, and the share of those who died then that Efron's rule takes out for it
        self.moment = np.searchsorted(moments, time[self.died])
        start = np.searchsorted(self.moment, np.arange(len(moments)))
        self.tied = np.bincount(self.moment, minlength=len(moments))
        self.share = (np.arange(len(self.died)) - start[self.moment]) / self.tied[self.moment]

    @classmethod
    def of(cls, x: np.ndarray, time: np.ndarray, event: np.ndarray) -> _Stratum | None:
        return cls(x, time, event) if (event == 1).any() else None

    def likelihood(self, beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Partial log-likelihood, its gradient, and the negative of its Hessian."""
        eta = self.x @ beta
        top = float(eta.max())
        w = np.exp(eta - top)
        wx = w[:, None] * self.x
        at_risk = np.cumsum(w[::-1])[::-1][self.first][self.moment]
        at_risk_x = np.cumsum(wx[::-1], axis=0)[::-1][self.first][self.moment]
        dead = np.bincount(self.moment, w[self.died])[self.moment]
        starts = np.searchsorted(self.moment, np.arange(len(self.first)))
        dead_x = np.add.reduceat(wx[self.died], starts, axis=0)[self.moment]
        s0 = at_risk - self.share * dead
        mean = (at_risk_x - self.share[:, None] * dead_x) / s0[:, None]
        value = float(eta[self.died].sum() - (np.log(s0) + top).sum())
        gradient = self.x[self.died].sum(axis=0) - mean.sum(axis=0)
        # second moments: each patient counts with the sum of 1 / s0 over the events that he or she was at risk at,
        # less the shares taken out for ties
        hazard = np.concatenate([np.cumsum(np.bincount(self.moment, 1 / s0)), [0.0]])
        counts = hazard[self.last]  # -1 for those who left before the first event: the 0 at the end
        taken = np.bincount(self.moment, self.share / s0)
        counts[self.died] -= taken[self.moment]
        hessian = (wx * counts[:, None]).T @ self.x - mean.T @ mean
        return value, gradient, hessian


def fit_link(lp: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of a logistic regression of y on one number, with `LINK_PENALTY` on its slope."""
    spread = float(lp.std())
    centre = float(lp.mean())
    z = (lp - centre) / (spread if spread > 1e-12 else 1.0)
    rate = float(np.clip(y.mean(), 1e-6, 1 - 1e-6))
    a, b = float(np.log(rate / (1 - rate))), 0.0
    if spread > 1e-12:
        for _ in range(_MAX_STEPS):
            p = expit(a + b * z)
            v = p * (1 - p)
            gradient = np.array([(y - p).sum(), ((y - p) * z).sum() - LINK_PENALTY * b])
            hessian = np.array([[v.sum(), (v * z).sum()], [(v * z).sum(), (v * z * z).sum() + LINK_PENALTY]])
            step = np.linalg.solve(hessian, gradient)
            step /= max(1.0, float(np.abs(step).max()))
            a, b = a + float(step[0]), b + float(step[1])
            if np.abs(step).max() < _LAST_STEP:
                break
    slope = b / spread if spread > 1e-12 else 0.0
    return a - slope * centre, slope
