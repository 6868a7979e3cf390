"""MLflow: the connection, the life of a run, and the loop that logs records.

The only file of immunocast that imports mlflow (and `pyfunc_model`, which MLflow itself runs). The import
takes seconds, so it waits until a Tracker connects. Nothing global is set: no tracking URI, no active run.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunocast.errors import ConfigError
from immunocast.tracking import process
from immunocast.tracking import records as rec
from immunocast.tracking.address import (
    first_line,
    prepare_environment,
    requirements,
    resolve_uri,
    without_secrets,
)
from immunocast.tracking.describe import example_inputs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: Makes the UI open an experiment among its pages for models instead of those for language agents.
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "Forecasts of response, resistance, toxicity and survival with immune checkpoint inhibitors. "
        "A run is one execution of the pipeline; "
        "below it, a child run a model. Runs named *synthetic* say nothing about people."
    ),
}
#: Tag of an open run: host, pid and start of the process that answers for it; gone once it is FINISHED.
PROCESS = "immunocast.process"
#: Tag that says why a run is FAILED or KILLED.
ERROR = "immunocast.error"
_NOTE, _PARENT = "mlflow.note.content", "mlflow.parentRunId"
#: MLflow refuses longer tags and cuts longer parameters.
_MAX_TAG, _MAX_PARAM = 8000, 6000
#: Errors of these libraries mean that the store cannot be reached.
_STORE_LIBRARIES = ("sqlalchemy", "sqlite3", "requests", "urllib3", "psycopg2", "psycopg")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunHandle:
    """An MLflow run that is being filled: its id and its address in the UI."""

    run_id: str
    url: str


class Tracker:
    """A connection to an MLflow tracking server or database.

    Parameters
    ----------
    tracking_uri : `sqlite:///<absolute path>` for a local store (a relative path is made absolute), another
        SQLAlchemy address, or the http(s) address of a server. None takes MLFLOW_TRACKING_URI, and
        where that is not set either, `mlflow.db` in the working directory.
    experiment : name of the experiment, created where it does not exist.
    artifact_root : folder or address of artifacts, for a new experiment of a database store. Default: the
        folder `mlartifacts` beside a SQLite file. A server decides for itself.

    Raises
    ------
    ConfigError
        Where the address cannot be used, or holds a password: secrets come from the environment
        (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, or a whole address in MLFLOW_TRACKING_URI).
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = "immunocast",
        artifact_root: str | None = None,
    ):
        self.uri = resolve_uri(tracking_uri)
        self.experiment = experiment
        self.artifact_root = artifact_root

    @property
    def shown_uri(self) -> str:
        """The address without user and password, fit for files and messages."""
        return without_secrets(self.uri)

    @property
    def database(self) -> Path | None:
        """The SQLite file, None for other stores."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    def lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        """A lock that holds among the processes of this host; its file lies where temporary files do."""
        folder = Path(tempfile.gettempdir()) / f"immunocast-locks-{os.getuid() if hasattr(os, 'getuid') else 0}"
        digest = hashlib.sha256(f"{self.uri} {name}".encode()).hexdigest()[:12]
        return process.file_lock(folder / f"{digest}.lock")

    @cached_property
    def client(self) -> MlflowClient:
        """The client; connecting creates or checks the store's tables, one process at a time."""
        prepare_environment()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            with self.lock("schema"):
                client = MlflowClient(self.uri, self.uri)
                client.search_experiments(max_results=1)
        except MlflowException as error:
            raise self._unusable(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _STORE_LIBRARIES:
                raise
            raise self._unusable(error) from error
        return client

    def _unusable(self, error: Exception) -> ConfigError:
        said = first_line(error).rstrip(".")
        mend = "Check tracking.tracking_uri, or publish later: the run folder keeps everything."
        if "database schema" in str(error):
            mend = f"Upgrade its tables: mlflow db upgrade {self.shown_uri}"
        elif "Max retries exceeded" in said:
            said = "no server answers there"
        return ConfigError(f"MLflow at {self.shown_uri} cannot be used: {said}. {mend}")

    @cached_property
    def experiment_id(self) -> str:
        """Id of the experiment, created once even where several processes start together."""
        client = self.client
        with self.lock(f"experiment {self.experiment}"):
            found = client.get_experiment_by_name(self.experiment)
            if found is not None and found.lifecycle_stage != "active":
                raise ConfigError(
                    f"The experiment {self.experiment!r} was deleted in MLflow. Restore it there, or choose "
                    "another name in tracking.experiment."
                )
            if found is not None:
                return str(found.experiment_id)
            return str(client.create_experiment(self.experiment, self._artifact_location(), tags=EXPERIMENT_TAGS))

    def _artifact_location(self) -> str | None:
        root = self.artifact_root
        if root is None and self.database:
            root = str(self.database.parent / "mlartifacts")
        if root is None or "://" in root:
            return root
        return Path(root).absolute().as_uri()

    def run_url(self, run_id: str) -> str:
        """Where the UI shows a run; for a database, where `mlflow ui` shows it by default."""
        base = self.shown_uri.rstrip("/") if self.uri.startswith("http") else "http://127.0.0.1:5000"
        # without the parameter the UI opens a run among its pages for language agents
        return f"{base}/#/experiments/{self.experiment_id}/runs/{run_id}?workflowType=machine_learning"

    # -- the life of a run ---------------------------------------------------------------------------------

    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> RunHandle:
        """Open a run, RUNNING, that this process answers for."""
        run = self.client.create_run(
            self.experiment_id,
            run_name=name,
            tags={
                "mlflow.user": _user(),
                "mlflow.source.name": "immunocast",
                "mlflow.source.type": "LOCAL",
                PROCESS: process.identity(),
                **({_PARENT: parent} if parent else {}),
                **tags,
            },
        )
        return RunHandle(run.info.run_id, self.run_url(run.info.run_id))

    def resume(self, run_id: str) -> RunHandle:
        """Open an existing run again, for this process to answer for."""
        self.client.update_run(run_id, status="RUNNING")
        self.client.set_tag(run_id, PROCESS, process.identity())
        return RunHandle(run_id, self.run_url(run_id))

    def rename(self, run_id: str, name: str) -> None:
        """Change the name that the UI shows."""
        self.client.update_run(run_id, name=name)

    def end(self, run_id: str, status: str = "FINISHED", error: str | None = None) -> None:
        """Close a run: FINISHED, FAILED or KILLED, with the reason as a tag."""
        if error:
            self.client.set_tag(run_id, ERROR, error[:_MAX_TAG])
        self.client.set_terminated(run_id, status)
        if status == "FINISHED":
            self.client.delete_tag(run_id, PROCESS)

    @contextlib.contextmanager
    def pipeline_run(
        self, run_id: str, name: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Iterator[RunHandle]:
        """Keep a run open while the pipeline works, and close it as what it became.

        An exception makes it FAILED, an interrupt or SIGTERM makes it KILLED, both with the reason in the tag
        `immunocast.error`; else it is FINISHED. Runs that dead processes of this host left open are closed
        first.

        Parameters
        ----------
        run_id : id of the run folder that is being made.
        name : name to show, the run id by default.
        tags : further tags.
        """
        self.repair_orphans()
        handle = self.start(name or run_id, {"immunocast.run_id": run_id, **(tags or {})})
        with self.closing(handle.run_id), process.sigterm_raises():
            yield handle

    @contextlib.contextmanager
    def closing(self, run_id: str) -> Iterator[None]:
        """Close a run at the end of the block as what it became: FINISHED, FAILED or KILLED."""
        owner = os.getpid()
        status, reason = "FAILED", ""
        try:
            yield
            status = "FINISHED"
        except (KeyboardInterrupt, process.Terminated) as error:
            status = "KILLED"
            reason = "ended by SIGTERM" if isinstance(error, process.Terminated) else "interrupted (SIGINT)"
            raise
        except SystemExit as error:
            status = "FINISHED" if error.code in (None, 0) else "FAILED"
            reason = "" if status == "FINISHED" else f"left with exit code {error.code}"
            raise
        except BaseException as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise
        finally:
            if os.getpid() == owner:  # a forked worker that unwinds does not end its parent's run
                self._end_quietly(run_id, status, reason)

    def _end_quietly(self, run_id: str, status: str, reason: str) -> None:
        try:
            self.end(run_id, status, reason or None)
        except Exception:  # the pipeline's own error must come through
            _log.exception("The MLflow run %s could not be closed as %s", run_id, status)

    def repair_orphans(self) -> list[str]:
        """Close runs that are RUNNING though their process, on this host, is dead.

        Returns
        -------
        Ids of the runs that are now KILLED, each with the reason in the tag `immunocast.error`.
        """
        repaired = []
        ours = f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '{process.host()} %'"
        for run in self._search(ours):
            identity = run.data.tags[PROCESS]
            if not process.is_alive(identity):
                reason = f"process {identity.split()[1]} ended without closing the run; closed afterwards"
                self.end(run.info.run_id, "KILLED", reason)
                repaired.append(run.info.run_id)
        return repaired

    def _search(self, filter_string: str) -> list[Run]:
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], filter_string, order_by=["attributes.start_time"], page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    # -- logging -------------------------------------------------------------------------------------------

    def find(self, tags: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Runs that carry all of these tags: id and tags, oldest first."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return {run.info.run_id: dict(run.data.tags) for run in self._search(wanted)}

    def log(self, run_id: str, records: Iterable[rec.Record], timestamp_ms: int | None = None) -> None:
        """Log records in as few calls as MLflow's limits allow; logging the same again changes nothing.

        Parameters
        ----------
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
                        metrics.append(entities.Metric(key, _shown(value), now, 0))
                    case rec.Param(key, value):
                        params.append(entities.Param(key, _cut(value, _MAX_PARAM)))
                    case rec.Tag(key, value):
                        tags.append(entities.RunTag(key, _cut(value, _MAX_TAG)))
                    case rec.Description(text):
                        tags.append(entities.RunTag(_NOTE, _cut(text, _MAX_TAG)))
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
                self.client.log_batch(run_id, params=params[start : start + 100])
            for start in range(0, len(tags), 100):
                self.client.log_batch(run_id, tags=tags[start : start + 100])
            for start in range(0, len(metrics), 1000):
                self.client.log_batch(run_id, metrics=metrics[start : start + 1000])
            if datasets:
                self.client.log_inputs(run_id, datasets)
            if any(staged.iterdir()):
                self.client.log_artifacts(run_id, folder)

    def log_model(
        self,
        run_id: str,
        model: rec.Model,
        records: Iterable[rec.Record] = (),
        timestamp_ms: int | None = None,
    ) -> tuple[str, str | None]:
        """Log a bundle as an MLflow model, from code, and register it where it has a registered name.

        A model that was logged whole for this run stays as it is; one that was left half is logged anew.

        Parameters
        ----------
        run_id : MLflow's id of the model's run.
        model : the bundle and what to say about it.
        records : its metrics and parameters, shown on the model's own page too.
        timestamp_ms : time of the metrics.

        Returns
        -------
        (MLflow's id of the model, version in the registry or None)
        """
        from mlflow import entities

        tags = {**model.tags, _NOTE: _cut(model.description, _MAX_TAG)}
        model_id = self._logged_model(run_id)
        if model_id is None:
            records = list(records)
            logged = self.client.create_logged_model(
                self.experiment_id,
                name=_model_name(model),
                source_run_id=run_id,
                tags=tags,
                params={r.key: _cut(r.value, 500) for r in records if isinstance(r, rec.Param)},
                model_type=model.tags.get("kind"),
            )
            model_id = logged.model_id
            now = timestamp_ms if timestamp_ms is not None else int(time.time() * 1000)
            numbers = [r for r in records if isinstance(r, rec.Metric) and "/" not in r.key]
            self.client.log_batch(
                run_id,
                metrics=[
                    entities.Metric(r.key, _shown(r.value), now, 0, model_id=model_id, run_id=run_id)
                    for r in numbers[:1000]
                ],
            )
            with tempfile.TemporaryDirectory(prefix="immunocast-") as folder:
                path = Path(folder) / "model"
                save_pyfunc(path, model, run_id=run_id, model_id=model_id, location=logged.artifact_location)
                self.client.log_model_artifacts(model_id, str(path))
            self.client.finalize_logged_model(model_id, "READY")
        self.link_model(run_id, model_id)
        return model_id, self._register(run_id, model_id, model)

    def link_model(self, run_id: str, model_id: str) -> None:
        """Show a logged model on the page of a run, once."""
        from mlflow.entities import LoggedModelOutput

        outputs = self.client.get_run(run_id).outputs
        if outputs and any(known.model_id == model_id for known in outputs.model_outputs):
            return
        self.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])

    def _logged_model(self, run_id: str) -> str | None:
        found = self.client.search_logged_models([self.experiment_id], filter_string=f"source_run_id = '{run_id}'")
        whole = [m.model_id for m in found if str(m.status) == "READY"]
        for m in found:
            if str(m.status) != "READY":
                self.client.delete_logged_model(m.model_id)
        return whole[0] if whole else None

    @contextlib.contextmanager
    def _as_global(self) -> Iterator[None]:
        """MLflow's registry resolves `models:/` by the global address, whatever address the client has."""
        import mlflow

        before = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(self.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
            if before is not None:
                os.environ["MLFLOW_TRACKING_URI"] = before

    def _register(self, run_id: str, model_id: str, model: rec.Model) -> str | None:
        name = model.registered_name
        if name is None:
            return None
        from mlflow.exceptions import MlflowException

        with self.lock(f"registry {name}"):
            for known in self.client.search_model_versions(f"run_id = '{run_id}'"):
                if known.name == name:
                    self._name_version(model_id, name, known.version)
                    return str(known.version)
            try:
                self.client.create_registered_model(
                    name,
                    tags={key: model.tags[key] for key in ("model", "synthetic") if key in model.tags},
                    description=f"{model.label}: probability of {model.predicts}, with immune checkpoint inhibitors.",
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            with self._as_global():
                made = self.client.create_model_version(
                    name,
                    f"models:/{model_id}",
                    run_id=run_id,
                    tags={k: v for k, v in model.tags.items() if k not in ("model", "kind")},
                    description=model.description,
                    model_id=model_id,
                )
            self._name_version(model_id, name, made.version)
        return str(made.version)

    def _name_version(self, model_id: str, name: str, number: str | int) -> None:
        """Let the page of a logged model lead to its version; without this tag it says "Not registered"."""
        versions = json.dumps([{"name": name, "version": int(number)}])
        self.client.set_logged_model_tags(model_id, {"mlflow.modelVersions": versions})


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
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
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


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # containers run as users without a name
        return f"uid {os.getuid()}"


def _shown(value: float) -> float:
    """Six significant digits: the UI shows every digit that it gets. The tables keep full precision."""
    return float(f"{value:.6g}")


def _cut(text: str, limit: int) -> str:
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
