"""Natural cohorts that look odd raise no alarm, and each contradiction is put down to what explains it."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.checks import CHECKS, check_cohort
from immunocast.cohort.checks.atoms import find_atoms, lattice_of
from immunocast.cohort.loading import inspect_cohort
from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import Provenance
from immunocast.cohort.tabular import TabularCohort

REAL = Provenance("x", False, "somewhere", "0")


def patients(n=240, *, pfs=4.0, os=12.0, follow_up=40.0, seed=0):
    """A cohort with scans every two months, responders who stay for long, and staggered entry."""
    rng = np.random.default_rng(seed)
    bor = rng.choice(["PR", "SD", "PD"], n, p=[0.3, 0.3, 0.4])
    free = np.select(
        [bor == "PR", bor == "SD"],
        [2 + rng.exponential(4 * pfs, n), 4 + rng.exponential(pfs, n)],
        rng.uniform(1, 2.6, n),
    )
    alive = free + rng.exponential(os, n) * np.where(bor == "PR", 2, 0.8)
    end = rng.uniform(3, follow_up, n)
    return pd.DataFrame(
        {
            "patient_id": [f"p{i:03d}" for i in range(n)],
            "cohort_id": "a",
            "bor": pd.Series(bor, dtype="str"),
            "pfs_months": np.minimum(free, end).round(1),
            "pfs_event": pd.array((free <= end).astype(int), dtype="Int64"),
            "os_months": np.minimum(alive, end).round(1),
            "os_event": pd.array((alive <= end).astype(int), dtype="Int64"),
        }
    )


def found(cohort):
    return check_cohort(cohort, make_labels(cohort).y, REAL, [])


def told(cohort, *families):
    return {(f["code"], f["column"]) for f in found(cohort) if f["code"].startswith(families)}


TIMES = ("IC-UNIT-002", "IC-UNIT-003", "IC-SURV")


@pytest.mark.parametrize("seed", range(3))
def test_a_plain_cohort_has_no_finding_of_times_and_flags(seed):
    assert told(patients(seed=seed), *TIMES, "IC-FLAG") == set()


@pytest.mark.parametrize("end", [12, 24, 36])
def test_follow_up_that_ends_on_one_day_is_no_other_unit(end):
    cohort = patients(pfs=9, os=40, follow_up=400)
    later = cohort["pfs_months"] > end, cohort["os_months"] > end
    cohort["pfs_event"] = cohort["pfs_event"].where(~later[0], 0)
    cohort["os_event"] = cohort["os_event"].where(~later[1], 0)
    cohort[["pfs_months", "os_months"]] = cohort[["pfs_months", "os_months"]].clip(upper=end)
    assert later[0].sum() >= 20
    assert told(cohort, *TIMES) == set()


@pytest.mark.parametrize("landmark", [3.0, 6.0])
def test_a_landmark_cohort_is_not_in_weeks(landmark):
    cohort = patients(900)
    kept = cohort[cohort["pfs_months"] >= landmark].reset_index(drop=True)
    assert told(kept, *TIMES) == set()
    days = kept.assign(pfs_months=(kept["pfs_months"] * 30.4375).round())
    assert ("IC-UNIT-002", "pfs_months") in told(days, *TIMES)


def test_long_benefit_is_not_weeks_where_those_who_progress_fit_months():
    cohort = patients(pfs=40, os=80, follow_up=110)
    cohort = cohort[(cohort["bor"] == "PR") | (cohort.index % 3 > 0)].reset_index(drop=True)
    cohort = pd.concat(
        [
            cohort,
            patients(pfs=40, os=80, follow_up=110, seed=1)
            .query("bor == 'PR'")
            .assign(patient_id=lambda c: c["patient_id"] + "b"),
        ],
        ignore_index=True,
    )
    assert cohort["pfs_months"].median() > 12
    assert told(cohort, *TIMES) == set()


def test_rounding_to_different_decimals_is_no_contradiction():
    cohort = patients()
    whole = cohort.assign(os_months=np.floor(cohort["os_months"]))
    assert (whole["pfs_months"] > whole["os_months"] + 0.05).sum() >= 10
    assert told(whole, "IC-SURV") == set()
    assert told(whole.assign(pfs_months=whole["pfs_months"] + 1.5), "IC-SURV-001")


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("os", [12.0, 40.0])
def test_swapped_times_are_no_other_unit(share, os):
    cohort = patients(os=os, follow_up=100)
    rows = np.random.default_rng(1).random(len(cohort)) < share
    swapped = cohort.assign(
        pfs_months=cohort["pfs_months"].where(~rows, cohort["os_months"]),
        os_months=cohort["os_months"].where(~rows, cohort["pfs_months"]),
    )
    codes = {code for code, _ in told(swapped, *TIMES)}
    assert codes == ({"IC-SURV-001"} if share < 0.1 else {"IC-SURV-001", "IC-SURV-007"})
    assert CHECKS["IC-SURV-007"].severity == "error"


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize(("pfs", "os"), [(1.5, 5.0), (4.0, 12.0), (9.0, 40.0)])
def test_days_are_not_taken_for_swapped_times(share, pfs, os):
    cohort = patients(pfs=pfs, os=os)
    rows = np.random.default_rng(1).random(len(cohort)) < share
    days = cohort.assign(pfs_months=cohort["pfs_months"].where(~rows, (cohort["pfs_months"] * 30.4375).round()))
    codes = {code for code, _ in told(days, *TIMES)}
    assert codes & {"IC-UNIT-002", "IC-UNIT-003"}
    assert "IC-SURV-007" not in codes


def test_single_patients_who_progressed_without_an_event_are_listed():
    cohort = patients()
    wrong = cohort.index[(cohort["bor"] == "PD") & (cohort["pfs_event"] == 1)][:2]
    died = cohort.index[(cohort["bor"] == "SD") & (cohort["pfs_event"] == 1)][0]
    cohort.loc[[*wrong, died], "pfs_event"] = 0
    cohort.loc[died, "os_months"] = cohort.loc[died, "pfs_months"]
    cohort.loc[died, "os_event"] = 1
    (row,) = [f for f in found(cohort) if f["code"].startswith("IC-FLAG")]
    assert (row["code"], row["severity"], row["n"]) == ("IC-FLAG-004", "info", 3)
    assert row["rows"].split(";") == sorted(cohort["patient_id"][[*wrong, died]])
    assert "2 with PD as best response and 1 dead" in row["message"]


def test_a_response_that_everybody_has_accuses_no_time_and_no_flag():
    cohort = patients().assign(bor="PD")
    assert (cohort["pfs_months"] > 15).sum() >= 5
    assert told(cohort, *TIMES, "IC-FLAG") == {("IC-FLAG-005", "bor")}


@pytest.mark.parametrize("size", [0.8, 1.18, 1.22])
def test_counts_over_the_size_of_a_panel_are_a_lattice(size):
    rng = np.random.default_rng(3)
    for _ in range(20):
        values = np.round(rng.poisson(rng.gamma(1.5, 4, 40)) / size, 2)
        assert find_atoms(values) == []
    width, on = lattice_of(*np.unique(values, return_counts=True))
    assert abs(width - 1 / size) < 0.005
    assert on.all()
    smooth = np.round(rng.lognormal(1.4, 0.7, 300), 1)
    assert lattice_of(*np.unique(smooth, return_counts=True)) is None


def test_a_constant_among_panel_counts_is_still_an_atom():
    rng = np.random.default_rng(3)
    values = np.round(rng.poisson(rng.gamma(1.5, 4, 300)) / 1.22, 2)
    for constant in (6.2, 10 / 1.22):
        planted = np.where(np.arange(300) < 60, round(constant, 2), values)
        assert [a.value for a in find_atoms(planted)] == [round(constant, 2)]


def test_an_imputed_mean_makes_no_exact_ratios():
    rng = np.random.default_rng(5)
    n = 400
    albumin = rng.normal(3.9, 0.4, n).round(1)
    haemoglobin = np.where(np.arange(n) < 20, 12.345678, rng.normal(12.3, 1.6, n).round(1))
    cohort = patients(n).assign(albumin_g_dl=albumin, hemoglobin_g_dl=haemoglobin)
    assert told(cohort, "IC-DEP") == set()


def test_a_cohort_that_was_observed_to_the_end_is_told_once():
    cohort = patients().assign(os_event=1, pfs_event=1)
    assert told(cohort, *TIMES, "IC-FLAG") == {("IC-FLAG-003", "os_event")}
    alive = cohort.assign(os_event=pd.array([0, 1] * (len(cohort) // 2), dtype="Int64"))
    assert ("IC-FLAG-003", "pfs_event") in told(alive, "IC-FLAG")


def young_cohort(n=600):
    """Few deaths and accrual until the end of follow-up: the deceased are those who entered long ago."""
    rng = np.random.default_rng(4)
    since = rng.exponential(25, n).clip(0.5, 100)
    dies = since > 45
    dead = dies & (rng.random(n) < 0.6)
    return pd.DataFrame(
        {
            "PATIENT": [f"p{i:03d}" for i in range(n)],
            "OS_MONTHS": np.where(dead, since * rng.uniform(0.5, 1, n), since).round(1),
            "OS_STATUS": np.where(dead, "1:DECEASED", "0:LIVING"),
        }
    )


@pytest.mark.parametrize(("words", "accused"), [(True, False), (False, True)])
def test_time_accuses_no_status_that_is_spelled_in_words(tmp_path, words, accused):
    table = young_cohort()
    if not words:
        table["OS_STATUS"] = table["OS_STATUS"].str[0]
    table.to_csv(tmp_path / "young.csv", index=False)
    columns = {"patient_id": "PATIENT", "os_months": "OS_MONTHS", "os_event": "OS_STATUS"}
    tables, problems = TabularCohort(name="young", file=tmp_path / "young.csv", columns=columns).load_what_can_be_read()
    codes = set(inspect_cohort(tables, problems=problems)["code"])
    assert ("IC-FLAG-001" in codes) is accused


@pytest.mark.parametrize(("scenario", "shifted"), [("default", False), ("site_shift", True)])
def test_cohorts_that_were_measured_otherwise_are_shifted(scenario, shifted):
    tables = SyntheticCohort(scenario=scenario).load()
    found = inspect_cohort(tables)
    assert (found["code"] == "IC-SHIFT-001").any() == shifted
