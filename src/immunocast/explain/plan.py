"""Which models of a run are explained, exactly or by an estimate, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from immunocast.errors import ConfigError
from immunocast.explain.inputs import ExplainInputs
from immunocast.models.blend import Blend
from immunocast.validation.splits import fold_key

FALLBACKS = ("none", "sampled")


@dataclass(frozen=True)
class Plan:
    """How a model is explained, and why not exactly ("" where it is exact)."""

    how: Literal["exact", "sampled", "none"]
    reason: str = ""


def plan_explanations(run: ExplainInputs, fallback: str) -> dict[str, Plan]:
    """Name of each learned model -> how it is explained.

    What a blend or a choice is made of only its fitted folds know; the values of one model are on one scale.

    Raises
    ------
    ConfigError
        For a fallback that is not known.
    """
    if fallback not in FALLBACKS:
        raise ConfigError(f"explain.fallback is {fallback!r}; it must be none, or sampled for an estimate.")
    found = {}
    for name, model in run.models.items():
        if not model.spec.learned:
            continue
        reason = _reason(run, name, model)
        found[name] = Plan("exact") if not reason else Plan("sampled" if fallback == "sampled" else "none", reason)
    return found


def known_models(run: ExplainInputs, models: Iterable[str], section: str) -> list[str]:
    """Models that a section of `explain` names, each once.

    Raises
    ------
    ConfigError
        For a model that the run does not have.
    """
    for name in models:
        if name not in run.models:
            raise ConfigError(
                f"explain.{section}.models names {name!r}, which is not among models: {', '.join(run.models)}. "
                f"Name a learner, or none: explain.{section}.models=[]."
            )
    return list(dict.fromkeys(models))


def _reason(run: ExplainInputs, name: str, model: Any) -> str:
    """Why a model has no exact values; "" where it has."""
    if not isinstance(model, Blend):
        return "" if model.spec.explainer != "none" else "its estimator has no exact explainer (explainer: none)"
    if not model.choose and model.spec.explainer != "none":
        return ""
    scales = set()
    for fold, fitted in _fitted(run, name):
        if fitted.spec.explainer == "none":
            parts = [n for n, p in fitted.parts_.items() if p.spec.explainer == "none"]
            parts = parts or [n for n, p in fitted.parts_.items() if p.spec.output_scale != "log-odds"]
            return (
                f"in fold {fold} it mixes {', '.join(parts)} with others, and the log-odds of a mean of trees, or of a "
                "model without an explainer, are no sum over features"
            )
        scales.add(fitted.spec.output_scale)
    return "" if len(scales) < 2 else f"its folds chose models on different scales ({', '.join(sorted(scales))})"


def _fitted(run: ExplainInputs, name: str) -> Iterator[tuple[str, Any]]:
    rows = run.predictions[run.predictions["model"] == name]
    for repeat, fold in sorted(set(zip(rows["repeat"], rows["fold"], strict=True))):
        yield str(fold), run.load_model(name, fold_key(int(repeat), str(fold)))


def explanation_notes(run: ExplainInputs, fallback: str, shap: pd.DataFrame) -> list[str]:
    """Sentences on models that are not explained, or not exactly, for the run's warnings.

    Parameters
    ----------
    run, fallback : as for `plan_explanations`.
    shap : the table of the run.
    """
    said = []
    for name, plan in plan_explanations(run, fallback).items():
        label = run.models[name].spec.label or name
        rows = shap[shap["model"] == name]
        if plan.how == "none":
            said.append(
                f"{label} is not explained: {plan.reason}. explain.fallback=sampled estimates its SHAP values instead."
            )
        elif plan.how == "sampled" and len(rows):
            error = rows["standard_error"].dropna()
            said.append(
                f"SHAP values of {label} are estimates by permutation sampling, not exact: {plan.reason}. The largest "
                f"standard error of a patient's values is {error.median():.2g} in the median patient and "
                f"{error.max():.2g} at most ({rows['output_scale'].iloc[0]})."
            )
    return said
