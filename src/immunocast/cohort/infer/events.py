"""Event flags: which of the two values is the event, by words, by the header, and by what happened to the patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.infer import codings
from immunocast.cohort.infer.candidate import Candidate, missing_codes, veto
from immunocast.cohort.infer.header_facts import legend_in
from immunocast.cohort.infer.headers import plain_header
from immunocast.cohort.infer.profile import Profile
from immunocast.cohort.spellings import spelled


def judge_event(name: str, score: float, seen: Profile, outcome: dict[str, Any], mend: bool) -> Candidate:
    """An event flag, with its polarity by words, by the header, and by what happened to the patients.

    Parameters
    ----------
    name : pfs_event or os_event.
    score : of the header.
    seen : the column.
    outcome : "bor" -> response of each patient (None unknown), "dead" -> 1 or 0, name of a time -> numbers; as far
        as they are found.
    mend : where the patients contradict the header, follow the patients.
    """
    cells = seen.values
    plain = plain_header(seen.header)
    by_word = {c: v for c in cells if (v := spelled(name, c)) is not None}
    if by_word and len(by_word) == len(cells):
        return Candidate(
            name, seen.header, min(0.97, score + 0.05), missing_codes(seen), "status words say which is the event"
        )
    legend = {c: spelled(name, legend_in(seen.header).get(c.casefold(), "")) for c in cells}
    if cells and None not in legend.values():
        same = all(legend[c] == v for c, v in codings.flags(cells).items())
        entry: dict[str, Any] = ({} if same else {"coding": legend}) | missing_codes(seen)
        return Candidate(name, seen.header, min(0.97, score + 0.05), entry, "the header explains its codes")
    flags = codings.flags(cells)
    if len(flags) < len(cells) or not set(flags.values()) <= {0, 1}:
        unknown = [c for c in cells if c not in flags and c not in by_word][:4]
        if by_word and sum(cells[c] for c in unknown) < 0.1 * sum(cells.values()):
            some = missing_codes(seen, unknown)
            return Candidate(
                name,
                seen.header,
                0.75 * score,
                some,
                "status words",
                (f"set to missing: {', '.join(map(repr, unknown))}",),
            )
        return veto(name, seen, f"looks like {name}, but holds {', '.join(map(repr, unknown or cells))}")
    truth_values = any(c.casefold() not in ("0", "1", "true", "false") for c in flags)
    alive = "alive" in plain.split() and "dead" not in plain.split()
    censored = any(w in plain for w in ("cens", "cnsr"))
    event = (
        any(w in plain for w in ("event", "dead", "death", "deceased", "died", "progressed", "progression", "relapse"))
        and not censored
    )
    values = np.array([flags.get(c, np.nan) for c in seen.cells], dtype="float64")
    weight, said = _evidence(name, values, outcome)
    doubts: list[str] = []
    prior = -1 if censored or alive else 1 if event else 0
    says = {1: "1 = event", -1: "1 = censored", 0: "neither"}
    if prior and weight * prior >= 1:
        inverted, sure, why = prior < 0, 1.05, f"the header says {says[prior]}, and {said}"
    elif prior and abs(weight) < 1:
        inverted, sure, why = prior < 0, 0.95 if prior > 0 else 0.7, f"the header says {says[prior]}"
        if prior < 0:
            doubts.append("nothing in the file shows whether 1 is censored: columns of this name are used both ways")
    elif prior:
        follow = abs(weight) >= 2 and (mend or censored)
        inverted = (weight < 0) if follow else prior < 0
        sure, why = 0.85 if follow else 0.6, said
        doubts.append(f"the header says {says[prior]}, but {said}: check which is the event")
    elif abs(weight) >= 1:
        inverted, sure, why = weight < 0, 0.95 if abs(weight) >= 2 else 0.75, said
        if abs(weight) < 2:
            doubts.append(f"only this shows which is the event: {said}")
    else:
        inverted, sure, why = False, 0.55, "0 and 1"
        doubts.append("neither the header nor the patients show whether 1 is the event")
    spec: dict[str, Any] = missing_codes(seen)
    if truth_values:
        spec = {"coding": {c: int(v != inverted) for c, v in flags.items()}, **spec}
    elif inverted:
        spec = {"inverted": True, **spec}
    return Candidate(name, seen.header, min(0.97, score * sure), spec, why, tuple(doubts))


def _evidence(name: str, flag: np.ndarray, outcome: dict[str, Any]) -> tuple[float, str]:
    """Above 0 where 1 behaves like an event, below where it behaves like censoring; and the reason in words."""
    weight, said = 0.0, []
    bor = outcome.get("bor")
    if bor is not None:
        answer = pd.Series(bor, dtype=object)
        pd_, cr = flag[(answer == "PD").to_numpy()], flag[answer.isin(["CR", "PR"]).to_numpy()]
        pd_, cr = pd_[~np.isnan(pd_)], cr[~np.isnan(cr)]
        if len(pd_) >= 8 and len(cr) >= 5:
            a, b = float(pd_.mean()), float(cr.mean())
            if name == "pfs_event" and max(a, 1 - a) >= 0.8 and abs(a - b) > 0.1:
                weight += 2.5 if a > 0.5 else -2.5
                said.append(f"{a:.0%} of the progressed carry 1")
            elif abs(a - b) >= 0.15:
                weight += 2 if a > b else -2
                said.append(f"1 for {a:.0%} of the progressed and {b:.0%} of the responders")
    time = outcome.get(name.replace("_event", "_months"))
    if time is not None:
        known = ~np.isnan(time)
        ones, zeros = time[(flag == 1) & known], time[(flag == 0) & known]
        if (
            known[flag == 1].sum() >= 20
            and known[flag == 1].mean() > 0.9
            and (flag == 0).sum() >= 10
            and not len(zeros)
        ):
            weight += 1
            said.append("a time is given for those with 1 only")
        if len(ones) >= 10 and len(zeros) >= 10:
            ratio = float(np.median(ones)) / max(float(np.median(zeros)), 1e-9)
            if ratio < 0.75 or ratio > 1.33:
                weight += 1 if ratio < 1 else -1
                said.append(f"times of those with 1 are {'shorter' if ratio < 1 else 'longer'}")
    dead = outcome.get("dead")
    if dead is not None and name == "pfs_event":
        a, b = flag[(dead == 1) & ~np.isnan(flag)], flag[(dead == 0) & ~np.isnan(flag)]
        if len(a) >= 10 and len(b) >= 10 and abs(a.mean() - b.mean()) > 0.15:
            weight += 1.5 if a.mean() > b.mean() else -1.5
            said.append(f"1 for {a.mean():.0%} of the deceased and {b.mean():.0%} of the living")
    return weight, " and ".join(said)


def deceased(chosen: Candidate, seen: Profile) -> np.ndarray:
    """1 for the deceased, 0 for the living, by a column that was judged to be `os_event`."""
    flags = codings.flags(seen.values)
    coding = chosen.spec.get("coding", {})
    turn = chosen.spec.get("inverted", False)

    def value(cell: str) -> float:
        word = spelled("os_event", cell)
        if cell in coding or word is not None:
            return float(coding.get(cell, word))
        return float(flags[cell] != turn) if cell in flags else np.nan

    return np.array([value(c) for c in seen.cells], dtype="float64")
