"""Atoms: exact values that more patients share than the distribution around them can explain.

For a value v with k patients the number to be expected is the local density of all other values times the
resolution of the column (its decimals), times the column's own habit of heaping: rounding, digit preference and the
lattice of counts over a panel size make *many* values heavier than their surroundings, an imputed constant makes
few. The habit is the fourth largest ratio of observed (lower 95 % limit) to expected over all other values, so
up to three imputed constants can't hide each other. Poisson tail, corrected for the number of distinct values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, poisson

from immunocast.cohort.checks.stats import decimals

ALPHA = 1e-3
MIN_ROWS = 5
MIN_SHARE = 0.02
MIN_RATIO = 1.3
MIN_DISTINCT = 15
MAX_CANDIDATES = 30
_MASKED = 3


@dataclass(frozen=True)
class Atom:
    """A value that too many patients share.

    Attributes
    ----------
    value : the value.
    n : patients with it.
    expected : patients that the distribution explains.
    at : "inside", or "top" or "bottom" where it is the largest or smallest value of the column.
    """

    value: float
    n: int
    expected: float
    at: str


def find_atoms(values: np.ndarray) -> list[Atom]:
    """Atoms of one column.

    Parameters
    ----------
    values : (n,) known values, in any order.

    Returns
    -------
    Atoms, the heaviest first; none where the column has fewer than `MIN_DISTINCT` distinct values (classes, bins).
    """
    levels, counts = np.unique(values, return_counts=True)
    n = len(values)
    if len(levels) < MIN_DISTINCT or n < 20:
        return []
    enough = np.flatnonzero(counts >= max(MIN_ROWS, MIN_SHARE * n))
    heavy = enough[np.argsort(-counts[enough], kind="stable")][:MAX_CANDIDATES]
    if not len(heavy):
        return []
    step = _step(levels, counts)
    found = []
    for place in heavy:
        k = int(counts[place])
        others = np.delete(levels, place), np.delete(counts, place), np.delete(step, place)
        expected = _expected(float(levels[place]), float(step[place]), *others)
        p = poisson.sf(k - 1, expected) * len(levels)
        if p < ALPHA and k - expected >= max(MIN_ROWS, MIN_SHARE * n) and k >= MIN_RATIO * expected:
            at = "bottom" if place == 0 else "top" if place == len(levels) - 1 else "inside"
            found.append(Atom(float(levels[place]), k, expected, at))
    return found


def _step(levels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(levels,) resolution of each value: the column's own, finer where the value itself is finer."""
    d = decimals(levels)
    share = np.array([counts[d <= most].sum() for most in range(7)]) / counts.sum()
    usual = int(np.argmax(share >= 0.9))
    return 10.0 ** -np.maximum(d, usual)


def _expected(value: float, step: float, levels: np.ndarray, counts: np.ndarray, steps: np.ndarray) -> float:
    """Patients to be expected at `value`, from all other values."""
    rows = int(counts.sum())
    half = max(10, rows // 20)
    below = np.concatenate([[0], np.cumsum(counts)])  # patients below each level

    def density(at: np.ndarray) -> np.ndarray:
        """Patients per unit around each place, over the `half` nearest on each side."""
        rank = below[np.searchsorted(levels, at)]
        low = np.searchsorted(below[1:], np.maximum(rank - half, 0), side="right")
        high = np.searchsorted(below[1:], np.minimum(rank + half, rows - 1), side="right")
        inside = below[high + 1] - below[low]
        return inside / (levels[high] - levels[low] + step)

    natural = density(levels) * steps
    inner = counts[1:-1] if len(levels) > 2 else counts
    at_least = chi2.ppf(0.05, 2 * inner) / 2
    ratio = np.sort(at_least / natural[1:-1] if len(levels) > 2 else at_least / natural)
    habit = max(1.0, float(ratio[-1 - _MASKED]) if len(ratio) > _MASKED else 1.0)
    return float(density(np.array([value]))[0] * step * habit)


def repeated_fine_values(values: np.ndarray) -> np.ndarray:
    """Values with far more decimals than the rest that several patients share: the mark of imputed means.

    Parameters
    ----------
    values : (n,) known values.

    Returns
    -------
    The distinct values; none where the column has no coarse grid (measured to at most three decimals by nine
    patients in ten or, where imputed ones are many, by half), or where the fine values lie on a lattice of
    their own (counts divided by a panel size).
    """
    if len(values) < 20:
        return np.array([])
    d = decimals(values)
    usual = next((k for k in range(4) if (d <= k).mean() >= 0.5), None)
    if usual is None:
        return np.array([])
    fine, counts = np.unique(values[d >= usual + 2], return_counts=True)
    tied = fine[counts >= 3]
    if not len(tied) or len(tied) > 40 or counts[counts >= 3].sum() < MIN_ROWS:
        return np.array([])
    # next to imputed means there are few other fine values; a panel's lattice has many
    if counts[counts >= 3].sum() < 0.8 * counts.sum() or _is_lattice(tied):
        return np.array([])
    return tied


def _is_lattice(values: np.ndarray) -> bool:
    if len(values) < 3:
        return False
    step = np.diff(values).min()
    multiples = (values - values[0]) / step
    return bool(np.abs(multiples - np.rint(multiples)).max() < 0.02)
