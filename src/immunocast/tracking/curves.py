"""Curves as metrics with steps, so that a tracker draws them and lays the models of a run over each other.

A step is a whole number: per cent for probabilities, thresholds and false positives, months for survival. Where a
curve has no point at a step it is interpolated; nothing is drawn beyond its first and last point. Intervals do not
fit into such a chart: they are in the figures and in the table `curves`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from immunocast.store.runfolder import RunFolder
from immunocast.tracking.numbers import clean
from immunocast.tracking.record_types import Metric

#: Charts are grouped by what stands before `/`, groups are sorted by their bytes: the capital puts them first.
GROUP = "Curves"
CALIBRATION = f"{GROUP}/Calibration: observed by predicted pct"
NET_BENEFIT = f"{GROUP}/Net benefit by threshold pct"
NET_GAIN = f"{GROUP}/Net gain over treating all by threshold pct"
ROC = f"{GROUP}/ROC: sensitivity by false positive pct"
#: Per cent or months between two steps, and the last threshold and month drawn: treating all loses without bound as
#: the threshold nears 1, which would flatten the rest of the curve.
_EVERY, _LAST_THRESHOLD, _LAST_MONTH = 2, 0.5, 60


def curve_metrics(run: RunFolder, model: str) -> Iterator[Metric]:
    """Points of a model's curves over all cohorts, of its own output (not recalibrated).

    Parameters
    ----------
    run : a run folder; one without the table `curves` has none.
    model : name of the model in the run.

    Yields
    ------
    Metrics whose steps ascend within a key: smoothed calibration, net benefit, its difference from treating all, and
    ROC at every second per cent; survival of the risk groups (by predicted probability) at every second month.
    """
    if not run.has_table("curves"):
        return
    curves = run.table("curves")
    scheme = run.manifest().get("scheme")
    curves = curves[curves["cohort_id"].eq("combined") & curves["y"].notna()]
    if scheme in set(curves["scheme"]):
        curves = curves[curves["scheme"] == scheme]
    own = curves[curves["model"] == model]
    for key, curve, level in (
        (CALIBRATION, "calibration_smooth", "all"),
        (NET_BENEFIT, "decision", "all"),
        (NET_GAIN, "decision_difference", "treat_all"),
        (ROC, "roc", "all"),
    ):
        # np.interp takes the last of equal x: the upper end where a ROC curve is vertical
        rows = own[(own["curve"] == curve) & (own["level"] == level)].sort_values(["x", "y"])
        if curve.startswith("decision"):
            rows = rows[rows["x"] <= _LAST_THRESHOLD + 1e-9]
        yield from _points(key, 100 * rows["x"], rows["y"])
    for outcome in ("os", "pfs"):
        rows = own[own["curve"] == f"survival_{outcome}"]
        for group, points in rows.groupby("level"):
            key = f"{GROUP}/Survival {outcome.upper()} {clean(str(group))} by month"
            yield from _survival(key, points.sort_values("x"))


def _points(key: str, x: pd.Series, y: pd.Series) -> Iterator[Metric]:
    if len(x) < 2:
        return
    # thresholds such as .07 are not whole per cent in binary: nearly whole is whole
    first, last = np.ceil(x.min() - 1e-6), np.floor(x.max() + 1e-6)
    steps = np.arange(_EVERY * np.ceil(first / _EVERY), last + 1, _EVERY)
    for step, value in zip(steps, np.interp(steps, x, y), strict=True):
        yield Metric(key, float(value), int(step))


def _survival(key: str, points: pd.DataFrame) -> Iterator[Metric]:
    """A step function: at a month, the last value up to it."""
    x, y = points["x"].to_numpy(), points["y"].to_numpy()
    for month in range(0, int(min(x.max(), _LAST_MONTH)) + 1, _EVERY):
        place = int(np.searchsorted(x, month, side="right")) - 1
        yield Metric(key, float(y[place]) if place >= 0 else 1.0, month)
