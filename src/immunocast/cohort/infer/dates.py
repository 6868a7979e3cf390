"""Overall survival rebuilt from dates, where no column gives it for everyone."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from immunocast.cohort.infer.candidate import Candidate
from immunocast.cohort.infer.headers import plain_header
from immunocast.cohort.infer.profile import Profile
from immunocast.cohort.units import DAYS_PER_MONTH

_START = re.compile(
    r".*\b(drug|treatment|therapy|tx|immunotherapy|io|ici)\b.*\bstart\b.*|(date of )?start( date)?( of \w+)?|"
    r"first (dose|treatment)( date)?"
)
_DEATH = re.compile(r".*\bdate\b.*\bdeath\b.*|death date|dod")
_LAST = re.compile(r".*\blast (contact|visit|follow ?up|seen)\b.*|follow ?up date")


def os_from_dates(seen: Mapping[str, Profile]) -> Candidate | None:
    """Start of treatment to death, or to the last contact where the patient lived; None where the file has no dates.

    Only day numbers (or seconds) of one origin are taken; their differences must be lengths of survival.
    """
    found = [next((s for h, s in seen.items() if p.fullmatch(plain_header(h))), None) for p in (_START, _DEATH, _LAST)]
    start, death, last = found
    if start is None or death is None or last is None or min(s.numeric for s in (start, death, last)) < 0.95:
        return None
    seconds = start.quantile(0.5) > 1e8
    end = np.where(np.isnan(death.numbers), last.numbers, death.numbers)
    months = (end - start.numbers) / (86_400 if seconds else 1) / DAYS_PER_MONTH
    months = months[~np.isnan(months)]
    if len(months) < 0.5 * start.n or not np.mean((months >= 0) & (months < 400)) > 0.97 or np.median(months) < 0.5:
        return None

    def entry(s: Profile) -> object:
        unit = {"unit": "seconds"} if seconds else {}
        missing = {"missing": s.missing} if s.missing else {}
        return {"source": s.header, **unit, **missing} if unit or missing else s.header

    ends = [entry(death), entry(last)]
    spec = {"derive": {"rule": "time_between", "start": entry(start), "end": {"coalesce": ends}}}
    doubts = ["from day numbers: check that all are of one origin"]
    if negative := int((months < 0).sum()):
        doubts.append(f"{negative} patients end before they start, and will be refused")
    why = f"{start.header} to {death.header}, else {last.header}: {len(months)} patients"
    return Candidate("os_months", f"{death.header} + {last.header}", 0.75, spec, why, tuple(doubts))
