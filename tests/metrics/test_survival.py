"""Concordance, time-dependent AUC and Brier score: other programs, identities, and the batched form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.errors import DataError
from immunocast.metrics import (
    SurvivalForecast,
    SurvivalSample,
    auroc,
    blocks,
    brier,
    brier_survival,
    c_harrell,
    c_uno,
    integrated_brier,
    kaplan_meier,
    person_weights,
    quotient,
    td_auc,
)


def sample(n=150, seed=0, *, decimals=None, censored=True, levels=None):
    """Times that a score shortens, censored at random; decimals and levels make ties."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    if levels:
        risk = np.floor(risk * levels) / levels
    death, stop = rng.exponential(10 * np.exp(-0.7 * risk)), rng.uniform(2, 30, n)
    time = np.minimum(death, stop) if censored else death
    event = (death <= stop).astype(int) if censored else np.ones(n, dtype=int)
    if decimals is not None:
        time = np.round(time, decimals)
    return time, event, risk


TIED = [{}, {"decimals": 0}, {"decimals": 0, "levels": 2}, {"censored": False, "decimals": 0, "levels": 2}]


def structured(time, event):
    from sksurv.util import Surv

    return Surv.from_arrays(event.astype(bool), time)


@pytest.mark.parametrize("more", TIED)
def test_concordance_is_that_of_scikit_survival(more):
    from sksurv.metrics import concordance_index_censored, concordance_index_ipcw

    time, event, risk = sample(**more)
    expected = concordance_index_censored(event.astype(bool), time, risk, tied_tol=0)[0]
    assert c_harrell(time, event, risk) == pytest.approx(expected, abs=1e-12)
    y = structured(time, event)
    for tau in (8.0, 15.0):
        expected = concordance_index_ipcw(y, y, risk, tau=tau, tied_tol=0)[0]
        assert c_uno(time, event, risk, tau) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("more", TIED)
def test_auc_and_brier_are_those_of_scikit_survival(more):
    from sksurv.metrics import brier_score, cumulative_dynamic_auc, integrated_brier_score

    time, event, risk = sample(**more)
    y, times = structured(time, event), np.array([3.0, 6, 12, 15])
    expected, _ = cumulative_dynamic_auc(y, y, risk, times, tied_tol=0)
    assert [td_auc(time, event, risk, t) for t in times] == pytest.approx(expected, abs=1e-9)
    survival = np.exp(-np.outer(np.exp(0.5 * risk), times / 12))
    expected = brier_score(y, y, survival, times)[1]
    assert brier_survival(time, event, survival, times) == pytest.approx(expected, abs=1e-9)
    expected = integrated_brier_score(y, y, survival, times)
    assert integrated_brier(time, event, survival, times) == pytest.approx(expected, abs=1e-9)


def test_concordance_is_that_of_lifelines():
    from lifelines.utils import concordance_index

    time, event, risk = sample(decimals=0, levels=2)
    assert c_harrell(time, event, risk) == pytest.approx(concordance_index(time, -risk, event), abs=1e-12)


def test_ranks_do_not_change_with_an_increasing_transform_and_turn_round_with_the_score():
    time, event, risk = sample()
    for metric in (c_harrell, lambda *a: c_uno(*a, 12.0), lambda *a: td_auc(*a, 12.0)):
        value = metric(time, event, risk)
        assert value > 0.6
        assert metric(time, event, np.exp(risk) + 5) == pytest.approx(value, abs=1e-12)
        assert metric(time, event, -risk) == pytest.approx(1 - value, abs=1e-12)
        assert metric(time, event, np.zeros(len(time))) == pytest.approx(0.5)


def test_without_censoring_before_the_horizon_the_plain_metrics_come_out():
    time, event, risk = sample()
    horizon = 6.0
    followed = event.astype(bool) | (time > horizon)
    time, event, risk = time[followed], event[followed], risk[followed]
    dead = (time <= horizon).astype(int)
    p = 1 / (1 + np.exp(-risk))
    assert td_auc(time, event, risk, horizon) == pytest.approx(auroc(dead, p), abs=1e-12)
    assert brier_survival(time, event, (1 - p)[:, None], [horizon])[0] == pytest.approx(brier(dead, p), abs=1e-12)


