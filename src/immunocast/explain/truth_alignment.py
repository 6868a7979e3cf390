"""SHAP values beside the true Shapley values of the same patients and features, row by row.

What is aligned with what:

- *Scale.* True values are log-odds of response with ICI. SHAP values of a log-hazard are turned (a later event goes
  with response); sizes are never compared across scales, only ranks, signs and shares.
- *Reference.* True values are departures from the reference population (every type at its share), SHAP values from
  the training patients. Neither is centred: a different case mix is a difference.
- *Method.* True values are interventional; SHAP values of trees by paths are not, and divide what correlated features
  tell in another way.
- *Readings.* A true value is that of the patient's true marker, measured or not. A model sees a reading, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from immunocast.cohort.vocabulary import FEATURES

#: Mechanisms whose true values have a |Spearman correlation| from here on count as one: exhaustion and T-cell
#: inflammation are at .9, all other pairs of the generator at .2 at most.
SAME_MECHANISM = 0.5
#: True values at or below are none: effects that were taken away leave rounding of the solved intercepts.
NO_EFFECT = 1e-4
RESPONSE = "response"
_SHIFT = "cohort"


@dataclass(frozen=True)
class Alignment:
    """The rows (a patient of a repeat) of one model.

    Attributes
    ----------
    features : the model's, (m,): those with a role in the truth that anybody explained was measured for.
    kinds : (m,) "parent", "proxy" or "noise", see `feature_kinds`.
    roles : (m,) role in truth_features.
    shap : (n, m) SHAP values, a higher one for response.
    true : (n, m) true Shapley values, 0 for features without effect; None where the endpoint has none.
    outside : (n, k) true Shapley values of the causes that are not among the features.
    measured : (n, m) whether the patient has a reading.
    patients, persons : (n,) whose row it is, and who is resampled.
    folds : (n,) code of repeat and fold: by whom the row is explained.
    unknown : features of the model of which the truth says nothing.
    """

    features: tuple[str, ...]
    kinds: np.ndarray
    roles: np.ndarray
    shap: np.ndarray
    true: np.ndarray | None
    outside: np.ndarray
    measured: np.ndarray
    patients: np.ndarray
    persons: np.ndarray
    folds: np.ndarray
    unknown: tuple[str, ...] = ()

    @property
    def parents(self) -> np.ndarray:
        """(m,) bool."""
        return self.kinds == "parent"


def feature_kinds(roles: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """What each feature is to an outcome.

    Parameters
    ----------
    roles : rows of truth_features of one outcome.
    truth : table truth; the mechanisms' true values say which mechanisms go together.

    Returns
    -------
    Feature -> "parent": its true value is an argument of the outcome's equation with ICI; "proxy": no parent, but it
    measures a mechanism that a parent measures, or one that goes with it (`SAME_MECHANISM`); "noise": neither. Noise
    may still differ by tumour type, and so go with response a little.
    """
    by = roles.set_index("feature")
    parents = by["parent_with_ici"] == 1
    of_parents = sorted(by.loc[parents, "mechanism"].dropna().unique())
    near = {own for own in by["mechanism"].dropna().unique() if any(_go_together(own, m, truth) for m in of_parents)}
    kinds = np.where(parents, "parent", np.where(by["mechanism"].isin(near), "proxy", "noise"))
    return pd.Series(kinds, index=by.index)


def _go_together(one: str, other: str, truth: pd.DataFrame) -> bool:
    if one == other:
        return True
    a, b = (truth.get(f"latent_{name}") for name in (one, other))
    if a is None or b is None or a.nunique() < 2 or b.nunique() < 2:
        return False
    both = a.notna() & b.notna()
    return bool(abs(spearmanr(a[both], b[both]).statistic) >= SAME_MECHANISM)


def align(
    shap: pd.DataFrame,
    cohort: pd.DataFrame,
    truth: pd.DataFrame,
    truth_features: pd.DataFrame,
    inputs: Sequence[str],
) -> Alignment | None:
    """The rows of one model of the shap table beside the truth.

    Parameters
    ----------
    shap : rows of one model and scheme.
    cohort : cohort table.
    truth, truth_features : the tables of a synthetic cohort.
    inputs : features that the model takes.

    Returns
    -------
    None where nothing can be compared: no truth for the endpoint, or nobody explained who got ICI and has a truth.
    Patients of a control arm are left out: the true values are those with ICI.
    """
    if shap.empty or truth.empty or truth_features.empty:
        return None
    endpoint = str(shap["endpoint"].iloc[0])
    roles = truth_features[truth_features["outcome"] == endpoint]
    patients, known = cohort.set_index("patient_id"), truth.set_index("patient_id")
    treated = patients.index[patients["arm"] != "control"] if "arm" in patients else patients.index
    rows = shap[shap["patient_id"].isin(known.index.intersection(treated))]
    if roles.empty or rows.empty:
        return None
    rows = rows.sort_values(["repeat", "fold", "patient_id"], kind="stable")
    ids = rows["patient_id"].to_numpy()
    patients, known = patients.loc[ids], known.loc[ids]
    kinds = feature_kinds(roles, truth)
    taken = [f for f in FEATURES if f in set(inputs) and f in rows]
    there = [f for f in taken if f in kinds.index and f in patients and patients[f].notna().any()]
    turned = -1.0 if rows["output_scale"].iloc[0] == "log-hazard" else 1.0
    true, outside = None, np.zeros((len(rows), 0))
    if endpoint == RESPONSE and "shapley_base" in known:
        causes = [
            c.removeprefix("shapley_") for c in map(str, known) if c.startswith("shapley_") and c != "shapley_base"
        ]
        values = {c: _clean(known[f"shapley_{c}"]) for c in causes}
        nothing = np.zeros(len(rows))
        true = np.column_stack([values.get(f, nothing) for f in there]) if there else np.zeros((len(rows), 0))
        outside = np.column_stack([v for c, v in values.items() if c not in (*there, _SHIFT)] or [nothing])
    if not there:
        return None
    return Alignment(
        features=tuple(there),
        kinds=kinds[there].to_numpy(dtype=str),
        roles=roles.set_index("feature")["role"][there].to_numpy(dtype=str),
        shap=turned * rows[there].fillna(0.0).to_numpy(dtype=float),
        true=true,
        outside=outside,
        measured=patients[there].notna().to_numpy(),
        patients=ids,
        persons=patients["person_id"].to_numpy(),
        folds=rows.groupby(["repeat", "fold"], sort=True).ngroup().to_numpy(),
        unknown=tuple(f for f in taken if f not in kinds.index),
    )


def _clean(values: pd.Series) -> np.ndarray:
    found = values.to_numpy(dtype=float)
    return np.zeros_like(found) if np.abs(found).max(initial=0.0) <= NO_EFFECT else found
