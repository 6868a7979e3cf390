"""A small fabricated run: random patients and predictions, estimates computed plainly from them."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from immunocast.cohort.table import to_cohort_table
from immunocast.report.figures import CATALOGUE, Figure, make_figures
from immunocast.store.runfolder import RunFolder


def _neighbour(name: str) -> Any:
    """A neighbour of this file as a module: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


evaluation_tables = _neighbour("evaluation_tables").evaluation_tables
explain_tables = _neighbour("explain_tables").explain_tables

COHORTS = {"Alpha & <Beta>": 150, "MSK-like | one": 120, "Tiny": 14}
MODELS = {
    "ridge": ("Ridge logistic regression", True, "log-odds"),
    "forest": ("Random forest", True, "probability"),
    "loris_routed": ("LORIS, routed", False, "log-odds"),
    "loris_pan": ("LORIS, pan-cancer", False, "log-odds"),
    "tmb_10": ("TMB >= 10 mut/Mb", False, "log-odds"),
    "pdl1_50": ("PD-L1 TPS >= 50 %", False, "log-odds"),
}
GROUPS = {
    "tmb_mut_mb": "dna", "pdl1_tps": "pdl1", "albumin_g_dl": "blood", "nlr": "blood", "tumor_type": "clinical",
    "prior_systemic_therapy": "clinical",
}  # fmt: skip
SIGNS = {"nlr": -0.8, "tumor_type": np.nan}
SCHEME, ENDPOINT = "leave_one_cohort_out", "response"
THRESHOLDS = [0.1, 0.2, 0.3, 0.4]


def _cohort(rng: np.random.Generator, sizes: dict[str, int]) -> pd.DataFrame:
    frames = []
    for number, (name, n) in enumerate(sizes.items()):
        tps = np.round(np.clip(rng.beta(0.4, 0.6, n) * 100, 0, 100), 0)
        tps[rng.random(n) < 0.35] = np.nan
        frames.append(
            pd.DataFrame(
                {
                    "patient_id": [f"p{number}-{i:03d}" for i in range(n)],
                    "cohort_id": name,
                    "tmb_mut_mb": np.round(np.exp(rng.normal(1.8, 0.9, n)), 2),
                    "pdl1_tps": tps,
                    "albumin_g_dl": np.round(rng.normal(3.85, 0.47, n).clip(1.5, 6), 1),
                    "nlr": np.where(rng.random(n) < 0.1, np.nan, np.round(np.exp(rng.normal(1.5, 0.7, n)), 1)),
                    "tumor_type": rng.choice(["NSCLC", "Melanoma", "Renal"], n, p=[0.6, 0.25, 0.15]),
                    "age_years": np.round(rng.normal(62, 12, n).clip(20, 90)),
                    "sex": rng.choice(["female", "male"], n),
                    "prior_systemic_therapy": rng.integers(0, 2, n),
                    "nlr_measured": 1,
                }
            )
        )
    cohort = pd.concat(frames, ignore_index=True)
    logit = (
        -1.2
        + 0.5 * (np.log2(cohort["tmb_mut_mb"] + 1) - 3)
        + 0.012 * (cohort["pdl1_tps"].fillna(30) - 30)
        + 0.8 * (cohort["albumin_g_dl"] - 3.85)
        - 0.5 * cohort["prior_systemic_therapy"]
    )
    cohort["responder"] = (rng.random(len(cohort)) < 1 / (1 + np.exp(-logit))).astype(int)
    cohort.attrs["logit"] = logit.to_numpy()
    return cohort


def _probabilities(rng: np.random.Generator, cohort: pd.DataFrame, model: str) -> np.ndarray:
    logit = cohort.attrs["logit"]
    if model == "tmb_10":
        return (cohort["tmb_mut_mb"] >= 10).to_numpy(dtype=float)
    if model == "pdl1_50":
        return np.where(cohort["pdl1_tps"].isna(), np.nan, (cohort["pdl1_tps"] >= 50).astype(float))
    shift, noise = {"ridge": (0, 0.4), "forest": (0.1, 0.6), "loris_routed": (0.9, 0.5), "loris_pan": (1, 0.8)}[model]
    return 1 / (1 + np.exp(-(logit + shift + rng.normal(0, noise, len(cohort)))))


