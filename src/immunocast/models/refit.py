"""Many fits of one model: folds, permutations, bootstrap samples. Ridge regressions share all the work they can.

A fit is told by a column of weights, how often each row counts: 0/1 for the rows of a fold, counts for a bootstrap
sample. A row of weight 0 is seen by nothing that is fitted, and a weight of 2 is a row that stands there twice, for
medians and scales as for coefficients.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import Survival
from immunocast.errors import ConfigError
from immunocast.features.encode import encode
from immunocast.features.preprocess import Preprocessor, check_features
from immunocast.models.ridge_logistic import fit_logistic


def fit_many(model: Any, X: pd.DataFrame, Y: Any, W: Any, survival: Survival | None = None) -> list[Any]:
    """Fit copies of any model, by its own `fit_many` where it has one.

    Parameters
    ----------
    model : unfitted model; stays as it is.
    X : (n, inputs) frame of `features.preprocess.model_frame`.
    Y : (n,) 0/1, or (n, B) with a column for each fit; what stands in rows of weight 0 does not matter.
    W : (n, B) counts.
    survival : (n,) times to event, for a model whose `spec.target` names some.

    Returns
    -------
    B fitted models, in order.

    Raises
    ------
    ConfigError
        For weights that are no counts or fit no row, and as the model's `fit`.
    """
    if hasattr(model, "fit_many"):
        return list(model.fit_many(X, Y, W, **({} if survival is None else {"survival": survival})))
    return one_by_one(model, X, Y, W, survival)


def one_by_one(model: Any, X: pd.DataFrame, Y: Any, W: Any, survival: Survival | None = None) -> list[Any]:
    """`fit` on the rows of each column of weights, a row as often as it counts."""
    Y, W = as_columns(len(X), Y, W)
    fitted = []
    for b in range(W.shape[1]):
        rows = rows_of(W[:, b])
        more = {} if survival is None else {"survival": survival.take(rows)}
        fitted.append(clone(model).fit(X.iloc[rows], Y[rows, b % Y.shape[1]].astype(int), **more))
    return fitted


def predict_many(fitted: Sequence[Any], X: pd.DataFrame, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Probabilities by several fits of one model, each for rows of its own.

    Parameters
    ----------
    fitted : models as `fit_many` returns them.
    X : (n, inputs) frame.
    rows : one array of positions a model.

    Returns
    -------
    One (len(rows),) array a model; NaN where the model abstains.
    """
    if not fitted or not all(is_ridge(model) for model in fitted):
        return [
            model.predict_proba(X.iloc[r])[:, 1] if len(r) else np.array([])
            for model, r in zip(fitted, rows, strict=True)
        ]
    first = fitted[0]
    encoded = encode(X, first.features)
    known = X[list(first.required)].notna().all(axis=1).to_numpy()
    found = []
    for model, r in zip(fitted, rows, strict=True):
        out = np.full(len(r), np.nan)
        # column by column as in the frame that `predict_proba` hands on: BLAS then gives the same bits
        Z = np.asfortranarray(model.preprocessor_.transform_encoded(encoded, r[known[r]]))
        out[known[r]] = expit((Z @ model.estimator_.coef_.T + model.estimator_.intercept_).ravel())
        found.append(out)
    return found


def fit_ridges(model: Any, X: pd.DataFrame, Y: Any, W: Any) -> list[Any]:
    """`fit_many` of a learner whose estimator `is_ridge`: the frame is encoded once, each fit is Newton's method."""
    Y, W = as_columns(len(X), Y, W)
    check_features(model.features)
    encoded = encode(X, model.features)
    settings = model.get_params(deep=False)
    template = clone(model.estimator)
    return [
        _fit_ridge(type(model)(**settings), copy.copy(template), encoded, Y[:, b % Y.shape[1]], W[:, b])
        for b in range(W.shape[1])
    ]


