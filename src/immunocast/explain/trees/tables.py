"""The tables of a cut ensemble: SHAP values for each combination of a unit's conditions.

For a leaf of value v below D distinct features, with z_i the share of training cover that takes the way that feature i
decides and o_i whether the patient takes it, feature i has

    v (o_i - z_i) sum_k w_k e_k,    w_k = k! (D - 1 - k)! / D!,

where e_k is the coefficient of t**k in the product of z_j + o_j t over the other features (Lundberg et al. 2018,
arXiv:1802.03888, whose recursion sums the same terms).
"""

from __future__ import annotations

import numpy as np
from numba import boolean, float32, float64, int32, int64, uint8, void

from immunocast.explain.trees.units import MISSING, MOST_CONDITIONS
from immunocast.metrics._machine_code import keep

_INTS = int32[::1]
_FLOATS = float64[::1]
_BOOLS = boolean[::1]


@keep(void(_FLOATS, int64, float64, _FLOATS))
def _leaf_values(share, n, value, out):
    """Values (2**n, n) of the n features of a leaf, by which of them lead to it: bit i of the row for feature i."""
    weight, terms = np.empty(n), np.empty(n)
    weight[0] = 1.0 / n
    for k in range(1, n):
        weight[k] = weight[k - 1] * k / (n - k)
    for pattern in range(1 << n):
        for i in range(n):
            terms[:] = 0.0
            terms[0] = 1.0
            size = 0
            for j in range(n):
                if j == i:
                    continue
                if (pattern >> j) & 1:
                    for k in range(size + 1, 0, -1):
                        terms[k] = terms[k] * share[j] + terms[k - 1]
                    size += 1
                    terms[0] *= share[j]
                else:
                    for k in range(size + 1):
                        terms[k] *= share[j]
            total = 0.0
            for k in range(size + 1):
                total += weight[k] * terms[k]
            out[pattern * n + i] = value * (float64((pattern >> i) & 1) - share[i]) * total


def _fill(
    pieces, starts, ends, cond_feature, cond_threshold, cond_kind, cond_stride, first_row,
    right, parent, end, feature, threshold, missing_left, ratio, value, width, table,
):  # fmt: skip
    """Write the tables.

    Parameters
    ----------
    pieces, starts, ends, cond_feature, cond_threshold, cond_kind, cond_stride : as `units` makes them.
    first_row : (units + 1,) first row of each unit.
    right, parent, end, feature, threshold, missing_left, ratio, value : of the nodes.
    width : columns of a row.
    table : (rows * width,), zeros; written.
    """
    most = MOST_CONDITIONS
    slots = most + 1
    slot_feature, slot_first = np.empty(slots, np.int64), np.empty(slots + 1, np.int64)
    slot_levels, slot_mixed = np.empty(slots, np.int64), np.empty(slots, np.bool_)
    holds = np.empty((slots, most + 2), np.uint8)
    share, of_slot, local = np.empty(slots), np.empty(slots, np.int64), np.empty(slots, np.int64)
    largest = 0
    for u in range(len(starts) - 1):
        largest = max(largest, first_row[u + 1] - first_row[u])
    work, leaf = np.empty(largest * slots), np.empty(largest * slots)
    digits = np.empty((slots, largest), np.uint8)
    pattern = np.empty(largest, np.int32)
    for u in range(len(starts) - 1):
        rows = first_row[u + 1] - first_row[u]
        # the unit's features and their outcomes
        n_slots, c = 0, int64(ends[u])
        while c < ends[u + 1]:
            first = c
            while c < ends[u + 1] and cond_feature[c] == cond_feature[first] and cond_kind[c] != MISSING:
                c += 1
            slot_feature[n_slots], slot_first[n_slots], slot_levels[n_slots] = cond_feature[first], first, c - first
            mixed = c < ends[u + 1] and cond_feature[c] == cond_feature[first]
            slot_mixed[n_slots] = mixed
            stride, levels = int64(cond_stride[first]), c - first + 1 + int64(mixed)
            c += int64(mixed)
            digit, left_over = 0, stride
            for r in range(rows):
                digits[n_slots, r] = digit
                left_over -= 1
                if left_over == 0:
                    left_over = stride
                    digit = digit + 1 if digit + 1 < levels else 0
            n_slots += 1
        work[: rows * n_slots] = 0.0
        for p in range(starts[u], starts[u + 1]):
            for node in range(pieces[p], end[pieces[p]]):
                if right[node] >= 0 or parent[node] < 0:
                    continue
                n = 0
                local[:n_slots] = -1
                at, child = int64(parent[node]), int64(node)
                while at >= 0:
                    s = 0
                    while slot_feature[s] != feature[at]:
                        s += 1
                    levels = slot_levels[s]
                    if local[s] < 0:
                        local[s], of_slot[n], share[n] = n, s, 1.0
                        holds[n, : levels + 2] = 1
                        n += 1
                    i = local[s]
                    share[i] *= ratio[child]
                    left = child == at + 1
                    j = 0
                    while cond_threshold[slot_first[s] + j] != threshold[at]:
                        j += 1
                    # of the sorted thresholds those from one on lie above a value: `level` of them do
                    for level in range(levels + 1):
                        if (level >= levels - j) != left:
                            holds[i, level] = 0
                    if slot_mixed[s] and missing_left[at] != left:
                        holds[i, levels + 1] = 0
                    child = at
                    at = int64(parent[at])
                _leaf_values(share, n, value[node], leaf)
                pattern[:rows] = 0
                for i in range(n):
                    digit_of, held, bit = digits[of_slot[i]], holds[i], np.int32(1 << i)
                    for r in range(rows):
                        if held[digit_of[r]]:
                            pattern[r] |= bit
                for i in range(n):
                    column = work[of_slot[i] * rows : (of_slot[i] + 1) * rows]
                    for r in range(rows):
                        column[r] += leaf[pattern[r] * n + i]
        for s in range(n_slots):
            to = first_row[u] * width + slot_feature[s]
            for r in range(rows):
                table[to + r * width] = work[s * rows + r]


def _signature(real):
    return void(
        _INTS, _INTS, _INTS, _INTS, _FLOATS, uint8[::1], _INTS, int64[::1],
        _INTS, _INTS, _INTS, _INTS, _FLOATS, _BOOLS, _FLOATS, _FLOATS, int64, real[::1],
    )  # fmt: skip


fill = keep(_signature(float32), _signature(float64))(_fill)
