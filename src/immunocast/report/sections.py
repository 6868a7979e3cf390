"""The report's tables as plain rows of cells, made from a run's tables; no HTML here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunocast.cohort.checks import CHECKS
from immunocast.cohort.vocabulary import label
from immunocast.report import text
from immunocast.report.figures_explain import BLOCKS, importance_rows
from immunocast.report.flow import participant_flow
from immunocast.report.view import RunView

_METRICS = ("auroc", "auprc", "brier", "scaled_brier", "calibration_slope", "calibration_intercept")


@dataclass(frozen=True)
class Cell:
    """A cell: a value, its interval in a quieter type, and whether it is words in place of a number."""

    value: str
    span: str = ""
    words: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table to print: heads, rows of cells, the notes that belong to it, and which row to set in bold."""

    heads: list[str]
    rows: list[list[Cell]]
    notes: list[str]
    strong: int | None = None
    title: str = ""


def metric_sheet(view: RunView, cohort_id: str | None = None) -> Sheet:
    """Metrics with intervals, a row a model as it came; `cohort_id` None means over all cohorts."""
    present = [m for m in _METRICS if (view.table("metrics")["metric"] == m).any()]
    rows, notes = [], Notes(view)
    for model, recalibration, name in view.variants():
        if recalibration != view.recalibration(model):
            continue
        found = {m: view.metric(m, model, cohort_id, recalibration) for m in present}
        first = next((r for r in found.values() if r is not None), None)
        if first is None:
            continue
        counts = [f"{int(first[c]):,}" for c in ("n", "n_events", "n_abstained")]
        cells = [estimate_cell(found[m], text.DECIMALS.get(m, 3)) for m in present]
        rows.append([Cell(name), *map(Cell, counts), *cells])
        for metric, row in found.items():
            if row is not None:
                notes.add(row["note"], name)
            if row is not None and int(row["n"]) != int(first["n"]):
                notes.add(
                    f"n is that of the first metric; {text.METRIC_LABELS[metric]} is on {int(row['n']):,} patients",
                    name,
                )
    heads = ["Model", "n", "Events", "Abstained", *(text.METRIC_LABELS[m] for m in present)]
    return Sheet(heads, rows, notes.lines(), 0 if rows else None, cohort_id or "All cohorts")


def net_benefit_sheet(view: RunView) -> Sheet:
    """Net benefit over all cohorts, a column a threshold."""
    thresholds = sorted(float(t) for t in view.manifest.get("thresholds") or [])
    rows, notes = [], Notes(view)
    for model, recalibration, name in view.variants():
        if recalibration != view.recalibration(model) and model not in (view.headline, view.reference):
            continue
        found = [view.metric("net_benefit", model, None, recalibration, t) for t in thresholds]
        if any(r is not None for r in found):
            rows.append([Cell(name), *(estimate_cell(r, 3) for r in found)])
            for row in found:
                notes.add(row["note"] if row else "", name)
    return Sheet(["Model", *(f"At {t:g}" for t in thresholds)], rows, notes.lines(), 0 if rows else None)


def importance_sheet(view: RunView) -> Sheet:
    """Features of the explained model with the stability of their rank and the direction."""
    frame = importance_rows(view)
    frame = frame[frame["model"] == view.explained_model] if len(frame) else frame
    rows = []
    for row in frame.sort_values(["rank", "feature"]).to_dict("records"):
        ranks = f"{int(row['rank_low'])} to {int(row['rank_high'])}" if text.is_number(row["rank_low"]) else ""
        span = text.interval(row["ci_low"], row["ci_high"])
        rows.append(
            [
                Cell(label(row["feature"])),
                Cell(BLOCKS.get(row["group"], (row["group"],))[0]),
                Cell(text.number(row["mean_abs_shap"]), span),
                Cell(str(int(row["rank"])), ranks),
                Cell(text.number(row["sign"], 2, sign=True) or "by level", words=not text.is_number(row["sign"])),
                Cell(f"{int(row['n_measured']):,} of {int(row['n']):,}", text.percent(row["n_measured"], row["n"])),
            ]
        )
    scale = str(frame["output_scale"].iloc[0]) if len(frame) else ""
    heads = ["Feature", "Block", f"Mean |SHAP|, {scale}", "Rank", "Direction (Spearman)", "Measured in"]
    return Sheet(heads, rows, [])


def model_sheet(view: RunView) -> Sheet:
    """What every model needs, where it comes from, and what it does with missing values."""
    rows = []
    for model in view.order:
        spec = view.models.get(model, {}).get("spec", {})
        rows.append(
            [
                Cell(view.label(model), "learned in this run" if spec.get("learned", True) else "published rule"),
                Cell(
                    _features(spec.get("required"), "nothing"), f"optional: {_features(spec.get('optional'), 'none')}"
                ),
                Cell(spec.get("missing_rule") or "–"),
                Cell(", ".join(spec.get("trained_on") or []) or "–"),
                Cell(spec.get("source") or "–"),
            ]
        )
    heads = ["Model", "Requires", "Missing values", "Trained before on", "Source"]
    return Sheet(heads, rows, [], 0 if rows else None)


