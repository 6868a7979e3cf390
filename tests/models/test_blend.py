"""Blends: weights from inside the training fold, persons on one side, and parts that do not flatter themselves."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from xgboost import XGBClassifier

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame
from immunocast.models.blend import Blend, _least_loss
from immunocast.models.bundle import load_bundle, read_spec, save_bundle
from immunocast.models.learner import Learner
from immunocast.models.loris import LorisPanCancer
from immunocast.models.spec import ModelSpec
from immunocast.models.update import PublishedUpdate

FEATURES = {"tmb_mut_mb": {"clip": [0, 30]}, "albumin_g_dl": {}, "nlr": {}, "tumor_type": {}}
RIDGE = Learner(LogisticRegression(), FEATURES, explainer="linear")
TREES = Learner(
    XGBClassifier(n_estimators=10, max_depth=2, n_jobs=1, random_state=0),
    FEATURES,
    impute="none",
    scale=False,
    explainer="xgboost",
)
FOREST = Learner(
    RandomForestClassifier(10, min_samples_leaf=5, random_state=0),
    FEATURES,
    explainer="tree",
    output_scale="probability",
)


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=500, seed=3).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


def fit(model, data):
    cohort, y = data
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    return model.fit(X, y), X


class Spy(ClassifierMixin, BaseEstimator):
    """Gives back what it is told, and keeps which rows trained it."""

    seen: ClassVar[list] = []

    def __init__(self, noise=0.0, trained_on=(), strength=1.0):
        self.noise = noise
        self.trained_on = trained_on
        self.strength = strength

    @property
    def spec(self):
        return ModelSpec(required=("age_years",), trained_on=self.trained_on, label="Spy")

    def fit(self, X, y):
        Spy.seen.append(X)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        rng = np.random.default_rng(int(X["age_years"].sum() * 10) % 2**32)
        z = self.strength * (X["age_years"].to_numpy() - 60) / 10 + self.noise * rng.normal(size=len(X))
        p = 1 / (1 + np.exp(-z))
        return np.column_stack([1 - p, p])


@pytest.fixture(scope="module")
def by_age(data):
    """Outcomes that follow age, log-odds (age - 60) / 10."""
    cohort, _ = data
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-(cohort["age_years"].to_numpy(dtype=float) - 60) / 10))
    return cohort, (rng.random(len(cohort)) < p).astype(int)


def test_the_part_that_knows_gets_the_weight_and_noise_gets_none(by_age):
    model, X = fit(Blend({"truth": Spy(), "noise": Spy(noise=5.0, strength=0.0)}), by_age)
    assert model.weights_["truth"] > 0.9
    assert sum(model.weights_.values()) == pytest.approx(1)
    assert min(model.weights_.values()) >= 0
    assert model.inner_["truth"]["log_loss"] < model.inner_["noise"]["log_loss"]
    assert model.inner_["blend"]["log_loss"] <= min(model.inner_[n]["log_loss"] for n in ("truth", "noise")) + 1e-3
    assert roc_auc_score(by_age[1], model.predict_proba(X)[:, 1]) > 0.65


def test_equal_parts_share_and_the_blend_is_the_part(by_age):
    model, X = fit(Blend({"a": Spy(), "b": Spy()}), by_age)
    assert model.weights_["a"] == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), Spy().fit(X, None).predict_proba(X), atol=1e-9)


def test_few_patients_leave_weights_near_to_equal():
    """Two parts that are equally good: weights from 40 patients would be anything."""
    rng = np.random.default_rng(1)

    def swing(n):
        z = rng.normal(size=n)
        y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
        both = z[:, None] + rng.normal(size=(n, 2))
        return abs(_least_loss(both, y, np.zeros(n, dtype=int))[0] - 0.5)

    assert np.mean([swing(40) for _ in range(30)]) < 0.15


def test_choosing_takes_the_one_with_the_least_inner_loss(by_age):
    model, X = fit(Blend({"noise": Spy(noise=5.0, strength=0.0), "truth": Spy()}, choose=True), by_age)
    assert model.weights_ == {"noise": 0.0, "truth": 1.0}
    assert list(model.parts_) == ["truth"]
    np.testing.assert_allclose(model.predict_proba(X), Spy().fit(X, None).predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("inner", ["cohort", "kfold"])
def test_inner_folds_keep_persons_and_cohorts_apart(inner, by_age):
    cohort, y = by_age
    twin = cohort.copy()
    at = [cohort.index[cohort["cohort_id"] == c][0] for c in sorted(cohort["cohort_id"].unique())]
    twin.loc[at[1:], "person_id"] = twin.loc[at[0], "person_id"]
    Spy.seen.clear()
    fit(Blend({"a": Spy(), "b": Spy()}, inner=inner, n_splits=4), (twin, y))
    n = len(set(cohort["cohort_id"])) if inner == "cohort" else 4
    inside = Spy.seen[:-2]  # the last two are the refits of the parts
    assert len(inside) == 2 * n
    assert [len(X) for X in Spy.seen[-2:]] == [len(twin)] * 2
    for X in inside:
        left_out = twin.loc[~twin.index.isin(X.index)]
        assert not set(X["person_id"]) & set(left_out["person_id"])
        if inner == "cohort":
            assert set(X["cohort_id"]) < set(twin["cohort_id"])
            assert len(set(X["cohort_id"])) == n - 1


def test_a_part_is_not_weighed_on_those_who_fitted_it(by_age):
    cohort, _ = by_age
    first = sorted(cohort["cohort_id"].unique())[0]
    model, _ = fit(Blend({"a": Spy(trained_on=(first,)), "b": Spy()}), by_age)
    assert model.n_inner_ == int((cohort["cohort_id"] != first).sum())
    assert model.note_ == ""
    everywhere = tuple(cohort["cohort_id"].unique())
    model, _ = fit(Blend({"a": Spy(trained_on=everywhere), "b": Spy()}), by_age)
    assert model.n_inner_ == len(cohort)
    assert "looks better than it is" in model.note_


def test_response_rates_of_unseen_cohorts_do_not_decide(by_age):
    """A part that is off by a constant in every cohort is as good as one that is not."""

    class Shifted(Spy):
        def predict_proba(self, X):
            p = super().predict_proba(X)[:, 1]
            p = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + 2)))
            return np.column_stack([1 - p, p])

    model, _ = fit(Blend({"shifted": Shifted(), "plain": Spy()}), by_age)
    assert model.inner_["shifted"]["log_loss"] == pytest.approx(model.inner_["plain"]["log_loss"], abs=1e-3)


def test_too_few_patients(by_age):
    cohort, y = by_age
    few = np.concatenate([np.flatnonzero(y == 1)[:6], np.flatnonzero(y == 0)[:30]])
    small = cohort.iloc[few].reset_index(drop=True), y[few]
    model, _ = fit(Blend({"a": Spy(), "b": Spy(strength=0.5)}), small)
    assert model.weights_ == {"a": 0.5, "b": 0.5}
    assert "too few" in model.note_
    with pytest.raises(ConfigError, match=r"Choosing among a, b needs 10 patients"):
        fit(Blend({"a": Spy(), "b": Spy()}, choose=True), small)


PARTS = {"ridge": RIDGE, "trees": TREES, "update": PublishedUpdate(LorisPanCancer(), {"fcna": {}})}


def test_bundles_come_back_equal_with_their_parts(data, tmp_path):
    model, X = fit(Blend({**PARTS, "a/b": FOREST}, label="All"), data)
    back = load_bundle(save_bundle(model, tmp_path / "a"))
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    assert back.spec == model.spec == read_spec(tmp_path / "a")
    assert back.weights_ == model.weights_
    assert back.inner_ == model.inner_
    assert back.inputs_used_ == model.inputs_used_
    save_bundle(back, tmp_path / "b")
    assert (tmp_path / "a" / "bundle.json").read_bytes() == (tmp_path / "b" / "bundle.json").read_bytes()
    kept = {p.name for p in (tmp_path / "a" / "parts").iterdir()}
    assert kept == {n.replace("/", "%2F") for n, w in model.weights_.items() if w > 0}


def test_explanations_are_the_weighted_sum_of_the_parts(data):
    model, X = fit(Blend(PARTS), data)
    model.weights_ = {"ridge": 0.2, "trees": 0.5, "update": 0.3}
    model.parts_ = {name: part.fit(X, data[1]) for name, part in PARTS.items()}
    assert model.spec.explainer == "blend"
    found = explain_learner(model, X)
    total = found.base_value + found.values.sum(axis=1).to_numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-total)), model.predict_proba(X)[:, 1], atol=1e-6)
    expected = sum(model.weights_[n] * explain_learner(p, X).values["tmb_mut_mb"] for n, p in model.parts_.items())
    np.testing.assert_allclose(found.values["tmb_mut_mb"], expected, atol=1e-12)


def test_a_forest_inside_leaves_the_blend_unexplained():
    assert Blend({"ridge": RIDGE, "forest": FOREST}).spec.explainer == "none"


def test_it_needs_what_its_parts_need():
    spec = Blend(PARTS).spec
    assert spec.required == ("tumor_type",)
    assert {"fcna", "dnlr", "albumin_g_dl"} <= set(spec.optional)
    assert spec.trained_on == ("Chowell_train",)
    assert spec.predicts == "response"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"parts": {"ridge": RIDGE}}, "two models or more"),
        ({"parts": {"a": RIDGE, "b": LogisticRegression()}}, r"parts\.b: a LogisticRegression is no response model"),
        ({"inner": "loco"}, "inner is 'loco'"),
        ({"n_splits": 1}, "n_splits is 1"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        _ = Blend(**{"parts": {"a": RIDGE, "b": TREES}, **settings}).spec
