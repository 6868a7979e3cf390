"""Exact SHAP values of trees of any depth, by one walk over the nodes for a group of patients.

The weight k! (D - 1 - k)! / D! of a coalition of k is the integral of t**k (1 - t)**(D - 1 - k) over 0 to 1, so that
feature i of a leaf of value v has

    v (o_i - z_i) * integral of the product over j other than i of (z_j (1 - t) + o_j t),

a polynomial of degree D - 1 in t, which ceil(D / 2) points of Gauss and Legendre integrate exactly. Products are
carried down the tree and sums of them back up: a node costs ceil(D / 2) terms, where the recursion of Lundberg et al.
(2018) costs D for each leaf's D features. A feature that is met again replaces its factor (as in Yu et al. 2022,
arXiv:2209.08192).
"""

from __future__ import annotations

import numpy as np
from numba import boolean, float64, int32, int64, types, void

from immunocast.metrics._machine_code import keep

#: Patients that walk together.
GROUP = 32

_INTS = int32[::1]
_FLOATS = float64[::1]


@keep(types.Tuple((_INTS, _FLOATS))(_INTS, _INTS, _FLOATS))
def merged_shares(parent, feature, ratio):
    """For each node the last node before it whose split is on the same feature, -1 if none, and the product of shares.

    Parameters
    ----------
    parent, feature : of the nodes; a node's own feature plays no part, its parent's does.
    ratio : share of the parent's cover.
    """
    previous, share = np.full(len(parent), -1, np.int32), ratio.copy()
    for k in range(len(parent)):
        above = parent[k]
        if above < 0:
            continue
        at = int64(above)
        while parent[at] >= 0:
            if feature[parent[at]] == feature[above]:
                previous[k], share[k] = at, ratio[k] * share[at]
                break
            at = int64(parent[at])
    return previous, share


@keep(
    void(
        float64[:, ::1], boolean, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS, _FLOATS, boolean[::1], _INTS, _FLOATS,
        _FLOATS, _INTS, float64[:, ::1], float64[:, ::1], float64[:, ::1],
    )
)  # fmt: skip
def walk(
    block, closed, roots, right, parent, end, depth, feature, threshold, missing_left, previous, share,
    value, n_points, points, weights, out,
):  # fmt: skip
    """Write the SHAP values of a block of patients.

    Parameters
    ----------
    block : (features, m), missing as NaN; rounded to float32 where the ensemble compares so.
    closed : of the ensemble.
    roots, right, parent, end, depth, feature, threshold, missing_left, value : of the nodes.
    previous, share : from `merged_shares`.
    n_points : (trees,) points of the integral.
    points, weights : (k, k - 1) points and weights on 0 to 1, row i for i points.
    out : (m, features), written.
    """
    n_features, deepest, most = block.shape[0], 0, points.shape[1]
    for k in range(len(depth)):
        deepest = max(deepest, int64(depth[k]))
    values, total = np.empty((n_features, GROUP)), np.empty((n_features, GROUP))
    holds = np.empty((deepest + 1, GROUP), np.bool_)
    product, summed = np.empty((deepest + 1, most, GROUP)), np.empty((deepest + 1, most, GROUP))
    integral, integral_before = np.empty(GROUP), np.empty(GROUP)
    for a in range(0, block.shape[1], GROUP):
        m = min(GROUP, block.shape[1] - a)
        values[:] = 0.0
        for i in range(m):
            for f in range(n_features):
                values[f, i] = block[f, a + i]
        total[:] = 0.0
        for tree in range(len(roots)):
            root, n = int64(roots[tree]), int64(n_points[tree])
            product[0] = 1.0
            for k in range(root, end[root]):
                d = int64(depth[k])
                if k != root:
                    above, before = int64(parent[k]), int64(previous[k])
                    x, limit, is_left = values[feature[above]], threshold[above], k == above + 1
                    hold, missing_here = holds[d], missing_left[above] == is_left
                    for i in range(GROUP):
                        below = x[i] <= limit if closed else x[i] < limit
                        hold[i] = missing_here if x[i] != x[i] else below == is_left
                    z = share[k]
                    if before >= 0:
                        z_before, held = share[before], holds[depth[before]]
                        for i in range(GROUP):
                            hold[i] = hold[i] and held[i]
                        for q in range(n):
                            t = points[n, q]
                            out_, in_ = z * (1.0 - t), z * (1.0 - t) + t
                            out_before, in_before = z_before * (1.0 - t), z_before * (1.0 - t) + t
                            # a factor of 0 has made the product 0, which it stays
                            changed_out = out_ / out_before if out_before > 0.0 else 0.0
                            changed_in, changed = in_ / in_before, out_ / in_before
                            p, to = product[d - 1, q], product[d, q]
                            for i in range(GROUP):
                                to[i] = p[i] * (changed_in if hold[i] else (changed if held[i] else changed_out))
                    else:
                        for q in range(n):
                            t = points[n, q]
                            out_, in_ = z * (1.0 - t), z * (1.0 - t) + t
                            p, to = product[d - 1, q], product[d, q]
                            for i in range(GROUP):
                                to[i] = p[i] * (in_ if hold[i] else out_)
                if right[k] >= 0:
                    summed[d, :n] = 0.0
                    continue
                v = value[k]
                for q in range(n):
                    p, to = product[d, q], summed[d, q]
                    for i in range(GROUP):
                        to[i] = p[i] * v
                # close the node, and each above it whose right child this closes
                node = int64(k)
                while node != root:
                    above, before, d = int64(parent[node]), int64(previous[node]), int64(depth[node])
                    z, hold = share[node], holds[d]
                    integral[:] = 0.0
                    for q in range(n):
                        t, w = points[n, q], weights[n, q]
                        out_ = z * (1.0 - t)
                        by_in, by_out = w / (out_ + t), (w / out_ if out_ > 0.0 else 0.0)
                        s, up = summed[d, q], summed[d - 1, q]
                        for i in range(GROUP):
                            integral[i] += s[i] * (by_in if hold[i] else by_out)
                            up[i] += s[i]
                    of_feature = total[feature[above]]
                    for i in range(GROUP):
                        of_feature[i] += integral[i] * ((1.0 if hold[i] else 0.0) - z)
                    if before >= 0:
                        # these leaves were no part of what the feature decided before
                        z_before, held = share[before], holds[depth[before]]
                        integral_before[:] = 0.0
                        for q in range(n):
                            t, w = points[n, q], weights[n, q]
                            out_ = z_before * (1.0 - t)
                            by_in, by_out = w / (out_ + t), (w / out_ if out_ > 0.0 else 0.0)
                            s = summed[d, q]
                            for i in range(GROUP):
                                integral_before[i] += s[i] * (by_in if held[i] else by_out)
                        for i in range(GROUP):
                            of_feature[i] -= integral_before[i] * ((1.0 if held[i] else 0.0) - z_before)
                    if node == above + 1:
                        break
                    node = above
        for i in range(m):
            for f in range(n_features):
                out[a + i, f] = total[f, i]


def gauss_legendre(most: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights (most + 1, most) on 0 to 1; row n has n."""
    points, weights = np.zeros((most + 1, max(most, 1))), np.zeros((most + 1, max(most, 1)))
    for n in range(1, most + 1):
        x, w = np.polynomial.legendre.leggauss(n)
        points[n, :n], weights[n, :n] = (x + 1) / 2, w / 2
    return points, weights
