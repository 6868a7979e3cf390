"""Columns made of preprocessed columns: curves of a feature, and slopes that differ by a category.

    nlr~1, nlr~2                   restricted cubic spline terms of nlr beyond its straight line
    pdl1_tps*tumor_type=NSCLC      how the slope of pdl1_tps in NSCLC departs from the common slope

A curve belongs to one feature. A product belongs to two: `explain.shap_values` divides its part of a prediction
between them exactly. Everything is fitted in the training fold and JSON-ready.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError

#: Quantiles at which the knots of a restricted cubic spline stand (Harrell, Regression Modeling Strategies, 2.4.6).
KNOT_QUANTILES = {3: (0.1, 0.5, 0.9), 4: (0.05, 0.35, 0.65, 0.95), 5: (0.05, 0.275, 0.5, 0.725, 0.95)}
_CONTINUOUS = ("number", "integer")


@dataclass(frozen=True)
class Product:
    """A column that is (left - origin) x right x weight.

    Attributes
    ----------
    left : column whose slope varies.
    right : 0/1 column of the level in which it varies.
    origin : value of `left` that a missing measurement takes: there the product is 0.
    weight : below 1 where departures from the common slope are penalised more than the slope itself.
    """

    left: str
    right: str
    origin: float
    weight: float


class Expansion(BaseEstimator):
    """Restricted cubic splines and slopes by category, for linear estimators.

    Parameters
    ----------
    knots : knots of the spline of every number, 3 to 5; 0 for straight lines. Knots stand at quantiles of the
        training fold. A number with too few different values there stays a straight line, and beyond the outer
        knots every curve is straight.
    by : a category, e.g. tumor_type; each of its levels gets departures from the common slopes. None for none.
    of : features whose slopes differ by level; None for all.
    penalty : how many times more a ridge penalises a departure than a common slope: the departure's column is
        multiplied by 1 / sqrt(penalty). At infinity the common slopes alone remain.

    Attributes
    ----------
    column_names_ : names of the output columns, the given ones first.
    source_ : for each the feature that it comes from; for a product the one whose slope varies.
    curves_ : column -> {"knots": [...], "mix": [[...], ...]}; `mix` turns (1, x, spline terms) into columns that are
        orthogonal to the straight line and to each other, with variance 1, over those of the training fold who have
        the value; where it is missing they are 0. A penalty on them bends towards the line.
    products_ : column -> `Product`.
    """

    def __init__(self, knots: int = 0, by: str | None = None, of: Sequence[str] | None = None, penalty: float = 1.0):
        self.knots = knots
        self.by = by
        self.of = of
        self.penalty = penalty

    def check(self, features: Mapping[str, Any]) -> None:
        """Refuse settings that cannot be used with a feature table.

        Raises
        ------
        ConfigError
            Naming the setting and the mend.
        """
        if isinstance(self.knots, bool) or self.knots not in (0, *KNOT_QUANTILES):
            raise ConfigError(f"expand.knots is {self.knots!r}; it must be 0 (straight lines), 3, 4 or 5.")
        if isinstance(self.penalty, bool) or not isinstance(self.penalty, Real) or not self.penalty > 0:
            raise ConfigError(f"expand.penalty is {self.penalty!r}; it must be a number above 0, e.g. 4.")
        if self.by is None and self.of is not None:
            raise ConfigError("expand.of names features whose slopes differ; say by what, e.g. expand.by: tumor_type.")
        if self.by is not None and (self.by not in features or VOCABULARY[self.by].kind != "category"):
            raise ConfigError(f"expand.by is {self.by!r}; it must be a category among the model's features.")
        if isinstance(self.of, str) or (self.of is not None and not self.of):
            raise ConfigError(f"expand.of is {self.of!r}; write a list of features, or null for all.")
        stray = [name for name in self.of or () if name not in features or name == self.by]
        if stray:
            raise ConfigError(f"expand.of: {stray[0]} is not among the model's other features.")

    def fit(self, Z: pd.DataFrame, X: pd.DataFrame, source: Sequence[str], origin: Mapping[str, float]) -> Expansion:
        """Learn knots and which products the training fold can tell.

        Parameters
        ----------
        Z : (n, columns) preprocessed training fold without missing values.
        X : (n, features) the same patients before, to tell what was measured: a filled value sets no knot.
        source : for each column its feature.
        origin : column -> value that a missing measurement takes; absent columns take 0.
        """
        self.curves_: dict[str, dict[str, list[Any]]] = {}
        self.products_: dict[str, Product] = {}
        for column, feature in zip(Z.columns, source, strict=True):
            if self.knots and column == feature and VOCABULARY[feature].kind in _CONTINUOUS:
                measured = X[feature].notna().to_numpy()
                curve = _curve(Z[column].to_numpy()[measured], KNOT_QUANTILES[self.knots])
                if curve:
                    self.curves_[column] = curve
        levels = [c for c, feature in zip(Z.columns, source, strict=True) if feature == self.by]
        weight = 1 / math.sqrt(self.penalty)
        for level in levels:
            inside = Z[level].to_numpy() == 1
            if inside.all():  # nothing to depart from
                continue
            for column, feature in zip(Z.columns, source, strict=True):
                if feature == self.by or (self.of is not None and feature not in self.of):
                    continue
                at = float(origin.get(column, 0.0))
                # where it is nowhere measured, or the same for everybody inside, the fold tells no slope
                if np.ptp(Z[column].to_numpy()[inside]) > 0:
                    self.products_[f"{column}*{level}"] = Product(column, level, at, weight)
        kind = dict(zip(Z.columns, source, strict=True))
        bends = {f"{c}~{k + 1}": kind[c] for c, curve in self.curves_.items() for k in range(len(curve["mix"][0]))}
        slopes = {name: kind[product.left] for name, product in self.products_.items()}
        self.column_names_ = [*Z.columns, *bends, *slopes]
        self.source_ = [*source, *bends.values(), *slopes.values()]
        return self

    def transform(self, Z: pd.DataFrame, X: pd.DataFrame) -> pd.DataFrame:
        """(n, columns) and the (n, features) that they were made of -> (n, more columns)."""
        check_is_fitted(self, "column_names_")
        parts = [Z.to_numpy()]
        for column, curve in self.curves_.items():
            terms = _bend(Z[column].to_numpy(), curve)
            # their mean over those who have the value: a gap says nothing about a bend
            terms[X[column].isna().to_numpy()] = 0.0
            parts.append(terms)
        if self.products_:
            parts.append(np.column_stack([_multiply(Z, product) for product in self.products_.values()]))
        return pd.DataFrame(np.hstack(parts), columns=self.column_names_, index=Z.index)

    def state(self) -> dict[str, Any]:
        """Everything fitted, JSON-ready."""
        check_is_fitted(self, "column_names_")
        return {
            "column_names_": self.column_names_,
            "source_": self.source_,
            "curves_": self.curves_,
            "products_": {name: asdict(product) for name, product in self.products_.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> Expansion:
        """Inverse of `state`."""
        self.column_names_, self.source_ = list(state["column_names_"]), list(state["source_"])
        self.curves_ = dict(state["curves_"])
        self.products_ = {name: Product(**product) for name, product in state["products_"].items()}
        return self


def restricted_cubic(x: np.ndarray, knots: Sequence[float] | np.ndarray) -> np.ndarray:
    """(n, len(knots) - 2) terms of a restricted cubic spline beyond the straight line; 0 up to the first knot.

    Each is a cubic between the knots and straight beyond the outer ones (Harrell, Regression Modeling Strategies,
    2.4.5), divided by the squared span of the knots.
    """
    t = np.asarray(knots, dtype=float)
    first, before, last = t[0], t[-2], t[-1]

    def cube(at: float) -> np.ndarray:
        return np.maximum(x - at, 0.0) ** 3

    terms = [
        cube(at) - cube(before) * (last - at) / (last - before) + cube(last) * (before - at) / (last - before)
        for at in t[:-2]
    ]
    return np.column_stack(terms) / (last - first) ** 2


def _curve(x: np.ndarray, quantiles: Sequence[float]) -> dict[str, list[Any]]:
    """Knots and mix of the measured values of a column; {} where they do not tell a curve from a line."""
    knots = np.unique(np.quantile(x, quantiles))
    if len(knots) < 3 or np.diff(knots).min() < 1e-6 * np.ptp(knots):
        return {}
    basis = np.column_stack([np.ones(len(x)), x, restricted_cubic(x, knots)])
    # Gram-Schmidt by Cholesky: columns 3.. of basis @ mix are what the columns before do not tell
    gram = basis.T @ basis / len(x)
    if np.linalg.matrix_rank(basis) < basis.shape[1]:
        return {}
    mix = np.linalg.inv(np.linalg.cholesky(gram).T)[:, 2:]
    return {"knots": knots.tolist(), "mix": mix.tolist()}


def _bend(x: np.ndarray, curve: Mapping[str, Any]) -> np.ndarray:
    basis = np.column_stack([np.ones(len(x)), x, restricted_cubic(x, curve["knots"])])
    # a sum of products row by row: a matrix product may round a row differently beside other rows
    return np.einsum("nk,kj->nj", basis, np.asarray(curve["mix"], dtype=float))


def _multiply(Z: pd.DataFrame, product: Product) -> np.ndarray:
    return (Z[product.left].to_numpy() - product.origin) * Z[product.right].to_numpy() * product.weight
