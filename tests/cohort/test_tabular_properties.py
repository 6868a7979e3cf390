"""What holds for any input: a valid table survives a file, and garbage is told, never a traceback."""

import datetime
import io
import string

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immunocast.cohort.mapping import parse_mapping
from immunocast.cohort.table import DTYPES, to_cohort_table
from immunocast.cohort.tabular import TabularCohort, read_patients
from immunocast.cohort.values import DEFAULT_MISSING
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError, DataError

FAST = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
TEXT = st.text(alphabet=string.ascii_letters + string.digits + " ,;\"'-_.äß&", min_size=1, max_size=8).filter(
    lambda t: t == t.strip() and t.casefold() not in DEFAULT_MISSING
)


def value_of(column):
    if column.categories:
        return st.sampled_from(column.categories)
    if column.kind == "text":
        return TEXT
    if column.kind == "binary":
        return st.sampled_from([0, 1])
    low, high = column.low, column.high
    if column.kind == "integer":
        return st.integers(int(low), int(high))
    return st.floats(-1e6 if low is None else low, 1e6 if high is None else high, allow_nan=False)


@st.composite
def cohort_tables(draw):
    """Any valid cohort table with a few of the vocabulary's columns, values missing here and there."""
    free = [c for c in VOCABULARY.values() if c.role != "key"]
    features = [c for c in free if c.role == "feature"]
    chosen = {c.name: c for c in [draw(st.sampled_from(features)), *draw(st.lists(st.sampled_from(free), max_size=6))]}
    ids = draw(st.lists(TEXT, min_size=1, max_size=6, unique=True))
    data = {"patient_id": ids, "cohort_id": [draw(TEXT) for _ in ids]}
    for column in chosen.values():
        data[column.name] = [draw(st.none() | value_of(column)) for _ in ids]
        if column.role == "feature" and draw(st.booleans()):
            data[f"{column.name}_measured"] = [draw(st.sampled_from([0, 1, None])) for _ in ids]
    typed = {
        name: pd.Series(values, dtype=DTYPES[VOCABULARY[name].kind] if name in VOCABULARY else "Int64")
        for name, values in data.items()
    }
    return to_cohort_table(pd.DataFrame(typed))


def load(path):
    return TabularCohort(file=path, vocabulary_names=True).load()


@FAST
@given(table=cohort_tables())
@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "xlsx"])
def test_any_valid_table_survives_a_file(tmp_path, kind, table):
    path = tmp_path / f"cohort.{kind}"
    if kind == "parquet":
        table.to_parquet(path, index=False)
    elif kind == "xlsx":
        as_objects = table.astype(object)
        as_objects.where(table.notna(), None).to_excel(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    loaded = load(path)
    if kind == "xlsx":  # a spreadsheet keeps 15 to 17 digits
        pd.testing.assert_frame_equal(loaded.cohort, table, rtol=1e-14)
    else:
        pd.testing.assert_frame_equal(loaded.cohort, table)
    assert loaded.checks == []


def error_of(read):
    """Text of the error that a user can mend; "" where there was none. Other errors come through."""
    try:
        read()
    except (DataError, ConfigError) as error:
        return str(error)
    return ""


def read_or_report(path):
    """Reading ends in a table or in an error that names the file."""
    for read in (lambda: load(path), lambda: read_patients(path, {"vocabulary_names": True})):
        error = error_of(read)
        assert error == "" or path.name in error


MAGIC = st.sampled_from([b"", b"PK\x03\x04", b"PAR1", b"patient_id,nlr\n", b"\xef\xbb\xbfpatient_id,nlr\r\n1,2\r"])


@FAST
@given(
    start=MAGIC, content=st.binary(max_size=200), kind=st.sampled_from(["csv", "tsv", "txt", "xlsx", "parquet", "x"])
)
def test_random_bytes(tmp_path, start, content, kind):
    path = tmp_path / f"garbage.{kind}"
    path.write_bytes(start + content)
    read_or_report(path)


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=10),
    st.sampled_from(["NSCLC", "IV", "=1/0", "#N/A", "1e400", "٣", "None"]),
    st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2050, 1, 1)),
)
HEADERS = st.sampled_from([*VOCABULARY, "nlr_measured", "", "x", "patient_id"])
ROWS = st.lists(st.lists(CELLS, max_size=5), max_size=5)


@FAST
@given(header=st.lists(HEADERS, max_size=4), rows=ROWS)
def test_random_cells_in_a_workbook(tmp_path, header, rows):
    book = openpyxl.Workbook()
    book.active.append(["patient_id", *header])
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "garbage.xlsx")
    read_or_report(tmp_path / "garbage.xlsx")


@FAST
@given(header=st.lists(HEADERS, max_size=4), rows=ROWS)
def test_random_cells_in_text(tmp_path, header, rows):
    lines = [",".join(map(str, ["patient_id", *header])), *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "garbage.csv").write_text("\n".join(lines))
    read_or_report(tmp_path / "garbage.csv")


@pytest.mark.parametrize(
    "values", [[["a"]], [{"a": 1}], [b"x"], [datetime.timedelta(1)], [datetime.date(2024, 1, 1)], [2**80 * 1.0]]
)
def test_odd_types_in_parquet(tmp_path, values):
    path = tmp_path / "odd.parquet"
    pd.DataFrame({"patient_id": ["1"], "nlr": values}).to_parquet(path)
    with pytest.raises(DataError, match="column nlr, row 2"):
        load(path)


def test_parquet_types(tmp_path):
    frame = pd.DataFrame(
        {
            "patient_id": pd.Series([1, 2], dtype="int32"),
            "responder": [True, False],
            "tumor_type": pd.Categorical(["NSCLC", None]),
            "nlr": pd.Series([2.5, None], dtype="float32"),
        }
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    (tmp_path / "a.parquet").write_bytes(buffer.getvalue())
    table = load(tmp_path / "a.parquet").cohort
    assert table["patient_id"].tolist() == ["1", "2"]
    assert table["responder"].tolist() == [1, 0]
    assert table["nlr"].tolist()[0] == 2.5
    assert table["tumor_type"].isna().tolist() == [False, True]


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=4), st.just("TMB"))
MAPPING_KEYS = "columns sheets missing_codes delimiter vocabulary_names patient_id nlr sex A source value unit factor"
SPEC_KEYS = "coding missing optional absent corrections imputed because x"
KEYS = st.sampled_from(f"{MAPPING_KEYS} {SPEC_KEYS}".split()) | st.integers(0, 2)
TREES = st.recursive(SCALARS, lambda t: st.lists(t, max_size=3) | st.dictionaries(KEYS, t, max_size=4), max_leaves=12)


@settings(max_examples=100, deadline=None)
@given(columns=TREES, sheets=TREES, more=st.dictionaries(KEYS, TREES, max_size=2))
def test_random_mappings(columns, sheets, more):
    error_of(lambda: parse_mapping({"columns": {"patient_id": "ID", "nlr": columns}, "sheets": {"A": sheets}, **more}))
    error_of(lambda: parse_mapping({"columns": columns, "sheets": sheets}))
