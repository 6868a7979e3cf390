"""Figures of one patient: the waterfall of contributions, and what the model says along single features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.explain.patient_parts import PatientExplanation
from immunocast.explain.whatif import WhatIf, logarithmic
from immunocast.report import text
from immunocast.report.patient_words import axis_label, value_of
from immunocast.report.style import AMBER, BLUE, INK, MUTED, VERMILLION, canvas, clip_label, quiet
from immunocast.report.view import RunView

_MOST = 9
_LINE = "#b8c0c9"


def waterfall(view: RunView, found: PatientExplanation, path: Path, title: str) -> tuple[str, str]:
    """Bars from the average training patient's output to this patient's; saves a PNG, returns (caption, alt)."""
    steps = [(f"{VOCABULARY[c.feature].label} = {value_of(c)}", c.shap, c.change) for c in found.contributions]
    if len(steps) > _MOST + 1:
        rest = steps[_MOST:]
        others = sum(s[1] for s in rest)
        steps = [*steps[:_MOST], (f"{len(rest)} other features", others, math.nan)]
    base, output = found.base_value, found.output
    with canvas(view, path, title, height=1.7 + 0.36 * len(steps)) as figure:
        axes = figure.subplots()
        axes.axvline(base, color=_LINE, lw=1, ls=(0, (3, 2)))
        axes.axvline(output, color=MUTED, lw=1)
        ends = _bars(axes, steps, base, found.scale)
        pad = 0.26 * (max(ends) - min(ends) or 1.0)
        axes.set(xlim=(min(ends) - pad, max(ends) + pad), ylim=(len(steps) - 0.4, -0.9))
        axes.set_yticks(range(len(steps)), [clip_label(s[0], 46) for s in steps])
        axes.set_xlabel(f"Model output, {found.scale}")
        quiet(axes, "x")
        axes.spines["left"].set_visible(False)
        for x, words, strong in ((base, "average", False), (output, "this patient", True)):
            side = "right" if strong != (base <= output) else "left"
            axes.annotate(f"{words} {_output(x, found.scale)}", (x, -0.72), xytext=(-4 if side == "right" else 4, 0),
                          textcoords="offset points", ha=side, va="center", fontsize=8.5, color=INK,
                          fontweight="bold" if strong else "normal", annotation_clip=False)  # fmt: skip
    towards = "an earlier event" if found.scale == "log-hazard" else "the event"
    caption = (
        f"From the output of the average training patient, {_output(base, found.scale)}, to this patient's, "
        f"{_output(output, found.scale)}: blue towards {towards}, orange away from it. "
        + ("In brackets: about how many percentage points of probability go with it. " if _points(found) else "")
        + "Associated with the prediction, not shown to cause the outcome."
    )
    alt = "Waterfall of contributions: " + "; ".join(f"{s[0]} {text.number(s[1], 2, True)}" for s in steps[:5]) + "."
    return text.typographic(caption), text.typographic(alt)


def curves(view: RunView, found: PatientExplanation, path: Path, title: str) -> tuple[str, str]:
    """A panel a feature: the probability along it, all else held; saves a PNG, returns (caption, alt)."""
    shown = [c for c in found.what_if if len(c.values) > 1]
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    top = max(max([*c.p, c.p_own]) for c in shown)
    with canvas(view, path, title, height=0.8 + 2.3 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, curve in zip(grid.flat, shown, strict=False):
            _curve(axes, curve)
            axes.set_ylim(0, min(1.0, 1.12 * top))
            axes.set_xlabel(clip_label(axis_label(curve.feature), 34))
            quiet(axes)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        for line in grid:
            line[0].set_ylabel("Probability")
    caption = (
        "The model's probability for this patient if one value were another, all others held. In red: the patient as "
        "measured; a dashed line where the value was not measured. Numbers run from the 1st to the 99th percentile of "
        "the training patients; levels are those that at least ten of them had. What the model says, not what a "
        "treatment would do."
    )
    parts = [f"{VOCABULARY[c.feature].label} from {min(c.p):.2f} to {max(c.p):.2f}" for c in shown]
    return caption, f"Probability along single features: {'; '.join(parts)}."


def _curve(axes: Any, curve: WhatIf) -> None:
    if curve.reach.levels:
        names = [_level(curve.feature, v) for v in curve.values]
        own = curve.values.index(curve.own) if curve.own in curve.values else None
        axes.bar(
            range(len(names)), curve.p, width=0.6, color=[VERMILLION if i == own else BLUE for i in range(len(names))]
        )
        few = len(names) <= 4
        axes.set_xticks(range(len(names)), [clip_label(n, 16) for n in names], rotation=0 if few else 35,
                        ha="center" if few else "right", fontsize=8)  # fmt: skip
        if own is None:
            axes.axhline(curve.p_own, color=VERMILLION, lw=1.2, ls=(0, (4, 3)))
        return
    axes.plot(curve.values, curve.p, color=BLUE, lw=2)
    if logarithmic(curve.reach):
        axes.set_xscale("log")
        ticks = _ticks(curve.reach.low, curve.reach.high)
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
    if curve.own is None:
        axes.axhline(curve.p_own, color=VERMILLION, lw=1.2, ls=(0, (4, 3)))
    else:
        axes.plot([curve.own], [curve.p_own], "o", color=VERMILLION, ms=7, zorder=4, clip_on=False)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten inside a range; only 1 and its tenfold where it spans more than two of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [m * 10.0**e for e in powers for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    return found if len(found) <= 6 else [t for t in found if math.isclose(math.log10(t), round(math.log10(t)))]


def _level(feature: str, value: Any) -> str:
    return text.level_label(value) if isinstance(value, str) else ("no", "yes")[int(value)]


def _bars(axes: Any, steps: list[tuple[str, float, float]], base: float, scale: str) -> list[float]:
    """Bars from the weakest (below) to the strongest (above); returns where they end."""
    position, ends = base, [base]
    for place in range(len(steps) - 1, -1, -1):
        _, value, change = steps[place]
        axes.barh(place, value, left=position, height=0.62, color=BLUE if value >= 0 else AMBER)
        position += value
        words = text.number(value, 2, sign=True)
        if scale != "probability" and not math.isnan(change):
            words += f" ({text.number(100 * change, 1, sign=True)})"
        side, shift = ("left", 4) if value >= 0 else ("right", -4)
        axes.annotate(text.typographic(words), (position, place), xytext=(shift, 0), textcoords="offset points",
                      ha=side, va="center", fontsize=8.5)  # fmt: skip
        if place:
            axes.plot([position, position], [place + 0.31, place - 1.31], color=_LINE, lw=0.8)
        ends.append(position)
    return ends


def _points(found: PatientExplanation) -> bool:
    return found.scale != "probability"


def _output(value: float, scale: str) -> str:
    """An output with the probability that it stands for."""
    if scale != "log-odds":
        return text.typographic(text.number(value, 2))
    return text.typographic(f"{text.number(value, 2)} (probability {float(expit(value)):.2f})")


def no_curves(found: PatientExplanation) -> bool:
    """Whether there is nothing to draw along."""
    return not any(len(c.values) > 1 for c in found.what_if)


def span_of(curve: WhatIf) -> float:
    """How far a curve moves the probability."""
    return float(np.ptp([*curve.p, curve.p_own]))
