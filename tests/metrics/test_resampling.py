import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import immunocast.metrics
from immunocast.errors import ConfigError, NotFoundError
from immunocast.metrics import (
    METRICS,
    Metric,
    blocks,
    bootstrap,
    bootstrap_p,
    get_metric,
    percentile_interval,
    person_weights,
    quotient,
    resampled_fits,
    resampled_parts,
)
from immunocast.metrics import _resampling as resampling


def people(n=50):
    return np.array([f"p{i:03d}" for i in range(n)])


def test_every_resample_draws_as_many_persons_as_there_are_in_each_stratum():
    strata = np.repeat(["a", "b"], [30, 20])
    counts = person_weights(people(), strata, n_resamples=200)
    assert counts.shape == (50, 200)
    assert np.all(counts[:30].sum(axis=0) == 30)
    assert np.all(counts[30:].sum(axis=0) == 20)
    assert counts.mean() == pytest.approx(1)
    # a multiplicity is Binomial(m, 1/m): variance 1 - 1/m
    assert counts[:30].var() == pytest.approx(29 / 30, rel=0.05)


def test_strata_of_one_size_are_drawn_independently():
    counts = person_weights(people(40), np.repeat(["a", "b"], 20), n_resamples=50)
    assert not np.array_equal(counts[:20], counts[20:])
    assert abs(np.corrcoef(counts[:20].ravel(), counts[20:].ravel())[0, 1]) < 0.1


def test_patients_of_one_person_are_drawn_together_also_across_cohorts():
    persons = np.array(["x", "x", "y", "x", "z"])
    strata = np.array(["a", "a", "a", "b", "b"])
    counts = person_weights(persons, strata, n_resamples=100)
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[0], counts[3])
    assert np.all(counts[0] + counts[2] == 2)
    assert np.all(counts[4] == 1)


def test_numbers_depend_neither_on_row_order_nor_on_other_cohorts_nor_on_block_size(monkeypatch):
    strata = np.repeat(["a", "b"], [30, 20])
    counts = person_weights(people(), strata, n_resamples=64, seed=5)
    order = np.random.default_rng(0).permutation(50)
    assert np.array_equal(person_weights(people()[order], strata[order], n_resamples=64, seed=5), counts[order])
    alone = person_weights(people()[30:], strata[30:], n_resamples=64, seed=5)
    assert np.array_equal(alone, counts[30:])
    assert np.array_equal(person_weights(people(), strata, n_resamples=32, seed=5), counts[:, :32])
    assert not np.array_equal(person_weights(people(), strata, n_resamples=64, seed=6), counts)
    monkeypatch.setattr(resampling, "BLOCK_BYTES", 16 * 30 * 7)
    assert np.array_equal(person_weights(people(), strata, n_resamples=64, seed=5), counts)


def test_blocks_are_the_counts_in_order_and_bounded(monkeypatch):
    counts = person_weights(people(), n_resamples=300)
    monkeypatch.setattr(resampling, "BLOCK_BYTES", 8 * 50 * 100)
    pieces = list(blocks(counts))
    assert [piece.shape[1] for piece in pieces] == [100, 100, 100]
    assert np.array_equal(np.concatenate(pieces, axis=1), counts)
    assert next(iter(blocks(counts, whole_first=True))).tolist() == [[1.0]] * 50


