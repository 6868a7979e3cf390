"""What held-out patients lose without a feature: by exchanging its values, or by fitting the model without it.

*Permutation* (Breiman 2001, Mach Learn 45:5; model-agnostic as in Fisher, Rudin & Dominici 2019, JMLR 20:177): the
fold's model predicts its held-out patients with the feature's values exchanged among them, gaps included; the model
stays. *Drop-column*: the model is fitted to the fold's training patients without the feature, parameters not tuned
anew. Loss is log loss of the probability, natural logarithm.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import xlogy

from immunocast.engines import Engine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.per_patient import PerPatient
from immunocast.explain.refitting import Fold, folds_of, refit_without
from immunocast.validation.splits import fold_key

PERMUTATION, DROP_COLUMN = "permutation", "drop_column"
_SMALLEST = 1e-15


@dataclass(frozen=True)
class Losses:
    """Increase of each held-out patient's loss, by one method for one model.

    Attributes
    ----------
    method : permutation or drop_column.
    increase : (n, features) mean over permutations and repeats, aligned with the model's `PerPatient`; NaN columns
        where the method can't be done for a feature.
    n_draws : permutations; 1 for drop_column.
    reasons : feature -> why there is none.
    """

    method: str
    increase: np.ndarray
    n_draws: int
    reasons: dict[str, str]


def log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Each patient's log loss, natural logarithm; probabilities are kept 1e-15 from 0 and 1.

    >>> log_loss(np.array([1, 0]), np.array([0.5, 0.5])).round(3)
    array([0.693, 0.693])
    """
    p = np.clip(p, _SMALLEST, 1 - _SMALLEST)
    return np.asarray(-(xlogy(y, p) + xlogy(1 - y, 1 - p)), dtype=float)


def permutation_losses(
    run: ExplainInputs,
    shap: pd.DataFrame,
    whole: PerPatient,
    *,
    n_permutations: int,
    seed: int,
    engine: Engine | None = None,
) -> Losses:
    """Exchange each feature's values among the held-out patients of each fold.

    Parameters
    ----------
    run, shap : the run and its shap table.
    whole : the model's explained patients and features.
    n_permutations : of each feature in each fold.
    seed : of the permutations, which are the same for all models that explain the same patients.
    engine : spreads the folds.
    """
    if n_permutations < 1:
        raise ConfigError(f"explain.methods.n_permutations is {n_permutations}; give 1 or more, or 0 to leave it out.")
    folds = folds_of(shap, whole.model)
    work = partial(_permuted, run=run, whole=whole, n_permutations=n_permutations, seed=seed)
    parts = (engine or SerialEngine()).map(work, list(folds.items()))
    return Losses(PERMUTATION, _mean(whole, list(folds.values()), parts), n_permutations, {})


def _permuted(
    task: tuple[Fold, np.ndarray], run: ExplainInputs, whole: PerPatient, n_permutations: int, seed: int
) -> np.ndarray:
    """(patients of the fold, features) mean increase of the loss over the permutations."""
    (repeat, fold), ids = task
    model = run.load_model(whole.model, fold_key(repeat, fold))
    at = _rows(run, ids)
    X, y = run.frame(whole.model, run.table.iloc[at]).reset_index(drop=True), run.labels[at]
    before = log_loss(y, model.predict_proba(X)[:, 1])
    many = pd.concat([X] * n_permutations, ignore_index=True)
    out = np.empty((len(ids), len(whole.features)))
    for j, feature in enumerate(whole.features):
        # a stream of the fold's and the feature's own: neither order nor the other features matter
        rng = np.random.default_rng([seed, repeat, zlib.crc32(f"{fold}\0{feature}".encode())])
        order = np.concatenate([rng.permutation(len(X)) for _ in range(n_permutations)])
        exchanged = many.assign(**{feature: pd.Series(X[feature].array.take(order))})
        after = log_loss(np.tile(y, n_permutations), model.predict_proba(exchanged)[:, 1])
        out[:, j] = after.reshape(n_permutations, -1).mean(axis=0) - before
    return out


def drop_column_losses(
    run: ExplainInputs, shap: pd.DataFrame, whole: PerPatient, *, engine: Engine | None = None
) -> Losses:
    """Fit the model without each feature in turn, in every fold, parameters not tuned anew.

    Parameters
    ----------
    run, shap, whole, engine : as for `permutation_losses`; the engine spreads the features.
    """
    folds = folds_of(shap, whole.model)
    X = run.frame(whole.model, run.table)
    rows = shap[shap["model"] == whole.model]
    stored = run.predictions[(run.predictions["model"] == whole.model) & (run.predictions["recalibration"] == "none")]
    p = rows[["repeat", "fold", "patient_id"]].merge(stored, on=["repeat", "fold", "patient_id"], validate="1:1")
    full = p.set_index(["repeat", "fold", "patient_id"])["p_response"]
    before = {
        fold: log_loss(run.labels[_rows(run, ids)], full.loc[fold].loc[ids].to_numpy()) for fold, ids in folds.items()
    }
    work: Callable[[str], list[np.ndarray] | str] = partial(_without, run=run, X=X, folds=folds, model=whole.model)
    found = (engine or SerialEngine()).map(work, list(whole.features))
    reasons = {f: result for f, result in zip(whole.features, found, strict=True) if isinstance(result, str)}
    parts = []
    for k, fold in enumerate(folds):
        gone = np.full(len(before[fold]), np.nan)
        after = np.column_stack([gone if isinstance(result, str) else result[k] for result in found])
        parts.append(after - before[fold][:, None])
    return Losses(DROP_COLUMN, _mean(whole, list(folds.values()), parts), 1, reasons)


def _without(
    feature: str, run: ExplainInputs, X: pd.DataFrame, folds: dict[Fold, np.ndarray], model: str
) -> list[np.ndarray] | str:
    """Losses of the held-out patients of each fold, or why there are none."""
    try:
        fitted, blank = refit_without(run, model, feature, list(folds), X)
    except ConfigError as error:
        return f"not fitted without it: {error}"
    out = []
    for one, ids in zip(fitted, folds.values(), strict=True):
        at = _rows(run, ids)
        out.append(log_loss(run.labels[at], one.predict_proba(blank.iloc[at])[:, 1]))
    return out


def _rows(run: ExplainInputs, ids: np.ndarray) -> np.ndarray:
    return pd.Index(run.table["patient_id"]).get_indexer(pd.Index(ids))


def _mean(whole: PerPatient, ids: Sequence[np.ndarray], parts: Sequence[np.ndarray]) -> np.ndarray:
    """(n, features) mean over the folds that held a patient out, one a repeat."""
    at = pd.Index(whole.patients["patient_id"])
    total, n = np.zeros((len(whole), len(whole.features))), np.zeros(len(whole))
    for own, part in zip(ids, parts, strict=True):
        rows = at.get_indexer(pd.Index(own))
        total[rows] += part
        n[rows] += 1
    return total / n[:, None]
