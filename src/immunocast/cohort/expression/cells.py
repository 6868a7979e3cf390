"""Reading a matrix file into cells: numbers where they are numbers, text beside them, nothing interpreted.

A cohort table keeps its cells as text for their meaning to be told later; a matrix of 20,000 genes cannot
afford that, so numbers become floats at once, and only the first columns and those with other text keep theirs.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from immunocast.cohort import sources
from immunocast.errors import DataError, Problem

_MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "None", "na", ".")
#: Columns whose text is kept whatever they hold: ids of samples and genes stand in front.
_ID_COLUMNS = 4
_MAX_BLOCK = (1 << 31) - 1


@dataclass(frozen=True)
class Cells:
    """A table of a file.

    Attributes
    ----------
    file : its name, for messages.
    headers : (n_columns,) as they stand; "" for the row names that R writes without a header.
    numbers : (n_rows, n_columns) float64; NaN for missing cells and for text.
    text : column -> its cells as text (None for missing): the first columns, and those that are mostly text.
    words : the columns that are mostly text.
    odd : column -> [(position of the row, cell)] of the cells that are no numbers.
    rows : row numbers as an editor shows them (the header is row 1).
    """

    file: str
    headers: list[str]
    numbers: np.ndarray
    text: dict[int, list[str | None]]
    words: frozenset[int]
    odd: dict[int, list[tuple[int, str]]]
    rows: np.ndarray = field(repr=False)


def read_cells(path: Path, sheet: str | None = None) -> Cells:
    """Read a CSV, TSV, TXT (also .gz), Parquet or XLSX file.

    Parameters
    ----------
    path : the file; its suffix tells the type, its first line the separator of a text file.
    sheet : of a workbook with several.

    Raises
    ------
    DataError
        Where the file is missing, empty, damaged, ragged, or not what its suffix says.
    """
    suffix = path.suffix.lower()
    if suffix in sources.DELIMITERS or (suffix == ".gz" and path.with_suffix("").suffix.lower() in sources.DELIMITERS):
        return _read_text(path, sources.file_content(path))
    if suffix in sources.PARQUET:
        return _read_parquet(path, sources.file_content(path))
    tables, problems = sources.read_tables(path, [sheet] if sheet is not None else None)
    if problems:
        raise DataError(problems)
    frame = tables[0].frame
    columns = [frame[c].tolist() for c in frame]
    return _from_objects(path.name, [str(c) for c in frame], columns, tables[0].rows)


def _refuse(path: Path, message: str, mend: str, rows: tuple[int, ...] = (), column: str | None = None) -> DataError:
    return DataError(Problem(message, mend, file=path.name, rows=rows, column=column))


# -- text ---------------------------------------------------------------------------------------------------


def _read_text(path: Path, content: bytes) -> Cells:
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    skipped = 0
    is_gct = content.startswith(b"#1.")
    while content[:1] in (b"#", b"\n") or (is_gct and skipped == 1):  # comments; GCT has its sizes in the second line
        _, _, content = content.partition(b"\n")
        skipped += 1
    first, _, body = content.partition(b"\n")
    line = first.decode()
    delimiter = max("\t,;", key=line.count)
    if not line.count(delimiter):
        raise _refuse(path, "the first line has no separator (tab, comma or semicolon)", "Export it as CSV or TSV")
    headers = next(csv.reader([line], delimiter=delimiter))
    second = next((x for x in io.StringIO(body[: 1 << 20].decode(errors="ignore")) if x.strip()), "")
    if second and len(next(csv.reader([second], delimiter=delimiter), [])) == len(headers) + 1:
        headers = ["", *headers]  # R's write.table gives row names no header
    table, bad = _parse(path, body, delimiter, len(headers))
    start = skipped + 2
    ragged = [(number + start - 1, cells) for number, cells, text in bad if text.strip(delimiter + " \t")]
    if ragged:
        raise _refuse(
            path,
            f"the header has {len(headers)} cells, row {ragged[0][0]} has {ragged[0][1]}",
            "Check the separators, and quote cells that contain one",
            tuple(number for number, _ in ragged),
        )
    blank = [number - 1 for number, _, _ in bad]
    rows = np.delete(np.arange(start, start + table.num_rows + len(blank)), blank)
    return _from_strings(path, headers, table, rows)


def _parse(path: Path, body: bytes, delimiter: str, width: int) -> tuple[Any, list[tuple[int, int, str]]]:
    """The body as an arrow table of strings, and (number, cells, text) of the lines of another width."""
    import pyarrow as pa
    import pyarrow.csv as pc

    bad: list[tuple[int, int, str]] = []

    def note(row: Any) -> str:
        bad.append((row.number, row.actual_columns, row.text))
        return "skip"

    names = [str(i) for i in range(width)]
    if not body.strip():
        raise _refuse(path, "the file has a header and no rows", "Export it again")
    try:
        table = pc.read_csv(
            io.BytesIO(body),
            # one block: rows of 20,000 columns are slow in small ones. One thread: only so are lines numbered
            pc.ReadOptions(column_names=names, block_size=min(len(body) + 1, _MAX_BLOCK), use_threads=False),
            pc.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=note),
            pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), null_values=_MISSING, strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise _refuse(path, f"the lines cannot be split into cells: {reason}", "Check its quotation marks") from None
    if not table.num_rows and not any(text.strip() for _, _, text in bad):
        raise _refuse(path, "the file has a header and no rows", "Export it again")
    return table, bad


class _Columns:
    """Collects the columns of a file, one after the other."""

    def __init__(self, n_rows: int, n_columns: int):
        self.numbers = np.full((n_rows, n_columns), np.nan)
        self.text: dict[int, list[str | None]] = {}
        self.words: set[int] = set()
        self.odd: dict[int, list[tuple[int, str]]] = {}

    def add_numbers(self, j: int, values: np.ndarray) -> None:
        self.numbers[:, j] = values

    def add_text(self, j: int, cells: list[str | None]) -> None:
        """Cells that may be numbers or not."""
        self.numbers[:, j], found = _numbers(cells)
        is_words = len(found) * 2 > sum(c is not None for c in cells)
        if is_words:
            self.words.add(j)
        if found:
            self.odd[j] = found
        if is_words or j < _ID_COLUMNS:
            self.text[j] = cells

    def cells(self, file: str, headers: list[str], rows: np.ndarray) -> Cells:
        """All columns, without the rows in which nothing stands."""
        filled = (~np.isnan(self.numbers)).any(axis=1)
        for column in self.text.values():
            filled |= np.array([c is not None for c in column], dtype=bool)
        for found in self.odd.values():
            filled[[i for i, _ in found]] = True
        text, odd, numbers = self.text, self.odd, self.numbers
        if not filled.all():
            position = np.cumsum(filled) - 1
            text = {j: [c for c, there in zip(column, filled, strict=True) if there] for j, column in text.items()}
            odd = {j: [(int(position[i]), c) for i, c in found] for j, found in odd.items()}
            numbers, rows = numbers[filled], rows[filled]
        return Cells(file, headers, numbers, text, frozenset(self.words), odd, rows)


def _from_strings(path: Path, headers: list[str], table: Any, rows: np.ndarray) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    out = _Columns(table.num_rows, len(headers))
    for j, column in enumerate(table.columns):
        try:
            out.add_numbers(j, pc.cast(column, pa.float64()).to_numpy())
        except pa.ArrowInvalid:
            out.add_text(j, column.to_pylist())
        else:
            if j < _ID_COLUMNS:
                out.text[j] = column.to_pylist()
    return out.cells(path.name, headers, rows)


# -- Parquet and workbooks ----------------------------------------------------------------------------------


def _read_parquet(path: Path, content: bytes) -> Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        n = table.num_rows
        out = _Columns(n, table.num_columns)
        for j, column in enumerate(table.columns):
            if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
                out.add_numbers(j, column.cast(pa.float64(), safe=False).to_numpy())
                if j < _ID_COLUMNS:
                    out.text[j] = [_text(c) for c in column.to_pylist()]
            else:
                out.add_text(j, [_text(c) for c in column.to_pylist()])
    except Exception as error:  # pyarrow raises many types for broken content
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise _refuse(path, f"the file cannot be read as Parquet: {reason}", "Write it again") from None
    if not n:
        raise _refuse(path, "the file has no rows", "Write it again")
    headers = ["" if c.startswith("__index_level_") else c for c in table.column_names]
    return out.cells(path.name, headers, np.arange(2, n + 2))


def _from_objects(file: str, headers: list[str], columns: list[list[Any]], rows: np.ndarray) -> Cells:
    out = _Columns(len(rows), len(headers))
    for j, cells in enumerate(columns):
        out.add_text(j, [_text(c) for c in cells])
    return out.cells(file, headers, rows)


def _text(cell: Any) -> str | None:
    """A cell as text; whole floats as a spreadsheet shows them."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    shown = str(cell).strip()
    return None if shown in _MISSING else shown


def _numbers(cells: list[str | None]) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Cells as floats, and those that are no numbers."""
    out, odd = np.full(len(cells), np.nan), []
    for i, cell in enumerate(cells):
        if cell is None or cell.strip() in _MISSING:
            continue
        with contextlib.suppress(ValueError):
            out[i] = math.nan if "_" in cell else float(cell)  # Python reads 1_000 as a number
        if math.isnan(out[i]):
            odd.append((i, cell))
    return out, odd
