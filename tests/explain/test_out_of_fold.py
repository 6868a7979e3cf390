"""The shap table: fold bundles explain the patients they did not train on, and only if they are the right ones."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.engines import JoblibEngine
from immunocast.explain.importance import importance_table
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import conform
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold

MODELS = ("ridge", "xgboost")


@pytest.fixture(scope="module")
def world():
    cohort = SyntheticCohort(n_patients=300, seed=8).load().cohort
    cohort.loc[cohort.index % 10 == 0, "tumor_type"] = None
    shipped = build_models(load_config(["models.xgboost.estimator.n_estimators=20"]))
    models = {name: shipped[name] for name in MODELS}
    return cohort, cross_predict(cohort, make_labels(cohort).y, models, LeaveOneCohortOut())


def loader(result):
    return lambda model, fold: result.bundles[model, fold]


def test_every_prediction_is_explained_and_adds_up(world):
    cohort, result = world
    table = explain_out_of_fold(cohort, result.predictions, loader(result), MODELS)
    keys = ["model", "patient_id", "cohort_id", "fold", "repeat"]
    predicted = result.predictions[~result.predictions["abstained"]]
    assert len(predicted) < len(result.predictions), "some abstain, and have no row"
    both = predicted.merge(table, on=keys, validate="one_to_one")
    assert len(both) == len(table) == len(predicted)
    features = [c for c in table if c in load_config().features]
    assert np.allclose(both["base_value"] + both[features].sum(axis=1), both["output"], atol=1e-4)
    assert np.allclose(expit(both["output"]), both["p_response"], atol=1e-6)
    assert len(conform("shap", table)) == len(table)


def test_a_bundle_of_another_fold_is_refused(world):
    cohort, result = world
    swap = {"r0-synthetic-A": "r0-synthetic-B", "r0-synthetic-B": "r0-synthetic-C", "r0-synthetic-C": "r0-synthetic-A"}
    with pytest.raises(ArithmeticError, match="misses its stored predictions"):
        explain_out_of_fold(cohort, result.predictions, lambda m, f: result.bundles[m, swap[f]], MODELS)


def test_changed_patients_are_refused(world):
    cohort, result = world
    other = cohort.assign(albumin_g_dl=cohort["albumin_g_dl"] + 0.01)
    with pytest.raises(ArithmeticError, match="misses"):
        explain_out_of_fold(other, result.predictions, loader(result), MODELS)


def test_engine_does_not_matter(world):
    cohort, result = world
    a = explain_out_of_fold(cohort, result.predictions, loader(result), MODELS)
    b = explain_out_of_fold(cohort, result.predictions, loader(result), MODELS, engine=JoblibEngine(2))
    pd.testing.assert_frame_equal(a, b)


def test_cohorts_whose_names_hold_a_slash(tmp_path):
    """A cohort's name becomes a folder: it must neither leave the run nor be lost on the way back."""
    from immunocast.models.bundle import load_bundle, save_bundle

    cohort = SyntheticCohort(n_patients=240, seed=9).load().cohort
    names = {"synthetic-A": "../../A", "synthetic-B": "site B/2019", "synthetic-C": "C"}
    cohort["cohort_id"] = cohort["cohort_id"].map(names).astype("str")
    models = {"ridge": build_models(load_config())["ridge"]}
    result = cross_predict(cohort, make_labels(cohort).y, models, LeaveOneCohortOut())
    run = RunFolder(tmp_path / "deep" / "run")
    for (model, fold), fitted in result.bundles.items():
        save_bundle(fitted, run.bundle_path(model, fold))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]
    assert len(list((run.path / "bundles" / "ridge").iterdir())) == 4
    table = explain_out_of_fold(cohort, result.predictions, lambda m, f: load_bundle(run.bundle_path(m, f)), ["ridge"])
    assert set(table["fold"]) == set(names.values())


def test_repeats_are_all_explained():
    cohort = SyntheticCohort(n_patients=240, seed=9).load().cohort
    models = {"ridge": build_models(load_config())["ridge"]}
    result = cross_predict(cohort, make_labels(cohort).y, models, RepeatedStratifiedKFold(2, 2))
    table = explain_out_of_fold(cohort, result.predictions, loader(result), ["ridge"])
    assert table.groupby("patient_id").size().eq(2).all()


def test_no_model_with_an_explainer(world):
    cohort, result = world
    table = explain_out_of_fold(cohort, result.predictions, loader(result), [])
    assert table.empty
    assert importance_table(table, cohort).empty


def test_a_fold_whose_part_does_not_read_a_feature_has_0_there_and_not_a_gap(world):
    """A choice among models may take another one in each fold; importances are means over all of them."""
    cohort, _ = world
    wide = build_models(load_config())["ridge"]
    narrow = clone(wide).set_params(features={f: how for f, how in wide.features.items() if f != "nlr"})
    result = cross_predict(cohort, make_labels(cohort).y, {"wide": wide, "narrow": narrow}, LeaveOneCohortOut())
    chosen = {"synthetic-A": "wide", "synthetic-B": "narrow", "synthetic-C": "narrow"}
    own = result.predictions["model"] == result.predictions["fold"].map(chosen)
    predictions = result.predictions[own].assign(model="choose")
    table = explain_out_of_fold(
        cohort, predictions, lambda m, f: result.bundles[chosen[f.removeprefix("r0-")], f], ["choose"]
    )
    assert (table.loc[table["fold"] != "synthetic-A", "nlr"] == 0).all()
    assert (table.loc[table["fold"] == "synthetic-A", "nlr"] != 0).any()
    assert conform("importance", importance_table(table, cohort, by=(), n_resamples=20))["rank"].notna().all()
