"""Counting what is there more than once, in bounded memory.

Records wait in memory up to a limit; then they are sorted into files by their key, so that equal keys meet in
the same file, and the files are looked at one after the other. Keys are 64-bit hashes: among ten million
different mutations, the chance that any two share a key is 3 in a million.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd

_RECORD = np.dtype([("key", "u8"), ("group", "u4")])
_PARTS = 256
#: Records that wait in memory: 6 MB, and five times that while they are sorted into files.
_WAITING = 500_000


def hash_texts(values: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each text; the same on every machine."""
    return pd.util.hash_array(np.asarray(values, dtype=object), categorize=False)


def mix(hashes: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Fold another number into 64-bit hashes (finaliser of MurmurHash3)."""
    mixed = (hashes ^ more.astype("u8")) * np.uint64(0xFF51AFD7ED558CCD)
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xC4CEB9FE1A85EC53)
    return mixed ^ (mixed >> np.uint64(33))


class Repeats:
    """Counts records whose key came before, by group. A context: its files are removed at the end.

    Parameters
    ----------
    waiting : records that are kept in memory before they go to files.
    """

    def __init__(self, waiting: int = _WAITING):
        self._waiting = waiting
        self._blocks: list[np.ndarray] = []
        self._n = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Repeats:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, keys: np.ndarray, groups: np.ndarray) -> None:
        """Take records: 64-bit keys, and the group of each (a number from 0)."""
        block = np.empty(len(keys), dtype=_RECORD)
        block["key"], block["group"] = keys, groups
        self._blocks.append(block)
        self._n += len(block)
        if self._n >= self._waiting:
            self._spill()

    def count(self, n_groups: int) -> np.ndarray:
        """How many records of each group came with a key that was there before."""
        repeats = np.zeros(n_groups, dtype="int64")
        if self._folder is None:
            return repeats + _repeats(np.concatenate(self._blocks), n_groups) if self._blocks else repeats
        self._spill()
        for path in sorted(Path(self._folder.name).iterdir()):
            repeats += _repeats(np.fromfile(path, dtype=_RECORD), n_groups)
        return repeats

    def _spill(self) -> None:
        if not self._blocks:
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="immunocast-maf-")
        records = np.concatenate(self._blocks)
        self._blocks, self._n = [], 0
        part = records["key"] >> np.uint64(56)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(_PARTS + 1))
        records = records[order]
        for number in range(_PARTS):
            piece = records[bounds[number] : bounds[number + 1]]
            if len(piece):
                with (Path(self._folder.name) / f"{number:03d}").open("ab") as stream:
                    stream.write(piece.tobytes())


def _repeats(records: np.ndarray, n_groups: int) -> np.ndarray:
    records = records[np.argsort(records["key"], kind="stable")]
    again = records["group"][1:][records["key"][1:] == records["key"][:-1]]
    return np.bincount(again, minlength=n_groups)
