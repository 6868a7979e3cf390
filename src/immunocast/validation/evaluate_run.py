"""All results of a run: performance, survival, and the checks of what they say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from immunocast.cohort.checks import apply_waivers, check_controls, check_performance, to_checks_table
from immunocast.cohort.outcomes import Endpoint
from immunocast.engines import Engine
from immunocast.models.spec import ResponseModel
from immunocast.validation.decision_rules import marker_positives
from immunocast.validation.evaluate import evaluate
from immunocast.validation.evaluate_survival import evaluate_survival
from immunocast.validation.evaluate_survival_inputs import SurvivalSettings
from immunocast.validation.prices import Prices


@dataclass(frozen=True)
class RunEvaluation:
    """Tables by name, and what the manifest says of them."""

    tables: dict[str, pd.DataFrame]
    about: dict[str, Any]


def evaluate_run(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    models: Mapping[str, ResponseModel],
    *,
    endpoint: Endpoint,
    references: Sequence[str],
    headline_model: str,
    thresholds: Sequence[float],
    n_resamples: int,
    min_events: int,
    subgroups: Sequence[str],
    subgroup_models: Sequence[str],
    all_pairs: bool,
    survival: SurvivalSettings,
    seed: int,
    left_out: Collection[str] = (),
    chosen_thresholds: pd.DataFrame | None = None,
    controls: pd.DataFrame | None = None,
    prices: Prices | None = None,
    synthetic: bool = False,
    waive: Mapping[str, str] | None = None,
    engine: Engine | None = None,
) -> RunEvaluation:
    """Evaluate a run.

    Parameters
    ----------
    predictions, cohort : tables of the run.
    models : name -> model, for the cut-offs among them; none is fitted.
    endpoint : what is predicted.
    references : models that all others are compared with.
    headline_model : the one that speaks for the run; all others are compared with it, too.
    thresholds, n_resamples, min_events, subgroups, all_pairs, seed, prices, engine : see `evaluate`.
    subgroup_models : models that are looked at in subgroups; none for the headline model and the references.
    survival : see `evaluate_survival`.
    left_out : models that say nothing about this endpoint and were left out before training.
    chosen_thresholds, controls : tables of the run; None where there are none.
    synthetic : whether the patients are, for the checks.
    waive : code -> reason of the checks that do not stop the run.

    Raises
    ------
    DataError, ConfigError
        As `evaluate` and `evaluate_survival`.
    """

    def kept(names: Sequence[str]) -> list[str]:
        return [name for name in names if name.split("+")[0] not in left_out]

    present = kept(references)
    against = list(dict.fromkeys([*present, headline_model]))
    result = evaluate(
        predictions,
        references=against,
        thresholds=thresholds,
        n_resamples=n_resamples,
        min_events=min_events,
        seed=seed,
        engine=engine,
        all_pairs=all_pairs,
        cohort=cohort,
        subgroups=subgroups,
        subgroup_models=kept(subgroup_models) or list(dict.fromkeys([headline_model, *present])),
        chosen_thresholds=chosen_thresholds,
        positives=marker_positives(models, cohort),
        prices=prices,
        endpoint_settings=endpoint.to_dict(),
    )
    if survival.models is not None:
        survival = replace(survival, models=tuple(kept(survival.models)))
    lives = evaluate_survival(
        predictions,
        cohort,
        endpoint=endpoint,
        references=present,
        settings=survival,
        n_resamples=n_resamples,
        seed=seed,
        engine=engine,
    )
    found = check_performance(result.metrics, synthetic)
    if controls is not None:
        found += check_controls(controls)
    tables = {
        "metrics": _together(result.metrics, lives.metrics),
        "comparisons": _together(result.comparisons, lives.comparisons),
        "curves": _together(result.curves, lives.curves),
        "decisions": result.decisions,
        "heterogeneity": result.heterogeneity,
        "risk_groups": lives.risk_groups,
        "model_checks": to_checks_table(apply_waivers(found, waive or {})),
    }
    about = {
        "reference_model": present[0] if present else None,
        "headline_model": headline_model,
        "thresholds": list(thresholds),
        "n_resamples": n_resamples,
        "min_events": min_events,
        "evaluation_notes": list(result.notes),
        "survival_notes": list(lives.notes),
    }
    return RunEvaluation(tables, about)


def _together(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    parts = [part for part in (first, second) if not part.empty]
    return pd.concat(parts, ignore_index=True) if parts else first
