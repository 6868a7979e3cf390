"""Figures of importance beyond single features: blocks and clusters of them, and tumour types."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from immunocast.cohort.vocabulary import label
from immunocast.explain.importance import MIN_PATIENTS
from immunocast.report import text
from immunocast.report.figures_explain import block_of, feature_label
from immunocast.report.patients import explained_values
from immunocast.report.style import GREY, INK, MUTED, canvas, clip_label, ink_on, quiet
from immunocast.report.view import RunView

_MOST = 14
_ALL = "All patients"
#: White to dark blue, lightness falling throughout.
_STRENGTH = LinearSegmentedColormap.from_list("strength", ["#f4f8fb", "#9cc5e3", "#3485bd", "#00426e"])
#: Values below are rounding, e.g. of a feature that was measured in nobody.
_ZERO = 1e-9


# ---- what stands in the way


def no_groups(view: RunView) -> str:
    """Reason why groups of features can't be drawn."""
    return "" if len(_groups(view)) else "The run holds no importance of groups of features."


def no_tumor_types(view: RunView) -> str:
    """Reason why importance by tumour type can't be drawn."""
    frame = _by_type(view)
    if frame.empty:
        return (
            f"No tumour type has an importance of its own: each has fewer than {MIN_PATIENTS} explained patients, or "
            "explain.by leaves tumor_type out."
        )
    return ""


# ---- drawings: each saves a PNG and returns (caption, alt)


def groups(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Blocks and clusters of features of the explained model, beside the sum of their members' importance."""
    frame = _groups(view)
    alone = _alone(view)
    kinds = [k for k in ("block", "cluster") if (frame["kind"] == k).any()]
    parts = [frame[frame["kind"] == k].sort_values(["rank", "feature"]).head(_MOST) for k in kinds]
    sums = [np.array([sum(alone.get(m, 0.0) for m in str(r).split("+")) for r in p["members"]]) for p in parts]
    names = [[_group_name(row) for row in p.to_dict("records")] for p in parts]
    heights = [0.15 + sum(0.34 + 0.14 * n.count("\n") for n in found) for found in names]
    scale, n = str(frame["output_scale"].iloc[0]), int(frame["n"].max())
    heading = f"{title}: {clip_label(view.label(view.explained_model or ''))}, n = {n:,}"
    with canvas(view, path, heading, height=1.5 + sum(heights) + 0.45 * len(heights)) as figure:
        grid = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights, sharex=True)[:, 0]
        for axes, kind, part, total, ticks in zip(grid, kinds, parts, sums, names, strict=True):
            y = np.arange(len(part))
            axes.barh(y, part["mean_abs_shap"], height=0.6, color=[block_of(g)[1] for g in part["group"]])
            known = part["ci_low"].notna().to_numpy()
            axes.hlines(y[known], part["ci_low"][known], part["ci_high"][known], color=INK, lw=1.3)
            axes.plot(total, y, "D", ms=5, mfc="white", mec=INK, mew=1.1, ls="")
            axes.set_yticks(y, ticks)
            axes.set_ylim(len(part) - 0.4, -0.6)
            axes.set_title("Kinds of assay" if kind == "block" else "Features that go together", fontsize=9.5)
            quiet(axes, "x")
        reach = float(np.nanmax([*frame["ci_high"].fillna(0), *frame["mean_abs_shap"], *np.concatenate(sums)]))
        grid[0].set_xlim(0, 1.05 * reach or 1)
        grid[-1].set_xlabel(f"Mean |SHAP| of the group, {scale}")
        mark = Line2D([], [], marker="D", ms=5, mfc="white", mec=INK, mew=1.1, ls="")
        handles: list[Any] = [mark]
        words = ["sum of the members’ own importance"]
        if any((p["group"] == "mixed").any() for p in parts):
            handles, words = [Patch(color=GREY), *handles], ["of several kinds of assay", *words]
        figure.legend(handles, words, loc="outside lower left", ncols=2)
    caption = (
        "A patient’s value of a group is the sum of its members’ SHAP values; bars are the mean of its absolute value "
        "with 95 % bootstrap intervals. A diamond far to the right of its bar: the members pull in different "
        "directions. Features that go together share their importance, so that each alone looks smaller than what it "
        "tells; the group does not. Associated with the prediction, not shown to cause the outcome."
    )
    first = parts[0]
    alt = f"Bars of importance of groups of features. {'; '.join(_spoken(r) for r in first.to_dict('records')[:5])}."
    return caption, alt


