"""From the columns of a cohort table to the matrix that an estimator sees; everything is fitted in the fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError, DataError, Problem

TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "log2": np.log2,
    "log2p1": lambda x: np.log2(x + 1),
}
NUMERIC_KINDS = ("number", "integer", "binary")
#: Column that `model_frame` adds for features that are standardised by cohort; never a feature itself.
BY_COHORT = "cohort_id"
#: Column that comes with it, for models that make folds inside the training fold: persons stay together.
PERSON = "person_id"
#: A cohort with fewer training values of a feature takes the parameters of all cohorts together.
MIN_COHORT_VALUES = 10
_ALL = ""


def model_frame(cohort: pd.DataFrame, inputs: Sequence[str], *, by_cohort: bool = False) -> pd.DataFrame:
    """The only way from a cohort table to a model: the named feature columns, nothing else.

    Parameters
    ----------
    cohort : cohort table.
    inputs : feature columns of the vocabulary; a column that the table lacks becomes all-missing.
    by_cohort : add the cohort's id as a last column, for a model that standardises a feature by cohort
        (`ModelSpec.by_cohort`) or makes folds of its own, and the person's where the table has it. Estimators see
        neither.

    Returns
    -------
    (n, len(inputs)) frame; numbers float64 with NaN, categories str with NaN.

    Raises
    ------
    ConfigError
        Where an input is no feature of the vocabulary: outcomes, keys and truth never reach a model.
    DataError
        Where a number is infinite: it would turn every scaled value of its column into nonsense.
    """
    columns = {}
    for name in inputs:
        column = VOCABULARY.get(name)
        if column is None or column.role != "feature":
            what = "not in the vocabulary" if column is None else f"of role {column.role}"
            raise ConfigError(f"{name!r} cannot be a model input: it is {what}.")
        numeric = column.kind in NUMERIC_KINDS
        if name not in cohort:
            columns[name] = pd.Series(np.nan if numeric else None, index=cohort.index)
        else:
            columns[name] = cohort[name]
        columns[name] = columns[name].astype("float64" if numeric else "str")
        if numeric and np.isinf(columns[name]).any():
            raise DataError(
                Problem(
                    f"{int(np.isinf(columns[name]).sum())} values are infinite",
                    "Leave them empty, or mend the division or logarithm that made them.",
                    column=name,
                )
            )
    if by_cohort:
        columns[BY_COHORT] = cohort[BY_COHORT].astype("str")
        if PERSON in cohort:
            columns[PERSON] = cohort[PERSON].astype("str")
    return pd.DataFrame(columns, index=cohort.index)


def standardised_by_cohort(features: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """Features of a table that ask to be standardised by cohort."""
    return [name for name, how in features.items() if isinstance(how, Mapping) and how.get("standardise") == "cohort"]


class Preprocessor(TransformerMixin, BaseEstimator):
    """Clip, transform, impute, scale and one-hot encode features of the vocabulary.

    Parameters
    ----------
    features : feature name -> {"transform": "none" | "log2" | "log2p1", "clip": [low, high],
        "standardise": "none" | "cohort"}, all optional; {} or None for a category. "cohort" subtracts the mean of
        the patient's own cohort and divides by its standard deviation, both of the training fold and stored: a
        patient of a cohort that was not in training takes the mean and the within-cohort deviation of all
        training cohorts, and no patient's value ever depends on who is scored beside.
    impute : "median" or "mean" of the training fold, or "none" for estimators with native missing values. Where most
        values are 0, as of PD-L1, the median says "low" of a patient who was not tested, and the mean says nothing.
    scale : whether numbers are centred and divided by their standard deviation in the training fold.
    min_category_count : a category seen in fewer training patients gets no column of its own (all zeros).

    Attributes
    ----------
    numeric_, categories_ : what was kept: numbers with any training value; categories by feature.
    cohort_scale_ : feature standardised by cohort -> {cohort id: [mean, standard deviation]}, "" for all together.
    median_, mean_, std_ : by number, on the transformed scale (by cohort, where asked for). `median_` is what a missing
        value takes, the mean where `impute` says so.
    column_names_ : names of the output columns, e.g. "nlr", "tumor_type=NSCLC".
    source_ : for each output column the feature that it comes from.
    dropped_ : features without any value in the training fold.
    """

    def __init__(
        self,
        features: Mapping[str, Mapping[str, Any] | None],
        impute: str = "median",
        scale: bool = True,
        min_category_count: int = 10,
    ):
        self.features = features
        self.impute = impute
        self.scale = scale
        self.min_category_count = min_category_count

    def fit(self, X: pd.DataFrame, y: Any = None) -> Preprocessor:
        """Learn medians, scales and categories from a training fold, (n, features)."""
        check_features(self.features)
        if self.impute not in ("median", "mean", "none"):
            raise ConfigError(f"impute is {self.impute!r}; it must be 'median', 'mean' or 'none'.")
        self.numeric_, self.dropped_, self.categories_ = [], [], {}
        self.median_, self.mean_, self.std_, self.cohort_scale_ = {}, {}, {}, {}
        by_cohort = set(standardised_by_cohort(self.features))
        for name in self.features:
            if X[name].isna().all():
                self.dropped_.append(name)
            elif VOCABULARY[name].kind in NUMERIC_KINDS:
                self.numeric_.append(name)
                if name in by_cohort:
                    self.cohort_scale_[name] = _cohort_scale(self._raw(name, X[name]), _cohorts(X))
                values = self._shape(name, X)
                self.median_[name] = float(np.nanmean(values) if self.impute == "mean" else np.nanmedian(values))
                filled = np.where(np.isnan(values), self.median_[name], values)
                if self.impute == "none":
                    filled = values[~np.isnan(values)]
                self.mean_[name], self.std_[name] = _mean_and_std(filled)
            else:
                counts = X[name].value_counts()
                common = counts[counts >= self.min_category_count].index
                self.categories_[name] = [c for c in VOCABULARY[name].categories if c in set(common)]
        self.column_names_ = [
            *self.numeric_,
            *(f"{name}={level}" for name, levels in self.categories_.items() for level in levels),
        ]
        self.source_ = [c.split("=", 1)[0] for c in self.column_names_]
        return self

    def _shape(self, name: str, X: pd.DataFrame) -> np.ndarray:
        values = self._raw(name, X[name])
        scale = self.cohort_scale_.get(name)
        if scale is None:
            return values
        parameters = np.array([scale.get(c, scale[_ALL]) for c in _cohorts(X)], dtype=float).reshape(-1, 2)
        return (values - parameters[:, 0]) / parameters[:, 1]

    def _raw(self, name: str, values: pd.Series) -> np.ndarray:
        how = self.features[name] or {}
        out = values.to_numpy(dtype=float, copy=True)
        low, high = how.get("clip") or (None, None)
        if low is not None or high is not None:
            out = np.clip(out, low, high)
        return TRANSFORMS[how.get("transform") or "none"](out)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n, features) -> (n, columns) float64; NaN only with impute="none"."""
        check_is_fitted(self, "column_names_")
        out = np.empty((len(X), len(self.column_names_)))
        for j, name in enumerate(self.numeric_):
            values = self._shape(name, X)
            if self.impute != "none":
                values = np.where(np.isnan(values), self.median_[name], values)
            out[:, j] = (values - self.mean_[name]) / self.std_[name] if self.scale else values
        for j, column in enumerate(self.column_names_[len(self.numeric_) :], start=len(self.numeric_)):
            name, level = column.split("=", 1)
            out[:, j] = X[name].to_numpy(dtype=object) == level
        return pd.DataFrame(out, columns=self.column_names_, index=X.index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the output columns."""
        return np.asarray(self.column_names_, dtype=object)

    def state(self) -> dict[str, Any]:
        """Everything fitted, JSON-ready."""
        check_is_fitted(self, "column_names_")
        return {name: getattr(self, name) for name in (*_STATE, "cohort_scale_")}

    def restore(self, state: Mapping[str, Any]) -> Preprocessor:
        """Inverse of `state`."""
        for name in _STATE:
            setattr(self, name, state[name])
        self.cohort_scale_ = state.get("cohort_scale_", {})  # not in bundles from before there was such a thing
        return self


def _cohorts(X: pd.DataFrame) -> np.ndarray:
    """(n,) cohort ids of a frame of `model_frame`."""
    if BY_COHORT not in X:
        raise ConfigError("A feature is standardised by cohort, and the model was not told the cohorts (cohort_id).")
    return X[BY_COHORT].to_numpy(dtype=object)


def _cohort_scale(values: np.ndarray, cohorts: np.ndarray) -> dict[str, list[float]]:
    """Mean and standard deviation of each cohort with enough values, and of all together, within cohorts."""
    there = ~np.isnan(values)
    values, cohorts = values[there], cohorts[there]
    scale, within = {}, np.zeros(len(values))
    for cohort in sorted({c for c in cohorts if isinstance(c, str)}):
        own = cohorts == cohort
        mean, std = _mean_and_std(values[own])
        within[own] = values[own] - mean
        if own.sum() >= MIN_COHORT_VALUES:
            scale[cohort] = [mean, std]
    # the deviation that the coefficient is about is that inside a cohort
    pooled = float(np.sqrt((within**2).mean()))
    mean, std = _mean_and_std(values)
    return {_ALL: [mean, pooled if pooled > 1e-12 * max(abs(mean), 1e-300) else std], **scale}


def _mean_and_std(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; 1 for a constant, whose computed deviation is rounding error, not 0."""
    mean, std = float(values.mean()), float(values.std())
    return mean, std if std > 1e-12 * max(abs(mean), 1e-300) else 1.0


_STATE = (
    "numeric_",
    "dropped_",
    "categories_",
    "median_",
    "mean_",
    "std_",
    "column_names_",
    "source_",
)


def check_features(features: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Refuse a feature table with unknown names, transforms or clips.

    Raises
    ------
    ConfigError
        Naming the feature, the setting and the mend.
    """
    if not features:
        raise ConfigError("The feature table is empty: name at least one feature in conf/features.")
    if not isinstance(features, Mapping):
        raise ConfigError("The feature table is no mapping: write `feature: {}`, a line a feature.")
    for name, how in features.items():
        column = VOCABULARY.get(name)
        if column is None or column.role != "feature":
            raise ConfigError(f"features.{name}: not a feature of the vocabulary (`immunocast tables cohort`).")
        if column.kind == "text":
            raise ConfigError(f"features.{name}: free text cannot be a model input.")
        if how is not None and not isinstance(how, Mapping):
            raise ConfigError(f"features.{name} is {how!r}; write {{transform: ..., clip: [low, high]}} or {{}}.")
        how = how or {}
        unknown = set(how) - {"transform", "clip", "standardise"}
        if unknown:
            raise ConfigError(
                f"features.{name}.{sorted(unknown)[0]}: unknown; known are transform, clip and standardise."
            )
        if how and column.kind == "category":
            raise ConfigError(f"features.{name}: a category takes no {sorted(how)[0]}; write {{}}.")
        transform = how.get("transform") or "none"
        if transform not in TRANSFORMS:
            raise ConfigError(f"features.{name}.transform is {transform!r}; known: {', '.join(TRANSFORMS)}.")
        standardise = how.get("standardise") or "none"
        if standardise not in ("none", "cohort"):
            raise ConfigError(f"features.{name}.standardise is {standardise!r}; known: none, cohort.")
        clip = how.get("clip")
        if clip is not None and not _is_clip(clip):
            raise ConfigError(f"features.{name}.clip is {clip}; write [low, high], numbers with low < high.")
        # the lowest value that can come: the clip's, or what the vocabulary lets pass
        lows = [low for low in (column.low, clip[0] if clip is not None else None) if low is not None]
        low = max(lows, default=-np.inf)
        if transform == "log2" and low <= 0:
            raise ConfigError(f"features.{name}: log2 needs a clip with a positive low, e.g. clip: [0.1, 100].")
        if transform == "log2p1" and low <= -1:
            raise ConfigError(f"features.{name}: log2p1 needs a clip with a low above -1, e.g. clip: [0, 100].")


def _is_clip(clip: Any) -> bool:
    if not isinstance(clip, Sequence) or isinstance(clip, str) or len(clip) != 2:
        return False
    if any(isinstance(c, bool) or not isinstance(c, Real | None) for c in clip):
        return False
    low, high = clip
    return low is None or high is None or low < high
