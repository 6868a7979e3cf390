import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from immunocast.errors import DataError
from immunocast.metrics import METRICS, auprc, auroc, mean_roc, quotient, roc_points

few = settings(max_examples=60, deadline=None)


@st.composite
def tied_data(draw, weights=False):
    """Outcomes of both classes and predictions on a coarse grid, so that ties abound, also at 0 and 1."""
    n = draw(st.integers(4, 40))
    steps = draw(st.sampled_from([1, 2, 5, 100]))
    y = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    y[:2] = 0, 1
    p = np.array(draw(st.lists(st.integers(0, steps), min_size=n, max_size=n))) / steps
    if not weights:
        return y, p
    w = np.array(draw(st.lists(st.integers(0, 4), min_size=n * 3, max_size=n * 3))).reshape(n, 3)
    w[:2] = np.maximum(w[:2], 1)
    return y, p, w.astype(float)


@few
@given(tied_data())
def test_equal_to_scikit_learn(data):
    y, p = data
    assert auroc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert auprc(y, p) == pytest.approx(average_precision_score(y, p), abs=1e-12)


@few
@given(tied_data(weights=True))
def test_batched_forms_equal_scikit_learn_with_sample_weight(data):
    y, p, w = data
    found = {m: quotient(*METRICS[m].prepare(y, p)(w)) for m in ("auroc", "auprc")}
    for b in range(w.shape[1]):
        assert found["auroc"][b] == pytest.approx(roc_auc_score(y, p, sample_weight=w[:, b]), abs=1e-12)
        expected = average_precision_score(y, p, sample_weight=w[:, b])
        assert found["auprc"][b] == pytest.approx(expected, abs=1e-12)


@few
@given(tied_data())
def test_auroc_depends_on_the_ranking_alone(data):
    y, p = data
    assert auroc(y, p**3 / 2) == pytest.approx(auroc(y, p), abs=1e-12)
    assert auroc(y, 1 - p) == pytest.approx(1 - auroc(y, p), abs=1e-12)
    order = np.random.default_rng(0).permutation(len(y))
    assert auroc(y[order], p[order]) == pytest.approx(auroc(y, p), abs=1e-12)


def test_perfect_and_constant_predictions():
    y = np.array([0, 1, 1, 0, 1])
    assert auroc(y, y) == 1
    assert auprc(y, y) == 1
    assert auroc(y, np.full(5, 0.3)) == 0.5
    assert auprc(y, np.full(5, 0.3)) == pytest.approx(0.6)


def test_shuffled_outcomes_give_no_skill():
    rng = np.random.default_rng(1)
    y = rng.random(20_000) < 0.3
    assert auroc(y, rng.random(20_000)) == pytest.approx(0.5, abs=0.015)
    assert auprc(y, rng.random(20_000)) == pytest.approx(0.3, abs=0.015)


def test_one_class_has_no_ranking():
    assert np.isnan(auroc([1, 1], [0.2, 0.3]))
    assert np.isnan(auprc([0, 0], [0.2, 0.3]))
    assert np.isnan(auprc([1, 1], [0.2, 0.3]))


@few
@given(tied_data())
def test_area_under_the_roc_points_is_the_auroc(data):
    y, p = data
    x, height = roc_points(y, p)
    assert (x[0], height[0], x[-1], height[-1]) == (0, 0, 1, 1)
    assert np.all(np.diff(x) >= 0)
    assert np.all(np.diff(height) >= 0)
    assert auc(x, height) == pytest.approx(auroc(y, p), abs=1e-12)


def test_mean_roc_takes_the_upper_end_of_a_jump_and_weighs_curves():
    perfect = roc_points([0, 1], [0.1, 0.9])
    none = roc_points([0, 1], [0.5, 0.5])
    grid = np.array([0.0, 0.5, 1.0])
    assert mean_roc([perfect], [1], grid).tolist() == [1, 1, 1]
    steps = roc_points([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    assert mean_roc([steps], [1], np.array([0, 0.25, 0.5, 0.75, 1])).tolist() == [0.5, 0.5, 1, 1, 1]
    assert mean_roc([perfect, none], [3, 1], grid).tolist() == [0.75, 0.875, 1]


def test_area_of_the_mean_roc_is_the_pair_weighted_auroc():
    rng = np.random.default_rng(2)
    curves, areas, pairs = [], [], []
    for n in (150, 400):
        y = (rng.random(n) < 0.3).astype(int)
        p = 1 / (1 + np.exp(-(rng.normal(size=n) + y)))
        curves.append(roc_points(y, p))
        areas.append(auroc(y, p))
        pairs.append(y.sum() * (n - y.sum()))
    grid = np.linspace(0, 1, 2001)
    expected = np.average(areas, weights=pairs)
    assert auc(grid, mean_roc(curves, pairs, grid)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("y", "p", "says"),
    [
        ([], [], "shape"),
        ([0, 2], [0.1, 0.2], "value '2.0'"),
        ([0, np.nan], [0.1, 0.2], "0 and 1"),
        ([0, 1], [0.1], "2 rows"),
        ([0, 1], [0.1, 1.2], "value '1.2'"),
        ([0, 1], [0.1, np.nan], "abstained"),
    ],
)
def test_wrong_arrays_are_told(y, p, says):
    with pytest.raises(DataError, match=says):
        auroc(y, p)
