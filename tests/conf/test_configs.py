"""Every file of conf/ composes, instantiates and works."""

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from sklearn.base import clone

from immunocast.cohort.outcomes import ENDPOINTS, make_labels, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import (
    build,
    build_models,
    check,
    conf_dir,
    endpoint_of,
    frozen,
    inner_settings,
    load_config,
    params_yaml,
    prices_of,
)
from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.validation.search_space import checked_space, distributions
from immunocast.validation.studies import Trial


def _names(group):
    return sorted(p.stem for p in (conf_dir() / group).glob("*.yaml"))


@pytest.fixture(scope="module")
def sixty():
    cohort = SyntheticCohort(n_patients=70, n_cohorts=1, seed=5).load().cohort
    labels = make_labels(cohort).y
    known = labels.notna().to_numpy()
    return cohort[known].head(60), labels[known].head(60).to_numpy(dtype=int)


@pytest.mark.parametrize("name", _names("model"))
def test_every_model_fits_sixty_patients(name, sixty):
    cohort, y = sixty
    cfg = load_config([f"+model@models.tried={name}"])
    model = clone(build_models(cfg)["tried"])
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    target = model.spec.target
    p = model.fit(X, y, **({} if target == "label" else {"survival": survival_of(cohort, target)})).predict_proba(X)
    known = X[list(model.spec.required)].notna().all(axis=1).to_numpy()
    if name == "loris_nsclc":
        known = known & (X["tumor_type"] == "NSCLC").to_numpy()
    assert p.shape == (60, 2)
    assert np.isfinite(p[known]).all()
    assert np.isnan(p[~known]).all()
    assert ((p[known] >= 0) & (p[known] <= 1)).all()
    assert model.spec.label


@pytest.mark.parametrize("name", _names("validation"))
def test_every_scheme_splits(name, sixty):
    extra = {
        "train_test": ["validation.train=[a]", "validation.test=[b]"],
        "external": ["validation.test=[b]"],
        "temporal": ["validation.test_from=2017"],
    }.get(name, [])
    scheme = build(load_config([f"validation={name}", *extra]).validation, "validation")
    cohort = SyntheticCohort(n_patients=200, n_cohorts=["a", "b"], seed=5).load().cohort
    cohort["cohort_id"] = cohort["cohort_id"].str.replace("synthetic-", "")
    y = make_labels(cohort).y
    known = y.notna().to_numpy()
    splits = list(scheme.split(cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)))
    assert splits
    assert all(len(s.train) and len(s.test) for s in splits)


def test_every_tuning_is_built():
    assert _names("tuning") == ["none", "optuna"]
    assert inner_settings(load_config(["tuning=none"])).tuning is None
    cfg = load_config(["tuning=optuna", "seed=7"])
    check(cfg)
    tuning = inner_settings(cfg).tuning
    assert (tuning.seed, tuning.storage, tuning.criterion) == (7, None, "log_loss")
    tuning.check(build_models(cfg))


def test_the_place_of_finished_trials_is_no_part_of_what_a_run_was():
    cfg = load_config(["tuning=optuna", "tuning.storage=/secret/tuning.db"])
    assert "/secret" not in yaml.safe_dump(frozen(cfg))
    assert frozen(cfg) == frozen(load_config(["tuning=optuna"]))


@pytest.mark.parametrize("name", ["ridge", "forest", "xgboost"])
def test_shipped_search_spaces_hold_the_configured_parameters(name):
    """Else trial 0 says nothing to the sampler."""
    model = build_models(load_config())[name]
    trial = Trial({key: model.get_params()[key] for key in model.search}, 0.5)
    assert trial.frozen(distributions(checked_space(name, model))).params == trial.params


@pytest.mark.parametrize("name", _names("cohort"))
def test_every_cohort_is_built(name):
    assert callable(build(load_config([f"cohort={name}"]).cohort, "cohort").load)


@pytest.mark.parametrize("name", _names("endpoint"))
def test_every_endpoint_is_built_and_the_file_says_its_defaults(name):
    cfg = load_config([f"endpoint={name}"])
    check(cfg)
    endpoint = endpoint_of(cfg)
    assert endpoint == ENDPOINTS[name]()
    assert frozen(cfg)["endpoint"] == endpoint.to_dict(), "the file shows every setting"


