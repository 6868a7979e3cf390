"""The promotion log as plain data: entries in a hash chain, and what follows from them. No MLflow here.

An entry holds the hash of the one before it and its own, so that a changed, missing or inserted entry shows. Which
version an alias should name follows from the entries alone: the log decides, the registry is made to follow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from immunocast.errors import ConfigError

#: MLflow cuts parameters at 6000 characters without a word; some room is left.
MAX_ENTRY = 5900
MAX_REASON = 1000
#: What the first entry has before it.
START = "0" * 64

PROMOTE, REFUSED, ROLLBACK, VOID = "promote", "refused", "rollback", "void"


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes
    ----------
    n : its number, from 1, over all registered models.
    action : PROMOTE or ROLLBACK (the alias moves to `to`), REFUSED (gates kept it back), VOID (entry `voids` could
        not be carried out: its version is gone).
    name : registered model.
    alias : challenger or champion.
    before : version that had the alias, None for none.
    to : version that is to have it.
    run_id : run folder behind the version.
    who, when : user and host; UTC, ISO 8601.
    gates : status and words a gate; words are cut where the entry grows too long, the version's tags have them whole.
    blocked : gates that would have kept the alias back.
    override : whether it was moved nevertheless.
    reason : given by the user.
    changed : settings given on the command line.
    settings : SHA-256 of all settings of the gates.
    code : version, commit and state of the code that judged.
    note : what else was found, e.g. an alias that was moved by hand.
    voids : number of the entry that a VOID takes back.
    previous, hash : of the chain.
    """

    n: int
    action: str
    name: str
    alias: str
    before: int | None
    to: int
    run_id: str
    who: str
    when: str
    gates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    blocked: Sequence[str] = ()
    override: bool = False
    reason: str = ""
    changed: Sequence[str] = ()
    settings: str = ""
    code: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    voids: int | None = None
    previous: str = START
    hash: str = ""

    def content(self) -> dict[str, Any]:
        """Everything but the hash."""
        return {k: v for k, v in asdict(self).items() if k != "hash"}

    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(_canonical(self.content()).encode("utf-8")).hexdigest()

    def text(self) -> str:
        """The entry as it is stored."""
        return _canonical({**self.content(), "hash": self.hash})

    @property
    def short(self) -> str:
        """Number and beginning of the hash, as tags name an entry."""
        return f"entry {self.n} ({self.hash[:12]})"


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def chained(draft: Entry, last: Entry | None) -> Entry:
    """A draft with its number, the hash before it and its own, cut to what MLflow takes.

    Raises
    ------
    ConfigError
        Where reason or changed settings are too long, or no text.
    """
    for what, text in (("reason", draft.reason), *(("setting", part) for part in draft.changed)):
        if not _storable(text):
            raise ConfigError(f"The {what} {text!r} holds characters that are no text.")
    if len(draft.reason) > MAX_REASON:
        raise ConfigError(f"The reason has {len(draft.reason)} characters; at most {MAX_REASON} are kept.")
    n, previous = (1, START) if last is None else (last.n + 1, last.hash)
    for limit in (500, 300, 200, 100, 50, 0):
        gates = {name: [status, _cut(words, limit)] for name, (status, words) in draft.gates.items()}
        entry = replace(draft, n=n, previous=previous, gates=gates)
        entry = replace(entry, hash=entry.digest())
        if len(entry.text()) <= MAX_ENTRY:
            return entry
    raise ConfigError(
        "So many settings are given that the log can't hold them. Write them into a file promotion/NAME.yaml, and "
        "take it with promotion=NAME."
    )


def _storable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _cut(text: str, limit: int) -> str:
    text = text.encode("utf-8", "replace").decode("utf-8")  # a name in the data may hold what is no text
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + "..."[:limit]


@dataclass(frozen=True)
class Log:
    """The entries as they were read, in their order, and what is wrong with them."""

    entries: Sequence[Entry] = ()
    problems: Sequence[str] = ()

    @property
    def last(self) -> Entry | None:
        """The newest entry."""
        return self.entries[-1] if self.entries else None

    def of(self, name: str, alias: str) -> list[Entry]:
        """Entries that moved an alias: carried out, or to be; voided ones are not among them."""
        voided = {entry.voids for entry in self.entries if entry.action == VOID}
        return [
            entry
            for entry in self.entries
            if entry.name == name
            and entry.alias == alias
            and entry.action in (PROMOTE, ROLLBACK)
            and entry.n not in voided
        ]

    def holders(self, name: str, alias: str) -> list[int]:
        """The versions that hold and held an alias, the present one last; what was rolled back is not among them."""
        stack: list[int] = []
        for entry in self.of(name, alias):
            if entry.action == ROLLBACK and entry.to in stack:
                while stack[-1] != entry.to:
                    stack.pop()
            else:
                stack.append(entry.to)
        return stack


def parse(stored: Iterable[tuple[int, str]]) -> Log:
    """Read stored entries, by number, and check the chain.

    Returns
    -------
    Log
        What can't be read is left out and told; a chain that was cut at its end does not show here, but against
        the registry's own tags (`tracking.registry_state`).
    """
    entries: list[Entry] = []
    problems: list[str] = []
    previous, expected = START, 1
    for n, text in sorted(stored):
        if n == expected - 1 and entries:
            problems.append(f"entry {n} is there twice, as {entries[-1].hash[:12]} and another one")
        elif n != expected:
            gone = f"entry {expected} is" if n == expected + 1 else f"entries {expected} to {n - 1} are"
            problems.append(f"{gone} missing")
        found = _read(text)
        if found is None or found[0].n != n:
            problems.append(f"entry {n} can't be read")
            previous, expected = "", n + 1
            continue
        entry, digest = found
        if digest != entry.hash:
            problems.append(f"entry {n} was changed: its content does not have its hash")
        if previous and entry.previous != previous:
            problems.append(f"entry {n} does not follow the one before it: it names another hash")
        entries.append(entry)
        previous, expected = entry.hash, n + 1
    return Log(tuple(entries), tuple(problems))


def _read(text: str) -> tuple[Entry, str] | None:
    """An entry and the hash that its stored content has, whichever fields the version that wrote it knew."""
    names = {f.name for f in fields(Entry)}
    try:
        content = json.loads(text)
        as_written = _canonical(content) == text
        entry = Entry(**{key: value for key, value in content.items() if key in names})
        content.pop("hash")
        digest = hashlib.sha256(_canonical(content).encode("utf-8")).hexdigest() if as_written else ""
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    whole = [entry.n, entry.to, *(v for v in (entry.before, entry.voids) if v is not None)]
    words = [entry.action, entry.name, entry.alias, entry.who, entry.when, entry.reason, entry.previous, entry.hash]
    good = (
        all(isinstance(v, int) and not isinstance(v, bool) for v in whole)
        and all(isinstance(v, str) for v in words)
        and isinstance(entry.gates, dict)
        and all(isinstance(v, list) and len(v) == 2 for v in entry.gates.values())
        and isinstance(entry.code, dict)
        and isinstance(entry.blocked, list)
        and isinstance(entry.changed, list)
    )
    return (entry, digest) if good else None
