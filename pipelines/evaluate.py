"""Evaluate: every table of results, from predictions, thresholds and the cohort table. No response model is fitted."""

from dataclasses import replace

import pandas as pd
from omegaconf import DictConfig

from _stage import stage
from immunocast.cohort.checks import apply_waivers, check_controls, check_performance, raise_on_errors, to_checks_table
from immunocast.config import build, build_oriented, endpoint_of, frozen, prices_of, survival_settings
from immunocast.store.runfolder import RunFolder
from immunocast.validation.decision_rules import marker_positives
from immunocast.validation.evaluate import evaluate
from immunocast.validation.evaluate_survival import evaluate_survival


def run(cfg: DictConfig, work: RunFolder) -> None:
    frozen_cfg = frozen(cfg)
    settings, about = frozen_cfg["evaluation"], work.manifest()
    predictions, cohort, engine = work.table("predictions"), work.table("cohort"), build(cfg.engine, "engine")
    # models that say nothing about this endpoint were left out before training
    left_out = about.get("left_out_models", {})
    references = [name for name in settings["references"] if name.split("+")[0] not in left_out]
    headline = settings["headline_model"]
    looked_at = [name for name in settings["subgroup_models"] if name.split("+")[0] not in left_out]
    result = evaluate(
        predictions,
        # each model against the published one and against the one that speaks for the run
        references=list(dict.fromkeys([*references, headline])),
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
        seed=cfg.seed,
        engine=engine,
        all_pairs=settings["all_pairs"],
        cohort=cohort,
        subgroups=settings["subgroups"],
        subgroup_models=looked_at or list(dict.fromkeys([headline, *references])),
        chosen_thresholds=work.table("thresholds") if work.has_table("thresholds") else None,
        positives=marker_positives(build_oriented(cfg).models, cohort),
        prices=prices_of(cfg),
        endpoint_settings=about.get("endpoint_settings"),
    )
    survival_of = survival_settings(cfg)
    if survival_of.models is not None:
        survival_of = replace(survival_of, models=tuple(m for m in survival_of.models if m not in left_out))
    survival = evaluate_survival(
        predictions,
        cohort,
        endpoint=endpoint_of(cfg),
        references=references,
        settings=survival_of,
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
    work.write_table("decisions", result.decisions)
    work.write_table("heterogeneity", result.heterogeneity)
    work.write_table("risk_groups", survival.risk_groups)
    work.write_table("model_checks", checks)
    work.write_meta(
        "evaluate",
        reference_model=references[0] if references else None,
        headline_model=headline,
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
        evaluation_notes=list(result.notes),
        survival_notes=list(survival.notes),
    )
    raise_on_errors(checks)


if __name__ == "__main__":
    stage(run)
