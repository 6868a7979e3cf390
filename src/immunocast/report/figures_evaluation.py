"""Figures of recalibration, subgroups, survival by risk group, and the instability of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from immunocast.report import shown, text
from immunocast.report.sections_evaluation import group_label
from immunocast.report.sections_survival import OUTCOMES
from immunocast.report.style import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    VERMILLION,
    canvas,
    clip_label,
    lines,
    quiet,
)
from immunocast.report.view import RunView

#: Colours of risk groups, lowest probability first.
_GROUPS = {"low": VERMILLION, "middle": AMBER, "high": BLUE}
_MOST_LEVELS = 60


# ---- what stands in the way


def no_recalibration(view: RunView) -> str:
    """Reason why calibration before and after can't be drawn."""
    return "" if _recalibrated(view) else "The run holds no smooth calibration curve of a recalibrated model."


def no_subgroups(view: RunView) -> str:
    """Reason why subgroups can't be drawn."""
    return "" if len(_subgroup_rows(view)) else "No subgroup is large enough for an estimate."


def no_survival(view: RunView) -> str:
    """Reason why survival curves can't be drawn."""
    return "" if _survival_curves(view) else "The run holds no survival curves: nobody has a survival time."


def no_stability(view: RunView) -> str:
    """Reason why the instability of predictions can't be drawn."""
    return "" if len(view.table("stability")) else "No model was fitted again on resamples of the training patients."


# ---- drawings: each saves a PNG and returns (caption, alt)


