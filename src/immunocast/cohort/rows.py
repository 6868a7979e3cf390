"""Row filters of a mapping: rows that are not read, counted with their reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from immunocast.cohort.checks import finding as check
from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.mapping_types import RowFilter
from immunocast.cohort.raw_table import RawTable
from immunocast.cohort.values import cell_text
from immunocast.errors import Problem


def filter_rows(
    raw: RawTable, filters: Sequence[RowFilter], file: str, cohort_id: str
) -> tuple[RawTable, list[Problem], list[dict[str, Any]]]:
    """Leave out the rows that the mapping's `rows` do not want, one filter after the other.

    Parameters
    ----------
    raw : the table as read.
    filters : of the mapping; cells are compared as text, case does not count where nothing else fits.
    file, cohort_id : for messages.

    Returns
    -------
    The table without those rows; problems (a column or a wanted cell that is not there, no row left); and a check
    for each filter with the rows that it left out: IC-FILE-005.
    """
    problems, checks, whole = [], [], raw.frame
    for chosen in filters:
        if chosen.column not in raw.frame.columns:
            headers = [str(c) for c in raw.frame.columns]
            hint = did_you_mean(chosen.column, headers) or f"Columns there: {', '.join(headers[:12])}."
            problems.append(Problem("there is no such column (wanted by `rows`)", hint, file, raw.sheet, chosen.column))
            continue
        cells = [cell_text(cell) for cell in raw.frame[chosen.column]]
        there = list(dict.fromkeys(cell_text(cell) for cell in whole[chosen.column]))
        hit = np.zeros(len(cells), dtype=bool)
        for codes in chosen.codes:
            this = np.array([c in codes or c.casefold() in codes for c in cells], dtype=bool)
            if chosen.keep and not any(c in codes or c.casefold() in codes for c in there):
                wanted = " or ".join(sorted(map(repr, codes)))
                mend = f"Cells there: {', '.join(map(repr, there[:8]))}. Correct `rows.keep`"
                problems.append(Problem(f"no row has {wanted}", mend, file, raw.sheet, chosen.column))
            hit |= this
        out = ~hit if chosen.keep else hit
        message = f"{int(out.sum())} rows are not read, by {chosen.column}: {chosen.because}"
        checks.append(check("IC-FILE-005", "info", message, cohort_id=cohort_id, n=int(out.sum())))
        frame = raw.frame[~out].reset_index(drop=True)
        raw = replace(raw, frame=frame, rows=raw.rows[~out])
    if filters and not problems and raw.frame.empty:
        problems.append(Problem("the mapping's `rows` leave no row", "Correct them", file, raw.sheet))
    return raw, problems, checks
