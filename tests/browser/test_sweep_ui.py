"""What a reviewer sees of a sweep in MLflow's own UI: its page, its jobs in a list, charts and side by side."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from immunocast.store.runfolder import RunFolder
from immunocast.sweep.folder import FAILED, JobState, SweepFolder
from immunocast.sweep.published import close_with, links_of, publish_late, sweep_records, sweep_run, views_of
from immunocast.sweep.results import best_of, results_table
from immunocast.sweep.summary import summary_markdown
from immunocast.tracking.mlflow import Tracker


def _module(path):
    spec = importlib.util.spec_from_file_location(f"shared_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ui = _module(Path(__file__).with_name("test_mlflow_ui.py"))
server, page, open_page, on_screen = ui.server, ui.page, ui.open_page, ui.on_screen

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A sweep of two jobs that are done, with unlike AUROCs, and one that failed."""
    here = tmp_path_factory.mktemp("sweep")
    made = _module(Path(__file__).parents[1] / "tracking" / "conftest.py").make_run(here / "made")
    folder = SweepFolder(here / "sweeps" / "features_x_C-2a6f3fa5")
    folder.error_path(3).parent.mkdir(parents=True)
    folder.error_path(3).write_text("ConfigError: no such model\n\ntraceback")
    states = []
    for number, c in ((1, "0.05"), (2, "0.5")):
        run = RunFolder(here / "runs" / f"20261101T10000{number}-demo")
        shutil.copytree(made.path, run.path)
        settings = {"features": "linear_tmb", "models.ridge.estimator.C": c}
        run.update_manifest(run_id=run.path.name)
        run.write_meta("sweep", sweep={"sweep_id": folder.sweep_id, "job": number, "settings": settings})
        metrics = run.table("metrics")
        metrics["estimate"] += 0.01 * number
        run.write_table("metrics", metrics)
        run.update_manifest(digests=run.digests())
        states.append(JobState(number, c, (), settings, status="done", run=str(run.path)))
    wrong = {"features": "linear_tmb", "models.ridge.estimator.C": "-1"}
    states.append(JobState(3, "x", (), wrong, status=FAILED, exit_code=2, error="ConfigError: C must be above 0"))
    tracker = Tracker(f"sqlite:///{here / 'mlflow.db'}")
    with sweep_run(tracker, folder) as run:
        states = publish_late(run, states)
        table = results_table(states)
        best, views = best_of(table), views_of(run, folder, states)
        text = summary_markdown(table, states, best, synthetic=True, links=links_of(run, states), views=views)
        close_with(run, folder, sweep_records(folder, table, states, best, text, synthetic=True), True)
    return tracker, run.handle


def sweep_page(page, server, published, shot=None):
    url = published[1].url.replace("http://127.0.0.1:5000", server)
    open_page(page, url, shot, "Sweep over")


def follow(page, server, link, *more):
    """Open what a link leads to: it would open a tab of its own."""
    found = page.get_by_role("link", name=link, exact=True).first
    found.click(trial=True)  # nothing covers it
    open_page(page, f"{server}/{found.get_attribute('href')}", *more)


def shots(tmp_path):
    """Where pictures go: docs/img where they are asked for, else a place that is thrown away."""
    return Path(os.environ.get("IMMUNOCAST_SHOTS", tmp_path))


def test_the_page_says_what_was_found_and_what_failed(page, server, published, tmp_path):
    sweep_page(page, server, published, shots(tmp_path) / "sweep-page.png")
    for text in ("synthetic sweep features_x_C-2a6f3fa5", "2: features=linear_tmb, estimator.C=0.5"):
        assert on_screen(page, text), text
    for text in ("2 of 3 jobs done, 1 failed", "Best of 2 jobs by AUROC of xgboost: job 2", "Runs of the jobs"):
        page.get_by_text(text).first.wait_for()
    page.get_by_text("Show more").first.click()
    page.get_by_text("ConfigError: C must be above 0").first.wait_for()
    follow(page, server, "whole error", None, "traceback")


def test_the_jobs_are_listed_as_rows_of_their_own(page, server, published, tmp_path):
    sweep_page(page, server, published)
    follow(page, server, "list")
    for number, c in ((1, "0.05"), (2, "0.5")):
        page.get_by_role("link", name=f"synthetic {number}: features=linear_tmb, estimator.C={c}").first.wait_for()
    assert page.get_by_text("GenAI apps").count() == 0
    page.screenshot(path=shots(tmp_path) / "sweep-list.png")


def test_charts_and_parallel_coordinates_have_the_jobs_and_what_varied(page, server, published, tmp_path):
    sweep_page(page, server, published)
    follow(page, server, "charts", None, "estimator.C=0.05")
    sweep_page(page, server, published)
    follow(page, server, "side by side", None, "Parallel Coordinates Plot")
    page.get_by_text("sweep.models.ridge.estimator.C").first.wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=shots(tmp_path) / "sweep-compare.png")
