"""Patients of the training fold who are most like a patient in what the model reads, with what became of them.

Distance: Gower's (1971, Biometrics 27:857) mean of the differences of all inputs that both patients have, numbers on
the scale of their ranks among the training patients (Podani 1999 does so for ordinal characters), so that neither a
heavy tail nor a transform of the model matters: 0 is a patient like this one in all that both have, 1 the opposite
end of every input. Categories differ by 0 or 1. Outcomes play no part in who is a neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.metrics import wilson_interval

#: Neighbours that are shown, and the fewest of whom a share is told.
K, MIN_NEIGHBOURS = 20, 10
#: A neighbour has at least this share of the inputs that the patient has.
MIN_SHARED = 0.5
#: Training patients whose own distances say what is usual; evenly spaced by id where there are more.
_MOST_REFERENCES = 500
#: A distance above this quantile of the training patients' own is unusual.
USUAL = 0.99


@dataclass(frozen=True)
class Neighbours:
    """The patients most like one, nearest first.

    Attributes
    ----------
    table : patient_id, cohort_id, y_true, distance (0-1), n_shared (inputs that both have).
    inputs : the inputs that were compared: those which the patient has.
    n_eligible : training persons with at least half of these inputs.
    n_events, share, ci_low, ci_high : neighbours with the event, their share and its Wilson interval; NaN with fewer
        than `MIN_NEIGHBOURS`. The interval takes the neighbours as a sample; that they were chosen is not in it.
    mean_distance : to the neighbours; `usual_distance` : the 99th percentile of that of training patients to theirs.
    note : why numbers are missing, "" where none are.
    """

    table: pd.DataFrame
    inputs: tuple[str, ...]
    n_eligible: int
    n_events: int
    share: float
    ci_low: float
    ci_high: float
    mean_distance: float
    usual_distance: float
    note: str

    @property
    def far(self) -> bool:
        """Whether the patient is farther from the neighbours than 99 % of the training patients are from theirs."""
        return self.mean_distance > self.usual_distance


def similar_patients(
    patient: pd.DataFrame, training: pd.DataFrame, y: np.ndarray, inputs: Sequence[str], *, k: int = K
) -> Neighbours:
    """The training patients nearest to a patient.

    Parameters
    ----------
    patient : a row of a cohort table.
    training : (n, columns) rows of the cohort table that fitted the model; the patient's own person is left out.
    y : (n,) their outcomes, 0/1.
    inputs : features that the model uses.
    k : neighbours; each person once, by the nearest row; ties by patient id.
    """
    keep = (training["person_id"] != patient["person_id"].iloc[0]).to_numpy()
    training, y = training[keep].reset_index(drop=True), np.asarray(y)[keep]
    there = [name for name in inputs if name in patient and patient[name].notna().iloc[0]]
    if not there or training.empty:
        why = "the patient has none of the model's inputs" if not there else "there is no training patient"
        nobody, gone = _table(training[:0], y[:0], np.zeros(0), np.zeros(0)), math.nan
        return Neighbours(nobody, tuple(there), 0, 0, gone, gone, gone, gone, gone, why)
    scales = Scales(training, there)
    distance, shared = scales.distances(patient)
    distance, shared = distance[0], shared[0]
    order = _nearest(distance, training)
    nearest = order[:k]
    n, events = len(nearest), int(y[nearest].sum())
    low, high, share, note = np.nan, np.nan, np.nan, ""
    if n >= MIN_NEIGHBOURS:
        low, high = (float(end) for end in wilson_interval(events, n))
        share = events / n
    else:
        note = f"too few: {n} training patients have half of this patient's inputs; {MIN_NEIGHBOURS} are needed"
    return Neighbours(
        _table(training.iloc[nearest], y[nearest], distance[nearest], shared[nearest]),
        tuple(there),
        len(order),
        events,
        share,
        low,
        high,
        float(distance[nearest].mean()) if n else np.nan,
        _usual(scales, training, k),
        note,
    )


class Scales:
    """Inputs of the training patients on the scales on which patients are compared.

    Parameters
    ----------
    training : (n, columns) rows of a cohort table.
    inputs : features to compare, all in the table.
    """

    def __init__(self, training: pd.DataFrame, inputs: Sequence[str]):
        self.inputs = list(inputs)
        self._sorted: dict[str, np.ndarray] = {}
        for name in self.inputs:
            if name in training and VOCABULARY[name].kind in ("number", "integer"):
                self._sorted[name] = np.sort(training[name].dropna().to_numpy(dtype=float))
        self._codes = {
            name: {level: float(i) for i, level in enumerate(VOCABULARY[name].categories)}
            for name in self.inputs
            if VOCABULARY[name].kind == "category"
        }
        self.values = self._scaled(training)

    def _scaled(self, patients: pd.DataFrame) -> np.ndarray:
        """(n, inputs): ranks in 0-1, codes of categories, 0/1; NaN where not measured."""
        out = np.full((len(patients), len(self.inputs)), np.nan)
        for j, name in enumerate(self.inputs):
            if name not in patients:
                continue
            if name in self._codes:
                out[:, j] = [self._codes[name].get(v, np.nan) for v in patients[name].astype(object)]
                continue
            x = patients[name].to_numpy(dtype=float, na_value=np.nan)
            if name in self._sorted and len(self._sorted[name]):
                known = self._sorted[name]
                rank = (np.searchsorted(known, x, "left") + np.searchsorted(known, x, "right")) / (2 * len(known))
                x = np.where(np.isnan(x), np.nan, rank)
            out[:, j] = x
        return out

    def distances(self, patients: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """(patients, n) distances to the training patients, inf where too few inputs are shared; inputs shared."""
        own = self._scaled(patients)
        total = np.zeros((len(own), len(self.values)))
        shared = np.zeros_like(total)
        for j, name in enumerate(self.inputs):
            gap = np.abs(own[:, j, None] - self.values[None, :, j])
            if name not in self._sorted:
                gap = np.where(np.isnan(gap), np.nan, (gap > 0).astype(float))
            both = ~np.isnan(gap)
            total += np.where(both, gap, 0.0)
            shared += both
        enough = shared >= np.maximum(np.ceil(MIN_SHARED * (~np.isnan(own)).sum(axis=1)), 1)[:, None]
        with np.errstate(invalid="ignore"):
            return np.where(enough, total / np.maximum(shared, 1), np.inf), shared


def _nearest(distance: np.ndarray, training: pd.DataFrame) -> np.ndarray:
    """Positions of the nearest row of each person, nearest first; those that can't be compared are left out."""
    table = pd.DataFrame(
        {"d": distance, "patient_id": training["patient_id"].to_numpy(), "person_id": training["person_id"].to_numpy()}
    )
    table = table[np.isfinite(table["d"])].sort_values(["d", "patient_id"])
    return table.drop_duplicates("person_id").index.to_numpy()


