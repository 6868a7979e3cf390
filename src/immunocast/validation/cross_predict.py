"""cross_predict: the only outer loop over folds. It fits, predicts, and keeps every fitted model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from immunocast.cohort.outcomes import ENDPOINTS, Words, survival_of, words_of
from immunocast.engines import Engine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.models.assays import assays_used, inputs_used
from immunocast.models.spec import ResponseModel
from immunocast.validation.splits import Scheme, Split

FINAL = "final"


@dataclass(frozen=True)
class CrossPrediction:
    """What `cross_predict` returns.

    Attributes
    ----------
    predictions : rows of the predictions table.
    bundles : (model name, fold key or "final") -> fitted model.
    splits : the folds, in order.
    """

    predictions: pd.DataFrame
    bundles: dict[tuple[str, str], Any]
    splits: list[Split]


def cross_predict(
    cohort: pd.DataFrame,
    y: pd.Series,
    models: Mapping[str, ResponseModel],
    scheme: Scheme,
    *,
    endpoint: str = "response",
    engine: Engine | None = None,
) -> CrossPrediction:
    """Fit every model in every fold and predict the patients who were left out.

    Parameters
    ----------
    cohort : cohort table; rows with unknown y are ignored.
    y : labels aligned with `cohort`, <NA> where unclassifiable.
    models : name -> unfitted model.
    scheme : a validation scheme.
    endpoint : name written into the predictions; messages use its words.
    engine : how to spread the fits; results do not depend on it.

    Raises
    ------
    ConfigError
        Where nobody has a label, a training fold lacks one of the two classes, or nobody has what a learner requires.
    """
    words = words_of(endpoint)
    if not models:
        raise ConfigError("No model is configured: add one with +model@models.NAME=NAME.")
    known = y.notna().to_numpy()
    if not known.any():
        raise ConfigError(
            f"No patient has a label for the endpoint {endpoint!r}: there is nothing to train on."
            + (f" It needs {ENDPOINTS[endpoint].needs}: map or rename yours." if endpoint in ENDPOINTS else "")
        )
    if y[known].nunique() < 2:
        only = f"all are {words.events}" if y[known].iloc[0] == 1 else f"all are {words.others}"
        raise ConfigError(f"All {int(known.sum())} labelled patients have one outcome ({only}): both are needed.")
    # before unlabelled patients go: one of them may be the link to a cohort that fitted a published model
    seen = {name: _seen_before(cohort, model.spec.trained_on)[known] for name, model in models.items()}
    cohort = cohort[known].reset_index(drop=True)
    y_array = y[known].to_numpy(dtype=int)
    splits = list(scheme.split(cohort, y_array))
    for split in splits:
        _check_classes(split, y_array, words)
    everybody = Split(0, FINAL, scheme.final_train(cohort), np.array([], dtype=int))
    tasks = [(name, split) for name in models for split in [*splits, everybody]]
    frames = {
        name: model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort) for name, model in models.items()
    }
    _check_required(models, frames)
    times = {m.spec.target: survival_of(cohort, m.spec.target) for m in models.values() if m.spec.target != "label"}

    def fit_and_predict(task: tuple[str, Split]) -> tuple[Any, np.ndarray]:
        name, split = task
        X = frames[name]
        target = models[name].spec.target
        extra = {} if target == "label" else {"survival": times[target].take(split.train)}
        fitted = clone(models[name]).fit(X.iloc[split.train], y_array[split.train], **extra)
        p = fitted.predict_proba(X.iloc[split.test])[:, 1] if len(split.test) else np.array([])
        return fitted, p

    results = (engine or SerialEngine()).map(fit_and_predict, tasks)
    bundles, rows = {}, []
    for (name, split), (fitted, p) in zip(tasks, results, strict=True):
        bundles[name, FINAL if split is everybody else split.key] = fitted
        if split is everybody:
            continue
        test = cohort.iloc[split.test]
        rows.append(
            pd.DataFrame(
                {
                    "patient_id": test["patient_id"],
                    "cohort_id": test["cohort_id"],
                    "person_id": test["person_id"],
                    "model": name,
                    "recalibration": "none",
                    "scheme": scheme.name,
                    "repeat": split.repeat,
                    "fold": split.fold,
                    "endpoint": endpoint,
                    "y_true": y_array[split.test],
                    "p_response": p,
                    "abstained": np.isnan(p),
                    "assays": assays_used(frames[name].iloc[split.test], inputs_used(fitted)),
                    "in_training": seen[name][split.test],
                }
            )
        )
    return CrossPrediction(pd.concat(rows, ignore_index=True), bundles, splits)


def _seen_before(cohort: pd.DataFrame, trained_on: tuple[str, ...]) -> np.ndarray:
    """Rows of the cohorts that a published model was trained on, and of persons linked to them."""
    direct = cohort["cohort_id"].isin(trained_on)
    return cohort["person_id"].isin(cohort.loc[direct, "person_id"]).to_numpy()


def _check_required(models: Mapping[str, Any], frames: Mapping[str, pd.DataFrame]) -> None:
    """Refuse a learner that could only abstain; a published model may, and is then told as abstaining."""
    for name, model in models.items():
        absent = [c for c in model.spec.required if frames[name][c].isna().all()]
        if model.spec.learned and absent:
            raise ConfigError(
                f"{name} requires {', '.join(absent)}, which is known for no patient: it would abstain for everybody. "
                f"Map the column; where all patients share a value, state it in the mapping, e.g. "
                f"`tumor_type: {{value: NSCLC}}`; or change what the model requires (models.{name}.required)."
            )


def _check_classes(split: Split, y: np.ndarray, words: Words) -> None:
    events = int(y[split.train].sum())
    if events == 0 or events == len(split.train):
        raise ConfigError(
            f"The training fold of {split.fold} has {events} {words.events} among {len(split.train)} patients: "
            "both classes are needed. Choose other cohorts or another validation scheme."
        )
