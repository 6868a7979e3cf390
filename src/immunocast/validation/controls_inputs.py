"""What the controls of a run see: its labelled patients, its folds, the models under control and their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd

from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame
from immunocast.models.refit import fit_many, predict_many
from immunocast.validation.evaluate_inputs import ABSTAINED, FAIR, Panel, Scores, panels
from immunocast.validation.splits import Scheme, Split


@dataclass(frozen=True)
class Controlled:
    """A run under control.

    Attributes
    ----------
    ids : (n,) frame with patient_id, cohort_id and person_id of the labelled patients, as cross-validation saw them.
    table : (n,) their whole rows of the cohort table, which a scheme may look at.
    y : (n,) 0/1.
    scheme, scheme_name, endpoint : of the run; the name is that of its tables.
    models : name -> unfitted model.
    frames : name -> (n, inputs) frame.
    panel : the run's own predictions of these models, as evaluation sees them.
    row : (m,) for each patient of the panel the position among the n.
    """

    ids: pd.DataFrame
    table: pd.DataFrame
    y: np.ndarray
    scheme: Scheme
    scheme_name: str
    endpoint: str
    models: dict[str, Any]
    frames: dict[str, pd.DataFrame]
    panel: Panel
    row: np.ndarray

    def scores(self, model: str) -> Scores:
        """The run's own predictions of a model."""
        return next(s for s in self.panel.scores if s.model == model)

    def first_repeat(self, y: np.ndarray) -> list[Split]:
        """Folds of the scheme's first repeat for these labels; those whose training patients hold both classes."""
        folds = takewhile(lambda split: split.repeat == 0, self.scheme.split(self.table, y))
        return [split for split in folds if 0 < y[split.train].sum() < len(split.train)]

    def draw(self, model: str, y: np.ndarray) -> tuple[Panel, Scores]:
        """The whole procedure on other labels, as the panel and scores that evaluation would make of it."""
        folds = self.first_repeat(y)
        weights = np.zeros((len(y), len(folds)), dtype=np.int64)
        for k, split in enumerate(folds):
            weights[split.train, k] = 1
        X = self.frames[model]
        fitted = fit_many(self.models[model], X, y, weights) if folds else []
        p, fold = np.full(len(y), np.nan), np.full(len(y), -1)
        for k, (split, values) in enumerate(zip(folds, predict_many(fitted, X, [s.test for s in folds]), strict=True)):
            p[split.test], fold[split.test] = values, k
        return self.with_scores(self.scores(model), y, p, fold)

    def with_scores(self, like: Scores, y: np.ndarray, p: np.ndarray, fold: np.ndarray) -> tuple[Panel, Scores]:
        """The panel under other labels (n,), and predictions (n,) of it; where they are missing, nobody is scored."""
        q = p[self.row]
        status = np.where(np.isnan(q), ABSTAINED, FAIR)
        scores = replace(like, p=q[None], fold=fold[self.row][None], status=status)
        return replace(self.panel, y=y[self.row], scores=(scores,)), scores


def require_learner(name: str, model: Any) -> None:
    """Refuse a model that is not fitted to labels.

    Raises
    ------
    ConfigError
        Naming it.
    """
    if not model.spec.learned or getattr(model.spec, "target", "label") != "label":
        raise ConfigError(
            f"controls.models: {name} is not fitted to the labels, so that permuting or resampling them says "
            "nothing about it. Name learners only."
        )


def controlled(
    cohort: pd.DataFrame,
    y: pd.Series,
    models: Mapping[str, Any],
    scheme: Scheme,
    predictions: pd.DataFrame,
    *,
    names: Sequence[str],
) -> Controlled:
    """Put a run under control.

    Parameters
    ----------
    cohort : cohort table.
    y : labels aligned with it, <NA> where unclassifiable.
    models : name -> unfitted model.
    scheme : the run's scheme.
    predictions : the run's predictions.
    names : models to control.

    Raises
    ------
    ConfigError
        For a model that is not configured, has no predictions, or is not fitted by the run.
    """
    own = predictions[(predictions["recalibration"] == "none") & predictions["model"].isin(list(names))]
    for name in names:
        if name not in models or name not in set(own["model"]):
            raise ConfigError(
                f"controls.models names {name!r}, which has no predictions. Models: {', '.join(models)}. "
                "Set controls.models, e.g. controls.models=[ridge]."
            )
        require_learner(name, models[name])
    known = y.notna().to_numpy()
    table = cohort[known].reset_index(drop=True)
    panel = panels(own, n_resamples=1, seed=0)[0]
    patients = np.sort(own["patient_id"].unique().astype(str))
    return Controlled(
        ids=table[["patient_id", "cohort_id", "person_id"]],
        table=table,
        y=y[known].to_numpy(dtype=int),
        scheme=scheme,
        scheme_name=panel.scheme,
        endpoint=panel.endpoint,
        models={name: models[name] for name in names},
        frames={
            name: model_frame(table, models[name].spec.inputs, by_cohort=models[name].spec.by_cohort) for name in names
        },
        panel=panel,
        row=pd.Index(table["patient_id"]).get_indexer(pd.Index(patients)),
    )
