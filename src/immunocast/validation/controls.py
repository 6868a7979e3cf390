"""Controls of a run: what the whole procedure finds where there is nothing to find, and simple references.

docs/controls.md says what each can show and what it cannot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import xlogy
from scipy.stats import t as student

from immunocast.engines import Engine, SerialEngine
from immunocast.validation.controls_inputs import Controlled
from immunocast.validation.evaluate_estimates import LEAST_FOR_RANKS, TOO_SMALL, cohort_masks, combined_influence
from immunocast.validation.evaluate_inputs import Panel, Scores

#: Chance of calling an honest procedure suspicious.
FALSE_ALARM = 1e-4
#: Where an exchange of labels leaves a larger share of them with whom they belong to, it says nothing.
MAX_KEPT = 0.1
#: Fewer events (or non-events) a parameter are told: a rule of thumb, and a crude one (Riley 2020, BMJ 368:m441).
EVENTS_PER_PARAMETER = 10
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Blank:
    """Columns of the table controls that all rows of a run share."""

    scheme: str
    endpoint: str

    def row(self, control: str, model: str, metric: str, **values: Any) -> dict[str, Any]:
        """A row; what is not given is null."""
        return {
            "control": control,
            "model": model,
            "scheme": self.scheme,
            "endpoint": self.endpoint,
            "cohort_id": "combined",
            "metric": metric,
            "n": 0,
            "n_events": 0,
            "n_repeats": 1,
            "estimate": np.nan,
            "low": np.nan,
            "high": np.nan,
            "observed": np.nan,
            "p": np.nan,
            "verdict": "none",
            "note": "",
            **values,
        }


def auroc_of(panel: Panel, scores: Scores) -> float:
    """The combined AUROC as evaluation defines it; NaN where no cohort has enough of both classes."""
    masks = [m for m in cohort_masks(panel, scores.fair) if panel.enough(m, LEAST_FOR_RANKS)]
    return combined_influence(panel, scores, masks).auroc if masks else float("nan")


def permutation_blocks(ids: pd.DataFrame) -> list[np.ndarray]:
    """Persons who may exchange their labels: those with as many rows in the same cohorts.

    Parameters
    ----------
    ids : (n,) frame with cohort_id and person_id.

    Returns
    -------
    Arrays (persons, rows of a person) of positions, in a fixed order.
    """
    cohorts, persons = ids["cohort_id"].to_numpy(dtype=str), ids["person_id"].to_numpy(dtype=str)
    rows: dict[str, list[int]] = {}
    for i in np.lexsort((np.arange(len(ids)), cohorts)):
        rows.setdefault(str(persons[i]), []).append(int(i))
    groups: dict[tuple[str, ...], list[list[int]]] = {}
    for person in sorted(rows):
        groups.setdefault(tuple(cohorts[rows[person]]), []).append(rows[person])
    return [np.array(groups[key]) for key in sorted(groups)]


def permuted(y: np.ndarray, blocks: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Labels exchanged between the persons of each block; all rows of a person move together."""
    out = y.copy()
    for block in blocks:
        out[block] = y[block[rng.permutation(len(block))]]
    return out


def permuted_label_rows(
    run: Controlled,
    *,
    n_permutations: int,
    seed: int,
    min_events: int,
    tuned: Collection[str] = (),
    engine: Engine | None = None,
) -> Rows:
    """The whole procedure on permuted labels: preprocessing, fits, predictions, AUROC; one row a model.

    A procedure that lets labels of test patients reach a fit finds them again, permuted or not: then the mean AUROC
    lies above one half. It is judged by a one-sided t-test at `FALSE_ALARM`; a mean below one half is no leak. Where
    persons are too few to exchange labels, there is no estimate. Models named in `tuned` were tuned in the run; on
    permuted labels they take their configured parameters.
    """
    blocks = permutation_blocks(run.ids)
    tasks = [(name, k) for name in run.models for k in range(n_permutations)]
    work = partial(_permuted_auroc, run=run, blocks=blocks, seed=seed)
    values = np.array((engine or SerialEngine()).map(work, tasks)).reshape(len(run.models), n_permutations)
    fixed = sum(block.size for block in blocks if len(block) == 1)
    # of the persons of a block one keeps the own label, on average
    unmoved = sum(block.shape[1] for block in blocks) / len(run.y)
    note = "labels permuted within cohorts, persons as a whole; folds, preprocessing and fits made anew"
    if fixed:
        note += f"; {fixed} patients have nobody to exchange with and keep theirs"
    blank, rows = Blank(run.scheme_name, run.endpoint), []
    for name, found in zip(run.models, values, strict=True):
        scores = run.scores(name)
        size = {"n": int(scores.fair.sum()), "n_events": int(run.panel.y[scores.fair].sum())}
        told = note + "; parameters as configured, not tuned" if name in tuned else note
        row = blank.row("permuted_labels", name, "auroc", **size, n_repeats=n_permutations, note=told)
        kept = found[~np.isnan(found)]
        if not run.panel.enough(scores.fair, min_events) or len(kept) < 2:
            rows.append(row | {"note": TOO_SMALL})
            continue
        if unmoved > MAX_KEPT:
            share = f"an exchange leaves {100 * unmoved:.0f} % of the patients their own labels"
            why = f"too few persons of a cohort with as many rows: {share}, and what a model then finds may be real"
            rows.append(row | {"note": why})
            continue
        observed = auroc_of(run.panel, scores)
        rows.append(
            row
            | {
                "n_repeats": len(kept),
                "estimate": float(kept.mean()),
                "low": float(np.quantile(kept, 0.025)),
                "high": float(np.quantile(kept, 0.975)),
                "observed": observed,
                "p": (int((kept >= observed).sum()) + 1) / (len(kept) + 1),
                "verdict": "suspicious" if above_half(kept) < FALSE_ALARM else "passed",
            }
        )
    return rows


