"""Recalibrators: monotone maps from a model's probability to one that agrees with what was observed.

A recalibrator is fitted on predictions for patients whom the model did not see, and is kept apart from the model: the
model's own log-odds stay what is explained, and the map is shown beside them. Its state is a few numbers in JSON.

| name | map | parameters | least events, and non-events |
|---|---|---|---|
| intercept | logit q = a + logit p | 1 | 10 |
| platt | logit q = a + b logit p, b > 0 | 2 | 20 |
| beta | logit q = a ln p - b ln(1-p) + c, a, b > 0 | 3 | 30 |
| isotonic | straight lines between the centres of pooled blocks | as many as there are blocks | 100 |

Platt 1999 (without his smoothed targets, see `fit_recalibrator`); Kull 2017, AISTATS (beta); Oron & Flournoy 2017,
Stat Biopharm Res 9:258 (centred isotonic regression).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit

from immunocast.errors import ConfigError, DataError, Problem
from immunocast.metrics import LOGIT_EPS, FloatArray, IntArray, binary_outcome, logit

Parameters = dict[str, Any]

#: Precision of the normal prior (sd 10) around 1 that slopes have: nothing that shows in ordinary data, and what
#: keeps a slope finite where classes are separated or a cut-off model has two probabilities only.
_PRIOR = 0.01
#: Slopes are at least this: a model that ranked its fitting patients backwards is not turned round, and all but
#: flattened; its ranks, and so its AUROC, stay what they were.
_LEAST_SLOPE = 1e-6
_MAX_STEPS = 200


class NotEnoughEvents(ConfigError):  # noqa: N818 - it is an outcome that callers tell, more than a mistake
    """A recalibrator can't be fitted on so few events or non-events; `reason` says so in a clause for a note."""

    def __init__(self, name: str, n_events: int, n_others: int):
        self.name, self.n_events, self.n_others = name, n_events, n_others
        least = RECALIBRATORS[name].least
        self.reason = (
            f"recalibration {name} needs {least} events and {least} non-events, there are {n_events} and {n_others}"
        )
        super().__init__(self.reason[0].upper() + self.reason[1:] + ". Choose one with fewer parameters.")


@dataclass(frozen=True)
class Method:
    """A kind of recalibrator.

    Attributes
    ----------
    label : name in figures and reports.
    least : fewest events, and fewest non-events, on which it is fitted.
    fit : (p, y) -> parameters.
    apply : (p, parameters) -> probabilities, without missing values.
    check : (parameters) -> "" or what is wrong with them.
    words : (parameters) -> the map as a formula.
    """

    label: str
    least: int
    fit: Callable[[FloatArray, IntArray], Parameters]
    apply: Callable[[FloatArray, Parameters], FloatArray]
    check: Callable[[Parameters], str]
    words: Callable[[Parameters], str]


