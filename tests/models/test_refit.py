"""Many fits at once: each is the fit that its rows alone would give."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle, save_bundle
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.learner import Learner
from immunocast.models.refit import fit_many, is_ridge, predict_many

FEATURES = {
    "nlr": {"transform": "log2", "clip": [0.5, 25]},
    "tmb_mut_mb": {"transform": "log2p1", "clip": [0, 50]},
    "albumin_g_dl": {"standardise": "cohort"},
    "pdl1_tps": {},
    "tumor_type": {},
    "sex": None,
}


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=260, seed=5).load().cohort
    y = make_labels(cohort).y
    known = y.notna().to_numpy()
    cohort = cohort[known].reset_index(drop=True)
    return model_frame(cohort, list(FEATURES), by_cohort=True), y[known].to_numpy(dtype=int)


def ridge(**settings_):
    return Learner(
        LogisticRegression(C=0.3, solver="newton-cholesky", tol=1e-12), FEATURES, explainer="linear", **settings_
    )


def same(one, other, X, tolerance=1e-10):
    assert one.preprocessor_.state() == other.preprocessor_.state()
    np.testing.assert_allclose(one.estimator_.coef_, other.estimator_.coef_, rtol=0, atol=tolerance)
    assert list(one.background_) == list(other.background_)
    np.testing.assert_allclose(list(one.background_.values()), list(other.background_.values()), atol=1e-12)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=0, atol=tolerance)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), folds=st.booleans(), scale=st.booleans(), weight=st.sampled_from([None, "balanced"]))
def test_weights_are_copies_of_rows_for_medians_scales_and_coefficients(data, seed, folds, scale, weight):
    X, y = data
    rng = np.random.default_rng(seed)
    W = rng.integers(0, 2, (len(y), 3)) if folds else rng.poisson(1.0, (len(y), 3))
    Y = np.column_stack([rng.permutation(y) for _ in range(3)])
    model = ridge(scale=scale)
    model.estimator.set_params(class_weight=weight)
    assert is_ridge(model)
    for b, fitted in enumerate(model.fit_many(X, Y, W)):
        rows = np.repeat(np.arange(len(y)), W[:, b])
        same(fitted, clone(model).fit(X.iloc[rows], Y[rows, b]), X)


def test_rows_of_weight_0_are_seen_by_nothing(data):
    X, y = data
    W = np.random.default_rng(1).integers(0, 2, (len(y), 2))
    out = W[:, 0] == 0
    wild, labels = X.copy(), y.copy()
    wild.loc[out, "nlr"], wild.loc[out, "tumor_type"], labels[out] = 20.0, "Ovarian", 1
    before, after = ridge().fit_many(X, y, W)[0], ridge().fit_many(wild, labels, W)[0]
    assert before.preprocessor_.state() == after.preprocessor_.state()
    assert before.estimator_.coef_.tobytes() == after.estimator_.coef_.tobytes()


def test_other_columns_of_weights_change_no_bit(data):
    X, y = data
    W = np.random.default_rng(2).poisson(1.0, (len(y), 5))
    together, alone = ridge().fit_many(X, y, W)[3], ridge().fit_many(X, y, W[:, [3]])[0]
    assert together.estimator_.coef_.tobytes() == alone.estimator_.coef_.tobytes()
    rows = [np.flatnonzero(W[:, 3] == 0)]
    assert predict_many([together], X, rows)[0].tobytes() == predict_many([alone], X, rows)[0].tobytes()


def test_a_fit_of_many_is_a_learner_with_a_bundle(data, tmp_path):
    X, y = data
    model = ridge()
    fitted = model.fit_many(X, y, np.ones((len(y), 1), dtype=int))[0]
    assert not hasattr(model, "estimator_"), "the model itself stays unfitted"
    back = load_bundle(save_bundle(fitted, tmp_path / "b"))
    assert back.predict_proba(X).tobytes() == fitted.predict_proba(X).tobytes()
    assert back.spec == fitted.spec
    assert fitted.background_ == back.background_


def test_predictions_of_many_are_those_of_each(data):
    X, y = data
    X = X.copy()
    X.loc[::7, "tumor_type"] = None  # required: the model abstains
    W = np.random.default_rng(3).integers(0, 2, (len(y), 3))
    rows = [np.flatnonzero(W[:, b] == 0) for b in range(2)] + [np.array([], dtype=int)]
    for model in (ridge(), Learner(RandomForestClassifier(5, random_state=0), FEATURES), MarkerCutoff("pdl1_tps", 50)):
        fitted = fit_many(model, X, y, W)
        for one, r, p in zip(fitted, rows, predict_many(fitted, X, rows), strict=True):
            assert len(p) == len(r)
            if len(r):
                expected = one.predict_proba(X.iloc[r])[:, 1]
                assert p.tobytes() == expected.tobytes()


def test_other_estimators_get_a_row_as_often_as_it_counts(data):
    X, y = data
    W = np.random.default_rng(4).poisson(1.0, (len(y), 2))
    for model in (
        Learner(RandomForestClassifier(10, random_state=0), FEATURES, impute="median"),
        Learner(LogisticRegression(C=0.3, solver="liblinear"), FEATURES),
        MarkerCutoff("pdl1_tps", 50),
    ):
        rows = np.repeat(np.arange(len(y)), W[:, 1])
        expected = clone(model).fit(X.iloc[rows], y[rows])
        assert fit_many(model, X, y, W)[1].predict_proba(X).tobytes() == expected.predict_proba(X).tobytes()


@pytest.mark.parametrize(
    "settings_",
    [
        {"solver": "liblinear"},
        {"fit_intercept": False},
        {"l1_ratio": 0.5, "solver": "saga"},
        {"C": np.inf},
        {"class_weight": {0: 1, 1: 2}},
    ],
)
def test_another_objective_is_not_taken_for_ridge(settings_):
    assert not is_ridge(Learner(LogisticRegression(**settings_), FEATURES))


def test_a_subclass_with_ways_of_its_own_is_fitted_by_them(data):
    class Own(Learner):
        def fit(self, X, y):
            super().fit(X, y)
            self.seen_ = len(y)
            return self

    X, y = data
    W = np.random.default_rng(6).poisson(1.0, (len(y), 2))
    assert [m.seen_ for m in fit_many(Own(LogisticRegression(), FEATURES), X, y, W)] == W.sum(axis=0).tolist()


def test_what_cannot_be_fitted_is_told(data):
    X, y = data
    n = len(y)
    ones = np.ones((n, 1), dtype=int)
    for weights, words in (
        (ones * 0.5, "counts"),
        (-ones, "negative"),
        (ones * 0, "all 0"),
        (ones[:-1], "do not fit"),
        (ones * np.nan, "counts"),
    ):
        with pytest.raises(ConfigError, match=words):
            ridge().fit_many(X, y, weights)
    with pytest.raises(ConfigError, match="LogisticRegression cannot be fitted: the rows hold one class only"):
        ridge().fit_many(X, np.zeros(n, dtype=int), ones)
    with pytest.raises(ConfigError, match="takes no missing values"):
        ridge(impute="none").fit_many(X, y, ones)
    empty = model_frame(pd.DataFrame({"cohort_id": X["cohort_id"]}), list(FEATURES), by_cohort=True)
    with pytest.raises(ConfigError, match="no feature has a value"):
        ridge().fit_many(empty, y, ones)
    assert ridge().fit_many(X, y, np.ones((n, 1)))[0].estimator_.coef_.shape[0] == 1, "whole floats are counts"
