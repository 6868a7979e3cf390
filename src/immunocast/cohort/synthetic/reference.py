"""What is solved once for a scenario, on a reference sample that no user's seed changes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from immunocast.cohort.synthetic.mechanisms import draw_patients
from immunocast.cohort.synthetic.outcomes import Scales, solve_scales
from immunocast.cohort.synthetic.parameters import load_parameters
from immunocast.cohort.synthetic.response import Scenario, acts_without_ici, response_terms
from immunocast.cohort.synthetic.shapley import Background, background_of, log_odds_of
from immunocast.cohort.synthetic.streams import ReferenceStreams

_SIZE = 4096  # patients of each type, mirrored to twice as many


def sum_of(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Sum in the order given, the same for any number of rows."""
    first, *others = arrays
    total = first.copy()
    for values in others:
        total += values
    return total


@cache
def solved(name: str) -> tuple[Scales, Background]:
    """Intercepts, scales and background of a scenario."""
    parameters = load_parameters()
    scenario = Scenario.named(name, parameters)
    count = len(parameters.types)
    kind = np.repeat(np.arange(count, dtype=np.int8), 2 * _SIZE)
    nsclc = kind == parameters.nsclc
    draws = ReferenceStreams("reference", _SIZE, count)
    values = draw_patients(kind, draws, parameters)
    terms = response_terms(values, parameters, scenario.removed)
    effects = log_odds_of(values, terms, nsclc, parameters, scenario.removed)
    control = [effects[parent] for parent in acts_without_ici(scenario, parameters)]
    orr, share = parameters.orr, scenario.share(parameters)
    if "type_orr" in scenario.removed:
        orr = np.full_like(orr, (share * orr).sum())
    scales = solve_scales(
        values,
        sum_of(effects.values()),
        sum_of([np.zeros(len(kind)), *control]),
        draws,
        orr,
        scenario,
        parameters,
    )
    weight = np.repeat(share, 2 * _SIZE) / (2 * _SIZE)
    background = background_of(values, terms, scales.intercept[kind], nsclc, weight, parameters, scenario.removed)
    return scales, background