def _usual(scales: Scales, training: pd.DataFrame, k: int) -> float:
    """99th percentile of the mean distance of training patients to their own k nearest; NaN for too few."""
    if len(training) < 100:  # a 99th percentile of fewer is their largest
        return np.nan
    order = np.argsort(training["patient_id"].to_numpy(dtype=str), kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), _MOST_REFERENCES)).round().astype(int))]
    persons = training["person_id"].to_numpy()
    means = []
    for start in range(0, len(chosen), 50):
        part = chosen[start : start + 50]
        distance = scales.distances(training.iloc[part])[0]
        distance[persons[part][:, None] == persons[None, :]] = np.inf
        nearest = np.sort(np.partition(distance, min(k, distance.shape[1] - 1), axis=1)[:, :k], axis=1)
        counts = np.isfinite(nearest).sum(axis=1)
        total = np.where(np.isfinite(nearest), nearest, 0.0).sum(axis=1)
        means.append(total[counts > 0] / counts[counts > 0])
    found = np.concatenate(means)
    return float(np.quantile(found, USUAL)) if len(found) >= 100 else np.nan


def _table(training: pd.DataFrame, y: np.ndarray, distance: np.ndarray, shared: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": training["patient_id"].to_numpy(),
            "cohort_id": training["cohort_id"].to_numpy(),
            "y_true": np.asarray(y).astype(int),
            "distance": distance,
            "n_shared": shared.astype(int),
        }
    )
