"""The gate against a published model of the same run."""

from __future__ import annotations

from typing import Any

from immunocast.gates.evidence import Evidence, interval, known
from immunocast.gates.settings import AgainstReference, Margin
from immunocast.gates.verdict import Finding, passed_if, unknown


def auroc_vs_loris(evidence: Evidence, settings: AgainstReference) -> Finding:
    """AUROC non-inferior to the reference, by the paired test that the run made on their common patients."""
    found = evidence.rows(
        "comparisons",
        metric="auroc",
        model=evidence.model,
        reference_model=settings.reference,
        cohort_id="combined",
        subgroup="all",
    )
    if found.empty:
        return unknown(
            f"the run does not compare the model with {settings.reference}: put it among evaluation.references"
        )
    row = {str(k): v for k, v in found.iloc[0].items()}
    return non_inferior(row, settings.reference, settings)


def non_inferior(row: dict[str, Any], other: str, settings: Margin) -> Finding:
    """The finding from a row of a comparison: `difference` with interval, `n_common`, `n_events`, `note`."""
    n, events = int(row["n_common"]), int(row["n_events"])
    if min(events, n - events) < settings.min_events:
        note = f" ({row['note']})" if row["note"] else ""
        return unknown(
            f"{n:,} fair patients in common with {other}, {events:,} with the event; at least {settings.min_events} "
            f"events and as many others{note}"
        )
    if not known(row["difference"]) or not known(row["ci_low"]):
        return unknown(f"no interval of the difference from {other}: {row['note'] or 'not estimated'}")
    return passed_if(
        float(row["ci_low"]) >= -settings.margin,
        f"AUROC minus that of {other} {interval(row, 'difference', sign='+')} on {n:,} common patients, {events:,} "
        f"with the event; the lower end at least {-settings.margin:g}",
    )
