"""Standardising by cohort: parameters of the training fold, stored with the model, one patient at a time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError
from immunocast.explain.shap_values import explain_learner
from immunocast.features.preprocess import Preprocessor, check_features, model_frame
from immunocast.models.blend import Blend
from immunocast.models.bundle import load_bundle, read_spec, save_bundle
from immunocast.models.learner import Learner
from immunocast.serve.files import strangers
from immunocast.serve.score import score_patients
from immunocast.tracking.describe import example_inputs
from immunocast.validation.cross_predict import FINAL, cross_predict
from immunocast.validation.splits import LeaveOneCohortOut

FEATURES = {"gep_score": {"standardise": "cohort"}, "nlr": {"transform": "log2", "clip": [0.5, 25]}, "tumor_type": {}}


def frame(values, cohorts):
    table = pd.DataFrame({"gep_score": values, "cohort_id": pd.Series(cohorts, dtype="str")})
    return model_frame(table, ["gep_score"], by_cohort=True)


def scaled(train, new, **settings):
    preprocessor = Preprocessor({"gep_score": {"standardise": "cohort"}}, scale=False, **settings).fit(train)
    return preprocessor, preprocessor.transform(new)["gep_score"].to_numpy()


def test_each_cohort_has_its_own_mean_and_deviation_and_strangers_have_the_common_ones():
    rng = np.random.default_rng(0)
    a, b = rng.normal(10, 2, 40), rng.normal(-5, 0.5, 30)
    train = frame(np.concatenate([a, b]), ["A"] * 40 + ["B"] * 30)
    preprocessor, got = scaled(train, frame([12.0, -5.0, 3.0], ["A", "B", "new"]))
    both = np.concatenate([a, b])
    within = np.sqrt(np.concatenate([(a - a.mean()) ** 2, (b - b.mean()) ** 2]).mean())
    expected = [(12 - a.mean()) / a.std(), (-5 - b.mean()) / b.std(), (3 - both.mean()) / within]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert list(preprocessor.state()["cohort_scale_"]["gep_score"]) == ["", "A", "B"]


def test_a_patient_is_scaled_alone_as_among_others():
    train = frame(np.arange(40.0), ["A", "B"] * 20)
    new = frame([1.0, 500.0, np.nan], ["A", "A", "B"])
    preprocessor, together = scaled(train, new)
    alone = [preprocessor.transform(new.iloc[[i]])["gep_score"].iloc[0] for i in range(3)]
    assert np.array(alone).tobytes() == together.tobytes()


def test_few_values_constants_and_missing_ids_take_the_common_parameters():
    values = [*np.arange(20.0), 100.0, 101.0, *([7.0] * 12)]
    train = frame(values, ["A"] * 20 + ["few"] * 2 + ["constant"] * 12)
    preprocessor, got = scaled(train, frame([50.0, 50.0, 7.0], ["few", None, "constant"]))
    assert got[0] == got[1]
    assert got[2] == 0
    assert set(preprocessor.cohort_scale_["gep_score"]) == {"", "A", "constant"}
    assert np.isfinite(got).all()


def test_one_constant_cohort_leaves_finite_numbers():
    _, got = scaled(frame([3.0] * 12, ["A"] * 12), frame([3.0, 4.0], ["A", "B"]))
    assert got.tolist() == [0, 1]


def test_without_the_cohorts_a_model_says_so():
    train = frame(np.arange(20.0), ["A"] * 20)
    preprocessor, _ = scaled(train, train)
    with pytest.raises(ConfigError, match="not told the cohorts"):
        preprocessor.transform(train[["gep_score"]])


def test_settings():
    check_features({"gep_score": {"standardise": "none"}})
    with pytest.raises(ConfigError, match="standardise is 'site'; known: none, cohort"):
        check_features({"gep_score": {"standardise": "site"}})
    with pytest.raises(ConfigError, match="a category takes no standardise"):
        check_features({"tumor_type": {"standardise": "cohort"}})


@pytest.fixture(scope="module")
def data():
    tables = SyntheticCohort(n_patients=400, seed=7).load()
    cohort = tables.cohort
    # cohorts on different scales, as two forms of a score would be
    shift = cohort["cohort_id"].astype("category").cat.codes.to_numpy()
    return cohort.assign(gep_score=cohort["gep_score"] * (1 + shift) + 5 * shift), make_labels(cohort).y


@pytest.fixture(scope="module")
def learner():
    return Learner(LogisticRegression(), FEATURES, required=(), explainer="linear")


@pytest.fixture(scope="module")
def fitted(data, learner):
    cohort, y = data
    known = y.notna().to_numpy()
    X = model_frame(cohort, learner.spec.inputs, by_cohort=True)
    return clone(learner).fit(X[known], y[known].to_numpy(dtype=int)), X


def test_the_model_says_that_it_must_know_the_cohort(learner):
    assert learner.spec.by_cohort
    assert learner.spec.columns == ("gep_score", "nlr", "tumor_type", "cohort_id")
    assert "cohort_id" not in learner.spec.inputs
    assert VOCABULARY["cohort_id"].role == "key", "the cohort's id is no feature"
    assert list(example_inputs(learner.spec)) == list(learner.spec.columns)
    assert not Learner(LogisticRegression(), {"gep_score": {}}, required=()).spec.by_cohort


def test_bundle_keeps_the_parameters_to_the_byte(fitted, data, tmp_path):
    model, X = fitted
    first = save_bundle(model, tmp_path / "a")
    back = load_bundle(first)
    assert back.preprocessor_.state() == model.preprocessor_.state()
    assert back.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    second = save_bundle(back, tmp_path / "b")
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes(), file.name
    assert read_spec(first).by_cohort
    cohort, _ = data
    scores = score_patients(cohort, back, "m", "response")
    alone = score_patients(cohort.iloc[[3]], back, "m", "response")
    assert alone["p_response"].iloc[0] == pytest.approx(scores["p_response"].iloc[3], rel=1e-12)
    assert "cohort_id" not in ";".join(scores["assays_used"] + scores["assays_missing"])


def test_shap_values_still_add_up(fitted):
    model, X = fitted
    result = explain_learner(model, X)
    total = result.base_value + result.values.sum(axis=1)
    np.testing.assert_allclose(total, result.output, atol=1e-10)
    assert result.values.columns.tolist() == list(FEATURES)


def test_under_leave_one_cohort_out_the_test_cohort_gives_no_parameter(data, learner):
    cohort, y = data
    result = cross_predict(cohort, y, {"m": learner}, LeaveOneCohortOut(), endpoint="response")
    folds = {fold: m for (_, fold), m in result.bundles.items() if fold != FINAL}
    assert len(folds) == cohort["cohort_id"].nunique()
    for key, model in folds.items():
        stored = set(model.preprocessor_.cohort_scale_["gep_score"]) - {""}
        left_out = set(cohort["cohort_id"]) - stored
        assert len(left_out) == 1, key
    assert result.predictions["p_response"].notna().all()


def test_scoring_a_file_says_which_cohorts_the_model_does_not_know(fitted):
    model, _ = fitted
    known = pd.DataFrame({"cohort_id": ["synthetic-A"]})
    assert strangers(known, model) == []
    (said,) = strangers(pd.DataFrame({"cohort_id": ["synthetic-A", "clinic"]}), model)
    assert "gep_score is standardised by cohort, and the model has no parameters of clinic" in said
    whole = Blend({"m": model}, choose=True)
    whole.parts_ = {"m": model}
    (same,) = strangers(pd.DataFrame({"cohort_id": ["synthetic-A", "clinic"]}), whole)
    assert same == said, "a model made of such"
    plain = Learner(LogisticRegression(), {"gep_score": {}}, required=())
    assert strangers(pd.DataFrame({"cohort_id": ["clinic"]}), plain) == []
