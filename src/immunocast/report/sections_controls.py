"""The report's tables on controls, stability of predictions and tuning, as plain rows of cells."""

from __future__ import annotations

from typing import Any

from immunocast.cohort.vocabulary import label
from immunocast.report import text
from immunocast.report.sections import Cell, Notes, Sheet, dicts
from immunocast.report.view import RunView

CONTROLS = {
    "permuted_labels": "Permuted labels",
    "null_feature": "Random feature",
    "cohort_orr": "Cohort’s own rate",
    "events_per_parameter": "Events per parameter",
    "instability": "Instability of predictions",
}


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


def tuning_sheet(view: RunView) -> Sheet:
    """What tuning inside the training folds chose: a row a model and setting, with how often it was chosen."""
    frame = view.table("tuning")
    rows, notes = [], Notes(view)
    for model in [m for m in view.order if (frame["model"] == m).any()]:
        here = frame[frame["model"] == model]
        chosen = here[here["chosen"].astype(bool)]
        criterion = str(here["criterion"].iloc[0])
        for params, part in sorted(chosen.groupby("params"), key=lambda pair: (-len(pair[1]), str(pair[0]))):
            low, high = float(part["value"].min()), float(part["value"].max())
            rows.append(
                [
                    Cell(view.label(model)),
                    Cell(str(params)),
                    Cell(f"{len(part):,} of {len(chosen):,}"),
                    Cell(text.METRIC_LABELS.get(criterion, text.humanise(criterion))),
                    Cell(text.number(part["value"].median()), text.interval(low, high) if low < high else ""),
                    Cell(f"{here['trial'].nunique():,}"),
                ]
            )
        for note in here["note"].dropna().unique():
            notes.add(note, view.label(model))
    heads = ["Model", "Chosen setting", "Folds", "Criterion", "Its value", "Settings tried"]
    return Sheet(heads, rows, notes.lines())


# ---- parts


def _number(value: Any) -> float:
    return float(value) if text.is_number(value) else -1.0
