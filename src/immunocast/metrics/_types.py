"""Shapes of the functions that the catalogue holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunocast.metrics._arrays import FloatArray, IntArray

#: Weights (n, b) -> numerator (b,) and denominator (b,). The metric is their quotient, undefined where the
#: denominator is 0; over several cohorts it is the sum of numerators over the sum of denominators.
Parts = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

#: Weights (n, b) -> values (b,), NaN where undefined. For metrics that are fitted and do not add up over cohorts.
Fitted = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class PatientSum:
    """A metric that is made of one sum over patients, and of how many they are.

    Attributes
    ----------
    value : (y, p[, threshold]) -> (n,) what each patient adds to the sum.
    combine : (sum, events, patients), each (b,) -> numerator and denominator.
    """

    value: Callable[..., FloatArray]
    combine: Callable[[FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]

    def parts(self, y: IntArray, p: FloatArray, threshold: float | None = None) -> Parts:
        """The batched form."""
        value = self.value(y, p) if threshold is None else self.value(y, p, threshold)
        events = np.flatnonzero(y == 1)

        def parts(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
            total = np.einsum("nb,n->b", weights, value)
            return self.combine(total, weights[events].sum(axis=0), weights.sum(axis=0))

        return parts


@dataclass(frozen=True)
class BatchedFit:
    """A fitted metric of many resamples: called with weights (n, b), or compiled, over counts.

    Attributes
    ----------
    over_weights : weights (n, b) -> values (b,).
    over_counts : counts (n, B) -> values (B,), by compiled loops.
    """

    over_weights: Fitted
    over_counts: Callable[[npt.NDArray[np.uint16]], FloatArray]

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Values (b,) for weights (n, b)."""
        return self.over_weights(weights)
