"""Prediction sets: p-values by hand, coverage on simulated patients, persons, and who is too few."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from immunocast.errors import ConfigError
from immunocast.explain.conformal import conformal_p_values, conformal_table, fewest
from immunocast.explain.inputs import ExplainInputs
from immunocast.store.schemas import conform
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold, Split


def world(n=1200, cohorts=3, seed=0, scheme=None, shift=0.0, persons=None, repeats=1):
    """Patients with true probabilities as their held-out predictions; the last cohort's outcomes may be shifted."""
    rng = np.random.default_rng(seed)
    ids = [f"p{i:04d}" for i in range(n)]
    cohort = pd.DataFrame(
        {
            "patient_id": ids,
            "cohort_id": np.sort(np.array(list("ABCDEFGH"[:cohorts]))[np.arange(n) % cohorts]),
            "person_id": persons if persons is not None else ids,
        }
    )
    margin = rng.normal(-0.5, 1.3, n)
    last = (cohort["cohort_id"] == cohort["cohort_id"].iloc[-1]).to_numpy()
    y = (rng.random(n) < 1 / (1 + np.exp(-(margin + shift * last)))).astype(int)
    scheme = scheme or LeaveOneCohortOut()
    rows = []
    for split in scheme.split(cohort, y):
        own = cohort.iloc[split.test]
        noise = 0 if repeats == 1 else rng.normal(0, 0.05, len(own))
        rows.append(
            own.assign(
                model="m", recalibration="none", scheme=scheme.name, repeat=split.repeat, fold=split.fold,
                endpoint="response", y_true=y[split.test],
                p_response=1 / (1 + np.exp(-margin[split.test] - noise)),
                abstained=False, assays="", in_training=False,
            )
        )  # fmt: skip
    return ExplainInputs(
        cohort=cohort,
        y=pd.Series(y, dtype="Int64"),
        scheme=scheme,
        scheme_name=scheme.name,
        endpoint="response",
        models={},
        predictions=pd.concat(rows, ignore_index=True),
        load_model=lambda model, fold: None,
    )


def outcomes(run):
    return run.predictions.drop_duplicates("patient_id").set_index("patient_id")["y_true"]


def test_p_values_by_hand():
    p = np.array([0.6, 0.2])
    known, y = np.array([0.9, 0.6, 0.5, 0.1, 0.3]), np.array([1, 1, 1, 0, 0])
    event, other, n_event, n_other = conformal_p_values(p, known, y, np.array(list("abcde")))
    # event: as unlike are those of class 1 with p <= 0.6 (0.6, 0.5), and the patient
    assert event == pytest.approx([3 / 4, 1 / 4])
    assert other == pytest.approx([1 / 3, 2 / 3])
    assert (n_event, n_other) == (3, 2)


def test_the_rows_of_a_person_count_as_one():
    known, y = np.array([0.9, 0.2, 0.2, 0.2]), np.array([1, 1, 1, 1])
    event = conformal_p_values(np.array([0.3]), known, y, np.array(["a", "b", "b", "b"]))[0]
    assert event == pytest.approx([2 / 3])


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("scheme", [LeaveOneCohortOut(), RepeatedStratifiedKFold(5, 1, 0)])
def test_coverage_of_exchangeable_patients_is_that_asked_for_in_each_class(scheme, coverage):
    run = world(n=2400, scheme=scheme)
    found = conform("conformal", conformal_table(run, [coverage])).set_index("patient_id")
    y = outcomes(run).loc[found.index]
    for c in (0, 1):
        n = int((y == c).sum())
        # 99.9 % of a binomial, widened since calibration patients are a sample, too
        low, high = binom.interval(0.999, n, coverage)
        slack = 1.5 * (high - low) / 2
        assert abs(found.loc[y == c, "covered"].sum() - coverage * n) < slack


def test_a_cohort_that_is_unlike_the_others_loses_coverage_and_the_note_says_so():
    """Leave one cohort out does not guarantee coverage: the table shows it."""
    run = world(n=2400, shift=3.0)
    found = conformal_table(run, [0.9])
    found["y"] = outcomes(run).loc[found["patient_id"]].to_numpy()
    strange = found[(found["cohort_id"] == "C") & (found["y"] == 1)]
    assert found["note"].str.contains("other cohorts").all()
    alike = found[(found["cohort_id"] != "C") & (found["y"] == 1)]
    assert abs(strange["covered"].mean() - 0.9) > abs(alike["covered"].mean() - 0.9) + 0.01


def test_sets_follow_from_the_p_values_and_grow_with_coverage():
    found = conformal_table(world(n=600), [0.7, 0.9])
    for coverage, part in found.groupby("coverage"):
        alpha = 1 - coverage
        event, other = part["p_value_event"] > alpha + 1e-9, part["p_value_other"] > alpha + 1e-9
        expected = np.select([event & other, event, other], ["both", "event", "other"], "none")
        assert (part["prediction_set"] == expected).all()
    size = found["prediction_set"].map({"none": 0, "event": 1, "other": 1, "both": 2})
    by = found.assign(size=size).pivot_table(index="patient_id", columns="coverage", values="size")
    assert (by[0.9] >= by[0.7]).all()
    assert (by[0.9] > by[0.7]).any()


