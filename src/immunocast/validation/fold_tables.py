"""From the results of folds to rows of the tables predictions, thresholds and tuning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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


def prediction_table(found: Sequence[Found], data: Mapping[str, Training], scheme: str, endpoint: str) -> pd.DataFrame:
    """The table predictions: the test patients of every fold, once a recalibration."""
    of_model: dict[str, list[Found]] = {}
    for one in found:
        of_model.setdefault(one[0], []).append(one)
    parts = [_predictions(of_one, data[name], scheme, endpoint) for name, of_one in of_model.items()]
    return pd.concat(parts, ignore_index=True)


def _predictions(found: Sequence[Found], data: Training, scheme: str, endpoint: str) -> pd.DataFrame:
    """Rows of one model; those of all folds are gathered first, so that one frame is made."""
    blocks = []  # (split, recalibration, positions, predictions, assays)
    assays: dict[tuple[str, ...], np.ndarray] = {}
    for _, split, result in found:
        inputs = inputs_used(result.fitted)
        if inputs not in assays:
            assays[inputs] = assays_used(data.X, inputs)
        for recalibration, p in result.p.items():
            rows = split.test
            if recalibration == INTERCEPT_SITE:
                # a patient whose cohort gave no update has no such prediction, which is another thing than abstaining
                kept = ~np.isnan(p) | np.isnan(result.p["none"])
                rows, p = rows[kept], p[kept]
            blocks.append((split, recalibration, rows, p, assays[inputs][rows]))
    size = [len(rows) for _, _, rows, _, _ in blocks]
    rows = np.concatenate([rows for _, _, rows, _, _ in blocks])
    p = np.concatenate([p for _, _, _, p, _ in blocks])
    ids = data.ids.iloc[rows].reset_index(drop=True)
    return pd.DataFrame(
        {
            "patient_id": ids["patient_id"],
            "cohort_id": ids["cohort_id"],
            "person_id": ids["person_id"],
            "model": found[0][0],
            "recalibration": _repeated([recalibration for _, recalibration, _, _, _ in blocks], size),
            "scheme": scheme,
            "repeat": np.repeat(np.array([split.repeat for split, _, _, _, _ in blocks], dtype=np.int64), size),
            "fold": _repeated([split.fold for split, _, _, _, _ in blocks], size),
            "endpoint": endpoint,
            "y_true": data.y[rows],
            "p_response": p,
            "abstained": np.isnan(p),
            "assays": np.concatenate([used for _, _, _, _, used in blocks]),
            "in_training": np.zeros(len(rows), dtype=bool) if data.seen is None else data.seen[rows],
        }
    )


def _repeated(names: Sequence[str], size: Sequence[int]) -> pd.Series:
    """Each name as often as its size says."""
    codes, levels = pd.factorize(np.array(names, dtype=object))
    return pd.Series(levels, dtype="str").take(np.repeat(codes, size)).reset_index(drop=True)


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
