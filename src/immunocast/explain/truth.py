"""The table truth_recovery: explanations of a synthetic cohort against the mechanism that made it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.truth_alignment import Alignment, align
from immunocast.explain.truth_metrics import Recovered, Resamples, recovery
from immunocast.metrics import percentile_interval

#: Fewest patients with the event, and without it, for an estimate.
MIN_EVENTS = 10
TOO_SMALL = f"Too small: fewer than {MIN_EVENTS} patients with or without the event."
TURNED = "Values of a log-hazard, their signs turned: a later event goes with response."


def truth_recovery_table(
    run: ExplainInputs, shap: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Compare a run's SHAP values with the truth of its synthetic cohort.

    Parameters
    ----------
    run : what explanation sees of it.
    shap : shap table of the run.
    n_resamples : bootstrap resamples over persons, the models fixed.
    seed : of the bootstrap.

    Returns
    -------
    Rows of the table truth_recovery; empty for real cohorts, and for endpoints of which the truth says nothing.
    """
    if shap.empty:
        return pd.DataFrame()
    labels = dict(zip(run.table["patient_id"], run.labels, strict=True))
    kept: dict[bytes, Resamples] = {}
    parts = []
    for names, rows in shap.groupby(["model", "scheme", "endpoint"], sort=True):
        model, scheme, endpoint = map(str, names)
        spec = run.models[model].spec
        a = align(rows, run.cohort, run.truth, run.truth_features, spec.inputs)
        if a is None:
            continue
        ids = np.unique(a.patients)
        events = sum(labels.get(i, 0) for i in ids)
        scale = str(rows["output_scale"].iloc[0])
        key = "\0".join(map(str, a.persons)).encode()
        if key not in kept:
            kept[key] = Resamples(a.persons, n_resamples, seed)
        small = min(events, len(ids) - events) < MIN_EVENTS
        common = [TURNED] if scale == "log-hazard" else []
        if a.unknown:
            common.append(f"Left out, since the truth says nothing of them: {', '.join(a.unknown)}.")
        found = [_row(one, a, common, small=small) for one in recovery(a, kept[key], log_odds=scale == "log-odds")]
        n_train = _trained(run, rows, spec.required)
        parts.append(pd.DataFrame(found).assign(model=model, scheme=scheme, endpoint=endpoint, n_train=n_train))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _row(one: Recovered, a: Alignment, common: list[str], *, small: bool) -> dict[str, object]:
    low, high, _ = percentile_interval(one.values[1:])
    estimate = float(one.values[0])
    empty = small or not np.isfinite(estimate)
    notes = [TOO_SMALL] if small else [one.note] if one.note else []
    return {
        "metric": one.metric,
        "feature": one.feature,
        "n": len(np.unique(a.patients if one.rows is None else a.patients[one.rows])),
        "estimate": np.nan if empty else estimate,
        "ci_low": np.nan if empty else low,
        "ci_high": np.nan if empty else high,
        "truth": one.truth,
        "note": " ".join([*notes, *common]),
    }


def _trained(run: ExplainInputs, rows: pd.DataFrame, required: tuple[str, ...]) -> int:
    """Patients who fitted a model, mean over the folds."""
    sizes = []
    for repeat, fold in sorted(set(zip(rows["repeat"], rows["fold"], strict=True))):
        patients = run.training(int(repeat), str(fold))
        there = [name for name in required if name in patients]
        sizes.append(int(patients[there].notna().all(axis=1).sum()))
    return round(float(np.mean(sizes)))
