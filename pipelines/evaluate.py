"""Evaluate: metrics, comparisons, curves and risk groups from the predictions and the cohort table.

Writes those tables and model_checks; no response model is fitted here.
"""

from dataclasses import replace

import pandas as pd
from omegaconf import DictConfig

from _stage import stage
from immunocast.cohort.checks import apply_waivers, check_controls, check_performance, raise_on_errors, to_checks_table
from immunocast.config import build, endpoint_of, frozen, survival_settings
from immunocast.store.runfolder import RunFolder
from immunocast.validation.evaluate import evaluate
from immunocast.validation.evaluate_survival import evaluate_survival


def run(cfg: DictConfig, work: RunFolder) -> None:
    frozen_cfg = frozen(cfg)
    settings, about = frozen_cfg["evaluation"], work.manifest()
    # models that say nothing about this endpoint were left out before training
    references = [name for name in settings["references"] if name.split("+")[0] not in about.get("left_out_models", {})]
    engine = build(cfg.engine, "engine")
    result = evaluate(
        work.table("predictions"),
        references=references,
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
        seed=cfg.seed,
        engine=engine,
    )
    alive = survival_settings(cfg)
    if alive.models is not None:
        alive = replace(alive, models=tuple(m for m in alive.models if m not in about.get("left_out_models", {})))
    survival = evaluate_survival(
        work.table("predictions"),
        work.table("cohort"),
        endpoint=endpoint_of(cfg),
        references=references,
        settings=alive,
        n_resamples=settings["n_resamples"],
        seed=cfg.seed,
        engine=engine,
    )
    found = check_performance(result.metrics, about["provenance"]["synthetic"])
    if work.has_table("controls"):
        found += check_controls(work.table("controls"))
    checks = to_checks_table(apply_waivers(found, frozen_cfg["checks"]["waive"]))
    for name in ("metrics", "comparisons", "curves"):
        parts = [part for part in (getattr(result, name), getattr(survival, name)) if not part.empty]
        work.write_table(name, pd.concat(parts, ignore_index=True) if parts else getattr(result, name))
    work.write_table("risk_groups", survival.risk_groups)
    work.write_table("model_checks", checks)
    work.write_meta(
        "evaluate",
        reference_model=references[0] if references else None,
        headline_model=settings["headline_model"],
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
        survival_notes=list(survival.notes),
    )
    raise_on_errors(checks)


if __name__ == "__main__":
    stage(run)
