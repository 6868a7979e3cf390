"""Figure of dependence: what a feature's value does to its SHAP value, and with which other feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator

from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, label
from immunocast.report import shown, text
from immunocast.report.explained import interacting_model
from immunocast.report.figures_explain import importance_rows, ranked_features, towards, value_shade
from immunocast.report.patients import explained_values
from immunocast.report.style import (
    BLUE,
    INK,
    MUTED,
    VALUE_MAP,
    canvas,
    clip_label,
    quiet,
)
from immunocast.report.view import RunView

_PANELS = 6
_COLUMNS = 3
_PAIRS = 3
_MOST_LEVELS = 6
_BINS = 8
#: Fewest patients of a point of the trend.
_MIN_BIN = 10


def no_dependence(view: RunView) -> str:
    """Reason why SHAP values can't be drawn against values."""
    return "" if view.explained_model else "The run holds no SHAP values (no model was explained)."


def dependence(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """SHAP value against the feature's value, coloured by the strongest interaction partner where one is known."""
    panels = _dependence_panels(view)
    models = list(dict.fromkeys(m for m, _, _ in panels))
    values = {m: _values_of(view, m) for m in models}
    # each model begins a row, and has one vertical scale: heights can be compared
    rows = [own[k : k + _COLUMNS] for m in models for own in [[p for p in panels if p[0] == m]]
            for k in range(0, len(own), _COLUMNS)]  # fmt: skip
    columns = max(map(len, rows))
    heading = f"{title}: {clip_label(view.label(models[0]))}"
    with canvas(view, path, heading, height=1.2 + 2.75 * len(rows)) as figure:
        grid = figure.subplots(len(rows), columns, squeeze=False)
        coloured = []
        for places, row in zip(grid, rows, strict=True):
            for axes, (model, feature, partner) in zip(places, row, strict=False):
                _dependence_panel(axes, view, values[model], model, feature, partner)
                axes.set_ylim(_reach(values[model], [f for m, f, _ in panels if m == model]))
                coloured += [axes] if partner else []
            for axes in places[len(row) :]:
                axes.set_visible(False)
            places[0].set_ylabel(f"SHAP value, {values[row[0][0]]['output_scale'].iloc[0]}")
        if coloured:
            bar = figure.colorbar(
                ScalarMappable(Normalize(0, 1), VALUE_MAP), ax=coloured, fraction=0.03, pad=0.02, aspect=26
            )
            bar.set_ticks([0, 1], labels=["low", "high"])
            bar.set_label("Value of the partner (rank)", labelpad=-12)
            bar.outline.set_visible(False)
            bar.ax.tick_params(length=0)
    direction = towards(str(values[models[0]]["output_scale"].iloc[0]))
    caption = (
        f"A point is a held-out patient in whom the feature was measured; up: towards {direction}. Line: median of "
        "groups of about equal size. Points of one value differ in height where the models of the folds differ, or "
        "where another feature changes what the value means. One vertical scale for all panels of a model."
    )
    if coloured:
        caption += (
            " Colour, where a panel names it: value of the partner, the feature with the strongest exact interaction "
            "(of those whose values have an order); grey where it was not measured."
        )
    caption += " Associated with the prediction, not shown to cause the outcome."
    names = ", ".join(dict.fromkeys(label(f) for _, f, _ in panels))
    known = importance_rows(view)
    known = known[known["model"] == models[0]] if len(known) else known
    signs = {str(f): float(v) for f, v in zip(known["feature"], known["sign"], strict=True)}
    ways = shown.directions(list(dict.fromkeys(f for m, f, _ in panels if m == models[0])), signs)
    return (
        caption,
        f"SHAP value against the value of: {names}. With a rising value, under {view.label(models[0])}: {ways}.",
    )


def _values_of(view: RunView, model: str) -> pd.DataFrame:
    """First repeat of a model's SHAP rows, aligned with the cohort's columns by `patient_id`."""
    if model == view.explained_model:
        return explained_values(view)
    shap = view.table("shap")
    shap = shap[shap["model"] == model]
    return shap[shap["repeat"] == shap["repeat"].min()]


def _dependence_panels(view: RunView) -> list[tuple[str, str, str]]:
    """(model, feature, partner or "") of each panel: the explained model, then pairs of one with interactions."""
    model = view.explained_model or ""
    partners = _partners(view, model)
    panels = [(model, f, partners.get(f, "")) for f in ranked_features(_values_of(view, model))[:_PANELS]]
    other = interacting_model(view)
    if other is not None and other != model and other in view.explained:
        frame = view.table("interactions")
        frame = frame[(frame["model"] == other) & (frame["mean_abs_interaction"] > 0)].sort_values("rank")
        for row in frame.head(_PAIRS).to_dict("records"):
            # categories along the axis, since colour needs an order; else numbers before yes and no
            a, b = str(row["feature_a"]), str(row["feature_b"])
            binary = VOCABULARY[a].kind == "binary" and VOCABULARY[b].kind != "binary"
            feature, partner = (b, a) if _category(b) or (binary and not _category(a)) else (a, b)
            panels.append((other, feature, "" if _category(partner) else partner))
    return panels


def _partners(view: RunView, model: str) -> dict[str, str]:
    frame = view.table("interactions")
    frame = frame[(frame["model"] == model) & (frame["mean_abs_interaction"] > 0)].sort_values("rank")
    found: dict[str, str] = {}
    for a, b in zip(frame["feature_a"], frame["feature_b"], strict=True):
        for feature, partner in ((str(a), str(b)), (str(b), str(a))):
            if not _category(partner):
                found.setdefault(feature, partner)
    return found


def _category(feature: str) -> bool:
    return VOCABULARY[feature].kind in ("category", "text")


def _reach(values: pd.DataFrame, features: list[str]) -> tuple[float, float]:
    shown = values[features].to_numpy(dtype=float)
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    pad = 0.05 * (high - low or 1)
    return low - pad, high + pad


def _dependence_panel(axes: Axes, view: RunView, values: pd.DataFrame, model: str, feature: str, partner: str) -> None:
    cohort = view.table("cohort").set_index("patient_id").reindex(values["patient_id"])
    y = values[feature].to_numpy(dtype=float)
    shade = value_shade(cohort, partner) if partner else np.full(len(y), np.nan)
    x, levels = _axis_values(cohort, feature)
    known = ~np.isnan(x) & ~np.isnan(y)
    x, y, shade = x[known], y[known], shade[known]
    axes.axhline(0, color="#b8c0c9", lw=1)
    # levels: beside each other, by order of the patients
    spread = (0.5 if levels else 0.0) * ((np.arange(len(x)) * 0.6180339887) % 1 - 0.5)
    grey = np.isnan(shade)
    plain = BLUE if not partner else "#aab3bd"
    axes.scatter(x[grey] + spread[grey], y[grey], s=8, color=plain, alpha=0.5, lw=0, rasterized=True)
    axes.scatter(x[~grey] + spread[~grey], y[~grey], s=8, c=shade[~grey], cmap=VALUE_MAP, vmin=0, vmax=1, lw=0)
    axes.set_xlabel(clip_label(label(feature), 38))
    if levels:
        tilt: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if len(levels) > 3 else {}
        axes.set_xticks(range(len(levels)), [clip_label(level, 12) for level in levels], **tilt)
        axes.set_xlim(-0.6, len(levels) - 0.4)
    else:
        _trend(axes, x, y)
        _scale_axis(axes, x, feature)
    colour = f"colour: {clip_label(label(partner), 30)}, " if partner and not grey.all() else ""
    heads = [clip_label(view.label(model), 36)] if model != view.explained_model else []
    axes.set_title("\n".join([*heads, f"{colour}n = {len(x):,}"]), fontsize=8.5, fontweight="normal", color=MUTED)
    quiet(axes)


def _axis_values(cohort: pd.DataFrame, feature: str) -> tuple[np.ndarray, list[str]]:
    """Place of each patient on the axis, NaN where not measured; names of the levels of a category or flag."""
    if feature not in cohort:
        return np.full(len(cohort), np.nan), []
    column = cohort[feature]
    if _category(feature):
        counts = column.dropna().astype(str).value_counts()
        levels = sorted(counts.index, key=lambda v: (-counts[v], v))[:_MOST_LEVELS]
        place = {level: k for k, level in enumerate(levels)}
        x = np.array([place.get(str(v), np.nan) if not pd.isna(v) else np.nan for v in column], dtype=float)
        return x, [text.level_label(level) for level in levels]
    values = column.astype("float64")
    flag = feature + MEASURED_SUFFIX
    if flag in cohort:
        values = values.where(cohort[flag].fillna(1).astype(int) == 1)
    return values.to_numpy(), ["no", "yes"] if VOCABULARY[feature].kind == "binary" else []


def _trend(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Medians of groups of equal size along the value."""
    bins = min(_BINS, len(x) // _MIN_BIN)
    if bins < 3 or len(np.unique(x)) < 5:
        return
    # ties stay together: where many share a value there are fewer groups
    group = pd.qcut(x, bins, labels=False, duplicates="drop")
    points = pd.DataFrame({"x": x, "y": y}).groupby(group).median()
    axes.plot(points["x"], points["y"], color=INK, lw=1.6)


def _scale_axis(axes: Axes, x: np.ndarray, feature: str) -> None:
    """Logarithmic where a few large values would press all others together; shares and scores to 100 never."""
    bounded = (VOCABULARY[feature].high or np.inf) <= 110
    if (
        len(x)
        and not bounded
        and x.min() >= 0
        and np.quantile(x, 0.995) > 6 * max(float(np.median(x)), 1e-9)
        and x.max() > 5
    ):
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(min(float(x.min()), 1) * 0.9 if x.min() > 0 else -0.15, float(x.max()) * 1.15)
        ticks = [t for t in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if x.min() * 0.9 <= t <= x.max() * 1.15]
        axes.set_xticks(ticks)
        axes.xaxis.set_minor_locator(MaxNLocator(1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
