"""The outer loop: who is predicted by whom, flags of published models, and equal results on every engine."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.engines import JoblibEngine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.models.bundle import save_bundle
from immunocast.models.learner import Learner
from immunocast.models.spec import ModelSpec
from immunocast.store.runfolder import RunFolder
from immunocast.validation.cross_predict import FINAL, cross_predict, not_looked_for
from immunocast.validation.designs import TrainTest
from immunocast.validation.fold import InnerSettings
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold


@pytest.fixture(scope="module")
def cohort():
    return SyntheticCohort(n_patients=360, seed=5).load().cohort


@pytest.fixture(scope="module")
def labels(cohort):
    return make_labels(cohort).y


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers its training patients by age, and predicts the share of them."""

    inputs = ("age_years",)

    def __init__(self, trained_on=()):
        self.trained_on = trained_on

    @property
    def spec(self):
        return ModelSpec(required=self.inputs, trained_on=tuple(self.trained_on))

    def fit(self, X, y):
        self.index_ = set(X.index)
        self.columns_ = list(X.columns)
        self.rate_ = float(np.mean(y))
        return self

    def predict_proba(self, X):
        assert not self.index_ & set(X.index), "a test patient was in training"
        p = np.where(X["age_years"].isna(), np.nan, self.rate_)
        return np.column_stack([1 - p, p])


def test_loco_rows_and_folds(cohort, labels):
    result = cross_predict(cohort, labels, {"spy": Spy()}, LeaveOneCohortOut())
    rows = result.predictions
    assert len(rows) == labels.notna().sum()
    assert rows["patient_id"].is_unique
    assert (rows["fold"] == rows["cohort_id"]).all()
    truth = labels.set_axis(cohort["patient_id"])
    assert (rows["y_true"].to_numpy() == truth[rows["patient_id"]].to_numpy()).all()
    for name, part in rows.groupby("cohort_id"):
        others = labels[(cohort["cohort_id"] != name)].dropna()
        assert part["p_response"].nunique() == 1
        assert part["p_response"].iloc[0] == pytest.approx(others.mean())
        assert len(result.bundles["spy", f"r0-{name}"].index_) == len(others)
    final = result.bundles["spy", FINAL]
    assert len(final.index_) == len(rows)
    assert final.columns_ == ["age_years"]


def test_every_scheme_every_model(cohort, labels):
    scheme = RepeatedStratifiedKFold(3, 2)
    result = cross_predict(cohort, labels, {"a": Spy(), "b": Spy()}, scheme, endpoint="response")
    assert len(result.predictions) == 2 * 2 * labels.notna().sum()
    assert len(result.bundles) == 2 * (6 + 1)
    assert not result.predictions.duplicated(["patient_id", "model", "repeat"]).any()
    assert (result.predictions["scheme"] == "repeated_kfold").all()


def test_abstentions_are_marked(cohort, labels):
    gone = cohort.assign(age_years=cohort["age_years"].where(cohort.index % 3 > 0))
    rows = cross_predict(gone, labels, {"spy": Spy()}, LeaveOneCohortOut()).predictions
    lacking = set(gone.loc[gone["age_years"].isna(), "patient_id"])
    assert (rows["abstained"] == rows["p_response"].isna()).all()
    assert set(rows.loc[rows["abstained"], "patient_id"]) == lacking & set(rows["patient_id"])


