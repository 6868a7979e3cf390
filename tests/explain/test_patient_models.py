"""A patient under models of every kind: hazards through their link, updates, slopes by tumour type, sampled blends."""

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf
from scipy.special import expit
from sklearn.base import clone

from immunocast.cohort.outcomes import make_labels, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, conf_dir, load_config
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.patient_new import explain_new_patient
from immunocast.explain.whatif import Asked
from immunocast.features.preprocess import model_frame
from immunocast.report.patient_words import patient_words
from immunocast.validation.splits import LeaveOneCohortOut

METHODS = {"cox_os": "linear", "update": "linear", "partial_pooling": "linear", "hist_gb": "tree_path_dependent"}


@pytest.fixture(scope="module")
def cohort():
    table = SyntheticCohort(n_patients=240, seed=11).load().cohort
    return table[make_labels(table).y.notna()].reset_index(drop=True)


@pytest.fixture(scope="module")
def run_of(cohort):
    """Inputs of a run whose final model is the named one of conf/model, fitted on all patients."""
    full = load_config()
    y = make_labels(cohort).y

    def of(name):
        content = yaml.safe_load((conf_dir() / "model" / f"{name}.yaml").read_text())
        if name == "hist_gb":
            content["estimator"]["max_iter"] = 10
        kept = {key: value for key, value in full.items() if key != "models"}
        model = clone(build_models(OmegaConf.create({**kept, "models": {name: content}}))[name])
        X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
        more = {} if model.spec.target == "label" else {"survival": survival_of(cohort, model.spec.target)}
        fitted = model.fit(X, y.to_numpy(dtype=int), **more)
        return ExplainInputs(
            cohort=cohort,
            y=y,
            scheme=LeaveOneCohortOut(),
            scheme_name="leave_one_cohort_out",
            endpoint="response",
            models={name: model},
            predictions=pd.DataFrame(),
            load_model=lambda *_: fitted,
        )

    return of


@pytest.mark.parametrize("name", METHODS)
def test_contributions_points_and_curves_belong_to_the_model(run_of, cohort, name):
    run = run_of(name)
    patient = cohort.iloc[[5]].assign(patient_id="new", person_id="new", responder=None)
    tables = {"shap": pd.DataFrame({"model": [name], "method": [METHODS[name]]})}
    found = explain_new_patient(run, tables, patient, name, asked=[Asked("albumin_g_dl", None)], top=2)
    fitted = run.load_model()
    p = fitted.predict_proba(model_frame(patient, fitted.spec.inputs, by_cohort=fitted.spec.by_cohort))[0, 1]
    assert found.probability == pytest.approx(p)
    assert found.base_value + sum(c.shap for c in found.contributions) == pytest.approx(found.output, abs=1e-4)
    assert found.what_if[0].p_own == pytest.approx(p)
    if name == "cox_os":
        link = fitted.estimator_
        assert found.scale == "log-hazard"
        for c in found.contributions:
            without = expit(link.link_intercept_ + link.link_slope_ * (found.output - c.shap))
            assert c.change == pytest.approx(p - without, abs=1e-6)
            assert np.sign(c.change) == np.sign(link.link_slope_) * np.sign(c.shap) or c.shap == 0
        assert any("log-hazard" in w for w in patient_words(found).warnings)
    else:
        assert expit(found.output) == pytest.approx(p)
    words = patient_words(found)
    assert len(words.raised) + len(words.lowered) > 0
    assert words.outcome == ""


def test_an_estimate_is_called_one(run_of, cohort):
    run = run_of("hist_gb")
    patient = cohort.iloc[[5]].assign(patient_id="new", person_id="new")
    tables = {"shap": pd.DataFrame({"model": ["hist_gb"], "method": ["sampled"]})}
    found, again = (explain_new_patient(run, tables, patient, "hist_gb") for _ in range(2))
    assert found.method == "sampled"
    assert found.standard_error is not None
    assert any("estimates (sampled)" in w for w in patient_words(found).warnings)
    assert found.contributions == again.contributions
