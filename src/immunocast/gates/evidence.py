"""What the gates look at: a model of a run folder, and the champion that it would follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunocast.store.runfolder import RunFolder


@dataclass(frozen=True)
class Champion:
    """The present champion.

    Attributes
    ----------
    title : how to call it, e.g. "immunocast-ridge version 2".
    model : its name in its run.
    run : its run folder; None where it can't be had.
    absent : why there is no folder.
    """

    title: str
    model: str
    run: RunFolder | None
    absent: str = ""


@dataclass(frozen=True)
class Evidence:
    """A candidate.

    Attributes
    ----------
    run : its run folder.
    model : its name in the run.
    champion : the present champion, None where there is none yet.
    """

    run: RunFolder
    model: str
    champion: Champion | None = None

    def rows(self, table: str, **where: Any) -> pd.DataFrame:
        """Rows of a table under the run's validation scheme; none where the run lacks the table."""
        if not self.run.has_table(table):
            return pd.DataFrame()
        found = self.run.table(table)
        scheme = self.run.manifest().get("scheme")
        if scheme is not None:
            where = {"scheme": scheme, **where}
        for column, value in where.items():
            found = found[found[column] == value]
        return found

    def estimate(self, metric: str) -> dict[str, Any] | None:
        """The model's own estimate over all cohorts and patients, None where the run has none."""
        found = self.rows(
            "metrics",
            metric=metric,
            model=self.model,
            recalibration="none",
            cohort_id="combined",
            subgroup="all",
        )
        return None if found.empty else {str(k): v for k, v in found.iloc[0].items()}


def known(value: Any) -> bool:
    """Whether a cell holds a number."""
    return value is not None and bool(pd.notna(value))


def interval(row: dict[str, Any], column: str = "estimate", digits: int = 3, sign: str = "") -> str:
    """An estimate with its 95 % interval.

    >>> interval({"estimate": 0.7123, "ci_low": 0.65, "ci_high": None})
    '0.712 (no interval)'
    """
    value = f"{row[column]:{sign}.{digits}f}"
    if not (known(row["ci_low"]) and known(row["ci_high"])):
        return f"{value} (no interval)"
    return f"{value} ({row['ci_low']:{sign}.{digits}f} to {row['ci_high']:{sign}.{digits}f})"
