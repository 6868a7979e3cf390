"""The table importance_stability: a feature's importance over folds, repeats, cohorts and bootstrap refits.

docs/explanation-stability.md says what each source shows, and what it cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.explain.importance import MIN_PATIENTS
from immunocast.explain.per_patient import PerPatient, per_patient
from immunocast.explain.ranks import covers_most, ranks, sign_consistency, spread, whole_rank
from immunocast.explain.refits import Refits

#: Under so many draws there is no verdict: a range over few of them is narrower than the truth.
MIN_DRAWS = 20
#: A direction that fewer draws share is told.
SAME_SIGN = 0.95

STABLE, LOST, NONE = "stable", "not distinguishable", "none"


@dataclass(frozen=True)
class Draws:
    """Importances of one model over the draws of one source.

    Attributes
    ----------
    source : folds, repeats, cohorts or refits.
    mean : (draws, features) mean |SHAP|, NaN where a draw says nothing of a feature.
    sign : (draws, features) direction.
    missing : feature -> names of the draws that have too few values of it.
    note : what to keep in mind.
    """

    source: str
    mean: np.ndarray
    sign: np.ndarray
    missing: Mapping[str, Sequence[str]]
    note: str


def stability_rows(
    shap: pd.DataFrame, cohort: pd.DataFrame, explained: Mapping[str, PerPatient], refits: Mapping[str, Refits]
) -> pd.DataFrame:
    """Importance of every explained model over its draws.

    Parameters
    ----------
    shap, cohort : tables of the run.
    explained : `per_patient` of them.
    refits : `refits.refit_draws` of the models that were refitted.

    Returns
    -------
    Rows of the table importance_stability. Sources with fewer than two draws have none; folds have none where each
    fold is a cohort, since they are the cohorts.
    """
    rows: list[dict[str, Any]] = []
    for name, whole in explained.items():
        part = shap[shap["model"] == name]
        for draws in (*observed_draws(part, cohort, whole), *_refitted(refits.get(name))):
            rows += _rows(whole, draws)
    return pd.DataFrame(rows)


def observed_draws(shap: pd.DataFrame, cohort: pd.DataFrame, whole: PerPatient) -> list[Draws]:
    """Draws that a run has without any further fit: its folds, repeats and cohorts.

    Parameters
    ----------
    shap : rows of one model.
    cohort : cohort table.
    whole : the model's `per_patient`.
    """
    found = []
    cohorts = sorted(set(map(str, shap["cohort_id"])))
    repeats = sorted(set(shap["repeat"]))
    shared = "draws share training patients: they differ less than independent ones would"
    pairs = set(zip(shap["repeat"], shap["fold"].astype(str), shap["cohort_id"].astype(str), strict=True))
    if any(fold != cohort_id for _, fold, cohort_id in pairs):
        folds = {
            (str(fold) if len(repeats) == 1 else f"{fold} of repeat {repeat}"): rows
            for (repeat, fold), rows in shap.groupby(["repeat", "fold"], sort=True)
        }
        found.append(_draws("folds", folds, cohort, whole, f"held-out patients of each fold; {shared}"))
    if len(repeats) > 1:
        parts = {str(repeat): rows for repeat, rows in shap.groupby("repeat", sort=True)}
        found.append(_draws("repeats", parts, cohort, whole, f"all patients under each repeat's folds; {shared}", 0))
    if len(cohorts) > 1:
        parts = {str(c): rows for c, rows in shap.groupby("cohort_id", sort=True)}
        found.append(_draws("cohorts", parts, cohort, whole, "patients of each cohort under models not fitted to them"))
    return [draws for draws in found if len(draws.mean) > 1]


def _draws(
    source: str,
    parts: Mapping[str, pd.DataFrame],
    cohort: pd.DataFrame,
    whole: PerPatient,
    note: str,
    least: int = MIN_PATIENTS,
) -> Draws:
    """Importances of parts of a shap table; parts with fewer than `least` patients are no draws."""
    features, means, signs, small = list(whole.features), [], [], 0
    missing: dict[str, list[str]] = {}
    for name, rows in parts.items():
        if rows["patient_id"].nunique() < least:
            small += 1
            continue
        found = _aligned(per_patient(rows, cohort)[whole.model], features)
        gone = found.n_measured < least
        for j in np.flatnonzero(gone):
            missing.setdefault(features[j], []).append(name)
        means.append(np.where(gone, np.nan, found.mean))
        signs.append(np.where(gone, np.nan, found.sign))
    if small:
        note += f"; {small} {source} with fewer than {least} patients left out"
    empty = np.empty((0, len(features)))
    return Draws(source, np.array(means) if means else empty, np.array(signs) if signs else empty, missing, note)


def _aligned(found: PerPatient, features: Sequence[str]) -> PerPatient:
    """The same with columns for all these features, 0 where there is none."""
    wide = {
        name: pd.DataFrame(values, columns=list(found.features)).reindex(columns=list(features), fill_value=0.0)
        for name, values in (("absolute", found.absolute), ("signed", found.signed))
    }
    return PerPatient(
        found.model,
        found.scheme,
        found.endpoint,
        found.scale,
        found.patients,
        tuple(features),
        wide["absolute"].to_numpy(),
        wide["signed"].to_numpy(),
    )


def _refitted(refits: Refits | None) -> list[Draws]:
    if refits is None:
        return []
    note = "training patients resampled, persons within cohorts; parameters not tuned anew"
    if refits.n_lost:
        note += f"; {refits.n_lost} refits left out: one class only in a training fold, or no values on the run's scale"
    return [Draws("refits", refits.mean, refits.sign, {}, note)]


def _rows(whole: PerPatient, draws: Draws) -> list[dict[str, Any]]:
    own, drawn = ranks(whole.mean), ranks(draws.mean) if len(draws.mean) else draws.mean
    rows = []
    for j, feature in enumerate(whole.features):
        mean, rank = draws.mean[:, j], drawn[:, j]
        n_draws = int((~np.isnan(mean)).sum())
        low, high = spread(mean)
        rank_low, rank_high = spread(rank, whole=True)
        same = sign_consistency(whole.sign[j], draws.sign[:, j]) if n_draws > 1 else np.nan
        rows.append(
            {
                "model": whole.model,
                "scheme": whole.scheme,
                "endpoint": whole.endpoint,
                "source": draws.source,
                "feature": feature,
                "group": VOCABULARY[feature].block,
                "n_draws": n_draws,
                "n_features": len(whole.features),
                "mean_abs_shap": whole.mean[j],
                "mean": float(np.nanmean(mean)) if n_draws > 1 else np.nan,
                "low": low,
                "high": high,
                "rank": int(own[j]),
                "rank_low": whole_rank(rank_low),
                "rank_high": whole_rank(rank_high),
                "sign": whole.sign[j],
                "sign_consistency": same,
                "verdict": _verdict(n_draws, rank_low, rank_high, len(whole.features)),
                "output_scale": whole.scale,
                "note": _note(draws, feature, n_draws, same),
            }
        )
    return rows


def _verdict(n_draws: int, low: float, high: float, n_features: int) -> str:
    if n_draws < MIN_DRAWS:
        return NONE
    return LOST if covers_most(low, high, n_features) else STABLE


def _note(draws: Draws, feature: str, n_draws: int, same: float) -> str:
    said = [draws.note]
    if n_draws < MIN_DRAWS:
        said.append(f"fewer than {MIN_DRAWS} draws: no verdict")
    gone = draws.missing.get(feature, ())
    if gone:
        where = ", ".join(gone) if len(gone) <= 5 else f"{len(gone)} of them"
        said.append(f"measured in fewer than {MIN_PATIENTS} patients in {where}, which do not count")
    if draws.missing:
        said.append("ranks of a draw are among the features measured there")
    if same < SAME_SIGN:
        said.append(f"another direction in {100 * (1 - same):.0f} % of the draws")
    return "; ".join(said)
