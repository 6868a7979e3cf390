"""cross_predict: the only outer loop over folds. It fits, predicts, and keeps every fitted model.

What happens inside a training fold (tuning, recalibration, thresholds) is in `fold`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.outcomes import ENDPOINTS, Words, survival_of, words_of
from immunocast.engines import Engine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.models.recalibration import Recalibrator
from immunocast.models.spec import ResponseModel
from immunocast.validation.fold import FINAL, FoldWork, InnerSettings
from immunocast.validation.fold_tables import prediction_table, threshold_table, tuning_table
from immunocast.validation.inner import Training
from immunocast.validation.splits import Scheme, Split

__all__ = ["FINAL", "CrossPrediction", "cross_predict", "not_looked_for"]


@dataclass(frozen=True)
class CrossPrediction:
    """What `cross_predict` returns.

    Attributes
    ----------
    predictions, thresholds, tuning : rows of the tables of these names.
    bundles : (model name, fold key or "final") -> fitted model.
    recalibrators : (model name, fold key or "final") -> recalibration -> what was fitted beside the model.
    splits : the folds, in order.
    scheme : name of the scheme in the tables; where the data chose, of the one that was chosen.
    notes : what is to be told, as sentences: whom the scheme leaves out, and what could not be fitted where.
    """

    predictions: pd.DataFrame
    thresholds: pd.DataFrame
    tuning: pd.DataFrame
    bundles: dict[tuple[str, str], Any]
    recalibrators: dict[tuple[str, str], dict[str, Recalibrator]]
    splits: list[Split]
    scheme: str
    notes: list[str] = field(default_factory=list)


def cross_predict(
    cohort: pd.DataFrame,
    y: pd.Series,
    models: Mapping[str, ResponseModel],
    scheme: Scheme,
    *,
    endpoint: str = "response",
    engine: Engine | None = None,
    inner: InnerSettings | None = None,
) -> CrossPrediction:
    """Fit every model in every fold and predict the patients who were left out.

    Parameters
    ----------
    cohort : cohort table; rows with unknown y are ignored.
    y : labels aligned with `cohort`, <NA> where unclassifiable.
    models : name -> unfitted model.
    scheme : a validation scheme.
    endpoint : name written into the predictions; messages use its words.
    engine : how to spread the fits; results do not depend on it.
    inner : what is to come from inside the training folds: tuned parameters, recalibrators, thresholds; None for
        nothing.

    Raises
    ------
    ConfigError
        Where nobody has a label, a training fold lacks one of the two classes, or nobody has what a learner requires.
    """
    words, inner = words_of(endpoint), inner or InnerSettings()
    if not models:
        raise ConfigError("No model is configured: add one with +model@models.NAME=NAME.")
    known = _labelled(y, endpoint, words)
    if inner.tuning is not None:
        inner.tuning.check(models)
    # before unlabelled patients go: one of them may be the link to a cohort that fitted a published model
    seen = {name: _seen_before(cohort, model.spec.trained_on)[known] for name, model in models.items()}
    cohort = cohort[known].reset_index(drop=True)
    y_array = y[known].to_numpy(dtype=int)
    scheme, notes = _chosen(scheme, cohort, y_array)
    splits = list(scheme.split(cohort, y_array))
    for split in splits:
        _check_classes(split, y_array, words)
    everybody = Split(0, FINAL, scheme.final_train(cohort), np.array([], dtype=int))
    frames = {
        name: model_frame(cohort, model.spec.inputs, by_cohort=model.spec.by_cohort) for name, model in models.items()
    }
    _check_required(models, frames)
    targets = {name: str(model.spec.target) for name, model in models.items()}
    times = {target: survival_of(cohort, target) for target in sorted(set(targets.values()) - {"label"})}
    ids = cohort[["patient_id", "cohort_id", "person_id"]]
    data = {name: Training(ids, frames[name], y_array, times.get(targets[name]), seen[name]) for name in models}
    work = FoldWork(dict(models), data, inner, endpoint)
    tasks = work.tasks([*splits, everybody])
    if inner.tuning is not None:
        inner.tuning.studies.prepare()
    results = (engine or SerialEngine()).map(work, tasks)
    found = [
        (task.model, split, result)
        for task, of_task in zip(tasks, results, strict=True)
        for split, result in zip(task.splits, of_task, strict=True)
    ]
    keys = [(name, FINAL if split is everybody else split.key) for name, split, _ in found]
    criterion = inner.tuning.criterion_name if inner.tuning is not None else ""
    return CrossPrediction(
        predictions=prediction_table([one for one in found if one[1] is not everybody], data, scheme.name, endpoint),
        thresholds=threshold_table(found, scheme.name, endpoint),
        tuning=tuning_table(found, scheme.name, criterion),
        bundles={key: result.fitted for key, (_, _, result) in zip(keys, found, strict=True)},
        recalibrators={
            key: result.recalibrations.fitted
            for key, (_, _, result) in zip(keys, found, strict=True)
            if result.recalibrations.fitted
        },
        splits=splits,
        scheme=scheme.name,
        notes=notes + _told(found),
    )


def _labelled(y: pd.Series, endpoint: str, words: Words) -> np.ndarray:
    """(n,) True where the patient has a label; both outcomes must be there."""
    known = y.notna().to_numpy()
    if not known.any():
        raise ConfigError(
            f"No patient has a label for the endpoint {endpoint!r}: there is nothing to train on."
            + (f" It needs {ENDPOINTS[endpoint].needs}: map or rename yours." if endpoint in ENDPOINTS else "")
        )
    if y[known].nunique() < 2:
        only = f"all are {words.events}" if y[known].iloc[0] == 1 else f"all are {words.others}"
        raise ConfigError(f"All {int(known.sum())} labelled patients have one outcome ({only}): both are needed.")
    return known


def _chosen(scheme: Scheme, cohort: pd.DataFrame, y: np.ndarray) -> tuple[Scheme, list[str]]:
    """The scheme that the tables name, and what it has to tell."""
    notes = getattr(scheme, "notes", None)
    said = list(notes(cohort, y)) if notes else []
    choose = getattr(scheme, "choose", None)
    if choose is None:
        return scheme, said
    chosen, more = _chosen(choose(cohort, y), cohort, y)
    return chosen, said + more


def _told(found: list[Any]) -> list[str]:
    """Each note of the folds once a model, with the folds that it is about; counts that differ become a range."""
    where: dict[tuple[str, str], list[tuple[str, tuple[str, ...]]]] = {}
    folds: dict[str, list[str]] = {}
    texts: dict[tuple[str, str], str] = {}
    for name, split, result in found:
        fold = split.fold if not split.repeat else split.key
        folds.setdefault(name, []).append(fold)
        for note in result.notes:
            counts = _COUNTS.search(note)
            where.setdefault((name, _COUNTS.sub("", note)), []).append((fold, counts.groups() if counts else ()))
            texts.setdefault((name, _COUNTS.sub("", note)), note)
    said = []
    for (name, key), of in where.items():
        spans = [_span([int(n) for n in column]) for column in zip(*(counts for _, counts in of), strict=True)]
        note = texts[name, key]
        if spans:
            note = _COUNTS.sub(f"there are {spans[0]} and {spans[1]}", note)
        said.append(f"{name}, {_these_folds([fold for fold, _ in of], folds[name])}: {note}")
    return said


#: The counts in what a recalibrator lacks.
_COUNTS = re.compile(r"there are (\d+) and (\d+)")
#: So many folds are named; of more it is told how many.
_MOST_FOLDS = 6


def _these_folds(folds: Sequence[str], of: Sequence[str]) -> str:
    tested = [fold for fold in folds if fold != FINAL]
    parts = []
    if len(tested) > _MOST_FOLDS:
        parts.append(f"{len(tested)} of {sum(fold != FINAL for fold in of)} folds")
    elif tested:
        parts.append(f"fold{'s' * (len(tested) > 1)} {', '.join(tested)}")
    return " and ".join([*parts, *["the final model"] * (FINAL in folds)])


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _seen_before(cohort: pd.DataFrame, trained_on: tuple[str, ...]) -> np.ndarray:
    """Rows of the cohorts that a published model was trained on, and of persons linked to them."""
    direct = cohort["cohort_id"].isin(trained_on)
    return cohort["person_id"].isin(cohort.loc[direct, "person_id"]).to_numpy()


def not_looked_for(cohort: pd.DataFrame, models: Mapping[str, ResponseModel]) -> list[str]:
    """Sentences on cohorts that published models were trained on and that are not in the data.

    A person of theirs may be here under another id. Only a linkage to those cohorts tells; without it such a patient
    counts as one whom the model has not seen, and the model looks better than it is.

    Parameters
    ----------
    cohort : cohort table of real patients.
    models : name -> model.
    """
    there, absent = set(cohort["cohort_id"]), dict[str, list[str]]()
    for name, model in models.items():
        for trained_on in model.spec.trained_on:
            if trained_on not in there:
                absent.setdefault(trained_on, []).append(name)
    return [
        f"{', '.join(names)}: trained on {trained_on}, which is not in the data. Its patients who are here under other "
        "ids are not found and count as unseen; load it too, and they are left out"
        for trained_on, names in absent.items()
    ]


def _check_required(models: Mapping[str, Any], frames: Mapping[str, pd.DataFrame]) -> None:
    """Refuse a learner that could only abstain; a published model may, and is then told as abstaining."""
    for name, model in models.items():
        absent = [c for c in model.spec.required if frames[name][c].isna().all()]
        if model.spec.learned and absent:
            raise ConfigError(
                f"{name} requires {', '.join(absent)}, which is known for no patient: it would abstain for everybody. "
                f"Map the column; where all patients share a value, state it in the mapping, e.g. "
                f"`tumor_type: {{value: NSCLC}}`; or change what the model requires (models.{name}.required)."
            )


def _check_classes(split: Split, y: np.ndarray, words: Words) -> None:
    events = int(y[split.train].sum())
    if events == 0 or events == len(split.train):
        linked = (
            f" ({split.n_linked_out} more are persons of the test fold, under another id)" if split.n_linked_out else ""
        )
        raise ConfigError(
            f"The training fold of {split.fold} has {events} {words.events} among {len(split.train)} patients{linked}: "
            "both classes are needed. Choose other cohorts or another validation scheme."
        )
