"""Figures of probabilities: calibration, decision curves, and the distribution by outcome."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator

from immunocast.report import shown, text
from immunocast.report.style import (
    INK,
    MUTED,
    NON_RESPONDER,
    RESPONDER,
    VERMILLION,
    canvas,
    clip_label,
    lines,
    quiet,
)
from immunocast.report.view import RunView

_BINS = np.linspace(0, 1, 26)


# ---- what stands in the way


def no_probabilities(view: RunView) -> str:
    """Reason why the distribution of probabilities can't be drawn."""
    return "" if view.graded else "The run holds no graded predictions."


# ---- drawings: each saves a PNG and returns (caption, alt)


def calibration(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Observed against predicted, with bins and intervals; probabilities by outcome below."""
    curves, look = view.curve_points("calibration"), lines(view)
    models = [m for m in view.order if m in curves and m not in view.rules][:6]
    columns = min(3, len(models))
    rows = math.ceil(len(models) / columns)
    with canvas(view, path, title, height=0.7 + 3.9 * rows * (3 / columns if columns < 3 else 1) ** 0.35) as figure:
        ratios = [r for _ in range(rows) for r in (3.4, 1.0)]
        grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=ratios, sharex=True)
        for number in range(rows * columns):
            row, column = divmod(number, columns)
            upper, lower = grid[2 * row, column], grid[2 * row + 1, column]
            if number >= len(models):
                upper.set_visible(False)
                lower.set_visible(False)
                continue
            model = models[number]
            _calibration_panel(upper, curves[model], look[model].color)
            upper.set_title(clip_label(view.label(model), 30), fontsize=9.5)
            upper.text(0.03, 0.97, _calibration_text(view, model), transform=upper.transAxes, va="top", fontsize=8.5,
                       bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})  # fmt: skip
            _mirror(lower, view.predictions[view.predictions["model"] == model], _event_color(view))
            if column == 0:
                upper.set_ylabel("Observed share")
                lower.set_ylabel("Patients")
            lower.set_xlabel("Predicted probability")
            lower.tick_params(labelbottom=True)
        _outcome_legend(figure, view)
    caption = (
        "Above: observed share of events in bins of predicted probability, with 95 % intervals; the grey diagonal is "
        f"perfect calibration. Below: number of patients by predicted probability, {view.words.events} "
        "upwards and the others downwards. A slope below 1 means that predictions are too extreme, an intercept "
        "below 0 that they are too high on average. Rules with one cut-off have two probabilities only; their "
        "numbers stand in the table."
    )
    described = _calibration_text(view, models[0]).replace("\n", ", ")
    return caption, f"Calibration plots of {len(models)} models. {view.label(models[0])}: {described}."


def decision(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Net benefit against the threshold, with acting on everybody and on nobody."""
    curves, look = view.curve_points("decision"), lines(view)
    models = [m for m in view.order if m in curves]
    banded = [m for m in (view.headline, view.reference) if m in models and _has_interval(curves, m)]
    top = max(float(curves[m]["y"].max()) for m in models)
    with canvas(view, path, title, height=4.9) as figure:
        axes = figure.subplots()
        for model in reversed(models):
            points, line = curves[model], look[model]
            marks: dict[str, Any] = {}
            if model in view.rules:
                marks = {"marker": line.marker, "markevery": max(1, len(points) // 10), "ms": 5}
            axes.plot(points["x"], points["y"], color=line.color, lw=line.width, ls=line.style,
                      label=f"{clip_label(view.label(model))}, n = {int(points['n'].max()):,}", **marks)  # fmt: skip
            if model in banded:
                axes.fill_between(points["x"], points["ci_low"], points["ci_high"], color=line.color, alpha=0.12, lw=0)
        if "treat_all" in curves:
            points = curves["treat_all"]
            axes.plot(points["x"], points["y"], color=INK, lw=1.3, label=view.label("treat_all"))
            top = max(top, float(points["y"].max()))
        axes.axhline(0, color=INK, lw=1.3, ls=(0, (1, 1.5)), label=view.label("treat_none"))
        thresholds = sorted(view.manifest.get("thresholds") or [])
        for threshold in thresholds:
            axes.axvline(threshold, color="#c9d0d8", lw=0.8, zorder=0)
        x = np.concatenate([curves[m]["x"].to_numpy() for m in models])
        # beyond this hardly anybody would be treated, and nothing is left to see
        right = min(float(x.max()), max(0.6, 1.5 * max(thresholds, default=0.4)))
        axes.set(
            ylim=(-0.25 * top, 1.08 * top),
            xlim=(float(x.min()), right),
            xlabel="Threshold probability",
            ylabel="Net benefit",
        )
        quiet(axes, "y")
        handles, labels = axes.get_legend_handles_labels()
        order = [*range(len(models) - 1, -1, -1), *range(len(models), len(labels))]
        figure.legend(
            [handles[i] for i in order],
            [labels[i] for i in order],
            loc="outside right upper",
            handlelength=2.6,
        )
    marked = ", ".join(f"{t:g}" for t in thresholds)
    caption = (
        "Net benefit: true positives minus false positives weighted by the odds of the threshold, a patient. "
        "A model is useful at a threshold where its line lies above both "
        f"“{view.label('treat_all').lower()}” and “{view.label('treat_none').lower()}”."
        + (f" Vertical lines: thresholds of the table ({marked})." if marked else "")
        + (f" Bands: 95 % intervals of {' and '.join(view.label(m) for m in banded)}." if banded else "")
        + " Each model is on the patients whom it could score: where n differs, so may the share of events, and lines "
        "are not comparable."
        + " A model whose probabilities are too high or too low loses net benefit even if it ranks patients well."
    )
    both = f"{view.label('treat_all').lower()} and {view.label('treat_none').lower()}"
    return caption, f"Decision curves of {len(models)} models, {both}. {shown.net_benefits(view, models)}".rstrip()


def distribution(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Predicted probabilities by outcome, a panel a model."""
    models = view.graded
    columns = min(3, len(models))
    rows = math.ceil(len(models) / columns)
    with canvas(view, path, title, height=0.9 + 2.1 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes, model in zip(grid.flat, models, strict=False):
            frame = view.predictions[view.predictions["model"] == model]
            _mirror(axes, frame, _event_color(view), medians=True)
            axes.set_title(f"{clip_label(view.label(model), 26)}, n = {len(frame):,}", fontsize=9.5)
        for axes in grid.flat[len(models) :]:
            axes.set_visible(False)
        for number, axes in enumerate(grid.flat[: len(models)]):
            if number % columns == 0:
                axes.set_ylabel("Patients")
            axes.set_xlabel("Predicted probability")
            axes.tick_params(labelbottom=True)
        _outcome_legend(figure, view)
    caption = (
        f"Upwards: {view.words.events}; downwards: the others. Lines mark medians. "
        "The further apart the two, the better a model separates them. Rules with one cut-off are left out."
    )
    alt = f"Histograms of predicted probability by outcome for {len(models)} models."
    return caption, f"{alt} {shown.medians_by_outcome(view, models)}".rstrip()


# ---- parts


def _has_interval(curves: dict[str, pd.DataFrame], model: str) -> bool:
    return model in curves and bool(curves[model]["ci_low"].notna().any())


def _calibration_panel(axes: Axes, points: pd.DataFrame, color: str) -> None:
    axes.plot([0, 1], [0, 1], color="#b8c0c9", lw=1)
    known = points["ci_low"].notna()
    axes.vlines(points.loc[known, "x"], points.loc[known, "ci_low"], points.loc[known, "ci_high"], color=color, lw=1.4)
    axes.plot(points["x"], points["y"], "o-", color=color, lw=1, ms=5.5, mec="white", mew=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.tick_params(labelbottom=False)
    quiet(axes)


def _calibration_text(view: RunView, model: str) -> str:
    slope = text.estimate(view.metric("calibration_slope", model), 2)
    intercept = text.estimate(view.metric("calibration_intercept", model), 2)
    return text.typographic(f"slope {slope}\nintercept {intercept}")


def _event_color(view: RunView) -> str:
    """Green is for good events only."""
    return VERMILLION if view.words.harm else RESPONDER


def _mirror(axes: Axes, frame: pd.DataFrame, event_color: str, medians: bool = False) -> None:
    """Histogram of probabilities, events upwards and non-events downwards."""
    heights = {}
    for outcome, side, color in ((1, 1, event_color), (0, -1, NON_RESPONDER)):
        p = frame.loc[frame["y_true"] == outcome, "p_response"].to_numpy()
        counts, _ = np.histogram(p, bins=_BINS)
        heights[outcome] = max(1, int(counts.max(initial=0)))
        # one shape for all bars: a bar of its own for each costs as much as the rest of the picture
        bars = [
            [(x, 0), (x, y), (x + 0.036, y), (x + 0.036, 0)] for x, y in zip(_BINS, side * counts, strict=False) if y
        ]
        axes.add_collection(PolyCollection(bars, facecolors=color, linewidths=0), autolim=False)
        if medians and len(p):
            axes.plot([np.median(p)] * 2, [0, side * counts.max()], color=INK, lw=1.4)
    axes.axhline(0, color=MUTED, lw=0.8)
    tallest = max(heights.values())
    axes.set(xlim=(0, 1), ylim=(-1.12 * max(heights[0], 0.3 * tallest), 1.12 * max(heights[1], 0.3 * tallest)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes.yaxis.set_major_locator(_integer_ticks(tallest))
    quiet(axes, "none")


def _outcome_legend(figure: Canvas, view: RunView) -> None:
    events = view.words.events
    handles = [Patch(color=_event_color(view)), Patch(color=NON_RESPONDER)]
    others = view.words.others
    figure.legend(handles, [text.sentence(events), text.sentence(others)], loc="outside lower left", ncols=2)


def _integer_ticks(tallest: int) -> FixedLocator:
    step = 10 ** math.floor(math.log10(tallest))
    step = next(s for s in (step * 5, step * 2, step) if s <= tallest)
    return FixedLocator([-step, 0, step])
