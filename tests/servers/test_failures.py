"""What can go wrong with a store: each time the message, the exit code, and what is on disk afterwards.

The pipeline here is pipelines/run.py with its computing stages replaced by a copy (`pipeline.py`).
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.tracking.conftest import FOLDS

from immunocast.errors import ConfigError, PublishError
from immunocast.store.runfolder import RunFolder, list_runs
from immunocast.tracking.mlflow import ERROR, Tracker
from immunocast.tracking.publish import publish

from .conftest import credentials, sign_in
from .mlflow_server import ADMIN
from .postgres import free_port

PIPELINE = Path(__file__).with_name("pipeline.py")


@pytest.fixture
def template(run_template):
    return {"TEMPLATE": str(run_template.path)}


def wait_until(there: Path, process: subprocess.Popen, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not there.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"no {there.name} after {seconds} s"
        time.sleep(0.05)


def whole(folder: Path) -> RunFolder:
    """The only finished run below a folder; its files are what its manifest says."""
    (run,) = list_runs(folder)
    assert [p.name for p in folder.iterdir()] == [run.path.name], "nothing unfinished lies about"
    assert run.manifest()["digests"] == run.digests()
    return run


def is_clean(stderr: str, *secrets: str) -> None:
    assert "Traceback" not in stderr
    assert not [s for s in secrets if s in stderr]


def publish_as_told(call, stderr: str, **env: str) -> subprocess.CompletedProcess:
    """Run the command that the message names, as a user copies it."""
    flat = " ".join(stderr.split())
    command = flat.rpartition("ublish it with: immunocast ")[2].split(" ")
    return call.immunocast(*command, **env)


# -- at the start ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("required", [True, False])
def test_no_server_at_the_start(call, template, required, store):
    nobody = f"http://me:secret-1@127.0.0.1:{free_port()}"
    done = call(PIPELINE, f"tracking.required={required}", MLFLOW_TRACKING_URI=nobody, **template)
    assert "no server answers there" in done.stderr
    is_clean(done.stderr, "secret-1")
    if required:
        assert done.returncode == 2
        assert "Nothing was computed; tracking.required=false computes all the same" in done.stderr
        assert not (call.cwd / "computing").exists()
        assert not list((call.cwd / "runs").glob("*"))
        return
    assert done.returncode == 0
    run = whole(call.cwd / "runs")
    assert not (run.path / "mlflow.json").exists()
    assert publish_as_told(call, done.stderr, MLFLOW_TRACKING_URI=nobody).returncode == 4
    later = publish_as_told(call, done.stderr, MLFLOW_TRACKING_URI=store)
    assert later.returncode == 0, later.stderr
    assert run.read_json("mlflow.json")["tracking_uri"] == store


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user", "says"),
    [
        (None, "it asks for a user and a password. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (("alice", ""), "it asks for a user and a password"),
        (("alice", "wrong-password-9"), "it refuses the user 'alice': wrong name or password"),
    ],
)
def test_the_wrong_password_or_none(server, alice, call, template, user, says):
    env = credentials(server, user) if user else {"MLFLOW_TRACKING_URI": server.uri}
    done = call(PIPELINE, **env, **template)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    is_clean(done.stderr, "wrong-password-9")
    assert not (call.cwd / "computing").exists()


@pytest.mark.slow
def test_an_experiment_where_one_may_only_read(server, alice, experiment, call, template):
    _ = Tracker(server.uri, experiment).experiment_id
    env = credentials(server, server.add_user("dave", "daves-password-4"))
    done = call(PIPELINE, f"tracking.experiment={experiment}", **env, **template)
    assert done.returncode == 2
    assert f"the user 'dave' has no permission to write into the experiment '{experiment}'" in done.stderr
    assert "must give EDIT (docs/servers.md)" in done.stderr
    is_clean(done.stderr, "daves-password-4")
    assert not (call.cwd / "computing").exists()
    server.grant("dave", "experiment", Tracker(server.uri, experiment).experiment_id)
    done = call(PIPELINE, f"tracking.experiment={experiment}", **env, **template)
    # he may write into the experiment now, and computes; the registered models are still Alice's
    assert done.returncode == 4
    assert "no permission to write into the registered model" in done.stderr
    whole(call.cwd / "runs")


@pytest.mark.slow
def test_a_database_with_the_wrong_password_is_told_at_once(postgres, monkeypatch):
    """MLflow alone would try ten times, for a hundred seconds."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg2://owner:wrong-5@127.0.0.1:{postgres.port}/mlflow")
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(ConfigError, match="it refuses the user 'owner'") as told:
        _ = Tracker().client
    assert "wrong-5" not in str(told.value)
    assert waited == []


