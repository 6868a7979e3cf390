"""Points of the ROC, calibration and decision curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from immunocast.metrics import (
    Smoother,
    blocks,
    calibration_bins,
    mean_roc,
    net_benefit_curve_parts,
    percentile_interval,
    quotient,
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

#: Points of a smooth calibration curve, which goes from the tenth lowest to the tenth highest prediction. A model with
#: fewer different predictions a fold than that, such as a cut-off, has none: its bins say all.
SMOOTH_POINTS, ENDS = 41, 10

#: The strategies that need no model, as references of a decision curve.
TREAT_ALL, TREAT_NONE = "treat_all", "treat_none"


class Benefits:
    """Net benefits of a model over the thresholds and the shared resamples, kept a cohort."""

    def __init__(self, panel: Panel):
        self.panel = panel
        self._kept: dict[tuple[str, bytes], tuple[np.ndarray, np.ndarray]] = {}

    def over(self, scores: Scores | None, masks: Sequence[np.ndarray]) -> np.ndarray:
        """Net benefit (t, 1 + B) over the patients of the masks, one mask a cohort; None treats everybody."""
        found = [self._parts(scores, rows) for rows in masks if rows.any()]
        return quotient(np.sum([gain for gain, _ in found], axis=0), np.sum([n for _, n in found], axis=0)[None, :])

    def _parts(self, scores: Scores | None, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = (scores.label if scores else TREAT_ALL, np.packbits(rows).tobytes())
        if key not in self._kept:
            y = self.panel.y[rows]
            repeats = scores.p[:, rows] if scores else np.ones((1, len(y)))
            batched = [net_benefit_curve_parts(y, p, DECISION_GRID) for p in repeats]
            found = [
                (np.mean([parts(w)[0] for parts in batched], axis=0), w.sum(axis=0))
                for w in blocks(self.panel.counts[rows], whole_first=True)
            ]
            self._kept[key] = (np.concatenate([g for g, _ in found], axis=1), np.concatenate([n for _, n in found]))
        return self._kept[key]


def model_curves(
    panel: Panel, scores: Scores, references: Sequence[Scores], settings: Settings
) -> list[dict[str, Any]]:
    """Rows of the curves table for one model, in every cohort that is large enough, and combined.

    The combined ROC curve averages sensitivities of the cohorts at equal false-positive rates, weighted by
    event/non-event pairs like the combined AUROC; combined calibration and decision curves are over all patients.
    Repeats are averaged: sensitivities and net benefits, and for calibration a patient's predictions.

    Decision curves of two models are over different patients where one abstained. `decision_difference` is the
    difference of two on the patients of both: to treating everybody, and to each reference; its level names which.
    """
    masks = cohort_masks(panel, scores.fair)
    benefits = Benefits(panel)
    rows: list[dict[str, Any]] = []
    for name, used, strata in _places(panel, masks, settings):
        y, p = panel.y[used], scores.p[:, used]
        head: dict[str, Any] = {"model": scores.label, "scheme": panel.scheme, "cohort_id": name, "level": "all"}
        x_values, heights = _roc(panel, scores, strata)
        rows += _points(head | {"curve": "roc", "n": len(y)}, x_values, heights)
        bins = calibration_bins(y, p.mean(axis=0), n_bins=int(np.clip(len(y) // PATIENTS_A_BIN, 2, MOST_BINS)))
        for x, observed, low, high, n in zip(
            bins.mean_predicted, bins.observed, bins.ci_low, bins.ci_high, bins.n, strict=True
        ):
            point = {"curve": "calibration", "x": x, "y": observed, "ci_low": low, "ci_high": high, "n": int(n)}
            rows.append(head | point)
        rows += _smooth_calibration(panel, scores, used, head)
        own = benefits.over(scores, strata)
        rows += _banded(head | {"curve": "decision", "n": len(y)}, DECISION_GRID, own)
        against = head | {"curve": "decision_difference", "level": TREAT_ALL, "n": len(y)}
        rows += _banded(against, DECISION_GRID, own - benefits.over(None, strata))
    for reference in references:
        common = cohort_masks(panel, scores.fair & reference.fair)
        for name, used, strata in _places(panel, common, settings):
            difference = benefits.over(scores, strata) - benefits.over(reference, strata)
            against = {"model": scores.label, "scheme": panel.scheme, "cohort_id": name, "level": reference.label}
            n = int(used.sum())
            rows += _banded(against | {"curve": "decision_difference", "n": n}, DECISION_GRID, difference)
    return rows


def reference_curves(panel: Panel, settings: Settings) -> list[dict[str, Any]]:
    """Decision curves of treating everybody and nobody, over patients fairly predicted by at least one model."""
    fair = np.any([scores.fair for scores in panel.scores], axis=0)
    benefits = Benefits(panel)
    rows: list[dict[str, Any]] = []
    for name, used, strata in _places(panel, cohort_masks(panel, fair), settings):
        head: dict[str, Any] = {"scheme": panel.scheme, "cohort_id": name, "level": "all", "curve": "decision"}
        head["n"] = int(used.sum())
        values = benefits.over(None, strata)
        rows += _banded(head | {"model": TREAT_ALL}, DECISION_GRID, values)
        rows += _banded(head | {"model": TREAT_NONE}, DECISION_GRID, np.zeros_like(values))
    return rows


def _smooth_calibration(panel: Panel, scores: Scores, used: np.ndarray, head: dict[str, Any]) -> list[dict[str, Any]]:
    """The observed rate as a smooth function of the prediction (`metrics.Smoother`), with a pointwise 95 % band."""
    p = scores.p[:, used].mean(axis=0)
    if len(np.unique(p)) < ENDS * len(np.unique(scores.fold[0, used])):
        return []
    ordered = np.sort(p)
    grid = np.linspace(ordered[ENDS - 1], ordered[-ENDS], SMOOTH_POINTS)
    smoother = Smoother.of(panel.y[used], p)
    found = [smoother.at(grid, w) for w in blocks(panel.counts[used], whole_first=True)]
    # a straight line may leave the range of a rate
    values = np.clip(np.concatenate(found, axis=1), 0.0, 1.0)
    return _banded(head | {"curve": "calibration_smooth", "n": int(used.sum())}, grid, values)


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
            for p, fold in zip(scores.ranked[:, rows], scores.fold[:, rows], strict=True):
                for group in rank_groups(y, fold):
                    curves.append(roc_points(y[group], p[group]))
                    pairs.append(int(y[group].sum()) * int((y[group] == 0).sum()))
    if len(curves) == 1 and len(curves[0][0]) <= len(ROC_GRID):
        return curves[0]
    heights = mean_roc(curves, pairs, ROC_GRID)
    return np.append(0.0, ROC_GRID), np.append(0.0, heights)


def _banded(head: dict[str, Any], x_values: np.ndarray, values: np.ndarray) -> list[dict[str, Any]]:
    """Points from values (m, 1 + B): the first column is the curve, the others give its pointwise 95 % band."""
    estimates = values[:, 0]
    if np.isnan(values).any():
        low, high = np.array([percentile_interval(row[1:])[:2] for row in values]).T
    else:
        low, high = np.quantile(values[:, 1:], [0.025, 0.975], axis=1)
    return [
        head | {"x": float(x), "y": float(y), "ci_low": float(a), "ci_high": float(b)}
        for x, y, a, b in zip(x_values, estimates, low, high, strict=True)
    ]


def _points(head: dict[str, Any], x_values: Any, y_values: Any) -> list[dict[str, Any]]:
    return [
        head | {"x": float(x), "y": float(y), "ci_low": None, "ci_high": None}
        for x, y in zip(x_values, y_values, strict=True)
    ]
