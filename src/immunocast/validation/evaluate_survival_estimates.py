"""Survival estimates of one outcome: a row a model, cohort and metric, and differences to the references.

A probability of response is no survival probability. For the Brier score it is turned into one by a Cox model with
the log-odds as its only covariate and Breslow's baseline, fitted on the other cohorts' patients whom the model has
fairly predicted, never on those who are tested, nor on persons linked to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from immunocast.engines import Engine, SerialEngine
from immunocast.metrics import (
    SurvivalForecast,
    SurvivalSample,
    blocks,
    logit,
    percentile_interval,
    quotient,
    survival_link,
)
from immunocast.validation.evaluate_comparisons import bootstrap_difference, common_row, why_lost
from immunocast.validation.evaluate_estimates import LEAST_FOR_RANKS, TOO_SMALL, estimate_head, why_fewer
from immunocast.validation.evaluate_inputs import Panel, Scores, join_notes
from immunocast.validation.evaluate_survival_inputs import Outcome, SurvivalSettings

Key = tuple[str, float | None]
Parts = dict[Key, tuple[np.ndarray, np.ndarray]]

#: Metrics that rank patients and so need no survival probabilities; models are compared by the first two.
RANKS = ("c_harrell", "c_uno", "td_auc")
COMPARED = ("c_harrell", "c_uno")

#: Metrics at one horizon; the others go up to a limit.
AT_HORIZON = ("td_auc", "brier", "ipa")

#: Points of the trapezoids of an integrated Brier score, and folds of persons where there is no other cohort.
GRID_POINTS, LINK_FOLDS = 51, 5


@dataclass(frozen=True)
class Curves:
    """Survival probabilities of one model in one cohort: (r, n here, m), the last month for which they are known,
    and why there are none.
    """

    values: np.ndarray | None
    followed: float = 0.0
    note: str = ""


@dataclass
class Store:
    """Resampled parts by cohort and patients, so that models with the same patients share what only depends on them.

    Attributes
    ----------
    parts : (cohort, patients) -> label of the model -> parts.
    """

    panel: Panel
    outcome: Outcome
    sign: int
    parts: dict[tuple[int, bytes], dict[str, Parts]] = field(default_factory=dict)

    def mask(self, k: int, fair: np.ndarray) -> np.ndarray:
        """Patients of a cohort who are fairly predicted and whose outcome is known."""
        return fair & self.outcome.known & (self.panel.cohort == k)

    def fill(self, wanted: dict[tuple[int, bytes], dict[str, Scores]], curves: dict[tuple[str, int], Curves],
             engine: Engine) -> None:  # fmt: skip
        """Compute the parts of all models over the sets of patients on which they are needed."""
        keys = sorted(wanted)
        work = partial(_parts_of, panel=self.panel, outcome=self.outcome, sign=self.sign)
        items = [
            (k, mask, [(s, curves.get((label, k))) for label, s in sorted(wanted[k, mask].items())]) for k, mask in keys
        ]
        for key, found in zip(keys, engine.map(work, items), strict=True):
            self.parts[key] = found

    def over(self, scores: Scores, cohorts: Sequence[int], fair: np.ndarray, keys: Sequence[Key]) -> np.ndarray:
        """Values (1 + B,) over several cohorts; `keys` has the metric's key in each of them."""
        pieces = [
            self.parts[k, _packed(self.mask(k, fair))][scores.label][key] for k, key in zip(cohorts, keys, strict=True)
        ]
        return quotient(np.sum([n for n, _ in pieces], axis=0), np.sum([d for _, d in pieces], axis=0))


def _packed(mask: np.ndarray) -> bytes:
    return np.packbits(mask).tobytes()


def _parts_of(
    item: tuple[int, bytes, list[tuple[Scores, Curves | None]]], panel: Panel, outcome: Outcome, sign: int
) -> dict[str, Parts]:
    k, packed, models = item
    mask = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=len(panel.y)).astype(bool)
    horizons = outcome.horizons[k]
    sample = SurvivalSample(
        outcome.time[mask],
        outcome.event[mask],
        horizons=horizons.months,
        tau=horizons.tau,
        grid=None if horizons.tau is None else np.linspace(0, horizons.tau, GRID_POINTS),
    )
    inside = mask[panel.cohort == k]
    forecasts = [
        SurvivalForecast(
            sign * scores.p[:, mask],
            scores.fold[:, mask],
            None if curves is None or curves.values is None else curves.values[:, inside],
        )
        for scores, curves in models
    ]
    found = sample.parts(forecasts, blocks(panel.counts[mask], whole_first=True))
    return {scores.label: parts for (scores, _), parts in zip(models, found, strict=True)}


