"""Folds that keep persons together and spread every stratum evenly, dealt out in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def grouped_folds(stratum: np.ndarray, person: np.ndarray, n_splits: int, seed: int) -> Iterator[np.ndarray]:
    """Test positions of each fold.

    Persons are shuffled, those with more rows first, and each goes to the fold that holds least of the person's
    strata, relative to their size; then to the one with fewest rows. A stratum of single-row persons is spread to
    within one row. scikit-learn's StratifiedGroupKFold decides in much the same way, through a standard
    deviation over the folds for each person and fold, which takes 140 ms for 964 persons; this takes 1.

    Parameters
    ----------
    stratum : (n,) codes 0, 1, ...
    person : (n,) ids.
    n_splits : folds; with fewer persons some are empty.
    seed : of the shuffling.

    Yields
    ------
    Sorted positions, a fold after the other.
    """
    names, code = np.unique(person, return_inverse=True)
    ordered = stratum[np.argsort(code, kind="stable")].tolist()
    size = np.bincount(code, minlength=len(names))
    start = (np.cumsum(size) - size).tolist()
    shuffled = np.random.default_rng(seed).permutation(len(names))
    count = size.tolist()
    share = (1.0 / np.bincount(stratum)).tolist()
    held = [[0] * n_splits for _ in share]
    n_held = [0] * n_splits
    fold = np.empty(len(names), dtype=np.intp)
    more = len(stratum) + 1  # than any fold holds
    for g in shuffled[np.argsort(-size[shuffled], kind="stable")].tolist():
        strata = ordered[start[g] : start[g] + count[g]]
        if len(strata) == 1:  # the same order as below
            loads = [h * more + n for h, n in zip(held[strata[0]], n_held, strict=True)]
            best = loads.index(min(loads))
        else:
            load = [(sum(held[s][k] * share[s] for s in strata), n_held[k], k) for k in range(n_splits)]
            best = min(load)[2]
        for s in strata:
            held[s][best] += 1
        n_held[best] += len(strata)
        fold[g] = best
    of_row = fold[code]
    for k in range(n_splits):
        yield np.flatnonzero(of_row == k)
