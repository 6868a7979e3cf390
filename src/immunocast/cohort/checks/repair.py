"""Found-imputed values become missing, with a measured-flag. No outcome is looked at (ADR 15)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.checks.constants import Imputed
from immunocast.cohort.table import to_cohort_table
from immunocast.cohort.vocabulary import MEASURED_SUFFIX

Found = tuple[str, pd.Index, Imputed]  # cohort id, index labels of the part's rows, what was found


def set_missing(
    cohort: pd.DataFrame, imputed: Iterable[Found], findings: list[dict[str, Any]]
) -> tuple[pd.DataFrame, list[dict[str, Any]], int]:
    """Set imputed values to missing where their finding is not waived.

    Parameters
    ----------
    cohort : cohort table.
    imputed : what `checks.imputed_in` found.
    findings : all findings, waivers applied.

    Returns
    -------
    cohort : a new table; `<column>_measured` is 0 for values that were removed, 1 for those that stayed, <NA> where
        nothing was known.
    findings : the same, each message of a repaired finding ends with what was done.
    n : number of values that were removed.
    """
    standing = {_key(f): f["waived_because"] is None for f in findings}
    done: dict[tuple[Any, ...], int] = {}
    removed: dict[str, np.ndarray] = {}
    places = pd.Series(np.arange(len(cohort)), index=cohort.index)
    for cohort_id, index, found in imputed:
        key = (found.code, cohort_id, found.column)
        if standing.get(key):
            gone = removed.setdefault(found.column, np.zeros(len(cohort), dtype=bool))
            gone[places[index[found.mask]].to_numpy()] = True
            done[key] = int(found.mask.sum())
    if not removed:
        return cohort, findings, 0
    cohort = cohort.copy()
    for column, gone in removed.items():
        flag = column + MEASURED_SUFFIX
        before = cohort[flag] if flag in cohort else pd.Series(pd.NA, index=cohort.index, dtype="Int64")
        measured = before.mask(cohort[column].notna() & before.isna(), 1)
        cohort[flag] = measured.mask(pd.Series(gone, index=cohort.index), 0).astype("Int64")
        cohort[column] = cohort[column].mask(pd.Series(gone, index=cohort.index))
    told = [
        {**f, "message": f"{f['message']} The {done[_key(f)]} values were set to missing."} if _key(f) in done else f
        for f in findings
    ]
    return to_cohort_table(cohort), told, int(sum(mask.sum() for mask in removed.values()))


def _key(found: Mapping[str, Any]) -> tuple[Any, ...]:
    return found["code"], found["cohort_id"], found["column"]
