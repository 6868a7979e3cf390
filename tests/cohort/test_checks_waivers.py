"""Waivers of a run and of single cohorts; those that concern nothing are told."""

import pytest

from immunocast.cohort.checks import apply_waivers, finding
from immunocast.errors import ConfigError

FOUND = [
    finding("IC-LEAK-001", "error", "a", cohort_id="A", column="nlr"),
    finding("IC-LEAK-001", "error", "b", cohort_id="B", column="nlr"),
    finding("IC-FILE-001", "warning", "all"),
]


def waived(waive, by_cohort):
    return {f["message"]: f["waived_because"] for f in apply_waivers(FOUND, waive, by_cohort) if f["waived_because"]}


def test_a_cohort_waives_its_own_findings_only():
    assert waived(None, {"A": {"IC-LEAK-001": "simulated"}}) == {"a": "simulated"}
    assert waived(None, {"A": {"IC-LEAK-001:nlr": "simulated"}, "B": {}}) == {"a": "simulated"}
    assert waived(None, {"A": {"IC-LEAK-001:crp_mg_l": "simulated"}}) == {}
    assert waived({"IC-LEAK-001:B": "run"}, {"A": {"IC-LEAK-001": "cohort"}}) == {"a": "cohort", "b": "run"}
    assert waived({"IC-LEAK-001": "run"}, {"A": {"IC-LEAK-001": "cohort"}}) == {"a": "run", "b": "run"}


def test_a_finding_on_all_cohorts_is_waived_where_all_of_them_do():
    assert waived(None, {"A": {"IC-FILE-001": "known"}, "B": {"IC-FILE-001": "known"}}) == {"all": "known"}
    assert waived(None, {"A": {"IC-FILE-001": "known"}, "B": {}}) == {}


def test_a_waiver_that_concerns_nothing_is_told():
    rows = apply_waivers(
        FOUND, {"IC-SURV-001": "old", "IC-LEAK-001": "x"}, {"A": {"IC-FLAG-001:os_event": "old"}}, tell_unused=True
    )
    told = [r["message"] for r in rows if r["code"] == "IC-WAIVE-001"]
    assert [m.split()[2] for m in told] == ["IC-SURV-001", "IC-FLAG-001:os_event"]


@pytest.mark.parametrize(
    ("waive", "why"),
    [
        ({"IC-NONE-001": "x"}, r"cohort A: waive\.IC-NONE-001: there is no such check"),
        ({"IC-LEAK-001": " "}, r"cohort A: waive\.IC-LEAK-001 needs a reason"),
        (["IC-LEAK-001"], "must be a mapping"),
    ],
)
def test_mistakes_in_a_cohorts_waivers(waive, why):
    with pytest.raises(ConfigError, match=why):
        apply_waivers(FOUND, None, {"A": waive})
