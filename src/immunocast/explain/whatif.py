"""What a model says of a patient if one value were another, all else held.

A curve of the model, not an effect of treatment: features that go together do not stay while one of them changes. It is
drawn only where the model has seen values: between the 1st and the 99th percentile of the training patients who have
one, for categories the levels that enough of them have.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import FEATURES, MEASURED_SUFFIX, VOCABULARY, label
from immunocast.errors import ConfigError
from immunocast.explain.groups import rank_correlation
from immunocast.features.preprocess import model_frame

#: Fewest training patients with a value for a range, and with a level for it to be one.
MIN_MEASURED, MIN_LEVEL = 20, 10
#: Points of a grid; most whole numbers that are each a point.
N_GRID = 21
#: |Spearman correlation| with a feature that is held, from which on it is named.
GOES_WITH = 0.5
_PERCENTILES = (1, 99)
_YES = {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0}


@dataclass(frozen=True)
class Asked:
    """What is asked: a feature, and a value (as typed) or None for a grid."""

    feature: str
    value: str | None


@dataclass(frozen=True)
class Reach:
    """Where a feature was seen in training.

    Attributes
    ----------
    low, high : 1st and 99th percentile of the training patients who have a value; NaN for categories.
    levels : levels of a category, or 0.0 and 1.0, that at least `MIN_LEVEL` training patients have.
    n : training patients who have a value.
    """

    feature: str
    low: float
    high: float
    levels: tuple[Any, ...]
    n: int


@dataclass(frozen=True)
class WhatIf:
    """The probability of a patient along one feature.

    Attributes
    ----------
    feature : which one changes.
    values, p : points and the model's probability there (mean over the models that predicted the patient).
    own, p_own : the patient's value, None where it was not measured, and probability.
    reach : where the feature was seen in training.
    held_with : features that are held and go together with it (|Spearman correlation| in training of 0.5 or more).
    """

    feature: str
    values: tuple[Any, ...]
    p: tuple[float, ...]
    own: Any
    p_own: float
    reach: Reach
    held_with: tuple[str, ...]


def parse_what_if(text: str) -> Asked:
    """Read `nlr` (a grid) or `nlr=3.5` (a value); the case of names does not matter.

    Raises
    ------
    ConfigError
        For what is no feature of the vocabulary, and for a value that its kind cannot have.
    """
    name, sign, value = text.partition("=")
    name, value = name.strip(), value.strip()
    known = {f.casefold(): f for f in FEATURES}
    feature = known.get(name.casefold())
    if feature is None:
        near = difflib.get_close_matches(name.casefold(), list(known), n=3)
        hint = f" Did you mean {' or '.join(known[n] for n in near)}?" if near else ""
        raise ConfigError(f"--what-if {text!r}: {name!r} is no feature of the vocabulary.{hint} Write nlr or nlr=3.5.")
    if not sign:
        return Asked(feature, None)
    read_value(feature, value)
    return Asked(feature, value)


def read_value(feature: str, text: str) -> Any:
    """A typed value of a feature: a float, or a category's level.

    Raises
    ------
    ConfigError
        Naming the value and what it may be.
    """
    column = VOCABULARY[feature]
    if column.kind == "category":
        levels = {c.casefold(): c for c in column.categories}
        if text.casefold() not in levels:
            raise ConfigError(f"{feature}={text!r} is no level of {label(feature)}: {', '.join(column.categories)}.")
        return levels[text.casefold()]
    if column.kind == "binary":
        if text.casefold() not in _YES:
            raise ConfigError(f"{feature}={text!r}: {label(feature)} is yes or no.")
        return _YES[text.casefold()]
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{feature}={text!r} is no number; write e.g. {feature}=3.5.") from None
    if not math.isfinite(value):
        raise ConfigError(f"{feature}={text!r} is no finite number.")
    if column.kind == "integer" and value != round(value):
        raise ConfigError(f"{feature}={text!r}: {label(feature)} is a whole number.")
    return value


def observed_range(training: pd.DataFrame, feature: str) -> Reach:
    """Where a feature was seen in training; a value that its source imputed was not.

    Raises
    ------
    ConfigError
        Where fewer than `MIN_MEASURED` training patients have it.
    """
    x = training[feature] if feature in training else pd.Series(dtype=float)
    flag = feature + MEASURED_SUFFIX
    if flag in training:
        x = x.where(training[flag].fillna(1).astype(int) == 1)
    x = x.dropna()
    if len(x) < MIN_MEASURED:
        raise ConfigError(
            f"{feature} was measured in {len(x)} training patients; what the model says along it needs {MIN_MEASURED}."
        )
    if VOCABULARY[feature].kind in ("category", "binary"):
        counts = x.value_counts()
        levels = [c for c in (VOCABULARY[feature].categories or (0, 1)) if counts.get(c, 0) >= MIN_LEVEL]
        shown = tuple(levels) if VOCABULARY[feature].kind == "category" else tuple(float(v) for v in levels)
        return Reach(feature, np.nan, np.nan, shown, len(x))
    low, high = np.percentile(x.to_numpy(dtype=float), _PERCENTILES, method="nearest")
    return Reach(feature, float(low), float(high), (), len(x))


def grid(reach: Reach) -> tuple[Any, ...]:
    """Values over the reach, evenly spaced by size; by factor where `logarithmic`."""
    if reach.levels or math.isnan(reach.low):
        return reach.levels
    low, high = reach.low, reach.high
    if VOCABULARY[reach.feature].kind == "integer" and high - low < N_GRID:
        return tuple(float(v) for v in range(int(low), int(high) + 1))
    if low == high:
        return (low,)
    points = (np.geomspace if logarithmic(reach) else np.linspace)(low, high, N_GRID)[1:-1]
    # numbers that a person can read
    inner = sorted(v for v in {float(f"{x:.4g}") for x in points} if low < v < high)
    if VOCABULARY[reach.feature].kind == "integer":
        inner = sorted({float(round(v)) for v in inner} - {low, high})
    return (low, *inner, high)


def logarithmic(reach: Reach) -> bool:
    """Whether a range is so wide that equal factors, not equal steps, are its points; never a share or percentage."""
    bound = VOCABULARY[reach.feature].high
    return reach.low > 0 and reach.high / reach.low > 20 and (bound is None or bound > 100)


def what_if(
    models: Sequence[Any],
    patient: pd.DataFrame,
    training: pd.DataFrame,
    inputs: Sequence[str],
    asked: Asked,
) -> WhatIf:
    """The probability of a patient along one feature, the others held.

    Parameters
    ----------
    models : fitted, those that predicted the patient; their probabilities are averaged.
    patient : a row of a cohort table.
    training : rows of the cohort table that fitted (the first of) them.
    inputs : features that the model uses.
    asked : the feature, and a value or None for a grid.

    Raises
    ------
    ConfigError
        Where the model does not use the feature, and where the value lies outside of what training patients had.
    """
    if asked.feature not in inputs:
        raise ConfigError(f"--what-if {asked.feature}: the model does not use it. It uses: {', '.join(inputs)}.")
    reach = observed_range(training, asked.feature)
    values = grid(reach) if asked.value is None else (read_value(asked.feature, asked.value),)
    if asked.value is not None:
        _require_inside(values[0], asked.value, reach)
    rows = pd.concat([patient] * (len(values) + 1), ignore_index=True)
    kind = VOCABULARY[asked.feature].kind
    changed = [*values, patient[asked.feature].iloc[0] if asked.feature in patient else None]
    rows[asked.feature] = pd.Series(changed, dtype="str" if kind == "category" else "float64")
    p = np.mean(
        [
            m.predict_proba(model_frame(rows, m.spec.inputs, by_cohort=m.spec.by_cohort))[:, 1].astype(float)
            for m in models
        ],
        axis=0,
    )
    own = changed[-1]
    return WhatIf(
        asked.feature,
        values,
        tuple(float(v) for v in p[:-1]),
        None if own is None or pd.isna(own) else own if kind == "category" else float(own),
        float(p[-1]),
        reach,
        _goes_with(training, asked.feature, inputs),
    )


def _require_inside(value: Any, typed: str, reach: Reach) -> None:
    if reach.levels or math.isnan(reach.low):
        if value not in reach.levels:
            shown = (("no", "yes")[int(v)] if isinstance(v, float) else v for v in reach.levels)
            raise ConfigError(
                f"--what-if {reach.feature}={typed}: fewer than {MIN_LEVEL} training patients were so. Levels that the "
                f"model has seen: {', '.join(shown) or 'none'}."
            )
    elif not reach.low <= value <= reach.high:
        raise ConfigError(
            f"--what-if {reach.feature}={typed} lies outside of what the model has seen: {reach.low:g} to "
            f"{reach.high:g} (1st to 99th percentile of {reach.n} training patients). Give a value in that range."
        )


def _goes_with(training: pd.DataFrame, feature: str, inputs: Sequence[str]) -> tuple[str, ...]:
    table = rank_correlation(training, list(inputs))
    if feature not in table:
        return ()
    together = table[feature].drop(feature).abs()
    return tuple(str(f) for f in together[together >= GOES_WITH].sort_values(ascending=False, kind="stable").index)
