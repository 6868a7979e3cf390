"""Bundles: equal after a journey over the disk, and no code runs whatever the files hold."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures

from immunocast.cohort.outcomes import make_labels, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.errors import ConfigError, ImmunocastError, NotFoundError
from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle, read_spec, save_bundle
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.learner import Learner
from immunocast.models.loris import LorisPanCancer

FEATURES = {"tmb_mut_mb": {"transform": "log2p1", "clip": [0, 50]}, "nlr": {}, "albumin_g_dl": None, "tumor_type": {}}


@pytest.fixture(scope="module")
def data():
    cohort = SyntheticCohort(n_patients=300, seed=4).load().cohort
    y = make_labels(cohort).y
    known = y.notna()
    return cohort[known].reset_index(drop=True), y[known].to_numpy(dtype=int)


def learner(estimator):
    return Learner(estimator, FEATURES)


def fit(model, data):
    cohort, y = data
    X = model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort)
    target = model.spec.target
    return clone(model).fit(X, y, **({} if target == "label" else {"survival": survival_of(cohort, target)})), X


def same(a, b):
    return np.allclose(a, b, rtol=0, atol=1e-12, equal_nan=True)


SHIPPED = build_models(load_config(["models=full"]))
SHIPPED["forest"].set_params(estimator__n_estimators=20)
SHIPPED["hist_gb"].set_params(estimator__max_iter=20)


@pytest.mark.parametrize("name", list(SHIPPED))
def test_every_shipped_model_comes_back_equal(name, data, tmp_path):
    model, X = fit(SHIPPED[name], data)
    folder = save_bundle(model, tmp_path / "a" / "bundle")
    before = model.predict_proba(X)
    back = load_bundle(folder)
    assert np.array_equal(back.predict_proba(X), before, equal_nan=True)
    assert back.spec == model.spec == read_spec(folder)
    assert list(back.classes_) == [0, 1]
    # a second generation, and elsewhere
    moved = Path(shutil.copytree(folder, tmp_path / "b"))
    shutil.rmtree(folder)
    again = load_bundle(save_bundle(load_bundle(moved), tmp_path / "c"))
    assert same(again.predict_proba(X), before)
    assert (tmp_path / "c" / "bundle.json").read_bytes() == (moved / "bundle.json").read_bytes()


def test_a_fold_without_a_feature_comes_back_equal(data, tmp_path):
    cohort, y = data
    for name in ("ridge", "xgboost"):
        model = build_models(load_config())[name]
        X = model_frame(cohort, model.spec.inputs)
        empty = X.assign(gep_score=np.nan, nlr=np.nan)
        model.fit(empty, y)
        back = load_bundle(save_bundle(model, tmp_path / name))
        assert back.preprocessor_.dropped_ == ["nlr", "gep_score"] or set(back.preprocessor_.dropped_) == {
            "nlr",
            "gep_score",
        }
        assert same(back.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "estimator",
    [
        ExtraTreesClassifier(8, random_state=0),
        GradientBoostingClassifier(n_estimators=8, random_state=0),
        HistGradientBoostingClassifier(max_iter=8, random_state=0, early_stopping=False),
        AdaBoostClassifier(n_estimators=5, random_state=0),
        GaussianNB(),
        LinearDiscriminantAnalysis(),
        LogisticRegression(l1_ratio=0.5, solver="saga", max_iter=5000),
        MLPClassifier((4,), max_iter=30, random_state=0, early_stopping=True),
        MLPClassifier((4,), max_iter=30, random_state=0, early_stopping=True, solver="sgd"),
        CalibratedClassifierCV(GaussianNB(), cv=3),
        CalibratedClassifierCV(GaussianNB(), cv=3, method="isotonic"),
        make_pipeline(PolynomialFeatures(2), LogisticRegression(C=0.1, max_iter=5000)),
        VotingClassifier([("a", GaussianNB()), ("b", LinearDiscriminantAnalysis())], voting="soft"),
        StackingClassifier([("a", GaussianNB())], LogisticRegression(), cv=3),
        GridSearchCV(LogisticRegression(max_iter=1000), {"C": [0.1, 1]}, cv=3),
    ],
    ids=lambda e: type(e).__name__,
)
def test_estimators_that_users_bring(estimator, data, tmp_path):
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model, X = fit(learner(estimator), data)
    back = load_bundle(save_bundle(model, tmp_path / "bundle"))
    assert same(back.predict_proba(X), model.predict_proba(X))


class HomeMade(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


def double(X):
    return 2 * X


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (HomeMade(), "HomeMade"),
        (KNeighborsClassifier(), "KDTree"),
        (make_pipeline(FunctionTransformer(double), LogisticRegression()), "double"),
    ],
)
def test_types_outside_the_list_are_refused_when_saved(estimator, words, data, tmp_path):
    model, _ = fit(learner(estimator), data)
    with pytest.raises(ConfigError, match=words):
        save_bundle(model, tmp_path / "bundle")
    assert not list((tmp_path / "bundle").glob("*")), "nothing half-written stays"


def test_other_models_and_taken_folders_are_refused(data, tmp_path):
    class LorisPanCancer2(LorisPanCancer):
        pass

    with pytest.raises(ConfigError, match="cannot be stored"):
        save_bundle(LorisPanCancer2().fit(None, None), tmp_path / "x")
    assert not (tmp_path / "x").exists()
    save_bundle(LorisPanCancer().fit(None, None), tmp_path / "x")
    with pytest.raises(FileExistsError, match="already"):
        save_bundle(LorisPanCancer().fit(None, None), tmp_path / "x")


# -- what an attacker, or a bad disk, may put there ----------------------------------------------------------


@pytest.fixture
def ridge_bundle(data, tmp_path):
    model, _ = fit(learner(LogisticRegression()), data)
    return save_bundle(model, tmp_path / "ridge")


@pytest.fixture
def xgboost_bundle(data, tmp_path):
    from xgboost import XGBClassifier

    model, _ = fit(learner(XGBClassifier(n_estimators=3)), data)
    return save_bundle(model, tmp_path / "xgboost")


def refused(folder, words="bundle|type|estimator"):
    with pytest.raises(ImmunocastError, match=words):
        load_bundle(folder)


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __setstate__(self, state):
        Path(state["marker"]).write_text("code has run")

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


def test_a_skops_file_with_another_type_runs_nothing(ridge_bundle, tmp_path):
    marker = tmp_path / "ran"
    skops.io.dump(Evil(str(marker)), ridge_bundle / "estimator.skops")
    refused(ridge_bundle, "may not be loaded")
    assert not marker.exists()


@pytest.mark.parametrize("function", [os.system, print, eval, shutil.rmtree], ids=lambda f: f.__name__)
def test_a_function_in_the_place_of_a_model_is_refused(ridge_bundle, function):
    skops.io.dump(function, ridge_bundle / "estimator.skops")
    refused(ridge_bundle)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "exec"), ("subprocess", "Popen"), ("pathlib", "Path"), ("tests", "Evil")],
)
def test_a_schema_that_names_another_class_is_refused(ridge_bundle, module, name):
    path = ridge_bundle / "estimator.skops"
    with zipfile.ZipFile(path) as archive:
        parts = {i: archive.read(i) for i in archive.namelist()}
    schema = json.loads(parts["schema.json"])
    schema["__module__"], schema["__class__"] = module, name
    parts["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    refused(ridge_bundle, f"{module}.{name}")


def test_a_trusted_object_that_is_no_classifier_is_refused(ridge_bundle):
    skops.io.dump({"a": [1, 2]}, ridge_bundle / "estimator.skops")
    refused(ridge_bundle)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "estimator.pkl", "", None, 3, ["estimator.skops"]])
def test_bundle_json_cannot_name_another_file(ridge_bundle, name):
    content = json.loads((ridge_bundle / "bundle.json").read_text())
    (ridge_bundle / "bundle.json").write_text(json.dumps({**content, "estimator": name}))
    refused(ridge_bundle, "unknown estimator file")


@pytest.mark.parametrize(
    "change",
    [
        {"class": "os.system"},
        {"class": "HomeMade"},
        {"class": ["Learner"]},
        {"class": None},
        {"format": 2},
        {"format": "1"},
        {"format": None},
        {"params": None},
        {"params": {"estimator": "x"}},
        {"params": {"features": {"nlr": {}}, "predict_proba": 1}},
        {"fitted": {}},
        {"fitted": {"preprocessor": {}, "background": {}}},
        {"class": "LorisPanCancer"},
        {"class": "MarkerCutoff", "params": {"marker": "nlr"}},
    ],
)
def test_other_contents_are_refused(ridge_bundle, change):
    content = json.loads((ridge_bundle / "bundle.json").read_text())
    (ridge_bundle / "bundle.json").write_text(json.dumps({**content, **change}))
    refused(ridge_bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"class": "Learner"},
        {"class": "os.system"},
        {"params": {"C": 1, "evil": 2}},
        {"fitted": {}},
        {"fitted": {"predict_proba": 1}},
    ],
)
def test_a_cox_model_holds_its_numbers_and_nothing_else(change, data, tmp_path):
    model, _ = fit(build_models(load_config(["models=full"]))["cox_os"], data)
    folder = save_bundle(model, tmp_path / "cox")
    content = json.loads((folder / "bundle.json").read_text())
    content["estimator"] |= change
    (folder / "bundle.json").write_text(json.dumps(content))
    refused(folder)


@pytest.mark.parametrize("change", [{"knots": 2}, {"evil": 1}, {"by": "nlr"}])
def test_an_expansion_that_cannot_be_is_refused(change, data, tmp_path):
    model, _ = fit(build_models(load_config(["models=full"]))["elastic_net"], data)
    folder = save_bundle(model, tmp_path / "net")
    content = json.loads((folder / "bundle.json").read_text())
    content["params"]["expand"] |= change
    (folder / "bundle.json").write_text(json.dumps(content))
    refused(folder, "expand|bundle")


def test_a_bundle_from_before_there_were_expansions_and_targets_is_read(ridge_bundle, data):
    before = load_bundle(ridge_bundle)
    content = json.loads((ridge_bundle / "bundle.json").read_text())
    for later in ("target", "search"):
        del content["params"][later]
    del content["spec"]["target"]
    for later in ("fill_", "shares_", "cohort_scale_"):
        del content["fitted"]["preprocessor"][later]
    (ridge_bundle / "bundle.json").write_text(json.dumps(content))
    X = model_frame(data[0], before.spec.inputs)
    back = load_bundle(ridge_bundle)
    assert np.array_equal(back.predict_proba(X), before.predict_proba(X))
    assert back.spec == before.spec == read_spec(ridge_bundle)


def test_fitted_values_cannot_replace_anything_but_numbers(tmp_path):
    folder = save_bundle(LorisPanCancer().fit(None, None), tmp_path / "x")
    content = json.loads((folder / "bundle.json").read_text())
    for fitted in ({"predict_proba": 1}, {"nlr_default": 2}, {"rate_above_": 0.5}):
        (folder / "bundle.json").write_text(json.dumps({**content, "fitted": fitted}))
        refused(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "null", "\x00", "{}"])
def test_a_file_that_is_no_bundle(ridge_bundle, text):
    (ridge_bundle / "bundle.json").write_text(text)
    refused(ridge_bundle, "bundle.json")
    with pytest.raises(ImmunocastError):
        read_spec(ridge_bundle)


def test_truncated_and_absent_files(ridge_bundle, xgboost_bundle, tmp_path):
    for folder, name in ((ridge_bundle, "estimator.skops"), (xgboost_bundle, "estimator.ubj")):
        whole = (folder / name).read_bytes()
        for end in (0, 10, len(whole) // 2, len(whole) - 3):
            (folder / name).write_bytes(whole[:end])
            refused(folder, "damaged")
        (folder / name).unlink()
        refused(folder, "damaged")
    with pytest.raises(NotFoundError, match="no model bundle"):
        load_bundle(tmp_path / "nowhere")


def test_rates_of_a_cut_off_are_kept(data, tmp_path):
    model, _ = fit(MarkerCutoff("tmb_mut_mb", 10), data)
    back = load_bundle(save_bundle(model, tmp_path / "x"))
    assert (back.rate_below_, back.rate_above_) == (model.rate_below_, model.rate_above_)
