"""Two runs that should be the same: which tables and bundles are, and in what the others differ, by how much.

Tables are compared by digest first, then value by value, so that a table written by another version of Parquet's
library still counts as the same. Rows meet by what they are about (see `key_of`), never by what was measured.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunocast.store.runfolder import RunFolder, file_digest
from immunocast.store.schemas import TABLES
from immunocast.store.table_schema import FLOAT

#: What a table or column can be found to be; in `verdict_of` the worst one counts.
IDENTICAL, CLOSE, DIFFERENT = "identical", "close", "different"
#: Columns that order the rows of a table and are results themselves.
_MEASURED = ("rank",)
_PLACE = "occurrence"


@dataclass(frozen=True)
class ColumnDifference:
    """How a column differs between two runs, over the rows that both have.

    Attributes
    ----------
    column : its name.
    n_different : rows whose values differ; a null against a value counts.
    n_null : those of them where one side is null.
    max_abs, max_rel : largest absolute difference, and largest difference relative to the larger of the two values;
        None for text, and where all are nulls against values.
    worst : key of the row with the largest absolute difference (else the first), with its values `then` and `now`.
    """

    column: str
    n_different: int
    n_null: int
    max_abs: float | None
    max_rel: float | None
    worst: dict[str, Any]


@dataclass(frozen=True)
class TableDifference:
    """What became of a table.

    Attributes
    ----------
    table : its name.
    verdict : identical; close (numbers differ within the tolerance and nothing else); different.
    how : "bytes" or "values" where identical; else what differs, in words.
    n_then, n_now : rows; None where the table is not at hand.
    n_missing, n_extra : rows of the first run that the second lacks, and the reverse.
    columns : columns that differ.
    """

    table: str
    verdict: str
    how: str
    n_then: int | None = None
    n_now: int | None = None
    n_missing: int = 0
    n_extra: int = 0
    columns: list[ColumnDifference] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


def compare_tables(then: RunFolder, now: RunFolder, tolerance: float = 0.0) -> list[TableDifference]:
    """Compare all tables of two runs.

    Parameters
    ----------
    then : the first run; tables that its manifest names and that are not at hand are compared by digest only.
    now : the second run.
    tolerance : numbers a and b are close where |a - b| <= tolerance * max(1, |a|, |b|).

    Returns
    -------
    One entry a table of either run, in the order of `TABLES`.
    """
    digests = {side: _digests(run, "tables/") for side, run in (("then", then), ("now", now))}
    names = {Path(path).stem for found in digests.values() for path in found}
    order = [name for name in TABLES if name in names] + sorted(names - TABLES.keys())
    return [
        _compare_table(
            name,
            (then, digests["then"].get(f"tables/{name}.parquet")),
            (now, digests["now"].get(f"tables/{name}.parquet")),
            tolerance,
        )
        for name in order
    ]


def compare_frames(name: str, then: pd.DataFrame, now: pd.DataFrame, tolerance: float = 0.0) -> TableDifference:
    """Compare two versions of a table value by value; nulls are equal to nulls.

    Parameters
    ----------
    name : a key of `TABLES`, by which rows are told apart.
    then, now : the table in the first and in the second run.
    tolerance : see `compare_tables`.
    """
    key = [column for column in key_of(name) if column in then and column in now]
    left, right = _keyed(then, key), _keyed(now, key)
    common = left.index.intersection(right.index, sort=False)
    missing, extra = len(left) - len(common), len(right) - len(common)
    columns, close = [], missing == extra == 0 and set(then) == set(now)
    for column in (c for c in then if c in now and c not in key):
        found, within = _compare_column(str(column), left[column].loc[common], right[column].loc[common], tolerance)
        if found is not None:
            columns.append(found)
            close = close and within
    said = []
    for which, names in (("gone", [c for c in then if c not in now]), ("new", [c for c in now if c not in then])):
        if names:
            said.append(f"{which}: column{'s' if len(names) > 1 else ''} {', '.join(map(str, names))}")
    if missing or extra:
        said.append(f"{missing} rows gone, {extra} new")
    said += [_in_words(c) for c in columns]
    same = not said
    verdict = IDENTICAL if same else CLOSE if close and tolerance > 0 else DIFFERENT
    return TableDifference(
        name, verdict, "values" if same else "; ".join(said), len(then), len(now), missing, extra, columns
    )


def key_of(table: str) -> list[str]:
    """Columns that say what a row of a table is about: those that order it, but for numbers that were measured."""
    known = TABLES.get(table)
    if known is None:
        return []
    columns = known.schema.columns
    return [c for c in known.sort_by if c not in _MEASURED and not (c in columns and str(columns[c].dtype) == FLOAT)]


def compare_bundles(then: RunFolder, now: RunFolder) -> dict[str, Any]:
    """Compare all bundle files by digest; where both are here, bundle.json without the versions of packages.

    Returns
    -------
    dict with n (files of the first run), identical, and lists of paths: different, missing, extra.
    """
    before, after = _digests(then, "bundles/"), _digests(now, "bundles/")
    different = [
        path
        for path in sorted(before.keys() & after.keys())
        if before[path] != after[path] and not _same_but_versions(then.path / path, now.path / path)
    ]
    return {
        "n": len(before),
        "identical": len(before.keys() & after.keys()) - len(different),
        "different": different,
        "missing": sorted(before.keys() - after.keys()),
        "extra": sorted(after.keys() - before.keys()),
    }


def verdict_of(tables: list[TableDifference], bundles: dict[str, Any]) -> str:
    """identical, close or different; bundles that differ under identical tables make it close."""
    found = {t.verdict for t in tables}
    if DIFFERENT in found or not tables:
        return DIFFERENT
    whole = not (bundles["different"] or bundles["missing"] or bundles["extra"])
    return IDENTICAL if found == {IDENTICAL} and whole else CLOSE


def _digests(run: RunFolder, head: str) -> dict[str, str]:
    """Digests by path: of the manifest, which also knows what is not at hand, and of files that are here."""
    recorded = {p: d for p, d in (run.manifest().get("digests") or {}).items() if p.startswith(head)}
    if recorded:
        return recorded
    return {p: d for p, d in run.digests().items() if p.startswith(head)}


def _compare_table(
    name: str, then: tuple[RunFolder, str | None], now: tuple[RunFolder, str | None], tolerance: float
) -> TableDifference:
    (before, digest_then), (after, digest_now) = then, now
    rows_then, rows_now = _n_rows(before, name), _n_rows(after, name)
    if digest_then is None or digest_now is None:
        return TableDifference(name, DIFFERENT, "new" if digest_then is None else "gone", rows_then, rows_now)
    if digest_then == digest_now:
        return TableDifference(name, IDENTICAL, "bytes", rows_now if rows_then is None else rows_then, rows_now)
    if not before.has_table(name) or not after.has_table(name):
        return TableDifference(
            name, DIFFERENT, "its digest differs; the table was not published, so that its rows can't be compared"
        )
    return compare_frames(
        name, pd.read_parquet(before.table_path(name)), pd.read_parquet(after.table_path(name)), tolerance
    )


def _n_rows(run: RunFolder, name: str) -> int | None:
    import pyarrow.parquet as pq

    return pq.read_metadata(run.table_path(name)).num_rows if run.has_table(name) else None


def _keyed(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Rows by key; equal keys are numbered in the table's order."""
    text = frame[key].astype("object").where(frame[key].notna(), "(null)").astype(str)
    place = text.groupby(key).cumcount() if key else pd.Series(range(len(frame)), index=frame.index)
    return frame.set_index(pd.MultiIndex.from_frame(text.assign(**{_PLACE: place})))


