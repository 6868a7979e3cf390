"""Primary and acquired resistance, rule by rule."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.errors import ConfigError

PROXIED = "exposure unknown, taken from PFS"


@pytest.mark.parametrize(
    ("bor", "pfs_months", "pfs_event", "exposure_weeks", "expected", "proxied"),
    [
        ("PR", 2.0, 1, None, 0, False),
        ("PR", 2.0, 1, 1.0, 0, False),  # the comparator needs no exposure
        ("SD", 6.0, 1, None, 0, False),
        ("PD", 2.0, 1, 6.0, 1, False),
        ("PD", 2.0, 1, 5.9, "exposure under 6 weeks", False),
        ("PD", None, None, 8.0, 1, False),
        ("SD", 4.0, 1, 10.0, 1, False),
        ("PD", 1.38, 1, None, 1, True),  # 42 days
        ("PD", 42 / 30.4375, 1, None, 1, True),
        ("PD", 41 / 30.4375, 1, None, "exposure under 6 weeks, taken from PFS", True),
        ("PD", 2.0, 0, None, 1, True),
        ("PD", 1.0, 0, None, "exposure unknown, followed for under 6 weeks", False),
        ("PD", None, None, None, "exposure and PFS unknown", False),
        ("SD", 4.0, 0, 20.0, "SD, censored before 6 months", False),
        ("NE", 4.0, 1, 20.0, "response not evaluable (NE)", False),
    ],
)
def test_primary_resistance(table, bor, pfs_months, pfs_event, exposure_weeks, expected, proxied):
    cohort = table(
        bor=[bor, "CR"], pfs_months=[pfs_months, 9], pfs_event=[pfs_event, 0], exposure_weeks=[exposure_weeks, 30]
    )
    labels = make_labels(cohort, "primary_resistance")
    found = labels.excluded_because[0] if labels.y.isna()[0] else labels.y[0]
    assert found == expected
    assert bool(labels.flags.get(PROXIED, pd.Series([False]))[0]) is proxied


def test_no_exposure_is_asked_for_where_the_setting_is_zero(table):
    cohort = table(bor=["PD", "PD"], pfs_months=[0.5, None], pfs_event=[1, None])
    labels = make_labels(cohort, {"name": "primary_resistance", "exposure_weeks": 0})
    assert labels.y.tolist() == [1, 1]
    assert labels.flags == {}


def test_not_evaluable_as_pd(table):
    cohort = table(bor=["NE", "NE"], pfs_months=[2.0, 0.5], pfs_event=[1, 1])
    labels = make_labels(cohort, {"name": "primary_resistance", "ne": "non_response"})
    assert labels.y.tolist() == [1, pd.NA]
    assert labels.excluded_because[1] == "exposure under 6 weeks, taken from PFS"


def test_primary_resistance_is_the_opposite_of_benefit_but_for_exposure(table):
    rng = np.random.default_rng(1)
    n = 400
    cohort = table(
        bor=list(rng.choice(["CR", "PR", "SD", "PD", "NE"], n)),
        pfs_months=list(np.round(rng.gamma(1.2, 5, n), 2)),
        pfs_event=list(rng.integers(0, 2, n)),
    )
    benefit = make_labels(cohort, "dcb")
    resistance = make_labels(cohort, {"name": "primary_resistance", "exposure_weeks": 0})
    assert (resistance.y == 1 - benefit.y).fillna(True).all()
    assert resistance.excluded_because.equals(benefit.excluded_because)


NO_BENEFIT = "no benefit to lose (PD, or SD that progressed before 6 months)"


@pytest.mark.parametrize(
    ("bor", "pfs_months", "pfs_event", "exposure_weeks", "expected"),
    [
        ("PR", 8.0, 1, 30.0, 1),
        ("PR", 8.0, 1, None, 1),
        ("PR", 12.0, 1, None, 1),  # on the day of the horizon
        ("PR", 12.01, 1, None, 0),
        ("PR", 12.0, 0, None, 0),
        ("PR", 11.9, 0, None, "PFS censored before 12 months"),
        ("SD", 6.0, 1, None, 1),
        ("SD", 20.0, 1, 80.0, 0),
        ("SD", 5.0, 1, 30.0, NO_BENEFIT),
        ("PD", 2.0, 1, 30.0, NO_BENEFIT),
        ("PR", 8.0, 1, 26.0, "exposure under 6 months"),  # 182 days
        ("PR", 8.0, 1, 26.1, 1),
        ("PR", 4.0, 1, 30.0, 1),  # treated beyond progression
        ("PR", 4.0, 1, None, "exposure under 6 months, taken from PFS"),
        ("PR", 4.0, 0, None, "exposure unknown, followed for under 6 months"),
        ("PR", None, None, None, "exposure and PFS unknown"),
        ("PR", None, None, 40.0, "PFS time unknown"),
        ("PR", 8.0, None, 40.0, "PFS event unknown"),
        ("PR", 13.0, None, 60.0, 0),
        ("NE", 20.0, 0, 80.0, "response not evaluable (NE)"),
    ],
)
def test_acquired_resistance(table, bor, pfs_months, pfs_event, exposure_weeks, expected):
    cohort = table(
        bor=[bor, "CR"], pfs_months=[pfs_months, 19], pfs_event=[pfs_event, 0], exposure_weeks=[exposure_weeks, 80]
    )
    labels = make_labels(cohort, "acquired_resistance")
    found = labels.excluded_because[0] if labels.y.isna()[0] else labels.y[0]
    assert found == expected


def test_time_to_progression_is_kept_for_the_whole_population_also_those_censored_before_the_horizon(table):
    cohort = table(bor=["PR", "PR", "PD", "SD"], pfs_months=[8.0, 9.0, 1.0, 20.0], pfs_event=[1, 0, 1, 1])
    labels = make_labels(cohort, "acquired_resistance")
    assert labels.y.tolist() == [1, pd.NA, pd.NA, 0]
    assert labels.time_months.tolist()[:2] == [8.0, 9.0]
    assert np.isnan(labels.time_months[2])
    assert labels.event.tolist() == [1, 0, pd.NA, 1]


def test_the_horizon_is_a_setting_and_must_lie_behind_the_exposure(table):
    cohort = table(bor=["PR", "PR"], pfs_months=[8.0, 20.0], pfs_event=[1, 1])
    assert make_labels(cohort, {"name": "acquired_resistance", "horizon_months": 24}).y.tolist() == [1, 1]
    with pytest.raises(ConfigError, match=r"horizon_months is 6, not later than endpoint\.exposure_months \(6\)"):
        make_labels(cohort, {"name": "acquired_resistance", "horizon_months": 6})


def test_early_progression_in_spite_of_exposure_is_told(table):
    cohort = table(bor=["PR"], pfs_months=[4.0], pfs_event=[1], exposure_weeks=[30.0])
    flags = make_labels(cohort, "acquired_resistance").flags
    assert list(flags) == ["progressed before 6 months although treated for longer"]
