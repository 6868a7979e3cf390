"""Discordance strata: patients whose outcome a biomarker would not have led one to expect, and what a model adds there.

PD-L1 below 1 % with the event, PD-L1 of 50 % and more without it, TMB below 10 with it. Where the event is bad for the
patient the direction is reversed, and where response does not tell it nobody is called discordant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.outcomes import ENDPOINTS, Words
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.metrics import METRICS, percentile_interval, wilson_interval
from immunocast.validation.evaluate_comparisons import stratum_comparison
from immunocast.validation.evaluate_estimates import TOO_SMALL, Resampled, estimate_head
from immunocast.validation.evaluate_inputs import Panel, Scores, Settings, join_notes
from immunocast.validation.evaluate_subgroups import auroc_inside

Rows = list[dict[str, Any]]

SUBGROUP = "discordance"

#: Rule of the thresholds table that decides who is above; without it the first configured threshold does.
RULE = "youden"


@dataclass(frozen=True)
class Stratum:
    """A band of one biomarker.

    Attributes
    ----------
    level : name in the tables.
    column : of the cohort table.
    low, high : the band, `low` inside and `high` outside of it.
    promises : True where the biomarker promises a response: discordant is who has none.
    """

    level: str
    column: str
    low: float
    high: float
    promises: bool

    def holds(self, cohort: pd.DataFrame) -> np.ndarray:
        """(n,) which rows of a cohort table lie inside; a missing value, or no such column, lies outside."""
        values = self.values(cohort)
        return (values >= self.low) & (values < self.high)

    def values(self, cohort: pd.DataFrame) -> np.ndarray:
        """(n,) the biomarker in rows of a cohort table, NaN where it is missing."""
        if self.column not in cohort:
            return np.full(len(cohort), np.nan)
        return cohort[self.column].to_numpy(dtype=float, na_value=np.nan)

    def discordant(self, endpoint: str) -> int | None:
        """The outcome (1 or 0) that the marker speaks against; None where its direction is not known."""
        found = ENDPOINTS.get(endpoint)
        if found is None or found.markers == "unknown":
            return None
        return int(self.promises == (found.markers == "reversed"))


PDL1_LOW = Stratum("pdl1_tps < 1 %", "pdl1_tps", -np.inf, 1, False)
PDL1_HIGH = Stratum("pdl1_tps >= 50 %", "pdl1_tps", 50, np.inf, True)
STRATA = (
    PDL1_LOW,
    PDL1_HIGH,
    Stratum("tmb_mut_mb < 10", "tmb_mut_mb", -np.inf, 10, False),
)

_OTHER_PDL1 = ("pdl1_cps", "pdl1_ic", "pdl1_tc", "pdl1_tc_ic")


@dataclass(frozen=True)
class Members:
    """A stratum on the panel's patients: (n,) mask, how to speak of those without the marker, and the outcome.

    `discordant` is the outcome (1 or 0) that the marker speaks against; None where its direction is not known.
    """

    stratum: Stratum
    inside: np.ndarray
    note: str
    discordant: int | None


def strata(panel: Panel, cohort: pd.DataFrame) -> tuple[Members, ...]:
    """The strata of `STRATA`; `cohort` has a row for each patient of the panel."""
    aligned = cohort.set_index(cohort["patient_id"].astype(str)).reindex(panel.patient)
    return tuple(
        Members(
            stratum,
            stratum.holds(aligned),
            _unmeasured(panel, aligned, stratum, stratum.values(aligned)),
            stratum.discordant(panel.endpoint),
        )
        for stratum in STRATA
    )


def _unmeasured(panel: Panel, aligned: pd.DataFrame, stratum: Stratum, values: np.ndarray) -> str:
    label = VOCABULARY[stratum.column].label
    known = ~np.isnan(values)
    without = [name for k, name in enumerate(panel.cohorts) if not known[panel.cohort == k].any()]
    if not known.any():
        note = f"{label} is known for nobody"
    else:
        note = join_notes(
            f"{label} known for {int(known.sum())} of {len(known)} patients",
            f"not in {', '.join(without)}" if without else "",
        )
    others = [c for c in _OTHER_PDL1 if c in aligned and aligned[c].notna().any()] if "pdl1" in stratum.column else []
    unused = f"{', '.join(VOCABULARY[c].label for c in others)} not used: another scale" if others else ""
    return join_notes(note, unused)


def discordance_rows(
    panel: Panel,
    scores: Scores,
    references: tuple[Scores, ...],
    members: tuple[Members, ...],
    thresholds: pd.DataFrame | None,
    words: Words,
    settings: Settings,
    store: Resampled,
) -> tuple[Rows, Rows]:
    """Rows of the metrics table and of the comparisons table for one model in every stratum."""
    rows: Rows = []
    compared: Rows = []
    above, threshold, how = _above(panel, scores, thresholds, settings)
    for member in members:
        used = scores.fair & member.inside
        rows.append(_share(panel, scores, member, used, words, settings))
        auroc = auroc_inside(panel, scores, member.inside, SUBGROUP, member.stratum.level, settings)[0]
        rows.append(auroc | {"note": join_notes(auroc["note"], member.note)})
        for metric, side in (("rate_above", above), ("rate_below", ~above)):
            row = _head(panel, scores, member, metric, used & side) | {"threshold_or_horizon": threshold}
            rows.append(row | _proportion(panel, used & side, panel.y == 1, settings, join_notes(how, member.note)))
        for reference in references:
            if reference.label != scores.label:
                place = (SUBGROUP, member.stratum.level, member.inside)
                compared.append(stratum_comparison(panel, scores, reference, METRICS["auroc"], place, settings, store))
    return rows, compared


def _share(
    panel: Panel, scores: Scores, member: Members, used: np.ndarray, words: Words, settings: Settings
) -> dict[str, Any]:
    row = _head(panel, scores, member, "share_discordant", used)
    if member.discordant is None:
        note = "nobody is called discordant: what the marker says of response does not carry over to this endpoint"
        return row | {"note": join_notes(note, member.note)}
    hits = panel.y == member.discordant
    who = words.events if member.discordant else words.others
    count = f"discordant: {who}, {int(np.sum(hits & used))} of {int(used.sum())}"
    return row | _proportion(panel, used, hits, settings, join_notes(count, member.note))


def _head(panel: Panel, scores: Scores, member: Members, metric: str, used: np.ndarray) -> dict[str, Any]:
    return estimate_head(
        panel, scores, metric, None, used, member.inside, subgroup=SUBGROUP, level=member.stratum.level
    )


def _proportion(panel: Panel, used: np.ndarray, hits: np.ndarray, settings: Settings, note: str) -> dict[str, Any]:
    """Share of hits with its interval: Wilson's, or the bootstrap of persons where one is there twice."""
    if not panel.enough(used, settings.min_events):
        return {"note": join_notes(TOO_SMALL, note)}
    n, k = int(used.sum()), int(np.sum(hits & used))
    if len(np.unique(panel.person[used])) == n:
        ends = [float(end) for end in wilson_interval(k, n)]
        return {"estimate": k / n, "ci_low": ends[0], "ci_high": ends[1], "ci_method": "wilson", "note": note}
    weights = panel.counts[used].astype(np.int64)
    drawn = weights.sum(axis=0)
    values = np.full(len(drawn), np.nan)
    np.divide(weights[hits[used]].sum(axis=0), drawn, out=values, where=drawn > 0)
    low, high, _ = percentile_interval(values)
    return {"estimate": k / n, "ci_low": low, "ci_high": high, "ci_method": "bootstrap", "note": note}


