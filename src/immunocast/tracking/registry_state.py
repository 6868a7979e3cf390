"""The registry beside the log: is every decision carried out, and does anything contradict the chain?

The log is the truth. Each alias has a witness, a tag of the registered model that names the entry which moved it
last (`promotion.champion` = "entry 7 (1f0c...): version 3"), and so has each version. A log that was cut, changed
or made anew does not hold the entries that the witnesses name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from immunocast.gates import ALIASES
from immunocast.tracking.mlflow import Tracker, registry
from immunocast.tracking.mlflow.promotions import TakenError, append, describe_log, read_log
from immunocast.tracking.promotion_log import ROLLBACK, VOID, Entry, Log

_WITNESS = re.compile(r"entry (\d+) \(([0-9a-f]{12})\)")
#: Longest tag of a version: it may grow with each change.
MAX_TAG = 2000
#: Rounds after which an alias that many hosts move at once is left to the next call.
_ROUNDS = 20


def witness_key(alias: str) -> str:
    """Tag, of a registered model and of its versions, that names the entry behind an alias."""
    return f"promotion.{alias}"


def witnessed(tags: Mapping[str, str], alias: str) -> tuple[int, str] | None:
    """Number and beginning of the hash of the entry that a tag names."""
    found = _WITNESS.search(tags.get(witness_key(alias), ""))
    return (int(found[1]), found[2]) if found else None


def carry_out(tracker: Tracker, log: Log, name: str, alias: str, who: str, when: str) -> tuple[Log, list[str]]:
    """Let the registry follow the log: alias, tag of the version, and at last the witness.

    A process that was killed after it wrote its entry left some of these undone; doing them again changes nothing.
    After each round the log is read again: where another host added an entry meanwhile, its version is the one.

    Returns
    -------
    The log as it is now, and in words what was mended beside the expected.
    """
    said: list[str] = []
    for _ in range(_ROUNDS):
        entries = log.of(name, alias)
        if not entries:
            return log, said
        entry = entries[-1]
        if not _is_done(tracker, name, alias, entry):
            if not registry.move_alias(tracker, name, alias, entry.to):
                log = _void(tracker, log, entry, who, when)
                said.append(f"{entry.short} can't be carried out: {name} version {entry.to} was deleted")
                continue
            registry.tag_version(tracker, name, entry.to, {witness_key(alias): tag_text(entry)})
            registry.describe_version(tracker, name, entry.to)
            _tell_former(tracker, entry)
            registry.tag_model(tracker, name, witness_key(alias), f"{entry.short}: version {entry.to}")
        again = read_log(tracker)
        if again.of(name, alias)[-1:] == entries[-1:]:
            return again, said
        log = again
    return log, said


def _tell_former(tracker: Tracker, entry: Entry) -> None:
    """Let the page of the version that had the alias say until when."""
    if entry.before is None or entry.before == entry.to:
        return
    former = registry.version(tracker, entry.name, entry.before)
    key = witness_key(entry.alias)
    if former is None or entry.short in former.tags.get(key, ""):
        return
    since = former.tags.get(key, "moved outside of immunocast")
    text = f"until {entry.when[:16].replace('T', ' ')} UTC, {entry.short}; before: {since}"
    registry.tag_version(tracker, entry.name, entry.before, {key: text[:MAX_TAG]})
    registry.describe_version(tracker, entry.name, entry.before)


def _is_done(tracker: Tracker, name: str, alias: str, entry: Entry) -> bool:
    """Whether the entry was carried out to the end; an alias that was moved by hand afterwards stays where it is."""
    tags = registry.registered_names(tracker).get(name, {})
    return witnessed(tags, alias) == (entry.n, entry.hash[:12])


def _void(tracker: Tracker, log: Log, entry: Entry, who: str, when: str) -> Log:
    draft = replace(
        entry,
        action=VOID,
        voids=entry.n,
        who=who,
        when=when,
        gates={},
        blocked=(),
        changed=(),
        override=False,
        reason="",
        note=f"version {entry.to} was deleted before the alias could move",
    )
    try:
        append(tracker, draft, log.last)
    except TakenError as taken:
        return taken.log
    return read_log(tracker)


def tag_text(entry: Entry) -> str:
    """What a version's page says of the entry that gave it an alias."""
    verb = "rolled back to" if entry.action == ROLLBACK else "promoted"
    before = f", after version {entry.before}" if entry.before is not None else ""
    how = ""
    if entry.override:
        how = f"; OVERRIDE of {', '.join(entry.blocked)}"
    reason = f"; reason: {entry.reason}" if entry.reason else ""
    return f"{verb} {entry.when[:16].replace('T', ' ')} UTC by {entry.who}{before}{how}{reason} - {entry.short}"


@dataclass(frozen=True)
class Moved:
    """An alias that names another version, or none (`now`), than the last entry about it says."""

    entry: Entry
    now: int | None

    def words(self) -> str:
        """What is to be seen of it."""
        now = "no version" if self.now is None else f"version {self.now}"
        return (
            f"{self.entry.alias} of {self.entry.name} is {now}, by the log version {self.entry.to}: it was moved, or "
            "its version deleted, outside of immunocast"
        )


@dataclass(frozen=True)
class Found:
    """The log with the state of the registry.

    Attributes
    ----------
    log : entries and problems of the chain, those against the witnesses among them.
    unfinished : entries that are decided and not carried out yet.
    moved : aliases that do not follow the log.
    """

    log: Log
    unfinished: list[Entry]
    moved: list[Moved]

    @property
    def whole(self) -> bool:
        """Whether the chain is unbroken."""
        return not self.log.problems


def look(tracker: Tracker) -> Found:
    """Read the log and hold the registry against it; changes nothing."""
    log = read_log(tracker)
    problems, unfinished, moved = list(log.problems), [], []
    hashes = {entry.n: entry.hash[:12] for entry in log.entries}
    for name, tags in registry.registered_names(tracker).items():
        now = None
        for alias in ALIASES:
            seen = witnessed(tags, alias)
            if seen is not None and hashes.get(seen[0]) != seen[1]:
                there = "has another entry of this number" if seen[0] in hashes else "does not hold it"
                problems.append(f"{name}: its {alias} was moved by entry {seen[0]} ({seen[1]}), and the log {there}")
            entries = log.of(name, alias)
            if not entries:
                continue
            now = registry.aliases(tracker, name) if now is None else now
            last = entries[-1]
            if seen != (last.n, last.hash[:12]):
                unfinished.append(last)
            elif now.get(alias) != last.to:
                moved.append(Moved(last, now.get(alias)))
    return Found(Log(log.entries, tuple(problems)), unfinished, moved)


def show_log(tracker: Tracker) -> None:
    """Write the newest entries into the description of the log's run, for readers of the UI."""
    head = (
        "Who moved which alias; newest first. The parameters `entry.NNNNNN` are the log itself, chained by hashes; "
        "`immunocast history` checks it.\n\n| entry | UTC | model | alias | from | to | action | by | reason |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    describe_log(tracker, read_log(tracker), _row, head)


def _row(entry: Entry) -> str:
    action = f"{entry.action}, OVERRIDE" if entry.override else entry.action
    cells = [
        entry.n, entry.when[:16].replace("T", " "), entry.name, entry.alias,
        "" if entry.before is None else entry.before, entry.to, action, entry.who, entry.reason or entry.note,
    ]  # fmt: skip
    return "| " + " | ".join(re.sub(r"[|\n\r]", " ", str(cell)) for cell in cells) + " |"
