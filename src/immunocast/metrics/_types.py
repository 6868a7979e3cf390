"""Shapes of the functions that the catalogue holds."""

from __future__ import annotations

from collections.abc import Callable

from immunocast.metrics._arrays import FloatArray

#: Weights (n, b) -> numerator (b,) and denominator (b,). The metric is their quotient, undefined where the
#: denominator is 0; over several cohorts it is the sum of numerators over the sum of denominators.
Parts = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

#: Weights (n, b) -> values (b,), NaN where undefined. For metrics that are fitted and do not add up over cohorts.
Fitted = Callable[[FloatArray], FloatArray]
