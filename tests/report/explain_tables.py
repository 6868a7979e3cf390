"""Made-up rows of the tables on explanations, for the fabricated run: plausible, random, nobody's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

SCHEME, ENDPOINT = "leave_one_cohort_out", "response"
_LEARNERS = {"ridge": "log-odds", "forest": "probability"}


def explain_tables(rng: np.random.Generator, cohort: pd.DataFrame, importance: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by table for `cohort`, whose features are ranked in `importance`."""
    run = {"scheme": SCHEME, "endpoint": ENDPOINT}
    features = list(importance.loc[importance["model"] == "ridge", "feature"])
    groups = dict(zip(importance["feature"], importance["group"], strict=True))
    tables: dict[str, list[dict[str, Any]]] = {
        "importance": _groups(cohort, importance),
        "importance_stability": _stability(rng, run, features, groups),
        "importance_methods": _ways(rng, run, features, groups),
        "agreement": _agreement(run),
        "interactions": _interactions(run),
        "discordant": _discordant(rng, run, features, groups),
        "truth_recovery": _truth(rng, run, features),
        "recalibration_maps": _maps(),
    }
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def _groups(cohort: pd.DataFrame, importance: pd.DataFrame) -> list[dict[str, Any]]:
    """Blocks, a cluster, and importances of the tumour types with 20 patients and more."""
    rows = []
    for model in _LEARNERS:
        own = importance[importance["model"] == model]
        first = own.iloc[0].to_dict()
        value = dict(zip(own["feature"], own["mean_abs_shap"], strict=True))
        made = [("block", b, b, list(p["feature"])) for b, p in own.groupby("group")]
        made.append(("cluster", "albumin_g_dl + nlr", "blood", ["albumin_g_dl", "nlr"]))
        made = sorted(made, key=lambda g: (g[0], -sum(value[m] for m in g[3])))
        for place, (kind, name, block, members) in enumerate(made, start=1):
            total = 0.8 * sum(value[m] for m in members)
            rank = place if kind == "block" else 1
            rows.append(
                first | {"kind": kind, "feature": name, "group": block, "members": "+".join(members), "rank": rank,
                         "rank_low": rank, "rank_high": rank, "mean_abs_shap": total, "ci_low": 0.9 * total,
                         "ci_high": 1.1 * total, "sign": np.nan}
            )  # fmt: skip
        for level, n in cohort["tumor_type"].value_counts().items():
            if n >= 20:
                for row in own.to_dict("records"):
                    changed = row["mean_abs_shap"] * (1.2 if level == "NSCLC" else 0.8)
                    gone = level == "Melanoma" and row["feature"] == "pdl1_tps"
                    rows.append(row | {"subgroup": "tumor_type", "level": level, "n": int(n),
                                       "n_measured": 0 if gone else int(n), "mean_abs_shap": 0 if gone else changed,
                                       "ci_low": 0.7 * changed, "ci_high": 1.3 * changed})  # fmt: skip
    return rows


def _stability(
    rng: np.random.Generator, run: dict[str, str], features: list[str], groups: dict[str, str]
) -> list[dict[str, Any]]:
    rows = []
    for source, draws in (("refits", 50), ("cohorts", 3)):
        for rank, feature in enumerate(features, start=1):
            lost = feature == features[-1] and source == "refits"
            category = feature == "tumor_type"
            rows.append(
                {
                    **run, "model": "ridge", "output_scale": "log-odds", "source": source, "feature": feature,
                    "group": groups[feature], "n_draws": draws, "n_features": len(features),
                    "mean_abs_shap": 0.5 / rank, "mean": 0.5 / rank, "low": 0.4 / rank, "high": 0.6 / rank,
                    "rank": rank, "rank_low": 1 if lost else max(1, rank - int(rng.integers(0, 2))),
                    "rank_high": min(len(features), rank + 1), "sign": np.nan if category else 0.9,
                    "sign_consistency": np.nan if category else 0.98,
                    "verdict": "none" if source == "cohorts" else "not distinguishable" if lost else "stable",
                    "note": f"patients of each cohort; another direction in {rank} % of the draws"
                    if source == "cohorts" else "",
                }
            )  # fmt: skip
    return rows


def _ways(
    rng: np.random.Generator, run: dict[str, str], features: list[str], groups: dict[str, str]
) -> list[dict[str, Any]]:
    rows = []
    for method, draws in (("permutation", 10), ("drop_column", 1)):
        for rank, feature in enumerate(features, start=1):
            none = method == "drop_column" and rank == 4
            disagrees = method == "drop_column" and rank == 2
            value = np.nan if none else 0.03 / rank - (0.03 if disagrees else 0)
            rows.append(
                {
                    **run, "model": "ridge", "method": method, "metric": "log_loss", "feature": feature,
                    "group": groups[feature], "n": 284, "n_draws": draws, "estimate": value, "ci_low": value - 0.004,
                    "ci_high": value + 0.004 + 0.001 * rng.random(), "rank": None if none else rank,
                    "rank_low": None if none else max(1, rank - 1), "rank_high": None if none else rank + 1,
                    "shap_rank": rank, "disagrees": disagrees,
                    "note": "too few held-out patients" if none
                    else "another feature stands in when it is gone" if disagrees else "",
                }
            )  # fmt: skip
    return rows


