"""Durable clinical benefit, rule by rule."""

import pytest

from immunocast.cohort.outcomes import make_labels

NE = "response not evaluable (NE)"
SD_CENSORED = "SD, censored before 6 months"
EITHER_CENSORED = "SD or PD, censored before 6 months"


def one(table, **columns):
    """Label or reason of one patient; a second patient of the cohort has every column."""
    rest = {"bor": "PR", "responder": 1, "dcb": 1, "pfs_months": 9.0, "pfs_event": 0}
    cohort = table(**{k: [columns.get(k), v] for k, v in rest.items()})
    labels = make_labels(cohort, "dcb")
    assert labels.y[1] == 1
    return labels.excluded_because[0] if labels.y.isna()[0] else int(labels.y[0])


@pytest.mark.parametrize(
    ("bor", "pfs_months", "pfs_event", "expected"),
    [
        ("CR", None, None, 1),
        ("PR", 2.0, 1, 1),  # a response is a benefit, also where it was lost early
        ("PR", 2.0, 0, 1),
        ("PD", None, None, 0),
        ("PD", 1.0, 1, 0),
        ("PD", 9.0, 1, 0),  # a contradiction of times stays PD
        ("SD", 6.0, 1, 1),
        ("SD", 6.0, 0, 1),
        ("SD", 5.0, 1, 0),
        ("SD", 5.0, 0, SD_CENSORED),
        ("SD", None, 1, "SD or PD, PFS unknown"),
        ("SD", 5.0, None, "PFS under 6 months, PFS event unknown"),
        ("SD", 7.0, None, 1),
        ("NE", 9.0, 0, NE),
        ("NE", 1.0, 1, NE),
        (None, 7.0, 1, 1),  # no PD lasts so long
        (None, 3.0, 1, "best response unknown, PFS under 6 months"),  # may have been a response
        (None, None, None, "best overall response unknown"),
    ],
)
def test_best_response_and_pfs(table, bor, pfs_months, pfs_event, expected):
    assert one(table, bor=bor, pfs_months=pfs_months, pfs_event=pfs_event) == expected


@pytest.mark.parametrize(
    ("responder", "pfs_months", "pfs_event", "expected"),
    [
        (1, 2.0, 1, 1),
        (0, 2.0, 1, 0),  # PD, or SD that progressed: 0 either way
        (0, 2.0, 0, EITHER_CENSORED),
        (0, 6.0, 1, 1),
        (0, None, None, "SD or PD, PFS unknown"),
    ],
)
def test_responder_flag_and_pfs(table, responder, pfs_months, pfs_event, expected):
    assert one(table, responder=responder, pfs_months=pfs_months, pfs_event=pfs_event) == expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"dcb": 1}, 1),
        ({"dcb": 0}, 0),
        ({"dcb": 1, "bor": "SD"}, 1),
        ({"dcb": 0, "bor": "SD", "pfs_months": 4.0}, 0),  # the event is unknown
        ({"dcb": 1, "bor": "SD", "pfs_months": 4.0, "pfs_event": 0}, SD_CENSORED),  # best response and PFS are known
        ({"dcb": 1, "bor": "PD"}, 0),
        ({"dcb": 0, "bor": "PR"}, 1),
        ({"dcb": 0, "pfs_months": 8.0, "pfs_event": 1}, 0),  # the flag decides over PFS alone
        ({"dcb": 1, "bor": "NE"}, NE),
    ],
)
def test_the_sources_own_flag_and_its_precedence(table, columns, expected):
    assert one(table, **columns) == expected


def test_contradictions_and_the_use_of_the_flag_are_told(table):
    cohort = table(
        bor=["PR", "PD", None, None, "PD", "SD"],
        dcb=[0, 1, 0, 1, 0, None],
        pfs_months=[3.0, 2.0, 8.0, 3.0, 6.0, 7.0],
        pfs_event=[1] * 6,
    )
    flags = {words: list(rows[rows].index) for words, rows in make_labels(cohort, "dcb").flags.items()}
    assert flags == {
        "the source's dcb flag says otherwise: best response and PFS decide": [0, 1],
        "the source's dcb flag says otherwise: the flag decides over PFS alone": [2],
        "labelled by the source's own dcb flag, for want of best response or PFS": [2, 3],
        "PD as best response, but PFS reaches 6 months: kept as PD": [4],
    }


def test_not_evaluable_as_non_response(table):
    cohort = table(bor=["NE", "NE", "CR"], responder=[0, None, 1])
    for name in ("response", "dcb"):
        assert make_labels(cohort, {"name": name, "ne": "non_response"}).y.tolist() == [0, 0, 1]


@pytest.mark.parametrize(("months", "y"), [(3, [1, 1]), (5, [1, 1]), (5.5, [0, 1]), (9, [0, 0])])
def test_durable_months_is_a_setting(table, months, y):
    cohort = table(bor=["SD", "SD"], pfs_months=[5.0, 8.0], pfs_event=[1, 1])
    assert make_labels(cohort, {"name": "dcb", "durable_months": months}).y.tolist() == y


def test_a_column_that_the_source_lacks_is_named_by_cohort(table):
    """One cohort without any PFS, one with PFS of some: the reason tells the two apart."""
    cohort = table(cohort_id=["A", "B", "B"], bor=["SD"] * 3, pfs_months=[None, None, 7.0], pfs_event=[None, None, 0])
    assert make_labels(cohort, "dcb").excluded_because.tolist()[:2] == [
        "the source has no column pfs_months",
        "SD or PD, PFS unknown",
    ]
    nothing = make_labels(table(os_months=[1.0]), "dcb").excluded_because.tolist()
    assert nothing == ["the source has no column bor or responder or dcb"]
