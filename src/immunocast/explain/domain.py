"""Is a patient like those who trained a model? Warnings where not: values, levels and combinations it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.explain.neighbours import Neighbours

#: A level that fewer training patients have is rare: the model has no coefficient of its own for it, or a poor one.
RARE = 10


def domain_warnings(
    patient: pd.DataFrame,
    training: pd.DataFrame,
    inputs: Sequence[str],
    used: Sequence[str],
    neighbours: Neighbours,
) -> tuple[str, ...]:
    """Sentences on where a patient leaves what the model was trained on.

    Parameters
    ----------
    patient : a row of a cohort table.
    training : rows of the cohort table that fitted the model.
    inputs : features that the model reads.
    used : those of them that it uses (`models.assays.inputs_used`).
    neighbours : of the patient among the training patients.
    """
    said = []
    for name in inputs:
        value = patient[name].iloc[0] if name in patient else None
        if value is None or pd.isna(value):
            continue
        if name not in used:
            said.append(f"{VOCABULARY[name].label} was measured, and no training patient told the model what it means")
        elif VOCABULARY[name].kind in ("category", "binary"):
            said += _level(name, value, training)
        else:
            said += _number(name, float(value), training)
    if neighbours.far:
        said.append(
            f"unlike the training patients: mean distance to the {len(neighbours.table)} nearest "
            f"{neighbours.mean_distance:.2f}, above the 99th percentile of training patients "
            f"({neighbours.usual_distance:.2f})"
        )
    return tuple(said)


def value_words(feature: str, value: object) -> str:
    """A value with its unit, as a sentence says it.

    >>> value_words("albumin_g_dl", 4.2), value_words("egfr_mut", 1), value_words("nlr", None)
    ('4.2 g/dL', 'yes', 'not measured')
    """
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return "not measured"
    column = VOCABULARY[feature]
    if column.kind == "binary":
        return "yes" if float(value) else "no"  # type: ignore[arg-type]
    if column.kind in ("category", "text"):
        return str(value)
    x = float(value)  # type: ignore[arg-type]
    shown = f"{x:.0f}" if abs(x) >= 100 or x == round(x) else f"{x:.3g}"
    return f"{shown} {column.unit}" if column.unit else shown


def _level(name: str, value: object, training: pd.DataFrame) -> list[str]:
    known = training[name].dropna() if name in training else pd.Series(dtype=object)
    n = int((known == value).sum())
    if n >= RARE:
        return []
    whom = "no training patient has it" if not n else f"{n} training patient{'' if n == 1 else 's'} had it"
    return [f"{VOCABULARY[name].label} is {value_words(name, value)}: {whom}"]


def _number(name: str, value: float, training: pd.DataFrame) -> list[str]:
    known = training[name].dropna().to_numpy(dtype=float) if name in training else np.zeros(0)
    if not len(known) or known.min() <= value <= known.max():
        return []
    side = "below" if value < known.min() else "above"
    return [
        f"{VOCABULARY[name].label} {value_words(name, value)} lies {side} those of all {len(known)} training patients "
        f"who have one ({known.min():g} to {known.max():g}): the model extrapolates"
    ]
