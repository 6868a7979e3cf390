"""Figures from values to explanations: dependence on a feature's value, discordant patients, recalibration maps."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, label
from immunocast.report import text
from immunocast.report.explained import STRATA, discordant_rows, discordant_words, interacting_model, why_no_discordant
from immunocast.report.figures_explain import BLOCKS, block_of, ranked_features, value_shade
from immunocast.report.patients import explained_values
from immunocast.report.style import (
    AMBER,
    BLUE,
    GREEN,
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
_MOST = 10
_MOST_LEVELS = 6
_BINS = 8
#: Fewest patients of a point of the trend.
_MIN_BIN = 10


# ---- what stands in the way


def no_dependence(view: RunView) -> str:
    """Reason why SHAP values can't be drawn against values."""
    return "" if view.explained_model else "The run holds no SHAP values (no model was explained)."


def no_discordant(view: RunView) -> str:
    """Reason why discordant patients can't be compared."""
    if any(discordant_rows(view, s)["difference"].notna().any() for s in STRATA):
        return ""
    return why_no_discordant(view) or "Fewer than 10 patients stand on each side of every comparison."


def no_map(view: RunView) -> str:
    """Reason why maps of recalibrators can't be drawn."""
    return "" if _mapped(view) else "No explained model was recalibrated."


# ---- drawings: each saves a PNG and returns (caption, alt)


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
    caption = (
        "A point is a held-out patient in whom the feature was measured; up: towards the event. Line: median of groups "
        "of equal size. Points of one value differ in height where the models of the folds differ, or where another "
        "feature changes what the value means. One vertical scale for all panels of a model."
    )
    if coloured:
        caption += (
            " Colour, where a panel names it: value of the partner, the feature with the strongest exact interaction "
            "(of those whose values have an order); grey where it was not measured."
        )
    caption += " Associated with the prediction, not shown to cause the outcome."
    names = ", ".join(dict.fromkeys(label(f) for _, f, _ in panels))
    return caption, f"SHAP value against the value of: {names}."


