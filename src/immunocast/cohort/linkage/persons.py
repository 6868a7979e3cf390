"""From scored pairs to persons: one partner a cohort, groups without contradiction."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


class Persons:
    """Groups of patients who are one person (union-find), with the cohorts that each group has members of.

    Parameters
    ----------
    person_id, cohort_id : (n,) of the patients, in the order of the cohort table. Patients who share a person_id
        are one person from the start.
    """

    def __init__(self, person_id: Iterable[str], cohort_id: Iterable[str]):
        self._person_id = list(person_id)
        self._cohort_id = list(cohort_id)
        self._parent = list(range(len(self._person_id)))
        self._cohorts: dict[int, set[str]] = {i: {c} for i, c in enumerate(self._cohort_id)}
        first: dict[str, int] = {}
        for i, person in enumerate(self._person_id):
            self.join(first.setdefault(person, i), i)

    def root(self, i: int) -> int:
        """Representative of the group that patient i belongs to."""
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Make two patients one person."""
        a, b = sorted((self.root(i), self.root(j)))
        if a != b:
            self._parent[b] = a
            self._cohorts[a] |= self._cohorts.pop(b)

    def add(self, i: int, j: int) -> str:
        """Link two patients if that is no contradiction; what became of the pair.

        A person is one patient of a cohort, unless known otherwise: two groups with members in the same cohort are
        joined by a pair inside that cohort only.
        """
        a, b = self.root(i), self.root(j)
        own = {self._cohort_id[i], self._cohort_id[j]}
        both = self._cohorts[a] & self._cohorts[b]
        if a == b or len(own) == 1 or not both:
            self.join(i, j)
            return "linked"
        return "taken" if both & own else "contradiction"

    def ids(self) -> list[str]:
        """(n,) person ids; a group carries the alphabetically first of its members'."""
        smallest: dict[int, str] = {}
        for i, person in enumerate(self._person_id):
            root = self.root(i)
            smallest[root] = min(person, smallest.get(root, person))
        return [smallest[self.root(i)] for i in range(len(self._person_id))]


def assign(pairs: pd.DataFrame, persons: Persons) -> pd.Series:
    """Join the persons of pairs from the best score down, and say of each pair what became of it.

    Parameters
    ----------
    pairs : columns left, right (positions), inside (of one cohort) and sure (above the threshold), sorted by
        falling score.
    persons : groups so far; changed.

    Returns
    -------
    "linked"; "below the threshold"; "taken": one of the two has a better partner in the other's cohort;
    "contradiction": a chain over a third cohort would make two of its patients one.
    """
    why = dict.fromkeys(pairs.index, "below the threshold")
    # duplicates inside a cohort first: what they say is no contradiction later
    for inside in (True, False):
        part = pairs[pairs["sure"] & (pairs["inside"] == inside)]
        why |= {k: persons.add(int(i), int(j)) for k, i, j in zip(part.index, part["left"], part["right"], strict=True)}
    return pd.Series(why, dtype="str")
