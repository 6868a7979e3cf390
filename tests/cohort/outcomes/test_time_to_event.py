"""Times to event for models: one constructor, so that time and event are never swapped."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import Survival, survival_of
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError, DataError


def test_columns_of_the_cohort_and_both_unknown_where_one_is():
    cohort = pd.DataFrame(
        {
            "cohort_id": ["a"] * 4,
            "os_months": [3.0, np.nan, 12.0, 5.0],
            "os_event": pd.array([1, 0, None, 0], dtype="Int64"),
        }
    )
    survival = survival_of(cohort, "os")
    assert survival.known.tolist() == [True, False, False, True]
    assert survival.time_months[[0, 3]].tolist() == [3.0, 5.0]
    assert survival.event[[0, 3]].tolist() == [1.0, 0.0]
    assert np.isnan(survival.time_months[[1, 2]]).all()
    assert np.isnan(survival.event[[1, 2]]).all()
    assert not survival_of(cohort, "pfs").known.any(), "absent columns read as unknown"


@pytest.mark.parametrize("outcome", ["os", "pfs"])
def test_agrees_with_the_labels_of_the_endpoint(outcome):
    from immunocast.cohort.outcomes import make_labels

    cohort = SyntheticCohort(n_patients=200, seed=1).load().cohort
    labels, survival = make_labels(cohort, outcome), survival_of(cohort, outcome)
    assert np.array_equal(labels.time_months, survival.time_months, equal_nan=True)
    assert np.array_equal(labels.event.to_numpy(dtype=float, na_value=np.nan), survival.event, equal_nan=True)


def test_rows_are_taken_and_the_callers_arrays_stay():
    time, event = np.array([1.0, np.nan, 3.0]), np.array([1.0, 0.0, 0.0])
    survival = Survival(time, event)
    assert event[1] == 0
    part = survival.take(np.array([2, 0]))
    assert part.time_months.tolist() == [3.0, 1.0]
    assert len(part) == 2
    assert survival.take(np.array([True, False, True])).event.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("time", "event", "words"),
    [
        ([1.0, 0.0], [12.0, 30.0], "neither 0 nor 1"),
        ([-1.0], [1.0], "negative or infinite"),
        ([np.inf], [1.0], "negative or infinite"),
        ([1.0, 2.0], [1.0], "stand beside"),
        ([[1.0]], [[1.0]], "stand beside"),
    ],
)
def test_what_is_no_time_to_event_is_refused(time, event, words):
    with pytest.raises(DataError, match=words):
        Survival(np.array(time), np.array(event))


def test_other_outcomes_are_refused():
    with pytest.raises(ConfigError, match="'response' is no time to event"):
        survival_of(pd.DataFrame({"cohort_id": []}), "response")
