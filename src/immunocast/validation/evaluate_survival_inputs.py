"""Times and events of the patients who were predicted: who counts, from when, and how far each cohort is followed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunocast.cohort.checks import known_for_events_only
from immunocast.cohort.outcomes.clock import days
from immunocast.errors import ConfigError
from immunocast.validation.evaluate_inputs import Panel

#: Outcomes by the name that their columns begin with.
OUTCOMES = {"os": "overall survival", "pfs": "progression-free survival"}


#: Share of the censored patients without a prediction up to which their absence, if it is no chance, is only told.
LARGEST_SELECTION = 0.05


@dataclass(frozen=True)
class SurvivalSettings:
    """Settings of a survival evaluation, checked.

    Attributes
    ----------
    outcomes : "os", "pfs" or both; () switches the evaluation off.
    horizons_months : months at which AUC, Brier score and IPA are taken; the largest one limits Uno's concordance
        and the integrated Brier score.
    risk_groups : 3 for low, middle and high, 2 for low and high.
    landmark_days : day from which survival is counted, among those who are then alive (pfs: without progression) and
        followed; None counts from the start of treatment.
    irae_landmark_days : landmark of the association of immune-related adverse events with survival; None leaves it out.
    models : names of the models evaluated, None for all.
    min_events : fewest events, and fewest patients followed beyond a horizon, for which an estimate is shown.
    """

    outcomes: tuple[str, ...] = ("os", "pfs")
    horizons_months: tuple[float, ...] = (6, 12, 24)
    risk_groups: int = 3
    landmark_days: float | None = None
    irae_landmark_days: float | None = 90
    models: tuple[str, ...] | None = None
    min_events: int = 10

    def __post_init__(self) -> None:
        for name in self.outcomes:
            if name not in OUTCOMES:
                raise ConfigError(f"survival.outcomes holds {name!r}; it may hold {' and '.join(OUTCOMES)}.")
        if not self.horizons_months or any(not _above_zero(h) for h in self.horizons_months):
            raise ConfigError(
                f"survival.horizons_months is {list(self.horizons_months)}; give months above 0, e.g. [6, 12, 24]."
            )
        if self.risk_groups not in (2, 3):
            raise ConfigError(f"survival.risk_groups is {self.risk_groups!r}; it must be 2 or 3.")
        for key in ("landmark_days", "irae_landmark_days"):
            value = getattr(self, key)
            if value is not None and not _above_zero(value):
                raise ConfigError(f"survival.{key} is {value!r}; it must be a number of days above 0, or null.")
        if self.min_events < 2:
            raise ConfigError(f"min_events is {self.min_events}: an interval needs at least 2 events.")
        object.__setattr__(self, "outcomes", tuple(dict.fromkeys(self.outcomes)))
        object.__setattr__(self, "horizons_months", tuple(sorted({float(h) for h in self.horizons_months})))


def _above_zero(value: float) -> bool:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return usable and math.isfinite(value) and value > 0


@dataclass(frozen=True)
class Horizons:
    """Horizons of one cohort, clipped to its follow-up.

    Attributes
    ----------
    months : horizons that are used, increasing.
    notes : what was clipped to each, "" for none.
    whole : the configured horizons that the cohort reaches.
    tau : the last of `months`, None where there is none.
    """

    months: tuple[float, ...]
    notes: tuple[str, ...]
    whole: tuple[float, ...]

    @property
    def tau(self) -> float | None:
        """Limit of Uno's concordance and of the integrated Brier score."""
        return self.months[-1] if self.months else None

    def note(self, month: float | None) -> str:
        """What was clipped to a horizon."""
        return self.notes[self.months.index(month)] if month in self.months else ""


@dataclass(frozen=True)
class Outcome:
    """A time to event of the panel's patients.

    Attributes
    ----------
    name : "os" or "pfs".
    time : (n,) months from the start, or from the landmark; 0 where not known.
    event : (n,) bool.
    known : (n,) bool, patients who count.
    horizons : one a cohort of the panel.
    landmark : a remark for every row, "" without a landmark.
    """

    name: str
    time: np.ndarray
    event: np.ndarray
    known: np.ndarray
    horizons: tuple[Horizons, ...]
    landmark: str = ""