def _permuted_auroc(task: tuple[str, int], run: Controlled, blocks: Sequence[np.ndarray], seed: int) -> float:
    name, k = task
    y = permuted(run.y, blocks, np.random.default_rng([seed, k]))
    return auroc_of(*run.draw(name, y))


def above_half(values: np.ndarray) -> float:
    """One-sided p of "the mean is .5", against a mean above."""
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    gap = float(values.mean()) - 0.5
    if error <= 1e-12:
        return 0.0 if gap > 1e-12 else 1.0
    return float(student.sf(gap / error, len(values) - 1))


def own_rate_rows(run: Controlled, *, min_events: int) -> Rows:
    """Predicting each cohort its own event rate, and each fold the rate of its training patients.

    `observed` is the first controlled model's value on the same patients, so that it can be seen what the model adds
    to knowing how often the event occurs. The own rate is known only afterwards: it is a ceiling for models that say
    the same for everybody in a cohort.
    """
    name = next(iter(run.models))
    scores, panel = run.scores(name), run.panel
    training = np.full(len(run.y), np.nan)
    for split in run.first_repeat(run.y):
        training[split.test] = run.y[split.train].mean()
    training = training[run.row]
    rows: Rows = []
    masks = cohort_masks(panel, scores.fair & ~np.isnan(training))
    own = np.full(len(panel.y), np.nan)
    for mask in masks:
        own[mask] = panel.y[mask].mean() if mask.any() else np.nan
    blank = Blank(run.scheme_name, run.endpoint)
    everybody = np.any(masks, axis=0)
    for cohort_id, mask in (*zip(panel.cohorts, masks, strict=True), ("combined", everybody)):
        y = panel.y[mask]
        size = {"cohort_id": cohort_id, "n": int(mask.sum()), "n_events": int(y.sum())}
        for label, p, what in (
            ("cohort_orr", own, "each patient the event rate of the own cohort, known afterwards"),
            ("training_rate", training, "each patient the event rate of the fold's training patients"),
        ):
            for metric, of in (("brier", _brier), ("log_loss", _log_loss)):
                row = blank.row("cohort_orr", label, metric, **size, note=f"{what}; observed: {name}")
                if panel.enough(mask, min_events):
                    model = float(np.mean([of(y, q) for q in scores.p[:, mask]]))
                    rows.append(row | {"estimate": of(y, p[mask]), "observed": model})
                else:
                    rows.append(row | {"note": TOO_SMALL})
        if panel.enough(mask, min_events):
            note = "the same prediction for a whole cohort ranks nobody"
            rows.append(blank.row("cohort_orr", "cohort_orr", "auroc", **size, estimate=0.5, note=note))
    return rows


def _brier(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.mean((y - p) ** 2))


def _log_loss(y: np.ndarray, p: np.ndarray) -> float:
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.mean(xlogy(y, p) + xlogy(1 - y, 1 - p)))


def events_per_parameter_rows(run: Controlled, n_columns: Mapping[str, int | None]) -> Rows:
    """Events (or non-events, if fewer) a fitted coefficient; null for trees, which have no fixed number of them.

    Parameters
    ----------
    run : the run under control.
    n_columns : learner -> coefficients of its final fit besides the intercept, None for trees.
    """
    y = run.y[run.scheme.final_train(run.table)]
    events = int(y.sum())
    fewer = min(events, len(y) - events)
    blank, rows = Blank(run.scheme_name, run.endpoint), []
    for name, columns in n_columns.items():
        row = blank.row("events_per_parameter", name, "events_per_parameter", n=len(y), n_events=events)
        if not columns:
            note = "trees, and blends, have no fixed number of parameters; the rule of thumb says nothing about them"
            rows.append(row | {"note": note})
            continue
        value = fewer / columns
        kind = "events" if events == fewer else "non-events"
        note = f"{fewer} {kind} for {columns} coefficients"
        if value < EVENTS_PER_PARAMETER:
            note += f"; under {EVENTS_PER_PARAMETER}: without a penalty such a fit would be too bold"
        rows.append(row | {"estimate": value, "note": note})
    return rows
