"""A small run folder with real bundles, and an MLflow store whose tables are made once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from immunocast.cohort.table import to_cohort_table
from immunocast.models.bundle import save_bundle
from immunocast.models.learner import Learner
from immunocast.models.loris import LorisRouted
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.address import prepare_environment

FEATURES = {
    "tmb_mut_mb": {"transform": "log2p1"},
    "nlr": {"transform": "log2p1"},
    "albumin_g_dl": None,
    "tumor_type": None,
}


def make_cohort(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    tumor_type = rng.choice(["NSCLC", "Melanoma", "Renal"], n)
    return to_cohort_table(
        pd.DataFrame(
            {
                "patient_id": [f"S{i:04d}" for i in range(n)],
                "cohort_id": np.where(np.arange(n) % 2, "north", "south"),
                "tmb_mut_mb": rng.lognormal(1.9, 0.9, n),
                "pdl1_tps": np.where(tumor_type == "NSCLC", rng.uniform(0, 100, n), np.nan),
                "nlr": rng.lognormal(1.4, 0.6, n),
                "albumin_g_dl": rng.normal(3.9, 0.4, n),
                "age_years": rng.normal(62, 10, n),
                "prior_systemic_therapy": rng.integers(0, 2, n),
                "tumor_type": tumor_type,
                "responder": rng.integers(0, 2, n),
            }
        )
    )


def make_models(cohort: pd.DataFrame) -> dict:
    X, y = cohort[list(FEATURES)], cohort["responder"].astype(int)
    learners = {
        "ridge": Learner(LogisticRegression(), FEATURES, explainer="linear"),
        "xgboost": Learner(
            XGBClassifier(n_estimators=8, max_depth=2, n_jobs=1),
            FEATURES,
            impute="none",
            scale=False,
            explainer="xgboost",
        ),
    }
    return {"loris_routed": LorisRouted()} | {name: m.fit(X, y) for name, m in learners.items()}


def _metrics(models) -> pd.DataFrame:
    shared = dict(
        scheme="leave_one_cohort_out",
        endpoint="response",
        n=120,
        n_events=60,
        n_abstained=0,
        ci_method="delong",
        note="",
        threshold_or_horizon=np.nan,
        recalibration="none",
    )
    rows = []
    for i, model in enumerate(models):
        for metric, value in (("auroc", 0.7), ("brier", 0.2), ("calibration_slope", 0.9)):
            for cohort_id in ("combined", "north", "south", "pooled"):
                for subgroup, level in (("all", "all"), ("tumor_type", "NSCLC"), ("tumor_type", "Head & Neck")):
                    estimate = value + 0.01 * i
                    rows.append(
                        shared
                        | dict(metric=metric, model=model, cohort_id=cohort_id, subgroup=subgroup, level=level)
                        | dict(estimate=estimate, ci_low=estimate - 0.05, ci_high=estimate + 0.05)
                    )
        rows[-1].update(estimate=np.nan, ci_low=np.nan, ci_high=np.nan, note="too small")
        rows.append(
            shared
            | dict(metric="net_benefit", model=model, cohort_id="combined", subgroup="all", level="all")
            | dict(threshold_or_horizon=0.3, estimate=0.11, ci_low=0.05, ci_high=0.17)
        )
    return pd.DataFrame(rows)


def _comparisons(models) -> pd.DataFrame:
    shared = dict(
        metric="auroc",
        reference_model="loris_routed",
        scheme="leave_one_cohort_out",
        endpoint="response",
        subgroup="all",
        level="all",
        threshold_or_horizon=np.nan,
        n_common=110,
        n_events=55,
        n_lost=10,
        p_adjusted=None,
        family="",
        estimate_model=0.72,
        estimate_reference=0.7,
        difference=0.02,
        ci_low=-0.01,
        ci_high=0.05,
        p=0.2,
        ci_method="delong",
        note="",
    )
    return pd.DataFrame(
        [
            shared | dict(model=model, cohort_id=cohort_id)
            for model in models
            if model != "loris_routed"
            for cohort_id in ("combined", "north", "south")
        ]
    )


def _checks() -> pd.DataFrame:
    return pd.DataFrame(
        [
            dict(
                code="IC-RANGE-001",
                severity="warning",
                cohort_id="north",
                column="nlr",
                n=2,
                rows="S0001;S0003",
                message="NLR is the same constant in 2 patients",
                waived_because=None,
            )
        ]
    ).astype({"waived_because": "str"})


def _predictions(cohort: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": cohort["patient_id"],
            "cohort_id": cohort["cohort_id"],
            "person_id": cohort["person_id"],
            "model": "ridge",
            "recalibration": "none",
            "scheme": "leave_one_cohort_out",
            "repeat": 0,
            "fold": cohort["cohort_id"],
            "endpoint": "response",
            "y_true": cohort["responder"].astype("int64"),
            "p_response": 0.4,
            "abstained": False,
            "assays": "dna",
            "in_training": False,
        }
    )


def _curves(models) -> pd.DataFrame:
    """ROC, decision curves, smoothed calibration and survival of each model, over all cohorts."""
    shared = dict(scheme="leave_one_cohort_out", cohort_id="combined", ci_low=None, ci_high=None, n=120, level="all")
    grid = [i / 100 for i in range(1, 81)]
    rows = []
    for model in models:
        head = shared | dict(model=model)
        rows += [head | dict(curve="roc", x=x, y=y) for x, y in ((0, 0), (0, 0.4), (0.5, 0.4), (0.5, 0.8), (1, 1))]
        rows += [head | dict(curve="decision", x=x, y=0.5 - x) for x in grid]
        rows += [head | dict(curve="decision_difference", level="treat_all", x=x, y=x) for x in grid]
        rows += [head | dict(curve="calibration_smooth", x=x, y=x) for x in (0.115, 0.305)]
        survival = dict(curve="survival_os", level="high")
        rows += [head | survival | dict(x=x, y=y) for x, y in ((0, 1.0), (2.5, 0.9), (4.0, 0.6), (7.0, 0.5))]
    rows.append(shared | dict(model="treat_all", curve="decision", x=0.1, y=0.4))
    return pd.DataFrame(rows).astype({"ci_low": "float64", "ci_high": "float64"})


#: Runs of the inner searches of ridge, below its own run.
FOLDS = 2


def _tuning() -> pd.DataFrame:
    shared = dict(model="ridge", scheme="leave_one_cohort_out", repeat=0, criterion="log_loss", note="")
    rows = [
        shared | dict(fold=fold, trial=trial, params=f'{{"estimator__C": {c}}}', value=value, chosen=chosen)
        for fold in ("north", "final")
        for trial, c, value, chosen in ((0, 1.0, 0.61, False), (1, 0.25, 0.58, True), (2, 9.0, None, False))
    ]
    return pd.DataFrame(rows)


def make_run(path: Path, *, synthetic: bool = True) -> RunFolder:
    """A sealed run folder of three models, two of them learned."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    run = RunFolder(path.with_name("." + path.name))
    cohort = make_cohort()
    models = make_models(cohort)
    run.write_table("cohort", cohort)
    run.write_table("metrics", _metrics(models))
    run.write_table("comparisons", _comparisons(models))
    run.write_table("checks", _checks())
    run.write_table("predictions", _predictions(cohort))
    run.write_table("curves", _curves(models))
    run.write_table("tuning", _tuning())
    for name, model in models.items():
        save_bundle(model, run.bundle_path(name, "final"))
    (run.path / "config.yaml").write_text("seed: 7\n")
    (run.path / "summary.md").write_text(
        "## xgboost on 120 patients: AUROC 0.720 (95 % CI 0.670 to 0.770)\n\n"
        "- 0.020 (-0.010 to 0.050) above loris_routed: no clear difference.\n\n"
        "- **IC-RANGE-001** (warning, north): NLR is the same constant in 2 patients.\n\n"
        "| Model | AUROC (95 % CI) |\n|:---|---:|\n| XGBoost | 0.720 (0.670 to 0.770) |\n"
    )
    (run.path / "report.html").write_text("<!doctype html><title>Report</title><h1>Report of the run</h1>")
    (run.path / "results.csv").write_text("model,auroc\nridge,0.71\n")
    (run.path / "figures").mkdir()
    figure, axis = plt.subplots(figsize=(3, 2))
    axis.plot([0, 1], [0, 1])
    figure.savefig(run.path / "figures" / "roc.png")
    plt.close(figure)
    run.update_manifest(
        created="2026-11-01T10:00:00+00:00",
        immunocast_version="0.1.0",
        endpoint="response",
        scheme="leave_one_cohort_out",
        seed=7,
        n_resamples=200,
        headline_model="xgboost",
        reference_model="loris_routed",
        thresholds=[0.3],
        code=dict(git_commit="c0ffee" * 6 + "c0ff", dirty=False, dirty_files=[], source_digest="", lock_digest=None),
        flow=dict(cohorts=[dict(cohort_id="north", events=31), dict(cohort_id="south", events=29)]),
        provenance=dict(
            name="demo",
            synthetic=synthetic,
            source="generator 1",
            digest="ab" * 32,
            view="analysis",
            licence="",
            notes=[],
        ),
        models={
            name: {"spec": m.spec.to_dict(), "label": name.title(), "params": {"depth": 2, "model": name}}
            for name, m in models.items()
        },
    )
    return run.seal(path)


@pytest.fixture(scope="session")
def run_template(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "20261101T100000-demo")


@pytest.fixture
def run(run_template, tmp_path):
    """A copy of the run folder, so that a test may write into it."""
    target = tmp_path / "runs" / run_template.path.name
    shutil.copytree(run_template.path, target)
    return RunFolder(target)


@pytest.fixture(scope="session")
def store_template(tmp_path_factory):
    """An empty MLflow database: making its tables takes seconds, copying the file does not."""
    prepare_environment()
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(store_template, tmp_path):
    """Address of an empty store."""
    shutil.copyfile(store_template, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
