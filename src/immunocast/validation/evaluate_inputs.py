"""From the table of predictions to aligned arrays: who was predicted by what, and which predictions are fair."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from immunocast.errors import ConfigError, DataError, Problem
from immunocast.metrics import METRICS, Metric, person_weights
from immunocast.store.schemas import TABLES
from immunocast.validation.recalibrate import INTERCEPT_SITE

FAIR, ABSTAINED, IN_TRAINING, ABSENT = 0, 1, 2, 3

#: Names that the metrics table uses for several cohorts at once.
RESERVED_COHORTS = ("combined", "pooled")


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation, checked.

    Attributes
    ----------
    thresholds : probability thresholds of net benefit.
    min_events : fewest events, and fewest non-events, for which an estimate is shown.
    """

    thresholds: tuple[float, ...]
    min_events: int

    def __post_init__(self) -> None:
        for threshold in self.thresholds:
            if not 0 < threshold < 1:
                raise ConfigError(
                    f"validation.thresholds holds {threshold!r}: a probability threshold lies between 0 and 1, "
                    "both excluded."
                )
        if self.min_events < 2:
            raise ConfigError(f"min_events is {self.min_events}: an interval needs at least 2 events.")

    def specs(self) -> list[tuple[Metric, float | None]]:
        """Every metric of the catalogue, once a threshold where it needs one."""
        return [
            (metric, threshold)
            for metric in METRICS.values()
            for threshold in (self.thresholds if metric.at_threshold else (None,))
        ]


@dataclass(frozen=True)
class Scores:
    """Predictions of one model under one recalibration, on the panel's patients.

    Attributes
    ----------
    model, recalibration : as in the predictions.
    p : (r, n) predictions of r repeats, NaN where the status is not FAIR.
    fold : (r, n) code of the fold whose fit made the prediction; probabilities of different fits are ranked
        against each other only where there is no other way.
    fold_names, repeats : names behind the codes of `fold`, and the repeats behind its rows.
    status : (n,) FAIR, ABSTAINED, IN_TRAINING or ABSENT. A patient is FAIR where every repeat of the model holds a
        prediction by a fit that has not seen the person.
    assays : (n,) assays that the prediction rested on (`models.assays`), "" for none.
    before : (r, n) predictions before an update inside the tested cohort, None where there was none.
    """

    model: str
    recalibration: str
    p: np.ndarray
    fold: np.ndarray
    status: np.ndarray
    assays: np.ndarray
    fold_names: tuple[str, ...]
    repeats: tuple[int, ...]
    before: np.ndarray | None = None

    @property
    def ranked(self) -> np.ndarray:
        """(r, n) values by which patients are ranked.

        An intercept that is updated from other patients of the cohort differs from fold to fold, and is lower the more
        events a patient's own fold holds. Ranked by it, patients without any signal would have an AUROC below one half.
        To move the intercept changes no rank, so the ranks are those before it.
        """
        return self.p if self.before is None else self.before

    @property
    def label(self) -> str:
        """Name in tables that have no column for the recalibration: "xgboost", "xgboost+platt"."""
        return self.model if self.recalibration == "none" else f"{self.model}+{self.recalibration}"

    @property
    def fair(self) -> np.ndarray:
        """(n,) True where the prediction may enter a performance number."""
        return self.status == FAIR


@dataclass(frozen=True)
class Panel:
    """All patients of a validation scheme, with the resamples that every model and metric shares.

    Attributes
    ----------
    scheme, endpoint : as in the predictions.
    cohorts : names, sorted.
    patient : (n,) ids, sorted.
    cohort : (n,) index into `cohorts`.
    y : (n,) outcomes.
    person : (n,) person ids.
    counts : (n, B) how often each patient is drawn (`metrics.person_weights`), stratified by cohort.
    scores : one a model and recalibration, sorted by label.
    """

    scheme: str
    endpoint: str
    cohorts: tuple[str, ...]
    patient: np.ndarray
    cohort: np.ndarray
    y: np.ndarray
    person: np.ndarray
    counts: np.ndarray
    scores: tuple[Scores, ...]

    def enough(self, rows: np.ndarray, least: int) -> bool:
        """Whether the rows hold at least `least` events and as many non-events."""
        events = int(self.y[rows].sum())
        return min(events, int(rows.sum()) - events) >= least


def join_notes(*notes: str) -> str:
    """Remarks that are not empty, joined for a note column."""
    return "; ".join(note for note in notes if note)


def panels(predictions: pd.DataFrame, *, n_resamples: int, seed: int) -> list[Panel]:
    """One panel a validation scheme, sorted by its name.

    Raises
    ------
    DataError
        Where the table lacks columns or rows, or contradicts itself.
    """
    frame = _checked(predictions)
    return [_panel(part, str(scheme), n_resamples, seed) for scheme, part in frame.groupby("scheme", sort=True)]


