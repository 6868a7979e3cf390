import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from immunocast.metrics import METRICS, Smoother, ici, oe_ratio, person_weights, quotient, resampled_parts
from immunocast.models.recalibration import fit_recalibrator

GOLDEN = Path(__file__).parents[1] / "golden"


def sample(n=2000, seed=0, extreme=1.0, shift=0.0, digits=None):
    rng = np.random.default_rng(seed)
    z = rng.normal(-0.8, 1, n)
    y = (rng.random(n) < expit(z)).astype(int)
    p = expit(extreme * z + shift)
    return y, p if digits is None else np.round(p, digits)


@pytest.fixture(scope="module")
def reference():
    """Made-up patients, and what R's rms and glm give for them (tests/golden/make_reference.R)."""
    patients = pd.read_csv(GOLDEN / "patients.csv")
    places = json.loads((GOLDEN / "calibration.json").read_text())["places"]
    parts = {"all": patients, **dict(list(patients.groupby("cohort_id")))}
    return [(parts[place], column, values) for place, found in places.items() for column, values in found.items()]


def test_ici_is_eavg_of_val_prob_and_oe_agrees(reference):
    for patients, column, expected in reference:
        y, p = patients["y"].to_numpy(), patients[column].to_numpy()
        # the patients of val.prob may be ordered otherwise within ties, which lowess does not see
        assert ici(y, p) == pytest.approx(expected["val_prob"]["Eavg"], abs=1e-9), column
        assert oe_ratio(y, p) == pytest.approx(expected["o_e"], abs=1e-12)
        smoother = Smoother.of(y, p)
        error = np.abs(smoother.at(p, np.ones((len(y), 1)))[:, 0] - p)
        assert error.max() == pytest.approx(expected["val_prob"]["Emax"], abs=1e-9)
        assert np.quantile(error, 0.9) == pytest.approx(expected["val_prob"]["E90"], abs=1e-9)


def test_recalibrators_are_the_fits_of_r_up_to_their_weak_prior(reference):
    patients, column, expected = reference[0]
    y, p = patients["y"].to_numpy(), patients[column].to_numpy()
    platt = fit_recalibrator("platt", p, y).parameters
    assert platt["slope"] == pytest.approx(expected["platt"]["slope"], abs=1e-3)
    assert platt["intercept"] == pytest.approx(expected["platt"]["intercept"], abs=1e-3)
    beta = fit_recalibrator("beta", p, y).parameters
    assert [beta[k] for k in "abc"] == pytest.approx([expected["beta"][k] for k in "abc"], abs=3e-3)
    only = fit_recalibrator("intercept", p, y).parameters["intercept"]
    assert only == pytest.approx(expected["intercept_with_offset"], abs=1e-8)


def test_true_probabilities_have_oe_one_and_no_distance():
    y, p = sample(60_000)
    assert oe_ratio(y, p) == pytest.approx(1, abs=0.02)
    assert ici(y, p) < 0.006
    y, shifted = sample(60_000, shift=1.0)
    expected = np.abs(shifted - expit(logit(shifted) - 1)).mean()
    assert ici(y, shifted) == pytest.approx(expected, abs=0.01)
    assert oe_ratio(y, shifted) == pytest.approx(expit(logit(shifted) - 1).mean() / shifted.mean(), abs=0.01)


def test_of_a_cut_off_it_is_the_mean_distance_of_its_two_rates():
    y = np.repeat([0, 1, 0, 1], [30, 10, 20, 20])
    p = np.repeat([0.2, 0.2, 0.6, 0.6], [30, 10, 20, 20])
    assert ici(y, p) == pytest.approx((40 * abs(0.2 - 0.25) + 40 * abs(0.6 - 0.5)) / 80)
    assert ici(y, np.full(80, 0.9)) == pytest.approx(0.9 - 30 / 80)
    # one group empty in a resample, another column with one class only
    weights = np.column_stack([np.repeat([1.0, 0.0], 40), np.where(y == 1, 1.0, 0.0), np.zeros(80)])
    assert METRICS["ici"].fit(y, p)(weights) == pytest.approx([0.05, np.nan, np.nan], nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5, 40, 300, 900]), st.sampled_from([0, 1, 2, None]))
def test_order_and_size_do_not_matter(seed, n, digits):
    y, p = sample(n, seed, digits=digits)
    weights = np.random.default_rng(seed).integers(0, 4, (n, 3)).astype(float)
    order = np.random.default_rng(seed).permutation(n)
    fit = METRICS["ici"].fit(y, p)
    values = fit(weights)
    assert METRICS["ici"].fit(y[order], p[order])(weights[order]) == pytest.approx(values, abs=1e-9, nan_ok=True)
    assert fit(2 * weights) == pytest.approx(values, abs=1e-9, nan_ok=True)
    both = (weights[y == 1].sum(axis=0) > 0) & (weights[y == 0].sum(axis=0) > 0)
    assert np.array_equal(np.isfinite(values), both)


def test_a_resample_is_close_to_smoothing_its_patients_anew():
    """Nodes and widths stay those of everybody: what that changes is small beside the spread over resamples."""
    y, p = sample(900, extreme=1.6, shift=0.4)
    weights = np.random.default_rng(3).multinomial(900, np.full(900, 1 / 900), size=60).T.astype(float)
    found = METRICS["ici"].fit(y, p)(weights)
    anew = []
    for column in weights.T:
        drawn = np.repeat(np.arange(900), column.astype(int))
        anew.append(ici(y[drawn], p[drawn]))
    assert np.abs(found - anew).max() < 0.1 * found.std()


def test_cells_of_many_predictions_change_nothing_that_shows(monkeypatch):
    y, p = sample(3000, extreme=1.6)
    in_cells = ici(y, p)
    assert len(Smoother.of(y, p).cells) < 600
    monkeypatch.setattr("immunocast.metrics._smooth._CELL", 1e-9)
    assert len(Smoother.of(y, p).cells) == 3000
    assert in_cells == pytest.approx(ici(y, p), abs=2e-5)


def test_repeats_add_up_observed_and_expected():
    rng = np.random.default_rng(6)
    p = rng.random((2, 60))
    y = (rng.random(60) < 0.4).astype(int)
    counts = person_weights([f"p{i:02d}" for i in range(60)], n_resamples=20)
    (parts,) = resampled_parts([(METRICS["oe_ratio"], None)], y, p, [counts.astype(float)])
    w = counts.astype(float)
    expected = (w * y[:, None]).sum(axis=0) / (w * p.mean(axis=0)[:, None]).sum(axis=0)
    assert quotient(*parts) == pytest.approx(expected, abs=1e-12)
