"""Whom a model was developed and evaluated on, as counts: types, lines, drugs, ages, assays, years, sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import label
from immunocast.report.text import level_label

if TYPE_CHECKING:
    from immunocast.report.card.facts import Facts

_CATEGORIES = (
    "tumor_type", "stage", "line_of_therapy", "prior_systemic_therapy", "drug_class", "sex", "ancestry", "ecog",
    "pdl1_assay", "tmb_panel", "biopsy_timing",
)  # fmt: skip
#: Characteristics with one row, whose level is a range or a count.
_SINGLE = ("site_id", "treatment_start_year", "age_years")
_BINARY = {"prior_systemic_therapy": {1.0: "yes", 0.0: "no"}}
#: An age range from the smallest to the largest would point at single persons.
AGE_RANGE = (5, 95)


def population(facts: Facts) -> pd.DataFrame:
    """Counts of patients with an outcome, who trained the model or were predicted.

    Returns
    -------
    One row a characteristic and level: `what`, `level`, `n`, `of` (patients in whom it is known), `share`. Sites are
    counted, not named; ages and years are a range in `level`, of ages the middle 90 %.
    """
    if facts.shared.labelled.empty:
        return pd.DataFrame()
    last = _row("abstained", "not scored by the model", facts.n_abstained, facts.view.counts["n"])
    return pd.DataFrame([*facts.shared.population, last])


def count_patients(cohort: pd.DataFrame) -> list[dict[str, object]]:
    """The rows of `population` that all models of a run share."""
    rows: list[dict[str, object]] = [_row("patients", "all", len(cohort), len(cohort))]
    rows += [
        _row("cohort_id", str(name), int(n), len(cohort)) for name, n in cohort["cohort_id"].value_counts().items()
    ]
    sites = _known(cohort, "site_id")
    if len(sites):
        rows.append(_row("site_id", f"{sites.nunique():,} sites", len(sites), len(cohort)))
    years = _known(cohort, "treatment_start_year")
    if len(years):
        rows.append(_row("treatment_start_year", f"{int(years.min())} to {int(years.max())}", len(years), len(cohort)))
    ages = _known(cohort, "age_years")
    if len(ages):
        low, high = np.percentile(ages.astype("float64"), AGE_RANGE)
        rows.append(_row("age_years", f"{low:.0f} to {high:.0f} (middle 90 %)", len(ages), len(cohort)))
    for name in _CATEGORIES:
        values = _known(cohort, name)
        if len(values):
            shown = pd.Series([_BINARY.get(name, {}).get(v, level_label(v)) for v in values], dtype="object")
            rows += [_row(name, level, n, len(values)) for level, n in _ordered(shown.map(_plain).value_counts())]
    return rows


def _ordered(counts: pd.Series) -> list[tuple[str, int]]:
    return sorted(((str(level), int(n)) for level, n in counts.items()), key=lambda pair: (-pair[1], pair[0]))


def levels(frame: pd.DataFrame, what: str, most: int = 99) -> str:
    """Levels of a characteristic with their counts, as a sentence's part; "" where nothing is known.

    >>> levels(pd.DataFrame([_row("sex", "female", 3, 4), _row("sex", "male", 1, 4)]), "sex")
    'female 3, male 1'
    """
    if frame.empty:
        return ""
    rows = frame[frame["what"] == what]
    if what in _SINGLE:
        return str(rows["level"].iloc[0]) if len(rows) else ""
    said = [f"{level} {n:,}" for level, n in zip(rows["level"], rows["n"], strict=True)]
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more


def known(frame: pd.DataFrame, what: str) -> tuple[int, int]:
    """(patients in whom a characteristic is known, all)."""
    rows = frame[frame["what"] == what] if len(frame) else frame
    everybody = int(frame.loc[frame["what"] == "patients", "n"].iloc[0]) if len(frame) else 0
    if rows.empty:
        return 0, everybody
    return int(rows["n"].iloc[0] if what in _SINGLE else rows["of"].iloc[0]), everybody


def characteristic(what: str) -> str:
    """How a characteristic is called."""
    return {"cohort_id": "Cohorts", "patients": "Patients", "abstained": "Not scored"}.get(what, label(what))


def _row(what: str, level: str, n: int, of: int) -> dict[str, object]:
    return {"what": what, "level": level, "n": n, "of": of, "share": n / of if of else np.nan}


def _known(cohort: pd.DataFrame, name: str) -> pd.Series:
    return cohort[name].dropna() if name in cohort else pd.Series(dtype="object")


def _plain(level: object) -> str:
    if isinstance(level, float | np.floating) and float(level).is_integer():
        return str(int(level))
    return str(level)
