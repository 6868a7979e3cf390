"""A model against a reference on the same patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunocast.metrics import Metric, bootstrap_p, influence_difference, percentile_interval
from immunocast.validation.evaluate_estimates import (
    LEAST_FOR_RANKS,
    TOO_SMALL,
    Resampled,
    cohort_masks,
    combined_influence,
    masks_for,
    persons_of,
)
from immunocast.validation.evaluate_inputs import (
    ABSENT,
    ABSTAINED,
    IN_TRAINING,
    Panel,
    Scores,
    Settings,
    join_notes,
)

_REASONS = ((IN_TRAINING, "trained on"), (ABSTAINED, "abstained on"), (ABSENT, "did not predict"))


def comparison_rows(
    panel: Panel, model: Scores, reference: Scores, settings: Settings, store: Resampled
) -> list[dict[str, Any]]:
    """Rows of the comparisons table for one pair: every cohort, and combined."""
    common = model.fair & reference.fair
    masks = cohort_masks(panel, common)
    specs = [(m, t) for m, t in settings.specs() if m.compared]
    rows = []
    for k, name in enumerate(panel.cohorts):
        here = panel.cohort == k
        for metric, threshold in specs:
            row = _row(panel, model, reference, metric, threshold, name, [masks[k]], here, settings, store)
            rows.append(row | {"note": join_notes(row["note"], why_lost(model, reference, here))})
    everywhere = np.ones(len(panel.y), dtype=bool)
    for metric, threshold in specs:
        used = masks_for(metric, panel, masks)
        row = _row(panel, model, reference, metric, threshold, "combined", used, everywhere, settings, store)
        rows.append(row | {"note": join_notes(row["note"], why_left_out(panel, model, reference, metric))})
    return rows


def stratum_comparison(
    panel: Panel,
    model: Scores,
    reference: Scores,
    metric: Metric,
    place: tuple[str, str, np.ndarray],
    settings: Settings,
    store: Resampled,
) -> dict[str, Any]:
    """A combined row for the patients of a stratum: its subgroup, level and (n,) mask are `place`."""
    subgroup, level, inside = place
    masks = masks_for(metric, panel, cohort_masks(panel, model.fair & reference.fair & inside))
    row = _row(panel, model, reference, metric, None, "combined", masks, inside, settings, store)
    return row | {"subgroup": subgroup, "level": level}


def why_left_out(panel: Panel, model: Scores, reference: Scores, metric: Metric) -> str:
    """Which cohorts a combined comparison leaves out, in whole or in part, and why."""
    notes = []
    common = model.fair & reference.fair
    for k, name in enumerate(panel.cohorts):
        here = panel.cohort == k
        why = why_lost(model, reference, here)
        if not (common & here).any():
            notes.append(f"{name} left out: {why}")
        elif metric.ranks and not panel.enough(common & here, LEAST_FOR_RANKS):
            notes.append(f"{name} left out: under {LEAST_FOR_RANKS} events or non-events")
        elif why:
            notes.append(f"{name}: {why}")
    return join_notes(*notes)


def _row(
    panel: Panel,
    model: Scores,
    reference: Scores,
    metric: Metric,
    threshold: float | None,
    cohort_id: str,
    masks: list[np.ndarray],
    candidates: np.ndarray,
    settings: Settings,
    store: Resampled,
) -> dict[str, Any]:
    used = np.any(masks, axis=0) if masks else np.zeros(len(panel.y), dtype=bool)
    row = common_row(panel, model, reference, metric.name, threshold, cohort_id, used, candidates)
    if not used.any():
        return row
    if not panel.enough(used, settings.min_events):
        return row | {"note": TOO_SMALL}
    if metric.name == "auroc":
        found = influence_difference(
            combined_influence(panel, model, masks),
            combined_influence(panel, reference, masks),
            persons_of(panel, masks),
        )
        return row | {
            "estimate_model": found.first,
            "estimate_reference": found.second,
            "difference": found.difference,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
            "p": found.p,
            "ci_method": "delong",
        }
    spec = (metric.name, threshold)
    first, second = store.over(model, masks, spec), store.over(reference, masks, spec)
    return row | bootstrap_difference(first, second)


def bootstrap_difference(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Fields of a comparison from values (1 + B,) of both sides over the same resamples, the estimates first."""
    difference = first - second
    low, high, left_out = percentile_interval(difference[1:])
    return {
        "estimate_model": float(first[0]),
        "estimate_reference": float(second[0]),
        "difference": float(difference[0]),
        "ci_low": low,
        "ci_high": high,
        "p": bootstrap_p(difference[1:]),
        "ci_method": "bootstrap",
        "note": f"{left_out} of {len(difference) - 1} resamples without a value left out" if left_out else "",
    }


def common_row(
    panel: Panel,
    model: Scores,
    reference: Scores,
    metric: str,
    threshold: float | None,
    cohort_id: str,
    used: np.ndarray,
    candidates: np.ndarray,
) -> dict[str, Any]:
    """A row without numbers yet: who is compared, on how many, and how many of the candidates are lost."""
    known = candidates & ((model.status != ABSENT) | (reference.status != ABSENT))
    return {
        "metric": metric,
        "model": model.label,
        "reference_model": reference.label,
        "scheme": panel.scheme,
        "endpoint": panel.endpoint,
        "cohort_id": cohort_id,
        "subgroup": "all",
        "level": "all",
        "threshold_or_horizon": threshold,
        "n_common": int(used.sum()),
        "n_events": int(panel.y[used].sum()),
        "n_lost": int(known.sum() - used.sum()),
        "estimate_model": None,
        "estimate_reference": None,
        "difference": None,
        "ci_low": None,
        "ci_high": None,
        "p": None,
        "p_adjusted": None,
        "family": "",
        "ci_method": "none",
        "note": "",
    }


def why_lost(model: Scores, reference: Scores, here: np.ndarray) -> str:
    """Why patients of a cohort are not common to both, in words; "" where all are."""
    n = int(here.sum())
    notes = []
    for scores in (model, reference):
        for code, verb in _REASONS:
            k = int(np.sum(scores.status[here] == code))
            if k:
                whom = "all patients" if k == n else f"{k} of {n} patients"
                notes.append(f"{scores.label} {verb} {whom}")
    return ", ".join(notes)
