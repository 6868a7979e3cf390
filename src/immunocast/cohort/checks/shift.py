"""Sites and batches: a number whose values at one site or cohort lie beyond those of all others of a tumour type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from immunocast.cohort.checks.findings import MAX_ROWS, as_floats, finding
from immunocast.cohort.checks.registry import CHECKS, Check, register
from immunocast.cohort.checks.stats import two_sided
from immunocast.cohort.vocabulary import VOCABULARY, label

MIN_GROUP = 15
LARGE = 0.72

register(
    [
        Check(
            "IC-SHIFT-001", "warning", "values of one site or cohort are shifted",
            "At one site (or in one cohort) a number lies so far above or below the others, within the same "
            "tumour type, that case mix does not explain it: another assay, another unit, another normalisation.",
            "A model learns the site; thresholds mean something else there.",
            "Ask how the value was measured; harmonise it, or keep the site as a cohort of its own.",
            "15 patients at the site and 15 elsewhere, 30 at best comparable (numbers with 10 distinct values only). "
            "Ranks within tumour type; the chance that a patient of the site lies above another one of the same type "
            "is beyond .72 (or below .28) with p < .001 after Bonferroni over columns and sites. Differences between "
            "the public cohorts reach .70.",
        ),
    ]
)  # fmt: skip


def check_shift(cohort: pd.DataFrame, features: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Shifted numbers, of sites within each cohort and of cohorts within the table."""
    numeric = [f for f in features if VOCABULARY[f].kind == "number"]
    kinds = pd.factorize(cohort["tumor_type"] if "tumor_type" in cohort else np.zeros(len(cohort)))[0]
    groupings: list[tuple[str, np.ndarray, pd.Series]] = []
    if cohort["cohort_id"].nunique() > 1:
        groupings.append(("cohort", np.ones(len(cohort), dtype=bool), cohort["cohort_id"]))
    if "site_id" in cohort:
        for cohort_id in sorted(cohort["cohort_id"].unique()):
            inside = (cohort["cohort_id"] == cohort_id).to_numpy() & cohort["site_id"].notna().to_numpy()
            if cohort.loc[inside, "site_id"].nunique() > 1:
                groupings.append((str(cohort_id), inside, cohort["site_id"]))
    n_tests = sum(len(numeric) * int(group[mask].nunique()) for _, mask, group in groupings)
    for name, mask, group in groupings:
        codes, levels = pd.factorize(group, sort=True)
        for column in numeric:
            values = as_floats(cohort[column])
            use = mask & ~np.isnan(values)
            if len(np.unique(values[use])) < 10:
                continue
            for place, chance, p, rows in _shifted(values[use], kinds[use], codes[use]):
                level = str(levels[place])
                if max(chance, 1 - chance) <= LARGE or p * n_tests >= 1e-3:
                    continue
                ids = np.sort(cohort["patient_id"].to_numpy()[use][rows])[:MAX_ROWS]
                where = f"cohort {level}" if name == "cohort" else f"site {level}"
                median, other = np.median(values[use][rows]), np.median(values[use][~rows])
                words = (
                    f"{label(column)} of {where} (median {median:.3g}) lies {'above' if chance > 0.5 else 'below'} "
                    f"that of the "
                    f"others (median {other:.3g}) for {max(chance, 1 - chance):.0%} of the pairs of patients with "
                    f"the same tumour type: another assay, unit or normalisation?"
                )
                yield finding(
                    "IC-SHIFT-001",
                    CHECKS["IC-SHIFT-001"].severity,
                    words,
                    cohort_id=level if name == "cohort" else name,
                    column=column,
                    n=int(rows.sum()),
                    rows=[str(i) for i in ids],
                )


def _shifted(
    values: np.ndarray, strata: np.ndarray, group: np.ndarray
) -> Iterator[tuple[int, float, float, np.ndarray]]:
    """Each group against all others: name, chance to lie above within a stratum, p, mask of the group."""
    _, code = np.unique(strata, return_inverse=True)
    n = np.bincount(code).astype(float)
    # ranks within strata, in one sort: what all strata before hold is taken off the overall rank
    spread = rankdata(code * 2.0 + rankdata(values) / (len(values) + 1))
    ranks = spread - np.concatenate([[0], np.cumsum(n)[:-1]])[code]
    for level in np.unique(group):
        mine = group == level
        a = np.bincount(code, weights=mine, minlength=len(n))
        b = n - a
        pairs = a * b
        if (
            mine.sum() < MIN_GROUP
            or (~mine).sum() < MIN_GROUP
            or a[pairs > 0].sum() < MIN_GROUP
            or b[pairs > 0].sum() < MIN_GROUP
        ):
            continue
        above = np.bincount(code, weights=np.where(mine, ranks, 0), minlength=len(n)) - a * (a + 1) / 2
        variance = (pairs * (n + 1) / 12)[pairs > 0].sum()
        excess = (above - pairs / 2)[pairs > 0].sum()
        yield int(level), 0.5 + excess / pairs.sum(), two_sided(excess / np.sqrt(variance)), mine
