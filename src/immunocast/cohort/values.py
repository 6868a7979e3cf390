"""From cells to values of the vocabulary: missing codes, codings, units, ranges.

What is looked at, in this order: the column's coding, the missing codes that the mapping declares, the
vocabulary's own categories, the default missing codes, the spellings of `cohort.spellings`. So a coding, or the
category `none` of drug_class, wins over the default that "None" means missing. Text in a number is never guessed
at; it is reported, unless the mapping says what it is (`strip`, `below_range`, `above_range`, `decimal`).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immunocast.cohort.cell_problems import NUMBER, explain, kind_of_text
from immunocast.cohort.spellings import spelled
from immunocast.cohort.table import DTYPES
from immunocast.cohort.vocabulary import Column

#: Cells that mean "missing" unless a coding or a category says otherwise; case does not count.
DEFAULT_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none"})

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


@dataclass(frozen=True)
class Limit:
    """What cells beyond the range of an assay count as.

    Attributes
    ----------
    codes : whole cells that say so without a number ("OOR <"), as `code_texts` spells them.
    action : "missing", "half_limit" or "limit".
    limit : of the assay, in the source's unit; None where each cell carries its own ("<0.4").
    """

    codes: frozenset[str] = frozenset()
    action: str = "missing"
    limit: float | None = None


@dataclass(frozen=True)
class Recipe:
    """How the cells of one source column become a column of the vocabulary.

    Attributes
    ----------
    column : the vocabulary's column.
    factor : what numbers are multiplied with (unit conversion).
    coding : cell text -> final value (None for missing); keys from `coding_table`.
    missing : declared missing codes, as `cell_text` writes them.
    inverted : of a flag: 1 in the file is 0 here (a censoring column), and 0 is 1.
    strip : marks that are cut off at either end of a cell ("*", "%").
    below, above : what cells beyond the range of the assay count as; None where they are refused.
    decimal : the decimal sign of text, "." or ",".
    moment : the cells are dates or time numbers; None for values of `column`.
    """

    column: Column
    factor: float = 1.0
    coding: Mapping[str, Any] | None = None
    missing: frozenset[str] = frozenset()
    inverted: bool = False
    strip: tuple[str, ...] = ()
    below: Limit | None = None
    above: Limit | None = None
    decimal: str = "."
    moment: Moment | None = None


@dataclass(frozen=True)
class Moment:
    """How points in time are written: numbers in units of `days` days, dates as ISO or by `date_format`."""

    days: float = 1.0
    date_format: str | None = None


@dataclass(frozen=True)
class Finding:
    """One kind of trouble in a column: what, how to mend it, at which positions, and the cells there."""

    message: str
    mend: str
    positions: np.ndarray
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """Cells that were read as something that they do not literally say: told in the checks.

    `how` is "spelled" (a built-in spelling), "stripped" (a mark cut off), "below" or "above" (beyond the range).
    """

    how: str
    text: str
    value: Any
    n: int


class Parsed(NamedTuple):
    """What `parse_column` returns: values, one finding for each kind of trouble, and what was read into cells."""

    values: pd.Series
    findings: list[Finding]
    readings: list[Reading]


class _Reject(NamedTuple):
    why: str


class _Read(NamedTuple):
    value: Any
    how: str


_MISSING = None


def cell_text(cell: Any) -> str:
    """A cell as text, as a person sees it: 1.0 is "1", True is "true", missing is "".

    >>> [cell_text(c) for c in (" x ", 1.0, True, None, float("nan"))]
    ['x', '1', 'true', '', '']
    """
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell is pd.NaT or cell is pd.NA:
        return ""
    if isinstance(cell, (bool, np.bool_)):
        return "true" if cell else "false"
    if isinstance(cell, (float, np.floating)):
        number = float(cell)
        if math.isnan(number):
            return ""
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(cell).strip()


def _same_number(text: str) -> str:
    """Equal numbers get equal text ("1.0" and "01" are "1"); other text stays as it is."""
    return cell_text(float(text)) if NUMBER.fullmatch(text) else text


def code_texts(code: Any) -> set[str]:
    """Spellings under which a code of the mapping is looked up.

    YAML reads a bare `yes`, `no`, `on`, `off` as a truth value: all its spellings then count.
    """
    if isinstance(code, bool):
        return {"true", "yes", "on", "y"} if code else {"false", "no", "off", "n"}
    text = cell_text(code)
    return {text, _same_number(text), text.casefold()}


def coding_table(coding: Mapping[Any, Any]) -> dict[str, Any]:
    """Look-up table of a coding: exact spellings first, then any case where that is not ambiguous."""
    exact = {cell_text(code): value for code, value in coding.items()}
    loose: dict[str, Any] = {}
    ambiguous: set[str] = set()
    for code, value in coding.items():
        for text in code_texts(code) - set(exact):
            if text in loose and loose[text] != value:
                ambiguous.add(text)
            loose[text] = value
    return exact | {text: value for text, value in loose.items() if text not in ambiguous}


def parse_column(cells: pd.Series, recipe: Recipe, *, by_value: bool = False) -> Parsed:
    """Turn the cells of a column into values of the vocabulary.

    Parameters
    ----------
    cells : raw cells (text, numbers, dates, None), any index.
    recipe : how to read them.
    by_value : one finding for each offending value, in place of one for each kind of trouble.

    Returns
    -------
    Values in the dtype of `cohort.table.DTYPES` (float days for moments), index 0..n-1, missing where a cell was
    refused; one finding for each kind of trouble; and a reading for each cell text that was interpreted.
    """
    codes, uniques = _factorise(cells)
    parse = _parse if recipe.moment is None else _parse_moment
    read = [parse(cell, recipe) for cell in uniques]
    dtype = DTYPES[recipe.column.kind]
    values: Any = [None if isinstance(v, _Reject) else v.value if isinstance(v, _Read) else v for v in read]
    if dtype == "float64":
        values = np.array([np.nan if v is None else v for v in values], dtype="float64")
    series = pd.Series(pd.array(values, dtype=dtype)).take(codes).reset_index(drop=True)
    counts = np.bincount(codes, minlength=len(uniques))
    readings = [
        Reading(v.how, _shown(uniques[i]), v.value, int(counts[i])) for i, v in enumerate(read) if isinstance(v, _Read)
    ]
    rejected: dict[tuple[str, int], list[int]] = {}
    for i, v in enumerate(read):
        if isinstance(v, _Reject):
            rejected.setdefault((v.why, i if by_value else -1), []).append(i)
    findings = []
    for (why, _), which in rejected.items():
        positions = np.flatnonzero(np.isin(codes, which))
        shown = tuple(_shown(uniques[codes[p]]) for p in positions)
        message, mend = explain(why, [_shown(uniques[i]) for i in which], recipe)
        findings.append(Finding(message, mend, positions, shown))
    return Parsed(series, findings, readings)


def _factorise(cells: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Codes and distinct cells; True and 1 are kept apart, missing cells are one value."""
    if isinstance(cells.dtype, pd.StringDtype) or cells.dtype == "float64":
        found, values = pd.factorize(cells, use_na_sentinel=False)
        return found, list(values)
    seen: dict[Hashable, int] = {}
    uniques: list[Any] = []
    codes = np.empty(len(cells), dtype="int64")
    for position, cell in enumerate(cells):
        key = (type(cell), cell if isinstance(cell, (str, int, float)) else repr(cell))
        code = seen.setdefault(key, len(uniques))
        if code == len(uniques):
            uniques.append(cell)
        codes[position] = code
    return codes, uniques


