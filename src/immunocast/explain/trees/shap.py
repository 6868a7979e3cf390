"""Exact path-dependent SHAP values of tree ensembles: tables for many patients, a walk over the nodes for few.

Both give the Shapley values of TreeSHAP (Lundberg et al. 2018, arXiv:1802.03888): a feature that is absent is averaged
over the training rows that reach a node. They agree to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from immunocast.errors import ConfigError
from immunocast.explain.trees import kernels, paths, tables, units
from immunocast.explain.trees.ensemble import Ensemble, ensemble_of
from immunocast.explain.trees.flat import Flat, flat_of
from immunocast.explain.trees.parallel import over_rows

#: Most combinations of conditions in a unit.
MOST_ROWS = 512
#: Largest tables that are made without being asked for, in bytes.
MOST_BYTES = 512 * 2**20

Method = Literal["auto", "tables", "paths"]


@dataclass(frozen=True)
class _Tables:
    """Units and their tables, as `kernels.score` takes them."""

    ends: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    kind: np.ndarray
    stride: np.ndarray
    first_row: np.ndarray
    table: np.ndarray
    width: int


class TreeShap:
    """SHAP values of one fitted ensemble, made ready once.

    Parameters
    ----------
    model : an estimator that `ensemble_of` reads, or an Ensemble.
    method : "tables", "paths" (the walk), or "auto": tables where they pay for `n_rows` (`pays`), take at most
        MOST_BYTES and every leaf has at most `most_rows` combinations of conditions above it.
    n_rows : rows that are to be explained.
    most_rows : most combinations of conditions in a unit.

    Attributes
    ----------
    method : "tables" or "paths".
    base_value : mean output over the training rows, as the trees' covers weigh them.
    scale : "log-odds" or "probability".
    dtype : of values and tables: float32 for XGBoost by tables, whose own output is no finer; else float64.
    table_bytes : memory of the tables, 0 for paths.

    Raises
    ------
    ConfigError
        Where the estimator is of a kind that can't be read, or method "tables" is asked of trees too deep for it.
    """

    def __init__(self, model: Any, *, method: Method = "auto", n_rows: int = 0, most_rows: int = MOST_ROWS) -> None:
        ensemble = model if isinstance(model, Ensemble) else ensemble_of(model)
        if ensemble is None:
            raise ConfigError(f"A {type(model).__name__} is no tree ensemble that can be read.")
        if method not in ("auto", "tables", "paths"):
            raise ConfigError(f"method is {method!r}; known: auto, tables, paths.")
        self.scale, self.n_features = ensemble.scale, ensemble.n_features
        self._closed, self._single = ensemble.closed, ensemble.single
        flat = flat_of(ensemble)
        self.base_value = float(flat.base)
        self._flat = flat
        self._tables = None
        if method != "paths":
            real = np.dtype(np.float32 if ensemble.single and ensemble.scale == "log-odds" else np.float64)
            self._tables = _tables_of(flat, self.n_features, real, self._single, method, n_rows, most_rows)
        self.method = "tables" if self._tables else "paths"
        self.dtype = self._tables.table.dtype if self._tables else np.dtype(np.float64)
        self.table_bytes = self._tables.table.nbytes if self._tables else 0
        if not self._tables:
            self._previous, self._share = paths.merged_shares(flat.parent, flat.feature, flat.ratio)
            self._n_points = _n_points(flat)
            self._points, self._weights = paths.gauss_legendre(int(self._n_points.max(initial=0)))

    def values(self, X: Any, *, threads: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """SHAP values (n, features) on `scale`; with `base_value` a row adds up to the output.

        Parameters
        ----------
        X : (n, features) numbers, frame or array; missing as NaN. Compared as the library does, XGBoost and
            scikit-learn's forests as float32.
        threads : to spread rows over; the values do not depend on it.
        out : (n, features) of `dtype`, C order, written in place of a new array.

        Raises
        ------
        ConfigError
            Where X has other columns than the ensemble, or is not of numbers; where `out` does not fit.
        """
        matrix = _matrix(X, self.n_features)
        if out is None:
            out = np.empty(matrix.shape, self.dtype)
        elif out.shape != matrix.shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ConfigError(f"out has to be a C-ordered array {matrix.shape} of {self.dtype}.")
        over_rows(lambda a, b: self._write(matrix[a:b], out[a:b]), len(matrix), kernels.BLOCK, threads)
        return out

    def _write(self, matrix: np.ndarray, out: np.ndarray) -> None:
        """Values of some rows, block by block."""
        flat, t = self._flat, self._tables
        compared = t.threshold.dtype if t else np.dtype(np.float64)
        for first in range(0, len(matrix), kernels.BLOCK):
            into = out[first : first + kernels.BLOCK]
            block = np.empty(into.shape[::-1], compared)
            kernels.take(matrix, first, self._single, block)
            if t:
                kernels.score(
                    block, self._closed, t.ends, t.feature, t.threshold, t.kind, t.stride, t.first_row, t.table,
                    t.width, into,
                )  # fmt: skip
            else:
                paths.walk(
                    block, self._closed, flat.roots, flat.right, flat.parent, flat.end, flat.depth, flat.feature,
                    flat.threshold, flat.missing_left, self._previous, self._share, flat.value, self._n_points,
                    self._points, self._weights, into,
                )  # fmt: skip


def _tables_of(
    flat: Flat, n_features: int, real: np.dtype, single: bool, method: str, n_rows: int, most_rows: int
) -> _Tables | None:
    """Cut and tabulate; None where "auto" prefers the walk."""
    nodes = (flat.right, flat.parent, flat.end, flat.feature, flat.threshold, flat.missing_left)
    pieces, starts = units.cut(flat.roots, *nodes, most_rows)
    if len(flat.roots) and not len(starts):
        if method == "tables":
            raise ConfigError(
                f"A tree is too deep for tables: a leaf's conditions take more than {most_rows} combinations, or are "
                f"more than {units.MOST_CONDITIONS}. Set method=paths."
            )
        return None
    ends, feature, threshold, kind, stride, rows = units.conditions(pieces, starts, *nodes)
    spare = -len(rows) % kernels.TOGETHER  # units without conditions, of one row of zeros
    ends = np.append(ends, np.repeat(ends[-1:], spare)).astype(np.int32)
    first_row = np.concatenate([[0], np.cumsum(np.append(rows, np.ones(spare, np.int64)))]).astype(np.int64)
    lanes = kernels.LANE_BYTES // real.itemsize
    width = -(-n_features // lanes) * lanes
    row_bytes = width * real.itemsize
    if method == "auto" and (
        first_row[-1] * row_bytes > MOST_BYTES or not pays(n_rows, flat, len(rows), int(first_row[-1]), row_bytes)
    ):
        return None
    table = np.zeros(first_row[-1] * width, real)
    tables.fill(
        pieces, starts, ends, feature, threshold, kind, stride, first_row, *nodes, flat.ratio, flat.value, width, table
    )
    # thresholds of float32 comparisons were rounded for that: exact here
    compared = threshold.astype(np.float32 if single else np.float64)
    return _Tables(ends, feature, compared, kind, stride, first_row, table, width)


def pays(n_rows: int, flat: Flat, n_units: int, table_rows: int, row_bytes: int) -> bool:
    """Whether tables are worth making: what each row saves against what they cost, in nanoseconds as measured.

    A walk costs about 1 ns for each node and point of its integral; a look-up 2 ns a unit and 1 ns each 64 bytes of
    its rows; a table 200 ns a row. Of these only the proportions matter.
    """
    walk = float(np.sum((flat.end[flat.roots] - flat.roots) * _n_points(flat).astype(np.float64)))
    look_up = n_units * (2.0 + row_bytes / 64)
    return n_rows * (walk - look_up) >= 200.0 * table_rows


def _n_points(flat: Flat) -> np.ndarray:
    """(trees,) points by which the integral of a walk is exact."""
    deepest = np.array([flat.distinct[r : flat.end[r]].max(initial=0) for r in flat.roots], dtype=np.int32)
    return ((deepest + 1) // 2).astype(np.int32)


def _matrix(X: Any, n_features: int) -> np.ndarray:
    """(n, features) C-ordered float32 or float64."""
    try:
        array = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"X has to be of numbers: {error}.") from error
    if array.ndim != 2 or array.shape[1] != n_features:
        raise ConfigError(f"X has shape {array.shape}; the ensemble takes {n_features} columns.")
    return np.ascontiguousarray(array)
