"""A MAF as blocks of columns: comment lines, header, broken lines, quotation marks, compression."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from immunocast.cohort.cbioportal.files import refuse_no_text, unquote
from immunocast.cohort.hints import did_you_mean
from immunocast.errors import DataError, Problem

#: Bytes that are parsed at a time; a line must fit in.
BLOCK_BYTES = 1 << 20
#: Broken lines of which the numbers are kept for the message.
_SHOWN = 20


@dataclass
class Broken:
    """Lines that have another number of cells than the header, and were left out.

    Attributes
    ----------
    n : how many.
    rows : the first line numbers (lines without any text are not counted on the way).
    cells : cells of the first one.
    cut_off : the last line of the file is one of them and has no line end.
    """

    n: int = 0
    rows: list[int] = field(default_factory=list)
    cells: int = 0
    cut_off: bool = False


class MafStream:
    """The needed columns of a MAF, block by block, in bounded memory.

    Parameters
    ----------
    path : the MAF, plain or .gz. Lines at the top that start with # are skipped, columns may stand in any order,
        their names count without case.
    needed, optional : names of columns that must or may be there.

    Attributes
    ----------
    columns : of `needed` and `optional`, those that the file has.
    broken : the lines that could not be used; complete after the last block.
    n_rows : lines with the right number of cells, seen so far.
    digest : SHA-256 of the file, after the last block.

    Raises
    ------
    DataError
        Where the file is no MAF: empty, no text, a git-LFS pointer, needed columns missing.
    """

    def __init__(self, path: Path, needed: Sequence[str], optional: Sequence[str]):
        self.path = path
        self._raw = _Hashed(path)
        try:
            self._file = self._open()
            self._header_line, self._names = self._read_header()
            self.columns = self._find(needed, optional)
        except BaseException:
            self._raw.close()
            raise
        self.broken = Broken()
        self.n_rows = 0
        self._quoted: list[str] = []

    @property
    def digest(self) -> str:
        """SHA-256 of what was read of the file."""
        return self._raw.sha.hexdigest()

    def _open(self) -> io.BufferedReader | _Hashed:
        magic = self._raw.peek()
        if magic.startswith(b"\x1f\x8b") and self.path.suffix == ".gz":
            unpacked = gzip.GzipFile(fileobj=self._raw, mode="rb")
            return io.BufferedReader(unpacked, BLOCK_BYTES)
        refuse_no_text(self.path, magic)
        return self._raw

    def _read_header(self) -> tuple[int, list[str]]:
        number = 0
        while True:
            with _told_as_data_errors(self.path):
                line = self._file.readline(BLOCK_BYTES)
            number += 1
            if not line:
                mend = "Download it again" if number == 1 else "All its lines are comments: download it again"
                raise self._refuse("there is no header in this MAF", mend)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
                refuse_no_text(self.path, line)
            if line.strip() and not line.lstrip(b'"').startswith(b"#"):
                break
        text = line.rstrip(b"\r\n")
        if b"\r" in text:
            mend = f"Convert it: `tr '\\r' '\\n' < {self.path.name}`"
            raise self._refuse("the lines end like those of old Macs (carriage returns only)", mend)
        return number, [unquote(cell) for cell in text.decode("utf-8", "replace").split("\t")]

    def _find(self, needed: Sequence[str], optional: Sequence[str]) -> tuple[str, ...]:
        """Names of the wanted columns that are there; keeps their places."""
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self._names):
            places.setdefault(name.casefold(), []).append(place)
        self._places: dict[str, int] = {}
        problems = []
        for name in (*needed, *optional):
            found = places.get(name.casefold(), [])
            if len(found) > 1:
                message, mend = "this column is there more than once", "Remove or rename all but one"
            elif not found and name in needed:
                message = "a MAF needs this column, and it is not there"
                mend = did_you_mean(name, self._names) or f"Columns there: {', '.join(self._names[:12])}"
                if len(self._names) == 1:
                    mend = "The header has one cell only: columns are separated by tabs in a MAF"
            else:
                if found:
                    self._places[name] = found[0]
                continue
            problems.append(Problem(message, mend, str(self.path), column=name, rows=(self._header_line,)))
        if problems:
            raise DataError(problems)
        return tuple(self._places)

    def blocks(self) -> Iterator[Any]:
        """The columns as pyarrow record batches of text; cells as they stand.

        Raises
        ------
        DataError
            Where the file breaks off (.gz) or is not UTF-8 in a column that is needed.
        """
        import pyarrow as pa
        import pyarrow.csv

        names = [str(i) for i in range(len(self._names))]
        wanted = [names[place] for place in self._places.values()]
        source = _Rest(self._file)
        try:
            with _told_as_data_errors(self.path):
                if source.is_empty:
                    return
                reader = pyarrow.csv.open_csv(
                    pa.PythonFile(source, mode="r"),
                    # one thread: row numbers are known, and the blocks in flight are few
                    read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES, use_threads=False),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter="\t", quote_char=False, invalid_row_handler=self._take_broken
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        include_columns=wanted,
                        column_types=dict.fromkeys(wanted, pa.string()),
                        strings_can_be_null=False,
                    ),
                )
            while True:
                with _told_as_data_errors(self.path):
                    try:
                        batch = reader.read_next_batch()
                    except StopIteration:
                        break
                self.n_rows += batch.num_rows
                yield batch.rename_columns(list(self._places))
                yield from self._mended()
            yield from self._mended()
        finally:
            self._raw.close()
        self.broken.cut_off = (
            not source.ends_with_line_end and self.n_rows + self.broken.n + self._header_line in self.broken.rows
        )

    def _take_broken(self, row: Any) -> str:
        if row.actual_columns > row.expected_columns and '"' in row.text:
            self._quoted.append(row.text)
        else:
            self._count_broken(row.actual_columns, row.number)
        return "skip"

    def _count_broken(self, cells: int, number: int | None) -> None:
        self.broken.n += 1
        self.broken.cells = self.broken.cells or cells
        if number is not None:
            del self.broken.rows[_SHOWN - 1 :]  # the last one stays: it tells a file that was cut off
            self.broken.rows.append(self._header_line + number)

    def _mended(self) -> Iterator[Any]:
        """Lines whose quoted cells hold tabs, read once more with their quotation marks."""
        import pyarrow as pa

        texts, self._quoted = self._quoted, []
        found = []
        for cells in (next(csv.reader([t], delimiter="\t")) for t in texts):
            if len(cells) == len(self._names):
                found.append([cells[place] for place in self._places.values()])
            else:
                self._count_broken(len(cells), None)
        if found:
            self.n_rows += len(found)
            arrays = [pa.array(column, pa.string()) for column in zip(*found, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, names=list(self._places))

    def _refuse(self, message: str, mend: str) -> DataError:
        return DataError(Problem(message, mend, file=str(self.path)))


@contextmanager
def _told_as_data_errors(path: Path) -> Iterator[None]:
    """Turn what pyarrow, gzip and the system raise for a broken file into a DataError."""
    mend = "Download the file again"
    try:
        yield
        return
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"the compressed file is broken or cut off: {error}"
    except (ValueError, OSError) as error:  # pyarrow's ArrowInvalid is a ValueError
        message = f"the file cannot be read as a MAF: {error}"
        if "UTF8" in str(error):
            message = "a needed column is not UTF-8"
            mend = f"Convert it: `iconv -f WINDOWS-1252 -t UTF-8 {path.name}`"
        elif "straddling" in str(error):
            message, mend = f"a line is longer than {BLOCK_BYTES:,} bytes", "Check its line ends"
    raise DataError(Problem(message.rstrip("."), mend, file=str(path)))


class _Hashed(io.RawIOBase):
    """A file that is hashed while it is read."""

    def __init__(self, path: Path):
        try:
            self._stream = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise DataError(Problem("there is no such file", "Download it", file=str(path))) from None
        except OSError as error:
            raise DataError(Problem(f"the file cannot be opened: {error}", "Check it", file=str(path))) from None
        self.sha = hashlib.sha256()
        self._ahead = b""
        self._ahead = self._take(1 << 16)

    def _take(self, size: int) -> bytes:
        block = self._stream.read(size) or b""
        self.sha.update(block)
        return block

    def peek(self) -> bytes:
        """The first bytes, which stay to be read."""
        return self._ahead[:4096]

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1) -> bytes:
        """A line, at most `size` bytes."""
        limit = BLOCK_BYTES if size is None or size < 0 else size
        while (end := self._ahead.find(b"\n")) < 0 and len(self._ahead) < limit:
            more = self._take(1 << 16)
            if not more:
                break
            self._ahead += more
        end = min(end + 1 if end >= 0 else len(self._ahead), limit)
        line, self._ahead = self._ahead[:end], self._ahead[end:]
        return line

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes."""
        if self._ahead:
            size = len(self._ahead) if size is None or size < 0 else size
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            return block
        return self._take(BLOCK_BYTES if size is None or size < 0 else size)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


class _Rest(io.RawIOBase):
    """What is left of a stream, as pyarrow wants to read it; remembers how it ended."""

    def __init__(self, stream: io.BufferedReader | _Hashed):
        self._stream = stream
        self._first = stream.read(1 << 16)
        self._last = self._first[-1:]
        self.is_empty = not self._first.strip()

    @property
    def ends_with_line_end(self) -> bool:
        """The last byte read ends a line."""
        return self._last in (b"\n", b"\r")

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes."""
        size = BLOCK_BYTES if size is None or size < 0 else size
        if self._first:
            block, self._first = self._first[:size], self._first[size:]
        else:
            block = self._stream.read(size)
        self._last = block[-1:] or self._last
        return block
