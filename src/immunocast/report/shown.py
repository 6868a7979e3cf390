"""What pictures show, in sentences: for those who can't see them, and for the reading guide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from immunocast.cohort.vocabulary import label
from immunocast.report import text
from immunocast.report.view import RunView


def cohort_estimates(view: RunView, metric: str = "auroc") -> list[tuple[str, dict[str, Any]]]:
    """Estimates of the headline model in each cohort that is large enough, lowest first."""
    rows = [(c, view.metric(metric, view.headline, c)) for c in view.cohort_ids]
    found = [(c, r) for c, r in rows if r is not None and text.is_number(r["estimate"])]
    return sorted(found, key=lambda pair: (float(pair[1]["estimate"]), pair[0]))


def range_over_cohorts(view: RunView) -> str:
    """Lowest and highest AUROC of the headline model over cohorts; "" where fewer than two have one."""
    found = cohort_estimates(view)
    if len(found) < 2:
        return ""
    (low, a), (high, b) = found[0], found[-1]
    lowest, highest = text.number(a["estimate"]), text.number(b["estimate"])
    return f"By cohort the AUROC lies between {lowest} ({low}) and {highest} ({high})"


def by_model(view: RunView, metric: str, models: Sequence[str], threshold: float | None = None) -> str:
    """An estimate over all cohorts of each model: "XGBoost 0.665; TMB ≥ 10 0.629"; those without one are left out."""
    decimals = text.DECIMALS.get(metric, 3)
    rows = [(m, view.metric(metric, m, threshold=threshold)) for m in models]
    return "; ".join(
        f"{view.label(m)} {text.number(r['estimate'], decimals)}"
        for m, r in rows
        if r is not None and text.is_number(r["estimate"])
    )


def net_benefits(view: RunView, models: Sequence[str]) -> str:
    """Net benefit of each model at the middle threshold, as a sentence; "" where none was set."""
    threshold = view.middle_threshold
    found = by_model(view, "net_benefit", models, threshold) if threshold is not None else ""
    return f"At a threshold of {threshold:g}: {found}." if found else ""


def medians_by_outcome(view: RunView, models: Sequence[str]) -> str:
    """Median probability with and without the event, of each model."""
    said = []
    for model in models:
        frame = view.predictions[view.predictions["model"] == model]
        medians = frame.groupby("y_true")["p_response"].median()
        if {0, 1} <= set(medians.index):
            said.append(f"{view.label(model)} {medians[1]:.2f} and {medians[0]:.2f}")
    return f"Median of {view.words.events} and of {view.words.others}: {'; '.join(said)}." if said else ""


def extremes(rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Lowest and highest of named estimates: "lowest 0.61 in A, highest 0.78 in B"."""
    found = [(name, float(r["estimate"])) for name, r in rows if text.is_number(r.get("estimate"))]
    if not found:
        return "none is large enough for an estimate of its own"
    low, high = min(found, key=lambda f: f[1]), max(found, key=lambda f: f[1])
    return f"lowest {low[1]:.3f} in {low[0]}, highest {high[1]:.3f} in {high[0]}"


def hazards(view: RunView, outcome: str, model: str) -> str:
    """Medians of survival by group of predicted probability: "low 7.9, high 31.9 months"."""
    frame = view.table("risk_groups")
    keep = (frame["model"] == model) & (frame["outcome"] == outcome) & frame["cohort_id"].isin(["combined", "pooled"])
    rows = {str(r["group"]): r for r in frame[keep].to_dict("records")}
    order = [g for g in ("low", "middle", "high") if g in rows]
    said = [f"{g} {text.number(rows[g]['median_months'], 1) or 'not reached'}" for g in order]
    return f"median months by probability {', '.join(said)}" if said else ""


def directions(features: Sequence[str], signs: dict[str, float]) -> str:
    """Which way each feature goes: "TMB up, NLR down"; one without an order has no direction."""
    said = []
    for name in features:
        sign = signs.get(name, float("nan"))
        way = "rises" if sign > 0.1 else "falls" if sign < -0.1 else "bends" if text.is_number(sign) else "by level"
        said.append(f"{label(name)} {way}")
    return "; ".join(said)


def before_and_after(view: RunView, models: Sequence[str]) -> str:
    """Observed over expected events of each model as it came and recalibrated, ideal 1."""
    said = []
    for model, recalibration, _ in view.variants():
        if model not in models or recalibration == "none":
            continue
        rows = [view.metric("oe_ratio", model, None, r) for r in ("none", recalibration)]
        values = [text.number(r["estimate"], 2) if r is not None else "" for r in rows]
        if all(values):
            kind = text.recalibration_label(recalibration)
            said.append(f"{view.label(model)} {values[0]}, after {kind} {values[1]}")
    return f" Observed over expected events: {'; '.join(said)}." if said else ""
