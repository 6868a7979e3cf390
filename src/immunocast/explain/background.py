"""The patients whom interventional values compare with: some of those who trained the fold."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.errors import ConfigError
from immunocast.features.preprocess import model_frame

TREES = ("path_dependent", "interventional")


@dataclass(frozen=True)
class Background:
    """Training patients of each fold, the same for all models as far as their required inputs allow.

    Attributes
    ----------
    training : (repeat, fold) -> rows of the cohort table that fitted the fold's models.
    n : patients to compare with; all where the fold has fewer.
    seed : of the draw.
    """

    training: Callable[[int, str], pd.DataFrame]
    n: int
    seed: int

    def frame(self, model: Any, repeat: int, fold: str) -> pd.DataFrame:
        """(up to n, columns) what a fitted model takes of them: one row a person, each with all required inputs.

        Raises
        ------
        ConfigError
            Where no training patient has them.
        """
        rows = self.training(repeat, fold).sort_values("patient_id").drop_duplicates("person_id")
        # a seed of the fold's own: neither the order of folds, nor the model or the engine matters
        rng = np.random.default_rng([self.seed, repeat, zlib.crc32(f"background\0{fold}".encode())])
        spec = model.spec
        frame = model_frame(rows.iloc[rng.permutation(len(rows))], spec.inputs, by_cohort=spec.by_cohort)
        known = frame[frame[list(spec.required)].notna().all(axis=1)].head(self.n)
        if known.empty:
            raise ConfigError(
                f"explain.trees=interventional: no training patient of fold {fold} has all inputs that "
                f"{spec.label or type(model).__name__} requires. Set explain.trees=path_dependent."
            )
        return known


def background_of(
    training: Callable[[int, str], pd.DataFrame], settings: Mapping[str, Any], seed: int
) -> Background | None:
    """Background by the section `explain` of the configuration; None for path-dependent values.

    Raises
    ------
    ConfigError
        For another word than those two, or a background of fewer than one patient.
    """
    how, n = settings.get("trees", "path_dependent"), settings.get("n_background", 200)
    if how not in TREES:
        raise ConfigError(f"explain.trees is {how!r}; known: {', '.join(TREES)}.")
    if how == "path_dependent":
        return None
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"explain.n_background is {n!r}; it must be a whole number of 1 or more, e.g. 200.")
    return Background(training, n, seed)
