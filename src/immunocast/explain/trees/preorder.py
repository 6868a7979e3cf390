"""Walks over the nodes of all trees, compiled."""

from __future__ import annotations

import numpy as np
from numba import float64, int32, types

from immunocast.metrics._machine_code import keep

_INTS = int32[::1]
_FLOATS = float64[::1]


@keep(types.UniTuple(_INTS, 5)(_INTS, _INTS, _INTS))
def ordered(left, right, roots):
    """Preorder of the nodes that can be reached.

    Parameters
    ----------
    left, right : (m,) children over all trees, -1 at leaves.
    roots : (trees,)

    Returns
    -------
    order : (k,) old number of each node.
    roots, parent, end, depth : by new numbers; parent is -1 at roots, `end` one after the last node of the subtree.
    """
    m = len(left)
    order, parent, depth = np.empty(m, np.int32), np.empty(m, np.int32), np.empty(m, np.int32)
    end, new_roots, stack = np.empty(m, np.int32), np.empty(len(roots), np.int32), np.empty((m + 1, 3), np.int32)
    k = 0
    for t in range(len(roots)):
        new_roots[t] = k
        stack[0, 0], stack[0, 1], stack[0, 2] = roots[t], -1, 0
        top = 1
        while top > 0:
            top -= 1
            old, above, level = stack[top, 0], stack[top, 1], stack[top, 2]
            order[k], parent[k], depth[k] = old, above, level
            if left[old] >= 0:
                stack[top, 0], stack[top, 1], stack[top, 2] = right[old], k, level + 1
                stack[top + 1, 0], stack[top + 1, 1], stack[top + 1, 2] = left[old], k, level + 1
                top += 2
            k += 1
    for i in range(k - 1, -1, -1):
        if left[order[i]] < 0:
            end[i] = i + 1
        if parent[i] >= 0 and parent[i] != i - 1:  # the right child closes its parent
            end[parent[i]] = end[i]
    return order[:k].copy(), new_roots, parent[:k].copy(), end[:k].copy(), depth[:k].copy()


@keep(_INTS(_INTS, _INTS, _INTS))
def distinct_features(parent, feature, depth):
    """Distinct features among the splits above each node."""
    out = np.zeros(len(parent), np.int32)
    for k in range(len(parent)):
        above = parent[k]
        if above < 0:
            continue
        out[k] = out[above] + 1
        at = parent[above]
        while at >= 0:
            if feature[at] == feature[above]:
                out[k] = out[above]
                break
            at = parent[at]
    return out


@keep(float64(_INTS, _FLOATS, _FLOATS, _INTS))
def mean_output(right, ratio, value, roots):
    """Sum over trees of the mean of the leaves, each weighted by the shares of cover on its way."""
    mean = value.copy()
    for k in range(len(right) - 1, -1, -1):
        if right[k] >= 0:
            mean[k] = ratio[k + 1] * mean[k + 1] + ratio[right[k]] * mean[right[k]]
    total = 0.0
    for r in roots:
        total += mean[r]
    return total
