"""Estimates of one model: per cohort, combined over cohorts, and pooled."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunocast.metrics import (
    METRICS,
    Influence,
    Metric,
    auroc_influence,
    auroc_interval,
    blocks,
    influence_variance,
    percentile_interval,
    quotient,
    resampled_fits,
    resampled_parts,
    stratified,
)
from immunocast.validation.evaluate_inputs import (
    ABSENT,
    ABSTAINED,
    IN_TRAINING,
    Panel,
    Scores,
    Settings,
    join_notes,
)

Spec = tuple[str, float | None]
PartsOf = dict[Spec, tuple[np.ndarray, np.ndarray]]

#: Fewest events and non-events with which a cohort enters combined ranks: DeLong's variance needs two of each.
LEAST_FOR_RANKS = 2

TOO_SMALL = "too small"


class Resampled:
    """Parts of a model's metrics over the shared resamples, kept so that comparisons need not repeat them."""

    def __init__(self, panel: Panel, settings: Settings):
        self.panel = panel
        self.specs = [(m, t) for m, t in settings.specs() if m.adds_up and m.name != "auroc"]
        self._kept: dict[tuple[str, bytes], PartsOf] = {}
        self._fits: dict[tuple[str, str, bytes], np.ndarray] = {}

    def parts(self, scores: Scores, rows: np.ndarray) -> PartsOf:
        """Numerators and denominators (1 + B,) by metric and threshold; the first entry is the estimate's own.

        `rows` is a mask of patients of one cohort, all of them fair for these scores.
        """
        key = (scores.label, np.packbits(rows).tobytes())
        if key not in self._kept:
            self._kept[key] = self._parts(scores.p, rows, self.specs)
            if scores.before is not None:
                self._kept[key] |= self._parts(scores.ranked, rows, [(m, t) for m, t in self.specs if m.ranks])
        return self._kept[key]

    def _parts(self, p: np.ndarray, rows: np.ndarray, specs: list[tuple[Metric, float | None]]) -> PartsOf:
        weights = blocks(self.panel.counts[rows], whole_first=True)
        found = resampled_parts(specs, self.panel.y[rows], p[:, rows], weights)
        return {(m.name, t): parts for (m, t), parts in zip(specs, found, strict=True)}

    def over(self, scores: Scores, masks: list[np.ndarray], spec: Spec) -> np.ndarray:
        """Values (1 + B,) of a metric over several cohorts: summed numerators over summed denominators."""
        found = [self.parts(scores, rows)[spec] for rows in masks]
        numerator = np.sum([num for num, _ in found], axis=0)
        denominator = np.sum([den for _, den in found], axis=0)
        return quotient(numerator, denominator)

    def fits(self, scores: Scores, rows: np.ndarray, metric: Metric) -> np.ndarray:
        """Values (1 + B,) of a fitted metric on some patients; the first is the estimate."""
        key = (scores.label, metric.name, np.packbits(rows).tobytes())
        if key not in self._fits:
            self._fits[key] = resampled_fits(
                metric, self.panel.y[rows], scores.p[:, rows], blocks(self.panel.counts[rows], whole_first=True)
            )
        return self._fits[key]

    def values(self, scores: Scores, masks: list[np.ndarray], metric: Metric, threshold: float | None) -> np.ndarray:
        """Values (1 + B,) of any metric but the AUROC, over the patients of several cohorts."""
        if metric.adds_up:
            return self.over(scores, masks, (metric.name, threshold))
        return self.fits(scores, np.any(masks, axis=0), metric)


def cohort_masks(panel: Panel, fair: np.ndarray) -> list[np.ndarray]:
    """One mask a cohort: its patients with a fair prediction."""
    return [fair & (panel.cohort == k) for k in range(len(panel.cohorts))]


def masks_for(metric: Metric, panel: Panel, masks: list[np.ndarray]) -> list[np.ndarray]:
    """The cohorts that enter a combined metric: all with patients, or for ranks those with two of each class."""
    if metric.ranks:
        return [rows for rows in masks if panel.enough(rows, LEAST_FOR_RANKS)]
    return [rows for rows in masks if rows.any()]


