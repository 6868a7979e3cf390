"""Interventional values against brute force, and against shap's own implementation on fitted models."""

import numpy as np
import pytest
import shap
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from xgboost import XGBClassifier

from immunocast.errors import ConfigError
from immunocast.explain.trees import leaf_paths
from immunocast.explain.trees.ensemble import Ensemble, Tree, ensemble_of
from immunocast.explain.trees.interventional import interventional_values

from .brute_force_games import ensembles, fitted, interventional_game, output, random_ensemble, rows, shapley


@settings(max_examples=40, deadline=None)
@given(ensemble=ensembles, seed=st.integers(0, 1000), m=st.integers(1, 5))
def test_values_are_the_shapley_values_of_the_game_against_the_background(ensemble, seed, m):
    rng = np.random.default_rng(seed)
    X, background = rows(rng, 3, ensemble.n_features), rows(rng, m, ensemble.n_features)
    values, base = interventional_values(ensemble, X, background)
    assert base == pytest.approx(np.mean([output(ensemble, z) for z in background]), abs=1e-10)
    for x, found in zip(X, values, strict=True):
        expected = shapley(interventional_game(ensemble, x, background), ensemble.n_features)
        assert np.allclose(found, expected, atol=1e-10)
        assert base + found.sum() == pytest.approx(output(ensemble, x), abs=1e-10)


def test_nobody_is_explained_against_itself():
    ensemble = random_ensemble(5)
    X = rows(np.random.default_rng(0), 1, 4)
    assert np.array_equal(interventional_values(ensemble, X, X)[0], np.zeros((1, 4)))


def test_values_depend_on_nobody_else_and_not_on_the_order_of_the_background():
    ensemble, rng = random_ensemble(7, n_trees=20), np.random.default_rng(1)
    X, background = rows(rng, 30, 4), rows(rng, 20, 4)
    values, base = interventional_values(ensemble, X, background)
    one, same = interventional_values(ensemble, X[[11]], background)
    assert (one[0] == values[11]).all()
    assert same == base
    turned, other = interventional_values(ensemble, X, background[::-1])
    assert np.allclose(turned, values, atol=1e-12)
    assert other == pytest.approx(base, abs=1e-12)


def test_patterns_without_a_table_give_the_same(monkeypatch):
    """Ways with more columns than the table has bits: a ladder of 20 columns."""
    ladder, rng = column_ladder(20), np.random.default_rng(2)
    X, background = rng.normal(size=(4, 20)), rng.normal(size=(6, 20))
    assert leaf_paths.TABLE_COLUMNS < 20
    values, base = interventional_values(ladder, X, background)
    for x, found in zip(X, values, strict=True):
        assert base + found.sum() == pytest.approx(output(ladder, x), abs=1e-12)
    # a row and a background row that differ in two columns: everything else is no player
    x, z = np.full(20, -1.0), np.full((1, 20), -1.0)
    z[0, [3, 17]] = 1.0
    found = interventional_values(ladder, x[None], z)[0][0]
    game = interventional_game(ladder, x, z)
    both, three, last, none = game({3, 17}), game({3}), game({17}), game(set())
    assert found[3] == pytest.approx((three - none + both - last) / 2)
    assert found[17] == pytest.approx((last - none + both - three) / 2)
    assert not np.delete(found, [3, 17]).any()


def column_ladder(depth):
    """Leaf k is left by column k alone: the last way asks for all columns."""
    k = np.arange(depth)
    inner = np.zeros(2 * depth + 1)
    left, right, feature = np.full(2 * depth + 1, -1), np.full(2 * depth + 1, -1), np.full(2 * depth + 1, -2)
    left[2 * k], right[2 * k], feature[2 * k] = 2 * k + 2, 2 * k + 1, k
    value = np.where(left < 0, np.arange(2 * depth + 1.0), 0.0)
    cover = 2.0 ** (depth - np.arange(2 * depth + 1) // 2)
    kinds = (left.astype(np.int32), right.astype(np.int32), feature.astype(np.int32))
    return Ensemble((Tree(*kinds, inner, inner.astype(bool), cover, value),), depth, 0.0, False, False, "log-odds")


def test_too_many_columns_on_a_way_are_refused():
    X = np.full((1, 63), -1.0)
    with pytest.raises(ConfigError, match="asks for 63 different columns"):
        interventional_values(column_ladder(63), X, X)
    assert interventional_values(column_ladder(62), X[:, :62], X[:, :62])[1] == 62 * 2


@pytest.mark.parametrize(("m", "columns", "words"), [(0, 4, "empty background"), (2, 3, "take 4 columns")])
def test_a_background_that_does_not_fit_is_refused(m, columns, words):
    with pytest.raises(ValueError, match=words):
        interventional_values(random_ensemble(1), np.zeros((1, 4)), np.zeros((m, columns)))


@pytest.mark.parametrize(
    "estimator",
    [
        XGBClassifier(n_estimators=40, max_depth=4, random_state=0, n_jobs=1),
        RandomForestClassifier(20, min_samples_leaf=5, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_shap_finds_the_same(estimator):
    model, X = fitted(estimator, missing=False)
    values, base = interventional_values(ensemble_of(model), X[:60], X[200:250])
    reference = shap.TreeExplainer(
        model, shap.maskers.Independent(X[200:250], 50), feature_perturbation="interventional"
    )
    expected = reference.shap_values(X[:60], check_additivity=False)
    assert np.allclose(values, expected[..., 1] if expected.ndim == 3 else expected, atol=1e-5)
    assert base == pytest.approx(float(np.ravel(reference.expected_value)[-1]), abs=1e-5)


@pytest.mark.parametrize(
    "estimator",
    [
        XGBClassifier(n_estimators=15, max_depth=3, random_state=0, n_jobs=1),
        HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=8, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_missing_values_go_where_the_library_sends_them(estimator):
    """The library itself plays the game: no reader of trees stands between."""
    model, X = fitted(estimator, missing=True)
    background = X[200:206]
    assert np.isnan(X[:5]).any()
    assert np.isnan(background).any()

    def margin(rows):
        return (
            model.predict(rows, output_margin=True) if hasattr(model, "get_booster") else model.decision_function(rows)
        )

    values, base = interventional_values(ensemble_of(model), X[:5], background)
    assert base == pytest.approx(margin(background).mean(), abs=1e-5)
    for x, found in zip(X[:5], values, strict=True):

        def game(there, x=x):
            mixed = background.copy()
            mixed[:, list(there)] = x[list(there)]
            return float(margin(mixed).mean())

        assert np.allclose(found, shapley(game, X.shape[1]), atol=1e-5)
