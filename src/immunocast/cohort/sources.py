"""Reading files into raw tables: cells as they stand in the file, with the row numbers that a spreadsheet shows.

Nothing is decided here about what a value means; that is `cohort.values`. CSV cells stay text, so that no
library turns "NA" or "None" into something else behind our back.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import pandas as pd

from immunocast.cohort.hints import closest
from immunocast.cohort.raw_table import RawTable, make_raw_table
from immunocast.cohort.registry import how_to_get
from immunocast.cohort.xlsx import no_rows, read_xlsx
from immunocast.errors import DataError, Problem

#: Suffix -> delimiter of text files; the other two kinds of file follow.
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
PARQUET = (".parquet", ".pq")
XLSX = (".xlsx", ".xlsm")
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_CHUNK = 20_000


def read_tables(
    path: Path,
    sheets: Sequence[str] | None = None,
    delimiter: str | None = None,
    *,
    encoding: str | None = None,
    header_row: int | None = None,
) -> tuple[list[RawTable], list[Problem]]:
    """Read a CSV, TSV, Parquet or XLSX file.

    Parameters
    ----------
    path : the file; its suffix tells the type.
    sheets : titles of the sheets wanted; None for the only sheet of a workbook. Ignored for other files.
    delimiter : of a text file; None for comma (.csv) or tab (.tsv, .txt).
    encoding : of a text file; None for UTF-8.
    header_row : row number of the header in a text file or workbook, as a spreadsheet shows it; None for the
        first row that holds anything.

    Returns
    -------
    The tables that could be read, and what is wrong with the rest (missing sheets, empty sheets).

    Raises
    ------
    DataError
        Where the file is missing, empty, a git-LFS pointer, or not what its suffix says.
    """
    content = _content(path)
    suffix = path.suffix.lower()
    _check_type(path, content, encoding)
    if suffix in XLSX:
        return read_xlsx(path, content, sheets, header_row)
    if suffix in PARQUET:
        table = _read_parquet(path, content)
    else:
        table = _read_text(path, content, delimiter or DELIMITERS[suffix], encoding, header_row)
    return ([], [no_rows(path, None)]) if table.frame.empty else ([table], [])


def read_raw_sheet(path: Path, sheet: str | None = None, delimiter: str | None = None) -> pd.DataFrame:
    """Read one table as it stands, with every column of the source.

    For the reproduction of published numbers and for looking around: columns that are not in the vocabulary
    (a published score) never enter a cohort table, but can be read here.

    Returns
    -------
    A frame with the source's headers; columns that hold only numbers have a number dtype.

    Raises
    ------
    DataError
        As `read_tables`, and where the sheet is missing.
    """
    tables, problems = read_tables(path, [sheet] if sheet is not None else None, delimiter)
    if problems:
        raise DataError(problems)
    return tables[0].frame.infer_objects()


def file_content(path: Path) -> bytes:
    """The bytes of a file, unpacked if gzip-compressed text; refused where they are not what the suffix says.

    For readers of other tables than a cohort's.

    Raises
    ------
    DataError
        As `read_tables`.
    """
    content = _content(path)
    if path.suffix.lower() == ".gz" and path.with_suffix("").suffix.lower() in DELIMITERS:
        path = path.with_suffix("")
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                Problem(f"the file is not whole gzip data ({error})", "Fetch it again, or unpack it", file=str(path))
            ) from None
    _check_type(path, content, None)
    if path.suffix.lower() in DELIMITERS:
        _decode(path, content, None)
    return content


def _content(path: Path) -> bytes:
    def refuse(message: str, mend: str) -> DataError:
        return DataError(Problem(message, mend, file=str(path)))

    try:
        if path.is_dir():
            raise refuse("this is a folder, not a file", "Name the file in it")
        if path.exists() and not path.is_file():
            raise refuse("this is a pipe or a device, not a file", "Write its content to a file first")
        content = path.read_bytes()
    except FileNotFoundError:
        try:
            there = {p.stem: p.name for p in path.parent.iterdir() if p.is_file()}
            near = [there[stem] for stem in closest(path.stem, there)]
            mend = f"There are: {', '.join(near)}" if near else "Check cohort.file"
        except OSError:
            mend = f"The folder {path.parent} is not there either"
        mend = how_to_get(path) or mend
        raise refuse(
            "there is no such file",
            f"{mend}. The folder of the data is `paths.data`, from the environment variable IMMUNOCAST_DATA",
        ) from None
    except (OSError, ValueError) as error:
        raise refuse(f"the file cannot be opened: {error}", "Check its name and permissions") from None
    if not content:
        raise refuse("the file is empty (0 bytes)", "Download or export it again")
    return content


_UTF16 = "UTF-16 text"

#: First bytes -> what the file really is.
_MAGIC = (
    (b"version https://git-lfs", "a git-LFS pointer"),
    (b"PK\x03\x04", "a ZIP archive or an XLSX workbook"),
    (b"PAR1", "a Parquet file"),
    (b"\xd0\xcf\x11\xe0", "an old .xls or a password-protected workbook"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"%PDF", "a PDF"),
    (b"\xff\xfe", _UTF16),
    (b"\xfe\xff", _UTF16),
)


def _check_type(path: Path, content: bytes, encoding: str | None) -> None:
    """Refuse a file that is not what its suffix says."""
    suffix = path.suffix.lower()
    if suffix not in (*DELIMITERS, *PARQUET, *XLSX):
        known = ", ".join((*DELIMITERS, *PARQUET, *XLSX))
        raise DataError(
            Problem(
                f"files of type {suffix or '(none)'} cannot be read",
                f"Save it as one of: {known}",
                file=str(path),
            )
        )
    is_a = next((name for magic, name in _MAGIC if content.startswith(magic)), None)
    if is_a is None and re.match(rb"\s*<(!doctype|html|\?xml)", content[:200], re.IGNORECASE):
        is_a = "a web page"
    wanted = _MAGIC[1][1] if suffix in XLSX else _MAGIC[2][1] if suffix in PARQUET else None
    if is_a == wanted or (is_a == _UTF16 and encoding is not None and encoding.startswith("utf-16")):
        return
    mends = {
        _MAGIC[0][1]: "Fetch the data with `git lfs pull`",
        _MAGIC[3][1]: "Save it as .xlsx without a password",
        _MAGIC[4][1]: "Unpack it first",
        _UTF16: "Save it as UTF-8 (in Excel: CSV UTF-8), or declare `encoding: utf-16`",
        "a web page": "The download went wrong: fetch the file itself",
    }
    raise DataError(
        Problem(
            f"the file is {is_a or 'plain text or something unknown'}, not what {suffix} says",
            mends.get(is_a or "", "Give it the right suffix, or save it in the type that the suffix says"),
            file=str(path),
        )
    )


# -- text ---------------------------------------------------------------------------------------------------


def _decode(path: Path, content: bytes, encoding: str | None) -> str:
    wanted = encoding or "utf-8"
    try:
        text = content.decode("utf-8-sig" if wanted == "utf-8" else wanted).removeprefix("\ufeff")
    except UnicodeError as error:
        start = getattr(error, "start", 0)  # some codecs raise the base class, without a place
        line = content[:start].count(b"\n") + 1
        byte = content[start : start + 1]
        shown = byte.decode("cp1252", "replace")
        raise DataError(
            Problem(
                f"the file is not {wanted.upper()}: line {line} has the byte {byte.hex()} ({shown!r} in Windows-1252)",
                "Save it as UTF-8 (in Excel: CSV UTF-8), or declare `encoding: windows-1252` in the mapping",
                file=str(path),
            )
        ) from None
    if "\0" in text:
        raise DataError(Problem("the file holds NUL bytes: it is not text", "Export it again", file=str(path)))
    return text


def _read_text(path: Path, content: bytes, delimiter: str, encoding: str | None, header_row: int | None) -> RawTable:
    text = _decode(path, content, encoding)
    first = text.lstrip("\r\n") if header_row is None else "\n".join(text.split("\n")[header_row - 1 :])
    first = first.split("\n", 1)[0]
    other = max(_DELIMITER_NAMES, key=first.count)
    if first.count(other) > first.count(delimiter):
        comma = ' Where decimals are commas, declare `decimal: ","`, too' if other == ";" else ""
        raise DataError(
            Problem(
                f"the header looks {_DELIMITER_NAMES[other]}-separated, "
                f"not {_DELIMITER_NAMES.get(delimiter, repr(delimiter))}-separated",
                f"Set `delimiter: {other!r}`, or save the file with the other separator.{comma}",
                file=str(path),
            )
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records = enumerate(reader, start=1)
        header = next(((n, c) for n, c in records if n >= (header_row or 1) and any(map(str.strip, c))), (1, []))
        return _assemble_text(path, header, records)
    except csv.Error as error:
        raise DataError(
            Problem(
                f"line {reader.line_num} cannot be split into cells: {error}",
                "Check its quotation marks",
                file=str(path),
            )
        ) from None


def _assemble_text(path: Path, header: tuple[int, list[str]], records: Any) -> RawTable:
    """Columns from (row number, cells) records, in chunks: a large file's cells are never all Python objects."""
    _, names = header
    if not names:
        raise DataError(Problem("the file holds no text", "Export it again", file=str(path)))
    width, ragged, frames, numbers = len(names), [], [], []
    for chunk in batched(records, _CHUNK):
        # separators without anything behind them say nothing
        filled = [
            (n, cells if any(map(str.strip, cells[width:])) else cells[:width])
            for n, cells in chunk
            if any(map(str.strip, cells))
        ]
        ragged += [(n, len(cells)) for n, cells in filled if len(cells) != width]
        kept = [(n, cells) for n, cells in filled if len(cells) == width]
        numbers += [n for n, _ in kept]
        columns = zip(*(cells for _, cells in kept), strict=True) if kept else ()
        frames.append(pd.DataFrame({i: pd.Series(list(c), dtype="str") for i, c in enumerate(columns)}))
    if ragged:
        raise DataError(
            Problem(
                f"the header has {width} cells, row {ragged[0][0]} has {ragged[0][1]}",
                "Check the separators, and quote cells that contain one",
                file=str(path),
                rows=tuple(n for n, _ in ragged),
            )
        )
    frames = [f for f in frames if len(f)]
    cells = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return make_raw_table([cells[i] for i in cells.columns], names, numbers)


# -- Parquet ------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, content: bytes) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        columns = []
        for column in table.columns:
            if pa.types.is_floating(column.type):
                columns.append(pd.Series(column.to_numpy(), dtype="float64"))
            else:
                cells = column.to_pylist()
                if pa.types.is_nested(column.type):  # lists and structures are no values: their text is what is told
                    cells = [None if c is None else str(c) for c in cells]
                columns.append(pd.Series(cells, dtype=object))
    except Exception as error:  # pyarrow raises many types for broken content
        raise DataError(
            Problem(f"the file cannot be read as Parquet: {str(error).rstrip('.')}", "Write it again", file=str(path))
        ) from None
    return make_raw_table(columns, table.column_names, range(2, table.num_rows + 2))
