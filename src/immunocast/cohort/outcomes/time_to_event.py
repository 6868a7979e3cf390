"""Times to event as models take them: one type and one way to make it, so that time and event are never swapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunocast.cohort.outcomes.labels import Columns
from immunocast.errors import ConfigError, DataError, Problem

#: Outcomes that are times to event, and the columns that hold them.
TIMES_TO_EVENT = {"os": ("os_months", "os_event"), "pfs": ("pfs_months", "pfs_event")}


@dataclass(frozen=True)
class Survival:
    """Times to event of some patients; both are NaN where either is unknown.

    Attributes
    ----------
    time_months : (n,) float64, months to the event or to censoring, 0 or more.
    event : (n,) float64, 1 where the time ends with the event, 0 where the patient was censored.

    Raises
    ------
    DataError
        For lengths that differ, an event other than 0 and 1, a negative or an infinite time.
    """

    time_months: np.ndarray
    event: np.ndarray

    def __post_init__(self) -> None:
        time, event = (np.array(values, dtype=float) for values in (self.time_months, self.event))
        if time.ndim != 1 or time.shape != event.shape:
            raise DataError(
                Problem(f"{time.shape} times stand beside {event.shape} events", "Give one of each a patient.")
            )
        unknown = np.isnan(time) | np.isnan(event)
        time[unknown] = event[unknown] = np.nan
        if not np.isin(event[~unknown], (0, 1)).all():
            raise DataError(Problem("an event is neither 0 nor 1", "Code 1 for the event and 0 for censoring."))
        if (time[~unknown] < 0).any() or np.isinf(time[~unknown]).any():
            raise DataError(Problem("a time to event is negative or infinite", "Count months from treatment start."))
        object.__setattr__(self, "time_months", time)
        object.__setattr__(self, "event", event)

    def __len__(self) -> int:
        return len(self.time_months)

    @property
    def known(self) -> np.ndarray:
        """(n,) bool, patients whose time and event are known."""
        return ~np.isnan(self.time_months)

    def take(self, rows: np.ndarray) -> Survival:
        """Those of the rows, by position or by a mask."""
        return Survival(self.time_months[rows], self.event[rows])


def survival_of(cohort: pd.DataFrame, outcome: str) -> Survival:
    """Times to event of every patient of a cohort table.

    Parameters
    ----------
    cohort : cohort table; a column that it lacks reads as unknown.
    outcome : "os" or "pfs".

    Raises
    ------
    ConfigError
        For another outcome.
    DataError
        Where a value is no time, or no event flag.
    """
    if outcome not in TIMES_TO_EVENT:
        raise ConfigError(f"{outcome!r} is no time to event; known: {', '.join(TIMES_TO_EVENT)}.")
    columns = Columns(cohort)
    time, event = TIMES_TO_EVENT[outcome]
    return Survival(time_months=columns.number(time), event=columns.number(event))
