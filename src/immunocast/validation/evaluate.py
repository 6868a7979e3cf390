"""Evaluation of predictions: the one place where performance numbers are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from immunocast.engines import Engine
from immunocast.errors import ConfigError
from immunocast.store.schemas import TABLES, conform
from immunocast.validation.evaluate_comparisons import comparison_rows
from immunocast.validation.evaluate_curves import model_curves, reference_curves
from immunocast.validation.evaluate_estimates import Resampled, metric_rows
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, panels

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: three tables of `store.schemas`, and remarks on what could not be done.

    `comparisons` and `curves` have no column for the recalibration: there a recalibrated model is called
    "model+recalibration", e.g. "xgboost+platt".
    """

    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    curves: pd.DataFrame
    notes: tuple[str, ...] = ()


def evaluate(
    predictions: pd.DataFrame,
    *,
    references: Sequence[str] = ("loris_routed",),
    thresholds: Sequence[float] = (0.2, 0.3, 0.4),
    n_resamples: int = 2000,
    seed: int = 0,
    min_events: int = 10,
    engine: Engine | None = None,
) -> Evaluation:
    """Estimates, comparisons and curves of every model, per cohort and combined.

    Which predictions count. A prediction by a fit that saw the patient, or a linked person, never enters a number. A
    patient on whom the model abstained is left out and counted. With repeats, a patient enters where every repeat has
    a fair prediction; the metric is averaged over repeats inside each resample.

    Over several cohorts ("combined"). AUROC and AUPRC compare patients within their cohort only: the cohorts'
    AUROCs are weighted by event/non-event pairs, AUPRCs by events. Cohorts with at least two events and two
    non-events enter, also those too small for an estimate of their own: their few pairs carry little weight, and
    leaving them out would depend on an arbitrary limit. All other metrics are over all patients; the scaled Brier
    score is relative to each cohort's own prevalence. "pooled" is the AUROC over all patients, a secondary number.

    Folds. AUROC and ROC curves rank patients of one fold only, since each fold has a fit of its own; AUPRC, whose
    value depends on the number of events, takes the folds of a repeat together.

    Intervals, 95 %. AUROC: DeLong, on the logit scale, patients of a person added up. The others: percentile
    bootstrap of persons, stratified by cohort, the same resamples for all models. With under `min_events` events or
    non-events an estimate is null, and its note says "too small".

    Comparisons are on patients for whom both models have a fair prediction: paired DeLong for AUROC, else paired
    bootstrap with a two-sided p by inversion of the percentile interval. No p is corrected for multiplicity.

    Parameters
    ----------
    predictions : the predictions table of one endpoint.
    references : models that all others are compared with: "loris_routed", or "xgboost+platt" for a recalibrated one.
        One without predictions is told in `notes`.
    thresholds : probability thresholds of net benefit.
    n_resamples : bootstrap resamples.
    seed : not negative; the same seed gives the same numbers for whatever order of rows or models, and engine.
    min_events : fewest events, and fewest non-events, for which an estimate is shown, at least 2.
    engine : spreads the models over workers (`map(fn, items) -> list`); None works through them one by one.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        Where the predictions lack columns or contradict themselves.
    ConfigError
        Where a setting is out of range.
    """
    for name, value in (("references", references), ("thresholds", thresholds)):
        if isinstance(value, (str, float)):
            raise ConfigError(f"{name} is {value!r}: give a list.")
    settings = Settings(tuple(sorted({float(t) for t in thresholds})), min_events)
    found: dict[str, Rows] = {"metrics": [], "comparisons": [], "curves": []}
    notes: list[str] = []
    for panel in panels(predictions, n_resamples=n_resamples, seed=seed):
        chosen, missing = _references(panel, references)
        notes += [f"{panel.scheme}: nothing is compared with {name!r}, which has no predictions" for name in missing]
        work = partial(_model_rows, panel=panel, references=chosen, settings=settings)
        results = engine.map(work, panel.scores) if engine else [work(scores) for scores in panel.scores]
        for rows in results:
            for table in found:
                found[table] += rows[table]
        found["curves"] += reference_curves(panel, settings)
    return Evaluation(
        metrics=_table("metrics", found["metrics"]),
        comparisons=_table("comparisons", found["comparisons"]),
        curves=_table("curves", found["curves"]),
        notes=tuple(notes),
    )


def _model_rows(scores: Scores, panel: Panel, references: tuple[Scores, ...], settings: Settings) -> dict[str, Rows]:
    """All rows of one model. It depends on no other model but the references, so it can run on any worker."""
    store = Resampled(panel, settings)
    return {
        "metrics": metric_rows(panel, scores, settings, store),
        "comparisons": [
            row
            for reference in references
            if reference.label != scores.label
            for row in comparison_rows(panel, scores, reference, settings, store)
        ],
        "curves": model_curves(panel, scores, settings),
    }


def _references(panel: Panel, names: Sequence[str]) -> tuple[tuple[Scores, ...], list[str]]:
    by_label = {scores.label: scores for scores in panel.scores}
    names = list(dict.fromkeys(names))
    return tuple(by_label[n] for n in names if n in by_label), [n for n in names if n not in by_label]


def _table(name: str, rows: Rows) -> pd.DataFrame:
    return conform(name, pd.DataFrame(rows, columns=list(TABLES[name].columns)))
