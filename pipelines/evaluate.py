"""Evaluate: every table of results, from predictions, thresholds and the cohort. No response model is fitted."""

from omegaconf import DictConfig

from _stage import stage
from immunocast.cohort.checks import apply_waivers, check_performance, raise_on_errors, to_checks_table
from immunocast.config import build, build_oriented, frozen, prices_of
from immunocast.store.runfolder import RunFolder
from immunocast.validation.decision_rules import marker_positives
from immunocast.validation.evaluate import evaluate


def run(cfg: DictConfig, work: RunFolder) -> None:
    frozen_cfg = frozen(cfg)
    settings, about = frozen_cfg["evaluation"], work.manifest()
    # models that say nothing about this endpoint were left out before training
    left_out = about.get("left_out_models", {})
    references = [name for name in settings["references"] if name.split("+")[0] not in left_out]
    headline = settings["headline_model"]
    looked_at = [name for name in settings["subgroup_models"] if name.split("+")[0] not in left_out]
    result = evaluate(
        work.table("predictions"),
        # each model against the published one and against the one that speaks for the run
        references=list(dict.fromkeys([*references, headline])),
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
        seed=cfg.seed,
        engine=build(cfg.engine, "engine"),
        chosen_thresholds=work.table("thresholds") if work.has_table("thresholds") else None,
        positives=marker_positives(build_oriented(cfg).models, work.table("cohort")),
        prices=prices_of(cfg),
        cohort=work.table("cohort"),
        subgroups=settings["subgroups"],
        subgroup_models=looked_at or list(dict.fromkeys([headline, *references])),
        all_pairs=settings["all_pairs"],
        endpoint_settings=about.get("endpoint_settings"),
    )
    found = check_performance(result.metrics, about["provenance"]["synthetic"])
    checks = to_checks_table(apply_waivers(found, frozen_cfg["checks"]["waive"]))
    for name in ("metrics", "comparisons", "curves", "decisions", "heterogeneity"):
        work.write_table(name, getattr(result, name))
    work.write_table("model_checks", checks)
    work.write_meta(
        "evaluate",
        reference_model=references[0] if references else None,
        headline_model=settings["headline_model"],
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
        evaluation_notes=list(result.notes),
    )
    raise_on_errors(checks)


if __name__ == "__main__":
    stage(run)
