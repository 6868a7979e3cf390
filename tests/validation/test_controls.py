"""Controls: silent on honest procedures, loud on leaky ones, the same bytes whatever the workers."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.checks import check_controls
from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.models.blend import Blend
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.learner import Learner
from immunocast.models.loris import LorisPanCancer
from immunocast.models.update import PublishedUpdate
from immunocast.store.schemas import TABLES
from immunocast.validation.controls import (
    above_half,
    auroc_of,
    events_per_parameter_rows,
    own_rate_rows,
    permutation_blocks,
    permuted,
    permuted_label_rows,
)
from immunocast.validation.controls_inputs import controlled
from immunocast.validation.controls_run import n_coefficients, run_controls, tuned_parameters
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.evaluate import evaluate
from immunocast.validation.null_features import null_feature_rows
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold
from immunocast.validation.stability import stability_table

NUMBERS = ["nlr", "albumin_g_dl", "hemoglobin_g_dl", "platelets_10e9_l", "tmb_mut_mb", "age_years", "gep_score", "fcna"]
KFOLD = RepeatedStratifiedKFold(3, 2, 0)


def noise(n=240, seed=0, effect=0.0, cohorts=2):
    """A cohort of standard normal columns, two rows of some persons; the first column may have an effect."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.standard_normal(n) for name in NUMBERS})
    person = np.arange(n)
    person[: n // 10] = person[n // 10 : 2 * (n // 10)]
    names = pd.Series([f"c{i}" for i in person % cohorts])
    cohort = frame.assign(
        patient_id=[f"p{i:04}" for i in range(n)], person_id=[f"h{i}" for i in person], cohort_id=names
    )
    y = pd.Series(rng.random(n) < 1 / (1 + np.exp(0.6 - effect * frame["nlr"]))).astype("Int64")
    y[rng.random(n) < 0.03] = pd.NA
    return cohort, y


def ridge(features=NUMBERS, cls=Learner, **settings_):
    estimator = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-10)
    return cls(estimator, {f: {} for f in features}, required=(), explainer="linear", **settings_)


def prepare(cohort, y, model, scheme=KFOLD):
    p = cross_predict(cohort, y, {"m": model}, scheme).predictions
    return controlled(cohort, y, {"m": model}, scheme, p, names=["m"])


def permutation(run, n=20, **settings_):
    (row,) = permuted_label_rows(run, n_permutations=n, seed=3, min_events=10, **settings_)
    return row


@settings(max_examples=40, deadline=None)
@given(
    persons=st.lists(st.integers(0, 12), min_size=1, max_size=40), seed=st.integers(0, 99), cohorts=st.integers(1, 3)
)
def test_labels_move_within_cohorts_and_with_their_persons(persons, seed, cohorts):
    rng = np.random.default_rng(seed)
    ids = pd.DataFrame(
        {"person_id": [f"h{i}" for i in persons], "cohort_id": rng.choice(["a", "b", "c"][:cohorts], len(persons))}
    )
    y = rng.integers(0, 2, len(ids))
    new = permuted(y, permutation_blocks(ids), rng)
    for _, rows in ids.groupby("cohort_id").indices.items():
        assert new[rows].sum() == y[rows].sum()

    def bundles(labels):
        """What each person carries: labels by cohort, in the order of the rows."""
        parts = ids.assign(y=labels).sort_values("cohort_id", kind="stable").groupby("person_id")
        return sorted((tuple(p["cohort_id"]), tuple(p["y"])) for _, p in parts)

    assert bundles(new) == bundles(y)
    assert sorted(np.concatenate([b.ravel() for b in permutation_blocks(ids)])) == list(range(len(ids)))


def test_permuted_labels_are_new():
    cohort, _ = noise()
    y = np.arange(len(cohort))
    new = permuted(y, permutation_blocks(cohort), np.random.default_rng(0))
    assert (new != y).mean() > 0.9


@pytest.mark.parametrize("scheme", [KFOLD, LeaveOneCohortOut()], ids=lambda s: s.name)
def test_the_auroc_is_that_of_the_evaluation(scheme):
    cohort, y = noise(effect=0.7)
    model = ridge()
    p = cross_predict(cohort, y, {"m": model}, scheme).predictions
    run = controlled(cohort, y, {"m": model}, scheme, p, names=["m"])
    metrics = evaluate(p, references=[], n_resamples=100).metrics
    expected = metrics[(metrics["metric"] == "auroc") & (metrics["cohort_id"] == "combined")]["estimate"].item()
    assert auroc_of(run.panel, run.scores("m")) == expected
    # on the real labels, the first repeat's folds and fits come out as in the run
    panel, drawn = run.draw("m", run.y)
    np.testing.assert_allclose(drawn.p[0], run.scores("m").p[0], rtol=0, atol=1e-12)
    assert 0.5 < auroc_of(panel, drawn) < 1


