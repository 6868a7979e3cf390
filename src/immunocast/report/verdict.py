"""The run's answer in plain sentences: discrimination, calibration, and the comparison with the reference."""

from __future__ import annotations

from dataclasses import dataclass

from immunocast.errors import DataError
from immunocast.report import text
from immunocast.report.view import RunView
from immunocast.validation.multiplicity import distinguishable


@dataclass(frozen=True)
class Verdict:
    """What a reviewer reads first; plain text, not escaped.

    Attributes
    ----------
    question : what the run asks.
    answer : discrimination of the headline model, with its interval.
    calibration : slope and intercept with intervals and what they mean, and the Brier score.
    comparison : the headline model against the reference, in words and numbers.
    comparison_kind : "better", "worse", "same" or "none".
    """

    question: str
    answer: str
    calibration: str
    comparison: str
    comparison_kind: str


def verdict(view: RunView) -> Verdict:
    """Put the run's main result into sentences; whatever was not estimated is said to be so."""
    sentence, kind = comparison_sentence(view)
    return Verdict(_question(view), _answer(view), calibration_sentence(view), sentence, kind)


def _question(view: RunView) -> str:
    whom = "synthetic patients" if view.synthetic else "patients treated with immune checkpoint inhibitors"
    held_out = {
        "leave_one_cohort_out": "in cohorts that the model has not seen",
        "train_test": "in cohorts that the model has not seen",
        "external": "in cohorts that the model has not seen",
        "temporal": "in patients treated after those that the model has seen",
        "leave_one_site_out": "at sites that the model has not seen",
        "leave_one_tumor_type_out": "in tumour types that the model has not seen",
    }.get(view.scheme, "in patients that the model has not seen")
    return f"How well is {view.words.title} forecast for {whom}, {held_out}?"


def _answer(view: RunView) -> str:
    row = view.metric("auroc", view.headline)
    name = view.label(view.headline)
    if row is None or not text.is_number(row["estimate"]):
        return f"The AUROC of {name} could not be estimated: {text.estimate(row)}."
    span = text.interval(row["ci_low"], row["ci_high"])
    tail = ""
    if text.is_number(row["ci_high"]) and row["ci_high"] < 0.5:
        tail = "; that is below 0.5: it ranks patients the wrong way round"
    elif text.is_number(row["ci_low"]) and row["ci_low"] <= 0.5:
        tail = "; the interval reaches 0.5, so it may not discriminate at all"
    value = text.number(row["estimate"]) + (f" (95 % interval {span})" if span else " (no interval)")
    return (
        f"{name} reaches an AUROC of {value} in {int(row['n']):,} patients, "
        f"{int(row['n_events']):,} of them {view.words.events}{tail}."
    )


def calibration_sentence(view: RunView) -> str:
    """Slope, intercept and Brier score of the headline model, and what they mean."""
    slope = view.metric("calibration_slope", view.headline)
    intercept = view.metric("calibration_intercept", view.headline)
    brier = view.metric("brier", view.headline)
    reversed_ = slope is not None and text.is_number(slope["ci_high"]) and slope["ci_high"] < 0
    reading = (
        ": higher predictions go with fewer events" if reversed_ else _reading(slope, 1, "too extreme", "too timid")
    )
    parts = [
        f"Calibration slope {text.estimate(slope, 2)}{reading}",
        f"intercept {text.estimate(intercept, 2)}{_reading(intercept, 0, 'too high on average', 'too low on average')}",
        f"Brier score {text.estimate(brier)}",
    ]
    return "; ".join(parts) + "."


def _reading(row: dict | None, ideal: float, below: str, above: str) -> str:
    if row is None or not (text.is_number(row["ci_low"]) and text.is_number(row["ci_high"])):
        return ""
    if row["ci_high"] < ideal:
        return f": predictions are {below}"
    return f": predictions are {above}" if row["ci_low"] > ideal else f" (covers the ideal {ideal})"


def comparison_sentence(view: RunView) -> tuple[str, str]:
    """The headline model against the reference: a sentence, and "better", "worse", "same" or "none".

    "Same" means that the interval covers 0: the two can't be told apart here, which does not show them equal.
    """
    name, reference = view.label(view.headline), view.label(view.reference) if view.reference else ""
    if not reference:
        if view.manifest.get("left_out_models"):
            return (
                "Nothing is compared: the published models predict response, which does not tell the direction of "
                f"{view.words.title.split(' (')[0]}.",
                "none",
            )
        return "No reference model was named, so nothing is compared.", "none"
    if view.headline == view.reference:
        return f"{name} is itself the reference model.", "none"
    row = view.comparison("auroc", view.headline)
    if row is None:
        return f"{name} was not compared with {reference}.", "none"
    counts = f"on {int(row['n_common']):,} common patients ({int(row['n_lost']):,} left out)"
    if not text.is_number(row["difference"]):
        return (
            f"{name} could not be compared with {reference} {counts}: "
            f"{view.relabel(row['note']) or text.estimate(row, column='difference')}.",
            "none",
        )
    difference = f"difference in AUROC {text.estimate(row, column='difference', sign=True)}"
    p = text.p_value(row["p"])
    p = f", p {p}" if p.startswith("<") else f", p = {p}" if p else ""
    if not (text.is_number(row["ci_low"]) and text.is_number(row["ci_high"])):
        return f"{name} against {reference}: {difference}, no interval, {counts}.", "none"
    if row["ci_low"] > 0:
        words, kind = "discriminates better than", "better"
    elif row["ci_high"] < 0:
        words, kind = "discriminates worse than", "worse"
    else:
        words, kind = "is not distinguishable from", "same"
    return f"{name} {words} {reference}: {difference}{p}, {counts}.", kind


def best_sentence(view: RunView) -> str:
    """Which models can't be told from the best by AUROC, after correction over all pairs; "" where none compared.

    It stands in place of a ranking: the highest of several estimates is no proof of being best.
    """
    frame = view.table("comparisons")
    if frame.empty:
        return ""
    plain = ~(frame["model"].str.contains("+", regex=False) | frame["reference_model"].str.contains("+", regex=False))
    try:
        found = distinguishable(frame[plain])
    except DataError:
        return ""
    apart = found["told_apart"].astype(bool)
    names = [view.label(m) for m in view.order if m in set(found.loc[~apart, "model"])]
    behind = [view.label(m) for m in view.order if m in set(found.loc[apart, "model"])]
    n_pairs = int(found["n_pairs"].max())
    if len(names) == 1 and behind:
        return f"By AUROC, {names[0]} is better than each other model (p corrected over {n_pairs} pairs, below .05)."
    said = f"By AUROC these models can’t be told from the best (p corrected over {n_pairs} pairs): {', '.join(names)}."
    return said + (f" Behind at least one of them: {', '.join(behind)}." if behind else "")


def prognostic_sentence(view: RunView) -> str:
    """What kind of claim the data allow: prognostic, also where a control arm is at hand but not analysed."""
    cohort = view.cohort
    if "arm" in cohort and (cohort["arm"] == "control").any():
        return (
            "The predictions are prognostic: a control arm is at hand, but this run did not test whether they "
            "foretell benefit from treatment."
        )
    return "The predictions are prognostic: without a control arm they don't show who benefits from treatment."
