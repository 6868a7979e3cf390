"""The report's tables on calibration, decisions, subgroups, survival and controls, as plain rows of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY, label
from immunocast.report import text
from immunocast.report.sections import Cell, Notes, Sheet, dicts, estimate_cell
from immunocast.report.view import RunView

#: Metrics that are summarised over cohorts, in reading order.
META = ("auroc", "oe_ratio", "calibration_slope", "calibration_intercept", "brier", "net_benefit")
#: Metrics of calibration, in reading order.
CALIBRATION = ("oe_ratio", "calibration_intercept", "calibration_slope", "ici", "brier")
_AVAILABLE = {
    "pdl1_measured": "PD-L1",
    "tmb_measured": "TMB",
    "dna_measured": "DNA",
    "blood_measured": "Blood values",
    "expression_measured": "Expression",
}


def meta_sheet(view: RunView, *, main: bool = True) -> Sheet:
    """Estimates summarised over cohorts by random effects, with the interval for a new cohort.

    `main` is for the headline and the reference model, in all metrics; else the AUROC of all others.
    """
    frame = view.table("heterogeneity")
    frame = frame[frame["grouping"] == "cohort_id"]
    rows, notes = [], Notes(view)
    metrics = META if main else ("auroc",)
    middle = view.middle_threshold
    frame = frame[frame["threshold_or_horizon"].isna() | (frame["threshold_or_horizon"] == middle)]
    for model, recalibration, name in view.variants():
        if (model in (view.headline, view.reference)) != main or (not main and recalibration != "none"):
            continue
        here = frame[(frame["model"] == model) & (frame["recalibration"] == recalibration)]
        # a recalibration keeps the order of patients of a fold: its AUROC is that of the model
        for row in _in_order(here, metrics if recalibration == "none" else metrics[1:]):
            metric, decimals = row["metric"], text.DECIMALS.get(row["metric"], 3)
            shown = text.METRIC_LABELS.get(metric, text.humanise(metric))
            shown += f" at {middle:g}" if text.is_number(row["threshold_or_horizon"]) else ""
            if metric == "brier" and text.is_number(row["pi_low"]):
                # on its own scale the interval of few cohorts can leave the range of the score
                outside = float(row["pi_low"]) < 0 or float(row["pi_high"]) > 1
                row = {**row, "pi_low": max(float(row["pi_low"]), 0.0), "pi_high": min(float(row["pi_high"]), 1.0)}
                notes.add("the interval for a new cohort is cut at the range of the score" if outside else "", shown)
            rows.append(
                [
                    Cell(name),
                    Cell(shown),
                    Cell(str(int(row["n_levels"]))),
                    estimate_cell(row, decimals),
                    Cell(text.interval(row["pi_low"], row["pi_high"], decimals) or "–"),
                    Cell(text.percent(row["i2"], 1, 0) if text.is_number(row["i2"]) else "–"),
                    Cell(text.p_value(row["p"]) or "–"),
                ]
            )
            notes.add(row["note"], f"{name}, {shown}")
    heads = ["Model", "Metric", "Cohorts", "Average", "For a new cohort", "I²", "p of no difference"]
    return Sheet(heads, rows, notes.lines(), 0 if rows and main else None)


def recalibration_sheet(view: RunView) -> Sheet:
    """Calibration of every model that was recalibrated, as it came and after."""
    variants = view.variants()
    # a rule of two probabilities is calibrated where it is learned
    several = {m for m, r, _ in variants if r != "none"} - view.rules
    rows, notes = [], Notes(view)
    present = [m for m in CALIBRATION if (view.table("metrics")["metric"] == m).any()]
    for model, recalibration, name in variants:
        found = {m: view.metric(m, model, None, recalibration) for m in present}
        if model not in several or all(r is None for r in found.values()):
            continue
        rows.append([Cell(name), *(estimate_cell(found[m], text.DECIMALS.get(m, 3)) for m in present)])
        for row in found.values():
            notes.add(row["note"] if row else "", name)
    heads = ["Model", *(text.METRIC_LABELS[m] for m in present)]
    return Sheet(heads, rows, notes.lines(), 0 if rows else None)


def subgroup_sheet(view: RunView) -> Sheet:
    """The headline model inside subgroups, over all cohorts, with the reference's AUROC beside it."""
    frame = view.table("metrics")
    frame = frame[(frame["metric"] == "auroc") & ~frame["subgroup"].isin(["all", "discordance"])]
    pairs = frame[["subgroup", "level"]].drop_duplicates()
    middle = view.middle_threshold
    columns = [
        ("auroc", view.headline, "AUROC"),
        ("auroc_shrunken", view.headline, "AUROC, shrunken"),
        ("oe_ratio", view.headline, "O:E"),
        ("net_benefit", view.headline, f"Net benefit at {middle:g}" if middle is not None else ""),
        ("auroc", view.reference, f"AUROC, {view.label(view.reference)}"),
    ]
    inside = view.table("metrics")
    inside = inside[~inside["subgroup"].isin(["all", "discordance"])]
    present = set(zip(inside["metric"], inside["model"], strict=True))
    columns = [c for c in columns if c[2] and (c[0], c[1]) in present and not (c[1] == view.reference == view.headline)]
    rows, notes = [], Notes(view)
    for subgroup, level in sorted(pairs.itertuples(index=False), key=lambda p: (p[0], text.level_order(p[1]))):
        found = [
            view.metric(m, model, subgroup=subgroup, level=level, threshold=middle if m == "net_benefit" else None)
            for m, model, _ in columns
        ]
        first = next((r for r in found if r is not None), None)
        if first is None:
            continue
        share = text.percent(int(first["n_events"]), int(first["n"]))
        counts = [f"{int(first['n']):,}", f"{int(first['n_events']):,}", share]
        cells = [estimate_cell(r, text.DECIMALS.get(m, 3)) for r, (m, _, _) in zip(found, columns, strict=True)]
        rows.append([Cell(group_label(subgroup)), Cell(text.level_label(level)), *map(Cell, counts), *cells])
        for row in found:
            notes.add(row["note"] if row else "", f"{group_label(subgroup)} {level}")
    heads = ["Subgroup", "Level", "n", "Events", "Share", *(head for _, _, head in columns)]
    return Sheet(heads, rows, notes.lines())


