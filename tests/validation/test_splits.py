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
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold, TrainTest, fold_key


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
