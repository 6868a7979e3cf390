"""Exact SHAP values of fitted learners: one method for each kind of estimator, named by the ModelSpec.

========  ==========================================================================  ===========
kind      method                                                                      scale
========  ==========================================================================  ===========
linear    coefficient x (value - training mean): interventional, features taken as    log-odds
          independent (Lundberg & Lee 2017); a product of two features (slopes by
          tumour type) is divided between the two as Shapley values divide it
xgboost   XGBoost's own contributions: path-dependent TreeSHAP (Lundberg 2020)        log-odds
tree      shap.TreeExplainer: path-dependent TreeSHAP of a forest's class-1           probability
          probability, or of the margin of scikit-learn's boosters                    or log-odds
update    a revised published formula: each term less its mean; what was added to     log-odds
          it as linear or xgboost
blend     weighted sum of the parts' values: Shapley values are linear in the model   log-odds
========  ==========================================================================  ===========

One-hot columns, spline terms and indicators of missing values are summed back to the feature that they come from.
Base value and feature values add up to the output; where they do not, within 1e-4, an error says so: a picture of
wrong numbers is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from immunocast.errors import ConfigError
from immunocast.models.blend import EXPLAINED, Blend
from immunocast.models.learner import Learner
from immunocast.models.update import PublishedUpdate

#: Largest difference allowed between the model's output and base value plus contributions.
ADDITIVITY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Explanation:
    """SHAP values of one fitted model.

    Attributes
    ----------
    values : (n, features) frame on `scale`; a column a source feature, 0 where the feature was dropped.
    base_value : expected output.
    output : (n,) the model's output on `scale`.
    scale : "log-odds" or "probability".
    p : (n,) the model's probability.
    """

    values: pd.DataFrame
    base_value: float
    output: np.ndarray
    scale: str
    p: np.ndarray


def explain_learner(model: Any, X: pd.DataFrame) -> Explanation:
    """Explain the predictions of a fitted model that has an explainer.

    Parameters
    ----------
    model : fitted.
    X : (n, inputs) frame of `features.preprocess.model_frame`, rows with all required inputs.

    Raises
    ------
    ConfigError
        Where the model names no explainer, or an explainer or scale that does not fit its estimator.
    ArithmeticError
        Where contributions do not add up to the output.
    """
    if isinstance(model, PublishedUpdate | Blend):
        return _composed(model, X)
    kind = model.spec.explainer
    if kind not in EXPLAINERS:
        raise ConfigError(f"The model's explainer is {kind!r}; known: {', '.join(EXPLAINERS)}.")
    Z = model.design_matrix(X)
    contributions, base = EXPLAINERS[kind](model, Z)
    p = model.predict_proba(X)[:, 1].astype(float)
    output = p if model.spec.output_scale == "probability" else _margin(model, Z, p)
    if model.spec.output_scale == "log-odds" and np.max(np.abs(expit(output) - p), initial=0.0) > ADDITIVITY_TOLERANCE:
        raise ConfigError(
            f"The margin of a {type(model.estimator_).__name__} is not the log-odds of its probability: "
            "set explainer to none."
        )
    gap = float(np.max(np.abs(base + contributions.sum(axis=1) - output), initial=0.0))
    if not gap <= ADDITIVITY_TOLERANCE:
        raise ArithmeticError(
            f"SHAP values of a {type(model.estimator_).__name__} miss its output by {gap:.2g}; "
            f"the largest gap allowed is {ADDITIVITY_TOLERANCE:g}."
        )
    by_source = pd.DataFrame(contributions.T, columns=X.index).groupby(model.sources_).sum().T
    values = by_source.reindex(columns=list(model.features), fill_value=0.0)
    return Explanation(values.set_axis(X.index), float(base), output, model.spec.output_scale, p)


def _composed(model: PublishedUpdate | Blend, X: pd.DataFrame) -> Explanation:
    """Values of a model made of others, a column an input."""
    inputs = list(model.spec.inputs)
    values, base = (_blend if isinstance(model, Blend) else _update)(model, X)
    output = model.decision_function(X)
    gap = float(np.max(np.abs(base + values.sum(axis=1).to_numpy() - output), initial=0.0))
    if not gap <= ADDITIVITY_TOLERANCE:
        raise ArithmeticError(
            f"SHAP values of a {type(model).__name__} miss its output by {gap:.2g}; the largest gap allowed is "
            f"{ADDITIVITY_TOLERANCE:g}."
        )
    values = values.reindex(columns=inputs, fill_value=0.0)
    return Explanation(values, base, output, "log-odds", model.predict_proba(X)[:, 1].astype(float))


def _update(model: PublishedUpdate, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    published, Z = model.published_part(X), model.design_matrix(X)
    if model.estimator_ is None:
        coef = np.array([model.coef_[c] for c in Z.columns])
        background = np.array([model.background_[c] for c in Z.columns])
        added, base = (Z.to_numpy() - background) * coef, float(background @ coef)
    else:
        added, base = _tree_contributions(model.estimator_, Z)
    # published terms are centred on their training means: they add nothing to the base
    columns = [*published.columns, *model.preprocessor_.source_]
    table = pd.DataFrame(np.column_stack([published, added]).T, columns=X.index)
    return table.groupby(columns).sum().T, model.intercept_ + base


def _blend(model: Blend, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    total, base = pd.DataFrame(index=X.index), 0.0
    for name, part in model.parts_.items():
        if part.spec.explainer not in EXPLAINED:
            raise ConfigError(f"The part {name} of a blend is not explained on log-odds: set explainer to none.")
        found = explain_learner(part, X)
        total = total.add(model.weights_[name] * found.values, fill_value=0.0)
        base += model.weights_[name] * found.base_value
    return total, base


def _margin(model: Learner, Z: pd.DataFrame, p: np.ndarray) -> np.ndarray:
    """Log-odds; from the estimator's own margin where it has one, since logit(p) loses digits near 0 and 1."""
    if model.spec.explainer == "xgboost":
        return model.estimator_.predict(Z, output_margin=True).astype(float)
    if hasattr(model.estimator_, "decision_function"):
        return np.asarray(model.estimator_.decision_function(Z), dtype=float)
    return logit(p)


