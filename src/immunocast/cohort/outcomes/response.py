"""Objective response, and durable clinical benefit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from immunocast.cohort.outcomes.clock import falls_short, in_words, reaches
from immunocast.cohort.outcomes.endpoint import Endpoint, Words, check_ne, check_time
from immunocast.cohort.outcomes.labels import Columns, Draft, Labels
from immunocast.errors import DataError, Problem

NOT_EVALUABLE = "response not evaluable (NE)"
LATE_PD = "PD as best response, but PFS reaches {months}: kept as PD"
BY_FLAG = "labelled by the source's own dcb flag, for want of best response or PFS"
FLAG_DIFFERS = "the source's dcb flag says otherwise: {precedence}"


def best_response(columns: Columns) -> np.ndarray:
    """(n,) best response: CR, PR, SD, PD or NE where `bor` tells, else "CR/PR" or "SD/PD" by `responder`, else "".

    NE wins over a flag: files often code NE as 0, and NE is never a non-response.

    Raises
    ------
    DataError
        Where `bor` and `responder` contradict each other, naming patients.
    """
    bor, flag = columns.text("bor"), columns.number("responder")
    good = np.isin(bor, ("CR", "PR"))
    conflict = np.isin(bor, ("CR", "PR", "SD", "PD")) & ~np.isnan(flag) & (good != (flag == 1))
    if conflict.any():
        raise DataError(
            Problem(
                f"best overall response and responder flag contradict each other for {int(conflict.sum())} "
                f"patients, e.g. {', '.join(columns.ids(conflict)[:5])}",
                "Map one of the two columns, or mend the coding of the responder column.",
                column="responder",
            )
        )
    by_flag = np.select([flag == 1, flag == 0], ["CR/PR", "SD/PD"], "")
    return np.where(bor == "", by_flag, bor).astype(object)


def settle_not_evaluable(draft: Draft, best: np.ndarray, ne: str) -> None:
    """NE is left out, or counted as a non-response."""
    if ne == "exclude":
        draft.leave_out(best == "NE", NOT_EVALUABLE)
    else:
        draft.decide(best == "NE", 0)


def settle_benefit(columns: Columns, draft: Draft, durable_months: float, ne: str) -> None:
    """Settle who had durable clinical benefit: 1 for CR/PR and durable SD, 0 for PD and SD that progressed early.

    Parameters
    ----------
    columns : of the cohort.
    draft : patients who are settled already stay as they are.
    durable_months : how long SD must last.
    ne : "exclude" or "non_response".

    Notes
    -----
    Where only `responder` is known, PFS tells: a non-responder whose PFS reaches `durable_months` had durable SD, one
    who progressed before had PD or SD that did not last, 0 either way; one censored before had SD of unknown
    duration. Precedence over the source's own `dcb` flag: best response with PFS, then the flag, then PFS alone.
    """
    best, flag = best_response(columns), columns.number("dcb")
    pfs, event = columns.number("pfs_months"), columns.number("pfs_event")
    span = in_words(durable_months)
    long, short = reaches(pfs, durable_months), falls_short(pfs, durable_months)
    good, bad = np.isin(best, ("CR", "PR", "CR/PR")), best == "PD"
    stable = np.isin(best, ("SD", "SD/PD"))
    derived = np.select(
        [good, bad, stable & long, stable & short & (event == 1), (best == "") & long],
        [1.0, 0.0, 1.0, 0.0, 1.0],
        np.nan,
    )
    flagged = ~np.isnan(flag)
    differs = flagged & ~np.isnan(derived) & (flag != derived)
    draft.flag(differs & (best != ""), FLAG_DIFFERS.format(precedence="best response and PFS decide"))
    draft.flag(differs & (best == ""), FLAG_DIFFERS.format(precedence="the flag decides over PFS alone"))
    draft.flag(bad & long, LATE_PD.format(months=span))

    settle_not_evaluable(draft, best, ne)
    draft.decide((best != "") & (derived == 1), 1)
    draft.decide((best != "") & (derived == 0), 0)
    censored = short & (event == 0)
    draft.leave_out((best == "SD") & censored, f"SD, censored before {span}")
    draft.leave_out((best == "SD/PD") & censored, f"SD or PD, censored before {span}")
    draft.flag(draft.open & flagged, BY_FLAG)
    draft.decide(flagged, flag)
    # stable disease whose duration is unknown
    draft.leave_out_unknown(stable & np.isnan(pfs), ("pfs_months",), "SD or PD, PFS")
    draft.leave_out_unknown(stable, ("pfs_event",), f"PFS under {span}, PFS event")
    # no best response at all
    draft.decide(long, 1)
    draft.leave_out(short, f"best response unknown, PFS under {span}")
    draft.leave_out_unknown(best == "", ("bor", "responder", "dcb"), "best overall response")


@dataclass(frozen=True, kw_only=True)
class Response(Endpoint):
    """Objective response: best overall response CR/PR against SD/PD.

    `bor` decides where it is known, else the source's own `responder` flag.

    Parameters
    ----------
    ne : "exclude" leaves out patients who were not evaluable; "non_response" counts them as non-responders.
    arms : see `Endpoint`.
    """

    name = "response"
    direction = "benefit"
    markers = "same"
    needs = "bor (CR, PR, SD, PD, NE) or responder (0/1)"

    ne: Literal["exclude", "non_response"] = "exclude"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ne(self.ne)

    @property
    def words(self) -> Words:
        """How reports speak of it."""
        against = "SD or PD" if self.ne == "exclude" else "SD, PD or NE"
        return Words(
            f"objective response (CR or PR, against {against})",
            "responders",
            "non-responders",
            "a responder",
            "a non-responder",
            rate="ORR",
        )

    def _settle(self, columns: Columns, draft: Draft, inside: np.ndarray) -> Labels:
        best = best_response(columns)
        settle_not_evaluable(draft, best, self.ne)
        draft.decide(np.isin(best, ("CR", "PR", "CR/PR")), 1)
        draft.decide(np.isin(best, ("SD", "PD", "SD/PD")), 0)
        draft.leave_out_unknown(best == "", ("bor", "responder"), "best overall response")
        return draft.labels(self.name, inside)


@dataclass(frozen=True, kw_only=True)
class DurableBenefit(Endpoint):
    """Durable clinical benefit: CR/PR or durable SD, against PD or SD that progressed before it was durable.

    Parameters
    ----------
    durable_months : months from which SD is durable; a PFS of exactly so long is.
    ne : as for `Response`.
    arms : see `Endpoint`.
    """

    name = "dcb"
    direction = "benefit"
    markers = "same"
    needs = "bor or responder with pfs_months and pfs_event, or the source's own dcb (0/1)"

    durable_months: float = 6
    ne: Literal["exclude", "non_response"] = "exclude"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_time("durable_months", self.durable_months)
        check_ne(self.ne)

    @property
    def words(self) -> Words:
        """How reports speak of it."""
        return Words(
            f"durable clinical benefit (CR, PR, or SD of {in_words(self.durable_months)} and more)",
            "patients with durable benefit",
            "patients without durable benefit",
            "a patient with durable benefit",
            "a patient without durable benefit",
            rate="rate of durable benefit",
        )

    def _settle(self, columns: Columns, draft: Draft, inside: np.ndarray) -> Labels:
        settle_benefit(columns, draft, self.durable_months, self.ne)
        return draft.labels(self.name, inside)
