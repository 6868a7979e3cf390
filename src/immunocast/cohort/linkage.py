"""Find the same human being under different ids in different cohorts.

Public cohorts of one hospital overlap, and nobody shares names. A molecular fingerprint can tell: the
fraction of copy-number-altered genome is published to four decimals, and two patients of the same sex and
tumour type who agree in it, in TMB and in age are one person. In the LORIS workbook this rule links 120 of
the 246 patients of one sheet to other sheets, and every pair that agrees in the two molecular values also
agrees in sex.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError


def link_persons(
    cohort: pd.DataFrame,
    *,
    exact: Sequence[str] = ("tumor_type", "sex"),
    tolerance: Mapping[str, float] | None = None,
    minimum: Mapping[str, float] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give linked patients one `person_id`.

    Parameters
    ----------
    cohort : cohort table.
    exact : columns that must be known and equal.
    tolerance : column -> largest absolute difference; all must be known in both.
    minimum : column -> values below carry no information (a fraction of 0 is shared by many).

    Returns
    -------
    cohort : a new table; linked patients share the `person_id` of the first of them.
    links : a row a linked pair, with patient_id, cohort_id, linked_patient_id, linked_cohort_id.

    Raises
    ------
    ConfigError
        For columns that are not of the vocabulary or of the wrong kind, and for negative tolerances.

    Notes
    -----
    Only pairs from different cohorts are linked: within a cohort, ids are taken at their word.
    A patient without the fingerprint's columns is never linked; the absence of a link proves nothing.
    """
    tolerance = dict(tolerance if tolerance is not None else {"fcna": 6e-5, "tmb_mut_mb": 0.06, "age_years": 4.0})
    minimum = dict(minimum if minimum is not None else {"fcna": 5e-4})
    _check_settings(exact, tolerance, minimum)
    columns = [*exact, *tolerance]
    links = pd.DataFrame(columns=["patient_id", "cohort_id", "linked_patient_id", "linked_cohort_id"], dtype="str")
    if any(c not in cohort for c in columns) or cohort["cohort_id"].nunique() < 2:
        return cohort.copy(), links
    usable = cohort.dropna(subset=columns)
    for column, low in minimum.items():
        usable = usable[usable[column] >= low] if column in usable else usable
    pairs = [
        pair for _, group in usable.groupby(list(exact), observed=True, sort=True) for pair in _pairs(group, tolerance)
    ]
    if pairs:
        # one direction for a pair of cohorts, and one order of the rows, however the cohort is sorted
        name = cohort[["cohort_id", "patient_id"]].apply(tuple, axis=1)
        pairs = [(i, j) if name[i] <= name[j] else (j, i) for i, j in pairs]
        pairs.sort(key=lambda p: (name[p[0]], name[p[1]]))
        a, b = (cohort.loc[list(side)].reset_index(drop=True) for side in zip(*pairs, strict=True))
        links = pd.DataFrame(
            {
                "patient_id": a["patient_id"],
                "cohort_id": a["cohort_id"],
                "linked_patient_id": b["patient_id"],
                "linked_cohort_id": b["cohort_id"],
            }
        )
    return cohort.assign(person_id=_merge(cohort["person_id"], pairs)), links


def _check_settings(exact: Sequence[str], tolerance: Mapping[str, float], minimum: Mapping[str, float]) -> None:
    if not tolerance:
        raise ConfigError("linkage.tolerance is empty: name at least one column to compare.")
    for key, names in (("exact", list(exact)), ("tolerance", list(tolerance)), ("minimum", list(minimum))):
        for name in names:
            # a misspelt column would switch the linkage off without a word
            if name not in VOCABULARY:
                raise ConfigError(f"linkage.{key}: {name!r} is not in the vocabulary (`immunocast tables cohort`).")
            if key != "exact" and VOCABULARY[name].kind not in ("number", "integer"):
                raise ConfigError(f"linkage.{key}: {name} is no number; compare it under linkage.exact.")
    for name, width in tolerance.items():
        if not width >= 0:
            raise ConfigError(f"linkage.tolerance.{name} is {width}; it must be 0 or more.")


def _pairs(group: pd.DataFrame, tolerance: Mapping[str, float]) -> list[tuple[int, int]]:
    """Index pairs of different cohorts that agree; sorted sweep along the tightest column."""
    first = next(iter(tolerance))
    group = group.sort_values([first, "patient_id"], kind="stable")
    values = group[list(tolerance)].to_numpy(dtype=float)
    widths = np.array(list(tolerance.values()))
    cohort_ids = group["cohort_id"].to_numpy()
    index = group.index.to_numpy()
    reach = np.searchsorted(values[:, 0], values[:, 0] + widths[0], side="right")
    found = []
    for i, end in enumerate(reach):
        others = np.arange(i + 1, end)
        agree = (np.abs(values[others] - values[i]) <= widths).all(axis=1)
        found += [(int(index[i]), int(index[j])) for j in others[agree] if cohort_ids[i] != cohort_ids[j]]
    return found


def _merge(person_id: pd.Series, pairs: Sequence[tuple[int, int]]) -> pd.Series:
    """Join the persons of all pairs (union-find); each group takes the first person_id of its members."""
    parent = {p: p for p in person_id}

    def root(p: str) -> str:
        while parent[p] != p:
            p = parent[p]
        return p

    for i, j in pairs:
        a, b = sorted((root(person_id[i]), root(person_id[j])))
        parent[b] = a
    return person_id.map(root).astype("str")
