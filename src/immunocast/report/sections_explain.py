"""The report's tables on explanations: how they were made, how stable they are, what agrees, and what is true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from immunocast.cohort.vocabulary import VOCABULARY, label
from immunocast.report import text
from immunocast.report.explained import (
    STRATA,
    TRUTH_METRICS,
    agreement_name,
    agreement_rows,
    discordant_rows,
    discordant_words,
    stability_rows,
    stability_sources,
    truth_name,
)
from immunocast.report.figures_explain import BLOCKS
from immunocast.report.sections import Cell, Notes, Sheet, dicts
from immunocast.report.view import RunView

METHODS = {
    "linear": "exact, closed form (features taken as independent)",
    "tree_path_dependent": "exact TreeSHAP, path-dependent",
    "tree_interventional": "exact TreeSHAP against a background of training patients",
    "sampled": "estimated by sampling permutations (no exact method fits this model)",
}
_WAYS = {"permutation": "values exchanged", "drop_column": "fitted without it"}


def method_sheet(view: RunView) -> Sheet:
    """How each model was explained, and on which scale."""
    shap = view.table("shap")
    rows = []
    for model in view.explained:
        part = shap[shap["model"] == model]
        methods = sorted(set(part["method"]))
        rows.append(
            [
                Cell(view.label(model)),
                Cell("; ".join(method_words(m) for m in methods)),
                Cell(", ".join(sorted(set(part["output_scale"])))),
                Cell(f"{part['patient_id'].nunique():,}"),
            ]
        )
    return Sheet(["Model", "Method", "Scale", "Patients"], rows, [])


def method_words(method: str) -> str:
    """How values were found, in words; the parts of a composed model one after the other."""
    return " + ".join(METHODS.get(part, text.humanise(part)) for part in method.split("+"))


def group_sheet(view: RunView) -> Sheet:
    """Blocks and clusters of features as wholes, of the explained model."""
    frame = view.table("importance")
    frame = frame[
        (frame["model"] == view.explained_model) & (frame["subgroup"] == "all") & (frame["kind"] != "feature")
    ]
    rows = []
    for row in dicts(frame.sort_values(["kind", "rank", "feature"])):
        block = row["kind"] == "block"
        members = ", ".join(label(m) for m in str(row["members"]).split("+"))
        rows.append(
            [
                Cell(BLOCKS.get(row["feature"], (row["feature"],))[0] if block else "Cluster"),
                Cell(members),
                Cell(text.number(row["mean_abs_shap"]), text.interval(row["ci_low"], row["ci_high"])),
                Cell(str(int(row["rank"])), _span(row["rank_low"], row["rank_high"])),
                Cell(f"{int(row['n_measured']):,} of {int(row['n']):,}", text.percent(row["n_measured"], row["n"])),
            ]
        )
    scale = str(frame["output_scale"].iloc[0]) if len(frame) else ""
    return Sheet(["Group", "Members", f"Mean |SHAP|, {scale}", "Rank", "Any measured in"], rows, [])


def stability_sheet(view: RunView) -> Sheet:
    """Importance of the explained model's features over refits, folds and cohorts."""
    frame = stability_rows(view)
    sources = stability_sources(frame)
    rows, notes = [], Notes(view)
    by = {(r["feature"], r["source"]): r for r in dicts(frame)}
    for feature in dict.fromkeys(frame.sort_values(["rank", "feature"])["feature"]):
        found = {s: by.get((feature, s)) for s in sources}
        first = next((r for r in found.values() if r is not None), None)
        if first is None:
            continue
        verdict = next((r["verdict"] for r in found.values() if r and r["verdict"] != "none"), "")
        cells = [Cell(label(feature)), Cell(text.number(first["mean_abs_shap"])), Cell(str(int(first["rank"])))]
        for source, row in found.items():
            cells.append(_draws(row))
            for clause in str(row["note"] if row else "").split("; "):
                # the table has a column of that
                notes.add("" if clause.startswith("another direction") else clause, source)
        rows.append([*cells, Cell(verdict or "too few draws to judge")])
    counts = {s: int(frame.loc[frame["source"] == s, "n_draws"].max()) for s in sources}
    heads = ["Feature", "Mean |SHAP|", "Rank", *(f"Ranks over {counts[s]} {s}" for s in sources), "Verdict"]
    return Sheet(heads, rows, notes.lines(), title=view.label(str(frame["model"].iloc[0])) if len(frame) else "")


