"""Evaluation of predictions: the one place where performance numbers are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import Words, words_of
from immunocast.engines import Engine
from immunocast.errors import ConfigError
from immunocast.store.schemas import TABLES, conform
from immunocast.validation.decision_rules import DecisionRule, check_thresholds, rules_of, treat_all
from immunocast.validation.evaluate_comparisons import comparison_rows
from immunocast.validation.evaluate_curves import TREAT_ALL, model_curves, reference_curves
from immunocast.validation.evaluate_decisions import decision_rows
from immunocast.validation.evaluate_discordance import Members, discordance_rows, strata
from immunocast.validation.evaluate_estimates import Resampled, metric_rows
from immunocast.validation.evaluate_folds import fold_rows, pair_rows
from immunocast.validation.evaluate_heterogeneity import cohort_heterogeneity
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, panels
from immunocast.validation.evaluate_subgroups import Grouping, groupings, subgroup_rows
from immunocast.validation.multiplicity import COMPARISON_FAMILY, HETEROGENEITY_FAMILY, adjust
from immunocast.validation.prices import Prices
from immunocast.validation.subgroups import DEFAULT_SUBGROUPS, subgroup_frame

Rows = list[dict[str, Any]]
_TABLES = ("metrics", "comparisons", "curves", "decisions", "heterogeneity")


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
    all_pairs: bool = False,
    cohort: pd.DataFrame | None = None,
    subgroups: Sequence[str] = DEFAULT_SUBGROUPS,
    subgroup_models: Sequence[str] | None = None,
    chosen_thresholds: pd.DataFrame | None = None,
    positives: Mapping[str, Mapping[str, bool]] | None = None,
    prices: Prices | None = None,
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

    A model that was recalibrated is also compared with the references under the same recalibration: like with like.

    Comparisons are on patients for whom both models have a fair prediction: paired DeLong for AUROC, else paired
    bootstrap with a two-sided p by inversion of the percentile interval. `p_adjusted` is corrected by Holm over the
    models that are compared with one reference by one metric in one cohort. Where a patient was in the test folds of
    several repeats, rows "auroc_by_fold" and "brier_by_fold" add the corrected t test over folds; see
    `multiplicity.distinguishable` for what may be said of a best model.

    Decisions. A rule treats some of the patients; sensitivity, PPV and the like are quotients of sums of patients, all
    with bootstrap intervals, a proportion of exactly 0 or 1 with Wilson's. What a responder costs is the price of
    testing everybody and treating the positives over the responders among them.

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
    all_pairs : True to compare the AUROC of every model with that of every other.
    cohort : cohort table of at least the patients with predictions; None for no subgroups and no discordance strata.
    subgroups : subgroup variables, see `subgroups.subgroup_names`.
    subgroup_models : models that are looked at in subgroups, each with all its recalibrations; "xgboost+platt" for one
        of them; None for all models.
    chosen_thresholds : the table `thresholds` of training, whose rules are evaluated beside the fixed `thresholds`,
        and which tells above and below in discordance strata.
    positives : model -> patient_id -> positive by the marker's own cut-off (`decision_rules.marker_positives`).
    prices : for the cost of a responder; None leaves it out.
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
    if chosen_thresholds is not None:
        check_thresholds(chosen_thresholds)
    found: dict[str, Rows] = {name: [] for name in _TABLES}
    notes: list[str] = []
    levels = None if cohort is None else subgroup_frame(cohort, subgroups)
    for panel in panels(predictions, n_resamples=n_resamples, seed=seed):
        chosen, missing = _references(panel, references)
        notes += [f"{panel.scheme}: nothing is compared with {name!r}, which has no predictions" for name in missing]
        words = words_of(panel.endpoint, endpoint_settings)
        inside = None
        if cohort is not None and levels is not None:
            looked_at = None if subgroup_models is None else tuple(subgroup_models)
            inside = _Inside(groupings(panel, levels), strata(panel, cohort), looked_at)
            notes += inside.notes(panel)
        work = _Work(panel, chosen, settings, words, chosen_thresholds, positives or {}, prices, inside)
        for rows in engine.map(work, panel.scores) if engine else map(work, panel.scores):
            for name in found:
                found[name] += rows.get(name, [])
        found["curves"] += reference_curves(panel, settings)
        everybody = [treat_all(panel, t) for t in settings.thresholds]
        found["decisions"] += work.decide(everybody, TREAT_ALL, "none", None) if everybody else []
        if all_pairs:
            found["comparisons"] += pair_rows(panel, chosen, settings)
        if words.harm:
            notes.append(
                f"{panel.scheme}: nobody is treated for a harm ({words.title}): decisions leave out patients treated "
                "and cost per responder, and positive means predicted to have the event"
            )
    return Evaluation(
        metrics=_table("metrics", found["metrics"]),
        comparisons=_table("comparisons", found["comparisons"], COMPARISON_FAMILY, "models"),
        curves=_table("curves", found["curves"]),
        decisions=_table("decisions", found["decisions"]),
        heterogeneity=_table("heterogeneity", found["heterogeneity"], HETEROGENEITY_FAMILY, "groupings"),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Inside:
    """What is looked into beyond all patients: subgroup variables, discordance strata, and for which models."""

    groups: tuple[Grouping, ...]
    members: tuple[Members, ...]
    models: tuple[str, ...] | None

    def concerns(self, scores: Scores) -> bool:
        """Whether a model is looked at."""
        return self.models is None or scores.model in self.models or scores.label in self.models

    def notes(self, panel: Panel) -> list[str]:
        """What can't be looked into."""
        unknown = [
            f"{panel.scheme}: no subgroups by {group.name}: it is known for nobody"
            for group in self.groups
            if not group.known
        ]
        return unknown + [
            f"{panel.scheme}: no subgroups for {name!r}, which has no predictions"
            for name in self.models or ()
            if not any(name in (scores.model, scores.label) for scores in panel.scores)
        ]


