"""The life of a run, in processes of its own that really end the way that they say."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

from immunocast.errors import ConfigError
from immunocast.tracking import process
from immunocast.tracking import records as rec
from immunocast.tracking.mlflow import ERROR, PROCESS, Tracker
from immunocast.tracking.mlflow.log import log

SCRIPT = """
import os, pathlib, sys, time
from immunocast.errors import DataError, Problem
from immunocast.tracking.mlflow import Tracker
with Tracker(store).pipeline_run("r1") as handle:
    open_runs.put(handle.run_id)
    if end == "error":
        raise DataError(Problem("the value is no number", file="a.csv"))
    if end == "exit":
        sys.exit(4)
    if end == "fork":
        if os.fork() == 0:
            raise ValueError("only the worker fails")
        os.wait()
    if end == "wait":
        time.sleep(120)
"""


@pytest.fixture(scope="module")
def processes():
    """Real processes, forked from one that has imported MLflow already: an import takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["immunocast.tracking.mlflow", "mlflow.store.tracking.sqlalchemy_store"])
    return context


@pytest.fixture
def start(processes, store):
    """Start a pipeline that ends in a certain way; returns the process and the id of its open run."""

    def started(end):
        open_runs = processes.SimpleQueue()
        pipeline = processes.Process(target=exec, args=(SCRIPT, {"store": store, "end": end, "open_runs": open_runs}))
        pipeline.start()
        return pipeline, open_runs.get()

    return started


def state(store, run_id):
    run = Tracker(store).client.get_run(run_id)
    return run.info.status, run.data.tags


@pytest.mark.parametrize(
    ("how", "status", "reason", "code"),
    [
        ("end", "FINISHED", None, 0),
        ("error", "FAILED", "DataError: 1 problem in the input: a.csv: the value is no number", 1),
        ("exit", "FAILED", "left with exit code 4", 4),
        ("fork", "FINISHED", None, 0),
    ],
)
def test_a_run_ends_as_what_it_became(store, start, how, status, reason, code):
    pipeline, run_id = start(how)
    pipeline.join(60)
    found, tags = state(store, run_id)
    assert (found, tags.get(ERROR), pipeline.exitcode) == (status, reason, code)
    assert tags["immunocast.run_id"] == "r1"
    assert (PROCESS in tags) == (status != "FINISHED")


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [(signal.SIGTERM, "ended by SIGTERM", 143), (signal.SIGINT, "interrupted (SIGINT)", 1)],
)
def test_a_signal_makes_it_killed(store, start, number, reason, code):
    pipeline, run_id = start("wait")
    os.kill(pipeline.pid, number)
    pipeline.join(60)
    found, tags = state(store, run_id)
    assert (found, tags[ERROR], pipeline.exitcode) == ("KILLED", reason, code)


def test_what_a_dead_process_left_open_is_closed_and_the_living_is_not(store, start):
    dead, dead_id = start("wait")
    living, living_id = start("wait")
    dead.kill()
    dead.join(60)
    try:
        assert state(store, dead_id)[0] == "RUNNING"
        assert Tracker(store).repair_orphans() == [dead_id]
        found, tags = state(store, dead_id)
        assert found == "KILLED"
        assert tags[ERROR] == f"process {dead.pid} ended without closing the run; closed afterwards"
        assert state(store, living_id)[0] == "RUNNING"
    finally:
        living.terminate()
        living.join(60)


def test_a_run_of_another_host_is_left_alone(store):
    tracker = Tracker(store)
    handle = tracker.start("elsewhere", {})
    tracker.client.set_tag(handle.run_id, PROCESS, "elsewhere 1 2")
    assert tracker.repair_orphans() == []
    assert state(store, handle.run_id)[0] == "RUNNING"


