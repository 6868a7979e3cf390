"""A PostgreSQL and an MLflow server for the session, and stores to publish into: a SQLite file, and that server.

Other test files take these by name: `from tests.servers.conftest import any_store, postgres, server`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# fixtures of the run folder that is published
from tests.tracking.conftest import run, run_template, store, store_template  # noqa: F401

from immunocast.tracking.mlflow import Tracker

from .mlflow_server import ADMIN, Server, running_server
from .postgres import running_postgres

_numbers = itertools.count()
ALICE = ("alice", "alices-password-1")


@pytest.fixture(scope="session")
def postgres():
    """A throwaway PostgreSQL with the two databases of an MLflow server."""
    with running_postgres() as found:
        for name in ("mlflow", "mlflow_auth"):
            found.call("createdb", name)
        yield found


@pytest.fixture(scope="session")
def server(postgres, tmp_path_factory):
    """An MLflow server with basic auth on it, and artifacts in a folder of its own; nobody kills this one."""
    for package in ("psycopg2", "flask_wtf"):
        pytest.importorskip(package, reason=f"no {package} here: install immunocast[server]")
    with running_server(postgres, tmp_path_factory.mktemp("server")) as found:
        # who registers a model first manages it: here that is Alice, whichever test comes first
        found.add_user(*ALICE)
        for model in ("ridge", "xgboost"):
            body = {"name": f"synthetic-immunocast-{model}"}
            found.ask("2.0/mlflow/registered-models/create", body, ALICE)
        yield found


@pytest.fixture
def second_server(postgres, server):
    """A second server over the same database and artifacts, not started: it may be killed and started again."""
    other = Server(postgres, server.artifacts, _free(), server.log.with_name("second.log"))
    yield other
    other.kill()


def _free() -> int:
    from .postgres import free_port

    return free_port()


def sign_in(monkeypatch, user: tuple[str, str] | None) -> None:
    """Give MLflow's client in this process a user and a password, or none."""
    for name, value in zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), user or (None, None), strict=True):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


@pytest.fixture
def alice(server, monkeypatch):
    """Somebody who is no administrator, signed in; owns the experiments and models that she creates."""
    sign_in(monkeypatch, ALICE)
    return ALICE


@pytest.fixture
def experiment():
    """The name of an experiment that no other test uses."""
    return f"experiment-{os.getpid()}-{next(_numbers)}"


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.slow)])
def any_store(request, tmp_path, experiment):
    """A tracker on an empty experiment: of a SQLite file, and of the server with PostgreSQL and basic auth."""
    if request.param == "sqlite":
        return Tracker(request.getfixturevalue("store"), experiment)
    request.getfixturevalue("alice")
    return Tracker(request.getfixturevalue("server").uri, experiment)


@dataclass
class Call:
    """A command of immunocast in a process of its own, in a folder of its own, and what it leaves behind."""

    cwd: Path
    env: dict[str, str] = field(default_factory=dict)

    def start(self, script: str | Path, *words: str, **env: str) -> subprocess.Popen:
        """Start a Python program."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_TRACKING", "PYTEST_"))}
        return subprocess.Popen(
            [sys.executable, str(script), *words],
            cwd=self.cwd,
            env=kept | self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, script: str | Path, *words: str, **env: str) -> subprocess.CompletedProcess:
        """Run a Python program to its end."""
        process = self.start(script, *words, **env)
        out, err = process.communicate(timeout=500)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def immunocast(self, *words: str, **env: str) -> subprocess.CompletedProcess:
        """Call the analyst's command."""
        return self("-m", "immunocast.cli", *words, **env)


def credentials(server: Server, user: tuple[str, str] = ADMIN, uri: str | None = None) -> dict[str, str]:
    """The environment of somebody who uses the server."""
    return {
        "MLFLOW_TRACKING_URI": uri or server.uri,
        "MLFLOW_TRACKING_USERNAME": user[0],
        "MLFLOW_TRACKING_PASSWORD": user[1],
    }


@pytest.fixture
def call(tmp_path):
    """Runs commands in an empty folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Call(folder)


@pytest.fixture
def sealed(run, call):  # noqa: F811
    """A sealed run folder below runs/ of the folder where commands are run."""
    target = call.cwd / "runs" / run.path.name
    shutil.copytree(run.path, target)
    return type(run)(target)


def wait_for(process: subprocess.Popen, number: int = signal.SIGKILL) -> None:
    """End a process and wait for it."""
    process.send_signal(number)
    process.communicate(timeout=60)
