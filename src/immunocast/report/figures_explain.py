"""Figures that explain a model: importance, beeswarm and waterfall of SHAP values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Patch

from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, label
from immunocast.report import text
from immunocast.report.patients import KINDS, choose, explained_values, in_words, scale_of
from immunocast.report.style import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    PINK,
    SKY,
    VALUE_MAP,
    VERMILLION,
    canvas,
    clip_label,
    quiet,
)
from immunocast.report.view import RunView

__all__ = ["KINDS", "beeswarm", "importance", "no_importance", "no_patient", "no_shap", "waterfall"]

BLOCKS = {"pdl1": ("PD-L1", PINK), "dna": ("DNA", BLUE), "rna": ("RNA", SKY), "blood": ("Blood", VERMILLION),
          "clinical": ("Clinical", GREEN)}  # fmt: skip
_MOST = 14
_CAUTION = "Associated with the prediction, not shown to cause the outcome."


# ---- what stands in the way


def no_importance(view: RunView) -> str:
    """Reason why the importance can't be drawn, "" where it can."""
    found = (importance_rows(view)["mean_abs_shap"] > 0).any()
    return "" if found else "The run holds no table of importance (no model was explained)."


def no_shap(view: RunView) -> str:
    """Reason why SHAP values can't be drawn, "" where they can."""
    return "" if view.explained_model else "The run holds no SHAP values (no model was explained)."


def no_patient(kind: str) -> Callable[[RunView], str]:
    """Reason why the waterfall of a kind of patient can't be drawn, "" where it can."""
    return lambda view: choose(view, kind).reason


# ---- drawings: each saves a PNG and returns (caption, alt)


def importance(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Mean absolute SHAP value with its interval, a panel a model (four at most)."""
    rows = importance_rows(view)
    rows = rows[rows["mean_abs_shap"] > 0]
    models = [m for m in view.order if m in set(rows["model"])][:4]
    parts = [rows[rows["model"] == m].sort_values(["rank", "feature"]).head(_MOST) for m in models]
    columns = min(2, len(models))
    lines_of_panels = math.ceil(len(models) / columns)
    tallest = max(len(p) for p in parts)
    with canvas(view, path, title, height=1.0 + lines_of_panels * (0.7 + 0.27 * tallest)) as figure:
        grid = figure.subplots(lines_of_panels, columns, squeeze=False)
        for axes, model, part in zip(grid.flat, models, parts, strict=False):
            y = np.arange(len(part))
            axes.barh(y, part["mean_abs_shap"], height=0.62, color=[block_of(g)[1] for g in part["group"]])
            known = part["ci_low"].notna().to_numpy()
            axes.hlines(y[known], part["ci_low"][known], part["ci_high"][known], color=INK, lw=1.3)
            axes.set_yticks(y, [feature_label(f) for f in part["feature"]])
            axes.set(ylim=(tallest - 0.4, -0.6), xlabel=f"Mean |SHAP|, {part['output_scale'].iloc[0]}")
            axes.set_title(f"{clip_label(view.label(model), 36)}, n = {int(part['n'].max()):,}", fontsize=9.5)
            axes.set_xlim(0, 1.06 * float(part[["mean_abs_shap", "ci_high"]].max().max()) or 1)
            quiet(axes, "x")
        for axes in grid.flat[len(models) :]:
            axes.set_visible(False)
        used = [g for g in BLOCKS if any((p["group"] == g).any() for p in parts)]
        handles = [Patch(color=BLOCKS[g][1]) for g in used]
        figure.legend(handles, [BLOCKS[g][0] for g in used], loc="outside lower left", ncols=len(used))
    first = parts[0]
    caption = (
        "Mean absolute SHAP value of held-out patients with 95 % bootstrap intervals (patients resampled, models "
        f"fixed): how much each feature moves the prediction, on the scale under each panel. {_CAUTION} "
        "Features that go together share their importance."
    )
    alt = f"Bars of feature importance. {view.label(models[0])}: " + ", ".join(
        f"{label(f)} {v:.3f}" for f, v in zip(first["feature"][:5], first["mean_abs_shap"][:5], strict=True)
    )
    return caption, alt + "."


def beeswarm(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """SHAP value of every patient, a row a feature, coloured by the feature's value."""
    values = explained_values(view)
    features = ranked_features(values)[:_MOST]
    cohort = view.table("cohort").set_index("patient_id").reindex(values["patient_id"])
    scale, model = scale_of(values), view.explained_model or ""
    heading = f"{title}: {clip_label(view.label(model))}, n = {len(values):,}"
    with canvas(view, path, heading, height=1.5 + 0.46 * len(features)) as figure:
        axes = figure.subplots()
        axes.axvline(0, color=MUTED, lw=1)
        for place, feature in enumerate(features):
            x = values[feature].to_numpy(dtype=float)
            shade = value_shade(cohort, feature)
            y = place + _swarm(x, float(np.nanmax(np.abs(values[features].to_numpy(dtype=float)))))
            grey = np.isnan(shade)
            axes.scatter(x[grey], y[grey], s=7, color="#aab3bd", lw=0)
            axes.scatter(x[~grey], y[~grey], s=7, c=shade[~grey], cmap=VALUE_MAP, vmin=0, vmax=1, lw=0)
        axes.set_yticks(range(len(features)), [feature_label(f) for f in features])
        axes.set(ylim=(len(features) - 0.45, -0.55), xlabel=f"SHAP value, {scale} (right: towards {towards(scale)})")
        quiet(axes, "x")
        axes.spines["left"].set_visible(False)
        bar = figure.colorbar(ScalarMappable(Normalize(0, 1), VALUE_MAP), ax=axes, fraction=0.018, pad=0.015, aspect=32)
        bar.set_ticks([0, 1], labels=["low", "high"])
        bar.set_label("Value of the feature (rank)", labelpad=-12)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)
    caption = (
        f"A point is a held-out patient (n = {len(values):,}) under {view.label(model)}, fitted without that patient. "
        f"Position: SHAP value in {scale}; colour: rank of the feature's value, grey for categories and for values "
        f"that were not measured. {_CAUTION}"
    )
    alt = f"Beeswarm of SHAP values, strongest first: {', '.join(label(f) for f in features[:5])}."
    return caption, alt


