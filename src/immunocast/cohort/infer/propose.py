"""Which column of a file becomes which of the vocabulary: every candidate is judged, the surest one wins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.infer.candidate import Candidate, veto
from immunocast.cohort.infer.categories import deceased, judge_category, judge_event, judge_text
from immunocast.cohort.infer.dates import os_from_dates
from immunocast.cohort.infer.headers import Match, match_header, plain_header, too_late
from immunocast.cohort.infer.numbers import judge_number
from immunocast.cohort.infer.profile import Profile, profile
from immunocast.cohort.infer.sniff import open_unknown
from immunocast.cohort.infer.times import TIMES, agree, judge_time
from immunocast.cohort.mapping_columns import column_of
from immunocast.cohort.spellings import spelled
from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY

#: A line under this confidence is marked for a look; under the second one it is only suggested.
SURE, LEAST = 0.8, 0.5
_EVENTS = ("pfs_event", "os_event")
#: One column may feed these together: a drug tells the class and the arm.
_TOGETHER = {frozenset(("drug_class", "arm")), frozenset(("drug_class", "regimen"))}


@dataclass(frozen=True)
class Placed:
    """A column that has a place: header, name in the vocabulary, confidence (0 to 1), and why.

    `spec` is its entry in the mapping, `doubts` what a person should look at, `alternatives` other headers for it.
    """

    header: str
    name: str
    confidence: float
    why: str
    spec: dict[str, Any]
    doubts: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unplaced:
    """A column without a place, and why; `suggestion` is an entry that would give it one, if someone confirms it."""

    header: str
    why: str
    suggestion: tuple[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class Proposal:
    """A mapping for a file, and what there is to say of it.

    Attributes
    ----------
    mapping : keys that `TabularCohort` takes.
    placed, unplaced : the columns of the file.
    notes : of the file as a whole (delimiter, encoding, header).
    path, sheet : the file.
    n_rows : rows below the header.
    """

    mapping: dict[str, Any]
    placed: tuple[Placed, ...]
    unplaced: tuple[Unplaced, ...]
    notes: tuple[str, ...]
    path: Path
    sheet: str | None
    n_rows: int


def propose_mapping(path: Path | str, sheet: str | None = None) -> Proposal:
    """Propose a mapping for a CSV, TSV, Parquet or XLSX file.

    Parameters
    ----------
    path : the file.
    sheet : title of the sheet; needed where a workbook has several.

    Raises
    ------
    DataError
        Where the file cannot be read at all.
    """
    path = Path(path)
    opened = open_unknown(path, sheet)
    table = opened.table
    seen = {str(h): profile(str(h), table.frame[h]) for h in table.frame.columns if h not in table.duplicated}
    candidates = [c for s in seen.values() for c in _judge_all(s)]
    candidates = agree(candidates, seen)
    candidates += _judge_events(seen, candidates)
    candidates = _check_answers(candidates, seen)
    chosen, ids = _assign(candidates, seen), _ids(seen)
    chosen = {n: c for n, c in chosen.items() if n not in ("patient_id", "person_id")} | ids
    chosen = _deceased_only(chosen, seen)
    placed = [_placed(n, c, candidates) for n, c in sorted(chosen.items(), key=_position) if c.confidence >= LEAST]
    notes = [*opened.notes]
    if "patient_id" not in {p.name for p in placed}:
        notes.append("no column holds an id for each row: patient_id must be added before the mapping loads")
    columns = {p.name: p.spec if set(p.spec) != {"source"} else p.header for p in placed}
    mapping: dict[str, Any] = {**opened.settings, "columns": columns}
    if table.sheet is not None:
        mapping["sheets"] = {table.sheet: {}}
    unplaced = _unplaced(seen, placed, chosen, candidates, table.duplicated)
    return Proposal(mapping, tuple(placed), tuple(unplaced), tuple(notes), path, table.sheet, len(table.frame))


# -- judging ------------------------------------------------------------------------------------------------


def _judge_all(seen: Profile) -> list[Candidate]:
    """Candidates of one column; events come later, as they look at the outcomes."""
    exact = column_of(seen.header)
    if exact is not None and exact.name.endswith(MEASURED_SUFFIX):
        return [Candidate(exact.name, seen.header, 0.97, {}, "the vocabulary's own name")]
    late = too_late(seen.header)
    matches = (Match(exact.name, 0.99),) if exact is not None else match_header(seen.header)
    found = [] if late and exact is None else [_judge(m.name, m.score, seen) for m in matches if m.name not in _EVENTS]
    if not late and not any(c.name == "bor" and c.confidence for c in found):
        recist = judge_category("bor", 0.6, seen) if seen.distinct <= 12 else None
        if recist is not None and recist.confidence >= LEAST and len(seen.values) >= 3:
            found.append(replace(recist, doubts=(*recist.doubts, "told by its cells alone")))
    return found


def _judge(name: str, score: float, seen: Profile) -> Candidate:
    if not seen.n_known:
        return veto(name, seen, "it is empty")
    column = VOCABULARY[name]
    if name in TIMES:
        return judge_time(name, score, seen)
    if column.kind in ("number", "integer"):
        return (
            judge_tmb(name, score, seen)
            if name in ("tmb_mut_mb", "mutation_count")
            else judge_number(name, score, seen)
        )
    if column.kind == "text":
        return judge_text(name, score, seen)
    return judge_category(name, score, seen)


def judge_tmb(name: str, score: float, seen: Profile) -> Candidate:
    """Counts and mutations per megabase are told apart by the header, never by the values alone."""
    found = judge_number(name, score, seen)
    if not found.confidence:
        return found
    plain, median = plain_header(seen.header), seen.quantile(0.5)
    per_mb = any(w in plain.split() for w in ("mb", "megabase", "permb")) or "per mb" in plain
    if name == "mutation_count":
        better = 0.02 if "non" in plain else -0.05 if "total" in plain else 0.0  # TMB counts what changes a protein
        return replace(found, confidence=found.confidence + better)
    if per_mb:  # what the unit says makes up for a header that is not one of the usual ones
        better = 1.05 if found.confidence > 0.8 else 1.35
        changing = 0.02 if re.search(r"\b(ns|non ?syn)", plain) else 0.0
        return replace(found, confidence=min(0.95, found.confidence * better) + changing)
    if seen.whole and median > 40:
        return veto(
            name,
            seen,
            f"looks like TMB, but whole numbers with a median of {median:.3g} are counts: give `unit: count, panel_mb`",
        )
    if seen.whole:
        doubts = (
            *found.doubts,
            "whole numbers and no unit in the header: mutations per megabase, or a count of a panel",
        )
        return replace(found, confidence=found.confidence * 0.7, doubts=doubts)
    if median > 40:
        return replace(
            found,
            confidence=0.5,
            doubts=(*found.doubts, f"a median of {median:.3g} is high for mutations per megabase"),
        )
    return replace(found, why=f"{found.why}, not whole numbers")


def _judge_events(seen: Mapping[str, Profile], candidates: Iterable[Candidate]) -> list[Candidate]:
    """Event flags, judged with the response and the times that were found before."""
    best: dict[str, Candidate] = {}
    for c in candidates:
        if c.confidence > best.get(c.name, Candidate(c.name, "", 0.0)).confidence:
            best[c.name] = c
    outcome: dict[str, Any] = {n: seen[c.header].numbers for n, c in best.items() if n in TIMES}
    if "bor" in best:
        outcome["bor"] = _responses(seen[best["bor"].header])
    found: list[Candidate] = []
    for name in ("os_event", "pfs_event"):  # in this order: who died tells of progression, too
        for s in seen.values():
            exact = column_of(s.header)
            if exact is not None:
                matches: tuple[Match, ...] = (Match(exact.name, 0.99),)
            else:
                matches = () if too_late(s.header) else match_header(s.header)
            score = next((m.score for m in matches if m.name == name), 0.0)
            if score and s.n_known:
                found.append(judge_event(name, score, s, outcome))
        best_death = max((c for c in found if c.name == "os_event"), key=lambda c: c.confidence, default=None)
        if best_death is not None and best_death.confidence >= SURE:
            outcome["dead"] = deceased(best_death, seen[best_death.header])
    return found


def _responses(seen: Profile) -> list[str | None]:
    known = VOCABULARY["bor"].categories
    return [c.upper() if c.upper() in known else spelled("bor", c) for c in seen.cells]


def _check_answers(candidates: list[Candidate], seen: Mapping[str, Profile]) -> list[Candidate]:
    """A response flag that contradicts the best overall response follows another rule, and is no `responder`."""
    bors = [c for c in candidates if c.name == "bor" and c.confidence >= LEAST]
    if not bors:
        return candidates
    bor = pd.Series(_responses(seen[max(bors, key=lambda c: c.confidence).header]), dtype=object)
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


def _deceased_only(chosen: dict[str, Candidate], seen: Mapping[str, Profile]) -> dict[str, Candidate]:
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
        rebuilt = os_from_dates(seen)
        if rebuilt is not None:
            said = f"{time.header!r} is given for the deceased only"
            weak = replace(rebuilt, doubts=(*rebuilt.doubts, said))
        chosen = {**chosen, "os_months": weak}
    return chosen


# -- choosing -----------------------------------------------------------------------------------------------


def _assign(candidates: Iterable[Candidate], seen: Mapping[str, Profile]) -> dict[str, Candidate]:
    """The surest candidate of each name; of equals the one with more known values, fewer doubts, further left."""
    order = {h: i for i, h in enumerate(seen)}

    def rank(c: Candidate) -> tuple:
        return (
            -round(c.confidence, 2),
            len(c.doubts),
            -round(seen[c.header].n_known, -1),
            len(c.header),
            order[c.header],
        )

    taken: dict[str, set[str]] = {}
    chosen: dict[str, Candidate] = {}
    for c in sorted(candidates, key=rank):
        others = taken.get(c.header, set())
        free = all(frozenset((c.name, o)) in _TOGETHER for o in others)
        if c.confidence > 0 and c.name not in chosen and free:
            chosen[c.name] = c
            taken.setdefault(c.header, set()).add(c.name)
    return chosen


_ID_RANKS = (
    r"patient ?(id|no|nr|number|identifier|code)?",
    r"(pt|participant|subject|u?subj|pid) ?(id|no)?|usubjid|mrn|person ?id|record ?id|pid",
    r"case ?id|sample ?(id|name|identifier)|shadow id|anonpt id",
    r"id",
    r".*\b(patient|subject|sample|case) ?id",
)


def _ids(seen: Mapping[str, Profile]) -> dict[str, Candidate]:
    """The column with an id for each row; a patient's id that repeats is the person's beside the sample's."""
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
            if len(cells) == s.n and len(set(cells)) == s.n and s.n > 1 and not (s.numeric == 1 and not s.whole):
                doubt = ("no header says which column holds ids: the first without repetition",)
                found["patient_id"] = Candidate("patient_id", s.header, 0.55, {}, "no value repeats", doubt)
                break
    return found


