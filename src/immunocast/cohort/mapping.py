"""The column mapping of a cohort: how the columns of a source become the vocabulary. Checked as a whole.

`docs/mapping.md` describes the language with an example for each key.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.mapping_columns import ORIGINS, ColumnParser, column_of, is_number
from immunocast.cohort.mapping_types import ColumnMapping, ColumnSpec, Correction, Layout, RowFilter, Sheet
from immunocast.cohort.values import Recipe, cell_text, code_texts
from immunocast.errors import ConfigError

MAPPING_KEYS = (
    "columns",
    "vocabulary_names",
    "sheets",
    "rows",
    "missing_codes",
    "delimiter",
    "decimal",
    "encoding",
    "header_row",
)
READER_KEYS = (
    *("name", "file", "data_dir", "sha256", "citation", "licence", "view", "cohorts", "notes", "waive", "expression"),
)
_SHEET_KEYS = ("cohort_id", "institution", "default", "absent", "columns", "corrections", "rows", "notes")
_CORRECTION_KEYS = ("column", "drop", "unit", "imputed", "because")
_ROW_KEYS = ("keep", "drop", "because")


def identity_spec(name: str, missing: frozenset[str], decimal: str = ".") -> ColumnSpec:
    """Spec of a file's column that carries the vocabulary's own name."""
    column = column_of(name)
    assert column is not None  # callers ask for names of the vocabulary only
    return ColumnSpec(name, name, Recipe(column, missing=missing, decimal=decimal))


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


class _Parser(ColumnParser):
    """Collects every problem of a mapping before it raises."""

    def mapping(self, content: Mapping[str, Any]) -> ColumnMapping:
        self.keys(content, (*MAPPING_KEYS, *READER_KEYS), "the mapping")
        missing = self.codes(content.get("missing_codes"), "missing_codes")
        layout = self.layout(content)
        self.decimal = content.get("decimal") or "."
        if self.decimal not in (".", ","):
            self.problems.append(f"decimal: must be '.' or ',', not {self.decimal!r}")
            self.decimal = "."
        specs = self.as_dict(content.get("columns"), "columns")
        identity = content.get("vocabulary_names") or False
        if not isinstance(identity, bool):
            self.problems.append("vocabulary_names: must be true or false")
        rows = self.rows(content.get("rows"), "rows")
        base = Sheet(None, None, self.columns(specs, missing, "columns"), rows=rows)
        sheets = {
            str(title): self.sheet(str(title), entry, specs, base, missing)
            for title, entry in self.as_dict(content.get("sheets"), "sheets").items()
        }
        if "patient_id" not in base.columns and not identity:
            for sheet in sheets.values() or [base]:
                if "patient_id" not in sheet.columns:
                    self.problems.append(
                        f"{sheet.title or 'columns'}: patient_id is not mapped: name the column with an id for each "
                        "patient, or add one to the file that numbers the rows"
                    )
        if self.problems:
            listed = "\n".join(f"  - {p}" for p in self.problems)
            raise ConfigError(f"The column mapping has {len(self.problems)} problem(s):\n{listed}")
        return ColumnMapping(base, sheets, bool(identity), missing, layout, self.decimal)

    def layout(self, content: Mapping[str, Any]) -> Layout:
        delimiter = content.get("delimiter")
        if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'):
            self.problems.append(f"delimiter: must be one character, not {delimiter!r}")
            delimiter = None
        encoding = content.get("encoding")
        if encoding is not None:
            try:
                "".encode(encoding if isinstance(encoding, str) else "")
                encoding = codecs.lookup(encoding).name
            except (LookupError, ValueError):  # also for codecs that are none of text
                self.problems.append(f"encoding: {encoding!r} is not known. Examples: utf-8, windows-1252, utf-16")
                encoding = None
        header = content.get("header_row")
        if header is not None and (not isinstance(header, int) or isinstance(header, bool) or header < 1):
            self.problems.append(f"header_row: must be a row number from 1, not {header!r}")
            header = None
        return Layout(delimiter, encoding, header)

    def rows(self, content: Any, where: str) -> tuple[RowFilter, ...]:
        """Filters of rows: {keep | drop: {column: [cells]}, because}, one or a list of them."""
        entries = [content] if isinstance(content, Mapping) else self.as_list(content, where)
        filters = []
        for entry in entries:
            entry = self.as_dict(entry, where)
            self.keys(entry, _ROW_KEYS, where)
            actions = [k for k in ("keep", "drop") if k in entry]
            if len(actions) != 1 or not entry.get("because"):
                self.problems.append(f"{where}: give keep or drop, and say why in `because`")
                continue
            chosen = self.as_dict(entry[actions[0]], f"{where}.{actions[0]}")
            if not chosen:
                self.problems.append(f"{where}.{actions[0]}: name a column and a list of its cells")
            for column, cells in chosen.items():
                listed = cells if isinstance(cells, (list, tuple)) else [cells]
                if not listed or any(isinstance(c, (list, Mapping)) for c in listed):
                    self.problems.append(f"{where}.{actions[0]}.{column}: must be a list of cells")
                    continue
                codes = tuple(frozenset(code_texts(c)) for c in listed)
                filters.append(RowFilter(cell_text(column), codes, actions[0] == "keep", str(entry["because"])))
        return tuple(filters)

    def sheet(
        self,
        title: str,
        entry: Any,
        specs: Mapping[str, Any],
        base: Sheet,
        missing: frozenset[str],
    ) -> Sheet:
        where = f"sheets.{title}"
        entry = self.as_dict(entry, where)
        self.keys(entry, _SHEET_KEYS, where)
        own = self.as_dict(entry.get("columns"), f"{where}.columns")
        merged = {name: self.merge(specs.get(name), change) for name, change in own.items()}
        changed = self.columns(merged, missing, f"{where}.columns")
        columns = {name: spec for name, spec in base.columns.items() if name not in own} | changed
        absent = [str(a) for a in self.as_list(entry.get("absent"), f"{where}.absent")]
        for name in absent:
            if name not in columns:
                hint = did_you_mean(name, columns)
                self.problems.append(f"{where}.absent: {name!r} is not a mapped column. {hint}".strip())
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
            self.flag(entry, "default", where, default=True),
            tuple(notes),
            (*base.rows, *self.rows(entry.get("rows"), f"{where}.rows")),
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
        if {*ORIGINS} & set(change) - {"source"}:  # the units and codings were those of the other source
            return {**{k: v for k, v in common.items() if k in ("optional", "prefix_with_cohort")}, **change}
        return {**{k: v for k, v in common.items() if "source" not in change or k not in ORIGINS}, **change}

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
            if not all(map(is_number, numbers)):
                self.problems.append(f"{where}.{name}: imputed must be true, a number or a list of numbers")
                numbers = ()
            imputed = tuple(float(x) for x in numbers)
        spec = columns[name]
        if isinstance(imputed, tuple) and spec.recipe.column.kind not in ("number", "integer", "binary"):
            self.problems.append(f"{where}.{name}: imputed values are for numbers; write `imputed: true`")
        if "unit" in entry and spec.source is None:
            self.problems.append(f"{where}.{name}: has no single source; correct the unit where each source stands")
        factor = self.unit(spec.recipe.column, entry["unit"], f"{where}.{name}") if "unit" in entry else None
        return Correction(name, str(entry["because"]), bool(entry.get("drop", False)), factor, imputed)
