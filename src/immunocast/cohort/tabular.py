"""Cohorts from CSV, TSV, Parquet and XLSX files through a column mapping; also files of new patients to score.

Nothing here knows a particular cohort: what is special about one stands in its YAML (`conf/cohort/`), with
the reason, and goes into the provenance notes and the checks table.

Checks that this reader can add: IC-FILE-001 another file than the mapping was written for; IC-FILE-002 a
column was not read; IC-FILE-003 an optional column is absent; IC-FILE-004 a correction that concerns nobody;
IC-FILE-005 rows that the mapping leaves out; IC-FILE-006 cells read by a built-in spelling; IC-FILE-007 how many
values were derived; IC-FILE-008 marks cut off and values beyond the range of an assay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immunocast.cohort.checks import finding as check
from immunocast.cohort.expression import add_scores, parse_expression
from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.mapping import MAPPING_KEYS, READER_KEYS, identity_spec, parse_mapping
from immunocast.cohort.mapping_types import ColumnMapping, ColumnSpec, Sheet
from immunocast.cohort.raw_table import UNNAMED, RawTable
from immunocast.cohort.registry import locate
from immunocast.cohort.rows import filter_rows
from immunocast.cohort.sources import XLSX, read_tables
from immunocast.cohort.standardise import SheetTable, standardise
from immunocast.cohort.table import CohortTables, Provenance, stack_cohorts, to_cohort_table
from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY
from immunocast.errors import ConfigError, DataError, Problem

#: More columns that were not read than these are told in one sentence.
_MOST_UNREAD = 30
VIEWS = ("analysis", "as_published")


class TabularCohort:
    """A cohort in a CSV, TSV, Parquet or XLSX file.

    Parameters
    ----------
    name : name of the cohort configuration; None for the file's name. Also the cohort id where neither a
        sheet nor a column gives one.
    file : path, absolute or relative to `data_dir`.
    data_dir : folder of the data.
    sha256 : digest of the file that the mapping was written for; another file gets a warning in the checks.
    citation, licence : of the source.
    view : "analysis" applies the mapping's corrections; "as_published" keeps the published values (imputed
        ones with measured-flags) for the reproduction of published results. A column whose unit is not what
        its name claims is left out there.
    cohorts : cohort ids (or sheet titles) to read; None for all whose `default` is not false.
    columns : vocabulary name -> what it is made of, or just the source's header; docs/mapping.md lists the keys.
        Codings give final values; `factor` and `unit` concern numbers.
    vocabulary_names : also read columns that carry the vocabulary's names, without a mapping.
    sheets : title -> {cohort_id, institution, default, absent, columns, corrections, rows, notes}.
    rows : {keep or drop: {header: [cells]}, because: reason}, or a list of these: rows that are not read. New
        patients that are to be scored are never left out.
    missing_codes : further codes for missing values, beside empty, NA, N/A, #N/A, NaN, null and None.
    delimiter : of a text file; None for comma (.csv) or tab (.tsv, .txt).
    decimal : decimal sign in text, "." or ",".
    encoding : of a text file; None for UTF-8.
    header_row : row of the header; None for the first row that holds anything.
    expression : {file, sample_id, unit, log, ...}: a matrix of gene expression, of which scores are computed and
        joined; docs/expression.md lists the keys.
    notes : caveats of the whole source.
    waive : check code, "code:column" or "code:cohort" -> why the finding is no reason to stop, for this cohort.

    Raises
    ------
    ConfigError
        Where the mapping is wrong; names everything that is.
    """

    def __init__(
        self,
        name: str | None = None,
        file: str | Path | None = None,
        data_dir: str | Path = ".",
        sha256: str | None = None,
        citation: str = "",
        licence: str = "",
        view: str = "analysis",
        cohorts: Sequence[str] | None = None,
        columns: Mapping[str, Any] | None = None,
        vocabulary_names: bool = False,
        sheets: Mapping[str, Any] | None = None,
        missing_codes: Sequence[Any] = (),
        rows: Any = None,
        delimiter: str | None = None,
        decimal: str = ".",
        encoding: str | None = None,
        header_row: int | None = None,
        expression: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        waive: Mapping[str, str] | None = None,
        **unknown: Any,
    ):
        for key in unknown:
            hint = did_you_mean(key, (*MAPPING_KEYS, *READER_KEYS))
            raise ConfigError(f"Unknown setting {key!r} of a cohort. {hint}".strip())
        if view not in VIEWS:
            raise ConfigError(f"cohort.view is {view!r}; it must be one of {', '.join(VIEWS)}.")
        if isinstance(cohorts, str):
            raise ConfigError(f"cohort.cohorts must be a list, e.g. [{cohorts}].")
        self.name = name
        self.file = file
        self.data_dir = data_dir
        self.sha256 = sha256
        self.citation = citation
        self.licence = licence
        self.view = view
        self.cohorts = cohorts
        self.columns = columns
        self.vocabulary_names = vocabulary_names
        self.sheets = sheets
        self.missing_codes = missing_codes
        self.rows = rows
        self.delimiter = delimiter
        self.decimal = decimal
        self.encoding = encoding
        self.header_row = header_row
        self.expression = expression
        self.notes = notes
        self.waive = waive
        self._mapping = parse_mapping({key: getattr(self, key) for key in MAPPING_KEYS})
        self._expression = parse_expression(expression) if expression is not None else None

    @property
    def path(self) -> Path:
        """The file: a relative path lies below the folder of the data, or in the cache of fetched cohorts.

        Raises
        ------
        ConfigError
            Where no file is set.
        """
        if not self.file:
            raise ConfigError("No file is set. Name it with cohort.file=/path/to/patients.csv.")
        return locate(self.data_dir, self.file)

    def load(self) -> CohortTables:
        """Read the file.

        Returns
        -------
        The cohort table, provenance and checks. Nothing is fitted, and no outcome is derived.

        Raises
        ------
        DataError
            With every problem of the file, all sheets together.
        ConfigError
            Where `cohorts` names a cohort that is not there.
        """
        tables, problems = self._read()
        if problems:
            raise DataError(problems)
        return replace(tables, cohort=to_cohort_table(tables.cohort))

    def load_what_can_be_read(self) -> tuple[CohortTables, list[Problem]]:
        """Read the file for checks: cells that are refused are missing, numbers beyond the allowed range stay.

        Returns
        -------
        Tables whose cohort need not satisfy the schema (numbers out of range, ids that are there twice), fit for
        `checks.check_cohort` and nothing else; and the problems with which `load` would refuse the file.

        Raises
        ------
        DataError
            Where nothing can be read, or no row has an id.
        """
        try:
            return self.load(), []
        except DataError as error:
            refused = list(error.problems)
        tables, _ = self._read(limits=False)
        if tables.cohort.empty or "patient_id" not in tables.cohort:
            raise DataError(refused)
        rows = pd.Series([f"row {k}" for k in range(1, len(tables.cohort) + 1)], dtype="str")
        ids = tables.cohort["patient_id"].astype("str").fillna(rows)
        persons = tables.cohort["person_id"].fillna(ids) if "person_id" in tables.cohort else ids
        return replace(tables, cohort=tables.cohort.assign(patient_id=ids, person_id=persons)), refused

    def _read(self, *, limits: bool = True) -> tuple[CohortTables, list[Problem]]:
        """Everything that can be read, the cohort not yet held against the schema, and what is wrong."""
        path, mapping = self.path, self._mapping
        name = self.name or path.stem
        wanted = self._wanted(path)
        titles = [s.title for s in wanted if s.title is not None] or None
        found, problems = read_tables(path, titles, **asdict(mapping.layout))
        by_title = {s.title: s for s in wanted if s.title is not None}
        raw: list[RawTable] = []
        tables: list[SheetTable] = []
        sources: dict[str, dict[str, str]] = {}
        left_out: list[dict[str, Any]] = []
        for table in found:
            sheet = by_title.get(table.sheet or "") or with_identity(mapping.base, mapping, table)
            sheet = sheet if limits else _without_limits(sheet)
            cohort_id = sheet.cohort_id or name
            table, wrong, checks = filter_rows(table, sheet.rows, path.name, cohort_id)
            problems, left_out = problems + wrong, left_out + checks
            if not wrong:
                raw.append(table)
                tables.append(standardise(table, sheet, self.view, path.name, cohort_id))
                headers = {n: s.source for n, s in sheet.columns.items() if s.source}
                sources |= {str(c): headers for c in tables[-1].frame.get("cohort_id", pd.Series(dtype="str")).unique()}
        problems += [p for t in tables for p in t.problems] + _across(tables, path.name)
        if not tables:
            raise DataError(problems)
        cohort, source = stack_cohorts([t.frame for t in tables]), _source(raw)
        wanted_rows = self._selected(cohort)
        cohort, source = cohort[wanted_rows].reset_index(drop=True), source[wanted_rows].reset_index(drop=True)
        expression_checks: list[dict[str, Any]] = []
        expression_notes: list[str] = []
        if self._expression is not None:
            matrix = locate(self.data_dir, self._expression.file)
            cohort, expression_checks, note = add_scores(cohort, source, self._expression, matrix)
            expression_notes = [note]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        notes = (*self.notes, *(note for t in tables for note in t.notes), *expression_notes)
        citation = self.citation or f"file {path.name}"
        used = frozenset[str]().union(*(t.sources for t in tables))
        read = CohortTables(
            cohort,
            Provenance(name, False, citation, digest, self.view, self.licence, notes),
            checks=left_out + self._checks(path, digest, raw, tables) + expression_checks,
            waive={str(c): dict(self.waive) for c in cohort["cohort_id"].unique()} if self.waive else {},
            unmapped=source[[c for c in source if c not in used]],
            sources=sources,
        )
        return read, problems

    def _wanted(self, path: Path) -> list[Sheet]:
        """The sheets to read; for a file of one table, the mapping's base."""
        sheets = self._mapping.sheets
        if not sheets:
            return [self._mapping.base] if path.suffix.lower() not in XLSX else []
        if path.suffix.lower() not in XLSX:
            raise ConfigError(f"The mapping has `sheets:`, but {path.name} is not a workbook.")
        if self.cohorts is None:
            return [s for s in sheets.values() if s.default]
        names = {key: s for s in sheets.values() for key in (s.cohort_id, s.title)}
        for wanted in self.cohorts:
            if wanted not in names:
                listed = ", ".join(str(s.cohort_id) for s in sheets.values())
                raise ConfigError(f"cohort.cohorts: there is no cohort {wanted!r}. Cohorts: {listed}.")
        return list({s.title: s for s in (names[c] for c in self.cohorts)}.values())

    def _selected(self, cohort: pd.DataFrame) -> pd.Series:
        """Mask of the rows of the wanted cohorts, where a column tells the cohort."""
        if self.cohorts is None or self._mapping.sheets:
            return pd.Series(True, index=cohort.index)
        there = cohort["cohort_id"].unique()
        for wanted in self.cohorts:
            if wanted not in there:
                listed = ", ".join(there)
                raise ConfigError(f"cohort.cohorts: there is no cohort {wanted!r}. Cohorts: {listed}.")
        return cohort["cohort_id"].isin(self.cohorts)

    def _checks(
        self, path: Path, digest: str, raw: Sequence[RawTable], tables: Sequence[SheetTable]
    ) -> list[dict[str, Any]]:
        checks = []
        if self.sha256 and digest != str(self.sha256).lower():
            message = (
                f"{path.name} is not the file that the mapping was written for (SHA-256 {digest[:12]}..., "
                f"expected {str(self.sha256)[:12]}...): corrections may not fit it"
            )
            checks.append(check("IC-FILE-001", "warning", message, n=sum(len(t.frame) for t in tables)))
        for table in raw:
            for message in _unread(self._mapping, table):
                checks.append(check("IC-FILE-002", "warning", message, n=len(table.frame)))
        return checks + [c for t in tables for c in t.checks]


