"""Trees cut into units: subtrees whose conditions take so few combinations that all can be tabulated.

The SHAP values of a subtree's leaves depend on the outcomes of the conditions in it and above it, nothing else. A
feature with m thresholds has m + 1 outcomes, not 2**m; a missing value is like one of them where all its conditions
send it to the same side, and an outcome of its own where not. The combinations are numbered in mixed radix: the row of
a patient is the sum of the strides of the conditions that hold.
"""

from __future__ import annotations

import numpy as np
from numba import boolean, float64, int32, int64, types, uint8

from immunocast.metrics._machine_code import keep

#: Most conditions in a unit.
MOST_CONDITIONS = 24
#: Kinds of conditions: value below the threshold, the same but true where missing, missing.
BELOW, BELOW_OR_MISSING, MISSING = 0, 1, 2

_INTS = int32[::1]
_FLOATS = float64[::1]
_BOOLS = boolean[::1]


@keep(int64(_INTS, _FLOATS, _BOOLS, int64, int64, int32, float64, boolean))
def _insert(found, limits, sides, n, used, feature, threshold, missing_left):
    """Add a condition to the first n, kept in order of feature and threshold. Returns their new number.

    `sides` has a place for either side to which a missing value goes, (2 used): [i] where left, [used + i] where right.
    """
    at = 0
    while at < n and (found[at] < feature or (found[at] == feature and limits[at] < threshold)):
        at += 1
    if at < n and found[at] == feature and limits[at] == threshold:
        sides[at if missing_left else used + at] = True
        return n
    if n == used:
        return n + 1
    for i in range(n, at, -1):
        found[i], limits[i] = found[i - 1], limits[i - 1]
        sides[i], sides[used + i] = sides[i - 1], sides[used + i - 1]
    found[at], limits[at] = feature, threshold
    sides[at], sides[used + at] = missing_left, not missing_left
    return n + 1


@keep(int64(_INTS, _FLOATS, _BOOLS, int64, int64, int64, _INTS, _INTS, _INTS, _INTS, _FLOATS, _BOOLS))
def _insert_piece(found, limits, sides, n, used, node, right, parent, end, feature, threshold, missing_left):
    """Add the conditions in and above the subtree of a node; a number above `used` where they are too many."""
    at = int64(parent[node])
    while at >= 0:
        n = _insert(found, limits, sides, n, used, feature[at], threshold[at], missing_left[at])
        if n > used:
            return n
        at = int64(parent[at])
    for k in range(node, end[node]):
        if right[k] >= 0:
            n = _insert(found, limits, sides, n, used, feature[k], threshold[k], missing_left[k])
            if n > used:
                return n
    return n


@keep(int64(_INTS, _BOOLS, int64, int64))
def _n_rows(found, sides, n, used):
    """Combinations of the outcomes of n conditions."""
    rows, i = 1, 0
    while i < n:
        j, some_left, some_right = i, False, False
        while j < n and found[j] == found[i]:
            some_left |= sides[j]
            some_right |= sides[used + j]
            j += 1
        rows *= j - i + (2 if some_left and some_right else 1)
        i = j
    return rows


