"""Maps from a model's own probability to the recalibrated one: what stands between explanation and reported number."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from immunocast.explain.inputs import ExplainInputs
from immunocast.metrics import logit
from immunocast.validation.splits import fold_key

N_POINTS = 41
FINAL = "final"


def recalibration_map_table(run: ExplainInputs) -> pd.DataFrame:
    """Every recalibrator of a run, over the range of its model's out-of-fold log-odds.

    Returns
    -------
    Rows of the table recalibration_maps: `N_POINTS` for each model, recalibrator and fold (a point where all
    predictions are the same), the same points in all folds and in the final model.
    """
    own = run.predictions[(run.predictions["recalibration"] == "none") & ~run.predictions["abstained"]]
    out = []
    for model, rows in own.groupby("model", sort=True):
        ends = logit(np.array([rows["p_response"].min(), rows["p_response"].max()]))
        grid = np.linspace(ends[0], ends[1], N_POINTS if ends[0] < ends[1] else 1)
        p = expit(grid)
        folds = sorted(set(zip(rows["repeat"], rows["fold"], strict=True)))
        for key in [*(fold_key(int(repeat), str(fold)) for repeat, fold in folds), FINAL]:
            for name, recalibrator in sorted(run.load_recalibrators(str(model), key).items()):
                out.append(
                    pd.DataFrame(
                        {
                            "model": str(model),
                            "recalibration": name,
                            "fold": key,
                            "log_odds": grid,
                            "p": p,
                            "p_recalibrated": recalibrator.predict(p),
                            "formula": recalibrator.words,
                        }
                    )
                )
    return pd.concat(out, ignore_index=True) if out else pd.DataFrame()