def _metric_rows(frame: pd.DataFrame, base: dict[str, Any], rule: bool) -> list[dict[str, Any]]:
    y, p = frame["y_true"].to_numpy(), frame["p_response"].to_numpy()
    n, events = len(y), int(y.sum())
    small = events < 10 or n - events < 10
    spread = 1.96 * 0.6 / np.sqrt(max(n, 1))

    def row(metric: str, value: float | None, threshold: float = np.nan, note: str = "") -> dict[str, Any]:
        value = np.nan if value is None or small else value
        return {
            **base, "metric": metric, "threshold_or_horizon": threshold, "n": n, "n_events": events,
            "estimate": value, "ci_low": value - spread, "ci_high": value + spread,
            "ci_method": "none" if np.isnan(value) else "bootstrap",
            "note": "too small: fewer than 10 events or non-events" if small else note,
        }  # fmt: skip

    rows = [
        row("auroc", None if small else roc_auc_score(y, p)),
        row("auprc", None if small else average_precision_score(y, p)),
        row("brier", None if small else brier_score_loss(y, p)),
    ]
    if rule or small:
        note = "a rule of two values has no calibration"
        rows += [row("calibration_slope", None, note=note), row("calibration_intercept", None, note=note)]
    else:
        z = np.log(p / (1 - p))
        fit = LogisticRegression(C=np.inf).fit(z[:, None], y)
        rows += [row("calibration_slope", float(fit.coef_[0, 0]))]
        rows += [row("calibration_intercept", float(np.log(y.mean() / (1 - y.mean())) - z.mean()))]
    for t in THRESHOLDS:
        treat = p >= t
        rows.append(row("net_benefit", float((treat & (y == 1)).mean() - (treat & (y == 0)).mean() * t / (1 - t)), t))
    return rows


def _curve_rows(frame: pd.DataFrame, model: str, rule: bool) -> list[dict[str, Any]]:
    y, p = frame["y_true"].to_numpy(), frame["p_response"].to_numpy()
    base = {
        "model": model,
        "scheme": SCHEME,
        "cohort_id": "combined",
        "level": "all",
        "ci_low": np.nan,
        "ci_high": np.nan,
    }
    fpr, tpr, _ = roc_curve(y, p, drop_intermediate=True)
    rows = [{**base, "curve": "roc", "x": a, "y": b, "n": len(y)} for a, b in zip(fpr, tpr, strict=True)]
    if not rule:
        for part in np.array_split(np.argsort(p, kind="stable"), 8):
            observed, half = y[part].mean(), 1.96 * np.sqrt(0.2 / len(part))
            rows.append(
                {**base, "curve": "calibration", "x": p[part].mean(), "y": observed, "n": len(part),
                 "ci_low": max(0, observed - half), "ci_high": min(1, observed + half)}
            )  # fmt: skip
    for t in np.linspace(0.05, 0.6, 23):
        for name, treat in ((model, p >= t), ("treat_all", p >= 0), ("treat_none", p > 1)):
            if name == model or model == "ridge":
                value = (treat & (y == 1)).mean() - (treat & (y == 0)).mean() * t / (1 - t)
                rows.append({**base, "model": name, "curve": "decision", "x": t, "y": value, "n": len(y)})
    return rows


