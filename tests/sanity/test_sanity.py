"""What must hold of any honest pipeline: shuffled labels teach nothing, and nobody beats the truth."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build, build_models, load_config
from immunocast.metrics import auroc
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.evaluate import evaluate
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold


@pytest.fixture(scope="module")
def world():
    tables = SyntheticCohort(n_patients=1200, n_cohorts=3, seed=20260101).load()
    return tables.cohort, tables.truth.set_index("patient_id"), make_labels(tables.cohort).y


@pytest.fixture(scope="module")
def learners():
    cfg = load_config(["models.xgboost.estimator.n_estimators=60", "models.forest.estimator.n_estimators=40"])
    return {name: model for name, model in build_models(cfg).items() if model.spec.learned}


@pytest.mark.parametrize("scheme", [LeaveOneCohortOut(), RepeatedStratifiedKFold(3, 1, 0)], ids=lambda s: s.name)
def test_shuffled_labels_give_an_auroc_of_one_half(world, learners, scheme):
    cohort, _, y = world
    known = y.notna().to_numpy()
    cohort, y = cohort[known].reset_index(drop=True), y[known].reset_index(drop=True)
    chosen = {"ridge": learners["ridge"], "xgboost": learners["xgboost"]}
    values = {name: [] for name in chosen}
    for seed in range(20):
        shuffled = y.groupby(cohort["cohort_id"]).transform(
            lambda s, seed=seed: s.sample(frac=1, random_state=seed).to_numpy()
        )
        p = cross_predict(cohort, shuffled, chosen, scheme).predictions
        for name, part in p.groupby("model"):
            inside = [auroc(g["y_true"].to_numpy(), g["p_response"].to_numpy()) for _, g in part.groupby("cohort_id")]
            values[name].append(np.mean(inside))
    for name, found in values.items():
        se = np.std(found, ddof=1) / np.sqrt(len(found))
        assert abs(np.mean(found) - 0.5) <= 3 * se, (name, np.mean(found), se)
        assert se < 0.01


def test_the_truth_is_calibrated_and_no_model_beats_it(world, learners):
    cohort, truth, y = world
    models = {**learners, "loris_routed": build(load_config().models.loris_routed, "models.loris_routed")}
    p = cross_predict(cohort, y, models, LeaveOneCohortOut(), engine=None).predictions
    oracle = p[p["model"] == "ridge"].assign(
        model="truth", p_response=lambda d: truth.loc[d["patient_id"], "p_response"].to_numpy()
    )
    result = evaluate(pd.concat([p, oracle]), references=["truth"], n_resamples=1000, seed=1)
    combined = result.metrics[
        (result.metrics["cohort_id"] == "combined") & (result.metrics["metric"] != "net_benefit")
    ].set_index(["model", "metric"])
    slope = combined.loc[("truth", "calibration_slope")]
    intercept = combined.loc[("truth", "calibration_intercept")]
    assert slope["ci_low"] <= 1 <= slope["ci_high"]
    assert intercept["ci_low"] <= 0 <= intercept["ci_high"]
    against = result.comparisons[
        (result.comparisons["metric"] == "auroc") & (result.comparisons["cohort_id"] == "combined")
    ].set_index("model")
    assert set(against.index) == set(models)
    for name, row in against.iterrows():
        assert row["ci_low"] <= 0, f"{name} beats the true probabilities by {row['difference']:.3f}"


def test_a_cohort_without_signal_is_not_predicted(learners):
    tables = SyntheticCohort(n_patients=900, n_cohorts=3, seed=4, scenario="no_signal").load()
    y = make_labels(tables.cohort).y
    p = cross_predict(tables.cohort, y, {"ridge": learners["ridge"]}, LeaveOneCohortOut()).predictions
    metrics = evaluate(p, references=[], n_resamples=200, seed=1).metrics
    row = metrics[(metrics["metric"] == "auroc") & (metrics["cohort_id"] == "combined")].iloc[0]
    assert row["ci_low"] <= 0.5 <= row["ci_high"]
