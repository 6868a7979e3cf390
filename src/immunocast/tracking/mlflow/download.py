"""Runs that only MLflow has: a run folder made again from a publication, checked against its own digests.

What `publish` stores is the folder without its bundles. Those of the final models lie in the logged models and
come when they are asked for (`fetch_bundle`); the bundles of the folds are not published.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunocast.errors import ConfigError, FetchError, NotFoundError
from immunocast.store.runfolder import RunFolder, file_digest
from immunocast.store.single_patients import PATIENT_TABLES
from immunocast.tracking.address import first_line
from immunocast.tracking.mlflow.tracker import PARENT, Tracker
from immunocast.tracking.publish import KEY, STATE, VERSION

if TYPE_CHECKING:
    from mlflow.entities import Run

#: What of a publication belongs into the folder: files, then folders. `readable/` are twins of the tables.
FILES = ("manifest.json", "config.yaml", "summary.md", "results.csv", "report.html")
FOLDERS = ("meta", "tables", "figures")


@dataclass(frozen=True)
class Publication:
    """A complete publication in MLflow.

    Attributes
    ----------
    run_id : id of the run folder.
    mlflow_id : MLflow's id of the parent run.
    experiment, experiment_id : its experiment.
    model_runs : MLflow's ids of the child runs, by model.
    model_versions : "name/version" in the registry, by model.
    publish_key : see `publish.publish_key`.
    """

    run_id: str
    mlflow_id: str
    experiment: str
    experiment_id: str
    model_runs: dict[str, str]
    model_versions: dict[str, str]
    publish_key: str


def find_publication(tracker: Tracker, run_id: str) -> Publication:
    """Find a published run, in any experiment that is not deleted.

    Parameters
    ----------
    tracker : the connection.
    run_id : id of the run folder, a beginning of it that is enough, or MLflow's id of the run or of one of its models.

    Raises
    ------
    NotFoundError
        Where there is none, several, a deleted one, or one whose publication broke off; says which.
    """
    wanted = _folder_id(tracker, run_id)
    found = _search(tracker, f"tags.`immunocast.run_id` = '{wanted}'")
    keys = sorted({run.data.tags[KEY] for run in found if KEY in run.data.tags})
    parts = {key: _search(tracker, f"tags.{KEY} = '{key}'") for key in keys}
    tops = {key: _top(runs) for key, runs in parts.items()}
    whole = {key: top for key, top in tops.items() if top is not None and top.data.tags.get(STATE) == "complete"}
    named = {key: top for key, top in whole.items() if run_id in {run.info.run_id for run in parts[key]}}
    whole = named or whole
    if not whole:
        states = {top.info.status for top in tops.values() if top is not None}
        raise NotFoundError(
            f"Run {wanted} is in MLflow at {tracker.shown_uri}, but was not published whole"
            + (f" (it is {', '.join(sorted(states))} there)" if states else "")
            + ". Publish its folder again where it lies; that completes it."
        )
    if len(whole) > 1:
        raise NotFoundError(
            f"Run {wanted} was published {len(whole)} times with other content. Name one by MLflow's id: "
            + ", ".join(top.info.run_id for top in whole.values())
        )
    ((key, top),) = whole.items()
    children = [run for run in parts[key] if run.info.run_id != top.info.run_id and "model" in run.data.tags]
    return Publication(
        wanted,
        top.info.run_id,
        tracker.client.get_experiment(top.info.experiment_id).name,
        str(top.info.experiment_id),
        {run.data.tags["model"]: run.info.run_id for run in children},
        {run.data.tags["model"]: run.data.tags[VERSION] for run in children if VERSION in run.data.tags},
        key,
    )


def fetch_run(tracker: Tracker, run_id: str, target: Path) -> RunFolder:
    """Make a run folder from what MLflow has: manifest, meta, configuration, tables, figures, report.

    Files arrive under a temporary name beside `target` and are renamed when all are there and every table has the
    digest of the manifest. mlflow.json then says where the folder came from, and what was not published.

    Parameters
    ----------
    tracker : the connection.
    run_id : as in `find_publication`.
    target : the folder to make; one that holds this very run already is returned as it is.

    Returns
    -------
    The folder. Tables of patients are missing where the publication left them out; bundles are always (`fetch_bundle`).

    Raises
    ------
    NotFoundError
        Where there is no complete publication, or files of it are missing; says which.
    FetchError
        Where a download breaks off, or a table is not what the manifest says.
    ConfigError
        Where `target` is something else.
    """
    found = find_publication(tracker, run_id)
    if target.exists():
        return _same_run(target, found)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with _told(tracker, f"run {found.run_id}"):
            unfinished.mkdir(parents=True)
            _download(tracker, found, unfinished)
        left_out = _verify(RunFolder(unfinished), found)
        _note(RunFolder(unfinished), tracker, found, left_out)
        with contextlib.suppress(OSError):  # another process was faster
            unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return _same_run(target, found)


def fetch_bundle(tracker: Tracker, run: RunFolder, model: str) -> Path:
    """Fetch the final bundle of a model of a fetched run, once.

    Parameters
    ----------
    tracker : the connection.
    run : a folder of `fetch_run`.
    model : name of a model of the run.

    Returns
    -------
    The bundle's folder inside `run`.

    Raises
    ------
    NotFoundError
        Where MLflow has no such model.
    FetchError
        Where the download breaks off, or a file is not what the manifest says.
    """
    from mlflow.artifacts import download_artifacts

    target = run.bundle_path(model, "final")
    if (target / "bundle.json").is_file():
        return target
    found = find_publication(tracker, str(run.read_json("mlflow.json").get("run_id") or run.run_id))
    unfinished = target.with_name(f".final.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with _told(tracker, f"model {model} of run {found.run_id}"):
            unfinished.mkdir(parents=True)
            files = Path(
                download_artifacts(
                    _bundle_address(tracker, found, model),
                    dst_path=str(unfinished),
                    tracking_uri=tracker.uri,
                    registry_uri=tracker.uri,
                )
            )
        _verify_bundle(run, model, files)
        with contextlib.suppress(OSError):
            files.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _folder_id(tracker: Tracker, run_id: str) -> str:
    """Id of the run folder that `run_id`, which may be MLflow's own or a beginning, speaks of."""
    where = f"MLflow at {tracker.shown_uri}"
    if not re.fullmatch(r"[\w.+-]+", run_id):
        raise NotFoundError(f"{run_id!r} is no id of a run: letters, digits, '.', '_', '+' and '-' only.")
    if re.fullmatch(r"[0-9a-f]{32}", run_id):
        run = _run(tracker, run_id)
        if run is None:
            raise NotFoundError(f"{where} has no run {run_id}.")
        if run.info.lifecycle_stage != "active":
            raise NotFoundError(
                f"Run {run_id} was deleted in {where}. Restore it: mlflow runs restore --run-id {run_id}"
            )
        folder = run.data.tags.get("immunocast.run_id")
        if folder is None:
            raise NotFoundError(f"Run {run_id} of {where} was not made by immunocast's `publish`.")
        return folder
    begins = _search(tracker, f"tags.`immunocast.run_id` LIKE '{run_id}%'")
    names = sorted({run.data.tags["immunocast.run_id"] for run in begins})
    names = [name for name in names if name.startswith(run_id)]  # LIKE takes _ for any character
    if run_id in names:
        return run_id
    if len(names) == 1:
        return names[0]
    if names:
        raise NotFoundError(f"{len(names)} runs of {where} start with {run_id!r}: {', '.join(names[-5:])}")
    whole = (run.data.tags for run in _search(tracker, f"tags.{STATE} = 'complete'"))
    latest = sorted({tags["immunocast.run_id"] for tags in whole if "immunocast.run_id" in tags})
    known = f" The latest are: {', '.join(latest[-5:])}" if latest else " No run was published there."
    raise NotFoundError(f"{where} has no run {run_id!r}.{known}")


