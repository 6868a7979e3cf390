"""Overall and progression-free survival: times to event, with a binary form at a stated horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunocast.cohort.outcomes.clock import in_words
from immunocast.cohort.outcomes.endpoint import Endpoint, Words, check_time
from immunocast.cohort.outcomes.horizon import settle_by_horizon
from immunocast.cohort.outcomes.labels import Columns, Draft, Labels


@dataclass(frozen=True, kw_only=True)
class _Survival(Endpoint):
    """A time to event."""

    direction = "harm"
    markers = "reversed"

    horizon_months: float = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        check_time("horizon_months", self.horizon_months)

    def _settle(self, columns: Columns, draft: Draft, inside: np.ndarray) -> Labels:
        time, event = columns.number(f"{self.name}_months"), columns.number(f"{self.name}_event")
        known = inside & ~np.isnan(time) & ~np.isnan(event)
        settle_by_horizon(columns, draft, self.name, self.horizon_months)
        return draft.labels(self.name, inside, np.where(known, time, np.nan), np.where(known, event, np.nan))


@dataclass(frozen=True, kw_only=True)
class OverallSurvival(_Survival):
    """Death of any cause; the binary form is death by the horizon.

    Parameters
    ----------
    horizon_months : months from the start of treatment.
    arms : see `Endpoint`.
    """

    name = "os"
    needs = "os_months and os_event (1 = died)"

    @property
    def words(self) -> Words:
        """How reports speak of it."""
        span = in_words(self.horizon_months)
        return Words(
            f"death within {span}",
            f"patients who died within {span}",
            f"patients alive at {span}",
            "a patient who died",
            "a patient who lived on",
            harm=True,
        )


@dataclass(frozen=True, kw_only=True)
class ProgressionFreeSurvival(_Survival):
    """Progression or death, as the source counts PFS events; the binary form is an event by the horizon.

    Parameters
    ----------
    horizon_months : months from the start of treatment.
    arms : see `Endpoint`.
    """

    name = "pfs"
    needs = "pfs_months and pfs_event (1 = progressed or died)"

    horizon_months: float = 6

    @property
    def words(self) -> Words:
        """How reports speak of it."""
        span = in_words(self.horizon_months)
        return Words(
            f"progression or death within {span}",
            f"patients with progression or death within {span}",
            f"patients without progression at {span}",
            "a patient with progression or death",
            "a patient without progression",
            harm=True,
        )
