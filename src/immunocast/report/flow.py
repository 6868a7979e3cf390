"""Participant flow: how many patients were read, left out and why, and analysed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from immunocast.report.text import humanise
from immunocast.report.view import RunView


@dataclass(frozen=True)
class FlowRow:
    """Participant flow of one cohort, or of all.

    Attributes
    ----------
    name : the cohort, or "All cohorts".
    read, analysed, events : counts of patients; None where the run did not record one.
    excluded : reason in words -> count, largest first.
    """

    name: str
    read: int | None
    excluded: dict[str, int]
    analysed: int | None
    events: int | None

    @property
    def n_excluded(self) -> int:
        """Patients left out."""
        return sum(self.excluded.values())


def participant_flow(view: RunView) -> tuple[FlowRow, list[FlowRow]]:
    """Flow in total and by cohort, from the manifest; analysed counts come from the predictions where it has none.

    Returns
    -------
    (total, rows by cohort in the manifest's order).
    """
    flow: Mapping[str, Any] = view.manifest.get("flow") or {}
    listed = next((v for v in flow.values() if isinstance(v, list)), [])
    cohorts = [
        FlowRow(
            str(row["cohort_id"]),
            _whole(row.get("read")),
            _reasons(row.get("excluded")),
            _whole(row.get("analysed")),
            _whole(row.get("events")),
        )
        for row in listed
    ]
    excluded = _reasons(flow.get("no_endpoint") if isinstance(flow.get("no_endpoint"), Mapping) else None)
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
    )
    return total, cohorts


def _reasons(excluded: Mapping[str, Any] | None) -> dict[str, int]:
    found = {humanise(reason): int(n) for reason, n in (excluded or {}).items() if int(n)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
