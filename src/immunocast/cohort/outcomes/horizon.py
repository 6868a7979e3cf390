"""The binary form of a time to event: had it happened by a stated horizon?"""

from __future__ import annotations

import numpy as np

from immunocast.cohort.outcomes.clock import in_words, is_within, reaches
from immunocast.cohort.outcomes.labels import Columns, Draft


def settle_by_horizon(columns: Columns, draft: Draft, which: str, horizon: float) -> None:
    """Settle everybody who is open by a time to event at a horizon.

    1 where the event came by the horizon, that day included; 0 where the patient was followed to the horizon
    without it. Patients censored before are left out.

    Parameters
    ----------
    columns, draft : of the cohort.
    which : "os" or "pfs".
    horizon : months.
    """
    time, event = columns.number(f"{which}_months"), columns.number(f"{which}_event")
    span, name = in_words(horizon), which.upper()
    draft.leave_out_unknown(np.isnan(time), (f"{which}_months",), f"{name} time")
    draft.decide((event == 1) & is_within(time, horizon), 1)
    draft.decide(reaches(time, horizon), 0)
    draft.leave_out_unknown(np.isnan(event), (f"{which}_event",), f"{name} event")
    draft.leave_out(draft.open.copy(), f"{name} censored before {span}")
