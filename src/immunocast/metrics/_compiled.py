"""When the bootstrap runs compiled, and the bridge to its kernels.

Whether it does follows from the size of the data alone, patients times resamples, so that the same data and seed
give the same bytes on any number of workers. The two ways agree: the sums of integers behind AUROC exactly, other
sums to rounding, and fits to the tolerance of Newton's method.
"""

from __future__ import annotations

import numpy as np

from immunocast.metrics._arrays import FloatArray, IntArray, logit

#: Patients times resamples from where compiled loops are used: below, numba takes longer to load than it saves.
COMPILED_FROM = 1_000_000

#: Resamples that are drawn at once: their counters fit the processor's cache.
_DRAWN_AT_ONCE = 64


def is_large(n: int, n_resamples: int) -> bool:
    """Whether the compiled loops are used for `n` patients and this many resamples."""
    return n * n_resamples >= COMPILED_FROM


def draw_counts(counts: np.ndarray, rows: IntArray, rng: np.random.Generator) -> None:
    """Draw as many persons as there are `rows`, for every column, and write how often each was drawn into its row.

    The numbers are those of `rng.integers(0, len(rows), ...)`; `rng`, a new PCG64, stays where it is.
    """
    from immunocast.metrics import _kernels

    m, n_resamples = len(rows), counts.shape[1]
    at = rng.bit_generator.state
    assert at["bit_generator"] == "PCG64" and not at["has_uint32"]
    numbers = (at["state"]["state"], at["state"]["inc"])
    state = np.array([word for number in numbers for word in divmod(number, 2**64)] + [0, 0], dtype=np.uint64)
    tile = np.empty((min(_DRAWN_AT_ONCE, n_resamples), 4 * -(-m // 4)), np.uint16)
    for start in range(0, n_resamples, len(tile)):
        drawn = tile[: n_resamples - start]
        _kernels.count_draws(state, m, drawn)
        _kernels.put_columns(drawn.view(np.uint64), counts, rows, start)


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
