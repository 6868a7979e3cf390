"""Commands of the registry: promote, rollback, history."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunocast.cli._common import Format, RunsDir, app, print_table
from immunocast.cli._tracking import TrackingUri, open_tracker
from immunocast.errors import NotFoundError

if TYPE_CHECKING:
    from immunocast.tracking.mlflow import Tracker
    from immunocast.tracking.promote import Outcome
    from immunocast.tracking.promotion_log import Entry

#: Exit codes: the gates kept the alias back; the chain of the log is broken.
REFUSED, BROKEN = 6, 3


class Alias(StrEnum):
    """Aliases that promotion moves."""

    CHALLENGER = "challenger"
    CHAMPION = "champion"


Reason = Annotated[str, typer.Option("--reason", help="Why; stored in the log.")]


@app.command()
def promote(
    run: Annotated[str, typer.Argument(help="Run id, its beginning, 'latest', or MLflow's id of a run.")],
    to: Annotated[Alias, typer.Option("--to", help="Alias that is to name the version.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Settings of the gates, e.g. promotion.gates.min_events.value=50.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model; the run's headline model by default.")] = None,
    override: Annotated[bool, typer.Option("--override", help="Move the alias though gates block it.")] = False,
    reason: Reason = "",
    config_dir: Annotated[
        Path | None, typer.Option(help="Folder whose promotion/NAME.yaml promotion=NAME may take.")
    ] = None,
    tracking_uri: TrackingUri = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Judge a model of a published run by the gates, and give its version an alias where all of them pass.

    Exit code 6 where gates kept the alias back, 7 where somebody on another host was faster.
    """
    from immunocast.config import gate_settings
    from immunocast.store.runfolder import find_run
    from immunocast.tracking.promote import promote as promote_version
    from immunocast.tracking.run_folders import published_folder, run_folder

    gates = gate_settings(settings or (), config_dir)
    try:
        tracker = open_tracker(tracking_uri, find_run(runs_dir, run))
    except NotFoundError:
        tracker = open_tracker(tracking_uri)
    with tempfile.TemporaryDirectory(prefix="immunocast-") as scratch:
        done = promote_version(
            tracker,
            run_folder(tracker, run, runs_dir, Path(scratch)),
            model,
            to.value,
            gates,
            lambda run_id, key, mlflow_run: published_folder(tracker, run_id, key, mlflow_run, runs_dir, Path(scratch)),
            override=override,
            reason=reason,
            changed=settings or (),
        )
    print(f"{done.version.title}: {done.version.model} of run {done.version.run_id}")
    if done.verdicts:
        _print_gates([(v.gate, v.status, v.words, v.blocks) for v in done.verdicts])
    _print_outcome(tracker, done)
    if not done.moved:
        blocked = ", ".join(v.gate for v in done.verdicts if v.blocks)
        holds = "nobody" if done.before is None else f"version {done.before}"
        print(
            f"Refused: {to} stays {holds}. Blocked by: {blocked}. The verdicts are stored on the version. To move the "
            'alias nevertheless: --override --reason "...", which is stored, too.',
            file=sys.stderr,
        )
        raise typer.Exit(REFUSED)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Registered model, e.g. immunocast-ridge, or ridge.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; stored in the log.")],
    alias: Annotated[Alias, typer.Option("--alias", help="Alias to give back.")] = Alias.CHAMPION,
    to_version: Annotated[
        int | None, typer.Option(help="A version that had the alias; the one before the present by default.")
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Give the alias back to the version that had it before; the gates are not asked again."""
    from immunocast.tracking.mlflow.registry import full_name, told
    from immunocast.tracking.promote import rollback as roll_back

    tracker = open_tracker(tracking_uri)
    with told(tracker):
        full = full_name(tracker, name)
    done = roll_back(tracker, full, alias.value, reason, to_version)
    print(f"{done.version.title}: {done.version.model} of run {done.version.run_id}")
    _print_outcome(tracker, done)


@app.command()
def history(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Registered model, e.g. immunocast-ridge, or ridge.")
    ] = None,
    entry: Annotated[int | None, typer.Option("--entry", help="Show the gates of one entry.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Who promoted or rolled back what, when, by which gates and why; checks that the log is whole.

    Exit code 3 where its chain is broken.
    """
    from immunocast.tracking.mlflow.registry import full_name, told
    from immunocast.tracking.registry_state import look

    tracker = open_tracker(tracking_uri)
    with told(tracker):
        found = look(tracker)
        name = None if name is None else full_name(tracker, name, (e.name for e in found.log.entries))
    entries = [e for e in found.log.entries if name in (None, e.name) and entry in (None, e.n)]
    unfinished = [f"{e.short}: {e.name} version {e.to} to {e.alias}" for e in found.unfinished]
    moved = [m.words() for m in found.moved]
    if entry is not None and not entries:
        raise NotFoundError(f"The log has no entry {entry}{f' about {name}' if name else ''}.")
    if as_json:
        chain = {"whole": found.whole, "entries": len(found.log.entries), "problems": list(found.log.problems)}
        content = {"chain": chain, "not_carried_out": unfinished, "moved_outside": moved}
        print(json.dumps({**content, "entries": [asdict(e) for e in entries]}, indent=1, ensure_ascii=False))
    else:
        if entries:
            _print_entries(entries)
        if entry is not None:
            _print_gates(_gates_of(entries[0]))
        about = f" about {name}" if name else ""
        if not entries:
            print(f"Nothing was promoted yet{about}.")
        if found.whole and found.log.entries:
            last = found.log.entries[-1]
            print(f"The chain of {len(found.log.entries)} entries is whole; its head is {last.hash}")
        for words in unfinished:
            print(
                f"Decided, but not carried out yet: {words}. The next promote or rollback of it does.", file=sys.stderr
            )
        for words in moved:
            print(f"Mind: {words}.", file=sys.stderr)
    if not found.whole:
        if not as_json:
            print("THE LOG IS NOT WHOLE:", *(f"  {p}" for p in found.log.problems), sep="\n", file=sys.stderr)
        raise typer.Exit(BROKEN)


def _gates_of(entry: Entry) -> list[tuple[str, str, str, bool]]:
    """The verdicts of an entry, in the order of the gates; others, which this version does not know, come last."""
    from immunocast.gates import GATES

    order = [*(g for g in GATES if g in entry.gates), *(g for g in entry.gates if g not in GATES)]
    return [(gate, *entry.gates[gate], gate in entry.blocked) for gate in order]  # type: ignore[misc]


def _print_gates(gates: list[tuple[str, str, str, bool]]) -> None:
    import pandas as pd

    rows = [
        {"gate": gate, "verdict": status + _weight(status, blocks), "found": words}
        for gate, status, words, blocks in gates
    ]
    if rows:
        print_table(pd.DataFrame(rows), Format.TABLE)


def _weight(status: str, blocks: bool) -> str:
    from immunocast.gates import FAILED, NOT_ASSESSABLE

    if blocks:
        return " (blocks)"
    return " (does not block)" if status in (FAILED, NOT_ASSESSABLE) else ""


def _print_outcome(tracker: Tracker, done: Outcome) -> None:
    for words in done.said:
        print(f"Mind: {words}.", file=sys.stderr)
    entry = done.entry
    if entry is None:
        print(f"It is the {done.alias} already; nothing changed.")
        return
    if done.moved:
        before = "nobody" if done.before is None else f"version {done.before}"
        override = f"  OVERRIDE of {', '.join(entry.blocked)}: {entry.reason}" if entry.override else ""
        print(f"{done.alias}: {before} -> version {entry.to}, {entry.short}, by {entry.who}{override}")
    if tracker.uri.startswith("http"):
        print(f"{tracker.shown_uri.rstrip('/')}/#/models/{entry.name}/versions/{entry.to}")


def _print_entries(entries: list[Entry]) -> None:
    import pandas as pd

    def gates(entry: Entry) -> str:
        states = [status for status, _ in entry.gates.values()]
        parts = [f"{states.count(s)} {s}" for s in dict.fromkeys(states)]
        blocked = f"; blocked by {', '.join(entry.blocked)}" if entry.blocked else ""
        return ", ".join(parts) + blocked

    rows: list[dict[str, Any]] = [
        {
            "entry": e.n,
            "UTC": e.when[:16].replace("T", " "),
            "model": e.name,
            "alias": e.alias,
            "from": "" if e.before is None else str(e.before),
            "to": str(e.to),
            "action": f"{e.action}, OVERRIDE" if e.override else e.action,
            "gates": gates(e),
            "by": e.who,
            "reason": "; ".join(part for part in (e.reason, e.note) if part),
        }
        for e in entries
    ]
    print_table(pd.DataFrame(rows), Format.TABLE)
