"""Score new patients with a fitted model: a probability, what it rested on, or why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from immunocast.features.preprocess import model_frame
from immunocast.models.assays import inputs_used
from immunocast.models.recalibration import Recalibrator

#: Columns of a score table.
SCORE_COLUMNS = (
    "patient_id",
    "cohort_id",
    "model",
    "recalibration",
    "endpoint",
    "p_response",
    "status",
    "reason",
    "assays_used",
    "assays_missing",
)


def score_patients(
    cohort: pd.DataFrame, model: Any, name: str, endpoint: str, recalibrator: Recalibrator | None = None
) -> pd.DataFrame:
    """Predict every patient of a cohort table.

    Parameters
    ----------
    cohort : cohort table; outcomes, where it has them, are not looked at.
    model : a fitted model with `spec` and `predict_proba` (`models.bundle.load_bundle`).
    name, endpoint : written into the rows.
    recalibrator : applied to the model's output (`models.recalibrators_file.load_recalibrators`); None for the
        model's own.

    Returns
    -------
    A row a patient with `SCORE_COLUMNS`. `status` is "scored", or "abstained" with the missing required
    inputs as `reason` and p_response NaN. `assays_used` lists the measured inputs that the prediction can rest on: one
    that nobody of the training patients had is in neither list where it was measured.
    """
    spec = model.spec
    X = model_frame(cohort, spec.inputs, by_cohort=spec.by_cohort)
    p = model.predict_proba(X)[:, 1].astype(float) if len(X) else np.array([])
    if recalibrator is not None:
        p = recalibrator.predict(p)
    measured = X[list(spec.inputs)].notna()
    abstained, used = np.isnan(p), set(inputs_used(model))
    return pd.DataFrame(
        {
            "patient_id": cohort["patient_id"].to_numpy(),
            "cohort_id": cohort["cohort_id"].to_numpy(),
            "model": name,
            "recalibration": "none" if recalibrator is None else recalibrator.name,
            "endpoint": endpoint,
            "p_response": p,
            "status": np.where(abstained, "abstained", "scored"),
            "reason": [
                _why(row, spec.required) if gone else "" for row, gone in zip(_rows(measured), abstained, strict=True)
            ],
            "assays_used": [";".join(c for c, there in row.items() if there and c in used) for row in _rows(measured)],
            "assays_missing": [";".join(c for c, there in row.items() if not there) for row in _rows(measured)],
        },
        columns=list(SCORE_COLUMNS),
    )


def _rows(measured: pd.DataFrame) -> list[dict[str, bool]]:
    return [dict(zip(measured.columns, row, strict=True)) for row in measured.to_numpy()]


def _why(row: dict[str, bool], required: tuple[str, ...]) -> str:
    missing = [name for name in required if not row[name]]
    return f"missing: {', '.join(missing)}" if missing else "outside of the model's population"
