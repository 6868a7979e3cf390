"""Groups of patients by predicted probability: Kaplan-Meier curves, medians, hazard ratios, log-rank test.

Groups are cut at quantiles of a cohort's own predictions, so no outcome has a say in them; a group is a third of its
cohort, and says nothing on the level of the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.outcomes.clock import days
from immunocast.metrics import cox, kaplan_meier, logrank
from immunocast.validation.evaluate_estimates import TOO_SMALL
from immunocast.validation.evaluate_inputs import Panel, Scores, join_notes
from immunocast.validation.evaluate_survival_inputs import Outcome, SurvivalSettings, floats

Rows = list[dict[str, Any]]

NAMES = {1: ("all",), 2: ("low", "high"), 3: ("low", "middle", "high")}


def cut(p: np.ndarray, n_groups: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Group of each patient by quantiles of the predictions, and the groups' names.

    Equal predictions share a group, so that a model with few distinct values has groups of unequal size, and one with
    two of them has two groups.

    >>> cut(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), 3)[0].tolist()
    [0, 0, 1, 1, 2, 2]
    >>> cut(np.array([0.2, 0.2, 0.2, 0.4]), 3)
    (array([0, 0, 0, 1]), ('low', 'high'))
    """
    values = np.unique(p)
    if len(values) <= n_groups:
        group = np.searchsorted(values, p)
    else:
        # the lower of two neighbouring predictions is the cut, and belongs to the lower group
        cuts = np.quantile(p, np.arange(1, n_groups) / n_groups, method="inverted_cdf")
        group = np.unique(np.searchsorted(cuts, p, side="left"), return_inverse=True)[1]
    return group, NAMES[int(group.max()) + 1]


def group_rows(panel: Panel, outcome: Outcome, scores: Scores, settings: SurvivalSettings) -> tuple[Rows, Rows]:
    """Rows of risk_groups and of curves for one model and outcome: every cohort, and combined."""
    group, names = np.full(len(panel.y), -1), {}
    for k, cohort_id in enumerate(panel.cohorts):
        fair = scores.fair & (panel.cohort == k)
        if fair.any():
            # cut over everybody who is predicted, also where the outcome is unknown
            group[fair], names[cohort_id] = cut(scores.p[:, fair].mean(axis=0), settings.risk_groups)
    mask = (group >= 0) & outcome.known
    widest = max(names.values(), key=len, default=())
    # two groups of one cohort are the low and the high of three of another
    for k, cohort_id in enumerate(panel.cohorts):
        if len(names.get(cohort_id, ())) == 2 and len(widest) == 3:
            group[(panel.cohort == k) & (group == 1)] = 2
    head = {
        "model": scores.model,
        "recalibration": scores.recalibration,
        "scheme": panel.scheme,
        "endpoint": panel.endpoint,
    }
    kinds = ("low", "middle", "high") if len(widest) == 3 else widest
    # a cohort whose predictions are all equal has neither low nor high patients: it stands alone
    alone = [name for name, groups in names.items() if groups == NAMES[1] and len(kinds) > 1]
    if alone:
        group[np.isin(np.array(panel.cohorts)[panel.cohort], alone) & (group >= 0)] = len(kinds)
        kinds = (*kinds, *NAMES[1])
    how = f"{settings.risk_groups} groups by quantiles of each cohort's predictions, no outcomes used"
    note = join_notes(how, outcome.landmark)
    return _everywhere(head, scores.label, outcome.name, panel.cohorts, panel.cohort, outcome.time, outcome.event,
                       np.where(mask, group, -1), kinds, note, settings.min_events, alone)  # fmt: skip


def irae_rows(
    panel: Panel, cohort: pd.DataFrame, of_arms: np.ndarray, name: str, settings: SurvivalSettings
) -> tuple[Rows, Rows, list[str]]:
    """Survival by immune-related adverse events, naively and from a landmark: an association, never a feature.

    Naively, patients who lived longer had more time to have one: immortal time makes the hazard ratio too low. From
    the landmark, patients are grouped by what had begun by then, and only those still followed without the event
    count.

    Returns
    -------
    rows of risk_groups, rows of curves, remarks. All empty where no cohort has irAE with onset.
    """
    if settings.irae_landmark_days is None:
        return [], [], []
    time, event = floats(cohort, f"{name}_months"), floats(cohort, f"{name}_event")
    grade, flag, onset = (floats(cohort, c) for c in ("irae_grade", "irae", "irae_onset_days"))
    had = np.where(np.isnan(grade), flag, (grade >= 1).astype(float))
    ids = cohort["cohort_id"].to_numpy(dtype=str)
    timed = np.isin(ids, np.unique(ids[~np.isnan(onset)])) & np.isin(ids, panel.cohorts)
    known = of_arms & timed & ~np.isnan(time) & ~np.isnan(event) & ~np.isnan(had)
    lost = known & (had == 1) & np.isnan(onset)
    known &= ~lost
    if not known.any():
        return [], [], []
    place = np.searchsorted(panel.cohorts, np.where(known, ids, panel.cohorts[0]))
    day = settings.irae_landmark_days
    start = days(day)
    rows: Rows = []
    curves: Rows = []
    for model, group, begin, used, note in (
        ("irae_naive", had, 0.0, known, "any irAE, ever: immortal time makes the hazard ratio too low"),
        (
            "irae_landmark",
            (had == 1) & (onset <= day),
            start,
            known & (time > start),
            f"irAE by day {day:g}; counted from then, who had the event or left follow-up before does not count",
        ),
    ):
        head = {"model": model, "recalibration": "none", "scheme": panel.scheme, "endpoint": panel.endpoint}
        found = _everywhere(head, model, name, panel.cohorts, place, np.where(used, time - begin, 0.0), event == 1,
                            np.where(used, np.nan_to_num(group), -1).astype(int), ("no_irae", "irae"),
                            join_notes("association, no forecast", note), settings.min_events)  # fmt: skip
        rows += found[0]
        curves += found[1]
    notes = [f"{name}: {int(lost.sum())} patients with an irAE of unknown onset do not count"] if lost.any() else []
    return rows, curves, notes


