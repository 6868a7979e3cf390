"""Models that were made for response, brought to endpoints that response speaks against or says nothing about."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import ENDPOINTS, make_endpoint, make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, build_oriented, load_config
from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.metrics import auroc
from immunocast.models.bundle import load_bundle, save_bundle
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.loris import LorisRouted
from immunocast.models.orientation import orient

PUBLISHED = ["tmb_10", "pdl1_1", "pdl1_50", "loris_pan", "loris_nsclc", "loris_routed"]
SIGNS = {"tmb_mut_mb": 1, "nlr": -1}


@pytest.fixture(scope="module")
def cohort():
    return SyntheticCohort(n_patients=600, n_cohorts=1, seed=5).load().cohort


def test_nothing_changes_for_endpoints_of_benefit():
    models = build_models(load_config())
    for name in ("response", "dcb"):
        oriented = orient(models, make_endpoint(name))
        assert oriented.left_out == {}
        assert oriented.notes == ()
        assert all(oriented.models[n] is m for n, m in models.items())


@pytest.mark.parametrize("name", ["primary_resistance", "os", "pfs"])
def test_what_response_speaks_against_turns_models_round(name):
    oriented = build_oriented(load_config([f"endpoint={name}"]))
    assert oriented.left_out == {}
    assert all(oriented.models[n].reverse for n in PUBLISHED)
    signs = oriented.models["xgboost"].estimator.get_params()["monotone_constraints"]
    assert signs["tmb_mut_mb"] == -1
    assert signs["nlr"] == 1
    assert oriented.models["ridge"].get_params()["estimator__C"] == 0.1
    turned, constrained = oriented.notes
    assert "They were not published for it." in turned
    assert "Routed LORIS" in turned
    assert "reversed" in constrained
    assert "XGBoost" in constrained


@pytest.mark.parametrize("name", ["acquired_resistance", "irae", "irae_grade3"])
def test_where_response_tells_no_direction_nothing_is_pretended(name):
    oriented = build_oriented(load_config([f"endpoint={name}"]))
    assert sorted(oriented.left_out) == sorted(PUBLISHED)
    assert list(oriented.models) == ["ridge", "forest", "xgboost"]
    assert oriented.models["xgboost"].estimator.get_params()["monotone_constraints"] is None
    assert "dropped" in oriented.notes[0]
    assert "Left out: " in oriented.notes[1]


@pytest.mark.parametrize(("name", "sign"), [("response", 1), ("os", -1), ("irae", None)])
def test_every_learner_that_ships_is_oriented(name, sign):
    """Constraints turn or go; splines, slopes by type and Cox models have no direction of their own."""
    oriented = build_oriented(load_config(["models=full", f"endpoint={name}"]))
    signs = oriented.models["hist_gb"].estimator.monotonic_cst
    assert (signs["tmb_mut_mb"] if sign else signs) == sign
    plain = build_models(load_config(["models=full"]))
    for free in ("elastic_net", "partial_pooling", "cox_os", "cox_pfs"):
        assert str(oriented.models[free].get_params()) == str(plain[free].get_params())
    told = " ".join(oriented.notes)
    assert ("Histogram boosting" in told) == (sign != 1)
    assert "Cox" not in told


def test_a_headline_model_that_was_left_out_is_refused():
    with pytest.raises(ConfigError, match=r"headline_model: Routed LORIS predicts response.*Name another model"):
        build_models(load_config(["endpoint=irae", "evaluation.headline_model=loris_routed"]))


def test_constraints_given_as_a_list_turn_too():
    from sklearn.ensemble import HistGradientBoostingClassifier

    from immunocast.models.learner import Learner

    learner = Learner(HistGradientBoostingClassifier(monotonic_cst=[1, 0, -1]), {"tumor_type": {}})
    (turned,) = orient({"m": learner}, make_endpoint("os")).models.values()
    assert turned.estimator.get_params()["monotonic_cst"] == [-1, 0, 1]
    assert learner.estimator.get_params()["monotonic_cst"] == [1, 0, -1], "the configured model stays as it is"
    (free,) = orient({"m": learner}, make_endpoint("irae")).models.values()
    assert free.estimator.get_params()["monotonic_cst"] is None


def test_a_turned_formula_is_one_minus_p_and_ranks_resistance(cohort):
    X = model_frame(cohort, LorisRouted().spec.inputs)
    p = LorisRouted().fit(X, None).predict_proba(X)[:, 1]
    turned = LorisRouted(reverse=True).fit(X, None)
    q = turned.predict_proba(X)[:, 1]
    np.testing.assert_allclose(q, 1 - p, atol=1e-12)
    assert turned.spec.label == "Routed LORIS, 1 - p"
    y = make_labels(cohort, "primary_resistance").y
    known = y.notna().to_numpy() & ~np.isnan(q)
    assert auroc(y[known].to_numpy(dtype=int), q[known]) > 0.55


def test_a_turned_rule_keeps_its_direction_and_takes_the_rates_of_the_event(cohort):
    X = pd.DataFrame({"tmb_mut_mb": [2.0, 3, 4, 12, 20, 30, np.nan]})
    y = [1, 1, 0, 0, 0, 1, 1]
    rule = MarkerCutoff("tmb_mut_mb", 10, reverse=True).fit(X, y)
    p = rule.predict_proba(X)[:, 1]
    assert p[:6] == pytest.approx([2 / 3] * 3 + [1 / 3] * 3)
    assert np.isnan(p[6])
    assert rule.spec.label == "TMB < 10"
    assert rule.predict(X).tolist() == [1, 1, 1, 0, 0, 0, 0]
    against = MarkerCutoff("tmb_mut_mb", 10, reverse=True).fit(X, 1 - np.array(y)).predict_proba(X)[:, 1]
    assert against[0] > against[3], "a training fold that contradicts the rule does not turn it"


@pytest.mark.parametrize("model", [LorisRouted(reverse=True), MarkerCutoff("tmb_mut_mb", 10, reverse=True)])
def test_turned_models_are_stored_as_such(cohort, model, tmp_path):
    X = model_frame(cohort, model.spec.inputs)
    y = make_labels(cohort, "pfs").y
    known = y.notna().to_numpy()
    fitted = model.fit(X[known], y[known].to_numpy(dtype=int))
    back = load_bundle(save_bundle(fitted, tmp_path / "b"))
    np.testing.assert_array_equal(back.predict_proba(X), fitted.predict_proba(X))
    assert back.spec == fitted.spec
    assert back.spec.predicts == "response"


def test_reversed_constraints_hold_in_the_fitted_booster(cohort):
    """A higher NLR may never lower the probability of death, whatever the fold says."""
    from xgboost import XGBClassifier

    from immunocast.models.learner import Learner

    estimator = XGBClassifier(n_estimators=40, max_depth=3, monotone_constraints=SIGNS, random_state=1, n_jobs=1)
    learner = Learner(estimator, {"tumor_type": {}, **{c: {} for c in SIGNS}}, impute="none", scale=False)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"tumor_type": ["NSCLC"] * 300, "tmb_mut_mb": rng.gamma(2, 4, 300), "nlr": rng.gamma(2, 3, 300)})
    noise = rng.integers(0, 2, 300)
    for name, sign in (("response", 1), ("os", -1)):
        (model,) = orient({"m": learner}, make_endpoint(name)).models.values()
        fitted = model.fit(X, noise)
        grid = X.iloc[np.zeros(50, dtype=int)].assign(nlr=np.linspace(0, 20, 50))
        assert (-sign * np.diff(fitted.predict_proba(grid)[:, 1]) >= -1e-7).all()


def test_every_endpoint_says_where_markers_point():
    assert {cls.markers for cls in ENDPOINTS.values()} == {"same", "reversed", "unknown"}
