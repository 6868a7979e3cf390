"""Run: all stages in one process, from a cohort to a published run, with a table of results at the end."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import controls
import evaluate
import explain
import load
import report
import train
from _stage import console, entry
from immunocast.config import build
from immunocast.errors import ConfigError, PublishError
from immunocast.report.terminal import print_results
from immunocast.store.code_state import code_state
from immunocast.store.runfolder import RunFolder
from immunocast.sweep.worker import current_job
from immunocast.tracking.process import sigterm_raises

if TYPE_CHECKING:
    from immunocast.tracking.mlflow import RunHandle, Tracker

STAGES = {
    "load": load.run,
    "train": train.run,
    "controls": controls.run,
    "evaluate": evaluate.run,
    "explain": explain.run,
}


def main(cfg: DictConfig) -> None:
    code_state()  # before anybody edits the code that is running
    run_id = report.new_run_id(cfg, datetime.now(UTC))
    runs = Path(cfg.paths.runs)
    work = RunFolder(runs / f".{run_id}.unfinished")
    stages = {**STAGES, "report": lambda c, w: report.run(c, w, run_id)}
    tracker = build(cfg.tracking, "tracking") if cfg.tracking else None
    published = unpublished = None
    job = current_job()
    try:
        with sigterm_raises(), discarded_on_failure(work), contextlib.ExitStack() as stack:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(30), TimeElapsedColumn())
            progress = stack.enter_context(Progress(*columns, console=console, transient=True))
            bar = progress.add_task("start", total=len(stages) + (tracker is not None) + 1)
            if job:
                job.started(run_id, runs)
                work.write_meta("sweep", sweep=job.about())
            handle = open_run(tracker, run_id, stack, job.parent if job else None) if tracker else None
            progress.advance(bar)
            seconds = {}
            for name, stage in stages.items():
                progress.update(bar, description=name)
                begin = time.perf_counter()
                stage(cfg, work)
                seconds[name] = round(time.perf_counter() - begin, 1)
                progress.console.print(f"{name:<9}{seconds[name]:>6.1f} s")
                progress.advance(bar)
            sealed = work.seal(runs / run_id)
            if tracker:
                from immunocast.tracking.publish import publish

                progress.update(bar, description="publish")
                begin = time.perf_counter()
                published = publish(sealed, tracker, handle)
                seconds["publish"] = round(time.perf_counter() - begin, 1)
                progress.console.print(f"{'publish':<9}{seconds['publish']:>6.1f} s")
    except PublishError as error:  # the results are there, whatever became of MLflow
        unpublished = error
    steps = {"Report": str(sealed.path / "report.html"), "Importance": "immunocast importance"}
    if tracker and not tracker.uri.startswith("http"):
        steps["MLflow UI"] = f"{Path(sys.executable).with_name('mlflow')} ui --backend-store-uri {tracker.shown_uri}"
    print_results(sealed, seconds, published.message() if published else None, steps)
    if tracker and unpublished and tracker.required:
        raise unpublished
    if unpublished:
        console.print(f"[bold yellow]Warning[/]: {escape(str(unpublished))}", soft_wrap=True)


def open_run(tracker: Tracker, run_id: str, stack: contextlib.ExitStack, parent: str | None = None) -> RunHandle | None:
    """Open the run in MLflow before minutes of work; None where that fails and tracking.required is off."""
    try:
        return stack.enter_context(tracker.pipeline_run(run_id, parent=parent))
    except ConfigError as error:
        later = "tracking.required=false computes all the same, and says how to publish later."
        if tracker.required:
            raise ConfigError(f"{error} Nothing was computed; {later}") from error
        console.print(f"[bold yellow]Warning[/]: {escape(str(error))} The run goes on without it.", soft_wrap=True)
        return None


@contextlib.contextmanager
def discarded_on_failure(work: RunFolder) -> Iterator[None]:
    """An unfinished run folder is of no use to anybody."""
    try:
        yield
    except BaseException:
        shutil.rmtree(work.path, ignore_errors=True)
        raise


if __name__ == "__main__":
    entry(main, sweeps=True)
