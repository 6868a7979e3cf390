"""What comes of a decision rule: who is treated, who responds among them, and at what cost.

Sums of patients over the shared resamples are one matrix product a cohort, since each measure is a quotient of sums;
over several cohorts and repeats the sums are added up first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from immunocast.cohort.outcomes import Words
from immunocast.metrics import blocks, percentile_interval, quotient, wilson_interval
from immunocast.validation.decision_rules import DecisionRule
from immunocast.validation.evaluate_estimates import TOO_SMALL
from immunocast.validation.evaluate_inputs import Panel, Settings, join_notes
from immunocast.validation.prices import Prices

#: The sums that all measures are made of, in the order in which `_sums` stacks them.
_TRUE, _FALSE, _EVENTS, _OTHERS, _HARM, _TESTS = range(6)

_NOBODY = "nobody would be treated"
_EVERYBODY = "everybody would be treated"
#: The same of an event that is a harm.
_NOBODY_POSITIVE = "nobody is predicted to have the event"
_EVERYBODY_POSITIVE = "everybody is predicted to have the event"


def decision_rows(
    panel: Panel,
    rules: Sequence[DecisionRule],
    names: tuple[str, str],
    assays: np.ndarray | None,
    settings: Settings,
    words: Words,
    prices: Prices | None,
) -> list[dict[str, Any]]:
    """Rows of the decisions table for the rules of one model, in every cohort and combined.

    Parameters
    ----------
    panel : patients and resamples.
    rules : see `decision_rules`.
    names : model and recalibration.
    assays : (n,) assays that a patient's prediction rested on; None where nobody is tested.
    settings : `min_events` is read.
    words : of the endpoint. For a harm nobody is treated for the event: the two measures a responder are left out.
    prices : None leaves out the cost.
    """
    if not rules:
        return []
    costs = np.zeros(len(panel.y)) if prices is None or assays is None else prices.of_assays(assays)
    masks = [panel.cohort == k for k in range(len(panel.cohorts))]
    sums = [_sums(panel, rules, costs, here) for here in masks]
    rows = []
    for number, rule in enumerate(rules):
        places = [(name, [here], found[number]) for name, here, found in zip(panel.cohorts, masks, sums, strict=True)]
        places.append(("combined", masks, np.sum([found[number] for found in sums], axis=0)))
        for name, here, found in places:
            used = np.any(here, axis=0) & rule.usable
            rows += _rows(panel, rule, names, name, used, found, settings, words, prices)
    return rows


def _sums(panel: Panel, rules: Sequence[DecisionRule], costs: np.ndarray, here: np.ndarray) -> list[np.ndarray]:
    """(6, 1 + B) sums a rule over the patients of a cohort, repeats averaged."""
    event = (panel.y[here] == 1).astype(float)
    stacked = []
    for rule in rules:
        usable, treated = rule.usable[here].astype(float), rule.treated[:, here]
        harm = treated if rule.odds is None else treated * rule.odds[:, here]
        stacked += [
            treated.mean(axis=0) * event * usable,
            treated.mean(axis=0) * (1 - event) * usable,
            event * usable,
            (1 - event) * usable,
            harm.mean(axis=0) * (1 - event) * usable,
            costs[here] * usable,
        ]
    vectors = np.array(stacked)
    found = [vectors @ weights for weights in blocks(panel.counts[here], whole_first=True)]
    return list(np.concatenate(found, axis=1).reshape(len(rules), 6, -1))


def _rows(
    panel: Panel,
    rule: DecisionRule,
    names: tuple[str, str],
    cohort_id: str,
    used: np.ndarray,
    sums: np.ndarray,
    settings: Settings,
    words: Words,
    prices: Prices | None,
) -> list[dict[str, Any]]:
    head: dict[str, Any] = {
        "model": names[0],
        "recalibration": names[1],
        "scheme": panel.scheme,
        "endpoint": panel.endpoint,
        "cohort_id": cohort_id,
        "rule": rule.name,
        "threshold": rule.threshold,
        "n": int(used.sum()),
        "n_events": int(panel.y[used].sum()),
        "n_positive": round(float(sums[_TRUE, 0] + sums[_FALSE, 0])),
    }
    measures = _measures(panel, rule, used, sums, words, prices)
    if not panel.enough(used, settings.min_events):
        why = TOO_SMALL if used.any() else "no fair prediction"
        measures = {name: _null(why) for name in measures}
    said = join_notes(rule.note, "positive: predicted to have the event" if words.harm else "")
    return [
        head | {"metric": name} | found | {"note": join_notes(str(found["note"]), said)}
        for name, found in measures.items()
    ]


def _measures(
    panel: Panel, rule: DecisionRule, used: np.ndarray, sums: np.ndarray, words: Words, prices: Prices | None
) -> dict[str, dict[str, Any]]:
    treated = rule.treated[:, used].mean(axis=0)
    y, person = panel.y[used], panel.person[used]
    true, false, events, others = sums[_TRUE], sums[_FALSE], sums[_EVENTS], sums[_OTHERS]
    n, n_treated = events + others, true + false

    def share(numerator: np.ndarray, denominator: np.ndarray, among: np.ndarray, undefined: str = "") -> dict[str, Any]:
        # over repeats a patient may count for a part of one: a share says no more than as many patients as were summed
        size = min(float(len(set(person[among]))), float(denominator[0]))
        return _share(quotient(numerator, denominator), size, undefined)

    nobody, everybody = (_NOBODY_POSITIVE, _EVERYBODY_POSITIVE) if words.harm else (_NOBODY, _EVERYBODY)
    measures = {
        "sensitivity": share(true, events, y == 1),
        "specificity": share(others - false, others, y == 0),
        "ppv": share(true, n_treated, treated > 0, nobody),
        "npv": share(others - false, n - n_treated, treated < 1, everybody),
        "share_treated": share(n_treated, n, treated >= 0),
        "net_benefit": _null("a marker's cut-off is no probability: see the decision curve")
        if rule.odds is None
        else _estimate(quotient(true - sums[_HARM], n)),
    }
    if words.harm:
        return measures
    none = f"no {words.event.split(' ', 1)[-1]} among those treated"
    undefined = none if n_treated[0] > 0 else _NOBODY
    measures["treated_per_responder"] = _turned(measures["ppv"], undefined)
    if prices is not None:
        spent = sums[_TESTS] + prices.treatment * n_treated
        found = _turned(_estimate(quotient(true, spent), "nothing is spent"), undefined)
        measures["cost_per_responder"] = found | {"note": join_notes(str(found["note"]), prices.words)}
    return measures


def _null(why: str) -> dict[str, Any]:
    return {"estimate": None, "ci_low": None, "ci_high": None, "ci_method": "none", "note": why}


def _estimate(values: np.ndarray, undefined: str = "") -> dict[str, Any]:
    """Estimate with its bootstrap interval from values (1 + B,)."""
    if np.isnan(values[0]):
        return _null(undefined)
    low, high, left_out = percentile_interval(values[1:])
    note = f"{left_out} of {len(values) - 1} resamples without a value left out" if left_out else ""
    interval: dict[str, Any] = {"ci_low": low, "ci_high": high, "ci_method": "bootstrap"}
    if np.isnan(low):
        interval = {"ci_low": None, "ci_high": None, "ci_method": "none"}
    return {"estimate": float(values[0]), **interval, "note": note}


def _share(values: np.ndarray, n_persons: float, undefined: str) -> dict[str, Any]:
    """A proportion. One of 0 or 1 comes out of every resample: Wilson's interval over the persons tells how sure."""
    found = _estimate(values, undefined)
    value = found["estimate"]
    if value is None or 0 < value < 1 or not n_persons:
        return found
    low, high = wilson_interval(value * n_persons, n_persons)
    return found | {"ci_low": float(low), "ci_high": float(high), "ci_method": "wilson", "note": ""}


def _turned(found: dict[str, Any], undefined: str) -> dict[str, Any]:
    """The reciprocal of an estimate, with the interval of the reciprocals; its upper end is null where it is open."""
    if found["estimate"] is None:
        return found
    if found["estimate"] == 0:
        return _null(undefined)
    low, high = found["ci_low"], found["ci_high"]
    is_open = low == 0
    return found | {
        "estimate": 1 / found["estimate"],
        "ci_low": 1 / high if high else None,
        "ci_high": 1 / low if low else None,
        "note": join_notes(str(found["note"]), "no upper end: too many resamples without one among those treated")
        if is_open
        else found["note"],
    }
