"""The connection to MLflow, and the life of a run: started, resumed, closed as what it became."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from immunocast.errors import ConfigError
from immunocast.tracking import process
from immunocast.tracking.address import first_line, prepare_environment, resolve_uri, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: Makes the UI open an experiment among its pages for models instead of those for language agents.
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "**Start with Views, top right**: the claims of all runs, or all models by AUROC. "
        "A run is one execution of the pipeline, its child runs are the models. "
        "Forecasts of response, resistance, toxicity and survival with immune checkpoint inhibitors; "
        "runs named *synthetic* say nothing about people."
    ),
}
#: Tag of an open run: host, pid and start of the process that answers for it; gone once it is FINISHED.
PROCESS = "immunocast.process"
#: Tag that says why a run is FAILED or KILLED.
ERROR = "immunocast.error"
NOTE, _PARENT = "mlflow.note.content", "mlflow.parentRunId"
#: MLflow refuses longer tags.
MAX_TAG = 8000
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
            self.client.set_tag(run_id, ERROR, error[:MAX_TAG])
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

    def find(self, tags: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Runs that carry all of these tags: id and tags, oldest first."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return {run.info.run_id: dict(run.data.tags) for run in self._search(wanted)}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # containers run as users without a name
        return f"uid {os.getuid()}"
