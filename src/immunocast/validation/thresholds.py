"""Rules that choose a decision threshold on a training fold's inner out-of-fold predictions.

A rule is named in the configuration (`decisions.rules`) and is a function of outcomes and probabilities:

    youden              maximises sensitivity + specificity - 1; of equals, the lowest
    sensitivity_90      the highest threshold at which at least 90 % of patients with the event lie at or above it
    specificity_80      the lowest threshold at which at least 80 % of patients without the event lie below it
    harm_benefit_1_4    acting in vain does 1/4 of the harm that acting on an event does good: 1 / (1 + 4) = 0.2,
                        where the net benefit of acting is zero; it needs no data

A model says yes from the threshold on. The numbers in the names may be others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from immunocast.errors import ConfigError

#: (y, p) -> threshold, or None where the rule has no answer. p has no NaN.
Rule = Callable[[np.ndarray, np.ndarray], float | None]


def operating_points(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every distinct probability as threshold, ascending, with the sensitivity and specificity there."""
    thresholds = np.unique(p)
    events, others = np.sort(p[y == 1]), np.sort(p[y == 0])
    sensitivity = 1 - np.searchsorted(events, thresholds, side="left") / len(events)
    specificity = np.searchsorted(others, thresholds, side="left") / len(others)
    return thresholds, sensitivity, specificity


def youden(y: np.ndarray, p: np.ndarray) -> float | None:
    """Threshold of the largest sensitivity + specificity - 1; of equals, the lowest."""
    thresholds, sensitivity, specificity = operating_points(y, p)
    # sums that are equal as fractions may differ in the last bit
    return float(thresholds[int(np.argmax(np.round(sensitivity + specificity, 12)))])


def at_sensitivity(least: float) -> Rule:
    """Rule: the highest threshold with at least this sensitivity."""

    def rule(y: np.ndarray, p: np.ndarray) -> float | None:
        thresholds, sensitivity, _ = operating_points(y, p)
        return float(thresholds[sensitivity >= least - 1e-12][-1])

    return rule


def at_specificity(least: float) -> Rule:
    """Rule: the lowest threshold with at least this specificity; none where ties do not allow it."""

    def rule(y: np.ndarray, p: np.ndarray) -> float | None:
        thresholds, _, specificity = operating_points(y, p)
        enough = thresholds[specificity >= least - 1e-12]
        return float(enough[0]) if len(enough) else None

    return rule


def of_odds(harm: float, benefit: float) -> float:
    """Threshold of stated odds: acting in vain costs `harm`, acting on an event gains `benefit`.

    >>> of_odds(1, 4)
    0.2
    """
    return harm / (harm + benefit)


_NAMES = "youden, sensitivity_90, specificity_80, harm_benefit_1_4 (with other numbers where you need them)"


def is_stated(name: str) -> bool:
    """Whether a rule states its threshold without data."""
    return name.startswith("harm_benefit_")


def rule_named(name: str) -> Rule:
    """The rule of a name.

    Raises
    ------
    ConfigError
        Where there is no such rule, or its numbers make no sense.
    """
    if name == "youden":
        return youden
    if found := re.fullmatch(r"(sensitivity|specificity)_(\d{1,2})", str(name)):
        share = int(found[2]) / 100
        if share:
            return at_sensitivity(share) if found[1] == "sensitivity" else at_specificity(share)
    if found := re.fullmatch(r"harm_benefit_(\d+)_(\d+)", str(name)):
        harm, benefit = int(found[1]), int(found[2])
        if harm and benefit:
            return lambda y, p: of_odds(harm, benefit)
    raise ConfigError(f"decisions.rules holds {name!r}. Rules: {_NAMES}.")


def chosen_threshold(name: str, y: np.ndarray, p: np.ndarray, min_events: int) -> dict[str, Any]:
    """What a rule chooses: `threshold`, `n`, `n_events` and `note` of a row of the table `thresholds`.

    Parameters
    ----------
    name : of the rule.
    y : (n,) outcomes 0/1.
    p : (n,) inner out-of-fold probabilities; patients with NaN are left out.
    min_events : fewest events, and fewest non-events, for a rule that learns from data.
    """
    rule, known = rule_named(name), ~np.isnan(p)
    y, p = y[known], p[known]
    n, events = len(y), int(y.sum())
    row: dict[str, Any] = {"threshold": np.nan, "n": n, "n_events": events, "note": ""}
    if is_stated(name):
        return row | {"threshold": rule(y, p), "note": "stated odds, no data"}
    if min(events, n - events) < min_events:
        return row | {"note": "too small"}
    found = rule(y, p)
    return row | ({"note": "no threshold reaches it"} if found is None else {"threshold": found})


def check_rules(names: Sequence[str]) -> None:
    """Refuse unknown rules, and a rule that is named twice."""
    for name in names:
        rule_named(name)
    if len(set(names)) < len(names):
        raise ConfigError(f"decisions.rules names a rule twice: {', '.join(names)}.")
