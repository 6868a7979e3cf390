"""All explanations of a run, as its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunocast.engines import Engine
from immunocast.explain.background import background_of
from immunocast.explain.conformal import conformal_table
from immunocast.explain.discordant import discordant_table
from immunocast.explain.importance import importance_table
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.interaction_tables import interaction_tables
from immunocast.explain.maps import recalibration_map_table
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.explain.plan import plan_explanations
from immunocast.explain.stability_run import stability_tables
from immunocast.explain.truth import truth_recovery_table
from immunocast.store.schemas import conform
from immunocast.store.schemas_explain import EXPLAIN_TABLES


def run_explain(
    run: ExplainInputs, settings: Mapping[str, Any], *, seed: int, engine: Engine | None = None
) -> dict[str, pd.DataFrame]:
    """Explain a run.

    Parameters
    ----------
    run : what explanation sees of it.
    settings : the section `explain` of the configuration.
    seed : the same seed gives the same tables, whatever the engine.
    engine : spreads folds and refits.

    Returns
    -------
    Table name -> rows that conform to its schema; a table that the settings leave out is empty.
    """
    found: dict[str, pd.DataFrame] = {}
    plan = plan_explanations(run, settings["fallback"])
    shap = explain_out_of_fold(
        run.cohort,
        run.predictions,
        run.load_model,
        [name for name, p in plan.items() if p.how != "none"],
        sampled=[name for name, p in plan.items() if p.how == "sampled"],
        training=run.training,
        background=background_of(run.training, settings, seed),
        seed=seed,
        engine=engine,
    )
    found["shap"] = shap
    found["importance"] = importance_table(
        shap,
        run.cohort,
        by=settings["by"],
        clusters=settings["clusters"],
        n_resamples=settings["n_resamples"],
        seed=seed,
    )
    found |= interaction_tables(
        run, settings["interactions"], n_resamples=settings["n_resamples"], seed=seed, engine=engine
    )
    found |= stability_tables(run, shap, found["importance"], settings, seed=seed, engine=engine)
    found["discordant"] = discordant_table(run, shap, n_resamples=settings["n_resamples"], seed=seed)
    found["truth_recovery"] = truth_recovery_table(run, shap, n_resamples=settings["n_resamples"], seed=seed)
    found["recalibration_maps"] = recalibration_map_table(run)
    found["conformal"] = conformal_table(run, settings["conformal"])
    return {t.name: conform(t.name, found.get(t.name, pd.DataFrame())) for t in EXPLAIN_TABLES}
