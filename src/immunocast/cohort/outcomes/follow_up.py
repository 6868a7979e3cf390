"""Median follow-up by the reverse Kaplan-Meier method."""

from __future__ import annotations

import numpy as np


def median_follow_up(time: np.ndarray, event: np.ndarray) -> float | None:
    """Median time to censoring, had nobody had the event: Kaplan-Meier with event and censoring exchanged.

    Parameters
    ----------
    time : (n,) months; patients with an unknown time or event are left out.
    event : (n,) 1 with the event, 0 censored, NaN unknown.

    Returns
    -------
    Months, or None where the curve does not come down to one half (too few censored patients).

    Notes
    -----
    Source: Schemper and Smith, Controlled Clinical Trials 1996. At equal times patients with the event still count as
    at risk of being censored, as R's survfit(Surv(time, 1 - event) ~ 1) has it.

    >>> median_follow_up(np.array([1.0, 2, 3, 4]), np.array([0, 1, 0, 0]))
    3.0
    """
    known = ~np.isnan(time) & ~np.isnan(event)
    time, censored = time[known], event[known] == 0
    at, first = np.unique(np.sort(time), return_index=True)
    at_risk = len(time) - first
    gone = np.bincount(np.searchsorted(at, time[censored]), minlength=len(at))
    # 1e-9: one half is reached also where the product is rounded above it
    below = np.flatnonzero(np.cumprod(1 - gone / at_risk) <= 0.5 + 1e-9) if len(at) else np.array([], dtype=int)
    return float(at[below[0]]) if len(below) else None
