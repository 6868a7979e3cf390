"""The inner loop: nothing of a test fold reaches parameters, recalibrators or thresholds, and persons stay together."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError
from immunocast.models.bundle import load_bundle, save_bundle
from immunocast.models.learner import Learner
from immunocast.models.recalibration import fit_recalibrator
from immunocast.models.recalibrators_file import load_recalibrators, save_recalibrators
from immunocast.models.spec import ModelSpec
from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import conform
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.designs import Auto, TrainTest
from immunocast.validation.fold import FINAL, InnerSettings
from immunocast.validation.inner import inner_folds
from immunocast.validation.recalibrate import intercept_of_others
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold
from immunocast.validation.tuning import OptunaTuning

FEATURES = {"tmb_mut_mb": {}, "nlr": {}, "tumor_type": {}}
RULES = ("youden", "sensitivity_90", "specificity_80", "harm_benefit_1_4")
SETTINGS = InnerSettings(("platt", "intercept_site"), RULES, n_splits=3, seed=1)


def ridge(**more):
    # many ridges at once are solved exactly: one that is fitted alone must stop as late
    return Learner(LogisticRegression(C=0.1, tol=1e-10, max_iter=5000), FEATURES, **more)


@pytest.fixture(scope="module")
def cohort():
    return SyntheticCohort(n_patients=360, seed=5).load().cohort


@pytest.fixture(scope="module")
def labels(cohort):
    return make_labels(cohort).y


class Watcher(ClassifierMixin, BaseEstimator):
    """Fails where it is asked about a person whom it was fitted on; rows are told apart by `age_years`."""

    person_of = None

    def __init__(self, trained_on=(), silent=False):
        self.trained_on = trained_on
        self.silent = silent

    @property
    def spec(self):
        return ModelSpec(required=("age_years",), trained_on=tuple(self.trained_on))

    def fit(self, X, y):
        self.persons_ = {self.person_of[i] for i in X.index}
        self.rate_ = float(np.mean(y))
        return self

    def predict_proba(self, X):
        assert not self.persons_ & {self.person_of[i] for i in X.index}, "a person is on both sides"
        p = np.where(X["age_years"].isna() | self.silent, np.nan, (self.rate_ + X["age_years"].to_numpy() / 100) / 2)
        return np.column_stack([1 - p, p])


def watched(cohort, labels, **more):
    Watcher.person_of = dict(enumerate(cohort.loc[labels.notna().to_numpy(), "person_id"]))
    return Watcher(**more)


def linked(cohort, seed, share=0.4):
    """Patients under further ids, over cohorts and inside them."""
    rng = np.random.default_rng(seed)
    person = cohort["person_id"].to_numpy(dtype=object).copy()
    for i in np.flatnonzero(rng.random(len(cohort)) < share):
        person[i] = person[rng.integers(len(cohort))]
    return cohort.assign(person_id=pd.Series(person, dtype="str"))


@pytest.mark.parametrize("scheme", [LeaveOneCohortOut(), RepeatedStratifiedKFold(3, 1)], ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(3))
def test_a_person_under_two_ids_is_on_one_side_also_inside(cohort, labels, scheme, seed):
    twins = linked(cohort, seed)
    result = cross_predict(twins, labels, {"w": watched(twins, labels)}, scheme, inner=SETTINGS)
    assert result.thresholds.query("rule == 'youden' and recalibration == 'none'")["n"].min() > 100


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 1), st.sampled_from("AB")), max_size=60),
    n_splits=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_inner_folds_on_any_training_fold(rows, n_splits, seed):
    ids = pd.DataFrame({"patient_id": [f"p{i}" for i in range(len(rows))], "person_id": [str(r[0]) for r in rows]})
    ids["cohort_id"] = [r[2] for r in rows]
    y = np.array([r[1] for r in rows], dtype=int)
    folds = inner_folds(ids, y, n_splits, seed)
    person = ids["person_id"].to_numpy()
    tested = [i for fold in folds for i in fold.test]
    assert len(tested) == len(set(tested))
    assert len(folds) != 1
    for fold in folds:
        assert 0 < y[fold.train].sum() < len(fold.train)
        assert not set(person[fold.train]) & set(person[fold.test])
        assert len(fold.train) + len(fold.test) == len(y)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_labels_of_the_test_fold_reach_nothing_but_the_update_at_the_site(cohort, labels, seed):
    """Thresholds, recalibrators, parameters and predictions are the same for whatever the tested patients' outcome."""
    inside = (cohort["cohort_id"] == "synthetic-C").to_numpy() & labels.notna().to_numpy()
    other = labels.copy()
    other[inside] = np.random.default_rng(seed).permutation(labels[inside].to_numpy())
    tuning = OptunaTuning(n_trials=2, inner_splits=2)
    settings_ = dataclasses.replace(SETTINGS, tuning=tuning)
    scheme = TrainTest(["synthetic-A", "synthetic-B"], ["synthetic-C"])
    model = {"m": ridge(search={"estimator__C": {"low": 0.01, "high": 1.0, "log": True}})}
    one, two = (cross_predict(cohort, y, model, scheme, inner=settings_) for y in (labels, other))
    pd.testing.assert_frame_equal(one.thresholds, two.thresholds)
    pd.testing.assert_frame_equal(one.tuning, two.tuning)
    assert len(one.tuning) == 4
    assert one.recalibrators == two.recalibrators
    p = [r.predictions.set_index(["recalibration", "patient_id"])["p_response"] for r in (one, two)]
    for name in ("none", "platt"):
        pd.testing.assert_series_equal(p[0].loc[name], p[1].loc[name])
    if not other.equals(labels):
        assert not p[0].loc["intercept_site"].equals(p[1].loc["intercept_site"])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), turned=st.integers(0, 39))
