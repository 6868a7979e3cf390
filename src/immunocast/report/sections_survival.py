"""The report's tables on survival, as plain rows of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunocast.report import text
from immunocast.report.sections import Cell, Notes, Sheet, dicts, estimate_cell, place_of
from immunocast.report.view import RunView

OUTCOMES = {"os": "overall survival", "pfs": "progression-free survival"}
#: How immune-related adverse events were counted; the names stand in the column `model` of risk_groups.
IRAE = {"irae_landmark": "From a landmark day", "irae_naive": "Ever, naively"}
IRAE_GROUPS = {"irae": "an irAE", "no_irae": "no irAE"}
_GROUP_HEADS = ["n", "With event", "Median, months", "Hazard ratio", "Log-rank p"]


def survival_sheets(view: RunView) -> list[Sheet]:
    """Discrimination of survival times by the forecast: a sheet an outcome."""
    frame = view.table("metrics")
    sheets = []
    for outcome, words in OUTCOMES.items():
        names = [m for m in (f"c_harrell_{outcome}", f"c_uno_{outcome}") if (frame["metric"] == m).any()]
        timed = [f"td_auc_{outcome}", f"ibs_{outcome}", f"scaled_ibs_{outcome}"]
        keep = frame["metric"].isin(timed) & (frame["cohort_id"] == "combined") & (frame["subgroup"] == "all")
        pairs = frame.loc[keep, ["metric", "threshold_or_horizon"]].drop_duplicates()
        columns: list[tuple[str, float | None]] = [(m, None) for m in names]
        columns += sorted(
            ((str(m), None if pd.isna(h) else float(h)) for m, h in pairs.itertuples(index=False)),
            key=lambda c: (timed.index(c[0]), c[1] or 0),
        )
        rows, notes = [], Notes(view)
        for model in view.order:
            found = [view.metric(m, model, threshold=h) for m, h in columns]
            first = next((r for r in found if r is not None), None)
            if first is None:
                continue
            counts = [f"{int(first['n']):,}", f"{int(first['n_events']):,}"]
            rows.append([Cell(view.label(model)), *map(Cell, counts), *(estimate_cell(r, 3) for r in found)])
            for row in found:
                notes.add(row["note"] if row else "", view.label(model))
        heads = ["Model", "n", "With event", *(_survival_head(m, h) for m, h in columns)]
        if rows:
            sheets.append(Sheet(heads, rows, notes.lines(), place_of(rows, view.label(view.headline)), words))
    return sheets


def risk_group_sheet(view: RunView) -> Sheet:
    """Survival by group of predicted probability, over all cohorts."""
    frame = view.table("risk_groups")
    overall = frame["cohort_id"] == "combined"
    frame = frame[overall] if overall.any() else frame
    frame = frame[~frame["model"].isin(list(IRAE))]
    groups = ["low", "middle", "high"]
    place = {m: i for i, m in enumerate(view.order)}
    rows, notes = [], Notes(view)
    for row in sorted(
        dicts(frame),
        key=lambda r: (
            list(OUTCOMES).index(r["outcome"]) if r["outcome"] in OUTCOMES else 9,
            place.get(r["model"], 99),
            r["recalibration"],
            groups.index(r["group"]) if r["group"] in groups else 9,
            str(r["group"]),
        ),
    ):
        name = view.label(row["model"])
        rows.append(
            [
                Cell(OUTCOMES.get(row["outcome"], row["outcome"])),
                Cell(name),
                Cell(text.humanise(row["group"])),
                *_group_cells(row),
            ]
        )
        notes.add(row["note"], f"{name}, {row['group']}")
    return Sheet(["Outcome", "Model", "Probability", *_GROUP_HEADS], rows, notes.lines())


def irae_sheet(view: RunView) -> Sheet:
    """Survival with and without an immune-related adverse event, from a landmark and naively: no forecast."""
    frame = view.table("risk_groups")
    frame = frame[frame["model"].isin(list(IRAE)) & (frame["cohort_id"] == "combined")]
    rows, notes = [], Notes(view)
    order, groups = list(IRAE), list(IRAE_GROUPS)
    for row in sorted(
        dicts(frame), key=lambda r: (str(r["outcome"]), order.index(r["model"]), -groups.index(str(r["group"])))
    ):
        rows.append(
            [
                Cell(text.sentence(OUTCOMES.get(row["outcome"], row["outcome"]))),
                Cell(IRAE[row["model"]]),
                Cell(IRAE_GROUPS[row["group"]]),
                *_group_cells(row),
            ]
        )
        notes.add(row["note"], IRAE[row["model"]])
    return Sheet(["Outcome", "Counted", "Patients with", *_GROUP_HEADS], rows, notes.lines())


def horizon_sheets(view: RunView) -> list[Sheet]:
    """Brier score and its gain over no model (IPA) at each horizon: a sheet an outcome."""
    frame = view.table("metrics")
    sheets = []
    for outcome, words in OUTCOMES.items():
        names = [f"brier_{outcome}", f"ipa_{outcome}"]
        keep = frame["metric"].isin(names) & (frame["cohort_id"] == "combined") & (frame["subgroup"] == "all")
        horizons = sorted({float(h) for h in frame.loc[keep, "threshold_or_horizon"].dropna()})
        columns = [(m, h) for m in names for h in horizons]
        rows, notes = [], Notes(view)
        for model in view.order:
            found = [view.metric(m, model, threshold=h) for m, h in columns]
            if all(r is None for r in found):
                continue
            rows.append([Cell(view.label(model)), *(estimate_cell(r, 3) for r in found)])
            for row in found:
                notes.add(row["note"] if row else "", view.label(model))
        heads = ["Model", *(_survival_head(m, h) for m, h in columns)]
        if rows:
            sheets.append(Sheet(heads, rows, notes.lines(), place_of(rows, view.label(view.headline)), words))
    return sheets


# ---- parts


def _group_cells(row: Mapping[str, Any]) -> list[Cell]:
    """n, events, median, hazard ratio and log-rank p of a group; the group that the others are held against says so."""
    low, high = text.number(row["ci_low"], 1) or "–", text.number(row["ci_high"], 1) or "–"
    ratio = {"estimate": row["hazard_ratio"], "ci_low": row["hr_low"], "ci_high": row["hr_high"], "note": ""}
    ends = [row[c] for c in ("hazard_ratio", "hr_low", "hr_high")]
    # the reference group is stored with ratio 1 and no width
    itself = not any(map(text.is_number, ends)) or all(text.is_number(v) and float(v) == 1 for v in ends)
    return [
        Cell(f"{int(row['n']):,}"),
        Cell(f"{int(row['n_events']):,}"),
        Cell(text.number(row["median_months"], 1) or "not reached", f"{low} to {high}"),
        Cell("reference", words=True) if itself else estimate_cell(ratio, 2),
        Cell("" if itself else text.p_value(row["logrank_p"]) or "–"),
    ]


def _survival_head(metric: str, horizon: float | None) -> str:
    name = text.METRIC_LABELS.get(metric, text.humanise(metric))
    return name if horizon is None else f"{name}, {horizon:g} months"
