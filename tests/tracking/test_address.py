from __future__ import annotations

import os

import pytest

from immunocast.errors import ConfigError
from immunocast.tracking.address import first_line, prepare_environment, resolve_uri, without_secrets


@pytest.fixture(autouse=True)
def no_address(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_relative_sqlite_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("sqlite:///a/mlflow.db") == f"sqlite:///{tmp_path}/a/mlflow.db"
    assert resolve_uri(None) == f"sqlite:///{tmp_path}/mlflow.db"


def test_environment_is_taken_where_nothing_is_configured(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert resolve_uri(None) == "http://127.0.0.1:9"
    assert resolve_uri("http://127.0.0.1:8") == "http://127.0.0.1:8"


@pytest.mark.parametrize("uri", ["mlruns", "file:///data/mlruns", "/data/mlruns"])
def test_a_folder_is_refused_with_the_mend(uri):
    with pytest.raises(ConfigError, match=r"sqlite:////.*mlruns/mlflow\.db"):
        resolve_uri(uri)


def test_a_password_in_the_configuration_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        resolve_uri("postgresql://me:hunter2@db/mlflow")
    assert "hunter2" not in str(caught.value)


def test_a_password_in_the_environment_is_used_but_not_shown(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2@db/mlflow")
    assert resolve_uri(None) == "postgresql://me:hunter2@db/mlflow"
    assert without_secrets(resolve_uri(None)) == "postgresql://db/mlflow"


def test_telemetry_is_off_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    prepare_environment()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "false"


def test_first_line_skips_an_announcement():
    assert first_line(ValueError("2 problems in the input:\n  - row 3: bad\n  - row 4")) == (
        "2 problems in the input: row 3: bad"
    )
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
