"""The shap table: every patient explained by the models that did not train on that patient."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import FEATURES
from immunocast.engines import Engine, SerialEngine
from immunocast.explain.background import Background
from immunocast.explain.sampled import explain_sampled
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import model_frame
from immunocast.validation.splits import fold_key

#: Largest difference between a bundle's probability and the stored one.
PREDICTION_TOLERANCE = 1e-9


def explain_out_of_fold(
    cohort: pd.DataFrame,
    predictions: pd.DataFrame,
    load_model: Callable[[str, str], Any],
    models: Iterable[str],
    *,
    sampled: Collection[str] = (),
    training: Callable[[int, str], pd.DataFrame] | None = None,
    background: Background | None = None,
    seed: int = 0,
    engine: Engine | None = None,
) -> pd.DataFrame:
    """Explain the predictions of learners with the fold bundles that made them.

    Parameters
    ----------
    cohort : cohort table.
    predictions : predictions table; abstained rows are left out.
    load_model : (model name, fold key) -> fitted learner.
    models : names of the models to explain.
    sampled : those of them whose values are estimated, see `explain.sampled`.
    training : (repeat, fold) -> rows of the cohort table that fitted the fold's models; needed for `sampled`.
    background : for interventional values of trees; None for path-dependent ones.
    seed : of the estimates.
    engine : how to spread the folds.

    Returns
    -------
    Rows of the shap table.

    Raises
    ------
    ArithmeticError
        Where a bundle does not give the predictions that are stored: it would explain another model.
    """
    # the model's own output is explained: a recalibrator beside it is another thing
    own = (predictions["recalibration"] == "none") & ~predictions["abstained"]
    rows = predictions[predictions["model"].isin(list(models)) & own]
    by_patient = cohort.set_index("patient_id", drop=False)
    groups = list(rows.groupby(["model", "scheme", "repeat", "fold", "endpoint"], sort=True))

    def explain(group: tuple[tuple[Any, ...], pd.DataFrame]) -> pd.DataFrame:
        (name, scheme, repeat, fold, endpoint), part = group
        model = load_model(str(name), fold_key(int(repeat), str(fold)))
        patients = by_patient.loc[part["patient_id"]]
        X = model_frame(patients, model.spec.inputs, by_cohort=model.spec.by_cohort)
        # a linear model has a background of its own
        bare = background is None or model.spec.explainer == "linear"
        others = None if background is None or bare else background.frame(model, int(repeat), str(fold))
        if name in sampled and training is not None:
            known = model_frame(training(int(repeat), str(fold)), model.spec.inputs, by_cohort=model.spec.by_cohort)
            # a seed of the fold's own: neither the order of folds nor the engine matters
            own = [seed, int(repeat), zlib.crc32(f"{name}\0{fold}".encode())]
            result = explain_sampled(model, X, known, seed=own, trees_against=others)
        else:
            result = explain_learner(model, X, others)
        gap = float(np.max(np.abs(result.p - part["p_response"].to_numpy()), initial=0.0))
        if not gap <= PREDICTION_TOLERANCE:
            raise ArithmeticError(f"The bundle of {name}, fold {fold}, misses its stored predictions by {gap:.2g}.")
        head = pd.DataFrame(
            {
                "patient_id": patients["patient_id"].to_numpy(),
                "cohort_id": patients["cohort_id"].to_numpy(),
                "model": name,
                "scheme": scheme,
                "repeat": repeat,
                "fold": fold,
                "endpoint": endpoint,
                "output_scale": result.scale,
                "method": result.method,
                "base_value": result.base_value,
                "output": result.output,
            }
        )
        if name in sampled:
            head["standard_error"] = 0.0 if result.errors is None else result.errors.max(axis=1).to_numpy()
        return pd.concat([head, result.values.reset_index(drop=True)], axis=1)

    parts = (engine or SerialEngine()).map(explain, groups)
    return _without_gaps(pd.concat(parts, ignore_index=True)) if parts else pd.DataFrame()


def _without_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """0 where a fold chose a part that does not read what the model reads in another fold."""
    features = [name for name in FEATURES if name in table]
    for rows in table.groupby("model").groups.values():
        read = [name for name in features if table.loc[rows, name].notna().any()]
        table.loc[rows, read] = table.loc[rows, read].fillna(0.0)
    return table
