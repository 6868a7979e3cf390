"""The same table of many runs as one, with a column `run_id`; a run's file is opened only when its rows are asked for.

A view is an Arrow dataset with one fragment a run, and the fragment knows its `run_id`. DuckDB hands the conditions
of a statement to the dataset, which leaves out the fragments that cannot meet them. Of a run that is left out only
the list of columns (the Parquet footer) is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from immunocast.errors import ConfigError, NotFoundError
from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import TABLES

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

RUN_ID = "run_id"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def table_names(runs: Sequence[RunFolder]) -> list[str]:
    """Tables that one of the runs has, those of this version first, in design order."""
    found: set[str] = set()
    for run in runs:
        folder = run.path / "tables"
        found.update(p.stem for p in (folder.iterdir() if folder.is_dir() else ()) if p.suffix == ".parquet")
    others = sorted(name for name in found if name not in TABLES and _NAME.fullmatch(name))
    return [name for name in TABLES if name in found] + others


def open_table(name: str, runs: Sequence[RunFolder]) -> ds.FileSystemDataset:
    """A table of all runs that have it, united by the names of columns.

    Parameters
    ----------
    name : one of `table_names(runs)`.
    runs : the runs.

    Returns
    -------
    Dataset with the column `run_id` first, then the columns of the newest run, then those that only older ones have;
    what a run lacks is null. Whole numbers and fractions are united as fractions.

    Raises
    ------
    NotFoundError
        Where no run has it.
    ConfigError
        Where a column is of different kinds in two runs, or a file lies outside its run folder.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import fs

    having = [run for run in runs if run.has_table(name)]
    if not having:
        raise NotFoundError(f"None of {len(runs)} runs has a table {name!r}: the stage that writes it has not run.")
    form, system = ds.ParquetFileFormat(), fs.LocalFileSystem()
    fragments, schemas = [], {}
    for run in having:
        path = _inside(run, name)
        fragment = form.make_fragment(path, system, partition_expression=ds.field(RUN_ID) == run.path.name)
        fragments.append(fragment)
        try:
            schemas[run.path.name] = fragment.physical_schema
        except (OSError, pa.ArrowException):
            continue  # told with the file's name when its rows are asked for; of no matter to who asks for other runs
    return ds.FileSystemDataset(fragments, _united(name, schemas), form, system)


def _inside(run: RunFolder, name: str) -> str:
    """Path of a table; a link that leads out of the run folder is refused."""
    path = run.table_path(name)
    if path.is_symlink() or path.parent.is_symlink():
        real = path.resolve()
        if not real.is_relative_to(run.path.resolve()):
            raise ConfigError(f"{path} is a link out of its run folder and is not read. Put the file itself there.")
        path = real
    return str(path)


def _united(name: str, schemas: dict[str, pa.Schema]) -> pa.Schema:
    import pyarrow as pa

    columns: dict[str, dict[str, pa.DataType]] = {}
    for run_id, schema in reversed(schemas.items()):
        for field in schema:
            columns.setdefault(field.name, {})[run_id] = field.type
    fields = [pa.field(RUN_ID, pa.string())]
    fields += [pa.field(c, _common(name, c, types)) for c, types in columns.items() if c != RUN_ID]
    return pa.schema(fields)


def _common(table: str, column: str, types: dict[str, pa.DataType]) -> pa.DataType:
    import pyarrow as pa

    distinct = {t for t in types.values() if not pa.types.is_null(t)}
    if len(distinct) <= 1:
        return distinct.pop() if distinct else pa.string()
    if all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in distinct):
        return pa.float64()
    if all(pa.types.is_string(t) or pa.types.is_large_string(t) for t in distinct):
        return pa.large_string()
    (a, first), (b, second) = _two_kinds(types)
    raise ConfigError(
        f"Column {column} of table {table} is {first} in run {a} and {second} in run {b}: they can't be one column. "
        "Choose runs with --run or --since."
    )


def _two_kinds(types: dict[str, pa.DataType]) -> list[tuple[str, pa.DataType]]:
    firsts = {kind: run_id for run_id, kind in reversed(types.items())}
    return [(run_id, kind) for kind, run_id in firsts.items()][:2]
