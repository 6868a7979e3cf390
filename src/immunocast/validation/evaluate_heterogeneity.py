"""Estimates over cohorts or subgroups: random-effects mean, prediction interval, and whether the levels differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from immunocast.metrics import (
    METRICS,
    Influence,
    RandomEffects,
    influence_variance,
    logit,
    percentile_interval,
    random_effects,
)
from immunocast.validation.evaluate_estimates import (
    TOO_SMALL,
    Resampled,
    cohort_masks,
    combined_influence,
)
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, join_notes

#: Metrics that are summarised over cohorts. AUPRC and the scaled Brier score move with the rate of events itself.
OVER_COHORTS = ("auroc", "brier", "calibration_intercept", "calibration_slope", "oe_ratio", "net_benefit")


@dataclass(frozen=True)
class Scale:
    """On which scale a metric's levels are about normal: words for the note, the way there and back."""

    words: str
    there: Callable[[Any], Any]
    back: Callable[[Any], Any]


_PLAIN = Scale("own scale", lambda x: x, lambda x: x)
_SCALES = {"auroc": Scale("logit scale", logit, expit), "oe_ratio": Scale("log scale", np.log, np.exp)}


def scale_of(metric: str) -> Scale:
    """The scale on which a metric is averaged over levels."""
    return _SCALES.get(metric, _PLAIN)


@dataclass(frozen=True)
class Level:
    """A level that is large enough: its name and patients, and its estimate with sampling errors on the scale.

    Attributes
    ----------
    name : of the level.
    rows : (n,) mask of its patients in the panel.
    value : estimate on the transformed scale.
    variance : its sampling variance, > 0.
    errors : influences (m,) on the transformed value with `persons` beside them, or resampled values (B,).
    persons : (m,) whom each influence is of; None for resampled values.
    """

    name: str
    rows: np.ndarray
    value: float
    variance: float
    errors: np.ndarray
    persons: np.ndarray | None = None


def auroc_level(name: str, rows: np.ndarray, found: Influence, persons: np.ndarray) -> Level | None:
    """A level by DeLong's influences, on the logit scale (delta method); None where they tell no variance."""
    if not 0 < found.auroc < 1:
        return None
    errors = found.values / (found.auroc * (1 - found.auroc))
    variance = influence_variance(errors, persons)
    return Level(name, rows, float(logit(found.auroc)), variance, errors, persons) if variance > 1e-12 else None


def resampled_level(name: str, rows: np.ndarray, metric: str, values: np.ndarray) -> Level | None:
    """A level by resampled values (1 + B,), the first its estimate; None where there is no value or no spread.

    The variance is that of a normal with the width of the percentile interval: a few resamples with a wild slope
    must not decide.
    """
    there = scale_of(metric).there
    with np.errstate(divide="ignore"):
        moved = there(np.asarray(values, dtype=float))
    moved = np.where(np.isfinite(moved), moved, np.nan)
    low, high, _ = percentile_interval(moved[1:])
    spread = (high - low) / (2 * float(norm.ppf(0.975)))
    if not np.isfinite(moved[0]) or not np.isfinite(spread) or spread <= 1e-9:
        return None
    return Level(name, rows, float(moved[0]), spread**2, moved[1:])


def levels_covariance(panel: Panel, levels: Sequence[Level]) -> tuple[np.ndarray, int]:
    """Sampling covariance (k, k) of levels, and how many persons are in more than one of them.

    Only levels that share persons covary. Where the resampled covariance is not positive definite, the variances
    alone are used.
    """
    everyone, code = np.unique(panel.person, return_inverse=True)
    member = np.zeros((len(everyone), len(levels)), dtype=bool)
    for k, level in enumerate(levels):
        member[code[level.rows], k] = True
    shared = member.astype(int).T @ member.astype(int)
    v = np.diag([level.variance for level in levels])
    n_linked = int(np.sum(member.sum(axis=1) > 1))
    if not n_linked:
        return v, 0
    index = {person: i for i, person in enumerate(everyone)}
    if all(level.persons is not None for level in levels):
        sums = np.zeros(member.shape)
        for k, level in enumerate(levels):
            assert level.persons is not None
            np.add.at(sums[:, k], [index[person] for person in level.persons], level.errors)
        full = sums.T @ sums
    else:
        draws = np.array([level.errors for level in levels])
        draws = draws[:, ~np.isnan(draws).any(axis=0)]
        sd = np.sqrt(np.diag(v))
        full = np.corrcoef(draws) * np.outer(sd, sd)
    v = np.where((shared > 0) & ~np.eye(len(levels), dtype=bool), full, v)
    positive = np.linalg.eigvalsh(v)[0] > 1e-9 * float(np.min(np.diag(v)))
    return (v if positive else np.diag(np.diag(v))), n_linked


