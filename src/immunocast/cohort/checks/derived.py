"""Columns that were computed from other columns: exact multiples, copies; also in part of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from immunocast.cohort.checks.constants import Imputed
from immunocast.cohort.checks.findings import Part, as_floats
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.checks.stats import decimals
from immunocast.cohort.vocabulary import VOCABULARY, label

register(
    [
        Check(
            "IC-DEP-001", "warning", "a measurement is an exact multiple of another column",
            "One column is a constant times another (plus a constant), to the last digit: it was computed, not "
            "measured. NLR given as 2 x dNLR is the known case.",
            "A model counts one measurement twice, and an approximation passes as the real test.",
            "Map the column that was measured. Unless waived, the analysis view sets an NLR that is an exact "
            "multiple of dNLR (also of one that was not mapped) to missing and adds a measured-flag.",
            "10 patients or more and 8 distinct values; y = a x + b within half of y's last digit for 98 % of the "
            "patients, and a is neither 1 nor a factor between units. Counts and rates of mutations may be multiples.",
        ),
        Check(
            "IC-DEP-002", "warning", "part of the rows are an exact multiple of another column",
            "In more patients than chance allows, two measurements have exactly the same ratio, like 2.000: the "
            "missing ones were filled in from the other column.",
            "As for IC-DEP-001, for these patients.",
            "As for IC-DEP-001; the analysis view sets these NLR values to missing.",
            "The most frequent exact ratio of two blood values or scores (to half of the last digit): at least 5 "
            "patients and 2 %, "
            "more than the ratios nearby explain (binomial, p < 1e-5).",
        ),
        Check(
            "IC-DEP-003", "info", "a column is a copy of another one",
            "Two columns hold the same numbers, perhaps in another unit or shifted.",
            "Harmless if only one of them is used; both together count twice.",
            "Nothing, or map only one.",
            "As IC-DEP-001, with a = 1 or a factor between units.",
        ),
    ]
)  # fmt: skip

_UNIT_FACTORS = (
    1,
    7,
    10,
    12,
    100,
    1000,
    30,
    30.4,
    30.42,
    30.4375,
    30.44,
    30.5,
    4,
    4.3,
    4.33,
    4.345,
    4.348125,
    365,
    365.25,
    52,
    1e6,
)
#: Counts, rates and shares of the same mutations: a constant ratio is their definition.
_MUTATIONS = frozenset({"tmb_mut_mb", "mutation_count", "neoantigen_mut_mb", "btmb_count"})
_MAX_UNMAPPED = 200


def check_derived(part: Part) -> Iterator[dict[str, Any]]:
    """Findings on pairs of numeric columns of one cohort, the source's unmapped ones included."""
    repaired = {(i.column, i.code) for i in derived_values(part)}
    for imputed in derived_values(part):
        yield part.found(imputed.code, imputed.message, imputed.column, mask=imputed.mask)
    numbers = {c: part.number(c) for c in part.features if VOCABULARY[c].kind == "number"}
    for x, y in combinations(numbers, 2):
        if {x, y} <= _MUTATIONS:
            continue
        relation = _relation(numbers[x], numbers[y])
        if relation is not None:
            if {x, y} == {"dnlr", "nlr"} and ("nlr", "IC-DEP-001") in repaired:
                continue
            yield _told(part, y, label(x), *relation)
        elif VOCABULARY[x].block == VOCABULARY[y].block == "blood":
            part_of = _exact_ratio(numbers[x], numbers[y])
            if part_of is not None and not ({x, y} == {"dnlr", "nlr"} and ("nlr", "IC-DEP-002") in repaired):
                ratio, mask = part_of
                words = (
                    f"{label(y)} is exactly {ratio:g} x {label(x)} for {int(mask.sum())} patients: filled in from it?"
                )
                yield part.found("IC-DEP-002", words, y, mask=mask)
    others = unmapped_numbers(part.unmapped)
    for y, values in numbers.items():
        for header, given in others.items():
            relation = _relation(given, values)
            if relation is None or (y in _MUTATIONS and _a_count(header)):
                continue
            if (y, "IC-DEP-001") not in repaired:
                yield _told(part, y, f"the unmapped column {header!r}", *relation)
            break


def derived_values(part: Part) -> list[Imputed]:
    """NLR that was computed from dNLR: no measurement (see `constants.Imputed`)."""
    if "nlr" not in part.features:
        return []
    nlr = part.number("nlr")
    sources = {"dNLR": part.number("dnlr")} if "dnlr" in part.features else {}
    for header, values in unmapped_numbers(part.unmapped).items():
        if "nlr" in header.casefold():
            sources[f"the unmapped column {header!r}"] = values
    for source, given in sources.items():
        relation = _relation(given, nlr)
        if relation is not None and not _is_unit(relation[0]) and relation[1] == 0:
            a, _, mask = relation
            n = int(mask.sum())
            words = f"{label('nlr')} is exactly {a:g} x {source} for {n} patients: computed, not measured."
            return [Imputed("IC-DEP-001", "nlr", mask, words)]
        part_of = _exact_ratio(given, nlr)
        if part_of is not None and abs(part_of[0] - 1) > 0.01:
            ratio, mask = part_of
            words = f"{label('nlr')} is exactly {ratio:g} x {source} for {int(mask.sum())} patients: filled in from it?"
            return [Imputed("IC-DEP-002", "nlr", mask, words)]
    return []


