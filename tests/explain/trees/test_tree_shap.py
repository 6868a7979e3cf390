"""Values against independent answers: all coalitions by brute force, XGBoost's own contributions, the shap package."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shap
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from xgboost import XGBClassifier

from immunocast.errors import ConfigError
from immunocast.explain.trees import choose, kernels, paths, units
from immunocast.explain.trees.choose import tree_shap
from immunocast.explain.trees.ensemble import Ensemble, Tree, ensemble_of
from immunocast.explain.trees.flat import flat_of
from immunocast.explain.trees.shap import TreeShap

spec = importlib.util.spec_from_file_location("brute_force", Path(__file__).with_name("brute_force.py"))
brute_force = importlib.util.module_from_spec(spec)
spec.loader.exec_module(brute_force)

WAYS = ["tables", "paths"]
#: Room for float32: XGBoost sums its contributions in it, and so do the tables.
SINGLE = 2e-5


@st.composite
def trees(draw, n_features, closed, depth):
    """A tree grown at random: thresholds on a grid that patients' values lie on, shares down to 0."""
    nodes = {name: [] for name in ("left", "right", "feature", "threshold", "missing_left", "cover", "value")}

    def grow(level, cover):
        k = len(nodes["left"])
        split = level < depth and draw(st.integers(0, 5)) > 0
        nodes["left"].append(-1)
        nodes["right"].append(-1)
        nodes["feature"].append(draw(st.integers(0, n_features - 1)) if split else -2)
        nodes["threshold"].append(draw(st.integers(-2, 2)) / 2 if split else 0.0)
        nodes["missing_left"].append(draw(st.booleans()))
        nodes["cover"].append(cover)
        nodes["value"].append(0.0 if split else draw(st.integers(-8, 8)) / 4)
        if split:
            share = draw(st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9]))
            nodes["left"][k] = grow(level + 1, cover * share)
            nodes["right"][k] = grow(level + 1, cover * (1 - share))
        return k

    grow(0, 64.0)
    kinds = {"left": np.int32, "right": np.int32, "feature": np.int32, "missing_left": bool}
    return Tree(**{name: np.array(values, dtype=kinds.get(name, float)) for name, values in nodes.items()})


@st.composite
def ensembles(draw):
    n_features, closed = draw(st.integers(1, 5)), draw(st.booleans())
    depth = draw(st.integers(0, 6))
    members = draw(st.lists(trees(n_features, closed, depth), min_size=1, max_size=3))
    return Ensemble(tuple(members), n_features, 0.5, closed, draw(st.booleans()), "log-odds")


def rows_for(n_features):
    cell = st.sampled_from([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, np.nan])
    return hnp.arrays(float, (4, n_features), elements=cell)


@settings(max_examples=120, deadline=None)
@given(st.data(), ensembles())
def test_any_ensemble_equals_all_coalitions(data, ensemble):
    X = data.draw(rows_for(ensemble.n_features))
    expected = np.array([brute_force.shapley(ensemble, row) for row in X])
    base = brute_force.output(ensemble, X[0], there=())
    for way in WAYS:
        found = TreeShap(ensemble, method=way)
        atol = SINGLE if found.dtype == np.float32 else 1e-10
        assert np.allclose(found.values(X), expected, atol=atol), way
        assert found.base_value == pytest.approx(base, abs=1e-10)


