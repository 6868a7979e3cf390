"""Units of baseline numbers: a whole column in another unit, or part of it; and values outside of what is usual."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from immunocast.cohort.checks.findings import Part
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.checks.usual import USUAL, Usual
from immunocast.cohort.vocabulary import VOCABULARY, label

register(
    [
        Check(
            "IC-UNIT-001", "error", "a percentage looks like a fraction",
            "All PD-L1 percentages lie between 0 and 1.",
            "Cut-offs of 1 % and 50 % would call everybody negative.",
            "If they are fractions, say so in the mapping: `pdl1_tps: {source: ..., unit: fraction}`.",
            "10 values or more, none above 1, some strictly between 0 and 1.",
        ),
        Check(
            "IC-UNIT-004", "error", "two units in one column",
            "Part of the values are what the others would be in another unit: albumin in g/L among g/dL, fractions "
            "among percentages, mutation counts among rates.",
            "The values in the wrong unit are extreme for every model, and pull scales and medians.",
            "Convert them before reading, or map two columns; where a column tells the site, map site by site.",
            "Two values or more outside of the usual range of the column that lie inside the bulk of the others "
            "once divided by the unit's factor; for PD-L1: three different values or more strictly between .01 and .99 "
            "besides values above 1; for TMB: more patients above 100/Mb than any tumour type has (binomial, p < .001 "
            "against 1 %, 6 % in melanoma, colorectal and endometrial cancer), the bulk below 40.",
        ),
        Check(
            "IC-UNIT-005", "error", "a whole column is in another unit",
            "The typical value lies outside of the usual range, and inside it after a known conversion.",
            "Formulas, cut-offs and pooled models read the values as something else.",
            "State the unit in the mapping: `albumin_g_dl: {source: ..., unit: g/L}`.",
            "10 values or more; the median outside of the usual range (TMB: above 60/Mb outside of melanoma, or "
            "100), and inside it after the conversion.",
        ),
        Check(
            "IC-RANGE-001", "warning", "more implausible values than chance brings",
            "Values are possible but outside of what nearly all patients have.",
            "Typing errors, codes and other units hide among them.",
            "Look at the patients listed; set what is no measurement to missing.",
            "Outside of the usual range (`cohort/checks/usual.py`): more values than 0.5 % of the measured explain "
            "(binomial, p < .001), two at least; or a median outside of it that no known unit explains.",
        ),
        Check(
            "IC-RANGE-002", "error", "values outside of the allowed range",
            "Values lie outside of the closed range that the vocabulary allows.",
            "They can't be what the column says.",
            "Mend them, state the unit, or declare the code for missing.",
            "Any value below `low` or above `high` of the vocabulary, where no unit explains it.",
        ),
        Check(
            "IC-RANGE-003", "error", "dates stand where numbers should",
            "Values look like calendar dates, years, or a spreadsheet's serial numbers of dates.",
            "They are no measurement.",
            "Map the column that holds the measurement, or compute the interval first.",
            "Half of the known values or more, 5 at least, are whole numbers of one of these forms: 19000101 to "
            "20991231 with a valid month "
            "and day; 30000 to 60000 (serial dates); years 1900 to 2035 with a median above 1930.",
        ),
    ]
)  # fmt: skip

_FRACTIONS = ("pdl1_tps", "pdl1_cps")
#: Share of patients above 100/Mb, by the log-normal distributions of the LORIS workbook, rounded up.
_TMB_TAIL = {"Melanoma": 0.06, "Colorectal": 0.06, "Endometrial": 0.06, "Other": 0.06}


def given_as_fraction(patients: pd.DataFrame) -> list[str]:
    """PD-L1 percentages that look like fractions: ten values or more, none above 1, some strictly between."""
    found = []
    for column in _FRACTIONS:
        known = patients[column].dropna() if column in patients else pd.Series(dtype="float64")
        if len(known) >= 10 and known.max() <= 1 and ((known > 0) & (known < 1)).any():
            found.append(column)
    return found


def check_units(part: Part) -> Iterator[dict[str, Any]]:
    """Findings on units and ranges of the baseline numbers of one cohort."""
    fractions = given_as_fraction(part.frame[[c for c in _FRACTIONS if c in part.features]])
    for column in part.features:
        if VOCABULARY[column].kind not in ("number", "integer"):
            continue
        values = part.number(column)
        if column in fractions:
            words = (
                f"All values of {label(column)} lie between 0 and 1. If they are fractions, declare it in the "
                f"mapping, `{column}: {{source: ..., unit: fraction}}`."
            )
            yield part.found("IC-UNIT-001", words, column, n=int((~np.isnan(values)).sum()))
            continue
        dates = _dates(values)
        if dates:
            words = f"{label(column)} holds what looks like {dates}, e.g. {np.nanmedian(values):.0f}."
            yield part.found("IC-RANGE-003", words, column, mask=~np.isnan(values))
            continue
        told = yield from _other_units(part, column, values)
        yield from _ranges(part, column, np.where(told, np.nan, values))


def _other_units(part: Part, column: str, values: np.ndarray):
    """Findings on units; returns the mask of values that they concern."""
    known = ~np.isnan(values)
    told = np.zeros(len(values), dtype=bool)
    usual = USUAL.get(column)
    if usual is None or known.sum() < 10:
        return told
    median = float(np.median(values[known]))
    outside = known & _outside(values, usual)
    if column == "tmb_mut_mb":
        outside = known & (values > 100)
        if not _too_many_high_tmb(part, values, known):
            return told
    if column in _FRACTIONS:
        inside = known & (values > 0.01) & (values < 0.99)
        if len(np.unique(values[inside])) >= 3 and (values > 1).any():
            words = (
                f"{label(column)} holds fractions and percentages: {int(inside.sum())} values lie strictly between 0 "
                f"and 1, {int((values > 1).sum())} above 1."
            )
            yield part.found("IC-UNIT-004", words, column, mask=inside)
            return inside
        return told
    for factor, unit in usual.factors:
        whole = _whole_is_outside(part, column, values, known, usual) and usual.low <= median / factor <= usual.high
        if whole:
            words = (
                f"The median of {label(column)} is {median:.4g}. In {unit} it would be usual: "
                f"is the whole column in another unit (factor {factor:g})?"
            )
            yield part.found("IC-UNIT-005", words, column, mask=known)
            return known
        rest = values[known & ~outside]
        if len(rest) < 8:
            continue
        low, high = np.quantile(rest, [0.005, 0.995])
        side = values > usual.high if factor > 1 else values < usual.low
        explained = outside & side & (values / factor >= 0.7 * low) & (values / factor <= 1.4 * high)
        if column == "tmb_mut_mb":
            explained = outside
        if explained.sum() >= 2:
            words = (
                f"{int(explained.sum())} values of {label(column)} (around {np.median(values[explained]):.4g}) are "
                f"what the others (around {np.median(rest):.4g}) would be in another unit: {unit}, factor {factor:g}?"
            )
            yield part.found("IC-UNIT-004", words, column, mask=explained)
            return explained
    return told


def _whole_is_outside(part: Part, column: str, values: np.ndarray, known: np.ndarray, usual: Usual) -> bool:
    if column != "tmb_mut_mb":
        return bool(_outside(np.array([np.median(values[known])]), usual)[0])
    other = known & ~(part.text("tumor_type") == "Melanoma").to_numpy(dtype=bool)
    return bool((other.sum() >= 10 and np.median(values[other]) > 60) or np.median(values[known]) > 100)


def _too_many_high_tmb(part: Part, values: np.ndarray, known: np.ndarray) -> bool:
    types = part.text("tumor_type").fillna("Other").to_numpy()[known]
    allowed = np.mean([_TMB_TAIL.get(str(t), 0.01) for t in types])
    high = int((values[known] > 100).sum())
    return high >= 3 and bool(binom.sf(high - 1, int(known.sum()), allowed) < 1e-3)


def _ranges(part: Part, column: str, values: np.ndarray) -> Iterator[dict[str, Any]]:
    spec, known = VOCABULARY[column], ~np.isnan(values)
    beyond = known & ((values < (-np.inf if spec.low is None else spec.low)) | (values > (spec.high or np.inf)))
    if beyond.any():
        span = f"{'' if spec.low is None else f'{spec.low:g}'} to {'' if spec.high is None else f'{spec.high:g}'}"
        words = (
            f"{label(column)} must lie within {span}; {int(beyond.sum())} values do not, e.g. {values[beyond][0]:g}."
        )
        yield part.found("IC-RANGE-002", words, column, mask=beyond)
        known &= ~beyond
    usual = USUAL.get(column)
    if usual is None or not known.any():
        return
    outside = known & _outside(values, usual)
    n, k = int(known.sum()), int(outside.sum())
    if k >= 2 and (binom.sf(k - 1, n, 0.005) < 1e-3 or k > n / 2):
        words = (
            f"{k} of {n} values of {label(column)} lie outside of {usual.low:g} to {usual.high:g}, where nearly all "
            f"patients of such cohorts lie, e.g. {values[outside][0]:g}."
        )
        yield part.found("IC-RANGE-001", words, column, mask=outside)


def _outside(values: np.ndarray, usual: Usual) -> np.ndarray:
    return (values < usual.low) | (values > usual.high)


def _dates(values: np.ndarray) -> str:
    """What kind of dates the values are, "" for none."""
    known = values[~np.isnan(values)]
    if len(known) < 5:
        return ""
    whole = known == np.rint(known)
    month, day = np.floor(known / 100) % 100, known % 100
    calendar = (
        whole & (known >= 19000101) & (known <= 20991231) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    )
    forms = {
        "calendar dates (YYYYMMDD)": calendar,
        "serial numbers of dates": whole & (known >= 30_000) & (known <= 60_000),
        "years": whole & (known >= 1900) & (known <= 2035) & (np.median(known) > 1930),
    }
    return next((name for name, mask in forms.items() if mask.mean() >= 0.5 and np.ptp(known[mask]) < 1e6), "")
