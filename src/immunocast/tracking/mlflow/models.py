"""Models in MLflow: logged from code with a signature, linked to their runs, registered once."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from immunocast.tracking import records as rec
from immunocast.tracking.address import requirements
from immunocast.tracking.cards import CARD, card_files_of
from immunocast.tracking.describe import example_inputs
from immunocast.tracking.mlflow.log import cut, shown
from immunocast.tracking.mlflow.tracker import MAX_TAG, NOTE, Tracker

#: MLflow's limit of a version's description on PostgreSQL and MySQL.
MAX_DESCRIPTION = 5000


def log_model(
    tracker: Tracker,
    run_id: str,
    model: rec.Model,
    records: Iterable[rec.Record] = (),
    timestamp_ms: int | None = None,
) -> tuple[str, str | None]:
    """Log a bundle as an MLflow model, from code, and register it where it has a registered name.

    A model that was logged whole for this run stays as it is; one that was left half is logged anew.

    Parameters
    ----------
    tracker : the connection.
    run_id : MLflow's id of the model's run.
    model : the bundle and what to say about it.
    records : its metrics and parameters, shown on the model's own page too.
    timestamp_ms : time of the metrics.

    Returns
    -------
    (MLflow's id of the model, version in the registry or None)
    """
    from mlflow import entities

    tags = {**model.tags, NOTE: cut(model.description, MAX_TAG)}
    model_id = _logged_model(tracker, run_id)
    if model_id is None:
        records = list(records)
        logged = tracker.client.create_logged_model(
            tracker.experiment_id,
            name=_model_name(model),
            source_run_id=run_id,
            tags=tags,
            params={r.key: cut(r.value, 500) for r in records if isinstance(r, rec.Param)},
            model_type=model.tags.get("kind"),
        )
        model_id = logged.model_id
        # a call that was repeated since its answer was lost on the way has made two
        _logged_model(tracker, run_id, but=model_id)
        now = timestamp_ms if timestamp_ms is not None else int(time.time() * 1000)
        numbers = [r for r in records if isinstance(r, rec.Metric) and "/" not in r.key]
        # the page of a model names the data of its metrics, where they do
        data = next((r for r in records if isinstance(r, rec.Dataset)), None)
        of = {"model_id": model_id, "run_id": run_id}
        if data is not None:
            of |= {"dataset_name": data.name, "dataset_digest": data.digest or "unknown"}
        tracker.client.log_batch(
            run_id, metrics=[entities.Metric(r.key, shown(r.value), now, 0, **of) for r in numbers[:1000]]
        )
        with tempfile.TemporaryDirectory(prefix="immunocast-") as folder:
            path = Path(folder) / "model"
            save_pyfunc(path, model, run_id=run_id, model_id=model_id, location=logged.artifact_location)
            if model.card is not None:
                copy_card(model.card, path / CARD)
            tracker.client.log_model_artifacts(model_id, str(path))
        tracker.client.finalize_logged_model(model_id, "READY")
    link_model(tracker, run_id, model_id)
    return model_id, _register(tracker, run_id, model_id, model)


def copy_card(card: Path, target: Path) -> None:
    """Put a model card among the files of an MLflow model."""
    for file in card_files_of(card):
        place = target / file.relative_to(card)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def link_model(tracker: Tracker, run_id: str, model_id: str) -> None:
    """Show a logged model on the page of a run, once."""
    from mlflow.entities import LoggedModelOutput

    outputs = tracker.client.get_run(run_id).outputs
    if outputs and any(known.model_id == model_id for known in outputs.model_outputs):
        return
    tracker.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])


def has_version(tracker: Tracker, run_id: str, name: str) -> bool:
    """Whether "name/version", registered from a run, is still in the registry.

    By a search: asked for a version that is gone, a server with basic auth answers "permission denied".
    """
    registered, _, number = name.rpartition("/")
    return int(number) in _versions(tracker, run_id, registered)


def _logged_model(tracker: Tracker, run_id: str, but: str | None = None) -> str | None:
    """The model that was logged whole for a run; those left half are deleted, `but` this one."""
    found = tracker.client.search_logged_models([tracker.experiment_id], filter_string=f"source_run_id = '{run_id}'")
    whole = [m.model_id for m in found if str(m.status) == "READY"]
    for m in found:
        if str(m.status) != "READY" and m.model_id != but:
            tracker.client.delete_logged_model(m.model_id)
    return whole[0] if whole else None


@contextlib.contextmanager
def _as_global(tracker: Tracker) -> Iterator[None]:
    """MLflow's registry resolves `models:/` by the global address, whatever address the client has."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracker.uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def _register(tracker: Tracker, run_id: str, model_id: str, model: rec.Model) -> str | None:
    name = model.registered_name
    if name is None:
        return None
    from mlflow.exceptions import MlflowException

    with tracker.lock(f"registry {name}"):
        if known := _versions(tracker, run_id, name):
            _name_version(tracker, model_id, name, known[0])
            return str(known[0])
        try:
            tracker.client.create_registered_model(
                name,
                tags={key: model.tags[key] for key in ("model", "synthetic") if key in model.tags},
                description=f"{model.label}: probability of {model.predicts}, with immune checkpoint inhibitors.",
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        with _as_global(tracker):
            tracker.client.create_model_version(
                name,
                f"models:/{model_id}",
                run_id=run_id,
                tags={k: v for k, v in model.tags.items() if k not in ("model", "kind")},
                description=cut(model.version_description or model.description, MAX_DESCRIPTION),
                model_id=model_id,
            )
        # a call that was repeated since its answer was lost on the way has made two
        made, *twins = _versions(tracker, run_id, name)
        for twin in twins:
            with contextlib.suppress(MlflowException):  # who may register need not be one who may delete
                tracker.client.delete_model_version(name, str(twin))
        _name_version(tracker, model_id, name, made)
    return str(made)


def _versions(tracker: Tracker, run_id: str, name: str) -> list[int]:
    """Versions of a registered model that come from a run, the first one first."""
    found = tracker.client.search_model_versions(f"run_id = '{run_id}'")
    return sorted(int(known.version) for known in found if known.name == name)


def _name_version(tracker: Tracker, model_id: str, name: str, number: int) -> None:
    """Let the page of a logged model lead to its version; without this tag it says "Not registered"."""
    versions = json.dumps([{"name": name, "version": number}])
    tracker.client.set_logged_model_tags(model_id, {"mlflow.modelVersions": versions})


def save_pyfunc(path: Path, model: rec.Model, *, run_id: str, model_id: str, location: str = "") -> None:
    """Write a bundle as an MLflow model folder: code, bundle, signature, input example, requirements."""
    from mlflow.models import Model as MLmodel
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    example = example_inputs(model.spec)
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(
            DataType.double if example[name].dtype == "float64" else DataType.string,
            name,
            required=name in model.spec.required,
        )
        for name in model.spec.columns
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, "p_response"),
        ColSpec(DataType.boolean, "abstained"),
    ]
    with _quiet():
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(
            path,
            python_model=str(Path(__file__).parents[1] / "pyfunc_model.py"),
            artifacts={"bundle": str(model.bundle)},
            signature=ModelSignature(Schema(inputs), Schema(outputs)),
            input_example=example,
            pip_requirements=requirements(model.bundle),
            mlflow_model=MLmodel(
                artifact_path=location,
                run_id=run_id,
                model_uuid=model_id,
                model_id=model_id,
                metadata=dict(model.tags),
            ),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what MLflow 3.17 says about itself: its type hints, pandas 3, an environment without pip."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _model_name(model: rec.Model) -> str:
    return f"synthetic-{model.name}" if model.tags.get("synthetic") == "true" else model.name
