"""The card of a registered version: what lies beside its model in MLflow, brought to this machine to be judged."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from immunocast.errors import ConfigError, NotFoundError
from immunocast.tracking.address import first_line
from immunocast.tracking.cards import CARD
from immunocast.tracking.mlflow.tracker import Tracker

#: Where MLflow puts the files of a model that is logged from code; the bundle is one of them.
_ARTIFACTS = "artifacts"


def fetch_card(tracker: Tracker, version: str, target: Path) -> Path:
    """Download the card of a version and the bundle beside it.

    Parameters
    ----------
    tracker : the connection.
    version : "NAME/3", as the registry names it.
    target : folder, created; what it holds of an earlier download is replaced.

    Returns
    -------
    Folder of the card, `target/card`; the bundle lies in `target/artifacts`.

    Raises
    ------
    ConfigError
        Where `version` is not NAME/NUMBER.
    NotFoundError
        Where there is no such version, or no card among the artifacts of its model.
    """
    from mlflow.exceptions import MlflowException

    parsed = re.fullmatch(r"(?P<name>.+)/(?P<number>[1-9]\d*)", version)
    if parsed is None:
        raise ConfigError(f"--version is {version!r}; write NAME/NUMBER, e.g. immunocast-ridge/3.")
    try:
        found = tracker.client.get_model_version(parsed["name"], parsed["number"])
    except MlflowException as error:
        raise NotFoundError(f"MLflow at {tracker.shown_uri} has no version {version}: {first_line(error)}") from error
    # of a version that a store of its own keeps, `model_id` is empty and only the source tells the model
    told = re.fullmatch(r"models:/(m-[\w-]+)", str(found.source or ""))
    model_id = found.model_id or (told[1] if told else None)
    if not model_id:
        raise NotFoundError(f"The version {version} has no logged model, so it has no card.")
    with tempfile.TemporaryDirectory(prefix="immunocast-") as folder:
        got = {part: _download(tracker, str(model_id), part, Path(folder)) for part in (CARD, _ARTIFACTS)}
        card = got[CARD]
        if card is None:
            raise NotFoundError(
                f"The model of version {version} has no {CARD}/ among its artifacts: it was published before there "
                "were cards, or the folder was deleted."
            )
        for part, place in got.items():
            shutil.rmtree(target / part, ignore_errors=True)
            if place is not None:
                shutil.copytree(place, target / part)
    return target / CARD


def _download(tracker: Tracker, model_id: str, part: str, folder: Path) -> Path | None:
    """A folder of a logged model's artifacts, None where it is not there."""
    import mlflow

    listed = tracker.client.list_logged_model_artifacts(model_id)
    if part not in {file.path.rstrip("/").rsplit("/", 1)[-1] for file in listed if file.is_dir}:
        return None
    place = folder / part
    place.mkdir()
    # models:/ID/PATH is taken for a name and a version
    root = str(tracker.client.get_logged_model(model_id).artifact_location).rstrip("/")
    got = mlflow.artifacts.download_artifacts(
        artifact_uri=f"{root}/{part}", dst_path=str(place), tracking_uri=tracker.uri
    )
    return Path(got)