def waterfall(kind: str) -> Callable[[RunView, Path, str], tuple[str, str]]:
    """Drawing of one patient of a kind: from the base value to the output, a bar a feature."""

    def draw(view: RunView, path: Path, title: str) -> tuple[str, str]:
        choice = choose(view, kind)
        assert choice.row is not None
        row, values = choice.row, explained_values(view)
        scale = str(row["output_scale"])
        patient = view.table("cohort").set_index("patient_id").loc[row["patient_id"]]
        steps = _steps(row, values, patient)
        base, output = float(row["base_value"]), float(row["output"])
        with canvas(view, path, title, height=1.7 + 0.36 * len(steps)) as figure:
            axes = figure.subplots()
            axes.axvline(base, color="#b8c0c9", lw=1, ls=(0, (3, 2)))
            axes.axvline(output, color=MUTED, lw=1)
            reach = _draw_steps(axes, steps, base)
            pad = 0.14 * (reach[1] - reach[0])
            axes.set(xlim=(reach[0] - pad, reach[1] + pad), ylim=(len(steps) - 0.4, -0.9))
            axes.set_yticks(range(len(steps)), [s[0] for s in steps])
            axes.set_xlabel(f"Model output, {scale}")
            quiet(axes, "x")
            axes.spines["left"].set_visible(False)
            left_is_base = base <= output
            for x, words, base_side in ((base, "average", True), (output, "this patient", False)):
                side = "right" if base_side == left_is_base else "left"
                axes.annotate(f"{words} {_output_text(x, scale)}", (x, -0.72), xytext=(-4 if side == "right" else 4, 0),
                              textcoords="offset points", ha=side, va="center", fontsize=8.5, color=INK,
                              fontweight="normal" if base_side else "bold", annotation_clip=False)  # fmt: skip
        outcome = "had the event" if int(row["y_true"]) == 1 else "did not have the event"
        caption = (
            f"{choice.rule} Cohort {row['cohort_id']}; the patient {outcome}. Bars add up from the average output "
            f"{_output_text(base, scale)} to this patient's {_output_text(output, scale)}: blue towards the event, "
            f"orange away from it. {_CAUTION}"
        )
        alt = f"Waterfall of {in_words(view, kind)}: " + "; ".join(
            f"{n} {text.number(v, 2, True)}" for n, v in steps[:5]
        )
        return text.typographic(caption), alt + "."

    return draw


# ---- parts


def importance_rows(view: RunView) -> pd.DataFrame:
    """Importance of features over all patients: the mean over repeats where it is stored, else the first repeat."""
    frame = view.table("importance")
    frame = frame[(frame["subgroup"] == "all") & (frame["level"] == "all") & (frame["kind"] == "feature")]
    return frame[frame["repeat"] == frame["repeat"].min()] if len(frame) else frame


def ranked_features(values: pd.DataFrame) -> list[str]:
    """Features that the model uses, by mean absolute SHAP value, largest first."""
    names = [c for c in values if c in VOCABULARY and VOCABULARY[str(c)].role == "feature"]
    strength = values[names].abs().mean().dropna()
    strength = strength[strength > 0]
    return sorted(strength.index, key=lambda f: (-strength[f], f))