def by_tumor_type(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Heat map: features down, tumour types across, mean absolute SHAP value in the cells."""
    frame = _by_type(view)
    overall = _overall(view)
    features = list(overall.sort_values(["rank", "feature"])["feature"].head(_MOST))
    counts = _counts(view)
    levels = sorted(counts, key=lambda t: (-counts[t], t))
    columns = [_ALL, *levels]
    n = {_ALL: int(overall["n"].max()), **counts}
    cells = {(str(r["level"]), str(r["feature"])): r for r in frame.to_dict("records")}
    cells |= {(_ALL, str(r["feature"])): r for r in overall.to_dict("records")}
    value = np.full((len(features), len(columns)), np.nan)
    for j, column in enumerate(columns):
        for i, feature in enumerate(features):
            row = cells.get((column, feature))
            if row is not None and row["n_measured"] > 0:
                value[i, j] = row["mean_abs_shap"]
    scale = str(overall["output_scale"].iloc[0])
    top = float(np.nanmax(value)) or 1.0
    heading = f"{title}: {clip_label(view.label(view.explained_model or ''))}, n = {n[_ALL]:,}"
    with canvas(view, path, heading, height=1.9 + 0.34 * len(features)) as figure:
        axes = figure.subplots()
        shown = axes.pcolormesh(value, cmap=_STRENGTH, vmin=0, vmax=top, edgecolor="white", lw=1.5)
        _write_cells(axes, value, cells, columns, features, top)
        axes.set_yticks(np.arange(len(features)) + 0.5, [feature_label(f) for f in features])
        tilted = len(columns) > 8
        ticks = [f"{clip_label(text.level_label(c), 16)}{', ' if tilted else chr(10)}n = {n[c]:,}" for c in columns]
        tilt: dict[str, Any] = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if tilted else {}
        axes.set_xticks(np.arange(len(columns)) + 0.5, ticks, **tilt)
        axes.xaxis.tick_top()
        axes.set(xlim=(0, len(columns)), ylim=(len(features), 0))
        axes.axvline(1, color=MUTED, lw=1)
        quiet(axes, "none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        bar = figure.colorbar(shown, ax=axes, fraction=0.02, pad=0.015, aspect=30)
        bar.set_label(f"Mean |SHAP|, {scale}")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)
    caption = (
        f"Mean absolute SHAP value in {scale} among the held-out patients of each tumour type; darker is larger. A "
        f"column is blank where the type has fewer than {MIN_PATIENTS} patients; a dash: the feature was measured in "
        "nobody of the type. Small types vary by chance: the table importance holds an interval for each number. "
        "Associated with the prediction, not shown to cause the outcome."
    )
    held = [c for c in levels if any((c, f) in cells for f in features)]
    leading = "; ".join(
        f"{c}: {label(features[int(np.nanargmax(value[:, columns.index(c)]))])}"
        for c in held
        if np.isfinite(value[:, columns.index(c)]).any()
    )
    return caption, f"Heat map of importance by tumour type. Strongest feature: {leading}."


# ---- parts


def _groups(view: RunView) -> pd.DataFrame:
    return _rows(view, "all", ("block", "cluster"))


def _by_type(view: RunView) -> pd.DataFrame:
    return _rows(view, "tumor_type", ("feature",))


def _overall(view: RunView) -> pd.DataFrame:
    return _rows(view, "all", ("feature",))


def _rows(view: RunView, subgroup: str, kinds: tuple[str, ...]) -> pd.DataFrame:
    frame = view.table("importance")
    frame = frame[(frame["model"] == view.explained_model) & (frame["subgroup"] == subgroup)]
    frame = frame[frame["kind"].isin(kinds)]
    frame = frame[frame["repeat"] == frame["repeat"].min()] if len(frame) else frame
    return frame[(frame["mean_abs_shap"] > _ZERO) | (frame["subgroup"] != "all")]


def _alone(view: RunView) -> dict[str, float]:
    overall = _overall(view)
    return {str(f): float(v) for f, v in zip(overall["feature"], overall["mean_abs_shap"], strict=True)}


def _group_name(row: dict) -> str:
    members = ", ".join(label(m) for m in str(row["members"]).split("+"))
    lead = f"{block_of(str(row['feature']))[0]}: " if row["kind"] == "block" else ""
    found = wrap(lead + members, 52)
    return "\n".join([*found[:2], found[2] + " …"] if len(found) > 3 else found).replace("$", r"\$")


def _spoken(row: dict) -> str:
    return f"{block_of(str(row['feature']))[0]} {text.number(row['mean_abs_shap'])}"


def _counts(view: RunView) -> dict[str, int]:
    """Explained patients of each tumour type."""
    explained = set(explained_values(view)["patient_id"])
    cohort = view.table("cohort")
    types = cohort.loc[cohort["patient_id"].isin(explained), "tumor_type"].dropna()
    return {str(k): int(v) for k, v in types.value_counts().items()}


def _write_cells(
    axes: Axes, value: np.ndarray, cells: dict, columns: list[str], features: list[str], top: float
) -> None:
    small, types = len(columns) > 12, {level for level, _ in cells}
    for j, column in enumerate(columns):
        for i, feature in enumerate(features):
            row = cells.get((column, feature))
            if row is None:
                continue
            words = "–" if np.isnan(value[i, j]) else text.number(value[i, j], 2 if top >= 0.1 else 3)
            color = MUTED if np.isnan(value[i, j]) else ink_on(_STRENGTH(value[i, j] / top))
            axes.text(j + 0.5, i + 0.5, words, ha="center", va="center", fontsize=7 if small else 8.5, color=color)
        if column not in types:
            axes.text(j + 0.5, len(features) / 2, "too few patients", ha="center", va="center", rotation=90,
                      fontsize=8.5, color=MUTED)  # fmt: skip