def test_uno_is_harrell_where_nobody_is_censored():
    time, event, risk = sample(censored=False)
    assert c_uno(time, event, risk, time.max() + 1) == pytest.approx(c_harrell(time, event, risk), abs=1e-12)


def test_uno_does_not_move_with_the_censoring_where_harrell_does():
    """Long censoring-free times against heavy early censoring: Uno's C, cut at tau, estimates one number."""
    rng = np.random.default_rng(3)
    n, tau = 4000, 6.0
    risk = rng.normal(size=n)
    death = rng.exponential(10 * np.exp(-risk)) ** 0.5 * 3  # hazards that cross time unevenly
    death = np.where(risk > 0, death, death + 1.5)
    stop = rng.exponential(4, n)
    time, event = np.minimum(death, stop), (death <= stop).astype(int)
    full = c_uno(death, np.ones(n, dtype=int), risk, tau)
    assert abs(c_uno(time, event, risk, tau) - full) < 0.012
    assert abs(c_harrell(time, event, risk) - full) > 0.012


def test_the_kaplan_meier_reference_scores_zero_and_the_truth_more():
    time, event, risk = sample(n=600)
    grid = np.linspace(0, 15, 31)
    km = kaplan_meier(time, event)
    same = np.tile(km.at(grid)[0], (len(time), 1))
    truth = np.exp(-np.outer(np.exp(0.7 * risk), grid) / 10)
    forecasts = [SurvivalForecast(risk[None], np.zeros((1, len(time)), int), s[None]) for s in (same, truth)]
    found = SurvivalSample(time, event == 1, tau=15.0, grid=grid).parts(forecasts, [np.ones((len(time), 1))])
    scaled = [quotient(*parts["scaled_ibs", 15.0])[0] for parts in found]
    assert scaled[0] == pytest.approx(0, abs=1e-12)
    assert scaled[1] > 0.08
    ibs = quotient(*found[1]["ibs", 15.0])[0]
    assert ibs == pytest.approx(integrated_brier(time, event, truth, grid), abs=1e-12)


@pytest.mark.parametrize("more", TIED)
def test_the_batched_form_is_the_plain_one_on_replicated_rows(more):
    time, event, risk = sample(n=60, **more)
    fit, horizons, tau = np.zeros((1, 60), dtype=int), (4.0, 9.0), 10.0
    grid = np.linspace(0, tau, 11)
    survival = np.exp(-np.outer(np.exp(0.5 * risk), np.concatenate([horizons, grid]) / 12))
    forecast = SurvivalForecast(risk[None], fit, survival[None])
    counts = person_weights([str(i // 2) for i in range(60)], n_resamples=12, seed=4)
    shape = SurvivalSample(time, event == 1, horizons=horizons, tau=tau, grid=grid)
    values = {k: quotient(*v) for k, v in shape.parts([forecast], blocks(counts, whole_first=True))[0].items()}
    for b, weights in enumerate([np.ones(60, dtype=int), *counts.T]):
        rows = np.repeat(np.arange(60), weights)
        t, e, r, s = time[rows], event[rows], risk[rows], survival[rows]
        assert values["c_harrell", None][b] == pytest.approx(c_harrell(t, e, r), abs=1e-12)
        assert values["c_uno", tau][b] == pytest.approx(c_uno(t, e, r, tau), abs=1e-12)
        expected = [brier_survival(t, e, s[:, [i]], [h])[0] for i, h in enumerate(horizons)]
        assert [values["brier", h][b] for h in horizons] == pytest.approx(expected, abs=1e-12)
        assert [values["td_auc", h][b] for h in horizons] == pytest.approx(
            [td_auc(t, e, r, h) for h in horizons], abs=1e-12
        )
        assert values["ibs", tau][b] == pytest.approx(integrated_brier(t, e, s[:, 2:], grid), abs=1e-12)


def test_patients_of_different_fits_are_not_ranked_against_each_other():
    """Two fits whose scores have different levels: within each the ranking is perfect."""
    time = np.array([1.0, 2, 3, 1.5, 2.5, 3.5])
    event, fit = np.ones(6, dtype=bool), np.array([[0, 0, 0, 1, 1, 1]])
    risk = np.array([3.0, 2, 1, 30, 20, 10])
    shape = SurvivalSample(time, event, horizons=(2.2,), tau=9.0)
    found = shape.parts([SurvivalForecast(risk[None], fit)], [np.ones((6, 1))])[0]
    for key in (("c_harrell", None), ("c_uno", 9.0), ("td_auc", 2.2)):
        assert quotient(*found[key])[0] == 1.0
    assert c_harrell(time, event, risk) < 1
    # nobody can be ranked within single patients: then all are ranked together
    alone = SurvivalSample(time, event).parts([SurvivalForecast(risk[None], np.arange(6)[None])], [np.ones((6, 1))])
    assert quotient(*alone[0]["c_harrell", None])[0] == c_harrell(time, event, risk)


def test_repeats_are_averaged_inside_a_resample():
    time, event, risk = sample(n=50)
    other = risk + np.random.default_rng(1).normal(size=50)
    shape, fit = SurvivalSample(time, event == 1, horizons=(6.0,)), np.zeros((2, 50), dtype=int)
    counts = person_weights(np.arange(50).astype(str), n_resamples=5)
    both = shape.parts([SurvivalForecast(np.array([risk, other]), fit)], blocks(counts))[0]
    each = [shape.parts([SurvivalForecast(r[None], fit[:1])], blocks(counts))[0] for r in (risk, other)]
    for key in (("c_harrell", None), ("td_auc", 6.0)):
        mean = np.mean([quotient(*e[key]) for e in each], axis=0)
        assert quotient(*both[key]) == pytest.approx(mean, abs=1e-12)


small = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 1), st.integers(-2, 2)),
    min_size=1,
    max_size=14,
)


