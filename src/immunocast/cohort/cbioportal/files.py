"""Files of a study folder: what is there, what is a git-LFS pointer only, and lines as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from immunocast.errors import DataError, Problem

_LFS = b"version https://git-lfs"
#: First bytes of files that are no text; what to do about them.
_NO_TEXT = (
    (b"PK\x03\x04", "a ZIP archive or a workbook", "Unpack it, or export it as tab-separated text"),
    (b"\x1f\x8b", "gzip-compressed", "Give it the suffix .gz where it is a MAF; unpack it otherwise"),
    (b"%PDF", "a PDF", "Put the data file there"),
    (b"\xff\xfe", "UTF-16 text", "Convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "UTF-16 text", "Convert it with `iconv -f UTF-16 -t UTF-8`"),
)
_WEB = re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE)


@dataclass(frozen=True)
class LfsPointer:
    """A git-LFS pointer: a stub of three lines that stands where the data should be.

    Attributes
    ----------
    path : the stub.
    n_bytes : size of the real file, None where the pointer does not say.
    """

    path: Path
    n_bytes: int | None

    @property
    def problem(self) -> Problem:
        """What is wrong and the mend."""
        size = "" if self.n_bytes is None else f" (the file itself has {self.n_bytes:,} bytes)"
        return Problem(
            f"this is a git-LFS pointer, not the data{size}",
            f"Fetch it where the folder was cloned: `git lfs pull --include '*/{self.path.name}'`; or download the "
            "study's archive, which holds the files themselves",
            file=str(self.path),
        )


def lfs_pointer(path: Path) -> LfsPointer | None:
    """The pointer that a file is; None for any other file."""
    with path.open("rb") as stream:
        head = stream.read(400)
    if not head.startswith(_LFS):
        return None
    size = re.search(rb"^size (\d+)\s*$", head, re.MULTILINE)
    return LfsPointer(path, int(size.group(1)) if size else None)


def refuse_no_text(path: Path, head: bytes) -> None:
    """Raise a DataError for the first bytes of something that is not tab-separated text."""
    if not head:
        raise DataError(Problem("the file is empty (0 bytes)", "Download or export it again", file=str(path)))
    if head.startswith(_LFS):
        pointer = lfs_pointer(path)
        assert pointer is not None  # the same bytes
        raise DataError(pointer.problem)
    for magic, name, mend in _NO_TEXT:
        if head.startswith(magic):
            raise DataError(Problem(f"the file is {name}, not tab-separated text", mend, file=str(path)))
    if _WEB.match(head):
        mend = "The download went wrong: fetch the file itself"
        raise DataError(Problem("the file is a web page, not tab-separated text", mend, file=str(path)))
    if b"\0" in head:
        raise DataError(Problem("the file holds NUL bytes: it is not text", "Export it again", file=str(path)))


class Line(NamedTuple):
    """A line of a text file with its number, from 1, as an editor shows it."""

    number: int
    text: str


def read_lines(path: Path) -> list[Line]:
    """All lines of a UTF-8 text file; line ends of Unix, Windows and old Macs.

    Raises
    ------
    DataError
        Where the file is missing, empty, a git-LFS pointer, no text, or not UTF-8.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        there = sorted(p.name for p in path.parent.glob(f"{path.stem[:12]}*"))
        mend = f"There are: {', '.join(there[:6])}" if there else "Download the study again"
        raise DataError(Problem("there is no such file", mend, file=str(path))) from None
    except OSError as error:
        mend = "Check its permissions"
        raise DataError(Problem(f"the file cannot be opened: {error}", mend, file=str(path))) from None
    refuse_no_text(path, content[:4096])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start : error.start + 1]
        raise DataError(
            Problem(
                f"the file is not UTF-8: byte {byte.hex()} ({byte.decode('cp1252', 'replace')!r} in Windows-1252)",
                f"Convert it with `iconv -f WINDOWS-1252 -t UTF-8 {path.name}`",
                file=str(path),
                rows=(line,),
            )
        ) from None
    if "\0" in text:
        raise DataError(Problem("the file holds NUL bytes: it is not text", "Export it again", file=str(path)))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [Line(number, line) for number, line in enumerate(lines, start=1)]


def unquote(cell: str) -> str:
    """A cell without surrounding white space and quotation marks (R writes them, cBioPortal does not)."""
    cell = cell.strip()
    return cell[1:-1].replace('""', '"').strip() if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
