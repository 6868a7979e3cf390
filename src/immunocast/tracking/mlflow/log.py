"""The loop that logs records, in as few calls as MLflow's limits allow."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from immunocast.tracking import records as rec
from immunocast.tracking.mlflow.tracker import MAX_TAG, NOTE, Tracker

#: MLflow cuts longer parameters.
_MAX_PARAM = 6000


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
    metrics, params, tags, datasets = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="immunocast-") as folder:
        staged = Path(folder)
        for record in records:
            match record:
                case rec.Metric(key, value):
                    metrics.append(entities.Metric(key, shown(value), now, 0))
                case rec.Param(key, value):
                    params.append(entities.Param(key, cut(value, _MAX_PARAM)))
                case rec.Tag(key, value):
                    tags.append(entities.RunTag(key, cut(value, MAX_TAG)))
                case rec.Description(text):
                    tags.append(entities.RunTag(NOTE, cut(text, MAX_TAG)))
                case rec.Artifact(source, path):
                    target = staged / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
                case rec.ReadableTable(path, frame):
                    target = staged / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    frame.to_csv(target, index=False)
                case rec.Dataset():
                    datasets.append(_dataset_input(record))
                case rec.Model():
                    raise TypeError("A Model is logged with log_model.")
        for start in range(0, len(params), 100):
            tracker.client.log_batch(run_id, params=params[start : start + 100])
        for start in range(0, len(tags), 100):
            tracker.client.log_batch(run_id, tags=tags[start : start + 100])
        for start in range(0, len(metrics), 1000):
            tracker.client.log_batch(run_id, metrics=metrics[start : start + 1000])
        if datasets:
            tracker.client.log_inputs(run_id, datasets)
        if any(staged.iterdir()):
            tracker.client.log_artifacts(run_id, folder)


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


def _dataset_input(record: rec.Dataset) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    types = {"number": "double", "integer": "long", "binary": "long"}
    schema = [
        {"type": types.get(kind, "string"), "name": name, "required": False} for name, kind in record.columns.items()
    ]
    profile = {
        "num_rows": record.n_rows,
        "num_elements": record.n_rows * len(record.columns),
        "patients_by_cohort": record.n_by_cohort,
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