def matrix(seed, n=150, features=6):
    """Coarse values with ties, a constant column, a column mostly missing."""
    rng = np.random.default_rng(seed)
    X = np.round(rng.normal(size=(n, features)), 1)
    X[rng.random(X.shape) < 0.12] = np.nan
    X[:, 4] = 3.0
    X[rng.random(n) < 0.8, 5] = np.nan
    return X, rng


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    depth=st.integers(1, 6),
    n_trees=st.sampled_from([1, 2, 9]),
    cut=st.sampled_from([-0.5, 1.0, 2.2]),
    min_child_weight=st.sampled_from([0, 1, 5]),
)
def test_xgboost_equals_its_own_contributions(seed, depth, n_trees, cut, min_child_weight):
    X, rng = matrix(seed)
    y = (np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1]) + rng.normal(size=len(X)) > cut).astype(int)
    y[:2] = [0, 1]
    model = XGBClassifier(
        n_estimators=n_trees, max_depth=depth, min_child_weight=min_child_weight, learning_rate=0.6, n_jobs=1
    ).fit(X, y)
    # at the thresholds themselves, and everything missing
    splits = model.get_booster().trees_to_dataframe().query("Feature != 'Leaf'")
    at = np.full((len(splits) + 1, 6), np.nan)
    for i, (feature, split) in enumerate(zip(splits["Feature"], splits["Split"], strict=True)):
        at[i, int(feature[1:])] = split
    X = np.vstack([X, at])
    native = model.get_booster().predict(xgb.DMatrix(X), pred_contribs=True)
    scale = max(1.0, float(np.abs(native).max()))
    for way in WAYS:
        found = TreeShap(model, method=way)
        values = found.values(X)
        assert np.allclose(values, native[:, :-1], atol=SINGLE * scale), way
        assert found.base_value == pytest.approx(float(native[0, -1]), abs=SINGLE * scale)
        margin = model.predict(X, output_margin=True)
        assert np.allclose(values.sum(axis=1) + found.base_value, margin, atol=2 * SINGLE * scale)


FOREIGN = [
    RandomForestClassifier(12, min_samples_leaf=5, random_state=1),
    RandomForestClassifier(6, random_state=1),
    RandomForestClassifier(6, max_depth=4, class_weight="balanced", random_state=1),
    ExtraTreesClassifier(6, random_state=1),
    GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=1),
    HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=6, min_samples_leaf=5, random_state=1),
    HistGradientBoostingClassifier(max_iter=5, random_state=1),
]


@pytest.mark.parametrize("model", FOREIGN, ids=lambda m: type(m).__name__)
def test_scikit_learn_equals_the_shap_package(model):
    rng = np.random.default_rng(3)
    # whole numbers: shap's way of comparing float32 with float64 thresholds plays no part
    X = rng.integers(0, 12, size=(300, 7)).astype(float)
    y = (X[:, 0] * X[:, 1] + rng.normal(size=300) * 20 > 36).astype(int)
    model.fit(X, y)
    reference = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    expected = np.asarray(reference.shap_values(X, check_additivity=False))
    expected = expected[..., 1] if expected.ndim == 3 else expected
    values, base, scale = tree_shap(model, X)
    assert scale == ("probability" if "Gradient" not in type(model).__name__ else "log-odds")
    assert values.dtype == np.float64
    assert np.allclose(values, expected, atol=1e-11, rtol=0)
    assert base == pytest.approx(float(np.ravel(reference.expected_value)[-1]), abs=1e-11)
    output = model.predict_proba(X)[:, 1] if scale == "probability" else model.decision_function(X)
    assert np.allclose(base + values.sum(axis=1), output, atol=1e-11)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(2 * kernels.BLOCK + 77, 9))
    X[rng.random(X.shape) < 0.1] = np.nan
    y = (np.nan_to_num(X[:, 0] - X[:, 1]) + rng.normal(size=len(X)) > 0).astype(int)
    return XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1).fit(X[:800], y[:800]), X


@pytest.mark.parametrize("way", WAYS)
def test_blocks_threads_and_rows_alone_give_the_same_bits(fitted, way):
    model, X = fitted
    explainer = TreeShap(model, method=way)
    whole = explainer.values(X)
    for threads in (2, 3, 7):
        assert np.array_equal(explainer.values(X, threads=threads), whole)
    for first, last in [(0, 1), (kernels.BLOCK - 1, kernels.BLOCK + 1), (5, 5 + paths.GROUP + 1), (3, 3)]:
        assert np.array_equal(explainer.values(X[first:last]), whole[first:last])
    assert np.array_equal(explainer.values(np.asfortranarray(X)), whole)
    X = X.copy()
    X.flags.writeable = False
    assert np.array_equal(explainer.values(X), whole)
    assert np.array_equal(TreeShap(model, method=way).values(X), whole)


def test_values_are_compared_as_float32_where_the_library_does(fitted):
    model, _ = fitted
    flat = flat_of(ensemble_of(model))
    k = int(flat.roots[0])
    X = np.zeros((3, 9))
    X[:, flat.feature[k]] = flat.threshold[k] + np.array([-1e-12, 0.0, 1e-12]) * abs(flat.threshold[k])
    native = model.get_booster().predict(xgb.DMatrix(X), pred_contribs=True)[:, :-1]
    for way in WAYS:
        assert np.allclose(TreeShap(model, method=way).values(X), native, atol=SINGLE)


