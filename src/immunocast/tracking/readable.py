"""Readable twins of a run's tables: few and narrow columns, since a tracker's table viewer shows four or five.

None has a row a patient, and patient ids of real cohorts stay in the Parquet tables.
"""

from __future__ import annotations

import pandas as pd

from immunocast.store.runfolder import RunFolder


def readable_tables(run: RunFolder) -> dict[str, pd.DataFrame]:
    """Tables to read, by name: metrics, subgroups, comparisons, importance and checks, where they exist.

    Estimates stand with their interval in one cell; the Parquet tables hold the numbers.
    """
    synthetic = bool(run.manifest().get("provenance", {}).get("synthetic"))
    found: dict[str, pd.DataFrame] = {}
    if run.has_table("metrics"):
        metrics = run.table("metrics")
        everybody = metrics["subgroup"] == "all"
        found["metrics"] = _metrics(metrics[everybody]).drop(columns="subgroup")
        if not everybody.all():
            found["subgroups"] = _metrics(metrics[~everybody])
    if run.has_table("comparisons"):
        found["comparisons"] = _comparisons(run.table("comparisons"))
    if run.has_table("importance"):
        found["importance"] = _importance(run.table("importance"))
    if run.has_table("checks"):
        columns = ["severity", "code", "message", "cohort_id", "column", "n", "waived_because"]
        found["checks"] = run.table("checks")[columns + (["rows"] if synthetic else [])]
    return found


def _metrics(frame: pd.DataFrame) -> pd.DataFrame:
    frame = _in_reading_order(frame)
    return pd.DataFrame(
        {
            "metric": _with_threshold(frame),
            "model": frame["model"].where(
                frame["recalibration"] == "none", frame["model"] + ", " + frame["recalibration"]
            ),
            "cohort": frame["cohort_id"],
            "estimate (95 % CI)": _interval(frame, "estimate"),
            "subgroup": frame["subgroup"] + ": " + frame["level"],
            "patients": frame["n"],
            "events": frame["n_events"],
            "abstained": frame["n_abstained"],
            "interval by": frame["ci_method"],
            "note": frame["note"],
        }
    )


def _comparisons(frame: pd.DataFrame) -> pd.DataFrame:
    frame = _in_reading_order(frame)
    return pd.DataFrame(
        {
            "metric": _with_threshold(frame),
            "comparison": frame["model"] + " minus " + frame["reference_model"],
            "cohort": frame["cohort_id"],
            "patients": (frame["subgroup"] + ": " + frame["level"]).where(frame["subgroup"] != "all", "all"),
            "difference (95 % CI)": _interval(frame, "difference", sign=True),
            "p": frame["p"].map(lambda p: "" if pd.isna(p) else f"{p:.2g}"),
            "p, corrected": frame["p_adjusted"].map(lambda p: "" if pd.isna(p) else f"{p:.2g}"),
            "corrected": frame["family"],
            "patients in common": frame["n_common"],
            "events": frame["n_events"],
            "patients lost": frame["n_lost"],
            "note": frame["note"],
        }
    )


def _importance(frame: pd.DataFrame) -> pd.DataFrame:
    if frame["repeat"].eq(-1).any():  # the mean over repeats
        frame = frame[frame["repeat"] == -1]
    ranks = frame["rank"].astype(str)
    known = frame["rank_low"].notna() & frame["rank_high"].notna()
    spread = " (" + frame["rank_low"].astype(str) + " to " + frame["rank_high"].astype(str) + ")"
    return pd.DataFrame(
        {
            "model": frame["model"],
            "feature": frame["feature"],
            "rank (95 % CI)": ranks.where(~known, ranks + spread),
            "mean absolute SHAP (95 % CI)": _interval(frame, "mean_abs_shap"),
            "patients": (frame["subgroup"] + ": " + frame["level"]).where(frame["subgroup"] != "all", "all"),
            "direction": frame["sign"].map(lambda s: "" if pd.isna(s) else f"{s:+.2f}"),
            "block": frame["group"],
            "n": frame["n"],
            "n measured": frame["n_measured"],
            "scale": frame["output_scale"],
        }
    )


def _in_reading_order(frame: pd.DataFrame) -> pd.DataFrame:
    """All cohorts together before each of them, AUROC before the others; else as in the table."""
    order = 2 * frame["cohort_id"].ne("combined") + frame["metric"].ne("auroc").astype(int)
    return frame.loc[order.sort_values(kind="stable").index]


def _with_threshold(frame: pd.DataFrame) -> pd.Series:
    at = frame["threshold_or_horizon"].map(lambda t: "" if pd.isna(t) else f" at {t:g}")
    return frame["metric"] + at


def _interval(frame: pd.DataFrame, value: str, *, sign: bool = False) -> pd.Series:
    """`0.712 (0.690 to 0.734)`; `not estimated` where there is no estimate (the note says why)."""
    style = "+.3f" if sign else ".3f"

    def text(row: tuple[float, float, float]) -> str:
        point, low, high = row
        if pd.isna(point):
            return "not estimated"
        if pd.isna(low) or pd.isna(high):
            return format(point, style)
        return f"{point:{style}} ({low:{style}} to {high:{style}})"

    rows = zip(frame[value], frame["ci_low"], frame["ci_high"], strict=True)
    return pd.Series([text(row) for row in rows], index=frame.index, dtype="str")
