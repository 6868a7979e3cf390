"""Run folders by any name: the one on this disk where it is the published one, else a copy out of MLflow."""

from __future__ import annotations

import re
from pathlib import Path

from immunocast.errors import ConfigError, NotFoundError
from immunocast.store.runfolder import RunFolder, find_run, list_runs
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.download import fetch_bundle, fetch_run
from immunocast.tracking.mlflow.registry import Version, aliases, full_name, told, version
from immunocast.tracking.publish import KEY, publish_key


def run_folder(tracker: Tracker, run: str, runs_dir: Path, scratch: Path) -> RunFolder:
    """A run folder by its id, the id's beginning, "latest", or MLflow's id of a run of it.

    Parameters
    ----------
    tracker : the connection.
    run : which.
    runs_dir : where run folders lie.
    scratch : where a copy from MLflow is made, if the folder is not there.

    Raises
    ------
    NotFoundError
        Where neither the disk nor MLflow has it.
    """
    try:
        return find_run(runs_dir, run)
    except NotFoundError:
        if run == "latest" or [r for r in list_runs(runs_dir) if r.path.name.startswith(run)]:
            raise  # a beginning that several have
    if re.fullmatch(r"[0-9a-f]{32}", run):
        tags = _tags(tracker, run)
        if "immunocast.run_id" in tags and KEY in tags:
            return published_folder(tracker, tags["immunocast.run_id"], tags[KEY], run, runs_dir, scratch)
    return fetch_run(tracker, run, scratch / run)


def published_folder(
    tracker: Tracker, run_id: str, key: str, mlflow_run: str, runs_dir: Path, scratch: Path
) -> RunFolder:
    """The folder behind a publication: on this disk where it has the same content, else out of MLflow.

    Parameters
    ----------
    tracker, runs_dir, scratch : as for `run_folder`.
    run_id, key : id of the run folder and `publish.publish_key` of its content.
    mlflow_run : MLflow's id of the run or of one of its models.

    Raises
    ------
    NotFoundError
        Where neither has it.
    """
    here = RunFolder(runs_dir / run_id)
    if here.manifest() and publish_key(here) == key:
        return here
    return fetch_run(tracker, mlflow_run, scratch / run_id)


def aliased_model(tracker: Tracker, wanted: str, runs_dir: Path, scratch: Path) -> tuple[RunFolder, Version]:
    """The run folder, with the final model, and the version that an alias of the registry names.

    Parameters
    ----------
    wanted : "NAME@ALIAS", e.g. "immunocast-ridge@champion", or "ridge@champion".
    tracker, runs_dir, scratch : as for `run_folder`.

    Raises
    ------
    NotFoundError
        Where there is no such registered model or alias, or its version was not made by `publish`.
    ConfigError
        Where `wanted` has another form.
    """
    name, at, alias = wanted.partition("@")
    if not (name and at and alias):
        raise ConfigError(
            f"{wanted!r} names no alias of a registered model. Write NAME@ALIAS: immunocast-ridge@champion."
        )
    with told(tracker):
        full = full_name(tracker, name)
        there = aliases(tracker, full)
        if alias not in there:
            has = ", ".join(f"{a} (version {v})" for a, v in sorted(there.items())) or "none"
            raise NotFoundError(f"{full} has no alias {alias!r}. It has: {has}. An alias comes by: immunocast promote")
        found = version(tracker, full, there[alias])
        if found is None or not found.run_id:
            raise NotFoundError(f"{full} version {there[alias]} was not made by immunocast's publish.")
        run = published_folder(tracker, found.run_id, found.publish_key, found.mlflow_run, runs_dir, scratch)
        if not run.bundle_path(found.model, "final").is_dir():
            fetch_bundle(tracker, run, found.model)
    return run, found


def _tags(tracker: Tracker, mlflow_run: str) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        return dict(tracker.client.get_run(mlflow_run).data.tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise NotFoundError(f"There is no run {mlflow_run} in MLflow at {tracker.shown_uri}.") from None
        raise
