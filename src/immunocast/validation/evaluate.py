"""Evaluation of predictions: the one place where performance numbers are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import Words, words_of
from immunocast.engines import Engine
from immunocast.errors import ConfigError
from immunocast.store.schemas import TABLES, conform
from immunocast.validation.evaluate_comparisons import comparison_rows
from immunocast.validation.evaluate_curves import model_curves, reference_curves
from immunocast.validation.evaluate_discordance import Members, discordance_rows, strata
from immunocast.validation.evaluate_estimates import Resampled, metric_rows
from immunocast.validation.evaluate_folds import fold_rows, pair_rows
from immunocast.validation.evaluate_heterogeneity import cohort_heterogeneity
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, panels
from immunocast.validation.evaluate_subgroups import Grouping, groupings, subgroup_rows
from immunocast.validation.multiplicity import COMPARISON_FAMILY, HETEROGENEITY_FAMILY, adjust
from immunocast.validation.subgroups import DEFAULT_SUBGROUPS, subgroup_frame

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: four tables of `store.schemas`, and remarks on what could not be done.

    `comparisons` and `curves` have no column for the recalibration: there a recalibrated model is called
    "model+recalibration", e.g. "xgboost+platt".
    """

    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    curves: pd.DataFrame
    heterogeneity: pd.DataFrame
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
    cohort: pd.DataFrame | None = None,
    subgroups: Sequence[str] = DEFAULT_SUBGROUPS,
    subgroup_models: Sequence[str] | None = None,
    all_pairs: bool = False,
    chosen_thresholds: pd.DataFrame | None = None,
    endpoint_settings: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Estimates, comparisons and curves of every model, per cohort and combined; who it fails; how cohorts differ.

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
    bootstrap with a two-sided p by inversion of the percentile interval. `p_adjusted` is corrected by Holm over the
    models that are compared with one reference by one metric in one cohort. Where a patient was in the test folds of
    several repeats, rows "auroc_by_fold" and "brier_by_fold" add the corrected t test over folds; see
    `multiplicity.distinguishable` for what may be said of a best model.

    Over cohorts, random effects (`heterogeneity`): what a metric is on average over hospitals like these, and in the
    next one. With a cohort table also inside subgroups and discordance strata, and whether subgroups differ.

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
    cohort : cohort table of at least the patients with predictions; None for no subgroups and no discordance strata.
    subgroups : subgroup variables, see `subgroups.subgroup_names`.
    subgroup_models : models that are looked at in subgroups, each with all its recalibrations; "xgboost+platt" for one
        of them; None for all models.
    all_pairs : True to compare the AUROC of every model with that of every other.
    chosen_thresholds : thresholds table of training, for the rates above and below in discordance strata.
    endpoint_settings : settings of the endpoint as `Endpoint.to_dict` gives them, for words; None for the defaults.

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
    for name, value in (
        ("references", references),
        ("thresholds", thresholds),
        ("subgroup_models", subgroup_models),
    ):
        if isinstance(value, (str, float)):
            raise ConfigError(f"{name} is {value!r}: give a list.")
    settings = Settings(tuple(sorted({float(t) for t in thresholds})), min_events)
    found: dict[str, Rows] = {"metrics": [], "comparisons": [], "curves": [], "heterogeneity": []}
    notes: list[str] = []
    levels = None if cohort is None else subgroup_frame(cohort, subgroups)
    for panel in panels(predictions, n_resamples=n_resamples, seed=seed):
        chosen, missing = _references(panel, references)
        notes += [f"{panel.scheme}: nothing is compared with {name!r}, which has no predictions" for name in missing]
        inside = None
        if cohort is not None and levels is not None:
            inside = _Inside(
                groupings(panel, levels),
                strata(panel, cohort),
                None if subgroup_models is None else tuple(subgroup_models),
                chosen_thresholds,
                words_of(panel.endpoint, endpoint_settings),
            )
            notes += [
                f"{panel.scheme}: no subgroups by {group.name}: it is known for nobody"
                for group in inside.groups
                if not group.known
            ]
            notes += [
                f"{panel.scheme}: no subgroups for {name!r}, which has no predictions"
                for name in subgroup_models or ()
                if not any(name in (scores.model, scores.label) for scores in panel.scores)
            ]
        work = partial(_model_rows, panel=panel, references=chosen, settings=settings, inside=inside)
        results = engine.map(work, panel.scores) if engine else [work(scores) for scores in panel.scores]
        for rows in results:
            for table in found:
                found[table] += rows[table]
        found["curves"] += reference_curves(panel, settings)
        if all_pairs:
            found["comparisons"] += pair_rows(panel, chosen, settings)
    return Evaluation(
        metrics=_table("metrics", found["metrics"]),
        comparisons=_table("comparisons", found["comparisons"], COMPARISON_FAMILY, "models"),
        curves=_table("curves", found["curves"]),
        heterogeneity=_table("heterogeneity", found["heterogeneity"], HETEROGENEITY_FAMILY, "groupings"),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Inside:
    """What is looked into beyond all patients: subgroup variables, discordance strata, and for which models."""

    groups: tuple[Grouping, ...]
    members: tuple[Members, ...]
    models: tuple[str, ...] | None
    thresholds: pd.DataFrame | None
    words: Words

    def concerns(self, scores: Scores) -> bool:
        """Whether a model is looked at."""
        return self.models is None or scores.model in self.models or scores.label in self.models


def _model_rows(
    scores: Scores, panel: Panel, references: tuple[Scores, ...], settings: Settings, inside: _Inside | None
) -> dict[str, Rows]:
    """All rows of one model. It depends on no other model but the references, so it can run on any worker."""
    store = Resampled(panel, settings)
    rows: dict[str, Rows] = {
        "metrics": metric_rows(panel, scores, settings, store),
        "comparisons": [
            row
            for reference in references
            if reference.label != scores.label
            for row in (
                *comparison_rows(panel, scores, reference, settings, store),
                *fold_rows(panel, scores, reference, settings),
            )
        ],
        "curves": model_curves(panel, scores, settings),
        "heterogeneity": cohort_heterogeneity(panel, scores, settings, store),
    }
    if inside is not None and inside.concerns(scores):
        metrics, tests = subgroup_rows(panel, scores, inside.groups, settings)
        rows["metrics"] += metrics
        rows["heterogeneity"] += tests
        metrics, compared = discordance_rows(
            panel, scores, references, inside.members, inside.thresholds, inside.words, settings, store
        )
        rows["metrics"] += metrics
        rows["comparisons"] += compared
    return rows


def _references(panel: Panel, names: Sequence[str]) -> tuple[tuple[Scores, ...], list[str]]:
    by_label = {scores.label: scores for scores in panel.scores}
    names = list(dict.fromkeys(names))
    return tuple(by_label[n] for n in names if n in by_label), [n for n in names if n not in by_label]


def _table(name: str, rows: Rows, family: Sequence[str] = (), over: str = "") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(TABLES[name].columns))
    return conform(name, adjust(frame, family, over) if family else frame)
