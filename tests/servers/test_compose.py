"""The compose file says what docs/servers.md says of it. Nothing here needs Docker, or starts a server."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docs/compose"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def text():
    return "\n".join(f.read_text() for f in sorted(COMPOSE.iterdir()))


def test_services_are_pinned_watched_and_keep_their_data(compose):
    services = compose["services"]
    assert set(services) == {"postgres", "store", "bucket", "mlflow"}
    for name, service in services.items():
        assert ("image" in service) != ("build" in service), name
        if "image" in service:
            assert re.fullmatch(r"[a-z/]+:\d[\w.\-]*\d[\w.\-]*", service["image"]), f"{name} is not pinned"
        if name != "bucket":
            assert {"test", "retries"} <= set(service["healthcheck"]), name
            assert service["restart"] == "unless-stopped"
    mounted = {v.partition(":")[0] for s in services.values() for v in s.get("volumes", []) if not v.startswith(".")}
    assert mounted == set(compose["volumes"])
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-", (COMPOSE / "Dockerfile").read_text(), flags=re.MULTILINE)


def test_only_the_server_can_be_reached_and_only_from_this_machine(compose):
    ports = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert ports == {"mlflow": ["127.0.0.1:5000:5000"]}
    assert compose["networks"]["inside"]["internal"] is True


def test_no_secret_is_committed_and_every_one_is_asked_for(compose, text):
    example = (COMPOSE / "secrets.env.example").read_text()
    names = re.findall(r"^(\w+)=(.*)$", example, flags=re.MULTILINE)
    assert [name for name, value in names if value] == []
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (COMPOSE / "compose.yaml").read_text()))
    assert used == {name for name, _ in names}
    demanded = set(re.findall(r"\$\{(\w+):\?", (COMPOSE / "compose.yaml").read_text()))
    assert demanded == used, "an empty value stops compose instead of opening the door"
    assert "secrets.env" in (ROOT / ".gitignore").read_text().splitlines()
    for service in compose["services"].values():
        for key, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|KEY", key):
                assert str(value).startswith("${"), key
        assert not re.search("PASSWORD|SECRET_ACCESS", " ".join(map(str, service.get("command", []))))


def test_the_image_has_the_versions_of_the_lock():
    lock = (ROOT / "requirements.lock").read_text()
    dockerfile = (COMPOSE / "Dockerfile").read_text()
    for package in ("mlflow", "psycopg2-binary"):
        locked = re.search(rf"^{package}==(\S+)", lock, flags=re.MULTILINE)[1]
        assert re.search(rf'"{package}(\[auth\])?=={re.escape(locked)}"', dockerfile), package


def test_what_the_files_mount_and_copy_is_there(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                assert (COMPOSE / volume.partition(":")[0]).is_file()
    copied = re.search(r"^COPY (.*) /srv/$", (COMPOSE / "Dockerfile").read_text(), flags=re.MULTILINE)[1].split()
    assert all((COMPOSE / name).is_file() for name in copied)
    assert {"basic_auth.ini", "make_bucket.py"} == set(copied)
    compile((COMPOSE / "make_bucket.py").read_text(), "make_bucket.py", "exec")


def test_users_and_runs_have_databases_of_their_own(compose):
    ini = configparser.ConfigParser()
    ini.read(COMPOSE / "basic_auth.ini")
    assert ini["mlflow"]["database_uri"] == "postgresql+psycopg2:///mlflow_auth"
    assert "admin_password" not in ini["mlflow"]
    assert "postgresql+psycopg2:///mlflow" in compose["services"]["mlflow"]["command"]
    assert "mlflow_auth" in (COMPOSE / "create-auth-database.sql").read_text()


def test_it_says_that_nobody_ran_it(text):
    assert "UNTESTED as a whole" in (COMPOSE / "compose.yaml").read_text()
    assert "UNTESTED" in (ROOT / "docs/servers.md").read_text()
