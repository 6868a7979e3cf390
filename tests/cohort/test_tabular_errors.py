"""Every way in which a file can be wrong is told with file, row, column, value and mend."""

import datetime
import re
import zipfile

import openpyxl
import pandas as pd
import pytest

from immunocast.cohort.tabular import TabularCohort, read_patients, refused_frame
from immunocast.errors import ConfigError, DataError

IDENTITY = {"vocabulary_names": True}
COLUMNS = {
    "patient_id": "ID",
    "tmb_mut_mb": "TMB",
    "albumin_g_dl": "Albumin",
    "tumor_type": "Cancer",
    "sex": {"source": "Sex", "coding": {0: "female", 1: "male"}},
    "responder": "Response",
    "os_months": {"source": "OS", "unit": "months"},
}
HEADER = ["ID", "TMB", "Albumin", "Cancer", "Sex", "Response", "OS"]
GOOD = ["P1", 5.1, 3.9, "NSCLC", 1, 0, 12.5]


def csv_text(*rows):
    return "\n".join(",".join("" if c is None else str(c) for c in row) for row in rows) + "\n"


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def write(tmp_path, kind, rows):
    path = tmp_path / f"patients.{kind}"
    if kind == "csv":
        path.write_text(csv_text(*rows))
    else:
        workbook(path, S=rows)
    return path


def problems_of(path, **mapping):
    with pytest.raises(DataError) as caught:
        TabularCohort(file=path, **mapping).load()
    return caught.value.problems


def changed(**cells):
    return [cells.get(name, value) for name, value in zip(HEADER, GOOD, strict=True)]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize(
    ("cells", "column", "value", "message", "mend"),
    [
        ({"TMB": "OOR <"}, "TMB", "OOR <", "text in a number", "missing_codes"),
        ({"TMB": "*5.88"}, "TMB", "*5.88", "text in a number", "strip: ['*']"),
        ({"TMB": '"1,2"'}, "TMB", "1,2", "text in a number", "with a point"),
        ({"TMB": "<1"}, "TMB", "<1", "text in a number", "coding: {'<1': NUMBER}"),
        ({"TMB": "50%"}, "TMB", "50%", "text in a number", "% sign"),
        ({"TMB": "inf"}, "TMB", "inf", "text in a number", "Correct"),
        ({"TMB": "1e999"}, "TMB", "1e999", "text in a number", "Correct"),
        ({"TMB": "."}, "TMB", ".", "text in a number", "missing_codes"),
        ({"TMB": -1}, "TMB", "-1", "outside of 0-2000 mut/Mb", "Correct the value"),
        ({"Albumin": 38}, "Albumin", "38", "outside of 0.5-7 g/dL", "looks like g/L"),
        ({"OS": 2779}, "OS", "2779", "outside of 0-400 months", "looks like days"),
        ({"Cancer": "Lung adenocarcinoma"}, "Cancer", "Lung adenocarcinoma", "not a known tumour", "NSCLC, SCLC"),
        ({"Cancer": "xyz"}, "Cancer", "xyz", "not a known tumour type", "'xyz': Other"),
        ({"Sex": 2}, "Sex", "2", "not in the coding", "'0', '1'"),
        ({"Response": "yes"}, "Response", "yes", "neither 0 nor 1", "coding: {yes: 1, no: 0}"),
        ({"ID": None}, "ID", None, "no patient id", "its own id"),
        ({"ID": "P0"}, "ID", "P0", "same patient id", "one row a patient"),
    ],
)
def test_cells(tmp_path, kind, cells, column, value, message, mend):
    first = ["P0", *GOOD[1:]]
    cells = {k: v.strip('"') if kind == "xlsx" and isinstance(v, str) else v for k, v in cells.items()}
    path = write(tmp_path, kind, [HEADER, first, changed(**cells)])
    (problem,) = problems_of(path, columns=COLUMNS)
    assert problem.file == path.name
    assert problem.column == column
    assert problem.value == value
    assert problem.rows == ((2, 3) if value == "P0" else (3,))
    assert message in problem.message
    assert mend in problem.mend
    assert problem.sheet == ("S" if kind == "xlsx" else None)


