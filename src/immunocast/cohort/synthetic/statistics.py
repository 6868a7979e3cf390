"""Small statistics behind the table of targets: medians, regressions, agreement."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit


def median_survival(months: pd.Series, event: pd.Series) -> float:
    """Kaplan-Meier median; infinite where the curve stays above one half."""
    order = np.argsort(months.to_numpy(), kind="stable")
    months_, event_ = months.to_numpy()[order], event.to_numpy(dtype=float)[order]
    curve = np.cumprod(1 - event_ / np.arange(len(months_), 0, -1))
    below = np.flatnonzero(curve <= 0.5)
    return float(months_[below[0]]) if len(below) else float("inf")


def logistic(x: np.ndarray, y: np.ndarray, rounds: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (intercept first) and standard errors of a logistic regression, by Newton's method."""
    x = np.column_stack([np.ones(len(y)), x])
    beta = np.zeros(x.shape[1])
    for _ in range(rounds):
        p = expit(x @ beta)
        covariance = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)
        beta = beta + covariance @ x.T @ (y - p)
    return beta, np.sqrt(np.diag(covariance))


def cox(x: np.ndarray, months: np.ndarray, event: np.ndarray, strata: np.ndarray, rounds: int = 6) -> np.ndarray:
    """(k,) log hazard ratios of a Cox regression with strata, Breslow's ties, by Newton's method."""
    beta = np.zeros(x.shape[1])
    k = len(beta)
    upper = np.triu_indices(k)
    for _ in range(rounds):
        gradient, information = np.zeros(k), np.zeros((k, k))
        for stratum in np.unique(strata):
            mine = np.flatnonzero(strata == stratum)
            order = mine[np.argsort(-months[mine], kind="stable")]
            z, dead = x[order], event[order] == 1
            weight = np.exp(z @ beta)
            total = np.cumsum(weight)[dead]
            mean = np.cumsum(weight[:, None] * z, axis=0)[dead] / total[:, None]
            second = np.cumsum(weight[:, None] * z[:, upper[0]] * z[:, upper[1]], axis=0)[dead] / total[:, None]
            gradient += (z[dead] - mean).sum(axis=0)
            square = (second - mean[:, upper[0]] * mean[:, upper[1]]).sum(axis=0)
            information[upper] += square
        full = information + np.triu(information, 1).T
        beta = beta + np.linalg.solve(full, gradient)
    return beta


def kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's kappa of two yes/no readings."""
    agree, chance = (a == b).mean(), a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return float((agree - chance) / (1 - chance))
