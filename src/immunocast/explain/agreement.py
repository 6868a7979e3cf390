"""The table agreement: importances of two models, of two cohorts, or by two methods, compared.

Rank correlation is Spearman's, of the importances of the features of both. Its interval is a bootstrap over persons
within cohorts with the models fixed; a patient of both sides is drawn for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from immunocast.cohort.vocabulary import label
from immunocast.explain.importance import MIN_PATIENTS
from immunocast.explain.losses import Losses
from immunocast.explain.per_patient import PerPatient
from immunocast.explain.ranks import resampled_means

#: A rank correlation of fewer features takes a handful of values.
MIN_FEATURES = 4
TOP = 5


@dataclass(frozen=True)
class Side:
    """One of two importances.

    Attributes
    ----------
    name : of the model, cohort or method.
    patients : (n, columns) rows of the cohort table.
    values : feature -> (n,) what the importance is the mean of.
    sign : feature -> its direction on the response; NaN without one. Empty where a method has none.
    """

    name: str
    patients: pd.DataFrame
    values: Mapping[str, np.ndarray]
    sign: Mapping[str, float]


def between_models(explained: Mapping[str, PerPatient], *, n_resamples: int, seed: int) -> list[dict[str, Any]]:
    """Every two models of a run, over the features of both.

    Parameters
    ----------
    explained : model -> its patients' values.
    n_resamples, seed : of the bootstrap.
    """
    rows = []
    for a, b in combinations(sorted(explained), 2):
        one, other = explained[a], explained[b]
        scales = {one.scale, other.scale}
        turned = "log-hazard" in scales and len(scales) > 1
        note = [f"{', '.join(sorted(scales))}: sizes differ, ranks are compared"] if len(scales) > 1 else []
        if turned:
            note.append("a log-hazard counts against the response: its direction is turned")
        only = [_only(x, y) for x, y in ((one, other), (other, one))]
        sides = [_side(p, p.model, p.features, turned and p.scale == "log-hazard") for p in (one, other)]
        rows.append(
            _head("models", one, "")
            | compared(*sides, note=[*note, *filter(None, only)], n_resamples=n_resamples, seed=seed)
        )
    return rows


def between_cohorts(whole: PerPatient, *, n_resamples: int, seed: int) -> list[dict[str, Any]]:
    """Every two cohorts under one model; cohorts with fewer than `MIN_PATIENTS` explained patients are left out.

    A feature that fewer than `MIN_PATIENTS` patients of a cohort have is not compared there, and told.
    """
    cohorts = whole.patients["cohort_id"].to_numpy(dtype=str)
    parts = {c: whole.take(cohorts == c) for c in sorted(set(cohorts))}
    parts = {c: part for c, part in parts.items() if len(part) >= MIN_PATIENTS}
    known = {
        c: [f for f, n in zip(part.features, part.n_measured, strict=True) if n >= MIN_PATIENTS]
        for c, part in parts.items()
    }
    rows = []
    for a, b in combinations(parts, 2):
        gone = {c: [f for f in whole.features if f not in known[c]] for c in (a, b)}
        note = [
            f"measured in fewer than {MIN_PATIENTS} patients of {c}: {_names(features)}"
            for c, features in gone.items()
            if features
        ]
        sides = [_side(parts[c], c, known[c]) for c in (a, b)]
        rows.append(
            _head("cohorts", whole, whole.model) | compared(*sides, note=note, n_resamples=n_resamples, seed=seed)
        )
    return rows


def between_methods(
    whole: PerPatient, losses: Sequence[Losses], *, n_resamples: int, seed: int
) -> list[dict[str, Any]]:
    """SHAP and the other methods of one model, two at a time; a loss has no direction."""
    sides = [Side("shap", whole.patients, dict(zip(whole.features, whole.absolute.T, strict=True)), {})]
    for one in losses:
        done = {f: v for f, v in zip(whole.features, one.increase.T, strict=True) if not np.isnan(v).any()}
        sides.append(Side(one.method, whole.patients, done, {}))
    return [
        _head("methods", whole, whole.model) | compared(a, b, note=[], n_resamples=n_resamples, seed=seed)
        for a, b in combinations(sides, 2)
    ]


def compared(a: Side, b: Side, *, note: Sequence[str], n_resamples: int, seed: int) -> dict[str, Any]:
    """Columns of the table agreement for two importances.

    Returns
    -------
    Estimates are null with fewer than `MIN_FEATURES` features of both; `same_direction` where none has a direction
    on both sides.
    """
    features = [f for f in a.values if f in b.values]
    said = list(note)
    row: dict[str, Any] = {
        "a": a.name,
        "b": b.name,
        "n_features": len(features),
        "n_a": len(a.patients),
        "n_b": len(b.patients),
        "rank_correlation": np.nan,
        "ci_low": np.nan,
        "ci_high": np.nan,
        "top_shared": pd.NA,
        "same_direction": np.nan,
    }
    if len(features) < MIN_FEATURES:
        return row | {"note": "; ".join([f"fewer than {MIN_FEATURES} features of both: nothing to compare", *said])}
    values = [np.column_stack([side.values[f] for f in features]) for side in (a, b)]
    means = [v.mean(axis=0) for v in values]
    row["rank_correlation"] = float(_spearman(means[0][None], means[1][None])[0])
    drawn = _spearman(*_resampled(a, b, values, n_resamples, seed))
    if not np.isnan(drawn).all():
        row["ci_low"], row["ci_high"] = map(float, np.nanpercentile(drawn, [2.5, 97.5]))
    if len(features) >= TOP:
        first = [set(np.argsort(-m, kind="stable")[:TOP]) for m in means]
        row["top_shared"] = len(first[0] & first[1])
    share, opposite = _direction(features, means, a.sign, b.sign)
    row["same_direction"] = share
    if opposite:
        said.append(f"opposite directions: {_names(opposite)}")
    return row | {"note": "; ".join(said)}


def _resampled(
    a: Side, b: Side, values: Sequence[np.ndarray], n_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n_resamples, features) means of both sides over the same resampled persons."""
    everybody = pd.concat([a.patients, b.patients]).drop_duplicates("patient_id").sort_values("patient_id")
    at, wide = pd.Index(everybody["patient_id"]), []
    for side, own in ((a, values[0]), (b, values[1])):
        full = np.full((len(everybody), own.shape[1]), np.nan)
        full[at.get_indexer(pd.Index(side.patients["patient_id"]))] = own
        wide.append(full)
    drawn = resampled_means(
        np.hstack(wide), everybody["person_id"], everybody["cohort_id"], n_resamples=n_resamples, seed=seed
    )
    return drawn[:, : values[0].shape[1]], drawn[:, values[0].shape[1] :]


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(rows,) Spearman correlation of each row of two arrays; NaN where one is constant."""
    x, y = (rankdata(part, axis=1) for part in (a, b))
    x, y = (part - part.mean(axis=1, keepdims=True) for part in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def _direction(
    features: Sequence[str], means: Sequence[np.ndarray], a: Mapping[str, float], b: Mapping[str, float]
) -> tuple[float, list[str]]:
    """Share of importance of the same sign among features that have one on both sides, and features that differ.

    Each side's importances are divided by their sum first: scales and spreads differ.
    """
    weight = np.mean([m / m.sum() if m.sum() > 0 else m for m in means], axis=0)
    signs = np.array([[np.sign(a.get(f, np.nan)), np.sign(b.get(f, np.nan))] for f in features])
    known = ~np.isnan(signs).any(axis=1)
    if not weight[known].sum() > 0:
        return np.nan, []
    same = known & (signs[:, 0] == signs[:, 1])
    differ = [f for f, k, s in zip(features, known, same, strict=True) if k and not s]
    return float(weight[same].sum() / weight[known].sum()), differ


def _side(whole: PerPatient, name: str, features: Sequence[str], turned: bool = False) -> Side:
    values = dict(zip(whole.features, whole.absolute.T, strict=True))
    sign = dict(zip(whole.features, -whole.sign if turned else whole.sign, strict=True))
    return Side(name, whole.patients, {f: values[f] for f in features}, {f: sign[f] for f in features})


def _head(between: str, whole: PerPatient, model: str) -> dict[str, Any]:
    return {"between": between, "scheme": whole.scheme, "endpoint": whole.endpoint, "model": model}


def _only(one: PerPatient, other: PerPatient) -> str:
    alone = [f for f in one.features if f not in other.features]
    return f"only in {one.model}: {_names(alone)}" if alone else ""


def _names(features: Any) -> str:
    return ", ".join(label(f) for f in features)
