"""Exact interventional SHAP values of trees: what an absent feature is replaced by is a stated background.

The game of a row x against a background row z: features of a coalition have the values of x, all others those of z,
whatever goes together in the data (Lundberg 2020, Nat Mach Intell 2:56, "independent TreeSHAP"). It is the sum of its
leaves' games. In a leaf only three kinds of columns are left: those whose conditions x alone meets (A), those that z
alone meets (B), and those that both meet. The leaf is reached by the coalitions that hold A and nothing of B, and such
a game of unanimity has the Shapley values

    i in A:  v (|A| - 1)! |B|! / (|A| + |B|)!        j in B:  -v |A|! (|B| - 1)! / (|A| + |B|)!

0 where a column is met by neither. Values are the mean over the background; pairs of patterns stand for pairs of rows,
so that the work hardly grows with the background.
"""

from __future__ import annotations

from math import factorial

import numpy as np

from immunocast.explain.trees.ensemble import Ensemble
from immunocast.explain.trees.leaf_paths import (
    MOST_COLUMNS,
    TABLE_COLUMNS,
    as_compared,
    check_depth,
    distinct,
    kernel,
    patterns,
    turns,
    ways,
)


def interventional_values(ensemble: Ensemble, X: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, float]:
    """Exact SHAP values of rows against a background.

    Parameters
    ----------
    ensemble : the trees.
    X : (n, columns) rows to explain; NaN goes where the trees send it.
    background : (m, columns) rows that absent features are taken from, m >= 1, all with equal weight.

    Returns
    -------
    (n, columns) values on the ensemble's scale, and the base value: the mean output over the background.

    Raises
    ------
    ValueError
        For an empty background, or matrices of other columns than the ensemble's.
    ConfigError
        For trees with too many columns on one way.
    """
    rows, others = as_compared(ensemble, X), as_compared(ensemble, background)
    if not len(others):
        raise ValueError("an empty background")
    values = np.zeros((ensemble.n_features, len(rows)))
    table = np.full(1 << TABLE_COLUMNS, -1, dtype=np.int64)
    total = 0.0
    for tree in ensemble.trees:
        way = ways(tree.left, tree.right, tree.feature, tree.cover)
        check_depth(int(way[5].max(initial=0)))
        split = (tree.left, tree.right, tree.feature, tree.threshold, tree.missing_left, ensemble.closed)
        total += _add(tree.value, turns(*split, rows), turns(*split, others), *way[:7], _WEIGHTS, table, values)
    return np.ascontiguousarray(values.T) / len(others), ensemble.offset + total / len(others)


def _weights() -> np.ndarray:
    """(k, l): k! l! / (k + l + 1)!, what each of k + 1 players gets where l others must stay away."""
    out = np.zeros((MOST_COLUMNS + 1, MOST_COLUMNS + 1))
    for k in range(MOST_COLUMNS + 1):
        for m in range(MOST_COLUMNS + 1):
            out[k, m] = factorial(k) * factorial(m) / factorial(k + m + 1)
    return out


_WEIGHTS = _weights()


@kernel
def _add(value, own, other, leaf, n_steps, node, goes_left, slot, n_columns, column, weights, table, values):
    """Add a tree's values, summed over the background, to (columns, n); returns the sum of its outputs there."""
    n, m = own.shape[1], other.shape[1]
    words, at, first = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    words_of, at_of, first_of = np.empty(m, dtype=np.int64), np.empty(m, dtype=np.int64), np.empty(m, dtype=np.int64)
    total = 0.0
    for k in range(len(leaf)):
        d, v = n_columns[k], value[leaf[k]]
        full = (1 << d) - 1
        patterns(own, n_steps[k], node[k], goes_left[k], slot[k], d, words)
        patterns(other, n_steps[k], node[k], goes_left[k], slot[k], d, words_of)
        n_own, n_other = distinct(words, d, table, at, first), distinct(words_of, d, table, at_of, first_of)
        counts = np.zeros(n_other)
        for j in range(m):
            counts[at_of[j]] += 1.0
            if words_of[j] == full:
                total += v
        if d == 0:
            continue
        found = np.zeros((d, n_own))
        for p in range(n_own):
            for q in range(n_other):
                x, z = first[p], first_of[q]
                if x | z != full or x == z:
                    continue
                both = x & z
                a, b = 0, 0
                for i in range(d):
                    if not (both >> i) & 1:
                        if (x >> i) & 1:
                            a += 1
                        else:
                            b += 1
                gain = weights[a - 1, b] * v * counts[q] if a else 0.0
                loss = weights[b - 1, a] * v * counts[q] if b else 0.0
                for i in range(d):
                    if not (both >> i) & 1:
                        if (x >> i) & 1:
                            found[i, p] += gain
                        else:
                            found[i, p] -= loss
        for i in range(d):
            into = values[column[k, i]]
            for r in range(n):
                into[r] += found[i, at[r]]
    return total
