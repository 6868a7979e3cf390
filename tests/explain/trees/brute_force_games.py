"""Games of trees played out coalition by coalition, straight from the definitions, and trees to play them on."""

from itertools import combinations
from math import factorial

import numpy as np
from hypothesis import strategies as st

from immunocast.explain.trees.ensemble import Ensemble, Tree

VALUES = (-1.5, -1.0, 0.0, 0.25, 1.0, 2.0, np.nan)
THRESHOLDS = (-1.0, 0.0, 0.25, 1.0)


def random_tree(rng, n_features, depth):
    """A tree of up to `depth` levels, columns asked for repeatedly, one cover 0 now and then."""
    nodes = {"left": [], "right": [], "feature": [], "threshold": [], "missing_left": [], "cover": [], "value": []}

    def grow(level, cover):
        k = len(nodes["left"])
        split = level < depth and rng.random() < 0.85
        for key, item in {
            "left": -1,
            "right": -1,
            "feature": rng.integers(n_features) if split else -2,
            "threshold": rng.choice(THRESHOLDS),
            "missing_left": rng.random() < 0.5,
            "cover": cover,
            "value": 0.0 if split else rng.normal(),
        }.items():
            nodes[key].append(item)
        if split:
            share = rng.choice([rng.uniform(0.1, 0.9), 0.0, 0.5], p=[0.8, 0.1, 0.1])
            nodes["left"][k] = grow(level + 1, cover * share)
            nodes["right"][k] = grow(level + 1, cover * (1 - share))
        return k

    grow(0, 100.0)
    kinds = {"left": np.int32, "right": np.int32, "feature": np.int32, "missing_left": bool}
    return Tree(**{key: np.array(items, dtype=kinds.get(key, np.float64)) for key, items in nodes.items()})


def random_ensemble(seed, n_features=4, depth=4, n_trees=3):
    rng = np.random.default_rng(seed)
    trees = tuple(random_tree(rng, n_features, depth) for _ in range(n_trees))
    return Ensemble(trees, n_features, 0.3, bool(seed % 2), False, "log-odds")


def rows(rng, n, n_features):
    """Values that often are a threshold itself, or missing."""
    return rng.choice(VALUES, size=(n, n_features))


ensembles = st.builds(
    random_ensemble,
    st.integers(0, 100_000),
    n_features=st.integers(1, 5),
    depth=st.integers(0, 6),
    n_trees=st.integers(0, 4),
)


def goes_left(ensemble, tree, k, x):
    value = x[tree.feature[k]]
    if np.isnan(value):
        return bool(tree.missing_left[k])
    return bool(value <= tree.threshold[k] if ensemble.closed else value < tree.threshold[k])


def output(ensemble, x):
    total = ensemble.offset
    for tree in ensemble.trees:
        k = 0
        while tree.left[k] >= 0:
            k = tree.left[k] if goes_left(ensemble, tree, k, x) else tree.right[k]
        total += tree.value[k]
    return total


def interventional_game(ensemble, x, background):
    """S -> mean output over the background with the columns of S from x."""

    def game(there):
        mixed = np.array(background)
        mixed[:, list(there)] = x[list(there)]
        return float(np.mean([output(ensemble, z) for z in mixed]))

    return game


def path_dependent_game(ensemble, x):
    """S -> output where nodes on columns outside S are passed both ways, weighted by cover."""

    def expected(tree, there, k):
        if tree.left[k] < 0:
            return tree.value[k]
        if tree.feature[k] in there:
            return expected(tree, there, tree.left[k] if goes_left(ensemble, tree, k, x) else tree.right[k])
        a, b = tree.cover[tree.left[k]], tree.cover[tree.right[k]]
        share = a / tree.cover[k] if tree.cover[k] > 0 else 0.5
        other = b / tree.cover[k] if tree.cover[k] > 0 else 0.5
        return share * expected(tree, there, tree.left[k]) + other * expected(tree, there, tree.right[k])

    return lambda there: ensemble.offset + sum(expected(tree, there, 0) for tree in ensemble.trees)


def shapley(game, n):
    out = np.zeros(n)
    for i in range(n):
        for there, weight in _coalitions([k for k in range(n) if k != i], n):
            out[i] += weight * (game({*there, i}) - game(set(there)))
    return out


def interactions(game, n):
    """(n, n) Shapley interaction index, half on each side; the diagonal is what of the Shapley value is left."""
    out = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        for there, weight in _coalitions([k for k in range(n) if k not in (i, j)], n - 1):
            s = set(there)
            out[i, j] += weight / 2 * (game(s | {i, j}) - game(s | {i}) - game(s | {j}) + game(s))
        out[j, i] = out[i, j]
    return out + np.diag(shapley(game, n) - out.sum(axis=1))


def _coalitions(others, n):
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(n - size - 1) / factorial(n)
        yield from ((there, weight) for there in combinations(others, size))


def fitted(estimator, missing):
    """The estimator fitted on 300 rows of 6 columns, two of them with few values, and the rows as it compares them."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 6))
    X[:, 4], X[:, 5] = np.round(X[:, 4]), X[:, 5] > 0
    y = (X[:, 0] * X[:, 1] + X[:, 2] + X[:, 5] * X[:, 3] + rng.logistic(size=300) > 0).astype(int)
    if missing:
        X[rng.random(X.shape) < 0.15] = np.nan
    # float32 throughout: shap compares as float64 what XGBoost compares as float32
    X = X.astype(np.float32).astype(float)
    return estimator.fit(X, y), X
