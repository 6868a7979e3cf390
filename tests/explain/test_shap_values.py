"""SHAP values against independent answers: brute force, closed form, and the shap package."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
import shap
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from xgboost import XGBClassifier

from immunocast.cohort.outcomes import make_labels, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.errors import ConfigError
from immunocast.explain.shap_values import explain_learner
from immunocast.features.expand import Expansion
from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle, save_bundle
from immunocast.models.learner import Learner

FEATURES = {"tmb_mut_mb": {"transform": "log2p1", "clip": [0, 50]}, "nlr": {}, "tumor_type": {}, "albumin_g_dl": {}}


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=400, seed=6).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


def fit(model, data):
    cohort, y = data
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    target = model.spec.target
    return clone(model).fit(X, y, **({} if target == "label" else {"survival": survival_of(cohort, target)})), X


def by_source(model, columns):
    """Sum one-hot columns to their feature, by name and not by position."""
    names = model.preprocessor_.column_names_
    return {
        f: sum(columns[:, j] for j, c in enumerate(names) if c.split("=")[0] == f) + np.zeros(len(columns))
        for f in model.features
    }


@pytest.mark.parametrize(
    "name",
    ["ridge", "forest", "xgboost", "elastic_net", "partial_pooling", "hist_gb", "cox_os", "cox_pfs"],
)
def test_values_add_up_to_the_prediction(name, data, tmp_path):
    model, X = fit(build_models(load_config(["models=full"]))[name], data)
    model = load_bundle(save_bundle(model, tmp_path / "bundle"))
    result = explain_learner(model, X)
    total = result.base_value + result.values.sum(axis=1).to_numpy()
    if result.scale == "log-hazard":
        total = model.estimator_.link_intercept_ + model.estimator_.link_slope_ * total
    p = total if result.scale == "probability" else expit(total)
    assert np.allclose(p, model.predict_proba(X)[:, 1], atol=1e-5)
    assert np.array_equal(result.p, model.predict_proba(X)[:, 1])
    assert result.values.columns.tolist() == list(model.features)
    assert result.values.index.equals(X.index)
    assert result.values.notna().all(axis=None)
    one = explain_learner(model, X.iloc[[7]])
    assert np.allclose(one.values, result.values.iloc[[7]], atol=1e-6), "nobody's values depend on the others"


def test_linear_equals_brute_force_shapley(data):
    """All coalitions of a model of four columns, absent columns at their training mean."""
    features = {"tmb_mut_mb": {"transform": "log2p1"}, "nlr": {}, "albumin_g_dl": {}, "age_years": {}}
    model, X = fit(Learner(LogisticRegression(), features, required=(), explainer="linear"), data)
    Z = model.design_matrix(X).to_numpy()
    mean = Z.mean(axis=0)
    coef, intercept = model.estimator_.coef_[0], model.estimator_.intercept_[0]

    def margin(row, coalition):
        x = mean.copy()
        x[list(coalition)] = row[list(coalition)]
        return float(x @ coef + intercept)

    result = explain_learner(model, X.iloc[:5])
    for i in range(5):
        for j in range(4):
            others = [k for k in range(4) if k != j]
            value = sum(
                factorial(len(s)) * factorial(3 - len(s)) / factorial(4) * (margin(Z[i], (*s, j)) - margin(Z[i], s))
                for size in range(4)
                for s in combinations(others, size)
            )
            assert result.values.iloc[i, j] == pytest.approx(value, abs=1e-10)
    assert result.base_value == pytest.approx(margin(mean, ()))


def test_linear_equals_shap_linear_explainer(data):
    model, X = fit(build_models(load_config())["ridge"], data)
    Z = model.design_matrix(X)
    masker = shap.maskers.Independent(Z, max_samples=len(Z))
    reference = shap.LinearExplainer(model.estimator_, masker)
    result = explain_learner(model, X)
    expected = by_source(model, reference.shap_values(Z))
    for feature, values in expected.items():
        assert np.allclose(result.values[feature], values, atol=1e-8), feature
    assert result.base_value == pytest.approx(float(reference.expected_value))


def test_products_are_divided_as_shapley_values_divide_them(data):
    """All coalitions of features; absent ones are averaged over their own distribution, each independently."""
    features = {"nlr": {}, "pdl1_tps": {}, "tumor_type": {}}
    expand = Expansion(knots=3, by="tumor_type", penalty=2)
    ridge = LogisticRegression(C=1.0, max_iter=2000)
    model, X = fit(Learner(ridge, features, impute="mean", explainer="linear", expand=expand), data)
    assert len(model.products_) > 3
    Z = model.design_matrix(X)
    coef = dict(zip(Z.columns, model.estimator_.coef_[0], strict=True))
    source = dict(zip(Z.columns, model.sources_, strict=True))
    mean = Z.mean()

    def margin(row, there):
        """Expected margin: columns of absent features at their mean, products of independent features factorise."""
        value = model.estimator_.intercept_[0]
        at = {c: row[c] if source[c] in there else mean[c] for c in Z}
        for c in Z:
            p = model.products_.get(c)
            value += coef[c] * ((at[p.left] - p.origin) * at[p.right] * p.weight if p else at[c])
        return value

    result = explain_learner(model, X.iloc[:12])
    names = list(features)
    for i in range(12):
        row = Z.iloc[i]
        assert result.base_value == pytest.approx(margin(row, ()), abs=1e-10)
        for name in names:
            others = [f for f in names if f != name]
            value = sum(
                factorial(len(s)) * factorial(2 - len(s)) / 6 * (margin(row, (*s, name)) - margin(row, s))
                for size in range(3)
                for s in combinations(others, size)
            )
            assert result.values[name].iloc[i] == pytest.approx(value, abs=1e-10)


def test_histogram_boosting_is_explained_exactly_where_values_are_missing(data):
    """Path-dependent Shapley values over all coalitions, from the trees' own nodes and their counts."""
    features = {"tmb_mut_mb": {}, "pdl1_tps": {}, "nlr": {}}
    estimator = HistGradientBoostingClassifier(
        max_iter=4, max_leaf_nodes=6, min_samples_leaf=10, early_stopping=False, random_state=0,
        monotonic_cst={"nlr": -1, "pdl1_tps": 1},
    )  # fmt: skip
    model, X = fit(Learner(estimator, features, (), "none", False, explainer="tree"), data)
    Z = model.design_matrix(X).to_numpy()
    trees = [stage[0].nodes for stage in model.estimator_._predictors]
    baseline = float(np.ravel(model.estimator_._baseline_prediction)[0])

    def expected(nodes, row, there, k=0):
        node = nodes[k]
        if node["is_leaf"]:
            return node["value"]
        x = row[node["feature_idx"]]
        left = node["missing_go_to_left"] if np.isnan(x) else x <= node["num_threshold"]
        if node["feature_idx"] in there:
            return expected(nodes, row, there, node["left"] if left else node["right"])
        a, b = nodes[node["left"]]["count"], nodes[node["right"]]["count"]
        return (a * expected(nodes, row, there, node["left"]) + b * expected(nodes, row, there, node["right"])) / (
            a + b
        )

    def margin(row, there):
        return baseline + sum(expected(nodes, row, there) for nodes in trees)

    rows = [*[i for i in range(len(Z)) if np.isnan(Z[i]).any()][:8], 0, 1]
    assert sum(np.isnan(Z[i]).sum() for i in rows) >= 8
    assert any(nodes["missing_go_to_left"].any() for nodes in trees)
    result = explain_learner(model, X.iloc[rows])
    for i, row in enumerate(Z[rows]):
        assert result.base_value == pytest.approx(margin(row, ()), abs=1e-6)
        for j in range(3):
            others = [k for k in range(3) if k != j]
            value = sum(
                factorial(len(s)) * factorial(2 - len(s)) / 6 * (margin(row, (*s, j)) - margin(row, s))
                for size in range(3)
                for s in combinations(others, size)
            )
            assert result.values.iloc[i, j] == pytest.approx(value, abs=1e-6)


