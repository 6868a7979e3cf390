"""Those who trained against those who were predicted, input by input (TRIPOD+AI 16 and 20c)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.report.card.facts import Facts
from immunocast.report.text import level_label

_MOST_LEVELS = 20


def development_evaluation(facts: Facts) -> pd.DataFrame:
    """How each input and the outcome differ between the patients of a fold's training and its test set.

    Returns
    -------
    One row a fold, input and level: counts and known values on either side, median [quartiles] or share, and
    `difference`: for numbers the difference of means over the root of the mean variance (standardised mean difference),
    for levels the difference in share; evaluation minus development. Empty under repeated k-fold.
    """
    known = facts.shared.developed
    if facts.spec.inputs not in known:  # models mostly share their inputs
        known[facts.spec.inputs] = _table(facts)
    return known[facts.spec.inputs]


def _table(facts: Facts) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for fold, (trained, predicted) in facts.shared.folds.items():
        if trained.empty or predicted.empty:
            continue
        rows.append(_level(fold, "outcome", "event", trained["y_true"], predicted["y_true"], 1.0))
        for name in facts.spec.inputs:
            if name not in trained:
                continue
            column = VOCABULARY.get(name)
            a, b = trained[name], predicted[name]
            if column is not None and column.kind in ("number", "integer"):
                rows.append(_number(fold, name, a, b))
                continue
            counts = pd.concat([a, b]).value_counts()
            for level in sorted(counts.index, key=lambda v: (-counts[v], str(v)))[:_MOST_LEVELS]:
                rows.append(_level(fold, name, _shown(level), a, b, level))
    return pd.DataFrame(rows)


def _number(fold: str, name: str, a: pd.Series, b: pd.Series) -> dict[str, object]:
    x, y = (s.dropna().to_numpy(dtype="float64") for s in (a, b))
    spread = np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2) if min(len(x), len(y)) > 1 else 0.0
    difference = (y.mean() - x.mean()) / spread if spread > 0 else np.nan
    return _row(fold, name, "median [quartiles]", a, b, _quartiles(x), _quartiles(y), difference)


def _level(fold: str, name: str, shown: str, a: pd.Series, b: pd.Series, level: object) -> dict[str, object]:
    x, y = a.dropna(), b.dropna()
    shares = [float((s == level).mean()) if len(s) else np.nan for s in (x, y)]
    x_share, y_share = (f"{100 * s:.1f} %" if s == s else "" for s in shares)
    return _row(fold, name, shown, a, b, x_share, y_share, shares[1] - shares[0])


def _row(
    fold: str, name: str, level: str, a: pd.Series, b: pd.Series, x: str, y: str, difference: float
) -> dict[str, object]:
    return {
        "predictor": name,
        "level": level,
        "fold": fold,
        "n_development": len(a),
        "known_development": int(a.notna().sum()),
        "development": x,
        "n_evaluation": len(b),
        "known_evaluation": int(b.notna().sum()),
        "evaluation": y,
        "difference": difference,
    }


def _quartiles(values: np.ndarray) -> str:
    if not len(values):
        return ""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3g} [{low:.3g} to {high:.3g}]"


def _shown(level: object) -> str:
    if isinstance(level, float | np.floating) and float(level).is_integer():
        return str(int(level))
    return level_label(level)
