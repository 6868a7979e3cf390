"""Units of survival times, by the header, by the values, and by other columns that hold the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np

from immunocast.cohort.infer.candidate import Candidate, veto
from immunocast.cohort.infer.header_facts import unit_in
from immunocast.cohort.infer.numbers import cells_of
from immunocast.cohort.infer.profile import Profile
from immunocast.cohort.units import DAYS_PER_MONTH

TIMES = ("pfs_months", "os_months", "exposure_weeks")
_DAYS = {"days": 1.0, "weeks": 7.0, "months": DAYS_PER_MONTH, "years": 365.25}
#: Medians that groups of treated patients can have, in days.
_PLAUSIBLE = {"pfs_months": (25, 700), "os_months": (80, 2200), "exposure_weeks": (15, 900)}
#: Days in a month as different authors take them.
_MONTHS = (DAYS_PER_MONTH, 30.4, 30.44, 30.0, 30.5)


def judge_time(name: str, score: float, seen: Profile, mend: bool) -> Candidate:
    """A column of times as one of the vocabulary, in the unit that its header and values tell.

    `mend`: where they contradict each other, follow the values.
    """
    if seen.numeric < 0.6 or len(seen.known) == 0:
        return veto(name, seen, f"looks like {name}, but its cells are no numbers")
    if seen.quantile(0) < -31 or seen.distinct <= 2:
        return veto(name, seen, f"looks like {name}, but its values are no lengths of time")
    doubts: list[str] = []
    spec: dict = {}
    fit, said = cells_of(seen, spec, doubts)
    unit, sure, why = _unit(name, seen, doubts, mend)
    own = "weeks" if name.endswith("weeks") else "months"
    if unit != own:
        spec["unit"] = unit
    if negative := int((seen.known < 0).sum()):
        doubts.append(f"{negative} values are below 0 and will be refused")
        fit *= 0.8
    return Candidate(name, seen.header, score * fit * sure, spec, "; ".join(w for w in (why, said) if w), tuple(doubts))


def _unit(name: str, seen: Profile, doubts: list[str], mend: bool) -> tuple[str, float, str]:
    median, high = seen.quantile(0.5), seen.quantile(1)
    low_days, high_days = _PLAUSIBLE[name]
    fitting = [u for u, days in _DAYS.items() if low_days <= median * days <= high_days and high * days < 366 * 33]
    named = unit_in(seen.header)
    whole = _whole_days(seen)
    if named in _DAYS:
        if named in fitting or not fitting:
            return named, 1.0, f"the header says {named}, the median is {median:.3g}"
        doubts.append(
            f"the header says {named}, but a median of {median:.3g} and values up to {high:.4g} fit {fitting[0]}"
        )
        if not mend:
            return named, 0.65, f"the header says {named}"
        return (whole or fitting[0]), 0.65, "by the values, against the header"
    if whole is not None and whole in fitting:
        return whole, 1.05, f"values are whole days when read as {whole} (median {median:.3g})"
    if seen.whole and "days" in fitting and median >= 50:
        if "weeks" in fitting and high < 400:
            doubts.append(f"whole numbers with a median of {median:.3g}: days, or weeks")
            return "days", 0.7, "by the values"
        return "days", 0.95, f"whole numbers, median {median:.3g}, up to {high:.4g}"
    if "months" in fitting:
        if "weeks" in fitting and median > (20 if name == "os_months" else 8):
            doubts.append(f"a median of {median:.3g} can be months or weeks")
            return "months", 0.65, "by the values"
        return "months", 0.93, f"median {median:.3g}, up to {high:.3g}"
    if fitting:
        doubts.append(f"no unit in the header, and a median of {median:.3g}")
        return fitting[0], 0.6, "by the values"
    doubts.append(f"a median of {median:.3g} is unusual in every unit")
    return "months", 0.5, "no unit fits"


def _whole_days(seen: Profile) -> str | None:
    """Weeks or months that are whole numbers of days; None where the values do not tell."""
    values = seen.known
    fine = np.abs(values * 100 - np.round(values * 100)) > 1e-6  # with two decimals anything can be a whole day
    if seen.whole or fine.mean() < 0.5:
        return None
    tellers = [("weeks", 7.0), *(("months", days) for days in _MONTHS)]
    for unit, days in tellers:
        rest = np.abs(values * days - np.round(values * days))
        if (rest < 0.02 + 1e-4 * values).mean() > 0.95:
            return unit
    return None


def agree(found: Sequence[Candidate], seen: Mapping[str, Profile]) -> list[Candidate]:
    """Two columns of one time in different units tell the units of both; the surer of the pair counts."""
    out = list(found)
    for i, j in permutations(range(len(out)), 2):
        a, b = out[i], out[j]
        if a.name != b.name or a.name not in TIMES or not a.confidence or not b.confidence:
            continue
        x, y = seen[a.header].numbers, seen[b.header].numbers
        both = (x > 0) & (y > 0)
        if both.sum() < 10:
            continue
        ratios = x[both] / y[both]
        ratio = float(np.median(ratios))
        if np.mean(np.abs(ratios / ratio - 1) < 0.02) < 0.95:
            continue
        own = "weeks" if a.name.endswith("weeks") else "months"
        unit_b = b.spec.get("unit", own)
        fits = [u for u, d in _DAYS.items() if abs(_DAYS[unit_b] / d / ratio - 1) < 0.03]
        if len(fits) == 1 and unit_in(b.header) == unit_b and a.spec.get("unit", own) == fits[0] and ratio != 1:
            said = f"{a.why}; {ratio:.4g} times {b.header!r} in {unit_b}"
            out[i] = replace(a, confidence=min(0.95, max(a.confidence, 0.9)), why=said, doubts=())
    return out