def discordant(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Differences in mean SHAP value between discordant patients and those of the same PD-L1: a panel a stratum."""
    parts = {s: discordant_rows(view, s) for s in STRATA}
    parts = {s: p[p["difference"].notna()].head(_MOST) for s, p in parts.items()}
    parts = {s: p for s, p in parts.items() if len(p)}
    tallest = max(len(p) for p in parts.values())
    first = next(iter(parts.values()))
    heading = f"{title}: {clip_label(view.label(str(first['model'].iloc[0])))}"
    with canvas(view, path, heading, height=1.9 + 0.32 * tallest) as figure:
        grid = figure.subplots(1, len(parts), squeeze=False)[0]
        for axes, (stratum, part) in zip(grid, parts.items(), strict=True):
            y = np.arange(len(part))
            axes.axvline(0, color=MUTED, lw=1)
            for at, row in zip(y, part.to_dict("records"), strict=True):
                color = block_of(str(row["group"]))[1]
                if text.is_number(row["ci_low"]):
                    axes.plot([row["ci_low"], row["ci_high"]], [at, at], color=color, lw=2.2)
                axes.plot(row["difference"], at, "o", ms=6.5, color=color, mec="white", mew=0.9)
            axes.set_yticks(y, [clip_label(label(f), 26) for f in part["feature"]])
            axes.set(ylim=(tallest - 0.4, -0.6), xlabel=f"Difference in mean SHAP, {part['output_scale'].iloc[0]}")
            axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            whom = discordant_words(view, stratum, int(part["n"].iloc[0]), int(part["n_reference"].iloc[0]))
            axes.set_title("\n".join(wrap(whom, 50)).replace("$", r"\$"), fontsize=8.8, fontweight="normal")
            quiet(axes, "x")
            axes.spines["left"].set_visible(False)
        used = [g for g in BLOCKS if any((p["group"] == g).any() for p in parts.values())]
        handles = [Patch(color=BLOCKS[g][1]) for g in used]
        figure.legend(handles, [BLOCKS[g][0] for g in used], loc="outside lower left", ncols=len(used))
    caption = (
        "By which features the model tells patients whose outcome PD-L1 would not have led one to expect from those of "
        "the same PD-L1 whom it got right: difference in mean signed SHAP value, with 95 % bootstrap intervals "
        "(patients resampled, models fixed). Right of 0: the feature speaks for the event more than in the patients "
        "compared with. All cohorts together; the outcome itself was used to choose who is shown. Associated with the "
        "prediction, not shown to cause the outcome."
    )
    spoken = []
    for stratum, part in parts.items():
        whom = discordant_words(view, stratum, int(part["n"].iloc[0]), int(part["n_reference"].iloc[0]))
        most = zip(part["feature"][:4], part["difference"][:4], strict=True)
        spoken.append(f"{whom}: " + ", ".join(f"{label(f)} {text.number(v, 2, True)}" for f, v in most))
    return caption, text.typographic("Differences in mean SHAP value. " + "; ".join(spoken) + ".")


def recalibration_map(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """From the output that explanations add up to, to the recalibrated probability: a panel a model."""
    found = _mapped(view)[:3]
    colours = (BLUE, GREEN, AMBER)
    with canvas(view, path, title, height=4.6) as figure:
        grid = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
        for axes, (model, scale, points) in zip(grid, found, strict=True):
            x = "p" if scale == "probability" else "log_odds"
            own = points.drop_duplicates("log_odds").sort_values("log_odds")
            axes.plot(own[x], own["p"], color=MUTED, lw=1.4, ls="--", label="as it came")
            for color, (name, part) in zip(colours, points.groupby("recalibration", sort=True), strict=False):
                for fold, line in part.sort_values("log_odds").groupby("fold", sort=True):
                    last = fold == "final"
                    axes.plot(line[x], line["p_recalibrated"], color=color, lw=2.4 if last else 0.9,
                              alpha=1 if last else 0.5,
                              label=text.recalibration_label(str(name)) if last else None)  # fmt: skip
            axes.set(ylim=(0, 1), xlabel=f"Model output, {'probability' if x == 'p' else 'log-odds'}")
            axes.set_title(clip_label(view.label(model), 30), fontsize=9.5)
            axes.legend(loc="upper left", fontsize=8.5)
            quiet(axes)
        grid[0].set_ylabel("Reported probability")
    caption = (
        "SHAP values add up to the output on the horizontal axis; a recalibrated model reports the probability on the "
        "vertical one. The map never falls: what pushes the output up pushes the reported probability up. Bold: the "
        "final model; thin: the folds, whose maps made the numbers of this report; dashed: no recalibration."
    )
    return caption, f"Maps from output to recalibrated probability of {', '.join(view.label(m) for m, _, _ in found)}."


# ---- parts


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
            # coloured by the one whose values have an order
            a, b = str(row["feature_a"]), str(row["feature_b"])
            feature, partner = (b, a) if _category(b) else (a, b)
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
    spread = np.zeros(len(x))
    if levels:  # beside each other, by order of the patients
        spread = 0.5 * ((np.arange(len(x)) * 0.6180339887) % 1 - 0.5)
    grey = np.isnan(shade)
    plain = BLUE if not partner else "#aab3bd"
    axes.scatter(x[grey] + spread[grey], y[grey], s=8, color=plain, alpha=0.5, lw=0, rasterized=True)
    axes.scatter(x[~grey] + spread[~grey], y[~grey], s=8, c=shade[~grey], cmap=VALUE_MAP, vmin=0, vmax=1, lw=0)
    axes.set_xlabel(clip_label(label(feature), 38))
    if levels:
        axes.set_xticks(range(len(levels)), [clip_label(level, 11) for level in levels])
        if len(levels) > 3:
            axes.tick_params(axis="x", rotation=30)
        axes.set_xlim(-0.6, len(levels) - 0.4)
    else:
        _trend(axes, x, y)
        _scale_axis(axes, x)
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
    x = column.astype("float64")
    flag = feature + MEASURED_SUFFIX
    if flag in cohort:
        x = x.where(cohort[flag].fillna(1).astype(int) == 1)
    return x.to_numpy(), ["no", "yes"] if VOCABULARY[feature].kind == "binary" else []


def _trend(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Medians of groups of equal size along the value."""
    bins = min(_BINS, len(x) // _MIN_BIN)
    if bins < 3 or len(np.unique(x)) < 5:
        return
    points = [(np.median(x[part]), np.median(y[part])) for part in np.array_split(np.argsort(x, kind="stable"), bins)]
    axes.plot([p[0] for p in points], [p[1] for p in points], color=INK, lw=1.6)


def _scale_axis(axes: Axes, x: np.ndarray) -> None:
    """Logarithmic where a few large values would press all others together."""
    if len(x) and x.min() >= 0 and np.quantile(x, 0.995) > 6 * max(float(np.median(x)), 1e-9) and x.max() > 5:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(min(float(x.min()), 1) * 0.9 if x.min() > 0 else -0.15, float(x.max()) * 1.15)
        ticks = [t for t in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if x.min() * 0.9 <= t <= x.max() * 1.15]
        axes.set_xticks(ticks)
        axes.xaxis.set_minor_locator(MaxNLocator(1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))


def _mapped(view: RunView) -> list[tuple[str, str, pd.DataFrame]]:
    """(model, output scale, points) of explained models with recalibrators, in report order."""
    maps, shap = view.table("recalibration_maps"), view.table("shap")
    found = []
    for model in view.explained:
        points = maps[maps["model"] == model]
        scale = str(shap.loc[shap["model"] == model, "output_scale"].iloc[0])
        # a log-hazard is not the log-odds that the map begins at
        if len(points) and scale in ("log-odds", "probability"):
            found.append((model, scale, points))
    return found
