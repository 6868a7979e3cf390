"""Ensembles read from libraries: their output walked node by node is the library's own."""

import numpy as np
import pytest
import xgboost as xgb
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from immunocast.errors import ConfigError
from immunocast.explain.trees.ensemble import ensemble_of


def goes_left(ensemble, tree, k, x):
    if np.isnan(x):
        return tree.missing_left[k]
    x = np.float64(np.float32(x)) if ensemble.single else x
    return x <= tree.threshold[k] if ensemble.closed else x < tree.threshold[k]


def walked(ensemble, X):
    total = np.full(len(X), ensemble.offset)
    for tree in ensemble.trees:
        for i, row in enumerate(X):
            k = 0
            while tree.left[k] >= 0:
                k = (tree.left if goes_left(ensemble, tree, k, row[tree.feature[k]]) else tree.right)[k]
            total[i] += tree.value[k]
    return total


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    X = np.round(rng.normal(size=(240, 5)), 1)
    X[rng.random(X.shape) < 0.15] = np.nan
    y = (np.nan_to_num(X[:, 0] - X[:, 1]) + rng.normal(size=240) > 0.8).astype(int)
    return X, y


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"base_score": 0.3},
        {"objective": "binary:logitraw"},
        {"objective": "binary:logitraw", "base_score": 0.3},
        {"objective": "reg:logistic"},
        {"num_parallel_tree": 3, "subsample": 0.5, "colsample_bynode": 0.5},
        {"rate_drop": 0.5},
        {"booster": "dart", "rate_drop": 0.5, "verbosity": 0},
        {"scale_pos_weight": 4.0, "max_depth": 1},
    ],
    ids=str,
)
def test_xgboost_is_walked_to_its_margin(parameters, data):
    X, y = data
    model = XGBClassifier(**({"n_estimators": 12, "max_depth": 3, "n_jobs": 1} | parameters)).fit(X, y)
    ensemble = ensemble_of(model)
    margin = model.predict(X, output_margin=True)
    assert np.allclose(walked(ensemble, X), margin, atol=1e-5)
    assert (ensemble.scale, ensemble.n_features, ensemble.closed) == ("log-odds", 5, False)
    booster = model.get_booster()
    assert np.allclose(walked(ensemble_of(booster), X), booster.predict(xgb.DMatrix(X), output_margin=True), atol=1e-5)


def test_xgboost_that_stopped_early_is_read_up_to_its_best_iteration(data):
    X, y = data
    model = XGBClassifier(n_estimators=80, max_depth=4, early_stopping_rounds=5, num_parallel_tree=2, n_jobs=1)
    model.fit(X[:120], y[:120], eval_set=[(X[120:], y[120:])], verbose=False)
    ensemble = ensemble_of(model)
    assert len(ensemble.trees) == 2 * (model.best_iteration + 1) < len(model.get_booster().get_dump())
    assert np.allclose(walked(ensemble, X), model.predict(X, output_margin=True), atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(8, random_state=0),
        RandomForestClassifier(8, min_samples_leaf=10, class_weight="balanced_subsample", random_state=0),
        ExtraTreesClassifier(8, random_state=0),
        DecisionTreeClassifier(max_depth=4, random_state=0),
    ],
    ids=lambda m: type(m).__name__,
)
def test_forests_are_walked_to_their_probability(model, data):
    X, y = data
    ensemble = ensemble_of(model.fit(X, y))
    assert ensemble.scale == "probability"
    assert np.allclose(walked(ensemble, X), model.predict_proba(X)[:, 1], atol=1e-12)


@pytest.mark.parametrize("weights", [None, "heavy"])
@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(max_iter=9, max_leaf_nodes=7, random_state=0),
        GradientBoostingClassifier(n_estimators=9, random_state=0),
        GradientBoostingClassifier(n_estimators=9, init="zero", subsample=0.5, random_state=0),
    ],
    ids=lambda m: type(m).__name__,
)
def test_boosters_are_walked_to_their_log_odds(model, weights, data):
    X, y = data
    if isinstance(model, GradientBoostingClassifier):
        X = np.nan_to_num(X)
    model.fit(X, y, sample_weight=None if weights is None else 1.0 + 3.0 * y)
    ensemble = ensemble_of(model)
    assert ensemble.scale == "log-odds"
    assert np.allclose(walked(ensemble, X), model.decision_function(X), atol=1e-10)


def test_other_estimators_are_none(data):
    X, y = data
    assert ensemble_of(LogisticRegression().fit(np.nan_to_num(X), y)) is None
    assert ensemble_of(xgb.DMatrix(X)) is None
    assert ensemble_of(object()) is None


@pytest.mark.filterwarnings("ignore:.*gblinear:UserWarning")
def test_what_cannot_be_read_says_so(data):
    X, y = data
    codes = np.column_stack([np.arange(240) % 4, np.nan_to_num(X[:, 0])])
    noisy = np.where(codes[:, 0] == 1, 1, y)
    cases = [
        (XGBClassifier(n_estimators=2, objective="binary:hinge"), X, y, "binary:hinge"),
        (XGBClassifier(n_estimators=2), X, np.arange(240) % 3, "multi:softprob"),
        (XGBClassifier(n_estimators=2, booster="gblinear", verbosity=0), np.nan_to_num(X), y, "gblinear"),
        (
            XGBClassifier(n_estimators=4, feature_types=["c", "q"], enable_categorical=True, max_cat_to_onehot=1),
            codes,
            noisy,
            "one-hot encode",
        ),
        (
            HistGradientBoostingClassifier(max_iter=4, categorical_features=[0]),
            codes,
            noisy,
            "categorical_features=None",
        ),
        (RandomForestClassifier(2), X, np.arange(240) % 3, "3 classes"),
        (GradientBoostingClassifier(n_estimators=2, loss="exponential"), np.nan_to_num(X), y, "loss exponential"),
        (
            GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()),
            np.nan_to_num(X),
            y,
            "init to None or zero",
        ),
    ]
    for model, matrix, outcome, words in cases:
        with pytest.raises(ConfigError, match=words):
            ensemble_of(model.fit(matrix, outcome))
