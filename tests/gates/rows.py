"""Rows of the tables that gates look at, each a good one that a test changes."""

from __future__ import annotations

import numpy as np
import pandas as pd

SCHEME = "leave_one_cohort_out"


def metric(name: str, estimate: float | None, low: float | None, high: float | None, **more) -> dict:
    return {
        "metric": name, "model": "ridge", "recalibration": "none", "scheme": SCHEME, "endpoint": "response",
        "cohort_id": "combined", "subgroup": "all", "level": "all", "threshold_or_horizon": None, "n": 400,
        "n_events": 150, "n_abstained": 0, "estimate": estimate, "ci_low": low, "ci_high": high, "ci_method": "delong",
        "note": "",
    } | more  # fmt: skip


def comparison(difference: float | None, low: float | None, high: float | None, **more) -> dict:
    return {
        "metric": "auroc", "model": "ridge", "reference_model": "loris_routed", "scheme": SCHEME,
        "endpoint": "response", "cohort_id": "combined", "subgroup": "all", "level": "all",
        "threshold_or_horizon": None, "n_common": 200, "n_events": 80, "n_lost": 0, "estimate_model": 0.7,
        "estimate_reference": 0.7, "difference": difference, "ci_low": low, "ci_high": high, "p": 0.5,
        "p_adjusted": None, "family": "", "ci_method": "delong", "note": "",
    } | more  # fmt: skip


def finding(code: str, severity: str, waived: str | None = None) -> dict:
    return {
        "code": code, "severity": severity, "cohort_id": "a", "column": "nlr", "n": 1, "rows": "", "message": "m",
        "waived_because": waived,
    }  # fmt: skip


def predicted(patients, y, p, *, cohort="a", persons=None, folds=None, in_training=False, repeat=0) -> pd.DataFrame:
    """Predictions of ridge; (n,) arrays or one value for all."""
    return pd.DataFrame(
        {
            "patient_id": patients,
            "cohort_id": cohort,
            "person_id": patients if persons is None else persons,
            "model": "ridge",
            "recalibration": "none",
            "scheme": SCHEME,
            "repeat": repeat,
            "fold": cohort if folds is None else folds,
            "endpoint": "response",
            "y_true": np.asarray(y, dtype="int64"),
            "p_response": np.asarray(p, dtype=float),
            "abstained": np.isnan(np.asarray(p, dtype=float)),
            "assays": "dna",
            "in_training": in_training,
        }
    )
