"""The run in one screen: markdown for MLflow's description, and a table of results, a row a model."""

from __future__ import annotations

import pandas as pd

from immunocast.report import text
from immunocast.report.summary_tables import summary_tables
from immunocast.report.verdict import prognostic_sentence, verdict
from immunocast.report.view import RunView
from immunocast.store.markdown import md
from immunocast.store.runfolder import RunFolder

_MOST_CODES = 6
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
        f"**{mark}{md(said.answer)}**",
        "",
        f"- {md(said.comparison)}",
        f"- {md(said.calibration)}",
        f"- Cohort **{md(view.name)}**: {counts['n']:,} patients in {len(view.cohort_ids)} cohorts, "
        f"{counts['n_events']:,} events ({view.words.rate} {counts['rate'] or 'unknown'}). "
        f"Endpoint: {md(view.words.title)}. "
        f"Validation: {md(text.scheme_label(view.scheme))}, {md(text.SCHEMES.get(view.scheme, ''))}.",
        "",
        *_warning_lines(view),
        "",
        *_control_lines(view),
        *(line for part in summary_tables(view) for line in (part, "")),
        f"{prognostic_sentence(view)} Figures, methods and limits: artifact `report.html`.",
    ]
    return text.typographic("\n".join(lines)) + "\n"


def _point(row: dict | None, decimals: int) -> str:
    if row is None or text.is_number(row["estimate"]):
        return text.number(row["estimate"], decimals) if row else "not estimated"
    return text.estimate(row)


def _difference(view: RunView, model: str, recalibration: str) -> str:
    # a recalibrated reference is not the reference: it has a difference of its own
    label = model if recalibration == view.recalibration(model) else f"{model}+{recalibration}"
    if label == view.reference:
        return "reference"
    row = view.comparison("auroc", label)
    return "" if row is None and label != model else text.estimate(row, column="difference", sign=True)


def _warning_lines(view: RunView) -> list[str]:
    """Errors and warnings, a line a code, the most severe first."""
    found = view.warnings
    if found.empty:
        return ["No warnings." if view.run.has_table("checks") else "Checks have not run."]
    codes = list(dict.fromkeys(found["code"]))
    lines = [f"**{len(found)} warning{'s' if len(found) > 1 else ''}, by code**", ""]
    for code in codes[:_MOST_CODES]:
        rows = found[found["code"] == code]
        first = rows.iloc[0]
        severity = "error" if rows["severity"].eq("error").any() else "warning"
        waived = "" if pd.isna(first["waived_because"]) else f" Waived: {md(first['waived_because'])}."
        others = f" And {len(rows) - 1} more of this code." if len(rows) > 1 else ""
        where = "" if pd.isna(first["cohort_id"]) else f", {md(first['cohort_id'])}"
        message = md(first["message"]).rstrip(".")
        message += "" if message.endswith("?") else "."
        lines.append(f"- **{md(code)}** ({severity}{where}): {message}{waived}{others}")
    if len(codes) > _MOST_CODES:
        lines.append(f"- and {len(codes) - _MOST_CODES} more in the report")
    return lines


def _control_lines(view: RunView) -> list[str]:
    """The controls that can fail: what became of each."""
    frame = view.table("controls")
    frame = frame[frame["verdict"].ne("none") & frame["cohort_id"].eq("combined")] if len(frame) else frame
    said = [
        f"{text.humanise(str(row.control))} ({md(view.label(str(row.model)))}): {row.verdict}"
        for row in frame.itertuples()
    ]
    return [f"Controls: {'; '.join(said)}.", ""] if said else []
