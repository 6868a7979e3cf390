"""All controls of a run, as its two tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.engines import Engine
from immunocast.store.schemas import TABLES, conform
from immunocast.validation.controls import Rows, events_per_parameter_rows, own_rate_rows, permuted_label_rows
from immunocast.validation.controls_inputs import controlled
from immunocast.validation.null_features import null_feature_rows
from immunocast.validation.splits import Scheme
from immunocast.validation.stability import Frozen, instability_rows, stability_table


@dataclass(frozen=True)
class Controls:
    """The tables controls and stability."""

    controls: pd.DataFrame
    stability: pd.DataFrame


def run_controls(
    cohort: pd.DataFrame,
    y: pd.Series,
    models: Mapping[str, Any],
    scheme: Scheme,
    predictions: pd.DataFrame,
    *,
    tuning: pd.DataFrame,
    final: Callable[[str], Any],
    names: Sequence[str],
    n_permutations: int,
    n_null_features: int,
    n_refits: int,
    thresholds: Sequence[float],
    min_events: int,
    seed: int,
    engine: Engine | None = None,
) -> Controls:
    """Control a run.

    Parameters
    ----------
    cohort : cohort table.
    y : labels aligned with it, <NA> where unclassifiable.
    models : name -> unfitted model, all of the run.
    scheme : the run's scheme.
    predictions, tuning : tables of the run.
    final : name -> the fitted final model.
    names : models that are fitted again; none leaves out all controls.
    n_permutations, n_null_features, n_refits : draws of each control; 0 leaves it out.
    thresholds : probability thresholds that instability is told at.
    min_events : fewest events, and fewest non-events, for which a number is shown.
    seed : the same seed gives the same tables, whatever the engine.
    engine : spreads the fits.

    Raises
    ------
    ConfigError
        For a name that is no learner with predictions.
    """
    if not names:
        return Controls(_table("controls", []), _table("stability", []))
    run = controlled(cohort, y, models, scheme, predictions, names=names)
    frozen = tuned_parameters(tuning)
    rows: Rows = []
    if n_permutations:
        rows += permuted_label_rows(
            run,
            n_permutations=n_permutations,
            seed=seed,
            min_events=min_events,
            tuned={model for model, *_ in frozen},
            engine=engine,
        )
    if n_null_features:
        rows += null_feature_rows(run, n_null_features=n_null_features, seed=seed, engine=engine)
    rows += own_rate_rows(run, min_events=min_events)
    learners = [name for name, model in models.items() if model.spec.learned]
    trees = {name for name in learners if models[name].spec.explainer in ("tree", "xgboost")}
    rows += events_per_parameter_rows(run, {n: None if n in trees else n_coefficients(final(n)) for n in learners})
    stability = _table("stability", [])
    if n_refits:
        found, lost = stability_table(run, n_refits=n_refits, seed=seed, frozen=frozen, engine=engine)
        stability = conform("stability", found)
        rows += instability_rows(run, stability, lost, thresholds=thresholds)
    return Controls(_table("controls", rows), stability)


def n_coefficients(model: Any) -> int | None:
    """Coefficients of a fitted learner besides the intercept; None where it has none."""
    estimator = getattr(model, "estimator_", None)
    if estimator is None and hasattr(model, "factors_"):  # a published formula, revised and added to
        return len(model.factors_) + len(model.coef_)
    coef = getattr(estimator, "coef_", None)
    return None if coef is None else int(np.size(coef))


def tuned_parameters(tuning: pd.DataFrame) -> Frozen:
    """What the inner search chose in each fold."""
    chosen = tuning[tuning["chosen"]] if len(tuning) else tuning
    return {
        (str(row["model"]), int(row["repeat"]), str(row["fold"])): json.loads(row["params"])
        for row in chosen.to_dict("records")
    }


def _table(name: str, rows: Rows) -> pd.DataFrame:
    return conform(name, pd.DataFrame(rows, columns=list(TABLES[name].columns)))
