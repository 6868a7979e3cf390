"""Tables of the summary, as markdown: models, opponents of the headline, and calibration, each with intervals."""

from __future__ import annotations

from typing import Any

import pandas as pd

from immunocast.report import text
from immunocast.report.view import RunView
from immunocast.store.markdown import md


def summary_tables(view: RunView) -> list[str]:
    """Paragraphs with the tables that a reviewer compares; a table without any row is left out.

    Parameters
    ----------
    view : the run.

    Returns
    -------
    Markdown, a paragraph an item.
    """
    parts = []
    models = _models(view)
    if len(models):
        said = f"{view.label(view.reference)} subtracted in the last column." if view.reference else ""
        parts += [markdown_table(models), *([f"{said} {_FAIR}"] if said else [])]
    opponents = _opponents(view)
    if len(opponents):
        parts += [f"**{md(view.label(view.headline))} against what is published**", markdown_table(opponents)]
    calibration = _calibration(view)
    if len(calibration):
        parts += ["**Calibration and net benefit**", markdown_table(calibration)]
    return parts


_FAIR = "Differences are over the patients whom both could score fairly; AUROCs on different n can't be compared."


def _models(view: RunView) -> pd.DataFrame:
    rows = []
    for model in _with_estimates(view):
        auroc = view.metric("auroc", model)
        row = {
            "Model": view.label(model),
            "n": f"{int(auroc['n']):,}" if auroc else "",
            "Events": f"{int(auroc['n_events']):,}" if auroc else "",
            "AUROC (95 % CI)": text.estimate(auroc),
        }
        if view.reference:
            against = view.comparison("auroc", model)
            row["Difference (95 % CI)"] = (
                "reference" if model == view.reference else text.estimate(against, column="difference", sign=True)
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _opponents(view: RunView) -> pd.DataFrame:
    """The headline's AUROC minus that of each published model and single marker, on the patients of both."""
    frame = view.table("comparisons")
    published = [m for m in view.order if not view.models.get(m, {}).get("spec", {}).get("learned", False)]
    rows = []
    for opponent in published:
        keep = (frame["metric"] == "auroc") & (frame["model"] == view.headline) & (frame["subgroup"] == "all")
        found = frame[keep & (frame["reference_model"] == opponent) & (frame["cohort_id"] == "combined")]
        if opponent == view.headline or found.empty:
            continue
        row: dict[str, Any] = {str(k): v for k, v in found.iloc[0].items()}
        rows.append(
            {
                "Against": view.label(opponent),
                "Patients of both": f"{int(row['n_common']):,}",
                "AUROC difference (95 % CI)": text.estimate(row, column="difference", sign=True),
                "p": text.p_value(row["p"]),
                "p, corrected": text.p_value(row["p_adjusted"]),
            }
        )
    return pd.DataFrame(rows)


def _calibration(view: RunView) -> pd.DataFrame:
    threshold = view.middle_threshold
    rows = []
    for model in _with_estimates(view):
        row = {
            "Model": view.label(model),
            "Brier": _tight(view.metric("brier", model), 3),
            "Slope": _tight(view.metric("calibration_slope", model), 2),
            "Intercept": _tight(view.metric("calibration_intercept", model), 2),
        }
        if threshold is not None:
            row[f"Net benefit at {threshold:g}"] = _tight(view.metric("net_benefit", model, threshold=threshold), 3)
        rows.append(row)
    return pd.DataFrame(rows)


def _with_estimates(view: RunView) -> list[str]:
    found = set(view.table("metrics")["model"])
    return [model for model in view.order if model in found]


def _tight(row: dict[str, Any] | None, decimals: int) -> str:
    """An estimate and its interval in little room: `0.179 (0.154, 0.200)`."""
    return text.estimate(row, decimals).replace(" to ", ", ")


def markdown_table(frame: pd.DataFrame) -> str:
    """A frame of text as a markdown table."""
    lines = ["| " + " | ".join(map(str, frame)) + " |", "|:---|" + "---:|" * (frame.shape[1] - 1)]
    lines += ["| " + " | ".join(md(cell) for cell in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)
