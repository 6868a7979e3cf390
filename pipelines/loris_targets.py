"""Measure the targets on real data, and print each with what was got, met or missed (docs/targets.md).

Each call scores the external cohorts: it is a look, to be written into docs/external-looks.md. What is fitted and
chosen comes from training folds only; the models of experiment=loris_targets were fixed before.
"""

import sys

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from _stage import entry
from immunocast.cohort.loading import prepare_cohort
from immunocast.config import build, build_models, endpoint_of, frozen, inner_settings
from immunocast.errors import ConfigError
from immunocast.models.blend import Blend
from immunocast.validation.cross_predict import CrossPrediction, cross_predict
from immunocast.validation.designs import TrainTest
from immunocast.validation.splits import Scheme
from immunocast.validation.targets import (
    HEADLINE,
    calibration_rows,
    common_patients,
    concordance_rows,
    discrimination,
    net_benefit_rows,
    scores_of,
    verdict_rows,
)

EXPERIMENT = "experiment=loris_targets"


def measure(cfg: DictConfig) -> dict[str, pd.DataFrame]:
    """All tables of the measurement, by name."""
    if "targets" not in cfg:
        raise ConfigError(f"The configuration states no targets: add {EXPERIMENT}.")
    plain = frozen(cfg)
    wanted, endpoint, models = plain["targets"], endpoint_of(cfg), build_models(cfg)
    draw = {"n_resamples": cfg.evaluation.n_resamples, "seed": cfg.seed}
    prepared = prepare_cohort(
        build(cfg.cohort, "cohort").load(),
        endpoint=endpoint,
        features=list({name: None for model in models.values() for name in model.spec.inputs}),
        linkage=plain["linkage"],
        waive=plain["checks"]["waive"],
    )
    cohort, y = prepared.cohort, prepared.labels.y

    def predict(scheme: Scheme, names: list[str]) -> CrossPrediction:
        chosen = {name: models[name] for name in names}
        engine = build(cfg.engine, "engine")
        return cross_predict(
            cohort, y, chosen, scheme, endpoint=endpoint.name, engine=engine, inner=inner_settings(cfg)
        )

    loco = predict(build(cfg.validation, "validation"), list(models))
    transfer = predict(TrainTest(wanted["calibration_train"], list(wanted["brier"])), [wanted["model"]])
    recalibrated = f"{wanted['model']}+{wanted['recalibration']}"
    opponents = wanted["opponents"]

    raw = common_patients(loco.predictions, wanted["model"], opponents, **draw)
    auroc = discrimination(raw, cfg.evaluation.min_events)
    others = [
        discrimination(common_patients(loco.predictions, name, opponents, **draw)).tail(1)
        for name, model in models.items()
        if model.spec.learned and name != wanted["model"]
    ]
    acting = common_patients(loco.predictions, recalibrated, opponents, **draw)
    tmb = cohort.set_index("patient_id")["tmb_mut_mb"].reindex(acting.patient).to_numpy(dtype=float, na_value=np.nan)
    published = np.full(len(acting.patient), np.nan)
    for name, opponent in opponents.items():
        rows = acting.rows[name]
        published[rows] = scores_of(acting.panel, opponent).p[:, rows].mean(axis=0)
    rules = {f"TMB >= {wanted['tmb_cutoff']:g}": tmb >= wanted["tmb_cutoff"], "published score": published}
    benefit = net_benefit_rows(acting, rules, wanted["net_benefit_thresholds"])
    times = cohort[["patient_id"]].assign(time=cohort["os_months"], event=cohort["os_event"])
    survivors = common_patients(loco.predictions, wanted["survival_model"], wanted["survival_opponents"], **draw)
    concordance = concordance_rows(survivors, times)
    calibration = calibration_rows(transfer.predictions, recalibrated, **draw)
    limits = {key: wanted[key] for key in ("auroc_margin", "c_index_gain", "brier", "citl")}
    return {
        "verdict": verdict_rows(auroc, benefit, concordance, calibration, **limits),
        "auroc": auroc,
        "other models, not chosen": pd.concat(others, ignore_index=True),
        "concordance": concordance,
        "calibration": calibration,
        "net benefit": benefit,
        "weights": weights(loco, "leave one cohort out", transfer),
    }


def weights(loco: CrossPrediction, scheme: str, transfer: CrossPrediction) -> pd.DataFrame:
    """Weights of the blends by fold, and the inner log loss and AUROC that they rest on."""
    rows = []
    for where, result in ((scheme, loco), ("train and test", transfer)):
        for (name, fold), model in result.bundles.items():
            if isinstance(model, Blend):
                for part, weight in model.weights_.items():
                    found = model.inner_[part]
                    rows.append((where, name, fold, part, weight, found["log_loss"], found["auroc"], model.n_inner_))
    columns = ["scheme", "model", "fold", "part", "weight", "inner_log_loss", "inner_auroc", "n_inner"]
    return pd.DataFrame(rows, columns=columns)


def run(cfg: DictConfig) -> None:
    tables = measure(cfg)
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
