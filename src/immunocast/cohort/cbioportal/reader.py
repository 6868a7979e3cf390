"""Cohorts from cBioPortal study folders.

What is special about a study stands in its YAML (`conf/cohort/`); what holds for all of them, in `conventions`.
The clinical files go through the mapping language of tabular cohorts; `docs/cbioportal.md` lists the checks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.cbioportal.clinical import PATIENT, SAMPLE, Joined, clinical_tables, join
from immunocast.cohort.cbioportal.compare import compare_tmb
from immunocast.cohort.cbioportal.conventions import (
    MISSING_CODES,
    TUMOR_TYPE_COLUMN,
    mapping_by_convention,
    tumor_types,
)
from immunocast.cohort.cbioportal.findings import Findings, tell_samples, tell_study
from immunocast.cohort.cbioportal.meta import DataFile, Study, read_study
from immunocast.cohort.cbioportal.rule import parse_rule
from immunocast.cohort.cbioportal.samples import choose
from immunocast.cohort.cbioportal.sequencing import Sequencing, is_usable, read_sequencing
from immunocast.cohort.expression import add_scores, parse_expression
from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.mapping import parse_mapping
from immunocast.cohort.mapping_types import Sheet
from immunocast.cohort.raw_table import RawTable, make_raw_table
from immunocast.cohort.registry import locate
from immunocast.cohort.rows import filter_rows
from immunocast.cohort.standardise import SheetTable, standardise
from immunocast.cohort.table import CohortTables, Provenance, to_cohort_table
from immunocast.errors import ConfigError, DataError, Problem

#: Samples of the primary tumour stand for a patient before others.
_PREFER = ({"column": "SAMPLE_TYPE", "values": ["Primary"]},)


class StudyFolder:
    """A cohort in the native layout of cBioPortal: meta files, clinical files, case lists, MAF, gene panels.

    Parameters
    ----------
    folder : path of the study, absolute or relative to `data_dir`.
    name : name of the cohort and its cohort id; None for the study's id.
    data_dir : folder of the data.
    citation, licence : of the source; None for the citation of meta_study.txt.
    columns : vocabulary name -> where it comes from, in the mapping language of tabular cohorts; headers are
        attribute ids. They win over the conventions; null takes a column out.
    conventions : map the attributes whose meaning the portal fixes (OS_MONTHS, SEX, TMB_NONSYNONYMOUS ...) where
        `columns` says nothing of them. A conventional column with cells that cannot be read is not read, and told.
    missing_codes : further codes for missing values, beside those of the portal.
    rows : patients that are not read, and why.
    tumor_types : names of CANCER_TYPE -> tumour type, beside the table of `tumor_types.yaml`.
    prefer_samples : which of several samples of a patient is taken, see `samples.choose`.
    mutations : how the MAF becomes TMB, see `rule.TmbRule`.
    expression : {file, unit, log, ...}: a matrix of the study, of which scores are computed; `docs/expression.md`
        lists the keys. `file` is relative to the study's folder, `sample_id` is SAMPLE_ID by itself.
    notes : caveats of the study.
    waive : check code, "code:column" or "code:cohort" -> why the finding is no reason to stop.

    Raises
    ------
    ConfigError
        Where the configuration is wrong; names everything that is.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        name: str | None = None,
        data_dir: str | Path = ".",
        citation: str | None = None,
        licence: str = "",
        columns: Mapping[str, Any] | None = None,
        conventions: bool = True,
        missing_codes: Sequence[Any] = (),
        rows: Any = None,
        tumor_types: Mapping[str, str] | None = None,
        prefer_samples: Sequence[Mapping[str, Any]] = _PREFER,
        mutations: Mapping[str, Any] | None = None,
        expression: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        waive: Mapping[str, str] | None = None,
        **unknown: Any,
    ):
        for key in unknown:
            known = [k for k in StudyFolder.__init__.__annotations__ if k not in ("return", "unknown")]
            raise ConfigError(f"Unknown setting {key!r} of a study folder. {did_you_mean(key, known)}".strip())
        self.folder, self.name, self.data_dir = folder, name, data_dir
        self.citation, self.licence = citation, licence
        self.columns, self.conventions = columns, conventions
        self.missing_codes, self.rows = missing_codes, rows
        self.tumor_types, self.prefer_samples = tumor_types, prefer_samples
        self.mutations, self.expression = mutations, expression
        self.notes, self.waive = notes, waive
        self._rule = parse_rule(mutations)
        self._expression = None
        if expression is not None:
            with_id = {"sample_id": SAMPLE, **expression} if isinstance(expression, Mapping) else expression
            self._expression = parse_expression(with_id)
        self._sheet({})  # mistakes in `columns` are told before any file is read

    @property
    def path(self) -> Path:
        """The study's folder.

        Raises
        ------
        ConfigError
            Where none is set.
        """
        if not self.folder:
            raise ConfigError("No study folder is set. Name it with cohort.folder=/path/to/study.")
        return locate(self.data_dir, self.folder)

    def load(self) -> CohortTables:
        """Read the study.

        Returns
        -------
        The cohort table, one row a patient; provenance; checks; and in `unmapped` the attributes that are not
        mapped, `SAMPLE_ID` of the sample that was taken among them.

        Raises
        ------
        DataError
            With every problem of the clinical files; for a MAF, panel file or case list that cannot be read.
        """
        study = read_study(self.path)
        found = Findings(self.name or study.study_id)
        patients, samples = clinical_tables(study)
        sequencing = read_sequencing(study, samples, self._rule, found)
        chosen = choose(samples, sequencing.sequenced, self.prefer_samples)
        joined = join(patients, samples, chosen.taken)
        paths = [t.path for t in (patients, samples) if t is not None] + list(sequencing.read)
        tell_samples(joined, chosen, sequencing.sequenced is not None, found)
        raw, table, headers = self._mapped(study, joined, sequencing, found)
        frame, note = self._with_expression(table.frame, raw, study, found)
        tell_study(study, found)
        about = study.about
        by_meta = ", ".join(filter(None, (about.get("name"), about.get("citation"), about.get("pmid"))))
        return CohortTables(
            to_cohort_table(frame),
            Provenance(
                found.cohort_id,
                False,
                self.citation or by_meta or f"study folder {study.folder.name}",
                _digest(paths, sequencing.digests),
                "analysis",
                self.licence,
                (*self.notes, *table.notes, *note),
            ),
            checks=found.checks,
            waive={str(c): dict(self.waive) for c in table.frame["cohort_id"].unique()} if self.waive else {},
            unmapped=_unmapped(raw, table, found),
            sources={str(c): headers for c in table.frame["cohort_id"].unique()},
        )

    def _sheet(self, conventional: Mapping[str, Any]) -> Sheet:
        """The checked mapping of the study's own columns and of conventional ones."""
        own = self.columns
        if own is not None and not isinstance(own, Mapping):
            raise ConfigError(f"cohort.columns must be a mapping of keys, not {own!r}.")
        content = {
            "columns": {"patient_id": PATIENT, **conventional, **(own or {})},
            "missing_codes": [*MISSING_CODES, *self.missing_codes],
            "rows": self.rows,
        }
        return parse_mapping(content).base

    def _mapped(
        self, study: Study, joined: Joined, sequencing: Sequencing, found: Findings
    ) -> tuple[RawTable, SheetTable, dict[str, str]]:
        """The joined attributes in the vocabulary, and the attribute that each column is from."""
        own, frame = self.columns or {}, joined.frame.copy()
        conventional = mapping_by_convention({str(c) for c in frame}) if self.conventions else {}
        if self.conventions and "tumor_type" not in own:
            frame[TUMOR_TYPE_COLUMN] = self._tumor_type(study, frame, found)
            conventional["tumor_type"] = {"source": TUMOR_TYPE_COLUMN}
        conventional = {name: entry for name, entry in conventional.items() if name not in own}
        sheet = self._sheet(conventional)
        files = " and ".join(joined.lines)
        raw = make_raw_table([frame[c] for c in frame], list(map(str, frame)), range(1, len(frame) + 1))
        raw, problems, checks = filter_rows(raw, sheet.rows, files, found.cohort_id)
        if problems:
            raise DataError(problems)
        found.checks += checks
        raw, sheet = self._with_mutations(raw, sheet, sequencing, found)
        table = standardise(raw, sheet, "analysis", files, found.cohort_id)
        table = self._without_unreadable(table, raw, sheet, set(conventional), joined, found)
        problems = table.fatal + _cell_problems(table, raw, joined, sequencing.file)
        if problems:
            raise DataError(problems)
        found.checks += table.checks
        return raw, table, {n: s.source for n, s in sheet.columns.items() if s.source and n in table.frame}

    def _tumor_type(self, study: Study, frame: pd.DataFrame, found: Findings) -> pd.Series:
        types = tumor_types(frame, study.about.get("type_of_cancer", ""), self.tumor_types or {})
        if types.unknown:
            listed = ", ".join(f"{name!r} ({n})" for name, n in list(types.unknown.items())[:8])
            message = (
                f"{types.source}: {sum(types.unknown.values())} patients have no tumour type, because the table does "
                f"not know {listed}. Say what they are in `tumor_types: {{{next(iter(types.unknown))}: ...}}`"
            )
            found.tell("IC-STUDY-005", "warning", message, column="tumor_type", n=sum(types.unknown.values()))
        if types.by_rule:
            listed = ", ".join(f"{name} ({n})" for name, n in types.by_rule.items())
            message = f"{types.source}: taken as Other, because the vocabulary has no type for them: {listed}"
            found.tell("IC-STUDY-007", "info", message, column="tumor_type", n=sum(types.by_rule.values()))
        return types.values

    def _with_mutations(
        self, raw: RawTable, sheet: Sheet, sequencing: Sequencing, found: Findings
    ) -> tuple[RawTable, Sheet]:
        """Add the MAF's columns where they are wanted; a column comes from one source for all patients."""
        maf = sequencing.of(raw.frame[SAMPLE])
        names = [n for n in maf.columns if maf[n].notna().any() and (self.columns or {}).get(n, n) is not None]
        clinical = {n: sheet.columns[n] for n in (*names, "patient_id") if n in sheet.columns}
        values = standardise(raw, replace(sheet, columns=clinical), "analysis", "", found.cohort_id).frame
        there = {n for n in names if n in values and values[n].notna().any()}
        used = [n for n in names if n not in there or self._rule.prefer == "maf"]
        if "tmb_mut_mb" in names and "tmb_mut_mb" in there:
            clinical_tmb, maf_tmb = (f["tmb_mut_mb"].to_numpy("float64", na_value=np.nan) for f in (values, maf))
            source = "maf" if "tmb_mut_mb" in used else "clinical"
            compared = compare_tmb(clinical_tmb, maf_tmb, source, found.cohort_id)
            found.checks += [compared] if compared else []
        columns = {n: raw.frame[n] for n in raw.frame} | {
            _of_maf(n): pd.Series([None if pd.isna(v) else v for v in maf[n]], dtype=object) for n in used
        }
        entries = {"patient_id": PATIENT, **{n: {"source": _of_maf(n)} for n in used}}
        specs = parse_mapping({"columns": entries}).base.columns
        raw = replace(raw, frame=pd.DataFrame(columns))
        return raw, replace(sheet, columns={**sheet.columns, **{n: specs[n] for n in used}})

    def _without_unreadable(
        self,
        table: SheetTable,
        raw: RawTable,
        sheet: Sheet,
        conventional: set[str],
        joined: Joined,
        found: Findings,
    ) -> SheetTable:
        """Leave out the columns that only a convention maps and whose cells cannot be read; tell each cell."""
        wrong = {source for source, _ in table.findings}
        out = {n for n in conventional & set(sheet.columns) if wrong & set(sheet.columns[n].headers)}
        if not out:
            return table
        headers = {h for n in out for h in sheet.columns[n].headers}
        told = replace(table, findings=[(s, f) for s, f in table.findings if s in headers])
        for problem in _cell_problems(told, raw, joined, ""):
            message = f"the column is not read: {problem}. Map it in `columns`, and its cells count"
            found.tell("IC-STUDY-006", "warning", message, column=problem.column, n=len(problem.rows))
        rest = replace(sheet, columns={n: spec for n, spec in sheet.columns.items() if n not in out})
        return standardise(raw, rest, "analysis", table.file, found.cohort_id)

    def _with_expression(
        self, frame: pd.DataFrame, raw: RawTable, study: Study, found: Findings
    ) -> tuple[pd.DataFrame, list[str]]:
        """Scores of the study's expression matrix; a matrix that a meta file names and that is not there is told."""
        if self._expression is None:
            return frame, []
        file = DataFile(study.folder / self._expression.file, None)
        named = any(m.data_path == file.path for m in study.metas)
        if named and not file.is_there:
            message = f"{file.path.name} is not in the folder: expression scores are missing"
            found.tell("IC-STUDY-002", "warning", message, n=len(frame))
            return frame, []
        if file.is_there and not is_usable(file, "expression scores are missing", found):
            return frame, []
        frame, checks, note = add_scores(frame, raw.frame, self._expression, file.path)
        found.checks += checks
        return frame, [note]


