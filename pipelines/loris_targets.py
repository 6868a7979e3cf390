"""Measure the targets on real data, and print each with what was got, met or missed (docs/targets.md).

Each call scores the external cohorts: it is a look, to be written into docs/external-looks.md. What is fitted and
chosen comes from training folds only; the models of experiment=loris_targets were fixed before.
"""

import sys

from omegaconf import DictConfig

from _stage import entry
from immunocast.cohort.loading import prepare_cohort
from immunocast.config import build, build_models, endpoint_of, frozen, inner_settings
from immunocast.errors import ConfigError
from immunocast.validation.targets import HEADLINE
from immunocast.validation.targets_run import measure_targets

EXPERIMENT = "experiment=loris_targets"


def run(cfg: DictConfig) -> None:
    if "targets" not in cfg:
        raise ConfigError(f"The configuration states no targets: add {EXPERIMENT}.")
    plain, endpoint, models = frozen(cfg), endpoint_of(cfg), build_models(cfg)
    prepared = prepare_cohort(
        build(cfg.cohort, "cohort").load(),
        endpoint=endpoint,
        features=list({name: None for model in models.values() for name in model.spec.inputs}),
        linkage=plain["linkage"],
        waive=plain["checks"]["waive"],
    )
    tables = measure_targets(
        prepared.cohort, prepared.labels.y, models, build(cfg.validation, "validation"), plain["targets"],
        endpoint=endpoint.name, inner=inner_settings(cfg), n_resamples=cfg.evaluation.n_resamples, seed=cfg.seed,
        min_events=cfg.evaluation.min_events, engine=build(cfg.engine, "engine"),
    )  # fmt: skip
    for name, table in tables.items():
        print(f"\n{name}")
        print(table.to_string(index=False, float_format=lambda v: f"{v:.4f}"))
    missed = tables["verdict"].loc[~tables["verdict"]["met"], "target"]
    n = int(tables["auroc"].loc[tables["auroc"]["cohort_id"] == HEADLINE, "n"].iloc[0])
    print(f"\n{len(tables['verdict']) - len(missed)} targets met, {len(missed)} missed")
    print("\n".join(f"  missed: {target}" for target in missed))
    print(f"This was a look at {n} patients of the test cohorts: write it into docs/external-looks.md.")


if __name__ == "__main__":
    if not any(a.startswith("experiment=") for a in sys.argv[1:]):
        sys.argv.append(EXPERIMENT)
    entry(run)
