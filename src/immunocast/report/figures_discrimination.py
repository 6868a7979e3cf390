"""Figures of discrimination: ROC curves, AUROC by cohort, and the difference to the reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from immunocast.report import shown, text
from immunocast.report.style import (
    MUTED,
    canvas,
    clip_label,
    lines,
    quiet,
)
from immunocast.report.view import RunView

# ---- what stands in the way


def no_curve(curve: str) -> Callable[[RunView], str]:
    """Reason why a curve can't be drawn, "" where it can."""

    def obstacle(view: RunView) -> str:
        return "" if view.curve_points(curve) else f"The run holds no points of {curve} curves over all cohorts."

    return obstacle


def no_auroc(view: RunView) -> str:
    """Reason why the forest plot can't be drawn."""
    frame = view.table("metrics")
    found = frame[(frame["metric"] == "auroc") & frame["estimate"].notna()]
    return "" if len(found) else "The run holds no estimate of the AUROC."


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
    curves, look = view.curve_points("roc"), lines(view)
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
    others = shown.by_model(view, "auroc", [m for m in view.order if m in curves and m != view.headline])
    alt = f"ROC curves. {view.label(view.headline)}: {_auroc_text(view, view.headline)}."
    alt += f" AUROC of the others: {others}." if others else ""
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
        "“Too small” marks too few events or non-events for an estimate. "
        "Rows are on the patients whom each model could score."
    )
    alt = f"Forest plot of AUROC for {len(models)} models in {len(view.cohort_ids)} cohorts."
    alt += f" {shown.range_over_cohorts(view)}." if shown.range_over_cohorts(view) else ""
    return caption, alt


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
                _difference_row(axes, view, row, place, look[model].color)
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
        "intervals. An interval that covers 0 does not tell the two apart. p is of one comparison; "
        "the table holds the corrected one."
    )
    row = view.comparison("auroc", view.headline)
    said = [
        f"{name} {text.number(r['difference'], 3, sign=True)}"
        for name, r, _ in overall
        if r is not None and text.is_number(r["difference"])
    ]
    alt = f"Differences in AUROC. {view.label(view.headline)}: {text.estimate(row, column='difference', sign=True)}."
    return caption, f"{alt} All models: {'; '.join(said)}." if said else alt


# ---- parts


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
        axes.text(0.515, place, text.estimate(row), va="center", fontsize=8, color=MUTED, style="italic")
        return
    if text.is_number(row["ci_low"]):
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=line.color, lw=1.8)
    axes.plot(row["estimate"], place, marker=line.marker, ms=6, color=line.color, mec="white", mew=0.8)


def _difference_row(axes: Axes, view: RunView, row: dict[str, Any] | None, place: int, color: str) -> None:
    right = axes.get_yaxis_transform()
    if row is None or not text.is_number(row["difference"]):
        note = text.short_note(view.relabel(row["note"] if row else ""), 44) or text.estimate(row, column="difference")
        axes.text(1.02, place, note, transform=right, va="center", fontsize=8.5, color=MUTED, style="italic")
        return
    if text.is_number(row["ci_low"]):
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=color, lw=2)
    axes.plot(row["difference"], place, "o", ms=6.5, color=color, mec="white", mew=0.8)
    words = text.estimate(row, column="difference", sign=True)
    p = text.p_value(row["p"])
    p = f", p {p}" if p.startswith("<") else f", p = {p}" if p else ""
    axes.text(1.02, place, text.typographic(f"{words}{p}, n = {int(row['n_common']):,}"), transform=right,
              va="center", fontsize=8.5)  # fmt: skip