def finding_sheet(view: RunView, severities: tuple[str, ...]) -> Sheet:
    """Findings of the checks of the named severities, the most severe first; under each what can be done."""
    rows = [
        [
            Cell(r["severity"]),
            Cell(r["code"], CHECKS[r["code"]].title if r["code"] in CHECKS else ""),
            Cell(_or_dash(r["cohort_id"], "all")),
            Cell(_or_dash(r["column"])),
            Cell(f"{int(r['n']):,}"),
            Cell(r["message"], _mend(r)),
            Cell(_or_dash(r["waived_because"])),
        ]
        for r in view.findings.to_dict("records")
        if r["severity"] in severities
    ]
    return Sheet(["Severity", "Code", "Cohort", "Column", "n", "Finding", "Waived because"], rows, [])


def limits(view: RunView) -> list[str]:
    """What a reader must keep in mind, said from this run's own numbers."""
    from immunocast.report.verdict import prognostic_sentence

    said = []
    if view.synthetic:
        said.append("All patients are made by a generator: results test the software, and nothing else.")
    said.append(prognostic_sentence(view))
    said += view.manifest.get("model_notes") or []
    said += [f"{text.sentence(words)}: {n:,} patients." for words, n in participant_flow(view)[0].flags.items()]
    said.append(
        "Intervals hold the fitted models fixed and resample persons: they tell how exactly performance was measured, "
        "not how much a model fitted on other patients would differ."
    )
    said.append(
        "A p of one comparison is not corrected for multiplicity; the corrected p beside it is, within its family. "
        "The headline model is named in the configuration, not chosen by result."
    )
    values = [
        float(row["estimate"]) for c in view.cohort_ids
        if (row := view.metric("auroc", view.headline, c)) is not None and text.is_number(row["estimate"])
    ]  # fmt: skip
    if len(values) > 1:
        said.append(
            f"Performance differs between cohorts: the headline model’s AUROC lies between {min(values):.3f} and "
            f"{max(values):.3f} in the {len(values)} cohorts that are large enough. A new hospital may lie outside."
        )
    small = len(view.cohort_ids) - len(values)
    if small:
        said.append(
            f"{small} of {len(view.cohort_ids)} cohorts had too few events or non-events for an AUROC of their own."
        )
    cohort = view.cohort
    for column in ("pdl1_tps", "tmb_mut_mb"):
        if column in cohort and cohort[column].isna().any():
            share = text.percent(int(cohort[column].isna().sum()), len(cohort), 0)
            said.append(f"{label(column)} is missing in {share} of the patients, who may differ from those tested.")
    said.append(
        "Nothing here was tested in use. A model can fail where patients, assays or treatments differ from these; "
        "this report is for research and no ground for treating or not treating a patient."
    )
    return said


# ---- parts


def _mend(row: Mapping[Any, Any]) -> str:
    """What can be done about a finding; nothing where it is waived or for information only."""
    known = CHECKS.get(row["code"])
    if known is None or row["severity"] == "info" or not pd.isna(row["waived_because"]):
        return ""
    return f"Mend: {known.mend.replace('`', '')}"


class Notes:
    """Distinct notes, each with the places where it applies."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._where: dict[str, list[str]] = {}
        self._all: set[str] = set()

    def add(self, note: Any, where: str) -> None:
        """Keep a note of a table's row; an empty one is no note. `where` is "" for what holds for the whole table."""
        words = self._view.relabel(note)
        self._all.add(where)
        if not words:
            return
        places = self._where.setdefault(words, [])
        if where and where not in places:
            places.append(where)

    def lines(self) -> list[str]:
        """One line a note, with the places where it applies unless these are all of several."""
        return [
            f"{note} ({'; '.join(where[:3])}{f' and {len(where) - 3} more' if len(where) > 3 else ''})"
            if where and not 2 < len(self._all) == len(where)
            else note
            for note, where in self._where.items()
        ]


def estimate_cell(row: Mapping[Any, Any] | None, decimals: int, column: str = "estimate", sign: bool = False) -> Cell:
    """An estimate with its interval, or why there is none."""
    if row is None or not text.is_number(row[column]):
        return Cell(text.estimate(row, decimals, column), words=True)
    span = text.interval(row["ci_low"], row["ci_high"], decimals, sign)
    return Cell(text.number(row[column], decimals, sign), span or "no interval")


def _features(names: Any, nothing: str) -> str:
    return ", ".join(label(n) for n in names or []) or nothing


def _or_dash(value: Any, dash: str = "–") -> str:
    return dash if value is None or pd.isna(value) else str(value)


def place_of(rows: list[list[Cell]], name: str) -> int | None:
    """Number of the row that starts with a name."""
    return next((i for i, row in enumerate(rows) if row[0].value == name), None)


def dicts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dicts."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]
