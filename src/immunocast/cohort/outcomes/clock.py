"""Times in one unit: what a month is, and when a time counts as having reached a threshold."""

from __future__ import annotations

import numpy as np

#: Days in a month, everywhere: 365.25 / 12.
DAYS_PER_MONTH = 30.4375

#: Months by which a time may fall short of a threshold and still reach it: half a unit of the second decimal to
#: which sources round months. It is 0.15 days, so a time that is known in whole days never changes sides: six months
#: are 182.6 days, 182 days (5.98 months) are less, 183 days (6.01 months) are more.
TOLERANCE_MONTHS = 0.005


def weeks[T: (float, np.ndarray)](value: T) -> T:
    """Weeks in months."""
    return value * 7 / DAYS_PER_MONTH


def days[T: (float, np.ndarray)](value: T) -> T:
    """Days in months."""
    return value / DAYS_PER_MONTH


def reaches(months: np.ndarray, threshold: float) -> np.ndarray:
    """Where a time is at least the threshold, within `TOLERANCE_MONTHS`; False where the time is unknown.

    >>> reaches(np.array([182, 182.6, 183]) / DAYS_PER_MONTH, 6).tolist()
    [False, True, True]
    """
    return months >= threshold - TOLERANCE_MONTHS


def falls_short(months: np.ndarray, threshold: float) -> np.ndarray:
    """Where a time is known and does not reach the threshold."""
    return months < threshold - TOLERANCE_MONTHS


def is_within(months: np.ndarray, threshold: float) -> np.ndarray:
    """Where a time is at most the threshold, within `TOLERANCE_MONTHS`: an event on the day of the horizon counts."""
    return months <= threshold + TOLERANCE_MONTHS


def in_words(months: float) -> str:
    """Months as a sentence has them.

    >>> in_words(6), in_words(1), in_words(7.5)
    ('6 months', '1 month', '7.5 months')
    """
    return f"{months:g} month{'' if months == 1 else 's'}"