def test_any_cut_gives_the_same_values(fitted):
    model, X = fitted
    X = X[:500]
    expected = TreeShap(model, method="paths").values(X)
    sizes = []
    for most_rows in (32, 64, 256, 2048):
        explainer = TreeShap(model, method="tables", most_rows=most_rows)
        flat = flat_of(ensemble_of(model))
        nodes = (flat.right, flat.parent, flat.end, flat.feature, flat.threshold, flat.missing_left)
        pieces, starts = units.cut(flat.roots, *nodes, most_rows)
        ends, *_, rows = units.conditions(pieces, starts, *nodes)
        assert rows.max() <= most_rows
        assert np.diff(ends).max() <= 2 * units.MOST_CONDITIONS
        leaves = sum(int((flat.right[p : flat.end[p]] < 0).sum()) for p in pieces)
        assert leaves == (flat.right < 0).sum(), "every leaf lies in one piece"
        assert np.allclose(explainer.values(X), expected, atol=SINGLE)
        sizes.append(explainer.table_bytes)
    assert sizes == sorted(sizes)


def test_memory_is_told_and_bounded(fitted, monkeypatch):
    model, X = fitted
    explainer = TreeShap(model, n_rows=10**6)
    assert explainer.method == "tables"
    assert 0 < explainer.table_bytes <= TreeShap(model, method="tables", most_rows=4096).table_bytes
    out = np.empty((len(X), 9), np.float32)
    assert explainer.values(X, out=out) is out
    monkeypatch.setattr("immunocast.explain.trees.shap.MOST_BYTES", explainer.table_bytes - 1)
    assert TreeShap(model, n_rows=10**6).method == "paths"
    assert TreeShap(model, n_rows=10**6).table_bytes == 0
    assert TreeShap(model, method="tables").method == "tables"


def test_few_rows_are_walked_and_deep_trees_always(fitted):
    model, _ = fitted
    assert TreeShap(model, n_rows=1).method == "paths"
    assert TreeShap(model, n_rows=10**5).method == "tables"
    rng = np.random.default_rng(0)
    forest = RandomForestClassifier(3, random_state=0).fit(rng.normal(size=(400, 12)), rng.integers(0, 2, 400))
    assert TreeShap(forest, n_rows=10**7).method == "paths"
    with pytest.raises(ConfigError, match="too deep for tables"):
        TreeShap(forest, method="tables")


def test_a_small_booster_is_explained_by_its_library(fitted, monkeypatch):
    model, X = fitted
    native, base, scale = tree_shap(model, X[:50])
    assert np.array_equal(native, choose.native_contributions(model, X[:50])[0])
    assert scale == "log-odds"
    monkeypatch.setattr(choose, "NATIVE_BELOW", 20 * 50)
    ours, our_base, _ = tree_shap(model, X[:50])
    assert np.array_equal(ours, TreeShap(model, n_rows=50).values(X[:50]))
    assert np.allclose(ours, native, atol=SINGLE)
    assert our_base == pytest.approx(base, abs=SINGLE)
    assert np.array_equal(tree_shap(model, X[:50], method="native")[0], native)


def test_categorical_splits_stay_with_the_library(monkeypatch):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 5, 200), rng.normal(size=200)])
    y = (X[:, 0] == 2).astype(int)
    model = XGBClassifier(n_estimators=3, feature_types=["c", "q"], enable_categorical=True, n_jobs=1).fit(X, y)
    monkeypatch.setattr(choose, "NATIVE_BELOW", 0)
    with pytest.raises(ConfigError, match="categorical splits"):
        TreeShap(model)
    values, base, _ = tree_shap(model, X)
    assert np.allclose(base + values.sum(axis=1), model.predict(X, output_margin=True), atol=SINGLE)


