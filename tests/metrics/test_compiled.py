"""The compiled bootstrap against the one in NumPy, and against scikit-learn with sample weights."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config, float64, void
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError
from immunocast.metrics import METRICS, Metric, blocks, bootstrap, person_weights, quotient, resampled_parts
from immunocast.metrics import _compiled as compiled
from immunocast.metrics._catalogue import resampled_fits
from immunocast.metrics._kernels import TILE, _keep
from immunocast.validation.evaluate import evaluate

few = settings(max_examples=60, deadline=None)


@st.composite
def resamples(draw):
    """Outcomes, tied predictions (also 0 and 1), and counts with empty, one-class and lopsided columns."""
    n = draw(st.integers(1, 40))
    steps = draw(st.sampled_from([1, 2, 5, 100, 10_000]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    y = (rng.random(n) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))).astype(int)
    p = np.round(rng.random(n) * steps) / steps
    if draw(st.booleans()):
        p = np.where(y == 1, (1 + p) / 2, p / 2)  # nearly or wholly separated: slopes that run away
    counts = rng.poisson(draw(st.sampled_from([0.05, 1.0, 300.0])), (n, draw(st.sampled_from([1, 3, TILE, TILE + 5]))))
    return y, p, counts.astype(np.uint16)


def both(y, p, counts, metric, threshold=None):
    """Values of a metric by NumPy and compiled, repeats (r, n) in `p`."""
    found = []
    for way in (False, True):
        drawn = blocks(counts, whole_first=True, compiled=way)
        if metric.adds_up:
            found.append(quotient(*resampled_parts([(metric, threshold)], y, p, drawn)[0]))
        else:
            found.append(resampled_fits(metric, y, p, drawn))
    return found


@few
@given(resamples())
def test_sums_and_ranks_are_those_of_numpy(data):
    y, p, counts = data
    for metric in METRICS.values():
        if metric.adds_up:
            numpy, fast = both(y, p[None], counts, metric, 0.3 if metric.at_threshold else None)
            assert fast.shape == (1 + counts.shape[1],)
            np.testing.assert_allclose(fast, numpy, rtol=0, atol=1e-12, err_msg=metric.name)
    numpy, fast = both(y, p[None], counts, METRICS["auroc"])
    np.testing.assert_array_equal(fast, numpy)  # sums of integers: not even rounding differs


@few
@given(resamples())
def test_fits_are_those_of_numpy(data):
    y, p, counts = data
    for name in ("calibration_intercept", "calibration_slope"):
        numpy, fast = both(y, p[None], counts, METRICS[name])
        np.testing.assert_allclose(fast, numpy, rtol=1e-8, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("compiled_way", [False, True])
def test_a_resample_of_one_prediction_has_no_slope(compiled_way):
    y, p = np.array([1, 1, 0]), np.array([0.1, 0.5, 0.5])
    counts = np.array([[0, 1, 2], [2, 1, 1], [1, 1, 1]], dtype=np.uint16)
    drawn = blocks(counts, compiled=compiled_way)
    assert np.isnan(resampled_fits(METRICS["calibration_slope"], y, p[None], drawn)[0])
    y, p = np.array([1, 0, 1, 0]), np.array([0.1, 0.5, 0.5, 0.3])
    counts = np.array([[0, 1], [1, 1], [1, 2], [0, 3]], dtype=np.uint16)
    found = resampled_fits(METRICS["calibration_slope"], y, p[None], blocks(counts, compiled=compiled_way))
    assert np.isnan(found).tolist() == [True, False]


def test_fits_of_resamples_far_from_everybody():
    # Newton starts at the fit of everybody: here it must shorten its steps, and leave the polynomial's reach
    rng = np.random.default_rng(7)
    p = rng.random(200)
    y = (rng.random(200) < 0.2 * p).astype(int)
    p[:4], y[:4] = [0, 1, 0, 1], [0, 1, 1, 0]  # logits of -14 and 14
    against = (y == 1) == (p < 0.4)
    counts = np.column_stack([np.where(against, 60, 1), np.where(against, 1, 600)]).astype(np.uint16)
    numpy, fast = both(y, p[None], counts, METRICS["calibration_slope"])
    assert np.ptp(numpy) > 1
    np.testing.assert_allclose(fast, numpy, rtol=1e-9)
    p, y = 0.5 + rng.normal(0, 0.01, 200), np.arange(200) == 0
    counts = np.column_stack([np.where(y, 60_000, 1), np.where(y, 1, 60_000)]).astype(np.uint16)
    numpy, fast = both(y.astype(int), p[None], counts, METRICS["calibration_intercept"])
    assert numpy.round(1).tolist() == [-5.3, 5.8, -16.3]
    np.testing.assert_allclose(fast, numpy, rtol=1e-9)


@few
@given(resamples())
def test_equal_to_scikit_learn_with_sample_weights(data):
    y, p, counts = data
    peers = {"auroc": roc_auc_score, "auprc": average_precision_score, "brier": brier_score_loss}
    specs = [(METRICS[name], None) for name in peers]
    found = [quotient(*parts) for parts in resampled_parts(specs, y, p[None], blocks(counts, compiled=True))]
    for b, w in enumerate(counts.T.astype(float)):
        if 0 < w[y == 1].sum() < w.sum():
            expected = [peer(y, p, sample_weight=w) for peer in peers.values()]
            assert [values[b] for values in found] == pytest.approx(expected, abs=1e-12)


def example(n=90, n_resamples=2 * TILE + 7):
    rng = np.random.default_rng(3)
    p = np.round(rng.beta(2, 4, (2, n)), 2)
    y = (rng.random(n) < p[0]).astype(int)
    return y, p, person_weights([f"{i:03d}" for i in range(n)], n_resamples=n_resamples)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "ici"])  # its products' bits are BLAS's
def test_repeats_are_averaged_and_columns_do_not_see_each_other(name):
    y, p, counts = example()
    metric, threshold = METRICS[name], 0.3 if METRICS[name].at_threshold else None
    numpy, fast = both(y, p, counts, metric, threshold)
    assert fast == pytest.approx(numpy, abs=1e-9)
    _, fewer = both(y, p, counts[:, : TILE + 1], metric, threshold)
    np.testing.assert_array_equal(fewer, fast[: TILE + 2])
    order = np.random.default_rng(0).permutation(counts.shape[1])
    _, shuffled = both(y, p, counts[:, order], metric, threshold)
    np.testing.assert_array_equal(shuffled[1:], fast[1:][order])


def test_draws_are_those_of_numpy(monkeypatch):
    persons, strata = np.array([f"p{i % 70:02d}" for i in range(100)]), np.repeat(["a", "b"], 50)
    numpy = person_weights(persons, strata, n_resamples=75, seed=4)
    monkeypatch.setattr(compiled, "COMPILED_FROM", 0)
    np.testing.assert_array_equal(person_weights(persons, strata, n_resamples=75, seed=4), numpy)


@few
@given(st.integers(1, 300), st.integers(1, 2 * TILE + 3), st.integers(0, 10_000))
def test_draws_are_those_of_a_generator(m, n_resamples, seed):
    # halves of words are left over from one resample, and from one tile, to the next where m is odd
    rows, counts = np.random.default_rng(seed).permutation(m), np.full((m, n_resamples), 9, np.uint16)
    compiled.draw_counts(counts, rows, np.random.default_rng(seed))
    drawn = np.random.default_rng(seed).integers(0, m, (n_resamples, m))
    expected = np.array([np.bincount(one, minlength=m) for one in drawn]).T
    np.testing.assert_array_equal(counts[rows], expected)


def test_draws_that_are_made_anew_are_those_of_a_generator():
    # NumPy throws a draw away with probability (2**32 mod m) / 2**32
    m, n_resamples = 200_003, 11
    assert 2**32 % m / 2**32 * m * n_resamples > 30
    counts = np.zeros((m, n_resamples), np.uint16)
    compiled.draw_counts(counts, np.arange(m), np.random.default_rng(1))
    rng = np.random.default_rng(1)
    for column in counts.T:
        np.testing.assert_array_equal(column, np.bincount(rng.integers(0, m, m), minlength=m))


def test_only_a_fresh_generator_whose_state_is_known_is_followed():
    counts = np.zeros((3, 2), np.uint16)
    with pytest.raises(AssertionError):
        compiled.draw_counts(counts, np.arange(3), np.random.Generator(np.random.MT19937(1)))


@few
@given(resamples())
def test_ici_is_that_of_numpy(data):
    y, p, counts = data
    numpy, fast = both(y, p[None], counts, METRICS["ici"])
    np.testing.assert_allclose(fast, numpy, rtol=0, atol=1e-9)


def test_the_size_alone_decides(monkeypatch):
    monkeypatch.setattr(compiled, "COMPILED_FROM", 1000)
    counts = np.ones((20, 50), dtype=np.uint16)
    assert blocks(counts).compiled
    assert not blocks(counts[:, 1:]).compiled
    assert not blocks(counts, compiled=False).compiled
    assert blocks(counts[:1], compiled=True).compiled


def test_a_metric_of_ones_own_is_resampled_beside_compiled_ones():
    y, p, counts = example()
    own = Metric("share", "Share", lambda y, p: float(np.mean(p[y == 1])), "higher")
    specs = [(METRICS["brier"], None), (own, None), (METRICS["auroc"], None)]
    numpy, fast = (resampled_parts(specs, y, p, blocks(counts, compiled=way)) for way in (False, True))
    for first, second in zip(numpy, fast, strict=True):
        assert quotient(*second) == pytest.approx(quotient(*first), abs=1e-12)


def test_settings_are_told_alike():
    y, p, _ = example()
    for way in (False, True):
        with pytest.raises(ConfigError, match="threshold is None"):
            bootstrap(y, p[0], ["net_benefit"], n_resamples=5, compiled=way)


def test_tables_have_the_same_bytes_on_any_number_of_workers(monkeypatch):
    monkeypatch.setattr(compiled, "COMPILED_FROM", 0)
    rng = np.random.default_rng(5)
    n = 120
    p = rng.beta(2, 3, (3, n)).round(2)
    y = (rng.random(n) < p[0]).astype(int)
    rows = [
        {
            "patient_id": f"p{i:03d}",
            "cohort_id": "ab"[i % 2],
            "person_id": f"p{i:03d}",
            "model": model,
            "recalibration": "none",
            "scheme": "cv",
            "repeat": 0,
            "fold": i % 3,
            "endpoint": "response",
            "y_true": y[i],
            "p_response": p[k, i],
            "abstained": False,
            "in_training": False,
            "assays": "",
        }
        for k, model in enumerate(["one", "two", "three"])
        for i in range(n)
    ]
    frame = pd.DataFrame(rows)
    alone = evaluate(frame, references=["one"], n_resamples=100)
    spread = evaluate(frame, references=["one"], n_resamples=100, engine=JoblibEngine(3, "threading"))
    for table in ("metrics", "comparisons", "curves"):
        pd.testing.assert_frame_equal(getattr(spread, table), getattr(alone, table), check_exact=True)
    assert alone.metrics["ci_low"].notna().any()


# -- machine code kept on disk ---------------------------------------------------------------------------------------

TINY = "def double(x, out):\n    for i in range(len(x)):\n        out[i] = 2 * x[i]\n"
TINY_TYPE = void(float64[::1], float64[::1])


def doubles(function):
    out = np.empty(3)
    _keep(TINY_TYPE)(function)(np.arange(3.0), out)
    return out.tolist() == [0, 2, 4]


def from_file(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.double


def test_a_function_for_which_there_is_no_cache_is_compiled_all_the_same():
    names = {}
    exec(TINY, names)  # it has no file: numba finds no place for its machine code
    assert doubles(names["double"])


@pytest.mark.parametrize("what", ["index", "code"])
def test_a_broken_cache_does_not_stop_a_run(tmp_path, monkeypatch, what):
    source = tmp_path / "tiny.py"
    source.write_text(TINY)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    assert doubles(from_file(source))
    kept = list((tmp_path / "cache").rglob("*.nbi" if what == "index" else "*.nbc"))
    assert kept, "nothing was kept: this test would prove nothing"
    for file in kept:
        file.write_bytes(b"broken")
    assert doubles(from_file(source))


def test_machine_code_goes_elsewhere_where_the_named_folder_cannot_be_made(tmp_path, monkeypatch):
    source = tmp_path / "tiny.py"
    source.write_text(TINY)
    (tmp_path / "file").touch()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert doubles(from_file(source))
    assert list((tmp_path / "__pycache__").glob("*.nbi"))
