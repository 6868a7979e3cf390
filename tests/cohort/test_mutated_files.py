"""Thousands of broken files: each loads, or ends in an error that a user can mend; and no row is lost uncounted.

A realistic table is mutated in cells, headers, rows, columns, delimiter, encoding and bytes, written as CSV, TSV,
XLSX or Parquet, mapped by `propose_mapping`, read by `TabularCohort` and prepared as the pipeline does it.
"""

import csv
import datetime
import io
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from immunocast.cohort.infer import propose_mapping, to_yaml
from immunocast.cohort.loading import prepare_cohort
from immunocast.cohort.mapping_files import load_mapping
from immunocast.cohort.tabular import TabularCohort
from immunocast.cohort.vocabulary import FEATURES
from immunocast.errors import ImmunocastError

HEADER = [
    *("Patient ID", "Cancer Type", "PDL1_TPS(%)", "TMB (mut/Mb)", "NLR", "ALB g/L", "LDH", "Age", "Sex", "ECOG"),
    *("Drug", "Prior therapy", "BOR", "PFS_months", "PFS.CNSR", "OS (days)", "OS_STATUS", "IL-6", "Cohort ID"),
]
TUMORS = ["Non-small cell lung cancer", "Melanoma", "Renal cell carcinoma"]
ROWS = [
    [
        f"P{i}",
        TUMORS[i % 3],
        (i * 17) % 101,
        round(1.3 + (i * 2.7) % 30, 1),
        round(1.5 + (i * 1.9) % 9, 2),
        30 + i % 15,
        180 + 31 * i,
        48 + (i * 5) % 35,
        "MF"[i % 2],
        i % 3,
        ["Nivolumab", "Pembrolizumab", "Ipilimumab + Nivolumab"][i % 3],
        ["yes", "no"][i % 2],
        ["CR", "PR", "SD", "POD", "Progressive disease"][i % 5],
        round(1.1 + (i * 3.3) % 20, 1),
        i % 2,
        90 + 61 * i,
        ["1:DECEASED", "0:LIVING"][i % 2],
        ["*5.88", "OOR <", "3.4", "12.1"][i % 4],
        "AB"[i % 2],
    ]
    for i in range(24)
]
NASTY = [
    *("", " ", "NA", ".", "?", "unknown", "None", "null", "TRUE", "-0", "1_000", "x" * 300, "nan", "inf", "-inf"),
    *("1e400", "1e308", "-1e308", "9" * 60, "1e-320", "٣", "½", "1,5", "1.234,5", "<5", ">90", "≤1", "*5.88", "OOR <"),
    *("5%", "89+", "2020-02-30", "2020-01-01", "4/7/15", "=1/0", "#REF!", "${oops}", "a: b", "- x", "{a", "a # b"),
    *("\u200b", "\u202eabc", "𝔘", "é\u0301", "\ufeff", "\u2028", "a\nb", '"', "'", ";", ",", "\t", "|"),
    *("POD/brain", "1:DECEASED", "1:LIVING", "NR", "PR", "IV", "IC2+", "male", "Yes", "999", "-999", "R", "MSI-H"),
    *(None, True, False, 0, 1, -1, 10**30, 1e308, 2.5, datetime.datetime(2020, 1, 1), datetime.date(1, 1, 1)),
]
HEADERS = [
    *(
        "",
        " ",
        "x",
        "patient_id",
        "Patient ID",
        "nlr",
        "NLR_measured",
        "nlr_measured",
        "OS",
        "PFS",
        "OS_Event",
        "censOS",
    ),
    *("Response", "Best response", "age_years", "TMB", "Date of death", "Drug start date", "Date of Last Contact"),
    *("a\nb", "𝔘", "${oops}", "#", ":", "- x", "'", '"', "\u200b", "1", "True", "PD-L1", "Stage (1:IV; 0:I-III)"),
    *("tmb_mut_mb", "dead", "M Stage", "MSI", "LDH ULN", "cycles", "prior_systemic_therapy", "irAE", "bor", "x" * 300),
]
_AT = st.integers(0, 30)
OPERATIONS = st.one_of(
    st.tuples(st.just("cell"), _AT, _AT, st.sampled_from(NASTY)),
    st.tuples(st.just("cell"), _AT, _AT, st.text(max_size=6) | st.floats() | st.integers(-(10**12), 10**12)),
    st.tuples(st.just("column"), _AT, _AT, st.sampled_from(NASTY)),
    st.tuples(st.just("scale"), _AT, _AT, st.sampled_from([-1, 0, 0.01, 7, 1000, 1e300])),
    st.tuples(st.just("header"), _AT, _AT, st.sampled_from(HEADERS) | st.text(max_size=5)),
    st.tuples(
        st.sampled_from(
            ["drop", "double column", "double row", "empty row", "empty column", "title", "swap", "cut", "short row"]
        ),
        _AT,
        _AT,
        st.just(None),
    ),
)
BYTES = st.none() | st.tuples(
    st.sampled_from(["truncate", "flip", "insert"]), st.integers(0, 10**6), st.binary(max_size=4)
)


