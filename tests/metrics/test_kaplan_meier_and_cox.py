"""Kaplan-Meier, log-rank and Cox regression: lifelines, values by hand, and what ties them together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.errors import DataError
from immunocast.metrics import cox, kaplan_meier, logrank, survival_link

# lifelines 0.30 calls datetime.utcnow and pandas in ways that newer versions warn of
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lifelines")


def patients(n=120, seed=0, *, decimals=None, groups=3):
    """Times by group and stratum, censored at random."""
    rng = np.random.default_rng(seed)
    group, stratum = rng.integers(0, groups, n), rng.integers(0, 2, n)
    death, stop = rng.exponential(10 * np.exp(-0.4 * group + stratum)), rng.uniform(1, 30, n)
    time = np.minimum(death, stop)
    return time if decimals is None else np.round(time, decimals), (death <= stop).astype(int), group, stratum


@pytest.mark.parametrize("decimals", [None, 0])
def test_kaplan_meier_is_that_of_lifelines(decimals):
    from lifelines import KaplanMeierFitter
    from lifelines.utils import median_survival_times

    time, event, _, _ = patients(decimals=decimals)
    theirs, ours = KaplanMeierFitter().fit(time, event), kaplan_meier(time, event)
    grid = np.arange(0, 25, 0.5)
    survival, low, high = ours.at(grid)
    assert survival == pytest.approx(theirs.survival_function_at_times(grid).to_numpy(), abs=1e-12)
    bounds = theirs.confidence_interval_survival_function_
    at = np.searchsorted(bounds.index.to_numpy(), grid, side="right") - 1
    assert low == pytest.approx(bounds.iloc[at, 0].to_numpy(), abs=1e-12)
    assert high == pytest.approx(bounds.iloc[at, 1].to_numpy(), abs=1e-12)
    expected = median_survival_times(bounds).to_numpy().ravel()
    assert ours.median() == pytest.approx((theirs.median_survival_time_, *expected))
    at_risk = theirs.event_table["at_risk"]
    assert ours.at_risk(grid).tolist() == [int(at_risk[at_risk.index >= x].iloc[0]) for x in grid]


def test_kaplan_meier_by_hand():
    """Freireich's 6-MP arm (1963), as textbooks print it: at 10 weeks .753, median 23, 15 at risk at 10."""
    time = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    event = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    curve = kaplan_meier(time, event)
    assert curve.at([5, 6, 7, 10, 13, 16, 22, 23])[0] == pytest.approx(
        [1, 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4
    )
    assert curve.median()[:2] == (23, 13)
    assert np.isnan(curve.median()[2])
    assert curve.at_risk([0, 10, 36]).tolist() == [21, 15, 0]
    assert np.isnan(curve.at(36)[0][0])


def test_nobody_with_the_event_and_everybody():
    alive = kaplan_meier([1, 2, 3], [0, 0, 0])
    assert alive.survival.tolist() == alive.ci_low.tolist() == [1, 1, 1]
    assert np.isnan(alive.median()).all()
    dead = kaplan_meier([1, 2], [1, 1])
    assert dead.survival.tolist() == [0.5, 0]
    assert dead.median()[0] == 1
    assert np.isnan(dead.ci_low[-1])
    with pytest.raises(DataError):
        kaplan_meier([], [])


@pytest.mark.parametrize("decimals", [None, 0])
def test_logrank_is_that_of_lifelines(decimals):
    from lifelines.statistics import multivariate_logrank_test

    time, event, group, _ = patients(decimals=decimals)
    theirs, ours = multivariate_logrank_test(time, group, event), logrank(time, event, group)
    assert (ours.statistic, ours.p, ours.df) == pytest.approx((theirs.test_statistic, theirs.p_value, 2), rel=1e-9)


def test_logrank_within_strata_is_the_score_test_of_a_stratified_cox_model():
    """Without ties the log-rank statistic is U' I^-1 U of the Cox model at 0: here counted pair by pair."""
    time, event, group, stratum = patients(groups=2)
    score = information = 0.0
    for i in np.flatnonzero(event):
        risk_set = (stratum == stratum[i]) & (time >= time[i])
        mean = group[risk_set].mean()
        score += group[i] - mean
        information += mean * (1 - mean)
    found = logrank(time, event, group, strata=stratum)
    assert found.statistic == pytest.approx(score**2 / information, rel=1e-9)
    assert found.statistic != pytest.approx(logrank(time, event, group).statistic, rel=1e-3)


def test_logrank_needs_groups_that_meet():
    assert np.isnan(logrank([1, 2, 3], [1, 1, 1], ["a", "a", "a"]).p)
    assert np.isnan(logrank([1, 2, 3, 4], [1, 1, 1, 1], ["a", "a", "b", "b"], strata=["x", "x", "y", "y"]).p)
    assert np.isnan(logrank([1, 2], [0, 0], ["a", "b"]).p)
    with pytest.raises(DataError, match="group"):
        logrank([1, 2], [0, 0], ["a"])


@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("strata", [False, True])
def test_cox_is_that_of_lifelines(decimals, strata):
    from lifelines import CoxPHFitter

    time, event, group, stratum = patients(decimals=decimals)
    frame = pd.DataFrame({"b": group == 1, "c": group == 2}).astype(float)
    ours = cox(time, event, frame.to_numpy(), strata=stratum if strata else None)
    frame = frame.assign(time=time, event=event, stratum=stratum)
    columns = ["b", "c", "time", "event", *(["stratum"] if strata else [])]
    theirs = CoxPHFitter().fit(
        frame[columns],
        "time",
        "event",
        strata=["stratum"] if strata else None,
        fit_options={"precision": 1e-10},
    )
    assert ours.coefficients == pytest.approx(theirs.params_.to_numpy(), abs=1e-7)
    assert ours.standard_errors == pytest.approx(theirs.standard_errors_.to_numpy(), abs=1e-7)


def test_survival_from_a_score_is_that_of_lifelines():
    from lifelines import CoxPHFitter

    time, event, group, _ = patients()
    score = group + np.random.default_rng(1).normal(size=len(time))
    link = survival_link(time, event, score)
    frame = pd.DataFrame({"score": score, "time": time, "event": event})
    theirs = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-10})
    # lifelines interpolates between event times; at the event times themselves the two agree
    at = np.sort(time[event == 1])[[5, 20, 50]]
    expected = theirs.predict_survival_function(frame[["score"]], times=at).to_numpy().T
    assert link.survival(score, at) == pytest.approx(expected, abs=1e-6)
    assert link.survival(score, [0.0]) == pytest.approx(1.0)
    assert link.followed == time.max()


