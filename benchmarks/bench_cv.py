"""Repeated cross-validation: immunocast's batched ridge against scikit-learn's `cross_validate`, and XGBoost's threads.

Ridge, 10 x 5 folds of 964 patients and 21 columns (the size of Chowell_train). Both get the same folds; each fits
medians, scales, one-hot columns and an L2-penalised logistic regression in every fold, predicts the test patients
and computes AUROC and Brier score. The peer is a Pipeline of SimpleImputer, StandardScaler, OneHotEncoder and
LogisticRegression, with the solver that is fastest here and with the default one. The script stops where the
coefficients of a fold differ by more than 1e-6 from the peer's converged ones. `cross_predict` is the whole outer loop
of the product, which makes its folds, its table and a final fit besides.

XGBoost, 10 fits: one thread a fit with two fits at a time, against one fit at a time with two threads.

    python benchmarks/bench_cv.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits
from xgboost import XGBClassifier

from immunocast.engines import JoblibEngine, SerialEngine
from immunocast.features.preprocess import model_frame
from immunocast.metrics import auroc, brier
from immunocast.models.learner import Learner
from immunocast.models.refit import fit_many, predict_many
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import RepeatedStratifiedKFold, Split

NUMBERS = ["tmb_mut_mb", "albumin_g_dl", "nlr", "age_years", "fcna", "hemoglobin_g_dl", "platelets_10e9_l", "hla_loh"]
TYPES = [
    "NSCLC", "Melanoma", "Renal", "Bladder", "Head & Neck", "Colorectal", "SCLC", "Gastric", "Endometrial",
    "Hepatobiliary", "Esophageal", "Sarcoma", "Breast",
]  # fmt: skip
PENALTY = 0.1
TIGHT = {"solver": "newton-cholesky", "tol": 1e-10}


def patients(n: int = 964, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Correlated numbers with missing values, thirteen tumour types that every fold knows, and a response."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    frame = pd.DataFrame({name: rng.normal(size=n) + 0.5 * common for name in NUMBERS})
    frame["hla_loh"] = (frame["hla_loh"] > 1).astype(float)
    logit = -1 + frame[NUMBERS].to_numpy() @ rng.normal(0, 0.3, len(NUMBERS))
    frame = frame.mask(rng.random(frame.shape) < 0.1)
    frame["tumor_type"] = pd.Series(np.resize(TYPES, n), dtype="str")
    ids = pd.DataFrame({"patient_id": [f"p{i:04}" for i in range(n)], "cohort_id": "Chowell_train"})
    y = pd.Series(rng.random(n) < 1 / (1 + np.exp(-logit))).astype("Int64")
    return frame.join(ids.assign(person_id=ids["patient_id"])), y


def learner(estimator: Any, **settings: Any) -> Learner:
    """The product's model on these columns."""
    return Learner(estimator, {name: {} for name in [*NUMBERS, "tumor_type"]}, **settings)


def ours(model: Learner, cohort: pd.DataFrame, y: np.ndarray, splits: list[Split]) -> tuple[np.ndarray, list[Any]]:
    """(folds, 2) AUROC and Brier score, and the fitted models."""
    X = model_frame(cohort, model.spec.inputs)
    weights = np.zeros((len(y), len(splits)), dtype=np.int64)
    for k, split in enumerate(splits):
        weights[split.train, k] = 1
    fitted = fit_many(model, X, y, weights)
    p = predict_many(fitted, X, [split.test for split in splits])
    scores = [(auroc(y[s.test], q), brier(y[s.test], q)) for s, q in zip(splits, p, strict=True)]
    return np.array(scores), fitted