def mutate(operations):
    """Header and rows, changed one operation after the other."""
    table = [[*HEADER], *([*row] for row in ROWS)]
    for what, a, b, value in operations:
        width = max(len(table[0]), 1)
        row, column = 1 + a % max(len(table) - 1, 1), b % width
        if what in ("cell", "swap") and row < len(table) and column < len(table[row]):
            other = table[a % len(table)]
            table[row][column] = other[a % len(other)] if what == "swap" and other else value
        elif what == "column":
            for cells in table[1:]:
                cells[column : column + 1] = [value]
        elif what == "scale":
            for cells in table[1:]:
                if column < len(cells) and type(cells[column]) in (int, float):
                    cells[column] = cells[column] * value
        elif what == "header" and table[0]:
            table[0][column] = value
        elif what == "drop":
            table = [cells[:column] + cells[column + 1 :] for cells in table]
        elif what == "double column":
            table = [cells + cells[column : column + 1] for cells in table]
        elif what == "double row" and row < len(table):
            table.append([*table[row]])
        elif what == "empty row":
            table.insert(row, [""] * width)
        elif what == "empty column":
            table = [[*cells[:column], "", *cells[column:]] for cells in table]
        elif what == "title":
            table.insert(0, ["Export of the clinic"] + [""] * (width - 1 if a % 2 else 0))
        elif what == "short row" and row < len(table):
            table[row] = table[row][:column]
        elif what == "cut":
            table = table[: 1 + a % 8]
    return table


def as_text(cell):
    return "" if cell is None else str(cell)


def write(table, folder, kind, delimiter, encoding, change):
    """Write the table; returns the path and the records with anything in them (None where bytes were changed)."""
    path = folder / f"mutated.{kind}"
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for cells in table:
            legal = [openpyxl.cell.cell.ILLEGAL_CHARACTERS_RE.sub("", c) if isinstance(c, str) else c for c in cells]
            book.active.append([c if not isinstance(c, float) or abs(c) < 1e308 else str(c) for c in legal])
        book.save(path)
        content = path.read_bytes()
    elif kind == "parquet":
        names = [as_text(c) for c in table[0]]
        width = len(names)
        arrays = []
        for i in range(width):
            cells = [row[i] if i < len(row) else None for row in table[1:]]
            try:
                arrays.append(pa.array(cells))
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, pa.ArrowNotImplementedError):
                arrays.append(
                    pa.array([None if c is None else str(c).encode("utf-8", "ignore").decode() for c in cells])
                )
        buffer = io.BytesIO()
        names = [n.encode("utf-8", "ignore").decode() for n in names]
        pq.write_table(pa.Table.from_arrays(arrays, names=names), buffer)
        content = buffer.getvalue()
    else:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([[as_text(c) for c in r] for r in table])
        content = text.getvalue().encode(encoding, "replace")
    if change is not None and content:
        how, at, extra = change
        at %= len(content)
        if how == "truncate":
            content = content[:at]
        elif how == "flip":
            content = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        else:
            content = content[:at] + extra + content[at:]
    path.write_bytes(content)
    return path