def _without_limits(sheet: Sheet) -> Sheet:
    """A sheet's mapping that takes numbers also beyond the range that the vocabulary allows."""

    def open_ended(spec: ColumnSpec) -> ColumnSpec:
        column = replace(spec.recipe.column, low=None, high=None)
        return replace(spec, recipe=replace(spec.recipe, column=column))

    return replace(sheet, columns={name: open_ended(spec) for name, spec in sheet.columns.items()})


def with_identity(sheet: Sheet, mapping: ColumnMapping, table: RawTable) -> Sheet:
    """Add the columns that carry the vocabulary's names, where the mapping asks for it."""
    if not mapping.vocabulary_names:
        return sheet
    columns = {name: identity_spec(name, mapping.missing, mapping.decimal) for name in table_columns(table)}
    if "patient_id" not in sheet.columns:
        columns["patient_id"] = identity_spec("patient_id", mapping.missing)
    return replace(sheet, columns=columns | sheet.columns)


def table_columns(table: RawTable) -> list[str]:
    """Headers of a table that are names of the vocabulary or measured-flags of its features."""
    return [header for header in map(str, table.frame.columns) if header.removesuffix(MEASURED_SUFFIX) in VOCABULARY]


def _across(tables: Sequence[SheetTable], file: str) -> list[Problem]:
    """Ids that are there in two sheets: unique within each, but not over the cohort table."""
    owner: dict[str, str | None] = {}
    problems = []
    for table in tables:
        ids = table.frame.get("patient_id", pd.Series(dtype="str"))
        twice = [i for i in ids.dropna() if i in owner]
        if twice:
            problems.append(
                Problem(
                    f"{len(twice)} patient ids are also in sheet {owner[twice[0]]}",
                    "Ids must be unique over all cohorts: set `patient_id: {prefix_with_cohort: true}`",
                    file=file,
                    sheet=table.sheet,
                    column="patient_id",
                    rows=tuple(int(r) for r in table.rows[ids.isin(twice).to_numpy()]),
                    value=twice[0],
                )
            )
        owner |= {i: table.sheet for i in ids.dropna()}
    return problems


