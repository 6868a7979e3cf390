"""scikit-learn's trees as plain arrays: forests in probability, boosters in log-odds."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logit

from immunocast.errors import ConfigError
from immunocast.explain.trees.ensemble import Ensemble, Tree


def read_sklearn(estimator: Any) -> Ensemble | None:
    """Read a fitted classifier of two classes; None for an estimator without trees.

    Forests and single trees: probability of the second class, averaged over the trees. GradientBoostingClassifier and
    HistGradientBoostingClassifier: log-odds.

    Raises
    ------
    ConfigError
        For another number of classes, categorical splits, or a loss whose output is not the log-odds.
    """
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.tree import DecisionTreeClassifier

    kinds = (
        (HistGradientBoostingClassifier, _hist_boosting),
        (GradientBoostingClassifier, _boosting),
        ((RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier), _forest),
    )
    for kind, read in kinds:
        if isinstance(estimator, kind):
            n_classes = np.size(estimator.classes_)
            if n_classes != 2:
                raise ConfigError(
                    f"A {type(estimator).__name__} of {n_classes} classes is not explained: 2 are needed."
                )
            return read(estimator)
    return None


def _forest(forest: Any) -> Ensemble:
    if forest.n_outputs_ != 1:
        raise ConfigError(f"A {type(forest).__name__} of {forest.n_outputs_} outputs is not explained: 1 is needed.")
    members = [one.tree_ for one in getattr(forest, "estimators_", [forest])]
    trees = tuple(_tree(t, t.value[:, 0, 1] / t.value[:, 0].sum(axis=1) / len(members)) for t in members)
    return Ensemble(trees, forest.n_features_in_, offset=0.0, closed=True, single=True, scale="probability")


def _boosting(booster: Any) -> Ensemble:
    if booster.loss != "log_loss":
        raise ConfigError(f"A GradientBoostingClassifier of loss {booster.loss} has no log-odds: set loss=log_loss.")
    start = booster.init_
    if isinstance(start, str) and start == "zero":
        offset = 0.0
    elif hasattr(start, "class_prior_") and getattr(start, "strategy", "") == "prior":
        offset = float(logit(start.class_prior_[1]))
    else:
        raise ConfigError(
            "A GradientBoostingClassifier that starts from another model is not explained: set init to None or zero."
        )
    members = [one.tree_ for one in booster.estimators_[:, 0]]
    trees = tuple(_tree(t, booster.learning_rate * t.value[:, 0, 0]) for t in members)
    return Ensemble(trees, booster.n_features_in_, offset, closed=True, single=True, scale="log-odds")


def _tree(tree: Any, value: np.ndarray) -> Tree:
    left = tree.children_left.astype(np.int32)
    return Tree(
        left=left,
        right=tree.children_right.astype(np.int32),
        feature=tree.feature.astype(np.int32),
        threshold=tree.threshold.astype(np.float64),
        missing_left=tree.missing_go_to_left.astype(bool),
        cover=tree.weighted_n_node_samples.astype(np.float64),
        value=np.where(left < 0, value, 0.0),
    )


def _hist_boosting(booster: Any) -> Ensemble:
    # scikit-learn keeps these in private attributes only; its version is pinned to a minor release
    trees = tuple(_hist_tree(stage[0].nodes) for stage in booster._predictors)
    offset = float(np.ravel(booster._baseline_prediction)[0])
    return Ensemble(trees, booster.n_features_in_, offset, closed=True, single=False, scale="log-odds")


def _hist_tree(nodes: np.ndarray) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    if (nodes["is_categorical"].astype(bool) & ~leaf).any():
        raise ConfigError(
            "A HistGradientBoostingClassifier with categorical splits is not explained from its trees: set "
            "categorical_features=None, or one-hot encode the categories."
        )
    return Tree(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)).astype(np.int32),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)).astype(np.int32),
        feature=nodes["feature_idx"].astype(np.int32),
        threshold=nodes["num_threshold"].astype(np.float64),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        cover=nodes["count"].astype(np.float64),
        value=np.where(leaf, nodes["value"], 0.0),
    )
