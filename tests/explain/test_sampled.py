"""Estimated SHAP values against closed form and brute force."""

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError
from immunocast.explain.sampled import explain_sampled, sampled_values
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame
from immunocast.models.blend import Blend
from immunocast.models.learner import Learner

FEATURES = {"tmb_mut_mb": {"transform": "log2p1"}, "nlr": {}, "tumor_type": {}, "albumin_g_dl": {}}


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=300, seed=6).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


def fit(estimator, data, **more):
    cohort, y = data
    model = Learner(estimator, FEATURES, impute="mean", **more)
    X = model_frame(cohort, model.spec.inputs)
    return model.fit(X, y), X


def nonlinear(frame):
    a, b, c = (frame[name].to_numpy() for name in "abc")
    return a * b + np.maximum(c, 0) * a + b


def test_estimates_meet_brute_force_within_their_standard_errors():
    rng = np.random.default_rng(0)
    X, background = (pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc")) for n in (40, 300))
    values, errors, base = sampled_values(nonlinear, X, background, list("abc"), rng)

    def expected(row, there):
        mixed = background.copy()
        for name in there:
            mixed[name] = row[name]
        return nonlinear(mixed).mean()

    exact = np.zeros((40, 3))
    for i, row in X.iterrows():
        for j, name in enumerate("abc"):
            others = [n for n in "abc" if n != name]
            exact[i, j] = sum(
                factorial(len(s)) * factorial(2 - len(s)) / 6 * (expected(row, (*s, name)) - expected(row, s))
                for size in range(3)
                for s in combinations(others, size)
            )
    z = (values.to_numpy() - exact) / errors.to_numpy()
    # the background is that of the truth, so that only the orders differ
    assert np.abs(z).max() < 4
    assert np.abs(values.to_numpy() - exact).mean() < 0.1
    assert np.allclose(base + values.sum(axis=1), nonlinear(X)), "they add up by construction"


def test_standard_errors_say_how_far_estimates_stray():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(5, 3)), columns=list("abc"))
    draws, errors = [], []
    for _ in range(200):
        background = pd.DataFrame(rng.normal(size=(30, 3)), columns=list("abc"))
        values, error, _ = sampled_values(nonlinear, X, background, list("abc"), rng)
        draws.append(values.to_numpy())
        errors.append(error.to_numpy())
    ratio = np.sqrt(np.mean(np.square(errors), axis=0)) / np.std(draws, axis=0)
    assert np.all((ratio > 0.8) & (ratio < 1.25))


def test_an_order_and_its_reverse_divide_a_product_exactly():
    """Of two features a pair of orders is all orders there are."""
    X, background = pd.DataFrame({"a": [2.0], "b": [3.0]}), pd.DataFrame({"a": [1.0] * 4, "b": [-1.0] * 4})
    values, errors, base = sampled_values(
        lambda f: (f["a"] * f["b"]).to_numpy(), X, background, ["a", "b"], np.random.default_rng(0)
    )
    assert values.to_numpy() == pytest.approx(np.array([[(2 - 1) * (3 - 1) / 2, (3 + 1) * (2 + 1) / 2]]))
    assert errors.to_numpy() == pytest.approx(np.zeros((1, 2)))
    assert base == pytest.approx([-1.0])


def test_of_a_linear_model_they_are_exact_but_for_the_background(data):
    model, X = fit(LogisticRegression(), data, explainer="linear")
    everybody = explain_sampled(model, X, X, seed=3, n_pairs=len(X))  # each training patient once
    exact = explain_learner(model, X)
    pd.testing.assert_frame_equal(everybody.values, exact.values[everybody.values.columns], atol=1e-8)
    assert everybody.base_value == pytest.approx(exact.base_value)
    assert everybody.method == "sampled"


def test_a_network_adds_up_is_reproducible_and_nobody_depends_on_the_others(data):
    model, X = fit(MLPClassifier((5,), max_iter=30, tol=1, random_state=0), data)
    found = explain_sampled(model, X, X, seed=3, n_pairs=8)
    assert np.allclose(found.base_value + found.values.sum(axis=1), found.output)
    assert (found.errors > 0).any(axis=None)
    pd.testing.assert_frame_equal(found.values, explain_sampled(model, X, X, seed=3, n_pairs=8).values)
    one = explain_sampled(model, X.iloc[[7]], X, seed=3, n_pairs=8)
    pd.testing.assert_frame_equal(one.values, found.values.iloc[[7]])
    assert not found.values.equals(explain_sampled(model, X, X, seed=4, n_pairs=8).values)


def test_of_a_blend_only_what_is_not_exact_is_estimated(data):
    ridge, X = fit(LogisticRegression(), data, explainer="linear")
    network, _ = fit(MLPClassifier((5,), max_iter=30, tol=1, random_state=0), data)
    blend = Blend({"ridge": ridge, "network": network})
    blend.parts_, blend.weights_ = {"ridge": ridge, "network": network}, {"ridge": 0.75, "network": 0.25}
    found = explain_sampled(blend, X, X, seed=3, n_pairs=8)
    part = explain_sampled(network, X, X, seed=3, n_pairs=8)
    assert found.method == "linear+sampled"
    pd.testing.assert_frame_equal(found.errors, 0.25 * part.errors[found.errors.columns])
    pd.testing.assert_frame_equal(
        found.values, (0.75 * explain_learner(ridge, X).values + 0.25 * part.values)[found.values.columns]
    )
    assert np.allclose(found.base_value + found.values.sum(axis=1), found.output)


def test_without_anybody_to_compare_with(data):
    model, X = fit(MLPClassifier((5,), max_iter=30, tol=1, random_state=0), data)
    with pytest.raises(ConfigError, match="no training patient has all required inputs"):
        explain_sampled(model, X, X.assign(tumor_type=None), seed=0)
