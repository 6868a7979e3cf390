"""A person under two ids, in two cohorts: nothing that is fitted for either cohort's fold knows the outcome."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.models.blend import Blend
from immunocast.validation.controls_inputs import controlled
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.fold import InnerSettings
from immunocast.validation.splits import LeaveOneCohortOut
from immunocast.validation.stability import stability_table
from immunocast.validation.tuning import OptunaTuning

A, B, C = "synthetic-A", "synthetic-B", "synthetic-C"
INNER = InnerSettings(("platt", "intercept"), ("youden",), OptunaTuning(n_trials=2, inner_splits=2), n_splits=2)


@pytest.fixture(scope="module")
def before_and_after():
    """Results with one person's outcome and survival, in both cohorts, as they are and turned round; the ids."""
    cohort = SyntheticCohort(n_patients=300, seed=8).load().cohort
    labels = make_labels(cohort).y
    known = labels.notna()
    cohort, y = cohort[known].reset_index(drop=True), labels[known].reset_index(drop=True)
    shipped = build_models(load_config(["models=full", "+model@models.update=update"]))
    models = {name: shipped[name] for name in ("ridge", "cox_os", "update", "loris_pan")}
    models["blend"] = Blend({"ridge": shipped["ridge"], "update": shipped["update"]}, inner="kfold", n_splits=2)
    first, second = (cohort.index[cohort["cohort_id"] == name][0] for name in (A, B))
    same = [c for c in cohort if c not in ("patient_id", "cohort_id")]
    cohort.loc[second, same] = cohort.loc[first, same]
    # a value that nobody else has: who sees the person in training can't but learn it
    cohort.loc[[first, second], ["nlr", "age_years"]] = [60.0, 99.0]
    found = []
    for outcome, months in ((0, 1.0), (1, 90.0)):
        table, turned = cohort.copy(), y.copy()
        turned[[first, second]] = outcome
        table.loc[[first, second], "os_months"] = months
        table.loc[[first, second], "os_event"] = 1
        result = cross_predict(table, turned, models, LeaveOneCohortOut(), inner=INNER)
        run = controlled(table, turned, models, LeaveOneCohortOut(), result.predictions, names=["ridge", "update"])
        found.append((result, stability_table(run, n_refits=5, seed=1)[0]))
    return found, set(cohort.loc[[first, second], "patient_id"])


def gap(before_and_after, table, column, keys):
    """Absolute change of a column, by its keys."""
    one, two = (getattr(result, table).set_index(keys)[column] for result, _ in before_and_after[0])
    return (one - two.reindex(one.index)).abs().fillna(0.0)


def test_no_prediction_or_threshold_of_the_persons_folds_moves(before_and_after):
    moved = gap(before_and_after, "predictions", "p_response", ["model", "recalibration", "fold", "patient_id"])
    thresholds = gap(before_and_after, "thresholds", "threshold", ["model", "recalibration", "rule", "fold"])
    for fold in (A, B):
        assert moved.xs(fold, level="fold").max() == 0
        assert thresholds.xs(fold, level="fold").max() == 0
    # the person trains for the third cohort, and there every fitted model shows that the test could see a leak
    third = moved.xs(C, level="fold").groupby(level=["model", "recalibration"]).max()
    assert (third.drop(("loris_pan", "none")) > 0).all()


def test_tuned_parameters_and_refits_do_not_know_the_outcome(before_and_after):
    found, person = before_and_after
    one, two = (
        result.tuning.query("fold in @tested").reset_index(drop=True) for result, _ in found for tested in [[A, B]]
    )
    pd.testing.assert_frame_equal(one, two)
    first, second = (table.set_index(["model", "patient_id"]) for _, table in found)
    mine = first.index.get_level_values("patient_id").isin(person)
    assert mine.sum() == 4
    columns = ["p_response", "p_mean", "p_low", "p_high", "mean_abs_change"]
    assert np.array_equal(first.loc[mine, columns], second.loc[mine, columns])
    assert not np.array_equal(first.loc[~mine, columns], second.loc[~mine, columns])
