"""Atoms: exact values that more patients share than the distribution around them can explain.

For a value v with k patients the number to be expected is the local density of all other values times the
resolution of the column (its decimals), times the column's own habit of heaping: rounding, digit preference and the
lattice of counts over a panel size make *many* values heavier than their surroundings, an imputed constant makes
few. The habit is the fourth largest ratio of observed (lower 95 % limit) to expected over all other values, so
up to three imputed constants can't hide each other. Binomial tail of the patients in the cell among those in and
beside it, corrected for the number of distinct values.
Where a column heaps, an atom must be twice as heavy as that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, chi2

from immunocast.cohort.checks.stats import decimals

ALPHA = 1e-5
MIN_ROWS = 5
MIN_SHARE = 0.02
#: At the ends fewer patients tell: a tail is thin.
MIN_EDGE_ROWS = 4
MIN_EDGE_SHARE = 0.004
MIN_DISTINCT = 15
MAX_CANDIDATES = 30
#: How far an atom must exceed what is expected, without and with a habit of heaping in the column.
MIN_RATIO = 1.3
MIN_RATIO_HEAPED = 2.0


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


def find_atoms(values: np.ndarray, *, masked: int = 3, habit: float = 1.0, n_tests: int = 1) -> list[Atom]:
    """Atoms of one column.

    Parameters
    ----------
    values : (n,) known values, in any order.
    masked : how many of the heaviest values may be imputed ones and tell nothing of the column's habit.
    habit : habit of heaping of a larger column that these values are part of.
    n_tests : number of groups that are looked at, for the correction of p.

    Returns
    -------
    Atoms, the heaviest first; none where the column has fewer than `MIN_DISTINCT` distinct values (classes, bins).
    """
    levels, counts = np.unique(values, return_counts=True)
    n, last = len(values), len(levels) - 1
    if len(levels) < MIN_DISTINCT or n < 20:
        return []
    enough = counts >= max(MIN_ROWS, MIN_SHARE * n)
    edge = max(MIN_EDGE_ROWS, MIN_EDGE_SHARE * n)
    enough[[0, last]] = counts[[0, last]] >= edge
    heavy = np.flatnonzero(enough)
    heavy = heavy[np.argsort(-counts[heavy], kind="stable")]
    inside = heavy[(heavy > 0) & (heavy < last)][:MAX_CANDIDATES]
    if not len(heavy):
        return []
    step = _step(levels, counts)
    # the column's own atoms are among its heaps: one more may be masked
    heaping = max(habit, _habit(levels, counts, step, masked + 1))
    found = []
    for place in sorted({*inside, *(heavy[(heavy == 0) | (heavy == last)])}, key=lambda i: (-counts[i], i)):
        k = int(counts[place])
        rest = np.arange(len(levels)) != place
        beside, cells = _neighbours(float(levels[place]), float(step[place]), levels[rest], counts[rest])
        expected = beside / cells
        # of all patients in and beside the cell, a share of heaping / (cells + heaping) is to be expected in it
        p = binom.sf(k - 1, k + beside, heaping / (cells + heaping)) * len(levels) * n_tests
        least = max(MIN_ROWS, MIN_SHARE * n) if 0 < place < last else edge
        ratio = MIN_RATIO if heaping < 1.5 else MIN_RATIO_HEAPED
        if p < ALPHA and k - expected * heaping >= 0.8 * least and k >= ratio * expected * heaping:
            at = "bottom" if place == 0 else "top" if place == last else "inside"
            found.append(Atom(float(levels[place]), k, expected * heaping, at))
    return found


def _step(levels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(levels,) resolution of each value: the column's own, finer where the value itself is finer."""
    d = decimals(levels)
    share = np.array([counts[d <= most].sum() for most in range(7)]) / counts.sum()
    usual = int(np.argmax(share >= 0.9))
    step = 10.0 ** -np.maximum(d, usual)
    lattice = lattice_of(levels, counts)
    if lattice is None:
        return step
    # counts over one size: no value can lie between two counts, so a count's cell is as wide as that
    width, on = lattice
    return np.where(on, np.maximum(step, width), step)