def test_there_is_a_file_for_every_endpoint():
    assert _names("endpoint") == sorted(ENDPOINTS)


def test_a_setting_reaches_the_endpoint_and_a_name_alone_will_do():
    assert endpoint_of(load_config(["endpoint=os", "endpoint.horizon_months=24"])).horizon_months == 24
    from_file = OmegaConf.merge(load_config(), {"endpoint": None})
    from_file.endpoint = "dcb"  # as `endpoint: dcb` in a configuration of one's own
    assert endpoint_of(from_file).name == "dcb"


@pytest.mark.parametrize("name", _names("cohort"))
def test_a_quick_run_of_any_cohort_can_be_asked_for(name):
    cfg = load_config(["experiment=quick", f"cohort={name}"])
    check(cfg)
    assert cfg.evaluation.n_resamples == 200
    assert cfg.cohort == load_config([f"cohort={name}"]).cohort


@pytest.mark.parametrize("name", _names("engine"))
def test_every_engine_maps_in_order(name):
    engine = build(load_config([f"engine={name}"]).engine, "engine")
    assert engine.map(abs, [-3, 2, -1]) == [3, 2, 1]


@pytest.mark.parametrize("name", _names("experiment"))
def test_every_experiment_composes_and_passes_the_check(name):
    check(load_config([f"experiment={name}"]))


@pytest.mark.parametrize("name", _names("tracking"))
def test_every_store_is_built(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = load_config([f"tracking={name}"])
    assert name == "none" or build(cfg.tracking, "tracking").uri.startswith("sqlite:////")


def test_params_yaml_is_the_composed_configuration(root):
    cfg = load_config()
    assert (root / "params.yaml").read_text() == params_yaml(cfg), "run: make params"


def test_params_yaml_composes_to_the_same_configuration(root):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(root), version_base="1.3"):
        from_params = compose("params", overrides=[f"hydra.searchpath=[file://{conf_dir()}]"])
    assert frozen(from_params) == frozen(load_config())


def test_no_place_enters_params_or_the_frozen_configuration(root, monkeypatch):
    monkeypatch.setenv("IMMUNOCAST_DATA", "/secret/place")
    for overrides in ([], ["cohort=loris"]):
        cfg = load_config([*overrides, "paths.runs=/secret/runs"])
        for text in (params_yaml(cfg), yaml.safe_dump(frozen(cfg))):
            assert "/secret" not in text
    loris = frozen(load_config(["cohort=loris"]))["cohort"]
    assert loris["name"] == "loris"
    assert len(loris["sha256"]) == 64


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["evaluation.n_resamples=many"], ["n_resamples", "many"]),
        (["evaluation.n_resamples=5"], ["n_resamples", "100"]),
        (["evaluation.thresholds=[0.2,1.5]"], ["thresholds", "between 0 and 1"]),
        (["evaluation.headline_model=rigde"], ["rigde", "ridge"]),
        (["~models.loris_routed"], ["loris_routed", "references"]),
        (["validation=train_test"], ["validation.train", "KEY=VALUE"]),
        (["+evaluation.bootstrap=5"], ["bootstrap"]),
        (["seed=one"], ["seed", "one"]),
        (["seed=-1"], ["seed is -1"]),
        (["explain.by=sex"], ["explain.by=[sex]"]),
        (["endpoint=dcb", "+endpoint.horizon_months=12"], ["endpoint.horizon_months", "dcb", "durable_months"]),
        (["endpoint=os", "endpoint.horizon_months=-2"], ["endpoint.horizon_months is -2"]),
        (["endpoint=response", "endpoint.arms=[placebo]"], ["placebo", "control"]),
        (["evaluation.thresholds=0.3"], ["evaluation.thresholds=[0.3]"]),
        (["recalibration.methods=platt"], ["recalibration.methods=[platt]"]),
        (["recalibration.methods=[plat]"], ["'plat'", "isotonic", "intercept_site"]),
        (["recalibration.inner_splits=1"], ["recalibration.inner_splits is 1"]),
        (["decisions.rules=[yuden]"], ["'yuden'", "sensitivity_90"]),
        (["decisions.rules=[youden,youden]"], ["twice"]),
        (["tuning=optuna", "tuning.criterion=loss"], ["tuning.criterion", "brier"]),
        (["tuning=optuna", "tuning.n_trials=0"], ["tuning.n_trials is 0"]),
        (["tuning=optuna", "tuning.storage=trials"], ["tuning.storage", ".db"]),
        (["tuning=optuna", "tuning.timeout_s=-1"], ["tuning.timeout_s is -1"]),
        (["evaluation.references=[loris+platt]"], ["loris+platt", "references"]),
        (["evaluation.references=[loris_routed+beta]"], ["loris_routed+beta", "recalibration.methods is [platt]"]),
        (["evaluation.subgroup_models=[ridge+foo]"], ["ridge+foo", "recalibration.methods"]),
        (["evaluation.headline_model=ridge+platt"], ["ridge+platt", "without a recalibration: ridge"]),
        (["decisions.prices.treatment=cheap"], ["decisions.prices.treatment", "cheap"]),
        (["decisions.prices.test.dna=null"], ["decisions.prices.test.dna", "0 where it costs nothing"]),
        (["+decisions.prices.test.ct=5"], ["decisions.prices.test.ct", "pdl1"]),
        (["decisions.prices=5"], ["decisions.prices is 5", "null"]),
    ],
)
def test_a_wrong_setting_is_named_before_anything_runs(overrides, words):
    with pytest.raises(ConfigError) as caught:
        check(load_config(overrides))
    for word in words:
        assert word in str(caught.value)


