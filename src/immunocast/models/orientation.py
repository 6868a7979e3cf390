"""Which way a model looks: what was published or agreed on for response, brought to another endpoint.

Published scores, cut-offs and monotone constraints were made for response. For an endpoint that response speaks
against, they are turned round; where response does not tell the direction, constraints are dropped and published
models are left out rather than shown as if they had claimed anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone

from immunocast.cohort.outcomes import Endpoint
from immunocast.models.learner import BY_FEATURE, Learner
from immunocast.models.spec import ResponseModel


@dataclass(frozen=True)
class Oriented:
    """Models for one endpoint.

    Attributes
    ----------
    models : name -> unfitted model that looks the endpoint's way.
    left_out : name -> why a model was left out.
    notes : what was changed, as sentences.
    """

    models: dict[str, ResponseModel]
    left_out: dict[str, str]
    notes: tuple[str, ...]


def orient(models: Mapping[str, ResponseModel], endpoint: Endpoint) -> Oriented:
    """Bring models to an endpoint.

    Parameters
    ----------
    models : name -> unfitted model, as configured for response.
    endpoint : what is forecast; its `markers` decide.

    Returns
    -------
    Models, which are the same objects where nothing had to change.
    """
    if endpoint.markers == "same":
        return Oriented(dict(models), {}, ())
    turn = endpoint.markers == "reversed"
    kept: dict[str, ResponseModel] = {}
    left_out: dict[str, str] = {}
    turned, constrained = [], []
    for name, model in models.items():
        label = model.spec.label or name
        if isinstance(model, Learner):
            settings = _constraints(model, turn)
            kept[name] = clone(model).set_params(**settings) if settings else model
            constrained += [label] if settings else []
        elif model.spec.predicts != "response":
            kept[name] = model
        elif turn and "reverse" in model.get_params():  # type: ignore[attr-defined]
            kept[name] = clone(model).set_params(reverse=True)
            turned.append(label)
        else:
            left_out[name] = f"{label} predicts response, which does not tell the direction of {endpoint.words.title}"
    notes = []
    if turned:
        notes.append(
            f"{', '.join(turned)} predict response; here they are turned round (1 - p, or the other side of the "
            f"cut-off), since the event is {endpoint.words.title}. They were not published for it."
        )
    if constrained:
        how = "reversed" if turn else "dropped, since what is agreed on for response need not hold here"
        notes.append(f"Monotone constraints of {', '.join(constrained)} were set for response; they are {how}.")
    if left_out:
        notes.append("Left out: " + "; ".join(left_out.values()) + ".")
    return Oriented(kept, left_out, tuple(notes))


def _constraints(model: Learner, turn: bool) -> dict[str, Any]:
    """Changed constraints as `set_params` takes them; {} where the estimator has none."""
    changed: dict[str, Any] = {}
    for name in BY_FEATURE:
        signs = model.estimator.get_params(deep=False).get(name) if hasattr(model.estimator, "get_params") else None
        if isinstance(signs, Mapping) and any(signs.values()):
            changed[f"estimator__{name}"] = {c: -s for c, s in signs.items()} if turn else None
        elif isinstance(signs, Sequence) and not isinstance(signs, str) and any(signs):
            changed[f"estimator__{name}"] = [-s for s in signs] if turn else None
    return changed
