"""What a reviewer sees in MLflow's own UI: opened in a browser, read from the screen."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from immunocast.store.runfolder import RunFolder
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.publish import publish

WIDTH, HEIGHT = 1440, 900

pytestmark = pytest.mark.browser


ROOT = Path(__file__).parents[2]


def _loaded(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _fixtures():
    """The run folder that the tracking tests make."""
    return _loaded("tracking_conftest", ROOT / "tests" / "tracking" / "conftest.py")


def _script(name):
    return _loaded(name, ROOT / "scripts" / f"{name}.py")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ui")
    run = _fixtures().make_run(folder / "runs" / "20261101T100000-demo")
    tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}")
    return tracker, publish(run, tracker)


@pytest.fixture(scope="module")
def server(published):
    tracker, _ = published
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", tracker.uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # without its five processes for jobs that nobody gives it here: each imports MLflow for seconds
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{base}/health", timeout=2):
                    break
            except OSError:
                assert process.poll() is None, "mlflow ui ended"
                time.sleep(0.25)
        else:
            pytest.fail("mlflow ui did not start within a minute")
        yield base
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


@pytest.fixture(scope="module")
def page(browser, server):
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(20_000)
    # the panel of the assistant opens by itself on the first visit and covers a third
    page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    yield page
    page.close()


def on_screen(page, text, *, exact=False):
    """Wait until the text is there and say whether it lies in the window without scrolling."""
    return _inside(page.get_by_text(text, exact=exact).first)


def link_on_screen(page, name):
    """The same of a link."""
    return _inside(page.get_by_role("link", name=name, exact=True).first)


def _inside(found):
    found.wait_for()
    box = found.bounding_box()
    return box["y"] >= 0 and box["y"] + box["height"] <= HEIGHT and 0 <= box["x"] <= WIDTH


def open_page(page, url, shot=None, wait_for=None):
    page.goto("about:blank")
    page.goto(url)
    if wait_for:
        page.get_by_text(wait_for).first.wait_for()
    if shot:
        page.wait_for_timeout(800)  # placeholders give way to content
        page.screenshot(path=shot)


def address(server, published, rest):
    tracker, _ = published
    return f"{server}/#/experiments/{tracker.experiment_id}{rest}?workflowType=machine_learning"


def test_the_run_page_says_it_on_the_first_screen(page, server, published, tmp_path):
    _, run = published
    open_page(page, run.url.replace("http://127.0.0.1:5000", server), tmp_path / "run.png", "Child runs")
    assert on_screen(page, "SYNTHETIC DATA")
    assert on_screen(page, "AUROC 0.720 (95 % CI 0.670 to 0.770)")
    assert on_screen(page, "above loris_routed: no clear difference")
    for model in ("xgboost", "ridge", "loris_routed"):
        assert link_on_screen(page, model)
    assert on_screen(page, "auroc_minus_loris_routed", exact=True)
    assert on_screen(page, "synthetic demo")  # the cohort among the datasets
    assert page.get_by_text("GenAI apps").count() == 0
    tags = page.get_by_text("Tags", exact=True).last.locator("xpath=ancestor::*[.//*[contains(., 'dirty')]][1]")
    for label in ("cohort", "endpoint", "validation", "synthetic", "git_commit", "data_digest", "dirty"):
        assert _inside(tags.get_by_text(label).first), label
    page.get_by_text("Show more").first.click()
    assert on_screen(page, "IC-RANGE-001")
    page.screenshot(path=tmp_path / "more.png")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="report", exact=True).click()
    opened.value.frame_locator("iframe").get_by_text("Report of the run").wait_for()
    opened.value.close()


def test_the_list_shows_one_line_a_pipeline_run(page, server, published, tmp_path):
    open_page(page, address(server, published, "/runs"), tmp_path / "list.png", "synthetic 20261101T100000-demo")
    assert on_screen(page, "synthetic 20261101T100000-demo")
    assert page.get_by_text("ridge", exact=True).count() == 0  # children are folded in
    for view in ("Runs: the claims", "Models, best AUROC first", "Real patients, clean code"):
        assert link_on_screen(page, view)


def test_a_child_run_leads_to_its_registered_model(page, server, published, tmp_path):
    _, run = published
    child = run.model_runs["xgboost"]
    open_page(page, address(server, published, f"/runs/{child}"), tmp_path / "child.png", "Parent run")
    assert on_screen(page, "AUROC 0.720 (95 % CI 0.670 to 0.770)")
    link = page.get_by_role("link", name="synthetic-immunocast-xgboost").last
    link.wait_for()
    assert link.bounding_box()["y"] < HEIGHT


def test_the_model_pages_show_the_signature_and_the_version(page, server, published, tmp_path):
    tracker, run = published
    models = tracker.client.search_logged_models([tracker.experiment_id])
    model = next(m for m in models if m.name == "synthetic-xgboost")
    open_page(
        page, address(server, published, f"/models/{model.model_id}"), tmp_path / "model.png", "synthetic-xgboost"
    )
    page.get_by_text("synthetic-immunocast-xgboost").first.wait_for()
    name, version = run.model_versions["xgboost"].split("/")
    open_page(page, f"{server}/#/models/{name}/versions/{version}?workflowType=machine_learning", None, "Schema")
    assert on_screen(page, "AUROC 0.720 (95 % CI 0.670 to 0.770)")
    for part in ("Inputs (", "Outputs ("):
        page.get_by_text(part).first.click()
    for text in ("tmb_mut_mb", "p_response", "abstained"):
        page.get_by_text(text).last.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "version.png")


def test_report_table_and_figure_open_in_the_artifact_viewer(page, server, published, tmp_path):
    _, run = published
    files = f"/runs/{run.run_id}/artifacts"
    open_page(page, address(server, published, f"{files}/report.html"), tmp_path / "report.png", "report.html")
    page.frame_locator("iframe").get_by_text("Report of the run").wait_for()
    open_page(
        page, address(server, published, f"{files}/readable/metrics.csv"), tmp_path / "table.png", "calibration_slope"
    )
    open_page(page, address(server, published, f"{files}/figures/roc.png"), tmp_path / "figure.png", "roc.png")
    page.locator("img[src*='roc.png'], img[src^='blob:']").first.wait_for()


@pytest.mark.slow
def test_the_walk_of_the_reviewers_guide(server, published, tmp_path, page):
    """Each page of docs/reviewer.md shows what the guide says of it; the same walk takes the guide's pictures."""
    guide = _script("reviewer_screenshots")
    tracker, _ = published
    others = [_fixtures().make_run(tmp_path / "runs" / f"2026110{day}T100000-other") for day in (2, 3)]
    for seed, other in enumerate(others):
        (other.path / "config.yaml").write_text(f"seed: {seed}\n")  # a comparison shows what differs
        metrics = other.table("metrics")
        other.write_table("metrics", metrics.assign(estimate=metrics["estimate"] + 0.01 * seed))
        other.update_manifest(digests=other.digests())
        publish(other, tracker)
    first = RunFolder(tracker.database.parent / "runs" / "20261101T100000-demo")
    desk = guide.Desk(page, server, tracker.experiment_id, [first, *others])
    seen = []
    for name in guide.walk(desk):
        page.screenshot(path=tmp_path / f"{name}.png")
        seen.append(name)
    pictures = {p.stem.removeprefix("reviewer-") for p in (ROOT / "docs/img").glob("reviewer-*.png")}
    assert set(seen) == pictures


@pytest.mark.slow
def test_the_answer_of_a_whole_run_is_on_the_first_screen_of_the_first_visit(
    page, server, published, small_run, tmp_path
):
    """Nine models, the synthetic banner, and MLflow's assistant open, as a reviewer meets it."""
    tracker, _ = published
    run = RunFolder(shutil.copytree(small_run.path, tmp_path / small_run.path.name))
    done = publish(run, tracker)
    summary = (run.path / "summary.md").read_text()
    headline = re.search(r"AUROC of [\d.]+ \(95 % interval [\d.]+ to [\d.]+\)", summary)[0]
    comparison = re.search(r"difference in AUROC \S+ \(\S+ to \S+\)", summary)[0]
    visitor = page.context.browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    try:
        open_page(visitor, done.url.replace("http://127.0.0.1:5000", server), tmp_path / "first.png", "Assistant")
        assert on_screen(visitor, "SYNTHETIC DATA")
        assert on_screen(visitor, headline)
        assert on_screen(visitor, comparison)
        for model in run.manifest()["models"]:
            assert link_on_screen(visitor, model)
    finally:
        visitor.close()