@dataclass(frozen=True)
class _Work:
    """All rows of one model. They depend on no other model but the references, so any worker can make them."""

    panel: Panel
    references: tuple[Scores, ...]
    settings: Settings
    words: Words
    chosen_thresholds: pd.DataFrame | None
    positives: Mapping[str, Mapping[str, bool]]
    prices: Prices | None
    inside: _Inside | None

    def __call__(self, scores: Scores) -> dict[str, Rows]:
        """Rows by table."""
        panel, settings = self.panel, self.settings
        store = Resampled(panel, settings)
        opponents = _opponents(scores, panel, self.references)
        rules = rules_of(
            panel, scores, fixed=settings.thresholds, chosen=self.chosen_thresholds, positives=self.positives
        )
        rows: dict[str, Rows] = {
            "metrics": metric_rows(panel, scores, settings, store),
            "comparisons": [
                row
                for opponent in opponents
                for row in (
                    *comparison_rows(panel, scores, opponent, settings, store),
                    *fold_rows(panel, scores, opponent, settings),
                )
            ],
            "curves": model_curves(panel, scores, opponents, settings),
            "decisions": self.decide(rules, scores.model, scores.recalibration, scores.assays),
            "heterogeneity": cohort_heterogeneity(panel, scores, settings, store),
        }
        if self.inside is not None and self.inside.concerns(scores):
            metrics, tests = subgroup_rows(panel, scores, self.inside.groups, settings)
            rows["metrics"] += metrics
            rows["heterogeneity"] += tests
            metrics, compared = discordance_rows(
                panel, scores, opponents, self.inside.members, self.chosen_thresholds, self.words, settings, store
            )
            rows["metrics"] += metrics
            rows["comparisons"] += compared
        return rows

    def decide(self, rules: list[DecisionRule], model: str, recalibration: str, assays: Any) -> Rows:
        """Rows of the decisions table."""
        return decision_rows(
            self.panel, rules, (model, recalibration), assays, settings=self.settings, words=self.words,
            prices=self.prices,
        )  # fmt: skip


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


def _table(name: str, rows: Rows, family: Sequence[str] = (), over: str = "") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(TABLES[name].columns))
    return conform(name, adjust(frame, family, over) if family else frame)