def test_xgboost_equals_shap_tree_explainer(data):
    model, X = fit(build_models(load_config())["xgboost"], data)
    Z = model.design_matrix(X)
    reference = shap.TreeExplainer(model.estimator_.get_booster())
    expected = by_source(model, reference.shap_values(Z))
    result = explain_learner(model, X)
    for feature, values in expected.items():
        assert np.allclose(result.values[feature], values, atol=1e-4), feature
    assert np.allclose(result.output, logit(result.p), atol=1e-4)


def test_forest_values_are_of_the_probability_of_response(data):
    model, X = fit(build_models(load_config())["forest"], data)
    result = explain_learner(model, X)
    assert result.scale == "probability"
    assert result.base_value == pytest.approx(np.mean([t.tree_.value[0, 0, 1] for t in model.estimator_.estimators_]))
    reference = shap.TreeExplainer(model.estimator_).shap_values(model.design_matrix(X).to_numpy())[..., 1]
    for feature, values in by_source(model, reference).items():
        assert np.allclose(result.values[feature], values, atol=1e-8), feature


@pytest.mark.parametrize(
    ("estimator", "explainer", "scale"),
    [
        (HistGradientBoostingClassifier(max_iter=10, random_state=0, early_stopping=False), "tree", "log-odds"),
        (GradientBoostingClassifier(n_estimators=10, random_state=0), "tree", "log-odds"),
        (ExtraTreesClassifier(10, random_state=0), "tree", "probability"),
        (XGBClassifier(n_estimators=10, max_depth=2), "tree", "log-odds"),
        (LinearDiscriminantAnalysis(), "linear", "log-odds"),
        (SGDClassifier(loss="log_loss", random_state=0), "linear", "log-odds"),
    ],
    ids=lambda e: type(e).__name__ if hasattr(e, "fit") else e,
)
def test_other_estimators_add_up_too(estimator, explainer, scale, data):
    model, X = fit(Learner(estimator, FEATURES, explainer=explainer, output_scale=scale), data)
    result = explain_learner(model, X)
    total = result.base_value + result.values.sum(axis=1)
    assert np.allclose(total if scale == "probability" else expit(total), result.p, atol=1e-4)


