"""Choices of the learners, measured by cross-validation: splines, slopes by type, penalties, missing values, links.

    python benchmarks/bench_models.py chowell      inside LORIS's training cohort only, repeated 5-fold
    python benchmarks/bench_models.py synthetic    leave one cohort out, 1,200 synthetic patients
    python benchmarks/bench_models.py chowell --gaps   what models say of test patients who lack an assay that everybody
                                                       in training has: mean probability and log loss, a column an assay

A row a variant: AUROC (mean over folds), log loss and its difference from ridge (with the standard error of the
difference over patients), Brier score, calibration slope of all out-of-fold predictions, seconds a fit. No test cohort
of LORIS is read: hyperparameters of the configuration were chosen here.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import make_labels, survival_of
from immunocast.config import build, build_models, load_config
from immunocast.features.expand import Expansion
from immunocast.features.preprocess import model_frame
from immunocast.metrics import auroc
from immunocast.models.cox import CoxResponse
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold


class InSampleLink(CoxResponse):
    """The link fitted on the linear predictors of the patients who fitted the hazards."""

    def _out_of_fold(self, x, y, survival, strata):
        return x @ self.beta_


def indicated(model: Any) -> Any:
    """The model with an indicator of missing values for every feature but the tumour type."""
    features = {
        f: how if f == "tumor_type" else {**(how or {}), "indicator": True} for f, how in model.features.items()
    }
    return clone(model).set_params(features=features)


def variants(models: dict[str, Any]) -> dict[str, Any]:
    """Name -> unfitted model."""
    ridge, net, pooled = models["ridge"], models["elastic_net"], models["partial_pooling"]
    hist, boost, os_ = models["hist_gb"], models["xgboost"], models["cox_os"]

    def change(model: Any, **params: Any) -> Any:
        return clone(model).set_params(**params)

    out: dict[str, Any] = {"ridge": ridge, "forest": models["forest"], "xgboost": boost}
    out |= {f"ridge C={c}": change(ridge, estimator__C=c) for c in (0.03, 0.3)}
    out |= {"elastic_net": net}
    out |= {f"elastic_net C={c}": change(net, estimator__C=c) for c in (0.05, 0.2, 0.5)}
    out |= {f"elastic_net l1_ratio={r}": change(net, estimator__l1_ratio=r) for r in (0.1, 0.9)}
    out |= {f"elastic_net knots={k}": change(net, expand__knots=k) for k in (0, 3, 5)}
    out |= {"elastic_net without PD-L1 by type": change(net, expand=Expansion(knots=4))}
    out |= {f"elastic_net penalty={p}": change(net, expand__penalty=p) for p in (0.25, 4)}
    out |= {"partial_pooling": pooled}
    out |= {f"partial_pooling penalty={p}": change(pooled, expand__penalty=p) for p in (1, 2, 8, 16, 64)}
    out |= {f"partial_pooling min_category_count={m}": change(pooled, min_category_count=m) for m in (1, 5, 20)}
    out |= {"hist_gb": hist}
    out |= {f"hist_gb max_leaf_nodes={k}": change(hist, estimator__max_leaf_nodes=k) for k in (3, 8)}
    out |= {f"hist_gb max_iter={k}": change(hist, estimator__max_iter=k) for k in (75, 300)}
    out |= {f"hist_gb min_samples_leaf={k}": change(hist, estimator__min_samples_leaf=k) for k in (10, 40)}
    out |= {"cox_os": os_, "cox_pfs": models["cox_pfs"]}
    out |= {f"cox_os C={c}": change(os_, estimator__C=c) for c in (0.02, 0.5)}
    out |= {f"{o} link in sample": change(models[o], estimator=InSampleLink()) for o in ("cox_os", "cox_pfs")}
    for name in ("ridge", "forest", "elastic_net", "cox_pfs"):
        other = "median" if models[name].impute == "mean" else "mean"
        out[f"{name} impute={other}"] = change(models[name], impute=other)
    for name in ("ridge", "forest", "xgboost", "elastic_net", "partial_pooling", "hist_gb", "cox_pfs"):
        out[f"{name} with indicators"] = indicated(models[name])
    return out


#: What test patients lack in `--gaps`; the tumour type is always known.
GAPS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "TMB": ("tmb_mut_mb",),
    "dna": ("tmb_mut_mb", "fcna", "msi_status"),
    "blood": ("nlr", "albumin_g_dl"),
    "clinical": ("drug_class", "prior_systemic_therapy", "age_years"),
    "all": ("tmb_mut_mb", "fcna", "msi_status", "nlr", "albumin_g_dl", "drug_class", "prior_systemic_therapy",
            "age_years", "pdl1_tps", "gep_score"),
}  # fmt: skip


def without(X: Any, names: tuple[str, ...]) -> Any:
    """The frame without values of these features."""
    return X.assign(**{name: np.nan if X[name].dtype == "float64" else None for name in names if name in X})


def gaps(models: dict[str, Any], cohort: Any, y: np.ndarray, splits: list[Any]) -> None:
    """Print the table of `--gaps`."""
    print(f"{'variant':32s} " + " ".join(f"{name:>13s}" for name in GAPS))
    for name, model in models.items():
        X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
        times = None if model.spec.target == "label" else survival_of(cohort, model.spec.target)
        p = {gap: np.full((len(splits), len(y)), np.nan) for gap in GAPS}
        for k, split in enumerate(splits):
            extra = {} if times is None else {"survival": times.take(split.train)}
            fitted = clone(model).fit(X.iloc[split.train], y[split.train], **extra)
            for gap, names in GAPS.items():
                p[gap][k, split.test] = fitted.predict_proba(without(X.iloc[split.test], names))[:, 1]
        cells = [f"{np.nanmean(q):.3f} {losses(q, y).mean():.4f}" for q in p.values()]
        print(f"{name:32s} " + " ".join(f"{cell:>13s}" for cell in cells), flush=True)


def predict(model: Any, cohort: Any, y: np.ndarray, splits: list[Any]) -> tuple[np.ndarray, float]:
    """(splits, n) out-of-fold probabilities, NaN outside of the test fold, and seconds a fit."""
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    times = None if model.spec.target == "label" else survival_of(cohort, model.spec.target)
    p, seconds = np.full((len(splits), len(y)), np.nan), 0.0
    for k, split in enumerate(splits):
        start = time.perf_counter()
        extra = {} if times is None else {"survival": times.take(split.train)}
        fitted = clone(model).fit(X.iloc[split.train], y[split.train], **extra)
        seconds += time.perf_counter() - start
        p[k, split.test] = fitted.predict_proba(X.iloc[split.test])[:, 1]
    return p, seconds / len(splits)


def losses(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) log loss of each patient, averaged over repeats."""
    q = np.clip(p, 1e-9, 1 - 1e-9)
    return np.nanmean(-np.where(y == 1, np.log(q), np.log(1 - q)), axis=0)