def test_one_problem_a_kind_with_all_rows_and_the_other_values(tmp_path):
    rows = [[f"P{i}", t, *GOOD[2:]] for i, t in enumerate(["x", 1, "y", "x", "1,2"])]
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, *rows])
    text, comma = problems_of(path, columns=COLUMNS)
    assert (text.rows, text.value, text.message) == ((2, 4, 5), "x", "text in a number; also 'y'")
    assert comma.rows == (6,)


def test_dates_and_truth_values_in_numbers(tmp_path):
    rows = [changed(TMB=datetime.datetime(2024, 5, 1)), changed(ID="P2", TMB=True)]
    date, truth = problems_of(workbook(tmp_path / "a.xlsx", S=[HEADER, *rows]), columns=COLUMNS)
    assert (date.rows, date.value) == ((2,), "2024-05-01")
    assert "spreadsheet may have turned" in date.mend
    assert (truth.rows, truth.message) == ((3,), "a truth value in a number")


def test_formula_without_result_names_the_cell(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, GOOD, changed(ID="P2", TMB="=C2*2")])
    (problem,) = problems_of(path, columns=COLUMNS)
    assert (problem.column, problem.rows, problem.value) == ("TMB", (3,), "cell B3")
    assert "without a stored result" in problem.message


def test_formula_with_a_stored_result_or_in_a_column_that_is_not_read(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[[*HEADER, "Note"], [*changed(TMB="=C2*2"), "=1+1"]])
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet], n = re.subn(rb"(<f>C2\*2</f>)<v\s*/?>(</v>)?", rb"\1<v>7.8</v>", parts[sheet])
    assert n == 1
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    assert TabularCohort(file=path, columns=COLUMNS).load().cohort["tmb_mut_mb"].tolist() == [7.8]


def test_a_truth_value_is_not_taken_for_an_equal_number(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, changed(TMB=1), changed(ID="P2", TMB=True)])
    (problem,) = problems_of(path, columns=COLUMNS)
    assert (problem.rows, problem.value) == ((3,), "true")


def test_blank_rows_keep_the_numbering(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeff" + csv_text(HEADER) + "\n , ,,,,,\n" + csv_text(GOOD, changed(ID="P2", TMB="x")))
    (problem,) = problems_of(path, columns=COLUMNS)
    assert problem.rows == (5,)


def test_all_sheets_in_one_report(tmp_path):
    path = workbook(
        tmp_path / "a.xlsx",
        A=[HEADER, changed(TMB="x")],
        B=[["ID", "TMB", "Albumine", "Cancer", "TMB", "Response", "OS"], changed(ID="P2")],
        C=[HEADER],
    )
    found = problems_of(path, columns=COLUMNS, sheets={"A": {}, "B": {}, "C": {}, "Dd": {}})
    text = [str(p) for p in found]
    assert any("sheet A, column TMB, row 2: text in a number" in t for t in text)
    assert any("sheet B, column TMB: this header is there more than once" in t for t in text)
    assert any("sheet B, column Albumin: there is no such column" in t and "'Albumine'" in t for t in text)
    assert any("sheet B, column Sex: there is no such column" in t and "optional: true" in t for t in text)
    assert any("sheet C: there are no rows below the header" in t for t in text)
    assert any("sheet Dd: there is no such sheet" in t and "A, B, C" in t for t in text)
    assert len(text) == 6


def test_ids_that_are_in_two_sheets(tmp_path):
    path = workbook(tmp_path / "a.xlsx", A=[HEADER, GOOD], B=[HEADER, GOOD])
    (problem,) = problems_of(path, columns=COLUMNS, sheets={"A": {}, "B": {}})
    assert (problem.sheet, problem.rows, problem.value) == ("B", (2,), "P1")
    assert "prefix_with_cohort" in problem.mend
    prefixed = COLUMNS | {"patient_id": {"source": "ID", "prefix_with_cohort": True}}
    table = TabularCohort(file=path, columns=prefixed, sheets={"A": {}, "B": {}}).load().cohort
    assert table["patient_id"].tolist() == ["A-P1", "B-P1"]


def test_declared_absent_but_there_and_optional_but_absent(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, GOOD])
    (problem,) = problems_of(path, columns=COLUMNS, sheets={"S": {"absent": ["sex"]}})
    assert problem.column == "Sex"
    assert "absent" in problem.mend
    optional = COLUMNS | {"nlr": {"source": "NLR", "optional": True}}
    (check,) = TabularCohort(file=path, columns=optional).load().checks
    assert (check["code"], check["severity"], check["column"]) == ("IC-FILE-003", "info", "nlr")


