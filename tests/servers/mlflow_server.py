"""An MLflow server as a team has it: basic auth, PostgreSQL, artifacts in a folder that only the server sees."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from .postgres import Postgres, free_port

COMPOSE = Path(__file__).parents[2] / "docs/compose"
ADMIN = ("admin", "correct-horse-1")


def server_command(port: int, artifacts: str, workers: int = 1) -> list[str]:
    """The command of the compose file, on loopback, with an artifact store of one's own."""
    command = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]["mlflow"]["command"]
    assert command[:2] == ["mlflow", "server"]
    options = dict(zip(command[2::2], command[3::2], strict=True))
    options |= {"--host": "127.0.0.1", "--port": str(port), "--artifacts-destination": artifacts}
    options |= {"--workers": str(workers)}
    return [sys.executable, "-m", "mlflow", "server", *(part for pair in options.items() for part in pair)]


@dataclass
class Server:
    """A running MLflow server, or one that was killed and may be started again."""

    postgres: Postgres
    artifacts: Path
    port: int
    log: Path
    database: str = "mlflow"
    process: subprocess.Popen | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        """Start it, and wait until it answers."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PG", "PYTEST_"))}
        environment |= self.postgres.env() | {
            "PGDATABASE": self.database,
            "MLFLOW_AUTH_CONFIG_PATH": str(COMPOSE / "basic_auth.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN[0],
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-tests",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # as in the compose file
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        command = server_command(self.port, str(self.artifacts))
        if self.database != "mlflow":
            command = [part.replace("///mlflow", f"///{self.database}") for part in command]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=self.log.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # its workers can be ended together with it
            )
        deadline = time.monotonic() + 400  # some ten seconds of CPU, on a machine that may be busy
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)
        return self

    def answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
            return answer.status == 200
        return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it and its workers, by default as a power cut does."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            self.process.wait(60)
            self.process = None

    def pids(self) -> list[int]:
        """The processes of the server: itself and its workers."""
        group = self.process.pid if self.process else -1
        listed = subprocess.run(["ps", "-o", "pid=", "-g", str(group)], capture_output=True, text=True).stdout
        return [int(pid) for pid in listed.split()]

    def ask(self, path: str, body: dict, user: tuple[str, str] = ADMIN) -> dict:
        """Post to the REST interface, by default as the administrator."""
        request = urllib.request.Request(
            f"{self.uri}/api/{path}",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(":".join(user).encode()).decode(),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read() or b"{}")

    def add_user(self, name: str, password: str) -> tuple[str, str]:
        """A user who may do nothing yet but what everybody may; the same name twice is one user."""
        try:
            self.ask("2.0/mlflow/users/create", {"username": name, "password": password})
        except urllib.error.HTTPError as error:
            if "already exists" not in error.read().decode():
                raise
        return name, password

    def grant(self, user: str, kind: str, name: str, permission: str = "EDIT") -> None:
        """Give a user a permission on an experiment (by id) or a registered_model (by name), as the docs do."""
        body = {"username": user, "resource_type": kind, "resource_id": name, "permission": permission}
        self.ask("3.0/mlflow/users/permissions/grant", body)


@contextlib.contextmanager
def running_server(postgres: Postgres, folder: Path, database: str = "mlflow") -> Iterator[Server]:
    """A server that is ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(postgres, folder / "artifacts", free_port(), folder / "server.log", database)
    try:
        yield server.start()
    finally:
        server.kill(signal.SIGTERM)
