"""The work of one outer fold: tune, fit, predict inside, recalibrate, choose thresholds, predict the test patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone

from immunocast.errors import ConfigError
from immunocast.validation.inner import (
    Training,
    fit_folds,
    inner_folds,
    joined,
    offers_fit_many,
    predicted_rows,
)
from immunocast.validation.recalibrate import (
    INTERCEPT_SITE,
    Recalibrations,
    check_methods,
    fit_recalibrators,
    intercept_of_others,
)
from immunocast.validation.splits import Split
from immunocast.validation.thresholds import check_rules, chosen_threshold, is_stated
from immunocast.validation.tuning import OptunaTuning, Tuned

#: Fold name of the refit on all training patients.
FINAL = "final"


@dataclass(frozen=True)
class InnerSettings:
    """What is to come from inside the training folds.

    Attributes
    ----------
    recalibrations : names of `models.recalibration.RECALIBRATORS`, and `intercept_site`.
    rules : rules of `thresholds` that choose decision thresholds.
    tuning : the inner search; None uses the configured parameters.
    n_splits : inner folds for recalibrators and thresholds, and folds in a test cohort for `intercept_site`.
    seed : of their shuffling.
    min_events : fewest events, and fewest non-events, on which a threshold is chosen, and that must remain where the
        patients who fitted a published formula are left out.
    """

    recalibrations: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    tuning: OptunaTuning | None = None
    n_splits: int = 5
    seed: int = 0
    min_events: int = 10

    def __post_init__(self) -> None:
        check_methods(self.recalibrations)
        check_rules(self.rules)
        if self.n_splits < 2:
            raise ConfigError(f"recalibration.inner_splits is {self.n_splits}; it must be 2 or more.")

    @property
    def needs_inner(self) -> bool:
        """Whether inner out-of-fold predictions are asked for."""
        return bool(self.rules) or any(name != INTERCEPT_SITE for name in self.recalibrations)


@dataclass(frozen=True)
class FoldResult:
    """What one outer fold gave for one model.

    Attributes
    ----------
    fitted : the model, fitted on the whole training fold.
    p : recalibration ("none" included) -> (n_test,) predictions of the test patients.
    recalibrations : what was fitted on the training fold's inner out-of-fold predictions.
    thresholds : rows of the table `thresholds`, without the columns that name model and fold.
    tuned : what the inner search found.
    notes : what is to be told, as sentences.
    """

    fitted: Any
    p: dict[str, np.ndarray]
    recalibrations: Recalibrations = field(default_factory=Recalibrations)
    thresholds: tuple[dict[str, Any], ...] = ()
    tuned: Tuned = field(default_factory=lambda: Tuned({}))
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """Folds of one model that are worked through together: one fold, or all where the model fits many at once."""

    model: str
    splits: tuple[Split, ...]


@dataclass(frozen=True)
class FoldWork:
    """Works through tasks. It holds everything that a worker needs, and can be sent to another process.

    Attributes
    ----------
    models : name -> unfitted model.
    data : name -> what its fits see.
    settings : what is to come from inside the training folds.
    endpoint : of the labels.
    """

    models: dict[str, Any]
    data: dict[str, Training]
    settings: InnerSettings
    endpoint: str

    def tasks(self, splits: Sequence[Split]) -> list[Task]:
        """One task a model and fold, or a model where it fits many folds at once and none is tuned."""
        found = []
        for name, model in self.models.items():
            together = offers_fit_many(model) and not self._tunes(model) and self.data[name].survival is None
            found += [Task(name, tuple(splits))] if together else [Task(name, (split,)) for split in splits]
        return found

    def _tunes(self, model: Any) -> bool:
        return self.settings.tuning is not None and bool(getattr(model, "search", None))

    def __call__(self, task: Task) -> list[FoldResult]:
        """The results of a task's folds, in their order."""
        name, data, settings = task.model, self.data[task.model], self.settings
        model, tuned = self.models[name], Tuned({})
        if settings.tuning is not None and self._tunes(model):
            (split,) = task.splits
            tuned = settings.tuning.search(
                name, model, data.take(split.train), endpoint=self.endpoint, where=f"fold {split.fold}"
            )
            model = clone(model).set_params(**tuned.params)
        # positions of the inner folds are those of the whole table, so that one call fits outer and inner folds
        inside = [self._inner(data, split) for split in task.splits]
        trains = [split.train for split in task.splits] + [fold.train for folds in inside for fold in folds]
        tests = [split.test for split in task.splits] + [fold.test for folds in inside for fold in folds]
        fits = fit_folds(model, data, trains)
        found = iter(predicted_rows(fits, data, tests))
        outer = [next(found) for _ in task.splits]
        results = []
        for split, folds, fitted, raw in zip(task.splits, inside, fits, outer, strict=False):
            p = joined([next(found) for _ in folds], len(data.y), folds)[split.train]
            results.append(self._result(fitted, raw, p, data, split, tuned))
        return results

    def _inner(self, data: Training, split: Split) -> list[Split]:
        if not self.settings.needs_inner:
            return []
        part = data.take(split.train)
        folds = inner_folds(part.ids, part.y, self.settings.n_splits, self.settings.seed)
        return [Split(f.repeat, f.fold, split.train[f.train], split.train[f.test]) for f in folds]

    def _result(
        self, fitted: Any, raw: np.ndarray, p: np.ndarray, data: Training, split: Split, tuned: Tuned
    ) -> FoldResult:
        """Recalibrators, thresholds and predictions of a fold: `raw` (n_test,), and `p` (n_train,) from inside."""
        settings, y = self.settings, data.y[split.train]
        notes = [tuned.note] if tuned.note else []
        p, note = _unseen(p, y, None if data.seen is None else data.seen[split.train], settings.min_events)
        made = fit_recalibrators(settings.recalibrations, p, y)
        notes += [*made.notes.values(), *([note] if note and settings.needs_inner else [])]
        tested = {"none": raw} | {name: r.predict(raw) for name, r in made.fitted.items()}
        if INTERCEPT_SITE in settings.recalibrations and len(split.test):
            ids, y_test = data.ids.iloc[split.test], data.y[split.test]
            tested[INTERCEPT_SITE], why = intercept_of_others(raw, y_test, ids, settings.n_splits, settings.seed)
            notes += [f"{cohort}: {reason} ({INTERCEPT_SITE})" for cohort, reason in why.items()]
        inner = {"none": p} | {name: r.predict(p) for name, r in made.fitted.items()}
        rows = [
            {"recalibration": name, "rule": rule, **_threshold(rule, y, inner.get(name), name, made, note, settings)}
            for name in ("none", *settings.recalibrations)
            for rule in settings.rules
        ]
        return FoldResult(fitted, tested, made, tuple(rows), tuned, tuple(notes))


def _threshold(
    rule: str,
    y: np.ndarray,
    p: np.ndarray | None,
    name: str,
    made: Recalibrations,
    note: str,
    settings: InnerSettings,
) -> dict[str, Any]:
    if p is None and not is_stated(rule):
        why = made.notes.get(name, "the update is made inside a test cohort: no training patient has it")
        return {"threshold": np.nan, "n": 0, "n_events": 0, "note": why}
    row = chosen_threshold(rule, y, np.full(len(y), np.nan) if p is None else p, settings.min_events)
    return row | {"note": "; ".join(part for part in (row["note"], "" if is_stated(rule) else note) if part)}


def _unseen(p: np.ndarray, y: np.ndarray, seen: np.ndarray | None, min_events: int) -> tuple[np.ndarray, str]:
    """Predictions without those for patients who fitted a published formula, where enough others remain.

    Such a formula looks better on its own training patients than it is: what is learned there would be too bold.
    """
    if seen is None or not (seen & ~np.isnan(p)).any():
        return p, ""
    rest = ~seen & ~np.isnan(p)
    if min(int(y[rest].sum()), int((1 - y[rest]).sum())) >= min_events:
        return np.where(seen, np.nan, p), ""
    return p, "includes patients on whom the formula was published: too few others in training"