def difference_sheet(view: RunView) -> Sheet:
    """Whether the headline model's estimates differ between the levels of each subgroup variable."""
    frame = view.table("heterogeneity")
    keep = (frame["grouping"] != "cohort_id") & (frame["model"] == view.headline)
    middle = view.middle_threshold
    keep &= (frame["recalibration"] == view.recalibration(view.headline)) & frame["p"].notna()
    keep &= frame["threshold_or_horizon"].isna() | (frame["threshold_or_horizon"] == middle)
    rows, notes = [], Notes(view)
    for row in sorted(dicts(frame[keep]), key=lambda r: (r["metric"], r["grouping"])):
        metric = text.METRIC_LABELS.get(row["metric"], text.humanise(row["metric"]))
        metric += f" at {middle:g}" if text.is_number(row["threshold_or_horizon"]) else ""
        rows.append(
            [
                Cell(group_label(row["grouping"])),
                Cell(metric),
                Cell(str(int(row["n_levels"]))),
                Cell(text.p_value(row["p"]) or "–"),
                Cell(text.p_value(row["p_adjusted"]) or "–"),
                Cell(text.percent(row["i2"], 1, 0) if text.is_number(row["i2"]) else "–"),
            ]
        )
        notes.add(row["family"], metric)
    return Sheet(["Subgroup", "Metric", "Levels", "p", "p, corrected", "I²"], rows, notes.lines())


def discordance_sheet(view: RunView) -> Sheet:
    """Patients in whom a marker and the outcome disagree: how many, and whether a model tells them."""
    frame = view.table("metrics")
    frame = frame[frame["subgroup"] == "discordance"]
    models = [m for m in dict.fromkeys((view.headline, view.reference)) if (frame["model"] == m).any()]
    rows, notes = [], Notes(view)
    for level in dict.fromkeys(frame["level"]):
        for model in models:
            names = ("share_discordant", "auroc", "rate_above", "rate_below")
            found = {m: view.metric(m, model, subgroup="discordance", level=level) for m in names}
            first = found["share_discordant"] or found["auroc"]
            if first is None:
                continue
            rows.append(
                [
                    Cell(stratum_label(level)),
                    Cell(view.label(model)),
                    Cell(f"{int(first['n']):,}"),
                    Cell(f"{int(first['n_events']):,}"),
                    *(estimate_cell(found[m], 3) for m in names),
                    _against(view, model, level),
                ]
            )
            for row in found.values():
                notes.add(row["note"] if row else "", f"{stratum_label(level)}, {view.label(model)}")
    heads = ["Stratum", "Model", "n", "Events", "Share discordant", "AUROC inside", "Rate above the threshold",
             "Rate below", "AUROC less the reference’s"]  # fmt: skip
    return Sheet(heads, rows, notes.lines())


# ---- parts


def _against(view: RunView, model: str, level: str) -> Cell:
    """Difference in AUROC to the reference inside a discordance stratum; a dash for the reference itself."""
    frame = view.table("comparisons")
    keep = (frame["metric"] == "auroc") & (frame["subgroup"] == "discordance") & (frame["level"] == level)
    keep &= (frame["model"] == model) & (frame["reference_model"] == view.reference)
    rows = dicts(frame[keep & (frame["cohort_id"] == "combined")])
    return estimate_cell(rows[0], 3, "difference", sign=True) if rows else Cell("–")


def group_label(subgroup: str) -> str:
    """A subgroup variable as readers know it."""
    if subgroup in _AVAILABLE:
        return _AVAILABLE[subgroup]
    known = label(subgroup)
    return known if known != subgroup else text.sentence(text.humanise(subgroup))


def stratum_label(level: str) -> str:
    """A discordance stratum as readers know it, e.g. "PD-L1 TPS < 1 %"."""
    name, _, rest = level.partition(" ")
    known = VOCABULARY[name].label if name in VOCABULARY else name
    return f"{known} {rest}".strip().replace(">=", "≥")


def _in_order(frame: pd.DataFrame, metrics: tuple[str, ...]) -> list[Mapping[str, Any]]:
    rows = [r for r in dicts(frame) if r["metric"] in metrics]
    return sorted(rows, key=lambda r: metrics.index(r["metric"]))
