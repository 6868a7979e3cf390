"""Which way a fitted tree ensemble is explained; light to import, since small data need nothing compiled."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from immunocast.errors import ConfigError
from immunocast.explain.trees.ensemble import ensemble_of

#: Rows times boosting rounds below which XGBoost's own contributions are taken: numba takes 0.5 s to load.
NATIVE_BELOW = 1_000_000

Method = Literal["auto", "tables", "paths", "native"]


def tree_shap(estimator: Any, X: Any, *, method: Method = "auto", threads: int = 1) -> tuple[np.ndarray, float, str]:
    """Exact path-dependent SHAP values of a fitted classifier of two classes.

    Parameters
    ----------
    estimator : as `ensemble_of` reads them, XGBoost with categorical splits too; with method "auto" also what
        shap.TreeExplainer takes.
    X : (n, features) numbers, missing as NaN.
    method : "tables" or "paths": as for `TreeShap`; "native": XGBoost's own. "auto": for XGBoost its own where rows
        times boosting rounds are below NATIVE_BELOW or splits are categorical, else as `TreeShap` chooses. The choice
        depends on nothing but model and number of rows.
    threads : to spread rows over, of "tables" and "paths"; the values do not depend on it.

    Returns
    -------
    values : (n, features) float64, or float32 for XGBoost.
    base_value : with the values of a row adds up to its output.
    scale : "log-odds" or "probability".

    Raises
    ------
    ConfigError
        Where the estimator can't be read, or not be explained by the method.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and hasattr(X, "columns") and list(X.columns) != list(names):
        raise ConfigError(f"X has the columns {', '.join(map(str, X.columns))}; fitted were {', '.join(names)}.")
    booster = hasattr(estimator, "get_booster")
    if method == "native" and not booster:
        raise ConfigError(f"method native is XGBoost's own; a {type(estimator).__name__} has none. Set method=auto.")
    if booster and (method == "native" or (method == "auto" and _is_native(estimator, len(X)))):
        values, base = native_contributions(estimator, X)
        return values, base, "log-odds"
    ensemble = ensemble_of(estimator)
    if ensemble is None and method == "auto":
        return _by_shap_package(estimator, X)
    from immunocast.explain.trees.shap import TreeShap

    explainer = TreeShap(
        estimator if ensemble is None else ensemble, method="auto" if method == "native" else method, n_rows=len(X)
    )
    return explainer.values(X, threads=threads), explainer.base_value, explainer.scale


def _is_native(estimator: Any, n_rows: int) -> bool:
    booster = estimator.get_booster()
    return n_rows * booster.num_boosted_rounds() < NATIVE_BELOW or "c" in (booster.feature_types or [])


def native_contributions(estimator: Any, X: Any) -> tuple[np.ndarray, float]:
    """XGBoost's own values (n, features) and base value, of one thread."""
    import xgboost as xgb

    # XGBoost predicts up to the best iteration where it stopped early: later trees are no part of the prediction
    best = getattr(estimator, "best_iteration", None)
    rounds = (0, best + 1) if best is not None else (0, 0)
    matrix = xgb.DMatrix(X, nthread=1, enable_categorical=True)
    out = estimator.get_booster().predict(matrix, pred_contribs=True, iteration_range=rounds)
    return out[:, :-1], float(out[0, -1]) if len(out) else 0.0


def _by_shap_package(estimator: Any, X: Any) -> tuple[np.ndarray, float, str]:
    """Values by shap.TreeExplainer, for ensembles of other libraries; it takes 4 s to import."""
    import shap

    try:
        explainer = shap.TreeExplainer(estimator, feature_perturbation="tree_path_dependent")
    except Exception as error:  # shap has an exception of its own for each reason
        raise ConfigError(str(error)) from error
    values = np.asarray(explainer.shap_values(np.asarray(X), check_additivity=False))
    # one slice a class, in probability; or one number, the margin
    scale = "probability" if values.ndim == 3 else "log-odds"
    values = values[..., 1] if values.ndim == 3 else values
    return values.astype(float), float(np.ravel(explainer.expected_value)[-1]), scale
