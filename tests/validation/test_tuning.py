"""The inner search: trial 0, the same trials after a stop, failing trials, and studies that never mix."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from immunocast.errors import ConfigError
from immunocast.models.spec import ModelSpec
from immunocast.validation.inner import Training, inner_folds
from immunocast.validation.search_space import checked_space
from immunocast.validation.tuning import CRITERIA, OptunaTuning

N = 80
RNG = np.random.default_rng(4)
Y = (RNG.random(N) < 0.4).astype(int)
AGE = 60 + 8 * Y + 10 * RNG.standard_normal(N)
IDS = pd.DataFrame({"patient_id": [f"p{i:02d}" for i in range(N)], "cohort_id": "A", "person_id": range(N)}).astype(str)
DATA = Training(IDS, pd.DataFrame({"age_years": AGE}), Y)
SPACE = {"slope": {"low": -1.0, "high": 2.0}, "bend": {"low": 1, "high": 5}, "side": {"choices": ["up", "down"]}}


class Curve(ClassifierMixin, BaseEstimator):
    """A formula in age with three parameters; `fit` only learns the mean, and may be told to fail or to stop."""

    fits = 0
    stop_at = None

    def __init__(self, slope=0.1, bend=1, side="up", fails="", search=SPACE):
        self.slope = slope
        self.bend = bend
        self.side = side
        self.fails = fails
        self.search = search

    @property
    def spec(self):
        return ModelSpec(required=("age_years",))

    def fit(self, X, y):
        Curve.fits += 1
        if Curve.stop_at == Curve.fits:
            raise KeyboardInterrupt
        if self.fails == "always" or (self.fails == "down" and self.side == "down"):
            raise ValueError(f"cannot go {self.side}")
        self.mean_ = float(X["age_years"].mean())
        return self

    def predict_proba(self, X):
        z = self.slope * (X["age_years"].to_numpy() - self.mean_) / self.bend
        p = 1 / (1 + np.exp(-(z if self.side == "up" else -z)))
        return np.column_stack([1 - p, p])


@pytest.fixture(autouse=True)
def no_stop():
    Curve.fits, Curve.stop_at = 0, None


def search(tuning, model=None, data=DATA, **more):
    return tuning.search("curve", model or Curve(), data, **{"endpoint": "response", "where": "fold A", **more})


QUICK = OptunaTuning(n_trials=16, inner_splits=3, seed=3)


def test_trial_0_is_what_is_configured_and_the_best_is_taken():
    found = search(QUICK, Curve(slope=-0.5))
    assert found.trials[0].params == {"bend": 1, "side": "up", "slope": -0.5}
    assert len(found.trials) == 16
    values = [t.value for t in found.trials]
    assert found.chosen == int(np.argmin(values))
    assert found.params == found.trials[found.chosen].params
    assert values[found.chosen] < values[0], "there is something to find"
    assert len({str(t.params) for t in found.trials}) > 8


def test_the_value_is_the_mean_loss_of_patients_whom_the_fit_did_not_see():
    first = search(dataclasses.replace(QUICK, n_trials=1)).trials[0]
    losses = []
    for fold in inner_folds(IDS, Y, 3, 3):
        p = Curve().fit(DATA.X.iloc[fold.train], None).predict_proba(DATA.X.iloc[fold.test])[:, 1]
        losses.append(-np.mean(np.log(np.where(Y[fold.test] == 1, p, 1 - p))))
    assert first.value == pytest.approx(np.mean(losses), rel=1e-12)


@pytest.mark.parametrize(("suffix", "stop_at"), [(".db", 14), (".log", 1), (".log", 14), (".log", 40)])
def test_a_search_that_was_stopped_goes_on_to_the_same_table(tmp_path, suffix, stop_at):
    whole = search(QUICK)
    n_fits, Curve.fits = Curve.fits, 0
    kept = dataclasses.replace(QUICK, storage=str(tmp_path / f"tuning{suffix}"))
    Curve.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        search(kept)
    Curve.fits, Curve.stop_at = 0, None
    again = search(kept)
    assert again == whole
    assert Curve.fits == n_fits - 3 * ((stop_at - 1) // 3), "finished trials are not redone"
    Curve.fits = 0
    assert search(kept) == whole
    assert Curve.fits == 0


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(tmp_path):
    kept = dataclasses.replace(QUICK, n_trials=6, storage=str(tmp_path / "t.log"))
    small = search(kept)
    large = search(dataclasses.replace(kept, n_trials=16))
    assert large.trials[:6] == small.trials
    assert large == search(QUICK)
    assert search(kept) == small, "the smaller budget does not see what the larger one found"


def test_another_configuration_or_cohort_never_shares_a_study(tmp_path):
    kept = dataclasses.replace(QUICK, n_trials=3, storage=str(tmp_path / "t.log"))
    search(kept)
    other_y = Training(IDS, DATA.X, 1 - Y)
    other_x = Training(IDS, DATA.X + 1.0, Y)
    other_ids = Training(IDS.assign(patient_id="q" + IDS["patient_id"]), DATA.X, Y)
    other_persons = Training(IDS.assign(person_id=IDS["person_id"].replace("7", "8")), DATA.X, Y)
    for tuning, model, data, endpoint in (
        (kept, Curve(slope=0.2), DATA, "response"),
        (kept, Curve(search={"slope": SPACE["slope"]}), DATA, "response"),
        (kept, Curve(), other_y, "response"),
        (kept, Curve(), other_x, "response"),
        (kept, Curve(), other_ids, "response"),
        (kept, Curve(), other_persons, "response"),
        (kept, Curve(), DATA, "dcb"),
        (dataclasses.replace(kept, seed=4), Curve(), DATA, "response"),
        (dataclasses.replace(kept, inner_splits=4), Curve(), DATA, "response"),
        (dataclasses.replace(kept, criterion="brier"), Curve(), DATA, "response"),
    ):
        Curve.fits = 0
        search(tuning, model, data, endpoint=endpoint)
        assert Curve.fits, "nothing was taken from another study"
    Curve.fits = 0
    search(kept)
    assert Curve.fits == 0


def test_failing_trials_are_told_and_not_taken():
    found = search(QUICK, Curve(fails="down"))
    failed = [t for t in found.trials if t.value is None]
    assert failed
    assert {t.params["side"] for t in failed} == {"down"}
    assert all("ValueError: cannot go down" in t.note for t in failed)
    assert found.params["side"] == "up"


def test_failing_trials_survive_a_stop(tmp_path):
    kept = dataclasses.replace(QUICK, storage=str(tmp_path / "t.log"))
    assert search(kept, Curve(fails="down")) == search(kept, Curve(fails="down")) == search(QUICK, Curve(fails="down"))


def test_where_every_trial_fails_the_run_stops_with_the_reason():
    with pytest.raises(ConfigError, match=r"Tuning of curve in fold A: every trial failed. ValueError: cannot go up"):
        search(QUICK, Curve(fails="always"))


def test_a_model_that_abstains_on_everybody_has_no_value():
    class Silent(Curve):
        def predict_proba(self, X):
            return np.full((len(X), 2), np.nan)

    with pytest.raises(ConfigError, match="no inner fold has predictions to judge"):
        search(QUICK, Silent())


def test_too_few_patients_for_inner_folds_use_what_is_configured():
    few = DATA.take(np.r_[np.flatnonzero(Y == 1)[:1], np.flatnonzero(Y == 0)[:11]])
    found = search(QUICK, data=few)
    assert (found.params, found.trials) == ({}, ())
    assert "too few events" in found.note


def test_the_same_parameters_are_tried_once():
    found = search(QUICK, Curve(search={"side": SPACE["side"]}))
    assert Curve.fits == 2 * 3
    assert sum(t.note.startswith("as trial") for t in found.trials) == 14


def test_a_configured_value_outside_of_its_range_is_still_trial_0():
    found = search(QUICK, Curve(slope=5.0))
    assert found.trials[0].params["slope"] == 5.0
    assert all(-1 <= t.params["slope"] <= 2 for t in found.trials[1:])


def test_a_time_limit_is_told():
    found = search(dataclasses.replace(QUICK, timeout_s=1e-9))
    assert len(found.trials) == 1
    assert "stopped after 1 of 16 trials by timeout_s" in found.note


def test_auroc_is_maximised_and_undefined_with_one_class():
    y = np.array([0, 0, 1])
    assert CRITERIA["auroc"](y, np.array([0.1, 0.2, 0.9])) == 0
    assert CRITERIA["auroc"](y[:2], np.array([0.1, 0.2])) is None
    assert dataclasses.replace(QUICK, criterion="auroc").criterion_name == "1 - auroc"


def test_a_file_that_is_no_storage_is_a_message(tmp_path):
    path = tmp_path / "t.db"
    path.write_text("these are no trials, but the notes of a colleague")
    with pytest.raises(ConfigError, match=r"tuning.storage .*t\.db cannot be used"):
        search(dataclasses.replace(QUICK, storage=str(path)))


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"slop": {"low": 0, "high": 1}}, r"search\.slop: the model has no such parameter"),
        ({"slope": {"low": 2, "high": 1}}, "low below high"),
        ({"slope": {"low": 0, "high": 1, "log": True}}, "begins above 0"),
        ({"slope": {"low": 0}}, "a range has low and high"),
        ({"slope": {"low": "a", "high": 1}}, "are numbers"),
        ({"slope": [0, 1]}, "must be a mapping"),
        ({"side": {"choices": []}}, "not empty"),
        ({"side": {"choices": [["a"]]}}, "choices are numbers"),
        ({"search": {"choices": [1]}}, "no such parameter"),
        ([1], "must map parameters"),
    ],
)
def test_search_spaces_are_checked(space, words):
    with pytest.raises(ConfigError, match=words):
        checked_space("curve", Curve(search=space))


def test_tuning_without_any_search_space_is_refused():
    with pytest.raises(ConfigError, match=r"no model has a search space.*tuning=none"):
        QUICK.check({"curve": Curve(search=None)})
