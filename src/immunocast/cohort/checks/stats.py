"""The statistics that the checks use: all vectorised, all independent of the order of rows."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata

#: Smallest group (events, non-events, patients of a site) about which a rate is compared.
MIN_CLASS = 10


def auroc(values: np.ndarray, label: np.ndarray) -> float:
    """AUROC of `values` for a 0/1 label, not folded; .5 where a class is empty."""
    events = int(label.sum())
    others = len(label) - events
    if min(events, others) == 0:
        return 0.5
    ranks = rankdata(values)
    return float((ranks[label == 1].sum() - events * (events + 1) / 2) / (events * others))


def auroc_se(area: float, events: int, others: int) -> float:
    """Standard error of an AUROC by Hanley and McNeil (Radiology 1982;143:29)."""
    a = max(area, 1 - area)
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    variance = a * (1 - a) + (events - 1) * (q1 - a**2) + (others - 1) * (q2 - a**2)
    return float(np.sqrt(max(variance, 1e-12) / (events * others)))


def difference_z(events_a: int, n_a: int, events_b: int, n_b: int) -> float:
    """Signed z of rate a minus rate b (pooled, half an event added on each side); 0 without patients."""
    if min(n_a, n_b) == 0:
        return 0.0
    pooled = (events_a + events_b + 1) / (n_a + n_b + 2)
    return float((events_a / n_a - events_b / n_b) / np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b)))


def stratified_z(first: np.ndarray, second: np.ndarray, strata: np.ndarray) -> tuple[float, float]:
    """Cochran-Mantel-Haenszel test of two 0/1 variables within strata.

    Returns
    -------
    z : signed root of the CMH statistic, 0 where no stratum tells anything.
    difference : mean difference of P(second = 1) between first = 1 and first = 0, Mantel-Haenszel weights.
    """
    _, code = np.unique(strata, return_inverse=True)
    n = np.bincount(code).astype(float)
    a1 = np.bincount(code, weights=first)
    b1 = np.bincount(code, weights=second)
    both = np.bincount(code, weights=first * second)
    use = (n > 1) & (a1 > 0) & (a1 < n)
    if not use.any():
        return 0.0, 0.0
    n, a1, b1, both = n[use], a1[use], b1[use], both[use]
    variance = (a1 * (n - a1) * b1 * (n - b1) / (n**2 * (n - 1))).sum()
    if variance <= 0:
        return 0.0, 0.0
    z = (both - a1 * b1 / n).sum() / np.sqrt(variance)
    weight = a1 * (n - a1) / n
    difference = (weight * (both / a1 - (b1 - both) / (n - a1))).sum() / weight.sum()
    return float(z), float(difference)


def two_sided(z: float) -> float:
    """Two-sided p of a standard normal deviate."""
    return float(2 * norm.sf(abs(z)))


def decimals(values: np.ndarray, most: int = 6) -> np.ndarray:
    """Number of decimals with which each value is written, at most `most`.

    >>> decimals(np.array([6.0, 6.2, 0.125]))
    array([0, 1, 3])
    """
    found = np.full(len(values), most)
    for d in range(most - 1, -1, -1):
        scaled = values * 10.0**d
        found[np.abs(scaled - np.rint(scaled)) < 1e-6 * np.maximum(1.0, np.abs(scaled) * 1e-6)] = d
    return found
