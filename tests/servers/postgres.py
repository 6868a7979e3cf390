"""A throwaway PostgreSQL on loopback: a data folder of its own, a free port, a password."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """The folder of initdb: on PATH, or where Debian puts it (newest version); None where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return versions[-1].parent if versions else None


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL."""

    bin: Path
    port: int
    user: str
    password: str

    def env(self) -> dict[str, str]:
        """What libpq needs to connect; nothing of it stands in an address or on a command line."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }

    def call(self, program: str, *arguments: str | Path, **more) -> str:
        """Run a client program (createdb, psql, pg_dump) as the owner of the server; returns its output."""
        done = subprocess.run(
            [self.bin / program, *arguments], env=os.environ | self.env(), capture_output=True, text=True, **more
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start one and throw it away afterwards; skips where it is not installed, or may not be started."""
    folder = binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server here (no initdb): apt-get install postgresql; docs/servers.md says more")
    # PostgreSQL refuses to run as root: the package's own user does, in a folder that this user can reach
    as_user: list[str] = []
    if os.getuid() == 0:
        as_user = _as_postgres()
    home = Path(tempfile.mkdtemp(prefix="immunocast-pg-"))
    try:
        password = home / "password"
        password.write_text(secrets.token_urlsafe(12))
        if as_user:
            shutil.chown(home, "postgres")
            shutil.chown(password, "postgres")
        data, port = home / "data", free_port()

        def run(program: str, *arguments: str) -> None:
            # no pipes: the server would keep them open
            with (home.parent / f"{home.name}.log").open("w+") as log:
                command = [*as_user, str(folder / program), *arguments]
                code = subprocess.run(command, cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL).returncode
                log.seek(0)
                assert code == 0, f"{program}: {log.read()}"

        initdb = ["-D", str(data), "-U", "owner", "-A", "scram-sha-256", "--pwfile", str(password)]
        run("initdb", *initdb, "-E", "UTF8", "--no-sync")
        options = f"-h 127.0.0.1 -p {port} -k {home} -c fsync=off -c max_connections=200"
        run("pg_ctl", "-D", str(data), "-o", options, "-l", str(home / "server.log"), "-w", "start")
        try:
            yield Postgres(folder, port, "owner", password.read_text())
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
        home.with_name(f"{home.name}.log").unlink(missing_ok=True)


def _as_postgres() -> list[str]:
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres: run the tests as another user")
    if tool := shutil.which("runuser"):
        return [tool, "-u", "postgres", "--"]
    if tool := shutil.which("setpriv"):
        return [tool, "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
    pytest.skip(
        "PostgreSQL does not run as root, and neither runuser nor setpriv is here: run the tests as another user"
    )
