"""irAE: grades decide, yes or no answers only the mild question, and landmarks count who left before."""

import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.errors import ConfigError, DataError


def outcome(labels, row=0):
    return labels.excluded_because[row] if labels.y.isna()[row] else int(labels.y[row])


@pytest.mark.parametrize(
    ("grade", "flag", "any_grade", "severe"),
    [
        (0, None, 0, 0),
        (1, None, 1, 0),
        (2, 1, 1, 0),
        (3, 1, 1, 1),
        (5, None, 1, 1),
        (None, 0, 0, 0),
        (None, 1, 1, "irAE of unknown grade"),
        (None, None, "irAE unknown", "irAE unknown"),
    ],
)
def test_grades_and_flags(table, grade, flag, any_grade, severe):
    cohort = table(irae_grade=[grade, 2], irae=[flag, 1])
    assert outcome(make_labels(cohort, "irae")) == any_grade
    assert outcome(make_labels(cohort, "irae_grade3")) == severe


def test_yes_or_no_alone_cannot_tell_severe_ones(table):
    """Labelling only those without an irAE would make a cohort without events."""
    cohort = table(cohort_id=["A", "A", "B"], irae=[0, 1, 1], irae_grade=[None, None, 4])
    labels = make_labels(cohort, "irae_grade3")
    assert labels.y.tolist() == [pd.NA, pd.NA, 1]
    assert labels.reasons == {"the source has no column irae_grade": 2}
    assert make_labels(cohort, "irae").y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(("grade", "flag"), [(2, 0), (0, 1)])
def test_contradictions_name_patients(table, grade, flag):
    with pytest.raises(DataError, match=r"column irae: .*contradict each other for 1 patients, e\.g\. p1"):
        make_labels(table(irae_grade=[1, grade], irae=[1, flag]), "irae")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"irae": 1, "irae_onset_days": 90.0}, 1),
        ({"irae": 1, "irae_onset_days": 90.0, "os_months": 2.0, "os_event": 1}, 1),  # the event came first
        ({"irae": 1, "irae_onset_days": 91.0}, 0),
        ({"irae": 1}, "onset of the irAE unknown"),
        ({"irae": 0, "os_months": 3.0, "os_event": 1}, 0),  # 91 days
        ({"irae": 0, "os_months": 2.9, "os_event": 1}, "died before day 90 without the event"),
        ({"irae": 0, "os_months": 2.9, "os_event": 0}, "left follow-up before day 90 without the event"),
        ({"irae": 0, "pfs_months": 3.5}, 0),
        ({"irae": 0, "pfs_months": 1.0}, "left follow-up before day 90 without the event"),
        ({"irae": 0, "pfs_months": 1.0, "os_months": 8.0, "os_event": 1}, 0),
        ({"irae": 0, "exposure_weeks": 13.0}, 0),
        ({"irae": 0}, "time of follow-up unknown"),
    ],
)
def test_landmark(table, columns, expected):
    rest = {
        "irae": 1,
        "irae_onset_days": 5.0,
        "os_months": 9.0,
        "os_event": 0,
        "pfs_months": 8.0,
        "exposure_weeks": 9.0,
    }
    cohort = table(**{k: [columns.get(k), v] for k, v in rest.items()})
    assert outcome(make_labels(cohort, {"name": "irae", "landmark_days": 90})) == expected


def test_a_mild_irae_is_none_at_the_landmark_of_severe_ones(table):
    cohort = table(irae_grade=[2, 3, 3], irae_onset_days=[10.0, 10.0, 100.0], os_months=[9.0] * 3, os_event=[0] * 3)
    assert make_labels(cohort, {"name": "irae_grade3", "landmark_days": 60}).y.tolist() == [0, 1, 0]


def test_a_landmark_is_a_day():
    for value in (0, -5, "soon", True):
        with pytest.raises(ConfigError, match=r"endpoint\.landmark_days is"):
            make_labels(pd.DataFrame(), {"name": "irae", "landmark_days": value})
