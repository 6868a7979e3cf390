"""The report's tables on calibration, decisions, subgroups, survival and controls, as plain rows of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY, label
from immunocast.report import text
from immunocast.report.sections import Cell, Notes, Sheet, dicts, estimate_cell, place_of
from immunocast.report.view import RunView

#: Metrics of calibration, in reading order.
CALIBRATION = ("oe_ratio", "calibration_intercept", "calibration_slope", "ici", "brier")
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
_AVAILABLE = {
    "pdl1_measured": "PD-L1",
    "tmb_measured": "TMB",
    "dna_measured": "DNA",
    "blood_measured": "Blood values",
    "expression_measured": "Expression",
}
OUTCOMES = {"os": "overall survival", "pfs": "progression-free survival"}
CONTROLS = {
    "permuted_labels": "Permuted labels",
    "null_feature": "Random feature",
    "cohort_orr": "Cohort’s own rate",
    "events_per_parameter": "Events per parameter",
    "instability": "Instability of predictions",
}


def meta_sheet(view: RunView, *, main: bool = True) -> Sheet:
    """Estimates summarised over cohorts by random effects, with the interval for a new cohort.

    `main` is for the headline and the reference model, in all metrics; else the AUROC of all others.
    """
    frame = view.table("heterogeneity")
    frame = frame[frame["grouping"] == "cohort_id"]
    rows, notes = [], Notes(view)
    metrics = ("auroc", "oe_ratio", "calibration_slope", "calibration_intercept", "brier") if main else ("auroc",)
    for model, recalibration, name in view.variants():
        if (model in (view.headline, view.reference)) != main or (not main and recalibration != "none"):
            continue
        here = frame[(frame["model"] == model) & (frame["recalibration"] == recalibration)]
        # a recalibration keeps the order of patients of a fold: its AUROC is that of the model
        for row in _in_order(here, metrics if recalibration == "none" else metrics[1:]):
            metric, decimals = row["metric"], text.DECIMALS.get(row["metric"], 3)
            rows.append(
                [
                    Cell(name),
                    Cell(text.METRIC_LABELS.get(metric, text.humanise(metric))),
                    Cell(str(int(row["n_levels"]))),
                    estimate_cell(row, decimals),
                    Cell(text.interval(row["pi_low"], row["pi_high"], decimals) or "–"),
                    Cell(text.percent(row["i2"], 1, 0) if text.is_number(row["i2"]) else "–"),
                    Cell(text.p_value(row["p"]) or "–"),
                ]
            )
            notes.add(row["note"], f"{name}, {text.METRIC_LABELS.get(metric, metric)}")
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


def decision_sheets(view: RunView) -> list[Sheet]:
    """What comes of acting by a threshold over all cohorts: a sheet a rule."""
    frame = view.table("decisions")
    frame = frame[frame["cohort_id"] == "combined"]
    sheets = []
    for (rule, threshold), part in _by_rule(frame):
        measures = [m for m in _measures(view) if part.loc[part["metric"] == m, "estimate"].notna().any()]
        rows, notes = [], Notes(view)
        for model, recalibration, name in [*view.variants(), ("treat_all", "none", view.label("treat_all"))]:
            here = part[(part["model"] == model) & (part["recalibration"] == recalibration)]
            spoken = model in (view.headline, view.reference) or recalibration == "none"
            if here.empty or not spoken or (model in view.rules and rule != "cutoff"):
                continue
            found = {str(r["metric"]): r for r in dicts(here)}
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
                    *(estimate_cell(found.get(m), _decimals(m)) for m in measures),
                ]
            )
            for row in found.values():
                notes.add(row["note"], name)
        heads = ["Model", "Threshold", "Acted on", *(_measures(view)[m] for m in measures)]
        title = f"fixed at {threshold:g}" if rule == "fixed" else rule_label(rule)
        sheets.append(Sheet(heads, rows, notes.lines(), place_of(rows, view.label(view.headline)), title))
    return [s for s in sheets if s.rows]


def subgroup_sheet(view: RunView) -> Sheet:
    """The headline model inside subgroups, over all cohorts, with the reference's AUROC beside it."""
    frame = view.table("metrics")
    frame = frame[(frame["metric"] == "auroc") & ~frame["subgroup"].isin(["all", "discordance"])]
    pairs = frame[["subgroup", "level"]].drop_duplicates().sort_values(["subgroup", "level"])
    columns = [
        ("auroc", view.headline, "AUROC"),
        ("auroc_shrunken", view.headline, "AUROC, shrunken"),
        ("oe_ratio", view.headline, "O:E"),
        ("auroc", view.reference, f"AUROC, {view.label(view.reference)}"),
    ]
    inside = view.table("metrics")
    inside = inside[~inside["subgroup"].isin(["all", "discordance"])]
    present = set(zip(inside["metric"], inside["model"], strict=True))
    columns = [c for c in columns if (c[0], c[1]) in present and not (c[1] == view.reference == view.headline)]
    rows, notes = [], Notes(view)
    for subgroup, level in pairs.itertuples(index=False):
        found = [view.metric(m, model, subgroup=subgroup, level=level) for m, model, _ in columns]
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
                ]
            )
            for row in found.values():
                notes.add(row["note"] if row else "", f"{stratum_label(level)}, {view.label(model)}")
    heads = ["Stratum", "Model", "n", "Events", "Share discordant", "AUROC inside", "Rate above the threshold",
             "Rate below"]  # fmt: skip
    return Sheet(heads, rows, notes.lines())


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
        median = text.number(row["median_months"], 1) or "not reached"
        low, high = text.number(row["ci_low"], 1) or "–", text.number(row["ci_high"], 1) or "–"
        name = view.label(row["model"])
        ratio = {"estimate": row["hazard_ratio"], "ci_low": row["hr_low"], "ci_high": row["hr_high"], "note": ""}
        rows.append(
            [
                Cell(OUTCOMES.get(row["outcome"], row["outcome"])),
                Cell(name),
                Cell(text.humanise(row["group"])),
                Cell(f"{int(row['n']):,}"),
                Cell(f"{int(row['n_events']):,}"),
                Cell(median, f"{low} to {high}"),
                estimate_cell(ratio, 2) if text.is_number(row["hazard_ratio"]) else Cell("reference"),
                Cell(text.p_value(row["logrank_p"]) or "–"),
            ]
        )
        notes.add(row["note"], f"{name}, {row['group']}")
    heads = ["Outcome", "Model", "Probability", "n", "With event", "Median, months", "Hazard ratio", "Log-rank p"]
    return Sheet(heads, rows, notes.lines())


