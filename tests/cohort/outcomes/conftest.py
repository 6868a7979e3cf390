"""A cohort table from lists of outcomes."""

from __future__ import annotations

import pandas as pd
import pytest

from immunocast.cohort.table import DTYPES, to_cohort_table
from immunocast.cohort.vocabulary import VOCABULARY


@pytest.fixture(scope="session")
def table():
    """table(bor=["CR", None], pfs_months=[6, 1]) -> cohort table; patients p0, p1 ... of cohort A by default."""

    def make(cohort_id=None, **columns):
        n = len(next(iter(columns.values())))
        frame = pd.DataFrame({"patient_id": [f"p{i}" for i in range(n)], "cohort_id": cohort_id or ["A"] * n})
        for name, values in columns.items():
            frame[name] = pd.Series(values, dtype=DTYPES[VOCABULARY[name].kind])
        return to_cohort_table(frame)

    return make