@dataclass(frozen=True)
class Recalibrator:
    """A fitted monotone map of probabilities.

    Attributes
    ----------
    name : a key of `RECALIBRATORS`.
    parameters : its numbers, by name.
    n, n_events : patients it was fitted on, and events among them.
    """

    name: str
    parameters: Parameters
    n: int
    n_events: int

    def predict(self, p: Any) -> FloatArray:
        """Recalibrated probabilities within [LOGIT_EPS, 1 - LOGIT_EPS], of the shape of `p`; NaN where `p` is NaN.

        Raises
        ------
        DataError
            Where a value lies outside [0, 1].
        """
        values = _probabilities(p)
        out = np.full(values.shape, np.nan)
        known = ~np.isnan(values)
        kept = np.clip(values[known], LOGIT_EPS, 1 - LOGIT_EPS)
        out[known] = np.clip(RECALIBRATORS[self.name].apply(kept, self.parameters), LOGIT_EPS, 1 - LOGIT_EPS)
        return out

    @property
    def words(self) -> str:
        """The map as a formula in log-odds, for reports."""
        return RECALIBRATORS[self.name].words(self.parameters)

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds of it; `recalibrator_from_dict` gives back the same numbers to the last bit."""
        return {"name": self.name, "parameters": dict(self.parameters), "n": self.n, "n_events": self.n_events}


def fit_recalibrator(name: str, p: Any, y: Any) -> Recalibrator:
    """Fit a recalibrator on predictions of patients whom the model did not see.

    Slopes have a weak normal prior (mean 1, sd 10) in place of Platt's smoothed targets: the answer is finite also
    where classes are separated, and in ordinary data it is the maximum-likelihood fit, so that the mean of the
    recalibrated probabilities is the observed rate and their calibration slope is 1 on the fitting patients.

    Parameters
    ----------
    name : a key of `RECALIBRATORS`.
    p : (n,) predicted probabilities; patients with NaN are left out.
    y : (n,) outcomes 0/1.

    Returns
    -------
    Recalibrator

    Raises
    ------
    NotEnoughEvents
        Where there are fewer events or non-events than the method needs; its `reason` is a clause for a note.
    ConfigError
        Where there is no method of that name.
    DataError
        Where the arrays do not fit or hold other values.
    """
    if name not in RECALIBRATORS:
        raise ConfigError(f"There is no recalibration {name!r}. Choose among {', '.join(RECALIBRATORS)}.")
    outcome, values = binary_outcome(y), _probabilities(p)
    if values.shape != outcome.shape:
        raise DataError(Problem(f"p has shape {values.shape}, y {outcome.shape}", "Give one probability a patient."))
    known = ~np.isnan(values)
    outcome, values = outcome[known], np.clip(values[known], LOGIT_EPS, 1 - LOGIT_EPS)
    n_events = int(outcome.sum())
    method = RECALIBRATORS[name]
    if min(n_events, len(outcome) - n_events) < method.least:
        raise NotEnoughEvents(name, n_events, len(outcome) - n_events)
    return Recalibrator(name, method.fit(values, outcome), len(outcome), n_events)


def recalibrator_from_dict(state: Mapping[str, Any]) -> Recalibrator:
    """A recalibrator from what `Recalibrator.to_dict` wrote.

    Raises
    ------
    DataError
        Where the state is not one: unknown name, parameters missing, not finite, or a map that would fall.
    """
    name, parameters = state.get("name"), state.get("parameters")
    if not isinstance(name, str) or name not in RECALIBRATORS or not isinstance(parameters, Mapping):
        raise DataError(
            Problem(
                f"there is no recalibration {name!r}, or it has no parameters",
                f"Known are {', '.join(RECALIBRATORS)}; train again.",
                value=str(name),
            )
        )
    try:
        wrong = RECALIBRATORS[name].check(dict(parameters))
        n, n_events = int(state["n"]), int(state["n_events"])
    except (KeyError, TypeError, ValueError) as error:
        wrong, n, n_events = f"a part is missing or no number ({error})", 0, 0
    if wrong:
        raise DataError(Problem(f"the state of the recalibration {name} is broken: {wrong}", "Train again."))
    return Recalibrator(name, dict(parameters), n, n_events)


# ---- the methods


def _fit_intercept(p: FloatArray, y: IntArray) -> Parameters:
    design = logit(p)[:, None]
    return {"intercept": _bounded_logistic(design, y, fixed=True)[0]}


def _fit_platt(p: FloatArray, y: IntArray) -> Parameters:
    intercept, slope = _bounded_logistic(logit(p)[:, None], y)
    return {"intercept": intercept, "slope": slope}


def _fit_beta(p: FloatArray, y: IntArray) -> Parameters:
    c, a, b = _bounded_logistic(np.column_stack([np.log(p), -np.log1p(-p)]), y)
    return {"a": a, "b": b, "c": c}


def _fit_isotonic(p: FloatArray, y: IntArray) -> Parameters:
    """Pooled adjacent violators, with half an event and half a non-event added at either end.

    The additions keep the first block off 0 and the last off 1. Between the blocks' mean predictions the map is a
    straight line: patients of one block keep their order, which steps would lose.
    """
    x, group = np.unique(p, return_inverse=True)
    n, events = np.bincount(group).astype(float), np.bincount(group, weights=y)
    for end in (0, -1):
        n[end] += 1.0
        events[end] += 0.5
    blocks = isotonic_regression(events / n, weights=n).blocks
    size = np.add.reduceat(n, blocks[:-1])
    rate = np.add.reduceat(events, blocks[:-1]) / size
    centre = np.add.reduceat(n * x, blocks[:-1]) / size
    return {"x": centre.tolist(), "y": np.maximum.accumulate(rate).tolist()}


def _apply_line(p: FloatArray, parameters: Parameters) -> FloatArray:
    return expit(parameters["intercept"] + parameters.get("slope", 1.0) * logit(p))


def _apply_beta(p: FloatArray, parameters: Parameters) -> FloatArray:
    return expit(parameters["a"] * np.log(p) - parameters["b"] * np.log1p(-p) + parameters["c"])


def _apply_isotonic(p: FloatArray, parameters: Parameters) -> FloatArray:
    return np.interp(p, parameters["x"], parameters["y"])


def _check_numbers(*names: str, slopes: tuple[str, ...] = ()) -> Callable[[Parameters], str]:
    def check(parameters: Parameters) -> str:
        if sorted(parameters) != sorted(names):
            return f"parameters are {', '.join(parameters) or 'absent'}, not {', '.join(names)}"
        for name in names:
            if not np.isfinite(float(parameters[name])):
                return f"{name} is {parameters[name]}"
            if name in slopes and not float(parameters[name]) > 0:
                return f"{name} is {parameters[name]}, so that the map would not rise"
        return ""

    return check


def _check_isotonic(parameters: Parameters) -> str:
    if sorted(parameters) != ["x", "y"]:
        return f"parameters are {', '.join(parameters) or 'absent'}, not x, y"
    x, y = np.asarray(parameters["x"], dtype=float), np.asarray(parameters["y"], dtype=float)
    if x.ndim != 1 or x.shape != y.shape or not x.size or not np.isfinite(x).all() or not np.isfinite(y).all():
        return "x and y are no lists of as many finite numbers"
    return "" if np.all(np.diff(x) > 0) and np.all(np.diff(y) >= 0) else "x and y do not rise"


#: Every recalibrator by name. "Least": about ten events, and non-events, a parameter; isotonic has no fixed number
#: of parameters and overfits small samples (Niculescu-Mizil & Caruana 2005, ICML).
RECALIBRATORS: dict[str, Method] = {
    "platt": Method(
        "Platt",
        20,
        _fit_platt,
        _apply_line,
        _check_numbers("intercept", "slope", slopes=("slope",)),
        lambda s: f"logit q = {s['intercept']:+.3f} {s['slope']:+.3f} logit p",
    ),
    "beta": Method(
        "beta",
        30,
        _fit_beta,
        _apply_beta,
        _check_numbers("a", "b", "c", slopes=("a", "b")),
        lambda s: f"logit q = {s['c']:+.3f} {s['a']:+.3f} ln p {-s['b']:+.3f} ln(1 - p)",
    ),
    "isotonic": Method(
        "isotonic",
        100,
        _fit_isotonic,
        _apply_isotonic,
        _check_isotonic,
        lambda s: f"straight lines between {len(s['x'])} points, q from {s['y'][0]:.3f} to {s['y'][-1]:.3f}",
    ),
    "intercept": Method(
        "intercept only",
        10,
        _fit_intercept,
        _apply_line,
        _check_numbers("intercept"),
        lambda s: f"logit q = {s['intercept']:+.3f} + logit p",
    ),
}


# ---- the fit


def _probabilities(p: Any) -> FloatArray:
    values = np.asarray(p, dtype=np.float64)
    bad = (values < 0) | (values > 1)
    if bad.any():
        raise DataError(
            Problem("p holds values that are not probabilities", "Give values from 0 to 1.", value=str(values[bad][0]))
        )
    return values


def _bounded_logistic(design: FloatArray, y: IntArray, *, fixed: bool = False) -> list[float]:
    """Intercept and slopes of a logistic fit with the prior on the slopes, each slope at least `_LEAST_SLOPE`.

    The criterion is convex: its optimum under the bounds is the best of the optima on the faces, each of which holds
    some slopes at the bound. `fixed` holds all slopes at 1.
    """
    k = design.shape[1]
    if fixed:
        return _newton(design, y, np.ones(k), np.zeros(k, dtype=bool))[0]
    best, lowest = [], np.inf
    for face in range(2**k):
        free = np.array([not face >> j & 1 for j in range(k)])
        found, loss = _newton(design, y, np.where(free, 1.0, _LEAST_SLOPE), free)
        if min(found[1:]) >= _LEAST_SLOPE and loss < lowest:
            best, lowest = found, loss
        if face == 0 and best:
            break  # inside the bounds: no face is better
    return best


def _newton(design: FloatArray, y: IntArray, start: FloatArray, free: np.ndarray) -> tuple[list[float], float]:
    """Penalised maximum likelihood by Newton's method with halved steps; slopes that are not free keep their start."""
    centre = design.mean(axis=0)
    X = np.column_stack([np.ones(len(y)), design - centre])
    penalty = np.r_[0.0, np.full(len(start), _PRIOR)]
    mean = np.r_[0.0, np.ones(len(start))]
    moving = np.flatnonzero(np.r_[True, free])
    rate = y.mean()
    theta = np.r_[np.log(rate / (1 - rate)), start]

    def loss(values: FloatArray) -> float:
        eta = X @ values
        return float(np.sum(np.logaddexp(0, eta) - y * eta) + 0.5 * np.sum(penalty * (values - mean) ** 2))

    now = loss(theta)
    for _ in range(_MAX_STEPS):
        mu = expit(X @ theta)
        gradient = (X.T @ (mu - y) + penalty * (theta - mean))[moving]
        curvature = (X * (mu * (1 - mu))[:, None]).T @ X + np.diag(penalty)
        step = np.zeros(len(theta))
        # far out all curvature but the prior's can vanish; the floor is below anything that matters elsewhere
        step[moving] = np.linalg.solve(curvature[np.ix_(moving, moving)] + 1e-10 * np.eye(len(moving)), gradient)
        size = 1.0
        while (new := loss(theta - size * step)) > now and size > 1e-10:
            size /= 2
        if new > now:
            break
        theta, now = theta - size * step, new
        if np.max(np.abs(step)) < 1e-9 * (1 + np.max(np.abs(theta))):
            break
    return [float(theta[0] - centre @ theta[1:]), *map(float, theta[1:])], now
