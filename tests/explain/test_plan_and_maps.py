"""What is explained and how, from a run's fitted folds; and the maps of its recalibrators."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.maps import N_POINTS, recalibration_map_table
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.explain.plan import explanation_notes, plan_explanations
from immunocast.models.learner import Learner
from immunocast.models.loris import LorisPanCancer
from immunocast.models.recalibration import fit_recalibrator
from immunocast.store.schemas import conform
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import LeaveOneCohortOut

FEATURES = {"tmb_mut_mb": {"transform": "log2p1"}, "nlr": {}, "tumor_type": {}, "albumin_g_dl": {}}


@pytest.fixture(scope="module")
def run():
    cohort = SyntheticCohort(n_patients=240, seed=8).load().cohort
    y = make_labels(cohort).y
    models = {
        "ridge": Learner(LogisticRegression(), FEATURES, explainer="linear"),
        "network": Learner(MLPClassifier((3,), max_iter=20, tol=1, random_state=0), FEATURES, label="Network"),
        "loris": LorisPanCancer(),
    }
    result = cross_predict(cohort, y, models, LeaveOneCohortOut())
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.6, 200)
    maps = {"platt": fit_recalibrator("platt", p, (rng.random(200) < p).astype(int))}
    return ExplainInputs(
        cohort=cohort, y=y, scheme=LeaveOneCohortOut(), scheme_name=result.scheme, endpoint="response", models=models,
        predictions=result.predictions, load_model=lambda m, f: result.bundles[m, f],
        load_recalibrators=lambda m, f: maps if m == "ridge" else {},
    )  # fmt: skip


def shap(run, how, seed=0):
    plan = plan_explanations(run, how)
    return explain_out_of_fold(
        run.cohort, run.predictions, run.load_model, [n for n, p in plan.items() if p.how != "none"],
        sampled=[n for n, p in plan.items() if p.how == "sampled"], training=run.training, seed=seed,
    )  # fmt: skip


def test_what_has_no_exact_explainer_is_told_and_not_estimated_in_silence(run):
    table = shap(run, "none")
    assert set(table["model"]) == {"ridge"}
    assert "standard_error" not in table
    (note,) = explanation_notes(run, "none", table)
    assert note.startswith("Network is not explained: ")
    assert "explain.fallback=sampled" in note


def test_an_estimate_says_so_in_every_row_and_in_a_note(run):
    table = conform("shap", shap(run, "sampled"))
    network = table[table["model"] == "network"]
    assert set(network["method"]) == {"sampled"}
    assert (network["standard_error"] > 0).all()
    assert table.loc[table["model"] == "ridge", "standard_error"].isna().all()
    assert np.allclose(network["base_value"] + network[list(FEATURES)].sum(axis=1), network["output"])
    stored = run.predictions.query("model == 'network'").set_index("patient_id")["p_response"]
    assert np.allclose(expit(network["output"]), stored.loc[network["patient_id"]])
    (note,) = explanation_notes(run, "sampled", table)
    assert "estimates by permutation sampling" in note
    assert network.equals(conform("shap", shap(run, "sampled")).query("model == 'network'"))


def test_a_fallback_that_is_not_known(run):
    with pytest.raises(ConfigError, match=r"explain\.fallback is 'kernel'"):
        plan_explanations(run, "kernel")


def test_maps_cover_the_predictions_of_every_fold_and_the_final_model(run):
    table = conform("recalibration_maps", recalibration_map_table(run))
    assert set(table["model"]) == {"ridge"}
    assert table["fold"].nunique() == run.cohort["cohort_id"].nunique() + 1
    assert "final" in set(table["fold"])
    assert table.groupby("fold").size().eq(N_POINTS).all()
    p = run.predictions.query("model == 'ridge' and not abstained")["p_response"]
    assert table["p"].min() == pytest.approx(p.min())
    assert table["p"].max() == pytest.approx(p.max())
    assert np.allclose(expit(table["log_odds"]), table["p"])
    one = run.load_recalibrators("ridge", "final")["platt"]
    assert np.allclose(table["p_recalibrated"], one.predict(table["p"]))
    assert set(table["formula"]) == {one.words}