def combined_influence(
    panel: Panel, scores: Scores, masks: list[np.ndarray], *, within_folds: bool = True
) -> Influence:
    """Stratified AUROC over the cohorts; influences follow the masks' patients one after the other."""
    if not within_folds:
        return stratified([auroc_influence(panel.y[rows], scores.p[:, rows]) for rows in masks])
    return stratified([_ranked_within_folds(panel, scores, rows) for rows in masks])


def _ranked_within_folds(panel: Panel, scores: Scores, rows: np.ndarray) -> Influence:
    """AUROC over the pairs of one fold, averaged over repeats.

    Each fold has a fit of its own. Ranking patients of different fits against each other rewards nothing that a
    model does and pulls the AUROC down: a fit that left out many responders predicts lower for them all. A cut-off
    rule would even lose its own AUROC. Folds with fewer than two of a class rank nobody; where no fold has two of
    each, patients of all folds are ranked together.
    """
    y = panel.y[rows]
    found = []
    for p, fold in zip(scores.ranked[:, rows], scores.fold[:, rows], strict=True):
        groups = rank_groups(y, fold)
        parts = [auroc_influence(y[g], p[g]) for g in groups]
        joined = stratified(parts)
        values = np.zeros(len(y))
        for group, part in zip(groups, parts, strict=True):
            values[group] = part.values * part.n_pairs / joined.n_pairs
        found.append((joined, values))
    return Influence(
        auroc=float(np.mean([joined.auroc for joined, _ in found])),
        values=np.mean([values for _, values in found], axis=0),
        n_pairs=round(np.mean([joined.n_pairs for joined, _ in found])),
        n_disjoint=min(joined.n_disjoint for joined, _ in found),
    )


def rank_groups(y: np.ndarray, fold: np.ndarray) -> list[np.ndarray]:
    """Masks of the patients who may be ranked against each other: those of one fold, if any fold is large enough."""
    groups = [fold == k for k in np.unique(fold)]
    events = [int(y[g].sum()) for g in groups]
    enough = [g for g, m in zip(groups, events, strict=True) if min(m, int(g.sum()) - m) >= LEAST_FOR_RANKS]
    return enough or [np.ones(len(y), dtype=bool)]


def persons_of(panel: Panel, masks: list[np.ndarray]) -> np.ndarray:
    """Persons of the masks' patients, one mask after the other."""
    return np.concatenate([panel.person[rows] for rows in masks])


def metric_rows(panel: Panel, scores: Scores, settings: Settings, store: Resampled) -> list[dict[str, Any]]:
    """Rows of the metrics table for one model: every cohort, combined, and the pooled AUROC."""
    masks = cohort_masks(panel, scores.fair)
    rows = []
    for k, name in enumerate(panel.cohorts):
        here = panel.cohort == k
        notes = why_fewer(scores.status[here])
        for metric, threshold in settings.specs():
            row = _row(panel, scores, metric, threshold, name, [masks[k]], here, settings, store)
            rows.append(row | {"note": join_notes(row["note"], notes)})
    everywhere = np.ones(len(panel.y), dtype=bool)
    for metric, threshold in settings.specs():
        used = masks_for(metric, panel, masks)
        row = _row(panel, scores, metric, threshold, "combined", used, everywhere, settings, store)
        rows.append(row | {"note": join_notes(row["note"], _cohort_notes(panel, scores, masks, metric))})
    pooled = _row(
        panel, scores, METRICS["auroc"], None, "pooled", [scores.fair], everywhere, settings, store, within_folds=False
    )
    secondary = "secondary: ranks patients across cohorts, so response rates that differ between them count"
    rows.append(pooled | {"note": join_notes(pooled["note"], secondary)})
    return rows


def estimate_head(
    panel: Panel,
    scores: Scores,
    metric: str,
    threshold: float | None,
    used: np.ndarray,
    candidates: np.ndarray,
    *,
    cohort_id: str = "combined",
    subgroup: str = "all",
    level: str = "all",
) -> dict[str, Any]:
    """A row of the metrics table without an estimate yet: what, of whom, and how many of the candidates abstained."""
    return {
        "metric": metric,
        "model": scores.model,
        "recalibration": scores.recalibration,
        "scheme": panel.scheme,
        "endpoint": panel.endpoint,
        "cohort_id": cohort_id,
        "subgroup": subgroup,
        "level": level,
        "threshold_or_horizon": threshold,
        "n": int(used.sum()),
        "n_events": int(panel.y[used].sum()),
        "n_abstained": int(np.sum(scores.status[candidates] == ABSTAINED)),
        "estimate": None,
        "ci_low": None,
        "ci_high": None,
        "ci_method": "none",
        "note": "",
    }


