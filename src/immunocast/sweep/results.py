"""A row a job: what it set, what became of it, and what the model that speaks for its run reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from immunocast.metrics import METRICS
from immunocast.report.view import RunView
from immunocast.sweep.folder import DONE, JobState
from immunocast.sweep.settings import Objective
from immunocast.sweep.study import HELD_OUT

#: Estimates that a row holds, with their intervals.
ESTIMATES = ("auroc", "brier", "calibration_slope", "calibration_intercept")
_NUMBERS = ("estimate", "ci_low", "ci_high")
#: What a row says beside settings (`sweep.NAME`) and estimates.
COLUMNS = {
    "job": "number of the job",
    "status": "done, failed, stopped or waiting",
    "same_as": "an earlier job that was the same run",
    "cohort": "name of the dataset",
    "cohort_digest": "of its table, 12 digits: equal for equal patients and values",
    "endpoint": "endpoint",
    "scheme": "validation scheme",
    "model": "headline model; that of the objective in a search",
    "n": "patients of the AUROC",
    "n_events": "events among them",
    "objective": "what a search looks for, as a number",
    "error": "why it failed, in its first lines",
}


def results_table(states: Sequence[JobState], objective: Objective | None = None) -> pd.DataFrame:
    """The results of a sweep.

    Parameters
    ----------
    states : of its jobs.
    objective : what a search looks for.

    Returns
    -------
    Frame, a row a job in their order: `COLUMNS`, the settings as `sweep.NAME`, for each of `ESTIMATES` the columns
    NAME, NAME_ci_low, NAME_ci_high, and likewise `auroc_minus_reference` with `reference_model`. No times, no run ids:
    equal sweeps give equal bytes, whatever ran at a time.
    """
    names = list(dict.fromkeys(name for state in states for name in state.settings))
    rows = [_row(state, names, objective) for state in states]
    frame = pd.DataFrame(rows)
    text = ["status", *(f"sweep.{n}" for n in names), "cohort", "cohort_digest", "endpoint", "scheme", "model"]
    text += ["reference_model", "error"]
    whole = ["same_as", "n", "n_events"]
    numbers = [c for c in frame if c not in (*text, *whole, "job")]
    return frame.astype({**dict.fromkeys(text, "str"), **dict.fromkeys(whole, "Int64"), "job": "int64"}).astype(
        dict.fromkeys(numbers, "float64")
    )


def _row(state: JobState, names: Sequence[str], objective: Objective | None) -> dict[str, Any]:
    run = state.run_folder
    row: dict[str, Any] = {"job": state.number, "status": state.status, "same_as": state.same_as}
    row |= {f"sweep.{name}": state.settings.get(name, "") for name in names}
    blank = dict.fromkeys(("cohort", "cohort_digest", "endpoint", "scheme", "model"), "") | {
        "n": None,
        "n_events": None,
    }
    found: dict[str, dict[str, Any] | None] = dict.fromkeys(ESTIMATES)
    compared, reference, value = None, "", None
    if run is not None and state.status == DONE:
        view = RunView(run)
        model = (objective.model if objective else None) or view.headline
        recalibration = objective.recalibration if objective else "none"
        found = {m: view.metric(m, model, recalibration=recalibration) for m in ESTIMATES}
        label = model if recalibration == "none" else f"{model}+{recalibration}"
        compared, reference = view.comparison("auroc", label), view.reference
        blank = {
            "cohort": view.name,
            "cohort_digest": str(view.provenance.get("digest", ""))[:12],
            "endpoint": view.endpoint,
            "scheme": view.scheme,
            "model": label,
            "n": found["auroc"]["n"] if found["auroc"] else None,
            "n_events": found["auroc"]["n_events"] if found["auroc"] else None,
        }
        if objective:
            row_of = view.metric(objective.metric, model, recalibration=recalibration, threshold=objective.threshold)
            value = row_of["estimate"] if row_of else None
    row |= blank
    for metric in ESTIMATES:
        row |= _numbers(metric, found[metric], "estimate")
    row |= _numbers("auroc_minus_reference", compared, "difference")
    return row | {"reference_model": reference, "objective": value, "error": state.error}


def _numbers(name: str, row: dict[str, Any] | None, column: str) -> dict[str, Any]:
    ends = ("", "_ci_low", "_ci_high")
    return {
        f"{name}{end}": None if row is None else row[c] for end, c in zip(ends, (column, *_NUMBERS[1:]), strict=True)
    }


@dataclass(frozen=True)
class Best:
    """The best job, or why none is named.

    Attributes
    ----------
    row : of the results; None where none is named.
    metric : column by which it is the best.
    why_not : the reason, "" where one is named.
    n : jobs that it was chosen from.
    middle : median of the metric over them.
    """

    row: pd.Series | None
    metric: str
    why_not: str = ""
    n: int = 0
    middle: float | None = None


def best_of(results: pd.DataFrame, objective: Objective | None = None) -> Best:
    """The best of jobs that answer the same question; none where they do not, or where the test set would choose.

    A grid is ranked by AUROC, a search by its objective. Of equal ones the first is taken.
    """
    metric = "objective" if objective else "auroc"
    done = results[(results["status"] == DONE) & results[metric].notna()]
    done = done[done["same_as"].isna()]
    if len(done) < 2:
        return Best(None, metric, "fewer than two jobs have an estimate", len(done))
    for column, words in (
        ("cohort_digest", "patients"),
        ("endpoint", "the endpoint"),
        ("scheme", "the validation scheme"),
    ):
        if done[column].nunique() > 1:
            return Best(
                None, metric, f"the jobs differ in {words}, so that their estimates cannot be ranked", len(done)
            )
    scheme = done["scheme"].iloc[0]
    if scheme in HELD_OUT:
        return Best(None, metric, f"estimates of a held-out test set ({scheme}) choose nothing", len(done))
    lower = objective is not None and METRICS[objective.metric].better == "lower"
    values = done[metric].to_numpy()
    place = int(values.argmin() if lower else values.argmax())
    return Best(done.iloc[place], metric, "", len(done), float(done[metric].median()))


def differing(results: pd.DataFrame, states: Sequence[JobState]) -> list[str]:
    """Warnings about jobs that should have seen the same and did not: code, and patients of one cohort."""
    said = []
    codes = {s.source_digest for s in states if s.status == DONE and s.source_digest}
    if len(codes) > 1:
        by = [", ".join(str(s.number) for s in states if s.source_digest == code) for code in sorted(codes)]
        said.append(
            f"The jobs were run by {len(codes)} states of the code (jobs {'; jobs '.join(by)}): the code was changed "
            "before the sweep went on. sweep.fresh=true runs all of them anew."
        )
    done = results[results["status"] == DONE]
    varied = any(c.startswith(("sweep.cohort", "sweep.seed")) for c in map(str, results))
    if not varied and done["cohort_digest"].nunique() > 1:
        said.append(
            "The jobs saw different patients although none sets a cohort: the data were changed before the sweep went "
            "on. sweep.fresh=true runs all of them anew."
        )
    return said


def write_results(folder: Path, results: pd.DataFrame, summary: str) -> None:
    """Write results.csv, results.parquet and summary.md."""
    shown = results.copy()
    for column in shown.select_dtypes("float64"):
        shown[column] = shown[column].map(lambda v: "" if pd.isna(v) else f"{v:.6g}")
    shown.to_csv(folder / "results.csv", index=False)
    results.to_parquet(folder / "results.parquet", index=False, compression="zstd")
    (folder / "summary.md").write_text(summary, encoding="utf-8")