def ways_sheet(view: RunView) -> Sheet:
    """Other ways to measure importance beside SHAP, with what disagrees."""
    frame = view.table("importance_methods")
    models = [m for m in view.order if m in set(frame["model"])]
    frame = frame[frame["model"] == models[0]] if models else frame
    ways = [w for w in _WAYS if (frame["method"] == w).any()]
    by = {(r["feature"], r["method"]): r for r in dicts(frame)}
    rows, notes = [], Notes(view)
    for feature in dict.fromkeys(frame.sort_values(["shap_rank", "feature"])["feature"]):
        found = [by.get((feature, w)) for w in ways]
        first = next(r for r in found if r is not None)
        against = [_WAYS[w] for w, r in zip(ways, found, strict=True) if r and r["disagrees"]]
        cells = [Cell(label(feature)), Cell(str(int(first["shap_rank"])))]
        for row in found:
            if row is None or not text.is_number(row["estimate"]):
                cells += [Cell("–"), Cell("–")]
                continue
            cells.append(
                Cell(text.number(row["estimate"], 4, sign=True), text.interval(row["ci_low"], row["ci_high"], 4, True))
            )
            cells.append(Cell(str(int(row["rank"])), _span(row["rank_low"], row["rank_high"])))
            if row["disagrees"]:
                notes.add(row["note"], label(feature))
        rows.append([*cells, Cell("disagrees: " + ", ".join(against) if against else "agrees")])
    heads = ["Feature", "SHAP rank"]
    for way in ways:
        heads += [f"Log loss lost, {_WAYS[way]}", "Rank"]
    return Sheet([*heads, "Beside SHAP"], rows, notes.lines(), title=view.label(models[0]) if models else "")


def agreement_sheet(view: RunView) -> Sheet:
    """Importances compared between models, cohorts and methods."""
    rows, notes = [], Notes(view)
    for row in dicts(agreement_rows(view)):
        a, b = (agreement_name(view, str(row["between"]), str(row[x])) for x in "ab")
        rows.append(
            [
                Cell(text.sentence(str(row["between"]))),
                Cell(f"{a} and {b}"),
                Cell(text.number(row["rank_correlation"], 2) or "–", text.interval(row["ci_low"], row["ci_high"], 2)),
                Cell("–" if not text.is_number(row["top_shared"]) else f"{int(row['top_shared'])} of 5"),
                Cell(text.percent(row["same_direction"], 1, 0) if text.is_number(row["same_direction"]) else "–"),
            ]
        )
        notes.add(row["note"], f"{a} and {b}")
    heads = ["Between", "Pair", "Rank correlation", "Of the first five in common", "Same direction"]
    return Sheet(heads, rows, notes.lines())


def interaction_sheet(view: RunView, most: int = 8) -> Sheet:
    """The strongest pairs of features of each model with interactions."""
    frame = view.table("interactions")
    frame = frame[(frame["rank"] <= most) & (frame["mean_abs_interaction"] > 0)]
    rows = [
        [
            Cell(view.label(row["model"])),
            Cell(f"{label(row['feature_a'])} × {label(row['feature_b'])}"),
            Cell(text.number(row["mean_abs_interaction"], 4), text.interval(row["ci_low"], row["ci_high"], 4)),
            Cell(text.percent(row["share"], 1)),
        ]
        for model in view.order
        for row in dicts(frame[frame["model"] == model])
    ]
    return Sheet(["Model", "Pair", "Mean |interaction|", "Share of all effects"], rows, [])


