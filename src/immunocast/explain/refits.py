"""Importance when other patients had trained: bootstrap refits, each of all folds, explained on the held-out patients.

A draw resamples the persons of the run within cohorts, once for all folds; a fold trains on those of its training
patients who were drawn, as often as they were, with the parameters that its inner search chose (nothing is tuned
anew), and explains the held-out patients whom the run explains. The importance of a draw is then the mean over the same
patients as the run's own. With repeats, draws go through them in turn. The bootstrap of Efron & Tibshirani 1993, ch. 7;
for ranks of features see Hall & Miller 2009 (J Comput Graph Stat 18:533).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from immunocast.engines import Engine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.explain.background import Background
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.per_patient import PerPatient, directions
from immunocast.explain.refitting import Fold, folds_of, refit
from immunocast.explain.shap_values import explain_learner
from immunocast.metrics import person_weights

#: Draws that a worker does together; a fixed number, so that no result depends on the workers.
_TOGETHER = 5


@dataclass(frozen=True)
class Refits:
    """Importances over refits of one model.

    Attributes
    ----------
    mean : (draws, features) mean |SHAP| of a draw.
    sign : (draws, features) direction of a draw, NaN where there is none.
    n_lost : draws left out: a training fold with one class only, or a refit without exact values on the run's scale.
    """

    mean: np.ndarray
    sign: np.ndarray
    n_lost: int


def refit_draws(
    run: ExplainInputs,
    shap: pd.DataFrame,
    explained: Mapping[str, PerPatient],
    models: Sequence[str],
    *,
    n_refits: int,
    seed: int,
    background: Background | None = None,
    engine: Engine | None = None,
) -> dict[str, Refits]:
    """Refit models on bootstrap samples of their training patients and explain the held-out patients.

    Parameters
    ----------
    run : the run.
    shap : its shap table: who is explained in which fold.
    explained : model -> `per_patient` of the run.
    models : those to refit, each exactly explained.
    n_refits : draws; each fits every fold of one repeat.
    seed : of the resamples, which are the same for all models.
    background : as the run was explained with: training patients of the fold, whether drawn or not.
    engine : spreads models and draws.
    """
    if n_refits < 0:
        raise ConfigError(f"explain.stability.n_refits is {n_refits}; give 20 or more, or 0 to leave refits out.")
    if not models or not n_refits:
        return {}
    counts = person_weights(run.table["person_id"], run.table["cohort_id"], n_resamples=n_refits, seed=seed)
    starts = range(0, n_refits, _TOGETHER)
    tasks = [(name, start) for name in models for start in starts]
    work = partial(
        _block,
        run=run,
        background=background,
        folds={name: folds_of(shap, name) for name in models},
        counts=counts,
        explained=explained,
    )
    found = (engine or SerialEngine()).map(work, tasks)
    out = {}
    for name in models:
        parts = [part for (model, _), part in zip(tasks, found, strict=True) if model == name]
        mean, sign = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        kept = ~np.isnan(mean).any(axis=1)
        out[name] = Refits(mean[kept], sign[kept], int((~kept).sum()))
    return out


def _block(
    task: tuple[str, int],
    run: ExplainInputs,
    background: Background | None,
    folds: Mapping[str, Mapping[Fold, np.ndarray]],
    counts: np.ndarray,
    explained: Mapping[str, PerPatient],
) -> tuple[np.ndarray, np.ndarray]:
    """(draws, features) importances and directions of a few draws; NaN rows where a draw was impossible."""
    name, start = task
    own, features = folds[name], list(explained[name].features)
    draws = range(start, min(start + _TOGETHER, counts.shape[1]))
    repeats = sorted({repeat for repeat, _ in own})
    X, at = run.frame(name, run.table), pd.Index(run.table["patient_id"])
    values: dict[int, list[np.ndarray]] = {b: [] for b in draws}
    rows: dict[int, list[np.ndarray]] = {b: [] for b in draws}
    lost = set()
    for fold, ids in own.items():
        train, held = run.splits[fold].train, at.get_indexer(pd.Index(ids))
        chosen = [b for b in draws if repeats[b % len(repeats)] == fold[0]]
        weights = np.zeros((len(X), len(chosen)), dtype=np.int64)
        weights[train] = counts[train][:, chosen]
        events = run.labels @ weights
        usable = (events > 0) & (events < weights.sum(axis=0))
        lost |= {b for b, fine in zip(chosen, usable, strict=True) if not fine}
        kept = [b for b, fine in zip(chosen, usable, strict=True) if fine]
        for b, model in zip(kept, refit(run, name, fold, X, weights[:, usable]) if kept else [], strict=True):
            try:
                found = explain_learner(model, X.iloc[held], background.frame(model, *fold) if background else None)
            except ConfigError:  # a choice among models took one without exact values
                lost.add(b)
                continue
            if found.scale != explained[name].scale:
                lost.add(b)
                continue
            values[b].append(found.values.reindex(columns=features, fill_value=0.0).to_numpy())
            rows[b].append(held)
    mean, sign = (np.full((len(draws), len(features)), np.nan) for _ in range(2))
    for k, b in enumerate(draws):
        if b in lost:
            continue
        signed = np.concatenate(values[b])
        mean[k] = np.abs(signed).mean(axis=0)
        sign[k] = directions(run.table.iloc[np.concatenate(rows[b])], signed, features)
    return mean, sign
