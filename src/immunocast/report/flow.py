"""Participant flow: how many patients were read, left out and why, and analysed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from immunocast.report.text import humanise, number
from immunocast.report.view import RunView


@dataclass(frozen=True)
class FlowRow:
    """Participant flow of one cohort, or of all.

    Attributes
    ----------
    name : the cohort, or "All cohorts".
    read, analysed, events : counts of patients; None where the run did not record one.
    excluded : reason in words -> count, largest first.
    source : rows of the source, None where not recorded.
    dropped : why the reader dropped rows -> count.
    linked : patients who are also, under another id, in another cohort.
    flags : what is to be told of patients -> count.
    follow_up : "OS" or "PFS" -> median follow-up as text, e.g. "23.2 months (n = 2,273)".
    """

    name: str
    read: int | None
    excluded: dict[str, int]
    analysed: int | None
    events: int | None
    source: int | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    linked: int | None = None
    flags: dict[str, int] = field(default_factory=dict)
    follow_up: dict[str, str] = field(default_factory=dict)

    @property
    def n_excluded(self) -> int:
        """Patients left out."""
        return sum(self.excluded.values())

    @property
    def n_dropped(self) -> int:
        """Rows that the reader dropped."""
        return sum(self.dropped.values())


def participant_flow(view: RunView) -> tuple[FlowRow, list[FlowRow]]:
    """Flow in total and by cohort, from the manifest; analysed counts come from the predictions where it has none.

    Returns
    -------
    (total, rows by cohort in the manifest's order).
    """
    flow: Mapping[str, Any] = view.manifest.get("flow") or {}
    cohorts = [
        FlowRow(
            str(row["cohort_id"]),
            _whole(row.get("read")),
            _reasons(row.get("excluded")),
            _whole(row.get("analysed")),
            _whole(row.get("events")),
            **_more(row),
        )
        for row in flow.get("cohorts") or []
    ]
    excluded = _reasons(flow.get("no_endpoint"))
    if not excluded:
        for row in cohorts:
            for reason, n in row.excluded.items():
                excluded[reason] = excluded.get(reason, 0) + n
    analysed = _whole(flow.get("analysed"))
    total = FlowRow(
        "All cohorts",
        _whole(flow.get("read")),
        excluded,
        view.counts["n"] if analysed is None else analysed,
        sum(r.events for r in cohorts if r.events is not None) if cohorts else view.counts["n_events"],
        **_more(flow),
    )
    return total, cohorts


def _more(part: Mapping[str, Any]) -> dict[str, Any]:
    """What runs record since endpoints have settings."""
    return {
        "source": _whole(part.get("source")),
        "dropped": _reasons(part.get("dropped")),
        "linked": _whole(part.get("linked")),
        "flags": _reasons(part.get("flags")),
        "follow_up": {name.upper(): follow_up_text(about) for name, about in (part.get("follow_up") or {}).items()},
    }


def follow_up_text(about: Mapping[str, Any]) -> str:
    """Median follow-up in words.

    >>> follow_up_text({"n": 2273, "median_months": 23.2279})
    '23.2 months (n = 2,273)'
    """
    median = about.get("median_months")
    shown = "not reached" if median is None else f"{number(median, 1)} months"
    return f"{shown} (n = {int(about['n']):,})"


def _reasons(excluded: Mapping[str, Any] | None) -> dict[str, int]:
    # a code becomes words; a sentence keeps its column names
    found = {
        (reason if " " in reason else humanise(reason)): int(n) for reason, n in (excluded or {}).items() if int(n)
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
