"""The importance table: mean |SHAP| with intervals, ranks with intervals, and the direction of the effect.

Features, and groups of features (`explain.groups`), each ranked among their kind.

Intervals come from a bootstrap over persons with the fitted models held fixed: they say how much the numbers
depend on who was in the test folds, not on who was in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from immunocast.cohort.vocabulary import FEATURES, VOCABULARY
from immunocast.errors import ConfigError
from immunocast.explain.groups import Group, blocks, rank_correlation
from immunocast.explain.groups import clusters as clusters_of

#: Below this number of patients a subgroup gets no importance of its own.
MIN_PATIENTS = 20
_BLOCK = 100
#: Most counts (resamples x patients) that are kept for the next model of the same patients.
_KEPT_COUNTS = 20_000_000


def importance_table(
    shap: pd.DataFrame,
    cohort: pd.DataFrame,
    *,
    by: Sequence[str] = ("tumor_type",),
    clusters: float | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Summarise the shap table.

    Parameters
    ----------
    shap : shap table.
    cohort : cohort table (values for the direction, subgroups, persons).
    by : categorical columns of the cohort for subgroup importances.
    clusters : |Spearman correlation| from which on features are explained as one, too; None for no clusters. Clusters
        are told from all explained patients together, and have no subgroups.
    n_resamples : bootstrap resamples over persons.
    seed : of the bootstrap.

    Returns
    -------
    Rows of the importance table, over all repeats (`repeat` = -1).

    Raises
    ------
    ConfigError
        Where a column of `by` is no category of the vocabulary, or `clusters` no correlation.
    """
    for column in by:
        known = VOCABULARY.get(column)
        if column != "cohort_id" and (known is None or known.kind not in ("category", "binary")):
            raise ConfigError(f"explain.by: {column!r} is no category of the vocabulary, such as tumor_type or sex.")
    if shap.empty:  # no model of the run has an explainer
        return pd.DataFrame()
    values = cohort.set_index("patient_id")
    correlation = pd.DataFrame()
    if clusters is not None:
        everybody = cohort[cohort["patient_id"].isin(shap["patient_id"].unique())]
        correlation = rank_correlation(everybody, [f for f in FEATURES if f in shap])
    out, draws = [], _Draws(n_resamples, seed)
    for names, part in shap.groupby(["model", "scheme", "endpoint", "output_scale"], sort=True):
        model, scheme, endpoint, scale = map(str, names)
        features = used_features(part)
        if not features:  # it answers the same to everybody
            continue
        groups = blocks(features)
        if clusters is not None:
            groups += clusters_of(features, correlation, clusters)
        sums = pd.DataFrame({k: part[list(g.members)].sum(axis=1) for k, g in enumerate(groups)})
        absolute = part[features].abs().groupby(part["patient_id"], sort=True).mean()
        together = sums.abs().groupby(part["patient_id"], sort=True).mean()
        signed = part[features].groupby(part["patient_id"], sort=True).mean()
        patients = values.loc[absolute.index]
        for subgroup, level, inside in _subgroups(patients, by):
            ids = absolute.index[inside]
            there = [k for k, g in enumerate(groups) if g.kind == "block" or subgroup == "all"]
            table = _summary(
                absolute.loc[ids].to_numpy(),
                signed.loc[ids],
                together.loc[ids, there].to_numpy(),
                patients.loc[ids],
                features,
                [groups[k] for k in there],
                draws,
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


def used_features(shap: pd.DataFrame) -> list[str]:
    """Features of one model's rows of the shap table: one that no fold could use has no importance, not one of 0."""
    return [f for f in FEATURES if f in shap and shap[f].abs().sum() > 0]


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
    together: np.ndarray,
    patients: pd.DataFrame,
    features: Sequence[str],
    groups: Sequence[Group],
    resamples: _Draws,
) -> pd.DataFrame:
    """Rows of the features, then of the groups; `together` are the groups' (n, groups) absolute sums."""
    measured = patients.reindex(columns=list(features)).notna()
    draws, group_draws = resamples.means([absolute, together], patients["person_id"].to_numpy())
    alone = {
        "kind": "feature",
        "feature": list(features),
        "group": [VOCABULARY[f].block for f in features],
        "members": "",
        "n": len(patients),
        "n_measured": [int(measured[f].sum()) for f in features],
        **_estimates(absolute, draws),
        "sign": [direction(patients, signed, f) for f in features],
    }
    parts = [pd.DataFrame(alone)]
    for kind in ("block", "cluster"):
        at = [k for k, g in enumerate(groups) if g.kind == kind]
        if at:
            chosen = [groups[k] for k in at]
            rows = {
                "kind": kind,
                "feature": [g.name for g in chosen],
                "group": [g.block for g in chosen],
                "members": [g.joined for g in chosen],
                "n": len(patients),
                "n_measured": [int(measured[list(g.members)].any(axis=1).sum()) for g in chosen],
                **_estimates(together[:, at], group_draws[:, at]),
                "sign": np.nan,
            }
            parts.append(pd.DataFrame(rows))
    return pd.concat(parts, ignore_index=True)