def _compare_column(
    column: str, then: pd.Series, now: pd.Series, tolerance: float
) -> tuple[ColumnDifference | None, bool]:
    """The difference, None for none, and whether it is within the tolerance."""
    nulls = then.isna().to_numpy() != now.isna().to_numpy()
    both = ~(then.isna().to_numpy() | now.isna().to_numpy())
    if not (_is_number(then) and _is_number(now)):
        unequal = nulls | (both & (then.astype("object") != now.astype("object")).to_numpy(dtype=bool, na_value=False))
        if not unequal.any():
            return None, True
        return _difference(column, then, now, unequal, nulls, int(unequal.argmax()), None, None), False
    a, b = (s.to_numpy(dtype="float64", na_value=np.nan) for s in (then, now))
    unequal = nulls | (both & (a != b))
    if not unequal.any():
        return None, True
    measured = unequal & both
    if not measured.any():
        return _difference(column, then, now, unequal, nulls, int(unequal.argmax()), None, None), False
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(measured, np.abs(a - b), 0.0)
        size = np.maximum(np.abs(a), np.abs(b))
        relative = np.where(measured, gap / size, 0.0)
        within = not nulls.any() and bool((gap[measured] <= tolerance * np.maximum(1.0, size[measured])).all())
    found = _difference(
        column, then, now, unequal, nulls, int(gap.argmax()), float(gap.max()), float(np.nanmax(relative))
    )
    return found, within and bool(np.isfinite(gap).all())


def _difference(
    column: str,
    then: pd.Series,
    now: pd.Series,
    unequal: np.ndarray,
    nulls: np.ndarray,
    worst: int,
    max_abs: float | None,
    max_rel: float | None,
) -> ColumnDifference:
    names, label = then.index.names, then.index[worst]
    key = {str(n): v for n, v in zip(names, label, strict=True) if n != _PLACE or v or len(names) == 1}
    if _PLACE in key:
        key[_PLACE] = int(key[_PLACE])
    return ColumnDifference(
        column,
        int(unequal.sum()),
        int(nulls.sum()),
        _finite(max_abs),
        _finite(max_rel),
        {**key, "then": _plain(then.iloc[worst]), "now": _plain(now.iloc[worst])},
    )


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _plain(value: Any) -> Any:
    """A cell as JSON can hold it."""
    if pd.isna(value):
        return None
    plain = value.item() if isinstance(value, np.generic) else value
    return (
        plain
        if isinstance(plain, str | bool | int) or (isinstance(plain, float) and np.isfinite(plain))
        else str(plain)
    )


def _in_words(found: ColumnDifference) -> str:
    worst = dict(found.worst)
    then, now = worst.pop("then"), worst.pop("now")
    where = ", ".join(str(v) for v in worst.values())
    by = ""
    if found.max_abs is not None:
        by = f" by at most {found.max_abs:.3g}" + (f" ({found.max_rel:.2g} of it)" if found.max_rel else "")
    rows = "1 row" if found.n_different == 1 else f"{found.n_different} rows"
    return f"{found.column} differs in {rows}{by}; {where}: {_short(then)} then, {_short(now)} now"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _same_but_versions(then: Path, now: Path) -> bool:
    """Whether two bundle.json differ only in the versions of packages that wrote them."""
    if then.name != "bundle.json" or not (then.is_file() and now.is_file()):
        return False
    if file_digest(then) == file_digest(now):
        return True
    try:
        first, second = (json.loads(p.read_text()) for p in (then, now))
    except ValueError:
        return False
    return {**first, "versions": None} == {**second, "versions": None}
