"""A frame of model inputs as arrays, made once and read by any number of fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError

TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "log2": np.log2,
    "log2p1": lambda x: np.log2(x + 1),
}
NUMERIC_KINDS = ("number", "integer", "binary")
#: Column that `model_frame` adds for features that are standardised by cohort; never a feature itself.
BY_COHORT = "cohort_id"


@dataclass(frozen=True)
class Encoded:
    """The rows of a frame, with everything done to them that is not fitted.

    Attributes
    ----------
    n : rows.
    number_at : numeric feature -> its row in `numbers`.
    numbers : (features, n) clipped and transformed values, NaN where missing.
    codes : category -> (n,) position in the vocabulary's list of its levels; -1 where missing, the length of the
        list for a level that is not in it.
    cohorts : (n,) cohort ids, where a feature is standardised by cohort; None elsewhere.
    """

    n: int
    number_at: dict[str, int]
    numbers: np.ndarray
    codes: dict[str, np.ndarray]
    cohorts: np.ndarray | None

    def gaps(self, name: str) -> np.ndarray:
        """(n,) True where a feature is missing."""
        return np.isnan(self.numbers[self.number_at[name]]) if name in self.number_at else self.codes[name] < 0

    @staticmethod
    def levels(name: str) -> dict[str, int]:
        """Level -> code of a category."""
        return _levels(name)


def encode(X: pd.DataFrame, features: Mapping[str, Mapping[str, Any] | None]) -> Encoded:
    """Clip and transform the numbers, and turn categories into codes.

    Parameters
    ----------
    X : (n, features) frame of `features.preprocess.model_frame`.
    features : a checked feature table.
    """
    numeric = [name for name in features if VOCABULARY[name].kind in NUMERIC_KINDS]
    numbers = np.empty((len(numeric), len(X)))
    for j, name in enumerate(numeric):
        numbers[j] = _number(X[name], features[name] or {})
    codes = {}
    for name in features:
        if VOCABULARY[name].kind not in NUMERIC_KINDS:
            levels = _levels(name)
            factor, values = pd.factorize(X[name].to_numpy(dtype=object))
            lookup = np.array([levels.get(value, len(levels)) for value in values] + [-1], dtype=np.intp)
            codes[name] = lookup[factor]
    by_cohort = any((how or {}).get("standardise") == "cohort" for how in features.values())
    cohorts = X[BY_COHORT].to_numpy(dtype=object) if by_cohort and BY_COHORT in X else None
    return Encoded(len(X), {name: j for j, name in enumerate(numeric)}, numbers, codes, cohorts)


@cache
def _levels(name: str) -> dict[str, int]:
    return {level: k for k, level in enumerate(VOCABULARY[name].categories)}


def cohorts_of(encoded: Encoded) -> np.ndarray:
    """(n,) cohort ids.

    Raises
    ------
    ConfigError
        Where the frame does not hold them.
    """
    if encoded.cohorts is None:
        raise ConfigError("A feature is standardised by cohort, and the model was not told the cohorts (cohort_id).")
    return encoded.cohorts


def _number(values: pd.Series, how: Mapping[str, Any]) -> np.ndarray:
    out = values.to_numpy(dtype=float, copy=True)
    low, high = how.get("clip") or (None, None)
    if low is not None or high is not None:
        out = np.clip(out, low, high)
    return TRANSFORMS[how.get("transform") or "none"](out)
