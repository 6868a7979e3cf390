"""The backup that docs/servers.md describes: dump, another database, a server on it, and everything is there."""

from __future__ import annotations

import shutil

import pytest

from immunocast.store.runfolder import file_digest
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.publish import publish

from .mlflow_server import Server
from .postgres import free_port

pytestmark = pytest.mark.slow


def test_a_restored_server_has_the_run_whole(server, alice, experiment, run, tmp_path):
    before = publish(run, Tracker(server.uri, experiment))
    shutil.copytree(server.artifacts, tmp_path / "artifacts")
    dump = tmp_path / "mlflow.dump"
    postgres = server.postgres
    postgres.call("pg_dump", "--format", "custom", "--file", str(dump), "mlflow")
    postgres.call("createdb", "restored")
    postgres.call("pg_restore", "--no-owner", "--dbname", "restored", str(dump))

    other = Server(postgres, tmp_path / "artifacts", free_port(), tmp_path / "server.log", "restored")
    try:
        other.start()
        tracker = Tracker(other.uri, experiment)
        again = publish(run, tracker)
        assert again.already
        assert (again.run_id, again.model_versions) == (before.run_id, before.model_versions)
        folder = tracker.client.download_artifacts(again.run_id, "tables", str(tmp_path))
        found = file_digest(run.table_path("cohort").__class__(folder) / "cohort.parquet")
        assert found == run.manifest()["digests"]["tables/cohort.parquet"]
    finally:
        other.kill()