def test_header_below_a_title(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[["Our cohort, 2024"], [], HEADER, GOOD])
    (problem,) = problems_of(path, columns=COLUMNS)
    assert problem.rows == (3,)
    assert "header" in problem.message


@pytest.mark.parametrize(
    ("name", "content", "message", "mend"),
    [
        ("a.csv", b"", "empty (0 bytes)", "again"),
        ("a.csv", b"patient_id,nlr\n", "no rows below", "row a patient"),
        ("a.csv", b"\n \n", "no text", "again"),
        ("a.csv", b"patient_id,nlr\n1,2,5\n2,3\n", "header has 2 cells, row 2 has 3", "separators"),
        ("a.csv", b"patient_id;nlr\n1;2,5\n", "semicolon-separated", "delimiter: ';'"),
        ("a.csv", b"patient_id\tnlr\n1\t2\n", "tab-separated", r"delimiter: '\t'"),
        ("a.csv", b'patient_id\n"a\nb\n', "cannot be split", "quotation"),
        ("a.csv", b"patient_id,site_id\n1,Z\xfcrich\n", "not UTF-8: line 2 has the byte fc ('\xfc'", "CSV UTF-8"),
        ("a.csv", "patient_id,nlr\n1,2\n".encode("utf-16"), "UTF-16", "UTF-8"),
        ("a.csv", b"patient_id,nlr\n1,\x00\n", "NUL bytes", "again"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1\n", "git-LFS pointer", "git lfs pull"),
        ("a.csv", b"<!DOCTYPE html><html>", "a web page", "download went wrong"),
        ("a.csv", b"PK\x03\x04x", "XLSX workbook, not what .csv says", "right suffix"),
        ("a.csv", b"\x1f\x8bx", "gzip", "Unpack"),
        ("a.xlsx", b"patient_id\n", "plain text", "right suffix"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0x", "password", "without a password"),
        ("a.xlsx", b"PK\x03\x04broken", "cannot be read as XLSX", "spreadsheet"),
        ("a.parquet", b"PAR1broken", "cannot be read as Parquet", "Write it again"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "git-LFS pointer", "git lfs pull"),
        ("a.sav", b"x", "type .sav cannot be read", ".csv"),
        ("a.csv", b"patient_id,tmb\n1,2\n", "no column but ids", "tmb_mut_mb"),
        ("a.csv", b"tmb_mut_mb\n2\n", "no such column (wanted for patient_id)", "tmb_mut_mb"),
    ],
)
def test_files(tmp_path, name, content, message, mend):
    path = tmp_path / name
    path.write_bytes(content)
    (problem,) = problems_of(path, **IDENTITY)
    assert message in problem.message
    assert mend in problem.mend
    assert problem.file in (str(path), path.name)


def test_missing_file_names_the_neighbour_and_the_environment_variable(tmp_path):
    (tmp_path / "patients.xlsx").write_bytes(b"x")
    (problem,) = problems_of(tmp_path / "patient.xlsx", **IDENTITY)
    assert "no such file" in problem.message
    assert "patients.xlsx" in problem.mend
    assert "IMMUNOCAST_DATA" in problem.mend
    (problem,) = problems_of(tmp_path / "nowhere" / "x.csv", **IDENTITY)
    assert "not there either" in problem.mend
    (problem,) = problems_of(tmp_path, **IDENTITY)
    assert "folder" in problem.message


def test_several_sheets_without_a_choice(tmp_path):
    path = workbook(tmp_path / "a.xlsx", A=[HEADER, GOOD], B=[HEADER, GOOD])
    (problem,) = problems_of(path, columns=COLUMNS)
    assert "2 sheets: A, B" in problem.message
    table, *_ = read_patients(path, {"columns": COLUMNS}, sheet="B")
    assert len(table) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fil": "x"}, "Unknown setting 'fil' of a cohort. Did you mean 'file'"),
        ({"view": "published"}, "analysis, as_published"),
        ({"cohorts": "MSK1"}, "must be a list"),
        ({}, "No file is set"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        TabularCohort(columns=COLUMNS, **settings).load()


def test_sheets_of_something_else_than_a_workbook(tmp_path):
    path = write(tmp_path, "csv", [HEADER, GOOD])
    with pytest.raises(ConfigError, match="not a workbook"):
        TabularCohort(file=path, columns=COLUMNS, sheets={"A": {}}).load()


# -- new patients -------------------------------------------------------------------------------------------


def test_rows_are_refused_with_row_number_value_and_reason(tmp_path):
    rows = [GOOD, changed(ID="P2", TMB="OOR <", Sex=7), changed(ID="P3"), changed(ID="P3"), changed(ID=None)]
    path = write(tmp_path, "xlsx", [HEADER, *rows, changed(ID="P6", TMB="*5.88")])
    table, refused, *_ = read_patients(path, {"columns": COLUMNS}, cohort_id="clinic")
    assert table["patient_id"].tolist() == ["P1"]
    assert table["cohort_id"].tolist() == ["clinic"]
    frame = refused_frame(refused)
    assert frame["row"].tolist() == [3, 3, 4, 5, 6, 7]
    assert frame["patient_id"].tolist()[:4] == ["P2", "P2", "P3", "P3"]
    assert frame["patient_id"].isna().tolist() == [False] * 4 + [True, False]
    assert "'OOR <' means missing" in frame["reason"][0]
    assert "'*5.88' means missing" in frame["reason"][5]
    assert frame["value"].tolist()[:2] == ["OOR <", "7"]


def test_strict_raises_for_any_row(tmp_path):
    path = write(tmp_path, "csv", [HEADER, GOOD, changed(ID="P2", TMB="x")])
    with pytest.raises(DataError, match="row 3"):
        read_patients(path, {"columns": COLUMNS}, strict=True)


def test_outcomes_may_be_absent_but_features_not(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame([GOOD], columns=HEADER).drop(columns=["Response", "OS"]).to_csv(path, index=False)
    table, refused, *_ = read_patients(path, {"columns": COLUMNS})
    assert "responder" not in table
    assert refused == []
    pd.DataFrame([GOOD], columns=HEADER).drop(columns=["TMB"]).to_csv(path, index=False)
    with pytest.raises(DataError, match="column TMB: there is no such column"):
        read_patients(path, {"columns": COLUMNS})


def test_all_rows_refused_gives_an_empty_table(tmp_path):
    path = write(tmp_path, "csv", [HEADER, changed(TMB="x")])
    table, refused, *_ = read_patients(path, {"columns": COLUMNS})
    assert len(table) == 0
    assert len(refused) == 1
    assert len(refused_frame([])) == 0


@pytest.mark.parametrize("word", ["Total", "mean:", "Median"])
def test_a_sum_under_the_table_is_no_patient(tmp_path, word):
    rows = [HEADER, GOOD, changed(ID="P2"), changed(ID=word)]
    (problem,) = problems_of(write(tmp_path, "csv", rows), columns=COLUMNS)
    assert problem.rows == (4,)
    assert "a total or a mean in place of a patient" in problem.message
    above = [HEADER, changed(ID=word), GOOD]  # an odd id, but somebody
    assert len(TabularCohort(file=write(tmp_path, "csv", above), columns=COLUMNS).load().cohort) == 2
    write(tmp_path, "csv", rows)
    mended = {"rows": {"drop": {"ID": [word]}, "because": "a sum"}}
    assert len(TabularCohort(file=tmp_path / "patients.csv", columns=COLUMNS, **mended).load().cohort) == 2


def test_separators_behind_the_last_cell_say_nothing_but_a_cell_does(tmp_path):
    path = tmp_path / "patients.csv"
    good = csv_text(GOOD).strip()
    path.write_text(f"{csv_text(HEADER)}{good},,\n")
    assert TabularCohort(file=path, columns=COLUMNS).load().cohort["patient_id"].tolist() == ["P1"]
    path.write_text(f"{csv_text(HEADER)}{good},,7\n")
    (problem,) = problems_of(path, columns=COLUMNS)
    assert "row 2 has 9" in problem.message
