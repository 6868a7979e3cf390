"""Exact SHAP values of fitted learners: one method for each kind of estimator, named by the ModelSpec.

========  ==========================================================================  ===========
kind      method                                                                      scale
========  ==========================================================================  ===========
linear    coefficient x (value - training mean): interventional, features taken as    log-odds,
          independent (Lundberg & Lee 2017); a product of two features (slopes by     log-hazard
          tumour type) is divided between the two as Shapley values divide it
xgboost   path-dependent TreeSHAP (Lundberg 2020) of the margin: `trees.choose`       log-odds
tree      the same of a forest's class-1 probability, or of the margin of             probability
          scikit-learn's boosters                                                     or log-odds
update    a revised published formula: each term less its mean; what was added to     log-odds
          it as linear or xgboost
blend     weighted sum of the parts' values: Shapley values are linear in the model;  log-odds;
          a part that was chosen alone is explained as itself                         the part's
========  ==========================================================================  ===========

Trees are explained against a background instead where one is given: `explain.trees.interventional`.

One-hot columns, spline terms and indicators of missing values are summed back to the feature that they come from.
Base value and feature values add up to the output; where they do not, within 1e-4, an error says so: a picture of
wrong numbers is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from immunocast.errors import ConfigError
from immunocast.explain.trees.choose import tree_shap
from immunocast.explain.trees.ensemble import Ensemble, ensemble_of
from immunocast.models.blend import Blend
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
    base_value : expected output; (n,) where it is not the same for everybody.
    output : (n,) the model's output on `scale`.
    scale : "log-odds", "probability" or "log-hazard".
    p : (n,) the model's probability.
    method : how the values were found, as in the table shap.
    errors : (n, features) standard errors of estimated values; None where all are exact.
    """

    values: pd.DataFrame
    base_value: float | np.ndarray
    output: np.ndarray
    scale: str
    p: np.ndarray
    method: str
    errors: pd.DataFrame | None = None


def explain_learner(model: Any, X: pd.DataFrame, background: pd.DataFrame | None = None) -> Explanation:
    """Explain the predictions of a fitted model that has an explainer.

    Parameters
    ----------
    model : fitted.
    X : (n, inputs) frame of `features.preprocess.model_frame`, rows with all required inputs.
    background : (m, inputs) frame of training patients, likewise: trees, also those of a blend, get interventional
        values against them. None for path-dependent values. Other models have a background of their own.

    Raises
    ------
    ConfigError
        Where the model names no explainer, or an explainer or scale that does not fit its estimator.
    ArithmeticError
        Where contributions do not add up to the output.
    """
    if isinstance(model, PublishedUpdate | Blend):
        return _composed(model, X, background)
    kind = model.spec.explainer
    if kind not in EXPLAINERS:
        raise ConfigError(f"The model's explainer is {kind!r}; known: {', '.join(EXPLAINERS)}.")
    Z = model.design_matrix(X)
    if background is None or kind == "linear":
        contributions, base = (_hazard if model.spec.output_scale == "log-hazard" else EXPLAINERS[kind])(model, Z)
    else:
        contributions, base = _interventional(model, Z, model.design_matrix(background))
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
    method = "linear" if kind == "linear" else _tree_method(background)
    return Explanation(values.set_axis(X.index), float(base), output, model.spec.output_scale, p, method)


def _tree_method(background: pd.DataFrame | None) -> str:
    return "tree_path_dependent" if background is None else "tree_interventional"


def _composed(model: PublishedUpdate | Blend, X: pd.DataFrame, background: pd.DataFrame | None) -> Explanation:
    """Values of a model made of others, a column an input."""
    p = model.predict_proba(X)[:, 1].astype(float)
    if isinstance(model, Blend) and len(model.parts_) == 1:
        # output and values are the part's: a probability is kept from 0 and 1 only after it
        return replace(explain_learner(next(iter(model.parts_.values())), X, background), p=p)
    values, base, method = (_blend if isinstance(model, Blend) else _update)(model, X, background)
    # before additivity is checked: a value without a column would be missed
    values = values.reindex(columns=list(model.spec.inputs), fill_value=0.0)
    output = model.decision_function(X)
    gap = float(np.max(np.abs(base + values.sum(axis=1).to_numpy() - output), initial=0.0))
    if not gap <= ADDITIVITY_TOLERANCE:
        raise ArithmeticError(
            f"SHAP values of a {type(model).__name__} miss its output by {gap:.2g}; the largest gap allowed is "
            f"{ADDITIVITY_TOLERANCE:g}."
        )
    return Explanation(values, base, output, "log-odds", p, method)


def _update(
    model: PublishedUpdate, X: pd.DataFrame, background: pd.DataFrame | None
) -> tuple[pd.DataFrame, float, str]:
    published, Z = model.published_part(X), model.design_matrix(X)
    if model.estimator_ is None:
        coef = np.array([model.coef_[c] for c in Z.columns])
        mean = np.array([model.background_[c] for c in Z.columns])
        added, base = (Z.to_numpy() - mean) * coef, float(mean @ coef)
    elif background is not None:
        added, base = _interventional(model, Z, model.design_matrix(background))
    else:
        added, base = _tree_contributions(model.estimator_, Z)
    # published terms are centred on their training means: they add nothing to the base
    columns = [*published.columns, *model.preprocessor_.source_]
    table = pd.DataFrame(np.column_stack([published, added]).T, columns=X.index)
    method = "linear" if model.estimator_ is None else f"linear+{_tree_method(background)}"
    return table.groupby(columns).sum().T, model.intercept_ + base, method


