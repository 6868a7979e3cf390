"""Mappings: units, codings, missing codes, measured-flags, selections, and mistakes in the YAML."""

from pathlib import Path

import pandas as pd
import pytest

from immunocast.cohort.mapping import parse_mapping
from immunocast.cohort.mapping_files import TARGET, available_mappings, load_mapping
from immunocast.cohort.tabular import TabularCohort
from immunocast.errors import ConfigError, DataError, NotFoundError

CONF = Path(__file__).parents[2] / "conf" / "cohort"


@pytest.fixture
def load(tmp_path):
    def run(text, name="cohort.csv", **settings):
        (tmp_path / name).write_text(text)
        return TabularCohort(file=name, data_dir=tmp_path, **settings).load()

    return run


@pytest.mark.parametrize(
    ("column", "unit", "value", "expected"),
    [
        ("os_months", "days", 365.25, 12.0),
        ("os_months", "Weeks", 365.25 / 7, 12.0),
        ("pfs_months", "years", 2, 24.0),
        ("pdl1_tps", "fraction", 0.5, 50.0),
        ("fcna", "percent", 30, 0.3),
        ("albumin_g_dl", "g/L", 38, 3.8),
        ("crp_mg_l", "mg/dL", 1.5, 15.0),
        ("hemoglobin_g_dl", "mmol/L", 8, 12.8912),
        ("platelets_10e9_l", "/uL", 250_000, 250.0),
    ],
)
def test_units(load, column, unit, value, expected):
    columns = {"patient_id": "id", column: {"source": "x", "unit": unit}}
    table = load(f"id,x\n1,{value}\n", columns=columns).cohort
    assert table[column].iloc[0] == pytest.approx(expected)


def test_factor_after_unit(load):
    columns = {"patient_id": "id", "ldh_uln": {"source": "LDH", "factor": 0.004}}
    assert load("id,LDH\n1,500\n", columns=columns).cohort["ldh_uln"].iloc[0] == pytest.approx(2.0)


def test_a_coding_wins_over_missing_codes_and_categories_over_default_ones(load):
    columns = {
        "patient_id": "id",
        "antibiotics_60d": {"source": "abx", "coding": {"None": 0, "yes": 1, True: 1, "?": None}},
        "drug_class": "drug",
        "nlr": {"source": "nlr", "missing": [-999], "coding": {"<1": 0.5}},
        "ecog": "ecog",
    }
    text = "id,abx,drug,nlr,ecog\n1,None,none,-999.0,9\n2,YES,PD1,<1,NA\n3,?,NA,2.5,1.0\n4,,None,None,.\n"
    table = load(text, columns=columns, missing_codes=[9, "."]).cohort
    expected = pd.Series([0, 1, None, None], dtype="Int64")
    pd.testing.assert_series_equal(table["antibiotics_60d"], expected, check_names=False)
    assert table["drug_class"].fillna("").tolist() == ["none", "pd1", "", "none"]
    assert table["nlr"].fillna(-1).tolist() == [-1, 0.5, 2.5, -1]
    assert table["ecog"].isna().tolist() == [True, True, False, True]


def test_inverted_events_by_coding(load):
    columns = {"patient_id": "id", "os_months": "t", "os_event": {"source": "CNSR", "coding": {0: 1, 1: 0}}}
    assert load("id,t,CNSR\n1,2,0\n2,3,1\n", columns=columns).cohort["os_event"].tolist() == [1, 0]
    with pytest.raises(DataError, match="not in the coding"):
        load("id,t,CNSR\n1,2,2\n", columns=columns)


def test_ids_stay_text(load):
    assert load("id,n\n007,1\n", columns={"patient_id": "id", "nlr": "n"}).cohort["patient_id"].tolist() == ["007"]


def test_cohorts_from_a_column(load):
    columns = {"patient_id": {"source": "id", "prefix_with_cohort": True}, "cohort_id": "site", "nlr": "nlr"}
    text = "id,site,nlr\n1,A,2\n1,B,3\n2,,4\n"
    table = load(text, columns=columns, name="x.csv").cohort
    assert table["patient_id"].tolist() == ["A-1", "B-1", "x-2"]
    only = load(text, columns=columns, cohorts=["B"]).cohort
    assert only["patient_id"].tolist() == ["B-1"]
    with pytest.raises(ConfigError, match=r"no cohort 'C'. Cohorts: A, B, cohort"):
        load(text, columns=columns, cohorts=["C"])


def test_vocabulary_names_report_what_was_not_read(load):
    loaded = load("patient_id,nlr,tmb,nlr_measured\n1,2,3,0\n", vocabulary_names=True)
    (check,) = loaded.checks
    assert (check["code"], check["severity"]) == ("IC-FILE-002", "warning")
    assert "'tmb'" in check["message"]
    assert "tmb_mut_mb" in check["message"]
    assert loaded.cohort["nlr_measured"].tolist() == [0]
    assert loaded.provenance.source == "file cohort.csv"


SHEETS = {
    "A": {"corrections": [{"column": "nlr", "imputed": 6.2, "because": "a constant"}]},
    "B": {"institution": "Clinic", "columns": {"nlr": {"source": "NLR2"}}, "notes": ["small"]},
}


@pytest.fixture
def two_sheets(tmp_path):
    path = tmp_path / "two.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"id": ["a", "b", "c"], "NLR": [6.2, 3.0, None]}).to_excel(book, sheet_name="A", index=False)
        pd.DataFrame({"id": ["d", "e"], "NLR2": [6.2, None]}).to_excel(book, sheet_name="B", index=False)
    return path


