"""Controls: permuted labels, null features, simple references, instability. Writes the tables controls and stability.

The one stage after training that fits models again; the run's predictions and bundles stay as they are.
"""

from omegaconf import DictConfig

from _stage import stage
from immunocast.config import build, build_models, endpoint_of, frozen
from immunocast.models.bundle import load_bundle
from immunocast.store.runfolder import RunFolder
from immunocast.validation.controls_run import run_controls


def run(cfg: DictConfig, work: RunFolder) -> None:
    cohort, settings = work.table("cohort"), frozen(cfg)
    controls = settings["controls"]
    result = run_controls(
        cohort,
        endpoint_of(cfg).label(cohort).y,
        build_models(cfg),
        build(cfg.validation, "validation"),
        work.table("predictions"),
        tuning=work.table("tuning"),
        final=lambda name: load_bundle(work.bundle_path(name, "final")),
        thresholds=settings["evaluation"]["thresholds"],
        min_events=settings["evaluation"]["min_events"],
        seed=cfg.seed,
        engine=build(cfg.engine, "engine"),
        names=controls["models"],
        n_permutations=controls["n_permutations"],
        n_null_features=controls["n_null_features"],
        n_refits=controls["n_refits"],
    )
    work.write_table("controls", result.controls)
    work.write_table("stability", result.stability)


if __name__ == "__main__":
    stage(run)