def _source(raw: Sequence[RawTable]) -> pd.DataFrame:
    """The columns of all tables as they stand in the file; a column that a sheet lacks is empty there."""
    return pd.concat([t.frame for t in raw], ignore_index=True)


# -- new patients -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RefusedRow(Problem):
    """A row that is not scored: a `Problem` of one row, with the patient's id where it could be read."""

    patient_id: str | None = None


class NewPatients(NamedTuple):
    """What `read_patients` returns.

    Attributes
    ----------
    table : cohort table of the rows that can be used, in the file's order.
    refused : one entry for each thing wrong in a row (`refused_frame` tabulates them).
    rows : row numbers of the table's rows, as a spreadsheet shows them.
    unread : what is said of columns that were passed over and of expression, a sentence each.
    """

    table: pd.DataFrame
    refused: list[RefusedRow]
    rows: list[int]
    unread: list[str]


def read_patients(
    file: Path,
    mapping: Mapping[str, Any],
    *,
    cohort_id: str | None = None,
    strict: bool = False,
    sheet: str | None = None,
    expression: Path | None = None,
) -> NewPatients:
    """Read keys and features of one file of new patients, to be scored; other columns are not looked at.

    Parameters
    ----------
    file : CSV, TSV, Parquet or XLSX.
    mapping : from `load_mapping`. For a workbook, the mapping's entry of that sheet applies; ids are taken as
        they are (no prefix), so that scores can be joined back.
    cohort_id : id for all rows; None for the mapped column, or the file's name.
    strict : raise where any row has a problem, in place of refusing that row.
    sheet : title of the sheet; needed where a workbook has several.
    expression : matrix of these patients' expression, read as the mapping's `expression` says.

    Raises
    ------
    ConfigError
        Where a matrix is given and the mapping does not say how to read one.
    DataError
        Where the file as a whole cannot be used (missing, empty, a mapped column absent that is not
        `optional`), or, if `strict`, where any row has a problem.
    """
    parsed = parse_mapping(mapping)
    raw, problems = read_tables(file, [sheet] if sheet is not None else None, **asdict(parsed.layout))
    if problems:
        raise DataError(problems)
    table = raw[0]
    plan = _inputs_only(parsed.sheets.get(table.sheet or "") or with_identity(parsed.base, parsed, table))
    result = standardise(table, plan, "analysis", file.name, cohort_id or file.stem, scoring=True)
    fatal = result.problems if strict else result.fatal
    if fatal:
        raise DataError(fatal)
    frame = result.frame
    if cohort_id is not None:
        frame = frame.assign(cohort_id=pd.Series(cohort_id, index=frame.index, dtype="str"))
    frame, told = _with_expression(frame, table, mapping.get("expression"), expression)
    refused = [
        RefusedRow(
            f.message,
            f.mend,
            file.name,
            table.sheet,
            source,
            (int(table.rows[position]),),
            shown,
            None if pd.isna(frame["patient_id"].iloc[position]) else str(frame["patient_id"].iloc[position]),
        )
        for source, f in result.findings
        for position, shown in zip(f.positions, f.shown, strict=True)
    ]
    refused.sort(key=lambda r: r.rows)
    bad = np.isin(table.rows, [r.rows[0] for r in refused])
    rows = [int(r) for r in table.rows[~bad]]
    told = _unread(parsed, table, f" of {file.name}") + told
    return NewPatients(to_cohort_table(frame[~bad]), refused, rows, told)


