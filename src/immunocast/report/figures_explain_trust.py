"""Figures of how far importances hold: ranks over draws, agreement of models, cohorts and methods, and the truth."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from immunocast.cohort.vocabulary import label
from immunocast.report import text
from immunocast.report.explained import (
    METHODS,
    TRUTH_METRICS,
    agreement_name,
    agreement_rows,
    stability_rows,
    stability_sources,
    truth_name,
)
from immunocast.report.figures_explain import feature_label
from immunocast.report.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    VALUE_MAP,
    VERMILLION,
    canvas,
    clip_label,
    ink_on,
    lines,
    quiet,
)
from immunocast.report.view import RunView

_MOST = 14
_MOST_NAMES = 10
_MOST_MODELS = 5
_BETWEEN = {"models": "Models", "cohorts": "Cohorts", "methods": "Ways to measure importance"}
LOST = "not distinguishable"


# ---- what stands in the way


def no_ranks(view: RunView) -> str:
    """Reason why ranks over draws can't be drawn."""
    return "" if stability_rows(view)["rank_low"].notna().any() else "The run holds no importance over several draws."


def no_agreement(view: RunView) -> str:
    """Reason why agreement can't be drawn."""
    known = agreement_rows(view)["rank_correlation"].notna().any()
    return "" if known else "The run holds no two importances to compare."


def no_truth(view: RunView) -> str:
    """Reason why the recovery of the truth can't be drawn."""
    frame = view.table("truth_recovery")
    if len(_metric_rows(frame)) or len(_share_rows(frame)):
        return ""
    return "The true mechanism is known for synthetic cohorts only, and no model was explained on one here."


# ---- drawings: each saves a PNG and returns (caption, alt)


