"""The model itself: what a reader needs to compute its probability by hand, or to load exactly this object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from immunocast.errors import ImmunocastError
from immunocast.models.bundle import load_bundle
from immunocast.report.card.facts import Facts

#: Settings by which a learner weighs the classes.
_WEIGHTS = ("class_weight", "scale_pos_weight")


def specification(facts: Facts) -> dict[str, Any]:
    """What the bundle says of the model: class, parameters, fitted state, and how it treats gaps and classes."""
    content = facts.bundle.content
    fitted = dict(content.get("fitted") or {})
    return {
        "model": facts.model,
        "label": facts.label,
        "class": content.get("class"),
        "source": facts.spec.source,
        "spec": facts.spec.to_dict(),
        "params": {**(content.get("params") or {}), **(facts.entry.get("params") or {})},
        "fitted": fitted,
        "recalibrators": facts.bundle.recalibrators,
        "versions": content.get("versions"),
        "output_scale": facts.spec.output_scale,
        "missing_rule": facts.spec.missing_rule or None,
        "required": list(facts.spec.required),
        "optional": list(facts.spec.optional),
        "class_imbalance": class_imbalance(facts),
        "bundle_digest": facts.bundle.digest,
        "bundle_files": facts.bundle.files,
    }


def class_imbalance(facts: Facts) -> str:
    """Whether the classes were weighted: the settings that would do so, with their values."""
    params = facts.entry.get("params") or {}
    set_ = {k: v for k, v in params.items() if k.rsplit("__", 1)[-1] in _WEIGHTS and v not in (None, 1, 1.0)}
    if set_:
        told = ", ".join(f"{key} = {value}" for key, value in sorted(set_.items()))
        return f"classes were weighted ({told}); no patient was resampled"
    return "classes were not weighted and no patient was resampled"


def coefficients(facts: Facts) -> pd.DataFrame:
    """Coefficients of a linear model on the scale of its prepared inputs; empty for all other models.

    Returns
    -------
    Frame with term, coefficient, mean and sd (by which the input was centred and scaled; 1 and 0 where it was not).
    """
    found = _terms(facts)
    state = (facts.bundle.content.get("fitted") or {}).get("preprocessor") or {}
    scaled = bool((facts.bundle.content.get("params") or {}).get("scale"))
    mean, sd = (state.get(key, {}) if scaled else {} for key in ("mean_", "std_"))
    rows = [
        {"term": term, "coefficient": value, "centred_by": mean.get(term, 0.0), "divided_by": sd.get(term, 1.0)}
        for term, value in found.items()
    ]
    return pd.DataFrame(rows, columns=["term", "coefficient", "centred_by", "divided_by"])


def _terms(facts: Facts) -> dict[str, float]:
    content = facts.bundle.content
    fitted = content.get("fitted") or {}
    if isinstance(fitted.get("factors_"), dict):  # a published formula that was updated
        own = fitted.get("cohort_intercepts_") or {}
        return {
            "intercept": _one(fitted.get("intercept_")),
            **{f"published: {k}": _one(v) for k, v in fitted["factors_"].items()},
            **{k: _one(v) for k, v in (fitted.get("coef_") or {}).items()},
            **{f"intercept of {k}": _one(v) for k, v in own.items()},
        }
    if content.get("class") != "Learner" or facts.spec.explainer != "linear":
        return {}
    try:
        model = load_bundle(facts.run.bundle_path(facts.model, "final"))
    except ImmunocastError:
        return {}
    coef = np.ravel(getattr(model.estimator_, "coef_", []))
    names = list(model.background_)
    if len(coef) != len(names):
        return {}
    return {
        "intercept": _one(getattr(model.estimator_, "intercept_", 0.0)),
        **dict(zip(names, map(float, coef), strict=True)),
    }


def _one(value: Any) -> float:
    return float(np.ravel(0.0 if value is None else value)[0])