def _agreement(run: dict[str, str]) -> list[dict[str, Any]]:
    def row(between: str, model: str, a: str, b: str, value: float, note: str = "") -> dict[str, Any]:
        empty = np.isnan(value)
        return {
            **run, "between": between, "model": model, "a": a, "b": b, "n_features": 6, "n_a": 284, "n_b": 284,
            "rank_correlation": value, "ci_low": value - 0.2, "ci_high": min(1.0, value + 0.1),
            "top_shared": None if empty else 4, "same_direction": np.nan if empty else 0.93, "note": note,
        }  # fmt: skip

    return [
        row("models", "", "forest", "ridge", 0.83),
        row("cohorts", "ridge", "Alpha & <Beta>", "MSK-like | one", -0.31, "the direction of NLR differs"),
        row("cohorts", "ridge", "Alpha & <Beta>", "Tiny", np.nan, "too small: fewer than 20 patients"),
        row("methods", "ridge", "shap", "permutation", 0.94),
        row("methods", "ridge", "shap", "drop_column", 0.6),
    ]


def _interactions(run: dict[str, str]) -> list[dict[str, Any]]:
    pairs = [("nlr", "tmb_mut_mb", 0.021), ("pdl1_tps", "tumor_type", 0.012), ("albumin_g_dl", "nlr", 0.0)]
    return [
        {**run, "model": "forest", "output_scale": "probability", "feature_a": a, "feature_b": b, "n": 284,
         "mean_abs_interaction": v, "ci_low": 0.8 * v, "ci_high": 1.2 * v, "share": v, "rank": k}
        for k, (a, b, v) in enumerate(pairs, start=1)
    ]  # fmt: skip


def _discordant(
    rng: np.random.Generator, run: dict[str, str], features: list[str], groups: dict[str, str]
) -> list[dict[str, Any]]:
    rows = []
    for stratum, reference, words in (
        ("pdl1_low_responders", "pdl1_low_non_responders", "PD-L1 TPS below 1 %"),
        ("pdl1_high_non_responders", "pdl1_high_responders", "PD-L1 TPS of 50 % or more"),
    ):
        for rank, feature in enumerate(features, start=1):
            value = float(rng.normal(0, 0.02)) + (0.4 if "low" in stratum else -0.4) / rank
            category = feature == "tumor_type"
            rows.append(
                {
                    **run, "model": "ridge", "output_scale": "log-odds", "stratum": stratum, "reference": reference,
                    "feature": feature, "group": groups[feature], "n": 21, "n_reference": 40, "mean_shap": value,
                    "mean_shap_reference": 0.0, "difference": value, "ci_low": value - 0.15, "ci_high": value + 0.15,
                    "median_value": np.nan if category else 9.1234 if feature != "prior_systemic_therapy" else 1.0,
                    "median_value_reference": np.nan if category else 5.5 if feature != "prior_systemic_therapy" else 0,
                    "rank": rank, "note": words,
                }
            )  # fmt: skip
    return rows


def _truth(rng: np.random.Generator, run: dict[str, str], features: list[str]) -> list[dict[str, Any]]:
    rows = []
    for model in _LEARNERS:
        head = {**run, "model": model, "n": 284, "n_train": 190}
        metrics = [("importance_rank_correlation", 0.71, 1.0), ("parent_auroc", 0.88, 1.0),
                   ("sign_agreement", 0.83, 1.0), ("noise_share", 0.06, 0.0), ("total_attribution", 1.1, np.nan),
                   ("an_unknown_metric", 0.4, 1.0)]  # fmt: skip
        for metric, value, truth in metrics:
            value += float(rng.normal(0, 0.03))
            rows.append(head | {"metric": metric, "feature": "all", "estimate": value, "ci_low": value - 0.1,
                                "ci_high": value + 0.1, "truth": truth,
                                "note": "0.50 by chance." if metric == "parent_auroc" else ""})  # fmt: skip
        for rank, feature in enumerate(features, start=1):
            value = 0.4 / rank
            rows.append(head | {"metric": "attribution_share", "feature": feature, "estimate": value,
                                "ci_low": 0.9 * value, "ci_high": 1.1 * value, "truth": 0.45 / rank if rank < 4 else 0,
                                "note": "Cause (predictive)." if rank < 4 else "No cause."})  # fmt: skip
    return rows


def _maps() -> list[dict[str, Any]]:
    grid = np.linspace(-3, 2, 41)
    rows = []
    for model, slope in (("ridge", 0.8), ("forest", 1.3), ("loris_pan", 1.0)):
        for fold, shift in (("final", -0.2), ("r0-Alpha", 0.1), ("r0-Tiny", -0.5)):
            for z in grid:
                rows.append({"model": model, "recalibration": "platt", "fold": fold, "log_odds": z,
                             "p": 1 / (1 + np.exp(-z)), "p_recalibrated": 1 / (1 + np.exp(-shift - slope * z)),
                             "formula": f"logit q = {shift:+.3f} {slope:+.3f} logit p"})  # fmt: skip
    return rows
