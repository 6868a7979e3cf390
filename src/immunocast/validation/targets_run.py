"""The measurement of the targets: what is fitted on what, which predictions are compared, all tables by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.engines import Engine
from immunocast.models.blend import Blend
from immunocast.models.spec import ResponseModel
from immunocast.validation.cross_predict import CrossPrediction, cross_predict
from immunocast.validation.designs import TrainTest
from immunocast.validation.fold import InnerSettings
from immunocast.validation.splits import Scheme
from immunocast.validation.targets import (
    Common,
    calibration_rows,
    common_patients,
    concordance_rows,
    discrimination,
    net_benefit_rows,
    scores_of,
    verdict_rows,
)


def measure_targets(
    cohort: pd.DataFrame,
    y: pd.Series,
    models: Mapping[str, ResponseModel],
    scheme: Scheme,
    wanted: Mapping[str, Any],
    *,
    endpoint: str,
    inner: InnerSettings,
    n_resamples: int,
    seed: int,
    min_events: int,
    engine: Engine | None = None,
) -> dict[str, pd.DataFrame]:
    """Fit, predict and compare.

    Parameters
    ----------
    cohort, y : cohort table and labels.
    models : name -> unfitted model.
    scheme : of the headline.
    wanted : the section `targets` of the configuration.
    endpoint : name of what y says.
    inner : what comes from inside the training folds.
    n_resamples, seed, min_events, engine : see `evaluate`.
    """
    draw = {"n_resamples": n_resamples, "seed": seed}

    def predict(design: Scheme, names: Sequence[str]) -> CrossPrediction:
        chosen = {name: models[name] for name in names}
        return cross_predict(cohort, y, chosen, design, endpoint=endpoint, engine=engine, inner=inner)

    loco = predict(scheme, list(models))
    transfer = predict(TrainTest(wanted["calibration_train"], list(wanted["brier"])), [wanted["model"]])
    recalibrated = f"{wanted['model']}+{wanted['recalibration']}"
    opponents = wanted["opponents"]

    raw = common_patients(loco.predictions, wanted["model"], opponents, **draw)
    auroc = discrimination(raw, min_events)
    others = [
        discrimination(common_patients(loco.predictions, name, opponents, **draw)).tail(1)
        for name, model in models.items()
        if model.spec.learned and name != wanted["model"]
    ]
    acting = common_patients(loco.predictions, recalibrated, opponents, **draw)
    benefit = net_benefit_rows(acting, _rules(acting, cohort, wanted), wanted["net_benefit_thresholds"])
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
        "weights": weights({"leave one cohort out": loco, "train and test": transfer}),
    }


def _rules(acting: Common, cohort: pd.DataFrame, wanted: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the model is compared with at thresholds: treating by TMB, and by each cohort's published opponent."""
    tmb = cohort.set_index("patient_id")["tmb_mut_mb"].reindex(acting.patient).to_numpy(dtype=float, na_value=np.nan)
    published = np.full(len(acting.patient), np.nan)
    for name, opponent in wanted["opponents"].items():
        rows = acting.rows[name]
        published[rows] = scores_of(acting.panel, opponent).p[:, rows].mean(axis=0)
    return {f"TMB >= {wanted['tmb_cutoff']:g}": tmb >= wanted["tmb_cutoff"], "published score": published}


def weights(results: Mapping[str, CrossPrediction]) -> pd.DataFrame:
    """Weights of the blends by fold, and the inner log loss and AUROC that they rest on."""
    rows = []
    for scheme, result in results.items():
        for (name, fold), model in result.bundles.items():
            if isinstance(model, Blend):
                for part, weight in model.weights_.items():
                    found = model.inner_[part]
                    rows.append((scheme, name, fold, part, weight, found["log_loss"], found["auroc"], model.n_inner_))
    columns = ["scheme", "model", "fold", "part", "weight", "inner_log_loss", "inner_auroc", "n_inner"]
    return pd.DataFrame(rows, columns=columns)