def _linear(model: Learner, Z: pd.DataFrame) -> tuple[np.ndarray, float]:
    if not hasattr(model.estimator_, "coef_"):
        raise _misfit(model, "it has no coefficients")
    coef = np.asarray(model.estimator_.coef_, dtype=float).ravel()
    intercept = float(np.ravel(model.estimator_.intercept_)[0])
    background = np.array([model.background_[c] for c in Z.columns])
    products = model.products_
    alone = np.array([c not in products for c in Z.columns])
    values = (Z.to_numpy() - background) * np.where(alone, coef, 0.0)
    base = intercept + float(background[alone] @ coef[alone])
    at = {c: j for j, c in enumerate(Z.columns)}
    for name, product in products.items():
        j, left, right = at[name], at[product.left], at[product.right]
        weight = coef[j] * product.weight
        a, b = Z[product.left].to_numpy() - product.origin, Z[product.right].to_numpy()
        mean_a, mean_b = background[left] - product.origin, background[right]
        # Shapley values of a product of two independent features: each takes its departure from the mean times the
        # middle between the other's value and the other's mean
        values[:, left] += weight * (a - mean_a) * (b + mean_b) / 2
        values[:, right] += weight * (b - mean_b) * (a + mean_a) / 2
        base += weight * mean_a * mean_b
    return values, base


def _xgboost(model: Learner, Z: pd.DataFrame) -> tuple[np.ndarray, float]:
    if not hasattr(model.estimator_, "get_booster"):
        raise _misfit(model, "it is no XGBoost model")
    return _tree_contributions(model.estimator_, Z)


def _tree_contributions(estimator: Any, Z: pd.DataFrame) -> tuple[np.ndarray, float]:
    import xgboost as xgb

    booster = estimator.get_booster()
    # XGBoost predicts up to the best iteration where it stopped early: later trees are no part of the prediction
    best = getattr(estimator, "best_iteration", None)
    rounds = (0, best + 1) if best is not None else (0, 0)
    out = booster.predict(xgb.DMatrix(Z, nthread=1), pred_contribs=True, iteration_range=rounds)
    return out[:, :-1].astype(float), float(out[0, -1]) if len(out) else 0.0


def _tree(model: Learner, Z: pd.DataFrame) -> tuple[np.ndarray, float]:
    import shap

    try:
        explainer = shap.TreeExplainer(model.estimator_, feature_perturbation="tree_path_dependent")
    except Exception as error:  # shap has an exception of its own for each reason
        raise _misfit(model, str(error)) from error
    values = np.asarray(explainer.shap_values(Z.to_numpy(), check_additivity=False))
    # forests: one slice a class, in probability; boosters: one number, the margin
    scale = "probability" if values.ndim == 3 else "log-odds"
    if model.spec.output_scale != scale:
        raise ConfigError(f"SHAP values of a {type(model.estimator_).__name__} are on {scale}: set output_scale to it.")
    values = values[..., 1] if values.ndim == 3 else values
    return values.astype(float), float(np.ravel(explainer.expected_value)[-1])


def _misfit(model: Learner, why: str) -> ConfigError:
    kind, name = model.spec.explainer, type(model.estimator_).__name__
    return ConfigError(f"explainer {kind!r} does not fit a {name}: {why}. Set another explainer, or none.")


EXPLAINERS: dict[str, Callable[[Any, pd.DataFrame], tuple[np.ndarray, float]]] = {
    "linear": _linear,
    "xgboost": _xgboost,
    "tree": _tree,
}
