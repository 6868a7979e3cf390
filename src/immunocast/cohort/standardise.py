"""One raw table to one standard frame: find the mapped columns, read their values, apply the corrections.

Collects everything that is wrong; raises nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort import derive
from immunocast.cohort.cell_problems import outside
from immunocast.cohort.checks import finding as check
from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.mapping_columns import column_of
from immunocast.cohort.mapping_types import ColumnSpec, Correction, Sheet
from immunocast.cohort.raw_table import RawTable
from immunocast.cohort.readings import tell_derived, tell_readings
from immunocast.cohort.table import DTYPES
from immunocast.cohort.values import Finding, Reading, cell_text, parse_column
from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, Column
from immunocast.errors import Problem

#: Ids of rows at the end that sum up the rows above, without case.
_SUMMARIES = ("total", "totals", "grand total", "sum", "mean", "median", "average", "mean (sd)", "std dev")
_OWN_IDS = ("patient_id", "person_id", "site_id")


@dataclass
class SheetTable:
    """A sheet in the vocabulary, with all that was found on the way.

    Attributes
    ----------
    frame : the columns that could be read, one row for each of `rows`.
    rows : row numbers as a spreadsheet shows them.
    sheet, file : title (None for other files) and name of the file.
    fatal : problems of the table as a whole (missing or duplicated columns).
    findings : problems of single rows, each with the source's header.
    checks : rows for the checks table.
    notes : sentences for the provenance.
    sources : headers that the mapping names.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    sheet: str | None
    file: str
    sources: frozenset[str] = frozenset()
    fatal: list[Problem] = field(default_factory=list)
    findings: list[tuple[str, Finding]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[Problem]:
        """Problems of the table and of its rows; rows with the same trouble in a column are one problem."""
        return self.fatal + [self._problem(source, f) for source, f in self.findings]

    def _problem(self, source: str, found: Finding) -> Problem:
        counts = Counter(found.shown)
        others = [repr(v) for v in counts][1:6]
        more = f"; also {', '.join(others)}" if others else ""
        more += f" and {len(counts) - 6} more" if len(counts) > 6 else ""
        rows = tuple(int(r) for r in self.rows[found.positions])
        return Problem(found.message + more, found.mend, self.file, self.sheet, source, rows, found.shown[0] or None)


def standardise(
    raw: RawTable, sheet: Sheet, view: str, file: str, cohort_id: str, *, scoring: bool = False
) -> SheetTable:
    """Bring a raw table into the vocabulary.

    Parameters
    ----------
    raw : the table as read.
    sheet : its mapping.
    view : "analysis" or "as_published".
    file : name of the file, for messages.
    cohort_id : id where no column gives one.
    scoring : outcomes, design columns and all keys but the patient's may be absent; ids get no prefix.

    Returns
    -------
    The frame (dtypes of the vocabulary), problems, checks and notes. Rows with findings are still in it.
    """
    return _Standardiser(raw, sheet, view, file, cohort_id, scoring).run()


class _Standardiser:
    def __init__(self, raw: RawTable, sheet: Sheet, view: str, file: str, cohort_id: str, scoring: bool):
        self.raw, self.sheet, self.view = raw, sheet, view
        self.cohort_id, self.scoring = cohort_id, scoring
        sources = frozenset(h for s in sheet.columns.values() for h in s.headers)
        self.out = SheetTable(pd.DataFrame(), raw.rows, raw.sheet, file, sources)
        self.columns: dict[str, pd.Series] = {}
        self.corrected: dict[str, int] = {}
        self.header_is_lost = False
        self.readings: list[Reading] = []  # of the column that is being read

    def run(self) -> SheetTable:
        corrections = {c.column: c for c in self.sheet.corrections}
        self._check_header()
        for name, spec in self.sheet.columns.items():
            if self._is_there(spec):
                self._take(spec, corrections.get(name))
        if not self.out.fatal and not any(_says_something(s) for s in map(column_of, self.columns)):
            headers = [str(c) for c in self.raw.frame.columns]
            hints = (did_you_mean(h, VOCABULARY) for h in headers if h not in VOCABULARY)
            hint = next((h for h in hints if h), "")
            mend = f"Columns there: {', '.join(headers[:12])}. {hint}".strip()
            self._fatal("no column but ids could be recognised", mend, None)
        self._keys()
        self.out.frame = pd.DataFrame(self.columns)
        self._check_ids()
        self.out.checks += [self._stale(c) for c in corrections.values() if self.corrected.get(c.column) == 0]
        self.out.notes += [f"{self.cohort_id}: {note}" for note in self.sheet.notes]
        self.out.notes += [self._correction_note(c) for c in corrections.values()]
        return self.out

    # -- header ---------------------------------------------------------------------------------------------

    def _fatal(self, message: str, mend: str, column: str | None, rows: tuple[int, ...] = ()) -> None:
        self.out.fatal.append(Problem(message, mend, self.out.file, self.out.sheet, column, rows))

    def _wanted(self) -> set[str]:
        return {h for n, s in self.sheet.columns.items() if n not in self.sheet.absent for h in s.headers}

    def _check_header(self) -> None:
        """Duplicated headers; and, if none of the wanted columns is in the first row, where the header is."""
        wanted = self._wanted()
        for name in sorted(wanted & self.raw.duplicated):
            self._fatal("this header is there more than once", "Rename or remove all but one", name)
        if wanted & set(self.raw.frame.columns):
            return
        for position in range(min(8, len(self.raw.frame))):
            cells = {cell_text(c) for c in self.raw.frame.iloc[position]}
            if len(wanted & cells) > len(wanted) / 2:
                row = int(self.raw.rows[position])
                self._fatal("the header seems to be in this row", "Delete the rows above it", None, (row,))
                self.header_is_lost = True
                return

    def _is_there(self, spec: ColumnSpec) -> bool:
        name, wanted = spec.name, spec.headers
        if not wanted:
            return True
        if self.header_is_lost:
            return False  # said once for all columns
        there = set(map(str, self.raw.frame.columns))
        if name in self.sheet.absent and not self.scoring:
            if there.issuperset(wanted):
                self._fatal(
                    f"the mapping says that {name} is absent, but the column is there",
                    f"Remove {name} from `absent`",
                    wanted[0],
                )
            return False
        needed = [str(p.source) for p in spec.parts() if p is spec or not p.optional]
        lacking = [h for h in dict.fromkeys(needed) if h not in there]
        if not needed and not there & set(wanted):
            lacking = wanted  # alternatives that may all be absent, and are
        if not lacking:
            return not self.raw.duplicated & set(wanted)
        if spec.optional or (self.scoring and self._is_optional_in_scoring(spec)):
            message = f"{name} is not in this file (no column {', '.join(map(repr, lacking))})"
            self.out.checks.append(
                check("IC-FILE-003", "info", message, cohort_id=self.cohort_id, column=name, n=len(self.raw.rows))
            )
            return False
        for source in lacking:
            headers = [str(c) for c in self.raw.frame.columns]
            hint = did_you_mean(source, headers) or f"Columns there: {', '.join(headers[:12])}"
            hint += "" if hint.endswith("?") else " ..." if len(headers) > 12 else "."
            way_out = "" if name == "patient_id" else f" If {name} was not collected, mark it `optional: true`"
            self._fatal(f"there is no such column (wanted for {name})", hint + way_out, source)
        return False

    def _is_optional_in_scoring(self, spec: ColumnSpec) -> bool:
        return spec.recipe.column.role != "feature" and spec.name != "patient_id"

    # -- values ---------------------------------------------------------------------------------------------

    def _take(self, spec: ColumnSpec, correction: Correction | None) -> None:
        """Read one column into `self.columns`, corrected as the view asks."""
        name, analysis = spec.name, self.view == "analysis"
        if correction is not None and correction.factor is not None:
            if not analysis:
                return  # the vocabulary's name would carry another unit
            spec = replace(spec, recipe=replace(spec.recipe, factor=correction.factor))
        self.readings = []
        values = self._read(spec)
        self.out.checks += tell_readings(self.readings, name, self.cohort_id)
        if correction is None:
            mask = None
        elif isinstance(correction.imputed, tuple):
            numbers = values.astype("Float64").to_numpy("float64", na_value=np.nan)
            mask = pd.Series(np.isclose(numbers[:, None], correction.imputed).any(axis=1))
        else:
            mask = values.notna()
        if correction is not None and mask is not None and analysis:
            self.corrected[name] = int(mask.sum())
            if correction.drop:
                return
            if correction.imputed:
                values = values.mask(mask)
        elif correction is not None and mask is not None and correction.imputed:
            flag = pd.Series(pd.array(np.where(mask, 0, 1), dtype="Int64")).mask(values.isna())
            self.columns[f"{name}{MEASURED_SUFFIX}"] = flag
        self.columns[name] = values

    def _read(self, spec: ColumnSpec) -> pd.Series:
        """Values of a column, of an alternative or of an input; what is wrong with them goes into the findings."""
        if spec.derivation is not None:
            return self._derive(spec)
        if spec.alternatives:
            there = [a for a in spec.alternatives if set(a.headers) <= set(self.raw.frame.columns)]
            values = self._read(there[0])
            for alternative in there[1:]:
                values = values.where(values.notna(), self._read(alternative))
            return values
        if spec.source is None:
            return _constant(spec.constant, len(self.raw.rows), DTYPES[spec.recipe.column.kind])
        values, findings, readings = parse_column(self.raw.frame[spec.source], spec.recipe, by_value=self.scoring)
        self.readings += readings
        cells = self.raw.uncomputed.get(spec.source)
        if cells:
            findings.append(
                Finding(
                    "a formula without a stored result",
                    "Open the file in a spreadsheet, let it compute, and save it; or paste the values",
                    self.raw.positions(list(cells)),
                    tuple(f"cell {c}" for c in cells.values()),
                )
            )
        self.out.findings += [(spec.source, f) for f in findings]
        return values

    def _derive(self, spec: ColumnSpec) -> pd.Series:
        how, column = spec.derivation, spec.recipe.column
        assert how is not None  # callers look first
        inputs = [(part.name, self._read(part)) for part in how.inputs]
        result = derive.compute(how.rule, inputs, how.settings, column)
        if column.kind == "category":
            values = pd.Series(result.values, dtype="str")
        else:
            numbers = np.asarray(result.values, dtype="float64")
            wrong = outside(numbers, column)
            if wrong.any():
                positions = np.flatnonzero(wrong)
                shown = tuple(f"{numbers[p]:.4g}" for p in positions)
                message, mend = derive.explain_range(how.rule, column, numbers[wrong])
                self.out.findings.append((spec.origin, Finding(message, mend, positions, shown)))
            dtype: Any = DTYPES[column.kind]
            values = pd.Series(np.where(wrong, np.nan, numbers)).astype(dtype)
        named = [(part.name, part.origin, v) for part, (_, v) in zip(how.inputs, inputs, strict=True)]
        self.out.checks.append(tell_derived(spec.name, how.rule, named, values, result.undefined, self.cohort_id))
        return values

    # -- keys -----------------------------------------------------------------------------------------------

    def _keys(self) -> None:
        """Complete cohort and person ids, and put the cohort before ids where the mapping asks for it."""
        columns, n = self.columns, len(self.raw.rows)
        cohort = columns.get("cohort_id", _constant(self.cohort_id, n, "str")).fillna(self.cohort_id)
        columns["cohort_id"] = cohort
        for name in _OWN_IDS:
            if name in columns and self.sheet.columns[name].prefix_with_cohort and not self.scoring:
                columns[name] = (cohort + "-" + columns[name]).astype("str")
        if "person_id" in columns and "patient_id" in columns:
            columns["person_id"] = columns["person_id"].fillna(columns["patient_id"])

    def _check_ids(self) -> None:
        if "patient_id" not in self.columns:
            return
        ids = self.columns["patient_id"]
        source = self.sheet.columns["patient_id"].origin
        told = {int(p) for s, f in self.out.findings if s == source for p in f.positions}
        empty = np.array([p for p in np.flatnonzero(ids.isna()) if p not in told], dtype="int64")
        if len(empty):
            found = Finding("there is no patient id", "Give every row its own id", empty, ("",) * len(empty))
            self.out.findings.append((source, found))
        # a sum or mean under the table is nobody, and would be counted as one
        given = self.raw.frame.get(source, ids)
        words = given.map(cell_text)
        is_sum = words.str.casefold().str.rstrip(":").isin(_SUMMARIES).to_numpy()
        totals = np.flatnonzero(np.logical_and.accumulate(is_sum[::-1])[::-1])  # the last rows, without a gap
        if len(totals):
            drop = f"`rows: {{drop: {{{source}: [{words.iloc[totals[0]]}]}}, because: ...}}`"
            mend = f"Delete the row, or leave it out by {drop}"
            shown = tuple(words.iloc[totals])
            self.out.findings.append((source, Finding("a total or a mean in place of a patient", mend, totals, shown)))
        twice = np.flatnonzero(ids.notna() & ids.duplicated(keep=False))
        if len(twice):
            mend = "Keep one row a patient, by hand or by `rows: {keep: {COLUMN: [...]}, because: ...}`"
            if "cohort_id" in self.sheet.columns and not self.scoring:
                mend += "; ids that are unique within a cohort only need `prefix_with_cohort: true`"
            cells = self.raw.frame[source].iloc[twice] if source in self.raw.frame else ids.iloc[twice]
            shown = tuple(cell_text(c) for c in cells)
            found = Finding("the same patient id more than once", mend, twice, shown)
            self.out.findings.append((source, found))

    # -- what was corrected ---------------------------------------------------------------------------------

    def _stale(self, correction: Correction) -> dict[str, Any]:
        message = f"the correction of {correction.column} concerns no value of this file: {correction.because}"
        return check("IC-FILE-004", "warning", message, cohort_id=self.cohort_id, column=correction.column, n=0)

    def _correction_note(self, correction: Correction) -> str:
        if self.view == "analysis":
            done = f"{_action(correction)} ({self.corrected.get(correction.column, 0)} values)"
        elif correction.factor is not None:
            done = "left out of the as-published view (its unit is not what its name says)"
        else:
            done = "kept as published"
        return f"{self.cohort_id}, {correction.column}: {done}; {correction.because}"


def _action(correction: Correction) -> str:
    if correction.drop:
        return "not used"
    return "unit corrected" if correction.factor is not None else "imputed values set to missing"


def _says_something(column: Column | None) -> bool:
    return column is not None and column.role in ("feature", "outcome")


def _constant(value: Any, n: int, dtype: str) -> pd.Series:
    return pd.Series([value] * n, dtype=dtype)
