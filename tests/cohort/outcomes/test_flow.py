"""Participant flow, and the median follow-up beside it."""

import numpy as np
import pytest

from immunocast.cohort.outcomes import flow_table, make_labels, median_follow_up, participant_flow


@pytest.mark.parametrize(
    ("time", "event", "median"),
    [
        ([1, 2, 3, 4], [0, 1, 0, 0], 3.0),
        ([5, 5, 5], [0, 0, 0], 5.0),
        ([1, 2, 3], [1, 1, 1], None),  # nobody was censored: no follow-up can be told
        ([1, 2, 3, 4], [1, 1, 1, 0], 4.0),
        ([2, 1], [0, 0], 1.0),  # comes down to exactly one half
        ([], [], None),
        ([1, np.nan, 3], [0, 0, np.nan], 1.0),  # unknown ones are left out
    ],
)
def test_reverse_kaplan_meier_by_hand(time, event, median):
    assert median_follow_up(np.array(time, dtype=float), np.array(event, dtype=float)) == median


def test_reverse_kaplan_meier_against_a_plain_loop():
    rng = np.random.default_rng(3)
    for _ in range(50):
        time = np.round(rng.exponential(10, 40), 0)  # many ties
        event = rng.integers(0, 2, 40).astype(float)
        curve, expected = 1.0, None
        for t in sorted(set(time)):
            at_risk = (time >= t).sum()
            curve *= 1 - ((time == t) & (event == 0)).sum() / at_risk
            if curve <= 0.5 + 1e-9:
                expected = t
                break
        assert median_follow_up(time, event) == expected


def test_follow_up_is_that_of_the_arms(table):
    cohort = table(os_months=[10.0, 20.0, 90.0, 90.0], os_event=[0, 0, 0, 0], arm=["ici", "ici", "control", "control"])
    flow = participant_flow(cohort, make_labels(cohort, "os"))
    assert flow["follow_up"] == {"os": {"n": 2, "median_months": 10.0}}


def test_persons_in_two_cohorts_are_counted(table):
    cohort = table(cohort_id=["A", "A", "B"], bor=["CR", "PD", "CR"])
    cohort["person_id"] = ["p0", "p1", "p0"]
    flow = participant_flow(cohort, make_labels(cohort))
    assert flow["linked"] == 2
    assert [c["linked"] for c in flow["cohorts"]] == [1, 1]
    cohort["person_id"] = ["p0", "p0", "p2"]  # the same person twice in one cohort is another matter
    assert participant_flow(cohort, make_labels(cohort))["linked"] == 0


def test_rows_that_the_reader_dropped_come_from_its_findings(table):
    cohort = table(bor=["CR", "PD"])
    found = [
        {
            "code": "IC-FILE-005",
            "severity": "info",
            "cohort_id": "A",
            "n": 5,
            "message": "5 rows are not read, by Arm: x",
        },
        {
            "code": "IC-FILE-005",
            "severity": "info",
            "cohort_id": "C",
            "n": 2,
            "message": "2 rows are not read, by Arm: x",
        },
        {
            "code": "IC-FILE-005",
            "severity": "info",
            "cohort_id": "A",
            "n": 0,
            "message": "0 rows are not read, by Y: y",
        },
        {"code": "IC-FILE-001", "severity": "info", "cohort_id": "A", "n": 9, "message": "another file"},
    ]
    flow = participant_flow(cohort, make_labels(cohort), found)
    assert flow["dropped"] == {"by Arm: x": 7}
    assert flow["source"] == 9
    assert [(c["cohort_id"], c["source"], c["read"]) for c in flow["cohorts"]] == [("A", 7, 2), ("C", 2, 0)]
    table_ = flow_table(flow)
    assert table_.loc[(table_["cohort_id"] == "all") & (table_["step"] == "not_read"), "n"].tolist() == [7]
