"""Recalibrators of a training fold, and the update of the intercept inside a test cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from immunocast.errors import ConfigError
from immunocast.models.recalibration import RECALIBRATORS, NotEnoughEvents, Recalibrator, fit_recalibrator

#: Name of the update whose intercept comes from other patients of the same cohort.
INTERCEPT_SITE = "intercept_site"


def check_methods(methods: Sequence[str]) -> None:
    """Refuse unknown recalibrations, and one that is named twice."""
    known = (*RECALIBRATORS, INTERCEPT_SITE)
    for name in methods:
        if name not in known:
            raise ConfigError(f"recalibration.methods holds {name!r}. Choose among {', '.join(known)}.")
    if len(set(methods)) < len(methods):
        raise ConfigError(f"recalibration.methods names a method twice: {', '.join(methods)}.")


@dataclass(frozen=True)
class Recalibrations:
    """Recalibrators by name, and why others are absent or on whom they rest, by name."""

    fitted: dict[str, Recalibrator] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def fit_recalibrators(methods: Sequence[str], p: np.ndarray, y: np.ndarray) -> Recalibrations:
    """Fit those of the methods that learn from a training fold.

    Parameters
    ----------
    methods : names; `intercept_site` is passed over.
    p : (n,) inner out-of-fold predictions, NaN where there is none.
    y : (n,) outcomes 0/1.
    """
    found = Recalibrations()
    for name in methods:
        if name == INTERCEPT_SITE:
            continue
        try:
            found.fitted[name] = fit_recalibrator(name, p, y)
        except NotEnoughEvents as error:
            found.notes[name] = error.reason
    return found


def intercept_of_others(
    p: np.ndarray, y: np.ndarray, ids: pd.DataFrame, n_splits: int, seed: int
) -> tuple[np.ndarray, dict[str, str]]:
    """Update the intercept inside each test cohort: a patient's comes from other persons of the same cohort.

    The folds do not look at outcomes, so that nothing of a person's own outcome is in the person's prediction.

    Parameters
    ----------
    p : (n,) predictions of the test patients, NaN where the model abstained.
    y : (n,) their outcomes.
    ids : (n,) frame with patient_id, cohort_id, person_id.
    n_splits : folds of persons in a cohort.
    seed : of their shuffling.

    Returns
    -------
    (n,) updated predictions, NaN where there is none; cohort -> why it has none.
    """
    out, why = np.full(len(p), np.nan), {}
    patient, cohorts, person = (ids[c].to_numpy(dtype=str) for c in ("patient_id", "cohort_id", "person_id"))
    order = np.argsort(patient, kind="stable")
    for cohort in sorted(set(cohorts)):
        # abstentions have no part in it: with them the folds would be of unequal size
        rows = order[(cohorts[order] == cohort) & ~np.isnan(p[order])]
        n = min(n_splits, len(set(person[rows])))
        if n < 2:
            why[cohort] = "fewer than two persons with a prediction"
            continue
        try:
            updated = np.full(len(rows), np.nan)
            folds = GroupKFold(n, shuffle=True, random_state=seed).split(rows, groups=person[rows])
            for others, own in folds:
                fitted = fit_recalibrator("intercept", p[rows[others]], y[rows[others]])
                updated[own] = fitted.predict(p[rows[own]])
            out[rows] = updated
        except NotEnoughEvents as error:
            why[cohort] = error.reason
    return out, why
