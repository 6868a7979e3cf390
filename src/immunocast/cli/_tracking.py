"""Which MLflow store a command speaks to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast.errors import NotFoundError

if TYPE_CHECKING:
    from immunocast.store.runfolder import RunFolder
    from immunocast.tracking.mlflow import Tracker

TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help="Address of MLflow. Default: MLFLOW_TRACKING_URI; where a run was published; sqlite:///mlflow.db.",
    ),
]


def open_tracker(uri: str | None, run: RunFolder | None = None) -> Tracker:
    """A connection to the store that was named, else that of the environment, of the run, or of this folder.

    Raises
    ------
    NotFoundError
        Where it is a SQLite file that does not exist: MLflow would make an empty one.
    """
    from immunocast.tracking.mlflow import Tracker

    if uri is None and not os.environ.get("MLFLOW_TRACKING_URI") and run is not None:
        uri = run.read_json("mlflow.json").get("tracking_uri")
    tracker = Tracker(uri)
    if tracker.database is not None and not tracker.database.is_file():
        raise NotFoundError(
            f"There is no MLflow store {tracker.database}. Name the one that was published to: --tracking-uri, or "
            "MLFLOW_TRACKING_URI."
        )
    return tracker