def _row(
    panel: Panel,
    scores: Scores,
    metric: Metric,
    threshold: float | None,
    cohort_id: str,
    masks: list[np.ndarray],
    candidates: np.ndarray,
    settings: Settings,
    store: Resampled,
    *,
    within_folds: bool = True,
) -> dict[str, Any]:
    used = np.any(masks, axis=0) if masks else np.zeros(len(panel.y), dtype=bool)
    row = estimate_head(panel, scores, metric.name, threshold, used, candidates, cohort_id=cohort_id)
    if not used.any():
        return row
    if not panel.enough(used, settings.min_events):
        return row | {"note": TOO_SMALL}
    if metric.name == "auroc":
        return row | _by_delong(panel, scores, masks, within_folds=within_folds)
    return row | _by_bootstrap(scores, metric, threshold, masks, used, store)


def _by_delong(panel: Panel, scores: Scores, masks: list[np.ndarray], *, within_folds: bool) -> dict[str, Any]:
    found = combined_influence(panel, scores, masks, within_folds=within_folds)
    return delong_columns(found, persons_of(panel, masks))


def delong_columns(found: Influence, persons: np.ndarray) -> dict[str, Any]:
    """Columns of the metrics table for an AUROC with DeLong's interval."""
    variance = influence_variance(found.values, persons)
    low, high = auroc_interval(found, variance)
    note = ""
    if variance == 0 and found.auroc in (0.0, 1.0):
        note = "conservative bound: every pair is ranked alike"
    elif variance == 0:  # nothing is ranked: an interval of width 0 would look like certainty
        return {"estimate": found.auroc, "note": "all predictions of a cohort are equal: no interval"}
    return {
        "estimate": found.auroc,
        "ci_low": low,
        "ci_high": high,
        "ci_method": "delong",
        "note": note,
    }


def _by_bootstrap(
    scores: Scores,
    metric: Metric,
    threshold: float | None,
    masks: list[np.ndarray],
    used: np.ndarray,
    store: Resampled,
) -> dict[str, Any]:
    values = store.values(scores, masks, metric, threshold)
    estimate = float(values[0])
    if np.isnan(estimate):
        constant = bool(np.all(np.ptp(scores.p[:, used], axis=1) == 0))
        return {"note": "constant prediction" if constant else "no finite value: a cut-off separates the classes"}
    low, high, left_out = percentile_interval(values[1:])
    note = f"{left_out} of {len(values) - 1} resamples without a value left out" if left_out else ""
    return {"estimate": estimate, "ci_low": low, "ci_high": high, "ci_method": "bootstrap", "note": note}


def why_fewer(status: np.ndarray) -> str:
    """Why patients of a cohort are missing from a model's estimates; "" where none is."""
    if np.all(status == IN_TRAINING):
        return "trained on this cohort"
    if np.all(status == ABSENT):
        return "no predictions"
    if np.all(status == ABSTAINED):
        return "abstained on every patient"
    n_trained = int(np.sum(status == IN_TRAINING))
    n_absent = int(np.sum(status == ABSENT))
    return join_notes(
        f"{_patients(n_trained)} left out: in training" if n_trained else "",
        f"{_patients(n_absent)} left out: not predicted in every repeat" if n_absent else "",
    )


def _patients(n: int) -> str:
    return f"{n} patient{'' if n == 1 else 's'}"


def _cohort_notes(panel: Panel, scores: Scores, masks: list[np.ndarray], metric: Metric) -> str:
    """Which cohorts a combined estimate leaves out, and why."""
    notes = []
    for k, name in enumerate(panel.cohorts):
        status = scores.status[panel.cohort == k]
        reason = why_fewer(status)
        if not masks[k].any():
            notes.append(f"{name} left out: {reason or 'no fair prediction'}")
        else:
            if metric.ranks and not panel.enough(masks[k], LEAST_FOR_RANKS):
                notes.append(f"{name} left out: under {LEAST_FOR_RANKS} events or non-events")
            if reason:
                notes.append(f"{name}: {reason}")
    return join_notes(*notes)
