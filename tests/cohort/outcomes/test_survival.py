"""OS and PFS: times to event, and the binary form at a horizon."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.errors import ConfigError


@pytest.mark.parametrize("which", ["os", "pfs"])
@pytest.mark.parametrize(
    ("months", "event", "expected"),
    [
        (11.0, 1, 1),
        (12.0, 1, 1),  # on the day of the horizon
        (12.02, 1, 0),
        (12.0, 0, 0),
        (11.999, 0, 0),
        (11.9, 0, "censored before 12 months"),
        (30.0, 1, 0),
        (30.0, None, 0),
        (3.0, None, "event unknown"),
        (None, 1, "time unknown"),
    ],
)
def test_binary_form(table, which, months, event, expected):
    cohort = table(**{f"{which}_months": [months, 40.0], f"{which}_event": [event, 0]})
    labels = make_labels(cohort, {"name": which, "horizon_months": 12})
    if isinstance(expected, str):
        assert labels.excluded_because[0] == f"{which.upper()} {expected}"
    else:
        assert labels.y[0] == expected
    both = months is not None and event is not None
    assert bool(labels.time_months[0] == months) is both
    assert (labels.event[0] is pd.NA) is not both


def test_defaults_are_12_months_for_os_and_6_for_pfs(table):
    cohort = table(os_months=[8.0, 30], os_event=[1, 1], pfs_months=[8.0, 3], pfs_event=[1, 1])
    assert make_labels(cohort, "os").y.tolist() == [1, 0]
    assert make_labels(cohort, "pfs").y.tolist() == [0, 1]


@pytest.mark.parametrize("value", [0, -1, "12", None, float("nan"), float("inf"), True])
def test_a_horizon_is_a_positive_number(value):
    with pytest.raises(ConfigError, match=r"endpoint\.horizon_months is .* must be a number above 0"):
        make_labels(pd.DataFrame(), {"name": "os", "horizon_months": value})


def test_other_endpoints_have_no_time(table):
    labels = make_labels(table(bor=["CR"]), "response")
    assert labels.time_months is None
    assert labels.event is None
    assert np.isnan(make_labels(table(os_months=[None], os_event=[1]), "os").time_months[0])
