"""Ridge logistic regression by Newton's method: the exact optimum of scikit-learn's objective, without its overhead.

    sum_i w_i log(1 + exp(-s_i (x_i b + a)))  +  |b|^2 / (2 C)        s_i = +1 with the event, -1 without

The intercept a is not penalised, and the penalty stays the same whatever the weights add up to: a weight of 2 is a
row that stands there twice. A fit depends on its own rows alone, to the bit, not on what else is fitted with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dposv

_MAX_STEPS = 200
#: A step of at most this size, relative to the coefficients, is the last: Newton's error after it is its square.
_LAST_STEP = 1e-8
#: A step that changes no linear predictor by more than this needs no look at the objective.
_SAFE = 1.0


class Fit(NamedTuple):
    """Coefficients (p,), the intercept, and the number of Newton steps."""

    coef: np.ndarray
    intercept: float
    n_steps: int


def fit_many_logistic(X: np.ndarray, Y: np.ndarray, W: np.ndarray, C: float) -> list[Fit]:
    """A ridge logistic regression for each column of weights.

    Parameters
    ----------
    X : (n, p) design that all fits share, or (B, n, p) with one for each.
    Y : (n,) 0/1, or (n, B).
    W : (n, B) weights, not negative: fold membership 0/1, or how often a bootstrap drew the row.
    C : inverse of the penalty, as in scikit-learn's LogisticRegression.

    Raises
    ------
    ValueError
        As `fit_logistic`.
    """
    return [fit_logistic(x, y, w, C) for x, y, w in _each(X, Y, W)]


def _each(X: np.ndarray, Y: np.ndarray, W: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for b in range(W.shape[1]):
        yield (X[b] if X.ndim == 3 else X), (Y[:, b] if Y.ndim == 2 else Y), W[:, b]


def fit_logistic(X: np.ndarray, y: np.ndarray, w: np.ndarray | None = None, C: float = 1.0) -> Fit:
    """One ridge logistic regression.

    Parameters
    ----------
    X : (n, p) finite numbers.
    y : (n,) 0/1.
    w : (n,) weights, not negative; rows of weight 0 are not looked at. None for 1 each.
    C : inverse of the penalty, positive and finite.

    Raises
    ------
    ValueError
        For a C or weights out of range, missing or infinite values, rows of one class only, or without convergence.

    Examples
    --------
    >>> fit = fit_logistic(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 0, 1]))
    >>> round(float(fit.coef[0]), 4), round(fit.intercept, 4)
    (0.4529, -0.6793)
    """
    if not (np.isfinite(C) and C > 0):
        raise ValueError(f"C is {C!r}; it must be positive and finite.")
    if w is not None:
        if not np.all(w >= 0):
            raise ValueError("a weight is negative or missing")
        kept = np.flatnonzero(w)
        if len(kept) < len(w):
            X, y, w = X[kept], y[kept], w[kept]
    w = np.ones(len(y)) if w is None else np.asarray(w, dtype=float)
    event = np.asarray(y) == 1
    total, events = float(w.sum()), float(w[event].sum())
    if not 0 < events < total:
        raise ValueError("the rows hold one class only")
    design = np.empty((len(X), X.shape[1] + 1))
    design[:, :-1], design[:, -1] = X, 1.0
    if not np.isfinite(design.sum()):
        raise ValueError("the design holds missing or infinite values")
    penalty = np.full(design.shape[1], 1.0 / C)
    penalty[-1] = 0.0
    start = np.zeros(design.shape[1])
    start[-1] = np.log(events / (total - events))
    return _newton(design, event.astype(float), w, penalty, start)


def _newton(Z: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: np.ndarray, b: np.ndarray) -> Fit:
    eta = Z @ b
    for n_steps in range(1, _MAX_STEPS + 1):
        with np.errstate(over="ignore"):
            mu = 1.0 / (1.0 + np.exp(-eta))
        gradient = Z.T @ (w * (y - mu)) - penalty * b
        step = _solve(Z, w * mu * (1.0 - mu), penalty, gradient)
        change = Z @ step
        share = 1.0
        if float(np.abs(change).max()) > _SAFE:
            share = _share_of_step(eta, change, y, w, penalty, b, step)
        b = b + share * step
        eta = eta + share * change
        if share == 1.0 and float(np.abs(step).max()) <= _LAST_STEP * (1.0 + float(np.abs(b).max())):
            return Fit(b[:-1], float(b[-1]), n_steps)
    raise ValueError(f"no convergence in {_MAX_STEPS} steps: choose a smaller C")


def _solve(Z: np.ndarray, v: np.ndarray, penalty: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Newton's step; where the curvature has vanished, with the least damping that can be factorised."""
    root = Z * np.sqrt(v)[:, None]
    hessian = root.T @ root
    diagonal = np.einsum("ii->i", hessian)
    diagonal += penalty
    damping = 1e-12 * max(float(diagonal.max()), 1e-300)
    while True:
        _, step, info = dposv(hessian, gradient)
        if info == 0 and np.isfinite(step).all():
            return np.asarray(step)
        diagonal += damping
        damping *= 100.0


def _share_of_step(
    eta: np.ndarray,
    change: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    penalty: np.ndarray,
    b: np.ndarray,
    step: np.ndarray,
) -> float:
    """The first of 1, 1/2, 1/4 ... that lowers the objective, by a little at least (Armijo)."""

    def objective(share: float) -> float:
        at, coef = eta + share * change, b + share * step
        return float(w @ (np.logaddexp(0.0, at) - y * at)) + 0.5 * float(penalty @ coef**2)

    before = objective(0.0)
    with np.errstate(over="ignore"):
        mu = 1.0 / (1.0 + np.exp(-eta))
    slope = float(w @ ((mu - y) * change)) + float((penalty * b) @ step)
    share = 1.0
    while objective(share) > before + 1e-4 * share * slope and share > 1e-10:
        share *= 0.5
    return share
