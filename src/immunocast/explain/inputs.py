"""What explanation sees of a run: its patients, folds, predictions and fitted models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from immunocast.features.preprocess import model_frame
from immunocast.models.recalibration import Recalibrator
from immunocast.validation.splits import Scheme, Split


@dataclass(frozen=True)
class ExplainInputs:
    """A run to explain.

    Attributes
    ----------
    cohort : cohort table, all patients.
    y : labels aligned with it, <NA> where unclassifiable.
    scheme : the run's validation scheme; `scheme_name` is what its tables call it.
    endpoint : name of the endpoint.
    models : name -> unfitted model.
    predictions : predictions table.
    load_model : (model name, fold key or "final") -> fitted model.
    load_recalibrators : (model name, fold key or "final") -> name -> the recalibrators kept beside that model.
    tuned : (model, repeat, fold) -> parameters that the fold's inner search chose.
    truth, truth_features : tables of a synthetic cohort, empty for a real one.
    """

    cohort: pd.DataFrame
    y: pd.Series
    scheme: Scheme
    scheme_name: str
    endpoint: str
    models: Mapping[str, Any]
    predictions: pd.DataFrame
    load_model: Callable[[str, str], Any]
    load_recalibrators: Callable[[str, str], Mapping[str, Recalibrator]] = lambda model, fold: {}
    tuned: Mapping[tuple[str, int, str], Mapping[str, Any]] = field(default_factory=dict)
    truth: pd.DataFrame = field(default_factory=pd.DataFrame)
    truth_features: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Rows of the cohort table with a known label: the positions of splits are theirs."""
        return self.cohort[self.y.notna().to_numpy()].reset_index(drop=True)

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) 0/1 of `table`."""
        return self.y.dropna().to_numpy(dtype=int)

    @cached_property
    def splits(self) -> dict[tuple[int, str], Split]:
        """(repeat, fold) -> the fold, as training made it."""
        return {(s.repeat, s.fold): s for s in self.scheme.split(self.table, self.labels)}

    def training(self, repeat: int, fold: str) -> pd.DataFrame:
        """Rows of the patients who fitted a fold's models."""
        return self.table.iloc[self.splits[repeat, fold].train]

    def frame(self, model: str, patients: pd.DataFrame) -> pd.DataFrame:
        """What a model of the run takes of these rows of the cohort table."""
        spec = self.models[model].spec
        return model_frame(patients, spec.inputs, by_cohort=spec.by_cohort)
