"""The importance table: mean |SHAP| with intervals, ranks with intervals, and the direction of the effect.

Intervals come from a bootstrap over persons with the fitted models held fixed: they say how much the numbers
depend on who was in the test folds, not on who was in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from immunocast.cohort.vocabulary import FEATURES, VOCABULARY
from immunocast.errors import ConfigError

#: Below this number of patients a subgroup gets no importance of its own.
MIN_PATIENTS = 20
_BLOCK = 100


def importance_table(
    shap: pd.DataFrame,
    cohort: pd.DataFrame,
    *,
    by: Sequence[str] = ("tumor_type",),
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Summarise the shap table.

    Parameters
    ----------
    shap : shap table.
    cohort : cohort table (values for the direction, subgroups, persons).
    by : categorical columns of the cohort for subgroup importances.
    n_resamples : bootstrap resamples over persons.
    seed : of the bootstrap.

    Returns
    -------
    Rows of the importance table, over all repeats (`repeat` = -1).

    Raises
    ------
    ConfigError
        Where a column of `by` is no category of the vocabulary.
    """
    for column in by:
        known = VOCABULARY.get(column)
        if column != "cohort_id" and (known is None or known.kind not in ("category", "binary")):
            raise ConfigError(f"explain.by: {column!r} is no category of the vocabulary, such as tumor_type or sex.")
    if shap.empty:  # no model of the run has an explainer
        return pd.DataFrame()
    values = cohort.set_index("patient_id")
    out = []
    for names, part in shap.groupby(["model", "scheme", "endpoint", "output_scale"], sort=True):
        model, scheme, endpoint, scale = map(str, names)
        # a feature that no fold could use has no importance, not one of 0
        features = [f for f in FEATURES if f in part and part[f].abs().sum() > 0]
        absolute = part[features].abs().groupby(part["patient_id"], sort=True).mean()
        signed = part[features].groupby(part["patient_id"], sort=True).mean()
        patients = values.loc[absolute.index]
        for subgroup, level, inside in _subgroups(patients, by):
            ids = absolute.index[inside]
            table = _summary(
                absolute.loc[ids].to_numpy(), signed.loc[ids], patients.loc[ids], features, n_resamples, seed
            )
            table.insert(0, "model", model)
            out.append(
                table.assign(
                    scheme=scheme,
                    repeat=-1,
                    endpoint=endpoint,
                    subgroup=subgroup,
                    level=level,
                    output_scale=scale,
                )
            )
    return pd.concat(out, ignore_index=True) if out else pd.DataFrame()


def _subgroups(patients: pd.DataFrame, by: Sequence[str]) -> list[tuple[str, str, np.ndarray]]:
    groups = [("all", "all", np.ones(len(patients), dtype=bool))]
    for column in by:
        if column not in patients:
            continue
        for level in sorted(patients[column].dropna().unique()):
            inside = (patients[column] == level).to_numpy()
            if inside.sum() >= MIN_PATIENTS:
                groups.append((column, str(level), inside))
    return groups


def _summary(
    absolute: np.ndarray,
    signed: pd.DataFrame,
    patients: pd.DataFrame,
    features: Sequence[str],
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    mean = absolute.mean(axis=0)
    draws = _bootstrap_means(absolute, patients["person_id"].to_numpy(), n_resamples, seed)
    rank_draws = rankdata(-draws, axis=1, method="min")
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    # percentiles of ranks stay whole numbers
    rank_low, rank_high = np.percentile(rank_draws, [2.5, 97.5], axis=0, method="nearest").astype(int)
    return pd.DataFrame(
        {
            "feature": list(features),
            "group": [VOCABULARY[f].block for f in features],
            "n": len(patients),
            "n_measured": [int(patients[f].notna().sum()) if f in patients else 0 for f in features],
            "mean_abs_shap": mean,
            "ci_low": low,
            "ci_high": high,
            "rank": rankdata(-mean, method="min").astype(int),
            "rank_low": rank_low,
            "rank_high": rank_high,
            "sign": [_direction(patients, signed, f) for f in features],
        }
    )


def _bootstrap_means(absolute: np.ndarray, persons: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """(n_resamples, features) means over resampled persons, as weights times values."""
    codes = np.unique(persons, return_inverse=True)[1]
    n_persons = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    out = np.empty((n_resamples, absolute.shape[1]))
    for start in range(0, n_resamples, _BLOCK):
        size = min(_BLOCK, n_resamples - start)
        weights = rng.multinomial(n_persons, np.full(n_persons, 1 / n_persons), size=size)[:, codes]
        out[start : start + size] = (weights @ absolute) / weights.sum(axis=1, keepdims=True)
    return out


def _direction(patients: pd.DataFrame, signed: pd.DataFrame, feature: str) -> float:
    """Spearman correlation of value and SHAP; NaN for categories and constants."""
    if feature not in patients or VOCABULARY[feature].kind in ("category", "text"):
        return np.nan
    x = patients[feature].astype("float64").to_numpy()
    known = ~np.isnan(x)
    s = signed[feature].to_numpy()[known]
    x = x[known]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(s) == 0:
        return np.nan
    return float(spearmanr(x, s).statistic)
