"""From a reader's tables to what the pipeline starts with: linked persons, labels, checks, participant flow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunocast.cohort.checks import (
    apply_waivers,
    check_cohort,
    check_duplicates,
    check_problems,
    finding,
    imputed_in,
    set_missing,
    to_checks_table,
)
from immunocast.cohort.expression import check_forms
from immunocast.cohort.linkage import find_links, linkage_settings
from immunocast.cohort.linkage.findings import check_links
from immunocast.cohort.outcomes import Endpoint, Labels, make_endpoint, participant_flow
from immunocast.cohort.spellings import EVENTS, names_status
from immunocast.cohort.table import CohortTables
from immunocast.errors import DataError, Problem


@dataclass(frozen=True)
class PreparedCohort:
    """A cohort that is ready for training.

    Attributes
    ----------
    cohort : cohort table, persons linked.
    labels : of the endpoint.
    checks : rows of the checks table, waivers applied.
    flow : participant flow, see `cohort.outcomes.participant_flow`.
    n_linked : patients who share a person with another patient.
    n_removed : values that were found to be imputed and set to missing.
    """

    cohort: pd.DataFrame
    labels: Labels
    checks: pd.DataFrame
    flow: dict[str, Any]
    n_linked: int
    n_removed: int = 0


def prepare_cohort(
    tables: CohortTables,
    *,
    endpoint: str | Mapping[str, Any] | Endpoint,
    features: Sequence[str],
    linkage: Mapping[str, Any] | None,
    waive: Mapping[str, str] | None,
) -> PreparedCohort:
    """Link persons, label patients, check the data, and set values that were found to be imputed to missing.

    Parameters
    ----------
    tables : what a reader returned.
    endpoint : what `cohort.outcomes.make_endpoint` takes: a name, settings, or an endpoint.
    features : columns that the configured models read.
    linkage : settings of `find_links`, None to leave persons as they are.
    waive : check code, "code:column" or "code:cohort" -> reason; beside the waivers of the cohorts themselves.

    Raises
    ------
    ConfigError
        For an unknown endpoint, settings of the linkage that do not exist, and for waivers of unknown checks or
        without a reason.
    DataError
        Where two outcome columns contradict each other.

    Notes
    -----
    Only the analysis view is repaired; a waived finding leaves its values as they are. The repair looks at no
    outcome and at no fold: a value is no measurement whoever is in the training set (ADR 15).
    """
    linkage_settings(linkage or {})  # a mistake is told, also where nobody is linked
    cohort, found = _linked(tables, linkage)
    labels = make_endpoint(endpoint).label(cohort)
    found += check_forms(cohort)
    found += _checked(cohort, labels, tables, features)
    found = apply_waivers(found, waive, tables.waive, tell_unused=True)
    n_removed = 0
    if tables.provenance.view == "analysis":
        cohort, found, n_removed = set_missing(cohort, imputed_in(cohort, tables.unmapped), found)
    shared = cohort["person_id"].duplicated(keep=False)
    return PreparedCohort(
        cohort=cohort,
        labels=labels,
        checks=to_checks_table(found),
        flow=participant_flow(cohort, labels, tables.checks),
        n_linked=int(shared.sum()),
        n_removed=n_removed,
    )


def inspect_cohort(
    tables: CohortTables,
    *,
    endpoint: str | Mapping[str, Any] | Endpoint = "response",
    features: Sequence[str] = (),
    linkage: Mapping[str, Any] | None = None,
    waive: Mapping[str, str] | None = None,
    problems: Sequence[Problem] = (),
) -> pd.DataFrame:
    """All findings on a cohort, also where a run would stop: contradictions of outcomes and unreadable cells, too.

    Parameters
    ----------
    tables : what a reader returned; the cohort need not satisfy the schema.
    endpoint, features, linkage, waive : see `prepare_cohort`.
    problems : with which the reader would refuse the file.

    Returns
    -------
    Rows of the checks table, waivers applied; nothing is repaired.

    Raises
    ------
    ConfigError
        As `prepare_cohort`.
    """
    linkage_settings(linkage or {})
    found = check_problems(problems, "IC-FILE-009")
    unique = tables.cohort["patient_id"].is_unique
    cohort, linked = _linked(tables, linkage if unique else None)
    endpoint = make_endpoint(endpoint)
    try:
        labels = endpoint.label(cohort)
    except DataError as error:
        found += check_problems(error.problems, "IC-OUT-001")
        nobody = pd.Series(pd.NA, index=cohort.index, dtype="Int64")
        labels = Labels(endpoint.name, nobody, pd.Series("outcomes contradict each other", index=cohort.index))
    found += linked + _checked(cohort, labels, tables, features)
    return to_checks_table(apply_waivers(found, waive, tables.waive, tell_unused=True))


def _linked(tables: CohortTables, linkage: Mapping[str, Any] | None) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The cohort with persons linked, and the findings of the reader and of the linkage."""
    found = [dict(row) for row in tables.checks]
    # simulated patients are nobody twice: agreement is chance
    if linkage is None or tables.provenance.synthetic:
        return tables.cohort, found
    linked = find_links(tables.cohort, **linkage)
    return linked.cohort, [*found, *check_links(linked), *check_duplicates(linked.duplicates)]


def _spelled_flags(tables: CohortTables) -> dict[str, frozenset[str]]:
    """Cohort id -> event flags whose status the reader took from words that name it (IC-FILE-006)."""
    found: dict[str, set[str]] = {}
    for row in tables.checks:
        if row["code"] == "IC-FILE-006" and row["column"] in EVENTS and row["cohort_id"] is not None:
            quoted = re.findall(r"'([^']*)' as [01]", row["message"])
            if quoted and all(names_status(row["column"], text) for text in quoted):
                found.setdefault(row["cohort_id"], set()).add(row["column"])
    return {cohort_id: frozenset(columns) for cohort_id, columns in found.items()}


def _checked(
    cohort: pd.DataFrame, labels: Labels, tables: CohortTables, features: Sequence[str]
) -> list[dict[str, Any]]:
    found = check_cohort(
        cohort,
        labels.y,
        tables.provenance,
        features,
        unmapped=tables.unmapped,
        sources=tables.sources,
        spelled=_spelled_flags(tables),
    )
    return found + [finding("IC-NOTE-001", "info", note) for note in tables.provenance.notes]
