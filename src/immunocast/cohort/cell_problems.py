"""What is said of cells that cannot be read, and how to mend them. Nothing here changes a value."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from immunocast.cohort.hints import closest, closest_tumor_types
from immunocast.cohort.spellings import EVENTS
from immunocast.cohort.units import known_units
from immunocast.cohort.vocabulary import Column

if TYPE_CHECKING:
    from immunocast.cohort.values import Recipe

#: A number as all readers take it: no thousands separator, a decimal point.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

#: Kinds of text in a number column, with what to do.
_TEXT_MENDS = {
    "comma": "Write decimals with a point and thousands without a separator; or, where every decimal is a comma, "
    'declare `decimal: ","` for the file',
    "point": 'The mapping says `decimal: ","`: write every decimal with a comma and no thousands separator, or '
    "remove `decimal`",
    "limit": "Declare what a value beyond the limit counts as, `below_range: {{as: missing}}` (or half_limit, limit; "
    "`above_range` for >), or say it in a coding, `coding: {{{value}: NUMBER}}`",
    "percent": "Declare `strip: ['%']` for the column (and `unit: percent` where its unit is another), or remove the "
    "% sign",
    "starred": "If the mark only says that the value was extrapolated or is uncertain, declare `strip: [{mark!r}]` "
    "for the column; if {value} means missing, add it to `missing_codes`",
    "text": "Correct the cell; if {value} means missing, add it to `missing_codes`",
}


def explain(why: str, values: list[str], recipe: Recipe) -> tuple[str, str]:
    """Message and mend for one kind of trouble; `values` are the distinct cells."""
    column = recipe.column
    if why in _TEXT_MENDS:
        return "text in a number", _TEXT_MENDS[why].format(value=repr(values[0]), mark=values[0][:1])
    if why == "beyond":
        return (
            "a value beyond the limit of the assay, and the limit is not known",
            "Give it: `below_range: {codes: [...], as: half_limit, limit: NUMBER}`, or `as: missing`",
        )
    if why == "moment":
        return (
            "neither a date such as 2017-03-05 nor a number",
            'Write dates as year-month-day, or say how they are written, e.g. `date_format: "%d.%m.%Y"`',
        )
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
        return outside_words(column), _mend_range(values, recipe)
    if why == "binary":
        also = ""
        if recipe.inverted and recipe.column.name in EVENTS:
            also = "; status words say what they mean and need no `inverted`"
        return (
            "neither 0 nor 1",
            f"Write 0 or 1, or declare a coding, e.g. `coding: {{yes: 1, no: 0}}`{also}",
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


def outside(numbers: np.ndarray, column: Column) -> np.ndarray:
    """Mask of known numbers that are no possible value of a column (out of range, infinite)."""
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    return ~np.isnan(numbers) & ((numbers < low) | (numbers > high) | np.isinf(numbers))


def outside_words(column: Column) -> str:
    """What is said of them."""
    return f"outside of {_range(column)}"


def _range(column: Column) -> str:
    low = "" if column.low is None else f"{column.low:g}"
    high = "" if column.high is None else f"{column.high:g}"
    return f"{low}-{high}{f' {column.unit}' if column.unit else ''}"


def kind_of_text(text: str) -> str:
    """What text in a number column may be meant as."""
    if re.fullmatch(r"[^\w\s<>%.+-]\s*" + NUMBER.pattern, text, re.ASCII):
        return "starred"
    if re.fullmatch(r"[+-]?[0-9.]+(,[0-9]+)+", text):
        return "comma"
    if re.match(r"[<>≤≥]", text):
        return "limit"
    return "percent" if text.endswith("%") else "text"


def _mend_range(values: list[str], recipe: Recipe) -> str:
    """Name another unit in which every offending value would be possible."""
    column = recipe.column
    numbers = [float(v) for v in values if NUMBER.fullmatch(v.strip())]
    for unit, factor in known_units(column).items():
        fits = all(
            (column.low is None or x * factor >= column.low) and (column.high is None or x * factor <= column.high)
            for x in numbers
        )
        if numbers and fits and not math.isclose(factor, recipe.factor) and factor != 1:
            return f"It looks like {unit}: if so, declare `unit: {unit}` for {column.name}. Else correct it"
    return "Correct the value, or declare the column's unit"
