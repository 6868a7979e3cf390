"""Estimates and differences as metrics of a tracker: what is logged of them, under which names, in which order.

A tracker's page and charts show every metric that they are given, so a run gets what a reviewer compares; the
tables hold every estimate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from immunocast.store.runfolder import RunFolder
from immunocast.tracking.record_types import Metric


def metric_key(
    metric: str,
    *,
    recalibration: str = "none",
    cohort_id: str = "combined",
    subgroup: str = "all",
    level: str = "all",
    threshold: float | None = None,
    suffix: str = "",
) -> str:
    """Name of an estimate.

    The headline (all patients, no recalibration) has the bare name, so that it sorts first; cohorts and
    subgroups come after a `/`, so that trackers group them.

    >>> metric_key("auroc"), metric_key("auroc", suffix="_ci_low")
    ('auroc', 'auroc_ci_low')
    >>> metric_key("auroc", cohort_id="MSK1")
    'auroc/MSK1'
    >>> metric_key("net_benefit", threshold=0.3, recalibration="platt")
    'net_benefit_at_0.3_platt'
    >>> metric_key("auroc", subgroup="tumor_type", level="Head & Neck")
    'auroc_by_tumor_type/Head _ Neck'
    """
    name = metric
    if threshold is not None and not math.isnan(threshold):
        name += f"_at_{threshold:g}"
    if recalibration != "none":
        name += f"_{recalibration}"
    parts = []
    if subgroup != "all":
        name += f"_by_{subgroup}"
        parts.append(level)
    if cohort_id != "combined":
        parts.append(cohort_id)
    return "/".join(clean(part) for part in (name, " in ".join(parts)) if part) + suffix


def clean(part: str) -> str:
    """A name from data as a part of a metric's name.

    >>> clean("PD-L1 >= 50 %"), clean("..")
    ('PD-L1 __ 50 _', '__')
    """
    name = re.sub(r"[^\w\-. :]", "_", part).strip() or "_"
    # trackers may use names as paths, in which dots alone are other folders
    return name if name.strip(".") else "_" * len(name)


def run_numbers(run: RunFolder, headline: str) -> list[Metric]:
    """Metrics of the run's page: the headline model for everybody, its AUROC by cohort, every model's AUROC,
    and the headline's difference from each published model and marker.
    """
    return sorted(
        [
            *_estimates(run, headline, parts=False),
            *_differences(run, headline, parts=False),
            *_auroc_of_models(run),
            *_findings(run),
        ],
        key=_place,
    )


def model_numbers(run: RunFolder, model: str) -> list[Metric]:
    """Metrics of a model's page: every estimate for everybody, those without threshold or horizon for each cohort too.

    AUROC by subgroup, and its difference from each other model, for everybody and each cohort.
    """
    return sorted([*_estimates(run, model, parts=True), *_differences(run, model, parts=True)], key=_place)


def _place(metric: Metric) -> int:
    """AUROC, then its differences, then other estimates and differences for everybody, then parts."""
    if "/" in metric.key:
        return 4
    if "_minus_" in metric.key:
        return 1 if metric.key.startswith("auroc_") else 3
    return 0 if metric.key in ("auroc", "auroc_ci_low", "auroc_ci_high") else 2


def _numbers(key: str, row: Any, value: str) -> Iterator[Metric]:
    """An estimate and its interval; what could not be estimated is not logged."""
    for column, ending in ((value, ""), ("ci_low", "_ci_low"), ("ci_high", "_ci_high")):
        number = getattr(row, column)
        if pd.notna(number) and math.isfinite(number):
            yield Metric(key + ending, float(number))


def own_scheme(run: RunFolder, name: str) -> pd.DataFrame:
    """A table of estimates, the run's own validation scheme only where it holds several."""
    rows = run.table(name)
    scheme = run.manifest().get("scheme")
    return rows[rows["scheme"] == scheme] if scheme in set(rows["scheme"]) else rows


