"""What the numbers of a matrix are: unit and logarithm, by a stated rule, from the samples' own values.

Each sample is looked at alone, and all samples that show something must show the same. A sample in another
file can therefore never be read otherwise, only be one that shows too little, which ends in a question.

=====================================  ====================================================================
evidence in a sample                   what it says
=====================================  ====================================================================
a value below 0                        a logarithm
a value above 50                       no logarithm (2^50 transcripts don't exist)
both                                   refused
the smallest is log2(.001) etc.        log2(x + that offset): zero expression
sum is 1e6 after undoing log(x+1)      that logarithm, of TPM or CPM (10,000 genes or more)
below 0, but none above 8, no floor    refused: z-scores or log ratios compare patients, not genes
integers only                          counts (50 genes or more)
sum is 1e6                             TPM or CPM (10,000 genes or more); CPM if small values are whole
                                       multiples of the smallest, TPM if nearly all values differ
=====================================  ====================================================================

A unit in the file's name counts as evidence, too. What the cohort's YAML states is taken, and refused where the
values contradict it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from immunocast.cohort.expression.matrix import ExpressionMatrix
from immunocast.cohort.expression.settings import UNITS, Log, Unit
from immunocast.errors import DataError, Problem

#: From this many genes on a file is a whole transcriptome, whose sums and ranks mean something.
TRANSCRIPTOME = 10_000
_LINEAR_ABOVE, _RATIO_BELOW, _SUM, _SUM_TOLERANCE, _MIN_GENES_FOR_COUNTS = 50.0, 8.0, 1e6, 5e-3, 50
_UNIT_WORDS: dict[Unit, re.Pattern[str]] = {
    unit: re.compile(rf"(^|[^a-z]){unit.lower().removesuffix('s')}s?([^a-z]|$)") for unit in UNITS
}
_FLOORS = {offset: math.log2(offset) for offset in (1e-3, 1e-2, 1e-4)}
_BY_SUM = (Log(2.0, 1.0), Log(math.e, 1.0), Log(10.0, 1.0))


@dataclass(frozen=True)
class Scale:
    """What the values are.

    Attributes
    ----------
    unit : one of `UNITS`; None where it cannot be told.
    log : the logarithm; False for none; "unknown" for one whose base or offset cannot be told; None where not
        even that can be told.
    evidence : why, a phrase each.
    """

    unit: Unit | None
    log: Log | Literal[False, "unknown"] | None
    evidence: tuple[str, ...] = ()

    def describe(self) -> str:
        """In words, e.g. "log2(x+0.001) of TPM"."""
        unit = self.unit or "an unknown unit"
        if self.log is None:
            return f"{unit}, perhaps as logarithms"
        if self.log is False:
            return unit
        return f"{'logarithms' if self.log == 'unknown' else self.log} of {unit}"


def find_scale(matrix: ExpressionMatrix, unit: Unit | None, log: Log | Literal[False] | None) -> Scale:
    """Decide on unit and logarithm.

    Parameters
    ----------
    matrix : as read.
    unit, log : what the cohort's YAML states; None to detect it.

    Raises
    ------
    DataError
        Where samples contradict each other, the statement, or what expression can be.
    """
    shown = _Samples(matrix)
    evidence = []
    found_log = shown.log() if log is None else (log, "stated")
    if log is not None:
        shown.check_log(log)
    if found_log[1]:
        evidence.append(f"logarithm: {found_log[1]}")
    found_unit = shown.unit(found_log[0]) if unit is None else (unit, "stated")
    if found_unit[1]:
        evidence.append(f"unit: {found_unit[1]}")
    return Scale(found_unit[0], found_log[0], tuple(evidence))


class _Samples:
    """The values of each sample, summed up."""

    def __init__(self, matrix: ExpressionMatrix):
        self.matrix = matrix
        values = matrix.values
        there = ~np.isnan(values)
        self.any = there.any(axis=1)
        self.whole = there.sum(axis=1) >= TRANSCRIPTOME
        self.low = np.where(there, values, np.inf).min(axis=1, initial=np.inf)
        self.high = np.where(there, values, -np.inf).max(axis=1, initial=-np.inf)
        self.integers = ((values == np.floor(values)) | ~there).all(axis=1) & (
            there.sum(axis=1) >= _MIN_GENES_FOR_COUNTS
        )
        #: by sample, the offset of which the smallest value is the logarithm; NaN for none
        self.floor = np.full(len(values), np.nan)
        for offset, floor in _FLOORS.items():
            self.floor[np.abs(self.low - floor) < 1e-4] = offset

    def refuse(self, mask: np.ndarray, message: str, mend: str) -> DataError:
        names = [s for s, m in zip(self.matrix.samples, mask, strict=True) if m]
        some = f"{len(names)} of {len(mask)} samples ({', '.join(names[:3])})"
        return DataError(Problem(f"{some}: {message}", mend, file=self.matrix.file))

    def check_log(self, log: Log | Literal[False]) -> None:
        if log is False and (self.low < 0).any():
            raise self.refuse(
                self.low < 0, "there are negative values", "Expression is never negative: correct `log`, or the file"
            )
        if log is not False and (self.high > _LINEAR_ABOVE).any():
            raise self.refuse(
                self.high > _LINEAR_ABOVE, f"values above {_LINEAR_ABOVE:g} are no logarithms", "Correct `log`"
            )

    def log(self) -> tuple[Log | Literal[False, "unknown"] | None, str]:
        negative, large = self.low < 0, self.high > _LINEAR_ABOVE
        if (negative & large).any():
            raise self.refuse(
                negative & large,
                f"there are values below 0 beside values above {_LINEAR_ABOVE:g}: neither expression nor logarithms",
                "Look at what the file holds",
            )
        ratio = negative & (self.high < _RATIO_BELOW) & np.isnan(self.floor)
        if ratio.any() and not (negative & ~ratio).any():
            raise self.refuse(
                ratio,
                f"values lie around 0 and none reaches {_RATIO_BELOW:g}: z-scores or log ratios, which compare "
                "patients, not genes",
                "Use the matrix of expression; if this is one, state `log: log2(x+...)`",
            )
        if negative.any() and large.any():
            raise self.refuse(
                negative, "there are negative values, and other samples have values above 50", "State `log`"
            )
        if large.any():
            return False, f"values above {_LINEAR_ABOVE:g}"
        if negative.any():
            offsets = sorted(set(self.floor[~np.isnan(self.floor)]))
            if len(offsets) == 1:
                return Log(2.0, offsets[0]), f"the smallest value is log2({offsets[0]:g})"
            return "unknown", "values below 0"
        sums = {log for log in _BY_SUM if self._sums_to_a_million(log).any()}
        if len(sums) == 1:
            log = sums.pop()
            return log, f"undoing {log} gives sums of 1e6"
        return None, ""

    def _sums_to_a_million(self, log: Log | Literal[False]) -> np.ndarray:
        """Mask of the whole transcriptomes that are TPM or CPM, if `log` is their logarithm."""
        out = np.zeros(len(self.whole), dtype=bool)
        for i in np.flatnonzero(self.whole & ((self.high <= _LINEAR_ABOVE) | (log is False))):
            total = np.nansum(undo(self.matrix.values[i], log))
            out[i] = abs(total - _SUM) < _SUM * _SUM_TOLERANCE
        return out

    def unit(self, log: Log | Literal[False, "unknown"] | None) -> tuple[Unit | None, str]:
        possible, why = set(UNITS), []
        name = self.matrix.file.lower()
        words = {u for u, word in _UNIT_WORDS.items() if word.search(name)}
        if len(words) == 1:
            possible &= words
            why.append(f"the file's name says {next(iter(words))}")
        if log is False and self.any.any():
            if self.integers[self.any].all():
                possible &= {"counts"}
                why.append("integers only")
            elif (~self.integers & self.any & self._enough()).any():
                possible -= {"counts"} if not words else set()
        if isinstance(log, Log) or log is False:
            million = self._sums_to_a_million(log)
            if million.any():
                possible &= {"TPM", "CPM"}
                why.append("sums of 1e6")
                stepped = {_is_stepped(undo(self.matrix.values[i], log)) for i in np.flatnonzero(million)} - {None}
                if len(stepped) == 1:
                    is_cpm = stepped.pop()
                    possible &= {"CPM"} if is_cpm else {"TPM"}
                    why.append("small values are multiples of the smallest" if is_cpm else "nearly all values differ")
        if not possible:
            raise DataError(
                Problem(f"the unit is contradictory: {', '.join(why)}", "State `unit`", file=self.matrix.file)
            )
        return (next(iter(possible)), ", ".join(why)) if len(possible) == 1 else (None, ", ".join(why))

    def _enough(self) -> np.ndarray:
        return (~np.isnan(self.matrix.values)).sum(axis=1) >= _MIN_GENES_FOR_COUNTS


def _is_stepped(values: np.ndarray) -> bool | None:
    """Whether values are whole multiples of the smallest, as counts scaled to a million are.

    None where that tells nothing, e.g. in a file rounded to so few digits that all values are steps.
    """
    there = values[values > 1e-9]
    if len(np.unique(np.round(there, 9))) > 0.9 * len(there):
        return False  # counts have ties, tens of genes with 1, 2, 3 ... reads
    unit = there.min()
    small = there[there < 10.5 * unit] / unit
    decimals = -math.log10(unit)
    is_rounded = abs(decimals - round(decimals)) < 1e-6
    return True if not is_rounded and (np.abs(small - np.round(small)) < 0.05).all() else None


def undo(values: np.ndarray, log: Log | Literal[False]) -> np.ndarray:
    """Expression from its logarithm, at least 0: the logarithm of zero comes back as a rounding error.

    >>> undo(np.array([-9.96578, 0.0, 3.0]), Log(2.0, 0.001)).round(3)
    array([0.   , 0.999, 7.999])
    """
    if log is False:
        return values
    return np.maximum(np.power(log.base, values) - log.offset, 0.0)
