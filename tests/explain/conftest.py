"""A planted world: a strong feature, a moderate one, and noise, under ridge; or also a copy and more moderate ones."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from immunocast.explain.importance import importance_table
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.explain.per_patient import per_patient
from immunocast.models.learner import Learner
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import LeaveOneCohortOut

STRONG, COPY, MODERATE = "fcna", "clonal_fraction", "gep_score"
MORE = ("nlr", "albumin_g_dl", "ldh_uln")
NOISE = ("cyt_score", "tgfb_score", "teff_score", "exhaustion_score", "ifng_score")
SETTINGS = {
    "n_resamples": 200,
    "stability": {"models": ["ridge"], "n_refits": 20},
    "methods": {"models": ["ridge"], "n_permutations": 3, "drop_column": True},
}


def patients(n=360, seed=0, copy=False):
    rng = np.random.default_rng(seed)
    strong, moderate = rng.normal(size=n), rng.normal(size=n)
    table = pd.DataFrame(
        {
            "patient_id": [f"p{i:04d}" for i in range(n)],
            "cohort_id": np.array(["A", "B", "C"])[np.arange(n) % 3],
            STRONG: 1 / (1 + np.exp(-strong)),
            MODERATE: moderate,
            **{name: rng.normal(size=n) for name in NOISE},
        }
    )
    table["person_id"] = table["patient_id"]
    if copy:
        table[COPY] = 1 / (1 + np.exp(-strong - 0.05 * rng.normal(size=n)))
        table = table.assign(**{name: rng.normal(size=n) for name in MORE})
    more = sum((table[name] for name in MORE if copy), np.zeros(n))
    table["y"] = (rng.random(n) < expit(1.8 * strong + 0.7 * (moderate + more) - 0.3)).astype(int)
    return table


def planted(table, models=None, scheme=None, seed=0):
    """A run on these patients with its tables shap and importance."""
    features = {f: {} for f in (STRONG, COPY, MODERATE, *MORE, *NOISE) if f in table}
    ridge = Learner(LogisticRegression(C=0.5), features, required=(STRONG,), impute="mean", explainer="linear")
    y = table["y"].astype("Int64")
    models, scheme = models or {"ridge": ridge}, scheme or LeaveOneCohortOut()
    result = cross_predict(table, y, models, scheme)
    run = ExplainInputs(
        cohort=table, y=y, scheme=scheme, scheme_name=result.scheme, endpoint="response", models=models,
        predictions=result.predictions, load_model=lambda m, f: result.bundles[m, f],
    )  # fmt: skip
    exact = [name for name, model in models.items() if model.spec.explainer != "none"]
    shap = explain_out_of_fold(table, result.predictions, run.load_model, exact)
    importance = importance_table(shap, table, by=(), n_resamples=200, seed=seed)
    return SimpleNamespace(
        run=run, shap=shap, importance=importance, explained=per_patient(shap, table), table=table, result=result
    )


@pytest.fixture(scope="session")
def make_planted():
    """The functions and names of the planted world."""
    return SimpleNamespace(
        patients=patients, planted=planted, settings=SETTINGS, strong=STRONG, copy=COPY, moderate=MODERATE, noise=NOISE
    )


@pytest.fixture(scope="session")
def plain(make_planted):
    """The world without the copy."""
    return planted(patients())


@pytest.fixture(scope="session")
def copied(make_planted):
    """The world with a copy of the strong feature, and more moderate ones."""
    return planted(patients(480, copy=True))
