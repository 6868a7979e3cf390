"""Correction for many tests, and what may be said of "the best model" after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from immunocast.errors import DataError, Problem
from immunocast.metrics import holm

#: Rows of the comparisons table that are one family but for the model: who is compared with the same reference.
COMPARISON_FAMILY = (
    "metric",
    "threshold_or_horizon",
    "reference_model",
    "scheme",
    "cohort_id",
    "subgroup",
    "level",
)

#: Rows of the heterogeneity table that are one family but for the grouping.
HETEROGENEITY_FAMILY = ("metric", "threshold_or_horizon", "model", "recalibration", "scheme")


def adjust(frame: pd.DataFrame, family: Sequence[str], over: str) -> pd.DataFrame:
    """Fill `p_adjusted` and `family`: Holm over the rows that agree in all columns of the family.

    Parameters
    ----------
    frame : with a column `p`.
    family : columns. A model and its recalibrated versions ("ridge+platt") are never in one family: they rank
        patients alike, and counting them as further models would correct one question twice.
    over : what differs inside a family, in the plural, e.g. "models".

    Returns
    -------
    A new frame. A row without p has no corrected one, and is not counted.
    """
    out = frame.copy()
    out["p_adjusted"] = np.nan
    out["family"] = ""
    p = out["p"].astype("float64")
    version = out["model"].astype(str).str.partition("+")[2].to_numpy() if len(out) else ""
    for _, rows in out.assign(p=p, version=version).groupby([*family, "version"], dropna=False, sort=False):
        tested = rows.index[rows["p"].notna()]
        if len(tested):
            out.loc[tested, "p_adjusted"] = holm(p[tested].to_numpy())
            name = over if len(tested) > 1 else over.removesuffix("s")
            out.loc[tested, "family"] = f"holm over {len(tested)} {name}"
    return out


def distinguishable(
    comparisons: pd.DataFrame, metric: str = "auroc", *, cohort_id: str = "combined", alpha: float = 0.05
) -> pd.DataFrame:
    """Which models can be told from the best, and which can't: the claim "the best model" needs this.

    A model is told apart where at least one other is better on their common patients with a p, corrected by Holm over
    all pairs of models, below `alpha`. Those that nobody beats can't be told from the best, whatever their order.
    Where the folds were repeated, the test over folds ("auroc_by_fold") decides in place of the paired one.

    Parameters
    ----------
    comparisons : comparisons table of one scheme, with all pairs or those with some references.
    metric : "auroc" or "brier"; of a Brier score the lower is better.
    cohort_id : a cohort, or "combined".
    alpha : of all claims together.

    Returns
    -------
    A row a model, sorted by name: model, told_apart, beaten_by (labels joined by ", "), p_adjusted (the smallest of a
    better model; null where none was better), n_pairs (tests that were corrected over).

    Raises
    ------
    DataError
        Where there is no such comparison, or there are several schemes.
    """
    rows = comparisons[(comparisons["cohort_id"] == cohort_id) & (comparisons["subgroup"] == "all")]
    found = rows[rows["metric"] == f"{metric}_by_fold"]
    if not found["p"].notna().any():
        found = rows[(rows["metric"] == metric) & rows["threshold_or_horizon"].isna()]
    if found["scheme"].nunique() > 1:
        raise DataError(Problem("there are several validation schemes", "Choose one.", column="scheme"))
    if not found["p"].notna().any():
        raise DataError(Problem(f"no models were compared by {metric} in {cohort_id!r}", "Choose another metric."))
    models = sorted(set(found["model"]) | set(found["reference_model"]))
    pairs: dict[tuple[str, str], tuple[float, float]] = {}
    for row in found[found["p"].notna()].itertuples():
        first, second = str(row.model), str(row.reference_model)
        sign = 1.0 if first < second else -1.0
        pairs[min(first, second), max(first, second)] = (sign * float(row.difference), float(row.p))  # type: ignore[arg-type]
    corrected = holm([p for _, p in pairs.values()])
    better = -1.0 if metric.startswith("brier") else 1.0
    beaten: dict[str, list[tuple[str, float]]] = {model: [] for model in models}
    for ((first, second), (difference, _)), p in zip(pairs.items(), corrected, strict=True):
        if difference != 0:
            loser, winner = (second, first) if difference * better > 0 else (first, second)
            beaten[loser].append((winner, float(p)))
    return pd.DataFrame(
        [
            {
                "model": model,
                "told_apart": any(p < alpha for _, p in beaten[model]),
                "beaten_by": ", ".join(sorted(name for name, p in beaten[model] if p < alpha)),
                "p_adjusted": min((p for _, p in beaten[model]), default=np.nan),
                "n_pairs": len(pairs),
            }
            for model in models
        ]
    )
