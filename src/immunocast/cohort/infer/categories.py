"""Categories, flags and events: which coding the cells need, and how much of them it covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.infer import codings
from immunocast.cohort.infer.candidate import Candidate, veto
from immunocast.cohort.infer.headers import legend_in, plain_header
from immunocast.cohort.infer.profile import Profile
from immunocast.cohort.spellings import spelled
from immunocast.cohort.vocabulary import VOCABULARY

Coder = Callable[[Iterable[str]], dict[str, Any]]


def _recist(cells: Iterable[str]) -> dict[str, Any]:
    known = VOCABULARY["bor"].categories
    return {c: v for c in cells if (v := c.upper() if c.upper() in known else spelled("bor", c))}


_CODERS: dict[str, Coder] = {
    "tumor_type": codings.tumor_types,
    "drug_class": codings.drug_classes,
    "sex": codings.sexes,
    "stage": codings.stages,
    "msi_status": codings.msi,
    "immune_phenotype": codings.phenotypes,
    "pdl1_ic": lambda cells: codings.pdl1_classes("IC", cells),
    "pdl1_tc": lambda cells: codings.pdl1_classes("TC", cells),
    "biopsy_timing": codings.timings,
    "pdl1_assay": codings.assays,
    "bor": _recist,
    "smoker": lambda cells: {**codings.flags(cells := [*cells]), **codings.smokers(cells)},
    "responder": lambda cells: {**codings.flags(cells := [*cells]), **codings.responders(cells)},
    "dcb": lambda cells: {**codings.flags(cells := [*cells]), **codings.benefits(cells)},
}


def judge_category(name: str, score: float, seen: Profile) -> Candidate:
    """A column of categories or of 0 and 1: the coding that it needs, and what of it is not understood."""
    column = VOCABULARY[name]
    cells = seen.values
    if not cells:
        return veto(name, seen, "it holds no value")
    if len(cells) > 200:
        return veto(name, seen, f"looks like {name}, but has {len(cells)} different cells")
    if name == "arm":
        return _arm(score, seen)
    if name == "sex" and (only := _one_sex(seen)):
        return only
    if name == "liver_metastasis" and not codings.flags(cells) and any("liver" in c.casefold() for c in cells):
        spec = {"derive": {"rule": "contains", "of": seen.header, "words": ["liver"]}}
        return Candidate(
            name,
            seen.header,
            0.7 * score,
            spec,
            "liver is one of its categories",
            ("sites beside the liver may be hidden in other categories",),
        )
    if name == "prior_systemic_therapy" and seen.numeric == 1 and not set(cells) <= {"0", "1"}:
        return _prior_lines(score, seen)
    legend = legend_in(seen.header)
    coder = _CODERS.get(name, codings.flags)
    understood = coder(cells)
    if legend and not (
        column.kind == "binary" and set(cells) <= {"0", "1", "true", "false"} and not legend.keys() & {"0", "1"}
    ):
        by_legend = coder(legend.values())
        read = {c: by_legend[legend[c.casefold()]] for c in cells if legend.get(c.casefold()) in by_legend}
        understood = read or understood
    doubts: list[str] = []
    if name == "sex" and not understood and set(cells) <= {"0", "1", "2"} and len(cells) == 2:
        codes = {"1": "male", "2": "female"} if "2" in cells else {"0": "female", "1": "male"}
        said = ", ".join(f"{c} = {v}" for c, v in codes.items())
        by_use: dict[str, Any] = {"coding": codes, **_missing(seen)}
        doubt = (f"no legend; read by the commoner use: {said}",)
        return Candidate(name, seen.header, 0.6 * score, by_use, "codes without a legend", doubt)
    covered = sum(cells[c] for c in understood) / sum(cells.values())
    if covered < 0.6 or (name == "bor" and len(set(understood.values())) < 2):
        unknown = [c for c, _ in cells.most_common() if c not in understood][:4]
        why = (
            f"codes {', '.join(cells)} without a legend"
            if set(cells) <= set("01234")
            else f"cells such as {', '.join(map(repr, unknown))}"
        )
        return veto(name, seen, f"looks like {name}, but holds {why}")
    unknown = [c for c in cells if c not in understood]
    if column.kind == "binary" and len(unknown) > 6:
        return veto(name, seen, f"looks like {name}, but is free text for {len(unknown)} different cells")
    spec = _coding_spec(name, understood, unknown, seen)
    if unknown:
        shown = ", ".join(map(repr, unknown[:6]))
        doubts.append(f"not understood, and set to missing: {shown}{' ...' if len(unknown) > 6 else ''}")
    fit = 1.0 if not unknown else 0.9 if covered > 0.9 else 0.7
    if name == "biopsy_timing" and unknown:
        fit *= 0.8
    if "visc" in plain_header(seen.header):
        fit *= 0.7
        doubts.append("liver and other viscera in one flag")
    if name == "prior_systemic_therapy" and "platinum" in plain_header(seen.header):
        fit *= 0.7
        doubts.append("platinum only; other systemic therapy may have been given")
    if name == "smoker" and set(cells) <= {"0", "1"} and "ever" not in plain_header(seen.header):
        fit *= 0.8
        doubts.append("1 is taken for ever smoked; it may be current smoking")
    why = f"{len(understood)} of {len(cells)} cells understood"
    return Candidate(name, seen.header, score * fit, spec, why, tuple(doubts))


def _missing(seen: Profile, more: Iterable[str] = ()) -> dict[str, Any]:
    codes = [*seen.missing, *more]
    return {"missing": codes} if codes else {}


def _coding_spec(name: str, understood: dict[str, Any], unknown: list[str], seen: Profile) -> dict[str, Any]:
    """The coding without what the reader takes as it stands; what is not understood is coded as missing."""
    column = VOCABULARY[name]

    def read_anyway(cell: str, value: Any) -> bool:
        if column.kind == "binary":
            return cell.casefold() in ("0", "1", "true", "false") and value == int(cell.casefold() in ("1", "true"))
        return cell.casefold() == str(value).casefold() or spelled(name, cell) == value

    needed = {c: v for c, v in understood.items() if not read_anyway(c, v)}
    if column.kind == "binary" and needed:  # a coding of a flag is complete
        needed = dict(understood)
    missing = _missing(seen, unknown)
    return ({"coding": needed} if needed else {}) | missing


def _one_sex(seen: Profile) -> Candidate | None:
    """A column called "male" or "female" that holds yes and no."""
    plain = plain_header(seen.header).removeprefix("is ")
    flags = codings.flags(seen.values)
    if plain not in ("male", "female") or len(flags) != len(seen.values):
        return None
    other = {"male": "female", "female": "male"}[plain]
    coding = {c: plain if v else other for c, v in flags.items()}
    return Candidate("sex", seen.header, 0.92, {"coding": coding, **_missing(seen)}, f"a flag for {plain}")


def _arm(score: float, seen: Profile) -> Candidate:
    cells = seen.values
    words = {
        "ici": "ici",
        "control": "control",
        "chemotherapy": "control",
        "placebo": "control",
        "immunotherapy": "ici",
    }
    coding = {c: words[c.casefold()] for c in cells if c.casefold() in words}
    for cell, drug in codings.drug_classes(cells).items():
        coding.setdefault(cell, "control" if drug == "none" else "ici")
    if set(coding.values()) != {"ici", "control"} or len(coding) < len(cells):
        return veto("arm", seen, "looks like arm, but does not tell an ICI arm from a control arm")
    needed = {c: v for c, v in coding.items() if c.casefold() != v}
    return Candidate(
        "arm", seen.header, score, {"coding": needed} if needed else {}, "one arm has no immune checkpoint inhibitor"
    )


def _prior_lines(score: float, seen: Profile) -> Candidate:
    low, high = seen.quantile(0), seen.quantile(1)
    if low < 0 or high > 20 or not seen.whole:
        return veto("prior_systemic_therapy", seen, "looks like prior therapy, but holds no numbers of lines")
    inner: dict[str, Any] = {"source": seen.header, **_missing(seen)}
    of = seen.header if len(inner) == 1 else inner
    spec = {"derive": {"rule": "threshold", "of": of, "at_least": 1}}
    doubts = (
        ("a number of prior therapies; other than systemic ones may be counted",)
        if low == 0
        else ("every patient has one line at least",)
    )
    return Candidate(
        "prior_systemic_therapy", seen.header, score * 0.85, spec, f"lines from {low:g} to {high:g}", doubts
    )


def judge_text(name: str, score: float, seen: Profile) -> Candidate:
    """Free text and keys."""
    if name == "cohort_id" and (seen.distinct < 2 or seen.distinct > 50):
        return veto(name, seen, "is the same for every row, or different for nearly every one")
    if (
        name in ("histology", "ancestry", "regimen", "irae_organ", "tmb_panel")
        and seen.numeric > 0.9
        and seen.distinct > 12
    ):
        return veto(name, seen, f"looks like {name}, but holds numbers")
    fit = 0.5 if seen.numeric > 0.9 and name in ("histology", "ancestry") else 1.0
    doubts: tuple[str, ...] = ("codes without a legend",) if fit < 1 else ()
    if name == "irae_organ" and (nothing := [c for c in seen.values if plain_header(c).startswith(("no ", "none"))]):
        fit, doubts = 0.7, (f"{nothing[0]!r} names no organ",)
    return Candidate(name, seen.header, score * fit, _missing(seen), f"{seen.distinct} different cells", doubts)


# -- events -------------------------------------------------------------------------------------------------


def judge_event(name: str, score: float, seen: Profile, outcome: dict[str, Any]) -> Candidate:
    """An event flag, with its polarity by words, by the header, and by what happened to the patients.

    Parameters
    ----------
    name : pfs_event or os_event.
    score : of the header.
    seen : the column.
    outcome : "bor" -> response of each patient (None unknown), "dead" -> 1 or 0, name of a time -> numbers; as far
        as they are found.
    """
    cells = seen.values
    plain = plain_header(seen.header)
    by_word = {c: v for c in cells if (v := spelled(name, c)) is not None}
    if by_word and len(by_word) == len(cells):
        return Candidate(
            name, seen.header, min(0.97, score + 0.05), _missing(seen), "status words say which is the event"
        )
    legend = {c: spelled(name, legend_in(seen.header).get(c.casefold(), "")) for c in cells}
    if cells and None not in legend.values():
        same = all(legend[c] == v for c, v in codings.flags(cells).items())
        entry: dict[str, Any] = ({} if same else {"coding": legend}) | _missing(seen)
        return Candidate(name, seen.header, min(0.97, score + 0.05), entry, "the header explains its codes")
    flags = codings.flags(cells)
    if len(flags) < len(cells) or not set(flags.values()) <= {0, 1}:
        unknown = [c for c in cells if c not in flags and c not in by_word][:4]
        if by_word and sum(cells[c] for c in unknown) < 0.1 * sum(cells.values()):
            some = _missing(seen, unknown)
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
        follow = abs(weight) >= 2
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
    spec: dict[str, Any] = _missing(seen)
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
