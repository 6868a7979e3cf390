"""A sweep in words: markdown for its folder and for MLflow's description."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from immunocast.metrics import METRICS
from immunocast.report.text import SYNTHETIC_BANNER, estimate, is_number, number
from immunocast.store.markdown import md
from immunocast.sweep.folder import DONE, FAILED, JobState
from immunocast.sweep.results import Best
from immunocast.sweep.settings import Objective

OPTIMISM = (
    "It was chosen by the estimates that are shown, on the same patients: the best of many looks better than it is, "
    "the more so the more there were, and its interval does not know of the choice. Report it with the number of jobs, "
    "and measure it on patients that took no part, or let each training fold choose (`tuning=optuna`)."
)
_LOCO = (
    "Each cohort was held out in every job: whoever chooses by these estimates has looked at all of them, and none of "
    "them is external any more."
)


def summary_markdown(
    results: pd.DataFrame,
    states: Sequence[JobState],
    best: Best,
    *,
    objective: Objective | None = None,
    synthetic: bool | None = None,
    warnings: Sequence[str] = (),
    links: Mapping[int, str] | None = None,
    views: str = "",
) -> str:
    """What a sweep found.

    Parameters
    ----------
    results : `results.results_table`.
    states : of the jobs.
    best : `results.best_of`.
    objective : what a search looks for.
    synthetic : whether no patient of the done jobs exists; None where some are synthetic and some not, or none is done.
    warnings : `results.differing`.
    links : address of each job's run, by number.
    views : a line of links to all of them.

    Returns
    -------
    Markdown without times and run ids, but for the links.
    """
    counts = results["status"].value_counts()
    failed = int(counts.get(FAILED, 0))
    done = int(counts.get(DONE, 0))
    settings = [c.removeprefix("sweep.") for c in map(str, results) if c.startswith("sweep.")]
    head = f"{done} of {len(results)} jobs done" + (f", {failed} failed" if failed else "")
    kind = f"search for the best {objective.name}" if objective else "grid"
    # one paragraph: a tracker shows four lines of a description before "more", the last two of them under a shade that
    # takes no click, so that the links come first
    first = [f"**{SYNTHETIC_BANNER}**"] if synthetic else []
    over = f"**Sweep over {', '.join(map(md, settings)) or 'nothing'}**: {head} ({kind})."
    first.append(f"{views}. {over}" if views else over)
    lines = ["  \n".join([*first, _best(best, objective)]), ""]
    lines += [line for warning in warnings for line in (f"**Warning.** {warning}", "")]
    lines += [*_failures(states), *_table(results, settings, objective, links), ""]
    lines += [_notes(results, best)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _best(best: Best, objective: Objective | None) -> str:
    if best.row is None:
        return f"No best job is named: {best.why_not}."
    row = best.row
    what = objective.name if objective else f"AUROC of {row['model']}"
    value = number(row[best.metric])
    if objective is None or objective.metric == "auroc":
        value = _cell(row, "auroc")
    word = "trials" if objective else "jobs"
    settings = ", ".join(f"{c.removeprefix('sweep.')}={row[c]}" for c in row.index if str(c).startswith("sweep."))
    return (
        f"Best of {best.n} {word} by {md(what)}: job {row['job']} ({md(settings)}), {value}; "
        f"the median of the {best.n} is {number(best.middle)}."
    )


def _failures(states: Sequence[JobState]) -> list[str]:
    failed = [s for s in states if s.status == FAILED]
    lines = [f"**{len(failed)} {'job' if len(failed) == 1 else 'jobs'} failed**", ""] if failed else []
    for state in failed:
        settings = ", ".join(f"{k}={v}" for k, v in state.settings.items())
        lines.append(
            f"- job {state.number} ({md(settings)}): {md(state.error)} [whole error](errors/{state.number:03d}.txt)"
        )
    half = [s for s in states if s.status == DONE and s.error]
    lines += [f"- job {s.number}: {md(s.error)}" for s in half]
    return [*lines, ""] if lines else []


def _table(
    results: pd.DataFrame, settings: Sequence[str], objective: Objective | None, links: Mapping[int, str] | None
) -> list[str]:
    own = [] if objective is None or objective.metric == "auroc" else [METRICS[objective.metric].label]
    heads = ["Job", *(".".join(s.split(".")[-2:]) for s in settings), "Status", *own, "AUROC (95 % CI)"]
    heads += ["Difference", "Slope", "n", "Events"]
    lines = ["| " + " | ".join(map(md, heads)) + " |", "|" + ":---|" * (2 + len(settings)) + "---:|" * (len(own) + 5)]
    for row in results.to_dict("records"):
        job = str(row["job"])
        link = (links or {}).get(row["job"])
        status = str(row["status"])
        if not pd.isna(row["same_as"]):
            status = f"as job {row['same_as']}"
        cells = [
            f"[{job}]({link})" if link else job,
            *(md(row[f"sweep.{s}"]) for s in settings),
            status,
            *([number(row["objective"])] if own else []),
            _cell(row, "auroc") if row["status"] == DONE else "",
            _cell(row, "auroc_minus_reference", sign=True) if is_number(row["auroc_minus_reference"]) else "",
            number(row["calibration_slope"], 2),
            "" if pd.isna(row["n"]) else f"{int(row['n']):,}",
            "" if pd.isna(row["n_events"]) else f"{int(row['n_events']):,}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(row: Any, name: str, *, sign: bool = False) -> str:
    plain = {"estimate": row[name], "ci_low": row[f"{name}_ci_low"], "ci_high": row[f"{name}_ci_high"], "note": ""}
    return estimate(plain, sign=sign)


def _notes(results: pd.DataFrame, best: Best) -> str:
    done = results[results["status"] == DONE]
    models = ", ".join(map(md, _unique(done, "model")))
    said = [f"Estimates are of each run's headline model over all its patients: {models}."]
    references = [r for r in _unique(done, "reference_model") if r]
    if references:
        said.append(f"Difference: in AUROC from {', '.join(map(md, references))}, on patients whom both can score.")
    if best.row is not None:
        said.append(OPTIMISM)
        if done["scheme"].eq("leave_one_cohort_out").any():
            said.append(_LOCO)
    said.append("All numbers: [results.csv](results.csv).")
    return " ".join(said) if len(done) else "No job has results yet."


def _unique(frame: pd.DataFrame, column: str) -> list[str]:
    return list(dict.fromkeys(str(v) for v in frame[column]))