def test_published_models_carry_their_training_patients(cohort, labels):
    a, b = "synthetic-A", "synthetic-B"
    of = {c: cohort.index[cohort["cohort_id"] == c] for c in (a, b)}
    known = labels.notna()
    twin = cohort.copy()
    # two patients of B are persons of A: one of A's two has a label, the other has none
    first, second = of[a][known[of[a]]][0], of[a][known[of[a]]][1]
    targets = of[b][known[of[b]]][:2]
    twin.loc[targets[0], "person_id"] = twin.loc[first, "person_id"]
    twin.loc[targets[1], "person_id"] = twin.loc[second, "person_id"]
    y = labels.copy()
    y[second] = pd.NA
    models = {"published": Spy(trained_on=(a,)), "learner": Spy()}
    rows = cross_predict(twin, y, models, LeaveOneCohortOut()).predictions
    assert not rows.loc[rows["model"] == "learner", "in_training"].any()
    flagged = set(rows.loc[(rows["model"] == "published") & rows["in_training"], "patient_id"])
    expected = set(twin.loc[of[a], "patient_id"]) & set(rows["patient_id"]) | set(twin.loc[targets, "patient_id"])
    assert flagged == expected


def test_cohorts_that_trained_a_published_model_and_are_not_here_are_told(cohort):
    models = {"one": Spy(("Chowell_train",)), "two": Spy(("synthetic-A", "Chowell_train")), "learner": Spy()}
    (told,) = not_looked_for(cohort, models)
    assert told.startswith("one, two: trained on Chowell_train, which is not in the data.")
    assert not not_looked_for(cohort, {"here": Spy(("synthetic-A",)), "learner": Spy()})


def test_linked_persons_do_not_train(cohort, labels):
    twin = cohort.copy()
    known = twin.index[labels.notna()]
    a, b = (next(i for i in known if twin.loc[i, "cohort_id"] == c) for c in ("synthetic-A", "synthetic-B"))
    twin.loc[b, "person_id"] = twin.loc[a, "person_id"]
    result = cross_predict(twin, labels, {"spy": Spy()}, LeaveOneCohortOut())
    n = {s.fold: s.n_linked_out for s in result.splits}
    assert n == {"synthetic-A": 1, "synthetic-B": 1, "synthetic-C": 0}
    position = {i: k for k, i in enumerate(known)}
    assert position[b] not in result.bundles["spy", "r0-synthetic-A"].index_
    assert position[a] not in result.bundles["spy", "r0-synthetic-B"].index_
    assert position[b] in result.bundles["spy", "r0-synthetic-C"].index_


ENGINES = {
    "serial": SerialEngine(),
    "one thread": JoblibEngine(1, "threading"),
    "two threads": JoblibEngine(2, "threading"),
    "two processes": JoblibEngine(2, "loky"),
}


def test_results_do_not_depend_on_the_engine(cohort, labels, tmp_path):
    """Byte by byte: the predictions' Parquet, and every file of every bundle."""
    shipped = build_models(load_config())
    shipped["forest"].set_params(estimator__n_estimators=15)
    shipped["xgboost"].set_params(estimator__n_estimators=30)
    found = {}
    for name, engine in ENGINES.items():
        result = cross_predict(cohort, labels, shipped, LeaveOneCohortOut(), engine=engine)
        folder = RunFolder(tmp_path / name.replace(" ", "_"))
        folder.write_table("predictions", result.predictions)
        for (model, fold), fitted in result.bundles.items():
            save_bundle(fitted, folder.bundle_path(model, fold))
        found[name] = folder.digests()
    reference = found.pop("serial")
    assert len(reference) > 4 * len(shipped)
    for name, digests in found.items():
        differing = sorted(path for path, digest in digests.items() if reference[path] != digest)
        assert not differing, f"{name} differs from serial in {differing}"
        assert digests.keys() == reference.keys()


@pytest.mark.parametrize("name", ["responder", "os_months", "patient_id", "arm", "p_response", "latent_tmb_mut_mb"])
def test_models_cannot_ask_for_outcomes_keys_or_truth(cohort, labels, name):
    class Peeper(Spy):
        inputs = (name,)

    with pytest.raises(ConfigError, match=f"{name!r} cannot be a model input"):
        cross_predict(cohort, labels, {"peeper": Peeper()}, LeaveOneCohortOut())


