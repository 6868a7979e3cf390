"""Whatever a patient lacks, every learner gives a probability and says what it rested on."""

import numpy as np
import pytest
from sklearn.base import clone

from immunocast.cohort.outcomes import make_labels, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, conf_dir, load_config
from immunocast.errors import ConfigError
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame
from immunocast.models.assays import assays_used, inputs_used

NAMES = sorted(p.stem for p in (conf_dir() / "model").glob("*.yaml"))
MODELS = build_models(load_config([f"+model@models.{n}={n}" for n in NAMES if n not in load_config().models]))
for model in (MODELS, MODELS["blend"].parts, MODELS["choose"].parts):
    model["forest"].set_params(estimator__n_estimators=20)  # enough to break, and faster
    model["xgboost"].set_params(estimator__n_estimators=40)
MODELS["update_xgboost"].set_params(estimator__n_estimators=40)
MODELS["hist_gb"].set_params(estimator__max_iter=20)
LEARNERS = [name for name, model in MODELS.items() if model.spec.learned]
FEATURES = list(MODELS["ridge"].spec.optional)


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=400, seed=7).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


@pytest.fixture(scope="module")
def fitted(data):
    """Every learner, fitted where blood was never missing, and where everybody lacks expression."""
    cohort, y = data
    complete = cohort.assign(
        nlr=cohort["nlr"].fillna(4.0), albumin_g_dl=cohort["albumin_g_dl"].fillna(3.9), gep_score=np.nan
    )
    return {name: fit(MODELS[name], complete, y) for name in LEARNERS}


def fit(model, cohort, y):
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    extra = {} if model.spec.target == "label" else {"survival": survival_of(cohort, model.spec.target)}
    return clone(model).fit(X, y, **extra)


def blank(X, names):
    return X.assign(**{c: np.nan if X[c].dtype == "float64" else None for c in names if c in X})


def test_all_learners_are_under_test():
    assert {"ridge", "forest", "xgboost", "hist_gb", "elastic_net", "partial_pooling", "cox_os", "cox_pfs"} <= set(
        LEARNERS
    )


@pytest.mark.parametrize("name", LEARNERS)
def test_any_gap_leaves_a_probability(name, fitted, data):
    """Every patient with gaps of the patient's own, from a few to nearly all."""
    model, rng = fitted[name], np.random.default_rng(0)
    X = model_frame(data[0], model.spec.inputs, by_cohort=model.spec.by_cohort)
    gone = rng.random((len(X), len(model.spec.optional))) < rng.random((len(X), 1))
    for feature, rows in zip(model.spec.optional, gone.T, strict=True):
        X[feature] = X[feature].mask(rows)
    p = model.predict_proba(X)[:, 1]
    assert ((p > 0) & (p < 1)).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_nothing_but_the_tumour_type_is_enough(name, fitted, data):
    cohort, _ = data
    model = fitted[name]
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    p = model.predict_proba(blank(X, model.spec.optional))[:, 1]
    assert np.isfinite(p).all()
    assert len(np.unique(p)) <= cohort["tumor_type"].nunique()
    assert set(assays_used(blank(X, model.spec.optional), inputs_used(model))) == {"clinical"}
    assert np.isnan(model.predict_proba(blank(X, ["tumor_type"]))).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_an_assay_that_training_lacked_is_not_said_to_be_used(name, fitted, data):
    cohort, _ = data
    model = fitted[name]
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort).assign(gep_score=0.5)
    assert not any("rna" in used for used in assays_used(X, inputs_used(model)))
    assert any("rna" in used for used in assays_used(X, model.spec.inputs)) == ("gep_score" in model.spec.inputs)
    assert inputs_used(model)
    assert np.array_equal(model.predict_proba(X), model.predict_proba(blank(X, ["gep_score"])))


@pytest.mark.parametrize("name", ["xgboost", "hist_gb"])
def test_trees_do_not_guess_at_gaps_that_training_did_not_know(name, fitted, data):
    cohort, _ = data
    model = fitted[name]
    X = model_frame(cohort, model.spec.inputs)
    at_median = X.assign(nlr=2 ** model.preprocessor_.median_["nlr"])
    assert np.allclose(model.predict_proba(blank(X, ["nlr"])), model.predict_proba(at_median), atol=1e-6)
    assert model.design_matrix(blank(X, ["pdl1_tps"]))["pdl1_tps"].isna().all(), "they have learned from this gap"


@pytest.mark.parametrize("name", ["elastic_net", "partial_pooling", "cox_os", "cox_pfs"])
def test_a_gap_contributes_nothing_to_a_linear_model(name, fitted, data):
    cohort, _ = data
    model = fitted[name]
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    for feature in ("nlr", "tmb_mut_mb", "albumin_g_dl", "pdl1_tps", "age_years"):
        values = explain_learner(model, blank(X, [feature])).values
        assert np.abs(values[feature]).max() < 1e-9, feature
        assert np.abs(explain_learner(model, X).values[feature]).max() > 1e-3, feature


def test_where_nobody_in_training_has_pd_l1(data):
    cohort, y = data
    for name in LEARNERS:
        model = fit(MODELS[name], cohort.assign(pdl1_tps=np.nan), y)
        X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
        assert np.isfinite(model.predict_proba(X)).all(), name
        assert "pdl1_tps" not in inputs_used(model), name


@pytest.mark.parametrize("name", LEARNERS)
def test_forty_patients_of_one_type_with_a_constant_feature(name, data):
    cohort, y = data
    rows = np.concatenate([np.flatnonzero(y == 1)[:8], np.flatnonzero(y == 0)[:32]])
    few = cohort.iloc[rows].reset_index(drop=True).assign(tumor_type="NSCLC", albumin_g_dl=4.0)
    if getattr(MODELS[name], "choose", False):
        with pytest.raises(ConfigError, match=r"Choosing among .* needs 10 patients with and without the event"):
            fit(MODELS[name], few, y[rows])
        return
    model = fit(MODELS[name], few, y[rows])
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    p = model.predict_proba(X)[:, 1]
    assert np.isfinite(p).all()
    assert ((p > 0) & (p < 1)).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_results_do_not_depend_on_threads(name, data):
    from threadpoolctl import threadpool_limits

    cohort, y = data
    p = []
    for limit in (1, 2):
        with threadpool_limits(limits=limit):
            model = fit(MODELS[name], cohort, y)
            X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
            p.append(model.predict_proba(X))
    assert np.allclose(p[0], p[1], rtol=0, atol=1e-9)
