"""The traps of the public cohorts, with the corrections of their mappings taken away: general rules must find them."""

import pandas as pd
import pytest
import yaml

from immunocast.cohort.loading import inspect_cohort, prepare_cohort
from immunocast.cohort.tabular import TabularCohort


@pytest.fixture(scope="module")
def naive_loris(data_dir, root):
    """The LORIS workbook as somebody maps it who has read no description: codes of the findings by cohort."""
    settings = yaml.safe_load((root / "conf/cohort/loris.yaml").read_text())
    for key in ("_target_", "_convert_", "data_dir", "waive"):
        settings.pop(key, None)
    for sheet in settings["sheets"].values():
        sheet.pop("corrections", None)
    settings["sheets"]["Vanguri_NSCLC"]["columns"].pop("dnlr")
    sheets = list(settings["sheets"])
    reader = TabularCohort(**settings | {"cohorts": sheets, "data_dir": str(data_dir)})
    tables, problems = reader.load_what_can_be_read()
    assert problems, "days are beyond the range of months"
    found = inspect_cohort(tables, problems=problems)
    return {(r.code, r.cohort_id, None if pd.isna(r.column) else r.column): r for r in found.itertuples()}


@pytest.mark.parametrize("cohort", ["Kato_panCancer", "Ravi_NSCLC"])
@pytest.mark.parametrize("column", ["nlr", "albumin_g_dl"])
def test_imputed_constants(naive_loris, cohort, column):
    assert naive_loris["IC-CONST-001", cohort, column].n == (35 if cohort == "Kato_panCancer" else 309)


def test_days_in_months(naive_loris):
    for column in ("pfs_months", "os_months"):
        row = naive_loris["IC-UNIT-002", "Ravi_NSCLC", column]
        assert row.severity == "error"
        assert "typical of days" in row.message
    assert [k for k in naive_loris if k[0] == "IC-UNIT-002" and k[1] != "Ravi_NSCLC"] == []


def test_twice_dnlr_and_survival_of_the_deceased_only(naive_loris):
    assert "2 x the unmapped column 'NLR_original'" in naive_loris["IC-DEP-001", "Vanguri_NSCLC", "nlr"].message
    assert naive_loris["IC-SURV-002", "Vanguri_NSCLC", "os_months"].severity == "error"


def test_caps_and_the_prediction_of_a_model(naive_loris):
    for column in ("tmb_mut_mb", "nlr", "age_years"):
        assert ("IC-CONST-004", "MSK_nonICB", column) in naive_loris
    assert "LORIS (the output of a model)" in naive_loris["IC-LEAK-006", "MSK_nonICB", None].message


def mapped(data_dir, folder, **columns):
    reader = TabularCohort(
        name=folder, file=data_dir / "cohorts" / folder / "cohort.csv", columns=columns, missing_codes=[".", "x", "unk"]
    )
    tables, problems = reader.load_what_can_be_read()
    found = inspect_cohort(tables, problems=problems)
    return {(r.code, r.column) for r in found[found["severity"] == "error"].itertuples()}


def test_inverted_flags(data_dir):
    days = {"unit": "days"}
    riaz = mapped(
        data_dir, "riaz2017_nivolumab", patient_id="patient_id", bor="Response", pfs_event="PFS_SOR", os_event="OS_SOR",
        pfs_months={"source": "PFS", **days}, os_months={"source": "OS", **days},
    )  # fmt: skip
    flags = {("IC-FLAG-001", "pfs_event"), ("IC-FLAG-001", "os_event")}
    assert flags <= riaz
    oak = mapped(
        data_dir, "oak2018_nsclc", patient_id="PtID", bor="BCOR", pfs_event="PFS.CNSR", os_event="OS.CNSR",
        pfs_months="PFS", os_months="OS",
    )  # fmt: skip
    assert flags <= oak


def test_an_adverse_event_mapped_as_a_feature(data_dir):
    found = mapped(data_dir, "sayer2023_nsclc_irae", patient_id="X", antibiotics_60d={"source": "irae_pos"})
    assert ("IC-LEAK-003", "antibiotics_60d") in found


def test_the_analysis_view_repairs_what_the_mapping_does_not(data_dir, root):
    settings = yaml.safe_load((root / "conf/cohort/loris.yaml").read_text())
    for key in ("_target_", "_convert_", "data_dir"):
        settings.pop(key, None)
    settings["sheets"]["Kato_panCancer"].pop("corrections")
    tables = TabularCohort(**settings | {"cohorts": ["Kato_panCancer", "MSK1"], "data_dir": str(data_dir)}).load()
    prepared = prepare_cohort(tables, endpoint="response", features=["nlr"], linkage=None, waive=None)
    kato = prepared.cohort["cohort_id"] == "Kato_panCancer"
    assert prepared.n_removed == 70
    assert prepared.cohort.loc[kato, ["nlr", "albumin_g_dl"]].isna().all(axis=None)
    assert (prepared.cohort.loc[kato, "nlr_measured"] == 0).all()
    assert prepared.cohort.loc[~kato, "nlr"].notna().all()
    told = prepared.checks[prepared.checks["code"] == "IC-CONST-001"]["message"]
    assert told.str.endswith("The 35 values were set to missing.").all()
    assert pd.isna(prepared.checks["waived_because"]).all()
