"""SQL over the tables of all runs: DuckDB in memory, with no way to the disk or the network, and reads only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from immunocast.errors import ConfigError
from immunocast.query.guard import check
from immunocast.query.overview import overview
from immunocast.query.select import select
from immunocast.query.views import open_table, table_names
from immunocast.query.watch import Limits, QueryInterrupted, QueryLimitError, run_watched
from immunocast.store.runfolder import RunFolder

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

RUNS = "runs"


def sql(
    statement: str,
    *,
    runs_dir: str | Path | None = None,
    run: str | Sequence[str] | None = None,
    since: str | date | None = None,
    cohort: str | Sequence[str] | None = None,
    timeout: float = 60.0,
    memory_mb: int = 2048,
) -> pd.DataFrame:
    """Answer one SELECT over the tables of many runs.

    Parameters
    ----------
    statement : SQL. Views: `runs` (a row a run) and every table of `store.schemas.TABLES`, each with `run_id`.
        A condition on `run_id` by =, in, <, > reads only the files of those runs.
    runs_dir, run, since, cohort : which runs (`query.select.select`); all by default.
    timeout : seconds on the clock.
    memory_mb : MiB.

    Returns
    -------
    Frame with the columns of the SELECT.

    Raises
    ------
    ConfigError
        For anything that is not a single read, or that DuckDB refuses, with its own words.
    NotFoundError
        Where there is no such run.
    QueryLimitError
        At a limit.
    """
    chosen = select(runs_dir, run, since, cohort)
    return to_frame(answer(statement, chosen, Limits(timeout, memory_mb)))


def answer(statement: str, runs: Sequence[RunFolder], limits: Limits | None = None) -> pa.Table:
    """Answer one SELECT over given runs, as an Arrow table with unique column names; see `sql`."""
    import duckdb

    limits = limits or Limits()
    views = [RUNS, *(name for name in table_names(runs) if name != RUNS)]
    connection = connect(limits)
    running = False
    try:
        for name in check(connection, statement, views):
            connection.register(name, overview(runs) if name == RUNS else open_table(name, runs))
        return _tidy(run_watched(connection, lambda: connection.sql(statement).to_arrow_table(), limits))
    except (QueryLimitError, QueryInterrupted) as stopped:
        running = stopped.running
        raise
    except duckdb.OutOfMemoryException as error:
        raise QueryLimitError(
            f"The query needs more than {limits.memory_mb} MiB (--memory). Ask for less: fewer runs (--run, "
            "--since), a condition, a limit; or raise it."
        ) from error
    except duckdb.Error as error:
        raise ConfigError(
            f"SQL: {error}\nViews: {', '.join(views)} (columns: `immunocast tables`, or describe VIEW)."
        ) from error
    finally:
        if not running:  # a busy connection can't be closed
            connection.close()


def connect(limits: Limits) -> duckdb.DuckDBPyConnection:
    """DuckDB in memory that reaches no file, no network and no variable of Python, its settings locked."""
    import duckdb

    connection = duckdb.connect(":memory:")
    for setting in (
        f"memory_limit = '{limits.memory_mb}MiB'",
        "temp_directory = ''",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def to_frame(table: pa.Table) -> pd.DataFrame:
    """An answer as a frame; days are time stamps."""
    return table.to_pandas(date_as_object=False)


def _tidy(table: pa.Table) -> pa.Table:
    """Unique column names; sums of whole numbers as whole numbers, other decimals as floats."""
    import pyarrow as pa

    names: list[str] = []
    for name in table.column_names:
        fresh, i = name, 1
        while fresh in names:
            i += 1
            fresh = f"{name}_{i}"
        names.append(fresh)
    table = table.rename_columns(names)
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            column = table.column(i)
            try:
                column = column.cast(pa.int64()) if field.type.scale == 0 else column.cast(pa.float64())
            except pa.ArrowInvalid:
                column = column.cast(pa.float64())
            table = table.set_column(i, field.name, column)
    return table
