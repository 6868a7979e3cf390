"""Blend: several models as one, their weights or the one of them chosen by folds inside the training fold.

    log-odds = sum_k w_k logit(p_k),  w_k >= 0,  sum_k w_k = 1

The weights come from predictions for training patients by fits that did not see them, drawn a little towards equal
weights; then every part that has a weight is fitted once more on the whole training fold. With `choose` the best part
gets weight 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.validation import check_is_fitted

from immunocast.errors import ConfigError
from immunocast.features.preprocess import BY_COHORT, PERSON
from immunocast.metrics import auroc_influence, stratified
from immunocast.models.assays import inputs_used
from immunocast.models.spec import ModelSpec

#: Nearest to 0 and 1 that a part may come: a forest without a responder in any leaf would silence the other parts.
CERTAINTY = {"probability": 1e-3, "log-odds": 1e-9}
#: A part with less weight is left out of the blend.
LEAST_WEIGHT = 1e-3
#: Standard deviation, around equal weights, of the prior that weights have: where parts are about equally good, weights
#: from a few hundred patients are noise, and equal ones are hard to beat (Timmermann 2006).
WEIGHT_SD = 0.3
#: Fewest patients with and without the event on whom weights are found.
LEAST_EVENTS = 10


class Blend(ClassifierMixin, BaseEstimator):
    """A weighted mean of models on the log-odds.

    Parameters
    ----------
    parts : name -> unfitted model with a ModelSpec; two or more.
    choose : the best part alone instead of a mixture.
    inner : "cohort" leaves out one cohort of the training fold after the other, which asks what carries over to
        another cohort; where the training fold has one cohort, or "kfold" is set, K folds of persons.
    n_splits, seed : of the K folds.
    source, label : see `models.learner.Learner`.

    Attributes
    ----------
    parts_ : name -> part fitted on the whole training fold; those with a weight.
    weights_ : name -> weight, of all parts.
    inner_ : name -> {"log_loss", "auroc"} of the inner predictions, all parts and "blend".
    n_inner_, note_ : patients on whom the weights were found, and remarks.

    Notes
    -----
    Log loss is compared with a free intercept for each left-out cohort: no model can know the response rate of a
    cohort that it has not seen, and a part is not better for having met it by chance. Patients who, or whose linked
    persons, fitted a published part before are left out, since that part would look better than it is; where under
    `LEAST_EVENTS` with or without the event would be left, they stay, and `note_` says so.
    """

    def __init__(
        self,
        parts: Mapping[str, Any],
        choose: bool = False,
        inner: Literal["cohort", "kfold"] = "cohort",
        n_splits: int = 5,
        seed: int = 0,
        source: str = "",
        label: str = "",
    ):
        self.parts = parts
        self.choose = choose
        self.inner = inner
        self.n_splits = n_splits
        self.seed = seed
        self.source = source
        self.label = label

    @property
    def spec(self) -> ModelSpec:
        """What the parts need together; of a fitted blend, those parts that have a weight.

        A sum on the log-odds is explained by its parts' explanations on the log-odds. A part that was chosen alone is
        explained on its own scale.
        """
        self._check()
        specs = {name: part.spec for name, part in getattr(self, "parts_", self.parts).items()}
        required = tuple(dict.fromkeys(c for s in specs.values() for c in s.required))
        inputs = dict.fromkeys(c for s in specs.values() for c in s.inputs)
        predicts = {s.predicts for s in specs.values() if s.predicts}
        alone = self.choose or len(specs) == 1
        exact = [s.explainer != "none" and (alone or s.output_scale == "log-odds") for s in specs.values()]
        return ModelSpec(
            required=required,
            optional=tuple(c for c in inputs if c not in required),
            missing_rule="; ".join(f"{name}: {s.missing_rule}" for name, s in specs.items()),
            trained_on=tuple(dict.fromkeys(c for s in specs.values() for c in s.trained_on)),
            output_scale=next(iter(specs.values())).output_scale if len(specs) == 1 else "log-odds",
            explainer="blend" if all(exact) else "none",
            source=self.source or ("choice among " if self.choose else "blend of ") + ", ".join(specs),
            label=self.label,
            predicts=predicts.pop() if len(predicts) == 1 else "",
            by_cohort=True,
        )

    def _check(self) -> None:
        if not isinstance(self.parts, Mapping) or len(self.parts) < (1 if hasattr(self, "parts_") else 2):
            raise ConfigError("parts: a blend needs two models or more, each under a name of its own.")
        for name, part in self.parts.items():
            if not hasattr(part, "spec") or not hasattr(part, "predict_proba"):
                raise ConfigError(f"parts.{name}: a {type(part).__name__} is no response model with a ModelSpec.")
            if getattr(part.spec, "target", "label") != "label":
                raise ConfigError(f"parts.{name} learns from times to event, which a blend does not hand on.")
        if self.inner not in ("cohort", "kfold"):
            raise ConfigError(f"inner is {self.inner!r}; it must be 'cohort' or 'kfold'.")
        if isinstance(self.n_splits, bool) or not isinstance(self.n_splits, int) or self.n_splits < 2:
            raise ConfigError(f"n_splits is {self.n_splits!r}; it must be a whole number of 2 or more.")

    def fit(self, X: pd.DataFrame, y: Any) -> Blend:
        """Find the weights inside the training fold, then fit the parts on all of it.

        Parameters
        ----------
        X : (n, columns) frame of `features.preprocess.model_frame` with `by_cohort`: cohort_id and person_id make the
            inner folds.
        y : (n,) 0/1.
        """
        self._check()
        y = np.asarray(y, dtype=int)
        cohort = _ids(X, BY_COHORT, "")
        person = X[PERSON].to_numpy(dtype=str) if PERSON in X else np.arange(len(X)).astype(str)
        p, group = self._inner_predictions(X, y, cohort, person)
        self.note_ = ""
        usable = ~np.isnan(p).any(axis=1)
        seen = self._seen(cohort, person)
        if _enough(y[usable & ~seen]):
            usable &= ~seen
        elif seen.any() and _enough(y[usable]):
            self.note_ = "weights rest on patients who fitted a published part before: it looks better than it is"
        self.n_inner_ = int(usable.sum())
        names = list(self.parts)
        if _enough(y[usable]):
            weights = self._weights(p[usable], y[usable], group[usable])
        else:
            weights = np.full(len(names), 1 / len(names))
            self.note_ = "too few patients inside the training fold to find weights: all parts count alike"
            if self.choose:
                raise ConfigError(
                    f"Choosing among {', '.join(names)} needs {LEAST_EVENTS} patients with and without the event "
                    "inside each training fold. Choose one of the models yourself, or train on more cohorts."
                )
        self.weights_ = {name: float(w) for name, w in zip(names, weights, strict=True)}
        self.parts_ = {n: clone(self.parts[n]).fit(X, y) for n in names if self.weights_[n] > 0}
        self.classes_ = np.array([0, 1])
        return self

    def _inner_predictions(
        self, X: pd.DataFrame, y: np.ndarray, cohort: np.ndarray, person: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(n, parts) predictions by fits that did not see the person, NaN where there is none; (n,) fold."""
        p, group = np.full((len(y), len(self.parts)), np.nan), np.full(len(y), -1)
        for k, (train, test) in enumerate(self._folds(y, cohort, person)):
            group[test] = k
            for j, part in enumerate(self.parts.values()):
                fitted = clone(part).fit(X.iloc[train], y[train])
                p[test, j] = clipped(fitted.predict_proba(X.iloc[test])[:, 1], part.spec.output_scale)
        return p, group

    def _folds(self, y: np.ndarray, cohort: np.ndarray, person: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions of training and test rows, both classes in training; a person is on one side only."""
        names = sorted(set(cohort))
        if self.inner == "cohort" and len(names) > 1:
            for name in names:
                test = np.flatnonzero(cohort == name)
                train = np.flatnonzero((cohort != name) & ~np.isin(person, person[test]))
                if 0 < y[train].sum() < len(train):
                    yield train, test
            return
        n = min(self.n_splits, *(len(set(person[y == label])) for label in (0, 1)))
        if n < 2:
            return
        strata = np.unique(np.char.add(cohort, np.where(y == 1, "|1", "|0")), return_inverse=True)[1]
        if np.bincount(strata).min() < n:
            strata = y
        for train, test in StratifiedGroupKFold(n, shuffle=True, random_state=self.seed).split(y, strata, person):
            if 0 < y[train].sum() < len(train):
                yield train, test

    def _seen(self, cohort: np.ndarray, person: np.ndarray) -> np.ndarray:
        trained_on = {c for part in self.parts.values() for c in part.spec.trained_on}
        direct = np.isin(cohort, sorted(trained_on)) if trained_on else np.zeros(len(cohort), dtype=bool)
        return np.isin(person, person[direct])

    def _weights(self, p: np.ndarray, y: np.ndarray, group: np.ndarray) -> np.ndarray:
        """(parts,) weights; fills `inner_`."""
        z = logit(p)
        cohort_wise = self.inner == "cohort"
        codes = np.unique(group, return_inverse=True)[1] if cohort_wise else np.zeros(len(y), dtype=int)
        single = [_loss(z[:, [j]], y, codes, np.ones(1)) for j in range(z.shape[1])]
        if self.choose:
            weights = np.zeros(len(single))
            weights[int(np.argmin(single))] = 1.0
        else:
            weights = _least_loss(z, y, codes)
        self.inner_ = {
            name: {"log_loss": loss, "auroc": _auroc(y, z[:, j], group)}
            for j, (name, loss) in enumerate(zip(self.parts, single, strict=True))
        }
        mixed = z @ weights
        self.inner_["blend"] = {
            "log_loss": _loss(z, y, codes, weights),
            "auroc": _auroc(y, mixed, group),
        }
        return weights

    @property
    def inputs_used_(self) -> tuple[str, ...]:
        """Inputs that a part with a weight can rest on."""
        check_is_fitted(self, "parts_")
        used = {name for part in self.parts_.values() for name in inputs_used(part)}
        return tuple(name for name in self.spec.inputs if name in used)

    def decision_function(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) log-odds; NaN where a part abstains."""
        check_is_fitted(self, "parts_")
        total = np.zeros(len(X))
        for name, part in self.parts_.items():
            p = clipped(part.predict_proba(X)[:, 1], part.spec.output_scale)
            total += self.weights_[name] * logit(p)
        return total

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """(n, 2) probabilities; NaN where a part abstains."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) 1 where the probability is above one half; for scikit-learn's tools, not for decisions."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


def _ids(X: pd.DataFrame, column: str, default: str) -> np.ndarray:
    return X[column].to_numpy(dtype=str) if column in X else np.full(len(X), default)


def clipped(p: np.ndarray, scale: str) -> np.ndarray:
    """Probabilities kept from 0 and 1 as a part's scale asks for."""
    return np.clip(np.asarray(p, dtype=float), CERTAINTY[scale], 1 - CERTAINTY[scale])


def _enough(y: np.ndarray) -> bool:
    return min(int(y.sum()), int(len(y) - y.sum())) >= LEAST_EVENTS


def _auroc(y: np.ndarray, score: np.ndarray, group: np.ndarray) -> float | None:
    """AUROC over the pairs within a fold; None where no fold has two of each class."""
    parts = [group == g for g in np.unique(group)]
    parts = [rows for rows in parts if min(y[rows].sum(), (1 - y[rows]).sum()) >= 2]
    if not parts:
        return None
    return float(stratified([auroc_influence(y[rows], expit(score[rows])[None]) for rows in parts]).auroc)


def _intercepts(eta: np.ndarray, y: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(groups,) free intercept of each group under fixed log-odds, by Newton's method; slightly drawn to 0."""
    a = np.zeros(codes.max() + 1)
    for _ in range(50):
        p = expit(eta + a[codes])
        gradient = np.bincount(codes, y - p) - 0.01 * a
        step = gradient / (np.bincount(codes, p * (1 - p)) + 0.01)
        a = a + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return a


def _loss(z: np.ndarray, y: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> float:
    """Mean log loss of a mixture with a free intercept for each group."""
    eta = z @ weights
    eta = eta + _intercepts(eta, y, codes)[codes]
    return float(np.mean(np.logaddexp(0, eta) - y * eta))


def _least_loss(z: np.ndarray, y: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Weights on the simplex with the least loss, less a prior around equal weights.

    Both are convex in the weights, so one start will do.
    """
    k = z.shape[1]
    strength = 1 / (WEIGHT_SD**2 * len(y))  # the loss is a mean over patients

    def slope(weights: np.ndarray) -> np.ndarray:
        eta = z @ weights
        p = expit(eta + _intercepts(eta, y, codes)[codes])
        return z.T @ (p - y) / len(y) + strength * (weights - 1 / k)

    found = minimize(
        lambda w: _loss(z, y, codes, w) + strength * float(((w - 1 / k) ** 2).sum()) / 2,
        np.full(k, 1 / k),
        jac=slope,
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(k)},
        method="SLSQP",
        options={"ftol": 1e-10, "maxiter": 200},
    )
    weights = np.where(found.x < LEAST_WEIGHT, 0.0, found.x)
    return weights / weights.sum()
