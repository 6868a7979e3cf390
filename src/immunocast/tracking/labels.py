"""Names and labels by which published runs are known and searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.record_types import Dataset, Tag

SYNTHETIC_BANNER = "**SYNTHETIC DATA: no patient exists. Nothing here says anything about real patients.**"
#: Said where a run folder does not tell, as those of older versions.
UNKNOWN = "unknown"
#: Letters of a digest in labels: what the page of a dataset shows too, so that it can be pasted into a search.
_SHORT = 12


def is_synthetic(run: RunFolder) -> bool:
    """Whether the run's patients were generated."""
    return bool(run.manifest().get("provenance", {}).get("synthetic"))


def display_name(run: RunFolder, name: str) -> str:
    """A run's or model's name as trackers show it: "synthetic" comes first where no patient is real."""
    return f"synthetic {name}" if is_synthetic(run) and not name.startswith("synthetic") else name


def with_banner(run: RunFolder, text: str) -> str:
    """A text that says in its first lines that the data are synthetic, where they are."""
    said = "synthetic" in text[:300].lower()
    return f"{SYNTHETIC_BANNER}\n\n{text}" if is_synthetic(run) and not said else text


def data_digest(run: RunFolder) -> str:
    """The first letters of the cohort's digest; "" where the run does not tell."""
    return str(run.manifest().get("provenance", {}).get("digest") or "")[:_SHORT]


def common_tags(run: RunFolder) -> Iterator[Tag]:
    """Labels that the run and each of its models carry, so that a search finds either."""
    manifest = run.manifest()
    code = manifest.get("code") or {}
    yield Tag("synthetic", "true" if is_synthetic(run) else "false")
    yield Tag("cohort", str(manifest.get("provenance", {}).get("name") or UNKNOWN))
    yield Tag("endpoint", str(manifest.get("endpoint") or UNKNOWN))
    yield Tag("validation", str(manifest.get("scheme") or UNKNOWN))
    yield Tag("data_digest", data_digest(run) or UNKNOWN)
    yield Tag("git_commit", str(code.get("git_commit") or UNKNOWN))
    dirty = code.get("dirty")
    yield Tag("dirty", UNKNOWN if dirty is None else str(bool(dirty)).lower())
    yield Tag("immunocast.run_id", run.run_id)


def reference_difference(run: RunFolder, model: str | None) -> dict[str, Any] | None:
    """The row of `comparisons` with a model's AUROC over all cohorts against the run's reference; None without one."""
    if not run.has_table("comparisons"):
        return None
    rows = run.table("comparisons")
    wanted = (rows["metric"] == "auroc") & (rows["model"] == model) & (rows["cohort_id"] == "combined")
    wanted &= (rows["reference_model"] == run.manifest().get("reference_model")) & (rows["subgroup"] == "all")
    found = rows[wanted].to_dict("records")
    return {str(key): value for key, value in found[0].items()} if found else None


def against_reference(run: RunFolder) -> str | None:
    """How the headline model's AUROC compares with the reference's: "better", "worse" or "not distinguishable".

    None where they were not compared. Not distinguishable means that the interval of the difference covers 0,
    which does not show them equal.
    """
    row = reference_difference(run, run.manifest().get("headline_model"))
    if row is None or pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return None
    if row["ci_low"] > 0:
        return "better"
    return "worse" if row["ci_high"] < 0 else "not distinguishable"


def dataset(run: RunFolder) -> Iterator[Dataset]:
    """The cohort table as an input of the run; nothing where the folder has none."""
    if not run.has_table("cohort"):
        return
    cohort = run.table("cohort")
    manifest = run.manifest()
    provenance = manifest.get("provenance", {})
    kinds = {name: VOCABULARY[name].kind if name in VOCABULARY else "binary" for name in cohort}
    flow = (manifest.get("flow") or {}).get("cohorts") or []
    yield Dataset(
        name=display_name(run, str(provenance.get("name", "cohort"))),
        digest=data_digest(run),
        source=str(provenance.get("source", "")),
        context="train and validation",
        columns={str(name): kind for name, kind in kinds.items()},
        n_rows=len(cohort),
        n_by_cohort=_counts(cohort["cohort_id"]),
        events_by_cohort={str(part["cohort_id"]): int(part["events"]) for part in flow if part.get("events")},
    )


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(k): int(v) for k, v in values.value_counts().sort_index().items()}
