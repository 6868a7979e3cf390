"""The same patient twice inside a cohort: rows that are copies of each other, exact or nearly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.checks.findings import Part, finding
from immunocast.cohort.checks.registry import CHECKS, Check, register
from immunocast.cohort.vocabulary import VOCABULARY

register(
    [
        Check(
            "IC-DUP-001", "warning", "rows are copies of each other",
            "Patients of one cohort agree in every value that is known, under different ids.",
            "A patient is counted twice and may stand on both sides of a split.",
            "Keep one row a patient, or give both rows the same `person_id`.",
            "Equal in all columns but the ids, with at least 5 numbers and other values known, of which two are "
            "numbers of 10 or more "
            "distinct values in the cohort.",
        ),
        Check(
            "IC-DUP-002", "warning", "rows are nearly the same patient",
            "Patients of one cohort agree in several independent values so closely that chance does not explain it.",
            "As for IC-DUP-001.",
            "Look at the pairs; keep one row a patient, or give both the same `person_id`.",
            "The matcher of persons across cohorts, used inside a cohort: its score says how far the agreement "
            "lies beyond chance.",
        ),
    ]
)  # fmt: skip


def check_copies(part: Part) -> Iterator[dict[str, Any]]:
    """Rows of one cohort that agree in everything but their ids."""
    copies = copied_rows(part)
    if copies.any():
        words = f"{int(copies.sum())} rows agree in every known value with another row, under different ids."
        yield part.found("IC-DUP-001", words, mask=copies)


def copied_rows(part: Part) -> np.ndarray:
    """(n,) whether a row agrees with another one in all columns but ids, and says enough for that to mean something."""
    columns = [c for c in part.frame.columns if c in VOCABULARY and VOCABULARY[c].role in ("feature", "outcome")]
    columns = [c for c in columns if part.frame[c].notna().any()]
    fine = [c for c in columns if VOCABULARY[c].kind == "number" and part.frame[c].nunique() >= 10]
    if not fine or len(part.frame) < 2:
        return np.zeros(len(part.frame), dtype=bool)
    values = part.frame[columns]
    telling = (values.notna().sum(axis=1) >= 5) & (part.frame[fine].notna().sum(axis=1) >= 2)
    hashes = pd.util.hash_pandas_object(values, index=False)
    return (telling & hashes.duplicated(keep=False)).to_numpy(dtype=bool)


def check_duplicates(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Findings on pairs inside a cohort that the linkage takes for one person (`Linkage.duplicates`)."""
    found = []
    for cohort_id, part in pairs.groupby("cohort_id", sort=True):
        ids = sorted({*part["patient_id"], *part["linked_patient_id"]})
        pair = part.sort_values(["score", "patient_id"], ascending=[False, True]).iloc[0]
        words = (
            f"{len(part)} pairs of patients are nearly the same (surest: {pair['patient_id']} and "
            f"{pair['linked_patient_id']}, score {pair['score']:.0f} bits; probability of being one person "
            f"{part['posterior'].min():.3f} or more). They share a person_id from here on."
        )
        severity = CHECKS["IC-DUP-002"].severity
        found.append(finding("IC-DUP-002", severity, words, cohort_id=str(cohort_id), n=len(ids), rows=ids))
    return found
