"""Explain: out-of-fold SHAP values from the stored fold bundles. Writes the tables shap and importance."""

from omegaconf import DictConfig

from _stage import stage
from immunocast.config import build
from immunocast.explain.importance import importance_table
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.models.bundle import load_bundle
from immunocast.store.runfolder import RunFolder


def run(cfg: DictConfig, work: RunFolder) -> None:
    cohort = work.table("cohort")
    models = work.manifest()["models"]
    shap = explain_out_of_fold(
        cohort,
        work.table("predictions"),
        lambda model, fold: load_bundle(work.bundle_path(model, fold)),
        [name for name, about in models.items() if about["spec"]["explainer"] != "none"],
        engine=build(cfg.engine, "engine"),
    )
    work.write_table("shap", shap)
    work.write_table(
        "importance",
        importance_table(shap, cohort, by=list(cfg.explain.by), n_resamples=cfg.explain.n_resamples, seed=cfg.seed),
    )


if __name__ == "__main__":
    stage(run)
