"""Learner: any scikit-learn classifier, with the preprocessing inside, as a response model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from immunocast.cohort.vocabulary import FEATURES
from immunocast.errors import ConfigError
from immunocast.features.preprocess import Preprocessor, check_features, standardised_by_cohort
from immunocast.models.spec import Explainer, ModelSpec, OutputScale

#: Parameters of estimators that name features; those without a column in a fold are left out there.
BY_FEATURE = ("monotone_constraints", "monotonic_cst")


class Learner(ClassifierMixin, BaseEstimator):
    """A classifier that is fitted on the training fold, preprocessing included.

    Parameters
    ----------
    estimator : a scikit-learn classifier with `predict_proba`.
    features : the feature table, see `features.preprocess.Preprocessor`.
    required : features without which the model abstains; all others are optional.
    impute, scale, min_category_count : see `Preprocessor`.
    explainer : "linear", "xgboost", "tree" or "none": which exact SHAP method fits the estimator.
    output_scale : scale on which explanations add up: "log-odds" or "probability".
    source : the library or paper that the estimator comes from, for the model card.
    label : how figures and reports call the model.
    search : parameters that tuning may change, with their ranges, see `validation.search_space`; without tuning it is
        not used.
    """

    def __init__(
        self,
        estimator: Any,
        features: Mapping[str, Mapping[str, Any] | None],
        required: Sequence[str] = ("tumor_type",),
        impute: str = "median",
        scale: bool = True,
        min_category_count: int = 10,
        explainer: Explainer = "none",
        output_scale: OutputScale = "log-odds",
        source: str = "",
        label: str = "",
        search: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.estimator = estimator
        self.features = features
        self.required = required
        self.impute = impute
        self.scale = scale
        self.min_category_count = min_category_count
        self.explainer = explainer
        self.output_scale = output_scale
        self.source = source
        self.label = label
        self.search = search

    @property
    def spec(self) -> ModelSpec:
        """What the model needs, read from its parameters.

        Raises
        ------
        ConfigError
            For a feature table, required features, constraints or an estimator that cannot be used.
        """
        check_features(self.features)
        _check_estimator(self.estimator, self.features)
        stray = [name for name in self.required if name not in self.features]
        if stray:
            raise ConfigError(f"required: {stray[0]} is not among the model's features.")
        rule = {
            "median": "a missing value takes the median of the training fold",
            "mean": "a missing value takes the mean of the training fold",
            "none": "missing values are handled by the estimator itself",
        }.get(self.impute, self.impute)
        return ModelSpec(
            required=tuple(self.required),
            optional=tuple(f for f in self.features if f not in self.required),
            missing_rule=rule + "; a missing or rare category counts as none of the common ones",
            learned=True,
            output_scale=self.output_scale,
            explainer=self.explainer,
            source=self.source or type(self.estimator).__module__.split(".")[0],
            label=self.label,
            by_cohort=bool(standardised_by_cohort(self.features)),
        )

    def fit(self, X: pd.DataFrame, y: Any) -> Learner:
        """Fit on a training fold.

        Parameters
        ----------
        X : (n, inputs) frame as `features.preprocess.model_frame` makes it.
        y : (n,) 0/1.

        Raises
        ------
        ConfigError
            Where the fold leaves no column to learn from, or the estimator refuses its settings or the data.
        """
        _check_estimator(self.estimator, self.features)
        self.preprocessor_ = Preprocessor(self.features, self.impute, self.scale, self.min_category_count)
        Z = self.preprocessor_.fit(X).transform(X)
        self.estimator_ = clone(self.estimator)
        self.estimator_.set_params(**_fitting(self.estimator_, Z.columns))
        kind = type(self.estimator).__name__
        if not len(Z.columns):
            raise ConfigError(
                f"{kind}: no feature has a value in this training fold, or every category is rarer than "
                f"min_category_count ({self.min_category_count}). Choose other features or cohorts."
            )
        if Z.isna().to_numpy().any() and not get_tags(self.estimator_).input_tags.allow_nan:
            raise ConfigError(f"{kind} takes no missing values: set impute to median.")
        try:
            self.estimator_.fit(Z, np.asarray(y, dtype=int))
        except (ValueError, TypeError) as error:
            # scikit-learn and XGBoost say a wrong setting only when they are fitted
            raise ConfigError(f"{kind} cannot be fitted: {error}") from error
        self.classes_ = np.array([0, 1])
        #: expectation of the transformed columns in training: the background of the linear explanation
        self.background_ = {c: float(m) for c, m in Z.mean().items()}
        return self

    def design_matrix(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n, inputs) -> what the fitted estimator sees."""
        check_is_fitted(self, "preprocessor_")
        return self.preprocessor_.transform(X)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """(n, 2) probabilities; NaN in rows that lack a required input."""
        out = np.full((len(X), 2), np.nan)
        known = X[list(self.required)].notna().all(axis=1).to_numpy()
        if known.any():
            out[known] = self.estimator_.predict_proba(self.design_matrix(X[known]))
        return out

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) 1 where the probability is above one half; for scikit-learn's tools, not for decisions."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


def _check_estimator(estimator: Any, features: Mapping[str, Any]) -> None:
    if isinstance(estimator, type) or not hasattr(estimator, "predict_proba") or not hasattr(estimator, "get_params"):
        name = estimator.__name__ if isinstance(estimator, type) else type(estimator).__name__
        raise ConfigError(f"estimator: a {name} gives no probabilities. Use a classifier with predict_proba.")
    params = estimator.get_params(deep=False)
    for setting in BY_FEATURE:
        if isinstance(params.get(setting), Mapping):
            # a misspelt name would be left out without a word
            stray = [c for c in params[setting] if str(c).split("=", 1)[0] not in (*features, *FEATURES)]
            if stray:
                raise ConfigError(f"estimator.{setting}: {stray[0]} is no feature of the model or the vocabulary.")


def _fitting(estimator: Any, columns: pd.Index) -> dict[str, Any]:
    """Constraints by feature name, restricted to the columns that this fold has."""
    params = estimator.get_params(deep=False)
    return {
        name: {c: sign for c, sign in params[name].items() if c in columns}
        for name in BY_FEATURE
        if isinstance(params.get(name), Mapping)
    }
