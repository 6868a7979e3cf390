"""XGBoost's trees as plain arrays, from the JSON that the library writes of its model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from scipy.special import logit

from immunocast.errors import ConfigError
from immunocast.explain.trees.ensemble import Ensemble, Tree

#: Objectives whose margin is the log-odds, and whether the base score is kept as a probability.
_OBJECTIVES = {"binary:logistic": True, "reg:logistic": True, "binary:logitraw": False}


def read_xgboost(estimator: Any) -> Ensemble | None:
    """Read a fitted XGBClassifier or Booster of two classes; None for another object of the library.

    Trees are those that `predict` of the object uses: of a classifier that stopped early up to its best iteration, of
    a Booster all. Weights of dropped trees (DART) are multiplied into the leaves.

    Raises
    ------
    ConfigError
        For linear boosters, other objectives than those of log-odds, several classes or outputs, categorical splits.
    """
    if hasattr(estimator, "get_booster"):
        booster, best = estimator.get_booster(), getattr(estimator, "best_iteration", None)
    elif hasattr(estimator, "save_raw"):
        booster, best = estimator, None
    else:
        return None
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective, parameters = learner["objective"]["name"], learner["learner_model_param"]
    if objective not in _OBJECTIVES:
        raise ConfigError(f"An XGBoost model of {objective} has no log-odds; known: {', '.join(_OBJECTIVES)}.")
    if int(parameters["num_class"]) > 1 or int(parameters.get("num_target", 1)) > 1:
        raise ConfigError("An XGBoost model of several classes or targets is not explained: fit one of two classes.")
    booster_json = learner["gradient_booster"]
    model = booster_json.get("gbtree", booster_json).get("model", {})  # booster=dart wraps a gbtree
    weights = model.get("weight_drop") or booster_json.get("weight_drop")
    if "trees" not in model:
        raise ConfigError(f"An XGBoost model of booster {booster_json.get('name')} has no trees: set booster=gbtree.")
    trees, parallel = model["trees"], int(model["gbtree_model_param"]["num_parallel_tree"])
    n_trees = len(trees) if best is None else (best + 1) * parallel
    base = float(parameters["base_score"].strip("[]"))
    return Ensemble(
        trees=tuple(_tree(t, 1.0 if not weights else float(weights[i])) for i, t in enumerate(trees[:n_trees])),
        n_features=int(parameters["num_feature"]),
        offset=float(logit(base)) if _OBJECTIVES[objective] else base,
        closed=False,
        single=True,
        scale="log-odds",
    )


def _tree(tree: dict[str, Any], weight: float) -> Tree:
    if any(tree["split_type"]):
        raise ConfigError(
            "An XGBoost model with categorical splits is not explained from its trees: one-hot encode the categories."
        )
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise ConfigError(
            "An XGBoost model with vector leaves is not explained: set multi_strategy=one_output_per_tree."
        )
    # at leaves the library keeps the value where nodes have their threshold
    conditions = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    left = np.array(tree["left_children"], dtype=np.int32)
    return Tree(
        left=left,
        right=np.array(tree["right_children"], dtype=np.int32),
        feature=np.array(tree["split_indices"], dtype=np.int32),
        threshold=conditions,
        missing_left=np.array(tree["default_left"], dtype=bool),
        cover=np.array(tree["sum_hessian"], dtype=np.float64),
        value=np.where(left < 0, conditions * weight, 0.0),
    )
