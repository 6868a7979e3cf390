"""Learners: fitted on the training fold only, monotone where they say so, clear about what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from xgboost import XGBClassifier

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.models.learner import Learner

FEATURES = {"tmb_mut_mb": {"transform": "log2p1", "clip": [0, 50]}, "nlr": {}, "tumor_type": {}, "sex": {}}


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=500, seed=3).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


@pytest.fixture(scope="module")
def shipped():
    return build_models(load_config())


def test_test_rows_change_nothing(data, shipped):
    cohort, y = data
    train, test = np.arange(300), np.arange(300, len(y))
    for name in ("ridge", "forest", "xgboost"):
        model = shipped[name]
        X = model_frame(cohort, model.spec.inputs)
        fitted = clone(model).fit(X.iloc[train], y[train])
        alone = fitted.predict_proba(X.iloc[test[:1]])
        among = fitted.predict_proba(X.iloc[test])
        assert np.allclose(alone[0], among[0], rtol=0, atol=1e-12), (
            f"{name}: a prediction depends on who else is predicted"
        )
        state = fitted.preprocessor_.state()
        wild = X.copy()
        wild.loc[test, "nlr"] = 250.0
        wild.loc[test, "tumor_type"] = "Ovarian"
        again = clone(model).fit(wild.iloc[train], y[train])
        assert again.preprocessor_.state() == state
        assert np.array_equal(again.predict_proba(X.iloc[test]), among)


def test_abstains_exactly_without_required(data):
    cohort, y = data
    model = Learner(LogisticRegression(), FEATURES, required=("tumor_type", "tmb_mut_mb"))
    X = model_frame(cohort, model.spec.inputs)
    model.fit(X, y)
    gone = X.copy()
    gone.loc[0, "tumor_type"] = None
    gone.loc[1, "tmb_mut_mb"] = np.nan
    gone.loc[2:9, "nlr"] = np.nan
    p = model.predict_proba(gone)[:, 1]
    lacking = (X["tmb_mut_mb"].isna() | (X.index < 2)).to_numpy()
    assert np.array_equal(np.isnan(p), lacking)
    assert model.predict_proba(gone.iloc[:0]).shape == (0, 2)


def test_monotone_constraints_name_features_that_a_fold_lacks(data, shipped):
    cohort, y = data
    model = clone(shipped["xgboost"])
    X = model_frame(cohort, model.spec.inputs)
    X["gep_score"] = np.nan
    model.fit(X, y)
    assert "gep_score" not in model.estimator_.monotone_constraints
    assert model.estimator_.monotone_constraints["nlr"] == -1


@pytest.fixture(scope="module")
def xgboost(data, shipped):
    cohort, y = data
    model = clone(shipped["xgboost"])
    X = model_frame(cohort, model.spec.inputs)
    return model.fit(X, y), X


@settings(max_examples=25, deadline=None)
@given(
    row=st.integers(0, 399),
    name=st.sampled_from(["tmb_mut_mb", "pdl1_tps", "gep_score", "albumin_g_dl", "nlr", "prior_systemic_therapy"]),
    seed=st.integers(0, 10**6),
)
def test_xgboost_is_monotone_in_its_constrained_features(xgboost, row, name, seed):
    model, X = xgboost
    sign = {"nlr": -1, "prior_systemic_therapy": -1}.get(name, 1)
    low, high = X[name].min(), X[name].max()
    rng = np.random.default_rng(seed)
    grid = np.array([0.0, 1.0]) if name == "prior_systemic_therapy" else np.sort(rng.uniform(low, high, 60))
    rows = X.iloc[[row] * len(grid)].reset_index(drop=True).assign(**{name: grid})
    steps = np.diff(model.predict_proba(rows)[:, 1])
    assert (sign * steps >= -1e-7).all()


def test_the_constraints_do_something(data, shipped):
    """Without them the same data give a model that is not monotone: the property above can fail."""
    cohort, y = data
    free = clone(shipped["xgboost"]).set_params(estimator__monotone_constraints=None)
    X = model_frame(cohort, free.spec.inputs)
    free.fit(X, y)
    grid = np.linspace(0.5, 25, 80)
    wrong = 0
    for row in range(20):
        rows = X.iloc[[row] * len(grid)].reset_index(drop=True).assign(nlr=grid)
        wrong += (np.diff(free.predict_proba(rows)[:, 1]) > 1e-4).any()
    assert wrong > 0


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Learner(RidgeClassifier(), FEATURES), "RidgeClassifier gives no probabilities"),
        (Learner(LinearRegression(), FEATURES), "LinearRegression gives no probabilities"),
        (Learner(LogisticRegression, FEATURES), "LogisticRegression gives no probabilities"),
        (Learner("ridge", FEATURES), "str gives no probabilities"),
        (Learner(LogisticRegression(), FEATURES, required=("albumin_g_dl",)), "albumin_g_dl is not among"),
        (Learner(LogisticRegression(), {}), "feature table is empty"),
        (Learner(LogisticRegression(), {"tmb": {}}), "features.tmb: not a feature"),
        (Learner(LogisticRegression(), {"bor": {}}), "features.bor: not a feature"),
        (Learner(XGBClassifier(monotone_constraints={"tmb": 1}), FEATURES), "monotone_constraints: tmb is no feature"),
    ],
)
def test_refused_before_anything_is_fitted(model, words):
    with pytest.raises(ConfigError, match=words):
        _ = model.spec


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Learner(LogisticRegression(), FEATURES, impute="none", min_category_count=1), "set impute to mean"),
        (Learner(LogisticRegression(C=-1), FEATURES), "LogisticRegression cannot be fitted"),
        (Learner(XGBClassifier(max_depth=-3), FEATURES), "XGBClassifier cannot be fitted"),
        (Learner(LogisticRegression(), FEATURES, impute="mode"), "impute is 'mode'"),
        (Learner(LogisticRegression(), {"crp_mg_l": {}}, required=()), "no feature has a value"),
        (Learner(LogisticRegression(), {"sex": {}}, required=(), min_category_count=10_000), "min_category_count"),
    ],
)
def test_refused_when_fitted(data, model, words):
    cohort, y = data
    with pytest.raises(ConfigError, match=words):
        model.fit(model_frame(cohort, model.spec.inputs), y)


def test_missing_values_reach_estimators_that_take_them(data):
    cohort, y = data
    model = Learner(RandomForestClassifier(5, random_state=0), FEATURES, impute="none", scale=False)
    X = model_frame(cohort, model.spec.inputs)
    model.fit(X, y)
    assert model.design_matrix(X)["nlr"].isna().sum() == X["nlr"].isna().sum() > 0


def test_clone_and_params_follow_scikit_learn(shipped):
    for model in shipped.values():
        twin = clone(model)
        assert twin.get_params().keys() == model.get_params().keys()
        assert twin.spec == model.spec


def test_row_order_of_training_is_all_that_ridge_forgets(data, shipped):
    """A ridge regression has one optimum: shuffling the training rows moves predictions by rounding only."""
    cohort, y = data
    order = np.random.default_rng(0).permutation(len(y))
    model = shipped["ridge"]
    X = model_frame(cohort, model.spec.inputs)
    a = clone(model).fit(X, y).predict_proba(X)
    b = clone(model).fit(X.iloc[order], y[order]).predict_proba(X)
    assert np.allclose(a, b, atol=1e-3)
