"""Publish a run folder: one parent run, a child run a model, safe to repeat.

Below a model that was tuned is a run for the inner search of each outer fold.

What identifies a publication is the run's id and the digests of its tables and bundles. Publishing the same
folder again finds it and changes nothing; one that broke off is completed. `claims` keeps two publishers of one
folder apart, also on two hosts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from immunocast.errors import ConfigError, NotFoundError, PublishError
from immunocast.store.runfolder import RunFolder
from immunocast.tracking import claims
from immunocast.tracking import records as rec
from immunocast.tracking.claims import KEY, STATE
from immunocast.tracking.folds import FOLD, OUTER_FOLD, REPEAT, fold_searches
from immunocast.tracking.links import Addresses, addressed
from immunocast.tracking.mlflow import PROCESS, RunHandle, Tracker
from immunocast.tracking.mlflow.log import log
from immunocast.tracking.mlflow.models import has_version, link_model, log_model
from immunocast.tracking.mlflow.tracker import PARENT
from immunocast.tracking.mlflow.views import ensure_views
from immunocast.tracking.readable import readable_tables

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
    twice : MLflow's ids of other publications of the same folder, which a publisher on another host made meanwhile.
    """

    run_id: str
    url: str
    already: bool
    model_runs: dict[str, str] = field(default_factory=dict)
    model_versions: dict[str, str] = field(default_factory=dict)
    twice: tuple[str, ...] = ()

    def message(self) -> str:
        """What to tell the user, in a line."""
        said = "was published before, nothing changed" if self.already else "published"
        line = f"MLflow: {said}, {len(self.model_runs)} models, {self.url}"
        if self.twice:
            line += (
                f"\nThe same run folder is published more than once, from another host at the same time: {self.run_id} "
                f"is the one that counts here, delete the others in MLflow, with the versions that they registered: "
                f"{', '.join(self.twice)}"
            )
        return line


def publish_key(run: RunFolder) -> str:
    """Identity of a publication: run id and digest of its digests."""
    digests = run.manifest().get("digests") or run.digests()
    content = json.dumps([run.run_id, digests], sort_keys=True)
    # short: a page shows tags above the description, and few fit into a line
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def publish_command(run: RunFolder, tracker: Tracker) -> str:
    """The command that publishes a sealed run folder, or completes what broke off."""
    words = ["immunocast", "publish", run.run_id]
    runs = run.path.absolute().parent
    if runs != Path(os.environ.get("IMMUNOCAST_RUNS") or "runs").absolute():
        words += ["--runs-dir", str(runs)]
    return shlex.join(words + tracker.options())


def publish(
    run: RunFolder,
    tracker: Tracker,
    handle: RunHandle | None = None,
    *,
    take_over: bool = False,
    sweep_run: str | None = None,
) -> PublishedRun:
    """Publish a run folder to MLflow, or complete or find what was published before.

    Parameters
    ----------
    run : a finished run folder.
    tracker : where to.
    handle : the open run of `Tracker.pipeline_run` to fill; None opens one.
    take_over : complete a publication that a process of another host began and has not ended; only right where that
        process is dead.
    sweep_run : MLflow's id of a sweep's run, below which a run that has to be opened is put.

    Raises
    ------
    NotFoundError
        Where the folder is no finished run.
    PublishError
        Where the store cannot be reached or used, where it fails half-way, and where another process publishes the
        same folder. The run folder is as it was, and the call can be repeated.
    """
    if not run.manifest():
        raise NotFoundError(f"{run.path} has no manifest.json, so there is nothing to publish yet.")
    with _failing_as_unpublished(run, tracker):
        published = _publish(run, tracker, handle, take_over, sweep_run)
    run.write_json(
        "mlflow.json",
        {
            "tracking_uri": tracker.shown_uri,
            "experiment": tracker.experiment,
            "run_id": published.run_id,
            "url": published.url,
            "publish_key": publish_key(run),
            "model_runs": published.model_runs,
            "model_versions": published.model_versions,
        },
    )
    return published


@contextlib.contextmanager
def _failing_as_unpublished(run: RunFolder, tracker: Tracker) -> Iterator[None]:
    try:
        with tracker.told(own=run.path.absolute()):
            yield
    except claims.TakenError as error:
        command = publish_command(run, tracker)
        raise PublishError(
            f"Not published: {error} When it has ended: {command}, or, only if it is dead, with --take-over."
        ) from None
    except ConfigError as error:
        raise PublishError(
            f"Computed, but not published. {error} The run folder {run.path} is whole. Then publish it with: "
            f"{publish_command(run, tracker)}"
        ) from error