def records(path, mapping):
    """Records of a file that hold anything, with their numbers: counted without the reader."""
    if path.suffix == ".parquet":
        return None, pq.read_table(path).num_rows
    if path.suffix == ".xlsx":
        book = openpyxl.load_workbook(path, data_only=True)
        rows = [[as_text(c) for c in row] for row in book.active.iter_rows(values_only=True)]
    else:
        text = path.read_bytes().decode(mapping.get("encoding") or "utf-8-sig").removeprefix("\ufeff")
        delimiter = mapping.get("delimiter") or ("\t" if path.suffix == ".tsv" else ",")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    filled = [i for i, row in enumerate(rows, start=1) if any(c.strip() for c in row)]
    return filled, None


def features_there(table):
    return [f for f in FEATURES if f in table]


def read(path, drop):
    """Map, load and prepare; the proposal and the tables as far as they came, errors that a user can mend aside."""
    try:
        proposal = propose_mapping(path, mend=drop)
    except ImmunocastError:
        return None, None
    mapping = dict(proposal.mapping)
    text = to_yaml(proposal, "mutated")
    written = path.with_name("mapping.yaml")
    written.write_text(text, encoding="utf-8")
    try:
        assert load_mapping(written, path.parent)["columns"] == mapping["columns"]
    except ImmunocastError:
        assert "patient_id" not in mapping["columns"]  # nothing else of a proposal can be refused
    if drop and proposal.placed:
        header = proposal.placed[0].header
        mapping["rows"] = {"drop": {header: ["P3", "P4", "x"]}, "because": "a test"}
    try:
        tables = TabularCohort(file=path, **mapping).load()
        prepare_cohort(tables, endpoint="response", features=features_there(tables.cohort), linkage=None, waive=None)
    except ImmunocastError:
        return proposal, None
    return proposal, tables


def check(folder, operations, kind, delimiter, encoding, change, drop):
    path = write(mutate(operations), Path(folder), kind, delimiter, encoding, change)
    proposal, tables = read(path, drop)
    event("loads" if tables is not None else "error")
    if tables is None:
        return
    excluded = sum(c["n"] for c in tables.checks if c["code"] == "IC-FILE-005")
    filled, n = records(path, proposal.mapping)
    if filled is not None:
        header = proposal.mapping.get("header_row") or filled[0]
        n = sum(i >= header for i in filled) - 1
    assert len(tables.cohort) + excluded == n
    assert tables.unmapped is None or len(tables.unmapped) == len(tables.cohort)


FILES = {
    "operations": st.lists(OPERATIONS, max_size=5),
    "kind": st.sampled_from(["csv", "csv", "tsv", "xlsx", "parquet"]),
    "delimiter": st.sampled_from([",", ",", ";", "\t", "|"]),
    "encoding": st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16", "latin-1"]),
    "change": BYTES,
    "drop": st.booleans(),
}
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def plain(kind, *operations, **other):
    """Arguments of a file of this kind, comma-separated UTF-8, with a row filter."""
    file = {"delimiter": ",", "encoding": "utf-8", "change": None, "drop": True}
    return {"operations": operations, "kind": kind, **file, **other}


@settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
@given(**FILES)
@example(**plain("csv"))
@example(**plain("xlsx"))
@example(**plain("parquet"))
@example(**plain("csv", ("short row", 4, 3, None), drop=False))
@example(**plain("csv", ("empty row", 4, 3, None), ("title", 1, 1, None), drop=False))
@example(**plain("csv", encoding="utf-16", change=("insert", 1137, b"\x00\x85"), drop=False))
@example(**plain("csv", ("drop", 0, 18, None), ("drop", 0, 0, None), ("cell", 0, 20, "1e-320"), drop=False))
def test_a_mutated_file_loads_or_is_told(tmp_path, **file):
    check(tmp_path, **file)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=QUIET)
@given(**FILES)
def test_thousands_of_mutated_files(tmp_path, **file):
    check(tmp_path, **file)


def test_the_unmutated_file_is_placed_and_loads(tmp_path):
    """Else the property would hold for a reader that refuses everything."""
    path = write(mutate([]), tmp_path, "csv", ",", "utf-8", None)
    _, tables = read(path, drop=False)
    assert tables is not None
    assert {"tumor_type", "pdl1_tps", "tmb_mut_mb", "albumin_g_dl", "bor", "os_months", "il6_pg_ml"} <= set(
        tables.cohort
    )
    assert isinstance(tables.cohort, pd.DataFrame)
    assert len(tables.cohort) == 24
