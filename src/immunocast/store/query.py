"""SQL over a run's tables: DuckDB in memory, with no way to the disk or the network and no statement but reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from immunocast.errors import ConfigError
from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import TABLES

if TYPE_CHECKING:
    import duckdb


def connect(run: RunFolder) -> duckdb.DuckDBPyConnection:
    """Open the tables of a run under their names in design order; nothing else can be reached."""
    import duckdb
    import pyarrow.dataset as ds

    connection = duckdb.connect(":memory:")
    for name in TABLES:
        if run.has_table(name):
            connection.register(name, ds.dataset(run.table_path(name)))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def run_sql(run: RunFolder, statement: str) -> pd.DataFrame:
    """Answer one SELECT.

    Parameters
    ----------
    run : a run folder.
    statement : SQL; tables are named as in `store.schemas.TABLES`.

    Raises
    ------
    ConfigError
        For anything that is not a single read, or that DuckDB refuses, with its own words.
    """
    import duckdb

    with connect(run) as connection:
        try:
            statements = connection.extract_statements(statement)
            if len(statements) != 1:
                raise ConfigError(f"Give one SQL statement; there are {len(statements)}.")
            if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
                raise ConfigError("Only reads are possible here: write a SELECT. Runs are never changed.")
            return connection.execute(statements[0]).df()
        except duckdb.Error as error:
            raise ConfigError(
                f"SQL: {error}\nTables of this run: "
                + ", ".join(t for t in TABLES if run.has_table(t))
                + " (columns: `immunocast tables`)."
            ) from error


def describe(run: RunFolder, table: str | None = None) -> pd.DataFrame:
    """Tables of a run (name, rows, what a row is), or the columns of one (name, type, meaning)."""
    import pyarrow.parquet as pq

    if table is None:
        rows = [
            (t.name, pq.read_metadata(run.table_path(t.name)).num_rows, t.row_is)
            for t in TABLES.values()
            if run.has_table(t.name)
        ]
        return pd.DataFrame(rows, columns=["table", "rows", "a row is"])
    run.table(table)  # raises the clear message for an unknown or absent table
    schema = pq.read_schema(run.table_path(table))
    rows = [(f.name, str(f.type), meaning(table, f.name)) for f in schema]
    return pd.DataFrame(rows, columns=["column", "type", "meaning"])


def meaning(table: str, column: str) -> str:
    """What a column of a table says, with the unit of a cohort's value; "" for columns that nobody described."""
    described = TABLES[table].schema.columns
    found = described.get(column) or next(
        (c for c in described.values() if c.regex and re.search(str(c.name), column)), None
    )
    if found is None:
        return ""
    unit = (found.metadata or {}).get("unit")
    return f"{found.description or ''} Unit: {unit}." if unit else found.description or ""