@given(small, st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_concordance_counts_pairs_whatever_the_ties(rows, tau):
    time, event, risk = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    right = pairs = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            if event[i] and (time[j] > time[i] or (time[j] == time[i] and not event[j])):
                pairs += 1
                right += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    value = c_harrell(time, event, risk)
    assert (np.isnan(value) and pairs == 0) or value == pytest.approx(right / pairs, abs=1e-12)
    for metric in (c_uno, td_auc):
        value = metric(time, event, risk, float(tau))
        assert np.isnan(value) or -1e-12 <= value <= 1 + 1e-12


@pytest.mark.parametrize(
    ("time", "event", "risk", "word"),
    [
        ([], [], [], "at least 1"),
        ([1, 2], [1], [0, 0], "one event a patient"),
        ([1, -2], [1, 0], [0, 0], "no times"),
        ([1, np.nan], [1, 0], [0, 0], "no times"),
        ([1, 2], [1, 2], [0, 0], "0 and 1"),
        ([1, 2], [1, np.nan], [0, 0], "0 and 1"),
        ([1, 2], [1, 0], [0, np.nan], "not finite"),
        ([1, 2], [1, 0], [0], "one value a patient"),
    ],
)
def test_what_does_not_fit_is_told(time, event, risk, word):
    with pytest.raises(DataError, match=word):
        c_harrell(time, event, risk)


def test_survival_probabilities_are_checked():
    time, event, risk = sample(n=20)
    with pytest.raises(DataError, match="survival probability"):
        brier_survival(time, event, np.full((20, 1), 1.2), [5.0])
    with pytest.raises(DataError, match="survival probability"):
        brier_survival(time, event, risk, [5.0])
    with pytest.raises(DataError, match="do not increase"):
        brier_survival(time, event, np.full((20, 2), 0.5), [5.0, 5.0])
    with pytest.raises(DataError, match="two or more"):
        integrated_brier(time, event, np.full((20, 1), 0.5), [5.0])


def test_nobody_to_compare_gives_no_number():
    assert np.isnan(c_harrell([1, 2], [0, 0], [1, 2]))
    assert np.isnan(c_harrell([3], [1], [1]))
    assert np.isnan(td_auc([1, 2], [1, 1], [1, 2], 5.0))
    assert np.isnan(td_auc([1, 2], [0, 1], [1, 2], 1.5))
