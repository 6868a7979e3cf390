"""Validation designs by time and by named cohorts, and the one that chooses by what the data allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from immunocast.errors import ConfigError
from immunocast.validation.splits import LeaveOneCohortOut, RepeatedStratifiedKFold, Scheme, Split, disjoint


class TrainTest:
    """Train on some cohorts, test on others; the final model is the one that was tested.

    Parameters
    ----------
    train : cohort ids; None for all that are not tested.
    test : cohort ids.
    """

    name = "train_test"

    def __init__(self, train: Sequence[str] | None, test: Sequence[str]):
        for key, names in (("train", train), ("test", test)):
            if isinstance(names, str):
                raise ConfigError(f"validation.{key} is {names!r}; write a list: [{names}].")
        self.train = None if train is None else list(train)
        self.test = list(test)
        both = set(self.train or ()) & set(self.test)
        if both:
            raise ConfigError(f"validation: {', '.join(sorted(both))} is in both train and test.")
        if self.train == [] or not self.test:
            raise ConfigError("validation: name at least one cohort in train and one in test.")

    def _rows(self, cohort: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
        known = set(cohort["cohort_id"])
        for name in (*(self.train or ()), *self.test):
            if name not in known:
                raise ConfigError(f"validation names cohort {name!r}; the data hold: {', '.join(sorted(known))}.")
        ids = cohort["cohort_id"].to_numpy()
        tested = np.isin(ids, self.test)
        candidates = ~tested if self.train is None else np.isin(ids, self.train)
        if not candidates.any():
            raise ConfigError(
                f"validation: all cohorts are tested ({', '.join(self.test)}), and none is left to train."
            )
        test = np.flatnonzero(tested)
        train, lost = disjoint(cohort, np.flatnonzero(candidates), test)
        return train, test, lost

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """One fold."""
        train, test, lost = self._rows(cohort)
        yield Split(0, "external", train, test, lost)

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """The training cohorts only: the model that was tested is the model that is kept."""
        return self._rows(cohort)[0]


class External(TrainTest):
    """Named cohorts are held out; all others train.

    Parameters
    ----------
    test : cohort ids that are held out.
    """

    name = "external"

    def __init__(self, test: Sequence[str]):
        super().__init__(None, test)


class Temporal:
    """Train on patients who began treatment before a year, test on those from it on.

    Patients of unknown year are neither trained on nor tested. The final model is the one that was tested.

    Parameters
    ----------
    test_from : first year of the test patients.
    column : integer column with the year.
    """

    name = "temporal"

    def __init__(self, test_from: int, column: str = "treatment_start_year"):
        if isinstance(test_from, bool) or not isinstance(test_from, int):
            raise ConfigError(f"validation.test_from is {test_from!r}; it must be a year, e.g. 2018.")
        self.test_from = test_from
        self.column = column

    def _years(self, cohort: pd.DataFrame) -> np.ndarray:
        if self.column not in cohort or cohort[self.column].isna().all():
            raise ConfigError(
                f"validation=temporal needs the column {self.column}, which is known for no labelled patient. Map it, "
                "or use another design."
            )
        try:
            return cohort[self.column].to_numpy(dtype="float64", na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"validation.column: {self.column} holds no years.") from error

    def _rows(self, cohort: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
        years = self._years(cohort)
        test, train = np.flatnonzero(years >= self.test_from), np.flatnonzero(years < self.test_from)
        if not len(test) or not len(train):
            raise ConfigError(
                f"validation.test_from is {self.test_from}; the labelled patients began treatment from "
                f"{np.nanmin(years):.0f} to {np.nanmax(years):.0f}. Choose a year after the first of them, up to the "
                "last."
            )
        kept, lost = disjoint(cohort, train, test)
        return kept, test, lost

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """One fold."""
        train, test, lost = self._rows(cohort)
        yield Split(0, f"from_{self.test_from}", train, test, lost)

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """The earlier patients only: the model that was tested is the model that is kept."""
        return self._rows(cohort)[0]

    def notes(self, cohort: pd.DataFrame, y: np.ndarray) -> list[str]:
        """How many patients are of unknown year."""
        unknown = int(np.isnan(self._years(cohort)).sum())
        return [f"left out, since their {self.column} is unknown: n = {unknown}"] if unknown else []


class Auto:
    """Leave-one-cohort-out where two cohorts or more are large enough for it, else repeated K-fold.

    Parameters
    ----------
    min_events : a cohort with as many events and as many non-events is large enough.
    n_splits, n_repeats, seed : of the K-fold, see `RepeatedStratifiedKFold`.
    """

    name = "auto"

    def __init__(self, min_events: int = 10, n_splits: int = 5, n_repeats: int = 5, seed: int = 0):
        self.min_events = min_events
        self.kfold = RepeatedStratifiedKFold(n_splits, n_repeats, seed)

    def large(self, cohort: pd.DataFrame, y: np.ndarray) -> list[str]:
        """Names of the cohorts that are large enough."""
        counts = pd.Series(np.asarray(y)).groupby(cohort["cohort_id"].to_numpy()).agg(["size", "sum"])
        enough = np.minimum(counts["sum"], counts["size"] - counts["sum"]) >= self.min_events
        return sorted(str(c) for c in counts.index[enough])

    def choose(self, cohort: pd.DataFrame, y: np.ndarray) -> Scheme:
        """The scheme that is used; its name is the one in the tables."""
        return LeaveOneCohortOut() if len(self.large(cohort, y)) >= 2 else self.kfold

    def split(self, cohort: pd.DataFrame, y: np.ndarray) -> Iterator[Split]:
        """The folds of the scheme that is chosen."""
        return self.choose(cohort, y).split(cohort, y)

    def final_train(self, cohort: pd.DataFrame) -> np.ndarray:
        """All rows, as in both schemes."""
        return np.arange(len(cohort))

    def notes(self, cohort: pd.DataFrame, y: np.ndarray) -> list[str]:
        """What was chosen, and why."""
        large = self.large(cohort, y)
        which = f": {', '.join(large)}" if large else ""
        return [
            f"validation=auto took {self.choose(cohort, y).name}: {len(large)} of {cohort['cohort_id'].nunique()} "
            f"cohorts have {self.min_events} events and as many non-events{which}"
        ]
