"""Validation schemes: who trains and who is tested. A person is never on both sides, also under two ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from immunocast.errors import ConfigError


@dataclass(frozen=True)
class Split:
    """One fold: positions of the training and of the test rows.

    `n_linked_out` counts training candidates left out since the same person is in the test fold.
    """

    repeat: int
    fold: str
    train: np.ndarray
    test: np.ndarray
    n_linked_out: int = 0

    @property
    def key(self) -> str:
        """Name of the fold's bundle folder."""
        return fold_key(self.repeat, self.fold)


def fold_key(repeat: int, fold: str) -> str:
    """Name of a fold's bundle folder; what a cohort's name may hold but a file's may not is escaped.

    >>> fold_key(0, "A/B")
    'r0-A%2FB'
    """
    return f"r{repeat}-{quote(fold, safe=' ')}"


class Scheme(Protocol):
    """A validation scheme."""

    name: str

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """Folds over the rows of a cohort table whose labels are all known."""
        ...

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """Positions of the rows on which the final model is fitted."""
        ...


def _disjoint(cohort: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, int]:
    """Training rows without the persons of the test rows."""
    person = cohort["person_id"].to_numpy()
    keep = ~np.isin(person[train], person[test])
    return train[keep], int((~keep).sum())


class LeaveOneCohortOut:
    """Each cohort is tested by models that were trained on all others."""

    name = "leave_one_cohort_out"

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """One fold a cohort, in the order of their names."""
        ids = cohort["cohort_id"].to_numpy()
        names = sorted(set(ids))
        if len(names) < 2:
            raise ConfigError(
                f"Leave-one-cohort-out needs two cohorts or more; there is one ({', '.join(names)}). "
                "Use validation=repeated_kfold."
            )
        for held_out in names:
            test = np.flatnonzero(ids == held_out)
            train, lost = _disjoint(cohort, np.flatnonzero(ids != held_out), test)
            yield Split(0, str(held_out), train, test, lost)

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """All rows."""
        return np.arange(len(cohort))


class RepeatedStratifiedKFold:
    """Repeated K-fold, stratified by cohort and outcome, grouped by person.

    Parameters
    ----------
    n_splits, n_repeats : folds in a repeat, and repeats.
    seed : of the first repeat's shuffling; repeat r uses seed + r.
    """

    name = "repeated_kfold"

    def __init__(self, n_splits: int = 5, n_repeats: int = 5, seed: int = 0):
        if n_splits < 2 or n_repeats < 1:
            raise ConfigError("validation: n_splits must be at least 2 and n_repeats at least 1.")
        self.n_splits = n_splits
        self.n_repeats = n_repeats
        self.seed = seed

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """n_repeats x n_splits folds."""
        stratum = cohort["cohort_id"].astype(str).str.cat(pd.Series(y, index=cohort.index).astype(str), "|")
        per_class = min(int(y.sum()), int(len(y) - y.sum()))
        if per_class < self.n_splits:
            raise ConfigError(
                f"{self.n_splits} folds need at least as many patients with and without the event; the smaller class "
                f"has {per_class}. Lower validation.n_splits."
            )
        # a stratum smaller than the number of folds cannot be spread over them: it joins its outcome's other
        # small ones, and where they are still too few, the outcome is not split by cohort at all
        outcome = pd.Series(y, index=cohort.index).astype(str)
        for joined in (False, True):
            small = stratum.map(stratum.value_counts()) < self.n_splits
            stratum = stratum.mask(small.groupby(y).transform("any") if joined else small, outcome)
        codes = np.unique(stratum, return_inverse=True)[1]
        for repeat in range(self.n_repeats):
            folds = StratifiedGroupKFold(self.n_splits, shuffle=True, random_state=self.seed + repeat)
            person = cohort["person_id"].to_numpy()
            for k, (train, test) in enumerate(folds.split(np.zeros(len(y)), codes, person)):
                yield Split(repeat, str(k), train, test)

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """All rows."""
        return np.arange(len(cohort))


class TrainTest:
    """Train on some cohorts, test on others; the final model is the one that was tested.

    Parameters
    ----------
    train, test : cohort ids.
    """

    name = "train_test"

    def __init__(self, train: Sequence[str], test: Sequence[str]):
        for key, names in (("train", train), ("test", test)):
            if isinstance(names, str):
                raise ConfigError(f"validation.{key} is {names!r}; write a list: [{names}].")
        self.train = list(train)
        self.test = list(test)
        both = set(self.train) & set(self.test)
        if both:
            raise ConfigError(f"validation: {', '.join(sorted(both))} is in both train and test.")
        if not self.train or not self.test:
            raise ConfigError("validation: name at least one cohort in train and one in test.")

    def _rows(self, cohort: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
        known = set(cohort["cohort_id"])
        for name in (*self.train, *self.test):
            if name not in known:
                raise ConfigError(f"validation names cohort {name!r}; the data hold: {', '.join(sorted(known))}.")
        ids = cohort["cohort_id"].to_numpy()
        test = np.flatnonzero(np.isin(ids, self.test))
        train, lost = _disjoint(cohort, np.flatnonzero(np.isin(ids, self.train)), test)
        return train, test, lost

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """One fold."""
        train, test, lost = self._rows(cohort)
        yield Split(0, "external", train, test, lost)

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """The training cohorts only: the model that was tested is the model that is kept."""
        return self._rows(cohort)[0]