def _estimates(absolute: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Means of (n, columns) values and their ranks, with intervals from (resamples, columns) means."""
    mean = absolute.mean(axis=0)
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    # percentiles of ranks stay whole numbers
    ranks = rankdata(-draws, axis=1, method="min")
    rank_low, rank_high = np.percentile(ranks, [2.5, 97.5], axis=0, method="nearest").astype(int)
    return {
        "mean_abs_shap": mean,
        "ci_low": low,
        "ci_high": high,
        "rank": rankdata(-mean, method="min").astype(int),
        "rank_low": rank_low,
        "rank_high": rank_high,
    }


class _Draws:
    """How often each patient counts in each resample of persons; kept, since models explain the same patients."""

    def __init__(self, n_resamples: int, seed: int):
        self.n_resamples, self.seed = n_resamples, seed
        self._kept: dict[bytes, list[np.ndarray]] = {}

    def means(self, values: Sequence[np.ndarray], persons: np.ndarray) -> list[np.ndarray]:
        """For each (n, columns) array its (n_resamples, columns) means over the same resampled persons."""
        out = [np.empty((self.n_resamples, part.shape[1])) for part in values]
        start = 0
        for counts in self._counts(persons):
            weights = counts.astype(np.int64)
            total = weights.sum(axis=1, keepdims=True)
            for means, part in zip(out, values, strict=True):
                means[start : start + len(counts)] = (weights @ part) / total
            start += len(counts)
        return out

    def _counts(self, persons: np.ndarray) -> Iterator[np.ndarray]:
        """Blocks of (resamples, n) counts."""
        codes = np.unique(persons, return_inverse=True)[1]
        if codes.tobytes() in self._kept:
            yield from self._kept[codes.tobytes()]
            return
        n_persons = int(codes.max()) + 1
        rng = np.random.default_rng(self.seed)
        kept = []
        for start in range(0, self.n_resamples, _BLOCK):
            size = min(_BLOCK, self.n_resamples - start)
            counts = rng.multinomial(n_persons, np.full(n_persons, 1 / n_persons), size=size)[:, codes]
            if self.n_resamples * len(codes) <= _KEPT_COUNTS:
                kept.append(counts.astype(np.uint16))
            yield counts
        if kept:
            self._kept[codes.tobytes()] = kept


def direction(patients: pd.DataFrame, signed: pd.DataFrame, feature: str) -> float:
    """Spearman correlation of value and SHAP; NaN for categories and constants.

    Parameters
    ----------
    patients : (n, columns) rows of the cohort table.
    signed : (n, features) frame of SHAP values, aligned with them.
    feature : its name.
    """
    if feature not in patients or VOCABULARY[feature].kind in ("category", "text"):
        return np.nan
    x = patients[feature].astype("float64").to_numpy()
    known = ~np.isnan(x)
    s = signed[feature].to_numpy()[known]
    x = x[known]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(s) == 0:
        return np.nan
    return float(spearmanr(x, s).statistic)