def _told(part: Part, column: str, of: str, a: float, b: float, mask: np.ndarray) -> dict[str, Any]:
    shift = "" if b == 0 else f" {'+' if b > 0 else '-'} {abs(b):.6g}"
    if _is_unit(a):
        words = f"{label(column)} is {of}{'' if abs(a - 1) < 1e-9 else f' x {a:.6g}'}{shift}: one of the two is a copy."
        return part.found("IC-DEP-003", words, column, mask=mask)
    words = f"{label(column)} is exactly {a:.6g} x {of}{shift} for {int(mask.sum())} patients: computed, not measured?"
    return part.found("IC-DEP-001", words, column, mask=mask)


def _is_unit(a: float) -> bool:
    return any(abs(a / f - 1) < 2e-4 or abs(a * f - 1) < 2e-4 for f in _UNIT_FACTORS)


def _a_count(header: str) -> bool:
    return any(word in header.casefold() for word in ("mut", "tmb", "count", "burden", "neo", "load", "snp"))


def unmapped_numbers(unmapped: pd.DataFrame) -> dict[str, np.ndarray]:
    """Header -> values of the unmapped columns that hold numbers: half of the known cells or more."""
    found = {}
    for header in list(unmapped.columns)[:_MAX_UNMAPPED]:
        values = as_floats(unmapped[header])
        known = int((~np.isnan(values)).sum())
        if (
            known >= 10
            and known >= 0.5 * unmapped[header].notna().sum()
            and len(np.unique(values[~np.isnan(values)])) >= 8
        ):
            found[str(header)] = values
    return found


def _relation(x: np.ndarray, y: np.ndarray) -> tuple[float, float, np.ndarray] | None:
    """(a, b, mask) with y = a x + b for nearly all patients, b = 0 where a multiple does; None for none."""
    both = ~np.isnan(x) & ~np.isnan(y)
    if both.sum() < 10:
        return None
    u, v = x[both], y[both]
    # a look at 300 patients spares the rest for pairs that have nothing to do with each other
    few = slice(None, None, max(1, len(u) // 300))
    if len(np.unique(u[few])) < 8 or len(np.unique(v[few])) < 8 or np.std(u) == 0:
        return None
    if abs(np.corrcoef(u[few], v[few])[0, 1]) < 0.98:
        return None
    last_digit = 10.0 ** -decimals(v).max()
    # half of the last digit, on y and (through a) on nothing: y was computed from the x that stands there
    tolerance = 0.51 * last_digit + 1e-6 * np.abs(v)
    if last_digit > 0.02 * np.std(v) + 1e-12:
        return None  # too coarse to tell a copy from a close relative
    positive = u != 0
    candidates = [(float(np.median(v[positive] / u[positive])), 0.0)] if positive.any() else []
    slope = _robust_slope(u, v)
    candidates.append((slope, float(np.median(v - slope * u))))
    for a, b in candidates:
        a, b = _rounded(a), (_rounded(b) if b else 0.0)
        near = np.abs(v - a * u - b) <= tolerance
        if a != 0 and near.mean() >= 0.98:
            mask = np.zeros(len(x), dtype=bool)
            mask[np.flatnonzero(both)[near]] = True
            return a, b, mask
    return None


def _robust_slope(u: np.ndarray, v: np.ndarray) -> float:
    order = np.argsort(u, kind="stable")
    half = len(u) // 2
    du, dv = u[order][half:] - u[order][: len(u) - half], v[order][half:] - v[order][: len(u) - half]
    apart = du > 0
    return float(np.median(dv[apart] / du[apart])) if apart.any() else 0.0


def _rounded(value: float) -> float:
    """The nearest number of five significant digits, if it is as good as the value."""
    short = float(f"{value:.5g}")
    return short if abs(short - value) <= 1e-4 * abs(value) else value


def _exact_ratio(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray] | None:
    """The ratio y / x that too many patients have exactly, and who they are."""
    both = ~np.isnan(x) & ~np.isnan(y) & (x > 0) & (y > 0)
    with np.errstate(over="ignore", under="ignore"):  # beyond all numbers there is no ratio
        ratio = y[both] / x[both]
    both[both] = np.isfinite(ratio) & (ratio > 0)
    n = int(both.sum())
    if n < 20:
        return None
    u, v = x[both], y[both]
    if min(len(np.unique(u)), len(np.unique(v))) < 8:
        return None
    # a few finer values, like an imputed mean, make the others no finer
    digit = 10.0 ** -float(np.quantile(decimals(v), 0.9, method="higher"))
    ratios = np.round(v / u, 2)
    levels, counts = np.unique(ratios, return_counts=True)
    best = levels[np.argsort(-counts, kind="stable")[:3]]
    for a in best:
        if a <= 0:
            continue
        near = np.abs(v - a * u) <= 0.51 * digit + 1e-9
        k = int(near.sum())
        # how wide an interval of the ratio "exactly" is, against the patients in a wide interval around it
        width = (0.51 * digit + 1e-9) / u / a
        around = (np.abs(np.log(v / u / a)) < 0.25) & ~near
        chance = float(np.mean(np.minimum(2 * width / 0.5, 1))) * max(around.sum(), 1) / n
        chance = max(2 * chance, 1e-4)
        if k >= max(5, 0.02 * n) and binom.sf(k - 1, n, min(chance, 1)) * len(levels) < 1e-5:
            mask = np.zeros(len(x), dtype=bool)
            mask[np.flatnonzero(both)[near]] = True
            return float(a), mask
    return None
