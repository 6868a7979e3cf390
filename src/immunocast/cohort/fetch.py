"""Fetch public cohorts: every file to its place, what could not be had said file by file.

Trust: an address at a pinned commit with a known digest is checked against it. Where the registry knows no digest,
the first download is recorded in `NAME.sha256` beside the file (the format of `sha256sum -c`), and later ones must
equal it. Data behind git-LFS pointers are checked against the digest that the pointer names.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from immunocast.cohort.download import Downloader, LfsPointerError, download
from immunocast.cohort.registry import CohortEntry, CohortFile, Hub, Origin, cache_dir, is_inside
from immunocast.errors import FetchError, ImmunocastError

Outcome = Literal["there", "fetched", "made", "by hand", "failed"]


@dataclass(frozen=True)
class Fetched:
    """What became of one file.

    Attributes
    ----------
    path : the file, or where it should lie.
    outcome : "there" (nothing to do), "fetched", "made" (written from a fetched file), "by hand" (its origins are
        here, the rest is the user's) or "failed".
    message : what to know: the digest and how it was checked, what to do by hand, or why it failed.
    sha256 : digest of the file, None where it is not there.
    error : of a failed file.
    """

    path: Path
    outcome: Outcome
    message: str
    sha256: str | None = None
    error: ImmunocastError | None = None


def fetch_cohort(entry: CohortEntry, data_dir: Path, downloader: Downloader, to: Path | None = None) -> list[Fetched]:
    """Fetch the files of a cohort that are not here yet.

    Parameters
    ----------
    entry : from the registry.
    data_dir : folder of the data; a copy there stands in and is left alone.
    downloader : how to download.
    to : folder to fetch into, laid out like the folder of the data; None for the cache.

    Returns
    -------
    One entry a file. A failure of one file does not stop the others.

    Raises
    ------
    FetchError
        Where a study is not at its address at all.
    """
    target = (to or cache_dir()).expanduser()
    if entry.hub is not None and entry.study is not None:
        if to is None and entry.is_in(data_dir):
            return [Fetched(data_dir / str(entry.folder), "there", _STANDS_IN)]
        return _fetch_study(entry.study, entry.hub, target, downloader)
    return [_fetch_file(file, None if to else data_dir, target, downloader) for file in entry.files]


_STANDS_IN = "a copy in the folder of the data stands in"


# -- tables -----------------------------------------------------------------------------------------------------


def _fetch_file(file: CohortFile, data_dir: Path | None, target: Path, downloader: Downloader) -> Fetched:
    path = target / file.path
    if data_dir is not None and (data_dir / file.path).is_file():
        digest = _sha256(data_dir / file.path)
        return Fetched(data_dir / file.path, "there", f"{_STANDS_IN}; {_compared(file, digest)}", digest)
    if path.is_file():
        digest, expected = _sha256(path), file.origins[0].sha256 or _recorded(_note_of(path))
        if file.made != "as_is" or expected in (None, digest):
            return Fetched(path, "there", f"fetched before; {_compared(file, digest)}", digest)
    try:
        return _make(file, path, downloader)
    except ImmunocastError as error:
        return Fetched(path, "failed", str(error), None, error)


def _make(file: CohortFile, path: Path, downloader: Downloader) -> Fetched:
    """Fetch the origins of a file and make it of them, as far as that goes."""
    if file.made == "as_is":
        digest, how = _fetch_origin(file.origins[0], path, downloader)
        return Fetched(path, "fetched", f"{how}; {_compared(file, digest)}", digest)
    origins = [(o, path.parent / "origin" / o.name) for o in file.origins]
    found = [_fetch_origin(origin, place, downloader) for origin, place in origins]
    if file.made == "by_hand":
        places = ", ".join(str(place) for _, place in origins)
        return Fetched(
            path, "by hand", f"no single public file is this table. To make it from {places}: {file.by_hand}"
        )
    _write_table(origins[0][1], file.sheet, path)
    digest = _sha256(path)
    return Fetched(
        path, "made", f"written from {origins[0][1].name} ({found[0][1]}); {_compared(file, digest)}", digest
    )


def _fetch_origin(origin: Origin, path: Path, downloader: Downloader) -> tuple[str, str]:
    """Digest of a fetched origin, and how it was checked."""
    note = _note_of(path)
    recorded = _recorded(note)
    expected = origin.sha256 or recorded
    if path.is_file() and expected is None:
        expected = _sha256(path)  # put there by hand: from now on it is the one that counts
    digest = download(origin.address, path, expected, downloader)
    if origin.sha256 is not None:
        return digest, "checked against the registry's digest"
    if recorded is not None:
        return digest, "the same as at the first download"
    _write_atomically(note, f"{digest}  {path.name}\n".encode())
    return digest, f"no digest is known for it: recorded {digest[:12]}... as the first one"


def _compared(file: CohortFile, digest: str) -> str:
    if file.tested_sha256 is None:
        return "no copy is known with which its mapping was tested"
    if digest == file.tested_sha256:
        return "the very file with which the mapping was tested"
    why = f" ({file.note})" if file.note else ""
    return f"not the copy with which the mapping was tested{why}: look at the warnings when it is loaded"


def _note_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded(note: Path) -> str | None:
    try:
        digest = note.read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        return None
    return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else None


def _write_table(source: Path, sheet: str | None, path: Path) -> None:
    """A sheet, or a TSV, as CSV: cells as a person sees them, nothing interpreted."""
    from immunocast.cohort.sources import read_raw_sheet
    from immunocast.cohort.values import cell_text

    frame = read_raw_sheet(source, sheet)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    columns = [[cell_text(cell) for cell in frame[name]] for name in frame]
    writer.writerows(zip(*columns, strict=True))
    _write_atomically(path, text.getvalue().encode())


def _write_atomically(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FetchError(
            f"Cannot write {path}: {error.strerror}. Make room, or name another place with --to DIR."
        ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- studies of cBioPortal ----------------------------------------------------------------------------------------


def _fetch_study(study: str, hub: Hub, target: Path, downloader: Downloader) -> list[Fetched]:
    """The files of a study that the reader uses: meta files, the data that they name, and case lists."""
    folder = target / hub.path.format(study=study)
    done: list[Fetched] = []
    data: str | None = None
    for name in (*hub.required, *hub.optional):
        try:
            path, message, digest, was_there = _fetch_of_study(study, name, hub, folder, downloader)
        except FetchError as error:
            if error.status == 404 and name in hub.required:
                raise FetchError(
                    f"There is no study {study!r} at {hub.raw.format(study=study, file=name)} (HTTP 404). "
                    "Look for its id at www.cbioportal.org (study summary, in the address).",
                    404,
                ) from None
            with contextlib.suppress(OSError):
                (folder / name).parent.rmdir()  # where nothing came into it
            if error.status != 404:
                done.append(Fetched(folder / name, "failed", str(error), None, error))
            continue  # a study has a choice of the optional ones
        done.append(Fetched(path, "there" if was_there else "fetched", message, digest))
        try:
            data = _data_file(path) if name.startswith("meta_") else None
            if data is not None:
                path, message, digest, was_there = _fetch_of_study(study, data, hub, folder, downloader)
                done.append(Fetched(path, "there" if was_there else "fetched", message, digest))
        except ImmunocastError as error:
            done.append(Fetched(folder / (data or name), "failed", str(error), None, error))
    return done


def _fetch_of_study(
    study: str, name: str, hub: Hub, folder: Path, downloader: Downloader
) -> tuple[Path, str, str, bool]:
    """One file of a study; behind a git-LFS pointer, the data that it points to."""
    path = folder / name
    was_there = path.is_file()
    if was_there:
        return path, "fetched before", _sha256(path), True
    try:
        digest = download(hub.raw.format(study=study, file=name), path, None, downloader)
        return path, "no digest is known for it", digest, False
    except LfsPointerError as pointer:
        if not pointer.sha256:
            raise
        digest = download(hub.media.format(study=study, file=name), path, pointer.sha256, downloader)
        return path, "checked against the digest of its git-LFS pointer", digest, False


def _data_file(meta: Path) -> str | None:
    """The data file that a meta file names.

    Raises
    ------
    FetchError
        Where the name leads out of the study's folder.
    """
    found = re.search(r"^data_filename\s*:\s*(\S.*?)\s*$", meta.read_text("utf-8", "replace"), flags=re.MULTILINE)
    if found is None:
        return None
    if not is_inside(found.group(1)):
        raise FetchError(
            f"{meta} names the data file {found.group(1)!r}, which lies outside of its folder. Not fetched."
        )
    return found.group(1)