def test_imputed_values_by_view(two_sheets):
    settings = {"file": two_sheets, "columns": {"patient_id": "id", "nlr": "NLR"}, "sheets": SHEETS}
    analysis = TabularCohort(**settings).load()
    assert analysis.cohort["nlr"].fillna(-1).tolist() == [-1, 3.0, -1, 6.2, -1]
    assert "nlr_measured" not in analysis.cohort
    published = TabularCohort(**settings, view="as_published").load()
    assert published.cohort["nlr"].fillna(-1).tolist() == [6.2, 3.0, -1, 6.2, -1]
    flags = published.cohort["nlr_measured"]
    pd.testing.assert_series_equal(flags, pd.Series([0, 1, None, 1, None], dtype="Int64"), check_names=False)
    assert analysis.provenance.notes == (
        "A, nlr: imputed values set to missing (1 values); a constant",
        "B: institution: Clinic",
        "B: small",
    )


def test_a_sheet_changes_single_keys_of_a_column(two_sheets):
    columns = {"patient_id": "id", "nlr": {"source": "NLR", "factor": 2}}
    sheets = {"A": {}, "B": {"columns": {"nlr": {"source": "NLR2"}}}}
    table = TabularCohort(file=two_sheets, columns=columns, sheets=sheets).load().cohort
    assert table["nlr"].fillna(-1).tolist() == [12.4, 6.0, -1, 12.4, -1]
    constant = {"A": {}, "B": {"columns": {"nlr": {"value": 1.5}}}}
    table = TabularCohort(file=two_sheets, columns=columns, sheets=constant).load().cohort
    assert table["nlr"].tolist()[3:] == [1.5, 1.5]


def test_a_correction_that_concerns_nobody_is_told(two_sheets):
    sheets = {"A": {"corrections": [{"column": "nlr", "imputed": 99, "because": "old file"}]}}
    tables = TabularCohort(file=two_sheets, columns={"patient_id": "id", "nlr": "NLR"}, sheets=sheets).load()
    assert [(c["code"], c["cohort_id"], c["column"]) for c in tables.checks] == [("IC-FILE-004", "A", "nlr")]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"columns": {"tmb": "TMB"}}, r"columns: 'tmb' is not in the vocabulary. Did you mean .*'tmb_mut_mb'"),
        ({"colums": {}}, r"unknown key 'colums'. Did you mean 'columns'"),
        ({"columns": {"nlr": {"sorce": "x"}}}, r"columns.nlr: unknown key 'sorce'. Did you mean 'source'"),
        ({"columns": {"os_months": {"unit": "fortnights"}}}, r"Known units: months, days, weeks, years"),
        ({"columns": {"nlr": {"unit": "x"}}}, r"none \(the column has no unit\)"),
        ({"columns": {"sex": {"coding": {0: "man"}}}}, r"'man' is not one of female, male"),
        ({"columns": {"nlr": {"coding": {None: 1}}}}, r"write it in quotes"),
        ({"columns": {"stage": {"source": "a", "value": "IV"}}}, r"give one of source, value, not several"),
        ({"columns": {"nlr": {"factor": -1}}}, r"above 0"),
        ({"columns": {"sex": {"factor": 2}}}, r"sex is not a number"),
        ({"columns": {"nlr": {"prefix_with_cohort": True}}}, r"is for patient_id"),
        ({"columns": {"nlr": {"optional": "yes"}}}, r"true or false"),
        ({"columns": ["nlr"]}, r"must be a mapping of keys"),
        ({"columns": {"nlr": "NLR"}}, r"patient_id is not mapped"),
        ({"missing_codes": "."}, r"must be a list"),
        ({"delimiter": ",,"}, r"one character"),
        ({"sheets": {"A": {"cohort": "x"}}}, r"sheets.A: unknown key 'cohort'. Did you mean 'cohort_id'"),
        ({"sheets": {"A": {"absent": ["nlr"]}}}, r"'nlr' is not a mapped column"),
        ({"sheets": {"A": {"corrections": [{"column": "patient_id"}]}}}, r"one of drop, unit or imputed"),
        ({"sheets": {"A": {"corrections": [{"column": "x"}]}}}, r"'x' is not a mapped column"),
    ],
)
def test_mistakes_in_a_mapping(mapping, message):
    with pytest.raises(ConfigError, match=message):
        parse_mapping({"columns": {"patient_id": "id"}} | mapping)


def test_all_mistakes_at_once():
    with pytest.raises(ConfigError, match=r"3 problem\(s\)"):
        parse_mapping({"columns": {"tmb": "x", "nlr": {"unit": "y"}}})


def test_mappings_by_name_and_by_path(tmp_path):
    assert load_mapping("loris", CONF)["columns"]["tmb_mut_mb"]["source"] == "TMB"
    assert load_mapping("csv", CONF)["vocabulary_names"] is True
    assert {"csv", "loris"} <= set(available_mappings(CONF))
    own = tmp_path / "own.yaml"
    own.write_text("columns: {patient_id: ID, nlr: NLR}\n")
    assert load_mapping(own, CONF) == {"columns": {"patient_id": "ID", "nlr": "NLR"}}
    with pytest.raises(NotFoundError, match=r"no mapping 'lris'. Did you mean 'loris'\?.*liu2019, loris"):
        load_mapping("lris", CONF)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: {patient_id: ID, patient_id: X}\n", "'patient_id' is there twice"),
        ("columns: [\n", "not valid YAML"),
        ("- a\n", "does not hold a mapping"),
        ("columns: {tmb: x}\n", r"own.yaml: The column mapping has 2"),
        ("_target_: other.Reader\n", "other.Reader, which has no column mapping"),
        ("? [a]\n: b\n", "single value"),
    ],
)
def test_broken_mapping_files(tmp_path, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_mapping(tmp_path / "own.yaml", tmp_path)


def test_target_is_the_class():
    assert f"{TabularCohort.__module__}.{TabularCohort.__qualname__}" == TARGET