def block_of(group: str) -> tuple[str, str]:
    """Name and colour of a block of features."""
    return BLOCKS.get(group, (group, GREY))


def towards(scale: str) -> str:
    """What a positive value speaks for: on log-hazard the event of the survival model, not that of the endpoint."""
    return "an earlier death or progression" if scale == "log-hazard" else "the event"


def feature_label(feature: str) -> str:
    """What a feature is called on an axis."""
    return clip_label(label(feature), 34)


def value_shade(cohort: pd.DataFrame, feature: str) -> np.ndarray:
    """Rank of each value in 0-1; NaN for categories and for what was not measured."""
    if feature not in cohort or VOCABULARY[feature].kind in ("category", "text"):
        return np.full(len(cohort), np.nan)
    value = cohort[feature].astype("float64")
    if feature + MEASURED_SUFFIX in cohort:
        value = value.where(cohort[feature + MEASURED_SUFFIX].fillna(1).astype(int) == 1)
    low, high = value.min(), value.max()
    if value.nunique() <= 2:
        return ((value - low) / ((high - low) or 1)).to_numpy()
    rank = value.rank()
    return ((rank - 1) / max(rank.max() - 1, 1)).to_numpy()


def _swarm(x: np.ndarray, reach: float) -> np.ndarray:
    """Vertical offsets in +-0.38 that spread points of the same place; the same for the same data."""
    bins = np.round(np.nan_to_num(x) / (reach or 1) * 110).astype(int)
    offsets = np.zeros(len(x))
    order = np.argsort(bins, kind="stable")
    _, starts, counts = np.unique(bins[order], return_index=True, return_counts=True)
    tallest = counts.max(initial=1)
    for start, count in zip(starts, counts, strict=True):
        k = np.arange(count)
        side = np.where(k % 2 == 0, 1, -1) * ((k + 1) // 2)
        half = 0.38 * min(1.0, max(count / tallest, min(1.0, count * 0.03)))
        offsets[order[start : start + count]] = side / max(count / 2, 1) * half
    return offsets


def _steps(row: pd.Series, values: pd.DataFrame, patient: pd.Series, most: int = 9) -> list[tuple[str, float]]:
    """(label, SHAP value) of the strongest features of a patient, the rest added up in one step."""
    features = [f for f in ranked_features(values) if text.is_number(row[f])]
    features.sort(key=lambda f: (-abs(float(row[f])), f))
    steps = [(f"{feature_label(f)} = {_value(patient, f)}", float(row[f])) for f in features[:most]]
    rest = features[most:]
    if len(rest) == 1:
        steps.append((f"{feature_label(rest[0])} = {_value(patient, rest[0])}", float(row[rest[0]])))
    elif rest:
        steps.append((f"{len(rest)} other features", float(sum(row[f] for f in rest))))
    return steps


def _value(patient: pd.Series, feature: str) -> str:
    """A patient's value as the row of a waterfall names it."""
    value = patient.get(feature)
    if value is None or pd.isna(value):
        return "not measured"
    kind = VOCABULARY[feature].kind
    if kind == "binary":
        shown = "yes" if int(value) else "no"
    elif kind in ("category", "text"):
        shown = clip_label(text.level_label(value), 18)
    else:
        shown = f"{float(value):.0f}" if abs(float(value)) >= 100 else f"{float(value):.3g}"
    flag = patient.get(feature + MEASURED_SUFFIX, 1)
    return shown + (" (imputed at source)" if not pd.isna(flag) and int(flag) == 0 else "")


def _draw_steps(axes: Any, steps: list[tuple[str, float]], base: float) -> tuple[float, float]:
    """Bars from the weakest (below) to the strongest (above); returns the span that they cover."""
    position, ends = base, [base]
    for place in range(len(steps) - 1, -1, -1):
        value = steps[place][1]
        color = BLUE if value >= 0 else AMBER
        axes.barh(place, value, left=position, height=0.62, color=color)
        end = position + value
        words = text.typographic(text.number(value, 2, sign=True))
        side, shift = ("left", 4) if value >= 0 else ("right", -4)
        axes.annotate(
            words, (end, place), xytext=(shift, 0), textcoords="offset points", ha=side, va="center", fontsize=8.5
        )
        if place:
            axes.plot([end, end], [place + 0.31, place - 1.31], color="#b8c0c9", lw=0.8)
        position = end
        ends.append(position)
    return min(ends), max(ends)


def _output_text(value: float, scale: str) -> str:
    """An output with the probability that it stands for."""
    if scale != "log-odds":
        return text.number(value, 2)
    return text.typographic(f"{text.number(value, 2)} (probability {1 / (1 + math.exp(-value)):.2f})")
