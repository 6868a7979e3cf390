"""Derived columns: a closed list of named rules, each with named inputs. No expression is ever evaluated.

A patient whose inputs are missing, or for whom a rule would divide by zero, gets a missing value, and the reader
counts them (IC-FILE-007).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.cell_problems import outside_words
from immunocast.cohort.spellings import plain
from immunocast.cohort.units import DAYS_PER_MONTH
from immunocast.cohort.vocabulary import VOCABULARY, Column

#: What else than a column of the vocabulary can be an input.
NUMBER = Column("number", "number", "design", "number")
TEXT = Column("text", "text", "design", "text")
FLAG = Column("flag", "binary", "design", "flag")
MOMENT = Column("moment", "number", "design", "date or day number")
WEIGHT = Column("weight", "number", "design", "weight", unit="kg", low=1, high=500)
HEIGHT = Column("height", "number", "design", "height", unit="cm", low=30, high=260)

#: Days in the unit of a column that holds a length of time.
DAYS_IN = {"days": 1.0, "weeks": 7.0, "months": DAYS_PER_MONTH, "years": 365.25}

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """Values (missing: NaN or None), and the patients for whom a known input gives nothing, by reason."""

    values: np.ndarray
    undefined: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """A derivation.

    Attributes
    ----------
    name : how a mapping calls it.
    inputs : name of each input -> what it is.
    compute : values of the inputs (float arrays; text as objects, missing None), settings, column -> result.
    columns : names of the vocabulary that it can yield; () for every column of `kind`.
    kind : kinds of column that it can yield.
    settings : key -> what it must be ("number", "numbers", "texts").
    many : the only input is a list of columns.
    one_known : a value is possible where some of the inputs are missing.
    says : in a sentence, for the documentation.
    """

    name: str
    inputs: Mapping[str, Column]
    compute: Callable[[Values, Mapping[str, Any], Column], Result]
    columns: tuple[str, ...] = ()
    kind: tuple[str, ...] = ("number",)
    settings: Mapping[str, str] = field(default_factory=dict)
    many: bool = False
    one_known: bool = False
    says: str = ""


def _quotient(top: np.ndarray, bottom: np.ndarray, reason: str) -> Result:
    nothing = ~(bottom > 0) & ~np.isnan(bottom) & ~np.isnan(top)
    with np.errstate(all="ignore"):
        values = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), np.nan)
    return Result(values, {reason: nothing} if nothing.any() else {})


def _ratio_of(top: str, bottom: str) -> Callable[[Values, Mapping[str, Any], Column], Result]:
    def compute(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
        return _quotient(x[top], x[bottom], f"{bottom} is not above 0")

    return compute


def _dnlr(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    return _quotient(
        x["neutrophils"], x["leukocytes"] - x["neutrophils"], "leukocytes are not above neutrophils in number"
    )


def _sii(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    return _quotient(x["platelets"] * x["neutrophils"], x["lymphocytes"], "lymphocytes is not above 0")


def _bmi(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    return Result(x["weight"] / (x["height"] / 100) ** 2)


def _time_between(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    return Result((x["end"] - x["start"]) / DAYS_IN[column.unit])


def _year_of(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    values = np.full(len(x["date"]), np.nan)
    no_date = (x["date"] < 1) | (x["date"] > 3_652_059)  # the calendar of `datetime`: years 1 to 9999
    days = np.where(no_date, np.nan, x["date"])
    known = ~np.isnan(days)
    stamps = np.datetime64("0001-01-01") + (days[known].astype("int64") - 1).astype("timedelta64[D]")
    values[known] = stamps.astype("datetime64[Y]").astype(int) + 1970
    return Result(values)


_COMPARE = {"at_least": np.greater_equal, "above": np.greater, "at_most": np.less_equal, "below": np.less}


def _threshold(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    (how, at), *_ = settings.items()
    return Result(np.where(np.isnan(x["of"]), np.nan, _COMPARE[how](x["of"], at)))


def _bands(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    labels = np.array([*settings["labels"], None], dtype=object)
    known = ~np.isnan(x["of"])
    which = np.where(known, np.digitize(x["of"], settings["cuts"]), len(labels) - 1)
    return Result(labels[which])


def _contains(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    wanted = [f" {plain(w)} " for w in settings["words"]]

    def found(text: str) -> float:
        return float(any(w in f" {plain(text)} " for w in wanted))

    return Result(np.array([np.nan if t is None else found(t) for t in x["of"]], dtype="float64"))


def _is_known(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    return Result(np.array([float(t is not None) for t in x["of"]], dtype="float64"))


def _any_of(x: Values, settings: Mapping[str, Any], column: Column) -> Result:
    flags = np.vstack([*x.values()])
    some, unknown = (flags == 1).any(axis=0), np.isnan(flags).any(axis=0)
    return Result(np.where(some, 1.0, np.where(unknown, np.nan, 0.0)))


_CELLS = {name: VOCABULARY[f"{name}_10e9_l"] for name in ("neutrophils", "lymphocytes", "leukocytes", "platelets")}
_TIMES = tuple(c.name for c in VOCABULARY.values() if c.unit in DAYS_IN)


def _cells(*names: str) -> dict[str, Column]:
    return {name: _CELLS[name] for name in names}


_RULES = (
    Rule(
        "nlr", _cells("neutrophils", "lymphocytes"), _ratio_of("neutrophils", "lymphocytes"), ("nlr",),
        says="neutrophils / lymphocytes",
    ),
    Rule(
        "dnlr", _cells("neutrophils", "leukocytes"), _dnlr, ("dnlr",),
        says="neutrophils / (leukocytes - neutrophils)",
    ),
    Rule(
        "plr", _cells("platelets", "lymphocytes"), _ratio_of("platelets", "lymphocytes"), ("plr",),
        says="platelets / lymphocytes",
    ),
    Rule(
        "sii", _cells("platelets", "neutrophils", "lymphocytes"), _sii, ("sii",),
        says="platelets x neutrophils / lymphocytes",
    ),
    Rule(
        "bmi", {"weight": WEIGHT, "height": HEIGHT}, _bmi, ("bmi_kg_m2",),
        says="weight in kg / (height in m) squared",
    ),
    Rule(
        "ratio", {"numerator": NUMBER, "denominator": NUMBER}, _ratio_of("numerator", "denominator"),
        says="numerator / denominator",
    ),
    Rule(
        "time_between", {"start": MOMENT, "end": MOMENT}, _time_between, _TIMES,
        says="end - start, in the unit of the column (months, weeks, days or years)",
    ),
    Rule(
        "year_of", {"date": MOMENT}, _year_of, ("treatment_start_year",), ("integer",),
        says="the calendar year of a date",
    ),
    Rule(
        "threshold", {"of": NUMBER}, _threshold, kind=("binary",), settings=dict.fromkeys(_COMPARE, "number"),
        says="1 where the number is at_least, above, at_most or below the one given",
    ),
    Rule(
        "bands", {"of": NUMBER}, _bands, kind=("category",), settings={"cuts": "numbers", "labels": "texts"},
        says="the label of the band that the number falls into; a cut belongs to the band above it",
    ),
    Rule(
        "contains", {"of": TEXT}, _contains, kind=("binary",), settings={"words": "texts"},
        says="1 where the text holds one of the words, whatever the case",
    ),
    Rule(
        "is_known", {"of": TEXT}, _is_known, kind=("binary",), one_known=True,
        says="1 where the cell holds anything but a missing code, else 0",
    ),
    Rule(
        "any_of", {"of": FLAG}, _any_of, kind=("binary",), many=True, one_known=True,
        says="1 where one of the flags is 1, 0 where all are 0, else missing",
    ),
)  # fmt: skip

#: The rules that a mapping may name.
RULES: dict[str, Rule] = {rule.name: rule for rule in _RULES}

#: How `panel_mb` and `uln` with a column of their own are computed: the unit of both must be the same.
DIVIDE = Rule(
    "divided",
    {"value": NUMBER, "divisor": NUMBER},
    lambda x, settings, column: _quotient(x["value"], x["divisor"], "the divisor is not above 0"),
)


def compute(rule: Rule, inputs: Sequence[tuple[str, pd.Series]], settings: Mapping[str, Any], column: Column) -> Result:
    """Apply a rule.

    Parameters
    ----------
    rule : of `RULES`.
    inputs : name and values of each input, missing where unknown.
    settings : checked settings of the rule.
    column : the vocabulary's column that it yields.

    Returns
    -------
    Values, not yet checked against the column's range, and for whom a known input gave nothing.
    """
    values: dict[str, np.ndarray] = {}
    for i, (name, series) in enumerate(inputs):
        if series.dtype == "float64" or str(series.dtype) == "Int64":
            array = series.astype("Float64").to_numpy("float64", na_value=np.nan)
        else:
            array = series.astype(object).where(series.notna(), None).to_numpy()
        values[f"{name} {i}" if rule.many else name] = array
    with np.errstate(all="ignore"):  # what overflows is infinite, and told as out of range
        return rule.compute(values, settings, column)


def explain_range(rule: Rule, column: Column, numbers: np.ndarray) -> tuple[str, str]:
    """Message and mend for derived values outside of the column's range."""
    message = f"{column.name} comes out of {rule.name} {outside_words(column)}"
    if rule.inputs.get("end") is MOMENT:
        if (numbers < 0).all() and (numbers > -200 * 365.25 / DAYS_IN[column.unit]).all():
            return message, "The end comes before the start: correct one of them"
        return message, "Check that both are dates, or both numbers of the same origin and unit"
    return message, "Correct the inputs, or declare their units"