def test_nothing_of_a_persons_outcome_is_in_the_persons_update(seed, turned):
    rng = np.random.default_rng(seed)
    n = 80
    ids = pd.DataFrame({"patient_id": [f"p{i:02d}" for i in range(n)], "cohort_id": "A"})
    ids["person_id"] = [f"h{i % 40}" for i in range(n)]
    p, y = rng.uniform(0.1, 0.9, n), np.tile(rng.random(40) < 0.5, 2).astype(int)
    own = np.arange(n) % 40 == turned
    other = np.where(own, 1 - y, y)
    one, why = intercept_of_others(p, y, ids, 4, 0)
    two, too_few = intercept_of_others(p, other, ids, 4, 0)
    assume(not why and not too_few)  # the person may be the one that makes an outcome rare
    assert np.array_equal(one[own], two[own])
    assert not np.array_equal(one[~own], two[~own])
    order = rng.permutation(n)
    again, _ = intercept_of_others(p[order], y[order], ids.iloc[order], 4, 0)
    assert np.array_equal(again, one[order])


def test_the_update_at_a_site_closes_its_gap(cohort, labels):
    """A model that is off by a constant at every site is right on average after it."""
    scheme = LeaveOneCohortOut()
    rows = cross_predict(cohort, labels, {"w": watched(cohort, labels)}, scheme, inner=SETTINGS).predictions
    gap = rows.assign(gap=rows["p_response"] - rows["y_true"]).groupby(["recalibration", "cohort_id"])["gap"].mean()
    assert gap["none"].abs().min() > 0.1
    assert gap["intercept_site"].abs().max() < 0.02


