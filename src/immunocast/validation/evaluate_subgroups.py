"""Who a model fails: estimates inside subgroups, shrunken ones for all of them, and tests whether they differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from immunocast.errors import DataError, Problem
from immunocast.metrics import (
    METRICS,
    Influence,
    RandomEffects,
    blocks,
    hanley_mcneil_variance,
    logit,
    percentile_interval,
    quotient,
    shrink,
    tau_weights,
)
from immunocast.validation.evaluate_estimates import (
    LEAST_FOR_RANKS,
    TOO_SMALL,
    cohort_masks,
    combined_influence,
    delong_columns,
    estimate_head,
    masks_for,
    persons_of,
)
from immunocast.validation.evaluate_heterogeneity import (
    Level,
    auroc_level,
    heterogeneity_row,
    levels_covariance,
    resampled_level,
    scale_of,
)
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, join_notes
from immunocast.validation.subgroups import UNKNOWN

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Grouping:
    """A subgroup variable on the panel's patients: its name, its levels sorted, and (n,) codes into them."""

    name: str
    levels: tuple[str, ...]
    codes: np.ndarray

    @property
    def known(self) -> bool:
        """Whether it tells anything of anybody."""
        return self.levels != (UNKNOWN,)


def groupings(panel: Panel, subgroups: pd.DataFrame) -> tuple[Grouping, ...]:
    """The columns of a frame indexed by patient_id, on the panel's patients.

    Raises
    ------
    DataError
        Where patients have no row, or a row each of two.
    """
    if not subgroups.index.is_unique:
        raise DataError(Problem("the table of subgroups names a patient twice", "Give one row a patient."))
    place = subgroups.index.astype(str).get_indexer(pd.Index(panel.patient))
    if (place < 0).any():
        raise DataError(
            Problem(
                f"{int(np.sum(place < 0))} patients with predictions are not in the cohort table",
                "Give the cohort that the predictions were made for.",
                column="patient_id",
                value=str(panel.patient[place < 0][0]),
            )
        )
    found = []
    for name in subgroups.columns:
        codes, levels = pd.factorize(subgroups[name].to_numpy(dtype=str)[place], sort=True)
        found.append(Grouping(str(name), tuple(str(level) for level in levels), np.asarray(codes)))
    return tuple(found)


def subgroup_rows(panel: Panel, scores: Scores, groups: Iterable[Grouping], settings: Settings) -> tuple[Rows, Rows]:
    """Rows of the metrics and of the heterogeneity table for one model; none for a variable known for nobody."""
    metrics: Rows = []
    tests: Rows = []
    told = [group for group in groups if group.known]
    sums = _Sums(panel, scores, told, settings)
    for group in told:
        found = [
            _auroc_rows(panel, scores, group, settings),
            _ratio_rows(panel, scores, group, settings, sums, "oe_ratio", None),
            *(_ratio_rows(panel, scores, group, settings, sums, "net_benefit", t) for t in settings.thresholds),
        ]
        for rows, test in found:
            metrics += rows
            tests.append(test)
    return metrics, tests


class _Sums:
    """Sums over the patients of every level, in the whole and in every resample.

    One sparse product a block of resamples gives all levels of all variables: n, events, expected events, and the
    gain of net benefit at each threshold.
    """

    def __init__(self, panel: Panel, scores: Scores, groups: list[Grouping], settings: Settings):
        fair = scores.fair
        p = np.where(fair, scores.p.mean(axis=0), 0.0)
        gains: dict[tuple[str, float | None], np.ndarray] = {}
        for t in settings.thresholds:
            treated = np.mean(scores.p >= t, axis=0)
            gains["net_benefit", t] = treated * np.where(panel.y == 1, 1.0, -t / (1 - t))
        self._columns: dict[tuple[str, float | None], np.ndarray] = {
            ("n", None): np.ones(len(fair)),
            ("events", None): panel.y.astype(float),
            ("expected", None): p,
            **gains,
        }
        self._first: dict[str, int] = {}
        rows, entries = [], []
        place = np.flatnonzero(fair)
        start = 0
        for group in groups:
            self._first[group.name] = start
            rows.append(group.codes[place] + start)
            entries.append(place)
            start += len(group.levels)
        self._n_levels = start
        index = (np.concatenate(rows), np.concatenate(entries)) if rows else (np.array([], int), np.array([], int))
        self._found: dict[tuple[str, float | None], np.ndarray] = {}
        shape = (start, len(fair))
        products = {
            key: sparse.csr_array((column[index[1]], index), shape=shape) for key, column in self._columns.items()
        }
        pieces: dict[tuple[str, float | None], list[np.ndarray]] = {key: [] for key in products}
        if start:
            for weights in blocks(panel.counts, whole_first=True):
                for key, matrix in products.items():
                    pieces[key].append(matrix @ weights)
            self._found = {key: np.concatenate(parts, axis=1) for key, parts in pieces.items()}

    def of(self, group: str, level: int, key: str, threshold: float | None = None) -> np.ndarray:
        """(1 + B,) sums of a level; the first is that of the patients themselves."""
        return self._found[key, threshold][self._first[group] + level]


