"""Categories: too many levels, and spellings of the same one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from immunocast.cohort.checks.findings import Part
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.vocabulary import VOCABULARY, label

MAX_LEVELS = 30

register(
    [
        Check(
            "IC-CAT-001", "warning", "a category has too many levels",
            "A column of categories has nearly as many levels as a free text: ids, remarks or combinations.",
            "Subgroups of one patient; nothing can be estimated or balanced over them.",
            "Give a coding that brings the levels together.",
            "Regimen, histology, ancestry, site, panel, organ: more than 30 levels, or at least 10 that are more "
            "than a third of the "
            "patients; for the vocabulary's own categories any value that is not in its list.",
        ),
        Check(
            "IC-CAT-002", "warning", "spellings of the same category",
            "Levels differ in case, blanks, dashes or accents only.",
            "One group is counted as two.",
            "Give a coding that brings the spellings together.",
            "Two levels that are equal without case, blanks and punctuation.",
        ),
    ]
)  # fmt: skip

_TEXTS = ("regimen", "histology", "ancestry", "site_id", "tmb_panel", "irae_organ")


def check_categories(part: Part) -> Iterator[dict[str, Any]]:
    """Findings on the categories of one cohort."""
    for column in part.frame.columns:
        spec = VOCABULARY.get(str(column))
        if spec is None or spec.kind not in ("category", "text") or spec.role == "key":
            continue
        known = part.frame[column].dropna().astype("str")
        levels = sorted(known.unique())
        if spec.categories:
            strange = [v for v in levels if v not in spec.categories]
            if strange:
                words = f"{label(spec.name)} has values outside of its categories: {_listed(strange)}."
                yield part.found("IC-CAT-001", words, spec.name, n=int(known.isin(strange).sum()))
            continue
        if spec.name in _TEXTS and (len(levels) > MAX_LEVELS or (len(levels) >= 10 and len(levels) > len(known) / 3)):
            words = (
                f"{label(spec.name)} has {len(levels)} different values for {len(known)} patients, e.g. "
                f"{_listed(levels)}."
            )
            yield part.found("IC-CAT-001", words, spec.name, n=len(known))
        plain = (
            pd.Series(levels, dtype="str")
            .str.normalize("NFKD")
            .str.replace(r"[\W_]|[̀-ͯ]", "", regex=True)
            .str.casefold()
        )
        twice = plain.duplicated(keep=False) & (plain != "")
        if spec.name != "site_id" and twice.any():
            same = [levels[i] for i in plain[twice].sort_values(kind="stable").index]
            words = f"{label(spec.name)} has spellings of the same value: {_listed([repr(v) for v in same])}."
            yield part.found("IC-CAT-002", words, spec.name, n=int(known.isin(same).sum()))


def _listed(values: list[str]) -> str:
    return ", ".join(values[:6]) + (f" and {len(values) - 6} more" if len(values) > 6 else "")