def _fit_ridge(model: Any, estimator: LogisticRegression, encoded: Any, y: np.ndarray, w: np.ndarray) -> Any:
    rows, once = rows_of(w), np.flatnonzero(w)
    model.preprocessor_ = Preprocessor(model.features, model.impute, model.scale, model.min_category_count)
    model.preprocessor_.fit_encoded(encoded, rows)
    model.expander_ = None
    names = model.preprocessor_.column_names_
    if not names:
        raise ConfigError(no_columns(type(estimator).__name__, model.min_category_count))
    Z, counts, event = model.preprocessor_.transform_encoded(encoded, once), w[once].astype(float), y[once] == 1
    if np.isnan(Z).any():
        raise ConfigError(f"{type(estimator).__name__} takes no missing values: set impute to mean or median.")
    try:
        fit = fit_logistic(Z, event, _balanced(counts, event, estimator.class_weight), estimator.C)
    except ValueError as error:
        raise ConfigError(f"{type(estimator).__name__} cannot be fitted: {error}") from error
    estimator.coef_, estimator.intercept_ = fit.coef[None, :], np.array([fit.intercept])
    estimator.n_iter_ = np.array([fit.n_steps], dtype=np.int32)
    estimator.classes_, model.classes_ = np.array([0, 1]), np.array([0, 1])
    estimator.n_features_in_, estimator.feature_names_in_ = len(names), np.array(names, dtype=object)
    model.estimator_ = estimator
    model.background_ = dict(zip(names, (counts @ Z / counts.sum()).tolist(), strict=True))
    return model


def is_ridge(model: Any) -> bool:
    """Whether a learner's estimator is the L2-penalised LogisticRegression that `ridge_logistic` solves."""
    e: Any = getattr(model, "estimator", None)
    return (
        type(e) is LogisticRegression
        and getattr(model, "expand", None) is None
        and e.penalty in ("l2", "deprecated")
        and e.l1_ratio in (0, 0.0, None)
        and e.class_weight in (None, "balanced")
        and e.solver != "liblinear"  # it penalises the intercept, too
        and bool(e.fit_intercept)
        and not e.dual
        and bool(np.isfinite(e.C) and e.C > 0)
    )


def _balanced(counts: np.ndarray, event: np.ndarray, class_weight: str | None) -> np.ndarray:
    if class_weight is None:
        return counts
    total, events = counts.sum(), counts[event].sum()
    if not 0 < events < total:
        return counts  # `fit_logistic` says what is wrong
    return counts * np.where(event, total / (2 * events), total / (2 * (total - events)))


def as_columns(n: int, Y: Any, W: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n, 1 or B) and counts (n, B), checked.

    Raises
    ------
    ConfigError
        Where the shapes do not fit, a weight is no count, or a column has no row.
    """
    Y, W = np.asarray(Y), np.asarray(W)
    Y = Y[:, None] if Y.ndim == 1 else Y
    if W.ndim != 2 or len(W) != n or len(Y) != n or Y.shape[1] not in (1, W.shape[1]):
        raise ConfigError(f"fit_many: {n} rows, labels {Y.shape} and weights {W.shape} do not fit: give (n, B).")
    if W.dtype.kind not in "bui":
        whole = W.astype(np.int64) if np.isfinite(W).all() else None
        if whole is None or (whole != W).any():
            raise ConfigError("fit_many: weights are counts, how often a row stands in a sample: whole numbers.")
        W = whole
    if W.dtype.kind == "i" and (W < 0).any():
        raise ConfigError("fit_many: a weight is negative; it counts how often a row stands in a sample.")
    if not W.any(axis=0).all():
        raise ConfigError("fit_many: a column of weights is all 0: there is no row to fit on.")
    return Y, W.astype(np.int64, copy=False)


def rows_of(w: np.ndarray) -> np.ndarray:
    """Positions of the rows of a column of counts, each as often as it counts."""
    return np.repeat(np.arange(len(w)), w)


def no_columns(kind: str, min_category_count: int) -> str:
    """What to say where a fold leaves nothing to learn from."""
    return (
        f"{kind}: no feature has a value in this training fold, or every category is rarer than "
        f"min_category_count ({min_category_count}). Choose other features or cohorts."
    )