def _publish(
    run: RunFolder,
    tracker: Tracker,
    handle: RunHandle | None,
    take_over: bool,
    sweep_run: str | None,
) -> PublishedRun:
    key = publish_key(run)
    with tracker.lock(f"publish {key}"):
        known = tracker.find({KEY: key})
        claims.close_left(tracker, known, handle)
        parent = _parent(known)
        if parent is not None and known[parent].get(STATE) == "complete":
            known = _without_lost_versions(tracker, known)
        if parent is not None and known[parent].get(STATE) == "complete":
            return _recall(run, tracker, parent, known)
        published = _fill(run, tracker, key, parent, known, handle, take_over, sweep_run)
        twice = claims.others(tracker, key, {published.run_id, *published.model_runs.values()})
        return dataclasses.replace(published, twice=tuple(twice))


def _parent(known: dict[str, dict[str, str]]) -> str | None:
    """The run above the models: the complete one, else the oldest."""
    tops = [i for i, tags in known.items() if tags.get(PARENT) not in known]
    whole = [i for i in tops if known[i].get(STATE) == "complete"]
    return next(iter([*whole, *tops]), None)


def _below(known: dict[str, dict[str, str]], parent: str) -> dict[str, str]:
    """The child runs of a parent, by model: the complete one where there are several."""
    found: dict[str, str] = {}
    for run_id, tags in known.items():
        model = tags.get("model")
        if model is None or tags.get(PARENT) != parent:
            continue
        if model not in found or known[found[model]].get(STATE) != "complete":
            found[model] = run_id
    return found


def _without_lost_versions(tracker: Tracker, known: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Take a run for incomplete where its version is gone from the registry: publishing again registers it anew."""
    lost = {i for i, tags in known.items() if VERSION in tags and not has_version(tracker, i, tags[VERSION])}
    above = {known[i].get(PARENT) for i in lost}
    return {i: tags | {STATE: "started"} if i in lost | above else tags for i, tags in known.items()}


def _recall(run: RunFolder, tracker: Tracker, parent: str, known: dict[str, dict[str, str]]) -> PublishedRun:
    children = _below(known, parent)
    versions = {model: known[i][VERSION] for model, i in children.items() if VERSION in known[i]}
    return PublishedRun(parent, tracker.run_url(parent), True, children, versions)


def _fill(
    run: RunFolder,
    tracker: Tracker,
    key: str,
    parent: str | None,
    known: dict[str, dict[str, str]],
    handle: RunHandle | None,
    take_over: bool,
    sweep_run: str | None,
) -> PublishedRun:
    if handle is not None and tracker.is_deleted(handle.run_id):
        handle = None
    if parent is None and handle is None:
        parent = claims.left_open(tracker, run.run_id)
    if handle is not None and parent == handle.run_id:
        top = handle
    elif parent is None:
        top = claims.claim(tracker, key, rec.run_name(run), handle, sweep_run)
    else:
        claims.refuse_taken(tracker, parent, take_over)
        top = tracker.resume(parent)
    # the pipeline closes the run that it opened itself
    with contextlib.nullcontext() if top is handle else tracker.closing(top.run_id):
        tracker.rename(top.run_id, rec.run_name(run))
        log(tracker, top.run_id, [rec.Tag(KEY, key), rec.Tag(STATE, "started")])
        runs: dict[str, str] = {}
        versions: dict[str, str] = {}
        readable = readable_tables(run)
        before = _below(known, top.run_id)
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
        records = rec.run_records(run, patient_tables=tracker.patient_tables, readable=readable)
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
        folds = _fill_folds(run, tracker, model, child)
        here = Addresses(tracker.experiment_id, run.run_id, child, parent, folds)
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


def _fill_folds(run: RunFolder, tracker: Tracker, model: str, parent: str) -> tuple[str, ...]:
    """The runs of a model's inner searches below its own; what is whole stays as it is."""
    searches = list(fold_searches(run, model))
    if not searches:
        return ()
    wanted = {PARENT: parent, rec.KIND: FOLD}
    before = {_which(tags): (run_id, tags) for run_id, tags in tracker.find(wanted).items()}
    filled = []
    for search in searches:
        known, tags = before.get(_which(search.tags), (None, {}))
        if known is None:
            known = tracker.start(search.name, {**search.tags, STATE: "started"}, parent).run_id
        filled.append(known)
        if tags.get(STATE) == "complete" and PROCESS not in tags:
            continue
        if tags:
            tracker.resume(known)
        with tracker.closing(known):
            log(tracker, known, [*search.records, rec.Tag(STATE, "complete")], _created_ms(run))
    for twin in tracker.find(wanted).keys() - set(filled):
        tracker.discard(twin, claims.MADE_TWICE)
    return tuple(filled)


def _which(tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    return tags.get(OUTER_FOLD), tags.get(REPEAT)


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
