"""PublishedUpdate: a published formula, revised and extended on the training fold (Steyerberg 2004, Stat Med 23:2567).

    log-odds = a + sum_k b_k (t_k - mean t_k) + sum_j g_j z_j

t_k are the published terms (the formula's coefficient times its feature), z_j what the formula lacks. The penalty
draws every b_k to 1 and every g_j to 0: without evidence in the training fold the model is the published score with
its intercept updated, and with much evidence it is a ridge regression. A term whose feature is missing is left at
its mean, so that the model still speaks where the formula itself abstains.

While it is fitted, each training cohort has an intercept of its own. Response rates of cohorts differ by who was
treated there; without such intercepts the difference would be put down to the tumour types or assays of a cohort. A new
patient gets a, the intercept of a cohort in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from immunocast.errors import ConfigError
from immunocast.features.preprocess import BY_COHORT, Preprocessor, check_features, standardised_by_cohort
from immunocast.models.cox import row_sums
from immunocast.models.shrunken import Shrunken, fit_shrunken
from immunocast.models.spec import ModelSpec

#: A published term that hardly varies in training counts as varying this much (log-odds): its factor could otherwise
#: run away, and a new patient's term may be larger.
LEAST_SPREAD = 0.1
#: Standard deviation between the cohorts' intercepts that their penalty stands for: rates of .19 to .39 around .28.
COHORT_SD = 0.5


class PublishedUpdate(ClassifierMixin, BaseEstimator):
    """A published formula as starting point of a fit.

    Parameters
    ----------
    formula : published model with `terms(X)`, e.g. `models.loris.LorisPanCancer`. What it was trained on is what this
        model was trained on.
    features : what is added to the formula, as a feature table of `features.preprocess.Preprocessor`. It may name
        features of the formula, e.g. tumor_type for corrections by type.
    C : inverse strength of the shrinkage, as in scikit-learn's LogisticRegression: small keeps to the formula.
    estimator : None for the penalised regression above, or an XGBClassifier: its trees then start from the formula,
        recalibrated by intercept and slope, and `C` is not used.
    cohort_intercepts : whether each training cohort has an intercept of its own while the model is fitted.
    required : inputs without which the model abstains.
    min_category_count : see `Preprocessor`.
    source, label : see `models.learner.Learner`.

    Attributes
    ----------
    preprocessor_ : of the added features; a missing value takes the training fold's mean (trees: their own rule).
    means_ : mean of each published term in training.
    factors_ : b of each published term.
    coef_ : g of each column of the preprocessor; empty with trees.
    intercept_ : a.
    cohort_intercepts_ : cohort -> how far its own intercept lies from a; empty where there is one cohort.
    background_ : training mean of each column of the preprocessor.
    estimator_ : fitted XGBClassifier, or None.
    """

    def __init__(
        self,
        formula: Any,
        features: Mapping[str, Mapping[str, Any] | None],
        C: float = 0.1,
        estimator: Any = None,
        cohort_intercepts: bool = True,
        required: Sequence[str] = ("tumor_type",),
        min_category_count: int = 10,
        source: str = "",
        label: str = "",
    ):
        self.formula = formula
        self.features = features
        self.C = C
        self.estimator = estimator
        self.cohort_intercepts = cohort_intercepts
        self.required = required
        self.min_category_count = min_category_count
        self.source = source
        self.label = label

    @property
    def spec(self) -> ModelSpec:
        """What the model needs: the formula's inputs and the added features.

        Raises
        ------
        ConfigError
            For a formula, feature table or setting that cannot be used.
        """
        self._check()
        published = self.formula.spec
        inputs = dict.fromkeys((*published.inputs, *self.features))
        return ModelSpec(
            required=tuple(self.required),
            optional=tuple(name for name in inputs if name not in self.required),
            missing_rule=f"in the formula: {published.missing_rule.split(';')[0]}; any other missing term or feature "
            + ("is left out, the trees have their own rule" if self.estimator is not None else "counts as the mean")
            + " of the training fold",
            trained_on=published.trained_on,
            learned=True,
            explainer="update",
            source=self.source or f"update of {published.label}: {published.source}",
            label=self.label,
            # it starts from a published direction, which another endpoint may turn round or not know
            predicts=published.predicts,
            by_cohort=bool(self.cohort_intercepts or standardised_by_cohort(self.features)),
        )

    def _check(self) -> None:
        if not callable(getattr(self.formula, "terms", None)) or not hasattr(self.formula, "spec"):
            raise ConfigError(
                f"formula: a {type(self.formula).__name__} has no terms to revise. Use a published formula, e.g. "
                "_target_: immunocast.models.loris.LorisPanCancer."
            )
        check_features(self.features)
        if isinstance(self.C, bool) or not isinstance(self.C, Real) or not 0 < self.C < np.inf:
            raise ConfigError(f"C is {self.C!r}; it must be a number above 0.")
        if self.estimator is not None and not hasattr(self.estimator, "get_booster"):
            raise ConfigError(
                f"estimator: a {type(self.estimator).__name__} cannot start from a formula. Use an XGBClassifier, or "
                "null for the penalised regression."
            )
        inputs = (*self.formula.spec.inputs, *self.features)
        stray = [name for name in self.required if name not in inputs]
        if stray:
            raise ConfigError(f"required: {stray[0]} is not among the model's features.")

    def fit(self, X: pd.DataFrame, y: Any) -> PublishedUpdate:
        """Fit on a training fold.

        Parameters
        ----------
        X : (n, columns) frame as `features.preprocess.model_frame` makes it.
        y : (n,) 0/1.
        """
        self._check()
        y = np.asarray(y, dtype=int)
        raw = self.formula.terms(X)
        self.means_ = {name: float(values.mean()) if values.notna().any() else 0.0 for name, values in raw.items()}
        terms = self._centred(raw)
        trees = self.estimator is not None
        impute = "none" if trees else "mean"
        self.preprocessor_ = Preprocessor(self.features, impute, not trees, self.min_category_count)
        Z = self.preprocessor_.fit(X).transform(X)
        self.background_ = {c: float(m) for c, m in Z.mean().items()}
        names, cohorts = self._cohorts(X)
        self.estimator_: Any = None
        if trees:
            # intercept and slope of the formula as a whole: two numbers, hardly shrunk
            score = terms.sum(axis=1).to_numpy()
            fit = _fit(score[:, None], y, np.ones(1), np.ones(1), 1.0, cohorts)
            self.factors_ = dict.fromkeys(terms, float(fit.coef[0]))
            self.intercept_, self.coef_, own = fit.intercept, {}, fit.coef[1:]
            self.estimator_ = clone(self.estimator).set_params(base_score=0.5)
            self._fit_trees(Z, y, fit.intercept + fit.coef[0] * score + cohorts @ own)
        else:
            k, spread = len(terms.columns), terms.to_numpy().std(axis=0)
            prior = np.concatenate([np.ones(k), np.zeros(len(Z.columns))])
            # on the scale of a feature of unit variance, as the others are
            weight = np.concatenate([np.maximum(spread, LEAST_SPREAD) ** 2, np.ones(len(Z.columns))])
            fit = _fit(np.column_stack([terms, Z]), y, prior, weight, float(self.C), cohorts)
            self.intercept_, own = fit.intercept, fit.coef[k + len(Z.columns) :]
            self.factors_ = dict(zip(terms, map(float, fit.coef), strict=False))
            self.coef_ = dict(zip(Z, map(float, fit.coef[k:]), strict=False))
        self.cohort_intercepts_ = {name: float(a) for name, a in zip(names, own, strict=True)}
        self.classes_ = np.array([0, 1])
        return self

    def _cohorts(self, X: pd.DataFrame) -> tuple[list[str], np.ndarray]:
        """Names of the training cohorts and (n, cohorts) indicators; none where there is one, or none is wanted."""
        ids = X[BY_COHORT].to_numpy(dtype=str) if self.cohort_intercepts and BY_COHORT in X else np.array([])
        names = sorted(set(ids))
        if len(names) < 2:
            return [], np.empty((len(X), 0))
        return names, (ids[:, None] == np.array(names)).astype(float)

    def _fit_trees(self, Z: pd.DataFrame, y: np.ndarray, margin: np.ndarray) -> None:
        assert self.estimator_ is not None
        signs = self.estimator_.get_params(deep=False).get("monotone_constraints")
        if isinstance(signs, Mapping):  # features without a column in this fold are left out
            self.estimator_.set_params(monotone_constraints={c: s for c, s in signs.items() if c in Z.columns})
        try:
            self.estimator_.fit(Z, y, base_margin=margin)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{type(self.estimator).__name__} cannot be fitted: {error}") from error

    def _centred(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Terms less their training means; 0 where a term's feature is missing."""
        return (raw - pd.Series(self.means_)[list(raw.columns)]).fillna(0.0)

    def published_part(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n, terms) what each revised term adds to the log-odds; a column is named after its feature."""
        check_is_fitted(self, "factors_")
        terms = self._centred(self.formula.terms(X))
        return terms * pd.Series(self.factors_)[list(terms.columns)]

    @property
    def inputs_used_(self) -> tuple[str, ...]:
        """Inputs of the formula, and added features that the training fold left a column of."""
        check_is_fitted(self, "factors_")
        used = {*self.formula.spec.inputs, *self.preprocessor_.source_}
        return tuple(name for name in self.spec.inputs if name in used)

    def design_matrix(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n, columns) the added features as the fit sees them."""
        check_is_fitted(self, "factors_")
        return self.preprocessor_.transform(X)

    def decision_function(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) log-odds, also for rows without a required input."""
        # row by row: a patient's value never depends on who stands beside
        terms = self.published_part(X)
        published = self.intercept_ + row_sums(terms, np.ones(terms.shape[1]))
        Z = self.design_matrix(X)
        if self.estimator_ is None:
            return published + row_sums(Z, np.array([self.coef_[c] for c in Z.columns]))
        return published + self.estimator_.predict(Z, output_margin=True).astype(float)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """(n, 2) probabilities; NaN in rows that lack a required input."""
        out = np.full((len(X), 2), np.nan)
        known = X[list(self.required)].notna().all(axis=1).to_numpy()
        if known.any():
            p = expit(self.decision_function(X[known]))
            out[known] = np.column_stack([1 - p, p])
        return out

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) 1 where the probability is above one half; for scikit-learn's tools, not for decisions."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


def _fit(
    x: np.ndarray, y: np.ndarray, prior: np.ndarray, weight: np.ndarray, C: float, cohorts: np.ndarray
) -> Shrunken:
    """`fit_shrunken` with an intercept for each cohort behind the other columns."""
    k = cohorts.shape[1]
    return fit_shrunken(
        np.column_stack([x, cohorts]),
        y,
        np.concatenate([prior, np.zeros(k)]),
        # a normal prior with this deviation, whatever C is
        np.concatenate([weight, np.full(k, C / COHORT_SD**2)]),
        C,
    )
