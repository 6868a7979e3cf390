"""How much of a known mechanism explanations recover: each number a function of weighted means over rows.

So a resample of persons costs one product of matrices. Ranks that go over patients are taken once, in the whole
sample, within each repeat and fold (rows of one model); resampling then weights them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from immunocast.explain.truth_alignment import Alignment
from immunocast.metrics import person_weights

#: Fewest features (of a patient, of a model) for a rank correlation.
MIN_FEATURES = 3
_BLOCK = 100
#: Variances below are rounding.
_FLAT = 1e-12


@dataclass(frozen=True)
class Recovered:
    """One number.

    Attributes
    ----------
    metric, feature : as in the table truth_recovery.
    values : (1 + B,) the estimate, then the resamples'.
    truth : what it would be if explanations were the truth; NaN where that says nothing.
    note : what to keep in mind.
    rows : (n,) bool, rows with something to compare; None for all.
    """

    metric: str
    feature: str
    values: np.ndarray
    truth: float
    note: str = ""
    rows: np.ndarray | None = None


class Resamples:
    """Weighted means of columns over everybody, and over each resample of persons."""

    def __init__(self, persons: np.ndarray, n_resamples: int, seed: int):
        names, codes = np.unique(persons.astype(str), return_inverse=True)
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.searchsorted(codes[self._order], np.arange(len(names)))
        self._counts = np.ascontiguousarray(person_weights(names, n_resamples=n_resamples, seed=seed).T)

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """(1 + B, k) weighted sums of (n, k) columns, those of everybody first; NaN counts as nothing."""
        of_person = np.add.reduceat(np.nan_to_num(columns, nan=0.0)[self._order], self._starts, axis=0)
        found = [of_person.sum(axis=0, keepdims=True)]
        for start in range(0, len(self._counts), _BLOCK):
            found.append(self._counts[start : start + _BLOCK].astype(float) @ of_person)
        return np.concatenate(found)

    def means(self, columns: np.ndarray) -> np.ndarray:
        """The same of means over the rows that have a value; NaN where none has."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.sums(columns) / self.sums(np.isfinite(columns).astype(float))


def recovery(a: Alignment, resamples: Resamples, *, log_odds: bool) -> Iterator[Recovered]:
    """All numbers of one model.

    Parameters
    ----------
    a : rows of the model.
    resamples : of the persons of these rows.
    log_odds : whether SHAP values are log-odds, as true values are.
    """
    importance = resamples.means(np.abs(a.shap))
    yield from _causes(a, importance)
    yield from _shares(a, importance)
    missed = np.where(a.measured, 0.0, np.abs(a.shap)).sum(axis=1)
    yield _ratio("attribution_unmeasured", resamples, missed, np.abs(a.shap).sum(axis=1))
    yield _total(a, importance, log_odds=log_odds)
    if a.true is None or not a.parents.any():
        return
    unknown = np.where(a.measured, 0.0, np.abs(a.true)).sum(axis=1) + np.abs(a.outside).sum(axis=1)
    yield _ratio("cause_unmeasured", resamples, unknown, np.abs(np.column_stack([a.true, a.outside])).sum(axis=1))
    if len(a.features) >= MIN_FEATURES:
        true = resamples.sums(np.abs(a.true))
        yield Recovered("importance_rank_correlation", "all", _correlation(_ranks(importance), _ranks(true)), 1.0)
    yield from _patients(a, resamples)
    yield from _over_patients(a, resamples)


def _causes(a: Alignment, importance: np.ndarray) -> Iterator[Recovered]:
    """Parents told from the other features by importance; both must be there."""
    k, m = int(a.parents.sum()), len(a.features)
    if not 0 < k < m:
        return
    # of equals the feature without effect comes first: no credit for a tie
    order = np.concatenate([np.flatnonzero(~a.parents), np.flatnonzero(a.parents)])
    ranked = order[np.argsort(-importance[:, order], axis=1, kind="stable")]
    hits = a.parents[ranked]
    precision = hits.cumsum(axis=1) / np.arange(1, m + 1)
    chance = f"{k} of {m} features are causes"
    yield Recovered("parent_precision", "all", precision[:, k - 1], 1.0, note=f"{chance}: {k / m:.2f} by chance.")
    average = (precision * hits).sum(axis=1) / k
    yield Recovered("parent_average_precision", "all", average, 1.0, note=f"{chance}.")
    wins = rankdata(importance, axis=1)[:, a.parents].sum(axis=1) - k * (k + 1) / 2
    yield Recovered("parent_auroc", "all", wins / (k * (m - k)), 1.0, note="0.50 by chance.")


