"""Single-marker cut-offs, such as TMB >= 10 mut/Mb or PD-L1 TPS >= 50 %, as response models."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError
from immunocast.models.spec import ModelSpec

#: A difference of probabilities that orders patients and that no other number shows.
HAIR = 1e-9


class MarkerCutoff(ClassifierMixin, BaseEstimator):
    """Two groups, below a cut-off and from it on; the probability is the training fold's response rate there.

    Parameters
    ----------
    marker : a numeric feature of the vocabulary.
    cutoff : in the marker's unit; the value itself counts as positive.
    source : where the cut-off comes from.
    reverse : the side below the cut-off is the one with more events, for an endpoint that response speaks against.

    Attributes
    ----------
    rate_below_, rate_above_ : response rate of the training fold on either side (with `reverse` the rate of those
        without the event); on a side without any training patient, the rate of the whole fold.

    Notes
    -----
    The rule's direction is fixed beforehand: at or above the cut-off is the better side. Where a training fold
    contradicts it, or knows no difference, both sides take their common rate, the upper one by `HAIR` more, so that
    the rule still ranks as it says. Turning it round would make another rule in each fold, whose AUROC under
    cross-validation falls below the rule's own.
    """

    def __init__(self, marker: str, cutoff: float, source: str = "", reverse: bool = False):
        self.marker = marker
        self.cutoff = cutoff
        self.source = source
        self.reverse = reverse

    @property
    def spec(self) -> ModelSpec:
        """The marker is required: without it the model abstains."""
        column = VOCABULARY.get(self.marker)
        if column is None or column.role != "feature" or column.kind not in ("number", "integer"):
            raise ConfigError(f"marker {self.marker!r} is no numeric feature of the vocabulary.")
        if isinstance(self.cutoff, bool) or not isinstance(self.cutoff, Real) or not np.isfinite(self.cutoff):
            raise ConfigError(f"cutoff of {self.marker} is {self.cutoff!r}; it must be a number.")
        return ModelSpec(
            required=(self.marker,),
            missing_rule="abstains without the marker",
            learned=False,
            output_scale="probability",
            source=self.source,
            label=f"{column.label} {'<' if self.reverse else '>='} {self.cutoff:g}"
            + (" %" if column.unit == "%" else ""),
            predicts="response",
        )

    def fit(self, X: pd.DataFrame, y: Any) -> MarkerCutoff:
        """Take the two response rates from the patients of a training fold who have the marker."""
        values = X[self.marker].to_numpy(dtype=float)
        y = np.asarray(y, dtype=int)
        y = 1 - y if self.reverse else y
        above, below = values >= self.cutoff, values < self.cutoff
        self.rate_above_ = float(y[above].mean() if above.any() else y.mean())
        self.rate_below_ = float(y[below].mean() if below.any() else y.mean())
        if self.rate_above_ <= self.rate_below_:
            measured = above | below
            self.rate_above_ = min(float(y[measured].mean() if measured.any() else y.mean()) + HAIR, 1.0)
            self.rate_below_ = self.rate_above_ - HAIR
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """(n, 2) probabilities; NaN where the marker is missing."""
        values = X[self.marker].to_numpy(dtype=float)
        p = np.where(values >= self.cutoff, self.rate_above_, self.rate_below_)
        p = np.where(np.isnan(values), np.nan, 1 - p if self.reverse else p)
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) 1 where the marker is at or above its cut-off; below it with `reverse`."""
        values = X[self.marker].to_numpy(dtype=float)
        return (values < self.cutoff if self.reverse else values >= self.cutoff).astype(int)
