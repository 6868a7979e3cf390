"""Reading the sheets of an XLSX workbook, and finding formulas that nobody computed."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd

from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.raw_table import RawTable, make_raw_table
from immunocast.errors import DataError, Problem


def read_xlsx(
    path: Path, content: bytes, sheets: Sequence[str] | None, header_row: int | None = None
) -> tuple[list[RawTable], list[Problem]]:
    """Read sheets of a workbook; arguments and results as `cohort.sources.read_tables`."""
    tables, problems = [], []
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        there = [w.title for w in book.worksheets]
        if sheets is None:
            if len(there) != 1:
                raise DataError(
                    Problem(
                        f"the workbook has {len(there)} sheets: {', '.join(there)}",
                        "Say which to read: `--sheet TITLE`, or under `sheets:` of a mapping",
                        file=str(path),
                    )
                )
            sheets = there
        for title in sheets:
            if title not in there:
                mend = f"{did_you_mean(title, there)} Sheets there: {', '.join(there)}".strip()
                problems.append(Problem("there is no such sheet", mend, file=path.name, sheet=title))
                continue
            table = _read_sheet(book[title], archive, header_row or 1)
            if table is None or table.frame.empty:
                problems.append(no_rows(path, title))
            else:
                tables.append(table)
    except DataError:
        raise
    except Exception as error:  # openpyxl and zipfile raise many types for broken content
        what = str(error) or type(error).__name__
        raise DataError(
            Problem(f"the file cannot be read as XLSX: {what}", "Open it in a spreadsheet and save it", str(path))
        ) from None
    return tables, problems


def _read_sheet(sheet: Any, archive: zipfile.ZipFile, header_row: int) -> RawTable | None:
    sheet.reset_dimensions()  # some writers store a wrong size, which would cut rows off
    records = [(n, cells) for n, cells in enumerate(sheet.iter_rows(values_only=True), start=1) if n >= header_row]
    filled = [(n, cells) for n, cells in records if any(c is not None and str(c).strip() for c in cells)]
    if not filled:
        return None
    (top, header), *body = filled
    width = max(len(cells) for _, cells in filled)
    names = ["" if c is None else str(c) for c in header] + [""] * (width - len(header))
    uncomputed = _uncomputed(archive, getattr(sheet, "_worksheet_path", ""))
    lost = {n for n, *_ in uncomputed} - {n for n, _ in filled}
    body = sorted(
        chain(body, ((n, ()) for n in lost if n > top)), key=lambda record: record[0]
    )  # a row of nothing but such formulas is a row all the same
    columns = [
        pd.Series([cells[i] if i < len(cells) else None for _, cells in body], dtype=object) for i in range(width)
    ]
    by_name: dict[str, dict[int, str]] = {}
    for row, column, cell in uncomputed:
        if row > top and column < width:
            by_name.setdefault(names[column].strip(), {})[row] = cell
    return make_raw_table(columns, names, [n for n, _ in body], sheet.title, by_name)


_CELL = re.compile(rb"<c\s([^>]*?)>\s*<f[\s>/].*?</c>", re.DOTALL)
_REFERENCE = re.compile(rb'\br="([A-Z]{1,3})(\d+)"')
_RESULT = re.compile(rb"<v[^>/]*>[^<]")


def _uncomputed(archive: zipfile.ZipFile, member: str) -> list[tuple[int, int, str]]:
    """(row, column from 0, name) of formula cells without a stored result.

    A program that writes formulas without computing them leaves them so, and every reader of values then
    takes the cell as empty. An empty text result (`t="str"`) is a result.
    """
    xml = archive.read(member.lstrip("/")) if member else b""
    found = []
    for match in _CELL.finditer(xml) if b"<f" in xml else ():
        reference = _REFERENCE.search(match[1])
        if reference and not _RESULT.search(match[0]) and b't="str"' not in match[1]:
            column = 0
            for letter in reference[1]:
                column = column * 26 + letter - 64
            found.append((int(reference[2]), column - 1, (reference[1] + reference[2]).decode()))
    return found


def no_rows(path: Path, sheet: str | None) -> Problem:
    """The problem of a table without rows."""
    return Problem("there are no rows below the header", "Add a row a patient", file=path.name, sheet=sheet)
