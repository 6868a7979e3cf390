"""The synthetic cohort: settings, determinism, labels and times, missing tests, control arm, blocks."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.special import logit

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.synthetic.assays import ASSAYS, PDL1_COLUMNS
from immunocast.cohort.synthetic.parameters import load_parameters
from immunocast.cohort.synthetic.targets import logistic
from immunocast.cohort.table import COHORT_SCHEMA
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError
from immunocast.store.schemas import conform

SCENARIOS = tuple(load_parameters().scenarios)


@pytest.fixture(scope="module")
def twenty_thousand():
    return SyntheticCohort(n_patients=20_000).load()


# ------------------------------------------------------------------------------------------------- the tables


def test_cohort_and_truth_satisfy_their_schemas(twenty_thousand):
    COHORT_SCHEMA.validate(twenty_thousand.cohort, lazy=True)
    assert len(conform("truth", twenty_thousand.truth)) == 20_000
    assert list(twenty_thousand.cohort["patient_id"]) == list(twenty_thousand.truth["patient_id"])
    assert twenty_thousand.cohort["patient_id"].iloc[0] == "synthetic-A-00001"
    assert set(twenty_thousand.cohort["cohort_id"]) == {"synthetic-A", "synthetic-B", "synthetic-C"}


def test_truth_never_enters_the_cohort_table(twenty_thousand):
    cohort, truth = twenty_thousand.cohort, twenty_thousand.truth
    assert set(cohort) <= set(VOCABULARY)
    assert set(cohort) & set(truth) == {"patient_id", "cohort_id"}
    for column in cohort.select_dtypes("number"):
        same = np.isclose(cohort[column].to_numpy(float, na_value=np.nan), truth["p_response"])
        assert same.mean() < 0.01, column


def test_provenance_says_synthetic_and_its_digest_follows_the_settings():
    one, same, other = (SyntheticCohort(n_patients=30, seed=s).load().provenance for s in (1, 1, 2))
    assert one.synthetic
    assert "generator" in one.source
    assert one.digest == same.digest != other.digest
    assert len(one.digest) == 64


# ------------------------------------------------------------------------------------------------ determinism


def test_same_seed_gives_identical_frames_and_another_seed_others():
    one, same, other = (SyntheticCohort(n_patients=400, seed=s).load() for s in (7, 7, 8))
    assert_frame_equal(one.cohort, same.cohort)
    assert_frame_equal(one.truth, same.truth)
    assert not one.cohort["age_years"].equals(other.cohort["age_years"])
    first, second = (part["age_years"].to_numpy()[:100] for _, part in list(one.cohort.groupby("cohort_id"))[:2])
    assert (first != second).mean() > 0.9


def test_a_fresh_process_gives_the_same_patients():
    code = (
        "from immunocast.cohort.synthetic import SyntheticCohort as S; import pandas as pd;"
        "t = S(n_patients=50, seed=3).load();"
        "print(int(pd.util.hash_pandas_object(t.truth).sum() ^ pd.util.hash_pandas_object(t.cohort).sum()))"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_patients_do_not_change_with_size_order_or_number_of_cohorts():
    few = SyntheticCohort(n_patients=60, n_cohorts=["A", "B"], cohort_shift=0).load()
    many = SyntheticCohort(n_patients=400, n_cohorts=["C", "B", "A"], cohort_shift=0).load()
    for table in ("cohort", "truth"):
        a, b = (getattr(t, table).set_index("patient_id") for t in (few, many))
        assert_frame_equal(a, b.loc[a.index])


def test_cohort_shift_orders_response_and_case_mix():
    tables = SyntheticCohort(n_patients=30_000, cohort_shift=0.8).load()
    rate = tables.truth.groupby("cohort_id")["p_response"].mean()
    share = (tables.cohort["tumor_type"] == "NSCLC").groupby(tables.cohort["cohort_id"]).mean()
    assert rate.is_monotonic_increasing
    assert rate.iloc[2] - rate.iloc[0] > 0.15
    assert share.is_monotonic_increasing
    assert share.iloc[2] - share.iloc[0] > 0.15


# ------------------------------------------------------------------------------------------- labels and times


@pytest.mark.parametrize("scenario", ["default", "null_tmb", "prognostic_only", "site_shift"])
def test_the_label_is_calibrated_on_the_true_probability(scenario):
    tables = SyntheticCohort(n_patients=20_000, scenario=scenario).load()
    known = tables.cohort["responder"].notna().to_numpy()
    y = tables.cohort.loc[known, "responder"].to_numpy(float)
    (intercept, slope), (se0, se1) = logistic(logit(tables.truth.loc[known, ["p_response"]].to_numpy()), y)
    assert abs(slope - 1) < 3 * se1 < 0.1
    assert abs(intercept) < 3 * se0 < 0.1


def test_best_response_agrees_with_label_and_times(twenty_thousand):
    cohort = twenty_thousand.cohort
    answered = cohort["bor"].isin(["CR", "PR"])
    assert (cohort["responder"].isna() == (cohort["bor"] == "NE")).all()
    assert (answered == cohort["responder"].eq(1).fillna(False)).all()
    assert 0.02 < (cohort["bor"] == "NE").mean() < 0.04
    assert set(cohort["bor"]) == {"CR", "PR", "SD", "PD", "NE"}
    assert (cohort.loc[cohort["bor"] == "PD", "pfs_event"] == 1).all()
    assert (cohort.loc[cohort["bor"] == "PD", "pfs_months"] <= 4.2).all()
    assert (cohort.loc[answered, "pfs_months"] >= 1.4).all()
    # someone alive without progression is censored at the same day for both
    both = (cohort["pfs_event"] == 0).to_numpy()
    assert (cohort.loc[both, "pfs_months"] == cohort.loc[both, "os_months"]).all()


@settings(max_examples=12, deadline=None)
@given(
    n_patients=st.integers(26, 400),
    n_cohorts=st.one_of(st.integers(1, 26), st.lists(st.sampled_from("PQRST"), min_size=1, unique=True)),
    seed=st.integers(0, 2**40),
    scenario=st.sampled_from(SCENARIOS),
    shift=st.floats(0, 1),
    control=st.sampled_from([0.0, 0.5]),
)
def test_any_valid_settings_give_valid_tables(n_patients, n_cohorts, seed, scenario, shift, control):
    tables = SyntheticCohort("any", n_patients, n_cohorts, seed, scenario, shift, control).load()
    cohort, truth = tables.cohort, tables.truth
    conform("truth", truth)
    n_patients = min(n_patients, 60) if scenario == "tiny" else n_patients
    assert len(cohort) == len(truth) == n_patients
    if scenario in ("unit_error", "imputed"):
        cohort = SyntheticCohort("any", n_patients, n_cohorts, seed, "default", shift, control).load().cohort
    assert cohort["cohort_id"].nunique() == (n_cohorts if isinstance(n_cohorts, int) else len(n_cohorts))
    assert np.ptp(cohort["cohort_id"].value_counts()) <= 1
    assert truth["p_response"].between(0, 1, inclusive="neither").all()
    assert (cohort["os_months"] >= cohort["pfs_months"]).all()
    assert (truth["latent_os_months"] >= truth["latent_pfs_months"]).all()
    assert (cohort["pfs_months"] > 0).all()
    # a death is also the end of progression-free survival
    assert (cohort.loc[cohort["os_event"] == 1, "pfs_event"] == 1).all()


# -------------------------------------------------------------------------------------------- missing tests


def test_tests_are_missing_as_in_practice(twenty_thousand):
    cohort = twenty_thousand.cohort
    lung = cohort["tumor_type"] == "NSCLC"
    missing = cohort["pdl1_tps"].isna()
    assert abs(missing[lung].mean() - 0.40) < 0.02
    assert missing[cohort["tumor_type"].isin(["Renal", "Melanoma", "Endometrial", "Pancreatic"])].mean() > 0.97
    by_year = (~missing[lung]).groupby(cohort.loc[lung, "treatment_start_year"]).mean()
    assert by_year.is_monotonic_increasing
    assert by_year.iloc[0] == 0
    assert (cohort["pdl1_assay"].isna() == missing).all()
    # the classes are SP142's
    assert (cohort["pdl1_ic"].notna() == cohort["pdl1_assay"].eq("SP142").fillna(False)).all()
    for assay, columns in ASSAYS.items():
        columns = [c for c in columns if c != "stk11_mut"]
        gone = cohort[columns].isna()
        assert (gone.all(axis=1) == gone.any(axis=1)).all()
        assert abs(gone.iloc[:, 0].mean() - load_parameters().raw["missing"][assay]["share"]) < 0.02


def test_missing_tests_follow_site_type_and_year(twenty_thousand):
    cohort = twenty_thousand.cohort
    site = cohort["site_id"].str[-2:]
    missing = cohort["gep_score"].isna().groupby(site).mean()
    assert missing["S5"] - missing["S1"] > 0.08
    year = cohort["gep_score"].isna().groupby(cohort["treatment_start_year"]).mean()
    assert year[2014] > year[2018]
    msi = cohort["msi_status"].isna()
    assert msi[cohort["tumor_type"] == "Colorectal"].mean() < 0.5 * msi[cohort["tumor_type"] == "NSCLC"].mean()
    assert set(PDL1_COLUMNS) <= set(cohort)


def test_panels_count_mutations(twenty_thousand):
    cohort, truth = twenty_thousand.cohort, twenty_thousand.truth
    mb = load_parameters().raw["panels"]["mb"]
    read = cohort["tmb_mut_mb"].notna()
    count = cohort.loc[read, "tmb_mut_mb"] * cohort.loc[read, "tmb_panel"].map(mb)
    assert (abs(count - count.round()) < 0.006 * cohort.loc[read, "tmb_panel"].map(mb) + 1e-9).all()
    # Poisson noise: the relative error on 1 Mb is many times that on an exome
    ratio = cohort["tmb_mut_mb"] / truth["latent_tmb_mut_mb"].to_numpy()
    usual = (truth["latent_tmb_mut_mb"] > 4).to_numpy()
    assert ratio[usual & (cohort["tmb_panel"] == "FoundationOne CDx")].std() > 0.25
    assert ratio[usual & (cohort["tmb_panel"] == "WES")].std() < 0.08
    assert abs(ratio[usual].mean() - 1) < 0.02
    impact = cohort["tmb_panel"].str.startswith("MSK").fillna(False).astype(bool)
    assert set(cohort.loc[impact & (cohort["treatment_start_year"] == 2014), "tmb_panel"]) == {"MSK-IMPACT 341"}


# ------------------------------------------------------------------------------------------------- control arm


@pytest.fixture(scope="module")
def two_arms():
    return SyntheticCohort(n_patients=20_000, control_fraction=0.4).load()


def test_controls_receive_no_ici(two_arms, twenty_thousand):
    cohort, truth = two_arms.cohort, two_arms.truth
    control = cohort["arm"] == "control"
    assert abs(control.mean() - 0.4) < 0.02
    assert (cohort.loc[control, "drug_class"] == "none").all()
    assert (cohort.loc[~control, "drug_class"] != "none").all()
    irae = ["irae", "irae_grade", "irae_organ", "irae_onset_days"]
    assert cohort.loc[control, irae].isna().all(axis=None)
    assert cohort.loc[~control, ["irae", "irae_grade"]].notna().all(axis=None)
    # the draws of who they are stay the same, and so do those on ICI
    same = (~control).to_numpy()
    assert_frame_equal(cohort[same], twenty_thousand.cohort[same])
    by_outcome = [c for c in truth if "months" in c or "responder" in c]
    assert_frame_equal(truth.drop(columns=by_outcome), twenty_thousand.truth.drop(columns=by_outcome))


def test_each_arm_responds_by_its_own_probability(two_arms):
    cohort, truth = two_arms.cohort, two_arms.truth
    np.testing.assert_allclose(truth["individual_effect"], truth["p_response"] - truth["p_response_control"])
    for arm, column in (("ici", "p_response"), ("control", "p_response_control")):
        rows = ((cohort["arm"] == arm) & cohort["responder"].notna()).to_numpy()
        y = cohort.loc[rows, "responder"].to_numpy(float)
        (intercept, slope), (se0, se1) = logistic(logit(truth.loc[rows, [column]].to_numpy()), y)
        assert abs(slope - 1) < 3 * se1 < 0.2
        assert abs(intercept) < 3 * se0 < 0.4


def test_tmb_tells_who_gains_and_albumin_does_not(two_arms):
    truth = two_arms.truth
    high = truth["latent_tmb_mut_mb"] >= 10
    assert truth.loc[high, "individual_effect"].mean() > truth.loc[~high, "individual_effect"].mean() + 0.05
    control = logit(truth["p_response_control"])
    assert abs(np.corrcoef(control, np.log(truth["latent_tmb_mut_mb"]))[0, 1]) < 0.15
    assert np.corrcoef(control, truth["latent_albumin_g_dl"])[0, 1] > 0.2


# ------------------------------------------------------------------------------------------------- adverse events


def test_adverse_events_come_in_life_and_end_treatment_if_severe(twenty_thousand):
    cohort = twenty_thousand.cohort
    seen = (cohort["irae"] == 1).to_numpy()
    assert (cohort["irae_onset_days"].notna() == seen).all()
    assert (cohort["irae_organ"].notna() == seen).all()
    assert (cohort["irae_grade"].gt(0) == seen).all()
    days = 365.25 / 12
    assert (cohort.loc[seen, "irae_onset_days"] <= cohort.loc[seen, "os_months"] * days + 1).all()
    severe = (cohort["irae_grade"] >= 3).to_numpy()
    assert (cohort.loc[severe, "exposure_weeks"] <= cohort.loc[severe, "irae_onset_days"] / 7 + 0.1).all()
    assert (cohort["exposure_weeks"] <= cohort["os_months"] * days / 7 + 0.1).all()
    assert (cohort.loc[cohort["irae_grade"] == 5, "os_event"] == 1).all()
    # who responds has more of them
    response = cohort["responder"] == 1
    assert cohort.loc[response, "irae"].mean() > cohort.loc[~response, "irae"].mean() + 0.05


def test_depth_agrees_with_best_response(twenty_thousand):
    cohort = twenty_thousand.cohort
    depth = cohort.groupby("bor")["depth_pct"].agg(["min", "max", "count"])
    assert tuple(depth.loc["CR", ["min", "max"]]) == (-100, -100)
    assert -100 < depth.loc["PR", "min"] < depth.loc["PR", "max"] <= -30
    assert -30 < depth.loc["SD", "min"] < depth.loc["SD", "max"] < 20 <= depth.loc["PD", "min"]
    assert depth.loc["NE", "count"] == 0


# ------------------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize("size", [137, 1000])
def test_blocks_together_are_the_cohort(size):
    cohort = SyntheticCohort(n_patients=1000, n_cohorts=3, seed=8, scenario="imputed", control_fraction=0.3)
    whole, parts = cohort.load(), list(cohort.blocks(size))
    assert max(len(p.cohort) for p in parts) <= size
    columns = [c for c in whole.cohort if c != "dnlr"]  # in one cohort only
    assert_frame_equal(pd.concat([p.cohort[columns] for p in parts], ignore_index=True), whole.cohort[columns])
    assert_frame_equal(pd.concat([p.truth for p in parts], ignore_index=True), whole.truth)


def test_blocks_of_no_size_are_refused():
    with pytest.raises(ConfigError, match=r"cohort\.size"):
        next(SyntheticCohort(n_patients=30).blocks(0))


# ------------------------------------------------------------------------------------------------ bad settings


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("n_patients", 0, "whole number from 1"),
        ("n_patients", 12.5, "whole number"),
        ("n_patients", 2, "fewer cohorts"),
        ("n_patients", True, "whole number"),
        ("n_cohorts", 0, "from 1 to 26"),
        ("n_cohorts", "A", "whole number"),
        ("n_cohorts", [], "Name one"),
        ("n_cohorts", ["A", "A"], "named twice"),
        ("n_cohorts", ["A", 3], "letters"),
        ("n_cohorts", [f"c{k}" for k in range(101)], "more than 100"),
        ("seed", -1, "whole number from 0"),
        ("seed", None, "whole number"),
        ("scenario", "easy", "default, null_tmb"),
        ("scenario", ["default"], "default, null_tmb"),
        ("cohort_shift", 1.5, "from 0 to 1"),
        ("cohort_shift", float("nan"), "from 0 to 1"),
        ("cohort_shift", "much", "from 0 to 1"),
        ("control_fraction", 1.0, "from 0 to 0.9"),
        ("control_fraction", "half", "from 0 to 0.9"),
        ("name", "a b", "letters"),
        ("name", "", "letters"),
    ],
)
def test_a_bad_setting_is_named_with_its_mend(setting, value, says):
    with pytest.raises(ConfigError, match=rf"cohort\.{setting}: .*{says}"):
        SyntheticCohort(**{setting: value})
