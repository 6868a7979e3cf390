"""The runs of a folder, a row each: when, on whom, and how well the model that speaks for the run did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from immunocast.query.select import cohorts_of, manifest_of, run_time, select
from immunocast.query.views import RUN_ID, open_table
from immunocast.store.runfolder import RunFolder

if TYPE_CHECKING:
    import pyarrow as pa

#: columns of the view, with what they mean; estimates have names of their own, so that views can be joined
COLUMNS = {
    RUN_ID: "id of the run",
    "created": "when it began, UTC",
    "cohort": "name of the dataset",
    "cohorts": "cohorts in it, joined by +",
    "synthetic": "whether the patients are synthetic",
    "endpoint": "endpoint",
    "scheme": "validation scheme",
    "n_patients": "patients analysed",
    "events": "patients with the endpoint's event among them",
    "headline_model": "model that speaks for the run, chosen beforehand",
    "auroc_recalibration": "recalibration of the AUROC's model",
    "auroc": "its AUROC over all cohorts; null where too small",
    "auroc_low": "lower end of the 95 % interval",
    "auroc_high": "upper end",
    "reference_model": "what models are compared with",
    "version": "version of immunocast",
    "cohort_digest": "SHA-256 of the cohort's table, 12 digits: equal for equal patients and values",
}


def runs(
    runs_dir: str | Path | None = None,
    *,
    since: str | date | None = None,
    cohort: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """List the finished runs, newest last.

    Parameters
    ----------
    runs_dir, since, cohort : which runs (`query.select.select`).

    Returns
    -------
    Frame with `COLUMNS`, a row a run.

    Raises
    ------
    NotFoundError
        Where there is no such run.
    """
    return overview(select(runs_dir, None, since, cohort)).to_pandas()


def overview(runs: Sequence[RunFolder]) -> pa.Table:
    """The view `runs` of given runs."""
    import pyarrow as pa

    rows = pd.DataFrame([_about(run) for run in runs])
    having = [run for run in runs if run.has_table("metrics")]
    found = _headline(having) if having else pd.DataFrame(columns=[RUN_ID, "model", "scheme"])
    keys = {"headline_model": "model", "scheme": "scheme"}
    joined = rows.merge(found.rename(columns={v: k for k, v in keys.items()}), "left", [RUN_ID, *keys])
    joined = joined.reindex(columns=list(COLUMNS))
    kinds = {"synthetic": pa.bool_(), "n_patients": pa.int64(), "events": pa.int64(), "created": pa.timestamp("s")}
    kinds |= dict.fromkeys(("auroc", "auroc_low", "auroc_high"), pa.float64())
    return pa.table(
        {c: pa.array(joined[c].astype(object), kinds.get(c, pa.string()), from_pandas=True) for c in COLUMNS}
    )


def _about(run: RunFolder) -> dict[str, Any]:
    about = manifest_of(run)
    flow, provenance = about.get("flow", {}), about.get("provenance", {})
    began = run_time(run)
    return {
        RUN_ID: run.path.name,
        "created": began.replace(tzinfo=None) if began else None,
        "cohort": provenance.get("name"),
        "cohorts": "+".join(c["cohort_id"] for c in flow.get("cohorts", [])) or "+".join(cohorts_of(run)),
        "synthetic": provenance.get("synthetic"),
        "endpoint": about.get("endpoint"),
        "scheme": about.get("scheme"),
        "n_patients": flow.get("analysed"),
        "events": flow.get("events"),
        "headline_model": about.get("headline_model"),
        "reference_model": about.get("reference_model"),
        "version": about.get("immunocast_version"),
        "cohort_digest": str(about.get("digests", {}).get("tables/cohort.parquet", ""))[:12] or None,
    }


def _headline(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """AUROC of every model over all cohorts: the combined estimate, of the model's own output where there is one."""
    import pyarrow.dataset as ds

    columns = [RUN_ID, "model", "scheme", "recalibration", "cohort_id", "estimate", "ci_low", "ci_high"]
    asked = (ds.field("metric") == "auroc") & (ds.field("subgroup") == "all")
    asked &= ds.field("cohort_id").isin(["combined", "pooled"])
    found = open_table("metrics", runs).to_table(columns=columns, filter=asked).to_pandas()
    found["second"] = found["recalibration"] != "none"
    found = found.sort_values([RUN_ID, "model", "scheme", "cohort_id", "second", "recalibration"], kind="stable")
    found = found.drop_duplicates([RUN_ID, "model", "scheme"])
    names = {"estimate": "auroc", "recalibration": "auroc_recalibration"}
    names |= {"ci_low": "auroc_low", "ci_high": "auroc_high"}
    return found.drop(columns=["cohort_id", "second"]).rename(columns=names)
