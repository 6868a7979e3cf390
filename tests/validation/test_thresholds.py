"""Rules that choose thresholds: what their names promise, on any patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.errors import ConfigError
from immunocast.validation.thresholds import check_rules, chosen_threshold, rule_named

people = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=4, max_size=60).filter(
    lambda rows: 0 < sum(y for y, _ in rows) < len(rows)
)


def shares(y, p, threshold):
    yes = p >= threshold
    return yes[y == 1].mean(), 1 - yes[y == 0].mean()


@settings(max_examples=150, deadline=None)
@given(rows=people, percent=st.integers(1, 99))
def test_rules_do_what_their_names_say(rows, percent):
    """Against every other threshold that the patients allow."""
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 12
    all_points = {t: shares(y, p, t) for t in np.unique(p)}
    best = rule_named("youden")(y, p)
    assert sum(all_points[best]) >= max(map(sum, all_points.values())) - 1e-9
    high = rule_named(f"sensitivity_{percent}")(y, p)
    assert all_points[high][0] >= percent / 100 - 1e-9
    assert not [t for t, (sens, _) in all_points.items() if t > high and sens >= percent / 100]
    low = rule_named(f"specificity_{percent}")(y, p)
    enough = [t for t, (_, spec) in all_points.items() if spec >= percent / 100 - 1e-9]
    assert low == (min(enough) if enough else None)
    assert rule_named("harm_benefit_1_3")(y, p) == 0.25


@settings(max_examples=60, deadline=None)
@given(rows=people)
def test_a_rising_map_of_the_probabilities_moves_the_threshold_with_them(rows):
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 12
    for name in ("youden", "sensitivity_80", "specificity_70"):
        before, after = rule_named(name)(y, p), rule_named(name)(y, 0.1 + p**2 / 2)
        assert after == (None if before is None else pytest.approx(0.1 + before**2 / 2))


def test_too_small_and_no_answer_are_told():
    y, p = np.array([0, 1] * 20), np.full(40, 0.3)
    small = chosen_threshold("youden", y[:10], p[:10], 10)
    assert (np.isnan(small["threshold"]), small["n"], small["n_events"], small["note"]) == (True, 10, 5, "too small")
    none = chosen_threshold("specificity_80", y, p, 10)
    assert (np.isnan(none["threshold"]), none["note"]) == (True, "no threshold reaches it")
    stated = chosen_threshold("harm_benefit_1_4", y[:2], p[:2], 10)
    assert (stated["threshold"], stated["note"]) == (0.2, "stated odds, no data")
    gaps = np.where(np.arange(40) < 10, np.nan, p)
    assert chosen_threshold("youden", y, gaps, 10)["n"] == 30


@pytest.mark.parametrize("name", ["yuden", "sensitivity_0", "sensitivity_100", "harm_benefit_0_4", "harm_benefit_1", 3])
def test_unknown_rules_are_refused_with_the_known_ones(name):
    with pytest.raises(ConfigError, match=r"decisions\.rules holds .*youden, sensitivity_90"):
        check_rules([name])
