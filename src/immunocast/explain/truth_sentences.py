"""What the table truth_recovery says, in plain words."""

from __future__ import annotations

from typing import Any

import pandas as pd

Rows = dict[str, dict[str, Any]]


def truth_sentences(frame: pd.DataFrame) -> list[str]:
    """Sentences on how far the explanations of a synthetic cohort are true.

    Parameters
    ----------
    frame : table truth_recovery.

    Returns
    -------
    One paragraph a model and scheme, in the order of the table, then what holds for all; [] for an empty table.
    """
    if frame.empty:
        return []
    overall = frame[frame["feature"] == "all"]
    said, unmeasured = [], []
    for names, part in overall.groupby(["model", "scheme"], sort=False):
        rows: Rows = {str(r["metric"]): {str(k): v for k, v in r.items()} for r in part.to_dict("records")}
        several = overall.loc[overall["model"] == names[0], "scheme"].nunique() > 1
        name = f"{names[0]} ({names[1]})" if several else str(names[0])
        said.append(f"{name}: {_of_model(rows)}")
        if _known(rows, "cause_unmeasured"):
            unmeasured.append(_percent(rows["cause_unmeasured"]["estimate"]))
    if unmeasured:
        share = " to ".join(dict.fromkeys((min(unmeasured, key=_number), max(unmeasured, key=_number))))
        said.append(
            f"{share} % of what truly moves these patients' log-odds lies in causes that a model does not take or that "
            "were not measured in the patient: no explanation of it can name them."
        )
    said.append(
        "Synthetic patients: these figures say how far SHAP can be trusted where the mechanism is known, and nothing "
        "of real patients. Intervals resample the explained patients, the models fixed."
    )
    return said


def _of_model(rows: Rows) -> str:
    total = rows.get("total_attribution")
    if total is None or pd.isna(total["estimate"]):
        return "too few patients, or too few with or without the event, for a comparison with the truth."
    if total["truth"] == 0:
        return (
            "nothing causes the outcome in this cohort, yet the SHAP values of a patient add up to "
            f"{total['estimate']:.2f} in absolute value on average: every reason that it gives is chance."
        )
    if total["estimate"] == 0:
        return "it answers the same to everybody and gives no reasons."
    parts = []
    if _known(rows, "importance_rank_correlation"):
        parts.append(
            "the order of its features by mean |SHAP| goes with that of their true effects at a rank correlation of "
            f"{_estimate(rows['importance_rank_correlation'])} (1 would be the truth)."
        )
    if _known(rows, "parent_auroc"):
        parts.append(f"A cause ranks above a feature without effect in {_share(rows['parent_auroc'])} of the pairs.")
    given = [
        f"{_share(rows[metric])} to features that {what}"
        for metric, what in (("proxy_share", "only go with a cause"), ("noise_share", "have nothing to do with one"))
        if _known(rows, metric)
    ]
    if given:
        parts.append(f"Of its attribution it gives {' and '.join(given)}; the truth gives them nothing.")
    if _known(rows, "patient_correlation_measured"):
        parts.append(
            "Within a patient, over what was measured, SHAP and true values have a rank correlation of "
            f"{_estimate(rows['patient_correlation_measured'])} on average."
        )
    if _known(rows, "first_reason"):
        among = ""
        if _known(rows, "first_reason_measured"):
            among = f" ({_share(rows['first_reason_measured'])} among what it takes and was measured)"
        parts.append(f"It names the true first reason of {_share(rows['first_reason'])} of the patients{among}.")
    if not parts:
        return "its features leave nothing to compare with the truth."
    first = parts[0][:1].lower() + parts[0][1:]
    return " ".join([first, *parts[1:]])


def _known(rows: Rows, metric: str) -> bool:
    return metric in rows and not pd.isna(rows[metric]["estimate"])


def _estimate(row: dict[str, Any]) -> str:
    if pd.isna(row["ci_low"]):
        return f"{row['estimate']:.2f}"
    return f"{row['estimate']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f})"


def _share(row: dict[str, Any]) -> str:
    if pd.isna(row["ci_low"]):
        return f"{_percent(row['estimate'])} %"
    return f"{_percent(row['estimate'])} % ({_percent(row['ci_low'])} to {_percent(row['ci_high'])})"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"


def _number(text: str) -> int:
    return int(text)
