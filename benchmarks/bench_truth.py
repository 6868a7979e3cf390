"""What explanations recover of a known mechanism, by number of training patients: writes docs/explanation-truth.md.

Synthetic cohorts of 2 n patients, two folds: a model is trained on about n patients (3 % have no label) and explains
others, at most 2,000 of them. Models come from conf/, their feature table widened to all features of the synthetic
cohort, so that there are features without effect to be mistaken for causes. The way is the product's: cross_predict,
explain_out_of_fold, truth_recovery_table. Each cell is repeated with other patients (seeds); the range over them is
what a study of that size may get.

    python benchmarks/bench_truth.py [--workers 2] [--seeds 5] [--quick] [--page FILE]

--quick: 200 and 500 patients, one seed, ridge and XGBoost, to the terminal only.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _truth_page import PAGE, SCENARIOS, generated, insert

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import CohortTables
from immunocast.cohort.vocabulary import FEATURES
from immunocast.config import build_models, load_config
from immunocast.engines import JoblibEngine
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.explain.truth import truth_recovery_table
from immunocast.metrics import auroc
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import RepeatedStratifiedKFold

SIZES = (200, 500, 1000, 2000, 5000, 20_000)
MODELS = ("ridge", "xgboost")
#: A forest's values take long: it is measured up to this size, and explains fewer patients.
FOREST_UP_TO, FOREST_EXPLAINS = 1000, 300
EXPLAINED = 2000
#: Readings that have a true value of another name in the table truth.
TRUE_NAMES = {
    "gep_score": "latent_t_cell_inflammation",
    "tgfb_score": "latent_tgfb_exclusion",
    "exhaustion_score": "latent_exhaustion",
}
#: Classes read by a pathologist: left out, PD-L1 and GEP tell the same.
LEFT_OUT = ("pdl1_ic", "pdl1_tc")


def patients(scenario: str, n: int, seed: int) -> CohortTables:
    """2 n patients; of "measured" the readings are the true values, none missing."""
    tables = SyntheticCohort(
        n_patients=2 * n, scenario="default" if scenario == "measured" else scenario, seed=seed
    ).load()
    if scenario == "measured":
        truth = tables.truth.set_index("patient_id").loc[tables.cohort["patient_id"]]
        for name in [f for f in FEATURES if f in tables.cohort and f not in LEFT_OUT]:
            true = TRUE_NAMES.get(name, f"latent_{name}")
            if true in truth and name != "immune_phenotype":
                tables.cohort[name] = truth[true].to_numpy(dtype=float)
    return tables


def models_of(cohort: pd.DataFrame, n: int, scenario: str) -> dict[str, Any]:
    """The configured models with all features of the cohort."""
    names = [*MODELS, *(["forest"] if n <= FOREST_UP_TO and scenario == "default" else [])]
    built = build_models(load_config())
    usual = dict(built["ridge"].features)
    table = {f: usual.get(f) or {} for f in FEATURES if f in cohort and f not in LEFT_OUT}
    return {name: built[name].set_params(features=table) for name in names}


def cell(task: tuple[str, int, int]) -> pd.DataFrame:
    """Rows of truth_recovery of one cohort, with the out-of-fold AUROC as a metric more."""
    scenario, n, seed = task
    tables = patients(scenario, n, seed)
    cohort, y = tables.cohort, make_labels(tables.cohort).y
    models = models_of(cohort, n, scenario)
    scheme = RepeatedStratifiedKFold(2, 1, seed)
    crossed = cross_predict(cohort, y, models, scheme)
    order = np.random.default_rng([seed, n]).permutation(np.unique(crossed.predictions["patient_id"]))
    parts = []
    for name in models:
        own = crossed.predictions[crossed.predictions["model"] == name]
        most = FOREST_EXPLAINS if name == "forest" else EXPLAINED
        rows = own[own["patient_id"].isin(order[:most])]
        shap = explain_out_of_fold(cohort, rows, lambda m, f: crossed.bundles[m, f], [name])
        run = ExplainInputs(
            cohort=cohort,
            y=y,
            scheme=scheme,
            scheme_name=crossed.scheme,
            endpoint="response",
            models=models,
            predictions=rows,
            load_model=lambda m, f: crossed.bundles[m, f],
            truth=tables.truth,
            truth_features=tables.truth_features,
        )
        found = truth_recovery_table(run, shap, n_resamples=1)
        by_cohort = [auroc(c["y_true"].to_numpy(), c["p_response"].to_numpy()) for _, c in own.groupby("cohort_id")]
        more = {"model": name, "metric": "auroc", "feature": "all", "estimate": float(np.mean(by_cohort))}
        parts.append(pd.concat([found, pd.DataFrame([more])], ignore_index=True))
    return pd.concat(parts, ignore_index=True).assign(scenario=scenario, size=n, seed=seed)


def measure(sizes: tuple[int, ...], seeds: int, workers: int) -> pd.DataFrame:
    """All cells, the long ones first."""
    tasks = [(s, n, 1 + k) for n in sorted(sizes, reverse=True) for s in SCENARIOS for k in range(seeds)]
    parts = JoblibEngine(workers, "loky").map(cell, tasks)
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--seeds", type=int, default=5, help="cohorts a cell (5)")
    parser.add_argument("--quick", action="store_true", help="200 and 500 patients, one cohort, to the terminal only")
    parser.add_argument("--page", type=Path, default=PAGE, help="page whose generated part is replaced")
    args = parser.parse_args()
    if args.workers < 1 or args.seeds < 1:
        parser.error("--workers and --seeds must be at least 1")
    start = time.perf_counter()
    rows = measure(SIZES[:2] if args.quick else SIZES, 1 if args.quick else args.seeds, args.workers)
    text = generated(rows)
    if args.quick:
        print(text)
    else:
        insert(args.page, text)
        print(f"{args.page} is written.")
    print(f"{time.perf_counter() - start:.0f} s with {args.workers} workers.", file=sys.stderr)


if __name__ == "__main__":
    main()