def _panel(frame: pd.DataFrame, scheme: str, n_resamples: int, seed: int) -> Panel:
    patients = frame.drop_duplicates("patient_id").sort_values("patient_id", ignore_index=True)
    cohort, names = pd.factorize(patients["cohort_id"], sort=True)
    person = patients["person_id"].to_numpy(dtype=str)
    index = pd.Index(patients["patient_id"])
    scores = [
        _scores(part, str(model), str(recalibration), index)
        for (model, recalibration), part in frame.groupby(["model", "recalibration"], sort=True)
    ]
    own = {s.model: s for s in scores if s.recalibration == "none"}
    scores = [_ranked_before(s, own.get(s.model)) if s.recalibration == INTERCEPT_SITE else s for s in scores]
    return Panel(
        scheme=scheme,
        endpoint=str(frame["endpoint"].iloc[0]),
        cohorts=tuple(str(name) for name in names),
        patient=patients["patient_id"].to_numpy(dtype=str),
        cohort=np.asarray(cohort),
        y=patients["y_true"].to_numpy(dtype=np.int64),
        person=person,
        counts=person_weights(person, patients["cohort_id"].to_numpy(dtype=str), n_resamples=n_resamples, seed=seed),
        scores=tuple(sorted(scores, key=lambda s: s.label)),
    )


def _scores(part: pd.DataFrame, model: str, recalibration: str, index: pd.Index) -> Scores:
    row = index.get_indexer(pd.Index(part["patient_id"]))
    repeat, repeats = pd.factorize(part["repeat"], sort=True)
    p = np.full((len(repeats), len(index)), np.nan)
    p[repeat, row] = part["p_response"].to_numpy(dtype=float)
    fold = np.full(p.shape, -1)
    fold[repeat, row], names = pd.factorize(part["fold"], sort=True)
    assays = np.full(len(index), "", dtype=object)
    assays[row] = part["assays"].to_numpy(dtype=str)
    n_rows = np.bincount(row, minlength=len(index))
    abstained = np.bincount(row, weights=part["abstained"].to_numpy(dtype=float), minlength=len(index)) > 0
    trained = np.bincount(row, weights=part["in_training"].to_numpy(dtype=float), minlength=len(index)) > 0
    status = np.where(n_rows == len(repeats), FAIR, ABSENT)
    status[abstained] = ABSTAINED
    status[trained] = IN_TRAINING
    p[:, status != FAIR] = np.nan
    fold_names, numbers = tuple(str(name) for name in names), tuple(int(r) for r in repeats)
    return Scores(model, recalibration, p, fold, status, assays, fold_names, numbers)


def _ranked_before(updated: Scores, own: Scores | None) -> Scores:
    """Scores after an update inside the cohort, ranked by the model's own output where it is there for all of them."""
    if own is None or own.repeats != updated.repeats or (updated.fair & ~own.fair).any():
        return updated
    return replace(updated, before=np.where(updated.fair, own.p, np.nan))


def _checked(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions with plain dtypes, or every problem found in them."""
    needed = list(TABLES["predictions"].columns)
    missing = [c for c in needed if c not in predictions]
    if missing:
        raise DataError(
            Problem(
                f"the predictions lack the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
                "Give the table that training writes.",
                file="predictions",
            )
        )
    frame = predictions[needed].reset_index(drop=True)
    if frame.empty:
        raise DataError(Problem("there are no predictions", "Train at least one model.", file="predictions"))
    problems: list[Problem] = []

    def report(bad: pd.Series, column: str, message: str, mend: str) -> None:
        rows = np.flatnonzero(bad.to_numpy(dtype=bool))
        if len(rows):
            numbers = tuple(int(r) + 2 for r in rows)
            value = str(frame[column].iloc[rows[0]])
            problems.append(Problem(message, mend, "predictions", column=column, rows=numbers, value=value))

    for column in needed:
        if column != "p_response":
            report(frame[column].isna(), column, "a value is missing", "Every row needs one.")
    p = pd.to_numeric(frame["p_response"], errors="coerce").astype("float64")
    report(p.isna() & frame["p_response"].notna(), "p_response", "the value is not a number", "Give 0 to 1.")
    report(
        ~frame["y_true"].isin([0, 1]),
        "y_true",
        "the outcome is neither 0 nor 1",
        "Leave out patients without one.",
    )
    for column in ("abstained", "in_training"):
        report(~frame[column].isin([0, 1]), column, "the value is neither true nor false", "Give a flag.")
    if problems:
        raise DataError(problems)
    frame = frame.assign(p_response=p)
    report((p < 0) | (p > 1), "p_response", "the value is not a probability", "Give values from 0 to 1.")
    report(
        p.isna() & ~frame["abstained"].astype(bool),
        "p_response",
        "there is no prediction, yet the model did not abstain",
        "Set abstained where a required marker is missing.",
    )
    report(
        frame.duplicated(["patient_id", "model", "recalibration", "scheme", "repeat"]),
        "patient_id",
        "the patient is predicted twice in one repeat",
        "Each patient is held out once a repeat.",
    )
    for column in ("cohort_id", "person_id", "y_true"):
        first = frame.groupby("patient_id")[column].transform("first")
        report(
            frame[column] != first,
            column,
            f"the patient has another {column} in an earlier row",
            "One patient has one cohort, one person and one outcome.",
        )
    report(
        frame["cohort_id"].isin(RESERVED_COHORTS),
        "cohort_id",
        "the name is reserved for estimates over several cohorts",
        "Rename the cohort.",
    )
    if frame["endpoint"].nunique() > 1:
        names = ", ".join(sorted(frame["endpoint"].unique()))
        problems.append(
            Problem(
                f"there are several endpoints ({names})",
                "Evaluate one at a time.",
                "predictions",
                column="endpoint",
            )
        )
    if problems:
        raise DataError(problems)
    return frame
