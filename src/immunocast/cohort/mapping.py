"""The column mapping of a cohort: how the columns of a source become the vocabulary. Checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.units import conversion_factor
from immunocast.cohort.values import Recipe, code_texts, coding_table, parse_column
from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, Column
from immunocast.errors import ConfigError

MAPPING_KEYS = ("columns", "vocabulary_names", "sheets", "missing_codes", "delimiter")
READER_KEYS = ("name", "file", "data_dir", "sha256", "citation", "licence", "view", "cohorts", "notes", "waive")
_SPEC_KEYS = ("source", "value", "unit", "factor", "coding", "missing", "optional", "prefix_with_cohort")
_SHEET_KEYS = ("cohort_id", "institution", "default", "absent", "columns", "corrections", "notes")
_CORRECTION_KEYS = ("column", "drop", "unit", "imputed", "because")


@dataclass(frozen=True)
class ColumnSpec:
    """Where one column of the vocabulary comes from.

    Attributes
    ----------
    name : the vocabulary's name (or a measured-flag).
    source : header in the file; None for a constant.
    constant : value for every patient where `source` is None.
    recipe : how cells become values.
    optional : the file may lack the column.
    prefix_with_cohort : put the cohort's id before each value (ids that are unique within a cohort only).
    """

    name: str
    source: str | None
    recipe: Recipe
    constant: Any = None
    optional: bool = False
    prefix_with_cohort: bool = False


@dataclass(frozen=True)
class Correction:
    """What the analysis view does to a column that is not what its name says, and why.

    One of: `drop` (not read), `factor` (the unit that the values really have), `imputed` (these values, or
    all where True, were put in by whoever published the file: they become missing).
    """

    column: str
    because: str
    drop: bool = False
    factor: float | None = None
    imputed: bool | tuple[float, ...] = False


@dataclass(frozen=True)
class Sheet:
    """How one sheet of a workbook is read: the mapping's columns with the sheet's own changes."""

    title: str | None
    cohort_id: str | None
    columns: dict[str, ColumnSpec]
    absent: frozenset[str] = frozenset()
    corrections: tuple[Correction, ...] = ()
    default: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnMapping:
    """A checked mapping: `base` for files of one table, `sheets` for workbooks."""

    base: Sheet
    sheets: dict[str, Sheet] = field(default_factory=dict)
    vocabulary_names: bool = False
    missing: frozenset[str] = frozenset()
    delimiter: str | None = None


def column_of(name: str) -> Column | None:
    """The vocabulary's column, or the flag that belongs to one; None for other names."""
    if name.endswith(MEASURED_SUFFIX) and name.removesuffix(MEASURED_SUFFIX) in VOCABULARY:
        return Column(name, "binary", "design", name)
    return VOCABULARY.get(name)


def identity_spec(name: str, missing: frozenset[str]) -> ColumnSpec:
    """Spec of a file's column that carries the vocabulary's own name."""
    column = column_of(name)
    assert column is not None  # callers ask for names of the vocabulary only
    return ColumnSpec(name, name, Recipe(column, missing=missing))