def _everywhere(
    head: dict[str, Any],
    label: str,
    outcome: str,
    cohorts: Sequence[str],
    cohort: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    group: np.ndarray,
    names: tuple[str, ...],
    note: str,
    least: int,
    alone: Sequence[str] = (),
) -> tuple[Rows, Rows]:
    """Rows of every cohort with patients in a group (-1 for none), and combined, without those that stand alone."""
    rows: Rows = []
    curves: Rows = []
    places = [(name, (cohort == k) & (group >= 0)) for k, name in enumerate(cohorts)]
    together = (group >= 0) & ~np.isin(np.array(cohorts)[cohort], list(alone))
    left_out = "; ".join(f"{cohort_id} left out: all its predictions are equal" for cohort_id in alone)
    for cohort_id, mask in [*places, ("combined", together)]:
        if not mask.any():
            continue
        told = join_notes(note, left_out if cohort_id == "combined" else "")
        strata = cohort[mask] if cohort_id == "combined" else np.zeros(int(mask.sum()), dtype=int)
        base = head | {"cohort_id": cohort_id, "outcome": outcome}
        rows += _groups(base, time[mask], event[mask], group[mask], names, strata, told, least)
        if event[mask].sum() >= least:
            place = {"model": label, "scheme": head["scheme"], "cohort_id": cohort_id}
            curves += _curves(place | {"curve": f"survival_{outcome}"}, time[mask], event[mask], group[mask], names)
    return rows, curves


def _groups(
    base: dict[str, Any],
    time: np.ndarray,
    event: np.ndarray,
    group: np.ndarray,
    names: tuple[str, ...],
    strata: np.ndarray,
    note: str,
    least: int,
) -> Rows:
    present = [g for g in range(len(names)) if (group == g).any()]
    enough = event.sum() >= least
    ratios: dict[int, tuple[float, float, float] | None] = {}
    p = logrank(time, event, group, strata=strata).p if enough and len(present) > 1 else float("nan")
    several = len(np.unique(strata)) > 1
    if enough and len(present) > 1:
        ratios = _hazard_ratios(time, event, group, present, strata)
    rows = []
    for g in present:
        here = group == g
        n_events = int(event[here].sum())
        curve = kaplan_meier(time[here], event[here])
        shown = n_events >= least
        median, low, high = curve.median() if shown else (None, None, None)
        ratio = ratios.get(g)
        remarks = [note, "curves and medians over all cohorts' patients" if several else ""]
        if not shown:
            remarks.insert(0, TOO_SMALL if not enough else f"{TOO_SMALL} for a median")
        if enough and len(present) > 1 and ratio is None:
            remarks.append("no finite hazard ratio")
        rows.append(
            base
            | {
                "group": names[g],
                "n": int(here.sum()),
                "n_events": n_events,
                "median_months": median,
                "ci_low": low,
                "ci_high": high,
                "hazard_ratio": None if ratio is None else ratio[0],
                "hr_low": None if ratio is None else ratio[1],
                "hr_high": None if ratio is None else ratio[2],
                "logrank_p": p,
                "note": join_notes(*remarks),
            }
        )
    return rows


def _hazard_ratios(
    time: np.ndarray, event: np.ndarray, group: np.ndarray, present: list[int], strata: np.ndarray
) -> dict[int, tuple[float, float, float] | None]:
    """Hazard ratios to the first group, Wald intervals; the first group has 1."""
    fit = cox(time, event, np.column_stack([group == g for g in present[1:]]).astype(float), strata=strata)
    found: dict[int, tuple[float, float, float] | None] = {present[0]: (1.0, 1.0, 1.0)}
    if fit is None:
        return {g: None for g in present}
    for g, beta, se in zip(present[1:], fit.coefficients, fit.standard_errors, strict=True):
        low, high = beta - 1.959964 * se, beta + 1.959964 * se
        found[g] = (float(np.exp(beta)), float(np.exp(low)), float(np.exp(high)))
    return found


def _curves(
    place: dict[str, Any], time: np.ndarray, event: np.ndarray, group: np.ndarray, names: tuple[str, ...]
) -> Rows:
    """Each group's curve at half months of the first year and whole ones after, while somebody is followed."""
    rows = []
    for g in np.unique(group):
        here = group == g
        curve = kaplan_meier(time[here], event[here])
        last = float(time[here].max())
        grid = np.concatenate([np.arange(0, 12, 0.5), np.arange(12, np.floor(last) + 1)])
        grid = grid[grid <= last]
        for x, y, low, high, n in zip(grid, *curve.at(grid), curve.at_risk(grid), strict=True):
            rows.append(place | {"level": names[g], "x": x, "y": y, "ci_low": low, "ci_high": high, "n": int(n)})
    return rows
