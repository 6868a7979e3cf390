"""From a reader's tables to what the pipeline starts with: linked persons, labels, checks, participant flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunocast.cohort.linkage import find_links, linkage_settings
from immunocast.cohort.linkage.findings import check_links
from immunocast.cohort.outcomes import Labels, make_labels, participant_flow
from immunocast.cohort.quality import apply_waivers, check_cohort, finding, to_checks_table
from immunocast.cohort.table import CohortTables


@dataclass(frozen=True)
class PreparedCohort:
    """A cohort that is ready for training.

    Attributes
    ----------
    cohort : cohort table, persons linked.
    labels : of the endpoint.
    checks : rows of the checks table, waivers applied.
    flow : participant flow, see `cohort.outcomes.participant_flow`.
    n_linked : patients who share a person with a patient of another cohort.
    """

    cohort: pd.DataFrame
    labels: Labels
    checks: pd.DataFrame
    flow: dict[str, Any]
    n_linked: int


def prepare_cohort(
    tables: CohortTables,
    *,
    endpoint: str,
    features: Sequence[str],
    linkage: Mapping[str, Any] | None,
    waive: Mapping[str, str] | None,
) -> PreparedCohort:
    """Link persons, label patients and check the data.

    Parameters
    ----------
    tables : what a reader returned.
    endpoint : key of `cohort.outcomes.ENDPOINTS`.
    features : columns that the configured models read.
    linkage : settings of `find_links`, None to leave persons as they are.
    waive : check code -> reason.

    Raises
    ------
    ConfigError
        For an unknown endpoint, settings of the linkage that do not exist, and waivers without a reason.
    DataError
        Where two outcome columns contradict each other.
    """
    linkage_settings(linkage or {})  # a mistake is told, also where nobody is linked
    cohort, found = tables.cohort, [dict(row) for row in tables.checks]
    # simulated patients are nobody twice: agreement is chance
    if linkage is not None and not tables.provenance.synthetic:
        linked = find_links(cohort, **linkage)
        cohort = linked.cohort
        found += check_links(linked)
    labels = make_labels(cohort, endpoint)
    found += check_cohort(cohort, labels.y, tables.provenance, features)
    found += [finding("IC-NOTE-001", "info", note) for note in tables.provenance.notes]
    shared = cohort["person_id"].duplicated(keep=False)
    return PreparedCohort(
        cohort=cohort,
        labels=labels,
        checks=to_checks_table(apply_waivers(found, waive)),
        flow=participant_flow(cohort, labels),
        n_linked=int(shared.sum()),
    )