def _of_maf(name: str) -> str:
    return f"({name} by the MAF)"


def _cell_problems(table: SheetTable, raw: RawTable, joined: Joined, maf: str) -> list[Problem]:
    """Problems of cells, each with the file that the column is from and the line numbers there."""
    problems = []
    for source, cells in table.findings:
        header = next((h for h in source.split(" + ") if h in joined.owner), "")
        if header:
            file = joined.owner[header].path.name
            rows = joined.lines[file][raw.rows - 1]
            problems += replace(table, fatal=[], rows=rows, file=file, findings=[(source, cells)]).problems
        else:
            found = replace(table, fatal=[], file=maf or table.file, findings=[(source, cells)]).problems
            problems += [replace(p, rows=()) for p in found]
    return problems


def _unmapped(raw: RawTable, table: SheetTable, found: Findings) -> pd.DataFrame:
    """The attributes that no column of the vocabulary comes from."""
    used = table.sources | ({"CANCER_TYPE"} if TUMOR_TYPE_COLUMN in table.sources else set())
    names = [c for c in raw.frame if c not in used and not str(c).startswith("(")]
    listed = [str(c) for c in names if c != SAMPLE]
    if listed:
        message = f"{len(listed)} attributes of the study are not mapped: {', '.join(listed)}"
        found.tell("IC-STUDY-008", "info", message, n=len(listed))
    return raw.frame[names].reset_index(drop=True)


def _digest(paths: Sequence[Path], known: Mapping[str, str]) -> str:
    """One SHA-256 for the names and contents of all files that were read."""
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths} | dict(known)
    return hashlib.sha256("".join(f"{n} {d}\n" for n, d in sorted(digests.items())).encode()).hexdigest()
