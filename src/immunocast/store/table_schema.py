"""What a table of a run is: its pandera schema, what a row is, and what each column means."""

from __future__ import annotations

from dataclasses import dataclass

import pandera.pandas as pa

TEXT, FLOAT, INT, BOOL = "str", "float64", "int64", "bool"


@dataclass(frozen=True)
class Table:
    """A table of a run: its schema, what a row is, what each column means, and the order of its rows."""

    name: str
    row_is: str
    schema: pa.DataFrameSchema
    columns: dict[str, str]
    sort_by: tuple[str, ...]


def make_table(
    name: str,
    row_is: str,
    columns: dict[str, tuple[str, bool, str]],
    sort_by: tuple[str, ...] = (),
    extra: dict[str, pa.Column] | None = None,
    unique: list[str] | None = None,
) -> Table:
    """A table from its columns: name -> (type, may it be null, meaning)."""
    schema = pa.DataFrameSchema(
        {
            # numpy's integers have no null
            c: pa.Column("Int64" if nullable and dtype == INT else dtype, nullable=nullable, description=meaning)
            for c, (dtype, nullable, meaning) in columns.items()
        }
        | (extra or {}),
        strict=True,
        coerce=True,
        unique=unique,
        name=name,
    )
    return Table(name, row_is, schema, {c: meaning for c, (_, _, meaning) in columns.items()}, sort_by)


IDS = {
    "patient_id": (TEXT, False, "patient within a cohort"),
    "cohort_id": (TEXT, False, "cohort that the patient belongs to"),
}