@pytest.mark.parametrize(
    ("estimator", "explainer", "scale", "words"),
    [
        (RandomForestClassifier(5, random_state=0), "linear", "probability", "has no coefficients"),
        (LogisticRegression(), "xgboost", "log-odds", "no XGBoost model"),
        (LogisticRegression(), "tree", "log-odds", "does not fit a LogisticRegression"),
        (LogisticRegression(), "none", "log-odds", "explainer is 'none'"),
        (RandomForestClassifier(5, random_state=0), "tree", "log-odds", "on probability: set output_scale"),
        (GradientBoostingClassifier(n_estimators=5), "tree", "probability", "on log-odds: set output_scale"),
        (SGDClassifier(loss="modified_huber", random_state=0), "linear", "log-odds", "not the log-odds"),
    ],
)
def test_explainers_that_do_not_fit_say_so(estimator, explainer, scale, words, data):
    model, X = fit(Learner(estimator, FEATURES, explainer=explainer, output_scale=scale), data)
    with pytest.raises(ConfigError, match=words):
        explain_learner(model, X)


def test_values_that_do_not_add_up_are_an_error(data):
    model, X = fit(build_models(load_config())["ridge"], data)
    model.background_["nlr"] = np.nan
    with pytest.raises(ArithmeticError, match="miss its output"):
        explain_learner(model, X)


def test_a_dropped_feature_gets_zero(data):
    cohort, y = data
    model = build_models(load_config())["ridge"]
    X = model_frame(cohort, model.spec.inputs).assign(gep_score=np.nan)
    result = explain_learner(model.fit(X, y), X)
    assert (result.values["gep_score"] == 0).all()


def test_early_stopping_explains_the_trees_that_predict(data):
    """Later trees are no part of the prediction, also after the bundle has forgotten that training stopped early."""
    cohort, y = data
    model = Learner(XGBClassifier(n_estimators=60, learning_rate=0.5), FEATURES, impute="none", explainer="xgboost")
    X = model_frame(cohort, model.spec.inputs)
    model.fit(X, y)
    Z = model.design_matrix(X)
    stopped = XGBClassifier(n_estimators=60, learning_rate=0.5, early_stopping_rounds=3)
    model.estimator_ = stopped.fit(Z[:200], y[:200], eval_set=[(Z[200:], y[200:])], verbose=False)
    assert stopped.best_iteration + 1 < stopped.get_booster().num_boosted_rounds()
    result = explain_learner(model, X)
    assert np.allclose(expit(result.base_value + result.values.sum(axis=1)), result.p, atol=1e-5)
