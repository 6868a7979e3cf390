"""When the bootstrap runs compiled, and the bridge to its kernels.

Whether it does follows from the size of the data alone, patients times resamples, so that the same data and seed
give the same bytes on any number of workers. The two ways agree: the sums of integers behind AUROC exactly, other
sums to rounding, and fits to the tolerance of Newton's method.
"""

from __future__ import annotations

import numpy as np

from immunocast.metrics._arrays import FloatArray, IntArray, logit

#: Patients times resamples from where compiled loops are used: below, little is saved, and numba takes 0.4 s to load.
COMPILED_FROM = 200_000

#: Multiplier of PCG64.
_PCG64 = 0x2360ED051FC65DA44385DF649FCCF645


def is_large(n: int, n_resamples: int) -> bool:
    """Whether the compiled loops are used for `n` patients and this many resamples."""
    return n * n_resamples >= COMPILED_FROM


def draw_counts(counts: np.ndarray, rows: IntArray, rng: np.random.Generator) -> None:
    """Draw as many persons as there are `rows`, for every column, and write how often each was drawn into its row.

    The numbers are those of `rng.integers(0, len(rows), ...)`; `rng`, a new PCG64, stays where it is.
    """
    from immunocast.metrics import _kernels

    at = rng.bit_generator.state
    assert at["bit_generator"] == "PCG64"
    assert not at["has_uint32"]
    state, add = at["state"]["state"], at["state"]["inc"]
    first = state * _PCG64 + add
    second = first * _PCG64 + add
    states, step = _two_words(first, second), _two_words(_PCG64 * _PCG64, add * (_PCG64 + 1)).ravel()
    _kernels.draw_counts(states, step, rows, counts)


def _two_words(*numbers: int) -> np.ndarray:
    """128-bit numbers as rows of their upper and lower word."""
    return np.array([divmod(number % 2**128, 2**64) for number in numbers], dtype=np.uint64)


def rank_sums(y: IntArray, p: FloatArray, counts: np.ndarray) -> FloatArray:
    """Sums (4, B) of AUROC and AUPRC over all resamples: see `_kernels.rank_sums`."""
    from immunocast.metrics import _kernels

    order = np.argsort(-p, kind="stable")
    out = np.empty((4, counts.shape[1]))
    _kernels.rank_sums(counts, order, y[order], _ends(p[order]), out)
    return out


def weighted_sums(values: FloatArray, counts: np.ndarray) -> FloatArray:
    """Sums (k, B) over patients of values (k, n), over all resamples."""
    from immunocast.metrics import _kernels

    out = np.empty((len(values), counts.shape[1]))
    _kernels.weighted_sums(counts, np.ascontiguousarray(values), out)
    return out


def group_sums(order: IntArray, starts: IntArray, counts: np.ndarray) -> FloatArray:
    """Counts (n, B) added up over groups of patients: (k, B). `order` has the patients group by group."""
    from immunocast.metrics import _kernels

    out = np.empty((len(starts), counts.shape[1]))
    _kernels.group_sums(np.ascontiguousarray(counts), order, np.append(starts[1:], len(order))[: len(starts)], out)
    return out


def intercepts(y: IntArray, p: FloatArray, counts: np.ndarray, first: float, limits: FloatArray) -> FloatArray:
    """Calibration intercepts (B,) from Newton's method that starts at `first`."""
    from immunocast.metrics import _kernels

    x = logit(p)
    order = np.argsort(x, kind="stable")
    ends = _ends(x[order])
    out = np.empty(counts.shape[1])
    _kernels.intercepts(counts, order, ends, x[order][ends - 1], np.flatnonzero(y == 1), first, limits, out)
    return out


def slopes(y: IntArray, centred: FloatArray, counts: np.ndarray, limits: FloatArray) -> FloatArray:
    """Calibration slopes (B,) on centred logits; one that is not finite comes back large, or NaN."""
    from immunocast.metrics import _kernels

    order = np.argsort(centred, kind="stable")
    ends = _ends(centred[order])
    events = np.flatnonzero(y == 1)
    out = np.empty(counts.shape[1])
    _kernels.slopes(counts, order, ends, centred[order][ends - 1], events, centred[events], limits, out)
    return out


def _ends(ordered: FloatArray) -> IntArray:
    """Position after the last of each group of equal values."""
    return np.append(np.flatnonzero(np.diff(ordered)) + 1, len(ordered))
