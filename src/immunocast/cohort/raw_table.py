"""The raw table: cells as they stand in a file, before any value is interpreted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

#: Columns without a header are called so, with their position from 1.
UNNAMED = "(no header)"


@dataclass(frozen=True)
class RawTable:
    """One table of a file, before any value is interpreted.

    Attributes
    ----------
    frame : one row a record, cells as read (text for CSV; Python numbers, text, dates or None otherwise);
        rows without any value are left out. Where a header is there twice, its first column is kept.
    rows : row numbers as a spreadsheet shows them (the header is row 1), one for each row of `frame`.
    sheet : title of the sheet, None for other files.
    duplicated : headers that are there more than once.
    uncomputed : header -> {row number: cell, e.g. "C7"} of formulas without a stored result.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    sheet: str | None = None
    duplicated: frozenset[str] = frozenset()
    uncomputed: dict[str, dict[int, str]] = field(default_factory=dict)

    def positions(self, rows: Sequence[int]) -> np.ndarray:
        """Positions in `frame` of row numbers."""
        return np.flatnonzero(np.isin(self.rows, rows))


def make_raw_table(
    columns: Sequence[pd.Series],
    names: Sequence[str],
    rows: Sequence[int],
    sheet: str | None = None,
    uncomputed: dict[str, dict[int, str]] | None = None,
) -> RawTable:
    """Bring columns and headers together."""
    plain = [str(name).strip() or f"{UNNAMED} {i}" for i, name in enumerate(names, start=1)]
    kept: dict[str, pd.Series] = {}
    for name, column in zip(plain, columns, strict=False):
        kept.setdefault(name, column)
    duplicated = frozenset(name for name, n in Counter(plain).items() if n > 1)
    frame = pd.DataFrame(kept, columns=pd.Index(list(dict.fromkeys(plain)), dtype="str"))
    return RawTable(frame, np.asarray(rows, dtype="int64"), sheet, duplicated, uncomputed or {})
