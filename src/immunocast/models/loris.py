"""LORIS as published: three fixed formulas.

Source: Chang T-G et al., "LORIS robustly predicts patient outcomes with immune checkpoint blockade therapy
using common clinical, pathologic and genomic features", Nature Cancer 2024. The formulas give
p = 1 / (1 + exp(-S)); they were fitted with balanced class weights, so p is about one logit too high as a
probability of response. Nothing here is fitted: `fit` only keeps scikit-learn's protocol.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from immunocast.models.spec import ModelSpec

#: Tumour-type terms of the pan-cancer formula; any other type is 0.
TYPE_TERMS = {
    "Bladder": -0.3323,
    "Breast": -0.3323,
    "Colorectal": -0.102,
    "Endometrial": -0.0079,
    "Esophageal": 0.55,
    "Gastric": 0.2306,
    "Head & Neck": 0.0678,
    "Hepatobiliary": -0.1189,
    "Melanoma": -0.0086,
    "Mesothelioma": 0.1255,
    "NSCLC": 0.0008,
    "Ovarian": -0.052,
    "Pancreatic": -1.1169,
    "Renal": 0.5451,
    "Sarcoma": 0.0542,
    "SCLC": -0.0033,
}
SOURCE = "Chang et al., Nature Cancer 2024 (published formula)"


PAN_CONSTANT, NSCLC_CONSTANT = -2.0886, -1.5593


def pan_cancer_terms(X: pd.DataFrame, nlr: np.ndarray, albumin: np.ndarray) -> pd.DataFrame:
    """Terms of the pan-cancer formula by the feature that each comes from; NaN where an input is missing."""
    kinds = X["tumor_type"].to_numpy(dtype=object)
    terms = {
        "tmb_mut_mb": 0.0371 * np.minimum(_number(X, "tmb_mut_mb"), 50),
        "prior_systemic_therapy": -0.8775 * _number(X, "prior_systemic_therapy"),
        "albumin_g_dl": 0.5382 * albumin,
        "nlr": -0.033 * np.minimum(nlr, 25),
        "age_years": 0.0049 * np.minimum(_number(X, "age_years"), 85),
        "tumor_type": np.array([np.nan if pd.isna(t) else TYPE_TERMS.get(t, 0.0) for t in kinds], dtype=float),
    }
    return pd.DataFrame(terms, index=X.index)


def nsclc_terms(X: pd.DataFrame, nlr: np.ndarray, albumin: np.ndarray) -> pd.DataFrame:
    """Terms of the NSCLC formula by feature; all NaN outside NSCLC, one NaN where its input is missing."""
    terms = {
        "tmb_mut_mb": 0.0353 * np.minimum(_number(X, "tmb_mut_mb"), 50),
        "pdl1_tps": 0.0111 * _number(X, "pdl1_tps"),
        "prior_systemic_therapy": -0.375 * _number(X, "prior_systemic_therapy"),
        "albumin_g_dl": 0.2924 * albumin,
        "nlr": -0.0103 * np.minimum(nlr, 25),
    }
    is_nsclc = (X["tumor_type"] == "NSCLC").fillna(False).to_numpy(dtype=bool)
    return pd.DataFrame({name: np.where(is_nsclc, term, np.nan) for name, term in terms.items()}, index=X.index)


def pan_cancer_score(X: pd.DataFrame, nlr: np.ndarray, albumin: np.ndarray) -> np.ndarray:
    """S of the pan-cancer formula, (n,) log-odds; NaN where an input is missing."""
    return _sum(pan_cancer_terms(X, nlr, albumin)) + PAN_CONSTANT


def nsclc_score(X: pd.DataFrame, nlr: np.ndarray, albumin: np.ndarray) -> np.ndarray:
    """S of the NSCLC formula with PD-L1, (n,) log-odds; NaN outside NSCLC or where an input is missing."""
    return _sum(nsclc_terms(X, nlr, albumin)) + NSCLC_CONSTANT


def _sum(terms: pd.DataFrame) -> np.ndarray:
    return terms.to_numpy().sum(axis=1)


def _number(X: pd.DataFrame, name: str) -> np.ndarray:
    return X[name].to_numpy(dtype=float)


class _Loris(ClassifierMixin, BaseEstimator):
    """Common part: the authors' rule for missing blood values, and scikit-learn's protocol.

    Parameters
    ----------
    nlr_default : NLR where neither NLR nor dNLR is known (LORIS's authors: 6.2).
    albumin_default : albumin in g/dL where unknown (LORIS's authors: 3.8).
    reverse : predict 1 - p, for an endpoint that response speaks against; never what was published.
    """

    _required: tuple[str, ...] = ()
    _optional: tuple[str, ...] = ("albumin_g_dl", "nlr", "dnlr")
    _trained_on: tuple[str, ...] = ()
    _label = "LORIS"

    def __init__(self, nlr_default: float = 6.2, albumin_default: float = 3.8, reverse: bool = False):
        self.nlr_default = nlr_default
        self.albumin_default = albumin_default
        self.reverse = reverse

    @property
    def spec(self) -> ModelSpec:
        """What the formula needs and what it was trained on."""
        return ModelSpec(
            required=self._required,
            optional=self._optional,
            missing_rule=f"NLR = 2 x dNLR, else {self.nlr_default:g}; albumin {self.albumin_default:g} g/dL "
            "(the authors' rule); abstains without a required input",
            trained_on=self._trained_on,
            learned=False,
            source=SOURCE,
            label=f"{self._label}, 1 - p" if self.reverse else self._label,
            predicts="response",
        )

    def fit(self, X: Any, y: Any) -> _Loris:
        """Nothing is fitted."""
        self.classes_ = np.array([0, 1])
        return self

    def _blood(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        nlr, dnlr, albumin = (_number(X, c) for c in ("nlr", "dnlr", "albumin_g_dl"))
        nlr = np.where(np.isnan(nlr), 2 * dnlr, nlr)
        return (
            np.where(np.isnan(nlr), self.nlr_default, nlr),
            np.where(np.isnan(albumin), self.albumin_default, albumin),
        )

    def _score(self, X: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError

    def terms(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n, features) what each feature adds to S, up to a constant; NaN where the feature is missing.

        `PublishedUpdate` revises a formula term by term. The authors' rule for missing blood values is applied.
        """
        raise NotImplementedError

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """(n, 2) probabilities as published, or turned round; NaN where the model abstains."""
        p = expit(-self._score(X) if self.reverse else self._score(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n,) 1 where the probability is above one half; for scikit-learn's tools, not for decisions."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


class LorisPanCancer(_Loris):
    """The pan-cancer formula."""

    _required = ("tmb_mut_mb", "prior_systemic_therapy", "age_years", "tumor_type")
    _trained_on = ("Chowell_train",)
    _label = "LORIS pan-cancer"

    def _score(self, X: pd.DataFrame) -> np.ndarray:
        return pan_cancer_score(X, *self._blood(X))

    def terms(self, X: pd.DataFrame) -> pd.DataFrame:
        """See `_Loris.terms`."""
        return pan_cancer_terms(X, *self._blood(X))


class LorisNSCLC(_Loris):
    """The NSCLC formula with PD-L1; abstains outside NSCLC and without a TPS."""

    _required = ("tmb_mut_mb", "pdl1_tps", "prior_systemic_therapy", "tumor_type")
    _trained_on = ("Chowell_train", "Chowell_test")
    _label = "LORIS NSCLC"

    def _score(self, X: pd.DataFrame) -> np.ndarray:
        return nsclc_score(X, *self._blood(X))

    def terms(self, X: pd.DataFrame) -> pd.DataFrame:
        """See `_Loris.terms`; all NaN outside NSCLC."""
        return nsclc_terms(X, *self._blood(X))


class LorisRouted(_Loris):
    """The NSCLC formula for NSCLC with a known TPS, the pan-cancer formula for everybody else."""

    _required = ("tmb_mut_mb", "prior_systemic_therapy", "age_years", "tumor_type")
    _optional = ("pdl1_tps", "albumin_g_dl", "nlr", "dnlr")
    _trained_on = ("Chowell_train", "Chowell_test")
    _label = "Routed LORIS"

    def _score(self, X: pd.DataFrame) -> np.ndarray:
        blood = self._blood(X)
        lung = nsclc_score(X, *blood)
        score = np.where(np.isnan(lung), pan_cancer_score(X, *blood), lung)
        # the lung formula does without age, but a required input is required on either way
        return np.where(np.isnan(_number(X, "age_years")), np.nan, score)

    def terms(self, X: pd.DataFrame) -> pd.DataFrame:
        """See `_Loris.terms`; the PD-L1 term of a routed patient holds the difference of the two constants."""
        blood = self._blood(X)
        lung, pan = nsclc_terms(X, *blood), pan_cancer_terms(X, *blood)
        routed = lung["pdl1_tps"].notna().to_numpy()
        lung["pdl1_tps"] += NSCLC_CONSTANT - PAN_CONSTANT
        columns = {
            name: np.where(routed, lung.get(name, pd.Series(0.0, X.index)), pan.get(name, pd.Series(0.0, X.index)))
            for name in (*pan.columns, "pdl1_tps")
        }
        return pd.DataFrame(columns, index=X.index)
