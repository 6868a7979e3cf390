"""Times: wrong unit in a whole column or in part of it, and times that contradict each other or the response."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from immunocast.cohort.checks.findings import Part
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.checks.stats import MIN_CLASS, auroc, decimals
from immunocast.cohort.checks.usual import DAYS_PER_MONTH, WEEKS_PER_MONTH
from immunocast.cohort.vocabulary import label

#: Immune checkpoint inhibitors have been given since the first years of the century.
LONGEST_MONTHS = 240.0
#: Whoever has PD as best response progressed at one of the first scans.
LONGEST_PD_MONTHS = 15.0

register(
    [
        Check(
            "IC-UNIT-002", "error", "a whole column of times is in another unit",
            "Times that should be months are typical of days, weeks or years.",
            "Durable benefit, resistance and every survival estimate are made from these numbers.",
            "State the unit in the mapping: `pfs_months: {source: ..., unit: days}`.",
            "15 patients or more. Clinical anchors, medians in months: PFS of patients with PD up to 4.5, of "
            "non-responders .3 to 7 (lower fifth up to 4), of all .5 to 12; OS of all 1.5 to 55; OS over PFS up to "
            "5. The unit (weeks, days, years) "
            "that brings the anchor back into its range is named. Weeks are near to months: they are not named where "
            "patients with PD or non-responders fit months, nor where all times begin at a landmark (1 % beyond half "
            "of the lower fifth), by which the ranges move. Patients of "
            "IC-SURV-007 are left out, and PD counts only where not everybody has it.",
        ),
        Check(
            "IC-UNIT-003", "error", "part of the times are in another unit",
            "Some times can't be months: longer than such treatment exists, far too long for a patient whose best "
            "response is progression, or typical of days at one site or among the whole numbers.",
            "These patients count as durable responders and long survivors.",
            "Convert them before reading; where a column tells the site, map site by site.",
            "Two patients or more beyond 240 months; or 2 and 2 % of the patients with PD beyond 15 months of PFS; "
            "or more non-responders beyond "
            "36 months of PFS than 6 % (binomial, p < .0001); or a site, or the whole numbers among times with "
            "decimals, whose times lie above nearly all others (AUROC .85 and p < 1e-6) by the factor of weeks or "
            "days (within a "
            "third); each whole number counts once, as follow-up may end on the same day for many. Patients of "
            "IC-SURV-007 are left out.",
        ),
        Check(
            "IC-SURV-001", "warning", "progression-free survival is longer than overall survival",
            "PFS ends with death at the latest, so it can't exceed OS.",
            "One of the two times, or its unit, is wrong.",
            "Look at the patients listed; if most are concerned, look at the units and at the source columns.",
            "PFS exceeds OS by more than 0.05 months; where the two are written to different decimals, by more than a "
            "unit of the last digit of the coarser one.",
        ),
        Check(
            "IC-SURV-007", "error", "progression-free and overall survival are swapped",
            "PFS is longer than OS in many patients, and what stands as PFS is as long as OS should be.",
            "Every survival estimate, durable benefit and resistance are made from the wrong times.",
            "Map the two columns the other way round; where part of the rows is concerned, look at their source.",
            "PFS exceeds OS (IC-SURV-001) in 10 % of the patients in whom the two differ, 10 at least. Then either in "
            "90 % of them, and exchanged the medians would be usual (PFS .5 to 20 months, OS 1.5 to 80, their ratio "
            "up to 5); or the median "
            "PFS of these patients is within a factor of 3 of the median OS of the others. Times in days are far "
            "longer.",
        ),
        Check(
            "IC-SURV-003", "warning", "response and progression-free survival contradict each other",
            "Patients with PD as best response and PFS beyond 15 months, or with CR or PR and progression "
            "within two weeks.",
            "One of the two outcomes is another patient's, another line's, or another unit.",
            "Look at the patients listed.",
            "Any patient with PD and PFS beyond 15 months (not where everybody has PD); two or more "
            " responders with an event before 0.46 months.",
        ),
        Check(
            "IC-SURV-004", "warning", "the same times in two columns",
            "PFS and OS are equal for nearly everybody.",
            "One column was copied into the other.",
            "Map the right source column.",
            "20 patients with both known; equal in 95 % of them, in spite of a progression in a patient who is alive.",
        ),
    ]
)  # fmt: skip


class _Unit(NamedTuple):
    name: str
    factor: float


_UNITS = (_Unit("days", DAYS_PER_MONTH), _Unit("weeks", WEEKS_PER_MONTH), _Unit("years", 1 / 12))


def check_times(part: Part) -> Iterator[dict[str, Any]]:
    """Findings on PFS and OS of one cohort."""
    whole = {}
    longer = _longer(part)
    swapped = _swapped(part, longer)
    for column in ("pfs_months", "os_months"):
        unit, why = _whole_column(part, column, swapped)
        if unit is not None:
            whole[column] = unit
            words = f"{label(column)}: {why}. That is typical of {unit.name}, not of months."
            yield part.found("IC-UNIT-002", words, column, mask=~np.isnan(part.number(column)))
        else:
            mask, why = _part_of_column(part, column, swapped)
            if mask is not None:
                words = f"{label(column)}: {why}. Are part of the values in another unit?"
                yield part.found("IC-UNIT-003", words, column, mask=mask)
    yield from _contradictions(part, whole, longer, swapped)


def _longer(part: Part) -> np.ndarray:
    """(n,) whether PFS exceeds OS by more than rounding explains."""
    pfs, os = part.number("pfs_months"), part.number("os_months")
    both = ~np.isnan(pfs) & ~np.isnan(os)
    if not both.any():
        return both
    digits = [int(np.quantile(decimals(t[both]), 0.9, method="higher")) for t in (pfs, os)]
    # PFS 12.3 beside OS 12: the same day, written to different decimals
    tolerance = 0.05 if digits[0] == digits[1] else max(0.05, 10.0 ** -min(digits))
    return both & (pfs - os > tolerance + 1e-9)


def _swapped(part: Part, longer: np.ndarray) -> np.ndarray:
    """(n,) patients whose PFS, longer than their OS, is as long as an OS: no other unit needs to explain it."""
    nobody = np.zeros(len(longer), dtype=bool)
    pfs, os = part.number("pfs_months"), part.number("os_months")
    differ = longer | (os - pfs > 0.05)
    k, n = int(longer.sum()), int(differ.sum())
    if not k:
        return nobody
    if k >= 0.9 * n:
        usual = 0.5 <= np.median(os[longer]) <= 20 and 1.5 <= np.median(pfs[longer]) <= 80
        usual &= np.median(pfs[longer] / np.maximum(os[longer], 0.1)) <= 5
        return differ if usual and k >= MIN_CLASS else nobody
    ratio = float(np.median(pfs[longer]) / max(np.median(os[differ & ~longer]), 0.1))
    return longer if 1 / 3 <= ratio <= 3 else nobody


def _median(values: np.ndarray, mask: np.ndarray) -> tuple[float, int]:
    known = values[mask & (values >= 0)]
    return (float(np.median(known)) if len(known) else np.nan), len(known)


def _whole_column(part: Part, column: str, swapped: np.ndarray) -> tuple[_Unit | None, str]:
    """The unit that explains a whole column, and the evidence; None where months fit."""
    times = np.where(swapped, np.nan, part.number(column))
    everyone = ~np.isnan(times)
    if everyone.sum() < 15:
        return None, ""
    center, _ = _median(times, everyone)
    anchors: list[tuple[str, float, float, float]] = []  # what, its value in the file, usual range in months
    landmark = _landmark(times[everyone]) if column == "pfs_months" else 0.0
    months_fit = False
    if column == "pfs_months":
        progressed = part.with_pd()
        pd_center, n_pd = _median(times, progressed)
        no_center, n_no = _median(times, part.response == 0)
        if n_pd >= 10:
            anchors.append(("the median of patients with PD", pd_center, 0.1, 4.5))
        if n_no >= 10:
            anchors.append(("the median of non-responders", no_center, 0.3, 7.0))
            fifth = float(np.quantile(times[(part.response == 0) & everyone], 0.2))
            anchors.append(("the lower fifth of non-responders", fifth, 0.0, 4.0))
        anchors.append(("the median", center, 0.5, 12.0))
    else:
        anchors.append(("the median", center, 1.5, 55.0))
        pfs = part.number("pfs_months")
        both = everyone & (pfs > 0) & (times > 0)
        if both.sum() >= 15:
            ratio = float(np.median(times[both] / pfs[both]))
            pfs_unit, _ = _whole_column(part, "pfs_months", swapped)
            if pfs_unit is not None and 1 / 1.5 <= ratio <= 5 and pfs_unit.factor > 1:
                return pfs_unit, f"its median is {center:.3g} and PFS is in {pfs_unit.name}, too"
            if pfs_unit is None and ratio > 5:
                anchors.append(("the median ratio of OS to PFS", ratio, 1.0, 5.0))
    for what, value, low, usual in anchors:
        high = usual + landmark
        if low <= value <= high or value <= 0:
            # a fit of those who progress speaks against weeks; the median of all is long in some cohorts
            months_fit |= what in ("the median of patients with PD", "the median of non-responders")
            continue
        fitting = [u for u in _UNITS if low <= value / u.factor <= high and (u.factor > 1) == (value > high)]
        if column == "os_months" and what != "the median" and fitting and not 1.5 <= center / fitting[0].factor <= 55:
            continue
        if fitting:
            # days beat weeks where both fit: the nearer to the middle of the range
            middle = np.sqrt(max(low, 0.1) * high)
            best = min(fitting, key=lambda u: abs(np.log(value / u.factor / middle)))
            if best.name == "weeks" and (landmark > 0 or (months_fit and what == "the median")):
                continue
            return best, f"{what} is {value:.3g}"
    return None, ""


def _landmark(times: np.ndarray) -> float:
    """Where all times begin sharply, as who had the event before is not in the cohort; 0 for nowhere, or days."""
    first, fifth = np.quantile(times, [0.01, 0.2])
    return float(first) if 1.5 <= first <= 13 and first >= 0.5 * fifth else 0.0


def _part_of_column(part: Part, column: str, swapped: np.ndarray) -> tuple[np.ndarray | None, str]:
    times = np.where(swapped, np.nan, part.number(column))
    known = ~np.isnan(times)
    if known.sum() < 15:
        return None, ""
    long = known & (times > LONGEST_MONTHS)
    if long.sum() >= 2:
        return long, f"{int(long.sum())} patients beyond {LONGEST_MONTHS:g} months, longer than such treatment exists"
    if column == "pfs_months":
        progressed = part.with_pd() & known
        late = progressed & (times > LONGEST_PD_MONTHS)
        if late.sum() >= max(2, 0.02 * progressed.sum()):
            return late, f"{int(late.sum())} patients with PD as best response beyond {LONGEST_PD_MONTHS:g} months"
        no = known & (part.response == 0)
        far = no & (times > 36)
        if far.sum() >= 3 and binom.sf(far.sum() - 1, no.sum(), 0.06) < 1e-4:
            return far, f"{int(far.sum())} of {int(no.sum())} non-responders beyond 36 months"
    whole = known & (times == np.rint(times))
    groups = [("the whole numbers", whole)] if 10 <= whole.sum() <= known.sum() - 10 else []
    sites = part.text("site_id")
    groups += [(f"site {s}", (sites == s).to_numpy(dtype=bool) & known) for s in sorted(sites.dropna().unique())[:200]]
    for name, group in groups:
        rest = known & ~group
        mine = np.unique(times[group]) if group is whole else times[group]
        n, m = len(mine), int(rest.sum())
        if n < 10 or m < 10:
            continue
        factor = np.median(mine) / max(np.median(times[rest]), 0.1)
        near = [u for u in _UNITS if u.factor > 1 and 2 / 3 <= factor / u.factor <= 1.5]
        area = auroc(np.concatenate([mine, times[rest]]), np.repeat([1.0, 0.0], [n, m]))
        z = (area - 0.5) * np.sqrt(12 * n * m / (n + m + 1))
        if near and area > 0.85 and z > 5:
            return (
                group,
                f"{name} ({int(group.sum())} patients) lie {factor:.3g} times above the others, like {near[0].name}",
            )
    return None, ""


def _contradictions(
    part: Part, whole: dict[str, _Unit], longer: np.ndarray, swapped: np.ndarray
) -> Iterator[dict[str, Any]]:
    pfs, os = part.number("pfs_months"), part.number("os_months")
    both = ~np.isnan(pfs) & ~np.isnan(os)
    if longer.any():
        k = int(longer.sum())
        words = (
            f"Progression-free survival is longer than overall survival for {k} of {int(both.sum())} "
            f"patients with both, by {np.median((pfs - os)[longer]):.3g} months at the median."
        )
        yield part.found("IC-SURV-001", words, "pfs_months", mask=longer)
    if swapped.sum() >= max(MIN_CLASS, 0.1 * (longer | (os - pfs > 0.05)).sum()):
        words = (
            f"PFS and OS stand in each other's place for {int(swapped.sum())} patients: PFS (median "
            f"{np.median(pfs[swapped]):.3g}) exceeds OS (median {np.median(os[swapped]):.3g})."
        )
        yield part.found("IC-SURV-007", words, "pfs_months", mask=swapped)
    event, dead = part.number("pfs_event"), part.number("os_event")
    if (
        both.sum() >= 20
        and (np.abs(pfs - os) < 1e-9)[both].mean() >= 0.95
        and (both & (event == 1) & (dead == 0)).any()
    ):
        yield part.found("IC-SURV-004", "PFS and OS are the same times.", "os_months", mask=both)
    if "pfs_months" in whole:
        return
    pfs = np.where(swapped, np.nan, pfs)
    late = part.with_pd() & (pfs > LONGEST_PD_MONTHS) & (pfs <= LONGEST_MONTHS)
    early = (part.response == 1) & (pfs < 0.46) & (event == 1)
    mask = late | early if early.sum() >= 2 else late
    if mask.any():
        words = (
            f"Best response and PFS contradict each other for {int(mask.sum())} patients: {int(late.sum())} with PD "
            f"beyond "
            f"{LONGEST_PD_MONTHS:g} months, {int((early & mask).sum())} responders who progressed within two weeks."
        )
        yield part.found("IC-SURV-003", words, "pfs_months", mask=mask)
