"""Trees explained against a background of training patients, through models, folds and blends."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError
from immunocast.explain.background import Background, background_of
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.explain.sampled import explain_sampled
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame
from immunocast.models.blend import Blend
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import LeaveOneCohortOut

NAMES = ("ridge", "xgboost", "forest", "hist_gb", "update_xgboost")
BOTH = {"trees": "interventional", "n_background": 25}


@pytest.fixture(scope="module")
def run():
    cohort = SyntheticCohort(n_patients=240, seed=8).load().cohort
    cohort.loc[cohort.index % 9 == 0, "tumor_type"] = None  # they abstain, and are nobody's background
    shipped = build_models(
        load_config(
            [
                "models=full",
                "+model@models.update_xgboost=update_xgboost",
                "models.xgboost.estimator.n_estimators=20",
                "models.update_xgboost.estimator.n_estimators=10",
                "models.forest.estimator.n_estimators=8",
                "models.hist_gb.estimator.max_iter=10",
            ]
        )
    )
    models = {name: shipped[name] for name in NAMES}
    y, scheme = make_labels(cohort).y, LeaveOneCohortOut()
    result = cross_predict(cohort, y, models, scheme)
    return ExplainInputs(
        cohort, y, scheme, "loco", "orr", models, result.predictions, lambda m, f: result.bundles[m, f]
    )


def explained(run, names=NAMES, background=BOTH, **how):
    against = background_of(run.training, background, 3)
    return explain_out_of_fold(run.cohort, run.predictions, run.load_model, names, background=against, **how)


def output(model, X):
    if hasattr(model, "decision_function"):
        return model.decision_function(X)
    p = model.predict_proba(X)[:, 1]
    return p if model.spec.output_scale == "probability" else np.log(p / (1 - p))


def test_the_base_value_is_the_mean_output_of_the_background(run):
    table = explained(run)
    methods = table.groupby("model")["method"].unique().str.join("").to_dict()
    assert methods == {
        "ridge": "linear",
        "xgboost": "tree_interventional",
        "forest": "tree_interventional",
        "hist_gb": "tree_interventional",
        "update_xgboost": "linear+tree_interventional",
    }
    features = [c for c in table if c in load_config().features]
    assert np.allclose(table["base_value"] + table[features].sum(axis=1), table["output"], atol=1e-4)
    for (name, fold), rows in table.groupby(["model", "fold"]):
        if name in ("ridge", "update_xgboost"):
            continue
        model = run.load_model(name, f"r0-{fold}")
        frame = background_of(run.training, BOTH, 3).frame(model, 0, fold)
        assert len(frame) == 25
        assert frame["tumor_type"].notna().all()
        assert np.allclose(rows["base_value"], output(model, frame).mean(), atol=1e-5)
    path = explained(run, ["ridge", "xgboost"], background={"trees": "path_dependent"})
    table = table[table["model"].isin(["ridge", "xgboost"])].reset_index(drop=True)
    own = path["model"] == "ridge"
    pd.testing.assert_frame_equal(path[own], table.loc[own, path.columns])
    assert np.abs(path.loc[~own, features] - table.loc[~own, features]).max(axis=None) > 0.01


def test_the_background_trained_and_is_nobody_who_is_explained(run):
    against = Background(run.training, 40, 0)
    for repeat, fold in run.splits:
        model = run.load_model("xgboost", f"r{repeat}-{fold}")
        # frames keep the index of the rows that they are made of
        drawn = run.table.loc[against.frame(model, repeat, fold).index]
        assert len(drawn) == 40
        assert fold not in set(drawn["cohort_id"])
        assert drawn["person_id"].is_unique


def test_a_draw_depends_on_seed_and_fold_alone(run):
    model = run.load_model("xgboost", "r0-synthetic-A")
    first = Background(run.training, 30, 1).frame(model, 0, "synthetic-A")
    turned = Background(lambda r, f: run.training(r, f).iloc[::-1], 30, 1).frame(model, 0, "synthetic-A")
    pd.testing.assert_frame_equal(first, turned)
    fewer = Background(run.training, 10, 1).frame(model, 0, "synthetic-A")
    pd.testing.assert_frame_equal(fewer, first.iloc[:10])
    other = Background(run.training, 30, 2).frame(model, 0, "synthetic-A")
    assert set(other.index) != set(first.index)
    everybody = Background(run.training, 10_000, 1).frame(model, 0, "synthetic-A")
    assert len(everybody) == run.training(0, "synthetic-A")["tumor_type"].notna().sum()
    doubled = Background(lambda r, f: pd.concat([run.training(r, f)] * 2, ignore_index=True), 10_000, 1).frame(
        model, 0, "synthetic-A"
    )
    assert len(doubled) == len(everybody), "one row a person"


def test_neither_engine_nor_the_other_models_matter(run):
    table = explained(run, ["xgboost", "forest"])
    pd.testing.assert_frame_equal(explained(run, ["xgboost", "forest"], engine=JoblibEngine(2)), table)
    alone = explained(run, ["xgboost"])
    own = table[table["model"] == "xgboost"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, own[alone.columns])


def test_a_blend_and_the_exact_parts_of_an_estimate_are_explained_against_the_same(run):
    parts = {name: run.load_model(name, "r0-synthetic-A") for name in ("ridge", "xgboost", "forest")}
    names = ["ridge", "xgboost"]
    blend = Blend({name: run.models[name] for name in names})
    blend.parts_, blend.weights_ = {n: parts[n] for n in names}, {"ridge": 0.25, "xgboost": 0.75}
    X = model_frame(run.table.iloc[:30], blend.spec.inputs, by_cohort=True)
    X = X[X["tumor_type"].notna()]
    frame = Background(run.training, 25, 0).frame(blend, 0, "synthetic-A")
    found, tree, linear = (explain_learner(m, X, frame) for m in (blend, parts["xgboost"], parts["ridge"]))
    assert found.method == "linear+tree_interventional"
    assert np.allclose(found.values, (0.25 * linear.values + 0.75 * tree.values)[found.values.columns])
    assert found.base_value == pytest.approx(0.25 * linear.base_value + 0.75 * tree.base_value)
    mixed = Blend({name: run.models[name] for name in parts})
    mixed.parts_, mixed.weights_ = parts, {"ridge": 0.2, "xgboost": 0.3, "forest": 0.5}
    estimate = explain_sampled(mixed, X, frame, seed=1, n_pairs=3, trees_against=frame)
    assert estimate.method == "linear+sampled+tree_interventional"
    alone = Blend({name: run.models[name] for name in names})
    alone.parts_, alone.weights_ = {"forest": parts["forest"]}, {"forest": 1.0}
    chosen = explain_learner(alone, X, frame)
    assert chosen.method == "tree_interventional"
    assert chosen.scale == "probability"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trees": "shap"}, "explain.trees is 'shap'; known: path_dependent, interventional"),
        ({"n_background": 0}, "n_background is 0"),
        ({"n_background": True}, "n_background is True"),
    ],
)
def test_settings_that_cannot_be_used_are_named(run, change, words):
    with pytest.raises(ConfigError, match=words):
        background_of(run.training, BOTH | change, 0)


def test_no_training_patient_with_the_required_inputs(run):
    model = run.load_model("xgboost", "r0-synthetic-A")
    with pytest.raises(ConfigError, match="no training patient of fold synthetic-A has all inputs that XGBoost"):
        Background(lambda r, f: run.training(r, f).assign(tumor_type=None), 5, 0).frame(model, 0, "synthetic-A")


def test_an_estimator_whose_trees_cannot_be_read_says_so(run):
    from sklearn.linear_model import LogisticRegression

    from immunocast.models.learner import Learner

    model = Learner(LogisticRegression(), {"nlr": {}, "age_years": {}}, required=(), explainer="tree")
    X = model_frame(run.table, model.spec.inputs)
    model.fit(X, run.labels)
    with pytest.raises(ConfigError, match=r"LogisticRegression cannot be read\. Set explain\.trees=path_dependent"):
        explain_learner(model, X, X)
