"""A sweep's run in MLflow: above its jobs' runs, with their table, found again when the sweep goes on."""

import shutil

import pytest

from immunocast.errors import PublishError
from immunocast.store.runfolder import RunFolder
from immunocast.sweep.folder import FAILED, JobState, SweepFolder
from immunocast.sweep.published import (
    close_with,
    links_of,
    publish_late,
    sweep_records,
    sweep_run,
    views_of,
)
from immunocast.sweep.results import best_of, results_table
from immunocast.sweep.summary import summary_markdown
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.publish import publish

PARENT = "mlflow.parentRunId"


@pytest.fixture
def folder(tmp_path):
    made = SweepFolder(tmp_path / "sweeps" / "depth-12ab")
    made.error_path(3).parent.mkdir(parents=True)
    made.error_path(3).write_text("ConfigError: no such model\n\ntraceback")
    return made


@pytest.fixture
def states(run_template, tmp_path):
    """Two jobs that are done, with run folders that are not published, and one that failed."""
    found = []
    for number, depth in ((1, "2"), (2, "4")):
        run = RunFolder(tmp_path / "runs" / f"20261101T10000{number}-demo")
        shutil.copytree(run_template.path, run.path)
        run.update_manifest(run_id=run.path.name, models={})  # models are none of a sweep's business
        settings = {"model@models.x": depth}
        run.write_meta("sweep", sweep={"sweep_id": "depth-12ab", "job": number, "settings": settings})
        code = PublishError.exit_code if number == 2 else 0
        error = "its results are whole, but the server is gone" if number == 2 else ""
        found.append(
            JobState(number, f"d{number}", (), settings, status="done", run=str(run.path), exit_code=code, error=error)
        )
    failed = JobState(
        3, "d3", (), {"model@models.x": "x"}, status=FAILED, exit_code=2, error="ConfigError: no such model"
    )
    return [*found, failed]


def tell(tracker, folder, states):
    with sweep_run(tracker, folder) as run:
        states = publish_late(run, states)
        table = results_table(states)
        best = best_of(table)
        views = views_of(run, folder, states)
        text = summary_markdown(table, states, best, synthetic=True, links=links_of(run, states), views=views)
        close_with(run, folder, sweep_records(folder, table, states, best, text, synthetic=True), True)
    return run.handle.run_id, states


def test_one_page_tells_the_sweep_and_leads_to_its_jobs(store, folder, states):
    tracker = Tracker(store)
    sweep_id, mended = tell(tracker, folder, states)
    top = tracker.client.get_run(sweep_id)
    assert top.info.run_name == "synthetic sweep depth-12ab"
    assert top.data.metrics["n_jobs"] == 3
    assert top.data.metrics["n_failed"] == 1
    assert top.data.metrics["best_job"] == 1
    assert top.data.params["varied.model_models.x"] == "2, 4, x"
    assert (top.data.tags["synthetic"], top.data.tags["cohort"]) == ("true", "demo")
    text = top.data.tags["mlflow.note.content"]
    assert text.startswith("**SYNTHETIC DATA")
    assert "ConfigError: no such model" in text
    assert f"runs/{sweep_id}/artifacts/errors/003.txt" in text
    assert "compare-runs?runs=" in text.partition("| Job |")[0], "the page shows the beginning"
    assert {f.path for f in tracker.client.list_artifacts(sweep_id)} == {"errors"}
    assert [s.error for s in mended] == ["", "", "ConfigError: no such model"], "what was published late is no trouble"

    jobs = tracker.find({"immunocast.sweep": "depth-12ab", "kind": "pipeline"})
    assert [tags[PARENT] for tags in jobs.values()] == [sweep_id, sweep_id]
    for run_id, tags in jobs.items():
        assert f"/runs/{run_id}?" in text
        found = tracker.client.get_run(run_id)
        assert found.data.params["sweep.model_models.x"] == {"1": "2", "2": "4"}[tags["immunocast.sweep_job"]]
        assert found.data.metrics["auroc"] > 0.6

    # the same sweep again, and a job's folder published by hand: nothing is doubled
    before = {r.info.run_id for r in tracker.client.search_runs([tracker.experiment_id])}
    again, _ = tell(Tracker(store), folder, states)
    assert again == sweep_id
    assert publish(states[0].run_folder, Tracker(store)).already
    after = tracker.client.search_runs([tracker.experiment_id])
    assert {r.info.run_id for r in after} == before
    assert {r.info.status for r in after} == {"FINISHED"}


def test_a_sweep_that_breaks_off_is_closed_as_what_it_became(store, folder):
    tracker = Tracker(store)
    with pytest.raises(KeyboardInterrupt), sweep_run(tracker, folder) as run:
        raise KeyboardInterrupt
    assert tracker.client.get_run(run.handle.run_id).info.status == "KILLED"
    with sweep_run(tracker, folder) as again:
        assert tracker.client.get_run(again.handle.run_id).info.status == "RUNNING"
    assert again.handle.run_id == run.handle.run_id
