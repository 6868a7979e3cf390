"""Answers that share no code with the package: one row, one tree, one coalition at a time."""

from itertools import combinations
from math import factorial

import numpy as np


def goes_left(ensemble, tree, k, row):
    x = row[tree.feature[k]]
    if np.isnan(x):
        return bool(tree.missing_left[k])
    x = np.float64(np.float32(x)) if ensemble.single else x
    return bool(x <= tree.threshold[k] if ensemble.closed else x < tree.threshold[k])


def expected(ensemble, row, there, tree, k=0):
    """Path-dependent expectation (Lundberg 2018, algorithm 1) of a tree given the features `there`."""
    left, right = tree.left[k], tree.right[k]
    if left < 0:
        return float(tree.value[k])
    if tree.feature[k] in there:
        return expected(ensemble, row, there, tree, left if goes_left(ensemble, tree, k, row) else right)
    # a node that no training row reached is divided evenly
    share = tree.cover[[left, right]] / tree.cover[k] if tree.cover[k] > 0 else (0.5, 0.5)
    return share[0] * expected(ensemble, row, there, tree, left) + share[1] * expected(
        ensemble, row, there, tree, right
    )


def output(ensemble, row, there=None):
    there = range(ensemble.n_features) if there is None else there
    return ensemble.offset + sum(expected(ensemble, row, frozenset(there), tree) for tree in ensemble.trees)


def shapley(ensemble, row):
    """(features,) Shapley values by all coalitions."""
    m = ensemble.n_features
    worth = {frozenset(s): output(ensemble, row, s) for size in range(m + 1) for s in combinations(range(m), size)}
    values = np.zeros(m)
    for s, base in worth.items():
        for j in set(range(m)) - s:
            weight = factorial(len(s)) * factorial(m - len(s) - 1) / factorial(m)
            values[j] += weight * (worth[s | {j}] - base)
    return values
