"""Which column of a file becomes which of the vocabulary: every candidate is judged, the surest one wins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from immunocast.cohort.infer.candidate import LEAST, SURE, Candidate, veto
from immunocast.cohort.infer.categories import judge_category, judge_text
from immunocast.cohort.infer.events import deceased, judge_event
from immunocast.cohort.infer.header_facts import plain_header, too_late
from immunocast.cohort.infer.headers import Match, match_header
from immunocast.cohort.infer.ids import find_ids
from immunocast.cohort.infer.numbers import judge_number
from immunocast.cohort.infer.outcomes import check_answers, rebuild_survival, responses
from immunocast.cohort.infer.profile import Profile, profile
from immunocast.cohort.infer.sniff import open_unknown
from immunocast.cohort.infer.times import TIMES, agree, judge_time
from immunocast.cohort.mapping_columns import column_of
from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY

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


def propose_mapping(path: Path | str, sheet: str | None = None, *, mend: bool = False) -> Proposal:
    """Propose a mapping for a CSV, TSV, Parquet or XLSX file.

    Parameters
    ----------
    path : the file.
    sheet : title of the sheet; needed where a workbook has several.
    mend : where values contradict what the header says of their unit or event, follow the values (for a person who
        corrects the proposal). Otherwise the file is taken at its word, so that checks can find it out. Either way
        the contradiction is among the doubts.

    Raises
    ------
    DataError
        Where the file cannot be read at all.
    """
    with np.errstate(all="ignore"):  # numbers may be as large as a float can be; what overflows fits no unit
        return _propose(Path(path), sheet, mend)


def _propose(path: Path, sheet: str | None, mend: bool) -> Proposal:
    opened = open_unknown(path, sheet)
    table = opened.table
    seen = {str(h): profile(str(h), table.frame[h]) for h in table.frame.columns if h not in table.duplicated}
    candidates = [c for s in seen.values() for c in _judge_all(s, mend)]
    candidates = agree(candidates, seen)
    candidates += _judge_events(seen, candidates, mend)
    candidates = check_answers(candidates, seen)
    chosen = _assign(candidates, seen)
    ids = find_ids(seen, {c.header for n, c in chosen.items() if n not in ("patient_id", "person_id")})
    chosen = {n: c for n, c in chosen.items() if n not in ("patient_id", "person_id")} | ids
    chosen = rebuild_survival(chosen, seen, mend)
    placed = [_placed(n, c, candidates) for n, c in sorted(chosen.items(), key=_position) if c.confidence >= LEAST]
    notes = [*opened.notes]
    if "patient_id" not in {p.name for p in placed}:
        notes.append(
            "no column holds an id for each row: add one to the file, e.g. numbers of the rows, so the mapping loads"
        )
    columns = {p.name: p.spec if set(p.spec) != {"source"} else p.header for p in placed}
    mapping: dict[str, Any] = {**opened.settings, "columns": columns}
    if table.sheet is not None:
        mapping["sheets"] = {table.sheet: {}}
    unplaced = _unplaced(seen, placed, chosen, candidates, table.duplicated)
    return Proposal(mapping, tuple(placed), tuple(unplaced), tuple(notes), path, table.sheet, len(table.frame))


# -- judging ------------------------------------------------------------------------------------------------


def _judge_all(seen: Profile, mend: bool) -> list[Candidate]:
    """Candidates of one column; events come later, as they look at the outcomes."""
    exact = column_of(seen.header)
    if exact is not None and exact.name.endswith(MEASURED_SUFFIX):
        return [Candidate(exact.name, seen.header, 0.97, {}, "the vocabulary's own name")]
    late = too_late(seen.header)
    matches = (Match(exact.name, 0.99),) if exact is not None else match_header(seen.header)
    found = (
        []
        if late and exact is None
        else [_judge(m.name, m.score, seen, mend) for m in matches if m.name not in _EVENTS]
    )
    if not late and not any(c.name == "bor" and c.confidence for c in found):
        recist = judge_category("bor", 0.6, seen) if seen.distinct <= 12 else None
        if recist is not None and recist.confidence >= LEAST and len(seen.values) >= 3:
            found.append(replace(recist, doubts=(*recist.doubts, "told by its cells alone")))
    return found


def _judge(name: str, score: float, seen: Profile, mend: bool) -> Candidate:
    if not seen.n_known:
        return veto(name, seen, "it is empty")
    column = VOCABULARY[name]
    if name in TIMES:
        return judge_time(name, score, seen, mend)
    if column.kind in ("number", "integer"):
        return (
            judge_tmb(name, score, seen, mend)
            if name in ("tmb_mut_mb", "mutation_count")
            else judge_number(name, score, seen, mend)
        )
    if column.kind == "text":
        return judge_text(name, score, seen)
    return judge_category(name, score, seen)


def judge_tmb(name: str, score: float, seen: Profile, mend: bool) -> Candidate:
    """Counts and mutations per megabase are told apart by the header, never by the values alone."""
    found = judge_number(name, score, seen, mend)
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


def _judge_events(seen: Mapping[str, Profile], candidates: Iterable[Candidate], mend: bool) -> list[Candidate]:
    """Event flags, judged with the response and the times that were found before."""
    best: dict[str, Candidate] = {}
    for c in candidates:
        if c.confidence > best.get(c.name, Candidate(c.name, "", 0.0)).confidence:
            best[c.name] = c
    outcome: dict[str, Any] = {n: seen[c.header].numbers for n, c in best.items() if n in TIMES}
    if "bor" in best:
        outcome["bor"] = responses(seen[best["bor"].header])
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
                found.append(judge_event(name, score, s, outcome, mend))
        best_death = max((c for c in found if c.name == "os_event"), key=lambda c: c.confidence, default=None)
        if best_death is not None and best_death.confidence >= SURE:
            outcome["dead"] = deceased(best_death, seen[best_death.header])
    return found


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
    # of several reasons against a column, what its cells contradict says more than what they are not
    of = {
        h: sorted((c for c in candidates if c.header == h), key=lambda c: (-c.confidence, "but holds" in c.why))
        for h in seen
    }
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
