"""Stability of importance, other ways to measure it, and agreement: the three tables of a run, and what was skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from immunocast.engines import Engine
from immunocast.explain.agreement import between_cohorts, between_methods, between_models
from immunocast.explain.background import background_of
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.losses import Losses, drop_column_losses, permutation_losses
from immunocast.explain.methods import method_rows, shap_ranks
from immunocast.explain.per_patient import per_patient
from immunocast.explain.plan import known_models
from immunocast.explain.refits import refit_draws
from immunocast.explain.stability import MIN_DRAWS, stability_rows


def stability_tables(
    run: ExplainInputs,
    shap: pd.DataFrame,
    importance: pd.DataFrame,
    settings: Mapping[str, Any],
    *,
    seed: int,
    engine: Engine | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables importance_stability, importance_methods and agreement.

    Parameters
    ----------
    run : the run.
    shap, importance : its tables.
    settings : the section `explain` of the configuration.
    seed : the same seed gives the same tables, whatever the engine.
    engine : spreads refits and folds.

    Raises
    ------
    ConfigError
        For a model that the run does not have, and a number of refits below 0.
    """
    explained = per_patient(shap, run.cohort)
    stability = settings["stability"]
    names, _ = chosen_models(run, shap, stability["models"], "stability")
    refits = refit_draws(
        run,
        shap,
        explained,
        names,
        n_refits=stability["n_refits"],
        seed=seed,
        background=background_of(run.training, settings, seed),
        engine=engine,
    )
    n_resamples = settings["n_resamples"]
    stable = stability_rows(shap, run.cohort, explained, refits)
    agreement = between_models(explained, n_resamples=n_resamples, seed=seed)
    for whole in explained.values():
        agreement += between_cohorts(whole, n_resamples=n_resamples, seed=seed)
    ways = settings["methods"]
    labels = pd.Series(run.labels, index=run.table["patient_id"])
    tables = []
    for name in chosen_models(run, shap, ways["models"], "methods")[0]:
        whole = explained[name]
        losses: list[Losses] = []
        if ways["n_permutations"]:
            losses.append(
                permutation_losses(run, shap, whole, n_permutations=ways["n_permutations"], seed=seed, engine=engine)
            )
        if ways["drop_column"]:
            losses.append(drop_column_losses(run, shap, whole, engine=engine))
        own = shap_ranks(name, importance, stable)
        y = labels.loc[whole.patients["patient_id"]].to_numpy()
        tables += [method_rows(whole, y, one, own, n_resamples=n_resamples, seed=seed) for one in losses]
        agreement += between_methods(whole, losses, n_resamples=n_resamples, seed=seed)
    return {
        "importance_stability": stable,
        "importance_methods": pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
        "agreement": pd.DataFrame(agreement),
    }


def chosen_models(
    run: ExplainInputs, shap: pd.DataFrame, models: Sequence[str], section: str
) -> tuple[list[str], list[str]]:
    """Models of a section of `explain` that can be done, and sentences on those that can't.

    Raises
    ------
    ConfigError
        For a model that the run does not have.
    """
    names, said = [], []
    for name in known_models(run, models, section):
        rows = shap[shap["model"] == name] if len(shap) else shap
        label = run.models[name].spec.label or name
        if rows.empty:
            said.append(f"{label} is left out of explain.{section}: it has no SHAP values to compare with.")
        elif section == "stability" and rows["method"].str.contains("sampled").any():
            said.append(f"{label} is left out of explain.{section}: its SHAP values are estimates, not exact.")
        else:
            names.append(name)
    return names, said


def stability_notes(run: ExplainInputs, shap: pd.DataFrame, settings: Mapping[str, Any]) -> list[str]:
    """Sentences on what stability and other methods leave out, for the run's warnings.

    Parameters
    ----------
    run, shap, settings : as for `stability_tables`.
    """
    stability, ways = settings["stability"], settings["methods"]
    said: list[str] = []
    if stability["models"] and stability["n_refits"]:
        said += chosen_models(run, shap, stability["models"], "stability")[1]
        if stability["n_refits"] < MIN_DRAWS:
            said.append(f"explain.stability.n_refits={stability['n_refits']}: a verdict needs {MIN_DRAWS} refits.")
    if ways["models"] and (ways["n_permutations"] or ways["drop_column"]):
        said += chosen_models(run, shap, ways["models"], "methods")[1]
    return said
