"""PROBAST+AI (Moons et al., BMJ 2025) by domain: what the run recorded that bears on risk of bias. No rating is given.

The signalling questions (16 for development, 18 for evaluation) and the ratings need a person who knows the study; a
recorded fact can raise a concern or answer one, and most of what the questions ask no run records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from immunocast.report import text
from immunocast.report.card.facts import UNSEEN, Facts

DOMAINS = ("participants and data sources", "predictors", "outcome", "analysis")
PHASES = ("development", "evaluation")
NOTE = (
    "These are facts that the run recorded, by domain of PROBAST+AI. They are no rating: the formal signalling "
    "questions (16 for development, 18 for evaluation), the rating of risk of bias and that of applicability need the "
    "author."
)


class Bearing(StrEnum):
    """What a fact means for a domain."""

    CONCERN = "raises a concern"
    ANSWERS = "answers a concern"
    UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Signal:
    """A fact about a domain, or what is not recorded; `path` is the file that it rests on, "" for none."""

    domain: str
    phase: str
    bearing: Bearing
    fact: str
    path: str = ""


_Found = Iterator[tuple[Bearing, str, str]]
#: Smallest share of patients left out, or values missing, that is worth a concern.
_SHARE = 0.1
_MISSING = 0.3
_INPUT_CHECKS = (
    "IC-LEAK", "IC-UNIT", "IC-CONST", "IC-RANGE", "IC-DEP", "IC-MISS", "IC-CAT", "IC-EXPR", "IC-MAF"
)  # fmt: skip


def signals(facts: Facts) -> list[Signal]:
    """What bears on each domain, for development and for evaluation; every pair has a row at least."""
    rules: dict[tuple[str, str], Callable[[Facts], _Found]] = {
        (DOMAINS[0], "development"): _participants,
        (DOMAINS[0], "evaluation"): _participants_evaluated,
        (DOMAINS[1], "development"): _predictors,
        (DOMAINS[1], "evaluation"): _predictors_evaluated,
        (DOMAINS[2], "development"): _outcome,
        (DOMAINS[2], "evaluation"): _outcome_evaluated,
        (DOMAINS[3], "development"): _analysis,
        (DOMAINS[3], "evaluation"): _analysis_evaluated,
    }
    return [Signal(d, p, *found) for d in DOMAINS for p in PHASES for found in rules[d, p](facts)]


def _participants(facts: Facts) -> _Found:
    if facts.view.synthetic:
        yield Bearing.CONCERN, "The patients were generated: no source of real patients at all.", "evidence/data.json"
    n = len(facts.view.cohort_ids)
    if n == 1:
        yield Bearing.CONCERN, "All patients are of one cohort.", "evidence/population.csv"
    elif n > 1:
        yield Bearing.ANSWERS, f"Patients of {n} cohorts were used.", "evidence/population.csv"
    total, _ = facts.shared.flow
    if total.read:
        lost = (total.n_excluded + total.n_dropped) / (total.read + total.n_dropped)
        said = f"{total.n_excluded + total.n_dropped:,} of {total.read + total.n_dropped:,} patients were left out"
        bearing = Bearing.CONCERN if lost >= _SHARE else Bearing.ANSWERS
        yield (
            bearing,
            f"{said} ({text.percent(lost, 1)}), reasons counted; whom the source left out before is not known.",
            "evidence/participant_flow.csv",
        )
    yield from _findings(facts, ("IC-LINK", "IC-DUP", "IC-EVENTS", "IC-SHIFT", "IC-STUDY"), "on persons and cohorts")
    yield Bearing.UNKNOWN, "How the sources chose their patients, from where and when.", ""


def _participants_evaluated(facts: Facts) -> _Found:
    unseen = UNSEEN.get(facts.view.scheme)
    if unseen:
        yield Bearing.ANSWERS, f"Evaluated on {unseen} that the predicting model had not seen.", "evidence/folds.csv"
    else:
        yield Bearing.CONCERN, "Internal evaluation only: the same cohorts as in development.", "evidence/folds.csv"
    linked = sum(int(n) for n in (facts.view.manifest.get("n_linked_out") or {}).values())
    if linked:
        yield (
            Bearing.ANSWERS,
            f"Persons under two ids were kept out of training where the other id was predicted ({linked:,} times).",
            "evidence/folds.csv",
        )
    yield Bearing.UNKNOWN, "Whether these patients are those in whom the model would be used.", ""


def _predictors(facts: Facts) -> _Found:
    yield from _findings(facts, _INPUT_CHECKS, "on the inputs")
    if facts.run.has_table("checks") and not facts.shared.checks["code"].astype(str).str.startswith("IC-LEAK").any():
        yield Bearing.ANSWERS, "The checks found no input that carries the outcome.", "evidence/checks.csv"
    cohort = facts.view.cohort
    gaps = [
        name for name in facts.spec.inputs
        if len(cohort) and (cohort[name].isna().mean() if name in cohort else 1.0) >= _MISSING
    ]  # fmt: skip
    if gaps:
        yield (
            Bearing.CONCERN,
            f"Missing in {text.percent(_MISSING, 1, 0)} of the patients or more: {facts.input_labels(gaps)}.",
            "evidence/missing.csv",
        )
    if facts.dropped_inputs:
        yield (
            Bearing.CONCERN,
            f"Offered and not usable for want of values: {facts.input_labels(facts.dropped_inputs)}.",
            "evidence/predictors.csv",
        )
    yield Bearing.UNKNOWN, "How, when and by whom predictors were measured, and whether blind to the outcome.", ""


def _predictors_evaluated(facts: Facts) -> _Found:
    n = facts.view.counts["n"]
    if n:
        bearing = Bearing.CONCERN if facts.n_abstained / n >= _SHARE else Bearing.ANSWERS
        said = f"{facts.n_abstained:,} of {n:,} patients could not be scored for want of a required input."
        yield bearing, said, "evidence/population.csv"
    cohort = facts.view.cohort
    absent = [
        name for name in facts.spec.inputs
        if name in cohort and cohort[name].notna().any()
        and cohort.groupby("cohort_id")[name].count().eq(0).any()
    ]  # fmt: skip
    if absent:
        yield (
            Bearing.CONCERN,
            f"Measured in some cohorts and in no patient of others: {facts.input_labels(absent)}.",
            "evidence/missing.csv",
        )
    assays = cohort["pdl1_assay"].dropna().nunique() if "pdl1_assay" in cohort else 0
    if assays > 1:
        yield Bearing.CONCERN, f"PD-L1 was stained with {assays} assays.", "evidence/population.csv"
    elif "pdl1_tps" in facts.spec.inputs and not assays:
        yield Bearing.UNKNOWN, "Which PD-L1 assay was used.", ""
    yield Bearing.UNKNOWN, "Whether predictors were measured alike in development and evaluation.", ""


def _outcome(facts: Facts) -> _Found:
    said = f"One rule for everybody: {facts.words.title}."
    yield Bearing.ANSWERS, said, "evidence/outcome.json"
    total, _ = facts.shared.flow
    unclear = sum(n for reason, n in total.excluded.items())
    if total.read and unclear / total.read >= _SHARE:
        yield (
            Bearing.CONCERN,
            f"{unclear:,} of {total.read:,} patients could not be classified and were left out.",
            "evidence/participant_flow.csv",
        )
    yield from _findings(facts, ("IC-OUT", "IC-SURV", "IC-FLAG"), "on outcomes and times")
    yield Bearing.UNKNOWN, "Who assessed the outcome, and whether blind to the predictors.", ""


def _outcome_evaluated(facts: Facts) -> _Found:
    yield Bearing.ANSWERS, "The same rule was applied to every cohort.", "evidence/outcome.json"
    _, cohorts = facts.shared.flow
    rates = [row.events / row.analysed for row in cohorts if row.analysed and row.events is not None]
    if len(rates) > 1:
        low, high = min(rates), max(rates)
        bearing = Bearing.CONCERN if high - low >= 0.15 else Bearing.ANSWERS
        said = (
            f"The share of events lies between {text.percent(low, 1, 0)} and {text.percent(high, 1, 0)} over cohorts."
        )
        yield bearing, said, "evidence/participant_flow.csv"
    yield Bearing.UNKNOWN, "Whether the outcome was assessed alike and at like times in every cohort.", ""


def _analysis(facts: Facts) -> _Found:
    controls = facts.rows("controls")
    rows = controls[controls["control"] == "events_per_parameter"]
    ratio = rows["estimate"].iloc[0] if len(rows) else np.nan
    if text.is_number(ratio):
        bearing = Bearing.CONCERN if ratio < 10 else Bearing.ANSWERS
        yield bearing, f"{ratio:.1f} events per parameter.", "evidence/sample_size.csv"
    else:
        yield (
            Bearing.UNKNOWN,
            "Events per parameter: the model has no fixed number of them.",
            "evidence/sample_size.csv",
        )
    yield (
        Bearing.ANSWERS,
        "Imputation, scaling, encoding, tuning and recalibration were fitted inside the training folds.",
        "evidence/config.yaml",
    )
    control = controls[(controls["control"] == "permuted_labels") & (controls["metric"] == "auroc")]
    for row in control.head(1).to_dict("records"):
        if text.is_number(row["estimate"]):
            bearing = Bearing.CONCERN if row["verdict"] == "suspicious" else Bearing.ANSWERS
            yield bearing, f"With permuted labels the AUROC is {row['estimate']:.3f}.", "evidence/controls.csv"
    if not len(control):
        yield (
            Bearing.UNKNOWN,
            "What the procedure finds in permuted labels: the control was not made for this model.",
            "",
        )


def _analysis_evaluated(facts: Facts) -> _Found:
    row = facts.metric("auroc")
    if row is not None and text.is_number(row["ci_low"]):
        yield (
            Bearing.ANSWERS,
            "Estimates have intervals that resample persons, with n and events.",
            "evidence/metrics.csv",
        )
    slope = facts.metric("calibration_slope")
    if slope is not None and text.is_number(slope["estimate"]):
        off = text.is_number(slope["ci_low"]) and not slope["ci_low"] <= 1 <= slope["ci_high"]
        said = f"Calibration was assessed: slope {text.estimate(slope, 2)}, as the model came."
        yield (Bearing.CONCERN if off else Bearing.ANSWERS), said, "evidence/metrics.csv"
    else:
        yield Bearing.CONCERN, "Calibration could not be assessed.", ""
    frame = facts.view.table("predictions")
    own = facts.view.recalibration(facts.model)
    unfair = int(frame.loc[(frame["model"] == facts.model) & (frame["recalibration"] == own), "in_training"].sum())
    yield (
        Bearing.ANSWERS,
        f"{unfair:,} predictions of patients who helped to train were left out.",
        "evidence/folds.csv",
    )
    small = [
        c for c in facts.view.cohort_ids if (r := facts.metric("auroc", c)) is None or not text.is_number(r["estimate"])
    ]
    if small:
        yield Bearing.CONCERN, f"Too few events for an estimate: {', '.join(small)}.", "evidence/metrics.csv"
    if row is not None and text.is_number(row["estimate"]) and row["estimate"] > 0.8 and not facts.view.synthetic:
        yield (
            Bearing.CONCERN,
            "An AUROC above 0.80 in several tumour types means a leak until shown otherwise.",
            "evidence/metrics.csv",
        )
    yield from _findings(facts, ("IC-PERF",), "on the results")
    yield Bearing.UNKNOWN, "How often these patients were scored before this evaluation.", ""


def _findings(facts: Facts, families: tuple[str, ...], about: str) -> _Found:
    """Errors and warnings of the checks of some families."""
    frame = facts.shared.checks
    hit = frame["code"].astype(str).str.startswith(families) & frame["severity"].isin(["error", "warning"])
    if hit.any():
        codes = ", ".join(sorted(set(frame.loc[hit, "code"].astype(str))))
        yield Bearing.CONCERN, f"{int(hit.sum())} findings of the checks {about}: {codes}.", "evidence/checks.csv"
