"""The inner search of a model, a run an outer fold: what a tracker can list, chart and compare fold by fold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from immunocast.store.markdown import md
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.labels import SYNTHETIC_BANNER, common_tags, is_synthetic
from immunocast.tracking.numbers import own_scheme
from immunocast.tracking.record_types import Description, Metric, Param, Record
from immunocast.tracking.sweep_labels import KIND, clean_key

#: Value of the tag `kind`, and the tags that tell the runs below a model apart.
FOLD, OUTER_FOLD, REPEAT = "fold", "outer_fold", "repeat"
#: The refit on all training patients, which no outer fold judges.
FINAL = "final"
_OUTER = ("auroc", "brier", "calibration_slope", "calibration_intercept")
#: The label that would let these runs pass for a model's or a pipeline's.
_NOT_THEIRS = "immunocast.run_id"


@dataclass(frozen=True)
class FoldSearch:
    """The search inside one outer fold.

    Attributes
    ----------
    name : what its run is called.
    tags : labels, of which `outer_fold` and `repeat` tell it from the others of the model.
    records : parameters that were chosen, inner and outer estimates, and what they are.
    """

    name: str
    tags: dict[str, str]
    records: list[Record]


def fold_searches(run: RunFolder, model: str) -> Iterator[FoldSearch]:
    """The searches of a model in the order of the folds, the refit last; none where nothing was searched."""
    if not run.has_table("tuning"):
        return
    rows = run.table("tuning").query("model == @model")
    several = rows["repeat"].nunique() > 1
    shared = {tag.key: tag.value for tag in common_tags(run) if tag.key != _NOT_THEIRS}
    outer = own_scheme(run, "metrics").query("model == @model") if run.has_table("metrics") else None
    keys = rows[["repeat", "fold"]].drop_duplicates()
    for repeat, fold in [*_pairs(keys[keys["fold"] != FINAL]), *_pairs(keys[keys["fold"] == FINAL])]:
        trials = rows[(rows["repeat"] == repeat) & (rows["fold"] == fold)]
        name = f"{model}, {_title(fold)}" + (f", repeat {repeat}" if several and fold != FINAL else "")
        tags = shared | {KIND: FOLD, OUTER_FOLD: fold, REPEAT: str(repeat)}
        estimates = _outer(outer, fold) if outer is not None and not several else []
        yield FoldSearch(name, tags, [*_inner(run, model, fold, trials), *estimates])


def _title(fold: str) -> str:
    """A fold in words: K-fold numbers them."""
    return f"fold {fold}" if fold.isdigit() else fold


def _pairs(keys: pd.DataFrame) -> list[tuple[int, str]]:
    return [(int(repeat), str(fold)) for repeat, fold in keys.itertuples(index=False)]


def _inner(run: RunFolder, model: str, fold: str, trials: pd.DataFrame) -> Iterator[Record]:
    criterion = str(trials["criterion"].iloc[0])
    worked = trials.dropna(subset="value")
    chosen = trials[trials["chosen"]]
    first = trials[trials["trial"] == 0]
    patients = "all training patients" if fold == FINAL else "the training patients of this outer fold"
    said = [
        f"Search for the parameters of **{md(model)}** among {patients}: {len(trials)} trials by {criterion} on inner "
        + (f"folds, {len(trials) - len(worked)} of them failed." if len(worked) < len(trials) else "folds."),
        "Nobody is left to judge this refit." if fold == FINAL else f"The patients of {md(_title(fold))} took no part.",
    ]
    if is_synthetic(run):
        said.insert(0, SYNTHETIC_BANNER)
    yield Description("  \n".join(said))
    yield Param(OUTER_FOLD, fold)
    yield Param("n_trials", str(len(trials)))
    for row in chosen.to_dict("records"):
        yield Param("chosen_trial", str(row["trial"]))
        yield from (Param(clean_key(name), _short(value)) for name, value in json.loads(row["params"]).items())
    for rows, name in ((chosen, f"inner_{criterion}"), (first, f"inner_{criterion}_as_configured")):
        yield from (Metric(name, float(value)) for value in rows["value"].dropna())
    for row in worked.to_dict("records"):
        yield Metric(f"Inner {criterion} by trial", float(row["value"]), int(row["trial"]))


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _outer(metrics: pd.DataFrame, fold: str) -> Iterator[Metric]:
    """Estimates among the patients of the outer fold, where the fold is a cohort."""
    rows = metrics[
        (metrics["cohort_id"] == fold)
        & (metrics["subgroup"] == "all")
        & (metrics["recalibration"] == "none")
        & metrics["metric"].isin(_OUTER)
        & metrics["estimate"].notna()
    ]
    for row in rows.to_dict("records"):
        yield Metric(f"outer_{row['metric']}", float(row["estimate"]))
    if len(rows):
        yield Metric("n", float(rows["n"].iloc[0]))
        yield Metric("n_events", float(rows["n_events"].iloc[0]))