def parse_mapping(content: Mapping[str, Any]) -> ColumnMapping:
    """Check a mapping and bring it into typed form.

    Parameters
    ----------
    content : keys of `MAPPING_KEYS`; those of `READER_KEYS` are allowed and not looked at.

    Raises
    ------
    ConfigError
        With everything that is wrong: unknown keys, names, units, codings that lead nowhere.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"A column mapping must be a mapping of keys, not {type(content).__name__}.")
    return _Parser().mapping(content)


class _Parser:
    """Collects every problem of a mapping before it raises."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def mapping(self, content: Mapping[str, Any]) -> ColumnMapping:
        self.keys(content, (*MAPPING_KEYS, *READER_KEYS), "the mapping")
        missing = self.codes(content.get("missing_codes"), "missing_codes")
        specs = self.as_dict(content.get("columns"), "columns")
        identity = content.get("vocabulary_names") or False
        if not isinstance(identity, bool):
            self.problems.append("vocabulary_names: must be true or false")
        delimiter = content.get("delimiter")
        if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'):
            self.problems.append(f"delimiter: must be one character, not {delimiter!r}")
        base = Sheet(None, None, self.columns(specs, missing, "columns"))
        sheets = {
            str(title): self.sheet(str(title), entry, specs, base.columns, missing)
            for title, entry in self.as_dict(content.get("sheets"), "sheets").items()
        }
        if "patient_id" not in base.columns and not identity:
            for sheet in sheets.values() or [base]:
                if "patient_id" not in sheet.columns:
                    self.problems.append(f"{sheet.title or 'columns'}: patient_id is not mapped")
        if self.problems:
            listed = "\n".join(f"  - {p}" for p in self.problems)
            raise ConfigError(f"The column mapping has {len(self.problems)} problem(s):\n{listed}")
        return ColumnMapping(base, sheets, bool(identity), missing, delimiter)

    def keys(self, content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        for key in content:
            if key not in known:
                hint = did_you_mean(str(key), known) or f"Known keys: {', '.join(known)}."
                self.problems.append(f"{where}: unknown key {key!r}. {hint}")

    def as_dict(self, content: Any, where: str) -> Mapping[str, Any]:
        if content is None:
            return {}
        if not isinstance(content, Mapping):
            self.problems.append(f"{where}: must be a mapping of keys, not {content!r}")
            return {}
        return content

    def as_list(self, content: Any, where: str) -> list[Any]:
        if content is None:
            return []
        if isinstance(content, (str, bytes, Mapping)) or not isinstance(content, Sequence):
            self.problems.append(f"{where}: must be a list, not {content!r}")
            return []
        return [*content]

    def codes(self, content: Any, where: str) -> frozenset[str]:
        return frozenset(text for code in self.as_list(content, where) for text in code_texts(code))

    def columns(self, content: Mapping[str, Any], missing: frozenset[str], where: str) -> dict[str, ColumnSpec]:
        found = {}
        for name, entry in content.items():
            column = column_of(str(name))
            if column is None:
                hint = did_you_mean(str(name), VOCABULARY)
                self.problems.append(f"{where}: {str(name)!r} is not in the vocabulary. {hint}".strip())
            elif entry is not None:
                found[column.name] = self.spec(column, entry, missing, f"{where}.{name}")
        return found

    def spec(self, column: Column, entry: Any, missing: frozenset[str], where: str) -> ColumnSpec:
        if isinstance(entry, str):
            entry = {"source": entry}
        entry = self.as_dict(entry, where)
        self.keys(entry, _SPEC_KEYS, where)
        if "value" in entry and "source" in entry:
            self.problems.append(f"{where}: give either source or value, not both")
        recipe = Recipe(
            column,
            self.factor(column, entry, where),
            self.coding(column, entry.get("coding"), where),
            missing | self.codes(entry.get("missing"), f"{where}.missing"),
        )
        for key in ("optional", "prefix_with_cohort"):
            if not isinstance(entry.get(key, False), bool):
                self.problems.append(f"{where}.{key}: must be true or false")
        if entry.get("prefix_with_cohort") and column.name not in ("patient_id", "person_id", "site_id"):
            self.problems.append(f"{where}: prefix_with_cohort is for patient_id, person_id and site_id")
        constant = self.constant(column, entry["value"], where) if "value" in entry else None
        return ColumnSpec(
            column.name,
            None if "value" in entry else str(entry.get("source") or column.name).strip(),
            recipe,
            constant,
            bool(entry.get("optional", False)),
            bool(entry.get("prefix_with_cohort", False)),
        )

    def factor(self, column: Column, entry: Mapping[str, Any], where: str) -> float:
        factor = entry.get("factor", 1.0)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not factor > 0:
            self.problems.append(f"{where}.factor: must be a number above 0, not {factor!r}")
            factor = 1.0
        if "factor" in entry and column.kind not in ("number", "integer"):
            self.problems.append(f"{where}.factor: {column.name} is not a number")
        return float(factor) * self.unit(column, entry.get("unit"), where)

    def unit(self, column: Column, unit: Any, where: str) -> float:
        if unit is None:
            return 1.0
        try:
            return conversion_factor(column, str(unit))
        except ConfigError as error:
            self.problems.append(f"{where}.unit: {error}")
            return 1.0

    def coding(self, column: Column, content: Any, where: str) -> dict[str, Any] | None:
        if content is None:
            return None
        coding = self.as_dict(content, f"{where}.coding")
        if None in coding:
            self.problems.append(f"{where}.coding: YAML reads this code as nothing; write it in quotes")
        final = {}
        for code, value in coding.items():
            final[code] = None if value is None else self.constant(column, value, f"{where}.coding.{code}")
        return coding_table({code: value for code, value in final.items() if code is not None})

    def constant(self, column: Column, value: Any, where: str) -> Any:
        """A value that the mapping itself gives: it must be one of the vocabulary."""
        if isinstance(value, (list, Mapping)) or value is None:
            self.problems.append(f"{where}: {value!r} is not a value")
            return None
        values, findings = parse_column(pd.Series([value], dtype=object), Recipe(column))
        for finding in findings:
            self.problems.append(f"{where}: {value!r} is {finding.message} for {column.name}")
        return None if values.isna().iloc[0] else values.iloc[0]

    def sheet(
        self,
        title: str,
        entry: Any,
        specs: Mapping[str, Any],
        base: Mapping[str, ColumnSpec],
        missing: frozenset[str],
    ) -> Sheet:
        where = f"sheets.{title}"
        entry = self.as_dict(entry, where)
        self.keys(entry, _SHEET_KEYS, where)
        own = self.as_dict(entry.get("columns"), f"{where}.columns")
        merged = {name: self.merge(specs.get(name), change) for name, change in own.items()}
        changed = self.columns(merged, missing, f"{where}.columns")
        columns = {name: spec for name, spec in base.items() if name not in own} | changed
        absent = [str(a) for a in self.as_list(entry.get("absent"), f"{where}.absent")]
        for name in absent:
            if name not in columns:
                hint = did_you_mean(name, columns)
                self.problems.append(f"{where}.absent: {name!r} is not a mapped column. {hint}".strip())
        if not isinstance(entry.get("default", True), bool):
            self.problems.append(f"{where}.default: must be true or false")
        corrections = [
            self.correction(c, columns, f"{where}.corrections")
            for c in self.as_list(entry.get("corrections"), f"{where}.corrections")
        ]
        named = [c.column for c in corrections if c is not None]
        for name in sorted({c for c in named if named.count(c) > 1}):
            self.problems.append(f"{where}.corrections: {name!r} has more than one")
        notes = [str(n) for n in self.as_list(entry.get("notes"), f"{where}.notes")]
        if entry.get("institution"):
            notes.insert(0, f"institution: {entry['institution']}")
        return Sheet(
            title,
            str(entry.get("cohort_id") or title),
            columns,
            frozenset(absent),
            tuple(c for c in corrections if c is not None),
            bool(entry.get("default", True)),
            tuple(notes),
        )

    @staticmethod
    def merge(common: Any, change: Any) -> Any:
        """A sheet's entry replaces single keys of the common one; a new value or source replaces both."""
        if isinstance(common, str):
            common = {"source": common}
        if isinstance(change, str):
            change = {"source": change}
        if not isinstance(common, Mapping) or not isinstance(change, Mapping):
            return change
        kept = {k: v for k, v in common.items() if not ({"source", "value"} & set(change) and k in ("source", "value"))}
        return {**kept, **change}

    def correction(self, entry: Any, columns: Mapping[str, ColumnSpec], where: str) -> Correction | None:
        entry = self.as_dict(entry, where)
        self.keys(entry, _CORRECTION_KEYS, where)
        name = str(entry.get("column"))
        if name not in columns:
            hint = did_you_mean(name, columns)
            self.problems.append(f"{where}: {name!r} is not a mapped column. {hint}".strip())
            return None
        actions = [k for k in ("drop", "unit", "imputed") if k in entry]
        if len(actions) != 1 or not entry.get("because"):
            self.problems.append(f"{where}.{name}: give one of drop, unit or imputed, and say why in `because`")
            return None
        imputed = entry.get("imputed", False)
        if not isinstance(imputed, bool):
            numbers = imputed if isinstance(imputed, (list, tuple)) else [imputed]
            if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in numbers):
                self.problems.append(f"{where}.{name}: imputed must be true, a number or a list of numbers")
                numbers = ()
            imputed = tuple(float(x) for x in numbers)
        spec = columns[name]
        if isinstance(imputed, tuple) and spec.recipe.column.kind not in ("number", "integer", "binary"):
            self.problems.append(f"{where}.{name}: imputed values are for numbers; write `imputed: true`")
        factor = self.unit(spec.recipe.column, entry["unit"], f"{where}.{name}") if "unit" in entry else None
        return Correction(name, str(entry["because"]), bool(entry.get("drop", False)), factor, imputed)
