"""Figures of discordant patients, and of what stands between an explanation and the recalibrated probability."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from immunocast.cohort.vocabulary import label
from immunocast.report import text
from immunocast.report.explained import STRATA, discordant_rows, discordant_words, why_no_discordant
from immunocast.report.figures_explain import BLOCKS, block_of, towards
from immunocast.report.style import (
    AMBER,
    BLUE,
    GREEN,
    MUTED,
    canvas,
    clip_label,
    quiet,
)
from immunocast.report.view import RunView

_MOST = 10


# ---- what stands in the way


def no_discordant(view: RunView) -> str:
    """Reason why discordant patients can't be compared."""
    if any(discordant_rows(view, s)["difference"].notna().any() for s in STRATA):
        return ""
    return why_no_discordant(view) or "Fewer than 10 patients stand on each side of every comparison."


def no_map(view: RunView) -> str:
    """Reason why maps of recalibrators can't be drawn."""
    return "" if _mapped(view) else "No explained model was recalibrated."


# ---- drawings: each saves a PNG and returns (caption, alt)


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
            axes.set_yticks(y, [clip_label(label(f), 28) for f in part["feature"]])
            axes.set(ylim=(tallest - 0.4, -0.6), xlabel=f"Difference in mean SHAP, {part['output_scale'].iloc[0]}")
            axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            whom = discordant_words(view, stratum, int(part["n"].iloc[0]), int(part["n_reference"].iloc[0]))
            axes.set_title(
                "\n".join(wrap(whom, 38, break_on_hyphens=False)).replace("$", r"\$"), fontsize=8.8, fontweight="normal"
            )
            quiet(axes, "x")
            axes.spines["left"].set_visible(False)
        used = [g for g in BLOCKS if any((p["group"] == g).any() for p in parts.values())]
        handles = [Patch(color=BLOCKS[g][1]) for g in used]
        figure.legend(handles, [BLOCKS[g][0] for g in used], loc="outside lower left", ncols=len(used))
    direction = towards(str(first["output_scale"].iloc[0]))
    caption = (
        "By which features the model tells patients whose outcome PD-L1 would not have led one to expect from those of "
        "the same PD-L1 whom it got right: difference in mean signed SHAP value, with 95 % bootstrap intervals "
        f"(patients resampled, models fixed). Right of 0: the feature speaks for {direction} more than in the "
        "patients compared with. All cohorts together; the outcome itself was used to choose who is shown. "
        "Associated with the prediction, not shown to cause the outcome."
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
    said = [f"{view.label(m)}{_middle(points)}" for m, _, points in found]
    return caption, f"Maps from output to recalibrated probability of {'; '.join(said)}."


# ---- parts


def _middle(points: pd.DataFrame) -> str:
    """What the final map makes of a probability near a third, in words; "" where the map has no final line."""
    final = points[points["fold"] == "final"]
    if final.empty:
        return ""
    row = final.iloc[int((final["p"] - 1 / 3).abs().to_numpy().argmin())]
    return f": {row['p']:.2f} becomes {row['p_recalibrated']:.2f}"


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
