"""Scores of new patients: what the model says in memory, what it rested on, or why there is none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle, save_bundle
from immunocast.models.loris import LorisNSCLC, LorisPanCancer, LorisRouted
from immunocast.serve.score import SCORE_COLUMNS, score_patients

SHIPPED = build_models(load_config())


@pytest.fixture(scope="module")
def cohort():
    return SyntheticCohort(n_patients=300, seed=14).load().cohort


@pytest.mark.parametrize("name", list(SHIPPED))
def test_scores_equal_the_model_in_memory(name, cohort, tmp_path):
    y = make_labels(cohort).y
    known = y.notna().to_numpy()
    X = model_frame(cohort, SHIPPED[name].spec.inputs)
    model = clone(SHIPPED[name]).fit(X[known], y[known].to_numpy(dtype=int))
    back = load_bundle(save_bundle(model, tmp_path / "bundle"))
    scores = score_patients(cohort, back, name, "response")
    assert scores.columns.tolist() == list(SCORE_COLUMNS)
    assert scores["patient_id"].tolist() == cohort["patient_id"].tolist()
    assert np.allclose(scores["p_response"], model.predict_proba(X)[:, 1], rtol=0, atol=1e-12, equal_nan=True)
    gone = scores["p_response"].isna()
    assert (scores["status"] == np.where(gone, "abstained", "scored")).all()
    assert ((scores["reason"] == "") == ~gone).all()
    for _, row in scores.iterrows():
        used, missing = (set(filter(None, row[c].split(";"))) for c in ("assays_used", "assays_missing"))
        assert used | missing == set(model.spec.inputs)
        assert not used & missing
    # outcomes are not looked at, and neighbours do not matter
    blind = cohort.drop(
        columns=[c for c in ("bor", "responder", "pfs_months", "pfs_event", "os_months", "os_event") if c in cohort]
    )
    pd.testing.assert_frame_equal(score_patients(blind, back, name, "response"), scores)
    alone = score_patients(cohort.iloc[[5]], back, name, "response")
    assert np.allclose(alone["p_response"], scores["p_response"].iloc[5], atol=1e-12, equal_nan=True)


PATIENT = {"patient_id": "p", "cohort_id": "A", "tumor_type": "NSCLC", "tmb_mut_mb": 8.0, "pdl1_tps": 60.0,
           "prior_systemic_therapy": 1, "albumin_g_dl": 4.0, "nlr": 5.0, "age_years": 70.0}  # fmt: skip


def score(model, **changes):
    row = pd.DataFrame([{**PATIENT, **changes}])
    return score_patients(row, model.fit(None, None), "m", "response").iloc[0]


def test_reasons():
    assert score(LorisNSCLC())["reason"] == ""
    assert score(LorisNSCLC(), pdl1_tps=np.nan)["reason"] == "missing: pdl1_tps"
    assert score(LorisNSCLC(), pdl1_tps=np.nan, tmb_mut_mb=np.nan)["reason"] == "missing: tmb_mut_mb, pdl1_tps"
    assert score(LorisNSCLC(), tumor_type="Renal")["reason"] == "outside of the model's population"
    assert score(LorisPanCancer(), tumor_type=None)["reason"] == "missing: tumor_type"
    assert score(LorisRouted(), age_years=np.nan)["reason"] == "missing: age_years"


def test_assays():
    row = score(LorisPanCancer(), nlr=np.nan)
    assert row["assays_used"] == "tmb_mut_mb;prior_systemic_therapy;age_years;tumor_type;albumin_g_dl"
    assert row["assays_missing"] == "nlr;dnlr", "a column that the table lacks was not measured"


def test_nobody(cohort):
    scores = score_patients(cohort.iloc[:0], LorisPanCancer().fit(None, None), "m", "response")
    assert scores.empty
    assert scores.columns.tolist() == list(SCORE_COLUMNS)
