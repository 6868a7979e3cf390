"""The bootstrap's loops for numba: what `_discrimination`, `_accuracy`, `_logistic` do, without temporary arrays.

Imported only where there is enough work (`_compiled`), since numba takes half a second to load. The functions are
compiled as they are defined, for the types below, and kept on disk: see `_keep`. Each works through the resamples in
tiles of neighbouring columns, which fit the processor's cache and its vector units. Sums run over patients in a fixed
order, without re-association or fused operations, so that a value depends on neither the tile nor the thread.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float64, int64, uint16, uint64, void
from numba.extending import intrinsic

from immunocast.metrics._machine_code import keep as _keep

#: Columns of a tile.
TILE = 64
#: Words of a generator that are made at once, an even number.
_WORDS = 256
#: Largest argument for which `_tile_of_exponentials` takes its polynomial, and its halvings.
_NEAR, _HALVINGS = 4.0, 4

_COUNTS = uint16[:, ::1]
_ROWS = float64[:, ::1]


def _make_high_product(typing, a, b):
    """Upper 64 bits of the product of two words, which numba has no operator for."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(word, wide) for word in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return uint64(uint64, uint64), generate


_high_product: Any = intrinsic(_make_high_product)


@_keep(void(uint64[:, ::1], uint64[::1], uint64[::1]))
def _next_words(states, step, out):
    """Words of PCG64 (O'Neill 2014, XSL-RR) from two states in turn, which don't wait for each other.

    Parameters
    ----------
    states : (2, 2) the next two states, each its upper word first; changed.
    step : multiplier and increment of two steps at once, each its upper word first.
    out : an even number of words, written.
    """
    upper, lower, add_upper, add_lower = step[0], step[1], step[2], step[3]
    hi0, lo0, hi1, lo1 = states[0, 0], states[0, 1], states[1, 0], states[1, 1]
    one, none, last = uint64(1), uint64(0), uint64(63)
    for k in range(len(out) // 2):
        turn, word = hi0 >> uint64(58), hi0 ^ lo0
        out[2 * k] = (word >> turn) | (word << ((uint64(64) - turn) & last))
        turn, word = hi1 >> uint64(58), hi1 ^ lo1
        out[2 * k + 1] = (word >> turn) | (word << ((uint64(64) - turn) & last))
        hi0 = _high_product(lo0, lower) + hi0 * lower + lo0 * upper + add_upper
        lo0 = lo0 * lower + add_lower
        hi0 += one if lo0 < add_lower else none
        hi1 = _high_product(lo1, lower) + hi1 * lower + lo1 * upper + add_upper
        lo1 = lo1 * lower + add_lower
        hi1 += one if lo1 < add_lower else none
    states[0, 0], states[0, 1], states[1, 0], states[1, 1] = hi0, lo0, hi1, lo1


@_keep(void(uint64[:, ::1], uint64[::1], int64[::1], _COUNTS))
def draw_counts(states, step, rows, counts):
    """Draw m of m persons, for each column of the counts, and write how often each was drawn into its row.

    The numbers are those of NumPy's `Generator(PCG64).integers(0, m)`, m below 2**32: of each word its low half, then
    its high half, and Lemire's multiplication (2019, ACM TOMACS 29:3) in place of a division.

    Parameters
    ----------
    states, step : as for `_next_words`.
    rows : (m,) of the persons.
    counts : (n, B), written.
    """
    n_columns, n_persons = counts.shape[1], len(rows)
    m, half, low = uint64(n_persons), uint64(32), uint64(0xFFFFFFFF)
    floor = (uint64(1) << half) % m  # draws that leave less are made anew, so that all persons are as likely
    words = np.empty(_WORDS, np.uint64)
    at, left, is_left = _WORDS, uint64(0), False
    fours = np.empty((TILE, (n_persons + 3) // 4), np.uint64)  # counters in the processor's cache, four a word
    tile = fours.view(np.uint16)
    for start in range(0, n_columns, TILE):
        width = min(TILE, n_columns - start)
        for t in range(width):
            fours[t, :] = 0
            counters, missing = tile[t], n_persons
            if is_left:
                x = left * m
                is_left = False
                if (x & low) >= floor:
                    counters[x >> half] += uint16(1)
                    missing -= 1
            while missing > 0:
                if at == _WORDS:
                    _next_words(states, step, words)
                    at = 0
                word = words[at]
                at += 1
                x = (word & low) * m
                if (x & low) >= floor:
                    counters[x >> half] += uint16(1)
                    missing -= 1
                    if missing == 0:
                        left, is_left = word >> half, True
                        break
                x = (word >> half) * m
                if (x & low) >= floor:
                    counters[x >> half] += uint16(1)
                    missing -= 1
        for i in range(n_persons):
            column, shift = fours[:, i // 4], uint64(16 * (i % 4))
            of_person = counts[rows[i], start : start + width]
            for t in range(width):
                of_person[t] = uint16(column[t] >> shift)


@_keep(void(_COUNTS, int64[::1], int64[::1], int64[::1], _ROWS))
def rank_sums(counts, order, event, ends, out):
    """Sums of AUROC and AUPRC.

    Parameters
    ----------
    counts : (n, B)
    order : (n,) patients, highest prediction first.
    event : (n,) outcomes in that order.
    ends : (k,) position after the last of each group of equal predictions.
    out : (4, B), written: twice the concordant pairs, average precision times events, events, non-events.
    """
    n_columns = counts.shape[1]
    twice, precision = np.empty(TILE), np.empty(TILE)
    # whole numbers: their sums are exact, and several go into a register
    events, others = np.empty(TILE, np.int32), np.empty(TILE, np.int32)
    group_events, group_others = np.empty(TILE, np.int32), np.empty(TILE, np.int32)
    for start in range(0, n_columns, TILE):
        width = min(TILE, n_columns - start)
        twice[:], precision[:], events[:], others[:] = 0.0, 0.0, 0, 0
        position = 0
        for end in ends:
            group_events[:], group_others[:] = 0, 0
            some_events, some_others = False, False
            while position < end:
                drawn = counts[order[position], start : start + width]
                if event[position] == 1:
                    some_events = True
                    for t in range(width):
                        group_events[t] += drawn[t]
                else:
                    some_others = True
                    for t in range(width):
                        group_others[t] += drawn[t]
                position += 1
            if some_others:
                for t in range(width):
                    # of whole numbers below 2**53: exact
                    twice[t] += float64(group_others[t]) * float64(2 * events[t] + group_events[t])
                    others[t] += group_others[t]
            if some_events:
                for t in range(width):
                    events[t] += group_events[t]
                    called = float64(events[t] + others[t])
                    # where nobody was drawn the quotient is 0 over 1
                    precision[t] += float64(group_events[t]) * (float64(events[t]) / max(called, 1.0))
        found = out[:, start : start + width]
        found[0], found[1], found[2], found[3] = twice[:width], precision[:width], events[:width], others[:width]


@_keep(void(_COUNTS, _ROWS, _ROWS))
def weighted_sums(counts, values, out):
    """Sums over patients of each of k values times the counts: (n, B), (k, n) -> (k, B), written to `out`."""
    n, n_columns = counts.shape
    k = values.shape[0]
    sums = np.empty((k, TILE))
    for start in range(0, n_columns, TILE):
        width = min(TILE, n_columns - start)
        sums[:] = 0.0
        for i in range(n):
            drawn = counts[i, start : start + width]
            for j in range(k):
                value = values[j, i]
                if value != 0.0:
                    total = sums[j]
                    for t in range(width):
                        total[t] += value * drawn[t]
        out[:, start : start + width] = sums[:, :width]


@_keep(void(_COUNTS, int64[::1], int64[::1], _ROWS))
def group_sums(counts, order, ends, out):
    """Counts of groups of patients added up: (n, B) -> (k, B), written to `out`.

    Parameters
    ----------
    counts : (n, B)
    order : (m,) patients, group by group.
    ends : (k,) position after the last of each group.
    """
    n_columns = counts.shape[1]
    for start in range(0, n_columns, TILE):
        width = min(TILE, n_columns - start)
        position = 0
        for g in range(len(ends)):
            group = out[g, start : start + width]
            group[:] = 0.0
            while position < ends[g]:
                drawn = counts[order[position], start : start + width]
                for t in range(width):
                    group[t] += drawn[t]
                position += 1


@_keep(void(_COUNTS, int64[::1], int64[::1], int64, int64, _ROWS))
def _add_up_groups(counts, order, ends, start, width, out):
    """Counts of a tile, patients with equal predictions added up: into (k, TILE)."""
    position = 0
    sums = np.empty(TILE, np.int32)
    for g in range(len(ends)):
        sums[:] = 0
        while position < ends[g]:
            drawn = counts[order[position], start : start + width]
            for t in range(width):
                sums[t] += drawn[t]
            position += 1
        group = out[g]
        for t in range(TILE):
            group[t] = sums[t]


@_keep(void(_COUNTS, int64[::1], int64[::1], float64[::1], int64[::1], float64, float64[::1], float64[::1]))
def intercepts(counts, order, ends, x, event, first, limits, out):
    """Newton's method for the calibration intercept, a column a resample; NaN without both classes.

    Parameters
    ----------
    counts : (n, B)
    order, ends : patients by prediction and the ends of groups of equal predictions, k of them.
    x : (k,) logits of the groups.
    event : (m,) the patients with the event.
    first : the intercept of everybody, from where each column starts.
    limits : most steps, last step, longest step, floor of a curvature.
    out : (B,), written.
    """
    most, last, longest, tiny = int(limits[0]), limits[1], limits[2], limits[3]
    k = len(x)
    w = np.empty((k, TILE))
    decay = np.exp(-x)  # exp(-(x + a)) is a product: no exponential in the loop
    a, factor, observed, total = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    expected, squares = np.empty(TILE), np.empty(TILE)
    for start in range(0, counts.shape[1], TILE):
        width = min(TILE, counts.shape[1] - start)
        _add_up_groups(counts, order, ends, start, width, w)
        observed[:], total[:] = 0.0, 0.0
        for i in event:
            drawn = counts[i, start : start + width]
            for t in range(width):
                observed[t] += drawn[t]
        for g in range(k):
            group = w[g]
            for t in range(width):
                total[t] += group[t]
        open_ = np.zeros(TILE, np.bool_)
        for t in range(width):
            out[start + t] = np.nan
            a[t] = first
            open_[t] = observed[t] > 0.0 and observed[t] < total[t]
        for step in range(most):
            if not open_.any():
                break
            for t in range(width):
                factor[t] = math.exp(-a[t])
            expected[:], squares[:] = 0.0, 0.0
            for g in range(k):
                d, group = decay[g], w[g]
                if step == 0:  # all columns start at one place
                    same = 1.0 / (1.0 + d * factor[0])
                    for t in range(width):
                        expected[t] += group[t] * same
                        squares[t] += group[t] * (same * same)
                    continue
                for t in range(width):
                    mu = 1.0 / (1.0 + d * factor[t])
                    v = group[t] * mu
                    expected[t] += v
                    squares[t] += v * mu
            for t in range(width):
                if open_[t]:
                    up = (observed[t] - expected[t]) / max(expected[t] - squares[t], tiny)
                    up = min(max(up, -longest), longest)
                    a[t] += up
                    if abs(up) <= last * (1.0 + abs(a[t])):
                        open_[t] = False
                        out[start + t] = a[t]


@_keep(void(float64[::1], float64[::1], float64, float64[::1], int64))
def _tile_of_exponentials(level, slope, x, out, width):
    """exp(-(level + slope * x)) of a tile for arguments within _NEAR: (1 + z/16 + ...)^16, to some 1e-15."""
    for t in range(width):
        z = -(level[t] + slope[t] * x) * 0.0625
        r = 1.0 + z * (1.0 / 11.0)
        r = 1.0 + z * (1.0 / 10.0) * r
        r = 1.0 + z * (1.0 / 9.0) * r
        r = 1.0 + z * (1.0 / 8.0) * r
        r = 1.0 + z * (1.0 / 7.0) * r
        r = 1.0 + z * (1.0 / 6.0) * r
        r = 1.0 + z * (1.0 / 5.0) * r
        r = 1.0 + z * (1.0 / 4.0) * r
        r = 1.0 + z * (1.0 / 3.0) * r
        r = 1.0 + z * (1.0 / 2.0) * r
        r = 1.0 + z * r
        r *= r
        r *= r
        r *= r
        out[t] = r * r


@_keep(void(_COUNTS, int64[::1], int64[::1], float64[::1], int64[::1], float64[::1], float64[::1], float64[::1]))
def slopes(counts, order, ends, x, event, event_x, limits, out):
    """Newton's method for the calibration slope, a column a resample; NaN without both classes.

    Parameters
    ----------
    counts, order, ends, event : as for `intercepts`.
    x : (k,) logits of the groups, centred.
    event_x : (m,) logits of the patients with the event, centred.
    limits : as for `intercepts`, then intercept and slope from where each column starts.
    out : (B,), written; NaN too where one prediction alone was drawn. A slope that runs away is caught by the caller.
    """
    most, last, longest, tiny = int(limits[0]), limits[1], limits[2], limits[3]
    first_a, first_b = limits[4], limits[5]
    k = len(x)
    reach = max(np.abs(x).max(), tiny)
    decay = np.exp(-(first_a + first_b * x))
    w = np.empty((k, TILE))
    a, b, da, db = np.empty(TILE), np.empty(TILE), np.zeros(TILE), np.zeros(TILE)
    t0, t1, total, several = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    g0, g1 = np.empty(TILE), np.empty(TILE)
    h00, h01, h11 = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    e, far = np.empty(TILE), np.zeros(TILE, np.bool_)
    for start in range(0, counts.shape[1], TILE):
        width = min(TILE, counts.shape[1] - start)
        _add_up_groups(counts, order, ends, start, width, w)
        t0[:], t1[:], total[:] = 0.0, 0.0, 0.0
        for j in range(len(event)):
            drawn, at = counts[event[j], start : start + width], event_x[j]
            for t in range(width):
                t0[t] += drawn[t]
                t1[t] += drawn[t] * at
        several[:] = 0.0
        for g in range(k):
            group = w[g]
            for t in range(width):
                total[t] += group[t]
                several[t] += min(group[t], 1.0)
        open_ = np.zeros(TILE, np.bool_)
        for t in range(width):
            out[start + t] = np.nan
            a[t], b[t] = first_a, first_b
            # where one prediction alone was drawn, no slope is better than another
            open_[t] = t0[t] > 0.0 and t0[t] < total[t] and several[t] > 1.0
        for step in range(most):
            if not open_.any():
                break
            for t in range(width):
                da[t], db[t] = a[t] - first_a, b[t] - first_b
                far[t] = abs(da[t]) + abs(db[t]) * reach > _NEAR
            any_far = far[:width].any()
            g0[:], g1[:] = 0.0, 0.0
            h00[:], h01[:], h11[:] = 0.0, 0.0, 0.0
            for g in range(k):
                xg, group = x[g], w[g]
                xx = xg * xg
                if step == 0:  # all columns start at one place
                    same = 1.0 / (1.0 + decay[g])
                    curved = same * (1.0 - same)
                    for t in range(width):
                        v = group[t] * same
                        g0[t] += v
                        g1[t] += v * xg
                        v = group[t] * curved
                        h00[t] += v
                        h01[t] += v * xg
                        h11[t] += v * xx
                    continue
                _tile_of_exponentials(da, db, xg, e, width)
                for t in range(width):
                    e[t] *= decay[g]
                if any_far:  # column by column, so that none depends on its neighbours
                    for t in range(width):
                        if far[t]:
                            e[t] = math.exp(min(-(a[t] + b[t] * xg), 700.0))
                for t in range(width):
                    mu = 1.0 / (1.0 + e[t])
                    v = group[t] * mu
                    g0[t] += v
                    g1[t] += v * xg
                    v *= 1.0 - mu
                    h00[t] += v
                    h01[t] += v * xg
                    h11[t] += v * xx
            for t in range(width):
                if open_[t]:
                    r0, r1 = t0[t] - g0[t], t1[t] - g1[t]
                    determinant = max(h00[t] * h11[t] - h01[t] * h01[t], tiny)
                    up = (h11[t] * r0 - h01[t] * r1) / determinant
                    tilt = (h00[t] * r1 - h01[t] * r0) / determinant
                    shorten = longest / max(abs(up) + abs(tilt) * reach, longest)
                    a[t] += up * shorten
                    b[t] += tilt * shorten
                    if abs(up) <= last * (1.0 + abs(a[t])) and abs(tilt) <= last * (1.0 + abs(b[t])):
                        open_[t] = False
                        out[start + t] = b[t]
