"""A patient who is not in the run: explained by the final model, which trained on all of the run's patients."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from immunocast.errors import NotFoundError
from immunocast.explain.conformal import sets_of_new
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.maps import FINAL
from immunocast.explain.neighbours import K
from immunocast.explain.patient import missing_required, require_explained
from immunocast.explain.patient_parts import PatientExplanation, Stated, sets_of
from immunocast.explain.sampled import explain_sampled
from immunocast.explain.shap_values import explain_learner
from immunocast.explain.whatif import Asked
from immunocast.features.preprocess import model_frame


def explain_new_patient(
    run: ExplainInputs,
    tables: Mapping[str, pd.DataFrame],
    patient: pd.DataFrame,
    model: str,
    *,
    asked: Sequence[Asked] = (),
    top: int = 0,
    k: int = K,
    said: Sequence[str] = (),
) -> PatientExplanation:
    """Explain a new patient by the run's final model.

    Parameters
    ----------
    run : what explanation sees of the run.
    tables : its tables shap and conformal: which models are explained, how, and at which coverages.
    patient : a row of a cohort table; outcomes, where it has them, are not looked at.
    model : an explained model.
    asked, top, k : as for `explain_patient`.
    said : warnings from reading the patient.

    Raises
    ------
    NotFoundError
        Where the run does not explain the model, or its final model has no exact explainer where its folds have.
    ConfigError
        For a question that the model cannot answer.
    """
    require_explained(run, tables, model)
    patient = patient.reset_index(drop=True)
    fitted = run.load_model(model, FINAL)
    positions = np.asarray(run.scheme.final_train(run.table))
    training = run.table.iloc[positions]
    spec = fitted.spec
    X = model_frame(patient, spec.inputs, by_cohort=spec.by_cohort)
    p = float(fitted.predict_proba(X)[0, 1])
    abstained = bool(np.isnan(p))
    method = tables["shap"].loc[tables["shap"]["model"] == model, "method"].iloc[0]
    shap = pd.DataFrame()
    if not abstained:
        if "sampled" in str(method):
            known = model_frame(training, spec.inputs, by_cohort=spec.by_cohort)
            found = explain_sampled(fitted, X, known, seed=[0, zlib.crc32(f"{model}\0{FINAL}".encode())])
        elif spec.explainer == "none":
            raise NotFoundError(
                f"The final model of {model} has no exact explainer, though its folds have. "
                "explain.fallback=sampled in a run estimates it."
            )
        else:
            found = explain_learner(fitted, X)
        shap = found.values.reset_index(drop=True).assign(
            output_scale=found.scale,
            method=found.method,
            base_value=np.atleast_1d(np.asarray(found.base_value, dtype=float))[0],
            output=float(found.output[0]),
        )
        if found.errors is not None:
            shap["standard_error"] = float(found.errors.max(axis=1).iloc[0])
    own = str(patient["patient_id"].iloc[0])
    warnings = list(said)
    if own in set(run.cohort["patient_id"]):
        warnings.append(
            f"the run has a patient of the id {own}: if this is the same one, the final model trained on it"
        )
    coverages = sorted(set(tables["conformal"]["coverage"])) if "conformal" in tables else []
    sets = pd.DataFrame(columns=["coverage"])
    if not abstained:
        sets = sets_of_new(run, model, p, str(patient["person_id"].iloc[0]), coverages)
    stated = Stated(
        patient=patient,
        model=model,
        models=[fitted],
        training=training,
        y=run.labels[positions],
        endpoint=run.endpoint,
        scheme="",
        folds=(),
        linked=(),
        outcome=None,
        reason=missing_required(fitted, patient) if abstained else "",
        probability=p,
        recalibrated={}
        if abstained
        else {
            name: float(r.predict(np.array([p]))[0]) for name, r in sorted(run.load_recalibrators(model, FINAL).items())
        },
        range=None,
        sets=sets_of(sets),
        said=tuple(warnings),
    )
    return stated.explained(shap, asked, top, k)
