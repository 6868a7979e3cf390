"""The connection to MLflow, and the life of a run: started, resumed, closed as what it became."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from immunocast.errors import ConfigError, ImmunocastError
from immunocast.tracking import process
from immunocast.tracking.address import first_line, prepare_environment, resolve_uri, scrubbed, without_secrets
from immunocast.tracking.mlflow.failures import understand
from immunocast.tracking.reach import unreachable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DEFAULT_EXPERIMENT = "immunocast"
#: Makes the UI open an experiment among its pages for models instead of those for language agents.
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "A run is one execution of the pipeline, its child runs are the models. "
        "Forecasts of response, resistance, toxicity and survival with immune checkpoint inhibitors; "
        "runs named *synthetic* say nothing about people."
    ),
}
#: Tag of an open run: host, pid and start of the process that answers for it; gone once it is FINISHED.
PROCESS = "immunocast.process"
#: Tag that says why a run is FAILED or KILLED.
ERROR = "immunocast.error"
NOTE, PARENT = "mlflow.note.content", "mlflow.parentRunId"
#: MLflow refuses longer tags.
MAX_TAG = 8000

_CHECK_ADDRESS = "Check that it runs, and the address: MLFLOW_TRACKING_URI, or tracking.tracking_uri."

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
    required : whether a pipeline stops at its start where the store cannot be used. False: it computes, publishes
        where the store is back at the end, and else says how to publish later.
    patient_tables : whether what shows single patients is published, too (`records.run_records`).

    Raises
    ------
    ConfigError
        Where the address cannot be used, or holds a password: secrets come from the environment
        (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, or a whole address in MLFLOW_TRACKING_URI).
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = DEFAULT_EXPERIMENT,
        artifact_root: str | None = None,
        required: bool = True,
        patient_tables: bool = True,
    ):
        self.uri = resolve_uri(tracking_uri)
        self.experiment = experiment
        self.artifact_root = artifact_root
        self.required = required
        self.patient_tables = patient_tables
        self._named = tracking_uri is not None

    @property
    def shown_uri(self) -> str:
        """The address without user and password, fit for files and messages."""
        return without_secrets(self.uri)

    @property
    def database(self) -> Path | None:
        """The SQLite file, None for other stores."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    def options(self) -> list[str]:
        """What `immunocast publish` must be told to do the same; what the environment says is left out."""
        said = {
            "--tracking-uri": self.shown_uri if self._named else None,
            "--experiment": self.experiment if self.experiment != DEFAULT_EXPERIMENT else None,
            "--artifact-root": self.artifact_root,
        }
        words = [word for option, value in said.items() if value is not None for word in (option, value)]
        return words if self.patient_tables else [*words, "--no-patient-tables"]

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

        # what MLflow logs of errors that are raised too, traceback included
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        if why := unreachable(self.uri):
            raise ConfigError(f"MLflow at {self.shown_uri} cannot be used: {why}. {_CHECK_ADDRESS}")
        with self.told():
            self._try_database()
            with self.lock("schema"):
                client = MlflowClient(self.uri, self.uri)
                client.search_experiments(max_results=1)
        _log.disabled = False  # making tables, and Hydra, configure logging anew, which switches off loggers that exist
        return client

    def _try_database(self) -> None:
        """Log in to a database once: MLflow tries a wrong password ten times, for some hundred seconds."""
        if self.database or self.uri.startswith("http"):
            return
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()

    @contextlib.contextmanager
    def told(self, own: Path | None = None, *, what: str = "cannot be used", after: str = "") -> Iterator[None]:
        """Turn errors of the store into a ConfigError that says what to do.

        Parameters
        ----------
        own : a folder that is none of the store's: errors over files in it come through.
        what : what became of the store.
        after : what that means for the caller, a sentence.

        Raises
        ------
        ConfigError
            For every error that `failures.understand` knows as one of the store; others come through.
        """
        try:
            yield
        except Exception as error:
            failure = None if isinstance(error, ImmunocastError) else understand(error, self.uri, self.experiment)
            if failure is None or (own and own in Path(str(getattr(error, "filename", None))).absolute().parents):
                raise
            raise ConfigError(f"MLflow at {self.shown_uri} {what}: {failure}. {after}".rstrip()) from error

    @cached_property
    def experiment_id(self) -> str:
        """Id of the experiment, created once even where several processes start together."""
        client = self.client
        from mlflow.exceptions import MlflowException

        with self.told(), self.lock(f"experiment {self.experiment}"):
            found = client.get_experiment_by_name(self.experiment)
            if found is not None and found.lifecycle_stage != "active":
                raise ConfigError(
                    f"The experiment {self.experiment!r} was deleted in MLflow. Restore it (mlflow experiments "
                    f"restore --experiment-id {found.experiment_id}), or choose another name in tracking.experiment."
                )
            if found is not None:
                return str(found.experiment_id)
            try:
                return str(client.create_experiment(self.experiment, self._artifact_location(), tags=EXPERIMENT_TAGS))
            except MlflowException as error:
                found = client.get_experiment_by_name(self.experiment)
                if found is None or error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                return str(found.experiment_id)  # somebody on another host was first

    def _artifact_location(self) -> str | None:
        root = self.artifact_root
        if root is None and self.database:
            root = str(self.database.parent / "mlartifacts")
        if root is None and not self.uri.startswith("http"):
            # MLflow would take the folder where the command is run
            raise ConfigError(
                f"The experiment {self.experiment!r} is new in the database {self.shown_uri}, which keeps no files. "
                "Name a place for artifacts that everybody can reach, e.g. tracking.artifact_root=/srv/mlartifacts, or "
                "use a server."
            )
        if root is None or "://" in root:
            return root
        return Path(root).absolute().as_uri()

    def run_url(self, run_id: str, experiment_id: str | None = None) -> str:
        """Where the UI shows a run (of another experiment); for a database, where `mlflow ui` shows it by default."""
        base = self.shown_uri.rstrip("/") if self.uri.startswith("http") else "http://127.0.0.1:5000"
        # without the parameter the UI opens a run among its pages for language agents
        return f"{base}/#/experiments/{experiment_id or self.experiment_id}/runs/{run_id}?workflowType=machine_learning"

    # -- the life of a run ---------------------------------------------------------------------------------

    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> RunHandle:
        """Open a run, RUNNING, that this process answers for."""
        run = self.client.create_run(
            self.experiment_id,
            run_name=name,
            tags={
                "mlflow.user": process.user(),
                "mlflow.source.name": "immunocast",
                "mlflow.source.type": "LOCAL",
                PROCESS: process.identity(),
                **({PARENT: parent} if parent else {}),
                **tags,
            },
        )
        return RunHandle(run.info.run_id, self.run_url(run.info.run_id))

    def resume(self, run_id: str) -> RunHandle:
        """Open an existing run again, for this process to answer for."""
        self.client.update_run(run_id, status="RUNNING")
        self.client.set_tag(run_id, PROCESS, process.identity())
        return RunHandle(run_id, self.run_url(run_id))

    def answering(self, run_id: str) -> str | None:
        """Which other process is filling a run, in words; None where none is known to.

        A process of this host is asked whether it lives. One of another host counts as alive while the run is
        RUNNING: nobody here can know better.
        """
        run = self.client.get_run(run_id)
        identity = run.data.tags.get(PROCESS, "")
        if run.info.status != "RUNNING" or len(identity.split()) != 3 or identity == process.identity():
            return None
        host, pid, _ = identity.split()
        if host == process.host() and not process.is_alive(identity):
            return None
        return f"process {pid} on {host}"

    def is_deleted(self, run_id: str) -> bool:
        """Whether somebody deleted a run (MLflow keeps it, and restores it on demand)."""
        return bool(self.client.get_run(run_id).info.lifecycle_stage == "deleted")

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def untag(self, run_id: str, keys: Iterable[str]) -> None:
        """Take tags from a run, where it has them."""
        from mlflow.exceptions import MlflowException

        for key in keys:
            try:
                self.client.delete_tag(run_id, key)
            except MlflowException as error:  # also where the call was repeated: its first answer was lost on the way
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    def discard(self, run_id: str, reason: str) -> None:
        """Close a run that should not have been made as KILLED, and delete it where one may."""
        self.end(run_id, "KILLED", reason)
        with contextlib.suppress(Exception):  # who may write need not be one who may delete
            self.client.delete_run(run_id)

    def rename(self, run_id: str, name: str) -> None:
        """Change the name that the UI shows."""
        self.client.update_run(run_id, name=name)

    def end(self, run_id: str, status: str = "FINISHED", error: str | None = None) -> None:
        """Close a run: FINISHED, FAILED or KILLED, with the reason as a tag."""
        if error:
            self.client.set_tag(run_id, ERROR, error[:MAX_TAG])
        self.client.set_terminated(run_id, status)
        if status == "FINISHED":
            self.untag(run_id, [PROCESS])

    @contextlib.contextmanager
    def pipeline_run(
        self,
        run_id: str,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
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
        parent : MLflow's id of the sweep's run, where this run is a job of one.
        """
        with self.told():
            self.repair_orphans()
            handle = self.start(name or run_id, {"immunocast.run_id": run_id, **(tags or {})}, parent)
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
            reason = scrubbed(f"{type(error).__name__}: {first_line(error)}", self.uri)
            raise
        finally:
            if os.getpid() == owner:  # a forked worker that unwinds does not end its parent's run
                self._end_quietly(run_id, status, reason)

    def _end_quietly(self, run_id: str, status: str, reason: str) -> None:
        """Close a run where that is possible: the pipeline's own error must come through."""
        try:
            if why := unreachable(self.uri):
                raise ConnectionError(why)
            self.end(run_id, status, reason or None)
        except Exception as error:
            said = understand(error, self.uri, self.experiment) or first_line(error)
            _log.error("The MLflow run %s could not be closed as %s: %s", run_id, status, said)

    def repair_orphans(self) -> list[str]:
        """Close runs that are RUNNING though their process, on this host, is dead.

        Returns
        -------
        Ids of the runs that are now KILLED, each with the reason in the tag `immunocast.error`.
        """
        repaired = []
        ours = f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '{process.host()} %'"
        for run in self._search(ours):
            identity = run.data.tags.get(PROCESS)  # gone where the run ended while it was searched for
            if identity and not process.is_alive(identity) and self._is_left_open(run.info.run_id, identity):
                reason = f"process {identity.split()[1]} ended without closing the run; closed afterwards"
                self.end(run.info.run_id, "KILLED", reason)
                repaired.append(run.info.run_id)
        return repaired

    def _is_left_open(self, run_id: str, identity: str) -> bool:
        """Whether a process that is dead by now left a run RUNNING: it may have ended it just before it died."""
        now = self.client.get_run(run_id)
        return now.info.status == "RUNNING" and now.data.tags.get(PROCESS) == identity

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

    def find(self, tags: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Runs that carry all of these tags: id and tags, oldest first."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return {run.info.run_id: dict(run.data.tags) for run in self._search(wanted)}
