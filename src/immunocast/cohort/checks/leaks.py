"""Columns that carry the outcome: by value, by absence, or by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.checks.findings import Part, as_floats
from immunocast.cohort.checks.names import after_baseline
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.checks.stats import MIN_CLASS, auroc, auroc_se
from immunocast.cohort.vocabulary import VOCABULARY, label

#: A single baseline marker above this AUROC within a cohort is taken for a leak. Pooled published AUROCs of
#: PD-L1, TMB and GEP lie at .60 to .70; a leak under a real feature's name reaches .95 and more.
LEAK_AUROC = 0.90
#: Above this, beyond chance, a marker is better than any that the field knows.
STRONG_AUROC = 0.75
MAX_LEVELS = 30

register(
    [
        Check(
            "IC-LEAK-001", "error", "one column nearly tells the outcome by itself",
            "A single feature separates the outcome better than any baseline marker does.",
            "The column carries the outcome or was measured after it: every performance number is worthless.",
            "Find out when and how it was recorded; leave it out, or waive the finding with the reason.",
            "AUROC of .90 or more, or of .10 or less (categories by their own event rate), in a cohort with 10 "
            "events and 10 non-events; over all cohorts where none is large enough.",
        ),
        Check(
            "IC-LEAK-002", "error", "whether a column is missing nearly tells the outcome",
            "The test was done (or recorded) because of the outcome.",
            "A model learns who was tested, not who responds.",
            "Leave the column out, or restrict the cohort to patients in whom it was planned.",
            "As IC-LEAK-001, for the indicator of missing values.",
        ),
        Check(
            "IC-LEAK-003", "error", "a feature was recorded after baseline, by its name",
            "The source column of a feature is named like an outcome, a later measurement, a treatment's course, an "
            "adverse event or the output of a model; or a model reads a column of outcomes.",
            "What happens after treatment began can't be known when the prediction is made; immune-related adverse "
            "events go with response partly because only survivors live to have them.",
            "Map a baseline column, or leave the feature out.",
            "Word patterns (`cohort/checks/names.py`) on the source's header, words like prior, baseline or history "
            "excepted; any outcome of the vocabulary, irAE included, among the models' inputs.",
        ),
        Check(
            "IC-LEAK-004", "warning", "one column tells the outcome better than any known marker",
            "A single feature separates the outcome better than the field has seen.",
            "It may be a leak in part of the patients, or a lucky cohort.",
            "Find out when and how it was recorded.",
            "AUROC so far from .5 that it lies beyond .75 by 3.3 standard errors (Hanley and McNeil), under the "
            "limit of IC-LEAK-001.",
        ),
        Check(
            "IC-LEAK-005", "info", "an unmapped column tells the outcome",
            "A column of the source that is not mapped separates the outcome nearly perfectly.",
            "None, as long as it stays unmapped.",
            "Never map it to a feature.",
            "As IC-LEAK-001, for unmapped columns: numbers, and categories of at most 30 levels.",
        ),
        Check(
            "IC-LEAK-006", "info", "unmapped columns were recorded after baseline, by their names",
            "Columns of the source that are not mapped have names of outcomes, later measurements or predictions.",
            "None, as long as they stay unmapped.",
            "Never map them to features.",
            "As IC-LEAK-003, for unmapped columns.",
        ),
        Check(
            "IC-LEAK-007", "warning", "samples were taken under treatment",
            "Tissue or blood of some patients was taken after the treatment had begun (`biopsy_timing` is on).",
            "Their expression and mutations show the treatment's effect, which can't be known beforehand.",
            "Leave these patients out, or set the features of the sample to missing.",
            "Any patient.",
        ),
    ]
)  # fmt: skip


def check_leaks(part: Part, features: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Columns that tell the outcome by value or by absence, within one cohort (or, as one part, over all)."""
    known = part.y.notna().to_numpy()
    outcome = part.y[known].to_numpy(dtype=int)
    for column in features:
        values = part.frame[column][known]
        separation, events, others = separates(values, outcome, VOCABULARY[column].kind)
        n = events + others
        if separation >= LEAK_AUROC:
            words = (
                f"{label(column)} alone separates patients with the event from those without with AUROC "
                f"{separation:.2f}. "
                "No baseline marker does that: the column probably carries the outcome or a later measurement."
            )
            yield part.found("IC-LEAK-001", words, column, n=n)
        elif separation and separation - 3.3 * auroc_se(separation, events, others) > STRONG_AUROC:
            words = (
                f"{label(column)} alone separates the outcome with AUROC {separation:.2f}, better than any known "
                f"marker."
            )
            yield part.found("IC-LEAK-004", words, column, n=n)
        missing, *_ = separates(values.isna().astype(float), outcome, "number")
        if missing >= LEAK_AUROC:
            words = (
                f"Whether {label(column)} is missing tells the outcome with AUROC {missing:.2f}: "
                "it was probably measured because of the outcome."
            )
            yield part.found("IC-LEAK-002", words, column, n=len(outcome))


