"""Instability of individual predictions: how far they move when other patients happen to train the model.

Riley & Collins 2023, "Stability of clinical prediction models developed using statistical or machine learning
methods" (Biometrical Journal 65:2200302). Here a patient is never among the patients who are resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from immunocast.engines import Engine, SerialEngine
from immunocast.metrics import person_weights
from immunocast.models.refit import fit_many, predict_many
from immunocast.store.schemas import TABLES
from immunocast.validation.controls import Blank, Rows
from immunocast.validation.controls_inputs import Controlled
from immunocast.validation.splits import Split

#: Parameters that a fold's inner search chose: (model, repeat, fold) -> arguments of `set_params`.
Frozen = Mapping[tuple[str, int, str], Mapping[str, Any]]


@dataclass(frozen=True)
class _Part:
    """Refits of one fold: predictions (n_test, B) of its test patients, and how many refits were impossible."""

    rows: np.ndarray
    repeat: int
    p: np.ndarray
    n_lost: int


def stability_table(
    run: Controlled, *, n_refits: int, seed: int, frozen: Frozen | None = None, engine: Engine | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Refit every model on bootstrap samples of every training fold and predict the fold's test patients.

    Parameters
    ----------
    run : the run under control.
    n_refits : refits that predict a patient; with repeats they are divided among them.
    seed : of the resamples: persons of the training fold, stratified by cohort.
    frozen : parameters that were tuned in the folds; they are not tuned anew.
    engine : spreads models and folds.

    Returns
    -------
    The table stability, and by model how many refits were left out since their sample held one class only.
    """
    splits = [s for s in run.scheme.split(run.table, run.y) if 0 < run.y[s.train].sum() < len(s.train)]
    n_repeats = len({s.repeat for s in splits})
    each = -(-n_refits // n_repeats) if n_repeats else 0
    tasks = [(name, k) for name in run.models for k in range(len(splits))]
    work = partial(_refit, run=run, splits=splits, n_refits=each, seed=seed, frozen=frozen or {})
    parts = (engine or SerialEngine()).map(work, tasks)
    rows: list[dict[str, Any]] = []
    lost: dict[str, int] = {}
    for name in run.models:
        own = [part for (model, _), part in zip(tasks, parts, strict=True) if model == name]
        lost[name] = sum(part.n_lost for part in own)
        rows += _patients(run, name, own, each)
    return pd.DataFrame(rows, columns=list(TABLES["stability"].columns)), lost


def _refit(
    task: tuple[str, int], run: Controlled, splits: Sequence[Split], n_refits: int, seed: int, frozen: Frozen
) -> _Part:
    name, k = task
    split = splits[k]
    ids = run.ids.iloc[split.train]
    own = int(np.random.SeedSequence([seed, k]).generate_state(1)[0])
    counts = person_weights(ids["person_id"], ids["cohort_id"], n_resamples=n_refits, seed=own).astype(np.int64)
    events = run.y[split.train] @ counts
    usable = (events > 0) & (events < counts.sum(axis=0))
    weights = np.zeros((len(run.y), int(usable.sum())), dtype=np.int64)
    weights[split.train] = counts[:, usable]
    X, model = run.frames[name], run.models[name]
    settings = frozen.get((name, split.repeat, split.fold))
    if settings:
        model = clone(model).set_params(**settings)
    fitted = fit_many(model, X, run.y, weights)
    found = predict_many(fitted, X, [split.test] * len(fitted))
    p = np.column_stack(found) if found else np.empty((len(split.test), 0))
    return _Part(split.test, split.repeat, p, int((~usable).sum()))


def _patients(run: Controlled, name: str, parts: Sequence[_Part], n_refits: int) -> Rows:
    """One row for each patient whom the run predicted fairly."""
    scores = run.scores(name)
    patient_id, cohort_id = (run.ids[c].to_numpy(dtype=object) for c in ("patient_id", "cohort_id"))
    at = np.full(len(run.y), -1)
    at[run.row] = np.arange(len(run.row))
    repeats = sorted({part.repeat for part in parts})
    found = np.full((len(run.y), len(repeats), n_refits), np.nan)
    change = found.copy()
    for part in parts:
        k, b = repeats.index(part.repeat), part.p.shape[1]
        found[part.rows, k, :b] = part.p
        change[part.rows, k, :b] = np.abs(part.p - scores.p[part.repeat, at[part.rows]][:, None])
    rows = []
    for i in np.flatnonzero(at >= 0):
        p = found[i][~np.isnan(found[i])]
        if not scores.fair[at[i]] or not len(p):
            continue
        low, high = np.quantile(p, [0.025, 0.975])
        rows.append(
            {
                "patient_id": patient_id[i],
                "cohort_id": cohort_id[i],
                "model": name,
                "scheme": run.scheme_name,
                "endpoint": run.endpoint,
                "n_refits": len(p),
                "p_response": float(scores.p[:, at[i]].mean()),
                "p_mean": float(p.mean()),
                "p_sd": float(p.std(ddof=1)) if len(p) > 1 else 0.0,
                "p_low": float(low),
                "p_high": float(high),
                "mean_abs_change": float(np.nanmean(change[i])),
            }
        )
    return rows


def instability_rows(
    run: Controlled, stability: pd.DataFrame, lost: Mapping[str, int], *, thresholds: Sequence[float]
) -> Rows:
    """Summary of the table stability by model: the median change, and who may fall on either side of a threshold."""
    blank, rows = Blank(run.scheme_name, run.endpoint), []
    y = pd.Series(run.y, index=run.ids["patient_id"])
    for name in run.models:
        part = stability[stability["model"] == name]
        if part.empty:
            continue
        n_refits = int(part["n_refits"].max())
        size = {"n": len(part), "n_events": int(y[part["patient_id"]].sum()), "n_repeats": n_refits}
        note = "refits on bootstrap samples of the training folds, persons within cohorts; parameters not tuned anew"
        if lost.get(name):
            note += f"; {lost[name]} samples held one class only and were left out"
        change = part["mean_abs_change"].to_numpy()
        low, high = np.quantile(change, [0.025, 0.975])
        spread = {"estimate": float(np.median(change)), "low": float(low), "high": float(high)}
        told = f"median over patients, with the range of 95 % of them; {note}"
        rows.append(blank.row("instability", name, "mean_abs_change", **size, **spread, note=told))
        width = (part["p_high"] - part["p_low"]).to_numpy()
        low, high = np.quantile(width, [0.025, 0.975])
        spread = {"estimate": float(np.median(width)), "low": float(low), "high": float(high)}
        told = "median width of a patient's 95 % range, with the range of 95 % of patients"
        rows.append(blank.row("instability", name, "width_of_range", **size, **spread, note=told))
        for threshold in thresholds:
            crossing = (part["p_low"] < threshold) & (part["p_high"] >= threshold)
            told = f"share of patients whose 95 % range holds the threshold {threshold:g}"
            rows.append(
                blank.row(
                    "instability",
                    name,
                    f"share_crossing_{threshold:g}",
                    **size,
                    estimate=float(crossing.mean()),
                    note=told,
                )
            )
    return rows
