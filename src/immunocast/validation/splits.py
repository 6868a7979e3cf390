"""Validation designs over groups and folds. A person is never on both sides, also under two ids.

Designs that depend on time, on named cohorts, or on the data at hand are in `designs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import numpy as np
import pandas as pd

from immunocast.errors import ConfigError
from immunocast.validation.grouped_folds import grouped_folds


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
    """A validation scheme. `notes(cohort, y)`, where a scheme has it, says whom it leaves out and why."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """Folds over the rows of a cohort table whose labels are all known."""
        ...

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """Positions of the rows on which the final model is fitted."""
        ...


def disjoint(cohort: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, int]:
    """Training rows without the persons of the test rows, and how many rows that cost."""
    person = pd.Index(cohort["person_id"])
    keep = ~person[train].isin(person[test])  # by hashing; np.isin sorts names
    return train[keep], int((~keep).sum())


class LeaveOneGroupOut:
    """Each group (cohort, site, tumour type) is tested by models that were trained on all others.

    Parameters
    ----------
    column : column of the cohort table that names the groups.
    min_patients : a group with fewer labelled patients is never tested; it trains.
    min_events : the same for a group with fewer events, or fewer non-events.

    Notes
    -----
    A patient of unknown group is never tested. The patient trains, except for groups that occur in the patient's own
    cohort: there the unknown group may be the one that is held out.
    """

    def __init__(self, column: str, min_patients: int = 1, min_events: int = 0):
        if min_patients < 1 or min_events < 0:
            raise ConfigError("validation: min_patients must be at least 1 and min_events at least 0.")
        self.column = column
        self.min_patients = min_patients
        self.min_events = min_events

    @property
    def name(self) -> str:
        """E.g. leave_one_site_out for the column site_id."""
        return f"leave_one_{self.column.removesuffix('_id')}_out"

    def _groups(self, cohort: pd.DataFrame) -> np.ndarray:
        """(n,) object, the group's name or None."""
        if self.column not in cohort or cohort[self.column].isna().all():
            raise ConfigError(
                f"{self.name} needs the column {self.column}, which is known for no labelled patient. Map it, or use "
                "validation=repeated_kfold."
            )
        values = cohort[self.column]
        return np.array([None if gone else str(v) for v, gone in zip(values, values.isna(), strict=True)], dtype=object)

    def _tested(self, groups: np.ndarray, y: np.ndarray) -> tuple[list[str], list[str]]:
        """Names of the groups that are tested, and of those that are too small."""
        names = sorted({g for g in groups if g is not None})
        what = humanised(self.column)
        if len(names) < 2:
            raise ConfigError(
                f"Leave-one-{what.replace(' ', '-')}-out needs two {what}s or more; there is one ({', '.join(names)}). "
                "Use validation=repeated_kfold."
            )
        large: list[str] = []
        small: list[str] = []
        for name in names:
            inside = groups == name
            n, events = int(inside.sum()), int(y[inside].sum())
            enough = n >= self.min_patients and min(events, n - events) >= self.min_events
            (large if enough else small).append(name)
        if not large:
            raise ConfigError(
                f"No {what} has {self.min_patients} patients with {self.min_events} events and as many non-events. "
                "Lower validation.min_patients and validation.min_events, or use validation=repeated_kfold."
            )
        return large, small

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """One fold a group that is large enough, in the order of their names."""
        groups, cohorts = self._groups(cohort), cohort["cohort_id"].to_numpy()
        unknown = np.array([g is None for g in groups])
        for held_out in self._tested(groups, np.asarray(y))[0]:
            inside = groups == held_out
            maybe = unknown & np.isin(cohorts, list(set(cohorts[inside])))
            train, lost = disjoint(cohort, np.flatnonzero(~inside & ~maybe), np.flatnonzero(inside))
            yield Split(0, held_out, train, np.flatnonzero(inside), lost)

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """All rows."""
        return np.arange(len(cohort))

    def notes(self, cohort: pd.DataFrame, y: np.ndarray) -> list[str]:
        """Which groups are never tested, and how many patients are of unknown group."""
        groups = self._groups(cohort)
        small = self._tested(groups, np.asarray(y))[1]
        what, unknown = humanised(self.column), int(sum(g is None for g in groups))
        said = []
        if small:
            said.append(
                f"not tested, since under {self.min_patients} patients or {self.min_events} events or non-events; "
                f"they train: {what} {', '.join(small)}"
            )
        if unknown:
            said.append(f"not tested, since their {what} is unknown: n = {unknown}")
        return said


class LeaveOneCohortOut(LeaveOneGroupOut):
    """Each cohort is tested by models that were trained on all others."""

    def __init__(self) -> None:
        super().__init__("cohort_id")


def humanised(column: str) -> str:
    """A grouping column in words.

    >>> humanised("tumor_type"), humanised("cohort_id")
    ('tumor type', 'cohort')
    """
    return column.removesuffix("_id").replace("_", " ")


class RepeatedStratifiedKFold:
    """Repeated K-fold, stratified by cohort and outcome, grouped by person. The order of the rows plays no part.

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
        """n_repeats x n_splits folds; fewer where fewer persons than folds leave one empty."""
        per_class = min(int(y.sum()), int(len(y) - y.sum()))
        if per_class < self.n_splits:
            mend = (
                f"Lower validation.n_splits to {per_class} or fewer."
                if per_class > 1
                else "That is too few for any number of folds: add patients, or choose another endpoint."
            )
            raise ConfigError(
                f"{self.n_splits} folds need at least as many patients with and without the event; the smaller class "
                f"has {per_class}. {mend}"
            )
        order = np.argsort(cohort["patient_id"].to_numpy(dtype=str), kind="stable")
        codes = self._strata(cohort["cohort_id"].to_numpy(dtype=str), np.asarray(y))[order]
        # codes in the order of the ids, which a repeat sorts faster
        person = np.unique(cohort["person_id"].to_numpy(dtype=str)[order], return_inverse=True)[1]
        for repeat in range(self.n_repeats):
            for k, test in enumerate(grouped_folds(codes, person, self.n_splits, self.seed + repeat)):
                if len(test):
                    yield Split(repeat, str(k), np.sort(np.delete(order, test)), np.sort(order[test]))

    def _strata(self, cohort: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(n,) codes of cohort and outcome."""
        outcome = pd.Series(y).astype(str)
        stratum = pd.Series(cohort).str.cat(outcome, "|")
        # a stratum smaller than the number of folds cannot be spread over them: it joins its outcome's other
        # small ones, and where they are still too few, the outcome is not split by cohort at all
        for joined in (False, True):
            small = stratum.map(stratum.value_counts()) < self.n_splits
            stratum = stratum.mask(small.groupby(y).transform("any") if joined else small, outcome)
        return np.asarray(np.unique(stratum, return_inverse=True)[1])

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """All rows."""
        return np.arange(len(cohort))