def test_an_honest_procedure_passes_and_its_signal_is_told():
    row = permutation(prepare(*noise(effect=1.0), ridge()))
    assert row["verdict"] == "passed"
    assert row["p"] == pytest.approx(1 / 21)
    assert row["low"] < 0.5 < row["high"]
    assert row["high"] < row["observed"]
    assert check_controls(pd.DataFrame([row])) == []


def test_a_leaking_column_passes_under_permutation_and_shows_in_the_observed_auroc():
    """Permuted labels control the procedure, not the columns: what this control cannot show."""
    cohort, y = noise()
    cohort["fcna"] = y.astype(float).fillna(0) + np.random.default_rng(0).normal(0, 0.1, len(y))
    row = permutation(prepare(cohort, y, ridge()))
    assert row["verdict"] == "passed"
    assert row["observed"] > 0.99
    assert row["p"] == pytest.approx(1 / 21)


class SelectsBeforeSplitting(Learner):
    """Keeps the features that go best with the labels of all patients, test patients included."""

    def fit_many(self, X, Y, W):
        y = np.asarray(Y, dtype=float)
        best = sorted(X, key=lambda c: -abs(np.corrcoef(X[c], y)[0, 1]))[:2]
        return Learner(self.estimator, {c: {} for c in best}, required=()).fit_many(X, Y, W)


def test_selection_on_all_labels_is_found_out():
    run = prepare(*noise(n=160, seed=2), ridge(cls=SelectsBeforeSplitting))
    row = permutation(run)
    assert row["estimate"] > 0.54
    assert row["verdict"] == "suspicious"
    (found,) = check_controls(pd.DataFrame([row]))
    assert (found["code"], found["severity"]) == ("IC-PERF-003", "error")


@pytest.mark.parametrize("seed", range(3))
def test_no_signal_is_no_alarm(seed):
    run = prepare(*noise(n=160, seed=seed), ridge())
    row = permutation(run)
    assert row["verdict"] == "passed"
    codes = [f["code"] for f in check_controls(pd.DataFrame([row | {"p": 0.4}]))]
    assert codes == ["IC-PERF-004"]


def test_persons_too_few_to_exchange_labels_are_no_suspicion():
    """Five persons with 48 rows each, in two cohorts: nearly every exchange leaves labels where they were."""
    cohort, y = noise(effect=1.0)
    cohort["person_id"] = [f"p{i % 5}" for i in range(len(cohort))]
    row = permutation(prepare(cohort, y, ridge()))
    assert np.isnan(row["estimate"])
    assert row["verdict"] == "none"
    assert row["note"].startswith("too few persons")
    assert check_controls(pd.DataFrame([row])) == []


def test_the_judgement_by_hand():
    assert above_half(np.full(10, 0.5)) == 1
    assert above_half(np.full(10, 0.6)) == 0
    assert above_half(np.array([0.4, 0.5, 0.6])) == pytest.approx(0.5)
    assert above_half(np.array([0.45, 0.46, 0.44])) > 0.99, "below one half is no leak"


def test_references_are_the_identities_of_a_rate():
    cohort, y = noise(effect=0.5)
    run = prepare(cohort, y, ridge(), LeaveOneCohortOut())
    rows = pd.DataFrame(own_rate_rows(run, min_events=10)).set_index(["model", "cohort_id", "metric"]).sort_index()
    rates = pd.Series(run.y).groupby(run.ids["cohort_id"]).mean()
    for cohort_id, r in rates.items():
        found = rows.loc[("cohort_orr", cohort_id)]
        assert found.loc["brier", "estimate"] == pytest.approx(r * (1 - r))
        assert found.loc["log_loss", "estimate"] == pytest.approx(-r * np.log(r) - (1 - r) * np.log(1 - r))
        assert found.loc["auroc", "estimate"] == 0.5
        (other,) = set(rates.index) - {cohort_id}  # under LOCO the rate of training is that of the other cohort
        from_other = rows.loc[("training_rate", cohort_id, "brier"), "estimate"]
        assert from_other == pytest.approx(r * (1 - r) + (r - rates[other]) ** 2)
    p, y_ = run.scores("m").p[0], run.panel.y
    assert rows.loc[("cohort_orr", "combined", "brier"), "observed"] == pytest.approx(np.mean((p - y_) ** 2))
    few = pd.DataFrame(own_rate_rows(run, min_events=1000))
    assert few["estimate"].isna().all()
    assert set(few["note"]) == {"too small"}


