"""Cox models as response scores: held to lifelines, linked out of fold, clear about what they lack."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.base import clone

from immunocast.cohort.outcomes import Survival, make_labels, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.errors import ConfigError
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame
from immunocast.metrics import auroc
from immunocast.models.bundle import load_bundle, save_bundle
from immunocast.models.cox import CoxResponse, fit_cox, fit_link
from immunocast.models.learner import Learner
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import LeaveOneCohortOut


def times(n=300, p=4, seed=0, grid=0.0):
    """Covariates, times, events, strata; with `grid` times are rounded up to it, so that many are tied."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    time = rng.exponential(12 * np.exp(-x @ np.linspace(0.6, -0.4, p)))
    censored = rng.uniform(0, 30, n)
    event = (time <= censored).astype(float)
    time = np.minimum(time, censored)
    return x, np.ceil(time / grid) * grid if grid else time, event, rng.integers(0, 3, n)


# lifelines asks the clock in a way that Python deprecates
@pytest.mark.filterwarnings("ignore::DeprecationWarning:lifelines")
@pytest.mark.parametrize("grid", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("penalty", [0.5, 30.0])
def test_hazards_equal_lifelines(grid, penalty):
    from lifelines import CoxPHFitter

    x, time, event, strata = times(grid=grid)
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)  # lifelines penalises what it standardised so
    frame = pd.DataFrame(x, columns=list("abcd")).assign(t=time, e=event, s=strata)
    peer = CoxPHFitter(penalizer=penalty / len(x)).fit(frame, "t", "e", strata=["s"], fit_options={"precision": 1e-9})
    assert np.allclose(fit_cox(x, time, event, strata, penalty), peer.params_.to_numpy(), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), grid=st.sampled_from([0.0, 3.0]), penalty=st.floats(0.01, 100))
def test_the_gradient_vanishes_at_the_optimum(seed, grid, penalty):
    """Numerically, from a likelihood written as a loop over deaths."""
    x, time, event, strata = times(n=60, p=2, seed=seed, grid=grid)

    def objective(beta):
        value = -penalty / 2 * beta @ beta
        for s in np.unique(strata):
            own = strata == s
            for t in np.unique(time[own & (event == 1)]):
                dead = own & (time == t) & (event == 1)
                risk = np.exp(x[own & (time >= t)] @ beta).sum()
                tied = np.exp(x[dead] @ beta).sum()
                value += (x[dead] @ beta).sum()
                value -= sum(np.log(risk - k / dead.sum() * tied) for k in range(dead.sum()))
        return value

    beta = fit_cox(x, time, event, strata, penalty)
    for j in range(2):
        step = np.eye(2)[j] * 1e-4
        assert abs(objective(beta + step) - objective(beta - step)) / 2e-4 < 1e-4
        assert objective(beta) >= max(objective(beta + 100 * step), objective(beta - 100 * step))


def test_only_order_within_strata_matters():
    x, time, event, strata = times()
    beta = fit_cox(x, time, event, strata, 1.0)
    later = np.where(strata == 1, 5 * time + 3, time)
    assert np.allclose(fit_cox(x, later, event, strata, 1.0), beta)
    assert not np.allclose(fit_cox(x, later, event, np.zeros_like(strata), 1.0), beta, atol=1e-3)


def test_a_time_of_zero_and_a_stratum_without_events():
    x, time, event, strata = times()
    event = np.where(strata == 2, 0.0, event)
    beta = fit_cox(x, time, event, strata, 1.0)
    own = strata != 2
    assert np.allclose(beta, fit_cox(x[own], time[own], event[own], strata[own], 1.0))
    assert np.isfinite(fit_cox(x, np.where(time < 1, 0, time), event, strata, 1.0)).all()
    assert (fit_cox(x, time, np.zeros(len(x)), strata, 1.0) == 0).all()


def test_the_link_equals_a_ridge_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    lp = rng.normal(3, 0.4, 200)
    y = (rng.random(200) < expit(-2 * (lp - 3) - 1)).astype(int)
    z = ((lp - lp.mean()) / lp.std())[:, None]
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(z, y)
    a, b = fit_link(lp, y)
    assert b * lp.std() == pytest.approx(peer.coef_[0, 0], abs=1e-5)
    assert a + b * lp.mean() == pytest.approx(peer.intercept_[0], abs=1e-5)


@pytest.mark.parametrize("lp", [np.repeat([0.0, 1.0], 20), np.zeros(40)], ids=["separated", "constant"])
def test_the_link_is_finite_where_likelihood_is_not(lp):
    y = np.repeat([1, 0], 20)
    a, b = fit_link(lp, y)
    assert np.isfinite([a, b]).all()
    assert expit(a + b * lp).mean() == pytest.approx(0.5, abs=1e-6)
    assert b < 0 if lp.any() else b == 0


# -- the model ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=600, seed=8).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


