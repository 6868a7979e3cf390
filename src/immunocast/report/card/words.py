"""A card's sentences: the product's fixed statement of scope, and what follows from this run's own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from immunocast.cohort.vocabulary import label
from immunocast.report import text
from immunocast.report.card.facts import PARTITIONS, UNSEEN, Facts
from immunocast.report.verdict import prognostic_sentence

#: The same on every card. Nothing in it comes from a run.
SCOPE_IN = (
    "Research: to study how far the outcome named below can be forecast from measurements taken before treatment with "
    "immune checkpoint inhibitors, on which measurements a forecast rests, and how it compares with published scores "
    "and single markers.",
    "A starting point for a study that tests such a forecast in new patients, with a protocol of its own.",
)
SCOPE_OUT = (
    "It is no medical device. No decision to give, withhold or change a treatment, and no decision on cover or access, "
    "may rest on it.",
    "It does not choose between treatments: who is likely to have the outcome with a treatment is not who benefits "
    "from it.",
    "It takes measurements from before treatment only. Adverse events, later scans or laboratory values must not be "
    "put in.",
    "Its number is a probability of the outcome named below. It is no probability of survival and no hazard.",
    "It is not meant for patients unlike those counted under “Patients”: other tumour types, drugs, lines of therapy, "
    "ages, assays or units.",
)
FIXED = "The product’s statement of scope, the same on every card; it does not come from this run"
RUN = "From this run"


def title(facts: Facts) -> str:
    """What was developed, on whom, and how it was evaluated."""
    whom = "synthetic patients" if facts.view.synthetic else "patients treated with immune checkpoint inhibitors"
    first = "SYNTHETIC DATA. " if facts.view.synthetic else ""
    how = text.scheme_label(facts.view.scheme)
    return (
        f"{first}{facts.label}: forecast of {facts.words.title.split(' (')[0]} in {whom}, development and "
        f"evaluation by {how}"
    )


def claim(facts: Facts) -> str:
    """What kind of claim the data allow."""
    return prognostic_sentence(facts.view)


def output(facts: Facts) -> str:
    """What the model's number is."""
    return (
        f"p_response: the probability, 0 to 1, of {facts.words.title}, in patients treated as these were. It says "
        "nothing of the effect of a treatment."
    )


def how_predicted(facts: Facts) -> str:
    """Which predictions enter an estimate of performance."""
    means = text.SCHEMES.get(facts.view.scheme, "see the configuration")
    return (
        f"{text.sentence(text.scheme_label(facts.view.scheme))}: {means}. No estimate uses a patient, or a person "
        "linked to one, who trained or tuned the model that predicted; imputation, scaling, tuning and recalibration "
        "are fitted inside the training folds. Patients whom the model does not score are left out and counted."
    )


def kind_of_evaluation(facts: Facts) -> str:
    """What the evaluation shows of other places, and what the final model is."""
    unseen = UNSEEN.get(facts.view.scheme)
    shared = (
        " Whether those cohorts are of other hospitals than the training cohorts is not recorded."
        if unseen == "cohorts" and ("site_id" not in facts.view.cohort or facts.view.cohort["site_id"].isna().all())
        else ""
    )
    first = (
        f"The evaluation is on {unseen} that the predicting model had not seen.{shared}"
        if unseen
        else "The evaluation is internal: patients were predicted by models that had seen others of the same cohort. "
        "It says little about other hospitals."
    )
    if facts.view.scheme in PARTITIONS:
        return (
            f"{first} The model of this card is a refit on all {len(facts.shared.labelled):,} patients with an outcome "
            "and was itself never evaluated: the performance is that of models made the same way on part of them."
        )
    return f"{first} The model of this card is the one that was evaluated."


