"""Load: read a cohort, link persons, check the data. Writes the tables cohort, checks, truth and truth_features."""

from dataclasses import asdict

import pandas as pd
from omegaconf import DictConfig

from _stage import stage
from immunocast.cohort.checks import raise_on_errors
from immunocast.cohort.loading import prepare_cohort
from immunocast.config import build, build_models, endpoint_of, frozen
from immunocast.errors import DataError, Problem
from immunocast.store.runfolder import RunFolder
from immunocast.validation.evaluate_inputs import RESERVED_COHORTS


def run(cfg: DictConfig, work: RunFolder) -> None:
    settings, endpoint = frozen(cfg), endpoint_of(cfg)
    inputs = {name: None for model in build_models(cfg).values() for name in model.spec.inputs}
    tables = build(cfg.cohort, "cohort").load()
    reserved = sorted(set(tables.cohort["cohort_id"].astype(str)) & set(RESERVED_COHORTS))
    if reserved:
        raise DataError(
            Problem(
                "the name is reserved for estimates over several cohorts",
                "Rename the cohort: cohort.name, or its values in the file.",
                column="cohort_id",
                value=reserved[0],
            )
        )
    prepared = prepare_cohort(
        tables,
        endpoint=endpoint,
        features=list(inputs),
        linkage=settings["linkage"],
        waive=settings["checks"]["waive"],
    )
    work.write_table("cohort", prepared.cohort)
    work.write_table("checks", prepared.checks)
    for name, frame in (("truth", tables.truth), ("truth_features", tables.truth_features)):
        work.write_table(name, pd.DataFrame() if frame is None else frame)
    work.write_meta(
        "load",
        provenance=asdict(tables.provenance),
        flow=prepared.flow,
        n_linked=prepared.n_linked,
        endpoint=endpoint.name,
        endpoint_settings=endpoint.to_dict(),
        seed=cfg.seed,
    )
    raise_on_errors(prepared.checks)


if __name__ == "__main__":
    stage(run)
