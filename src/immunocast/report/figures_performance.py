"""Figures of performance: ROC, AUROC by cohort, calibration, decision curves, probabilities, comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator

from immunocast.report import text
from immunocast.report.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    NON_RESPONDER,
    RESPONDER,
    canvas,
    clip_label,
    lines,
    quiet,
)
from immunocast.report.view import OVERALL, RunView

_BINS = np.linspace(0, 1, 26)


# ---- what stands in the way


def no_curve(curve: str) -> Callable[[RunView], str]:
    """Reason why a curve can't be drawn, "" where it can."""

    def obstacle(view: RunView) -> str:
        return "" if _curves(view, curve) else f"The run holds no points of {curve} curves over all cohorts."

    return obstacle


def no_auroc(view: RunView) -> str:
    """Reason why the forest plot can't be drawn."""
    frame = view.table("metrics")
    found = frame[(frame["metric"] == "auroc") & frame["estimate"].notna()]
    return "" if len(found) else "The run holds no estimate of the AUROC."


def no_probabilities(view: RunView) -> str:
    """Reason why the distribution of probabilities can't be drawn."""
    return "" if _graded(view) else "The run holds no graded predictions."


def no_comparison(view: RunView) -> str:
    """Reason why the comparison can't be drawn."""
    if not view.reference:
        return "The run names no reference model."
    rows = [view.comparison("auroc", m) for m in view.order]
    if any(r is not None and text.is_number(r["difference"]) for r in rows):
        return ""
    return f"The run holds no difference in AUROC to {view.label(view.reference)}."


# ---- drawings: each saves a PNG and returns (caption, alt)


def roc(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """ROC curves over all cohorts; single-marker rules as one operating point."""
    curves, look = _curves(view, "roc"), lines(view)
    with canvas(view, path, title, height=5.9) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#b8c0c9", lw=1, zorder=1)
        for model in reversed([m for m in view.order if m in curves]):
            points, line = curves[model], look[model]
            label = f"{clip_label(view.label(model))}\n{_auroc_text(view, model)}"
            if model in view.rules:
                point = view.operating_point(model)
                if point is not None:
                    axes.plot(*point, ls="", marker=line.marker, ms=8, color=line.color, mec="white", mew=1,
                              label=label, zorder=5)  # fmt: skip
            else:
                axes.plot(points["x"], points["y"], color=line.color, lw=line.width, ls=line.style, label=label)
        axes.set(
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
            aspect="equal",
            xlabel="1 − specificity",
            ylabel="Sensitivity",
        )
        axes.set_anchor("W")
        quiet(axes)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles[::-1],
            labels[::-1],
            loc="outside right upper",
            labelspacing=0.75,
            handlelength=2.4,
            title="AUROC (95 % interval)",
            title_fontsize=9,
            alignment="left",
        )
    caption = (
        f"Held-out patients, {text.scheme_label(view.scheme)}. With several cohorts, sensitivities are averaged at "
        f"equal specificity. {_overall_note(view)} A rule with one cut-off is a single point. n is the number of "
        "patients whom a model could score: it differs between models, so compare them in the section on "
        "comparisons, on common patients."
    )
    alt = f"ROC curves. {view.label(view.headline)}: {_auroc_text(view, view.headline)}."
    return caption, alt