def seen_inputs(facts: Facts) -> list[str]:
    """Inputs that the model takes, what a gap does, and what it was offered in vain."""
    needs = facts.input_labels(facts.spec.required) or "nothing"
    used = [name for name in facts.spec.optional if name not in facts.dropped_inputs]
    said = [
        f"Required, without them the model gives no probability: {needs}.",
        f"Used where measured: {facts.input_labels(used) or 'nothing'}.",
    ]
    if facts.dropped_inputs:
        said.append(
            f"Listed as inputs and not used, since too few training patients had them: "
            f"{facts.input_labels(facts.dropped_inputs)}. A value given there changes nothing."
        )
    if facts.spec.missing_rule:
        said.append(f"Gaps: {facts.spec.missing_rule}.")
    return said


def limits(facts: Facts) -> list[str]:
    """What a reader must keep in mind, each a sentence from what the run recorded."""
    return [*_claims(facts), *_evaluation(facts), *_data(facts), *_software(facts)]


def _claims(facts: Facts) -> Iterator[str]:
    if facts.view.synthetic:
        yield "All patients are made by a generator: the numbers test the software and say nothing about people."
    yield claim(facts)
    yield (
        "Importance of an input is association in these patients. It is no cause: nothing says that changing the value "
        "would change the outcome."
    )
    if not facts.is_headline:
        headline = facts.shared.view.label(facts.shared.view.headline)
        yield (
            f"The run’s headline model, named beforehand, is {headline}. This is another one of "
            f"{len(facts.view.models)} models that were compared; picking it for its result would be optimistic."
        )


def _evaluation(facts: Facts) -> Iterator[str]:
    yield kind_of_evaluation(facts)
    yield (
        "Intervals hold the fitted models fixed and resample persons: they tell how exactly performance was measured, "
        "not how much a model trained on other patients would differ."
    )
    yield from _between_cohorts(facts)
    yield from _controls(facts)
    subgroups = facts.rows("metrics")
    own = subgroups["recalibration"] == facts.view.recalibration(facts.model)
    groups = subgroups[
        (subgroups["metric"] == "auroc")
        & own
        & ~subgroups["subgroup"].isin(["all", "discordance"])
        & subgroups["cohort_id"].isin(["combined", "pooled"])
    ]
    if len(groups):
        small = int(groups["estimate"].isna().sum())
        if small:
            yield (
                f"{small} of {len(groups)} subgroups are too small for an AUROC: nothing is known of the model there."
            )
    else:
        yield "The model was not evaluated in subgroups."
    yield (
        "How often these cohorts were scored before is not recorded. A cohort that is looked at again and again "
        "becomes training data by way of whoever reads the numbers."
    )


def _between_cohorts(facts: Facts) -> Iterator[str]:
    row = spread(facts, "auroc")
    if row and text.is_number(row["pi_low"]):
        yield (
            f"In a new cohort the AUROC is expected between {row['pi_low']:.3f} and {row['pi_high']:.3f} (95 % "
            f"prediction interval from {int(row['n_levels'])} cohorts; from so few it is itself uncertain)."
        )
    else:
        yield "Too few cohorts were large enough to say where the AUROC of a new cohort may lie."
    yield from calibration_between(facts)
    ids = facts.view.cohort_ids
    small = [c for c in ids if (r := facts.metric("auroc", c)) is None or not text.is_number(r["estimate"])]
    if small and len(ids) > 1:
        yield f"Too small for an estimate of their own: {', '.join(small)} ({len(small)} of {len(ids)} cohorts)."


def calibration_between(facts: Facts) -> Iterator[str]:
    """How far the level of predictions is off in single cohorts, which an average over all of them hides."""
    values = {
        c: float(r["estimate"])
        for c in facts.view.cohort_ids
        if (r := facts.metric("oe_ratio", c)) is not None and text.is_number(r["estimate"])
    }
    if len(values) < 2:
        return
    low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    said = (
        f"Calibration over all cohorts together says little of single ones: observed over expected events lie "
        f"between {values[low]:.2f} ({low}) and {values[high]:.2f} ({high})"
    )
    row = spread(facts, "oe_ratio")
    if row and text.is_number(row["pi_low"]):
        said += f"; in a new cohort {row['pi_low']:.2f} to {row['pi_high']:.2f} is expected (95 % prediction interval)"
    yield f"{said}."


