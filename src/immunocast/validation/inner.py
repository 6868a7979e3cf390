"""The inner loop: folds inside a training fold, and predictions for its patients by fits that did not see them.

Recalibrators, thresholds and tuned parameters all come from here, so that nothing of an outer test fold reaches them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from immunocast.cohort.outcomes import Survival
from immunocast.models.refit import predict_many
from immunocast.validation.splits import RepeatedStratifiedKFold, Split


@dataclasses.dataclass(frozen=True)
class Training:
    """What the fits of one model see: rows of the outer loop, and which of them a fold may use.

    Attributes
    ----------
    ids : (n,) frame with patient_id, cohort_id and person_id.
    X : (n, columns) frame of `features.preprocess.model_frame`.
    y : (n,) 0/1.
    survival : times and events aligned with X, for a model whose spec names a survival target; else None.
    seen : (n,) True for patients who, or whose linked persons, fitted a published model before this run.
    """

    ids: pd.DataFrame
    X: pd.DataFrame
    y: np.ndarray
    survival: Survival | None = None
    seen: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Training:
        """The rows at these positions only."""
        return Training(
            self.ids.iloc[rows],
            self.X.iloc[rows],
            self.y[rows],
            None if self.survival is None else self.survival.take(rows),
            None if self.seen is None else self.seen[rows],
        )


def fit_folds(model: Any, data: Training, trains: Sequence[np.ndarray]) -> list[Any]:
    """Fit a model once for each set of training positions.

    Where the model offers `fit_many(X, Y, W)`, one call fits them all; `W` is (n, folds), 1 where a row trains.
    """
    if data.survival is None and len(trains) > 1 and offers_fit_many(model):
        weights = np.zeros((len(data.y), len(trains)))
        for k, rows in enumerate(trains):
            weights[rows, k] = 1.0
        return list(clone(model).fit_many(data.X, data.y, weights))
    fitted = []
    for rows in trains:
        more = {} if data.survival is None else {"survival": data.survival.take(rows)}
        fitted.append(clone(model).fit(data.X.iloc[rows], data.y[rows], **more))
    return fitted


def offers_fit_many(model: Any) -> bool:
    """Whether a model fits many folds faster together than one by one.

    A class may have `fit_many` and use it for some of its estimators only: `batches` then says for which.
    """
    return callable(getattr(model, "fit_many", None)) and bool(getattr(model, "batches", True))


def inner_folds(ids: pd.DataFrame, y: np.ndarray, n_splits: int, seed: int) -> list[Split]:
    """K folds inside a training fold, stratified by cohort and outcome, grouped by person.

    Parameters
    ----------
    ids : (n,) frame with patient_id, cohort_id, person_id.
    y : (n,) 0/1.
    n_splits : folds; fewer are made where a class has fewer persons.
    seed : of the shuffling.

    Returns
    -------
    Folds whose training rows hold both classes; none where there are too few patients for two such folds.
    """
    person = ids["person_id"].to_numpy()
    n = min(n_splits, *(len(set(person[y == label])) for label in (0, 1)))
    if n < 2:
        return []
    folds = list(RepeatedStratifiedKFold(n, 1, seed).split(ids, y))
    usable = [fold for fold in folds if 0 < y[fold.train].sum() < len(fold.train)]
    return usable if len(usable) > 1 else []


def predicted(fitted: Any, X: pd.DataFrame) -> np.ndarray:
    """(n,) probabilities, NaN where the model abstains."""
    return np.asarray(fitted.predict_proba(X), dtype=float)[:, 1] if len(X) else np.array([])


def predicted_rows(fits: Sequence[Any], data: Training, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Probabilities by each fit of one model for rows of its own, NaN where it abstains.

    Fits that were made together are applied together: the frame is encoded once for all.
    """
    if fits and all(getattr(fitted, "batches", False) for fitted in fits):
        return predict_many(fits, data.X, rows)
    return [predicted(fitted, data.X.iloc[r]) for fitted, r in zip(fits, rows, strict=True)]


def joined(predictions: Sequence[np.ndarray], n: int, folds: Sequence[Split]) -> np.ndarray:
    """(n,) predictions of each patient from those of the folds' test rows; NaN where there is none."""
    p = np.full(n, np.nan)
    for found, fold in zip(predictions, folds, strict=True):
        p[fold.test] = found
    return p
