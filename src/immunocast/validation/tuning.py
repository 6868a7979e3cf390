"""Tuning: the inner search for a model's parameters, by Optuna, inside a training fold.

Trial 0 is the configured parameters, so that a search never does worse than they do on the inner folds. Trial t is
proposed by a sampler seeded with (seed, t) that knows trials 0 to t-1: a search that was killed and goes on, and one
with a larger budget, make the same trials.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from immunocast import __version__
from immunocast.errors import ConfigError, ImmunocastError
from immunocast.metrics import auroc
from immunocast.validation.inner import Training, fit_folds, inner_folds, predicted
from immunocast.validation.search_space import checked_space
from immunocast.validation.studies import Studies, Trial, propose

_EPS = 1e-15


def _log_loss(y: np.ndarray, p: np.ndarray) -> float | None:
    q = np.clip(p, _EPS, 1 - _EPS)
    return float(-np.mean(np.where(y == 1, np.log(q), np.log1p(-q))))


def _brier(y: np.ndarray, p: np.ndarray) -> float | None:
    return float(np.mean((y - p) ** 2))


def _one_minus_auroc(y: np.ndarray, p: np.ndarray) -> float | None:
    return 1 - float(auroc(y, p)) if 0 < y.sum() < len(y) else None


#: What is minimised, by name: (y, p) -> loss of an inner fold, None where it is not defined there.
CRITERIA = {"log_loss": _log_loss, "brier": _brier, "auroc": _one_minus_auroc}


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes
    ----------
    params : the chosen parameters as `set_params` takes them; {} where nothing was searched.
    trials : all trials in order; `chosen` is the position of the one that was taken.
    chosen : None where nothing was searched.
    note : why nothing was searched, or what cut the search short.
    """

    params: dict[str, Any]
    trials: tuple[Trial, ...] = ()
    chosen: int | None = None
    note: str = ""


