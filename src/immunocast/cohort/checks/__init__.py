"""Checks with codes: what is suspicious in a cohort table, said before any model sees it.

One module a family; each puts its checks into the register (`registry.CHECKS`), from which `docs/checks.md` is made.
A finding of severity `error` stops the run unless the configuration waives it with a reason. All rules are general:
none knows a cohort by its name, none depends on the order of rows or on ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import immunocast.cohort.checks.studies  # noqa: F401  # fills the register
from immunocast.cohort.checks import categories, derived, duplicates, flags, leaks, missing, others, shift, times, units
from immunocast.cohort.checks.constants import Imputed, check_constants, imputed_values
from immunocast.cohort.checks.duplicates import check_duplicates
from immunocast.cohort.checks.findings import (
    CHECK_COLUMNS,
    Part,
    finding,
    raise_on_errors,
    to_checks_table,
)
from immunocast.cohort.checks.flags import known_for_events_only
from immunocast.cohort.checks.others import check_controls, check_performance, check_problems
from immunocast.cohort.checks.registry import CHECKS, Check, Severity
from immunocast.cohort.checks.repair import set_missing
from immunocast.cohort.checks.units import given_as_fraction
from immunocast.cohort.checks.waivers import apply_waivers
from immunocast.cohort.table import Provenance
from immunocast.cohort.vocabulary import FEATURES

__all__ = [
    "CHECKS",
    "CHECK_COLUMNS",
    "Check",
    "Imputed",
    "Severity",
    "apply_waivers",
    "check_cohort",
    "check_controls",
    "check_duplicates",
    "check_performance",
    "check_problems",
    "finding",
    "given_as_fraction",
    "imputed_in",
    "known_for_events_only",
    "raise_on_errors",
    "set_missing",
    "to_checks_table",
]

#: Objective response by best overall response, whatever endpoint is predicted.
RESPONSE_OF_BOR = {"CR": 1, "PR": 1, "SD": 0, "PD": 0}

Sources = Mapping[str, Mapping[str, str]]


def check_cohort(
    cohort: pd.DataFrame,
    y: pd.Series,
    provenance: Provenance,
    features: Sequence[str],
    *,
    unmapped: pd.DataFrame | None = None,
    sources: Sources | None = None,
    spelled: Mapping[str, frozenset[str]] | None = None,
) -> list[dict[str, Any]]:
    """Run all checks of a cohort table.

    Parameters
    ----------
    cohort : cohort table; values may lie outside of the schema's ranges (then IC-RANGE-002 tells).
    y : (n,) Int64 labels, <NA> where unclassifiable.
    provenance : of the cohort.
    features : columns that the configured models read. All features of the table are checked, these for absence, too.
    unmapped : the source's other columns, a row for each of `cohort`, in the same order.
    sources : cohort id -> {vocabulary name -> header in the source}.
    spelled : cohort id -> event flags that the source spells in words which name the status, like DECEASED.

    Returns
    -------
    Findings as rows of the checks table.
    """
    found = []
    if provenance.view == "as_published":
        words = (
            "The view as_published keeps imputed constants and wrong units as they were printed. It serves "
            "the reproduction of published numbers; train on cohort.view=analysis."
        )
        found.append(finding("IC-VIEW-001", "error", words, n=len(cohort)))
    parts = [
        replace(part, spelled=(spelled or {}).get(part.cohort_id, frozenset()))
        for part in _parts(cohort, y, unmapped, sources)
    ]
    n_tests = sum(len(part.features) for part in parts)
    leaked: list[dict[str, Any]] = []
    for part in parts:
        found += others.check_events(part)
        found += missing.check_whole_columns(part, features)
        found += [part.found(i.code, i.message, i.column, mask=i.mask) for i in imputed_values(part)]
        found += check_constants(part)
        found += units.check_units(part)
        found += derived.check_derived(part)
        found += times.check_times(part)
        found += flags.check_flags(part)
        leaked += leaks.check_leaks(part, part.features)
        found += leaks.check_names(part, features)
        found += leaks.check_unmapped(part)
        found += missing.check_missingness(part, n_tests)
        found += categories.check_categories(part)
        found += duplicates.check_copies(part)
    if len(parts) > 1 and not any(f["code"] in ("IC-LEAK-001", "IC-LEAK-002") for f in leaked):
        # many small cohorts: none is large enough for an alarm of its own
        everyone = _part("", cohort, y, None, {})
        over_all = leaks.check_leaks(everyone, everyone.features)
        leaked += [{**f, "cohort_id": None} for f in over_all if f["code"] in ("IC-LEAK-001", "IC-LEAK-002")]
    found += leaked
    found += shift.check_shift(cohort, [f for f in FEATURES if f in cohort])
    return found


def imputed_in(cohort: pd.DataFrame, unmapped: pd.DataFrame | None = None) -> Iterator[tuple[str, pd.Index, Imputed]]:
    """All values of a cohort table that are no measurements, by cohort; no outcome is looked at.

    Yields
    ------
    cohort_id, index labels of the cohort's rows, and the finding, whose mask is aligned with that index.
    """
    nobody = pd.Series(pd.NA, index=cohort.index, dtype="Int64")
    for part in _parts(cohort, nobody, unmapped, None):
        for found in (*imputed_values(part), *derived.derived_values(part)):
            yield part.cohort_id, part.frame.index, found


def _parts(cohort: pd.DataFrame, y: pd.Series, unmapped: pd.DataFrame | None, sources: Sources | None) -> list[Part]:
    if unmapped is not None:
        unmapped = unmapped.set_axis(cohort.index)
    return [
        _part(str(cohort_id), rows, y[rows.index], unmapped, (sources or {}).get(str(cohort_id), {}))
        for cohort_id, rows in cohort.groupby("cohort_id", sort=True)
    ]


def _part(
    cohort_id: str, rows: pd.DataFrame, y: pd.Series, unmapped: pd.DataFrame | None, sources: Mapping[str, str]
) -> Part:
    rows = rows.sort_values("patient_id", kind="stable")
    flag = rows["responder"] if "responder" in rows else pd.Series(np.nan, index=rows.index)
    bor = rows["bor"] if "bor" in rows else pd.Series(None, index=rows.index, dtype="str")
    response = bor.map(RESPONSE_OF_BOR).astype("Float64").fillna(flag.astype("Float64"))
    features = tuple(f for f in FEATURES if f in rows and rows[f].notna().any())
    own = pd.DataFrame(index=rows.index) if unmapped is None else unmapped.loc[rows.index]
    return Part(
        cohort_id,
        rows,
        y[rows.index],
        response.to_numpy("float64", na_value=np.nan),
        features,
        own.loc[:, own.notna().any(axis=0).to_numpy(dtype=bool)] if len(own.columns) else own,
        sources,
    )
