"""Interaction values against brute force, and against XGBoost's and shap's own on fitted models."""

import numpy as np
import pytest
import shap
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from immunocast.explain.trees.ensemble import ensemble_of
from immunocast.explain.trees.interactions import interaction_values

from .brute_force_games import ensembles, fitted, interactions, output, path_dependent_game, random_ensemble, rows


@settings(max_examples=40, deadline=None)
@given(ensemble=ensembles, seed=st.integers(0, 1000))
def test_values_are_the_interaction_index_of_the_path_dependent_game(ensemble, seed):
    X = rows(np.random.default_rng(seed), 2, ensemble.n_features)
    values, base = interaction_values(ensemble, X)
    for x, found in zip(X, values, strict=True):
        game = path_dependent_game(ensemble, x)
        assert np.allclose(found, interactions(game, ensemble.n_features), atol=1e-10)
        assert base == pytest.approx(game(set()), abs=1e-10)
        assert base + found.sum() == pytest.approx(output(ensemble, x), abs=1e-10)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), groups=st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_sources_hold_the_blocks_of_their_columns(seed, groups):
    ensemble = random_ensemble(seed, n_features=5)
    X = rows(np.random.default_rng(seed), 4, 5)
    columns = interaction_values(ensemble, X)[0]
    sources, _ = interaction_values(ensemble, X, groups)
    member = np.equal.outer(np.arange(max(groups) + 1), groups).astype(float)
    assert np.allclose(sources, np.einsum("ai,nij,bj->nab", member, columns, member), atol=1e-12)


def test_values_depend_on_nobody_else():
    ensemble = random_ensemble(3, n_trees=20)
    X = rows(np.random.default_rng(1), 30, 4)
    values, _ = interaction_values(ensemble, X)
    assert (interaction_values(ensemble, X[[11]])[0][0] == values[11]).all()


@pytest.mark.parametrize("groups", [[0, 1], [0, 1, 2, -1]])
def test_groups_that_do_not_fit_are_refused(groups):
    with pytest.raises(ValueError, match="groups of shape"):
        interaction_values(random_ensemble(1), np.zeros((1, 4)), groups)


@pytest.mark.parametrize("depth", [2, 5])
def test_xgboost_finds_the_same(depth):
    model, X = fitted(xgb.XGBClassifier(n_estimators=40, max_depth=depth, random_state=0, n_jobs=1), missing=True)
    values, base = interaction_values(ensemble_of(model), X[:80])
    matrix = xgb.DMatrix(X[:80])
    expected = model.get_booster().predict(matrix, pred_interactions=True)
    assert np.allclose(values, expected[:, :-1, :-1], atol=1e-4)
    assert base == pytest.approx(expected[0, -1, -1], abs=1e-4)
    contributions = model.get_booster().predict(matrix, pred_contribs=True)
    assert np.allclose(values.sum(axis=2), contributions[:, :-1], atol=1e-4)
    strongest = np.triu(np.abs(values).mean(axis=0), 1).max()
    assert strongest > 0.01, "there is something to find"


def test_shap_finds_the_same_for_a_forest():
    model, X = fitted(RandomForestClassifier(15, min_samples_leaf=8, random_state=0), missing=False)
    values, base = interaction_values(ensemble_of(model), X[:30])
    reference = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    assert np.allclose(values, reference.shap_interaction_values(X[:30])[..., 1], atol=1e-6)
    assert np.allclose(values.sum(axis=2), reference.shap_values(X[:30])[..., 1], atol=1e-6)
    assert base == pytest.approx(reference.expected_value[1])