def slope(p: np.ndarray, y: np.ndarray) -> float:
    """Calibration slope of all predictions together."""
    there = ~np.isnan(p)
    x = logit(np.clip(p[there], 1e-9, 1 - 1e-9))[:, None]
    outcome = np.broadcast_to(y, p.shape)[there]
    return float(LogisticRegression(C=np.inf).fit(x, outcome).coef_[0, 0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", choices=["chowell", "synthetic"])
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--only", default="", help="variants whose name holds this; ridge is always there")
    parser.add_argument("--gaps", action="store_true", help="test patients lack an assay")
    args = parser.parse_args()
    chowell = args.cohort == "chowell"
    cfg = load_config(["models=full", *(["cohort=loris", "cohort.cohorts=[Chowell_train]"] if chowell else [])])
    cohort = build(cfg.cohort, "cohort").load().cohort
    labels = make_labels(cohort).y
    known = labels.notna().to_numpy()
    cohort, y = cohort[known].reset_index(drop=True), labels[known].to_numpy(dtype=int)
    scheme = RepeatedStratifiedKFold(n_splits=5, n_repeats=args.repeats, seed=1) if chowell else LeaveOneCohortOut()
    splits = list(scheme.split(cohort, y))
    print(f"{len(y)} patients, {y.sum()} responders, {len(splits)} folds")
    if args.gaps:
        models = {n: m for n, m in variants(build_models(cfg)).items() if " " not in n or "impute" in n}
        gaps(models, cohort, y, splits)
        return
    print(
        f"{'variant':44s} {'AUROC':>6s} {'log loss':>9s} {'diff x1000':>11s} {'se':>5s} {'Brier':>6s} {'slope':>6s} {'s':>6s}"
    )
    reference = None
    for name, model in variants(build_models(cfg)).items():
        if name != "ridge" and args.only not in name:
            continue
        p, seconds = predict(model, cohort, y, splits)
        loss = losses(p, y)
        reference = loss if reference is None else reference
        gap = 1000 * (loss - reference)
        area = np.mean([auroc(y[s.test], p[k, s.test]) for k, s in enumerate(splits)])
        brier = float(np.nanmean((p - y) ** 2))
        print(
            f"{name:44s} {area:6.3f} {loss.mean():9.4f} {gap.mean():+11.1f} {gap.std() / len(y) ** 0.5:5.1f} "
            f"{brier:6.4f} {slope(p, y):6.2f} {seconds:6.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
