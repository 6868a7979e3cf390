"""What the linkage found, as rows of the checks table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from immunocast.cohort.checks import finding
from immunocast.cohort.linkage.matching import Linkage


def check_links(found: Linkage) -> list[dict[str, Any]]:
    """Findings on persons who appear in two cohorts, at most a row a pair of cohorts and kind.

    Parameters
    ----------
    found : of `find_links`.

    Returns
    -------
    IC-LINK-001 (linked), IC-LINK-002 (perhaps the same person, not linked), IC-LINK-003 (all but a decisive field
    agrees) and IC-LINK-004 (links that contradict each other, left out). Duplicates inside a cohort are the
    business of the checks of one cohort.
    """
    across = found.uncertain[found.uncertain["cohort_id"] != found.uncertain["linked_cohort_id"]]
    conflict = across["why"].str.startswith("conflict in ")
    contradiction = across["why"].isin(["taken", "contradiction"])
    return [
        *_by_cohorts(
            found.links,
            "IC-LINK-001",
            "warning",
            "{n} patients of {a} are patients of {b} under other ids (agreement in {fields}; lowest probability "
            "{low:.3f}). They are one person each: never on both sides of a split.",
        ),
        *_by_cohorts(
            across[~conflict & ~contradiction],
            "IC-LINK-002",
            "info",
            "{n} patients of {a} may be patients of {b} (probability {low:.2f} to {high:.2f}). They are not linked.",
        ),
        *_by_cohorts(
            across[conflict],
            "IC-LINK-003",
            "warning",
            "{n} patients of {a} would be patients of {b}, were it not for a {why}. They are not linked. Is it coded "
            "the other way round in one of the files?",
        ),
        *_by_cohorts(
            across[contradiction],
            "IC-LINK-004",
            "warning",
            "{n} links of {a} with {b} were left out, since they would make two patients of one cohort one person. "
            "Is a patient of theirs twice in a file?",
        ),
    ]


def _by_cohorts(pairs: pd.DataFrame, code: str, severity: str, words: str) -> list[dict[str, Any]]:
    rows = []
    for (a, b), part in pairs.groupby(["cohort_id", "linked_cohort_id"], sort=True):
        agreed = part["agreed"].str.split(";").explode().value_counts()
        text = words.format(
            n=len(part),
            a=a,
            b=b,
            fields=", ".join(sorted(agreed[agreed >= 0.9 * len(part)].index)),
            low=part["posterior"].min(),
            high=part["posterior"].max(),
            why=part["why"].iloc[0] if "why" in part else "",
        )
        rows.append(finding(code, severity, text, cohort_id=str(a), n=len(part), rows=part["patient_id"]))
    return rows