def build_run(path: Path, synthetic: bool = True, shap: bool = True, sizes: dict[str, int] | None = None) -> RunFolder:
    """Write a run folder whose tables satisfy the schemas and agree with each other."""
    rng = np.random.default_rng(7)
    cohort = _cohort(rng, sizes or COHORTS)
    run = RunFolder(path)
    run.write_table("cohort", to_cohort_table(cohort))

    predictions = []
    for model in MODELS:
        p = _probabilities(rng, cohort, model)
        predictions.append(
            pd.DataFrame(
                {
                    "patient_id": cohort["patient_id"],
                    "cohort_id": cohort["cohort_id"],
                    "person_id": cohort["patient_id"],
                    "model": model,
                    "recalibration": "none",
                    "scheme": SCHEME,
                    "repeat": 0,
                    "fold": cohort["cohort_id"],
                    "endpoint": ENDPOINT,
                    "y_true": cohort["responder"],
                    "p_response": p,
                    "abstained": np.isnan(p),
                    "assays": "blood+dna",
                    "in_training": False,
                }
            )
        )
    table = pd.concat(predictions, ignore_index=True)
    run.write_table("predictions", table)

    metrics, curves, comparisons = [], [], []
    for model in MODELS:
        rule = model in ("tmb_10", "pdl1_50")
        rows = table[(table["model"] == model)]
        for cohort_id in ("combined", *cohort["cohort_id"].unique()):
            part = rows if cohort_id == "combined" else rows[rows["cohort_id"] == cohort_id]
            base = {
                "model": model, "recalibration": "none", "scheme": SCHEME, "endpoint": ENDPOINT,
                "cohort_id": cohort_id, "subgroup": "all", "level": "all",
                "n_abstained": int(part["abstained"].sum()),
            }  # fmt: skip
            metrics += _metric_rows(part[~part["abstained"]], base, rule)
        if model == "ridge":
            low = cohort.loc[cohort["pdl1_tps"] < 1, "patient_id"]
            base = {**base, "cohort_id": "combined", "subgroup": "pdl1_stratum", "level": "TPS < 1 %"}
            metrics += _metric_rows(rows[rows["patient_id"].isin(low)], base, rule)
        curves += _curve_rows(rows[~rows["abstained"]], model, rule)
        if model != "loris_routed":
            for cohort_id, difference in (("combined", 0.02), ("Alpha & <Beta>", -0.01), ("Tiny", np.nan)):
                shift = difference if model == "ridge" else difference - 0.1
                comparisons.append(
                    {
                        "metric": "auroc", "model": model, "reference_model": "loris_routed", "scheme": SCHEME,
                        "endpoint": ENDPOINT, "cohort_id": cohort_id, "subgroup": "all", "level": "all",
                        "threshold_or_horizon": np.nan,
                        "n_common": 240, "n_events": 70, "n_lost": 44, "estimate_model": 0.7 + shift,
                        "estimate_reference": 0.7, "difference": shift, "ci_low": shift - 0.03,
                        "ci_high": shift + 0.04, "p": 0.31 if model == "ridge" else 0.0001,
                        "p_adjusted": 0.62 if model == "ridge" else 0.0005, "family": "holm over 5 models",
                        "ci_method": "delong", "note": "too small" if np.isnan(shift) else "Tiny left out: trained on",
                    }
                )  # fmt: skip
    more = evaluation_tables(rng, cohort)
    run.write_table("metrics", pd.DataFrame(metrics + more.pop("metrics")))
    run.write_table("curves", pd.DataFrame(curves + more.pop("curves")))
    for name, rows in more.items():
        run.write_table(name, pd.DataFrame(rows))
    run.write_table("comparisons", pd.DataFrame(comparisons))
    _write_checks(run)
    if shap:
        _write_shap(run, rng, cohort)
    _write_manifest(run, cohort, synthetic)
    return run


def _write_checks(run: RunFolder) -> None:
    rows = [
        ("IC-IMPUTED-001", "warning", "Tiny", "nlr", 14, "nlr is 6.2: imputed <constant>", "known & told"),
        ("IC-MISSING-001", "info", None, "pdl1_tps", 90, "pdl1_tps is missing in 32 % of patients", None),
        ("IC-SMALL-001", "warning", "Tiny", None, 14, "fewer than 10 responders", None),
    ]  # fmt: skip
    names = ["code", "severity", "cohort_id", "column", "n", "message", "waived_because"]
    run.write_table("checks", pd.DataFrame(rows, columns=names).assign(rows="p2-000;p2-001"))


def _write_shap(run: RunFolder, rng: np.random.Generator, cohort: pd.DataFrame) -> None:
    values = pd.DataFrame(
        {
            "tmb_mut_mb": 0.5 * (np.log2(cohort["tmb_mut_mb"] + 1) - 2.8),
            "pdl1_tps": 0.012 * (cohort["pdl1_tps"].fillna(30) - 35),
            "albumin_g_dl": 0.8 * (cohort["albumin_g_dl"] - 3.85),
            "nlr": -0.05 * (cohort["nlr"].fillna(5) - 5),
            "tumor_type": cohort["tumor_type"].map({"NSCLC": 0.05, "Melanoma": -0.1, "Renal": 0.3}),
            "prior_systemic_therapy": -0.5 * (cohort["prior_systemic_therapy"] - 0.5),
        }
    )
    frames, importance = [], []
    for model, scale, factor in (("ridge", "log-odds", 1.0), ("forest", "probability", 0.15)):
        base = -1.1 if scale == "log-odds" else 0.3
        part = values * factor + rng.normal(0, 0.02 * factor, values.shape)
        frames.append(
            pd.concat(
                [
                    cohort[["patient_id", "cohort_id"]],
                    pd.DataFrame(
                        {"model": model, "scheme": SCHEME, "repeat": 0, "fold": cohort["cohort_id"],
                         "endpoint": ENDPOINT, "output_scale": scale, "base_value": base,
                         "method": "linear" if model == "ridge" else "tree_path_dependent",
                         "output": base + part.sum(axis=1)}
                    ),
                    part,
                ],
                axis=1,
            )
        )  # fmt: skip
        strength = part.abs().mean().sort_values(ascending=False)
        for rank, (feature, value) in enumerate(strength.items(), start=1):
            importance.append(
                {
                    "model": model, "scheme": SCHEME, "repeat": -1, "endpoint": ENDPOINT, "subgroup": "all",
                    "level": "all", "kind": "feature", "members": "", "feature": feature, "group": GROUPS[feature],
                    "n": len(cohort), "n_measured": int(cohort[feature].notna().sum()), "mean_abs_shap": value,
                    "ci_low": value * 0.9, "ci_high": value * 1.1, "rank": rank, "rank_low": max(1, rank - 1),
                    "rank_high": min(6, rank + 1), "sign": SIGNS.get(feature, 0.9),
                    "output_scale": scale,
                }
            )  # fmt: skip
    run.write_table("shap", pd.concat(frames, ignore_index=True))
    more = explain_tables(rng, cohort, pd.DataFrame(importance))
    run.write_table("importance", pd.concat([pd.DataFrame(importance), more.pop("importance")], ignore_index=True))
    for name, rows in more.items():
        run.write_table(name, rows)


