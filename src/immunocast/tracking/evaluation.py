"""Tables that a tracker can compare between runs, a row of one beside the same row of another.

MLflow's evaluation view groups by the first column and compares the second until a reader chooses others: so the
first names a row in full, and the second holds what is to be compared.

On the run's page they hold all models, so that runs can be compared; on a model's page its own rows, so that the models
of a run can. No patient of a real cohort is in any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd

from immunocast.store.runfolder import RunFolder
from immunocast.tracking.labels import is_synthetic
from immunocast.tracking.record_types import EvaluationTable

#: Where they lie among the artifacts of a run.
FOLDER = "evaluation"
#: A page with more rows is of no use, and a browser reads them all.
_MOST_PATIENTS = 2000
#: By table: columns that together name a row, what is compared, and what else is shown.
_COLUMNS = {
    "metrics": (["metric", "model", "cohort"], "estimate (95 % CI)", ["patients", "events", "note"]),
    "comparisons": (
        ["metric", "comparison", "cohort"],
        "difference (95 % CI)",
        ["p", "p, corrected", "patients in common", "note"],
    ),
    "subgroups": (["metric", "model", "subgroup"], "estimate (95 % CI)", ["patients", "events", "note"]),
}


def run_evaluation(run: RunFolder, readable: dict[str, pd.DataFrame]) -> Iterator[EvaluationTable]:
    """Tables of the run's page: metrics, comparisons, subgroups and the inner search, of all models.

    Parameters
    ----------
    run : a run folder.
    readable : its `readable_tables`.
    """
    yield from _tables(_chosen(readable))
    yield from _tuning(run, None)


def model_evaluation(run: RunFolder, model: str, readable: dict[str, pd.DataFrame]) -> Iterator[EvaluationTable]:
    """Tables of a model's page: the same without the model's name, and predictions of synthetic patients.

    Parameters
    ----------
    run : a run folder.
    model : name of the model in the run.
    readable : the run's `readable_tables`.
    """
    mine = {}
    for name, frame in _chosen(readable).items():
        if "model" in frame:
            mine[name] = frame[frame["model"] == model].drop(columns="model")
        else:
            parts = frame["comparison"].str.partition(" minus ")
            mine[name] = frame.assign(comparison="minus " + parts[2])[parts[0] == model]
    yield from _tables(mine)
    yield from _tuning(run, model)
    yield from _predictions(run, model)


def _chosen(readable: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Own output of the models, everybody or one subgroup: what a page can hold."""
    found = {}
    for name, (keys, value, others) in _COLUMNS.items():
        frame = readable.get(name)
        if frame is None:
            continue
        if name == "comparisons":
            plain = ~frame["comparison"].str.contains("+", regex=False) & (frame["patients"] == "all")
        else:
            plain = ~frame["model"].str.contains(", ", regex=False)
        if name == "subgroups":
            plain &= frame["cohort"] == "combined"
        found[name] = frame.loc[plain, [*keys, value, *others]]
    return found


def _tables(frames: dict[str, pd.DataFrame]) -> Iterator[EvaluationTable]:
    for name, frame in frames.items():
        if frame.empty:
            continue
        keys, value, others = _COLUMNS[name]
        keys = [key for key in keys if key in frame]
        row = frame[keys[0]].str.cat(frame[keys[1:]], sep=" | ")
        yield EvaluationTable(
            f"{FOLDER}/{name}.json", pd.concat([row.rename("row"), frame[[value, *keys, *others]]], axis=1)
        )


def tuning_table(run: RunFolder) -> pd.DataFrame | None:
    """The trials of the inner search, a column a parameter; None where the run searched nothing.

    Columns: row (the next three in one), inner value, model, outer fold (with its repeat where there are several),
    trial, criterion, chosen, each parameter by its own name, note.
    """
    if not run.has_table("tuning") or (table := run.table("tuning")).empty:
        return None
    several = table["repeat"].nunique() > 1
    fold = table["fold"] + (", repeat " + table["repeat"].astype(str) if several else "")
    params = pd.DataFrame([json.loads(text) for text in table["params"]], index=table.index)
    return pd.DataFrame(
        {
            "row": table["model"] + " | " + fold + " | trial " + table["trial"].astype(str),
            "inner value": table["value"].round(4),
            "model": table["model"],
            "outer fold": fold,
            "trial": table["trial"],
            "criterion": table["criterion"],
            "chosen": table["chosen"].map({True: "yes", False: ""}),
            **{str(name): params[name].map(_short) for name in params},
            "note": table["note"],
        }
    )


def _short(value: object) -> object:
    return "" if value is None or value != value else float(f"{value:.4g}") if isinstance(value, float) else value


def _tuning(run: RunFolder, model: str | None) -> Iterator[EvaluationTable]:
    table = tuning_table(run)
    if table is None:
        return
    if model is not None:
        table = table[table["model"] == model].drop(columns="model")
        table["row"] = table["row"].str.removeprefix(f"{model} | ")
        # parameters of other models
        table = table.loc[:, [c for c in table if c == "note" or table[c].ne("").any()]]
    if len(table):
        yield EvaluationTable(f"{FOLDER}/tuning.json", table)


def _predictions(run: RunFolder, model: str) -> Iterator[EvaluationTable]:
    """Predictions by patient, where no patient exists, averaged over repeats."""
    if not is_synthetic(run) or not run.has_table("predictions"):
        return
    rows = run.table("predictions")
    rows = rows[(rows["model"] == model) & (rows["recalibration"] == "none") & ~rows["in_training"]]
    if not 0 < rows["patient_id"].nunique() <= _MOST_PATIENTS:
        return
    mean = rows.groupby(["patient_id", "cohort_id", "y_true"], as_index=False, sort=True)["p_response"].mean()
    frame = pd.DataFrame(
        {
            "row": mean["patient_id"] + " | " + mean["y_true"].map({1: "event", 0: "no event"}),
            "probability": mean["p_response"].map(lambda p: "abstained" if pd.isna(p) else f"{p:.3f}"),
            "cohort": mean["cohort_id"],
            "event": mean["y_true"].astype(int),
        }
    )
    yield EvaluationTable(f"{FOLDER}/predictions.json", frame)
