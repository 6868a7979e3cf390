"""The catalogue: every metric by name, with its batched form, and one way to bootstrap any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from immunocast.errors import ConfigError, NotFoundError
from immunocast.metrics._accuracy import brier, brier_parts, scaled_brier, scaled_brier_parts
from immunocast.metrics._arrays import FloatArray, IntArray, check_pair, check_threshold
from immunocast.metrics._calibration import calibration_intercept, calibration_slope, oe_ratio, oe_ratio_parts
from immunocast.metrics._discrimination import auprc, auprc_parts, auroc, auroc_parts
from immunocast.metrics._logistic import calibration_intercept_fit, calibration_slope_fit
from immunocast.metrics._resampling import blocks, percentile_interval, person_weights
from immunocast.metrics._smooth import ici, ici_fit
from immunocast.metrics._types import Fitted, Parts
from immunocast.metrics._utility import net_benefit, net_benefit_parts


@dataclass(frozen=True)
class Metric:
    """A metric of predicted probabilities.

    Attributes
    ----------
    name : name in tables.
    label : name in figures.
    function : (y_true, p) -> float, or (y_true, p, threshold) where `at_threshold`.
    better : "higher", "lower", or "zero" and "one" for calibration.
    parts : batched form of a metric that is a quotient of sums, (y, p[, threshold]) -> Parts.
    fit : batched form of a metric that is fitted, (y, p) -> Fitted. A metric without either form still works: the
        bootstrap then calls `function` on every resample, which is slow.
    ranks : True where the metric compares patients with each other and so is computed within a cohort and averaged.
    at_threshold : True where it needs a probability threshold.
    compared : True where models are compared by it.
    """

    name: str
    label: str
    function: Callable[..., float]
    better: str
    parts: Callable[..., Parts] | None = None
    fit: Callable[[IntArray, FloatArray], Fitted] | None = None
    ranks: bool = False
    at_threshold: bool = False
    compared: bool = True

    @property
    def adds_up(self) -> bool:
        """Whether cohorts are combined by summing parts; a fitted metric is fitted on all patients instead."""
        return self.fit is None

    def prepare(self, y: IntArray, p: FloatArray, threshold: float | None = None) -> Parts:
        """Sort once; the result takes weights (n, b). For metrics that add up."""
        if self.parts is None:
            return self._slow_parts(y, p, threshold)
        return self.parts(y, p, check_threshold(threshold)) if self.at_threshold else self.parts(y, p)

    def _slow_parts(self, y: IntArray, p: FloatArray, threshold: float | None) -> Parts:
        extra = (check_threshold(threshold),) if self.at_threshold else ()

        def parts(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
            values = np.full(weights.shape[1], np.nan)
            for b, column in enumerate(weights.T):
                drawn = np.repeat(np.arange(len(y)), column.astype(int))
                values[b] = self.function(y[drawn], p[drawn], *extra) if len(drawn) else np.nan
            size = np.where(np.isnan(values), 0.0, weights.sum(axis=0))
            return np.nan_to_num(values) * size, size

        return parts


_ALL = (
    Metric("auroc", "AUROC", auroc, "higher", parts=auroc_parts, ranks=True),
    Metric("auprc", "AUPRC", auprc, "higher", parts=auprc_parts, ranks=True),
    Metric("brier", "Brier score", brier, "lower", parts=brier_parts),
    Metric("scaled_brier", "Scaled Brier score", scaled_brier, "higher", parts=scaled_brier_parts),
    Metric(
        "calibration_intercept",
        "Calibration intercept",
        calibration_intercept,
        "zero",
        fit=calibration_intercept_fit,
        compared=False,
    ),
    Metric(
        "calibration_slope",
        "Calibration slope",
        calibration_slope,
        "one",
        fit=calibration_slope_fit,
        compared=False,
    ),
    Metric("oe_ratio", "Observed / expected events", oe_ratio, "one", parts=oe_ratio_parts, compared=False),
    Metric("ici", "Integrated calibration index", ici, "lower", fit=ici_fit, compared=False),
    Metric("net_benefit", "Net benefit", net_benefit, "higher", parts=net_benefit_parts, at_threshold=True),
)

#: Every metric by name, in the order in which reports show them.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def get_metric(name: str) -> Metric:
    """A metric of the catalogue.

    Raises
    ------
    NotFoundError
        Where there is none of that name.
    """
    if name not in METRICS:
        raise NotFoundError(f"There is no metric {name!r}. Metrics: {', '.join(METRICS)}.")
    return METRICS[name]


def resampled_parts(
    metrics: Sequence[tuple[Metric, float | None]],
    y: IntArray,
    p: FloatArray,
    weight_blocks: Iterable[FloatArray],
) -> list[tuple[FloatArray, FloatArray]]:
    """Numerators and denominators of several metrics over all resamples, repeats averaged.

    Parameters
    ----------
    metrics : metrics that add up, each with its threshold or None.
    y : (n,) outcomes.
    p : (r, n) predictions of r repeats.
    weight_blocks : weights (n, b) of consecutive resamples.

    Returns
    -------
    One (numerator, denominator) of shape (B,) a metric.
    """
    prepared = [[metric.prepare(y, q, threshold) for q in p] for metric, threshold in metrics]
    found: list[list[tuple[FloatArray, FloatArray]]] = [[] for _ in metrics]
    for weights in weight_blocks:
        for store, repeats in zip(found, prepared, strict=True):
            pieces = [parts(weights) for parts in repeats]
            store.append(
                (np.mean([piece[0] for piece in pieces], axis=0), _same_or_mean([piece[1] for piece in pieces]))
            )
    return [(np.concatenate([num for num, _ in store]), np.concatenate([den for _, den in store])) for store in found]


def _same_or_mean(denominators: list[FloatArray]) -> FloatArray:
    """The denominator of all repeats: it is the same in each, unless it depends on predictions (expected events)."""
    first = denominators[0]
    return first if all(np.array_equal(first, d) for d in denominators[1:]) else np.mean(denominators, axis=0)


def resampled_fits(metric: Metric, y: IntArray, p: FloatArray, weight_blocks: Iterable[FloatArray]) -> FloatArray:
    """Values (B,) of a fitted metric over all resamples, averaged over repeats; arguments as `resampled_parts`."""
    if metric.fit is None:
        raise ConfigError(f"{metric.name} is not a fitted metric.")
    fits = [metric.fit(y, q) for q in p]
    return np.concatenate([np.mean([fit(weights) for fit in fits], axis=0) for weights in weight_blocks])


def quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Numerator over denominator, NaN where the denominator is 0."""
    out = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval; `n_left_out` resamples had no value (one class only, say)."""

    metric: str
    estimate: float
    ci_low: float
    ci_high: float
    n_left_out: int


def bootstrap(
    y_true: Any,
    p: Any,
    metrics: Sequence[str] = ("auroc", "auprc", "brier"),
    *,
    persons: Any = None,
    strata: Any = None,
    threshold: float | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Estimates with percentile intervals, resampling persons within strata.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.
    metrics : names in the catalogue.
    persons : (n,) ids, None where each patient is another person.
    strata : (n,) names, e.g. cohorts: each keeps its number of persons in every resample.
    threshold : for metrics that need one.
    n_resamples, seed : as for `person_weights`.
    level : confidence level.

    Returns
    -------
    dict of Estimate by metric name.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    NotFoundError
        Where a metric is unknown.
    ConfigError
        Where a threshold is missing or a setting is out of range.
    """
    y, q = check_pair(y_true, p)
    if persons is None:
        persons = [f"{i:012d}" for i in range(len(y))]
    counts = person_weights(persons, strata, n_resamples=n_resamples, seed=seed)
    chosen = [get_metric(name) for name in metrics]
    additive = [(m, threshold if m.at_threshold else None) for m in chosen if m.adds_up]
    values = {
        m.name: quotient(*parts)
        for (m, _), parts in zip(
            additive, resampled_parts(additive, y, q[None], blocks(counts, whole_first=True)), strict=True
        )
    }
    for m in chosen:
        if not m.adds_up:
            values[m.name] = resampled_fits(m, y, q[None], blocks(counts, whole_first=True))
    out = {}
    for m in chosen:
        low, high, left_out = percentile_interval(values[m.name][1:], level=level)
        out[m.name] = Estimate(m.name, float(values[m.name][0]), low, high, left_out)
    return out
