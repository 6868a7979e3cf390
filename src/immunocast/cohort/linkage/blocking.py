"""Which pairs of patients are worth a comparison: several blocking keys, built from the data's own information.

Comparing everybody with everybody costs n x n. A key joins a few fields that together tell patients apart well
enough; a pair becomes a candidate where it is near in all fields of one key. Keys are many and share few fields, so
one or two wrong fields lose no pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from immunocast.cohort.linkage.evidence import Comparable

#: Fields that keys are made of, at most; strides through them; fields of one key; candidates a patient and key.
MOST_ENTRIES = 20
STRIDES = (1, 2, 3)
MOST_FIELDS = 5
BUDGET = 12
#: Up to so many pairs all are compared.
ALL_PAIRS = 30_000
#: A field enters keys where this share of both cohorts has it.
COVERAGE = 0.1


class _Entry(NamedTuple):
    """A field on a scale where partners lie within 1, and what it tells, in bits."""

    name: str
    scaled: np.ndarray
    bits: float


def candidates(parts: Sequence[Comparable], left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of two cohorts (or of one with itself) that share a blocking key.

    Parameters
    ----------
    parts : fields of all patients.
    left, right : positions of the patients of the two cohorts; the same array for pairs inside one cohort.

    Returns
    -------
    Positions of the left and of the right patient of each candidate pair, each pair once, in a fixed order.
    """
    if len(left) * len(right) <= ALL_PAIRS:
        i, j = (k.ravel() for k in np.indices((len(left), len(right))))
        if left is right:
            i, j = i[i < j], j[i < j]
        return left[i], right[j]
    entries = _entries(parts, left, right)
    found = [np.zeros(0, dtype=np.int64)]
    need = np.log2(max(len(right), 2)) - 1
    for key in _keys(entries, need):
        for i, j in _pairs_of_key(key, left, right):
            found.append(np.unique(i * len(right) + j))
    pairs = np.unique(np.concatenate(found))
    i, j = pairs // len(right), pairs % len(right)
    if left is right:
        i, j = i[i < j], j[i < j]
    return left[i], right[j]


def _entries(parts: Sequence[Comparable], left: np.ndarray, right: np.ndarray) -> list[_Entry]:
    entries = []
    for part in parts:
        known = [part.known[side] for side in (left, right)]
        if min(k.mean() for k in known) < COVERAGE:
            continue
        rows = np.concatenate([side[k] for side, k in zip((left, right), known, strict=True)])
        near = -np.log2(np.maximum(part.u_near[rows].mean(), 1e-12))
        exact = -np.log2(np.maximum(part.u_exact[rows].mean(), 1e-12))
        if near >= 0.5:
            entries.append(_Entry(part.name, part.scaled, near))
        if part.field.exact and exact >= near + 2:
            entries.append(_Entry(part.name, part.value / part.field.exact, exact))
    entries.sort(key=lambda e: (-e.bits, e.name))
    return entries[:MOST_ENTRIES]


def _keys(entries: Sequence[_Entry], need: float) -> list[tuple[_Entry, ...]]:
    """Field combinations with at least `need` bits, or with as many as the fields have."""
    keys: dict[tuple[str, ...], tuple[_Entry, ...]] = {}
    for stride, start in product(STRIDES, range(len(entries))):
        chosen: list[_Entry] = []
        for step in range(len(entries)):
            entry = entries[(start + stride * step) % len(entries)]
            if entry.name not in [e.name for e in chosen]:
                chosen.append(entry)
            if sum(e.bits for e in chosen) >= need or len(chosen) == MOST_FIELDS:
                break
        if sum(e.bits for e in chosen) < need - 3:
            continue  # blocks would be far over budget
        chosen.sort(key=lambda e: (-e.bits, e.name))
        keys[tuple(f"{e.name} {e.bits:.6f}" for e in chosen)] = tuple(chosen)
    return list(keys.values())


def _pairs_of_key(
    key: Sequence[_Entry], left: np.ndarray, right: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (positions in left, positions in right) of pairs that are near in all fields of the key.

    The first field is swept in sorted order, the others are cut into cells two tolerances wide, on two grids each
    that lie a tolerance apart: whoever is within the tolerance shares a cell of one of them.
    """
    usable = [np.flatnonzero(np.all([~np.isnan(e.scaled[side]) for e in key], axis=0)) for side in (left, right)]
    if not all(len(u) for u in usable):
        return
    sweep, *others = key
    a, b = (sweep.scaled[side[u]] for side, u in zip((left, right), usable, strict=True))
    low = min(a.min(), b.min())
    span = max(a.max(), b.max()) - low + 4
    both = [np.concatenate([e.scaled[side[u]] for side, u in zip((left, right), usable, strict=True)]) for e in others]
    # categories lie 10 apart: one grid is enough
    grids = [(0.0,) if np.all(v % 10 == 0) else (0.0, 1.0) for v in both]
    for offsets in product(*grids):
        cell = np.zeros(len(a) + len(b), dtype=np.int64)
        for value, offset in zip(both, offsets, strict=True):
            step = np.floor((value + offset) / 2).astype(np.int64)
            step -= step.min()
            cell = np.unique(cell * (step.max() + 1) + step, return_inverse=True)[1]
        place = cell * span + np.concatenate([a, b]) - low
        at, of = place[: len(a)], place[len(a) :]
        order = np.argsort(of, kind="stable")
        ranked = of[order]
        first = np.searchsorted(ranked, at - 1 - 1e-6, side="left")
        count = np.searchsorted(ranked, at + 1 + 1e-6, side="right") - first
        count = _within_budget(count, BUDGET * (len(left) + len(right)))
        rows = np.repeat(np.arange(len(a)), count)
        steps = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        yield usable[0][rows], usable[1][order[np.repeat(first, count) + steps]]


def _within_budget(count: np.ndarray, budget: int) -> np.ndarray:
    """Leave out the patients with the most partners, whose values tell least, until the sum is within budget."""
    if count.sum() <= budget:
        return count
    order = np.argsort(count, kind="stable")
    kept = np.cumsum(count[order]) <= budget
    limit = count[order][kept].max(initial=0)
    return np.where(count < limit, count, 0)  # the order of the rows decides nothing