def forest(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """AUROC with its interval: a panel a cohort, a row a model."""
    look = lines(view)
    models = [m for m in view.order if any(view.metric("auroc", m, c) for c in (None, *view.cohort_ids))]
    panels: list[str | None] = [None, *view.cohort_ids] if len(view.cohort_ids) > 1 else [None]
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    height = 0.9 + rows * (0.78 + 0.25 * len(models))
    low = _forest_low(view, models)
    with canvas(view, path, title, height) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, cohort_id in zip(grid.flat, panels, strict=False):
            axes.axvline(0.5, color="#b8c0c9", lw=1)
            for place, model in enumerate(models):
                _forest_row(axes, view.metric("auroc", model, cohort_id), place, look[model], low)
            _panel_title(axes, view, cohort_id)
            quiet(axes, "x")
            axes.spines["left"].set_visible(False)
            axes.set_facecolor("#f4f7fa" if cohort_id is None else "white")
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        grid[0, 0].set(xlim=(low, 1.0), ylim=(len(models) - 0.4, -0.6))
        grid[0, 0].set_yticks(range(len(models)), [clip_label(view.label(m), 28) for m in models])
        for column in range(columns):
            last = max(i for i in range(len(panels)) if i % columns == column) // columns
            grid[last, column].set_xlabel("AUROC")
            grid[last, column].tick_params(labelbottom=True)
    caption = (
        f"Point: AUROC; line: 95 % interval; grey vertical line: 0.5, no discrimination. {_overall_note(view)} "
        "“Too small” marks fewer than 10 events or 10 non-events. Rows are on the patients whom each model could score."
    )
    alt = f"Forest plot of AUROC for {len(models)} models in {len(view.cohort_ids)} cohorts."
    return caption, alt


def calibration(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Observed against predicted, with bins and intervals; probabilities by outcome below."""
    curves, look = _curves(view, "calibration"), lines(view)
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
            _mirror(lower, view.predictions[view.predictions["model"] == model])
            if column == 0:
                upper.set_ylabel("Observed share")
                lower.set_ylabel("Patients")
            lower.set_xlabel("Predicted probability")
            lower.tick_params(labelbottom=True)
        _outcome_legend(figure, view)
    caption = (
        "Above: observed share of events in bins of predicted probability, with 95 % intervals; the grey diagonal is "
        f"perfect calibration. Below: number of patients by predicted probability, {text.event_label(view.endpoint)} "
        "upwards and the others downwards. A slope below 1 means that predictions are too extreme, an intercept "
        "below 0 that they are too high on average. Rules with one cut-off give no probability and are left out."
    )
    described = _calibration_text(view, models[0]).replace("\n", ", ")
    return caption, f"Calibration plots of {len(models)} models. {view.label(models[0])}: {described}."


def decision(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Net benefit against the threshold, with treating everybody and nobody."""
    curves, look = _curves(view, "decision"), lines(view)
    models = [m for m in view.order if m in curves]
    top = max(float(curves[m]["y"].max()) for m in models)
    with canvas(view, path, title, height=4.9) as figure:
        axes = figure.subplots()
        for model in reversed(models):
            points, line = curves[model], look[model]
            marks: dict[str, Any] = {}
            if model in view.rules:
                marks = {"marker": line.marker, "markevery": max(1, len(points) // 10), "ms": 5}
            axes.plot(points["x"], points["y"], color=line.color, lw=line.width, ls=line.style,
                      label=clip_label(view.label(model)), **marks)  # fmt: skip
            if model == view.headline and points["ci_low"].notna().any():
                axes.fill_between(points["x"], points["ci_low"], points["ci_high"], color=BLUE, alpha=0.12, lw=0)
        if "treat_all" in curves:
            points = curves["treat_all"]
            axes.plot(points["x"], points["y"], color=INK, lw=1.3, label="Treat all")
            top = max(top, float(points["y"].max()))
        axes.axhline(0, color=INK, lw=1.3, ls=(0, (1, 1.5)), label="Treat none")
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
        "A model is useful at a threshold where its line lies above both “treat all” and “treat none”."
        + (f" Vertical lines: thresholds of the table ({marked})." if marked else "")
        + (" Band: 95 % interval of the headline model." if _has_interval(curves, view.headline) else "")
        + " A model whose probabilities are too high or too low loses net benefit even if it ranks patients well."
    )
    return caption, f"Decision curves of {len(models)} models, treat all and treat none."


def distribution(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Predicted probabilities by outcome, a panel a model."""
    models = _graded(view)
    columns = min(3, len(models))
    rows = math.ceil(len(models) / columns)
    with canvas(view, path, title, height=0.9 + 2.1 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes, model in zip(grid.flat, models, strict=False):
            frame = view.predictions[view.predictions["model"] == model]
            _mirror(axes, frame, medians=True)
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
        f"Upwards: {text.event_label(view.endpoint)}; downwards: the others. Lines mark medians. "
        "The further apart the two, the better a model separates them. Rules with one cut-off are left out."
    )
    return caption, f"Histograms of predicted probability by outcome for {len(models)} models."


def comparison(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Difference in AUROC to the reference: all models over all cohorts, the headline model by cohort."""
    overall = [(view.label(m), view.comparison("auroc", m), m) for m in view.order if m != view.reference]
    overall = [r for r in overall if r[1] is not None]
    by_cohort = [(c, view.comparison("auroc", view.headline, c), view.headline) for c in view.cohort_ids]
    by_cohort = [r for r in by_cohort if r[1] is not None]
    blocks = [("All models, over all cohorts", overall)]
    if by_cohort:
        blocks.append((f"{view.label(view.headline)}, by cohort", by_cohort))
    look, sizes = lines(view), [len(b[1]) + 0.9 for b in blocks]
    limit = 1.12 * max(
        abs(float(row[end])) for _, block in blocks for _, row, _ in block if row is not None
        for end in ("ci_low", "ci_high", "difference") if text.is_number(row[end])
    )  # fmt: skip
    with canvas(view, path, title, height=1.35 + 0.3 * sum(sizes)) as figure:
        grid = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=sizes, sharex=True)[:, 0]
        for axes, (heading, block) in zip(grid, blocks, strict=True):
            axes.axvline(0, color=MUTED, lw=1)
            for place, (_, row, model) in enumerate(block):
                _difference_row(axes, row, place, look[model].color)
            axes.set_yticks(range(len(block)), [clip_label(name, 30) for name, _, _ in block])
            axes.set(ylim=(len(block) - 0.4, -0.6), xlim=(-limit, limit))
            axes.set_title(clip_label(heading, 80), fontsize=9.5)
            quiet(axes, "x")
            axes.spines["left"].set_visible(False)
        grid[-1].set_xlabel(
            f"Difference in AUROC: model minus {clip_label(view.label(view.reference))}\n"
            "← reference better · model better →"
        )
    caption = (
        f"Each model against {view.label(view.reference)} on the patients whom both could score fairly, with 95 % "
        "intervals. An interval that covers 0 does not tell the two apart. p-values are not corrected for multiplicity."
    )
    row = view.comparison("auroc", view.headline)
    return (
        caption,
        f"Differences in AUROC. {view.label(view.headline)}: {text.estimate(row, column='difference', sign=True)}.",
    )


# ---- parts


def _curves(view: RunView, curve: str) -> dict[str, pd.DataFrame]:
    """Points by model over all cohorts."""
    frame = view.table("curves")
    frame = frame[frame["curve"] == curve]
    for overall in OVERALL:
        rows = frame[frame["cohort_id"] == overall]
        if len(rows):
            return {str(m): g.sort_values(["x", "y"]) for m, g in rows[rows["y"].notna()].groupby("model")}
    return {}


def _graded(view: RunView) -> list[str]:
    if view.predictions.empty:
        return []
    present = set(view.predictions["model"])
    return [m for m in view.order if m in present and m not in view.rules]


def _has_interval(curves: dict[str, pd.DataFrame], model: str) -> bool:
    return model in curves and bool(curves[model]["ci_low"].notna().any())


def _overall_note(view: RunView) -> str:
    row = view.metric("auroc", view.headline)
    if row is None:
        return ""
    if row["cohort_id"] == "pooled":
        return "The AUROC is over all patients pooled."
    if len(view.cohort_ids) > 1:
        return "The overall AUROC combines the cohorts' own AUROCs, so differences between cohorts don't inflate it."
    return ""


def _auroc_text(view: RunView, model: str) -> str:
    row = view.metric("auroc", model)
    value = text.typographic(text.estimate(row))
    return f"{value}, n = {int(row['n']):,}" if row is not None else value


def _panel_title(axes: Axes, view: RunView, cohort_id: str | None) -> None:
    analysed = view.analysed
    if cohort_id is not None:
        analysed = analysed[analysed["cohort_id"] == cohort_id]
    name = "All cohorts" if cohort_id is None else clip_label(cohort_id, 28)
    axes.set_title(name, fontsize=9.5, pad=16)
    counts = f"{len(analysed):,} patients, {int(analysed['y_true'].sum()):,} events"
    axes.annotate(counts, (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
                  fontsize=8.5, color=MUTED)  # fmt: skip


def _forest_low(view: RunView, models: list[str]) -> float:
    frame = view.table("metrics")
    keep = (frame["metric"] == "auroc") & frame["model"].isin(models) & (frame["subgroup"] == "all")
    lowest = float(frame.loc[keep, "ci_low"].min())
    return 0.3 if not math.isfinite(lowest) else max(0.0, min(0.4, math.floor(lowest * 10) / 10))


def _forest_row(axes: Axes, row: dict[str, Any] | None, place: int, line: Any, low: float) -> None:
    if row is None or not text.is_number(row["estimate"]):
        axes.text(0.515, place, text.estimate(row), va="center", fontsize=8, color=GREY, style="italic")
        return
    if text.is_number(row["ci_low"]):
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=line.color, lw=1.8)
    axes.plot(row["estimate"], place, marker=line.marker, ms=6, color=line.color, mec="white", mew=0.8)


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


def _mirror(axes: Axes, frame: pd.DataFrame, medians: bool = False) -> None:
    """Histogram of probabilities, events upwards and non-events downwards."""
    heights = {}
    for outcome, side, color in ((1, 1, RESPONDER), (0, -1, NON_RESPONDER)):
        p = frame.loc[frame["y_true"] == outcome, "p_response"].to_numpy()
        counts, _ = np.histogram(p, bins=_BINS)
        heights[outcome] = max(1, int(counts.max(initial=0)))
        axes.bar(_BINS[:-1], side * counts, width=0.036, align="edge", color=color)
        if medians and len(p):
            axes.plot([np.median(p)] * 2, [0, side * counts.max()], color=INK, lw=1.4)
    axes.axhline(0, color=MUTED, lw=0.8)
    tallest = max(heights.values())
    axes.set(xlim=(0, 1), ylim=(-1.12 * max(heights[0], 0.3 * tallest), 1.12 * max(heights[1], 0.3 * tallest)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes.yaxis.set_major_locator(_integer_ticks(tallest))
    quiet(axes, "none")


def _outcome_legend(figure: Canvas, view: RunView) -> None:
    events = text.event_label(view.endpoint)
    handles = [Patch(color=RESPONDER), Patch(color=NON_RESPONDER)]
    others = f"non-{events}" if events == "responders" else "the others"
    figure.legend(handles, [events.capitalize(), others.capitalize()], loc="outside lower left", ncols=2)


def _integer_ticks(tallest: int) -> FixedLocator:
    step = 10 ** math.floor(math.log10(tallest))
    step = next(s for s in (step * 5, step * 2, step) if s <= tallest)
    return FixedLocator([-step, 0, step])


def _difference_row(axes: Axes, row: dict[str, Any] | None, place: int, color: str) -> None:
    right = axes.get_yaxis_transform()
    if row is None or not text.is_number(row["difference"]):
        note = text.estimate(row, column="difference")
        axes.text(1.02, place, note, transform=right, va="center", fontsize=8.5, color=GREY, style="italic")
        return
    if text.is_number(row["ci_low"]):
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=color, lw=2)
    axes.plot(row["difference"], place, "o", ms=6.5, color=color, mec="white", mew=0.8)
    words = text.estimate(row, column="difference", sign=True)
    p = text.p_value(row["p"])
    p = f", p {p}" if p.startswith("<") else f", p = {p}" if p else ""
    axes.text(1.02, place, text.typographic(f"{words}{p}, n = {int(row['n_common']):,}"), transform=right,
              va="center", fontsize=8.5)  # fmt: skip
