"""Promotion and rollback: gates first, then the log, then the alias.

The order of writes: (1) the verdicts, as tags of the version, which claim no more than what the gates say; (2) the
entry of the log, which is the decision; (3) the alias; (4) the tag of the version; (5) the witness. What is killed
before (2) has promoted nothing; what is killed after it is carried out by the next call (`registry_state.carry_out`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from immunocast import __version__
from immunocast.errors import ConfigError, ConflictError, NotFoundError
from immunocast.gates import ALIASES, Champion, Evidence, GateSettings, Verdict, judge
from immunocast.store.code_state import code_state
from immunocast.store.runfolder import RunFolder
from immunocast.tracking import process, registry_state
from immunocast.tracking.mlflow import Tracker, registry
from immunocast.tracking.mlflow.promotions import TakenError, append, read_log
from immunocast.tracking.mlflow.registry import Version, told
from immunocast.tracking.promotion_log import PROMOTE, REFUSED, ROLLBACK, Entry, Log, chained
from immunocast.tracking.publish import publish_key

#: (id of the run folder, its publish key, MLflow's id of a run of it) -> the folder; NotFoundError where it is nowhere.
FindFolder = Callable[[str, str, str], RunFolder]
#: Tag of a version with verdicts and settings as JSON. MLflow's pages hide tags of its own name space.
GATES_TAG = "mlflow.immunocast.gates"
_UNDECIDED = "Nothing was promoted; try again."


@dataclass(frozen=True)
class Outcome:
    """What came of a promotion or rollback.

    Attributes
    ----------
    version : the version in question.
    alias : challenger or champion.
    moved : whether the alias names it now.
    before : version that had the alias before, None for none.
    verdicts : of the gates; empty for a rollback, or where nothing had to be judged.
    entry : what stands in the log, None where nothing had to be done.
    said : what was found and mended on the way, in words.
    """

    version: Version
    alias: str
    moved: bool
    before: int | None
    verdicts: list[Verdict]
    entry: Entry | None
    said: list[str]


def promote(
    tracker: Tracker,
    run: RunFolder,
    model: str | None,
    alias: str,
    settings: GateSettings,
    find_folder: FindFolder,
    *,
    override: bool = False,
    reason: str = "",
    changed: Sequence[str] = (),
) -> Outcome:
    """Judge a model of a published run by the gates, and let the alias name its version where all pass.

    Parameters
    ----------
    tracker : the connection.
    run : the run folder.
    model : name in the run; None for its headline model.
    alias : challenger or champion.
    settings : of the gates.
    find_folder : finds the champion's run folder.
    override : move the alias though gates block it.
    reason : why; required with `override`.
    changed : settings given on the command line, for the log.

    Raises
    ------
    NotFoundError
        Where run or model are not published or not registered, or the version was deleted.
    ConfigError
        Where the alias is unknown, a reason is missing, the chain of the log is broken, or MLflow fails.
    ConflictError
        Where another host promoted or rolled back the same model meanwhile.
    """
    reason = _checked(alias, reason, needed="--override" if override else "")
    name = model or run.manifest().get("headline_model")
    if not name:
        raise NotFoundError(f"{run.path} names no headline model. Name one with --model.")
    with told(tracker, _UNDECIDED):
        version = registry.published_version(tracker, publish_key(run), run.run_id, name)
    with tracker.lock("promotions"):
        with told(tracker, _UNDECIDED):
            log, said, before = _begin(tracker, version.name, alias, overridden=override)
            if before == version.number:
                return Outcome(version, alias, True, before, [], None, said)
            evidence = Evidence(run, name, _champion(tracker, version.name, find_folder))
            verdicts = judge(evidence, settings, alias)
            tags = {f"gate.{v.gate}": v.text() for v in verdicts}
            plain = settings.to_plain()
            draft = _draft(PROMOTE, version, alias, before, reason, said)
            draft = replace(
                draft,
                gates={v.gate: [v.status, v.words] for v in verdicts},
                blocked=[v.gate for v in verdicts if v.blocks],
                changed=list(changed),
                settings=hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest(),
            )
            draft = replace(draft, override=bool(draft.blocked) and override)
            if draft.blocked and not override:
                draft = replace(draft, action=REFUSED)
            chained(draft, log.last)  # what is too long is told before anything is written
            tags[GATES_TAG] = json.dumps(
                {
                    "alias": alias,
                    "when": draft.when,
                    "who": draft.who,
                    "verdicts": [v.to_dict() for v in verdicts],
                    "settings": plain,
                    "changed": list(changed),
                    "override": draft.override,
                    "reason": reason,
                }
            )
            registry.tag_version(tracker, version.name, version.number, tags)
            registry.describe_version(tracker, version.name, version.number)
        entry = _decide(tracker, draft, log)
        if entry.action == REFUSED:
            return Outcome(version, alias, False, before, verdicts, entry, said)
        _finish(tracker, entry, said)
    return Outcome(version, alias, True, before, verdicts, entry, said)


def rollback(tracker: Tracker, name: str, alias: str, reason: str, to: int | None = None) -> Outcome:
    """Give an alias back to the version that had it before, or to another one that once had it.

    The gates are not asked: the version passed them, or was let through, when it got the alias.

    Parameters
    ----------
    tracker : the connection.
    name : registered model.
    alias : challenger or champion.
    reason : why, not empty.
    to : a version that had the alias; None for the one before the present.

    Raises
    ------
    NotFoundError
        Where there is no such model, or no version to go back to.
    ConfigError, ConflictError
        As `promote`.
    """
    reason = _checked(alias, reason, needed="rollback")
    with tracker.lock("promotions"):
        with told(tracker, "Nothing was rolled back; try again."):
            names = registry.registered_names(tracker)
            if name not in names:
                raise NotFoundError(f"There is no registered model {name!r}. There are: {', '.join(names) or 'none'}.")
            log, said, before = _begin(tracker, name, alias, overridden=False)
            number = _back_to(tracker, log, name, alias, before, to)
            version = registry.version(tracker, name, number)
            if version is None:
                left = [n for n in log.holders(name, alias) if n not in (number, before)]
                left = [n for n in left if registry.version(tracker, name, n) is not None]
                others = f" Older ones that are there: {', '.join(map(str, left))}: --to-version N." if left else ""
                raise NotFoundError(f"{name} version {number}, the {alias} before, was deleted in MLflow.{others}")
            draft = _draft(ROLLBACK, version, alias, before, reason, said)
        entry = _decide(tracker, draft, log)
        _finish(tracker, entry, said)
    return Outcome(version, alias, True, before, [], entry, said)


def _checked(alias: str, reason: str, needed: str) -> str:
    if alias not in ALIASES:
        raise ConfigError(f"There is no alias {alias!r}. Aliases: {', '.join(ALIASES)}.")
    reason = " ".join(reason.split())
    if needed and not reason:
        raise ConfigError(f'{needed} needs a reason, which is stored: --reason "...".')
    return reason


def _begin(tracker: Tracker, name: str, alias: str, *, overridden: bool) -> tuple[Log, list[str], int | None]:
    """Complete what earlier calls left, and say who has the alias; a broken chain stops everything."""
    found = registry_state.look(tracker)
    if not found.whole and not overridden:
        raise ConfigError(
            f"The chain of the promotion log is broken: {'; '.join(found.log.problems)}. Look at it with `immunocast "
            "history`; after that, promote --override with a reason goes on from its last entry."
        )
    said = [f"the chain of the log is broken: {'; '.join(found.log.problems)}"] if not found.whole else []
    log = found.log
    due = [entry for entry in found.unfinished if entry.name == name]
    for each in ALIASES:
        log, mended = registry_state.carry_out(tracker, log, name, each, _who(tracker), _now())
        said += mended
    left = {entry.n for each in ALIASES for entry in log.of(name, each)}
    said += [f"{entry.short} was not carried out yet: done now" for entry in due if entry.n in left]
    said += [moved.words() for moved in found.moved if (moved.entry.name, moved.entry.alias) == (name, alias)]
    return log, said, registry.aliases(tracker, name).get(alias)


def _champion(tracker: Tracker, name: str, find_folder: FindFolder) -> Champion | None:
    number = registry.aliases(tracker, name).get("champion")
    found = registry.version(tracker, name, number) if number is not None else None
    if found is None:
        return None
    if not found.run_id or not found.publish_key:
        return Champion(found.title, found.model, None, "it was not made by immunocast's publish")
    try:
        return Champion(found.title, found.model, find_folder(found.run_id, found.publish_key, found.mlflow_run))
    except NotFoundError as error:
        return Champion(found.title, found.model, None, str(error))


def _back_to(tracker: Tracker, log: Log, name: str, alias: str, now: int | None, to: int | None) -> int:
    held = log.holders(name, alias)
    ever = sorted({entry.to for entry in log.of(name, alias)})
    if to is not None:
        if to not in ever:
            known = f"Versions that were: {', '.join(map(str, ever))}" if ever else "No version was"
            raise NotFoundError(
                f"{name} version {to} was never {alias}. {known}. Others are promoted, not rolled back to."
            )
        if to == now:
            raise ConfigError(f"{name} version {to} is the {alias} already.")
        return to
    # where the alias names nobody, its version was deleted: the one before it is meant
    before = held[:-1] if now is None else [number for number in held if number != now]
    if not before:
        first = f" before version {now or held[-1]}" if held else ""
        raise NotFoundError(f"{name} has no {alias}{first}: there is nothing to roll back to.")
    return before[-1]


def _draft(action: str, version: Version, alias: str, before: int | None, reason: str, said: list[str]) -> Entry:
    code = code_state()
    return Entry(
        n=0,
        action=action,
        name=version.name,
        alias=alias,
        before=before,
        to=version.number,
        run_id=version.run_id,
        who="",
        when=_now(),
        reason=reason,
        code={"version": __version__, "commit": (code["git_commit"] or "")[:12], "dirty": code["dirty"]},
        note="; ".join(said)[:500],
    )


def _decide(tracker: Tracker, draft: Entry, log: Log) -> Entry:
    """Write the entry: the moment of decision. Entries of other models in between change nothing of it."""
    draft = replace(draft, who=_who(tracker))
    with told(tracker, "Whether the decision was written is not sure: `immunocast history` tells."):
        while True:
            try:
                return append(tracker, draft, log.last)
            except TakenError as taken:
                seen = 0 if log.last is None else log.last.n
                new = [e for e in taken.log.entries if e.n > seen and e.name == draft.name and e.action != REFUSED]
                # who is challenger says nothing about who may be champion
                rivals = [e for e in new if e.alias in (draft.alias, "champion")]
                if rivals:
                    raise ConflictError(_lost(draft, rivals[-1])) from None
                log = taken.log


def _lost(draft: Entry, rival: Entry) -> str:
    return (
        f"{rival.who} was faster: {rival.name} version {rival.to} became {rival.alias} at {rival.when} "
        f"({rival.short}). "
        f"Version {draft.to} was judged against what was there before, and nothing was changed. Look at `immunocast "
        f"history {draft.name}`, and call again if you still want it."
    )


def _finish(tracker: Tracker, entry: Entry, said: list[str]) -> None:
    """Carry a decision out, and tell where another one has overtaken it."""
    after = f"{entry.short} stands in the log but is not carried out yet; the next promote or rollback completes it."
    with told(tracker, after[0].upper() + after[1:]):
        log, mended = registry_state.carry_out(
            tracker, read_log(tracker), entry.name, entry.alias, _who(tracker), _now()
        )
        registry_state.show_log(tracker)
    said += mended
    last = log.of(entry.name, entry.alias)[-1:]
    if last and last[0].n > entry.n:
        raise ConflictError(
            f"Version {entry.to} became {entry.alias} of {entry.name} by {entry.short}, and {last[0].who} has moved it "
            f"on since: it is version {last[0].to} by {last[0].short}. Look at `immunocast history {entry.name}`."
        )
    if not any(e.n == entry.n for e in log.of(entry.name, entry.alias)):
        raise NotFoundError(
            f"{entry.name} version {entry.to} was deleted meanwhile: the {entry.alias} stays what it was."
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who(tracker: Tracker) -> str:
    """The user of a server that asks for one, else of this machine; and the machine."""
    user: Any = os.environ.get("MLFLOW_TRACKING_USERNAME") if tracker.uri.startswith("http") else None
    if not user:
        user = process.user()
    return f"{user}@{process.host()}"
