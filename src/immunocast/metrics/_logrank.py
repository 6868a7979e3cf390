"""The log-rank test: do groups differ in survival?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from immunocast.errors import DataError, Problem
from immunocast.metrics._survival_arrays import check_survival


@dataclass(frozen=True)
class LogRank:
    """A log-rank test: chi-squared statistic, its degrees of freedom, and p (NaN where nothing can be compared)."""

    statistic: float
    df: int
    p: float


def logrank(time: Any, event: Any, group: Any, *, strata: Any = None) -> LogRank:
    """Log-rank test of two groups or more, within strata where given.

    Observed minus expected events and their hypergeometric covariance are summed over distinct event times and
    strata (Mantel 1966; Peto and Peto 1972), as R's survdiff(rho = 0) has it.

    Parameters
    ----------
    time, event : (n,) as for `kaplan_meier`.
    group : (n,) group of each patient.
    strata : (n,) e.g. cohorts; None for one stratum.

    Returns
    -------
    LogRank

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    t, e = check_survival(time, event)
    names, g = np.unique(np.asarray(group).astype(str), return_inverse=True)
    labels = np.asarray(["all"] * len(t) if strata is None else strata).astype(str)
    if g.shape != t.shape or labels.shape != t.shape:
        raise DataError(Problem("group or strata do not have one value a patient", "Give one a patient."))
    k = len(names)
    gap, covariance = np.zeros(k), np.zeros((k, k))
    for stratum in np.unique(labels):
        rows = labels == stratum
        part_gap, part_covariance = _one_stratum(t[rows], e[rows], g[rows], k)
        gap += part_gap
        covariance += part_covariance
    # groups that never share a risk set add nothing: the rank counts those that do
    rank = int(np.linalg.matrix_rank(covariance, tol=1e-9 * max(1.0, float(np.trace(covariance)))))
    if rank == 0:
        return LogRank(float("nan"), 0, float("nan"))
    statistic = float(gap @ np.linalg.pinv(covariance, rcond=1e-10, hermitian=True) @ gap)
    return LogRank(statistic, rank, float(chi2.sf(statistic, rank)))


def _one_stratum(t: np.ndarray, e: np.ndarray, g: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    at, place = np.unique(t, return_inverse=True)
    here, events = np.zeros((len(at), k)), np.zeros((len(at), k))
    np.add.at(here, (place, g), 1)
    np.add.at(events, (place, g), e)
    at_risk = here[::-1].cumsum(axis=0)[::-1]
    n, d = at_risk.sum(axis=1), events.sum(axis=1)
    share = at_risk / n[:, None]
    gap = (events - d[:, None] * share).sum(axis=0)
    factor = d * np.divide(n - d, n - 1, out=np.zeros(len(n)), where=n > 1)
    covariance = np.diag((factor[:, None] * share).sum(axis=0)) - np.einsum("t,ti,tj->ij", factor, share, share)
    return gap, covariance
