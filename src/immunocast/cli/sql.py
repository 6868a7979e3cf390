"""The command `sql`: any read over the tables of all runs."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast.cli._common import Format, RunsDir, app, check_target, print_table
from immunocast.cli._fetch import TrackingUri, fetch_named
from immunocast.cli._runs import CohortOption, RunsOption, SinceOption
from immunocast.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa


class SqlFormat(StrEnum):
    """How to write an answer."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help='E.g. "select run_id, metric, estimate from metrics".')],
    run: RunsOption = None,
    since: SinceOption = None,
    cohort: CohortOption = None,
    output: Annotated[SqlFormat | None, typer.Option("--format", help="How to print or write.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .csv, .json or .parquet.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of --out.")] = False,
    timeout: Annotated[float, typer.Option(help="Most seconds.")] = 60.0,
    memory: Annotated[int, typer.Option(help="Most memory, MiB.")] = 2048,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Answer a SELECT over the tables of all runs (DuckDB, read-only); each has a column run_id."""
    from immunocast.query.ask import answer, to_frame
    from immunocast.query.select import select
    from immunocast.query.watch import Limits, QueryInterrupted, QueryLimitError

    if out is not None:
        _check_out(out, force)
    form = _form(output, out)
    run = fetch_named(run, runs_dir, tracking_uri)
    try:
        found = answer(statement, select(runs_dir, run, since, cohort), Limits(timeout, memory))
    except (QueryLimitError, QueryInterrupted) as stopped:
        if stopped.running:  # a function that does not look up from its work would keep the process
            _leave(stopped)
        raise
    if out is not None:
        _write(found, form, out)
        print(f"{found.num_rows:,} rows, {found.num_columns} columns: {out}", file=sys.stderr)
    else:
        print_table(to_frame(found), Format(form.value))


def _form(output: SqlFormat | None, out: Path | None) -> SqlFormat:
    if out is None:
        if output is SqlFormat.PARQUET:
            raise ConfigError("--format parquet is for a file: name it with --out FILE.")
        return output or SqlFormat.TABLE
    suffix = out.suffix.lower().removeprefix(".")
    known = {f.value for f in SqlFormat} - {"table"}
    if output is None:
        if suffix not in known:
            raise ConfigError(f"--out {out}: name it .csv, .json or .parquet, or say --format.")
        return SqlFormat(suffix)
    if suffix in known and suffix != output.value:
        raise ConfigError(f"--out {out} and --format {output.value} contradict each other.")
    return output


def _check_out(out: Path, force: bool) -> None:
    check_target(out, Path(os.devnull), "no file", "answer.parquet")
    if any((folder / "manifest.json").is_file() for folder in out.absolute().parents):
        raise ConfigError(f"--out {out} lies in a run folder, and runs are never changed. Name another place.")
    if out.exists() and not force:
        raise ConfigError(f"--out {out} exists already. Name another file, or overwrite it with --force.")


def _write(found: pa.Table, form: SqlFormat, out: Path) -> None:
    """Write the answer under another name first, so that nobody meets half a file."""
    from contextlib import redirect_stdout

    from immunocast.query.ask import to_frame

    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        if form is SqlFormat.PARQUET:
            import pyarrow.parquet as pq

            pq.write_table(found, unfinished, compression="zstd")
        else:
            with unfinished.open("w", encoding="utf-8") as stream, redirect_stdout(stream):
                print_table(to_frame(found), Format(form.value))
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _leave(stopped: BaseException) -> None:
    code = getattr(stopped, "exit_code", 130)
    if code != 130:
        print(f"{type(stopped).__name__}: {stopped}", file=sys.stderr)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)
