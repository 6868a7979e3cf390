"""Which column identifies the rows, and which the persons behind them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from immunocast.cohort.infer.candidate import Candidate
from immunocast.cohort.infer.header_facts import plain_header
from immunocast.cohort.infer.profile import Profile

_ID_RANKS = (
    r"patient ?(id|no|nr|number|identifier|code)?",
    r"(pt|participant|subject|u?subj|pid) ?(id|no)?|usubjid|mrn|person ?id|record ?id|pid",
    r"case ?id|sample ?(id|name|identifier)|shadow id|anonpt id",
    r"id",
    r".*\b(patient|subject|sample|case) ?id",
)


def find_ids(seen: Mapping[str, Profile], taken: Collection[str] = ()) -> dict[str, Candidate]:
    """The column with an id for each row; a patient's id that repeats is the person's beside the sample's.

    `taken` are headers that mean something else: survival times that happen not to repeat are no ids.
    """
    ranked = []
    for i, s in enumerate(seen.values()):
        plain = plain_header(s.header)
        rank = next((r for r, p in enumerate(_ID_RANKS) if re.fullmatch(p, plain)), None)
        if s.header == "patient_id":
            rank = -1
        if rank is not None and s.n:
            cells = [c for c in s.cells if c]
            ranked.append((rank, i, s, len(cells) == s.n and len(set(cells)) == s.n, len(set(cells))))
    ranked.sort(key=lambda r: r[:2])
    found: dict[str, Candidate] = {}
    unique = [s for *_, s, complete, _n in ranked if complete]
    if unique:
        sure = 0.97 if unique[0].header == "patient_id" or ranked[0][0] <= 2 else 0.85
        found["patient_id"] = Candidate("patient_id", unique[0].header, sure, {}, "one id for each row")
        repeated = [s for rank, _, s, complete, n in ranked if not complete and rank <= 2 and n > 0.5 * s.n]
        if repeated:
            doubt = ("an id that repeats beside one that does not: the person, and the sample",)
            found["person_id"] = Candidate("person_id", repeated[0].header, 0.75, {}, "ids, some more than once", doubt)
    elif ranked:
        s, n = ranked[0][2], ranked[0][4]
        doubt = (
            f"{s.n - n} rows have no id or repeat one: several rows a patient are refused; leave some out by `rows`",
        )
        found["patient_id"] = Candidate("patient_id", s.header, 0.6, {}, "an id by its name", doubt)
    else:
        for s in seen.values():
            cells = [c for c in s.cells if c]
            if s.header in taken:
                continue
            if len(cells) == s.n and len(set(cells)) == s.n and s.n > 1 and not (s.numeric == 1 and not s.whole):
                doubt = ("no header says which column holds ids: the first without repetition",)
                found["patient_id"] = Candidate("patient_id", s.header, 0.55, {}, "no value repeats", doubt)
                break
    return found