def summarise(panel: Panel, levels: Sequence[Level]) -> tuple[RandomEffects | None, int]:
    """Random-effects summary of levels on their scale, None with fewer than two; and the persons in several."""
    if len(levels) < 2:
        return None, 0
    covariance, n_linked = levels_covariance(panel, levels)
    return random_effects([level.value for level in levels], covariance), n_linked


def heterogeneity_row(
    panel: Panel,
    scores: Scores,
    metric: str,
    threshold: float | None,
    grouping: str,
    levels: Sequence[Level],
    left_out: Sequence[str],
) -> tuple[dict[str, Any], RandomEffects | None]:
    """A row of the heterogeneity table, and the summary behind it on the transformed scale."""
    scale = scale_of(metric)
    found, n_linked = summarise(panel, levels)
    used = np.any([level.rows for level in levels], axis=0) if levels else np.zeros(len(panel.y), dtype=bool)
    row: dict[str, Any] = {
        "metric": metric,
        "model": scores.model,
        "recalibration": scores.recalibration,
        "scheme": panel.scheme,
        "endpoint": panel.endpoint,
        "grouping": grouping,
        "threshold_or_horizon": threshold,
        "n_levels": len(levels),
        "n": int(used.sum()),
        "n_events": int(panel.y[used].sum()),
        "df": max(0, len(levels) - 1),
        "family": "",
        "p_adjusted": None,
    }
    row |= dict.fromkeys(("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau", "i2", "q", "p"))
    left = f"left out: {', '.join(left_out)}" if left_out else ""
    if found is None:
        why = "one level is large enough" if levels else "no level is large enough"
        return row | {"note": join_notes(f"{why}: nothing to summarise", left)}, None
    ends = {name: float(scale.back(getattr(found, name))) for name in ("estimate", "ci_low", "ci_high")}
    ahead = {name: float(scale.back(getattr(found, name))) for name in ("pi_low", "pi_high")} if found.k > 2 else {}
    note = join_notes(
        f"REML, Hartung-Knapp; tau on the {scale.words}",
        "two levels: no prediction interval" if found.k == 2 else "",
        f"persons in several levels, whose errors count as correlated: {n_linked}" if n_linked else "",
        left,
    )
    tests = {"tau": float(np.sqrt(found.tau2)), "i2": found.i2, "q": found.q, "p": found.p, "note": note}
    return row | ends | ahead | tests, found


def cohort_heterogeneity(panel: Panel, scores: Scores, settings: Settings, store: Resampled) -> list[dict[str, Any]]:
    """Rows with grouping "cohort_id": every metric of `OVER_COHORTS`, summarised over the cohorts of a model."""
    masks = cohort_masks(panel, scores.fair)
    rows = []
    for metric, threshold in settings.specs():
        if metric.name not in OVER_COHORTS:
            continue
        levels, left_out = [], []
        for name, mask in zip(panel.cohorts, masks, strict=True):
            if not mask.any():
                left_out.append(f"{name} (no fair prediction)")
                continue
            if not panel.enough(mask, settings.min_events):
                left_out.append(f"{name} ({TOO_SMALL})")
                continue
            if metric.name == "auroc":
                found = combined_influence(panel, scores, [mask])
                level = auroc_level(name, mask, found, panel.person[mask])
            else:
                level = resampled_level(name, mask, metric.name, store.values(scores, [mask], metric, threshold))
            if level is None:
                left_out.append(f"{name} (no variance)")
            else:
                levels.append(level)
        rows.append(heterogeneity_row(panel, scores, metric.name, threshold, "cohort_id", levels, left_out)[0])
    return rows


assert set(OVER_COHORTS) <= set(METRICS)