def _run(tracker: Tracker, run_id: str) -> Run | None:
    from mlflow.exceptions import MlflowException

    try:
        return tracker.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _top(runs: list[Run]) -> Run | None:
    """The parent among the runs of one publication; what stands above it, e.g. a sweep, is no part of it."""
    ids = {run.info.run_id for run in runs}
    return next((run for run in runs if run.data.tags.get(PARENT) not in ids), None)


def _search(tracker: Tracker, filter_string: str) -> list[Run]:
    """Runs of all experiments, oldest first; creates nothing."""
    client = tracker.client
    experiments = [e.experiment_id for e in client.search_experiments()]
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(experiments, filter_string, order_by=["attributes.start_time"], page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _download(tracker: Tracker, found: Publication, folder: Path) -> None:
    client = tracker.client
    there = {artifact.path for artifact in client.list_artifacts(found.mlflow_id)}
    missing = [name for name in ("manifest.json", "config.yaml", "tables") if name not in there]
    if missing:
        raise NotFoundError(f"Run {found.run_id} in MLflow at {tracker.shown_uri} lacks {', '.join(missing)}.")
    for name in (*FILES, *FOLDERS):
        if name in there:
            client.download_artifacts(found.mlflow_id, name, str(folder))


def _verify(run: RunFolder, found: Publication) -> list[str]:
    """Hold every table against the manifest; names of the tables that were left out."""
    try:
        digests: dict[str, str] = run.read_json("manifest.json").get("digests", {})
        run.manifest()
    except ValueError as error:
        raise FetchError(f"The manifest of run {found.run_id} in MLflow can't be read ({error}).") from error
    expected = {path: digest for path, digest in digests.items() if path.startswith("tables/")}
    if not expected:
        raise NotFoundError(f"The manifest of run {found.run_id} in MLflow holds no digests of tables.")
    arrived = {f"tables/{file.name}" for file in (run.path / "tables").iterdir()}
    left_out = sorted(path for path in expected.keys() - arrived if Path(path).stem in PATIENT_TABLES)
    missing = sorted(expected.keys() - arrived - set(left_out))
    if missing:
        raise NotFoundError(f"Run {found.run_id} in MLflow lacks {', '.join(missing)}, which its manifest names.")
    for path in sorted(arrived):
        now = file_digest(run.path / path)
        if now != expected.get(path):
            then = f"SHA-256 {expected[path][:12]}..." if path in expected else "nothing of it"
            raise FetchError(
                f"{path} of run {found.run_id} in MLflow is not what was published: the manifest says {then}, the "
                f"file has {now[:12]}... Restore the artifact, or use the original run folder."
            )
    return left_out


def _note(run: RunFolder, tracker: Tracker, found: Publication, left_out: list[str]) -> None:
    run.write_json(
        "mlflow.json",
        {
            "tracking_uri": tracker.shown_uri,
            "experiment": found.experiment,
            "run_id": found.mlflow_id,
            "url": tracker.run_url(found.mlflow_id, found.experiment_id),
            "publish_key": found.publish_key,
            "model_runs": found.model_runs,
            "model_versions": found.model_versions,
            "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
            "not_published": left_out,
        },
    )


def _same_run(target: Path, found: Publication) -> RunFolder:
    run = RunFolder(target)
    if run.read_json("manifest.json").get("run_id") != found.run_id:
        raise ConfigError(f"{target} exists already and is not run {found.run_id}. Name another folder.")
    return run


def _bundle_address(tracker: Tracker, found: Publication, model: str) -> str:
    """Address of the bundle among the artifacts of the logged model."""
    if model not in found.model_runs:
        known = ", ".join(sorted(found.model_runs)) or "none"
        raise NotFoundError(f"Run {found.run_id} has no model {model!r} in MLflow. It has: {known}.")
    of_run = f"source_run_id = '{found.model_runs[model]}'"
    logged = tracker.client.search_logged_models([found.experiment_id], filter_string=of_run)
    for one in logged:
        if str(one.status) == "READY":
            for folder in tracker.client.list_logged_model_artifacts(one.model_id, "artifacts"):
                inside = tracker.client.list_logged_model_artifacts(one.model_id, folder.path)
                if any(Path(file.path).name == "bundle.json" for file in inside):
                    return f"{one.artifact_location}/{folder.path}"
    raise NotFoundError(f"MLflow at {tracker.shown_uri} has no bundle of {model} of run {found.run_id}.")


def _verify_bundle(run: RunFolder, model: str, files: Path) -> None:
    head = f"bundles/{model}/final/"
    digests = run.manifest().get("digests", {})
    expected = {path.removeprefix(head): digest for path, digest in digests.items() if path.startswith(head)}
    arrived = {f.relative_to(files).as_posix(): file_digest(f) for f in files.rglob("*") if f.is_file()}
    wrong = sorted(name for name in expected.keys() | arrived.keys() if expected.get(name) != arrived.get(name))
    if wrong:
        raise FetchError(
            f"The model {model} of run {run.run_id} in MLflow is not what was published: {', '.join(wrong)} "
            "differs from the manifest. Restore the artifact, or use the original run folder."
        )


@contextlib.contextmanager
def _told(tracker: Tracker, what: str) -> Iterator[None]:
    """Turn what breaks on the way into a message; MLflow and what is below raise many kinds."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:  # errors of requests are OSErrors, too
        raise FetchError(
            f"{what[0].upper()}{what[1:]} could not be fetched from MLflow at {tracker.shown_uri}: "
            f"{first_line(error).rstrip('.')}. Nothing half is left behind; try again."
        ) from error


def fetched_from(run: RunFolder) -> dict[str, Any] | None:
    """mlflow.json of a folder that was fetched; None for one that was made here."""
    content = run.read_json("mlflow.json")
    return content if "fetched" in content else None
