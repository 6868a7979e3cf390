"""Labels of one endpoint, the cohort's columns as rules read them, and labels in the making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Labels:
    """Labels of one endpoint.

    Attributes
    ----------
    endpoint : its name.
    y : (n,) Int64, 1 where the patient has the event, <NA> where unclassifiable.
    excluded_because : (n,) str, why a patient is unclassifiable, null where y is known: each has one of the two.
    time_months : (n,) float64, time to the event or to censoring, NaN where unknown or where the patient is not of
        the endpoint's population; None for endpoints that are no time-to-event. It is known also for patients who
        were censored before the horizon, whom the binary form leaves out.
    event : (n,) Int64, 1 where `time_months` ends with the event; None as above.
    flags : what is to be told of single patients -> (n,) bool, e.g. whose exposure was taken from PFS.
    of_arms : (n,) bool, whether the patient is of the arms that the endpoint is about; None for everybody.
    """

    endpoint: str
    y: pd.Series
    excluded_because: pd.Series
    time_months: pd.Series | None = None
    event: pd.Series | None = None
    flags: dict[str, pd.Series] = field(default_factory=dict)
    of_arms: pd.Series | None = None

    @property
    def reasons(self) -> dict[str, int]:
        """Why patients were left out -> how many, the most frequent first."""
        counts = self.excluded_because.value_counts()
        return {str(k): int(v) for k, v in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))}


class Columns:
    """The outcome columns of a cohort table as plain arrays; a column that is absent reads as unknown."""

    def __init__(self, cohort: pd.DataFrame):
        self.cohort = cohort

    def number(self, name: str) -> np.ndarray:
        """(n,) float64 with NaN; flags read as 0 and 1."""
        if name not in self.cohort:
            return np.full(len(self.cohort), np.nan)
        return self.cohort[name].to_numpy(dtype="float64", na_value=np.nan)

    def text(self, name: str) -> np.ndarray:
        """(n,) str, "" where unknown."""
        if name not in self.cohort:
            return np.full(len(self.cohort), "", dtype=object)
        return self.cohort[name].fillna("").to_numpy(dtype=object)

    def absent(self, names: Sequence[str]) -> np.ndarray:
        """(n,) bool, whether the patient's cohort has no value of any of the columns: its source lacks them."""
        there = np.zeros(len(self.cohort), dtype=bool)
        for name in names:
            if name in self.cohort:
                there |= self.cohort[name].notna().to_numpy()
        known = pd.Series(there).groupby(self.cohort["cohort_id"].to_numpy()).transform("any")
        return ~known.to_numpy(dtype=bool)

    def ids(self, rows: np.ndarray) -> list[str]:
        """Patient ids of the rows."""
        return [str(p) for p in self.cohort.loc[rows, "patient_id"]]


class Draft:
    """Labels in the making: what is settled first stays, so nobody gets a label and a reason, or two reasons.

    Attributes
    ----------
    open : (n,) bool, patients who are not settled yet.
    """

    def __init__(self, columns: Columns):
        n = len(columns.cohort)
        self._columns = columns
        self._y = np.full(n, np.nan)
        self._why = np.full(n, None, dtype=object)
        self._flags: dict[str, np.ndarray] = {}
        self.open = np.ones(n, dtype=bool)

    def decide(self, rows: np.ndarray, value: int | np.ndarray) -> None:
        """Label those of the rows that are open."""
        rows = rows & self.open
        self._y[rows] = value[rows] if isinstance(value, np.ndarray) else value
        self.open &= ~rows

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        """Give those of the rows that are open a reason."""
        rows = rows & self.open
        self._why[rows] = reason
        self.open &= ~rows

    def leave_out_unknown(self, rows: np.ndarray, names: Sequence[str], what: str) -> None:
        """Leave out for want of a value, saying where the source has no such column at all."""
        absent = self._columns.absent(names)
        self.leave_out(rows & absent, f"the source has no column {' or '.join(names)}")
        self.leave_out(rows, f"{what} unknown")

    def leave_out_as(self, other: Draft) -> None:
        """Leave out whom another draft left out, with its reasons."""
        rows = self.open & ~other.open & np.isnan(other._y)
        self._why[rows] = other._why[rows]
        self.open &= ~rows

    def decided(self, value: int) -> np.ndarray:
        """(n,) bool, patients with this label."""
        return self._y == value

    def flag(self, rows: np.ndarray, words: str) -> None:
        """Tell something of the rows; flags do not change labels."""
        self._flags[words] = rows | self._flags.get(words, np.zeros(len(rows), dtype=bool))

    def take_flags(self, other: Draft) -> None:
        """Tell what another draft tells."""
        for words, rows in other._flags.items():
            self.flag(rows, words)

    def labels(
        self, endpoint: str, of_arms: np.ndarray, time: np.ndarray | None = None, event: np.ndarray | None = None
    ) -> Labels:
        """The finished labels.

        Parameters
        ----------
        endpoint : its name.
        of_arms : (n,) bool, patients of the endpoint's arms; flags are told of them only.
        time, event : (n,) time to event, both NaN where unknown; None for other endpoints.
        """
        assert not self.open.any(), f"{endpoint}: a rule left {int(self.open.sum())} patients unsettled"
        index = self._columns.cohort.index
        found = {words: rows & of_arms for words, rows in self._flags.items()}
        return Labels(
            endpoint=endpoint,
            y=pd.Series(self._y, index=index).astype("Int64"),
            excluded_because=pd.Series(self._why, index=index, dtype="str"),
            of_arms=pd.Series(of_arms, index=index),
            time_months=None if time is None else pd.Series(time, index=index),
            event=None if event is None else pd.Series(event, index=index).astype("Int64"),
            flags={words: pd.Series(rows, index=index) for words, rows in found.items() if rows.any()},
        )
