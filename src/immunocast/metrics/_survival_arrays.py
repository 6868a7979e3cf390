"""What every survival metric accepts: times, events and a score, checked once and in the same words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from immunocast.errors import DataError, Problem
from immunocast.metrics._arrays import FloatArray

BoolArray = npt.NDArray[np.bool_]


def check_survival(time: Any, event: Any) -> tuple[FloatArray, BoolArray]:
    """Times as floats and events as booleans, (n,) each.

    Raises
    ------
    DataError
        Where they are empty or differ in length, a time is missing, negative or infinite, or an event is neither 0
        nor 1.
    """
    t, e = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=np.float64)
    if t.ndim != 1 or t.size == 0 or e.shape != t.shape:
        raise DataError(
            Problem(f"time has shape {t.shape}, event {e.shape}", "Give one time and one event a patient, at least 1.")
        )
    bad = ~((t >= 0) & np.isfinite(t))
    if bad.any():
        raise DataError(
            Problem("time holds values that are no times", "Leave out patients without one.", value=str(t[bad][0]))
        )
    bad = ~((e == 0) | (e == 1))
    if bad.any():
        raise DataError(
            Problem("event holds something else than 0 and 1", "Leave out who has none.", value=str(e[bad][0]))
        )
    return t, e == 1


def check_scores(values: Any, n: int, name: str = "risk") -> FloatArray:
    """A score a patient, (n,), finite.

    Raises
    ------
    DataError
        Where the length differs or a value is missing or infinite.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (n,):
        raise DataError(Problem(f"{name} has shape {found.shape}, there are {n} times", "Give one value a patient."))
    if not np.isfinite(found).all():
        raise DataError(Problem(f"{name} holds values that are not finite", "Leave out who has none.", column=name))
    return found
