"""Random draws that do not depend on how patients are cut into blocks, and fast quantile functions."""

from __future__ import annotations

from functools import cache
from zlib import crc32

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri

_EDGE = 1e-12
_REACH, _STEPS = 8.0, 8000  # grid of normal scores from -8 to 8


class Streams:
    """Uniform draws, a stream of its own for every variable of every cohort.

    Parameters
    ----------
    seed : of the cohort's settings.
    label : of the cohort.
    start, n : the patients, counted from 0; draw k of a stream belongs to patient k, whatever the block.
    """

    def __init__(self, seed: int, label: str, start: int, n: int):
        self.n = n
        self._key, self._start = (seed, crc32(label.encode())), start

    def uniform(self, name: str) -> np.ndarray:
        """(n,) draws in (0, 1)."""
        bits = np.random.PCG64(np.random.SeedSequence([*self._key, crc32(name.encode())]))
        bits.advance(self._start)
        draws = np.random.Generator(bits).random(self.n)
        return np.clip(draws, _EDGE, 1 - _EDGE, out=draws)

    def normal(self, name: str) -> np.ndarray:
        """(n,) standard normal draws, of the same uniform draws."""
        draws = self.uniform(name)
        return ndtri(draws, out=draws)


class ReferenceStreams(Streams):
    """The same draws for each of `groups` groups, mirrored (u and 1 - u): means and medians with little error."""

    def __init__(self, label: str, size: int, groups: int):
        super().__init__(0, label, 0, size)
        self._groups = groups

    def uniform(self, name: str) -> np.ndarray:
        """(2 size groups,) draws in (0, 1)."""
        half = super().uniform(name)
        return np.tile(np.concatenate([half, 1 - half]), self._groups)


def pick(u: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Index of a category by inverse distribution function.

    Parameters
    ----------
    u : (n,) uniform draws.
    probabilities : (k,) or (n, k), sums to 1.

    Returns
    -------
    (n,) int8.
    """
    edges = np.cumsum(probabilities, axis=-1)[..., :-1]
    out = np.zeros(len(u), dtype=np.int8)
    for k in range(edges.shape[-1]):
        out += u >= edges[..., k]
    return out


class ByScore:
    """Function of a normal score by linear interpolation on an even grid, one row a group.

    Parameters
    ----------
    values : (groups, len(GRID)) or (len(GRID),) values of the function at `ByScore.GRID`.
    """

    GRID = np.linspace(-_REACH, _REACH, _STEPS + 1)

    def __init__(self, values: np.ndarray):
        self._table = np.ascontiguousarray(values, dtype=float).reshape(-1, _STEPS + 1)
        self._rise = np.diff(self._table, axis=1, append=self._table[:, -1:])

    def __call__(self, z: np.ndarray, group: np.ndarray | int = 0) -> np.ndarray:
        """(n,) values at the normal scores `z`, of each patient's group."""
        place = (np.clip(z, -_REACH, _REACH) + _REACH) * (_STEPS / (2 * _REACH))
        cell = place.astype(np.int32)
        at = cell + np.asarray(group, dtype=np.int32) * (_STEPS + 1)
        return self._table.ravel()[at] + (place - cell) * self._rise.ravel()[at]


@cache
def beta_by_score(a: float, b: float) -> ByScore:
    """Quantile function of Beta(a, b) of a normal score: betaincinv itself costs seconds for a million values."""
    return ByScore(betaincinv(a, b, np.clip(ndtr(ByScore.GRID), 1e-300, 1)))


def poisson(u: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(n,) Poisson counts by inversion of uniform draws; above a mean of 60 by the Cornish-Fisher expansion.

    Parameters
    ----------
    u : (n,) uniform draws in (0, 1).
    mean : (n,) expected counts.
    """
    z = ndtri(u)
    count = np.maximum(np.rint(mean + np.sqrt(mean) * z + (z * z - 1) / 6), 0.0)
    rows = np.flatnonzero(mean <= 60)
    left, lam = u[rows].copy(), mean[rows]
    term = np.exp(-lam)
    k = 0
    while len(rows):
        done = (left < term) | (k > 200)
        count[rows[done]] = k
        going = ~done
        rows, left, lam, term = rows[going], left[going] - term[going], lam[going], term[going]
        k += 1
        term = term * lam / k
    return count