def _write_manifest(run: RunFolder, cohort: pd.DataFrame, synthetic: bool) -> None:
    counts = cohort.groupby("cohort_id")["responder"].agg(["size", "sum"])
    flow = [
        {"cohort_id": name, "read": int(row["size"]) + 3, "excluded": {"not_evaluable": 2, "no <outcome>": 1},
         "analysed": int(row["size"]), "events": int(row["sum"])}
        for name, row in counts.iterrows()
    ]  # fmt: skip
    specs = {
        name: {
            "label": label,
            "spec": {
                "required": ["tmb_mut_mb"], "optional": ["nlr"], "missing_rule": "NLR 6.2 where it is missing",
                "trained_on": [] if learned else ["Chowell_train"], "learned": learned, "output_scale": scale,
                "explainer": "linear" if learned else "none", "source": "scikit-learn" if learned else "Chang 2024",
            },
        }
        for name, (label, learned, scale) in MODELS.items()
    }  # fmt: skip
    run.update_manifest(
        run_id="20261123T174000-abc123", created="2026-11-23T17:40:00+00:00", immunocast_version="0.1.0",
        endpoint=ENDPOINT, scheme=SCHEME, seed=7, n_resamples=500, thresholds=THRESHOLDS,
        provenance={
            "name": "toy", "synthetic": synthetic, "source": "immunocast generator 1", "digest": "ab" * 32,
            "view": "analysis", "licence": "CC0", "notes": ["Tiny: NLR is imputed <by its publisher>."],
        },
        models=specs, reference_model="loris_routed", headline_model="ridge",
        flow={"read": len(cohort) + 9, "no_endpoint": {"not_evaluable": 6, "no <outcome>": 3},
              "analysed": len(cohort), "cohorts": flow},
        timings={"train": 12.3456, "evaluate": 3.21},
    )  # fmt: skip
    (run.path / "config.yaml").write_text("cohort:\n  name: toy  # <not a tag>\nseed: 7\n")


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """A fabricated run in a folder of its own, free to be changed; keyword arguments of `build_run`."""
    built: dict[str, RunFolder] = {}

    def make(**kwargs: Any) -> RunFolder:
        key = repr(sorted(kwargs.items()))
        if key not in built:
            built[key] = build_run(tmp_path_factory.mktemp("built") / "r", **kwargs)
        return RunFolder(shutil.copytree(built[key].path, tmp_path_factory.mktemp("run") / "r"))

    return make


@pytest.fixture(scope="session")
def toy_run(make_run: Callable[..., RunFolder]) -> RunFolder:
    """The fabricated synthetic run, for tests that do not change it."""
    return make_run()


@pytest.fixture(scope="session")
def toy_figures(toy_run: RunFolder) -> list[Figure]:
    """All figures of the fabricated run."""
    return make_figures(toy_run)


@pytest.fixture(scope="session")
def real_run(make_run: Callable[..., RunFolder]) -> RunFolder:
    """The fabricated run under another label: not synthetic."""
    return make_run(synthetic=False)


@pytest.fixture(scope="session")
def real_figures(real_run: RunFolder) -> list[Figure]:
    """A figure of each module, of the run that is not synthetic."""
    names = ("roc", "calibration", "survival", "shap_beeswarm", "shap_ranks", "shap_groups", "shap_discordant",
             "shap_waterfall_responder")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("immunocast.report.figures.CATALOGUE", {n: CATALOGUE[n] for n in names})
        return make_figures(real_run)
