"""Whether stated targets are met: a headline over cohorts against the strongest published opponent, and others.

The numbers come from tables of predictions alone. Definitions, so that they can be quoted:

headline
    sum of n x AUROC over sum of n, over the named cohorts. n is the number of patients of a cohort whom both the model
    and the cohort's opponent predict fairly: without the patients who, or whose linked persons, fitted either. A person
    who is in several of the cohorts counts once, in the first one named. The opponent may differ by cohort, since a
    published formula can't be judged on its own training patients.
intervals
    percentile bootstrap of persons, stratified by cohort, the same resamples for both sides, n fixed. A resample in
    which a cohort has one class only leaves that cohort out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.errors import ConfigError
from immunocast.metrics import (
    METRICS,
    Metric,
    SurvivalForecast,
    SurvivalSample,
    blocks,
    percentile_interval,
    quotient,
    resampled_fits,
    resampled_parts,
)
from immunocast.validation.evaluate_inputs import Panel, Scores, panels

HEADLINE = "headline"
TOO_SMALL = "too small"


@dataclass(frozen=True)
class Common:
    """Patients on whom a model and its opponents are compared.

    Attributes
    ----------
    panel : all patients, with the shared resamples.
    patient : (n,) patient ids, as the panel sorts them.
    model : label of the model, "blend" or "blend+platt".
    opponents : cohort -> label of its opponent.
    rows : cohort -> (n,) True for the patients who count there.
    """

    panel: Panel
    patient: np.ndarray
    model: str
    opponents: dict[str, str]
    rows: dict[str, np.ndarray]

    @property
    def all_rows(self) -> np.ndarray:
        """(n,) True for the patients of any of the cohorts."""
        return np.any(list(self.rows.values()), axis=0)


def common_patients(
    predictions: pd.DataFrame, model: str, opponents: Mapping[str, str], *, n_resamples: int, seed: int
) -> Common:
    """Find the patients who count, cohort by cohort in the order of `opponents`.

    Parameters
    ----------
    predictions : predictions table of one scheme and endpoint.
    model : label of the model.
    opponents : cohort -> label of its opponent.
    n_resamples, seed : of the bootstrap.

    Raises
    ------
    ConfigError
        Where there are no predictions of a named model or cohort.
    """
    (panel,) = panels(predictions, n_resamples=n_resamples, seed=seed)
    taken: set[str] = set()
    rows = {}
    for cohort, opponent in opponents.items():
        if cohort not in panel.cohorts:
            raise ConfigError(f"There are no predictions for the cohort {cohort!r}; there are: {panel.cohorts}.")
        here = panel.cohort == panel.cohorts.index(cohort)
        fair = here & scores_of(panel, model).fair & scores_of(panel, opponent).fair
        rows[cohort] = fair & ~np.isin(panel.person, sorted(taken))
        taken |= set(panel.person[rows[cohort]])
    return Common(panel, np.sort(predictions["patient_id"].unique().astype(str)), model, dict(opponents), rows)


def scores_of(panel: Panel, label: str) -> Scores:
    """The scores with this label.

    Raises
    ------
    ConfigError
        Where there are none.
    """
    for scores in panel.scores:
        if scores.label == label:
            return scores
    raise ConfigError(f"There are no predictions of {label!r}; there are: {', '.join(s.label for s in panel.scores)}.")


def discrimination(common: Common, min_events: int = 10) -> pd.DataFrame:
    """AUROC of both sides by cohort, and the headline.

    Returns
    -------
    Rows cohort_id, n, n_events, model, opponent, auroc_model, auroc_opponent, difference, ci_low, ci_high, note; the
    last one is the headline. A cohort under `min_events` events or non-events has no numbers of its own, and enters the
    headline all the same: its weight is its n.
    """
    panel, out, values, weights = common.panel, [], [], []
    for cohort, rows in common.rows.items():
        pair = [
            _auroc_values(panel, scores_of(panel, label), rows) for label in (common.model, common.opponents[cohort])
        ]
        values.append(pair)
        weights.append(int(rows.sum()))
        shown = panel.enough(rows, min_events)
        out.append(_row(common, cohort, rows, pair[0], pair[1], "" if shown else TOO_SMALL))
    both = [_weighted(np.array([pair[k] for pair in values]), np.array(weights, dtype=float)) for k in (0, 1)]
    out.append(_row(common, HEADLINE, common.all_rows, both[0], both[1], "sum of n x AUROC / sum of n"))
    return pd.DataFrame(out)


def _auroc_values(panel: Panel, scores: Scores, rows: np.ndarray) -> np.ndarray:
    """(1 + B,) AUROC of a cohort's patients, the first one the estimate; NaN where a resample has one class."""
    if not 0 < panel.y[rows].sum() < rows.sum():
        return np.full(1 + panel.counts.shape[1], np.nan)
    weights = blocks(panel.counts[rows], whole_first=True)
    p = scores.ranked[:, rows]
    ((numerator, denominator),) = resampled_parts([(METRICS["auroc"], None)], panel.y[rows], p, weights)
    return quotient(numerator, denominator)


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(1 + B,) weighted means over cohorts, (cohorts, 1 + B) values; a cohort without a value is left out."""
    there = ~np.isnan(values)
    total = (there * weights[:, None]).sum(axis=0)
    return quotient(np.nansum(values * weights[:, None], axis=0), total)


def _row(common: Common, cohort: str, rows: np.ndarray, a: np.ndarray, b: np.ndarray, note: str) -> dict[str, Any]:
    low, high, _ = percentile_interval((a - b)[1:])
    found = [float(a[0]), float(b[0]), float(a[0] - b[0]), low, high]
    numbers = [None] * len(found) if note == TOO_SMALL else found
    names = ("auroc_model", "auroc_opponent", "difference", "ci_low", "ci_high")
    return {
        "cohort_id": cohort,
        "n": int(rows.sum()),
        "n_events": int(common.panel.y[rows].sum()),
        "model": common.model,
        "opponent": common.opponents.get(cohort, ", ".join(dict.fromkeys(common.opponents.values()))),
        **dict(zip(names, numbers, strict=True)),
        "note": note,
    }


def net_benefit_rows(common: Common, treated: Mapping[str, np.ndarray], thresholds: Sequence[float]) -> pd.DataFrame:
    """Net benefit of acting on the model's probability, pooled over the patients who count, against other rules.

    Parameters
    ----------
    common : patients; the model acts where its probability is at least the threshold.
    treated : rule -> (n,) whom it would treat, along the panel's patients, whatever the threshold; or floats,
        probabilities that are compared with the threshold.
    thresholds : probabilities.

    Returns
    -------
    Rows threshold, rule, n, n_events, net_benefit_model, net_benefit_rule, difference, ci_low, ci_high. Treating
    everybody and nobody are among the rules.
    """
    panel, rows = common.panel, common.all_rows
    y, model = panel.y[rows], scores_of(panel, common.model).p[:, rows].mean(axis=0)
    rules = {"treat all": np.ones(len(panel.y), dtype=bool), "treat none": np.zeros(len(panel.y), dtype=bool)}
    out = []
    for threshold in thresholds:
        own = _benefit(panel, rows, y, model >= threshold, threshold)
        for name, rule in {**treated, **rules}.items():
            act = np.asarray(rule)[rows]
            other = _benefit(panel, rows, y, act if act.dtype == bool else act >= threshold, threshold)
            low, high, _ = percentile_interval((own - other)[1:])
            out.append(
                {
                    "threshold": threshold,
                    "rule": name,
                    "n": len(y),
                    "n_events": int(y.sum()),
                    "net_benefit_model": float(own[0]),
                    "net_benefit_rule": float(other[0]),
                    "difference": float(own[0] - other[0]),
                    "ci_low": low,
                    "ci_high": high,
                }
            )
    return pd.DataFrame(out)


def _benefit(panel: Panel, rows: np.ndarray, y: np.ndarray, act: np.ndarray, threshold: float) -> np.ndarray:
    """(1 + B,) net benefit of a decision."""
    gain = np.where(act, np.where(y == 1, 1.0, -threshold / (1 - threshold)), 0.0)
    found = [(w.T @ gain) / w.sum(axis=0) for w in blocks(panel.counts[rows], whole_first=True)]
    return np.concatenate(found)


def calibration_rows(predictions: pd.DataFrame, label: str, *, n_resamples: int, seed: int) -> pd.DataFrame:
    """Brier score and calibration in the large of one model by cohort, on all its fair patients.

    Returns
    -------
    Rows cohort_id, n, n_events, brier, brier_low, brier_high, citl, citl_low, citl_high. `citl` is the calibration
    intercept: the log-odds by which predictions would have to be moved, above 0 where they are too low.
    """
    (panel,) = panels(predictions, n_resamples=n_resamples, seed=seed)
    scores = scores_of(panel, label)
    out = []
    for k, cohort in enumerate(panel.cohorts):
        rows = scores.fair & (panel.cohort == k)
        if not 0 < panel.y[rows].sum() < rows.sum():
            continue
        row: dict[str, Any] = {"cohort_id": cohort, "n": int(rows.sum()), "n_events": int(panel.y[rows].sum())}
        for name, key in (("brier", "brier"), ("citl", "calibration_intercept")):
            values = _metric_values(METRICS[key], panel, scores, rows)
            low, high, _ = percentile_interval(values[1:])
            row |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
        out.append(row)
    return pd.DataFrame(out)


def _metric_values(metric: Metric, panel: Panel, scores: Scores, rows: np.ndarray) -> np.ndarray:
    weights = blocks(panel.counts[rows], whole_first=True)
    if metric.adds_up:
        ((numerator, denominator),) = resampled_parts([(metric, None)], panel.y[rows], scores.p[:, rows], weights)
        return quotient(numerator, denominator)
    return resampled_fits(metric, panel.y[rows], scores.p[:, rows], weights)


def concordance_rows(common: Common, times: pd.DataFrame, *, harm: Sequence[str] = ()) -> pd.DataFrame:
    """Harrell's C of both sides for a time to event, by cohort.

    Parameters
    ----------
    common : patients who count.
    times : columns patient_id, time, event; patients without both are left out.
    harm : labels whose probability is of the event itself. For all others a high probability means a late event, as of
        a response.

    Returns
    -------
    Rows cohort_id, n, n_events, model, opponent, c_model, c_opponent, difference, ci_low, ci_high.
    """
    panel = common.panel
    by_patient = times.set_index("patient_id").reindex(common.patient)
    time = by_patient["time"].to_numpy(dtype="float64", na_value=np.nan)
    event = by_patient["event"].to_numpy(dtype="float64", na_value=np.nan)
    known = ~np.isnan(time) & ~np.isnan(event)
    out = []
    for cohort, opponent in common.opponents.items():
        rows = common.rows[cohort] & known
        sample = SurvivalSample(time[rows], event[rows] == 1)
        forecasts = []
        for label in (common.model, opponent):
            scores = scores_of(panel, label)
            risk = scores.p[:, rows] if label in harm else -scores.p[:, rows]
            forecasts.append(SurvivalForecast(risk, scores.fold[:, rows]))
        found = sample.parts(forecasts, blocks(panel.counts[rows], whole_first=True))
        a, b = (quotient(*parts["c_harrell", None]) for parts in found)
        low, high, _ = percentile_interval((a - b)[1:])
        out.append(
            {
                "cohort_id": cohort,
                "n": int(rows.sum()),
                "n_events": int(event[rows].sum()),
                "model": common.model,
                "opponent": opponent,
                "c_model": float(a[0]),
                "c_opponent": float(b[0]),
                "difference": float(a[0] - b[0]),
                "ci_low": low,
                "ci_high": high,
            }
        )
    return pd.DataFrame(out)


def verdict_rows(
    auroc: pd.DataFrame,
    benefit: pd.DataFrame,
    concordance: pd.DataFrame,
    calibration: pd.DataFrame,
    *,
    auroc_margin: float,
    c_index_gain: float,
    brier: Mapping[str, float],
    citl: float,
) -> pd.DataFrame:
    """Each target, what was got, and whether it was met: point estimates decide, intervals are told.

    Parameters
    ----------
    auroc, benefit, concordance, calibration : tables of `discrimination`, `net_benefit_rows`, `concordance_rows` and
        `calibration_rows`.
    auroc_margin : the headline may lie this far below the opponents'.
    c_index_gain : by how much the survival model is to exceed its opponent in each cohort.
    brier : cohort -> largest Brier score.
    citl : largest absolute calibration intercept in each of those cohorts.

    Returns
    -------
    Rows target, wanted, got, ci_low, ci_high, met.
    """
    out: list[dict[str, Any]] = []

    def tell(target: str, wanted: str, got: float, low: float, high: float, met: bool) -> None:
        row = {"target": target, "wanted": wanted, "got": got, "ci_low": low, "ci_high": high, "met": bool(met)}
        out.append(row)

    head = auroc[auroc["cohort_id"] == HEADLINE].iloc[0]
    tell(
        "headline AUROC, difference to the opponents",
        f">= -{auroc_margin:g}",
        head["difference"],
        head["ci_low"],
        head["ci_high"],
        head["difference"] >= -auroc_margin,
    )
    for _, row in concordance.iterrows():
        tell(
            f"C-index in {row['cohort_id']}, difference to {row['opponent']}",
            f">= {c_index_gain:g}",
            row["difference"],
            row["ci_low"],
            row["ci_high"],
            row["difference"] >= c_index_gain,
        )
    for cohort, limit in brier.items():
        row = calibration[calibration["cohort_id"] == cohort].iloc[0]
        got = row["brier"], row["brier_low"], row["brier_high"]
        tell(f"Brier score in {cohort}", f"<= {limit:g}", *got, met=row["brier"] <= limit)
        got = row["citl"], row["citl_low"], row["citl_high"]
        tell(f"calibration in the large in {cohort}", f"within {citl:g}", *got, met=abs(row["citl"]) <= citl)
    for _, row in benefit.iterrows():
        if row["rule"] not in ("treat all", "treat none"):
            tell(
                f"net benefit at {row['threshold']:g}, difference to {row['rule']}",
                "> 0",
                row["difference"],
                row["ci_low"],
                row["ci_high"],
                row["difference"] > 0,
            )
    return pd.DataFrame(out)
