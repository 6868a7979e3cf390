"""The clinical data files: header rows, cells as they stand, and the join of patients with their samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from immunocast.cohort.cbioportal.files import Line, read_lines, unquote
from immunocast.cohort.cbioportal.meta import DataFile, Study
from immunocast.cohort.hints import did_you_mean
from immunocast.errors import DataError, Problem

PATIENT, SAMPLE = "PATIENT_ID", "SAMPLE_ID"


@dataclass(frozen=True)
class ClinicalTable:
    """One clinical data file.

    Attributes
    ----------
    path : the file.
    frame : text cells, one column an attribute id, one row a data line.
    lines : line numbers as an editor shows them, one for each row.
    """

    path: Path
    frame: pd.DataFrame
    lines: np.ndarray


def read_clinical(path: Path, key: str) -> ClinicalTable:
    """Read a clinical data file.

    Header rows are all lines at the top that start with `#` (display name, description, datatype, priority, and
    in some studies a fifth, the attribute's type); the first line after them holds the attribute ids. Cells are
    tab-separated; quotation marks around a cell are taken off.

    Parameters
    ----------
    path : the file.
    key : attribute id that it must have, `PATIENT_ID` or `SAMPLE_ID`.

    Raises
    ------
    DataError
        With everything that is wrong: no header, missing key, duplicated attributes, lines with another number of
        cells, empty keys, keys that are there twice.
    """
    lines = [line for line in read_lines(path) if line.text.strip()]
    rows = [line for line in lines if not line.text.startswith(("#", '"#'))]
    if not rows:
        mend = "The attribute ids stand in the first line without #; download the file again"
        raise DataError(Problem("there is no header and no row in this file", mend, file=str(path)))
    header, *body = rows
    names = [unquote(cell) for cell in header.text.split("\t")]
    problems = _header_problems(path, header, names, key)
    cells = [[unquote(cell) for cell in line.text.split("\t")] for line in body]
    if problems:
        raise DataError(problems)
    problems = _width_problems(path, len(names), body, cells)
    if not body:
        problems.append(Problem("there are attributes but no row in this file", "Download it again", file=str(path)))
    if problems:
        raise DataError(problems)
    columns = zip(*cells, strict=True)
    frame = pd.DataFrame({name: pd.Series(list(c), dtype="str") for name, c in zip(names, columns, strict=True)})
    table = ClinicalTable(path, frame, np.array([line.number for line in body], dtype="int64"))
    problems = [*_key_problems(table, key, unique=True)]
    if key == SAMPLE:
        problems += _key_problems(table, PATIENT, unique=False)
    if problems:
        raise DataError(problems)
    return table


def _header_problems(path: Path, header: Line, names: list[str], key: str) -> list[Problem]:
    problems = []
    upper = [name.upper() for name in names]
    for wanted in dict.fromkeys((key, PATIENT)):
        if wanted in names:
            continue
        if wanted in upper:
            mend = f"Attribute ids are upper case: write {wanted}"
        elif len(names) == 1:
            mend = "Columns are separated by tabs in this format"
        else:
            mend = did_you_mean(wanted, names) or f"Attributes there: {', '.join(names[:12])}"
        message = f"there is no attribute {wanted} in the header"
        problems.append(Problem(message, mend, file=str(path), rows=(header.number,)))
    for name in sorted({n for n in names if names.count(n) > 1}):
        mend = "Give every attribute its own id"
        message = "this attribute is there more than once" if name else "an attribute has no id"
        problems.append(Problem(message, mend, file=str(path), column=name or None, rows=(header.number,)))
    if "" in names and names.count("") == 1:
        mend = "Give the attribute an id, or remove the column (a tab at the line's end makes one)"
        problems.append(Problem("an attribute has no id", mend, file=str(path), rows=(header.number,)))
    return problems


def _width_problems(path: Path, width: int, body: list[Line], cells: list[list[str]]) -> list[Problem]:
    ragged = [(line, len(c)) for line, c in zip(body, cells, strict=True) if len(c) != width]
    if not ragged:
        return []
    first, n = ragged[0]
    mend = "Every line needs one cell for each attribute; empty cells keep their tabs"
    if len(ragged) == 1 and first is body[-1] and n < width:
        mend = "It is the last line: the file seems to be cut off; download it again"
    message = f"the header has {width} cells, line {first.number} has {n}"
    return [Problem(message, mend, file=str(path), rows=tuple(line.number for line, _ in ragged))]


def _key_problems(table: ClinicalTable, key: str, *, unique: bool) -> list[Problem]:
    ids = table.frame[key]

    def problem(message: str, mend: str, mask: pd.Series) -> Problem:
        rows = tuple(int(n) for n in table.lines[mask.to_numpy()])
        return Problem(message, mend, file=str(table.path), column=key, rows=rows, value=ids[mask].iloc[0] or None)

    problems = []
    empty = ids == ""
    if empty.any():
        problems.append(problem(f"{int(empty.sum())} rows have no {key}", "Give every row its id", empty))
    twice = ids.duplicated(keep=False) & ~empty
    if unique and twice.any():
        n = ids[twice].nunique()
        problems.append(problem(f"{n} ids are there more than once", f"Keep one row for each {key}", twice))
    return problems


def clinical_tables(study: Study) -> tuple[ClinicalTable | None, ClinicalTable]:
    """The patient file (a study may have none) and the sample file.

    Raises
    ------
    DataError
        With the problems of both.
    """
    tables: list[ClinicalTable | None] = []
    problems: list[Problem] = []
    for key, types, usual in (
        (PATIENT, ("PATIENT_ATTRIBUTES",), ("data_clinical_patient.txt", "data_clinical_patients.txt")),
        (
            SAMPLE,
            ("SAMPLE_ATTRIBUTES", "MIXED_ATTRIBUTES"),
            ("data_clinical_sample.txt", "data_clinical_samples.txt", "data_clinical.txt"),
        ),
    ):
        file = study.data_file(study.find("CLINICAL", *types), *usual)
        try:
            tables.append(_clinical_table(study, file, key))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    patients, samples = tables
    assert samples is not None  # told above
    return patients, samples


def _clinical_table(study: Study, file: DataFile | None, key: str) -> ClinicalTable | None:
    if file is None and key == PATIENT:
        return None
    if file is None:
        metas = [f"{m.path.name} ({' '.join(m.kind).strip() or 'no type'})" for m in study.metas[:6]]
        raise DataError(
            Problem(
                "the study has no clinical sample file: no meta file of genetic_alteration_type CLINICAL and datatype "
                "SAMPLE_ATTRIBUTES, and no data_clinical_sample.txt",
                f"Correct the meta file. Meta files there: {', '.join(metas) or 'none'}",
                file=str(study.folder),
            )
        )
    if not file.is_there and file.meta is not None:
        there = ", ".join(sorted(p.name for p in study.folder.glob("data_clinical*"))) or "no data_clinical file"
        mend = f"There is {there}. Correct data_filename, or download the file"
        message = f"{file.meta.path.name} names this clinical file, and it is not there"
        raise DataError(Problem(message, mend, file=str(file.path)))
    return read_clinical(file.path, key)


@dataclass(frozen=True)
class Joined:
    """Patients with the attributes of the sample that was taken.

    Attributes
    ----------
    frame : one row a patient: patient attributes, then sample attributes; cells as text, "" where a patient has
        no row in a file.
    owner : attribute -> the table that it comes from.
    lines : file name -> line number of each row (0 where the patient has no row in that file).
    no_sample, no_patient_row : ids of patients without samples, and of those that only the sample file has.
    """

    frame: pd.DataFrame
    owner: dict[str, ClinicalTable]
    lines: dict[str, np.ndarray]
    no_sample: list[str]
    no_patient_row: list[str]


def join(patients: ClinicalTable | None, samples: ClinicalTable, taken: pd.Index) -> Joined:
    """Put patients and their samples together.

    Parameters
    ----------
    patients : the patient file; None where the study has none.
    samples : the sample file.
    taken : positions in `samples.frame` of the sample that stands for each patient (`samples.choose`).

    Returns
    -------
    All patients of both files: the patient file's order, then those that only the sample file has, in its order.
    An attribute that both files have is the patient file's.
    """
    chosen = samples.frame.loc[taken]
    of_patient = dict(zip(chosen[PATIENT], taken, strict=True))
    first = list(patients.frame[PATIENT]) if patients is not None else []
    known = set(first)
    ids = [*first, *(p for p in chosen[PATIENT] if p not in known)]
    row_p = np.array([i if i < len(first) else -1 for i in range(len(ids))])
    row_s = np.array([of_patient.get(p, -1) for p in ids])
    columns: dict[str, pd.Series] = {PATIENT: pd.Series(ids, dtype="str")}
    owner = {PATIENT: patients if patients is not None else samples}
    lines = {}
    for table, rows in ((patients, row_p), (samples, row_s)):
        if table is None:
            continue
        there = rows >= 0
        lines[table.path.name] = np.where(there, table.lines[rows], 0)
        for name in table.frame:
            if name in columns:
                continue
            cells = table.frame[name].to_numpy(dtype=object)[rows]
            columns[str(name)] = pd.Series(np.where(there, cells, ""), dtype="str")
            owner[str(name)] = table
    return Joined(
        pd.DataFrame(columns),
        owner,
        lines,
        [p for p, r in zip(ids, row_s, strict=True) if r < 0],
        ids[len(first) :] if patients is not None else [],
    )
