"""Publish a run folder: one parent run, a child run a model; safe to repeat.

What identifies a publication is the run's id and the digests of its tables and bundles. Publishing the same
folder again finds it and changes nothing; one that broke off is completed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from immunocast.errors import NotFoundError
from immunocast.store.runfolder import RunFolder
from immunocast.tracking import records as rec
from immunocast.tracking.links import Addresses, addressed
from immunocast.tracking.mlflow import RunHandle, Tracker
from immunocast.tracking.mlflow.log import log
from immunocast.tracking.mlflow.models import link_model, log_model
from immunocast.tracking.mlflow.views import ensure_views
from immunocast.tracking.readable import readable_tables

#: Tags by which a publication is found again, and by which it is known to be whole.
KEY, STATE = "publish_key", "published"
#: Tag of a child run: "name/version" in the registry.
VERSION = "immunocast.model_version"
#: Tag of MLflow's own: the colour of a run in charts, which it would draw by chance, some twice.
COLOUR = "mlflow.runColor"
_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c564b", "#7f7f7f", "#bcbd22", "#6a3d9a",
)  # fmt: skip


@dataclass(frozen=True)
class PublishedRun:
    """Where a run folder was published.

    Attributes
    ----------
    run_id : MLflow's id of the parent run.
    url : its address in the UI.
    already : True where everything was there before and nothing was changed.
    model_runs : MLflow's ids of the child runs, by model.
    model_versions : "name/version" of what was registered, by model.
    """

    run_id: str
    url: str
    already: bool
    model_runs: dict[str, str] = field(default_factory=dict)
    model_versions: dict[str, str] = field(default_factory=dict)

    def message(self) -> str:
        """What to tell the user, in a line."""
        said = "was published before, nothing changed" if self.already else "published"
        return f"MLflow: {said}, {len(self.model_runs)} models, {self.url}"


def publish_key(run: RunFolder) -> str:
    """Identity of a publication: run id and digest of its digests."""
    digests = run.manifest().get("digests") or run.digests()
    content = json.dumps([run.run_id, digests], sort_keys=True)
    # short: a page shows tags above the description, and few fit into a line
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def publish(
    run: RunFolder, tracker: Tracker, handle: RunHandle | None = None, *, log_patient_tables: bool = True
) -> PublishedRun:
    """Publish a run folder to MLflow, or complete or find what was published before.

    Parameters
    ----------
    run : a finished run folder.
    tracker : where to.
    handle : the open run of `Tracker.pipeline_run` to fill; None opens one.
    log_patient_tables : see `records.run_records`.

    Raises
    ------
    NotFoundError
        Where the folder is no finished run.
    ConfigError
        Where MLflow cannot be reached or used.
    """
    if not run.manifest():
        raise NotFoundError(f"{run.path} has no manifest.json, so there is nothing to publish yet.")
    key = publish_key(run)
    with tracker.lock(f"publish {key}"):
        known = tracker.find({KEY: key})
        parent = next((i for i, tags in known.items() if "mlflow.parentRunId" not in tags), None)
        if parent and known[parent].get(STATE) == "complete":
            published = _recall(run, tracker, parent, known)
        else:
            published = _fill(run, tracker, key, parent, known, handle, log_patient_tables)
    run.write_json(
        "mlflow.json",
        {
            "tracking_uri": tracker.shown_uri,
            "experiment": tracker.experiment,
            "run_id": published.run_id,
            "url": published.url,
            "publish_key": key,
            "model_runs": published.model_runs,
            "model_versions": published.model_versions,
        },
    )
    return published


def _recall(run: RunFolder, tracker: Tracker, parent: str, known: dict[str, dict[str, str]]) -> PublishedRun:
    children = {tags["model"]: run_id for run_id, tags in known.items() if run_id != parent and "model" in tags}
    versions = {tags["model"]: tags[VERSION] for tags in known.values() if VERSION in tags}
    return PublishedRun(parent, tracker.run_url(parent), True, children, versions)


def _fill(
    run: RunFolder,
    tracker: Tracker,
    key: str,
    parent: str | None,
    known: dict[str, dict[str, str]],
    handle: RunHandle | None,
    log_patient_tables: bool,
) -> PublishedRun:
    if parent is None and handle is None:
        top = tracker.start(rec.display_name(run, run.run_id), {KEY: key})
    elif parent is None or (handle is not None and parent == handle.run_id):
        assert handle is not None
        top = handle
    else:
        top = tracker.resume(parent)
    # the pipeline closes the run that it opened itself
    with contextlib.nullcontext() if top is handle else tracker.closing(top.run_id):
        tracker.rename(top.run_id, rec.display_name(run, run.run_id))
        log(tracker, top.run_id, [rec.Tag(KEY, key), rec.Tag(STATE, "started")])
        runs: dict[str, str] = {}
        versions: dict[str, str] = {}
        readable = readable_tables(run)
        before = {tags.get("model"): i for i, tags in known.items() if i != top.run_id}
        for model in run.manifest().get("models", {}):
            child = before.get(model)
            if child is not None and known[child].get(STATE) == "complete":
                version = known[child].get(VERSION)
            else:
                child, version = _fill_model(run, tracker, key, model, top.run_id, child, readable)
            runs[model] = child
            if version is not None:
                versions[model] = version
        # the parent's tag comes last: it says that everything below is there
        records = rec.run_records(run, log_patient_tables=log_patient_tables, readable=readable)
        here = Addresses(tracker.experiment_id, run.run_id, top.run_id)
        log(tracker, top.run_id, addressed(records, here), _created_ms(run))
        ensure_views(tracker)
        log(tracker, top.run_id, [rec.Tag(STATE, "complete")])
    return PublishedRun(top.run_id, top.url, False, runs, versions)


def _fill_model(
    run: RunFolder,
    tracker: Tracker,
    key: str,
    model: str,
    parent: str,
    child: str | None,
    readable: dict[str, pd.DataFrame],
) -> tuple[str, str | None]:
    if child is None:
        name = model  # short: the parent's name, the tag and the description say that a run is synthetic
        child = tracker.start(name, {KEY: key, "model": model, STATE: "started"}, parent).run_id
    else:
        tracker.resume(child)
    with tracker.closing(child):
        here = Addresses(tracker.experiment_id, run.run_id, child, parent)
        records = list(addressed(rec.model_records(run, model, readable), here))
        plain = [r for r in records if not isinstance(r, rec.Model)]
        done = [rec.Tag(STATE, "complete")]
        named = None
        colour = rec.Tag(COLOUR, _colour(list(run.manifest()["models"]).index(model)))
        log(tracker, child, [*plain, colour], _created_ms(run))
        for bundle in (r for r in records if isinstance(r, rec.Model)):
            model_id, version = log_model(tracker, child, bundle, plain, _created_ms(run))
            if model == run.manifest().get("headline_model"):
                link_model(tracker, parent, model_id)
            if version is not None:
                named = f"{bundle.registered_name}/{version}"
                done.append(rec.Tag(VERSION, named))
        log(tracker, child, done)
    return child, named


def _colour(place: int) -> str:
    """A colour by a model's place in the run; the colour-blind tell the first six apart (Okabe and Ito 2008)."""
    return _COLOURS[place % len(_COLOURS)]


def _created_ms(run: RunFolder) -> int:
    """Time of the run, so that a repeated metric is the same point."""
    created = run.manifest().get("created")
    when = datetime.fromisoformat(created) if created else datetime(2000, 1, 1, tzinfo=UTC)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.timestamp() * 1000)