def test_events_per_parameter():
    run = prepare(*noise(), ridge())
    events = min(int(run.y.sum()), int((1 - run.y).sum()))
    rows = {r["model"]: r for r in events_per_parameter_rows(run, {"few": 3, "many": 90, "forest": None})}
    assert rows["few"]["estimate"] == events / 3
    assert "under 10" in rows["many"]["note"]
    assert "under 10" not in rows["few"]["note"]
    assert np.isnan(rows["forest"]["estimate"])
    cohort = noise()[0]
    update = PublishedUpdate(LorisPanCancer(), {"fcna": {}}, required=())
    fitted = update.fit(
        model_frame(cohort, update.spec.inputs, by_cohort=update.spec.by_cohort), np.arange(len(cohort)) % 2
    )
    assert n_coefficients(fitted) == len(fitted.factors_) + 1, "published terms and the added feature"


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(C=0.5),
        LogisticRegression(C=0.5, solver="liblinear"),
        RandomForestClassifier(30, max_depth=4, random_state=0),
    ],
    ids=["ridge", "liblinear", "forest"],
)
def test_signal_beats_its_shuffled_copies_and_noise_does_not(estimator):
    run = prepare(*noise(n=400, effect=1.2), Learner(estimator, {f: {} for f in NUMBERS[:5]}, required=()))
    rows = pd.DataFrame(null_feature_rows(run, n_null_features=20, seed=1)).set_index("metric")
    signal = rows.loc["importance:nlr"]
    assert signal["p"] == pytest.approx(1 / 21)
    assert signal["observed"] > 2 * signal["high"]
    others = rows.loc[[f"importance:{f}" for f in NUMBERS[1:5]]]
    assert (others["p"] > 0.05).sum() >= 2
    summary = rows.loc["features_not_above_noise"]
    assert summary["estimate"] == (others["p"] > 0.05).sum()
    assert "nlr" not in summary["note"].split(";")[0]
    random = rows.loc["importance:random"]
    # a random column is as important as a noise column's copy, up to the luck of the draws
    assert others["estimate"].min() * 0.5 < random["estimate"] < others["estimate"].max() * 2


def test_among_noise_copies_are_as_good_as_originals():
    above = []
    for seed in range(4):
        rows = null_feature_rows(prepare(*noise(n=200, seed=seed), ridge()), n_null_features=10, seed=seed)
        above += [r["p"] for r in rows if r["metric"].startswith("importance:") and r["p"] == r["p"]]
    assert 0.3 < np.mean(above) < 0.7


def test_an_estimator_without_importances_says_so():
    from sklearn.naive_bayes import GaussianNB

    run = prepare(*noise(), Learner(GaussianNB(), {f: {} for f in NUMBERS[:2]}, required=()))
    (row,) = null_feature_rows(run, n_null_features=5, seed=0)
    assert "GaussianNB tells no importance" in row["note"]
    blend = Blend({"one": ridge(), "two": ridge(NUMBERS[:2])}, inner="kfold", n_splits=2)
    (row,) = null_feature_rows(prepare(*noise(), blend), n_null_features=5, seed=0)
    assert row["note"] == "Blend tells no importance of its columns"


class Watched(Learner):
    """Keeps the weights that it was given."""

    seen: ClassVar[list] = []

    def fit_many(self, X, Y, W):
        Watched.seen.append(np.asarray(W))
        return Learner(self.estimator, self.features, required=()).fit_many(X, Y, W)


