"""The loop that logs records, in as few calls as MLflow's limits allow."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from immunocast.tracking import records as rec
from immunocast.tracking.mlflow.tracker import MAX_TAG, NOTE, Tracker

#: MLflow cuts longer parameters.
_MAX_PARAM = 6000
#: Tags of MLflow's own: the column and line "Version" of a run, and the tables that its evaluation view offers.
_COMMIT, _TABLES = "mlflow.source.git.commit", "mlflow.loggedArtifacts"


def log(tracker: Tracker, run_id: str, records: Iterable[rec.Record], timestamp_ms: int | None = None) -> None:
    """Log records in as few calls as MLflow's limits allow; logging the same again changes nothing.

    Parameters
    ----------
    tracker : the connection.
    run_id : MLflow's id of the run.
    records : see `tracking.records`; a Model goes to `log_model` instead.
    timestamp_ms : time of the metrics. The same time makes repeated metrics one point.
    """
    from mlflow import entities

    now = timestamp_ms if timestamp_ms is not None else int(time.time() * 1000)
    metrics, params, tags, datasets, compared = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="immunocast-") as folder:
        staged = Path(folder)
        for record in records:
            match record:
                case rec.Metric(key, value, step):
                    metrics.append(entities.Metric(key, shown(value), now, step))
                case rec.Param(key, value):
                    params.append(entities.Param(key, cut(value, _MAX_PARAM)))
                case rec.Tag(key, value):
                    tags.append(entities.RunTag(key, cut(value, MAX_TAG)))
                    if key == "git_commit" and value != "unknown":
                        tags.append(entities.RunTag(_COMMIT, value))
                case rec.Description(text):
                    tags.append(entities.RunTag(NOTE, cut(text, MAX_TAG)))
                case rec.Artifact(source, path):
                    shutil.copyfile(source, _place(staged, path))
                case rec.TextFile(path, text):
                    _place(staged, path).write_text(text, encoding="utf-8")
                case rec.ReadableTable(path, frame):
                    frame.to_csv(_place(staged, path), index=False)
                case rec.EvaluationTable(path, frame):
                    _place(staged, path).write_text(_table_json(frame), encoding="utf-8")
                    compared.append({"path": path, "type": "table"})
                case rec.Dataset():
                    datasets.append(_dataset_input(record))
                case rec.Model():
                    raise TypeError("A Model is logged with log_model.")
        if compared:
            tags.append(entities.RunTag(_TABLES, json.dumps(compared)))
        while metrics or params or tags:
            # MLflow takes 100 parameters, 100 tags and 1,000 items in all
            tracker.client.log_batch(run_id, metrics[:800], params[:100], tags[:100])
            del metrics[:800], params[:100], tags[:100]
        if datasets:
            tracker.client.log_inputs(run_id, datasets)
        if any(staged.iterdir()):
            tracker.client.log_artifacts(run_id, folder)


def _place(staged: Path, path: str) -> Path:
    """Where a file waits for its upload; its folder is made."""
    target = staged / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _table_json(frame: pd.DataFrame) -> str:
    """A table as `mlflow.log_table` writes it, which would take calls of its own for each."""
    cells = frame.astype(object).where(frame.notna(), None)
    content = {"columns": [str(c) for c in frame], "data": cells.to_numpy().tolist()}
    return json.dumps(content, ensure_ascii=False, default=str)


def shown(value: float) -> float:
    """Six significant digits: the UI shows every digit that it gets. The tables keep full precision."""
    return float(f"{value:.6g}")


def cut(text: str, limit: int) -> str:
    """Cut a text at a line end, and say so."""
    if len(text) <= limit:
        return text
    note = "\n\n(cut; the whole text is among the artifacts)"
    kept = text[: limit - len(note)]
    return (kept.rpartition("\n")[0] or kept) + note


def _size(record: rec.Dataset, cohort_id: str) -> str:
    events = record.events_by_cohort.get(cohort_id)
    return f"{record.n_by_cohort[cohort_id]} patients" + (f", {events} events" if events is not None else "")


def _dataset_input(record: rec.Dataset) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    types = {"number": "double", "integer": "long", "binary": "long"}
    schema = [
        {"type": types.get(kind, "string"), "name": name, "required": False} for name, kind in record.columns.items()
    ]
    profile = {
        "num_rows": record.n_rows,
        "num_elements": record.n_rows * len(record.columns),
        # an entry a cohort: the UI cuts long ones
        **{f"cohort {name}": _size(record, name) for name in record.n_by_cohort},
    }
    dataset = Dataset(
        name=record.name,
        digest=record.digest or "unknown",
        source_type="code",
        source=json.dumps({"tags": {"mlflow.source.name": record.source}}),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", record.context)])
