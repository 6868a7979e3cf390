"""Null features: how each feature ranks against noise, and against a shuffled copy of itself, in the same fit.

Done on the columns of the design matrix, since noise is no feature of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from immunocast.engines import Engine, SerialEngine
from immunocast.models.refit import fit_many, is_ridge
from immunocast.models.ridge_logistic import fit_logistic
from immunocast.validation.controls import Blank, Rows
from immunocast.validation.controls_inputs import Controlled

#: A feature whose shuffled copy does as well in more draws than this share is not told from noise.
LEVEL = 0.05
_NOISE, _COPY = "noise", "copy."


def null_feature_rows(run: Controlled, *, n_null_features: int, seed: int, engine: Engine | None = None) -> Rows:
    """One row a model and feature, one for a standard normal feature, and one that counts who can't beat noise.

    In each draw the final training patients' design matrix gets a copy of itself whose rows are shuffled within
    cohorts, and a standard normal column; the model's estimator is fitted to all of it. Importance is the mean
    absolute effect on the log-odds, sum of coefficient times centred value over a feature's columns; for estimators
    without coefficients their own `feature_importances_`. A copy has as many columns, the same values and the same
    differences between cohorts as its original, so that neither size nor cohorts give the original an advantage.
    """
    rows: Rows = []
    for name in run.models:
        rows += _of_model(run, name, n_null_features, seed, engine or SerialEngine())
    return rows


def _of_model(run: Controlled, name: str, n_draws: int, seed: int, engine: Engine) -> Rows:
    train = run.scheme.final_train(run.table)
    weights = np.zeros((len(run.y), 1), dtype=np.int64)
    weights[train] = 1
    model, X = run.models[name], run.frames[name]
    fitted = fit_many(model, X, run.y, weights)[0]
    y = run.y[train]
    blank = Blank(run.scheme_name, run.endpoint)
    size = {"n": len(y), "n_events": int(y.sum()), "n_repeats": n_draws}
    # a blend has no estimator of its own, and an updated formula only where trees add to it
    estimator = getattr(fitted, "estimator_", None)
    if not hasattr(estimator, "coef_") and not hasattr(estimator, "feature_importances_"):
        kind = type(fitted if estimator is None else estimator).__name__
        why = f"{kind} tells no importance of its columns"
        return [blank.row("null_feature", name, "features_not_above_noise", **size, note=why)]
    Z = fitted.design_matrix(X.iloc[train])
    sources = list(getattr(fitted, "sources_", None) or fitted.preprocessor_.source_)
    features = list(dict.fromkeys(sources))
    cohorts = run.ids["cohort_id"].to_numpy(dtype=str)[train]
    work = partial(_draw, fitted=fitted, Z=Z, y=y, sources=sources, cohorts=cohorts, seed=seed)
    found = np.array(engine.map(work, range(n_draws)))
    real, copy, noise = found[:, : len(features)], found[:, len(features) : -1], found[:, -1]
    rows, weak = [], []
    for j, feature in enumerate(features):
        p = (int((copy[:, j] >= real[:, j]).sum()) + 1) / (n_draws + 1)
        beaten = p > max(LEVEL, 1.5 / (n_draws + 1))
        weak += [feature] if beaten else []
        note = "not told from a shuffled copy of itself" if beaten else "more than any shuffled copy of itself"
        if not beaten and p > 1 / (n_draws + 1):
            note = "more than nearly all shuffled copies of itself"
        values = {"observed": float(real[:, j].mean()), "p": p, "note": note, **_spread(copy[:, j])}
        rows.append(blank.row("null_feature", name, f"importance:{feature}", **size, **values))
    above = float((noise[:, None] > real).mean())
    note = (
        f"a standard normal feature; it outranks a real feature in {100 * above:.0f} % of pairs of a draw and a feature"
    )
    rows.append(blank.row("null_feature", name, "importance:random", **size, **_spread(noise), note=note))
    told = f"no more than noise: {', '.join(weak)}" if weak else "each feature is more than its shuffled copies"
    counted = {"estimate": float(len(weak)), "note": f"{told}; of {len(features)} features"}
    rows.append(blank.row("null_feature", name, "features_not_above_noise", **size, **counted))
    return rows


def _spread(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return {"estimate": float(values.mean()), "low": float(low), "high": float(high)}


def _draw(
    k: int, fitted: Any, Z: pd.DataFrame, y: np.ndarray, sources: Sequence[str], cohorts: np.ndarray, seed: int
) -> np.ndarray:
    """Importances of the features, of their copies, and of noise, in one draw."""
    rng = np.random.default_rng([seed, k])
    shuffled = np.arange(len(y))
    for cohort in sorted(set(cohorts)):
        inside = np.flatnonzero(cohorts == cohort)
        shuffled[inside] = inside[rng.permutation(len(inside))]
    values = Z.to_numpy()
    wide = np.column_stack([values, values[shuffled], rng.standard_normal(len(y))])
    groups = [*sources, *(_COPY + s for s in sources), _NOISE]
    names = [*Z.columns, *(_COPY + c for c in Z.columns), _NOISE]
    return _importance(_columns_importance(fitted, wide, names, y), groups)


def _columns_importance(fitted: Any, wide: np.ndarray, names: list[str], y: np.ndarray) -> np.ndarray:
    """(n, columns) centred effects of a linear estimator, or (1, columns) importances of another."""
    if is_ridge(fitted) and fitted.estimator_.class_weight is None:
        coef = fit_logistic(wide, y, None, fitted.estimator_.C).coef
    else:
        estimator = clone(fitted.estimator_).fit(pd.DataFrame(wide, columns=names), y)
        if not hasattr(estimator, "coef_"):
            return np.asarray(estimator.feature_importances_, dtype=float)[None]
        coef = np.asarray(estimator.coef_, dtype=float).ravel()
    return (wide - wide.mean(axis=0)) * coef


def _importance(effects: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    names = list(dict.fromkeys(groups))
    code = np.array([names.index(g) for g in groups])
    return np.array([np.abs(effects[:, code == j].sum(axis=1)).mean() for j in range(len(names))])
