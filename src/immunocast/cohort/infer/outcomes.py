"""Outcome columns against each other: a response that follows another rule, survival that is given for some only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from immunocast.cohort.infer.candidate import LEAST, Candidate, veto
from immunocast.cohort.infer.dates import os_from_dates
from immunocast.cohort.infer.profile import Profile
from immunocast.cohort.spellings import spelled
from immunocast.cohort.vocabulary import VOCABULARY


def responses(seen: Profile) -> list[str | None]:
    """Best overall response of each row, None where the cell spells none."""
    known = VOCABULARY["bor"].categories
    return [c.upper() if c.upper() in known else spelled("bor", c) for c in seen.cells]


def check_answers(candidates: list[Candidate], seen: Mapping[str, Profile]) -> list[Candidate]:
    """A response flag that contradicts the best overall response follows another rule, and is no `responder`."""
    bors = [c for c in candidates if c.name == "bor" and c.confidence >= LEAST]
    if not bors:
        return candidates
    bor = pd.Series(responses(seen[max(bors, key=lambda c: c.confidence).header]), dtype=object)
    truth = bor.map({"CR": 1, "PR": 1, "SD": 0, "PD": 0}).to_numpy("float64")
    out = []
    for c in candidates:
        if c.name == "responder" and c.confidence:
            cells = seen[c.header].cells
            coding = c.spec.get("coding") or {"0": 0, "1": 1, "true": 1, "false": 0}
            flag = np.array([coding.get(x, coding.get(x.casefold(), np.nan)) for x in cells], dtype="float64")
            both = ~np.isnan(flag) & ~np.isnan(truth)
            wrong = int((flag[both] != truth[both]).sum())
            unsaid = int((np.isnan(flag) & ~np.isnan(truth)).sum())
            if wrong:
                c = veto(
                    "responder",
                    seen[c.header],
                    f"looks like responder, but contradicts CR/PR against SD/PD for {wrong} patients: another rule",
                )
            elif both.any() and unsaid > 0.02 * both.sum():
                c = veto(
                    "responder",
                    seen[c.header],
                    f"looks like responder, but says nothing for {unsaid} patients with a response: another rule",
                )
            elif both.sum() >= 10:
                c = replace(
                    c, confidence=max(c.confidence, 0.95), why=f"{c.why}; agrees with the best overall response"
                )
        out.append(c)
    return out


def rebuild_survival(chosen: dict[str, Candidate], seen: Mapping[str, Profile], mend: bool) -> dict[str, Candidate]:
    """Overall survival that is known where the patient died, and nowhere else, is rebuilt from dates if possible."""
    time, event = chosen.get("os_months"), chosen.get("os_event")
    if time is None or event is None:
        rebuilt = os_from_dates(seen) if time is None else None
        return chosen if rebuilt is None else {**chosen, "os_months": rebuilt}
    known = ~np.isnan(seen[time.header].numbers)
    cells = pd.Series(seen[event.header].cells)
    by_cell = pd.Series(known).groupby(cells).agg(["mean", "size"])
    big = by_cell[by_cell["size"] >= 5]["mean"]
    if len(big) >= 2 and big.max() > 0.9 and big.min() < 0.05:
        doubt = (
            "given for some values of the event only (the deceased?): without the others, survival cannot be "
            "estimated; rebuild it from dates"
        )
        weak = replace(time, confidence=min(time.confidence, 0.6), doubts=(*time.doubts, doubt))
        rebuilt = os_from_dates(seen) if mend else None
        if rebuilt is not None:
            said = f"{time.header!r} is given for the deceased only"
            weak = replace(rebuilt, doubts=(*rebuilt.doubts, said))
        chosen = {**chosen, "os_months": weak}
    return chosen
