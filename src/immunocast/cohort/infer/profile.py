"""What the cells of a column look like: numbers, missing codes, limits, marks, dates, categories."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from immunocast.cohort.cell_problems import NUMBER
from immunocast.cohort.values import DEFAULT_MISSING, cell_text

#: Text that means "missing" in a column of anything, beside the codes that are always read so.
MISSING_WORDS = frozenset(
    {
        *(
            ".",
            "..",
            "-",
            "--",
            "?",
            "x",
            "u",
            "nk",
            "unk",
            "unknown",
            "nd",
            "n.d.",
            "missing",
            "none",
            "pending",
            "tbd",
        ),
        *("not_reported", "unavailable", "not_available", "not_done", "not_tested", "not_known", "not_applicable"),
        "no_data",
    }
)
_SENTINELS = (-9, -99, -999, -9999, 99, 999, 9999, 99999, -1)
_BELOW = re.compile(
    r"(oor\s*<|<\s*(ll?oq|lod|detection).*|bl?loq|blq|bld|lloq|below.*|undetectable|<\s*)", re.IGNORECASE
)
_ABOVE = re.compile(r"(oor\s*>|>\s*(ul?oq).*|aloq|uloq|above.*|>\s*)", re.IGNORECASE)
_NUMBER = NUMBER.pattern.replace("(", "(?:")
_MARK = re.compile(rf"([*†‡#~^])\s*({_NUMBER})|({_NUMBER})\s*([*†‡#~^%+])")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")
_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True)
class Profile:
    """A column as it stands in the file.

    Attributes
    ----------
    n : rows; n_known : rows that are not missing by any code.
    numbers : the numeric cells as floats, row by row, NaN elsewhere.
    texts : cell text -> rows, of known cells that are no numbers (all cells where `is_text`).
    missing : cells that mean missing here and are no default code.
    below, above : cells beyond a limit; marks : marks around numbers.
    sentinel : a number that stands for missing (999), None where there is none.
    dates : share of the known cells that are dates.
    distinct : distinct known cells.
    """

    header: str
    n: int
    n_known: int
    numbers: np.ndarray
    texts: Counter[str]
    cells: list[str]
    missing: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    sentinel: float | None = None
    dates: float = 0.0
    distinct: int = 0

    @property
    def numeric(self) -> float:
        """Share of the known cells that are numbers, limits and marked numbers among them."""
        return 1 - sum(self.texts.values()) / self.n_known if self.n_known else 0.0

    @property
    def known(self) -> np.ndarray:
        """The known numbers."""
        return self.numbers[~np.isnan(self.numbers)]

    def quantile(self, q: float) -> float:
        """Of the known numbers; NaN where there are none."""
        return float(np.quantile(self.known, q)) if len(self.known) else np.nan

    @property
    def whole(self) -> bool:
        """Whether all known numbers are whole ones."""
        return bool(len(self.known)) and bool(np.all(self.known == np.round(self.known)))

    @property
    def values(self) -> Counter[str]:
        """Known cells as text, with how often each is there."""
        gone = set(self.missing)
        return Counter(c for c in self.cells if c.casefold() not in DEFAULT_MISSING and c not in gone)


def profile(header: str, column: pd.Series) -> Profile:
    """Look at a column.

    Parameters
    ----------
    header : its name.
    column : raw cells, as `RawTable.frame` holds them.
    """
    cells = [
        cell_text(c) if not isinstance(c, (list, dict, tuple, set, np.ndarray, bytes)) else "[...]" for c in column
    ]
    dates = sum(
        isinstance(c, datetime.date) or (isinstance(c, str) and _DATE.fullmatch(c.strip()) is not None) for c in column
    )
    numbers = np.full(len(cells), np.nan)
    odd: Counter[str] = Counter()
    missing, below, above, marks = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for i, cell in enumerate(cells):
        if cell.casefold() in DEFAULT_MISSING:
            continue
        if NUMBER.fullmatch(cell):
            value = float(cell)
            numbers[i] = value if np.isfinite(value) else np.nan
            odd[cell] += not np.isfinite(value)
        elif cell.casefold().replace(" ", "_") in MISSING_WORDS:
            missing[cell] += 1
        elif match := _MARK.fullmatch(cell):
            marks[match[1] or match[4]] += 1
            numbers[i] = float(match[2] or match[3])
        elif _BELOW.fullmatch(cell) or re.fullmatch(r"[<≤]=?\s*" + NUMBER.pattern, cell):
            below[cell] += 1
        elif _ABOVE.fullmatch(cell) or re.fullmatch(r"[>≥]=?\s*" + NUMBER.pattern, cell):
            above[cell] += 1
        else:
            odd[cell] += 1
    odd = +odd
    known = numbers[~np.isnan(numbers)]
    sentinel = _sentinel(known)
    if sentinel is not None:
        numbers = np.where(numbers == sentinel, np.nan, numbers)
    n_known = int((~np.isnan(numbers)).sum()) + sum((odd + below + above).values())
    share = dates / n_known if n_known else 0.0
    odds = (list(missing), list(below), list(above), list(marks))
    found = Profile(header, len(cells), n_known, numbers, odd, cells, *odds, sentinel, share)
    return Profile(**{**vars(found), "distinct": len(found.values)})


def _sentinel(known: np.ndarray) -> float | None:
    """A code for missing among numbers: far outside of all the others, and there more than once or conspicuous."""
    for code in _SENTINELS:
        rest = known[known != code]
        if len(rest) < 5 or len(rest) == len(known):
            continue
        low, high = np.quantile(rest, [0, 1])
        if (code < 0 and low >= 0) or (code > 0 and code >= 99 and code > 3 * max(high, 1)):
            return float(code)
    return None


def decimal_commas(frame: pd.DataFrame) -> bool:
    """Whether the numbers of a text file are written with decimal commas."""
    commas = points = 0
    for name in frame.columns:
        for cell in frame[name].head(200):
            if isinstance(cell, str):
                commas += _COMMA.fullmatch(cell.strip()) is not None
                points += re.fullmatch(r"[+-]?\d+\.\d+", cell.strip()) is not None
    return commas > 3 and commas > 10 * points