def lattice_of(levels: np.ndarray, counts: np.ndarray) -> tuple[float, np.ndarray] | None:
    """(step, which levels are multiples of it) where nine patients in ten have a whole number of steps.

    Counts of mutations over the size of one panel are the case in point: 0.83, 1.67, 2.5 are 1, 2 and 3 over
    1.2 Mb. None for a column that is no coarser than its decimals.
    """
    digit = 10.0 ** -float(decimals(levels).max())
    gaps = np.unique(np.round(np.diff(levels), 6))
    gaps = gaps[gaps >= 10 * digit][:20]
    best: tuple[float, np.ndarray] | None = None
    for gap in gaps:
        width = float(gap)
        # each multiple, being longer, tells the step better than the one before
        for level in levels[levels > 0]:
            k = np.rint(level / width)
            if k >= 1 and abs(level - k * width) <= min(0.51 * digit * k, width / 4):
                width = float(level / k)
        on = np.abs(levels - np.rint(levels / width) * width) <= 1.01 * digit  # rounded twice, it may be
        if counts[on].sum() >= 0.9 * counts.sum() and (best is None or width > best[0]):
            best = width, on
    return best


def habit_of_heaping(values: np.ndarray, masked: int = 3) -> float:
    """How much heavier than its surroundings a column's values are by habit: 1 for a smooth column."""
    levels, counts = np.unique(values, return_counts=True)
    return _habit(levels, counts, _step(levels, counts), masked + 1) if len(levels) >= MIN_DISTINCT else 1.0


def _beside(
    at: np.ndarray, left: np.ndarray, right: np.ndarray, cell: np.ndarray, levels: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Patients beside each place, and the width that they fill: a fiftieth of all, ten, and two levels on each side.

    `left` and `right` are the levels that belong to the place itself, which are not counted.
    """
    rows = int(counts.sum())
    half = max(10, rows // 50)
    below = np.concatenate([[0], np.cumsum(counts)])  # patients below each level
    low = np.searchsorted(below[1:], np.maximum(below[left] - half, 0), side="right")
    low = np.clip(np.minimum(low, left - 2), 0, len(levels) - 1)
    high = np.searchsorted(below[1:], np.minimum(below[right] + half, rows) - 1, side="right")
    high = np.clip(np.maximum(high, right + 1), 0, len(levels) - 1)
    own = below[right] - below[left]
    # of the width, the place's own cell holds nobody that is counted
    width = np.maximum(levels[high], at) - np.minimum(levels[low], at)
    return below[high + 1] - below[low] - own, np.maximum(width, cell)


def _neighbours(value: float, step: float, levels: np.ndarray, counts: np.ndarray) -> tuple[int, float]:
    """Patients beside `value`, and the number of cells of the column's resolution that they fill."""
    here = np.searchsorted(levels, [value])
    beside, width = _beside(np.array([value]), here, here, np.array([step]), levels, counts)
    return int(beside[0]), float(width[0] / step)


def _habit(levels: np.ndarray, counts: np.ndarray, steps: np.ndarray, masked: int) -> float:
    place = np.arange(len(levels))
    beside, width = _beside(levels, place, place + 1, steps, levels, counts)
    natural = (beside / width * steps)[1:-1]
    inner = counts[1:-1]
    heaped = inner >= 3
    ratio = np.sort(inner[heaped] / np.maximum(natural[heaped], 1e-9) * _shrink(inner[heaped]))
    return max(1.0, float(ratio[-1 - masked])) if len(ratio) > masked else 1.0


def _shrink(counts: np.ndarray) -> np.ndarray:
    """Lower 95 % Poisson limit over the count: few patients on a value are no habit."""
    return chi2.ppf(0.05, 2 * counts) / 2 / counts


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
