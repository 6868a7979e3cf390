"""What works on a laptop works on a team's server: PostgreSQL, basic auth, artifacts in a folder of its own."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from tests.tracking.conftest import FOLDS

from immunocast.store.runfolder import file_digest, list_runs
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.publish import publish

from .conftest import credentials

pytestmark = pytest.mark.slow


def everything(tracker):
    """What a second publication must leave as it is."""
    runs = tracker.client.search_runs([tracker.experiment_id])
    ids = {r.info.run_id for r in runs}
    return {
        "runs": {
            r.info.run_id: (r.info.status, r.info.end_time, r.data.params, r.data.metrics, r.data.tags) for r in runs
        },
        "models": {m.model_id for m in tracker.client.search_logged_models([tracker.experiment_id])},
        "versions": {(v.name, v.version) for v in tracker.client.search_model_versions() if v.run_id in ids},
    }


def test_a_run_is_published_once_and_again_without_change(any_store, run):
    first = publish(run, any_store)
    before = everything(any_store)
    assert len(before["runs"]) == 1 + 3 + FOLDS
    assert {status for status, *_ in before["runs"].values()} == {"FINISHED"}
    assert len(before["models"]) == 3
    assert len(before["versions"]) == 2
    again = publish(run, Tracker(any_store.uri, any_store.experiment))
    assert again.already
    assert (again.run_id, again.model_runs, again.model_versions) == (
        first.run_id,
        first.model_runs,
        first.model_versions,
    )
    assert everything(any_store) == before


def test_tables_come_back_byte_for_byte(any_store, run, tmp_path):
    published = publish(run, any_store)
    folder = any_store.client.download_artifacts(published.run_id, "tables", str(tmp_path))
    assert pd.read_parquet(f"{folder}/metrics.parquet").equals(run.table("metrics"))
    digests = run.manifest()["digests"]
    assert (
        file_digest(run.table_path("metrics").__class__(folder) / "cohort.parquet") == digests["tables/cohort.parquet"]
    )


def test_a_published_run_is_fetched_whole(any_store, run, tmp_path):
    download = pytest.importorskip("immunocast.tracking.mlflow.download")
    published = publish(run, any_store)
    fetched = download.fetch_run(any_store, published.run_id, tmp_path / "fetched")
    assert fetched.run_id == run.run_id
    assert fetched.table("metrics").equals(run.table("metrics"))


def test_a_version_is_found_by_its_alias(any_store, run):
    name, _, version = publish(run, any_store).model_versions["ridge"].rpartition("/")
    any_store.client.set_registered_model_alias(name, "challenger", version)
    found = any_store.client.get_model_version_by_alias(name, "challenger")
    assert (found.version, found.status) == (int(version), "READY") or str(found.version) == version
    any_store.client.delete_registered_model_alias(name, "challenger")


def test_artifacts_lie_where_only_the_server_writes(alice, server, experiment, run):
    tracker = Tracker(server.uri, experiment)
    before = {f for f in server.artifacts.rglob("*") if f.is_file()} if server.artifacts.exists() else set()
    published = publish(run, tracker)
    new = {f for f in server.artifacts.rglob("*") if f.is_file()} - before
    assert any(published.run_id in str(f) and f.name == "report.html" for f in new)
    assert any(f.name == "MLmodel" for f in new)
    parent = tracker.client.get_run(published.run_id)
    assert parent.info.artifact_uri.startswith("mlflow-artifacts:/")
    # the database holds numbers and names, no files: what a patient is stays out of it
    assert "S0001" not in server.postgres.call("pg_dump", "--data-only", server.database)


def test_the_whole_pipeline_on_the_server_and_no_secret_anywhere(root, server, alice, experiment, call):
    settings = ("experiment=quick", "~models.forest", "evaluation.subgroups=[tumor_type]")
    uri = server.uri.replace("http://", f"http://{alice[0]}:{alice[1]}@")
    done = call(root / "pipelines/run.py", *settings, f"tracking.experiment={experiment}", MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 0, done.stderr
    (run,) = list_runs(call.cwd / "runs")
    assert f"MLflow: published, {len(run.manifest()['models'])} models, {server.uri}/#/experiments/" in done.stdout
    assert "--backend-store-uri" not in done.stdout, "a server has its own pages"
    kept = run.read_json("mlflow.json")
    assert (kept["tracking_uri"], kept["experiment"]) == (server.uri, experiment)

    again = call.immunocast("publish", "--experiment", experiment, MLFLOW_TRACKING_URI=uri)
    assert again.returncode == 0, again.stderr
    assert "was published before, nothing changed" in again.stdout

    written = [done.stdout, done.stderr, again.stdout, again.stderr, server.log.read_text()]
    written += [f.read_bytes().decode("latin-1") for f in call.cwd.rglob("*") if f.is_file()]
    written += [server.postgres.call("pg_dump", "--data-only", name) for name in ("mlflow", "mlflow_auth")]
    written += [f.read_bytes().decode("latin-1") for f in server.artifacts.rglob("*") if f.is_file()]
    assert not [text for text in written if alice[1] in text or server.postgres.password in text]


def test_a_registered_model_of_somebody_else_needs_a_permission(
    server, experiment, run, sealed, call, monkeypatch, alice
):
    """Alice registered first; Bob may write into his own experiment, and not into her model until she lets him."""
    publish(run, Tracker(server.uri, experiment))
    bob = server.add_user("bob", "bobs-password-2")
    env = credentials(server, bob)
    refused = call.immunocast("publish", "--experiment", f"{experiment}-bob", **env)
    assert refused.returncode == 4
    assert "the user 'bob' has no permission to write into the registered model" in refused.stderr
    assert "docs/servers.md" in refused.stderr
    for model in ("ridge", "xgboost"):
        server.grant("bob", "registered_model", f"synthetic-immunocast-{model}")
    done = call.immunocast("publish", "--experiment", f"{experiment}-bob", **env)
    assert done.returncode == 0, done.stderr
    kept = json.loads((sealed.path / "mlflow.json").read_text())
    assert len(kept["model_versions"]) == 2