def control_sheet(view: RunView) -> Sheet:
    """What the procedure finds where there is nothing to find, and simple references."""
    frame = view.table("controls")
    overall = frame["cohort_id"] == "combined"
    frame = frame[overall] if overall.any() else frame
    # single features have a sheet of their own, and so has the instability of predictions
    frame = frame[~frame["metric"].str.startswith("importance:") & (frame["control"] != "instability")]
    frame = frame[frame["estimate"].notna()]
    order = list(CONTROLS)
    rows, notes = [], Notes(view)
    for row in sorted(
        dicts(frame), key=lambda r: (order.index(r["control"]) if r["control"] in order else 9, r["model"])
    ):
        name = CONTROLS.get(row["control"], text.sentence(text.humanise(row["control"])))
        own = row["model"] == row["control"]
        who = (
            "" if own else text.humanise(row["model"]) if row["model"] == "training_rate" else view.label(row["model"])
        )
        span = text.interval(row["low"], row["high"])
        decimals = {"features_not_above_noise": 0, "events_per_parameter": 1}.get(row["metric"], 3)
        rows.append(
            [
                Cell(name),
                Cell(who or "–"),
                Cell(text.METRIC_LABELS.get(row["metric"], text.humanise(row["metric"]))),
                Cell(text.number(row["estimate"], decimals) or "–", span),
                Cell(text.number(row["observed"], 3) or "–"),
                Cell(text.p_value(row["p"]) or "–"),
                Cell(f"{int(row['n_repeats']):,}"),
                Cell(row["verdict"] if row["verdict"] not in ("", "none") else "–"),
            ]
        )
        notes.add(row["note"], f"{name}, {who}" if who else name)
    heads = ["Control", "Model", "Measure", "Found", "In this run", "p", "Draws", "Verdict"]
    return Sheet(heads, rows, notes.lines())


def null_sheet(view: RunView) -> Sheet:
    """Each feature of the control models against shuffled copies of itself, and a random feature."""
    frame = view.table("controls")
    frame = frame[(frame["control"] == "null_feature") & frame["metric"].str.startswith("importance:")]
    rows, notes = [], Notes(view)
    for row in sorted(dicts(frame), key=lambda r: (r["model"], -_number(r["observed"]))):
        feature = row["metric"].partition(":")[2]
        rows.append(
            [
                Cell(view.label(row["model"])),
                Cell("Random numbers" if feature == "random" else label(feature)),
                Cell(text.number(row["observed"], 3) or "–"),
                Cell(text.number(row["estimate"], 3) or "–", text.interval(row["low"], row["high"])),
                Cell(text.p_value(row["p"]) or "–"),
                Cell(f"{int(row['n_repeats']):,}"),
            ]
        )
        notes.add(row["note"], "" if feature == "random" else label(feature))
    heads = ["Model", "Feature", "Importance", "Of its shuffled copy", "p", "Draws"]
    return Sheet(heads, rows, notes.lines())


def stability_sheet(view: RunView) -> Sheet:
    """How far one patient's probability moves when a model is fitted on other samples of the training patients."""
    frame = view.table("stability")
    rows = []
    for model in [m for m in view.order if (frame["model"] == m).any()]:
        here = frame[frame["model"] == model]
        width = here["p_high"] - here["p_low"]
        rows.append(
            [
                Cell(view.label(model)),
                Cell(f"{len(here):,}"),
                Cell(f"{int(here['n_refits'].max()):,}"),
                Cell(text.number(here["mean_abs_change"].median(), 3)),
                Cell(text.number(width.median(), 3)),
                Cell(text.number(width.quantile(0.95), 3)),
            ]
        )
    heads = ["Model", "Patients", "Refits", "Median change", "Median width of the 95 % range", "Its 95th percentile"]
    return Sheet(heads, rows, [])


# ---- parts


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


def _measures(view: RunView) -> dict[str, str]:
    """Heads of the measures that make sense for the endpoint: nobody pays for one more harm."""
    if view.words.harm:
        return {k: v for k, v in MEASURES.items() if not k.endswith("_per_responder")}
    if view.endpoint != "response":
        return MEASURES
    return {k: v.replace("per event", "per responder") for k, v in MEASURES.items()}


def _number(value: Any) -> float:
    return float(value) if text.is_number(value) else -1.0


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


def _survival_head(metric: str, horizon: float | None) -> str:
    name = text.METRIC_LABELS.get(metric, text.humanise(metric))
    return name if horizon is None else f"{name}, {horizon:g} months"


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


def _in_order(frame: pd.DataFrame, metrics: tuple[str, ...]) -> list[Mapping[str, Any]]:
    rows = [r for r in dicts(frame) if r["metric"] in metrics]
    return sorted(rows, key=lambda r: metrics.index(r["metric"]))
