"""Mean |SHAP| and mean SHAP of each patient under one model: what importances are averages of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from immunocast.explain.importance import direction, used_features


@dataclass(frozen=True)
class PerPatient:
    """SHAP values of a model's explained patients, averaged over repeats.

    Attributes
    ----------
    model, scheme, endpoint, scale : as in the table shap.
    patients : (n, columns) rows of the cohort table, in the order of patient_id.
    features : in the order of the vocabulary; those that no fold could use are left out.
    absolute : (n, features) mean |SHAP| of a patient.
    signed : (n, features) mean SHAP of a patient.
    """

    model: str
    scheme: str
    endpoint: str
    scale: str
    patients: pd.DataFrame
    features: tuple[str, ...]
    absolute: np.ndarray
    signed: np.ndarray

    def __len__(self) -> int:
        return len(self.patients)

    def take(self, inside: np.ndarray) -> PerPatient:
        """The patients of a (n,) mask only."""
        return replace(self, patients=self.patients[inside], absolute=self.absolute[inside], signed=self.signed[inside])

    @cached_property
    def mean(self) -> np.ndarray:
        """(features,) mean |SHAP|: the importance."""
        return np.asarray(self.absolute.mean(axis=0))

    @cached_property
    def sign(self) -> np.ndarray:
        """(features,) Spearman correlation of value and SHAP; NaN for categories and constants."""
        return directions(self.patients, self.signed, self.features)

    @cached_property
    def n_measured(self) -> np.ndarray:
        """(features,) patients in whom each was measured."""
        return self.patients.reindex(columns=list(self.features)).notna().sum().to_numpy()


def directions(patients: pd.DataFrame, signed: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """(features,) Spearman correlations of value and SHAP (n, features), see `importance.direction`."""
    frame = pd.DataFrame(signed, index=patients.index, columns=list(features))
    return np.array([direction(patients, frame, f) for f in features], dtype=float)


def per_patient(shap: pd.DataFrame, cohort: pd.DataFrame) -> dict[str, PerPatient]:
    """Model -> its patients' values.

    Parameters
    ----------
    shap : shap table of a run.
    cohort : cohort table.
    """
    if shap.empty:
        return {}
    values = cohort.set_index("patient_id", drop=False)
    found = {}
    for names, part in shap.groupby(["model", "scheme", "endpoint", "output_scale"], sort=True):
        model, scheme, endpoint, scale = map(str, names)
        features = used_features(part)
        by = part["patient_id"].to_numpy()
        absolute = part[features].abs().groupby(by, sort=True).mean()
        signed = part[features].groupby(by, sort=True).mean()
        found[model] = PerPatient(
            model,
            scheme,
            endpoint,
            scale,
            values.loc[absolute.index].reset_index(drop=True),
            tuple(features),
            absolute.to_numpy(),
            signed.to_numpy(),
        )
    return found
