from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.tracking import curves
from immunocast.tracking.record_types import Metric


@pytest.fixture
def by_key(run):
    found: dict[str, dict[int, float]] = {}
    for metric in curves.curve_metrics(run, "ridge"):
        found.setdefault(metric.key, {})[metric.step] = metric.value
    return found


def test_the_curves_of_a_model_are_first_among_charts(by_key):
    assert set(by_key) == {
        curves.CALIBRATION, curves.NET_BENEFIT, curves.NET_GAIN, curves.ROC, "Curves/Survival OS high by month",
    }  # fmt: skip
    # MLflow sorts groups of charts by bytes; a latest step of 0 would be drawn as a bar
    assert all(key < "auroc" and max(points) >= 1 for key, points in by_key.items())


def test_roc_takes_the_upper_end_of_a_vertical_piece(by_key):
    roc = by_key[curves.ROC]
    assert list(roc) == list(range(0, 101, 2))
    assert (roc[0], roc[48], roc[50], roc[100]) == (0.4, 0.4, 0.8, 1.0)


def test_nothing_is_drawn_outside_of_a_curve(by_key):
    assert list(by_key[curves.CALIBRATION]) == list(range(12, 31, 2))
    assert by_key[curves.CALIBRATION][20] == pytest.approx(0.2)
    assert list(by_key[curves.NET_BENEFIT]) == list(range(2, 51, 2))
    assert by_key[curves.NET_GAIN][30] == pytest.approx(0.3)


def test_survival_is_the_last_value_up_to_a_month(by_key):
    assert by_key["Curves/Survival OS high by month"] == {0: 1.0, 2: 1.0, 4: 0.6, 6: 0.6}


def test_a_run_without_curves_has_none(run):
    run.table_path("curves").unlink()
    assert not list(curves.curve_metrics(run, "ridge"))


def test_one_point_is_no_curve():
    assert not list(curves._points("key", pd.Series([10.0]), pd.Series([1.0])))


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=30, unique=True),
    st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_steps_ascend_and_values_stay_between_their_neighbours(x, seed):
    x = sorted(x)
    y = np.random.default_rng(seed).uniform(-1, 1, len(x))
    points: list[Metric] = list(curves._points("key", 100 * pd.Series(x), pd.Series(y)))
    steps = [p.step for p in points]
    assert steps == sorted(set(steps))
    assert all(100 * x[0] - 1e-5 <= s <= 100 * x[-1] + 1e-5 for s in steps)
    assert all(y.min() - 1e-12 <= p.value <= y.max() + 1e-12 for p in points)
