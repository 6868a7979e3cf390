"""SHAP interaction values of fitted models, between the features that their columns come from.

========  ======================================================================================================
kind      interactions
========  ======================================================================================================
trees     exact and path-dependent: `explain.trees.interactions`, one-hot columns and indicators of missing
          values summed over blocks
linear    of a product of two features (slopes by tumour type): coefficient times both departures from the
          training mean, features taken as independent; other columns have none
update    those of its trees; the revised formula and a penalised regression have none
blend     weighted sum of the parts'
========  ======================================================================================================

The diagonal holds main effects; rows sum to the SHAP values of `explain.shap_values` (path-dependent for trees), and
an error says so where they do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.explain.shap_values import ADDITIVITY_TOLERANCE, explain_learner, trees_of
from immunocast.models.blend import Blend
from immunocast.models.learner import Learner
from immunocast.models.update import PublishedUpdate


@dataclass(frozen=True)
class Interactions:
    """Interaction values of one fitted model.

    Attributes
    ----------
    values : (n, features, features) symmetric; half of a pair's interaction at each of its two places.
    features : names of both axes, sorted.
    scale : "log-odds", "probability" or "log-hazard".
    p : (n,) the model's probability.
    """

    values: np.ndarray
    features: tuple[str, ...]
    scale: str
    p: np.ndarray


def explain_interactions(model: Any, X: pd.DataFrame) -> Interactions:
    """Interaction values of a fitted model that has an exact explainer.

    Parameters
    ----------
    model : fitted.
    X : (n, inputs) frame of `features.preprocess.model_frame`, rows with all required inputs.

    Raises
    ------
    ConfigError
        Where the model has no exact explainer, see `explain.shap_values.explain_learner`.
    ArithmeticError
        Where interactions do not add up to the SHAP values.
    """
    whole = explain_learner(model, X)
    features = tuple(sorted(whole.values.columns))
    values = _matrices(model, X, features)
    expected = whole.values[list(features)].to_numpy()
    gap = float(np.max(np.abs(values.sum(axis=2) - expected), initial=0.0))
    if not gap <= ADDITIVITY_TOLERANCE:
        raise ArithmeticError(
            f"Interactions of a {type(model).__name__} miss its SHAP values by {gap:.2g}; the largest gap allowed is "
            f"{ADDITIVITY_TOLERANCE:g}."
        )
    return Interactions(values, features, whole.scale, whole.p)


def _matrices(model: Any, X: pd.DataFrame, features: tuple[str, ...]) -> np.ndarray:
    if isinstance(model, Blend):
        alone = len(model.parts_) == 1
        total = np.zeros((len(X), len(features), len(features)))
        for name, part in model.parts_.items():
            total += (1.0 if alone else model.weights_[name]) * _matrices(part, X, features)
        return total
    if isinstance(model, PublishedUpdate):
        if model.estimator_ is None:
            return _additive(explain_learner(model, X).values, features)
        return _additive(model.published_part(X), features) + _trees(model, X, model.preprocessor_.source_, features)
    if model.spec.explainer == "linear":
        return _products(model, X, features)
    return _trees(model, X, model.sources_, features)


def _additive(values: pd.DataFrame, features: tuple[str, ...]) -> np.ndarray:
    """Main effects alone; a column is named after its feature, some after the same."""
    out = np.zeros((len(values), len(features), len(features)))
    for j, name in enumerate(values.columns):
        at = features.index(name)
        out[:, at, at] += values.iloc[:, j].to_numpy()
    return out


def _trees(model: Any, X: pd.DataFrame, sources: list[str], features: tuple[str, ...]) -> np.ndarray:
    from immunocast.explain.trees.interactions import interaction_values

    used = sorted(set(sources))
    number = {name: k for k, name in enumerate(used)}
    Z = model.design_matrix(X).to_numpy(dtype=float)
    found, _ = interaction_values(trees_of(model), Z, [number[name] for name in sources])
    out = np.zeros((len(X), len(features), len(features)))
    at = [features.index(name) for name in used]
    out[np.ix_(range(len(X)), at, at)] = found
    return out


def _products(model: Learner, X: pd.DataFrame, features: tuple[str, ...]) -> np.ndarray:
    out = _additive(explain_learner(model, X).values, features)
    if not model.products_:
        return out
    Z, estimator = model.design_matrix(X), model.estimator_
    coef = np.ravel(estimator.beta_ if model.spec.output_scale == "log-hazard" else estimator.coef_).astype(float)
    at = {c: j for j, c in enumerate(Z.columns)}
    for name, product in model.products_.items():
        i, j = (features.index(model.sources_[at[c]]) for c in (product.left, product.right))
        if i == j:  # both of one feature: part of its own effect
            continue
        left, right = (Z[c].to_numpy() - model.background_[c] for c in (product.left, product.right))
        half = coef[at[name]] * product.weight * left * right / 2
        for a, b in ((i, j), (j, i)):
            out[:, a, b] += half
            out[:, a, a] -= half
    return out