def _position(item: tuple[str, Candidate]) -> int:
    names = [*VOCABULARY]
    base = item[0].removesuffix(MEASURED_SUFFIX)
    return names.index(item[0] if item[0] in VOCABULARY else base)


def _placed(name: str, c: Candidate, candidates: Iterable[Candidate]) -> Placed:
    others = sorted(
        (o for o in candidates if o.name == name and o.header != c.header and o.confidence > 0.3),
        key=lambda o: -o.confidence,
    )
    spec = {"source": c.header, **c.spec} if "derive" not in c.spec else dict(c.spec)
    alternatives = tuple(f"{o.header} ({o.confidence:.2f})" for o in others[:4])
    return Placed(c.header, name, round(min(c.confidence, 0.99), 2), c.why, spec, c.doubts, alternatives)


def _headers(placed: Placed) -> list[str]:
    """Headers that an entry reads."""
    found: list[str] = []

    def walk(entry: Any) -> None:
        if isinstance(entry, str):
            found.append(entry)
        elif isinstance(entry, Mapping):
            for key in ("source", "of", "start", "end"):
                walk(entry.get(key))
            for part in entry.get("coalesce", ()):
                walk(part)
            walk(entry.get("derive"))

    walk(placed.spec)
    return found


def _unplaced(
    seen: Mapping[str, Profile],
    placed: list[Placed],
    chosen: Mapping[str, Candidate],
    candidates: Iterable[Candidate],
    duplicated: Iterable[str],
) -> list[Unplaced]:
    used = {h for p in placed for h in _headers(p)}
    by_name = {p.name: p for p in placed}
    out = [Unplaced(h, "the header is there more than once: rename all but one") for h in sorted(duplicated)]
    of = {h: sorted((c for c in candidates if c.header == h), key=lambda c: -c.confidence) for h in seen}
    for header, s in seen.items():
        if header in used:
            continue
        late, mine = too_late(header), of[header]
        best = mine[0] if mine else None
        if late and column_of(header) is None:
            out.append(Unplaced(header, f"left out: {late}"))
        elif not s.n_known:
            out.append(
                Unplaced(
                    header, f"it holds nothing but {', '.join(map(repr, s.missing))}" if s.missing else "it is empty"
                )
            )
        elif best is not None and best.confidence >= LEAST and best.name in by_name:
            out.append(
                Unplaced(header, f"a second column for {best.name}, which is taken from {by_name[best.name].header!r}")
            )
        elif best is not None and best.confidence > 0:
            entry = {"source": header, **best.spec} if "derive" not in best.spec else dict(best.spec)
            doubts = "; ".join(best.doubts) or best.why
            out.append(Unplaced(header, f"perhaps {best.name} ({best.confidence:.2f}): {doubts}", (best.name, entry)))
        elif best is not None:
            out.append(Unplaced(header, best.why))
        else:
            out.append(Unplaced(header, "no column of the vocabulary is called so"))
    return out
