"""Primary and acquired resistance, after the consensus of the Society for Immunotherapy of Cancer.

Source: Kluger HM et al., "Defining tumor resistance to PD-1 pathway blockade: recommendations from the first
meeting of the SITC Immunotherapy Resistance Taskforce", J Immunother Cancer 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from immunocast.cohort.outcomes.clock import in_words, reaches, weeks
from immunocast.cohort.outcomes.endpoint import Endpoint, Words, check_ne, check_time
from immunocast.cohort.outcomes.horizon import settle_by_horizon
from immunocast.cohort.outcomes.labels import Columns, Draft, Labels
from immunocast.cohort.outcomes.response import settle_benefit
from immunocast.errors import ConfigError

PROXIED = "exposure unknown, taken from PFS"
EARLY = "progressed before {months} although treated for longer"


def require_exposure(columns: Columns, draft: Draft, rows: np.ndarray, months: float, words: str) -> None:
    """Leave out the rows that were treated for less than `months`, or for an unknown time.

    An unknown exposure is proxied by PFS and flagged: treatment is taken to have ended with progression. Where PFS
    was censored earlier, the exposure may have been longer and stays unknown.
    """
    known = weeks(columns.number("exposure_weeks"))
    pfs, event = columns.number("pfs_months"), columns.number("pfs_event")
    unknown = rows & draft.open & np.isnan(known)
    long = reaches(pfs, months)
    draft.flag(unknown & (long | (~np.isnan(pfs) & (event == 1))), PROXIED)
    draft.leave_out(rows & ~np.isnan(known) & ~reaches(known, months), f"exposure under {words}")
    draft.leave_out(unknown & ~long & (event == 1) & ~np.isnan(pfs), f"exposure under {words}, taken from PFS")
    draft.leave_out(unknown & ~long & ~np.isnan(pfs), f"exposure unknown, followed for under {words}")
    draft.leave_out_unknown(unknown & ~long, ("exposure_weeks", "pfs_months"), "exposure and PFS")


@dataclass(frozen=True, kw_only=True)
class PrimaryResistance(Endpoint):
    """Primary resistance: PD, or SD that progressed before it was durable, after enough exposure.

    The comparator is CR/PR or durable SD, whatever the exposure.

    Parameters
    ----------
    durable_months : months from which SD is durable.
    exposure_weeks : weeks of treatment that a resistant patient must have had; 0 asks for none.
    ne : "exclude", or "non_response", which counts patients who were not evaluable as PD.
    arms : see `Endpoint`.
    """

    name = "primary_resistance"
    direction = "harm"
    markers = "reversed"
    needs = "bor or responder with pfs_months and pfs_event; exposure_weeks where the source has it"

    durable_months: float = 6
    exposure_weeks: float = 6
    ne: Literal["exclude", "non_response"] = "exclude"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_time("durable_months", self.durable_months)
        check_time("exposure_weeks", self.exposure_weeks, zero=True)
        check_ne(self.ne)

    @property
    def words(self) -> Words:
        """How reports speak of it."""
        return Words(
            f"primary resistance (PD, or SD that progressed before {in_words(self.durable_months)})",
            "patients with primary resistance",
            "patients without primary resistance",
            "a patient with primary resistance",
            "a patient without primary resistance",
            harm=True,
        )

    def _settle(self, columns: Columns, draft: Draft, inside: np.ndarray) -> Labels:
        benefit = Draft(columns)
        settle_benefit(columns, benefit, self.durable_months, self.ne)
        draft.take_flags(benefit)
        draft.leave_out_as(benefit)
        draft.decide(benefit.decided(1), 0)
        if self.exposure_weeks:
            need = weeks(self.exposure_weeks)
            require_exposure(columns, draft, benefit.decided(0), need, f"{self.exposure_weeks:g} weeks")
        draft.decide(benefit.decided(0), 1)
        return draft.labels(self.name, inside)


@dataclass(frozen=True, kw_only=True)
class AcquiredResistance(Endpoint):
    """Acquired resistance: progression after CR/PR or durable SD, and after enough exposure.

    Time to progression is `time_months` and `event` of the labels; the binary form is progression by the horizon,
    and patients censored before it are left out and counted.

    Parameters
    ----------
    horizon_months : months from the start of treatment, later than `exposure_months`.
    durable_months : months from which SD is durable.
    exposure_months : months of treatment that a patient must have had.
    arms : see `Endpoint`.
    """

    name = "acquired_resistance"
    direction = "harm"
    # what is agreed on for response was not shown for losing it
    markers = "unknown"
    needs = "bor or responder with pfs_months and pfs_event; exposure_weeks where the source has it"

    horizon_months: float = 12
    durable_months: float = 6
    exposure_months: float = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_time("durable_months", self.durable_months)
        check_time("exposure_months", self.exposure_months, zero=True)
        check_time("horizon_months", self.horizon_months)
        if self.horizon_months <= self.exposure_months:
            raise ConfigError(
                f"endpoint.horizon_months is {self.horizon_months:g}, not later than endpoint.exposure_months "
                f"({self.exposure_months:g}): nobody could acquire resistance in between."
            )

    @property
    def words(self) -> Words:
        """How reports speak of it."""
        return Words(
            f"acquired resistance within {in_words(self.horizon_months)} (progression after CR, PR or durable SD)",
            "patients with acquired resistance",
            "patients without acquired resistance",
            "a patient with acquired resistance",
            "a patient without acquired resistance",
            harm=True,
        )

    def _settle(self, columns: Columns, draft: Draft, inside: np.ndarray) -> Labels:
        benefit = Draft(columns)
        # NE is in no denominator, however it is counted
        settle_benefit(columns, benefit, self.durable_months, "exclude")
        draft.take_flags(benefit)
        draft.leave_out_as(benefit)
        draft.leave_out(
            benefit.decided(0), f"no benefit to lose (PD, or SD that progressed before {in_words(self.durable_months)})"
        )
        if self.exposure_months:
            require_exposure(columns, draft, draft.open.copy(), self.exposure_months, in_words(self.exposure_months))
        time, event = columns.number("pfs_months"), columns.number("pfs_event")
        early = draft.open & (event == 1) & ~reaches(time, self.exposure_months) & ~np.isnan(time)
        draft.flag(early, EARLY.format(months=in_words(self.exposure_months)))
        population = draft.open & ~np.isnan(time) & ~np.isnan(event)
        settle_by_horizon(columns, draft, "pfs", self.horizon_months)
        return draft.labels(self.name, inside, np.where(population, time, np.nan), np.where(population, event, np.nan))
