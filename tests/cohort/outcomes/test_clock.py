"""Six months are 182.6 days: where times stand against a threshold, however a source rounded them."""

import numpy as np
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.outcomes.clock import DAYS_PER_MONTH, TOLERANCE_MONTHS, falls_short, is_within, reaches, weeks


def test_six_months_are_182_6_days():
    assert abs(6 * DAYS_PER_MONTH - 182.6) < 0.05
    assert TOLERANCE_MONTHS * DAYS_PER_MONTH < 0.5, "no patient whose time is known in days may change sides"


@pytest.mark.parametrize(
    ("months", "durable"),
    [
        (6, True),
        (6.0, True),
        (182.6 / DAYS_PER_MONTH, True),
        (round(182.6 / DAYS_PER_MONTH, 2), True),
        (round(182.6 / DAYS_PER_MONTH, 3), True),  # 5.999
        (183 / DAYS_PER_MONTH, True),
        (round(183 / DAYS_PER_MONTH, 2), True),
        (182 / DAYS_PER_MONTH, False),
        (round(182 / DAYS_PER_MONTH, 2), False),  # 5.98
        (5.99, False),
        (0, False),
        (400, True),
    ],
)
def test_durable_sd_at_the_boundary(table, months, durable):
    cohort = table(bor=["SD"], pfs_months=[months], pfs_event=[1])
    assert make_labels(cohort, "dcb").y.tolist() == [int(durable)]
    assert bool(reaches(np.array([months]), 6)[0]) is durable
    assert bool(falls_short(np.array([months]), 6)[0]) is not durable


@pytest.mark.parametrize("horizon", [1, 3, 6, 12, 24, 60])
def test_whole_days_never_lie_within_the_tolerance_and_both_sides_agree(horizon):
    """Every day is on one side; but for the day of the horizon itself, `by` and `at least` exclude each other."""
    days = np.arange(0, 3000) / DAYS_PER_MONTH
    exact = np.isclose(days, horizon)
    assert ((days >= horizon) == reaches(days, horizon))[~exact].all()
    assert (reaches(days, horizon) != is_within(days, horizon))[~exact].all()
    assert (reaches(days, horizon) ^ falls_short(days, horizon)).all()


def test_unknown_times_are_on_no_side():
    nan = np.array([np.nan])
    assert not reaches(nan, 6)[0]
    assert not falls_short(nan, 6)[0]
    assert not is_within(nan, 6)[0]


def test_weeks():
    assert weeks(6) == pytest.approx(42 / DAYS_PER_MONTH)
