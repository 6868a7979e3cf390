"""Train: fit every model in every fold, predict who was left out. Writes predictions, thresholds, tuning, bundles."""

import shutil

from omegaconf import DictConfig

from _stage import stage
from immunocast.cohort.outcomes import require_labels
from immunocast.config import build, build_oriented, endpoint_of, inner_settings
from immunocast.models.bundle import save_bundle
from immunocast.models.recalibrators_file import save_recalibrators
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.records import flat_params
from immunocast.validation.cross_predict import cross_predict, not_looked_for


def run(cfg: DictConfig, work: RunFolder) -> None:
    cohort, oriented, scheme = work.table("cohort"), build_oriented(cfg), build(cfg.validation, "validation")
    models, endpoint = oriented.models, endpoint_of(cfg)
    labels = endpoint.label(cohort)
    require_labels(labels, endpoint)
    # no synthetic patient ever trained a published model
    unseen = [] if work.manifest()["provenance"]["synthetic"] else not_looked_for(cohort, models)
    result = cross_predict(
        cohort,
        labels.y,
        models,
        scheme,
        endpoint=endpoint.name,
        engine=build(cfg.engine, "engine"),
        inner=inner_settings(cfg),
    )
    shutil.rmtree(work.path / "bundles", ignore_errors=True)
    for (name, fold), model in result.bundles.items():
        save_bundle(model, work.bundle_path(name, fold))
    for (name, fold), recalibrators in result.recalibrators.items():
        save_recalibrators(recalibrators, work.bundle_path(name, fold))
    for table in ("predictions", "thresholds", "tuning"):
        work.write_table(table, getattr(result, table))
    work.write_meta(
        "train",
        scheme=result.scheme,
        validation_notes=result.notes + unseen,
        left_out_models=oriented.left_out,
        model_notes=list(oriented.notes),
        n_linked_out={s.key: s.n_linked_out for s in result.splits},
        models={
            n: {"spec": m.spec.to_dict(), "label": m.spec.label or n, "params": flat_params(m)}
            for n, m in models.items()
        },
    )


if __name__ == "__main__":
    stage(run)