def _above(
    panel: Panel, scores: Scores, thresholds: pd.DataFrame | None, settings: Settings
) -> tuple[np.ndarray, float | None, str]:
    """(n,) who is at or above the model's threshold, in more than half of the repeats; the threshold, and words."""
    chosen = _chosen(panel, scores, thresholds)
    several = " in more than half of the repeats" if len(scores.p) > 1 else ""
    if chosen is not None:
        used = scores.fold >= 0
        grid = np.where(used, np.take_along_axis(chosen, np.maximum(scores.fold, 0), axis=1), np.nan)
        low, high = float(np.min(chosen)), float(np.max(chosen))
        return (
            np.mean(scores.p >= grid, axis=0) > 0.5,
            None,
            f"threshold: {RULE} of the training folds, {low:.3g} to {high:.3g}{several}",
        )
    if not settings.thresholds:
        return np.zeros(len(panel.y), dtype=bool), None, "no threshold is configured"
    first = settings.thresholds[0]
    words = f"threshold: {first:g}, the lowest configured one{several}"
    return np.mean(scores.p >= first, axis=0) > 0.5, first, words


def _chosen(panel: Panel, scores: Scores, thresholds: pd.DataFrame | None) -> np.ndarray | None:
    """(repeats, folds) thresholds that the training folds chose; None unless every fold has one."""
    if thresholds is None:
        return None
    own = thresholds[
        (thresholds["model"] == scores.model)
        & (thresholds["recalibration"] == scores.recalibration)
        & (thresholds["scheme"] == panel.scheme)
        & (thresholds["rule"] == RULE)
    ]
    table: Mapping[tuple[int, str], float] = {
        (int(repeat), str(fold)): float(value)
        for repeat, fold, value in zip(own["repeat"], own["fold"], own["threshold"], strict=True)
    }
    grid = np.array([[table.get((r, fold), np.nan) for fold in scores.fold_names] for r in scores.repeats])
    return None if np.isnan(grid).any() else grid