@pytest.mark.slow
def test_a_database_by_itself_needs_a_place_for_artifacts(postgres, monkeypatch, tmp_path, run):
    postgres.call("createdb", "alone")
    user = f"{postgres.user}:{postgres.password}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg2://{user}@127.0.0.1:{postgres.port}/alone")
    with pytest.raises(PublishError, match=r"tracking\.artifact_root") as told:
        publish(run, Tracker())
    assert postgres.password not in str(told.value)
    publish(run, Tracker(artifact_root=str(tmp_path / "artifacts")))
    assert list((tmp_path / "artifacts").rglob("report.html"))
    assert postgres.password not in (run.path / "mlflow.json").read_text()
    assert publish(run, Tracker()).already


# -- in the middle -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("required", [True, False])
def test_the_server_is_lost_while_the_pipeline_computes(
    server, second_server, alice, experiment, call, template, required
):
    second_server.start()
    env = credentials(server, alice, second_server.uri)
    settings = (f"tracking.experiment={experiment}", f"tracking.required={required}")
    process = call.start(PIPELINE, *settings, WAIT="1", **env, **template)
    wait_until(call.cwd / "computing", process)
    second_server.kill()
    (call.cwd / "go_on").touch()
    out, err = process.communicate(timeout=300)
    assert process.returncode == (4 if required else 0), err
    assert "Computed, but not published." in err
    assert "no server answers there" in err or "does not answer any more" in err
    assert "Report:" in out, "the results are shown all the same"
    is_clean(err, alice[1])
    run = whole(call.cwd / "runs")

    # the same command while it is down, and then up again: the run that was opened at the start is the one filled
    assert publish_as_told(call, err, **env).returncode == 4
    tracker = Tracker(server.uri, experiment)
    (open_run,) = tracker.client.search_runs([tracker.experiment_id])
    assert open_run.info.status == "RUNNING"
    second_server.start()
    later = publish_as_told(call, err, **env)
    assert later.returncode == 0, later.stderr
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert len(runs) == 1 + 3 + FOLDS
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert run.read_json("mlflow.json")["run_id"] == open_run.info.run_id
    assert publish(run, tracker).already


@pytest.mark.slow
def test_the_server_is_lost_while_it_is_published_to(server, second_server, alice, experiment, call, template, sealed):
    second_server.start()
    env = credentials(server, alice, second_server.uri)
    process = call.start("-m", "immunocast.cli", "publish", "--experiment", experiment, **env)
    tracker = Tracker(server.uri, experiment)
    # as soon as the first model has its run
    deadline = time.monotonic() + 200
    while len(tracker.client.search_runs([tracker.experiment_id])) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    second_server.kill()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 4, err
    assert "does not answer any more" in err
    is_clean(err, alice[1])
    whole(call.cwd / "runs")
    assert not (sealed.path / "mlflow.json").exists()
    second_server.start()
    assert publish_as_told(call, err, **env).returncode == 0
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert len(runs) == 1 + 3 + FOLDS
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert len(tracker.client.search_logged_models([tracker.experiment_id])) == 3


