"""Gates of size: how many patients, and how many events, the model's performance rests on."""

from __future__ import annotations

from immunocast.gates.evidence import Evidence
from immunocast.gates.settings import Least
from immunocast.gates.verdict import Finding, passed_if, unknown


def min_patients(evidence: Evidence, settings: Least) -> Finding:
    """Patients with a fair prediction by the model."""
    row = evidence.estimate("auroc")
    if row is None:
        return unknown("the run has no AUROC of this model over all cohorts")
    n = int(row["n"])
    return passed_if(n >= settings.value, f"{n:,} patients with a fair prediction; at least {settings.value:,}")


def min_events(evidence: Evidence, settings: Least) -> Finding:
    """The smaller class decides how surely performance is known."""
    row = evidence.estimate("auroc")
    if row is None:
        return unknown("the run has no AUROC of this model over all cohorts")
    events = int(row["n_events"])
    others = int(row["n"]) - events
    return passed_if(
        min(events, others) >= settings.value,
        f"{events:,} events and {others:,} others; at least {settings.value:,} of each",
    )
