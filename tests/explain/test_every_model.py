"""Every learned model of conf/model: values of source features add up, out of fold, whatever is missing."""

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy.special import expit, logit
from sklearn.base import clone

from immunocast.cohort.outcomes import make_labels, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, conf_dir, load_config
from immunocast.errors import ConfigError
from immunocast.explain.sampled import explain_sampled
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame

NAMES = sorted(p.stem for p in conf_dir().glob("model/*.yaml"))
FULL = load_config()
KEPT = {key: value for key, value in FULL.items() if key != "models"}
SMALL = {
    "forest": ["estimator.n_estimators=10"],
    "xgboost": ["estimator.n_estimators=15"],
    "update_xgboost": ["estimator.n_estimators=15"],
    "hist_gb": ["estimator.max_iter=10"],
    "blend": ["parts.forest.estimator.n_estimators=5", "parts.xgboost.estimator.n_estimators=10"],
    "choose": ["parts.forest.estimator.n_estimators=5", "parts.xgboost.estimator.n_estimators=10"],
}


def shipped(name, *more):
    """The model of conf/model alone, small."""
    config = OmegaConf.create({**KEPT, "models": {name: read(name)}})
    for setting in (*SMALL.get(name, ()), *more):
        path, value = setting.split("=")
        OmegaConf.update(config, f"models.{name}.{path}", yaml.safe_load(value), force_add=True)
    return build_models(config)[name]


def read(name):
    """A file of conf/model with the models that it is made of."""
    content = yaml.safe_load((conf_dir() / "model" / f"{name}.yaml").read_text())
    for entry in content.pop("defaults", []):
        for place, of in {} if entry == "_self_" else entry.items():
            content.setdefault("parts", {})[place.rsplit(".", 1)[1]] = read(of)
    return content


@pytest.fixture(scope="module")
def cohort():
    table = SyntheticCohort(n_patients=360, seed=11).load().cohort
    known = make_labels(table).y.notna()
    return table[known].reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(cohort):
    """Fitted on two thirds; made when asked for."""
    made, y = {}, make_labels(cohort).y.to_numpy(dtype=int)
    train = cohort["cohort_id"] != cohort["cohort_id"].iloc[0]

    def of(name):
        if name not in made:
            model = clone(shipped(name))
            known = cohort[train]
            X = model_frame(known, model.spec.inputs, by_cohort=model.spec.by_cohort)
            more = {} if model.spec.target == "label" else {"survival": survival_of(known, model.spec.target)}
            made[name] = model.fit(X, y[train], **more)
        return made[name]

    return of


LEARNED = [name for name in NAMES if shipped(name).spec.learned]


def test_the_list_of_learned_models_is_not_empty():
    assert {"ridge", "cox_os", "blend", "choose", "update", "hist_gb"} <= set(LEARNED)


def gaps(cohort, model, seed, share, rare):
    """Patients with values struck out and categories that nobody had in training."""
    rng = np.random.default_rng(seed)
    X = model_frame(cohort.sample(12, random_state=seed), model.spec.inputs, by_cohort=model.spec.by_cohort)
    for name in model.spec.optional:
        X.loc[rng.random(len(X)) < share, name] = np.nan
    if rare:
        X["tumor_type"] = np.where(rng.random(len(X)) < 0.5, "Mesothelioma", X["tumor_type"])
    return X


@pytest.mark.parametrize("name", LEARNED)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.4, 1.0]), rare=st.booleans())
def test_values_of_source_features_add_up_to_the_output(fitted, cohort, name, seed, share, rare):
    model = fitted(name)
    X = gaps(cohort, model, seed, share, rare)
    if model.spec.explainer == "none":
        with pytest.raises(ConfigError):
            explain_learner(model, X)
        found = explain_sampled(model, X, gaps(cohort, model, seed + 1, 0.3, False), seed=1, n_pairs=3)
    else:
        found = explain_learner(model, X)
        assert found.errors is None
        assert "sampled" not in found.method
    assert found.values.columns.tolist() == list(dict.fromkeys(found.values.columns))
    assert set(found.values) <= set(model.spec.inputs)
    assert np.allclose(found.base_value + found.values.sum(axis=1), found.output, atol=1e-4)
    p = model.predict_proba(X)[:, 1]
    if found.scale == "log-hazard":
        link = model.estimator_
        assert np.allclose(link.link_intercept_ + link.link_slope_ * found.output, logit(p), atol=1e-9)
    else:
        assert np.allclose(found.output if found.scale == "probability" else expit(found.output), p, atol=1e-5)