def _head(
    panel: Panel, scores: Scores, metric: str, threshold: float | None, group: str, level: str, rows: np.ndarray,
    candidates: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    return estimate_head(panel, scores, metric, threshold, rows, candidates, subgroup=group, level=level)


@dataclass(frozen=True)
class _Small:
    """A level's own value on the transformed scale; `variance` takes the mean that it is drawn to."""

    value: float
    variance: Any


def auroc_inside(
    panel: Panel, scores: Scores, inside: np.ndarray, subgroup: str, level: str, settings: Settings
) -> tuple[dict[str, Any], np.ndarray, Influence | None, list[np.ndarray]]:
    """AUROC among some patients, within cohorts and then combined: its row, its patients, influence and masks.

    The influence is None where no cohort holds two events and two non-events.
    """
    masks = cohort_masks(panel, scores.fair & inside)
    used = masks_for(METRICS["auroc"], panel, masks)
    rows = np.any(used, axis=0) if used else np.zeros(len(panel.y), dtype=bool)
    row = _head(panel, scores, "auroc", None, subgroup, level, rows, inside)
    left = [
        name
        for name, mask in zip(panel.cohorts, masks, strict=True)
        if mask.any() and not panel.enough(mask, LEAST_FOR_RANKS)
    ]
    note = f"{', '.join(left)} left out: under {LEAST_FOR_RANKS} events or non-events" if left else ""
    found = combined_influence(panel, scores, used) if used else None
    if found is None or not panel.enough(rows, settings.min_events):
        return row | {"note": join_notes(TOO_SMALL, note)}, rows, found, used
    columns = delong_columns(found, persons_of(panel, used))
    return row | columns | {"note": join_notes(columns.get("note", ""), note)}, rows, found, used


def _auroc_rows(panel: Panel, scores: Scores, group: Grouping, settings: Settings) -> tuple[Rows, dict[str, Any]]:
    rows: Rows = []
    large: list[Level] = []
    left_out = []
    own: dict[str, tuple[np.ndarray, _Small | None]] = {}
    for k, level in enumerate(group.levels):
        row, used, found, masks = auroc_inside(panel, scores, group.codes == k, group.name, level, settings)
        rows.append(row)
        own[level] = (used, None)
        if found is None:
            left_out.append(f"{level} ({TOO_SMALL})")
            continue
        persons = persons_of(panel, masks)
        entry = None
        if panel.enough(used, settings.min_events):
            # the masks' patients one after the other, as the influences are
            entry = auroc_level(level, used, found, persons)
            if entry is None:
                left_out.append(f"{level} (no variance)")
        else:
            left_out.append(f"{level} ({TOO_SMALL})")
        if entry is not None:
            large.append(entry)
            own[level] = (used, _Small(entry.value, lambda _, v=entry.variance: v))
        else:
            half = 0.5 / found.n_pairs
            own[level] = (
                used,
                _Small(float(logit(np.clip(found.auroc, half, 1 - half))), _auroc_variance(panel, masks)),
            )
    test, summary = heterogeneity_row(panel, scores, "auroc", None, group.name, large, left_out)
    return rows + _shrunken(panel, scores, "auroc", group, own, large, summary), test


def _auroc_variance(panel: Panel, masks: list[np.ndarray]) -> Any:
    """Variance of a small level's logit AUROC, as it would be if the level were like the mean."""
    classes = [(int(panel.y[rows].sum()), int(np.sum(panel.y[rows] == 0))) for rows in masks]
    pairs = np.array([m * n for m, n in classes], dtype=float)

    def variance(mean: float) -> float:
        a = float(scale_of("auroc").back(mean))
        parts = [hanley_mcneil_variance(a, m, n) for m, n in classes]
        return float(np.sum((pairs / pairs.sum()) ** 2 * parts) / (a * (1 - a)) ** 2)

    return variance


def _ratio_rows(
    panel: Panel,
    scores: Scores,
    group: Grouping,
    settings: Settings,
    sums: _Sums,
    metric: str,
    threshold: float | None,
) -> tuple[Rows, dict[str, Any]]:
    rows: Rows = []
    large: list[Level] = []
    left_out = []
    own: dict[str, tuple[np.ndarray, _Small | None]] = {}
    for k, level in enumerate(group.levels):
        inside = group.codes == k
        used = scores.fair & inside
        row = _head(panel, scores, metric, threshold, group.name, level, used, inside)
        own[level] = (used, None)
        if metric == "oe_ratio":
            values = quotient(sums.of(group.name, k, "events"), sums.of(group.name, k, "expected"))
        else:
            values = quotient(sums.of(group.name, k, metric, threshold), sums.of(group.name, k, "n"))
        if panel.enough(used, settings.min_events):
            low, high, missing = percentile_interval(values[1:])
            gaps = f"{missing} of {len(values) - 1} resamples without a value left out" if missing else ""
            ends = {"estimate": float(values[0]), "ci_low": low, "ci_high": high, "ci_method": "bootstrap"}
            row |= ends | {"note": gaps}
            entry = resampled_level(level, used, metric, values)
            if entry is None:
                left_out.append(f"{level} (no variance)")
            else:
                large.append(entry)
                own[level] = (used, _Small(entry.value, lambda _, v=entry.variance: v))
        else:
            row["note"] = TOO_SMALL
            if used.any():
                left_out.append(f"{level} ({TOO_SMALL})")
            if metric == "oe_ratio" and panel.enough(used, LEAST_FOR_RANKS) and values[0] > 0:
                own[level] = (used, _Small(float(np.log(values[0])), _oe_variance(scores, used)))
        rows.append(row)
    test, summary = heterogeneity_row(panel, scores, metric, threshold, group.name, large, left_out)
    if metric != "oe_ratio":
        moves = "moves with the rate of events, which differs between levels"
        return rows, test | {"note": join_notes(test["note"], moves)}
    return rows + _shrunken(panel, scores, metric, group, own, large, summary), test


def _oe_variance(scores: Scores, used: np.ndarray) -> Any:
    """Variance of a small level's log O/E, as it would be if the level were like the mean."""
    p = scores.p[:, used].mean(axis=0)

    def variance(mean: float) -> float:
        return float(np.sum(p * (1 - p)) / (np.sum(p) ** 2 * np.exp(mean)))

    return variance


def _shrunken(
    panel: Panel,
    scores: Scores,
    metric: str,
    group: Grouping,
    own: dict[str, tuple[np.ndarray, _Small | None]],
    large: list[Level],
    summary: RandomEffects | None,
) -> Rows:
    """A row for every level: its empirical-Bayes estimate, drawn to the random-effects mean."""
    back = scale_of(metric).back
    rows: Rows = []
    taus = tau_weights([level.value for level in large], levels_covariance(panel, large)[0]) if summary else None
    for k, level in enumerate(group.levels):
        used, small = own[level]
        row = _head(panel, scores, f"{metric}_shrunken", None, group.name, level, used, group.codes == k)
        if summary is None or taus is None:
            row["note"] = "no mean to draw it to: under two levels are large enough"
        elif small is None:
            row["note"] = f"under {LEAST_FOR_RANKS} events or non-events"
        else:
            found = shrink(small.value, small.variance(summary.estimate), summary.estimate, summary.variance, *taus)
            shown = [float(back(value)) for value in found]
            row |= dict(zip(("estimate", "ci_low", "ci_high"), shown, strict=True))
            row |= {"ci_method": "empirical_bayes", "note": f"drawn to the mean {float(back(summary.estimate)):.3f}"}
        rows.append(row)
    return rows
