"""The reading guide at the top of the report: a reviewer's questions, what this run says, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from immunocast.cohort.vocabulary import label
from immunocast.report import text
from immunocast.report.figures_explain import importance_rows
from immunocast.report.flow import participant_flow
from immunocast.report.sections_evaluation import group_label
from immunocast.report.shown import cohort_estimates, range_over_cohorts
from immunocast.report.view import RunView


@dataclass(frozen=True)
class Step:
    """A question of a reviewer.

    Attributes
    ----------
    question : as a reviewer would put it.
    answer : what this run says, in a sentence or two; plain text.
    section : anchor of the section that shows it.
    where : title of that section.
    """

    question: str
    answer: str
    section: str
    where: str


def reading_guide(view: RunView) -> list[Step]:
    """The path of five minutes through a report; what a run does not hold is said to be missing.

    Returns
    -------
    Steps in reading order: on whom, how surely, against what, calibration, usefulness, failures, controls, reasons.
    """
    return [
        Step("On whom?", _whom(view), "flow", "Participants"),
        Step("How surely, and elsewhere?", _elsewhere(view), "metrics", "Performance"),
        Step("Against what?", _against(view), "comparison", "Comparison with published baselines"),
        Step("Do the probabilities hold?", _probabilities(view), "calibration", "Calibration"),
        Step("Would acting on it help?", _use(view), "decision", "Clinical usefulness"),
        Step("For whom does it fail?", _failures(view), "groups", "Who it fails"),
        Step("What could break it?", _breaks(view), "controls", "Controls"),
        Step("What drives it?", _drivers(view), "explanation", "What drives predictions"),
        Step("What must not be concluded?", "Read these last lines before quoting any number.", "limits", "Limits"),
    ]


def _whom(view: RunView) -> str:
    total, flow = participant_flow(view)
    where = f" in {len(flow)} cohort{'' if len(flow) == 1 else 's'}" if flow else ""
    left = total.n_excluded + total.n_dropped
    said = f"{total.analysed:,} patients{where}, {total.events:,} with the event"
    return f"{said}; {f'{left:,} left out, with reasons' if left else 'nobody was left out'}."


def _elsewhere(view: RunView) -> str:
    said = []
    if words := range_over_cohorts(view):
        said.append(f"{words}.")
    frame = view.table("heterogeneity")
    keep = (frame["grouping"] == "cohort_id") & (frame["metric"] == "auroc") & (frame["model"] == view.headline)
    for row in frame[keep & (frame["recalibration"] == view.recalibration(view.headline))].to_dict("records")[:1]:
        if span := text.interval(row["pi_low"], row["pi_high"]):
            said.append(f"In a cohort like these that nobody has seen: {span} (95 %).")
    return " ".join(said) or "One cohort or one estimate only: nothing here tells how it would do elsewhere."


def _against(view: RunView) -> str:
    frame = view.table("comparisons")
    keep = (frame["metric"] == "auroc") & (frame["model"] == view.headline) & (frame["subgroup"] == "all")
    frame = frame[keep & frame["cohort_id"].isin(["combined", "pooled"]) & frame["difference"].notna()]
    rows = {str(r["reference_model"]): r for r in frame.to_dict("records")}
    others = [m for m in (view.reference, *sorted(view.rules, key=view.order.index)) if m in rows]
    said = [
        f"{view.label(str(m))} {text.number(rows[m]['difference'], sign=True)}"
        + (f" ({span})" if (span := text.interval(rows[m]["ci_low"], rows[m]["ci_high"], sign=True)) else "")
        for m in others
    ]
    return f"Difference in AUROC to: {'; '.join(said)}." if said else "The headline model was compared with no other."


def _probabilities(view: RunView) -> str:
    row = view.metric("oe_ratio", view.headline)
    if row is None or not text.is_number(row["estimate"]):
        return "Observed over expected events was not estimated."
    said = f"Observed over expected events {text.estimate(row, 2)}."
    found = [r for _, r in cohort_estimates(view, "oe_ratio") if text.is_number(r["ci_low"])]
    if len(found) > 1:
        off = sum(not float(r["ci_low"]) <= 1 <= float(r["ci_high"]) for r in found)
        said += f" In {off or 'none'} of {len(found)} cohorts the interval leaves out the ideal 1."
    return said


def _use(view: RunView) -> str:
    threshold = view.middle_threshold
    row = view.metric("net_benefit", view.headline, threshold=threshold) if threshold is not None else None
    if threshold is None or row is None or not text.is_number(row["estimate"]):
        return "Net benefit was not estimated."
    said = f"Net benefit at a threshold of {threshold:g}: {text.estimate(row)}"
    frame = view.table("decisions")
    keep = (frame["model"] == "treat_all") & (frame["metric"] == "net_benefit") & (frame["rule"] == "fixed")
    keep &= (frame["cohort_id"] == "combined") & ((frame["threshold"] - threshold).abs() < 1e-9)
    for all_ in frame[keep & frame["estimate"].notna()].to_dict("records")[:1]:
        said += f"; {view.label('treat_all').lower()} {text.number(all_['estimate'])}, none 0"
    return said + "."


def _failures(view: RunView) -> str:
    frame = view.table("heterogeneity")
    keep = (frame["metric"] == "auroc") & (frame["grouping"] != "cohort_id") & (frame["model"] == view.headline)
    keep &= (frame["recalibration"] == view.recalibration(view.headline)) & frame["p_adjusted"].notna()
    frame = frame[keep].sort_values(["p_adjusted", "p", "grouping"])
    if frame.empty:
        return "No subgroups were compared."
    apart = frame[frame["p_adjusted"] < 0.05]
    if len(apart):
        return f"The AUROC differs, after correction, by {_listed([group_label(g) for g in apart['grouping']])}."
    first = frame.iloc[0]
    return (
        f"No difference in AUROC between levels stands after correction over {len(frame)} groupings; the smallest p is "
        f"that of {group_label(first['grouping']).lower()} ({text.p_value(first['p'])}, corrected "
        f"{text.p_value(first['p_adjusted'])})."
    )


def _breaks(view: RunView) -> str:
    said = []
    frame = view.table("controls")
    keep = (frame["control"] == "permuted_labels") & (frame["metric"] == "auroc") & frame["estimate"].notna()
    for row in frame[keep & (frame["cohort_id"] == "combined")].to_dict("records")[:1]:
        verdict = f", {row['verdict']}" if row["verdict"] not in ("", "none") else ""
        span = text.interval(row["low"], row["high"])
        said.append(
            f"With permuted labels the AUROC is {text.number(row['estimate'])}{f' ({span})' if span else ''}{verdict}."
        )
    stability = view.table("stability")
    here = stability[stability["model"] == view.headline]
    if len(here):
        width = float((here["p_high"] - here["p_low"]).median())
        said.append(f"Refitted on other training patients, a patient’s probability ranges over {width:.2f} (median).")
    n = len(view.warnings)
    said.append(f"{n or 'No'} warning{'' if n == 1 else 's'} of the checks.")
    return " ".join(said)


def _drivers(view: RunView) -> str:
    frame = importance_rows(view)
    frame = frame[frame["model"] == view.explained_model] if len(frame) else frame
    if frame.empty:
        return "No model was explained."
    names = [label(f) for f in frame.sort_values(["rank", "feature"])["feature"].head(3)]
    return f"Strongest in {view.label(view.explained_model or '')}: {_listed(names)}. Associated, not shown to cause."


def _listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence: "A, B and C"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
