"""The same person under two ids: found where planted, not made up elsewhere, whatever the order of the rows."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.linkage import link_persons
from immunocast.cohort.quality import check_links
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import to_cohort_table
from immunocast.config import build, frozen, load_config
from immunocast.errors import ConfigError

DATA = Path(os.environ.get("IMMUNOCAST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def patients(rows):
    """(patient, cohort, fcna, tmb, age, type, sex)"""
    names = ["patient_id", "cohort_id", "fcna", "tmb_mut_mb", "age_years", "tumor_type", "sex"]
    return to_cohort_table(pd.DataFrame(rows, columns=names))


def partition(cohort):
    return {frozenset(part) for part in cohort.groupby("person_id")["patient_id"].agg(set)}


def shared(cohort):
    return {p for p in partition(cohort) if len(p) > 1}


BASE = ("NSCLC", "male")


def test_within_and_beyond_the_tolerances():
    cohort = patients(
        [
            ("a1", "A", 0.1234, 5.0, 60, *BASE),
            ("b1", "B", 0.12345, 5.05, 63.5, *BASE),
            ("a2", "A", 0.3, 5.0, 60, *BASE), ("b2", "B", 0.3001, 5.0, 60, *BASE),  # fcna differs
            ("a3", "A", 0.4, 5.0, 60, *BASE), ("b3", "B", 0.4, 5.1, 60, *BASE),  # TMB differs
            ("a4", "A", 0.5, 5.0, 60, *BASE), ("b4", "B", 0.5, 5.0, 65, *BASE),  # age differs
            ("a5", "A", 0.6, 5.0, 60, *BASE), ("b5", "B", 0.6, 5.0, 60, "NSCLC", "female"),
            ("a6", "A", 0.7, 5.0, 60, *BASE), ("b6", "B", 0.7, 5.0, 60, "SCLC", "male"),
            ("a7", "A", 0.0, 5.0, 60, *BASE), ("b7", "B", 0.0, 5.0, 60, *BASE),  # uninformative fcna
            ("a8", "A", 0.8, 5.0, 60, *BASE), ("a9", "A", 0.8, 5.0, 60, *BASE),  # one cohort
            ("b8", "B", None, 5.0, 60, *BASE), ("b9", "B", 0.9, 5.0, 60, "NSCLC", None),
            ("a0", "A", 0.9, 5.0, 60, "NSCLC", None),
        ]
    )  # fmt: skip
    linked, links = link_persons(cohort)
    assert shared(linked) == {frozenset({"a1", "b1"})}
    assert links.to_numpy().tolist() == [["a1", "A", "b1", "B"]]
    assert (linked.loc[linked["patient_id"].isin(["a1", "b1"]), "person_id"] == "a1").all()
    assert cohort["person_id"].equals(cohort["patient_id"]), "the caller's table stays as it is"
    assert linked.drop(columns="person_id").equals(cohort.drop(columns="person_id"))


def test_chains_are_one_person():
    cohort = patients(
        [("c1", "C", 0.20008, 5, 60, *BASE), ("b1", "B", 0.20004, 5, 60, *BASE), ("a1", "A", 0.2, 5, 60, *BASE)]
    )
    linked, links = link_persons(cohort)
    assert shared(linked) == {frozenset({"a1", "b1", "c1"})}
    assert len(links) == 2, "a1 and c1 are too far apart to be linked directly"
    assert set(linked["person_id"]) == {"a1"}


def test_persons_that_a_reader_knows_are_merged_too():
    cohort = patients(
        [("a1", "A", 0.2, 5, 60, *BASE), ("a2", "A", 0.7, 9, 50, *BASE), ("b1", "B", 0.2, 5, 60, *BASE)]
    ).assign(person_id=["h9", "h9", "h2"])
    assert set(link_persons(cohort)[0]["person_id"]) == {"h2"}


@pytest.mark.parametrize("middle", ["a1", "b1", "c1"])
def test_whoever_stands_in_the_middle_of_a_chain(middle):
    """Each pair of the chain is joined to all that is joined already, not only to its own two ids."""
    fcna = dict(zip([p for p in ("a1", "b1", "c1") if p != middle], (0.2, 0.2001), strict=True)) | {middle: 0.20005}
    cohort = patients([(p, p[0].upper(), value, 5, 60, *BASE) for p, value in fcna.items()])
    assert set(link_persons(cohort)[0]["person_id"]) == {"a1"}


def synthetic(n=2000, seed=11):
    cohort = SyntheticCohort(n_patients=n, seed=seed).load().cohort
    return cohort.assign(fcna=cohort["fcna"].round(4), tmb_mut_mb=cohort["tmb_mut_mb"].round(2))


def test_no_false_links_among_strangers():
    """Published precision (four decimals of FCNA): independent patients are hardly ever taken for one."""
    cohort = synthetic()
    usable = cohort[["fcna", "tmb_mut_mb", "age_years", "sex", "tumor_type"]].notna().all(axis=1)
    assert usable.sum() > 1000
    linked, links = link_persons(cohort)
    assert len(links) <= 2
    assert linked["person_id"].nunique() >= len(cohort) - 2


def test_planted_duplicates_are_found():
    cohort = synthetic()
    rng = np.random.default_rng(0)
    usable = cohort[["fcna", "tmb_mut_mb", "age_years", "sex", "tumor_type"]].notna().all(axis=1)
    known = cohort[usable & (cohort["fcna"] > 0.001) & (cohort["cohort_id"] != "synthetic-A")]
    picked = known.sample(60, random_state=0)
    copy = picked.assign(
        patient_id="copy-" + picked["patient_id"],
        person_id="copy-" + picked["person_id"],
        cohort_id="synthetic-A",
        fcna=(picked["fcna"] + rng.choice([-5e-5, 0, 5e-5], 60)).clip(0, 1),
        tmb_mut_mb=picked["tmb_mut_mb"] + rng.uniform(-0.05, 0.05, 60).clip(-picked["tmb_mut_mb"]),
        age_years=picked["age_years"] + rng.integers(-3, 4, 60),
    )
    linked, links = link_persons(pd.concat([cohort, copy], ignore_index=True))
    person = linked.set_index("patient_id")["person_id"]
    assert all(person["copy-" + p] == person[p] for p in picked["patient_id"])
    assert len(links) <= 62


@pytest.fixture(scope="module")
def strangers():
    return synthetic(300)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_row_order_changes_nothing(strangers, seed):
    wide = {"fcna": 0.01, "tmb_mut_mb": 1.0, "age_years": 8.0}
    order = np.random.default_rng(seed).permutation(len(strangers))
    linked, links = link_persons(strangers, tolerance=wide)
    mixed, mixed_links = link_persons(strangers.iloc[order].reset_index(drop=True), tolerance=wide)
    assert len(links) > 5
    assert partition(mixed) == partition(linked)
    assert set(mixed["person_id"]) == set(linked["person_id"])
    pd.testing.assert_frame_equal(mixed_links, links)


def test_a_pair_of_cohorts_is_one_finding():
    """Whichever of the two patients has the smaller value: A is linked to B, never once more B to A."""
    cohort = patients(
        [
            ("a1", "A", 0.2, 5, 60, *BASE), ("b1", "B", 0.20004, 5, 60, *BASE),
            ("a2", "A", 0.40004, 5, 60, *BASE), ("b2", "B", 0.4, 5, 60, *BASE),
        ]
    )  # fmt: skip
    _, links = link_persons(cohort)
    (found,) = check_links(links)
    assert (found["code"], found["cohort_id"], found["n"], found["rows"]) == ("IC-LINK-001", "A", 2, "a1;a2")
    assert check_links(links.iloc[:0]) == []


def test_nothing_to_compare():
    one = synthetic(200)
    assert link_persons(one.drop(columns="fcna"))[1].empty
    assert link_persons(one[one["cohort_id"] == "synthetic-A"])[1].empty


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tolerance": {}}, "tolerance is empty"),
        ({"tolerance": {"fnca": 1}}, "linkage.tolerance: 'fnca' is not in the vocabulary"),
        ({"exact": ["gender"]}, "linkage.exact: 'gender'"),
        ({"minimum": {"fnca": 1}}, "linkage.minimum: 'fnca'"),
        ({"tolerance": {"sex": 1}}, "sex is no number"),
        ({"tolerance": {"fcna": -1}}, "must be 0 or more"),
    ],
)
def test_settings_that_would_switch_it_off_in_silence(settings, words):
    with pytest.raises(ConfigError, match=words):
        link_persons(synthetic(30), **settings)


@pytest.mark.skipif(
    not (DATA / "cohorts/loris/loris.xlsx").is_file(), reason=f"the LORIS workbook is not in {DATA} (IMMUNOCAST_DATA)"
)
def test_overlap_of_the_loris_workbook():
    cfg = load_config(["cohort=loris", f"paths.data={DATA}"])
    cohort = build(cfg.cohort, "cohort").load().cohort
    linked, links = link_persons(cohort, **frozen(cfg)["linkage"])
    of = links.groupby(["cohort_id", "linked_cohort_id"]).size()
    with_vanguri = {
        next(c for c in pair if c != "Vanguri_NSCLC"): n for pair, n in of.items() if "Vanguri_NSCLC" in pair
    }
    assert with_vanguri == {"Chowell_train": 55, "Chowell_test": 34, "MSK1": 32}
    vanguri = linked[linked["cohort_id"] == "Vanguri_NSCLC"]
    others = set(linked.loc[linked["cohort_id"] != "Vanguri_NSCLC", "person_id"])
    assert vanguri["person_id"].isin(others).sum() == pytest.approx(121, abs=1)
