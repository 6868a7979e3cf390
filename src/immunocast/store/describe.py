"""What a run's tables and their columns say."""

from __future__ import annotations

import re

import pandas as pd

from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import TABLES


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
