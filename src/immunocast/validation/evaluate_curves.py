"""Points of the ROC, calibration and decision curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from immunocast.metrics import (
    calibration_bins,
    mean_roc,
    net_benefit,
    net_benefit_treat_all,
    net_benefit_treat_none,
    roc_points,
)
from immunocast.validation.evaluate_estimates import cohort_masks, rank_groups
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings

#: Thresholds of decision curves: .01 to .80.
DECISION_GRID = np.round(np.arange(1, 81) / 100, 2)

#: False-positive rates of averaged or thinned ROC curves; a curve never has more points than this and its origin.
ROC_GRID = np.round(np.arange(101) / 100, 2)

#: Fewest patients that a calibration bin should hold, and most bins.
PATIENTS_A_BIN, MOST_BINS = 30, 10


def model_curves(panel: Panel, scores: Scores, settings: Settings) -> list[dict[str, Any]]:
    """Rows of the curves table for one model, in every cohort that is large enough, and combined.

    The combined ROC curve averages sensitivities of the cohorts at equal false-positive rates, weighted by
    event/non-event pairs like the combined AUROC; combined calibration and decision curves are over all patients.
    Repeats are averaged: sensitivities and net benefits, and for calibration a patient's predictions.
    """
    masks = cohort_masks(panel, scores.fair)
    rows: list[dict[str, Any]] = []
    for name, used, strata in _places(panel, masks, settings):
        y, p = panel.y[used], scores.p[:, used]
        head = {"model": scores.label, "scheme": panel.scheme, "cohort_id": name, "level": "all"}
        x_values, heights = _roc(panel, scores, strata)
        rows += _points(head | {"curve": "roc", "n": len(y)}, x_values, heights)
        bins = calibration_bins(y, p.mean(axis=0), n_bins=int(np.clip(len(y) // PATIENTS_A_BIN, 2, MOST_BINS)))
        for x, observed, low, high, n in zip(
            bins.mean_predicted, bins.observed, bins.ci_low, bins.ci_high, bins.n, strict=True
        ):
            point = {"curve": "calibration", "x": x, "y": observed, "ci_low": low, "ci_high": high, "n": int(n)}
            rows.append(head | point)
        gains = [np.mean([net_benefit(y, q, float(t)) for q in p]) for t in DECISION_GRID]
        rows += _points(head | {"curve": "decision", "n": len(y)}, DECISION_GRID, gains)
    return rows


def reference_curves(panel: Panel, settings: Settings) -> list[dict[str, Any]]:
    """Decision curves of treating everybody and nobody, over patients fairly predicted by at least one model."""
    fair = np.any([scores.fair for scores in panel.scores], axis=0)
    rows: list[dict[str, Any]] = []
    for name, used, _ in _places(panel, cohort_masks(panel, fair), settings):
        y = panel.y[used]
        for label, strategy in (("treat_all", net_benefit_treat_all), ("treat_none", net_benefit_treat_none)):
            head: dict[str, Any] = {"model": label, "scheme": panel.scheme, "cohort_id": name, "level": "all"}
            head |= {"curve": "decision", "n": len(y)}
            rows += _points(head, DECISION_GRID, [strategy(y, float(t)) for t in DECISION_GRID])
    return rows


def _places(
    panel: Panel, masks: list[np.ndarray], settings: Settings
) -> Iterator[tuple[str, np.ndarray, list[np.ndarray]]]:
    """Cohorts and "combined", where large enough: name, patients, and the same patients cohort by cohort."""
    for name, rows in zip(panel.cohorts, masks, strict=True):
        if panel.enough(rows, settings.min_events):
            yield name, rows, [rows]
    everybody = np.any(masks, axis=0)
    if panel.enough(everybody, settings.min_events) and any(panel.enough(rows, 1) for rows in masks):
        yield "combined", everybody, masks


def _roc(panel: Panel, scores: Scores, strata: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    curves, pairs = [], []
    for rows in strata:
        events = int(panel.y[rows].sum())
        n_pairs = events * (int(rows.sum()) - events)
        if n_pairs:
            y = panel.y[rows]
            for p, fold in zip(scores.p[:, rows], scores.fold[:, rows], strict=True):
                for group in rank_groups(y, fold):
                    curves.append(roc_points(y[group], p[group]))
                    pairs.append(int(y[group].sum()) * int((y[group] == 0).sum()))
    if len(curves) == 1 and len(curves[0][0]) <= len(ROC_GRID):
        return curves[0]
    heights = mean_roc(curves, pairs, ROC_GRID)
    return np.append(0.0, ROC_GRID), np.append(0.0, heights)


def _points(head: dict[str, Any], x_values: Any, y_values: Any) -> list[dict[str, Any]]:
    return [
        head | {"x": float(x), "y": float(y), "ci_low": None, "ci_high": None}
        for x, y in zip(x_values, y_values, strict=True)
    ]