def _shares(a: Alignment, importance: np.ndarray) -> Iterator[Recovered]:
    """Parts of the whole attribution, beside the same parts of the true one."""
    total = importance.sum(axis=1)
    true = None if a.true is None else np.abs(a.true).mean(axis=0)
    if true is not None and not true.sum():
        true = None
    groups = {
        "noise_share": a.kinds == "noise",
        "proxy_share": a.kinds == "proxy",
        "prognostic_share": a.roles == "prognostic",
        "predictive_share": a.roles == "predictive",
    }
    for metric, inside in groups.items():
        if not inside.any():
            continue
        ideal = 0.0 if metric in ("noise_share", "proxy_share") and a.parents.any() else np.nan
        if true is not None:
            ideal = float(true[inside].sum() / true.sum())
        yield Recovered(metric, "all", _divided(importance[:, inside].sum(axis=1), total), ideal)
    for j, name in enumerate(a.features):
        ideal = np.nan if true is None else float(true[j] / true.sum())
        yield Recovered("attribution_share", name, _divided(importance[:, j], total), ideal, note=_kind(a, j))


def _kind(a: Alignment, j: int) -> str:
    return {"parent": f"Cause ({a.roles[j]}).", "proxy": "No cause, goes with one.", "noise": "No cause."}[a.kinds[j]]


def _total(a: Alignment, importance: np.ndarray, *, log_odds: bool) -> Recovered:
    ideal, note = np.nan, "On the model's own scale, which is not that of the true values."
    if not a.parents.any():
        ideal, note = 0.0, "Nothing causes the outcome here: whatever is attributed is chance."
    elif log_odds and a.true is not None:
        ideal, note = float(np.abs(a.true).sum(axis=1).mean()), ""
    return Recovered("total_attribution", "all", importance.sum(axis=1), ideal, note=note)


def _ratio(metric: str, resamples: Resamples, part: np.ndarray, whole: np.ndarray) -> Recovered:
    sums = resamples.sums(np.column_stack([part, whole]))
    return Recovered(metric, "all", _divided(sums[:, 0], sums[:, 1]), np.nan)


def _patients(a: Alignment, resamples: Resamples) -> Iterator[Recovered]:
    """Numbers that each patient has, averaged."""
    assert a.true is not None
    found = {
        "patient_correlation": _within(a.shap, a.true, np.ones_like(a.measured)),
        "patient_correlation_measured": _within(a.shap, a.true, a.measured),
        "first_reason": _first(a.shap, np.column_stack([a.true, a.outside]), np.ones_like(a.measured)),
        "first_reason_measured": _first(a.shap, a.true, a.measured),
    }
    values = resamples.means(np.column_stack(list(found.values())))
    for j, (metric, column) in enumerate(found.items()):
        yield Recovered(metric, "all", values[:, j], 1.0, rows=np.isfinite(column))