def test_recalibrated_rows_are_the_recalibrator_applied_and_rest_on_inner_predictions(cohort, labels):
    result = cross_predict(cohort, labels, {"m": ridge()}, LeaveOneCohortOut(), inner=SETTINGS)
    conform("predictions", result.predictions)
    conform("thresholds", result.thresholds)
    conform("tuning", result.tuning)
    by = result.predictions.set_index(["recalibration", "fold", "patient_id"])["p_response"]
    known = labels.notna().to_numpy()
    ids, y = cohort[known].reset_index(drop=True), labels[known].to_numpy(dtype=int)
    from immunocast.features.preprocess import model_frame

    X = model_frame(ids, ridge().spec.inputs)
    for split in result.splits:
        made = result.recalibrators["m", split.key]["platt"]
        assert np.array_equal(by["platt"][split.fold], made.predict(by["none"][split.fold].to_numpy()))
        # done again by hand: the recalibrator has seen predictions by fits without the patient, in training only
        part = ids.iloc[split.train]
        inner = np.full(len(part), np.nan)
        for fold in inner_folds(part, y[split.train], 3, 1):
            fitted = ridge().fit(X.iloc[split.train[fold.train]], y[split.train[fold.train]])
            inner[fold.test] = fitted.predict_proba(X.iloc[split.train[fold.test]])[:, 1]
        assert made.parameters == pytest.approx(fit_recalibrator("platt", inner, y[split.train]).parameters, rel=1e-5)
        row = result.thresholds.query("fold == @split.fold and rule == 'sensitivity_90' and recalibration == 'none'")
        chosen = row["threshold"].item()
        events = inner[(y[split.train] == 1) & ~np.isnan(inner)]
        assert (events >= chosen - 1e-6).mean() >= 0.9
        assert (events > chosen + 1e-6).mean() < 0.9
        assert row["n"].item() == (~np.isnan(inner)).sum()
    assert set(result.thresholds["fold"]) == {*(s.fold for s in result.splits), FINAL}
    assert ("m", FINAL) in result.recalibrators
    site = result.thresholds.query("recalibration == 'intercept_site'").set_index("rule")
    assert (site.loc["harm_benefit_1_4", "threshold"] == 0.2).all()
    assert site.loc["youden", "threshold"].isna().all()
    assert site.loc["youden", "note"].str.contains("inside a test cohort").all()


def test_a_published_formula_is_recalibrated_on_patients_who_did_not_make_it(cohort, labels):
    a, b, c = (f"synthetic-{x}" for x in "ABC")
    known = labels.notna()
    n = cohort[known].groupby("cohort_id").size()
    inner = dataclasses.replace(SETTINGS, recalibrations=("platt",))
    model = {"w": watched(cohort, labels, trained_on=(a,))}
    result = cross_predict(cohort, labels, model, LeaveOneCohortOut(), inner=inner)
    used = {fold: made["platt"].n for (_, fold), made in result.recalibrators.items()}
    assert used == {f"r0-{a}": n[b] + n[c], f"r0-{b}": n[c], f"r0-{c}": n[b], FINAL: n[b] + n[c]}
    assert not result.notes
    # where too few others remain, they all serve, and it is said
    result = cross_predict(cohort, labels, model, TrainTest([a], [b]), inner=inner)
    assert {made["platt"].n for made in result.recalibrators.values()} == {n[a]}
    assert any("patients on whom the formula was published" in note for note in result.notes)
    told = result.thresholds.query("rule == 'youden'")["note"]
    assert told.str.contains("on whom the formula was published").all()


class Many(Learner):
    """Fits many at once, by the plain way; counts how it was asked."""

    calls = 0
    batches = True

    def fit_many(self, X, Y, W, survival=None):
        Many.calls += 1
        return [Learner.fit(type(self)(**self.get_params(deep=False)), X[w > 0], Y[w > 0]) for w in W.T]


def test_many_fits_at_once_give_what_single_fits_give(cohort, labels):
    one = cross_predict(cohort, labels, {"m": ridge()}, RepeatedStratifiedKFold(2, 1), inner=SETTINGS)
    Many.calls = 0
    many = {"m": Many(ridge().estimator, FEATURES)}
    two = cross_predict(cohort, labels, many, RepeatedStratifiedKFold(2, 1), inner=SETTINGS)
    assert Many.calls == 1, "outer folds, the final fit and all inner folds in one call"
    pd.testing.assert_frame_equal(one.predictions, two.predictions, rtol=1e-5)
    pd.testing.assert_frame_equal(one.thresholds, two.thresholds, rtol=1e-5)
    assert one.recalibrators.keys() == two.recalibrators.keys()