def survival_curves(panel: Panel, outcome: Outcome, scores: Scores, least: int, seed: int) -> dict[int, Curves]:
    """Survival probabilities of a model in each cohort, from patients who are not tested.

    Parameters
    ----------
    panel, outcome, scores : see there.
    least : fewest events from which survival is fitted.
    seed : of the folds of persons, where no other cohort has enough events.

    Returns
    -------
    By cohort; over its patients in the panel's order, at its horizons and then the grid up to tau.
    """
    usable = scores.fair & outcome.known
    found = {}
    for k in range(len(panel.cohorts)):
        here, horizons = panel.cohort == k, outcome.horizons[k]
        if horizons.tau is None or not (usable & here).any():
            continue
        times = np.concatenate([horizons.months, np.linspace(0, horizons.tau, GRID_POINTS)])
        others = usable & ~here & ~np.isin(panel.person, panel.person[here])
        values = np.full((len(scores.p), int(here.sum()), len(times)), np.nan)
        if outcome.event[others].sum() >= least:
            splits, how = [(others, usable & here)], ""
        else:
            folds = _person_folds(panel.person[here], seed)
            place = np.full(len(here), -1)
            place[here] = folds
            splits = [(usable & here & (place != f), usable & here & (place == f)) for f in range(LINK_FOLDS)]
            how = f"survival by log-odds fitted in {LINK_FOLDS} folds of this cohort: no other has {least} events"
        found[k] = _fitted(outcome, scores, splits, here, times, values, how, least)
    return found


def _fitted(
    outcome: Outcome,
    scores: Scores,
    splits: list[tuple[np.ndarray, np.ndarray]],
    here: np.ndarray,
    times: np.ndarray,
    values: np.ndarray,
    how: str,
    least: int,
) -> Curves:
    followed = np.inf
    for fitted_on, tested in splits:
        if not tested.any():
            continue
        if outcome.event[fitted_on].sum() < least:
            return Curves(None, note=f"{TOO_SMALL}: under {least} events from which survival could be fitted")
        for repeat, p in enumerate(scores.p):
            link = survival_link(outcome.time[fitted_on], outcome.event[fitted_on], logit(p[fitted_on]))
            if link is None:
                return Curves(None, note="no finite hazard ratio of the prediction in the patients of the fit")
            followed = min(followed, link.followed)
            values[repeat, tested[here]] = link.survival(logit(p[tested]), times)
    return Curves(values, float(followed), how)


def _person_folds(person: np.ndarray, seed: int) -> np.ndarray:
    names, place = np.unique(person, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % LINK_FOLDS)[place]


def estimate_rows(
    store: Store, scores: Scores, curves: dict[tuple[str, int], Curves], settings: SurvivalSettings
) -> list[dict[str, Any]]:
    """Rows of the metrics table: every cohort with the outcome, and combined."""
    panel, outcome = store.panel, store.outcome
    everywhere = [k for k in range(len(panel.cohorts)) if outcome.known[panel.cohort == k].any()]
    rows = []
    for k in everywhere:
        horizons = outcome.horizons[k]
        link = curves.get((scores.label, k), Curves(None))
        for key in _keys(horizons.months, horizons.tau):
            row = _row(store, scores, key, panel.cohorts[k], [k], [key], settings, curves)
            tail = join_notes(
                horizons.note(key[1]),
                "" if key[0] in RANKS else link.note,
                outcome.landmark,
                why_fewer(scores.status[(panel.cohort == k) & outcome.known]),
            )
            rows.append(row | {"note": join_notes(row["note"], tail)})
    for key in _keys(settings.horizons_months, settings.horizons_months[-1]):
        used, keys, notes = _combined(store, scores, scores.fair, key, everywhere)
        row = _row(store, scores, key, "combined", used, keys, settings, curves)
        rows.append(row | {"note": join_notes(row["note"], *notes, outcome.landmark)})
    return rows


def _keys(months: Sequence[float], tau: float | None) -> list[Key]:
    at_horizons: list[Key] = [(name, h) for name in AT_HORIZON for h in months]
    up_to: list[Key] = [(name, tau) for name in ("c_uno", "ibs", "scaled_ibs") if tau is not None]
    return [("c_harrell", None), *at_horizons, *up_to]


