"""Validation schemes: a person is never on both sides, and every patient has the turns that the scheme says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from immunocast.cohort.linkage.persons import Persons
from immunocast.errors import ConfigError
from immunocast.validation.designs import Auto, External, Temporal, TrainTest
from immunocast.validation.splits import LeaveOneCohortOut, LeaveOneGroupOut, RepeatedStratifiedKFold, fold_key


def table(cohorts, persons=None):
    n = len(cohorts)
    ids = [f"p{i}" for i in range(n)]
    return pd.DataFrame({"patient_id": ids, "cohort_id": cohorts, "person_id": persons or ids}).astype("str")


def persons_apart(cohort, split):
    person = cohort["person_id"].to_numpy()
    return not set(person[split.train]) & set(person[split.test]) and not set(split.train) & set(split.test)


rows = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 40), st.integers(0, 1)), min_size=60, max_size=120)


@settings(max_examples=30, deadline=None)
@given(rows=rows)
def test_no_person_is_on_both_sides(rows):
    cohorts, persons, y = zip(*rows, strict=True)
    cohort, y = table(list(cohorts), [f"h{p}" for p in persons]), np.array(y)
    schemes = [TrainTest(["A"], ["B", "C"]), LeaveOneCohortOut()]
    if min(y.sum(), (1 - y).sum()) >= 3:
        schemes.append(RepeatedStratifiedKFold(3, 2))
    for scheme in schemes:
        if not {"A", "B", "C"} <= set(cohorts):
            continue
        splits = list(scheme.split(cohort, y))
        for split in splits:
            assert persons_apart(cohort, split)
        if scheme.name == "repeated_kfold":
            for repeat in (0, 1):
                tested = np.concatenate([s.test for s in splits if s.repeat == repeat])
                assert sorted(tested) == list(range(len(y))), "everybody is tested once a repeat"
        if scheme.name == "train_test":
            assert np.array_equal(scheme.final_train(cohort), splits[0].train)


links = st.lists(st.tuples(st.integers(0, 89), st.integers(0, 89)), max_size=60)


@settings(max_examples=25, deadline=None)
@given(pairs=links, seed=st.integers(0, 99))
def test_whoever_is_linked_over_any_chain_is_on_one_side(pairs, seed):
    """Links as the linkage makes them, over three cohorts and through third patients: no path crosses a split."""
    cohort = table(["A"] * 30 + ["B"] * 30 + ["C"] * 30)
    persons = Persons(cohort["person_id"], cohort["cohort_id"])
    joined = [(i, j) for i, j in pairs if persons.add(i, j) == "linked"]
    cohort = cohort.assign(person_id=pd.Series(persons.ids(), dtype="str"))
    y = (np.random.default_rng(seed).random(90) < 0.4).astype(int)
    _, component = connected_components(
        coo_matrix((np.ones(len(joined)), tuple(np.array(joined, dtype=int).reshape(-1, 2).T)), shape=(90, 90)), False
    )
    for scheme in (LeaveOneCohortOut(), TrainTest(["A", "B"], ["C"]), RepeatedStratifiedKFold(4, 2, seed=seed)):
        splits = list(scheme.split(cohort, y))
        for split in splits:
            assert not set(component[split.train]) & set(component[split.test])
            candidates = split.n_linked_out + len(split.train) + len(split.test)
            assert candidates == 90, "whoever is left out of training is counted"
            assert len(split.train) >= 1
        if scheme.name == "leave_one_cohort_out":
            assert sorted(np.concatenate([s.test for s in splits])) == list(range(90))


def test_loco_leaves_the_whole_cohort_and_its_linked_persons_out():
    cohort = table(["A", "A", "B", "B", "C"], ["x", "a", "x", "b", "c"])
    splits = {s.fold: s for s in LeaveOneCohortOut().split(cohort, np.zeros(5))}
    assert list(splits) == ["A", "B", "C"]
    assert splits["A"].train.tolist() == [3, 4], "row 2 is the person of row 0"
    assert splits["A"].n_linked_out == 1
    assert splits["C"].train.tolist() == [0, 1, 2, 3]
    assert splits["C"].n_linked_out == 0
    for fold, split in splits.items():
        assert set(cohort["cohort_id"].iloc[split.test]) == {fold}
        assert fold not in set(cohort["cohort_id"].iloc[split.train])
    assert LeaveOneCohortOut().final_train(cohort).tolist() == [0, 1, 2, 3, 4]


def test_loco_needs_two_cohorts():
    with pytest.raises(ConfigError, match=r"there is one \(A\).*repeated_kfold"):
        list(LeaveOneCohortOut().split(table(["A", "A"]), np.array([0, 1])))


def test_train_test_keeps_linked_persons_out_of_training_and_of_the_final_model():
    cohort = table(["A", "A", "B", "C"], ["x", "a", "x", "c"])
    scheme = TrainTest(["A"], ["B"])
    (split,) = scheme.split(cohort, np.zeros(4))
    assert split.train.tolist() == scheme.final_train(cohort).tolist() == [1]
    assert (split.test.tolist(), split.n_linked_out, split.key) == ([2], 1, "r0-external")


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (["A"], ["A", "B"], "A is in both"),
        ([], ["B"], "at least one cohort"),
        (["A"], [], "at least one cohort"),
        ("A", ["B"], r"validation.train is 'A'; write a list: \[A\]"),
    ],
)
def test_train_test_refuses(train, test, words):
    with pytest.raises(ConfigError, match=words):
        TrainTest(train, test)


def test_train_test_names_unknown_cohorts():
    with pytest.raises(ConfigError, match=r"cohort 'Z'; the data hold: A, B"):
        list(TrainTest(["A"], ["Z"]).split(table(["A", "B"]), np.zeros(2)))


def test_kfold_is_stratified_seeded_and_shuffled_anew():
    rng = np.random.default_rng(0)
    cohort, y = table(["A"] * 60 + ["B"] * 60), (rng.random(120) < 0.3).astype(int)
    splits = list(RepeatedStratifiedKFold(4, 2, seed=7).split(cohort, y))
    again = list(RepeatedStratifiedKFold(4, 2, seed=7).split(cohort, y))
    other = list(RepeatedStratifiedKFold(4, 2, seed=70).split(cohort, y))
    assert [s.key for s in splits] == [f"r{r}-{k}" for r in (0, 1) for k in range(4)]
    assert all(np.array_equal(a.test, b.test) for a, b in zip(splits, again, strict=True))
    assert not all(np.array_equal(a.test, b.test) for a, b in zip(splits, other, strict=True))
    assert not np.array_equal(splits[0].test, splits[4].test)
    for split in splits:
        assert abs(y[split.test].mean() - y.mean()) < 0.06
        assert 10 <= (split.test < 60).sum() <= 20


@pytest.mark.parametrize("tiny", [1, 3, 6])
def test_tiny_strata_are_no_warning(tiny):
    """A cohort with fewer responders than folds is spread by outcome alone (warnings are errors here)."""
    cohort = table(["A"] * 80 + ["B"] * tiny)
    y = np.array([0, 1] * 40 + [1] * tiny)
    splits = list(RepeatedStratifiedKFold(5, 1).split(cohort, y))
    assert sorted(np.concatenate([s.test for s in splits])) == list(range(80 + tiny))


@pytest.mark.parametrize(("events", "mend"), [(3, "n_splits to 3 or fewer"), (1, "too few for any number of folds")])
def test_kfold_says_what_to_do_about_a_small_class(events, mend):
    cohort = pd.DataFrame({"patient_id": [f"P{i}" for i in range(12)], "cohort_id": "A"})
    cohort["person_id"] = cohort["patient_id"]
    with pytest.raises(ConfigError, match=mend):
        list(RepeatedStratifiedKFold(5, 1).split(cohort, np.arange(12) < events))


@pytest.mark.parametrize(("n_splits", "n_repeats"), [(1, 5), (5, 0)])
def test_kfold_refuses_settings(n_splits, n_repeats):
    with pytest.raises(ConfigError, match="at least"):
        RepeatedStratifiedKFold(n_splits, n_repeats)


def test_kfold_needs_enough_of_each_class():
    with pytest.raises(ConfigError, match="the smaller class has 3"):
        list(RepeatedStratifiedKFold(5).split(table(["A"] * 20), np.array([1] * 3 + [0] * 17)))


def test_fold_keys_are_single_folder_names():
    assert fold_key(0, "Chowell_train") == "r0-Chowell_train"
    assert len({fold_key(0, f) for f in ("A/B", "A%2FB", "../x", "A B", "É")}) == 5
    assert not any("/" in fold_key(0, f) or "\\" in fold_key(0, f) for f in ("A/B", "../../x", "a\\b"))


DESIGNS = {
    "leave_one_cohort_out": LeaveOneCohortOut(),
    "leave_one_site_out": LeaveOneGroupOut("site_id", 4, 1),
    "leave_one_tumor_type_out": LeaveOneGroupOut("tumor_type"),
    "temporal": Temporal(2018),
    "train_test": TrainTest(["A"], ["B"]),
    "external": External(["B", "C"]),
    "repeated_kfold": RepeatedStratifiedKFold(3, 2, seed=5),
    "auto": Auto(min_events=5, n_splits=3, n_repeats=2),
}

patient = st.tuples(
    st.sampled_from("ABC"),
    st.integers(0, 60),
    st.integers(0, 1),
    st.sampled_from(["s1", "s2", "s3", None]),
    st.sampled_from(["NSCLC", "Melanoma", None]),
    st.sampled_from([2016, 2017, 2018, 2019, None]),
)


def rich_table(patients):
    cohorts, persons, y, sites, types, years = zip(*patients, strict=True)
    cohort = table(list(cohorts), [f"h{p}" for p in persons])
    cohort["site_id"] = pd.Series(sites, dtype="str")
    cohort["tumor_type"] = pd.Series(types, dtype="str")
    cohort["treatment_start_year"] = pd.Series(years, dtype="Int64")
    return cohort, np.array(y)


@settings(max_examples=60, deadline=None)
@given(patients=st.lists(patient, min_size=20, max_size=80), seed=st.integers(0, 999))
def test_every_design_on_any_table(patients, seed):
    """Nobody on both sides, everybody who is eligible once a repeat, the same again, and in any order of the rows."""
    cohort, y = rich_table(patients)
    order = np.random.default_rng(seed).permutation(len(y))
    ids = cohort["patient_id"].to_numpy()
    for name, design in DESIGNS.items():
        try:
            splits = list(design.split(cohort, y))
        except ConfigError:
            continue
        eligible = np.ones(len(y), dtype=bool)
        if name == "temporal":
            eligible = (cohort["treatment_start_year"] >= 2018).fillna(False).to_numpy(dtype=bool)
        elif name in ("train_test", "external"):
            eligible = cohort["cohort_id"].isin(design.test).to_numpy()
        elif name.startswith("leave_one") and name != "leave_one_cohort_out":
            group = cohort[design.column]
            large = [g for g, rows in group.dropna().groupby(group) if _enough(y[rows.index], design)]
            eligible = group.isin(large).to_numpy()
            for split in splits:
                assert not (group.iloc[split.train] == split.fold).any()
                where = set(cohort["cohort_id"].iloc[split.test])
                unknown = group.isna() & cohort["cohort_id"].isin(where)
                assert not unknown.iloc[split.train].any(), "an unknown group may be the one that is held out"
        for split in splits:
            assert persons_apart(cohort, split)
            assert len(split.test)
        for repeat in {s.repeat for s in splits}:
            tested = np.concatenate([s.test for s in splits if s.repeat == repeat])
            assert sorted(tested) == np.flatnonzero(eligible).tolist(), name
        shuffled = cohort.iloc[order].reset_index(drop=True)
        for again, where in ((design.split(cohort, y), ids), (design.split(shuffled, y[order]), ids[order])):
            for split, other in zip(splits, again, strict=True):
                assert (split.key, split.n_linked_out) == (other.key, other.n_linked_out)
                assert set(ids[split.train]) == set(where[other.train])
                assert set(ids[split.test]) == set(where[other.test])
        assert isinstance(getattr(design, "notes", lambda *_: [])(cohort, y), list)


def _enough(y, design):
    events = int(y.sum())
    return len(y) >= design.min_patients and min(events, len(y) - events) >= design.min_events


def test_auto_takes_cohorts_only_where_two_are_large_enough():
    y = np.array([0, 1] * 40)
    two = table(["A"] * 40 + ["B"] * 40)
    design = Auto(min_events=10)
    assert design.choose(two, y).name == "leave_one_cohort_out"
    assert design.notes(two, y) == [
        "validation=auto took leave_one_cohort_out: 2 of 2 cohorts have 10 events and as many non-events: A, B"
    ]
    assert [s.fold for s in design.split(two, y)] == ["A", "B"]
    lopsided = table(["A"] * 62 + ["B"] * 18)
    assert design.choose(lopsided, y).name == "repeated_kfold", "B has 9 events"
    assert "1 of 2 cohorts" in design.notes(lopsided, y)[0]
    assert design.choose(table(["A"] * 80), y).name == "repeated_kfold"


def test_small_groups_train_and_are_never_tested():
    cohort = table(["A"] * 20).assign(site_id=["s1"] * 8 + ["s2"] * 8 + ["s3"] * 3 + [None])
    design, y = LeaveOneGroupOut("site_id", min_patients=4, min_events=1), np.array([0, 1] * 10)
    splits = {s.fold: s for s in design.split(cohort, y)}
    assert list(splits) == ["s1", "s2"]
    assert splits["s1"].train.tolist() == list(range(8, 19)), "s3 trains; the unknown one might be of s1"
    assert design.notes(cohort, y) == [
        "not tested, since under 4 patients or 1 events or non-events; they train: site s3",
        "not tested, since their site is unknown: n = 1",
    ]
    apart = cohort.assign(cohort_id=["A"] * 19 + ["B"])
    first = next(iter(design.split(apart, y)))
    assert 19 in first.train, "of another cohort, where s1 does not occur"


def test_years_split_at_the_first_test_year():
    cohort = table(["A"] * 5).assign(treatment_start_year=pd.array([2016, 2017, 2018, 2019, None], dtype="Int64"))
    design = Temporal(2018)
    (split,) = design.split(cohort, np.zeros(5))
    assert (split.train.tolist(), split.test.tolist(), split.fold) == ([0, 1], [2, 3], "from_2018")
    assert design.final_train(cohort).tolist() == [0, 1], "the model that was tested is the model that is kept"
    assert design.notes(cohort, np.zeros(5)) == ["left out, since their treatment_start_year is unknown: n = 1"]


def test_external_trains_on_all_other_cohorts():
    cohort = table(["A", "A", "B", "C"], ["x", "a", "x", "c"])
    (split,) = External(["B"]).split(cohort, np.zeros(4))
    assert (split.train.tolist(), split.test.tolist(), split.n_linked_out) == ([1, 3], [2], 1)


ONE = table(["A"] * 6).assign(
    site_id="s1", tumor_type=None, treatment_start_year=pd.array([2016] * 6, dtype="Int64"), sex="female"
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LeaveOneGroupOut("site_id"), r"Leave-one-site-out needs two sites or more; there is one \(s1\)"),
        (lambda: LeaveOneGroupOut("tumor_type"), r"needs the column tumor_type, which is known for no"),
        (lambda: LeaveOneGroupOut("hospital"), r"needs the column hospital"),
        (lambda: LeaveOneGroupOut("site_id", 0), "min_patients must be at least 1"),
        (lambda: Temporal(2020), r"test_from is 2020; the labelled patients began treatment from 2016 to 2016"),
        (lambda: Temporal(2016), "test_from is 2016"),
        (lambda: Temporal("2018"), r"test_from is '2018'; it must be a year"),
        (lambda: Temporal(2018, "start"), "needs the column start"),
        (lambda: Temporal(2018, "sex"), "sex holds no years"),
        (lambda: External(["A"]), "none is left to train"),
        (lambda: External(["Z"]), r"cohort 'Z'; the data hold: A"),
        (lambda: External([]), "at least one cohort"),
        (lambda: External("A"), r"write a list: \[A\]"),
    ],
)
def test_designs_refuse_what_they_cannot_do(make, words):
    with pytest.raises(ConfigError, match=words):
        list(make().split(ONE, np.array([0, 1] * 3)))


def test_groups_that_are_all_too_small_are_refused():
    cohort = table(["A"] * 6).assign(site_id=["s1"] * 3 + ["s2"] * 3)
    with pytest.raises(ConfigError, match=r"No site has 20 patients.*validation\.min_patients"):
        list(LeaveOneGroupOut("site_id", 20).split(cohort, np.array([0, 1] * 3)))