def test_training_folds_need_both_classes(cohort, labels):
    y = labels.where(cohort["cohort_id"] == "synthetic-A", labels * 0)
    with pytest.raises(ConfigError, match=r"training fold of synthetic-A has 0 responders among \d+ patients"):
        cross_predict(cohort, y, {"spy": Spy()}, LeaveOneCohortOut())


def test_a_test_fold_of_one_class_is_predicted_all_the_same(cohort, labels):
    y = labels.where(cohort["cohort_id"] != "synthetic-A", labels * 0)
    rows = cross_predict(cohort, y, {"spy": Spy()}, LeaveOneCohortOut()).predictions
    assert rows.loc[rows["cohort_id"] == "synthetic-A", "y_true"].sum() == 0


def test_nobody_has_a_label_and_no_models(cohort, labels):
    with pytest.raises(ConfigError, match="No patient has a label"):
        cross_predict(cohort, labels.mask(labels.notna()), {"spy": Spy()}, LeaveOneCohortOut())
    with pytest.raises(ConfigError, match="No model is configured"):
        cross_predict(cohort, labels, {}, LeaveOneCohortOut())


def test_errors_of_a_worker_keep_their_kind(cohort, labels):
    broken = Learner(LogisticRegression(C=-1), {"tumor_type": {}})
    for engine in ENGINES.values():
        with pytest.raises(ConfigError, match="LogisticRegression cannot be fitted"):
            cross_predict(
                cohort, labels, {"broken": broken}, TrainTest(["synthetic-A"], ["synthetic-B"]), engine=engine
            )


def test_callers_data_stay_as_they_are(cohort, labels):
    before, y = cohort.copy(), labels.copy()
    model = Spy()
    cross_predict(cohort, labels, {"spy": model}, LeaveOneCohortOut())
    pd.testing.assert_frame_equal(cohort, before)
    pd.testing.assert_series_equal(labels, y)
    assert not hasattr(model, "rate_")


def test_shuffled_labels_predict_nothing(cohort, labels):
    """A leak between folds would show as an AUROC far from one half."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    known = labels.notna().to_numpy()
    y = labels.copy()
    y[known] = rng.permutation(labels[known].to_numpy())
    model = {"ridge": build_models(load_config())["ridge"]}
    rows = cross_predict(cohort, y, model, RepeatedStratifiedKFold(5, 3)).predictions
    areas = [roc_auc_score(part["y_true"], part["p_response"]) for _, part in rows.groupby(["repeat", "cohort_id"])]
    assert abs(np.mean(areas) - 0.5) < 0.1


def test_a_learner_that_could_only_abstain_is_refused_before_anything_is_fitted(cohort, labels):
    models = {name: m for name, m in build_models(load_config()).items() if name in ("ridge", "tmb_10")}
    with pytest.raises(ConfigError, match=r"ridge requires tumor_type, which is known for no patient.*value: NSCLC"):
        cross_predict(cohort.drop(columns="tumor_type"), labels, models, LeaveOneCohortOut())
    alone = {"tmb_10": models["tmb_10"], "loris_pan": build_models(load_config())["loris_pan"]}
    result = cross_predict(cohort.drop(columns="tumor_type"), labels, alone, LeaveOneCohortOut())
    assert result.predictions.groupby("model")["abstained"].all().to_dict() == {"loris_pan": True, "tmb_10": False}


def test_a_note_is_told_once_with_the_range_of_its_counts(cohort, labels):
    few = cohort.groupby("cohort_id").head(30)
    found = cross_predict(
        few,
        labels[few.index],
        {"pdl1_1": build_models(load_config(["~models.forest"]))["pdl1_1"]},
        RepeatedStratifiedKFold(4, 2),
        inner=InnerSettings(recalibrations=("platt",), n_splits=2),
    )
    (note,) = found.notes
    assert re.fullmatch(
        r"pdl1_1, 8 of 8 folds and the final model: recalibration platt needs 20 events and 20 non-events, there are "
        r"\d+ to \d+ and "
        r"\d+ to \d+",
        note,
    )
