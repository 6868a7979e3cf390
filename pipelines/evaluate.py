"""Evaluate: every table of results, from predictions, thresholds and the cohort table. No response model is fitted."""

from omegaconf import DictConfig

from _stage import stage
from immunocast.cohort.checks import raise_on_errors
from immunocast.config import build, build_oriented, endpoint_of, frozen, prices_of, survival_settings
from immunocast.store.runfolder import RunFolder
from immunocast.validation.evaluate_run import evaluate_run


def run(cfg: DictConfig, work: RunFolder) -> None:
    plain, about = frozen(cfg), work.manifest()
    optional = {name: work.table(name) if work.has_table(name) else None for name in ("thresholds", "controls")}
    result = evaluate_run(
        work.table("predictions"),
        work.table("cohort"),
        build_oriented(cfg).models,
        endpoint=endpoint_of(cfg),
        left_out=about.get("left_out_models", {}),
        chosen_thresholds=optional["thresholds"],
        controls=optional["controls"],
        survival=survival_settings(cfg),
        prices=prices_of(cfg),
        synthetic=about["provenance"]["synthetic"],
        waive=plain["checks"]["waive"],
        seed=cfg.seed,
        engine=build(cfg.engine, "engine"),
        **plain["evaluation"],
    )
    for name, table in result.tables.items():
        work.write_table(name, table)
    work.write_meta("evaluate", **result.about)
    raise_on_errors(result.tables["model_checks"])


if __name__ == "__main__":
    stage(run)
