"""TRIPOD+AI against the files that are really there: an item is evidenced by what can be opened, by nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from immunocast.errors import NotFoundError
from immunocast.report.card.statements import Statements
from immunocast.report.card.tripod import ITEMS, Evidence, Item
from immunocast.store.runfolder import file_digest

#: Keeps what a card holds: digests of its files and of its model's bundle, the verdict.
INDEX = "card.json"
#: Where the bundle of a card lies, seen from the card: in a run folder, and beside an MLflow model.
_BUNDLES = ("../../bundles/{model}/final", "../artifacts/final", "../artifacts/bundle")


class Status(StrEnum):
    """What can be said of an item."""

    EVIDENCED = "evidenced"
    PARTLY = "partly evidenced"
    STATED = "author's statement"
    AUTHOR = "needs the author"
    MISSING = "missing"


@dataclass(frozen=True)
class Row:
    """An item and what was found.

    Attributes
    ----------
    item : the item.
    status : see `Status`.
    found : evidence that is there.
    lost : files that the card was made with, and that are gone or were changed since.
    needs : what is still to be said, in words.
    statement : what the author says, "" for nothing; never evidence.
    """

    item: Item
    status: Status
    found: tuple[Evidence, ...]
    lost: tuple[str, ...]
    needs: str
    statement: str

    @property
    def paths(self) -> list[str]:
        """Files of the evidence that is there, each once."""
        return list(dict.fromkeys(e.path for e in self.found))


def read_index(folder: Path) -> dict[str, Any]:
    """What a card says of itself (card.json).

    Raises
    ------
    NotFoundError
        Where the folder holds no card, or its card.json can't be read: nothing could be checked against it.
    """
    path = folder / INDEX
    if not path.is_file():
        raise NotFoundError(f"{folder} holds no model card: {INDEX} is not there. Make it anew: immunocast card RUN.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        dict(found["files"]), dict(found["bundle"]["files"]), str(found["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotFoundError(f"{path} is damaged. Make the card anew: immunocast card RUN --rebuild.") from error
    return found


def checklist(
    folder: Path,
    statements: Statements | None = None,
    index: Mapping[str, Any] | None = None,
    bundle: Path | None = None,
) -> list[Row]:
    """Every item of TRIPOD+AI, judged by the files of a card that are really there.

    Parameters
    ----------
    folder : the card's folder: of a run folder, or downloaded with the MLflow version (its bundle beside it).
    statements : the author's; None takes those that the card was made with.
    index : what the card was made with; None reads card.json.
    bundle : folder of the model's bundle; None looks where it lies beside a card.

    Returns
    -------
    A row an item, in the order of the statement. An item counts as evidenced only where each file that it needs is
    there with the content that the card was made with; one that is gone or was changed makes it "missing".

    Raises
    ------
    NotFoundError
        Where there is no card.
    """
    index = read_index(folder) if index is None else index
    statements = Statements.from_dict(index.get("statements")) if statements is None else statements
    files = _Files(folder, index, bundle)
    return [_judge(item, files, statements.text(item.number)) for item in ITEMS]


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Number of items of each status; statuses of no item are 0."""
    found = {str(status): 0 for status in Status}
    for row in rows:
        found[row.status] += 1
    return found


def told(rows: Iterable[Row]) -> str:
    """How many items have which status, as a sentence's part; statuses of no item are left out."""
    found = {status: n for status, n in counts(rows).items() if n}
    need = {1: "1 needs the author"}.get(found.get(Status.AUTHOR, 0), f"{found.get(Status.AUTHOR, 0)} need the author")
    return ", ".join(need if status == Status.AUTHOR else f"{n} {status}" for status, n in found.items())


def lost_files(rows: Iterable[Row]) -> list[str]:
    """Files that are gone or were changed, each once."""
    return list(dict.fromkeys(name for row in rows for name in row.lost))


def _judge(item: Item, files: _Files, statement: str) -> Row:
    found, lost, absent = [], [], []
    for evidence in item.evidence:
        state = files.state(evidence)
        if state == "there":
            found.append(evidence)
        elif state == "absent":
            if evidence.needed:
                absent.append(evidence)
        else:
            lost.append(state)
    needs = [item.author] if item.author else []
    if absent:
        unheard = ", ".join(dict.fromkeys(e.says for e in absent))
        needs.append(f"not recorded by this run: {unheard}{f' ({item.absent})' if item.absent else ''}")
    if lost:
        status = Status.MISSING
    elif found:
        status = Status.PARTLY if needs else Status.EVIDENCED
    else:
        status = Status.STATED if statement else Status.AUTHOR
    return Row(item, status, tuple(found), tuple(dict.fromkeys(lost)), "; ".join(needs), statement)


class _Files:
    """The files of a card on disk, each read once."""

    def __init__(self, folder: Path, index: Mapping[str, Any], bundle: Path | None) -> None:
        self.folder, self.index = folder, index
        beside = (folder / place.format(model=index["model"]) for place in _BUNDLES)
        self.bundle = bundle if bundle is not None else next((p for p in beside if p.is_dir()), None)
        self._states: dict[str, str] = {}
        self._parts: dict[str, set[str]] = {}

    def state(self, evidence: Evidence) -> str:
        """One of "there", "absent" where the card was made without it, else the name of the file with what is wrong."""
        path = evidence.path
        if path not in self._states:
            self._states[path] = self._bundle() if path == "bundle" else self._file(path)
        if self._states[path] == "there" and evidence.holds and evidence.holds not in self._held(path):
            return "absent"
        return self._states[path]

    def _file(self, path: str) -> str:
        digest = self.index["files"].get(path)
        return "absent" if digest is None else _compare(self.folder / path, digest, path)

    def _bundle(self) -> str:
        files = self.index["bundle"]["files"]
        if not files:
            return "absent"
        if self.bundle is None:
            return "bundle (the fitted model is not beside the card)"
        states = [_compare(self.bundle / name, digest, f"bundle/{name}") for name, digest in files.items()]
        return next((s for s in states if s != "there"), "there")

    def _held(self, path: str) -> set[str]:
        """Values of the first column of a CSV, or the keys of a JSON file whose values say something."""
        if path not in self._parts:
            with (self.folder / path).open(encoding="utf-8", newline="") as stream:
                if path.endswith(".json"):
                    content = json.load(stream)
                    self._parts[path] = {k for k, v in content.items() if v not in (None, "", [], {})}
                else:
                    self._parts[path] = {row[0] for row in csv.reader(stream) if row}
        return self._parts[path]


def _compare(file: Path, digest: str, name: str) -> str:
    if not file.is_file():
        return f"{name} (gone)"
    return "there" if file_digest(file) == digest else f"{name} (changed since the card was made)"
