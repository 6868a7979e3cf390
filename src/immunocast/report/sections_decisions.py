"""The report's tables on acting by a threshold and on prediction sets, as plain rows of cells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunocast.metrics import wilson_interval
from immunocast.report import text
from immunocast.report.sections import Cell, Notes, Sheet, dicts, estimate_cell, place_of
from immunocast.report.view import RunView

#: Measures of a decision rule, in reading order, with the head of their column.
MEASURES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "treated_per_responder": "Treated per event",
    "cost_per_responder": "Cost per event",
    "net_benefit": "Net benefit",
}


def decision_sheets(view: RunView) -> list[Sheet]:
    """What comes of acting by a threshold over all cohorts: a sheet a rule."""
    frame = view.table("decisions")
    frame = frame[frame["cohort_id"] == "combined"]
    sheets = []
    for (rule, threshold), part in _by_rule(frame):
        measures = [m for m in _measures(view) if part.loc[part["metric"] == m, "estimate"].notna().any()]
        rows, notes = [], Notes(view)
        by_model: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        for row in dicts(part):
            by_model.setdefault((row["model"], row["recalibration"]), {})[str(row["metric"])] = row
        for model, recalibration, name in [*view.variants(), ("treat_all", "none", view.label("treat_all"))]:
            found = by_model.get((model, recalibration), {})
            spoken = model in (view.headline, view.reference) or recalibration == "none"
            if not found or not spoken or (model in view.rules and rule != "cutoff"):
                continue
            first = next(iter(found.values()))
            cut = text.number(first["threshold"], 2) or "–"
            rows.append(
                [
                    Cell(name),
                    Cell(cut),
                    Cell(
                        f"{int(first['n_positive']):,} of {int(first['n']):,}",
                        text.percent(first["n_positive"], first["n"]),
                    ),
                    *(_measure_cell(found.get(m), m) for m in measures),
                ]
            )
            for row in found.values():
                notes.add(row["note"], name)
        heads = ["Model", "Threshold", "Acted on", *(_measures(view)[m] for m in measures)]
        title = f"fixed at {threshold:g}" if rule == "fixed" else rule_label(rule)
        sheets.append(Sheet(heads, rows, notes.lines(), place_of(rows, view.label(view.headline)), title))
    return [s for s in sheets if s.rows]


def decision_cohort_sheets(view: RunView) -> list[Sheet]:
    """The headline model's decisions in each cohort: a sheet a rule that was learned, to see whether it travels."""
    frame = view.table("decisions")
    overall = ["combined", "pooled"]
    frame = frame[(frame["model"] == view.headline) & ~frame["cohort_id"].isin(overall)]
    frame = frame[frame["recalibration"] == view.recalibration(view.headline)]
    sheets = []
    for (rule, threshold), part in _by_rule(frame):
        measures = [m for m in _measures(view) if part.loc[part["metric"] == m, "estimate"].notna().any()]
        rows, notes = [], Notes(view)
        for cohort_id in view.cohort_ids:
            found = {str(r["metric"]): r for r in dicts(part[part["cohort_id"] == cohort_id])}
            if not found:
                continue
            first = next(iter(found.values()))
            acted = Cell(
                f"{int(first['n_positive']):,} of {int(first['n']):,}", text.percent(first["n_positive"], first["n"])
            )
            rows.append([Cell(cohort_id), acted, *(_measure_cell(found.get(m), m) for m in measures)])
            for row in found.values():
                notes.add(row["note"], cohort_id)
        heads = ["Cohort", "Acted on", *(_measures(view)[m] for m in measures)]
        title = f"fixed at {threshold:g}" if rule == "fixed" else rule_label(rule)
        sheets.append(Sheet(heads, rows, notes.lines(), None, title))
    return [s for s in sheets if len(s.rows) > 1 and len(s.heads) > 2]


def threshold_sheet(view: RunView) -> Sheet:
    """Thresholds that training patients chose: that of all patients, and the range over folds."""
    frame = view.table("thresholds")
    rows, notes = [], Notes(view)
    for model, recalibration, name in view.variants():
        here = frame[(frame["model"] == model) & (frame["recalibration"] == recalibration)]
        spoken = model in (view.headline, view.reference) or recalibration == "none"
        if here.empty or not spoken or model in view.rules:
            continue
        for rule in sorted(set(here["rule"]) - {"fixed", "cutoff"}, key=lambda r: (r != "youden", r)):
            part = here[here["rule"] == rule]
            folds, final = part[part["fold"] != "final"]["threshold"], part[part["fold"] == "final"]
            low, high = text.number(folds.min(), 3), text.number(folds.max(), 3)
            span = low if low == high else f"{low} to {high}"
            rows.append(
                [
                    Cell(name),
                    Cell(rule_label(rule)),
                    Cell(text.number(final["threshold"].iloc[0], 3) or "–" if len(final) else "–"),
                    Cell(span or "–"),
                    Cell(f"{len(folds):,}"),
                ]
            )
            for note in part["note"].dropna().unique():
                notes.add(note, rule_label(rule))
    heads = ["Model", "Rule", "From all patients", "Over training folds", "Folds"]
    return Sheet(heads, rows, notes.lines())


