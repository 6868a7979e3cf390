"""A matrix file to scores: which form each score takes, what is refused, and what is told of it.

Checks: IC-EXPR-001 how the matrix was read, and by what evidence; IC-EXPR-002 genes and form of a score;
IC-EXPR-003 a score is refused; IC-EXPR-004 names that were merged or passed over; IC-EXPR-005 samples in which
too few genes are measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.checks import finding
from immunocast.cohort.expression.cells import read_cells
from immunocast.cohort.expression.genes import GeneSet, gene_sets
from immunocast.cohort.expression.matrix import ExpressionMatrix, to_matrix
from immunocast.cohort.expression.scale import TRANSCRIPTOME, Scale, find_scale, undo
from immunocast.cohort.expression.scores import MIN_OTHER_GENES, score_sample
from immunocast.cohort.expression.settings import ExpressionSettings, Log
from immunocast.errors import DataError, Problem

_FORM_NAMES = {
    "weighted": "weighted score over housekeeping genes",
    "rank": "within-sample rank score",
    "mean_log2_tpm": "mean of log2(TPM+1)",
    "geometric_mean": "geometric mean of TPM",
}


@dataclass(frozen=True)
class ExpressionScores:
    """Scores of the samples of a file.

    Attributes
    ----------
    frame : (n samples, scores that could be had) float64, index the samples' names.
    forms : score -> form, with the background of a rank: "rank_panel" or "rank_transcriptome".
    checks : rows of the checks table, without a cohort.
    """

    frame: pd.DataFrame
    forms: dict[str, str]
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def forms_text(self) -> str:
        """The forms in one line, for the column `expression_forms`."""
        return "; ".join(f"{score}={form}" for score, form in self.forms.items())


def score_file(path: Path, settings: ExpressionSettings) -> ExpressionScores:
    """Read a matrix and score its samples.

    Parameters
    ----------
    path : the matrix: CSV, TSV, TXT (also .gz), Parquet or XLSX.
    settings : from `parse_expression`; its `file` is not looked at.

    Raises
    ------
    DataError
        Where the file cannot be read, or a wanted score hangs on a unit or logarithm that cannot be told.
    """
    matrix = to_matrix(read_cells(path, settings.sheet), settings.orientation, settings.aliases)
    return score_matrix(matrix, settings)


def score_matrix(matrix: ExpressionMatrix, settings: ExpressionSettings) -> ExpressionScores:
    """Score the samples of a matrix; as `score_file`."""
    scale = find_scale(matrix, settings.unit, settings.log)
    wanted = settings.scores or dict.fromkeys(gene_sets())
    sets = {score: gene_sets()[score] for score in wanted}
    least = {score: settings.min_genes.get(score, sets[score].min_genes) for score in wanted}
    checks = [_read_as(matrix, scale)]
    checks += [finding("IC-EXPR-004", "info", f"{matrix.file}: {told}", n=len(matrix.samples)) for told in matrix.told]
    forms: dict[str, str] = {}
    for score, form in wanted.items():
        chosen, why_not = _choose(matrix, scale, sets[score], form, least[score])
        if chosen is None:
            lacking = [g for g in sets[score].genes if g not in matrix.index]
            message = f"{score} is missing: no {'; no '.join(why_not)}"
            message += f" (not there: {', '.join(lacking)})" if lacking else ""
            checks.append(finding("IC-EXPR-003", "warning", message, column=score, n=len(matrix.samples)))
        else:
            forms[score] = chosen
            checks.append(_told(matrix, sets[score], chosen, why_not))
    frame = _scores(matrix, scale, forms, sets, least)
    for score in forms:
        lost = frame[score].isna()
        if lost.any():
            message = (
                f"{score} is missing in {int(lost.sum())} of {len(lost)} samples, in which too few genes are measured"
            )
            rows = frame.index[lost].tolist()
            checks.append(finding("IC-EXPR-005", "info", message, column=score, n=int(lost.sum()), rows=rows))
    background = "rank_transcriptome" if len(matrix.names) >= TRANSCRIPTOME else "rank_panel"
    return ExpressionScores(frame, {s: background if f == "rank" else f for s, f in forms.items()}, checks)


def _read_as(matrix: ExpressionMatrix, scale: Scale) -> dict[str, Any]:
    evidence = f" ({'; '.join(scale.evidence)})" if scale.evidence else ""
    panel = "" if len(matrix.names) >= TRANSCRIPTOME else ", a panel"
    message = (
        f"{matrix.file}: {len(matrix.samples)} samples and {len(matrix.names)} genes{panel}, "
        f"{matrix.orientation.replace('_', ' ')}, read as {scale.describe()}{evidence}"
    )
    return finding("IC-EXPR-001", "info", message, n=len(matrix.samples))


def _choose(
    matrix: ExpressionMatrix, scale: Scale, genes: GeneSet, form: str | None, least: int
) -> tuple[str | None, list[str]]:
    """The first form that the genes and the unit allow, and why those before it do not.

    It hangs on the file's header and unit, never on values: a sample alone gets the form that it gets among others.
    """
    why_not: list[str] = []
    there = [g for g in genes.genes if g in matrix.index]
    for option in (form,) if form else genes.forms:
        needed = len(genes.genes) if option == "weighted" else least
        reference = [g for g in genes.housekeeping if g in matrix.index]
        few = []
        if len(there) < needed:
            few.append(f"{len(there)} of {len(genes.genes)} genes, {needed} are needed")
        if option == "weighted" and len(reference) < genes.min_housekeeping:
            n_all, n_least = len(genes.housekeeping), genes.min_housekeeping
            few.append(f"{len(reference)} of {n_all} housekeeping genes, {n_least} are needed")
        if few:
            why = "; ".join(few)
        elif option == "rank" and len(matrix.names) - len(there) < MIN_OTHER_GENES:
            why = f"ranks need {MIN_OTHER_GENES} genes beside the set's"
        elif option != "rank" and (why_no_tpm := _no_tpm(matrix, scale, genes.score, option)):
            why = why_no_tpm
        else:
            return option, why_not
        why_not.append(f"{_FORM_NAMES[option]}: {why}")
    return None, why_not


def _no_tpm(matrix: ExpressionMatrix, scale: Scale, score: str, form: str) -> str | None:
    """Why a file yields no TPM; None where it does.

    Raises
    ------
    DataError
        Where that cannot be told: a guess would make a number of another meaning.
    """
    if scale.unit in ("CPM", "counts"):
        return f"{scale.unit} yield no TPM without the lengths of genes"
    if scale.unit == "FPKM" and len(matrix.names) < TRANSCRIPTOME:
        return "FPKM of a panel yield no TPM, which needs the sum over all genes"
    asked = []
    if scale.unit is None:
        asked.append("`unit` (TPM, FPKM, CPM or counts)")
    if not isinstance(scale.log, Log) and scale.log is not False:
        asked.append("`log` (none, log2(x+1), log2(x+0.001) ...)")
    if asked:
        rank = f", or ask for ranks only (`scores: {{{score}: rank}}`)" if "rank" in gene_sets()[score].forms else ""
        leave = f", or leave {score} out of `scores`" if not rank else ""
        raise DataError(
            Problem(
                f"{score} ({_FORM_NAMES[form]}) needs TPM, and the values do not tell what they are: "
                f"{scale.describe()}",
                f"State {' and '.join(asked)} in the cohort's `expression:` block{rank}{leave}",
                file=matrix.file,
            )
        )
    return None


def _told(matrix: ExpressionMatrix, genes: GeneSet, form: str, why_not: list[str]) -> dict[str, Any]:
    there = [g for g in genes.genes if g in matrix.index]
    message = f"{genes.score}: {len(there)} of {len(genes.genes)} genes, {_FORM_NAMES[form]}"
    if form == "rank":
        kind = "of the whole transcriptome" if len(matrix.names) >= TRANSCRIPTOME else "of this panel only"
        message += f" among the {len(matrix.names)} genes {kind}"
    if len(there) < len(genes.genes):
        message += f"; not there: {', '.join(g for g in genes.genes if g not in matrix.index)}"
    if why_not:
        message += f". No {'; no '.join(why_not)}"
    return finding("IC-EXPR-002", "info", message, column=genes.score, n=len(matrix.samples))


def _scores(
    matrix: ExpressionMatrix,
    scale: Scale,
    forms: dict[str, str],
    sets: dict[str, GeneSet],
    least: dict[str, int],
) -> pd.DataFrame:
    needs_tpm = any(form != "rank" for form in forms.values())
    rows = []
    for values in matrix.values:
        tpm = _tpm(values, scale) if needs_tpm else None
        rows.append(score_sample(values, tpm, matrix.index, forms, sets, least))
    return pd.DataFrame(rows, index=pd.Index(matrix.samples, dtype="str"), columns=list(forms), dtype="float64")


def _tpm(values: np.ndarray, scale: Scale) -> np.ndarray | None:
    """One sample in TPM; None for FPKM of a sample in which too few genes are measured to sum over."""
    assert isinstance(scale.log, Log) or scale.log is False  # `_no_tpm` has asked
    out = undo(values, scale.log)
    if scale.unit == "FPKM":
        # Li & Dewey 2011: TPM is FPKM divided by its sum
        if np.isfinite(out).sum() < TRANSCRIPTOME or not np.nansum(out) > 0:
            return None
        out = out * (1e6 / np.nansum(out))
    return out
