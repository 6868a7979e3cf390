"""The sweep's own run in MLflow: above the runs of its jobs, with their table, so that one page tells the whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from immunocast.errors import PublishError
from immunocast.store.runfolder import RunFolder
from immunocast.sweep.folder import DONE, FAILED, JobState, SweepFolder
from immunocast.sweep.results import Best
from immunocast.sweep.settings import Objective
from immunocast.tracking import records as rec
from immunocast.tracking.labels import common_tags
from immunocast.tracking.links import Addresses, addressed, compared, listed
from immunocast.tracking.mlflow import RunHandle, Tracker
from immunocast.tracking.mlflow.log import log
from immunocast.tracking.publish import publish
from immunocast.tracking.records import KIND, SWEEP


@dataclass(frozen=True)
class SweepRun:
    """The open run of a sweep."""

    tracker: Tracker
    handle: RunHandle


@contextlib.contextmanager
def sweep_run(tracker: Tracker, folder: SweepFolder) -> Iterator[SweepRun]:
    """Keep the sweep's run open, the one of an earlier call where there is one, and close it as what it became."""
    with tracker.told(), tracker.lock(f"sweep {folder.sweep_id}"):
        tracker.repair_orphans()
        tags = {SWEEP: folder.sweep_id, KIND: "sweep"}
        known = next(iter(tracker.find(tags)), None)
        handle = tracker.resume(known) if known else tracker.start(f"sweep {folder.sweep_id}", tags)
        log(tracker, handle.run_id, [rec.Description("Running. The table of jobs comes when all have ended.")])
    with tracker.closing(handle.run_id):
        yield SweepRun(tracker, handle)


def publish_late(run: SweepRun, states: Sequence[JobState]) -> list[JobState]:
    """Publish the runs of jobs that are done and not in this store, below the sweep's run.

    That is what is left where the server was away when a job ended, or where the sweep ran without tracking before.

    Returns
    -------
    The states; a job whose only trouble was its publication has none any more.
    """
    mended = []
    for state in states:
        folder = state.run_folder
        if state.status == DONE and folder is not None and not _is_published(folder, run.tracker):
            publish(folder, run.tracker, sweep_run=run.handle.run_id)
            state = replace(state, error="") if state.exit_code == PublishError.exit_code else state
        mended.append(state)
    return mended


def _is_published(folder: RunFolder, tracker: Tracker) -> bool:
    said = folder.read_json("mlflow.json")
    return (said.get("tracking_uri"), said.get("experiment")) == (tracker.shown_uri, tracker.experiment)


def links_of(run: SweepRun, states: Sequence[JobState]) -> dict[int, str]:
    """Addresses of the jobs' runs inside of the UI, by job: they hold wherever the UI is."""
    found = {}
    for state in states:
        folder = state.run_folder
        if folder is not None and _is_published(folder, run.tracker):
            url = str(folder.read_json("mlflow.json")["url"])
            found[state.number] = "#" + url.partition("#")[2]
    return found


def views_of(run: SweepRun, folder: SweepFolder, states: Sequence[JobState]) -> str:
    """Links to the jobs' runs as MLflow lists and compares them, in a line of markdown; "" where there are none."""
    ids = []
    for state in states:
        found = state.run_folder
        if found is not None and state.same_as is None and _is_published(found, run.tracker):
            ids.append(str(found.read_json("mlflow.json")["run_id"]))
    if not ids:
        return ""
    experiment = run.tracker.experiment_id
    wanted = f"tags.`{SWEEP}` = '{folder.sweep_id}' and tags.{KIND} = 'pipeline'"
    modes = {"list": "TABLE", "charts": "CHART"}
    views = [f"[{name}]({listed(experiment, wanted, 'auroc', mode)})" for name, mode in modes.items()]
    if len(ids) > 1:
        views.append(f"[side by side]({compared(ids, experiment)})")
    return f"Runs of the jobs: {' · '.join(views)}"


def sweep_records(
    folder: SweepFolder,
    results: pd.DataFrame,
    states: Sequence[JobState],
    best: Best,
    description: str,
    *,
    objective: Objective | None = None,
    synthetic: bool | None = None,
) -> Iterator[rec.Record]:
    """What a sweep has to say to a tracker.

    Parameters
    ----------
    folder : of the sweep, with its results.
    results, states, best, objective : of the sweep.
    description : markdown, with links.
    synthetic : as in `summary.summary_markdown`.
    """
    yield rec.Tag(SWEEP, folder.sweep_id)
    yield rec.Tag(KIND, "sweep")
    yield rec.Tag("synthetic", "mixed" if synthetic is None else str(synthetic).lower())
    yield from _shared_tags(states)
    yield rec.Description(description)
    for column in (c for c in map(str, results) if c.startswith("sweep.")):
        yield rec.Param(
            f"varied.{rec.clean_key(column.removeprefix('sweep.'))}", ", ".join(dict.fromkeys(results[column]))
        )
    counts = results["status"].value_counts()
    yield rec.Metric("n_jobs", float(len(results)))
    yield rec.Metric("n_done", float(counts.get(DONE, 0)))
    yield rec.Metric("n_failed", float(counts.get(FAILED, 0)))
    if best.row is not None:
        name = objective.metric if objective else "auroc"
        yield rec.Metric(f"best_{name}", float(best.row[best.metric]))
        if f"{name}_ci_low" in best.row.index and pd.notna(best.row[f"{name}_ci_low"]):
            yield rec.Metric(f"best_{name}_ci_low", float(best.row[f"{name}_ci_low"]))
            yield rec.Metric(f"best_{name}_ci_high", float(best.row[f"{name}_ci_high"]))
        yield rec.Metric("best_job", float(best.row["job"]))
        if best.middle is not None:
            yield rec.Metric(f"median_{name}", best.middle)
    for name in ("summary.md", "results.csv", "results.parquet", "sweep.json"):
        if (folder.path / name).is_file():
            yield rec.Artifact(folder.path / name, name)
    for state in states:
        if state.status == FAILED and folder.error_path(state.number).is_file():
            yield rec.Artifact(folder.error_path(state.number), f"errors/{state.number:03d}.txt")


def _shared_tags(states: Sequence[JobState]) -> Iterator[rec.Tag]:
    """What the jobs' runs are found by, values side by side where they differ."""
    found: dict[str, list[str]] = {}
    for state in states:
        if state.run_folder is not None:
            for tag in common_tags(state.run_folder):
                found.setdefault(tag.key, []).append(tag.value)
    for key, values in found.items():
        if key not in ("synthetic", "immunocast.run_id"):
            yield rec.Tag(key, ", ".join(dict.fromkeys(values)))


def close_with(run: SweepRun, folder: SweepFolder, records: Iterator[rec.Record], synthetic: bool | None) -> None:
    """Log what a sweep has to say, and name its run."""
    here = Addresses(run.tracker.experiment_id, folder.sweep_id, run.handle.run_id)
    log(run.tracker, run.handle.run_id, addressed(records, here))
    name = f"sweep {folder.sweep_id}"
    run.tracker.rename(run.handle.run_id, f"synthetic {name}" if synthetic else name)
