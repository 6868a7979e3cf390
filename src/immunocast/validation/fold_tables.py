"""From the results of folds to rows of the tables predictions, thresholds and tuning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.models.assays import assays_used, inputs_used
from immunocast.store.schemas import TABLES
from immunocast.validation.fold import FoldResult
from immunocast.validation.inner import Training
from immunocast.validation.recalibrate import INTERCEPT_SITE
from immunocast.validation.splits import Split

#: A model's fold and what it gave.
Found = tuple[str, Split, FoldResult]


def prediction_rows(
    model: str, split: Split, result: FoldResult, data: Training, scheme: str, endpoint: str
) -> pd.DataFrame:
    """Rows of the table predictions: the test patients of a fold, once a recalibration."""
    test = split.test
    ids = data.ids.iloc[test]
    seen = np.zeros(len(test), dtype=bool) if data.seen is None else data.seen[test]
    assays = assays_used(data.X.iloc[test], inputs_used(result.fitted))
    parts = []
    for recalibration, p in result.p.items():
        part = pd.DataFrame(
            {
                "patient_id": ids["patient_id"],
                "cohort_id": ids["cohort_id"],
                "person_id": ids["person_id"],
                "model": model,
                "recalibration": recalibration,
                "scheme": scheme,
                "repeat": split.repeat,
                "fold": split.fold,
                "endpoint": endpoint,
                "y_true": data.y[test],
                "p_response": p,
                "abstained": np.isnan(p),
                "assays": assays,
                "in_training": seen,
            }
        )
        if recalibration == INTERCEPT_SITE:
            # a patient whose cohort gave no update has no such prediction, which is another thing than abstaining
            part = part[~np.isnan(p) | np.isnan(result.p["none"])]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def threshold_table(found: Sequence[Found], scheme: str, endpoint: str) -> pd.DataFrame:
    """The table thresholds."""
    rows = [
        {"model": model, "scheme": scheme, "endpoint": endpoint, **_fold(split), **row}
        for model, split, result in found
        for row in result.thresholds
    ]
    return _frame("thresholds", rows)


def tuning_table(found: Sequence[Found], scheme: str, criterion: str) -> pd.DataFrame:
    """The table tuning."""
    rows: list[dict[str, Any]] = []
    for model, split, result in found:
        for number, trial in enumerate(result.tuned.trials):
            chosen = number == result.tuned.chosen
            rows.append(
                {
                    "model": model,
                    "scheme": scheme,
                    **_fold(split),
                    "trial": number,
                    "params": json.dumps(trial.params, sort_keys=True),
                    "criterion": criterion,
                    "value": np.nan if trial.value is None else trial.value,
                    "chosen": chosen,
                    "note": "; ".join(n for n in (trial.note, result.tuned.note if chosen else "") if n),
                }
            )
    return _frame("tuning", rows)


def _fold(split: Split) -> dict[str, Any]:
    return {"repeat": split.repeat, "fold": split.fold}


def _frame(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(TABLES[name].columns))
