"""Opening a file that nobody has described: its delimiter, encoding, header row and decimal sign."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from immunocast.cohort.infer.headers import match_header
from immunocast.cohort.infer.profile import decimal_commas
from immunocast.cohort.raw_table import UNNAMED, RawTable
from immunocast.cohort.sources import DELIMITERS, read_tables
from immunocast.cohort.values import cell_text
from immunocast.errors import DataError

_LOOK = 12
_IS_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?\s*")


class Opened(NamedTuple):
    """A table, the mapping's keys that are needed to read it, and what there is to say of it."""

    table: RawTable
    settings: dict[str, Any]
    notes: list[str]


def open_unknown(path: Path, sheet: str | None = None) -> Opened:
    """Read a file as it stands.

    Raises
    ------
    DataError
        As `cohort.sources.read_tables`; for a workbook of several sheets, where none is named.
    """
    settings: dict[str, Any] = {}
    notes: list[str] = []
    suffix = path.suffix.lower()
    if suffix in DELIMITERS and path.is_file():
        settings, notes = _sniff_text(path, DELIMITERS[suffix])
    table = _read(path, sheet, settings)
    header = _header_row(table) if "header_row" not in settings else None
    if header is not None:
        notes.append(f"the header seems to be in row {header}; the rows above it are not read")
        settings["header_row"] = header
        table = _read(path, sheet, settings)
    if suffix in DELIMITERS and decimal_commas(table.frame):
        settings["decimal"] = ","
        notes.append("numbers are written with decimal commas")
        # the cells of a copy with points, for looking at only: the reader takes commas by the mapping's `decimal`
        frame = table.frame.apply(lambda c: c.str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True))
        table = RawTable(frame, table.rows, table.sheet, table.duplicated, table.uncomputed)
    return Opened(table, settings, notes)


def _read(path: Path, sheet: str | None, settings: dict[str, Any]) -> RawTable:
    tables, problems = read_tables(path, [sheet] if sheet is not None else None, **settings)
    if problems:
        raise DataError(problems)
    return tables[0]


def _sniff_text(path: Path, expected: str) -> tuple[dict[str, Any], list[str]]:
    """Encoding and delimiter. Text that is not UTF-8 is nearly always Windows-1252, which reads any byte but five."""
    settings: dict[str, Any] = {}
    notes: list[str] = []
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        settings["encoding"] = "utf-16"
    try:
        text = content.decode(settings.get("encoding", "utf-8-sig"))
    except UnicodeError:
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            return settings, notes  # the reader tells
        settings["encoding"] = "windows-1252"
    if "encoding" in settings:
        notes.append(f"the file is not UTF-8; read as {settings['encoding']}: look at its umlauts and accents")
    lines = [line for line in text.split("\n")[: 4 * _LOOK] if line.strip()][:_LOOK]
    counts = {d: _width(lines, d) for d in (expected, ",", ";", "\t", "|")}
    best = max(counts, key=lambda d: counts[d])
    if counts[best] > counts[expected]:
        settings["delimiter"] = best
        names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
        notes.append(f"cells are separated by {names[best]}")
    comments = next((i for i, line in enumerate(text.split("\n")) if not line.startswith("#")), 0)
    header = _first_of_full_width(text.split("\n")[: 4 * _LOOK], best) if not comments else comments + 1
    if header is not None:
        settings["header_row"] = header
        notes.append(f"the header seems to be in row {header}; the rows above it are not read")
    return settings, notes


def _width(lines: list[str], delimiter: str) -> float:
    """Cells of most lines, weighted by how many lines agree."""
    try:
        widths = Counter(len(cells) for cells in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    except csv.Error:
        return 0.0
    if not widths:
        return 0.0
    width, n = max(widths.items(), key=lambda item: (item[0] > 1, item[1]))
    return width * n / sum(widths.values()) if width > 1 else 0.0


def _first_of_full_width(lines: list[str], delimiter: str) -> int | None:
    """Row of the header where titles stand above it: the first row as wide as most are; None for the first row."""
    try:
        rows = [_without_blank_end(cells) for cells in csv.reader(lines, delimiter=delimiter)]
    except csv.Error:
        return None
    widths = [len(cells) for cells in rows]
    filled = [i for i, w in enumerate(widths) if w]
    if len(filled) < 3:
        return None
    usual = Counter(widths[i] for i in filled).most_common(1)[0][0]
    first = next(i for i in filled if widths[i] == usual)
    if first == filled[0] or usual < 2:
        return None
    if any(map(_IS_NUMBER.fullmatch, rows[first])) and widths[filled[0]] > 1:
        return None  # a patient is no header: the reader tells that the rows are of different widths
    return first + 1


def _without_blank_end(cells: list[str]) -> list[str]:
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _header_row(table: RawTable) -> int | None:
    """Row of the header where the first row is none: most cells below are headers that people use."""

    def known(cells: list[str]) -> int:
        return sum(bool(match_header(c)) for c in set(cells) if c and len(c) < 60)

    first = known([str(h) for h in table.frame.columns if not str(h).startswith(UNNAMED)])
    for position in range(min(_LOOK, len(table.frame))):
        cells = [cell_text(c) for c in table.frame.iloc[position] if not isinstance(c, (list, dict))]
        here = known(cells)
        if here >= 3 and here > 2 * first and len(set(cells)) > 0.8 * len(cells):
            return int(table.rows[position])
    return None
