"""Patients whose response and PD-L1 disagree: by which features a model tells them from those whom PD-L1 got right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY
from immunocast.explain.importance import used_features
from immunocast.explain.inputs import ExplainInputs
from immunocast.metrics import percentile_interval, person_weights
from immunocast.validation.evaluate_discordance import PDL1_HIGH, PDL1_LOW

#: Below this number of patients on a side nothing is estimated.
MIN_PATIENTS = 10
#: stratum -> band of PD-L1, its name in the tables, that of the reference, and both in words.
_STRATA = (
    (PDL1_LOW, "pdl1_low_responders", "pdl1_low_non_responders", "PD-L1 TPS below 1 %"),
    (PDL1_HIGH, "pdl1_high_non_responders", "pdl1_high_responders", "PD-L1 TPS of 50 % or more"),
)
_ESTIMATES = ("mean_shap", "mean_shap_reference", "difference", "ci_low", "ci_high", "median_value",
              "median_value_reference", "rank")  # fmt: skip


def discordant_table(run: ExplainInputs, shap: pd.DataFrame, *, n_resamples: int, seed: int) -> pd.DataFrame:
    """Compare SHAP values of discordant patients with those of concordant patients of the same PD-L1.

    Parameters
    ----------
    run : the run.
    shap : shap table; a patient's repeats are averaged.
    n_resamples, seed : of the bootstrap over persons, both sides drawn together, models held fixed.

    Returns
    -------
    Rows of the table discordant, a row a model, stratum and feature that the model uses. "Responders" are patients
    with the outcome that PD-L1 promises: under an endpoint whose event is bad (`Endpoint.markers` "reversed") those
    without the event. Empty where the endpoint does not tell response, or PD-L1 TPS is known for nobody. Differences
    are of means over all cohorts together.
    """
    if shap.empty or PDL1_LOW.discordant(run.endpoint) is None or np.isnan(PDL1_LOW.values(run.table)).all():
        return pd.DataFrame()
    patients = run.table.set_index(run.table["patient_id"].astype(str))
    outcome = pd.Series(run.labels, index=patients.index)
    out: list[dict[str, Any]] = []
    for names, part in shap.groupby(["model", "scheme", "endpoint", "output_scale"], sort=True):
        part = part[part["patient_id"].isin(patients.index)]
        features = used_features(part)
        signed = part.groupby("patient_id", sort=True)[features].mean()
        rows = patients.loc[signed.index]
        y = outcome.loc[signed.index].to_numpy()
        head = dict(zip(("model", "scheme", "endpoint", "output_scale"), map(str, names), strict=True))
        for band, stratum, reference, words in _STRATA:
            inside = band.holds(rows)
            side = inside & (y == band.discordant(run.endpoint))
            out += [
                head | {"stratum": stratum, "reference": reference} | row
                for row in _compare(signed, rows, features, side, inside & ~side, words, n_resamples, seed)
            ]
    return pd.DataFrame(out)


def _compare(
    signed: pd.DataFrame,
    rows: pd.DataFrame,
    features: list[str],
    side: np.ndarray,
    other: np.ndarray,
    words: str,
    n_resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    n, n_other = int(side.sum()), int(other.sum())
    shared = {"n": n, "n_reference": n_other, **dict.fromkeys(_ESTIMATES)}
    if min(n, n_other) < MIN_PATIENTS:
        note = f"{words}; too small: fewer than {MIN_PATIENTS} patients on a side"
        return [shared | {"feature": f, "group": VOCABULARY[f].block, "note": note} for f in features]
    counts = person_weights(rows.loc[side | other, "person_id"], n_resamples=n_resamples, seed=seed).astype(np.int64)
    drawn = _means(counts, signed.to_numpy()[side | other], side[side | other])
    mean, mean_other = signed.to_numpy()[side].mean(axis=0), signed.to_numpy()[other].mean(axis=0)
    ranks = rankdata(-np.abs(mean - mean_other), method="min")
    found = []
    for k, feature in enumerate(features):
        low, high, _ = percentile_interval(drawn[:, k])
        value = _values(rows, feature)
        found.append(
            {
                **shared,
                "feature": feature,
                "group": VOCABULARY[feature].block,
                "mean_shap": mean[k],
                "mean_shap_reference": mean_other[k],
                "difference": mean[k] - mean_other[k],
                "ci_low": low,
                "ci_high": high,
                "median_value": value[side].median(),
                "median_value_reference": value[other].median(),
                "rank": int(ranks[k]),
                "note": words,
            }
        )
    return found


def _means(counts: np.ndarray, values: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(n_resamples, features) differences in mean; NaN where a resample leaves a side empty."""
    means = []
    for chosen in (side, ~side):
        total = counts[chosen].sum(axis=0).astype(float)
        total[total == 0] = np.nan
        means.append((counts[chosen].T @ values[chosen]) / total[:, None])
    return np.asarray(means[0] - means[1])


def _values(rows: pd.DataFrame, feature: str) -> pd.Series:
    """Measured values of a feature; NaN for categories and for values that the source imputed."""
    if feature not in rows or VOCABULARY[feature].kind in ("category", "text"):
        return pd.Series(np.nan, index=rows.index)
    value = rows[feature].astype("float64")
    flag = feature + MEASURED_SUFFIX
    return value.where(rows[flag].fillna(1).astype(int) == 1) if flag in rows else value
