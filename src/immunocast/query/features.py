"""Which features drive the predictions, for whom, and how surely: the importance of one run or of several."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from immunocast.errors import NotFoundError
from immunocast.query.select import manifest_of, select
from immunocast.query.views import RUN_ID
from immunocast.store.runfolder import RunFolder

KINDS = ("block", "cluster")


def importance(
    model: str | None = None,
    by: str | None = None,
    group: str | None = None,
    since: str | date | None = None,
    runs: str | Sequence[str] | None = None,
    *,
    cohort: str | Sequence[str] | None = None,
    runs_dir: str | Path | None = None,
) -> pd.DataFrame:
    """Importance of features: mean |SHAP| with its interval, rank with its interval, direction.

    Parameters
    ----------
    model : model; None for the one that speaks for each run (the first explained one where that has no explanation).
    by : variable of subgroups, e.g. tumor_type or cohort_id; None for all patients.
    group : "block" or "cluster" for groups of features instead of features; a block (pdl1, dna, rna, blood, clinical)
        for its features only.
    since, cohort : which runs (`query.select.select`).
    runs : ids, their beginnings, or "latest". The latest where neither this nor `since` nor `cohort` is given.
    runs_dir : folder of the runs.

    Returns
    -------
    Frame with `run_id` and the columns of the table `importance`, ordered by run, level and rank. Values of models on
    different `output_scale` cannot be compared.

    Raises
    ------
    NotFoundError
        For a run, model, subgroup or group that is not there, with those that are.
    """
    if runs is None and since is None and cohort is None:
        runs = "latest"
    chosen = select(runs_dir, runs, since, cohort)
    found = pd.concat([_of_run(run, model, by, group) for run in chosen], ignore_index=True)
    return found


def _of_run(run: RunFolder, model: str | None, by: str | None, group: str | None) -> pd.DataFrame:
    table = run.table("importance")
    name = run.path.name
    if "kind" not in table:  # before groups were explained
        table = table.assign(kind="feature")
    models = sorted(table["model"].unique())
    headline = manifest_of(run).get("headline_model")
    chosen = model or (headline if headline in models else (models or [""])[0])
    if chosen not in models:
        known = f"Explained models: {', '.join(models)}." if models else "This run explains no model."
        raise NotFoundError(f"Run {name} has no importance of a model {chosen!r}. {known}")
    table = table[table["model"] == chosen]
    groups = [g for g in table["subgroup"].unique() if g != "all"]
    if by is not None and by not in groups:
        raise NotFoundError(
            f"Run {name} has no importance by {by!r}. It has: {', '.join(groups) or 'none'}. "
            "Run again with explain.by=[...] for other subgroups."
        )
    table = _grouped(table[table["subgroup"] == (by or "all")], group, name)
    table = table.sort_values(["level", "rank", "feature"], kind="stable")
    return pd.concat([pd.Series(name, table.index, name=RUN_ID), table], axis=1)


def _grouped(table: pd.DataFrame, group: str | None, run: str) -> pd.DataFrame:
    if group in KINDS:
        found = table[table["kind"] == group]
        there = [k for k in KINDS if (table["kind"] == k).any()]
    else:
        features = table[table["kind"] == "feature"]
        found = features if group is None else features[features["group"] == group]
        there = [*KINDS, *sorted(features["group"].unique())]
    if found.empty and group is not None:
        raise NotFoundError(f"Run {run} has no importance of group {group!r}. There is: {', '.join(there) or 'none'}.")
    return found
