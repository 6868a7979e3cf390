"""Random-effects meta-analysis: one estimate over several groups, how much they differ, and what to expect next.

The model is y_i = mu + u_i + e_i with u_i ~ N(0, tau^2) and known sampling (co)variances of e. Groups that share
persons have correlated errors; the full covariance matrix is then given, and every formula is its generalised
least squares form, which for a diagonal matrix is the usual one.

tau^2 is the restricted maximum likelihood estimate (Viechtbauer 2005, J Educ Behav Stat 30:261), sought from the
DerSimonian-Laird value (1986, Control Clin Trials 7:177). The interval of mu is Hartung-Knapp-Sidik-Jonkman's
(Hartung & Knapp 2001, Stat Med 20:3875) with the ad-hoc guard max(1, q): it is never narrower than the fixed-effect
interval (Jackson 2017, Stat Med 36:3923; Wiksten 2016, Stat Med 35:2503 for why a guard is needed). The prediction
interval has k - 2 degrees of freedom (Higgins 2009, JRSS A 172:137; Partlett & Riley 2017, Stat Med 36:301).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2, norm, t

from immunocast.errors import DataError, Problem
from immunocast.metrics._arrays import FloatArray

#: Fewest groups with an estimate of tau^2, and with a prediction interval.
LEAST_GROUPS, LEAST_FOR_PREDICTION = 2, 3

#: Scale of the half-normal prior of tau that shrinkage averages over.
PRIOR_SCALE = 0.5

_GRID = 100

_TOLERANCE, _MOST_STEPS = 1e-12, 1000


@dataclass(frozen=True)
class RandomEffects:
    """A summary over k groups, on the scale on which they were given; NaN where there is no value.

    Attributes
    ----------
    k : groups.
    estimate : mu, the mean of the groups' true values.
    ci_low, ci_high : its interval.
    variance : variance of the estimate behind the interval.
    pi_low, pi_high : prediction interval for the true value of a new group; NaN with two groups.
    tau2 : variance between groups.
    q, df, p : Cochran's Q, k - 1, and the p of "all groups have one true value".
    i2 : max(0, (Q - df) / Q) (Higgins & Thompson 2002, Stat Med 21:1539).
    """

    k: int
    estimate: float
    ci_low: float
    ci_high: float
    variance: float
    pi_low: float
    pi_high: float
    tau2: float
    q: float
    df: int
    p: float
    i2: float


def random_effects(estimates: Any, covariance: Any, *, level: float = 0.95) -> RandomEffects:
    """Summarise the estimates of k groups.

    Parameters
    ----------
    estimates : (k,) estimates on a scale on which they are about normal, k >= 2.
    covariance : (k,) sampling variances, all > 0, or the (k, k) sampling covariance of groups that share persons.
    level : confidence level.

    Returns
    -------
    RandomEffects

    Raises
    ------
    DataError
        Where there are fewer than two groups, the shapes do not fit, or the covariance is not positive definite.
    """
    y, v = _checked(estimates, covariance)
    k = len(y)
    df = k - 1
    mean, precision, residual = _fit(y, np.linalg.inv(v))
    q = float(residual @ np.linalg.solve(v, residual))
    tau2 = reml(y, v)
    weights = np.linalg.inv(v + tau2 * np.eye(k))
    mean, precision, residual = _fit(y, weights)
    variance = max(1.0, float(residual @ weights @ residual) / df) / precision
    half = float(t.ppf((1 + level) / 2, df)) * np.sqrt(variance)
    ahead = float("nan")
    if k >= LEAST_FOR_PREDICTION:
        ahead = float(t.ppf((1 + level) / 2, k - 2) * np.sqrt(tau2 + variance))
    return RandomEffects(
        k=k,
        estimate=mean,
        ci_low=float(mean - half),
        ci_high=float(mean + half),
        variance=float(variance),
        pi_low=mean - ahead,
        pi_high=mean + ahead,
        tau2=tau2,
        q=q,
        df=df,
        p=float(chi2.sf(q, df)),
        i2=max(0.0, (q - df) / q) if q > 0 else 0.0,
    )


def dersimonian_laird(y: FloatArray, v: FloatArray) -> float:
    """tau^2 by moments: the value at which Cochran's Q has its expectation, at least 0.

    Parameters
    ----------
    y : (k,) estimates.
    v : (k, k) sampling covariance.
    """
    weights = np.linalg.inv(v)
    _, precision, residual = _fit(y, weights)
    q = residual @ weights @ residual
    scale = np.trace(weights) - np.sum(weights @ weights) / precision
    return float(max(0.0, (q - (len(y) - 1)) / scale))


def reml(y: FloatArray, v: FloatArray) -> float:
    """tau^2 by restricted maximum likelihood, at least 0.

    Fisher scoring from the DerSimonian-Laird value and from the plain variance of the estimates; where the two end
    apart the likelihood decides.
    """
    starts = (dersimonian_laird(y, v), float(np.var(y, ddof=1)))
    found = [_scored(y, v, start) for start in starts]
    return max(found, key=lambda tau2: _restricted_likelihood(y, v, tau2))


def tau_weights(estimates: Any, covariance: Any) -> tuple[FloatArray, FloatArray]:
    """What the data say of tau: a grid of values, and how much each counts (the weights sum to 1).

    The weights are the restricted likelihood times a half-normal of scale 0.5, a weakly informative prior on the scale
    of log odds (Rover 2021, Res Synth Methods 12:448). With few groups the best single value is often 0, which would
    call all groups alike; averaging over the grid keeps what is not known of tau.

    Parameters
    ----------
    estimates, covariance : as for `random_effects`.
    """
    y, v = _checked(estimates, covariance)
    taus: FloatArray = (np.arange(_GRID, dtype=np.float64) + 0.5) * (4 * PRIOR_SCALE / _GRID)
    weights = np.linalg.inv(v + taus[:, None, None] ** 2 * np.eye(len(y)))
    row = weights.sum(axis=1)
    precision = row.sum(axis=1)
    residual = y - ((row @ y) / precision)[:, None]
    squares = np.einsum("ti,tij,tj->t", residual, weights, residual)
    log = 0.5 * (np.linalg.slogdet(weights)[1] - np.log(precision) - squares) - 0.5 * (taus / PRIOR_SCALE) ** 2
    likely = np.exp(log - log.max())
    return taus, np.asarray(likely / likely.sum(), dtype=float)


def shrink(
    estimate: float,
    variance: float,
    mean: float,
    mean_variance: float,
    taus: FloatArray,
    weights: FloatArray,
    *,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Empirical-Bayes estimate of a group's true value (Morris 1983, JASA 78:47) and its interval.

    With B = v / (v + tau^2), averaged over what is known of tau, it is B mean + (1 - B) estimate: the less a group
    says, and the more alike the groups are, the nearer to the mean. Its variance is the mean of (1 - B) v, plus the
    variance of B times the squared distance to the mean, plus B^2 Var(mean).

    Parameters
    ----------
    estimate, variance : of the group.
    mean, mean_variance : of the random-effects mean.
    taus, weights : as `tau_weights` gives them.
    level : confidence level.

    Returns
    -------
    shrunken, low, high

    Examples
    --------
    >>> shrink(1.0, 1.0, 0.0, 0.0, np.array([1.0]), np.array([1.0]))[0]
    0.5
    """
    toward = variance / (variance + taus**2)
    share = float(toward @ weights)
    spread = float((toward - share) ** 2 @ weights)
    shrunken = share * mean + (1 - share) * estimate
    error = np.sqrt((1 - share) * variance + spread * (estimate - mean) ** 2 + share**2 * mean_variance)
    half = float(norm.ppf((1 + level) / 2)) * error
    return float(shrunken), float(shrunken - half), float(shrunken + half)