def discordant_sheets(view: RunView, most: int = 8) -> list[Sheet]:
    """What carries patients whose response and PD-L1 disagree, under the explained model: a sheet a stratum."""
    sheets = []
    for stratum in STRATA:
        part = discordant_rows(view, stratum)
        if part.empty:
            continue
        first, notes = part.iloc[0], Notes(view)
        whom = discordant_words(view, stratum, int(first["n"]), int(first["n_reference"]))
        for note in dict.fromkeys(part.loc[part["difference"].isna(), "note"]):
            notes.add(note, "")
        rows = [
            [
                Cell(label(row["feature"])),
                Cell(text.number(row["difference"], 3, True), text.interval(row["ci_low"], row["ci_high"], 3, True)),
                Cell(_value(row["feature"], row["median_value"])),
                Cell(_value(row["feature"], row["median_value_reference"])),
            ]
            for row in dicts(part[part["difference"].notna()].head(most))
        ]
        heads = [
            "Feature",
            f"Difference in mean SHAP, {first['output_scale']}",
            "Median value",
            "Median of those compared with",
        ]
        sheets.append(Sheet(heads, rows, notes.lines(), title=whom))
    return sheets


def truth_sheet(view: RunView) -> Sheet:
    """How well explanations recover the known mechanism of a synthetic cohort."""
    frame = view.table("truth_recovery")
    frame = frame[frame["feature"] == "all"]
    found = list(dict.fromkeys(frame["metric"]))
    metrics = [m for m in TRUTH_METRICS if m in found] + [m for m in found if m not in TRUTH_METRICS]
    by = {(r["model"], r["metric"]): r for r in dicts(frame)}
    models = [m for m in view.order if m in set(frame["model"])]
    rows, notes = [], Notes(view)
    for metric in metrics:
        name = truth_name(metric)
        cells, ideal = [Cell(name)], []
        for model in models:
            row = by.get((model, metric))
            if row is None or not text.is_number(row["estimate"]):
                cells.append(Cell("–"))
            else:
                cells.append(Cell(text.number(row["estimate"], 2), text.interval(row["ci_low"], row["ci_high"], 2)))
            if row is not None:
                ideal += [float(row["truth"])] if text.is_number(row["truth"]) else []
                notes.add(row["note"], name)
        cells.append(Cell(_range(ideal)))
        rows.append(cells)
    return Sheet(["What is compared", *map(view.label, models), "If it were the truth"], rows, notes.lines())


def map_lines(view: RunView) -> list[str]:
    """The maps of the final models' recalibrators as formulas."""
    frame = view.table("recalibration_maps")
    frame = frame[frame["fold"] == "final"].drop_duplicates(["model", "recalibration"])
    place = {m: k for k, m in enumerate(view.order)}
    rows = sorted(dicts(frame), key=lambda r: (place.get(r["model"], 99), r["recalibration"]))
    return [f"{view.label(r['model'])}, {text.recalibration_label(r['recalibration'])}: {r['formula']}" for r in rows]


def _draws(row: Mapping[str, Any] | None) -> Cell:
    if row is None or not text.is_number(row["rank_low"]):
        return Cell("–")
    same = row["sign_consistency"]
    return Cell(
        _span(row["rank_low"], row["rank_high"]),
        f"same direction {text.percent(same, 1, 0)}" if text.is_number(same) else "",
    )


def _span(low: Any, high: Any) -> str:
    return f"{int(low)} to {int(high)}" if text.is_number(low) and text.is_number(high) else ""


def _range(values: list[float]) -> str:
    """One number, or from the smallest to the largest where models differ."""
    if not values:
        return "–"
    low, high = text.number(min(values), 2), text.number(max(values), 2)
    return low if low == high else f"{low} to {high}"


def _value(feature: str, value: Any) -> str:
    """A median in the unit that the feature's label names."""
    if not text.is_number(value):
        return "–"
    if feature in VOCABULARY and VOCABULARY[feature].kind == "binary":
        return {0.0: "no", 1.0: "yes"}.get(float(value), "as many yes as no")
    return f"{float(value):.0f}" if abs(float(value)) >= 100 else f"{float(value):.3g}"