def test_a_patient_is_never_among_those_who_are_resampled():
    run = prepare(*noise(), ridge(cls=Watched))
    Watched.seen.clear()
    table, lost = stability_table(run, n_refits=20, seed=0)
    assert lost == {"m": 0}
    splits = list(KFOLD.split(run.table, run.y))
    assert len(Watched.seen) == len(splits)
    for split, W in zip(splits, Watched.seen, strict=True):
        assert not W[split.test].any()
        persons = run.ids["person_id"].to_numpy()
        assert not W[np.isin(persons, persons[split.test])].any()
        # persons are drawn, all their rows together, as many as there are in each cohort
        drawn = pd.DataFrame(W[split.train]).groupby(persons[split.train])
        assert (drawn.max() == drawn.min()).all(axis=None)
    assert (table["n_refits"] == 20).all()
    assert len(table) == len(run.y)


def test_predictions_are_steadier_with_more_patients():
    medians = []
    for n in (150, 600):
        table, _ = stability_table(prepare(*noise(n=n, effect=1.0), ridge()), n_refits=30, seed=0)
        assert (table["p_low"] <= table["p_mean"]).all()
        assert (table["p_mean"] <= table["p_high"]).all()
        medians.append(table["mean_abs_change"].median())
    # standard errors shrink with the root of the number: by a half here
    assert 0.35 < medians[1] / medians[0] < 0.75


def test_refits_take_the_parameters_that_the_folds_were_tuned_to():
    run = prepare(*noise(effect=1.0), ridge())
    tuning = pd.DataFrame(
        {
            "model": "m",
            "repeat": [s.repeat for s in KFOLD.split(run.table, run.y)],
            "fold": [s.fold for s in KFOLD.split(run.table, run.y)],
            "chosen": True,
            "params": '{"estimator__C": 1e-06}',
        }
    )
    frozen, _ = stability_table(run, n_refits=20, seed=0, frozen=tuned_parameters(tuning))
    free, _ = stability_table(run, n_refits=20, seed=0)
    assert frozen["p_mean"].std() < 0.2 * free["p_mean"].std(), "a huge penalty leaves the rate of the training fold"
    assert tuned_parameters(tuning.assign(chosen=False)) == {}


def everything(engine=None, names=("m",), **changes):
    cohort, y = noise(effect=0.8)
    models = {"m": ridge(), "forest": Learner(RandomForestClassifier(5), {"nlr": {}}, required=(), explainer="tree")}
    result = cross_predict(cohort, y, models, KFOLD)
    given_ = dict(n_permutations=5, n_null_features=5, n_refits=20) | changes
    return run_controls(
        cohort, y, models, KFOLD, result.predictions, tuning=result.tuning, final=lambda n: result.bundles[n, "final"],
        names=names, thresholds=[0.3], min_events=10, seed=1, engine=engine, **given_,
    )  # fmt: skip


def test_bytes_do_not_depend_on_the_workers():
    one, two = everything(), everything(JoblibEngine(2, "threading"))
    for table in ("controls", "stability"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(two, table), check_exact=True)
    assert set(one.controls["control"]) == {
        "permuted_labels", "null_feature", "cohort_orr", "events_per_parameter", "instability",
    }  # fmt: skip
    summary = one.controls.set_index(["control", "metric"]).sort_index()
    crossing = (one.stability["p_low"] < 0.3) & (one.stability["p_high"] >= 0.3)
    assert summary.loc[("instability", "share_crossing_0.3"), "estimate"].item() == pytest.approx(crossing.mean())
    assert (
        summary.loc[("instability", "mean_abs_change"), "estimate"].item() == one.stability["mean_abs_change"].median()
    )
    assert set(summary.loc[("events_per_parameter", "events_per_parameter"), "model"]) == {"m", "forest"}


def test_zero_draws_leave_a_control_out_and_no_names_leave_out_all():
    few = everything(n_permutations=0, n_null_features=0, n_refits=0)
    assert set(few.controls["control"]) == {"cohort_orr", "events_per_parameter"}
    assert few.stability.empty
    none = everything(names=())
    assert list(none.controls.columns) == list(TABLES["controls"].columns)
    assert none.controls.empty
    assert check_controls(none.controls) == []


def test_only_learners_with_predictions_can_be_controlled():
    with pytest.raises(ConfigError, match=r"controls.models names 'xgboost'.*controls.models=\[ridge\]"):
        everything(names=("xgboost",))
    cohort, y = noise()
    models = {"tmb": MarkerCutoff("tmb_mut_mb", 0.0)}
    p = cross_predict(cohort, y, models, KFOLD).predictions
    with pytest.raises(ConfigError, match="tmb is not fitted to the labels"):
        controlled(cohort, y, models, KFOLD, p, names=["tmb"])
