"""One patient in words, the same in the terminal, on the patient's page and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from immunocast.cohort.outcomes import words_of
from immunocast.cohort.vocabulary import VOCABULARY, label
from immunocast.explain.domain import value_words
from immunocast.explain.patient_parts import Contribution, PatientExplanation, PredictionSet
from immunocast.explain.whatif import WhatIf
from immunocast.report import text

BLOCKS = {"pdl1": "PD-L1", "dna": "DNA", "rna": "RNA", "blood": "blood", "clinical": "clinical"}
NOT_CAUSE = "Associated with the prediction; what a change by treatment would do is another question."
CURVES = (
    "What the model says if one value were another and all others stayed as they are, inside the range that its "
    "training patients had. Not the effect of a treatment: values that go together do not change alone."
)
#: Features of each direction that are told; contributions that move the probability by less than this are not.
MOST, LEAST = 6, 0.0005


@dataclass(frozen=True)
class Step:
    """A feature that raised or lowered the probability: value, contribution, change in points, bar (0-1)."""

    feature: str
    value: str
    shap: str
    points: str
    raised: bool


@dataclass(frozen=True)
class Similar:
    """A similar patient: id, cohort, whether with the event, distance, inputs that both have."""

    patient_id: str
    cohort_id: str
    outcome: str
    event: bool
    distance: str
    shared: str


@dataclass(frozen=True)
class PatientWords:
    """What is said of one patient; every entry is text."""

    title: str
    facts: tuple[str, ...]
    probability: str
    about: tuple[str, ...]
    outcome: str
    reason: str
    scale: str
    raised: tuple[Step, ...]
    lowered: tuple[Step, ...]
    rest: str
    grounds: str
    rested_on: tuple[tuple[str, str], ...]
    missing: str
    missing_rule: str
    similar: str
    similar_how: str
    neighbours: tuple[Similar, ...]
    curves: tuple[str, ...]
    warnings: tuple[str, ...]


def patient_words(found: PatientExplanation, settings: Mapping[str, Any] | None = None) -> PatientWords:
    """The words of an explanation.

    Parameters
    ----------
    found : explanation of a patient.
    settings : of the endpoint, as the run's manifest has them.
    """
    words = words_of(found.endpoint, settings)
    raised = [c for c in found.contributions if c.change > LEAST]
    lowered = [c for c in found.contributions if c.change < -LEAST]
    hidden = [*raised[MOST:], *lowered[MOST:]]
    quiet = len(found.contributions) - len(raised) - len(lowered)
    return PatientWords(
        title=f"Patient {found.patient_id}",
        facts=_facts(found),
        probability=text.percent(found.probability, 1, 0) if text.is_number(found.probability) else "no prediction",
        about=tuple(_about(found, words)),
        outcome="" if found.outcome is None else words.event if found.outcome else words.other,
        reason=f"{found.label} abstains: {found.reason}." if found.reason else "",
        scale=found.scale,
        raised=tuple(_step(c) for c in raised[:MOST]),
        lowered=tuple(_step(c) for c in lowered[:MOST]),
        rest=_rest(hidden, quiet),
        grounds="Measured" if found.reason else "Rested on",
        rested_on=tuple(
            (BLOCKS[b], ", ".join(VOCABULARY[f].label for f in inputs)) for b, inputs in found.rested_on.items()
        ),
        missing=", ".join(VOCABULARY[f].label for f in found.missing),
        missing_rule=text.sentence(found.missing_rule),
        similar=_similar(found, words),
        similar_how=_similar_how(found),
        neighbours=tuple(
            Similar(
                str(r["patient_id"]),
                str(r["cohort_id"]),
                words.event if r["y_true"] else words.other,
                bool(r["y_true"]),
                f"{r['distance']:.2f}",
                f"{r['n_shared']} of {len(found.neighbours.inputs)}",
            )
            for r in found.neighbours.table.to_dict("records")
        ),
        curves=tuple(curve_words(c) for c in found.what_if),
        warnings=tuple(text.sentence(w) + "." for w in _warnings(found)),
    )


def value_of(c: Contribution) -> str:
    """A patient's value of a feature, with its unit, and with where it comes from if it was not measured.

    >>> value_of(Contribution("nlr", 4.0, "imputed", 0.1, 0.01))
    '4 (imputed at source)'
    """
    if isinstance(c.value, str):
        return text.level_label(c.value)
    return text.typographic(value_words(c.feature, c.value)) + (" (imputed at source)" if c.source == "imputed" else "")


def points(change: float) -> str:
    """A change of probability in percentage points.

    >>> points(0.0631), points(-0.0004)
    ('+6.3', '0.0')
    """
    return text.typographic(text.number(100 * change, 1, sign=True))


def set_words(found: PredictionSet, event: str, other: str) -> str:
    """A prediction set as a sentence."""
    share = text.percent(found.coverage, 1, 0)
    if not found.outcomes:
        return f"No {share} prediction set: {found.note}"
    said = {
        "both": f"neither {event} nor {other} is ruled out",
        "event": f"{event}",
        "other": f"{other}",
        "none": "neither outcome fits: unlike the patients before",
    }[found.outcomes]
    ground = (
        f"conformal p-values {found.p_event:.2f} and {found.p_other:.2f}, {found.n_calibration:,} calibration patients"
    )
    return f"{share} prediction set: {said} ({ground}{'; ' + found.note if found.note else ''})"


def curve_words(curve: WhatIf) -> str:
    """A what-if curve as a sentence."""
    name, own = VOCABULARY[curve.feature].label, _told(curve.feature, curve.own)
    now = f"now {own}, {_p(curve.p_own)}" if curve.own is not None else f"not measured, {_p(curve.p_own)}"
    if len(curve.values) == 1:
        said = f"{name} {_told(curve.feature, curve.values[0])}: {_p(curve.p[0])} ({now})"
    elif curve.reach.levels:
        each = ", ".join(f"{_told(curve.feature, v)} {_p(p)}" for v, p in zip(curve.values, curve.p, strict=True))
        said = f"{name}: {each} ({now})"
    else:
        at = sorted({0, len(curve.values) // 4, len(curve.values) // 2, 3 * len(curve.values) // 4, -1 % len(curve.p)})
        each = ", ".join(f"{_told(curve.feature, curve.values[i])} {_p(curve.p[i])}" for i in at)
        said = f"{name}: {each} ({now})"
    if curve.held_with:
        held = ", ".join(VOCABULARY[f].label for f in curve.held_with)
        said += f"; held though they go with it: {held}"
    return said


def _facts(found: PatientExplanation) -> tuple[str, ...]:
    facts = [f"Cohort {found.cohort_id}", found.label]
    if found.scheme:
        folds = list(dict.fromkeys(f for _, f in found.folds))
        named = f", fold {folds[0]}" if len(folds) == 1 else f", {len(found.folds)} repeats"
        facts.append(f"held out ({text.scheme_label(found.scheme)}{named})")
    else:
        facts.append("new patient, final model")
    facts.append(f"{found.n_training:,} training patients")
    if found.linked:
        facts.append(f"the same person as {', '.join(found.linked)}")
    return tuple(facts)


def _about(found: PatientExplanation, words: Any) -> list[str]:
    """What surrounds the probability."""
    said = []
    if found.range is not None:
        said.append(
            f"95 % range over {found.range.n_refits} refits on resampled training patients: "
            f"{_p(found.range.low)} to {_p(found.range.high)} (how far the number itself can be trusted)"
        )
    for name, p in found.recalibrated.items():
        said.append(f"Recalibrated ({text.recalibration_label(name)}): {_p(p)}; the explanation is of the model's own")
    said += [set_words(s, words.event, words.other) for s in found.sets]
    return said


def _step(c: Contribution) -> Step:
    return Step(
        VOCABULARY[c.feature].label,
        value_of(c),
        text.typographic(text.number(c.shap, 2, sign=True)),
        points(c.change),
        c.change > 0,
    )


def _rest(hidden: list[Contribution], quiet: int) -> str:
    said = []
    if hidden:
        ones = f"{len(hidden)} weaker one" + ("s, together" if len(hidden) > 1 else ",")
        said.append(f"{ones} {points(sum(c.change for c in hidden))} points")
    if quiet:
        said.append(f"{quiet} that hardly mattered")
    return "Not listed: " + "; ".join(said) if said else ""


def _similar(found: PatientExplanation, words: Any) -> str:
    near = found.neighbours
    n = len(near.table)
    if not n:
        return text.sentence(near.note) + "."
    share = f" (95 % interval {_p(near.ci_low)} to {_p(near.ci_high)})" if text.is_number(near.ci_low) else ""
    tail = f" {text.sentence(near.note)}." if near.note else ""
    return f"Of the {n} most similar training patients {near.n_events} were {words.events}{share}.{tail}"


def _similar_how(found: PatientExplanation) -> str:
    inputs = ", ".join(VOCABULARY[f].label for f in found.neighbours.inputs)
    if not found.neighbours.inputs:
        return ""
    return (
        f"Similar in the {len(found.neighbours.inputs)} inputs of the model that this patient has ({inputs}): Gower's "
        "distance on ranks, 0 alike, 1 opposite in all; missing values are left out of a pair. Outcomes play no part "
        "in who is similar; the interval takes the neighbours as a random sample."
    )


def _warnings(found: PatientExplanation) -> list[str]:
    said = list(found.warnings)
    if found.standard_error is not None:
        said.append(
            f"the contributions are estimates (sampled), with a standard error of up to {found.standard_error:.2g}"
        )
    if found.scale == "log-hazard":
        said.append("contributions are on log-hazard: a positive one means an earlier event")
    if any(c.source == "imputed" for c in found.contributions):
        names = [VOCABULARY[c.feature].label for c in found.contributions if c.source == "imputed"]
        said.append(f"imputed by whoever published the data, not measured: {', '.join(names)}")
    return said


def _told(feature: str, value: Any) -> str:
    return text.level_label(value) if isinstance(value, str) else text.typographic(value_words(feature, value))


def _p(value: float) -> str:
    return text.percent(value, 1, 0)


def axis_label(feature: str) -> str:
    """Label of an axis: the feature with its unit."""
    return label(feature)