def _blend(model: Blend, X: pd.DataFrame, background: pd.DataFrame | None) -> tuple[pd.DataFrame, float, str]:
    total, base, methods = pd.DataFrame(index=X.index), 0.0, []
    for name, part in model.parts_.items():
        if part.spec.explainer == "none" or part.spec.output_scale != "log-odds":
            raise ConfigError(
                f"The part {name} of a blend is not explained on log-odds. Leave it out of the blend, or estimate the "
                "values: explain.fallback=sampled."
            )
        found = explain_learner(part, X, background)
        total = total.add(model.weights_[name] * found.values, fill_value=0.0)
        base += model.weights_[name] * float(found.base_value)
        methods.append(found.method)
    return total, base, joined(methods)


def joined(methods: list[str]) -> str:
    """Name of a sum of explanations by several methods."""
    return "+".join(sorted({one for method in methods for one in method.split("+")}))


def _margin(model: Learner, Z: pd.DataFrame, p: np.ndarray) -> np.ndarray:
    """The centred linear predictor of a hazard, or log-odds: from the estimator's own margin where it has one, since
    logit(p) loses digits near 0 and 1.
    """
    if model.spec.output_scale == "log-hazard":
        link = model.estimator_
        centred = link.risk_score(Z) - _mean_hazard(model, Z)
        gap = np.max(np.abs(link.link_intercept_ + link.link_slope_ * centred - link.decision_function(Z)), initial=0.0)
        if not gap <= ADDITIVITY_TOLERANCE:
            raise ArithmeticError(f"The link of the hazard misses the log-odds of the probability by {gap:.2g}.")
        return np.asarray(centred, dtype=float)
    if model.spec.explainer == "xgboost":
        return model.estimator_.predict(Z, output_margin=True).astype(float)
    if hasattr(model.estimator_, "decision_function"):
        return np.asarray(model.estimator_.decision_function(Z), dtype=float)
    return logit(p)


def _linear(model: Learner, Z: pd.DataFrame) -> tuple[np.ndarray, float]:
    if not hasattr(model.estimator_, "coef_"):
        raise _misfit(model, "it has no coefficients")
    coef = np.asarray(model.estimator_.coef_, dtype=float).ravel()
    return _products_divided(model, Z, coef, float(np.ravel(model.estimator_.intercept_)[0]))


def _hazard(model: Learner, Z: pd.DataFrame) -> tuple[np.ndarray, float]:
    if model.spec.explainer != "linear" or not hasattr(model.estimator_, "beta_"):
        raise _misfit(model, "on log-hazard only a linear predictor is explained")
    return _products_divided(model, Z, model.estimator_.beta_, -_mean_hazard(model, Z))


def _mean_hazard(model: Learner, Z: pd.DataFrame) -> float:
    """Linear predictor of the mean training patient, to whom the link's intercept belongs."""
    return float(np.array([model.background_[c] for c in Z.columns]) @ model.estimator_.beta_)


def _products_divided(model: Learner, Z: pd.DataFrame, coef: np.ndarray, intercept: float) -> tuple[np.ndarray, float]:
    """(n, columns) interventional values of a linear predictor, products divided between their features; base."""
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
    values, base, _ = tree_shap(estimator, Z)
    return values.astype(float), base


def _tree(model: Learner, Z: pd.DataFrame) -> tuple[np.ndarray, float]:
    try:
        values, base, scale = tree_shap(model.estimator_, Z)
    except ConfigError as error:
        raise _misfit(model, str(error).rstrip(".")) from error
    if model.spec.output_scale != scale:
        raise ConfigError(f"SHAP values of a {type(model.estimator_).__name__} are on {scale}: set output_scale to it.")
    return values.astype(float), base


def _interventional(
    model: Learner | PublishedUpdate, Z: pd.DataFrame, background: pd.DataFrame
) -> tuple[np.ndarray, float]:
    from immunocast.explain.trees.interventional import interventional_values

    return interventional_values(trees_of(model), Z.to_numpy(dtype=float), background.to_numpy(dtype=float))


def trees_of(model: Learner | PublishedUpdate) -> Ensemble:
    """Trees of a model's fitted estimator.

    Raises
    ------
    ConfigError
        Where it has none that can be read, or another output scale than the model says.
    """
    found = ensemble_of(model.estimator_)
    if found is None:
        raise ConfigError(
            f"The trees of a {type(model.estimator_).__name__} cannot be read. Set explain.trees=path_dependent, and "
            "leave the model out of explain.interactions.models."
        )
    if found.scale != model.spec.output_scale:
        raise ConfigError(
            f"SHAP values of a {type(model.estimator_).__name__} are on {found.scale}: set output_scale to it."
        )
    return found


def _misfit(model: Learner, why: str) -> ConfigError:
    kind, name = model.spec.explainer, type(model.estimator_).__name__
    return ConfigError(f"explainer {kind!r} does not fit a {name}: {why}. Set another explainer, or none.")


EXPLAINERS: dict[str, Callable[[Any, pd.DataFrame], tuple[np.ndarray, float]]] = {
    "linear": _linear,
    "xgboost": _xgboost,
    "tree": _tree,
}