def _combined(
    store: Store, scores: Scores, fair: np.ndarray, key: Key, cohorts: Sequence[int]
) -> tuple[list[int], list[Key], list[str]]:
    """Cohorts that enter a combined estimate, the key in each, and why others don't.

    A metric at a horizon takes cohorts that are followed so far. Uno's concordance and the integrated Brier score go
    up to each cohort's own limit.
    """
    panel, outcome = store.panel, store.outcome
    used, keys, notes = [], [], []
    name, month = key
    for k in cohorts:
        horizons, mask = outcome.horizons[k], store.mask(k, fair)
        if not mask.any():
            reason = why_fewer(scores.status[(panel.cohort == k) & outcome.known]) or "no fair prediction"
            notes.append(f"{panel.cohorts[k]} left out: {reason}")
        elif name != "c_harrell" and horizons.tau is None:
            notes.append(f"{panel.cohorts[k]} left out: hardly followed")
        elif name in AT_HORIZON and month not in horizons.whole:
            notes.append(f"{panel.cohorts[k]} left out: followed to {horizons.tau:g} months")
        elif int(outcome.event[mask].sum()) < LEAST_FOR_RANKS:
            notes.append(f"{panel.cohorts[k]} left out: under {LEAST_FOR_RANKS} events")
        else:
            used.append(k)
            at = month if name in ("c_harrell", *AT_HORIZON) else horizons.tau
            keys.append((name, at))
            if at != month:
                notes.append(f"{panel.cohorts[k]} to {at:g} months")
    return used, keys, notes


def _row(
    store: Store,
    scores: Scores,
    key: Key,
    cohort_id: str,
    cohorts: list[int],
    keys: list[Key],
    settings: SurvivalSettings,
    curves: dict[tuple[str, int], Curves],
) -> dict[str, Any]:
    panel, outcome = store.panel, store.outcome
    name, month = key
    masks = [store.mask(k, scores.fair) for k in cohorts]
    n, n_events, enough = _counts(outcome, masks, keys, settings.min_events)
    candidates = outcome.known if cohort_id == "combined" else outcome.known & (panel.cohort == cohorts[0])
    used = np.any(masks, axis=0) if masks else np.zeros(len(panel.y), dtype=bool)
    row = estimate_head(panel, scores, f"{name}_{outcome.name}", month, used, candidates, cohort_id=cohort_id) | {
        "n": n,
        "n_events": n_events,
    }
    if not n:
        return row
    if not enough:
        return row | {"note": TOO_SMALL}
    if name not in RANKS:
        short = _without_curves(panel, scores, cohorts, keys, curves)
        if short:
            return row | {"note": short}
    values = store.over(scores, cohorts, scores.fair, keys)
    if np.isnan(values[0]):
        return row | {"note": "no pair of patients can be compared"}
    if name in RANKS and all(np.ptp(scores.p[:, mask], axis=1).max() == 0 for mask in masks):
        return row | {"estimate": float(values[0]), "note": "all predictions of a cohort are equal: no interval"}
    low, high, left_out = percentile_interval(values[1:])
    note = f"{left_out} of {len(values) - 1} resamples without a value left out" if left_out else ""
    return row | {
        "estimate": float(values[0]),
        "ci_low": low,
        "ci_high": high,
        "ci_method": "bootstrap",
        "note": note,
    }


def _counts(outcome: Outcome, masks: list[np.ndarray], keys: list[Key], least: int) -> tuple[int, int, bool]:
    """Patients, events by the horizon, and whether there are enough of them.

    At a horizon as many patients must be followed beyond it: they are the non-events. What is summed up to a limit
    does not depend on those few.
    """
    n = n_events = beyond = 0
    for mask, (name, month) in zip(masks, keys, strict=True):
        time, event = outcome.time[mask], outcome.event[mask]
        n += len(time)
        n_events += int(event.sum() if month is None else (event & (time <= month)).sum())
        beyond += int((time > month).sum() if month is not None and name in AT_HORIZON else len(time))
    return n, n_events, min(n_events, beyond) >= least


