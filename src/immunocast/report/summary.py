"""The run in one screen: markdown for MLflow's description, and a table of results, a row a model."""

from __future__ import annotations

import re

import pandas as pd

from immunocast.report import text
from immunocast.report.verdict import prognostic_sentence, verdict
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder

_MOST_WARNINGS = 5
_FAIR = (
    "Difference: in AUROC, on the patients whom both models could score fairly. "
    "AUROCs on different n can't be compared."
)
_SHOWN = ("auroc", "brier", "calibration_slope", "calibration_intercept")


def results_table(run: RunFolder, *, recalibrated: bool = True) -> pd.DataFrame:
    """Results over all cohorts, a row a model and recalibration, in report order.

    Parameters
    ----------
    run : a run folder with a manifest; estimates that it lacks read "not estimated".
    recalibrated : whether recalibrated models have rows of their own.

    Returns
    -------
    Frame of text with the columns Model, n, Events, "AUROC (95 % CI)", Brier, "Calibration slope",
    "Calibration intercept", "Net benefit at T" (the middle threshold, where there is one) and
    "AUROC difference vs REFERENCE". Minus signs are plain hyphens, so that other programs can read them.
    """
    view = RunView(run)
    threshold = view.middle_threshold
    rows = []
    for model, recalibration, name in view.variants():
        if not recalibrated and recalibration != view.recalibration(model):
            continue
        found = {m: view.metric(m, model, recalibration=recalibration) for m in _SHOWN}
        auroc = found["auroc"]
        row = {
            "Model": name,
            "n": f"{int(auroc['n']):,}" if auroc else "",
            "Events": f"{int(auroc['n_events']):,}" if auroc else "",
            "AUROC (95 % CI)": text.estimate(auroc),
            "Brier": _point(found["brier"], 3),
            "Calibration slope": _point(found["calibration_slope"], 2),
            "Calibration intercept": _point(found["calibration_intercept"], 2),
        }
        if threshold is not None:
            benefit = view.metric("net_benefit", model, recalibration=recalibration, threshold=threshold)
            row[f"Net benefit at {threshold:g}"] = _point(benefit, 3)
        if view.reference:
            row[f"AUROC difference vs {view.label(view.reference)}"] = _difference(view, model, recalibration)
        rows.append(row)
    return pd.DataFrame(rows)


def summary_markdown(run: RunFolder) -> str:
    """The description that a reviewer reads first: what, how well, against whom, and what to be wary of.

    Parameters
    ----------
    run : a run folder with a manifest.

    Returns
    -------
    Markdown that fits on one screen; names from data are escaped.

    Raises
    ------
    NotFoundError
        Where the run has no manifest.
    """
    view = RunView(run)
    said, counts = verdict(view), view.counts
    # one paragraph: what a tracker shows of a description before "more" is four lines
    mark = "SYNTHETIC DATA, no patient exists. " if view.synthetic else ""
    lines = [
        f"**{mark}{_md(said.answer)}**",
        "",
        f"- {_md(said.comparison)}",
        f"- {_md(said.calibration)}",
        f"- Cohort **{_md(view.name)}**: {counts['n']:,} patients in {len(view.cohort_ids)} cohorts, "
        f"{counts['n_events']:,} events ({view.words.rate} {counts['rate'] or 'unknown'}). "
        f"Endpoint: {_md(view.words.title)}. "
        f"Validation: {_md(text.scheme_label(view.scheme))}, {_md(text.SCHEMES.get(view.scheme, ''))}.",
        "",
        _markdown_table(results_table(run, recalibrated=False)),
        "",
        *([_FAIR, ""] if view.reference else []),
        *_warning_lines(view),
        "",
        f"{prognostic_sentence(view)} Figures, methods and limits: artifact `report.html`.",
    ]
    return text.typographic("\n".join(lines)) + "\n"


def _point(row: dict | None, decimals: int) -> str:
    if row is None or text.is_number(row["estimate"]):
        return text.number(row["estimate"], decimals) if row else "not estimated"
    return text.estimate(row)


def _difference(view: RunView, model: str, recalibration: str) -> str:
    if model == view.reference:
        return "reference"
    if recalibration != view.recalibration(model):
        return ""
    return text.estimate(view.comparison("auroc", model), column="difference", sign=True)


def _warning_lines(view: RunView) -> list[str]:
    found = view.warnings
    if found.empty:
        return ["No warnings." if view.run.has_table("checks") else "Checks have not run."]
    lines = [f"**{len(found)} warning{'s' if len(found) > 1 else ''}**", ""]
    for row in found.head(_MOST_WARNINGS).to_dict("records"):
        where = "" if pd.isna(row["cohort_id"]) else f" ({_md(row['cohort_id'])})"
        waived = "" if pd.isna(row["waived_because"]) else f" Waived: {_md(row['waived_because'])}."
        lines.append(f"- {_md(row['code'])}{where}: {_md(row['message'])}.{waived}".replace("..", "."))
    if len(found) > _MOST_WARNINGS:
        lines.append(f"- and {len(found) - _MOST_WARNINGS} more in the report")
    return lines


def _markdown_table(frame: pd.DataFrame) -> str:
    # short heads: MLflow renders tables without borders, and wide ones wrap into each other
    heads = [re.sub(r"^AUROC difference vs .*", "Difference", str(c)).replace("Calibration ", "") for c in frame]
    heads = [h[0].upper() + h[1:] if h != "n" else h for h in heads]
    lines = ["| " + " | ".join(heads) + " |", "|:---|" + "---:|" * (len(heads) - 1)]
    lines += ["| " + " | ".join(_md(cell) for cell in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def _md(value: object) -> str:
    """Text from data, with what markdown or HTML would read as markup escaped."""
    escaped = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escaped).replace("\n", " ")