def test_ensembles_that_cannot_be_read_are_left_to_the_shap_package():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    model = ExtraTreesRegressor(4, max_depth=3, random_state=0).fit(X, X[:, 0])
    assert ensemble_of(model) is None
    values, base, _ = tree_shap(model, X)
    assert np.allclose(base + values.sum(axis=1), model.predict(X))
    with pytest.raises(ConfigError, match="ExtraTreesRegressor is no tree ensemble"):
        tree_shap(model, X, method="tables")


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys, immunocast.explain.shap_values; "
        "print([m for m in ('shap', 'numba', 'xgboost') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_early_stopping_native_and_ours(fitted):
    _, X = fitted
    y = (np.nan_to_num(X[:, 0]) > 0.3).astype(int)
    model = XGBClassifier(n_estimators=60, max_depth=3, early_stopping_rounds=3, n_jobs=1)
    noisy = np.where(np.random.default_rng(0).random(len(y)) < 0.3, 1 - y, y)
    model.fit(X[:400], noisy[:400], eval_set=[(X[400:800], noisy[400:800])], verbose=False)
    assert model.best_iteration < 58
    native, base, _ = tree_shap(model, X[:200], method="native")
    for way in WAYS:
        values, found, _ = tree_shap(model, X[:200], method=way)
        assert np.allclose(values, native, atol=SINGLE)
        assert found == pytest.approx(base, abs=SINGLE)


def test_no_rows_and_constant_trees(fitted):
    model, X = fitted
    for way in WAYS:
        assert TreeShap(model, method=way).values(X[:0]).shape == (0, 9)
    same = XGBClassifier(n_estimators=3, n_jobs=1).fit(np.ones((40, 2)), np.arange(40) % 2)
    for way in WAYS:
        assert np.array_equal(TreeShap(same, method=way).values(np.ones((5, 2))), np.zeros((5, 2)))
    empty = Ensemble((), 3, 0.25, True, False, "log-odds")
    for way in WAYS:
        explainer = TreeShap(empty, method=way)
        assert np.array_equal(explainer.values(np.ones((2, 3))), np.zeros((2, 3)))
        assert explainer.base_value == 0.25


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda m, X: TreeShap(object()), "object is no tree ensemble"),
        (lambda m, X: TreeShap(m, method="fast"), "method is 'fast'; known: auto, tables, paths"),
        (lambda m, X: TreeShap(m).values(X[:, :4]), r"shape \(\d+, 4\); the ensemble takes 9 columns"),
        (lambda m, X: TreeShap(m).values(X[0]), r"shape \(9,\); the ensemble"),
        (lambda m, X: TreeShap(m).values(np.full(X.shape, "a")), "of numbers"),
        (lambda m, X: TreeShap(m).values(X, threads=0), "threads is 0: at least 1"),
        (lambda m, X: TreeShap(m).values(X, out=np.empty((1, 9))), "out has to be a C-ordered array"),
        (lambda m, X: tree_shap(RandomForestClassifier(2).fit([[0], [1]], [0, 1]), X, method="native"), "has none"),
    ],
)
def test_bad_input_says_so(fitted, make, words):
    with pytest.raises(ConfigError, match=words):
        make(*fitted)


def test_columns_in_another_order_are_refused(fitted):
    import pandas as pd

    _, X = fitted
    frame = pd.DataFrame(np.nan_to_num(X[:60, :3]), columns=["a", "b", "c"])
    forest = RandomForestClassifier(2, random_state=0).fit(frame, np.arange(60) % 2)
    tree_shap(forest, frame)
    with pytest.raises(ConfigError, match="X has the columns c, b, a; fitted were a, b, c"):
        tree_shap(forest, frame[["c", "b", "a"]])


def test_damaged_trees_are_refused():
    good = Tree(
        left=np.array([1, -1, -1], np.int32), right=np.array([2, -1, -1], np.int32),
        feature=np.array([0, -2, -2], np.int32), threshold=np.zeros(3), missing_left=np.zeros(3, bool),
        cover=np.array([4.0, 1.0, 3.0]), value=np.array([0.0, 1.0, 2.0]),
    )  # fmt: skip
    assert TreeShap(Ensemble((good,), 1, 0.0, True, False, "log-odds")).base_value == pytest.approx(1.75)
    with pytest.raises(ConfigError, match="beyond the 0"):
        TreeShap(Ensemble((good,), 0, 0.0, True, False, "log-odds"))
    bad = Tree(**{**good.__dict__, "value": np.array([0.0, np.nan, 2.0])})
    with pytest.raises(ConfigError, match="finite"):
        TreeShap(Ensemble((bad,), 1, 0.0, True, False, "log-odds"))
