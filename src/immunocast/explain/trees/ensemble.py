"""A tree ensemble as plain arrays, whichever library fitted it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tree:
    """One tree; nodes are numbered from 0, the root.

    Attributes
    ----------
    left, right : (nodes,) int32, children; -1 at leaves. A row goes left where its value is below the threshold.
    feature : (nodes,) int32, column of the split; at leaves meaningless.
    threshold : (nodes,) float64; left means x < threshold, or x <= threshold where `Ensemble.closed`.
    missing_left : (nodes,) bool, where NaN goes.
    cover : (nodes,) float64, weight of the training rows that reach the node: what path-dependent SHAP conditions by.
    value : (nodes,) float64, output of a leaf on the ensemble's scale, learning rate and averaging included.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    cover: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Ensemble:
    """A sum of trees: output = offset + sum of leaf values.

    Attributes
    ----------
    trees : the trees.
    n_features : columns of the matrix that it takes.
    offset : constant (log-odds of XGBoost's base score; 0 for forests).
    closed : True where the left side includes the threshold (scikit-learn), False where not (XGBoost).
    single : True where values are compared as float32 (XGBoost, scikit-learn's trees); a matrix is rounded first.
    scale : "log-odds" or "probability".
    """

    trees: tuple[Tree, ...]
    n_features: int
    offset: float
    closed: bool
    single: bool
    scale: str


def ensemble_of(estimator: Any) -> Ensemble | None:
    """Read a fitted classifier of two classes.

    Parameters
    ----------
    estimator : XGBClassifier or Booster; RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier,
        GradientBoostingClassifier or HistGradientBoostingClassifier of scikit-learn.

    Returns
    -------
    The ensemble; None for another kind of estimator.

    Raises
    ------
    ConfigError
        Where the estimator has categorical splits, several outputs, or an output that is neither log-odds nor
        probability.
    """
    library = type(estimator).__module__.split(".")[0]
    if any(one.__module__.split(".")[0] == "xgboost" for one in type(estimator).__mro__):
        from immunocast.explain.trees.read_xgboost import read_xgboost

        return read_xgboost(estimator)
    if library == "sklearn" or any(one.__module__.startswith("sklearn.") for one in type(estimator).__mro__):
        from immunocast.explain.trees.read_sklearn import read_sklearn

        return read_sklearn(estimator)
    return None
