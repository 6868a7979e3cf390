"""Fabricated rows of the tables on recalibration, subgroups, decisions, survival and controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

Rows = list[dict[str, Any]]
_WHERE = {"scheme": "leave_one_cohort_out", "endpoint": "response"}
_ALL = {"cohort_id": "combined", "subgroup": "all", "level": "all", "threshold_or_horizon": np.nan}


def evaluation_tables(rng: np.random.Generator, cohort: pd.DataFrame) -> dict[str, Rows]:
    """Rows by table; "metrics" and "curves" are to be added to those that a run has anyway."""
    n, events = len(cohort), int(cohort["responder"].sum())
    return {
        "metrics": [*_calibration(n, events), *_subgroups(cohort), *_discordance(cohort), *_survival(n)],
        "curves": [*_smooth(n), *_kaplan_meier(rng, n), *_gain(n)],
        "heterogeneity": _heterogeneity(n, events),
        "decisions": _decisions(n, events),
        "thresholds": _thresholds(n, events),
        "tuning": _tuning(),
        "conformal": _conformal(cohort),
        "risk_groups": _risk_groups(n),
        "controls": _controls(n, events),
        "stability": _stability(rng, cohort),
    }


def _metric(
    metric: str, model: str, value: float, n: int, events: int, half: float = 0.05, **more: Any
) -> dict[str, Any]:
    return {
        "metric": metric, "model": model, "recalibration": "none", **_WHERE, **_ALL, "n": n, "n_events": events,
        "n_abstained": 0, "estimate": value, "ci_low": value - half, "ci_high": value + half,
        "ci_method": "bootstrap", "note": "", **more,
    }  # fmt: skip


def _calibration(n: int, events: int) -> Rows:
    rows = []
    for model in ("ridge", "loris_routed"):
        for recalibration, oe, ici in (("none", 0.7, 0.12), ("platt", 1.02, 0.02)):
            rows.append(_metric("oe_ratio", model, oe, n, events, recalibration=recalibration))
            rows.append(_metric("ici", model, ici, n, events, 0.01, recalibration=recalibration))
        rows.append(_metric("auroc", model, 0.7, n, events, recalibration="platt"))
    return rows


def _subgroups(cohort: pd.DataFrame) -> Rows:
    rows = []
    for column in ("sex", "tumor_type"):
        for level, part in cohort.groupby(column):
            where = {"subgroup": column, "level": level}
            n, events = len(part), int(part["responder"].sum())
            rows.append(_metric("auroc", "ridge", 0.68, n, events, 0.1, **where))
            shrunken = {"ci_method": "empirical_bayes"} | where
            rows.append(_metric("auroc_shrunken", "ridge", 0.70, n, events, 0.05, **shrunken))
            rows.append(_metric("oe_ratio", "ridge", 0.9, n, events, 0.2, **where))
            rows.append(_metric("auroc", "loris_routed", 0.66, n, events, 0.1, **where))
    small = {"subgroup": "sex", "level": "unknown", "note": "too small", "ci_method": "none"}
    rows.append(_metric("auroc", "ridge", np.nan, 3, 1, **small))
    return rows


def _discordance(cohort: pd.DataFrame) -> Rows:
    rows = []
    for level, part in (
        ("pdl1_tps < 1 %", cohort[cohort["pdl1_tps"] < 1]),
        ("tmb_mut_mb < 10", cohort[cohort["tmb_mut_mb"] < 10]),
    ):
        n, events = len(part), int(part["responder"].sum())
        where = {"subgroup": "discordance", "level": level}
        for model in ("ridge", "loris_routed"):
            for metric, value in (
                ("share_discordant", events / n), ("auroc", 0.66), ("rate_above", 0.4), ("rate_below", 0.15)
            ):  # fmt: skip
                rows.append(_metric(metric, model, value, n, events, 0.08, **where))
    return rows


def _survival(n: int) -> Rows:
    rows = []
    for model in ("ridge", "loris_routed"):
        rows.append(_metric("c_harrell_os", model, 0.63, n, 140))
        rows.append(_metric("c_uno_os", model, 0.62, n, 140))
        for months in (6.0, 12.0):
            more = {"threshold_or_horizon": months}
            rows.append(_metric("td_auc_os", model, 0.65, n, 140, **more))
            rows.append(_metric("brier_os", model, 0.21, n, 140, **more))
            rows.append(_metric("ipa_os", model, 0.05, n, 140, **more))
        note = "24 months clipped to 17.3: 10 patients at risk"
        rows.append(_metric("td_auc_os", model, 0.64, n, 140, threshold_or_horizon=17.3, note=note))
    return rows


def _smooth(n: int) -> Rows:
    rows = []
    for label, shift in (("ridge", 0.05), ("ridge+platt", 0.0), ("loris_routed", 0.15), ("loris_routed+platt", 0.0)):
        for x in np.linspace(0.1, 0.8, 15):
            y = max(0.0, x - shift)
            rows.append(
                {"curve": "calibration_smooth", "model": label, "scheme": _WHERE["scheme"], "cohort_id": "combined",
                 "level": "all", "x": x, "y": y, "ci_low": max(0, y - 0.06), "ci_high": y + 0.06, "n": n}
            )  # fmt: skip
    return rows


def _gain(n: int) -> Rows:
    return [
        {"curve": "decision_difference", "model": "ridge", "scheme": _WHERE["scheme"], "cohort_id": "combined",
         "level": level, "x": x, "y": x * slope, "ci_low": x * slope - 0.02, "ci_high": x * slope + 0.02, "n": n}
        for level, slope in (("treat_all", 0.3), ("loris_routed", 0.02))
        for x in np.linspace(0.05, 0.6, 12)
    ]  # fmt: skip


def _kaplan_meier(rng: np.random.Generator, n: int) -> Rows:
    rows = []
    for model in ("ridge", "loris_routed"):
        for level, scale in (("low", 10), ("middle", 16), ("high", 30)):
            times = np.sort(rng.exponential(scale, n // 3).clip(0, 40))
            for k, x in enumerate([0.0, *times]):
                y = 1 - k / (n // 3)
                rows.append(
                    {"curve": "survival_os", "model": model, "scheme": _WHERE["scheme"], "cohort_id": "combined",
                     "level": level, "x": x, "y": y, "ci_low": max(0, y - 0.1), "ci_high": min(1, y + 0.1),
                     "n": n // 3 - max(0, k - 1)}
                )  # fmt: skip
    return rows


def _heterogeneity(n: int, events: int) -> Rows:
    rows = []
    for grouping, p in (("cohort_id", 0.2), ("sex", 0.6), ("tumor_type", 0.04)):
        for metric, value in (("auroc", 0.7), ("oe_ratio", 0.95)):
            rows.append(
                {"metric": metric, "model": "ridge", "recalibration": "none", **_WHERE, "grouping": grouping,
                 "threshold_or_horizon": np.nan, "n_levels": 2, "n": n, "n_events": events, "estimate": value,
                 "ci_low": value - 0.05, "ci_high": value + 0.05, "pi_low": value - 0.1, "pi_high": value + 0.1,
                 "tau": 0.1, "i2": 0.3, "q": 1.4, "df": 1, "p": p, "p_adjusted": min(1, 2 * p),
                 "family": "holm over 2 groupings", "note": "logit scale, REML"}
            )  # fmt: skip
    return rows


def _decisions(n: int, events: int) -> Rows:
    rows = []
    for rule, threshold, where in (
        ("youden", 0.31, "combined"), ("fixed", 0.2, "combined"), ("fixed", 0.3, "combined"),
        ("youden", 0.31, "Alpha & <Beta>"), ("youden", 0.31, "MSK-like | one"),
    ):  # fmt: skip
        for model in ("ridge", "loris_routed"):
            for metric, value in (
                ("sensitivity", 0.7), ("specificity", 0.6), ("ppv", 0.45), ("npv", 0.8), ("share_treated", 0.5),
                ("treated_per_responder", 2.2), ("cost_per_responder", 333_000.0), ("net_benefit", 0.1),
            ):  # fmt: skip
                rows.append(
                    {"model": model, "recalibration": "none", **_WHERE, "cohort_id": where, "rule": rule,
                     "threshold": threshold, "metric": metric, "n": n, "n_events": events, "n_positive": n // 2,
                     "estimate": value, "ci_low": 0.9 * value, "ci_high": 1.1 * value, "ci_method": "bootstrap",
                     "note": ""}
                )  # fmt: skip
    return rows


def _risk_groups(n: int) -> Rows:
    rows = [
        {"model": model, "recalibration": "none", **_WHERE, "cohort_id": "combined", "outcome": "os", "group": group,
         "n": n // 3, "n_events": 40, "median_months": median, "ci_low": 7.0, "ci_high": np.nan, "hazard_ratio": ratio,
         "hr_low": low, "hr_high": high, "logrank_p": 0.0004, "note": "tertiles of the predictions"}
        for model in ("ridge", "loris_routed")
        for group, median, ratio, low, high in (
            ("low", 8.0, 1.0, 1.0, 1.0), ("middle", 12.0, 0.7, 0.56, 0.91), ("high", np.nan, 0.4, 0.32, 0.52)
        )
    ]  # fmt: skip
    irae = [
        rows[0] | {"model": model, "group": group, "hazard_ratio": ratio, "hr_low": ratio, "hr_high": top, "note": note}
        for model, note in (("irae_landmark", "irAE by day 90"), ("irae_naive", "immortal time"))
        for group, ratio, top in (("irae", 0.6, 0.9), ("no_irae", 1.0, 1.0))
    ]
    return rows + irae


def _thresholds(n: int, events: int) -> Rows:
    return [
        {"model": "ridge", "recalibration": "none", **_WHERE, "repeat": 0, "fold": fold, "rule": "youden",
         "threshold": threshold, "n": n, "n_events": events, "note": ""}
        for fold, threshold in (("final", 0.3), ("MSK-like | one", 0.27), ("Alpha & <Beta>", 0.35))
    ]  # fmt: skip


def _tuning() -> Rows:
    return [
        {"model": "forest", "scheme": _WHERE["scheme"], "repeat": 0, "fold": fold, "trial": trial,
         "params": f"depth={trial + 2}", "criterion": "log_loss", "value": 0.5 + trial / 100, "chosen": trial == 0,
         "note": ""}
        for fold in ("MSK-like | one", "Alpha & <Beta>")
        for trial in (0, 1)
    ]  # fmt: skip


def _conformal(cohort: pd.DataFrame) -> Rows:
    """Sets that hold the outcome of all but every tenth patient; every second leaves both open."""
    rows = []
    for k, (i, c, y) in enumerate(zip(cohort["patient_id"], cohort["cohort_id"], cohort["responder"], strict=True)):
        named = ("event", "other") if y == 1 else ("other", "event")
        kind = "both" if k % 2 else named[k % 10 == 0]
        rows.append(
            {"patient_id": i, "cohort_id": c, "model": "ridge", **_WHERE, "coverage": 0.9, "p_value_event": 0.4,
             "p_value_other": 0.4, "prediction_set": kind, "covered": kind in ("both", named[0]),
             "n_calibration": 90, "note": "calibrated on other cohorts"}
        )  # fmt: skip
    return rows


def _controls(n: int, events: int) -> Rows:
    head = {"scheme": _WHERE["scheme"], "endpoint": _WHERE["endpoint"], "cohort_id": "combined", "n": n,
            "n_events": events}  # fmt: skip
    return [
        head | {"control": "permuted_labels", "model": "ridge", "metric": "auroc", "n_repeats": 20, "estimate": 0.501,
                "low": 0.45, "high": 0.55, "observed": 0.7, "p": 0.048, "verdict": "passed", "note": ""},
        head | {"control": "cohort_orr", "model": "cohort_orr", "metric": "brier", "n_repeats": 1, "estimate": 0.2,
                "low": np.nan, "high": np.nan, "observed": 0.18, "p": np.nan, "verdict": "none", "note": ""},
    ]  # fmt: skip


def _stability(rng: np.random.Generator, cohort: pd.DataFrame) -> Rows:
    p = rng.uniform(0.05, 0.7, len(cohort))
    return [
        {"patient_id": i, "cohort_id": c, "model": "ridge", **_WHERE, "n_refits": 50, "p_response": q, "p_mean": q,
         "p_sd": 0.04, "p_low": max(0, q - 0.08), "p_high": q + 0.08, "mean_abs_change": 0.03}
        for i, c, q in zip(cohort["patient_id"], cohort["cohort_id"], p, strict=True)
    ]  # fmt: skip
