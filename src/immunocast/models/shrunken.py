"""Logistic regression that is shrunk towards stated coefficients instead of 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

_MAX_STEPS = 100
_LAST_STEP = 1e-10


@dataclass(frozen=True)
class Shrunken:
    """Intercept and coefficients (p,) of a fit."""

    intercept: float
    coef: np.ndarray


def fit_shrunken(
    x: np.ndarray, y: np.ndarray, prior: np.ndarray, weight: np.ndarray, C: float, offset: np.ndarray | None = None
) -> Shrunken:
    """Minimise log loss + sum(weight (coef - prior)^2) / (2 C); the intercept is free.

    With prior 0 and weight 1 this is scikit-learn's LogisticRegression(C=C); tests hold it to that.

    Parameters
    ----------
    x : (n, p) without missing values.
    y : (n,) 0/1, both present.
    prior : (p,) coefficients that the penalty draws to.
    weight : (p,) above 0, so that there is one optimum whatever the data.
    C : inverse strength of the penalty, above 0.
    offset : (n,) log-odds that are taken as given; None for none.
    """
    design = np.column_stack([np.ones(len(x)), x])
    centre, strength = np.concatenate([[0.0], prior]), np.concatenate([[0.0], weight / C])
    given = np.zeros(len(x)) if offset is None else offset
    beta = centre.copy()

    def loss(at: np.ndarray) -> float:
        eta = design @ at + given
        return float(np.logaddexp(0, eta).sum() - y @ eta + (strength * (at - centre) ** 2).sum() / 2)

    value = loss(beta)
    for _ in range(_MAX_STEPS):
        p = expit(design @ beta + given)
        gradient = design.T @ (y - p) - strength * (beta - centre)
        # the tiny ridge keeps the intercept's row regular where all p are near 0 or 1
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(strength + 1e-10)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        # the loss is convex: halving ends; at the optimum rounding decides, not the search
        while (new := loss(beta + size * step)) > value + 1e-12 * abs(value) and size > 1e-8:
            size /= 2
        beta, value = beta + size * step, new
        if np.abs(size * step).max() < _LAST_STEP:
            break
    return Shrunken(float(beta[0]), beta[1:])
