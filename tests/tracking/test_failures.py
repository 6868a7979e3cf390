"""Messages: what each kind of error means, without the secrets that it may hold."""

from __future__ import annotations

import errno
import socket
import sqlite3

import pytest
import requests
from mlflow.exceptions import MlflowException

from immunocast.errors import ConfigError, PublishError
from immunocast.tracking.address import resolve_uri, scrubbed, without_secrets
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.failures import understand
from immunocast.tracking.publish import publish, publish_command
from immunocast.tracking.reach import unreachable


def answer(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} Client Error for url: http://h/api", response=response)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (answer(403), "has no permission to write into the experiment 'exp'. Whoever manages"),
        (answer(413), "as too large"),
        (MlflowException("The run 1 must be in the 'active' state. Current state is deleted."), "deleted meanwhile"),
        (MlflowException("Max retries exceeded with url: x (too many 500 error responses)"), "answers with error 500"),
        (MlflowException("Max retries exceeded with url: x (Connection refused)"), "does not answer any more"),
        (MlflowException("API request failed with timeout exception"), "took too long.*MLFLOW_HTTP_REQUEST_TIMEOUT"),
        (sqlite3.OperationalError("disk is full [SQL: lifecycle_stage, connection to server]"), "disk of the database"),
        (sqlite3.OperationalError("database is locked"), "others write"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "write permission"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "no room at /a/b: No space left.*Make room"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "not writable at /a/b"),
        (ConnectionResetError("gone"), "connection was lost"),
        (MlflowException("Detected out-of-date database schema (found version 1"), "mlflow db upgrade"),
        (MlflowException("something new"), "something new. Check"),
    ],
)
def test_errors_of_a_store_are_put_into_words(error, says):
    said = understand(error, "http://h", "exp")
    assert said is not None
    import re

    assert re.search(says, str(said)), str(said)


def test_a_defect_is_no_failure_of_the_store():
    assert understand(KeyError("x"), "http://h", "exp") is None
    with pytest.raises(KeyError), Tracker("sqlite:////nowhere/x.db").told():
        raise KeyError("x")


@pytest.mark.parametrize("registry", ["model-versions/create", "registered-models/create"])
def test_whose_permission_is_missing(registry, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    error = MlflowException(f"API request to endpoint /api/2.0/mlflow/{registry} failed with error code 403 != 200.")
    assert "the user 'bob' has no permission to write into the registered model" in str(understand(error, "", "exp"))


@pytest.mark.parametrize(
    "uri",
    ["http://me:s3cret%21@h:5000", "postgresql://me:s3cret%21@h/db?sslmode=require", "http://h?password=s3cret%21"],
)
def test_no_secret_leaves_an_address(uri, monkeypatch):
    for text in (without_secrets(uri), scrubbed(f"trouble with {uri}: s3cret! s3cret%21", uri)):
        assert "s3cret" not in text
    with pytest.raises(ConfigError, match="holds a password") as told:
        resolve_uri(uri)
    assert "s3cret" not in str(told.value)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-one")
    assert scrubbed("it is another-one") == "it is ***"


def test_where_nothing_answers_is_known_before_mlflow_tries(monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert unreachable(f"http://127.0.0.1:{listening.getsockname()[1]}/x") is None
    assert unreachable("http://127.0.0.1:9") == "no server answers there"
    assert unreachable("sqlite:////a.db") is None
    with pytest.raises(ConfigError, match=r"port of h:99999.*no number"):
        unreachable("http://me:secret@h:99999")

    def slow(*_, **more):
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", slow)
    assert unreachable("postgresql+psycopg2://h/db", seconds=3) == "no answer within 3 s"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert unreachable("http://h") is None, "behind a proxy it cannot be known"


def test_the_command_that_publishes_later_is_whole(run, store, monkeypatch):
    monkeypatch.chdir(run.path.parents[1])
    monkeypatch.delenv("IMMUNOCAST_RUNS", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert publish_command(run, Tracker()) == f"immunocast publish {run.run_id}"
    elsewhere = publish_command(run, Tracker(store, "my experiment", "/a b"))
    assert elsewhere.endswith(f"--tracking-uri {store} --experiment 'my experiment' --artifact-root '/a b'")
    monkeypatch.chdir("/")
    assert f"--runs-dir {run.path.parent}" in publish_command(run, Tracker())
    with pytest.raises(PublishError, match=r"Computed, but not published.*no server answers there.*is whole") as told:
        publish(run, Tracker())
    assert told.value.exit_code == 4
    assert "secret" not in str(told.value)
