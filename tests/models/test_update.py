"""The update of a published formula: where it starts, what draws it away, and what a missing value does."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from immunocast.cohort.outcomes import ENDPOINTS, make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle, read_spec, save_bundle
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.loris import LorisNSCLC, LorisPanCancer, LorisRouted
from immunocast.models.orientation import orient
from immunocast.models.shrunken import fit_shrunken
from immunocast.models.update import PublishedUpdate

FEATURES = {"fcna": {}, "pdl1_tps": {}, "tumor_type": {}, "age_years": {"clip": [18, 85]}}
TREES = {"n_estimators": 12, "max_depth": 2, "learning_rate": 0.3, "random_state": 0, "n_jobs": 1}


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=400, seed=9).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


def frame(cohort, model):
    return model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)


def fitted(data, **settings):
    cohort, y = data
    model = PublishedUpdate(LorisPanCancer(), settings.pop("features", FEATURES), **settings)
    X = frame(cohort, model)
    return model.fit(X, y), X


@pytest.mark.parametrize("formula", [LorisPanCancer(), LorisNSCLC(), LorisRouted()], ids=lambda f: type(f).__name__)
def test_terms_add_up_to_the_published_score(formula, data):
    X = model_frame(data[0], formula.spec.inputs)
    p = formula.predict_proba(X)[:, 1]
    known = ~np.isnan(p)
    rest = np.log(p / (1 - p))[known] - formula.terms(X).sum(axis=1, skipna=False).to_numpy()[known]
    assert known.sum() > 20
    assert np.ptp(rest) < 1e-9, "what is left is one constant"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.01, 0.3, 5.0]))
def test_shrunk_to_zero_it_is_the_ridge_of_scikit_learn(seed, C):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 3)) * [1, 3, 0.2]
    y = (rng.random(60) < 0.4).astype(int)
    y[:2] = 0, 1
    ours = fit_shrunken(x, y, np.zeros(3), np.ones(3), C)
    theirs = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(ours.coef, theirs.coef_[0], atol=1e-5)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_[0], atol=1e-5)


def test_an_offset_is_taken_as_given():
    rng = np.random.default_rng(1)
    x, offset = rng.normal(size=(400, 1)), rng.normal(size=400)
    y = (rng.random(400) < 1 / (1 + np.exp(-offset))).astype(int)
    fit = fit_shrunken(x, y, np.zeros(1), np.ones(1), 100, offset)
    assert abs(fit.coef[0]) < 0.3
    assert abs(fit.intercept) < 0.3
    shifted = fit_shrunken(x, y, np.zeros(1), np.ones(1), 100, offset + 2)
    assert shifted.intercept == pytest.approx(fit.intercept - 2, abs=1e-6)


def test_without_leave_to_move_it_is_the_formula_with_its_intercept_updated(data):
    model, X = fitted(data, C=1e-9)
    score = LorisPanCancer().terms(X).sum(axis=1, skipna=False).to_numpy()
    known = ~np.isnan(score)
    p = model.predict_proba(X)[:, 1]
    assert np.ptp((np.log(p / (1 - p)) - score)[known]) < 1e-5
    assert p.mean() == pytest.approx(data[1].mean(), abs=0.03), "the free intercept makes the mean right"
    assert all(factor == pytest.approx(1, abs=1e-5) for factor in model.factors_.values())


def test_with_leave_to_move_it_fits_better_and_reverses_a_wrong_formula(data):
    cohort, y = data
    wrong = 1 - y
    model = PublishedUpdate(LorisPanCancer(), {"fcna": {}}, C=1e-4)
    X = frame(cohort, model)
    tight = model.fit(X, wrong).factors_["tmb_mut_mb"]
    free = PublishedUpdate(LorisPanCancer(), {"fcna": {}}, C=100).fit(X, wrong).factors_["tmb_mut_mb"]
    assert free < 0 < tight


@pytest.mark.parametrize("trees", [None, XGBClassifier(**TREES)], ids=["ridge", "trees"])
def test_it_speaks_where_the_formula_abstains_and_a_missing_value_says_nothing(trees, data):
    model, X = fitted(data, estimator=trees)
    gone = X.copy()
    gone["tmb_mut_mb"] = np.nan
    assert np.isnan(LorisPanCancer().predict_proba(gone)).all()
    assert np.isfinite(model.predict_proba(gone)).all()
    assert (model.published_part(gone)["tmb_mut_mb"] == 0).all()
    lacking = X.assign(tumor_type=None)
    assert np.isnan(model.predict_proba(lacking)).all(), "the type is required"


def test_a_measured_mean_and_a_missing_value_are_one(data):
    model, X = fitted(data)
    at = list(model.preprocessor_.numeric_).index("fcna")
    assert at >= 0
    mean = float(np.nanmean(X["fcna"]))
    np.testing.assert_allclose(
        model.predict_proba(X.assign(fcna=np.nan)), model.predict_proba(X.assign(fcna=mean)), atol=1e-12
    )


def test_trees_that_learn_nothing_leave_the_recalibrated_formula(data):
    nothing = XGBClassifier(**{**TREES, "n_estimators": 1, "learning_rate": 1e-9})
    model, X = fitted(data, estimator=nothing)
    score = LorisPanCancer().terms(X).sum(axis=1, skipna=False).to_numpy()
    known = ~np.isnan(score)
    line = np.polyfit(score[known], model.decision_function(X)[known], 1)
    np.testing.assert_allclose(np.polyval(line, score[known]), model.decision_function(X)[known], atol=1e-5)
    assert len(set(model.factors_.values())) == 1


@pytest.mark.parametrize("trees", [None, XGBClassifier(**TREES)], ids=["ridge", "trees"])
@pytest.mark.parametrize("formula", [LorisPanCancer(nlr_default=5.0), LorisRouted()], ids=lambda f: type(f).__name__)
def test_bundles_come_back_equal(trees, formula, data, tmp_path):
    cohort, y = data
    model = PublishedUpdate(formula, FEATURES, estimator=trees, label="Updated")
    X = frame(cohort, model)
    model.fit(X, y)
    back = load_bundle(save_bundle(model, tmp_path / "a"))
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    assert back.spec == model.spec == read_spec(tmp_path / "a")
    again = load_bundle(save_bundle(back, tmp_path / "b"))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert (tmp_path / "a" / "bundle.json").read_bytes() == (tmp_path / "b" / "bundle.json").read_bytes()


@pytest.mark.parametrize("trees", [None, XGBClassifier(**TREES)], ids=["ridge", "trees"])
def test_explanations_add_up_and_a_term_without_influence_has_none(trees, data):
    model, X = fitted(data, estimator=trees)
    found = explain_learner(model, X)
    total = found.base_value + found.values.sum(axis=1).to_numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-total)), found.p, atol=1e-6)
    assert list(found.values.columns) == list(model.spec.inputs)
    assert (found.values["dnlr"] == 0).all(), "dNLR speaks through the term of the NLR"
    assert found.values["tmb_mut_mb"].abs().max() > 0
    # swapping the TMB of two patients moves nothing but TMB
    other = X.copy()
    other["tmb_mut_mb"] = X["tmb_mut_mb"].to_numpy()[::-1]
    moved = (explain_learner(model, other).values - found.values).abs().max()
    assert moved.drop("tmb_mut_mb").max() < 1e-9
    assert moved["tmb_mut_mb"] > 0


def test_it_was_trained_on_what_the_formula_was_trained_on(data):
    assert fitted(data)[0].spec.trained_on == ("Chowell_train",)
    routed = PublishedUpdate(LorisRouted(), FEATURES).spec
    assert routed.trained_on == ("Chowell_train", "Chowell_test")
    assert routed.learned


def test_an_endpoint_that_response_speaks_against_leaves_it_out():
    models = {"update": PublishedUpdate(LorisPanCancer(), FEATURES)}
    assert list(orient(models, ENDPOINTS["dcb"]()).models) == ["update"]
    assert list(orient(models, ENDPOINTS["os"]()).left_out) == ["update"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"formula": MarkerCutoff("tmb_mut_mb", 10)}, "MarkerCutoff has no terms"),
        ({"C": 0}, "C is 0"),
        ({"C": True}, "C is True"),
        ({"estimator": LogisticRegression()}, "LogisticRegression cannot start from a formula"),
        ({"features": {"responder": {}}}, "responder"),
        ({"required": ["stage"]}, "stage is not among"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    model = PublishedUpdate(**{"formula": LorisPanCancer(), "features": FEATURES, **settings})
    with pytest.raises(ConfigError, match=words):
        _ = model.spec


def test_rows_do_not_depend_on_who_stands_beside(data):
    model, X = fitted(data)
    # to the last bit, for as many rows as show a difference
    alone = np.concatenate([model.predict_proba(X.iloc[[i]]) for i in range(60)])
    np.testing.assert_array_equal(alone, model.predict_proba(X)[:60])
    pd.testing.assert_frame_equal(X, frame(data[0], model))


def test_a_cohort_with_more_events_is_not_put_down_to_its_tumour_type():
    """Two cohorts of one kind of patients, one with a higher rate; one of them has a tumour type more."""
    rng = np.random.default_rng(5)
    n = 4000
    second = np.arange(n) >= n // 2
    lung = second | (rng.random(n) < 0.5)
    X = pd.DataFrame(
        {
            "tmb_mut_mb": rng.exponential(8, n),
            "prior_systemic_therapy": rng.integers(0, 2, n).astype(float),
            "age_years": rng.normal(60, 10, n),
            "tumor_type": np.where(lung, "NSCLC", "Melanoma"),
            "albumin_g_dl": rng.normal(3.8, 0.4, n),
            "nlr": rng.exponential(6, n),
            "dnlr": np.nan,
            "cohort_id": np.where(second, "late", "early"),
        }
    )
    y = (rng.random(n) < np.where(second, 0.5, 0.2)).astype(int)
    features = {"tumor_type": {}}

    def advantage(**settings):
        model = PublishedUpdate(LorisPanCancer(), features, C=1.0, **settings).fit(X, y)
        both = [model.decision_function(X.head(1).assign(tumor_type=kind))[0] for kind in ("NSCLC", "Melanoma")]
        return model, both[0] - both[1]

    model, with_own = advantage()
    assert abs(with_own) < 0.25
    assert advantage(cohort_intercepts=False)[1] > 0.7
    assert model.cohort_intercepts_["late"] - model.cohort_intercepts_["early"] == pytest.approx(1.39, abs=0.3)
    # new patients get the middle, whatever their cohort is called
    np.testing.assert_array_equal(model.predict_proba(X.assign(cohort_id="new")), model.predict_proba(X))


def test_a_term_that_hardly_varies_does_not_run_away(data):
    """Among NSCLC and melanoma the published type terms differ by .009; a pancreatic cancer's is -1.1."""
    cohort, y = data
    inside = cohort["tumor_type"].isin(["NSCLC", "Melanoma"]).to_numpy()
    model = PublishedUpdate(LorisPanCancer(), {"fcna": {}}, C=0.1)
    model.fit(frame(cohort[inside], model), y[inside])
    assert abs(model.factors_["tumor_type"] - 1) < 1


def test_trees_go_on_from_the_formula_instead_of_beginning_anew(data):
    model, X = fitted(data, estimator=XGBClassifier(**TREES))
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(data[1].mean(), abs=0.03)
