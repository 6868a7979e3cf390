"""One patient of a run: the probability, what raised and lowered it, on what it rested, and who was alike.

All of it comes from models that did not train on the patient: those of the fold that held the patient out.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.errors import NotFoundError
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.neighbours import K
from immunocast.explain.patient_parts import PatientExplanation, PredictionSet, Range, Stated, sets_of
from immunocast.explain.plan import plan_explanations
from immunocast.explain.whatif import Asked
from immunocast.validation.splits import fold_key


def explain_patient(
    run: ExplainInputs,
    tables: Mapping[str, pd.DataFrame],
    patient_id: str,
    model: str,
    *,
    asked: Sequence[Asked] = (),
    top: int = 0,
    k: int = K,
    repeat: int | None = None,
) -> PatientExplanation:
    """Explain a held-out patient of a run.

    Parameters
    ----------
    run : what explanation sees of the run.
    tables : its tables shap, stability and conformal; an absent one costs what it holds.
    patient_id : of the cohort table.
    model : an explained model.
    asked : what-if questions; a value outside of what the model saw is refused.
    top : also along the strongest so many features; those that cannot be varied are passed over.
    k : neighbours.
    repeat : one repetition of the scheme; None for the mean over all.

    Raises
    ------
    NotFoundError
        For an unknown patient (with near matches), one without a held-out prediction, and a model that the run does not
        explain.
    ConfigError
        For a question that the model cannot answer.
    """
    patient = find_patient(run.cohort, patient_id)
    require_explained(run, tables, model)
    rows = run.predictions
    rows = rows[(rows["model"] == model) & (rows["patient_id"] == patient_id) & ~rows["in_training"]]
    rows = rows[rows["repeat"] == repeat] if repeat is not None else rows
    if rows.empty:
        raise NotFoundError(_why_no_prediction(run, patient_id))
    own = rows[rows["recalibration"] == "none"].sort_values(["repeat", "fold"])
    folds = [(int(r), str(f)) for r, f in zip(own["repeat"], own["fold"], strict=True)]
    models = [run.load_model(model, fold_key(*fold)) for fold in folds]
    training, y = _training(run, *folds[0])
    stated = Stated(
        patient=patient,
        model=model,
        models=models,
        training=training,
        y=y,
        endpoint=run.endpoint,
        scheme=run.scheme_name,
        folds=tuple(folds),
        linked=_linked(run.cohort, patient),
        outcome=int(own["y_true"].iloc[0]),
        reason="" if not own["abstained"].all() else missing_required(models[0], patient),
        probability=float(own["p_response"].mean()),
        recalibrated={
            str(name): float(part.mean())
            for name, part in rows[rows["recalibration"] != "none"].groupby("recalibration")["p_response"]
            if part.notna().any()
        },
        range=_range(tables.get("stability"), patient_id, model),
        sets=_sets(tables.get("conformal"), patient_id, model),
    )
    shap = tables["shap"]
    shap = shap[(shap["model"] == model) & (shap["patient_id"] == patient_id)]
    return stated.explained(shap[shap["repeat"].isin([r for r, _ in folds])], asked, top, k)


def find_patient(cohort: pd.DataFrame, patient_id: str, where: str = "the run") -> pd.DataFrame:
    """The patient's row of a cohort table.

    Parameters
    ----------
    cohort : cohort table.
    patient_id : whole id.
    where : what the table is of, for the message.

    Raises
    ------
    NotFoundError
        With the ids that are nearest to what was given.
    """
    found = cohort[cohort["patient_id"] == patient_id]
    if len(found):
        return found.reset_index(drop=True)
    ids = cohort["patient_id"].astype(str).tolist()
    ends = [i for i in ids if patient_id and i.casefold().endswith(patient_id.casefold())]
    if ends:
        shown = ", ".join(ends[:5]) + (f" and {len(ends) - 5} more" if len(ends) > 5 else "")
        several = "several patients have ids that end so" if len(ends) > 1 else "a patient has an id that ends so"
        raise NotFoundError(f"There is no patient {patient_id!r}; {several}: {shown}. Give the whole id.")
    near = difflib.get_close_matches(patient_id, ids, n=3, cutoff=0.6)
    hint = f"Near matches: {', '.join(near)}." if near else f"Ids look like {ids[0]!r}." if ids else ""
    new = " For a new patient give --file." if where == "the run" else ""
    raise NotFoundError(f"There is no patient {patient_id!r} among the {len(ids)} of {where}. {hint}{new}")


def require_explained(run: ExplainInputs, tables: Mapping[str, pd.DataFrame], model: str) -> None:
    """Refuse a model without SHAP values in the run.

    Raises
    ------
    NotFoundError
        With the reason and the models that are explained.
    """
    explained = sorted(set(tables["shap"]["model"])) if "shap" in tables else []
    if model in explained:
        return
    known = f"Explained models: {', '.join(explained)}." if explained else "This run explains no model."
    if model not in run.models:
        raise NotFoundError(f"The run has no model {model!r}. {known}")
    if not run.models[model].spec.learned:
        raise NotFoundError(f"{model} is a published rule: it is read, not explained. {known}")
    plan = plan_explanations(run, "none").get(model)
    why = f" ({plan.reason})" if plan and plan.reason else ""
    raise NotFoundError(
        f"{model} is not explained in this run{why}. {known} explain.fallback=sampled in a run estimates it."
    )


def _why_no_prediction(run: ExplainInputs, patient_id: str) -> str:
    if pd.isna(run.y[(run.cohort["patient_id"] == patient_id).to_numpy()].iloc[0]):
        why = f"the outcome ({run.endpoint}) is not known"
    else:
        why = f"{run.scheme_name} never held the patient out, or another id of the same person"
    return (
        f"Patient {patient_id} has no held-out prediction: {why}. A model is only shown on patients whom it did not "
        "train on. For the final model give the patient's values in a table: --file."
    )


def missing_required(model: Any, patient: pd.DataFrame) -> str:
    """Why a model abstains on a patient."""
    missing = [f for f in model.spec.required if f not in patient or patient[f].isna().iloc[0]]
    return f"missing: {', '.join(missing)}" if missing else "outside of the model's population"


def _training(run: ExplainInputs, repeat: int, fold: str) -> tuple[pd.DataFrame, np.ndarray]:
    positions = run.splits[repeat, fold].train
    return run.table.iloc[positions], run.labels[positions]


def _linked(cohort: pd.DataFrame, patient: pd.DataFrame) -> tuple[str, ...]:
    same = cohort[cohort["person_id"] == patient["person_id"].iloc[0]]["patient_id"]
    return tuple(sorted(str(i) for i in same if i != patient["patient_id"].iloc[0]))


def _range(stability: pd.DataFrame | None, patient_id: str, model: str) -> Range | None:
    if stability is None:
        return None
    row = stability[(stability["patient_id"] == patient_id) & (stability["model"] == model)]
    if row.empty:
        return None
    first = row.iloc[0]
    return Range(float(first["p_low"]), float(first["p_high"]), int(first["n_refits"]))


def _sets(conformal: pd.DataFrame | None, patient_id: str, model: str) -> tuple[PredictionSet, ...]:
    if conformal is None:
        return ()
    rows = conformal[(conformal["patient_id"] == patient_id) & (conformal["model"] == model)]
    return sets_of(rows.sort_values("coverage"))
