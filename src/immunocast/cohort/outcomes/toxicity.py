"""Immune-related adverse events (irAE): of any grade, and of grade 3 and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from immunocast.cohort.outcomes.clock import days, falls_short, reaches, weeks
from immunocast.cohort.outcomes.endpoint import Endpoint, Words, check_time
from immunocast.cohort.outcomes.labels import Columns, Draft, Labels
from immunocast.errors import DataError, Problem


@dataclass(frozen=True, kw_only=True)
class AnyIrae(Endpoint):
    """An irAE of any grade, ever or by a landmark day.

    Parameters
    ----------
    landmark_days : null asks whether an irAE was ever recorded, which the time under observation confounds. A
        number of days asks whether it began by that day: patients who died or left follow-up before that day without
        it are left out and counted, and so are irAE of unknown onset.
    arms : see `Endpoint`.

    Notes
    -----
    The grade decides where it is known, else the source's yes or no. A patient is followed for the longest of OS,
    PFS and exposure.
    """

    name = "irae"
    direction = "harm"
    # irAE go with response, partly since responders live to have them
    markers = "unknown"
    needs = "irae_grade (0 to 5) or irae (0/1); with a landmark also irae_onset_days and os_months or pfs_months"

    least_grade: ClassVar[int] = 1
    landmark_days: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.landmark_days is not None:
            check_time("landmark_days", self.landmark_days)

    @property
    def words(self) -> Words:
        """How reports speak of it."""
        grade = "any grade" if self.least_grade == 1 else f"grade {self.least_grade} or more"
        when = "" if self.landmark_days is None else f" by day {self.landmark_days:g}"
        return Words(
            f"immune-related adverse events of {grade}{when}",
            f"patients with an irAE of {grade}{when}",
            f"patients without an irAE of {grade}{when}",
            f"a patient with an irAE of {grade}",
            f"a patient without an irAE of {grade}",
            harm=True,
        )

    def _settle(self, columns: Columns, draft: Draft, inside: np.ndarray) -> Labels:
        grade, flag = columns.number("irae_grade"), columns.number("irae")
        conflict = ((flag == 0) & (grade >= 1)) | ((flag == 1) & (grade == 0))
        if conflict.any():
            raise DataError(
                Problem(
                    f"irAE yes or no and the grade contradict each other for {int(conflict.sum())} patients, "
                    f"e.g. {', '.join(columns.ids(conflict)[:5])}",
                    "Map one of the two columns, or mend the coding of the irae column.",
                    column="irae",
                )
            )
        if self.least_grade > 1:
            # with yes or no alone, only those without would be labelled
            draft.leave_out(columns.absent(("irae_grade",)), "the source has no column irae_grade")
            draft.leave_out((flag == 1) & np.isnan(grade), "irAE of unknown grade")
        had = np.where(np.isnan(grade), flag, (grade >= self.least_grade).astype(float))
        draft.leave_out_unknown(np.isnan(had), ("irae_grade", "irae"), "irAE")
        if self.landmark_days is not None:
            self._settle_by_landmark(columns, draft, had == 1, self.landmark_days)
        draft.decide(had == 1, 1)
        draft.decide(had == 0, 0)
        return draft.labels(self.name, inside)

    def _settle_by_landmark(self, columns: Columns, draft: Draft, had: np.ndarray, landmark: float) -> None:
        onset, day = columns.number("irae_onset_days"), f"day {landmark:g}"
        draft.leave_out_unknown(had & np.isnan(onset), ("irae_onset_days",), "onset of the irAE")
        draft.decide(had & (onset <= landmark), 1)
        # an irAE that began later shows that the patient was still followed at the landmark
        draft.decide(had, 0)
        known = [columns.number("os_months"), columns.number("pfs_months"), weeks(columns.number("exposure_weeks"))]
        followed = np.fmax.reduce(known)
        threshold = days(landmark)
        died = (columns.number("os_event") == 1) & falls_short(columns.number("os_months"), threshold)
        draft.leave_out(died, f"died before {day} without the event")
        draft.leave_out(falls_short(followed, threshold), f"left follow-up before {day} without the event")
        draft.leave_out_unknown(~reaches(followed, threshold), ("os_months", "pfs_months"), "time of follow-up")


@dataclass(frozen=True, kw_only=True)
class SevereIrae(AnyIrae):
    """An irAE of grade 3 or more; sources that only tell yes or no cannot answer it.

    Parameters
    ----------
    landmark_days, arms : see `AnyIrae`.
    """

    name = "irae_grade3"
    needs = "irae_grade (0 to 5); with a landmark also irae_onset_days and os_months or pfs_months"

    least_grade: ClassVar[int] = 3