@dataclass(frozen=True)
class OptunaTuning:
    """Settings of the inner search (`conf/tuning/optuna.yaml`).

    Parameters
    ----------
    n_trials : trials of each outer fold, the configured parameters included.
    inner_splits : inner folds, grouped by person, stratified by cohort and outcome.
    criterion : log_loss, brier or auroc (1 - AUROC is minimised): the mean over inner folds.
    timeout_s : no trial begins after so many seconds; None for no limit. With a limit, results depend on the machine.
    seed : of the sampler and of the inner folds.
    storage : file that keeps finished trials, so that a run that was stopped goes on: `.db` for SQLite, `.log` for
        Optuna's journal; None keeps nothing.
    """

    n_trials: int = 25
    inner_splits: int = 5
    criterion: str = "log_loss"
    timeout_s: float | None = None
    seed: int = 0
    storage: str | None = None

    def __post_init__(self) -> None:
        for key, least in (("n_trials", 1), ("inner_splits", 2)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"tuning.{key} is {value!r}; it must be a whole number, {least} or more.")
        if self.criterion not in CRITERIA:
            raise ConfigError(f"tuning.criterion is {self.criterion!r}; choose among {', '.join(CRITERIA)}.")
        if self.timeout_s is not None and not (isinstance(self.timeout_s, int | float) and self.timeout_s > 0):
            raise ConfigError(f"tuning.timeout_s is {self.timeout_s!r}; it must be seconds above 0, or null.")
        self.studies.check()

    @property
    def studies(self) -> Studies:
        """Where finished trials are kept."""
        return Studies(self.storage)

    @property
    def criterion_name(self) -> str:
        """What the column `criterion` says."""
        return "1 - auroc" if self.criterion == "auroc" else self.criterion

    def check(self, models: Mapping[str, Any]) -> None:
        """Refuse search spaces that are none, and tuning where no model has one."""
        if not any([checked_space(name, model) for name, model in models.items()]):
            raise ConfigError(
                "tuning is on, and no model has a search space. Give one, e.g. "
                "models.ridge.search.estimator__C={low:0.01,high:1.0,log:true}, or set tuning=none."
            )

    def search(self, name: str, model: Any, data: Training, *, endpoint: str, where: str = "") -> Tuned:
        """Search one model's parameters on one training fold.

        Parameters
        ----------
        name : of the model.
        model : unfitted, with `search`.
        data : the training fold.
        endpoint : of the labels; enters the study's digest.
        where : the fold in words, for messages and the study's name.

        Raises
        ------
        ConfigError
            Where every trial fails.
        """
        space = checked_space(name, model)
        if not space:
            return Tuned({})
        folds = inner_folds(data.ids, data.y, self.inner_splits, self.seed)
        if not folds:
            return Tuned({}, note="too few events or non-events for inner folds: the configured parameters were used")
        configured = {key: model.get_params(deep=True)[key] for key in sorted(space)}
        kept = self.studies.open(f"{name} {where} {self._digest(model, space, data, endpoint)}")
        trials = kept.load()[: self.n_trials]
        began, note = time.monotonic(), ""
        while len(trials) < self.n_trials:
            if trials and self.timeout_s is not None and time.monotonic() - began > self.timeout_s:
                note = f"stopped after {len(trials)} of {self.n_trials} trials by timeout_s {self.timeout_s:g}"
                break
            params = propose(space, trials, (self.seed, len(trials))) if trials else configured
            before = next((t for t in trials if t.params == params), None)
            if before is not None:
                trial = Trial(params, before.value, before.note or f"as trial {trials.index(before)}")
            else:
                trial = self._try(model, params, data, [(f.train, f.test) for f in folds])
            trials.append(trial)
            kept.add(len(trials) - 1, trial, space)
        values = np.array([np.nan if t.value is None else t.value for t in trials])
        if np.isnan(values).all():
            raise ConfigError(
                f"Tuning of {name}{f' in {where}' if where else ''}: every trial failed. {trials[0].note}"
            )
        best = int(np.nanargmin(values))
        return Tuned(dict(trials[best].params), tuple(trials), best, note)

    def _try(
        self, model: Any, params: dict[str, Any], data: Training, folds: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> Trial:
        loss = CRITERIA[self.criterion]
        try:
            with warnings.catch_warnings():
                # a trial may well not converge; what counts is how it predicts
                warnings.simplefilter("ignore")
                fits = fit_folds(clone(model).set_params(**params), data, [train for train, _ in folds])
            losses = []
            for fitted, (_, test) in zip(fits, folds, strict=True):
                p = predicted(fitted, data.X.iloc[test])
                known = ~np.isnan(p)
                value = loss(data.y[test][known], p[known]) if known.any() else None
                losses += [] if value is None else [value]
        except (ImmunocastError, ValueError, TypeError, ArithmeticError) as error:
            return Trial(params, None, f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
        if not losses:
            return Trial(params, None, "no inner fold has predictions to judge")
        mean = float(np.mean(losses))
        return Trial(params, mean, "") if np.isfinite(mean) else Trial(params, None, f"{self.criterion} is {mean}")

    def _digest(self, model: Any, space: Mapping[str, Any], data: Training, endpoint: str) -> str:
        """Everything that a trial's value depends on: another configuration or cohort never shares a study."""
        plain = {
            key: value if value is None or isinstance(value, bool | int | float | str) else _described(value)
            for key, value in model.get_params(deep=True).items()
            if key not in ("search", "label", "source")
        }
        said = {
            "model": type(model).__qualname__,
            "params": plain,
            "space": space,
            "endpoint": endpoint,
            "settings": [self.seed, self.inner_splits, self.criterion],
            "versions": {"immunocast": __version__, **_versions("scikit-learn", "xgboost-cpu", "xgboost", "optuna")},
        }
        digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=_described).encode())
        for column in ("patient_id", "cohort_id", "person_id"):
            digest.update("\0".join(data.ids[column].astype(str)).encode())
        digest.update(np.ascontiguousarray(data.y, dtype="int64").tobytes())
        digest.update(pd.util.hash_pandas_object(data.X, index=False).to_numpy().tobytes())
        digest.update(",".join(data.X.columns).encode())
        if data.survival is not None:
            for value in vars(data.survival).values():
                digest.update(np.asarray(value, dtype="float64").tobytes())
        return digest.hexdigest()[:24]


def _described(value: Any) -> Any:
    """A parameter that is no plain value: its content where it is a container, else its class."""
    if isinstance(value, Mapping):
        return {str(k): _described(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_described(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # one of xgboost and xgboost-cpu is always absent
            continue
    return found