class Clock(Watcher):
    """Wants times and events beside the labels."""

    @property
    def spec(self):
        return ModelSpec(required=("age_years",), target="os")

    def fit(self, X, y, survival):
        assert len(survival.time_months) == len(survival.event) == len(X)
        assert (survival.time_months == X["age_years"].to_numpy()).all(), "aligned with the rows"
        return super().fit(X, y)


def test_survival_models_get_their_times_in_every_fold(cohort, labels):
    watched(cohort, labels)
    months = np.arange(len(cohort)) / 10
    cohort = cohort.assign(age_years=months, os_months=months, os_event=pd.array([1] * len(cohort), dtype="Int64"))
    result = cross_predict(cohort, labels, {"c": Clock()}, LeaveOneCohortOut(), inner=SETTINGS)
    assert result.predictions["p_response"].notna().all()


def everything(cohort, labels, place, engine=None, storage=None):
    """Digests of all that a run with tuning, recalibration and thresholds writes."""
    search = {"estimator__C": {"low": 0.01, "high": 1.0, "log": True}}
    models = {"one": ridge(search=search), "two": ridge(search=search, scale=False)}
    tuning = OptunaTuning(n_trials=2, inner_splits=2, storage=storage and str(place / storage))
    inner = dataclasses.replace(SETTINGS, tuning=tuning)
    result = cross_predict(cohort, labels, models, LeaveOneCohortOut(), inner=inner, engine=engine)
    folder = RunFolder(place)
    for table in ("predictions", "thresholds", "tuning"):
        folder.write_table(table, getattr(result, table))
    for (model, fold), fitted in result.bundles.items():
        save_bundle(fitted, folder.bundle_path(model, fold))
    for (model, fold), made in result.recalibrators.items():
        save_recalibrators(made, folder.bundle_path(model, fold))
    return folder.digests()


def test_results_do_not_depend_on_the_engine_with_all_that_is_inside(cohort, labels, tmp_path):
    """Byte by byte, also where two workers keep their trials in one file."""
    one = everything(cohort, labels, tmp_path / "one")
    assert len(one) == 3 + 2 * 4 * 3
    assert one == everything(cohort, labels, tmp_path / "two", JoblibEngine(2), "tuning.log")


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["tuning.log", "tuning.db"])
def test_results_are_the_same_with_processes(cohort, labels, tmp_path, storage):
    one = everything(cohort, labels, tmp_path / "one")
    assert one == everything(cohort, labels, tmp_path / "two", JoblibEngine(2, "loky"), storage)


def test_the_chosen_parameters_are_those_of_the_fold_and_of_the_final_fit(cohort, labels, tmp_path):
    search = {"estimator__C": {"low": 0.001, "high": 10.0, "log": True}}
    inner = InnerSettings(tuning=OptunaTuning(n_trials=5, inner_splits=3))
    result = cross_predict(cohort, labels, {"m": ridge(search=search)}, LeaveOneCohortOut(), inner=inner)
    assert set(result.tuning["fold"]) == {*(s.fold for s in result.splits), FINAL}
    for fold, rows in result.tuning.groupby("fold"):
        assert rows["trial"].tolist() == list(range(5))
        assert rows["chosen"].sum() == 1
        key = FINAL if fold == FINAL else f"r0-{fold}"
        fitted = result.bundles["m", key]
        best = rows.loc[rows["chosen"], "params"].item()
        assert best == f'{{"estimator__C": {fitted.estimator_.C}}}'
    back = load_bundle(save_bundle(fitted, tmp_path / "b"))
    assert back.search == search


# ---- hard cases


