"""Objective response: NE is neither, and contradictions are told."""

import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels, participant_flow
from immunocast.cohort.table import to_cohort_table
from immunocast.errors import ConfigError, DataError


def table(bor=None, responder=None, cohorts=None):
    n = len(bor if bor is not None else responder)
    columns = {"patient_id": [f"p{i}" for i in range(n)], "cohort_id": cohorts or ["A"] * n}
    if bor is not None:
        columns["bor"] = pd.Series(bor, dtype="str")
    if responder is not None:
        columns["responder"] = pd.array(responder, dtype="Int64")
    return to_cohort_table(pd.DataFrame(columns))


def test_recist():
    labels = make_labels(table(["CR", "PR", "SD", "PD", "NE", None]))
    assert labels.y.tolist() == [1, 1, 0, 0, pd.NA, pd.NA]
    assert str(labels.y.dtype) == "Int64"
    assert labels.excluded_because.isna().tolist() == [True] * 4 + [False] * 2
    assert labels.excluded_because.tolist()[4:] == ["response not evaluable (NE)", "best overall response unknown"]


def test_flag_alone_and_flag_where_bor_is_unknown():
    assert make_labels(table(responder=[1, 0, None])).y.tolist() == [1, 0, pd.NA]
    assert make_labels(table(["PD", None, None], [None, 1, None])).y.tolist() == [0, 1, pd.NA]


def test_not_evaluable_wins_over_a_flag():
    """Files often code NE as 0 in the flag: NE is never a non-response."""
    labels = make_labels(table(["NE", "NE", "PD"], [0, 1, 0]))
    assert labels.y.tolist() == [pd.NA, pd.NA, 0]
    assert labels.excluded_because.iloc[0] == "response not evaluable (NE)"


def test_neither_column():
    cohort = to_cohort_table(pd.DataFrame({"patient_id": ["a", "b"], "cohort_id": ["A", "A"]}))
    labels = make_labels(cohort)
    assert labels.y.isna().all()
    assert participant_flow(cohort, labels)["events"] == 0


def test_contradictions_name_patients_and_number():
    with pytest.raises(DataError, match=r"column responder.*contradict each other for 2 patients, e\.g\. p0, p3"):
        make_labels(table(["CR", "PD", "NE", "SD"], [0, 0, 1, 1]))


def test_unknown_endpoint():
    with pytest.raises(ConfigError, match=r"Unknown endpoint 'orr'. Known: response"):
        make_labels(table(["CR"]), "orr")
