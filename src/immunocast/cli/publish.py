"""The command that publishes a finished run to MLflow, or completes a publication that broke off."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immunocast.cli._common import RunsDir, app, find_run


@app.command()
def publish(
    run: Annotated[str, typer.Argument(help="Run id, its beginning, or 'latest'.")] = "latest",
    tracking_uri: Annotated[
        str | None, typer.Option(help="Address of MLflow; by default MLFLOW_TRACKING_URI, else mlflow.db here.")
    ] = None,
    experiment: Annotated[str, typer.Option(help="Name of the experiment.")] = "immunocast",
    artifact_root: Annotated[
        str | None, typer.Option(help="Where artifacts go, for a new experiment of a database without a server.")
    ] = None,
    patient_tables: Annotated[
        bool, typer.Option(help="Also publish what shows single patients: tables, pictures, examples in the report.")
    ] = True,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Complete what a dead process of another host began.")
    ] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Publish a finished run to MLflow; repeating it changes nothing, and completes what broke off.

    User and password of a server come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. Exit codes: 0
    published, now or before; 2 a mistake in the call; 4 not published, the run folder is as it was.
    """
    from immunocast.tracking.mlflow import Tracker
    from immunocast.tracking.process import sigterm_raises
    from immunocast.tracking.publish import publish as publish_run

    folder = find_run(run, runs_dir)
    tracker = Tracker(tracking_uri, experiment, artifact_root, patient_tables=patient_tables)
    with sigterm_raises():
        published = publish_run(folder, tracker, take_over=take_over)
    print(published.message())