def check_names(part: Part, inputs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Features and unmapped columns that were recorded after baseline, by their names."""
    for column in inputs:
        if column in VOCABULARY and VOCABULARY[column].role == "outcome":
            words = (
                f"{label(column)} is an outcome: it comes after treatment has begun and is never a baseline feature."
            )
            yield part.found("IC-LEAK-003", words, column, n=len(part.frame))
    for column in part.features:
        header = part.sources.get(column, "")
        what = after_baseline(header)
        if what and header != column:
            words = f"{label(column)} is read from {header!r}, which is named like {what}: not known at baseline."
            yield part.found("IC-LEAK-003", words, column, n=len(part.frame))
    named = {str(h): after_baseline(str(h)) for h in part.unmapped.columns}
    listed = [f"{h} ({what})" for h, what in named.items() if what]
    if listed:
        more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
        words = f"Unmapped columns that were recorded after baseline by their names: {', '.join(listed[:12])}{more}."
        yield part.found("IC-LEAK-006", words, n=len(listed))
    on = (part.text("biopsy_timing") == "on").to_numpy(dtype=bool)
    if on.any():
        words = f"The sample of {int(on.sum())} patients was taken under treatment."
        yield part.found("IC-LEAK-007", words, "biopsy_timing", mask=on)


def check_unmapped(part: Part) -> Iterator[dict[str, Any]]:
    """Unmapped columns that tell the outcome by value."""
    known = part.y.notna().to_numpy()
    outcome = part.y[known].to_numpy(dtype=int)
    if min(outcome.sum(), len(outcome) - outcome.sum()) < MIN_CLASS:
        return
    found = []
    for header in part.unmapped.columns:
        cells = part.unmapped[header][known]
        numbers = as_floats(cells)
        if (~np.isnan(numbers)).sum() >= 0.8 * cells.notna().sum() > 0:
            separation, *_ = separates(pd.Series(numbers), outcome, "number")
        elif cells.nunique() <= MAX_LEVELS:
            separation, *_ = separates(cells.astype("str"), outcome, "category")
        else:
            continue
        if separation >= LEAK_AUROC:
            found.append(f"{header} (AUROC {separation:.2f})")
    if found:
        more = f" and {len(found) - 12} more" if len(found) > 12 else ""
        words = f"Unmapped columns that tell the outcome: {', '.join(found[:12])}{more}."
        yield part.found("IC-LEAK-005", words, n=len(found))


def separates(values: pd.Series, outcome: np.ndarray, kind: str) -> tuple[float, int, int]:
    """AUROC of one column for the outcome, folded above .5, with its events and non-events; 0 where there are too few.

    Categories are scored by their own event rate, which flatters them a little: good enough for an alarm.
    """
    measured = values.notna().to_numpy()
    y = outcome[measured]
    events, others = int(y.sum()), int(len(y) - y.sum())
    if min(events, others) < MIN_CLASS:
        return 0.0, events, others
    kept = values[measured]
    if kind in ("category", "text"):
        if kept.nunique() > max(MAX_LEVELS, len(kept) // 10):
            return 0.0, events, others  # ids and free text: a rate of their own tells nothing
        kept = kept.map(pd.Series(y, index=kept.index).groupby(kept).mean())
    area = auroc(kept.to_numpy(dtype=float), y)
    return max(area, 1 - area), events, others
