"""From the columns of a cohort table to the matrix that an estimator sees; everything is fitted in the fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError, DataError, Problem
from immunocast.features.encode import BY_COHORT, NUMERIC_KINDS, TRANSFORMS, Encoded, cohorts_of, encode

#: Column that comes with the cohort's id, for models that make folds inside the training fold: persons stay together.
PERSON = "person_id"
#: Level of the column that tells where a feature is missing, e.g. "nlr=missing"; no category is called so.
MISSING = "missing"
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
        "standardise": "none" | "cohort", "indicator": true | false}, all optional; {} or None for a category, or
        {"indicator": true}, which adds a column that is 1 where the feature is missing, e.g. "nlr=missing", unless
        fewer than `min_category_count` training patients lack it, or have it. "cohort" subtracts the mean of
        the patient's own cohort and divides by its standard deviation, both of the training fold and stored: a
        patient of a cohort that was not in training takes the mean and the within-cohort deviation of all
        training cohorts, and no patient's value ever depends on who is scored beside.
    impute : what a missing value becomes. "mean": the mean of those of the training fold who have the value, for
        the columns of a category its shares there, so that a linear model neither gains nor loses by a gap. "median":
        the median; a missing category is none of the common ones (all zeros). "none": it stays missing, for
        estimators that learn from the training fold's gaps what a gap means; where fewer than `min_category_count`
        training patients had one there is nothing to learn from, and a gap takes the median.
    scale : whether numbers are centred and divided by their standard deviation in the training fold.
    min_category_count : a category seen in fewer training patients gets no column of its own (all zeros).

    Attributes
    ----------
    numeric_, categories_ : what was kept: numbers with any training value; categories by feature.
    cohort_scale_ : feature standardised by cohort -> {cohort id: [mean, standard deviation]}, "" for all together.
    median_, mean_, std_ : by number, on the transformed scale (by cohort, where asked for).
    fill_ : number -> what a missing value becomes, on that scale; numbers without an entry stay missing.
    shares_ : category -> level -> what its column becomes where the category is missing; without an entry 0.
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
        return self.fit_encoded(encode(X, self.features))

    def fit_encoded(self, encoded: Encoded, rows: np.ndarray | None = None) -> Preprocessor:
        """Learn from rows of a frame that was encoded before; its feature table is taken as checked.

        Parameters
        ----------
        encoded : `features.encode.encode` of the frame with this preprocessor's features.
        rows : positions of the training rows, a row as often as it counts; None for each row once. The result is
            to the bit that of `fit` on a frame with exactly these rows.
        """
        if self.impute not in ("median", "mean", "none"):
            raise ConfigError(f"impute is {self.impute!r}; it must be 'median', 'mean' or 'none'.")
        self.numeric_: list[str] = []
        self.dropped_: list[str] = []
        self.categories_: dict[str, list[str]] = {}
        self.median_, self.mean_, self.std_, self.cohort_scale_ = {}, {}, {}, {}
        self.fill_: dict[str, float] = {}
        self.shares_: dict[str, dict[str, float]] = {}
        rows = np.arange(encoded.n) if rows is None else rows
        # rows that lie together in memory: sums then have the order that they have for a column alone
        values = np.take(encoded.numbers, rows, axis=1)
        for name in standardised_by_cohort(self.features):
            j, cohorts = encoded.number_at[name], cohorts_of(encoded)[rows]
            if not np.isnan(values[j]).all():
                self.cohort_scale_[name] = _cohort_scale(values[j], cohorts)
                values[j] = _standardised(values[j], cohorts, self.cohort_scale_[name])
        there = ~np.isnan(values)
        n_there = there.sum(axis=1)
        median = _medians(values, n_there)
        fill = _means(values, there, n_there) if self.impute == "mean" else median
        filled = np.where(there, values, fill[:, None])
        mean, std = filled.mean(axis=1), filled.std(axis=1)
        for name in self.features:
            j = encoded.number_at.get(name, -1)
            if j < 0:
                self._keep_common(name, encoded.codes[name][rows])
            elif not n_there[j]:
                self.dropped_.append(name)
            else:
                self.numeric_.append(name)
                self.median_[name] = float(median[j])
                if self.impute == "none" and len(rows) - n_there[j] >= self.min_category_count:
                    self.mean_[name], self.std_[name] = _mean_and_std(values[j][there[j]])
                else:
                    self.fill_[name] = float(fill[j])
                    self.mean_[name], self.std_[name] = _unless_constant(float(mean[j]), float(std[j]))
        self.column_names_ = [
            *self.numeric_,
            *(f"{name}={level}" for name, levels in self.categories_.items() for level in levels),
            *(f"{name}={MISSING}" for name in self.features if self._tells_gaps(name, encoded, rows)),
        ]
        self.source_ = [c.split("=", 1)[0] for c in self.column_names_]
        return self

    def _tells_gaps(self, name: str, encoded: Encoded, rows: np.ndarray) -> bool:
        if not (self.features[name] or {}).get("indicator"):
            return False
        missing = int(encoded.gaps(name)[rows].sum())
        return min(missing, len(rows) - missing) >= max(self.min_category_count, 1)

    def _keep_common(self, name: str, codes: np.ndarray) -> None:
        if (codes < 0).all():
            self.dropped_.append(name)
            return
        levels = VOCABULARY[name].categories
        counts = np.bincount(codes + 1, minlength=len(levels) + 1)[1:]
        self.categories_[name] = [
            c for c, n in zip(levels, counts, strict=False) if n >= max(self.min_category_count, 1)
        ]
        if self.impute == "mean":
            share = dict(zip(levels, counts / (codes >= 0).sum(), strict=False))
            self.shares_[name] = {c: float(share[c]) for c in self.categories_[name]}

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n, features) -> (n, columns) float64; NaN only with impute="none"."""
        check_is_fitted(self, "column_names_")
        return pd.DataFrame(self.transform_encoded(encode(X, self.features)), columns=self.column_names_, index=X.index)

    def transform_encoded(self, encoded: Encoded, rows: np.ndarray | None = None) -> np.ndarray:
        """(rows, columns) float64 of a frame that was encoded before; `rows` are positions, None for all."""
        at = [encoded.number_at[name] for name in self.numeric_]
        values = encoded.numbers[at]
        if rows is not None:
            values = np.take(values, rows, axis=1)
        for j, name in enumerate(self.numeric_):
            if name in self.cohort_scale_:
                cohorts = cohorts_of(encoded)
                values[j] = _standardised(
                    values[j], cohorts if rows is None else cohorts[rows], self.cohort_scale_[name]
                )
        fill = np.array([self.fill_.get(name, np.nan) for name in self.numeric_])[:, None]
        values = np.where(np.isnan(values), fill, values)
        if self.scale:
            mean = np.array([self.mean_[name] for name in self.numeric_])[:, None]
            values = (values - mean) / np.array([self.std_[name] for name in self.numeric_])[:, None]
        out = np.empty((values.shape[1], len(self.column_names_)))
        out[:, : len(at)] = values.T
        # the order is that of the names: a dictionary that came through JSON may have lost it
        named = [column.split("=", 1) for column in self.column_names_[len(at) :]]
        for j, (name, level) in enumerate(named, start=len(at)):
            if level == MISSING:
                out[:, j] = encoded.gaps(name) if rows is None else encoded.gaps(name)[rows]
                continue
            codes = encoded.codes[name] if rows is None else encoded.codes[name][rows]
            out[:, j] = codes == encoded.levels(name).get(level, -2)
            if name in self.shares_:
                out[codes < 0, j] = self.shares_[name][level]
        return out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the output columns."""
        return np.asarray(self.column_names_, dtype=object)

    def state(self) -> dict[str, Any]:
        """Everything fitted, JSON-ready."""
        check_is_fitted(self, "column_names_")
        return {name: getattr(self, name) for name in (*_STATE, "cohort_scale_", "fill_", "shares_")}

    def restore(self, state: Mapping[str, Any]) -> Preprocessor:
        """Inverse of `state`."""
        for name in _STATE:
            setattr(self, name, state[name])
        # not in bundles from before there were such things
        self.cohort_scale_, self.shares_ = state.get("cohort_scale_", {}), state.get("shares_", {})
        self.fill_ = state.get("fill_", {} if self.impute == "none" else self.median_)
        return self


def _standardised(values: np.ndarray, cohorts: np.ndarray, scale: Mapping[str, list[float]]) -> np.ndarray:
    parameters = np.array([scale.get(c, scale[_ALL]) for c in cohorts], dtype=float).reshape(-1, 2)
    return (values - parameters[:, 0]) / parameters[:, 1]


def _medians(values: np.ndarray, n_there: np.ndarray) -> np.ndarray:
    """Median of each row without its missing values, NaN where there are none; np.nanmedian goes row by row."""
    ordered = np.sort(values, axis=1)  # NaN come last
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    j, last = np.arange(len(values)), np.maximum(n_there - 1, 0)
    return (ordered[j, last // 2] + ordered[j, np.minimum(n_there // 2, last)]) / 2


def _means(values: np.ndarray, there: np.ndarray, n_there: np.ndarray) -> np.ndarray:
    """Mean of each row without its missing values, NaN where there are none."""
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0.0).sum(axis=1) / n_there


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
    return _unless_constant(float(values.mean()), float(values.std()))


def _unless_constant(mean: float, std: float) -> tuple[float, float]:
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
        unknown = set(how) - {"transform", "clip", "standardise", "indicator"}
        if unknown:
            raise ConfigError(
                f"features.{name}.{sorted(unknown)[0]}: unknown; known are transform, clip, standardise and indicator."
            )
        if set(how) - {"indicator"} and column.kind == "category":
            raise ConfigError(f"features.{name}: a category takes no {min(set(how) - {'indicator'})}; write {{}}.")
        if not isinstance(how.get("indicator", False), bool):
            raise ConfigError(f"features.{name}.indicator is {how['indicator']!r}; it must be true or false.")
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
