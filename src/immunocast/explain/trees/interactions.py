r"""Exact path-dependent SHAP interaction values of trees, leaf by leaf.

Path-dependent: a column that is absent from a coalition is met with the share of the training weight that went that
way (Lundberg 2020, Nat Mach Intell 2:56). A leaf of value v whose way asks for d columns is then the product game

    g(S) = v prod_{k in S} o_k prod_{k not in S} r_k

o_k 1 where the row meets the conditions on column k, else 0, r_k the share of training weight. With the beta
integral for the Shapley weights, its Shapley value and its Shapley interaction index (Grabisch & Roubens 1999, Int J
Game Theory 28:547) are

    phi_i  = v (o_i - r_i) \int_0^1 prod_{k != i} (t o_k + (1 - t) r_k) dt
    I_{ij} = v (o_i - r_i) (o_j - r_j) \int_0^1 prod_{k != i, j} (t o_k + (1 - t) r_k) dt

polynomials of degree d - 1 and d - 2 in t, which Gauss-Legendre quadrature integrates exactly. As in XGBoost and shap,
the interaction matrix holds I_ij / 2 at (i, j) and at (j, i), and on its diagonal what of phi_i is left: rows sum to
the SHAP values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from immunocast.explain.trees.ensemble import Ensemble
from immunocast.explain.trees.leaf_paths import (
    TABLE_COLUMNS,
    as_compared,
    check_depth,
    distinct,
    kernel,
    patterns,
    turns,
    ways,
)


def interaction_values(
    ensemble: Ensemble, X: np.ndarray, groups: Sequence[int] | np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Exact interaction values of rows.

    Parameters
    ----------
    ensemble : the trees.
    X : (n, columns) rows to explain; NaN goes where the trees send it.
    groups : (columns,) number of the source feature, 0 to g - 1, that each column belongs to (one-hot columns,
        indicators of missing values): the matrix is summed over the blocks. None for each column by itself.

    Returns
    -------
    (n, g, g) symmetric values on the ensemble's scale, a pair's interaction half at each of its two places, main
    effects on the diagonal; and the base value. Rows sum to the path-dependent SHAP values of the sources.

    Raises
    ------
    ValueError
        For a matrix of other columns than the ensemble's, or groups that do not fit it.
    ConfigError
        For trees with too many columns on one way.
    """
    rows = as_compared(ensemble, X)
    group = np.arange(ensemble.n_features) if groups is None else np.asarray(groups, dtype=np.int64)
    if group.shape != (ensemble.n_features,) or group.min(initial=0) < 0:
        raise ValueError(f"groups of shape {group.shape} for {ensemble.n_features} columns")
    g = int(group.max(initial=-1)) + 1
    out = np.zeros((g, g, len(rows)))
    table = np.full(1 << TABLE_COLUMNS, -1, dtype=np.int64)
    base = ensemble.offset
    for tree in ensemble.trees:
        way = ways(tree.left, tree.right, tree.feature, tree.cover)
        check_depth(int(way[5].max(initial=0)))
        decisions = turns(tree.left, tree.right, tree.feature, tree.threshold, tree.missing_left, ensemble.closed, rows)
        nodes, weights = _legendre(int(way[5].max(initial=0)))
        base += _add(tree.value, decisions, *way, group, nodes, weights, table, out)
    upper = np.triu_indices(g, 1)
    out[upper[1], upper[0]] = out[upper]
    for i in range(g):
        out[i, i] -= out[i, :i].sum(axis=0) + out[i, i + 1 :].sum(axis=0)
    return np.ascontiguousarray(np.moveaxis(out, 2, 0)), float(base)


def _legendre(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights on [0, 1] that integrate polynomials of degree d - 1 exactly."""
    points, weights = np.polynomial.legendre.leggauss(max((d + 1) // 2, 1))
    return (points + 1) / 2, weights / 2


@kernel
def _add(
    value, decisions, leaf, n_steps, node, goes_left, slot, n_columns, column, ratio, group, points, weights, table, out
):
    """Add a tree's Shapley values to the diagonal of (g, g, n), half of each interaction above; returns its base."""
    n = decisions.shape[1]
    words, at, first = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    base = 0.0
    for k in range(len(leaf)):
        d, v = n_columns[k], value[leaf[k]]
        everybody = v
        for i in range(d):
            everybody *= ratio[k, i]
        base += everybody
        if d == 0:
            continue
        patterns(decisions, n_steps[k], node[k], goes_left[k], slot[k], d, words)
        found = distinct(words, d, table, at, first)
        alone, pair, step = np.zeros((d, found)), np.zeros((d, d, found)), np.empty((d, found))
        factor, before, after = np.empty((d, found)), np.empty((d + 1, found)), np.empty(found)
        for i in range(d):
            for p in range(found):
                step[i, p] = ((first[p] >> i) & 1) - ratio[k, i]
        # patterns in the innermost loops, which then use the processor's vector units
        for h in range(len(points)):
            for i in range(d):
                for p in range(found):  # t o + (1 - t) r
                    factor[i, p] = points[h] * step[i, p] + ratio[k, i]
            # products without i, and without i and j, from both ends: nothing is divided by 0
            for i in range(d):
                before[0, :] = weights[h] * v
                for j in range(d):
                    for p in range(found):
                        before[j + 1, p] = before[j, p] * (1.0 if j == i else factor[j, p])
                after[:] = 1.0
                for j in range(d - 1, i, -1):
                    for p in range(found):
                        pair[i, j, p] += before[j, p] * after[p]
                        after[p] *= factor[j, p]
                for p in range(found):
                    alone[i, p] += before[d, p]
        for i in range(d):
            for p in range(found):
                alone[i, p] *= step[i, p]
            for j in range(i + 1, d):
                for p in range(found):
                    pair[i, j, p] *= step[i, p] * step[j, p] / 2
        for i in range(d):
            a = group[column[k, i]]
            into = out[a, a]
            for r in range(n):
                into[r] += alone[i, at[r]]
            for j in range(i + 1, d):
                b = group[column[k, j]]
                if a == b:  # inside a source: part of its own effect
                    continue
                into_pair = out[min(a, b), max(a, b)]
                for r in range(n):
                    into_pair[r] += pair[i, j, at[r]]
    return base
