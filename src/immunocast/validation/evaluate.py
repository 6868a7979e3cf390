"""Evaluation of predictions: the one place where performance numbers are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import words_of
from immunocast.engines import Engine
from immunocast.errors import ConfigError
from immunocast.store.schemas import TABLES, conform
from immunocast.validation.decision_rules import DecisionRule, check_thresholds, rules_of, treat_all
from immunocast.validation.evaluate_comparisons import comparison_rows
from immunocast.validation.evaluate_curves import TREAT_ALL, model_curves, reference_curves
from immunocast.validation.evaluate_decisions import decision_rows
from immunocast.validation.evaluate_estimates import Resampled, metric_rows
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, panels
from immunocast.validation.prices import Prices

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: tables of `store.schemas`, and remarks on what could not be done.

    `comparisons` and `curves` have no column for the recalibration: there a recalibrated model is called
    "model+recalibration", e.g. "xgboost+platt".
    """

    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    curves: pd.DataFrame
    decisions: pd.DataFrame
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
    chosen_thresholds: pd.DataFrame | None = None,
    positives: Mapping[str, Mapping[str, bool]] | None = None,
    prices: Prices | None = None,
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

    A model that was recalibrated is also compared with the references under the same recalibration: like with like.

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
    chosen_thresholds : the table `thresholds`, whose rules are evaluated beside the fixed `thresholds`.
    positives : model -> patient_id -> positive by the marker's own cut-off (`decision_rules.marker_positives`).
    prices : for the cost of a responder; None leaves it out.

    Decisions. A rule treats some of the patients; sensitivity, PPV and the like are quotients of sums of patients, all
    with bootstrap intervals, a proportion of exactly 0 or 1 with Wilson's. What a responder costs is the price of
    testing everybody and treating the positives over the responders among them.

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
    if chosen_thresholds is not None:
        check_thresholds(chosen_thresholds)
    found: dict[str, Rows] = {"metrics": [], "comparisons": [], "curves": [], "decisions": []}
    notes: list[str] = []
    for panel in panels(predictions, n_resamples=n_resamples, seed=seed):
        chosen, missing = _references(panel, references)
        notes += [f"{panel.scheme}: nothing is compared with {name!r}, which has no predictions" for name in missing]
        words = words_of(panel.endpoint)
        decide = partial(decision_rows, panel, settings=settings, words=words, prices=prices)
        rules = partial(rules_of, panel, fixed=settings.thresholds, chosen=chosen_thresholds, positives=positives or {})
        work = partial(_model_rows, panel=panel, references=chosen, settings=settings, rules=rules, decide=decide)
        results = engine.map(work, panel.scores) if engine else [work(scores) for scores in panel.scores]
        for rows in results:
            for table in found:
                found[table] += rows[table]
        found["curves"] += reference_curves(panel, settings)
        everybody = [treat_all(panel, t) for t in settings.thresholds]
        found["decisions"] += decide(everybody, (TREAT_ALL, "none"), None)
        if words.harm:
            notes.append(
                f"{panel.scheme}: nobody is treated for a harm ({words.title}): decisions leave out patients treated "
                "and cost per responder, and positive means predicted to have the event"
            )
    return Evaluation(
        metrics=_table("metrics", found["metrics"]),
        comparisons=_table("comparisons", found["comparisons"]),
        curves=_table("curves", found["curves"]),
        decisions=_table("decisions", found["decisions"]),
        notes=tuple(notes),
    )


def _model_rows(
    scores: Scores,
    panel: Panel,
    references: tuple[Scores, ...],
    settings: Settings,
    rules: Callable[[Scores], list[DecisionRule]],
    decide: Callable[..., Rows],
) -> dict[str, Rows]:
    """All rows of one model. It depends on no other model but the references, so it can run on any worker."""
    store = Resampled(panel, settings)
    references = _opponents(scores, panel, references)
    return {
        "metrics": metric_rows(panel, scores, settings, store),
        "comparisons": [
            row for reference in references for row in comparison_rows(panel, scores, reference, settings, store)
        ],
        "curves": model_curves(panel, scores, references, settings),
        "decisions": decide(rules(scores), (scores.model, scores.recalibration), scores.assays),
    }


def _opponents(scores: Scores, panel: Panel, references: tuple[Scores, ...]) -> tuple[Scores, ...]:
    """What a model is compared with: the references, and like with like, a reference under its own recalibration."""
    likewise = [
        other
        for reference in references
        for other in panel.scores
        if other.model == reference.model and other.recalibration == scores.recalibration != "none"
    ]
    found = {other.label: other for other in (*references, *likewise) if other.label != scores.label}
    return tuple(found.values())


def _references(panel: Panel, names: Sequence[str]) -> tuple[tuple[Scores, ...], list[str]]:
    by_label = {scores.label: scores for scores in panel.scores}
    names = list(dict.fromkeys(names))
    return tuple(by_label[n] for n in names if n in by_label), [n for n in names if n not in by_label]


def _table(name: str, rows: Rows) -> pd.DataFrame:
    return conform(name, pd.DataFrame(rows, columns=list(TABLES[name].columns)))