def ranks(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Rank of each feature with its range over refits, cohorts, folds or repeats: a panel a source."""
    frame = stability_rows(view)
    sources = [s for s in stability_sources(frame) if frame.loc[frame["source"] == s, "rank_low"].notna().any()][:3]
    model = str(frame["model"].iloc[0])
    order = list(dict.fromkeys(frame.sort_values(["rank", "feature"])["feature"]))[:_MOST]
    last = int(frame["n_features"].max())
    heading = f"{title}: {clip_label(view.label(model))}, n = {_explained(view):,}"
    with canvas(view, path, heading, height=1.7 + 0.3 * len(order)) as figure:
        grid = figure.subplots(1, len(sources), squeeze=False, sharey=True)[0]
        for axes, source in zip(grid, sources, strict=True):
            part = frame[frame["source"] == source]
            _rank_panel(axes, part, order)
            axes.set(xlim=(0.4, last + 0.6), ylim=(len(order) - 0.4, -0.6), xlabel="Rank (1: most important)")
            axes.set_xticks(_whole(last))
            axes.set_title(f"Over {int(part['n_draws'].max()):,} {source}", fontsize=9.5)
            quiet(axes, "x")
            axes.spines["left"].set_visible(False)
        grid[0].set_yticks(range(len(order)), [feature_label(f) for f in order])
        handles = [
            Line2D([], [], marker="o", color=BLUE, lw=2.2, ms=6.5, mec="white"),
            Line2D([], [], marker="o", color=VERMILLION, lw=2.2, ms=6.5, mfc="white", ls=(0, (3, 1.6))),
            Line2D([], [], marker="o", color=GREY, lw=1.4, ms=5.5, mec="white"),
        ]
        words = ["stable", "not distinguishable from most others", "too few draws to judge"]
        seen = [_look(v) for v in frame["verdict"]]
        kept = [k for k in range(3) if k in seen]
        figure.legend([handles[k] for k in kept], [words[k] for k in kept], loc="outside lower left", ncols=3)
    counts = ", ".join(f"{int(frame.loc[frame['source'] == s, 'n_draws'].max()):,} {s}" for s in sources)
    lost = [f for f in order if (frame.loc[frame["feature"] == f, "verdict"] == LOST).any()]
    caption = (
        f"Dot: rank of the feature in this run. Line: where the rank lies over {counts} (95 % of the draws; their full "
        "range where there are fewer than 40). Refits: the model fitted again on bootstrap samples of the training "
        "patients. A line that covers most of the axis: this run cannot tell the feature’s rank from that of most "
        "others, so its place in a ranking says nothing."
    )
    ending = f"Not distinguishable: {', '.join(label(f) for f in lost)}." if lost else "None is called indistinct."
    return caption, f"Ranks of {len(order)} features with their ranges over draws. {ending}"


def _explained(view: RunView) -> int:
    """Patients whose predictions are explained."""
    return int(view.table("shap")["patient_id"].nunique())


def agreement(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """Rank correlations of importances between models, cohorts and methods, as lower triangles."""
    frame = agreement_rows(view)
    kinds = [k for k in _BETWEEN if frame.loc[frame["between"] == k, "rank_correlation"].notna().any()]
    parts = {k: frame[frame["between"] == k] for k in kinds}
    names = {k: _names(view, k, parts[k]) for k in kinds}
    sizes = [max(2, len(names[k])) for k in kinds]
    in_a_row = sum(sizes) <= 9
    rows, columns = (1, len(kinds)) if in_a_row else (len(kinds), 1)
    heights = [max(sizes)] if in_a_row else sizes
    with canvas(
        view, path, f"{title}, n = {_explained(view):,}", height=1.5 + sum(0.75 + 0.42 * s for s in heights)
    ) as figure:
        ratios: dict[str, Any] = {"width_ratios": sizes} if in_a_row else {"height_ratios": sizes}
        grid = figure.subplots(rows, columns, squeeze=False, **ratios).ravel()
        shown: Any = None
        for axes, kind in zip(grid, kinds, strict=True):
            shown = _triangle(axes, view, kind, parts[kind], names[kind], wide=0 if in_a_row else max(sizes))
        bar = figure.colorbar(shown, ax=list(grid), fraction=0.025, pad=0.015, aspect=28)
        bar.set_label("Rank correlation")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)
    caption = (
        "Spearman correlation of two importances over the features that both have; 1: the same order, 0: unrelated. "
        "In small type 95 % intervals (patients resampled, models fixed). Two models that agree need not be right: "
        "they saw the same patients."
    )
    known = frame[frame["rank_correlation"].notna()]
    spoken = "; ".join(
        f"{agreement_name(view, r['between'], r['a'])} and {agreement_name(view, r['between'], r['b'])} "
        f"{text.number(r['rank_correlation'], 2)}"
        for r in known.head(8).to_dict("records")
    )
    return caption, f"Heat maps of agreement between importances: {spoken}."


def truth(view: RunView, path: Path, title: str) -> tuple[str, str]:
    """What the model attributes to each feature beside the truth, and how much of the mechanism is recovered."""
    frame = view.table("truth_recovery")
    share, metric = _share_rows(frame), _metric_rows(frame)
    models = [m for m in view.order if m in set(share["model"]) | set(metric["model"])][:_MOST_MODELS]
    features = _by_truth(share)
    metrics = [m for m in TRUTH_METRICS if (metric["metric"] == m).any()]
    metrics += sorted(set(metric["metric"]) - set(metrics))
    panels = [p for p in ((features, "share"), (metrics, "metric")) if p[0]]
    heading = f"{title}, n = {int(metric['n'].max() if len(metric) else share['n'].max()):,}"
    with canvas(view, path, heading, height=1.8 + 0.36 * max(len(p[0]) for p in panels)) as figure:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (rows, what) in zip(grid, panels, strict=True):
            part, column = (share, "feature") if what == "share" else (metric, "metric")
            _dots(axes, view, part, column, rows, models)
            if what == "share":
                axes.set_yticks(range(len(rows)), [feature_label(f) for f in rows])
                axes.set_title("Share of everything attributed", fontsize=9.5)
                axes.set_xlabel("Share of mean |SHAP|")
                reach = float(np.nanmax([*part["ci_high"].fillna(0), *part["estimate"], *part["truth"]]))
                axes.set_xlim(-0.015 * reach, 1.04 * reach)
            else:
                axes.set_yticks(range(len(rows)), ["\n".join(wrap(truth_name(m), 26)[:2]) for m in rows])
                axes.set_title("Agreement with the mechanism", fontsize=9.5)
                axes.set_xlabel("1: as the truth")
                axes.axvline(1, color=INK, lw=1.2)
                low = float(np.nanmin([0, *part["ci_low"], *part["estimate"]]))
                axes.set_xlim(np.floor(low * 5) / 5 if low < 0 else -0.02, 1.03)
            axes.set_ylim(len(rows) - 0.4, -0.6)
            quiet(axes, "x")
            axes.spines["left"].set_visible(False)
        marks = lines(view)
        handles = [Line2D([], [], marker="o", color=marks[m].color, ms=6, ls="") for m in models]
        names = [clip_label(view.label(m), 30) for m in models]
        if features:
            handles.append(Line2D([], [], marker="|", color=INK, ms=13, mew=2.4, ls=""))
            names.append("truth")
        figure.legend(handles, names, loc="outside lower left", ncols=3)
    n, n_train = int(frame["n"].max()), int(frame["n_train"].max())
    caption = (
        f"Left: share of the whole attribution that each feature gets, beside its true share. Right: agreement with "
        f"the mechanism that made the patients; the line at 1 is what explanations would reach if they were the truth. "
        f"n = {n:,} explained patients, {n_train:,} to train a model; 95 % intervals over resampled persons."
    )
    if len(panels) == 1:
        caption = caption.replace("Left: ", "").replace("Right: ", "")
    spoken = "; ".join(
        f"{truth_name(r['metric'])}, {view.label(r['model'])} {text.number(r['estimate'], 2)}"
        for r in metric[metric["model"] == models[0]].to_dict("records")[:5]
    )
    return caption, f"Explanations beside the known mechanism{': ' if spoken else ''}{spoken}."


# ---- parts


def _look(verdict: str) -> int:
    return {"stable": 0, LOST: 1}.get(verdict, 2)


def _rank_panel(axes: Axes, part: pd.DataFrame, order: list[str]) -> None:
    looks = ((BLUE, 2.2, "-", "o", BLUE, 6.5), (VERMILLION, 2.2, (0, (3, 1.6)), "o", "white", 6.5),
             (GREY, 1.4, "-", "o", GREY, 5.5))  # fmt: skip
    for row in part.to_dict("records"):
        if row["feature"] not in order:
            continue
        y = order.index(row["feature"])
        color, width, style, marker, face, size = looks[_look(row["verdict"])]
        if text.is_number(row["rank_low"]) and text.is_number(row["rank_high"]):
            axes.plot([row["rank_low"], row["rank_high"]], [y, y], color=color, lw=width, ls=style)
        edge = color if face == "white" else "white"
        axes.plot(row["rank"], y, marker, ms=size, mfc=face, mec=edge, mew=1.4 if face == "white" else 0.9)


def _whole(last: int) -> list[int]:
    step = next(s for s in (1, 2, 5, 10, 20, 50) if last / s <= 8)
    return list(range(1, last + 1, step)) if step < 5 else [1, *range(step, last + 1, step)]


def _names(view: RunView, kind: str, part: pd.DataFrame) -> list[str]:
    found = list(dict.fromkeys([*part["a"], *part["b"]]))
    orders = {"models": view.order, "cohorts": view.cohort_ids, "methods": list(METHODS)}
    place = {m: k for k, m in enumerate(orders[kind])}
    return sorted(found, key=lambda name: (place.get(name, 99), found.index(name)))[:_MOST_NAMES]


def _triangle(axes: Axes, view: RunView, kind: str, part: pd.DataFrame, names: list[str], *, wide: int) -> Any:
    size = len(names)
    pairs = {frozenset((r["a"], r["b"])): r for r in part.to_dict("records")}
    value = np.full((size - 1, size - 1), np.nan)
    for i in range(1, size):
        for j in range(i):
            row = pairs.get(frozenset((names[i], names[j])))
            if row is not None and text.is_number(row["rank_correlation"]):
                value[i - 1, j] = row["rank_correlation"]
                span = text.interval(row["ci_low"], row["ci_high"], 2)
                words = text.typographic(text.number(value[i - 1, j], 2))
                color = ink_on(VALUE_MAP((value[i - 1, j] + 1) / 2))
                for said, size_, shift in ((words, 9, 5 if span else 0), (text.typographic(span), 7.2, -6)):
                    axes.annotate(said, (j + 0.5, i - 0.5), xytext=(0, shift), textcoords="offset points", ha="center",
                                  va="center", fontsize=size_, color=color)  # fmt: skip
            elif row is not None:
                axes.text(j + 0.5, i - 0.5, "–", ha="center", va="center", color=MUTED)
    shown = axes.pcolormesh(value, cmap=VALUE_MAP, vmin=-1, vmax=1, edgecolor="white", lw=1.5)
    ticks = [clip_label(agreement_name(view, kind, n), 30 if wide else 25) for n in names]
    axes.set_yticks(np.arange(size - 1) + 0.5, ticks[1:])
    level = 0 < wide <= 5
    tilt: dict[str, Any] = {} if level else {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(size - 1) + 0.5, ticks[:-1], **tilt)
    axes.set(xlim=(0, max(size, wide) - 1), ylim=(size - 1, 0))
    title = _BETWEEN[kind]
    if kind == "cohorts":
        title += f", {clip_label(view.label(str(part['model'].iloc[0])), 28)}"
    axes.set_title(title, fontsize=9.5)
    quiet(axes, "none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return shown


def _share_rows(frame: pd.DataFrame) -> pd.DataFrame:
    rows = frame[(frame["metric"] == "attribution_share") & frame["estimate"].notna()]
    return rows[rows["truth"].notna()]


def _metric_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers over all features whose ideal is 1: those that one axis can hold."""
    return frame[(frame["feature"] == "all") & (frame["truth"] == 1) & frame["estimate"].notna()]


def _by_truth(share: pd.DataFrame) -> list[str]:
    found = share.groupby("feature").agg(truth=("truth", "max"), estimate=("estimate", "max")).reset_index()
    return list(found.sort_values(["truth", "estimate", "feature"], ascending=[False, False, True])["feature"])[:_MOST]


def _dots(axes: Axes, view: RunView, part: pd.DataFrame, column: str, order: list[str], models: list[str]) -> None:
    marks = lines(view)
    for k, model in enumerate(models):
        shift = (k - (len(models) - 1) / 2) * min(0.2, 0.7 / len(models))
        for row in part[part["model"] == model].to_dict("records"):
            if row[column] not in order:
                continue
            y = order.index(row[column]) + shift
            if text.is_number(row["ci_low"]):
                axes.plot([row["ci_low"], row["ci_high"]], [y, y], color=marks[model].color, lw=1.4)
            axes.plot(row["estimate"], y, "o", ms=5, color=marks[model].color, mec="white", mew=0.7)
    if column == "feature":
        for y, feature in enumerate(order):
            # models with other features have another truth
            for true in sorted(set(part.loc[part["feature"] == feature, "truth"].round(3))):
                axes.plot([true, true], [y - 0.38, y + 0.38], color=INK, lw=2)
