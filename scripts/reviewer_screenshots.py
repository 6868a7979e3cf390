"""Make the pictures of docs/reviewer.md: publish synthetic runs to a scratch store, and walk through MLflow's UI.

python scripts/reviewer_screenshots.py [RUN_FOLDER RUN_FOLDER ...]

Without run folders it makes three quick ones (minutes), the last with an inner search. Needs a Chromium. The walk stops
at the first page that does not show what the guide says of it.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from immunocast.store.runfolder import RunFolder, list_runs
from immunocast.tracking.links import compared

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/img"
WIDTH, HEIGHT = 1440, 900
_QUERY = "?workflowType=machine_learning"
#: Quick runs whose stories differ: the same patients with other features, then a cohort with faults that the checks
#: find, and models that are tuned.
_RUNS = (
    [],
    ["features=linear_tmb"],
    ["cohort=synthetic_imputed", "cohort.n_patients=300", "tuning=optuna", "tuning.n_trials=8"],
)


@dataclass(frozen=True)
class Desk:
    """What is walked through.

    Attributes
    ----------
    page : of the browser.
    base : address of the server.
    experiment_id : MLflow's id of the experiment.
    runs : three published run folders or more; the last one is looked at, and compared with the two before.
    patience_ms : how long a page may take.
    """

    page: Any
    base: str
    experiment_id: str
    runs: Sequence[RunFolder]
    patience_ms: int = 120_000

    @property
    def known(self) -> dict[str, Any]:
        """Where the last run is: ids of the run, of its models' runs, and its versions."""
        return self.runs[-1].read_json("mlflow.json")

    def open(self, rest: str, *texts: str, more: str = "") -> None:
        """Open a page below the experiment and wait for texts."""
        self.goto(f"#/experiments/{self.experiment_id}{rest}{_QUERY}{more}", *texts)

    def goto(self, address: str, *texts: str) -> None:
        """Open a page of the UI and wait for texts."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}/{address}")
        self.see(*texts)

    def see(self, *texts: str) -> None:
        """Wait until each text can be read somewhere on the page."""
        for text in texts:
            self.page.get_by_text(text).filter(visible=True).first.wait_for(timeout=self.patience_ms)

    def scroll(self, table: str, text: str) -> None:
        """Scroll a table, of which MLflow draws the rows in sight only, until a text is in it."""
        for _ in range(200):
            if self.page.get_by_text(text, exact=True).count():
                return
            self.page.locator(table).last.evaluate("grid => grid.scrollBy(0, 150)")
            self.page.wait_for_timeout(150)
        raise LookupError(text)

    def follow(self, link: str, *texts: str) -> None:
        """Click a link of a description, which opens a page of its own, and go on there."""
        with self.page.expect_popup(timeout=self.patience_ms) as opened:
            self.page.get_by_role("link", name=link, exact=True).first.click()
        address = opened.value.url
        opened.value.close()
        self.page.goto("about:blank")
        self.page.goto(address)
        self.see(*texts)


def walk(desk: Desk) -> Iterator[str]:
    """Walk as the guide does; a name is yielded when its page shows what the guide says, ready for a picture."""
    page, run = desk.page, desk.runs[-1]
    headline = str(run.manifest()["headline_model"])
    name = f"synthetic {run.run_id}"

    desk.open("/runs", "Start here", name[:20])
    page.get_by_role("button", name="Views").first.click()
    desk.see("Models, best AUROC first", "Real patients, clean code")
    desk.open("/runs", "Start here", name[:20])
    desk.follow("Runs: the claims", "headline_model", "auroc_ci_low", "leave_one_")
    yield "1-claims"

    desk.open(f"/runs/{desk.known['run_id']}", "SYNTHETIC DATA", "Child runs", "git_commit", "data_digest")
    page.get_by_text("Show more").first.click()
    desk.see("Open:", "AUROC (95 % CI)")
    yield "2-run"

    page.get_by_text("Show less").first.wait_for()
    desk.follow("report", "report.html")
    yield "3-report"

    desk.open(f"/runs/{desk.known['run_id']}/model-metrics", "Curves", "Calibration: observed", "Net benefit by thresh")
    page.locator(".js-plotly-plot").nth(2).wait_for(timeout=desk.patience_ms)
    yield "4-curves"

    desk.open(f"/runs/{desk.known['run_id']}", "Child runs")
    page.get_by_text("Show more").first.click()
    desk.follow("charts", headline, "Curves/Calibration")
    page.locator(".js-plotly-plot").nth(2).wait_for(timeout=desk.patience_ms)
    yield "5-models"

    desk.open(f"/runs/{desk.known['run_id']}", "Child runs")
    page.get_by_text("Show more").first.click()
    desk.follow("tables side by side", "evaluation/metrics.json", "auroc | combined", "estimate (95 % CI)")
    yield "6-tables"

    ids = [one.read_json("mlflow.json")["run_id"] for one in desk.runs[-3:]]
    desk.goto(compared(ids, desk.experiment_id), "Comparing 3 Runs", "Run details", "cohort")
    for section in ("Visualizations", "Run details"):
        page.get_by_text(section, exact=True).first.click()
    for switch in page.get_by_role("switch").all()[:2]:  # of parameters and of metrics
        switch.click()
    desk.see("config_digest", "data_digest")
    desk.scroll("div.ReactVirtualized__Grid", "auroc")
    page.get_by_text("Parameters", exact=True).last.scroll_into_view_if_needed()
    yield "7-compare"

    desk.open(f"/runs/{desk.known['run_id']}", "Datasets")
    digest = str(run.manifest()["provenance"]["digest"])[:12]
    page.get_by_text(f"({digest})").filter(visible=True).first.click()
    desk.see("Data details for", "Digest", "tmb_mut_mb", " events")
    yield "8-data"

    searched = sorted(set(run.table("tuning")["model"])) if run.has_table("tuning") else []
    if searched:
        child = desk.known["model_runs"][searched[0]]
        desk.open(f"/runs/{child}", "Child runs")
        page.get_by_text("Show more").first.click()
        desk.follow("charts", "Inner log_loss by trial")
        desk.open(f"/runs/{child}", "Child runs")
        page.get_by_text("Show more").first.click()
        desk.follow("side by side", "Parallel Coordinates Plot", "inner_log_loss")
        yield "11-outer-folds"
        desk.open(
            f"/runs/{child}/artifacts/evaluation/tuning.json", "View as table", "inner value", "chosen", "trial 1"
        )
        yield "9-inner-search"

    registered, version = next(iter(desk.known["model_versions"].values())).split("/")
    desk.goto(f"#/models/{registered}/versions/{version}{_QUERY}", "SYNTHETIC DATA", "the run that made it", "Aliases")
    card = page.get_by_role("link", name="Model card", exact=True)
    if card.count():
        link = str(card.first.get_attribute("href"))
        desk.goto(link, "model_card.html")
        page.frame_locator("iframe").get_by_text("TRIPOD+AI").first.wait_for(timeout=desk.patience_ms)
        desk.goto(f"#/models/{registered}/versions/{version}{_QUERY}", "the run that made it")
    yield "10-version"


@contextlib.contextmanager
def serve(uri: str) -> Iterator[str]:
    """MLflow's UI over a store, on a free port of loopback: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        start_new_session=True,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            if process.poll() is not None:
                sys.exit("mlflow ui ended before it answered")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=2):
                break
            time.sleep(0.5)
        else:
            sys.exit("mlflow ui did not answer within two minutes")
        yield base
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextlib.contextmanager
def browse() -> Iterator[Any]:
    """A page of a headless Chromium, without the panel of MLflow's assistant, which opens by itself."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome") or "/usr/bin/chromium"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(120_000)
        page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
        yield page
        browser.close()


def picture(page: Any, path: Path) -> None:
    """A screenshot in 128 colours, a fraction of the size."""
    page.wait_for_timeout(2500)  # placeholders give way to content, charts come to rest
    image = Image.open(io.BytesIO(page.screenshot(timeout=240_000))).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def make_runs(folder: Path) -> list[RunFolder]:
    """Quick synthetic runs."""
    for settings in _RUNS:
        command = [sys.executable, str(ROOT / "pipelines/run.py"), "experiment=quick", f"paths.runs={folder}"]
        subprocess.run([*command, "tracking=none", *settings], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return list_runs(folder)


def main(folders: list[str]) -> None:
    """Make every picture anew."""
    from immunocast.tracking.mlflow import Tracker
    from immunocast.tracking.publish import publish

    with tempfile.TemporaryDirectory(prefix="reviewer-") as scratch:
        there = Path(scratch)
        # copies: publishing writes into a run folder where it was published
        for given in folders:
            shutil.copytree(given, there / "runs" / Path(given).name)
        runs = list_runs(there / "runs") if folders else make_runs(there / "runs")
        if not all(run.manifest()["provenance"]["synthetic"] for run in runs):
            sys.exit("Pictures that stand in the docs are of synthetic runs only.")
        tracker = Tracker(f"sqlite:///{there / 'mlflow.db'}")
        for run in runs:
            publish(run, tracker)
        PICTURES.mkdir(parents=True, exist_ok=True)
        for old in PICTURES.glob("reviewer-*.png"):
            old.unlink()
        with serve(tracker.uri) as base, browse() as page:
            for name in walk(Desk(page, base, tracker.experiment_id, runs)):
                picture(page, PICTURES / f"reviewer-{name}.png")
                print(f"docs/img/reviewer-{name}.png", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
