"""Planted traps: each kind of mistake that files have is found, in what share of rows, and clean cohorts stay quiet."""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.checks import check_cohort, imputed_in
from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import Provenance

REAL = Provenance("x", False, "somewhere", "0")

#: Smallest share of rows, at 400 patients, from which each trap is found without fail (docs/checks.md has the table).
FOUND_FROM = {
    "nlr_constant": 0.05, "albumin_constant": 0.2, "tmb_constant": 0.05, "nlr_median": 0.05, "albumin_mean": 0.05,
    "nlr_by_type": 0.2, "tps_constant": 0.2, "missing_code": 0.05, "capped": 0.05, "pfs_days": 0.05, "os_days": 0.05,
    "both_days": 0.05, "pfs_inverted": 0.2, "os_inverted": 1.0, "pfs_beyond_os": 0.05,
    "deceased_only": 1.0, "twice_dnlr": 0.2, "albumin_g_l": 0.05, "hb_g_l": 0.05, "tps_fraction": 1.0,
    "tmb_counts": 0.2, "leak": 1.0, "missing_by_outcome": 1.0, "copies": 0.05, "noisy_copies": 0.05, "site_shift": 0.2,
    "free_text": 0.2, "dates": 0.2,
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(root):
    spec = importlib.util.spec_from_file_location("bench_checks", root / "benchmarks/bench_checks.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_checks"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bench_checks"]


@pytest.fixture(scope="module")
def clean(bench):
    cohort = bench.cohort_of(400, 5)
    return cohort, bench.codes_of(cohort)


def test_every_trap_has_a_share_from_which_it_is_found(bench):
    # weeks are found in whole columns only, and not always: synthetic patients progress faster than real ones
    assert {*FOUND_FROM, "both_weeks"} == set(bench.TRAPS)


@pytest.mark.parametrize("name", FOUND_FROM)
def test_a_planted_trap_is_found(bench, clean, name):
    cohort, before = clean
    assert bench.detected(bench.TRAPS[name], cohort, before, FOUND_FROM[name], seed=5)


def test_clean_cohorts_have_no_errors_and_few_warnings(bench):
    table = bench.false_alarms(4).set_index(["severity", "code"])["a cohort"]
    assert table["error", "all"] == 0
    assert table["warning", "all"] < 1


@pytest.fixture(scope="module")
def small():
    return SyntheticCohort(n_patients=150, n_cohorts=1, seed=8).load().cohort


def found(cohort, **more):
    return check_cohort(cohort, make_labels(cohort).y, REAL, [], **more)


def test_a_trap_in_one_cohort_is_not_charged_to_another(bench):
    cohort = SyntheticCohort(n_patients=600, n_cohorts=2, seed=3).load().cohort
    first = (cohort["cohort_id"] == "synthetic-A").to_numpy()
    planted = cohort.assign(nlr=cohort["nlr"].where(~first, 6.2))
    got = {(f["cohort_id"], f["n"]) for f in found(planted) if f["code"] == "IC-CONST-001"}
    assert got == {("synthetic-A", int(planted["nlr"][first].notna().sum()))}


def test_rows_and_n_of_a_finding_are_the_patients_concerned(small):
    wrong = [3, 40, 77]
    planted = small.assign(albumin_g_dl=small["albumin_g_dl"].where(~small.index.isin(wrong), 38.0))
    (row,) = [f for f in found(planted) if f["code"] == "IC-UNIT-004"]
    assert (row["n"], row["column"]) == (3, "albumin_g_dl")
    assert row["rows"].split(";") == sorted(small["patient_id"][wrong])


def test_natural_atoms_are_no_constants(small):
    """TPS 0 and 100, TMB 0, whole numbers, digit preference and lattices of panels are left alone."""
    rng = np.random.default_rng(1)
    n = 400
    frame = pd.DataFrame(
        {
            "patient_id": [f"p{i:03d}" for i in range(n)],
            "cohort_id": "a",
            "pdl1_tps": rng.choice(
                [0, 0, 0, 1, 2, 5, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 90, 95, 100, 100, 3, 15, 25], n
            ),
            "tmb_mut_mb": np.round(rng.poisson(rng.gamma(1.5, 4, n)) / rng.choice([0.98, 1.06, 1.22], n), 2),
            "age_years": np.rint(rng.normal(62, 11, n)).clip(20, 90),
            "albumin_g_dl": np.round(rng.normal(3.9, 0.4, n), 1),
            "ecog": pd.array(rng.choice([0, 1, 1, 2], n), dtype="Int64"),
            "pack_years": rng.choice([0, 0, 0, 10, 15, 20, 20, 25, 30, 30, 40, 40, 50, 60, 12, 35, 45, 5, 22], n),
        }
    )
    imputed = [i.message for _, _, i in imputed_in(frame.astype({"pdl1_tps": float, "pack_years": float}))]
    assert imputed == []


def test_nlr_that_is_twice_an_unmapped_column(small):
    dnlr = (small["nlr"] / 1.9).round(2)
    planted = small.assign(nlr=(2 * dnlr).round(2))
    unmapped = pd.DataFrame({"NLR_original": dnlr, "remark": "x"})
    rows = [f for f in found(planted, unmapped=unmapped) if f["code"] == "IC-DEP-001"]
    assert [(f["column"], f["n"]) for f in rows] == [("nlr", int(dnlr.notna().sum()))]
    assert "2 x the unmapped column 'NLR_original'" in rows[0]["message"]


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("cyclesOnTherapy", True), ("Best Overall Response", True), ("irAE.1_pos_neg", True), ("ctDNA clearance", True),
        ("predictior_response", True), ("PFS_Months", True), ("LORIS", True), ("C2D1 NLR", True), ("post_BRAF", True),
        ("best % change", True), ("Duration of treatment", True), ("risk score", True), ("NLR at week 6", True),
        ("Albumin", False), ("Impact TMB Score", False), ("Baseline.ECOG.Score", False), ("TMB", False),
        ("Prior response to ipilimumab", False), ("Cytolytic Score", False), ("Received.platinum", False),
        ("Systemic_therapy_history", False), ("hla.c2", False), ("PD-L1 score", False), ("Tx_Start_LDH", False),
        ("NLR", False), ("Age at diagnosis", False), ("IO drug name", False), ("Neoantigen.burden.per.MB", False),
    ],
)  # fmt: skip
def test_names_that_are_after_baseline(header, after, small):
    rows = [f for f in found(small, sources={"synthetic-A": {"nlr": header}}) if f["code"] == "IC-LEAK-003"]
    assert [(f["severity"], f["column"]) for f in rows] == ([("error", "nlr")] if after else [])
    unmapped = pd.DataFrame({header: [1.0] * len(small)})
    assert bool([f for f in found(small, unmapped=unmapped) if f["code"] == "IC-LEAK-006"]) is after


def test_an_adverse_event_is_never_a_baseline_feature(small):
    y = make_labels(small).y
    codes = [
        (f["code"], f["column"]) for f in check_cohort(small, y, REAL, ["nlr", "irae"]) if f["severity"] == "error"
    ]
    assert codes == [("IC-LEAK-003", "irae")]
