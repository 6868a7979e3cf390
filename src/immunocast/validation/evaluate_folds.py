"""Comparisons over the folds of repeated cross-validation, and of every model with every other."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunocast.metrics import METRICS, Difference, Influence, auroc, brier, corrected_t, influence_difference
from immunocast.validation.evaluate_comparisons import common_row, why_left_out
from immunocast.validation.evaluate_estimates import (
    TOO_SMALL,
    cohort_masks,
    combined_influence,
    masks_for,
    persons_of,
)
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, join_notes

#: Metrics that are compared over folds, under these names.
BY_FOLD = {"auroc": "auroc_by_fold", "brier": "brier_by_fold"}

#: Fewest folds, over two repeats or more, for a test over folds.
LEAST_FOLDS = 10


def has_repeated_folds(scores: Scores) -> bool:
    """Whether patients were split into folds several times, and often enough for a test over folds.

    Under leave-one-cohort-out a fold is a cohort: how cohorts differ is heterogeneity, no noise of training.
    """
    return len(scores.repeats) >= 2 and len(scores.fold_names) >= 2 and _n_folds(scores) >= LEAST_FOLDS


def _n_folds(scores: Scores) -> int:
    return sum(len(np.unique(row[row >= 0])) for row in scores.fold)


def fold_rows(panel: Panel, model: Scores, reference: Scores, settings: Settings) -> list[dict[str, Any]]:
    """Rows "auroc_by_fold" and "brier_by_fold": both models on the common patients of each fold (corrected t)."""
    if not has_repeated_folds(model):
        return []
    common = model.fair & reference.fair
    rows = []
    for metric, name in BY_FOLD.items():
        masks = masks_for(METRICS[metric], panel, cohort_masks(panel, common))
        used = np.any(masks, axis=0) if masks else np.zeros(len(panel.y), dtype=bool)
        row = common_row(panel, model, reference, name, None, "combined", used, np.ones(len(panel.y), dtype=bool))
        note = why_left_out(panel, model, reference, METRICS[metric])
        if not panel.enough(used, settings.min_events):
            rows.append(row | {"note": join_notes(TOO_SMALL if used.any() else "", note)})
            continue
        if not np.array_equal(model.fold[:, used], reference.fold[:, used]):
            rows.append(row | {"note": join_notes("the two were not validated on the same folds", note)})
            continue
        first, second, share = _by_fold(panel, model, reference, masks, metric)
        if len(first) < LEAST_FOLDS:
            few = f"{len(first)} folds hold enough patients, {LEAST_FOLDS} are needed"
            rows.append(row | {"note": join_notes(few, note)})
            continue
        columns = difference_columns(corrected_t(first, second, share), "corrected_t")
        how = f"mean over {len(first)} folds"
        rows.append(row | columns | {"note": join_notes(how, note)})
    return rows


def _by_fold(
    panel: Panel, model: Scores, reference: Scores, masks: list[np.ndarray], metric: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(J,) values of both on each fold, and n_test / n_train of each."""
    first, second, share = [], [], []
    for r, fold in enumerate(model.fold):
        total = int(np.sum(fold >= 0))
        for k in np.unique(fold[fold >= 0]):
            here = fold == k
            values = [
                _value(panel, scores, r, [rows & here for rows in masks], metric) for scores in (model, reference)
            ]
            if values[0] is not None and values[1] is not None:
                first.append(values[0])
                second.append(values[1])
                share.append(here.sum() / (total - here.sum()))
    return np.array(first), np.array(second), np.array(share)


def _value(panel: Panel, scores: Scores, r: int, masks: list[np.ndarray], metric: str) -> float | None:
    if metric == "brier":
        rows = np.any(masks, axis=0)
        return brier(panel.y[rows], scores.p[r, rows]) if rows.any() else None
    kept = [rows for rows in masks if panel.enough(rows, 1)]
    if not kept:
        return None
    p = scores.ranked[r]
    pairs = [int(panel.y[rows].sum()) * int(np.sum(panel.y[rows] == 0)) for rows in kept]
    return float(np.average([auroc(panel.y[rows], p[rows]) for rows in kept], weights=pairs))


def pair_rows(panel: Panel, references: tuple[Scores, ...], settings: Settings) -> list[dict[str, Any]]:
    """AUROC of every model against every other, combined; pairs with one of `references` are there already.

    Models' own outputs only: recalibration does not change who is ranked above whom.
    """
    done = {reference.label for reference in references}
    own = [scores for scores in panel.scores if scores.recalibration == "none"]
    kept: dict[tuple[str, bytes], Influence] = {}

    def influence(scores: Scores, masks: list[np.ndarray]) -> Influence:
        key = (scores.label, np.packbits(np.concatenate(masks)).tobytes())
        if key not in kept:
            kept[key] = combined_influence(panel, scores, masks)
        return kept[key]

    rows = []
    everybody = np.ones(len(panel.y), dtype=bool)
    for model in own:
        for reference in own:
            if model.label == reference.label or reference.label in done:
                continue
            masks = masks_for(METRICS["auroc"], panel, cohort_masks(panel, model.fair & reference.fair))
            used = np.any(masks, axis=0) if masks else np.zeros(len(panel.y), dtype=bool)
            row = common_row(panel, model, reference, "auroc", None, "combined", used, everybody)
            note = why_left_out(panel, model, reference, METRICS["auroc"])
            if panel.enough(used, settings.min_events):
                found = influence_difference(
                    influence(model, masks), influence(reference, masks), persons_of(panel, masks)
                )
                row |= difference_columns(found, "delong")
            elif used.any():
                note = join_notes(TOO_SMALL, note)
            rows.append(row | {"note": note})
            rows += fold_rows(panel, model, reference, settings)
    return rows


def difference_columns(found: Difference, method: str) -> dict[str, Any]:
    """A difference as columns of the comparisons table."""
    return {
        "estimate_model": found.first,
        "estimate_reference": found.second,
        "difference": found.difference,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p": found.p,
        "ci_method": method,
    }