def test_an_override_that_the_endpoint_lacks_is_refused_with_the_settings_of_all():
    """Hydra's own words offer to append the key, which leads nowhere."""
    with pytest.raises(ConfigError, match=r"(?s)horizon_months.*dcb: arms, durable_months, ne;") as caught:
        load_config(["endpoint=dcb", "endpoint.horizon_months=12"])
    assert "os: arms, horizon_months" in str(caught.value).replace("\n", " ")


@pytest.mark.parametrize("overrides", [["cohorts=loris"], ["cohort=lorsi"], ["nonsense=1"]])
def test_an_unknown_key_or_choice_is_refused(overrides):
    with pytest.raises(ConfigError):
        load_config(overrides)


def test_a_constructor_that_refuses_keeps_its_words():
    with pytest.raises(ConfigError, match="n_splits must be at least 2"):
        build(load_config(["validation=repeated_kfold", "validation.n_splits=1"]).validation, "validation")
    with pytest.raises(ConfigError, match=r"Cannot build models\.ridge.*nonsense"):
        build_models(load_config(["+models.ridge.estimator.nonsense=1"]))


@pytest.mark.parametrize("model", ["loris_pan", "cox_os"])
def test_a_control_of_a_model_that_does_not_learn_from_labels_is_refused_before_training(model):
    with pytest.raises(ConfigError, match=f"controls.models: {model} is not fitted to the labels"):
        build_models(load_config([f"controls.models=[{model}]", "+model@models.cox_os=cox_os"]))


def test_a_bare_classifier_is_refused_with_the_mend():
    cfg = load_config(["+models.bare={_target_: sklearn.naive_bayes.GaussianNB}"])
    with pytest.raises(ConfigError, match=r"models\.bare is a GaussianNB .* immunocast\.models\.learner\.Learner"):
        build_models(cfg)


def test_prices_can_be_switched_off_and_a_reference_can_be_a_recalibrated_model():
    cfg = load_config(["decisions.prices=null", "evaluation.references=[loris_routed+platt]"])
    check(cfg)
    assert prices_of(cfg) is None
    assert prices_of(load_config()).treatment == load_config().decisions.prices.treatment


def test_the_authors_file_is_read_before_a_run_and_enters_no_frozen_configuration(tmp_path):
    file = tmp_path / "author.yaml"
    file.write_text("8b: two radiologists\n")
    cfg = load_config([f"card.author={file}"])
    check(cfg)
    assert "card" not in frozen(cfg)
    assert yaml.safe_load(params_yaml(cfg))["card"] == {"author": str(file)}
    file.write_text("99: x\n")
    with pytest.raises(ConfigError, match="'99' is no item"):
        check(cfg)
    with pytest.raises(ConfigError, match=r"card\.author is 3"):
        check(load_config(["card.author=3"]))
    plain = OmegaConf.create({k: v for k, v in load_config().items() if k != "card"})
    check(plain)  # a configuration that an older run froze
