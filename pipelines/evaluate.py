"""Evaluate: metrics, comparisons and curves from the predictions alone. Writes those tables and model_checks."""

from omegaconf import DictConfig

from _stage import stage
from immunocast.cohort.checks import apply_waivers, check_controls, check_performance, raise_on_errors, to_checks_table
from immunocast.config import build, frozen
from immunocast.store.runfolder import RunFolder
from immunocast.validation.evaluate import evaluate


def run(cfg: DictConfig, work: RunFolder) -> None:
    frozen_cfg = frozen(cfg)
    settings, about = frozen_cfg["evaluation"], work.manifest()
    # models that say nothing about this endpoint were left out before training
    references = [name for name in settings["references"] if name.split("+")[0] not in about.get("left_out_models", {})]
    result = evaluate(
        work.table("predictions"),
        references=references,
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
        seed=cfg.seed,
        engine=build(cfg.engine, "engine"),
    )
    found = check_performance(result.metrics, about["provenance"]["synthetic"])
    if work.has_table("controls"):
        found += check_controls(work.table("controls"))
    checks = to_checks_table(apply_waivers(found, frozen_cfg["checks"]["waive"]))
    for name in ("metrics", "comparisons", "curves"):
        work.write_table(name, getattr(result, name))
    work.write_table("model_checks", checks)
    work.write_meta(
        "evaluate",
        reference_model=references[0] if references else None,
        headline_model=settings["headline_model"],
        thresholds=settings["thresholds"],
        n_resamples=settings["n_resamples"],
        min_events=settings["min_events"],
    )
    raise_on_errors(checks)


if __name__ == "__main__":
    stage(run)
