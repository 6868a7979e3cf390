"""What the reader tells of cells that it interpreted and of columns that it derived, as rows of the checks table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.checks import finding as check
from immunocast.cohort.derive import Rule
from immunocast.cohort.values import Reading


def tell_readings(readings: Sequence[Reading], name: str, cohort_id: str) -> list[dict[str, Any]]:
    """IC-FILE-006 for built-in spellings, IC-FILE-008 for marks cut off and cells beyond an assay's range."""
    checks = []
    spelled = [r for r in readings if r.how == "spelled"]
    if spelled:
        message = f"{name}: read by built-in spellings: {_listed(spelled)}"
        checks.append(_info("IC-FILE-006", message, name, cohort_id, sum(r.n for r in spelled)))
    says = {
        "stripped": "a mark was cut off",
        "below": "below the range of the assay",
        "above": "above the range of the assay",
    }
    for how, what in says.items():
        chosen = [r for r in readings if r.how == how]
        if chosen:
            n = sum(r.n for r in chosen)
            message = f"{name}: {what} in {n} cells: {_listed(chosen)}"
            checks.append(_info("IC-FILE-008", message, name, cohort_id, n))
    return checks


def tell_derived(
    name: str,
    rule: Rule,
    inputs: Sequence[tuple[str, str, pd.Series]],
    values: pd.Series,
    undefined: Mapping[str, np.ndarray],
    cohort_id: str,
) -> dict[str, Any]:
    """IC-FILE-007: how many values a rule gave, and why others are missing.

    Parameters
    ----------
    name : the column.
    rule : of `cohort.derive`.
    inputs : name, header and values of each input.
    values : what came out.
    undefined : for whom known inputs gave nothing, by reason.
    cohort_id : for the row of the checks table.
    """
    lacking = [f"{int(v.isna().sum())} without {n} ({origin})" for n, origin, v in inputs if v.isna().any()]
    if rule.one_known:
        lacking = []
    lacking += [f"{int(mask.sum())} where {reason}" for reason, mask in undefined.items()]
    from_ = ", ".join(dict.fromkeys(origin for _, origin, _ in inputs))
    missing = int(values.isna().sum())
    message = f"{name} is derived by {rule.name} from {from_} for {int(values.notna().sum())} patients"
    if missing:
        message += f", missing for {missing}" + (f": {'; '.join(lacking)}" if lacking else "")
    return _info("IC-FILE-007", message, name, cohort_id, missing)


def _listed(readings: Sequence[Reading]) -> str:
    """The first cells with what they were read as.

    >>> _listed([Reading("spelled", "POD", "PD", 92)])
    "'POD' as PD (92)"
    """
    most = sorted(readings, key=lambda r: -r.n)
    shown = ", ".join(f"{r.text!r} as {'missing' if r.value is None else r.value} ({r.n})" for r in most[:8])
    return shown + (f" and {len(most) - 8} more" if len(most) > 8 else "")


def _info(code: str, message: str, name: str, cohort_id: str, n: int) -> dict[str, Any]:
    return check(code, "info", message, cohort_id=cohort_id, column=name, n=n)