# -- no room -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_server_cannot_store_artifacts(server, second_server, alice, experiment, run, monkeypatch):
    """A limit on the size of its files is a full disk that needs no disk."""
    second_server.start()
    tracker = Tracker(second_server.uri, experiment)
    _ = tracker.experiment_id
    for pid in second_server.pids():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    with pytest.raises(PublishError, match=r"answers with error 500.*disk of its artifacts"):
        publish(run, tracker)
    whole(run.path.parent)
    assert not (run.path / "mlflow.json").exists()
    for pid in second_server.pids():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    published = publish(run, Tracker(server.uri, experiment))
    assert not published.already
    assert len(tracker.client.search_runs([tracker.experiment_id])) == 1 + 3 + FOLDS


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB, for a database and its artifacts."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no file system may be mounted here: run as root to see a full disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("room", [200_000, 30_000, 4_000])
def test_a_full_disk_under_sqlite(small_disk, store, run, room, capfd):
    shutil.copyfile(store.removeprefix("sqlite:///"), small_disk / "mlflow.db")
    tracker = Tracker(f"sqlite:///{small_disk}/mlflow.db")
    _ = tracker.experiment_id
    with (small_disk / "filler").open("wb") as filler:
        filler.write(bytes(max(0, shutil.disk_usage(small_disk).free - room)))
    with pytest.raises(PublishError, match=r"no room at|disk of the database is full|not published.*No space") as told:
        publish(run, tracker)
    assert "Make room" in str(told.value)
    assert "Traceback" not in capfd.readouterr().err
    whole(run.path.parent)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    publish(run, tracker)
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert len(runs) == 1 + 3 + FOLDS
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert publish(run, tracker).already


# -- deleted -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_experiment_is_deleted_before_and_restored(any_store, run):
    experiment = any_store.experiment_id
    any_store.client.delete_experiment(experiment)
    with pytest.raises(PublishError, match=r"was deleted.*experiments restore"):
        publish(run, any_store)
    any_store.client.restore_experiment(experiment)
    assert not publish(run, any_store).already


@pytest.mark.slow
def test_the_experiment_is_deleted_while_the_pipeline_computes(any_store, run):
    with (  # noqa: PT012
        pytest.raises(PublishError, match=r"was deleted meanwhile\. Restore it"),
        any_store.pipeline_run(run.run_id) as handle,
    ):
        any_store.client.delete_experiment(any_store.experiment_id)
        publish(run, any_store, handle)
    any_store.client.restore_experiment(any_store.experiment_id)
    published = publish(run, any_store)
    assert published.run_id == handle.run_id, "the run that was open is filled, no second one is made"
    assert len(any_store.client.search_runs([any_store.experiment_id])) == 1 + 3 + FOLDS


@pytest.mark.slow
def test_the_open_run_is_deleted_while_the_pipeline_computes(any_store, run, caplog):
    with any_store.pipeline_run(run.run_id) as handle:
        any_store.client.delete_run(handle.run_id)
        published = publish(run, any_store, handle)
    assert published.run_id != handle.run_id
    assert any_store.client.get_run(published.run_id).info.status == "FINISHED"


def test_a_deleted_registered_model_is_registered_again_on_demand(any_store, run):
    first = publish(run, any_store)
    lost = first.model_versions["ridge"].rpartition("/")[0]
    any_store.client.delete_registered_model(lost)
    again = publish(run, any_store)
    assert not again.already
    assert again.model_versions["ridge"] == f"{lost}/1"
    assert again.model_versions["xgboost"] == first.model_versions["xgboost"]
    assert (again.run_id, again.model_runs) == (first.run_id, first.model_runs)
    assert {r.info.status for r in any_store.client.search_runs([any_store.experiment_id])} == {"FINISHED"}
    assert publish(run, any_store).already


# -- messages ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_went_wrong_in_the_run_folder_is_not_blamed_on_the_store(any_store, run):
    run.table_path("metrics").chmod(0)
    if os.access(run.table_path("metrics"), os.R_OK):  # root reads all
        run.table_path("metrics").unlink()
        run.table_path("metrics").mkdir()
    with pytest.raises(OSError, match=r"metrics\.parquet"):
        publish(run, any_store)


@pytest.mark.slow
def test_a_secret_in_the_address_is_in_no_error_of_mlflow(server, experiment, monkeypatch, run):
    """MLflow's own messages hold the whole address."""
    sign_in(monkeypatch, None)
    uri = server.uri.replace("http://", f"http://{ADMIN[0]}:{ADMIN[1]}@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracker = Tracker(None, experiment)
    with pytest.raises(Exception, match="nonsense") as plain, tracker.pipeline_run("r1") as handle:  # noqa: PT012
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        raise RuntimeError(f"nonsense about {uri}/api and {ADMIN[1]}")
    assert ADMIN[1] in str(plain.value)
    tag = tracker.client.get_run(handle.run_id).data.tags[ERROR]
    assert tag == f"RuntimeError: nonsense about {server.uri}/api and ***"