@pytest.mark.parametrize("setting", [{"n_resamples": 0}, {"seed": -1}])
def test_settings_out_of_range_are_told(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        person_weights(people(), **setting)


def test_bootstrap_equals_a_loop_over_scikit_learn_on_the_same_resamples():
    rng = np.random.default_rng(1)
    p = np.round(rng.beta(2, 4, 50), 2)
    y = (rng.random(50) < p).astype(int)
    counts = person_weights(people(), n_resamples=40, seed=2)
    loop = {"auroc": [], "auprc": []}
    for b in range(40):
        drawn = np.repeat(np.arange(50), counts[:, b])
        loop["auroc"].append(roc_auc_score(y[drawn], p[drawn]))
        loop["auprc"].append(average_precision_score(y[drawn], p[drawn]))
    found = bootstrap(y, p, ["auroc", "auprc"], persons=people(), n_resamples=40, seed=2)
    for name, values in loop.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert (found[name].ci_low, found[name].ci_high) == pytest.approx((low, high), abs=1e-12)


def test_every_metric_of_the_catalogue_bootstraps_and_its_two_forms_agree():
    rng = np.random.default_rng(3)
    p = rng.beta(2, 3, 80)
    y = (rng.random(80) < p).astype(int)
    found = bootstrap(y, p, list(METRICS), threshold=0.3, n_resamples=50)
    for name, metric in METRICS.items():
        plain = metric.function(y, p, 0.3) if metric.at_threshold else metric.function(y, p)
        assert found[name].estimate == pytest.approx(plain, abs=1e-9), name
        assert found[name].ci_low < found[name].estimate < found[name].ci_high, name
        assert metric.label
        assert metric.better in ("higher", "lower", "zero", "one")
        assert metric.function.__name__ == name
        assert name in immunocast.metrics.__all__


def test_a_metric_given_as_one_function_gives_the_same_numbers_slowly():
    rng = np.random.default_rng(4)
    p = rng.beta(2, 3, 40)
    y = (rng.random(40) < p).astype(int)
    y[:3] = 1
    slow = Metric("auroc", "AUROC", METRICS["auroc"].function, "higher", ranks=True)
    at = Metric("net_benefit", "Net benefit", METRICS["net_benefit"].function, "higher", at_threshold=True)
    counts = person_weights(people(40), n_resamples=30)
    specs = [(slow, None), (METRICS["auroc"], None), (at, 0.3), (METRICS["net_benefit"], 0.3)]
    values = [quotient(*parts) for parts in resampled_parts(specs, y, p[None], blocks(counts))]
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    assert values[2] == pytest.approx(values[3], abs=1e-12)


def test_resamples_with_one_class_are_left_out_and_counted():
    y = np.array([1, 0, 0, 0, 0, 0])
    p = np.array([0.9, 0.1, 0.2, 0.3, 0.4, 0.5])
    counts = person_weights([f"{i:012d}" for i in range(6)], n_resamples=500)
    without = int(np.sum((counts[0] == 0) | (counts[0] == 6)))
    found = bootstrap(y, p, ["auroc", "auprc", "scaled_brier", "brier", "calibration_slope"], n_resamples=500)
    assert found["auroc"].n_left_out == found["auprc"].n_left_out == without > 100
    assert found["scaled_brier"].n_left_out == without
    assert found["brier"].n_left_out == 0
    assert found["auroc"].ci_low == 1
    assert found["calibration_slope"].n_left_out == 500
    assert np.isnan(found["calibration_slope"].ci_low)


def test_bootstrap_interval_of_a_mean_agrees_with_theory():
    rng = np.random.default_rng(5)
    p = rng.random(400)
    y = (rng.random(400) < p).astype(int)
    found = bootstrap(y, p, ["brier"], n_resamples=4000)["brier"]
    error = np.std((p - y) ** 2) / np.sqrt(400)
    assert (found.ci_high - found.ci_low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.05)


def test_repeats_are_averaged_inside_a_resample():
    rng = np.random.default_rng(6)
    p = rng.random((2, 60))
    y = (rng.random(60) < 0.4).astype(int)
    counts = person_weights(people(60), n_resamples=20)
    metric = METRICS["auroc"]
    (both,) = resampled_parts([(metric, None)], y, p, blocks(counts))
    singles = [quotient(*resampled_parts([(metric, None)], y, q[None], blocks(counts))[0]) for q in p]
    assert quotient(*both) == pytest.approx(np.mean(singles, axis=0), abs=1e-12)
    slope = METRICS["calibration_slope"]
    singles = [resampled_fits(slope, y, q[None], blocks(counts)) for q in p]
    assert resampled_fits(slope, y, p, blocks(counts)) == pytest.approx(np.mean(singles, axis=0))
    with pytest.raises(ConfigError, match="not a fitted metric"):
        resampled_fits(metric, y, p, blocks(counts))


def test_percentile_interval_and_p():
    values = np.arange(1, 1001) / 1000
    assert percentile_interval(values)[:2] == pytest.approx(np.quantile(values, [0.025, 0.975]))
    assert bootstrap_p(values) == pytest.approx(2 / 1001)
    assert bootstrap_p(values - 0.5005) == 1
    assert bootstrap_p(np.zeros(10)) == 1
    mostly_missing = np.append(np.full(11, np.nan), np.ones(10))
    assert np.isnan(percentile_interval(mostly_missing)[0])
    assert percentile_interval(mostly_missing)[2] == 11
    assert np.isnan(bootstrap_p(mostly_missing))


def test_an_unknown_metric_is_told_with_the_known_ones():
    with pytest.raises(NotFoundError, match="auroc, auprc"):
        get_metric("accuracy")
