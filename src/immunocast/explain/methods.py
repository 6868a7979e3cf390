"""The table importance_methods: other ways to measure importance beside SHAP, and where they disagree."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY, label
from immunocast.explain.groups import rank_correlation
from immunocast.explain.losses import DROP_COLUMN, Losses
from immunocast.explain.per_patient import PerPatient
from immunocast.explain.ranks import ranks, resampled_means, whole_rank
from immunocast.validation.evaluate_estimates import TOO_SMALL

#: Fewest events, and fewest non-events, for which a loss is shown.
MIN_EVENTS = 10
#: |Spearman correlation| from which on another feature is named as one that may take the place.
PARTNER = 0.5


def method_rows(
    whole: PerPatient,
    y: np.ndarray,
    losses: Losses,
    shap: pd.DataFrame,
    *,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Rows of the table importance_methods for one model and method.

    Parameters
    ----------
    whole : the model's explained patients.
    y : (n,) their labels.
    losses : increase of the loss of each.
    shap : `shap_ranks` of the model.
    n_resamples, seed : of the bootstrap over persons within cohorts; models and permutations stay.

    Returns
    -------
    A row a feature. `rank` is among the features that have an estimate; all are null under `MIN_EVENTS` events or
    non-events.
    """
    persons, cohorts = whole.patients["person_id"], whole.patients["cohort_id"]
    enough = min(int(y.sum()), len(y) - int(y.sum())) >= MIN_EVENTS
    estimate = losses.increase.mean(axis=0) if enough else np.full(len(whole.features), np.nan)
    there = np.flatnonzero(~np.isnan(estimate))
    interval, rank = np.full((2, len(whole.features)), np.nan), np.full((3, len(whole.features)), np.nan)
    if len(there):
        drawn = resampled_means(losses.increase[:, there], persons, cohorts, n_resamples=n_resamples, seed=seed)
        interval[:, there] = np.percentile(drawn, [2.5, 97.5], axis=0)
        rank[0, there] = ranks(estimate[there])
        rank[1:, there] = np.percentile(ranks(drawn), [2.5, 97.5], axis=0, method="nearest")
    correlation = rank_correlation(whole.patients, whole.features)
    rows = []
    for j, feature in enumerate(whole.features):
        own, other = rank[:, j], shap.loc[feature, ["rank", "rank_low", "rank_high"]].to_numpy(dtype=float)
        apart = bool(own[1] > other[2] or own[2] < other[1])
        note = losses.reasons.get(feature, "") if enough else TOO_SMALL
        if apart:
            note = _meaning(losses.method, bool(own[0] > other[0]), feature, correlation)
        rows.append(
            {
                "model": whole.model,
                "scheme": whole.scheme,
                "endpoint": whole.endpoint,
                "method": losses.method,
                "metric": "log_loss",
                "feature": feature,
                "group": VOCABULARY[feature].block,
                "n": len(whole),
                "n_draws": losses.n_draws,
                "estimate": estimate[j],
                "ci_low": interval[0, j],
                "ci_high": interval[1, j],
                "rank": whole_rank(own[0]),
                "rank_low": whole_rank(own[1]),
                "rank_high": whole_rank(own[2]),
                "shap_rank": int(other[0]),
                "disagrees": apart,
                "note": note,
            }
        )
    return pd.DataFrame(rows)


def shap_ranks(model: str, importance: pd.DataFrame, stability: pd.DataFrame) -> pd.DataFrame:
    """Ranks of a model's features by mean |SHAP| and their widest known interval.

    Resampled patients under fixed models move ranks little. Where the model was refitted, the interval also holds that
    over the refits: a rank that other training patients would change contradicts nothing.

    Parameters
    ----------
    model : its name.
    importance, stability : tables importance and importance_stability of the run.

    Returns
    -------
    A frame with rank, rank_low and rank_high, a row a feature.
    """
    columns = ["rank", "rank_low", "rank_high"]
    chosen = (importance["model"] == model) & (importance["subgroup"] == "all") & (importance["kind"] == "feature")
    found = importance[chosen].set_index("feature")[columns].astype(float)
    if len(stability):
        own = stability[(stability["model"] == model) & (stability["source"] == "refits")].set_index("feature")
        drawn = own[columns].astype("Float64").astype(float).reindex(found.index)
        found["rank_low"] = np.fmin(found["rank_low"], drawn["rank_low"])
        found["rank_high"] = np.fmax(found["rank_high"], drawn["rank_high"])
    return found


def _meaning(method: str, less: bool, feature: str, correlation: pd.DataFrame) -> str:
    """What it usually means that a method ranks a feature lower (`less`) or higher than SHAP does."""
    if method == DROP_COLUMN and less:
        partner = _partner(feature, correlation)
        if partner:
            return f"less is lost than SHAP's rank tells: {partner} tells the same when it is left out"
        return (
            "less is lost than SHAP's rank tells: it moves predictions, but hardly towards what happens, or others "
            "together tell the same"
        )
    if method == DROP_COLUMN:
        return (
            "more is lost than SHAP's rank tells: features above it stand in for each other, or it corrects what "
            "others say"
        )
    if less:
        return "less is lost than SHAP's rank tells: it moves predictions, but hardly towards what happens"
    return "more is lost than SHAP's rank tells: few patients depend on it much, or only together with other features"


def _partner(feature: str, correlation: pd.DataFrame) -> str:
    if feature not in correlation:
        return ""
    others = correlation[feature].drop(feature).abs().fillna(0.0)
    if others.empty or others.max() < PARTNER:
        return ""
    nearest = str(others.idxmax())
    return f"{label(nearest)} (Spearman correlation {float(correlation[feature][nearest]):.2f})"