@pytest.mark.parametrize("seen_with_tag", [True, False])
def test_a_run_that_ended_while_it_was_searched_for_stays_as_it_ended(store, monkeypatch, seen_with_tag):
    tracker = Tracker(store)
    handle = tracker.start("r1", {})
    tracker.client.set_tag(handle.run_id, PROCESS, f"{process.host()} 999999999 1-2")
    seen = tracker.client.get_run(handle.run_id)
    tracker.end(handle.run_id)
    if not seen_with_tag:  # the tags of what is found are read after it was found
        seen = tracker.client.get_run(handle.run_id)
    monkeypatch.setattr(tracker, "_search", lambda *_: [seen])
    assert tracker.repair_orphans() == []
    assert state(store, handle.run_id)[0] == "FINISHED"


def test_the_error_of_the_pipeline_comes_through_where_mlflow_is_gone(store, monkeypatch, caplog):
    tracker = Tracker(store)

    def gone(*args, **more):
        raise OSError("disk full")

    with pytest.raises(ValueError, match="the real one"), tracker.pipeline_run("r1"):  # noqa: PT012
        monkeypatch.setattr(tracker, "end", gone)
        raise ValueError("the real one")
    assert "could not be closed" in caplog.text


def test_nothing_global_is_set(store, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with Tracker(store).pipeline_run("r1"):
        assert mlflow.active_run() is None
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_experiment_is_made_once_and_opens_among_models(store):
    first, second = Tracker(store), Tracker(store)
    assert first.experiment_id == second.experiment_id
    made = first.client.get_experiment(first.experiment_id)
    assert made.tags["mlflow.experimentKind"] == "custom_model_development"
    assert made.artifact_location == (first.database.parent / "mlartifacts").as_uri()
    assert "workflowType=machine_learning" in first.run_url("x")


def test_three_first_users_at_once_make_one_store(tmp_path, processes):
    uri = f"sqlite:///{tmp_path}/new.db"
    code = "from immunocast.tracking.mlflow import Tracker; answers.put(Tracker(uri).experiment_id)"
    answers = processes.SimpleQueue()
    users = [processes.Process(target=exec, args=(code, {"uri": uri, "answers": answers})) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join(120)
    assert [user.exitcode for user in users] == [0, 0, 0]
    assert [answers.get() for _ in users] == ["1", "1", "1"]


def test_a_deleted_experiment_is_told(store):
    tracker = Tracker(store)
    tracker.client.delete_experiment(tracker.experiment_id)
    with pytest.raises(ConfigError, match=r"was deleted.*tracking\.experiment"):
        _ = Tracker(store).experiment_id


def test_what_is_no_database_is_told(tmp_path):
    (tmp_path / "notes.db").write_text("these are my notes, not a database " * 50)
    with pytest.raises(ConfigError, match=r"cannot be used.*notes|notes.*cannot be used"):
        _ = Tracker(f"sqlite:///{tmp_path}/notes.db").client


def test_an_unreachable_server_is_told(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match="no server answers there"):
        _ = Tracker("http://127.0.0.1:9").client


def test_long_text_is_cut_and_says_so(store):
    tracker = Tracker(store)
    handle = tracker.start("long", {})
    log(tracker, handle.run_id, [rec.Description("line\n" * 4000), rec.Param("p", "x" * 9000)])
    run = tracker.client.get_run(handle.run_id)
    note = run.data.tags["mlflow.note.content"]
    assert len(note) <= 8000
    assert note.endswith("line\n\n(cut; the whole text is among the artifacts)")
    assert len(run.data.params["p"]) <= 6000


def test_more_records_than_a_batch_takes(store):
    tracker = Tracker(store)
    handle = tracker.start("many", {})
    log(
        tracker,
        handle.run_id,
        [
            *(rec.Metric(f"m/{i}", i / 7) for i in range(2100)),
            *(rec.Param(f"p{i}", str(i)) for i in range(130)),
            *(rec.Tag(f"t{i}", str(i)) for i in range(130)),
        ],
    )
    data = tracker.client.get_run(handle.run_id).data
    assert len(data.metrics) == 2100
    assert len(data.params) == 130
    assert data.metrics["m/1"] == 0.142857  # six digits, as the UI shows them
    assert data.tags["t129"] == "129"
