"""Runs that only MLflow has: fetched into the folder of the runs when a command names one, and kept there."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast.cli._tracking import open_tracker
from immunocast.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from immunocast.store.runfolder import RunFolder

TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help="Address of MLflow, from which a run that --run names and --runs-dir lacks is fetched. "
        "Default: MLFLOW_TRACKING_URI.",
    ),
]


def find_or_fetch(run: str, runs_dir: Path, tracking_uri: str | None = None) -> RunFolder:
    """A run by its id, the id's beginning, MLflow's id or 'latest'; fetched where only MLflow has it.

    'latest' is the latest here: what others published meanwhile is never taken for it.

    Raises
    ------
    NotFoundError
        Where neither has it.
    """
    from immunocast.store.runfolder import find_run, list_runs

    if run == "latest" or any(r.path.name.startswith(run) for r in list_runs(runs_dir)):
        return find_run(runs_dir, run)
    if re.fullmatch(r"[0-9a-f]{32}", run):
        for local in list_runs(runs_dir):
            note = local.read_json("mlflow.json")
            if run == note.get("run_id") or run in note.get("model_runs", {}).values():
                return local
    if not (tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")):
        try:
            return find_run(runs_dir, run)
        except NotFoundError as error:
            raise NotFoundError(
                f"{error} A run that MLflow has is fetched from there: --tracking-uri, or MLFLOW_TRACKING_URI."
            ) from None
    return _fetch(run, runs_dir, tracking_uri)


def fetch_named(runs: Sequence[str] | None, runs_dir: Path, tracking_uri: str | None = None) -> list[str] | None:
    """See that all named runs lie in the folder of the runs; their ids there."""
    if not runs:
        return None
    return [find_or_fetch(run, runs_dir, tracking_uri).path.name for run in runs]


def _fetch(run: str, runs_dir: Path, tracking_uri: str | None) -> RunFolder:
    from immunocast.tracking.mlflow.download import fetch_run, fetched_from, find_publication

    tracker = open_tracker(tracking_uri)
    try:
        found = find_publication(tracker, run)
    except NotFoundError as error:
        raise NotFoundError(f"{runs_dir} has no run {run!r}. {error}") from None
    target = runs_dir / found.run_id
    if target.exists():  # named by another id
        return fetch_run(tracker, found.mlflow_id, target)
    folder = fetch_run(tracker, found.mlflow_id, target)
    left_out = (fetched_from(folder) or {}).get("not_published", [])
    said = f"Run {found.run_id} fetched from MLflow at {tracker.shown_uri}: {folder.path}"
    if left_out:
        said += f". Not published, so not there: {', '.join(Path(path).stem for path in left_out)}"
    print(said, file=sys.stderr)
    return folder


def with_final_bundle(folder: RunFolder, model: str | None, tracking_uri: str | None = None) -> None:
    """See that a fetched run has the final bundle of a model (None: the headline model); others stay as they are."""
    from immunocast.tracking.mlflow.download import fetch_bundle, fetched_from

    note = fetched_from(folder)
    name = model or str(folder.manifest().get("headline_model"))
    # an unknown model is told by the command, with those that there are
    if note is None or name not in folder.manifest().get("models", {}):
        return
    if not (folder.bundle_path(name, "final") / "bundle.json").is_file():
        fetch_bundle(open_tracker(tracking_uri, folder), folder, name)
        print(f"Model {name} fetched from MLflow: {folder.bundle_path(name, 'final')}", file=sys.stderr)


def require_fold_bundles(folder: RunFolder) -> None:
    """Refuse a fetched run for what needs the models of the folds, which are not published.

    Raises
    ------
    NotFoundError
        Where the run was fetched.
    """
    from immunocast.tracking.mlflow.download import fetched_from

    if fetched_from(folder) is not None:
        raise NotFoundError(
            f"Run {folder.run_id} was fetched from MLflow, where the models of the folds are not published: a patient "
            "of the run can't be explained from here. Use the original run folder, or make the run again: "
            f"immunocast reproduce {folder.run_id} --keep DIR. A new patient (--file) needs the final model only."
        )


def require_known_classes(folder: RunFolder) -> None:
    """Refuse a fetched configuration that would build anything but classes of immunocast, scikit-learn or XGBoost.

    Whoever may write to a tracking server must not choose what runs here; a run made here is its owner's affair.

    Raises
    ------
    ConfigError
        Where there is such a name.
    """
    from immunocast.tracking.mlflow.download import fetched_from

    if fetched_from(folder) is None:
        return
    import yaml

    plain = yaml.safe_load((folder.path / "config.yaml").read_text(encoding="utf-8"))
    strange = [name for name in _targets(plain) if not _is_known_class(name)]
    if strange:
        raise ConfigError(
            f"config.yaml of {folder.path}, which came from MLflow, builds {strange[0]}: that is no class of "
            "immunocast, scikit-learn or XGBoost. Read it; if it is yours, use the original run folder, or --trust."
        )


def _targets(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _targets(part)


def _is_known_class(name: str) -> bool:
    """By where the object is defined: `sklearn.datasets._base.os.system` also begins with a known name."""
    from hydra.utils import get_object

    known = ("immunocast", "sklearn", "xgboost")
    if name.partition(".")[0] not in known:
        return False
    try:
        found = get_object(name)
    except Exception:  # what is not there is told by whoever builds it
        return True
    return isinstance(found, type) and found.__module__.partition(".")[0] in known
