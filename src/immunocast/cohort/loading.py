"""From a reader's tables to what the pipeline starts with: linked persons, labels, checks, participant flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunocast.cohort.expression import check_forms
from immunocast.cohort.linkage import link_persons
from immunocast.cohort.outcomes import Labels, make_labels, participant_flow
from immunocast.cohort.quality import apply_waivers, check_cohort, check_links, finding, to_checks_table
from immunocast.cohort.table import CohortTables
from immunocast.errors import ConfigError


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
    linkage : arguments of `link_persons`, None to leave persons as they are.
    waive : check code -> reason.

    Raises
    ------
    ConfigError
        For an unknown endpoint, settings of the linkage that do not exist, and waivers without a reason.
    DataError
        Where two outcome columns contradict each other.
    """
    unknown = set(linkage or {}) - {"exact", "tolerance", "minimum"}
    if unknown:
        raise ConfigError(f"linkage.{sorted(unknown)[0]}: unknown; known are exact, tolerance and minimum.")
    cohort, found = tables.cohort, [dict(row) for row in tables.checks]
    # simulated patients are nobody twice: a fingerprint that agrees is chance
    if linkage and not tables.provenance.synthetic:
        cohort, links = link_persons(cohort, **linkage)
        found += check_links(links)
    labels = make_labels(cohort, endpoint)
    found += check_forms(cohort)
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
