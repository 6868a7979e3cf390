"""What acting by the headline model gains over acting by something else, with its interval."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from immunocast.report import text
from immunocast.report.style import INK, canvas, clip_label, lines, quiet
from immunocast.report.view import OVERALL, RunView

_MOST = 3


def no_gain(view: RunView) -> str:
    """Reason why the gain in net benefit can't be drawn."""
    return "" if gains(view) else "The run holds no differences of net benefit of the headline model."


def gains(view: RunView) -> dict[str, pd.DataFrame]:
    """Points of the headline model's gain in net benefit, by what it is held against: everybody, reference, markers."""
    frame = view.table("curves")
    frame = frame[(frame["curve"] == "decision_difference") & (frame["model"] == view.headline) & frame["y"].notna()]
    for overall in OVERALL:
        here = frame[frame["cohort_id"] == overall]
        if len(here):
            against = ["treat_all", view.reference, *(m for m in view.order if m in view.rules)]
            found = {str(m): here[here["level"] == m].sort_values("x") for m in dict.fromkeys(against)}
            return {m: points for m, points in found.items() if len(points)}
    return {}


def decision_difference(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """A panel for each of up to three others: net benefit of the headline model less theirs."""
    found = dict(list(gains(view).items())[:_MOST])
    thresholds = sorted(view.manifest.get("thresholds") or [])
    right = max(0.6, 1.5 * max(thresholds, default=0.4))
    shown = {m: points[points["x"] <= right] for m, points in found.items()}
    color = lines(view)[view.headline].color
    with canvas(view, path, title, height=3.6) as figure:
        grid = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True)[0]
        for axes, (other, points) in zip(grid, shown.items(), strict=True):
            axes.fill_between(points["x"], points["ci_low"], points["ci_high"], color=color, alpha=0.18, lw=0)
            axes.plot(points["x"], points["y"], color=color, lw=2.2)
            axes.axhline(0, color=INK, lw=1)
            axes.set_title(f"less {clip_label(_name(view, other), 30)}", fontsize=9.5)
            axes.set_xlabel("Threshold probability")
            quiet(axes)
        # far above, where acting on everybody does harm, there is nothing to read
        seen = pd.concat(shown.values())[["y", "ci_low", "ci_high"]]
        grid[0].set_ylim(max(float(seen.min().min()), -0.15) - 0.01, min(float(seen.max().max()), 0.25) + 0.01)
        grid[0].set_ylabel("Gain in net benefit")
    caption = (
        f"Net benefit of {view.label(view.headline)} less that of the other, on the same patients; band: 95 %"
        " interval. Above 0 acting by the model is better; where the band holds 0 the run can’t tell."
    )
    said = [f"{_name(view, other)}: {_above(points)}" for other, points in shown.items()]
    return caption, f"Gain in net benefit of {view.label(view.headline)}. Less {'; less '.join(said)}."


def _name(view: RunView, other: str) -> str:
    return view.label(other).lower() if other == "treat_all" else view.label(other)


def _above(points: pd.DataFrame) -> str:
    """Where the interval lies above 0, in words."""
    clear = points.loc[points["ci_low"] > 0, "x"]
    if clear.empty:
        return "the interval holds or lies below 0 at every threshold"
    share = text.percent(len(clear), len(points), 0)
    return f"above 0 with its interval in {share} of thresholds, between {clear.min():.2f} and {clear.max():.2f}"