def recalibration(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Smooth calibration curves of the models as they came, and after recalibration."""
    found = _recalibrated(view)[:3]
    with canvas(view, path, title, height=4.6) as figure:
        grid = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
        for axes, (model, curves) in zip(grid, found, strict=True):
            axes.plot([0, 1], [0, 1], color="#b8c0c9", lw=1)
            looks = [
                ("none", INK, "--"),
                *zip(sorted(set(curves) - {"none"}), (BLUE, GREEN, AMBER), "---", strict=False),
            ]
            for recalibration_, color, style in looks:
                if recalibration_ not in curves:
                    continue
                points = curves[recalibration_]
                name = "as it came" if recalibration_ == "none" else text.recalibration_label(recalibration_)
                axes.plot(points["x"], points["y"], color=color, ls=style, lw=2, label=name)
                known = points["ci_low"].notna()
                axes.fill_between(points.loc[known, "x"], points.loc[known, "ci_low"], points.loc[known, "ci_high"],
                                  color=color, alpha=0.12, lw=0)  # fmt: skip
            axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Predicted probability")
            axes.set_title(clip_label(view.label(model), 30), fontsize=9.5)
            axes.legend(loc="upper left", fontsize=8.5)
            quiet(axes)
        grid[0].set_ylabel("Observed share, smoothed")
    caption = (
        "Observed share of events by predicted probability, smoothed, with 95 % bands; grey diagonal: perfect. "
        "Recalibration was learned inside the training folds, from patients whom the model had not seen. It keeps the "
        "order of patients of one fold, so discrimination hardly moves; what it changes is whether 30 % means 30 %."
    )
    names = ", ".join(view.label(m) for m, _ in found)
    after = shown.before_and_after(view, [m for m, _ in found])
    return caption, f"Calibration before and after recalibration of {names}.{after}"


def subgroups(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """AUROC of the headline model in every subgroup, its own and shrunken."""
    rows = _subgroup_rows(view)[:_MOST_LEVELS]
    names = list(dict.fromkeys(r["subgroup"] for r in rows))
    overall = view.metric("auroc", view.headline)
    places, ticks, place = [], [], 0.0
    for name in names:
        place += 0.7
        for row in [r for r in rows if r["subgroup"] == name]:
            places.append(place)
            ticks.append(f"{group_label(name)}: {text.level_label(row['level'])}")
            place += 1
    with canvas(view, path, title, height=1.5 + 0.24 * place) as figure:
        axes = figure.subplots()
        axes.axvline(0.5, color="#b8c0c9", lw=1)
        if overall is not None and text.is_number(overall["estimate"]):
            axes.axvline(float(overall["estimate"]), color=BLUE, lw=1, ls=(0, (4, 3)), label="All patients")
        ordered = [r for name in names for r in rows if r["subgroup"] == name]
        for at, row in zip(places, ordered, strict=True):
            _subgroup_row(axes, row, at)
        axes.set_yticks(places, [clip_label(t, 46) for t in ticks])
        low = min(
            (float(r[c]) for r in ordered for c in ("ci_low", "shrunken_low") if text.is_number(r[c])), default=0.3
        )
        axes.set(ylim=(place, 0), xlim=(max(0.0, np.floor(low * 10) / 10), 1.0), xlabel="AUROC")
        quiet(axes, "x")
        axes.spines["left"].set_visible(False)
        handles, labels = axes.get_legend_handles_labels()
        first = dict(zip(labels, handles, strict=True))
        figure.legend(first.values(), first.keys(), loc="outside lower left", ncols=3)
    caption = (
        f"{view.label(view.headline)}. Filled: the subgroup’s own AUROC with its 95 % interval, where it has enough "
        "events. Open diamond: drawn towards the average by how little the subgroup knows (empirical Bayes), with its "
        "interval: read this one for small groups. The more subgroups, the likelier that one looks odd by chance; the "
        "tests in the table are corrected for that."
    )
    named = [(f"{group_label(r['subgroup'])} {text.level_label(r['level'])}", r) for r in ordered]
    return caption, f"AUROC of {view.label(view.headline)} in {len(ordered)} subgroups: {shown.extremes(named)}."


def survival(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Kaplan-Meier curves by group of predicted probability, with the numbers at risk."""
    found = _survival_curves(view)[:2]
    with canvas(view, path, title, height=5.4) as figure:
        grid = figure.subplots(2, len(found), squeeze=False, height_ratios=(4.2, 1), sharex="col")
        for column, (outcome, model, points) in enumerate(found):
            upper, lower = grid[0, column], grid[1, column]
            groups = [g for g in _GROUPS if (points["level"] == g).any()]
            groups += sorted(set(points["level"]) - set(groups))
            last = float(points["x"].max())
            for group in groups:
                here, color = points[points["level"] == group], _GROUPS.get(group, GREY)
                upper.step(here["x"], here["y"], where="post", color=color, lw=2, label=f"{text.humanise(group)}")
                known = here["ci_low"].notna()
                upper.fill_between(here.loc[known, "x"], here.loc[known, "ci_low"], here.loc[known, "ci_high"],
                                   step="post", color=color, alpha=0.12, lw=0)  # fmt: skip
            step = next(s for s in (3, 6, 12, 24, 36, 60, 120, 1200) if last / s <= 6)
            months = np.arange(0, last + 1e-9, step)
            _at_risk(lower, points, groups, months)
            upper.set_xticks(months)
            upper.set(ylim=(0, 1.02), xlim=(-0.04 * last, last))
            upper.set_title(f"{text.sentence(OUTCOMES[outcome])}, {clip_label(view.label(model), 30)}", fontsize=9.5)
            upper.legend(title=f"Probability of {view.words.title.split(' (')[0]}", fontsize=8.5, title_fontsize=8.5)
            upper.tick_params(labelbottom=True)
            upper.set_xlabel("Months")
            quiet(upper)
            if column == 0:
                upper.set_ylabel("Share without the event")
    caption = (
        "Kaplan-Meier curves with 95 % bands, by group of predicted probability; below: patients at risk. Groups are "
        "cut by the predictions alone, never by outcomes. Survival differs between groups also where treatment does "
        "nothing: the curves show prognosis."
    )
    said = [", ".join(w for w in (OUTCOMES[o], view.label(m), shown.hazards(view, o, m)) if w) for o, m, _ in found]
    return caption, f"Survival by group of predicted probability: {'; '.join(said)}."


def instability(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Each patient's probability over refits, against that of the run."""
    frame = view.table("stability")
    models = [m for m in view.order if (frame["model"] == m).any()][:3]
    with canvas(view, path, title, height=4.6) as figure:
        grid = figure.subplots(1, len(models) + 1, squeeze=False)[0]
        for axes, model in zip(grid, models, strict=False):
            here = frame[frame["model"] == model].sort_values("p_response")
            color = lines(view)[model].color
            axes.plot([0, 1], [0, 1], color="#b8c0c9", lw=1)
            axes.vlines(here["p_response"], here["p_low"], here["p_high"], color=color, alpha=min(0.6, 120 / len(here)),
                        lw=0.8, rasterized=True)  # fmt: skip
            change = text.number(here["mean_abs_change"].median(), 3)
            axes.text(0.03, 0.97, f"median change {change}\n{int(here['n_refits'].max()):,} refits, n = {len(here):,}",
                      transform=axes.transAxes, va="top", fontsize=8.5)  # fmt: skip
            axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Probability in this run")
            axes.set_title(clip_label(view.label(model), 30), fontsize=9.5)
            quiet(axes)
        grid[0].set_ylabel("95 % range over refits")
        last = grid[-1]
        for model in models:
            here = frame[frame["model"] == model]
            width = np.sort((here["p_high"] - here["p_low"]).to_numpy())
            last.plot(width, np.arange(1, len(width) + 1) / len(width), color=lines(view)[model].color, lw=2,
                      label=clip_label(view.label(model), 24))  # fmt: skip
        last.set(ylim=(0, 1.01), xlim=(0, None), xlabel="Width of a patient’s 95 % range")
        last.set_ylabel("Share of patients at most so wide")
        if len(models) > 1:
            last.legend(loc="lower right", fontsize=8.5)
        quiet(last)
    caption = (
        "A line a patient: where the probability lies in 95 % of refits on bootstrap samples of the training patients, "
        "who never include the patient (Riley and Collins 2023). Long lines mean that other training patients would "
        "have given this patient another answer; the intervals elsewhere in this report do not contain that."
    )
    widths = (frame["p_high"] - frame["p_low"]).groupby(frame["model"]).median()
    said = "; ".join(f"{view.label(m)} {widths[m]:.2f}" for m in models)
    return caption, f"Instability of predictions. Median width of a patient’s 95 % range over refits: {said}."


# ---- parts


def _recalibrated(view: RunView) -> list[tuple[str, dict[str, pd.DataFrame]]]:
    """Models with smooth curves before and after recalibration, the headline and the reference first."""
    curves = view.curve_points("calibration_smooth")
    found = []
    for model in view.order:
        own = {r: curves[k] for k in curves for m, _, r in [k.partition("+")] if m == model}
        own = {r or "none": points for r, points in own.items()}
        if len(own) > 1:
            found.append((model, own))
    return found


def _subgroup_rows(view: RunView) -> list[dict[str, Any]]:
    frame = view.table("metrics")
    frame = frame[(frame["metric"] == "auroc") & ~frame["subgroup"].isin(["all", "discordance"])]
    pairs = frame[["subgroup", "level"]].drop_duplicates()
    rows = []
    for subgroup, level in sorted(pairs.itertuples(index=False), key=lambda p: (p[0], text.level_order(p[1]))):
        own = view.metric("auroc", view.headline, subgroup=subgroup, level=level) or {}
        shrunken = view.metric("auroc_shrunken", view.headline, subgroup=subgroup, level=level) or {}
        row = {"subgroup": subgroup, "level": level, "n": own.get("n", shrunken.get("n"))}
        row |= {c: own.get(c) for c in ("estimate", "ci_low", "ci_high")}
        row |= {"shrunken": shrunken.get("estimate")}
        row |= {"shrunken_low": shrunken.get("ci_low"), "shrunken_high": shrunken.get("ci_high")}
        if text.is_number(row["estimate"]) or text.is_number(row["shrunken"]):
            rows.append(row)
    return rows


def _subgroup_row(axes: Axes, row: dict[str, Any], at: float) -> None:
    if text.is_number(row["shrunken"]):
        if text.is_number(row["shrunken_low"]):
            axes.plot([row["shrunken_low"], row["shrunken_high"]], [at + 0.18] * 2, color=VERMILLION, lw=1.2)
        axes.plot(row["shrunken"], at + 0.18, "D", ms=5, mfc="white", mec=VERMILLION, ls="", label="Shrunken")
    if text.is_number(row["estimate"]):
        if text.is_number(row["ci_low"]):
            axes.plot([row["ci_low"], row["ci_high"]], [at - 0.12] * 2, color=BLUE, lw=1.8)
        axes.plot(row["estimate"], at - 0.12, "o", ms=5.5, color=BLUE, mec="white", mew=0.8, ls="", label="Own")
    axes.text(1.005, at, f"n = {int(row['n']):,}", transform=axes.get_yaxis_transform(), va="center", fontsize=8,
              color=MUTED)  # fmt: skip


def _survival_curves(view: RunView) -> list[tuple[str, str, pd.DataFrame]]:
    """(outcome, model, points) of the headline and the reference: overall survival first where there is any."""
    for outcome in OUTCOMES:
        curves = view.curve_points(f"survival_{outcome}")
        found = [(outcome, m, curves[m]) for m in dict.fromkeys((view.headline, view.reference)) if m in curves]
        if found:
            return found
    return []


def _at_risk(axes: Axes, points: pd.DataFrame, groups: list[str], months: np.ndarray) -> None:
    for line, group in enumerate(groups):
        here = points[points["level"] == group].sort_values("x")
        for month in months:
            # the number that is at risk from the last point up to the month on
            place = int(np.searchsorted(here["x"].to_numpy(), month, side="left"))
            n = int(here["n"].iloc[place]) if place < len(here) else 0
            axes.text(month, -line, f"{n:,}", ha="center", va="center", fontsize=8.5, color=INK)
    axes.set(ylim=(-len(groups) + 0.4, 0.6))
    axes.set_yticks([-i for i in range(len(groups))], [text.humanise(g) for g in groups])
    axes.set_title("At risk", fontsize=8.5, fontweight="normal", color=MUTED)
    axes.tick_params(labelbottom=False, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