def test_no_finite_hazard_ratio_is_none():
    time, event = np.array([1.0, 2, 3, 4, 5, 6]), np.array([1, 1, 1, 0, 0, 0])
    assert cox(time, event, np.ones((6, 1))) is None, "constant"
    assert cox(time, event, event[:, None]) is None, "separates"
    assert cox(time, 0 * event, np.arange(6)[:, None]) is None, "nobody has the event"
    assert cox(time, event, np.arange(12).reshape(6, 2)) is None, "collinear"
    assert cox(time, [1] * 6, [[0.0], [0], [0], [1], [1], [1]], strata=[0, 0, 0, 1, 1, 1]) is None, "constant in strata"
    assert survival_link(time, event, np.ones(6)) is None
    with pytest.raises(DataError, match="X"):
        cox(time, event, np.ones(6))


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=25)


@given(rows)
@settings(max_examples=60, deadline=None)
def test_curves_fall_from_one_and_order_does_not_matter(rows):
    time, event, group = (np.array(column) for column in zip(*rows, strict=True))
    curve = kaplan_meier(time, event)
    assert (np.diff(np.concatenate([[1.0], curve.survival])) <= 1e-12).all()
    known = ~np.isnan(curve.ci_low)
    assert (curve.ci_low[known] <= curve.survival[known] + 1e-12).all()
    assert (curve.survival[known] <= curve.ci_high[known] + 1e-12).all()
    assert curve.n_events.sum() == event.sum()
    other = np.random.default_rng(0).permutation(len(time))
    assert kaplan_meier(time[other], event[other]).survival.tolist() == curve.survival.tolist()
    one, two = logrank(time, event, group), logrank(time[other], event[other], group[other])
    assert (one.statistic, one.p) == pytest.approx((two.statistic, two.p), nan_ok=True, abs=1e-9)
    fit = cox(time, event, np.column_stack([group == 1, group == 2]).astype(float))
    assert fit is None or np.isfinite(fit.coefficients).all()


def test_a_score_far_outside_of_those_fitted_has_a_survival():
    time, event, group, _ = patients()
    link = survival_link(time, event, group + np.random.default_rng(1).normal(size=len(time)))
    survival = link.survival([-1e6, 1e6], [0.0, np.median(time)])
    assert survival[:, 0].tolist() == [1, 1], "nobody has died at the start"
    assert sorted(survival[:, 1]) == pytest.approx([0, 1])