@pytest.mark.parametrize("name", ["cox_os", "cox_pfs"])
def test_a_hazard_is_explained_around_the_mean_training_patient(fitted, cohort, name):
    model = fitted(name)
    train = cohort[cohort["cohort_id"] != cohort["cohort_id"].iloc[0]]
    found = explain_learner(model, model_frame(train, model.spec.inputs, by_cohort=True))
    assert found.scale == "log-hazard"
    assert found.base_value == pytest.approx(0, abs=1e-9)
    assert found.output.mean() == pytest.approx(0, abs=1e-9)
    risk = model.risk_score(model_frame(train, model.spec.inputs, by_cohort=True))
    assert np.allclose(np.diff(found.output), np.diff(risk))
    old = clone(shipped(name, "output_scale=log-odds"))
    old.preprocessor_, old.expander_, old.estimator_, old.background_ = (
        model.preprocessor_, None, model.estimator_, model.background_,
    )  # fmt: skip
    odds = explain_learner(old, model_frame(train, model.spec.inputs, by_cohort=True))
    assert odds.scale == "log-odds"
    assert np.allclose(odds.values, model.estimator_.link_slope_ * found.values), "the same but for the link's slope"


def test_hazards_belong_to_survival_models():
    with pytest.raises(ConfigError, match="has no hazard"):
        _ = shipped("ridge", "output_scale=log-hazard").spec


def test_histogram_boosting_in_a_blend_is_exact(fitted, cohort):
    from immunocast.models.blend import Blend

    parts = {"ridge": fitted("ridge"), "hist_gb": fitted("hist_gb")}
    blend = Blend(parts)
    assert blend.spec.explainer == "blend"
    blend.parts_, blend.weights_ = parts, {"ridge": 0.25, "hist_gb": 0.75}
    X = model_frame(cohort.head(20), blend.spec.inputs, by_cohort=True)
    found = explain_learner(blend, X)
    one, two = (explain_learner(part, X) for part in parts.values())
    assert found.method == "linear+tree_path_dependent"
    expected = (0.25 * one.values).add(0.75 * two.values, fill_value=0)
    pd.testing.assert_frame_equal(found.values, expected[found.values.columns])


def test_a_chosen_forest_is_explained_as_a_forest_and_a_mixed_one_not_at_all(fitted, cohort):
    from immunocast.models.blend import Blend

    forest, ridge = fitted("forest"), fitted("ridge")
    chosen = Blend({"forest": forest, "ridge": ridge}, choose=True)
    assert chosen.spec.explainer == "blend", "whatever is chosen has an exact explanation"
    assert Blend({"forest": forest, "ridge": ridge}).spec.explainer == "none"
    chosen.parts_, chosen.weights_ = {"forest": forest}, {"forest": 1.0, "ridge": 0.0}
    assert chosen.spec.output_scale == "probability"
    X = model_frame(cohort.head(20), chosen.spec.inputs, by_cohort=True)
    found, alone = explain_learner(chosen, X), explain_learner(forest, X)
    assert found.scale == "probability"
    pd.testing.assert_frame_equal(found.values, alone.values)
    mixed = Blend({"forest": forest, "ridge": ridge})
    mixed.parts_, mixed.weights_ = {"forest": forest, "ridge": ridge}, {"forest": 0.5, "ridge": 0.5}
    with pytest.raises(ConfigError, match="part forest of a blend is not explained on log-odds"):
        explain_learner(mixed, X)
