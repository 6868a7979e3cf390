"""Prediction sets: the outcomes of a patient that the held-out patients before do not rule out.

Class-conditional (Mondrian) conformal prediction (Vovk, Gammerman & Shafer 2005, section 4.5). The patient's score is
compared with the scores of the calibration patients of each class; their p-values give the set.

Who calibrates: training patients of the fold that predicted the patient, by their own held-out predictions. A person
of the fold's test patients is none of them, also not under another id. The models of the calibration patients trained
on others than the patient's model did (cross-conformal, Vovk 2015), and under leave-one-cohort-out they are of other
cohorts: the coverage is aimed at, not guaranteed. The column `covered` tells what came of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from immunocast.errors import ConfigError
from immunocast.explain.inputs import ExplainInputs

#: Fewest calibration persons of a class.
MIN_PERSONS = 10
_OTHER_COHORTS = "calibrated on other cohorts: the coverage holds as far as this cohort is like them"
_NEW = "calibrated on held-out patients of the run: the coverage holds as far as this one is like them"
_NOBODY = "no training patient of the fold has a held-out prediction to calibrate on"


def conformal_table(run: ExplainInputs, coverages: Sequence[float]) -> pd.DataFrame:
    """Prediction sets of all held-out patients under all models with graded probabilities.

    A rule with two values has none: its values differ a little from fold to fold, and a comparison between folds would
    read that as a difference between patients.

    Parameters
    ----------
    run : what explanation sees of a run; the models' own probabilities are used, without recalibration.
    coverages : shares of patients whose set is to hold the outcome, each within (0, 1).

    Returns
    -------
    Rows of the table conformal. p-values are averaged over repeats; `n_calibration` is that of the smallest.

    Raises
    ------
    ConfigError
        For a coverage that is none, or named twice.
    """
    check_coverages(coverages)
    found = run.predictions
    found = found[(found["recalibration"] == "none") & ~found["abstained"] & ~found["in_training"]]
    found = found[found["model"].isin(_graded(found))]
    if found.empty or not len(coverages):
        return pd.DataFrame()
    found = found.sort_values("patient_id", kind="stable")  # sums have one order, whatever that of the rows
    parts = [_fold(run, part, own) for part, own in _folds(found)]
    each = pd.concat(parts, ignore_index=True)
    keys = ["model", "scheme", "endpoint", "cohort_id", "patient_id"]
    patients = each.groupby(keys, sort=True, as_index=False).agg(
        y_true=("y_true", "first"),
        # a patient whom one repeat cannot judge has no p-value
        p_value_event=("p_value_event", lambda p: p.mean(skipna=False)),
        p_value_other=("p_value_other", lambda p: p.mean(skipna=False)),
        n_event=("n_event", "min"),
        n_other=("n_other", "min"),
        n_calibration=("n_calibration", "min"),
        strange=("strange", "any"),
    )
    return pd.concat([sets_at(patients, c) for c in coverages], ignore_index=True)


def sets_of_new(run: ExplainInputs, model: str, p: float, person_id: str, coverages: Sequence[float]) -> pd.DataFrame:
    """Prediction sets of a patient whom the final model predicts, calibrated on all held-out predictions of the run.

    Parameters
    ----------
    run, coverages : as for `conformal_table`.
    model : name of the model.
    p : probability of the event by the final model.
    person_id : rows of this person do not calibrate.

    Returns
    -------
    A row a coverage, as in the table conformal; none for a rule with two values.
    """
    check_coverages(coverages)
    if not len(coverages):
        return pd.DataFrame(columns=["coverage"])
    found = run.predictions
    found = found[(found["recalibration"] == "none") & ~found["abstained"] & ~found["in_training"]]
    found = found[(found["model"] == model) & (found["person_id"] != person_id)].sort_values("patient_id")
    if model not in _graded(found):
        return pd.DataFrame(columns=["coverage"])
    rows = []
    for _, part in found.groupby("repeat", sort=True):
        event, other, n_event, n_other = conformal_p_values(
            np.array([p]),
            part["p_response"].to_numpy(dtype=float),
            part["y_true"].to_numpy(dtype=int),
            part["person_id"].to_numpy(dtype=str),
        )
        rows.append([float(event[0]), float(other[0]), n_event, n_other, len(part)])
    columns = ["p_value_event", "p_value_other", "n_event", "n_other", "n_calibration"]
    each = pd.DataFrame(rows, columns=columns)
    one = each.agg({c: "mean" if c.startswith("p_") else "min" for c in columns}).to_frame().T
    one = one.astype({c: int for c in columns[2:]}).assign(y_true=np.nan, strange=True)
    sets = pd.concat([sets_at(one, c) for c in coverages], ignore_index=True)
    return sets.assign(note=sets["note"].replace(_OTHER_COHORTS, _NEW))


def check_coverages(coverages: Sequence[float]) -> None:
    """Refuse what is no coverage.

    Raises
    ------
    ConfigError
        Naming the value.
    """
    for c in coverages:
        if isinstance(c, bool) or not isinstance(c, int | float) or not 0 < c < 1:
            raise ConfigError(f"explain.conformal: {c!r} is no coverage; give shares between 0 and 1, e.g. [0.9].")
    if len(set(coverages)) < len(coverages):
        raise ConfigError(f"explain.conformal names a coverage twice: {list(coverages)}.")


def conformal_p_values(
    p: np.ndarray, p_calibration: np.ndarray, y_calibration: np.ndarray, persons: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """p-values of both outcomes of new patients.

    Parameters
    ----------
    p : (n,) predicted probabilities of the event.
    p_calibration, y_calibration : (m,) held-out probabilities and outcomes (0/1).
    persons : (m,) ids; the rows of a person in a class count as one together.

    Returns
    -------
    p_event, p_other : (n,) (1 + calibration persons of the class who are at least as unlike it) / (1 + persons of the
        class). At level a, a patient of the class has a p-value of at most a with a probability of at most a if
        patients are exchangeable.
    n_event, n_other : calibration persons of each class.
    """
    out: list[np.ndarray] = []
    counts: list[int] = []
    # how unlike the class: the probability of the other one
    for c, score, known in ((1, 1 - p, 1 - p_calibration), (0, p, p_calibration)):
        inside = y_calibration == c
        _, at, rows = np.unique(persons[inside], return_inverse=True, return_counts=True)
        order = np.argsort(known[inside], kind="stable")
        weight = (1 / rows[at])[order] if len(order) else np.zeros(0)
        below = np.concatenate([[0.0], np.cumsum(weight)])
        # weight of the scores that are at least as large
        atypical = below[-1] - below[np.searchsorted(known[inside][order], score, side="left")]
        out.append((atypical + 1) / (len(rows) + 1))
        counts.append(len(rows))
    return out[0], out[1], counts[0], counts[1]


def fewest(coverage: float) -> int:
    """Fewest calibration persons of a class with whom a set of this coverage can leave a class out.

    >>> fewest(0.9), fewest(0.95)
    (10, 19)
    """
    return max(MIN_PERSONS, math.ceil(round(1 / (1 - coverage), 9)) - 1)


def sets_at(patients: pd.DataFrame, coverage: float) -> pd.DataFrame:
    """Rows of the table conformal for one coverage, from p-values and counts of calibration persons.

    Parameters
    ----------
    patients : p_value_event, p_value_other, n_event, n_other, n_calibration, y_true (NaN where not known), `strange`
        (calibrated on other cohorts only) and the table's keys.
    coverage : within (0, 1).
    """
    need, alpha = fewest(coverage), round(1 - coverage, 12)
    few = (patients[["n_event", "n_other"]].min(axis=1) < need).to_numpy()
    event = patients["p_value_event"].to_numpy() > alpha + 1e-12
    other = patients["p_value_other"].to_numpy() > alpha + 1e-12
    names = np.select([event & other, event, other], ["both", "event", "other"], default="none")
    names = np.where(few, "", names)
    y = patients["y_true"].to_numpy(dtype=float)
    told = [
        ""
        if enough and not strange
        else _OTHER_COHORTS
        if enough
        else _NOBODY
        if not n
        else f"too few: {n1} calibration persons with and {n0} without the event; {need} of each are needed"
        for enough, strange, n, n1, n0 in zip(
            ~few,
            patients["strange"],
            patients["n_calibration"],
            patients["n_event"],
            patients["n_other"],
            strict=True,
        )
    ]
    return patients.drop(columns=["y_true", "n_event", "n_other", "strange"]).assign(
        coverage=float(coverage),
        p_value_event=patients["p_value_event"].where(~few),
        p_value_other=patients["p_value_other"].where(~few),
        prediction_set=names,
        covered=~few & (((y == 1) & event) | ((y == 0) & other)),
        note=told,
    )


def _graded(found: pd.DataFrame) -> set[str]:
    """Models with more than two probabilities in some fold."""
    values = found.groupby(["model", "repeat", "fold"])["p_response"].nunique().groupby("model").max()
    return {str(m) for m in values.index[values > 2]}


def _folds(found: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """(held-out predictions of a model in a repeat, those of one fold among them), in fixed order."""
    return [
        (part, own)
        for _, part in found.groupby(["model", "scheme", "endpoint", "repeat"], sort=True)
        for _, own in part.groupby("fold", sort=True)
    ]


def _fold(run: ExplainInputs, part: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """p-values of the patients of one fold."""
    first = own.iloc[0]
    trained = run.training(int(first["repeat"]), str(first["fold"]))["patient_id"]
    # training leaves linked persons out already; said again, since nothing else here would show a slip
    inside = part["patient_id"].isin(set(trained)) & ~part["person_id"].isin(set(own["person_id"]))
    known = part[inside]
    event, other, n_event, n_other = conformal_p_values(
        own["p_response"].to_numpy(dtype=float),
        known["p_response"].to_numpy(dtype=float),
        known["y_true"].to_numpy(dtype=int),
        known["person_id"].to_numpy(dtype=str),
    )
    return own[["model", "scheme", "endpoint", "cohort_id", "patient_id", "y_true"]].assign(
        p_value_event=event,
        p_value_other=other,
        n_event=n_event,
        n_other=n_other,
        n_calibration=len(known),
        strange=~own["cohort_id"].isin(set(known["cohort_id"])),
    )
