"""Folds keep persons together, leave nobody out, and spread every stratum evenly."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.validation.grouped_folds import grouped_folds


@settings(max_examples=80, deadline=None)
@given(
    persons=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=80),
    n_splits=st.integers(2, 6),
    seed=st.integers(0, 99),
)
def test_everybody_once_and_persons_as_a_whole(persons, n_splits, seed):
    person, stratum = (np.array(part) for part in zip(*persons, strict=True))
    stratum = np.unique(stratum, return_inverse=True)[1]
    folds = list(grouped_folds(stratum, person, n_splits, seed))
    assert len(folds) == n_splits
    assert sorted(np.concatenate(folds)) == list(range(len(person)))
    where = pd.Series(np.empty(len(person), dtype=int))
    for k, rows in enumerate(folds):
        where[rows] = k
    assert (where.groupby(person).nunique() == 1).all()
    if len(set(person)) == len(person):
        spread = pd.crosstab(where, stratum).reindex(range(n_splits), fill_value=0)
        assert (spread.max() - spread.min() <= 1).all(), "a stratum is spread to within one row"


def chosen_one_by_one(stratum, person, n_splits, seed):
    """The rule as it is told: each person to the fold that holds least of the person's strata, then fewest rows."""
    people = np.random.default_rng(seed).permutation(np.unique(person))
    fold = np.full(len(person), -1)
    for one in sorted(people, key=lambda name: -np.sum(person == name)):
        mine = person == one
        loads = [
            (sum(np.sum((fold == k) & (stratum == s)) / np.sum(stratum == s) for s in stratum[mine]), sum(fold == k))
            for k in range(n_splits)
        ]
        fold[mine] = min(range(n_splits), key=lambda k: (round(loads[k][0], 9), loads[k][1]))
    return [np.flatnonzero(fold == k).tolist() for k in range(n_splits)]


def test_folds_are_those_of_the_rule():
    rng = np.random.default_rng(1)
    for seed in range(20):
        person = rng.integers(0, 60, 50) if seed % 2 else rng.permutation(50)
        stratum = np.unique(rng.integers(0, 4, 50), return_inverse=True)[1]
        folds = [f.tolist() for f in grouped_folds(stratum, person, 5, seed)]
        assert folds == chosen_one_by_one(stratum, person, 5, seed)


def test_another_seed_gives_other_folds_and_the_same_the_same():
    person, stratum = np.arange(60), np.arange(60) % 2
    one, again, other = ([f.tolist() for f in grouped_folds(stratum, person, 5, s)] for s in (1, 1, 2))
    assert one == again
    assert one != other


def test_linked_persons_do_not_unbalance_the_outcome():
    rng = np.random.default_rng(0)
    person = np.concatenate([np.arange(100), np.arange(30), np.arange(10)])
    stratum = (rng.random(140) < 0.3).astype(int)
    sizes, rates = zip(*((len(f), stratum[f].mean()) for f in grouped_folds(stratum, person, 5, 0)), strict=True)
    assert max(sizes) - min(sizes) <= 3
    assert max(rates) - min(rates) < 0.08
