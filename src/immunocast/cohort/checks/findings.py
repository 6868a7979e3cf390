"""Findings: rows of the checks table, and what the families of checks share to make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.checks.registry import CHECKS
from immunocast.errors import CheckError

CHECK_COLUMNS = ("code", "severity", "cohort_id", "column", "n", "rows", "message", "waived_because")
MAX_ROWS = 20


def finding(
    code: str,
    severity: str,
    message: str,
    *,
    cohort_id: str | None = None,
    column: str | None = None,
    n: int = 0,
    rows: Iterable[str] = (),
) -> dict[str, Any]:
    """One row of the checks table; at most 20 patient ids are kept."""
    return {
        "code": code,
        "severity": severity,
        "cohort_id": cohort_id,
        "column": column,
        "n": int(n),
        "rows": ";".join(list(rows)[:MAX_ROWS]),
        "message": message,
        "waived_because": None,
    }


@dataclass(frozen=True)
class Part:
    """One cohort of the table, as the families of checks see it.

    Attributes
    ----------
    cohort_id : its id.
    frame : its rows of the cohort table, sorted by patient id (so that no finding depends on the file's order).
    y : labels of the endpoint, aligned with `frame`, <NA> where unclassifiable.
    response : 1 for CR/PR, 0 for SD/PD by `bor` or `responder`, NaN where unknown; whatever the endpoint is.
    features : columns that are checked, present in `frame` and known in some patient.
    unmapped : the source's other columns, aligned with `frame`.
    sources : vocabulary name -> header in the source, where the reader told.
    spelled : columns that the source spells in words which name the status, like DECEASED.
    """

    cohort_id: str
    frame: pd.DataFrame
    y: pd.Series
    response: np.ndarray
    features: tuple[str, ...]
    unmapped: pd.DataFrame = field(default_factory=pd.DataFrame)
    sources: Mapping[str, str] = field(default_factory=dict)
    spelled: frozenset[str] = frozenset()

    def number(self, column: str) -> np.ndarray:
        """(n,) float values of a column, NaN where unknown or absent."""
        if column not in self.frame:
            return np.full(len(self.frame), np.nan)
        return as_floats(self.frame[column])

    def text(self, column: str) -> pd.Series:
        """(n,) values of a column as they are, missing where the column is absent."""
        if column in self.frame:
            return self.frame[column]
        return pd.Series(None, index=self.frame.index, dtype="str")

    def only_response(self) -> str | None:
        """The best response that everybody has (20 patients or more, NE apart), None where they differ."""
        known = self.text("bor").dropna()
        known = known[known != "NE"]
        return str(known.iloc[0]) if len(known) >= 20 and known.nunique() == 1 else None

    def with_pd(self) -> np.ndarray:
        """(n,) patients with PD as best response; nobody where everybody has it: such a column tells nothing."""
        if self.only_response() is not None:
            return np.zeros(len(self.frame), dtype=bool)
        return (self.text("bor") == "PD").to_numpy(dtype=bool, na_value=False)

    def found(
        self,
        code: str,
        message: str,
        column: str | None = None,
        *,
        mask: np.ndarray | None = None,
        n: int | None = None,
    ) -> dict[str, Any]:
        """A finding of this cohort; `mask` tells the rows concerned."""
        ids = [] if mask is None else self.frame["patient_id"].to_numpy()[mask][:MAX_ROWS]
        count = int(mask.sum()) if n is None and mask is not None else int(n or 0)
        severity = CHECKS[code].severity
        return finding(
            code, severity, message, cohort_id=self.cohort_id, column=column, n=count, rows=[str(i) for i in ids]
        )


def as_floats(values: pd.Series) -> np.ndarray:
    """(n,) float64 with NaN for what is missing, infinite, or too large for its square to be a number."""
    if values.dtype == np.float64:  # most columns, asked for many times
        numbers = values.to_numpy()
    else:
        numbers = pd.to_numeric(values, errors="coerce").astype("Float64").to_numpy("float64", na_value=np.nan)
    return np.where(np.abs(numbers) < 1e100, numbers, np.nan)


def to_checks_table(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Findings as a frame with the columns of the checks table, also when there are none."""
    return pd.DataFrame([dict(row) for row in found], columns=list(CHECK_COLUMNS)).astype(
        {"n": "int64", **{c: "str" for c in CHECK_COLUMNS if c != "n"}}
    )


def raise_on_errors(checks: pd.DataFrame) -> None:
    """Stop where a finding of severity `error` is not waived.

    Raises
    ------
    CheckError
        With every such finding and how to waive it.
    """
    errors = checks[(checks["severity"] == "error") & checks["waived_because"].isna()]
    if errors.empty:
        return
    lines = [
        f"  - {r['code']} {'' if pd.isna(r['cohort_id']) else r['cohort_id'] + ': '}{r['message']}"
        for r in errors.to_dict("records")
    ]
    code = errors["code"].iloc[0]
    raise CheckError(
        "Stopped by quality checks:\n"
        + "\n".join(lines)
        + f"\nMend the data, or go on with a stated reason: +checks.waive.{code}='why this is no leak'"
    )
