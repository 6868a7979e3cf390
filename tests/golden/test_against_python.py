"""Net benefit against dcurves, and Wilson's interval against scipy."""

import numpy as np
import pytest
from scipy.stats import binomtest

from immunocast.metrics import net_benefit, net_benefit_treat_all, net_benefit_treat_none, wilson_interval


@pytest.mark.parametrize("place", ["all", "north", "south", "west"])
def test_net_benefit_is_that_of_dcurves(places, reference, place):
    golden = reference("decision")
    expected, d = golden["places"][place]["net_benefit"], places[place]
    y, thresholds = d["y"].to_numpy(), golden["thresholds"]
    for model in ("p_first", "p_second"):
        found = [net_benefit(y, d[model], t) for t in thresholds]
        assert found == pytest.approx(expected[model], abs=1e-12)
    assert [net_benefit_treat_all(y, t) for t in thresholds] == pytest.approx(expected["all"], abs=1e-12)
    assert [net_benefit_treat_none(y, t) for t in thresholds] == expected["none"]
    # a sane golden: no strategy gains more than treating every responder and nobody else
    assert max(max(curve) for curve in expected.values()) <= y.mean()
    assert np.all(np.diff(expected["all"]) < 0)


@pytest.mark.parametrize(("events", "n"), [(0, 12), (1, 9), (17, 40), (40, 40), (250, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_is_that_of_scipy(events, n, level):
    low, high = wilson_interval(events, n, level=level)
    expected = binomtest(events, n).proportion_ci(level, method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)
