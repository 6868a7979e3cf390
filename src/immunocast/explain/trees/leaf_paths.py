"""The ways to the leaves of a tree, and which of their conditions a row meets: what leaf-wise games are made of.

A leaf is reached by a row that meets every condition on the way from the root. Conditions on one column belong
together: the columns of the way are the players of the leaf's game, and a row's *pattern* is a word with bit k set
where the row meets all conditions on the leaf's k-th column. All rows of one pattern have the same SHAP values in that
leaf, and a leaf d columns deep has at most 2^d patterns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from immunocast.errors import ConfigError
from immunocast.explain.trees.ensemble import Ensemble

#: Most columns on the way to a leaf: a pattern is a word of 64 bits.
MOST_COLUMNS = 62
#: Most columns for which rows of one pattern are found by a table; beyond, every row counts as a pattern of its own.
TABLE_COLUMNS = 16


def kernel(function: Callable[..., Any]) -> Any:
    """Compile without the interpreter's lock, and keep the machine code on disk where a place for it is found.

    Sums keep their order (no fast-math): values depend neither on the machine's vector units nor on threads.
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder that it may write to
        return njit(nogil=True)(function)


def as_compared(ensemble: Ensemble, X: np.ndarray) -> np.ndarray:
    """(n, columns) matrix as the library compares it with thresholds.

    Raises
    ------
    ValueError
        Where the matrix has other columns than the ensemble.
    """
    X = np.asarray(X, dtype=np.float32 if ensemble.single else np.float64)
    if X.ndim != 2 or X.shape[1] != ensemble.n_features:
        raise ValueError(f"a matrix of shape {X.shape}, where the trees take {ensemble.n_features} columns")
    return np.ascontiguousarray(X, dtype=np.float64)


def check_depth(most: int) -> None:
    """Refuse a way with more columns than a word has bits.

    Raises
    ------
    ConfigError
        Naming the mend.
    """
    if most > MOST_COLUMNS:
        raise ConfigError(
            f"A tree asks for {most} different columns on the way to a leaf; up to {MOST_COLUMNS} are explained. Set "
            "max_depth of the estimator."
        )


@kernel
def turns(left, right, feature, threshold, missing_left, closed, X):
    """(nodes, n) bool: whether a row goes left at a node; at leaves meaningless."""
    out = np.zeros((len(left), len(X)), dtype=np.bool_)
    for node in range(len(left)):
        if left[node] < 0:
            continue
        column, at, gap, row_of = feature[node], threshold[node], missing_left[node], out[node]
        for i in range(len(X)):
            x = X[i, column]
            if np.isnan(x):
                row_of[i] = gap
            else:
                row_of[i] = x <= at if closed else x < at
    return out


@kernel
def ways(left, right, feature, cover):
    """Ways from the root to each leaf, leaves from left to right.

    Returns
    -------
    leaf : (leaves,) nodes.
    n_steps, node, goes_left, slot : (leaves,) conditions on the way, and (leaves, depth) each's node, direction, and
        which of the way's columns it is on.
    n_columns, column, ratio : (leaves,) different columns, and (leaves, depth) the column and the product of its
        conditions' shares of training weight: the chance to meet them of one whose value is not known.
    """
    n_nodes = len(left)
    depths, n_leaves, width = np.zeros(n_nodes, np.int64), 0, 1
    waiting, top = np.zeros(n_nodes, np.int64), 1  # the root
    while top:
        top -= 1
        k = waiting[top]
        width = max(width, depths[k])
        if left[k] < 0:
            n_leaves += 1
            continue
        depths[left[k]], depths[right[k]] = depths[k] + 1, depths[k] + 1
        waiting[top], waiting[top + 1] = right[k], left[k]
        top += 2
    steps = (n_leaves, width)
    leaf, n_steps, n_columns = np.zeros(n_leaves, np.int64), np.zeros(n_leaves, np.int64), np.zeros(n_leaves, np.int64)
    node, slot, column = np.zeros(steps, np.int64), np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    goes_left, ratio = np.zeros(steps, np.bool_), np.ones(steps)
    above, found = np.zeros(width + 1, np.int64), 0
    waiting[0], top = 0, 1
    while top:
        top -= 1
        k = waiting[top]
        at = depths[k]
        above[at] = k
        if left[k] >= 0:
            waiting[top], waiting[top + 1] = right[k], left[k]
            top += 2
            continue
        leaf[found], n_steps[found] = k, at
        d = 0
        for s in range(at):
            parent, child = above[s], above[s + 1]
            place = -1
            for j in range(d):
                if column[found, j] == feature[parent]:
                    place = j
            if place < 0:
                place = d
                column[found, d] = feature[parent]
                d += 1
            node[found, s], goes_left[found, s], slot[found, s] = parent, left[parent] == child, place
            if cover[parent] > 0:
                ratio[found, place] *= cover[child] / cover[parent]
            else:  # nobody came here in training
                ratio[found, place] *= 0.5
        n_columns[found] = d
        found += 1
    return leaf, n_steps, node, goes_left, slot, n_columns, column, ratio


@kernel
def patterns(decisions, n_steps, node, goes_left, slot, d, out):
    """Write each row's pattern at a leaf into `out`, (n,) int64."""
    out[:] = (1 << d) - 1
    for s in range(n_steps):
        keep, go, row_of = ~(1 << slot[s]), goes_left[s], decisions[node[s]]
        for i in range(len(out)):
            if row_of[i] != go:
                out[i] &= keep


@kernel
def distinct(words, d, table, at, first):
    """Number rows by their pattern, in order of appearance.

    Parameters
    ----------
    words : (n,) patterns.
    d : columns of the leaf.
    table : (2^TABLE_COLUMNS,) filled with -1, and left so.
    at, first : (n,) written: number of each row's pattern, and the patterns found.

    Returns
    -------
    How many were found; `first` is meaningless beyond.
    """
    found = 0
    if d > TABLE_COLUMNS:
        for i in range(len(words)):
            at[i], first[i] = i, words[i]
        return len(words)
    for i in range(len(words)):
        word = words[i]
        if table[word] < 0:
            table[word] = found
            first[found] = word
            found += 1
        at[i] = table[word]
    for k in range(found):
        table[first[k]] = -1
    return found
