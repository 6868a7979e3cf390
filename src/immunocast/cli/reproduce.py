"""The command `reproduce`: make a run again, and say whether the same came out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from immunocast.cli._common import RunsDir, app, find_run
from immunocast.cli._fetch import TrackingUri, require_known_classes
from immunocast.errors import ConfigError


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(help="Run id, its beginning, MLflow's id, or 'latest'.", metavar="RUN_ID")],
    data: Annotated[
        Path | None,
        typer.Option(envvar="IMMUNOCAST_DATA", help="Folder of the data; as the pipeline finds it by default."),
    ] = None,
    checkout: Annotated[
        Path | None, typer.Option(help="Source tree to run, e.g. a worktree of the run's commit; this one by default.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Call numbers close that differ by at most this much (times their size above 1).")
    ] = 0.0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse other code or packages than the run's.")] = False,
    engine: Annotated[str | None, typer.Option(help="Another engine: serial, threads, processes.")] = None,
    workers: Annotated[int | None, typer.Option(help="Another number of workers.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder of runs in which the new run stays.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run classes of other packages that a fetched configuration names.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole record as JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Make a run again from its frozen configuration, and compare every table and model.

    The answer is written to reproduction.json in the run's folder. Exit code 0 where it is identical or close, 4 where
    it differs, 2 where the run can't be made again (data missing or changed, code that can't run it).
    """
    from immunocast.reproduce import Options, reproduce
    from immunocast.reproduce.words import lines_of
    from immunocast.tracking.process import sigterm_raises

    folder = find_run(run, runs_dir, tracking_uri)
    if not trust:
        require_known_classes(folder)
    if keep is not None and keep.exists() and not keep.is_dir():
        raise ConfigError(f"--keep {keep} is a file. Name a folder of runs.")
    options = Options(data or _data_dir(), checkout, tolerance, strict, engine, workers, keep)
    try:
        with sigterm_raises():
            record = reproduce(folder, options, lambda line: print(line, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        print("Interrupted: nothing is recorded.", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        print("\n".join([*lines_of(record), f"Record: {folder.path / 'reproduction.json'}"]))
    if record["verdict"] in ("different", "impossible"):
        raise typer.Exit(4 if record["verdict"] == "different" else 2)


def _data_dir() -> Path:
    """`paths.data` as the pipeline would find it."""
    from omegaconf import OmegaConf

    from immunocast.config import conf_dir

    return Path(OmegaConf.load(conf_dir() / "paths" / "default.yaml").data)