def prediction_set_sheet(view: RunView) -> Sheet:
    """Prediction sets: how often they hold the outcome, by outcome, and how often they say anything."""
    frame = view.table("conformal")
    rows, notes = [], Notes(view)
    if len(frame):
        outcomes = view.analysed[["patient_id", "cohort_id", "y_true"]]
        frame = frame.merge(outcomes, on=["patient_id", "cohort_id"], how="left", validate="many_to_one")
    for model in [m for m in view.order if (frame["model"] == m).any()]:
        for coverage, part in frame[frame["model"] == model].groupby("coverage", sort=True):
            made = part[part["prediction_set"].fillna("") != ""]
            covered = made["covered"].astype(bool)
            by = {y: covered[made["y_true"] == y] for y in (1, 0)}
            one = made["prediction_set"].isin(["event", "other"])
            kinds = [f"{int((made['prediction_set'] == k).sum()):,}" for k in ("event", "other", "both", "none")]
            rows.append(
                [
                    Cell(view.label(model)),
                    Cell(f"{float(coverage):.0%}".replace("%", " %")),  # type: ignore[arg-type]
                    Cell(f"{len(made):,}"),
                    *(_share_cell(c) for c in (covered, by[1], by[0])),
                    *map(Cell, kinds),
                    _share_cell(covered[one]),
                ]
            )
            for note in part["note"].dropna().unique():
                notes.add(note, view.label(model))
    covered_of = [f"Covered: {view.words.events}", f"Covered: {view.words.others}"]
    said = ["Event only", "No event only", "Both left open", "Neither", "Right where one is named"]
    heads = ["Model", "Aimed at", "Patients", "Covered", *covered_of, *said]
    return Sheet(heads, rows, notes.lines(), place_of(rows, view.label(view.headline)))


# ---- parts


def _measure_cell(row: Mapping[str, Any] | None, measure: str) -> Cell:
    """A measure with its interval; sums of money with a comma at thousands."""
    cell = estimate_cell(row, _decimals(measure))
    if measure != "cost_per_responder" or cell.words:
        return cell
    commas = re.compile(r"(?<=\d)(?=(?:\d{3})+(?!\d))")
    return Cell(commas.sub(",", cell.value), commas.sub(",", cell.span))


def _share_cell(hits: pd.Series) -> Cell:
    """A share with its 95 % interval (Wilson 1927); a dash where nobody counts."""
    n, k = len(hits), int(hits.sum())
    if not n:
        return Cell("–")
    low, high = wilson_interval(k, n)
    return Cell(text.percent(k, n), f"{100 * float(low):.1f} to {100 * float(high):.1f} %")


def _measures(view: RunView) -> dict[str, str]:
    """Heads of the measures that make sense for the endpoint: nobody pays for one more harm."""
    if view.words.harm:
        return {k: v for k, v in MEASURES.items() if not k.endswith("_per_responder")}
    if view.endpoint != "response":
        return MEASURES
    return {k: v.replace("per event", "per responder") for k, v in MEASURES.items()}


def rule_label(rule: str) -> str:
    """A rule of thresholds in words."""
    if rule == "youden":
        return "Youden’s index (largest sensitivity + specificity in training)"
    if rule == "cutoff":
        return "the marker’s own cut-off"
    kind, _, rest = rule.partition("_")
    if kind in ("sensitivity", "specificity"):
        return f"{kind} of at least {rest} % in training"
    if rule.startswith("harm_benefit_"):
        harm, benefit = rule.removeprefix("harm_benefit_").split("_")
        return f"harm of acting in vain to benefit as {harm} to {benefit}"
    return text.humanise(rule)


def _decimals(measure: str) -> int:
    return {"cost_per_responder": 0, "treated_per_responder": 2}.get(measure, 3)


def _by_rule(frame: pd.DataFrame) -> list[tuple[tuple[str, float], pd.DataFrame]]:
    """The parts of the decisions table that are one rule, fixed thresholds by their value."""
    parts = []
    for rule in sorted(set(frame["rule"]), key=lambda r: (r == "cutoff", r == "fixed", r != "youden", r)):
        here = frame[frame["rule"] == rule]
        if rule == "fixed":
            parts += [((str(rule), float(str(t))), g) for t, g in here.groupby("threshold", sort=True)]
        else:
            parts.append(((str(rule), float("nan")), here))
    return parts