def small(n, seed=0, cohorts="A"):
    """A few patients with what the models here read."""
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03d}" for i in range(n)]
    frame = pd.DataFrame({"patient_id": ids, "cohort_id": [cohorts[i % len(cohorts)] for i in range(n)]}, dtype="str")
    y = pd.Series((np.arange(n) % 3 == 0).astype(int), dtype="Int64")
    frame["person_id"], frame["tumor_type"] = frame["patient_id"], "NSCLC"
    return frame.assign(tmb_mut_mb=rng.uniform(0, 30, n), nlr=rng.uniform(1, 9, n), age_years=60.0 + rng.random(n)), y


def test_twelve_patients_have_predictions_and_notes():
    cohort, y = small(12)
    inner = dataclasses.replace(SETTINGS, tuning=OptunaTuning(n_trials=2))
    model = {"m": ridge(search={"estimator__C": {"low": 0.01, "high": 1.0}})}
    result = cross_predict(cohort, y, model, Auto(n_splits=2, n_repeats=1), inner=inner)
    assert result.scheme == "repeated_kfold"
    assert set(result.predictions["recalibration"]) == {"none"}
    assert len(result.predictions) == 12
    data_rules = result.thresholds[~result.thresholds["rule"].str.startswith("harm")]
    assert data_rules["threshold"].isna().all()
    assert any("recalibration platt needs" in note for note in result.notes)
    conform("predictions", result.predictions)
    conform("thresholds", result.thresholds)
    conform("tuning", result.tuning)


def test_a_model_that_abstains_on_everybody_has_rows_and_no_recalibration(cohort, labels):
    silent = {"w": watched(cohort, labels, silent=True)}
    result = cross_predict(cohort, labels, silent, LeaveOneCohortOut(), inner=SETTINGS)
    assert result.predictions["abstained"].all()
    assert not result.recalibrators
    assert "platt" not in set(result.predictions["recalibration"])
    conform("thresholds", result.thresholds)


def test_one_class_in_an_inner_fold_is_no_obstacle():
    cohort, _ = small(60)
    y = pd.Series((np.arange(60) < 11).astype(int), dtype="Int64")
    # all events are two persons: inner training folds may lack one of the classes
    cohort.loc[:5, "person_id"], cohort.loc[6:10, "person_id"] = "p000", "p006"
    folds = inner_folds(cohort, y.to_numpy(dtype=int), 5, 0)
    assert len(folds) <= 2
    result = cross_predict(cohort, y, {"w": watched(cohort, y)}, RepeatedStratifiedKFold(2, 1), inner=SETTINGS)
    assert len(result.predictions.query("recalibration == 'none'")) == 60


def test_cohorts_of_the_same_persons_leave_nothing_to_train_on():
    cohort, y = small(40, cohorts="AB")
    cohort["person_id"] = [f"h{i // 2}" for i in range(40)]
    words = r"0 responders among 0 patients \(20 more are persons of the test fold, under another id\)"
    with pytest.raises(ConfigError, match=words):
        cross_predict(cohort, y, {"m": ridge()}, LeaveOneCohortOut(), inner=SETTINGS)


def test_recalibrators_come_back_to_the_last_bit_and_damage_is_told(tmp_path):
    rng = np.random.default_rng(0)
    p, y = rng.uniform(0.1, 0.9, 400), rng.integers(0, 2, 400)
    made = {name: fit_recalibrator(name, p, y) for name in ("platt", "beta", "isotonic", "intercept")}
    save_recalibrators(made, tmp_path)
    assert load_recalibrators(tmp_path) == made
    assert load_recalibrators(tmp_path / "older") == {}
    path = tmp_path / "recalibrators.json"
    for text, words in (
        ("{", "damaged"),
        ('{"format": 1, "recalibrators": {"platt": {"name": "platt"}}}', "damaged"),
        ('{"format": 2, "recalibrators": {}}', "format 2"),
        ("[]", "damaged"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            load_recalibrators(tmp_path)