def _parse(cell: Any, recipe: Recipe) -> Any:
    """The value of a cell, None for missing, a `_Reject` where it cannot be read, a `_Read` where it is interpreted."""
    column, kind = recipe.column, recipe.column.kind
    if isinstance(cell, _DATES) and cell is not pd.NaT:
        return _Reject("date")
    text = cell_text(cell)
    number_text = text if kind == "text" else _same_number(text)
    if recipe.coding is not None:
        for key in (text, number_text, text.casefold()):
            if key in recipe.coding:
                return recipe.coding[key]
    if {text, number_text, text.casefold()} & recipe.missing:
        return _MISSING
    if kind == "category":
        by_fold = {c.casefold(): c for c in column.categories}
        if text.casefold() in by_fold:
            return by_fold[text.casefold()]
    if text.casefold() in DEFAULT_MISSING:
        return _MISSING
    if isinstance(cell, (bytes, list, tuple, dict, np.ndarray)):
        return _Reject("nested")
    stripped = _strip(text, recipe.strip)
    if stripped != text:
        value = _parse(stripped, replace(recipe, strip=()))
        return value if isinstance(value, _Reject) else _Read(getattr(value, "value", value), "stripped")
    if kind == "text":
        return text if text.isprintable() else _Reject("unprintable")
    if not recipe.inverted and (value := spelled(column.name, text)) is not None:
        return _Read(value, "spelled")
    if kind == "category" or (kind == "binary" and recipe.coding is not None):
        return _Reject("coding")
    if kind == "binary":
        value = {"0": 0, "1": 1, "true": 1, "false": 0}.get(number_text.casefold())
        return _Reject("binary") if value is None else 1 - value if recipe.inverted else value
    return _number(cell, text, recipe)