def _within(shap: np.ndarray, true: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(n,) Spearman correlation over a row's features; 0 where SHAP is flat, NaN where the truth is, or too few."""
    enough = (seen.sum(axis=1) >= MIN_FEATURES) & (_spread(true, seen) > 0)
    found = np.full(len(shap), np.nan)
    if enough.any():
        hidden = ~seen[enough]
        x, y = (pd.DataFrame(np.where(hidden, np.nan, v[enough])).rank(axis=1).to_numpy() for v in (shap, true))
        found[enough] = _correlation(x, y)
    return found


def _spread(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.where(seen, values, -np.inf).max(axis=1) - np.where(seen, values, np.inf).min(axis=1)


def _first(shap: np.ndarray, true: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(n,) 1 where the largest |SHAP| is that of the largest true cause, 0 where not, NaN where there is none.

    Columns of `true` beyond those of `shap` are causes that the model doesn't have: it can't name them.
    """
    m = shap.shape[1]
    own = np.where(seen, np.abs(shap), -1.0)
    others = np.column_stack([np.where(seen, np.abs(true[:, :m]), -1.0), np.abs(true[:, m:])])
    named, right = own.argmax(axis=1), others.argmax(axis=1)
    hit = (named == right) & (own.max(axis=1) > 0)
    return np.where(others.max(axis=1) > 0, hit.astype(float), np.nan)


def _over_patients(a: Alignment, resamples: Resamples) -> Iterator[Recovered]:
    """For each cause, its values over the patients in whom it was measured; and the mean over causes."""
    assert a.true is not None
    causes = [j for j in np.flatnonzero(a.parents) if np.any(a.true[:, j])]
    shown = [j for j in causes if a.measured[:, j].sum() >= MIN_FEATURES]
    if not shown:
        return
    seen = a.measured[:, shown]
    agree = np.where(seen, _same_sign(a.shap[:, shown], a.true[:, shown]), np.nan)
    right, of = resamples.sums(agree), resamples.sums(np.isfinite(agree).astype(float))
    own, pooled = _divided(right, of), _divided(right.sum(axis=1), of.sum(axis=1))
    yield Recovered("sign_agreement", "all", pooled, 1.0, "A SHAP value of 0 counts as half; 0.50 by chance.")
    x, y = (_fold_ranks(np.where(seen, values[:, shown], np.nan), a.folds) for values in (a.shap, a.true))
    correlations = _weighted_correlation(x, y, resamples)
    for k, j in enumerate(shown):
        unused = "" if np.any(a.shap[seen[:, k], j]) else "The models do not use it: 0."
        yield Recovered("sign_agreement", a.features[j], own[:, k], 1.0, rows=seen[:, k])
        yield Recovered("feature_correlation", a.features[j], correlations[:, k], 1.0, unused, seen[:, k])
    defined = np.isfinite(correlations)
    mean = _divided(np.nansum(correlations, axis=1), defined.sum(axis=1).astype(float))
    yield Recovered("feature_correlation", "all", mean, 1.0, "Mean over the causes.")


def _same_sign(shap: np.ndarray, true: np.ndarray) -> np.ndarray:
    same = np.where(shap == 0, 0.5, (np.sign(shap) == np.sign(true)).astype(float))
    return np.where(true != 0, same, np.nan)


def _fold_ranks(values: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Ranks of the columns within each fold, from -1/2 to 1/2; NaN stays."""
    frame = pd.DataFrame(values).groupby(folds)
    return ((frame.rank() - 0.5) / frame.transform("count") - 0.5).to_numpy(dtype=float)


def _weighted_correlation(x: np.ndarray, y: np.ndarray, resamples: Resamples) -> np.ndarray:
    """(1 + B, k) correlation of columns that are NaN together; 0 where x is flat and y is not, NaN where y is."""
    k = x.shape[1]
    m = resamples.means(np.column_stack([x, y, x * x, y * y, x * y]))
    mean_x, mean_y, xx, yy, xy = (m[:, i * k : (i + 1) * k] for i in range(5))
    var_x, var_y = xx - mean_x**2, yy - mean_y**2
    r = np.where(var_x > _FLAT, (xy - mean_x * mean_y) / np.sqrt(np.maximum(var_x * var_y, _FLAT**2)), 0.0)
    return np.clip(np.where(var_y > _FLAT, r, np.nan), -1.0, 1.0)


def _ranks(values: np.ndarray) -> np.ndarray:
    return rankdata(values, axis=1)


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) Pearson correlation of rows, NaN left out; 0 where x is flat, NaN where y is."""
    x, y = (v - np.nanmean(v, axis=1, keepdims=True) for v in (x, y))
    xx, yy, xy = (np.nansum(p, axis=1) for p in (x * x, y * y, x * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(xx > _FLAT, xy / np.sqrt(np.maximum(xx * yy, _FLAT**2)), 0.0)
    return np.clip(np.where(yy > _FLAT, r, np.nan), -1.0, 1.0)


def _divided(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
