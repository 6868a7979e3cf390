"""The catalogue: every metric by name, with its batched form, and one way to bootstrap any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from immunocast.errors import ConfigError, NotFoundError
from immunocast.metrics import _compiled
from immunocast.metrics._accuracy import brier, brier_sum, scaled_brier, scaled_brier_sum
from immunocast.metrics._arrays import FloatArray, IntArray, check_pair, check_threshold
from immunocast.metrics._calibration import calibration_intercept, calibration_slope, oe_ratio, oe_ratio_sum
from immunocast.metrics._discrimination import auprc, auprc_parts, auroc, auroc_parts
from immunocast.metrics._logistic import calibration_intercept_fit, calibration_slope_fit
from immunocast.metrics._resampling import Blocks, blocks, percentile_interval, person_weights
from immunocast.metrics._smooth import ici, ici_fit
from immunocast.metrics._types import BatchedFit, Fitted, Parts, PatientSum
from immunocast.metrics._utility import net_benefit, net_benefit_sum


@dataclass(frozen=True)
class Metric:
    """A metric of predicted probabilities.

    Attributes
    ----------
    name : name in tables.
    label : name in figures.
    function : (y_true, p) -> float, or (y_true, p, threshold) where `at_threshold`.
    better : "higher", "lower", or "zero" and "one" for calibration.
    total : batched form of a metric that is made of one sum over patients.
    parts : batched form of any other quotient of sums, (y, p[, threshold]) -> Parts.
    fit : batched form of a metric that is fitted, (y, p) -> Fitted. A metric without any of these still works: the
        bootstrap then calls `function` on every resample, which is slow.
    ranks : True where the metric compares patients with each other and so is computed within a cohort and averaged.
    at_threshold : True where it needs a probability threshold.
    compared : True where models are compared by it.
    """

    name: str
    label: str
    function: Callable[..., float]
    better: str
    total: PatientSum | None = None
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
        batched = self.total.parts if self.total else self.parts
        if batched is None:
            return self._slow_parts(y, p, threshold)
        return batched(y, p, check_threshold(threshold)) if self.at_threshold else batched(y, p)

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
    Metric("brier", "Brier score", brier, "lower", total=brier_sum),
    Metric("scaled_brier", "Scaled Brier score", scaled_brier, "higher", total=scaled_brier_sum),
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
    Metric("oe_ratio", "Observed / expected events", oe_ratio, "one", total=oe_ratio_sum, compared=False),
    Metric("ici", "Integrated calibration index", ici, "lower", fit=ici_fit, compared=False),
    Metric("net_benefit", "Net benefit", net_benefit, "higher", total=net_benefit_sum, at_threshold=True),
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
    weight_blocks : what `blocks` gives, or any weights (n, b) of consecutive resamples.

    Returns
    -------
    One (numerator, denominator) of shape (B,) a metric.
    """
    found: dict[int, tuple[FloatArray, FloatArray]] = {}
    if isinstance(weight_blocks, Blocks) and weight_blocks.compiled:
        found = _compiled_parts(metrics, y, p, weight_blocks)
    left = [k for k in range(len(metrics)) if k not in found]
    if left:
        batched = _batched_parts([metrics[k] for k in left], y, p, weight_blocks)
        found.update(zip(left, batched, strict=True))
    return [found[k] for k in range(len(metrics))]


def _batched_parts(
    metrics: Sequence[tuple[Metric, float | None]], y: IntArray, p: FloatArray, weight_blocks: Iterable[FloatArray]
) -> list[tuple[FloatArray, FloatArray]]:
    prepared = [[metric.prepare(y, q, threshold) for q in p] for metric, threshold in metrics]
    stored: list[list[tuple[FloatArray, FloatArray]]] = [[] for _ in metrics]
    for weights in weight_blocks:
        for store, repeats in zip(stored, prepared, strict=True):
            store.append(_over_repeats([parts(weights) for parts in repeats]))
    return [(np.concatenate([num for num, _ in store]), np.concatenate([den for _, den in store])) for store in stored]


def _over_repeats(pieces: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    return np.mean([piece[0] for piece in pieces], axis=0), _same_or_mean([piece[1] for piece in pieces])


def _compiled_parts(
    metrics: Sequence[tuple[Metric, float | None]], y: IntArray, p: FloatArray, resamples: Blocks
) -> dict[int, tuple[FloatArray, FloatArray]]:
    """Parts of the metrics that have a compiled form, by position: one pass for all sums, one for all ranks."""
    ranks = {k: m for k, (m, _) in enumerate(metrics) if m.parts in (auroc_parts, auprc_parts)}
    sums = {k: (m.total, check_threshold(t) if m.at_threshold else None) for k, (m, t) in enumerate(metrics) if m.total}
    # Brier and scaled Brier add up the same values
    added = {(total.value, t): None for total, t in sums.values()}
    pieces: dict[int, list[tuple[FloatArray, FloatArray]]] = {k: [] for k in [*sums, *ranks]}
    for q in p:
        if sums:
            values = [value(y, q) if t is None else value(y, q, t) for value, t in added]
            rows = np.array([*values, (y == 1).astype(np.float64), np.ones(len(y))])
            *totals, events, patients = resamples.over_counts(partial(_compiled.weighted_sums, rows))
            by_value = dict(zip(added, totals, strict=True))
            for k, (total, t) in sums.items():
                pieces[k].append(total.combine(by_value[total.value, t], events, patients))
        if ranks:
            twice, precision, events, others = resamples.over_counts(partial(_compiled.rank_sums, y, q))
            for k, metric in ranks.items():
                both = others > 0
                auprc_piece = precision * both, events * both
                pieces[k].append((twice / 2, events * others) if metric.parts is auroc_parts else auprc_piece)
    return {k: _over_repeats(found) for k, found in pieces.items()}


def _same_or_mean(denominators: list[FloatArray]) -> FloatArray:
    """The denominator of all repeats: it is the same in each, unless it depends on predictions (expected events)."""
    first = denominators[0]
    return first if all(np.array_equal(first, d) for d in denominators[1:]) else np.mean(denominators, axis=0)


def resampled_fits(metric: Metric, y: IntArray, p: FloatArray, weight_blocks: Iterable[FloatArray]) -> FloatArray:
    """Values (B,) of a fitted metric over all resamples, averaged over repeats; arguments as `resampled_parts`."""
    if metric.fit is None:
        raise ConfigError(f"{metric.name} is not a fitted metric.")
    fits = [metric.fit(y, q) for q in p]
    if isinstance(weight_blocks, Blocks) and weight_blocks.compiled:
        over_counts = [fit.over_counts for fit in fits if isinstance(fit, BatchedFit)]
        if len(over_counts) == len(fits):
            return np.mean([weight_blocks.over_counts(fit) for fit in over_counts], axis=0)
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
    compiled: bool | None = None,
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
    compiled : as for `blocks`.

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
    resamples = blocks(counts, whole_first=True, compiled=compiled)
    chosen = [get_metric(name) for name in metrics]
    additive = [(m, threshold if m.at_threshold else None) for m in chosen if m.adds_up]
    values = {
        m.name: quotient(*parts)
        for (m, _), parts in zip(additive, resampled_parts(additive, y, q[None], resamples), strict=True)
    }
    for m in chosen:
        if not m.adds_up:
            values[m.name] = resampled_fits(m, y, q[None], resamples)
    out = {}
    for m in chosen:
        low, high, left_out = percentile_interval(values[m.name][1:], level=level)
        out[m.name] = Estimate(m.name, float(values[m.name][0]), low, high, left_out)
    return out