def _strip(text: str, marks: tuple[str, ...]) -> str:
    for mark in marks:
        text = text.removeprefix(mark).removesuffix(mark).strip()
    return text


def _number(cell: Any, text: str, recipe: Recipe) -> Any:
    column = recipe.column
    if isinstance(cell, (bool, np.bool_)):
        return _Reject("boolean")
    for how, limit, sign in (("below", recipe.below, "<≤"), ("above", recipe.above, ">≥")):
        if limit is not None and (text[:1] in tuple(sign) or code_texts(text) & limit.codes):
            return _beyond(text, how, limit, recipe)
    if recipe.decimal == "," and isinstance(cell, str):
        if "." in text:
            return _Reject("point" if NUMBER.fullmatch(text.replace(",", "")) else "text")
        text = text.replace(",", ".", 1)
    if not NUMBER.fullmatch(text):
        return _Reject(kind_of_text(text))
    value = float(text) * recipe.factor if recipe.factor != 1 else float(text)
    if not math.isfinite(value):
        return _Reject("text")
    low, high = column.low, column.high
    if (low is not None and value < low) or (high is not None and value > high):
        return _Reject("range")
    if column.kind == "integer":
        return int(value) if value.is_integer() else _Reject("fraction")
    return value


def _beyond(text: str, how: str, limit: Limit, recipe: Recipe) -> Any:
    """A cell beyond the range of the assay: missing, the limit, or half of it; the cell's own limit comes first."""
    number = text.lstrip("<≤>≥= ")
    if text in limit.codes or text.casefold() in limit.codes:
        number = ""
    elif recipe.decimal == ",":
        number = number.replace(",", ".", 1)
    if number and not NUMBER.fullmatch(number):
        return _Reject("text")
    if limit.action == "missing":
        return _Read(None, how)
    value = float(number) if number else limit.limit
    if value is None:
        return _Reject("beyond")
    plain = replace(recipe, below=None, above=None, strip=(), decimal=".")
    read = _number(None, repr(value / 2 if limit.action == "half_limit" else value), plain)
    return read if isinstance(read, _Reject) else _Read(read, how)


def _parse_moment(cell: Any, recipe: Recipe) -> Any:
    """Days since the origin: of the calendar (0001-01-01) for dates, of the source for numbers."""
    moment = recipe.moment or Moment()
    text = cell_text(cell)
    if {text, _same_number(text), text.casefold()} & recipe.missing or text.casefold() in DEFAULT_MISSING:
        return _MISSING
    if NUMBER.fullmatch(text) and (moment.date_format is None or not isinstance(cell, str)):
        days = float(text) * moment.days
        return days if math.isfinite(days) else _Reject("moment")
    when: Any = cell
    if isinstance(cell, str):
        try:
            when = (
                datetime.datetime.fromisoformat(text)
                if moment.date_format is None
                else datetime.datetime.strptime(text, moment.date_format)
            )
        except (ValueError, OverflowError):
            return _Reject("moment")
    elif isinstance(when, np.datetime64):
        when = pd.Timestamp(when).to_pydatetime()
    if isinstance(when, datetime.datetime):
        return when.toordinal() + (when.hour + when.minute / 60) / 24
    return float(when.toordinal()) if isinstance(when, datetime.date) else _Reject("moment")


def _shown(cell: Any) -> str:
    text = cell if isinstance(cell, str) else cell_text(cell).removesuffix(" 00:00:00")
    return text if len(text) <= 40 else text[:37] + "..."