def hanley_mcneil_variance(auroc: float, n_events: int, n_others: int) -> float:
    """Variance of an AUROC of a given value (Hanley & McNeil 1982, Radiology 143:29).

    For groups so small that their own DeLong variance means nothing: at two events it has one degree of freedom,
    and it is 0 where the classes are separated.
    """
    one = auroc / (2 - auroc)
    two = 2 * auroc**2 / (1 + auroc)
    spread = auroc * (1 - auroc) + (n_events - 1) * (one - auroc**2) + (n_others - 1) * (two - auroc**2)
    return float(spread / (n_events * n_others))


def _checked(estimates: Any, covariance: Any) -> tuple[FloatArray, FloatArray]:
    y, v = np.asarray(estimates, dtype=float), np.asarray(covariance, dtype=float)
    v = np.diag(v) if v.ndim == 1 else v
    if y.ndim != 1 or len(y) < LEAST_GROUPS or v.shape != (len(y), len(y)):
        raise DataError(
            Problem(
                f"estimates have shape {y.shape}, their covariance {np.shape(covariance)}",
                "Give at least two estimates, with a variance each or a square covariance.",
            )
        )
    usable = np.isfinite(y).all() and np.isfinite(v).all() and np.allclose(v, v.T)
    if not usable or np.linalg.eigvalsh(v)[0] <= 0:
        raise DataError(
            Problem(
                "the sampling variances are not all finite and above 0, or the covariance is not positive definite",
                "Leave out groups without a variance.",
            )
        )
    return y, v


def _fit(y: FloatArray, weights: FloatArray) -> tuple[float, float, FloatArray]:
    """Weighted mean, its precision and the residuals."""
    row = weights.sum(axis=0)
    precision = float(row.sum())
    mean = float(row @ y) / precision
    return mean, precision, y - mean


def _scored(y: FloatArray, v: FloatArray, tau2: float) -> float:
    scale = float(np.mean(np.diag(v)))
    for _ in range(_MOST_STEPS):
        weights = np.linalg.inv(v + tau2 * np.eye(len(y)))
        row = weights.sum(axis=0)
        projected = weights - np.outer(row, row) / row.sum()
        gradient = float(np.sum((projected @ y) ** 2) - np.trace(projected))
        step = gradient / float(np.sum(projected * projected))
        new = max(0.0, tau2 + step)
        if abs(new - tau2) <= _TOLERANCE * (scale + tau2):
            return new
        tau2 = new
    return tau2


def _restricted_likelihood(y: FloatArray, v: FloatArray, tau2: float) -> float:
    total = v + tau2 * np.eye(len(y))
    weights = np.linalg.inv(total)
    _, precision, residual = _fit(y, weights)
    return float(-0.5 * (np.linalg.slogdet(total)[1] + np.log(precision) + residual @ weights @ residual))
