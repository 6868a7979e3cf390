"""Survival of the patients who were forecast: does a higher probability go with longer life?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import Endpoint, make_endpoint
from immunocast.engines import Engine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.store.schemas import TABLES, conform
from immunocast.validation.evaluate_inputs import Panel, Scores, panels
from immunocast.validation.evaluate_risk_groups import group_rows, irae_rows
from immunocast.validation.evaluate_survival_estimates import outcome_rows
from immunocast.validation.evaluate_survival_inputs import SurvivalSettings, outcome_of
from immunocast.validation.multiplicity import COMPARISON_FAMILY, adjust

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class SurvivalEvaluation:
    """What `evaluate_survival` found: rows for four tables of `store.schemas`, and what could not be done."""

    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    curves: pd.DataFrame
    risk_groups: pd.DataFrame
    notes: tuple[str, ...] = ()


def evaluate_survival(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    *,
    endpoint: str | Mapping[str, Any] | Endpoint = "response",
    references: Sequence[str] = ("loris_routed",),
    settings: SurvivalSettings | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    engine: Engine | None = None,
) -> SurvivalEvaluation:
    """Concordance, time-dependent AUC, Brier scores and risk groups for overall and progression-free survival.

    Predictions count as in `evaluate`: only those by a fit that has not seen the person. Recalibrated ones are left
    out, since a monotone map changes no rank.

    Direction. A high probability of a benefit (response, durable benefit) is expected to go with longer survival, one
    of a harm with shorter; concordance above .5 means that it does.

    Ranks are compared within a cohort, and within the patients of one fit, and combined like the AUROC: over all
    comparable pairs, IPCW weights by cohort. Horizons are clipped to a cohort's follow-up, and the note says so; a
    combined estimate at a horizon takes the cohorts that reach it.

    A probability of response is no survival probability. For Brier scores it is turned into one by a Cox model with
    its log-odds as the only covariate and Breslow's baseline, fitted on the *other* cohorts (without linked persons),
    or, where no other cohort has enough events, on other folds of persons. The reference of IPA and of the scaled
    integrated Brier score is the Kaplan-Meier curve of the tested patients themselves.

    Intervals, 95 %: percentile bootstrap of persons by the resamples that all metrics share; the censoring
    distribution and the Kaplan-Meier reference are estimated anew in each, predictions and Cox models stay.

    Parameters
    ----------
    predictions : the predictions table of one endpoint.
    cohort : the cohort table of the same run.
    endpoint : the endpoint with its settings; it decides the direction and whose survival is meant.
    references : models that all others are compared with; a recalibrated one stands for its model.
    settings : None for the defaults.
    n_resamples, seed, engine : as for `evaluate`.

    Returns
    -------
    SurvivalEvaluation; its tables are empty, and its notes say why, where no cohort has times and events.

    Raises
    ------
    DataError
        Where the predictions lack columns or contradict themselves.
    ConfigError
        Where a setting is out of range or names a model without predictions.
    """
    settings = settings or SurvivalSettings()
    engine = engine or SerialEngine()
    meant = make_endpoint(endpoint)
    sign = 1 if meant.words.harm else -1
    found: dict[str, Rows] = {"metrics": [], "comparisons": [], "curves": [], "risk_groups": []}
    notes: list[str] = []
    if settings.outcomes and meant.markers == "unknown":
        notes.append(
            f"whether a high probability of {meant.name} goes with shorter life is not settled: concordance below .5 "
            "means that it goes with longer life"
        )
    if settings.outcomes:
        labels = meant.label(cohort)
        of_arms = (labels.of_arms if labels.of_arms is not None else labels.y.notna()).to_numpy(dtype=bool)
        raw = predictions[predictions["recalibration"] == "none"] if "recalibration" in predictions else predictions
        for panel in panels(raw, n_resamples=n_resamples, seed=seed):
            ids = raw.loc[raw["scheme"] == panel.scheme, "patient_id"].drop_duplicates().sort_values()
            models, against = _chosen(panel, settings, references)
            for name in settings.outcomes:
                outcome, remarks = outcome_of(panel, ids.to_numpy(), cohort, name, of_arms, settings)
                rows, curves, more = irae_rows(panel, cohort, of_arms, name, settings)
                found["risk_groups"] += rows
                found["curves"] += curves
                notes += [*remarks, *more]
                if outcome is None:
                    continue
                metrics, comparisons = outcome_rows(
                    panel, outcome, models, against, sign=sign, settings=settings, seed=seed, engine=engine
                )
                found["metrics"] += metrics
                found["comparisons"] += comparisons
                for rows, curves in engine.map(partial(group_rows, panel, outcome, settings=settings), models):
                    found["risk_groups"] += rows
                    found["curves"] += curves
    frames = {name: pd.DataFrame(rows, columns=list(TABLES[name].columns)) for name, rows in found.items()}
    frames["comparisons"] = adjust(frames["comparisons"], COMPARISON_FAMILY, "models")
    tables = {name: conform(name, frame) for name, frame in frames.items()}
    return SurvivalEvaluation(**tables, notes=tuple(dict.fromkeys(notes)))


def _chosen(
    panel: Panel, settings: SurvivalSettings, references: Sequence[str]
) -> tuple[tuple[Scores, ...], tuple[Scores, ...]]:
    by_name = {scores.model: scores for scores in panel.scores}
    names = list(by_name) if settings.models is None else list(dict.fromkeys(settings.models))
    for name in names:
        if name not in by_name:
            raise ConfigError(f"survival.models names {name!r}, which has no predictions. Known: {', '.join(by_name)}.")
    against = dict.fromkeys(name.split("+")[0] for name in references)
    return tuple(by_name[n] for n in names), tuple(by_name[n] for n in against if n in by_name)
