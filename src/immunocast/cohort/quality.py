"""Checks with codes: what is suspicious in a cohort table, said before any model sees it.

A finding of severity `error` stops the run unless the configuration waives it with a reason.

==============  ========  ==================================================================
code            severity  finding
==============  ========  ==================================================================
IC-LEAK-001     error     one column nearly tells the outcome by itself
IC-LEAK-002     error     whether a column is missing nearly tells the outcome
IC-VIEW-001     error     the as-published view serves reproduction, not training
IC-CONST-001    warning   a measured column has one value for nearly everybody (imputed constant)
IC-UNIT-001     error     a percentage looks like a fraction
IC-SURV-001     warning   progression-free survival is longer than overall survival
IC-EVENTS-001   warning   a cohort has too few events for estimates of its own
IC-LINK-001     warning   patients of different cohorts are the same person
IC-MISS-001     info      a column that models use is missing for a whole cohort
IC-FILE-001     warning   the file is not the one that the configuration was written for
IC-FILE-002     warning   a column of the file is not in the vocabulary and was not read
IC-FILE-003     info      an optional column of the mapping is absent from the file
IC-FILE-004     warning   a correction of the mapping concerns nobody
IC-FILE-005     info      rows of the file that the mapping leaves out
IC-NOTE-001     info      a correction or caveat that the cohort configuration states
IC-PERF-001     error     a model on real patients is too good to be true
IC-PERF-002     warning   a model on real patients is better than the field has seen
==============  ========  ==================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from immunocast.cohort.table import Provenance
from immunocast.cohort.vocabulary import VOCABULARY, label
from immunocast.errors import CheckError, ConfigError

#: A single baseline marker above this AUROC within a cohort is taken for a leak. Pooled published AUROCs of
#: PD-L1, TMB and GEP lie at .60 to .70; a leak under a real feature's name reaches .95 and more.
LEAK_AUROC = 0.90
MIN_CLASS = 10

CHECK_COLUMNS = ("code", "severity", "cohort_id", "column", "n", "rows", "message", "waived_because")


def finding(
    code: str,
    severity: str,
    message: str,
    *,
    cohort_id: str | None = None,
    column: str | None = None,
    n: int = 0,
    rows: Iterable[str] = (),
) -> dict[str, Any]:
    """One row of the checks table; at most 20 patient ids are kept."""
    return {
        "code": code,
        "severity": severity,
        "cohort_id": cohort_id,
        "column": column,
        "n": int(n),
        "rows": ";".join(list(rows)[:20]),
        "message": message,
        "waived_because": None,
    }


def check_cohort(
    cohort: pd.DataFrame,
    y: pd.Series,
    provenance: Provenance,
    features: Sequence[str],
) -> list[dict[str, Any]]:
    """Run all checks of a cohort table.

    Parameters
    ----------
    cohort : cohort table.
    y : (n,) Int64 labels, <NA> where unclassifiable.
    provenance : of the cohort.
    features : columns that the configured models read.

    Returns
    -------
    Findings as rows of the checks table.
    """
    found = []
    if provenance.view == "as_published":
        found.append(
            finding(
                "IC-VIEW-001",
                "error",
                "The view as_published keeps imputed constants and wrong units as they were printed. It serves "
                "the reproduction of published numbers; train on cohort.view=analysis.",
                n=len(cohort),
            )
        )
    present = [f for f in features if f in cohort]
    for cohort_id, part in cohort.groupby("cohort_id", sort=True):
        found += _check_one(str(cohort_id), part, y[part.index], present)
        found += _check_leaks(str(cohort_id), part, y[part.index], present)
        for column in (f for f in features if f not in part or part[f].isna().all()):
            found.append(
                finding(
                    "IC-MISS-001",
                    "info",
                    f"{label(column)} is missing for the whole cohort.",
                    cohort_id=str(cohort_id),
                    column=column,
                    n=len(part),
                )
            )
    if cohort["cohort_id"].nunique() > 1 and not any(f["code"].startswith("IC-LEAK") for f in found):
        # many small cohorts: none is large enough for an alarm of its own
        found += _check_leaks(None, cohort, y, present)
    return found


def _check_one(cohort_id: str, part: pd.DataFrame, y: pd.Series, features: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    known = y.notna().to_numpy()
    outcome = y[known].to_numpy(dtype=int)
    events, others = int(outcome.sum()), int((1 - outcome).sum())
    if min(events, others) < MIN_CLASS:
        found.append(
            finding(
                "IC-EVENTS-001",
                "warning",
                f"{events} patients with the event and {others} without: under {MIN_CLASS} of a kind, "
                "this cohort gets no estimates of its own.",
                cohort_id=cohort_id,
                n=int(known.sum()),
            )
        )
    fractions = given_as_fraction(part)
    for column in features:
        values = part[column]
        kind = VOCABULARY[column].kind
        measured = values.notna()
        if column in fractions:
            found.append(
                finding(
                    "IC-UNIT-001",
                    "error",
                    f"All values of {label(column)} lie between 0 and 1. If they are fractions, declare it in the "
                    f"mapping, `{column}: {{source: ..., unit: fraction}}`.",
                    cohort_id=cohort_id,
                    column=column,
                    n=int(measured.sum()),
                )
            )
        if kind == "number" and measured.sum() >= 20:
            top, share = _most_common(values[measured])
            if share >= 0.95:
                found.append(
                    finding(
                        "IC-CONST-001",
                        "warning",
                        f"{label(column)} is {top:g} for {share:.0%} of the measured patients: "
                        "an imputed constant that poses as data?",
                        cohort_id=cohort_id,
                        column=column,
                        n=int(measured.sum()),
                    )
                )
    if {"pfs_months", "os_months"} <= set(part):
        longer = part["pfs_months"] > part["os_months"] + 0.05
        if longer.any():
            found.append(
                finding(
                    "IC-SURV-001",
                    "warning",
                    f"Progression-free survival is longer than overall survival for {int(longer.sum())} patients.",
                    cohort_id=cohort_id,
                    column="pfs_months",
                    n=int(longer.sum()),
                    rows=part.loc[longer, "patient_id"],
                )
            )
    return found


def _check_leaks(
    cohort_id: str | None, part: pd.DataFrame, y: pd.Series, features: Sequence[str]
) -> list[dict[str, Any]]:
    """Columns that tell the outcome by value or by absence, within one cohort or (None) over all."""
    found = []
    known = y.notna().to_numpy()
    outcome = y[known].to_numpy(dtype=int)
    for column in features:
        values = part[column]
        measured = values.notna()
        kind = VOCABULARY[column].kind
        separation = _separation(values[known], outcome, kind)
        if separation >= LEAK_AUROC:
            found.append(
                finding(
                    "IC-LEAK-001",
                    "error",
                    f"{label(column)} alone separates patients with the event from those without with AUROC "
                    f"{separation:.2f}. "
                    "No baseline marker does that: the column probably carries the outcome or a later measurement.",
                    cohort_id=cohort_id,
                    column=column,
                    n=int(measured[known].sum()),
                )
            )
        missing = _separation(values[known].isna().astype(float), outcome, "number")
        if missing >= LEAK_AUROC:
            found.append(
                finding(
                    "IC-LEAK-002",
                    "error",
                    f"Whether {label(column)} is missing tells the outcome with AUROC {missing:.2f}: "
                    "it was probably measured because of the outcome.",
                    cohort_id=cohort_id,
                    column=column,
                    n=int(known.sum()),
                )
            )
    return found


def given_as_fraction(patients: pd.DataFrame) -> list[str]:
    """PD-L1 percentages that look like fractions: ten values or more, none above 1, some strictly between."""
    found = []
    for column in ("pdl1_tps", "pdl1_cps"):
        known = patients[column].dropna() if column in patients else pd.Series(dtype="float64")
        if len(known) >= 10 and known.max() <= 1 and ((known > 0) & (known < 1)).any():
            found.append(column)
    return found


def _most_common(values: pd.Series) -> tuple[float, float]:
    counts = values.value_counts()
    return float(counts.index[0]), float(counts.iloc[0] / counts.sum())


def _separation(values: pd.Series, outcome: np.ndarray, kind: str) -> float:
    """AUROC of one column for the outcome, folded above .5; 0 where there are too few patients.

    Categories are scored by their own response rate, which flatters them a little: good enough for an alarm.
    """
    measured = values.notna().to_numpy()
    y = outcome[measured]
    events, others = int(y.sum()), int(len(y) - y.sum())
    if min(events, others) < MIN_CLASS:
        return 0.0
    kept = values[measured]
    if kind in ("category", "text"):
        kept = kept.map(pd.Series(y, index=kept.index).groupby(kept).mean())
    ranks = rankdata(kept.to_numpy(dtype=float))
    auroc = (ranks[y == 1].sum() - events * (events + 1) / 2) / (events * others)
    return float(max(auroc, 1 - auroc))


def check_links(links: pd.DataFrame) -> list[dict[str, Any]]:
    """Findings on persons who appear in two cohorts, a row a pair of cohorts."""
    if links.empty:
        return []
    return [
        finding(
            "IC-LINK-001",
            "warning",
            f"{len(part)} patients of {a} are patients of {b} under other ids (same sex, tumour type, age, TMB and "
            "copy-number fraction). They are one person each: never on both sides of a split.",
            cohort_id=str(a),
            n=len(part),
            rows=part["patient_id"],
        )
        for (a, b), part in links.groupby(["cohort_id", "linked_cohort_id"], sort=True)
    ]


def check_performance(metrics: pd.DataFrame, provenance_synthetic: bool) -> list[dict[str, Any]]:
    """Findings on metrics of real cohorts that are too good: external AUROC above .80 has not been seen yet."""
    if provenance_synthetic:
        return []
    rows = metrics[(metrics["metric"] == "auroc") & (metrics["subgroup"] == "all")].dropna(subset=["estimate"])
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


def apply_waivers(found: Sequence[Mapping[str, Any]], waive: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """Mark findings as waived.

    Parameters
    ----------
    found : findings.
    waive : code, or "code:column", or "code:cohort", -> the reason, which is required; None waives nothing.

    Raises
    ------
    ConfigError
        For an unknown code or an empty reason.
    """
    waive = waive or {}
    known = set(re.findall(r"^(IC-[A-Z]+-[0-9]{3})", __doc__, flags=re.M))
    strange = [key for key in waive if key.split(":", 1)[0] not in known]
    if strange:
        raise ConfigError(f"checks.waive.{strange[0]}: there is no such check. Codes: {', '.join(sorted(known))}.")
    empty = [code for code, reason in waive.items() if not str(reason or "").strip()]
    if empty:
        raise ConfigError(f"checks.waive.{empty[0]} needs a reason: a waiver without one is not a waiver.")
    out = []
    for row in found:
        keys = (row["code"], f"{row['code']}:{row['column']}", f"{row['code']}:{row['cohort_id']}")
        reason = next((str(waive[k]) for k in keys if k in waive), None)
        out.append({**row, "waived_because": reason})
    return out


def to_checks_table(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Findings as a frame with the columns of the checks table, also when there are none."""
    return pd.DataFrame([dict(row) for row in found], columns=list(CHECK_COLUMNS)).astype(
        {"n": "int64", **{c: "str" for c in CHECK_COLUMNS if c != "n"}}
    )


def raise_on_errors(checks: pd.DataFrame) -> None:
    """Stop where a finding of severity `error` is not waived.

    Raises
    ------
    CheckError
        With every such finding and how to waive it.
    """
    errors = checks[(checks["severity"] == "error") & checks["waived_because"].isna()]
    if errors.empty:
        return
    lines = [
        f"  - {r['code']} {'' if pd.isna(r['cohort_id']) else r['cohort_id'] + ': '}{r['message']}"
        for r in errors.to_dict("records")
    ]
    code = errors["code"].iloc[0]
    raise CheckError(
        "Stopped by quality checks:\n"
        + "\n".join(lines)
        + f"\nMend the data, or go on with a stated reason: +checks.waive.{code}='why this is no leak'"
    )
