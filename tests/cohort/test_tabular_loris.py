"""The general reader on the real LORIS workbook, through conf/cohort/loris.yaml."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.mapping_files import load_mapping
from immunocast.cohort.sources import read_raw_sheet
from immunocast.cohort.tabular import TabularCohort, read_patients
from immunocast.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("IMMUNOCAST_DATA") or REPOSITORY.parent / "shared" / "data")
WORKBOOK = DATA / "cohorts" / "loris" / "loris.xlsx"

pytestmark = pytest.mark.skipif(not WORKBOOK.is_file(), reason=f"no LORIS workbook at {WORKBOOK}")

N = {
    "Chowell_train": 964,
    "Chowell_test": 515,
    "MSK1": 453,
    "Kato_panCancer": 35,
    "Vanguri_NSCLC": 246,
    "Ravi_NSCLC": 309,
}
RESPONDERS = {
    "Chowell_train": 282,
    "Chowell_test": 127,
    "MSK1": 116,
    "Kato_panCancer": 5,
    "Vanguri_NSCLC": 61,
    "Ravi_NSCLC": 121,
}


def loris(**changes):
    mapping = load_mapping("loris", REPOSITORY / "conf" / "cohort")
    return TabularCohort(**{**mapping, "data_dir": DATA, **changes}).load()


@pytest.fixture(scope="module")
def analysis():
    return loris()


@pytest.fixture(scope="module")
def published():
    return loris(view="as_published")


@pytest.fixture(scope="module")
def of(analysis):
    return dict(iter(analysis.cohort.groupby("cohort_id")))


def test_patients_and_responders_by_cohort(analysis):
    by = analysis.cohort.groupby("cohort_id")["responder"]
    assert by.size().to_dict() == N
    assert by.sum().to_dict() == RESPONDERS
    assert analysis.cohort["patient_id"].is_unique
    assert set(analysis.cohort["arm"]) == {"ici"}


def test_provenance_tells_file_view_and_every_correction(analysis):
    provenance = analysis.provenance
    assert provenance.digest.startswith("ab817fb14026")
    assert (provenance.name, provenance.view, provenance.synthetic) == ("loris", "analysis", False)
    text = "\n".join(provenance.notes)
    for part in ("Kato_panCancer, nlr: imputed values set to missing (35 values)", "MSK1: institution: MSK"):
        assert part in text
    assert "Ravi_NSCLC, pfs_months: unit corrected (297 values)" in text
    assert analysis.checks == []


@pytest.mark.parametrize("cohort", ["Kato_panCancer", "Ravi_NSCLC"])
def test_imputed_constants_become_missing(of, cohort):
    assert of[cohort][["nlr", "albumin_g_dl"]].isna().all().all()
    assert of["MSK1"][["nlr", "albumin_g_dl"]].notna().all().all()


def test_days_become_months(of):
    raw = read_raw_sheet(WORKBOOK, "Ravi_NSCLC")
    ravi = of["Ravi_NSCLC"]
    for name, source in (("pfs_months", "PFS_Months"), ("os_months", "OS_Months")):
        np.testing.assert_allclose(ravi[name], raw[source] * 12 / 365.25)
    assert ravi["os_months"].max() == pytest.approx(91.3, abs=0.05)


def test_twice_dnlr_is_not_an_nlr_and_survival_of_the_deceased_only_is_dropped(of, published):
    vanguri = of["Vanguri_NSCLC"]
    assert vanguri[["nlr", "os_months", "os_event", "msi_status"]].isna().all().all()
    assert vanguri["dnlr"].notna().all()
    as_published = published.cohort[published.cohort["cohort_id"] == "Vanguri_NSCLC"]
    np.testing.assert_allclose(as_published["nlr"], 2 * as_published["dnlr"])
    assert as_published["os_months"].notna().sum() == 151


def test_codings(of):
    train = of["Chowell_train"]
    raw = read_raw_sheet(WORKBOOK, "Chowell_train")
    classes = {0: "pd1_or_pdl1", 1: "pd1_ctla4", 2: "ctla4"}
    assert train["drug_class"].tolist() == raw["Drug"].map(classes).tolist()
    assert train["msi_status"].value_counts().to_dict() == {"MSS": 941, "MSI-H": 23}
    assert train["stage"].value_counts().to_dict() == {"IV": 901, "I-III": 63}
    assert train["sex"].value_counts().to_dict() == {"male": 540, "female": 424}
    assert train["patient_id"].iloc[0] == "Chowell_train-1"


def test_as_published_keeps_the_sheet_s_values_with_flags(published):
    names = {
        "tmb_mut_mb": "TMB",
        "pdl1_tps": "PDL1_TPS(%)",
        "prior_systemic_therapy": "Systemic_therapy_history",
        "albumin_g_dl": "Albumin",
        "nlr": "NLR",
        "age_years": "Age",
        "responder": "Response",
    }
    for cohort, frame in published.cohort.groupby("cohort_id"):
        raw = read_raw_sheet(WORKBOOK, cohort)
        for name, source in names.items():
            np.testing.assert_array_equal(
                frame[name].to_numpy("float64", na_value=np.nan), raw[source].to_numpy("float64")
            )
        assert frame["tumor_type"].tolist() == raw["CancerType"].tolist()
        imputed = cohort in ("Kato_panCancer", "Ravi_NSCLC")
        assert set(frame["nlr_measured"]) == {0 if imputed else 1}
        assert set(frame["albumin_g_dl_measured"]) == {0 if imputed else 1}


def test_as_published_leaves_out_what_is_in_another_unit(published, analysis):
    ravi = published.cohort[published.cohort["cohort_id"] == "Ravi_NSCLC"]
    assert ravi[["pfs_months", "os_months"]].isna().all().all()
    assert not [c for c in analysis.cohort if c.endswith("_measured")]
    assert any("pfs_months: left out of the as-published view" in n for n in published.provenance.notes)


def test_control_arm_on_request():
    tables = loris(cohorts=["MSK_nonICB"])
    control = tables.cohort
    assert len(control) == 841
    assert set(control["arm"]) == {"control"}
    assert set(control["drug_class"]) == {"none"}
    assert control["os_months"].notna().all()
    assert "responder" not in control


def test_a_cohort_that_is_not_there():
    with pytest.raises(ConfigError, match=r"no cohort 'MSK2'. Cohorts: Chowell_train"):
        loris(cohorts=["MSK2"])


def test_another_file_gets_a_warning(tmp_path):
    (tmp_path / "loris.xlsx").write_bytes(WORKBOOK.read_bytes() + b"\0")
    tables = loris(file=tmp_path / "loris.xlsx", cohorts=["Kato_panCancer"])
    assert [(c["code"], c["severity"], c["n"]) for c in tables.checks] == [("IC-FILE-001", "warning", 35)]


def test_raw_sheet_has_columns_that_never_enter_a_cohort(published):
    raw = read_raw_sheet(WORKBOOK, "MSK_nonICB")
    assert raw["LORIS"].between(0, 1).all()
    assert "LORIS" not in published.cohort


def test_new_patients_in_the_workbook_s_layout(tmp_path):
    raw = read_raw_sheet(WORKBOOK, "Chowell_test").head(30).drop(columns=["Response", "OS_Event", "HED"])
    raw.to_csv(tmp_path / "new.csv", index=False)
    mapping = load_mapping("loris", REPOSITORY / "conf" / "cohort")
    table, refused, *_ = read_patients(tmp_path / "new.csv", mapping)
    assert refused == []
    assert table["patient_id"].tolist() == [str(i) for i in range(1, 31)]
    assert set(table["cohort_id"]) == {"new"}
    pd.testing.assert_series_equal(table["tmb_mut_mb"], raw["TMB"].astype(float), check_names=False)
