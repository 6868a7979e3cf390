"""Fitting a model of a run again: on other weights or without a feature, with the parameters that its folds chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from immunocast.cohort.outcomes import Survival, survival_of
from immunocast.errors import ConfigError
from immunocast.explain.inputs import ExplainInputs
from immunocast.models.learner import Learner
from immunocast.models.refit import fit_many

Fold = tuple[int, str]


def folds_of(shap: pd.DataFrame, model: str) -> dict[Fold, np.ndarray]:
    """(repeat, fold) -> ids of the patients whom the model explained there, sorted."""
    rows = shap[shap["model"] == model]
    own = rows["repeat"].to_numpy(dtype=int), rows["fold"].to_numpy(dtype=object)
    ids = rows["patient_id"].to_numpy(dtype=object)
    return {
        (int(repeat), str(fold)): np.sort(ids[(own[0] == repeat) & (own[1] == fold)])
        for repeat, fold in sorted(set(zip(*own, strict=True)))
    }


def as_configured(run: ExplainInputs, name: str, fold: Fold) -> Any:
    """The unfitted model with the parameters that the fold's inner search chose; nothing is tuned anew."""
    model = clone(run.models[name])
    settings = run.tuned.get((name, *fold))
    return model.set_params(**settings) if settings else model


def times_of(run: ExplainInputs, name: str) -> Survival | None:
    """Times to event of the run's labelled patients, for a model that learns from them."""
    target = str(run.models[name].spec.target)
    return None if target == "label" else survival_of(run.table, target)


def refit(run: ExplainInputs, name: str, fold: Fold, X: pd.DataFrame, weights: np.ndarray) -> list[Any]:
    """Fit a model of the run on weighted rows, a fit a column.

    Parameters
    ----------
    fold : whose tuned parameters are taken.
    X : (n, columns) frame of the run's labelled patients.
    weights : (n, B) counts.
    """
    return fit_many(as_configured(run, name, fold), X, run.labels, weights, times_of(run, name))


def refit_without(
    run: ExplainInputs, name: str, feature: str, folds: Sequence[Fold], X: pd.DataFrame
) -> tuple[list[Any], pd.DataFrame]:
    """Fit a model of the run on whole training folds as if a feature had been measured in nobody.

    A feature without a value in training gets no column: that is a fit without it, whatever the model is made of.

    Returns
    -------
    A fitted model a fold, and the frame without the feature.

    Raises
    ------
    ConfigError
        Where the model can't do without the feature, or nothing is left to learn from.
    """
    blank = X.assign(**{feature: pd.Series(None, index=X.index, dtype=X[feature].dtype)})
    together: dict[str, list[int]] = {}
    for k, fold in enumerate(folds):
        together.setdefault(repr(sorted(run.tuned.get((name, *fold), {}).items())), []).append(k)
    fitted: list[Any] = [None] * len(folds)
    for ks in together.values():
        model = as_configured(run, name, folds[ks[0]])
        if feature in model.spec.required:
            if not isinstance(model, Learner):
                raise ConfigError("the model requires it")
            model.set_params(required=tuple(f for f in model.required if f != feature))
        weights = np.zeros((len(X), len(ks)), dtype=np.int64)
        for column, k in enumerate(ks):
            weights[run.splits[folds[k]].train, column] = 1
        for k, one in zip(ks, fit_many(model, blank, run.labels, weights, times_of(run, name)), strict=True):
            fitted[k] = one
    return fitted, blank
