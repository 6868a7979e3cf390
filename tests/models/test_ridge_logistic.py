"""Ridge logistic regression by Newton's method: scikit-learn's optimum, whatever the data are like."""

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from immunocast.models.ridge_logistic import fit_logistic, fit_many_logistic


def made(n, p, seed, *, collinear=False, separable=False, scale=1.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * scale
    if collinear and p > 1:
        X[:, 1] = X[:, 0]
        X[:, p - 1] = 1.0  # a constant beside the intercept
    y = (X[:, 0] > 0 if separable else rng.random(n) < 1 / (1 + np.exp(0.5 - X[:, 0]))).astype(int)
    y[:2] = 0, 1
    w = rng.poisson(1.0, n).astype(float)
    w[:2] = 1
    return X, y, w


def gradient(X, y, w, C, coef, intercept):
    residual = w * (expit(X @ coef + intercept) - y)
    return np.append(X.T @ residual + coef / C, residual.sum())


def objective(X, y, w, C, coef, intercept):
    eta = X @ coef + intercept
    return float(w @ (np.logaddexp(0, eta) - y * eta) + coef @ coef / (2 * C))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(4, 120),
    p=st.integers(1, 12),
    seed=st.integers(0, 10_000),
    log_c=st.floats(-4, 4),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    collinear=st.booleans(),
    separable=st.booleans(),
)
@example(n=8, p=12, seed=0, log_c=4.0, scale=30.0, collinear=True, separable=True)
@example(n=49, p=8, seed=273, log_c=3.0, scale=30.0, collinear=False, separable=False)  # a margin below -709
def test_it_is_the_optimum_of_scikit_learns_objective(n, p, seed, log_c, scale, collinear, separable):
    X, y, w = made(n, p, seed, collinear=collinear, separable=separable, scale=scale)
    C = 10.0**log_c
    fit = fit_logistic(X, y, w, C)
    # at the optimum of a convex function the gradient is 0
    size = 1 + np.abs(X).max() * w.sum()
    assert np.abs(gradient(X, y, w, C, fit.coef, fit.intercept)).max() < 1e-9 * size
    kept = w > 0
    peer = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=10_000)
    with warnings.catch_warnings():
        # where the peer stops before its optimum ours may only be the better one
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(X[kept], y[kept], sample_weight=w[kept])
    ours, theirs = (
        objective(X, y, w, C, c, i) for c, i in ((fit.coef, fit.intercept), (peer.coef_[0], peer.intercept_[0]))
    )
    assert ours <= theirs + 1e-9 * (1 + abs(theirs))


@pytest.mark.parametrize(
    ("C", "how"),
    [
        (0.1, {}),
        (1.0, {"collinear": True}),
        (1e3, {"separable": True}),
        (100.0, {"scale": 30.0}),
        (1e-3, {"collinear": True, "separable": True}),
    ],
)
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky"])
def test_coefficients_of_a_tightly_converged_solver(C, how, solver):
    X, y, w = made(400, 12, 5, **how)
    peer = LogisticRegression(C=C, solver=solver, tol=1e-12, max_iter=100_000).fit(X, y, sample_weight=w)
    fit = fit_logistic(X, y, w, C)
    # lbfgs stops on its own criterion: on a scale of 30 it is right to fewer digits
    tolerance = 1e-6 if solver == "newton-cholesky" or "scale" not in how else 1e-4
    np.testing.assert_allclose(fit.coef, peer.coef_[0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(fit.intercept, peer.intercept_[0], rtol=tolerance, atol=tolerance)


def test_a_weight_is_a_number_of_copies_and_none_is_absence():
    X, y, w = made(150, 6, 1)
    rows = np.repeat(np.arange(150), w.astype(int))
    weighted, copied = fit_logistic(X, y, w, 0.5), fit_logistic(X[rows], y[rows], None, 0.5)
    np.testing.assert_allclose(weighted.coef, copied.coef, rtol=0, atol=1e-12)
    X[w == 0], y[w == 0] = np.nan, 7  # whatever stands there
    again = fit_logistic(X, y, w, 0.5)
    assert again.coef.tobytes() == weighted.coef.tobytes()


def test_a_fit_does_not_depend_on_what_is_fitted_beside_it():
    X, y, _ = made(100, 5, 2)
    rng = np.random.default_rng(0)
    W = rng.poisson(1.0, (100, 7))
    Y = np.column_stack([rng.permutation(y) for _ in range(7)])
    together = fit_many_logistic(X, Y, W, 1.0)
    alone = fit_many_logistic(X, Y[:, [4]], W[:, [4]], 1.0)[0]
    assert alone.coef.tobytes() == together[4].coef.tobytes()
    own = fit_many_logistic(np.stack([X + b for b in range(7)]), Y, W, 1.0)
    # a shifted column changes the intercept and nothing else
    np.testing.assert_allclose(own[4].coef, together[4].coef, atol=1e-10)
    shared = fit_many_logistic(X, y, W, 1.0)
    assert shared[2].coef.tobytes() == fit_logistic(X, y, W[:, 2], 1.0).coef.tobytes()


def test_without_columns_the_intercept_is_the_logit_of_the_rate():
    fit = fit_logistic(np.empty((8, 0)), np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    assert fit.coef.size == 0
    assert fit.intercept == pytest.approx(np.log(2 / 6))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": np.zeros(20, dtype=int)}, "one class"),
        ({"C": 0.0}, "positive"),
        ({"C": np.inf}, "finite"),
        ({"w": np.full(20, -1.0)}, "negative"),
        ({"X": np.full((20, 2), np.nan)}, "missing"),
    ],
)
def test_what_cannot_be_fitted_is_told(change, words):
    X, y, _ = made(20, 2, 0)
    given_ = {"X": X, "y": y, "w": None, "C": 1.0} | change
    with pytest.raises(ValueError, match=words):
        fit_logistic(given_["X"], given_["y"], given_["w"], given_["C"])