def outcome_of(
    panel: Panel,
    patients: np.ndarray,
    cohort: pd.DataFrame,
    name: str,
    of_arms: np.ndarray,
    settings: SurvivalSettings,
) -> tuple[Outcome | None, list[str]]:
    """Times and events for a panel, and remarks on what can't be used; None where nothing is left.

    Parameters
    ----------
    panel : patients who were predicted.
    patients : (n,) their ids.
    cohort : cohort table.
    name : "os" or "pfs".
    of_arms : (rows of the cohort table,) bool, patients whom the endpoint is about.
    settings : settings.
    """
    months, event = floats(cohort, f"{name}_months"), floats(cohort, f"{name}_event")
    row = pd.Index(cohort["patient_id"]).get_indexer(pd.Index(patients))
    if (row < 0).any():
        raise ConfigError("The predictions hold patients whom the cohort table lacks: both must be of one run.")
    ids = cohort["cohort_id"].to_numpy(dtype=str)
    predicted = np.zeros(len(cohort), dtype=bool)
    predicted[row] = True
    complete = of_arms & ~np.isnan(months) & ~np.isnan(event)
    notes, inside = [], {}
    for cohort_id in panel.cohorts:
        here = (ids == cohort_id) & of_arms
        if not (here & complete).any():
            notes.append(f"{name}: {cohort_id} has no {name}_months with {name}_event")
        elif known_for_events_only(months[here], event[here]) in ("all", "half"):
            who = "the deceased" if name == "os" else "patients with the event"
            notes.append(f"{name}: {cohort_id} is left out, its times are known for {who} only or mostly")
        else:
            inside[cohort_id] = here & complete
    selected = {c for c, rows in inside.items() if _selected(months, event, predicted, rows)}
    everywhere = _union(inside.values(), len(cohort))
    most = 2 * sum(int(inside[c].sum()) for c in selected) > everywhere.sum()
    rest = _union((rows for c, rows in inside.items() if c not in selected), len(cohort))
    # the rule that selects is one for all: where most cohorts or the rest together show it, none is spared
    if most or _selected(months, event, predicted, rest):
        notes.append(f"{name}: nothing is evaluated. {_selection(everywhere, predicted, panel)}")
        return None, notes
    usable = np.zeros(len(cohort), dtype=bool)
    for cohort_id, rows in inside.items():
        lost = int((rows & ~predicted).sum())
        unknown = int(((ids == cohort_id) & of_arms & predicted & ~complete).sum())
        if cohort_id in selected:
            notes.append(f"{name}: {cohort_id} is left out. {_selection(rows, predicted, panel)}")
            continue
        if lost:
            many, have, do = ("patients", "have", "do") if lost > 1 else ("patient", "has", "does")
            notes.append(
                f"{name}: {lost} {many} of {cohort_id} with known times {have} no prediction and {do} not count"
            )
        if unknown:
            notes.append(f"{name}: {unknown} predicted patients of {cohort_id} have no known time and event")
        usable |= rows & predicted
    known, time, dead = usable[row], np.nan_to_num(months)[row], event[row] == 1
    landmark = ""
    if settings.landmark_days is not None:
        start = days(settings.landmark_days)
        early = known & (time <= start)
        known &= ~early
        time = np.where(known, time - start, 0.0)
        landmark = f"counted from day {settings.landmark_days:g}"
        gone = "died, progressed" if name == "pfs" else "died"
        notes.append(f"{name}: {int(early.sum())} patients who {gone} or left follow-up by day "
                     f"{settings.landmark_days:g} do not count")  # fmt: skip
    if not known.any():
        return None, notes
    horizons = tuple(
        clipped(time[known & (panel.cohort == k)], settings.horizons_months, settings.min_events)
        for k in range(len(panel.cohorts))
    )
    return Outcome(name, time, dead & known, known, horizons, landmark), notes


def _union(masks: Iterable[np.ndarray], n: int) -> np.ndarray:
    return np.any([np.zeros(n, dtype=bool), *masks], axis=0)


def _selected(months: np.ndarray, event: np.ndarray, predicted: np.ndarray, rows: np.ndarray) -> bool:
    """Whether predictions are missing for censored patients more often than for those with the event, and for many."""
    censored = rows & (event == 0)
    if (censored & ~predicted).sum() < LARGEST_SELECTION * censored.sum():
        return False
    return known_for_events_only(np.where(predicted, months, np.nan)[rows], event[rows]) is not None


def _selection(rows: np.ndarray, predicted: np.ndarray, panel: Panel) -> str:
    return (
        f"{int((rows & ~predicted).sum())} patients have no prediction, censored ones more often (who leaves follow-up "
        f"early has no label of the endpoint {panel.endpoint}), and survival of the others would look too short"
    )


def clipped(time: np.ndarray, horizons: Sequence[float], least: int) -> Horizons:
    """Horizons up to which a cohort is followed: at least `least` patients have a longer time.

    The limit is rounded down to a tenth of a month.

    >>> clipped(np.arange(1.0, 31.0), (6.0, 24.0), 10).notes
    ('', '24 months clipped to 20.9: fewer than 10 patients are followed longer')
    """
    longest = np.sort(time)[::-1]
    limit = 0.0
    if len(longest) >= least:
        limit = math.floor(longest[least - 1] * 10 + 1e-9) / 10
        # at the limit itself nobody of the `least` may have ended already
        limit = round(limit - 0.1, 1) if limit >= longest[least - 1] - 1e-9 else limit
    whole = tuple(h for h in horizons if h <= limit)
    cut = [h for h in horizons if h > limit]
    if not cut or limit <= 0:
        return Horizons(whole, ("",) * len(whole), whole)
    words = f"{' and '.join(f'{h:g}' for h in cut)} months clipped to {limit:g}: fewer than {least} patients are " \
            "followed longer"  # fmt: skip
    if limit in whole:
        return Horizons(whole, (*("",) * (len(whole) - 1), words), whole)
    return Horizons((*whole, limit), (*("",) * len(whole), words), whole)


def floats(cohort: pd.DataFrame, column: str) -> np.ndarray:
    """(n,) values of a column, NaN where unknown or absent."""
    if column not in cohort:
        return np.full(len(cohort), np.nan)
    return cohort[column].to_numpy(dtype="float64", na_value=np.nan)
