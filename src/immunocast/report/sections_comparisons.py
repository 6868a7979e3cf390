"""The report's tables that set models beside each other, as plain rows of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from immunocast.report import text
from immunocast.report.sections import Cell, Notes, Sheet, dicts, estimate_cell, place_of
from immunocast.report.view import RunView


def comparison_sheet(view: RunView, metrics: tuple[str, ...], cohort_id: str | None = None) -> Sheet:
    """Differences to the reference on common patients, for the named metrics."""
    frame = view.table("comparisons")
    rows, notes, several = [], Notes(view), len(metrics) > 1
    frame = frame[frame["metric"].isin(metrics) & (frame["reference_model"] == view.reference)]
    frame = frame[frame["cohort_id"].isin(["combined", "pooled"] if cohort_id is None else [cohort_id])]
    # a recalibration changes no order inside a fold: its differences in rank are those of the model
    frame = frame[~(frame["metric"].isin(["auroc", "auprc"]) & frame["model"].str.contains("+", regex=False))]
    frame = frame[frame["subgroup"] == "all"]
    place = {m: i for i, m in enumerate(view.order)}
    for row in sorted(
        frame.to_dict("records"),
        key=lambda r: (metrics.index(r["metric"]), place.get(r["model"], 99), _nan_last(r["threshold_or_horizon"])),
    ):
        decimals = text.DECIMALS.get(row["metric"], 3)
        metric = text.METRIC_LABELS.get(row["metric"], text.humanise(row["metric"]))
        if text.is_number(row["threshold_or_horizon"]):
            metric += f" at {row['threshold_or_horizon']:g}"
        name = view.label(row["model"])
        rows.append(
            [
                Cell(name),
                *([Cell(metric)] if several else []),
                _difference_cell(row, decimals),
                Cell(text.p_value(row["p"]) or "–"),
                Cell(text.p_value(row["p_adjusted"]) or "–"),
                Cell(f"{int(row['n_common']):,}"),
                Cell(f"{int(row['n_events']):,}"),
                Cell(f"{int(row['n_lost']):,}"),
                Cell(text.number(row["estimate_model"], decimals) or "–"),
                Cell(text.number(row["estimate_reference"], decimals) or "–"),
            ]
        )
        notes.add(row["note"], f"{name}, {metric}" if several else name)
        notes.add(f"p, corrected: {row['family']}" if row["family"] else "", metric)
    heads = [
        "Model",
        *(["Metric"] if several else []),
        "Difference",
        "p",
        "p, corrected",
        "n common",
        "Events",
        "n lost",
        "Model’s value",
        "Reference’s value",
    ]
    return Sheet(heads, rows, notes.lines(), place_of(rows, view.label(view.headline)))


def other_comparisons(view: RunView) -> Sheet:
    """Differences to the reference in all metrics but the AUROC."""
    found = set(view.table("comparisons")["metric"]) - {"auroc"}
    order = [*text.METRIC_LABELS]
    return comparison_sheet(view, tuple(sorted(found, key=lambda m: (order.index(m) if m in order else 99, m))))


def pair_sheet(view: RunView, metric: str = "auroc") -> Sheet:
    """Every model against every other, over all cohorts: difference of row less column, and its p."""
    frame = view.table("comparisons")
    keep = (frame["metric"] == metric) & (frame["cohort_id"] == "combined") & (frame["subgroup"] == "all")
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for row in dicts(frame[keep & frame["difference"].notna()]):
        a, b, d, p = row["model"], row["reference_model"], float(row["difference"]), row["p"]
        found[a, b] = (d, p)
        found.setdefault((b, a), (-d, p))
    models = [m for m in view.order if any(m in pair for pair in found)]
    if len(models) < 3:
        return Sheet([], [], [])
    rows = []
    for a in models:
        cells = [Cell(view.label(a))]
        for b in models:
            if a == b:
                cells.append(Cell(""))
                continue
            difference, p = found.get((a, b), (float("nan"), float("nan")))
            said = text.number(difference, 3, sign=True)
            cells.append(Cell(said, f"p {words}" if (words := text.p_value(p)) else "") if said else Cell("–"))
        rows.append(cells)
    return Sheet(["Model less", *(view.label(m) for m in models)], rows, [], 0 if models[0] == view.headline else None)


# ---- parts


def _difference_cell(row: Mapping[Any, Any], decimals: int) -> Cell:
    """A difference with its interval; a difference without any width is said to be between the same predictions."""
    values = [row[c] for c in ("difference", "ci_low", "ci_high")]
    if all(text.is_number(v) and abs(float(v)) < 1e-12 for v in values):
        return Cell("the same here", words=True)
    return estimate_cell(row, decimals, "difference", sign=True)


def _nan_last(value: Any) -> float:
    return float(value) if text.is_number(value) else -1.0
