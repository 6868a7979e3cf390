"""Repeated cross-validation: immunocast's batched ridge against scikit-learn's `cross_validate`, and XGBoost's threads.

Ridge, 10 x 5 folds of 964 patients and 21 columns (the size of Chowell_train). Both get the same folds; each fits
medians, scales, one-hot columns and an L2-penalised logistic regression in every fold, predicts the test patients
and computes AUROC and Brier score. The peer is a Pipeline of SimpleImputer, StandardScaler, OneHotEncoder and
LogisticRegression, with the solver that is fastest here and with the default one. The script stops where the
coefficients of a fold differ by more than 1e-6 from the peer's converged ones. `cross_predict` is the whole outer loop
of the product, which makes its folds, its table and a final fit besides.

XGBoost, 10 fits: one thread a fit with two fits at a time, against one fit at a time with two threads. Its seconds are
wall time, since both ways are to fill the cores; all others are processor time.

    python benchmarks/run.py cv [--rounds 5]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd
from _table import Row, Section, timed
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


def alternate(
    ways: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[Callable[[], Any]], tuple[Any, float]]
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each way in rounds that go through all of them, and what each returned last."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for way in ways.values():
        way()  # imports and caches
    for _ in range(rounds):
        for name, way in ways.items():
            results[name], spent = clock(way)
            seconds[name].append(spent)
    return seconds, results


def wall(function: Callable[[], Any]) -> tuple[Any, float]:
    """Result and wall seconds: of ways that use several cores."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def ridge_rows(rounds: int) -> list[Row]:
    """Both of ours against both solvers of the peer."""
    cohort, labels = patients()
    y = labels.to_numpy(dtype=int)
    scheme = RepeatedStratifiedKFold(5, 10, 0)
    splits = list(scheme.split(cohort, y))
    model = learner(LogisticRegression(C=PENALTY, **TIGHT))
    fits, whole, tight, default = (
        "fit_many, predict_many",
        "cross_predict",
        "newton-cholesky, tol 1e-10",
        "lbfgs, default",
    )
    ways: dict[str, Callable[[], Any]] = {
        fits: lambda: ours(model, cohort, y, splits),
        whole: lambda: cross_predict(cohort, labels, {"ridge": model}, scheme),
        tight: lambda: peer(TIGHT, cohort, y, splits),
        default: lambda: peer({}, cohort, y, splits),
    }
    with threadpool_limits(1):
        seconds, results = alternate(ways, rounds, timed)
    (scores, fitted), crossed = results[fits], results[whole]
    models = [crossed.bundles["ridge", split.key] for split in crossed.splits]
    rows = []
    for kind, most in ((tight, 1e-6), (default, 0.1)):  # the default solver stops early
        theirs, estimators = results[kind]
        far = float(np.abs(scores - theirs).max())
        for way, of_way, target in ((fits, fitted, 10), (whole, models, 10)):
            worst = gap(of_way, estimators)
            if worst > most or far > most:
                sys.exit(f"Coefficients differ by {worst}, scores by {far} ({way}, {kind}).")
            label = "ridge, 10 x 5 folds, n = 964, 21 columns"
            rows.append(Row(label, way, f"cross_validate, {kind}", seconds[way], seconds[kind], worst, target))
    return rows


def xgboost_rows(rounds: int) -> list[Row]:
    """Ten fits, by how two cores are used."""
    cohort, labels = patients()
    settings = {"n_estimators": 300, "max_depth": 2, "learning_rate": 0.03, "subsample": 0.8, "random_state": 0}
    scheme = RepeatedStratifiedKFold(3, 3, 0)  # with the final fit ten

    def way(engine: Any, threads: int) -> Callable[[], Any]:
        model = learner(XGBClassifier(**settings, n_jobs=threads), impute="none", scale=False)
        return lambda: cross_predict(cohort, labels, {"xgboost": model}, scheme, engine=engine).predictions

    together = {
        "2 fits at a time in threads, 1 thread a fit": way(JoblibEngine(2, "threading"), 1),
        "2 fits at a time in processes, 1 thread a fit": way(JoblibEngine(2, "loky"), 1),
    }
    in_turn = {
        "one fit at a time, 2 threads a fit": way(SerialEngine(), 2),
        "one fit at a time, 1 thread a fit": way(SerialEngine(), 1),
    }
    seconds, results = alternate(together | in_turn, rounds, wall)
    rows = []
    for one in together:
        for other in in_turn:
            worst = float((results[one]["p_response"] - results[other]["p_response"]).abs().max())
            if worst:
                sys.exit(f"The predictions differ between engines by {worst}.")
            rows.append(Row("XGBoost, 10 fits of 300 trees (wall)", one, other, seconds[one], seconds[other], worst))
    return rows


ABOUT = """
Ridge: 10 x 5 folds of 964 patients and 21 columns (the size of Chowell_train). Both get the same folds; each fits
medians, scales, one-hot columns and an L2-penalised logistic regression in every fold, predicts the test patients and
computes AUROC and Brier score. The peer is `cross_validate` of a `Pipeline` of `SimpleImputer`, `StandardScaler`,
`OneHotEncoder` and `LogisticRegression`, with the solver that is fastest here and converges, and with the default one,
which stops early. `cross_predict` is the whole outer loop of the product: it makes its own folds, the table of
predictions and a final fit besides, but no scores. Differences are of coefficients.

XGBoost: `cross_predict`, two fits at a time with a thread each against one fit at a time with two threads, or with one.
Both sides are immunocast's engines and use both cores: these rows are wall time. Differences are of predictions.
"""


def section(rounds: int) -> Section:
    """Cross-validation of ridge, and XGBoost's fits side by side."""
    rows = ridge_rows(rounds) + xgboost_rows(rounds)
    packages = ["immunocast", "numpy", "pandas", "scikit-learn", *filter(_installed, ("xgboost-cpu", "xgboost"))]
    return Section("Cross-validation", ABOUT, rows, tuple(packages))


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:  # one of the two xgboosts is always absent
        return False
    return True
