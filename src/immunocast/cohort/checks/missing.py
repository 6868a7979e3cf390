"""Missing values: whole columns, and tests that were done depending on the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from immunocast.cohort.checks.findings import Part
from immunocast.cohort.checks.leaks import LEAK_AUROC, separates
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.checks.stats import MIN_CLASS, stratified_z, two_sided
from immunocast.cohort.vocabulary import VOCABULARY, label

register(
    [
        Check(
            "IC-MISS-001", "info", "a column that models use is missing for a whole cohort",
            "Nobody in this cohort has a value.",
            "Models impute it or abstain; a comparison with other cohorts rests on other markers.",
            "Map it, if the source has it.",
            "A feature of a configured model without any value in the cohort.",
        ),
        Check(
            "IC-MISS-002", "warning", "missingness is tied to the outcome",
            "Patients in whom the test is missing have another event rate than the others, also within tumour type and "
            "year of treatment.",
            "Missing is not at random: imputation is biased, and a model may use the absence.",
            "Look at why the test was not done. Report results also for the patients with the test.",
            "Cochran-Mantel-Haenszel test of missing against the outcome, within tumour type and three-year period; "
            "p < .01 after Bonferroni over the "
            "features of all cohorts, and a difference of at least 8 points. Columns that are missing together (one "
            "assay) are one finding. Not told where IC-LEAK-002 is.",
        ),
    ]
)  # fmt: skip


def check_whole_columns(part: Part, inputs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Features of the models that nobody in the cohort has."""
    for column in inputs:
        if column in VOCABULARY and (column not in part.frame or part.frame[column].isna().all()):
            yield part.found(
                "IC-MISS-001", f"{label(column)} is missing for the whole cohort.", column, n=len(part.frame)
            )


def check_missingness(part: Part, n_tests: int) -> Iterator[dict[str, Any]]:
    """Features whose absence goes with the outcome; `n_tests` is the number of tests over all cohorts."""
    known = part.y.notna().to_numpy()
    outcome = part.y[known].to_numpy(dtype=int)
    if min(outcome.sum(), len(outcome) - outcome.sum()) < MIN_CLASS:
        return
    strata = _strata(part)[known]
    together: dict[bytes, list[str]] = {}
    for column in part.features:
        missing = part.frame[column].isna().to_numpy()[known]
        if 5 <= missing.sum() <= len(missing) - 5:
            together.setdefault(np.packbits(missing).tobytes(), []).append(column)
    for columns in together.values():
        missing = part.frame[columns[0]].isna().to_numpy()[known].astype(float)
        if separates(part.frame[columns[0]][known].isna().astype(float), outcome, "number")[0] >= LEAK_AUROC:
            continue
        z, difference = stratified_z(missing, outcome.astype(float), strata)
        p = two_sided(z) * max(n_tests, 1)
        if p < 0.01 and abs(difference) >= 0.08:
            names = ", ".join(label(c) for c in columns)
            words = (
                f"{names}: patients without a value have the outcome {abs(difference) * 100:.0f} points "
                f"{'more' if difference > 0 else 'less'} often than others of the same tumour type and period "
                f"(p = {p:.1g}, corrected)."
            )
            yield part.found("IC-MISS-002", words, columns[0], n=int(missing.sum()))


def _strata(part: Part) -> np.ndarray:
    """(n,) tumour type and three-year period of each patient."""
    year = np.floor(part.number("treatment_start_year") / 3)
    kinds = part.text("tumor_type").fillna("").to_numpy(dtype=str)
    periods = np.where(np.isnan(year), "", np.nan_to_num(year).astype(int).astype(str))
    return np.char.add(np.char.add(kinds, "|"), periods)
