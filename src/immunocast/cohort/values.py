"""From cells to values of the vocabulary: missing codes, codings, units, ranges.

What is looked at, in this order: the column's coding, the missing codes that the mapping declares, the
vocabulary's own categories, the default missing codes. So a coding, or the category `none` of drug_class,
wins over the default that "None" means missing. Text in a number is never guessed at; it is reported.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immunocast.cohort.hints import closest, closest_tumor_types
from immunocast.cohort.table import DTYPES
from immunocast.cohort.units import known_units
from immunocast.cohort.vocabulary import Column

#: Cells that mean "missing" unless a coding or a category says otherwise; case does not count.
DEFAULT_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none"})

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


@dataclass(frozen=True)
class Recipe:
    """How the cells of one source column become a column of the vocabulary.

    Attributes
    ----------
    column : the vocabulary's column.
    factor : what numbers are multiplied with (unit conversion).
    coding : cell text -> final value (None for missing); keys from `coding_table`.
    missing : declared missing codes, as `cell_text` writes them.
    """

    column: Column
    factor: float = 1.0
    coding: Mapping[str, Any] | None = None
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """One kind of trouble in a column: what, how to mend it, at which positions, and the cells there."""

    message: str
    mend: str
    positions: np.ndarray
    shown: tuple[str, ...]


class _Reject(NamedTuple):
    why: str


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
    return cell_text(float(text)) if _NUMBER.fullmatch(text) else text


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


def parse_column(cells: pd.Series, recipe: Recipe, *, by_value: bool = False) -> tuple[pd.Series, list[Finding]]:
    """Turn the cells of a column into values of the vocabulary.

    Parameters
    ----------
    cells : raw cells (text, numbers, dates, None), any index.
    recipe : how to read them.
    by_value : one finding for each offending value, in place of one for each kind of trouble.

    Returns
    -------
    Values in the dtype of `cohort.table.DTYPES`, index 0..n-1, missing where a cell was refused; and one
    finding for each kind of trouble.
    """
    codes, uniques = _factorise(cells)
    read = [_parse(cell, recipe) for cell in uniques]
    values: Any = [None if isinstance(v, _Reject) else v for v in read]
    dtype = DTYPES[recipe.column.kind]
    if dtype == "float64":
        values = np.array([np.nan if v is None else v for v in values], dtype="float64")
    series = pd.Series(pd.array(values, dtype=dtype)).take(codes).reset_index(drop=True)
    rejected: dict[tuple[str, int], list[int]] = {}
    for i, v in enumerate(read):
        if isinstance(v, _Reject):
            rejected.setdefault((v.why, i if by_value else -1), []).append(i)
    findings = []
    for (why, _), which in rejected.items():
        positions = np.flatnonzero(np.isin(codes, which))
        shown = tuple(_shown(uniques[codes[p]]) for p in positions)
        message, mend = _explain(why, [_shown(uniques[i]) for i in which], recipe)
        findings.append(Finding(message, mend, positions, shown))
    return series, findings


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
    """The value of a cell, None for missing, a `_Reject` where it cannot be read."""
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
    if kind == "text":
        return text if text.isprintable() else _Reject("unprintable")
    if kind == "category" or (kind == "binary" and recipe.coding is not None):
        return _Reject("coding")
    if kind == "binary":
        value = {"0": 0, "1": 1, "true": 1, "false": 0}.get(number_text.casefold())
        return _Reject("binary") if value is None else value
    return _number(cell, text, recipe)


def _number(cell: Any, text: str, recipe: Recipe) -> Any:
    column = recipe.column
    if isinstance(cell, (bool, np.bool_)):
        return _Reject("boolean")
    if not _NUMBER.fullmatch(text):
        return _Reject(_kind_of_text(text))
    value = float(text) * recipe.factor if recipe.factor != 1 else float(text)
    if not math.isfinite(value):
        return _Reject("text")
    low, high = column.low, column.high
    if (low is not None and value < low) or (high is not None and value > high):
        return _Reject("range")
    if column.kind == "integer":
        return int(value) if value.is_integer() else _Reject("fraction")
    return value


#: Kinds of text in a number column, with what to do.
_TEXT_MENDS = {
    "comma": "Write decimals with a point and thousands without a separator",
    "limit": "Say in a coding, `coding: {{{value}: NUMBER}}`, what a value beyond the limit counts as, or correct it",
    "percent": "Remove the % sign (and declare `unit: percent` where the column's unit is another)",
    "text": "Correct the cell; if {value} means missing, add it to `missing_codes`",
}


def _shown(cell: Any) -> str:
    text = cell if isinstance(cell, str) else cell_text(cell).removesuffix(" 00:00:00")
    return text if len(text) <= 40 else text[:37] + "..."


def _explain(why: str, values: list[str], recipe: Recipe) -> tuple[str, str]:
    """Message and mend for one kind of trouble; `values` are the distinct cells."""
    column = recipe.column
    if why in _TEXT_MENDS:
        return "text in a number", _TEXT_MENDS[why].format(value=repr(values[0]))
    if why == "boolean":
        return "a truth value in a number", "Write the number"
    if why == "date":
        return (
            "a date where none is expected",
            "A spreadsheet may have turned a value such as 3-5 or 1.2 into a date: format the column as text "
            "and enter the value again",
        )
    if why == "nested":
        return "a cell with several values or raw bytes", "Write one value a cell"
    if why == "unprintable":
        return "a character that cannot be printed (line break, zero-width space)", "Remove it"
    if why == "fraction":
        return "not a whole number", "Write a whole number, or map the column elsewhere"
    if why == "range":
        return f"outside of {_range(column)}", _mend_range(values, recipe)
    if why == "binary":
        return (
            "neither 0 nor 1",
            "Write 0 or 1, or declare a coding, e.g. `coding: {yes: 1, no: 0}`",
        )
    return _explain_coding(values, recipe)


def _explain_coding(values: list[str], recipe: Recipe) -> tuple[str, str]:
    column = recipe.column
    new = repr(values[0]) if values[0] else "''"
    missing = f"If it means missing, add {new} to `missing_codes`"
    if column.name == "tumor_type":
        guesses = {v: closest_tumor_types(v) for v in values[:8]}
        near = list(dict.fromkeys(t for types in guesses.values() for t in types)) or list(column.categories)
        coding = ", ".join(f"{v!r}: {types[0] if types else 'Other'}" for v, types in guesses.items())
        return (
            "not a known tumour type",
            f"Nearest: {', '.join(near)}. Map it, after a look: `tumor_type: {{coding: {{{coding}}}}}`",
        )
    if recipe.coding is not None:
        codes = ", ".join(repr(c) for c in list(recipe.coding)[:12])
        return "not in the coding", f"Coded are {codes}. Add the value to the coding of {column.name}. {missing}"
    near = closest(values[0], column.categories, n=1) or ["..."]
    return (
        f"not one of {', '.join(column.categories)}",
        f"Map it under `{column.name}: {{coding: {{{new}: {near[0]}}}}}`. {missing}",
    )


def _range(column: Column) -> str:
    low = "" if column.low is None else f"{column.low:g}"
    high = "" if column.high is None else f"{column.high:g}"
    return f"{low}-{high}{f' {column.unit}' if column.unit else ''}"


def _kind_of_text(text: str) -> str:
    """What text in a number column may be meant as."""
    if re.fullmatch(r"[+-]?[0-9.]+(,[0-9]+)+", text):
        return "comma"
    if re.match(r"[<>≤≥]", text):
        return "limit"
    return "percent" if text.endswith("%") else "text"


def _mend_range(values: list[str], recipe: Recipe) -> str:
    """Name another unit in which every offending value would be possible."""
    column = recipe.column
    numbers = [float(v) for v in values if _NUMBER.fullmatch(v.strip())]
    for unit, factor in known_units(column).items():
        fits = all(
            (column.low is None or x * factor >= column.low) and (column.high is None or x * factor <= column.high)
            for x in numbers
        )
        if numbers and fits and not math.isclose(factor, recipe.factor) and factor != 1:
            return f"It looks like {unit}: if so, declare `unit: {unit}` for {column.name}. Else correct it"
    return "Correct the value, or declare the column's unit"