def spread(facts: Facts, metric: str) -> dict[str, Any]:
    """The row on the spread of a metric between cohorts, {} where there is none."""
    found = facts.rows("heterogeneity")
    found = found[(found["metric"] == metric) & (found["grouping"] == "cohort_id")]
    found = found[found["recalibration"] == facts.view.recalibration(facts.model)]
    return {str(k): v for k, v in found.iloc[0].items()} if len(found) else {}


def _controls(facts: Facts) -> Iterator[str]:
    for row in facts.rows("controls").to_dict("records"):
        if row["control"] == "events_per_parameter" and text.is_number(row["estimate"]) and row["estimate"] < 10:
            yield f"There are {row['estimate']:.1f} events per parameter; fewer than 10 invite overfitting."
        if row["control"] == "permuted_labels" and row["metric"] == "auroc" and row["verdict"] == "suspicious":
            yield "With permuted labels the procedure still discriminates: something leaks into it."
        if row["control"] == "instability" and row["metric"] == "width_of_range":
            yield (
                f"Trained on other patients of the same cohorts, the probability of a patient moves over a range of "
                f"{row['estimate']:.2f} (median of 95 % ranges over {int(row['n_repeats'])} refits)."
            )


def _data(facts: Facts) -> Iterator[str]:
    cohort = facts.view.cohort
    persons = cohort["person_id"].nunique() if "person_id" in cohort else len(cohort)
    if persons < len(cohort):
        yield (
            f"{len(cohort):,} patients are {persons:,} persons: some are in two cohorts under two ids, and count in "
            "both. Intervals resample persons."
        )
    yield from (text.sentence(str(note)) for note in facts.view.manifest.get("model_notes") or [])
    yield from (f"{text.sentence(words)}: {n:,} patients." for words, n in facts.shared.flow[0].flags.items())
    warned = facts.view.warnings
    if len(warned):
        codes = ", ".join(sorted(set(map(str, warned["code"]))))
        waived = int(warned["waived_because"].notna().sum())
        yield (
            f"The checks found {len(warned)} errors or warnings ({codes})"
            f"{f', {waived} of them waived' if waived else ''}; they stand under “Checks”."
        )
    if not facts.run.has_table("checks"):
        yield "No quality check of the data has run."
    for name in facts.spec.inputs:
        if name in facts.dropped_inputs or not len(cohort):
            continue
        gaps = int(cohort[name].isna().sum()) if name in cohort else len(cohort)
        if gaps / len(cohort) >= 0.3:
            yield (
                f"{label(name)} is missing in {text.percent(gaps, len(cohort), 0)} of the patients, who may differ "
                "from those tested."
            )


def _software(facts: Facts) -> Iterator[str]:
    if not facts.code.get("git_commit"):
        yield "Which code made the run is unknown: no commit was recorded."
    elif facts.code.get("dirty"):
        files = ", ".join(map(str, facts.code.get("dirty_files") or []))
        yield f"The code differed from its commit in: {files}."
    yield "Nothing here was tested in use."


def stability_words(facts: Facts) -> dict[str, str]:
    """Feature -> how stable its rank is over bootstrap refits, else over cohorts; {} where nothing was drawn."""
    frame = facts.rows("importance_stability")
    for source, drawn in (("refits", "refits"), ("cohorts", "cohorts"), ("folds", "folds"), ("repeats", "repeats")):
        rows = frame[frame["source"] == source]
        if len(rows):
            return {str(r["feature"]): _rank_words(r, drawn) for r in rows.to_dict("records")}
    return {}


def _rank_words(row: dict[Any, Any], drawn: str) -> str:
    span = (
        f"rank {int(row['rank_low'])} to {int(row['rank_high'])} over {int(row['n_draws'])} {drawn}"
        if text.is_number(row["rank_low"])
        else f"over {int(row['n_draws'])} {drawn}"
    )
    verdict = {"none": "too few draws for a verdict"}.get(str(row["verdict"]), str(row["verdict"]))
    return f"{verdict}; {span}"
