"""Learner: any scikit-learn classifier, with the preprocessing inside, as a response model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from immunocast.cohort.outcomes import Survival
from immunocast.cohort.vocabulary import FEATURES
from immunocast.errors import ConfigError
from immunocast.features.expand import Expansion, Product
from immunocast.features.preprocess import BY_COHORT, PERSON, Preprocessor, check_features, standardised_by_cohort
from immunocast.models.refit import fit_ridges, is_ridge, no_columns, one_by_one
from immunocast.models.spec import TARGETS, Explainer, ModelSpec, OutputScale, Target

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
    output_scale : scale on which explanations add up: "log-odds" or "probability"; "log-hazard" for the hazard of a
        survival model, whose link to the label is one more step.
    source : the library or paper that the estimator comes from, for the model card.
    label : how figures and reports call the model.
    search : parameters that tuning may change, with their ranges, see `validation.search_space`; without tuning it is
        not used.
    expand : curves and slopes by category, see `features.expand.Expansion`; None for the columns as they are.
    target : "label" for the endpoint's label; "os" or "pfs" for an estimator that learns from times to event and
        is linked to the label, such as `models.cox.CoxResponse`.

    Attributes
    ----------
    preprocessor_, expander_, estimator_ : fitted; `expander_` is None without `expand`.
    background_ : mean of each of the estimator's columns in training.
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
        expand: Expansion | None = None,
        target: Target = "label",
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
        self.expand = expand
        self.target = target

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
        self._check_target()
        self._check_expand()
        stray = [name for name in self.required if name not in self.features]
        if stray:
            raise ConfigError(f"required: {stray[0]} is not among the model's features.")
        nobody = "a missing or rare category counts as none of the common ones"
        rule = {
            "median": f"a missing value takes the median of the training fold; {nobody}",
            "mean": "a missing value takes the mean of the training fold, a missing category its shares there; a rare "
            "category counts as none of the common ones",
            "none": "missing values are handled by the estimator itself, and take the median of the training fold "
            f"where fewer than {self.min_category_count} of its patients had a gap; {nobody}",
        }.get(self.impute, self.impute)
        told = [name for name, how in self.features.items() if (how or {}).get("indicator")]
        if told:
            rule += f"; that it is missing has a coefficient or a split of its own for {', '.join(told)}"
        return ModelSpec(
            required=tuple(self.required),
            optional=tuple(f for f in self.features if f not in self.required),
            missing_rule=rule,
            learned=True,
            output_scale=self.output_scale,
            explainer=self.explainer,
            source=self.source or type(self.estimator).__module__.split(".")[0],
            label=self.label,
            by_cohort=bool(standardised_by_cohort(self.features)) or self.target != "label",
            target=self.target,
        )

    def _check_target(self) -> None:
        if self.target not in TARGETS:
            raise ConfigError(f"target is {self.target!r}; known: {', '.join(TARGETS)}.")
        survival = getattr(self.estimator, "takes_survival", False)
        if survival and self.target == "label":
            raise ConfigError(f"A {type(self.estimator).__name__} learns from times to event: set target to os or pfs.")
        if not survival and self.target != "label":
            raise ConfigError(f"target is {self.target}, and a {type(self.estimator).__name__} takes labels only.")
        if self.output_scale == "log-hazard" and not survival:
            raise ConfigError(
                f"output_scale is log-hazard, and a {type(self.estimator).__name__} has no hazard: set it to log-odds "
                "or probability."
            )

    def _check_expand(self) -> None:
        if self.expand is None:
            return
        if not isinstance(self.expand, Expansion):
            raise ConfigError("expand is no immunocast.features.expand.Expansion. Name it under _target_.")
        self.expand.check(self.features)
        if self.impute == "none":
            raise ConfigError("expand needs complete columns: set impute to mean or median.")

    def fit(self, X: pd.DataFrame, y: Any, survival: Survival | None = None) -> Learner:
        """Fit on a training fold.

        Parameters
        ----------
        X : (n, inputs) frame as `features.preprocess.model_frame` makes it.
        y : (n,) 0/1.
        survival : (n,) times to event of `target` where it is "os" or "pfs".

        Raises
        ------
        ConfigError
            Where the fold leaves no column to learn from, or the estimator refuses its settings or the data.
        """
        _check_estimator(self.estimator, self.features)
        self._check_target()
        self._check_expand()
        self.preprocessor_ = Preprocessor(self.features, self.impute, self.scale, self.min_category_count)
        Z = self.preprocessor_.fit(X).transform(X)
        self.expander_ = None
        if self.expand is not None:
            self.expander_ = clone(self.expand).fit(Z, X, self.preprocessor_.source_, self._filled())
            Z = self.expander_.transform(Z, X)
        self.estimator_ = clone(self.estimator)
        self.estimator_.set_params(**_fitting(self.estimator_, Z.columns))
        kind = type(self.estimator).__name__
        if not len(Z.columns):
            raise ConfigError(no_columns(kind, self.min_category_count))
        if Z.isna().to_numpy().any() and not get_tags(self.estimator_).input_tags.allow_nan:
            raise ConfigError(f"{kind} takes no missing values: set impute to mean or median.")
        try:
            self.estimator_.fit(Z, np.asarray(y, dtype=int), **self._times(X, survival))
        except (ValueError, TypeError) as error:
            # scikit-learn and XGBoost say a wrong setting only when they are fitted
            raise ConfigError(f"{kind} cannot be fitted: {error}") from error
        self.classes_ = np.array([0, 1])
        #: expectation of the transformed columns in training: the background of the linear explanation
        self.background_ = {c: float(m) for c, m in Z.mean().items()}
        return self

    def _filled(self) -> dict[str, float]:
        """Column -> where a missing measurement stands on its scale."""
        pre = self.preprocessor_
        return {n: (v - pre.mean_[n]) / pre.std_[n] if self.scale else v for n, v in pre.fill_.items()}

    def _times(self, X: pd.DataFrame, survival: Survival | None) -> dict[str, Any]:
        if self.target == "label":
            return {}
        if survival is None:
            raise ConfigError(f"The model learns from {self.target}: hand its times to event to fit (survival=...).")
        if BY_COHORT not in X:
            raise ConfigError("The model has a baseline hazard a cohort, and was not told the cohorts (cohort_id).")
        person = X[PERSON].to_numpy(dtype=str) if PERSON in X else None
        return {"survival": survival, "strata": X[BY_COHORT].to_numpy(dtype=object), "person": person}

    def fit_many(self, X: pd.DataFrame, Y: Any, W: Any, survival: Survival | None = None) -> list[Learner]:
        """Fitted copies, one a column of weights; see `models.refit.fit_many`.

        An L2-penalised LogisticRegression is solved exactly by Newton's method, so that its settings of solver, tol
        and max_iter play no part here; every other estimator is fitted one by one.
        """
        _check_estimator(self.estimator, self.features)
        return fit_ridges(self, X, Y, W) if self.batches else one_by_one(self, X, Y, W, survival)

    @property
    def batches(self) -> bool:
        """Whether `fit_many` is faster than fits one by one."""
        return type(self) is Learner and is_ridge(self)

    def design_matrix(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n, inputs) -> what the fitted estimator sees."""
        check_is_fitted(self, "preprocessor_")
        Z = self.preprocessor_.transform(X)
        return Z if self.expander_ is None else self.expander_.transform(Z, X)

    @property
    def sources_(self) -> list[str]:
        """For each column of `design_matrix` the feature that it comes from; for a product its first."""
        return self.preprocessor_.source_ if self.expander_ is None else self.expander_.source_

    @property
    def products_(self) -> dict[str, Product]:
        """Columns of `design_matrix` that are made of two others."""
        return {} if self.expander_ is None else self.expander_.products_

    @property
    def inputs_used_(self) -> tuple[str, ...]:
        """Inputs that the training fold left a column of: without one, a feature is read and never used."""
        used = set(self.sources_)
        inputs = (*self.required, *(name for name in self.features if name not in self.required))  # those of `spec`
        return tuple(name for name in inputs if name in used)

    def risk_score(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) linear predictor of the hazard, higher for earlier events; NaN in rows that lack a required input.

        Raises
        ------
        ConfigError
            For a model of labels: it has no hazard.
        """
        if self.target == "label":
            raise ConfigError(f"{self.spec.label or 'The model'} learns from labels and has no hazard.")
        out = np.full(len(X), np.nan)
        known = X[list(self.required)].notna().all(axis=1).to_numpy()
        if known.any():
            out[known] = self.estimator_.risk_score(self.design_matrix(X[known]))
        return out

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
