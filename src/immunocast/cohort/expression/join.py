"""Scores of a matrix file to the patients of a cohort, and whether cohorts carry the same forms of a score.

Checks: IC-EXPR-006 patients without a sample and samples without a patient; IC-EXPR-007 one score in two forms
over cohorts (warning); IC-EXPR-008 inside one cohort (error).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.checks import finding
from immunocast.cohort.expression.genes import gene_sets
from immunocast.cohort.expression.score_file import ExpressionScores, score_file
from immunocast.cohort.expression.settings import ExpressionSettings
from immunocast.cohort.hints import closest, did_you_mean
from immunocast.cohort.values import cell_text
from immunocast.errors import ConfigError, DataError, Problem

#: Design column that says in which form each score of a patient is.
FORMS = "expression_forms"


def add_scores(
    cohort: pd.DataFrame, source: pd.DataFrame, settings: ExpressionSettings, path: Path
) -> tuple[pd.DataFrame, list[dict[str, Any]], str]:
    """Score a matrix and give the scores to the patients.

    Parameters
    ----------
    cohort : frame in the vocabulary, with `cohort_id`.
    source : the file's own columns, the same rows in the same order.
    settings : from `parse_expression`; `sample_id` is looked for in `source`, then in `cohort`.
    path : the matrix.

    Returns
    -------
    The cohort with a column a score and `expression_forms`, missing for patients without a sample; checks; and a
    note for the provenance.

    Raises
    ------
    DataError
        Where the matrix cannot be read or scored, the column of sample names is not there, no name fits, or two
        patients have the same sample.
    ConfigError
        Where a column of the mapping gives a score that the matrix gives, too.
    """
    _check_path(path)
    ids = _sample_ids(cohort, source, settings)
    scores = score_file(path, settings)
    both = [s for s in scores.frame if s in cohort]
    if both:
        raise ConfigError(
            f"{both[0]} is mapped as a column and computed from {path.name}, too. "
            "Remove the column, or leave it out of `expression.scores`."
        )
    position = scores.frame.index.get_indexer(pd.Index(ids))
    there = position >= 0
    _check_join(ids, there, scores, settings, path)
    columns: dict[str, Any] = {
        str(s): np.where(there, scores.frame[s].to_numpy()[position], np.nan) for s in scores.frame
    }
    columns[FORMS] = pd.Series(scores.forms_text, index=cohort.index, dtype="str").where(there)
    joined = cohort.assign(**columns)
    cohorts = cohort["cohort_id"].unique()
    only = str(cohorts[0]) if len(cohorts) == 1 else None
    checks = [{**c, "cohort_id": only} for c in scores.checks]
    checks += _joined(joined, there, len(scores.frame) - int(there.sum()), path.name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return joined, checks, f"expression scores are from {path.name} (SHA-256 {digest})"


def _check_path(path: Path) -> None:
    if path.is_file():
        return
    near = closest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else []
    mend = f"There are: {', '.join(near)}" if near else "Check `expression.file`"
    raise DataError(Problem("there is no such file of expression", mend, file=str(path)))


def _sample_ids(cohort: pd.DataFrame, source: pd.DataFrame, settings: ExpressionSettings) -> np.ndarray:
    """(n,) names of samples, "" where there is none."""
    name = settings.sample_id
    if name in source:
        cells = source[name]
    elif name in cohort:
        cells = cohort[name]
    else:
        known = [str(c) for c in (*source, *cohort)]
        hint = did_you_mean(name, known) or f"Columns there: {', '.join(known[:12])}"
        raise DataError(Problem("there is no such column (wanted by `expression.sample_id`)", hint, column=name))
    return np.array(["" if pd.isna(c) else cell_text(c) for c in cells], dtype=object)


def _check_join(
    ids: np.ndarray, there: np.ndarray, scores: ExpressionScores, settings: ExpressionSettings, path: Path
) -> None:
    if len(ids) and not there.any():
        ours = ", ".join([i for i in ids if i][:3]) or "nothing"
        theirs = ", ".join(scores.frame.index[:3])
        raise DataError(
            Problem(
                f"no sample of the matrix is in the column {settings.sample_id!r} of the cohort "
                f"(there: {ours}; in the matrix: {theirs})",
                "Name the column that holds the samples' names in `expression.sample_id`",
                file=path.name,
            )
        )
    matched = pd.Series(ids[there])
    twice = matched[matched.duplicated()]
    if len(twice):
        raise DataError(
            Problem(
                f"{twice.nunique()} samples belong to more than one patient",
                "Give each sample to one patient",
                file=path.name,
                column=settings.sample_id,
                value=twice.iloc[0],
            )
        )


def _joined(cohort: pd.DataFrame, there: np.ndarray, left: int, file: str) -> list[dict[str, Any]]:
    out = []
    for cohort_id, rows in cohort.groupby("cohort_id", sort=True).indices.items():
        n = int((~there[rows]).sum())
        if n:
            message = f"{n} of {len(rows)} patients have no sample in {file}: their expression scores are missing"
            out.append(finding("IC-EXPR-006", "info", message, cohort_id=str(cohort_id), n=n))
    if left:
        out.append(finding("IC-EXPR-006", "info", f"{left} samples of {file} belong to no patient", n=left))
    return out


def forms_of(cohort: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """Score -> form -> ids of the cohorts that hold it, of a cohort table; empty where none was computed."""
    found: dict[str, dict[str, list[str]]] = {}
    if FORMS not in cohort:
        return found
    there = cohort[["cohort_id", FORMS]].dropna().drop_duplicates().sort_values("cohort_id")
    for cohort_id, text in there.itertuples(index=False):
        for score, form in parse_forms(text).items():
            cohorts = found.setdefault(score, {}).setdefault(form, [])
            if cohort_id not in cohorts:
                cohorts.append(str(cohort_id))
    return found


def parse_forms(text: str) -> Mapping[str, str]:
    """Inverse of `ExpressionScores.forms_text`.

    >>> parse_forms("gep_score=rank_panel; cyt_score=geometric_mean")["gep_score"]
    'rank_panel'
    """
    pairs = (part.split("=", 1) for part in text.split("; ") if "=" in part)
    return {score: form for score, form in pairs if score in gene_sets()}


def check_forms(cohort: pd.DataFrame) -> list[dict[str, Any]]:
    """Findings where a score is there in two forms: values that cannot be compared stand in one column."""
    out = []
    for score, forms in forms_of(cohort).items():
        if len(forms) < 2:
            continue
        listed = "; ".join(f"{form} in {', '.join(ids)}" for form, ids in forms.items())
        mend = (
            "These are different scales. Ask for one form in every cohort (`expression.scores`), or take the "
            "feature out of the models"
        )
        ids = [i for cohorts in forms.values() for i in cohorts]
        inside = sorted({i for i in ids if ids.count(i) > 1})
        out.append(
            finding(
                "IC-EXPR-008" if inside else "IC-EXPR-007",
                "error" if inside else "warning",
                f"{score} is there in {len(forms)} forms: {listed}. {mend}.",
                cohort_id=inside[0] if inside else None,
                column=score,
                n=int(cohort[score].notna().sum()) if score in cohort else 0,
            )
        )
    return out
