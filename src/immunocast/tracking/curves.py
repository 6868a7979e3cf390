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
ROC = f"{GROUP}/ROC: sensitivity by false positives pct"
CALIBRATION = f"{GROUP}/calibration: observed by predicted pct"
DECISION = f"{GROUP}/decision: net benefit by threshold pct"
TREAT_ALL = f"{GROUP}/decision: net benefit of treating all"
#: Per cent between two steps, and the last month drawn.
_EVERY, _LAST_MONTH = 2, 60


def curve_metrics(run: RunFolder, model: str) -> Iterator[Metric]:
    """Points of a model's curves over all cohorts, of its own output (not recalibrated).

    Parameters
    ----------
    run : a run folder; one without the table `curves` has none.
    model : name of the model in the run.

    Yields
    ------
    Metrics whose steps ascend within a key: ROC, smoothed calibration and net benefit (and that of treating all)
    at every second per cent, survival of the risk groups at every month.
    """
    if not run.has_table("curves"):
        return
    curves = run.table("curves")
    scheme = run.manifest().get("scheme")
    curves = curves[curves["cohort_id"].eq("combined") & curves["y"].notna()]
    if scheme in set(curves["scheme"]):
        curves = curves[curves["scheme"] == scheme]
    own = curves[curves["model"] == model]
    # np.interp takes the last of equal x: the upper end of a vertical piece
    roc = own[own["curve"] == "roc"].sort_values(["x", "y"])
    yield from _points(ROC, 100 * roc["x"], roc["y"], _EVERY)
    everybody = own[own["level"] == "all"]
    for key, name in ((CALIBRATION, "calibration_smooth"), (DECISION, "decision")):
        rows = everybody[everybody["curve"] == name].sort_values("x")
        yield from _points(key, 100 * rows["x"], rows["y"], _EVERY)
    if everybody["curve"].eq("decision").any():
        treat_all = curves[(curves["curve"] == "decision") & (curves["model"] == "treat_all")].sort_values("x")
        yield from _points(TREAT_ALL, 100 * treat_all["x"], treat_all["y"], _EVERY)
    for outcome in ("os", "pfs"):
        rows = own[own["curve"] == f"survival_{outcome}"]
        for group, points in rows.groupby("level"):
            key = f"{GROUP}/{outcome.upper()} by month: {clean(str(group))} probability"
            yield from _survival(key, points.sort_values("x"))


def _points(key: str, x: pd.Series, y: pd.Series, every: int) -> Iterator[Metric]:
    if len(x) < 2:
        return
    # thresholds such as .07 are not whole per cent in binary: nearly whole is whole
    first, last = np.ceil(x.min() - 1e-6), np.floor(x.max() + 1e-6)
    steps = np.arange(every * np.ceil(first / every), last + 1, every)
    for step, value in zip(steps, np.interp(steps, x, y), strict=True):
        yield Metric(key, float(value), int(step))


def _survival(key: str, points: pd.DataFrame) -> Iterator[Metric]:
    """A step function: at a month, the last value up to it."""
    x, y = points["x"].to_numpy(), points["y"].to_numpy()
    for month in range(int(min(x.max(), _LAST_MONTH)) + 1):
        place = int(np.searchsorted(x, month, side="right")) - 1
        yield Metric(key, float(y[place]) if place >= 0 else 1.0, month)
