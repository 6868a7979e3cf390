"""Slopes by tumour type: common ones and penalised departures, from complete pooling to hardly any."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.features.expand import Expansion
from immunocast.features.preprocess import model_frame
from immunocast.models.learner import Learner

FEATURES = {"nlr": {}, "albumin_g_dl": {}, "age_years": {}, "tumor_type": {}}


@pytest.fixture(scope="module")
def shipped():
    return build_models(load_config(["models=full"]))


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=500, seed=3).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


def exact(**expand):
    return Learner(
        LogisticRegression(C=0.1, tol=1e-10, max_iter=5000),
        FEATURES,
        impute="mean",
        min_category_count=1,
        expand=Expansion(by="tumor_type", **expand) if expand else None,
    )


def two_worlds(n_rare, seed=0):
    """Slopes of nlr that differ by as much in Renal as in SCLC, of whom there are n_rare."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(["NSCLC", "Renal", "SCLC"], [600, 300, n_rare])
    X = pd.DataFrame({c: rng.normal(size=len(kind)) for c in ("nlr", "albumin_g_dl", "age_years")})
    X["tumor_type"] = pd.Series(kind, dtype="str")
    slope = np.select([kind == "Renal", kind == "SCLC"], [1.5, 1.5], 0.0)
    return X, (rng.random(len(kind)) < expit(slope * X["nlr"])).astype(int)


def test_an_infinite_penalty_is_the_common_ridge():
    X, y = two_worlds(100)
    pooled = exact(penalty=float("inf")).fit(X, y)
    common = exact().fit(X, y)
    assert np.allclose(pooled.predict_proba(X), common.predict_proba(X), atol=1e-6)
    assert (pooled.estimator_.coef_[0][len(common.sources_) :] == 0).all()
    other = exact(penalty=1).fit(X, y)
    assert not np.allclose(other.predict_proba(X), common.predict_proba(X), atol=0.05)


def test_departures_go_to_zero_as_their_penalty_grows():
    X, y = two_worlds(100)
    sizes = []
    for penalty in (0.5, 4, 32, 256):
        model = exact(penalty=penalty).fit(X, y)
        coef = dict(zip(model.expander_.column_names_, model.estimator_.coef_[0], strict=True))
        sizes.append([abs(coef[c]) * p.weight for c, p in model.products_.items() if c.startswith("nlr*")])
    assert (np.diff(np.array(sizes), axis=0) < 0).all()


def test_rare_types_shrink_most():
    """The same departure in truth: the fewer patients tell it, the less of it is believed."""
    found = []
    for n_rare in (300, 60, 15):
        X, y = two_worlds(n_rare)
        model = exact(penalty=4).fit(X, y)
        coef = dict(zip(model.expander_.column_names_, model.estimator_.coef_[0], strict=True))
        found.append([coef[f"nlr*tumor_type={kind}"] / 2 for kind in ("SCLC", "Renal")])
    rare, renal = np.array(found).T
    assert rare[0] > 1.5 * rare[1] > 2 * rare[2] > 0
    assert rare[2] < renal[2] / 3


def test_an_unseen_type_takes_the_common_part_exactly(shipped, data):
    cohort, y = data
    model = clone(shipped["partial_pooling"])
    X = model_frame(cohort, model.spec.inputs)
    seen = (X["tumor_type"] != "Melanoma").to_numpy()
    model.fit(X[seen], y[seen])
    new = X[~seen]
    Z = model.design_matrix(new)
    common = [c for c in Z if c not in model.products_ and not c.startswith("tumor_type=")]
    coef = dict(zip(Z.columns, model.estimator_.coef_[0], strict=True))
    by_hand = model.estimator_.intercept_[0] + sum(coef[c] * Z[c] for c in common)
    assert (Z.drop(columns=common) == 0).all(axis=None)
    assert np.allclose(logit(model.predict_proba(new)[:, 1]), by_hand, atol=1e-10)


def test_nothing_is_fitted_by_many_at_once_that_the_batch_does_not_know(shipped, data):
    from immunocast.models.refit import fit_many

    cohort, y = data
    model = shipped["partial_pooling"]
    X = model_frame(cohort, model.spec.inputs)
    w = np.zeros((len(y), 2), dtype=int)
    w[: len(y) // 2, 0] = 1
    w[len(y) // 2 :, 1] = 1
    for k, fitted in enumerate(fit_many(model, X, y, w)):
        alone = clone(model).fit(X[w[:, k] == 1], y[w[:, k] == 1])
        assert fitted.products_ == alone.products_ != {}
        assert np.array_equal(fitted.predict_proba(X), alone.predict_proba(X))