@pytest.fixture(scope="module")
def shipped():
    return build_models(load_config(["models=full"]))


def fit(model, data, survival=None):
    cohort, y = data
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    return clone(model).fit(X, y, survival=survival or survival_of(cohort, model.spec.target)), X


@pytest.mark.parametrize("name", ["cox_os", "cox_pfs"])
def test_log_odds_are_linear_in_the_hazard(name, shipped, data, tmp_path):
    model, X = fit(shipped[name], data)
    p, lp = model.predict_proba(X)[:, 1], model.risk_score(X)
    estimator = model.estimator_
    assert estimator.link_slope_ < 0, "a higher hazard goes with less response"
    gaps = logit(p) - estimator.link_slope_ * lp
    assert np.ptp(gaps) < 1e-9
    explanation = explain_learner(model, X)
    total = explanation.base_value + explanation.values.sum(axis=1)
    assert explanation.scale == "log-hazard"
    assert np.allclose(estimator.link_intercept_ + estimator.link_slope_ * total, logit(p), atol=1e-9)
    back = load_bundle(save_bundle(model, tmp_path / "b"))
    assert np.array_equal(back.predict_proba(X), model.predict_proba(X))
    assert np.array_equal(back.risk_score(X), lp)
    assert back.spec == model.spec
    assert back.spec.target == name.removeprefix("cox_")
    assert sorted(f.name for f in (tmp_path / "b").iterdir()) == ["bundle.json"]


def test_the_score_ranks_survival_in_other_patients(shipped, data):
    from sksurv.metrics import concordance_index_censored

    cohort, y = data
    train = (cohort["cohort_id"] != cohort["cohort_id"].iloc[-1]).to_numpy()
    survival = survival_of(cohort, "os")
    model = clone(shipped["cox_os"])
    X = model_frame(cohort, model.spec.inputs, by_cohort=True)
    model.fit(X[train], y[train], survival=survival.take(np.flatnonzero(train)))
    test = ~train & survival.known
    lp = model.risk_score(X[test])
    assert concordance_index_censored(survival.event[test] == 1, survival.time_months[test], lp)[0] > 0.55
    assert auroc(y[test], model.predict_proba(X[test])[:, 1]) > 0.55


def test_the_stratum_of_a_new_cohort_is_not_needed(shipped, data):
    model, X = fit(shipped["cox_os"], data)
    p = model.predict_proba(X)
    assert np.array_equal(model.predict_proba(X.assign(cohort_id="elsewhere")), p)
    assert np.array_equal(model.predict_proba(X.drop(columns="cohort_id")), p)


def test_patients_without_survival_enter_the_link_only(shipped, data):
    cohort, y = data
    whole = survival_of(cohort, "os")
    some = np.arange(len(y)) % 2 == 0
    half = Survival(np.where(some, whole.time_months, np.nan), np.where(some, whole.event, np.nan))
    model, X = fit(shipped["cox_os"], data, half)
    assert model.estimator_.n_times_ == (some & whole.known).sum()
    # labels of those without a time move the link, and nothing else
    flipped = np.where(some, y, 1 - y)
    other = clone(shipped["cox_os"]).fit(X, flipped, survival=half)
    assert np.array_equal(other.estimator_.beta_, model.estimator_.beta_)
    assert other.estimator_.link_slope_ != model.estimator_.link_slope_


def test_the_link_is_not_fitted_on_the_patients_who_fitted_the_hazards(data):
    """Many columns of noise and few patients: in the sample they seem to tell response, out of fold they do not."""
    rng = np.random.default_rng(0)
    n, p = 120, 40
    Z = pd.DataFrame(rng.normal(size=(n, p)))
    time = rng.exponential(10, n)
    y = (time > 10).astype(int)
    survival = Survival(time, np.ones(n))
    model = CoxResponse(C=10.0).fit(Z, y, survival, np.zeros(n))
    in_sample = fit_link(model.risk_score(Z), y)[1]
    assert abs(in_sample) > 0.8
    assert abs(model.link_slope_) < abs(in_sample) / 4


def test_the_links_folds_keep_a_person_together():
    """Every patient there twice, under two ids or drawn twice by a bootstrap: the twin must not tell."""
    rng = np.random.default_rng(0)
    n, p = 120, 40
    Z = pd.DataFrame(np.tile(rng.normal(size=(n, p)), (2, 1)))
    time = np.tile(rng.exponential(10, n), 2)
    y = (time > 10).astype(int)
    model = CoxResponse(C=10.0)
    survival, strata = Survival(time, np.ones(2 * n)), np.zeros(2 * n)
    strangers = clone(model).fit(Z, y, survival, strata).link_slope_
    twins = clone(model).fit(Z, y, survival, strata, np.tile(np.arange(n), 2)).link_slope_
    assert abs(twins) < abs(strangers) / 3
    # where every row is a person, to say so changes nothing
    alone = clone(model).fit(Z, y, survival, strata, np.arange(2 * n))
    assert alone.link_slope_ == strangers


