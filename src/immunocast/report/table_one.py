"""Table 1: characteristics of the analysed patients, by cohort and in total."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, Column, label
from immunocast.report.text import level_label, percent

#: Free text with many values, and follow-up times whose plain median would ignore censoring.
_LEFT_OUT = {"patient_id", "cohort_id", "person_id", "site_id", "regimen", "pfs_months", "os_months"}
_PROFILE = Callable[[pd.DataFrame], str]
TOTAL = "Total"


def table_one(cohort: pd.DataFrame) -> pd.DataFrame:
    """Characteristics by cohort and in total.

    Parameters
    ----------
    cohort : (n, columns) cohort table of the patients to describe.

    Returns
    -------
    One row a characteristic or level: `characteristic` ("" on the rows of its levels), `level`, "Total", and a
    column a cohort (largest first). Numbers are median [quartiles], categories n (% of the known), and a
    row "Missing" stands wherever a value is missing somewhere. Values that the publisher imputed are counted.

    Notes
    -----
    Columns that no patient has are left out. Follow-up times are left out: they need censoring.
    """
    counts = cohort["cohort_id"].value_counts()
    names = sorted(counts.index, key=lambda c: (-counts[c], c))
    parts = {TOTAL: cohort} | {str(c): cohort[cohort["cohort_id"] == c] for c in names}
    rows: list[dict[str, str]] = []

    def add(characteristic: str, level: str, profile: _PROFILE) -> None:
        cells = {name: profile(part) for name, part in parts.items()}
        rows.append({"characteristic": characteristic, "level": level, **cells})

    add("Patients", "", lambda part: f"{len(part):,}")
    for column in VOCABULARY.values():
        if column.name in _LEFT_OUT or column.name not in cohort or cohort[column.name].isna().all():
            continue
        _describe(add, column, cohort)
    return pd.DataFrame(rows, columns=["characteristic", "level", *parts])


def _describe(add: Callable[[str, str, _PROFILE], None], column: Column, cohort: pd.DataFrame) -> None:
    name, values = column.name, cohort[column.name]
    many = column.kind == "integer" and (values.nunique() > 6 or name == "treatment_start_year")
    if column.kind == "number" or many:
        digits = _digits(column, values)
        add(label(name), "median [quartiles]", lambda part: _quartiles(part[name], digits))
    elif column.kind == "binary":
        add(label(name), "yes", lambda part: _share(part[name], 1))
    else:
        add(label(name), "", lambda part: "")
        for level in _levels(column, values):
            add("", level_label(level), lambda part, level=level: _share(part[name], level))  # type: ignore[misc]
    if values.isna().any():
        add("", "Missing", lambda part: _count(part[name].isna()))
    flag = name + MEASURED_SUFFIX
    if flag in cohort and (cohort[flag] == 0).any():
        add("", "Imputed at source", lambda part: _count((part[flag] == 0).fillna(False)))


def _levels(column: Column, values: pd.Series) -> list[object]:
    """Levels that occur: in the vocabulary's order where that has a meaning, else the most frequent first."""
    counts = values.value_counts()
    if column.categories and column.name != "tumor_type":
        return [c for c in column.categories if c in counts.index]
    if column.kind == "integer":
        return sorted(counts.index)
    return sorted(counts.index, key=lambda v: (-counts[v], str(v)))


def _digits(column: Column, values: pd.Series) -> int:
    """Decimals that tell patients apart: none for large or whole numbers, two for fractions."""
    if column.kind == "integer" or column.name in ("age_years", "pdl1_tps"):
        return 0
    size = float(values.dropna().abs().quantile(0.75))
    return 0 if size >= 100 else 1 if size >= 2 else 2


def _quartiles(values: pd.Series, digits: int) -> str:
    known = values.dropna().astype("float64")
    if known.empty:
        return "–"
    low, middle, high = known.quantile([0.25, 0.5, 0.75])
    return f"{middle:.{digits}f} [{low:.{digits}f} to {high:.{digits}f}]"


def _share(values: pd.Series, level: object) -> str:
    known = int(values.count())
    if not known:
        return "–"
    n = int((values == level).sum())
    return f"{n:,} ({percent(n, known)})" if n else "0"


def _count(mask: pd.Series) -> str:
    n = int(mask.sum())
    return f"{n:,} ({percent(n, len(mask))})" if n else "0"
