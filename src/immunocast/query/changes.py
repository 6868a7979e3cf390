"""What changed between two runs in what drives the predictions, and what else differs between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunocast.query.features import KINDS, importance
from immunocast.query.select import cohorts_of, manifest_of, runs_folder
from immunocast.store.runfolder import RunFolder, find_run

_KEYS = ["level", "kind", "feature"]
_VALUES = ["n", "n_measured", "mean_abs_shap", "ci_low", "ci_high", "rank", "rank_low", "rank_high", "sign"]
#: columns of `compare`
COLUMNS = (
    *("level", "feature", "group", "rank_a", "rank_b", "rank_change", "rank_low_a", "rank_high_a", "rank_low_b"),
    *("rank_high_b", "ranks_overlap", "share_a", "share_b", "share_change", "mean_abs_shap_a", "mean_abs_shap_b"),
    *("difference", "ci_low_a", "ci_high_a", "ci_low_b", "ci_high_b", "sign_a", "sign_b", "direction_changed"),
    *("n_a", "n_b", "n_measured_a", "n_measured_b", "note"),
)


def compare(
    run_a: str,
    run_b: str,
    model: str | None = None,
    *,
    model_b: str | None = None,
    by: str | None = None,
    group: str | None = None,
    runs_dir: str | Path | None = None,
) -> pd.DataFrame:
    """Importance of two runs side by side.

    Parameters
    ----------
    run_a, run_b : ids, their beginnings, or "latest".
    model : model of both; None for the one that speaks for each.
    model_b : model of the second run where it is another one.
    by, group : as of `importance`.
    runs_dir : folder of the runs.

    Returns
    -------
    Frame, a row a feature (and level) of either run, ordered by level and `rank_a`:

    - `rank_change` = rank_b - rank_a; `ranks_overlap`: the 95 % intervals of the two ranks meet.
    - `share_a`, `share_b`: mean |SHAP| over the sum of all features (or groups) of the level, 0-1, which can be
      compared across scales; `share_change` = share_b - share_a.
    - `difference` = mean_abs_shap_b - mean_abs_shap_a; null where the scales differ.
    - `direction_changed`: the signs differ; null where one is not known.
    - `note`: "only in A", "only in B".

    `attrs["notes"]` holds sentences on what else differs between the runs: cohorts, models, scales, settings.
    Intervals are over patients, with the models fixed: that two meet is no proof that nothing changed.

    Raises
    ------
    NotFoundError
        For what is not there, with what is.
    """
    folder = runs_folder(runs_dir)
    runs = [find_run(folder, run) for run in (run_a, run_b)]
    a, b = (
        _with_share(run.path.name, m, by, group, folder) for run, m in zip(runs, (model, model_b or model), strict=True)
    )
    joined = _suffixed(a, "a").merge(_suffixed(b, "b"), "outer", _KEYS, validate="one_to_one")
    joined["group"] = joined["group_a"].where(joined["group_a"].notna(), joined["group_b"])
    joined["rank_change"] = joined["rank_b"] - joined["rank_a"]
    meet = (joined["rank_low_a"] <= joined["rank_high_b"]) & (joined["rank_low_b"] <= joined["rank_high_a"])
    known = joined[["rank_low_a", "rank_high_a", "rank_low_b", "rank_high_b"]].notna().all(axis=1)
    joined["ranks_overlap"] = meet.astype("boolean").where(known)
    joined["share_change"] = joined["share_b"] - joined["share_a"]
    same_scale = set(a["output_scale"]) == set(b["output_scale"])
    difference = joined["mean_abs_shap_b"] - joined["mean_abs_shap_a"]
    joined["difference"] = difference if same_scale else np.nan
    signs = joined["sign_a"].notna() & joined["sign_b"].notna()
    differ = np.sign(joined["sign_a"]) != np.sign(joined["sign_b"])
    joined["direction_changed"] = differ.astype("boolean").where(signs)
    in_a, in_b = joined["rank_a"].notna(), joined["rank_b"].notna()
    joined["note"] = np.select([~in_b, ~in_a], ["only in A", "only in B"], "")
    whole = [c for c in joined if str(c).startswith(("rank_a", "rank_b", "rank_c", "rank_l", "rank_h", "n_"))]
    joined = joined.astype(dict.fromkeys(whole, "Int64"))
    joined = joined.sort_values(["level", "rank_a", "rank_b", "feature"], kind="stable", ignore_index=True)
    found = joined[list(COLUMNS)]
    found.attrs = {"runs": [run.path.name for run in runs], "notes": _notes(runs, a, b)}
    found.attrs["models"] = [str(frame["model"].iloc[0]) for frame in (a, b)]
    return found


def _with_share(run: str, model: str | None, by: str | None, group: str | None, folder: Path) -> pd.DataFrame:
    """Importance with the share of each row of all of its kind, also of those that `group` leaves out."""
    frame = importance(model, by, group, runs=run, runs_dir=folder)
    whole = importance(model, by, group if group in KINDS else None, runs=run, runs_dir=folder)
    total = frame["level"].map(whole.groupby("level")["mean_abs_shap"].sum())
    return frame.assign(share=(frame["mean_abs_shap"] / total).where(total > 0))


def _suffixed(frame: pd.DataFrame, suffix: str) -> pd.DataFrame:
    columns = [*_VALUES, "share", "group"]
    return frame[[*_KEYS, *columns]].rename(columns={c: f"{c}_{suffix}" for c in columns})


def _notes(runs: list[RunFolder], a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """What differs between two runs beside the importance, a sentence each."""
    first, second = (manifest_of(run) for run in runs)
    notes = []
    models = [str(frame["model"].iloc[0]) for frame in (a, b)]
    scales = [str(frame["output_scale"].iloc[0]) for frame in (a, b)]
    cohorts = [_cohorts(run) for run in runs]
    if cohorts[0] != cohorts[1]:
        notes.append(f"Cohorts differ: {cohorts[0]} in A, {cohorts[1]} in B.")
    if models[0] != models[1]:
        notes.append(f"Models differ: {models[0]} in A, {models[1]} in B.")
    if scales[0] != scales[1]:
        notes.append(f"Scales differ: {scales[0]} in A, {scales[1]} in B; compare ranks and shares, not sizes.")
    digests = [m.get("digests", {}).get("tables/cohort.parquet") for m in (first, second)]
    if cohorts[0] == cohorts[1] and digests[0] != digests[1]:
        notes.append("The cohorts have the same names, but other patients or values.")
    if (x := _synthetic(first)) != (y := _synthetic(second)):
        notes.append(f"{x} patients in A, {y} ones in B.")
    named = {"endpoint": "Endpoints", "endpoint_settings": "Settings of the endpoint", "scheme": "Validation schemes"}
    named["immunocast_version"] = "Versions of immunocast"
    for key, words in named.items():
        if first.get(key) != second.get(key):
            notes.append(f"{words} differ: {_said(first.get(key))} in A, {_said(second.get(key))} in B.")
    if models[0] == models[1] and (changed := _parameters(first, second, models[0])):
        notes.append(f"Parameters of {models[0]} differ: {changed}.")
    return notes


def _cohorts(run: RunFolder) -> str:
    members = [c["cohort_id"] for c in manifest_of(run).get("flow", {}).get("cohorts", [])]
    return "+".join(members or cohorts_of(run)) or "unknown"


def _synthetic(about: dict[str, Any]) -> str:
    return "Synthetic" if about.get("provenance", {}).get("synthetic") else "Real"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in sorted(value.items()))
    return "unknown" if value is None else str(value)


def _parameters(first: dict[str, Any], second: dict[str, Any], model: str) -> str:
    a, b = (about.get("models", {}).get(model, {}).get("params", {}) for about in (first, second))
    changed = [k for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]
    shown = [f"{k} {_said(a.get(k))} -> {_said(b.get(k))}" for k in changed[:5]]
    return ", ".join(shown) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