def test_a_learner_tells_its_cox_model_the_persons(shipped, data):
    cohort, y = data
    twice = pd.concat([cohort, cohort.assign(patient_id=cohort["patient_id"] + "-2")], ignore_index=True)
    strangers = twice.assign(person_id=twice["patient_id"])
    model = clone(shipped["cox_os"]).set_params(estimator__C=100.0)
    of_persons, of_strangers = (
        fit(model, (table, np.tile(y, 2)))[0].estimator_.link_slope_ for table in (twice, strangers)
    )
    assert abs(of_persons) < abs(of_strangers) - 0.01


@pytest.mark.parametrize("endpoint", ["response", "primary_resistance", "os"])
def test_direction_follows_the_label(endpoint, shipped):
    cohort = SyntheticCohort(n_patients=600, seed=8).load().cohort
    model = build_models(load_config(["models=full", f"endpoint={endpoint}"]))["cox_os"]
    labels = make_labels(cohort, endpoint).y
    known = labels.notna().to_numpy()
    fitted, _ = fit(model, (cohort[known].reset_index(drop=True), labels[known].to_numpy(dtype=int)))
    assert np.sign(fitted.estimator_.link_slope_) == (-1 if endpoint == "response" else 1)


def test_no_times_and_no_events_name_the_cohorts(shipped, data):
    cohort, _ = data
    nan = np.full(len(cohort), np.nan)
    with pytest.raises(ConfigError, match=r"no time to event to learn from.*synthetic-A, synthetic-B.*leave"):
        fit(shipped["cox_os"], data, Survival(nan, nan))
    with pytest.raises(ConfigError, match=r"no event to learn from.*are censored.*1 = event"):
        fit(shipped["cox_os"], data, Survival(np.ones(len(cohort)), np.zeros(len(cohort))))


def test_what_a_caller_forgot_is_named(shipped, data):
    cohort, y = data
    model = clone(shipped["cox_os"])
    X = model_frame(cohort, model.spec.inputs, by_cohort=True)
    with pytest.raises(ConfigError, match="hand its times to event"):
        model.fit(X, y)
    with pytest.raises(ConfigError, match="was not told the cohorts"):
        model.fit(X.drop(columns="cohort_id"), y, survival=survival_of(cohort, "os"))
    with pytest.raises(ConfigError, match="has no hazard"):
        clone(shipped["ridge"]).fit(X, y).risk_score(X)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "label"}, "set target to os or pfs"),
        ({"target": "dfs"}, "target is 'dfs'"),
        ({"estimator__C": 0}, "estimator.C is 0"),
        ({"estimator__link_folds": 1}, "link_folds is 1"),
    ],
)
def test_settings_that_cannot_be_used_are_named(change, words, shipped, data):
    with pytest.raises(ConfigError, match=words):
        fit(clone(shipped["cox_os"]).set_params(**change), data, survival_of(data[0], "os"))


def test_a_classifier_of_labels_takes_no_times(shipped):
    with pytest.raises(ConfigError, match="takes labels only"):
        _ = clone(shipped["ridge"]).set_params(target="os").spec


def test_forty_patients(shipped, data):
    cohort, y = data
    rows = np.concatenate([np.flatnonzero(y == 1)[:3], np.flatnonzero(y == 0)[:37]])
    model, X = fit(shipped["cox_os"], (cohort.iloc[rows].reset_index(drop=True), y[rows]))
    p = model.predict_proba(X)[:, 1]
    assert np.isfinite(p).all()
    assert p.mean() == pytest.approx(3 / 40, abs=0.03)


def test_cross_predict_hands_over_the_times_of_the_training_fold(shipped, data):
    cohort, y = data
    models = {"cox_os": shipped["cox_os"], "ridge": shipped["ridge"]}
    result = cross_predict(cohort, pd.Series(y, dtype="Int64"), models, LeaveOneCohortOut())
    own = result.predictions[result.predictions["model"] == "cox_os"]
    assert own["p_response"].notna().all()
    for split in result.splits:
        fitted = result.bundles["cox_os", split.key]
        assert fitted.estimator_.n_times_ == survival_of(cohort, "os").take(split.train).known.sum()
        # the times of those left out change nothing
        wild = cohort.copy()
        wild.loc[split.test, "os_months"] = 1.0
        again = cross_predict(wild, pd.Series(y, dtype="Int64"), models, LeaveOneCohortOut())
        a, b = (r.bundles["cox_os", split.key].estimator_.beta_ for r in (result, again))
        assert np.array_equal(a, b)


def test_params_follow_scikit_learn(shipped):
    twin = clone(shipped["cox_os"]).set_params(estimator__C=0.5)
    assert isinstance(twin, Learner)
    assert twin.get_params()["estimator__C"] == 0.5