@keep(types.Tuple((_INTS, _INTS))(_INTS, _INTS, _INTS, _INTS, _INTS, _FLOATS, _BOOLS, int64))
def cut(roots, right, parent, end, feature, threshold, missing_left, most_rows):
    """Cut trees into the largest subtrees of at most `most_rows` combinations, and put small neighbours together.

    Returns
    -------
    pieces : root nodes of the subtrees.
    starts : (units + 1,) first piece of each unit; empty where even a single leaf has more combinations.
    """
    used = MOST_CONDITIONS
    found, limits, sides = np.empty(used, np.int32), np.empty(used), np.empty(2 * used, np.bool_)
    other, other_limits, other_sides = np.empty(used, np.int32), np.empty(used), np.empty(2 * used, np.bool_)
    pieces, starts = np.empty(len(right), np.int32), np.empty(len(right) + 1, np.int32)
    stack = np.empty(len(right) + 1, np.int32)
    n_pieces, n_units, n = 0, 0, 0
    starts[0] = 0
    for root in roots:
        stack[0] = root
        top = 1
        while top > 0:
            top -= 1
            node = int64(stack[top])
            # half of a subtree's nodes and one are leaves, and its conditions are at least its depth's worth
            fits = False
            if (end[node] - node) // 2 <= 2 * used:
                k = _insert_piece(
                    other,
                    other_limits,
                    other_sides,
                    0,
                    used,
                    node,
                    right,
                    parent,
                    end,
                    feature,
                    threshold,
                    missing_left,
                )
                fits = k <= used and _n_rows(other, other_sides, k, used) <= most_rows
            if not fits:
                if right[node] < 0:
                    return pieces[:0].copy(), starts[:0].copy()
                stack[top], stack[top + 1] = right[node], node + 1
                top += 2
                continue
            if n_pieces > starts[n_units]:
                # room beside the pieces that the unit has?
                other[:], other_limits[:], other_sides[:] = found, limits, sides
                k = _insert_piece(
                    other,
                    other_limits,
                    other_sides,
                    n,
                    used,
                    node,
                    right,
                    parent,
                    end,
                    feature,
                    threshold,
                    missing_left,
                )
                if k > used or _n_rows(other, other_sides, k, used) > most_rows:
                    n_units += 1
                    starts[n_units] = n_pieces
                    k = 0
            else:
                k = 0
            if k == 0:
                k = _insert_piece(
                    other,
                    other_limits,
                    other_sides,
                    0,
                    used,
                    node,
                    right,
                    parent,
                    end,
                    feature,
                    threshold,
                    missing_left,
                )
            found[:], limits[:], sides[:] = other, other_limits, other_sides
            n = k
            pieces[n_pieces] = node
            n_pieces += 1
    if n_pieces > starts[n_units]:
        n_units += 1
        starts[n_units] = n_pieces
    return pieces[:n_pieces].copy(), starts[: n_units + 1].copy()


@keep(
    types.Tuple((_INTS, _INTS, _FLOATS, uint8[::1], _INTS, _INTS))(
        _INTS, _INTS, _INTS, _INTS, _INTS, _INTS, _FLOATS, _BOOLS
    )
)
def conditions(pieces, starts, right, parent, end, feature, threshold, missing_left):
    """Conditions of each unit, in order of feature and threshold; a feature's condition of being missing comes last.

    Returns
    -------
    ends : (units + 1,) first condition of each unit.
    feature, threshold, kind, stride : (conditions,)
    rows : (units,) combinations.
    """
    used = MOST_CONDITIONS
    n_units = len(starts) - 1
    found, limits, sides = np.empty(used, np.int32), np.empty(used), np.empty(2 * used, np.bool_)
    size = 2 * used * n_units
    features, thresholds = np.empty(size, np.int32), np.empty(size)
    kinds, strides = np.empty(size, np.uint8), np.empty(size, np.int32)
    ends, rows = np.zeros(n_units + 1, np.int32), np.empty(n_units, np.int32)
    at = 0
    for u in range(n_units):
        n = int64(0)
        for p in range(starts[u], starts[u + 1]):
            n = _insert_piece(
                found, limits, sides, n, used, pieces[p], right, parent, end, feature, threshold, missing_left
            )
        stride, i = 1, 0
        while i < n:
            j, some_left, some_right = i, False, False
            while j < n and found[j] == found[i]:
                some_left |= sides[j]
                some_right |= sides[used + j]
                j += 1
            for k in range(i, j):
                features[at], thresholds[at], strides[at] = found[k], limits[k], stride
                kinds[at] = BELOW_OR_MISSING if some_left and not some_right else BELOW
                at += 1
            levels = j - i + 1
            if some_left and some_right:
                features[at], thresholds[at], kinds[at], strides[at] = found[i], 0.0, MISSING, stride * levels
                at += 1
                levels += 1
            stride *= levels
            i = j
        ends[u + 1], rows[u] = at, stride
    return ends, features[:at].copy(), thresholds[:at].copy(), kinds[:at].copy(), strides[:at].copy(), rows