def _estimates(run: RunFolder, model: str, *, parts: bool) -> Iterator[Metric]:
    if not run.has_table("metrics"):
        return
    rows = own_scheme(run, "metrics").query("model == @model")
    plain, everybody = rows["recalibration"].eq("none"), rows["subgroup"].eq("all")
    combined, auroc = rows["cohort_id"].eq("combined"), rows["metric"].eq("auroc")
    kept = plain & everybody & (combined | auroc & rows["cohort_id"].ne("pooled"))
    if parts:
        # at a threshold or horizon for everybody only: charts of each in each cohort would be hundreds
        by_cohort = plain & rows["threshold_or_horizon"].isna()
        kept = (everybody & (combined | by_cohort)) | (plain & combined & auroc)
    rows = rows[kept]
    # everybody before cohorts, cohorts before subgroups
    detail = (
        rows["cohort_id"].ne("combined").astype(int)
        + 2 * rows["subgroup"].ne("all")
        + 4 * rows["recalibration"].ne("none")
    )
    for row in rows.loc[detail.sort_values(kind="stable").index].itertuples():
        key = metric_key(
            str(row.metric),
            recalibration=str(row.recalibration),
            cohort_id=str(row.cohort_id),
            subgroup=str(row.subgroup),
            level=str(row.level),
            threshold=float(row.threshold_or_horizon),  # type: ignore[arg-type]
        )
        yield from _numbers(key, row, "estimate")
    main = rows.query("metric == 'auroc' and recalibration == 'none' and cohort_id == 'combined' and subgroup == 'all'")
    if len(main):
        for name in ("n", "n_events", "n_abstained"):
            yield Metric(name, float(main.iloc[0][name]))


def _differences(run: RunFolder, model: str, *, parts: bool) -> Iterator[Metric]:
    """Of AUROC from everyone compared with; of other metrics from the reference model only."""
    if not run.has_table("comparisons"):
        return
    manifest = run.manifest()
    rows = own_scheme(run, "comparisons").query("model == @model and subgroup == 'all'")
    reference, auroc = rows["reference_model"].eq(str(manifest.get("reference_model"))), rows["metric"].eq("auroc")
    combined = rows["cohort_id"].eq("combined")
    learned = [name for name, entry in manifest.get("models", {}).items() if entry["spec"].get("learned")]
    if parts:
        rows = rows[auroc | (combined & reference)]
    else:
        rows = rows[combined & (reference | (auroc & ~rows["reference_model"].isin(learned)))]
    # the reference model before the others
    order = rows["reference_model"].ne(str(manifest.get("reference_model"))).sort_values(kind="stable").index
    for row in rows.loc[order].itertuples():
        key = metric_key(
            f"{row.metric}_minus_{row.reference_model}",
            cohort_id=str(row.cohort_id),
            threshold=float(row.threshold_or_horizon),  # type: ignore[arg-type]
        )
        yield from _numbers(key, row, "difference")


def _auroc_of_models(run: RunFolder) -> Iterator[Metric]:
    """The AUROC of each model over all cohorts: what a comparison of runs needs without opening their models."""
    if not run.has_table("metrics"):
        return
    wanted = "metric == 'auroc' and recalibration == 'none' and cohort_id == 'combined' and subgroup == 'all'"
    for row in own_scheme(run, "metrics").query(wanted).itertuples():
        yield from _numbers(f"model_auroc/{clean(str(row.model))}", row, "estimate")


def _findings(run: RunFolder) -> Iterator[Metric]:
    """How many findings of the checks are errors and warnings, waived ones left out."""
    found = [run.table(name) for name in ("checks", "model_checks") if run.has_table(name)]
    if not found:
        return
    for severity in ("error", "warning"):
        n = sum(int((t["severity"].eq(severity) & t["waived_because"].isna()).sum()) for t in found)
        yield Metric(f"n_{severity}s", float(n))
