"""Who would be treated: the decision rules of a model, each as one yes or no a patient and repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunocast.errors import DataError, Problem
from immunocast.features.preprocess import model_frame
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.spec import ResponseModel
from immunocast.validation.evaluate_inputs import FAIR, Panel, Scores

FIXED, CUTOFF = "fixed", "cutoff"

_NEEDED = ("model", "recalibration", "scheme", "repeat", "fold", "rule", "threshold")


@dataclass(frozen=True)
class DecisionRule:
    """A rule that treats some patients.

    Attributes
    ----------
    name : "fixed", "cutoff", or the rule that chose thresholds on training folds.
    threshold : probability from which it treats, the median over folds; None for a marker's own cut-off.
    treated : (r, n) 1 where it treats.
    odds : (r, n) what a patient treated in vain counts in the net benefit; None where there is no threshold.
    usable : (n,) patients with a fair prediction for whom the rule has an answer in every repeat.
    note : range of the thresholds, folds without one.
    """

    name: str
    threshold: float | None
    treated: np.ndarray
    odds: np.ndarray | None
    usable: np.ndarray
    note: str = ""


def rules_of(
    panel: Panel,
    scores: Scores,
    fixed: Sequence[float],
    chosen: pd.DataFrame | None,
    positives: Mapping[str, Mapping[str, bool]],
) -> list[DecisionRule]:
    """Every rule of a model under one recalibration.

    Parameters
    ----------
    fixed : thresholds that were configured.
    chosen : the table `thresholds`, or None.
    positives : model -> patient_id -> positive by the marker's own cut-off; see `marker_positives`.
    """
    rules = [_at(scores, FIXED, np.full(scores.p.shape, t)) for t in fixed]
    if chosen is not None:
        keep = (chosen["model"] == scores.model) & (chosen["recalibration"] == scores.recalibration)
        for name, part in chosen[keep & (chosen["scheme"] == panel.scheme)].groupby("rule", sort=True):
            rules.append(_chosen(scores, str(name), part))
    if scores.model in positives and scores.recalibration == "none":
        known = positives[scores.model]
        side = np.array([known.get(patient, np.nan) for patient in panel.patient], dtype=float)
        usable = (scores.status == FAIR) & ~np.isnan(side)
        rules.append(DecisionRule(CUTOFF, None, np.nan_to_num(side)[None, :], None, usable))
    return rules


def treat_all(panel: Panel, threshold: float) -> DecisionRule:
    """Treat everybody for whom some model has a fair prediction, to stand beside the models at a fixed threshold."""
    fair = np.any([scores.fair for scores in panel.scores], axis=0)
    shape = (1, len(panel.y))
    return DecisionRule(FIXED, threshold, np.ones(shape), np.full(shape, threshold / (1 - threshold)), fair)


def marker_positives(models: Mapping[str, ResponseModel], cohort: pd.DataFrame) -> dict[str, dict[str, bool]]:
    """Patients on the side of a marker's cut-off that is predicted to have the event; those without it are left out.

    Parameters
    ----------
    models : name -> model; those that are no `MarkerCutoff` are passed over.
    cohort : the cohort table.
    """
    found = {}
    for name, model in models.items():
        if isinstance(model, MarkerCutoff):
            frame = model_frame(cohort, model.spec.inputs)
            known = frame[model.marker].notna().to_numpy()
            ids = cohort["patient_id"].to_numpy(dtype=str)[known]
            found[name] = dict(zip(ids, model.predict(frame[known]) == 1, strict=True))
    return found


def check_thresholds(chosen: pd.DataFrame) -> None:
    """Refuse a table of thresholds that lacks a column, or holds a threshold that is no probability.

    Raises
    ------
    DataError
        Naming it.
    """
    missing = [c for c in _NEEDED if c not in chosen]
    if missing:
        raise DataError(Problem(f"the thresholds lack {', '.join(missing)}", "Train again.", file="thresholds"))
    bad = chosen["threshold"].notna() & ~chosen["threshold"].between(0, 1)
    if bad.any():
        value = str(chosen.loc[bad, "threshold"].iloc[0])
        raise DataError(
            Problem("a threshold is no probability", "Train again.", "thresholds", column="threshold", value=value)
        )


def _chosen(scores: Scores, name: str, part: pd.DataFrame) -> DecisionRule:
    by_fold = {(int(r), str(f)): t for r, f, t in zip(part["repeat"], part["fold"], part["threshold"], strict=True)}
    thresholds = np.full(scores.p.shape, np.nan)
    for repeat, codes in enumerate(scores.fold):
        for code in np.unique(codes[codes >= 0]):
            thresholds[repeat, codes == code] = by_fold.get((repeat, scores.fold_names[code]), np.nan)
    return _at(scores, name, thresholds)


def _at(scores: Scores, name: str, thresholds: np.ndarray) -> DecisionRule:
    """The rule that treats from a threshold on; thresholds (r, n), NaN where a fold has none."""
    fair = scores.status == FAIR
    usable = fair & ~np.isnan(thresholds).any(axis=0)
    used = thresholds[:, usable]
    without = int(np.sum(fair & ~usable))
    notes = []
    if used.size and used.min() < used.max():
        notes.append(f"threshold between {used.min():.3f} and {used.max():.3f} over folds")
    if without:
        notes.append(f"{without} patients left out: their fold has no threshold")
    # thresholds of exactly 0 and 1 leave odds finite enough to be added up
    with np.errstate(invalid="ignore"):
        kept = np.clip(thresholds, 1e-6, 1 - 1e-6)
        treated = np.nan_to_num(scores.p, nan=-1.0) >= np.nan_to_num(thresholds, nan=2.0)
    middle = float(np.median(_one_a_fold(scores, thresholds, usable))) if used.size else None
    return DecisionRule(name, middle, treated.astype(float), np.nan_to_num(kept / (1 - kept)), usable, "; ".join(notes))


def _one_a_fold(scores: Scores, thresholds: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """One threshold a repeat and fold, so that large folds do not count more in the median."""
    found = [
        thresholds[repeat, np.flatnonzero(usable & (codes == code))[0]]
        for repeat, codes in enumerate(scores.fold)
        for code in np.unique(codes[usable])
    ]
    return np.array(found)
