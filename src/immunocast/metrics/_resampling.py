"""The bootstrap over persons: resamples as integer weights, intervals and p values from them.

A resample draws as many persons as there are, with replacement, within each stratum. It is kept as how often
each patient was drawn, shape (n, B): all models and metrics read the same matrix, which is what makes differences
paired. The numbers depend on the seed, the persons and the strata alone, never on the order of rows or models,
nor on how work is spread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from immunocast.errors import ConfigError
from immunocast.metrics._arrays import FloatArray, IntArray
from immunocast.metrics._compiled import draw_counts, is_large

Counts = npt.NDArray[np.uint16]

#: Bytes that one block of weights may take as floats; temporary arrays of a metric are a few times this.
BLOCK_BYTES = 16_000_000


def person_weights(persons: Any, strata: Any = None, *, n_resamples: int = 2000, seed: int = 0) -> Counts:
    """How often each patient is drawn in each resample.

    Parameters
    ----------
    persons : (n,) person ids; all patients of a person are drawn together.
    strata : (n,) names, e.g. cohorts; None for one stratum. A person found in several belongs to the first by name.
    n_resamples : B, at least 1.
    seed : not negative. Each stratum has its own stream, derived from the seed and its name, so that another
        cohort in the data changes nothing for this one.

    Returns
    -------
    (n, B) counts; within a stratum the counts of persons sum to the number of persons in every column.

    Raises
    ------
    ConfigError
        Where `n_resamples` or `seed` is out of range.
    """
    if n_resamples < 1:
        raise ConfigError(f"n_resamples is {n_resamples}: at least 1 resample is needed.")
    if seed < 0:
        raise ConfigError(f"seed is {seed}: it must not be negative.")
    names, person = np.unique(np.asarray(persons).astype(str), return_inverse=True)
    labels = np.asarray(["all"] * len(person) if strata is None else strata).astype(str)
    levels, level = np.unique(labels, return_inverse=True)
    home = np.full(len(names), len(levels))
    np.minimum.at(home, person, level)
    counts = np.empty((len(names), n_resamples), dtype=np.uint16)
    for k, name in enumerate(levels):
        members = np.flatnonzero(home == k)
        if len(members):
            _draw(counts, members, _stream(seed, str(name)))
    return counts if np.array_equal(person, np.arange(len(counts))) else counts[person]


def _stream(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()
    words = np.frombuffer(digest[:16], dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64([seed, *words]))  # by name: the compiled way continues its state


def _draw(counts: Counts, members: IntArray, rng: np.random.Generator) -> None:
    """Write the members' rows of the counts: multiplicities in each resample, drawn in blocks of bounded memory."""
    m, n_resamples = len(members), counts.shape[1]
    if is_large(m, n_resamples):
        draw_counts(counts, members, rng)  # the same counts
        return
    size = max(1, BLOCK_BYTES // (16 * m))
    for start in range(0, n_resamples, size):
        b = min(size, n_resamples - start)
        drawn = rng.integers(0, m, size=(b, m), dtype=np.uint32)  # the same numbers as of any other integer type
        flat = drawn + np.arange(b)[:, None] * m
        counts[members, start : start + b] = np.bincount(flat.ravel(), minlength=b * m).reshape(b, m).T


@dataclass(frozen=True)
class Blocks:
    """Resamples as metrics take them: iterated, float weights in blocks; kept whole for the compiled loops.

    Attributes
    ----------
    counts : (n, B) as `person_weights` gives them, or rows of it.
    whole_first : True where a column comes before all others in which everybody counts once: the estimate itself.
    compiled : whether the compiled loops are used, for metrics that have them.
    """

    counts: Counts
    whole_first: bool
    compiled: bool

    def __iter__(self) -> Iterator[FloatArray]:
        n, b = self.counts.shape
        if self.whole_first:
            yield np.ones((n, 1))
        size = max(64, BLOCK_BYTES // (8 * max(n, 1)))
        for start in range(0, b, size):
            yield self.counts[:, start : start + size].astype(np.float64)

    def over_counts(self, of: Callable[[Counts], FloatArray]) -> FloatArray:
        """Values (..., B) of a compiled function of counts, those of everybody first where `whole_first`."""
        counts = np.ascontiguousarray(self.counts)
        if not self.whole_first:
            return of(counts)
        everybody = np.ones((len(counts), 1), dtype=np.uint16)
        return np.concatenate([of(everybody), of(counts)], axis=-1)


def blocks(counts: Counts, *, whole_first: bool = False, compiled: bool | None = None) -> Blocks:
    """The weights as floats, a block of resamples at a time, in order.

    Parameters
    ----------
    counts : (n, B) as `person_weights` gives them, or rows of it.
    whole_first : True to put a column before all others in which everybody counts once: the estimate itself.
    compiled : whether metrics work through them in compiled loops; None decides by the size of the data.

    Returns
    -------
    Blocks
        Iterated, it gives weights (n, b).
    """
    return Blocks(counts, whole_first, is_large(*counts.shape) if compiled is None else compiled)


def percentile_interval(values: FloatArray, *, level: float = 0.95) -> tuple[float, float, int]:
    """Percentile interval of resampled values.

    Parameters
    ----------
    values : (B,) values, NaN where a resample has none (one class only, say).
    level : confidence level.

    Returns
    -------
    low, high, n_left_out : bounds over the resamples that have a value, and how many have none. The bounds are NaN
        where more than half have none.
    """
    kept = values[~np.isnan(values)]
    left_out = len(values) - len(kept)
    if len(kept) * 2 < len(values) or not len(kept):
        return float("nan"), float("nan"), left_out
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), left_out


def bootstrap_p(values: FloatArray) -> float:
    """Two-sided p of "the difference is 0" from resampled differences, by inverting the percentile interval.

    p = 2 min(#(d <= 0) + 1, #(d >= 0) + 1) / (B + 1), at most 1 (Davison & Hinkley 1997, section 4.2 for the
    + 1). It can't fall below 2 / (B + 1).

    Parameters
    ----------
    values : (B,) resampled differences; NaN are left out.

    Returns
    -------
    float in (0, 1]; NaN where more than half of the resamples have no value.
    """
    kept = values[~np.isnan(values)]
    if len(kept) * 2 < len(values) or not len(kept):
        return float("nan")
    fewer = min(int(np.sum(kept <= 0)), int(np.sum(kept >= 0)))
    return min(1.0, 2 * (fewer + 1) / (len(kept) + 1))
