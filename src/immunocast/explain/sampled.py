"""Estimated SHAP values, for models that no exact method fits: permutation sampling with antithetic pairs.

A patient's features take the place of a training patient's one after the other, in a random order and in its reverse
(Mitchell 2022, JMLR 23:43); what the log-odds change by when a feature enters is its contribution. The mean over
pairs estimates the interventional Shapley value; the spread between pairs gives its standard error, in which order and
choice of training patients both count. Base value and values add up to the output by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from immunocast.errors import ConfigError
from immunocast.explain.shap_values import Explanation, explain_learner, joined
from immunocast.models.assays import inputs_used
from immunocast.models.blend import CERTAINTY, Blend, clipped

#: Pairs of orders, each with a training patient of its own.
N_PAIRS = 50
_ROWS = 100_000


def explain_sampled(
    model: Any,
    X: pd.DataFrame,
    background: pd.DataFrame,
    *,
    seed: int | Sequence[int],
    n_pairs: int = N_PAIRS,
    trees_against: pd.DataFrame | None = None,
) -> Explanation:
    """Estimate SHAP values on the log-odds of a fitted model's probability.

    Of a blend only the parts without an exact explanation on log-odds are estimated: values of a sum are sums.

    Parameters
    ----------
    model : fitted.
    X : (n, columns) frame of the model's inputs, rows with all required ones.
    background : (m, columns) the same of training patients.
    seed : of orders and of the choice of training patients.
    n_pairs : pairs of orders, 2 or more.
    trees_against : background of the trees that are explained exactly, see `shap_values.explain_learner`.

    Raises
    ------
    ConfigError
        Where no training patient has the required inputs, or the model gives no probability for a mixture of two
        patients.
    """
    if not isinstance(model, Blend):
        return _sample(model, X, background, np.random.default_rng(seed), n_pairs)
    total, squares = (pd.DataFrame(0.0, X.index, list(model.spec.inputs)) for _ in range(2))
    base: Any = 0.0
    methods = []
    for name, part in model.parts_.items():
        exact = part.spec.explainer != "none" and part.spec.output_scale == "log-odds"
        if exact:
            found = explain_learner(part, X, trees_against)
        else:
            found = explain_sampled(part, X, background, seed=seed, n_pairs=n_pairs, trees_against=trees_against)
        weight = model.weights_[name]
        total = total.add(weight * found.values, fill_value=0.0)
        base = base + weight * found.base_value
        methods.append(found.method)
        if found.errors is not None:
            squares = squares.add((weight * found.errors) ** 2, fill_value=0.0)
    columns = list(model.spec.inputs)
    p = model.predict_proba(X)[:, 1].astype(float)
    errors = squares[columns].pow(0.5) if any("sampled" in m for m in methods) else None
    return Explanation(total[columns], base, model.decision_function(X), "log-odds", p, joined(methods), errors)


def _sample(
    model: Any, X: pd.DataFrame, background: pd.DataFrame, rng: np.random.Generator, n_pairs: int
) -> Explanation:
    scale = model.spec.output_scale

    def log_odds(frame: pd.DataFrame) -> np.ndarray:
        out = logit(clipped(model.predict_proba(frame)[:, 1], scale if scale in CERTAINTY else "log-odds"))
        if np.isnan(out).any():
            raise ConfigError(
                f"{model.spec.label or type(model).__name__} gives no probability for mixtures of two patients, and "
                "cannot be explained by sampling: leave explain.fallback at none."
            )
        return out

    known = background[background[list(model.spec.required)].notna().all(axis=1)]
    if known.empty:
        raise ConfigError("explain.fallback=sampled: no training patient has all required inputs to compare with.")
    chosen = known.iloc[rng.choice(len(known), n_pairs, replace=len(known) < n_pairs)]
    used = set(inputs_used(model)) | set(model.spec.required)
    players = [name for name in model.spec.inputs if name in used]
    values, errors, base = sampled_values(log_odds, X, chosen, players, rng)
    values, errors = (part.reindex(columns=list(model.spec.inputs), fill_value=0.0) for part in (values, errors))
    p = model.predict_proba(X)[:, 1].astype(float)
    first = float(base[0]) if len(base) else 0.0
    found = Explanation(values, base, log_odds(X), "log-odds", p, "sampled", errors)
    return replace(found, base_value=first) if np.all(base == first) else found


def sampled_values(
    function: Callable[[pd.DataFrame], np.ndarray],
    X: pd.DataFrame,
    background: pd.DataFrame,
    players: Sequence[str],
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Values, their standard errors, and base values, which differ where a column that is no player (the cohort) does.

    Parameters
    ----------
    function : frame -> (rows,) output, row by row.
    X : (n, columns) rows to explain.
    background : (pairs, columns) rows to compare with, one a pair of orders.
    players : columns that are explained; the others stay the patient's own.
    rng : draws the orders, the same for all rows: nobody's values depend on who stands beside.
    """
    d, pairs = len(players), len(background)
    there = _coalitions(np.array([rng.permutation(d) for _ in range(pairs)]).reshape(pairs, d))
    values, squares = np.zeros((len(X), d)), np.zeros((len(X), d))
    base = np.zeros(len(X))
    size = max(1, _ROWS // max(there.shape[0] * there.shape[1] * there.shape[2], 1))
    for start in range(0, len(X), size):
        part = X.iloc[start : start + size]
        mixed = {}
        for column in X.columns:
            own = part[column].to_numpy()[:, None, None, None]
            if column in players:
                other = background[column].to_numpy()[None, :, None, None]
                own = np.where(there[None, ..., list(players).index(column)], own, other)
            shape = (len(part), *there.shape[:3])
            mixed[column] = pd.Series(np.broadcast_to(own, shape).ravel(), dtype=X[column].dtype)
        out = function(pd.DataFrame(mixed)).reshape(len(part), *there.shape[:3])
        steps = np.diff(out, axis=3)
        entered = np.argmax(np.diff(there.astype(int), axis=2), axis=3)  # the player of each step
        each = np.zeros((len(part), pairs, d))
        for way in (0, 1):
            order = np.broadcast_to(entered[:, way], (len(part), pairs, d))
            each += np.take_along_axis(steps[:, :, way], np.argsort(order, axis=2), axis=2) / 2
        values[start : start + size] = each.mean(axis=1)
        squares[start : start + size] = each.var(axis=1, ddof=1) / pairs
        base[start : start + size] = out[:, :, 0, 0].mean(axis=1)
    names = list(players)
    errors = pd.DataFrame(np.sqrt(squares), index=X.index, columns=names)
    return pd.DataFrame(values, index=X.index, columns=names), errors, base


def _coalitions(orders: np.ndarray) -> np.ndarray:
    """(pairs, 2, players + 1, players) who is there after each step of each order and of its reverse."""
    place = np.argsort(orders, axis=1)
    d = orders.shape[1]
    both = np.stack([place, d - 1 - place], axis=1)
    return both[:, :, None, :] < np.arange(d + 1)[None, None, :, None]
