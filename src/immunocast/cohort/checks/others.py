"""Checks of size, views and results; and the register's entries of what readers, linkage and configurations tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from immunocast.cohort.checks.findings import Part, finding
from immunocast.cohort.checks.registry import CHECKS, Check, register
from immunocast.cohort.checks.stats import MIN_CLASS
from immunocast.errors import Problem

#: A model whose AUROC more than this share of permuted runs reach shows no signal.
MAX_PERMUTED = 0.05

register(
    [
        Check(
            "IC-VIEW-001", "error", "the as-published view serves reproduction, not training",
            "The cohort was read with imputed constants and other published corrections undone.",
            "Models would learn imputed values.",
            "Train on `cohort.view=analysis`.",
            "`view: as_published`.",
        ),
        Check(
            "IC-EVENTS-001", "warning", "a cohort has too few events for estimates of its own",
            "Under 10 patients with or without the endpoint.",
            "No estimate of this cohort alone would mean anything; it still counts in combined ones.",
            "Nothing; or pool it with a cohort of the same kind.",
            "Fewer than 10 events or 10 non-events of the endpoint.",
        ),
        Check(
            "IC-LINK-001", "warning", "patients of different cohorts are the same person",
            "The same human being appears in two cohorts under two ids.",
            "Without the link a patient would stand on both sides of a split.",
            "Nothing: linked patients share a `person_id`, and every splitter groups by it.",
            "See the linkage (`conf/config.yaml`, section linkage).",
        ),
        Check(
            "IC-FILE-001", "warning", "the file is not the one that the configuration was written for",
            "The digest differs from the one in the configuration.",
            "Corrections and codings may not fit it.",
            "Look at what changed, then update `sha256`.",
            "SHA-256 of the file.",
        ),
        Check(
            "IC-FILE-002", "warning", "a column of the file is not in the vocabulary and was not read",
            "A header is close to none of the vocabulary's names.",
            "A misspelt marker would be missing without a word.",
            "Rename or map it.",
            "Files that are read by the vocabulary's names.",
        ),
        Check(
            "IC-FILE-003", "info", "an optional column of the mapping is absent from the file",
            "The mapping allows for it.",
            "The column is missing for these patients.",
            "Nothing, if it was not collected.",
            "`optional: true` and no such header.",
        ),
        Check(
            "IC-FILE-004", "warning", "a correction of the mapping concerns nobody",
            "The values that it would correct are not there.",
            "The file is not the one that the correction was written for.",
            "Remove the correction, or look at the file.",
            "A correction that matched no value.",
        ),
        Check(
            "IC-FILE-005", "info", "rows that the mapping leaves out",
            "A row filter of the mapping left rows out.",
            "They are counted in the participant flow, and nowhere else.",
            "Nothing, if the filter is meant.",
            "`rows:` of the mapping.",
        ),
        Check(
            "IC-FILE-006", "info", "cells read by a built-in spelling",
            "Cells were read by a built-in table of spellings (RECIST, sex, yes and no).",
            "A spelling may mean something else in this source.",
            "Nothing, if the reading is right; else give a coding.",
            "Cells that are no value of the vocabulary and stand in `cohort/spellings.py`.",
        ),
        Check(
            "IC-FILE-007", "info", "values that were derived",
            "A rule of the mapping computed values from other columns.",
            "A derived value is as good as its parts.",
            "Nothing, if the rule is meant.",
            "`derive:` of the mapping.",
        ),
        Check(
            "IC-FILE-008", "info", "marks cut off and values beyond an assay's range",
            "Cells carried marks such as < or *, or said out of range.",
            "Their values are bounds, not measurements.",
            "Nothing, if the mapping's reading is meant.",
            "Marks that the mapping declares.",
        ),
        Check(
            "IC-FILE-009", "error", "cells that could not be read",
            "The reader refuses the file: text among numbers, unknown categories, values outside of the allowed "
            "range, double ids.",
            "A run would stop here.",
            "Mend the cells, or declare codes and units in the mapping.",
            "Every problem of the reader. `immunocast check` goes on without these cells to show all other findings, "
            "too.",
        ),
        Check(
            "IC-FILE-010", "info", "the mapping was inferred",
            "The file carries no names of the vocabulary; its columns were placed by the rules of `immunocast map`.",
            "A column may be something else than was inferred.",
            "Write the mapping down and correct it: `immunocast map FILE`.",
            "`immunocast check FILE` without `--mapping`.",
        ),
        Check(
            "IC-EXPR-001", "info", "how an expression matrix was read",
            "Samples, genes, orientation, unit and logarithm of the matrix, and the evidence for them.",
            "A score of values in another unit is another score.",
            "Where it is wrong, state `orientation`, `unit` or `log` in the `expression:` block (docs/expression.md).",
            "Each matrix, once.",
        ),
        Check(
            "IC-EXPR-002", "info", "genes and form of an expression score",
            "How many of the score's genes are there, in which form it was computed, and why not in the form before.",
            "Forms are different scales; a rank in a small panel sees only what rises more than the panel.",
            "Ask for a form with `expression.scores`.",
            "Each score that is computed, once a matrix.",
        ),
        Check(
            "IC-EXPR-003", "warning", "an expression score is refused",
            "Too few of the score's genes are in the matrix, or its unit does not yield the score.",
            "The score is missing for the whole cohort.",
            "Give a matrix of all genes in TPM, or lower `expression.min_genes` if fewer genes are meant.",
            "The thresholds of cohort/expression/gene_sets.yaml.",
        ),
        Check(
            "IC-EXPR-004", "info", "names of a matrix that were merged, translated or passed over",
            "Aliases, genes that are there twice, names that a spreadsheet made days of, columns of annotation.",
            "A gene under another name would be missed, or another gene taken for it.",
            "Look at the names; add yours with `expression.aliases`.",
            "Names outside of HGNC's current symbols among the genes of the scores; genes more than once.",
        ),
        Check(
            "IC-EXPR-005", "info", "samples without an expression score",
            "In some samples too few of a score's genes are measured.",
            "Their score is missing.",
            "Look at empty cells of the matrix.",
            "The thresholds of cohort/expression/gene_sets.yaml, sample by sample.",
        ),
        Check(
            "IC-EXPR-006", "info", "patients without a sample, or samples without a patient",
            "The cohort and the matrix do not hold the same people.",
            "Patients without a sample have no expression scores.",
            "If there should be more, check `expression.sample_id`.",
            "Names that are in one of the two only. If none is in both, the cohort does not load.",
        ),
        Check(
            "IC-EXPR-007", "warning", "an expression score is in two forms over the cohorts",
            "Weighted scores, means, and ranks in a panel or a transcriptome stand in one column.",
            "These are different scales: a model learns the cohort from them.",
            "Ask for one form in every cohort with `expression.scores`, or take the feature out of the models.",
            "More than one form of a score in the column `expression_forms`, each in cohorts of its own.",
        ),
        Check(
            "IC-EXPR-008", "error", "an expression score is in two forms inside one cohort",
            "As IC-EXPR-007, inside one cohort.",
            "Patients of one cohort cannot be compared.",
            "Score all of them from one matrix, or give the two groups cohort ids of their own.",
            "More than one form of a score in the column `expression_forms` of a cohort.",
        ),
        Check(
            "IC-LINK-002", "info", "patients of different cohorts may be the same person",
            "Two patients agree more than chance explains, but not surely.",
            "If they are one person and stay apart, a patient stands on both sides of a split.",
            "Look at the pairs; give both one `person_id` if they are one person.",
            "Posterior between `linkage.review` and `linkage.posterior`.",
        ),
        Check(
            "IC-LINK-003", "warning", "patients of different cohorts agree in all but a decisive field",
            "They would be linked, were it not for a conflict such as sex.",
            "The field may be coded the other way round in one of the files.",
            "Look at the coding in both files.",
            "A conflict in one of `linkage.decisive` with a score above the threshold.",
        ),
        Check(
            "IC-LINK-004", "warning", "links contradict each other and were left out",
            "A link would make two patients of one cohort one person.",
            "A patient may be twice in a file, or the fields tell too little.",
            "Look at the pairs.",
            "Links that are taken by a better partner, or contradict others.",
        ),
        Check(
            "IC-OUT-001", "error", "outcome columns contradict each other",
            "Best overall response and the source's own flag of the same outcome disagree, or the endpoint lacks a "
            "column.",
            "No label can be made.",
            "Map one of the two, or mend the coding of the flag.",
            "The rules of the endpoint.",
        ),
        Check(
            "IC-NOTE-001", "info", "a correction or caveat that the cohort configuration states",
            "What the configuration's author found in the source.",
            "For the record.",
            "Nothing.",
            "`notes` and `corrections` of the configuration.",
        ),
        Check(
            "IC-PERF-001", "error", "a model on real patients is too good to be true",
            "An external AUROC that nobody has reached on such cohorts.",
            "That is a leak until shown otherwise.",
            "Look for columns that carry the outcome, and for patients on both sides.",
            "AUROC of .80 or more with a lower limit of .90 or more, real cohorts only.",
        ),
        Check(
            "IC-PERF-002", "warning", "a model on real patients is better than the field has seen",
            "An external AUROC above .80.",
            "As for IC-PERF-001.",
            "As for IC-PERF-001.",
            "AUROC of .80 or more, real cohorts only.",
        ),
        Check(
            "IC-PERF-003", "error", "the procedure finds signal where there is none",
            "Fitted to permuted labels, a model still ranks patients whom it has not seen better than chance.",
            "Labels of test patients reach the fit: every performance number of the run is too good.",
            "Look for whatever is fitted outside of the folds: scaling, selection or tuning on all patients, the same "
            "person on both sides, a feature made from outcomes.",
            "Mean AUROC over permutations above .5, one-sided t-test with p under .0001 (docs/controls.md).",
        ),
        Check(
            "IC-PERF-004", "warning", "a model ranks patients no better than after permuting their labels",
            "The AUROC of the run lies within what permuted labels give.",
            "The run shows no signal beyond chance; feature importances and risk groups of this model mean nothing.",
            "Do not interpret the model; look at the size of the cohorts and at the other models.",
            "More than 5 % of the permuted runs (with few runs: more than one) reach the AUROC of the run.",
        ),
    ]
)  # fmt: skip


def check_events(part: Part) -> Iterator[dict[str, Any]]:
    """Whether a cohort has enough patients with and without the endpoint."""
    outcome = part.y.dropna()
    events, others = int(outcome.sum()), int((1 - outcome).sum())
    if min(events, others) < MIN_CLASS:
        words = (
            "The endpoint is known for nobody."
            if not len(outcome)
            else (
                f"{events} patients with the event and {others} without: under {MIN_CLASS} of a kind, "
                "this cohort gets no estimates of its own."
            )
        )
        yield part.found("IC-EVENTS-001", words, n=len(outcome))


def check_problems(problems: Sequence[Problem], code: str) -> list[dict[str, Any]]:
    """Findings for the problems of a reader (IC-FILE-009) or of an endpoint (IC-OUT-001)."""
    found = []
    for p in problems:
        at = f" (row{'s' * (len(p.rows) > 1)} {', '.join(map(str, p.rows[:8]))}{' ...' * (len(p.rows) > 8)})"
        value = f", e.g. {p.value!r}" if p.value is not None else ""
        where = f"{p.sheet}: " if p.sheet else ""
        words = f"{where}{p.message}{value}{at if p.rows else ''}. {p.mend}".rstrip(". ") + "."
        found.append(finding(code, CHECKS[code].severity, words, column=p.column, n=len(p.rows)))
    return found


def check_performance(metrics: pd.DataFrame, provenance_synthetic: bool) -> list[dict[str, Any]]:
    """Findings on metrics of real cohorts that are too good: external AUROC above .80 has not been seen yet."""
    if provenance_synthetic:
        return []
    # recalibrated predictions rank as the model's own do: told once
    own = (metrics["metric"] == "auroc") & (metrics["subgroup"] == "all") & (metrics["recalibration"] == "none")
    rows = metrics[own].dropna(subset=["estimate"])
    found = []
    for row in rows.to_dict("records"):
        if row["estimate"] < 0.80 or row["cohort_id"] == "pooled":
            continue
        serious = row["ci_low"] >= 0.90
        found.append(
            finding(
                "IC-PERF-001" if serious else "IC-PERF-002",
                "error" if serious else "warning",
                f"{row['model']} reaches AUROC {row['estimate']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f}). "
                + ("That is a leak until shown otherwise." if serious else "Above .80 look for a leak first."),
                cohort_id=row["cohort_id"],
                n=row["n"],
            )
        )
    return found


def check_controls(controls: pd.DataFrame) -> list[dict[str, Any]]:
    """Findings on the control with permuted labels."""
    found = []
    rows = controls[controls["control"] == "permuted_labels"].dropna(subset=["estimate"])
    for row in rows.to_dict("records"):
        name, n, times = row["model"], row["n"], row["n_repeats"]
        if row["verdict"] == "suspicious":
            words = (
                f"{name} reaches a mean AUROC of {row['estimate']:.3f} over {times} permutations of the labels, where "
                ".5 is all that an honest procedure can find: labels of test patients reach the fit."
            )
            found.append(finding("IC-PERF-003", "error", words, n=n))
        elif row["p"] > max(MAX_PERMUTED, 1.5 / (times + 1)):  # where no draw is as good, p is 1 / (times + 1)
            words = (
                f"The AUROC of {name}, {row['observed']:.2f}, is reached by {100 * row['p']:.0f} % of {times} runs on "
                "permuted labels: the run shows no signal beyond chance."
            )
            found.append(finding("IC-PERF-004", "warning", words, n=n))
    return found
