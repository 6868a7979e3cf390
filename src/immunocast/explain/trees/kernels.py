"""Rows of tables found and added up, block by block of patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import boolean, float32, float64, int32, int64, types, uint8, void
from numba.extending import intrinsic

from immunocast.explain.trees.units import BELOW, BELOW_OR_MISSING
from immunocast.metrics._machine_code import keep

#: Bytes that are added at once; rows of tables are as wide as a multiple of it.
LANE_BYTES = 64
#: Units whose rows are added in one go; their number is a multiple of it.
TOGETHER = 4
#: Patients of a block: their values and sums stay in the processor's cache while the tables pass by.
BLOCK = 2048


def _make_add_rows(typing, total, at, table, a, b, c, d):
    """total[at : at + lanes] += table[a...] + table[b...] + table[c...] + table[d...], as one vector."""
    if not (isinstance(total, types.Array) and total.dtype == table.dtype):
        return None
    lanes = LANE_BYTES // (total.dtype.bitwidth // 8)

    def generate(context, builder, signature, arguments):
        real = ir.FloatType() if signature.args[0].dtype.bitwidth == 32 else ir.DoubleType()
        vector, align = ir.VectorType(real, lanes), signature.args[0].dtype.bitwidth // 8

        def place(which, offset):
            data = context.make_array(signature.args[which])(context, builder, arguments[which]).data
            return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

        def read(which, offset):
            found = builder.load(place(which, offset))
            found.align = align
            return found

        first = builder.fadd(read(2, arguments[3]), read(2, arguments[4]))
        second = builder.fadd(read(2, arguments[5]), read(2, arguments[6]))
        added = builder.fadd(read(0, arguments[1]), builder.fadd(first, second))
        builder.store(added, place(0, arguments[1])).align = align
        return context.get_dummy_value()

    return types.none(total, int64, table, int64, int64, int64, int64), generate


_add_rows: Any = intrinsic(_make_add_rows)


def _take(X, first, single, values):
    """Values (features, m) of patients from `first` on, feature by feature; rounded to float32 where `single`."""
    for i in range(values.shape[1]):
        for f in range(values.shape[0]):
            values[f, i] = np.float32(X[first + i, f]) if single else X[first + i, f]


take = keep(
    *(
        void(types.Array(matrix, 2, "C", readonly=True), int64, boolean, compared[:, ::1])
        for matrix in (float32, float64)
        for compared in (float32, float64)
    )
)(_take)


def _score(
    values, closed, ends, cond_feature, cond_threshold, cond_kind, cond_stride, first_row, table, width, out,
):  # fmt: skip
    """Write the SHAP values of a block of patients.

    Parameters
    ----------
    values : (features, m), missing as NaN; in the type of cond_threshold.
    closed : whether a condition holds at its threshold.
    ends, cond_feature, cond_threshold, cond_kind, cond_stride, first_row : of units, as `units` makes them.
    table : (rows * width,)
    width : columns of a row, a multiple of what LANE_BYTES hold.
    out : (m, features), written.
    """
    n_features, m = values.shape
    n_units, lanes = len(first_row) - 1, LANE_BYTES // table.itemsize
    rows = np.empty((TOGETHER, m), np.int32)
    total = np.zeros(m * width, table.dtype)
    step = np.int64(width)
    for u in range(0, n_units, TOGETHER):
        for g in range(TOGETHER):
            row = rows[g]
            row[:] = 0
            for c in range(ends[u + g], ends[u + g + 1]):
                x, limit, stride, kind = values[cond_feature[c]], cond_threshold[c], cond_stride[c], cond_kind[c]
                if kind == BELOW:
                    if closed:
                        for i in range(m):
                            row[i] += stride if x[i] <= limit else np.int32(0)
                    else:
                        for i in range(m):
                            row[i] += stride if x[i] < limit else np.int32(0)
                elif kind == BELOW_OR_MISSING:
                    if closed:
                        for i in range(m):
                            row[i] += np.int32(0) if x[i] > limit else stride
                    else:
                        for i in range(m):
                            row[i] += np.int32(0) if x[i] >= limit else stride
                else:
                    for i in range(m):
                        row[i] += stride if x[i] != x[i] else np.int32(0)
        r0, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
        f0, f1, f2, f3 = first_row[u], first_row[u + 1], first_row[u + 2], first_row[u + 3]
        for i in range(m):
            to = i * step
            t0, t1, t2, t3 = (f0 + r0[i]) * step, (f1 + r1[i]) * step, (f2 + r2[i]) * step, (f3 + r3[i]) * step
            for k in range(0, step, lanes):
                _add_rows(total, to + k, table, t0 + k, t1 + k, t2 + k, t3 + k)
    for i in range(m):
        for f in range(n_features):
            out[i, f] = total[i * step + f]


def _signature(compared, real):
    return void(
        compared[:, ::1], boolean, int32[::1], int32[::1], compared[::1], uint8[::1], int32[::1], int64[::1],
        real[::1], int64, real[:, ::1],
    )  # fmt: skip


score = keep(_signature(float32, float32), _signature(float32, float64), _signature(float64, float64))(_score)