def test_neither_the_patient_nor_a_linked_person_calibrates():
    """A twin of each of 30 patients lies in another cohort, with the same prediction and outcome."""
    n = 300
    persons = [f"p{i:04d}" for i in range(n)]
    for i in range(30):
        persons[n - 1 - i] = persons[i]
    run = world(n=n, persons=persons)
    found = conformal_table(run, [0.9]).set_index("patient_id")
    held_out = run.predictions.set_index("patient_id")
    for i in (0, 29, 100):
        own = held_out.loc[f"p{i:04d}"]
        fold_persons = set(held_out.loc[held_out["fold"] == own["fold"], "person_id"])
        known = held_out[~held_out["person_id"].isin(fold_persons)]
        assert found.loc[own.name, "n_calibration"] == len(known)
        alike = known[known["y_true"] == 1]
        weight = 1 / alike["person_id"].map(alike["person_id"].value_counts())
        expected = (weight[alike["p_response"] <= own["p_response"]].sum() + 1) / (alike["person_id"].nunique() + 1)
        assert found.loc[own.name, "p_value_event"] == pytest.approx(expected)


def test_a_prediction_of_a_patient_who_trained_the_model_calibrates_nobody():
    run = world(n=300)
    run.predictions.loc[run.predictions["cohort_id"] == "A", "in_training"] = True
    found = conformal_table(run, [0.9])
    assert set(found["cohort_id"]) == {"B", "C"}
    assert (found["n_calibration"] == 100).all()


def test_too_few_patients_give_no_set_but_a_reason():
    run = world(n=60)
    run.predictions["y_true"] = (np.arange(60) % 10 == 0).astype(int)
    found = conform("conformal", conformal_table(run, [0.9]))
    assert (found["prediction_set"] == "").all()
    assert found[["p_value_event", "p_value_other"]].isna().all(axis=None)
    assert not found["covered"].any()
    assert found["note"].str.contains(r"4 calibration persons with and 36 without.*10 of each").all()
    assert fewest(0.98) == 49


def test_train_and_test_cohorts_leave_nobody_to_calibrate_on():
    run = world(n=300)
    only = run.predictions[run.predictions["fold"] == "C"]
    found = conformal_table(replace(run, predictions=only), [0.9])
    assert found["note"].str.contains("no training patient").all()
    assert (found["prediction_set"] == "").all()


class Forward:
    """Each cohort but the first is predicted by models that were trained on the cohorts before it."""

    name = "forward"

    def split(self, cohort, y):
        names = sorted(set(cohort["cohort_id"]))
        for i, name in enumerate(names[1:], start=1):
            before = np.flatnonzero(cohort["cohort_id"].isin(names[:i]))
            yield Split(0, name, before, np.flatnonzero(cohort["cohort_id"] == name))


def test_only_training_patients_of_the_fold_calibrate():
    run = world(n=400, cohorts=4, scheme=Forward())
    found = conformal_table(run, [0.9]).groupby("cohort_id")
    # nobody of the first cohort was ever predicted
    assert found["n_calibration"].unique().map(list).to_dict() == {"B": [0], "C": [100], "D": [200]}
    assert set(found.get_group("B")["note"]) == {
        "no training patient of the fold has a held-out prediction to calibrate on"
    }


def test_a_rule_with_two_values_has_no_sets():
    run = world(n=300)
    rule = run.predictions.assign(model="rule", p_response=np.where(run.predictions["p_response"] > 0.4, 0.6, 0.2))
    found = conformal_table(replace(run, predictions=pd.concat([run.predictions, rule])), [0.9])
    assert set(found["model"]) == {"m"}


def test_repeats_are_averaged_into_one_row_a_patient():
    run = world(n=300, scheme=RepeatedStratifiedKFold(3, 4, 0), repeats=4)
    found = conformal_table(run, [0.9])
    assert len(found) == 300
    one = [
        conformal_table(replace(run, predictions=part), [0.9]).set_index("patient_id")
        for _, part in run.predictions.groupby("repeat")
    ]
    mean = sum(t["p_value_event"] for t in one) / 4
    assert found.set_index("patient_id")["p_value_event"].to_numpy() == pytest.approx(mean.sort_index().to_numpy())


def test_order_of_rows_does_not_matter():
    run = world(n=300)
    mixed = replace(run, predictions=run.predictions.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(
        conform("conformal", conformal_table(run, [0.9])), conform("conformal", conformal_table(mixed, [0.9]))
    )


@pytest.mark.parametrize("coverages", [[0.0], [1], [1.2], ["0.9"], [True], [0.9, 0.9]])
def test_what_is_no_coverage_is_refused(coverages):
    with pytest.raises(ConfigError, match=r"explain\.conformal"):
        conformal_table(world(n=60), coverages)


def test_no_coverage_no_table():
    assert conformal_table(world(n=60), []).empty


@settings(max_examples=60, deadline=None)
@given(arrays(float, st.integers(1, 30), elements=st.floats(0, 1)), st.floats(0, 1), st.data())
def test_p_values_are_probabilities_and_monotone(known, p, data):
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(known), max_size=len(known))))
    event, other, n_event, n_other = conformal_p_values(np.array([p, 1.0]), known, y, np.arange(len(known)).astype(str))
    for values, n in ((event, n_event), (other, n_other)):
        assert ((values >= 1 / (n + 1) - 1e-12) & (values <= 1 + 1e-12)).all()
    assert event[1] >= event[0] - 1e-12
    assert other[1] <= other[0] + 1e-12