def _with_expression(
    frame: pd.DataFrame, table: RawTable, block: Any, matrix: Path | None
) -> tuple[pd.DataFrame, list[str]]:
    """New patients with their expression scores, and what is to be said of them, a sentence each."""
    if block is None and matrix is not None:
        raise ConfigError("The mapping has no `expression:` block that says how a matrix is read. Add one to it.")
    if block is None:
        return frame, []
    settings = parse_expression(block)
    if matrix is None:
        return frame, ["no matrix of expression was given: scores that the mapping computes from one are missing"]
    frame, checks, _ = add_scores(frame, table.frame, settings, matrix)
    return frame, [c["message"] for c in checks if c["severity"] != "info" or c["code"] == "IC-EXPR-006"]


def _unread(mapping: ColumnMapping, table: RawTable, where: str = "") -> list[str]:
    """What to say of the headers that a mapping by the vocabulary's names passes over, a sentence each."""
    if not mapping.vocabulary_names:
        return []  # a mapping that names its columns passes over the others on purpose
    used = {h for spec in mapping.base.columns.values() for h in spec.headers} | set(table_columns(table))
    strange = [h for h in map(str, table.frame.columns) if h not in used and not h.startswith(UNNAMED)]
    if len(strange) > _MOST_UNREAD:
        shown = ", ".join(map(repr, strange[:10]))
        return [f"{len(strange)} columns{where} are not in the vocabulary and were not read: {shown}, ..."]
    said = "column {!r}{} is not in the vocabulary and was not read. {}"
    return [said.format(header, where, did_you_mean(header, VOCABULARY)).strip() for header in strange]


def _inputs_only(sheet: Sheet) -> Sheet:
    """Keys and features: a score never looks at outcomes, so nothing in them can refuse a row."""

    def wanted(name: str) -> bool:
        return VOCABULARY[name.removesuffix(MEASURED_SUFFIX)].role in ("key", "feature")

    return replace(
        sheet,
        columns={n: spec for n, spec in sheet.columns.items() if wanted(n)},
        corrections=tuple(c for c in sheet.corrections if wanted(c.column)),
    )


def refused_frame(refused: Sequence[RefusedRow]) -> pd.DataFrame:
    """Refused rows as a table: row, patient_id, column, value, reason; one line for each thing wrong."""
    return pd.DataFrame(
        {
            "row": pd.Series([r.rows[0] for r in refused], dtype="int64"),
            "patient_id": pd.Series([r.patient_id for r in refused], dtype="str"),
            "column": pd.Series([r.column for r in refused], dtype="str"),
            "value": pd.Series([r.value for r in refused], dtype="str"),
            "reason": pd.Series([f"{r.message}. {r.mend}".strip() for r in refused], dtype="str"),
        }
    )
