"""Readable twins of a run's tables: few and narrow columns, since a tracker's table viewer shows four or five.

None has a row a patient, and patient ids of real cohorts stay in the Parquet tables.
"""

from __future__ import annotations

import pandas as pd

from immunocast.store.runfolder import RunFolder


def readable_tables(run: RunFolder) -> dict[str, pd.DataFrame]:
    """Tables to read, by name, where they exist and hold anything.

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
    for name, shape in (
        ("heterogeneity", _heterogeneity),
        ("decisions", _decisions),
        ("risk_groups", _risk_groups),
        ("controls", _controls),
        ("importance", _importance),
        ("importance_stability", _importance_stability),
        ("importance_methods", _importance_methods),
        ("agreement", _agreement),
        ("interactions", _interactions),
        ("discordant", _discordant),
        ("truth_recovery", _truth_recovery),
    ):
        if run.has_table(name) and len(frame := run.table(name)):
            found[name] = shape(frame)
    if run.has_table("checks"):
        columns = ["severity", "code", "message", "cohort_id", "column", "n", "waived_because"]
        found["checks"] = run.table("checks")[columns + (["rows"] if synthetic else [])]
    return found


def _metrics(frame: pd.DataFrame) -> pd.DataFrame:
    frame = _in_reading_order(frame)
    return pd.DataFrame(
        {
            "metric": _with_threshold(frame),
            "model": _model(frame),
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
            "p": _p(frame["p"]),
            "p, corrected": _p(frame["p_adjusted"]),
            "patients in common": frame["n_common"],
            "events": frame["n_events"],
            "patients lost": frame["n_lost"],
            "corrected over": frame["family"],
            "note": frame["note"],
        }
    )


def _heterogeneity(frame: pd.DataFrame) -> pd.DataFrame:
    new = frame.assign(ci_low=frame["pi_low"], ci_high=frame["pi_high"])
    return pd.DataFrame(
        {
            "over": frame["grouping"],
            "metric": frame["metric"],
            "model": _model(frame),
            "average (95 % CI)": _interval(frame, "estimate"),
            "average (95 % prediction interval)": _interval(new, "estimate"),
            "levels": frame["n_levels"],
            "I2": frame["i2"].round(3),
            "p of no difference": _p(frame["p"]),
            "p, corrected": _p(frame["p_adjusted"]),
            "patients": frame["n"],
            "events": frame["n_events"],
            "note": frame["note"],
        }
    )


def _decisions(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rule": frame["rule"],
            "model": _model(frame),
            "measure": frame["metric"],
            "estimate (95 % CI)": _interval(frame, "estimate"),
            "threshold": frame["threshold"].round(3),
            "cohort": frame["cohort_id"],
            "positive": frame["n_positive"],
            "patients": frame["n"],
            "events": frame["n_events"],
            "note": frame["note"],
        }
    )


def _risk_groups(frame: pd.DataFrame) -> pd.DataFrame:
    ratio = frame.assign(ci_low=frame["hr_low"], ci_high=frame["hr_high"])
    return pd.DataFrame(
        {
            "outcome": frame["outcome"],
            "model": _model(frame),
            "probability": frame["group"],
            "median months (95 % CI)": _interval(frame, "median_months").replace("not estimated", "not reached"),
            "hazard ratio (95 % CI)": _interval(ratio, "hazard_ratio").replace("not estimated", "reference"),
            "log-rank p": _p(frame["logrank_p"]),
            "cohort": frame["cohort_id"],
            "patients": frame["n"],
            "events": frame["n_events"],
            "note": frame["note"],
        }
    )


def _controls(frame: pd.DataFrame) -> pd.DataFrame:
    draws = frame.assign(ci_low=frame["low"], ci_high=frame["high"])
    return pd.DataFrame(
        {
            "control": frame["control"],
            "model": frame["model"],
            "measure": frame["metric"],
            "found (95 % of draws)": _interval(draws, "estimate"),
            "in this run": frame["observed"].round(3),
            "verdict": frame["verdict"],
            "p": _p(frame["p"]),
            "draws": frame["n_repeats"],
            "cohort": frame["cohort_id"],
            "note": frame["note"],
        }
    )


def _model(frame: pd.DataFrame) -> pd.Series:
    return frame["model"].where(frame["recalibration"] == "none", frame["model"] + ", " + frame["recalibration"])


def _p(values: pd.Series) -> pd.Series:
    return values.map(lambda p: "" if pd.isna(p) else f"{p:.2g}")


def _importance(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame[frame["kind"] == "feature"]
    if frame["repeat"].eq(-1).any():  # the mean over repeats
        frame = frame[frame["repeat"] == -1]
    return pd.DataFrame(
        {
            "model": frame["model"],
            "feature": frame["feature"],
            "kind": frame["kind"],
            "rank (95 % CI)": _ranks(frame),
            "mean absolute SHAP (95 % CI)": _interval(frame, "mean_abs_shap"),
            "patients": (frame["subgroup"] + ": " + frame["level"]).where(frame["subgroup"] != "all", "all"),
            "direction": frame["sign"].map(lambda s: "" if pd.isna(s) else f"{s:+.2f}"),
            "block": frame["group"],
            "n": frame["n"],
            "n measured": frame["n_measured"],
            "scale": frame["output_scale"],
        }
    )


def _ranks(frame: pd.DataFrame) -> pd.Series:
    """Rank with its interval in one cell; "" where there is none."""
    low, high = frame["rank_low"].map(_whole), frame["rank_high"].map(_whole)
    return frame["rank"].map(_whole) + (" (" + low + " to " + high + ")").where((low != "") & (high != ""), "")


def _whole(value: float) -> str:
    return "" if pd.isna(value) else str(int(value))


def _importance_stability(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": frame["model"],
            "over": frame["source"],
            "draws": frame["n_draws"],
            "feature": frame["feature"],
            "rank (95 % of draws)": _ranks(frame),
            "verdict": frame["verdict"],
            "same direction": _rounded(frame["sign_consistency"], 2),
            "mean absolute SHAP": _rounded(frame["mean_abs_shap"], 3),
            "over draws": _interval(frame.rename(columns={"low": "ci_low", "high": "ci_high"}), "mean"),
            "scale": frame["output_scale"],
            "note": frame["note"],
        }
    )


def _importance_methods(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": frame["model"],
            "method": frame["method"],
            "feature": frame["feature"],
            "loss without it (95 % CI)": _interval(frame, "estimate", sign=True, decimals=4),
            "rank (95 % CI)": _ranks(frame),
            "SHAP rank": frame["shap_rank"],
            "disagrees": frame["disagrees"].map({True: "yes", False: ""}),
            "patients": frame["n"],
            "note": frame["note"],
        }
    )


def _agreement(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "between": frame["between"],
            "model": frame["model"],
            "pair": frame["a"] + " and " + frame["b"],
            "rank correlation (95 % CI)": _interval(frame, "rank_correlation"),
            "of the first five in common": frame["top_shared"].map(_whole),
            "same direction": _rounded(frame["same_direction"], 2),
            "features": frame["n_features"],
            "note": frame["note"],
        }
    )


def _interactions(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": frame["model"],
            "pair": frame["feature_a"] + " x " + frame["feature_b"],
            "mean absolute interaction (95 % CI)": _interval(frame, "mean_abs_interaction", decimals=4),
            "rank": frame["rank"],
            "share of everything": _rounded(frame["share"], 3),
            "patients": frame["n"],
            "scale": frame["output_scale"],
        }
    )


def _discordant(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": frame["model"],
            "patients": frame["stratum"],
            "n": frame["n"],
            "against": frame["reference"],
            "n against": frame["n_reference"],
            "feature": frame["feature"],
            "difference in mean SHAP (95 % CI)": _interval(frame, "difference", sign=True),
            "rank": frame["rank"].map(_whole),
            "median value": _rounded(frame["median_value"], 3),
            "median value against": _rounded(frame["median_value_reference"], 3),
            "scale": frame["output_scale"],
            "note": frame["note"],
        }
    )


def _truth_recovery(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": frame["model"],
            "metric": frame["metric"],
            "feature": frame["feature"],
            "estimate (95 % CI)": _interval(frame, "estimate"),
            "truth": _rounded(frame["truth"], 3),
            "patients": frame["n"],
            "training patients": frame["n_train"],
            "note": frame["note"],
        }
    )


def _rounded(values: pd.Series, decimals: int) -> pd.Series:
    return values.map(lambda v: "" if pd.isna(v) else f"{v:.{decimals}f}")


def _in_reading_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Own output before recalibrated, all cohorts together before each, AUROC before others; else as in the table."""
    order = 2 * frame["cohort_id"].ne("combined") + frame["metric"].ne("auroc").astype(int)
    if "recalibration" in frame:
        order += 4 * frame["recalibration"].ne("none")
    return frame.loc[order.sort_values(kind="stable").index]


def _with_threshold(frame: pd.DataFrame) -> pd.Series:
    at = frame["threshold_or_horizon"].map(lambda t: "" if pd.isna(t) else f" at {t:g}")
    return frame["metric"] + at


def _interval(frame: pd.DataFrame, value: str, *, sign: bool = False, decimals: int = 3) -> pd.Series:
    """`0.712 (0.690 to 0.734)`; `not estimated` where there is no estimate (the note says why)."""
    style = f"{'+' if sign else ''}.{decimals}f"

    def text(row: tuple[float, float, float]) -> str:
        point, low, high = row
        if pd.isna(point):
            return "not estimated"
        if pd.isna(low) or pd.isna(high):
            return format(point, style)
        return f"{point:{style}} ({low:{style}} to {high:{style}})"

    rows = zip(frame[value], frame["ci_low"], frame["ci_high"], strict=True)
    return pd.Series([text(row) for row in rows], index=frame.index, dtype="str")