def peer(settings: dict[str, Any], cohort: pd.DataFrame, y: np.ndarray, splits: list[Split]) -> tuple[np.ndarray, Any]:
    """The same by `cross_validate`."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("numbers", numbers, NUMBERS), ("types", OneHotEncoder(handle_unknown="ignore"), ["tumor_type"])]
    )
    pipeline = make_pipeline(columns, LogisticRegression(C=PENALTY, max_iter=1000, **settings))
    found = cross_validate(
        pipeline,
        cohort[[*NUMBERS, "tumor_type"]],
        y,
        cv=[(split.train, split.test) for split in splits],
        scoring={"auroc": "roc_auc", "brier": "neg_brier_score"},
        return_estimator=True,
    )
    return np.column_stack([found["test_auroc"], -found["test_brier"]]), found["estimator"]


def gap(fitted: list[Any], estimators: list[Any]) -> float:
    """Largest difference of a coefficient or an intercept, over all folds."""
    worst = 0.0
    for model, pipeline in zip(fitted, estimators, strict=True):
        names = pipeline[0].get_feature_names_out()
        names = [n.split("__", 1)[1].replace("tumor_type_", "tumor_type=") for n in names]
        theirs = dict(zip(names, pipeline[-1].coef_[0], strict=True)) | {"": pipeline[-1].intercept_[0]}
        own = dict(zip(model.preprocessor_.column_names_, model.estimator_.coef_[0], strict=True))
        own[""] = model.estimator_.intercept_[0]
        if set(own) != set(theirs):
            sys.exit("The columns differ: there is nothing to compare.")
        worst = max(worst, max(abs(own[n] - theirs[n]) for n in own))
    return worst


def alternate(ways: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each way in rounds that go through all of them, and what each returned last."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for way in ways.values():
        way()  # imports and caches
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            results[name] = way()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def measure_ridge(rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each way, and the largest difference of a coefficient from the converged peer's."""
    cohort, labels = patients()
    y = labels.to_numpy(dtype=int)
    scheme = RepeatedStratifiedKFold(5, 10, 0)
    splits = list(scheme.split(cohort, y))
    model = learner(LogisticRegression(C=PENALTY, **TIGHT))
    ways = {
        "immunocast fit_many, predict_many": lambda: ours(model, cohort, y, splits),
        "immunocast cross_predict": lambda: cross_predict(cohort, labels, {"ridge": model}, scheme),
        "cross_validate, newton-cholesky, tol 1e-10": lambda: peer(TIGHT, cohort, y, splits),
        "cross_validate, lbfgs (default)": lambda: peer({}, cohort, y, splits),
    }
    with threadpool_limits(1):
        seconds, results = alternate(ways, rounds)
    (scores, fitted), (theirs, estimators) = (results[name] for name in list(ways)[0:3:2])
    worst = gap(fitted, estimators)
    if worst > 1e-6 or np.abs(scores - theirs).max() > 1e-6:
        sys.exit(f"Coefficients differ by {worst}, scores by {np.abs(scores - theirs).max()}.")
    return seconds, worst


def measure_xgboost(rounds: int) -> dict[str, list[float]]:
    """Seconds of ten fits, by how two cores are used."""
    cohort, labels = patients()
    settings = {"n_estimators": 300, "max_depth": 2, "learning_rate": 0.03, "subsample": 0.8, "random_state": 0}
    scheme = RepeatedStratifiedKFold(3, 3, 0)  # with the final fit ten

    def way(engine: Any, threads: int) -> Callable[[], Any]:
        model = learner(XGBClassifier(**settings, n_jobs=threads), impute="none", scale=False)
        return lambda: cross_predict(cohort, labels, {"xgboost": model}, scheme, engine=engine).predictions

    ways = {
        "one fit at a time, 2 threads a fit": way(SerialEngine(), 2),
        "one fit at a time, 1 thread": way(SerialEngine(), 1),
        "2 fits at a time in threads, 1 thread a fit": way(JoblibEngine(2, "threading"), 1),
        "2 fits at a time in processes, 1 thread a fit": way(JoblibEngine(2, "loky"), 1),
    }
    seconds, results = alternate(ways, rounds)
    first, *others = results.values()
    if not all(first["p_response"].equals(other["p_response"]) for other in others):
        sys.exit("The predictions differ between engines.")
    return seconds


def rows(seconds: dict[str, list[float]], reference: str) -> list[str]:
    """Lines of a Markdown table: median, range, and how many times faster than the reference."""
    slow = statistics.median(seconds[reference])
    return [
        f"| {name} | {statistics.median(s):.3f} | {min(s):.3f} to {max(s):.3f} | {slow / statistics.median(s):.1f}x |"
        for name, s in seconds.items()
    ]


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(f"machine   {processor()}, {os.cpu_count()} cores; {platform.system()}; load {os.getloadavg()[0]:.1f}")
    print(f"python    {platform.python_version()}")
    found = []
    for package in ("immunocast", "numpy", "scikit-learn", "xgboost-cpu", "xgboost"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # one of the two xgboosts is always absent
            continue
    print(f"versions  {', '.join(found)}")
    print(f"times     seconds, medians of {args.rounds} rounds that alternate between all ways\n")
    head = "| {} | median, s | range, s | ratio |\n|---|---|---|---|"
    seconds, worst = measure_ridge(args.rounds)
    print(head.format("ridge, 10 x 5 folds, 964 patients, 21 columns, one thread"))
    print("\n".join(rows(seconds, "cross_validate, newton-cholesky, tol 1e-10")))
    print(f"\nlargest difference of a coefficient from the converged peer's: {worst:.1e}\n")
    seconds = measure_xgboost(args.rounds)
    print(head.format("XGBoost, 10 fits of 300 trees"))
    print("\n".join(rows(seconds, "one fit at a time, 2 threads a fit")))


if __name__ == "__main__":
    main()