def _without_curves(
    panel: Panel, scores: Scores, cohorts: list[int], keys: list[Key], curves: dict[tuple[str, int], Curves]
) -> str:
    """Why there are no survival probabilities at a horizon; "" where there are."""
    for k, (_, month) in zip(cohorts, keys, strict=True):
        found = curves.get((scores.label, k), Curves(None))
        if found.values is None:
            return f"{panel.cohorts[k]}: {found.note}"
        if month is not None and month > found.followed:
            return (
                f"no survival probabilities at {month:g} months: the patients from whom they are fitted are followed "
                f"to {found.followed:.1f}"
            )
    return ""


def difference_rows(store: Store, model: Scores, reference: Scores, settings: SurvivalSettings) -> list[dict[str, Any]]:
    """Rows of the comparisons table for one pair of models: differences of concordance on common patients."""
    panel, outcome = store.panel, store.outcome
    fair = model.fair & reference.fair
    everywhere = [k for k in range(len(panel.cohorts)) if outcome.known[panel.cohort == k].any()]
    rows = []
    for name in COMPARED:
        for k in everywhere:
            tau = outcome.horizons[k].tau
            if name == "c_uno" and tau is None:
                continue
            key: Key = (name, None if name == "c_harrell" else tau)
            here = outcome.known & (panel.cohort == k)
            row = _difference(store, model, reference, key, panel.cohorts[k], [k], [key], here, settings)
            clip = outcome.horizons[k].note(key[1]) if key[1] is not None else ""
            note = join_notes(row["note"], clip, why_lost(model, reference, here), outcome.landmark)
            rows.append(row | {"note": note})
        whole: Key = (name, None if name == "c_harrell" else settings.horizons_months[-1])
        used, keys, notes = _combined(store, model, fair, whole, everywhere)
        row = _difference(store, model, reference, whole, "combined", used, keys, outcome.known, settings)
        rows.append(row | {"note": join_notes(row["note"], *notes, outcome.landmark)})
    return rows


def _difference(
    store: Store,
    model: Scores,
    reference: Scores,
    key: Key,
    cohort_id: str,
    cohorts: list[int],
    keys: list[Key],
    candidates: np.ndarray,
    settings: SurvivalSettings,
) -> dict[str, Any]:
    panel, fair = store.panel, model.fair & reference.fair
    masks = [store.mask(k, fair) for k in cohorts]
    n, n_events, enough = _counts(store.outcome, masks, keys, settings.min_events)
    used = np.any(masks, axis=0) if masks else np.zeros(len(panel.y), dtype=bool)
    row = common_row(panel, model, reference, f"{key[0]}_{store.outcome.name}", key[1], cohort_id, used, candidates) | {
        "n_common": n,
        "n_events": n_events,
    }
    if not n:
        return row
    if not enough:
        return row | {"note": TOO_SMALL}
    first, second = (store.over(scores, cohorts, fair, keys) for scores in (model, reference))
    if np.isnan(first[0] - second[0]):
        return row | {"note": "no pair of patients can be compared"}
    return row | bootstrap_difference(first, second)


def outcome_rows(
    panel: Panel,
    outcome: Outcome,
    models: Sequence[Scores],
    references: Sequence[Scores],
    *,
    sign: int,
    settings: SurvivalSettings,
    seed: int,
    engine: Engine | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the metrics and of the comparisons table for one outcome.

    Parameters
    ----------
    panel, outcome : see there.
    models, references : whom to evaluate, and whom to compare them with.
    sign : -1 where a high probability means longer survival, 1 where shorter.
    settings, seed, engine : as for `evaluate_survival`.
    """
    engine = engine or SerialEngine()
    fits = engine.map(partial(survival_curves, panel, outcome, least=settings.min_events, seed=seed), models)
    curves = {(s.label, k): c for s, found in zip(models, fits, strict=True) for k, c in found.items()}
    store = Store(panel, outcome, sign)
    pairs = [(m, r) for m in models for r in references if m.label != r.label]
    wanted: dict[tuple[int, bytes], dict[str, Scores]] = {}
    for whom in [*((s,) for s in models), *pairs]:
        for k in range(len(panel.cohorts)):
            mask = store.mask(k, np.all([s.fair for s in whom], axis=0))
            if mask.any():
                wanted.setdefault((k, _packed(mask)), {}).update({s.label: s for s in whom})
    store.fill(wanted, curves, engine)
    metrics = [row for s in models for row in estimate_rows(store, s, curves, settings)]
    return metrics, [row for m, r in pairs for row in difference_rows(store, m, r, settings)]
